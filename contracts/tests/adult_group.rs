//! The adult group on plain evaluation, and what its compiled form promises.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use contracts::ids::{Jurisdiction, Verdict};
use contracts::rules::{Outcome, RuleError, registry};
use contracts::units::Day;

const ADULT: &str = "us.medicaid.adult-group";

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn state(code: &str) -> Jurisdiction {
    code.parse().unwrap()
}

#[test]
fn every_state_compiles_or_does_not_offer_the_group() {
    let mut without = Vec::new();
    for jurisdiction in Jurisdiction::all() {
        match registry().compile(ADULT, &jurisdiction, day("2026-11-20")) {
            Ok(compiled) => {
                let reasons: Vec<String> = compiled
                    .clauses
                    .iter()
                    .map(|clause| clause.reason.clone())
                    .collect();
                assert!(
                    compiled.bits(Verdict::Yes, &[]).unwrap() <= 32,
                    "{jurisdiction}"
                );
                assert!(compiled.slots(Verdict::No, &reasons).unwrap() <= 16);
                if !["VA", "NE"].contains(&jurisdiction.code()) {
                    assert_eq!(compiled.facts.len(), 11, "{jurisdiction}");
                }
            }
            Err(RuleError::NotOffered { .. }) => without.push(jurisdiction.code()),
            Err(error) => panic!("{jurisdiction}: {error}"),
        }
    }
    assert_eq!(
        without,
        ["AL", "FL", "GA", "KS", "MS", "SC", "TN", "TX", "WY"]
    );
}

#[test]
fn the_income_relation_is_the_published_one() {
    let compiled = registry()
        .compile(ADULT, &state("CA"), day("2026-11-20"))
        .unwrap();
    let income = compiled.clauses.last().unwrap();
    let size = compiled.fact_index("household.size").unwrap();
    let money = compiled.fact_index("income.magi_monthly").unwrap();
    // 1380·(15960 + 5680·(size − 1)) − 120·income ≥ 0, divided by 120.
    let expected = format!(
        "Atom(Atom {{ relation: GeZero, terms: [({size}, 65320), ({money}, -1)], constant: 118220 }})"
    );
    assert_eq!(format!("{:?}", income.node), expected);
    assert_eq!(
        compiled.evaluate(&[]).verdict,
        Outcome::NeedsInfo {
            missing: compiled.facts.clone()
        }
    );
}
