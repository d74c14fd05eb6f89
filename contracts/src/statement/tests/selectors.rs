//! Provers who select no branch, a false one, or several that cancel.

use super::*;
use crate::group::PublicScalar;
use crate::statement::proof::{Announcements, Proof, Responses};
use crate::statement::sum::selector_bases;

/// `x₀ = 1 ∨ x₀ = 2`, of which neither holds for 7.
fn choice() -> Shape {
    Shape::new(&Node::Or(vec![eq(&[(0, 1)], -1), eq(&[(0, 1)], -2)]), 1, 8).unwrap()
}

/// What a verifier says of a prover who commits to selectors of his choice (a function of the weights that he would see
/// if the commitment were not bound before them) and claims that the relations are under `root`.
fn forge(
    shape: &Shape,
    (public, secrets): &(Public, Secrets),
    root: Scalar,
    choose: impl FnOnce(&[Vec<Scalar>]) -> Scalar,
) -> Result<(), StatementError> {
    let mut rng = rng(40);
    let mut transcript = context();
    public.append_to(shape, &mut transcript);
    append_slacks(&mut transcript, &[]);
    let mut early = transcript.clone();
    public.subject_weights(&mut early);
    let selector = choose(&shape.weights(&mut early));
    let [r, a, t, b, d] = [(); 5].map(|()| Scalar::random(&mut rng));
    let encode = |point| Point::new(point).unwrap();
    let base = selector_bases()[0];
    let commitment = encode(selector * base + r * PEDERSEN.B_blinding);

    // The weights as a verifier who forgot to bind the commitment would draw them, and as this one does.
    let draw = |bound: bool| {
        let mut transcript = transcript.clone();
        if bound {
            transcript.append_point(b"selectors", &commitment);
        }
        let subjects = public.subject_weights(&mut transcript);
        (subjects, shape.weights(&mut transcript), transcript)
    };
    let mut verdicts = [false, true].map(|bound| {
        let (subjects, weights, mut transcript) = draw(bound);
        let announced = shape.combine(&weights, &shape.group_selectors(Scalar::ZERO, &[a]));
        let announcements = Announcements {
            tree: encode(a * base + announced.point(public, &[]) + t * PEDERSEN.B_blinding),
            pseudonym: encode(b * public.base),
            person: encode(PEDERSEN.commit(b, d)),
        };
        for announcement in announcements.iter() {
            transcript.append_point(b"announcement", announcement);
        }
        let challenge = transcript.challenge_scalar(b"challenge");
        let claimed = shape.combine(&weights, &shape.group_selectors(root, &[selector]));
        let leaves = claimed
            .value
            .iter()
            .zip(&claimed.known)
            .zip(&secrets.leaves);
        let mut rho: Scalar = leaves
            .map(|((value, known), leaf)| value * leaf.value_blinding + known * leaf.known_blinding)
            .sum();
        let subjects = subjects.iter().zip(&secrets.leaves);
        rho += subjects
            .map(|(weight, leaf)| weight * leaf.subject_blinding)
            .sum::<Scalar>();
        let proof = Proof {
            range: Vec::new(),
            selectors: Some(commitment),
            announcements,
            responses: Responses {
                selectors: vec![PublicScalar(a + challenge * selector)],
                tree: PublicScalar(t + challenge * (r - rho)),
                k: PublicScalar(b + challenge * secrets.k),
                person: PublicScalar(d + challenge * secrets.person_blinding),
            },
        };
        verify(&mut context(), shape, public, &[], &proof.to_bytes())
    });
    assert!(verdicts[0].is_err(), "weights drawn too early");
    std::mem::replace(&mut verdicts[1], Ok(()))
}

#[test]
fn the_forger_is_believed_where_a_branch_holds() {
    let held = leaves(&[Some(1)], &mut rng(41));
    assert_eq!(
        forge(&choice(), &held, Scalar::ONE, |_| Scalar::ONE),
        Ok(())
    );
    let held = leaves(&[Some(2)], &mut rng(41));
    assert_eq!(
        forge(&choice(), &held, Scalar::ONE, |_| Scalar::ZERO),
        Ok(())
    );
}

#[test]
fn attack_no_branch_selected() {
    let held = leaves(&[Some(7)], &mut rng(42));
    for root in [Scalar::ZERO, Scalar::ONE] {
        let verdict = forge(&choice(), &held, root, |_| Scalar::ZERO);
        assert_eq!(verdict, Err(StatementError::Proof));
    }
}

#[test]
fn attack_selectors_of_false_branches_that_add_up_to_one() {
    let held = leaves(&[Some(7)], &mut rng(43));
    for selector in [Scalar::ONE, Scalar::from(2u64), Scalar::from(2u64).invert()] {
        let verdict = forge(&choice(), &held, Scalar::ONE, |_| selector);
        assert_eq!(verdict, Err(StatementError::Proof));
    }
}

#[test]
fn attack_selectors_chosen_after_the_weights_so_that_errors_cancel() {
    // The branches are off by 6 and 5: b·w₁·6 + (1 − b)·w₂·5 = 0 under the weights of a verifier who does not bind V.
    let held = leaves(&[Some(7)], &mut rng(44));
    let verdict = forge(&choice(), &held, Scalar::ONE, |weights| {
        let [first, second] =
            [(0, 6u64), (1, 5)].map(|(group, off)| weights[group][0] * Scalar::from(off));
        second * (second - first).invert()
    });
    assert_eq!(verdict, Err(StatementError::Proof));
}
