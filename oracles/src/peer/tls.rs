//! TLS 1.3 between nodes (RFC 8446): each end shows its own certificate and takes the other's only by its pin.
//!
//! There is no authority, no name and no expiry: a certificate is good while its pin stands in the configuration. The
//! possession of its key is verified by the provider's algorithms as for any other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use contracts::ids::NodeId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, ServerConfig, SignatureScheme,
};

use crate::config::PeerConfig;
use crate::http::crypto;
use crate::keys::{NodeIdentity, pin_of};

/// The node at the other end of a connection, by the certificate it showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsPeer(pub NodeId);

/// Which pin is whose.
pub(crate) struct Pins {
    nodes: BTreeMap<[u8; 32], NodeId>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.nodes.values()).finish()
    }
}

impl Pins {
    pub(crate) fn new<'a>(peers: impl Iterator<Item = &'a PeerConfig>) -> Self {
        Self {
            nodes: peers.map(|peer| (peer.tls_pin.0, peer.id)).collect(),
            provider: crypto(),
        }
    }

    /// Whose certificate this is.
    pub(crate) fn node_of(&self, certificate: &CertificateDer<'_>) -> Option<NodeId> {
        self.nodes.get(&pin_of(certificate)?.0).copied()
    }

    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        self.node_of(certificate)
            .map(|_| ())
            .ok_or(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// TLS 1.2 is not offered; a signature of its form is refused all the same.
fn tls12() -> Error {
    Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered)
}

impl ServerCertVerifier for Pins {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Pins {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

/// TLS of the nodes' door: any configured peer, and nobody else.
///
/// # Errors
/// The node's own key or certificate is unusable.
pub(crate) fn server(pins: Arc<Pins>, identity: &NodeIdentity) -> Result<ServerConfig, Error> {
    let tls = identity.tls();
    ServerConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(pins)
        .with_single_cert(vec![tls.certificate().clone()], tls.key())
}

/// TLS to one peer: its certificate, and no other peer's.
///
/// # Errors
/// The node's own key or certificate is unusable.
pub(crate) fn client(to: &PeerConfig, identity: &NodeIdentity) -> Result<ClientConfig, Error> {
    let tls = identity.tls();
    let mut config = ClientConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pins::new(std::iter::once(to))))
        .with_client_auth_cert(vec![tls.certificate().clone()], tls.key())?;
    // The name says nothing to the peer, and more than needed to who reads the network.
    config.enable_sni = false;
    Ok(config)
}
