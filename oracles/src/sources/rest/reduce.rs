//! From the records that count to one value.

use contracts::units::Period;

use super::super::error::SourceError;
use super::super::guard::Guard;
use super::super::spread;
use super::{JsonRead, RecordTime, Reduce};

/// A record that counts.
pub(super) struct Entry {
    /// The days that it speaks of; one day for a record with a date.
    pub(super) span: Option<Period>,
    pub(super) value: Option<i64>,
}

/// # Errors
/// Several records where there may be one, a record without its value, wages too old to speak of the period.
pub(super) fn reduce(
    guard: &Guard,
    read: &JsonRead,
    entries: &[Entry],
    period: Period,
) -> Result<Option<i64>, SourceError> {
    let missing = || guard.malformed(&read.pointer, "there in every record that counts");
    match read.reduce {
        Reduce::Only => match entries {
            [] => Ok(None),
            [entry] => Ok(entry.value),
            _ => Err(guard.ambiguous("the mapping")),
        },
        Reduce::Max => Ok(entries.iter().filter_map(|entry| entry.value).max()),
        Reduce::Any => {
            let any = entries.iter().any(|entry| entry.value.unwrap_or(0) != 0);
            Ok(Some(i64::from(any)))
        }
        Reduce::Latest => {
            let until = |entry: &&Entry| entry.span.is_some_and(|span| span.end <= period.end);
            let day = |entry: &&Entry| entry.span.map(|span| span.end);
            let latest = entries.iter().filter(until).map(|entry| day(&entry)).max();
            let mut last = entries
                .iter()
                .filter(|entry| latest.is_some_and(|latest| day(entry) == latest));
            match (last.next(), last.next()) {
                (None, _) => Ok(None),
                (Some(entry), None) => Ok(entry.value),
                _ => Err(guard.ambiguous("the latest day")),
            }
        }
        Reduce::Sum => {
            let Some((entries, period)) = counted(guard, read, entries, period)? else {
                return Ok(None);
            };
            let mut total = 0i64;
            for entry in entries {
                let value = entry.value.ok_or_else(missing)?;
                let part = match (&read.time, entry.span) {
                    (Some(RecordTime::Span { .. } | RecordTime::Quarter { .. }), Some(span)) => {
                        spread::share(value, span, period).ok_or_else(missing)?
                    }
                    _ => value,
                };
                total = total
                    .checked_add(part)
                    .ok_or_else(|| guard.malformed("the sum", "within 64 bits"))?;
            }
            Ok(Some(total))
        }
    }
}

/// The entries that a sum is over, and the days of theirs that count.
fn counted<'a>(
    guard: &Guard,
    read: &JsonRead,
    entries: &'a [Entry],
    period: Period,
) -> Result<Option<(Vec<&'a Entry>, Period)>, SourceError> {
    let Some(RecordTime::Quarter { max_age_days, .. }) = &read.time else {
        return Ok(Some((entries.iter().collect(), period)));
    };
    let ended = |span: &Period| span.end <= period.end;
    let quarters = entries.iter().filter_map(|entry| entry.span).filter(ended);
    let Some(latest) = quarters.max_by_key(|span| span.end) else {
        return Ok(None);
    };
    if latest.end.number() + i64::from(*max_age_days) < period.end.number() {
        return Err(guard.incomplete("the latest quarter is older than max_age_days"));
    }
    let days = period.end.number() - period.start.number();
    // As many last days of the quarter as the reference period has; a longer period takes the whole quarter.
    let start = latest.end.plus(-days).unwrap_or(latest.start);
    let of_it = entries.iter().filter(|entry| entry.span == Some(latest));
    let period = Period {
        start,
        end: latest.end,
    };
    Ok(Some((of_it.collect(), period)))
}
