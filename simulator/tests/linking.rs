//! Two agencies and an insurer that put together all that they receive: a few owners of `linking`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is how a test reports")]

mod support;

#[test]
fn attack_two_agencies_and_an_insurer_have_no_value_in_common_that_points_to_an_owner() {
    let (held, text) = support::told(&["linking"], &["--owners", "6"]);
    assert!(held, "{text}");
    let equal = text
        .lines()
        .filter(|line| line.contains("| equal values |"));
    let equal: Vec<&str> = equal.collect();
    assert_eq!(equal.len(), 3, "{text}");
    assert!(
        equal.iter().all(|line| line.ends_with("| no link |")),
        "{text}"
    );
    assert!(
        text.contains("planted, one owner's identifier: found"),
        "{text}"
    );
    for party in ["agency", "agency-away", "insurer"] {
        let received = text.lines().find(|line| {
            line.starts_with(&format!("{party}: ")) && line.contains(" messages and ")
        });
        let messages: usize = received
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert!(messages >= 18, "{text}");
    }
}
