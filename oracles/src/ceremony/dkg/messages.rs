//! Messages of a key generation. Those that are passed on carry their author's signature.

use contracts::encoding::{Blob, Bytes, Bytes32, tagged_hash};
use contracts::ids::NodeId;
use serde::{Deserialize, Serialize};

use super::dispute::Accusation;
use crate::ceremony::KeyId;
use crate::config::MAX_MEMBERS;
use crate::hpke::Sealed;
use crate::keys::{KeyStatus, NodeIdentity};
use crate::peer::{Peers, Topic};

/// What is to be generated; every message is bound to its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Chosen at random by the coordinator.
    pub session: Bytes32,
    /// Which key.
    pub key: KeyId,
    /// Of which epoch.
    pub epoch: u64,
    /// All members, ascending.
    pub members: Vec<NodeId>,
    /// Shares needed.
    pub threshold: u16,
}

impl Plan {
    /// Hash of all of it, and of the suite.
    pub fn hash(&self) -> [u8; 32] {
        let members: Vec<u8> = self
            .members
            .iter()
            .flat_map(|member| member.get().to_be_bytes())
            .collect();
        tagged_hash(
            "shp/v1/dkg-plan",
            &[
                &self.session.0,
                self.key.as_str().as_bytes(),
                self.key.suite().as_str().as_bytes(),
                &self.epoch.to_be_bytes(),
                &members,
                &self.threshold.to_be_bytes(),
            ],
        )
    }
}

/// Round 1: commitments and proof of knowledge, and a public key for this session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round1 {
    /// The author.
    pub node: NodeId,
    /// Serialised `dkg::round1::Package`.
    pub package: Blob,
    /// X25519 key for shares of this session only; its secret half may be disclosed in a dispute.
    pub session_key: Bytes32,
    /// The author's signature over plan, author and [`Self::digest`].
    pub signature: Bytes<64>,
}

impl Round1 {
    /// Hash of the content.
    pub fn digest(&self) -> Bytes32 {
        tagged_hash(
            "shp/v1/dkg-package",
            &[&self.package.0, &self.session_key.0],
        )
        .into()
    }

    fn unsigned(&self) -> Seen {
        Seen {
            node: self.node,
            digest: self.digest(),
            signature: self.signature,
        }
    }

    /// Signs it as its author, under a plan's hash.
    pub fn sign(mut self, plan: &[u8; 32], identity: &NodeIdentity) -> Self {
        self.signature = identity.sign(&self.unsigned().message(plan));
        self
    }

    pub(super) fn is_signed(&self, plan: &[u8; 32], peers: &Peers) -> bool {
        self.unsigned().is_signed(plan, peers)
    }

    pub(super) fn seen(&self) -> Seen {
        self.unsigned()
    }
}

/// Evidence of which round-1 package a member was given: its hash and its author's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The author.
    pub node: NodeId,
    /// [`Round1::digest`].
    pub digest: Bytes32,
    /// The author's signature over plan, author and digest.
    pub signature: Bytes<64>,
}

impl Seen {
    fn message(&self, plan: &[u8; 32]) -> [u8; 32] {
        tagged_hash(
            "shp/v1/dkg-round1",
            &[plan, &self.node.get().to_be_bytes(), &self.digest.0],
        )
    }

    /// Whether its author signed it under this plan.
    pub fn is_signed(&self, plan: &[u8; 32], peers: &Peers) -> bool {
        peers.verify(self.node, &self.message(plan), &self.signature)
    }
}

/// A share sealed to one member's session key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedShare {
    /// The recipient.
    pub to: NodeId,
    /// Serialised `dkg::round2::Package`, sealed.
    pub sealed: Sealed,
}

/// HPKE info of a sealed share.
pub fn share_info(plan: &[u8; 32], from: NodeId, to: NodeId) -> [u8; 32] {
    tagged_hash(
        "shp/v1/dkg-share",
        &[plan, &from.get().to_be_bytes(), &to.get().to_be_bytes()],
    )
}

/// Round 2: shares for all others, and which round-1 packages they answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round2 {
    /// The author.
    pub node: NodeId,
    /// The round-1 packages it saw, in order of the members.
    pub seen: Vec<Seen>,
    /// A share for every other member, in order.
    pub shares: Vec<SealedShare>,
    /// The author's signature over [`Self::message`].
    pub signature: Bytes<64>,
}

impl Round2 {
    /// What is signed.
    pub fn message(&self, plan: &[u8; 32]) -> [u8; 32] {
        let mut parts: Vec<Vec<u8>> = vec![plan.to_vec(), self.node.get().to_be_bytes().to_vec()];
        for seen in &self.seen {
            parts.extend([
                seen.node.get().to_be_bytes().to_vec(),
                seen.digest.0.to_vec(),
                seen.signature.0.to_vec(),
            ]);
        }
        for share in &self.shares {
            parts.extend([
                share.to.get().to_be_bytes().to_vec(),
                share.sealed.enc.0.to_vec(),
                share.sealed.ciphertext.0.clone(),
            ]);
        }
        tagged_hash(
            "shp/v1/dkg-round2",
            &parts.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        )
    }

    /// Signs it as its author, under a plan's hash.
    pub fn sign(mut self, plan: &[u8; 32], identity: &NodeIdentity) -> Self {
        self.signature = identity.sign(&self.message(plan));
        self
    }

    pub(super) fn is_signed(&self, plan: &[u8; 32], peers: &Peers) -> bool {
        peers.verify(self.node, &self.message(plan), &self.signature)
    }
}

/// The hash that all members confirm: the plan, both rounds as signed, and the resulting public key package.
pub(super) fn transcript(
    plan: &[u8; 32],
    round1: &[Round1],
    round2: &[Round2],
    public_package: &[u8],
) -> Bytes32 {
    let mut parts: Vec<Vec<u8>> = vec![plan.to_vec()];
    for message in round1 {
        parts.extend([
            message.node.get().to_be_bytes().to_vec(),
            message.digest().0.to_vec(),
            message.signature.0.to_vec(),
        ]);
    }
    for message in round2 {
        parts.extend([message.message(plan).to_vec(), message.signature.0.to_vec()]);
    }
    parts.push(public_package.to_vec());
    tagged_hash(
        "shp/v1/dkg-transcript",
        &parts.iter().map(Vec::as_slice).collect::<Vec<_>>(),
    )
    .into()
}

/// A member's signature that it has stored its share under this transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The member.
    pub node: NodeId,
    /// The transcript hash.
    pub transcript: Bytes32,
    /// Its signature.
    pub signature: Bytes<64>,
}

impl Confirmation {
    fn message(key: KeyId, epoch: u64, transcript: &Bytes32) -> [u8; 32] {
        tagged_hash(
            "shp/v1/dkg-confirm",
            &[key.as_str().as_bytes(), &epoch.to_be_bytes(), &transcript.0],
        )
    }

    pub(super) fn new(
        node: NodeId,
        key: KeyId,
        epoch: u64,
        transcript: Bytes32,
        identity: &NodeIdentity,
    ) -> Self {
        Self {
            node,
            transcript,
            signature: identity.sign(&Self::message(key, epoch, &transcript)),
        }
    }

    /// Whether its node signed it for this key and epoch.
    pub fn is_signed(&self, key: KeyId, epoch: u64, peers: &Peers) -> bool {
        peers.verify(
            self.node,
            &Self::message(key, epoch, &self.transcript),
            &self.signature,
        )
    }
}

/// Asks what a member holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRequest {
    /// Which key.
    pub key: KeyId,
    /// Of which epoch.
    pub epoch: u64,
}

/// What a member holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Nothing, or how far it is.
    pub status: Option<KeyStatus>,
    /// Its transcript.
    pub transcript: Option<Bytes32>,
    /// The confirmations it holds; all n once active.
    pub confirmations: Vec<Confirmation>,
}

/// Asks for round 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round2Request {
    /// The plan.
    pub plan: Plan,
    /// All round-1 packages, in order of the members.
    pub round1: Vec<Round1>,
}

/// Asks to finish.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishRequest {
    /// The plan.
    pub plan: Plan,
    /// All round-2 messages, in order of the members.
    pub round2: Vec<Round2>,
}

/// An answer, or an accusation with its evidence.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Verdict<T> {
    /// All is well.
    Good(T),
    /// Somebody cheated.
    Accused(Accusation),
}

/// Puts a key to use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivateRequest {
    /// Which key.
    pub key: KeyId,
    /// Of which epoch.
    pub epoch: u64,
    /// A confirmation of every member.
    pub confirmations: Vec<Confirmation>,
}

/// Done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {}

/// Bytes of JSON per member, with room: a round-1 package of 32 coefficients is about 2 kB.
const SMALL: usize = 8 * 1024;
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);

pub(super) const STATUS: Topic<StatusRequest, Status> = Topic::new("dkg.status")
    .with_caps(SMALL, SMALL + MAX_MEMBERS * 512)
    .with_timeout(TIMEOUT);
pub(super) const ROUND1: Topic<Plan, Round1> = Topic::new("dkg.round1")
    .with_caps(SMALL, SMALL)
    .with_timeout(TIMEOUT);
pub(super) const ROUND2: Topic<Round2Request, Verdict<Round2>> = Topic::new("dkg.round2")
    .with_caps(MAX_MEMBERS * SMALL, MAX_MEMBERS * 1024)
    .with_timeout(TIMEOUT);
pub(super) const FINISH: Topic<FinishRequest, Verdict<Confirmation>> = Topic::new("dkg.finish")
    .with_caps(MAX_MEMBERS * MAX_MEMBERS * 1024, SMALL)
    .with_timeout(TIMEOUT);
pub(super) const ACTIVATE: Topic<ActivateRequest, Done> = Topic::new("dkg.activate")
    .with_caps(SMALL + MAX_MEMBERS * 512, SMALL)
    .with_timeout(TIMEOUT);
