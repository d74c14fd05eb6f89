//! Entries of a desk: what a clinician or caseworker signed.

use contracts::ids::AttributeId;
use contracts::units::Day;
use serde::{Deserialize, Serialize};

use super::config::Limits;
use super::error::SourceError;
use super::fetch::{HttpSource, Request};
use super::steps;
use super::template::Filling;
use crate::desk::{Answer, Entry, EntryKind, MAX_ENTRIES, Question, StaffConfig};

/// A desk, as a source.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskSourceConfig {
    /// Name that mappings use.
    pub name: String,
    /// Its address.
    pub url: String,
    /// This node's bearer key there.
    pub api_key: String,
    /// The name that the desk signs into its entries.
    pub desk: String,
    /// Whose entries this node takes, and in which role. Others' do not count.
    pub staff: Vec<StaffConfig>,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
}

/// How an attribute is read from a desk: the entry of the latest day within the period's reach, of that day the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskRead {
    /// A `[[source]]` of the same kind.
    pub source: String,
    /// The source key of the handle that says whose record it is.
    pub key: String,
    /// Roles whose entries count.
    pub roles: Vec<String>,
    /// Days before the reference period's end that an entry may speak of.
    pub max_age_days: u16,
}

pub(super) struct DeskSource {
    pub(super) http: HttpSource,
    desk: String,
    staff: Vec<StaffConfig>,
}

impl DeskSource {
    pub(super) fn new(http: HttpSource, config: &DeskSourceConfig) -> Self {
        Self {
            http,
            desk: config.desk.clone(),
            staff: config.staff.clone(),
        }
    }

    /// What is wrong with a mapping, and what to write.
    pub(super) fn fault(&self, read: &DeskRead) -> Option<(String, String)> {
        let held = |role: &String| self.staff.iter().any(|staff| staff.role == *role);
        match read.roles.iter().find(|role| !held(role)) {
            Some(role) => Some((
                format!("nobody of the source has the role {role}"),
                "add [[source.staff]] with it".to_owned(),
            )),
            None if read.roles.is_empty() => {
                Some(("nobody's entries count".to_owned(), "name roles".to_owned()))
            }
            None => None,
        }
    }

    /// The value that counts. `None` inside is a withdrawn entry, `None` outside no entry.
    pub(super) async fn value(
        &self,
        read: &DeskRead,
        attribute: &AttributeId,
        kind: EntryKind,
        filling: &Filling<'_>,
    ) -> Result<Option<Option<i64>>, SourceError> {
        let guard = &self.http.guard;
        let question = Question {
            key_name: read.key.clone(),
            key_value: filling.get(&read.key)?,
            attribute: attribute.clone(),
        };
        let request = Request {
            url: self.http.address(&["v1", "entries"], &[])?,
            // Strings only: this cannot fail.
            body: serde_json::to_string(&question).ok(),
        };
        let answer = self.http.fetch(request).await?;
        let answer: Answer = answer
            .read()
            .map_err(|misfit| guard.malformed(&misfit.place(), misfit.expected()))?;
        guard.capped("entries", answer.entries.len(), MAX_ENTRIES)?;
        let earliest = filling.period.end.plus(-i64::from(read.max_age_days));
        let earliest = earliest.unwrap_or(filling.period.start);
        let mut chosen: Option<&Entry> = None;
        for entry in &answer.entries {
            if !self.counts(read, &question, kind, entry, earliest..=filling.period.end)? {
                continue;
            }
            let place = |entry: &Entry| (entry.statement.observed, entry.statement.number);
            match chosen {
                Some(other) if place(other) == place(entry) && other != entry => {
                    return Err(guard.ambiguous("a number of an entry"));
                }
                Some(other) if place(other) >= place(entry) => {}
                _ => chosen = Some(entry),
            }
        }
        steps::note("entries", || match chosen {
            Some(entry) => format!(
                "{}, number {} counts",
                answer.entries.len(),
                entry.statement.number
            ),
            None => format!("{}, none counts", answer.entries.len()),
        });
        Ok(chosen.map(|entry| entry.statement.value))
    }

    /// Whether an entry counts.
    ///
    /// # Errors
    /// It is about somebody or something else, of another desk, or not signed by whom it names.
    fn counts(
        &self,
        read: &DeskRead,
        question: &Question,
        kind: EntryKind,
        entry: &Entry,
        days: std::ops::RangeInclusive<Day>,
    ) -> Result<bool, SourceError> {
        let guard = &self.http.guard;
        let it = &entry.statement;
        if it.key_name != question.key_name || it.key_value != question.key_value {
            return Err(guard.wrong_person("an entry"));
        }
        if it.attribute != question.attribute || it.desk != self.desk {
            return Err(guard.malformed("an entry", "of that attribute and desk"));
        }
        let by = |staff: &&StaffConfig| staff.key == entry.staff && staff.role == it.role;
        let listed = self.staff.iter().find(by);
        if listed.is_none_or(|staff| !read.roles.contains(&staff.role)) {
            return Ok(false);
        }
        entry
            .verify()
            .map_err(|_| guard.malformed("an entry's signature", "that of who is named"))?;
        Ok(it.kind == kind && days.contains(&it.observed))
    }
}
