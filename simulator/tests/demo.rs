//! The whole system as processes: the story, its evidence, its faults, and the search for facts in clear.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is how a test reports")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use support::{Demo, program};

#[test]
fn the_story_ends_in_a_yes_and_a_no_that_audit_offline() {
    let folder = tempfile::tempdir().unwrap();
    let run = Demo::run(folder.path(), &[]);
    let summary = run.succeeded();
    let decisions = summary["decisions"].as_array().unwrap();
    let verdicts: Vec<_> = decisions
        .iter()
        .map(|decision| decision["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["YES", "NO"]);
    assert_eq!(decisions[0]["outcome"], "accepted");
    assert_eq!(decisions[1]["reasons"], serde_json::json!(["INCOME"]));
    let trust = std::fs::read(summary["trust"].as_str().unwrap()).unwrap();
    for decision in decisions {
        let bundle = std::fs::read(decision["bundle"].as_str().unwrap()).unwrap();
        support::audit(&bundle, &trust).unwrap();
        support::every_bit_counts(&bundle, &trust);
    }
}

/// Attack: whoever can read what crossed a door, a table, a log or a ledger entry looks for facts.
#[test]
fn no_fact_is_found_outside_the_sources_the_phone_and_sealed_boxes() {
    let folder = tempfile::tempdir().unwrap();
    Demo::run(folder.path(), &[]).succeeded();
    let searched = support::no_fact_in_clear(folder.path());
    for oracle in 1..=4 {
        let file = folder.path().join(format!("tap/oracle-{oracle}-peers.tls"));
        let connections = std::fs::read_to_string(file).unwrap();
        assert!(
            connections.lines().count() > 0 && connections.lines().all(|line| line == "Tls13"),
            "what crossed the nodes' door of oracle {oracle}: {connections}"
        );
    }
    assert!(searched > 40, "only {searched} files were searched");
    // The search itself must be able to find: the sources hold what it looks for.
    let registry = std::fs::read(folder.path().join("sources/registry.db")).unwrap();
    let finder = support::finder();
    let found = finder.find(&registry);
    assert!(
        found.contains("ssns") && found.contains("names"),
        "{found:?}"
    );
}

#[test]
fn one_oracle_killed_at_any_step_changes_nothing_but_a_log_line_that_names_it() {
    let steps = [
        "enrol", "event", "ask", "attest", "prove", "decide", "text", "approve", "file",
        "receipts", "second", "bundles",
    ];
    for (at, step) in steps.into_iter().enumerate() {
        let oracle = at % 4 + 1;
        let folder = tempfile::tempdir().unwrap();
        let fault = format!("kill:{oracle}@{step}");
        let run = Demo::run(folder.path(), &["--fault", &fault]);
        let summary = run.succeeded();
        assert_eq!(summary["decisions"][0]["verdict"], "YES", "{fault}");
        assert_eq!(summary["decisions"][0]["outcome"], "accepted", "{fault}");
        assert_eq!(summary["decisions"][1]["verdict"], "NO", "{fault}");
        assert!(
            run.output
                .contains(&format!("oracle {oracle} was killed at step {step}")),
            "{fault}: {}",
            run.output
        );
        // Who still has to work with the network after the fault says who is missing.
        if ["enrol", "event", "ask", "attest", "prove", "decide"].contains(&step) {
            assert!(
                run.logs_name_oracle(folder.path(), oracle),
                "{fault}: no log names it"
            );
        }
    }
}

#[test]
fn two_oracles_killed_end_in_a_clear_error_and_a_second_run_succeeds() {
    for step in ["enrol", "attest", "decide", "approve", "bundles"] {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (format!("kill:2@{step}"), format!("kill:4@{step}"));
        let run = Demo::run(folder.path(), &["--fault", &first, "--fault", &second]);
        let error = run.failed();
        assert!(run.seconds < 120.0, "{step}: took {} s", run.seconds);
        assert!(
            error.contains('2') && error.contains('4') && error.contains("step"),
            "{step}: {error}"
        );
        let again = Demo::run(folder.path(), &[]).succeeded();
        assert_eq!(again["decisions"][0]["verdict"], "YES", "{step}");
        assert_eq!(again["decisions"][0]["outcome"], "accepted", "{step}");
        assert_eq!(again["decisions"][1]["verdict"], "NO", "{step}");
    }
}

#[test]
fn a_death_during_key_generation_is_a_clear_error_and_a_clean_restart() {
    let folder = tempfile::tempdir().unwrap();
    let run = Demo::run(folder.path(), &["--fault", "kill:3@dkg"]);
    let error = run.failed();
    assert!(error.contains("node 3") && error.contains("dkg"), "{error}");
    Demo::run(folder.path(), &[]).succeeded();
}

#[test]
fn a_bad_fault_says_what_to_write() {
    let output = program()
        .args(["demo", "--fault", "kill:9@lunch"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("kill:ORACLE@STEP"), "{error}");
}

#[test]
fn a_typed_no_files_nothing_and_the_question_ends_declined() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = program()
        .args(["demo", "--interactive", "--json", "--data"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = String::new();
    for line in &mut screen {
        last = line.unwrap();
        if let Some((_, after)) = last.split_once("Reply YES ") {
            let code = after.split_whitespace().next().unwrap();
            writeln!(keyboard, "no, {code} please").unwrap();
        }
    }
    assert!(child.wait().unwrap().success());
    let summary: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(summary["decisions"][0]["verdict"], "YES");
    assert_eq!(summary["decisions"][0]["outcome"], "declined");
    let filed = std::fs::read(folder.path().join("tap/agency.http")).unwrap();
    let filed = String::from_utf8_lossy(&filed)
        .matches("POST /applications")
        .count();
    assert_eq!(filed, 0, "an application was filed");
}
