//! An electronic health record that serves `Patient`, `Condition`, `Observation` and `FamilyMemberHistory` by the rules of FHIR R4 RESTful search
//! (<https://hl7.org/fhir/R4/search.html>).
//!
//! Every interaction but `/metadata` needs the reader's bearer token. Where there are staff, `POST /admin/events` with their own key records that
//! a patient's conditions are over; the server reads nothing else of what changes.

pub mod generate;
mod params;
mod reply;
mod resources;
mod store;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use contracts::units::Day;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::http::{MAX_QUERY, bears, now, serve};
use super::{Result, Running, Secret};
use params::{Handling, Search};
use reply::{Outcome, bundle, capability, fhir, outcome};
use resources::Kind;
use store::{Resolved, Store};

/// What the EHR is told at its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen; by default loopback, any port.
    #[serde(default = "super::any_port")]
    pub listen: SocketAddr,
    /// The day that the records' relative days count from.
    pub day_zero: Day,
    /// Token of the readers (the oracles).
    pub api_key: Secret,
    /// Patients beside those of the fixtures, see [`generate`].
    #[serde(default)]
    pub generated: usize,
    /// Medical record numbers of patients with nothing on record.
    #[serde(default)]
    pub unremarkable: Vec<String>,
    /// Medical record numbers of patients who are pregnant, and have nothing else on record.
    #[serde(default)]
    pub pregnant: Vec<String>,
    /// Seconds added to the system clock.
    #[serde(default)]
    pub clock_offset_seconds: i64,
    /// Who may write into records; nobody by default.
    #[serde(default)]
    pub staff: Option<Staff>,
}

impl Config {
    /// A server of the fixtures' records on any port of loopback, for readers with a key.
    pub fn new(day_zero: Day, api_key: Secret) -> Self {
        Self {
            listen: super::any_port(),
            day_zero,
            api_key,
            generated: 0,
            unremarkable: Vec::new(),
            pregnant: Vec::new(),
            clock_offset_seconds: 0,
            staff: None,
        }
    }
}

/// Who may write into records.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Staff {
    /// Their key.
    pub key: Secret,
    /// Folder for what they wrote.
    pub data: PathBuf,
}

/// What `POST /admin/events` accepts.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
enum EventRequest {
    /// Every active condition of a patient is over.
    ConditionsResolved {
        /// Medical record number.
        mrn: String,
    },
}

struct State {
    store: Store,
    day_zero: Day,
    api_key: Secret,
    clock_offset_seconds: i64,
    staff: Option<Secret>,
}

/// Starts the service.
///
/// # Errors
/// An address that cannot be bound, or a fixture that does not parse.
pub async fn start(config: Config) -> Result<Running> {
    let patients = generate::patients(config.day_zero, config.generated)?;
    let generated = patients.into_iter().flat_map(|it| it.resources);
    let plain = config.unremarkable.iter().map(|mrn| (mrn, false));
    let plain = plain.chain(config.pregnant.iter().map(|mrn| (mrn, true)));
    let plain = plain.enumerate().flat_map(|(at, (mrn, pregnant))| {
        let id = format!("plain-{at}");
        let condition = pregnant.then(|| pregnancy(&id, config.day_zero));
        let patient = json!({
            "resourceType": "Patient",
            "id": id,
            "active": true,
            "identifier": [{ "system": "https://ehr.example/mrn", "value": mrn }],
        });
        [Some(patient), condition].into_iter().flatten()
    });
    let generated = generated.chain(plain).collect();
    let folder = config.staff.as_ref().map(|staff| staff.data.as_path());
    let state = Data::new(Arc::new(State {
        store: Store::load(config.day_zero, generated, folder)?,
        day_zero: config.day_zero,
        api_key: config.api_key,
        clock_offset_seconds: config.clock_offset_seconds,
        staff: config.staff.map(|staff| staff.key),
    }));
    serve(config.listen, move |service: &mut ServiceConfig| {
        service
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(MAX_QUERY))
            .route("/healthz", web::get().to(HttpResponse::Ok))
            .route("/metadata", web::get().to(metadata))
            .route("/admin/events", web::post().to(record_event))
            .route("/{kind}", web::get().to(search))
            .route("/{kind}/_search", web::post().to(search_by_post))
            .route("/{kind}/{id}", web::get().to(read))
            .default_service(web::to(unsupported));
    })
}

async fn metadata(request: HttpRequest, state: Data<Arc<State>>) -> HttpResponse {
    respond(acceptable(&request).map(|()| {
        let base = base(&request);
        fhir(StatusCode::OK, &capability(&base, state.day_zero))
    }))
}

async fn search(
    request: HttpRequest,
    kind: web::Path<String>,
    state: Data<Arc<State>>,
) -> HttpResponse {
    respond(answer_search(
        &request,
        &kind,
        request.query_string(),
        &state,
    ))
}

/// `POST [type]/_search`: parameters of the body and of the URL count alike.
async fn search_by_post(
    request: HttpRequest,
    kind: web::Path<String>,
    body: web::Bytes,
    state: Data<Arc<State>>,
) -> HttpResponse {
    let form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    let Some(body) = std::str::from_utf8(&body).ok().filter(|_| form) else {
        return respond(Err(Outcome::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-supported",
            "send application/x-www-form-urlencoded",
        )));
    };
    let query = match request.query_string() {
        "" => body.to_owned(),
        query => format!("{query}&{body}"),
    };
    respond(answer_search(&request, &kind, &query, &state))
}

fn answer_search(
    request: &HttpRequest,
    kind: &str,
    query: &str,
    state: &State,
) -> std::result::Result<HttpResponse, Outcome> {
    authorised(request, state)?;
    if query.len() > MAX_QUERY {
        return Err(Outcome::new(
            StatusCode::URI_TOO_LONG,
            "too-long",
            "the search is too long",
        ));
    }
    let kind = Kind::parse(kind)?;
    let search = Search::parse(kind, query, handling(request))?;
    acceptable_format(request, search.format.as_deref())?;
    let base = base(request);
    let records = state.store.records();
    let found = records.search(&search, &base);
    Ok(fhir(StatusCode::OK, &bundle(&base, &search, &found)))
}

async fn read(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    state: Data<Arc<State>>,
) -> HttpResponse {
    let (kind, id) = path.into_inner();
    respond((|| {
        authorised(&request, &state)?;
        acceptable(&request)?;
        let kind = Kind::parse(&kind)?;
        let records = state.store.records();
        let resource = records
            .read(kind, &id)
            .ok_or_else(|| Outcome::new(StatusCode::NOT_FOUND, "not-found", "no such resource"))?;
        Ok(fhir(StatusCode::OK, resource))
    })())
}

async fn record_event(
    request: HttpRequest,
    body: web::Bytes,
    state: Data<Arc<State>>,
) -> HttpResponse {
    respond((|| {
        if !state.staff.as_ref().is_some_and(|key| bears(&request, key)) {
            return Err(login("present the staff's key: Authorization: Bearer …"));
        }
        let usage = "give {\"event\": \"conditions-resolved\", \"mrn\": …}";
        let Ok(EventRequest::ConditionsResolved { mrn }) = serde_json::from_slice(&body) else {
            return Err(Outcome::new(StatusCode::BAD_REQUEST, "invalid", usage));
        };
        let recorded_at = now(state.clock_offset_seconds);
        let recorded = state.store.resolve(Resolved { mrn, recorded_at });
        let recorded = recorded.map_err(|error| {
            tracing::error!(%error, "ehr");
            let text = "the record could not be written";
            Outcome::new(StatusCode::INTERNAL_SERVER_ERROR, "exception", text)
        })?;
        let nobody = || {
            Outcome::new(
                StatusCode::NOT_FOUND,
                "not-found",
                "no patient has this mrn",
            )
        };
        Ok(HttpResponse::Created().json(recorded.ok_or_else(nobody)?))
    })())
}

async fn unsupported(request: HttpRequest) -> HttpResponse {
    let status = if *request.method() == Method::GET {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::METHOD_NOT_ALLOWED
    };
    respond(Err(Outcome::new(
        status,
        "not-supported",
        "this server reads and searches what /metadata names",
    )))
}

fn respond(answer: std::result::Result<HttpResponse, Outcome>) -> HttpResponse {
    answer.unwrap_or_else(|error| outcome(&error))
}

fn authorised(request: &HttpRequest, state: &State) -> std::result::Result<(), Outcome> {
    if bears(request, &state.api_key) {
        return Ok(());
    }
    Err(login("present the reader's token: Authorization: Bearer …"))
}

fn login(detail: &str) -> Outcome {
    Outcome::new(StatusCode::UNAUTHORIZED, "login", detail)
}

/// A pregnancy of a patient, for 200 days.
fn pregnancy(patient: &str, day_zero: Day) -> Value {
    let status = |system: &str, code: &str| {
        let system = format!("http://terminology.hl7.org/CodeSystem/{system}");
        json!({ "coding": [{ "system": system, "code": code }] })
    };
    json!({
        "resourceType": "Condition",
        "id": format!("{patient}-pregnancy"),
        "clinicalStatus": status("condition-clinical", "active"),
        "verificationStatus": status("condition-ver-status", "confirmed"),
        "category": [status("condition-category", "problem-list-item")],
        "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "77386006", "display": "Pregnancy" }] },
        "subject": { "reference": format!("Patient/{patient}") },
        "onsetDateTime": day_zero.plus(-200).unwrap_or(day_zero),
    })
}

/// `Prefer: handling=strict` turns parameters that would be ignored into errors (FHIR R4 search §3.1.1.1.2).
fn handling(request: &HttpRequest) -> Handling {
    let strict = request
        .headers()
        .get_all("prefer")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|preference| preference.trim().eq_ignore_ascii_case("handling=strict"));
    if strict {
        Handling::Strict
    } else {
        Handling::Lenient
    }
}

fn acceptable(request: &HttpRequest) -> std::result::Result<(), Outcome> {
    let format = url::form_urlencoded::parse(request.query_string().as_bytes())
        .find(|(name, _)| name == "_format")
        .map(|(_, value)| value.into_owned());
    acceptable_format(request, format.as_deref())
}

/// `_format` overrides `Accept` (FHIR R4 http §3.1.0.1.11); only JSON is spoken.
fn acceptable_format(
    request: &HttpRequest,
    format: Option<&str>,
) -> std::result::Result<(), Outcome> {
    let json = |wanted: &str| {
        matches!(
            wanted.split(';').next().unwrap_or_default().trim(),
            "json"
                | "application/json"
                | "text/json"
                | "application/fhir+json"
                | "application/*"
                | "*/*"
        )
    };
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let fine = match (format, accept) {
        // In a query string, `+` of application/fhir+json arrives as a space.
        (Some(format), _) => json(&format.replace(' ', "+")),
        (None, Some(accept)) => accept.split(',').any(json),
        (None, None) => true,
    };
    if fine {
        return Ok(());
    }
    Err(Outcome::new(
        StatusCode::NOT_ACCEPTABLE,
        "not-supported",
        "only application/fhir+json is served",
    ))
}

/// The base URL as the client addressed it.
fn base(request: &HttpRequest) -> String {
    let connection = request.connection_info();
    format!("{}://{}", connection.scheme(), connection.host())
}
