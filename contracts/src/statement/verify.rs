//! Verifying: the range proof, then every other equation in one multi-scalar multiplication under random weights.

use bulletproofs::RangeProof;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, IsIdentity, VartimeMultiscalarMul};
use merlin::Transcript;

use super::proof::{Proof, branch_challenges};
use super::shape::{All, Combination, Shape};
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
    verify_range(transcript, shape, slacks, &proof.range)?;

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
    let mut sum = Sum::new(shape);

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
        sum.combine(-weight * challenge, combination);
    }

    if sum.evaluate(public, slacks).is_identity() {
        Ok(())
    } else {
        Err(StatementError::Proof)
    }
}

fn verify_range(
    transcript: &mut Transcript,
    shape: &Shape,
    slacks: &[Point],
    bytes: &[u8],
) -> Result<(), StatementError> {
    if shape.slots() == 0 {
        return Ok(());
    }
    let mut commitments: Vec<CompressedRistretto> =
        slacks.iter().map(|slack| *slack.compressed()).collect();
    commitments.resize(shape.padded(), CompressedRistretto::identity());
    RangeProof::from_bytes(bytes)
        .and_then(|proof| {
            let bits = usize::from(shape.bits());
            proof.verify_multiple(&RANGE, &PEDERSEN, transcript, &commitments, bits)
        })
        .map_err(|_| StatementError::Range)?;
    transcript.append_message(b"range-proof", bytes);
    Ok(())
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

/// A sum that must be the identity: coefficients of the shared points, and further terms.
struct Sum {
    value: Vec<Scalar>,
    known: Vec<Scalar>,
    slack: Vec<Scalar>,
    base: Scalar,
    blinding: Scalar,
    scalars: Vec<Scalar>,
    points: Vec<RistrettoPoint>,
}

impl Sum {
    fn new(shape: &Shape) -> Self {
        Self {
            value: vec![Scalar::ZERO; shape.facts()],
            known: vec![Scalar::ZERO; shape.facts()],
            slack: vec![Scalar::ZERO; shape.slots()],
            base: Scalar::ZERO,
            blinding: Scalar::ZERO,
            scalars: Vec::new(),
            points: Vec::new(),
        }
    }

    fn add(&mut self, scalar: Scalar, point: &Point) {
        self.add_point(scalar, *point.point());
    }

    fn add_point(&mut self, scalar: Scalar, point: RistrettoPoint) {
        self.scalars.push(scalar);
        self.points.push(point);
    }

    fn combine(&mut self, weight: Scalar, combination: &Combination) {
        let add = |into: &mut Vec<Scalar>, from: &[Scalar]| {
            for (into, from) in into.iter_mut().zip(from) {
                *into += weight * from;
            }
        };
        add(&mut self.value, &combination.value);
        add(&mut self.known, &combination.known);
        add(&mut self.slack, &combination.slack);
        self.base += weight * combination.base;
    }

    fn evaluate(mut self, public: &Public, slacks: &[Point]) -> RistrettoPoint {
        let leaves = || public.leaves.iter();
        for (scalar, leaf) in std::mem::take(&mut self.value).into_iter().zip(leaves()) {
            self.add(scalar, &leaf.value);
        }
        for (scalar, leaf) in std::mem::take(&mut self.known).into_iter().zip(leaves()) {
            self.add(scalar, &leaf.known);
        }
        for (scalar, slack) in std::mem::take(&mut self.slack).into_iter().zip(slacks) {
            self.add(scalar, slack);
        }
        self.add_point(self.base, PEDERSEN.B);
        self.add_point(self.blinding, PEDERSEN.B_blinding);
        RistrettoPoint::vartime_multiscalar_mul(&self.scalars, &self.points)
    }
}
