//! Messages of a change of epoch. Those that are passed on carry their author's signature.

use std::time::Duration;

use contracts::encoding::{Blob, Bytes, Bytes32, tagged_hash};
use contracts::epoch::{EpochChange, EpochStatement};
use contracts::ids::{Committee, NodeId};
use serde::{Deserialize, Serialize};

use crate::ceremony::KeyId;
use crate::ceremony::sign::SignTopic;
use crate::config::MAX_MEMBERS;
use crate::hpke::Sealed;
use crate::keys::NodeIdentity;
use crate::peer::{Peers, Topic};

/// A key that is redistributed, and its old public keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanKey {
    pub(super) key: KeyId,
    /// The old epoch's serialised `PublicKeyPackage`.
    pub(super) public: Blob,
}

/// What is to change; every message is bound to its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// Chosen at random by the coordinator.
    pub(super) session: Bytes32,
    pub(super) committee: Committee,
    pub(super) previous: u64,
    /// The old members and their quorum.
    pub(super) from: Vec<NodeId>,
    pub(super) from_threshold: u16,
    /// The new members and theirs.
    pub(super) to: Vec<NodeId>,
    pub(super) threshold: u16,
    /// Every key of the committee.
    pub(super) keys: Vec<PlanKey>,
}

fn numbers(members: &[NodeId]) -> Vec<u8> {
    members
        .iter()
        .flat_map(|member| member.get().to_be_bytes())
        .collect()
}

impl Plan {
    pub(super) fn epoch(&self) -> u64 {
        self.previous.saturating_add(1)
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        let mut parts: Vec<Vec<u8>> = vec![
            self.session.0.to_vec(),
            self.committee.as_str().as_bytes().to_vec(),
            self.previous.to_be_bytes().to_vec(),
            numbers(&self.from),
            self.from_threshold.to_be_bytes().to_vec(),
            numbers(&self.to),
            self.threshold.to_be_bytes().to_vec(),
        ];
        for key in &self.keys {
            parts.push(key.key.as_str().as_bytes().to_vec());
            parts.push(key.key.suite().as_str().as_bytes().to_vec());
            parts.push(key.public.0.clone());
        }
        tagged_hash(
            "shp/v1/epoch-plan",
            &parts.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        )
    }
}

/// A new member's key for the shares dealt to it in this session; its secret half may be disclosed in a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Offer {
    pub(super) node: NodeId,
    pub(super) session_key: Bytes32,
    pub(super) signature: Bytes<64>,
}

impl Offer {
    fn message(plan: &[u8; 32], node: NodeId, session_key: &Bytes32) -> [u8; 32] {
        tagged_hash(
            "shp/v1/epoch-offer",
            &[plan, &node.get().to_be_bytes(), &session_key.0],
        )
    }

    pub(super) fn new(
        plan: &[u8; 32],
        node: NodeId,
        session_key: Bytes32,
        identity: &NodeIdentity,
    ) -> Self {
        Self {
            node,
            session_key,
            signature: identity.sign(&Self::message(plan, node, &session_key)),
        }
    }

    pub(super) fn is_signed(&self, plan: &[u8; 32], peers: &Peers) -> bool {
        let message = Self::message(plan, self.node, &self.session_key);
        peers.verify(self.node, &message, &self.signature)
    }
}

/// A share sealed to one new member's session key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SealedShare {
    pub(super) to: NodeId,
    pub(super) sealed: Sealed,
}

/// HPKE info of a sealed share.
pub(super) fn share_info(plan: &[u8; 32], key: KeyId, from: NodeId, to: NodeId) -> [u8; 32] {
    tagged_hash(
        "shp/v1/epoch-share",
        &[
            plan,
            key.as_str().as_bytes(),
            &from.get().to_be_bytes(),
            &to.get().to_be_bytes(),
        ],
    )
}

/// One key's part of a deal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DealtKey {
    pub(super) key: KeyId,
    /// `A_i0 … A_i(t′−1)`.
    pub(super) commitments: Vec<Blob>,
    /// A share for every new member, in order.
    pub(super) shares: Vec<SealedShare>,
}

/// An old member's deal of all its shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deal {
    pub(super) node: NodeId,
    /// In order of the plan's keys.
    pub(super) keys: Vec<DealtKey>,
    pub(super) signature: Bytes<64>,
}

impl Deal {
    pub(super) fn digest(&self, plan: &[u8; 32]) -> [u8; 32] {
        let mut parts: Vec<Vec<u8>> = vec![plan.to_vec(), self.node.get().to_be_bytes().to_vec()];
        for key in &self.keys {
            parts.push(key.key.as_str().as_bytes().to_vec());
            parts.extend(key.commitments.iter().map(|it| it.0.clone()));
            for share in &key.shares {
                parts.push(share.to.get().to_be_bytes().to_vec());
                parts.push(share.sealed.enc.0.to_vec());
                parts.push(share.sealed.ciphertext.0.clone());
            }
        }
        tagged_hash(
            "shp/v1/epoch-deal",
            &parts.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        )
    }

    pub(super) fn sign(mut self, plan: &[u8; 32], identity: &NodeIdentity) -> Self {
        self.signature = identity.sign(&self.digest(plan));
        self
    }

    pub(super) fn is_signed(&self, plan: &[u8; 32], peers: &Peers) -> bool {
        peers.verify(self.node, &self.digest(plan), &self.signature)
    }
}

/// The hash that all new members confirm: the plan, the offers and the deals used, as signed.
pub(super) fn transcript(plan: &[u8; 32], offers: &[Offer], deals: &[Deal]) -> Bytes32 {
    let mut parts: Vec<Vec<u8>> = vec![plan.to_vec()];
    for offer in offers {
        parts.push(Offer::message(plan, offer.node, &offer.session_key).to_vec());
        parts.push(offer.signature.0.to_vec());
    }
    for deal in deals {
        parts.push(deal.digest(plan).to_vec());
        parts.push(deal.signature.0.to_vec());
    }
    tagged_hash(
        "shp/v1/epoch-transcript",
        &parts.iter().map(Vec::as_slice).collect::<Vec<_>>(),
    )
    .into()
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DealRequest {
    pub(super) plan: Plan,
    /// Of every new member, in order.
    pub(super) offers: Vec<Offer>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrepareRequest {
    pub(super) plan: Plan,
    pub(super) offers: Vec<Offer>,
    /// Of t old members, ascending.
    pub(super) deals: Vec<Deal>,
}

/// A new member's answer to a set of deals.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub(super) enum Prepared {
    /// Its new shares are stored; it signs what the old epoch is to say.
    Confirmed(Confirmed),
    /// A dealer cheated.
    Accused {
        dealer: NodeId,
        /// The secret half of the accuser's session key, so that anybody can open what it was dealt.
        session_secret: Bytes32,
    },
}

/// A new member's signature that it has stored its shares under this statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmed {
    pub(super) node: NodeId,
    pub(super) statement: EpochStatement,
    pub(super) signature: Bytes<64>,
}

impl Confirmed {
    fn message(node: NodeId, statement: &EpochStatement) -> [u8; 32] {
        tagged_hash(
            "shp/v1/epoch-confirm",
            &[&node.get().to_be_bytes(), &statement.message()],
        )
    }

    pub(super) fn new(node: NodeId, statement: EpochStatement, identity: &NodeIdentity) -> Self {
        Self {
            node,
            signature: identity.sign(&Self::message(node, &statement)),
            statement,
        }
    }
}

/// Every new member's confirmation of one statement: what an old member needs to vote for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ballot {
    pub(super) statement: EpochStatement,
    /// In order of the statement's members.
    pub(super) confirmations: Vec<(NodeId, Bytes<64>)>,
}

impl Ballot {
    pub(super) fn is_confirmed(&self, peers: &Peers) -> bool {
        self.confirmations
            .iter()
            .map(|(node, _)| *node)
            .eq(self.statement.members.iter().copied())
            && self.confirmations.iter().all(|(node, signature)| {
                Self::is_signed_by(&self.statement, *node, signature, peers)
            })
    }

    pub(super) fn is_signed_by(
        statement: &EpochStatement,
        node: NodeId,
        signature: &Bytes<64>,
        peers: &Peers,
    ) -> bool {
        peers.verify(node, &Confirmed::message(node, statement), signature)
    }
}

/// Asks what a node knows of a committee's epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusRequest {
    pub(super) committee: Committee,
    /// The epoch that the asker knows.
    pub(super) known: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Status {
    /// The change to the epoch after the asker's, if this node knows it.
    pub(super) next: Option<EpochChange>,
    /// What this node votes for as its successor.
    pub(super) ballot: Option<Ballot>,
}

/// How a committee is to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// To the members of the configuration.
    Reshare,
    /// New shares for the same members.
    Refresh,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeadRequest {
    pub(super) committee: Committee,
    pub(super) kind: Kind,
}

/// A change that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    /// The change, as it stands in the ledger.
    pub change: EpochChange,
    /// Old members whose deals were wrong and not used, and how.
    pub cheaters: Vec<(NodeId, String)>,
    /// Nodes that have not switched yet; they do so by themselves when they are back.
    pub behind: Vec<NodeId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {}

/// Bytes of JSON per share or commitment, with room.
const ITEM: usize = 512;
const SMALL: usize = 16 * 1024;
/// A statement, or a plan: a package of so many members, twice over.
const LARGE: usize = SMALL + 4 * MAX_MEMBERS * ITEM;
const DEALS: usize = SMALL + 4 * MAX_MEMBERS * ITEM;
const TIMEOUT: Duration = Duration::from_secs(10);
/// A change takes several rounds, and at most f + 1 times.
const LEAD_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) const STATUS: Topic<StatusRequest, Status> =
    Topic::new("epoch.status").with_caps(SMALL, 4 * LARGE);
pub(super) const OFFER: Topic<Plan, Offer> = Topic::new("epoch.offer").with_caps(LARGE, SMALL);
pub(super) const DEAL: Topic<DealRequest, Deal> = Topic::new("epoch.deal")
    .with_caps(2 * LARGE, DEALS)
    .with_timeout(TIMEOUT);
pub(super) const PREPARE: Topic<PrepareRequest, Prepared> = Topic::new("epoch.prepare")
    .with_caps(2 * LARGE + MAX_MEMBERS * DEALS, LARGE)
    .with_timeout(TIMEOUT);
/// A statement that the old quorum signed; with a receipt, the order to switch.
pub(super) const COMMIT: Topic<EpochChange, Done> = Topic::new("epoch.commit")
    .with_caps(2 * LARGE, SMALL)
    .with_timeout(TIMEOUT);
pub(super) const LEAD: Topic<LeadRequest, Changed> = Topic::new("epoch.lead")
    .with_caps(SMALL, 2 * LARGE)
    .with_timeout(LEAD_TIMEOUT);
/// The statement of a new epoch, signed by the old one's quorum.
pub(crate) const STATEMENT: SignTopic<Ballot> = SignTopic::new("epoch.statement");
