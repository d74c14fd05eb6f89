//! What whoever runs the notifier may see and do.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::Problem;
use super::callers::caller;
use crate::config::Permission;
use crate::service::Service;

/// Counts and nothing else: no token is needed, as for `/healthz`.
pub(super) async fn metrics(service: Data<Service>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(service.metrics.encode())
}

pub(super) async fn dead_letters(
    request: HttpRequest,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    caller(&request, &service, Permission::Operate)?;
    Ok(HttpResponse::Ok().json(json!({ "dead_letters": service.dead_letters().await? })))
}

pub(super) async fn replay(
    request: HttpRequest,
    id: Path<String>,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    caller(&request, &service, Permission::Operate)?;
    service.replay(&id).await?;
    Ok(HttpResponse::NoContent().finish())
}
