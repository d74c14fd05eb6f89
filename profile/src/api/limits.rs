//! How often a caller may call: the generic cell rate algorithm (ITU-T I.371), one instant per caller, in bounded memory.
//!
//! Each process counts for itself: behind a balancer over n processes a caller has up to n times its limit.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use contracts::encoding::{Bytes, Bytes32};

/// Callers that are told apart at the same time; those beyond share one allowance. About 6 MB.
const CALLERS: usize = 100_000;
/// How often those whose allowance is whole again are forgotten, at most.
const FORGET_EVERY: Duration = Duration::from_secs(1);
/// Whom callers beyond [`CALLERS`] are counted as.
const OVERFLOW: Bytes32 = Bytes([0; 32]);

/// Calls a minute, a third of which may come at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    interval: Duration,
    burst: u32,
}

impl Rate {
    /// A rate of 1 to 1,000,000 calls a minute.
    pub(crate) fn per_minute(calls: u32) -> Self {
        let calls = calls.max(1);
        Self {
            interval: Duration::from_secs(60) / calls,
            burst: calls.div_ceil(3),
        }
    }
}

/// When each caller's allowance is whole again.
#[derive(Debug)]
struct Counts {
    whole_at: HashMap<Bytes32, Instant>,
    forgot_at: Instant,
}

/// The callers' allowances.
#[derive(Debug)]
pub(crate) struct Limits {
    counts: Mutex<Counts>,
    callers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(CALLERS)
    }
}

impl Limits {
    fn of(callers: usize) -> Self {
        let counts = Counts {
            whole_at: HashMap::new(),
            forgot_at: Instant::now(),
        };
        Self {
            counts: Mutex::new(counts),
            callers,
        }
    }

    /// Counts a call, or says how long to wait; a call that has to wait is not counted.
    pub(crate) fn take(&self, caller: Bytes32, rate: Rate, now: Instant) -> Result<(), Duration> {
        let mut counts = match self.counts.lock() {
            Ok(counts) => counts,
            // Every entry is whole by itself.
            Err(poisoned) => poisoned.into_inner(),
        };
        let mut key = caller;
        if counts.whole_at.len() >= self.callers && !counts.whole_at.contains_key(&key) {
            if now.saturating_duration_since(counts.forgot_at) >= FORGET_EVERY {
                counts.whole_at.retain(|_, at| *at > now);
                counts.forgot_at = now;
            }
            if counts.whole_at.len() >= self.callers {
                key = OVERFLOW;
            }
        }
        let whole = counts.whole_at.get(&key).map_or(now, |at| (*at).max(now));
        let wait = whole.saturating_duration_since(now);
        let spread = rate.interval * rate.burst.saturating_sub(1);
        if wait > spread {
            return Err(wait - spread);
        }
        counts.whole_at.insert(key, whole + rate.interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> Bytes32 {
        Bytes([byte; 32])
    }

    #[test]
    fn a_third_of_a_minutes_calls_may_come_at_once_and_then_one_by_one() {
        let (limits, rate, start) = (Limits::default(), Rate::per_minute(12), Instant::now());
        let take = |seconds| limits.take(id(1), rate, start + Duration::from_secs(seconds));
        for _ in 0..4 {
            assert_eq!(take(0), Ok(()));
        }
        assert_eq!(take(0), Err(Duration::from_secs(5)));
        assert_eq!(take(3), Err(Duration::from_secs(2)));
        assert_eq!(take(5), Ok(()));
        assert!(take(5).is_err());
        assert_eq!(limits.take(id(2), rate, start), Ok(()));
        // No more than the burst is saved up, however long nobody calls.
        assert_eq!((0..9).filter(|_| take(3_600).is_ok()).count(), 4);
    }

    #[test]
    fn attack_many_callers_cannot_fill_memory_nor_shake_off_their_limit() {
        let (limits, rate, start) = (Limits::of(10), Rate::per_minute(3), Instant::now());
        for caller in 1..=200 {
            let _ = limits.take(id(caller), rate, start);
        }
        assert!(limits.counts.lock().unwrap().whole_at.len() <= 11);
        assert!(limits.take(id(1), rate, start).is_err());
        assert!(limits.take(id(250), rate, start).is_err());
        // When their allowances are whole again there is room.
        let later = start + Duration::from_secs(120);
        assert_eq!(limits.take(id(250), rate, later), Ok(()));
        assert_eq!(limits.take(id(251), rate, later), Ok(()));
    }
}
