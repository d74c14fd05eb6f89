//! Ledger entries and their receipts: salted commitments in an RFC 6962 tree under a signed checkpoint.

use serde::{Deserialize, Serialize};

use crate::cbor::{self, Value};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::encoding::{Bytes, Bytes32, tagged_hash, to_jcs};
use crate::merkle;
use crate::trust::Trust;

/// Tag of an entry's CBOR form.
const ENTRY_TAG: &str = "shp/v1/ledger-entry";
/// Most bytes of an encoded entry.
pub const MAX_ENTRY_BYTES: usize = 256;
/// Longest inclusion path: a tree of 2⁵³ entries is 53 levels high.
pub const MAX_PATH: usize = 53;

/// A receipt or entry that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The checkpoint is not the trusted log's.
    #[error("receipt {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Longer than any path.
    #[error("receipt path: longer than {MAX_PATH} hashes")]
    TooLong,
    /// The path does not lead from the entry at its index to the checkpoint's root.
    #[error(
        "receipt entry, index, path: do not lead to the root of the checkpoint (RFC 6962 section 2.1.1)"
    )]
    Inclusion,
    /// Not the deterministic CBOR of an entry.
    #[error("ledger entry: not the deterministic CBOR of [{ENTRY_TAG:?}, kind, commitment]")]
    Entry,
}

/// What an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A committee's public key and epoch.
    CommitteeKey,
    /// A contract file by its hash.
    Contract,
    /// A signed root of a batch of attestations.
    AttestationRoot,
    /// A decision token's claims.
    Decision,
    /// An owner's reply to a text.
    Approval,
    /// An application as filed.
    Application,
    /// A person was proofed again and has another pseudonym key.
    Reproofing,
    /// A step of a person's cover.
    CoverageEvent,
    /// A grant that somebody acts under was accepted, revoked, or ended.
    Grant,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::CommitteeKey,
        Self::Contract,
        Self::AttestationRoot,
        Self::Decision,
        Self::Approval,
        Self::Application,
        Self::Reproofing,
        Self::CoverageEvent,
        Self::Grant,
    ];

    /// The name in entries and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommitteeKey => "committee-key",
            Self::Contract => "contract",
            Self::AttestationRoot => "attestation-root",
            Self::Decision => "decision",
            Self::Approval => "approval",
            Self::Application => "application",
            Self::Reproofing => "reproofing",
            Self::CoverageEvent => "coverage-event",
            Self::Grant => "grant",
        }
    }
}

impl std::fmt::Display for EntryKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The commitment of an entry: tagged SHA-256 over kind, a secret 32-byte salt and the RFC 8785 form of the payload.
///
/// The salt hides a guessable payload for as long as it is kept from the guesser.
///
/// # Panics
/// If the payload holds what JSON cannot, such as a map with keys that are not strings.
pub fn commit<T: Serialize + ?Sized>(kind: EntryKind, salt: &Bytes32, payload: &T) -> Bytes32 {
    let payload = to_jcs(&payload).expect("ledger payloads are plain JSON objects");
    Bytes(tagged_hash(
        "shp/v1/ledger-commitment",
        &[kind.as_str().as_bytes(), salt.as_ref(), &payload],
    ))
}

/// One entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it records.
    pub kind: EntryKind,
    /// Salted commitment to it, by [`commit`].
    pub commitment: Bytes32,
}

impl Entry {
    /// An entry that commits to a payload.
    pub fn new<T: Serialize + ?Sized>(kind: EntryKind, salt: &Bytes32, payload: &T) -> Self {
        Self {
            kind,
            commitment: commit(kind, salt, payload),
        }
    }

    /// Deterministic CBOR (RFC 8949 §4.2): the array of tag, kind and commitment. These bytes are the log's leaf.
    pub fn to_cbor(&self) -> Vec<u8> {
        cbor::encode(&Value::Array(vec![
            cbor::text(ENTRY_TAG),
            cbor::text(self.kind),
            cbor::bytes(self.commitment),
        ]))
    }

    /// Reads the CBOR form.
    ///
    /// # Errors
    /// [`ReceiptError::Entry`] for anything but the deterministic form.
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(ReceiptError::Entry);
        }
        let value: Value = ciborium::from_reader(bytes).map_err(|_| ReceiptError::Entry)?;
        let Some([_, Value::Text(kind), Value::Bytes(commitment)]) =
            value.as_array().map(Vec::as_slice)
        else {
            return Err(ReceiptError::Entry);
        };
        let entry = Self {
            kind: EntryKind::ALL
                .into_iter()
                .find(|known| known.as_str() == kind)
                .ok_or(ReceiptError::Entry)?,
            commitment: Bytes::from_slice(commitment).map_err(|_| ReceiptError::Entry)?,
        };
        if entry.to_cbor() != bytes {
            return Err(ReceiptError::Entry);
        }
        Ok(entry)
    }

    /// RFC 6962 leaf hash.
    pub fn leaf_hash(&self) -> [u8; 32] {
        merkle::leaf_hash(&self.to_cbor())
    }
}

/// Proof that an entry is in the log, verifiable offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The entry.
    pub entry: Entry,
    /// Its index, from 0.
    pub index: u64,
    /// Inclusion path, deepest sibling first.
    pub path: Vec<Bytes32>,
    /// The signed checkpoint that the path leads to.
    pub checkpoint: String,
}

impl Receipt {
    /// Verifies checkpoint and inclusion; returns the state of the log that the receipt was made for.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn verify(&self, trust: &Trust) -> Result<Checkpoint, ReceiptError> {
        if self.path.len() > MAX_PATH {
            return Err(ReceiptError::TooLong);
        }
        let checkpoint = Checkpoint::open(&self.checkpoint, trust.origin(), trust.ledger_key())?;
        let root = merkle::root_from_path(
            &self.entry.leaf_hash(),
            self.index,
            checkpoint.size,
            &self.path,
        );
        if root != Some(checkpoint.root.0) {
            return Err(ReceiptError::Inclusion);
        }
        Ok(checkpoint)
    }
}
