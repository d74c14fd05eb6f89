//! A request for blinded leaves, its one batched proof of knowledge, and the leaf that follows from it.

use std::collections::HashSet;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, VartimeMultiscalarMul};
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConditionallyNegatable, ConditionallySelectable};
use zeroize::Zeroizing;

use super::{Blindings, IssueError, append_domain, append_nonces, check_nonces};
use crate::bip340;
use crate::encoding::Bytes32;
use crate::group::{PEDERSEN, Point, PublicScalar};
use crate::ids::{AttributeId, Domain, NodeId};
use crate::leaf::{LEAF_VERSION, Leaf, PERSON};
use crate::statement::transcript::ProofTranscript;
use crate::units::{Day, Period};

/// Leaves that one request may ask for.
pub const MAX_LEAVES: usize = 128;

/// What a request is bound to besides its leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueContext {
    /// The committee asked.
    pub committee: Domain,
    /// The epoch of its key.
    pub epoch: u64,
    /// The nonces of all answering nodes, in ascending order of nodes; each checks and uses up its own.
    pub nonces: Vec<(NodeId, Bytes32)>,
    /// The owner's authorisation key for this domain, from the handle.
    pub authorisation_key: Bytes32,
    /// Chosen at random by the owner for this request and no other.
    pub request_id: Bytes32,
    /// The day (UTC) that the leaves will name as observed.
    pub observed: Day,
}

/// One wanted leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafRequest {
    /// What is to be attested.
    pub attribute: AttributeId,
    /// Its reference period.
    pub period: Period,
    /// Which of several leaves of this attribute and period, from 0: one per audience.
    pub index: u32,
    /// Fresh one-time key `K_j`: secp256k1, x-only.
    pub key: Bytes32,
    /// Fresh X25519 key that the value is sealed to.
    pub seal_key: Bytes32,
    /// See [`super::purpose`].
    pub purpose: Bytes32,
    /// `R_v = r_v·H`.
    pub r_value: Point,
    /// `R_known = r_known·H`.
    pub r_known: Point,
    /// `R_s = r_s·H`.
    pub r_subject: Point,
    /// `R_k = r_k·H`, for `identity.person` and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r_person: Option<Point>,
    /// Asks for `known = 0` without any source being read.
    pub withheld: bool,
}

impl LeafRequest {
    fn points(&self) -> impl Iterator<Item = &Point> {
        [&self.r_value, &self.r_known, &self.r_subject]
            .into_iter()
            .chain(&self.r_person)
    }
}

/// A batched Schnorr proof of knowledge, to the base `H`, of the blindings in every point of a request.
///
/// `A = a·H`, challenge `c`, `z = a + Σᵢ cⁱ·rᵢ`; holds when `z·H = A + Σᵢ cⁱ·Rᵢ`. From as many accepting transcripts as
/// there are points, plus one, every `rᵢ` follows (a Vandermonde system), so no `Rᵢ` can hide an `x·B`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlindingProof {
    /// `A`.
    pub announcement: Point,
    /// `z`.
    pub response: PublicScalar,
}

impl BlindingProof {
    /// Proves with the transcript as it stands, which must hold the points already.
    pub(super) fn prove<R: RngCore + CryptoRng>(
        transcript: &mut Transcript,
        blindings: &[&Scalar],
        rng: &mut R,
    ) -> Result<Self, IssueError> {
        let mut nonces = transcript.witness_rng(blindings.iter().copied(), rng);
        let nonce = Zeroizing::new(Scalar::random(&mut nonces));
        let announcement =
            Point::new(*nonce * PEDERSEN.B_blinding).map_err(|_| IssueError::Proof)?;
        transcript.append_point(b"announcement", &announcement);
        let challenge = transcript.challenge_scalar(b"challenge");
        let mut power = Scalar::ONE;
        let mut response = *nonce;
        for blinding in blindings {
            power *= challenge;
            response += power * *blinding;
        }
        Ok(Self {
            announcement,
            response: PublicScalar(response),
        })
    }

    /// Verifies against the points in the order in which they were proved.
    pub(super) fn verify<'a>(
        &self,
        transcript: &mut Transcript,
        points: impl Iterator<Item = &'a Point>,
    ) -> Result<(), IssueError> {
        transcript.append_point(b"announcement", &self.announcement);
        let challenge = transcript.challenge_scalar(b"challenge");
        let mut power = Scalar::ONE;
        let (mut scalars, mut bases) = (
            vec![Scalar::ONE, -self.response.0],
            vec![*self.announcement.point(), PEDERSEN.B_blinding],
        );
        for point in points {
            power *= challenge;
            scalars.push(power);
            bases.push(*point.point());
        }
        let sum = RistrettoPoint::vartime_multiscalar_mul(scalars, bases);
        if sum == RistrettoPoint::default() {
            Ok(())
        } else {
            Err(IssueError::Proof)
        }
    }
}

/// The transcript of a request, up to and including its points.
pub(super) fn transcript(context: &IssueContext, requests: &[LeafRequest]) -> Transcript {
    let mut transcript = Transcript::new(b"shp/v1/blind-issue");
    append_domain(&mut transcript, context.committee);
    transcript.append_u64(b"epoch", context.epoch);
    append_nonces(&mut transcript, &context.nonces);
    transcript.append_message(b"authorisation-key", &context.authorisation_key.0);
    transcript.append_message(b"request-id", &context.request_id.0);
    transcript.append_message(b"observed", &context.observed.number().to_be_bytes());
    transcript.append_u64(b"leaves", requests.len() as u64);
    for request in requests {
        transcript.append_message(b"attribute", request.attribute.0.as_bytes());
        transcript.append_message(b"period", request.period.to_string().as_bytes());
        transcript.append_u64(b"index", u64::from(request.index));
        transcript.append_u64(b"withheld", u64::from(request.withheld));
        transcript.append_message(b"key", &request.key.0);
        transcript.append_message(b"seal-key", &request.seal_key.0);
        transcript.append_message(b"purpose", &request.purpose.0);
        transcript.append_point(b"r-value", &request.r_value);
        transcript.append_point(b"r-known", &request.r_known);
        transcript.append_point(b"r-subject", &request.r_subject);
        transcript.append_optional_point(b"r-person", request.r_person.as_ref());
    }
    transcript
}

/// What must hold of a request before its proof is looked at.
fn check(context: &IssueContext, requests: &[LeafRequest]) -> Result<(), IssueError> {
    if requests.is_empty() || requests.len() > MAX_LEAVES {
        return Err(IssueError::Count(requests.len()));
    }
    check_nonces(&context.nonces)?;
    bip340::check_key(&context.authorisation_key)
        .map_err(|_| IssueError::Key("the authorisation key"))?;
    let (mut asked, mut used) = (HashSet::new(), HashSet::new());
    for request in requests {
        let person = request.attribute.0 == PERSON;
        if person != request.r_person.is_some() {
            return Err(IssueError::Person(request.attribute.clone()));
        }
        if person && request.withheld {
            return Err(IssueError::Withheld);
        }
        bip340::check_key(&request.key).map_err(|_| IssueError::Key("a one-time key"))?;
        if !asked.insert((&request.attribute, request.period, request.index)) {
            return Err(IssueError::Duplicate {
                attribute: request.attribute.clone(),
                index: request.index,
            });
        }
        let fresh = request
            .points()
            .map(|point| *point.as_bytes())
            .chain([request.key.0, request.seal_key.0])
            .all(|bytes| used.insert(bytes));
        if !fresh {
            return Err(IssueError::Reused);
        }
    }
    Ok(())
}

/// Proves knowledge of the blindings behind every point of a request.
///
/// # Errors
/// As for [`verify_blinding`]; [`IssueError::Mismatch`] when the blindings are not those of the points.
pub fn prove_blinding<R: RngCore + CryptoRng>(
    context: &IssueContext,
    requests: &[LeafRequest],
    blindings: &[Blindings],
    rng: &mut R,
) -> Result<BlindingProof, IssueError> {
    check(context, requests)?;
    let agree = requests.iter().zip(blindings).all(|(request, blindings)| {
        blindings.points().is_ok_and(|points| {
            points
                == (
                    request.r_value,
                    request.r_known,
                    request.r_subject,
                    request.r_person,
                )
        })
    });
    if requests.len() != blindings.len() || !agree {
        return Err(IssueError::Mismatch);
    }
    let scalars: Vec<&Scalar> = blindings
        .iter()
        .flat_map(|b| {
            [&b.value, &b.known, &b.subject]
                .into_iter()
                .chain(&b.person)
        })
        .collect();
    BlindingProof::prove(&mut transcript(context, requests), &scalars, rng)
}

/// Checks the form of a request and its proof. A node checks besides that its own nonce is in the context, unused.
///
/// # Errors
/// [`IssueError`], naming what to refuse.
pub fn verify_blinding(
    context: &IssueContext,
    requests: &[LeafRequest],
    proof: &BlindingProof,
) -> Result<(), IssueError> {
    check(context, requests)?;
    proof.verify(
        &mut transcript(context, requests),
        requests.iter().flat_map(LeafRequest::points),
    )
}

/// The digest of a request that its authorisation key signs (BIP-340).
pub fn request_message(
    context: &IssueContext,
    requests: &[LeafRequest],
    proof: &BlindingProof,
) -> [u8; 32] {
    let mut transcript = transcript(context, requests);
    transcript.append_point(b"announcement", &proof.announcement);
    transcript.append_scalar(b"response", &proof.response);
    let mut digest = [0; 32];
    transcript.challenge_bytes(b"shp/v1/request-message", &mut digest);
    digest
}

/// The leaf that follows from a request and a value; owner and nodes compute the same.
///
/// `value` is 0 unless `known`; `s_d` is the handle's subject point of this domain; `person` is the registered `C_k`,
/// for `identity.person` and nothing else; `expires` is the observed day plus the catalogue's freshness.
///
/// # Errors
/// [`IssueError::UnknownValue`], [`IssueError::Person`] or [`IssueError::Identity`].
pub fn build_leaf(
    context: &IssueContext,
    request: &LeafRequest,
    value: i64,
    known: bool,
    s_d: &Point,
    person: Option<&Point>,
    expires: Day,
) -> Result<Leaf, IssueError> {
    let attribute = || request.attribute.clone();
    if !known && value != 0 {
        return Err(IssueError::UnknownValue(attribute()));
    }
    let add = |base: RistrettoPoint, blinding: &Point| {
        Point::new(base + blinding.point()).map_err(|_| IssueError::Identity(attribute()))
    };
    let c_person = match (request.attribute.0 == PERSON, person, &request.r_person) {
        (true, Some(person), Some(blinding)) => Some(add(*person.point(), blinding)?),
        (false, None, None) => None,
        _ => return Err(IssueError::Person(attribute())),
    };
    Ok(Leaf {
        version: LEAF_VERSION,
        committee: context.committee,
        epoch: context.epoch,
        attribute: attribute(),
        period: request.period,
        // B is the group's base point (`the_value_base_is_the_base_point`), for which there is a table.
        c_value: add(&scalar(value) * RISTRETTO_BASEPOINT_TABLE, &request.r_value)?,
        c_known: add(
            RistrettoPoint::conditional_select(
                &RistrettoPoint::identity(),
                &PEDERSEN.B,
                Choice::from(u8::from(known)),
            ),
            &request.r_known,
        )?,
        c_subject: add(*s_d.point(), &request.r_subject)?,
        c_person,
        key: request.key,
        purpose: request.purpose,
        observed: context.observed,
        expires,
    })
}

/// A signed integer as a scalar, by arithmetic that does not branch on it.
pub(crate) fn scalar(value: i64) -> Scalar {
    let mut scalar = Scalar::from(value.unsigned_abs());
    let negative = Choice::from((value as u64 >> 63) as u8);
    scalar.conditional_negate(negative);
    scalar
}
