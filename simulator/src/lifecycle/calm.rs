//! Whether the network has done what a day asks for: until it has, the calendar must not move, or what was to be said on one day
//! is said on the next, if it is still to be said at all.

use std::time::{Duration, Instant};

use oracles::clock::Clock;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Row as _, Sqlite};

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
    + (SELECT COALESCE(SUM(version), 0) FROM question) AS done";

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
pub async fn wait(folder: &Folder, offset: i64) -> Result<(), Failed> {
    let since = Instant::now();
    let mut last = (0, Instant::now());
    while since.elapsed() < PATIENCE {
        let soon = Clock::with_offset(offset + SOON).now().0;
        let profile = look(folder, "profile/profile.db", PROFILE, soon).await?;
        let notifier = look(folder, "notifier/notifier.db", NOTIFIER, soon).await?;
        let (open, done) = (profile.0 + notifier.0, profile.1 + notifier.1);
        if open > 0 || done != last.0 {
            last = (done, Instant::now());
        } else if last.1.elapsed() >= STILL {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// What is open and what is done.
async fn look(
    folder: &Folder,
    database: &str,
    query: &'static str,
    soon: i64,
) -> Result<(i64, i64), Failed> {
    let row = read(folder, database, query, soon).await?;
    let number = |name| {
        row.try_get(name)
            .map_err(|error| format!("{database}: {error}"))
    };
    Ok((number("open")?, number("done")?))
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
