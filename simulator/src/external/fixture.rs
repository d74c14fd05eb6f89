//! Fixture people and days relative to day zero.

use std::collections::BTreeMap;

use contracts::ids::Jurisdiction;
use contracts::units::Day;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ExternalError, Result};

/// What a person tells a navigator at enrolment.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Short name of the person in the demo, such as `ana`.
    pub id: String,
    /// Why this person is in the fixtures.
    pub story: String,
    /// `AAA-GG-SSSS`.
    pub ssn: String,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// Birth date, relative to day zero until [`people`] has resolved it.
    pub birth_date: String,
    /// E.164.
    pub phone: String,
    /// Language of texts: `en` or `es`.
    pub language: String,
    /// State whose benefits are asked for.
    pub state: Jurisdiction,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Person({})", self.id)
    }
}

#[derive(Deserialize)]
struct People {
    person: Vec<Person>,
}

/// The fixture people, with birth dates as ISO 8601 days.
///
/// # Errors
/// A fixture that does not parse.
pub fn people(day_zero: Day) -> Result<Vec<Person>> {
    let mut people: People = parse("people.toml", include_str!("../../../fixtures/people.toml"))?;
    for person in &mut people.person {
        person.birth_date = relative_day(&person.birth_date, day_zero)?.to_string();
    }
    Ok(people.person)
}

/// Values that must not leave the sources, by kind (`fixtures/canaries.toml`).
///
/// # Errors
/// A fixture that does not parse.
pub fn canaries() -> Result<BTreeMap<String, Vec<String>>> {
    parse(
        "canaries.toml",
        include_str!("../../../fixtures/canaries.toml"),
    )
}

/// Parses an embedded TOML fixture.
pub(super) fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| ExternalError::Data(format!("fixtures/{name}: {error}")))
}

/// Resolves `@-34y-112d` (34 years, then 112 days before day zero), `@-3d` or `@0d`.
///
/// # Errors
/// Text in another form, or a day outside the calendar's range.
pub fn relative_day(text: &str, day_zero: Day) -> Result<Day> {
    let bad = || ExternalError::Data(format!("{text:?} is no relative day such as @-34y-112d"));
    let mut rest = text
        .strip_prefix('@')
        .filter(|rest| !rest.is_empty())
        .ok_or_else(bad)?;
    let mut day = day_zero;
    if let Some((years, after)) = rest.split_once('y') {
        let years = years.strip_prefix('-').ok_or_else(bad)?;
        day = day
            .years_before(years.parse().map_err(|_| bad())?)
            .map_err(|_| bad())?;
        rest = after;
    }
    if !rest.is_empty() {
        let days: i64 = rest
            .strip_suffix('d')
            .and_then(|days| days.parse().ok())
            .ok_or_else(bad)?;
        day = day.plus(days).map_err(|_| bad())?;
    }
    Ok(day)
}

/// Resolves every relative day inside a JSON value.
pub(super) fn resolve_days(value: &mut serde_json::Value, day_zero: Day) -> Result<()> {
    match value {
        serde_json::Value::String(text) if text.starts_with('@') => {
            *text = relative_day(text, day_zero)?.to_string();
        }
        serde_json::Value::Array(items) => {
            for item in items {
                resolve_days(item, day_zero)?;
            }
        }
        serde_json::Value::Object(fields) => {
            for item in fields.values_mut() {
                resolve_days(item, day_zero)?;
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_days_follow_the_calendar() {
        let zero: Day = "2026-11-20".parse().unwrap();
        let day = |text: &str| relative_day(text, zero).map(|day| day.to_string()).ok();
        assert_eq!(day("@-34y-112d").as_deref(), Some("1992-07-31"));
        assert_eq!(day("@-3d").as_deref(), Some("2026-11-17"));
        assert_eq!(day("@-34y").as_deref(), Some("1992-11-20"));
        assert_eq!(day("@0d").as_deref(), Some("2026-11-20"));
        for text in ["-3d", "@", "@3", "@34y", "@-3x", "@-1y2"] {
            assert!(day(text).is_none(), "{text}");
        }
    }

    #[test]
    fn every_canary_kind_is_listed_and_every_person_is_covered() {
        let canaries = canaries().unwrap();
        for person in people("2026-11-20".parse().unwrap()).unwrap() {
            assert!(canaries["ssns"].contains(&person.ssn), "{}", person.id);
            assert!(
                canaries["ssns"].contains(&person.ssn.replace('-', "")),
                "{}",
                person.id
            );
            assert!(
                canaries["names"].contains(&person.family_name),
                "{}",
                person.id
            );
            assert!(
                canaries["phones"].contains(&person.phone[1..].to_owned()),
                "{}",
                person.id
            );
        }
    }
}
