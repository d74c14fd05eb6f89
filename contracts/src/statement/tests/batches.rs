//! Many proofs verified together: the same verdicts as one by one, whatever is wrong with which.

use bulletproofs::RangeProof;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::traits::Identity;
use rand_core::{CryptoRng, RngCore};

use merlin::TranscriptRng;

use super::*;
use crate::statement::RANGE;
use crate::statement::prove::{Path, prove_along, prove_around, prove_range};
use crate::statement::range::RangeEquations;
use crate::statement::sum::Sum;

/// A statement, its proof and what they are bound to.
#[derive(Clone)]
struct Proved {
    shape: Shape,
    public: Public,
    slacks: Vec<Point>,
    proof: Vec<u8>,
    label: &'static [u8],
}

impl Proved {
    fn new(tree: &Node, bits: u8, values: &[i64], seed: u64) -> Self {
        let mut rng = rng(seed);
        let values: Vec<_> = values.iter().copied().map(Some).collect();
        let shape = Shape::new(tree, values.len(), bits).unwrap();
        let (public, secrets) = leaves(&values, &mut rng);
        let (slacks, proof) = prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
        Self {
            shape,
            public,
            slacks,
            proof,
            label: b"test",
        }
    }

    fn claim(&self) -> Claim<'_> {
        Claim {
            transcript: Transcript::new(self.label),
            shape: &self.shape,
            public: &self.public,
            slacks: &self.slacks,
            proof: &self.proof,
        }
    }

    fn alone(&self) -> Result<(), StatementError> {
        let mut transcript = Transcript::new(self.label);
        verify(
            &mut transcript,
            &self.shape,
            &self.public,
            &self.slacks,
            &self.proof,
        )
    }
}

fn together<R: RngCore + CryptoRng>(
    proved: &[Proved],
    rng: &mut R,
) -> Vec<Result<(), StatementError>> {
    let claims: Vec<_> = proved.iter().map(Proved::claim).collect();
    verify_batch(&claims, rng)
}

/// Proofs of every width and of 0, 1, 2, 3 (padded to 4) and 5 (padded to 8) slots.
fn mixed() -> Vec<Proved> {
    let equalities = Node::And(vec![eq(&[(0, 1)], -1), eq(&[(1, 1)], 0)]);
    let five = Node::And((0..5).map(|limit| ge(&[(0, 1)], -limit)).collect());
    vec![
        Proved::new(&tree(), 16, &[20, 1, 1_000], 1),
        Proved::new(&ge(&[(0, 1)], -18), 8, &[20], 2),
        Proved::new(&equalities, 8, &[1, 0], 3),
        Proved::new(
            &Node::And(vec![ge(&[(0, 1)], -1), ge(&[(0, -1)], 90)]),
            64,
            &[30],
            4,
        ),
        Proved::new(&five, 32, &[70_000], 5),
        Proved::new(&tree(), 16, &[200, 0, 500], 6),
    ]
}

type Damage = fn(&mut Proved);

/// Each kind of alteration; offsets are those of a proof with slots.
const DAMAGE: &[(&str, Damage)] = &[
    ("another context", |one| one.label = b"other"),
    ("another statement", |one| {
        one.public.leaves[0].value = one.public.leaves[0].known;
    }),
    ("another subject", |one| {
        one.public.leaves[0].subject = one.public.person;
    }),
    ("another pseudonym", |one| {
        one.public.pseudonym = one.public.person
    }),
    ("another person", |one| {
        one.public.person = one.public.pseudonym
    }),
    ("another slack", |one| one.slacks[0] = one.public.person),
    ("a missing slack", |one| {
        one.slacks.pop();
    }),
    ("a missing leaf", |one| {
        one.public.leaves.pop();
    }),
    ("A of the range proof", |one| swap(one, 0)),
    ("S", |one| swap(one, 1)),
    ("T_1", |one| swap(one, 2)),
    ("T_2", |one| swap(one, 3)),
    ("t_x", |one| bump(one, 4)),
    ("the blinding of t_x", |one| bump(one, 5)),
    ("the blinding of A and S", |one| bump(one, 6)),
    ("L", |one| swap(one, 7)),
    ("R", |one| swap(one, 8)),
    ("a", |one| bump(one, range_elements(one) - 2)),
    ("b", |one| bump(one, range_elements(one) - 1)),
    ("an announcement", |one| swap(one, range_elements(one))),
    ("a response", |one| bump(one, one.proof.len() / 32 - 1)),
    ("a longer proof", |one| one.proof.extend([0; 32])),
    ("a shorter proof", |one| {
        one.proof.pop();
    }),
    ("an identity in the range proof", |one| {
        element(one, 0).fill(0)
    }),
    ("a point that is not canonical", |one| {
        element(one, 7).fill(0xff)
    }),
    ("a scalar that is not canonical", |one| {
        element(one, 4).fill(0xff)
    }),
    ("a scalar plus the group order", |one| {
        // ℓ + 1, little endian.
        let order = "eed3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
        let last = range_elements(one) - 1;
        element(one, last).copy_from_slice(&hex::decode(order).unwrap());
    }),
    ("an announcement that is not canonical", |one| {
        let place = range_elements(one);
        element(one, place).fill(0xff);
    }),
    ("a response that is not canonical", |one| {
        let place = one.proof.len() / 32 - 1;
        element(one, place).fill(0xff);
    }),
];

fn range_elements(one: &Proved) -> usize {
    one.shape.range_proof_len() / 32
}

fn element(one: &mut Proved, place: usize) -> &mut [u8; 32] {
    &mut one.proof.as_chunks_mut::<32>().0[place]
}

/// Another point in an element's place.
fn swap(one: &mut Proved, place: usize) {
    let other = *one.public.person.as_bytes();
    *element(one, place) = other;
}

/// Another scalar in an element's place.
fn bump(one: &mut Proved, place: usize) {
    let element = element(one, place);
    let scalar = crate::group::PublicScalar::from_bytes(element).unwrap().0;
    *element = (scalar + Scalar::ONE).to_bytes();
}

#[test]
fn good_proofs_of_any_shapes_hold_together_and_so_does_an_empty_batch() {
    assert_eq!(together(&[], &mut rng(1)), []);
    let mixed = mixed();
    assert_eq!(together(&mixed, &mut rng(1)), vec![Ok(()); mixed.len()]);
    for one in mixed {
        assert_eq!(together(&[one], &mut rng(1)), [Ok(())]);
    }
}

#[test]
fn attack_each_alteration_is_named_by_index_as_it_would_be_alone() {
    let mixed = mixed();
    for (what, damage) in DAMAGE {
        for index in [0, 3, 4] {
            let mut batch = mixed.clone();
            damage(&mut batch[index]);
            let alone = batch[index].alone();
            assert!(alone.is_err(), "{what}");
            let mut expected = vec![Ok(()); batch.len()];
            expected[index] = alone;
            assert_eq!(together(&batch, &mut rng(2)), expected, "{what} at {index}");
        }
    }
}

/// What an attacker would choose.
struct Zeros;

impl RngCore for Zeros {
    fn next_u32(&mut self) -> u32 {
        0
    }
    fn next_u64(&mut self) -> u64 {
        0
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        bytes.fill(0);
        Ok(())
    }
}

impl CryptoRng for Zeros {}

/// A cheating prover's: a range proof whose last scalar is shifted, and all else made around it as if it held.
fn false_inner_product(by: Scalar) -> Proved {
    let mut rng = rng(2);
    let shape = Shape::new(&ge(&[(0, 1)], -18), 1, 8).unwrap();
    let (public, secrets) = leaves(&[Some(20)], &mut rng);
    let path = Path::choose(&shape, &secrets).unwrap();
    let shifted = |transcript: &mut Transcript,
                   shape: &Shape,
                   values: &[u64],
                   blindings: &[Scalar],
                   rng: &mut TranscriptRng| {
        let mut bytes = prove_range(transcript, shape, values, blindings, rng)?;
        let last = bytes.as_chunks_mut::<32>().0.last_mut().unwrap();
        let scalar = crate::group::PublicScalar::from_bytes(last).unwrap().0;
        *last = (scalar + by).to_bytes();
        Ok(bytes)
    };
    let (slacks, proof) = prove_around(
        &mut context(),
        &shape,
        &public,
        &secrets,
        &path,
        shifted,
        &mut rng,
    )
    .unwrap();
    Proved {
        shape,
        public,
        slacks,
        proof,
        label: b"test",
    }
}

/// A cheating prover's: a slack that does not fit its bits.
fn slack_outside() -> Proved {
    let mut rng = rng(4);
    let shape = Shape::new(&ge(&[(0, 1)], -18), 1, 8).unwrap();
    let (public, secrets) = leaves(&[Some(18 + 256)], &mut rng);
    let path = Path {
        taken: Default::default(),
        active: Default::default(),
        slacks: vec![256].into(),
    };
    let proved = prove_along(&mut context(), &shape, &public, &secrets, &path, &mut rng);
    let (slacks, proof) = proved.unwrap();
    Proved {
        shape,
        public,
        slacks,
        proof,
        label: b"test",
    }
}

#[test]
fn attack_a_false_range_proof_around_which_all_else_holds() {
    assert_eq!(false_inner_product(Scalar::ZERO).alone(), Ok(()));
    let good = Proved::new(&ge(&[(0, 1)], -18), 8, &[20], 3);
    for bad in [false_inner_product(Scalar::ONE), slack_outside()] {
        assert_eq!(bad.alone(), Err(StatementError::Range));
        let batch = [good.clone(), bad, good.clone()];
        let expected = [Ok(()), Err(StatementError::Range), Ok(())];
        assert_eq!(together(&batch, &mut rng(2)), expected);
    }
}

#[test]
fn attack_errors_that_cancel_under_equal_weights_even_from_a_known_generator() {
    // No challenge of the range proof follows its last scalar: errors in two copies of one add up to nothing.
    let batch = [Scalar::ONE, Scalar::ZERO, -Scalar::ONE].map(false_inner_product);
    assert_eq!(batch[0].slacks, batch[2].slacks);
    let mut sum = Sum::default();
    for one in &batch {
        let mut transcript = context();
        one.public.append_to(&one.shape, &mut transcript);
        append_slacks(&mut transcript, &one.slacks);
        let bytes = &one.proof[..one.shape.range_proof_len()];
        let replayed = RangeEquations::replay(&mut transcript, &one.shape, &one.slacks, bytes);
        replayed
            .unwrap()
            .add_to(&mut sum, &Scalar::ONE, &Scalar::ONE);
    }
    assert!(sum.is_identity(), "under equal weights they cancel");
    let expected = [
        Err(StatementError::Range),
        Ok(()),
        Err(StatementError::Range),
    ];
    assert_eq!(together(&batch, &mut Zeros), expected);
    assert_eq!(together(&batch, &mut rng(3)), expected);
}

#[test]
fn the_replayed_range_proof_agrees_with_the_library_on_verdict_and_transcript() {
    let mut rng = rng(9);
    for (slots, padded) in [(1, 1), (2, 2), (3, 4), (16, 16)] {
        for bits in [8, 16, 32, 64] {
            let atoms = (0..slots).map(|_| ge(&[(0, 1)], 0)).collect();
            let shape = Shape::new(&Node::And(atoms), 1, bits).unwrap();
            let mut values = vec![u64::MAX >> (64 - bits); slots];
            let mut blindings: Vec<_> = (0..slots).map(|_| Scalar::random(&mut rng)).collect();
            values.resize(padded, 0);
            blindings.resize(padded, Scalar::ZERO);
            let width = usize::from(bits);
            let (proof, commitments) = RangeProof::prove_multiple_with_rng(
                &RANGE,
                &PEDERSEN,
                &mut context(),
                &values,
                &blindings,
                width,
                &mut rng,
            )
            .unwrap();
            let slacks: Vec<_> = commitments[..slots]
                .iter()
                .map(|slack| Point::from_bytes(slack.as_bytes()).unwrap())
                .collect();
            assert!(
                commitments[slots..]
                    .iter()
                    .all(|c| *c == CompressedRistretto::identity())
            );
            let bytes = proof.to_bytes();
            assert_eq!(bytes.len(), shape.range_proof_len());

            let (mut ours, mut theirs) = (context(), context());
            let replayed = RangeEquations::replay(&mut ours, &shape, &slacks, &bytes).unwrap();
            proof
                .verify_multiple(&RANGE, &PEDERSEN, &mut theirs, &commitments, width)
                .unwrap();
            let end = |mut transcript: Transcript| transcript.challenge_scalar(b"end");
            assert_eq!(end(ours), end(theirs), "{slots} slots of {bits} bits");
            // Each of the two equations holds alone.
            for (inner, outer) in [(1u64, 0u64), (0, 1), (3, 5)] {
                let mut sum = Sum::default();
                replayed.add_to(&mut sum, &inner.into(), &outer.into());
                assert!(sum.is_identity(), "{slots} slots of {bits} bits");
            }
            assert_eq!(
                RangeEquations::replay(&mut context(), &shape, &slacks, &bytes[32..]).err(),
                Some(StatementError::Range)
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_batch_says_what_each_proof_alone_says(
        picks in prop::collection::vec((0usize..6, prop::option::of(0..DAMAGE.len())), 0..9),
        seed in any::<u64>(),
    ) {
        let mixed = mixed();
        let batch: Vec<Proved> = picks
            .into_iter()
            .map(|(pick, damage)| {
                let mut one = mixed[pick].clone();
                // The one without slots has no range proof to damage.
                if let Some(damage) = damage.filter(|_| one.shape.slots() > 0) {
                    DAMAGE[damage].1(&mut one);
                }
                one
            })
            .collect();
        let alone: Vec<_> = batch.iter().map(Proved::alone).collect();
        prop_assert_eq!(together(&batch, &mut rng(seed)), alone);
    }
}
