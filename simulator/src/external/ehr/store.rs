//! The records, as the fixtures and generators have them and as staff changed them since.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use contracts::units::{Day, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::fixture::resolve_days;
use super::super::journal::Journal;
use super::super::times::rfc3339;
use super::super::{ExternalError, Result};
use super::params::Search;
use super::resources::Kind;

/// Days from day zero to when the records were written.
const WRITTEN_BEFORE: i64 = -3;

/// What staff wrote into a record: all active conditions of a patient are over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resolved {
    /// The patient's medical record number.
    pub(super) mrn: String,
    /// When it was written.
    pub(super) recorded_at: UnixTime,
}

/// Records that can be written into where there is a journal.
pub(super) struct Store {
    records: RwLock<Arc<Records>>,
    journal: Option<Journal<Resolved>>,
}

/// Every resource by type, in the order of the fixture; then those that were generated.
#[derive(Clone)]
pub(super) struct Records(BTreeMap<Kind, Vec<Value>>);

/// One page of a search.
pub(super) struct Found<'a> {
    /// Matches on every page.
    pub(super) total: usize,
    pub(super) page: Vec<&'a Value>,
}

impl Store {
    /// # Errors
    /// A fixture or journal that does not parse.
    pub(super) fn load(
        day_zero: Day,
        generated: Vec<Value>,
        folder: Option<&Path>,
    ) -> Result<Self> {
        let mut records = Records::load(day_zero, generated)?;
        let journal = folder.map(|folder| Journal::open(folder.join("ehr-resolved.jsonl")));
        let journal = journal.transpose()?;
        if let Some(journal) = &journal {
            for resolved in journal.read(<[Resolved]>::to_vec) {
                records.resolve(&resolved)?;
            }
        }
        Ok(Self {
            records: RwLock::new(Arc::new(records)),
            journal,
        })
    }

    /// The records as they are now.
    pub(super) fn records(&self) -> Arc<Records> {
        let records = self.records.read();
        Arc::clone(&records.unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes that a patient's conditions are over; told twice, the first stands. None for an unknown number.
    ///
    /// # Errors
    /// The journal cannot be written, or there is none.
    pub(super) fn resolve(&self, resolved: Resolved) -> Result<Option<Resolved>> {
        let read_only = || ExternalError::Data("these records are not written into".to_owned());
        let journal = self.journal.as_ref().ok_or_else(read_only)?;
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        if records.patient(&resolved.mrn).is_none() {
            return Ok(None);
        }
        let mrn = resolved.mrn.clone();
        let stands = journal.append(resolved, |before| {
            before.iter().find(|before| before.mrn == mrn).cloned()
        })?;
        let mut changed = Records::clone(&records);
        changed.resolve(&stands)?;
        *records = Arc::new(changed);
        Ok(Some(stands))
    }
}

impl Records {
    fn load(day_zero: Day, generated: Vec<Value>) -> Result<Self> {
        let text = include_str!("../../../../fixtures/ehr.json");
        let bad = |detail: &str| ExternalError::Data(format!("fixtures/ehr.json: {detail}"));
        let mut bundle: Value =
            serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
        resolve_days(&mut bundle, day_zero)?;
        let entries = bundle["entry"].as_array().ok_or_else(|| bad("no entry"))?;
        let entries = entries.iter().map(|entry| entry["resource"].clone());
        let before = day_zero.plus(WRITTEN_BEFORE);
        let before = before.map_err(|error| bad(&error.to_string()))?;
        let written = rfc3339(before.start())?;
        let mut records = Self(BTreeMap::new());
        for mut resource in entries.chain(generated) {
            resource["meta"]["lastUpdated"] = written.clone().into();
            let kind = resource["resourceType"].as_str();
            let kind = kind.and_then(|kind| Kind::parse(kind).ok());
            let kind = kind.ok_or_else(|| bad("an entry is of a type that is not served"))?;
            records.0.entry(kind).or_default().push(resource);
        }
        Ok(records)
    }

    fn of(&self, kind: Kind) -> &[Value] {
        self.0.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn read(&self, kind: Kind, id: &str) -> Option<&Value> {
        self.of(kind)
            .iter()
            .find(|resource| resource["id"].as_str() == Some(id))
    }

    /// The reference to the patient with a medical record number.
    fn patient(&self, mrn: &str) -> Option<String> {
        let patients = self.of(Kind::Patient).iter();
        let mut with_number = patients.filter(|patient| {
            let identifiers = patient["identifier"].as_array();
            identifiers.is_some_and(|all| all.iter().any(|it| it["value"] == mrn))
        });
        let id = with_number.next()?["id"].as_str()?;
        Some(format!("Patient/{id}"))
    }

    fn resolve(&mut self, resolved: &Resolved) -> Result<()> {
        let (written, day) = (rfc3339(resolved.recorded_at)?, resolved.recorded_at.day());
        let day = day.map_err(|error| ExternalError::Data(error.to_string()))?;
        let Some(patient) = self.patient(&resolved.mrn) else {
            return Ok(());
        };
        for condition in self.0.entry(Kind::Condition).or_default() {
            let active = condition.pointer("/clinicalStatus/coding/0/code");
            let of = condition.pointer("/subject/reference");
            if active != Some(&json!("active")) || of != Some(&json!(patient)) {
                continue;
            }
            condition["clinicalStatus"]["coding"][0]["code"] = "resolved".into();
            condition["abatementDateTime"] = json!(day);
            condition["meta"]["lastUpdated"] = written.clone().into();
        }
        Ok(())
    }

    pub(super) fn search(&self, search: &Search, base: &str) -> Found<'_> {
        let mut matches: Vec<&Value> = self
            .of(search.kind)
            .iter()
            .filter(|resource| {
                search
                    .filters
                    .iter()
                    .all(|filter| filter.matches(resource, base, self.of(Kind::Patient)))
            })
            .collect();
        if search.by_update {
            // All are written alike, in UTC.
            matches.sort_by_key(|resource| resource["meta"]["lastUpdated"].as_str());
        }
        let total = matches.len();
        let page = matches
            .into_iter()
            .skip(search.offset)
            .take(search.count)
            .collect();
        Found { total, page }
    }
}
