//! SQLite's one writer. Writes take turns on its connection, each in a savepoint of its own, and those that queued while one
//! was at work are committed with it: one wait for the disk makes them all durable.
//!
//! [`commit`] gives the turn away and queues for it again. The first of a group to get it back commits for everybody who had the
//! turn in between; the others find that done. Nobody is told that a write lasts before it does.

use std::sync::{Arc, OnceLock};

use sqlx::pool::PoolConnection;
use sqlx::{Any, Executor as _};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::StoreError;

/// Whether a group's commit came about.
type Group = Arc<OnceLock<bool>>;

/// The connection, and what is open on it.
pub(super) struct Writer {
    pub(super) connection: PoolConnection<Any>,
    /// The transaction that is open.
    group: Option<Group>,
    /// The savepoint of a turn is open; if nobody has the turn, it was given up.
    savepoint: bool,
}

/// A turn at the writer; given up unless committed.
pub(super) type Turn = OwnedMutexGuard<Writer>;

/// Begins a turn. It runs to its end even if the caller does not wait for it, so that the connection's state is always known.
pub(super) async fn begin(queue: &Arc<Mutex<Writer>>) -> Result<Turn, StoreError> {
    let queue = Arc::clone(queue);
    in_full(async move {
        let mut writer = queue.lock_owned().await;
        writer.begin().await.map(|()| writer)
    })
    .await
}

/// Makes a turn's writes last.
pub(super) async fn commit(queue: &Arc<Mutex<Writer>>, mut turn: Turn) -> Result<(), StoreError> {
    let queue = Arc::clone(queue);
    in_full(async move {
        let group = turn.release().await?;
        drop(turn);
        let mut writer = queue.lock_owned().await;
        writer.settle(&group).await
    })
    .await
}

async fn in_full<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(work)
        .await
        .map_err(|_| StoreError::Sql(sqlx::Error::WorkerCrashed))?
}

impl Writer {
    pub(super) fn new(connection: PoolConnection<Any>) -> Self {
        Self {
            connection,
            group: None,
            savepoint: false,
        }
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        self.give_up().await?;
        if self.group.is_none() {
            self.connection.execute("BEGIN IMMEDIATE").await?;
            self.group = Some(Group::default());
        }
        if let Err(error) = self.connection.execute("SAVEPOINT turn").await {
            self.fail().await;
            return Err(error.into());
        }
        self.savepoint = true;
        Ok(())
    }

    /// Undoes a turn that was dropped.
    async fn give_up(&mut self) -> Result<(), StoreError> {
        if !std::mem::take(&mut self.savepoint) {
            return Ok(());
        }
        let undone = self
            .connection
            .execute("ROLLBACK TO turn; RELEASE turn")
            .await;
        if let Err(error) = undone {
            // After a full disk, say, SQLite has rolled the whole transaction back by itself.
            tracing::error!(%error, "the database gave up a transaction");
            self.fail().await;
        }
        Ok(())
    }

    /// Ends a turn; its writes last when its group is committed.
    async fn release(&mut self) -> Result<Group, StoreError> {
        self.savepoint = false;
        let released = self.connection.execute("RELEASE turn").await;
        match (released, &self.group) {
            (Ok(_), Some(group)) => Ok(Arc::clone(group)),
            (Ok(_), None) => Err(StoreError::Sql(sqlx::Error::WorkerCrashed)),
            (Err(error), _) => {
                self.fail().await;
                Err(error.into())
            }
        }
    }

    /// Commits a group, unless one of its members has.
    async fn settle(&mut self, group: &Group) -> Result<(), StoreError> {
        if let Some(committed) = group.get() {
            return match committed {
                true => Ok(()),
                false => Err(StoreError::Lost),
            };
        }
        self.give_up().await?;
        if group.get().is_some() {
            return Err(StoreError::Lost);
        }
        if let Err(error) = self.connection.execute("COMMIT").await {
            self.fail().await;
            return Err(error.into());
        }
        // Never set before: looked at above, under the lock.
        let _ = group.set(true);
        self.group = None;
        Ok(())
    }

    /// Rolls the group back and tells its members.
    async fn fail(&mut self) {
        self.savepoint = false;
        if let Some(group) = self.group.take() {
            let _ = group.set(false);
        }
        if let Err(error) = self.connection.execute("ROLLBACK").await {
            tracing::debug!(%error, "nothing was left to roll back");
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::super::Store;
    use super::*;

    async fn store(folder: &tempfile::TempDir) -> Store {
        let path = folder.path().join("writer.db");
        Store::open(&format!("sqlite:{}", path.display()))
            .await
            .unwrap()
    }

    async fn put(store: &Store, id: &str, commit: bool) -> Result<(), StoreError> {
        let mut write = store.write().await?;
        sqlx::query("INSERT INTO inbound (message_id, received_at) VALUES ($1, 1)")
            .bind(id)
            .execute(&mut *write)
            .await?;
        match commit {
            true => write.commit().await,
            false => Ok(()),
        }
    }

    async fn ids(store: &Store) -> Vec<String> {
        let rows = sqlx::query("SELECT message_id FROM inbound ORDER BY message_id")
            .fetch_all(&store.pool)
            .await
            .unwrap();
        rows.iter().map(|row| row.get("message_id")).collect()
    }

    #[tokio::test]
    async fn a_turn_that_is_dropped_or_fails_leaves_those_beside_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let names: Vec<String> = (0..40).map(|n| format!("{n:02}")).collect();
        let writes = names.iter().enumerate().map(|(n, name)| {
            let store = &store;
            async move {
                // Every fourth is dropped, every fourth breaks a constraint.
                match n % 4 {
                    1 => put(store, name, false).await,
                    2 => {
                        let mut write = store.write().await?;
                        for _ in 0..2 {
                            sqlx::query(
                                "INSERT INTO inbound (message_id, received_at) VALUES ($1, 1)",
                            )
                            .bind(name)
                            .execute(&mut *write)
                            .await?;
                        }
                        write.commit().await
                    }
                    _ => put(store, name, true).await,
                }
            }
        });
        let results = futures::future::join_all(writes).await;
        let expected: Vec<&String> = names
            .iter()
            .enumerate()
            .filter(|(n, _)| matches!(n % 4, 0 | 3))
            .map(|(_, name)| name)
            .collect();
        for (n, result) in results.iter().enumerate() {
            assert_eq!(result.is_err(), n % 4 == 2, "{n}: {result:?}");
        }
        assert_eq!(ids(&store).await.iter().collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn what_was_committed_is_seen_by_others_at_once_and_survives() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        put(&store, "a", true).await.unwrap();
        assert_eq!(ids(&store).await, ["a"]);
        drop(store);
        let again = super::tests::store(&folder).await;
        assert_eq!(ids(&again).await, ["a"]);
    }

    #[tokio::test]
    async fn a_transaction_that_the_database_gave_up_is_reported_to_all_its_members() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let queue = store.writer.clone().unwrap();
        let mut first = store.write().await.unwrap();
        sqlx::query("INSERT INTO inbound (message_id, received_at) VALUES ('first', 1)")
            .execute(&mut *first)
            .await
            .unwrap();
        // Queued before the first commits, so that they are of one group; it ends the transaction under the first's feet,
        // as SQLite does by itself when the disk is full.
        let second = tokio::spawn({
            let store = store.clone();
            async move {
                let mut write = store.write().await.unwrap();
                sqlx::query("ROLLBACK").execute(&mut *write).await.unwrap();
                write.commit().await
            }
        });
        while Arc::strong_count(&queue) < 4 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let first = first.commit().await;
        assert!(second.await.unwrap().is_err());
        assert!(matches!(first, Err(StoreError::Lost)), "{first:?}");
        put(&store, "later", true).await.unwrap();
        assert_eq!(ids(&store).await, ["later"]);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_blocks_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        for _ in 0..20 {
            let write = store.write();
            // Dropped while it begins.
            let _ = futures::poll!(std::pin::pin!(write));
            let put = put(&store, "x", true);
            let mut put = Box::pin(put);
            for _ in 0..3 {
                let _ = futures::poll!(&mut put);
                tokio::task::yield_now().await;
            }
            drop(put);
        }
        put(&store, "y", true).await.unwrap();
        assert!(ids(&store).await.contains(&"y".to_owned()));
    }
}
