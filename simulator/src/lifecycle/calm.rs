//! Whether the network has done what a day asks for: until it has, the calendar must not move, or what was to be said on one day
//! is said on the next, if it is still to be said at all.

use std::time::{Duration, Instant};

use oracles::clock::Clock;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Sqlite};

use super::world::Failed;
use crate::demo::folder::Folder;

/// Longest wait: what is put off again and again, because somebody does not answer, must not stop the calendar.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing may happen: longer than the profile waits between two looks for a reply or an agency's word.
const STILL: Duration = Duration::from_millis(1_600);
/// Work that is due within so many seconds is still today's.
const SOON: i64 = 60;

/// Work that the profile has still to do, and a number that grows with what it did; replies are waited for in lanes of their own.
const PROFILE: &str = "SELECT
    (SELECT COUNT(*) FROM lifecycle_task WHERE done_at IS NULL AND due_at <= $1 AND lane NOT LIKE 'await %' AND lane NOT LIKE 'follow%')
    + (SELECT COUNT(*) FROM lifecycle WHERE due_at <= $1)
    + (SELECT COUNT(*) FROM watch_consent WHERE due_at <= $1)
    + (SELECT COUNT(*) FROM outbox WHERE sent_at IS NULL) AS open,
    (SELECT COUNT(*) FROM lifecycle_event) + (SELECT COUNT(*) FROM lifecycle_task WHERE done_at IS NOT NULL)
    + (SELECT CAST(COALESCE(SUM(version), 0) AS BIGINT) FROM question) AS done";

/// Texts that are to leave today and answers that can still be taken back, and what has left or was heard.
const NOTIFIER: &str = "SELECT
    (SELECT COUNT(*) FROM message WHERE state IN ('queued', 'sending') AND due <= $1)
    + (SELECT COUNT(*) FROM decision WHERE state = 'yes') AS open,
    (SELECT COUNT(*) FROM message WHERE sent_at IS NOT NULL) + (SELECT COUNT(*) FROM inbound) AS done";

/// Waits until nothing is left to do, by the clock of processes that is `offset` seconds off ours, and nothing has happened for a
/// while.
///
/// # Errors
/// A database that cannot be read.
pub async fn wait(folder: &Folder, shared: Option<&str>, offset: i64) -> Result<(), Failed> {
    let since = Instant::now();
    let mut last = (0, Instant::now());
    while since.elapsed() < PATIENCE {
        let soon = Clock::with_offset(offset + SOON).now().0;
        let profile = profiles(folder, shared, PROFILE, ["open", "done"], soon).await?;
        let notifier = read(folder, "notifier/notifier.db", NOTIFIER, soon).await?;
        let notifier = numbers(&notifier, ["open", "done"]).map_err(|error| error.to_string())?;
        let (open, done) = (profile[0] + notifier[0], profile[1] + notifier[1]);
        if open > 0 || done != last.0 {
            last = (done, Instant::now());
        } else if last.1.elapsed() >= STILL {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Numbers from a row of the profile's database: `shared`, or its own in the run's folder.
///
/// # Errors
/// A database that cannot be read.
pub(super) async fn profiles<const N: usize>(
    folder: &Folder,
    shared: Option<&str>,
    query: &'static str,
    names: [&'static str; N],
    about: i64,
) -> Result<[i64; N], Failed> {
    let Some(url) = shared else {
        let row = read(folder, "profile/profile.db", query, about).await?;
        return numbers(&row, names).map_err(|error| error.to_string());
    };
    let read = async {
        let mut database = PgConnection::connect(url).await?;
        let row = sqlx::query(query)
            .bind(about)
            .fetch_one(&mut database)
            .await?;
        database.close().await?;
        numbers(&row, names)
    };
    read.await
        .map_err(|error: sqlx::Error| format!("the profile's database: {error}"))
}

fn numbers<'r, R, const N: usize>(
    row: &'r R,
    names: [&'static str; N],
) -> Result<[i64; N], sqlx::Error>
where
    R: sqlx::Row,
    &'static str: sqlx::ColumnIndex<R>,
    i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    let mut numbers = [0; N];
    for (number, name) in numbers.iter_mut().zip(names) {
        *number = row.try_get(name)?;
    }
    Ok(numbers)
}

/// The only row of a query about a value, from a database in the run's folder.
///
/// # Errors
/// A database that cannot be read.
pub(super) async fn read<'q, T>(
    folder: &Folder,
    database: &str,
    query: &'static str,
    about: T,
) -> Result<SqliteRow, Failed>
where
    T: sqlx::Encode<'q, Sqlite> + sqlx::Type<Sqlite> + Send + 'q,
{
    let read = async {
        let mut database = SqliteConnectOptions::new()
            .filename(folder.path(database))
            .read_only(true)
            .connect()
            .await?;
        sqlx::query(query)
            .bind(about)
            .fetch_one(&mut database)
            .await
    };
    read.await
        .map_err(|error: sqlx::Error| format!("{database}: {error}"))
}
