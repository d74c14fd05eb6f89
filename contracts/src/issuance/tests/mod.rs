//! Blind issue and enrolment, and owners who cheat at them.

mod enrolment;

use curve25519_dalek::scalar::Scalar;

use super::attest::BlindingProof;
use super::*;
use crate::bip340;
use crate::encoding::{Bytes, EncodingError};
use crate::group::{PEDERSEN, Point, PublicScalar};
use crate::leaf::Leaf;
use crate::testing::{bytes32, keypair, nonces, rng};
use crate::units::{Day, Period};

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn context(seed: u64) -> IssueContext {
    let mut rng = rng(seed);
    IssueContext {
        committee: Domain::Identity,
        epoch: 3,
        nonces: nonces(&mut rng),
        authorisation_key: keypair(&mut rng).1,
        request_id: bytes32(&mut rng),
        observed: day("2026-11-20"),
    }
}

/// Two leaves, the first of `identity.person`.
fn requests(seed: u64) -> (Vec<LeafRequest>, Vec<Blindings>) {
    let mut rng = rng(seed);
    let today = day("2026-11-20");
    let attributes = ["identity.person", "identity.birth_date"];
    let pairs = attributes.map(|attribute| {
        let blindings = Blindings::random(attribute == "identity.person", &mut rng);
        let (r_value, r_known, r_subject, r_person) = blindings.points().unwrap();
        let request = LeafRequest {
            attribute: attribute.into(),
            period: Period {
                start: today,
                end: today,
            },
            index: 0,
            key: keypair(&mut rng).1,
            seal_key: bytes32(&mut rng),
            purpose: bytes32(&mut rng),
            r_value,
            r_known,
            r_subject,
            r_person,
            withheld: false,
        };
        (request, blindings)
    });
    pairs.into_iter().unzip()
}

fn shift(point: &Point) -> Point {
    Point::new(point.point() + Scalar::from(7u64) * PEDERSEN.B).unwrap()
}

#[test]
fn a_request_proves_and_its_leaf_opens() {
    let (context, (requests, blindings)) = (context(1), requests(2));
    let proof = prove_blinding(&context, &requests, &blindings, &mut rng(3)).unwrap();
    assert_eq!(verify_blinding(&context, &requests, &proof), Ok(()));

    let (s, r_d) = (Scalar::from(11u64), Scalar::from(13u64));
    let s_d = Point::new(PEDERSEN.commit(s, r_d)).unwrap();
    let (k, r) = (Scalar::from(17u64), Scalar::from(19u64));
    let c_k = Point::new(PEDERSEN.commit(k, r)).unwrap();
    let expires = day("2026-12-20");
    let leaf = build_leaf(&context, &requests[0], 1, true, &s_d, Some(&c_k), expires).unwrap();
    let b = &blindings[0];
    let opens = |point: &Point, value: Scalar, blinding: Scalar| {
        assert_eq!(point.point(), &PEDERSEN.commit(value, blinding));
    };
    opens(&leaf.c_value, Scalar::ONE, b.value);
    opens(&leaf.c_known, Scalar::ONE, b.known);
    opens(&leaf.c_subject, s, r_d + b.subject);
    opens(&leaf.c_person.unwrap(), k, r + b.person.unwrap());
    let unknown = build_leaf(&context, &requests[1], 0, false, &s_d, None, expires).unwrap();
    opens(&unknown.c_value, Scalar::ZERO, blindings[1].value);
    opens(&unknown.c_known, Scalar::ZERO, blindings[1].known);
    let negative = build_leaf(&context, &requests[1], -5, true, &s_d, None, expires).unwrap();
    opens(&negative.c_value, -Scalar::from(5u64), blindings[1].value);
}

#[test]
fn attack_a_shifted_blinding_point() {
    // R + x·B would shift what the nodes commit to: a value, a known flag, a subject or a pseudonym key.
    let (context, (honest, blindings)) = (context(1), requests(2));
    for field in 0..4 {
        let mut shifted = honest.clone();
        let request = &mut shifted[0];
        match field {
            0 => request.r_value = shift(&request.r_value),
            1 => request.r_known = shift(&request.r_known),
            2 => request.r_subject = shift(&request.r_subject),
            _ => request.r_person = request.r_person.as_ref().map(shift),
        }
        let mut rng = rng(3);
        let refused = prove_blinding(&context, &shifted, &blindings, &mut rng);
        assert_eq!(refused, Err(IssueError::Mismatch));
        // A prover that goes on all the same, with the blindings he knows.
        let scalars: Vec<&Scalar> = blindings
            .iter()
            .flat_map(|b| {
                [&b.value, &b.known, &b.subject]
                    .into_iter()
                    .chain(&b.person)
            })
            .collect();
        let mut transcript = attest::transcript(&context, &shifted);
        let proof = BlindingProof::prove(&mut transcript, &scalars, &mut rng).unwrap();
        assert_eq!(
            verify_blinding(&context, &shifted, &proof),
            Err(IssueError::Proof)
        );
    }
}

#[test]
fn attack_two_shifts_that_cancel_in_an_unweighted_sum() {
    let (context, (mut requests, blindings)) = (context(1), requests(2));
    let back = |point: &Point| Point::new(point.point() - Scalar::from(7u64) * PEDERSEN.B).unwrap();
    requests[0].r_value = shift(&requests[0].r_value);
    requests[1].r_value = back(&requests[1].r_value);
    let scalars: Vec<&Scalar> = blindings
        .iter()
        .flat_map(|b| {
            [&b.value, &b.known, &b.subject]
                .into_iter()
                .chain(&b.person)
        })
        .collect();
    let mut transcript = attest::transcript(&context, &requests);
    let proof = BlindingProof::prove(&mut transcript, &scalars, &mut rng(3)).unwrap();
    assert_eq!(
        verify_blinding(&context, &requests, &proof),
        Err(IssueError::Proof)
    );
}

#[test]
fn attack_a_request_replayed_under_another_context() {
    let (honest, (requests, blindings)) = (context(1), requests(2));
    let proof = prove_blinding(&honest, &requests, &blindings, &mut rng(3)).unwrap();
    let (key, id) = (keypair(&mut rng(4)).1, bytes32(&mut rng(5)));
    type Edit<'a> = Box<dyn Fn(&mut IssueContext) + 'a>;
    let edits: Vec<Edit<'_>> = vec![
        Box::new(|c| c.committee = Domain::Income),
        Box::new(|c| c.epoch += 1),
        Box::new(|c| c.nonces[1].1 = id),
        Box::new(|c| c.nonces[2].0 = NodeId::new(4).unwrap()),
        Box::new(|c| c.nonces.truncate(c.nonces.len() - 1)),
        Box::new(|c| c.authorisation_key = key),
        Box::new(|c| c.request_id = id),
        Box::new(|c| c.observed = day("2026-11-21")),
    ];
    let message = request_message(&honest, &requests, &proof);
    for (index, edit) in edits.iter().enumerate() {
        let mut other = honest.clone();
        edit(&mut other);
        let verdict = verify_blinding(&other, &requests, &proof);
        assert_eq!(verdict, Err(IssueError::Proof), "edit {index}");
        assert_ne!(
            request_message(&other, &requests, &proof),
            message,
            "edit {index}"
        );
    }
    let mut unordered = honest.clone();
    unordered.nonces.swap(0, 1);
    let mut twice = honest.clone();
    twice.nonces[1] = twice.nonces[0];
    let mut none = honest.clone();
    none.nonces.clear();
    let mut many = honest.clone();
    many.nonces = (1..)
        .map(|node| (NodeId::new(node).unwrap(), id))
        .take(MAX_NONCES + 1)
        .collect();
    for other in [unordered, twice, none, many] {
        assert_eq!(
            verify_blinding(&other, &requests, &proof),
            Err(IssueError::Nonces)
        );
    }
}

#[test]
fn attack_a_proof_moved_to_another_leaf_key_or_purpose() {
    let (context, (requests, blindings)) = (context(1), requests(2));
    let proof = prove_blinding(&context, &requests, &blindings, &mut rng(3)).unwrap();
    let (key, other) = (keypair(&mut rng(4)).1, bytes32(&mut rng(5)));
    type Edit<'a> = Box<dyn Fn(&mut LeafRequest) + 'a>;
    let edits: Vec<Edit<'_>> = vec![
        Box::new(|r| r.attribute = "identity.ssi".into()),
        Box::new(|r| r.period.start = day("2026-11-01")),
        Box::new(|r| r.index = 1),
        Box::new(|r| r.key = key),
        Box::new(|r| r.seal_key = other),
        Box::new(|r| r.purpose = other),
        Box::new(|r| r.withheld = true),
        Box::new(|r| r.r_value = shift(&r.r_value)),
    ];
    let message = request_message(&context, &requests, &proof);
    for (index, edit) in edits.iter().enumerate() {
        let mut moved = requests.clone();
        edit(&mut moved[1]);
        assert_eq!(
            verify_blinding(&context, &moved, &proof),
            Err(IssueError::Proof),
            "edit {index}"
        );
        assert_ne!(
            request_message(&context, &moved, &proof),
            message,
            "edit {index}"
        );
    }
    let mut forged = proof.clone();
    forged.response = PublicScalar(forged.response.0 + Scalar::ONE);
    assert_eq!(
        verify_blinding(&context, &requests, &forged),
        Err(IssueError::Proof)
    );
    assert_ne!(request_message(&context, &requests, &forged), message);
}

#[test]
fn every_point_of_a_request_is_in_the_transcript_by_itself() {
    let (context, (requests, blindings)) = (context(1), requests(2));
    let proof = prove_blinding(&context, &requests, &blindings, &mut rng(3)).unwrap();
    let message = request_message(&context, &requests, &proof);
    let edits: [fn(&mut LeafRequest); 5] = [
        |r| r.r_value = shift(&r.r_value),
        |r| r.r_known = shift(&r.r_known),
        |r| r.r_subject = shift(&r.r_subject),
        |r| r.r_person = r.r_person.as_ref().map(shift),
        |r| r.r_person = None,
    ];
    for (index, edit) in edits.iter().enumerate() {
        let mut changed = requests.clone();
        edit(&mut changed[0]);
        assert_ne!(
            request_message(&context, &changed, &proof),
            message,
            "edit {index}"
        );
    }
    let mut announced = proof;
    announced.announcement = shift(&announced.announcement);
    assert_ne!(request_message(&context, &requests, &announced), message);
}

#[test]
fn attack_one_blinding_or_key_for_two_leaves() {
    let (context, (honest, _)) = (context(1), requests(2));
    let proof = BlindingProof {
        announcement: honest[0].r_value,
        response: PublicScalar(Scalar::ONE),
    };
    let check = |edit: &dyn Fn(&mut Vec<LeafRequest>)| {
        let mut requests = honest.clone();
        edit(&mut requests);
        verify_blinding(&context, &requests, &proof)
    };
    assert_eq!(
        check(&|r| r[1].r_value = r[0].r_value),
        Err(IssueError::Reused)
    );
    assert_eq!(
        check(&|r| r[1].r_value = r[0].r_subject),
        Err(IssueError::Reused)
    );
    assert_eq!(check(&|r| r[1].key = r[0].key), Err(IssueError::Reused));
    assert_eq!(
        check(&|r| r[1].seal_key = r[0].seal_key),
        Err(IssueError::Reused)
    );
    let twice = IssueError::Duplicate {
        attribute: "identity.birth_date".into(),
        index: 0,
    };
    let copy = |r: &mut Vec<LeafRequest>| {
        let (others, _) = requests(9);
        r.push(others[1].clone());
    };
    assert_eq!(check(&copy), Err(twice));
    assert_eq!(check(&|r| r.clear()), Err(IssueError::Count(0)));
    let many = |r: &mut Vec<LeafRequest>| *r = vec![r[1].clone(); MAX_LEAVES + 1];
    assert_eq!(check(&many), Err(IssueError::Count(MAX_LEAVES + 1)));
}

#[test]
fn attack_a_pseudonym_key_on_another_leaf_or_a_person_withheld() {
    let (context, (honest, _)) = (context(1), requests(2));
    let proof = BlindingProof {
        announcement: honest[0].r_value,
        response: PublicScalar(Scalar::ONE),
    };
    let check = |edit: &dyn Fn(&mut [LeafRequest])| {
        let mut requests = honest.clone();
        edit(&mut requests);
        verify_blinding(&context, &requests, &proof)
    };
    let person = |id: &str| Err(IssueError::Person(id.into()));
    assert_eq!(
        check(&|r| r[1].r_person = r[0].r_person.take()),
        person("identity.person")
    );
    assert_eq!(
        check(&|r| r[1].r_person = Some(shift(&r[0].r_value))),
        person("identity.birth_date")
    );
    assert_eq!(check(&|r| r[0].withheld = true), Err(IssueError::Withheld));
    // 5 is the x coordinate of no point of secp256k1.
    let mut five = [0; 32];
    five[31] = 5;
    assert_eq!(
        check(&|r| r[1].key = five.into()),
        Err(IssueError::Key("a one-time key"))
    );
    let mut keyless = context.clone();
    keyless.authorisation_key = five.into();
    let verdict = verify_blinding(&keyless, &honest, &proof);
    assert_eq!(verdict, Err(IssueError::Key("the authorisation key")));
}

#[test]
fn leaves_are_built_only_from_what_belongs_together() {
    let (context, (requests, _)) = (context(1), requests(2));
    let (point, expires) = (requests[0].r_value, day("2026-12-20"));
    let build = |index: usize, value, known, person: Option<&Point>| {
        build_leaf(
            &context,
            &requests[index],
            value,
            known,
            &point,
            person,
            expires,
        )
    };
    let unknown = IssueError::UnknownValue("identity.birth_date".into());
    assert_eq!(build(1, 5, false, None), Err(unknown));
    let person = |id: &str| Err(IssueError::Person(id.into()));
    assert_eq!(build(0, 1, true, None), person("identity.person"));
    assert_eq!(
        build(1, 1, true, Some(&point)),
        person("identity.birth_date")
    );
    let mut cancelling = requests.clone();
    cancelling[1].r_known = Point::new(-PEDERSEN.B).unwrap();
    let leaf = build_leaf(&context, &cancelling[1], 1, true, &point, None, expires);
    assert_eq!(
        leaf,
        Err(IssueError::Identity("identity.birth_date".into()))
    );
}

#[test]
fn attack_zero_identity_and_non_canonical_points_do_not_parse() {
    let (requests, _) = requests(2);
    let json = serde_json::to_value(&requests[0]).unwrap();
    for field in ["r_value", "r_known", "r_subject", "r_person"] {
        for wrong in [[0; 32], [0xff; 32]] {
            let mut json = json.clone();
            json[field] = serde_json::to_value(Bytes(wrong)).unwrap();
            assert!(
                serde_json::from_value::<LeafRequest>(json).is_err(),
                "{field}"
            );
        }
    }
}

#[test]
fn purposes_bind_contract_and_audience_and_hide_both() {
    let (salt, contract) = (bytes32(&mut rng(1)), bytes32(&mut rng(2)));
    let one = purpose(&salt, &contract, "us.ca.dhcs");
    assert_ne!(one, purpose(&bytes32(&mut rng(3)), &contract, "us.ca.dhcs"));
    assert_ne!(one, purpose(&salt, &bytes32(&mut rng(3)), "us.ca.dhcs"));
    assert_ne!(one, purpose(&salt, &contract, "us.nv.dhcfp"));
}

#[test]
fn openings_survive_sealing_and_print_nothing() {
    for (person, known, value) in [(true, true, 1), (false, true, -61_237), (false, false, 0)] {
        let blindings = Blindings::random(person, &mut rng(1));
        let opening = Opening {
            value,
            known,
            blindings,
        };
        let bytes = opening.to_bytes();
        assert_eq!(Opening::from_bytes(&bytes).as_ref(), Ok(&opening));
        assert!(Opening::from_bytes(&bytes[1..]).is_err());
        assert!(Opening::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        assert!(Opening::from_bytes(&bytes[..74]).is_err());
        let mut wrong = bytes.to_vec();
        wrong[9] = 2;
        assert!(Opening::from_bytes(&wrong).is_err());
        let mut wrong = bytes.to_vec();
        wrong[10..42].fill(0xff);
        assert_eq!(Opening::from_bytes(&wrong), Err(EncodingError::Scalar));
        assert_eq!(
            format!("{opening:?} {:?}", opening.blindings),
            "Opening { .. } Blindings { .. }"
        );
    }
    let secrets = EnrolSecrets::random(Scalar::ONE, &mut rng(1));
    assert_eq!(format!("{secrets:?}"), "EnrolSecrets { .. }");
}

#[test]
fn scalars_of_signed_integers() {
    for value in [0, 1, -1, 42, i64::MAX, i64::MIN] {
        let magnitude = Scalar::from(value.unsigned_abs());
        assert_eq!(
            scalar(value),
            if value < 0 { -magnitude } else { magnitude }
        );
    }
}

#[test]
fn subjects_are_rfc_9497_hash_to_scalar() {
    use voprf::{CipherSuite, Group, Ristretto255};
    let outputs = [[0; 64], [7; 64], [0xff; 64]];
    for output in outputs {
        let dst = [
            b"HashToScalar-OPRFV1-\0-".as_slice(),
            Ristretto255::ID.as_bytes(),
        ];
        let expected = <Ristretto255 as Group>::hash_to_scalar::<sha2::Sha512>(&[&output], &dst);
        assert_eq!(subject_scalar(&output), expected.unwrap());
    }
}

#[test]
fn request_signatures_are_of_the_authorisation_key() {
    let mut rng = rng(1);
    let (secret, key) = keypair(&mut rng);
    let context = IssueContext {
        authorisation_key: key,
        ..context(1)
    };
    let (requests, blindings) = requests(2);
    let proof = prove_blinding(&context, &requests, &blindings, &mut rng).unwrap();
    let message = request_message(&context, &requests, &proof);
    let signature = bip340::sign(&secret, &message, &mut rng).unwrap();
    assert_eq!(bip340::verify(&key, &message, &signature), Ok(()));
    let stranger = keypair(&mut rng).1;
    assert!(bip340::verify(&stranger, &message, &signature).is_err());
    assert!(bip340::verify(&key, &[0; 32], &signature).is_err());
    assert!(bip340::sign(&[0; 32], &message, &mut rng).is_err());
}

#[test]
fn a_leafs_encoding_is_frozen() {
    let (context, (requests, _)) = (context(1), requests(2));
    let (point, expires) = (requests[1].r_value, day("2026-12-20"));
    let person = build_leaf(
        &context,
        &requests[0],
        1,
        true,
        &point,
        Some(&point),
        expires,
    )
    .unwrap();
    let other = build_leaf(&context, &requests[1], 9, true, &point, None, expires).unwrap();
    let frozen: Vec<String> = [&person, &other]
        .map(|leaf: &Leaf| {
            format!(
                "{} {}",
                hex::encode(leaf.hash()),
                hex::encode(leaf.to_cbor())
            )
        })
        .into();
    insta::assert_json_snapshot!("leaf_cbor", frozen);
    insta::assert_json_snapshot!("leaf_json", [person, other]);
}
