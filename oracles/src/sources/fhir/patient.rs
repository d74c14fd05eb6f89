//! The one patient that an identifier names (<https://hl7.org/fhir/R4/patient.html>).

use serde::Deserialize;

use super::super::error::SourceError;
use super::super::guard::Over;
use super::super::json::Json;
use super::super::template::Filling;
use super::search::{search, token};
use super::{FhirRead, FhirSource};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Patient {
    id: String,
    #[serde(default)]
    identifier: Vec<Identifier>,
    birth_date: Option<String>,
    #[serde(default)]
    link: Vec<PatientLink>,
}

#[derive(Deserialize)]
struct Identifier {
    system: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
struct PatientLink {
    #[serde(rename = "type")]
    kind: String,
}

impl FhirSource {
    /// The server's id of the patient, and the resource; none if there is no such patient.
    ///
    /// # Errors
    /// Several patients; a patient without the identifier, or born on another day; a record that another one replaced.
    pub(super) async fn patient(
        &self,
        read: &FhirRead,
        filling: &Filling<'_>,
    ) -> Result<Option<(String, Json)>, SourceError> {
        let guard = &self.0.guard;
        let system = read.identifier_system.as_str();
        let value = filling.get(&read.identifier_key)?;
        let identifier = token(system, &value);
        let query = [("identifier", identifier.as_str())];
        let found = search(&self.0, "Patient", &query, Over::Refuse).await?;
        let mut patients = found.matches;
        let Some(resource) = patients.pop() else {
            return Ok(None);
        };
        if !patients.is_empty() {
            return Err(guard.ambiguous("the patient identifier"));
        }
        let patient: Patient = resource.read().map_err(|misfit| {
            guard.malformed(&format!("Patient.{}", misfit.place()), misfit.expected())
        })?;
        let theirs = |it: &Identifier| {
            it.system.as_deref() == Some(system) && it.value.as_deref() == Some(value.as_str())
        };
        if !patient.identifier.iter().any(theirs) {
            return Err(guard.wrong_person("Patient.identifier"));
        }
        if let Some(key) = &read.birth_date_key {
            let born = filling.get(key)?;
            if patient.birth_date.as_deref() != Some(born.as_str()) {
                return Err(guard.wrong_person("Patient.birthDate"));
            }
        }
        if patient.link.iter().any(|link| link.kind == "replaced-by") {
            return Err(guard.incomplete("Patient.link says that another record replaced this one"));
        }
        if !is_id(&patient.id) {
            return Err(guard.malformed("Patient.id", "a FHIR id"));
        }
        Ok(Some((patient.id, resource)))
    }
}

/// Whether a text is a logical id (<https://hl7.org/fhir/R4/datatypes.html#id>).
pub(in crate::sources) fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}
