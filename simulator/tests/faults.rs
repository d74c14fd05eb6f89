//! Broken, cut off and lying oracles, as real processes: a sample of `faults --all`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is how a test reports")]

mod support;

/// The scenarios of a run follow from its seed; another can be given to look further.
fn seed() -> String {
    std::env::var("FAULTS_SEED").unwrap_or_else(|_| "1".to_owned())
}

fn faults(arguments: &[&str]) -> (bool, String) {
    support::told(&["faults"], arguments)
}

#[test]
fn a_sample_of_faults_among_four_and_seven_ends_in_time_names_culprits_and_attests_nothing_wrong() {
    // Other tests may keep the machine busy: an honest node must not look silent for that.
    let (held, text) = faults(&["--seed", &seed(), "--patience", "2"]);
    assert!(held, "{text}");
    assert!(text.contains(", 0 went wrong"), "{text}");
}

/// The judge itself must be able to say no: a network with more faults than it stands serves nobody.
#[test]
fn a_scenario_beyond_the_bound_is_reported_with_the_command_that_repeats_it() {
    let (held, text) = faults(&["--n", "4", "--at", "2:down", "--at", "3:down"]);
    assert!(!held, "{text}");
    assert!(text.contains("enrol failed"), "{text}");
    assert!(
        text.contains("faults --n 4 --act serve --at 2:down --at 3:down"),
        "{text}"
    );
}

#[test]
fn a_bad_fault_says_what_to_write() {
    let (held, text) = faults(&["--at", "3:lunch"]);
    assert!(
        !held && text.contains("wrong-share") && text.contains("crash@STEP"),
        "{text}"
    );
}
