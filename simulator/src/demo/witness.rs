//! A witness at doors: keeps every HTTP message that reaches or leaves a party, in order of arrival, with the party's time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::http_scan::{Direction, Message};

/// The most bytes of messages that are kept; a run in which more cross cannot be used.
const MAX_KEPT: usize = 1 << 30;

/// A message as it crossed a door.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// Whose door.
    pub(crate) party: String,
    /// Port of the caller, which names the connection.
    pub(crate) port: u16,
    /// Milliseconds since 1970 by the party's clock.
    pub(crate) at: i64,
    /// What crossed.
    pub(crate) message: Message,
}

#[derive(Default)]
struct Inner {
    heard: Vec<Heard>,
    kept: usize,
}

/// Keeps what crosses the doors that it was set at.
#[derive(Default)]
pub struct Witness {
    /// Milliseconds that the parties' clocks are ahead of ours.
    ahead: AtomicI64,
    inner: Mutex<Inner>,
}

impl Witness {
    /// A witness who has seen nothing.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Says by how many seconds the parties' clocks are ahead of ours from now on.
    pub fn set_ahead(&self, seconds: i64) {
        self.ahead.store(seconds * 1_000, Ordering::SeqCst);
    }

    pub(super) fn sees(&self, party: &str, port: u16, messages: &[Message]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
        let at = now + self.ahead.load(Ordering::SeqCst);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for message in messages {
            inner.kept += message.head.len() + message.body.len();
            if inner.kept <= MAX_KEPT {
                inner.heard.push(Heard {
                    party: party.to_owned(),
                    port,
                    at,
                    message: message.clone(),
                });
            }
        }
    }

    /// Everything so far; nothing where more crossed than can be kept.
    pub(crate) fn heard(&self) -> Option<Vec<Heard>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.kept <= MAX_KEPT).then(|| inner.heard.clone())
    }
}

impl Heard {
    /// Whether it came to the party.
    pub(crate) fn came(&self) -> bool {
        self.message.direction == Direction::Request
    }
}
