//! Every ending (C10), one row each.

use super::*;

/// Somebody whose YES was asked for.
fn asked() -> Story {
    let mut story = Story::new("CA", "2027-02-01");
    story.changed(Change::IncomeDown).answered(Finding::Yes);
    story
}

/// Somebody whose application the agency has.
pub(super) fn pending() -> Story {
    let mut story = asked();
    story.applies(Reply::Yes).filed();
    story
}

/// Somebody told of a loss.
pub(super) fn told() -> Story {
    let mut story = Story::covered("CA", "2027-01-01");
    story
        .on("2027-03-01")
        .changed(Change::IncomeUp)
        .answered(Finding::No);
    story
}

#[test]
fn each_ending_comes_of_its_cause() {
    type Play = fn() -> Story;
    let table: &[(Outcome, Play)] = &[
        (Outcome::StillEligible, || {
            let mut story = Story::covered("CA", "2027-01-01");
            story.changed(Change::IncomeUp).answered(Finding::Yes);
            story
        }),
        (Outcome::NotEligible, || {
            let mut story = Story::new("CA", "2027-01-01");
            story.changed(Change::Diagnosis).answered(Finding::No);
            story
        }),
        (Outcome::NeedsInfo, || {
            let mut story = Story::covered("CA", "2027-01-01");
            story.changed(Change::IncomeUp).answered(Finding::NeedsInfo);
            story
        }),
        (Outcome::Unanswered, || {
            let mut story = Story::new("CA", "2027-01-01");
            story.changed(Change::IncomeDown).after(ASKING_DAYS + 1);
            story
        }),
        (Outcome::Declined, || {
            let mut story = asked();
            story.applies(Reply::No);
            story
        }),
        (Outcome::Undone, || {
            let mut story = asked();
            story.applies(Reply::Undo);
            story
        }),
        (Outcome::NoReply, || {
            let mut story = asked();
            story.after(OWNER_DAYS + 1).answered(Finding::Yes);
            story.after(OWNER_DAYS + 1);
            story
        }),
        (Outcome::NotFiled, || {
            let mut story = asked();
            story.applies(Reply::Yes);
            let case = story.case();
            story.take(Event::NotFiled { case });
            story
        }),
        (Outcome::Accepted, || {
            let mut story = pending();
            story.accepted("CA", "2027-02-01");
            story
        }),
        (Outcome::Denied, || {
            let mut story = pending();
            let jurisdiction = state_of("CA");
            story.take(Event::Denied { jurisdiction });
            story
        }),
        (Outcome::AgencySilent, || {
            let mut story = pending();
            story.after(46).after(46);
            story
        }),
        (Outcome::Lost, || {
            let mut story = told();
            story.closed("CA", "2027-05-01");
            story
        }),
        (Outcome::Kept, || {
            let mut story = told();
            let jurisdiction = state_of("CA");
            story.take(Event::Kept { jurisdiction });
            story
        }),
        (Outcome::DisputeUpheld, || {
            let mut story = told();
            story.agrees_with_change(Reply::No);
            let (case, upheld) = (story.case(), true);
            story.take(Event::Reviewed { case, upheld });
            story
        }),
        (Outcome::DisputeOpen, || {
            let mut story = told();
            let case = story.case();
            story.take(Event::Disputed { case }).after(REVIEW_DAYS + 1);
            story
        }),
        (Outcome::Died, || {
            let mut story = pending();
            let on = story.today;
            story.take(Event::Died { on });
            story
        }),
    ];
    for (outcome, play) in table {
        let story = play();
        assert_eq!(story.outcome(), *outcome);
        assert_eq!(story.phase(), "none", "{outcome:?}");
        let files = usize::from(matches!(
            outcome,
            Outcome::NotFiled
                | Outcome::Accepted
                | Outcome::Denied
                | Outcome::AgencySilent
                | Outcome::Died
        ));
        assert_eq!(story.files(), files, "{outcome:?}");
        story.check_replay();
    }
}

#[test]
fn no_reply_is_asked_once_more_with_fresh_facts() {
    let mut story = asked();
    story.after(OWNER_DAYS);
    assert_eq!(story.phase(), "owner", "the last day counts");
    story.after(1);
    assert_eq!(story.phase(), "asking");
    assert_eq!(story.files(), 0);
}

#[test]
fn a_late_yes_opens_the_case_again_and_files_nothing_by_itself() {
    let mut story = asked();
    let matter = Matter::Apply { case: story.case() };
    story.after(OWNER_DAYS + 1).answered(Finding::Yes);
    story.after(OWNER_DAYS + 1);
    assert_eq!(story.outcome(), Outcome::NoReply);
    let reply = Reply::Yes;
    let mut too_late = story.clone();
    story
        .after(LATE_DAYS)
        .take(Event::Replied { matter, reply });
    assert_eq!((story.phase(), story.files()), ("asking", 0));
    too_late.after(LATE_DAYS + 1);
    too_late.take(Event::Replied { matter, reply });
    assert_eq!((too_late.phase(), too_late.files()), ("none", 0));
}

#[test]
fn unclear_replies_bring_a_person_and_file_nothing() {
    let mut story = asked();
    story.applies(Reply::Unclear).applies(Reply::Unclear);
    assert_eq!(story.texts(), [Template::Apply, Template::Human]);
    assert_eq!((story.phase(), story.files()), ("owner", 0));
    story.applies(Reply::Yes);
    assert_eq!(story.files(), 1);
}

#[test]
fn a_yes_taken_back_after_filing_takes_the_application_back() {
    let mut story = pending();
    story.applies(Reply::Undo);
    let notice = Notice::ApplicationWithdrawn;
    assert_eq!(story.notices(), [("CA".to_owned(), notice)]);
    assert_eq!(story.outcome(), Outcome::Undone);
}

#[test]
fn a_request_for_information_goes_to_the_agency_on_another_yes() {
    let mut story = pending();
    story.asked_for_information("CA", "2027-03-01");
    assert_eq!(story.phase(), "asking");
    story.answered(Finding::Yes);
    assert_eq!((story.phase(), story.files()), ("owner", 1));
    story.applies(Reply::Yes).filed();
    assert_eq!((story.phase(), story.files()), ("pending", 2));
    // Facts that do not help leave the decision to the agency.
    story.asked_for_information("CA", "2027-03-01");
    story.answered(Finding::No);
    assert_eq!((story.phase(), story.files()), ("pending", 2));
}

#[test]
fn a_denial_leaves_the_policy_in_force_and_ninety_days_for_a_hearing() {
    let mut story = Story::new("CA", "2027-02-01");
    story.changed(Change::IncomeDown).answered(Finding::No);
    story.quoted().takes_gap(Reply::Yes).enrolled();
    story.after(30).changed(Change::Diagnosis);
    story.answered(Finding::Yes).applies(Reply::Yes).filed();
    let case = story.case();
    let jurisdiction = state_of("CA");
    story.take(Event::Denied { jurisdiction });
    assert_eq!(story.state.gap.name(), "active");
    let mut late = story.clone();
    story.after(90).take(Event::Disputed { case });
    assert_eq!(story.notices(), [("CA".to_owned(), Notice::Hearing)]);
    late.after(91).take(Event::Disputed { case });
    assert_eq!(late.notices(), []);
    // An agency that thinks again is believed.
    story.accepted("CA", "2027-02-01");
    assert_eq!(story.days(), ["CA 2027-02-01"]);
}

#[test]
fn insurers_that_refuse_are_passed_over_and_the_record_says_so() {
    let mut story = Story::new("CA", "2027-02-01");
    story.changed(Change::IncomeDown).answered(Finding::No);
    for _ in 0..PLANS {
        let offer = story.state.offers;
        story.take(Event::GapRefused { offer });
    }
    assert_eq!(story.texts(), [Template::NotEligible, Template::NoGap]);
    story.after(10);
    assert_eq!(story.days().last().unwrap(), "refused 2027-02-01");
    assert!(!story.state.is_busy());
}

#[test]
fn a_second_change_takes_the_place_of_the_first_until_something_is_filed() {
    let mut story = asked();
    let first = story.case();
    story.changed(Change::Diagnosis);
    assert_eq!(story.phase(), "asking");
    let matter = Matter::Apply { case: first };
    assert!(story.actions.contains(&Action::Withdraw { matter }));
    // A YES to the text that was taken back files nothing.
    let reply = Reply::Yes;
    story.take(Event::Replied { matter, reply });
    assert_eq!(story.files(), 0);

    let mut story = pending();
    let to = state_of("NV");
    story.changed(Change::Moved { to });
    assert_eq!(story.phase(), "pending", "the move waits for the agency");
    story.accepted("CA", "2027-02-01");
    let case = story.state.case.unwrap();
    assert_eq!((case.kind, case.jurisdiction), (Kind::Move, to));
}

#[test]
fn a_job_lost_again_withdraws_the_notice_and_the_offer() {
    let mut story = told();
    story.quoted().agrees_with_change(Reply::Yes);
    assert_eq!(story.state.gap.name(), "offered");
    story.changed(Change::IncomeDown).answered(Finding::Yes);
    assert_eq!(story.outcome(), Outcome::StillEligible);
    assert_eq!(story.state.gap, Gap::None);
    assert_eq!(story.notices().last().unwrap().1, Notice::Withdrawn);
    assert_eq!(story.days(), ["CA 2027-01-01"]);
}

#[test]
fn a_dispute_that_fails_leaves_the_agency_to_act() {
    let mut story = told();
    let (case, upheld) = (story.case(), false);
    story.take(Event::Disputed { case });
    assert_eq!(story.phase(), "review");
    story.take(Event::Reviewed { case, upheld });
    assert_eq!(story.phase(), "closing");
    let notices: Vec<_> = story.notices().into_iter().map(|(_, n)| n).collect();
    assert_eq!(notices[1..], [Notice::Disputed, Notice::Confirmed]);
}

#[test]
fn a_dispute_after_the_date_asks_for_a_hearing() {
    let mut story = told();
    story.after(RESPOND_DAYS + 1);
    assert_eq!(story.phase(), "closing");
    let case = story.case();
    story.take(Event::Disputed { case });
    assert_eq!(story.notices().last().unwrap().1, Notice::Hearing);
}

#[test]
fn a_case_closed_without_a_word_is_asked_about_at_once() {
    let mut story = Story::covered("CA", "2027-01-01");
    story.on("2027-03-20").closed("CA", "2027-04-01");
    assert_eq!(story.state.case.unwrap().kind, Kind::Reinstatement);
    story.answered(Finding::Yes).applies(Reply::Yes).filed();
    story.accepted("CA", "2027-04-01");
    assert_eq!(story.days(), ["CA 2027-01-01"], "not a day was lost");
}

#[test]
fn a_policy_that_its_insurer_ends_is_replaced_by_another_offer() {
    let mut story = Story::new("CA", "2027-02-01");
    story.changed(Change::IncomeDown).answered(Finding::No);
    story.quoted().takes_gap(Reply::Yes).enrolled();
    let policy = "policy-1".to_owned();
    let on = day("2027-03-01");
    story.on("2027-02-20").take(Event::GapLapsed { policy, on });
    assert_eq!(story.state.gap.name(), "quoting");
    story.quoted().takes_gap(Reply::Yes).enrolled();
    assert_eq!(story.days(), ["gap 2027-02-01", "gap 2027-03-01"]);
}

#[test]
fn an_enrolment_that_comes_after_the_acceptance_is_void() {
    let mut story = pending();
    story.quoted().takes_gap(Reply::Yes);
    let Gap::Enrolling { offer, from, .. } = story.state.gap else {
        panic!("not enrolling");
    };
    story.accepted("CA", "2027-02-01");
    let policy = "late".to_owned();
    story.take(Event::GapEnrolled {
        offer,
        policy: policy.clone(),
        from,
    });
    assert!(story.actions.contains(&Action::EndGap { policy, on: from }));
    assert_eq!(story.days(), ["CA 2027-02-01"]);
}

#[test]
fn death_ends_everything_on_its_day_and_texts_nobody() {
    let mut story = told();
    story.quoted().agrees_with_change(Reply::Yes);
    let before = story.texts().len();
    let on = day("2027-03-10");
    story.on("2027-03-20").take(Event::Died { on });
    story.changed(Change::IncomeDown).after(400);
    assert_eq!(story.texts().len() - before, 0, "no text after the death");
    assert_eq!(story.notices().last().unwrap().1, Notice::Died { on });
    let balance = story.state.days.balance(story.today).unwrap();
    assert_eq!(
        balance.days,
        day("2027-03-11").number() - day("2027-01-01").number()
    );
    assert_eq!(balance.medicaid, balance.days);
}

#[test]
fn a_death_that_an_agency_takes_back_leaves_no_day_open_that_it_covers() {
    let on = day("2027-03-10");
    let dead = || {
        let mut story = told();
        story.on("2027-03-20").take(Event::Died { on });
        story
    };
    let jurisdiction = state_of("CA");

    let mut kept = dead();
    let before = kept.texts().len();
    kept.on("2027-04-01").take(Event::Kept { jurisdiction });
    assert_eq!(kept.state.died, None);
    assert_eq!(kept.days(), ["CA 2027-01-01"]);
    assert_eq!(kept.texts().len(), before, "nobody was told of the death");
    kept.changed(Change::IncomeDown);
    assert_eq!(kept.phase(), "asking");
    kept.check_replay();

    let mut lives = dead();
    lives.on("2027-04-01").take(Event::Lives { jurisdiction });
    assert_eq!(lives.days(), ["CA 2027-01-01"]);
    lives.check_replay();

    // Closed before that for a later day: it ends on that one.
    let mut closing = told();
    closing.on("2027-03-15").closed("CA", "2027-05-01");
    closing.on("2027-03-20").take(Event::Died { on });
    closing.on("2027-04-01").take(Event::Lives { jurisdiction });
    assert_eq!(closing.days(), ["CA 2027-01-01", "offering 2027-05-01"]);
    assert_eq!(closing.state.gap.name(), "quoting");
    closing.check_replay();

    // Nothing covered yet: cover is looked for from today, and the agency may accept from before.
    let mut applied = pending();
    let on = applied.today;
    applied.take(Event::Died { on });
    applied.after(5).take(Event::Lives { jurisdiction });
    assert_eq!(applied.state.gap.name(), "quoting");
    applied.accepted("CA", "2027-02-01");
    assert_eq!(applied.days(), ["CA 2027-02-01"]);
    applied.check_replay();
}

#[test]
fn an_acceptance_from_a_later_day_says_that_the_owner_lives_and_whose_the_days_between_are() {
    let mut story = Story::new("CA", "2027-01-15");
    let on = story.today;
    story.take(Event::Died { on });
    story.accepted("CA", "2027-03-01");
    assert_eq!(story.state.died, None);
    let days = ["notyet 2027-01-15", "saiddead 2027-01-16", "CA 2027-03-01"];
    assert_eq!(story.days(), days);
    story.after(60).check_replay();
}

#[test]
fn a_text_that_was_due_does_not_go_to_who_died_meanwhile() {
    let mut story = pending();
    let before = story.texts().len();
    let on = story.today;
    story.today = later(story.today, 60);
    story.take(Event::Died { on });
    assert_eq!(story.texts().len(), before);
}

#[test]
fn who_died_is_not_brought_back_by_another_agency_or_by_cover_before_the_death() {
    let on = day("2027-03-10");
    let mut story = told();
    story.on("2027-03-20").take(Event::Died { on });
    let jurisdiction = state_of("NV");
    story.take(Event::Kept { jurisdiction });
    story.accepted("CA", "2027-03-10");
    story.take(Event::Lives { jurisdiction });
    let jurisdiction = state_of("CA");
    story.take(Event::Denied { jurisdiction });
    assert_eq!(story.state.died, Some(on));
    assert_eq!(story.days(), ["CA 2027-01-01"]);
}

#[test]
fn an_offer_that_made_way_for_another_decision_is_quoted_anew() {
    let mut story = pending();
    story.quoted();
    assert_eq!(story.state.gap.name(), "offered");
    let first = story.state.offers;
    story.asked_for_information("CA", "2027-03-01");
    story.answered(Finding::Yes);
    let matter = Matter::Gap { offer: first };
    assert!(story.actions.contains(&Action::Withdraw { matter }));
    assert_eq!(story.state.gap, Gap::None);
    story.applies(Reply::Yes).filed();
    // A text about the old offer would ask about a decision that the owner was asked about before.
    assert_eq!(story.state.gap.name(), "quoting");
    assert!(story.state.offers > first);
}

#[test]
fn an_insurer_that_refuses_does_not_put_cover_off() {
    let mut story = told();
    let wanted = |story: &Story| {
        story.actions.iter().rev().find_map(|action| match action {
            Action::Quote { from, .. } => Some(*from),
            _ => None,
        })
    };
    let first = wanted(&story);
    let offer = story.state.offers;
    story.after(4).take(Event::GapRefused { offer });
    assert_eq!(wanted(&story), first);
}

#[test]
fn who_says_yes_after_the_policy_would_have_begun_is_offered_the_same_plan_again() {
    let mut story = Story::new("CA", "2027-02-01");
    story.changed(Change::IncomeDown).answered(Finding::No);
    story.quoted().after(3).takes_gap(Reply::Yes);
    let offer = story.state.offers;
    story.take(Event::GapRefused { offer });
    assert!(
        matches!(story.state.gap, Gap::Quoting { attempt: 1, .. }),
        "{:?}",
        story.state.gap
    );
}

#[test]
fn a_question_still_open_is_taken_back_when_the_agency_denies_or_the_change_is_disputed() {
    let mut story = pending();
    story.asked_for_information("CA", "2027-03-01");
    story.answered(Finding::Yes);
    let matter = Matter::Apply { case: story.case() };
    let jurisdiction = state_of("CA");
    story.take(Event::Denied { jurisdiction });
    assert!(story.actions.contains(&Action::Withdraw { matter }));

    let mut story = told();
    let case = story.case();
    let matter = Matter::Change { case };
    story.take(Event::Disputed { case });
    assert!(story.actions.contains(&Action::Withdraw { matter }));
}

#[test]
fn a_notice_about_engagement_is_told_while_another_case_is_open_and_the_marketplace_is_not() {
    let mut story = told();
    let sent = story.today;
    story.changed(Change::Engagement { sent });
    assert_eq!(story.texts().last(), Some(&Template::Show));
    story.agrees_with_change(Reply::Yes);
    story.after(10).closed("CA", "2027-05-01");
    story.quoted();
    let free = story.actions.iter().rev().find_map(|action| match action {
        Action::Text { text } if text.template == Template::Gap => Some(text.free.clone()),
        _ => None,
    });
    let free = free.expect("a plan is offered");
    assert!(!free.contains(&FreeOption::MarketplaceEnrolment));
}

#[test]
fn what_the_agency_keeps_is_not_asked_about_any_more() {
    let mut story = Story::covered("CA", "2027-01-01");
    let sent = story.today;
    story.changed(Change::Engagement { sent });
    story.answered(Finding::Yes);
    let matter = Matter::Apply { case: story.case() };
    let jurisdiction = state_of("CA");
    story.take(Event::Kept { jurisdiction });
    assert_eq!(story.outcome(), Outcome::Kept);
    assert!(story.actions.contains(&Action::Withdraw { matter }));
}
