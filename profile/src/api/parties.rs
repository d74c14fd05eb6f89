//! Routes of the operator and of insurers.

use actix_web::{HttpResponse, web};
use oracles::problem::Problem;

use super::auth::Party;
use super::types::{AuditPage, Page, PolicyPage, PolicyPageQuery};
use crate::service::Service;

/// Longest number of a policy, in bytes.
const MAX_POLICY: usize = 200;

/// What was done through the API and by whom.
#[utoipa::path(get, path = "/v1/audit", params(Page), responses((status = 200, description = "A page of events", body = AuditPage)))]
pub(super) async fn audit(
    service: web::Data<Service>,
    page: web::Query<Page>,
) -> Result<HttpResponse, Problem> {
    let limit = page.limit();
    let events = service.store.audit_events(page.after, limit).await?;
    let next = page.next(events.len(), events.last().map(|event| event.seq));
    Ok(HttpResponse::Ok().json(AuditPage { events, next }))
}

/// What an insurer sold, as it is known here.
#[utoipa::path(get, path = "/v1/insurer/policies", params(PolicyPageQuery), responses((status = 200, description = "A page of policies", body = PolicyPage)))]
pub(super) async fn policies(
    service: web::Data<Service>,
    insurer: Party,
    page: web::Query<PolicyPageQuery>,
) -> Result<HttpResponse, Problem> {
    let limit = super::types::page_limit(page.limit);
    let after = page.after.as_deref().unwrap_or_default();
    if after.len() > MAX_POLICY || after.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Problem::bad_request("after: a policy's number"));
    }
    let sold = service
        .store
        .policies_of(&insurer.audience, after, limit)
        .await?;
    let full = sold.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let last = sold.last().map(|policy| policy.policy.clone());
    Ok(HttpResponse::Ok().json(PolicyPage {
        policies: sold,
        next: last.filter(|_| full),
    }))
}
