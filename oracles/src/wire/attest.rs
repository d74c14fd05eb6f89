//! Owner ↔ fact committee: nonces, sealed requests, sealed values, signed batches.
//!
//! 1. `POST /v1/{domain}/nonce` [`NonceRequest`] → [`NonceAnswer`], at every node of the committee.
//! 2. `POST /v1/{domain}/request` [`SealedRequest`] (HPKE per node around one [`AttestRequest`], which differs between
//!    nodes only in the handle) → [`AttestAnswer`], each value sealed to its leaf's own X25519 key.
//! 3. `POST /v1/{domain}/attest` [`AttestCall`] at any one node, which coordinates → [`AttestBatches`].
//!
//! The blinding points of a request travel only inside [`SealedRequest`]; they are never logged or stored, hashes included.

use contracts::attestation::SignedRoot;
use contracts::encoding::{Bytes, Bytes32, tagged_hash};
use contracts::ids::{AttributeId, Domain, NodeId};
use contracts::issuance::{BlindingProof, IssueContext, LeafRequest, request_message};
use contracts::receipt::Receipt;
use contracts::units::{Day, Period, UnixTime};
use serde::{Deserialize, Serialize};

use super::{HpkeBox, Sealed};

/// Version of the request format.
pub const VERSION: u8 = 1;
/// Largest body of `nonce` and `attest`, in bytes.
pub const MAX_SMALL_BODY: usize = 1 << 10;
/// Largest body of `request`, in bytes: 128 leaves of about 650 bytes, sealed and in base64url.
pub const MAX_REQUEST_BODY: usize = 192 << 10;
/// Largest answer to any call here, in bytes.
pub const MAX_ANSWER_BODY: usize = 256 << 10;
/// Names one request of one owner at every node: its id under the authorisation key that signed it.
///
/// Nodes keep this, not the id, so that nobody else can acknowledge leaves under an id overheard at a node.
pub fn request_ref(request_id: &Bytes32, authorisation_key: &Bytes32) -> Bytes32 {
    tagged_hash("shp/v1/request-ref", &[&request_id.0, &authorisation_key.0]).into()
}

/// Asks a node for a nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NonceRequest {
    /// [`request_ref`] of the request that will use the nonce; it serves no other.
    pub request: Bytes32,
}

/// A nonce for one request at one node, used once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NonceAnswer {
    /// The answering node.
    pub node: NodeId,
    /// Its committee.
    pub committee: Domain,
    /// The epoch of the committee's signing key, named in the request.
    pub epoch: u64,
    /// The epoch of the node's HPKE key, named beside the ciphertext and bound by it.
    pub hpke_epoch: u64,
    /// The nonce.
    pub nonce: Bytes32,
    /// Refused from this instant on.
    pub expires: UnixTime,
}

/// One [`AttestRequest`], sealed to one node under [`super::request_info`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedRequest {
    /// HPKE ciphertext of the request's JSON.
    pub sealed: HpkeBox,
}

/// What an owner asks of a committee; plaintext of [`SealedRequest`].
///
/// `Debug` is not derived: the blinding points must not reach a log.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestRequest {
    /// [`VERSION`].
    pub version: u8,
    /// Committee, epoch, the nonces of all answering nodes (at least a quorum), authorisation key, request id (fresh for
    /// every attempt and every committee) and the observed day (today, UTC, by the owner's clock).
    pub context: IssueContext,
    /// The leaves, at most [`contracts::issuance::MAX_LEAVES`].
    pub leaves: Vec<LeafRequest>,
    /// Proof of knowledge of every blinding, to the base `H`.
    pub proof: BlindingProof,
    /// BIP-340 signature by the authorisation key over [`AttestRequest::message`].
    pub signature: Bytes<64>,
    /// The owner's handle for this domain, as sealed to this node under [`super::handle_info`]. The one field that is
    /// not signed: it differs between nodes.
    pub handle: HpkeBox,
}

impl AttestRequest {
    /// The 32 bytes that the authorisation key signs.
    pub fn message(&self) -> [u8; 32] {
        request_message(&self.context, &self.leaves, &self.proof)
    }

    /// [`request_ref`] of this request.
    pub fn reference(&self) -> Bytes32 {
        request_ref(&self.context.request_id, &self.context.authorisation_key)
    }
}

/// Asks a member to seal a handle to a newcomer; plaintext of [`ResealCall::sealed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResealRequest {
    /// [`VERSION`].
    pub version: u8,
    /// The committee.
    pub committee: Domain,
    /// Its present epoch.
    pub epoch: u64,
    /// Today by the owner's clock (UTC).
    pub day: Day,
    /// The newcomer.
    pub to: NodeId,
    /// The handle for the node asked.
    pub handle: HpkeBox,
    /// BIP-340 signature by the handle's authorisation key over [`ResealRequest::message`].
    pub signature: Bytes<64>,
}

impl ResealRequest {
    /// The 32 bytes that the authorisation key signs, for one node.
    pub fn message(&self, node: NodeId) -> [u8; 32] {
        tagged_hash(
            "shp/v1/reseal",
            &[
                self.committee.as_str().as_bytes(),
                &self.epoch.to_be_bytes(),
                &node.get().to_be_bytes(),
                &self.day.number().to_be_bytes(),
                &self.to.get().to_be_bytes(),
                &self.handle.sealed.enc.0,
                &self.handle.sealed.ciphertext.0,
            ],
        )
    }
}

/// `POST /v1/{domain}/reseal`, at a member that holds a handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResealCall {
    /// [`ResealRequest`] as JSON, sealed under [`super::reseal_info`].
    pub sealed: HpkeBox,
}

/// The handle for the newcomer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResealAnswer {
    /// The answering node.
    pub node: NodeId,
    /// The newcomer.
    pub to: NodeId,
    /// The handle, sealed to it.
    pub handle: HpkeBox,
}

/// A node's answer: it has stored its acknowledgement of every leaf named here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestAnswer {
    /// The answering node.
    pub node: NodeId,
    /// One answer for each leaf, in the order of the request.
    pub leaves: Vec<LeafAnswer>,
}

/// One leaf as a node built it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafAnswer {
    /// RFC 6962 leaf hash of the leaf.
    pub leaf_hash: Bytes32,
    /// The [`Observation`], sealed to the leaf's X25519 key under [`super::value_info`].
    pub sealed: Sealed,
}

/// What a node observed for one leaf; always 13 bytes, so that its ciphertext shows no value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// The value; 0 when unknown.
    pub value: i64,
    /// Whether the sources agreed on a value. False for a withheld leaf too.
    pub known: bool,
    /// Sources configured for the attribute; 0 for a withheld leaf, for which none was read.
    pub sources: u8,
    /// Sources that bear the value out.
    pub agreeing: u8,
    /// Sources that answered otherwise, or held no record.
    pub disagreeing: u8,
    /// Sources that did not answer, or not in their format.
    pub failed: u8,
}

impl Observation {
    /// Length of the encoding.
    pub const LEN: usize = 13;

    /// What a withheld leaf is answered with.
    pub const WITHHELD: Self = Self {
        value: 0,
        known: false,
        sources: 0,
        agreeing: 0,
        disagreeing: 0,
        failed: 0,
    };

    /// Value (8 bytes, big-endian), known, then the four counts.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let counts = [
            u8::from(self.known),
            self.sources,
            self.agreeing,
            self.disagreeing,
            self.failed,
        ];
        bytes[..8].copy_from_slice(&self.value.to_be_bytes());
        bytes[8..].copy_from_slice(&counts);
        bytes
    }

    /// Reads the encoding; none for another length, another flag than 0 or 1, or an unknown with a value.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let [
            v0,
            v1,
            v2,
            v3,
            v4,
            v5,
            v6,
            v7,
            known,
            sources,
            agreeing,
            disagreeing,
            failed,
        ] = *bytes;
        let value = i64::from_be_bytes([v0, v1, v2, v3, v4, v5, v6, v7]);
        let known = match known {
            0 if value == 0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self {
            value,
            known,
            sources,
            agreeing,
            disagreeing,
            failed,
        })
    }
}

impl std::fmt::Debug for Observation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observation(..)")
    }
}

/// Asks any node of the committee to coordinate the signature over a request's leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestCall {
    /// [`request_ref`] of the request.
    pub request: Bytes32,
}

/// The signed batches of a request's leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestBatches {
    /// One or more batches; a leaf is in exactly one.
    pub batches: Vec<Batch>,
    /// Leaves for which no quorum acknowledged one hash.
    pub unattested: Vec<LeafKey>,
    /// Nodes that answered no call for their acknowledgements.
    pub silent: Vec<NodeId>,
    /// Nodes that acknowledged another leaf than the quorum did.
    pub differing: Vec<NodeId>,
}

/// A signed root and the paths of the request's leaves to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The root with its threshold signature.
    pub root: SignedRoot,
    /// Receipt of the root's entry in the ledger, [`SignedRoot::entry`].
    pub receipt: Receipt,
    /// The request's leaves in this batch.
    pub leaves: Vec<BatchLeaf>,
}

/// Where a leaf is in a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchLeaf {
    /// Which leaf of the request.
    pub key: LeafKey,
    /// Its hash.
    pub leaf_hash: Bytes32,
    /// Its index in the tree.
    pub index: u64,
    /// Its inclusion path, deepest sibling first (RFC 6962 §2.1.1).
    pub path: Vec<Bytes32>,
}

/// A leaf within its request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafKey {
    /// The attribute.
    pub attribute: AttributeId,
    /// The reference period.
    pub period: Period,
    /// The index `j` among several leaves of one fact.
    pub index: u32,
}
