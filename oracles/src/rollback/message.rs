//! What nodes say to each other about their marks.

use contracts::encoding::{Bytes, tagged_hash};
use contracts::ids::{Committee, NodeId};
use serde::{Deserialize, Serialize};

use crate::keys::NodeIdentity;
use crate::peer::{Peers, Refusal, RunId, Topic};

/// A mark, signed by the node whose it is: a peer that makes up a higher one would shut it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignedMark {
    pub(super) committee: Committee,
    pub(super) mark: u64,
    pub(super) signature: Bytes<64>,
}

impl SignedMark {
    pub(super) fn new(
        node: NodeId,
        committee: Committee,
        mark: u64,
        identity: &NodeIdentity,
    ) -> Self {
        Self {
            committee,
            mark,
            signature: identity.sign(&message(node, committee, mark)),
        }
    }

    pub(super) fn verify(&self, node: NodeId, peers: &Peers) -> bool {
        let message = message(node, self.committee, self.mark);
        peers.verify(node, &message, &self.signature)
    }
}

fn message(node: NodeId, committee: Committee, mark: u64) -> [u8; 32] {
    tagged_hash(
        "shp/v1/rollback-mark",
        &[
            &node.get().to_be_bytes(),
            committee.as_str().as_bytes(),
            &mark.to_be_bytes(),
        ],
    )
}

/// A process starts on a committee: from now on marks of its run count and those of earlier runs do not.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartCall {
    pub(super) committee: Committee,
    pub(super) run: RunId,
}

/// The highest mark of the starting node that this one remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartAnswer {
    pub(super) mark: Option<SignedMark>,
}

/// Marks to be remembered, at most one of each committee.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarkCall {
    pub(super) run: RunId,
    pub(super) marks: Vec<SignedMark>,
}

/// They are remembered durably, but for those refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarkAnswer {
    pub(super) refused: Vec<RefusedMark>,
}

/// A committee whose mark is not remembered, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusedMark {
    pub(super) committee: Committee,
    pub(super) refusal: Refusal,
}

pub(super) const START: Topic<StartCall, StartAnswer> =
    Topic::new("rollback.start").with_caps(512, 1 << 10);
pub(super) const MARK: Topic<MarkCall, MarkAnswer> =
    Topic::new("rollback.marks").with_caps(4 << 10, 4 << 10);
