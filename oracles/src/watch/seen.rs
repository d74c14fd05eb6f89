//! What a look at a feed comes to, in one transaction: the new mark, the notices, and what must be read again.

use std::collections::{BTreeMap, BTreeSet};

use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, Domain};
use contracts::units::{Day, UnixTime};
use sqlx::{Any, Row as _, Transaction};

use super::WatchError;
use super::store::{CHUNK, WatchStore, bytes, domain};
use crate::db;
use crate::faults;
use crate::keys::SealedAtRest;

/// Seconds until a reading that failed is tried again; it doubles.
const FIRST_PAUSE: i64 = 60;
/// The longest pause, in seconds.
const LONGEST_PAUSE: i64 = 86_400;
/// Readings tried again in one turn.
const DUE_AT_ONCE: usize = 200;

/// A watch whose facts are to be read.
pub(super) struct Due {
    pub(super) watch: Bytes32,
    pub(super) domain: Domain,
    pub(super) handle: SealedAtRest,
    pub(super) facts: Vec<DueFact>,
}

pub(super) struct DueFact {
    pub(super) attribute: AttributeId,
    /// The digest as it is stored.
    pub(super) digest: String,
    pub(super) tries: i64,
    /// The last day on which the digest was borne out, as it is stored.
    pub(super) known: i64,
}

/// A feed as it was left.
#[derive(Default)]
pub(super) struct Mark {
    pub(super) marker: Option<String>,
    /// The day of the last whole look.
    pub(super) looked: i64,
}

/// A feed as it is to be left.
pub(super) struct NewMark<'a> {
    pub(super) feed: &'a str,
    pub(super) marker: &'a str,
    pub(super) looked: i64,
}

/// What a reading came to.
pub(super) enum Outcome {
    Same,
    Changed(Bytes32),
    /// The sources failed or did not agree.
    Again,
}

/// A fact that was read.
pub(super) struct Seen {
    pub(super) watch: Bytes32,
    pub(super) attribute: AttributeId,
    pub(super) before: String,
    pub(super) tries: i64,
    /// The last day on which the value was known to be as before.
    pub(super) since: i64,
    pub(super) outcome: Outcome,
}

impl WatchStore {
    /// A feed's mark.
    pub(super) async fn mark(&self, feed: &str) -> Result<Mark, WatchError> {
        let row = sqlx::query("SELECT marker, looked FROM watch_feed WHERE feed = $1")
            .bind(feed)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map_or_else(Mark::default, |row| Mark {
            marker: Some(row.get(0)),
            looked: row.get(1),
        }))
    }

    /// The day of the last whole look at each feed.
    pub(super) async fn looked(&self) -> Result<BTreeMap<String, i64>, WatchError> {
        let rows = sqlx::query("SELECT feed, looked FROM watch_feed")
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// The watches of people, by the hashes of their keys; as many queries as hashes demand, whoever else is watched.
    pub(super) async fn of_people(
        &self,
        hashes: &BTreeSet<Bytes32>,
        today: Day,
    ) -> Result<Vec<Due>, WatchError> {
        let hashes: Vec<String> = hashes.iter().map(Bytes32::to_string).collect();
        let mut watches = BTreeSet::new();
        for chunk in hashes.chunks(CHUNK) {
            let sql = format!(
                "SELECT watch FROM watch_key WHERE hash IN {}",
                db::rows(1, chunk.len())
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
            for hash in chunk {
                query = query.bind(hash.as_str());
            }
            let rows = query.fetch_all(&self.pool).await?;
            watches.extend(rows.iter().map(|row| row.get::<String, _>(0)));
        }
        let watches: Vec<String> = watches.into_iter().collect();
        self.due_of(&watches, today, false, UnixTime(i64::MAX))
            .await
    }

    /// Facts whose reading failed and is to be tried again.
    pub(super) async fn due(&self, today: Day, now: UnixTime) -> Result<Vec<Due>, WatchError> {
        let sql = format!(
            "SELECT DISTINCT watch FROM watch_fact WHERE retry_at IS NOT NULL AND retry_at <= $1
             LIMIT {DUE_AT_ONCE}"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(now.0)
            .fetch_all(&self.pool)
            .await?;
        let watches: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        self.due_of(&watches, today, true, now).await
    }

    async fn due_of(
        &self,
        watches: &[String],
        today: Day,
        only_failed: bool,
        now: UnixTime,
    ) -> Result<Vec<Due>, WatchError> {
        let mut all = BTreeMap::new();
        for chunk in watches.chunks(CHUNK) {
            let named = db::rows(1, chunk.len());
            let sql = format!(
                "SELECT watch, domain, handle FROM watch WHERE watch IN {named} AND expires >= ${}",
                chunk.len() + 1
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
            for watch in chunk {
                query = query.bind(watch.as_str());
            }
            for row in query.bind(today.number()).fetch_all(&self.pool).await? {
                let watch: String = row.get(0);
                let handle = serde_json::from_str(&row.get::<String, _>(2))
                    .map_err(|_| WatchError::Stored("watch.handle"))?;
                let due = Due {
                    watch: bytes(&watch, "watch.watch")?,
                    domain: domain(&row.get::<String, _>(1))?,
                    handle,
                    facts: Vec::new(),
                };
                all.insert(watch, due);
            }
            let failed = match only_failed {
                true => format!("AND retry_at <= ${}", chunk.len() + 1),
                false => String::new(),
            };
            let sql = format!(
                "SELECT watch, attribute, digest, tries, known FROM watch_fact WHERE watch IN {named} {failed}"
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
            for watch in chunk {
                query = query.bind(watch.as_str());
            }
            if only_failed {
                query = query.bind(now.0);
            }
            for row in query.fetch_all(&self.pool).await? {
                if let Some(due) = all.get_mut(&row.get::<String, _>(0)) {
                    due.facts.push(DueFact {
                        attribute: AttributeId(row.get(1)),
                        digest: row.get(2),
                        tries: row.get(3),
                        known: row.get(4),
                    });
                }
            }
        }
        Ok(all.into_values().collect())
    }

    /// Stores what was seen, and the mark of the feed that led to it, all or nothing.
    ///
    /// A digest that another reading replaced meanwhile is compared again soon: which of the two readings was the later one
    /// cannot be told.
    pub(super) async fn commit(
        &self,
        feed: Option<NewMark<'_>>,
        mut seen: Vec<Seen>,
        today: Day,
        now: UnixTime,
    ) -> Result<(), WatchError> {
        // One order for all, so that two feeds' transactions cannot wait for each other.
        seen.sort_by(|a, b| (&a.watch, &a.attribute).cmp(&(&b.watch, &b.attribute)));
        let mut transaction = db::begin_write(&self.pool).await?;
        let changes = seen
            .iter()
            .any(|it| matches!(it.outcome, Outcome::Changed(_)));
        for it in seen {
            match &it.outcome {
                Outcome::Same if it.tries == 0 => {}
                Outcome::Same => {
                    // A reading that failed since this one began is still to be made up for.
                    sqlx::query(
                        "UPDATE watch_fact SET retry_at = NULL, tries = 0, known = $1
                         WHERE watch = $2 AND attribute = $3 AND tries = $4",
                    )
                    .bind(today.number())
                    .bind(it.watch.to_string())
                    .bind(it.attribute.0.as_str())
                    .bind(it.tries)
                    .execute(&mut *transaction)
                    .await?;
                }
                Outcome::Again => {
                    let pause = FIRST_PAUSE << it.tries.clamp(0, 16);
                    let at = now.0 + pause.min(LONGEST_PAUSE);
                    retry(&mut transaction, &it, Some(at), it.tries + 1, it.since).await?;
                }
                Outcome::Changed(digest) => {
                    let replaced = sqlx::query(
                        "UPDATE watch_fact SET digest = $1, known = $2,
                             retry_at = CASE WHEN tries = $6 THEN NULL ELSE retry_at END,
                             tries = CASE WHEN tries = $6 THEN 0 ELSE tries END
                         WHERE watch = $3 AND attribute = $4 AND digest = $5",
                    )
                    .bind(digest.to_string())
                    .bind(today.number())
                    .bind(it.watch.to_string())
                    .bind(it.attribute.0.as_str())
                    .bind(it.before.as_str())
                    .bind(it.tries)
                    .execute(&mut *transaction)
                    .await?;
                    if replaced.rows_affected() == 1 {
                        notify(&mut transaction, &it, today).await?;
                    } else {
                        retry(&mut transaction, &it, Some(now.0), 0, it.since).await?;
                    }
                }
            }
        }
        if let Some(mark) = feed {
            sqlx::query(
                "INSERT INTO watch_feed (feed, marker, looked) VALUES ($1, $2, $3)
                 ON CONFLICT (feed) DO UPDATE SET marker = excluded.marker, looked = excluded.looked",
            )
            .bind(mark.feed)
            .bind(mark.marker)
            .bind(mark.looked)
            .execute(&mut *transaction)
            .await?;
        }
        if changes {
            faults::step("watch.noted");
        }
        transaction.commit().await?;
        if changes {
            faults::step("watch.told");
        }
        Ok(())
    }
}

async fn retry(
    transaction: &mut Transaction<'static, Any>,
    seen: &Seen,
    at: Option<i64>,
    tries: i64,
    known: i64,
) -> Result<(), WatchError> {
    sqlx::query(
        "UPDATE watch_fact SET retry_at = $1, tries = $2, known = $3 WHERE watch = $4 AND attribute = $5",
    )
    .bind(at)
    .bind(tries)
    .bind(known)
    .bind(seen.watch.to_string())
    .bind(seen.attribute.0.as_str())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn notify(
    transaction: &mut Transaction<'static, Any>,
    seen: &Seen,
    today: Day,
) -> Result<(), WatchError> {
    let row = sqlx::query("SELECT domain, reader FROM watch WHERE watch = $1 AND expires >= $2")
        .bind(seen.watch.to_string())
        .bind(today.number())
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(row) = row else {
        return Ok(());
    };
    let (domain, reader): (String, String) = (row.get(0), row.get(1));
    let seq: i64 = sqlx::query(
        "INSERT INTO watch_reader (domain, reader, seq) VALUES ($1, $2, 1)
         ON CONFLICT (domain, reader) DO UPDATE SET seq = watch_reader.seq + 1 RETURNING seq",
    )
    .bind(domain.as_str())
    .bind(reader.as_str())
    .fetch_one(&mut **transaction)
    .await?
    .get(0);
    sqlx::query(
        "INSERT INTO watch_notice (domain, reader, seq, watch, attribute, since, day)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(domain)
    .bind(reader)
    .bind(seq)
    .bind(seen.watch.to_string())
    .bind(seen.attribute.0.as_str())
    .bind(seen.since.clamp(0, today.number()))
    .bind(today.number())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCH: [u8; 32] = [1; 32];

    async fn store() -> (tempfile::TempDir, WatchStore) {
        let folder = tempfile::tempdir().unwrap();
        let url = db::sqlite_url(&folder.path().join("watch.db"));
        let store = WatchStore::open(db::connect(&url).await.unwrap())
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO watch_fact (watch, attribute, days, digest, tries, retry_at, known)
             VALUES ($1, 'income.magi_monthly', 30, 'before', 1, 10, 5)",
        )
        .bind(Bytes32::from(WATCH).to_string())
        .execute(&store.pool)
        .await
        .unwrap();
        (folder, store)
    }

    fn seen(tries: i64, outcome: Outcome) -> Vec<Seen> {
        vec![Seen {
            watch: WATCH.into(),
            attribute: AttributeId("income.magi_monthly".to_owned()),
            before: "before".to_owned(),
            tries,
            since: 5,
            outcome,
        }]
    }

    async fn waits(store: &WatchStore) -> (i64, Option<i64>) {
        let row = sqlx::query("SELECT tries, retry_at FROM watch_fact")
            .fetch_one(&store.pool)
            .await
            .unwrap();
        (row.get(0), row.get(1))
    }

    #[tokio::test]
    async fn a_reading_that_failed_meanwhile_is_made_up_for_whatever_an_earlier_one_said() {
        let today: Day = "2026-06-20".parse().unwrap();
        for earlier in [Outcome::Same, Outcome::Changed([7; 32].into())] {
            let (_folder, store) = store().await;
            // Both began when one reading had failed; the feed's failed too, and is stored first.
            let feed = store.commit(None, seen(1, Outcome::Again), today, UnixTime(1_000));
            feed.await.unwrap();
            let (tries, at) = waits(&store).await;
            assert_eq!((tries, at), (2, Some(1_000 + 2 * FIRST_PAUSE)));
            let again = store.commit(None, seen(1, earlier), today, UnixTime(1_001));
            again.await.unwrap();
            assert_eq!(waits(&store).await, (tries, at));
            let made_up = store.commit(None, seen(2, Outcome::Same), today, UnixTime(2_000));
            made_up.await.unwrap();
            assert_eq!(waits(&store).await, (0, None));
        }
    }
}
