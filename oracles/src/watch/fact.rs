//! A watched fact as the sources have it now.

use std::collections::BTreeMap;

use contracts::catalogue::Attribute;
use contracts::units::Day;

use super::WatchError;
use crate::attest::read;
use crate::sources::Sources;

/// What the sources bear out. No `Debug`: it holds a fact.
pub(super) enum Fact {
    /// A value, or that there is no record anywhere.
    Agreed(Option<i64>),
    /// All answered, and do not agree.
    Disputed,
    /// One failed, and the others are not enough.
    Failed,
}

/// Reads a fact, its reference period ending on a day.
pub(super) async fn fact(
    sources: &Sources,
    attribute: &Attribute,
    keys: &BTreeMap<String, String>,
    day: Day,
) -> Result<Fact, WatchError> {
    let period = attribute.period.period(day);
    let period = period.map_err(|_| WatchError::Stored("clock"))?;
    let (readings, agreement) = read(sources, attribute, keys, period).await;
    Ok(match agreement.value {
        Some(value) => Fact::Agreed(Some(value)),
        None if agreement.failed > 0 => Fact::Failed,
        None if readings.iter().all(|reading| *reading == Ok(None)) => Fact::Agreed(None),
        None => Fact::Disputed,
    })
}
