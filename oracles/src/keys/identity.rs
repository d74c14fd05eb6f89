//! Who a node is to its peers and owners: an Ed25519 key that signs its messages, an X25519 key that opens them, and the
//! TLS key of its connections to peers.

use std::fmt;
use std::path::Path;

use contracts::encoding::{Blob, Bytes, Bytes32};
use ed25519_dalek::{Signer, SigningKey};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::operator::write_new;
use super::{KeyError, OperatorKey, SealedAtRest, TlsIdentity};
use crate::hpke::NodeKeyPair;

const LABEL: &[&[u8]] = &[b"node-identity"];

/// A node's public keys, as `oracle init` prints them and every node's configuration lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKeys {
    /// Ed25519.
    pub identity_key: Bytes32,
    /// X25519.
    pub hpke_key: Bytes32,
    /// SHA-256 of the SubjectPublicKeyInfo of its TLS certificate.
    pub tls_pin: Bytes32,
}

/// A node's own key pairs. The secrets are wiped on drop and never printed.
#[derive(Clone)]
pub struct NodeIdentity {
    signing: SigningKey,
    hpke: NodeKeyPair,
    tls: TlsIdentity,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityFile {
    identity_key: Bytes32,
    hpke_key: Bytes32,
    tls_certificate: Blob,
    secrets: SealedAtRest,
}

impl NodeIdentity {
    /// Fresh keys.
    pub fn generate() -> Self {
        Self {
            signing: SigningKey::generate(&mut OsRng),
            hpke: NodeKeyPair::generate(),
            tls: TlsIdentity::generate(),
        }
    }

    /// Writes the keys to a new file, the secrets under the operator key.
    ///
    /// # Errors
    /// [`KeyError::Exists`], or the file cannot be written.
    pub fn save(&self, path: &Path, operator: &OperatorKey) -> Result<(), KeyError> {
        let tls = self.tls.secret();
        let mut secrets = Zeroizing::new(Vec::with_capacity(64 + tls.len()));
        secrets.extend_from_slice(self.signing.as_bytes());
        secrets.extend_from_slice(self.hpke.secret().as_ref());
        secrets.extend_from_slice(tls);
        let file = IdentityFile {
            identity_key: self.identity_key(),
            hpke_key: *self.hpke.public(),
            tls_certificate: Blob(self.tls.certificate().to_vec()),
            secrets: operator.seal(LABEL, &secrets),
        };
        let text = serde_json::to_vec_pretty(&file)
            .map_err(|_| KeyError::Malformed(path.display().to_string()))?;
        write_new(path, &text)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// The file cannot be read, or was sealed under another operator key.
    pub fn load(path: &Path, operator: &OperatorKey) -> Result<Self, KeyError> {
        let name = path.display().to_string();
        let text = std::fs::read(path).map_err(|cause| KeyError::File {
            file: name.clone(),
            cause,
        })?;
        let file: IdentityFile =
            serde_json::from_slice(&text).map_err(|_| KeyError::Malformed(name.clone()))?;
        let secrets = operator.open(&name, LABEL, &file.secrets)?;
        let malformed = || KeyError::Malformed(name.clone());
        let (signing, rest) = secrets.split_at_checked(32).ok_or_else(malformed)?;
        let (hpke, tls) = rest.split_at_checked(32).ok_or_else(malformed)?;
        let fixed = |bytes: &[u8]| -> Result<Zeroizing<[u8; 32]>, KeyError> {
            bytes
                .try_into()
                .map(Zeroizing::new)
                .map_err(|_| malformed())
        };
        let tls = Zeroizing::new(tls.to_vec());
        Ok(Self {
            signing: SigningKey::from_bytes(&*fixed(signing)?),
            hpke: NodeKeyPair::from_secret(fixed(hpke)?),
            tls: TlsIdentity::from_parts(&name, &file.tls_certificate, tls)?,
        })
    }

    /// The Ed25519 public key.
    pub fn identity_key(&self) -> Bytes32 {
        self.signing.verifying_key().to_bytes().into()
    }

    /// The X25519 key pair.
    pub fn hpke(&self) -> &NodeKeyPair {
        &self.hpke
    }

    /// The TLS key and certificate.
    pub fn tls(&self) -> &TlsIdentity {
        &self.tls
    }

    /// What every node's configuration lists of it.
    pub fn public_keys(&self) -> PublicKeys {
        PublicKeys {
            identity_key: self.identity_key(),
            hpke_key: *self.hpke.public(),
            tls_pin: self.tls.pin(),
        }
    }

    /// Signs with the Ed25519 key (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Bytes<64> {
        Bytes(self.signing.sign(message).to_bytes())
    }
}

impl fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeIdentity({})", self.identity_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_a_restart_and_is_sealed_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let operator = OperatorKey::create(&folder.path().join("operator.key")).unwrap();
        let identity = NodeIdentity::generate();
        let path = folder.path().join("identity.sealed");
        identity.save(&path, &operator).unwrap();
        let again = NodeIdentity::load(&path, &operator).unwrap();
        assert_eq!(again.sign(b"x"), identity.sign(b"x"));
        assert_eq!(again.public_keys(), identity.public_keys());
        assert_eq!(again.tls().key(), identity.tls().key());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&Bytes32::from(*identity.hpke().secret()).to_string()));
        let other = OperatorKey::create(&folder.path().join("other.key")).unwrap();
        assert!(matches!(
            NodeIdentity::load(&path, &other),
            Err(KeyError::Sealed(_))
        ));
    }
}
