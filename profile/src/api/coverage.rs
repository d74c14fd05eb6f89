//! Routes of an owner's cover: the record, and what the owner reports.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use contracts::ids::Jurisdiction;
use contracts::lifecycle::{Change, Event};
use contracts::units::Day;
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{OnceKey, Owner};
use super::owner::canonical;
use super::types::Page;
use crate::lifecycle::Coverage;
use crate::service::Service;

/// Body of `PUT /v1/profiles/{profile}/coverage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchOver {
    /// Where the owner lives.
    #[schema(value_type = String)]
    pub jurisdiction: Jurisdiction,
    /// The eligibility contract, such as `us.medicaid.adult-group`.
    pub contract: String,
}

/// Body of `POST /v1/profiles/{profile}/coverage/events`: what an owner may report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "event", deny_unknown_fields)]
pub enum Reported {
    /// Medicaid is in force already.
    Covered {
        /// Whose.
        #[schema(value_type = String)]
        jurisdiction: Jurisdiction,
        /// First day.
        #[schema(value_type = String, format = Date)]
        from: Day,
        /// Last day of the certification period, where known.
        #[serde(default)]
        #[schema(value_type = Option<String>, format = Date)]
        period_end: Option<Day>,
    },
    /// Something changed.
    Changed {
        /// What kind of thing.
        #[schema(value_type = ChangeShape)]
        change: Change,
    },
    /// A change that was told of is wrong.
    Disputed {
        /// The case.
        case: u32,
    },
}

/// [`Change`], as the OpenAPI document shows it.
#[derive(ToSchema)]
#[schema(as = Change)]
#[allow(dead_code, reason = "only its schema is used")]
struct ChangeShape {
    /// `income-up`, `income-down`, `dependents-up`, `dependents-down`, `recovery`, `diagnosis`, `age-boundary`,
    /// `status-changed`, `moved`, `renewal-due`, `engagement` or `closed`.
    kind: String,
    /// Of `moved`: the state.
    to: Option<String>,
    /// Of `engagement`: the day of the agency's notice.
    #[schema(format = Date)]
    sent: Option<String>,
}

#[utoipa::path(put, path = "/v1/profiles/{profile}/coverage", params(("profile" = String, Path, description = "Id of the profile")), request_body = WatchOver, responses((status = 204, description = "Looked after"), (status = 409, description = "`not-enrolled`: the profile holds no handles that are taken today"), (status = 422, description = "`contract`: the state does not have it")))]
pub(super) async fn watch_over(
    service: web::Data<Service>,
    owner: Owner,
    call: web::Json<WatchOver>,
) -> Result<HttpResponse, Problem> {
    service
        .watch_over(&owner.0, call.jurisdiction, &call.contract)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(get, path = "/v1/profiles/{profile}/coverage", params(("profile" = String, Path, description = "Id of the profile"), Page), responses((status = 200, description = "A page of the record", body = Coverage), (status = 409, description = "`not-watched`: the profile's cover is not looked after")))]
pub(super) async fn record(
    service: web::Data<Service>,
    owner: Owner,
    page: web::Query<Page>,
) -> Result<HttpResponse, Problem> {
    let record = service.coverage(&owner.0, page.after, page.limit()).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(record))
}

#[utoipa::path(post, path = "/v1/profiles/{profile}/coverage/events", params(("profile" = String, Path, description = "Id of the profile")), request_body = Reported, responses((status = 204, description = "Taken"), (status = 409, description = "`not-watched`: the profile's cover is not looked after"), (status = 422, description = "`idempotency-key-reused`")))]
pub(super) async fn report(
    service: web::Data<Service>,
    owner: Owner,
    key: OnceKey,
    call: web::Json<Reported>,
) -> Result<HttpResponse, Problem> {
    let (id, body) = (owner.0.profile, canonical(&*call)?);
    service.once(&format!("{id} report"), &key.0, &body).await?;
    let event = match call.into_inner() {
        Reported::Covered {
            jurisdiction,
            from,
            period_end,
        } => Event::Covered {
            jurisdiction,
            from,
            period_end,
        },
        Reported::Changed {
            change: Change::Watched { .. },
        } => {
            return Err(Problem::bad_request(
                "change.kind: `watched` is a watch's word; report what changed",
            ));
        }
        Reported::Changed { change } => Event::Changed { change },
        Reported::Disputed { case } => Event::Disputed { case },
    };
    let source = format!("owner {}", key.0);
    service.take_event(&owner.0, &source, &event).await?;
    Ok(HttpResponse::NoContent().finish())
}
