//! The operator key: encrypts what a node stores of its secrets (ChaCha20-Poly1305, RFC 8439).

use std::fmt;
use std::io::Write as _;
use std::path::Path;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce};
use contracts::encoding::{Blob, Bytes, tagged_hash};
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::KeyError;

/// A ciphertext at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedAtRest {
    /// Chosen at random for each record; it makes the record's own key.
    pub salt: Bytes<32>,
    /// Ciphertext and tag.
    pub ciphertext: Blob,
}

/// The key of a node's operator; wiped on drop, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct OperatorKey([u8; 32]);

impl OperatorKey {
    /// Makes a key and writes it to a new file that only its owner may read.
    ///
    /// # Errors
    /// [`KeyError::Exists`], or the file cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let mut key = Self([0; 32]);
        OsRng.fill_bytes(&mut key.0);
        let text = Zeroizing::new(hex::encode(key.0));
        write_new(path, text.as_bytes())?;
        Ok(key)
    }

    /// Reads the key file.
    ///
    /// # Errors
    /// The file cannot be read or is [`KeyError::Malformed`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text =
            Zeroizing::new(
                std::fs::read_to_string(path).map_err(|cause| KeyError::File {
                    file: path.display().to_string(),
                    cause,
                })?,
            );
        let mut key = Self([0; 32]);
        hex::decode_to_slice(text.trim(), &mut key.0)
            .map_err(|_| KeyError::Malformed(path.display().to_string()))?;
        Ok(key)
    }

    /// Encrypts; `label` says what and for whom, and must be the same to decrypt.
    ///
    /// # Panics
    /// Never for the sizes stored here: ChaCha20-Poly1305 takes 256 GB.
    pub fn seal(&self, label: &[&[u8]], plaintext: &[u8]) -> SealedAtRest {
        let mut salt = [0u8; 32];
        OsRng.fill_bytes(&mut salt);
        let aad = tagged_hash("shp/v1/at-rest", label);
        let ciphertext = self
            .cipher(&salt)
            .encrypt(
                &Nonce::default(),
                Payload {
                    msg: plaintext,
                    aad: &aad,
                },
            )
            .expect("records are far below the cipher's limit");
        SealedAtRest {
            salt: Bytes(salt),
            ciphertext: Blob(ciphertext),
        }
    }

    /// Decrypts what [`Self::seal`] made under the same label.
    ///
    /// # Errors
    /// [`KeyError::Sealed`] naming `what`.
    pub fn open(
        &self,
        what: &str,
        label: &[&[u8]],
        sealed: &SealedAtRest,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let aad = tagged_hash("shp/v1/at-rest", label);
        self.cipher(&sealed.salt.0)
            .decrypt(
                &Nonce::default(),
                Payload {
                    msg: &sealed.ciphertext.0,
                    aad: &aad,
                },
            )
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Sealed(what.to_owned()))
    }

    /// A key of this node for one use, named by a tag: for digests of what must not be stored.
    pub fn derive(&self, tag: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(tagged_hash(
            "shp/v1/operator-key",
            &[tag.as_bytes(), &self.0],
        ))
    }

    /// The cipher of one record. A key is used once, so its nonce may be zero; random 96-bit nonces under one key
    /// would bound how often a node may write.
    fn cipher(&self, salt: &[u8; 32]) -> ChaCha20Poly1305 {
        let key = Zeroizing::new(tagged_hash("shp/v1/at-rest-key", &[&self.0, salt]));
        ChaCha20Poly1305::new(Key::from_slice(key.as_ref()))
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorKey")
    }
}

/// Writes a file that must not exist yet, readable by its owner only, and waits until it is on disk.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), KeyError> {
    let failed = |cause: std::io::Error| {
        if cause.kind() == std::io::ErrorKind::AlreadyExists {
            KeyError::Exists(path.display().to_string())
        } else {
            KeyError::File {
                file: path.display().to_string(),
                cause,
            }
        }
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_under_its_key_and_label_only() {
        let folder = tempfile::tempdir().unwrap();
        let key = OperatorKey::create(&folder.path().join("a.key")).unwrap();
        let other = OperatorKey::create(&folder.path().join("b.key")).unwrap();
        let sealed = key.seal(&[b"share", b"1"], b"secret");
        assert_eq!(
            *key.open("x", &[b"share", b"1"], &sealed).unwrap(),
            b"secret"
        );
        assert!(key.open("x", &[b"share", b"2"], &sealed).is_err());
        assert!(other.open("x", &[b"share", b"1"], &sealed).is_err());
        let again = OperatorKey::load(&folder.path().join("a.key")).unwrap();
        assert_eq!(
            *again.open("x", &[b"share", b"1"], &sealed).unwrap(),
            b"secret"
        );
    }

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.key");
        OperatorKey::create(&path).unwrap();
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &std::fs::metadata(&path).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(matches!(
            OperatorKey::create(&path),
            Err(KeyError::Exists(_))
        ));
    }
}
