//! The records.

use contracts::units::Day;
use serde_json::Value;

use super::super::fixture::resolve_days;
use super::super::{ExternalError, Result};
use super::params::Search;
use super::resources::Kind;

/// Every resource, in the order of the fixture.
pub(super) struct Store {
    patients: Vec<Value>,
    conditions: Vec<Value>,
}

/// One page of a search.
pub(super) struct Found<'a> {
    /// Matches on every page.
    pub(super) total: usize,
    pub(super) page: Vec<&'a Value>,
}

impl Store {
    pub(super) fn load(day_zero: Day) -> Result<Self> {
        let text = include_str!("../../../../fixtures/ehr.json");
        let bad = |detail: &str| ExternalError::Data(format!("fixtures/ehr.json: {detail}"));
        let mut bundle: Value =
            serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
        resolve_days(&mut bundle, day_zero)?;
        let mut store = Self {
            patients: Vec::new(),
            conditions: Vec::new(),
        };
        let entries = bundle["entry"].as_array().ok_or_else(|| bad("no entry"))?;
        for entry in entries {
            let resource = entry["resource"].clone();
            match resource["resourceType"].as_str() {
                Some("Patient") => store.patients.push(resource),
                Some("Condition") => store.conditions.push(resource),
                _ => return Err(bad("an entry is neither Patient nor Condition")),
            }
        }
        Ok(store)
    }

    fn of(&self, kind: Kind) -> &[Value] {
        match kind {
            Kind::Patient => &self.patients,
            Kind::Condition => &self.conditions,
        }
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
                    .all(|filter| filter.matches(resource, base, &self.patients))
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
