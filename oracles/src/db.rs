//! The database of a service: SQLite by default (a file, no set-up), Postgres by URL, one SQL text for both.
//!
//! What works on both: `$1` placeholders, `TEXT` and `BIGINT` columns, byte strings as base64url `TEXT`.
//! `ON CONFLICT … DO NOTHING` and `RETURNING` exist in both.

use std::path::Path;
use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyPool, Executor, Row, Transaction};

/// Connections a pool opens at most.
const MAX_CONNECTIONS: u32 = 8;
/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A database that cannot be opened or brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// The driver's own error.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// Not a URL this crate opens.
    #[error("database URL {0:?}: write sqlite:PATH or postgres://…")]
    Url(String),
    /// A migration that was applied has since been edited.
    #[error(
        "database: step {step} of {module} was applied with another text; add a new step in place of editing one"
    )]
    Edited {
        /// Whose migrations.
        module: String,
        /// Which step, from 0.
        step: i64,
    },
}

/// The URL of a SQLite file that is created when missing.
pub fn sqlite_url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Opens a database. A SQLite file is created when missing, in WAL mode with `synchronous=FULL`, so that what is
/// committed survives a power cut.
///
/// # Errors
/// [`DbError::Url`] or the driver's error.
pub async fn connect(url: &str) -> Result<AnyPool, DbError> {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);

    let sqlite = url.starts_with("sqlite:");
    if !sqlite && !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
        return Err(DbError::Url(scheme(url)));
    }
    let url = if sqlite && !url.contains('?') {
        format!("{url}?mode=rwc")
    } else {
        url.to_owned()
    };
    let options =
        sqlx::any::AnyConnectOptions::from_str(&url).map_err(|_| DbError::Url(scheme(&url)))?;
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
                        // What is deleted is overwritten with zeros: an erased share must not be found in the file.
                        "PRAGMA secure_delete = ON",
                    ] {
                        connection.execute(pragma).await?;
                    }
                }
                Ok(())
            })
        })
        .connect_with(options)
        .await?;
    Ok(pool)
}

/// A URL may hold a password: messages name its scheme only.
fn scheme(url: &str) -> String {
    url.split(':')
        .next()
        .unwrap_or_default()
        .chars()
        .take(16)
        .collect()
}

/// Whether a pool is of SQLite.
///
/// # Errors
/// The driver's.
pub async fn is_sqlite(pool: &AnyPool) -> Result<bool, DbError> {
    Ok(pool.acquire().await?.backend_name() == "SQLite")
}

/// Begins a transaction that will write.
///
/// On SQLite it takes the write lock at once: a transaction that reads first and writes later would otherwise fail
/// whenever another wrote in between.
///
/// # Errors
/// The driver's.
pub async fn begin_write(pool: &AnyPool) -> Result<Transaction<'static, Any>, DbError> {
    if is_sqlite(pool).await? {
        Ok(pool.begin_with("BEGIN IMMEDIATE").await?)
    } else {
        Ok(pool.begin().await?)
    }
}

/// Has transactions that name the same thing take turns, each until it ends. SQLite has one writer anyway.
///
/// # Errors
/// The driver's.
pub async fn in_turn(transaction: &mut Transaction<'_, Any>, what: &str) -> Result<(), DbError> {
    if transaction.backend_name() == "SQLite" {
        return Ok(());
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(what.as_bytes()));
    sqlx::query("SELECT pg_advisory_xact_lock($1)::text")
        .bind(i64::from_be_bytes([a, b, c, d, e, f, g, h]))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Placeholders of many rows in one statement: `($1, $2), ($3, $4)` for two rows of two columns.
///
/// One statement of many rows is many times quicker than as many statements. SQLite binds at most 32,766 values.
pub fn rows(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let names: Vec<_> = (1..=columns)
            .map(|column| format!("${}", row * columns + column))
            .collect();
        format!("({})", names.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// What migrations take turns by.
const MIGRATION: &str = "shp migration";

/// Brings a module's tables up to date: runs the steps that have not run, in order, each in one transaction.
///
/// A step is one SQL file (`include_str!`), never edited once released. Modules share a database, not a numbering.
///
/// # Errors
/// [`DbError::Edited`] or the driver's error.
pub async fn migrate(pool: &AnyPool, module: &str, steps: &[&'static str]) -> Result<(), DbError> {
    let mut transaction = begin_write(pool).await?;
    in_turn(&mut transaction, MIGRATION).await?;
    transaction
        .execute(
            "CREATE TABLE IF NOT EXISTS migration (
            module TEXT NOT NULL, step BIGINT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (module, step))",
        )
        .await?;
    transaction.commit().await?;
    for (step, sql) in (0i64..).zip(steps) {
        let digest = hex::encode(Sha256::digest(sql.as_bytes()));
        let mut transaction = begin_write(pool).await?;
        // Processes that start at once on one database find each other's work done.
        in_turn(&mut transaction, MIGRATION).await?;
        let applied = sqlx::query("SELECT digest FROM migration WHERE module = $1 AND step = $2")
            .bind(module)
            .bind(step)
            .fetch_optional(&mut *transaction)
            .await?;
        match applied {
            Some(row) if row.get::<String, _>(0) == digest => {}
            Some(_) => {
                return Err(DbError::Edited {
                    module: module.to_owned(),
                    step,
                });
            }
            None => {
                sqlx::raw_sql(*sql).execute(&mut *transaction).await?;
                sqlx::query("INSERT INTO migration (module, step, digest) VALUES ($1, $2, $3)")
                    .bind(module)
                    .bind(step)
                    .bind(digest)
                    .execute(&mut *transaction)
                    .await?;
                transaction.commit().await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE a (x BIGINT NOT NULL); CREATE TABLE b (y TEXT NOT NULL);";

    async fn fresh() -> (tempfile::TempDir, AnyPool) {
        let folder = tempfile::tempdir().unwrap();
        let pool = connect(&sqlite_url(&folder.path().join("t.db")))
            .await
            .unwrap();
        (folder, pool)
    }

    #[tokio::test]
    async fn a_file_is_durable_and_in_wal_mode() {
        let (_folder, pool) = fresh().await;
        let mode: String = sqlx::query("PRAGMA journal_mode")
            .fetch_one(&pool)
            .await
            .unwrap()
            .get(0);
        let level: i64 = sqlx::query("PRAGMA synchronous")
            .fetch_one(&pool)
            .await
            .unwrap()
            .get(0);
        assert_eq!((mode.as_str(), level), ("wal", 2));
    }

    #[test]
    fn placeholders_are_numbered_through() {
        assert_eq!(rows(2, 3), "($1, $2, $3), ($4, $5, $6)");
    }

    #[tokio::test]
    async fn migrations_run_once_and_in_order_and_an_edited_one_is_refused() {
        let (_folder, pool) = fresh().await;
        migrate(&pool, "m", &[FIRST]).await.unwrap();
        migrate(&pool, "m", &[FIRST, "INSERT INTO a VALUES (1)"])
            .await
            .unwrap();
        migrate(&pool, "m", &[FIRST, "INSERT INTO a VALUES (1)"])
            .await
            .unwrap();
        let rows: i64 = sqlx::query("SELECT COUNT(*) FROM a")
            .fetch_one(&pool)
            .await
            .unwrap()
            .get(0);
        assert_eq!(rows, 1);
        let edited = migrate(&pool, "m", &["CREATE TABLE c (z TEXT)"]).await;
        assert!(matches!(edited, Err(DbError::Edited { step: 0, .. })));
    }

    #[tokio::test]
    async fn concurrent_writers_wait_for_each_other() {
        let (_folder, pool) = fresh().await;
        migrate(&pool, "m", &[FIRST]).await.unwrap();
        let writers = (0..16i64).map(|x| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut transaction = begin_write(&pool).await.unwrap();
                sqlx::query("SELECT COUNT(*) FROM a")
                    .fetch_one(&mut *transaction)
                    .await
                    .unwrap();
                sqlx::query("INSERT INTO a VALUES ($1)")
                    .bind(x)
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                transaction.commit().await.unwrap();
            })
        });
        for writer in writers {
            writer.await.unwrap();
        }
        let rows: i64 = sqlx::query("SELECT COUNT(*) FROM a")
            .fetch_one(&pool)
            .await
            .unwrap()
            .get(0);
        assert_eq!(rows, 16);
    }

    #[tokio::test]
    async fn an_unknown_url_is_refused_without_printing_a_password() {
        let error = connect("mysql://user:hunter2@host/db")
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("mysql") && !error.contains("hunter2"));
    }
}
