//! Cases in plain files, `fixtures/cases/*.toml`, against every contract; and that every clause has one that turns on it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use contracts::catalogue::{Unit, catalogue};
use contracts::ids::{AttributeId, Jurisdiction};
use contracts::rules::{Compiled, Outcome, RuleError, registry};
use contracts::units::Day;
use serde::Deserialize;
use toml::Value;

type Facts = BTreeMap<String, Value>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    contract: String,
    state: Jurisdiction,
    as_of: Day,
    base: Facts,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    state: Option<Jurisdiction>,
    as_of: Option<Day>,
    #[serde(default)]
    facts: Facts,
    expect: String,
}

fn files() -> Vec<(String, File)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/cases");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let file = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        files.push((name, file));
    }
    files
}

/// A fact as people write it: a date, `$1,835.40`, a state, true, a number; none for "unknown".
fn integer(id: &str, value: &Value) -> Option<i64> {
    let unit = catalogue()
        .get(&AttributeId(id.to_owned()))
        .unwrap_or_else(|| panic!("{id} is not in the catalogue"))
        .unit;
    match (value, unit) {
        (Value::String(text), _) if text == "unknown" => None,
        (Value::Boolean(flag), Unit::Flag) => Some(i64::from(*flag)),
        (Value::Integer(number), Unit::Count | Unit::Code) => Some(*number),
        (Value::String(text), Unit::Days) => Some(text.parse::<Day>().unwrap().number()),
        (Value::String(text), Unit::Code) => {
            Some(i64::from(text.parse::<Jurisdiction>().unwrap().fips()))
        }
        (Value::String(text), Unit::Cents) => {
            let digits = text.strip_prefix('$').unwrap().replace(',', "");
            let (dollars, cents) = digits.split_once('.').unwrap_or((&digits, "00"));
            assert_eq!(cents.len(), 2, "{id}: {text}");
            Some(dollars.parse::<i64>().unwrap() * 100 + cents.parse::<i64>().unwrap())
        }
        _ => panic!("{id}: {value} does not fit {unit:?}"),
    }
}

fn values(compiled: &Compiled, base: &Facts, case: &Facts) -> Vec<Option<i64>> {
    let value = |id: &str| {
        case.get(id)
            .or(base.get(id))
            .and_then(|value| integer(id, value))
    };
    let earlier = |fact: &contracts::rules::Fact| {
        let latest = compiled
            .facts
            .iter()
            .filter(|other| other.attribute == fact.attribute);
        latest.max_by_key(|other| other.period).unwrap().period != fact.period
    };
    compiled
        .facts
        .iter()
        .map(|fact| match earlier(fact) {
            // Facts of an earlier period are written `before income.magi_monthly`.
            true => {
                let key = format!("before {}", fact.attribute);
                let written = case.get(&key).or(base.get(&key));
                written.and_then(|value| integer(&fact.attribute.0, value))
            }
            false => value(&fact.attribute.0),
        })
        .collect()
}

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

fn compile(file: &File, case: &Case) -> Result<Compiled, RuleError> {
    let state = case.state.unwrap_or(file.state);
    registry().compile(&file.contract, &state, case.as_of.unwrap_or(file.as_of))
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
