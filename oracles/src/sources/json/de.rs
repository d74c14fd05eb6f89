//! From [`Json`] to the types of a format, by serde. What does not fit is told by its place, never by its content.

use std::collections::btree_map;
use std::fmt;

use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, Expected, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::super::decimal::Decimal;
use super::Json;

/// A value that does not fit its type: where it is and what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Field names and array places, innermost first.
    path: Vec<String>,
    expected: String,
}

impl Misfit {
    fn new(expected: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            expected: expected.into(),
        }
    }

    fn inside(mut self, step: impl Into<String>) -> Self {
        self.path.push(step.into());
        self
    }

    /// The place, such as `income_report.employments.0.paystubs`.
    pub(crate) fn place(&self) -> String {
        self.path
            .iter()
            .rev()
            .cloned()
            .collect::<Vec<_>>()
            .join(".")
    }

    /// What it should be.
    pub(crate) fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not {}", self.place(), self.expected)
    }
}

impl std::error::Error for Misfit {}

/// The default messages quote what was found; these do not.
impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::new("in its format")
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(expected.to_string())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(expected.to_string())
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("one of {}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("there").inside(field)
    }
}

impl Json {
    /// The value as a type of the format.
    ///
    /// # Errors
    /// [`Misfit`].
    pub(crate) fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, Misfit> {
        T::deserialize(self)
    }
}

impl<'de> Deserializer<'de> for &'de Json {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Json::Null => visitor.visit_unit(),
            Json::Bool(it) => visitor.visit_bool(*it),
            Json::Number(text) => match text.parse::<i64>() {
                Ok(whole) => visitor.visit_i64(whole),
                // Types that take a fraction ask for a `Decimal`.
                Err(_) => Err(Misfit::invalid_type(Unexpected::Other("number"), &visitor)),
            },
            Json::Text(text) => visitor.visit_borrowed_str(text),
            Json::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Json::Object(fields) => visitor.visit_map(Fields {
                fields: fields.iter(),
                next: None,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Json::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self {
            Json::Number(text) if name == Decimal::NAME => visitor.visit_str(text),
            _ if name == Decimal::NAME => Err(Misfit::new("a number")),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    /// Only from an object: by place, the fields of an array could be anybody's.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self {
            Json::Object(_) => self.deserialize_any(visitor),
            _ => Err(Misfit::invalid_type(
                Unexpected::Other("no object"),
                &visitor,
            )),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self {
            Json::Text(text) => visitor.visit_enum(StrDeserializer::<Misfit>::new(text)),
            _ => Err(Misfit::unknown_variant("", variants)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Json>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        let Some((place, item)) = self.0.next() else {
            return Ok(None);
        };
        let read = seed.deserialize(item);
        read.map(Some)
            .map_err(|misfit| misfit.inside(place.to_string()))
    }
}

struct Fields<'de> {
    fields: btree_map::Iter<'de, String, Json>,
    next: Option<(&'de str, &'de Json)>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        self.next = self
            .fields
            .next()
            .map(|(name, value)| (name.as_str(), value));
        self.next
            .map(|(name, _)| seed.deserialize(BorrowedStrDeserializer::new(name)))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let (name, value) = self.next.take().ok_or_else(|| Misfit::new("there"))?;
        seed.deserialize(value)
            .map_err(|misfit| misfit.inside(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Pay {
        cents: i64,
        hours: Option<Decimal>,
        kind: Option<Kind>,
        #[serde(default)]
        inner: Vec<Pay>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Gig,
    }

    fn read(text: &str) -> Result<Pay, String> {
        let json = Json::parse(text.as_bytes()).ok().unwrap();
        json.read::<Pay>().map_err(|misfit| misfit.to_string())
    }

    #[test]
    fn a_misfit_is_told_by_its_place_and_never_quoted() {
        let pay =
            read(r#"{"cents": 7, "hours": 7.50, "kind": "gig", "more": {"x": [1]}}"#).unwrap();
        assert_eq!((pay.cents, pay.kind), (7, Some(Kind::Gig)));
        assert_eq!(pay.hours.unwrap().scaled(2), Some(750));
        assert_eq!(read(r#"{"cents": 7, "hours": null}"#).unwrap().hours, None);
        for (text, told) in [
            (r#"{"cents": 61237.5}"#, "cents is not i64"),
            (r#"{"cents": "61237"}"#, "cents is not i64"),
            (r#"{"cents": 92233720368547758070}"#, "cents is not i64"),
            (r#"{}"#, "cents is not there"),
            (r#"[1, null, null, []]"#, " is not struct Pay"),
            (r#"{"cents": 1, "hours": "61237"}"#, "hours is not a number"),
            (r#"{"cents": 1, "kind": "61237"}"#, "kind is not one of gig"),
            (
                r#"{"cents": 1, "inner": [{"cents": 1}, {"cents": [61237]}]}"#,
                "inner.1.cents is not i64",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), told, "{text}");
        }
    }
}
