//! Revocation: a token's holder withdraws it, or a later decision of the same question comes out otherwise.
//!
//! Members keep evidence that anybody can check ([`Revocation`]), so they may take it from each other and from anyone. A
//! revocation is answered when a quorum has it. Every list is signed by a quorum of which one honest member at least has
//! it then, and that member signs no list without it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use contracts::encoding::Blob;
use contracts::ids::{Committee, NodeId};
use contracts::revocation::{MAX_REVOCATION_BYTES, Revocation};
use contracts::status::{LIST_SIZE, MAX_STATUS_TOKEN_BYTES, StatusList};
use contracts::token::{self, MAX_TOKEN_BYTES};
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::role::DecisionRole;
use super::store::Slot;
use crate::node::Router;
use crate::peer::{Refusal, Topic};
use crate::problem::{Problem, QuorumFailure};
use crate::wire::decision::RevokeAnswer;

/// Revocations that two members bring each other in one call.
const TOGETHER: usize = 32;
/// How long a member has to say what it has, or to take something.
const WAIT: Duration = Duration::from_secs(2);

/// A token as signed.
const ISSUED: Topic<String, bool> =
    Topic::new("decision.issued").with_caps(MAX_TOKEN_BYTES + 64, 64);
/// Evidence to keep.
const REVOKE: Topic<Vec<Revocation>, bool> =
    Topic::new("decision.revoke").with_caps(TOGETHER * MAX_REVOCATION_BYTES, 64);
/// The bits that a member would sign in a list.
const REVOKED: Topic<u64, Blob> =
    Topic::new("decision.revoked").with_caps(64, MAX_STATUS_TOKEN_BYTES);
/// The evidence for bits of a list.
const EVIDENCE: Topic<EvidenceCall, Vec<Revocation>> =
    Topic::new("decision.evidence").with_caps(8 << 10, TOGETHER * MAX_REVOCATION_BYTES);

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceCall {
    list: u64,
    indices: Vec<u64>,
}

/// Answers the other members.
pub(super) fn mount(role: &Arc<DecisionRole>, router: &mut Router) {
    let shared = Arc::clone(role);
    router.answers(ISSUED, move |_node, from, token: String| {
        let role = Arc::clone(&shared);
        async move {
            role.between_members(from)?;
            role.note_issued(&token).await?;
            Ok(true)
        }
    });
    let shared = Arc::clone(role);
    router.answers(REVOKE, move |_node, from, all: Vec<Revocation>| {
        let role = Arc::clone(&shared);
        async move {
            role.between_members(from)?;
            for revocation in all.iter().take(TOGETHER) {
                role.keep(revocation).await?;
            }
            Ok(true)
        }
    });
    let shared = Arc::clone(role);
    router.answers(REVOKED, move |_node, from, list| {
        let role = Arc::clone(&shared);
        async move {
            role.between_members(from)?;
            Ok(role.store.revoked(list).await?.compress())
        }
    });
    let shared = Arc::clone(role);
    router.answers(EVIDENCE, move |_node, from, call: EvidenceCall| {
        let role = Arc::clone(&shared);
        async move {
            role.between_members(from)?;
            let indices = call.indices.into_iter().take(TOGETHER);
            Ok(role.store.evidence(call.list, indices).await?)
        }
    });
}

impl DecisionRole {
    fn between_members(&self, from: NodeId) -> Result<(), Refusal> {
        let member = self.committee().members.contains(&from);
        member.then_some(()).ok_or_else(|| {
            Refusal::new(
                "not-a-member",
                "not between members of the decision committee",
            )
        })
    }

    /// Checks evidence, and keeps it until the token would have expired anyway.
    async fn keep(&self, revocation: &Revocation) -> Result<(), Refusal> {
        let claims = revocation
            .verify(&self.jwks(), &self.config.issuer)
            .map_err(|error| Refusal::new("revocation", error.to_string()))?;
        let slot = Slot {
            list: claims.ledger.index / LIST_SIZE,
            idx: claims.ledger.index % LIST_SIZE,
        };
        if self.store.revoke(slot, revocation, claims.exp).await? {
            tracing::info!(list = slot.list, idx = slot.idx, "a token was revoked");
            let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
            lists.remove(&slot.list);
        }
        Ok(())
    }

    /// Keeps a token that the committee signed, and revokes what it supersedes or is superseded by.
    async fn note_issued(&self, token: &str) -> Result<(), Refusal> {
        let unusable =
            |error: contracts::token::TokenError| Refusal::new("token", error.to_string());
        let claims = token::open(token, &self.jwks()).map_err(unusable)?;
        claims
            .accept(&self.config.issuer, &claims.aud, claims.iat)
            .map_err(unusable)?;
        for other in self.store.note_issued(&claims, token, self.now()).await? {
            for (token, by) in [(token, other.as_str()), (other.as_str(), token)] {
                let revocation = Revocation::Superseded {
                    token: token.to_owned(),
                    by: by.to_owned(),
                };
                // Whichever is the later: the other way round it is no evidence.
                if revocation.verify(&self.jwks(), &self.config.issuer).is_ok() {
                    self.keep(&revocation).await?;
                }
            }
        }
        Ok(())
    }

    /// Tells every member of a token, this one first.
    pub(super) async fn announce(self: &Arc<Self>, token: &str) {
        if let Err(refusal) = self.note_issued(token).await {
            tracing::error!(%refusal, "a token that this node coordinated was not kept");
        }
        for node in self.others() {
            let (role, token) = (Arc::clone(self), token.to_owned());
            self.node.runtime().spawn(async move {
                let told = role
                    .node
                    .call(node, ISSUED.with_timeout(WAIT), &token)
                    .await;
                if let Err(error) = told {
                    tracing::warn!(%node, %error, "decision member not told of a token");
                }
            });
        }
    }

    fn others(&self) -> impl Iterator<Item = NodeId> + use<> {
        let me = self.node.id();
        let members = self.committee().members.into_iter();
        members.filter(move |node| *node != me)
    }

    /// Revokes a token: answers once a quorum has the evidence.
    ///
    /// # Errors
    /// What is wrong with the evidence; a quorum that failed, with who did what.
    pub(super) async fn revoke(&self, revocation: Revocation) -> Result<RevokeAnswer, Problem> {
        self.keep(&revocation)
            .await
            .map_err(|refusal| Problem::forbidden(&refusal.code, refusal.detail))?;
        let all = vec![revocation];
        let told = self.others().map(|node| {
            let all = &all;
            async move {
                let answer = self.node.call(node, REVOKE.with_timeout(WAIT), all).await;
                if let Err(error) = &answer {
                    tracing::warn!(%node, %error, "decision member did not take a revocation");
                }
                (node, answer.is_ok())
            }
        });
        let mut kept = vec![self.node.id()];
        let mut silent = Vec::new();
        for (node, taken) in join_all(told).await {
            if taken { &mut kept } else { &mut silent }.push(node);
        }
        kept.sort_unstable();
        let needed = self.committee().threshold;
        if kept.len() < usize::from(needed) {
            return Err(Problem::quorum(QuorumFailure {
                committee: Committee::Decision.to_string(),
                needed,
                answered: kept,
                silent,
                refused: Vec::new(),
                culprits: Vec::new(),
            }));
        }
        Ok(RevokeAnswer { kept })
    }

    /// Brings this node and the others to the same list: takes what it lacks and gives what they lack.
    pub(super) async fn agree_on(&self, list: u64) -> Result<(), Refusal> {
        let lists = self.others().map(|node| async move {
            let bits = self
                .node
                .call(node, REVOKED.with_timeout(WAIT), &list)
                .await;
            let bits = StatusList::decompress(&bits.ok()?).ok()?;
            Some((node, bits))
        });
        let lists: Vec<_> = join_all(lists).await.into_iter().flatten().collect();
        for (node, theirs) in &lists {
            let own = self.store.revoked(list).await?;
            let mut indices = theirs.revoked_beyond(&own);
            indices.truncate(TOGETHER);
            if indices.is_empty() {
                continue;
            }
            let call = EvidenceCall { list, indices };
            match self
                .node
                .call(*node, EVIDENCE.with_timeout(WAIT), &call)
                .await
            {
                Ok(all) => {
                    for revocation in all.iter().take(TOGETHER) {
                        self.keep(revocation).await?;
                    }
                }
                Err(error) => {
                    tracing::warn!(%node, %error, "no evidence for what a member revoked")
                }
            }
        }
        let own = self.store.revoked(list).await?;
        let given = lists.iter().map(|(node, theirs)| {
            let own = &own;
            async move {
                let lacking = own.revoked_beyond(theirs).into_iter().take(TOGETHER);
                let all = self.store.evidence(list, lacking).await?;
                if !all.is_empty() {
                    // Who does not take it does not sign the list either, and is named then.
                    let _ = self.node.call(*node, REVOKE.with_timeout(WAIT), &all).await;
                }
                Ok::<_, Refusal>(())
            }
        });
        join_all(given).await.into_iter().collect()
    }
}
