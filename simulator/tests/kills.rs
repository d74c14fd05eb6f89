//! Any process killed at any step of the three scenarios: a sample of `drill lifecycle`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is how a test reports")]

mod support;

fn drill(arguments: &[&str]) -> (bool, String) {
    support::told(&["drill", "lifecycle"], arguments)
}

/// The sample follows from its seed; another can be given to look further.
fn seed() -> String {
    std::env::var("KILLS_SEED").unwrap_or_else(|_| "1".to_owned())
}

#[test]
fn a_sample_of_kills_leaves_what_no_kill_leaves_and_nothing_twice() {
    let (held, text) = drill(&["--sample", "8", "--together", "8", "--seed", &seed()]);
    assert!(held, "{text}");
    assert!(text.contains(", 0 went wrong"), "{text}");
}

/// Needs `DATABASE_URL`, with the right to make databases.
#[test]
fn two_services_on_one_postgres_share_the_work_and_survive_each_others_death() {
    let Ok(url) = std::env::var("DATABASE_URL") else {
        return;
    };
    let seed = seed();
    let (held, text) = drill(&[
        "--sample",
        "6",
        "--together",
        "6",
        "--seed",
        &seed,
        "--postgres",
        &url,
    ]);
    assert!(held, "{text}");
    assert!(text.contains(", 0 went wrong"), "{text}");
}

#[test]
fn a_bad_kill_says_what_to_write() {
    let (held, text) = drill(&["--at", "agency at lunch"]);
    assert!(!held && text.contains("POINT kill PARTY"), "{text}");
}
