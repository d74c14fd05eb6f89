//! High-water marks of used wallet indexes (P9), and what keeps them from going back with a restored database.
//!
//! A mark is durable before anything derived from its index leaves the process. That holds for the database at hand; one
//! restored from a backup has marks of the past. A *witness* is a small file outside the database that counts every use.
//! At start, a database that counted less than its witness, or that has marks and no witness, is taken for a restored
//! one: every mark of every profile skips [`GAP_LIMIT`] indexes, for all processes, before one is used.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use contracts::encoding::{tagged_hash, to_base64url};
use rand_core::{OsRng, RngCore};
use sqlx::Row;

use super::{Store, StoreError, Tx};
use crate::wallet::{GAP_LIMIT, MAX_INDEX, Marks, Use};

/// A record of a witness, in bytes: a tag, who counts, the count in hexadecimal, a check, a line end. The file has two,
/// written in turn, so that one cut off by a power failure leaves the other.
const RECORD: usize = 64;
const TAG: &str = "shp-marks1 ";

/// Counts uses of indexes in a file that is not restored with the database.
#[derive(Debug)]
pub(crate) struct Witness {
    path: PathBuf,
    name: String,
}

/// A witness file that cannot be read or written; no index is used without it.
#[derive(Debug, thiserror::Error)]
#[error("marks: {path}: {error}")]
pub struct WitnessError {
    path: PathBuf,
    error: std::io::Error,
}

fn record(name: &str, seq: u64) -> String {
    let counted = format!("{TAG}{name} {seq:016x}");
    let check = to_base64url(tagged_hash("shp/v1/marks-witness", &[counted.as_bytes()]));
    let check = check.get(..12).unwrap_or_default();
    format!("{counted} {check}\n")
}

/// The name and count of a record; none if it is not whole.
fn parse(bytes: &[u8]) -> Option<(String, u64)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (name, rest) = text.strip_prefix(TAG)?.split_once(' ')?;
    let seq = u64::from_str_radix(rest.get(..16)?, 16).ok()?;
    (record(name, seq) == text).then(|| (name.to_owned(), seq))
}

impl Witness {
    /// The witness of a file, and how far it counted: none for a file that is missing or holds no whole record.
    fn read(path: &Path) -> Result<(Self, Option<u64>), WitnessError> {
        let mut bytes = Vec::new();
        match std::fs::File::open(path) {
            Ok(file) => file.take(2 * RECORD as u64).read_to_end(&mut bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
        .map_err(|error| WitnessError {
            path: path.to_owned(),
            error,
        })?;
        let newest = bytes.chunks(RECORD).filter_map(parse).max_by_key(|it| it.1);
        let (name, seq) = match newest {
            Some((name, seq)) => (name, Some(seq)),
            None => {
                let mut name = [0; 16];
                OsRng.fill_bytes(&mut name);
                (to_base64url(name), None)
            }
        };
        let path = path.to_owned();
        Ok((Self { path, name }, seq))
    }

    /// Counts to `seq`; when this returns, it survives a power cut.
    fn write(&self, seq: u64) -> Result<(), WitnessError> {
        let write = || {
            use std::io::{Seek as _, SeekFrom, Write as _};
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(false);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&self.path)?;
            file.seek(SeekFrom::Start(seq % 2 * RECORD as u64))?;
            file.write_all(record(&self.name, seq).as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| WitnessError {
            path: self.path.clone(),
            error,
        })
    }
}

async fn count(tx: &mut Tx, witness: &str, by: i64) -> Result<u64, StoreError> {
    let row = sqlx::query(
        "INSERT INTO wallet_witness (witness, seq) VALUES ($1, $2)
         ON CONFLICT (witness) DO UPDATE SET seq = wallet_witness.seq + $2
         RETURNING seq",
    )
    .bind(witness)
    .bind(by)
    .fetch_one(&mut **tx)
    .await?;
    u64::try_from(row.try_get::<i64, _>(0)?).map_err(|_| StoreError::Corrupt("seq"))
}

async fn skip(tx: &mut Tx, gap: u32) -> Result<(), StoreError> {
    sqlx::query("UPDATE wallet_skip SET skipped = skipped + $1")
        .bind(i64::from(gap))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

impl Store {
    /// Counts uses in this file too from now on. Says whether the database is older than the file, or the file is missing
    /// though indexes were used: then every mark skipped [`GAP_LIMIT`] indexes.
    ///
    /// Several processes may share a file, or each have one of its own.
    ///
    /// # Errors
    /// [`StoreError::Witness`] or the database's.
    pub async fn watch_marks(&mut self, path: &Path) -> Result<bool, StoreError> {
        let (witness, seen) = Witness::read(path)?;
        let mut tx = self.begin().await?;
        let stored = count(&mut tx, &witness.name, 0).await?;
        let used = sqlx::query("SELECT 1 FROM wallet_mark LIMIT 1")
            .fetch_optional(&mut *tx)
            .await?
            .is_some();
        let behind = seen.map_or(used, |seen| stored < seen);
        let seq = stored.max(seen.unwrap_or(0));
        if behind {
            skip(&mut tx, GAP_LIMIT).await?;
            let missed = i64::try_from(seq - stored).map_err(|_| StoreError::Corrupt("seq"))?;
            count(&mut tx, &witness.name, missed).await?;
        }
        tx.commit().await?;
        // Only now: if this is not reached, the database is found to be behind once more, and skips once more.
        witness.write(seq)?;
        self.witness = Some(std::sync::Arc::new(witness));
        Ok(behind)
    }

    /// Skips `gap` indexes of every use of every profile.
    ///
    /// # Errors
    /// The database's.
    pub async fn skip_marks(&self, gap: u32) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        skip(&mut tx, gap).await?;
        Ok(tx.commit().await?)
    }

    /// Uses up `count` wallet indexes and returns the first. They are used once this transaction commits, before any key
    /// derived from them leaves the process; a crash after that wastes them, and nothing ever reuses them. The witness
    /// has counted them when this returns.
    ///
    /// # Errors
    /// [`StoreError::Exhausted`], [`StoreError::Witness`] or the database's.
    pub async fn reserve(
        &self,
        tx: &mut Tx,
        profile: &str,
        use_: Use,
        count: u32,
    ) -> Result<u32, StoreError> {
        let first = draw(tx, profile, use_, count).await?;
        if let Some(witness) = self.witness.clone() {
            let seq = self::count(tx, &witness.name, 1).await?;
            let written = tokio::task::spawn_blocking(move || witness.write(seq)).await;
            written.map_err(|_| StoreError::Corrupt("witness"))??;
        }
        Ok(first)
    }
}

async fn draw(tx: &mut Tx, profile: &str, use_: Use, count: u32) -> Result<u32, StoreError> {
    let row = sqlx::query(
        "INSERT INTO wallet_mark (profile, counter, next) VALUES ($1, $2, $3)
         ON CONFLICT (profile, counter) DO UPDATE SET next = wallet_mark.next + $3
         RETURNING next",
    )
    .bind(profile)
    .bind(use_.counter())
    .bind(i64::from(count))
    .fetch_one(&mut **tx)
    .await?;
    let skipped = sqlx::query("SELECT skipped FROM wallet_skip")
        .fetch_one(&mut **tx)
        .await?;
    let next = row
        .try_get::<i64, _>(0)?
        .checked_add(skipped.try_get::<i64, _>(0)?);
    let next = next
        .and_then(|next| u32::try_from(next).ok())
        .ok_or(StoreError::Exhausted)?;
    if next > MAX_INDEX {
        return Err(StoreError::Exhausted);
    }
    next.checked_sub(count).ok_or(StoreError::Corrupt("next"))
}

/// Sets the marks of a profile that has none yet.
///
/// # Errors
/// The database's.
pub async fn put_marks(tx: &mut Tx, profile: &str, marks: &Marks) -> Result<(), StoreError> {
    for use_ in Use::drawn() {
        sqlx::query("INSERT INTO wallet_mark (profile, counter, next) VALUES ($1, $2, $3)")
            .bind(profile)
            .bind(use_.counter())
            .bind(i64::from(marks.next(use_)))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::with_profile;

    async fn take(store: &Store, profile: &str) -> u32 {
        let mut tx = store.begin().await.unwrap();
        let first = store.reserve(&mut tx, profile, Use::Confirmation, 1).await;
        tx.commit().await.unwrap();
        first.unwrap()
    }

    /// What restoring the backup of a database does to its marks.
    async fn roll_back(store: &Store) {
        for sql in [
            "DELETE FROM wallet_mark",
            "DELETE FROM wallet_witness",
            "UPDATE wallet_skip SET skipped = 0",
        ] {
            sqlx::query(sql).execute(store.pool()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn attack_a_restored_database_does_not_reuse_a_key() {
        let (test, profile) = with_profile().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("marks");
        let mut store = test.store.clone();
        assert!(!store.watch_marks(&file).await.unwrap());
        let profile = profile.to_string();
        let mut used = vec![];
        for _ in 0..3 {
            used.push(take(&store, &profile).await);
        }
        assert_eq!(used, [0, 1, 2]);
        // A restart finds nothing amiss.
        assert!(!store.watch_marks(&file).await.unwrap());
        assert_eq!(take(&store, &profile).await, 3);
        roll_back(&store).await;
        assert!(store.watch_marks(&file).await.unwrap());
        assert_eq!(take(&store, &profile).await, GAP_LIMIT);
        assert!(!store.watch_marks(&file).await.unwrap());
        assert_eq!(take(&store, &profile).await, GAP_LIMIT + 1);
    }

    #[tokio::test]
    async fn attack_a_database_restored_without_its_witness_does_not_reuse_a_key() {
        let (test, profile) = with_profile().await;
        let profile = profile.to_string();
        assert_eq!(take(&test.store, &profile).await, 0);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("marks");
        for damage in [&b""[..], b"shp-marks1 x", &[0xff; 500]] {
            std::fs::write(&file, damage).unwrap();
            assert!(test.store.clone().watch_marks(&file).await.unwrap());
        }
        assert_eq!(take(&test.store, &profile).await, 3 * GAP_LIMIT + 1);
    }

    #[tokio::test]
    async fn a_use_whose_transaction_did_not_end_is_not_used_again() {
        let (test, profile) = with_profile().await;
        let profile = profile.to_string();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("marks");
        let mut store = test.store.clone();
        store.watch_marks(&file).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        store
            .reserve(&mut tx, &profile, Use::Response, 1)
            .await
            .unwrap();
        drop(tx);
        // The witness counted and the database did not: it cannot tell this from a restored one.
        assert!(store.watch_marks(&file).await.unwrap());
    }

    #[tokio::test]
    async fn attack_indexes_skipped_past_the_last_do_not_begin_anew() {
        let (test, profile) = with_profile().await;
        test.store.skip_marks(MAX_INDEX).await.unwrap();
        let mut tx = test.store.begin().await.unwrap();
        let profile = profile.to_string();
        let drawn = test
            .store
            .reserve(&mut tx, &profile, Use::Question, 1)
            .await;
        assert!(matches!(drawn, Err(StoreError::Exhausted)));
    }

    #[test]
    fn a_record_cut_off_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marks");
        let (witness, seen) = Witness::read(&path).unwrap();
        assert_eq!(seen, None);
        for seq in 1..=4 {
            witness.write(seq).unwrap();
            assert_eq!(Witness::read(&path).unwrap().1, Some(seq));
        }
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 2 * RECORD);
        bytes[30] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let (again, seen) = Witness::read(&path).unwrap();
        assert_eq!((again.name, seen), (witness.name, Some(3)));
    }
}
