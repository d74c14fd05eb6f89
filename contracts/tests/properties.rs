//! What holds of every contract and every person, known or not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{LazyLock, OnceLock};

use contracts::ids::{Jurisdiction, Verdict};
use contracts::rules::{Compiled, Outcome, RuleError, registry};
use contracts::units::Day;
use proptest::prelude::*;

/// Every contract that compiles in a state on one of two days; compiled once.
fn contracts_of(state: usize, late: bool) -> &'static [Compiled] {
    static COMPILED: LazyLock<Vec<OnceLock<Vec<Compiled>>>> =
        LazyLock::new(|| std::iter::repeat_with(OnceLock::new).take(102).collect());
    COMPILED[state * 2 + usize::from(late)].get_or_init(|| {
        let day: Day = if late { "2026-11-20" } else { "2026-02-01" }
            .parse()
            .unwrap();
        let state = Jurisdiction::all().nth(state).unwrap();
        let contracts = registry()
            .iter()
            .filter(|(contract, _)| contract.in_force(day));
        contracts
            .filter_map(|(contract, _)| registry().compile(&contract.id, &state, day).ok())
            .collect()
    })
}

/// A value of a fact: often at a bound, or near where people live.
fn pick(compiled: &Compiled, fact: usize, random: u64) -> i64 {
    let bounds = compiled.bounds[fact];
    let span = i128::from(bounds.max) - i128::from(bounds.min) + 1;
    let within = |number: i128| i64::try_from(number.rem_euclid(span)).unwrap() + bounds.min;
    let (choice, rest) = (random % 8, i128::from(random / 8));
    match compiled.facts[fact].attribute.0.as_str() {
        "residence.state" if choice < 7 => i64::from(compiled.jurisdiction.fips()),
        "identity.birth_date" => compiled.as_of.number() - i64::try_from(rest % 30_000).unwrap(),
        "household.size" if choice < 6 => within(rest % 6),
        _ if bounds.max > 1_000_000 && choice < 7 => within(rest % 400_000),
        _ if choice == 7 => bounds.max,
        _ => within(rest),
    }
}

fn people() -> impl Strategy<Value = (usize, bool, Vec<(u64, bool)>)> {
    let facts = prop::collection::vec((any::<u64>(), prop::bool::weighted(0.85)), 64);
    (0usize..51, any::<bool>(), facts)
}

#[test]
fn every_contract_compiles_everywhere_it_is_offered_this_year_and_next() {
    for (contract, _) in registry().iter() {
        for day in ["2026-11-20", "2027-02-01"] {
            let day: Day = day.parse().unwrap();
            for state in Jurisdiction::all().filter(|_| contract.in_force(day)) {
                match registry().compile(&contract.id, &state, day) {
                    Ok(_) | Err(RuleError::NotOffered { .. }) => {}
                    Err(error) => panic!("{} {state} {day}: {error}", contract.id),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_clause_holds_exactly_when_its_negation_fails((state, late, facts) in people()) {
        for compiled in contracts_of(state, late) {
            let values: Vec<Option<i64>> = (0..compiled.facts.len())
                .map(|fact| Some(pick(compiled, fact, facts[fact % 64].0)))
                .collect();
            let mut reasons = Vec::new();
            for clause in &compiled.clauses {
                prop_assert_ne!(clause.node.holds(&values), clause.fail.holds(&values), "{} {}", compiled.contract.id, clause.id);
                prop_assert_eq!(clause.node.negate(&compiled.bounds).unwrap().holds(&values), clause.fail.holds(&values));
                if clause.fail.holds(&values) {
                    reasons.push(clause.reason.clone());
                }
            }
            match compiled.evaluate(&values).verdict {
                Outcome::Yes => prop_assert!(reasons.is_empty() && compiled.yes().holds(&values)),
                Outcome::No { reasons: given } => {
                    prop_assert!(compiled.no(&given).unwrap().holds(&values));
                    prop_assert!(!compiled.yes().holds(&values));
                    if !given.is_empty() {
                        prop_assert_eq!(given, reasons);
                    }
                }
                Outcome::NeedsInfo { .. } => prop_assert!(false, "everything is known"),
            }
        }
    }

    #[test]
    fn a_missing_fact_decides_nothing_unless_it_cannot_matter(
        (state, late, facts) in people(), others in prop::collection::vec(any::<u64>(), 64),
    ) {
        for compiled in contracts_of(state, late) {
            let count = compiled.facts.len();
            let partial: Vec<Option<i64>> = (0..count)
                .map(|fact| facts[fact % 64].1.then(|| pick(compiled, fact, facts[fact % 64].0)))
                .collect();
            let complete: Vec<Option<i64>> = (0..count)
                .map(|fact| partial[fact].or_else(|| Some(pick(compiled, fact, others[fact % 64]))))
                .collect();
            match (compiled.evaluate(&partial).verdict, compiled.evaluate(&complete).verdict) {
                (Outcome::Yes, other) => prop_assert_eq!(other, Outcome::Yes),
                (Outcome::No { reasons }, Outcome::No { reasons: more }) => {
                    prop_assert!(reasons.iter().all(|reason| more.contains(reason)));
                    prop_assert!(compiled.statement(Verdict::No, &reasons).unwrap().holds(&partial));
                }
                (Outcome::No { .. }, _) => prop_assert!(false, "a NO was undone by learning more"),
                (Outcome::NeedsInfo { missing }, _) => {
                    prop_assert!(!missing.is_empty());
                    for fact in missing {
                        let index = compiled.facts.iter().position(|other| *other == fact).unwrap();
                        prop_assert_eq!(partial[index], None);
                    }
                }
            }
        }
    }

    #[test]
    fn raising_income_alone_never_turns_no_income_into_yes(
        (state, late, facts) in people(), raise in 0i64..1_000_000,
    ) {
        for compiled in contracts_of(state, late) {
            let Some(income) = compiled.fact_index("income.magi_monthly") else { continue };
            let mut values: Vec<Option<i64>> = (0..compiled.facts.len())
                .map(|fact| facts[fact % 64].1.then(|| pick(compiled, fact, facts[fact % 64].0)))
                .collect();
            let Some(before) = values[income] else { continue };
            let tested = |outcome: &Outcome| matches!(outcome, Outcome::No { reasons } if reasons.iter().any(|reason| reason == "INCOME"));
            if tested(&compiled.evaluate(&values).verdict) {
                values[income] = Some((before + raise).min(compiled.bounds[income].max));
                prop_assert!(tested(&compiled.evaluate(&values).verdict));
            }
        }
    }
}
