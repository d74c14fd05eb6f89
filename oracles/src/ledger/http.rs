//! The ledger's HTTP interface; types and caps in [`crate::wire::ledger`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use contracts::receipt::EntryKind;

use super::{Ledger, LedgerError, LedgerRole};
use crate::http::json_config;
use crate::problem::{Problem, QuorumFailure};
use crate::wire::ledger::{
    AppendAnswer, AppendRequest, CheckpointAnswer, ConsistencyAnswer, ConsistencyQuery,
    EntriesAnswer, EntriesQuery, MAX_APPEND_BODY, MAX_APPENDS_PER_MINUTE, MAX_ENTRIES,
};

/// Appends counted in windows of a minute.
#[derive(Debug, Default)]
pub struct RateLimit(Mutex<Option<(Instant, u32)>>);

impl RateLimit {
    /// Counts one more; false above the limit.
    fn take(&self, now: Instant, limit: u32) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, count) = window
            .filter(|(start, _)| now.duration_since(*start) < Duration::from_secs(60))
            .unwrap_or((now, 0));
        let allowed = count < limit;
        *window = Some((start, count + u32::from(allowed)));
        allowed
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        let unavailable = |detail: String| {
            Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ledger-unavailable",
                "The ledger did not answer",
                detail,
            )
        };
        match error {
            LedgerError::Db(error) => error.into(),
            LedgerError::Quorum {
                needed,
                answered,
                ref missing,
                ..
            } => {
                let detail = error.to_string();
                let mut problem = Self::quorum(QuorumFailure {
                    committee: "ledger".to_owned(),
                    needed,
                    answered: Vec::with_capacity(answered),
                    silent: missing.iter().map(|(node, _)| *node).collect(),
                    refused: Vec::new(),
                    culprits: Vec::new(),
                });
                problem.detail = detail;
                problem
            }
            LedgerError::NotGenesis(_) | LedgerError::NotAllowed { .. } => {
                Self::forbidden("ledger-entry", error.to_string())
            }
            LedgerError::TooMany => Self::bad_request(error.to_string()),
            other => unavailable(other.to_string()),
        }
    }
}

/// The routes of a member.
pub(super) fn routes(config: &mut web::ServiceConfig, role: &Arc<LedgerRole>) {
    config.service(
        web::scope("/v1/ledger")
            .app_data(web::Data::from(role.clone()))
            .app_data(json_config(MAX_APPEND_BODY))
            .route("/append", web::post().to(append))
            .route("/checkpoint", web::get().to(checkpoint))
            .route("/receipt/{index}", web::get().to(receipt))
            .route("/entries", web::get().to(entries))
            .route("/consistency", web::get().to(consistency)),
    );
}

async fn append(
    role: web::Data<LedgerRole>,
    request: web::Json<AppendRequest>,
) -> Result<HttpResponse, Problem> {
    let entry = request.entry;
    if !matches!(
        entry.kind,
        EntryKind::Approval | EntryKind::Application | EntryKind::CoverageEvent | EntryKind::Grant
    ) {
        return Err(Problem::forbidden(
            "ledger-entry",
            format!(
                "entry.kind: {} entries are appended by their committee; write approval, application, coverage-event or grant",
                entry.kind
            ),
        ));
    }
    if !role.appends.take(Instant::now(), MAX_APPENDS_PER_MINUTE) {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate-limited",
            "Too many appends",
            "ask again in a minute, or ask another node",
        ));
    }
    let receipts = role.member().await?.append(&[entry]).await?;
    let receipt = receipts.into_iter().next().ok_or_else(Problem::internal)?;
    Ok(HttpResponse::Ok().json(AppendAnswer { receipt }))
}

async fn checkpoint(role: web::Data<LedgerRole>) -> Result<HttpResponse, Problem> {
    let checkpoint = role.member().await?.checkpoint().await;
    let checkpoint = checkpoint.ok_or_else(|| Problem::not_found("the log has no entry yet"))?;
    Ok(HttpResponse::Ok().json(CheckpointAnswer { checkpoint }))
}

async fn receipt(
    role: web::Data<LedgerRole>,
    index: web::Path<u64>,
) -> Result<HttpResponse, Problem> {
    let receipt = role.member().await?.receipt(*index).await?;
    let receipt = receipt.ok_or_else(|| {
        Problem::not_found(format!("no entry {index} under this node's checkpoint"))
    })?;
    Ok(HttpResponse::Ok().json(receipt))
}

async fn entries(
    role: web::Data<LedgerRole>,
    query: web::Query<EntriesQuery>,
) -> Result<HttpResponse, Problem> {
    let EntriesQuery { start, count } = *query;
    if count == 0 || count > MAX_ENTRIES {
        return Err(Problem::bad_request(format!(
            "count: write 1 to {MAX_ENTRIES}"
        )));
    }
    let entries = role.member().await?.signed_entries(start, count).await?;
    Ok(HttpResponse::Ok().json(EntriesAnswer { start, entries }))
}

async fn consistency(
    role: web::Data<LedgerRole>,
    query: web::Query<ConsistencyQuery>,
) -> Result<HttpResponse, Problem> {
    let ConsistencyQuery { old, new } = *query;
    let path = role.member().await?.consistency(old, new).await;
    let path = path.ok_or_else(|| {
        Problem::bad_request("old, new: write 1 <= old <= new <= size of the checkpoint")
    })?;
    Ok(HttpResponse::Ok().json(ConsistencyAnswer { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_above_the_limit_wait_for_the_next_minute() {
        let limit = RateLimit::default();
        let start = Instant::now();
        assert!(limit.take(start, 2) && limit.take(start, 2));
        assert!(!limit.take(start + Duration::from_secs(59), 2));
        assert!(limit.take(start + Duration::from_secs(60), 2));
    }
}
