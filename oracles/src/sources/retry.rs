//! Bounded retries with back-off.

use std::future::Future;
use std::time::Duration;

use rand::Rng as _;

use super::config::Limits;
use super::error::SourceError;

/// The pause before the first retry; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Runs an attempt, and again after a transient failure, within `limits`.
pub(super) async fn with_retries<T, F, A>(
    source_name: &str,
    limits: &Limits,
    mut attempt: F,
) -> Result<T, SourceError>
where
    F: FnMut() -> A,
    A: Future<Output = Result<T, SourceError>>,
{
    let timed_out = || SourceError::TimedOut {
        source_name: source_name.to_owned(),
    };
    let all = async {
        let mut pause = FIRST_PAUSE;
        let mut left = limits.retries;
        loop {
            let outcome = tokio::time::timeout(Duration::from_millis(limits.timeout_ms), attempt())
                .await
                .unwrap_or_else(|_| Err(timed_out()));
            match outcome {
                Err(error) if error.is_transient() && left > 0 => {
                    tracing::debug!(%error, left, "reading again");
                    left -= 1;
                    let jitter = rand::thread_rng().gen_range(0.5..1.0);
                    tokio::time::sleep(pause.mul_f64(jitter)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                outcome => return outcome,
            }
        }
    };
    tokio::time::timeout(Duration::from_millis(limits.deadline_ms), all)
        .await
        .unwrap_or_else(|_| Err(timed_out()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn limits() -> Limits {
        Limits {
            timeout_ms: 50,
            retries: 2,
            deadline_ms: 400,
            ..Limits::default()
        }
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
        let answer = with_retries("s", &limits(), || async {
            tries.set(tries.get() + 1);
            if tries.get() < 3 {
                Err(unavailable())
            } else {
                Ok(7)
            }
        })
        .await;
        assert_eq!((answer, tries.get()), (Ok(7), 3));

        tries.set(0);
        let wrong = SourceError::WrongPerson {
            source_name: "s".into(),
            field: "case_number",
        };
        let answer = with_retries("s", &limits(), || async {
            tries.set(tries.get() + 1);
            Err::<(), _>(wrong.clone())
        })
        .await;
        assert_eq!((answer, tries.get()), (Err(wrong.clone()), 1));
    }

    #[tokio::test]
    async fn a_source_that_never_answers_ends_within_the_deadline() {
        let start = std::time::Instant::now();
        let answer = with_retries("s", &limits(), || {
            std::future::pending::<Result<(), SourceError>>()
        })
        .await;
        assert!(matches!(answer, Err(SourceError::TimedOut { .. })));
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
