//! Keys that callers present.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::ZeroizeOnDrop;

/// A bearer key; prints nothing and is wiped on drop.
#[derive(Clone, Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key, to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this key. Digests are compared, so that the time taken says nothing about the key.
    pub fn matches(&self, given: &str) -> bool {
        !self.0.is_empty() && Sha256::digest(&self.0) == Sha256::digest(given)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
