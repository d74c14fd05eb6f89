//! Dates, instants and money as types: no bare integers cross a public interface.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::{Date, Month};

/// A date that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a date: write YYYY-MM-DD, from 1900-01-01 to 2199-12-31")]
pub struct BadDate(pub String);

/// Julian day number of 1900-01-01.
const EPOCH_JULIAN: i32 = 2_415_021;
/// Days from 1900-01-01 to 1970-01-01.
const UNIX_EPOCH_DAY: i64 = 25_567;
const SECONDS_PER_DAY: i64 = 86_400;
/// The last day that can be named, 2199-12-31.
const LAST_DAY: i32 = 109_572;

/// A calendar day, counted from 1900-01-01 = 0; JSON form `YYYY-MM-DD`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(i32);

impl Day {
    /// The day with this number.
    ///
    /// # Errors
    /// A number before 1900-01-01 or after 2199-12-31.
    pub fn from_number(number: i64) -> Result<Self, BadDate> {
        i32::try_from(number)
            .ok()
            .filter(|number| (0..=LAST_DAY).contains(number))
            .map(Self)
            .ok_or_else(|| BadDate(format!("day {number}")))
    }

    /// Days since 1900-01-01.
    pub fn number(self) -> i64 {
        i64::from(self.0)
    }

    /// The day of a year, month (1–12) and day of month.
    ///
    /// # Errors
    /// No such day.
    pub fn from_ymd(year: i32, month: u8, day: u8) -> Result<Self, BadDate> {
        let bad = || BadDate(format!("{year:04}-{month:02}-{day:02}"));
        let month = Month::try_from(month).map_err(|_| bad())?;
        let date = Date::from_calendar_date(year, month, day).map_err(|_| bad())?;
        Self::from_number(i64::from(date.to_julian_day() - EPOCH_JULIAN)).map_err(|_| bad())
    }

    /// The calendar date.
    pub fn date(self) -> Date {
        Date::from_julian_day(self.0 + EPOCH_JULIAN)
            .expect("days from 1900 to 2199 are within the range of the time crate")
    }

    /// This many days later (or earlier, if negative).
    ///
    /// # Errors
    /// The result is outside 1900 to 2199.
    pub fn plus(self, days: i64) -> Result<Self, BadDate> {
        Self::from_number(self.number() + days)
    }

    /// The same day `years` earlier; 29 February becomes 28 February where absent.
    ///
    /// # Errors
    /// The result is before 1900.
    pub fn years_before(self, years: u16) -> Result<Self, BadDate> {
        let date = self.date();
        let (year, month) = (date.year() - i32::from(years), u8::from(date.month()));
        Self::from_ymd(year, month, date.day()).or_else(|error| {
            if month == 2 && date.day() == 29 {
                Self::from_ymd(year, 2, 28)
            } else {
                Err(error)
            }
        })
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.date();
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Day {
    type Err = BadDate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadDate(text.to_owned());
        let bytes = text.as_bytes();
        let digits = |range: std::ops::Range<usize>| {
            text.get(range)
                .filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|part| part.parse::<i32>().ok())
                .ok_or_else(bad)
        };
        if bytes.len() != 10 || bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
            return Err(bad());
        }
        let month = u8::try_from(digits(5..7)?).map_err(|_| bad())?;
        let day = u8::try_from(digits(8..10)?).map_err(|_| bad())?;
        Self::from_ymd(digits(0..4)?, month, day).map_err(|_| bad())
    }
}

impl TryFrom<String> for Day {
    type Error = BadDate;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

/// A reference period, both days included; JSON form is the ISO 8601 interval `start/end`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    /// First day.
    pub start: Day,
    /// Last day, not before the first.
    pub end: Day,
}

impl Period {
    /// The calendar month that a day lies in.
    ///
    /// # Errors
    /// A month that the calendar of this program, 1900 to 2199, does not hold as a whole.
    pub fn month_of(day: Day) -> Result<Self, BadDate> {
        let date = day.date();
        let days = date.month().length(date.year());
        let start = Day::from_ymd(date.year(), date.month().into(), 1)?;
        Ok(Self {
            start,
            end: start.plus(i64::from(days) - 1)?,
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start, self.end)
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Period {
    type Err = BadDate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (start, end) = text
            .split_once('/')
            .ok_or_else(|| BadDate(text.to_owned()))?;
        let period = Self {
            start: start.parse()?,
            end: end.parse()?,
        };
        if period.end < period.start {
            return Err(BadDate(text.to_owned()));
        }
        Ok(period)
    }
}

impl TryFrom<String> for Period {
    type Error = BadDate;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

/// An instant: seconds since 1970-01-01T00:00:00Z (JWT `NumericDate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// The UTC day of this instant.
    ///
    /// # Errors
    /// An instant before 1900 or after 2199.
    pub fn day(self) -> Result<Day, BadDate> {
        Day::from_number(self.0.div_euclid(SECONDS_PER_DAY) + UNIX_EPOCH_DAY)
    }
}

impl Day {
    /// Midnight UTC at the start of this day.
    pub fn start(self) -> UnixTime {
        UnixTime((self.number() - UNIX_EPOCH_DAY) * SECONDS_PER_DAY)
    }
}

/// An amount of money in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cents(pub i64);

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(f, "{sign}${}.{:02}", cents / 100, cents % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn days_count_from_1900() {
        assert_eq!(day("1900-01-01").number(), 0);
        assert_eq!(day("1970-01-01").number(), UNIX_EPOCH_DAY);
        assert_eq!(day("2199-12-31").number(), i64::from(LAST_DAY));
        assert_eq!(UnixTime(0).day(), Ok(day("1970-01-01")));
        assert_eq!(UnixTime(-1).day(), Ok(day("1969-12-31")));
        assert_eq!(day("1970-01-02").start(), UnixTime(86_400));
    }

    #[test]
    fn a_leap_day_goes_back_to_28_february() {
        assert_eq!(day("2024-02-29").years_before(19), Ok(day("2005-02-28")));
        assert_eq!(day("2024-02-29").years_before(4), Ok(day("2020-02-29")));
        assert_eq!(day("2026-11-20").years_before(65), Ok(day("1961-11-20")));
    }

    #[test]
    fn other_spellings_of_a_date_are_refused() {
        for text in [
            "2026-2-03",
            "2026-02-30",
            "2026/02/03",
            "+026-02-03",
            "20260203",
            "1899-12-31",
            "é026-02-3",
        ] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        assert!("2026-02-03/2026-02-02".parse::<Period>().is_err());
    }
}
