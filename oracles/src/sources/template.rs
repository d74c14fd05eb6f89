//! Parts of a request that name source keys: `accounts/{account_id}`. Keys are only ever put in whole, encoded for their place.

use std::collections::{BTreeMap, BTreeSet};

use contracts::units::Period;

use super::error::SourceError;

/// What a request is filled in with: the keys of a handle, and `period.start` and `period.end`. No `Debug`: keys name a person.
#[derive(Clone, Copy)]
pub(super) struct Filling<'a> {
    pub(super) source_name: &'a str,
    pub(super) keys: &'a BTreeMap<String, String>,
    pub(super) period: Period,
}

impl Filling<'_> {
    /// The text that a name stands for.
    pub(super) fn get(&self, name: &str) -> Result<String, SourceError> {
        match name {
            "period.start" => Ok(self.period.start.to_string()),
            "period.end" => Ok(self.period.end.to_string()),
            name => self
                .keys
                .get(name)
                .cloned()
                .ok_or_else(|| SourceError::NoKey {
                    source_name: self.source_name.to_owned(),
                    key: name.to_owned(),
                }),
        }
    }

    /// A template with its names replaced, plain text.
    pub(super) fn text(&self, template: &str) -> Result<String, SourceError> {
        let mut text = String::new();
        for part in parts(template).unwrap_or_default() {
            match part {
                Part::Plain(plain) => text.push_str(plain),
                Part::Name(name) => text.push_str(&self.get(name)?),
            }
        }
        Ok(text)
    }

    /// The segments of a path template. A key is inside one segment, whatever it holds; one that would climb is refused.
    pub(super) fn path(&self, template: &str) -> Result<Vec<String>, SourceError> {
        let segments = template.split('/').map(|segment| self.text(segment));
        let segments = segments.collect::<Result<Vec<_>, _>>()?;
        if segments
            .iter()
            .any(|segment| matches!(segment.as_str(), "" | "." | ".."))
        {
            return Err(SourceError::Malformed {
                source_name: self.source_name.to_owned(),
                field: "a key of the handle".to_owned(),
                expected: "one that can stand in a path".to_owned(),
            });
        }
        Ok(segments)
    }
}

enum Part<'a> {
    Plain(&'a str),
    Name(&'a str),
}

/// The parts of a template; none for a brace without its other.
fn parts(template: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((plain, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}')?;
        if plain.contains('}') || name.is_empty() || name.contains('{') {
            return None;
        }
        parts.extend([Part::Plain(plain), Part::Name(name)]);
        rest = behind;
    }
    if rest.contains('}') {
        return None;
    }
    parts.push(Part::Plain(rest));
    Some(parts)
}

/// The names in a template; none where it is not one.
pub(super) fn names(template: &str) -> Option<BTreeSet<&str>> {
    let names = parts(template)?.into_iter().filter_map(|part| match part {
        Part::Name(name) => Some(name),
        Part::Plain(_) => None,
    });
    Some(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_whole_and_a_key_never_leaves_its_segment() {
        let keys: BTreeMap<String, String> = [("id", "a/b?c#{id}"), ("up", ".."), ("none", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let filling = Filling {
            source_name: "bank",
            keys: &keys,
            period: "2026-10-22/2026-11-20".parse().unwrap(),
        };
        assert_eq!(
            filling.text("{period.start}T{id}").unwrap(),
            "2026-10-22Ta/b?c#{id}"
        );
        assert_eq!(filling.path("x/{id}/y").unwrap(), ["x", "a/b?c#{id}", "y"]);
        for climbing in ["x/{up}/y", "x/{none}", "x/.{none}"] {
            assert!(filling.path(climbing).is_err(), "{climbing}");
        }
        assert!(
            matches!(filling.text("{ssn}"), Err(SourceError::NoKey { key, .. }) if key == "ssn")
        );
    }

    #[test]
    fn a_template_with_a_lone_brace_is_none() {
        assert_eq!(names("a/{b}/{c}{d}"), Some(["b", "c", "d"].into()));
        for bad in ["{", "}", "{}", "a{b", "a}b{c}", "{a{b}}"] {
            assert_eq!(names(bad), None, "{bad}");
        }
    }
}
