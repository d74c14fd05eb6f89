//! The epochs of committees: what changed, which change this node votes for, and the switch from one to the next.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use contracts::encoding::Bytes32;
use contracts::epoch::EpochChange;
use contracts::ids::{Committee, NodeId};
use contracts::units::UnixTime;
use sqlx::{Executor as _, Row as _};
use zeroize::Zeroizing;

use super::{KeyError, KeyRecord, KeyStatus, KeyStore};
use crate::ceremony::KeyId;
use crate::db;

/// A committee as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Epoch of its keys.
    pub epoch: u64,
    /// The members, ascending.
    pub members: Vec<NodeId>,
    /// Members that make a quorum.
    pub threshold: u16,
}

/// What is in memory of the tables.
#[derive(Default)]
pub(super) struct Epochs {
    changes: BTreeMap<(Committee, u64), Arc<EpochChange>>,
    votes: BTreeMap<(Committee, u64), (Bytes32, String)>,
}

fn stored_epoch(epoch: u64) -> Result<i64, KeyError> {
    i64::try_from(epoch).map_err(|_| KeyError::Malformed("epoch".to_owned()))
}

/// The keys of a committee.
pub(crate) fn keys_of(committee: Committee) -> impl Iterator<Item = KeyId> {
    KeyId::ALL
        .into_iter()
        .filter(move |key| key.committee() == committee)
}

impl KeyStore {
    pub(super) async fn load_epochs(&self) -> Result<(), KeyError> {
        let malformed = || KeyError::Malformed("stored epochs".to_owned());
        let mut epochs = Epochs::default();
        let rows = sqlx::query("SELECT body FROM committee_epoch")
            .fetch_all(&self.pool)
            .await?;
        for row in rows {
            let change: EpochChange =
                serde_json::from_str(&row.try_get::<String, _>(0)?).map_err(|_| malformed())?;
            let at = (change.statement.committee, change.statement.epoch);
            epochs.changes.insert(at, Arc::new(change));
        }
        let rows = sqlx::query("SELECT committee, previous, digest, body FROM epoch_vote")
            .fetch_all(&self.pool)
            .await?;
        for row in rows {
            let committee: Committee = row
                .try_get::<String, _>(0)?
                .parse()
                .map_err(|_| malformed())?;
            let previous = u64::try_from(row.try_get::<i64, _>(1)?).map_err(|_| malformed())?;
            let digest = Bytes32::parse(&row.try_get::<String, _>(2)?).map_err(|_| malformed())?;
            epochs
                .votes
                .insert((committee, previous), (digest, row.try_get(3)?));
        }
        *self.epochs_mut() = epochs;
        Ok(())
    }

    fn epochs_mut(&self) -> std::sync::RwLockWriteGuard<'_, Epochs> {
        self.epochs.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn epochs(&self) -> std::sync::RwLockReadGuard<'_, Epochs> {
        self.epochs.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every verified change of epoch, in order of committee and epoch.
    pub fn changes(&self) -> Vec<Arc<EpochChange>> {
        self.epochs().changes.values().cloned().collect()
    }

    /// The change to an epoch.
    pub fn change(&self, committee: Committee, epoch: u64) -> Option<Arc<EpochChange>> {
        self.epochs().changes.get(&(committee, epoch)).cloned()
    }

    /// The committee as the latest change or the latest key held here has it; none before its first key is made.
    pub fn standing(&self, committee: Committee) -> Option<Standing> {
        let changed = self
            .epochs()
            .changes
            .range((committee, 0)..=(committee, u64::MAX))
            .next_back()
            .map(|(_, change)| Standing {
                epoch: change.statement.epoch,
                members: change.statement.members.clone(),
                threshold: change.statement.threshold,
            });
        let held = self
            .known()
            .into_iter()
            .filter(|record| record.key == KeyId::Signing(committee))
            .map(|record| Standing {
                epoch: record.epoch,
                members: record.members.clone(),
                threshold: record.threshold,
            });
        held.chain(changed).max_by_key(|standing| standing.epoch)
    }

    /// The change that this node votes for as the successor of an epoch.
    pub fn vote_for(&self, committee: Committee, previous: u64) -> Option<(Bytes32, String)> {
        self.epochs().votes.get(&(committee, previous)).cloned()
    }

    /// Whether a committee is between this epoch and the next, as far as this node is concerned.
    pub fn is_changing(&self, committee: Committee, epoch: u64) -> bool {
        self.vote_for(committee, epoch).is_some()
    }

    /// Votes for a successor of an epoch, once and for all. Durable when this returns.
    ///
    /// # Errors
    /// [`KeyError::Changing`] when it has voted for another.
    pub async fn vote(
        &self,
        committee: Committee,
        previous: u64,
        digest: Bytes32,
        body: &str,
    ) -> Result<(), KeyError> {
        let _writing = self.writing.lock().await;
        match self.vote_for(committee, previous) {
            Some((voted, _)) if voted == digest => return Ok(()),
            Some(_) => return Err(KeyError::Changing { committee }),
            None => {}
        }
        sqlx::query(
            "INSERT INTO epoch_vote (committee, previous, digest, body) VALUES ($1, $2, $3, $4)",
        )
        .bind(committee.as_str())
        .bind(stored_epoch(previous)?)
        .bind(digest.to_string())
        .bind(body)
        .execute(&self.pool)
        .await?;
        self.epochs_mut()
            .votes
            .insert((committee, previous), (digest, body.to_owned()));
        Ok(())
    }

    /// When this node first saw an epoch in force; now, if it had not.
    ///
    /// # Errors
    /// The database's.
    pub async fn seen_since(
        &self,
        committee: Committee,
        epoch: u64,
        now: UnixTime,
    ) -> Result<UnixTime, KeyError> {
        let row = sqlx::query(
            "INSERT INTO epoch_seen (committee, epoch, since) VALUES ($1, $2, $3)
             ON CONFLICT (committee, epoch) DO UPDATE SET since = epoch_seen.since RETURNING since",
        )
        .bind(committee.as_str())
        .bind(stored_epoch(epoch)?)
        .bind(now.0)
        .fetch_one(&self.pool)
        .await?;
        Ok(UnixTime(row.try_get(0)?))
    }

    /// Goes from one epoch to the next in one transaction: the new shares come into use, if this node was dealt any, and
    /// the old ones are erased. Doing it again changes nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn switch(&self, change: &EpochChange) -> Result<(), KeyError> {
        let statement = &change.statement;
        let (committee, epoch) = (statement.committee, statement.epoch);
        let body = serde_json::to_string(change)
            .map_err(|_| KeyError::Malformed("change of epoch".to_owned()))?;
        let _writing = self.writing.lock().await;
        let mut transaction = db::begin_write(&self.pool).await?;
        let mut records = Vec::new();
        for key in keys_of(committee) {
            for record in self.with_any(key) {
                let status = match record.status {
                    KeyStatus::Pending
                        if record.epoch == epoch && record.transcript == statement.transcript =>
                    {
                        KeyStatus::Active
                    }
                    KeyStatus::Pending if record.epoch <= epoch => {
                        sqlx::query("DELETE FROM key_share WHERE key_id = $1 AND epoch = $2")
                            .bind(key.as_str())
                            .bind(stored_epoch(record.epoch)?)
                            .execute(&mut *transaction)
                            .await?;
                        records.push((key, record.epoch, None));
                        continue;
                    }
                    KeyStatus::Active if record.epoch < epoch => KeyStatus::Retired,
                    _ => continue,
                };
                let active = status == KeyStatus::Active;
                let query = if active {
                    "UPDATE key_share SET status = 'active' WHERE key_id = $1 AND epoch = $2"
                } else {
                    "UPDATE key_share SET status = 'retired', sealed = '' WHERE key_id = $1 AND epoch = $2"
                };
                sqlx::query(query)
                    .bind(key.as_str())
                    .bind(stored_epoch(record.epoch)?)
                    .execute(&mut *transaction)
                    .await?;
                let switched = KeyRecord {
                    key,
                    epoch: record.epoch,
                    status,
                    members: record.members.clone(),
                    threshold: record.threshold,
                    transcript: record.transcript,
                    confirmations: record.confirmations.clone(),
                    public_package: record.public_package.clone(),
                    group: record.group.clone(),
                    secret: if active {
                        record.secret.clone()
                    } else {
                        Zeroizing::default()
                    },
                };
                records.push((key, record.epoch, Some(switched)));
            }
        }
        sqlx::query(
            "INSERT INTO committee_epoch (committee, epoch, body) VALUES ($1, $2, $3)
             ON CONFLICT (committee, epoch) DO UPDATE SET body = excluded.body",
        )
        .bind(committee.as_str())
        .bind(stored_epoch(epoch)?)
        .bind(body)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM epoch_vote WHERE committee = $1 AND previous < $2")
            .bind(committee.as_str())
            .bind(stored_epoch(epoch)?)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        for (key, epoch, record) in records {
            match record {
                Some(record) => self.remember(record),
                None => self.forget(key, epoch),
            }
        }
        {
            let mut epochs = self.epochs_mut();
            epochs
                .votes
                .retain(|(of, previous), _| *of != committee || *previous >= epoch);
            epochs
                .changes
                .insert((committee, epoch), Arc::new(change.clone()));
        }
        self.wipe_log().await
    }

    /// The old shares are overwritten in the database file; its write-ahead log still holds them until it is emptied.
    async fn wipe_log(&self) -> Result<(), KeyError> {
        if db::is_sqlite(&self.pool).await? {
            self.pool.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(())
    }
}
