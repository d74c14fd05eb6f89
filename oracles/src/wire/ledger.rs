//! Anyone ↔ ledger node: append, checkpoints, receipts, entries, consistency proofs.
//!
//! Any member of the ledger committee answers any of these.
//!
//! - `POST /v1/ledger/append` [`AppendRequest`] → [`AppendAnswer`]: owners' `approval` and `application` entries only;
//!   committees append theirs from node to node. The same kind and commitment again gets the same index.
//! - `GET /v1/ledger/checkpoint` → [`CheckpointAnswer`].
//! - `GET /v1/ledger/receipt/{index}` → [`Receipt`] under the node's latest checkpoint.
//! - `GET /v1/ledger/entries?start=0&count=100` ([`EntriesQuery`]) → [`EntriesAnswer`].
//! - `GET /v1/ledger/consistency?old=1&new=2` ([`ConsistencyQuery`]) → [`ConsistencyAnswer`].

use contracts::encoding::Bytes32;
use contracts::receipt::{Entry, Receipt};
use serde::{Deserialize, Serialize};

/// Largest body of `append`, in bytes.
pub const MAX_APPEND_BODY: usize = 1 << 10;
/// Largest answer to any call here, in bytes.
pub const MAX_ANSWER_BODY: usize = 256 << 10;
/// Most entries one answer holds.
pub const MAX_ENTRIES: u32 = 1_000;
/// Owners' appends a node forwards per minute, all callers together; above it the answer is 429 `rate-limited`.
pub const MAX_APPENDS_PER_MINUTE: u32 = 600;

/// Asks for an entry to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendRequest {
    /// Kind `approval` or `application`, and a salted commitment.
    pub entry: Entry,
}

/// The entry is durable at a quorum of the ledger committee and under a signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendAnswer {
    /// Proof of it, verifiable offline.
    pub receipt: Receipt,
}

/// The node's latest signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointAnswer {
    /// C2SP signed note.
    pub checkpoint: String,
}

/// A range of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntriesQuery {
    /// Index of the first.
    pub start: u64,
    /// How many; at most [`MAX_ENTRIES`], fewer at the end of the log.
    pub count: u32,
}

/// Entries of the log that are under a signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntriesAnswer {
    /// Index of the first.
    pub start: u64,
    /// The entries, in order.
    pub entries: Vec<Entry>,
}

/// Two sizes of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyQuery {
    /// The smaller size, at least 1.
    pub old: u64,
    /// The larger size, at most that of the node's latest checkpoint.
    pub new: u64,
}

/// That the log of one size is a prefix of the log of another (RFC 6962 §2.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyAnswer {
    /// The proof, for `contracts::merkle::consistent`.
    pub path: Vec<Bytes32>,
}
