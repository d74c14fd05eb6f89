//! Database cells to integers.

use contracts::ids::Jurisdiction;
use contracts::units::Day;

use super::config::Conversion;

/// A database cell, cut down to what mappings read. No `Debug`: it holds a fact.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// NULL.
    Null,
    /// A whole number of any width.
    Integer(i64),
    /// Text; dates too, as `YYYY-MM-DD`.
    Text(String),
}

/// What the conversion expects, for an error that says how to correct the source.
fn expected(conversion: &Conversion) -> &'static str {
    match conversion {
        Conversion::Exists => "anything",
        Conversion::Integer => "a whole number",
        Conversion::Date => "a date YYYY-MM-DD",
        Conversion::Flag => "0 or 1, true or false",
        Conversion::FlagIn { .. } => "text",
        Conversion::State => "a USPS state code",
        Conversion::Dollars => "dollars with at most two decimals",
    }
}

/// The attribute's integer; `None` for NULL.
///
/// # Errors
/// What the cell should have been.
pub(super) fn convert(cell: &Cell, conversion: &Conversion) -> Result<Option<i64>, &'static str> {
    if matches!(conversion, Conversion::Exists) {
        return Ok(Some(1));
    }
    let value = match (conversion, cell) {
        (_, Cell::Null) => return Ok(None),
        (Conversion::Integer, Cell::Integer(value)) => Some(*value),
        (Conversion::Integer, Cell::Text(text)) => integer(text),
        (Conversion::Date, Cell::Text(text)) => text.parse::<Day>().ok().map(Day::number),
        (Conversion::Flag, Cell::Integer(value)) => (0..=1).contains(value).then_some(*value),
        (Conversion::Flag, Cell::Text(text)) => match text.as_str() {
            "1" | "true" => Some(1),
            "0" | "false" => Some(0),
            _ => None,
        },
        (Conversion::FlagIn { codes }, Cell::Text(text)) => Some(i64::from(codes.contains(text))),
        (Conversion::State, Cell::Text(text)) => text
            .parse::<Jurisdiction>()
            .ok()
            .map(|state| i64::from(state.fips())),
        (Conversion::Dollars, Cell::Text(text)) => cents(text),
        _ => None,
    };
    value.map(Some).ok_or_else(|| expected(conversion))
}

/// A canonical decimal integer: no sign but `-`, no leading zeros, no blanks.
fn integer(text: &str) -> Option<i64> {
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

/// `612`, `612.3` or `612.37` as cents; never through a float.
fn cents(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || fraction.len() > 2 {
        return None;
    }
    let scale = if fraction.len() == 1 { 10 } else { 1 };
    let hundredths = fraction.parse::<i64>().ok()? * scale;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(100)?
        .checked_add(hundredths)?
        .checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, conversion: &Conversion) -> Result<Option<i64>, &'static str> {
        convert(&Cell::Text(text.into()), conversion)
    }

    #[test]
    fn money_is_never_rounded() {
        let dollars = Conversion::Dollars;
        assert_eq!(text("612.37", &dollars), Ok(Some(61_237)));
        assert_eq!(text("612.3", &dollars), Ok(Some(61_230)));
        assert_eq!(text("-0.01", &dollars), Ok(Some(-1)));
        for bad in [
            "612.375",
            "6e2",
            ".5",
            "5.",
            "",
            "1,000",
            "99999999999999999999",
            "--1",
        ] {
            assert!(text(bad, &dollars).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_in_the_format_is_an_error_and_not_a_fact() {
        assert_eq!(text("1992-02-29", &Conversion::Date), Ok(Some(33_661)));
        assert!(text("02/29/1992", &Conversion::Date).is_err());
        assert_eq!(text("CA", &Conversion::State), Ok(Some(6)));
        assert!(text("California", &Conversion::State).is_err());
        assert_eq!(convert(&Cell::Integer(1), &Conversion::Flag), Ok(Some(1)));
        assert!(convert(&Cell::Integer(2), &Conversion::Flag).is_err());
        assert!(text("01", &Conversion::Integer).is_err());
        assert!(text("+1", &Conversion::Integer).is_err());
        assert_eq!(convert(&Cell::Null, &Conversion::Flag), Ok(None));
        let codes = Conversion::FlagIn {
            codes: vec!["USC".into()],
        };
        assert_eq!(text("USC", &codes), Ok(Some(1)));
        assert_eq!(text("usc", &codes), Ok(Some(0)));
    }
}
