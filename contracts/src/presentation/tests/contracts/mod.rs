//! Every contract of this release, in every state: what is decided is what is proved, within its cap and at one length.
//!
//! `PROOF_CASES` sets how many random people are proved (thousands take minutes, in release).

mod people;

use std::collections::BTreeSet;

use people::{moved, paths, somebody};
use rand::Rng;

use super::verdicts::leaves;
use super::*;
use crate::ids::Jurisdiction;
use crate::rules::{Cost, Kind, RuleError, proof_cap};
use crate::statement::{self, Shape};

const DAYS: [&str; 2] = ["2026-11-20", "2027-02-01"];

fn cases(default: usize) -> usize {
    let cases = std::env::var("PROOF_CASES").ok();
    cases.map_or(default, |cases| cases.parse().unwrap())
}

fn ids() -> BTreeSet<String> {
    registry()
        .iter()
        .map(|(contract, _)| contract.id.clone())
        .collect()
}

/// A contract where and when it can be asked.
fn compiled(id: &str, state: Jurisdiction, day: &str) -> Option<Compiled> {
    match registry().compile(id, &state, super::day(day)) {
        Ok(compiled) => Some(compiled),
        Err(RuleError::NotOffered { .. } | RuleError::NotInForce { .. }) => None,
        Err(error) => panic!("{id} {state} {day}: {error}"),
    }
}

fn statements(compiled: &Compiled) -> [(Verdict, Vec<String>); 2] {
    [
        (Verdict::Yes, Vec::new()),
        (Verdict::No, compiled.all_reasons()),
    ]
}

/// Proves and verifies, without attestations; gives the proof's length.
fn proved(
    shape: &Shape,
    values: &[Option<i64>],
    rng: &mut StdRng,
) -> Result<usize, StatementError> {
    let (public, secrets) = leaves(values, rng);
    let start = || merlin::Transcript::new(b"test");
    let (slacks, proof) = statement::prove(&mut start(), shape, &public, &secrets, rng)?;
    statement::verify(&mut start(), shape, &public, &slacks, &proof).unwrap();
    Ok(32 * slacks.len() + proof.len())
}

#[test]
fn every_proof_of_every_contract_in_every_state_is_within_its_cap() {
    let mut seen = 0;
    for id in ids() {
        for (state, day) in Jurisdiction::all().flat_map(|state| DAYS.map(|day| (state, day))) {
            let text = |day: &str| {
                registry()
                    .get(&id, super::day(day))
                    .ok()
                    .map(|(_, text)| text)
            };
            if day != DAYS[0] && text(day) == text(DAYS[0]) {
                continue;
            }
            let Some(compiled) = compiled(&id, state, day) else {
                continue;
            };
            for (verdict, reasons) in statements(&compiled) {
                let cost = Cost::of(&compiled, verdict, &reasons).unwrap();
                let shape = shape(&compiled, verdict, &reasons).unwrap();
                assert_eq!(cost.bytes, 32 * shape.slots() + shape.proof_len());
                let cap = match (id.as_str(), verdict, state.code()) {
                    // Twenty-four dollar standards, by household size and locality, that a caretaker must be over.
                    (ADULT, Verdict::Yes, "VA") => 1_664,
                    (ADULT, Verdict::Yes, _) => 1_536,
                    _ => proof_cap(compiled.kind, verdict),
                };
                assert!(cost.bytes <= cap, "{id} {state} {day} {verdict}: {cost}");
                seen += 1;
            }
        }
    }
    assert!(seen > 2_500, "{seen}");
}

#[test]
fn a_no_with_fewer_reasons_is_no_longer() {
    for id in ids() {
        let Some(compiled) = compiled(&id, "VA".parse().unwrap(), DAYS[0]) else {
            continue;
        };
        let all = compiled.all_reasons();
        let longest = Cost::of(&compiled, Verdict::No, &all).unwrap().bytes;
        for skip in 0..all.len().max(2) - 1 {
            let fewer: Vec<String> = all
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != skip)
                .map(|(_, r)| r.clone())
                .collect();
            if !fewer.is_empty() {
                assert!(
                    Cost::of(&compiled, Verdict::No, &fewer).unwrap().bytes <= longest,
                    "{id}"
                );
            }
        }
    }
}

#[test]
fn a_contract_over_its_cap_is_not_proved() {
    let mut compiled = compiled("us.medicaid", "VA".parse().unwrap(), DAYS[0]).unwrap();
    assert!(shape(&compiled, Verdict::Yes, &[]).is_ok());
    compiled.kind = Kind::Group;
    let refused = shape(&compiled, Verdict::Yes, &[]).unwrap_err().to_string();
    assert!(refused.contains("more than the 2560 allowed"), "{refused}");
}

/// Plain verdict = proved verdict: what evaluation says is proved and verifies, and nothing else can be.
fn decides_as_it_proves(compiled: &Compiled, person: &[Option<i64>], rng: &mut StdRng) {
    let outcome = compiled.evaluate(person).verdict;
    let what = || {
        format!(
            "{} {} {person:?} {outcome:?}",
            compiled.contract.id, compiled.jurisdiction
        )
    };
    let try_to = |verdict, reasons: &[String], rng: &mut StdRng| {
        proved(&shape(compiled, verdict, reasons).unwrap(), person, rng).map(|_| ())
    };
    let refused = Err(StatementError::Unsatisfied);
    let expected = if outcome == Outcome::Yes {
        Ok(())
    } else {
        refused.clone()
    };
    assert_eq!(try_to(Verdict::Yes, &[], rng), expected, "{}", what());
    match (&outcome, compiled.kind) {
        (Outcome::No { reasons }, _) => {
            assert_eq!(try_to(Verdict::No, reasons, rng), Ok(()), "{}", what());
            for reason in compiled
                .all_reasons()
                .iter()
                .filter(|reason| !reasons.contains(reason))
            {
                let named = std::slice::from_ref(reason);
                assert_eq!(try_to(Verdict::No, named, rng), refused, "{}", what());
            }
        }
        (_, Kind::Umbrella) => assert_eq!(try_to(Verdict::No, &[], rng), refused, "{}", what()),
        _ => {
            for reason in compiled.all_reasons() {
                assert_eq!(try_to(Verdict::No, &[reason], rng), refused, "{}", what());
            }
        }
    }
}

/// A random contract, state and day, and a person: at random, or on some path to a verdict.
fn draw(rng: &mut StdRng) -> (Compiled, Vec<Option<i64>>) {
    let ids: Vec<String> = ids().into_iter().collect();
    loop {
        let id = &ids[rng.gen_range(0..ids.len())];
        let state = Jurisdiction::all().nth(rng.gen_range(0..51)).unwrap();
        let Some(compiled) = compiled(id, state, DAYS[rng.gen_range(0..2)]) else {
            continue;
        };
        let mut person = somebody(&compiled, rng);
        if rng.gen_bool(0.6) {
            let verdict = if rng.gen_bool(0.6) {
                Verdict::Yes
            } else {
                Verdict::No
            };
            let reasons = match verdict {
                Verdict::Yes => Vec::new(),
                Verdict::No => compiled.all_reasons(),
            };
            let statement = compiled.statement(verdict, &reasons).unwrap();
            let paths = paths(&statement);
            let path = &paths[rng.gen_range(0..paths.len())];
            person = moved(path, &compiled.bounds, &person).unwrap_or(person);
        }
        return (compiled, person);
    }
}

#[test]
fn what_is_decided_is_what_is_proved_of_random_people_over_all_contracts_and_states() {
    let mut verdicts = [0; 3];
    let cases = cases(120);
    for case in 0..cases {
        let mut rng = rng(1_000 + case as u64);
        let (compiled, person) = draw(&mut rng);
        decides_as_it_proves(&compiled, &person, &mut rng);
        verdicts[match compiled.evaluate(&person).verdict {
            Outcome::Yes => 0,
            Outcome::No { .. } => 1,
            Outcome::NeedsInfo { .. } => 2,
        }] += 1;
    }
    assert!(verdicts.iter().all(|n| n * 20 >= cases), "{verdicts:?}");
}

#[test]
fn short_statements_mean_what_the_clauses_say() {
    // Plain evaluation alone, so that many people can be asked.
    let mut tried = [0; 2];
    for case in 0..4 * cases(120) {
        let mut rng = rng(500_000 + case as u64);
        let (compiled, person) = draw(&mut rng);
        let every = compiled
            .clauses
            .iter()
            .all(|clause| clause.node.holds(&person));
        assert_eq!(
            compiled.yes().holds(&person),
            every,
            "{}",
            compiled.contract.id
        );
        tried[usize::from(every)] += 1;
        let fails = |clause: &&crate::rules::Clause| clause.fail.holds(&person);
        let failed: Vec<String> = compiled
            .clauses
            .iter()
            .filter(fails)
            .map(|clause| clause.reason.clone())
            .collect();
        if compiled.kind == Kind::Umbrella {
            assert_eq!(compiled.no(&[]).unwrap().holds(&person), !failed.is_empty());
        } else {
            for reason in compiled.all_reasons() {
                let named = compiled.no(std::slice::from_ref(&reason)).unwrap();
                assert_eq!(
                    named.holds(&person),
                    failed.contains(&reason),
                    "{} {reason}",
                    compiled.contract.id
                );
            }
        }
    }
    assert!(tried.iter().all(|n| *n > 50), "{tried:?}");
}

#[test]
fn proofs_of_one_contract_and_verdict_have_one_length_on_every_path() {
    let mut rng = rng(77);
    let states = ["CA", "VA", "TX", "CT"].map(|state| state.parse::<Jurisdiction>().unwrap());
    let most = cases(120).div_ceil(24);
    let (mut walked, mut closed) = (0, 0);
    for (index, id) in ids().iter().enumerate() {
        let state = (0..).map(|turn| states[(index + turn) % states.len()]);
        let Some(compiled) = state.take(4).find_map(|state| compiled(id, state, DAYS[0])) else {
            continue;
        };
        for (verdict, reasons) in statements(&compiled) {
            let reasons: Vec<String> = reasons.into_iter().next_back().into_iter().collect();
            let statement = compiled.statement(verdict, &reasons).unwrap();
            let shape = shape(&compiled, verdict, &reasons).unwrap();
            let person = somebody(&compiled, &mut rng);
            let all = paths(&statement);
            let mut lengths = BTreeSet::new();
            for path in all.iter().step_by(all.len().div_ceil(most)) {
                let Some(mut person) = moved(path, &compiled.bounds, &person) else {
                    closed += 1;
                    continue;
                };
                person[compiled.fact_index(crate::leaf::PERSON).unwrap()] = Some(1);
                walked += 1;
                lengths.insert(proved(&shape, &person, &mut rng).unwrap());
            }
            assert!(lengths.len() <= 1, "{id} {verdict}: {lengths:?}");
        }
    }
    assert!(
        walked >= 80 && closed <= walked / 4,
        "{walked} walked, {closed} closed"
    );
}

/// A presentation of somebody, and of what is seen of its leaves.
fn presented(compiled: &Compiled, person: &[Option<i64>], seed: u64) -> Presentation {
    let stage = Stage::of(compiled.clone(), person, seed);
    let presentation = stage.prove().unwrap();
    assert_eq!(stage.verify(&presentation), Ok(()));
    presentation
}

#[test]
fn the_leaves_of_a_verdict_have_one_shape_whatever_is_known() {
    let seen = |presentation: &Presentation| {
        let leaves = presentation
            .attestations
            .iter()
            .map(|presented| &presented.attestation.leaf);
        let leaves = leaves.map(|leaf| (leaf.attribute.clone(), leaf.period, leaf.to_cbor().len()));
        (
            leaves.collect::<Vec<_>>(),
            presentation.slacks.len(),
            presentation.proof.0.len(),
        )
    };
    let mut rng = rng(78);
    let mut pairs = 0;
    for id in ids().iter().step_by(120usize.div_ceil(cases(120)) * 3) {
        let Some(compiled) = compiled(id, "CA".parse().unwrap(), DAYS[0]) else {
            continue;
        };
        let statement = compiled.yes();
        let person = somebody(&compiled, &mut rng);
        let paths = paths(&statement);
        let mut open = paths.iter().filter_map(|path| {
            // Everything that the path does not need is withheld.
            let needed: BTreeSet<usize> = path
                .iter()
                .flat_map(|atom| &atom.terms)
                .map(|(fact, _)| *fact)
                .collect();
            let mut person = moved(path, &compiled.bounds, &person)?;
            for (fact, value) in person.iter_mut().enumerate() {
                value.take_if(|_| !needed.contains(&fact));
            }
            person[compiled.fact_index(crate::leaf::PERSON).unwrap()] = Some(1);
            Some(person)
        });
        let Some(first) = open.next() else { continue };
        let second = open.next_back().unwrap_or_else(|| first.clone());
        let [first, second] = [(first, 1), (second, 2)]
            .map(|(person, seed)| seen(&presented(&compiled, &person, seed)));
        assert_eq!(first, second, "{id}");
        pairs += 1;
    }
    assert!(pairs >= 5, "{pairs}");
}

#[test]
fn random_people_present_what_is_decided() {
    let mut shown = 0;
    for case in 0..cases(120).div_ceil(12) {
        let mut rng = rng(9_000 + case as u64);
        let (compiled, person) = draw(&mut rng);
        if matches!(
            compiled.evaluate(&person).verdict,
            Outcome::NeedsInfo { .. }
        ) {
            continue;
        }
        presented(&compiled, &person, case as u64);
        shown += 1;
    }
    assert!(shown > 0);
}
