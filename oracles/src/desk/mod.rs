//! The person in the room: what a clinician or caseworker enters through a web form becomes a signed entry that nodes read as
//! one of their sources (O1), and the outcome of a dispute's review another (P10).
//!
//! A desk is a process of the clinic or agency, not of an oracle. It keeps entries, each signed (Ed25519, RFC 8032) with the
//! key of who made it; it holds no signing key itself. Every entry asks for the person's key anew, so there is no session, no
//! cookie, and nothing that another site could ride on. Nodes take an entry only from the staff and roles in their own
//! configuration.

mod config;
mod entry;
mod form;
mod page;
mod server;
mod staff;
mod store;

pub use self::config::{DeskConfig, FormConfig, StaffConfig};
pub use self::entry::{Entry, EntryError, EntryKind, Statement};
pub use self::server::{RunningDesk, start};
pub use self::staff::{StaffKey, StaffKeyError};

use contracts::ids::AttributeId;
use serde::{Deserialize, Serialize};

/// Largest question of a node, in bytes.
pub const MAX_QUESTION_BODY: usize = 2 << 10;
/// Most entries in one answer: the newest of one record and attribute.
pub const MAX_ENTRIES: usize = 200;
/// Longest text of a name, a key or a record number, in bytes.
pub const MAX_TEXT: usize = 128;

/// What a node asks: the entries of one attribute for one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Name of the source key, such as `mrn`.
    pub key_name: String,
    /// Its value.
    pub key_value: String,
    /// The attribute.
    pub attribute: AttributeId,
}

/// Most records in one answer about what was entered lately.
pub const MAX_TOUCHED: usize = 500;

/// What a node's feed asks: whose records were entered into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TouchedQuestion {
    /// Name of the source key, such as `mrn`.
    pub key_name: String,
    /// The number of the first entry that is asked after.
    pub since: u64,
}

/// The answer to a [`TouchedQuestion`]. No `Debug`: record numbers name people.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TouchedAnswer {
    /// At most [`MAX_TOUCHED`], ascending by number.
    pub touched: Vec<TouchedRecord>,
    /// Whether there are more.
    pub more: bool,
}

/// That somebody entered something into a record, and not what.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TouchedRecord {
    /// The entry's number.
    pub number: u64,
    /// Whose record.
    pub key_value: String,
}

/// The answer to a [`Question`], newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// At most [`MAX_ENTRIES`].
    pub entries: Vec<Entry>,
}
