//! Batches of leaves under one threshold signature, and the proof that a leaf is in one.

use std::sync::OnceLock;

use frost_secp256k1::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::cbor::{self, Value};
use crate::encoding::{Bytes, Bytes32, tagged_hash};
use crate::ids::Domain;
use crate::leaf::{self, LEAF_VERSION, Leaf};
use crate::merkle;
use crate::receipt::{Entry, EntryKind};
use crate::units::Day;

/// Leaves that a batch has at least; a short one is filled with dummies.
pub const MIN_BATCH: usize = 16;
/// Leaves that a batch has at most.
pub const MAX_BATCH: usize = 1 << 20;
/// Bits of a hash that [`ascending`] sorts by at most before it compares.
const MAX_RADIX_BITS: u32 = 16;

/// Why a batch was not built or an attestation not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttestationError {
    /// Not a committee's public key.
    #[error("not a compressed secp256k1 public key")]
    Key,
    /// A leaf of a version that this crate does not read.
    #[error("leaf version {0}: expected {LEAF_VERSION}")]
    Version(u16),
    /// Leaf and root name different committees or epochs.
    #[error(
        "the leaf is of committee {leaf_committee} epoch {leaf_epoch}, its root of {root_committee} epoch {root_epoch}"
    )]
    Committee {
        /// Committee in the leaf.
        leaf_committee: Domain,
        /// Epoch in the leaf.
        leaf_epoch: u64,
        /// Committee in the root statement.
        root_committee: Domain,
        /// Epoch in the root statement.
        root_epoch: u64,
    },
    /// A batch outside [`MIN_BATCH`] to [`MAX_BATCH`].
    #[error("a batch of {0} leaves: expected {MIN_BATCH} to {MAX_BATCH}")]
    Size(u64),
    /// A batch without a leaf, or with more or fewer dummies than [`Batch::dummies_for`] says.
    #[error("a batch of {leaves} leaves takes {expected} dummies, not {dummies}")]
    Dummies {
        /// Leaves given.
        leaves: usize,
        /// Dummies needed.
        expected: usize,
        /// Dummies given.
        dummies: usize,
    },
    /// The same leaf twice in a batch.
    #[error("the same leaf hash occurs twice in the batch")]
    Duplicate,
    /// The inclusion path does not lead to the signed root.
    #[error("the inclusion path does not lead to the signed root")]
    Path,
    /// The committee's signature does not verify.
    #[error("the committee's signature on the root does not verify")]
    Signature,
}

/// A fact committee's public key, FROST(secp256k1, SHA-256).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttestationKey(VerifyingKey);

impl AttestationKey {
    /// Reads a SEC 1 compressed point.
    ///
    /// # Errors
    /// [`AttestationError::Key`]; the identity is refused.
    pub fn from_bytes(bytes: &Bytes<33>) -> Result<Self, AttestationError> {
        VerifyingKey::deserialize(&bytes.0)
            .map(Self)
            .map_err(|_| AttestationError::Key)
    }

    /// The SEC 1 compressed point.
    pub(crate) fn to_bytes(self) -> Option<[u8; 33]> {
        self.0.serialize().ok()?.try_into().ok()
    }

    /// Verifies a FROST(secp256k1, SHA-256) signature (RFC 9591 §6.5) in its 65-byte form.
    ///
    /// # Errors
    /// [`AttestationError::Signature`].
    pub fn verify(&self, message: &[u8], signature: &Bytes<65>) -> Result<(), AttestationError> {
        Signature::deserialize(&signature.0)
            .and_then(|signature| self.0.verify(message, &signature))
            .map_err(|_| AttestationError::Signature)
    }
}

impl From<VerifyingKey> for AttestationKey {
    fn from(key: VerifyingKey) -> Self {
        Self(key)
    }
}

/// The committee keys that a verifier accepts.
pub trait CommitteeKeys {
    /// The key of a fact committee at an epoch; none for an epoch that is not (or no longer) accepted.
    fn attestation_key(&self, committee: Domain, epoch: u64) -> Option<AttestationKey>;
}

impl CommitteeKeys for std::collections::BTreeMap<(Domain, u64), AttestationKey> {
    fn attestation_key(&self, committee: Domain, epoch: u64) -> Option<AttestationKey> {
        self.get(&(committee, epoch)).copied()
    }
}

/// What a committee signs about a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootStatement {
    /// The signing committee.
    pub committee: Domain,
    /// The epoch of its key.
    pub epoch: u64,
    /// Leaves in the tree, dummies included.
    pub size: u64,
    /// RFC 6962 tree hash.
    pub root: Bytes32,
    /// The day (UTC) of signing.
    pub day: Day,
}

impl RootStatement {
    /// The bytes that are signed: deterministic CBOR under a domain tag.
    pub fn message(&self) -> Vec<u8> {
        cbor::map([
            ("tag", cbor::text("shp/v1/attestation-root")),
            ("committee", cbor::text(self.committee)),
            ("epoch", Value::from(self.epoch)),
            ("size", Value::from(self.size)),
            ("root", cbor::bytes(self.root)),
            ("day", Value::from(self.day.number())),
        ])
    }
}

/// A root statement with its committee's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRoot {
    /// What is signed.
    pub statement: RootStatement,
    /// FROST(secp256k1, SHA-256) signature: compressed `R`, then `z`.
    pub signature: Bytes<65>,
}

impl SignedRoot {
    /// Verifies the committee's signature and the size of the batch.
    ///
    /// # Errors
    /// [`AttestationError::Size`] or [`AttestationError::Signature`].
    pub fn verify(&self, key: &AttestationKey) -> Result<(), AttestationError> {
        self.check_size()?;
        key.verify(&self.statement.message(), &self.signature)
    }

    /// Checks the size of the batch.
    pub(crate) fn check_size(&self) -> Result<(), AttestationError> {
        let size = self.statement.size;
        if !(MIN_BATCH as u64..=MAX_BATCH as u64).contains(&size) {
            return Err(AttestationError::Size(size));
        }
        Ok(())
    }

    /// The `attestation-root` entry that records this root in the ledger.
    ///
    /// Its salt is a hash of the signature: whoever holds the signed root finds the entry, and nobody else can tell
    /// which root an entry is of, since neither root nor signature can be guessed.
    pub fn entry(&self) -> Entry {
        let salt = tagged_hash("shp/v1/root-salt", &[&self.signature.0]);
        Entry::new(EntryKind::AttestationRoot, &salt.into(), &self.statement)
    }
}

/// A leaf with the proof that a committee signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// The fact.
    pub leaf: Leaf,
    /// Its place in the tree.
    pub index: u64,
    /// RFC 6962 audit path, deepest sibling first.
    pub path: Vec<Bytes32>,
    /// The signed root.
    pub root: SignedRoot,
}

impl Attestation {
    /// Checks that the leaf is in the tree of its root statement, signatures aside.
    ///
    /// # Errors
    /// [`AttestationError::Version`], [`AttestationError::Committee`] or [`AttestationError::Path`].
    pub fn check_path(&self) -> Result<(), AttestationError> {
        let (leaf, statement) = (&self.leaf, &self.root.statement);
        if leaf.version != LEAF_VERSION {
            return Err(AttestationError::Version(leaf.version));
        }
        if (leaf.committee, leaf.epoch) != (statement.committee, statement.epoch) {
            return Err(AttestationError::Committee {
                leaf_committee: leaf.committee,
                leaf_epoch: leaf.epoch,
                root_committee: statement.committee,
                root_epoch: statement.epoch,
            });
        }
        let root = merkle::root_from_path(&leaf.hash().0, self.index, statement.size, &self.path);
        if root != Some(statement.root.0) {
            return Err(AttestationError::Path);
        }
        Ok(())
    }

    /// Verifies path and signature under the committee's key at the leaf's epoch.
    ///
    /// # Errors
    /// As for [`Attestation::check_path`] and [`SignedRoot::verify`].
    pub fn verify(&self, key: &AttestationKey) -> Result<(), AttestationError> {
        self.check_path()?;
        self.root.verify(key)
    }
}

/// The tree that a committee signs: leaf hashes in ascending order, so that places tell nothing.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Of leaves and dummies, in ascending order.
    hashes: Vec<[u8; 32]>,
    /// Built for the first audit path: who only signs the root needs none.
    tree: OnceLock<Option<merkle::Tree>>,
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.hashes == other.hashes
    }
}

impl Eq for Batch {}

impl Batch {
    /// Dummies that fill a batch of this many leaves up to [`MIN_BATCH`].
    pub fn dummies_for(leaves: usize) -> usize {
        MIN_BATCH.saturating_sub(leaves)
    }

    /// A batch of acknowledged leaf hashes and the random bytes of dummies, which are hashed here.
    ///
    /// # Errors
    /// [`AttestationError::Dummies`], [`AttestationError::Size`] or [`AttestationError::Duplicate`].
    pub fn new(leaves: &[Bytes32], dummies: &[Bytes32]) -> Result<Self, AttestationError> {
        let expected = Self::dummies_for(leaves.len());
        if leaves.is_empty() || dummies.len() != expected {
            return Err(AttestationError::Dummies {
                leaves: leaves.len(),
                expected,
                dummies: dummies.len(),
            });
        }
        if leaves.len() > MAX_BATCH {
            return Err(AttestationError::Size(leaves.len() as u64));
        }
        let dummies = dummies.iter().map(leaf::dummy_hash);
        let dummies: Vec<_> = dummies.collect();
        let hashes = ascending(leaves.iter().chain(&dummies).map(|hash| &hash.0));
        if hashes.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(AttestationError::Duplicate);
        }
        Self::stored(hashes)
    }

    /// A batch as it was built before: the hashes of its leaves and dummies, in ascending order.
    ///
    /// # Errors
    /// [`AttestationError::Size`] for none.
    pub fn stored(hashes: Vec<[u8; 32]>) -> Result<Self, AttestationError> {
        match hashes.is_empty() {
            true => Err(AttestationError::Size(0)),
            false => Ok(Self {
                hashes,
                tree: OnceLock::new(),
            }),
        }
    }

    /// The hashes of leaves and dummies, in ascending order.
    pub fn hashes(&self) -> &[[u8; 32]] {
        &self.hashes
    }

    /// The statement to sign.
    pub fn statement(&self, committee: Domain, epoch: u64, day: Day) -> RootStatement {
        RootStatement {
            committee,
            epoch,
            size: self.hashes().len() as u64,
            root: merkle::root(&self.hashes).into(),
            day,
        }
    }

    /// Whether a leaf is in the batch.
    pub fn contains(&self, leaf: &Bytes32) -> bool {
        self.hashes().binary_search(&leaf.0).is_ok()
    }

    /// The place of a leaf and its audit path; none if it is not in the batch.
    pub fn inclusion(&self, leaf: &Bytes32) -> Option<(u64, Vec<Bytes32>)> {
        let index = self.hashes().binary_search(&leaf.0).ok()?;
        let tree = self
            .tree
            .get_or_init(|| merkle::Tree::new(self.hashes.clone()));
        Some((index as u64, tree.as_ref()?.inclusion_path(index)?))
    }

    /// The attestation of a leaf in this batch under its signed root; none if it is not in the batch.
    pub fn attestation(&self, leaf: Leaf, root: SignedRoot) -> Option<Attestation> {
        let (index, path) = self.inclusion(&leaf.hash())?;
        Some(Attestation {
            leaf,
            index,
            path,
            root,
        })
    }
}

/// Hashes in ascending order: counted into as many parts as there are hashes, by their first bits, then each part by
/// comparison. Hashes are uniform, so a part holds one or two; if somebody chose them, it is one sort more.
fn ascending<'a>(hashes: impl Iterator<Item = &'a [u8; 32]> + Clone) -> Vec<[u8; 32]> {
    let count = hashes.clone().count();
    let bits = count.max(2).ilog2().min(MAX_RADIX_BITS);
    let part =
        |[a, b, ..]: &[u8; 32]| usize::from(u16::from_be_bytes([*a, *b]) >> (u16::BITS - bits));
    // The end of each part; while hashes are placed from the last to the first, it moves down to its beginning.
    let mut bounds = vec![0u32; 1 << bits];
    for hash in hashes.clone() {
        bounds[part(hash)] += 1;
    }
    let mut end = 0;
    for bound in &mut bounds {
        end += *bound;
        *bound = end;
    }
    let mut sorted = vec![[0; 32]; count];
    for hash in hashes {
        let bound = &mut bounds[part(hash)];
        *bound -= 1;
        sorted[*bound as usize] = *hash;
    }
    let mut rest = sorted.as_mut_slice();
    let ends = bounds.iter().skip(1).copied().chain([end]);
    for (start, end) in bounds.iter().zip(ends) {
        let (part, after) = rest.split_at_mut((end - start) as usize);
        part.sort_unstable();
        rest = after;
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Issuer, bytes32, rng};

    fn hashes(n: usize, seed: u64) -> Vec<Bytes32> {
        let mut rng = rng(seed);
        (0..n).map(|_| bytes32(&mut rng)).collect()
    }

    fn day() -> Day {
        Day::from_ymd(2026, 11, 20).unwrap()
    }

    #[test]
    fn a_short_batch_is_filled_with_dummies_and_places_tell_nothing() {
        let (leaves, dummies) = (hashes(3, 1), hashes(13, 2));
        let batch = Batch::new(&leaves, &dummies).unwrap();
        let statement = batch.statement(Domain::Income, 4, day());
        assert_eq!(statement.size, MIN_BATCH as u64);
        let mut reversed = leaves.clone();
        reversed.reverse();
        assert_eq!(Batch::new(&reversed, &dummies), Ok(batch.clone()));
        for leaf in &leaves {
            let (index, path) = batch.inclusion(leaf).unwrap();
            let root = merkle::root_from_path(&leaf.0, index, statement.size, &path);
            assert_eq!(root, Some(statement.root.0));
        }
        assert_eq!(
            batch.inclusion(&dummies[0]),
            None,
            "a dummy is hashed first"
        );
        assert!(batch.inclusion(&leaf::dummy_hash(&dummies[0])).is_some());
        assert!(Batch::new(&hashes(40, 3), &[]).is_ok());
    }

    #[test]
    fn hashes_that_begin_alike_are_ordered_by_the_rest() {
        let mut leaves = hashes(40, 4);
        for (at, leaf) in (0u8..).zip(&mut leaves) {
            leaf.0[..8].fill(7);
            leaf.0[8] = at.wrapping_mul(101);
        }
        let batch = Batch::new(&leaves, &[]).unwrap();
        assert!(batch.hashes().is_sorted());
        assert!(leaves.iter().all(|leaf| batch.contains(leaf)));
    }

    #[test]
    fn leaves_of_any_number_are_ordered() {
        for n in [16, 17, 255, 3_000, 70_000] {
            let batch = Batch::new(&hashes(n, 5), &[]).unwrap();
            assert!(batch.hashes().is_sorted(), "{n}");
        }
    }

    #[test]
    fn batches_are_neither_empty_short_padded_nor_repeating() {
        let wrong = |leaves, expected, dummies| {
            Err(AttestationError::Dummies {
                leaves,
                expected,
                dummies,
            })
        };
        let of =
            |leaves: usize, dummies: usize| Batch::new(&hashes(leaves, 1), &hashes(dummies, 2));
        assert_eq!(of(0, 16), wrong(0, 16, 16));
        assert_eq!(of(3, 12), wrong(3, 13, 12));
        assert_eq!(of(16, 1), wrong(16, 0, 1));
        let mut twice = hashes(16, 1);
        twice[9] = twice[2];
        assert_eq!(Batch::new(&twice, &[]), Err(AttestationError::Duplicate));
        let many = vec![bytes32(&mut rng(3)); MAX_BATCH + 1];
        let size = AttestationError::Size(MAX_BATCH as u64 + 1);
        assert_eq!(Batch::new(&many, &[]), Err(size));
    }

    #[test]
    fn attack_a_signature_under_another_key_or_of_another_statement() {
        let mut rng = rng(5);
        let issuer = Issuer::new(Domain::Income, 4, &mut rng);
        let batch = Batch::new(&hashes(16, 1), &[]).unwrap();
        let statement = batch.statement(Domain::Income, 4, day());
        let signature = issuer.sign(&statement.message(), &mut rng);
        let root = SignedRoot {
            statement,
            signature,
        };
        assert_eq!(root.verify(&issuer.key()), Ok(()));
        let stranger = Issuer::new(Domain::Income, 4, &mut rng);
        assert_eq!(
            root.verify(&stranger.key()),
            Err(AttestationError::Signature)
        );
        let edits: [fn(&mut RootStatement); 5] = [
            |s| s.committee = Domain::Medical,
            |s| s.epoch = 5,
            |s| s.size = 17,
            |s| s.root.0[0] ^= 1,
            |s| s.day = Day::from_ymd(2026, 11, 21).unwrap(),
        ];
        for edit in edits {
            let mut other = root.clone();
            edit(&mut other.statement);
            assert_eq!(
                other.verify(&issuer.key()),
                Err(AttestationError::Signature)
            );
        }
        for size in [0, 15, MAX_BATCH as u64 + 1] {
            let mut other = root.clone();
            other.statement.size = size;
            other.signature = issuer.sign(&other.statement.message(), &mut rng);
            assert_eq!(
                other.verify(&issuer.key()),
                Err(AttestationError::Size(size))
            );
        }
        let mut truncated = root;
        truncated.signature.0[0] = 0;
        assert_eq!(
            truncated.verify(&issuer.key()),
            Err(AttestationError::Signature)
        );
        assert_eq!(
            AttestationKey::from_bytes(&Bytes([0; 33])),
            Err(AttestationError::Key)
        );
    }

    #[test]
    fn a_root_statements_encoding_is_frozen() {
        let batch = Batch::new(&hashes(16, 1), &[]).unwrap();
        let message = batch.statement(Domain::Income, 4, day()).message();
        insta::assert_snapshot!("root_statement", hex::encode(message));
        let dummy = leaf::dummy_bytes(&Bytes([7; 32]));
        insta::assert_snapshot!("dummy_leaf", hex::encode(dummy));
    }
}
