//! The records.

use std::collections::BTreeMap;

use contracts::units::Day;
use serde_json::Value;

use super::super::fixture::resolve_days;
use super::super::{ExternalError, Result};
use super::params::Search;
use super::resources::Kind;

/// Every resource by type, in the order of the fixture; then those that were generated.
pub(super) struct Store(BTreeMap<Kind, Vec<Value>>);

/// One page of a search.
pub(super) struct Found<'a> {
    /// Matches on every page.
    pub(super) total: usize,
    pub(super) page: Vec<&'a Value>,
}

impl Store {
    pub(super) fn load(day_zero: Day, generated: Vec<Value>) -> Result<Self> {
        let text = include_str!("../../../../fixtures/ehr.json");
        let bad = |detail: &str| ExternalError::Data(format!("fixtures/ehr.json: {detail}"));
        let mut bundle: Value =
            serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
        resolve_days(&mut bundle, day_zero)?;
        let entries = bundle["entry"].as_array().ok_or_else(|| bad("no entry"))?;
        let entries = entries.iter().map(|entry| entry["resource"].clone());
        let mut store = Self(BTreeMap::new());
        for resource in entries.chain(generated) {
            let kind = resource["resourceType"].as_str();
            let kind = kind.and_then(|kind| Kind::parse(kind).ok());
            let kind = kind.ok_or_else(|| bad("an entry is of a type that is not served"))?;
            store.0.entry(kind).or_default().push(resource);
        }
        Ok(store)
    }

    fn of(&self, kind: Kind) -> &[Value] {
        self.0.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn read(&self, kind: Kind, id: &str) -> Option<&Value> {
        self.of(kind)
            .iter()
            .find(|resource| resource["id"].as_str() == Some(id))
    }

    pub(super) fn search(&self, search: &Search, base: &str) -> Found<'_> {
        let matches: Vec<&Value> = self
            .of(search.kind)
            .iter()
            .filter(|resource| {
                search
                    .filters
                    .iter()
                    .all(|filter| filter.matches(resource, base, self.of(Kind::Patient)))
            })
            .collect();
        let total = matches.len();
        let page = matches
            .into_iter()
            .skip(search.offset)
            .take(search.count)
            .collect();
        Found { total, page }
    }
}
