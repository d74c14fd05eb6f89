//! FHIR R4 search: whether a patient has an active condition of a value set.
//!
//! <https://hl7.org/fhir/R4/search.html>, <https://hl7.org/fhir/R4/condition.html>

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::config::{Coding, Limits};
use super::error::SourceError;
use super::fetch::HttpSource;

const CLINICAL_STATUS: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
const VERIFICATION_STATUS: &str = "http://terminology.hl7.org/CodeSystem/condition-ver-status";

/// A FHIR R4 server.
pub(super) struct FhirSource(HttpSource);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle<R> {
    resource_type: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    link: Vec<Link>,
    #[serde(default = "Vec::new")]
    entry: Vec<Entry<R>>,
}

#[derive(Deserialize)]
struct Link {
    relation: String,
    url: String,
}

#[derive(Deserialize)]
struct Entry<R> {
    resource: Resource<R>,
}

/// A search may return resources of other types beside the matches (`_include`, `OperationOutcome`).
#[derive(Deserialize)]
#[serde(untagged)]
enum Resource<R> {
    Wanted(R),
    Other(Other),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Other {
    resource_type: String,
    #[serde(default)]
    issue: Vec<Issue>,
}

#[derive(Deserialize)]
struct Issue {
    severity: String,
}

#[derive(Deserialize)]
enum PatientType {
    Patient,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Patient {
    #[serde(rename = "resourceType")]
    _type: PatientType,
    id: String,
    #[serde(default)]
    identifier: Vec<Identifier>,
}

#[derive(Deserialize)]
struct Identifier {
    system: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
enum ConditionType {
    Condition,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "resourceType")]
    _type: ConditionType,
    subject: Reference,
    clinical_status: Option<Concept>,
    verification_status: Option<Concept>,
    code: Option<Concept>,
}

#[derive(Deserialize)]
struct Reference {
    reference: Option<String>,
}

#[derive(Deserialize)]
struct Concept {
    #[serde(default)]
    coding: Vec<ConceptCoding>,
}

#[derive(Deserialize)]
struct ConceptCoding {
    system: Option<String>,
    code: Option<String>,
}

impl Concept {
    fn has(&self, system: &str, codes: &[&str]) -> bool {
        self.coding.iter().any(|coding| {
            coding.system.as_deref() == Some(system)
                && coding
                    .code
                    .as_deref()
                    .is_some_and(|code| codes.contains(&code))
        })
    }
}

impl FhirSource {
    pub(super) fn new(
        name: &str,
        url: &str,
        api_key: Option<&str>,
        limits: &Limits,
    ) -> Result<Self, String> {
        HttpSource::new(name, url, api_key, "application/fhir+json", limits).map(Self)
    }

    /// 1 if the patient has an active, unrefuted condition with one of the codes, 0 if not, `None` if there is no
    /// such patient.
    pub(super) async fn has_condition(
        &self,
        identifier_system: &str,
        identifier: &str,
        codes: &[Coding],
    ) -> Result<Option<i64>, SourceError> {
        let Some(patient) = self.patient(identifier_system, identifier).await? else {
            return Ok(None);
        };
        let wanted = codes
            .iter()
            .map(|coding| token(&coding.system, &coding.code))
            .collect::<Vec<_>>()
            .join(",");
        let query = [
            ("patient", patient.as_str()),
            ("code", &wanted),
            ("clinical-status", "active"),
        ];
        let mut found = false;
        for condition in self.search::<Condition>("Condition", &query).await? {
            self.about(&condition, &patient)?;
            let in_set = condition
                .code
                .as_ref()
                .is_some_and(|code| codes.iter().any(|it| code.has(&it.system, &[&it.code])));
            let active = condition
                .clinical_status
                .as_ref()
                .is_some_and(|status| status.has(CLINICAL_STATUS, &["active"]));
            let refuted = condition
                .verification_status
                .as_ref()
                .is_some_and(|status| {
                    status.has(VERIFICATION_STATUS, &["refuted", "entered-in-error"])
                });
            found |= in_set && active && !refuted;
        }
        Ok(Some(i64::from(found)))
    }

    /// The server's id of the one patient with this identifier.
    async fn patient(&self, system: &str, value: &str) -> Result<Option<String>, SourceError> {
        let query = [("identifier", token(system, value))];
        let query = query
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let mut patients = self.search::<Patient>("Patient", &query).await?;
        let Some(patient) = patients.pop() else {
            return Ok(None);
        };
        if !patients.is_empty() {
            return Err(SourceError::Ambiguous {
                source_name: self.0.name.clone(),
                field: "the patient identifier".to_owned(),
            });
        }
        let theirs = patient
            .identifier
            .iter()
            .any(|it| it.system.as_deref() == Some(system) && it.value.as_deref() == Some(value));
        if !theirs {
            return Err(self.wrong_person("Patient.identifier"));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if !(1..=64).contains(&patient.id.len()) || !patient.id.bytes().all(allowed) {
            return Err(self.0.malformed("Patient.id", "a FHIR id"));
        }
        Ok(Some(patient.id))
    }

    /// Whether a condition speaks of this patient: a relative reference, or an absolute one to this server.
    fn about(&self, condition: &Condition, patient: &str) -> Result<(), SourceError> {
        let relative = format!("Patient/{patient}");
        let absolute = self.0.base.join(&relative).ok();
        let reference = condition.subject.reference.as_deref().unwrap_or_default();
        if reference == relative || absolute.is_some_and(|url| url.as_str() == reference) {
            return Ok(());
        }
        Err(self.wrong_person("Condition.subject"))
    }

    fn wrong_person(&self, field: &'static str) -> SourceError {
        SourceError::WrongPerson {
            source_name: self.0.name.clone(),
            field,
        }
    }

    /// All matches of a search, following `next` links on the same server within the caps.
    async fn search<R: DeserializeOwned>(
        &self,
        kind: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<R>, SourceError> {
        let limits = &self.0.limits;
        let too_large = |field, limit: usize| SourceError::TooLarge {
            source_name: self.0.name.clone(),
            field,
            limit: limit.to_string(),
        };
        let mut url = self.0.address(kind, query)?;
        let mut seen = BTreeSet::new();
        let (mut matches, mut entries) = (Vec::new(), 0usize);
        loop {
            if seen.len() == limits.max_pages {
                return Err(too_large("pages of a search", limits.max_pages));
            }
            if !seen.insert(url.as_str().to_owned()) {
                return Err(self
                    .0
                    .malformed("Bundle.link next", "a page not seen before"));
            }
            let bundle: Bundle<R> = self.0.get(&url, &format!("{kind} search")).await?;
            if bundle.resource_type != "Bundle" || bundle.kind != "searchset" {
                return Err(self.0.malformed("the answer", "a Bundle of type searchset"));
            }
            entries += bundle.entry.len();
            if entries > limits.max_entries {
                return Err(too_large("entries of a search", limits.max_entries));
            }
            for entry in bundle.entry {
                match entry.resource {
                    Resource::Wanted(resource) => matches.push(resource),
                    Resource::Other(other) => self.harmless(&other, kind)?,
                }
            }
            match self.next(&bundle.link)? {
                Some(next) => url = next,
                None => return Ok(matches),
            }
        }
    }

    /// A match that does not parse, or an error inside the bundle, must not be taken for "no match".
    fn harmless(&self, other: &Other, wanted: &str) -> Result<(), SourceError> {
        if other.resource_type == wanted {
            return Err(self.0.malformed(wanted, "a resource of FHIR R4"));
        }
        let severe = |issue: &Issue| matches!(issue.severity.as_str(), "error" | "fatal");
        if other.resource_type == "OperationOutcome" && other.issue.iter().any(severe) {
            return Err(SourceError::Unavailable {
                source_name: self.0.name.clone(),
                what: "the search ended in an OperationOutcome".to_owned(),
            });
        }
        Ok(())
    }

    /// The next page, which must be on this server: a link elsewhere would make the oracle fetch what somebody else chose.
    fn next(&self, links: &[Link]) -> Result<Option<Url>, SourceError> {
        let mut next = links.iter().filter(|link| link.relation == "next");
        let Some(link) = next.next() else {
            return Ok(None);
        };
        let url = self.0.base.join(&link.url).ok().filter(|url| {
            url.origin() == self.0.base.origin()
                && url.path().starts_with(self.0.base.path())
                && url.username().is_empty()
                && url.password().is_none()
        });
        match (url, next.next()) {
            (Some(url), None) => Ok(Some(url)),
            _ => Err(self
                .0
                .malformed("Bundle.link next", "one address below the base")),
        }
    }
}

/// `system|code` with the characters that search parameters reserve escaped (R4 search, "Escaping Search Parameters").
fn token(system: &str, code: &str) -> String {
    let escape = |text: &str| {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            if matches!(character, '\\' | '|' | ',' | '$') {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        escaped
    };
    format!("{}|{}", escape(system), escape(code))
}
