//! Which operator key the seeds are sealed under, and the way from one key to the next.
//!
//! A rewrap seals every seed anew under another key, some at a time, each lot in one transaction. Killed anywhere, it goes
//! on when it is run again. What tokens and salts follow from ([`Root`]) stays as it is.

use contracts::encoding::to_base64url;
use sqlx::Row;

use super::{Store, StoreError, Tx};
use crate::seal::{Root, SealKey};
use crate::wallet::Entropy;

/// Seeds sealed anew in one transaction.
const LOT: i64 = 20;
const IN_USE: i64 = 1;
const NEXT: i64 = 2;

/// An operator key that is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// The seeds are sealed under another key.
    #[error("not the key that the seeds of this database are sealed under")]
    Wrong,
    /// A rewrap was begun and not ended.
    #[error("a rewrap is not finished: run `profile rewrap` with the same two keys to its end")]
    Unfinished,
    /// A rewrap to another key was begun.
    #[error("a rewrap to another key is not finished: run that one to its end first")]
    OtherRewrap,
    /// Both keys are one.
    #[error("the old key once more: make a new one with `profile --new-operator-key`")]
    Same,
    /// These profiles' seeds do not open under the key that they are sealed under; all others are moved.
    #[error("the seeds of {0:?} do not open: restore them from a backup, then run this again")]
    Damaged(Vec<String>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for OperatorError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A public name of a key, from which it does not follow.
pub fn key_id(key: &SealKey) -> String {
    let id = key.derive("shp/v1/operator-key-id", b"");
    to_base64url(id.get(..16).unwrap_or_default())
}

struct Known {
    id: String,
    root: String,
}

async fn known(tx: &mut Tx, place: i64) -> Result<Option<Known>, StoreError> {
    let row = sqlx::query("SELECT key_id, root FROM operator_key WHERE place = $1")
        .bind(place)
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| {
        Ok(Known {
            id: row.try_get("key_id")?,
            root: row.try_get("root")?,
        })
    })
    .transpose()
}

async fn put(tx: &mut Tx, key: &SealKey, place: i64, root: &Root) -> Result<(), StoreError> {
    let id = key_id(key);
    sqlx::query(
        "INSERT INTO operator_key (key_id, place, root) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(&id)
    .bind(place)
    .bind(root.seal(key, &id))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes up the key that a database of an earlier version is sealed under, or that a new one will be.
async fn adopt(tx: &mut Tx, key: &SealKey) -> Result<(), OperatorError> {
    let row = sqlx::query("SELECT profile, seed FROM profile LIMIT 1")
        .fetch_optional(&mut **tx)
        .await?;
    if let Some(row) = row {
        let (profile, seed): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Entropy::open(key, &profile, &seed).map_err(|_| OperatorError::Wrong)?;
    }
    put(tx, key, IN_USE, &key.root()).await?;
    sqlx::query("UPDATE profile SET seed_key = $1 WHERE seed_key IS NULL")
        .bind(key_id(key))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The root that is in use, if `key` is.
async fn in_use(tx: &mut Tx, key: &SealKey) -> Result<Root, OperatorError> {
    if known(tx, IN_USE).await?.is_none() {
        adopt(tx, key).await?;
    }
    let known = known(tx, IN_USE).await?.ok_or(OperatorError::Wrong)?;
    let id = key_id(key);
    if known.id != id {
        return Err(OperatorError::Wrong);
    }
    Root::open(key, &id, &known.root).map_err(|_| OperatorError::Wrong)
}

impl Store {
    /// What tokens and salts follow from, if this is the key that the seeds are sealed under. The first key that a
    /// database sees is taken up.
    ///
    /// # Errors
    /// [`OperatorError::Wrong`], [`OperatorError::Unfinished`] or the database's.
    pub async fn operator_root(&self, key: &SealKey) -> Result<Root, OperatorError> {
        let mut tx = self.begin().await?;
        if known(&mut tx, NEXT).await?.is_some() {
            return Err(OperatorError::Unfinished);
        }
        let root = in_use(&mut tx, key).await?;
        tx.commit().await?;
        Ok(root)
    }

    /// Seals every seed that is under `old` under `new`. Returns how many it moved; none if that was done before.
    ///
    /// # Errors
    /// [`OperatorError`]: `Wrong` and `Damaged` are about `old`; `Same` and `OtherRewrap` about `new`.
    pub async fn rewrap(&self, old: &SealKey, new: &SealKey) -> Result<u64, OperatorError> {
        if key_id(old) == key_id(new) {
            return Err(OperatorError::Same);
        }
        if !self.begin_rewrap(old, new).await? {
            return Ok(0);
        }
        let mut moved = 0;
        loop {
            moved += self.move_all(old, new).await?;
            if self.end_rewrap(old, new).await? {
                return Ok(moved);
            }
        }
    }

    /// Says whether there is anything to do.
    async fn begin_rewrap(&self, old: &SealKey, new: &SealKey) -> Result<bool, OperatorError> {
        let mut tx = self.begin().await?;
        let next = known(&mut tx, NEXT).await?;
        let done = known(&mut tx, IN_USE).await?;
        if next.is_none() && done.is_some_and(|it| it.id == key_id(new)) {
            return Ok(false);
        }
        let root = in_use(&mut tx, old).await?;
        match next {
            Some(next) if next.id != key_id(new) => return Err(OperatorError::OtherRewrap),
            Some(_) => {}
            None => put(&mut tx, new, NEXT, &root).await?,
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn move_all(&self, old: &SealKey, new: &SealKey) -> Result<u64, OperatorError> {
        let (mut after, mut moved, mut damaged) = (String::new(), 0, vec![]);
        loop {
            let mut tx = self.begin().await?;
            let rows = sqlx::query(
                "SELECT profile, seed FROM profile WHERE seed_key = $1 AND profile > $2
                 ORDER BY profile LIMIT $3",
            )
            .bind(key_id(old))
            .bind(&after)
            .bind(LOT)
            .fetch_all(&mut *tx)
            .await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let (profile, seed): (String, String) = (row.try_get(0)?, row.try_get(1)?);
                after.clone_from(&profile);
                let Ok(entropy) = Entropy::open(old, &profile, &seed) else {
                    damaged.push(profile);
                    continue;
                };
                sqlx::query("UPDATE profile SET seed = $1, seed_key = $2 WHERE profile = $3 AND seed_key = $4")
                    .bind(entropy.seal(new, &profile))
                    .bind(key_id(new))
                    .bind(&profile)
                    .bind(key_id(old))
                    .execute(&mut *tx)
                    .await?;
                moved += 1;
            }
            tx.commit().await?;
        }
        if damaged.is_empty() {
            return Ok(moved);
        }
        Err(OperatorError::Damaged(damaged))
    }

    /// Forgets the old key; not while a seed refers to it, as a service that still ran could have made one meanwhile.
    async fn end_rewrap(&self, old: &SealKey, new: &SealKey) -> Result<bool, OperatorError> {
        let mut tx = self.begin().await?;
        let left = sqlx::query("SELECT 1 FROM profile WHERE seed_key = $1 LIMIT 1")
            .bind(key_id(old))
            .fetch_optional(&mut *tx)
            .await?;
        if left.is_some() {
            return Ok(false);
        }
        for (sql, key) in [
            ("DELETE FROM operator_key WHERE key_id = $1", old),
            ("UPDATE operator_key SET place = 1 WHERE key_id = $1", new),
        ] {
            sqlx::query(sql).bind(key_id(key)).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use contracts::encoding::Bytes32;
    use contracts::units::UnixTime;
    use zeroize::Zeroizing;

    use super::*;
    use crate::store::NewProfile;
    use crate::store::profiles::insert_profile;
    use crate::store::tests::TestStore;

    fn key(byte: u8) -> SealKey {
        SealKey::new(Zeroizing::new([byte; 32]))
    }

    /// A profile whose seed is sealed under this key.
    async fn host(store: &Store, byte: u8, operator: &SealKey) -> Result<Entropy, StoreError> {
        let profile = Bytes32::from([byte; 32]);
        let entropy = Entropy::generate();
        let mut tx = store.begin().await?;
        let new = NewProfile {
            profile,
            token_hash: profile,
            seed: &entropy.seal(operator, &profile.to_string()),
            seed_key: &key_id(operator),
            enrol_id: profile,
            created_at: UnixTime(1),
        };
        insert_profile(&mut tx, &new).await?;
        tx.commit().await?;
        Ok(entropy)
    }

    #[tokio::test]
    async fn a_rewrapped_seed_opens_under_the_new_key_and_not_under_the_old() {
        let test = TestStore::open().await;
        test.store.operator_root(&key(1)).await.unwrap();
        let seed = host(&test.store, 7, &key(1)).await.unwrap();
        assert_eq!(test.store.rewrap(&key(1), &key(2)).await.unwrap(), 1);
        assert_eq!(test.store.rewrap(&key(1), &key(2)).await.unwrap(), 0);
        let id = Bytes32::from([7; 32]);
        let sealed = test.store.profile(&id).await.unwrap().unwrap().seed;
        let opened = Entropy::open(&key(2), &id.to_string(), &sealed).unwrap();
        assert_eq!(opened.seed(), seed.seed());
        assert!(Entropy::open(&key(1), &id.to_string(), &sealed).is_err());
        test.store.operator_root(&key(2)).await.unwrap();
    }

    #[tokio::test]
    async fn attack_a_service_left_running_on_the_old_key_makes_no_profile() {
        let test = TestStore::open().await;
        test.store.operator_root(&key(1)).await.unwrap();
        test.store.begin_rewrap(&key(1), &key(2)).await.unwrap();
        // Made while seeds are moved: not forgotten.
        host(&test.store, 7, &key(1)).await.unwrap();
        assert!(!test.store.end_rewrap(&key(1), &key(2)).await.unwrap());
        assert_eq!(test.store.rewrap(&key(1), &key(2)).await.unwrap(), 1);
        // After that: refused by the database itself.
        assert!(host(&test.store, 8, &key(1)).await.is_err());
        host(&test.store, 9, &key(2)).await.unwrap();
    }
}
