//! Every way in which the three scenarios end, over the whole network of processes: some of `endings`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is how a test reports")]

mod support;

fn endings(arguments: &[&str]) -> (bool, String) {
    support::told(&["endings"], arguments)
}

#[test]
fn endings_leave_balanced_days_and_books_that_agree() {
    let names = [
        "no-reply",
        "unclear-reply",
        "late-reply",
        "declined",
        "undone",
        "denied",
        "watched-loss-of-income",
        "watched-job-found",
        "watched-household",
        "watched-recovery",
        "watched-move",
        "renewed",
        "renewal-missed",
        "engagement-not-shown",
        "said-dead",
        "wrong-reply",
        "closed-early",
    ];
    let (held, text) = endings(&[&["--together", "17"][..], &names].concat());
    assert!(held, "{text}");
    assert!(text.contains("17 endings in"), "{text}");
    assert!(text.contains(", 0 went wrong"), "{text}");
}

/// Needs `DATABASE_URL`, with the right to make databases.
#[test]
fn two_services_on_one_postgres_come_to_the_same_endings() {
    let Ok(url) = std::env::var("DATABASE_URL") else {
        return;
    };
    let names = ["declined", "closed-early", "renewed", "said-dead", "moved"];
    let (held, text) = endings(&[&["--together", "5", "--postgres", &url][..], &names].concat());
    assert!(held, "{text}");
    assert!(text.contains(", 0 went wrong"), "{text}");
}

#[test]
fn every_ending_that_the_rules_name_has_a_name() {
    let (listed, text) = endings(&["--list"]);
    assert!(listed);
    for name in [
        "no-reply",
        "unclear-reply",
        "late-reply",
        "declined",
        "undone",
        "dispute-upheld",
        "denied",
        "information-requested",
        "insurer-refuses",
        "needs-info",
        "second-change-before-filing",
        "second-change-after-filing",
        "member-dies",
        "two-states",
        "watched-loss-of-income",
        "watched-job-found",
        "watched-household",
        "watched-recovery",
        "watched-move",
        "renewed",
        "renewal-missed",
        "engagement-shown",
        "engagement-not-shown",
        "said-dead",
        "wrong-reply",
        "closed-early",
        "kept-after-closing",
        "protected",
        "denied-late",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "{name}: {text}"
        );
    }
}

#[test]
fn an_unknown_ending_says_what_to_write() {
    let (held, text) = endings(&["happily-ever-after"]);
    assert!(
        !held && text.contains("is no ending") && text.contains("late-reply"),
        "{text}"
    );
}
