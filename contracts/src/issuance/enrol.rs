//! Enrolment: one subject blinding per domain and the commitment to the pseudonym key, with their proof of knowledge.

use std::collections::HashSet;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::attest::BlindingProof;
use super::{EnrolSecrets, IssueError, append_domain, append_nonces, check_nonces};
use crate::bip340;
use crate::encoding::Bytes32;
use crate::group::{PEDERSEN, Point, PublicScalar};
use crate::ids::{Domain, NodeId};
use crate::statement::transcript::ProofTranscript;

/// What an enrolment is bound to besides its points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolContext {
    /// The epoch of the identity committee's key.
    pub epoch: u64,
    /// Chosen at random by the owner for this enrolment and no other.
    pub request_id: Bytes32,
    /// The nonces of all answering nodes, in ascending order of nodes.
    pub nonces: Vec<(NodeId, Bytes32)>,
    /// The owner's authorisation key of every domain, in order of domains: secp256k1, x-only.
    pub keys: Vec<(Domain, Bytes32)>,
}

/// The points that the owner sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolPoints {
    /// `R_d = r_d·H` of every domain, in order of domains.
    pub r_subject: Vec<(Domain, Point)>,
    /// `C_k = k·B + r·H`.
    pub c_person: Point,
}

/// Knowledge of every `r_d` to the base `H`, and of `(k, r)` in `C_k` (Okamoto), under one transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolProof {
    /// Announcement of the opening of `C_k`: `b·B + d·H`.
    pub person_announcement: Point,
    /// `b + c·k`.
    pub person_k: PublicScalar,
    /// `d + c·r`.
    pub person_blinding: PublicScalar,
    /// The batched proof for the `R_d`, on the same transcript.
    pub subject: BlindingProof,
}

fn transcript(context: &EnrolContext, points: &EnrolPoints) -> Transcript {
    let mut transcript = Transcript::new(b"shp/v1/enrolment");
    append_domain(&mut transcript, Domain::Identity);
    transcript.append_u64(b"epoch", context.epoch);
    append_nonces(&mut transcript, &context.nonces);
    transcript.append_message(b"request-id", &context.request_id.0);
    transcript.append_u64(b"keys", context.keys.len() as u64);
    for (domain, key) in &context.keys {
        append_domain(&mut transcript, *domain);
        transcript.append_message(b"authorisation-key", &key.0);
    }
    transcript.append_u64(b"subjects", points.r_subject.len() as u64);
    for (domain, point) in &points.r_subject {
        append_domain(&mut transcript, *domain);
        transcript.append_point(b"r-subject", point);
    }
    transcript.append_point(b"c-person", &points.c_person);
    transcript
}

fn check(context: &EnrolContext, points: &EnrolPoints) -> Result<(), IssueError> {
    check_nonces(&context.nonces)?;
    let every = |domains: Vec<Domain>| domains == Domain::ALL;
    let distinct = |bytes: Vec<[u8; 32]>| {
        let mut seen = HashSet::new();
        bytes.into_iter().all(|bytes| seen.insert(bytes))
    };
    let ok = every(context.keys.iter().map(|(domain, _)| *domain).collect())
        && every(points.r_subject.iter().map(|(domain, _)| *domain).collect())
        && distinct(context.keys.iter().map(|(_, key)| key.0).collect())
        && distinct(
            points
                .r_subject
                .iter()
                .map(|(_, point)| *point.as_bytes())
                .collect(),
        );
    if !ok {
        return Err(IssueError::Domains);
    }
    for (_, key) in &context.keys {
        bip340::check_key(key).map_err(|_| IssueError::Key("an authorisation key"))?;
    }
    Ok(())
}

/// Proves knowledge of the secrets behind the points of an enrolment.
///
/// # Errors
/// As for [`verify_enrolment`]; [`IssueError::Mismatch`] when the secrets are not those of the points or `k` is zero.
pub fn prove_enrolment<R: RngCore + CryptoRng>(
    context: &EnrolContext,
    points: &EnrolPoints,
    secrets: &EnrolSecrets,
    rng: &mut R,
) -> Result<EnrolProof, IssueError> {
    check(context, points)?;
    if secrets.k == Scalar::ZERO || secrets.points().as_ref() != Ok(points) {
        return Err(IssueError::Mismatch);
    }
    prove_unchecked(context, points, secrets, rng)
}

/// Proves whether or not the secrets are those of the points.
pub(super) fn prove_unchecked<R: RngCore + CryptoRng>(
    context: &EnrolContext,
    points: &EnrolPoints,
    secrets: &EnrolSecrets,
    rng: &mut R,
) -> Result<EnrolProof, IssueError> {
    let mut transcript = transcript(context, points);
    let witness = secrets
        .subject
        .iter()
        .map(|(_, r)| r)
        .chain([&secrets.k, &secrets.person]);
    let mut nonces = transcript.witness_rng(witness, rng);
    let b = Zeroizing::new(Scalar::random(&mut nonces));
    let d = Zeroizing::new(Scalar::random(&mut nonces));
    let person_announcement = Point::new(PEDERSEN.commit(*b, *d)).map_err(|_| IssueError::Proof)?;
    transcript.append_point(b"person-announcement", &person_announcement);
    let challenge = transcript.challenge_scalar(b"person-challenge");
    let person_k = PublicScalar(*b + challenge * secrets.k);
    let person_blinding = PublicScalar(*d + challenge * secrets.person);
    transcript.append_scalar(b"person-k", &person_k);
    transcript.append_scalar(b"person-blinding", &person_blinding);
    let blindings: Vec<&Scalar> = secrets.subject.iter().map(|(_, r)| r).collect();
    Ok(EnrolProof {
        person_announcement,
        person_k,
        person_blinding,
        subject: BlindingProof::prove(&mut transcript, &blindings, rng)?,
    })
}

/// Checks the form of an enrolment and its proof. A node checks besides that its own nonce is there, unused.
///
/// # Errors
/// [`IssueError`], naming what to refuse.
pub fn verify_enrolment(
    context: &EnrolContext,
    points: &EnrolPoints,
    proof: &EnrolProof,
) -> Result<(), IssueError> {
    check(context, points)?;
    let mut transcript = transcript(context, points);
    transcript.append_point(b"person-announcement", &proof.person_announcement);
    let challenge = transcript.challenge_scalar(b"person-challenge");
    let sum = RistrettoPoint::vartime_multiscalar_mul(
        [
            Scalar::ONE,
            challenge,
            -proof.person_k.0,
            -proof.person_blinding.0,
        ],
        [
            *proof.person_announcement.point(),
            *points.c_person.point(),
            PEDERSEN.B,
            PEDERSEN.B_blinding,
        ],
    );
    if sum != RistrettoPoint::default() {
        return Err(IssueError::Proof);
    }
    transcript.append_scalar(b"person-k", &proof.person_k);
    transcript.append_scalar(b"person-blinding", &proof.person_blinding);
    proof.subject.verify(
        &mut transcript,
        points.r_subject.iter().map(|(_, point)| point),
    )
}

/// The digest of an enrolment that the identity authorisation key signs (BIP-340); `response_key` is the X25519 key that
/// the answers are sealed to.
pub fn enrol_message(
    context: &EnrolContext,
    points: &EnrolPoints,
    proof: &EnrolProof,
    response_key: &Bytes32,
) -> [u8; 32] {
    let mut transcript = transcript(context, points);
    transcript.append_point(b"person-announcement", &proof.person_announcement);
    transcript.append_scalar(b"person-k", &proof.person_k);
    transcript.append_scalar(b"person-blinding", &proof.person_blinding);
    transcript.append_point(b"announcement", &proof.subject.announcement);
    transcript.append_scalar(b"response", &proof.subject.response);
    transcript.append_message(b"response-key", &response_key.0);
    let mut digest = [0; 32];
    transcript.challenge_bytes(b"shp/v1/enrol-message", &mut digest);
    digest
}
