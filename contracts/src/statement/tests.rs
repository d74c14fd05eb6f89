//! Proofs over hand-made trees, and provers that lie.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use subtle::Choice;

use super::prove::{Path, prove_along};
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

/// What a verifier says of a prover that believes (or pretends) `believed` of leaves that hold `values`.
fn lie(
    tree: &Node,
    bits: u8,
    values: &[Option<i64>],
    believed: &[Option<i64>],
) -> Result<(), StatementError> {
    let mut rng = rng(8);
    let shape = Shape::new(tree, values.len(), bits).unwrap();
    let (public, secrets) = leaves(values, &mut rng);
    let mut belief = secrets.clone();
    for (leaf, value) in belief.leaves.iter_mut().zip(believed) {
        leaf.value = value.unwrap_or(0);
        leaf.known = value.is_some();
    }
    assert_eq!(
        prove(&mut context(), &shape, &public, &belief, &mut rng),
        Err(StatementError::Witness),
        "an honest prover notices"
    );
    let path = Path::choose(&shape, &belief).unwrap();
    let (slacks, proof) =
        prove_along(&mut context(), &shape, &public, &belief, &path, &mut rng).unwrap();
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
    assert_eq!((shape.slots(), shape.padded(), shape.groups()), (3, 4, 4));
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
        (0, 0, 32 * 8)
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
fn four_slots_of_32_bits_and_two_choices_fit_one_and_a_half_kilobytes() {
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
        32 * shape.slots() + shape.proof_len() <= 1_536,
        "{}",
        shape.proof_len()
    );
}

#[test]
fn attack_a_value_below_the_limit_shown_as_one_above() {
    let tree = ge(&[(0, 1)], -18);
    assert_eq!(
        lie(&tree, 16, &[Some(17)], &[Some(18)]),
        Err(StatementError::Proof)
    );
}

#[test]
fn attack_a_wrong_branch_taken_as_true() {
    let values = [Some(20), Some(0), Some(1_000)];
    for believed in [
        [Some(20), Some(1), Some(1_000)],
        [Some(400), Some(0), Some(1_000)],
        [Some(20), Some(0), Some(3)],
    ] {
        assert_eq!(
            lie(&tree(), 16, &values, &believed),
            Err(StatementError::Proof)
        );
    }
}

#[test]
fn attack_every_branch_simulated() {
    let mut rng = rng(3);
    let tree = Node::Or(vec![eq(&[(0, 1)], -1), eq(&[(0, 1)], -2)]);
    let shape = Shape::new(&tree, 1, 8).unwrap();
    let (public, secrets) = leaves(&[Some(0)], &mut rng);
    let path = Path {
        taken: vec![vec![Choice::from(0), Choice::from(0)]],
        active: vec![Choice::from(0), Choice::from(0)],
        slacks: Default::default(),
    };
    let (slacks, proof) =
        prove_along(&mut context(), &shape, &public, &secrets, &path, &mut rng).unwrap();
    let verdict = verify(&mut context(), &shape, &public, &slacks, &proof);
    assert_eq!(verdict, Err(StatementError::Proof));
}

#[test]
fn attack_an_unknown_fact_passed_as_known() {
    assert_eq!(
        lie(&eq(&[(0, 1)], 0), 8, &[None], &[Some(0)]),
        Err(StatementError::Proof)
    );
    assert_eq!(
        lie(&ge(&[(0, 1)], 0), 8, &[None], &[Some(0)]),
        Err(StatementError::Proof)
    );
    let no = eq(&[(0, 1)], -1)
        .negate(&[Bounds { min: 0, max: 1 }])
        .unwrap();
    assert_eq!(lie(&no, 8, &[None], &[Some(0)]), Err(StatementError::Proof));
}

#[test]
fn attack_a_slack_outside_its_width() {
    let mut rng = rng(4);
    for (value, slack) in [(17, u64::MAX), (18 + 256, 0), (18 + 256, 256)] {
        let shape = Shape::new(&ge(&[(0, 1)], -18), 1, 8).unwrap();
        let (public, secrets) = leaves(&[Some(value)], &mut rng);
        assert_eq!(
            prove(&mut context(), &shape, &public, &secrets, &mut rng),
            Err(StatementError::Unsatisfied)
        );
        let path = Path {
            taken: vec![],
            active: vec![Choice::from(1)],
            slacks: vec![slack].into(),
        };
        let (slacks, proof) =
            prove_along(&mut context(), &shape, &public, &secrets, &path, &mut rng).unwrap();
        let verdict = verify(&mut context(), &shape, &public, &slacks, &proof);
        assert!(
            matches!(verdict, Err(StatementError::Range | StatementError::Proof)),
            "{verdict:?}"
        );
    }
}

#[test]
fn attack_a_slack_of_another_value_or_another_proof() {
    let mut rng = rng(5);
    let tree = Node::And(vec![ge(&[(0, 1)], -18), ge(&[(0, -1)], 64)]);
    let shape = Shape::new(&tree, 1, 8).unwrap();
    let (public, secrets) = leaves(&[Some(30)], &mut rng);
    let mut path = Path::choose(&shape, &secrets).unwrap();
    for slack in path.slacks.iter_mut() {
        *slack += 1;
    }
    let (slacks, proof) =
        prove_along(&mut context(), &shape, &public, &secrets, &path, &mut rng).unwrap();
    let verdict = verify(&mut context(), &shape, &public, &slacks, &proof);
    assert_eq!(verdict, Err(StatementError::Proof));

    let (slacks, proof) = prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    let (others, _) = prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    let swapped: Vec<Point> = slacks.iter().rev().copied().collect();
    for wrong in [others, swapped] {
        assert!(verify(&mut context(), &shape, &public, &wrong, &proof).is_err());
    }
    for wrong in [&slacks[..1], &[slacks[0], slacks[1], slacks[1]]] {
        assert!(matches!(
            verify(&mut context(), &shape, &public, wrong, &proof),
            Err(StatementError::Count { .. })
        ));
    }
    assert_eq!(
        verify(&mut context(), &shape, &public, &slacks, &proof),
        Ok(())
    );
}

#[test]
fn attack_a_neighbours_leaf_among_ones_own() {
    let mut rng = rng(6);
    let tree = Node::And(vec![ge(&[(0, 1)], -18), eq(&[(1, 1)], 0), eq(&[(2, 1)], 0)]);
    let shape = Shape::new(&tree, 3, 8).unwrap();
    let neighbour = Scalar::random(&mut rng);
    for stranger in 0..3 {
        let (mut public, secrets) = leaves(&[Some(20), Some(0), Some(0)], &mut rng);
        public.leaves[stranger] = commit(&secrets.leaves[stranger], &neighbour);
        assert_eq!(
            prove(&mut context(), &shape, &public, &secrets, &mut rng),
            Err(StatementError::Witness)
        );
        let path = Path::choose(&shape, &secrets).unwrap();
        let (slacks, proof) =
            prove_along(&mut context(), &shape, &public, &secrets, &path, &mut rng).unwrap();
        let verdict = verify(&mut context(), &shape, &public, &slacks, &proof);
        assert_eq!(verdict, Err(StatementError::Proof));
    }
}

#[test]
fn attack_two_neighbours_whose_subjects_differ_by_opposite_amounts() {
    let mut rng = rng(16);
    let shape = Shape::new(&eq(&[(0, 1)], -1), 3, 8).unwrap();
    let (mut public, secrets) = leaves(&[Some(1), Some(0), Some(0)], &mut rng);
    let shift = Scalar::random(&mut rng) * PEDERSEN.B;
    for (leaf, shift) in [(1, shift), (2, -shift)] {
        let subject = &mut public.leaves[leaf].subject;
        *subject = Point::new(subject.point() + shift).unwrap();
    }
    let path = Path::choose(&shape, &secrets).unwrap();
    let (slacks, proof) =
        prove_along(&mut context(), &shape, &public, &secrets, &path, &mut rng).unwrap();
    let verdict = verify(&mut context(), &shape, &public, &slacks, &proof);
    assert_eq!(verdict, Err(StatementError::Proof));
}

#[test]
fn attack_two_false_equalities_that_cancel_in_an_unweighted_sum() {
    let mut rng = rng(17);
    let tree = Node::And(vec![eq(&[(0, 1)], 0), eq(&[(1, 1)], 0)]);
    let shape = Shape::new(&tree, 2, 8).unwrap();
    let (public, secrets) = leaves(&[Some(1), Some(-1)], &mut rng);
    let path = Path {
        taken: vec![],
        active: vec![Choice::from(1)],
        slacks: Default::default(),
    };
    let (slacks, proof) =
        prove_along(&mut context(), &shape, &public, &secrets, &path, &mut rng).unwrap();
    let verdict = verify(&mut context(), &shape, &public, &slacks, &proof);
    assert_eq!(verdict, Err(StatementError::Proof));
}

#[test]
fn attack_a_foreign_pseudonym() {
    let mut rng = rng(9);
    let shape = Shape::new(&eq(&[(0, 1)], -1), 1, 8).unwrap();
    let (mut public, secrets) = leaves(&[Some(1)], &mut rng);
    let foreign = Scalar::random(&mut rng);
    public.pseudonym = Point::new(foreign * public.base).unwrap();
    for k in [secrets.k, foreign] {
        let mut secrets = secrets.clone();
        secrets.k = k;
        assert_eq!(
            prove(&mut context(), &shape, &public, &secrets, &mut rng),
            Err(StatementError::Witness)
        );
        let path = Path::choose(&shape, &secrets).unwrap();
        let (slacks, proof) =
            prove_along(&mut context(), &shape, &public, &secrets, &path, &mut rng).unwrap();
        let verdict = verify(&mut context(), &shape, &public, &slacks, &proof);
        assert_eq!(verdict, Err(StatementError::Proof));
    }
}

#[test]
fn attack_a_proof_on_another_transcript_or_other_points() {
    let mut rng = rng(10);
    let shape = Shape::new(&tree(), 3, 16).unwrap();
    let values = [Some(20), Some(1), Some(9)];
    let (public, secrets) = leaves(&values, &mut rng);
    let (slacks, proof) = prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    assert_eq!(
        verify(&mut context(), &shape, &public, &slacks, &proof),
        Ok(())
    );
    let mut elsewhere = context();
    elsewhere.append_message(b"audience", b"another");
    assert!(verify(&mut elsewhere, &shape, &public, &slacks, &proof).is_err());

    let (others, _) = leaves(&values, &mut rng);
    for index in 0..3 {
        for field in 0..3 {
            let mut moved = public.clone();
            let (leaf, other) = (&mut moved.leaves[index], &others.leaves[index]);
            match field {
                0 => leaf.value = other.value,
                1 => leaf.known = other.known,
                _ => leaf.subject = other.subject,
            }
            assert!(verify(&mut context(), &shape, &moved, &slacks, &proof).is_err());
        }
    }
    let mut moved = public.clone();
    moved.person = others.person;
    assert!(verify(&mut context(), &shape, &moved, &slacks, &proof).is_err());
    let mut moved = public.clone();
    moved.pseudonym = others.pseudonym;
    assert!(verify(&mut context(), &shape, &moved, &slacks, &proof).is_err());
    let mut moved = public.clone();
    moved.base = hash_to_group("shp/v1/test", b"another");
    assert!(verify(&mut context(), &shape, &moved, &slacks, &proof).is_err());
    let mut fewer = public;
    fewer.leaves.pop();
    assert!(matches!(
        verify(&mut context(), &shape, &fewer, &slacks, &proof),
        Err(StatementError::Count { .. })
    ));
}

#[test]
fn attack_a_proof_of_one_tree_shown_for_another() {
    let mut rng = rng(11);
    let wide = Node::Or(vec![eq(&[(0, 1)], -1), eq(&[(1, 1)], -1)]);
    let other = Node::Or(vec![eq(&[(0, 1)], -1), eq(&[(1, 1)], -2)]);
    let (shape, other) = [wide, other]
        .map(|tree| Shape::new(&tree, 2, 8).unwrap())
        .into();
    let (public, secrets) = leaves(&[Some(1), Some(0)], &mut rng);
    let (slacks, proof) = prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    assert_eq!(
        verify(&mut context(), &shape, &public, &slacks, &proof),
        Ok(())
    );
    assert!(verify(&mut context(), &other, &public, &slacks, &proof).is_err());
}

#[test]
fn attack_identity_and_non_canonical_elements_and_other_lengths() {
    let mut rng = rng(12);
    let shape = Shape::new(&tree(), 3, 16).unwrap();
    let (public, secrets) = leaves(&[Some(20), Some(1), Some(9)], &mut rng);
    let (slacks, proof) = prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    for element in 0..proof.len() / 32 {
        for wrong in [[0; 32], [0xff; 32]] {
            let mut bytes = proof.clone();
            bytes[32 * element..][..32].copy_from_slice(&wrong);
            let verdict = verify(&mut context(), &shape, &public, &slacks, &bytes);
            assert!(verdict.is_err(), "element {element} as {wrong:?}");
        }
    }
    // Announcements are points, so zero bytes (the identity) do not even parse.
    let first = shape.range_proof_len() / 32;
    for announcement in first..first + 3 + shape.groups() {
        let mut bytes = proof.clone();
        bytes[32 * announcement..][..32].fill(0);
        let verdict = verify(&mut context(), &shape, &public, &slacks, &bytes);
        assert_eq!(verdict, Err(StatementError::Encoding));
    }
    for wrong in [
        &proof[..proof.len() - 32],
        &[&proof[..], &[0; 32]].concat(),
        &[],
    ] {
        let verdict = verify(&mut context(), &shape, &public, &slacks, wrong);
        assert!(matches!(verdict, Err(StatementError::Length { .. })));
    }
}

#[test]
fn attack_one_flipped_bit_of_a_proof() {
    let mut rng = rng(13);
    let tree = Node::Or(vec![eq(&[(0, 1)], -1), ge(&[(0, 1)], -5)]);
    let shape = Shape::new(&tree, 1, 8).unwrap();
    let (public, secrets) = leaves(&[Some(9)], &mut rng);
    let (slacks, proof) = prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    for bit in 0..8 * proof.len() {
        let mut bytes = proof.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(
            verify(&mut context(), &shape, &public, &slacks, &bytes).is_err(),
            "bit {bit}"
        );
    }
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
