//! Routes of agencies: renewals in batches, and what changed about their cases.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use contracts::encoding::Bytes32;
use contracts::lifecycle::Notice;
use contracts::units::UnixTime;
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{OnceKey, Party};
use super::types::Page;
use crate::renewal::unknown;
use crate::service::Service;

/// Most pseudonyms of a batch.
pub const MAX_RENEWALS: usize = 1_000;
/// Batches of one agency that are worked on at the same time.
pub const MAX_OPEN_RENEWALS: u32 = 20;
/// Largest body of a batch, in bytes.
pub const MAX_RENEWAL_BODY: usize = 64 << 10;

/// Body of `POST /v1/agency/renewals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewBatch {
    /// Pseudonyms of the calling agency's cases, as the `sub` of their tokens spells them; 1 to 1,000, each once.
    #[schema(min_items = 1, max_items = 1000)]
    pub pseudonyms: Vec<String>,
}

/// What came of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RenewalOutcome {
    /// Not done yet.
    Pending,
    /// A YES token.
    Yes,
    /// A NO token.
    No,
    /// Facts are missing: the person has to be asked.
    NeedsInfo,
    /// The person disputes what is on record, and somebody reviews it: ask again when the review has ended.
    Disputed,
    /// No case of this agency whose application was accepted through this service.
    Unknown,
    /// It cannot be done; `code` says why.
    Failed,
}

/// An item of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renewed {
    /// The pseudonym.
    pub pseudonym: String,
    /// What came of it.
    pub outcome: RenewalOutcome,
    /// The token of a YES or NO, a compact JWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The problem's code, when failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Answer of `POST /v1/agency/renewals`, without results, and of `GET /v1/agency/renewals/{renewal}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// The batch, a random id.
    #[schema(value_type = String)]
    pub renewal: Bytes32,
    /// Its items.
    pub total: u32,
    /// Those that are done.
    pub done: u32,
    /// When it was asked for.
    #[schema(value_type = i64)]
    pub created_at: UnixTime,
    /// A page of items, in the order in which they were named.
    pub results: Vec<Renewed>,
    /// What to ask for the next page with, where there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// What an agency was told about a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgencyNotice {
    /// Its number among the agency's notices, from 1, without gaps.
    pub seq: i64,
    /// When it was told.
    #[schema(value_type = i64)]
    pub at: UnixTime,
    /// The agency's number of the application that the case is known by.
    pub application: String,
    /// What changed.
    #[schema(value_type = Object)]
    pub notice: Notice,
    /// The decision that it rests on, a compact JWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Answer of `GET /v1/agency/notices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoticePage {
    /// Notices, oldest first.
    pub notices: Vec<AgencyNotice>,
    /// What to ask for the next page with, where there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

#[utoipa::path(
    post, path = "/v1/agency/renewals", request_body = RenewBatch,
    responses(
        (status = 202, description = "Taken now", body = Renewal),
        (status = 200, description = "Taken by an earlier call with this key", body = Renewal),
        (status = 409, description = "`too-many-open`: wait until a batch is done"),
        (status = 422, description = "`idempotency-key-reused`")
    )
)]
pub(super) async fn renew(
    service: web::Data<Service>,
    agency: Party,
    key: OnceKey,
    call: web::Json<RenewBatch>,
) -> Result<HttpResponse, Problem> {
    let (renewal, new) = service
        .renew(&agency.audience, &key.0, &call.pseudonyms)
        .await?;
    let status = match new {
        true => StatusCode::ACCEPTED,
        false => StatusCode::OK,
    };
    let place = format!("/v1/agency/renewals/{}", renewal.renewal);
    Ok(HttpResponse::build(status)
        .insert_header((header::LOCATION, place))
        .json(renewal))
}

#[utoipa::path(
    get, path = "/v1/agency/renewals/{renewal}",
    params(("renewal" = String, Path, description = "Id of the batch"), Page),
    responses((status = 200, description = "How far it is, and a page of its items", body = Renewal))
)]
pub(super) async fn renewal(
    service: web::Data<Service>,
    agency: Party,
    path: web::Path<String>,
    page: web::Query<Page>,
) -> Result<HttpResponse, Problem> {
    let id = Bytes32::parse(&path).map_err(|_| unknown())?;
    let view = service.renewal_view(&agency.audience, &id, &page).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(view))
}

#[utoipa::path(
    get, path = "/v1/agency/notices", params(Page),
    responses((status = 200, description = "A page of notices", body = NoticePage))
)]
pub(super) async fn notices(
    service: web::Data<Service>,
    agency: Party,
    page: web::Query<Page>,
) -> Result<HttpResponse, Problem> {
    let page = service.notices(&agency.audience, &page).await?;
    Ok(HttpResponse::Ok().json(page))
}
