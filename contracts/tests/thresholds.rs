//! Questions outside Medicaid, from contract files alone: those of this release, and one that is in no release.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/issue.rs"]
mod issue;

use std::sync::LazyLock;

use common::{Keys, NOW};
use contracts::audit::{Check, audit};
use contracts::ids::Verdict;
use contracts::presentation::verify;
use contracts::rules::{Outcome, Registry, registry};
use issue::{bundle, present_of};

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new(1));

/// Decides, proves, verifies and audits a question about these values.
fn answer(registry: &Registry, id: &str, values: &[(&str, i64)]) -> (Verdict, Vec<String>) {
    let state = "NV".parse().unwrap();
    let compiled = registry.compile(id, &state, NOW.day().unwrap()).unwrap();
    let person = ("identity.person", 1);
    let values: Vec<Option<i64>> = compiled
        .facts
        .iter()
        .map(|fact| {
            let all = values.iter().chain([&person]);
            all.clone()
                .find(|(name, _)| *name == fact.attribute.0)
                .map(|(_, value)| *value)
        })
        .collect();
    let (shown, _) = present_of(&KEYS, &compiled, &values, None);
    verify(&shown, &compiled, &KEYS.trust(), NOW).unwrap();
    let bundle = bundle(&KEYS, shown.clone(), |_| ());
    let report = audit(&bundle.to_bytes(), &KEYS.trust(), registry).unwrap();
    assert_eq!(report.checks.len(), Check::ALL.len());
    (shown.verdict, shown.reasons)
}

#[test]
fn blood_pressure_above_140_and_asthma_on_record_are_proved_from_their_files() {
    let yes = (Verdict::Yes, vec![]);
    let no = |reason: &str| (Verdict::No, vec![reason.to_owned()]);
    let pressure = |mmhg| {
        answer(
            registry(),
            "health.systolic-above-140",
            &[("medical.systolic_mmhg", mmhg)],
        )
    };
    assert_eq!(pressure(141), yes);
    assert_eq!(pressure(140), no("NOT_ABOVE_140"));
    let asthma = |flag| {
        answer(
            registry(),
            "health.asthma-on-record",
            &[("medical.asthma", flag)],
        )
    };
    assert_eq!(asthma(1), yes);
    assert_eq!(asthma(0), no("NO_ASTHMA"));
}

const OUTSIDE: &str = r#"
id = "health.asthma-with-pressure"
version = 1
title = "Asthma, or blood pressure above 160 in somebody past 60"
program = "health"
kind = "umbrella"
in_force_from = "2026-01-01"

[[clause]]
id = "person"
reason = "IDENTITY"
citation = "42 CFR 435.910"
text = "One proofed person asks."
rule = "identity.person"

[[clause]]
id = "need"
reason = "NO_NEED"
citation = "a clinic's own protocol"
text = "Asthma, or high pressure at sixty or older."
rule = """
any(
    medical.asthma,
    all(medical.systolic_mmhg > 160, age(identity.birth_date, birthday) >= 60),
)"""

[triggers]
yes = []
no = []
"#;

#[test]
fn a_contract_file_of_no_release_takes_the_same_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("health.asthma-with-pressure.toml");
    std::fs::write(&file, OUTSIDE).unwrap();
    let lint = std::process::Command::new(env!("CARGO_BIN_EXE_rules"))
        .arg("lint")
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8(lint.stdout).unwrap();
    assert!(
        lint.status.success() && said.contains("51 states"),
        "{said}"
    );

    let texts: Vec<(String, String)> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.display().to_string(),
                std::fs::read_to_string(path).unwrap(),
            )
        })
        .collect();
    let texts = texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let outside = Registry::beside_release(&texts.collect::<Vec<_>>()).unwrap();
    let id = "health.asthma-with-pressure";
    assert!(registry().get(id, NOW.day().unwrap()).is_err());
    let born = |year: i32| {
        contracts::units::Day::from_ymd(year, 5, 1)
            .unwrap()
            .number()
    };
    let ask = |asthma, mmhg, year| {
        let values = [
            ("medical.asthma", asthma),
            ("medical.systolic_mmhg", mmhg),
            ("identity.birth_date", born(year)),
        ];
        answer(&outside, id, &values).0
    };
    assert_eq!(ask(1, 120, 1990), Verdict::Yes);
    assert_eq!(ask(0, 161, 1960), Verdict::Yes);
    assert_eq!(ask(0, 161, 1990), Verdict::No);
    assert_eq!(ask(0, 160, 1960), Verdict::No);
    // Neither way is known to lead there, nor to fail.
    let compiled = outside
        .compile(id, &"NV".parse().unwrap(), NOW.day().unwrap())
        .unwrap();
    let mut values = vec![None; compiled.facts.len()];
    values[compiled.fact_index("identity.person").unwrap()] = Some(1);
    let outcome = compiled.evaluate(&values).verdict;
    assert!(matches!(outcome, Outcome::NeedsInfo { .. }));
    // A token for it is refused by who has another registry.
    let (shown, _) = {
        values[compiled.fact_index("medical.asthma").unwrap()] = Some(1);
        present_of(&KEYS, &compiled, &values, None)
    };
    let bytes = bundle(&KEYS, shown, |_| ()).to_bytes();
    let refused = audit(&bytes, &KEYS.trust(), registry()).unwrap_err();
    assert_eq!(refused.check(), Check::Contract);
}
