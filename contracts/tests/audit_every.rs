//! The audit of a decision of every contract of this release, for each verdict it can have.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/issue.rs"]
mod issue;
#[path = "../src/presentation/tests/contracts/people.rs"]
mod people;

use std::sync::LazyLock;

use common::Keys;
use contracts::audit::{AuditError, Check, audit};
use contracts::ids::{Jurisdiction, Verdict};
use contracts::leaf::PERSON;
use contracts::presentation::Presentation;
use contracts::rules::{Compiled, Contract, Outcome, registry};
use contracts::statement::{Atom, Bounds, Node, Relation};
use contracts::trust::Trust;
use contracts::units::Day;
use issue::{bundle, present_of};
use rand::SeedableRng;
use rand::rngs::StdRng;

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new(1));
static TRUST: LazyLock<Trust> = LazyLock::new(|| KEYS.trust());

/// The contract on a day of its own, in one of the states that have it; which one differs from contract to contract.
fn asked(index: usize, contract: &Contract) -> Compiled {
    let day: Day = "2026-11-20".parse().unwrap();
    let day = contract
        .until
        .map_or(day, |until| day.min(until))
        .max(contract.from);
    let states: Vec<Jurisdiction> = Jurisdiction::all().collect();
    (0..states.len())
        .find_map(|turn| {
            let state = &states[(7 * index + turn) % states.len()];
            registry().compile(&contract.id, state, day).ok()
        })
        .unwrap_or_else(|| panic!("{} is offered nowhere", contract.file))
}

/// Somebody for whom the contract has this verdict.
fn person(compiled: &Compiled, verdict: Verdict) -> Option<Vec<Option<i64>>> {
    let mut rng = StdRng::seed_from_u64(7);
    let named: Vec<Vec<String>> = match verdict {
        Verdict::Yes => vec![Vec::new()],
        Verdict::No if compiled.all_reasons().is_empty() => vec![Vec::new()],
        Verdict::No => compiled.all_reasons().into_iter().map(|it| vec![it]).collect(),
    };
    for reasons in named {
        let statement = compiled.statement(verdict, &reasons).unwrap();
        for path in people::paths(&statement) {
            let somebody = people::somebody(compiled, &mut rng);
            let Some(mut values) = people::moved(&path, &compiled.bounds, &somebody) else {
                continue;
            };
            values[compiled.fact_index(PERSON).unwrap()] = Some(1);
            let decided = match compiled.evaluate(&values).verdict {
                Outcome::Yes => Some(Verdict::Yes),
                Outcome::No { .. } => Some(Verdict::No),
                Outcome::NeedsInfo { .. } => None,
            };
            if decided == Some(verdict) {
                return Some(values);
            }
        }
    }
    None
}

fn every_contract(verdict: Verdict) {
    let mut audited = 0;
    for (index, (contract, _)) in registry().iter().enumerate() {
        let compiled = asked(index, contract);
        let what = format!("{} in {}", contract.file, compiled.jurisdiction);
        let values = person(&compiled, verdict).unwrap_or_else(|| panic!("{what}: no {verdict}"));
        let (shown, _) = present_of(&KEYS, &compiled, &values, None);
        let bytes = bundle(&KEYS, shown.clone(), |_| ()).to_bytes();
        let report = audit(&bytes, &TRUST, registry()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(report.verdict, verdict, "{what}");
        assert_eq!(report.contract, compiled.contract, "{what}");
        assert_eq!(report.reasons, shown.reasons, "{what}");
        let checks: Vec<Check> = report.checks.iter().map(|passed| passed.check).collect();
        assert_eq!(checks, Check::ALL, "{what}");
        assert!(report.checks.iter().all(|passed| !passed.finding.is_empty()));
        assert_eq!(claimed_otherwise(&compiled, shown), Check::Presentation, "{what}");
        audited += 1;
    }
    assert!(audited >= 32, "{audited}");
}

/// The check that refuses the other verdict over the same evidence, though committee and ledger went along.
fn claimed_otherwise(compiled: &Compiled, mut shown: Presentation) -> Check {
    (shown.verdict, shown.reasons) = match shown.verdict {
        Verdict::Yes => {
            let last = compiled.all_reasons().pop();
            (Verdict::No, last.into_iter().collect())
        }
        Verdict::No => (Verdict::Yes, Vec::new()),
    };
    let bytes = bundle(&KEYS, shown, |_| ()).to_bytes();
    let refused = audit(&bytes, &TRUST, registry());
    refused.as_ref().map_err(AuditError::check).unwrap_err()
}

#[test]
fn a_yes_of_every_contract_audits_with_every_check_reported() {
    every_contract(Verdict::Yes);
}

#[test]
fn a_no_of_every_contract_audits_with_every_check_reported() {
    every_contract(Verdict::No);
}
