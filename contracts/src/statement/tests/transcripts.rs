//! Provers who choose something after the challenge that it should have depended on.

use super::*;
use crate::group::PublicScalar;
use crate::statement::proof::{Announcements, Proof, Responses};
use crate::statement::shape::Combination;

/// A statement of two groups without a range proof: `x₀ = 1 ∧ (x₁ = 1 ∨ x₁ = 2)`.
fn two_groups() -> Shape {
    let choice = Node::Or(vec![eq(&[(1, 1)], -1), eq(&[(1, 1)], -2)]);
    Shape::new(&Node::And(vec![eq(&[(0, 1)], -1), choice]), 2, 8).unwrap()
}

/// The transcript up to the announcements, with the folded relations.
fn before_announcements(
    shape: &Shape,
    public: &Public,
) -> (Transcript, Vec<Scalar>, Vec<Combination>) {
    let mut transcript = context();
    public.append_to(shape, &mut transcript);
    append_slacks(&mut transcript, &[]);
    let subject_weights = public.subject_weights(&mut transcript);
    let folded = shape.fold(&mut transcript);
    (transcript, subject_weights, folded)
}

#[test]
fn attack_announcements_chosen_after_the_challenge() {
    let mut rng = rng(31);
    let shape = Shape::new(&eq(&[(0, 1)], -1), 1, 8).unwrap();
    let (public, secrets) = leaves(&[Some(7)], &mut rng);
    let (mut transcript, _, folded) = before_announcements(&shape, &public);
    let challenge = transcript.challenge_scalar(b"challenge");
    let response = Scalar::random(&mut rng);
    let point = response * PEDERSEN.B_blinding - challenge * folded[0].point(&public, &[]);
    let [a, b, d] = [(); 3].map(|()| Scalar::random(&mut rng));
    let encode = |point| Point::new(point).unwrap();
    let proof = Proof {
        range: Vec::new(),
        announcements: Announcements {
            subject: encode(a * PEDERSEN.B_blinding),
            pseudonym: encode(b * public.base),
            person: encode(PEDERSEN.commit(b, d)),
            groups: vec![encode(point)],
        },
        shares: Vec::new(),
        responses: Responses {
            subject: PublicScalar(a),
            k: PublicScalar(b + challenge * secrets.k),
            person: PublicScalar(d + challenge * secrets.person_blinding),
            groups: vec![PublicScalar(response)],
        },
    };
    let verdict = verify(&mut context(), &shape, &public, &[], &proof.to_bytes());
    assert_eq!(verdict, Err(StatementError::Proof));
}

#[test]
fn attack_responses_shifted_against_each_other() {
    // Would hold in the sum of all equations if its weights did not depend on the responses.
    let mut rng = rng(32);
    let shape = two_groups();
    let (public, secrets) = leaves(&[Some(1), Some(2)], &mut rng);
    let (_, bytes) = prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    let mut proof = Proof::from_bytes(&bytes, &shape).unwrap();
    let (mut transcript, ..) = before_announcements(&shape, &public);
    for announcement in proof.announcements.iter() {
        transcript.append_point(b"announcement", announcement);
    }
    transcript.challenge_scalar(b"challenge");
    let weights: Vec<Scalar> = (0..6)
        .map(|_| transcript.challenge_scalar(b"equation"))
        .collect();
    let groups = &mut proof.responses.groups;
    groups[0].0 += weights[4];
    groups[1].0 -= weights[3];
    let verdict = verify(&mut context(), &shape, &public, &[], &proof.to_bytes());
    assert_eq!(verdict, Err(StatementError::Proof));
}

#[test]
fn everything_public_is_in_the_transcript_by_itself() {
    let mut rng = rng(33);
    let shape = two_groups();
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
