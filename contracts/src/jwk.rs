//! JSON Web Keys: the Ed25519 keys that verify tokens (RFC 8037) and the secp256k1 key a token is bound to (RFC 8812).

use ed25519_dalek::VerifyingKey;
use secp256k1::PublicKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::encoding::{Bytes, Bytes32, to_base64url};

/// Most bytes of a JWK Set that are parsed.
pub const MAX_JWKS_BYTES: usize = 64 * 1024;
/// Most keys in a JWK Set.
pub const MAX_KEYS: usize = 64;

/// A JWK or JWK Set that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkError {
    /// More bytes or keys than are read.
    #[error("JWK Set is too large: at most {MAX_JWKS_BYTES} bytes and {MAX_KEYS} keys")]
    TooLarge,
    /// Not the JSON of a JWK Set.
    #[error("JWK Set is not valid: {0}")]
    Json(String),
    /// Not a usable Ed25519 public key.
    #[error("JWK x: not an Ed25519 public key, or one of small order")]
    Ed25519,
    /// Not a point of secp256k1.
    #[error("JWK x, y: not a point of secp256k1")]
    Secp256k1,
    /// A key id that is not the key's thumbprint.
    #[error("JWK kid {kid:?} is not the RFC 7638 thumbprint of its key, {thumbprint}")]
    Kid {
        /// The id given.
        kid: String,
        /// The id expected.
        thumbprint: String,
    },
    /// The same key id twice.
    #[error("JWK kid {0:?} occurs twice")]
    Duplicate(String),
}

/// Decodes an Ed25519 public key, refusing those of small order, under which one signature fits many messages.
///
/// # Errors
/// [`JwkError::Ed25519`].
pub fn ed25519_key(bytes: &[u8; 32]) -> Result<VerifyingKey, JwkError> {
    VerifyingKey::from_bytes(bytes)
        .ok()
        .filter(|key| !key.is_weak())
        .ok_or(JwkError::Ed25519)
}

/// The RFC 7638 thumbprint of an Ed25519 key (RFC 8037 §2), base64url: the `kid` of this system's keys.
pub fn thumbprint(key: &VerifyingKey) -> String {
    let x = to_base64url(key.as_bytes());
    to_base64url(Sha256::digest(format!(
        r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#
    )))
}

/// Key type of an [`OkpJwk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Okp {
    /// Octet key pair (RFC 8037).
    OKP,
}

/// Curve of an [`OkpJwk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ed25519Curve {
    /// Edwards curve 25519.
    Ed25519,
}

/// Signature algorithm of an [`OkpJwk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdDsa {
    /// RFC 8037 §3.1.
    EdDSA,
}

/// Use of an [`OkpJwk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignatureUse {
    /// Signature (RFC 7517 §4.2).
    #[serde(rename = "sig")]
    Sig,
}

/// An Ed25519 verification key (RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OkpJwk {
    /// `OKP`.
    pub kty: Okp,
    /// `Ed25519`.
    pub crv: Ed25519Curve,
    /// `EdDSA`.
    pub alg: EdDsa,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: SignatureUse,
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// The public key.
    pub x: Bytes32,
}

impl OkpJwk {
    /// The JWK of a key, with its thumbprint as `kid`.
    pub fn new(key: &VerifyingKey) -> Self {
        Self {
            kty: Okp::OKP,
            crv: Ed25519Curve::Ed25519,
            alg: EdDsa::EdDSA,
            usage: SignatureUse::Sig,
            kid: thumbprint(key),
            x: Bytes(*key.as_bytes()),
        }
    }

    /// The verification key.
    ///
    /// # Errors
    /// A key that is no key or weak, or a `kid` that is not its thumbprint.
    pub fn key(&self) -> Result<VerifyingKey, JwkError> {
        let key = ed25519_key(&self.x.0)?;
        let thumbprint = thumbprint(&key);
        if thumbprint != self.kid {
            return Err(JwkError::Kid {
                kid: self.kid.clone(),
                thumbprint,
            });
        }
        Ok(key)
    }
}

/// A JWK Set (RFC 7517 §5) as served at `/.well-known/jwks.json`; each key was checked when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "RawJwkSet")]
pub struct JwkSet {
    keys: Vec<OkpJwk>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJwkSet {
    keys: Vec<OkpJwk>,
}

impl TryFrom<RawJwkSet> for JwkSet {
    type Error = JwkError;

    fn try_from(raw: RawJwkSet) -> Result<Self, JwkError> {
        if raw.keys.len() > MAX_KEYS {
            return Err(JwkError::TooLarge);
        }
        for (i, jwk) in raw.keys.iter().enumerate() {
            jwk.key()?;
            if raw.keys.iter().take(i).any(|other| other.kid == jwk.kid) {
                return Err(JwkError::Duplicate(jwk.kid.clone()));
            }
        }
        Ok(Self { keys: raw.keys })
    }
}

impl JwkSet {
    /// The set of these keys; a key given twice is kept once.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>) -> Self {
        let mut set = Self::default();
        for jwk in keys.into_iter().map(OkpJwk::new) {
            if !set.keys.contains(&jwk) {
                set.keys.push(jwk);
            }
        }
        set
    }

    /// Reads a served set.
    ///
    /// # Errors
    /// Too large, not a JWK Set of Ed25519 keys alone, or a key with a wrong `kid`.
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        if json.len() > MAX_JWKS_BYTES {
            return Err(JwkError::TooLarge);
        }
        serde_json::from_slice(json).map_err(|error| JwkError::Json(error.to_string()))
    }

    /// The keys.
    pub fn keys(&self) -> &[OkpJwk] {
        &self.keys
    }

    /// The key with this id.
    pub fn get(&self, kid: &str) -> Option<VerifyingKey> {
        self.keys.iter().find(|jwk| jwk.kid == kid)?.key().ok()
    }
}

/// Key type of an [`EcJwk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ec {
    /// Elliptic curve (RFC 7518 §6.2).
    EC,
}

/// Curve of an [`EcJwk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Secp256k1Curve {
    /// RFC 8812 §3.1.
    #[serde(rename = "secp256k1")]
    Secp256k1,
}

/// A secp256k1 public key (RFC 8812 §3.1); always a point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawEcJwk", into = "RawEcJwk")]
pub struct EcJwk(PublicKey);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEcJwk {
    kty: Ec,
    crv: Secp256k1Curve,
    x: Bytes32,
    y: Bytes32,
}

impl TryFrom<RawEcJwk> for EcJwk {
    type Error = JwkError;

    fn try_from(raw: RawEcJwk) -> Result<Self, JwkError> {
        let mut bytes = [4u8; 65];
        let (_, coordinates) = bytes.split_at_mut(1);
        let (x, y) = coordinates.split_at_mut(32);
        x.copy_from_slice(raw.x.as_ref());
        y.copy_from_slice(raw.y.as_ref());
        PublicKey::from_slice(&bytes)
            .map(Self)
            .map_err(|_| JwkError::Secp256k1)
    }
}

impl From<EcJwk> for RawEcJwk {
    fn from(jwk: EcJwk) -> Self {
        let bytes = jwk.0.serialize_uncompressed();
        let (mut x, mut y) = ([0; 32], [0; 32]);
        for (to, from) in x.iter_mut().chain(&mut y).zip(bytes.iter().skip(1)) {
            *to = *from;
        }
        Self {
            kty: Ec::EC,
            crv: Secp256k1Curve::Secp256k1,
            x: Bytes(x),
            y: Bytes(y),
        }
    }
}

impl From<PublicKey> for EcJwk {
    fn from(key: PublicKey) -> Self {
        Self(key)
    }
}

impl EcJwk {
    /// The JWK of a compressed (SEC 1) key.
    ///
    /// # Errors
    /// [`JwkError::Secp256k1`].
    pub fn from_compressed(key: &Bytes<33>) -> Result<Self, JwkError> {
        PublicKey::from_slice(key.as_ref())
            .map(Self)
            .map_err(|_| JwkError::Secp256k1)
    }

    /// The compressed (SEC 1) form.
    pub fn to_compressed(&self) -> Bytes<33> {
        Bytes(self.0.serialize())
    }

    /// The public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0
    }
}
