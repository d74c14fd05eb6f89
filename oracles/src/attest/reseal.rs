//! Handles for members that came after they were issued: a member that holds one seals it to a newcomer.
//!
//! Only the owner can have it done, with the authorisation key that the handle names. A member that seals something else
//! gains nothing: a handle carries the identity committee's signature, which the newcomer checks.

use contracts::bip340;
use contracts::handle::SignedHandle;
use contracts::ids::Domain;
use contracts::units::UnixTime;

use super::AttestError;
use super::check::{Seat, is_today};
use crate::hpke;
use crate::wire::attest::{ResealAnswer, ResealCall, ResealRequest, VERSION};
use crate::wire::enrol::Recipient;
use crate::wire::{HpkeBox, handle_info, reseal_info};

impl Seat {
    /// Opens a request to reseal, checks it and the handle, and seals the handle to the member it names.
    pub(super) fn reseal(
        &self,
        call: &ResealCall,
        keys: &dyn contracts::attestation::CommitteeKeys,
        recipient: impl Fn(contracts::ids::NodeId) -> Option<Recipient>,
        now: UnixTime,
    ) -> Result<ResealAnswer, AttestError> {
        let info = reseal_info(self.domain, self.node, self.hpke_epoch);
        let plain = self.open("request", &info, &call.sealed)?;
        let request: ResealRequest =
            serde_json::from_slice(&plain).map_err(|_| AttestError::Format("request"))?;
        if request.version != VERSION {
            return Err(AttestError::Format("request.version"));
        }
        if (request.committee, request.epoch) != (self.domain, self.epoch) {
            return Err(AttestError::Committee {
                expected: self.domain,
                epoch: self.epoch,
                got: request.committee,
                got_epoch: request.epoch,
            });
        }
        if !is_today(request.day, now) {
            return Err(AttestError::Day {
                field: "request.day",
                got: request.day,
            });
        }
        let to = Some(request.to)
            .filter(|to| *to != self.node && self.members.contains(to))
            .and_then(recipient)
            .ok_or(AttestError::Format("request.to"))?;
        let info = handle_info(self.domain, self.node, self.hpke_epoch);
        let plain = self.open("handle", &info, &request.handle)?;
        let handle: SignedHandle =
            serde_json::from_slice(&plain).map_err(|_| AttestError::Format("handle"))?;
        let key = keys
            .attestation_key(Domain::Identity, handle.epoch)
            .ok_or(AttestError::HandleEpoch(handle.epoch))?;
        handle.verify(self.domain, request.day, &key)?;
        bip340::verify(
            &handle.plain.authorisation_key,
            &request.message(self.node),
            &request.signature,
        )?;
        let info = handle_info(self.domain, to.node, to.key_epoch);
        let sealed = hpke::seal(&to.hpke_key, &info, &[], &plain)
            .map_err(|_| AttestError::Format("request.to"))?;
        Ok(ResealAnswer {
            node: self.node,
            to: to.node,
            handle: HpkeBox {
                key_epoch: to.key_epoch,
                sealed,
            },
        })
    }
}
