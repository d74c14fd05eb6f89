//! Durable state: contacts, decisions, messages. SQLite by default, Postgres by URL, one SQL text for both.

mod contacts;
mod decisions;
mod messages;

use std::sync::Once;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, Executor as _, Transaction};

pub use contacts::Contact;
pub use decisions::{DecisionRow, NewDecision};
pub use messages::{Message, MessageState, NewMessage};

const MIGRATIONS: &[&str] = &[include_str!("../../migrations/0001_messages.sql")];
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
}

/// The notifier's database.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    sqlite: bool,
}

/// A transaction that writes.
pub type Write = Transaction<'static, Any>;

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
        let store = Self { pool, sqlite };
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
        Ok(write.commit().await?)
    }

    /// Begins a transaction that will write; on SQLite it takes the lock at once, so that nothing comes between its reads and
    /// its writes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&self) -> Result<Write, StoreError> {
        if self.sqlite {
            return Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?);
        }
        Ok(self.pool.begin().await?)
    }
}
