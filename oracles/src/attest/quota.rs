//! How often a person's records may be read in a day, counted by every node for itself.
//!
//! A caller is an authorisation key, by its hash. What is counted becomes durable with the acknowledgement it was
//! counted for, so that a restart refills nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use contracts::encoding::{Bytes32, tagged_hash};
use contracts::units::UnixTime;
use sqlx::{Any, AnyPool, Row as _, Transaction};

use super::AttestError;

/// Callers counted in memory; a day has fewer people than this at one node, or the oldest counts are read again.
const MAX_CALLERS: usize = 500_000;

/// A caller on a day.
pub(crate) type Use = (i64, Bytes32);

/// The counts of one node.
pub(crate) struct Quota {
    pool: AnyPool,
    per_day: u32,
    used: Mutex<HashMap<Use, u32>>,
}

/// The use that a request by an authorisation key is.
pub(crate) fn use_of(authorisation_key: &Bytes32, now: UnixTime) -> Use {
    let caller = tagged_hash("shp/v1/attest-caller", &[&authorisation_key.0]);
    (now.0.div_euclid(86_400), caller.into())
}

impl Quota {
    pub(super) fn new(pool: AnyPool, per_day: u32) -> Self {
        Self {
            pool,
            per_day,
            used: Mutex::default(),
        }
    }

    /// Counts a request before its sources are read.
    ///
    /// # Errors
    /// [`AttestError::Quota`] above the quota.
    pub(crate) async fn count(&self, of: Use) -> Result<(), AttestError> {
        let known = {
            let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.contains_key(&of)
        };
        let mut stored = 0;
        if !known {
            let row = sqlx::query("SELECT used FROM attest_quota WHERE day = $1 AND caller = $2")
                .bind(of.0)
                .bind(of.1.to_string())
                .fetch_optional(&self.pool)
                .await?;
            stored = row.map_or(0, |row| {
                u32::try_from(row.get::<i64, _>(0)).unwrap_or(u32::MAX)
            });
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MAX_CALLERS {
            used.clear();
        }
        let used = used.entry(of).or_insert(stored);
        if *used >= self.per_day {
            return Err(AttestError::Quota);
        }
        *used += 1;
        Ok(())
    }
}

/// Adds uses to what is stored, and drops what is over.
pub(crate) async fn store(
    transaction: &mut Transaction<'static, Any>,
    uses: impl Iterator<Item = Use>,
) -> Result<(), AttestError> {
    // One row a caller: Postgres takes none twice in one statement.
    let mut counts: HashMap<Use, i64> = HashMap::new();
    for of in uses {
        *counts.entry(of).or_default() += 1;
    }
    let Some(today) = counts.keys().map(|(day, _)| *day).max() else {
        return Ok(());
    };
    sqlx::query("DELETE FROM attest_quota WHERE day < $1")
        .bind(today - 1)
        .execute(&mut **transaction)
        .await?;
    let sql = format!(
        "INSERT INTO attest_quota (day, caller, used) VALUES {}
         ON CONFLICT (day, caller) DO UPDATE SET used = attest_quota.used + excluded.used",
        crate::db::rows(counts.len(), 3)
    );
    let mut insert = sqlx::query(sqlx::AssertSqlSafe(sql));
    for ((day, caller), count) in counts {
        insert = insert.bind(day).bind(caller.to_string()).bind(count);
    }
    insert.execute(&mut **transaction).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::store::{AckStore, Acks};
    use crate::attest::testing;
    use contracts::ids::Domain;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    #[tokio::test]
    async fn attack_asking_all_day_ends_at_the_quota_and_a_restart_refills_nothing() {
        let (_dir, pool) = testing::database().await;
        let store = AckStore::open(pool.clone()).await.unwrap();
        let quota = Quota::new(pool.clone(), 3);
        let caller = use_of(&Bytes32::from([1; 32]), NOW);
        for fill in 1..=3 {
            quota.count(caller).await.unwrap();
            let request = Bytes32::from([fill; 32]);
            store
                .acknowledge(Domain::Income, &request, caller, &Acks::new(), NOW)
                .await
                .unwrap();
        }
        assert!(matches!(quota.count(caller).await, Err(AttestError::Quota)));
        let restarted = Quota::new(pool, 3);
        assert!(matches!(
            restarted.count(caller).await,
            Err(AttestError::Quota)
        ));
        let other = use_of(&Bytes32::from([2; 32]), NOW);
        restarted.count(other).await.unwrap();
        let tomorrow = use_of(&Bytes32::from([1; 32]), UnixTime(NOW.0 + 86_400));
        restarted.count(tomorrow).await.unwrap();
    }
}
