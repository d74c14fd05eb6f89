//! Codes, and what all resources that are read have in common.

use serde::{Deserialize, Serialize};

use super::super::error::SourceError;
use super::super::fetch::HttpSource;
use super::super::json::Json;
use super::FhirRead;
use super::search::token;

/// A code in a code system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coding {
    /// Such as `http://snomed.info/sct`.
    pub system: String,
    /// Such as `77386006`.
    pub code: String,
}

/// A FHIR CodeableConcept.
#[derive(Deserialize)]
pub(super) struct Concept {
    #[serde(default)]
    coding: Vec<ConceptCoding>,
}

#[derive(Deserialize)]
struct ConceptCoding {
    system: Option<String>,
    code: Option<String>,
}

impl Concept {
    /// The codes of one system.
    pub(super) fn codes<'a>(&'a self, system: &'a str) -> impl Iterator<Item = &'a str> {
        self.coding
            .iter()
            .filter(move |coding| coding.system.as_deref() == Some(system))
            .filter_map(|coding| coding.code.as_deref())
    }

    /// Whether it is in a value set.
    pub(super) fn is_in(&self, set: &[Coding]) -> bool {
        set.iter()
            .any(|wanted| self.codes(&wanted.system).any(|code| code == wanted.code))
    }
}

/// A reference to another resource.
#[derive(Deserialize)]
pub(super) struct Reference {
    pub(super) reference: Option<String>,
}

/// Whether a resource speaks of this patient: a relative reference, or an absolute one to this server.
pub(super) fn about(
    http: &HttpSource,
    subject: &Reference,
    patient: &str,
    field: &str,
) -> Result<(), SourceError> {
    let relative = format!("Patient/{patient}");
    let absolute = http.base.join(&relative).ok();
    let reference = subject.reference.as_deref().unwrap_or_default();
    if reference == relative || absolute.is_some_and(|url| url.as_str() == reference) {
        return Ok(());
    }
    Err(http.guard.wrong_person(field))
}

/// Holds a resource against what the mapping demands of it: its profile and the elements that must be there (H8).
pub(super) fn conforms(
    http: &HttpSource,
    read: &FhirRead,
    kind: &str,
    resource: &Json,
) -> Result<(), SourceError> {
    if let Some(profile) = &read.profile {
        let profiles = resource.pointer("/meta/profile").and_then(Json::items);
        let claims = |claimed: &Json| {
            let url = claimed.text().map(|text| text.split('|').next());
            url.flatten() == Some(profile.as_str())
        };
        if !profiles.is_some_and(|profiles| profiles.iter().any(claims)) {
            let field = format!("{kind}.meta.profile");
            return Err(http.guard.malformed(&field, profile));
        }
    }
    for pointer in &read.required {
        let element = resource.pointer(pointer);
        if element.is_none_or(|element| *element == Json::Null) {
            let field = format!("{kind}{}", pointer.replace('/', "."));
            let expected = "there, as the mapping requires";
            return Err(http.guard.malformed(&field, expected));
        }
    }
    Ok(())
}

/// The value set as a search parameter.
pub(super) fn tokens<'a>(codes: impl IntoIterator<Item = &'a Coding>) -> String {
    let tokens = codes.into_iter().map(|it| token(&it.system, &it.code));
    tokens.collect::<Vec<_>>().join(",")
}
