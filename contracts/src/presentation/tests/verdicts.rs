//! What can be shown, and that it is what plain evaluation says.

use proptest::prelude::*;

use super::*;
use crate::group::PEDERSEN;
use crate::leaf::PERSON;
use crate::statement::{Commitments, LeafSecret, Public, Secrets};

#[test]
fn a_yes_verifies_and_its_proof_is_small() {
    assert_eq!(stage().verify(honest()), Ok(()));
    let json = serde_json::to_vec(honest()).unwrap();
    assert_eq!(Presentation::parse(&json).as_ref(), Ok(honest()));
    let bytes = 32 * honest().slacks.len() + honest().proof.0.len();
    assert!(
        bytes <= 1_536,
        "{} slots, {bytes} bytes",
        honest().slacks.len()
    );
    assert_eq!(honest().jti(), to_base64url(honest().digest()));
    let node = NodeId::new(2).unwrap();
    assert_eq!(honest().nonce_of(node), Some(&honest().nonces[1].1));
    assert_eq!(honest().nonce_of(NodeId::new(9).unwrap()), None);
}

#[test]
fn facts_that_the_branch_does_not_need_may_be_withheld_and_nothing_shows_it() {
    // No caretaker: whether income is above the parents' limit does not matter, nor does birth after 26 for no foster youth.
    let compiled = compile("CA", "2026-11-20");
    let values = values(&compiled, |attribute| match attribute {
        "household.former_foster_care" => Some(None),
        _ => None,
    });
    let stage = Stage::new(&values, |_| ());
    let presentation = stage.prove().unwrap();
    assert_eq!(stage.verify(&presentation), Ok(()));
    let lengths = |presentation: &Presentation| {
        (
            presentation.slacks.len(),
            presentation.proof.0.len(),
            presentation.attestations.len(),
        )
    };
    assert_eq!(lengths(&presentation), lengths(honest()));
}

fn over_the_limit() -> Stage {
    let compiled = compile("CA", "2026-11-20");
    let values = values(&compiled, |attribute| match attribute {
        "income.magi_monthly" => Some(Some(461237)),
        "identity.medicare" => Some(Some(1)),
        _ => None,
    });
    Stage::new(&values, |_| ())
}

#[test]
fn a_no_proves_the_negation_of_exactly_the_named_clauses() {
    let mut stage = over_the_limit();
    assert_eq!(stage.reasons, ["MEDICARE", "INCOME"]);
    let presentation = stage.prove().unwrap();
    assert_eq!(stage.verify(&presentation), Ok(()));

    for reasons in [
        vec!["INCOME"],
        vec!["MEDICARE"],
        vec!["INCOME", "MEDICARE"],
        vec![],
        vec!["AGE"],
    ] {
        let mut other = presentation.clone();
        other.reasons = reasons.iter().map(|reason| (*reason).to_owned()).collect();
        stage.resign(&mut other);
        assert!(stage.verify(&other).is_err(), "{reasons:?}");
    }
    let mut yes = presentation;
    (yes.verdict, yes.reasons) = (Verdict::Yes, Vec::new());
    stage.resign(&mut yes);
    assert!(stage.verify(&yes).is_err());

    // A reason that does not apply cannot be proved, nor can a YES, nor a NO without reasons.
    let unsatisfied = Err(PresentationError::Statement(StatementError::Unsatisfied));
    stage.reasons = vec!["AGE".to_owned()];
    assert_eq!(stage.prove(), unsatisfied);
    (stage.verdict, stage.reasons) = (Verdict::Yes, Vec::new());
    assert_eq!(stage.prove(), unsatisfied);
    stage.verdict = Verdict::No;
    assert!(matches!(stage.prove(), Err(PresentationError::Rules(_))));
}

#[test]
fn attack_an_unconfirmed_person() {
    // identity.person not known: neither verdict can be shown, whatever else is.
    for income in [150000, 900000] {
        let compiled = compile("CA", "2026-11-20");
        let values = values(&compiled, |attribute| match attribute {
            PERSON => Some(None),
            "income.magi_monthly" => Some(Some(income)),
            _ => None,
        });
        assert!(matches!(
            compiled.evaluate(&values).verdict,
            Outcome::NeedsInfo { .. }
        ));
        let mut stage = stage_with(&values);
        for (verdict, reasons) in [
            (Verdict::Yes, vec![]),
            (Verdict::No, vec!["INCOME".to_owned()]),
        ] {
            (stage.verdict, stage.reasons) = (verdict, reasons);
            let refused = Err(PresentationError::Statement(StatementError::Unsatisfied));
            assert_eq!(stage.prove(), refused);
        }
    }
}

/// A stage for values that allow no verdict.
fn stage_with(values: &[Option<i64>]) -> Stage {
    let mut stage = Stage::yes();
    let purpose = Purpose {
        contract: stage.compiled.contract.hash,
        audience: AUDIENCE,
        observed: stage.compiled.as_of,
    };
    stage.witness = stage.world.issue(
        &stage.owner,
        &stage.compiled,
        values,
        &purpose,
        |_| (),
        &mut rng(5),
    );
    stage
}

/// Leaves for a shape, without committees.
pub(super) fn leaves(values: &[Option<i64>], rng: &mut StdRng) -> (Public, Secrets) {
    let (s, k, person_blinding) = (
        Scalar::random(rng),
        Scalar::random(rng),
        Scalar::random(rng),
    );
    let commit = |v: Scalar, r: Scalar| Point::new(PEDERSEN.commit(v, r)).unwrap();
    let base = pseudonym_base(AUDIENCE);
    let secret = |value: &Option<i64>| LeafSecret {
        value: value.unwrap_or(0),
        known: value.is_some(),
        value_blinding: Scalar::random(&mut *rng),
        known_blinding: Scalar::random(&mut *rng),
        subject_blinding: Scalar::random(&mut *rng),
    };
    let leaves: Vec<LeafSecret> = values.iter().map(secret).collect();
    let public = Public {
        leaves: leaves
            .iter()
            .map(|leaf| Commitments {
                value: commit(crate::issuance::scalar(leaf.value), leaf.value_blinding),
                known: commit(Scalar::from(u64::from(leaf.known)), leaf.known_blinding),
                subject: commit(s, leaf.subject_blinding),
            })
            .collect(),
        person: commit(k, person_blinding),
        pseudonym: Point::new(k * base).unwrap(),
        base,
    };
    (
        public,
        Secrets {
            leaves,
            k,
            person_blinding,
        },
    )
}

fn provable(
    compiled: &Compiled,
    verdict: Verdict,
    reasons: &[String],
    values: &[Option<i64>],
) -> bool {
    let mut rng = rng(21);
    let shape = shape(compiled, verdict, reasons).unwrap();
    let (public, secrets) = leaves(values, &mut rng);
    let start = || merlin::Transcript::new(b"test");
    match crate::statement::prove(&mut start(), &shape, &public, &secrets, &mut rng) {
        Ok((slacks, proof)) => {
            crate::statement::verify(&mut start(), &shape, &public, &slacks, &proof).unwrap();
            true
        }
        Err(StatementError::Unsatisfied) => false,
        Err(error) => panic!("{error}"),
    }
}

fn maybe(values: impl Strategy<Value = i64>) -> impl Strategy<Value = Option<i64>> {
    prop_oneof![19 => values.prop_map(Some), 1 => Just(None)]
}

fn people() -> impl Strategy<Value = Vec<(&'static str, Option<i64>)>> {
    let flag =
        |often: u32, rarely: u32| maybe(prop_oneof![often => Just(0i64), rarely => Just(1i64)]);
    let birth = day("1940-01-01").number()..day("2012-01-01").number();
    let near = (0i64..=40, -3i64..=3).prop_map(|(years, days)| {
        day("2026-11-20")
            .years_before(19 + years as u16)
            .unwrap()
            .number()
            + days
    });
    (
        maybe(prop_oneof![birth, near]),
        (flag(9, 1), flag(9, 1), flag(5, 5), flag(8, 2), flag(9, 1)),
        maybe(prop_oneof![9 => Just(1i64), 1 => Just(0i64)]),
        maybe(prop_oneof![9 => Just(6i64), 1 => 1i64..=56]),
        maybe(1i64..=20),
        maybe(prop_oneof![0i64..=300000, 0i64..=100_000_000]),
        prop_oneof![19 => Just(Some(1)), 1 => Just(None)],
    )
        .prop_map(
            |(
                birth,
                (medicare, ssi, caretaker, foster, pregnant),
                status,
                state,
                size,
                income,
                person,
            )| {
                vec![
                    ("identity.person", person),
                    ("identity.birth_date", birth),
                    ("identity.medicare", medicare),
                    ("identity.ssi", ssi),
                    ("identity.medicaid_immigration_status", status),
                    ("household.caretaker_relative", caretaker),
                    ("household.former_foster_care", foster),
                    ("household.size", size),
                    ("medical.pregnant", pregnant),
                    ("residence.state", state),
                    ("income.magi_monthly", income),
                ]
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn plain_evaluation_and_proof_agree_on_random_people(person in people()) {
        static COMPILED: LazyLock<Compiled> = LazyLock::new(|| compile("CA", "2026-11-20"));
        let compiled = &*COMPILED;
        let values = values(compiled, |attribute| {
            person.iter().find(|(name, _)| *name == attribute).map(|(_, value)| *value)
        });
        let outcome = compiled.evaluate(&values).verdict;
        prop_assert_eq!(provable(compiled, Verdict::Yes, &[], &values), outcome == Outcome::Yes);
        let failed = match &outcome {
            Outcome::No { reasons } => reasons.as_slice(),
            _ => &[],
        };
        for clause in &compiled.clauses {
            let reason = std::slice::from_ref(&clause.reason);
            let named = failed.contains(&clause.reason);
            prop_assert_eq!(provable(compiled, Verdict::No, reason, &values), named, "{}", clause.id);
        }
        if !failed.is_empty() {
            prop_assert!(provable(compiled, Verdict::No, failed, &values));
        }
    }
}
