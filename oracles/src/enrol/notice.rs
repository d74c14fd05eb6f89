//! What the holder of a seed may ask about its own person: whether somebody was proofed anew, and to object to it.

use contracts::bip340;
use contracts::encoding::Bytes32;
use contracts::handle::SignedHandle;
use contracts::ids::Domain;

use super::registrar::SUBJECT_REF;
use super::{EnrolError, Registrar};
use crate::attest::{AttestError, PSEUDONYM_KEY, is_today};
use crate::wire::enrol::{NoticeAnswer, NoticeCall, NoticeQuery, VERSION};
use crate::wire::{handle_info, notice_info};

impl Registrar {
    /// Answers a query that is signed by the authorisation key of a handle whose pseudonym key is the registered one.
    pub(crate) async fn notice(&self, call: &NoticeCall) -> Result<NoticeAnswer, EnrolError> {
        let (seat, now) = (self.seat(), self.now());
        let info = notice_info(seat.node, seat.hpke_epoch);
        let plain = seat.open("query", &info, &call.sealed)?;
        let query: NoticeQuery =
            serde_json::from_slice(&plain).map_err(|_| AttestError::Format("query"))?;
        if query.version != VERSION {
            return Err(AttestError::Format("query.version").into());
        }
        if !is_today(query.day, now) {
            return Err(AttestError::Day {
                field: "query.day",
                got: query.day,
            }
            .into());
        }
        let info = handle_info(Domain::Identity, seat.node, seat.hpke_epoch);
        let plain = seat.open("handle", &info, &query.handle)?;
        let handle: SignedHandle =
            serde_json::from_slice(&plain).map_err(|_| AttestError::Format("handle"))?;
        let key = self
            .shared
            .keys
            .attestation_key(Domain::Identity, handle.epoch)
            .ok_or(AttestError::HandleEpoch(handle.epoch))?;
        handle
            .verify(Domain::Identity, query.day, &key)
            .map_err(AttestError::from)?;
        let handle = handle.plain;
        bip340::verify(
            &handle.authorisation_key,
            &query.message(seat.node),
            &query.signature,
        )?;
        let named = |name: &str| {
            let text = handle.source_keys.get(name)?;
            Bytes32::parse(text).ok()
        };
        let subject = named(SUBJECT_REF).ok_or(AttestError::Pseudonym)?;
        let pseudonym_key = named(PSEUDONYM_KEY)
            .and_then(|bytes| contracts::group::Point::from_bytes(&bytes.0).ok())
            .ok_or(AttestError::Pseudonym)?;
        if !self.registry.is_current(&subject, &pseudonym_key).await? {
            return Err(AttestError::Pseudonym.into());
        }
        if query.object {
            self.registry.object(&subject, now).await?;
        }
        let notice = self.registry.notice(&subject, now).await?;
        Ok(NoticeAnswer {
            node: seat.node,
            ready: notice.map(|notice| notice.ready),
            objected: notice.is_some_and(|notice| notice.objected),
        })
    }
}
