//! Events that the operator recorded, kept across restarts.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use contracts::units::UnixTime;
use serde::{Deserialize, Serialize};

use super::super::{ExternalError, Result};

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

/// One JSON object a line, synced before it is answered.
pub(super) struct EventLog {
    path: PathBuf,
    inner: Mutex<(File, Vec<Event>)>,
}

impl EventLog {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("payroll-events.jsonl");
        let io = |source| ExternalError::Io {
            what: format!("opening {}", path.display()),
            source,
        };
        std::fs::create_dir_all(folder).map_err(io)?;
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(io)?,
        };
        // A line without its end was never answered: the writer died inside it.
        let whole = text.rfind('\n').map_or("", |end| text.split_at(end + 1).0);
        let events = whole
            .lines()
            .map(serde_json::from_str)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| ExternalError::Data(format!("{}: {error}", path.display())))?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(io)?;
        let length = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        file.set_len(length).map_err(io)?;
        Ok(Self {
            inner: Mutex::new((file, events)),
            path,
        })
    }

    /// The case's events: when each was recorded, and whether it was of work found. Earliest first.
    pub(super) fn of(&self, case_number: &str) -> Vec<(UnixTime, bool)> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner
            .1
            .iter()
            .filter(|event| event.case_number == case_number)
            .map(|event| (event.recorded_at, event.found))
            .collect()
    }

    /// Events recorded at or after a time, earliest first.
    pub(super) fn since(&self, since: UnixTime) -> Vec<Event> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let events = inner.1.iter();
        events
            .filter(|event| event.recorded_at >= since)
            .cloned()
            .collect()
    }

    /// Records that a job was lost or found; told twice, the first stands.
    pub(super) fn record(
        &self,
        case_number: String,
        found: bool,
        recorded_at: UnixTime,
    ) -> Result<Event> {
        let io = |source| ExternalError::Io {
            what: format!("writing {}", self.path.display()),
            source,
        };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = find(&inner.1, &case_number).filter(|event| event.found == found) {
            return Ok(event.clone());
        }
        let event = Event {
            case_number,
            recorded_at,
            found,
        };
        let mut line = serde_json::to_string(&event)
            .map_err(|error| ExternalError::Data(error.to_string()))?;
        line.push('\n');
        inner.0.write_all(line.as_bytes()).map_err(io)?;
        inner.0.sync_all().map_err(io)?;
        inner.1.push(event.clone());
        Ok(event)
    }
}

/// The latest event of a case.
fn find<'a>(events: &'a [Event], case_number: &str) -> Option<&'a Event> {
    events
        .iter()
        .rev()
        .find(|event| event.case_number == case_number)
}
