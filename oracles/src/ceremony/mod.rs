//! Ceremonies: what a committee does together. Any member coordinates by request and response, and is never trusted.

/// Calls a generic function with the ciphersuite of a key.
macro_rules! by_suite {
    ($suite:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match $suite {
            $crate::ceremony::Suite::Secp256k1 => {
                $function::<frost_secp256k1::Secp256K1Sha256>($($argument),*)
            }
            $crate::ceremony::Suite::Ed25519 => {
                $function::<frost_ed25519::Ed25519Sha512>($($argument),*)
            }
            $crate::ceremony::Suite::Ristretto255 => {
                $function::<frost_ristretto255::Ristretto255Sha512>($($argument),*)
            }
        }
    };
}

pub mod dkg;
pub mod epoch;
pub mod oprf;
pub mod sign;

use std::fmt;
use std::str::FromStr;

use contracts::ids::{Committee, UnknownName};
use serde::{Deserialize, Serialize};

/// A key that a committee holds in shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeyId {
    /// A committee's signing key.
    Signing(Committee),
    /// The identity committee's OPRF key (ristretto255).
    IdentityOprf,
}

/// The group and hash of a key: FROST ciphersuites of RFC 9591 §6, by their context strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suite {
    /// FROST(secp256k1, SHA-256): attestation roots and handles.
    #[serde(rename = "FROST-secp256k1-SHA256-v1")]
    Secp256k1,
    /// FROST(Ed25519, SHA-512): tokens and checkpoints.
    #[serde(rename = "FROST-ED25519-SHA512-v1")]
    Ed25519,
    /// Key generation as of FROST(ristretto255, SHA-512); the shares serve the OPRF and sign nothing.
    #[serde(rename = "FROST-RISTRETTO255-SHA512-v1")]
    Ristretto255,
}

impl Suite {
    /// The context string.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secp256k1 => "FROST-secp256k1-SHA256-v1",
            Self::Ed25519 => "FROST-ED25519-SHA512-v1",
            Self::Ristretto255 => "FROST-RISTRETTO255-SHA512-v1",
        }
    }
}

impl KeyId {
    /// Every key.
    pub const ALL: [Self; 8] = [
        Self::Signing(Committee::Identity),
        Self::IdentityOprf,
        Self::Signing(Committee::Residence),
        Self::Signing(Committee::Income),
        Self::Signing(Committee::Household),
        Self::Signing(Committee::Medical),
        Self::Signing(Committee::Decision),
        Self::Signing(Committee::Ledger),
    ];

    /// The committee that holds it.
    pub fn committee(self) -> Committee {
        match self {
            Self::Signing(committee) => committee,
            Self::IdentityOprf => Committee::Identity,
        }
    }

    /// Its group and hash.
    pub fn suite(self) -> Suite {
        match self {
            Self::Signing(Committee::Decision | Committee::Ledger) => Suite::Ed25519,
            Self::Signing(_) => Suite::Secp256k1,
            Self::IdentityOprf => Suite::Ristretto255,
        }
    }

    /// The name: the committee's, or `identity-oprf`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signing(committee) => committee.as_str(),
            Self::IdentityOprf => "identity-oprf",
        }
    }
}

impl From<Committee> for KeyId {
    fn from(committee: Committee) -> Self {
        Self::Signing(committee)
    }
}

impl FromStr for KeyId {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|key| key.as_str() == name)
            .ok_or_else(|| UnknownName {
                kind: "key",
                name: name.to_owned(),
                expected: "a committee's name or identity-oprf",
            })
    }
}

impl TryFrom<String> for KeyId {
    type Error = UnknownName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl From<KeyId> for String {
    fn from(key: KeyId) -> Self {
        key.as_str().to_owned()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
