//! Cells of databases and values of documents to integers.

use std::collections::BTreeMap;

use contracts::ids::Jurisdiction;
use contracts::units::Day;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::decimal::Decimal;
use super::json::Json;

/// How a cell becomes the attribute's integer. NULL is no record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case", deny_unknown_fields)]
pub enum Conversion {
    /// 1 because the record exists.
    Exists,
    /// A whole number.
    Integer,
    /// A number, its fraction cut off: an hour begun is no hour.
    Floor,
    /// `YYYY-MM-DD`, as days since 1900-01-01.
    Date,
    /// `MM/DD/YYYY`, as days since 1900-01-01.
    DateUs,
    /// The day in UTC of an RFC 3339 time, as days since 1900-01-01.
    Time,
    /// 0 or 1, true or false.
    Flag,
    /// 1 if the text is one of these codes, else 0.
    FlagIn {
        /// The codes.
        codes: Vec<String>,
    },
    /// The number that a table gives for the text, which must be in it.
    Code {
        /// Text to number.
        codes: BTreeMap<String, i64>,
    },
    /// A USPS state code, as its FIPS number.
    State,
    /// Dollars with at most two decimals (`612.37`), as cents.
    Dollars,
}

/// A database cell or a value of a document, cut down to what mappings read. No `Debug`: it holds a fact.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// NULL.
    Null,
    /// True or false.
    Flag(bool),
    /// A whole number of any width.
    Integer(i64),
    /// A number with a fraction.
    Decimal(Decimal),
    /// Text; dates too, as `YYYY-MM-DD`.
    Text(String),
}

impl Cell {
    /// A value of a document; none where it is an array, an object or too large a number.
    pub(crate) fn of_json(json: &Json) -> Option<Self> {
        match json {
            Json::Null => Some(Self::Null),
            Json::Bool(it) => Some(Self::Flag(*it)),
            Json::Text(text) => Some(Self::Text(text.clone())),
            Json::Number(text) => match text.parse() {
                Ok(whole) => Some(Self::Integer(whole)),
                Err(_) => Decimal::of_number(text).map(Self::Decimal),
            },
            Json::Array(_) | Json::Object(_) => None,
        }
    }
}

/// What the conversion expects, for an error that says how to correct the source.
fn expected(conversion: &Conversion) -> &'static str {
    match conversion {
        Conversion::Exists => "anything",
        Conversion::Integer => "a whole number",
        Conversion::Floor => "a number",
        Conversion::Date => "a date YYYY-MM-DD",
        Conversion::DateUs => "a date MM/DD/YYYY",
        Conversion::Time => "an RFC 3339 time",
        Conversion::Flag => "0 or 1, true or false",
        Conversion::FlagIn { .. } => "text",
        Conversion::Code { .. } => "one of the codes of its mapping",
        Conversion::State => "a USPS state code",
        Conversion::Dollars => "dollars with at most two decimals",
    }
}

/// The attribute's integer; `None` for NULL.
///
/// # Errors
/// What the cell should have been.
pub(crate) fn convert(cell: &Cell, conversion: &Conversion) -> Result<Option<i64>, &'static str> {
    if matches!(conversion, Conversion::Exists) {
        return Ok(Some(1));
    }
    let value = match (conversion, cell) {
        (_, Cell::Null) => return Ok(None),
        (Conversion::Integer | Conversion::Floor, Cell::Integer(value)) => Some(*value),
        (Conversion::Integer, Cell::Decimal(value)) => value.scaled(0),
        (Conversion::Integer, Cell::Text(text)) => integer(text),
        (Conversion::Floor, Cell::Decimal(value)) => value.floor(),
        (Conversion::Floor, Cell::Text(text)) => Decimal::of_text(text).and_then(Decimal::floor),
        (Conversion::Date, Cell::Text(text)) => text.parse::<Day>().ok().map(Day::number),
        (Conversion::DateUs, Cell::Text(text)) => us_date(text).map(Day::number),
        (Conversion::Time, Cell::Text(text)) => day_of_time(text).map(Day::number),
        (Conversion::Flag, Cell::Flag(value)) => Some(i64::from(*value)),
        (Conversion::Flag, Cell::Integer(value)) => (0..=1).contains(value).then_some(*value),
        (Conversion::Flag, Cell::Text(text)) => match text.as_str() {
            "1" | "true" => Some(1),
            "0" | "false" => Some(0),
            _ => None,
        },
        (Conversion::FlagIn { codes }, Cell::Text(text)) => Some(i64::from(codes.contains(text))),
        (Conversion::Code { codes }, Cell::Text(text)) => codes.get(text).copied(),
        (Conversion::Code { codes }, Cell::Integer(value)) => {
            codes.get(&value.to_string()).copied()
        }
        (Conversion::State, Cell::Text(text)) => text
            .parse::<Jurisdiction>()
            .ok()
            .map(|state| i64::from(state.fips())),
        (Conversion::Dollars, Cell::Integer(value)) => value.checked_mul(100),
        (Conversion::Dollars, Cell::Decimal(value)) => value.scaled(2),
        (Conversion::Dollars, Cell::Text(text)) => cents(text),
        _ => None,
    };
    value.map(Some).ok_or_else(|| expected(conversion))
}

/// The day of a date, or in UTC of an RFC 3339 time.
pub(super) fn day(text: &str) -> Option<Day> {
    text.parse().ok().or_else(|| day_of_time(text))
}

fn day_of_time(text: &str) -> Option<Day> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    contracts::units::UnixTime(time.unix_timestamp()).day().ok()
}

fn us_date(text: &str) -> Option<Day> {
    let (month, rest) = text.split_once('/')?;
    let (day, year) = rest.split_once('/')?;
    if (month.len(), day.len(), year.len()) != (2, 2, 4) {
        return None;
    }
    format!("{year}-{month}-{day}").parse().ok()
}

/// A canonical decimal integer: no sign but `-`, no leading zeros, no blanks.
fn integer(text: &str) -> Option<i64> {
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

/// `612`, `612.3` or `612.37` as cents; a third decimal is refused even where it is 0.
fn cents(text: &str) -> Option<i64> {
    let decimals = text.split_once('.').map_or(0, |(_, after)| after.len());
    Decimal::of_text(text).filter(|_| decimals <= 2)?.scaled(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, conversion: &Conversion) -> Result<Option<i64>, &'static str> {
        convert(&Cell::Text(text.into()), conversion)
    }

    fn json(text: &str, conversion: &Conversion) -> Result<Option<i64>, &'static str> {
        let json = Json::parse(text.as_bytes()).ok().unwrap();
        let cell = Cell::of_json(&json).ok_or("a value")?;
        convert(&cell, conversion)
    }

    #[test]
    fn money_is_never_rounded() {
        let dollars = Conversion::Dollars;
        assert_eq!(text("612.37", &dollars), Ok(Some(61_237)));
        assert_eq!(text("612.3", &dollars), Ok(Some(61_230)));
        assert_eq!(text("-0.01", &dollars), Ok(Some(-1)));
        for bad in [
            "612.375",
            "612.370",
            "6e2",
            ".5",
            "5.",
            "",
            "1,000",
            "$5",
            "99999999999999999999",
            "--1",
        ] {
            assert!(text(bad, &dollars).is_err(), "{bad}");
        }
        // A float would make 8.03 and 1.15 something else.
        for (number, cents) in [
            ("8.03", 803),
            ("1.15", 115),
            ("612", 61_200),
            ("6.1237e2", 61_237),
        ] {
            assert_eq!(json(number, &dollars), Ok(Some(cents)), "{number}");
        }
        for bad in ["612.375", "1e30", "9223372036854775807", "true"] {
            assert!(json(bad, &dollars).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_in_the_format_is_an_error_and_not_a_fact() {
        assert_eq!(text("1992-02-29", &Conversion::Date), Ok(Some(33_661)));
        assert!(text("02/29/1992", &Conversion::Date).is_err());
        assert_eq!(text("02/29/1992", &Conversion::DateUs), Ok(Some(33_661)));
        for bad in ["2/29/1992", "29/02/1992", "1992-02-29", "02/30/1992"] {
            assert!(text(bad, &Conversion::DateUs).is_err(), "{bad}");
        }
        let time = Conversion::Time;
        assert_eq!(text("1992-02-28T23:00:00-05:00", &time), Ok(Some(33_661)));
        assert!(text("1992-02-29", &time).is_err());
        assert_eq!(text("CA", &Conversion::State), Ok(Some(6)));
        assert!(text("California", &Conversion::State).is_err());
        assert_eq!(convert(&Cell::Integer(1), &Conversion::Flag), Ok(Some(1)));
        assert!(convert(&Cell::Integer(2), &Conversion::Flag).is_err());
        assert!(text("01", &Conversion::Integer).is_err());
        assert!(text("+1", &Conversion::Integer).is_err());
        assert_eq!(json("6.0", &Conversion::Integer), Ok(Some(6)));
        assert!(json("6.5", &Conversion::Integer).is_err());
        assert_eq!(json("79.99", &Conversion::Floor), Ok(Some(79)));
        assert_eq!(convert(&Cell::Null, &Conversion::Flag), Ok(None));
        assert_eq!(json("true", &Conversion::Flag), Ok(Some(1)));
        assert!(Cell::of_json(&Json::Array(Vec::new())).is_none());
        let codes = Conversion::FlagIn {
            codes: vec!["USC".into()],
        };
        assert_eq!(text("USC", &codes), Ok(Some(1)));
        assert_eq!(text("usc", &codes), Ok(Some(0)));
        let code = Conversion::Code {
            codes: [("Y".to_owned(), 1), ("N".to_owned(), 0)].into(),
        };
        assert_eq!(text("N", &code), Ok(Some(0)));
        assert!(
            text("maybe", &code).is_err(),
            "a code nobody mapped is no fact"
        );
    }
}
