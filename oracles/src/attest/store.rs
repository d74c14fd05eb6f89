//! What a node remembers of requests: which leaves it acknowledged, and the batches it coordinated.
//!
//! No value, no point, no identifier: a request's reference, the places in it and their leaf hashes, until the request
//! expires. Acknowledgements that arrive together become durable together ([`super::writer`]); what is durable is kept
//! in memory too, so that signing a batch reads no database.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use contracts::attestation::{Batch as Tree, SignedRoot};
use contracts::encoding::{Blob, Bytes32};
use contracts::ids::Domain;
use contracts::issuance::MAX_LEAVES;
use contracts::receipt::Receipt;
use contracts::units::UnixTime;
use serde::{Deserialize, Serialize};
use sqlx::{AnyPool, Row as _};

use super::AttestError;
use super::quota::Use;
use super::writer::Writer;
use crate::db::{self, DbError};
use crate::wire::attest::LeafKey;

/// How long leaves stay acknowledged and batches can be fetched again, in seconds.
pub const REQUEST_LIFETIME: i64 = 24 * 3600;
/// Acknowledged requests that a node keeps in memory; others are read from its database.
const MAX_CACHED: usize = 8_192;
/// Rows that one statement inserts or one query names.
const CHUNK: usize = 500;

/// The acknowledged leaf hashes of one request.
pub(crate) type Acks = BTreeMap<LeafKey, Bytes32>;

/// A batch as signed and recorded.
#[derive(Debug, Clone)]
pub(crate) struct SignedBatch {
    pub(crate) root: SignedRoot,
    pub(crate) receipt: Receipt,
    pub(crate) tree: Tree,
}

/// One request's row.
pub(super) struct AckRow {
    pub(super) domain: Domain,
    pub(super) request: Bytes32,
    pub(super) caller: Use,
    pub(super) leaves: Arc<Acks>,
    pub(super) expires: i64,
}

#[derive(Serialize, Deserialize)]
struct Leaves(Vec<(LeafKey, Bytes32)>);

type Cached = HashMap<(Domain, Bytes32), (i64, Arc<Acks>)>;

/// The tables of one node.
#[derive(Clone)]
pub(crate) struct AckStore {
    pool: AnyPool,
    writer: Writer,
    cache: Arc<Mutex<Cached>>,
}

impl AckStore {
    pub(crate) async fn open(pool: AnyPool) -> Result<Self, DbError> {
        let steps = [include_str!("schema.sql"), include_str!("schema_1.sql")];
        db::migrate(&pool, "attest", &steps).await?;
        Ok(Self {
            writer: Writer::start(pool.clone()),
            pool,
            cache: Arc::default(),
        })
    }

    /// Acknowledges the leaves of a request, all or none, and returns when that and the caller's use are durable.
    ///
    /// # Errors
    /// [`AttestError::Conflict`] when other leaves were acknowledged under the request id, or more than one request may
    /// have.
    pub(crate) async fn acknowledge(
        &self,
        domain: Domain,
        request: &Bytes32,
        caller: Use,
        leaves: &Acks,
        now: UnixTime,
    ) -> Result<(), AttestError> {
        if leaves.len() > MAX_LEAVES {
            return Err(AttestError::Conflict);
        }
        let (leaves, expires) = (Arc::new(leaves.clone()), now.0 + REQUEST_LIFETIME);
        let stored = self
            .writer
            .write(AckRow {
                domain,
                request: *request,
                caller,
                leaves: Arc::clone(&leaves),
                expires,
            })
            .await?;
        if stored != *leaves {
            return Err(AttestError::Conflict);
        }
        self.remember(domain, request, expires, leaves, now);
        Ok(())
    }

    fn remember(
        &self,
        domain: Domain,
        request: &Bytes32,
        expires: i64,
        leaves: Arc<Acks>,
        now: UnixTime,
    ) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED {
            cache.retain(|_, (expires, _)| *expires >= now.0);
        }
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert((domain, *request), (expires, leaves));
    }

    /// What was acknowledged for a request; empty when it is unknown or expired.
    pub(crate) async fn acks(
        &self,
        domain: Domain,
        request: &Bytes32,
        now: UnixTime,
    ) -> Result<Arc<Acks>, AttestError> {
        let all = self
            .acks_of(domain, std::slice::from_ref(request), now)
            .await?;
        Ok(all.into_iter().next().unwrap_or_default())
    }

    /// What was acknowledged for each of these requests, in their order.
    pub(crate) async fn acks_of(
        &self,
        domain: Domain,
        requests: &[Bytes32],
        now: UnixTime,
    ) -> Result<Vec<Arc<Acks>>, AttestError> {
        let mut found: HashMap<Bytes32, Arc<Acks>> = HashMap::with_capacity(requests.len());
        let mut missing = Vec::new();
        {
            let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            for request in requests {
                match cache.get(&(domain, *request)) {
                    Some((expires, acks)) if *expires >= now.0 => {
                        found.insert(*request, Arc::clone(acks));
                    }
                    _ => missing.push(*request),
                }
            }
        }
        for chunk in missing.chunks(CHUNK) {
            let sql = format!(
                "SELECT request, leaves, expires FROM attest_request
                 WHERE request IN {} AND domain = ${} AND expires >= ${}",
                db::rows(1, chunk.len()),
                chunk.len() + 1,
                chunk.len() + 2
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
            for request in chunk {
                query = query.bind(request.to_string());
            }
            let query = query.bind(domain.as_str()).bind(now.0);
            for row in query.fetch_all(&self.pool).await? {
                let request = Bytes32::parse(&row.get::<String, _>(0))
                    .map_err(|_| AttestError::Stored("attest_request.request"))?;
                let acks = Arc::new(read_leaves(&row.get::<String, _>(1))?);
                self.remember(domain, &request, row.get(2), Arc::clone(&acks), now);
                found.insert(request, acks);
            }
        }
        Ok(requests
            .iter()
            .map(|request| found.get(request).cloned().unwrap_or_default())
            .collect())
    }

    /// The batches coordinated that hold leaves of a request.
    pub(crate) async fn batches(
        &self,
        domain: Domain,
        request: &Bytes32,
        now: UnixTime,
    ) -> Result<Vec<SignedBatch>, AttestError> {
        let rows = sqlx::query(
            "SELECT r.signed, r.receipt, r.hashes FROM attest_member m JOIN attest_root r ON r.root = m.root
             WHERE m.domain = $1 AND m.request = $2 AND m.expires >= $3 ORDER BY r.root",
        )
        .bind(domain.as_str())
        .bind(request.to_string())
        .bind(now.0)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let damaged = || AttestError::Stored("attest_root");
                let text = |at: usize| row.get::<String, _>(at);
                let hashes: Blob = serde_json::from_str(&text(2)).map_err(|_| damaged())?;
                let (hashes, rest) = hashes.0.as_chunks::<32>();
                if !rest.is_empty() {
                    return Err(damaged());
                }
                Ok(SignedBatch {
                    root: serde_json::from_str(&text(0)).map_err(|_| damaged())?,
                    receipt: serde_json::from_str(&text(1)).map_err(|_| damaged())?,
                    tree: Tree::stored(hashes.to_vec()).map_err(|_| damaged())?,
                })
            })
            .collect()
    }

    /// Keeps a signed batch and which requests have leaves in it.
    pub(crate) async fn keep_batch(
        &self,
        domain: Domain,
        batch: &SignedBatch,
        requests: &[Bytes32],
        now: UnixTime,
    ) -> Result<(), AttestError> {
        let json = |value: Result<String, serde_json::Error>| {
            value.map_err(|_| AttestError::Stored("attest_root"))
        };
        let root = batch.root.statement.root.to_string();
        let expires = now.0 + REQUEST_LIFETIME;
        let mut transaction = db::begin_write(&self.pool).await?;
        sqlx::query(
            "INSERT INTO attest_root (root, signed, receipt, hashes, expires) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
        )
        .bind(root.as_str())
        .bind(json(serde_json::to_string(&batch.root))?)
        .bind(json(serde_json::to_string(&batch.receipt))?)
        .bind(json(serde_json::to_string(&Blob(batch.tree.hashes().as_flattened().to_vec())))?)
        .bind(expires)
        .execute(&mut *transaction)
        .await?;
        for chunk in requests.chunks(CHUNK) {
            let sql = format!(
                "INSERT INTO attest_member (domain, request, root, expires) VALUES {} ON CONFLICT DO NOTHING",
                db::rows(chunk.len(), 4)
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
            for request in chunk {
                query = query
                    .bind(domain.as_str())
                    .bind(request.to_string())
                    .bind(root.as_str())
                    .bind(expires);
            }
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

pub(super) fn read_leaves(text: &str) -> Result<Acks, AttestError> {
    let Leaves(leaves) =
        serde_json::from_str(text).map_err(|_| AttestError::Stored("attest_request.leaves"))?;
    Ok(leaves.into_iter().collect())
}

pub(super) fn write_leaves(leaves: &Acks) -> Result<String, AttestError> {
    let leaves = leaves.iter().map(|(key, hash)| (key.clone(), *hash));
    serde_json::to_string(&Leaves(leaves.collect()))
        .map_err(|_| AttestError::Stored("attest_request.leaves"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::testing;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const CALLER: Use = (20_833, contracts::encoding::Bytes([1; 32]));

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
        for _ in 0..2 {
            store
                .acknowledge(domain, &request, CALLER, &acks(0..2, 1), NOW)
                .await
                .unwrap();
        }
        drop(store);

        let store = AckStore::open(db::connect(&url).await.unwrap())
            .await
            .unwrap();
        for other in [acks(1..3, 2), acks(0..2, 2), acks(0..1, 1), acks(0..3, 1)] {
            let other = store
                .acknowledge(domain, &request, CALLER, &other, NOW)
                .await;
            assert!(matches!(other, Err(AttestError::Conflict)));
        }
        let kept = store.acks(domain, &request, NOW).await.unwrap();
        assert_eq!(
            *kept,
            acks(0..2, 1),
            "a refused request leaves nothing behind"
        );

        let other_committee = Domain::Medical;
        store
            .acknowledge(other_committee, &request, CALLER, &acks(1..3, 2), NOW)
            .await
            .unwrap();
        let many = acks(0..129, 1);
        let too_many = store
            .acknowledge(domain, &Bytes32::from([8; 32]), CALLER, &many, NOW)
            .await;
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

    #[tokio::test]
    async fn of_two_requests_at_once_under_one_id_with_other_leaves_one_is_acknowledged() {
        let (_dir, pool) = testing::database().await;
        let store = AckStore::open(pool).await.unwrap();
        let request = Bytes32::from([9; 32]);
        let calls = (1..=8u8).map(|fill| {
            let store = store.clone();
            async move {
                let leaves = acks(0..2, fill);
                let done = store.acknowledge(Domain::Income, &request, CALLER, &leaves, NOW);
                done.await.map(|()| fill)
            }
        });
        let done: Vec<u8> = futures::future::join_all(calls)
            .await
            .into_iter()
            .filter_map(Result::ok)
            .collect();
        let [fill] = done.as_slice() else {
            panic!("{done:?}")
        };
        let kept = store.acks(Domain::Income, &request, NOW).await.unwrap();
        assert_eq!(*kept, acks(0..2, *fill));
    }
}
