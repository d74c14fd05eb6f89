//! The seed: 256 bits, written down as 24 BIP-39 words, sealed at rest.

use std::fmt;

use bip39::Mnemonic;
use rand_core::{OsRng, RngCore};
use zeroize::{Zeroize, Zeroizing};

use crate::seal::{SealError, SealKey};

const ENTROPY_BYTES: usize = 32;

/// A seed that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// Not 24 English BIP-39 words with a right checksum. The words are not repeated.
    #[error("the seed is 24 English BIP-39 words; a word or the checksum is wrong")]
    Words,
    /// The stored seed does not open: another operator key, another profile, or changed bytes.
    #[error("the stored seed does not open: {0}")]
    Sealed(#[from] SealError),
}

/// The entropy of a seed; wiped on drop, prints nothing.
pub struct Entropy(Zeroizing<[u8; ENTROPY_BYTES]>);

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}

impl Entropy {
    /// A fresh seed from the operating system's randomness.
    pub fn generate() -> Self {
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        OsRng.fill_bytes(entropy.as_mut());
        Self(entropy)
    }

    /// Reads 24 words.
    ///
    /// # Errors
    /// [`SeedError::Words`].
    pub fn from_words(words: &str) -> Result<Self, SeedError> {
        let mnemonic = Mnemonic::parse_normalized(words).map_err(|_| SeedError::Words)?;
        let (mut bytes, length) = mnemonic.to_entropy_array();
        let entropy = bytes
            .get(..length)
            .and_then(|bytes| bytes.try_into().ok())
            .map(|entropy| Self(Zeroizing::new(entropy)))
            .ok_or(SeedError::Words);
        bytes.zeroize();
        entropy
    }

    fn mnemonic(&self) -> Mnemonic {
        Mnemonic::from_entropy(self.0.as_ref())
            .expect("32 bytes are a BIP-39 entropy length, and English is compiled in")
    }

    /// The 24 words, for the owner's paper.
    pub fn words(&self) -> Zeroizing<String> {
        Zeroizing::new(self.mnemonic().to_string())
    }

    /// The 64-byte BIP-39 seed, without a passphrase.
    pub fn seed(&self) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.mnemonic().to_seed_normalized(""))
    }

    /// Seals the entropy for one profile.
    pub fn seal(&self, operator: &SealKey, profile: &str) -> String {
        operator.seal(&[b"seed", profile.as_bytes()], self.0.as_ref())
    }

    /// Opens what [`Entropy::seal`] made for this profile.
    ///
    /// # Errors
    /// [`SeedError::Sealed`].
    pub fn open(operator: &SealKey, profile: &str, sealed: &str) -> Result<Self, SeedError> {
        let bytes = operator.open(&[b"seed", profile.as_bytes()], sealed)?;
        let entropy = <[u8; ENTROPY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| SealError)?;
        Ok(Self(Zeroizing::new(entropy)))
    }
}
