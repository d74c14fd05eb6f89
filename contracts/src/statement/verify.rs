//! Verifying: the equations of the range proof and all others in one multi-scalar multiplication under random weights.

use bulletproofs::RangeProof;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use merlin::Transcript;

use super::proof::Proof;
use super::range::RangeEquations;
use super::shape::Shape;
use super::sum::Sum;
use super::transcript::ProofTranscript;
use super::{Public, RANGE, StatementError, append_slacks};
use crate::group::{PEDERSEN, Point};

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
    let mut together = transcript.clone();
    let replay = |transcript: &mut Transcript, shape: &Shape, slacks: &[Point], bytes: &[u8]| {
        RangeEquations::replay(transcript, shape, slacks, bytes).map(Some)
    };
    let replayed = equations(&mut together, shape, public, slacks, proof, replay);
    if let Ok((range, mut sum)) = replayed {
        if let Some(range) = range {
            // Everything that the three sums are about is in the transcript by now.
            let [inner, outer] = [b"inner", b"outer"].map(|label| together.challenge_scalar(label));
            range.add_to(&mut sum, &inner, &outer);
        }
        if sum.is_identity() {
            *transcript = together;
            return Ok(());
        }
    }
    // In parts, the range proof by the library itself, which names the one that fails.
    let ((), _) = equations(transcript, shape, public, slacks, proof, verify_range)?;
    Err(StatementError::Proof)
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

    if let Some(selectors) = &proof.selectors {
        transcript.append_point(b"selectors", selectors);
    }
    let subject_weights = public.subject_weights(transcript);
    let weights = shape.weights(transcript);
    for announcement in proof.announcements.iter() {
        transcript.append_point(b"announcement", announcement);
    }
    let challenge = transcript.challenge_scalar(b"challenge");

    // Bound so that the weights of the equations below follow from everything they are about.
    for scalar in proof.responses.iter() {
        transcript.append_scalar(b"response", scalar);
    }
    let mut sum = Sum::default();

    // Σ zᵢ·Gᵢ + R(c, z) + c·Σ wᵢ·C_s,i + z·H = A + c·V, R being the relations under their selectors
    let weight = transcript.challenge_scalar(b"equation");
    let responses = &proof.responses;
    let committed: Vec<Scalar> = responses.selectors.iter().map(|z| z.0).collect();
    for (sum, response) in sum.selectors(committed.len()).iter_mut().zip(&committed) {
        *sum += weight * response;
    }
    let selectors = shape.group_selectors(challenge, &committed);
    let relations = shape.combine(&weights, &selectors);
    sum.base += weight * relations.base;
    for (leaf, (value, known)) in public
        .leaves
        .iter()
        .zip(relations.value.iter().zip(&relations.known))
    {
        sum.add(weight * value, &leaf.value);
        sum.add(weight * known, &leaf.known);
    }
    for (scalar, slack) in relations.slack.iter().zip(slacks) {
        sum.add(weight * scalar, slack);
    }
    for (subject_weight, leaf) in subject_weights.iter().zip(&public.leaves) {
        sum.add(weight * challenge * subject_weight, &leaf.subject);
    }
    sum.blinding += weight * responses.tree.0;
    sum.add(-weight, &proof.announcements.tree);
    if let Some(selectors) = &proof.selectors {
        sum.add(-weight * challenge, selectors);
    }

    // z_k·G = A + c·T
    let weight = transcript.challenge_scalar(b"equation");
    sum.add_point(weight * responses.k.0, public.base);
    sum.add(-weight, &proof.announcements.pseudonym);
    sum.add(-weight * challenge, &public.pseudonym);

    // z_k·B + z_r·H = A + c·C_person
    let weight = transcript.challenge_scalar(b"equation");
    sum.base += weight * responses.k.0;
    sum.blinding += weight * responses.person.0;
    sum.add(-weight, &proof.announcements.person);
    sum.add(-weight * challenge, &public.person);

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
