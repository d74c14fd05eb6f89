//! The watches of one node: who may end one, what is compared, and what was seen to change.

use std::collections::BTreeSet;

use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, Domain};
use contracts::units::{Day, UnixTime};
use sqlx::{Any, AnyPool, Row as _, Transaction};

use super::WatchError;
use crate::attest::store_uses;
use crate::db::{self, DbError};
use crate::keys::SealedAtRest;
use crate::wire::watch::{ChangeNotice, Changes, MAX_NOTICES, WatchedFact};

/// Values that one statement names.
pub(super) const CHUNK: usize = 500;

/// A watched fact and the digest of its value; none while the sources have not agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactRow {
    /// The fact.
    pub fact: WatchedFact,
    /// [`super::WatchKeys::value`] of the last agreed value.
    pub digest: Option<Bytes32>,
}

/// A watch to store.
#[derive(Debug, Clone)]
pub struct NewWatch {
    /// Its id.
    pub watch: Bytes32,
    /// Its committee.
    pub domain: Domain,
    /// [`super::WatchKeys::owner`].
    pub owner: Bytes32,
    /// The key that may ask for its changes.
    pub reader: Bytes32,
    /// [`super::WatchKeys::seal`].
    pub handle: SealedAtRest,
    /// Its last day.
    pub expires: Day,
    /// What is compared.
    pub facts: Vec<FactRow>,
    /// When to read the facts once more, since a feed may have named the person between the first reading and this row.
    pub again: Option<UnixTime>,
    /// [`super::WatchKeys::person`] under every key by which a source may name the person.
    pub people: BTreeSet<Bytes32>,
}

/// A watch as it stands, without its handle.
pub(super) struct Held {
    pub(super) domain: Domain,
    pub(super) owner: Bytes32,
    pub(super) reader: Bytes32,
    pub(super) expires: Day,
    pub(super) facts: Vec<WatchedFact>,
}

/// The tables.
#[derive(Debug, Clone)]
pub struct WatchStore {
    pub(super) pool: AnyPool,
}

impl WatchStore {
    /// Opens the store and brings its tables up to date.
    ///
    /// # Errors
    /// The database's.
    pub async fn open(pool: AnyPool) -> Result<Self, DbError> {
        let steps = [include_str!("schema.sql"), include_str!("dated.sql")];
        db::migrate(&pool, "watch", &steps).await?;
        Ok(Self { pool })
    }

    /// Stores watches, all or none, and returns when they are durable.
    ///
    /// `most` is how many one owner may have; `caller` is counted as a use of the owner's quota.
    ///
    /// # Errors
    /// [`WatchError::Taken`], [`WatchError::TooMany`], or the database's.
    pub async fn insert(
        &self,
        watches: &[NewWatch],
        most: u32,
        caller: Option<(i64, Bytes32)>,
        now: UnixTime,
    ) -> Result<(), WatchError> {
        let mut transaction = db::begin_write(&self.pool).await?;
        for new in watches {
            insert(&mut transaction, new, most, now).await?;
        }
        store_uses(&mut transaction, caller.into_iter()).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(super) async fn find(&self, watch: &Bytes32) -> Result<Option<Held>, WatchError> {
        let row = sqlx::query("SELECT domain, owner, reader, expires FROM watch WHERE watch = $1")
            .bind(watch.to_string())
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let facts = sqlx::query(
            "SELECT attribute, days FROM watch_fact WHERE watch = $1 ORDER BY attribute",
        )
        .bind(watch.to_string())
        .fetch_all(&self.pool)
        .await?;
        let fact = |row: &sqlx::any::AnyRow| {
            Ok(WatchedFact {
                attribute: AttributeId(row.get(0)),
                days: u16::try_from(row.get::<i64, _>(1))
                    .map_err(|_| WatchError::Stored("watch_fact.days"))?,
            })
        };
        Ok(Some(Held {
            domain: domain(&row.get::<String, _>(0))?,
            owner: bytes(&row.get::<String, _>(1), "watch.owner")?,
            reader: bytes(&row.get::<String, _>(2), "watch.reader")?,
            expires: day(row.get(3))?,
            facts: facts.iter().map(fact).collect::<Result<_, WatchError>>()?,
        }))
    }

    /// Deletes a watch with all that is kept for it, and returns when that is durable: whether there was one.
    pub(super) async fn revoke(
        &self,
        domain: Domain,
        watch: &Bytes32,
        owner: &Bytes32,
    ) -> Result<bool, WatchError> {
        let mut transaction = db::begin_write(&self.pool).await?;
        let found =
            sqlx::query("SELECT 1 FROM watch WHERE watch = $1 AND domain = $2 AND owner = $3")
                .bind(watch.to_string())
                .bind(domain.as_str())
                .bind(owner.to_string())
                .fetch_optional(&mut *transaction)
                .await?;
        if found.is_none() {
            return Ok(false);
        }
        delete(&mut transaction, &[watch.to_string()]).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Deletes watches past their last day, and notices older than `notice_days`.
    pub(super) async fn expire(&self, today: Day, notice_days: u16) -> Result<(), WatchError> {
        loop {
            let mut transaction = db::begin_write(&self.pool).await?;
            let sql = format!("SELECT watch FROM watch WHERE expires < $1 LIMIT {CHUNK}");
            let over = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(today.number())
                .fetch_all(&mut *transaction)
                .await?;
            let over: Vec<String> = over.iter().map(|row| row.get(0)).collect();
            delete(&mut transaction, &over).await?;
            sqlx::query("DELETE FROM watch_notice WHERE day < $1")
                .bind(today.number() - i64::from(notice_days))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            if over.len() < CHUNK {
                return Ok(());
            }
        }
    }

    /// Notices for a reader after a sequence number.
    ///
    /// # Errors
    /// The database's.
    pub async fn notices(
        &self,
        domain: Domain,
        reader: &Bytes32,
        after: u64,
    ) -> Result<Changes, WatchError> {
        let sql = format!(
            "SELECT seq, watch, attribute, since, day FROM watch_notice
             WHERE domain = $1 AND reader = $2 AND seq > $3 ORDER BY seq LIMIT {}",
            MAX_NOTICES + 1
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(domain.as_str())
            .bind(reader.to_string())
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await?;
        let notice = |row: &sqlx::any::AnyRow| {
            Ok(ChangeNotice {
                seq: u64::try_from(row.get::<i64, _>(0))
                    .map_err(|_| WatchError::Stored("watch_notice.seq"))?,
                watch: bytes(&row.get::<String, _>(1), "watch_notice.watch")?,
                attribute: AttributeId(row.get(2)),
                since: day(row.get(3))?,
                day: day(row.get(4))?,
            })
        };
        let notices = rows.iter().take(MAX_NOTICES).map(notice);
        Ok(Changes {
            notices: notices.collect::<Result<_, WatchError>>()?,
            more: rows.len() > MAX_NOTICES,
        })
    }
}

async fn insert(
    transaction: &mut Transaction<'static, Any>,
    new: &NewWatch,
    most: u32,
    now: UnixTime,
) -> Result<(), WatchError> {
    let today = now.0.div_euclid(86_400);
    let owned: i64 = sqlx::query("SELECT COUNT(*) FROM watch WHERE owner = $1 AND expires >= $2")
        .bind(new.owner.to_string())
        .bind(unix_day(today))
        .fetch_one(&mut **transaction)
        .await?
        .get(0);
    if owned >= i64::from(most) {
        return Err(WatchError::TooMany(most));
    }
    let handle =
        serde_json::to_string(&new.handle).map_err(|_| WatchError::Stored("watch.handle"))?;
    let inserted = sqlx::query(
        "INSERT INTO watch (watch, domain, owner, reader, handle, expires)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(new.watch.to_string())
    .bind(new.domain.as_str())
    .bind(new.owner.to_string())
    .bind(new.reader.to_string())
    .bind(handle)
    .bind(new.expires.number())
    .execute(&mut **transaction)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(WatchError::Taken);
    }
    let sql = format!(
        "INSERT INTO watch_fact (watch, attribute, days, digest, tries, retry_at, known) VALUES {}",
        db::rows(new.facts.len(), 7)
    );
    let mut facts = sqlx::query(sqlx::AssertSqlSafe(sql));
    for row in &new.facts {
        facts = facts
            .bind(new.watch.to_string())
            .bind(row.fact.attribute.0.as_str())
            .bind(i64::from(row.fact.days))
            .bind(digest_text(row.digest.as_ref()))
            // Not 0, so that a reading that finds the same ends it.
            .bind(i64::from(new.again.is_some()))
            .bind(new.again.map(|at| at.0))
            .bind(unix_day(today));
    }
    facts.execute(&mut **transaction).await?;
    let people: Vec<_> = new.people.iter().collect();
    for chunk in people.chunks(CHUNK) {
        let sql = format!(
            "INSERT INTO watch_key (hash, watch) VALUES {}",
            db::rows(chunk.len(), 2)
        );
        let mut insert = sqlx::query(sqlx::AssertSqlSafe(sql));
        for hash in chunk {
            insert = insert.bind(hash.to_string()).bind(new.watch.to_string());
        }
        insert.execute(&mut **transaction).await?;
    }
    Ok(())
}

async fn delete(
    transaction: &mut Transaction<'static, Any>,
    watches: &[String],
) -> Result<(), WatchError> {
    if watches.is_empty() {
        return Ok(());
    }
    for table in ["watch_key", "watch_fact", "watch_notice", "watch"] {
        let sql = format!(
            "DELETE FROM {table} WHERE watch IN {}",
            db::rows(1, watches.len())
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for watch in watches {
            query = query.bind(watch.as_str());
        }
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

pub(super) fn digest_text(digest: Option<&Bytes32>) -> String {
    digest.map(Bytes32::to_string).unwrap_or_default()
}

pub(super) fn bytes(text: &str, what: &'static str) -> Result<Bytes32, WatchError> {
    Bytes32::parse(text).map_err(|_| WatchError::Stored(what))
}

pub(super) fn domain(text: &str) -> Result<Domain, WatchError> {
    let found = Domain::ALL
        .into_iter()
        .find(|domain| domain.as_str() == text);
    found.ok_or(WatchError::Stored("watch.domain"))
}

fn day(number: i64) -> Result<Day, WatchError> {
    Day::from_number(number).map_err(|_| WatchError::Stored("a day"))
}

/// Days since 1900 of a day since 1970.
fn unix_day(day: i64) -> i64 {
    UnixTime(day * 86_400)
        .day()
        .map_or(0, contracts::units::Day::number)
}
