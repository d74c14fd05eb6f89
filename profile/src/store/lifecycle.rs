//! Lifecycles: the events of a profile's cover, the state they lead to, and the tasks that follow from them.

use contracts::encoding::Bytes32;
use contracts::receipt::{Entry, Receipt};
use contracts::units::UnixTime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, StoredProfile, Tx, json, number, to_json};
use crate::seal::SealKey;

/// Tasks of one step at most; places of tasks leave room for as many.
const PLACES: i64 = 4_096;

/// A lifecycle as stored; the state is sealed.
#[derive(Debug, Clone)]
pub struct StoredLifecycle {
    /// Whose.
    pub profile: Bytes32,
    /// Index of the wallet key that seals it.
    pub wallet_index: u32,
    /// Events taken.
    pub seq: i64,
    first: String,
    state: String,
}

/// An event as stored.
#[derive(Debug, Clone)]
pub struct StoredEvent<T> {
    /// Its place, from 1.
    pub seq: i64,
    /// It.
    pub event: T,
    /// Its ledger entry.
    pub entry: Entry,
    /// The receipt, once appended.
    pub receipt: Option<Receipt>,
}

/// A task, held by whoever claimed it.
#[derive(Debug, Clone)]
pub struct ClaimedTask {
    /// Its id; tells nothing, and is the same at every attempt.
    pub task: Bytes32,
    /// Whose.
    pub profile: Bytes32,
    /// Times in a row that it failed.
    pub failures: u32,
    sealed: String,
}

/// A task to be stored.
#[derive(Debug)]
pub struct NewTask<'a, T> {
    /// Its id.
    pub task: Bytes32,
    /// Tasks of one lane are done in order.
    pub lane: &'a str,
    /// The step, and the place within it.
    pub place: (i64, usize),
    /// What to do.
    pub payload: &'a T,
    /// From when.
    pub due_at: UnixTime,
}

fn bytes(row: &AnyRow, column: &'static str) -> Result<Bytes32, StoreError> {
    Bytes32::parse(&row.try_get::<String, _>(column)?).map_err(|_| StoreError::Corrupt(column))
}

fn seal<T: Serialize>(key: &SealKey, profile: &Bytes32, place: &str, value: &T) -> String {
    key.seal(
        &[b"lifecycle", &profile.0, place.as_bytes()],
        to_json(value).as_bytes(),
    )
}

fn open<T: DeserializeOwned>(
    key: &SealKey,
    profile: &Bytes32,
    place: &str,
    sealed: &str,
) -> Result<T, StoreError> {
    let context = [&b"lifecycle"[..], &profile.0, place.as_bytes()];
    let corrupt = StoreError::Corrupt("lifecycle");
    let bytes = key
        .open(&context, sealed)
        .map_err(|_| StoreError::Corrupt("lifecycle"))?;
    serde_json::from_slice(&bytes).map_err(|_| corrupt)
}

impl StoredLifecycle {
    /// The state, opened.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it does not open.
    pub fn state<T: DeserializeOwned>(&self, key: &SealKey) -> Result<T, StoreError> {
        open(key, &self.profile, "state", &self.state)
    }

    /// The state before the first event, opened.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it does not open.
    pub fn first<T: DeserializeOwned>(&self, key: &SealKey) -> Result<T, StoreError> {
        open(key, &self.profile, "first", &self.first)
    }
}

impl ClaimedTask {
    /// What to do, opened.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it does not open.
    pub fn payload<T: DeserializeOwned>(&self, key: &SealKey) -> Result<T, StoreError> {
        open(key, &self.profile, &self.task.to_string(), &self.sealed)
    }
}

fn read(row: &AnyRow) -> Result<StoredLifecycle, StoreError> {
    Ok(StoredLifecycle {
        profile: bytes(row, "profile")?,
        wallet_index: number(row, "wallet_index")?,
        seq: row.try_get("seq")?,
        first: row.try_get("first")?,
        state: row.try_get("state")?,
    })
}

const COLUMNS: &str = "profile, wallet_index, seq, first, state";

impl Store {
    /// A profile's lifecycle, if one was begun.
    ///
    /// # Errors
    /// The database's.
    pub async fn lifecycle(
        &self,
        profile: &Bytes32,
    ) -> Result<Option<StoredLifecycle>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM lifecycle WHERE profile = $1");
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(profile.to_string())
            .fetch_optional(self.pool())
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// Events after a place, oldest first.
    ///
    /// # Errors
    /// The database's, or [`StoreError::Corrupt`] when one does not open.
    pub async fn lifecycle_events<T: DeserializeOwned>(
        &self,
        key: &SealKey,
        profile: &Bytes32,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredEvent<T>>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, sealed, entry, receipt FROM lifecycle_event WHERE profile = $1 AND seq > $2
             ORDER BY seq LIMIT $3",
        )
        .bind(profile.to_string())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let seq: i64 = row.try_get("seq")?;
                let sealed: String = row.try_get("sealed")?;
                let receipt: Option<String> = row.try_get("receipt")?;
                Ok(StoredEvent {
                    seq,
                    event: open(key, profile, &format!("event {seq}"), &sealed)?,
                    entry: json(row, "entry")?,
                    receipt: receipt
                        .map(|text| serde_json::from_str(&text))
                        .transpose()
                        .map_err(|_| StoreError::Corrupt("receipt"))?,
                })
            })
            .collect()
    }

    /// A document, opened.
    ///
    /// # Errors
    /// The database's, or [`StoreError::Corrupt`] when it does not open.
    pub async fn lifecycle_document<T: DeserializeOwned>(
        &self,
        key: &SealKey,
        profile: &Bytes32,
        name: &str,
    ) -> Result<Option<T>, StoreError> {
        let row =
            sqlx::query("SELECT sealed FROM lifecycle_document WHERE profile = $1 AND name = $2")
                .bind(profile.to_string())
                .bind(name)
                .fetch_optional(self.pool())
                .await?;
        row.map(|row| open(key, profile, name, &row.try_get::<String, _>("sealed")?))
            .transpose()
    }

    /// Claims one task that is due, until `until`: nobody else gets it before, and if its worker dies somebody does after.
    /// On Postgres, rows that another worker is claiming are passed over.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim_task(
        &self,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<ClaimedTask>, StoreError> {
        let mut tx = self.begin().await?;
        let lock = self.skip_locked(&tx, "t");
        let sql = format!(
            "SELECT t.task, t.profile, t.failures, t.sealed FROM lifecycle_task t
             WHERE t.done_at IS NULL AND t.due_at <= $1 AND t.held_until <= $1
               AND NOT EXISTS (SELECT 1 FROM lifecycle_task e WHERE e.profile = t.profile AND e.lane = t.lane
                               AND e.done_at IS NULL AND e.place < t.place)
             ORDER BY t.due_at, t.place, t.task LIMIT 1{lock}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(now.0)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let claimed = ClaimedTask {
            task: bytes(&row, "task")?,
            profile: bytes(&row, "profile")?,
            failures: number(&row, "failures")?,
            sealed: row.try_get("sealed")?,
        };
        sqlx::query("UPDATE lifecycle_task SET held_until = $2 WHERE task = $1")
            .bind(claimed.task.to_string())
            .bind(until.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(claimed))
    }

    /// Claims one profile for which time has come, as [`Store::claim_task`] does.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim_timer(
        &self,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<Bytes32>, StoreError> {
        let mut tx = self.begin().await?;
        let lock = self.skip_locked(&tx, "l");
        let sql = format!(
            "SELECT l.profile FROM lifecycle l WHERE l.due_at <= $1 AND l.held_until <= $1
             ORDER BY l.due_at, l.profile LIMIT 1{lock}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(now.0)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let profile = bytes(&row, "profile")?;
        sqlx::query("UPDATE lifecycle SET held_until = $2 WHERE profile = $1")
            .bind(profile.to_string())
            .bind(until.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(profile))
    }

    /// The profile whose coverage flag has this hash.
    ///
    /// # Errors
    /// The database's.
    pub async fn profile_by_flag(
        &self,
        flag_hash: &Bytes32,
    ) -> Result<Option<StoredProfile>, StoreError> {
        let row = sqlx::query("SELECT profile FROM lifecycle WHERE flag_hash = $1")
            .bind(flag_hash.to_string())
            .fetch_optional(self.pool())
            .await?;
        match row {
            Some(row) => self.profile(&bytes(&row, "profile")?).await,
            None => Ok(None),
        }
    }

    /// Tasks of a profile that are not done.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_tasks(&self, profile: &Bytes32) -> Result<u32, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n FROM lifecycle_task WHERE profile = $1 AND done_at IS NULL",
        )
        .bind(profile.to_string())
        .fetch_one(self.pool())
        .await?;
        number(&row, "n")
    }

    /// Whether a task of a profile waits in a lane whose name begins so.
    ///
    /// # Errors
    /// The database's.
    pub async fn waits_in(&self, profile: &Bytes32, lane: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM lifecycle_task WHERE profile = $1 AND lane LIKE $2 AND done_at IS NULL LIMIT 1";
        let found = sqlx::query(sql)
            .bind(profile.to_string())
            .bind(format!("{lane}%"))
            .fetch_optional(self.pool())
            .await?;
        Ok(found.is_some())
    }

    pub(super) fn skip_locked(&self, tx: &Tx, table: &str) -> String {
        match tx.backend_name() {
            "SQLite" => String::new(),
            _ => format!(" FOR UPDATE OF {table} SKIP LOCKED"),
        }
    }
}

/// Begins a lifecycle; says whether it was begun now.
///
/// # Errors
/// The database's.
pub async fn begin_lifecycle<T: Serialize>(
    tx: &mut Tx,
    key: &SealKey,
    profile: &Bytes32,
    wallet_index: u32,
    first: &T,
    flag_hash: &Bytes32,
) -> Result<bool, StoreError> {
    let begun = sqlx::query(
        "INSERT INTO lifecycle (profile, wallet_index, seq, first, state, flag_hash) VALUES ($1, $2, 0, $3, $4, $5)
         ON CONFLICT (profile) DO NOTHING",
    )
    .bind(profile.to_string())
    .bind(i64::from(wallet_index))
    .bind(seal(key, profile, "first", first))
    .bind(seal(key, profile, "state", first))
    .bind(flag_hash.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Reads a lifecycle that this transaction is about to change; others wait.
///
/// # Errors
/// The database's.
pub async fn lock_lifecycle(
    tx: &mut Tx,
    profile: &Bytes32,
) -> Result<Option<StoredLifecycle>, StoreError> {
    let lock = match tx.backend_name() {
        "SQLite" => "",
        // Rows that only refer to it are inserted meanwhile.
        _ => " FOR NO KEY UPDATE",
    };
    let sql = format!("SELECT {COLUMNS} FROM lifecycle WHERE profile = $1{lock}");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(profile.to_string())
        .fetch_optional(&mut **tx)
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// Whether an event of this source was taken.
///
/// # Errors
/// The database's.
pub async fn has_event(tx: &mut Tx, profile: &Bytes32, source: &str) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT seq FROM lifecycle_event WHERE profile = $1 AND source = $2")
        .bind(profile.to_string())
        .bind(source)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

/// Stores an event.
///
/// # Errors
/// The database's.
pub async fn insert_event<T: Serialize>(
    tx: &mut Tx,
    key: &SealKey,
    profile: &Bytes32,
    (seq, source): (i64, &str),
    event: &T,
    entry: &Entry,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO lifecycle_event (profile, seq, source, sealed, entry) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(profile.to_string())
    .bind(seq)
    .bind(source)
    .bind(seal(key, profile, &format!("event {seq}"), event))
    .bind(to_json(entry))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Stores the state after `seq` events.
///
/// # Errors
/// The database's.
pub async fn save_lifecycle<T: Serialize>(
    tx: &mut Tx,
    key: &SealKey,
    profile: &Bytes32,
    seq: i64,
    state: &T,
    due_at: Option<UnixTime>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE lifecycle SET seq = $2, state = $3, due_at = $4, held_until = 0 WHERE profile = $1",
    )
    .bind(profile.to_string())
    .bind(seq)
    .bind(seal(key, profile, "state", state))
    .bind(due_at.map(|at| at.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps the receipt of an event's ledger entry.
///
/// # Errors
/// The database's.
pub async fn keep_receipt(
    tx: &mut Tx,
    profile: &Bytes32,
    seq: i64,
    receipt: &Receipt,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE lifecycle_event SET receipt = $3 WHERE profile = $1 AND seq = $2")
        .bind(profile.to_string())
        .bind(seq)
        .bind(to_json(receipt))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Stores a task; one of the same id stays as it is.
///
/// # Errors
/// The database's.
pub async fn insert_task<T: Serialize>(
    tx: &mut Tx,
    key: &SealKey,
    profile: &Bytes32,
    new: &NewTask<'_, T>,
) -> Result<(), StoreError> {
    let within = i64::try_from(new.place.1).map_err(|_| StoreError::Corrupt("place"))?;
    let id = new.task.to_string();
    sqlx::query(
        "INSERT INTO lifecycle_task (task, profile, lane, place, sealed, due_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (task) DO NOTHING",
    )
    .bind(&id)
    .bind(profile.to_string())
    .bind(new.lane)
    .bind(new.place.0 * PLACES + within)
    .bind(seal(key, profile, &id, new.payload))
    .bind(new.due_at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that a task is done.
///
/// # Errors
/// The database's.
pub async fn finish_task(tx: &mut Tx, task: &Bytes32, now: UnixTime) -> Result<(), StoreError> {
    sqlx::query("UPDATE lifecycle_task SET done_at = $2 WHERE task = $1 AND done_at IS NULL")
        .bind(task.to_string())
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes a profile's tasks of a lane back.
///
/// # Errors
/// The database's.
pub async fn drop_lane(
    tx: &mut Tx,
    profile: &Bytes32,
    lane: &str,
    now: UnixTime,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE lifecycle_task SET done_at = $3 WHERE profile = $1 AND lane = $2 AND done_at IS NULL",
    )
    .bind(profile.to_string())
    .bind(lane)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Puts a task off, with its payload as it is now.
///
/// # Errors
/// The database's.
pub async fn put_off_task<T: Serialize>(
    tx: &mut Tx,
    key: &SealKey,
    claimed: &ClaimedTask,
    payload: &T,
    due_at: UnixTime,
    failures: u32,
) -> Result<(), StoreError> {
    let id = claimed.task.to_string();
    sqlx::query(
        "UPDATE lifecycle_task SET sealed = $2, due_at = $3, held_until = 0, failures = $4
         WHERE task = $1 AND done_at IS NULL",
    )
    .bind(&id)
    .bind(seal(key, &claimed.profile, &id, payload))
    .bind(due_at.0)
    .bind(i64::from(failures))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Seals and keeps a document, in place of an earlier one of its name.
///
/// # Errors
/// The database's.
pub async fn keep_document<T: Serialize>(
    tx: &mut Tx,
    key: &SealKey,
    profile: &Bytes32,
    name: &str,
    document: &T,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO lifecycle_document (profile, name, sealed) VALUES ($1, $2, $3)
         ON CONFLICT (profile, name) DO UPDATE SET sealed = $3",
    )
    .bind(profile.to_string())
    .bind(name)
    .bind(seal(key, profile, name, document))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
