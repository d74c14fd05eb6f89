//! Routes of profiles and questions.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use contracts::encoding::{Bytes32, to_jcs};
use oracles::problem::Problem;
use serde::Serialize;

use super::auth::{OnceKey, Owner, Party};
use super::types::{AskQuestion, EnrolProfile, OpenAttributes};
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

pub(super) async fn healthz(service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    service.store.ping().await?;
    Ok(HttpResponse::Ok().finish())
}

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

pub(super) async fn profile(
    service: web::Data<Service>,
    owner: Owner,
) -> Result<HttpResponse, Problem> {
    let view = service.profile_view(&owner.0).await?;
    Ok(HttpResponse::Ok().json(view))
}

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

pub(super) async fn reproofing(
    service: web::Data<Service>,
    owner: Owner,
) -> Result<HttpResponse, Problem> {
    let notice = service.reproofing(&owner.0, false).await?;
    Ok(HttpResponse::Ok().json(notice))
}

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

pub(super) async fn question(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    let view = service.question_view(&owner.0, &id).await?;
    Ok(HttpResponse::Ok().json(view))
}

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

pub(super) async fn token(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    let answer = service.token(&owner.0, &id).await?;
    Ok(HttpResponse::Ok().json(answer))
}

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
