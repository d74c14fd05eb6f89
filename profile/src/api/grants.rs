//! Routes of grants: who may act for an owner.

use actix_web::{HttpResponse, web};
use contracts::encoding::Bytes32;
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{OnceKey, Owner, Party};
use super::owner::{canonical, created};
use crate::grant::{Grant, GrantList, Grantor, NewGrant};
use crate::service::Service;

/// Body of `POST /v1/agency/grants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgencyGrant {
    /// The case, as the `sub` of its tokens spells it.
    pub pseudonym: String,
    /// The grant.
    pub grant: NewGrant,
}

/// Body of `POST /v1/grants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorGrant {
    /// The profile.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub profile: Bytes32,
    /// The grant.
    pub grant: NewGrant,
}

/// Proposes that somebody acts for the owner; the owner is asked by text, then the representative is (42 CFR 435.923).
#[utoipa::path(post, path = "/v1/profiles/{profile}/grants", params(("profile" = String, Path, description = "Id of the profile")), request_body = NewGrant, responses((status = 201, description = "Made now", body = Grant), (status = 200, description = "Made by an earlier call with this key", body = Grant), (status = 409, description = "`not-enrolled`; `no-phone`: the owner cannot say YES; `too-many-grants`"), (status = 422, description = "`idempotency-key-reused`")))]
pub(super) async fn designate(
    service: web::Data<Service>,
    owner: Owner,
    key: OnceKey,
    call: web::Json<NewGrant>,
) -> Result<HttpResponse, Problem> {
    let body = canonical(&*call)?;
    let (grant, new) = service
        .make_grant(&owner.0, Grantor::Owner, &key.0, &body, &call)
        .await?;
    Ok(HttpResponse::build(created(new)).json(grant))
}

/// Who may act for the owner, by what authority, and what they did.
#[utoipa::path(get, path = "/v1/profiles/{profile}/grants", params(("profile" = String, Path, description = "Id of the profile")), responses((status = 200, description = "Every grant", body = GrantList)))]
pub(super) async fn list(
    service: web::Data<Service>,
    owner: Owner,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(service.grant_list(&owner.0).await?))
}

/// Revokes a grant at once.
#[utoipa::path(post, path = "/v1/profiles/{profile}/grants/{grant}/revocation", params(("profile" = String, Path, description = "Id of the profile"), ("grant" = String, Path, description = "Id of the grant")), responses((status = 200, description = "As it stands", body = Grant), (status = 422, description = "`idempotency-key-reused`")))]
pub(super) async fn revoke(
    service: web::Data<Service>,
    owner: Owner,
    key: OnceKey,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let profile = &owner.0.profile;
    revoked(&service, Grantor::Owner, Some(profile), &key, &path.1).await
}

/// Records that somebody acts for the person of one of the agency's cases, by an authority that it has seen (42 CFR 435.923(a)).
#[utoipa::path(post, path = "/v1/agency/grants", request_body = AgencyGrant, responses((status = 201, description = "Made now", body = Grant), (status = 200, description = "Made by an earlier call with this key", body = Grant), (status = 404, description = "`not-found`: no case of this agency whose application was accepted through this service"), (status = 409, description = "`not-enrolled`; `too-many-grants`"), (status = 422, description = "`idempotency-key-reused`")))]
pub(super) async fn record(
    service: web::Data<Service>,
    agency: Party,
    key: OnceKey,
    call: web::Json<AgencyGrant>,
) -> Result<HttpResponse, Problem> {
    let body = canonical(&*call)?;
    let unknown = || Problem::not_found("no such case of this agency");
    let pseudonym = Bytes32::parse(&call.pseudonym).map_err(|_| unknown())?;
    let digest = service.case_digest(&agency.audience, &pseudonym.0);
    let case = service.store.agency_case(&digest).await?;
    let (profile, _) = case.ok_or_else(unknown)?;
    let profile = service.store.profile(&profile).await?.ok_or_else(unknown)?;
    let by = Grantor::Agency(&agency.audience);
    let (grant, new) = service
        .make_grant(&profile, by, &key.0, &body, &call.grant)
        .await?;
    Ok(HttpResponse::build(created(new)).json(grant))
}

/// Revokes a grant that this agency recorded.
#[utoipa::path(post, path = "/v1/agency/grants/{grant}/revocation", params(("grant" = String, Path, description = "Id of the grant")), responses((status = 200, description = "As it stands", body = Grant), (status = 422, description = "`idempotency-key-reused`")))]
pub(super) async fn agency_revoke(
    service: web::Data<Service>,
    agency: Party,
    key: OnceKey,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let by = Grantor::Agency(&agency.audience);
    revoked(&service, by, None, &key, &path).await
}

/// Records that somebody acts for a person who cannot, by an authority that the operator has seen (42 CFR 435.923(a)).
#[utoipa::path(post, path = "/v1/grants", request_body = OperatorGrant, responses((status = 201, description = "Made now", body = Grant), (status = 200, description = "Made by an earlier call with this key", body = Grant), (status = 404, description = "`not-found`: no such profile"), (status = 409, description = "`not-enrolled`; `too-many-grants`"), (status = 422, description = "`idempotency-key-reused`")))]
pub(super) async fn operator_record(
    service: web::Data<Service>,
    operator: Party,
    key: OnceKey,
    call: web::Json<OperatorGrant>,
) -> Result<HttpResponse, Problem> {
    let body = canonical(&*call)?;
    let profile = service.store.profile(&call.profile).await?;
    let profile = profile.ok_or_else(|| Problem::not_found("no such profile"))?;
    let by = Grantor::Operator(&operator.name);
    let (grant, new) = service
        .make_grant(&profile, by, &key.0, &body, &call.grant)
        .await?;
    Ok(HttpResponse::build(created(new)).json(grant))
}

/// Revokes a grant, whoever made it: when an authority has ended, or a representative no longer acts (42 CFR 435.923(c)).
#[utoipa::path(post, path = "/v1/grants/{grant}/revocation", params(("grant" = String, Path, description = "Id of the grant")), responses((status = 200, description = "As it stands", body = Grant), (status = 422, description = "`idempotency-key-reused`")))]
pub(super) async fn operator_revoke(
    service: web::Data<Service>,
    operator: Party,
    key: OnceKey,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let by = Grantor::Operator(&operator.name);
    revoked(&service, by, None, &key, &path).await
}

async fn revoked(
    service: &Service,
    by: Grantor<'_>,
    profile: Option<&Bytes32>,
    key: &OnceKey,
    grant: &str,
) -> Result<HttpResponse, Problem> {
    let (owner, stored) = service.revocable(by, profile, grant).await?;
    let scope = format!("{} revocation", stored.grant);
    service.once(&scope, &key.0, b"").await?;
    let grant = service.revoke_grant(&owner, by, &stored).await?;
    Ok(HttpResponse::Ok().json(grant))
}
