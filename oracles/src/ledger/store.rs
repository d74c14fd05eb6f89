//! A member's own copy of the log: entries, what the member stands by, and signed checkpoints, in its own database.
//!
//! Every change is one transaction, committed before memory changes and before anything is answered. What is read is
//! checked against the tree that was verified when the store was opened, so that an edit below us is noticed.

use std::collections::HashMap;

use contracts::checkpoint::Checkpoint;
use contracts::encoding::{Bytes, Bytes32};
use contracts::receipt::{Entry, EntryKind, Receipt};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use sqlx::AnyPool;
use sqlx::{Any, Row, Transaction};

use super::LedgerError;
use super::message::{Lock, Position, ViewCertificate};
use super::tree::Tree;
use crate::db;

const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// What a member stands by; stored with the entries it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// The view it takes part in.
    pub view: u64,
    /// The highest view it reported for; it takes part in none below.
    pub promised: u64,
    /// The right of its view's sequencer; none in view 0.
    pub certificate: Option<ViewCertificate>,
    /// Its highest lock.
    pub lock: Option<Lock>,
    /// The highest position it acknowledged in its view.
    pub acked: Option<Position>,
    /// The change of members after which it left the views of those before; see [`Members::since`](super::message::Members).
    #[serde(default)]
    pub since: u64,
}

/// The log as this member holds it.
pub struct Store {
    pool: AnyPool,
    origin: String,
    tree: Tree,
    index: HashMap<Entry, u64>,
    standing: Standing,
    checkpoint: Option<(Checkpoint, String)>,
}

fn signed(number: u64) -> Result<i64, LedgerError> {
    i64::try_from(number).map_err(|_| LedgerError::Evidence("a size above 2^63"))
}

fn damaged(what: impl Into<String>) -> LedgerError {
    LedgerError::Damaged(what.into())
}

impl Store {
    /// Opens the store and verifies it: the tree over the entries must have the root that was stored with them, and
    /// that of the latest signed checkpoint.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] when an entry was edited, added or removed from outside; database errors.
    pub async fn open(
        pool: AnyPool,
        origin: &str,
        key: &VerifyingKey,
    ) -> Result<Self, LedgerError> {
        db::migrate(&pool, "ledger", &MIGRATIONS).await?;
        let mut store = Self {
            pool,
            origin: origin.to_owned(),
            tree: Tree::default(),
            index: HashMap::new(),
            standing: Standing::default(),
            checkpoint: None,
        };
        let rows = sqlx::query("SELECT idx, kind, commitment FROM ledger_entry ORDER BY idx")
            .fetch_all(&store.pool)
            .await?;
        for (place, row) in (0i64..).zip(rows) {
            if row.get::<i64, _>(0) != place {
                return Err(damaged(format!("entry {place} is missing")));
            }
            let entry = read_entry(row.get(1), row.get(2))
                .ok_or_else(|| damaged(format!("entry {place} cannot be read")))?;
            store.index.insert(entry, store.tree.size());
            store.tree.push(entry.leaf_hash());
        }
        let mut head = (0, Tree::default().root(0));
        if let Some(row) =
            sqlx::query("SELECT size, root, standing FROM ledger_state WHERE origin = $1")
                .bind(origin)
                .fetch_optional(&store.pool)
                .await?
        {
            let size = u64::try_from(row.get::<i64, _>(0)).unwrap_or(u64::MAX);
            head = (size, Bytes::parse(&row.get::<String, _>(1)).ok());
            store.standing = serde_json::from_str(&row.get::<String, _>(2))
                .map_err(|_| damaged("the stored standing cannot be read"))?;
        }
        if head != (store.tree.size(), store.tree.root(store.tree.size())) {
            return Err(damaged("the entries do not have the root stored with them"));
        }
        if let Some(row) =
            sqlx::query("SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1")
                .fetch_optional(&store.pool)
                .await?
        {
            let note: String = row.get(0);
            let checkpoint = Checkpoint::open(&note, origin, key)?;
            if store.tree.root(checkpoint.size) != Some(checkpoint.root) {
                return Err(damaged(
                    "the entries do not have the root of the latest signed checkpoint",
                ));
            }
            store.checkpoint = Some((checkpoint, note));
        }
        Ok(store)
    }

    /// Entries held.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Root of the first `size` entries.
    pub fn root(&self, size: u64) -> Option<Bytes32> {
        self.tree.root(size)
    }

    /// Size and root of the log that keeps the first `keep` entries and goes on with these.
    pub fn root_with(&self, keep: u64, entries: &[Entry]) -> Option<(u64, Bytes32)> {
        self.tree
            .root_with(keep, entries.iter().map(Entry::leaf_hash))
    }

    /// What the member stands by.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The latest signed checkpoint and its note.
    pub fn checkpoint(&self) -> Option<&(Checkpoint, String)> {
        self.checkpoint.as_ref()
    }

    /// Entries under the latest signed checkpoint.
    pub fn signed_size(&self) -> u64 {
        self.checkpoint
            .as_ref()
            .map_or(0, |(checkpoint, _)| checkpoint.size)
    }

    /// Where an entry is, under a checkpoint or not.
    pub fn find(&self, entry: &Entry) -> Option<u64> {
        self.index.get(entry).copied()
    }

    /// Reads entries and checks them against the verified tree.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] names the entry that changed.
    pub async fn entries(&self, start: u64, count: u64) -> Result<Vec<Entry>, LedgerError> {
        let end = start.saturating_add(count).min(self.size());
        let rows = sqlx::query(
            "SELECT idx, kind, commitment FROM ledger_entry WHERE idx >= $1 AND idx < $2 ORDER BY idx",
        )
        .bind(signed(start.min(end))?)
        .bind(signed(end)?)
        .fetch_all(&self.pool)
        .await?;
        let mut entries = Vec::with_capacity(rows.len());
        for (index, row) in (start..end).zip(&rows) {
            let entry = read_entry(row.get(1), row.get(2))
                .filter(|entry| {
                    row.get::<i64, _>(0).try_into() == Ok(index)
                        && self.tree.leaf(index) == Some(entry.leaf_hash())
                })
                .ok_or_else(|| damaged(format!("entry {index} was edited")))?;
            entries.push(entry);
        }
        if entries.len() as u64 != end.saturating_sub(start) {
            return Err(damaged(format!("entries from {start} on were removed")));
        }
        Ok(entries)
    }

    /// The receipt of an entry under the latest signed checkpoint; none when there is none yet.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    pub async fn receipt(&self, index: u64) -> Result<Option<Receipt>, LedgerError> {
        let Some((checkpoint, note)) = &self.checkpoint else {
            return Ok(None);
        };
        let Some(path) = self.tree.inclusion(index, checkpoint.size) else {
            return Ok(None);
        };
        let entry = self.entries(index, 1).await?.into_iter().next();
        Ok(entry.map(|entry| Receipt {
            entry,
            index,
            path,
            checkpoint: note.clone(),
        }))
    }

    /// Consistency proof between two sizes under the latest signed checkpoint.
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Bytes32>> {
        (new <= self.signed_size())
            .then(|| self.tree.consistency(old, new))
            .flatten()
    }

    /// Replaces everything from `keep` on by `entries` and stores what the member then stands by, all or nothing.
    ///
    /// # Errors
    /// [`LedgerError::Fork`] below a signed checkpoint; [`LedgerError::Evidence`] for an entry twice; database errors.
    pub async fn write(
        &mut self,
        keep: u64,
        entries: &[Entry],
        standing: Standing,
    ) -> Result<(), LedgerError> {
        if keep < self.signed_size() {
            return Err(LedgerError::Fork);
        }
        let start = keep.min(self.size());
        for (place, entry) in entries.iter().enumerate() {
            let before = self.find(entry).is_some_and(|index| index < start);
            if before || entries.iter().take(place).any(|other| other == entry) {
                return Err(LedgerError::Evidence("an entry that is in the log already"));
            }
        }
        let (size, root) = self
            .root_with(start, entries)
            .ok_or(LedgerError::Evidence("fewer entries than are kept"))?;
        let mut transaction = db::begin_write(&self.pool).await?;
        sqlx::query("DELETE FROM ledger_entry WHERE idx >= $1")
            .bind(signed(start)?)
            .execute(&mut *transaction)
            .await?;
        for (index, entry) in (start..).zip(entries) {
            sqlx::query("INSERT INTO ledger_entry (idx, kind, commitment) VALUES ($1, $2, $3)")
                .bind(signed(index)?)
                .bind(entry.kind.as_str())
                .bind(entry.commitment.to_string())
                .execute(&mut *transaction)
                .await?;
        }
        self.write_standing(&mut transaction, size, &root, &standing)
            .await?;
        transaction.commit().await?;
        self.index.retain(|_, index| *index < start);
        self.tree.truncate(start);
        for (index, entry) in (start..).zip(entries) {
            self.index.insert(*entry, index);
            self.tree.push(entry.leaf_hash());
        }
        self.standing = standing;
        Ok(())
    }

    /// Stores what the member stands by, the entries unchanged.
    ///
    /// A [`write`](Self::write) whose caller was dropped while the database committed has left entries that this member
    /// knows nothing of and told nobody about; they go, or what is stored would not have the root stored with it.
    ///
    /// # Errors
    /// Database errors.
    pub async fn stand(&mut self, standing: Standing) -> Result<(), LedgerError> {
        let root = self.tree.root(self.size()).unwrap_or(Bytes([0; 32]));
        let mut transaction = db::begin_write(&self.pool).await?;
        sqlx::query("DELETE FROM ledger_entry WHERE idx >= $1")
            .bind(signed(self.size())?)
            .execute(&mut *transaction)
            .await?;
        self.write_standing(&mut transaction, self.size(), &root, &standing)
            .await?;
        transaction.commit().await?;
        self.standing = standing;
        Ok(())
    }

    async fn write_standing(
        &self,
        transaction: &mut Transaction<'static, Any>,
        size: u64,
        root: &Bytes32,
        standing: &Standing,
    ) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO ledger_state (origin, size, root, standing) VALUES ($1, $2, $3, $4)
             ON CONFLICT (origin) DO UPDATE SET size = $2, root = $3, standing = $4",
        )
        .bind(self.origin.as_str())
        .bind(signed(size)?)
        .bind(root.to_string())
        .bind(
            serde_json::to_string(standing)
                .map_err(|_| damaged("the standing cannot be written"))?,
        )
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }

    /// Stores a signed checkpoint whose entries are held; an older one than the latest is ignored.
    ///
    /// # Errors
    /// [`LedgerError::Fork`] when the entries have another root.
    pub async fn sign_off(
        &mut self,
        checkpoint: Checkpoint,
        note: String,
    ) -> Result<(), LedgerError> {
        if self.root(checkpoint.size) != Some(checkpoint.root) {
            return Err(LedgerError::Fork);
        }
        if self.checkpoint.is_some() && checkpoint.size <= self.signed_size() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO ledger_checkpoint (size, note) VALUES ($1, $2) ON CONFLICT (size) DO NOTHING",
        )
        .bind(signed(checkpoint.size)?)
        .bind(note.as_str())
        .execute(&self.pool)
        .await?;
        self.checkpoint = Some((checkpoint, note));
        Ok(())
    }
}

fn read_entry(kind: String, commitment: String) -> Option<Entry> {
    Some(Entry {
        kind: EntryKind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind)?,
        commitment: Bytes::parse(&commitment).ok()?,
    })
}
