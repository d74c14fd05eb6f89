//! The envelope of a peer message.

use contracts::encoding::{Bytes, tagged_hash};
use contracts::ids::NodeId;
use contracts::units::UnixTime;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::PeerConfig;
use crate::hpke::{self, Sealed};
use crate::keys::NodeIdentity;

/// Names one run of a node's process: chosen at random at start, so that messages to an earlier run are worthless.
pub type RunId = Bytes<16>;
/// Names one message; chosen at random by the sender.
pub type MessageId = Bytes<16>;

/// Whether a box asks or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Asks.
    Request,
    /// Answers; carries the message id of the request.
    Response,
}

impl Direction {
    fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Request => b"request",
            Self::Response => b"response",
        }
    }
}

/// What a box is bound to: all of it is signed, and all of it must be the same to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Asks or answers.
    pub direction: Direction,
    /// The sender.
    pub from: NodeId,
    /// The recipient.
    pub to: NodeId,
    /// The topic.
    pub topic: String,
    /// The run of the node that is asked.
    pub run: RunId,
    /// The message.
    pub message: MessageId,
    /// When it was sealed, by the sender's clock.
    pub issued_at: UnixTime,
    /// Epoch of the recipient's HPKE key.
    pub key_epoch: u64,
}

impl Header {
    fn hash(&self, tag: &str) -> [u8; 32] {
        tagged_hash(
            tag,
            &[
                self.direction.as_bytes(),
                &self.from.get().to_be_bytes(),
                &self.to.get().to_be_bytes(),
                self.topic.as_bytes(),
                &self.run.0,
                &self.message.0,
                &self.issued_at.0.to_be_bytes(),
                &self.key_epoch.to_be_bytes(),
            ],
        )
    }
}

/// A sealed, signed peer message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerBox {
    /// What it is bound to.
    pub header: Header,
    /// The message, sealed to the recipient.
    pub sealed: Sealed,
    /// The sender's Ed25519 signature over header and ciphertext.
    pub signature: Bytes<64>,
}

/// A box that is not what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BoxError {
    /// The recipient's configured HPKE key is unusable.
    #[error("the recipient's configured HPKE key is unusable")]
    Recipient,
    /// Not signed by the node it names.
    #[error("not signed by the node it names")]
    Signature,
    /// Does not open: sealed to another key, or under another header.
    #[error("does not open with this node's key")]
    Open,
}

impl PeerBox {
    /// Seals to a peer and signs.
    ///
    /// # Errors
    /// [`BoxError::Recipient`].
    pub fn seal(
        identity: &NodeIdentity,
        header: Header,
        to: &PeerConfig,
        plaintext: &[u8],
    ) -> Result<Self, BoxError> {
        let info = header.hash("shp/v1/peer-info");
        let sealed =
            hpke::seal(&to.hpke_key, &info, b"", plaintext).map_err(|_| BoxError::Recipient)?;
        let signature = identity.sign(&signed_message(&header, &sealed));
        Ok(Self {
            header,
            sealed,
            signature,
        })
    }

    /// Verifies that `from` signed the box, then opens it.
    ///
    /// # Errors
    /// [`BoxError::Signature`] or [`BoxError::Open`].
    pub fn open(
        &self,
        identity: &NodeIdentity,
        from: &PeerConfig,
    ) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        verify(
            from,
            &signed_message(&self.header, &self.sealed),
            &self.signature,
        )
        .ok_or(BoxError::Signature)?;
        identity
            .hpke()
            .open(&self.header.hash("shp/v1/peer-info"), b"", &self.sealed)
            .map_err(|_| BoxError::Open)
    }
}

fn signed_message(header: &Header, sealed: &Sealed) -> [u8; 32] {
    tagged_hash(
        "shp/v1/peer-box",
        &[
            &header.hash("shp/v1/peer-header"),
            &sealed.enc.0,
            &sealed.ciphertext.0,
        ],
    )
}

/// Verifies a peer's Ed25519 signature (RFC 8032, strict: no small-order keys, one encoding).
pub(crate) fn verify(peer: &PeerConfig, message: &[u8], signature: &Bytes<64>) -> Option<()> {
    let key = VerifyingKey::from_bytes(&peer.identity_key.0).ok()?;
    key.verify_strict(message, &Signature::from_bytes(&signature.0))
        .ok()
}
