//! A node's TLS key pair and self-signed certificate, by which its peers know it.

use std::fmt;
use std::sync::Arc;

use contracts::encoding::{Blob, Bytes32};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ED25519};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ParsedCertificate;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::KeyError;

/// The name in every certificate. Nobody compares it: the key is what is pinned.
const NAME: &str = "oracle.node";

/// The pin of a certificate: SHA-256 of its SubjectPublicKeyInfo (RFC 5280 §4.1, RFC 7469 §2.4). None for what is no
/// certificate.
pub fn pin_of(certificate: &CertificateDer<'_>) -> Option<Bytes32> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let digest = Sha256::digest(parsed.subject_public_key_info().as_ref());
    Some(Bytes32::from(<[u8; 32]>::from(digest)))
}

/// An Ed25519 key and the certificate it signed for itself. The secret is wiped on drop and never printed.
#[derive(Clone)]
pub struct TlsIdentity {
    certificate: CertificateDer<'static>,
    key: Arc<Zeroizing<Vec<u8>>>,
    pin: Bytes32,
}

impl TlsIdentity {
    /// A fresh pair.
    ///
    /// # Panics
    /// When the system gives no randomness.
    pub fn generate() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("the system gives randomness");
        let mut params =
            CertificateParams::new(vec![NAME.to_owned()]).expect("the name is a DNS name");
        params.distinguished_name = DistinguishedName::new();
        let certificate = params
            .self_signed(&key)
            .expect("a key signs its own certificate");
        let secret = Zeroizing::new(key.serialize_der());
        Self::new(certificate.der().clone(), secret).expect("a certificate just made parses")
    }

    fn new(certificate: CertificateDer<'static>, key: Zeroizing<Vec<u8>>) -> Option<Self> {
        Some(Self {
            pin: pin_of(&certificate)?,
            certificate,
            key: Arc::new(key),
        })
    }

    /// From what [`Self::certificate`] and [`Self::secret`] gave.
    pub(super) fn from_parts(
        file: &str,
        certificate: &Blob,
        key: Zeroizing<Vec<u8>>,
    ) -> Result<Self, KeyError> {
        Self::new(CertificateDer::from(certificate.0.clone()), key)
            .ok_or_else(|| KeyError::Malformed(file.to_owned()))
    }

    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What peers pin: see [`pin_of`].
    pub fn pin(&self) -> Bytes32 {
        self.pin
    }

    /// The secret key, PKCS #8.
    pub(super) fn secret(&self) -> &[u8] {
        &self.key
    }

    /// The secret key as rustls takes it; rustls keeps its own copy.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.to_vec()))
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsIdentity({})", self.pin)
    }
}
