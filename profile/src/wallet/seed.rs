//! The seed: 256 bits, written down as 24 BIP-39 words, sealed at rest.

use std::fmt;

use bip39::Mnemonic;
use rand_core::{OsRng, RngCore};
use zeroize::{Zeroize, Zeroizing};

use crate::seal::{SealError, SealKey};

const ENTROPY_BYTES: usize = 32;
const SEED_BYTES: usize = 64;

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

/// A seed: its entropy, and the 64 bytes that BIP-39 stretches it to. Wiped on drop, prints nothing.
pub struct Entropy {
    entropy: Zeroizing<[u8; ENTROPY_BYTES]>,
    /// Kept beside the entropy, and sealed with it: stretching takes 2048 rounds of HMAC-SHA512.
    seed: Zeroizing<[u8; SEED_BYTES]>,
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}

fn mnemonic(entropy: &[u8; ENTROPY_BYTES]) -> Mnemonic {
    Mnemonic::from_entropy(entropy)
        .expect("32 bytes are a BIP-39 entropy length, and English is compiled in")
}

impl Entropy {
    fn new(entropy: Zeroizing<[u8; ENTROPY_BYTES]>) -> Self {
        let seed = Zeroizing::new(mnemonic(&entropy).to_seed_normalized(""));
        Self { entropy, seed }
    }

    /// A fresh seed from the operating system's randomness.
    pub fn generate() -> Self {
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        OsRng.fill_bytes(entropy.as_mut());
        Self::new(entropy)
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
            .map(|entropy| Self::new(Zeroizing::new(entropy)))
            .ok_or(SeedError::Words);
        bytes.zeroize();
        entropy
    }

    /// The 24 words, for the owner's paper.
    pub fn words(&self) -> Zeroizing<String> {
        Zeroizing::new(mnemonic(&self.entropy).to_string())
    }

    /// The 64-byte BIP-39 seed, without a passphrase.
    pub fn seed(&self) -> &[u8; SEED_BYTES] {
        &self.seed
    }

    /// Seals the seed for one profile.
    pub fn seal(&self, operator: &SealKey, profile: &str) -> String {
        let mut bytes = Zeroizing::new(Vec::with_capacity(ENTROPY_BYTES + SEED_BYTES));
        bytes.extend_from_slice(self.entropy.as_ref());
        bytes.extend_from_slice(self.seed.as_ref());
        operator.seal(&[b"seed", profile.as_bytes()], &bytes)
    }

    /// Opens what [`Entropy::seal`] made for this profile.
    ///
    /// # Errors
    /// [`SeedError::Sealed`].
    pub fn open(operator: &SealKey, profile: &str, sealed: &str) -> Result<Self, SeedError> {
        let bytes = operator.open(&[b"seed", profile.as_bytes()], sealed)?;
        let (entropy, seed) = bytes.split_at_checked(ENTROPY_BYTES).ok_or(SealError)?;
        Ok(Self {
            entropy: Zeroizing::new(entropy.try_into().map_err(|_| SealError)?),
            seed: Zeroizing::new(seed.try_into().map_err(|_| SealError)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// trezor/python-mnemonic vectors.json, the English ones of 256 bits.
    #[test]
    fn bip39_published_entropy_and_words() {
        let legal = "legal winner thank year wave sausage worth useful ".repeat(2)
            + "legal winner thank year wave sausage worth title";
        let letter = "letter advice cage absurd amount doctor acoustic avoid ".repeat(2)
            + "letter advice cage absurd amount doctor acoustic bless";
        for (byte, words) in [
            (0x00, "abandon ".repeat(23) + "art"),
            (0x7f, legal),
            (0x80, letter),
            (0xff, "zoo ".repeat(23) + "vote"),
        ] {
            let entropy = Entropy::new(Zeroizing::new([byte; ENTROPY_BYTES]));
            assert_eq!(*entropy.words(), words);
            assert_eq!(Entropy::from_words(&words).unwrap().seed(), entropy.seed());
        }
    }

    #[test]
    fn attack_words_with_a_wrong_checksum_or_a_word_of_no_list_are_refused() {
        for words in [
            "zoo ".repeat(23) + "zoo",
            "zoo ".repeat(23) + "vole",
            "zoo ".repeat(22) + "vote",
            String::new(),
        ] {
            assert_eq!(Entropy::from_words(&words).unwrap_err(), SeedError::Words);
        }
    }
}
