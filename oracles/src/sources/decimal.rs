//! Decimal numbers as sources write them, exactly.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

/// Most digits after the point, and most places that an exponent moves it.
const MAX_PLACES: u32 = 18;

/// `digits / 10^places`. No `Debug` of its value: it holds a fact.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    digits: i128,
    places: u32,
}

impl Decimal {
    /// The name under which [`super::json`] hands over a number's text.
    pub(crate) const NAME: &'static str = "shp::Decimal";

    /// `-612.37`: digits, at most one point with digits on both sides, no exponent, no sign but `-`.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let (sign, unsigned) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (unsigned, ""),
        };
        let digit = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let places = u32::try_from(fraction.len()).ok()?;
        if whole.is_empty() || !digit(whole) || !digit(fraction) || places > MAX_PLACES {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        Some(Self {
            digits: sign * digits,
            places,
        })
    }

    /// A JSON number, which may have an exponent.
    pub(crate) fn of_number(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let Self { digits, places } = Self::of_text(mantissa)?;
        let moved = exponent.unsigned_abs();
        if moved > MAX_PLACES {
            return None;
        }
        if exponent < 0 {
            let places = places + moved;
            return Some(Self { digits, places });
        }
        let digits = digits.checked_mul(10i128.checked_pow(moved.saturating_sub(places))?)?;
        let places = places.saturating_sub(moved);
        Some(Self { digits, places })
    }

    /// The number times `10^places`, where that is whole; never rounded.
    pub(crate) fn scaled(self, places: u32) -> Option<i64> {
        let up = places.saturating_sub(self.places);
        let down = 10i128.checked_pow(self.places.saturating_sub(places))?;
        let value = self.digits.checked_mul(10i128.checked_pow(up)?)?;
        if value % down != 0 {
            return None;
        }
        i64::try_from(value / down).ok()
    }

    /// The greatest whole number that is not above it.
    pub(crate) fn floor(self) -> Option<i64> {
        i64::try_from(self.digits.div_euclid(10i128.checked_pow(self.places)?)).ok()
    }

    /// The least whole number that is not below it.
    pub(crate) fn ceil(self) -> Option<i64> {
        let digits = self.digits.checked_neg()?;
        Self { digits, ..self }.floor()?.checked_neg()
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decimal")
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
                Decimal::of_number(text)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Other("text"), &self))
            }
        }
        deserializer.deserialize_newtype_struct(Self::NAME, Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exponents_move_the_point_and_nothing_is_rounded() {
        let cents = |text: &str| Decimal::of_number(text).and_then(|it| it.scaled(2));
        for (text, expected) in [
            ("612.37", Some(61_237)),
            ("6.1237e2", Some(61_237)),
            ("61237E-2", Some(61_237)),
            ("612.370", Some(61_237)),
            ("-0", Some(0)),
            ("-0.01", Some(-1)),
            ("612.375", None),
            ("1e18", None),
            ("1e19", None),
            ("1e-19", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(cents(text), expected, "{text}");
        }
        let floor = |text: &str| Decimal::of_text(text).and_then(Decimal::floor);
        assert_eq!((floor("79.99"), floor("-0.5")), (Some(79), Some(-1)));
        let ceil = |text: &str| Decimal::of_text(text).and_then(Decimal::ceil);
        assert_eq!((ceil("140.01"), ceil("140.0")), (Some(141), Some(140)));
        assert_eq!((ceil("-0.5"), ceil("0")), (Some(0), Some(0)));
        for text in ["", "-", ".5", "5.", "+1", "1e2", "1,0", "٣"] {
            assert!(Decimal::of_text(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_cents_are_read_back(cents in any::<i32>()) {
            let cents = i64::from(cents);
            let (sign, size) = (if cents < 0 { "-" } else { "" }, cents.unsigned_abs());
            let text = format!("{sign}{}.{:02}", size / 100, size % 100);
            prop_assert_eq!(Decimal::of_number(&text).unwrap().scaled(2), Some(cents));
        }
    }
}
