//! A node that departs from the protocol with real keys, for fault injection in tests.
//!
//! The `oracle` program mounts no [`Tamper`] and has no switch for one; a program that composes a node may, through
//! [`crate::node::Router::tamper`]. An operator can always run a modified node, so nothing depends on the absence of
//! this seam.

use async_trait::async_trait;
use contracts::ids::NodeId;
use futures::future::BoxFuture;

use crate::peer::{PeerError, Refusal};

/// What a peer asked: the topic, who asks, and the request's plaintext.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The topic's name, such as `sign.commit`.
    pub topic: &'static str,
    /// The authenticated sender.
    pub from: NodeId,
    /// The request as it was sealed, JSON.
    pub body: &'a [u8],
}

/// What an honest node would answer; it does its work, stores included, when it is awaited.
pub type Honest = BoxFuture<'static, Result<Vec<u8>, Refusal>>;

/// Departs from what a node says to its peers. What is not overridden stays honest; a node does not lie to itself.
#[async_trait]
pub trait Tamper: Send + Sync {
    /// What goes back to a peer in place of the honest answer. It is sealed and signed as any answer, and not capped.
    async fn answer(&self, asked: Asked<'_>, honest: Honest) -> Result<Vec<u8>, Refusal> {
        let _ = asked;
        honest.await
    }

    /// What is sent to a peer in place of the honest request.
    ///
    /// # Errors
    /// The call's outcome, where nothing is to be sent.
    async fn request(
        &self,
        topic: &'static str,
        to: NodeId,
        honest: Vec<u8>,
    ) -> Result<Vec<u8>, PeerError> {
        let _ = (topic, to);
        Ok(honest)
    }
}
