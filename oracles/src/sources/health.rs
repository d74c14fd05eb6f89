//! The health of a source: how its last reads went, and how far its answers stood from what was agreed.
//!
//! Failures and deviations show here read by read, while a formula still bears them; quorum breaks later.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use contracts::catalogue::SourceFormula;

use super::{BreakerState, Reading};

/// Reads that the figures speak of.
const WINDOW: usize = 64;

/// Figures of one source over its last 64 reads; all are shares between 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceHealth {
    /// The source's configured name.
    pub name: String,
    /// What its breaker lets through.
    pub breaker: BreakerState,
    /// Reads that failed.
    pub error_rate: f64,
    /// Reads answered otherwise than most sources, or outside the tolerance.
    pub disagreement_rate: f64,
    /// Mean distance from the agreed value as a share of the tolerance: it rises before a source disagrees.
    pub drift: f64,
    /// Reads that neither failed nor disagreed; 1 before the first.
    pub score: f64,
}

/// How one read went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    Failed,
    /// Distance from the agreed value in tolerances; above 1 the source disagrees.
    Answered(f64),
}

/// The last reads of one source.
#[derive(Debug, Default)]
pub(super) struct Window(Mutex<VecDeque<Outcome>>);

impl Window {
    pub(super) fn record(&self, outcome: Outcome) {
        let mut reads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reads.len() == WINDOW {
            reads.pop_front();
        }
        reads.push_back(outcome);
    }

    pub(super) fn health(&self, name: &str, breaker: BreakerState) -> SourceHealth {
        let reads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut failed, mut apart, mut drift) = (0u32, 0u32, 0f64);
        for read in reads.iter() {
            match read {
                Outcome::Failed => failed += 1,
                Outcome::Answered(distance) => {
                    apart += u32::from(*distance > 1.0);
                    drift += distance.min(1.0);
                }
            }
        }
        // At most 64.
        let all = reads.len() as f64;
        let answered = all - f64::from(failed);
        let share = |part: f64, of: f64| if of == 0.0 { 0.0 } else { part / of };
        SourceHealth {
            name: name.to_owned(),
            breaker,
            error_rate: share(failed.into(), all),
            disagreement_rate: share(apart.into(), all),
            drift: share(drift, answered),
            score: 1.0 - share((failed + apart).into(), all),
        }
    }
}

/// How each reading stands to the others.
///
/// The point of reference is the lower median where a tolerance is agreed on, and otherwise the answer that more sources give
/// than any other ("no record" is an answer). Where none is, every answer stands apart.
pub(super) fn outcomes(formula: SourceFormula, readings: &[Reading]) -> Vec<Outcome> {
    let answers: Vec<Option<i64>> = readings
        .iter()
        .filter_map(|reading| reading.as_ref().ok().copied())
        .collect();
    let distance: Box<dyn Fn(Option<i64>) -> f64> = match formula {
        SourceFormula::Tolerance { pct10 } => {
            let mut values: Vec<i64> = answers.iter().copied().flatten().collect();
            values.sort_unstable();
            let middle = values.len().saturating_sub(1) / 2;
            let median = values.get(middle).copied();
            Box::new(move |answer| tolerances(answer, median, pct10))
        }
        _ => {
            let leader = leader(&answers);
            Box::new(move |answer| if leader == Some(answer) { 0.0 } else { 2.0 })
        }
    };
    readings
        .iter()
        .map(|reading| match reading {
            Ok(answer) => Outcome::Answered(distance(*answer)),
            Err(_) => Outcome::Failed,
        })
        .collect()
}

/// The answer given more often than any other.
fn leader(answers: &[Option<i64>]) -> Option<Option<i64>> {
    let count = |answer: &Option<i64>| answers.iter().filter(|it| *it == answer).count();
    let most = answers.iter().map(count).max()?;
    let mut leaders = answers.iter().filter(|answer| count(answer) == most);
    let first = leaders.next()?;
    leaders.all(|other| other == first).then_some(*first)
}

fn tolerances(answer: Option<i64>, median: Option<i64>, pct10: u32) -> f64 {
    match (answer, median) {
        (None, None) => 0.0,
        (Some(answer), Some(median)) => {
            let apart = (answer as f64 - median as f64).abs();
            let allowed = f64::from(pct10) / 1_000.0 * (median as f64).abs();
            match (apart == 0.0, allowed == 0.0) {
                (true, _) => 0.0,
                (_, true) => 2.0,
                _ => apart / allowed,
            }
        }
        _ => 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::SourceError;

    fn failure() -> Reading {
        Err(SourceError::TimedOut {
            source_name: "s".into(),
        })
    }

    #[test]
    fn a_reading_is_held_against_what_most_sources_say() {
        use Outcome::{Answered, Failed};
        let exact = |readings: &[Reading]| outcomes(SourceFormula::Unanimous, readings);
        assert_eq!(
            exact(&[Ok(Some(6)), Ok(Some(6)), Ok(Some(7)), failure()]),
            [Answered(0.0), Answered(0.0), Answered(2.0), Failed]
        );
        assert_eq!(exact(&[Ok(Some(6)), Ok(Some(7))]), [Answered(2.0); 2]);
        assert_eq!(exact(&[Ok(None), Ok(None)]), [Answered(0.0); 2]);
        assert!(exact(&[]).is_empty());
        let near =
            |readings: &[Reading]| outcomes(SourceFormula::Tolerance { pct10: 50 }, readings);
        let readings = [Ok(Some(100_000)), Ok(Some(102_500)), Ok(Some(99_000))];
        assert_eq!(
            near(&readings),
            [Answered(0.0), Answered(0.5), Answered(0.2)]
        );
        assert_eq!(
            near(&[Ok(Some(0)), Ok(Some(1))]),
            [Answered(0.0), Answered(2.0)]
        );
        assert_eq!(
            near(&[Ok(Some(5)), Ok(None)]),
            [Answered(0.0), Answered(2.0)]
        );
    }

    #[test]
    fn figures_speak_of_the_last_reads_only() {
        let window = Window::default();
        let health = || window.health("s", BreakerState::Closed);
        assert_eq!((health().score, health().error_rate), (1.0, 0.0));
        for _ in 0..WINDOW {
            window.record(Outcome::Failed);
        }
        assert_eq!((health().score, health().error_rate), (0.0, 1.0));
        for _ in 0..WINDOW / 2 {
            window.record(Outcome::Answered(0.5));
        }
        for _ in 0..WINDOW / 4 {
            window.record(Outcome::Answered(3.0));
        }
        let now = health();
        assert_eq!(
            (now.error_rate, now.disagreement_rate, now.score),
            (0.25, 0.25, 0.5)
        );
        assert_eq!(now.drift, (0.5 * 32.0 + 16.0) / 48.0);
    }
}
