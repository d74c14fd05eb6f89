//! The trust file: everything an auditor takes on trust, and nothing else is.

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use crate::attestation::{AttestationKey, CommitteeKeys};
use crate::checkpoint::is_origin;
use crate::encoding::{Blob, Bytes, Bytes32};
use crate::ids::{Committee, Domain};
use crate::jwk::{JwkSet, ed25519_key};
use crate::token::MAX_NAME_BYTES;

/// Version of the file.
pub const VERSION: u32 = 1;
/// Most bytes of a trust file that are parsed.
pub const MAX_TRUST_BYTES: usize = 64 * 1024;
/// Most committee keys (committees times epochs).
pub const MAX_COMMITTEE_KEYS: usize = 256;

/// A trust file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Longer than is parsed.
    #[error("trust file has {0} bytes, more than the {MAX_TRUST_BYTES} that are read")]
    TooLarge(usize),
    /// Not the JSON of a trust file.
    #[error("trust file: {0}")]
    Json(String),
    /// Written for another version of this program.
    #[error("trust file version: expected {VERSION}, got {0}")]
    Version(u32),
    /// Empty or too long.
    #[error("trust file issuer: empty, or longer than {MAX_NAME_BYTES} bytes")]
    Issuer,
    /// Not a log origin.
    #[error("trust file origin: {0:?} is not a C2SP key name (no white space, no plus sign)")]
    Origin(String),
    /// Not an Ed25519 key.
    #[error("trust file ledger_key: not an Ed25519 public key, or one of small order")]
    LedgerKey,
    /// More committee keys than are read.
    #[error("trust file committees: more than {MAX_COMMITTEE_KEYS} keys")]
    TooMany,
    /// A committee key that is no key of its suite.
    #[error(
        "trust file committees: the {committee} key of epoch {epoch} is not a public key of {suite}"
    )]
    Key {
        /// The committee.
        committee: Committee,
        /// The epoch.
        epoch: u64,
        /// The suite it should be of.
        suite: Suite,
    },
    /// A suite its committee does not use.
    #[error("trust file committees: {committee} signs with {expected}, not {got}")]
    Suite {
        /// The committee.
        committee: Committee,
        /// The suite named.
        got: Suite,
        /// The suite it uses.
        expected: Suite,
    },
    /// Two keys for one committee and epoch.
    #[error("trust file committees: two keys of {committee} for epoch {epoch}")]
    Duplicate {
        /// The committee.
        committee: Committee,
        /// The epoch.
        epoch: u64,
    },
    /// The ledger's key has a field of its own.
    #[error("trust file committees: the ledger's key belongs in ledger_key")]
    Ledger,
}

/// A FROST ciphersuite, by its RFC 9591 §6 context string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Suite {
    /// FROST(Ed25519, SHA-512): its signatures are RFC 8032 signatures.
    #[serde(rename = "FROST-ED25519-SHA512-v1")]
    Ed25519,
    /// FROST(secp256k1, SHA-256).
    #[serde(rename = "FROST-secp256k1-SHA256-v1")]
    Secp256k1,
}

impl std::fmt::Display for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "FROST-ED25519-SHA512-v1",
            Self::Secp256k1 => "FROST-secp256k1-SHA256-v1",
        })
    }
}

impl Suite {
    /// The suite a committee signs with.
    pub fn of(committee: Committee) -> Self {
        match committee {
            Committee::Decision | Committee::Ledger => Self::Ed25519,
            Committee::Identity
            | Committee::Residence
            | Committee::Income
            | Committee::Household
            | Committee::Medical => Self::Secp256k1,
        }
    }
}

/// A committee's group public key in an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitteeKey {
    /// The committee.
    pub committee: Committee,
    /// The epoch, from 1; part of everything the committee signs.
    pub epoch: u64,
    /// How it signs.
    pub suite: Suite,
    /// The public key as the suite encodes elements: 33 bytes for secp256k1 (compressed), 32 for Ed25519.
    pub key: Blob,
}

impl CommitteeKey {
    /// The key of a fact committee.
    ///
    /// # Panics
    /// Never: a FROST verifying key is not the identity, so it has an encoding.
    pub fn fact(domain: Domain, epoch: u64, key: &frost_secp256k1::VerifyingKey) -> Self {
        Self {
            committee: domain.into(),
            epoch,
            suite: Suite::Secp256k1,
            key: Blob(
                key.serialize()
                    .expect("a verifying key is not the identity"),
            ),
        }
    }

    /// The key of the decision committee.
    pub fn decision(epoch: u64, key: &VerifyingKey) -> Self {
        Self {
            committee: Committee::Decision,
            epoch,
            suite: Suite::Ed25519,
            key: Blob(key.as_bytes().to_vec()),
        }
    }

    /// The FROST(secp256k1) group key; none for another suite or an encoding that is no key.
    pub fn secp256k1(&self) -> Option<frost_secp256k1::VerifyingKey> {
        if self.suite != Suite::Secp256k1 {
            return None;
        }
        frost_secp256k1::VerifyingKey::deserialize(&self.key.0).ok()
    }

    /// The Ed25519 group key; none for another suite or an encoding that is no key.
    pub fn ed25519(&self) -> Option<VerifyingKey> {
        if self.suite != Suite::Ed25519 {
            return None;
        }
        ed25519_key(&Bytes::<32>::from_slice(&self.key.0).ok()?.0).ok()
    }

    fn check(&self) -> Result<(), TrustError> {
        let (committee, epoch, suite) = (self.committee, self.epoch, self.suite);
        if committee == Committee::Ledger {
            return Err(TrustError::Ledger);
        }
        let expected = Suite::of(committee);
        if suite != expected {
            return Err(TrustError::Suite {
                committee,
                got: suite,
                expected,
            });
        }
        if self.secp256k1().is_none() && self.ed25519().is_none() {
            return Err(TrustError::Key {
                committee,
                epoch,
                suite,
            });
        }
        Ok(())
    }
}

/// What an auditor trusts: the log, the issuer, and the committees' keys by epoch. Checked when it is made or read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawTrust", into = "RawTrust")]
pub struct Trust {
    issuer: String,
    origin: String,
    ledger_key: VerifyingKey,
    committees: Vec<CommitteeKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrust {
    version: u32,
    issuer: String,
    origin: String,
    ledger_key: Bytes32,
    committees: Vec<CommitteeKey>,
}

impl TryFrom<RawTrust> for Trust {
    type Error = TrustError;

    fn try_from(raw: RawTrust) -> Result<Self, TrustError> {
        if raw.version != VERSION {
            return Err(TrustError::Version(raw.version));
        }
        let ledger_key = ed25519_key(&raw.ledger_key.0).map_err(|_| TrustError::LedgerKey)?;
        Self::new(raw.issuer, raw.origin, ledger_key, raw.committees)
    }
}

impl From<Trust> for RawTrust {
    fn from(trust: Trust) -> Self {
        Self {
            version: VERSION,
            issuer: trust.issuer,
            origin: trust.origin,
            ledger_key: Bytes(*trust.ledger_key.as_bytes()),
            committees: trust.committees,
        }
    }
}

impl Trust {
    /// Trust in an issuer, a log and committees.
    ///
    /// # Errors
    /// [`TrustError`]: a name or key that cannot be one, or two keys for one committee and epoch.
    pub fn new(
        issuer: String,
        origin: String,
        ledger_key: VerifyingKey,
        committees: Vec<CommitteeKey>,
    ) -> Result<Self, TrustError> {
        if issuer.is_empty() || issuer.len() > MAX_NAME_BYTES {
            return Err(TrustError::Issuer);
        }
        if !is_origin(&origin) {
            return Err(TrustError::Origin(origin));
        }
        if ledger_key.is_weak() {
            return Err(TrustError::LedgerKey);
        }
        if committees.len() > MAX_COMMITTEE_KEYS {
            return Err(TrustError::TooMany);
        }
        for (i, key) in committees.iter().enumerate() {
            key.check()?;
            let (committee, epoch) = (key.committee, key.epoch);
            if committees
                .iter()
                .take(i)
                .any(|other| (other.committee, other.epoch) == (committee, epoch))
            {
                return Err(TrustError::Duplicate { committee, epoch });
            }
        }
        Ok(Self {
            issuer,
            origin,
            ledger_key,
            committees,
        })
    }

    /// Reads a trust file.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn parse(json: &[u8]) -> Result<Self, TrustError> {
        if json.len() > MAX_TRUST_BYTES {
            return Err(TrustError::TooLarge(json.len()));
        }
        serde_json::from_slice(json).map_err(|error| TrustError::Json(error.to_string()))
    }

    /// `iss` of the tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Origin of the log's checkpoints.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The ledger committee's group key.
    pub fn ledger_key(&self) -> &VerifyingKey {
        &self.ledger_key
    }

    /// Every committee key.
    pub fn committees(&self) -> &[CommitteeKey] {
        &self.committees
    }

    /// A committee's key in an epoch.
    pub fn committee_key(&self, committee: Committee, epoch: u64) -> Option<&CommitteeKey> {
        self.committees
            .iter()
            .find(|key| key.committee == committee && key.epoch == epoch)
    }

    /// A fact committee's group key in an epoch.
    pub fn fact_key(&self, domain: Domain, epoch: u64) -> Option<frost_secp256k1::VerifyingKey> {
        self.committee_key(domain.into(), epoch)?.secp256k1()
    }

    /// The decision committee's keys, every epoch, as a JWK Set.
    pub fn decision_keys(&self) -> JwkSet {
        let keys: Vec<VerifyingKey> = self
            .committees
            .iter()
            .filter(|key| key.committee == Committee::Decision)
            .filter_map(CommitteeKey::ed25519)
            .collect();
        JwkSet::new(&keys)
    }
}

impl CommitteeKeys for Trust {
    fn attestation_key(&self, committee: Domain, epoch: u64) -> Option<AttestationKey> {
        self.fact_key(committee, epoch).map(AttestationKey::from)
    }
}
