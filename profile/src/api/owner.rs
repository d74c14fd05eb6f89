//! Routes of profiles and questions.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use contracts::encoding::{Bytes32, to_jcs};
use oracles::problem::Problem;
use serde::Serialize;

use super::auth::{OnceKey, Owner, Party};
use super::types::{
    AskQuestion, CreatedProfile, EnrolProfile, OpenAttributes, Profile, Question, Reproofing,
    TokenAnswer,
};
use crate::question::no_question;
use crate::service::Service;

fn question_id(path: &str) -> Result<Bytes32, Problem> {
    Bytes32::parse(path).map_err(|_| no_question())
}

pub(super) fn created(new: bool) -> StatusCode {
    match new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    }
}

/// What an idempotency key stands for.
pub(super) fn canonical<T: Serialize>(body: &T) -> Result<Vec<u8>, Problem> {
    to_jcs(body).map_err(|_| Problem::internal())
}

#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "The database answers")))]
pub(super) async fn healthz(service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    service.store.ping().await?;
    Ok(HttpResponse::Ok().finish())
}

#[utoipa::path(post, path = "/v1/profiles", responses((status = 201, description = "Made now", body = CreatedProfile), (status = 200, description = "Made by an earlier call with this key", body = CreatedProfile), (status = 409, description = "`enrolled`: the token is not shown again")))]
pub(super) async fn create(
    service: web::Data<Service>,
    navigator: Party,
    key: OnceKey,
) -> Result<HttpResponse, Problem> {
    let (profile, new) = service.create_profile(&navigator.name, &key.0).await?;
    Ok(HttpResponse::build(created(new))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(profile))
}

#[utoipa::path(get, path = "/v1/profiles/{profile}", params(("profile" = String, Path, description = "Id of the profile")), responses((status = 200, description = "The profile", body = Profile)))]
pub(super) async fn profile(
    service: web::Data<Service>,
    owner: Owner,
) -> Result<HttpResponse, Problem> {
    let view = service.profile_view(&owner.0).await?;
    Ok(HttpResponse::Ok().json(view))
}

#[utoipa::path(post, path = "/v1/profiles/{profile}/enrol", params(("profile" = String, Path, description = "Id of the profile")), request_body = EnrolProfile, responses((status = 200, description = "Enrolled", body = Profile), (status = 409, description = "`enrolled` with another contact handle"), (status = 422, description = "`idempotency-key-reused`"), (status = 403, description = "`committee-refused`: the committee refused"), (status = 503, description = "`no-quorum`: too few oracles answered; names who was silent, refused or wrong")))]
pub(super) async fn enrol(
    service: web::Data<Service>,
    owner: Owner,
    key: OnceKey,
    call: web::Json<EnrolProfile>,
) -> Result<HttpResponse, Problem> {
    let id = owner.0.profile;
    service
        .once(&format!("{id} enrol"), &key.0, &canonical(&*call)?)
        .await?;
    let view = service.enrol(&id, &call).await?;
    Ok(HttpResponse::Ok().json(view))
}

#[utoipa::path(get, path = "/v1/profiles/{profile}/reproofing", params(("profile" = String, Path, description = "Id of the profile")), responses((status = 200, description = "Whether somebody was proofed anew as this person", body = Reproofing), (status = 409, description = "`not-enrolled`: the profile holds no handles that are taken today"), (status = 403, description = "`committee-refused`: the committee refused"), (status = 503, description = "`no-quorum`: too few oracles answered; names who was silent, refused or wrong")))]
pub(super) async fn reproofing(
    service: web::Data<Service>,
    owner: Owner,
) -> Result<HttpResponse, Problem> {
    let notice = service.reproofing(&owner.0, false).await?;
    Ok(HttpResponse::Ok().json(notice))
}

#[utoipa::path(post, path = "/v1/profiles/{profile}/reproofing/objection", params(("profile" = String, Path, description = "Id of the profile")), responses((status = 200, description = "The objection as it stands", body = Reproofing), (status = 409, description = "`not-enrolled`: the profile holds no handles that are taken today"), (status = 422, description = "`idempotency-key-reused`"), (status = 403, description = "`committee-refused`: the committee refused"), (status = 503, description = "`no-quorum`: too few oracles answered; names who was silent, refused or wrong")))]
pub(super) async fn object(
    service: web::Data<Service>,
    owner: Owner,
    key: OnceKey,
) -> Result<HttpResponse, Problem> {
    let id = owner.0.profile;
    service
        .once(&format!("{id} objection"), &key.0, b"")
        .await?;
    let notice = service.reproofing(&owner.0, true).await?;
    Ok(HttpResponse::Ok().json(notice))
}

#[utoipa::path(post, path = "/v1/profiles/{profile}/questions", params(("profile" = String, Path, description = "Id of the profile")), request_body = AskQuestion, responses((status = 201, description = "Asked now", body = Question), (status = 200, description = "Asked by an earlier call with this key", body = Question), (status = 409, description = "`not-enrolled`: the profile holds no handles that are taken today"), (status = 422, description = "`contract`: the rules do not give this question an answer; `idempotency-key-reused`")))]
pub(super) async fn ask(
    service: web::Data<Service>,
    owner: Owner,
    key: OnceKey,
    call: web::Json<AskQuestion>,
) -> Result<HttpResponse, Problem> {
    let body = canonical(&*call)?;
    let (question, new) = service.ask(&owner.0, &key.0, &body, &call).await?;
    Ok(HttpResponse::build(created(new)).json(question))
}

#[utoipa::path(get, path = "/v1/questions/{question}", params(("question" = String, Path, description = "Id of the question")), responses((status = 200, description = "The question", body = Question)))]
pub(super) async fn question(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    let view = service.question_view(&owner.0, &id).await?;
    Ok(HttpResponse::Ok().json(view))
}

#[utoipa::path(post, path = "/v1/questions/{question}/advance", params(("question" = String, Path, description = "Id of the question")), responses((status = 200, description = "After its next step, or `waiting`", body = Question), (status = 409, description = "`not-enrolled`; `not-ready`: what it rests on is not there yet, advance again later; `consent-withdrawn`: the owner lets no node read what it needs; `nobody-to-ask`: no phone, and no grant in force for this; `not-reachable`: the owner cannot be texted; `unverified`: the phone has not said YES to the notifier's question; `open-decision`: another decision of this person is open; `refused`, `suspended`: the phone is not theirs, or out of service; `contract-changed`: ask again; `raced`, `attestation-used`: advance again"), (status = 422, description = "`contract`: the rules do not give this question an answer any more; `idempotency-key-reused`"), (status = 403, description = "`committee-refused`: the committee refused"), (status = 502, description = "`acceptance-refused`, `reply-refused`: what agency or notifier signed does not check out"), (status = 503, description = "`no-quorum`, `busy`, `agency-unavailable`, `notifier-unavailable`: advance again later")))]
pub(super) async fn advance(
    service: web::Data<Service>,
    owner: Owner,
    key: OnceKey,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    let view = service.advance(owner.0, &id, &key.0).await?;
    Ok(HttpResponse::Ok().json(view))
}

#[utoipa::path(get, path = "/v1/questions/{question}/token", params(("question" = String, Path, description = "Id of the question")), responses((status = 200, description = "The token", body = TokenAnswer), (status = 409, description = "`not-decided`: advance the question first")))]
pub(super) async fn token(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    let answer = service.token(&owner.0, &id).await?;
    Ok(HttpResponse::Ok().json(answer))
}

#[utoipa::path(get, path = "/v1/questions/{question}/bundle", params(("question" = String, Path, description = "Id of the question")), responses((status = 200, description = "The decision bundle, RFC 8785 JSON", body = Object), (status = 409, description = "`not-decided`: advance the question first")))]
pub(super) async fn bundle(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    let bytes = service.bundle(&owner.0, &id).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(bytes))
}

#[utoipa::path(post, path = "/v1/questions/{question}/openings", params(("question" = String, Path, description = "Id of the question")), request_body = OpenAttributes, responses((status = 200, description = "The openings file, RFC 8785 JSON", body = Object), (status = 409, description = "`not-decided`: advance the question first"), (status = 422, description = "`idempotency-key-reused`")))]
pub(super) async fn openings(
    service: web::Data<Service>,
    owner: Owner,
    key: OnceKey,
    path: web::Path<String>,
    call: web::Json<OpenAttributes>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    // What is not the caller's leaves no key behind.
    service.question_view(&owner.0, &id).await?;
    service
        .once(&format!("{id} openings"), &key.0, &canonical(&*call)?)
        .await?;
    let bytes = service.openings(&owner.0, &id, &call.attributes).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(bytes))
}
