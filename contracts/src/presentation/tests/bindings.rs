//! Presentations moved, replayed, re-signed or altered.

use super::*;
use crate::group::PEDERSEN;

#[test]
fn attack_a_proof_moved_to_another_nonce_token_key_or_ledger_entry() {
    let mut rng = rng(6);
    let other = present_context(&mut rng);
    let changes: [&dyn Fn(&mut Presentation); 5] = [
        &|p| p.nonces = other.nonces.clone(),
        &|p| p.nonces.truncate(p.nonces.len() - 1),
        &|p| p.nonces[0].0 = NodeId::new(1).unwrap(),
        &|p| p.cnf = other.cnf,
        &|p| p.ledger_salt = other.ledger_salt,
    ];
    for (index, change) in changes.iter().enumerate() {
        let presentation = stage().changed(change);
        let same = presentation.digest() == honest().digest();
        assert_eq!(same, index == 2, "the third change is none");
        let expected = if same { Ok(()) } else { proof_error() };
        assert_eq!(stage().verify(&presentation), expected, "change {index}");
    }
}

#[test]
fn attack_a_proof_moved_to_another_audience() {
    let presentation = stage().changed(|p| p.audience = "us.nv.dhcfp".to_owned());
    let attribute = stage().compiled.facts[0].attribute.clone();
    assert_eq!(
        stage().verify(&presentation),
        Err(PresentationError::Purpose(attribute))
    );

    // Even with leaves released to both, neither the proof nor the pseudonym moves.
    let mut both = Stage::yes();
    both.context.audience = "us.nv.dhcfp".to_owned();
    let purpose = Purpose {
        contract: both.compiled.contract.hash,
        audience: "us.nv.dhcfp",
        observed: both.compiled.as_of,
    };
    let values = values(&both.compiled, |_| None);
    both.witness = both.world.issue(
        &both.owner,
        &both.compiled,
        &values,
        &purpose,
        |_| (),
        &mut rng(7),
    );
    let mut moved = both.prove().unwrap();
    assert_eq!(both.verify(&moved), Ok(()));
    assert_ne!(moved.pseudonym, honest().pseudonym);
    moved.proof = honest().proof.clone();
    moved.slacks = honest().slacks.clone();
    both.resign(&mut moved);
    assert_eq!(both.verify(&moved), proof_error());
}

#[test]
fn attack_a_proof_moved_to_another_contract_date_or_state() {
    let keys = stage().world.keys();
    let check = |presentation: &Presentation, compiled: &Compiled| {
        verify(presentation, compiled, &keys, stage().now)
    };
    // Shown as it is.
    let mut other = stage().compiled.clone();
    other.contract.hash = bytes32(&mut rng(8));
    assert_eq!(
        check(honest(), &other),
        Err(PresentationError::Contract("contract"))
    );
    let nevada = compile("NV", "2026-11-20");
    assert_eq!(
        check(honest(), &nevada),
        Err(PresentationError::Contract("jurisdiction"))
    );
    let yesterday = compile("CA", "2026-11-19");
    assert_eq!(
        check(honest(), &yesterday),
        Err(PresentationError::Contract("as_of"))
    );
    // With the field changed to match.
    let moved = stage().changed(|p| p.contract.hash = other.contract.hash);
    assert!(matches!(
        check(&moved, &other),
        Err(PresentationError::Purpose(_))
    ));
    let mut renamed = stage().compiled.clone();
    renamed.contract.id = "us.medicaid.other".to_owned();
    let moved = stage().changed(|p| p.contract.id = renamed.contract.id.clone());
    assert_eq!(check(&moved, &renamed), proof_error());
    let moved = stage().changed(|p| p.jurisdiction = nevada.jurisdiction);
    assert_eq!(check(&moved, &nevada), proof_error());
    let moved = stage().changed(|p| p.as_of = yesterday.as_of);
    assert!(matches!(
        check(&moved, &yesterday),
        Err(PresentationError::Fact { index: 0, .. })
    ));
}

#[test]
fn every_binding_is_in_the_transcript_by_itself() {
    let challenge = |presentation: &Presentation| {
        let mut bytes = [0; 32];
        bind::transcript(presentation).challenge_bytes(b"test", &mut bytes);
        bytes
    };
    let mut rng = rng(9);
    let other = present_context(&mut rng);
    let point = Point::new(PEDERSEN.B).unwrap();
    type Change = Box<dyn Fn(&mut Presentation)>;
    let changes: Vec<Change> = vec![
        Box::new(|p| p.version += 1),
        Box::new(|p| p.contract.id.push('x')),
        Box::new(|p| p.contract.hash.0[0] ^= 1),
        Box::new(|p| p.as_of = day("2026-11-19")),
        Box::new(|p| p.jurisdiction = "NV".parse().unwrap()),
        Box::new(|p| p.verdict = Verdict::No),
        Box::new(|p| p.reasons.push("AGE".to_owned())),
        Box::new(|p| p.audience.push('x')),
        Box::new(move |p| p.nonces[1].1 = other.nonces[1].1),
        Box::new(|p| p.nonces[2].0 = NodeId::new(7).unwrap()),
        Box::new(move |p| p.pseudonym = point),
        Box::new(|p| p.cnf.0[5] ^= 1),
        Box::new(|p| p.ledger_salt.0[5] ^= 1),
        Box::new(|p| p.attestations[3].attestation.leaf.key.0[0] ^= 1),
        Box::new(|p| p.attestations.swap(0, 1)),
        Box::new(|p| p.attestations.truncate(p.attestations.len() - 1)),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut changed = honest().clone();
        change(&mut changed);
        assert_ne!(challenge(&changed), challenge(honest()), "change {index}");
    }
    let named = |reason: &str| {
        let mut changed = honest().clone();
        changed.reasons = vec![reason.to_owned()];
        challenge(&changed)
    };
    assert_ne!(named("AGE"), named("INCOME"));
}

#[test]
fn attack_an_as_of_day_outside_the_window() {
    let keys = stage().world.keys();
    let check = |today: Day| verify(honest(), &stage().compiled, &keys, today.start());
    let as_of = stage().compiled.as_of;
    for today in [
        as_of.plus(-1).unwrap(),
        as_of.plus(MAX_AS_OF_AGE_DAYS + 1).unwrap(),
    ] {
        assert_eq!(check(today), Err(PresentationError::AsOf { as_of, today }));
    }
    let last = as_of.plus(MAX_AS_OF_AGE_DAYS).unwrap();
    assert!(matches!(
        check(last),
        Err(PresentationError::Expired { .. })
    ));
    let never = verify(honest(), &stage().compiled, &keys, UnixTime(i64::MAX));
    assert_eq!(never, Err(PresentationError::Now));
}

#[test]
fn attack_a_presentation_without_the_holders_signature() {
    let attribute = stage().compiled.facts[0].attribute.clone();
    let refused = |attribute, error| Err(PresentationError::Holder { attribute, error });
    let signature = bip340::SignatureError::Signature;
    let mut changed = honest().clone();
    changed.ledger_salt.0[0] ^= 1;
    assert_eq!(
        stage().verify(&changed),
        refused(attribute.clone(), signature)
    );
    let stranger = keypair(&mut rng(4)).0;
    for index in 0..honest().attestations.len() {
        let mut stolen = honest().clone();
        stolen.attestations[index].holder_signature =
            bip340::sign(&stranger, &stolen.digest().0, &mut rng(5)).unwrap();
        let attribute = stage().compiled.facts[index].attribute.clone();
        assert_eq!(stage().verify(&stolen), refused(attribute, signature));
    }
    let mut stolen = Stage::yes();
    stolen.witness.held[0].key = stranger;
    assert_eq!(
        stolen.prove(),
        Err(PresentationError::Holder {
            attribute,
            error: bip340::SignatureError::Key
        })
    );
}

#[test]
fn attack_a_foreign_pseudonym() {
    let foreign = Point::new(Scalar::from(9u64) * pseudonym_base(AUDIENCE)).unwrap();
    let presentation = stage().changed(|p| p.pseudonym = foreign);
    assert_eq!(stage().verify(&presentation), proof_error());
    let mut stage = Stage::yes();
    stage.witness.k = Scalar::from(9u64);
    assert_eq!(
        stage.prove(),
        Err(PresentationError::Statement(StatementError::Witness))
    );
    let refused = Err(PresentationError::Statement(StatementError::Proof));
    assert_eq!(stage.verify(&stage.forge()), refused);
    stage.witness.k = Scalar::ZERO;
    assert_eq!(
        stage.prove(),
        Err(PresentationError::Statement(StatementError::Witness))
    );
}

#[test]
fn attack_a_token_key_or_leaf_key_used_twice() {
    let key = honest().attestations[0].attestation.leaf.key;
    for prefix in [2, 3] {
        let mut cnf = [prefix; 33];
        cnf[1..].copy_from_slice(&key.0);
        let presentation = stage().changed(|p| p.cnf = cnf.into());
        assert_eq!(stage().verify(&presentation), Err(PresentationError::Cnf));
    }
    for cnf in [[0; 33], [4; 33]] {
        let presentation = stage().changed(|p| p.cnf = cnf.into());
        assert_eq!(stage().verify(&presentation), Err(PresentationError::Cnf));
    }
    let stage = Stage::edited(|leaf| leaf.key = key);
    let second = stage.compiled.facts[1].attribute.clone();
    assert_eq!(stage.prove(), Err(PresentationError::Key(second)));
}

#[test]
fn nonces_audience_and_version_are_well_formed() {
    type Nonces = Vec<(NodeId, Bytes32)>;
    let nonces =
        |edit: &dyn Fn(&mut Nonces)| stage().verify(&stage().changed(|p| edit(&mut p.nonces)));
    assert_eq!(nonces(&|n| n.clear()), Err(PresentationError::Nonces));
    assert_eq!(nonces(&|n| n.swap(0, 1)), Err(PresentationError::Nonces));
    assert_eq!(nonces(&|n| n[1] = n[0]), Err(PresentationError::Nonces));
    let many = |n: &mut Vec<(NodeId, Bytes32)>| {
        *n = (1..=65)
            .map(|i| (NodeId::new(i).unwrap(), n[0].1))
            .collect();
    };
    assert_eq!(nonces(&many), Err(PresentationError::Nonces));
    for audience in [
        String::new(),
        "us ca".to_owned(),
        "caf\u{e9}".to_owned(),
        "x".repeat(256),
    ] {
        let presentation = stage().changed(|p| p.audience = audience);
        assert_eq!(
            stage().verify(&presentation),
            Err(PresentationError::Audience)
        );
    }
    let presentation = stage().changed(|p| p.version = 2);
    assert_eq!(
        stage().verify(&presentation),
        Err(PresentationError::Version(2))
    );
    assert_eq!(
        Presentation::parse(&[b' '; MAX_PRESENTATION_BYTES + 1]),
        Err(PresentationError::TooLarge(MAX_PRESENTATION_BYTES + 1))
    );
}

#[test]
fn attack_slacks_or_proof_of_another_presentation() {
    let again = prove(
        &stage().compiled,
        Verdict::Yes,
        &[],
        &stage().witness,
        &stage().context,
        &mut rng(99),
    )
    .unwrap();
    assert_eq!(stage().verify(&again), Ok(()));
    let presentation = stage().changed(|p| p.slacks = again.slacks.clone());
    assert_eq!(stage().verify(&presentation), proof_error());
    let presentation = stage().changed(|p| p.proof = again.proof.clone());
    assert_eq!(stage().verify(&presentation), proof_error());
    let presentation = stage().changed(|p| p.slacks.swap(0, 1));
    assert_eq!(stage().verify(&presentation), proof_error());
    let presentation = stage().changed(|p| p.slacks.truncate(p.slacks.len() - 1));
    assert!(matches!(
        stage().verify(&presentation),
        Err(PresentationError::Statement(StatementError::Count { .. }))
    ));
}

/// As it was altered on the way, and as its holder might alter it and sign again: then leaves, bindings and proof stand
/// on their own.
#[test]
fn attack_one_flipped_bit_in_every_byte_of_a_presentation() {
    let small = Stage::small();
    let shown = small.prove().unwrap();
    assert_eq!(small.verify(&shown), Ok(()));
    let json = to_jcs(&shown).unwrap();
    let (mut read, mut signed) = (0, 0);
    for (index, bit) in (0..json.len()).zip(bits()) {
        let mut flipped = json.clone();
        flipped[index] ^= 1 << bit;
        let Ok(mut presentation) = Presentation::parse(&flipped) else {
            continue;
        };
        read += 1;
        assert!(
            small.verify(&presentation).is_err(),
            "bit {bit} of byte {index}"
        );
        if presentation.digest() == shown.digest() {
            continue;
        }
        signed += 1;
        let digest = presentation.digest();
        for (presented, held) in presentation
            .attestations
            .iter_mut()
            .zip(&small.witness.held)
        {
            presented.holder_signature = bip340::sign(&held.key, &digest.0, &mut rng(3)).unwrap();
        }
        assert!(
            small.verify(&presentation).is_err(),
            "signed: bit {bit} of byte {index}"
        );
    }
    assert!(
        read > 2_000 && signed > 1_500,
        "{read} read, {signed} signed"
    );
}

#[test]
fn attack_a_field_dropped_or_added_anywhere() {
    fn walk(value: &serde_json::Value, path: &str, all: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, field) in fields {
                    let path = format!("{path}/{name}");
                    walk(field, &path, all);
                    all.push(path);
                }
            }
            serde_json::Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, &format!("{path}/{index}"), all);
                }
            }
            _ => {}
        }
    }
    let json = serde_json::to_value(honest()).unwrap();
    let mut fields = Vec::new();
    walk(&json, "", &mut fields);
    for field in &fields {
        let (parent, name) = field.rsplit_once('/').unwrap();
        let mut dropped = json.clone();
        dropped
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(name);
        let mut added = json.clone();
        let object = added.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        object.insert("another".to_owned(), 1.into());
        for changed in [dropped, added] {
            let parsed = Presentation::parse(&serde_json::to_vec(&changed).unwrap());
            assert!(
                parsed.map_or(true, |p| stage().verify(&p).is_err()),
                "{field}"
            );
        }
    }
}

#[test]
fn secrets_print_nothing() {
    let printed = format!("{:?} {:?}", stage().witness, stage().witness.held[0]);
    assert_eq!(printed, "Witness { .. } Held { .. }");
}
