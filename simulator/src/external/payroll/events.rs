//! Events that the operator recorded, kept across restarts.

use std::path::Path;

use contracts::units::UnixTime;
use serde::{Deserialize, Serialize};

use super::super::Result;
use super::super::journal::Journal;

/// A job ended, or one was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    /// Whose job.
    pub(super) case_number: String,
    /// When payroll was told; the next report is completed then.
    pub(super) recorded_at: UnixTime,
    /// Whether work was found, as opposed to lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) found: bool,
}

/// All that was recorded.
pub(super) struct EventLog(Journal<Event>);

impl EventLog {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        Ok(Self(Journal::open(folder.join("payroll-events.jsonl"))?))
    }

    /// The case's events: when each was recorded, and whether it was of work found. Earliest first.
    pub(super) fn of(&self, case_number: &str) -> Vec<(UnixTime, bool)> {
        self.0.read(|events| {
            let of_case = events
                .iter()
                .filter(|event| event.case_number == case_number);
            of_case
                .map(|event| (event.recorded_at, event.found))
                .collect()
        })
    }

    /// Events recorded at or after a time, earliest first.
    pub(super) fn since(&self, since: UnixTime) -> Vec<Event> {
        self.0.read(|events| {
            let later = events.iter().filter(|event| event.recorded_at >= since);
            later.cloned().collect()
        })
    }

    /// Records that a job was lost or found; told twice, the first stands.
    pub(super) fn record(
        &self,
        case_number: String,
        found: bool,
        recorded_at: UnixTime,
    ) -> Result<Event> {
        let event = Event {
            case_number,
            recorded_at,
            found,
        };
        let case_number = event.case_number.clone();
        self.0.append(event, |events| {
            let mut of_case = events
                .iter()
                .filter(|event| event.case_number == case_number);
            of_case
                .next_back()
                .filter(|event| event.found == found)
                .cloned()
        })
    }
}
