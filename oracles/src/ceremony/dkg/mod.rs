//! Distributed key generation (RFC 9591 Appendix C names it; the protocol is FROST's, Komlo and Goldberg 2020, §5.1).
//!
//! All n members take part; any configured node coordinates by request and response and is never trusted:
//!
//! 1. *round 1*: each member answers a signed package (commitments, proof of knowledge) and a public key for this
//!    session only.
//! 2. *round 2*: each gets all round-1 packages, and answers a share for every other member, sealed to that member's
//!    session key, with the round-1 packages it saw, all under its signature.
//! 3. *finish*: each gets all round-2 messages, checks that all saw the same, opens and checks its shares, stores the
//!    result as *pending*, and then confirms one transcript hash under its signature.
//! 4. *activate*: each gets all confirmations; with all n the key becomes *active*.
//!
//! A member that gets a bad share discloses its session key: everybody can then open what was sealed to it in this
//! session, which is over, and see who lied. A node that dies at any point leaves no active key, or an active key
//! that the next run completes from the stored confirmations; a run that cannot finish says which node to look at.

mod coordinator;
mod dispute;
mod member;
mod messages;
#[cfg(test)]
mod tests;

use contracts::encoding::Bytes32;
use contracts::ids::NodeId;

use super::KeyId;

pub use coordinator::{Generated, generate, generate_all};
pub use dispute::Accusation;
pub(crate) use member::{Sessions, mount};
pub use messages::{
    Confirmation, Plan, Round1, Round2, Round2Request, SealedShare, Seen, Verdict, share_info,
};

/// A generation that did not finish. No key of it is active anywhere; run it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DkgError {
    /// The configuration lists no such committee.
    #[error("{0}: no such committee in the configuration")]
    NoCommittee(KeyId),
    /// A member did not answer.
    #[error(
        "{key}, {phase}: node {node} did not answer ({cause}); all members are needed: start it and run again"
    )]
    Silent {
        /// Which key.
        key: KeyId,
        /// During which phase.
        phase: &'static str,
        /// Which node.
        node: NodeId,
        /// What the transport says.
        cause: String,
    },
    /// A member refused, or lost the session in a restart.
    #[error("{key}, {phase}: node {node} refused ({cause}); run again")]
    Refused {
        /// Which key.
        key: KeyId,
        /// During which phase.
        phase: &'static str,
        /// Which node.
        node: NodeId,
        /// Why.
        cause: String,
    },
    /// A member lied, provably.
    #[error(
        "{key}, {phase}: node {node} cheated: {cause}; remove or repair it before running again"
    )]
    Cheater {
        /// Which key.
        key: KeyId,
        /// During which phase.
        phase: &'static str,
        /// Which node.
        node: NodeId,
        /// How.
        cause: String,
    },
    /// Members hold different keys of this epoch.
    #[error(
        "{key}: the members hold different keys of epoch {epoch} ({detail}); raise the committee's epoch"
    )]
    Inconsistent {
        /// Which key.
        key: KeyId,
        /// Of which epoch.
        epoch: u64,
        /// Who holds what.
        detail: String,
    },
}

impl DkgError {
    /// The node to look at, where one is named.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::Silent { node, .. } | Self::Refused { node, .. } | Self::Cheater { node, .. } => {
                Some(*node)
            }
            Self::NoCommittee(_) | Self::Inconsistent { .. } => None,
        }
    }
}

/// FROST identifier of a node; none never happens, since node numbers start at 1.
pub(super) fn identifier<C: frost_core::Ciphersuite>(
    node: NodeId,
) -> Option<frost_core::Identifier<C>> {
    frost_core::Identifier::try_from(node.get()).ok()
}

/// A fresh session id.
pub(super) fn fresh_session() -> Bytes32 {
    use rand_core::RngCore;
    let mut session = Bytes32::from([0; 32]);
    rand_core::OsRng.fill_bytes(&mut session.0);
    session
}
