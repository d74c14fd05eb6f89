//! What the server says: bundles, outcomes, its capability statement.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use contracts::units::Day;
use serde_json::{Value, json};

use super::params::Search;
use super::resources::{Definition, Kind};
use super::store::Found;

/// Why a request was not answered; becomes an OperationOutcome.
#[derive(Debug)]
pub(super) struct Outcome {
    status: StatusCode,
    /// Of the value set issue-type.
    code: &'static str,
    diagnostics: String,
}

impl Outcome {
    pub(super) fn new(status: StatusCode, code: &'static str, diagnostics: &str) -> Self {
        Self {
            status,
            code,
            diagnostics: diagnostics.to_owned(),
        }
    }
}

/// A resource as FHIR JSON.
pub(super) fn fhir(status: StatusCode, resource: &Value) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("application/fhir+json; charset=utf-8; fhirVersion=4.0")
        .insert_header(("cache-control", "no-store"))
        .body(resource.to_string())
}

/// An error as an OperationOutcome.
pub(super) fn outcome(error: &Outcome) -> HttpResponse {
    fhir(
        error.status,
        &json!({
            "resourceType": "OperationOutcome",
            "issue": [{ "severity": "error", "code": error.code, "diagnostics": error.diagnostics }],
        }),
    )
}

/// A searchset with its page links (FHIR R4 search §3.1.1.2, http §3.1.0.17).
pub(super) fn bundle(base: &str, search: &Search, found: &Found<'_>) -> Value {
    let kind = search.kind.name();
    let link = |relation: &str, offset: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&search.used);
        query.append_pair("_count", &search.count.to_string());
        if offset > 0 {
            query.append_pair("_offset", &offset.to_string());
        }
        json!({ "relation": relation, "url": format!("{base}/{kind}?{}", query.finish()) })
    };
    let mut links = vec![link("self", search.offset)];
    if search.count > 0 {
        links.push(link("first", 0));
        if search.offset > 0 {
            links.push(link("previous", search.offset.saturating_sub(search.count)));
        }
        let next = search.offset.saturating_add(search.count);
        if next < found.total {
            links.push(link("next", next));
        }
    }
    let mut bundle = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "total": found.total,
        "link": links,
    });
    // FHIR JSON has no empty arrays.
    if !found.page.is_empty() {
        bundle["entry"] = found
            .page
            .iter()
            .map(|resource| {
                let id = resource["id"].as_str().unwrap_or_default();
                json!({
                    "fullUrl": format!("{base}/{kind}/{id}"),
                    "resource": resource,
                    "search": { "mode": "match" },
                })
            })
            .collect();
    }
    bundle
}

/// What the server can do (FHIR R4 http §3.1.0.15).
pub(super) fn capability(base: &str, day: Day) -> Value {
    let parameter = |definition: &Definition| {
        json!({
            "name": definition.name,
            "type": definition.kind.code(),
        })
    };
    let resources: Vec<Value> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let parameters: Vec<Value> = kind.definitions().iter().map(parameter).collect();
            json!({
                "type": kind.name(),
                "interaction": [{ "code": "read" }, { "code": "search-type" }],
                "searchParam": parameters,
            })
        })
        .collect();
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": day.to_string(),
        "kind": "instance",
        "software": { "name": "Fixture EHR" },
        "implementation": { "description": "Patients of the fixtures and their records", "url": base },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{
            "mode": "server",
            "security": { "description": "A bearer token, except for this statement." },
            "resource": resources,
        }],
    })
}
