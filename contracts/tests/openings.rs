//! What an owner opens of a bundle, and what nobody can make it say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/issue.rs"]
mod issue;

use std::sync::LazyLock;

use common::{Keys, NOW};
use contracts::audit::{Check, audit, audit_opened};
use contracts::bundle::Bundle;
use contracts::ids::Verdict;
use contracts::openings::{LeafOpening, MAX_OPENINGS_BYTES, Openings, OpeningsError};
use contracts::presentation::{Presentation, Witness};
use contracts::rules::{Kind, registry};
use curve25519_dalek::scalar::Scalar;
use issue::{bundle, compiled, present_of, value};

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new(1));
static SHOWN: LazyLock<(Presentation, Witness)> = LazyLock::new(|| {
    let compiled = compiled();
    let values = compiled
        .facts
        .iter()
        .map(|fact| match fact.attribute.0.as_str() {
            "household.former_foster_care" => None,
            attribute => Some(value(attribute, 61_237)),
        });
    present_of(&KEYS, &compiled, &values.collect::<Vec<_>>(), None)
});
static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| bundle(&KEYS, SHOWN.0.clone(), |_| ()));

fn opening(attribute: &str) -> LeafOpening {
    let held = SHOWN.1.held.iter();
    let held = held.map(|held| (&held.attestation.leaf, &held.opening));
    let (leaf, opening) = held
        .clone()
        .find(|(leaf, _)| leaf.attribute.0 == attribute)
        .unwrap();
    LeafOpening::new(leaf, opening)
}

fn file(attributes: &[&str]) -> Openings {
    Openings::new(
        &SHOWN.0,
        attributes.iter().map(|name| opening(name)).collect(),
    )
}

fn check(openings: &Openings) -> Result<Vec<(String, String)>, OpeningsError> {
    let opened = Openings::parse(&openings.to_bytes())?.check(&SHOWN.0)?;
    Ok(opened
        .into_iter()
        .map(|opened| (opened.attribute.0, opened.text))
        .collect())
}

#[test]
fn values_that_the_owner_opens_are_shown_and_no_others() {
    let openings = file(&[
        "income.magi_monthly",
        "residence.state",
        "household.former_foster_care",
    ]);
    let report = audit_opened(
        &BUNDLE.to_bytes(),
        &openings.to_bytes(),
        &KEYS.trust(),
        registry(),
    )
    .unwrap();
    let opened: Vec<(&str, Option<i64>, &str)> = report
        .opened
        .iter()
        .map(|opened| {
            (
                opened.attribute.0.as_str(),
                opened.value,
                opened.text.as_str(),
            )
        })
        .collect();
    assert_eq!(
        opened,
        [
            ("income.magi_monthly", Some(61_237), "$612.37"),
            ("residence.state", Some(6), "6 (CA)"),
            ("household.former_foster_care", None, "not known"),
        ]
    );
    assert_eq!(report.checks.last().unwrap().check, Check::Openings);
    assert_eq!(report.checks.len(), Check::ALL.len() + 1);
    let text = String::from_utf8(openings.to_bytes()).unwrap();
    let birth = value("identity.birth_date", 0).to_string();
    assert!(!text.contains("birth") && !text.contains(&birth));
}

#[test]
fn attack_opening_one_leaf_with_the_opening_of_another() {
    // What opens one leaf opens no other, so an opening given away gives away nothing else.
    for held in &SHOWN.1.held {
        let leaf = &held.attestation.leaf;
        for other in &SHOWN.1.held {
            let mut moved = LeafOpening::new(leaf, &other.opening);
            let result = check(&Openings::new(&SHOWN.0, vec![moved.clone()]));
            assert_eq!(
                result.is_ok(),
                leaf == &other.attestation.leaf,
                "{result:?}"
            );
            if leaf != &other.attestation.leaf {
                (moved.value, moved.known) = (held.opening.value, held.opening.known);
                let refused = check(&Openings::new(&SHOWN.0, vec![moved]));
                assert_eq!(refused, Err(OpeningsError::Value(leaf.attribute.clone())));
            }
        }
    }
}

#[test]
fn attack_a_value_flag_or_blinding_other_than_the_leafs() {
    let income = "income.magi_monthly";
    let refused = |change: &dyn Fn(&mut LeafOpening)| {
        let mut changed = opening(income);
        change(&mut changed);
        check(&Openings::new(&SHOWN.0, vec![changed])).unwrap_err()
    };
    let named = || income.into();
    assert_eq!(refused(&|o| o.value += 1), OpeningsError::Value(named()));
    assert_eq!(
        refused(&|o| o.value_blinding.0 += Scalar::ONE),
        OpeningsError::Value(named())
    );
    assert_eq!(
        refused(&|o| o.known_blinding.0 += Scalar::ONE),
        OpeningsError::Known(named())
    );
    assert_eq!(refused(&|o| o.value = -1), OpeningsError::Bounds(named()));
    assert_eq!(
        refused(&|o| o.known = false),
        OpeningsError::Bounds(named())
    );
    assert_eq!(
        refused(&|o| (o.known, o.value) = (false, 0)),
        OpeningsError::Value(named())
    );
    let mut unknown = opening("household.former_foster_care");
    unknown.known = true;
    assert_eq!(
        check(&Openings::new(&SHOWN.0, vec![unknown])),
        Err(OpeningsError::Known("household.former_foster_care".into()))
    );
    assert_eq!(
        refused(&|o| o.attribute = "household.size".into()),
        OpeningsError::Attribute("household.size".into())
    );
    assert_eq!(
        refused(&|o| o.period.end = o.period.end.plus(1).unwrap()),
        OpeningsError::Attribute(named())
    );
    assert_eq!(refused(&|o| o.leaf.0[0] ^= 1), OpeningsError::Leaf(named()));
}

#[test]
fn attack_openings_of_another_decision_repeated_none_or_too_many() {
    let mut other = file(&["household.size"]);
    other.decision.0[0] ^= 1;
    assert!(matches!(check(&other), Err(OpeningsError::Decision { .. })));
    assert_eq!(
        check(&file(&["household.size", "household.size"])),
        Err(OpeningsError::Twice("household.size".into()))
    );
    assert_eq!(check(&file(&[])), Err(OpeningsError::Number(0)));
    assert_eq!(
        check(&file(&["household.size"; 65])),
        Err(OpeningsError::Number(65))
    );
    let mut newer = file(&["household.size"]);
    newer.version = 2;
    assert_eq!(check(&newer), Err(OpeningsError::Version(2)));
}

#[test]
fn a_file_has_one_spelling_no_unknown_fields_and_a_cap() {
    let bytes = file(&["household.size"]).to_bytes();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(Openings::parse(&bytes).is_ok());
    for other in [
        text.replacen("{", "{\"another\":1,", 1),
        text.replacen("\"known\"", "\"another\":1,\"known\"", 1),
        text.replacen("\"version\":1", "", 1),
        format!("{text}\n"),
        serde_json::to_string_pretty(&file(&["household.size"])).unwrap(),
    ] {
        assert!(Openings::parse(other.as_bytes()).is_err(), "{other}");
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 7);
        let shown = Openings::parse(&flipped).and_then(|openings| openings.check(&SHOWN.0));
        assert!(shown.is_err(), "byte {at}");
    }
    assert_eq!(
        Openings::parse(&vec![b' '; MAX_OPENINGS_BYTES + 1]),
        Err(OpeningsError::TooLarge(MAX_OPENINGS_BYTES + 1))
    );
}

#[test]
fn openings_print_nothing_that_they_open() {
    let printed = format!("{:?}", file(&["income.magi_monthly"]));
    assert!(
        printed.contains("LeafOpening(income.magi_monthly, ..)"),
        "{printed}"
    );
    assert!(!printed.contains("61237"));
}

#[test]
fn wire_format_of_an_openings_file() {
    let mut json = serde_json::to_value(file(&["income.magi_monthly"])).unwrap();
    json["decision"] = "[32 bytes]".into();
    for field in ["leaf", "value_blinding", "known_blinding"] {
        json["openings"][0][field] = "[32 bytes]".into();
    }
    insta::assert_json_snapshot!("openings", json);
}

#[test]
fn the_command_shows_what_is_opened_or_names_the_attribute_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("bundle"), BUNDLE.to_bytes()).unwrap();
    std::fs::write(path("trust"), serde_json::to_vec(&KEYS.trust()).unwrap()).unwrap();
    let run = |openings: &Openings| {
        std::fs::write(path("openings"), openings.to_bytes()).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_rules"))
            .arg("audit")
            .arg(path("bundle"))
            .arg("--trust")
            .arg(path("trust"))
            .arg("--openings")
            .arg(path("openings"))
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, out, err) = run(&file(&["income.magi_monthly"]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.contains("ok  openings") && out.contains(": $612.37"),
        "{out}"
    );
    assert_eq!(out.matches("opened  ").count(), 1);
    let mut wrong = file(&["household.size", "income.magi_monthly"]);
    wrong.openings[1].value = 61_238;
    let (code, out, err) = run(&wrong);
    assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1));
    assert!(
        err.contains("check openings") && err.contains("income.magi_monthly: value and blinding"),
        "{err}"
    );
}

#[test]
fn bundles_of_every_kind_of_contract_and_verdict_pass_every_check() {
    let kinds = [
        ("event.qualifying-disability", Kind::Event),
        ("us.medicaid", Kind::Umbrella),
        ("us.chip.child", Kind::Group),
    ];
    for (id, kind) in kinds {
        let compiled = registry()
            .compile(id, &"NV".parse().unwrap(), NOW.day().unwrap())
            .unwrap();
        assert_eq!(compiled.kind, kind);
        let person = |yes: bool| -> Vec<Option<i64>> {
            let facts = compiled.facts.iter().zip(&compiled.bounds);
            let value = |name: &str| match name {
                "medical.disabled" if id != "us.chip.child" => 1,
                "identity.medicaid_immigration_status" | "household.size" => 1,
                "residence.state" => 32,
                "identity.person" => 1,
                "identity.birth_date" if id == "us.chip.child" => {
                    value("identity.birth_date", 0) + 8_000
                }
                "identity.birth_date" => value("identity.birth_date", 0),
                "income.magi_monthly" if id == "us.chip.child" => 240_000,
                "income.magi_monthly" => 90_000,
                _ => 0,
            };
            facts
                .map(|(fact, bound)| match fact.attribute.0.as_str() {
                    "residence.state" if !yes && id != "event.qualifying-disability" => Some(6),
                    "medical.disabled" if !yes => Some(0),
                    name => Some(value(name).max(bound.min)),
                })
                .collect()
        };
        for yes in [true, false] {
            let (shown, _) = present_of(&KEYS, &compiled, &person(yes), None);
            assert_eq!(
                shown.verdict == Verdict::Yes,
                yes,
                "{id} {:?}",
                shown.reasons
            );
            let bytes = bundle(&KEYS, shown, |_| ()).to_bytes();
            let report = audit(&bytes, &KEYS.trust(), registry()).unwrap();
            let made: Vec<Check> = report.checks.iter().map(|passed| passed.check).collect();
            assert_eq!(made, Check::ALL);
        }
    }
}
