//! Node to node: sealed and signed messages by topic, answered in kind.
//!
//! A message is one HTTP request, `POST /peer/<topic>`, whose body and answer are [`PeerBox`]es: sealed to the recipient
//! (HPKE), signed by the sender (Ed25519), bound to sender, recipient, topic, direction and the recipient's present run,
//! and taken once. It travels over TLS 1.3 between certificates that each end has pinned; a node takes only its own
//! messages from the node whose certificate it is. A role defines a [`Topic`] and answers it through [`crate::node::Router::answers`]; callers use
//! [`crate::node::Node::call`].

mod directory;
mod envelope;
mod replay;
mod server;
mod tls;

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use contracts::ids::NodeId;
use serde::{Deserialize, Serialize};

pub use directory::Peers;
pub(crate) use directory::{decode, encode};
pub use envelope::{BoxError, Direction, Header, MessageId, PeerBox, RunId};
pub(crate) use server::Inbox;
pub use server::receive;
pub use tls::TlsPeer;
pub(crate) use tls::{Pins, server as server_tls};

/// Largest body of a peer message where its topic names no other cap.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// A kind of message, with its request and response types, their caps and its time-out.
#[derive(Debug)]
pub struct Topic<Req, Resp> {
    name: &'static str,
    max_request: usize,
    max_response: usize,
    timeout: Option<Duration>,
    types: PhantomData<fn(Req) -> Resp>,
}

impl<Req, Resp> Clone for Topic<Req, Resp> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Req, Resp> Copy for Topic<Req, Resp> {}

impl<Req, Resp> Topic<Req, Resp> {
    /// A topic of letters, digits, dots and hyphens, such as `ledger.append`.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            max_request: MAX_MESSAGE_BYTES,
            max_response: MAX_MESSAGE_BYTES,
            timeout: None,
            types: PhantomData,
        }
    }

    /// With caps on the plaintext of request and response, in bytes.
    pub const fn with_caps(mut self, max_request: usize, max_response: usize) -> Self {
        self.max_request = max_request;
        self.max_response = max_response;
        self
    }

    /// With a time-out of its own in place of the configured one.
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Largest plaintext of a request, in bytes.
    pub const fn max_request(&self) -> usize {
        self.max_request
    }

    /// Largest plaintext of a response, in bytes.
    pub const fn max_response(&self) -> usize {
        self.max_response
    }

    /// Its own time-out, if any.
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

/// Bytes of the JSON form of a box around `plaintext` bytes: base64url of the ciphertext, and its frame.
pub(crate) const fn boxed_cap(plaintext: usize) -> usize {
    plaintext / 3 * 4 + 2048
}

/// Why a node does not do what a peer asked. It crosses the wire: it holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// A short name that programs compare, such as `unknown-request`.
    pub code: String,
    /// One line for a person.
    pub detail: String,
}

impl Refusal {
    /// Whether the node only cannot tell now what it signed before, and the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self.code.as_str(), "starting" | "behind" | "unrecorded")
    }

    /// A refusal with a code and one line for a person.
    pub fn new(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            detail: detail.into(),
        }
    }

    /// What came from another node goes into logs and errors: short, and without control characters.
    pub(crate) fn tamed(self) -> Self {
        Self {
            code: tame(&self.code, 64),
            detail: tame(&self.detail, 512),
        }
    }

    /// The node's own failure: the cause goes to its log, not to the peer.
    pub fn internal(cause: &dyn fmt::Display) -> Self {
        tracing::error!(%cause, "could not answer a peer");
        Self::new("internal", "the node failed; see its log")
    }
}

/// At most `length` characters, none of them a control character.
pub(crate) fn tame(text: &str, length: usize) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(length)
        .collect()
}

impl From<crate::db::DbError> for Refusal {
    fn from(error: crate::db::DbError) -> Self {
        Self::internal(&error)
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<crate::keys::KeyError> for Refusal {
    fn from(error: crate::keys::KeyError) -> Self {
        use crate::keys::KeyError;
        match error {
            KeyError::Missing { .. } => Self::new("no-key", error.to_string()),
            KeyError::Changing { .. } => Self::new("changing-epoch", error.to_string()),
            KeyError::InUse { .. } => Self::new("key-in-use", error.to_string()),
            other => Self::internal(&other),
        }
    }
}

/// A call that brought no answer to use; always names the node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// No answer in time, or no connection.
    #[error("node {node} did not answer: {cause}")]
    Silent {
        /// Which node.
        node: NodeId,
        /// What the transport says.
        cause: String,
    },
    /// The node answered that it does not do this.
    #[error("node {node} refused: {refusal}")]
    Refused {
        /// Which node.
        node: NodeId,
        /// Why.
        refusal: Refusal,
    },
    /// The answer is not one of the node's: not signed by it, not for this request, or not of the expected form.
    #[error("node {node} answered what cannot be used: {cause}")]
    Invalid {
        /// Which node.
        node: NodeId,
        /// What is wrong.
        cause: String,
    },
    /// The configuration lists no such node.
    #[error("node {0} is not among the configured peers")]
    Unknown(NodeId),
}

impl PeerError {
    /// The node that did not answer well.
    pub fn node(&self) -> NodeId {
        match self {
            Self::Silent { node, .. }
            | Self::Refused { node, .. }
            | Self::Invalid { node, .. }
            | Self::Unknown(node) => *node,
        }
    }
}
