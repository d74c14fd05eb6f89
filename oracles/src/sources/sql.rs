//! SQL databases, read-only: the row of a parameterised query that the configuration fixes.

use std::str::FromStr as _;
use std::time::Duration;

use contracts::units::Day;
use futures::{StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow, PgValueFormat};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Column as _, Row as _, TypeInfo as _, ValueRef as _};

use super::config::Limits;
use super::error::SourceError;
use super::retry::with_retries;
use super::value::Cell;

/// Longest text of one cell, in bytes.
const MAX_CELL: usize = 256;
/// Most columns of a row.
const MAX_COLUMNS: usize = 32;
/// Connections to one source.
const MAX_CONNECTIONS: u32 = 4;

/// A database and its bounds.
pub(crate) struct SqlSource {
    name: String,
    limits: Limits,
    pool: Pool,
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The only row of a query: its columns by name. No `Debug`: it holds facts.
#[derive(PartialEq, Eq)]
pub(crate) struct Record(Vec<(String, Cell)>);

impl Record {
    /// The first column.
    pub(crate) fn first(&self) -> Option<&Cell> {
        self.0.first().map(|(_, cell)| cell)
    }

    /// A column as text; none when absent, NULL or not text.
    pub(crate) fn text(&self, column: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == column)
            .and_then(|(_, cell)| match cell {
                Cell::Text(text) => Some(text.as_str()),
                Cell::Null | Cell::Integer(_) => None,
            })
    }
}

impl SqlSource {
    /// Prepares a source; connections are made when it is read.
    ///
    /// # Errors
    /// An address that is neither `sqlite:` nor `postgres:`.
    pub(crate) fn new(name: &str, url: &str, limits: &Limits) -> Result<Self, String> {
        let timeout = Duration::from_millis(limits.timeout_ms);
        let pool = if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url)
                .map_err(|_| "not a sqlite: address".to_owned())?
                .read_only(true)
                .create_if_missing(false)
                .pragma("query_only", "ON")
                .busy_timeout(timeout);
            Pool::Sqlite(
                SqlitePoolOptions::new()
                    .max_connections(MAX_CONNECTIONS)
                    .acquire_timeout(timeout)
                    .connect_lazy_with(options),
            )
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options = PgConnectOptions::from_str(url)
                .map_err(|_| "not a postgres: address".to_owned())?
                .options([
                    ("default_transaction_read_only", "on".to_owned()),
                    ("statement_timeout", limits.timeout_ms.to_string()),
                ]);
            Pool::Postgres(
                PgPoolOptions::new()
                    .max_connections(MAX_CONNECTIONS)
                    .acquire_timeout(timeout)
                    .connect_lazy_with(options),
            )
        } else {
            return Err("the address starts with neither sqlite: nor postgres:".to_owned());
        };
        Ok(Self {
            name: name.to_owned(),
            limits: limits.clone(),
            pool,
        })
    }

    /// Runs a query with bound texts and returns its only row, or none.
    ///
    /// # Errors
    /// The source failed, or answered with several rows or something unreadable.
    pub(crate) async fn row(
        &self,
        query: &str,
        bind: &[&str],
    ) -> Result<Option<Record>, SourceError> {
        with_retries(&self.name, &self.limits, || self.attempt(query, bind)).await
    }

    async fn attempt(&self, query: &str, bind: &[&str]) -> Result<Option<Record>, SourceError> {
        // The text comes from the operator's configuration; what comes from a person is only ever bound.
        match &self.pool {
            Pool::Sqlite(pool) => {
                let mut statement = sqlx::query(AssertSqlSafe(query));
                for value in bind {
                    statement = statement.bind(*value);
                }
                let rows: Vec<SqliteRow> = statement
                    .fetch(pool)
                    .take(2)
                    .try_collect()
                    .await
                    .map_err(|error| self.failed(&error))?;
                self.only(&rows)?.map(|row| self.sqlite(row)).transpose()
            }
            Pool::Postgres(pool) => {
                let mut statement = sqlx::query(AssertSqlSafe(query));
                for value in bind {
                    statement = statement.bind(*value);
                }
                let rows: Vec<PgRow> = statement
                    .fetch(pool)
                    .take(2)
                    .try_collect()
                    .await
                    .map_err(|error| self.failed(&error))?;
                self.only(&rows)?.map(|row| self.postgres(row)).transpose()
            }
        }
    }

    fn only<'a, R>(&self, rows: &'a [R]) -> Result<Option<&'a R>, SourceError> {
        match rows {
            [] => Ok(None),
            [row] => Ok(Some(row)),
            _ => Err(SourceError::Ambiguous {
                source_name: self.name.clone(),
                field: "the query".to_owned(),
            }),
        }
    }

    /// Database errors may quote values, so only their kind is passed on.
    fn failed(&self, error: &sqlx::Error) -> SourceError {
        let source_name = self.name.clone();
        match error {
            sqlx::Error::PoolTimedOut => SourceError::TimedOut { source_name },
            sqlx::Error::Database(database) => SourceError::Refused {
                source_name,
                what: database.code().map_or_else(
                    || "the database refuses the query".to_owned(),
                    |code| format!("the database refuses the query (code {code})"),
                ),
            },
            sqlx::Error::Configuration(_) => SourceError::Refused {
                source_name,
                what: "the address is not usable".to_owned(),
            },
            _ => SourceError::Unavailable {
                source_name,
                what: "the database connection failed".to_owned(),
            },
        }
    }

    fn unreadable(&self, column: &str) -> SourceError {
        SourceError::Malformed {
            source_name: self.name.clone(),
            field: format!("column {column}"),
            expected: "text, a whole number, a truth value or a date (cast it in the query)"
                .to_owned(),
        }
    }

    fn capped(&self, cells: Vec<(String, Cell)>) -> Result<Record, SourceError> {
        let too_large = |field, limit: String| SourceError::TooLarge {
            source_name: self.name.clone(),
            field,
            limit,
        };
        if cells.len() > MAX_COLUMNS {
            return Err(too_large("a row", format!("{MAX_COLUMNS} columns")));
        }
        for (_, cell) in &cells {
            if matches!(cell, Cell::Text(text) if text.len() > MAX_CELL) {
                return Err(too_large("a cell", format!("{MAX_CELL} bytes")));
            }
        }
        Ok(Record(cells))
    }

    fn sqlite(&self, row: &SqliteRow) -> Result<Record, SourceError> {
        let mut cells = Vec::new();
        for column in row.columns() {
            let (index, name) = (column.ordinal(), column.name());
            let bad = || self.unreadable(name);
            let raw = row.try_get_raw(index).map_err(|_| bad())?;
            let kind = raw.type_info();
            let cell = if raw.is_null() {
                Cell::Null
            } else {
                // SQLite values carry their own type, whatever the column declares.
                match kind.name() {
                    "INTEGER" | "BOOLEAN" | "INT4" => {
                        Cell::Integer(row.try_get_unchecked(index).map_err(|_| bad())?)
                    }
                    "TEXT" => Cell::Text(row.try_get_unchecked(index).map_err(|_| bad())?),
                    _ => return Err(bad()),
                }
            };
            cells.push((name.to_owned(), cell));
        }
        self.capped(cells)
    }

    fn postgres(&self, row: &PgRow) -> Result<Record, SourceError> {
        let mut cells = Vec::new();
        for column in row.columns() {
            let (index, name) = (column.ordinal(), column.name());
            let bad = || self.unreadable(name);
            let raw = row.try_get_raw(index).map_err(|_| bad())?;
            let kind = raw.type_info();
            let cell = if raw.is_null() {
                Cell::Null
            } else {
                match kind.name() {
                    "INT2" => {
                        Cell::Integer(row.try_get::<i16, _>(index).map_err(|_| bad())?.into())
                    }
                    "INT4" => {
                        Cell::Integer(row.try_get::<i32, _>(index).map_err(|_| bad())?.into())
                    }
                    "INT8" => Cell::Integer(row.try_get(index).map_err(|_| bad())?),
                    "BOOL" => {
                        Cell::Integer(i64::from(row.try_get::<bool, _>(index).map_err(|_| bad())?))
                    }
                    "TEXT" | "VARCHAR" | "CHAR" | "NAME" => {
                        Cell::Text(row.try_get(index).map_err(|_| bad())?)
                    }
                    "DATE" => Cell::Text(pg_date(&raw).ok_or_else(bad)?),
                    _ => return Err(bad()),
                }
            };
            cells.push((name.to_owned(), cell));
        }
        self.capped(cells)
    }
}

/// A date in Postgres's binary format: days from 2000-01-01.
fn pg_date(raw: &sqlx::postgres::PgValueRef<'_>) -> Option<String> {
    if raw.format() != PgValueFormat::Binary {
        return None;
    }
    let days = i32::from_be_bytes(raw.as_bytes().ok()?.try_into().ok()?);
    let day = Day::from_ymd(2000, 1, 1).ok()?.plus(days.into()).ok()?;
    Some(day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn registry(dir: &std::path::Path) -> String {
        let url = format!("sqlite://{}/registry.db", dir.display());
        let options = SqliteConnectOptions::from_str(&url)
            .unwrap()
            .create_if_missing(true);
        let pool = SqlitePoolOptions::new()
            .connect_with(options)
            .await
            .unwrap();
        sqlx::raw_sql(
            "CREATE TABLE person (ssn TEXT, name TEXT, age INTEGER, born DATE, weight REAL);
             INSERT INTO person VALUES ('987654321', 'Ana', 34, '1992-02-29', 1.5);
             INSERT INTO person VALUES ('987654322', 'Bo', NULL, '1990-01-01', 1.5);
             INSERT INTO person VALUES ('987654322', 'Bo', NULL, '1990-01-01', 1.5);",
        )
        .execute(&pool)
        .await
        .unwrap();
        pool.close().await;
        url
    }

    #[tokio::test]
    async fn a_row_is_read_by_its_bound_key() {
        let dir = tempfile::tempdir().unwrap();
        let source = SqlSource::new("r", &registry(dir.path()).await, &Limits::default()).unwrap();
        let query = "SELECT age, born, name FROM person WHERE ssn = $1";
        let row = source.row(query, &["987654321"]).await.unwrap().unwrap();
        assert!(row.first() == Some(&Cell::Integer(34)));
        assert_eq!(row.text("born"), Some("1992-02-29"));
        assert!(source.row(query, &["000000000"]).await.unwrap().is_none());
        assert!(matches!(
            source.row(query, &["987654322"]).await,
            Err(SourceError::Ambiguous { .. })
        ));
        let weight = "SELECT weight FROM person WHERE ssn = $1";
        assert!(matches!(
            source.row(weight, &["987654321"]).await,
            Err(SourceError::Malformed { .. })
        ));
    }

    #[tokio::test]
    async fn sql_metacharacters_in_a_key_match_nothing_and_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let source = SqlSource::new("r", &registry(dir.path()).await, &Limits::default()).unwrap();
        let query = "SELECT age FROM person WHERE ssn = $1";
        for attack in [
            "' OR '1'='1",
            "987654321'; DROP TABLE person; --",
            "%",
            "\0",
            "$1",
        ] {
            assert!(
                source.row(query, &[attack]).await.unwrap().is_none(),
                "{attack}"
            );
        }
        assert!(source.row(query, &["987654321"]).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_source_cannot_be_written_through_its_adapter() {
        let dir = tempfile::tempdir().unwrap();
        let source = SqlSource::new("r", &registry(dir.path()).await, &Limits::default()).unwrap();
        let write = source
            .row("UPDATE person SET age = 64 RETURNING age", &[])
            .await;
        assert!(matches!(write, Err(SourceError::Refused { .. })));
        let read = source
            .row("SELECT age FROM person WHERE ssn = $1", &["987654321"])
            .await;
        assert!(read.unwrap().unwrap().first() == Some(&Cell::Integer(34)));
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_is_a_failure_and_not_an_empty_answer() {
        let source = SqlSource::new("r", "sqlite:///nonexistent/r.db", &Limits::default()).unwrap();
        assert!(source.row("SELECT 1", &[]).await.is_err());
        assert!(SqlSource::new("r", "mysql://x", &Limits::default()).is_err());
    }

    #[tokio::test]
    async fn postgres_is_read_alike_and_read_only() {
        let Ok(url) = std::env::var("DATABASE_URL") else {
            return;
        };
        let source = SqlSource::new("r", &url, &Limits::default()).unwrap();
        let query = "SELECT a, b, c, d, e, f FROM (VALUES
            ('x'::text, 7::bigint, 7::int, true, DATE '1992-02-29', NULL::text)) AS t (a, b, c, d, e, f)
            WHERE a = $1";
        let row = source.row(query, &["x"]).await.unwrap().unwrap();
        assert_eq!(row.text("a"), Some("x"));
        assert_eq!(row.text("e"), Some("1992-02-29"));
        let cells: Vec<_> = row.0.into_iter().map(|(_, cell)| cell).collect();
        assert!(cells.get(1..4) == Some(&[Cell::Integer(7), Cell::Integer(7), Cell::Integer(1)]));
        assert!(cells.last() == Some(&Cell::Null));
        assert!(source.row(query, &["' OR '1'='1"]).await.unwrap().is_none());
        let write = source.row("CREATE TABLE t (x INT)", &[]).await;
        assert!(matches!(write, Err(SourceError::Refused { .. })));
    }
}
