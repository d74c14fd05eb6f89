//! The audit of a decision of every contract of this release, for each verdict.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/cases.rs"]
mod cases;
mod common;
#[path = "common/issue.rs"]
mod issue;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use common::Keys;
use contracts::audit::{AuditError, Check, audit};
use contracts::ids::Verdict;
use contracts::presentation::Presentation;
use contracts::rules::{Compiled, registry};
use contracts::trust::Trust;
use issue::{bundle, present_of};

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new(1));
static TRUST: LazyLock<Trust> = LazyLock::new(|| KEYS.trust());

fn every_contract(verdict: Verdict) {
    let mut missing: BTreeSet<String> = registry()
        .iter()
        .map(|(_, reference)| reference.hash.to_string())
        .collect();
    for (name, file) in cases::files() {
        let wanted = verdict.to_string();
        let of_verdict = |case: &&cases::Case| {
            let said = case.expect.split(' ').next();
            said == Some(wanted.as_str())
        };
        let case = file.case.iter().find(of_verdict);
        let case = case.unwrap_or_else(|| panic!("{name} has no case of a {verdict}"));
        let what = format!("{name}: {}", case.name);
        let compiled = cases::compile(&file, case).unwrap();
        let values = cases::values(&compiled, &file.base, &case.facts);
        let (shown, _) = present_of(&KEYS, &compiled, &values, None);
        let bytes = bundle(&KEYS, shown.clone(), |_| ()).to_bytes();
        let report = audit(&bytes, &TRUST, registry()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(report.verdict, verdict, "{what}");
        assert_eq!(report.contract, compiled.contract, "{what}");
        assert_eq!(report.reasons, shown.reasons, "{what}");
        let checks: Vec<Check> = report.checks.iter().map(|passed| passed.check).collect();
        assert_eq!(checks, Check::ALL, "{what}");
        assert!(
            report
                .checks
                .iter()
                .all(|passed| !passed.finding.is_empty())
        );
        assert_eq!(
            claimed_otherwise(&compiled, shown),
            Check::Presentation,
            "{what}"
        );
        missing.remove(&compiled.contract.hash.to_string());
    }
    assert!(missing.is_empty(), "no case of {missing:?}");
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
