//! The decision committee's HTTP interface; types and caps in [`crate::wire::decision`].

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use contracts::revocation::{MAX_REVOCATION_BYTES, Revocation};
use contracts::status::MEDIA_TYPE;

use super::DecisionRole;
use super::nonce::Nonces;
use crate::http::json_config;
use crate::problem::Problem;
use crate::wire::decision::{DecideRequest, MAX_DECIDE_BODY, NonceAnswer};

/// Seconds that readers may keep keys before they ask again.
const MAX_AGE: &str = "max-age=300";

/// The routes of a member.
pub(super) fn routes(config: &mut web::ServiceConfig, role: &Arc<DecisionRole>) {
    let role = web::Data::from(role.clone());
    config
        .service(
            web::scope("/v1/decision")
                .app_data(role.clone())
                .app_data(json_config(MAX_DECIDE_BODY))
                .route("/nonce", web::post().to(nonce))
                .route("/decide", web::post().to(decide))
                .service(
                    web::resource("/revoke")
                        .app_data(json_config(MAX_REVOCATION_BYTES))
                        .route(web::post().to(revoke)),
                ),
        )
        .service(
            web::resource("/.well-known/jwks.json")
                .app_data(role.clone())
                .route(web::get().to(jwks)),
        )
        .service(
            web::resource("/status/{list}")
                .app_data(role)
                .route(web::get().to(status_list)),
        );
}

async fn nonce(role: web::Data<DecisionRole>) -> Result<HttpResponse, Problem> {
    let nonce = role.nonces.fresh(role.now());
    Ok(HttpResponse::Ok().json(NonceAnswer {
        node: role.node.id(),
        nonce,
        expires: Nonces::expires(&nonce),
    }))
}

async fn decide(
    role: web::Data<DecisionRole>,
    request: web::Json<DecideRequest>,
) -> Result<HttpResponse, Problem> {
    let role = role.into_inner();
    let presentation = request.into_inner().presentation;
    // A caller that hangs up does not stop a decision half way.
    let runtime = role.node.runtime().clone();
    let answer = runtime.spawn(async move { role.decide(presentation).await });
    let answer = answer.await.map_err(|_| Problem::internal())??;
    Ok(HttpResponse::Ok().json(answer))
}

async fn revoke(
    role: web::Data<DecisionRole>,
    revocation: web::Json<Revocation>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(role.revoke(revocation.into_inner()).await?))
}

async fn jwks(role: web::Data<DecisionRole>) -> Result<HttpResponse, Problem> {
    let keys = role.jwks();
    if keys.keys().is_empty() {
        return Err(Problem::not_found(
            "no decision key yet: run the key generation",
        ));
    }
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, MAX_AGE))
        .json(keys))
}

async fn status_list(
    role: web::Data<DecisionRole>,
    list: web::Path<u64>,
) -> Result<HttpResponse, Problem> {
    let (jws, max_age) = role.status_list(*list).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, MEDIA_TYPE))
        .insert_header((header::CACHE_CONTROL, format!("max-age={max_age}")))
        .body(jws))
}
