//! The ledger: an append-only RFC 6962 log of salted commitments, kept by every member of the ledger committee.
//!
//! [`message`] states the protocol and why it cannot fork. A sequencer orders entries, a quorum stores and
//! acknowledges them, and the committee's FROST(Ed25519) signature over the checkpoint (C2SP `tlog-checkpoint`) makes
//! them public. An append is answered only then, so what was answered is durable at a quorum. A dead or silent
//! sequencer is replaced in bounded time; a bad one can halt the log for as long, never fork it.
//!
//! Entries hold a kind and a commitment under a secret salt: no personal data.

mod catch_up;
mod client;
mod genesis;
mod http;
mod member;
pub mod message;
mod role;
mod sequencer;
mod store;
#[cfg(test)]
mod tests;
pub mod tree;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::checkpoint::CheckpointError;
use contracts::encoding::Bytes;
use contracts::ids::NodeId;
use contracts::receipt::{Entry, Receipt, ReceiptError};

pub use client::Client;
pub use genesis::{KeyEntry, genesis};
pub use member::Member;
pub use role::{LedgerConfig, LedgerRole, mount, of};
pub use store::Store;

use message::{Answer, Call, Lock};

/// Most entries fetched from a peer at once.
pub const MAX_FETCH: u64 = 1_000;
/// How long an append may take in all, a change of sequencer included.
pub const APPEND_DEADLINE: Duration = Duration::from_secs(15);

/// What went wrong in the ledger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] crate::db::DbError),
    /// This node's copy was changed from outside.
    #[error(
        "ledger database: {0}; move the ledger's tables away and start again to fetch the log from the other members"
    )]
    Damaged(String),
    /// A proposal or checkpoint conflicts with what this member acknowledged or with a signed checkpoint.
    #[error(
        "ledger: conflicts with what this member acknowledged; a node proposes or holds a fork"
    )]
    Fork,
    /// A position that this member has not heard of yet, or did not acknowledge.
    #[error("ledger: this member has not acknowledged that position")]
    Unacknowledged,
    /// Evidence that does not hold.
    #[error("ledger: {0}")]
    Evidence(&'static str),
    /// Of a view this member has left.
    #[error("ledger: of a view that this member left for view {0}")]
    Stale(u64),
    /// The committee has other members since.
    #[error("ledger: the committee has changed; ask again")]
    Changed,
    /// Too early after a start.
    #[error("ledger: this member has not yet heard from a quorum since it started")]
    Recovering,
    /// This member may have forgotten what it acknowledged, or nobody would remember that it did.
    #[error("{0}")]
    Unsure(String),
    /// Entries that only genesis may add, and with this content.
    #[error("ledger: {0} entries are those of the committees' keys and registered contracts only")]
    NotGenesis(contracts::receipt::EntryKind),
    /// A checkpoint that does not verify.
    #[error("ledger: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A receipt that does not verify.
    #[error("ledger: {0}")]
    Receipt(#[from] ReceiptError),
    /// A member could not be reached, or answered amiss.
    #[error("ledger: node {node}: {cause}")]
    Peer {
        /// The member.
        node: NodeId,
        /// What happened.
        cause: String,
    },
    /// Too few members acknowledged, reported or signed.
    #[error(
        "ledger: {step}: {answered} of the {needed} members needed; missing: {}; start the missing nodes and ask again",
        list(missing)
    )]
    Quorum {
        /// What they were asked for.
        step: &'static str,
        /// How many did it.
        answered: usize,
        /// How many are needed.
        needed: u16,
        /// The others, each with what it answered.
        missing: Vec<(NodeId, String)>,
    },
    /// The committee did not sign.
    #[error("ledger: {0}")]
    Signing(String),
    /// A node of this kind may not append this.
    #[error("ledger: node {node} may not append {kind} entries")]
    NotAllowed {
        /// The node.
        node: NodeId,
        /// The kind of entry.
        kind: contracts::receipt::EntryKind,
    },
    /// The committee's key does not exist yet, or the configuration does not say which log.
    #[error("ledger: {0}")]
    NotReady(String),
    /// Not done in time; what was appended stays appended, so asking again is safe.
    #[error("ledger: not appended in time: {0}; ask again")]
    Deadline(String),
    /// More entries in one call than are taken.
    #[error("ledger: at most {} entries at once", message::MAX_BATCH)]
    TooMany,
}

fn list(missing: &[(NodeId, String)]) -> String {
    let each: Vec<String> = missing
        .iter()
        .map(|(node, cause)| format!("node {node} ({cause})"))
        .collect();
    each.join(", ")
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// A log that takes entries and answers with receipts.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Appends entries and returns a receipt for each, in order. An entry that is in the log already keeps its index.
    ///
    /// # Errors
    /// [`LedgerError`]; asking again is always safe.
    async fn append(&self, entries: &[Entry]) -> Result<Vec<Receipt>, LedgerError>;

    /// The receipt of the entry at an index under the latest signed checkpoint; none when there is no such entry.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] or a database error.
    async fn receipt(&self, index: u64) -> Result<Option<Receipt>, LedgerError>;

    /// Receipts of entries under the latest signed checkpoint, in order; none unless all are in the log.
    ///
    /// # Errors
    /// [`LedgerError::TooMany`], [`LedgerError::Damaged`] or a database error.
    async fn find(&self, entries: &[Entry]) -> Result<Option<Vec<Receipt>>, LedgerError>;

    /// The latest signed checkpoint, a C2SP signed note; none before the first entry.
    async fn checkpoint(&self) -> Option<String>;
}

/// How a member reaches the others and the signing ceremony.
#[async_trait]
pub trait Links: Send + Sync {
    /// Calls a member and waits at most `wait`.
    ///
    /// # Errors
    /// [`LedgerError::Peer`].
    async fn call(&self, to: NodeId, call: &Call, wait: Duration) -> Result<Answer, LedgerError>;

    /// Has these members sign the checkpoint of a lock; each asks its own [`Member::checkpoint_body`] what to sign.
    ///
    /// # Errors
    /// [`LedgerError::Signing`], naming the members that did not take part or signed wrongly.
    async fn sign(&self, members: &[NodeId], lock: &Lock) -> Result<Bytes<64>, LedgerError>;

    /// Has the others remember that this member acknowledged or reported something, before it says so; see
    /// [`crate::rollback`].
    ///
    /// # Errors
    /// [`LedgerError::Unsure`]: it must not say so.
    async fn witnessed(&self) -> Result<(), LedgerError> {
        Ok(())
    }
}

/// Links that a member shares with the tasks it starts.
pub type SharedLinks = Arc<dyn Links>;
