//! Proving. Which branch of an `or` is taken is decided and used by selections, never by a branch or an index.

use bulletproofs::RangeProof;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{MultiscalarMul, VartimeMultiscalarMul};
use merlin::{Transcript, TranscriptRng};
use rand_core::{CryptoRng, RngCore};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::proof::{Announcements, Proof, Responses};
use super::shape::{All, Combination, Member, Shape};
use super::sum::selector_bases;
use super::transcript::ProofTranscript;
use super::tree::Atom;
use super::{Public, RANGE, Secrets, StatementError, append_slacks};
use crate::group::{PEDERSEN, Point, PublicScalar, blinded, commit};
use crate::issuance::scalar;

/// Proves a statement on a transcript that already binds its context; gives the slack commitments and the proof.
///
/// # Errors
/// [`StatementError::Unsatisfied`] when the facts do not make it true, [`StatementError::Witness`] when the secrets are
/// not those of the commitments, [`StatementError::Count`].
pub fn prove<R: RngCore + CryptoRng>(
    transcript: &mut Transcript,
    shape: &Shape,
    public: &Public,
    secrets: &Secrets,
    rng: &mut R,
) -> Result<(Vec<Point>, Vec<u8>), StatementError> {
    public.check(shape)?;
    check_openings(public, secrets, rng)?;
    let path = Path::choose(shape, secrets)?;
    prove_along(transcript, shape, public, secrets, &path, rng)
}

/// As [`prove`], whether or not the secrets open the commitments.
#[cfg(test)]
pub(crate) fn prove_unchecked<R: RngCore + CryptoRng>(
    transcript: &mut Transcript,
    shape: &Shape,
    public: &Public,
    secrets: &Secrets,
    rng: &mut R,
) -> Result<(Vec<Point>, Vec<u8>), StatementError> {
    let path = Path::choose(shape, secrets)?;
    prove_along(transcript, shape, public, secrets, &path, rng)
}

/// Proves what `path` marks as taken, true or not.
pub(super) fn prove_along<R: RngCore + CryptoRng>(
    transcript: &mut Transcript,
    shape: &Shape,
    public: &Public,
    secrets: &Secrets,
    path: &Path,
    rng: &mut R,
) -> Result<(Vec<Point>, Vec<u8>), StatementError> {
    prove_around(transcript, shape, public, secrets, path, prove_range, rng)
}

/// As [`prove_along`], around a range proof that `range` makes on the transcript.
pub(super) fn prove_around<R: RngCore + CryptoRng>(
    transcript: &mut Transcript,
    shape: &Shape,
    public: &Public,
    secrets: &Secrets,
    path: &Path,
    range: impl FnOnce(
        &mut Transcript,
        &Shape,
        &[u64],
        &[Scalar],
        &mut TranscriptRng,
    ) -> Result<Vec<u8>, StatementError>,
    rng: &mut R,
) -> Result<(Vec<Point>, Vec<u8>), StatementError> {
    public.append_to(shape, transcript);

    let witness = witness_scalars(secrets);
    let mut random = transcript.witness_rng(witness.iter(), rng);
    let mut blindings = Zeroizing::new(vec![Scalar::ZERO; shape.padded()]);
    for blinding in blindings.iter_mut().take(shape.slots()) {
        *blinding = Scalar::random(&mut random);
    }
    let slacks = path.slacks.iter().zip(blindings.iter()).take(shape.slots());
    let slacks = slacks.map(|(value, blinding)| {
        Point::new(commit(&Scalar::from(*value), blinding)).map_err(|_| StatementError::Unsatisfied)
    });
    let slacks: Vec<Point> = slacks.collect::<Result<_, _>>()?;
    append_slacks(transcript, &slacks);
    let range = match shape.slots() {
        0 => Vec::new(),
        _ => range(transcript, shape, &path.slacks, &blindings, &mut random)?,
    };
    if !range.is_empty() {
        transcript.append_message(b"range-proof", &range);
    }

    let selectors = path.selectors();
    let selectors_blinding = Zeroizing::new(Scalar::random(&mut random));
    let commitment = match shape.selectors() {
        0 => None,
        _ => Some(encode(
            commit_selectors(&selectors) + blinded(&selectors_blinding),
        )?),
    };
    if let Some(commitment) = &commitment {
        transcript.append_point(b"selectors", commitment);
    }
    let subject_weights = public.subject_weights(transcript);
    let weights = shape.weights(transcript);

    let witness = witness.iter().chain(blindings.iter());
    let witness = witness
        .chain(selectors.iter())
        .chain([&*selectors_blinding]);
    let nonces = Nonces::draw(shape, &mut transcript.witness_rng(witness, rng));
    // A = Σ aᵢ·Gᵢ + R(0, a) + a·H
    let announced = shape.combine(
        &weights,
        &shape.group_selectors(Scalar::ZERO, &nonces.selectors),
    );
    let announcements = Announcements {
        tree: encode(
            commit_selectors(&nonces.selectors)
                + announced.point(public, &slacks)
                + blinded(&nonces.tree),
        )?,
        pseudonym: encode(nonces.k * public.base)?,
        person: encode(commit(&nonces.k, &nonces.person))?,
    };
    for announcement in announcements.iter() {
        transcript.append_point(b"announcement", announcement);
    }
    let challenge = transcript.challenge_scalar(b"challenge");

    // V = Σ bᵢ·Gᵢ + R(1, b) + t·H, and R(1, b) = ρ·H where every relation that is selected holds.
    let active = shape.combine(&weights, &shape.group_selectors(Scalar::ONE, &selectors));
    let mut rho = Zeroizing::new(active.blinding(secrets, &blindings));
    for (weight, leaf) in subject_weights.iter().zip(&secrets.leaves) {
        *rho += weight * leaf.subject_blinding;
    }
    let committed = Scalar::from(u8::from(commitment.is_some())) * *selectors_blinding;
    let tree = Zeroizing::new(committed - *rho);
    let respond = |nonce: &Scalar, secret: &Scalar| PublicScalar(nonce + challenge * secret);
    let responses = Responses {
        selectors: nonces
            .selectors
            .iter()
            .zip(selectors.iter())
            .map(|(nonce, selector)| respond(nonce, selector))
            .collect(),
        tree: respond(&nonces.tree, &tree),
        k: respond(&nonces.k, &secrets.k),
        person: respond(&nonces.person, &secrets.person_blinding),
    };
    let proof = Proof {
        range,
        selectors: commitment,
        announcements,
        responses,
    };
    Ok((slacks, proof.to_bytes()))
}

/// `Σ sᵢ·Gᵢ`, in constant time.
fn commit_selectors(scalars: &[Scalar]) -> RistrettoPoint {
    let bases = selector_bases().iter().take(scalars.len());
    RistrettoPoint::multiscalar_mul(scalars, bases)
}

/// Refuses a witness that is not the commitments', which would give a proof that fails at the verifier.
///
/// All commitments are opened at once, under random weights: public points in variable time, secrets in constant time.
fn check_openings<R: RngCore + CryptoRng>(
    public: &Public,
    secrets: &Secrets,
    rng: &mut R,
) -> Result<(), StatementError> {
    if secrets.leaves.len() != public.leaves.len() {
        return Err(StatementError::Count {
            what: "openings",
            expected: public.leaves.len(),
            got: secrets.leaves.len(),
        });
    }
    let mut draw = || {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Scalar::from(u128::from_le_bytes(bytes))
    };
    let person = draw();
    let mut weights = vec![person];
    let mut points = vec![*public.person.point()];
    let mut value = Zeroizing::new(person * secrets.k);
    let mut blinding = Zeroizing::new(person * secrets.person_blinding);
    // s itself is not known to the owner; what is left of C_s without its blinding must be the same s·B everywhere,
    // which falls out where the weights add up to zero.
    let mut subjects: Vec<Scalar> = public.leaves.iter().map(|_| draw()).collect();
    let all: Scalar = subjects.iter().skip(1).sum();
    if let Some(first) = subjects.first_mut() {
        *first = -all;
    }
    for ((leaf, secret), subject) in public.leaves.iter().zip(&secrets.leaves).zip(subjects) {
        let (of_value, of_known) = (draw(), draw());
        weights.extend([of_value, of_known, subject]);
        points.extend([leaf.value, leaf.known, leaf.subject].map(|point| *point.point()));
        *value += of_value * scalar(secret.value) + of_known * scalar(i64::from(secret.known));
        *blinding += of_value * secret.value_blinding
            + of_known * secret.known_blinding
            + subject * secret.subject_blinding;
    }
    let claimed = RistrettoPoint::vartime_multiscalar_mul(weights, points);
    let opened = claimed == commit(&value, &blinding)
        && public.pseudonym.point() == &(secrets.k * public.base);
    if opened {
        Ok(())
    } else {
        Err(StatementError::Witness)
    }
}

fn witness_scalars(secrets: &Secrets) -> Zeroizing<Vec<Scalar>> {
    let mut scalars = Zeroizing::new(vec![secrets.k, secrets.person_blinding]);
    for leaf in &secrets.leaves {
        scalars.extend([
            scalar(leaf.value),
            scalar(i64::from(leaf.known)),
            leaf.value_blinding,
            leaf.known_blinding,
            leaf.subject_blinding,
        ]);
    }
    scalars
}

/// The library's own range proof.
pub(super) fn prove_range<R: RngCore + CryptoRng>(
    transcript: &mut Transcript,
    shape: &Shape,
    values: &[u64],
    blindings: &[Scalar],
    rng: &mut R,
) -> Result<Vec<u8>, StatementError> {
    let (proof, _) = RangeProof::prove_multiple_with_rng(
        &RANGE,
        &PEDERSEN,
        transcript,
        values,
        blindings,
        usize::from(shape.bits()),
        rng,
    )
    .map_err(|_| StatementError::Range)?;
    Ok(proof.to_bytes())
}

fn encode(point: RistrettoPoint) -> Result<Point, StatementError> {
    Point::new(point).map_err(|_| StatementError::Encoding)
}

const SIZED: &str = "every list is sized from the shape";

/// The part of the tree that is really proved.
pub(super) struct Path {
    /// By selector, whether it is its choice's first branch that holds.
    pub taken: Zeroizing<Vec<u8>>,
    /// By selector, whether its branch is the one proved: taken, and so is everything above it.
    pub active: Zeroizing<Vec<u8>>,
    /// By slot (padding included), the slack of the active inequality that has it, or 0.
    pub slacks: Zeroizing<Vec<u64>>,
}

impl Path {
    pub fn choose(shape: &Shape, secrets: &Secrets) -> Result<Self, StatementError> {
        let mut path = Self {
            taken: Zeroizing::new(vec![0; shape.selectors()]),
            active: Zeroizing::new(vec![0; shape.selectors()]),
            slacks: Zeroizing::new(vec![0; shape.padded()]),
        };
        let holds = path.take(&shape.root, shape, secrets);
        path.activate(&shape.root, secrets, Choice::from(1));
        // Whether there is anything to prove is no secret: without it there is no proof.
        if bool::from(holds) {
            Ok(path)
        } else {
            Err(StatementError::Unsatisfied)
        }
    }

    /// The committed selectors, 1 of a branch that is proved and 0 of another.
    fn selectors(&self) -> Zeroizing<Vec<Scalar>> {
        Zeroizing::new(self.active.iter().map(|bit| Scalar::from(*bit)).collect())
    }

    /// Marks the first branch that holds (else the last) of every choice; tells whether all of this holds.
    fn take(&mut self, all: &All, shape: &Shape, secrets: &Secrets) -> Choice {
        let mut holds = Choice::from(1);
        for member in all.group.iter().flat_map(|group| &group.members) {
            holds &= match member {
                Member::Slack { atom, .. } => {
                    // A negative L has its high bits set, so this is 0 ≤ L < 2ⁿ.
                    is_zero((linear(atom, secrets) as u128) >> shape.bits())
                }
                Member::Zero { atom } => is_zero(linear(atom, secrets) as u128),
                Member::Known { fact } => {
                    u8::from(secrets.leaves.get(*fact).expect(SIZED).known).ct_eq(&1)
                }
            };
        }
        for any in &all.choices {
            let mut found = Choice::from(0);
            for (index, branch) in any.branches.iter().enumerate() {
                let branch_holds = self.take(branch, shape, secrets);
                if index + 1 < any.branches.len() {
                    let taken = branch_holds & !found;
                    *self.taken.get_mut(any.first + index).expect(SIZED) = taken.unwrap_u8();
                }
                found |= branch_holds;
            }
            holds &= found;
        }
        holds
    }

    fn activate(&mut self, all: &All, secrets: &Secrets, active: Choice) {
        for member in all.group.iter().flat_map(|group| &group.members) {
            if let Member::Slack { atom, slot } = member {
                let slack = linear(atom, secrets) as u64;
                let slot = self.slacks.get_mut(*slot).expect(SIZED);
                slot.conditional_assign(&slack, active);
            }
        }
        for any in &all.choices {
            let mut rest = active;
            for (index, branch) in any.branches.iter().enumerate() {
                let mut here = rest;
                if index + 1 < any.branches.len() {
                    let selector = any.first + index;
                    here &= Choice::from(*self.taken.get(selector).expect(SIZED));
                    *self.active.get_mut(selector).expect(SIZED) = here.unwrap_u8();
                    rest &= !here;
                }
                self.activate(branch, secrets, here);
            }
        }
    }
}

/// `L`, wrapping where values outside their bounds would make it leave 128 bits.
fn linear(atom: &Atom, secrets: &Secrets) -> i128 {
    atom.terms
        .iter()
        .fold(i128::from(atom.constant), |sum, (fact, coefficient)| {
            let value = secrets.leaves.get(*fact).expect(SIZED).value;
            sum.wrapping_add(i128::from(*coefficient) * i128::from(value))
        })
}

fn is_zero(number: u128) -> Choice {
    ((number as u64) | (number >> 64) as u64).ct_eq(&0)
}

/// The randomness of the Σ-protocols.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Nonces {
    selectors: Vec<Scalar>,
    tree: Scalar,
    k: Scalar,
    person: Scalar,
}

impl Nonces {
    fn draw<R: RngCore + CryptoRng>(shape: &Shape, rng: &mut R) -> Self {
        Self {
            selectors: (0..shape.selectors())
                .map(|_| Scalar::random(rng))
                .collect(),
            tree: Scalar::random(rng),
            k: Scalar::random(rng),
            person: Scalar::random(rng),
        }
    }
}

impl Combination {
    /// The combined point, in constant time: coefficients are nonces.
    pub(super) fn point(&self, public: &Public, slacks: &[Point]) -> RistrettoPoint {
        let values = public.leaves.iter().map(|leaf| leaf.value);
        let knowns = public.leaves.iter().map(|leaf| leaf.known);
        let points = values.chain(knowns).chain(slacks.iter().copied());
        RistrettoPoint::multiscalar_mul(
            self.value
                .iter()
                .chain(&self.known)
                .chain(&self.slack)
                .chain([&self.base]),
            points.map(|point| *point.point()).chain([PEDERSEN.B]),
        )
    }

    /// The combined point's blinding, if it lies in ⟨H⟩.
    fn blinding(&self, secrets: &Secrets, slacks: &[Scalar]) -> Scalar {
        let values = secrets.leaves.iter().map(|leaf| &leaf.value_blinding);
        let knowns = secrets.leaves.iter().map(|leaf| &leaf.known_blinding);
        let coefficients = self.value.iter().chain(&self.known).chain(&self.slack);
        coefficients
            .zip(values.chain(knowns).chain(slacks))
            .map(|(coefficient, blinding)| coefficient * blinding)
            .sum()
    }
}
