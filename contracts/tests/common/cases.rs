//! Cases in plain files, `fixtures/cases/*.toml`.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;

use contracts::catalogue::{Unit, catalogue};
use contracts::ids::{AttributeId, Jurisdiction};
use contracts::rules::{Compiled, RuleError, registry};
use contracts::units::Day;
use serde::Deserialize;
use toml::Value;

pub type Facts = BTreeMap<String, Value>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub contract: String,
    pub state: Jurisdiction,
    pub as_of: Day,
    pub base: Facts,
    pub case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub state: Option<Jurisdiction>,
    pub as_of: Option<Day>,
    #[serde(default)]
    pub facts: Facts,
    pub expect: String,
}

pub fn files() -> Vec<(String, File)> {
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

pub fn values(compiled: &Compiled, base: &Facts, case: &Facts) -> Vec<Option<i64>> {
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

pub fn compile(file: &File, case: &Case) -> Result<Compiled, RuleError> {
    let state = case.state.unwrap_or(file.state);
    registry().compile(&file.contract, &state, case.as_of.unwrap_or(file.as_of))
}
