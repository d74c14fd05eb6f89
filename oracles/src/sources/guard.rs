//! What stands between a node and a source: time-outs, bounded retries with jittered back-off, a circuit breaker.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng as _;

use super::breaker::{Breaker, BreakerState};
use super::config::Limits;
use super::error::SourceError;
use super::steps;

/// The pause before the first retry; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What becomes of more pages or entries than the caps allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// An error: half a record makes no fact.
    Refuse,
    /// The rest is left for the next time.
    Stop,
}

/// The bounds of one source.
pub(super) struct Guard {
    pub(super) name: String,
    pub(super) limits: Limits,
    breaker: Mutex<Breaker>,
}

impl Guard {
    pub(super) fn new(name: &str, limits: &Limits) -> Self {
        let rest = Duration::from_millis(limits.breaker_open_ms);
        Self {
            name: name.to_owned(),
            limits: limits.clone(),
            breaker: Mutex::new(Breaker::new(limits.breaker_failures.max(1), rest)),
        }
    }

    /// What the breaker lets through now.
    pub(super) fn state(&self) -> BreakerState {
        self.locked(|breaker| breaker.state(Instant::now()))
    }

    /// Runs an attempt, and again after a transient failure, within the limits; not at all while the breaker is open.
    pub(super) async fn run<T, F, A>(&self, mut attempt: F) -> Result<T, SourceError>
    where
        F: FnMut() -> A,
        A: Future<Output = Result<T, SourceError>>,
    {
        if !self.locked(|breaker| breaker.admit(Instant::now())) {
            return Err(SourceError::Resting {
                source_name: self.name.clone(),
            });
        }
        let mut admitted = Admitted {
            guard: self,
            answered: false,
        };
        let outcome = tokio::time::timeout(self.limits.deadline(), self.attempts(&mut attempt))
            .await
            .unwrap_or_else(|_| Err(self.timed_out()));
        admitted.answered = !matches!(&outcome, Err(error) if error.is_transient());
        outcome
    }

    async fn attempts<T, F, A>(&self, attempt: &mut F) -> Result<T, SourceError>
    where
        F: FnMut() -> A,
        A: Future<Output = Result<T, SourceError>>,
    {
        let mut pause = FIRST_PAUSE;
        let mut left = self.limits.retries;
        loop {
            let timeout = Duration::from_millis(self.limits.timeout_ms);
            let outcome = tokio::time::timeout(timeout, attempt())
                .await
                .unwrap_or_else(|_| Err(self.timed_out()));
            match outcome {
                Err(error) if error.is_transient() && left > 0 => {
                    tracing::debug!(%error, left, "reading again");
                    steps::note("retry", || error.to_string());
                    left -= 1;
                    let jitter = rand::thread_rng().gen_range(0.5..1.0);
                    tokio::time::sleep(pause.mul_f64(jitter)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    pub(super) fn timed_out(&self) -> SourceError {
        SourceError::TimedOut {
            source_name: self.name.clone(),
        }
    }

    pub(super) fn malformed(&self, field: &str, expected: &str) -> SourceError {
        SourceError::Malformed {
            source_name: self.name.clone(),
            field: field.to_owned(),
            expected: expected.to_owned(),
        }
    }

    pub(super) fn wrong_person(&self, field: impl Into<String>) -> SourceError {
        SourceError::WrongPerson {
            source_name: self.name.clone(),
            field: field.into(),
        }
    }

    pub(super) fn ambiguous(&self, field: &str) -> SourceError {
        SourceError::Ambiguous {
            source_name: self.name.clone(),
            field: field.to_owned(),
        }
    }

    pub(super) fn incomplete(&self, field: &'static str) -> SourceError {
        SourceError::Incomplete {
            source_name: self.name.clone(),
            field,
        }
    }

    /// Refuses more than a cap.
    pub(super) fn capped(
        &self,
        field: &'static str,
        count: usize,
        cap: usize,
    ) -> Result<(), SourceError> {
        if count > cap {
            return Err(SourceError::TooLarge {
                source_name: self.name.clone(),
                field,
                limit: cap.to_string(),
            });
        }
        Ok(())
    }

    fn locked<T>(&self, with: impl FnOnce(&mut Breaker) -> T) -> T {
        with(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A read that was let through. Dropped before its end, because its caller's time was up, it counts as silence.
struct Admitted<'a> {
    guard: &'a Guard,
    answered: bool,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let answered = self.answered;
        self.guard
            .locked(|breaker| breaker.settle(Instant::now(), answered));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn guard() -> Guard {
        let limits = Limits {
            timeout_ms: 50,
            retries: 2,
            deadline_ms: 5_000,
            breaker_failures: 2,
            breaker_open_ms: 60_000,
            ..Limits::default()
        };
        Guard::new("s", &limits)
    }

    fn unavailable() -> SourceError {
        SourceError::Unavailable {
            source_name: "s".into(),
            what: "down".into(),
        }
    }

    #[tokio::test]
    async fn transient_failures_are_tried_again_and_others_are_not() {
        let tries = Cell::new(0);
        let guard = guard();
        let attempt = || async {
            tries.set(tries.get() + 1);
            if tries.get() < 3 {
                Err(unavailable())
            } else {
                Ok(7)
            }
        };
        assert_eq!((guard.run(attempt).await, tries.get()), (Ok(7), 3));

        tries.set(0);
        let wrong = guard.wrong_person("case_number");
        let attempt = || async {
            tries.set(tries.get() + 1);
            Err::<(), _>(wrong.clone())
        };
        for tried in 1..=5 {
            let outcome = guard.run(attempt).await;
            assert_eq!((outcome, tries.get()), (Err(wrong.clone()), tried));
        }
        assert_eq!(guard.state(), BreakerState::Closed, "it answers, if badly");
    }

    #[tokio::test]
    async fn a_source_that_never_answers_ends_within_the_deadline_and_is_then_left_alone() {
        let guard = guard();
        let tries = Cell::new(0);
        let silent = || {
            tries.set(tries.get() + 1);
            std::future::pending::<Result<(), SourceError>>()
        };
        for _ in 0..2 {
            let answer = guard.run(silent).await;
            assert!(matches!(answer, Err(SourceError::TimedOut { .. })));
        }
        assert_eq!((guard.state(), tries.get()), (BreakerState::Open, 6));
        assert!(matches!(
            guard.run(silent).await,
            Err(SourceError::Resting { .. })
        ));
        assert_eq!(tries.get(), 6, "nothing was asked");
    }

    #[tokio::test]
    async fn a_read_whose_caller_gave_up_counts_as_silence() {
        let guard = guard();
        for _ in 0..2 {
            let never = guard.run(std::future::pending::<Result<(), SourceError>>);
            let short = tokio::time::timeout(Duration::from_millis(1), never).await;
            assert!(short.is_err());
        }
        assert_eq!(guard.state(), BreakerState::Open);
    }
}
