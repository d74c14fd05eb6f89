//! Change feeds: whose records a source touched since a marker, and nothing of what they say.
//!
//! A feed is asked for what is at or after its high-water mark, so the last instant is read again: of two records touched in
//! the same second none is lost. What is read twice is told apart by whoever compares values.

mod desk;
mod fhir;
mod json;
mod sql;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use contracts::units::UnixTime;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use self::desk::DeskFeed;
pub use self::fhir::FhirFeed;
pub use self::json::JsonFeed;
pub use self::sql::SqlFeed;

use super::error::{ConfigError, SourceError};
use super::guard::Guard;
use super::{Source, Sources, unfit};

/// Longest key, in bytes.
const MAX_KEY: usize = 256;
/// Longest marker, in bytes.
const MAX_MARKER: usize = 64;
/// How far a marker that is a time may lie ahead: a later one would hide what changes until then.
const MAX_AHEAD: time::Duration = time::Duration::DAY;
/// Least length of a webhook's secret.
const MIN_SECRET: usize = 32;

/// How a source says whose records it touched.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    /// Its name, in addresses and logs: lower-case letters, digits, `-`.
    pub name: String,
    /// A `[[roles.attest.source]]`, whose time-outs and caps hold here too.
    pub source: String,
    /// The source key of handles that the feed names people by.
    pub key: String,
    /// Seconds from one look to the next.
    #[serde(default = "every_s")]
    pub every_s: u64,
    /// The first marker; by default the time of the day before the first look, RFC 3339, and of a desk its first entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Seconds before the mark that are read again, where markers are times: for sources that commit late.
    #[serde(default)]
    pub overlap_s: u32,
    /// Milliseconds for one look, pages and all.
    #[serde(default = "deadline_ms")]
    pub deadline_ms: u64,
    /// What the source signs webhooks with; without it there is no door for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
    /// What is asked.
    pub read: FeedRead,
}

fn every_s() -> u64 {
    900
}

fn deadline_ms() -> u64 {
    60_000
}

impl fmt::Debug for FeedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedConfig({})", self.name)
    }
}

/// What a feed asks of its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum FeedRead {
    /// Rows of a query.
    Sql(SqlFeed),
    /// Records of a JSON document, of a `json` or `emmy` source.
    Json(JsonFeed),
    /// A search by `_lastUpdated`.
    Fhir(FhirFeed),
    /// Entries of a desk, by number.
    Desk(DeskFeed),
}

impl FeedConfig {
    /// The marker to ask from at first.
    pub(crate) fn first(&self, now: UnixTime) -> String {
        let by_default = || match self.read {
            FeedRead::Desk(_) => "0".to_owned(),
            _ => written(now.0 - 86_400),
        };
        self.start.clone().unwrap_or_else(by_default)
    }

    fn fault(&self, source: &Source) -> Option<(String, String)> {
        let fault = |problem: &str, fix: &str| Some((problem.to_owned(), fix.to_owned()));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=64).contains(&self.name.len()) || !self.name.bytes().all(plain) {
            return fault("no name", "write up to 64 of a-z, 0-9 and -");
        }
        if self.every_s == 0 || self.deadline_ms == 0 {
            return fault("no time", "write every_s and deadline_ms from 1");
        }
        let secret = self.webhook_secret.as_ref();
        if secret.is_some_and(|secret| secret.len() < MIN_SECRET) {
            return fault("a short webhook_secret", "write at least 32 characters");
        }
        match (&self.read, source) {
            (FeedRead::Sql(_), Source::Sql(_)) => None,
            (FeedRead::Json(read), Source::Json(_) | Source::Emmy(_)) => read.fault(),
            (FeedRead::Fhir(_), Source::Fhir(_)) => None,
            (FeedRead::Desk(_), Source::Desk(_)) => {
                let number = |start: &String| start.parse::<u64>().is_ok();
                match self.start.as_ref().is_none_or(number) {
                    true => None,
                    false => fault(
                        "no number to start at",
                        "write an entry's number, or nothing",
                    ),
                }
            }
            _ => fault(
                "of another kind than its source",
                "write sql for sql, json for json and emmy, fhir for fhir, desk for desk",
            ),
        }
    }
}

/// A record that was touched. No `Debug`: the key names a person.
struct Touched {
    key: String,
    marker: String,
}

/// What one look brings, in the source's order.
struct Look {
    touched: Vec<Touched>,
    /// Whether a cap ended it before the source did.
    capped: bool,
}

/// Whose records were touched. No `Debug`: keys name people.
pub struct Touches {
    /// The people, by the feed's key, each once.
    pub keys: BTreeSet<String>,
    /// The marker to ask from next, once these are dealt with.
    pub marker: String,
    /// Whether the source has no more now.
    pub complete: bool,
}

impl Sources {
    /// Checks a feed.
    ///
    /// # Errors
    /// [`ConfigError`], naming the feed and the fix.
    pub fn check_feed(&self, feed: &FeedConfig) -> Result<(), ConfigError> {
        let at = format!("feed {}", feed.name);
        let Some(source) = self.sources.get(&feed.source) else {
            return Err(ConfigError {
                at,
                problem: "unknown source".to_owned(),
                fix: format!("add a [[roles.attest.source]] named {}", feed.source),
            });
        };
        match feed.fault(source) {
            None => Ok(()),
            Some((problem, fix)) => Err(ConfigError { at, problem, fix }),
        }
    }

    /// Asks a feed for what was touched at or after a marker, within its source's caps. What is beyond them comes next time.
    ///
    /// # Errors
    /// The source failed, or answered what cannot be followed: pages that lead in a circle, more than a cap in no order or at
    /// one instant, a time in the future.
    pub async fn touched(
        &self,
        feed: &FeedConfig,
        since: &str,
        now: UnixTime,
    ) -> Result<Touches, SourceError> {
        let name = feed.source.as_str();
        let source = self.sources.get(name).ok_or_else(|| unfit(name))?;
        let guard = source.guard();
        let from = before(since, feed.overlap_s);
        let look = async {
            match (&feed.read, source) {
                (FeedRead::Sql(read), Source::Sql(source)) => sql::look(source, read, &from).await,
                (FeedRead::Json(read), Source::Json(source)) => {
                    json::look(&source.0, name, read, &from).await
                }
                (FeedRead::Json(read), Source::Emmy(source)) => {
                    json::look(&source.0, name, read, &from).await
                }
                (FeedRead::Fhir(read), Source::Fhir(source)) => {
                    fhir::look(source, read, &from).await
                }
                (FeedRead::Desk(_), Source::Desk(source)) => {
                    desk::look(source, &feed.key, &from).await
                }
                _ => Err(unfit(name)),
            }
        };
        // Boxed: the compiler cannot tell that what the adapters borrow may move between threads.
        let look: BoxFuture<'_, _> = Box::pin(look);
        let began = Instant::now();
        let look = tokio::time::timeout(Duration::from_millis(feed.deadline_ms), look)
            .await
            .unwrap_or_else(|_| Err(guard.timed_out()));
        let touches = look.and_then(|look| settle(guard, since, look, now));
        let kind = match &touches {
            Ok(_) => "feed",
            Err(error) => error.kind(),
        };
        self.metrics.source_read(name, kind, began.elapsed());
        touches
    }
}

/// Checks a look and finds where the next one begins.
fn settle(guard: &Guard, since: &str, look: Look, now: UnixTime) -> Result<Touches, SourceError> {
    let latest = OffsetDateTime::from_unix_timestamp(now.0)
        .ok()
        .and_then(|now| now.checked_add(MAX_AHEAD));
    let (mut marker, mut last) = (since.to_owned(), None::<&str>);
    let mut ordered = true;
    for touched in &look.touched {
        let at = touched.marker.as_str();
        if touched.key.is_empty() || touched.key.len() > MAX_KEY {
            return Err(guard.malformed("the key", "of 1 to 256 bytes"));
        }
        if at.is_empty() || at.len() > MAX_MARKER {
            return Err(guard.malformed("the marker", "of 1 to 64 bytes"));
        }
        if instant(at)
            .zip(latest)
            .is_some_and(|(at, latest)| at > latest)
        {
            return Err(guard.malformed("the marker", "a time that is not in the future"));
        }
        ordered &= last.is_none_or(|last| order(last, at).is_le());
        last = Some(at);
        if order(at, &marker).is_gt() {
            marker = at.to_owned();
        }
    }
    if look.capped {
        if !ordered {
            return Err(guard.malformed("the feed", "ordered by its marker"));
        }
        if order(&marker, since).is_le() {
            // No next look would get past this instant.
            guard.capped("changes at one instant", 1, 0)?;
        }
    }
    Ok(Touches {
        keys: look.touched.into_iter().map(|it| it.key).collect(),
        marker,
        complete: !look.capped,
    })
}

/// Whole numbers by size, RFC 3339 times by time, anything else by its bytes.
fn order(one: &str, other: &str) -> Ordering {
    if let (Ok(one), Ok(other)) = (one.parse::<i64>(), other.parse::<i64>()) {
        return one.cmp(&other);
    }
    match (instant(one), instant(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one.cmp(other),
    }
}

fn instant(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// A marker so many seconds earlier, where it is a time.
fn before(marker: &str, seconds: u32) -> String {
    let earlier = instant(marker)
        .filter(|_| seconds > 0)
        .and_then(|at| at.checked_sub(time::Duration::seconds(seconds.into())))
        .and_then(|at| at.format(&Rfc3339).ok());
    earlier.unwrap_or_else(|| marker.to_owned())
}

fn written(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Limits;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn settled(
        since: &str,
        touched: &[(&str, &str)],
        capped: bool,
    ) -> Result<Touches, SourceError> {
        let touched = touched.iter().map(|(key, marker)| Touched {
            key: (*key).to_owned(),
            marker: (*marker).to_owned(),
        });
        let look = Look {
            touched: touched.collect(),
            capped,
        };
        settle(&Guard::new("s", &Limits::default()), since, look, NOW)
    }

    #[test]
    fn the_mark_is_the_latest_marker_by_number_time_or_text() {
        let mark = |since, touched: &[_]| settled(since, touched, false).ok().unwrap().marker;
        assert_eq!(mark("9", &[("a", "10"), ("b", "9")]), "10");
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z");
        assert_eq!(
            mark(early, &[("a", late)]),
            late,
            "although . sorts before Z"
        );
        assert_eq!(mark(late, &[("a", "2026-01-01T01:00:00+02:00")]), late);
        assert_eq!(mark("b", &[("a", "a")]), "b");
        assert_eq!(mark("7", &[]), "7");
    }

    #[test]
    fn a_capped_look_goes_on_where_it_ended_and_must_get_on() {
        let look = settled("1", &[("a", "1"), ("b", "2")], true).ok().unwrap();
        assert_eq!((look.marker.as_str(), look.complete), ("2", false));
        for stuck in [&[("a", "2"), ("b", "1")][..], &[("a", "1"), ("b", "1")]] {
            assert!(settled("1", stuck, true).is_err());
        }
    }

    #[test]
    fn attack_a_marker_in_the_future_hides_nothing() {
        for bad in ["2300-01-01T00:00:00Z", "", &"9".repeat(65)] {
            assert!(settled("2026-01-01T00:00:00Z", &[("a", bad)], false).is_err());
        }
        assert!(settled("1", &[("", "2")], false).is_err());
    }

    #[test]
    fn an_overlap_moves_times_only() {
        assert_eq!(before("2026-01-01T00:00:30Z", 60), "2025-12-31T23:59:30Z");
        assert_eq!(before("77", 60), "77");
        assert_eq!(written(0), "1970-01-01T00:00:00Z");
    }
}
