//! What is kept for a term and no longer: audit events and idempotency keys. The oldest go first, a bounded number at a time.

use std::time::Duration;

use actix_web::web;
use contracts::units::UnixTime;

use crate::service::Service;
use crate::store::StoreError;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(3_600);
/// Seconds in a day.
const DAY: i64 = 86_400;

/// Prunes until the service ends.
pub(crate) async fn run(service: web::Data<Service>) {
    loop {
        match service.prune().await {
            Ok(0) => {}
            Ok(pruned) => tracing::info!(pruned, "rows whose term is over were removed"),
            Err(error) => tracing::error!(%error, "rows whose term is over could not be removed"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

impl Service {
    /// Removes what is over its term, and says how many rows.
    ///
    /// # Errors
    /// The database's; what was removed stays removed.
    pub(crate) async fn prune(&self) -> Result<u64, StoreError> {
        let before = |days: u32| UnixTime(self.clock.now().0 - i64::from(days) * DAY);
        let audit = before(self.retention.audit_days);
        let keys = before(self.retention.idempotency_days);
        let mut all = 0;
        loop {
            let pruned =
                self.store.prune_audit(audit).await? + self.store.prune_idempotency(keys).await?;
            all += pruned;
            if pruned == 0 {
                return Ok(all);
            }
        }
    }
}
