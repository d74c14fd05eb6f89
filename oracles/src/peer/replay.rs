//! Each message is taken once: message ids seen in the present run, until they are too old to be taken anyway.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use contracts::ids::NodeId;
use contracts::units::UnixTime;

use super::envelope::MessageId;

/// How far apart the clocks of two nodes may be, and how long a message may be under way, in seconds.
pub(super) const MAX_SKEW_SECONDS: i64 = 120;
/// Message ids remembered at most per sender; a sender above it is refused until its older ones expire.
const MAX_REMEMBERED: usize = 100_000;

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Replay {
    #[error("the message was received before")]
    Seen,
    #[error("the message is more than {MAX_SKEW_SECONDS} s older or newer than this node's clock")]
    Skew,
    #[error("too many messages from this node")]
    Busy,
}

#[derive(Debug, Default)]
pub(super) struct ReplayGuard {
    seen: Mutex<HashMap<NodeId, Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    messages: HashMap<MessageId, UnixTime>,
    pruned_at: Option<UnixTime>,
}

impl ReplayGuard {
    /// Takes a message, or says why not.
    pub(super) fn take(
        &self,
        from: NodeId,
        message: MessageId,
        issued_at: UnixTime,
        now: UnixTime,
    ) -> Result<(), Replay> {
        if (now.0 - issued_at.0).abs() > MAX_SKEW_SECONDS {
            return Err(Replay::Skew);
        }
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all.entry(from).or_default();
        if seen.pruned_at.is_none_or(|at| now.0 - at.0 >= 10) {
            seen.messages
                .retain(|_, issued| (now.0 - issued.0).abs() <= MAX_SKEW_SECONDS);
            seen.pruned_at = Some(now);
        }
        if seen.messages.contains_key(&message) {
            return Err(Replay::Seen);
        }
        if seen.messages.len() >= MAX_REMEMBERED {
            return Err(Replay::Busy);
        }
        seen.messages.insert(message, issued_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::encoding::Bytes;

    #[test]
    fn a_message_is_taken_once_and_only_while_fresh() {
        let guard = ReplayGuard::default();
        let (a, b) = (NodeId::new(1).unwrap(), NodeId::new(2).unwrap());
        let message = Bytes([1; 16]);
        let at = UnixTime(1_000_000);
        assert_eq!(guard.take(a, message, at, at), Ok(()));
        assert_eq!(guard.take(a, message, at, at), Err(Replay::Seen));
        assert_eq!(guard.take(b, message, at, at), Ok(()));
        let late = UnixTime(at.0 + MAX_SKEW_SECONDS + 1);
        assert_eq!(
            guard.take(a, message, at, late),
            Err(Replay::Skew),
            "pruned, but too old to be taken"
        );
        assert_eq!(guard.take(a, Bytes([2; 16]), late, at), Err(Replay::Skew));
    }
}
