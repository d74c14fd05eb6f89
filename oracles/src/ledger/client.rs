//! The ledger as any node uses it: a member serves itself, another node asks members in turn and verifies the receipts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::ids::{Committee, NodeId};
use contracts::receipt::{Entry, Receipt};
use contracts::trust::Trust;

use super::message::{Answer, Call};
use super::role::{CALL, LedgerConfig};
use super::{APPEND_DEADLINE, Ledger, LedgerError};
use crate::node::Node;
use crate::peer::PeerError;

/// How long a member has for an append, and for its answer to travel.
const APPEND_WAIT: Duration = Duration::from_secs(APPEND_DEADLINE.as_secs() + 2);
/// How long a member has for anything else.
const READ_WAIT: Duration = Duration::from_secs(3);

/// The ledger as seen from a node.
#[derive(Debug, Clone)]
pub struct Client {
    node: Arc<Node>,
}

impl Client {
    /// The ledger that this node's configuration names.
    pub fn new(node: &Arc<Node>) -> Self {
        Self { node: node.clone() }
    }

    /// What receipts of this log are verified with.
    ///
    /// # Errors
    /// [`LedgerError::NotReady`] when the configuration names no log or no ledger key is known yet.
    pub fn trust(&self) -> Result<Trust, LedgerError> {
        let config = LedgerConfig::of(&self.node)?;
        let key = config.ledger_key(&self.node)?;
        // Receipts name no issuer; the origin stands in for it.
        Trust::new(config.origin.clone(), config.origin, key, Vec::new())
            .map_err(|error| LedgerError::NotReady(error.to_string()))
    }

    /// The ledger's members, this node first if it is one.
    fn members(&self) -> Result<Vec<NodeId>, LedgerError> {
        let committee = self
            .node
            .config()
            .committee(Committee::Ledger)
            .ok_or_else(|| LedgerError::NotReady("no ledger committee is configured".to_owned()))?;
        let mut members = committee.members.clone();
        members.sort_by_key(|member| (*member != self.node.id(), *member));
        Ok(members)
    }

    async fn ask(&self, call: &Call, wait: Duration) -> Result<(NodeId, Answer), LedgerError> {
        let mut silent = Vec::new();
        for member in self.members()? {
            match self.node.call(member, CALL.with_timeout(wait), call).await {
                Ok(answer) => return Ok((member, answer)),
                Err(PeerError::Refused { node, refusal }) => {
                    return Err(LedgerError::Peer {
                        node,
                        cause: refusal.detail,
                    });
                }
                Err(error) => silent.push(error.to_string()),
            }
        }
        Err(LedgerError::Deadline(silent.join("; ")))
    }
}

#[async_trait]
impl Ledger for Client {
    async fn append(&self, entries: &[Entry]) -> Result<Vec<Receipt>, LedgerError> {
        let trust = self.trust()?;
        let (node, answer) = self
            .ask(&Call::Append(entries.to_vec()), APPEND_WAIT)
            .await?;
        match answer {
            Answer::Receipts(receipts)
                if receipts.iter().map(|receipt| &receipt.entry).eq(entries) =>
            {
                for receipt in &receipts {
                    receipt.verify(&trust)?;
                }
                Ok(receipts)
            }
            Answer::Refused { reason, .. } => Err(LedgerError::Peer {
                node,
                cause: reason,
            }),
            _ => Err(LedgerError::Peer {
                node,
                cause: "its receipts are of other entries".to_owned(),
            }),
        }
    }

    async fn receipt(&self, index: u64) -> Result<Option<Receipt>, LedgerError> {
        let (_, answer) = self.ask(&Call::Receipt(index), READ_WAIT).await?;
        let Answer::Receipts(receipts) = answer else {
            return Ok(None);
        };
        let Some(receipt) = receipts.into_iter().next() else {
            return Ok(None);
        };
        receipt.verify(&self.trust()?)?;
        Ok(Some(receipt))
    }

    async fn find(&self, entries: &[Entry]) -> Result<Option<Vec<Receipt>>, LedgerError> {
        let (trust, call) = (self.trust()?, Call::Find(entries.to_vec()));
        let mut failures = Vec::new();
        let mut answered = false;
        // A member may be behind: what one does not have, another may.
        for member in self.members()? {
            match self
                .node
                .call(member, CALL.with_timeout(READ_WAIT), &call)
                .await
            {
                Ok(Answer::Receipts(receipts)) => {
                    answered = true;
                    let theirs = receipts.iter().map(|receipt| &receipt.entry);
                    if theirs.eq(entries)
                        && receipts
                            .iter()
                            .all(|receipt| receipt.verify(&trust).is_ok())
                    {
                        return Ok(Some(receipts));
                    }
                }
                Ok(_) => failures.push(format!("node {member} answered amiss")),
                Err(error) => failures.push(error.to_string()),
            }
        }
        answered
            .then_some(None)
            .ok_or_else(|| LedgerError::Deadline(failures.join("; ")))
    }

    async fn checkpoint(&self) -> Option<String> {
        match self.ask(&Call::State, READ_WAIT).await {
            Ok((_, Answer::State(state))) => state.checkpoint,
            _ => None,
        }
    }
}
