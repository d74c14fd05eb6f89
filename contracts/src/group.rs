//! ristretto255 points and scalars with strict decoding, Pedersen bases and hash-to-group.

use std::fmt;
use std::sync::LazyLock;

use bulletproofs::PedersenGens;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar as DalekScalar;
use curve25519_dalek::traits::Identity;
use elliptic_curve::hash2curve::{ExpandMsg, ExpandMsgXmd, Expander};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha512;

use crate::encoding::{Bytes32, EncodingError};

/// The commitment bases `B` (value) and `H` (blinding) of `bulletproofs::PedersenGens`: `C = v·B + r·H`.
pub static PEDERSEN: LazyLock<PedersenGens> = LazyLock::new(PedersenGens::default);

/// Multiples of `H`, for multiplication by secret scalars.
static BLINDING_TABLE: LazyLock<RistrettoBasepointTable> =
    LazyLock::new(|| RistrettoBasepointTable::create(&PEDERSEN.B_blinding));

/// `v·B + r·H` in constant time, from precomputed multiples of both.
pub(crate) fn commit(value: &DalekScalar, blinding: &DalekScalar) -> RistrettoPoint {
    value * RISTRETTO_BASEPOINT_TABLE + blinded(blinding)
}

/// `r·H` in constant time, from precomputed multiples.
pub(crate) fn blinded(blinding: &DalekScalar) -> RistrettoPoint {
    blinding * &*BLINDING_TABLE
}

/// A canonical ristretto255 point other than the identity, with its encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Point {
    point: RistrettoPoint,
    bytes: CompressedRistretto,
}

impl Point {
    /// Decodes 32 bytes.
    ///
    /// # Errors
    /// [`EncodingError::Point`] for a non-canonical encoding or the identity.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, EncodingError> {
        let bytes = CompressedRistretto(*bytes);
        let point = bytes.decompress().ok_or(EncodingError::Point)?;
        if bytes == CompressedRistretto::identity() {
            return Err(EncodingError::Point);
        }
        Ok(Self { point, bytes })
    }

    /// Wraps a computed point.
    ///
    /// # Errors
    /// [`EncodingError::Point`] for the identity.
    pub fn new(point: RistrettoPoint) -> Result<Self, EncodingError> {
        if point == RistrettoPoint::identity() {
            return Err(EncodingError::Point);
        }
        Ok(Self {
            point,
            bytes: point.compress(),
        })
    }

    /// The group element.
    pub fn point(&self) -> &RistrettoPoint {
        &self.point
    }

    /// The canonical encoding.
    pub fn compressed(&self) -> &CompressedRistretto {
        &self.bytes
    }

    /// The canonical encoding as bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.bytes.as_bytes()
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Point({})", Bytes32::from(*self.as_bytes()))
    }
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes32::from(*self.as_bytes()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Bytes32::deserialize(deserializer)?;
        Self::from_bytes(&bytes.0).map_err(serde::de::Error::custom)
    }
}

/// A public scalar (a proof response or challenge share) with strict, canonical decoding.
///
/// Secret scalars do not use this type: it prints itself and is not wiped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicScalar(pub DalekScalar);

impl PublicScalar {
    /// Decodes 32 little-endian bytes below the group order.
    ///
    /// # Errors
    /// [`EncodingError::Scalar`] for a non-canonical encoding.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, EncodingError> {
        Option::from(DalekScalar::from_canonical_bytes(*bytes))
            .map(Self)
            .ok_or(EncodingError::Scalar)
    }
}

impl fmt::Debug for PublicScalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicScalar({})", Bytes32::from(self.0.to_bytes()))
    }
}

impl Serialize for PublicScalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes32::from(self.0.to_bytes()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicScalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Bytes32::deserialize(deserializer)?;
        Self::from_bytes(&bytes.0).map_err(serde::de::Error::custom)
    }
}

/// RFC 9380 hash-to-group, suite `ristretto255_XMD:SHA-512` (Appendix B), under a versioned domain tag.
///
/// # Panics
/// Never for tags of 1 to 255 bytes, which all callers pass as literals.
pub fn hash_to_group(tag: &str, message: &[u8]) -> RistrettoPoint {
    let mut uniform = [0u8; 64];
    ExpandMsgXmd::<Sha512>::expand_message(&[message], &[tag.as_bytes()], 64)
        .expect("a tag of 1..=255 bytes and 64 output bytes are within the bounds of RFC 9380 section 5.3.1")
        .fill_bytes(&mut uniform);
    RistrettoPoint::from_uniform_bytes(&uniform)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_base_is_the_base_point() {
        use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
        assert_eq!(PEDERSEN.B, RISTRETTO_BASEPOINT_POINT);
    }

    #[test]
    fn identity_and_non_canonical_points_are_refused() {
        assert_eq!(Point::from_bytes(&[0; 32]), Err(EncodingError::Point));
        assert_eq!(Point::from_bytes(&[0xff; 32]), Err(EncodingError::Point));
        assert!(Point::new(RistrettoPoint::identity()).is_err());
    }

    #[test]
    fn non_canonical_scalars_are_refused() {
        assert_eq!(
            PublicScalar::from_bytes(&[0xff; 32]),
            Err(EncodingError::Scalar)
        );
    }

    fn vectors(text: &str) -> (String, Vec<serde_json::Value>) {
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let dst = file["dst"].as_str().unwrap().to_owned();
        (dst, file["vectors"].as_array().unwrap().clone())
    }

    fn bytes(vector: &serde_json::Value, field: &str) -> Vec<u8> {
        hex::decode(vector[field].as_str().unwrap()).unwrap()
    }

    #[test]
    fn rfc_9380_expander_vectors() {
        let (dst, vectors) = vectors(include_str!(
            "../../fixtures/vectors/rfc9380-expand-message-xmd-sha512.json"
        ));
        for vector in &vectors {
            let message = vector["msg"].as_str().unwrap().as_bytes();
            let mut uniform = [0; 32];
            ExpandMsgXmd::<Sha512>::expand_message(&[message], &[dst.as_bytes()], 32)
                .unwrap()
                .fill_bytes(&mut uniform);
            assert_eq!(uniform.as_slice(), bytes(vector, "uniform_bytes"));
        }
    }

    #[test]
    fn rfc_9497_hash_to_group_vectors() {
        let (dst, vectors) = vectors(include_str!(
            "../../fixtures/vectors/rfc9497-ristretto255-hash-to-group.json"
        ));
        for vector in &vectors {
            let blind = PublicScalar::from_bytes(&bytes(vector, "blind").try_into().unwrap());
            let blinded = blind.unwrap().0 * hash_to_group(&dst, &bytes(vector, "input"));
            let expected = bytes(vector, "blinded_element");
            assert_eq!(blinded.compress().as_bytes().as_slice(), expected);
        }
    }
}
