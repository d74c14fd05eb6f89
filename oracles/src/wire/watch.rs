//! Owner ↔ fact committee: watches, their end, and what changed.
//!
//! 1. `POST /v1/{domain}/watch/nonce` [`NonceRequest`](super::attest::NonceRequest), naming [`WatchGrant::reference`], at
//!    every node of the committee.
//! 2. `POST /v1/{domain}/watch` [`SealedWatch`] around one [`WatchGrant`], which differs between nodes only in the handle.
//! 3. `POST /v1/{domain}/changes` [`SealedWatch`] around a [`ChangesRequest`] → [`ChangesAnswer`], as often as one likes.
//! 4. `POST /v1/{domain}/watch/revoke` [`SealedWatch`] around a [`WatchRevoke`].
//!
//! A notice says of which watch and attribute *that* it changed; no node can say what, because none keeps the value.

use contracts::catalogue::PeriodRule;
use contracts::encoding::{Bytes, Bytes32, tagged_hash};
use contracts::ids::{AttributeId, Domain, NodeId};
use contracts::units::{Day, UnixTime};
use serde::{Deserialize, Serialize};

use super::{HpkeBox, Sealed, node_info};

/// Version of these formats.
pub const VERSION: u8 = 1;
/// Most attributes of one watch.
pub const MAX_FACTS: usize = 32;
/// Most days from the day of a grant to its expiry.
pub const MAX_DAYS: i64 = 366;
/// Most nonces that a grant names: one a node.
pub const MAX_NONCES: usize = 64;
/// Largest body of these calls, in bytes.
pub const MAX_BODY: usize = 32 << 10;
/// Most notices in one answer.
pub const MAX_NOTICES: usize = 500;
/// Seconds by which the time in a [`ChangesRequest`] may be off.
pub const MAX_SKEW: i64 = 300;

/// `info` of a grant.
pub fn watch_info(domain: Domain, node: NodeId, key_epoch: u64) -> [u8; 32] {
    node_info("shp/v1/hpke/watch", domain.into(), node, domain, key_epoch)
}

/// `info` of a revocation.
pub fn watch_revoke_info(domain: Domain, node: NodeId, key_epoch: u64) -> [u8; 32] {
    let tag = "shp/v1/hpke/watch-revoke";
    node_info(tag, domain.into(), node, domain, key_epoch)
}

/// `info` of a question for changes.
pub fn changes_info(domain: Domain, node: NodeId, key_epoch: u64) -> [u8; 32] {
    let tag = "shp/v1/hpke/changes";
    node_info(tag, domain.into(), node, domain, key_epoch)
}

/// `info` of the answer to it, sealed to the response key.
pub fn changes_answer_info(domain: Domain, node: NodeId, reader: &Bytes32) -> [u8; 32] {
    tagged_hash(
        "shp/v1/hpke/changes-answer",
        &[
            domain.as_str().as_bytes(),
            &node.get().to_be_bytes(),
            &reader.0,
        ],
    )
}

/// A call of this module as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedWatch {
    /// HPKE ciphertext of the call's JSON, under the call's own `info`.
    pub sealed: HpkeBox,
}

/// A fact to watch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedFact {
    /// The attribute.
    pub attribute: AttributeId,
    /// Days of its reference period, as the catalogue has them: 1 for the as-of day itself.
    pub days: u16,
}

impl WatchedFact {
    /// The fact of an attribute under a rule of the catalogue.
    pub fn new(attribute: AttributeId, rule: PeriodRule) -> Self {
        let days = match rule {
            PeriodRule::AsOf => 1,
            PeriodRule::Trailing { days } => days,
        };
        Self { attribute, days }
    }
}

/// What an owner grants to a node; plaintext of [`SealedWatch`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchGrant {
    /// [`VERSION`].
    pub version: u8,
    /// The committee.
    pub committee: Domain,
    /// Its present epoch.
    pub epoch: u64,
    /// The nonces of all answering nodes, at least a quorum; each node checks and uses up its own.
    pub nonces: Vec<(NodeId, Bytes32)>,
    /// The key that the handle names (BIP-340), which signs.
    pub authorisation_key: Bytes32,
    /// Names the watch: random, fresh for every grant, the same at all nodes.
    pub watch: Bytes32,
    /// The key (BIP-340) that may ask for its changes; one key may read many watches.
    pub reader: Bytes32,
    /// Today by the owner's clock (UTC).
    pub day: Day,
    /// The last day of the watch: at most [`MAX_DAYS`] from `day`, and not after the handle's own.
    pub expires: Day,
    /// What to watch, ascending by attribute, at most [`MAX_FACTS`].
    pub facts: Vec<WatchedFact>,
    /// BIP-340 signature by the authorisation key over [`WatchGrant::message`].
    pub signature: Bytes<64>,
    /// The owner's handle for this domain, as sealed to this node. The one field that is not signed.
    pub handle: HpkeBox,
}

impl WatchGrant {
    /// The 32 bytes that the authorisation key signs.
    pub fn message(&self) -> [u8; 32] {
        let nonces: Vec<_> = self
            .nonces
            .iter()
            .map(|(node, nonce)| [&node.get().to_be_bytes()[..], &nonce.0].concat())
            .collect();
        let nonces: Vec<&[u8]> = nonces.iter().map(Vec::as_slice).collect();
        let facts: Vec<_> = self
            .facts
            .iter()
            .map(|fact| [&fact.days.to_be_bytes()[..], fact.attribute.0.as_bytes()].concat())
            .collect();
        let facts: Vec<&[u8]> = facts.iter().map(Vec::as_slice).collect();
        tagged_hash(
            "shp/v1/watch",
            &[
                self.committee.as_str().as_bytes(),
                &self.epoch.to_be_bytes(),
                &tagged_hash("shp/v1/watch-nonces", &nonces),
                &self.watch.0,
                &self.reader.0,
                &self.day.number().to_be_bytes(),
                &self.expires.number().to_be_bytes(),
                &tagged_hash("shp/v1/watch-facts", &facts),
            ],
        )
    }

    /// What a nonce for this grant is asked for: the watch under the key that grants it.
    pub fn reference(watch: &Bytes32, authorisation_key: &Bytes32) -> Bytes32 {
        tagged_hash("shp/v1/watch-ref", &[&watch.0, &authorisation_key.0]).into()
    }
}

/// The end of a watch; plaintext of [`SealedWatch`]. It needs no nonce: said twice it ends nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchRevoke {
    /// [`VERSION`].
    pub version: u8,
    /// The committee.
    pub committee: Domain,
    /// The watch.
    pub watch: Bytes32,
    /// The key that granted it.
    pub authorisation_key: Bytes32,
    /// BIP-340 signature by that key over [`WatchRevoke::message`].
    pub signature: Bytes<64>,
}

impl WatchRevoke {
    /// The 32 bytes that the authorisation key signs, for all nodes.
    pub fn message(&self) -> [u8; 32] {
        let domain = self.committee.as_str().as_bytes();
        tagged_hash("shp/v1/watch-revoke", &[domain, &self.watch.0])
    }
}

/// What a node did about a grant or a revocation, durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchAnswer {
    /// The answering node.
    pub node: NodeId,
    /// The watch.
    pub watch: Bytes32,
    /// Facts of the grant that this node does not read and so does not watch, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<AttributeId>,
}

/// Asks a node what changed among all watches of a reader; plaintext of [`SealedWatch`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangesRequest {
    /// [`VERSION`].
    pub version: u8,
    /// The key that the grants name.
    pub reader: Bytes32,
    /// The last sequence number that the reader has of this node; 0 at first.
    pub after: u64,
    /// Now by the reader's clock, within [`MAX_SKEW`].
    pub at: UnixTime,
    /// X25519 key to seal the answer to.
    pub response_key: Bytes32,
    /// BIP-340 signature by `reader` over [`ChangesRequest::message`].
    pub signature: Bytes<64>,
}

impl ChangesRequest {
    /// The 32 bytes that the reader's key signs, for one node of one committee.
    pub fn message(&self, domain: Domain, node: NodeId) -> [u8; 32] {
        tagged_hash(
            "shp/v1/changes",
            &[
                domain.as_str().as_bytes(),
                &node.get().to_be_bytes(),
                &self.after.to_be_bytes(),
                &self.at.0.to_be_bytes(),
                &self.response_key.0,
            ],
        )
    }
}

/// [`Changes`] as JSON, sealed to the response key under [`changes_answer_info`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangesAnswer {
    /// The answering node.
    pub node: NodeId,
    /// The notices.
    pub sealed: Sealed,
}

/// What one node saw change, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// At most [`MAX_NOTICES`], ascending by `seq`, all above the `after` asked.
    pub notices: Vec<ChangeNotice>,
    /// Whether there are more.
    pub more: bool,
}

/// That a fact changed, by one node's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeNotice {
    /// Counts up by one for each reader at each node.
    pub seq: u64,
    /// The watch.
    pub watch: Bytes32,
    /// The attribute.
    pub attribute: AttributeId,
    /// The last day (UTC) on which the node knew the value to be the old one: the change came on it or later.
    pub since: Day,
    /// The day on which the node saw it (UTC).
    pub day: Day,
}
