//! What is owed, to the cent.
//!
//! A month costs its premium. Of a month covered in part the covered days' share is owed, part of a cent dropped; so what is owed
//! depends on the days alone, and what was paid is always what is owed and what is paid back.

use serde::{Deserialize, Serialize};

use super::plan::{EndRules, Refund};
use crate::calendar::{month_end, month_start};
use crate::units::{BadDate, Cents, Day};

/// How a policy's account closes: `billed` = `earned` + `refunded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// Billed until the end was made known.
    pub billed: Cents,
    /// Kept by the insurer.
    pub earned: Cents,
    /// Paid back.
    pub refunded: Cents,
}

/// What is owed for the days from `start` up to but not including `end`.
///
/// # Errors
/// Past 2199.
pub fn earned(premium: Cents, start: Day, end: Day) -> Result<Cents, BadDate> {
    let mut sum = 0;
    let mut from = start;
    while from < end {
        let next = month_end(from)?.plus(1)?;
        let until = next.min(end);
        let days = until.number() - from.number();
        let month = next.number() - month_start(from)?.number();
        sum += premium.0 * days / month;
        from = until;
    }
    Ok(Cents(sum))
}

/// What has been billed by the end of `today`: each month, or the part of it until the policy ends at the latest, on its first
/// covered day.
///
/// # Errors
/// Past 2199.
pub fn billed(premium: Cents, start: Day, latest_end: Day, today: Day) -> Result<Cents, BadDate> {
    if today < start {
        return Ok(Cents(0));
    }
    earned(premium, start, month_end(today)?.plus(1)?.min(latest_end))
}

/// Closes the account of a policy that began on `start`, would have ended on `latest_end`, and ends on `end`, of which the
/// insurer hears on `today`. Days are the first ones without cover.
///
/// # Errors
/// Past 2199.
pub fn settle(
    premium: Cents,
    start: Day,
    latest_end: Day,
    end: Day,
    today: Day,
    rules: &EndRules,
) -> Result<Settlement, BadDate> {
    // A policy that goes on for a while is billed on; one that never began was not.
    let last = end.plus(-1)?.max(today);
    let billed = billed(premium, start, latest_end, last)?;
    let covered = end.number() - start.number();
    let earned = match rules.refund {
        _ if covered <= i64::from(rules.free_look) => Cents(0),
        Refund::Daily => earned(premium, start, end)?,
        Refund::None => {
            let month = month_end(end.plus(-1)?)?.plus(1)?;
            earned(premium, start, month.min(latest_end))?
        }
    };
    Ok(Settlement {
        billed,
        earned,
        refunded: Cents(billed.0 - earned.0),
    })
}
