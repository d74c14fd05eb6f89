//! The zero-knowledge statement: what a contract's tree says about committed facts, proved and verified.
//!
//! Given leaf commitments `C_v = v·B + r·H`, `C_known`, `C_s`, the pseudonym key's commitment `C_person = k·B + r·H`, a
//! pseudonym `T` and its base `G`, one proof says that
//!
//! 1. every leaf is of one subject: `C_s,i − C_s,0 ∈ ⟨H⟩`, folded with weights;
//! 2. `T = k·G` for the `k` in `C_person`;
//! 3. the tree holds. For an inequality `L ≥ 0` the prover commits a slack `S`, all slacks are shown to lie in
//!    `[0, 2ⁿ)` by one aggregated Bulletproof (padded to a power of two with identity points that are not sent), and
//!    `S − L(C) ∈ ⟨H⟩`; an equality is `L(C) ∈ ⟨H⟩`; every fact an atom names has `C_known − B ∈ ⟨H⟩`.
//!
//! *Choices.* Every branch of an `or` has a selector; those of one choice add up to the selector above, the root's is 1,
//! and `and` passes it on. So at every choice above which no selector is 0 some branch has one that is not. The prover
//! commits to all but the last of each choice at once, `V = Σ bᵢ·Gᵢ + r·H`, before any weight is drawn. Let `R(s, b)` be
//! the weighted sum of all relations' points, each times the selector of its `and`, `s` at the root; it is linear in
//! `(s, b)`. One Schnorr proof for `b` and `t` shows
//!
//! ```text
//! V = Σ bᵢ·Gᵢ + R(1, b) + Σ wᵢ·C_s,i + t·H
//! A = Σ aᵢ·Gᵢ + R(0, a) + a·H,   zᵢ = aᵢ + c·bᵢ,   z = a + c·t
//! Σ zᵢ·Gᵢ + R(c, z) + c·Σ wᵢ·C_s,i + z·H = A + c·V
//! ```
//!
//! which holds only if every relation with a selector other than 0 lies in ⟨H⟩. Nothing else is said of `b`: it need not
//! be of bits. A branch costs one element, whatever stands in it. Announcements are sent, not recomputed, so that proofs
//! can be verified in batches.
//!
//! The transcript holds, in order: whatever the caller bound, the form of the tree, every commitment, `T` and `G`, the
//! slacks and the Bulletproof; `V`; then one weight per leaf and relation is drawn; then come all announcements, and one
//! challenge for subject, pseudonym and tree.

mod batch;
mod proof;
mod prove;
mod range;
mod shape;
mod sum;
pub(crate) mod transcript;
mod tree;
mod verify;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::LazyLock;

use bulletproofs::BulletproofGens;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::group::Point;
use transcript::ProofTranscript;

pub use batch::{Claim, verify_batch};
pub use prove::prove;
#[cfg(test)]
pub(crate) use prove::prove_unchecked;
pub use shape::{MAX_FACTS, Shape};
pub use tree::{Atom, Bounds, MAX_ATOMS, MAX_SLOTS, Node, Relation, TreeError, WIDTHS};
pub use verify::verify;

/// Generators for the widest and longest range proof; built once per process (14 ms).
static RANGE: LazyLock<BulletproofGens> = LazyLock::new(|| BulletproofGens::new(64, MAX_SLOTS));

/// Why a statement is not proved or not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// The facts do not make the statement true, or a slack leaves its width.
    #[error("the statement does not hold of these facts")]
    Unsatisfied,
    /// Leaves, witness or slacks are not as many as the shape says.
    #[error("{what}: expected {expected}, got {got}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// As many as there should be.
        expected: usize,
        /// As many as there are.
        got: usize,
    },
    /// The witness does not open the commitments.
    #[error("the openings are not those of the commitments")]
    Witness,
    /// A proof of the wrong length.
    #[error("a proof of {got} bytes: expected {expected}")]
    Length {
        /// Bytes that the shape implies.
        expected: usize,
        /// Bytes found.
        got: usize,
    },
    /// A non-canonical or identity element.
    #[error("an element of the proof is not canonical, or the identity")]
    Encoding,
    /// The range proof does not verify.
    #[error("the range proof of the slacks does not verify")]
    Range,
    /// Subject, pseudonym or tree does not verify.
    #[error("the proof of subject, pseudonym and tree does not verify")]
    Proof,
}

/// The commitments of one leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitments {
    /// `C_v`.
    pub value: Point,
    /// `C_known`.
    pub known: Point,
    /// `C_s`.
    pub subject: Point,
}

/// What prover and verifier both know.
#[derive(Debug, Clone)]
pub struct Public {
    /// One leaf per fact, in the contract's order.
    pub leaves: Vec<Commitments>,
    /// `C_person` of the `identity.person` leaf.
    pub person: Point,
    /// The pseudonym `T`.
    pub pseudonym: Point,
    /// The base `G` of pseudonyms at this audience.
    pub base: RistrettoPoint,
}

impl Public {
    fn check(&self, shape: &Shape) -> Result<(), StatementError> {
        if self.leaves.len() != shape.facts() || self.leaves.is_empty() {
            return Err(StatementError::Count {
                what: "leaves",
                expected: shape.facts().max(1),
                got: self.leaves.len(),
            });
        }
        Ok(())
    }

    /// Binds the form of the tree and every commitment.
    fn append_to(&self, shape: &Shape, transcript: &mut Transcript) {
        transcript.append_message(b"statement", b"shp/v1/statement");
        shape.append_to(transcript);
        for leaf in &self.leaves {
            transcript.append_point(b"c-value", &leaf.value);
            transcript.append_point(b"c-known", &leaf.known);
            transcript.append_point(b"c-subject", &leaf.subject);
        }
        transcript.append_point(b"c-person", &self.person);
        transcript.append_point(b"pseudonym", &self.pseudonym);
        transcript.append_message(b"pseudonym-base", self.base.compress().as_bytes());
    }

    /// One weight per leaf; the first one's follows from the others, so that the weights sum to zero and
    /// `Σ wᵢ·C_s,i` is the weighted sum of all `C_s,i − C_s,0`.
    fn subject_weights(&self, transcript: &mut Transcript) -> Vec<Scalar> {
        let mut weights = vec![Scalar::ZERO];
        for _ in self.leaves.iter().skip(1) {
            weights.push(transcript.challenge_scalar(b"subject-weight"));
        }
        let first = -weights.iter().sum::<Scalar>();
        if let Some(weight) = weights.first_mut() {
            *weight = first;
        }
        weights
    }
}

/// Binds the slack commitments, before the Bulletproof does so again with its padding.
fn append_slacks(transcript: &mut Transcript, slacks: &[Point]) {
    transcript.append_u64(b"slacks", slacks.len() as u64);
    for slack in slacks {
        transcript.append_point(b"slack", slack);
    }
}

/// The secrets of one leaf.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LeafSecret {
    /// The attested value; 0 when not known.
    pub value: i64,
    /// Whether it is known.
    pub known: bool,
    /// Blinding of `C_v`.
    pub value_blinding: Scalar,
    /// Blinding of `C_known`.
    pub known_blinding: Scalar,
    /// Blinding of `C_s` in all: enrolment's and the leaf's.
    pub subject_blinding: Scalar,
}

/// The prover's secrets.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secrets {
    /// One per leaf.
    pub leaves: Vec<LeafSecret>,
    /// The pseudonym key.
    pub k: Scalar,
    /// Blinding of `C_person` in all: enrolment's and the leaf's.
    pub person_blinding: Scalar,
}

impl fmt::Debug for LeafSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeafSecret").finish_non_exhaustive()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}
