//! Verifying: the range proof, then every other equation in one multi-scalar multiplication under random weights.

use bulletproofs::RangeProof;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use merlin::Transcript;

use super::proof::{Proof, branch_challenges};
use super::shape::{All, Combination, Shape};
use super::sum::Sum;
use super::transcript::ProofTranscript;
use super::{Public, RANGE, StatementError, append_slacks};
use crate::group::{PEDERSEN, Point, PublicScalar};

/// Verifies a statement on a transcript that already binds its context.
///
/// # Errors
/// [`StatementError`], naming the part that does not verify.
pub fn verify(
    transcript: &mut Transcript,
    shape: &Shape,
    public: &Public,
    slacks: &[Point],
    proof: &[u8],
) -> Result<(), StatementError> {
    let ((), sum) = equations(transcript, shape, public, slacks, proof, verify_range)?;
    if sum.is_identity() {
        Ok(())
    } else {
        Err(StatementError::Proof)
    }
}

/// Binds statement and proof to the transcript, hands the range proof (if there are slots) to `range`, and sums up all
/// other equations under weights that the transcript gives.
///
/// `range` must leave the transcript as the library does.
pub(super) fn equations<T: Default>(
    transcript: &mut Transcript,
    shape: &Shape,
    public: &Public,
    slacks: &[Point],
    proof: &[u8],
    range: impl FnOnce(&mut Transcript, &Shape, &[Point], &[u8]) -> Result<T, StatementError>,
) -> Result<(T, Sum), StatementError> {
    public.check(shape)?;
    if slacks.len() != shape.slots() {
        return Err(StatementError::Count {
            what: "slacks",
            expected: shape.slots(),
            got: slacks.len(),
        });
    }
    let proof = Proof::from_bytes(proof, shape)?;
    public.append_to(shape, transcript);
    append_slacks(transcript, slacks);
    let ranged = if shape.slots() == 0 {
        T::default()
    } else {
        let ranged = range(transcript, shape, slacks, &proof.range)?;
        transcript.append_message(b"range-proof", &proof.range);
        ranged
    };

    let subject_weights = public.subject_weights(transcript);
    let folded = shape.fold(transcript);
    for announcement in proof.announcements.iter() {
        transcript.append_point(b"announcement", announcement);
    }
    let challenge = transcript.challenge_scalar(b"challenge");

    // Bound so that the weights of the equations below follow from everything they are about.
    for scalar in proof.shares.iter().flatten().chain(proof.responses.iter()) {
        transcript.append_scalar(b"response", scalar);
    }
    let mut sum = Sum::default();
    let mut shared = Combination::new(shape.facts(), shape.slots());

    // z·H = A + c·Σ wᵢ·C_s,i
    let weight = transcript.challenge_scalar(b"equation");
    sum.blinding += weight * proof.responses.subject.0;
    sum.add(-weight, &proof.announcements.subject);
    for (subject_weight, leaf) in subject_weights.iter().zip(&public.leaves) {
        sum.add(-weight * challenge * subject_weight, &leaf.subject);
    }

    // z_k·G = A + c·T
    let weight = transcript.challenge_scalar(b"equation");
    sum.add_point(weight * proof.responses.k.0, public.base);
    sum.add(-weight, &proof.announcements.pseudonym);
    sum.add(-weight * challenge, &public.pseudonym);

    // z_k·B + z_r·H = A + c·C_person
    let weight = transcript.challenge_scalar(b"equation");
    sum.base += weight * proof.responses.k.0;
    sum.blinding += weight * proof.responses.person.0;
    sum.add(-weight, &proof.announcements.person);
    sum.add(-weight * challenge, &public.person);

    // z·H = A + c·P of each group
    let mut challenges = Vec::with_capacity(shape.groups());
    pass_down(&shape.root, challenge, &proof.shares, &mut challenges);
    let groups = folded.iter().zip(&challenges);
    let messages = proof
        .announcements
        .groups
        .iter()
        .zip(&proof.responses.groups);
    for ((combination, challenge), (announcement, response)) in groups.zip(messages) {
        let weight = transcript.challenge_scalar(b"equation");
        sum.blinding += weight * response.0;
        sum.add(-weight, announcement);
        shared.add_scaled(&(-weight * challenge), combination);
    }
    sum.base += shared.base;
    for (leaf, (value, known)) in public
        .leaves
        .iter()
        .zip(shared.value.iter().zip(&shared.known))
    {
        sum.add(*value, &leaf.value);
        sum.add(*known, &leaf.known);
    }
    for (scalar, slack) in shared.slack.iter().zip(slacks) {
        sum.add(*scalar, slack);
    }
    Ok((ranged, sum))
}

/// The library's own verification.
fn verify_range(
    transcript: &mut Transcript,
    shape: &Shape,
    slacks: &[Point],
    bytes: &[u8],
) -> Result<(), StatementError> {
    let mut commitments: Vec<CompressedRistretto> =
        slacks.iter().map(|slack| *slack.compressed()).collect();
    commitments.resize(shape.padded(), CompressedRistretto::identity());
    RangeProof::from_bytes(bytes)
        .and_then(|proof| {
            let bits = usize::from(shape.bits());
            proof.verify_multiple(&RANGE, &PEDERSEN, transcript, &commitments, bits)
        })
        .map_err(|_| StatementError::Range)
}

/// Gives each group its challenge, in the order of groups: `and` passes it on, `or` splits it.
fn pass_down(
    all: &All,
    challenge: Scalar,
    shares: &[Vec<PublicScalar>],
    challenges: &mut Vec<Scalar>,
) {
    if all.group.is_some() {
        challenges.push(challenge);
    }
    for any in &all.choices {
        let shares_here = shares.get(any.index).map_or(&[][..], Vec::as_slice);
        let split = branch_challenges(shares_here, &challenge);
        for (branch, challenge) in any.branches.iter().zip(split) {
            pass_down(branch, challenge, shares, challenges);
        }
    }
}
