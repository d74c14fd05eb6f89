//! Many statements at once: all equations of all proofs in one multi-scalar multiplication.
//!
//! Each proof gives three sums that are the identity if it holds: the two equations of its range proof and the sum of
//! all others. They are added up under independent random weights, so that the total is the identity for a false proof
//! with probability 2⁻²⁵² only. The weights come from the caller's generator mixed with the transcripts of every proof
//! in the batch: a generator that an attacker knows makes them Fiat–Shamir challenges, still out of reach.

use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};

use super::range::RangeEquations;
use super::sum::Sum;
use super::verify::{equations, verify};
use super::{Public, Shape, StatementError};
use crate::group::Point;

/// A statement with its proof, as [`super::verify`] takes them.
#[derive(Clone)]
pub struct Claim<'a> {
    /// The transcript, which already binds the context.
    pub transcript: Transcript,
    /// The shape of the statement.
    pub shape: &'a Shape,
    /// What it is about.
    pub public: &'a Public,
    /// Commitments to the slacks.
    pub slacks: &'a [Point],
    /// The proof.
    pub proof: &'a [u8],
}

impl Claim<'_> {
    fn verify(&self) -> Result<(), StatementError> {
        verify(
            &mut self.transcript.clone(),
            self.shape,
            self.public,
            self.slacks,
            self.proof,
        )
    }
}

/// The equations of one claim under the weights of this batch.
struct Weighted {
    index: usize,
    range: Option<RangeEquations>,
    inner: Scalar,
    outer: Scalar,
    others: Sum,
    weight: Scalar,
}

/// Verifies many claims: for each, what [`super::verify`] says of it alone. Shapes may differ.
///
/// If all hold it takes one multi-scalar multiplication; if not, halves are tried until the bad ones are found.
#[must_use]
pub fn verify_batch<R: RngCore + CryptoRng>(
    claims: &[Claim<'_>],
    rng: &mut R,
) -> Vec<Result<(), StatementError>> {
    let mut results = vec![Ok(()); claims.len()];
    let mut batch = Transcript::new(b"shp/v1/statement-batch");
    let mut weighted = Vec::with_capacity(claims.len());
    for (index, (claim, result)) in claims.iter().zip(&mut results).enumerate() {
        let mut transcript = claim.transcript.clone();
        let (shape, public) = (claim.shape, claim.public);
        let replay =
            |transcript: &mut Transcript, shape: &Shape, slacks: &[Point], bytes: &[u8]| {
                RangeEquations::replay(transcript, shape, slacks, bytes).map(Some)
            };
        match equations(
            &mut transcript,
            shape,
            public,
            claim.slacks,
            claim.proof,
            replay,
        ) {
            Ok((range, others)) => {
                let mut end = [0; 32];
                transcript.challenge_bytes(b"batch", &mut end);
                batch.append_message(b"proof", &end);
                weighted.push(Weighted {
                    index,
                    range,
                    inner: Scalar::ZERO,
                    outer: Scalar::ZERO,
                    others,
                    weight: Scalar::ZERO,
                });
            }
            Err(error) => *result = Err(error),
        }
    }
    let mut rng = batch.build_rng().finalize(rng);
    for one in &mut weighted {
        one.inner = Scalar::random(&mut rng);
        one.outer = Scalar::random(&mut rng);
        one.weight = Scalar::random(&mut rng);
    }
    if !holds(&weighted) {
        bisect(&weighted, claims, &mut results);
    }
    results
}

fn holds(weighted: &[Weighted]) -> bool {
    let mut sum = Sum::default();
    for one in weighted {
        sum.add_scaled(&one.weight, &one.others);
        if let Some(range) = &one.range {
            range.add_to(&mut sum, &one.inner, &one.outer);
        }
    }
    sum.is_identity()
}

/// Finds the bad ones among claims of which not all hold; each found is verified alone, which names its error.
fn bisect(weighted: &[Weighted], claims: &[Claim<'_>], results: &mut [Result<(), StatementError>]) {
    if let [one] = weighted {
        let alone = claims.get(one.index).map_or(Ok(()), Claim::verify);
        if let Some(result) = results.get_mut(one.index) {
            *result = alone;
        }
        return;
    }
    let (left, right) = weighted.split_at(weighted.len() / 2);
    let left_holds = holds(left);
    if !left_holds {
        bisect(left, claims, results);
    }
    // The sums add up: where the left half holds, the right one does not.
    if left_holds || !holds(right) {
        bisect(right, claims, results);
    }
}
