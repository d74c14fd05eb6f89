//! What differs between databases: how a connection is made read-only and short, and how a cell is read.

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use contracts::units::Day;
use futures::{StreamExt as _, TryStreamExt as _};
use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::pool::{Pool, PoolConnection, PoolOptions};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgValueFormat, Postgres};
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{
    AssertSqlSafe, Column as _, ColumnIndex, Connection, Database, Encode, Executor, IntoArguments,
    Row, Type, TypeInfo as _, ValueRef as _,
};

use super::super::value::Cell;

/// Connections to one source.
const MAX_CONNECTIONS: u32 = 4;
/// Steps of SQLite's machine between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// A database that sources may be kept in.
pub(super) trait Dialect: Database {
    /// Begins a transaction that cannot write.
    const BEGIN: &'static str;

    /// Settings of a connection to `url`.
    fn options(
        url: &str,
        timeout: Duration,
    ) -> Result<<Self::Connection as Connection>::Options, sqlx::Error>;

    /// Has the server itself end what takes longer, so that a query outlives nobody who waits for it.
    fn bounded(
        connection: &mut Self::Connection,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// The cell of a column; none where it is of a type that mappings do not read.
    fn cell(row: &Self::Row, index: usize, kind: &str) -> Option<Cell>;
}

impl Dialect for Sqlite {
    // `query_only` and a file opened read-only stand for it.
    const BEGIN: &'static str = "BEGIN";

    fn options(url: &str, timeout: Duration) -> Result<SqliteConnectOptions, sqlx::Error> {
        Ok(SqliteConnectOptions::from_str(url)?
            .read_only(true)
            .create_if_missing(false)
            .pragma("query_only", "ON")
            .busy_timeout(timeout))
    }

    async fn bounded(
        connection: &mut SqliteConnection,
        timeout: Duration,
    ) -> Result<(), sqlx::Error> {
        let deadline = Instant::now() + timeout;
        connection
            .lock_handle()
            .await?
            .set_progress_handler(STEPS_BETWEEN_LOOKS, move || Instant::now() < deadline);
        Ok(())
    }

    fn cell(row: &SqliteRow, index: usize, kind: &str) -> Option<Cell> {
        // SQLite values carry their own type, whatever the column declares.
        match kind {
            "INTEGER" | "BOOLEAN" | "INT4" => row.try_get_unchecked(index).ok().map(Cell::Integer),
            "TEXT" => row.try_get_unchecked(index).ok().map(Cell::Text),
            _ => None,
        }
    }
}

impl Dialect for Postgres {
    const BEGIN: &'static str = "BEGIN READ ONLY";

    fn options(url: &str, timeout: Duration) -> Result<PgConnectOptions, sqlx::Error> {
        Ok(PgConnectOptions::from_str(url)?.options([
            ("default_transaction_read_only", "on".to_owned()),
            ("statement_timeout", timeout.as_millis().to_string()),
            (
                "idle_in_transaction_session_timeout",
                (2 * timeout.as_millis()).to_string(),
            ),
        ]))
    }

    async fn bounded(_: &mut PgConnection, _: Duration) -> Result<(), sqlx::Error> {
        // `statement_timeout` came with the connection.
        Ok(())
    }

    fn cell(row: &PgRow, index: usize, kind: &str) -> Option<Cell> {
        let integer = |value: Result<i64, sqlx::Error>| value.ok().map(Cell::Integer);
        match kind {
            "INT2" => integer(row.try_get::<i16, _>(index).map(i64::from)),
            "INT4" => integer(row.try_get::<i32, _>(index).map(i64::from)),
            "INT8" => integer(row.try_get(index)),
            "BOOL" => row.try_get(index).ok().map(Cell::Flag),
            "TEXT" | "VARCHAR" | "CHAR" | "NAME" => row.try_get(index).ok().map(Cell::Text),
            "DATE" => pg_date(row, index).map(Cell::Text),
            _ => None,
        }
    }
}

/// A date in Postgres's binary format: days from 2000-01-01.
fn pg_date(row: &PgRow, index: usize) -> Option<String> {
    let raw = row.try_get_raw(index).ok()?;
    if raw.format() != PgValueFormat::Binary {
        return None;
    }
    let days = i32::from_be_bytes(raw.as_bytes().ok()?.try_into().ok()?);
    let day = Day::from_ymd(2000, 1, 1).ok()?.plus(days.into()).ok()?;
    Some(day.to_string())
}

impl Dialect for MySql {
    const BEGIN: &'static str = "START TRANSACTION READ ONLY";

    fn options(url: &str, _: Duration) -> Result<MySqlConnectOptions, sqlx::Error> {
        // The driver knows the older of the two names.
        let url = url.replacen("mariadb:", "mysql:", 1);
        MySqlConnectOptions::from_str(&url)
    }

    async fn bounded(
        connection: &mut MySqlConnection,
        timeout: Duration,
    ) -> Result<(), sqlx::Error> {
        // MariaDB counts seconds, MySQL milliseconds, each by a name that the other refuses.
        let (seconds, millis) = (timeout.as_secs_f64(), timeout.as_millis());
        let mariadb = format!("SET SESSION max_statement_time = {seconds}");
        let bounded = connection.execute(AssertSqlSafe(mariadb)).await;
        if bounded.is_err() {
            let mysql = format!("SET SESSION max_execution_time = {millis}");
            connection.execute(AssertSqlSafe(mysql)).await?;
        }
        connection
            .execute("SET SESSION TRANSACTION READ ONLY")
            .await?;
        Ok(())
    }

    fn cell(row: &MySqlRow, index: usize, kind: &str) -> Option<Cell> {
        match kind {
            "BOOLEAN" | "TINYINT" | "SMALLINT" | "INT" | "MEDIUMINT" | "BIGINT" => {
                row.try_get(index).ok().map(Cell::Integer)
            }
            "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "INT UNSIGNED" | "MEDIUMINT UNSIGNED"
            | "BIGINT UNSIGNED" => row
                .try_get::<u64, _>(index)
                .ok()
                .and_then(|value| i64::try_from(value).ok())
                .map(Cell::Integer),
            "CHAR" | "VARCHAR" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" | "ENUM" => {
                row.try_get(index).ok().map(Cell::Text)
            }
            // Sent as digits.
            "DECIMAL" => row.try_get_unchecked(index).ok().map(Cell::Text),
            "DATE" => mysql_date(row, index).map(Cell::Text),
            _ => None,
        }
    }
}

/// A date in MySQL's binary format: its length, the year in two bytes, little end first, month, day.
fn mysql_date(row: &MySqlRow, index: usize) -> Option<String> {
    let bytes: &[u8] = row.try_get_unchecked(index).ok()?;
    let [_, low, high, month, day, ..] = *bytes else {
        return None;
    };
    let year = u16::from_le_bytes([low, high]);
    let day = Day::from_ymd(year.into(), month, day).ok()?;
    Some(day.to_string())
}

/// A pool that connects when it is first used.
pub(super) fn pool<D: Dialect>(url: &str, timeout: Duration) -> Result<Pool<D>, sqlx::Error> {
    Ok(PoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(timeout)
        .connect_lazy_with(D::options(url, timeout)?))
}

/// Columns by name, and what was read of each: none where its type is not one that mappings read.
pub(super) type Cells = Vec<(String, Option<Cell>)>;

/// At most so many rows of a query with bound texts, read in a transaction that cannot write.
///
/// A connection whose query failed, or has more to say, is closed instead of being used again: it could be busy.
pub(super) async fn rows<D>(
    pool: &Pool<D>,
    query: &str,
    bind: &[&str],
    most: usize,
    timeout: Duration,
) -> Result<Vec<Cells>, sqlx::Error>
where
    D: Dialect,
    D::Arguments: IntoArguments<D>,
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    for<'q> &'q str: Encode<'q, D> + Type<D>,
    usize: ColumnIndex<D::Row>,
{
    let mut connection = pool.acquire().await?;
    let read = read(&mut connection, query, bind, most, timeout).await;
    match read {
        Ok(rows) if rows.len() < most => Ok(rows),
        other => {
            // Dropped detached, it closes its socket.
            drop(connection.detach());
            other
        }
    }
}

async fn read<D>(
    connection: &mut PoolConnection<D>,
    query: &str,
    bind: &[&str],
    most: usize,
    timeout: Duration,
) -> Result<Vec<Cells>, sqlx::Error>
where
    D: Dialect,
    D::Arguments: IntoArguments<D>,
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    for<'q> &'q str: Encode<'q, D> + Type<D>,
    usize: ColumnIndex<D::Row>,
{
    // Owned texts, so that a spawned task may wait for the answer: the compiler cannot tell borrowed ones to be as safe.
    let begin = AssertSqlSafe(D::BEGIN.to_owned());
    D::bounded(connection, timeout).await?;
    let mut transaction = connection.begin_with(begin).await?;
    // The text comes from the operator's configuration; what comes from a person is only ever bound.
    let mut statement = sqlx::query(AssertSqlSafe(query.to_owned()));
    for value in bind {
        statement = statement.bind(*value);
    }
    let rows: Vec<D::Row> = statement
        .fetch(&mut *transaction)
        .take(most)
        .try_collect()
        .await?;
    let rows: Vec<Cells> = rows.iter().map(cells::<D>).collect();
    if rows.len() < most {
        transaction.rollback().await?;
    }
    Ok(rows)
}

fn cells<D: Dialect>(row: &D::Row) -> Cells
where
    usize: ColumnIndex<D::Row>,
{
    let cell = |index: usize| {
        let raw = row.try_get_raw(index).ok()?;
        if raw.is_null() {
            return Some(Cell::Null);
        }
        let kind = raw.type_info().name().to_owned();
        D::cell(row, index, &kind)
    };
    row.columns()
        .iter()
        .map(|column| (column.name().to_owned(), cell(column.ordinal())))
        .collect()
}
