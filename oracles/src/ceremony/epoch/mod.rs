//! A committee's change of epoch: fresh shares of the same key, for the same members (*refresh*) or others (*reshare*).
//!
//! 1. *Offer*: every new member makes a key for this session. *Deal*: old members deal their shares (`sharing`), sealed
//!    to those keys. *Prepare*: new members check the deals of t dealers, store the sums as pending, and each confirms one
//!    [`EpochStatement`](contracts::epoch::EpochStatement), which holds the transcript's hash. A dealer that cheats is
//!    named with proof, and the ceremony starts again without it.
//! 2. *Vote*: an old member that holds every new member's confirmation writes the ballot down and from then on signs
//!    nothing else in the old epoch. It votes for one successor of an epoch, ever. A quorum's votes are the group's
//!    signature over the statement. Quorums share an honest member, so an epoch has one successor.
//! 3. *Commit*: the signed statement is entered in the ledger and sent to every node. A node switches in one transaction:
//!    new share in use, old share erased. Newcomers adopt the signing memory of old members first (`memory`).
//!
//! Until step 2 the old epoch is whole and pending shares sign nothing; after it the new one is decided. Who crashed
//! between learns of it from any node that knows, and a voter whose coordinator died brings the ballot to its end.

mod commit;
mod coordinator;
mod member;
mod memory;
mod messages;
mod sharing;
#[cfg(test)]
mod tests;
mod vote;

use contracts::ids::{Committee, NodeId};

pub use commit::RefreshConfig;
pub(crate) use commit::{Announced, run};
pub use coordinator::request;
pub(crate) use member::Sessions;
pub(crate) use messages::STATEMENT;
pub use messages::{Changed, Kind};

use crate::keys::KeyError;
use crate::node::Router;

/// A change of epoch that did not come to its end. The old epoch stays in use unless the error says that the new one is
/// decided; then it is completed by the nodes themselves.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The configuration lists no such committee, or it has no key yet.
    #[error("{0}: no such committee in the configuration, or no key yet: run `oracle dkg`")]
    NoCommittee(Committee),
    /// The configuration lists the members that the committee has.
    #[error(
        "{0}: the configuration lists the present members: write the new ones in every node's file and restart them, \
         or refresh"
    )]
    NothingToDo(Committee),
    /// A new member did not take part; all of them must.
    #[error("{committee}, {phase}: new member {node} {cause}; start or replace it and run again")]
    Member {
        /// The committee.
        committee: Committee,
        /// During which phase.
        phase: &'static str,
        /// Which node.
        node: NodeId,
        /// What it did.
        cause: String,
    },
    /// A new member lied about a dealer, provably.
    #[error("{committee}: new member {node} cheated: {cause}; replace it and run again")]
    Cheater {
        /// The committee.
        committee: Committee,
        /// Which node.
        node: NodeId,
        /// How.
        cause: String,
    },
    /// Too few old members dealt their shares.
    #[error("{committee}: {} of {needed} dealers; {}", .good.len(), .failures.join("; "))]
    Dealers {
        /// The committee.
        committee: Committee,
        /// Dealers needed.
        needed: u16,
        /// Old members whose deals are good.
        good: Vec<NodeId>,
        /// What the others did.
        failures: Vec<String>,
    },
    /// The old epoch did not sign, or the ledger did not take the statement.
    #[error("{committee}: prepared, and not yet in force: {cause}; run again to complete it")]
    Pending {
        /// The committee.
        committee: Committee,
        /// What failed.
        cause: String,
    },
    /// This node's keys or database.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Nobody led the change.
    #[error("{0}")]
    Lead(String),
}

/// Registers what a node answers, and the source of what the old epoch signs.
pub(crate) fn mount(router: &mut Router) {
    member::mount(router);
    vote::mount(router);
    commit::mount(router);
    coordinator::mount(router);
    memory::mount(router);
}
