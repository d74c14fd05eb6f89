//! What crosses the doors of a node: JSON types with their size caps, shared by the nodes and their callers.
//!
//! HPKE `info` strings bind a use, the committee, the node, the domain and the HPKE key epoch, so that a ciphertext opens in one place only.

pub mod attest;
pub mod decision;
pub mod enrol;
pub mod info;
pub mod ledger;
pub mod watch;

use contracts::encoding::{Bytes32, tagged_hash};
use contracts::ids::{Committee, Domain, NodeId};
use contracts::units::Period;
use serde::{Deserialize, Serialize};

pub use crate::hpke::Sealed;

/// A ciphertext for a node, with the epoch of the node's HPKE key beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HpkeBox {
    /// Epoch of the node's HPKE key.
    pub key_epoch: u64,
    /// The ciphertext.
    pub sealed: Sealed,
}

/// The `info` of a box for a node: one use, committee, node, domain and key epoch.
fn node_info(
    tag: &str,
    committee: Committee,
    node: NodeId,
    domain: Domain,
    key_epoch: u64,
) -> [u8; 32] {
    tagged_hash(
        tag,
        &[
            committee.as_str().as_bytes(),
            &node.get().to_be_bytes(),
            domain.as_str().as_bytes(),
            &key_epoch.to_be_bytes(),
        ],
    )
}

/// `info` of an attestation request.
pub fn request_info(domain: Domain, node: NodeId, key_epoch: u64) -> [u8; 32] {
    node_info(
        "shp/v1/hpke/request",
        domain.into(),
        node,
        domain,
        key_epoch,
    )
}

/// `info` of a handle for one member of one domain's committee.
pub fn handle_info(domain: Domain, node: NodeId, key_epoch: u64) -> [u8; 32] {
    node_info("shp/v1/hpke/handle", domain.into(), node, domain, key_epoch)
}

/// `info` of an enrolment request.
pub fn enrol_info(node: NodeId, key_epoch: u64) -> [u8; 32] {
    let domain = Domain::Identity;
    node_info("shp/v1/hpke/enrol", domain.into(), node, domain, key_epoch)
}

/// `info` of a claims box.
pub fn claims_info(node: NodeId, key_epoch: u64) -> [u8; 32] {
    let domain = Domain::Identity;
    node_info("shp/v1/hpke/claims", domain.into(), node, domain, key_epoch)
}

/// `info` of a query about a re-proofing.
pub fn notice_info(node: NodeId, key_epoch: u64) -> [u8; 32] {
    let domain = Domain::Identity;
    node_info("shp/v1/hpke/notice", domain.into(), node, domain, key_epoch)
}

/// `info` of a request to reseal a handle.
pub fn reseal_info(domain: Domain, node: NodeId, key_epoch: u64) -> [u8; 32] {
    node_info("shp/v1/hpke/reseal", domain.into(), node, domain, key_epoch)
}

/// `info` of a value sealed to a leaf's own key: the answering node and the leaf's place in its request.
pub fn value_info(
    domain: Domain,
    node: NodeId,
    request: &Bytes32,
    attribute: &str,
    period: Period,
    index: u32,
) -> [u8; 32] {
    tagged_hash(
        "shp/v1/hpke/value",
        &[
            domain.as_str().as_bytes(),
            &node.get().to_be_bytes(),
            &request.0,
            attribute.as_bytes(),
            period.to_string().as_bytes(),
            &index.to_be_bytes(),
        ],
    )
}

/// `info` of the answer to an enrolment, sealed to the owner's response key.
pub fn enrol_answer_info(node: NodeId, enrolment: &Bytes32) -> [u8; 32] {
    tagged_hash(
        "shp/v1/hpke/enrol-answer",
        &[&node.get().to_be_bytes(), &enrolment.0],
    )
}
