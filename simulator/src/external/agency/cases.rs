//! What becomes of an application: statements that a caseworker makes and the agency signs, and notices about the case.
//!
//! `GET /applications/{id}/statements?after=0` · `POST /applications/{id}/notices` (both answer only whom the id was given) ·
//! `GET /admin/applications` · `POST /admin/applications/{id}/statements` (the caseworker's key).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::Verdict;
use contracts::lifecycle::Notice;
use ed25519_dalek::Signer as _;
use profile::agency::{Statement, StatusNotice, What};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::http::{bears, now, problem};
use super::{Refusal, State};

/// Longest idempotency key, in bytes.
const MAX_KEY: usize = 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    #[serde(default)]
    after: u64,
}

/// A case as a caseworker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseView {
    /// The application.
    pub application_id: String,
    /// The person's case: the same for every application under one pseudonym.
    pub case: String,
    /// The contract decided by.
    pub contract: String,
    /// Notices told about it, oldest first.
    pub notices: Vec<Notice>,
    /// Statements made about it, oldest first.
    pub statements: Vec<What>,
}

pub(super) async fn statements(
    id: web::Path<String>,
    query: web::Query<After>,
    state: Data<Arc<State>>,
) -> HttpResponse {
    match state.statements(&id, query.after).await {
        Ok(Some(statements)) => HttpResponse::Ok().json(json!({ "statements": statements })),
        Ok(None) => unknown(),
        Err(refusal) => refusal.into(),
    }
}

pub(super) async fn notice(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
    state: Data<Arc<State>>,
) -> HttpResponse {
    let key = request.headers().get("idempotency-key");
    let key = key.and_then(|key| key.to_str().ok());
    let Some(key) = key.filter(|key| !key.is_empty() && key.len() <= MAX_KEY) else {
        return bad("send an Idempotency-Key of 1 to 128 bytes");
    };
    let Ok(told) = serde_json::from_slice::<StatusNotice>(&body) else {
        return bad("give {\"notice\": …}, and the token that it rests on");
    };
    match state.take_notice(&id, key, &told).await {
        Ok(true) => HttpResponse::Accepted().json(json!({"taken": true})),
        Ok(false) => unknown(),
        Err(refusal) => refusal.into(),
    }
}

pub(super) async fn all(request: HttpRequest, state: Data<Arc<State>>) -> HttpResponse {
    if !state.is_caseworker(&request) {
        return unauthorised();
    }
    match state.store.cases().await {
        Ok(cases) => HttpResponse::Ok().json(cases),
        Err(error) => Refusal::from(error).into(),
    }
}

pub(super) async fn say(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
    state: Data<Arc<State>>,
) -> HttpResponse {
    if !state.is_caseworker(&request) {
        return unauthorised();
    }
    let Ok(what) = serde_json::from_slice::<What>(&body) else {
        return bad(
            "give {\"what\": \"accepted\", \"from\": …}, denied, info-requested, kept, reviewed, protected, closed, died or lives",
        );
    };
    match state.store.say(&id, &what).await {
        Ok(Some(number)) => HttpResponse::Created().json(json!({ "number": number })),
        Ok(None) => unknown(),
        Err(error) => Refusal::from(error).into(),
    }
}

fn unknown() -> HttpResponse {
    problem(StatusCode::NOT_FOUND, "not-found", "no such application")
}

fn unauthorised() -> HttpResponse {
    problem(
        StatusCode::UNAUTHORIZED,
        "key",
        "present the caseworker's key: Authorization: Bearer …",
    )
}

fn bad(detail: &str) -> HttpResponse {
    problem(StatusCode::BAD_REQUEST, "request", detail)
}

impl State {
    fn is_caseworker(&self, request: &HttpRequest) -> bool {
        let key = self.config.caseworker_key.as_ref();
        key.is_some_and(|key| bears(request, key))
    }

    async fn statements(
        &self,
        id: &str,
        after: u64,
    ) -> std::result::Result<Option<Vec<Statement>>, Refusal> {
        let Some(said) = self.store.statements(id, after).await? else {
            return Ok(None);
        };
        let signed = said.into_iter().map(|(number, what)| {
            let mut statement = Statement {
                number,
                application_id: id.to_owned(),
                what,
                signature: Bytes([0; 64]),
            };
            let signature = self.signing_key.sign(statement.message().as_bytes());
            statement.signature = Bytes(signature.to_bytes());
            statement
        });
        Ok(Some(signed.collect()))
    }

    /// Takes a notice about the case of an application; a loss only with a NO of the same person.
    async fn take_notice(
        &self,
        id: &str,
        key: &str,
        told: &StatusNotice,
    ) -> std::result::Result<bool, Refusal> {
        let Some(sub) = self.store.subject(id).await? else {
            return Ok(false);
        };
        if let Some(token) = &told.token {
            let claims = self.standing(token).await?;
            let same: Bytes32 = claims.sub;
            if same.to_string() != sub {
                let detail = "the token is about another person's case".to_owned();
                return Err(Refusal::unprocessable("subject", detail));
            }
            let loss = matches!(told.notice, Notice::Loss { .. });
            if loss && claims.verdict != Verdict::No {
                let detail = "a loss rests on a NO".to_owned();
                return Err(Refusal::unprocessable("verdict", detail));
            }
        } else if matches!(told.notice, Notice::Loss { .. }) {
            let detail = "a loss rests on a token: send it".to_owned();
            return Err(Refusal::unprocessable("token", detail));
        }
        let time = now(self.config.clock_offset_seconds);
        self.store.told(id, key, &told.notice, time).await?;
        Ok(true)
    }
}
