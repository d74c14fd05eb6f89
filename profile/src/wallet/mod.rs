//! The owner's HD wallet: one BIP-39 seed, a fresh BIP-32 key for every transaction.

pub mod backup;
mod keys;
mod marks;
mod path;
mod seed;

pub use keys::{LeafKeys, SigningKey};
pub use marks::{GAP_LIMIT, Marks};
use path::ABOVE_INDEX;
pub use path::{MAX_INDEX, Role, Use};
pub use seed::{Entropy, SeedError};

use std::sync::{Mutex, PoisonError};

use bip32::{ChildNumber, XPrv};
use contracts::encoding::{Bytes32, tagged_hash};
use contracts::ids::Domain;
use contracts::issuance::derive_scalar;
use curve25519_dalek::scalar::Scalar;
use oracles::hpke::NodeKeyPair;
use zeroize::Zeroizing;

use crate::seal::SealKey;

/// A key that the tree does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// The index is not below [`MAX_INDEX`]: all keys of this use are used up.
    #[error("wallet: all 2^31 keys of one use are used up")]
    Exhausted,
    /// BIP-32 has no key at this index (probability below 2⁻¹²⁷); the next index has.
    #[error("wallet: BIP-32 has no key at this index; use the next")]
    NoKey,
}

/// The owner's keys. Holds the master node, and those above the indices that were asked for: each step of a derivation costs a
/// multiplication on the curve. Everything below is derived when it is needed and wiped after.
pub struct Wallet {
    master: XPrv,
    above: Mutex<Vec<(Vec<ChildNumber>, XPrv)>>,
}

fn descend(from: XPrv, steps: &[ChildNumber]) -> Result<XPrv, WalletError> {
    let child = |node: XPrv, step: &ChildNumber| node.derive_child(*step);
    let reached = steps.iter().try_fold(from, child);
    reached.map_err(|_| WalletError::NoKey)
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wallet(..)")
    }
}

impl Wallet {
    /// The wallet of a seed.
    ///
    /// # Errors
    /// [`WalletError::NoKey`]: the seed has no master key (probability below 2⁻¹²⁷).
    pub fn new(entropy: &Entropy) -> Result<Self, WalletError> {
        let master = XPrv::new(entropy.seed()).map_err(|_| WalletError::NoKey)?;
        let above = Mutex::default();
        Ok(Self { master, above })
    }

    /// The node above all indices of one use and domain.
    fn above(&self, steps: &[ChildNumber]) -> Result<XPrv, WalletError> {
        let mut above = self.above.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, node)) = above.iter().find(|(path, _)| path == steps) {
            return Ok(node.clone());
        }
        let node = descend(self.master.clone(), steps)?;
        above.push((steps.to_vec(), node.clone()));
        Ok(node)
    }

    fn secret(&self, use_: Use, index: u32) -> Result<Zeroizing<[u8; 32]>, WalletError> {
        let steps = use_.steps(index).ok_or(WalletError::Exhausted)?;
        let (above, below) = steps.split_at(ABOVE_INDEX);
        let node = descend(self.above(above)?, below)?;
        Ok(Zeroizing::new(node.to_bytes()))
    }

    /// The key that signs requests to a domain's committee.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn authorisation(
        &self,
        domain: Domain,
        generation: u32,
    ) -> Result<SigningKey, WalletError> {
        self.secret(Use::Authorisation(domain), generation)
            .map(SigningKey::new)
    }

    /// The one-time keys of a leaf: all from one BIP-32 node.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn leaf(&self, domain: Domain, index: u32) -> Result<LeafKeys, WalletError> {
        let steps = |role| {
            let steps = Use::Leaf(domain, role).steps(index);
            steps.ok_or(WalletError::Exhausted)
        };
        let of_leaf = steps(Role::Holder)?;
        let (above, below) = of_leaf.split_at(ABOVE_INDEX);
        let leaf = descend(self.above(above)?, &below[..1])?;
        let secret = |role| {
            let node = descend(leaf.clone(), &steps(role)?[ABOVE_INDEX + 1..])?;
            Ok(Zeroizing::new(node.to_bytes()))
        };
        Ok(LeafKeys {
            holder: SigningKey::new(secret(Role::Holder)?),
            receive: NodeKeyPair::from_secret(secret(Role::Receive)?),
            opening: SealKey::new(secret(Role::Opening)?),
        })
    }

    /// The key that a token is bound to.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn confirmation(&self, index: u32) -> Result<SigningKey, WalletError> {
        self.secret(Use::Confirmation, index).map(SigningKey::new)
    }

    /// The pseudonym scalar k.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn pseudonym(&self, registration: u32) -> Result<Zeroizing<Scalar>, WalletError> {
        self.scalar(Use::Pseudonym, registration)
    }

    /// The blinding of the registered `C_k`.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn registration(&self, registration: u32) -> Result<Zeroizing<Scalar>, WalletError> {
        self.scalar(Use::Registration, registration)
    }

    /// The key that receives the answer to an enrolment.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn response(&self, attempt: u32) -> Result<NodeKeyPair, WalletError> {
        self.secret(Use::Response, attempt)
            .map(NodeKeyPair::from_secret)
    }

    /// The key that seals a domain's subject blinding.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn subject(&self, domain: Domain, attempt: u32) -> Result<SealKey, WalletError> {
        self.secret(Use::Subject(domain), attempt).map(SealKey::new)
    }

    /// The key that seals what a question keeps.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn question(&self, index: u32) -> Result<SealKey, WalletError> {
        self.secret(Use::Question, index).map(SealKey::new)
    }

    /// The key that a representative is known by under one grant.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn representative(&self, index: u32) -> Result<SigningKey, WalletError> {
        self.secret(Use::Representative, index).map(SigningKey::new)
    }

    /// The id of an enrolment, which the seed alone finds again: the identity committee takes up an enrolment under its
    /// own id only.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn enrolment(&self, registration: u32) -> Result<Bytes32, WalletError> {
        let secret = self.secret(Use::Enrolment, registration)?;
        Ok(tagged_hash("shp/v1/enrol-id", &[secret.as_ref()]).into())
    }

    /// The key that seals the wallet's own files ([`backup`]).
    ///
    /// # Errors
    /// [`WalletError`].
    pub(crate) fn backup_key(&self) -> Result<SealKey, WalletError> {
        self.secret(Use::Backup, 0).map(SealKey::new)
    }

    fn scalar(&self, use_: Use, index: u32) -> Result<Zeroizing<Scalar>, WalletError> {
        let secret = self.secret(use_, index)?;
        let scalar = derive_scalar("shp/v1/wallet-scalar", secret.as_ref());
        Ok(Zeroizing::new(scalar))
    }
}

#[cfg(test)]
mod tests;
