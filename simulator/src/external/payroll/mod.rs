//! A payroll data service that serves CMS Emmy income reports (format of 2026-06-18).
//!
//! `GET /api/v1/income_reports?case_number=…` with the agency's API key answers the case's reports, latest first. A report says
//! what payroll knew when it was completed. `POST /admin/events` with the operator's own key records that somebody lost a job:
//! the pay run ends, and a new report is completed. `GET /api/v1/changes?since=…` tells the agency whose records such an event
//! touched at or after an RFC 3339 time, earliest first, and nothing of what they say.

mod events;
mod records;
mod report;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use contracts::units::Day;
use serde::{Deserialize, Serialize};

use super::http::{MAX_QUERY, bears, now, problem, serve};
use super::times::{parsed, rfc3339};
use super::{ExternalError, Result, Running, Secret};
use events::{Event, EventLog};
pub use records::AccountDouble;
use records::Records;

/// Bytes of an admin event.
const MAX_EVENT: usize = 4096;
/// Characters of a case number.
const MAX_CASE_NUMBER: usize = 64;

/// What the payroll service is told at its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen; by default loopback, any port.
    #[serde(default = "super::any_port")]
    pub listen: SocketAddr,
    /// The day that the records' relative days count from.
    pub day_zero: Day,
    /// Seconds added to the system clock.
    #[serde(default)]
    pub clock_offset_seconds: i64,
    /// Folder for the events recorded.
    pub data: PathBuf,
    /// Key of the agency's readers (the oracles).
    pub api_key: Secret,
    /// Key of the operator who records events.
    pub admin_key: Secret,
    /// Accounts beside those of the fixtures.
    #[serde(default)]
    pub doubles: Vec<AccountDouble>,
}

struct State {
    records: Records,
    events: EventLog,
    config: Config,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportsQuery {
    case_number: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangesQuery {
    since: String,
}

/// What `POST /admin/events` accepts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
enum EventRequest {
    /// A job ended; the employment's record says when, and what was paid last.
    JobLost {
        /// Whose job.
        case_number: String,
    },
    /// Work was found: reports show the employment as it was.
    JobFound {
        /// Whose job.
        case_number: String,
    },
}

/// Starts the service.
///
/// # Errors
/// An address that cannot be bound, a fixture or event file that does not parse.
pub async fn start(config: Config) -> Result<Running> {
    let listen = config.listen;
    let state = Data::new(Arc::new(State {
        records: Records::load(config.day_zero, &config.doubles)?,
        events: EventLog::open(&config.data)?,
        config,
    }));
    serve(listen, move |service: &mut ServiceConfig| {
        service
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(MAX_EVENT))
            .route("/healthz", web::get().to(HttpResponse::Ok))
            .route("/api/v1/income_reports", web::get().to(income_reports))
            .route("/api/v1/changes", web::get().to(changes))
            .route("/admin/events", web::post().to(record_event));
    })
}

async fn income_reports(request: HttpRequest, state: Data<Arc<State>>) -> HttpResponse {
    if !bears(&request, &state.config.api_key) {
        return unauthorised();
    }
    let query = request.query_string();
    if query.len() > MAX_QUERY {
        return bad_request("the query string is too long");
    }
    let Ok(web::Query(query)) = web::Query::<ReportsQuery>::from_query(query) else {
        return bad_request("give case_number, and nothing else");
    };
    let Some(account) = state.records.account(&query.case_number) else {
        return HttpResponse::Ok().json(serde_json::json!([]));
    };
    let time = now(state.config.clock_offset_seconds);
    let events = state.events.of(&account.case_number);
    match report::all(account, &events, time) {
        Ok(reports) => HttpResponse::Ok().json(reports),
        Err(error) => internal(&error),
    }
}

async fn changes(request: HttpRequest, state: Data<Arc<State>>) -> HttpResponse {
    if !bears(&request, &state.config.api_key) {
        return unauthorised();
    }
    let query = request.query_string();
    if query.len() > MAX_QUERY {
        return bad_request("the query string is too long");
    }
    let query = web::Query::<ChangesQuery>::from_query(query);
    let since = query.ok().and_then(|query| parsed(&query.since));
    let Some(since) = since else {
        return bad_request("give since, an RFC 3339 time, and nothing else");
    };
    let events = state.events.since(since);
    let changes: Result<Vec<_>> = events
        .into_iter()
        .map(
            |Event {
                 case_number,
                 recorded_at,
                 ..
             }| {
                let changed_at = rfc3339(recorded_at)?;
                Ok(serde_json::json!({ "case_number": case_number, "changed_at": changed_at }))
            },
        )
        .collect();
    match changes {
        Ok(changes) => HttpResponse::Ok().json(serde_json::json!({ "changes": changes })),
        Err(error) => internal(&error),
    }
}

async fn record_event(
    request: HttpRequest,
    body: web::Bytes,
    state: Data<Arc<State>>,
) -> HttpResponse {
    if !bears(&request, &state.config.admin_key) {
        return unauthorised();
    }
    let (case_number, found) = match serde_json::from_slice(&body) {
        Ok(EventRequest::JobLost { case_number }) => (case_number, false),
        Ok(EventRequest::JobFound { case_number }) => (case_number, true),
        Err(_) => {
            return bad_request(
                "give {\"event\": \"job-lost\" or \"job-found\", \"case_number\": …}",
            );
        }
    };
    if case_number.len() > MAX_CASE_NUMBER || state.records.account(&case_number).is_none() {
        return problem(
            StatusCode::NOT_FOUND,
            "no-such-case",
            "no account has this case_number",
        );
    }
    let time = now(state.config.clock_offset_seconds);
    match state.events.record(case_number, found, time) {
        Ok(Event { recorded_at, .. }) => {
            HttpResponse::Created().json(serde_json::json!({ "recorded_at": recorded_at }))
        }
        Err(error) => internal(&error),
    }
}

fn unauthorised() -> HttpResponse {
    problem(
        StatusCode::UNAUTHORIZED,
        "key",
        "present a key that may do this: Authorization: Bearer …",
    )
}

fn bad_request(detail: &str) -> HttpResponse {
    problem(StatusCode::BAD_REQUEST, "request", detail)
}

fn internal(error: &ExternalError) -> HttpResponse {
    tracing::error!(%error, "payroll");
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the records could not be read",
    )
}
