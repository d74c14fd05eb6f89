//! Many presentations checked together.

use super::*;

fn together(batch: &[Presentation]) -> Vec<Result<(), PresentationError>> {
    let stage = stage();
    let batch: Vec<_> = batch.iter().map(|one| (one, &stage.compiled)).collect();
    verify_batch(&batch, &stage.world.keys(), stage.now, &mut rng(5))
}

#[test]
fn good_presentations_of_different_verdicts_hold_together() {
    assert_eq!(together(&[]), []);
    let yes = stage();
    let values = values(&yes.compiled, |attribute| {
        (attribute == "income.magi_monthly").then_some(Some(900_000))
    });
    let no = Stage::new(&values, |_| ());
    let no_presentation = no.prove().unwrap();
    assert_eq!(no_presentation.verdict, Verdict::No);
    let mut keys = yes.world.keys();
    keys.extend(no.world.keys());
    let batch = [
        (honest(), &yes.compiled),
        (&no_presentation, &no.compiled),
        (honest(), &yes.compiled),
    ];
    assert_eq!(
        verify_batch(&batch, &keys, yes.now, &mut rng(5)),
        [Ok(()), Ok(()), Ok(())]
    );
}

#[test]
fn attack_each_kind_of_tampering_is_named_by_index_as_it_would_be_alone() {
    let stage = stage();
    type Edit = fn(&mut Presentation);
    let edits: [(&str, Edit); 8] = [
        ("version", |one| one.version += 1),
        ("audience", |one| one.audience.push('x')),
        ("leaf", |one| {
            one.attestations[1].attestation.leaf.c_value = one.pseudonym;
        }),
        ("root signature", |one| {
            one.attestations[0].attestation.root.signature.0[40] ^= 1;
        }),
        ("size of a root that its committee signed", |one| {
            let attestation = &mut one.attestations[place("income.magi_monthly")].attestation;
            (attestation.index, attestation.path) = (0, Vec::new());
            let hash = attestation.leaf.hash();
            let statement = &mut attestation.root.statement;
            (statement.size, statement.root) = (1, hash);
            let issuer = &super::stage().world.issuers[&attestation.leaf.committee];
            attestation.root.signature = issuer.sign(&statement.message(), &mut rng(1));
        }),
        ("nonce", |one| one.nonces[0].1.0[0] ^= 1),
        ("slack", |one| one.slacks[0] = one.pseudonym),
        ("proof", |one| {
            let last = one.proof.0.len() - 32;
            one.proof.0[last] ^= 1;
        }),
    ];
    for (what, edit) in edits {
        for index in 0..3 {
            let mut batch = vec![honest().clone(); 3];
            batch[index] = stage.changed(edit);
            let alone = stage.verify(&batch[index]);
            assert!(alone.is_err(), "{what}");
            let mut expected = vec![Ok(()); 3];
            expected[index] = alone;
            assert_eq!(together(&batch), expected, "{what} at {index}");
        }
    }
    let mut unsigned = honest().clone();
    unsigned.attestations[2].holder_signature.0[5] ^= 1;
    let results = together(&[unsigned, honest().clone()]);
    assert!(matches!(
        &results[..],
        [Err(PresentationError::Holder { .. }), Ok(())]
    ));
}
