//! Provers that lie, and proofs that were altered or moved.

use super::*;
use crate::statement::prove::{Path, prove_along};

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
            taken: Default::default(),
            active: Default::default(),
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
        taken: Default::default(),
        active: Default::default(),
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
    // V and announcements are points, so zero bytes (the identity) do not even parse.
    let first = shape.range_proof_len() / 32;
    for announcement in first..first + 4 {
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
    // Two draws a byte.
    for (at, bit) in (0..2 * proof.len()).zip(crate::testing::bits()) {
        let mut bytes = proof.clone();
        bytes[at / 2] ^= 1 << bit;
        let verdict = verify(&mut context(), &shape, &public, &slacks, &bytes);
        assert!(verdict.is_err(), "bit {bit} of byte {}", at / 2);
    }
}

/// Every point that a proof is about.
fn points<'a>(public: &'a mut Public, slacks: &'a mut [Point]) -> Vec<&'a mut Point> {
    let leaves = public.leaves.iter_mut();
    let leaves = leaves.flat_map(|leaf| [&mut leaf.value, &mut leaf.known, &mut leaf.subject]);
    let others = [&mut public.person, &mut public.pseudonym];
    leaves.chain(others).chain(slacks).collect()
}

#[test]
fn attack_one_flipped_bit_of_a_point_that_a_proof_is_about() {
    let mut rng = rng(14);
    let tree = Node::Or(vec![eq(&[(0, 1)], -1), ge(&[(0, 1)], -5)]);
    let shape = Shape::new(&tree, 2, 8).unwrap();
    let (public, secrets) = leaves(&[Some(9), None], &mut rng);
    let (slacks, proof) = prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    let mut decoded = 0;
    for place in 0..points(&mut public.clone(), &mut slacks.clone()).len() {
        for bit in 0..256 {
            let (mut public, mut slacks) = (public.clone(), slacks.clone());
            let mut points = points(&mut public, &mut slacks);
            let mut bytes = *points[place].as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // Seven of eight are no encoding of a point.
            let Ok(point) = Point::from_bytes(&bytes) else {
                continue;
            };
            *points[place] = point;
            decoded += 1;
            let verdict = verify(&mut context(), &shape, &public, &slacks, &proof);
            assert!(verdict.is_err(), "bit {bit} of point {place}");
        }
    }
    assert!(decoded > 150, "{decoded}");
}
