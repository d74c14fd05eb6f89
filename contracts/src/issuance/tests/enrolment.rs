//! Enrolment, and owners who cheat at it.

use super::*;

fn enrolment(seed: u64) -> (EnrolContext, EnrolSecrets, EnrolPoints) {
    let mut rng = rng(seed);
    let context = EnrolContext {
        epoch: 3,
        request_id: bytes32(&mut rng),
        nonces: nonces(&mut rng),
        keys: Domain::ALL
            .map(|domain| (domain, keypair(&mut rng).1))
            .to_vec(),
    };
    let secrets = EnrolSecrets::random(Scalar::random(&mut rng), &mut rng);
    let points = secrets.points().unwrap();
    (context, secrets, points)
}

#[test]
fn attack_a_shifted_subject_point() {
    // S_d = s·B + R_d: a multiple of B hidden in R_d would make the owner somebody else.
    let (context, secrets, honest) = enrolment(1);
    let proof = prove_enrolment(&context, &honest, &secrets, &mut rng(2)).unwrap();
    assert_eq!(verify_enrolment(&context, &honest, &proof), Ok(()));
    for domain in 0..5 {
        let mut points = honest.clone();
        let subject = &mut points.r_subject[domain].1;
        *subject = shift(subject);
        let refused = prove_enrolment(&context, &points, &secrets, &mut rng(2));
        assert_eq!(refused, Err(IssueError::Mismatch));
        let proof = enrol::prove_unchecked(&context, &points, &secrets, &mut rng(2)).unwrap();
        assert_eq!(
            verify_enrolment(&context, &points, &proof),
            Err(IssueError::Proof)
        );
    }
}

#[test]
fn attack_a_pseudonym_commitment_that_cannot_be_opened() {
    let (context, secrets, honest) = enrolment(1);
    let mut points = honest.clone();
    points.c_person = shift(&points.c_person);
    let proof = enrol::prove_unchecked(&context, &points, &secrets, &mut rng(2)).unwrap();
    assert_eq!(
        verify_enrolment(&context, &points, &proof),
        Err(IssueError::Proof)
    );
    let mut zero = secrets.clone();
    zero.k = Scalar::ZERO;
    let points = zero.points().unwrap();
    let refused = prove_enrolment(&context, &points, &zero, &mut rng(2));
    assert_eq!(refused, Err(IssueError::Mismatch));
}

#[test]
fn attack_an_enrolment_replayed_or_moved() {
    let (honest, secrets, points) = enrolment(1);
    let proof = prove_enrolment(&honest, &points, &secrets, &mut rng(2)).unwrap();
    let response_key = bytes32(&mut rng(3));
    let message = enrol_message(&honest, &points, &proof, &response_key);
    assert_ne!(
        enrol_message(&honest, &points, &proof, &bytes32(&mut rng(4))),
        message
    );
    let (key, id) = (keypair(&mut rng(5)).1, bytes32(&mut rng(6)));
    type Edit<'a> = Box<dyn Fn(&mut EnrolContext) + 'a>;
    let edits: Vec<Edit<'_>> = vec![
        Box::new(|c| c.epoch += 1),
        Box::new(|c| c.request_id = id),
        Box::new(|c| c.nonces[0].1 = id),
        Box::new(|c| c.keys[4].1 = key),
    ];
    for (index, edit) in edits.iter().enumerate() {
        let mut other = honest.clone();
        edit(&mut other);
        assert_eq!(
            verify_enrolment(&other, &points, &proof),
            Err(IssueError::Proof),
            "edit {index}"
        );
        assert_ne!(
            enrol_message(&other, &points, &proof, &response_key),
            message
        );
    }
    let mut swapped = points.clone();
    let (a, b) = (swapped.r_subject[0].1, swapped.r_subject[1].1);
    (swapped.r_subject[0].1, swapped.r_subject[1].1) = (b, a);
    assert_eq!(
        verify_enrolment(&honest, &swapped, &proof),
        Err(IssueError::Proof)
    );
    for field in 0..3 {
        let mut forged = proof.clone();
        let response = match field {
            0 => &mut forged.person_k,
            1 => &mut forged.person_blinding,
            _ => &mut forged.subject.response,
        };
        *response = PublicScalar(response.0 + Scalar::ONE);
        assert_eq!(
            verify_enrolment(&honest, &points, &forged),
            Err(IssueError::Proof)
        );
    }
}

#[test]
fn an_enrolment_covers_every_domain_once() {
    let (context, secrets, points) = enrolment(1);
    let proof = prove_enrolment(&context, &points, &secrets, &mut rng(2)).unwrap();
    let mut fewer = points.clone();
    fewer.r_subject.pop();
    let mut same = points.clone();
    same.r_subject[1].1 = same.r_subject[0].1;
    for points in [fewer, same] {
        assert_eq!(
            verify_enrolment(&context, &points, &proof),
            Err(IssueError::Domains)
        );
    }
    let mut fewer = context.clone();
    fewer.keys.pop();
    let mut unordered = context.clone();
    unordered.keys.swap(0, 1);
    let mut same = context.clone();
    same.keys[1].1 = same.keys[0].1;
    for context in [fewer, unordered, same] {
        assert_eq!(
            verify_enrolment(&context, &points, &proof),
            Err(IssueError::Domains)
        );
    }
    let mut nonceless = context.clone();
    nonceless.nonces.clear();
    assert_eq!(
        verify_enrolment(&nonceless, &points, &proof),
        Err(IssueError::Nonces)
    );
    let mut keyless = context;
    keyless.keys[0].1 = [0; 32].into();
    let verdict = verify_enrolment(&keyless, &points, &proof);
    assert_eq!(verdict, Err(IssueError::Key("an authorisation key")));
}

#[test]
fn every_point_of_an_enrolment_is_in_the_transcript_by_itself() {
    let (context, secrets, points) = enrolment(1);
    let proof = prove_enrolment(&context, &points, &secrets, &mut rng(2)).unwrap();
    let response_key = bytes32(&mut rng(3));
    let message = enrol_message(&context, &points, &proof, &response_key);
    for domain in 0..5 {
        let mut changed = points.clone();
        changed.r_subject[domain].1 = shift(&changed.r_subject[domain].1);
        assert_ne!(
            enrol_message(&context, &changed, &proof, &response_key),
            message
        );
    }
    let mut changed = points.clone();
    changed.c_person = shift(&changed.c_person);
    assert_ne!(
        enrol_message(&context, &changed, &proof, &response_key),
        message
    );
    let edits: [fn(&mut EnrolProof); 5] = [
        |p| p.person_announcement = shift(&p.person_announcement),
        |p| p.person_k.0 += Scalar::ONE,
        |p| p.person_blinding.0 += Scalar::ONE,
        |p| p.subject.announcement = shift(&p.subject.announcement),
        |p| p.subject.response.0 += Scalar::ONE,
    ];
    for edit in edits {
        let mut changed = proof.clone();
        edit(&mut changed);
        assert_ne!(
            enrol_message(&context, &points, &changed, &response_key),
            message
        );
    }
}
