//! Sealing at rest: ChaCha20-Poly1305 (RFC 8439) under a key made for the one message by HKDF-SHA256 (RFC 5869).
//!
//! A sealed text is base64url of `salt(32) ‖ ciphertext ‖ tag`. The salt is random, so every message has a key of its
//! own and the all-zero nonce is used once under it; no counter has to survive a crash.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use contracts::encoding::{from_base64url, tagged_hash, to_base64url};
use hkdf::Hkdf;
use rand_core::{OsRng, RngCore};
use sha2::Sha256;
use zeroize::Zeroizing;

const SALT_BYTES: usize = 32;
const TAG: &str = "shp/v1/seal";

/// A sealed text that does not open: another key, another context, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed record does not open: wrong key, wrong place or changed bytes")]
pub struct SealError;

/// A sealing key; wiped on drop, prints nothing.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    /// Wraps 32 secret bytes.
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// Seals; `context` says where the text belongs, and it opens nowhere else.
    ///
    /// # Panics
    /// Never: the length is far below the cipher's limit of 256 GiB.
    pub fn seal(&self, context: &[&[u8]], plaintext: &[u8]) -> String {
        let mut salt = [0u8; SALT_BYTES];
        OsRng.fill_bytes(&mut salt);
        let aad = tagged_hash(TAG, context);
        let payload = Payload {
            msg: plaintext,
            aad: &aad,
        };
        let ciphertext = self
            .cipher(&salt)
            .encrypt(&Nonce::default(), payload)
            .expect("the plaintext is shorter than 256 GiB (RFC 8439 section 2.8)");
        to_base64url([&salt[..], &ciphertext].concat())
    }

    /// Opens what [`SealKey::seal`] made under the same context.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, context: &[&[u8]], sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let bytes = from_base64url(sealed).map_err(|_| SealError)?;
        let (salt, ciphertext) = bytes.split_at_checked(SALT_BYTES).ok_or(SealError)?;
        let aad = tagged_hash(TAG, context);
        let payload = Payload {
            msg: ciphertext,
            aad: &aad,
        };
        self.cipher(salt)
            .decrypt(&Nonce::default(), payload)
            .map(Zeroizing::new)
            .map_err(|_| SealError)
    }

    /// 32 secret bytes for another use (an owner's token), from which this key does not follow.
    pub fn derive(&self, purpose: &str, id: &[u8]) -> Zeroizing<[u8; 32]> {
        self.root().derive(purpose, id)
    }

    /// What [`SealKey::derive`] derives from. This key does not follow from it.
    pub fn root(&self) -> Root {
        let (key, _) = Hkdf::<Sha256>::extract(Some(b"shp/v1/seal-derive"), self.0.as_ref());
        Root(Zeroizing::new(key.into()))
    }

    fn cipher(&self, salt: &[u8]) -> ChaCha20Poly1305 {
        let key = expand(salt, &self.0, TAG.as_bytes());
        ChaCha20Poly1305::new(Key::from_slice(key.as_ref()))
    }
}

/// Derives secrets as the key it came from does, and seals nothing: the pseudorandom key of HKDF. Wiped on drop, prints
/// nothing.
pub struct Root(Zeroizing<[u8; 32]>);

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root(..)")
    }
}

impl Root {
    /// 32 secret bytes; see [`SealKey::derive`].
    pub fn derive(&self, purpose: &str, id: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0u8; 32]);
        Hkdf::<Sha256>::from_prk(self.0.as_ref())
            .expect("32 bytes are a pseudorandom key of HKDF-SHA256")
            .expand(&tagged_hash(purpose, &[id]), out.as_mut())
            .expect("32 bytes are within the 255 blocks of RFC 5869");
        out
    }

    /// Seals the root under an operator key of this name.
    pub fn seal(&self, key: &SealKey, id: &str) -> String {
        key.seal(&[b"operator-root", id.as_bytes()], self.0.as_ref())
    }

    /// Opens what [`Root::seal`] made under the same name.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(key: &SealKey, id: &str, sealed: &str) -> Result<Self, SealError> {
        let bytes = key.open(&[b"operator-root", id.as_bytes()], sealed)?;
        let bytes = bytes.as_slice().try_into().map_err(|_| SealError)?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

fn expand(salt: &[u8], key: &[u8; 32], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0u8; 32]);
    Hkdf::<Sha256>::new(Some(salt), key)
        .expand(info, out.as_mut())
        .expect("32 bytes are within the 255 blocks of RFC 5869");
    out
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealKey {
        SealKey::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn a_sealed_text_moved_to_another_row_or_key_does_not_open() {
        let sealed = key(1).seal(&[b"profile", b"a"], b"secret");
        assert_eq!(
            **key(1).open(&[b"profile", b"a"], &sealed).unwrap(),
            *b"secret"
        );
        assert_eq!(key(1).open(&[b"profile", b"b"], &sealed), Err(SealError));
        assert_eq!(key(1).open(&[b"profilea"], &sealed), Err(SealError));
        assert_eq!(key(2).open(&[b"profile", b"a"], &sealed), Err(SealError));
        let mut changed = from_base64url(&sealed).unwrap();
        for place in 0..changed.len() {
            changed[place] ^= 1;
            let text = to_base64url(&changed);
            assert_eq!(key(1).open(&[b"profile", b"a"], &text), Err(SealError));
            changed[place] ^= 1;
        }
        assert_eq!(key(1).open(&[b"profile", b"a"], "AAAA"), Err(SealError));
    }

    #[test]
    fn a_root_sealed_under_another_key_derives_what_the_first_key_did() {
        let sealed = key(1).root().seal(&key(2), "two");
        let root = Root::open(&key(2), "two", &sealed).unwrap();
        assert_eq!(root.derive("use", b"id"), key(1).derive("use", b"id"));
        assert_ne!(root.derive("use", b"id"), key(2).derive("use", b"id"));
        // As it was before there were roots.
        let info = tagged_hash("use", &[b"id"]);
        let before = expand(b"shp/v1/seal-derive", &[1; 32], &info);
        assert_eq!(root.derive("use", b"id"), before);
        assert!(Root::open(&key(1), "two", &sealed).is_err());
        assert!(Root::open(&key(2), "one", &sealed).is_err());
    }

    #[test]
    fn equal_texts_do_not_look_equal() {
        let key = key(1);
        assert_ne!(key.seal(&[], b"x"), key.seal(&[], b"x"));
        assert!(!format!("{key:?}").contains('1'));
    }
}
