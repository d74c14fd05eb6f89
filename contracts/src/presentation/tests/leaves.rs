//! Leaves that are not the contract's, not the owner's, not attested, or not of this day or purpose.

use super::*;
use crate::attestation::{AttestationError, Batch, MIN_BATCH};
use crate::group::PEDERSEN;
use crate::ids::Domain;
use crate::leaf::PERSON;
use crate::units::Period;

#[test]
fn attack_a_leaf_missing_extra_duplicated_or_swapped() {
    let n = honest().attestations.len();
    let count = |got| Err(PresentationError::LeafCount { expected: n, got });
    let missing = stage().changed(|p| p.attestations.truncate(p.attestations.len() - 1));
    assert_eq!(stage().verify(&missing), count(n - 1));
    let extra = stage().changed(|p| p.attestations.push(p.attestations[0].clone()));
    assert_eq!(stage().verify(&extra), count(n + 1));
    let fact = |index: usize| {
        let expected = Box::new(stage().compiled.facts[index].clone());
        Err(PresentationError::Fact { index, expected })
    };
    let duplicated = stage().changed(|p| p.attestations[1] = p.attestations[0].clone());
    assert_eq!(stage().verify(&duplicated), fact(1));
    let swapped = stage().changed(|p| p.attestations.swap(2, 3));
    assert_eq!(stage().verify(&swapped), fact(2));
}

#[test]
fn attack_a_leaf_of_another_reference_period() {
    let income = place("income.magi_monthly");
    let stage = Stage::edited(|leaf| {
        if leaf.attribute.0 == "income.magi_monthly" {
            let Period { start, end } = leaf.period;
            leaf.period = Period {
                start: start.plus(-30).unwrap(),
                end: end.plus(-30).unwrap(),
            };
        }
    });
    let expected = Box::new(stage.compiled.facts[income].clone());
    let wrong = PresentationError::Fact {
        index: income,
        expected,
    };
    assert_eq!(
        stage.prove().as_ref(),
        Err(&wrong),
        "an honest prover notices"
    );
    assert_eq!(stage.verify(&stage.forge()), Err(wrong));
}

#[test]
fn attack_an_attestation_used_outside_its_purpose() {
    let index = place("income.magi_monthly");
    let attribute = stage().compiled.facts[index].attribute.clone();
    let salt = bytes32(&mut rng(4));
    let presentation = stage().changed(|p| p.attestations[index].purpose_salt = salt);
    let refused = Err(PresentationError::Purpose(attribute.clone()));
    assert_eq!(stage().verify(&presentation), refused);
    // A leaf released to another contract, or to another audience.
    for (contract, audience) in [
        (bytes32(&mut rng(4)), AUDIENCE),
        (stage().compiled.contract.hash, "other"),
    ] {
        let mut mixed = Stage::yes();
        let purpose = Purpose {
            contract,
            audience,
            observed: mixed.compiled.as_of,
        };
        let values = values(&mixed.compiled, |_| None);
        let other = mixed.world.issue(
            &mixed.owner,
            &mixed.compiled,
            &values,
            &purpose,
            |_| (),
            &mut rng(7),
        );
        mixed.witness.held[index] = other.held[index].clone();
        assert_eq!(
            mixed.prove(),
            Err(PresentationError::Purpose(attribute.clone()))
        );
        assert_eq!(mixed.verify(&mixed.forge()), refused);
    }
}

#[test]
fn attack_an_expired_leaf_or_one_from_the_future() {
    let keys = stage().world.keys();
    let at = |now: Day| verify(honest(), &stage().compiled, &keys, now.start());
    assert_eq!(at(day("2026-11-20")), Ok(()));
    let leaves = honest()
        .attestations
        .iter()
        .map(|presented| &presented.attestation.leaf);
    let first = leaves.min_by_key(|leaf| leaf.expires).unwrap();
    assert_eq!(at(first.expires), Ok(()));
    let (attribute, expires) = (first.attribute.clone(), first.expires);
    assert_eq!(
        at(expires.plus(1).unwrap()),
        Err(PresentationError::Expired { attribute, expires })
    );

    // Observed tomorrow, in a leaf that its committee signed.
    let tomorrow = day("2026-11-21");
    let stage = Stage::edited(|leaf| {
        if leaf.attribute.0 == "household.size" {
            leaf.observed = tomorrow;
        }
    });
    let observed = |observed, today| {
        Err(PresentationError::Observed {
            attribute: "household.size".into(),
            observed,
            today,
        })
    };
    let today = day("2026-11-20");
    assert_eq!(stage.verify(&stage.forge()), observed(tomorrow, today));
    // Observed before the reference period was over.
    let yesterday = day("2026-11-19");
    let stage = Stage::edited(|leaf| {
        if leaf.attribute.0 == "household.size" {
            leaf.observed = yesterday;
        }
    });
    assert_eq!(stage.verify(&stage.forge()), observed(yesterday, today));
}

#[test]
fn attack_a_leaf_attested_by_another_domains_committee() {
    let stage = Stage::edited(|leaf| {
        if leaf.attribute.0 == "income.magi_monthly" {
            leaf.committee = Domain::Household;
        }
    });
    let refused = PresentationError::Domain {
        attribute: "income.magi_monthly".into(),
        expected: Domain::Income,
        got: Domain::Household,
    };
    assert_eq!(stage.prove().as_ref(), Err(&refused));
    assert_eq!(stage.verify(&stage.forge()), Err(refused));
}

#[test]
fn attack_a_leaf_of_a_stale_epoch() {
    let stage = stage();
    let mut keys = stage.world.keys();
    let key = keys.remove(&(Domain::Income, 2)).unwrap();
    keys.insert((Domain::Income, 3), key);
    let refused = PresentationError::Epoch {
        committee: Domain::Income,
        epoch: 2,
    };
    let verdict = verify(honest(), &stage.compiled, &keys, stage.now);
    assert_eq!(verdict, Err(refused));
    // A leaf that names the new epoch under a root of the old one.
    let renamed = stage.changed(|p| {
        p.attestations[place("income.magi_monthly")]
            .attestation
            .leaf
            .epoch = 3;
    });
    let verdict = verify(&renamed, &stage.compiled, &keys, stage.now);
    assert!(matches!(
        verdict,
        Err(PresentationError::Attestation {
            error: AttestationError::Committee { .. },
            ..
        })
    ));
}

#[test]
fn attack_a_leaf_that_no_committee_signed() {
    let index = place("income.magi_monthly");
    let attribute = stage().compiled.facts[index].attribute.clone();
    let refused = |error| {
        Err(PresentationError::Attestation {
            attribute: attribute.clone(),
            error,
        })
    };
    let edit = |change: &dyn Fn(&mut Attestation)| {
        stage().verify(&stage().changed(|p| change(&mut p.attestations[index].attestation)))
    };
    let value = Point::new(PEDERSEN.B).unwrap();
    assert_eq!(
        edit(&|a| a.leaf.c_value = value),
        refused(AttestationError::Path)
    );
    assert_eq!(edit(&|a| a.index ^= 1), refused(AttestationError::Path));
    assert_eq!(
        edit(&|a| a.path[0].0[0] ^= 1),
        refused(AttestationError::Path)
    );
    assert_eq!(
        edit(&|a| a.path.truncate(a.path.len() - 1)),
        refused(AttestationError::Path)
    );
    assert_eq!(
        edit(&|a| a.leaf.version = 2),
        refused(AttestationError::Version(2))
    );
    assert_eq!(
        edit(&|a| a.root.signature.0[40] ^= 1),
        refused(AttestationError::Signature)
    );
    let tomorrow = day("2026-11-21");
    assert_eq!(
        edit(&|a| a.root.statement.day = tomorrow),
        refused(AttestationError::Signature)
    );
    assert_eq!(
        edit(&|a| a.root.statement.size += 1),
        refused(AttestationError::Path)
    );
    // A root of the owner's own making.
    let own = |a: &mut Attestation| {
        a.leaf.c_value = value;
        (a.index, a.path) = (0, Vec::new());
        (a.root.statement.size, a.root.statement.root) = (1, a.leaf.hash());
    };
    assert_eq!(edit(&own), refused(AttestationError::Size(1)));
    let full = |a: &mut Attestation| {
        a.leaf.c_value = value;
        let dummies = [];
        let mut hashes: Vec<Bytes32> = vec![a.leaf.hash()];
        hashes.extend((1..MIN_BATCH).map(|i| bytes32(&mut rng(i as u64))));
        let batch = Batch::new(&hashes, &dummies).unwrap();
        a.root.statement = batch.statement(Domain::Income, 2, day("2026-11-20"));
        (a.index, a.path) = batch.inclusion(&a.leaf.hash()).unwrap();
    };
    assert_eq!(edit(&full), refused(AttestationError::Signature));
    // A second leaf of a committee, under a root of the owner's own making beside a good one.
    let medicare = place("identity.medicare");
    let second = stage().changed(|p| {
        let attestation = &mut p.attestations[medicare].attestation;
        attestation.root.statement.day = tomorrow;
    });
    let verdict = stage().verify(&second);
    assert!(matches!(
        verdict,
        Err(PresentationError::Attestation {
            error: AttestationError::Signature,
            ..
        })
    ));
    // A root of another committee.
    let elsewhere = |a: &mut Attestation| a.root.statement.committee = Domain::Medical;
    assert!(matches!(
        edit(&elsewhere),
        Err(PresentationError::Attestation {
            error: AttestationError::Committee { .. },
            ..
        })
    ));
    // A root that another committee signed.
    let other = stage().world.issuers[&Domain::Medical].sign(b"anything", &mut rng(1));
    assert_eq!(
        edit(&|a| a.root.signature = other),
        refused(AttestationError::Signature)
    );
}

#[test]
fn attack_a_neighbours_attestation_among_ones_own() {
    // The neighbour even lends the key and the openings of the leaf.
    for attribute in ["income.magi_monthly", "household.size", PERSON] {
        let mut stage = Stage::yes();
        let neighbour = Owner::enrol(Scalar::random(&mut rng(11)), &mut rng(12));
        let purpose = Purpose {
            contract: stage.compiled.contract.hash,
            audience: AUDIENCE,
            observed: stage.compiled.as_of,
        };
        let values = values(&stage.compiled, |_| None);
        let lent = stage.world.issue(
            &neighbour,
            &stage.compiled,
            &values,
            &purpose,
            |_| (),
            &mut rng(13),
        );
        let index = place(attribute);
        stage.witness.held[index] = lent.held[index].clone();
        if attribute == PERSON {
            (stage.witness.k, stage.witness.person) = (lent.k, lent.person);
        }
        assert_eq!(
            stage.prove(),
            Err(PresentationError::Statement(StatementError::Witness))
        );
        let refused = Err(PresentationError::Statement(StatementError::Proof));
        assert_eq!(stage.verify(&stage.forge()), refused, "{attribute}");
    }
}

#[test]
fn attack_a_pseudonym_key_on_another_leaf() {
    let point = Point::new(PEDERSEN.B).unwrap();
    let stage = Stage::edited(|leaf| {
        if leaf.attribute.0 == "household.size" {
            leaf.c_person = Some(point);
        }
    });
    assert_eq!(stage.prove(), Err(PresentationError::Person));
    assert_eq!(stage.verify(&stage.forge()), Err(PresentationError::Person));
    let none = super::stage().changed(|p| {
        p.attestations[place(PERSON)].attestation.leaf.c_person = None;
    });
    assert_eq!(stage.verify(&none), Err(PresentationError::Person));
    let mut without = super::stage().compiled.clone();
    without.facts[place(PERSON)].attribute = "identity.other".into();
    assert_eq!(
        shape(&without, Verdict::Yes, &[]),
        Err(PresentationError::Person)
    );
}
