//! Cases in plain files, `fixtures/cases/*.toml`, against every contract; and that every clause has one that turns on it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/cases.rs"]
mod cases;

use std::collections::BTreeSet;

use cases::{compile, files, values};
use contracts::rules::{Outcome, registry};

fn say(outcome: &Outcome) -> String {
    let join = |word: &str, items: BTreeSet<String>, ordered: Vec<String>| {
        let items = if ordered.is_empty() {
            items.into_iter().collect()
        } else {
            ordered
        };
        [vec![word.to_owned()], items].concat().join(" ")
    };
    match outcome {
        Outcome::Yes => "YES".to_owned(),
        Outcome::No { reasons } => join("NO", BTreeSet::new(), reasons.clone()),
        Outcome::NeedsInfo { missing } => {
            let ids = missing.iter().map(|fact| fact.attribute.0.clone());
            join("NEEDS-INFO", ids.collect(), Vec::new())
        }
    }
}

#[test]
fn every_case_comes_out_as_written() {
    let mut wrong = Vec::new();
    for (name, file) in files() {
        for case in &file.case {
            let found = match compile(&file, case) {
                Ok(compiled) => {
                    let values = values(&compiled, &file.base, &case.facts);
                    say(&compiled.evaluate(&values).verdict)
                }
                Err(error) => format!("ERROR {error}"),
            };
            let fits = match case.expect.strip_prefix("ERROR ") {
                Some(part) => found.starts_with("ERROR ") && found.contains(part),
                None => found == case.expect,
            };
            if !fits {
                wrong.push(format!(
                    "{name}: {}: wanted {}, got {found}",
                    case.name, case.expect
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_clause_of_every_contract_has_a_case_that_turns_on_it() {
    let files = files();
    for (contract, reference) in registry().iter() {
        // What `person` says, every statement says: no verdict is reached without it.
        let mut idle: BTreeSet<&str> = contract
            .clauses
            .iter()
            .filter(|clause| clause.id != "person")
            .map(|clause| clause.id.as_str())
            .collect();
        for (_, file) in files
            .iter()
            .filter(|(_, file)| file.contract == contract.id)
        {
            for case in &file.case {
                let Ok(compiled) = compile(file, case) else {
                    continue;
                };
                if compiled.contract != reference {
                    continue;
                }
                let values = values(&compiled, &file.base, &case.facts);
                let whole = compiled.evaluate(&values);
                idle.retain(|id| {
                    let mut without = compiled.clone();
                    without.clauses.retain(|clause| clause.id != *id);
                    without.evaluate(&values) == whole
                });
            }
        }
        assert!(
            idle.is_empty(),
            "{}: no case turns on {idle:?}",
            contract.id
        );
    }
}
