//! Months of one person's cover over the whole network of processes, on a simulated calendar.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is how a test reports")]

use std::process::{Command, Stdio};

/// The demo checks as it goes: each day has one payer, and each step's receipt and commitment say what the record says.
fn played(scenario: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_simulator"))
        .args(["demo", scenario, "--data"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}\n{errors}");
    told
}

#[test]
fn reinstatement_move_and_loss_end_with_balanced_days() {
    let told = played("all");
    for line in [
        "a gap policy covers from 2026-06-21",
        "the agency accepted: covered from 2026-06-01",
        "OR covers from",
        "owner and agency were told at once",
        "the agency closes the case",
        "her YES bought it at once",
        "the policy that she bought ahead covers from 2026-09-01",
        "none double",
        "receipt that verifies",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
}
