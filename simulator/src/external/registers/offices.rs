//! The offices: each answers about one person, and says of whom.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::http::{bears, problem};
use super::State;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Verification {
    ssn: String,
    full_name: String,
    date_of_birth: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WageQuery {
    ssn: String,
}

fn unauthorised() -> HttpResponse {
    problem(
        StatusCode::UNAUTHORIZED,
        "key",
        "present the reader's key: Authorization: Bearer …",
    )
}

fn bad_request(detail: &str) -> HttpResponse {
    problem(StatusCode::BAD_REQUEST, "request", detail)
}

fn not_found() -> HttpResponse {
    problem(StatusCode::NOT_FOUND, "none", "nobody of that number")
}

/// `POST /v1/verifications`: whether number, name and birth date belong together; no more is said.
pub(super) async fn verify(
    request: HttpRequest,
    body: web::Bytes,
    state: Data<Arc<State>>,
) -> HttpResponse {
    if !bears(&request, &state.config.api_key) {
        return unauthorised();
    }
    let Ok(asked) = serde_json::from_slice::<Verification>(&body) else {
        return bad_request("give ssn, fullName and dateOfBirth");
    };
    let matches = state.records.0.iter().any(|entry| {
        entry.ssn == asked.ssn
            && entry.full_name.eq_ignore_ascii_case(&asked.full_name)
            && entry.birth_date.to_string() == asked.date_of_birth
    });
    let result = if matches { "Y" } else { "N" };
    HttpResponse::Ok().json(json!({ "ssn": asked.ssn, "verificationResult": result }))
}

/// `POST /v1/wage_records`: wages that employers reported, by quarter.
pub(super) async fn wages(
    request: HttpRequest,
    body: web::Bytes,
    state: Data<Arc<State>>,
) -> HttpResponse {
    if !bears(&request, &state.config.api_key) {
        return unauthorised();
    }
    let Ok(asked) = serde_json::from_slice::<WageQuery>(&body) else {
        return bad_request("give ssn");
    };
    let of_person = state.records.0.iter().filter(|it| it.ssn == asked.ssn);
    let wages: Vec<Value> = of_person
        .flat_map(|entry| &entry.wages)
        .enumerate()
        .map(|(at, wage)| {
            json!({
                "recordId": format!("{}Q{}-{at}", wage.year, wage.quarter),
                "ssn": asked.ssn,
                "year": wage.year,
                "quarter": wage.quarter,
                "employer": wage.employer,
                "wages": wage.dollars,
            })
        })
        .collect();
    HttpResponse::Ok().json(json!({ "wages": wages }))
}

/// `GET /v1/drivers/{licence}`.
pub(super) async fn driver(
    request: HttpRequest,
    licence: web::Path<String>,
    state: Data<Arc<State>>,
) -> HttpResponse {
    if !bears(&request, &state.config.api_key) {
        return unauthorised();
    }
    let Some(entry) = state.records.0.iter().find(|it| it.licence == *licence) else {
        return not_found();
    };
    let address = entry
        .addresses
        .iter()
        .filter(|address| address.kind == "residence")
        .max_by_key(|address| address.since);
    let born = entry.birth_date.date();
    HttpResponse::Ok().json(json!({
        "licence": entry.licence,
        "birthDate": format!("{:02}/{:02}/{}", u8::from(born.month()), born.day(), born.year()),
        "address": { "state": address.map(|address| &address.state) },
    }))
}

/// `GET /v1/people/{person}/addresses`.
pub(super) async fn addresses(
    request: HttpRequest,
    person: web::Path<String>,
    state: Data<Arc<State>>,
) -> HttpResponse {
    if !bears(&request, &state.config.api_key) {
        return unauthorised();
    }
    let Some(entry) = state.records.0.iter().find(|it| it.person_id == *person) else {
        return not_found();
    };
    let addresses: Vec<Value> = entry
        .addresses
        .iter()
        .map(|it| json!({ "use": it.kind, "state": it.state, "since": it.since.to_string() }))
        .collect();
    HttpResponse::Ok().json(json!({ "personId": entry.person_id, "addresses": addresses }))
}
