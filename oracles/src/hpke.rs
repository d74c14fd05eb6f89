//! Hybrid public key encryption, RFC 9180 base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
//!
//! Base mode does not say who sealed. Where that matters (peers, owners) the content or the envelope is signed.

use std::fmt;

use ::hpke::aead::ChaCha20Poly1305;
use ::hpke::kdf::HkdfSha256;
use ::hpke::kem::X25519HkdfSha256;
use ::hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal,
};
use contracts::encoding::{Blob, Bytes32};
use rand_core::{CryptoRng, OsRng, RngCore};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes that sealing adds to a plaintext (the Poly1305 tag).
pub const TAG_BYTES: usize = 16;

/// A sealed message that cannot be opened, or a key that cannot be used. Says no more: the cause is the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HpkeError {
    /// The recipient's public key is not a usable X25519 point.
    #[error("the recipient's HPKE key is not a usable X25519 public key")]
    RecipientKey,
    /// Wrong recipient, wrong info or associated data, or a changed ciphertext.
    #[error("sealed message does not open: wrong recipient, wrong binding or changed bytes")]
    Open,
}

/// A sealed message: the encapsulated key and the ciphertext with its tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// RFC 9180 `enc`, an ephemeral X25519 public key.
    pub enc: Bytes32,
    /// ChaCha20-Poly1305 ciphertext, [`TAG_BYTES`] longer than the plaintext.
    pub ciphertext: Blob,
}

/// An X25519 key pair for receiving; the secret half is wiped on drop and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NodeKeyPair {
    secret: [u8; 32],
    #[zeroize(skip)]
    public: Bytes32,
}

impl NodeKeyPair {
    /// A fresh pair from the operating system's randomness.
    pub fn generate() -> Self {
        let mut ikm = Zeroizing::new([0u8; 32]);
        OsRng.fill_bytes(ikm.as_mut());
        let (secret, _) = X25519HkdfSha256::derive_keypair(ikm.as_ref());
        Self::from_secret(Zeroizing::new(secret.to_bytes().into()))
    }

    /// The pair of a stored secret.
    ///
    /// # Panics
    /// Never: every 32-byte string is an X25519 private key (RFC 7748 §5).
    pub fn from_secret(secret: Zeroizing<[u8; 32]>) -> Self {
        let key = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret.as_ref())
            .expect("every 32-byte string is an X25519 private key");
        let public: [u8; 32] = X25519HkdfSha256::sk_to_pk(&key).to_bytes().into();
        Self {
            secret: *secret,
            public: Bytes32::from(public),
        }
    }

    /// The public half.
    pub fn public(&self) -> &Bytes32 {
        &self.public
    }

    /// The secret half, for sealed storage or for disclosure in a key-generation dispute.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret)
    }

    /// Opens a message sealed to this pair under the same `info` and `aad`.
    ///
    /// # Errors
    /// [`HpkeError::Open`].
    pub fn open(
        &self,
        info: &[u8],
        aad: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, HpkeError> {
        let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&self.secret)
            .map_err(|_| HpkeError::Open)?;
        let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&sealed.enc.0)
            .map_err(|_| HpkeError::Open)?;
        single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &secret,
            &enc,
            info,
            &sealed.ciphertext.0,
            aad,
        )
        .map(Zeroizing::new)
        .map_err(|_| HpkeError::Open)
    }
}

impl fmt::Debug for NodeKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKeyPair({})", self.public)
    }
}

/// Seals `plaintext` to a public key; `info` binds what the message is for, `aad` what travels beside it in clear.
///
/// # Errors
/// [`HpkeError::RecipientKey`].
pub fn seal(
    recipient: &Bytes32,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Sealed, HpkeError> {
    seal_with(recipient, info, aad, plaintext, &mut OsRng)
}

/// Opens what [`seal`] made; the same as [`NodeKeyPair::open`].
///
/// # Errors
/// [`HpkeError::Open`].
pub fn open(
    keys: &NodeKeyPair,
    info: &[u8],
    aad: &[u8],
    sealed: &Sealed,
) -> Result<Zeroizing<Vec<u8>>, HpkeError> {
    keys.open(info, aad, sealed)
}

fn seal_with<R: RngCore + CryptoRng>(
    recipient: &Bytes32,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    rng: &mut R,
) -> Result<Sealed, HpkeError> {
    let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&recipient.0)
        .map_err(|_| HpkeError::RecipientKey)?;
    let (enc, ciphertext) = single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256, _>(
        &OpModeS::Base,
        &key,
        info,
        plaintext,
        aad,
        rng,
    )
    .map_err(|_| HpkeError::RecipientKey)?;
    let enc: [u8; 32] = enc.to_bytes().into();
    Ok(Sealed {
        enc: Bytes32::from(enc),
        ciphertext: Blob(ciphertext),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out the published `ikmE` where encapsulation draws its randomness.
    struct Fixed(Vec<u8>);

    impl RngCore for Fixed {
        fn next_u32(&mut self) -> u32 {
            unreachable!("encapsulation fills bytes")
        }
        fn next_u64(&mut self) -> u64 {
            unreachable!("encapsulation fills bytes")
        }
        fn fill_bytes(&mut self, dest: &mut [u8]) {
            dest.copy_from_slice(&self.0);
        }
        fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
            self.fill_bytes(dest);
            Ok(())
        }
    }
    impl CryptoRng for Fixed {}

    #[test]
    fn rfc_9180_appendix_a_2_base_mode() {
        let text = include_str!("../../fixtures/vectors/rfc9180-x25519-chacha20poly1305-base.json");
        let vector: serde_json::Value = serde_json::from_str(text).unwrap();
        let field = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
        let secret: [u8; 32] = field("skRm").try_into().unwrap();
        let keys = NodeKeyPair::from_secret(Zeroizing::new(secret));
        assert_eq!(keys.public().0.as_slice(), field("pkRm"));

        let (info, aad) = (field("info"), field("aad"));
        let sealed = seal_with(
            keys.public(),
            &info,
            &aad,
            &field("pt"),
            &mut Fixed(field("ikmE")),
        )
        .unwrap();
        assert_eq!(sealed.enc.0.as_slice(), field("enc"));
        assert_eq!(sealed.ciphertext.0, field("ct"));
        assert_eq!(*keys.open(&info, &aad, &sealed).unwrap(), field("pt"));
    }

    #[test]
    fn a_box_moved_to_another_recipient_info_or_aad_does_not_open() {
        let (ours, theirs) = (NodeKeyPair::generate(), NodeKeyPair::generate());
        let sealed = seal(ours.public(), b"info", b"aad", b"secret").unwrap();
        assert_eq!(*open(&ours, b"info", b"aad", &sealed).unwrap(), b"secret");
        assert_eq!(theirs.open(b"info", b"aad", &sealed), Err(HpkeError::Open));
        assert_eq!(ours.open(b"other", b"aad", &sealed), Err(HpkeError::Open));
        assert_eq!(ours.open(b"info", b"other", &sealed), Err(HpkeError::Open));
        let mut changed = sealed;
        changed.ciphertext.0[0] ^= 1;
        assert_eq!(ours.open(b"info", b"aad", &changed), Err(HpkeError::Open));
    }

    #[test]
    fn a_low_order_recipient_key_is_refused() {
        assert_eq!(
            seal(&Bytes32::from([0; 32]), b"", b"", b"x"),
            Err(HpkeError::RecipientKey)
        );
    }

    #[test]
    fn debug_prints_no_secret() {
        let keys = NodeKeyPair::generate();
        assert!(!format!("{keys:?}").contains(&Bytes32::from(*keys.secret()).to_string()));
    }
}
