//! SQL databases, read-only: the row of a parameterised query that the configuration fixes.

mod dialect;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlPool;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use self::dialect::{Cells, pool, rows};
use super::config::Limits;
use super::error::SourceError;
use super::guard::Guard;
use super::steps;
use super::template::Filling;
use super::value::{Cell, Conversion, convert};

/// Longest text of one cell, in bytes.
const MAX_CELL: usize = 256;
/// Most columns of a row.
const MAX_COLUMNS: usize = 32;

/// How an attribute is read from a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlRead {
    /// A `[[source]]` of the same kind.
    pub source: String,
    /// A SELECT with `$1`, `$2`, … (MySQL and MariaDB: `?`): nothing is ever pasted into its text.
    pub query: String,
    /// What the placeholders stand for: a source key of the handle, `period.start` or `period.end`.
    pub bind: Vec<String>,
    /// How the first column becomes an integer.
    pub value: Conversion,
}

/// A database and its bounds.
pub(crate) struct SqlSource {
    pub(super) guard: Guard,
    database: Database,
}

enum Database {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    MySql(MySqlPool),
}

/// The only row of a query: its columns by name. No `Debug`: it holds facts.
#[derive(PartialEq, Eq)]
pub(crate) struct Record(Vec<(String, Cell)>);

impl Record {
    /// The first column.
    pub(crate) fn first(&self) -> Option<&Cell> {
        self.0.first().map(|(_, cell)| cell)
    }

    /// A column; none when absent.
    pub(crate) fn cell(&self, column: &str) -> Option<&Cell> {
        let found = self.0.iter().find(|(name, _)| name == column);
        found.map(|(_, cell)| cell)
    }

    /// A column as text; none when absent, NULL or not text.
    pub(crate) fn text(&self, column: &str) -> Option<&str> {
        match self.cell(column) {
            Some(Cell::Text(text)) => Some(text.as_str()),
            _ => None,
        }
    }
}

impl SqlSource {
    /// Prepares a source; connections are made when it is read.
    ///
    /// # Errors
    /// An address of no database that is known.
    pub(crate) fn new(name: &str, url: &str, limits: &Limits) -> Result<Self, String> {
        let timeout = Duration::from_millis(limits.timeout_ms);
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let database = match scheme {
            "sqlite" => pool(url, timeout).map(Database::Sqlite),
            "postgres" | "postgresql" => pool(url, timeout).map(Database::Postgres),
            "mysql" | "mariadb" => pool(url, timeout).map(Database::MySql),
            _ => {
                return Err(
                    "the address starts with none of sqlite:, postgres:, mysql:, mariadb:"
                        .to_owned(),
                );
            }
        };
        // The driver's message may quote a password.
        let database = database.map_err(|_| format!("not a {scheme}: address"))?;
        Ok(Self {
            guard: Guard::new(name, limits),
            database,
        })
    }

    /// An attribute's value.
    pub(super) async fn value(
        &self,
        read: &SqlRead,
        filling: &Filling<'_>,
    ) -> Result<Option<i64>, SourceError> {
        let bound = read.bind.iter().map(|name| filling.get(name));
        let bound = bound.collect::<Result<Vec<_>, _>>()?;
        let bound: Vec<&str> = bound.iter().map(String::as_str).collect();
        steps::note("request", || format!("{} with {bound:?}", read.query));
        let row = self.row(&read.query, &bound).await?;
        let Some(cell) = row.as_ref().and_then(Record::first) else {
            steps::note("answer", || "no row".to_owned());
            return Ok(None);
        };
        steps::note("answer", || "one row".to_owned());
        let value = convert(cell, &read.value).map_err(|expected| {
            let column = row.as_ref().and_then(|row| row.0.first());
            let name = column.map_or("", |(name, _)| name.as_str());
            self.guard.malformed(&format!("column {name}"), expected)
        })?;
        steps::note("conversion", || format!("{:?}: {value:?}", read.value));
        Ok(value)
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
        // A second row is read only to be refused.
        let mut rows = self.guard.run(|| self.attempt(query, bind, 2)).await?;
        match (rows.pop(), rows.is_empty()) {
            (row, true) => Ok(row),
            (_, false) => Err(self.guard.ambiguous("the query")),
        }
    }

    /// Runs a query with one bound text and returns at most so many rows.
    ///
    /// # Errors
    /// The source failed, or answered something unreadable.
    pub(super) async fn rows(
        &self,
        query: &str,
        bind: &str,
        most: usize,
    ) -> Result<Vec<Record>, SourceError> {
        let bind = [bind];
        self.guard.run(|| self.attempt(query, &bind, most)).await
    }

    async fn attempt(
        &self,
        query: &str,
        bind: &[&str],
        most: usize,
    ) -> Result<Vec<Record>, SourceError> {
        let timeout = Duration::from_millis(self.guard.limits.timeout_ms);
        let rows = match &self.database {
            Database::Sqlite(pool) => rows(pool, query, bind, most, timeout).await,
            Database::Postgres(pool) => rows(pool, query, bind, most, timeout).await,
            Database::MySql(pool) => rows(pool, query, bind, most, timeout).await,
        };
        let rows = rows.map_err(|error| self.failed(&error))?;
        rows.into_iter().map(|row| self.record(row)).collect()
    }

    /// Database errors may quote values, so only their kind is passed on.
    fn failed(&self, error: &sqlx::Error) -> SourceError {
        let source_name = self.guard.name.clone();
        match error {
            sqlx::Error::PoolTimedOut => SourceError::TimedOut { source_name },
            sqlx::Error::Database(database) => {
                let code = database.code();
                match code.as_deref() {
                    // Ended by the server at its time-out: SQLite, Postgres, MariaDB and MySQL.
                    Some("9" | "57014" | "70100" | "HY000") if ended_in_time(database.as_ref()) => {
                        SourceError::TimedOut { source_name }
                    }
                    Some(code) => SourceError::Refused {
                        source_name,
                        what: format!("the database refuses the query (code {code})"),
                    },
                    None => SourceError::Refused {
                        source_name,
                        what: "the database refuses the query".to_owned(),
                    },
                }
            }
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

    fn record(&self, cells: Cells) -> Result<Record, SourceError> {
        let too_large = |field, limit: String| SourceError::TooLarge {
            source_name: self.guard.name.clone(),
            field,
            limit,
        };
        if cells.len() > MAX_COLUMNS {
            return Err(too_large("a row", format!("{MAX_COLUMNS} columns")));
        }
        let cells = cells.into_iter().map(|(name, cell)| match cell {
            Some(Cell::Text(text)) if text.len() > MAX_CELL => {
                Err(too_large("a cell", format!("{MAX_CELL} bytes")))
            }
            Some(cell) => Ok((name, cell)),
            None => Err(self.guard.malformed(
                &format!("column {name}"),
                "text, a whole number, a truth value or a date (cast it in the query)",
            )),
        });
        Ok(Record(cells.collect::<Result<_, _>>()?))
    }
}

/// Codes alone do not tell: MySQL's `HY000` stands for everything that has no code of its own.
fn ended_in_time(error: &dyn sqlx::error::DatabaseError) -> bool {
    match error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        // ER_STATEMENT_TIMEOUT of MariaDB, ER_QUERY_TIMEOUT of MySQL.
        Some(mysql) => matches!(mysql.number(), 1969 | 3024),
        None => true,
    }
}
