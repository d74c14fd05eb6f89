//! Provers who choose something after the challenge that it should have depended on.

use super::*;
use crate::group::PublicScalar;
use crate::statement::proof::{Announcements, Proof, Responses};

/// A statement with a choice and without a range proof: `x₀ = 1 ∧ (x₁ = 1 ∨ x₁ = 2)`.
fn with_choice() -> Shape {
    let choice = Node::Or(vec![eq(&[(1, 1)], -1), eq(&[(1, 1)], -2)]);
    Shape::new(&Node::And(vec![eq(&[(0, 1)], -1), choice]), 2, 8).unwrap()
}

#[test]
fn attack_announcements_chosen_after_the_challenge() {
    let mut rng = rng(31);
    let shape = Shape::new(&eq(&[(0, 1)], -1), 1, 8).unwrap();
    let (public, secrets) = leaves(&[Some(7)], &mut rng);
    let mut transcript = context();
    public.append_to(&shape, &mut transcript);
    append_slacks(&mut transcript, &[]);
    public.subject_weights(&mut transcript);
    let weights = shape.weights(&mut transcript);
    let challenge = transcript.challenge_scalar(b"challenge");
    let response = Scalar::random(&mut rng);
    let relations = shape.combine(&weights, &shape.group_selectors(challenge, &[]));
    let point = response * PEDERSEN.B_blinding + relations.point(&public, &[]);
    let [b, d] = [(); 2].map(|()| Scalar::random(&mut rng));
    let encode = |point| Point::new(point).unwrap();
    let proof = Proof {
        range: Vec::new(),
        selectors: None,
        announcements: Announcements {
            tree: encode(point),
            pseudonym: encode(b * public.base),
            person: encode(PEDERSEN.commit(b, d)),
        },
        responses: Responses {
            selectors: Vec::new(),
            tree: PublicScalar(response),
            k: PublicScalar(b + challenge * secrets.k),
            person: PublicScalar(d + challenge * secrets.person_blinding),
        },
    };
    let verdict = verify(&mut context(), &shape, &public, &[], &proof.to_bytes());
    assert_eq!(verdict, Err(StatementError::Proof));
}

#[test]
fn attack_responses_shifted_against_each_other() {
    // Would hold in the sum of all equations if its weights did not depend on the responses, or were all the same.
    let mut rng = rng(32);
    let shape = with_choice();
    let (public, secrets) = leaves(&[Some(1), Some(2)], &mut rng);
    let (_, bytes) = prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    let proof = Proof::from_bytes(&bytes, &shape).unwrap();
    let mut transcript = context();
    public.append_to(&shape, &mut transcript);
    append_slacks(&mut transcript, &[]);
    transcript.append_point(b"selectors", proof.selectors.as_ref().unwrap());
    public.subject_weights(&mut transcript);
    shape.weights(&mut transcript);
    for announcement in proof.announcements.iter() {
        transcript.append_point(b"announcement", announcement);
    }
    transcript.challenge_scalar(b"challenge");
    let [tree, _, person] = [(); 3].map(|()| transcript.challenge_scalar(b"equation"));
    for (tree, person) in [(person, tree), (Scalar::ONE, Scalar::ONE)] {
        let mut forged = proof.clone();
        forged.responses.tree.0 += tree;
        forged.responses.person.0 -= person;
        let verdict = verify(&mut context(), &shape, &public, &[], &forged.to_bytes());
        assert_eq!(verdict, Err(StatementError::Proof));
    }
}

#[test]
fn everything_public_is_in_the_transcript_by_itself() {
    let mut rng = rng(33);
    let shape = with_choice();
    let (public, _) = leaves(&[Some(1), Some(2)], &mut rng);
    let (others, _) = leaves(&[Some(1), Some(2)], &mut rng);
    let challenge = |shape: &Shape, public: &Public, slacks: &[Point]| {
        let mut transcript = context();
        public.append_to(shape, &mut transcript);
        append_slacks(&mut transcript, slacks);
        transcript.challenge_scalar(b"challenge")
    };
    let honest = challenge(&shape, &public, &[]);
    let changes: [fn(&mut Public, &Public); 7] = [
        |p, other| p.leaves[1].value = other.leaves[1].value,
        |p, other| p.leaves[1].known = other.leaves[1].known,
        |p, other| p.leaves[1].subject = other.leaves[1].subject,
        |p, other| p.leaves[0].value = other.leaves[0].value,
        |p, other| p.person = other.person,
        |p, other| p.pseudonym = other.pseudonym,
        |p, _| p.base = hash_to_group("shp/v1/test", b"another"),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut changed = public.clone();
        change(&mut changed, &others);
        assert_ne!(challenge(&shape, &changed, &[]), honest, "change {index}");
    }
    let with_slack = |slack: Point| challenge(&shape, &public, &[slack]);
    assert_ne!(with_slack(public.person), honest);
    assert_ne!(with_slack(public.person), with_slack(public.pseudonym));
    let wider = Shape::new(&eq(&[(0, 1)], -1), 2, 16).unwrap();
    let narrow = Shape::new(&eq(&[(0, 1)], -1), 2, 8).unwrap();
    let longer = Shape::new(&eq(&[(0, 1)], -1), 3, 8).unwrap();
    let other = Shape::new(&eq(&[(0, 1)], -2), 2, 8).unwrap();
    let all =
        [wider, narrow, longer, other].map(|shape| challenge(&shape, &public, &[]).to_bytes());
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}
