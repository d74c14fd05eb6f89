//! The navigator's form over the network of processes: who is enrolled by it, who is not, and what was in clear where.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is how a test reports")]

mod support;

#[test]
fn people_enrolled_by_the_form_are_whole_and_nobody_but_source_and_phone_sees_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (held, text) = support::told(&["enrolment", "--data"], &[folder.path().to_str().unwrap()]);
    assert!(held, "{text}");
    for line in [
        "killed when the enrolment was complete",
        "refused, and the page says what to check",
        "enrolled the same profile",
        "refused without saying whose it is",
        "has a YES token",
        "no name, number or SSN came to the profile service",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let searched = support::no_fact_in_clear(folder.path());
    assert!(searched > 40, "only {searched} files were searched");
}
