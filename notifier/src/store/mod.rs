//! Durable state: contacts, decisions, messages, events. SQLite by default, Postgres by URL, one SQL text for both.

mod claim;
mod contacts;
mod decisions;
mod events;
mod messages;
mod parts;
mod writer;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Once};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, Executor as _, Transaction};
use tokio::sync::Mutex;

use writer::{Turn, Writer};

pub use claim::Claimed;
pub use contacts::{Contact, ContactState};
pub use decisions::{DecisionRow, NewDecision};
pub use events::{Event, NewEvent};
pub use messages::{Message, MessageState, NewMessage};
pub use parts::{Group, Kept, NewPart};

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_messages.sql"),
    include_str!("../../migrations/0002_parts.sql"),
];
const MAX_CONNECTIONS: u32 = 8;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// The database failed, or holds what this program did not write.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The driver's own error.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// A URL of neither database.
    #[error("database: write sqlite:PATH or postgres://…")]
    Url,
    /// A stored value that does not read back.
    #[error("database: the column {0} holds a value this version does not know")]
    Damaged(&'static str),
    /// The transaction that this was part of was not committed.
    #[error("database: nothing was stored; try again")]
    Lost,
}

impl StoreError {
    /// Whether Postgres ended the transaction because another waited for it (`40P01`): tried again, it may succeed.
    pub fn is_deadlock(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => error.code().as_deref() == Some("40P01"),
            _ => false,
        }
    }
}

/// The notifier's database.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    sqlite: bool,
    /// SQLite's; it has one at a time.
    writer: Option<Arc<Mutex<Writer>>>,
}

/// A transaction that writes; dropped, it changes nothing.
pub struct Write(Kind);

enum Kind {
    Own(Transaction<'static, Any>),
    Shared(Arc<Mutex<Writer>>, Turn),
}

impl Write {
    /// Makes the writes last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.0 {
            Kind::Own(transaction) => Ok(transaction.commit().await?),
            Kind::Shared(queue, turn) => writer::commit(&queue, turn).await,
        }
    }
}

impl Deref for Write {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match &self.0 {
            Kind::Own(transaction) => transaction,
            Kind::Shared(_, turn) => &turn.connection,
        }
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match &mut self.0 {
            Kind::Own(transaction) => transaction,
            Kind::Shared(_, turn) => &mut turn.connection,
        }
    }
}

impl Store {
    /// Opens the database and brings its tables up to date. On SQLite, what is committed survives a power cut (WAL,
    /// `synchronous=FULL`).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let sqlite = url.starts_with("sqlite:");
        if !sqlite && !url.starts_with("postgres") {
            return Err(StoreError::Url);
        }
        let url = if sqlite && !url.contains('?') {
            format!("{url}?mode=rwc")
        } else {
            url.to_owned()
        };
        let options: AnyConnectOptions = url.parse().map_err(|_| StoreError::Url)?;
        let pool = AnyPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if sqlite {
                        for pragma in [
                            "PRAGMA busy_timeout = 10000",
                            "PRAGMA journal_mode = WAL",
                            "PRAGMA synchronous = FULL",
                            "PRAGMA foreign_keys = ON",
                        ] {
                            connection.execute(pragma).await?;
                        }
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        let writer = match sqlite {
            true => Some(Arc::new(Mutex::new(Writer::new(pool.acquire().await?)))),
            false => None,
        };
        let store = Self {
            pool,
            sqlite,
            writer,
        };
        store.migrate().await?;
        if sqlite {
            // One process writes here: whatever was being sent, it is not now.
            store.release_all().await?;
        }
        Ok(store)
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sqlx::query("CREATE TABLE IF NOT EXISTS notifier_step (step BIGINT PRIMARY KEY)")
            .execute(&mut *write)
            .await?;
        for (step, sql) in (0_i64..).zip(MIGRATIONS) {
            let applied =
                sqlx::query("INSERT INTO notifier_step (step) VALUES ($1) ON CONFLICT DO NOTHING")
                    .bind(step)
                    .execute(&mut *write)
                    .await?;
            if applied.rows_affected() == 1 {
                sqlx::raw_sql(*sql).execute(&mut *write).await?;
            }
        }
        write.commit().await
    }

    /// Begins a transaction that will write; on SQLite it takes the lock at once, so that nothing comes between its reads and
    /// its writes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&self) -> Result<Write, StoreError> {
        Ok(Write(match &self.writer {
            None => Kind::Own(self.pool.begin().await?),
            Some(queue) => Kind::Shared(Arc::clone(queue), writer::begin(queue).await?),
        }))
    }
}
