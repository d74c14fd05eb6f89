//! Proofs over hand-made trees.

mod attacks;
mod batches;
mod malleation;
mod selectors;
mod transcripts;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::group::{PEDERSEN, hash_to_group};
use crate::issuance::scalar;

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn ge(terms: &[(usize, i64)], constant: i64) -> Node {
    let (relation, terms) = (Relation::GeZero, terms.to_vec());
    Node::Atom(Atom {
        relation,
        terms,
        constant,
    })
}

fn eq(terms: &[(usize, i64)], constant: i64) -> Node {
    let (relation, terms) = (Relation::EqZero, terms.to_vec());
    Node::Atom(Atom {
        relation,
        terms,
        constant,
    })
}

/// Leaves of one subject with these values, and what opens them.
fn leaves(values: &[Option<i64>], rng: &mut StdRng) -> (Public, Secrets) {
    let subject = Scalar::random(rng);
    let (k, person_blinding) = (Scalar::random(rng), Scalar::random(rng));
    let base = hash_to_group("shp/v1/test", b"audience");
    let mut public = Public {
        leaves: Vec::new(),
        person: Point::new(PEDERSEN.commit(k, person_blinding)).unwrap(),
        pseudonym: Point::new(k * base).unwrap(),
        base,
    };
    let mut secrets = Secrets {
        leaves: Vec::new(),
        k,
        person_blinding,
    };
    for value in values {
        let secret = LeafSecret {
            value: value.unwrap_or(0),
            known: value.is_some(),
            value_blinding: Scalar::random(rng),
            known_blinding: Scalar::random(rng),
            subject_blinding: Scalar::random(rng),
        };
        public.leaves.push(commit(&secret, &subject));
        secrets.leaves.push(secret);
    }
    (public, secrets)
}

fn commit(secret: &LeafSecret, subject: &Scalar) -> Commitments {
    let commit =
        |value: Scalar, blinding: &Scalar| Point::new(PEDERSEN.commit(value, *blinding)).unwrap();
    Commitments {
        value: commit(scalar(secret.value), &secret.value_blinding),
        known: commit(scalar(i64::from(secret.known)), &secret.known_blinding),
        subject: commit(*subject, &secret.subject_blinding),
    }
}

fn context() -> Transcript {
    Transcript::new(b"test")
}

fn check(tree: &Node, bits: u8, values: &[Option<i64>]) -> Result<(), StatementError> {
    let mut rng = rng(7);
    let shape = Shape::new(tree, values.len(), bits).unwrap();
    let (public, secrets) = leaves(values, &mut rng);
    let (slacks, proof) = prove(&mut context(), &shape, &public, &secrets, &mut rng)?;
    assert_eq!(proof.len(), shape.proof_len());
    verify(&mut context(), &shape, &public, &slacks, &proof)
}

/// `x₀ ≥ 18 ∧ (x₁ = 1 ∨ (3·x₀ − x₂ ≥ 0 ∧ x₂ ≥ 5) ∨ 100 − x₂ ≥ 0)`: two slots shared by branches that need 0, 2 and 1.
fn tree() -> Node {
    Node::And(vec![
        ge(&[(0, 1)], -18),
        Node::Or(vec![
            eq(&[(1, 1)], -1),
            Node::And(vec![ge(&[(0, 3), (2, -1)], 0), ge(&[(2, 1)], -5)]),
            ge(&[(2, -1)], 100),
        ]),
    ])
}

#[test]
fn every_branch_of_an_or_proves_with_the_same_shape_used_slots_or_not() {
    for values in [[20, 1, 1_000], [200, 0, 500], [20, 0, 3], [20, 1, 50]] {
        assert_eq!(check(&tree(), 16, &values.map(Some)), Ok(()), "{values:?}");
    }
    let shape = Shape::new(&tree(), 3, 16).unwrap();
    assert_eq!(
        (shape.slots(), shape.padded(), shape.selectors()),
        (3, 4, 2)
    );
}

#[test]
fn a_fact_that_no_taken_branch_needs_may_be_unknown() {
    assert_eq!(check(&tree(), 16, &[Some(20), Some(1), None]), Ok(()));
    assert_eq!(check(&tree(), 16, &[Some(20), None, Some(4)]), Ok(()));
    for values in [
        [None, Some(1), Some(4)],
        [Some(20), None, None],
        [Some(20), Some(0), None],
    ] {
        assert_eq!(
            check(&tree(), 16, &values),
            Err(StatementError::Unsatisfied)
        );
    }
}

#[test]
fn negated_trees_and_negated_equalities_prove_and_their_opposites_do_not() {
    let bounds = [0, 1, 1_000].map(|max| Bounds {
        min: 0,
        max: max.max(300),
    });
    let no = tree().negate(&bounds).unwrap().flatten();
    for values in [[17, 1, 3], [20, 0, 101], [300, 0, 901], [0, 0, 1_000]] {
        assert_eq!(check(&no, 16, &values.map(Some)), Ok(()), "{values:?}");
        assert_eq!(
            check(&tree(), 16, &values.map(Some)),
            Err(StatementError::Unsatisfied)
        );
    }
    let equality = eq(&[(0, 1)], -6);
    let unequal = equality.negate(&[Bounds { min: 1, max: 56 }]).unwrap();
    for state in [1, 5, 7, 56] {
        assert_eq!(check(&unequal, 8, &[Some(state)]), Ok(()));
    }
    assert_eq!(
        check(&unequal, 8, &[Some(6)]),
        Err(StatementError::Unsatisfied)
    );
    assert_eq!(check(&equality, 8, &[Some(6)]), Ok(()));
    let flag = eq(&[(0, 1)], 0);
    let raised = flag.negate(&[Bounds { min: 0, max: 1 }]).unwrap();
    assert_eq!(check(&raised, 8, &[Some(1)]), Ok(()));
    assert_eq!(check(&raised, 8, &[None]), Err(StatementError::Unsatisfied));
}

#[test]
fn choices_nest() {
    let inner = Node::Or(vec![
        Node::And(vec![eq(&[(1, 1)], -2), ge(&[(2, 1)], -9)]),
        Node::And(vec![
            ge(&[(1, 1)], -7),
            Node::Or(vec![eq(&[(2, 1)], 0), ge(&[(2, 1)], -3)]),
        ]),
    ]);
    let tree = Node::And(vec![
        Node::Or(vec![eq(&[(0, 1)], -1), inner.clone()]),
        inner,
    ]);
    for values in [[1, 2, 9], [0, 2, 10], [0, 8, 0], [0, 9, 3]] {
        assert_eq!(check(&tree, 8, &values.map(Some)), Ok(()), "{values:?}");
    }
    assert_eq!(
        check(&tree, 8, &[Some(1), Some(8), Some(2)]),
        Err(StatementError::Unsatisfied)
    );
}

#[test]
fn a_tree_without_inequalities_needs_no_range_proof() {
    let tree = Node::And(vec![eq(&[(0, 1)], -1), eq(&[(1, 1)], 0)]);
    assert_eq!(check(&tree, 8, &[Some(1), Some(0)]), Ok(()));
    let shape = Shape::new(&tree, 2, 8).unwrap();
    assert_eq!(
        (shape.slots(), shape.range_proof_len(), shape.proof_len()),
        (0, 0, 32 * 6)
    );
}

#[test]
fn empty_or_oversized_trees_have_no_shape() {
    assert_eq!(Shape::new(&Node::And(vec![]), 1, 8), Err(TreeError::Empty));
    let hollow = Node::Or(vec![eq(&[(0, 1)], 0), Node::And(vec![])]);
    assert_eq!(Shape::new(&hollow, 1, 8), Err(TreeError::Empty));
    let hollow = Node::And(vec![eq(&[(0, 1)], 0), Node::Or(vec![])]);
    assert_eq!(Shape::new(&hollow, 1, 8), Err(TreeError::Empty));
    let outside = eq(&[(2, 1)], 0);
    assert_eq!(
        Shape::new(&outside, 2, 8),
        Err(TreeError::NoSuchFact { fact: 2, facts: 2 })
    );
    assert_eq!(
        Shape::new(&eq(&[(0, 1)], 0), 1, 12),
        Err(TreeError::Bits(12))
    );
    let many = |n| Node::And(vec![ge(&[(0, 1)], 0); n]);
    assert_eq!(
        Shape::new(&many(MAX_SLOTS + 1), 1, 8),
        Err(TreeError::Slots(MAX_SLOTS + 1))
    );
    let atoms = Node::And(vec![eq(&[(0, 1)], 0); MAX_ATOMS + 1]);
    assert_eq!(
        Shape::new(&atoms, 1, 8),
        Err(TreeError::Atoms(MAX_ATOMS + 1))
    );
}

#[test]
fn four_slots_of_32_bits_and_two_choices_fit_one_and_a_quarter_kilobytes() {
    let exempt = |fact| Node::Or(vec![eq(&[(fact, 1)], 0), ge(&[(0, 1)], -26)]);
    let tree = Node::And(vec![
        ge(&[(0, 1)], -19),
        ge(&[(0, -1)], 64),
        exempt(1),
        exempt(2),
    ]);
    let shape = Shape::new(&tree, 3, 32).unwrap();
    assert_eq!(shape.slots(), 4);
    assert!(
        32 * shape.slots() + shape.proof_len() <= 1_280,
        "{}",
        shape.proof_len()
    );
}

#[test]
fn secrets_print_nothing() {
    let (_, secrets) = leaves(&[Some(4_242)], &mut rng(14));
    let printed = format!("{secrets:?} {:?}", secrets.leaves[0]);
    assert_eq!(printed, "Secrets { .. } LeafSecret { .. }");
}

#[test]
fn two_proofs_of_one_statement_share_no_element() {
    let mut rng = rng(15);
    let shape = Shape::new(&tree(), 3, 16).unwrap();
    let (public, secrets) = leaves(&[Some(20), Some(1), Some(9)], &mut rng);
    let mut once = || prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    let ((a_slacks, a), (b_slacks, b)) = (once(), once());
    for (x, y) in a.as_chunks::<32>().0.iter().zip(b.as_chunks::<32>().0) {
        assert_ne!(x, y);
    }
    assert!(a_slacks.iter().all(|slack| !b_slacks.contains(slack)));
}

fn trees() -> impl Strategy<Value = Node> {
    let leaf = (
        any::<bool>(),
        prop::collection::vec((0usize..3, -3i64..=3), 1..3),
        -6i64..=6,
    )
        .prop_map(|(inequality, terms, constant)| {
            if inequality {
                ge(&terms, constant)
            } else {
                eq(&terms, constant)
            }
        });
    leaf.prop_recursive(3, 8, 3, |inner| {
        let children = prop::collection::vec(inner, 1..4);
        (any::<bool>(), children).prop_map(|(and, children)| {
            if and {
                Node::And(children)
            } else {
                Node::Or(children)
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_evaluates_is_what_proves(
        tree in trees(),
        values in [prop::option::of(0i64..=1), prop::option::of(1i64..=20), prop::option::of(-5i64..=5)],
    ) {
        let bounds = [(0, 1), (1, 20), (-5, 5)].map(|(min, max)| Bounds { min, max });
        for tree in [tree.clone(), tree.negate(&bounds).unwrap()] {
            prop_assume!(tree.slots() <= MAX_SLOTS);
            let bits = tree.bits(&bounds).unwrap();
            let expected = if tree.holds(&values) { Ok(()) } else { Err(StatementError::Unsatisfied) };
            prop_assert_eq!(check(&tree, bits, &values), expected);
        }
    }
}
