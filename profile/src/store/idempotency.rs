//! `Idempotency-Key`: the same key and body find the resource that the first call made.

use contracts::encoding::{Bytes32, tagged_hash};
use contracts::units::UnixTime;
use sqlx::Row;

use super::{Store, StoreError, Tx};

impl Store {
    /// Removes keys from before an instant, at most a thousand.
    ///
    /// # Errors
    /// The database's.
    pub async fn prune_idempotency(&self, before: UnixTime) -> Result<u64, StoreError> {
        let pruned = sqlx::query(
            "DELETE FROM idempotency WHERE (scope, key_hash) IN
             (SELECT scope, key_hash FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT 1000)",
        )
        .bind(before.0)
        .execute(self.pool())
        .await?;
        Ok(pruned.rows_affected())
    }
}

/// What is known of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remembered {
    /// The first call with this key: the resource now belongs to it.
    First,
    /// The same call again; it made this resource.
    Again(String),
    /// Another call had this key.
    Other,
}

/// Claims a key for a resource, or says what it was claimed for. `body` is hashed; neither it nor the key is stored.
///
/// # Errors
/// The database's.
pub async fn remember(
    tx: &mut Tx,
    scope: &str,
    key: &str,
    body: &[u8],
    resource: &str,
    now: UnixTime,
) -> Result<Remembered, StoreError> {
    let key_hash: Bytes32 = tagged_hash("shp/v1/idempotency-key", &[key.as_bytes()]).into();
    let fingerprint: Bytes32 =
        tagged_hash("shp/v1/idempotency-body", &[key.as_bytes(), body]).into();
    let inserted = sqlx::query(
        "INSERT INTO idempotency (scope, key_hash, fingerprint, resource, created_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (scope, key_hash) DO NOTHING",
    )
    .bind(scope)
    .bind(key_hash.to_string())
    .bind(fingerprint.to_string())
    .bind(resource)
    .bind(now.0)
    .execute(&mut **tx)
    .await?
    .rows_affected();
    if inserted == 1 {
        return Ok(Remembered::First);
    }
    let row = sqlx::query(
        "SELECT fingerprint, resource FROM idempotency WHERE scope = $1 AND key_hash = $2",
    )
    .bind(scope)
    .bind(key_hash.to_string())
    .fetch_one(&mut **tx)
    .await?;
    Ok(
        if row.try_get::<String, _>("fingerprint")? == fingerprint.to_string() {
            Remembered::Again(row.try_get("resource")?)
        } else {
            Remembered::Other
        },
    )
}
