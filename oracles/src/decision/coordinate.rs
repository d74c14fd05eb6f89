//! One decision from presentation to token. The coordinator is never trusted: all it can do is not to help.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::{Committee, NodeId};
use contracts::presentation::Presentation;
use contracts::receipt::Receipt;
use contracts::token;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::check::Refused;
use super::role::{ACCEPT, DecisionRole, entry_of};
use crate::ceremony::KeyId;
use crate::ceremony::sign::{self, FaultKind, MessageSource, SignCall, SignTopic};
use crate::ledger::Ledger;
use crate::node::Node;
use crate::peer::{PeerError, Refusal};
use crate::problem::{Problem, QuorumFailure};
use crate::wire::decision::DecideAnswer;

/// How long a member has to check a presentation.
const ACCEPT_WAIT: Duration = Duration::from_secs(6);
/// How long the slower members have once a quorum has accepted.
const GRACE: Duration = Duration::from_millis(300);

/// Tokens, by presentation and ledger receipt.
pub(super) const TOKEN: SignTopic<TokenContext> = SignTopic::new("decision.token");

/// What a signer is told: which presentation, and where its entry is. Everything in the token it derives itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenContext {
    /// Digest of a presentation that the signer accepted.
    pub(super) jti: Bytes32,
    /// Receipt of its `decision` entry.
    pub(super) receipt: Receipt,
}

/// Rebuilds tokens from accepted presentations and verified receipts.
pub(super) struct TokenSource(pub(super) Arc<DecisionRole>);

impl TokenSource {
    pub(super) async fn rebuild(&self, context: &TokenContext) -> Result<String, Refusal> {
        let role = &self.0;
        let accepted = role.store.accepted(&context.jti).await?.ok_or_else(|| {
            Refusal::new(
                "unknown-presentation",
                "this node has accepted no presentation with this jti",
            )
        })?;
        let trust = role.ledger.trust()?;
        let receipt = &context.receipt;
        receipt
            .verify(&trust)
            .map_err(|error| Refusal::new("receipt", error.to_string()))?;
        if receipt.entry != entry_of(&accepted) {
            return Err(Refusal::new(
                "receipt",
                "the entry does not commit to the claims of this presentation",
            ));
        }
        Ok(role.signing_input(&accepted, trust.origin(), receipt.index)?)
    }
}

#[async_trait]
impl MessageSource<TokenContext> for TokenSource {
    async fn messages(
        &self,
        _node: &Arc<Node>,
        _call: SignCall,
        context: TokenContext,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        Ok(vec![self.rebuild(&context).await?.into_bytes()])
    }
}

/// What the other members answered.
#[derive(Debug, Default)]
struct Answers {
    accepted: Vec<NodeId>,
    silent: Vec<NodeId>,
    refused: Vec<(NodeId, Refusal)>,
    wrong: Vec<NodeId>,
}

impl Answers {
    fn absent(&self) -> Vec<NodeId> {
        let refused = self.refused.iter().map(|(node, _)| *node);
        let mut absent: Vec<NodeId> = self.silent.iter().copied().chain(refused).collect();
        absent.extend(&self.wrong);
        absent
    }

    fn failure(&self, needed: u16) -> Problem {
        let mut problem = Problem::quorum(QuorumFailure {
            committee: Committee::Decision.as_str().to_owned(),
            needed,
            answered: self.accepted.clone(),
            silent: self.silent.clone(),
            refused: self.refused.iter().map(|(node, _)| *node).collect(),
            culprits: self.wrong.clone(),
        });
        for (node, refusal) in &self.refused {
            problem.detail = format!("{}; node {node}: {refusal}", problem.detail);
        }
        problem
    }
}

impl DecisionRole {
    /// Decides as coordinator.
    ///
    /// # Errors
    /// A problem that names the check a presentation failed, or the nodes that were silent, refused or lied.
    pub(super) async fn decide(
        self: &Arc<Self>,
        presentation: Presentation,
    ) -> Result<DecideAnswer, Problem> {
        let own = self.accept(presentation.clone()).await?;
        let roots = self.roots(&presentation).await?;
        let entry = entry_of(&own);
        let answers = self.gather(presentation, entry).await;
        for (node, refusal) in &answers.refused {
            tracing::warn!(%node, %refusal, "decision member refused a presentation");
        }
        if answers.accepted.len() < usize::from(self.committee().threshold) {
            return Err(answers.failure(self.committee().threshold));
        }
        let receipts = self.ledger.append(&[entry]).await?;
        let receipt = receipts.into_iter().next().ok_or_else(Problem::internal)?;
        let context = TokenContext {
            jti: own.claims.jti,
            receipt,
        };
        let signed = sign::sign(
            &self.node,
            KeyId::Signing(Committee::Decision),
            TOKEN,
            &context,
        )
        .await?;
        let input = signed
            .messages
            .into_iter()
            .next()
            .and_then(|message| String::from_utf8(message).ok())
            .ok_or_else(Problem::internal)?;
        let signature = signed
            .signatures
            .first()
            .and_then(|signature| Bytes::from_slice(signature).ok())
            .ok_or_else(Problem::internal)?;
        let mut absent = answers.absent();
        for fault in signed.faults {
            tracing::warn!(%fault, "decision member did not sign a token");
            if fault.kind != FaultKind::Silent || !absent.contains(&fault.node) {
                absent.push(fault.node);
            }
        }
        absent.sort_unstable();
        absent.dedup();
        let token = token::assemble(&input, &signature);
        self.announce(&token).await;
        Ok(DecideAnswer {
            token,
            receipt: context.receipt,
            roots,
            absent,
        })
    }

    /// Has the other members whose nonce is listed check the presentation.
    async fn gather(
        &self,
        presentation: Presentation,
        entry: contracts::receipt::Entry,
    ) -> Answers {
        let me = self.node.id();
        let asked: Vec<NodeId> = self
            .committee()
            .members
            .into_iter()
            .filter(|node| *node != me && presentation.nonce_of(*node).is_some())
            .collect();
        let presentation = Arc::new(presentation);
        let mut calls: FuturesUnordered<_> = asked
            .iter()
            .map(|to| {
                let (node, to, presentation) = (self.node.clone(), *to, presentation.clone());
                // A task of its own, so that a member slower than the quorum still accepts.
                let call = self.node.runtime().spawn(async move {
                    node.call(to, ACCEPT.with_timeout(ACCEPT_WAIT), &presentation)
                        .await
                });
                async move { (to, call.await) }
            })
            .collect();
        let mut answers = Answers {
            accepted: vec![me],
            ..Answers::default()
        };
        let mut until = Instant::now() + ACCEPT_WAIT + GRACE;
        while let Ok(Some((node, answer))) = timeout_at(until, calls.next()).await {
            match answer {
                Ok(Ok(answer)) if answer.entry == entry => answers.accepted.push(node),
                Ok(Ok(_)) => {
                    tracing::error!(%node, "decision member derived other claims from the presentation");
                    answers.wrong.push(node);
                }
                Ok(Err(PeerError::Refused { refusal, .. })) => {
                    answers.refused.push((node, refusal));
                }
                Ok(Err(PeerError::Invalid { .. })) => answers.wrong.push(node),
                Ok(Err(_)) | Err(_) => answers.silent.push(node),
            }
            if answers.accepted.len() >= usize::from(self.committee().threshold) {
                until = until.min(Instant::now() + GRACE);
            }
        }
        for node in &self.committee().members {
            let heard = answers.accepted.contains(node)
                || answers.refused.iter().any(|(other, _)| other == node)
                || answers.wrong.contains(node)
                || answers.silent.contains(node);
            if !heard {
                answers.silent.push(*node);
            }
        }
        answers.accepted.sort_unstable();
        answers.silent.sort_unstable();
        answers.refused.sort_by_key(|(node, _)| *node);
        answers.wrong.sort_unstable();
        answers
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        use actix_web::http::StatusCode;
        let detail = refused.to_string();
        let code = refused.code();
        match refused {
            Refused::Db(error) => error.into(),
            Refused::Ledger(error) => error.into(),
            Refused::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                code,
                "The node is busy",
                detail,
            ),
            Refused::UsedNonce(_) | Refused::UsedLeaf(_) | Refused::Restraint { .. } => {
                Self::conflict(code, detail)
            }
            _ => Self::forbidden(code, detail),
        }
    }
}
