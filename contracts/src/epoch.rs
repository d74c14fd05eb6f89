//! A committee's change of epoch: the same group key, other shares, perhaps other members.
//!
//! The old epoch's quorum signs the [`EpochStatement`] under the group key, and the statement is entered in the ledger. Who
//! trusts the key at one epoch can therefore follow to the next, with [`Trust::follow`]: nothing new is taken on trust.

use std::collections::BTreeSet;

use ed25519_dalek::Signature as Ed25519Signature;
use frost_secp256k1::Signature as Secp256k1Signature;
use serde::{Deserialize, Serialize};

use crate::encoding::{Blob, Bytes32, tagged_hash, to_jcs};
use crate::ids::{Committee, NodeId, quorum};
use crate::receipt::{Entry, EntryKind, Receipt, ReceiptError};
use crate::trust::{CommitteeKey, Suite, Trust, TrustError};

/// The salt of entries that hide nothing: who has the key, the contract or the statement finds its entry.
pub const PUBLIC_SALT: Bytes32 = crate::encoding::Bytes([0; 32]);
/// Version of the statement.
pub const VERSION: u16 = 1;
/// Most members of a committee.
pub const MAX_MEMBERS: usize = 32;
/// Fewest members of a committee.
pub const MIN_MEMBERS: usize = 3;
/// Most keys of one committee.
pub const MAX_KEYS: usize = 4;
/// Most changes of epoch that a file may hold.
pub const MAX_CHANGES: usize = 256;
/// Most bytes of a file of changes of epoch.
pub const MAX_CHANGES_BYTES: usize = 4 << 20;

/// A change of epoch that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EpochError {
    /// Written for another version of this program.
    #[error("change of epoch: version {0}, expected {VERSION}")]
    Version(u16),
    /// A statement that says what cannot be.
    #[error("change of epoch of {committee} to {epoch}: {problem}")]
    Statement {
        /// The committee.
        committee: Committee,
        /// The new epoch.
        epoch: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// The key before the change is not trusted.
    #[error("change of epoch of {committee}: its key of epoch {previous} is not trusted")]
    Untrusted {
        /// The committee.
        committee: Committee,
        /// The epoch before.
        previous: u64,
    },
    /// Not signed by the committee.
    #[error("change of epoch of {committee} to {epoch}: not signed under the committee's key")]
    Signature {
        /// The committee.
        committee: Committee,
        /// The new epoch.
        epoch: u64,
    },
    /// Not in the ledger.
    #[error("change of epoch of {committee} to {epoch}: {cause}")]
    Receipt {
        /// The committee.
        committee: Committee,
        /// The new epoch.
        epoch: u64,
        /// What is wrong with the receipt.
        cause: ReceiptError,
    },
    /// The trust file cannot hold it.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// A key of a committee after the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochKey {
    /// The committee's name for its signing key, or `identity-oprf`.
    pub key: String,
    /// The ciphersuite by its RFC 9591 §6 context string.
    pub suite: String,
    /// The group's public key as the suite encodes elements; the same as before.
    pub group: Blob,
    /// Each member's verification share, in order of the members.
    pub shares: Vec<Blob>,
}

/// What the old epoch's quorum says of the new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochStatement {
    /// [`VERSION`].
    pub version: u16,
    /// The committee.
    pub committee: Committee,
    /// The new epoch, `previous` + 1.
    pub epoch: u64,
    /// The epoch before, whose quorum signs this.
    pub previous: u64,
    /// The members until now, ascending.
    pub former: Vec<NodeId>,
    /// The members from now on, ascending.
    pub members: Vec<NodeId>,
    /// Shares needed: the quorum of so many members.
    pub threshold: u16,
    /// The committee's keys; the signing key first.
    pub keys: Vec<EpochKey>,
    /// Hash of the ceremony's transcript, which every new member confirmed.
    pub transcript: Bytes32,
}

impl EpochStatement {
    /// The 32 bytes that are signed: a tagged hash of the RFC 8785 form.
    ///
    /// # Panics
    /// Never: names, numbers and byte strings have a JSON form.
    pub fn message(&self) -> [u8; 32] {
        let json = to_jcs(self).expect("a statement holds names, numbers and byte strings");
        tagged_hash("shp/v1/epoch", &[&json])
    }

    /// Its ledger entry.
    pub fn entry(&self) -> Entry {
        Entry::new(EntryKind::CommitteeKey, &PUBLIC_SALT, self)
    }

    /// The committee's signing key after the change, as a trust file names it; none when the statement has none.
    pub fn committee_key(&self) -> Option<CommitteeKey> {
        let suite = Suite::of(self.committee);
        self.keys
            .iter()
            .find(|key| key.key == self.committee.as_str() && key.suite == suite.to_string())
            .map(|key| CommitteeKey {
                committee: self.committee,
                epoch: self.epoch,
                suite,
                key: key.group.clone(),
            })
    }

    /// Whether it says what can be: version, epochs, members in order, their quorum, a share for each.
    ///
    /// # Errors
    /// [`EpochError::Version`], [`EpochError::Statement`].
    pub fn check(&self) -> Result<(), EpochError> {
        if self.version != VERSION {
            return Err(EpochError::Version(self.version));
        }
        let wrong = |problem| {
            Err(EpochError::Statement {
                committee: self.committee,
                epoch: self.epoch,
                problem,
            })
        };
        let count = self.members.len();
        if self.previous == 0 || self.previous.checked_add(1) != Some(self.epoch) {
            return wrong("the epoch does not follow the one before");
        }
        for members in [&self.members, &self.former] {
            if !(MIN_MEMBERS..=MAX_MEMBERS).contains(&members.len())
                || !members.windows(2).all(|pair| pair.first() < pair.last())
            {
                return wrong("members: not 3 to 32 in ascending order");
            }
        }
        if u16::try_from(count).map(quorum) != Ok(self.threshold) {
            return wrong("threshold: not the quorum of so many members");
        }
        if self.keys.is_empty()
            || self.keys.len() > MAX_KEYS
            || self.keys.iter().any(|key| key.shares.len() != count)
        {
            return wrong("keys: none, too many, or not a share for each member");
        }
        let names = self.keys.iter().map(|key| &key.key);
        if names.collect::<BTreeSet<_>>().len() != self.keys.len() {
            return wrong("keys: two of one name");
        }
        if self.committee_key().is_none() {
            return wrong("keys: the committee's signing key is missing");
        }
        Ok(())
    }

    /// Whether a signature over the statement is of this key, which must be the one it names.
    ///
    /// # Errors
    /// [`EpochError`].
    pub fn verify(&self, key: &CommitteeKey, signature: &Blob) -> Result<(), EpochError> {
        self.check()?;
        let untrusted = EpochError::Untrusted {
            committee: self.committee,
            previous: self.previous,
        };
        let named = self.committee_key().ok_or(untrusted.clone())?;
        if (key.committee, key.epoch) != (self.committee, self.previous) || key.key != named.key {
            return Err(untrusted);
        }
        let message = self.message();
        let good = match key.suite {
            Suite::Ed25519 => key.ed25519().is_some_and(|key| {
                Ed25519Signature::from_slice(&signature.0)
                    .is_ok_and(|signature| key.verify_strict(&message, &signature).is_ok())
            }),
            Suite::Secp256k1 => key.secp256k1().is_some_and(|key| {
                Secp256k1Signature::deserialize(&signature.0)
                    .is_ok_and(|signature| key.verify(&message, &signature).is_ok())
            }),
        };
        good.then_some(()).ok_or(EpochError::Signature {
            committee: self.committee,
            epoch: self.epoch,
        })
    }
}

/// A change of epoch with all that shows it: the committee's signature, and the place in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochChange {
    /// What changed.
    pub statement: EpochStatement,
    /// The old epoch's signature under the group key: 65 bytes for secp256k1, 64 for Ed25519.
    pub signature: Blob,
    /// Receipt of [`EpochStatement::entry`]; none while it is not in the ledger yet, and then nobody outside follows it.
    pub receipt: Option<Receipt>,
}

impl Trust {
    /// Takes a committee's key of the next epoch, on the word of the committee itself and of the ledger. A change that is
    /// known already changes nothing.
    ///
    /// # Errors
    /// [`EpochError`]: the key before is not trusted, another key, not signed, or not in the ledger.
    pub fn follow(&mut self, change: &EpochChange) -> Result<(), EpochError> {
        let statement = &change.statement;
        let (committee, epoch) = (statement.committee, statement.epoch);
        let before = self.key_before(statement).ok_or(EpochError::Untrusted {
            committee,
            previous: statement.previous,
        })?;
        statement.verify(&before, &change.signature)?;
        let failed = |cause| EpochError::Receipt {
            committee,
            epoch,
            cause,
        };
        let receipt = change
            .receipt
            .as_ref()
            .filter(|receipt| receipt.entry == statement.entry())
            .ok_or_else(|| failed(ReceiptError::Inclusion))?;
        receipt.verify(self).map_err(failed)?;
        // The ledger's key has no epoch in a trust file, and is the same after the change.
        if committee == Committee::Ledger || self.committee_key(committee, epoch).is_some() {
            return Ok(());
        }
        let mut keys = self.committees().to_vec();
        keys.extend(statement.committee_key());
        *self = Self::new(
            self.issuer().to_owned(),
            self.origin().to_owned(),
            *self.ledger_key(),
            keys,
        )?;
        Ok(())
    }

    fn key_before(&self, statement: &EpochStatement) -> Option<CommitteeKey> {
        if statement.committee == Committee::Ledger {
            return Some(CommitteeKey {
                committee: Committee::Ledger,
                epoch: statement.previous,
                suite: Suite::Ed25519,
                key: Blob(self.ledger_key().as_bytes().to_vec()),
            });
        }
        self.committee_key(statement.committee, statement.previous)
            .cloned()
    }
}
