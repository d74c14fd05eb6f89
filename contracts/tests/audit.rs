//! The audit of bundles: what it accepts, and that every field counts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/issue.rs"]
mod issue;

use std::sync::LazyLock;

use common::{Keys, NOW, ORIGIN};
use contracts::audit::{AuditError, Check, Report, audit};
use contracts::bundle::{Bundle, BundleError, MAX_BUNDLE_BYTES};
use contracts::encoding::{Bytes, to_jcs};
use contracts::ids::Verdict;
use contracts::presentation::Presentation;
use contracts::receipt::{Entry, EntryKind};
use contracts::rules::{Fact, registry};
use contracts::token::DecisionClaims;
use contracts::trust::Trust;
use contracts::units::UnixTime;
use issue::{bundle, decide, enquire, present};
use serde_json::{Value, json};

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new(1));
/// Below and above every limit for one person.
static YES: LazyLock<Presentation> = LazyLock::new(|| present(&KEYS, 61_237));
static NO: LazyLock<Presentation> = LazyLock::new(|| present(&KEYS, 912_345));

static TRUST: LazyLock<Trust> = LazyLock::new(|| KEYS.trust());

fn run(bytes: &[u8]) -> Result<Report, AuditError> {
    audit(bytes, &TRUST, registry())
}

fn good(presentation: &Presentation) -> Bundle {
    bundle(&KEYS, presentation.clone(), |_| ())
}

/// The check that refuses a bundle of changed claims, really recorded and signed.
fn refused(presentation: Presentation, change: impl FnOnce(&mut DecisionClaims)) -> AuditError {
    run(&bundle(&KEYS, presentation, change).to_bytes()).unwrap_err()
}

#[test]
fn a_yes_and_a_no_audit_alike() {
    let report = run(&good(&YES).to_bytes()).unwrap();
    assert_eq!((report.verdict, report.reasons.len()), (Verdict::Yes, 0));
    let checks: Vec<Check> = report.checks.iter().map(|passed| passed.check).collect();
    assert_eq!(checks, Check::ALL);
    let report = run(&good(&NO).to_bytes()).unwrap();
    assert_eq!((report.verdict, report.reasons.len()), (Verdict::No, 1));
}

#[test]
fn an_enquiry_audits_under_its_random_subject_and_in_the_month_of_its_decision_only() {
    let shown = enquire(&KEYS, 61_237);
    let subject = shown.enquiry.unwrap().subject;
    let bundle = good(&shown);
    let report = run(&bundle.to_bytes()).unwrap();
    assert_eq!(report.subject, subject);
    let claims = contracts::token::open(&bundle.token, &TRUST.decision_keys()).unwrap();
    let n = Bytes::from(*shown.pseudonym.as_bytes());
    let said = serde_json::to_string(&(&claims, &bundle.receipt)).unwrap();
    assert!(!said.contains(&n.to_string()), "N reaches nobody");
    // A committee that puts N, or T, into the token, or counts in another month.
    for sub in [n, Bytes([7; 32])] {
        let error = refused(shown.clone(), |claims| claims.sub = sub);
        assert_eq!(error.check(), Check::Binding);
    }
    let error = refused(shown, |claims| claims.iat = UnixTime(NOW.0 + 20 * 86_400));
    assert!(error.to_string().contains("month"), "{error}");
}

/// A place in a JSON document.
type Path = Vec<Step>;

#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

/// Every place in a document, containers before what they hold.
fn places(value: &Value, at: &mut Path, found: &mut Vec<Path>) {
    found.push(at.clone());
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                at.push(Step::Key(key.clone()));
                places(value, at, found);
                at.pop();
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                at.push(Step::Index(index));
                places(value, at, found);
                at.pop();
            }
        }
        _ => {}
    }
}

fn at<'a>(root: &'a mut Value, path: &[Step]) -> &'a mut Value {
    path.iter().fold(root, |value, step| match step {
        Step::Key(key) => value.get_mut(key).unwrap(),
        Step::Index(index) => value.get_mut(index).unwrap(),
    })
}

fn string_mutants(text: &str) -> Vec<String> {
    let mut mutants = vec![
        format!("{text}A"),
        format!("{text}="),
        String::new(),
        text.to_lowercase(),
        text.to_uppercase(),
    ];
    // All characters of short strings; the first, the last and some between of long ones.
    let flips: Vec<String> = common::flips(text).collect();
    let step = if flips.len() > 32 { flips.len() / 4 } else { 1 };
    mutants.extend(flips.iter().step_by(step).cloned());
    mutants.extend(flips.last().cloned());
    mutants.extend(text.get(1..).map(str::to_owned));
    mutants.retain(|mutant| mutant != text);
    mutants
}

/// Every way in which this test changes what stands at a place.
fn mutants(value: &Value) -> Vec<Value> {
    let mut mutants = vec![
        Value::Null,
        json!({}),
        json!([]),
        json!(""),
        json!(0),
        json!(true),
    ];
    match value {
        Value::String(text) => mutants.extend(string_mutants(text).into_iter().map(Value::from)),
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            mutants.extend([
                json!(number + 1),
                json!(number - 1),
                json!(-number),
                json!(number as f64 + 0.5),
            ]);
        }
        Value::Bool(flag) => mutants.push(json!(!flag)),
        Value::Array(items) => {
            for index in 0..items.len() {
                let mut less = items.clone();
                let item = less.remove(index);
                mutants.push(json!(less));
                less.push(item.clone());
                mutants.push(json!(less));
                less.push(item);
                mutants.push(json!(less));
            }
        }
        Value::Object(map) => {
            for key in map.keys() {
                let mut less = map.clone();
                let item = less.remove(key);
                mutants.push(json!(less));
                less.insert(format!("{key}_"), item.clone().unwrap());
                mutants.push(json!(less));
            }
            let mut more = map.clone();
            more.insert("zz".to_owned(), json!(1));
            mutants.push(json!(more));
        }
        Value::Null => {}
    }
    mutants.retain(|mutant| mutant != value);
    mutants
}

fn every_change_is_refused(presentation: &Presentation) {
    let bytes = good(presentation).to_bytes();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let mut found = Vec::new();
    places(&document, &mut Vec::new(), &mut found);
    assert!(found.len() > 200, "{}", found.len());
    let mut tried = 0;
    for path in found {
        for mutant in mutants(at(&mut document.clone(), &path)) {
            let mut changed = document.clone();
            *at(&mut changed, &path) = mutant.clone();
            if changed == document {
                continue;
            }
            tried += 1;
            let refused = run(&to_jcs(&changed).unwrap());
            assert!(refused.is_err(), "accepted {mutant} at {path:?}");
        }
    }
    assert!(tried > 4_000, "{tried}");
}

#[test]
fn every_changed_deleted_added_or_reordered_field_of_a_yes_is_refused() {
    every_change_is_refused(&YES);
}

#[test]
fn every_changed_deleted_added_or_reordered_field_of_a_no_is_refused() {
    every_change_is_refused(&NO);
}

#[test]
fn one_changed_bit_anywhere_is_refused() {
    let compiled = registry().compile("event.age-boundary", &YES.jurisdiction, YES.as_of);
    let compiled = compiled.unwrap();
    let value = |fact: &Fact| Some(issue::value(&fact.attribute.0, 0));
    let values: Vec<_> = compiled.facts.iter().map(value).collect();
    let (shown, _) = issue::present_of(&KEYS, &compiled, &values, None);
    let bytes = good(&shown).to_bytes();
    assert!(run(&bytes).is_ok());
    let place = |name: &[u8]| {
        let mut windows = bytes.windows(name.len());
        windows.position(|window| window == name).unwrap()
    };
    // Every byte beside the presentation; every byte of that has a test beside its verifier.
    let inside = place(br#""presentation":"#)..place(br#","receipt":"#);
    let mut tried = 0;
    for (at, bit) in (0..bytes.len()).zip(common::bits()) {
        if inside.contains(&at) && at % 16 != 0 {
            continue;
        }
        let mut changed = bytes.clone();
        changed[at] ^= 1 << bit;
        assert!(run(&changed).is_err(), "bit {bit} of byte {at}");
        tried += 1;
    }
    assert!(tried > 2_000, "{tried}");
}

#[test]
fn a_second_spelling_of_the_same_bundle_is_refused() {
    let bundle = good(&YES);
    let bytes = bundle.to_bytes();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let form = |bytes: &[u8]| match run(bytes) {
        Err(AuditError::Form(error)) => error,
        other => panic!("{other:?}"),
    };
    for second in [
        format!("{text}\n"),
        format!(" {text}"),
        text.replacen(':', ": ", 1),
        text.replacen(r#""YES""#, r#""\u0059ES""#, 1),
        text.replacen(r#""version":1"#, r#""version":1.0"#, 1),
        serde_json::to_string_pretty(&bundle).unwrap(),
        serde_json::to_string(&bundle).unwrap(),
    ] {
        assert_ne!(second, text);
        form(second.as_bytes());
    }
    let twice = text.replacen(r#"{"as_of""#, r#"{"verdict":"NO","as_of""#, 1);
    assert!(
        form(twice.as_bytes())
            .to_string()
            .contains("duplicate field")
    );
    assert_eq!(
        form(&vec![b' '; MAX_BUNDLE_BYTES + 1]),
        BundleError::TooLarge(MAX_BUNDLE_BYTES + 1)
    );
    let mut newer = bundle;
    newer.version = 2;
    assert_eq!(form(&newer.to_bytes()), BundleError::Version(2));
}

#[test]
fn a_summary_that_says_something_else_is_refused() {
    let summary = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = good(&YES);
        change(&mut bundle);
        match run(&bundle.to_bytes()) {
            Err(AuditError::Summary(field)) => field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(summary(&|b| b.verdict = Verdict::No), "verdict");
    assert_eq!(
        summary(&|b| b.jurisdiction = "NV".parse().unwrap()),
        "jurisdiction"
    );
    assert_eq!(summary(&|b| b.as_of = b.as_of.plus(1).unwrap()), "as_of");
    assert_eq!(summary(&|b| b.contract.hash = Bytes([0; 32])), "contract");
}

#[test]
fn an_unregistered_contract_or_another_text_of_it_is_refused() {
    let mut presentation = YES.clone();
    presentation.contract.hash = Bytes([7; 32]);
    let refused_text = refused(presentation.clone(), |_| ());
    assert!(
        matches!(refused_text, AuditError::ContractHash { .. }),
        "{refused_text}"
    );
    presentation.contract.id = "us.medicaid.everybody".to_owned();
    assert!(matches!(
        refused(presentation.clone(), |_| ()),
        AuditError::Contract(_)
    ));
    presentation.contract = YES.contract.clone();
    presentation.as_of = "2013-12-31".parse().unwrap();
    assert!(matches!(
        refused(presentation, |_| ()),
        AuditError::Contract(_)
    ));
}

#[test]
fn a_token_issued_for_something_else_is_refused_though_signed_and_recorded() {
    let claim = |change: &dyn Fn(&mut DecisionClaims)| match refused(YES.clone(), change) {
        AuditError::Binding { claim, .. } => claim,
        other => panic!("{other}"),
    };
    assert_eq!(claim(&|c| c.jti = Bytes([0; 32])), "jti");
    assert_eq!(claim(&|c| c.sub = Bytes([0; 32])), "sub");
    assert_eq!(claim(&|c| c.cnf = Keys::new(2).cnf()), "cnf");
    assert_eq!(claim(&|c| c.contract.hash = Bytes([0; 32])), "contract");
    assert_eq!(
        claim(&|c| c.jurisdiction = "NV".parse().unwrap()),
        "jurisdiction"
    );
    assert_eq!(claim(&|c| c.as_of = c.as_of.plus(-1).unwrap()), "as_of");
    assert_eq!(claim(&|c| c.verdict = Verdict::No), "verdict");
    let reasons = refused(NO.clone(), |c| c.reasons = Vec::new());
    assert!(matches!(
        reasons,
        AuditError::Binding {
            claim: "reasons",
            ..
        }
    ));
    let audience = refused(YES.clone(), |c| c.aud += "x");
    assert!(audience.to_string().contains("aud"), "{audience}");
    let issuer = refused(YES.clone(), |c| c.iss = "https://evil.example".to_owned());
    assert!(issuer.to_string().contains("iss"), "{issuer}");
}

#[test]
fn another_presentation_under_the_same_token_is_refused() {
    let mut swapped = good(&YES);
    let mut other = present(&KEYS, 61_238);
    other.ledger_salt = YES.ledger_salt;
    swapped.presentation = other;
    let error = run(&swapped.to_bytes()).unwrap_err();
    assert_eq!(error.check(), Check::Binding);
}

#[test]
fn a_verdict_without_its_proof_is_refused_though_the_committee_signed_it() {
    let mut lie = NO.clone();
    lie.verdict = Verdict::Yes;
    lie.reasons = Vec::new();
    assert_eq!(refused(lie, |_| ()).check(), Check::Presentation);
}

#[test]
fn time_and_freshness_are_checked_again_at_iat() {
    let shifted = |days: i64| {
        refused(YES.clone(), |claims| {
            claims.iat = UnixTime(NOW.0 + days * 86_400);
            claims.exp = UnixTime(claims.iat.0 + 86_400);
        })
    };
    assert_eq!(
        shifted(-1).check(),
        Check::Presentation,
        "observed after the decision"
    );
    assert_eq!(
        shifted(31).check(),
        Check::Presentation,
        "leaves had expired"
    );
}

#[test]
fn a_decision_that_is_not_in_the_log_is_refused() {
    let decision = decide(&YES);
    let ledger = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = good(&YES);
        change(&mut bundle);
        let error = run(&bundle.to_bytes()).unwrap_err();
        assert_eq!(error.check(), Check::Ledger, "{error}");
        error.to_string()
    };
    let entry = |kind, salt| Entry::new(kind, &salt, &decision);
    let other_kind = ledger(&|b| {
        b.receipt = KEYS.receipt(5, entry(EntryKind::Approval, issue::SALT), 7);
    });
    assert!(other_kind.contains("kind"), "{other_kind}");
    let other_salt = ledger(&|b| {
        b.receipt = KEYS.receipt(5, entry(EntryKind::Decision, Bytes([8; 32])), 7);
    });
    assert!(other_salt.contains("commitment"), "{other_salt}");
    let other_index = ledger(&|b| {
        b.receipt = KEYS.receipt(6, entry(EntryKind::Decision, issue::SALT), 7);
    });
    assert!(other_index.contains("index"), "{other_index}");
    ledger(&|b| {
        b.receipt = Keys::new(2).receipt(5, entry(EntryKind::Decision, issue::SALT), 7);
    });
}

#[test]
fn nothing_but_the_trust_file_is_trusted() {
    let bytes = good(&YES).to_bytes();
    let audit_with = |trust: &Trust| audit(&bytes, trust, registry()).map_err(|e| e.check());
    let full = serde_json::to_value(KEYS.trust()).unwrap();
    let other = serde_json::to_value(Keys::new(2).trust()).unwrap();
    let edited = |change: &dyn Fn(&mut Value)| {
        let mut trust = full.clone();
        change(&mut trust);
        serde_json::from_value::<Trust>(trust).unwrap()
    };
    assert!(audit_with(&edited(&|_| ())).is_ok());
    let committees = full["committees"].as_array().unwrap();
    for (index, key) in committees.iter().enumerate() {
        let check = match key["committee"].as_str().unwrap() {
            "decision" => Check::Token,
            _ => Check::Presentation,
        };
        let without = edited(&|t| drop(t["committees"].as_array_mut().unwrap().remove(index)));
        assert_eq!(audit_with(&without), Err(check), "{key}");
        let replaced = edited(&|t| t["committees"][index] = other["committees"][index].clone());
        assert_eq!(audit_with(&replaced), Err(check), "{key}");
        let later = edited(&|t| t["committees"][index]["epoch"] = json!(2));
        // A token's kid names the key itself, so the epoch that the trust file gives it does not matter.
        let expected = if check == Check::Token {
            Ok(())
        } else {
            Err(check)
        };
        assert_eq!(audit_with(&later).map(|_| ()), expected, "{key}");
    }
    let other_log = edited(&|t| t["ledger_key"] = other["ledger_key"].clone());
    assert_eq!(audit_with(&other_log), Err(Check::Ledger));
    let other_origin = edited(&|t| t["origin"] = json!(format!("{ORIGIN}2")));
    assert_eq!(audit_with(&other_origin), Err(Check::Binding));
    let other_issuer = edited(&|t| t["issuer"] = json!("https://other.example"));
    assert_eq!(audit_with(&other_issuer), Err(Check::Token));
}

/// Runs `rules audit` on files with these contents; none is a file that does not exist.
fn command(bundle: Option<&[u8]>, trust: Option<&[u8]>, json: bool) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let [bundle, trust] = [("bundle.json", bundle), ("trust.json", trust)].map(|(name, bytes)| {
        let path = folder.path().join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        path
    });
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rules"));
    command.arg("audit").arg(bundle).arg("--trust").arg(trust);
    if json {
        command.arg("--json");
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_lists_its_checks_or_gives_one_reason() {
    let bundle = good(&YES).to_bytes();
    let trust = serde_json::to_vec_pretty(&*TRUST).unwrap();
    let (code, out, err) = command(Some(&bundle), Some(&trust), false);
    assert_eq!((code, err.as_str()), (0, ""));
    for check in Check::ALL {
        assert!(out.contains(&format!("ok  {check} ")), "{out}");
    }
    let (code, out, _) = command(Some(&bundle), Some(&trust), true);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &report["ok"], &report["verdict"]),
        (0, &json!(true), &json!("YES"))
    );

    let changed = String::from_utf8(bundle.clone()).unwrap();
    let changed = changed.replacen(r#""verdict":"YES""#, r#""verdict":"NO""#, 1);
    let (code, out, err) = command(Some(changed.as_bytes()), Some(&trust), false);
    assert_eq!(
        (code, out.as_str(), err.lines().count()),
        (1, "", 1),
        "{err}"
    );
    assert!(err.contains("verdict"), "{err}");
    let (code, out, _) = command(Some(changed.as_bytes()), Some(&trust), true);
    let refusal: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 1);
    assert_eq!(
        (&refusal["ok"], &refusal["field"]),
        (&json!(false), &json!("verdict"))
    );
    assert_eq!(
        command(Some(b""), Some(&trust), false).0,
        1,
        "an empty file is no bundle"
    );
}

#[test]
fn the_command_tells_an_unreadable_file_from_a_refused_bundle() {
    let bundle = good(&YES).to_bytes();
    let trust = serde_json::to_vec(&*TRUST).unwrap();
    for (bundle, trust) in [
        (None, Some(trust.as_slice())),
        (Some(bundle.as_slice()), None),
        (Some(bundle.as_slice()), Some(b"{}".as_slice())),
    ] {
        let (code, out, err) = command(bundle, trust, false);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.contains(".json: "), "{err}");
    }
    let usage = std::process::Command::new(env!("CARGO_BIN_EXE_rules"))
        .arg("audit")
        .output();
    assert_eq!(usage.unwrap().status.code(), Some(2));
}

#[test]
fn wire_format_of_a_bundle() {
    let bundle = good(&YES);
    let mut json = serde_json::to_value(&bundle).unwrap();
    // One attestation stands for all; long random strings by their length.
    let attestations = json["presentation"]["attestations"].as_array_mut().unwrap();
    attestations.truncate(1);
    json["roots"].as_array_mut().unwrap().truncate(1);
    fn shorten(value: &mut Value) {
        match value {
            Value::String(text) if text.len() > 40 => {
                *text = format!("[{} characters]", text.len())
            }
            Value::Array(items) => items.iter_mut().for_each(shorten),
            Value::Object(map) => map.values_mut().for_each(shorten),
            _ => {}
        }
    }
    shorten(&mut json);
    insta::assert_json_snapshot!("bundle", json);
}

/// Attack: a committee signs a batch for one owner and keeps it out of the log, where everybody could count it.
#[test]
fn a_root_that_is_not_in_the_log_is_refused_though_its_committee_signed_it() {
    let refused = |edit: &dyn Fn(&mut Bundle)| {
        let mut bundle = good(&YES);
        edit(&mut bundle);
        let error = run(&bundle.to_bytes()).unwrap_err();
        assert_eq!(error.check(), Check::Ledger);
        error
    };
    assert!(matches!(
        refused(&|it| it.roots.clear()),
        AuditError::Roots("not one receipt for each root")
    ));
    let other = || Entry::new(EntryKind::AttestationRoot, &Bytes([1; 32]), "another");
    assert!(matches!(
        refused(&|it| it.roots[0] = KEYS.receipt(20, other(), 3)),
        AuditError::Roots("a receipt of another entry than its root's")
    ));
    refused(&|it| it.roots.swap(0, 1));
    // The right entry, in somebody else's log, or at a place where it is not.
    let entry = YES.roots()[0].entry();
    let elsewhere = Keys::new(2).receipt(20, entry, 3);
    assert!(matches!(
        refused(&|it| it.roots[0] = elsewhere.clone()),
        AuditError::Receipt(_)
    ));
    refused(&|it| it.roots[0].index += 1);
}
