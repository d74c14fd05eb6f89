//! Handles for members that came after enrolment: members that hold one seal it to them.

use contracts::encoding::Bytes;
use contracts::ids::{Domain, NodeId};
use oracles::wire::attest::{ResealAnswer, ResealCall, ResealRequest, VERSION};
use oracles::wire::enrol::MemberHandle;
use oracles::wire::{HpkeBox, reseal_info};

use super::{Failure, OracleError, Oracles, committee_of};
use crate::wallet::SigningKey;

impl Oracles {
    /// Handles for the members that have none yet, each shown good by the newcomer itself, which opens it and checks the
    /// identity committee's signature. Members for whom nobody brings one are left out: a quorum does without them.
    pub async fn reseal(
        &self,
        domain: Domain,
        authorisation: &SigningKey,
        handles: &[(NodeId, HpkeBox)],
    ) -> Vec<MemberHandle> {
        let (members, _) = self.committee(committee_of(domain));
        let holds = |node: &NodeId| handles.iter().find(|(held, _)| held == node);
        let holders: Vec<NodeId> = members
            .iter()
            .copied()
            .filter(|it| holds(it).is_some())
            .collect();
        let Some(epoch) = self.epoch_of(domain) else {
            return Vec::new();
        };
        let mut made = Vec::new();
        for newcomer in members.iter().copied().filter(|it| holds(it).is_none()) {
            for (holder, handle) in handles
                .iter()
                .filter(|(holder, _)| holders.contains(holder))
            {
                let sealed = self
                    .reseal_at(domain, epoch, authorisation, (*holder, handle), newcomer)
                    .await;
                let Ok(sealed) = sealed else { continue };
                // The newcomer reseals it back only if it opens and is signed.
                let back = self
                    .reseal_at(domain, epoch, authorisation, (newcomer, &sealed), *holder)
                    .await;
                match back {
                    Ok(_) => {
                        made.push(MemberHandle {
                            domain,
                            node: newcomer,
                            sealed,
                        });
                        break;
                    }
                    Err(failure) => {
                        tracing::warn!(%domain, %holder, %newcomer, %failure, "a resealed handle is not taken");
                    }
                }
            }
        }
        made
    }

    /// The latest epoch whose key is trusted.
    fn epoch_of(&self, domain: Domain) -> Option<u64> {
        let committee = committee_of(domain);
        let trust = self.trust();
        let keys = trust.committees().iter();
        keys.filter(|key| key.committee == committee)
            .map(|key| key.epoch)
            .max()
    }

    async fn reseal_at(
        &self,
        domain: Domain,
        epoch: u64,
        authorisation: &SigningKey,
        (node, handle): (NodeId, &HpkeBox),
        to: NodeId,
    ) -> Result<HpkeBox, Failure> {
        let mut request = ResealRequest {
            version: VERSION,
            committee: domain,
            epoch,
            day: self.clock.today(),
            to,
            handle: handle.clone(),
            signature: Bytes([0; 64]),
        };
        request.signature = authorisation.sign(&request.message(node));
        let internal = |error: OracleError| Failure::Wrong(error.to_string());
        let plain =
            serde_json::to_vec(&request).map_err(|error| internal(OracleError::internal(error)))?;
        let sealed = self
            .seal_to(node, |epoch| reseal_info(domain, node, epoch), &plain)
            .map_err(|error| internal(OracleError::internal(error)))?;
        let path = format!("/v1/{domain}/reseal");
        let call = ResealCall { sealed };
        let answer: ResealAnswer = self
            .post(node, &path, &call, self.call_timeout(), super::ANSWER_CAP)
            .await?;
        if (answer.node, answer.to) != (node, to) {
            return Err(Failure::Wrong("a handle for another node".to_owned()));
        }
        Ok(answer.handle)
    }
}
