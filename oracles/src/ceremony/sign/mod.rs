//! Threshold signing (FROST, RFC 9591), robust: ask all, go on with the first t good answers, name culprits, retry
//! without them; every wait is bounded.
//!
//! Nobody signs bytes handed to them. The coordinator sends a *context* (which request, which batch), and every signer
//! rebuilds the messages through the [`MessageSource`] its role registered for the key and topic, from what the signer
//! itself checked and stored. A ceremony may sign several messages at once.

mod coordinator;
mod nonces;
mod signer;
#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use contracts::encoding::tagged_hash;
use contracts::ids::NodeId;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::KeyId;
use crate::keys::KeyError;
use crate::node::Node;
use crate::peer::{PeerError, Refusal};
use crate::problem::{Problem, QuorumFailure};

pub use coordinator::sign;
pub(crate) use nonces::NonceStore;
pub(crate) use signer::mount;

/// Most messages one ceremony signs.
pub const MAX_MESSAGES: usize = 64;
/// Largest message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Largest context, in bytes of JSON.
pub const MAX_CONTEXT_BYTES: usize = 512 * 1024;

/// A kind of thing that is signed, and the context that names one of it, such as `attest.root`.
#[derive(Debug)]
pub struct SignTopic<C> {
    name: &'static str,
    context: PhantomData<fn(C)>,
}

impl<C> Clone for SignTopic<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for SignTopic<C> {}

impl<C> SignTopic<C> {
    /// A topic.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            context: PhantomData,
        }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// Which key is to sign, and who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignCall {
    /// The key.
    pub key: KeyId,
    /// Its epoch, part of what committees sign.
    pub epoch: u64,
    /// The node that coordinates; authenticated, not trusted.
    pub coordinator: NodeId,
}

/// Rebuilds what a context stands for. Called at every signer, the coordinator included; the same context gives the
/// same messages at every honest signer, or a refusal. It may be called more than once for one context.
#[async_trait]
pub trait MessageSource<C>: Send + Sync {
    /// The messages to sign, 1 to [`MAX_MESSAGES`] of them, in an order that follows from the context.
    async fn messages(
        &self,
        node: &Arc<Node>,
        call: SignCall,
        context: C,
    ) -> Result<Vec<Vec<u8>>, Refusal>;
}

/// A message source without its context's type.
pub(crate) type ErasedSource = Box<
    dyn Fn(Arc<Node>, SignCall, Value) -> BoxFuture<'static, Result<Vec<Vec<u8>>, Refusal>>
        + Send
        + Sync,
>;

pub(crate) fn erase<C, S>(source: S) -> ErasedSource
where
    C: DeserializeOwned + Send + 'static,
    S: MessageSource<C> + 'static,
{
    let source = Arc::new(source);
    Box::new(move |node, call, context| {
        let source = Arc::clone(&source);
        async move {
            let context: C = serde_json::from_value(context)
                .map_err(|_| Refusal::new("malformed", "the context is not one of this topic"))?;
            source.messages(&node, call, context).await
        }
        .boxed()
    })
}

/// What a ceremony brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Epoch of the key.
    pub epoch: u64,
    /// The messages, as the coordinator rebuilt them.
    pub messages: Vec<Vec<u8>>,
    /// A signature per message, as the suite encodes it: 64 bytes for Ed25519 (RFC 8032), 65 for secp256k1 (R ‖ z).
    /// Each was verified under the group key.
    pub signatures: Vec<Vec<u8>>,
    /// Who signed.
    pub signers: Vec<NodeId>,
    /// Who did not, of those whose failure was seen before the ceremony ended.
    pub faults: Vec<Fault>,
}

/// A node's failure in a ceremony.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which node.
    pub node: NodeId,
    /// What it did.
    pub kind: FaultKind,
}

/// What a node did in place of answering well.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// No answer in time, or no connection.
    Silent,
    /// It refused.
    Refused(Refusal),
    /// It rebuilt other messages from the same context than the coordinator did.
    Disagrees,
    /// Its answer cannot be used.
    Invalid(String),
    /// Its signature share is wrong: provably, against its verification share.
    WrongShare,
}

impl FaultKind {
    /// One word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Refused(_) => "refused",
            Self::Disagrees => "disagrees",
            Self::Invalid(_) => "invalid",
            Self::WrongShare => "wrong-share",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node;
        match &self.kind {
            FaultKind::Silent => write!(f, "node {node} did not answer"),
            FaultKind::Refused(refusal) => write!(f, "node {node} refused ({refusal})"),
            FaultKind::Disagrees => write!(f, "node {node} rebuilt other messages"),
            FaultKind::Invalid(cause) => {
                write!(f, "node {node} answered what cannot be used: {cause}")
            }
            FaultKind::WrongShare => write!(f, "node {node} gave a wrong signature share"),
        }
    }
}

impl From<PeerError> for Fault {
    fn from(error: PeerError) -> Self {
        let node = error.node();
        let kind = match error {
            PeerError::Silent { .. } | PeerError::Unknown(_) => FaultKind::Silent,
            PeerError::Refused { refusal, .. } => FaultKind::Refused(refusal),
            PeerError::Invalid { cause, .. } => FaultKind::Invalid(cause),
        };
        Self { node, kind }
    }
}

/// A ceremony that brought no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// This node does not sit on the committee, or has no share.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is not one that signs.
    #[error("the {0} key does not sign")]
    NotSigning(KeyId),
    /// The coordinator itself would not sign this.
    #[error("this node does not sign this: {0}")]
    Own(Refusal),
    /// Too few good answers.
    #[error("{key}: {} of {needed} signers; {}", .good.len(), list(.faults))]
    NotEnough {
        /// Which key.
        key: KeyId,
        /// Signers needed.
        needed: u16,
        /// Nodes that answered well.
        good: Vec<NodeId>,
        /// What the others did.
        faults: Vec<Fault>,
    },
    /// A request that cannot be sent.
    #[error("the context has no JSON form, or one above {MAX_CONTEXT_BYTES} bytes")]
    Context,
}

fn list(faults: &[Fault]) -> String {
    faults
        .iter()
        .map(Fault::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

impl SignError {
    /// Whether the same call may succeed later: nodes were missing, nothing was refused for good.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::NotEnough { .. })
    }
}

impl From<SignError> for Problem {
    fn from(error: SignError) -> Self {
        match error {
            SignError::NotEnough {
                key,
                needed,
                good,
                faults,
            } => {
                let of = |wanted: fn(&FaultKind) -> bool| {
                    let mut nodes: Vec<_> = faults
                        .iter()
                        .filter(|fault| wanted(&fault.kind))
                        .map(|fault| fault.node)
                        .collect();
                    nodes.sort();
                    nodes.dedup();
                    nodes
                };
                Self::quorum(QuorumFailure {
                    committee: key.to_string(),
                    needed,
                    answered: good,
                    silent: of(|kind| matches!(kind, FaultKind::Silent)),
                    refused: of(|kind| {
                        matches!(kind, FaultKind::Refused(_) | FaultKind::Disagrees)
                    }),
                    culprits: of(|kind| {
                        matches!(kind, FaultKind::WrongShare | FaultKind::Invalid(_))
                    }),
                })
            }
            SignError::Own(refusal) => Self::forbidden(&refusal.code, refusal.detail),
            other => {
                tracing::error!(error = %other, "could not sign");
                Self::internal()
            }
        }
    }
}

/// Digest by which coordinator and signers see that they mean the same messages.
fn digest(messages: &[Vec<u8>]) -> [u8; 32] {
    let parts: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    tagged_hash("shp/v1/sign-messages", &parts)
}
