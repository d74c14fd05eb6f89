//! What a party has of each owner: every message, opened with the party's own keys, and every row of its database.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All that was received, by party; the owners are in the same order at each, which only the judge of an attack may use.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Evidence {
    /// How many owners.
    pub(super) owners: usize,
    /// The parties.
    pub(super) parties: Vec<Party>,
}

/// One party.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Party {
    /// Its name.
    pub(super) name: String,
    /// What it has of each owner.
    pub(super) records: Vec<Record>,
    /// Messages that are about no owner.
    pub(super) about_nobody: usize,
}

/// What a party has of one owner.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// Messages, in order of arrival.
    pub(super) exchanges: Vec<Exchange>,
    /// Rows of its database, by table.
    pub(super) rows: Vec<(String, Value)>,
}

/// A request and its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Exchange {
    /// Its place among all that arrived at the party.
    pub(super) order: u64,
    /// When, in milliseconds since 1970 by the party's clock.
    pub(super) at: i64,
    /// The caller's port.
    pub(super) port: u16,
    /// Method and path, ids left out.
    pub(super) route: String,
    /// First line and headers.
    pub(super) head: String,
    /// Bytes of the request's body.
    pub(super) size: usize,
    /// The body as JSON.
    pub(super) body: Value,
    /// What was in its box, where it was one.
    pub(super) opened: Value,
    /// The answer as JSON.
    pub(super) answer: Value,
    /// Bytes of the answer.
    pub(super) answer_size: usize,
}

impl Exchange {
    /// Whether an id is in it.
    pub(super) fn names(&self, id: &str) -> bool {
        self.head.contains(id)
            || [&self.body, &self.opened, &self.answer]
                .iter()
                .any(|json| json.to_string().contains(id))
    }
}
