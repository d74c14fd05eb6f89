//! Proving. Which branch of an `or` is taken is decided and used by selections, never by a branch or an index.

use bulletproofs::RangeProof;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::proof::{Announcements, Proof, Responses};
use super::shape::{All, Combination, Member, Shape};
use super::transcript::ProofTranscript;
use super::tree::Atom;
use super::{Public, RANGE, Secrets, StatementError, append_slacks};
use crate::group::{PEDERSEN, Point, PublicScalar};
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
    check_openings(public, secrets)?;
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
    public.append_to(shape, transcript);

    let witness = witness_scalars(secrets);
    let mut random = transcript.witness_rng(witness.iter(), rng);
    let mut blindings = Zeroizing::new(vec![Scalar::ZERO; shape.padded()]);
    for blinding in blindings.iter_mut().take(shape.slots()) {
        *blinding = Scalar::random(&mut random);
    }
    let slacks = path.slacks.iter().zip(blindings.iter()).take(shape.slots());
    let slacks = slacks.map(|(value, blinding)| {
        Point::new(PEDERSEN.commit(Scalar::from(*value), *blinding))
            .map_err(|_| StatementError::Unsatisfied)
    });
    let slacks: Vec<Point> = slacks.collect::<Result<_, _>>()?;
    append_slacks(transcript, &slacks);
    let range = prove_range(transcript, shape, &path.slacks, &blindings, &mut random)?;

    let subject_weights = public.subject_weights(transcript);
    let folded = shape.fold(transcript);

    let mut random = transcript.witness_rng(witness.iter().chain(blindings.iter()), rng);
    let nonces = Nonces::draw(shape, &mut random);
    let (simulated, _) = nonces.split(shape, path, &Scalar::ZERO);
    let mut groups = Vec::with_capacity(shape.groups());
    for (index, sum) in folded.iter().enumerate() {
        let [nonce, response, challenge] =
            [&nonces.nonce, &nonces.response, &*simulated].map(|all| at(all, index));
        // Simulated: A = z·H − c·P; real: A = a·H. The public P is computed in variable time, the rest is not.
        let point = sum.point(public, &slacks);
        let real = nonce * PEDERSEN.B_blinding;
        let fake = response * PEDERSEN.B_blinding - challenge * point;
        let active = choice_at(&path.active, index);
        groups.push(encode(RistrettoPoint::conditional_select(
            &fake, &real, active,
        ))?);
    }
    let announcements = Announcements {
        subject: encode(nonces.subject * PEDERSEN.B_blinding)?,
        pseudonym: encode(nonces.k * public.base)?,
        person: encode(PEDERSEN.commit(nonces.k, nonces.person))?,
        groups,
    };
    for announcement in announcements.iter() {
        transcript.append_point(b"announcement", announcement);
    }
    let challenge = transcript.challenge_scalar(b"challenge");

    let (challenges, shares) = nonces.split(shape, path, &challenge);
    let groups = folded.iter().enumerate().map(|(index, sum)| {
        let blinding = Zeroizing::new(sum.blinding(secrets, &blindings));
        let real = at(&nonces.nonce, index) + at(&challenges, index) * *blinding;
        let active = choice_at(&path.active, index);
        PublicScalar(Scalar::conditional_select(
            at(&nonces.response, index),
            &real,
            active,
        ))
    });
    let subject = subject_weights.iter().zip(&secrets.leaves);
    let subject = subject.map(|(weight, leaf)| weight * leaf.subject_blinding);
    let subject = Zeroizing::new(subject.sum::<Scalar>());
    let responses = Responses {
        subject: PublicScalar(nonces.subject + challenge * *subject),
        k: PublicScalar(nonces.k + challenge * secrets.k),
        person: PublicScalar(nonces.person + challenge * secrets.person_blinding),
        groups: groups.collect(),
    };
    let proof = Proof {
        range,
        announcements,
        shares,
        responses,
    };
    Ok((slacks, proof.to_bytes()))
}

/// Refuses a witness that is not the commitments', which would give a proof that fails at the verifier.
fn check_openings(public: &Public, secrets: &Secrets) -> Result<(), StatementError> {
    if secrets.leaves.len() != public.leaves.len() {
        return Err(StatementError::Count {
            what: "openings",
            expected: public.leaves.len(),
            got: secrets.leaves.len(),
        });
    }
    let mut ok = public.person.point() == &PEDERSEN.commit(secrets.k, secrets.person_blinding)
        && public.pseudonym.point() == &(secrets.k * public.base);
    // s itself is not known to the owner; what is left of C_s without its blinding must be the same s·B everywhere.
    let mut subjects = Vec::with_capacity(public.leaves.len());
    for (leaf, secret) in public.leaves.iter().zip(&secrets.leaves) {
        let known = scalar(i64::from(secret.known));
        ok &= leaf.value.point() == &PEDERSEN.commit(scalar(secret.value), secret.value_blinding);
        ok &= leaf.known.point() == &PEDERSEN.commit(known, secret.known_blinding);
        subjects.push(leaf.subject.point() - secret.subject_blinding * PEDERSEN.B_blinding);
    }
    ok &= subjects.windows(2).all(|pair| pair.first() == pair.last());
    if ok {
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

fn prove_range<R: RngCore + CryptoRng>(
    transcript: &mut Transcript,
    shape: &Shape,
    values: &[u64],
    blindings: &[Scalar],
    rng: &mut R,
) -> Result<Vec<u8>, StatementError> {
    if shape.slots() == 0 {
        return Ok(Vec::new());
    }
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
    let bytes = proof.to_bytes();
    transcript.append_message(b"range-proof", &bytes);
    Ok(bytes)
}

fn encode(point: RistrettoPoint) -> Result<Point, StatementError> {
    Point::new(point).map_err(|_| StatementError::Encoding)
}

const SIZED: &str = "every list is sized from the shape";

fn at(all: &[Scalar], index: usize) -> &Scalar {
    all.get(index).expect(SIZED)
}

fn choice_at(all: &[Choice], index: usize) -> Choice {
    *all.get(index).expect(SIZED)
}

/// The part of the tree that is really proved.
pub(super) struct Path {
    /// By choice and branch, whether the branch is the taken one: exactly one of each choice.
    pub taken: Vec<Vec<Choice>>,
    /// By group, whether it is really proved.
    pub active: Vec<Choice>,
    /// By slot (padding included), the slack of the active inequality that has it, or 0.
    pub slacks: Zeroizing<Vec<u64>>,
}

impl Path {
    pub fn choose(shape: &Shape, secrets: &Secrets) -> Result<Self, StatementError> {
        let mut path = Self {
            taken: shape
                .branches
                .iter()
                .map(|n| vec![Choice::from(0); *n])
                .collect(),
            active: vec![Choice::from(0); shape.groups()],
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
            let last = any.branches.len() - 1;
            for (index, branch) in any.branches.iter().enumerate() {
                let branch_holds = self.take(branch, shape, secrets);
                let taken = (branch_holds | Choice::from(u8::from(index == last))) & !found;
                *self
                    .taken
                    .get_mut(any.index)
                    .and_then(|all| all.get_mut(index))
                    .expect(SIZED) = taken;
                holds &= !taken | branch_holds;
                found |= taken;
            }
        }
        holds
    }

    fn activate(&mut self, all: &All, secrets: &Secrets, active: Choice) {
        if let Some(group) = &all.group {
            *self.active.get_mut(group.index).expect(SIZED) = active;
            for member in &group.members {
                if let Member::Slack { atom, slot } = member {
                    let slack = linear(atom, secrets) as u64;
                    self.slacks
                        .get_mut(*slot)
                        .expect(SIZED)
                        .conditional_assign(&slack, active);
                }
            }
        }
        for any in &all.choices {
            for (index, branch) in any.branches.iter().enumerate() {
                let taken = self.taken.get(any.index).and_then(|all| all.get(index));
                let taken = *taken.expect(SIZED);
                self.activate(branch, secrets, active & taken);
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

/// The randomness of the Σ-protocols: for each group both of a real and of a simulated proof.
struct Nonces {
    subject: Scalar,
    k: Scalar,
    person: Scalar,
    /// By group, the nonce of a real proof.
    nonce: Vec<Scalar>,
    /// By group, the response of a simulated proof.
    response: Vec<Scalar>,
    /// By choice and branch, a challenge for the branch if it is simulated.
    challenge: Vec<Vec<Scalar>>,
}

impl Nonces {
    fn draw<R: RngCore + CryptoRng>(shape: &Shape, rng: &mut R) -> Self {
        let mut many = |n: usize| -> Vec<Scalar> { (0..n).map(|_| Scalar::random(rng)).collect() };
        let [subject, k, person] = [(); 3].map(|()| many(1).pop().expect("one was drawn"));
        Self {
            subject,
            k,
            person,
            nonce: many(shape.groups()),
            response: many(shape.groups()),
            challenge: shape.branches.iter().map(|n| many(*n)).collect(),
        }
    }

    /// Passes a challenge down: by group its challenge, by choice the challenges of all branches but the last.
    ///
    /// A branch that is not taken has the challenge drawn for it, whatever the challenge above; so what lies below one
    /// has the same challenges before and after the real challenge is known.
    fn split(
        &self,
        shape: &Shape,
        path: &Path,
        challenge: &Scalar,
    ) -> (Zeroizing<Vec<Scalar>>, Vec<Vec<PublicScalar>>) {
        let mut groups = Zeroizing::new(vec![Scalar::ZERO; shape.groups()]);
        let mut shares = vec![Vec::new(); shape.branches.len()];
        self.split_all(&shape.root, path, challenge, &mut groups, &mut shares);
        (groups, shares)
    }

    fn split_all(
        &self,
        all: &All,
        path: &Path,
        challenge: &Scalar,
        groups: &mut [Scalar],
        shares: &mut [Vec<PublicScalar>],
    ) {
        if let Some(group) = &all.group {
            *groups.get_mut(group.index).expect(SIZED) = *challenge;
        }
        for any in &all.choices {
            let drawn = self.challenge.get(any.index).expect(SIZED);
            let taken = path.taken.get(any.index).expect(SIZED);
            let others: Scalar = drawn
                .iter()
                .zip(taken)
                .map(|(drawn, taken)| Scalar::conditional_select(drawn, &Scalar::ZERO, *taken))
                .sum();
            let rest = challenge - others;
            let mut branch_shares = Vec::with_capacity(any.branches.len());
            for ((branch, drawn), taken) in any.branches.iter().zip(drawn).zip(taken) {
                let share = Scalar::conditional_select(drawn, &rest, *taken);
                self.split_all(branch, path, &share, groups, shares);
                branch_shares.push(PublicScalar(share));
            }
            branch_shares.pop();
            *shares.get_mut(any.index).expect(SIZED) = branch_shares;
        }
    }
}

impl Drop for Nonces {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.subject.zeroize();
        self.k.zeroize();
        self.person.zeroize();
        self.nonce.zeroize();
        self.response.zeroize();
        self.challenge.zeroize();
    }
}

impl Combination {
    /// The combined point, from public points and coefficients.
    pub(super) fn point(&self, public: &Public, slacks: &[Point]) -> RistrettoPoint {
        let values = public.leaves.iter().map(|leaf| leaf.value);
        let knowns = public.leaves.iter().map(|leaf| leaf.known);
        let points = values.chain(knowns).chain(slacks.iter().copied());
        RistrettoPoint::vartime_multiscalar_mul(
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
