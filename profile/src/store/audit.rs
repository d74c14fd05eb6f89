//! Audit events: calls to the API, written before they do anything and completed when they are answered.

use contracts::units::UnixTime;
use sqlx::Row;

use super::{Store, StoreError, Tx, number};
use crate::api::types::AuditEvent;

/// A call to be written down.
#[derive(Debug, Clone, Copy)]
pub struct NewAudit<'a> {
    /// Now.
    pub at: UnixTime,
    /// Kind of caller.
    pub kind: &'a str,
    /// Which.
    pub who: &'a str,
    /// Method.
    pub method: &'a str,
    /// Route, with names in place of ids.
    pub route: &'a str,
    /// Status of the answer; 0 while there is none.
    pub status: u16,
}

/// The next number of a sequence, from 1. Whoever takes one after another transaction has committed gets a larger one, and
/// numbers of transactions that fail are given out again.
///
/// # Errors
/// The database's.
pub async fn next_number(tx: &mut Tx, sequence: &str) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "INSERT INTO sequence (name, next) VALUES ($1, 1)
         ON CONFLICT (name) DO UPDATE SET next = sequence.next + 1 RETURNING next",
    )
    .bind(sequence)
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.try_get(0)?)
}

/// Writes something done down and returns its number.
///
/// # Errors
/// The database's.
pub async fn put_audit(tx: &mut Tx, new: &NewAudit<'_>) -> Result<i64, StoreError> {
    let seq = next_number(tx, "audit").await?;
    sqlx::query(
        "INSERT INTO audit (seq, at, kind, who, method, route, status)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(seq)
    .bind(new.at.0)
    .bind(new.kind)
    .bind(new.who)
    .bind(new.method)
    .bind(new.route)
    .bind(i64::from(new.status))
    .execute(&mut **tx)
    .await?;
    Ok(seq)
}

impl Store {
    /// Writes a call down and returns its number.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit(&self, new: &NewAudit<'_>) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        let seq = put_audit(&mut tx, new).await?;
        tx.commit().await?;
        Ok(seq)
    }

    /// Completes an event, once.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit_answered(&self, seq: i64, status: u16) -> Result<(), StoreError> {
        sqlx::query("UPDATE audit SET status = $2 WHERE seq = $1 AND status = 0")
            .bind(seq)
            .bind(i64::from(status))
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Removes events from before an instant, at most a thousand, the oldest first: those that stay have no gap.
    ///
    /// # Errors
    /// The database's.
    pub async fn prune_audit(&self, before: UnixTime) -> Result<u64, StoreError> {
        let rows = sqlx::query("SELECT seq, at FROM audit ORDER BY seq LIMIT 1000")
            .fetch_all(self.pool())
            .await?;
        let mut last: Option<i64> = None;
        for row in &rows {
            if row.try_get::<i64, _>("at")? >= before.0 {
                break;
            }
            last = Some(row.try_get("seq")?);
        }
        let Some(last) = last else { return Ok(0) };
        let pruned = sqlx::query("DELETE FROM audit WHERE seq <= $1")
            .bind(last)
            .execute(self.pool())
            .await?;
        Ok(pruned.rows_affected())
    }

    /// Events after a number, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit_events(
        &self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, kind, who, method, route, status FROM audit WHERE seq > $1
             ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(AuditEvent {
                    seq: row.try_get("seq")?,
                    at: UnixTime(row.try_get("at")?),
                    kind: row.try_get("kind")?,
                    who: row.try_get("who")?,
                    method: row.try_get("method")?,
                    route: row.try_get("route")?,
                    status: number(row, "status")?,
                })
            })
            .collect()
    }
}
