//! Routes of the coverage flag: its token, a provider's pull, and the practice that is told when it changes.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use contracts::encoding::{Bytes32, tagged_hash};
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::auth::{Flagged, OnceKey, Owner};
use crate::service::Service;

/// Answer of `POST /v1/profiles/{profile}/flag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// Bearer token of `GET /v1/flag`, for a provider: who has it sees whether the owner is covered today, and nothing else.
    pub flag_token: String,
}

/// Body of `PUT /v1/profiles/{profile}/flag/practice`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TellPractice {
    /// The practice, by the name it is configured under; none to tell nobody any more.
    pub practice: Option<String>,
}

#[utoipa::path(put, path = "/v1/profiles/{profile}/flag/practice", params(("profile" = String, Path, description = "Id of the profile")), request_body = TellPractice, responses((status = 204, description = "It is told from now on"), (status = 409, description = "`not-watched`: the profile's cover is not looked after")))]
pub(super) async fn tell_practice(
    service: web::Data<Service>,
    owner: Owner,
    body: web::Json<TellPractice>,
) -> Result<HttpResponse, Problem> {
    let practice = body.practice.as_deref();
    service.tell_practice(&owner.0, practice).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/v1/profiles/{profile}/flag", params(("profile" = String, Path, description = "Id of the profile")), responses((status = 200, description = "The token", body = Flag), (status = 409, description = "`not-watched`: the profile's cover is not looked after"), (status = 422, description = "`idempotency-key-reused`")))]
pub(super) async fn make_flag(
    service: web::Data<Service>,
    owner: Owner,
    key: OnceKey,
) -> Result<HttpResponse, Problem> {
    let id = owner.0.profile;
    service.once(&format!("{id} flag"), &key.0, b"").await?;
    let flag_token = service.flag(&owner.0).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Flag { flag_token }))
}

/// A provider's pull: FHIR R4 `Coverage` with what the flag tells and nothing else; 304 while it has not changed.
#[utoipa::path(get, path = "/v1/flag", params(("If-None-Match" = Option<String>, Header, description = "`ETag` of an earlier answer")), responses((status = 200, description = "FHIR R4 `Coverage`", body = Object, content_type = "application/fhir+json"), (status = 304, description = "Not changed"), (status = 409, description = "`not-watched`: the profile's cover is not looked after")))]
pub(super) async fn flag(
    service: web::Data<Service>,
    flagged: Flagged,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let Flagged(profile) = flagged;
    let covered = service.covered_on(&profile, service.clock.today()).await?;
    let status = if covered { "active" } else { "cancelled" };
    let id = service.flag_id(&profile.profile);
    let resource = json!({
        "resourceType": "Coverage",
        "id": id,
        "status": status,
        "beneficiary": {"identifier": {"system": "urn:shp:flag", "value": id}},
        "payor": [{"display": "not disclosed"}],
    });
    let tag = Bytes32::from(tagged_hash(
        "shp/v1/flag-etag",
        &[id.as_bytes(), status.as_bytes()],
    ));
    let tag = format!("\"{tag}\"");
    let known = request.headers().get(header::IF_NONE_MATCH);
    let known = known.and_then(|value| value.to_str().ok());
    // RFC 9110 section 13.1.2: a list of tags, weakly compared, or any.
    let same = known.is_some_and(|known| {
        let mut tags = known.split(',').map(|one| one.trim());
        tags.any(|one| one == "*" || one.trim_start_matches("W/") == tag)
    });
    if same {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, tag))
            .finish());
    }
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .content_type("application/fhir+json")
        .json(resource))
}
