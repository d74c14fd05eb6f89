//! A circuit breaker: a source that failed several times in a row is left alone for a while, then tried once.

use std::time::{Duration, Instant};

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// One read, which decides.
    HalfOpen,
    /// Nothing.
    Open,
}

impl BreakerState {
    /// The name as a metric's label has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// The state machine, which knows no clock of its own.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Failures in a row that open it.
    threshold: u32,
    /// How long it stays open.
    rest: Duration,
    failures: u32,
    /// When it opened; none while closed.
    opened: Option<Instant>,
    /// A read was let through to try.
    trying: bool,
}

impl Breaker {
    pub(super) fn new(threshold: u32, rest: Duration) -> Self {
        Self {
            threshold,
            rest,
            failures: 0,
            opened: None,
            trying: false,
        }
    }

    /// Whether a read may go ahead; each that may must be settled.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        match self.state(now) {
            BreakerState::Closed => true,
            BreakerState::Open => false,
            BreakerState::HalfOpen => !std::mem::replace(&mut self.trying, true),
        }
    }

    /// How a read that was let through ended. An answer of any kind closes the breaker; only silence opens it.
    pub(super) fn settle(&mut self, now: Instant, answered: bool) {
        self.trying = false;
        if answered {
            self.failures = 0;
            self.opened = None;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.opened.is_some() || self.failures >= self.threshold {
            self.opened = Some(now);
        }
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.opened {
            None => BreakerState::Closed,
            Some(opened) if now.duration_since(opened) < self.rest => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_one_good_try() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut breaker = Breaker::new(3, Duration::from_secs(30));
        for answered in [false, false, true, false, false] {
            assert!(breaker.admit(at(0)));
            breaker.settle(at(0), answered);
        }
        assert_eq!(breaker.state(at(0)), BreakerState::Closed, "not in a row");
        assert!(breaker.admit(at(1)));
        breaker.settle(at(1), false);
        assert_eq!(breaker.state(at(30)), BreakerState::Open);
        assert!(!breaker.admit(at(30)));

        assert_eq!(breaker.state(at(31)), BreakerState::HalfOpen);
        assert!(breaker.admit(at(31)), "one try");
        assert!(!breaker.admit(at(31)), "and no second beside it");
        breaker.settle(at(32), false);
        assert!(!breaker.admit(at(61)), "a failed try opens it anew");
        assert!(breaker.admit(at(62)));
        breaker.settle(at(62), true);
        assert_eq!(breaker.state(at(62)), BreakerState::Closed);
        assert!(breaker.admit(at(62)) && breaker.admit(at(62)));
    }
}
