//! An attested fact as a leaf of a batch: commitments, one-time key, purpose and days, no value.

use serde::{Deserialize, Serialize};

use crate::cbor::{self, Value};
use crate::encoding::Bytes32;
use crate::group::Point;
use crate::ids::{AttributeId, Domain};
use crate::merkle;
use crate::units::{Day, Period};

/// The version that this crate writes and reads.
pub const LEAF_VERSION: u16 = 1;

/// The attribute whose leaves carry `C_person` and that every contract includes.
pub const PERSON: &str = "identity.person";

/// What a committee signs about one fact, for one purpose and one one-time key.
///
/// Nothing here joins two leaves of one person, or tells a known fact from an unknown one, to anybody but the
/// issuing committee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// [`LEAF_VERSION`].
    pub version: u16,
    /// The issuing committee, by its domain.
    pub committee: Domain,
    /// The epoch of the committee's key.
    pub epoch: u64,
    /// What is attested.
    pub attribute: AttributeId,
    /// The days that the value speaks of.
    pub period: Period,
    /// `C_v = v·B + r_v·H`.
    pub c_value: Point,
    /// `C_known = known·B + r_known·H`; known is 1, or 0 with value 0 when there is no agreed record.
    pub c_known: Point,
    /// `C_s = s·B + (r_d + r_s)·H`, the subject.
    pub c_subject: Point,
    /// `C_k,j = k·B + (r + r_k,j)·H`, the pseudonym key; in leaves of [`PERSON`] and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_person: Option<Point>,
    /// The owner's one-time key `K_j`: secp256k1, x-only (BIP-340).
    pub key: Bytes32,
    /// `purpose_j`, see [`crate::issuance::purpose`].
    pub purpose: Bytes32,
    /// The day (UTC) on which the sources were read.
    pub observed: Day,
    /// The last day on which the leaf may be shown.
    pub expires: Day,
}

impl Leaf {
    /// The deterministic CBOR form (RFC 8949 §4.2).
    pub fn to_cbor(&self) -> Vec<u8> {
        cbor::map([
            ("tag", cbor::text("shp/v1/leaf")),
            ("version", Value::from(self.version)),
            ("committee", cbor::text(self.committee)),
            ("epoch", Value::from(self.epoch)),
            ("attribute", cbor::text(&self.attribute)),
            (
                "period",
                Value::Array(vec![
                    Value::from(self.period.start.number()),
                    Value::from(self.period.end.number()),
                ]),
            ),
            ("c_value", cbor::bytes(self.c_value.as_bytes())),
            ("c_known", cbor::bytes(self.c_known.as_bytes())),
            ("c_subject", cbor::bytes(self.c_subject.as_bytes())),
            (
                "c_person",
                self.c_person
                    .as_ref()
                    .map_or(Value::Null, |point| cbor::bytes(point.as_bytes())),
            ),
            ("key", cbor::bytes(self.key)),
            ("purpose", cbor::bytes(self.purpose)),
            ("observed", Value::from(self.observed.number())),
            ("expires", Value::from(self.expires.number())),
        ])
    }

    /// The RFC 6962 leaf hash of the CBOR form.
    pub fn hash(&self) -> Bytes32 {
        merkle::leaf_hash(&self.to_cbor()).into()
    }
}

/// The bytes of a dummy leaf, which fills a short batch; signers hash it themselves.
pub fn dummy_bytes(random: &Bytes32) -> Vec<u8> {
    cbor::map([
        ("tag", cbor::text("shp/v1/leaf")),
        ("version", Value::from(LEAF_VERSION)),
        ("dummy", cbor::bytes(random)),
    ])
}

/// The RFC 6962 leaf hash of a dummy leaf.
pub fn dummy_hash(random: &Bytes32) -> Bytes32 {
    merkle::leaf_hash(&dummy_bytes(random)).into()
}
