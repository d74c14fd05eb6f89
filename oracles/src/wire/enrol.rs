//! Owner ↔ identity committee: proofing, the one profile per person, and handles.
//!
//! The claims (SSN, name, birth date) are sealed by the navigator's device, a box per node ([`seal_claims`]), and pass through the
//! profile closed. The profile adds its own [`EnrolRequest`]. Neither is enough alone: the claims name the authorisation
//! key and enrolment that they are for.
//!
//! 1. `POST /v1/identity/enrol/nonce` [`NonceRequest`](super::attest::NonceRequest) (with [`enrolment_ref`]) →
//!    [`NonceAnswer`](super::attest::NonceAnswer), at every node.
//! 2. `POST /v1/identity/enrol/request` [`EnrolSubmission`] → [`EnrolAccepted`], at every node.
//! 3. `POST /v1/identity/enrol/complete` [`EnrolCall`] at any one node, which coordinates → [`EnrolCompleted`].
//!
//! After a failure the same enrolment id is used again, with fresh nonces: it finds its own claim on the registry.

use std::fmt;

use contracts::encoding::{Bytes, Bytes32, tagged_hash};
use contracts::group::Point;
use contracts::ids::{Domain, NodeId};
use contracts::issuance::{EnrolContext, EnrolPoints, EnrolProof, enrol_message};
use contracts::units::{Day, UnixTime};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{HpkeBox, Sealed, claims_info};
use crate::hpke::{self, HpkeError};

/// Version of the enrolment format.
pub const VERSION: u8 = 1;
/// Largest body of `enrol/request`, in bytes.
pub const MAX_SUBMISSION_BODY: usize = 16 << 10;
/// Largest answer to any call here, in bytes: five domains' handles for at most 32 members each.
pub const MAX_ANSWER_BODY: usize = 1 << 20;
/// Longest given or family name, in bytes of UTF-8.
pub const MAX_NAME: usize = 100;

/// Names one enrolment at every node: its id under the identity authorisation key that signed it.
pub fn enrolment_ref(enrol_id: &Bytes32, authorisation_key: &Bytes32) -> Bytes32 {
    tagged_hash("shp/v1/enrolment-ref", &[&enrol_id.0, &authorisation_key.0]).into()
}

/// A Social Security number: nine digits. Wiped on drop; prints nothing.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ssn(String);

/// Not nine digits, with or without the two hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an SSN is nine digits, written 123456789 or 123-45-6789")]
pub struct BadSsn;

impl Ssn {
    /// Reads `123456789` or `123-45-6789`.
    ///
    /// # Errors
    /// [`BadSsn`], without the text.
    pub fn parse(text: &str) -> Result<Self, BadSsn> {
        let bytes = text.as_bytes();
        let digits: Vec<u8> = match bytes.len() {
            9 => bytes.to_vec(),
            11 if bytes.get(3) == Some(&b'-') && bytes.get(6) == Some(&b'-') => bytes
                .iter()
                .enumerate()
                .filter(|(place, _)| *place != 3 && *place != 6)
                .map(|(_, byte)| *byte)
                .collect(),
            _ => return Err(BadSsn),
        };
        if digits.len() != 9 || !digits.iter().all(u8::is_ascii_digit) {
            return Err(BadSsn);
        }
        String::from_utf8(digits).map(Self).map_err(|_| BadSsn)
    }

    /// The nine ASCII digits, the input of the pseudorandom function.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// `123-45-6789`.
    pub fn hyphenated(&self) -> String {
        let part = |range: std::ops::Range<usize>| self.0.get(range).unwrap_or_default();
        format!("{}-{}-{}", part(0..3), part(3..5), part(5..9))
    }

    /// The last four digits.
    pub fn last4(&self) -> &str {
        self.0.get(5..).unwrap_or_default()
    }
}

impl TryFrom<String> for Ssn {
    type Error = BadSsn;

    fn try_from(mut text: String) -> Result<Self, BadSsn> {
        let ssn = Self::parse(&text);
        text.zeroize();
        ssn
    }
}

impl From<Ssn> for String {
    fn from(ssn: Ssn) -> Self {
        ssn.0.clone()
    }
}

impl fmt::Debug for Ssn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ssn(..)")
    }
}

/// What somebody says about themselves to be proofed; plaintext of a claims box. Names are wiped on drop; prints nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// [`VERSION`].
    pub version: u8,
    /// Social Security number.
    pub ssn: Ssn,
    /// Given name, as on the birth record; at most [`MAX_NAME`] bytes.
    pub given_name: String,
    /// Family name, as on the birth record; at most [`MAX_NAME`] bytes.
    pub family_name: String,
    /// Date of birth.
    #[zeroize(skip)]
    pub birth_date: Day,
    /// Domains whose sources may be asked; other domains' handles carry no source keys.
    #[zeroize(skip)]
    pub consents: Vec<Domain>,
    /// The identity authorisation key that these claims are for.
    #[zeroize(skip)]
    pub authorisation_key: Bytes32,
    /// The enrolment that these claims are for.
    #[zeroize(skip)]
    pub enrol_id: Bytes32,
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(..)")
    }
}

/// A member of the identity committee, as a device that seals claims must know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The node.
    pub node: NodeId,
    /// Epoch of its HPKE key.
    pub key_epoch: u64,
    /// Its HPKE key.
    pub hpke_key: Bytes32,
}

/// Claims sealed to one node of the identity committee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimsBox {
    /// The node that can open it.
    pub node: NodeId,
    /// The ciphertext of [`Claims`] as JSON, under [`claims_info`].
    pub sealed: HpkeBox,
}

/// Seals claims to every member of the identity committee, on the navigator's device.
///
/// # Errors
/// A recipient's key that is not an X25519 key.
pub fn seal_claims(claims: &Claims, recipients: &[Recipient]) -> Result<Vec<ClaimsBox>, HpkeError> {
    let plaintext = zeroize::Zeroizing::new(
        serde_json::to_vec(claims).expect("claims hold only strings, days and byte strings"),
    );
    recipients
        .iter()
        .map(|to| {
            let sealed = hpke::seal(
                &to.hpke_key,
                &claims_info(to.node, to.key_epoch),
                &[],
                &plaintext,
            )?;
            Ok(ClaimsBox {
                node: to.node,
                sealed: HpkeBox {
                    key_epoch: to.key_epoch,
                    sealed,
                },
            })
        })
        .collect()
}

/// What the profile sends to one node of the identity committee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolSubmission {
    /// [`EnrolRequest`] as JSON, sealed under [`super::enrol_info`]; the same for every node.
    pub request: HpkeBox,
    /// The claims box for this node, as the navigator's device made it.
    pub claims: HpkeBox,
}

/// What a profile asks of the identity committee; plaintext of [`EnrolSubmission::request`].
///
/// `Debug` is not derived: the points must not reach a log.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// [`VERSION`].
    pub version: u8,
    /// Epoch, the enrolment id (`request_id`: the same when an enrolment is tried again), the nonces of all answering nodes
    /// (at least a quorum) and the owner's authorisation key for each domain.
    pub context: EnrolContext,
    /// The UTC day of the enrolment, today by the owner's clock; handles expire a fixed number of days later.
    pub day: Day,
    /// The blinding `R_d` of each domain's subject point, and the pseudonym key `C_k`.
    pub points: EnrolPoints,
    /// Proof of knowledge of the blindings and of the opening of `C_k`.
    pub proof: EnrolProof,
    /// X25519 key that the answer is sealed to.
    pub response_key: Bytes32,
    /// Whether the pseudonym key is to take the place of one whose seed is lost. It is, after a wait and once in a period;
    /// until then a node answers `waiting`.
    #[serde(default)]
    pub replaces: bool,
    /// BIP-340 signature by the identity authorisation key over [`EnrolRequest::message`].
    pub signature: Bytes<64>,
}

impl EnrolRequest {
    /// The 32 bytes that the identity authorisation key signs.
    pub fn message(&self) -> [u8; 32] {
        let digest = enrol_message(&self.context, &self.points, &self.proof, &self.response_key);
        tagged_hash(
            "shp/v1/enrol-request",
            &[
                &digest,
                &self.day.number().to_be_bytes(),
                &[u8::from(self.replaces)],
            ],
        )
    }

    /// The owner's authorisation key for the identity domain, which signs.
    pub fn authorisation_key(&self) -> Option<&Bytes32> {
        self.context
            .keys
            .iter()
            .find_map(|(domain, key)| (*domain == Domain::Identity).then_some(key))
    }
}

/// Asks whether somebody was proofed anew as the person of a handle; plaintext of [`NoticeCall::sealed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeQuery {
    /// [`VERSION`].
    pub version: u8,
    /// Today by the owner's clock (UTC).
    pub day: Day,
    /// Whether to object.
    pub object: bool,
    /// The identity handle for the node asked.
    pub handle: HpkeBox,
    /// BIP-340 signature by the handle's authorisation key over [`NoticeQuery::message`].
    pub signature: Bytes<64>,
}

impl NoticeQuery {
    /// The 32 bytes that the identity authorisation key signs, for one node.
    pub fn message(&self, node: NodeId) -> [u8; 32] {
        tagged_hash(
            "shp/v1/reproofing-notice",
            &[
                &node.get().to_be_bytes(),
                &self.day.number().to_be_bytes(),
                &[u8::from(self.object)],
                &self.handle.sealed.enc.0,
                &self.handle.sealed.ciphertext.0,
            ],
        )
    }
}

/// `POST /v1/identity/reproofing`, at any node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeCall {
    /// [`NoticeQuery`] as JSON, sealed under [`super::notice_info`].
    pub sealed: HpkeBox,
}

/// What a node knows of a re-proofing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeAnswer {
    /// The node.
    pub node: NodeId,
    /// When it may go on; none when nobody was proofed anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<UnixTime>,
    /// Whether it was objected to.
    pub objected: bool,
}

/// The node holds the enrolment in memory and will take part in completing it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolAccepted {
    /// The answering node.
    pub node: NodeId,
}

/// Asks any node of the identity committee to complete an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolCall {
    /// [`enrolment_ref`] of the enrolment.
    pub enrolment: Bytes32,
}

/// A completed enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolCompleted {
    /// The coordinating node.
    pub node: NodeId,
    /// [`EnrolAnswer`] as JSON, sealed to the owner's response key under [`super::enrol_answer_info`].
    pub sealed: Sealed,
    /// Nodes that did not take part.
    pub silent: Vec<NodeId>,
}

/// What the owner gets; plaintext of [`EnrolCompleted::sealed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolAnswer {
    /// The subject point `S_d = s·B + R_d` of each domain, in order.
    pub subjects: Vec<(Domain, Point)>,
    /// The last day on which the handles are taken.
    pub expires: Day,
    /// The handle of each domain for each member of that domain's committee.
    pub handles: Vec<MemberHandle>,
}

/// A signed handle, sealed to one member of one domain's committee under [`super::handle_info`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberHandle {
    /// The domain.
    pub domain: Domain,
    /// The member that can open it.
    pub node: NodeId,
    /// The ciphertext; goes into [`super::attest::AttestRequest::handle`] as it is.
    pub sealed: HpkeBox,
}
