//! The HTTP API; see the crate's documentation for requests and answers.

mod callers;
mod carrier;
mod gateway;
mod operators;
mod problem;

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};

pub use problem::Problem;

/// Largest body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 16 << 10;
/// Longest `wait` for a reply, in seconds.
pub const MAX_WAIT: u64 = 60;

/// Mounts every route.
pub(crate) fn routes(service: &mut ServiceConfig) {
    service
        .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
        .route("/healthz", web::get().to(HttpResponse::Ok))
        .route("/metrics", web::get().to(operators::metrics))
        .route("/v1/key", web::get().to(callers::key))
        .route("/v1/contacts", web::post().to(callers::add_contact))
        .route("/v1/contacts/{id}", web::get().to(callers::contact))
        .route(
            "/v1/contacts/{id}/phone",
            web::post().to(callers::change_phone),
        )
        .route("/v1/messages", web::post().to(callers::send))
        .route("/v1/messages/{id}", web::get().to(callers::message))
        .route("/v1/replies/{decision_id}", web::get().to(callers::reply))
        .route(
            "/v1/replies/{decision_id}",
            web::delete().to(callers::withdraw),
        )
        .route("/v1/events", web::get().to(callers::events))
        .route("/v1/dead-letters", web::get().to(operators::dead_letters))
        .route(
            "/v1/dead-letters/{id}/replay",
            web::post().to(operators::replay),
        )
        .route(
            "/v1/carriers/{name}/inbound",
            web::post().to(carrier::inbound),
        )
        .route(
            "/v1/carriers/{name}/status",
            web::post().to(carrier::status),
        )
        .route("/v1/gateway/inbound", web::post().to(gateway::inbound))
        .route("/v1/gateway/receipts", web::post().to(gateway::receipt));
}
