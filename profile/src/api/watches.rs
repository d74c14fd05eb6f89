//! Routes of an owner's watches: what was agreed, which watches follow from it and until when, and taking it back.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, Domain, NodeId};
use contracts::units::Day;
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Owner;
use crate::service::Service;

/// Body of `PUT /v1/profiles/{profile}/watches`: what the owner lets be watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Domains whose facts may be watched; all where it is left out.
    #[serde(default = "every_domain")]
    #[schema(value_type = Vec<String>)]
    pub domains: Vec<Domain>,
    /// The last day; at most 366 days from today.
    #[schema(value_type = String, format = Date)]
    pub until: Day,
}

fn every_domain() -> Vec<Domain> {
    Domain::ALL.to_vec()
}

/// Answer of `GET /v1/profiles/{profile}/watches`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Watches {
    /// What the owner agreed to, while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<Agreement>,
    /// Watches at the committees, in the order in which they expire. Each is renewed while the agreement lasts; two of one
    /// domain meet while it is.
    pub watches: Vec<WatchView>,
}

/// A watch at a domain's committee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchView {
    /// Its id.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{43}$")]
    pub watch: Bytes32,
    /// Whose committee watches.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// The facts. Nodes tell that one changed, and know no value between two readings.
    #[schema(value_type = Vec<String>)]
    pub attributes: Vec<AttributeId>,
    /// Its last day at the nodes, whatever becomes of this service.
    #[schema(value_type = String, format = Date)]
    pub expires: Day,
    /// Whether it is over: nothing that is told of it counts any more.
    pub ended: bool,
    /// Nodes that hold it; of one that is over, those that have not confirmed its end yet.
    #[schema(value_type = Vec<u16>)]
    pub nodes: Vec<NodeId>,
}

#[utoipa::path(put, path = "/v1/profiles/{profile}/watches", operation_id = "agree_to_watches", params(("profile" = String, Path, description = "Id of the profile")), request_body = Agreement, responses((status = 204, description = "Agreed, in place of an earlier agreement; what it leaves out ends"), (status = 409, description = "`watches-off`: this service watches nothing; `not-enrolled`; `not-watched`: the profile's cover is not looked after")))]
pub(super) async fn agree(
    service: web::Data<Service>,
    owner: Owner,
    call: web::Json<Agreement>,
) -> Result<HttpResponse, Problem> {
    service.agree_to_watches(&owner.0, &call).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(get, path = "/v1/profiles/{profile}/watches", operation_id = "watches", params(("profile" = String, Path, description = "Id of the profile")), responses((status = 200, description = "What was agreed, and every watch", body = Watches)))]
pub(super) async fn list(
    service: web::Data<Service>,
    owner: Owner,
) -> Result<HttpResponse, Problem> {
    let watches = service.watches(&owner.0).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(watches))
}

#[utoipa::path(delete, path = "/v1/profiles/{profile}/watches", operation_id = "end_watches", params(("profile" = String, Path, description = "Id of the profile")), responses((status = 204, description = "Taken back: from here on nothing that nodes tell counts, and they are told to forget")))]
pub(super) async fn end_all(
    service: web::Data<Service>,
    owner: Owner,
) -> Result<HttpResponse, Problem> {
    service.end_watches(&owner.0, None).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(delete, path = "/v1/profiles/{profile}/watches/{watch}", operation_id = "end_watch", params(("profile" = String, Path, description = "Id of the profile"), ("watch" = String, Path, description = "Id of the watch")), responses((status = 204, description = "Its domain is taken out of the agreement, and all watches of that domain end")))]
pub(super) async fn end_one(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (_, watch) = path.into_inner();
    let unknown = |_| Problem::not_found("the path has a part that is no id");
    let watch = Bytes32::parse(&watch).map_err(unknown)?;
    service.end_watches(&owner.0, Some(&watch)).await?;
    Ok(HttpResponse::NoContent().finish())
}
