//! The coordinator's side of a key generation. It needs an identity among the peers and holds no secret.

use std::collections::BTreeMap;

use contracts::encoding::Bytes32;
use contracts::ids::NodeId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::dispute::{bad_proof_of, judge};
use super::messages::{
    ACTIVATE, ActivateRequest, Confirmation, FINISH, FinishRequest, Plan, ROUND1, ROUND2, Round1,
    Round2, Round2Request, STATUS, Status, StatusRequest, Verdict,
};
use super::{DkgError, fresh_session};
use crate::ceremony::KeyId;
use crate::config::NodeConfig;
use crate::keys::KeyStatus;
use crate::peer::{PeerError, Peers, Topic};

/// A key that every member holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generated {
    /// Which key.
    pub key: KeyId,
    /// Of which epoch.
    pub epoch: u64,
    /// Hash of its transcript.
    pub transcript: Bytes32,
    /// Whether this run made it, or found it made.
    pub fresh: bool,
}

/// Generates every key of the configuration's committees that its members do not hold yet, one after another.
///
/// # Errors
/// The first [`DkgError`]; keys generated before it stay, and the next run goes on from there.
pub async fn generate_all(config: &NodeConfig, peers: &Peers) -> Result<Vec<Generated>, DkgError> {
    let mut all = Vec::new();
    for key in config.keys() {
        all.push(generate(config, peers, key).await?);
    }
    Ok(all)
}

/// Generates one key, or completes the generation that an earlier run left.
///
/// # Errors
/// See [`DkgError`].
pub async fn generate(
    config: &NodeConfig,
    peers: &Peers,
    key: KeyId,
) -> Result<Generated, DkgError> {
    let committee = config.committee_of(key).ok_or(DkgError::NoCommittee(key))?;
    let mut members = committee.members.clone();
    members.sort();
    let plan = Plan {
        session: fresh_session(),
        key,
        epoch: committee.epoch,
        members,
        threshold: committee.threshold(),
    };
    let run = Run { peers, plan };
    if let Some(held) = run.held().await? {
        return Ok(held);
    }
    let round1 = run.round1().await?;
    let round2 = run.round2(&round1).await?;
    let confirmations = run.finish(&round1, round2).await?;
    let transcript = run.activate(&confirmations).await?;
    Ok(Generated {
        key,
        epoch: run.plan.epoch,
        transcript,
        fresh: true,
    })
}

struct Run<'a> {
    peers: &'a Peers,
    plan: Plan,
}

impl Run<'_> {
    /// Asks all members at once; each must answer within the topic's time-out.
    async fn all<Req: Serialize, Resp: DeserializeOwned>(
        &self,
        phase: &'static str,
        topic: Topic<Req, Resp>,
        request: &Req,
    ) -> Result<Vec<(NodeId, Resp)>, DkgError> {
        let (answers, failure) = self.ask(phase, topic, request).await;
        failure.map_or(Ok(answers), Err)
    }

    /// As [`Self::all`], for answers that may accuse. A proven accusation goes before any refusal or silence: who
    /// cheats may well refuse next, and would then hide what it did.
    async fn unaccused<Req: Serialize, T: DeserializeOwned>(
        &self,
        phase: &'static str,
        topic: Topic<Req, Verdict<T>>,
        request: &Req,
        (round1, round2): (&[Round1], &[Round2]),
    ) -> Result<Vec<(NodeId, T)>, DkgError> {
        let (answers, failure) = self.ask(phase, topic, request).await;
        let mut good = Vec::new();
        for (node, verdict) in answers {
            match verdict {
                Verdict::Good(answer) => good.push((node, answer)),
                Verdict::Accused(accusation) => {
                    let judgement =
                        judge(&self.plan, round1, round2, node, &accusation, self.peers);
                    return Err(self.cheater(phase, judgement.culprit, judgement.cause));
                }
            }
        }
        failure.map_or(Ok(good), Err)
    }

    async fn ask<Req: Serialize, Resp: DeserializeOwned>(
        &self,
        phase: &'static str,
        topic: Topic<Req, Resp>,
        request: &Req,
    ) -> (Vec<(NodeId, Resp)>, Option<DkgError>) {
        let calls =
            self.plan.members.iter().map(|member| async move {
                (*member, self.peers.call(*member, topic, request).await)
            });
        let mut answers = Vec::new();
        let mut failure = None;
        for (member, answer) in futures::future::join_all(calls).await {
            match answer {
                Ok(answer) => answers.push((member, answer)),
                Err(error) => {
                    failure = match failure {
                        // A dead node makes others refuse; the dead one is the one to name.
                        Some(earlier @ DkgError::Silent { .. }) => Some(earlier),
                        _ => Some(self.failed(phase, error)),
                    };
                }
            }
        }
        (answers, failure)
    }

    fn failed(&self, phase: &'static str, error: PeerError) -> DkgError {
        let (key, node) = (self.plan.key, error.node());
        match error {
            PeerError::Refused { refusal, .. } => DkgError::Refused {
                key,
                phase,
                node,
                cause: refusal.to_string(),
            },
            PeerError::Silent { cause, .. } => DkgError::Silent {
                key,
                phase,
                node,
                cause,
            },
            PeerError::Invalid { .. } | PeerError::Unknown(_) => DkgError::Refused {
                key,
                phase,
                node,
                cause: error.to_string(),
            },
        }
    }

    fn cheater(&self, phase: &'static str, node: NodeId, cause: impl Into<String>) -> DkgError {
        DkgError::Cheater {
            key: self.plan.key,
            phase,
            node,
            cause: cause.into(),
        }
    }

    /// What the members hold already: all of one key (completed where need be), or nothing in use.
    async fn held(&self) -> Result<Option<Generated>, DkgError> {
        let (key, epoch) = (self.plan.key, self.plan.epoch);
        let held: Vec<(NodeId, Status)> = self
            .all("status", STATUS, &StatusRequest { key, epoch })
            .await?;
        let active = |status: &Status| status.status == Some(KeyStatus::Active);
        let Some((_, first)) = held.iter().find(|(_, status)| active(status)) else {
            return Ok(None);
        };
        let (Some(transcript), confirmations) = (first.transcript, &first.confirmations) else {
            return Ok(None);
        };
        if held
            .iter()
            .any(|(_, status)| status.transcript != first.transcript)
        {
            let detail = held
                .iter()
                .map(|(node, status)| match (status.status, status.transcript) {
                    (Some(status), Some(transcript)) => {
                        format!("node {node}: {status:?} {transcript}")
                    }
                    _ => format!("node {node}: none"),
                })
                .collect::<Vec<_>>()
                .join(", ");
            return Err(DkgError::Inconsistent { key, epoch, detail });
        }
        let fresh = !held.iter().all(|(_, status)| active(status));
        if fresh {
            self.activate(confirmations).await?;
        }
        Ok(Some(Generated {
            key,
            epoch,
            transcript,
            fresh,
        }))
    }

    async fn round1(&self) -> Result<Vec<Round1>, DkgError> {
        const PHASE: &str = "round 1";
        let hash = self.plan.hash();
        let mut round1 = Vec::new();
        for (node, message) in self.all(PHASE, ROUND1, &self.plan).await? {
            if message.node != node || !message.is_signed(&hash, self.peers) {
                return Err(self.cheater(PHASE, node, "its round-1 package is not signed by it"));
            }
            round1.push(message);
        }
        if let Some(node) = bad_proof_of(&self.plan, &round1) {
            return Err(self.cheater(PHASE, node, "its proof of knowledge is wrong"));
        }
        Ok(round1)
    }

    async fn round2(&self, round1: &[Round1]) -> Result<Vec<Round2>, DkgError> {
        const PHASE: &str = "round 2";
        let request = Round2Request {
            plan: self.plan.clone(),
            round1: round1.to_vec(),
        };
        let hash = self.plan.hash();
        let mut round2 = Vec::new();
        for (node, message) in self
            .unaccused(PHASE, ROUND2, &request, (round1, &[]))
            .await?
        {
            if message.node != node || !message.is_signed(&hash, self.peers) {
                return Err(self.cheater(PHASE, node, "its round-2 message is not signed by it"));
            }
            round2.push(message);
        }
        Ok(round2)
    }

    async fn finish(
        &self,
        round1: &[Round1],
        round2: Vec<Round2>,
    ) -> Result<Vec<Confirmation>, DkgError> {
        const PHASE: &str = "finish";
        let request = FinishRequest {
            plan: self.plan.clone(),
            round2,
        };
        let confirmations = self
            .unaccused(PHASE, FINISH, &request, (round1, &request.round2))
            .await?;
        let mut votes: BTreeMap<Bytes32, usize> = BTreeMap::new();
        for (node, confirmation) in &confirmations {
            if confirmation.node != *node
                || !confirmation.is_signed(self.plan.key, self.plan.epoch, self.peers)
            {
                return Err(self.cheater(PHASE, *node, "its confirmation is not signed by it"));
            }
            *votes.entry(confirmation.transcript).or_default() += 1;
        }
        let most = votes
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(transcript, _)| *transcript);
        if let Some((node, _)) = confirmations
            .iter()
            .find(|(_, confirmation)| Some(confirmation.transcript) != most)
        {
            return Err(self.cheater(PHASE, *node, "it confirms another transcript than most"));
        }
        Ok(confirmations
            .into_iter()
            .map(|(_, confirmation)| confirmation)
            .collect())
    }

    async fn activate(&self, confirmations: &[Confirmation]) -> Result<Bytes32, DkgError> {
        let request = ActivateRequest {
            key: self.plan.key,
            epoch: self.plan.epoch,
            confirmations: confirmations.to_vec(),
        };
        self.all("activate", ACTIVATE, &request).await?;
        confirmations
            .first()
            .map(|confirmation| confirmation.transcript)
            .ok_or(DkgError::NoCommittee(self.plan.key))
    }
}
