//! Group commit: acknowledgements that wait for the disk together share one transaction.
//!
//! A commit costs a flush of the disk, whatever it holds. While one is under way the next gather, so that a busy node
//! flushes once for many requests and an idle one at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use contracts::encoding::Bytes32;
use contracts::ids::Domain;
use sqlx::{AnyPool, Row as _};
use tokio::sync::{mpsc, oneshot};

use super::AttestError;
use super::quota;
use super::store::{AckRow, Acks, read_leaves, write_leaves};
use crate::db;

/// Requests that wait to be written at most; above it a node is busy.
const QUEUE: usize = 4_096;
/// Requests in one transaction.
const TOGETHER: usize = 256;
/// How often what has expired is dropped.
const FORGET_EVERY: Duration = Duration::from_secs(60);

type Waiting = (AckRow, oneshot::Sender<Result<Acks, AttestError>>);

/// Where requests queue up to be written.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Waiting>);

impl Writer {
    /// Starts the one task that writes; it ends when nobody can queue any more.
    pub(super) fn start(pool: AnyPool) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        tokio::spawn(run(pool, queue));
        Self(sender)
    }

    /// Writes a row unless its request has one, and returns the leaves that are durable under the request then.
    pub(super) async fn write(&self, row: AckRow) -> Result<Acks, AttestError> {
        let (answer, written) = oneshot::channel();
        self.0
            .try_send((row, answer))
            .map_err(|_| AttestError::Busy)?;
        written.await.map_err(|_| AttestError::Busy)?
    }
}

async fn run(pool: AnyPool, mut queue: mpsc::Receiver<Waiting>) {
    let mut forgotten: Option<Instant> = None;
    let mut together = Vec::with_capacity(TOGETHER);
    while queue.recv_many(&mut together, TOGETHER).await > 0 {
        let (rows, answers): (Vec<_>, Vec<_>) = together.drain(..).unzip();
        let forget = forgotten.is_none_or(|at| at.elapsed() >= FORGET_EVERY);
        match write(&pool, &rows, forget).await {
            Ok(stored) => {
                if forget {
                    forgotten = Some(Instant::now());
                }
                for (row, answer) in rows.iter().zip(answers) {
                    let leaves = stored.get(&(row.domain, row.request));
                    let leaves = leaves
                        .cloned()
                        .unwrap_or_else(|| row.leaves.as_ref().clone());
                    // A caller that hung up does not need to know.
                    let _ = answer.send(Ok(leaves));
                }
            }
            Err(error) => {
                tracing::error!(%error, "acknowledgements could not be written");
                for answer in answers {
                    let _ = answer.send(Err(AttestError::Stored("attest_request")));
                }
            }
        }
    }
}

/// One transaction; returns the leaves of those requests that had a row already, or come twice.
async fn write(
    pool: &AnyPool,
    rows: &[AckRow],
    forget: bool,
) -> Result<BTreeMap<(Domain, Bytes32), Acks>, AttestError> {
    let mut transaction = db::begin_write(pool).await?;
    if forget {
        // A row's whole lifetime has passed since it was given: by the same clock, whatever that says now.
        let now = rows.iter().map(|row| row.expires).min().unwrap_or(0) - super::REQUEST_LIFETIME;
        for table in ["attest_request", "attest_member", "attest_root"] {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "DELETE FROM {table} WHERE expires < $1"
            )))
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        }
    }
    let texts = rows
        .iter()
        .map(|row| write_leaves(&row.leaves))
        .collect::<Result<Vec<_>, _>>()?;
    let sql = format!(
        "INSERT INTO attest_request (domain, request, leaves, expires) VALUES {} ON CONFLICT DO NOTHING",
        db::rows(rows.len(), 4)
    );
    let mut insert = sqlx::query(sqlx::AssertSqlSafe(sql));
    for (row, text) in rows.iter().zip(&texts) {
        insert = insert
            .bind(row.domain.as_str())
            .bind(row.request.to_string())
            .bind(text.as_str())
            .bind(row.expires);
    }
    let written = insert.execute(&mut *transaction).await?;

    quota::store(&mut transaction, rows.iter().map(|row| row.caller)).await?;

    let mut stored = BTreeMap::new();
    if written.rows_affected() != rows.len() as u64 {
        let asked: BTreeSet<_> = rows.iter().map(|row| (row.domain, row.request)).collect();
        for (domain, request) in asked {
            let row =
                sqlx::query("SELECT leaves FROM attest_request WHERE domain = $1 AND request = $2")
                    .bind(domain.as_str())
                    .bind(request.to_string())
                    .fetch_one(&mut *transaction)
                    .await?;
            stored.insert((domain, request), read_leaves(&row.get::<String, _>(0))?);
        }
    }
    transaction.commit().await?;
    Ok(stored)
}
