//! When one party hears of what another has just heard or said: at a drawn time of the day, or the second would tell both that it is
//! one owner.

use contracts::lifecycle::{Action, Notice};
use contracts::units::{Day, UnixTime};
use rand_core::{OsRng, RngCore};

const SECONDS_PER_DAY: i64 = 86_400;

/// Whether an action follows, at another party, from what an agency was sent or said.
fn follows(action: &Action) -> bool {
    matches!(
        action,
        Action::Quote { .. }
            | Action::EndGap { .. }
            | Action::Notify {
                notice: Notice::Moved { .. } | Notice::CoveredElsewhere { .. },
                ..
            }
    )
}

/// When an action is due: `now`, or at most `spread` seconds later on the same day, drawn anew for each.
pub(super) fn due(action: &Action, now: UnixTime, spread: u32) -> UnixTime {
    if !follows(action) {
        return now;
    }
    let left = SECONDS_PER_DAY - 1 - now.0.rem_euclid(SECONDS_PER_DAY);
    UnixTime(now.0 + drawn(i64::from(spread).min(left)))
}

/// When a day's work for an owner begins, so that owners do not come in the same order on every day.
pub(super) fn begins(day: Day, spread: u32) -> UnixTime {
    UnixTime(day.start().0 + drawn(spread.into()))
}

/// From 0 up to `most`.
fn drawn(most: i64) -> i64 {
    i64::from(OsRng.next_u32()) % most.saturating_add(1).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ending() -> Action {
        Action::EndGap {
            policy: "policy".to_owned(),
            on: "2026-06-21".parse().unwrap(),
        }
    }

    #[test]
    fn attack_the_second_of_one_party_is_not_the_second_of_another() {
        let noon = UnixTime("2026-06-20".parse::<Day>().unwrap().start().0 + 43_200);
        let due: BTreeSet<i64> = (0..64).map(|_| due(&ending(), noon, 21_600).0).collect();
        assert!(due.len() > 48, "{} times of 64", due.len());
        assert!(due.iter().all(|at| (noon.0..=noon.0 + 21_600).contains(at)));
        let day = "2026-06-20".parse::<Day>().unwrap();
        let begin: BTreeSet<i64> = (0..64).map(|_| begins(day, 21_600).0).collect();
        assert!(begin.len() > 48, "{} times of 64", begin.len());
    }

    #[test]
    fn the_day_stays_and_what_follows_from_nothing_is_due_at_once() {
        let day: Day = "2026-06-20".parse().unwrap();
        let late = UnixTime(day.start().0 + SECONDS_PER_DAY - 3);
        for _ in 0..32 {
            assert_eq!(due(&ending(), late, 21_600).day().unwrap(), day);
        }
        assert_eq!(due(&ending(), late, 0), late);
        let alert = Action::AlertPcp { on: day };
        assert_eq!(due(&alert, late, 21_600), late);
        assert_eq!(begins(day, 0), day.start());
    }
}
