//! What follows when a watch says that a fact changed, and neither what nor which way.

use super::*;

const INCOME: Change = Change::Watched {
    what: Watched::Income,
};
const HOURS: Change = Change::Watched {
    what: Watched::Engagement,
};

fn asks(story: &Story) -> usize {
    let asked = |action: &&Action| matches!(action, Action::Ask { .. });
    story.actions.iter().filter(asked).count()
}

#[test]
fn the_answer_tells_whether_a_change_is_a_loss_or_a_way_back() {
    let mut covered = Story::covered("CA", "2027-01-01");
    covered.changed(INCOME).answered(Finding::No);
    assert_eq!(covered.phase(), "respond");
    assert_eq!(covered.texts(), [Template::Change]);
    let mut uncovered = Story::new("CA", "2027-01-01");
    uncovered.changed(INCOME).answered(Finding::Yes);
    assert_eq!(uncovered.phase(), "owner");
    assert_eq!(uncovered.texts(), [Template::Apply]);
}

#[test]
fn nobody_is_texted_about_what_nobody_asked_and_makes_no_difference() {
    for (mut story, finding, outcome) in [
        (
            Story::covered("CA", "2027-01-01"),
            Finding::Yes,
            Outcome::StillEligible,
        ),
        (
            Story::covered("CA", "2027-01-01"),
            Finding::NeedsInfo,
            Outcome::NeedsInfo,
        ),
        (
            Story::new("CA", "2027-01-01"),
            Finding::No,
            Outcome::NotEligible,
        ),
        (
            Story::new("CA", "2027-01-01"),
            Finding::NeedsInfo,
            Outcome::NeedsInfo,
        ),
    ] {
        story.changed(INCOME).answered(finding);
        assert_eq!(story.outcome(), outcome);
        assert!(story.texts().is_empty(), "{outcome:?}");
        assert!(story.notices().is_empty(), "{outcome:?}");
    }
}

#[test]
fn a_told_loss_keeps_its_days_however_many_paystubs_come_and_is_withdrawn_on_a_yes() {
    let mut story = Story::covered("CA", "2027-01-01");
    story
        .on("2027-03-01")
        .changed(Change::IncomeUp)
        .answered(Finding::No);
    let until = story.state.case.unwrap().phase.until();
    for date in ["2027-03-08", "2027-03-22"] {
        story.on(date).changed(INCOME).answered(Finding::No);
        assert_eq!(story.state.case.unwrap().phase.until(), until);
    }
    assert_eq!(story.texts(), [Template::Change], "told once");
    assert_eq!(story.notices().len(), 1);
    assert_eq!(asks(&story), 3);

    story
        .on("2027-03-29")
        .changed(INCOME)
        .answered(Finding::Yes);
    assert_eq!(story.outcome(), Outcome::StillEligible);
    let last = story.notices().pop().unwrap();
    assert_eq!(last, ("CA".to_owned(), Notice::Withdrawn));
}

#[test]
fn two_changes_while_a_loss_is_told_are_both_answered() {
    let mut story = Story::covered("CA", "2027-01-01");
    story.changed(Change::IncomeUp).answered(Finding::No);
    story.changed(INCOME).changed(INCOME);
    // The first was being answered when the second came.
    story.answered(Finding::No).answered(Finding::Yes);
    assert_eq!(story.outcome(), Outcome::StillEligible);
}

#[test]
fn the_text_about_a_loss_is_taken_back_when_it_is_none_any_more() {
    let mut story = Story::covered("CA", "2027-01-01");
    story.changed(Change::IncomeUp).answered(Finding::No);
    let asks = Matter::Change { case: story.case() };
    story.changed(INCOME).answered(Finding::Yes);
    let taken_back = Action::Withdraw { matter: asks };
    assert!(story.actions.contains(&taken_back));
}

#[test]
fn a_review_is_not_disturbed() {
    let mut story = Story::covered("CA", "2027-01-01");
    story.changed(Change::IncomeUp).answered(Finding::No);
    story.agrees_with_change(Reply::No).changed(INCOME);
    assert_eq!(story.phase(), "review");
    let (case, upheld) = (story.case(), true);
    story.take(Event::Reviewed { case, upheld });
    assert_eq!(story.outcome(), Outcome::DisputeUpheld);
    assert_eq!(asks(&story), 1, "the same record is not asked again");
}

#[test]
fn who_said_no_is_not_asked_with_every_paystub_but_is_when_they_report() {
    let mut story = Story::new("CA", "2027-01-01");
    story.changed(INCOME).answered(Finding::Yes);
    story.applies(Reply::No);
    story.after(14).changed(INCOME).after(LATE_DAYS - 14);
    story.changed(INCOME);
    assert_eq!(asks(&story), 1);
    let mut later = story.clone();
    later.after(1).changed(INCOME);
    assert_eq!(later.phase(), "asking");
    story.changed(Change::IncomeDown);
    assert_eq!(story.phase(), "asking");
}

#[test]
fn a_case_that_the_agency_keeps_open_is_not_told_of_again() {
    let mut story = Story::covered("CA", "2027-01-01");
    story.changed(INCOME).answered(Finding::No);
    let jurisdiction = state_of("CA");
    story.take(Event::Kept { jurisdiction });
    story.after(14).changed(INCOME);
    assert_eq!(story.phase(), "none");
    assert_eq!(story.notices().len(), 1);
}

#[test]
fn what_an_owner_asked_is_answered_though_a_watch_speaks_between() {
    let mut story = Story::new("CA", "2027-01-01");
    story
        .changed(Change::IncomeDown)
        .changed(INCOME)
        .answered(Finding::No);
    assert_eq!(story.texts(), [Template::NotEligible]);
}

#[test]
fn hours_matter_to_who_is_to_show_them_or_is_not_covered() {
    let mut story = Story::covered("CA", "2027-01-01");
    story.changed(HOURS);
    assert_eq!((story.phase(), asks(&story)), ("none", 0));
    let sent = story.today;
    story
        .changed(Change::Engagement { sent })
        .answered(Finding::No);
    let until = story.state.case.unwrap().phase.until();
    story.changed(HOURS).answered(Finding::No);
    assert_eq!(story.phase(), "showing");
    assert_eq!(story.state.case.unwrap().phase.until(), until);
    assert_eq!(story.texts(), [Template::Show], "asked for once");
    story.changed(HOURS).answered(Finding::Yes);
    assert_eq!(story.phase(), "owner");

    let mut uncovered = Story::new("CA", "2027-01-01");
    uncovered.changed(HOURS);
    assert_eq!(uncovered.phase(), "asking");
}

#[test]
fn what_comes_while_the_agency_determines_is_asked_after() {
    let mut story = Story::new("CA", "2027-02-01");
    story.changed(Change::IncomeDown).answered(Finding::Yes);
    story.applies(Reply::Yes).filed().changed(INCOME);
    assert_eq!(story.phase(), "pending");
    story.accepted("CA", "2027-02-01");
    assert_eq!(story.phase(), "asking");
    assert_eq!(story.state.case.unwrap().kind, Kind::Loss);
    story.check_replay();
}

#[test]
fn a_protected_period_is_waited_for() {
    let mut story = Story::covered("CA", "2027-01-01");
    story.take(Event::Protected {
        until: day("2027-06-30"),
    });
    story.changed(INCOME);
    assert_eq!(story.outcome(), Outcome::Protected);
    story.on("2027-07-01");
    assert_eq!(story.phase(), "asking");
}
