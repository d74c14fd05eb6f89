//! FHIR R4: what a patient's record says, by search (<https://hl7.org/fhir/R4/search.html>).

mod concept;
mod condition;
mod observation;
mod patient;
mod search;

use serde::{Deserialize, Serialize};

use self::concept::conforms;
use super::error::SourceError;
use super::fetch::HttpSource;
use super::json::is_pointer;
use super::template::Filling;

pub use self::concept::Coding;
pub(super) use self::patient::is_id;
pub(super) use self::search::search;

/// How an attribute is read from a FHIR server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FhirRead {
    /// A `[[source]]` of the same kind.
    pub source: String,
    /// What is looked for in the patient's record.
    #[serde(default)]
    pub resource: Resource,
    /// The `system` of the patient identifier.
    pub identifier_system: String,
    /// The source key that holds its value.
    pub identifier_key: String,
    /// The source key that holds the patient's birth date, which the record must bear out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date_key: Option<String>,
    /// The value set, of any code systems.
    #[serde(default)]
    pub codes: Vec<Coding>,
    /// Codes of observations whose components may be of the value set, such as a blood pressure panel.
    #[serde(default)]
    pub panel: Vec<Coding>,
    /// Categories of conditions that count, such as `problem-list-item`; all if empty.
    #[serde(default)]
    pub category: Vec<String>,
    /// The UCUM code of the unit in which observations must be, such as `mm[Hg]`.
    #[serde(default)]
    pub unit: String,
    /// Which of several observations counts.
    #[serde(default)]
    pub pick: Pick,
    /// What becomes of a measurement between two whole units; without it such a measurement is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<Round>,
    /// Canonical URL of a profile that matching resources must claim in `meta.profile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// JSON Pointers to elements that matching resources must have.
    #[serde(default)]
    pub required: Vec<String>,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// 1 if the patient has a condition of the value set, active and confirmed, else 0.
    #[default]
    Condition,
    /// A measurement of the value set in the reference period.
    Observation,
    /// 1 because the patient has a record.
    Patient,
}

/// Which of several observations counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// The highest.
    #[default]
    Max,
    /// That of the latest day.
    Latest,
}

/// How a measurement between two whole units is read. Limits are whole, so for one that is passed *above* it `up` gives the
/// answer of the unrounded number, and `down` for one that is passed *below* it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Round {
    /// To the next whole unit above.
    Up,
    /// To the next whole unit below.
    Down,
}

impl FhirRead {
    /// What is wrong with the mapping, and what to write.
    pub(super) fn fault(&self) -> Option<(String, String)> {
        let fault = |problem: &str, fix: &str| Some((problem.to_owned(), fix.to_owned()));
        match self.resource {
            Resource::Patient => {}
            _ if self.codes.is_empty() => {
                return fault("no codes", "list the codes of the value set");
            }
            Resource::Observation if self.unit.is_empty() => {
                return fault("no unit", "write the UCUM code of the unit, such as mm[Hg]");
            }
            _ => {}
        }
        if !self.required.iter().all(|pointer| is_pointer(pointer)) {
            return fault(
                "required names no JSON Pointer",
                "write elements as /recordedDate",
            );
        }
        None
    }
}

/// A FHIR R4 server.
pub(super) struct FhirSource(pub(super) HttpSource);

impl FhirSource {
    /// An attribute's value; none if there is no such patient.
    pub(super) async fn value(
        &self,
        read: &FhirRead,
        filling: &Filling<'_>,
    ) -> Result<Option<i64>, SourceError> {
        let Some((patient, resource)) = self.patient(read, filling).await? else {
            return Ok(None);
        };
        match read.resource {
            Resource::Patient => {
                conforms(&self.0, read, "Patient", &resource)?;
                Ok(Some(1))
            }
            Resource::Condition => self.condition(read, &patient, filling.period.end).await,
            Resource::Observation => self.observation(read, &patient, filling.period).await,
        }
    }
}
