//! `GET /v1/info`: who a node is and which keys its committees hold. Public.

use contracts::encoding::{Blob, Bytes32};
use contracts::ids::{Committee, NodeId};
use serde::{Deserialize, Serialize};

use crate::ceremony::{KeyId, Suite};
use crate::keys::KeyError;
use crate::node::Node;
use crate::rollback::Standing;

/// Largest answer, in bytes.
pub const MAX_ANSWER_BODY: usize = 64 << 10;

/// A node's public description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeInfo {
    /// The node.
    pub node: NodeId,
    /// Ed25519 public key that signs its messages to peers.
    pub identity_key: Bytes32,
    /// X25519 public key that requests are sealed to.
    pub hpke_key: Bytes32,
    /// Epoch of that key.
    pub hpke_epoch: u64,
    /// Version of its program.
    pub version: String,
    /// SHA-256 of the SubjectPublicKeyInfo of the certificate it shows to other nodes.
    pub tls_pin: Bytes32,
    /// The committees it serves, and whether it signs for them now.
    pub committees: Vec<SeatInfo>,
    /// The committee keys it holds a share of and may use.
    pub keys: Vec<KeyInfo>,
}

/// A seat on a committee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeatInfo {
    /// The committee.
    pub committee: Committee,
    /// The epoch that is configured.
    pub epoch: u64,
    /// The members that are configured.
    pub members: Vec<NodeId>,
    /// Whether the node remembers what it signed.
    pub standing: Standing,
}

/// A committee key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyInfo {
    /// Which: a committee's name or `identity-oprf`.
    pub key: KeyId,
    /// Of which epoch.
    pub epoch: u64,
    /// Its group and hash.
    pub suite: Suite,
    /// The members.
    pub members: Vec<NodeId>,
    /// Members needed.
    pub threshold: u16,
    /// The group's public key as the suite encodes elements: 33 bytes for secp256k1, 32 for the others.
    pub group_key: Blob,
    /// Transcript of its generation, the same at every member.
    pub transcript: Bytes32,
}

impl NodeInfo {
    /// Describes a node.
    ///
    /// # Errors
    /// A stored key that does not decode.
    pub fn of(node: &Node) -> Result<Self, KeyError> {
        let own = node.peers().identity();
        let keys = node
            .keys()
            .active()
            .iter()
            .map(|record| {
                Ok(KeyInfo {
                    key: record.key,
                    epoch: record.epoch,
                    suite: record.key.suite(),
                    members: record.members.clone(),
                    threshold: record.threshold,
                    group_key: record.group_key()?,
                    transcript: record.transcript,
                })
            })
            .collect::<Result<_, KeyError>>()?;
        let standings = node.marks().standings();
        let committees = node.config().committees.iter();
        let committees = committees.filter_map(|committee| {
            Some(SeatInfo {
                committee: committee.name,
                epoch: committee.epoch,
                members: committee.members.clone(),
                standing: *standings.get(&committee.name)?,
            })
        });
        Ok(Self {
            node: node.id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            tls_pin: own.tls().pin(),
            committees: committees.collect(),
            identity_key: own.identity_key(),
            hpke_key: *own.hpke().public(),
            hpke_epoch: node.peers().get(node.id()).map_or(1, |own| own.hpke_epoch),
            keys,
        })
    }
}
