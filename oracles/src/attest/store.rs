//! What a node remembers of requests: which leaf it acknowledged in each place, and the batches it coordinated.
//!
//! No value, no point, no identifier: a request's reference, a leaf's place in it and the leaf's hash, until the request expires.

use std::collections::BTreeMap;

use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, Domain};
use contracts::issuance::MAX_LEAVES;
use contracts::units::UnixTime;
use sqlx::{AnyPool, Row as _};

use super::AttestError;
use crate::db::{self, DbError};
use crate::wire::attest::{Batch, LeafKey};

/// How long leaves stay acknowledged and batches can be fetched again, in seconds.
pub const REQUEST_LIFETIME: i64 = 24 * 3600;

/// The acknowledged leaf hashes of one request.
pub(crate) type Acks = BTreeMap<LeafKey, Bytes32>;

/// The tables of one node.
#[derive(Clone)]
pub(crate) struct AckStore(AnyPool);

impl AckStore {
    pub(crate) async fn open(pool: AnyPool) -> Result<Self, DbError> {
        db::migrate(&pool, "attest", &[include_str!("schema.sql")]).await?;
        Ok(Self(pool))
    }

    /// Acknowledges leaves, all or none, and returns when that is durable.
    ///
    /// # Errors
    /// [`AttestError::Conflict`] when another leaf was acknowledged in one of the places, or more leaves would be than
    /// one request may have.
    pub(crate) async fn acknowledge(
        &self,
        domain: Domain,
        request: &Bytes32,
        leaves: &Acks,
        now: UnixTime,
    ) -> Result<(), AttestError> {
        let mut transaction = db::begin_write(&self.0).await?;
        for table in ["attest_ack", "attest_batch"] {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "DELETE FROM {table} WHERE expires < $1"
            )))
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        }
        for (key, hash) in leaves {
            sqlx::query(
                "INSERT INTO attest_ack (domain, request, attribute, period, leaf_index, leaf_hash, expires)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(domain.as_str())
            .bind(request.to_string())
            .bind(key.attribute.to_string())
            .bind(key.period.to_string())
            .bind(i64::from(key.index))
            .bind(hash.to_string())
            .bind(now.0 + REQUEST_LIFETIME)
            .execute(&mut *transaction)
            .await?;
        }
        let stored = read(&mut *transaction, domain, request, now).await?;
        let same = leaves
            .iter()
            .all(|(key, hash)| stored.get(key) == Some(hash));
        if !same || stored.len() > MAX_LEAVES {
            return Err(AttestError::Conflict);
        }
        transaction.commit().await?;
        Ok(())
    }

    /// What was acknowledged for a request; empty when it is unknown or expired.
    pub(crate) async fn acks(
        &self,
        domain: Domain,
        request: &Bytes32,
        now: UnixTime,
    ) -> Result<Acks, AttestError> {
        read(&self.0, domain, request, now).await
    }

    /// The batches coordinated for a request.
    pub(crate) async fn batches(
        &self,
        domain: Domain,
        request: &Bytes32,
        now: UnixTime,
    ) -> Result<Vec<Batch>, AttestError> {
        let row = sqlx::query(
            "SELECT body FROM attest_batch WHERE domain = $1 AND request = $2 AND expires >= $3",
        )
        .bind(domain.as_str())
        .bind(request.to_string())
        .bind(now.0)
        .fetch_optional(&self.0)
        .await?;
        row.map_or(Ok(Vec::new()), |row| {
            serde_json::from_str(&row.get::<String, _>(0))
                .map_err(|_| AttestError::Stored("attest_batch.body"))
        })
    }

    /// Keeps the batches coordinated for a request.
    pub(crate) async fn keep_batches(
        &self,
        domain: Domain,
        request: &Bytes32,
        batches: &[Batch],
        now: UnixTime,
    ) -> Result<(), AttestError> {
        let body =
            serde_json::to_string(batches).map_err(|_| AttestError::Stored("attest_batch.body"))?;
        sqlx::query(
            "INSERT INTO attest_batch (domain, request, body, expires) VALUES ($1, $2, $3, $4)
             ON CONFLICT (domain, request) DO UPDATE SET body = excluded.body",
        )
        .bind(domain.as_str())
        .bind(request.to_string())
        .bind(body)
        .bind(now.0 + REQUEST_LIFETIME)
        .execute(&self.0)
        .await?;
        Ok(())
    }
}

async fn read<'e, E>(
    from: E,
    domain: Domain,
    request: &Bytes32,
    now: UnixTime,
) -> Result<Acks, AttestError>
where
    E: sqlx::Executor<'e, Database = sqlx::Any>,
{
    let rows = sqlx::query(
        "SELECT attribute, period, leaf_index, leaf_hash FROM attest_ack
         WHERE domain = $1 AND request = $2 AND expires >= $3",
    )
    .bind(domain.as_str())
    .bind(request.to_string())
    .bind(now.0)
    .fetch_all(from)
    .await?;
    rows.into_iter()
        .map(|row| {
            let (period, hash): (String, String) = (row.get(1), row.get(3));
            let key = LeafKey {
                attribute: AttributeId(row.get(0)),
                period: period
                    .parse()
                    .map_err(|_| AttestError::Stored("attest_ack.period"))?,
                index: u32::try_from(row.get::<i64, _>(2))
                    .map_err(|_| AttestError::Stored("attest_ack.leaf_index"))?,
            };
            let hash =
                Bytes32::parse(&hash).map_err(|_| AttestError::Stored("attest_ack.leaf_hash"))?;
            Ok((key, hash))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::testing;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn key(index: u32) -> LeafKey {
        LeafKey {
            attribute: "income.magi_monthly".into(),
            period: "2026-10-22/2026-11-20".parse().unwrap(),
            index,
        }
    }

    fn acks(indices: std::ops::Range<u32>, fill: u8) -> Acks {
        indices
            .map(|index| (key(index), Bytes32::from([fill; 32])))
            .collect()
    }

    #[tokio::test]
    async fn a_second_leaf_in_the_same_place_is_refused_even_after_a_restart() {
        let (_dir, url) = testing::database_url().await;
        let request = Bytes32::from([9; 32]);
        let domain = Domain::Income;
        let store = AckStore::open(db::connect(&url).await.unwrap())
            .await
            .unwrap();
        store
            .acknowledge(domain, &request, &acks(0..2, 1), NOW)
            .await
            .unwrap();
        store
            .acknowledge(domain, &request, &acks(0..2, 1), NOW)
            .await
            .unwrap();
        drop(store);

        let store = AckStore::open(db::connect(&url).await.unwrap())
            .await
            .unwrap();
        let other = store
            .acknowledge(domain, &request, &acks(1..3, 2), NOW)
            .await;
        assert!(matches!(other, Err(AttestError::Conflict)));
        let kept = store.acks(domain, &request, NOW).await.unwrap();
        assert_eq!(
            kept,
            acks(0..2, 1),
            "a refused request leaves nothing behind"
        );

        let other_committee = Domain::Medical;
        store
            .acknowledge(other_committee, &request, &acks(1..3, 2), NOW)
            .await
            .unwrap();
        let many = acks(0..129, 1);
        let too_many = store.acknowledge(domain, &request, &many, NOW).await;
        assert!(matches!(too_many, Err(AttestError::Conflict)));
        let later = UnixTime(NOW.0 + REQUEST_LIFETIME + 1);
        assert!(
            store
                .acks(domain, &request, later)
                .await
                .unwrap()
                .is_empty()
        );
    }
}
