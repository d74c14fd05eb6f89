//! The library's range proof as equations: its bytes read and its transcript replayed, so that many fold into one sum.
//!
//! `bulletproofs` 5.0 verifies one aggregated proof at a time and gives out neither its parts nor its challenges. This
//! follows its `RangeProof::verify_multiple_with_rng` and `InnerProductProof::verification_scalars` step by step; tests
//! hold the two to the same verdicts and the same transcript.

use std::iter;

use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use merlin::Transcript;

use super::sum::Sum;
use super::transcript::ProofTranscript;
use super::{Shape, StatementError};
use crate::group::{Point, PublicScalar};

/// A range proof with its challenges, in the names of the Bulletproofs paper (sections 4.1 to 4.3, and 3.1).
#[derive(Debug, Clone)]
pub(super) struct RangeEquations {
    bits: usize,
    parties: usize,
    slacks: Vec<Point>,
    a_commitment: Point,
    s_commitment: Point,
    t_1: Point,
    t_2: Point,
    t_x: Scalar,
    t_x_blinding: Scalar,
    e_blinding: Scalar,
    /// `L` and `R` of each halving with `u²` and `u⁻²`.
    halvings: Vec<(Point, Point, Scalar, Scalar)>,
    a: Scalar,
    b: Scalar,
    y: Scalar,
    y_inverse: Scalar,
    z: Scalar,
    x: Scalar,
    w: Scalar,
    /// `Π u⁻¹`.
    u_inverse: Scalar,
}

/// The 32-byte elements of a range proof, in order.
struct Elements<'a>(std::slice::Iter<'a, [u8; 32]>);

impl Elements<'_> {
    fn point(&mut self) -> Result<Point, StatementError> {
        let bytes = self.0.next().ok_or(StatementError::Range)?;
        Point::from_bytes(bytes).map_err(|_| StatementError::Range)
    }

    fn scalar(&mut self) -> Result<PublicScalar, StatementError> {
        let bytes = self.0.next().ok_or(StatementError::Range)?;
        PublicScalar::from_bytes(bytes).map_err(|_| StatementError::Range)
    }
}

impl RangeEquations {
    /// Reads a proof of the shape's length and draws its challenges from the transcript.
    ///
    /// # Errors
    /// [`StatementError::Range`]: a non-canonical element, an identity, or another length.
    pub fn replay(
        transcript: &mut Transcript,
        shape: &Shape,
        slacks: &[Point],
        bytes: &[u8],
    ) -> Result<Self, StatementError> {
        let (bits, parties) = (usize::from(shape.bits()), shape.padded());
        let (elements, rest) = bytes.as_chunks::<32>();
        if bytes.len() != shape.range_proof_len() || !rest.is_empty() {
            return Err(StatementError::Range);
        }
        let mut elements = Elements(elements.iter());

        transcript.append_message(b"dom-sep", b"rangeproof v1");
        transcript.append_u64(b"n", bits as u64);
        transcript.append_u64(b"m", parties as u64);
        for slack in slacks {
            transcript.append_point(b"V", slack);
        }
        for _ in slacks.len()..parties {
            transcript.append_message(b"V", CompressedRistretto::identity().as_bytes());
        }

        let point = |transcript: &mut Transcript, elements: &mut Elements<'_>, label| {
            let point = elements.point()?;
            transcript.append_point(label, &point);
            Ok(point)
        };
        let a_commitment = point(transcript, &mut elements, b"A")?;
        let s_commitment = point(transcript, &mut elements, b"S")?;
        let y = transcript.challenge_scalar(b"y");
        let z = transcript.challenge_scalar(b"z");
        let t_1 = point(transcript, &mut elements, b"T_1")?;
        let t_2 = point(transcript, &mut elements, b"T_2")?;
        let x = transcript.challenge_scalar(b"x");

        let mut scalar = |label| {
            let scalar = elements.scalar()?;
            transcript.append_scalar(label, &scalar);
            Ok(scalar.0)
        };
        let t_x = scalar(b"t_x")?;
        let t_x_blinding = scalar(b"t_x_blinding")?;
        let e_blinding = scalar(b"e_blinding")?;
        let w = transcript.challenge_scalar(b"w");

        transcript.append_message(b"dom-sep", b"ipp v1");
        transcript.append_u64(b"n", (bits * parties) as u64);
        let mut halvings = Vec::new();
        for _ in 0..(bits * parties).ilog2() {
            let left = point(transcript, &mut elements, b"L")?;
            let right = point(transcript, &mut elements, b"R")?;
            let u = transcript.challenge_scalar(b"u");
            halvings.push((left, right, u, Scalar::ZERO));
        }
        let (a, b) = (elements.scalar()?.0, elements.scalar()?.0);

        // One inversion for `y` and every `u`.
        let mut inverses: Vec<Scalar> = halvings.iter().map(|halving| halving.2).collect();
        inverses.push(y);
        let u_inverse = Scalar::batch_invert(&mut inverses) * y;
        let y_inverse = inverses.pop().unwrap_or(Scalar::ONE);
        for ((_, _, u, u_inverse), inverse) in halvings.iter_mut().zip(inverses) {
            *u *= *u;
            *u_inverse = inverse * inverse;
        }
        Ok(Self {
            bits,
            parties,
            slacks: slacks.to_vec(),
            a_commitment,
            s_commitment,
            t_1,
            t_2,
            t_x,
            t_x_blinding,
            e_blinding,
            halvings,
            a,
            b,
            y,
            y_inverse,
            z,
            x,
            w,
            u_inverse,
        })
    }

    /// Adds `inner` times the inner-product equation and `outer` times the one of `t(x)`.
    pub fn add_to(&self, sum: &mut Sum, inner: &Scalar, outer: &Scalar) {
        let (n, m) = (self.bits, self.parties);
        let zz = self.z * self.z;
        sum.add(*inner, &self.a_commitment);
        sum.add(inner * self.x, &self.s_commitment);
        sum.add(outer * self.x, &self.t_1);
        sum.add(outer * self.x * self.x, &self.t_2);
        for (left, right, u, u_inverse) in &self.halvings {
            sum.add(inner * u, left);
            sum.add(inner * u_inverse, right);
        }
        let powers_of_z: Vec<Scalar> = powers(self.z).take(m).collect();
        for (slack, power) in self.slacks.iter().zip(&powers_of_z) {
            sum.add(outer * zz * power, slack);
        }
        sum.blinding -= inner * self.e_blinding + outer * self.t_x_blinding;
        sum.base += inner * self.w * (self.t_x - self.a * self.b);

        // −z − a·sᵢ of **G** and z + y⁻ⁱ·(zʲ⁺²·2ᵏ − b·sᵢ⁻¹) of **H**, where sᵢ is the product of u^±1 that the generators
        // fold to: every bit of i brings a factor of its own to a·sᵢ and to y⁻ⁱ·b·sᵢ⁻¹.
        let inner_z = inner * self.z;
        let u_product = self
            .halvings
            .iter()
            .fold(self.u_inverse, |all, it| all * it.2);
        let from_least = || self.halvings.iter().rev();
        let a_s = products(
            inner * self.a * self.u_inverse,
            from_least().map(|(_, _, u, _)| *u),
        );
        let y_powers = iter::successors(Some(self.y_inverse), |power| Some(power * power));
        let b_s = products(
            inner * self.b * u_product,
            from_least()
                .zip(y_powers)
                .map(|((_, _, _, u_inverse), y)| u_inverse * y),
        );
        let (mut a_s, mut b_s) = (a_s.iter(), b_s.iter());
        let next_bit = self.y_inverse + self.y_inverse;
        let mut y_power = inner * zz;
        let y_party = (0..n.ilog2()).fold(self.y_inverse, |power, _| power * power);
        for ((g, h), power_of_z) in sum.parties(m).zip(&powers_of_z) {
            let mut bit = y_power * power_of_z;
            let generators = g.iter_mut().zip(h).take(n);
            let folded = a_s.by_ref().zip(b_s.by_ref());
            for ((g, h), (a_s, b_s)) in generators.zip(folded) {
                *g -= inner_z + a_s;
                *h += inner_z + bit - b_s;
                bit *= next_bit;
            }
            y_power *= y_party;
        }
        sum.base += outer * (self.delta(&powers_of_z) - self.t_x);
    }

    /// `δ(y, z) = (z − z²)·⟨1, yⁿᵐ⟩ − z³·⟨1, 2ⁿ⟩·⟨1, zᵐ⟩`.
    fn delta(&self, powers_of_z: &[Scalar]) -> Scalar {
        let (n, m) = (self.bits, self.parties);
        // The number of powers is a power of two: Σ yⁱ = Π (1 + y^(2ʲ)).
        let mut sum_y = Scalar::ONE;
        let mut power = self.y;
        for _ in 0..(n * m).ilog2() {
            sum_y *= Scalar::ONE + power;
            power *= power;
        }
        let sum_2 = Scalar::from(u64::MAX >> (64 - n));
        let sum_z: Scalar = powers_of_z.iter().sum();
        let zz = self.z * self.z;
        (self.z - zz) * sum_y - zz * self.z * sum_2 * sum_z
    }
}

/// `start` times the factors of the bits that are set in the index, the first factor being that of the lowest bit.
fn products(start: Scalar, factors: impl Iterator<Item = Scalar>) -> Vec<Scalar> {
    let mut products = vec![start];
    for factor in factors {
        for index in 0..products.len() {
            products.push(products[index] * factor);
        }
    }
    products
}

fn powers(of: Scalar) -> impl Iterator<Item = Scalar> {
    iter::successors(Some(Scalar::ONE), move |power| Some(power * of))
}
