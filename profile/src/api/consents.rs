//! Routes of consent: what is read of whom, until when, and its withdrawal.

use actix_web::{HttpResponse, web};
use contracts::ids::Domain;
use oracles::problem::Problem;

use super::auth::{OnceKey, Owner};
use crate::consent::{ConsentList, GiveConsent};
use crate::service::Service;

fn domain(name: &str) -> Result<Domain, Problem> {
    name.parse().map_err(|_| {
        Problem::not_found("no such domain: identity, residence, income, household or medical")
    })
}

/// Which sources are read, for what, and whether the owner lets them be.
#[utoipa::path(get, path = "/v1/profiles/{profile}/consents", params(("profile" = String, Path, description = "Id of the profile")), responses((status = 200, description = "One for each domain", body = ConsentList)))]
pub(super) async fn list(
    service: web::Data<Service>,
    owner: Owner,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(service.consent_list(&owner.0).await?))
}

/// Gives consent to a domain's sources, or another last day; what enrolment left out stays out until the person is proofed again.
#[utoipa::path(put, path = "/v1/profiles/{profile}/consents/{domain}", params(("profile" = String, Path, description = "Id of the profile"), ("domain" = String, Path, description = "The domain")), request_body = GiveConsent, responses((status = 200, description = "As it stands", body = ConsentList)))]
pub(super) async fn give(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<(String, String)>,
    call: web::Json<GiveConsent>,
) -> Result<HttpResponse, Problem> {
    let list = service
        .consent(&owner.0, domain(&path.1)?, Some(&call))
        .await?;
    Ok(HttpResponse::Ok().json(list))
}

/// Withdraws it: what was read and shown to nobody is dropped, and nothing more is read.
#[utoipa::path(post, path = "/v1/profiles/{profile}/consents/{domain}/withdrawal", params(("profile" = String, Path, description = "Id of the profile"), ("domain" = String, Path, description = "The domain")), responses((status = 200, description = "As it stands", body = ConsentList), (status = 422, description = "`idempotency-key-reused`")))]
pub(super) async fn withdraw(
    service: web::Data<Service>,
    owner: Owner,
    key: OnceKey,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let domain = domain(&path.1)?;
    let scope = format!("{} withdrawal", owner.0.profile);
    service
        .once(&scope, &key.0, domain.as_str().as_bytes())
        .await?;
    Ok(HttpResponse::Ok().json(service.consent(&owner.0, domain, None).await?))
}
