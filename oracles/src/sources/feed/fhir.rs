//! Resources that a FHIR server says were updated (<https://hl7.org/fhir/R4/search.html#lastUpdated>).
//!
//! A search shows what is there: a resource that was deleted outright is not among the matches.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::super::error::SourceError;
use super::super::fhir::{FhirSource, Resource, is_id, search};
use super::super::guard::Over;
use super::super::json::Json;
use super::{Look, Touched};

/// Patients fetched at a time.
const AT_ONCE: usize = 4;

/// A search for what was updated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FhirFeed {
    /// The resources to look for.
    pub resource: Resource,
    /// The `system` of the patient identifier that the feed's key holds.
    pub identifier_system: String,
}

pub(super) async fn look(
    source: &FhirSource,
    read: &FhirFeed,
    since: &str,
) -> Result<Look, SourceError> {
    let http = &source.0;
    let kind = match read.resource {
        Resource::Patient => "Patient",
        Resource::Condition => "Condition",
        Resource::Observation => "Observation",
    };
    let since = format!("ge{since}");
    let query = [("_lastUpdated", since.as_str()), ("_sort", "_lastUpdated")];
    let found = search(http, kind, &query, Over::Stop).await?;

    let mut markers = Vec::with_capacity(found.matches.len());
    let mut patients: BTreeMap<String, Option<String>> = BTreeMap::new();
    for resource in &found.matches {
        let marker = resource.pointer("/meta/lastUpdated").and_then(Json::text);
        let marker = marker.ok_or_else(|| {
            http.guard
                .malformed(&format!("{kind}.meta.lastUpdated"), "there")
        })?;
        let patient = match read.resource {
            Resource::Patient => resource.get("id").and_then(Json::text),
            _ => {
                let subject = resource.pointer("/subject/reference");
                subject.and_then(Json::text).and_then(patient_id)
            }
        };
        let patient = patient.filter(|id| is_id(id)).ok_or_else(|| {
            http.guard
                .malformed(&format!("{kind}.subject"), "a patient")
        })?;
        let known = match read.resource {
            Resource::Patient => identifier(resource, &read.identifier_system),
            _ => None,
        };
        let held = patients.entry(patient.to_owned()).or_default();
        *held = held.take().or(known);
        markers.push((patient.to_owned(), marker.to_owned()));
    }
    if read.resource != Resource::Patient {
        let fetched = patients.into_keys().map(|id| async move {
            let url = http.address(&["Patient", &id], &[])?;
            let patient = http.find(url).await?;
            let named = patient.and_then(|it| identifier(&it, &read.identifier_system));
            Ok::<_, SourceError>((id, named))
        });
        let fetched = fetched.collect::<Vec<_>>();
        patients = stream::iter(fetched)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
    }
    // Who has no identifier of the system is nobody that a handle names; the mark passes over the record all the same.
    let touched = markers.into_iter().map(|(patient, marker)| Touched {
        key: patients
            .get(&patient)
            .cloned()
            .flatten()
            .unwrap_or_else(|| NOBODY.to_owned()),
        marker,
    });
    Ok(Look {
        touched: touched.collect(),
        capped: found.capped,
    })
}

/// A key that no handle holds, since the identity committee proofs no control characters.
const NOBODY: &str = "\u{0}";

/// The id in a reference such as `Patient/17` or `https://ehr.example/fhir/Patient/17/_history/2`.
fn patient_id(reference: &str) -> Option<&str> {
    let (_, rest) = reference.rsplit_once("Patient/")?;
    rest.split('/').next()
}

fn identifier(patient: &Json, system: &str) -> Option<String> {
    let identifiers = patient.get("identifier").and_then(Json::items)?;
    let of_system = |it: &&Json| it.get("system").and_then(Json::text) == Some(system);
    let value = identifiers.iter().find(of_system)?.get("value")?;
    value.text().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_its_patient_in_every_form() {
        for reference in [
            "Patient/17",
            "https://ehr.example/fhir/Patient/17",
            "Patient/17/_history/2",
        ] {
            assert_eq!(patient_id(reference), Some("17"));
        }
        assert_eq!(patient_id("Group/17"), None);
    }
}
