//! Byte strings as strict base64url, and domain-separated hashing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A byte string that does not decode to the type it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// Not base64url without padding (RFC 4648 §5), or with non-zero trailing bits.
    #[error("not base64url without padding (RFC 4648 section 5)")]
    Base64,
    /// The wrong number of bytes.
    #[error("expected {expected} bytes, got {got}")]
    Length {
        /// Bytes the type holds.
        expected: usize,
        /// Bytes found.
        got: usize,
    },
    /// Not the canonical encoding of a group element, or the identity where that is refused.
    #[error("not a canonical, non-identity ristretto255 point")]
    Point,
    /// Not a canonical scalar.
    #[error("not a canonical scalar")]
    Scalar,
}

/// Exactly `N` bytes; JSON form is base64url without padding, decoded strictly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes<const N: usize>(pub [u8; N]);

/// A hash, key or nonce of 32 bytes.
pub type Bytes32 = Bytes<32>;

/// A byte string of any length; JSON form as for [`Bytes`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Blob(pub Vec<u8>);

/// Encodes as base64url without padding.
pub fn to_base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes base64url without padding, refusing non-canonical trailing bits.
///
/// # Errors
/// [`EncodingError::Base64`].
pub fn from_base64url(text: &str) -> Result<Vec<u8>, EncodingError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| EncodingError::Base64)
}

impl<const N: usize> Bytes<N> {
    /// Reads exactly `N` bytes.
    ///
    /// # Errors
    /// [`EncodingError::Length`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, EncodingError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| EncodingError::Length {
                expected: N,
                got: bytes.len(),
            })
    }

    /// Reads the base64url form.
    ///
    /// # Errors
    /// [`EncodingError::Base64`] or [`EncodingError::Length`].
    pub fn parse(text: &str) -> Result<Self, EncodingError> {
        Self::from_slice(&from_base64url(text)?)
    }
}

impl<const N: usize> fmt::Display for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base64url(self.0))
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> AsRef<[u8]> for Bytes<N> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> From<[u8; N]> for Bytes<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_base64url(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_base64url(&text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// SHA-256 over a tag and length-prefixed parts.
///
/// The preimage is `len(tag) ‖ tag ‖ (len(part) ‖ part)*`, lengths as 8 bytes big-endian, so that no two
/// (tag, parts) share a preimage. Tags look like `shp/v1/purpose`.
pub fn tagged_hash(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((tag.len() as u64).to_be_bytes());
    hash.update(tag.as_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// RFC 8785 (JCS) serialisation: the one byte string for a JSON value.
///
/// # Errors
/// When the value holds something JSON cannot (a map with non-string keys, a NaN).
pub fn to_jcs<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json_canonicalizer::to_vec(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_bits_and_padding_are_refused() {
        assert_eq!(from_base64url("AA"), Ok(vec![0]));
        assert_eq!(from_base64url("AB"), Err(EncodingError::Base64));
        assert_eq!(from_base64url("AA=="), Err(EncodingError::Base64));
    }

    #[test]
    fn moving_a_byte_between_parts_changes_the_hash() {
        assert_ne!(
            tagged_hash("t", &[b"ab", b"c"]),
            tagged_hash("t", &[b"a", b"bc"])
        );
        assert_ne!(tagged_hash("t", &[b"ab"]), tagged_hash("ta", &[b"b"]));
    }
}
