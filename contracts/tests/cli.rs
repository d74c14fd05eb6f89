//! The `rules` command line, run as a process: what it prints, objects to and exits with.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn rules(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rules"))
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file of people in the folder of this test run.
fn people(name: &str, rows: &[&str]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let header = "household_id,person_id,state,role,age,annual_earned_income,monthly_hours,pregnant,disabled,\
                  receives_ssi,immigration_status,years_since_entry";
    fs::write(&path, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
    path
}

const GOOD: &str = "a,1,CA,head,34,7348.44,0,0,0,0,CITIZEN,";

#[test]
fn people_are_decided_and_a_person_who_cannot_be_told_is_named() {
    let rows = [
        GOOD,
        "b,1,CA,head,34,7348.44,0,0,0,0,LEGAL_PERMANENT_RESIDENT,",
        "\"c,1\",1,TX,head,34,0,0,0,0,0,CITIZEN,",
    ];
    let path = people("decided.csv", &rows);
    let output = rules(&[
        "check",
        "--people",
        path.to_str().unwrap(),
        "--as-of",
        "2026-11-20",
    ]);
    assert_eq!(output.status.code(), Some(0));
    let lines = text(&output.stdout);
    let lines: Vec<&str> = lines.lines().collect();
    assert!(
        lines[1].starts_with("a,1,YES,NO,ADULT,us.medicaid.adult-group,NO,,"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with("b,1,NEEDS-INFO,NO,ADULT,identity.medicaid_immigration_status,NO,,"),
        "{}",
        lines[2]
    );
    assert!(
        lines[3].starts_with("\"c,1\",1,NO,NO,NONE,"),
        "{}",
        lines[3]
    );
    assert!(text(&output.stderr).contains("3 people"));
}

#[test]
fn a_bad_row_names_file_line_and_column_and_leaves_its_household_out() {
    for (bad, column) in [
        ("x,2,CA,child,four,0,0,0,0,0,CITIZEN,", "column 5 (age)"),
        ("x,2,ca,child,4,0,0,0,0,0,CITIZEN,", "column 3 (state)"),
        ("x,2,CA,uncle,4,0,0,0,0,0,CITIZEN,", "column 4 (role)"),
        (
            "x,2,CA,child,4,-3,0,0,0,0,CITIZEN,",
            "column 6 (annual_earned_income)",
        ),
        (
            "x,2,CA,child,4,1.234,0,0,0,0,CITIZEN,",
            "column 6 (annual_earned_income)",
        ),
        (
            "x,2,CA,child,4,0,900,0,0,0,CITIZEN,",
            "column 7 (monthly_hours)",
        ),
        ("x,2,CA,child,4,0,0,yes,0,0,CITIZEN,", "column 8 (pregnant)"),
        (
            "x,2,CA,child,4,0,0,0,0,0,MARTIAN,",
            "column 11 (immigration_status)",
        ),
        ("x,2,NV,child,4,0,0,0,0,0,CITIZEN,", "column 3 (state)"),
        ("x,2,CA,child", "column 5 (age)"),
    ] {
        let rows = [
            GOOD,
            "x,1,CA,head,30,0,0,0,0,0,CITIZEN,",
            bad,
            "z,1,CA,head,30,0,0,0,0,0,CITIZEN,",
        ];
        let path = people("bad.csv", &rows);
        let file = path.to_str().unwrap();
        let output = rules(&["check", "--people", file, "--as-of", "2026-11-20"]);
        assert_eq!(output.status.code(), Some(1), "{bad}");
        let errors = text(&output.stderr);
        assert!(
            errors.contains(&format!("{file}:4: {column}: ")),
            "{errors}"
        );
        let decided = text(&output.stdout);
        assert!(
            !decided.contains("\nx,"),
            "a household with a bad row is not decided: {decided}"
        );
        assert!(
            decided.contains("\na,1,YES") && decided.contains("\nz,1,YES"),
            "{decided}"
        );
        let strict = rules(&[
            "check",
            "--people",
            file,
            "--as-of",
            "2026-11-20",
            "--strict",
        ]);
        assert_eq!(strict.status.code(), Some(2), "{bad}");
        assert!(!text(&strict.stdout).contains("\nz,"));
    }
}

#[test]
fn a_day_before_the_tables_is_refused_rather_than_guessed() {
    let path = people("early.csv", &[GOOD]);
    let output = rules(&[
        "check",
        "--people",
        path.to_str().unwrap(),
        "--as-of",
        "2022-11-20",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).lines().count() == 1,
        "nobody is decided"
    );
}

#[test]
fn a_household_file_tells_every_basis_and_the_next_boundary() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fixtures/households/parent_and_two_children.json"
    );
    let output = rules(&["check", "--household", file, "--as-of", "2026-11-20"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let person = |index: usize, key: &str| json["people"][index][key].clone();
    assert_eq!(person(0, "medicaid"), "NO");
    assert_eq!(person(0, "next_boundary"), "2027-02-01");
    assert_eq!(person(1, "category"), "OLDER_CHILD");
    assert_eq!(
        person(1, "next_boundary"),
        "2027-03-01",
        "born on 29 February, 19 on 1 March"
    );
    assert_eq!(person(2, "category"), "INFANT");
    assert_eq!(
        person(2, "medicaid"),
        "YES",
        "TX covers lawfully residing children"
    );
    assert_eq!(person(0, "bases").as_array().unwrap().len(), 13);
}

#[test]
fn lint_says_what_a_proof_of_every_contract_and_verdict_costs() {
    let lint = |state| {
        let output = rules(&["lint", "--as-of", "2026-11-20", "--state", state]);
        text(&output.stdout)
    };
    let said = ["CA", "DC", "VA"].map(lint).concat();
    for (contract, _) in contracts::rules::registry().iter() {
        for verdict in ["YES", "NO"] {
            let mut lines = said.lines().filter(|line| {
                let mut words = line.split(' ');
                words.next() == Some(contract.id.as_str())
                    && words.nth(1) == Some(&format!("{verdict}:"))
            });
            let priced = |line: &str| {
                let named = ["slots of", "branches,", "bytes"];
                named.iter().all(|name| line.contains(name))
            };
            assert!(lines.any(priced), "{} {verdict}", contract.id);
        }
    }
}

#[test]
fn lists_lints_explains_and_counts_days() {
    for args in [
        &["list"][..],
        &["lint", "--as-of", "2026-11-20", "--state", "CA"],
        &[
            "explain",
            "us.medicaid.parent-caretaker",
            "--state",
            "MO",
            "--as-of",
            "2026-11-20",
        ],
        &["calendar", "engagement-notice", "--on", "2027-03-01"],
        &["check", "--defaults"],
    ] {
        let output = rules(args);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{args:?}: {}",
            text(&output.stderr)
        );
        assert!(!output.stdout.is_empty());
    }
    let output = rules(&[
        "explain",
        "us.medicaid.adult-group",
        "--state",
        "TX",
        "--as-of",
        "2026-11-20",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("TX does not offer"));
}
