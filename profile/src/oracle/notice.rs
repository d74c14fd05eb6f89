//! Whether somebody was proofed anew as a profile's person, and objecting to it.

use contracts::encoding::Bytes;
use contracts::ids::{Committee, NodeId, max_faults};
use oracles::wire::enrol::{NoticeAnswer, NoticeCall, NoticeQuery, VERSION};
use oracles::wire::{HpkeBox, notice_info};

use super::gather::gather;
use super::{Failure, OracleError, Oracles};
use crate::api::types::Reproofing;
use crate::wallet::SigningKey;

const NOTICE: &str = "re-proofing notice";

impl Oracles {
    /// Asks the members of the identity committee, and objects at each of them if told to. A notice counts when more
    /// members report it than may lie; an objection when so many took note of it that no quorum is left without.
    ///
    /// # Errors
    /// [`OracleError`] without a quorum's answers.
    pub async fn notice(
        &self,
        identity: &SigningKey,
        handles: &[(NodeId, HpkeBox)],
        object: bool,
    ) -> Result<Reproofing, OracleError> {
        let committee = Committee::Identity;
        let (members, quorum) = self.committee(committee);
        let calls = handles
            .iter()
            .filter(|(node, _)| members.contains(node))
            .map(|(node, handle)| (*node, self.notice_at(identity, *node, handle, object)));
        let (grace, timeout) = (self.grace(), self.call_timeout());
        let answers = gather(NOTICE, committee, calls, quorum, grace, timeout).await;
        if answers.good.len() < usize::from(quorum) {
            return Err(answers.into_error(NOTICE, committee, quorum));
        }
        let members = u16::try_from(members.len()).unwrap_or(u16::MAX);
        let more_than_lie = usize::from(max_faults(members)) + 1;
        let mut ready: Vec<_> = answers.good.iter().filter_map(|(_, it)| it.ready).collect();
        ready.sort_unstable();
        let objected = answers.good.iter().filter(|(_, it)| it.objected).count();
        Ok(Reproofing {
            ready: ready.get(more_than_lie - 1).copied(),
            objected: objected >= usize::from(quorum),
        })
    }

    async fn notice_at(
        &self,
        identity: &SigningKey,
        node: NodeId,
        handle: &HpkeBox,
        object: bool,
    ) -> Result<NoticeAnswer, Failure> {
        let mut query = NoticeQuery {
            version: VERSION,
            day: self.clock.today(),
            object,
            handle: handle.clone(),
            signature: Bytes([0; 64]),
        };
        query.signature = identity.sign(&query.message(node));
        let wrong = |error: &dyn std::fmt::Display| Failure::Wrong(error.to_string());
        let plain = serde_json::to_vec(&query).map_err(|error| wrong(&error))?;
        let sealed = self
            .seal_to(node, |epoch| notice_info(node, epoch), &plain)
            .map_err(|error| wrong(&error))?;
        let path = "/v1/identity/reproofing";
        let call = NoticeCall { sealed };
        let answer: NoticeAnswer = self
            .post(node, path, &call, self.call_timeout(), super::ANSWER_CAP)
            .await?;
        match answer.node == node {
            true => Ok(answer),
            false => Err(wrong(&"an answer of another node")),
        }
    }
}
