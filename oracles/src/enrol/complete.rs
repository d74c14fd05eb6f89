//! Completing an enrolment: any member coordinates, and is never trusted with what is signed.

use contracts::attestation::AttestationKey;
use contracts::encoding::{Bytes, Bytes32};
use contracts::handle::{SignedHandle, statement};
use contracts::ids::{Domain, NodeId};
use futures::future::join_all;
use zeroize::Zeroizing;

use super::pending::{Pending, Prepared};
use super::registrar::{Enrolment, Handles, Registrar};
use super::reproofing;
use super::{EnrolError, Links};
use crate::hpke;
use crate::problem::QuorumFailure;
use crate::wire::enrol::{EnrolAnswer, EnrolCall, EnrolCompleted, MemberHandle, Recipient};
use crate::wire::{HpkeBox, enrol_answer_info, handle_info};

impl Registrar {
    /// Has all members prepare, then sign, and seals the handles to the members of every domain's committee.
    pub(crate) async fn complete(
        &self,
        call: &EnrolCall,
        links: &dyn Links,
    ) -> Result<EnrolCompleted, EnrolError> {
        let enrolment = Enrolment {
            enrolment: call.enrolment,
        };
        let pending = self.waiting.get(&call.enrolment)?;
        let own = match self.prepare(&enrolment, links).await {
            Err(EnrolError::Waiting(ready)) => {
                // The notice must stand at every node, so that the wait is the same wherever it goes on.
                let others = self.others();
                join_all(others.iter().map(|node| links.prepare(*node, &enrolment))).await;
                return Err(EnrolError::Waiting(ready));
            }
            own => own?,
        };
        let silent = self.agree(&enrolment, own.digest, links).await?;
        let prepared = pending.prepared.get().ok_or(EnrolError::Unknown)?;
        let receipt = match self.registry.replaces(&prepared.claim, self.now()).await? {
            true => links.enter(reproofing::entry(&prepared.claim)).await?,
            false => None,
        };
        let context = Handles {
            enrolment: call.enrolment,
            receipt,
        };
        let signatures = match links.sign(&context).await {
            // Another enrolment of the person came before this one, or its lease has passed to one.
            Err(_) if !self.registry.holds(&prepared.claim).await? => {
                return Err(EnrolError::Taken);
            }
            signed => signed?,
        };
        let handles = self.signed(prepared, &signatures)?;
        let answer = EnrolAnswer {
            subjects: handles
                .iter()
                .map(|it| (it.plain.domain, it.plain.s_d))
                .collect(),
            expires: handles
                .first()
                .map(|it| it.plain.expires)
                .ok_or(EnrolError::Internal("no handles"))?,
            handles: self.seal(&handles, links)?,
        };
        Ok(EnrolCompleted {
            node: self.seat().node,
            sealed: self.answer(&call.enrolment, &pending, &answer)?,
            silent,
        })
    }

    /// Asks the others to prepare, and returns those that did not.
    async fn agree(
        &self,
        enrolment: &Enrolment,
        digest: Bytes32,
        links: &dyn Links,
    ) -> Result<Vec<NodeId>, EnrolError> {
        let others = self.others().into_iter();
        let answers = join_all(
            others.map(|node| async move { (node, links.prepare(node, enrolment).await) }),
        )
        .await;
        let mut failure = QuorumFailure {
            committee: Domain::Identity.to_string(),
            needed: self.seat().threshold,
            answered: vec![self.seat().node],
            silent: Vec::new(),
            refused: Vec::new(),
            culprits: Vec::new(),
        };
        let mut taken = false;
        for (node, answer) in answers {
            match answer {
                Ok(answer) if answer.digest == digest => failure.answered.push(node),
                Ok(_) => {
                    tracing::warn!(%node, "node stands for other handles");
                    failure.culprits.push(node);
                }
                Err(PrepareError::Taken) => {
                    taken = true;
                    failure.refused.push(node);
                }
                Err(PrepareError::Refused(cause)) => {
                    tracing::warn!(%node, %cause, "node does not take part in the enrolment");
                    failure.refused.push(node);
                }
                Err(PrepareError::Silent) => {
                    tracing::warn!(%node, "node is silent");
                    failure.silent.push(node);
                }
            }
        }
        if failure.answered.len() >= usize::from(self.seat().threshold) {
            failure.silent.append(&mut failure.refused);
            failure.silent.append(&mut failure.culprits);
            failure.silent.sort_unstable();
            return Ok(failure.silent);
        }
        if taken {
            return Err(EnrolError::Taken);
        }
        Err(EnrolError::Quorum(Box::new(failure)))
    }

    fn signed(
        &self,
        prepared: &Prepared,
        signatures: &[Bytes<65>],
    ) -> Result<Vec<SignedHandle>, EnrolError> {
        let key: AttestationKey = self
            .shared
            .keys
            .attestation_key(Domain::Identity, self.seat().epoch)
            .ok_or(EnrolError::Internal("the identity committee has no key"))?;
        if signatures.len() != prepared.handles.len() {
            return Err(EnrolError::Internal("not one signature per handle"));
        }
        let handles = prepared.handles.iter().zip(signatures);
        handles
            .map(|(plain, signature)| {
                key.verify(&statement(self.seat().epoch, plain), signature)
                    .map_err(|_| EnrolError::Internal("a handle's signature does not verify"))?;
                Ok(SignedHandle {
                    plain: plain.clone(),
                    epoch: self.seat().epoch,
                    signature: *signature,
                })
            })
            .collect()
    }

    fn seal(
        &self,
        handles: &[SignedHandle],
        links: &dyn Links,
    ) -> Result<Vec<MemberHandle>, EnrolError> {
        let mut sealed = Vec::new();
        for handle in handles {
            let domain = handle.plain.domain;
            let plain = Zeroizing::new(
                serde_json::to_vec(handle).map_err(|_| EnrolError::Internal("a handle's JSON"))?,
            );
            for Recipient {
                node,
                key_epoch,
                hpke_key,
            } in links.members(domain)
            {
                let info = handle_info(domain, node, key_epoch);
                let ciphertext = hpke::seal(&hpke_key, &info, &[], &plain)
                    .map_err(|_| EnrolError::Internal("a member's HPKE key is unusable"))?;
                sealed.push(MemberHandle {
                    domain,
                    node,
                    sealed: HpkeBox {
                        key_epoch,
                        sealed: ciphertext,
                    },
                });
            }
        }
        Ok(sealed)
    }

    fn answer(
        &self,
        enrolment: &Bytes32,
        pending: &Pending,
        answer: &EnrolAnswer,
    ) -> Result<hpke::Sealed, EnrolError> {
        let plain =
            serde_json::to_vec(answer).map_err(|_| EnrolError::Internal("the answer's JSON"))?;
        let info = enrol_answer_info(self.seat().node, enrolment);
        hpke::seal(&pending.request.response_key, &info, &[], &plain)
            .map_err(|_| EnrolError::ResponseKey)
    }
}

/// Why a member did not prepare.
pub(crate) enum PrepareError {
    /// Another enrolment holds the person there.
    Taken,
    /// It refused for another reason.
    Refused(String),
    /// It did not answer.
    Silent,
}
