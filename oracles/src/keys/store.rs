//! Shares of committee keys: encrypted under the operator key, in the node's database.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use contracts::encoding::{Blob, Bytes32};
use contracts::ids::NodeId;
use frost_core::Ciphersuite;
use frost_core::keys::{KeyPackage, PublicKeyPackage};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row};
use zeroize::Zeroizing;

use super::epochs::Epochs;
use super::{KeyError, OperatorKey, SealedAtRest};
use crate::ceremony::{KeyId, dkg::Confirmation};
use crate::db;

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/keys_0.sql"),
    include_str!("../../migrations/keys_1.sql"),
];

/// How far the generation of a key has come at this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// Stored and confirmed by this node; not yet known to be confirmed by all. It signs nothing.
    Pending,
    /// Confirmed by every member.
    Active,
    /// Of a past epoch: the share is erased, the public keys stay for what was signed with them.
    Retired,
}

/// A key share to be stored.
pub struct NewKey {
    /// Which key.
    pub key: KeyId,
    /// Of which epoch.
    pub epoch: u64,
    /// The members, in order.
    pub members: Vec<NodeId>,
    /// Shares needed.
    pub threshold: u16,
    /// Hash of the generation's transcript, the same at every member.
    pub transcript: Bytes32,
    /// Serialised `PublicKeyPackage`.
    pub public_package: Vec<u8>,
    /// Serialised `KeyPackage`.
    pub key_package: Zeroizing<Vec<u8>>,
}

impl NewKey {
    pub(crate) fn into_record(
        self,
        status: KeyStatus,
        confirmations: Vec<Confirmation>,
    ) -> KeyRecord {
        KeyRecord {
            key: self.key,
            epoch: self.epoch,
            status,
            members: self.members,
            threshold: self.threshold,
            transcript: self.transcript,
            confirmations,
            public_package: Blob(self.public_package),
            group: OnceLock::new(),
            secret: self.key_package,
        }
    }
}

/// A stored key share; the secret half is wiped on drop and never printed.
pub struct KeyRecord {
    /// Which key.
    pub key: KeyId,
    /// Of which epoch.
    pub epoch: u64,
    /// Whether it may be used.
    pub status: KeyStatus,
    /// The members, in order.
    pub members: Vec<NodeId>,
    /// Shares needed.
    pub threshold: u16,
    /// Hash of the generation's transcript.
    pub transcript: Bytes32,
    /// The members' signatures over the transcript hash; empty while pending.
    pub confirmations: Vec<Confirmation>,
    /// Serialised `PublicKeyPackage`.
    pub public_package: Blob,
    /// The group's key once it was asked for: decoding a package decodes a point for every member.
    pub(super) group: OnceLock<Blob>,
    pub(super) secret: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KeyRecord({} epoch {} {:?})",
            self.key, self.epoch, self.status
        )
    }
}

impl KeyRecord {
    fn decode_error(&self) -> KeyError {
        KeyError::Decode {
            key: self.key,
            epoch: self.epoch,
        }
    }

    /// This node's secret share, for the key's suite `C`.
    ///
    /// # Errors
    /// [`KeyError::Decode`].
    pub fn key_package<C: Ciphersuite>(&self) -> Result<KeyPackage<C>, KeyError> {
        KeyPackage::deserialize(&self.secret).map_err(|_| self.decode_error())
    }

    /// The group's public key and the members' verification shares.
    ///
    /// # Errors
    /// [`KeyError::Decode`].
    pub fn public<C: Ciphersuite>(&self) -> Result<PublicKeyPackage<C>, KeyError> {
        PublicKeyPackage::deserialize(&self.public_package.0).map_err(|_| self.decode_error())
    }

    /// The group's public key as its suite encodes elements: 33 bytes for secp256k1, 32 for the others.
    ///
    /// # Errors
    /// [`KeyError::Decode`].
    pub fn group_key(&self) -> Result<Blob, KeyError> {
        use crate::ceremony::Suite;
        fn bytes<C: Ciphersuite>(record: &KeyRecord) -> Result<Blob, KeyError> {
            let package = record.public::<C>()?;
            package
                .verifying_key()
                .serialize()
                .map(Blob)
                .map_err(|_| record.decode_error())
        }
        if let Some(known) = self.group.get() {
            return Ok(known.clone());
        }
        let key = match self.key.suite() {
            Suite::Secp256k1 => bytes::<frost_secp256k1::Secp256K1Sha256>(self),
            Suite::Ed25519 => bytes::<frost_ed25519::Ed25519Sha512>(self),
            Suite::Ristretto255 => bytes::<frost_ristretto255::Ristretto255Sha512>(self),
        }?;
        Ok(self.group.get_or_init(|| key).clone())
    }
}

/// The shares a node holds. Reads come from memory, where secrets are wiped on drop.
pub struct KeyStore {
    pub(super) pool: AnyPool,
    operator: OperatorKey,
    records: RwLock<HashMap<(KeyId, u64), Arc<KeyRecord>>>,
    /// Changes of epoch and the votes for one.
    pub(super) epochs: RwLock<Epochs>,
    pub(super) writing: tokio::sync::Mutex<()>,
}

impl KeyStore {
    /// Opens the store and decrypts what it holds.
    ///
    /// # Errors
    /// The database, or a record that does not open under the operator key.
    pub async fn open(pool: AnyPool, operator: OperatorKey) -> Result<Self, KeyError> {
        db::migrate(&pool, "keys", MIGRATIONS).await?;
        let store = Self {
            pool,
            operator,
            records: RwLock::default(),
            epochs: RwLock::default(),
            writing: tokio::sync::Mutex::default(),
        };
        let rows = sqlx::query(
            "SELECT key_id, epoch, status, members, threshold, transcript, public_package, sealed, confirmations
             FROM key_share",
        )
        .fetch_all(&store.pool)
        .await?;
        for row in &rows {
            let record = store.decode(row)?;
            store.remember(record);
        }
        store.load_epochs().await?;
        Ok(store)
    }

    /// The key under which the node seals what it stores.
    pub(crate) fn operator(&self) -> &OperatorKey {
        &self.operator
    }

    fn decode(&self, row: &AnyRow) -> Result<KeyRecord, KeyError> {
        let name: String = row.try_get(0)?;
        let malformed = || KeyError::Malformed(format!("stored key {name}"));
        let key: KeyId = name.parse().map_err(|_| malformed())?;
        let epoch = u64::try_from(row.try_get::<i64, _>(1)?).map_err(|_| malformed())?;
        let text = |column: usize| row.try_get::<String, _>(column);
        let public_package: Blob = contracts::encoding::from_base64url(&text(6)?)
            .map(Blob)
            .map_err(|_| malformed())?;
        let transcript = Bytes32::parse(&text(5)?).map_err(|_| malformed())?;
        let status = match text(2)?.as_str() {
            "active" => KeyStatus::Active,
            "pending" => KeyStatus::Pending,
            "retired" => KeyStatus::Retired,
            _ => return Err(malformed()),
        };
        let secret = if status == KeyStatus::Retired {
            Zeroizing::default()
        } else {
            let sealed: SealedAtRest = serde_json::from_str(&text(7)?).map_err(|_| malformed())?;
            self.operator.open(
                &format!("stored key {name} of epoch {epoch}"),
                &label(key, epoch, &transcript, &public_package.0)
                    .each_ref()
                    .map(Vec::as_slice),
                &sealed,
            )?
        };
        Ok(KeyRecord {
            key,
            epoch,
            status,
            members: serde_json::from_str(&text(3)?).map_err(|_| malformed())?,
            threshold: u16::try_from(row.try_get::<i64, _>(4)?).map_err(|_| malformed())?,
            transcript,
            confirmations: serde_json::from_str(&text(8)?).map_err(|_| malformed())?,
            public_package,
            group: OnceLock::new(),
            secret,
        })
    }

    pub(super) fn remember(&self, record: KeyRecord) {
        self.records
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((record.key, record.epoch), Arc::new(record));
    }

    /// What is stored for a key and epoch, pending or active.
    pub fn stored(&self, key: KeyId, epoch: u64) -> Option<Arc<KeyRecord>> {
        self.records
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&(key, epoch))
            .cloned()
    }

    /// A key that may be used.
    ///
    /// # Errors
    /// [`KeyError::Missing`], also while it is pending.
    pub fn get(&self, key: KeyId, epoch: u64) -> Result<Arc<KeyRecord>, KeyError> {
        self.stored(key, epoch)
            .filter(|record| record.status == KeyStatus::Active)
            .ok_or(KeyError::Missing { key, epoch })
    }

    /// Every key that may be used, in order of key and epoch.
    pub fn active(&self) -> Vec<Arc<KeyRecord>> {
        self.with(|record| record.status == KeyStatus::Active)
    }

    /// Every key that is or was in use here, in order of key and epoch: what was signed with them still verifies.
    pub fn known(&self) -> Vec<Arc<KeyRecord>> {
        self.with(|record| record.status != KeyStatus::Pending)
    }

    /// A key that is or was in use here, for its public part.
    pub fn public(&self, key: KeyId, epoch: u64) -> Option<Arc<KeyRecord>> {
        self.stored(key, epoch)
            .filter(|record| record.status != KeyStatus::Pending)
    }

    /// Every record of a key, whatever its status.
    pub(super) fn with_any(&self, key: KeyId) -> Vec<Arc<KeyRecord>> {
        self.with(|record| record.key == key)
    }

    pub(super) fn forget(&self, key: KeyId, epoch: u64) {
        self.records
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(key, epoch));
    }

    fn with(&self, wanted: impl Fn(&KeyRecord) -> bool) -> Vec<Arc<KeyRecord>> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = records
            .values()
            .filter(|record| wanted(record))
            .cloned()
            .collect();
        found.sort_by_key(|record| (record.key, record.epoch));
        found
    }

    /// Stores a share as pending, in place of an older pending one. Durable when this returns.
    ///
    /// # Errors
    /// [`KeyError::InUse`] if a key of that epoch is active, or the database.
    pub async fn put_pending(&self, new: NewKey) -> Result<(), KeyError> {
        self.put_all_pending(vec![new]).await
    }

    /// As [`Self::put_pending`], for keys that come to be in one ceremony: all of them, or none.
    ///
    /// # Errors
    /// As [`Self::put_pending`].
    pub async fn put_all_pending(&self, keys: Vec<NewKey>) -> Result<(), KeyError> {
        // Database and memory change together, or a second generation could leave them apart.
        let _writing = self.writing.lock().await;
        let mut transaction = db::begin_write(&self.pool).await?;
        let mut records = Vec::with_capacity(keys.len());
        for new in keys {
            let record = new.into_record(KeyStatus::Pending, Vec::new());
            self.insert_pending(&mut transaction, &record).await?;
            records.push(record);
        }
        transaction.commit().await?;
        for record in records {
            self.remember(record);
        }
        Ok(())
    }

    async fn insert_pending(
        &self,
        transaction: &mut sqlx::Transaction<'static, sqlx::Any>,
        record: &KeyRecord,
    ) -> Result<(), KeyError> {
        let (key, epoch) = (record.key, record.epoch);
        let stored_epoch =
            i64::try_from(epoch).map_err(|_| KeyError::Malformed("epoch".to_owned()))?;
        let label = label(key, epoch, &record.transcript, &record.public_package.0);
        let sealed = self
            .operator
            .seal(&label.each_ref().map(Vec::as_slice), &record.secret);
        let json = |value: serde_json::Result<String>| {
            value.map_err(|_| KeyError::Malformed("key record".to_owned()))
        };
        sqlx::query(
            "DELETE FROM key_share WHERE key_id = $1 AND epoch = $2 AND status = 'pending'",
        )
        .bind(key.as_str())
        .bind(stored_epoch)
        .execute(&mut **transaction)
        .await?;
        let inserted = sqlx::query(
            "INSERT INTO key_share
                (key_id, epoch, status, members, threshold, transcript, public_package, sealed, confirmations)
             VALUES ($1, $2, 'pending', $3, $4, $5, $6, $7, '[]') ON CONFLICT DO NOTHING",
        )
        .bind(key.as_str())
        .bind(stored_epoch)
        .bind(json(serde_json::to_string(&record.members))?)
        .bind(i64::from(record.threshold))
        .bind(record.transcript.to_string())
        .bind(contracts::encoding::to_base64url(&record.public_package))
        .bind(json(serde_json::to_string(&sealed))?)
        .execute(&mut **transaction)
        .await?
        .rows_affected();
        if inserted == 0 {
            return Err(KeyError::InUse { key, epoch });
        }
        Ok(())
    }

    /// Puts a pending share to use, with the confirmations of every member. Durable when this returns; doing it again
    /// changes nothing.
    ///
    /// # Errors
    /// [`KeyError::Missing`] if no share with this transcript is stored, or the database.
    pub async fn activate(
        &self,
        key: KeyId,
        epoch: u64,
        transcript: &Bytes32,
        confirmations: &[Confirmation],
    ) -> Result<(), KeyError> {
        let _writing = self.writing.lock().await;
        let record = self
            .stored(key, epoch)
            .filter(|record| record.transcript == *transcript)
            .ok_or(KeyError::Missing { key, epoch })?;
        if record.status == KeyStatus::Active {
            return Ok(());
        }
        let text = serde_json::to_string(confirmations)
            .map_err(|_| KeyError::Malformed("confirmations".to_owned()))?;
        let updated = sqlx::query(
            "UPDATE key_share SET status = 'active', confirmations = $1
             WHERE key_id = $2 AND epoch = $3 AND transcript = $4",
        )
        .bind(text)
        .bind(key.as_str())
        .bind(i64::try_from(epoch).map_err(|_| KeyError::Malformed("epoch".to_owned()))?)
        .bind(transcript.to_string())
        .execute(&self.pool)
        .await?
        .rows_affected();
        if updated == 0 {
            return Err(KeyError::Missing { key, epoch });
        }
        self.remember(KeyRecord {
            key,
            epoch,
            status: KeyStatus::Active,
            members: record.members.clone(),
            threshold: record.threshold,
            transcript: *transcript,
            confirmations: confirmations.to_vec(),
            public_package: record.public_package.clone(),
            group: record.group.clone(),
            secret: record.secret.clone(),
        });
        Ok(())
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.active()).finish()
    }
}

/// What a sealed share is bound to, so that one record's ciphertext cannot stand in for another's.
fn label(key: KeyId, epoch: u64, transcript: &Bytes32, public_package: &[u8]) -> [Vec<u8>; 5] {
    [
        b"key-share".to_vec(),
        key.as_str().as_bytes().to_vec(),
        epoch.to_be_bytes().to_vec(),
        transcript.0.to_vec(),
        public_package.to_vec(),
    ]
}
