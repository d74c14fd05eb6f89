//! The three scenarios and the two of the calendar, from beginning to end.

use super::*;

#[test]
fn loss_with_a_policy_from_the_very_day_on_which_cover_ends() {
    let mut story = Story::covered("CA", "2027-01-01");
    story
        .on("2027-03-01")
        .changed(Change::IncomeUp)
        .answered(Finding::No);
    // Owner and agency are told in one step, and a policy is quoted in the same.
    assert_eq!(story.texts(), [Template::Change]);
    let dispute_until = day("2027-03-31");
    assert_eq!(
        story.notices(),
        [("CA".to_owned(), Notice::Loss { dispute_until })]
    );
    let quotes = |action: &&Action| matches!(action, Action::Quote { from, .. } if *from == day("2027-05-01"));
    assert_eq!(story.actions.iter().filter(quotes).count(), 1);
    story.quoted();
    // One decision at a time: the offer waits for the answer about the change.
    assert_eq!(story.texts(), [Template::Change]);
    story.agrees_with_change(Reply::Yes).takes_gap(Reply::Yes);
    // Her YES buys at once, from the day on which cover is expected to end.
    story.enrolled();
    assert_eq!(story.state.gap.name(), "bought");
    assert_eq!(story.days(), ["CA 2027-01-01"], "it covers nothing yet");
    story.on("2027-04-10").closed("CA", "2027-05-01");
    assert_eq!(story.outcome(), Outcome::Lost);
    assert_eq!(
        story.days(),
        ["CA 2027-01-01", "gap 2027-05-01"],
        "not a day between them"
    );
    // Medicaid again: the policy ends with the acceptance, on the day it takes effect.
    story
        .on("2027-06-15")
        .changed(Change::IncomeDown)
        .answered(Finding::Yes)
        .applies(Reply::Yes)
        .filed();
    assert_eq!(
        story.state.gap.name(),
        "active",
        "only the agency's word ends it"
    );
    story.on("2027-07-03").accepted("CA", "2027-07-01");
    assert_eq!(
        story.days(),
        ["CA 2027-01-01", "gap 2027-05-01", "CA 2027-07-01"]
    );
    let balance = story.state.days.balance(day("2027-08-01")).unwrap();
    assert_eq!((balance.days, balance.gap, balance.nobody), (212, 61, 0));
    story.check_replay();
}

/// A loss whose gap policy was bought from 1 May.
pub(super) fn bought() -> Story {
    let mut story = Story::covered("CA", "2027-01-01");
    story
        .on("2027-03-01")
        .changed(Change::IncomeUp)
        .answered(Finding::No)
        .quoted()
        .agrees_with_change(Reply::Yes)
        .takes_gap(Reply::Yes)
        .enrolled();
    assert_eq!(story.state.gap.name(), "bought");
    story
}

fn void() -> Action {
    Action::EndGap {
        policy: "policy-1".to_owned(),
        on: day("2027-05-01"),
    }
}

#[test]
fn a_policy_bought_ahead_is_void_when_medicaid_goes_on_after_all() {
    let kept: [fn(&mut Story); 3] = [
        |story| {
            let jurisdiction = state_of("CA");
            story.on("2027-04-10").take(Event::Kept { jurisdiction });
        },
        |story| {
            story.on("2027-04-10").accepted("CA", "2027-01-01");
        },
        // The agency says nothing: the day comes, and Medicaid covers it.
        |story| {
            story.on("2027-05-01");
        },
    ];
    for keep in kept {
        let mut story = bought();
        keep(&mut story);
        assert_eq!(story.state.gap, Gap::None);
        assert!(story.actions.contains(&void()));
        assert_eq!(story.texts().last(), Some(&Template::GapEnds));
        assert_eq!(story.days(), ["CA 2027-01-01"]);
        story.check_replay();
    }
}

#[test]
fn a_policy_bought_ahead_covers_no_day_that_medicaid_covers() {
    // Closed later than was expected: void, and another is asked for from that day.
    let mut late = bought();
    late.on("2027-04-20").closed("CA", "2027-06-01");
    assert!(late.actions.contains(&void()));
    assert_eq!(late.state.gap.name(), "quoting");
    let wanted = |action: &&Action| matches!(action, Action::Quote { from, .. } if *from == day("2027-06-01"));
    assert_eq!(late.actions.iter().filter(wanted).count(), 1);
    late.check_replay();
    // Closed while the insurer was still enrolling.
    let mut meanwhile = Story::covered("CA", "2027-01-01");
    meanwhile
        .on("2027-03-01")
        .changed(Change::IncomeUp)
        .answered(Finding::No)
        .quoted()
        .agrees_with_change(Reply::Yes)
        .takes_gap(Reply::Yes)
        .closed("CA", "2027-06-01")
        .enrolled();
    assert!(meanwhile.actions.contains(&void()));
    // Three months ahead; insurers are asked when they sell.
    assert_eq!(meanwhile.state.gap.name(), "none");
    meanwhile.on("2027-04-17");
    assert_eq!(meanwhile.state.gap.name(), "quoting");
    meanwhile.check_replay();
}

/// A policy was bought from 1 May, and Medicaid ends on 21 April.
fn closed_early() -> Story {
    let mut story = bought();
    story.on("2027-04-10").closed("CA", "2027-04-21");
    let wanted = |action: &&Action| matches!(action, Action::Quote { from, .. } if *from == day("2027-04-21"));
    assert_eq!(story.actions.iter().filter(wanted).count(), 1);
    assert!(!story.actions.contains(&void()));
    story
}

#[test]
fn the_days_before_a_policy_that_was_bought_ahead_are_covered_by_another() {
    let mut story = closed_early();
    story.quoted().takes_gap(Reply::Yes);
    let until = Some(day("2027-05-01"));
    let bridges =
        |action: &Action| matches!(action, Action::Enrol { until: it, .. } if *it == until);
    assert!(story.actions.iter().any(bridges));
    story.enrolled();
    let spans = ["CA 2027-01-01", "gap 2027-04-21", "gap 2027-05-01"];
    assert_eq!(story.days(), spans);
    let ends = |on| Action::EndGap {
        policy: "policy-2".to_owned(),
        on: day(on),
    };
    story.check_replay();
    // Medicaid again before either has begun: both are void.
    let mut again = story.clone();
    again.on("2027-04-15").accepted("CA", "2027-04-21");
    assert_eq!(again.days(), ["CA 2027-01-01"]);
    assert!(again.actions.contains(&void()));
    assert!(again.actions.contains(&ends("2027-04-21")));
    again.after(60);
    assert!(!again.actions.contains(&ends("2027-05-01")), "ended once");
    again.check_replay();
    story.on("2027-04-30");
    assert!(story.actions.contains(&ends("2027-05-01")));
    story.after(60);
    assert_eq!(story.days(), spans);
    assert_eq!(
        (story.state.gap.name(), &story.state.expiring),
        ("active", &None)
    );
}

#[test]
fn a_policy_that_was_bought_ahead_begins_though_none_was_found_for_the_days_before() {
    let unanswered: [fn(&mut Story); 4] = [
        |_| {},
        |story| {
            story.quoted();
        },
        |story| {
            story.quoted().takes_gap(Reply::No);
        },
        |story| {
            for _ in 0..PLANS {
                let offer = story.state.offers;
                story.take(Event::GapRefused { offer });
            }
        },
    ];
    for leave in unanswered {
        let mut story = closed_early();
        leave(&mut story);
        story.on("2027-05-01");
        assert_eq!(story.state.gap.name(), "active");
        assert_eq!(story.days().last().unwrap(), "gap 2027-05-01");
        assert!(!story.texts().contains(&Template::NoGap));
        story.check_replay();
        // An answer that comes now is too late.
        story.quoted().takes_gap(Reply::Yes);
        assert_eq!(story.state.gap.name(), "active");
    }
}

#[test]
fn a_policy_that_was_bought_ahead_is_void_when_medicaid_covers_before_it_or_the_owner_dies() {
    let mut accepted = closed_early();
    accepted.on("2027-04-15").accepted("CA", "2027-04-21");
    assert_eq!(accepted.days(), ["CA 2027-01-01"]);
    assert!(accepted.actions.contains(&void()));
    accepted.check_replay();
    let mut later = closed_early();
    later.on("2027-04-25").accepted("CA", "2027-05-11");
    let ends = Action::EndGap {
        policy: "policy-1".to_owned(),
        on: day("2027-05-11"),
    };
    later.on("2027-05-10");
    assert!(later.actions.contains(&ends));
    assert_eq!(later.days().last().unwrap(), "CA 2027-05-11");
    later.check_replay();
    let mut dead = closed_early();
    let on = day("2027-04-24");
    dead.on("2027-04-25").take(Event::Died { on });
    assert!(dead.actions.contains(&void()));
    dead.check_replay();
}

#[test]
fn what_is_offered_from_a_later_day_is_looked_for_anew_from_the_day_that_the_agency_names() {
    let so_far: [fn(&mut Story); 3] = [
        |_| {},
        |story| {
            story.quoted();
        },
        |story| {
            story.quoted().agrees_with_change(Reply::Yes);
        },
    ];
    for offered in so_far {
        let mut story = Story::covered("CA", "2027-01-01");
        story
            .on("2027-03-01")
            .changed(Change::IncomeUp)
            .answered(Finding::No);
        offered(&mut story);
        story.on("2027-03-02").closed("CA", "2027-04-21");
        story.quoted().takes_gap(Reply::Yes).enrolled();
        assert_eq!(story.days(), ["CA 2027-01-01", "gap 2027-04-21"]);
        story.check_replay();
    }
}

#[test]
fn reinstatement_files_on_a_yes() {
    let mut story = Story::new("CA", "2027-01-01");
    story
        .on("2027-02-01")
        .changed(Change::IncomeDown)
        .answered(Finding::Yes);
    assert_eq!((story.files(), story.phase()), (0, "owner"));
    story.applies(Reply::Yes);
    assert_eq!((story.files(), story.phase()), (1, "filing"));
    story.filed().accepted("CA", "2027-02-01");
    assert_eq!(story.outcome(), Outcome::Accepted);
    assert_eq!(story.days(), ["notyet 2027-01-01", "CA 2027-02-01"]);
    story.check_replay();
}

#[test]
fn a_move_applies_in_the_new_state_and_no_day_is_two_states() {
    let mut story = Story::covered("CA", "2027-01-01");
    let to = state_of("NV");
    story
        .on("2027-04-05")
        .changed(Change::Moved { to })
        .answered(Finding::Yes);
    assert_eq!(
        story.notices(),
        [],
        "the old state hears with the application"
    );
    story.applies(Reply::Yes).filed();
    assert_eq!(story.notices(), [("CA".to_owned(), Notice::Moved { to })]);
    story.on("2027-04-20").closed("CA", "2027-05-01");
    story.quoted().takes_gap(Reply::Yes).enrolled();
    assert_eq!(story.days(), ["CA 2027-01-01", "gap 2027-05-01"]);
    // Accepted from the month of the application: those days stay California's.
    story.on("2027-05-10").accepted("NV", "2027-04-01");
    assert_eq!(story.days(), ["CA 2027-01-01", "NV 2027-05-01"]);
    let void = Action::EndGap {
        policy: "policy-1".to_owned(),
        on: day("2027-05-01"),
    };
    assert!(story.actions.contains(&void));
    story.check_replay();
}

#[test]
fn a_move_tells_the_owner_either_way() {
    let mut story = Story::covered("CA", "2027-01-01");
    let to = state_of("TX");
    story.changed(Change::Moved { to }).answered(Finding::No);
    assert_eq!(story.texts(), [Template::NotEligible]);
    assert_eq!(story.notices(), [("CA".to_owned(), Notice::Moved { to })]);
    assert_eq!(story.outcome(), Outcome::NotEligible);
}

#[test]
fn cover_in_two_states_ends_in_the_first_where_the_second_begins() {
    let mut story = Story::covered("CA", "2027-01-01");
    story.on("2027-03-10").take(Event::CoveredElsewhere {
        jurisdiction: state_of("OR"),
        from: day("2027-03-01"),
    });
    assert_eq!(story.days(), ["CA 2027-01-01", "OR 2027-03-01"]);
    let by = state_of("OR");
    let from = day("2027-03-01");
    assert_eq!(
        story.notices(),
        [("CA".to_owned(), Notice::CoveredElsewhere { by, from })]
    );
}

#[test]
fn a_renewal_begins_by_itself_and_files_on_a_yes() {
    let mut story = Story::new("CA", "2027-01-01");
    story.take(Event::Covered {
        jurisdiction: state_of("CA"),
        from: day("2027-01-01"),
        period_end: Some(day("2027-06-30")),
    });
    story.on("2027-03-31");
    assert_eq!(story.phase(), "none");
    story.on("2027-04-01");
    assert_eq!(story.state.case.unwrap().kind, Kind::Renewal);
    story.answered(Finding::Yes).applies(Reply::Yes).filed();
    story.take(Event::Accepted {
        jurisdiction: state_of("CA"),
        from: day("2027-07-01"),
        period_end: Some(day("2027-12-31")),
    });
    assert_eq!(story.outcome(), Outcome::Accepted);
    assert_eq!(story.days(), ["CA 2027-01-01"]);
    story.on("2027-10-02");
    assert_eq!(
        story.state.case.unwrap().kind,
        Kind::Renewal,
        "the next one"
    );
}

#[test]
fn a_renewal_with_facts_missing_is_tried_again_while_the_form_can_be_returned() {
    let mut story = Story::new("CA", "2027-01-01");
    story.take(Event::Covered {
        jurisdiction: state_of("CA"),
        from: day("2027-01-01"),
        period_end: Some(day("2027-06-30")),
    });
    story.on("2027-04-01").answered(Finding::NeedsInfo);
    assert_eq!(story.outcome(), Outcome::NeedsInfo);
    story.on("2027-04-15").answered(Finding::Yes);
    assert_eq!(story.phase(), "owner");
}

#[test]
fn engagement_leaves_thirty_days_and_never_names_the_marketplace() {
    let mut story = Story::covered("GA", "2027-01-01");
    let sent = day("2027-03-01");
    story.on("2027-03-01").changed(Change::Engagement { sent });
    story.answered(Finding::No);
    assert_eq!(story.phase(), "showing");
    story.on("2027-04-04");
    assert_eq!(story.phase(), "showing", "cover goes on meanwhile");
    story.on("2027-04-05");
    assert_eq!(story.phase(), "closing");
    story.quoted();
    assert_eq!(
        story.texts(),
        [Template::Show, Template::Ending, Template::Gap]
    );
    story.takes_gap(Reply::No).closed("GA", "2027-06-01");
    assert_eq!(story.outcome(), Outcome::Lost);
    assert_eq!(story.days(), ["GA 2027-01-01", "declined 2027-06-01"]);
    // Nor later, when she cannot get back in.
    story.on("2027-07-01").changed(Change::IncomeDown);
    story.answered(Finding::No);
    for action in &story.actions {
        if let Action::Text { text } = action {
            assert!(!text.free.contains(&FreeOption::MarketplaceEnrolment));
        }
    }
}

#[test]
fn engagement_shown_by_new_facts_is_filed_on_a_yes() {
    let mut story = Story::covered("GA", "2027-01-01");
    let sent = day("2027-03-01");
    story.on("2027-03-01").changed(Change::Engagement { sent });
    story.answered(Finding::NeedsInfo).on("2027-03-20");
    story.changed(Change::IncomeUp);
    assert_eq!(story.state.case.unwrap().kind, Kind::Engagement);
    story.answered(Finding::Yes).applies(Reply::Yes).filed();
    story.accepted("GA", "2027-01-01");
    assert_eq!(story.outcome(), Outcome::Accepted);
}

#[test]
fn a_protected_period_is_respected_and_looked_at_when_it_is_over() {
    let mut story = Story::covered("CA", "2027-01-01");
    let until = day("2027-09-30");
    story.take(Event::Protected { until });
    story.on("2027-03-01").changed(Change::IncomeUp);
    assert_eq!(story.outcome(), Outcome::Protected);
    assert_eq!((story.notices(), story.texts()), (vec![], vec![]));
    story.on("2027-10-01");
    assert_eq!(story.state.case.unwrap().kind, Kind::Loss);
}

/// Insured from 1 February, which the insurer says a day late, up to 2 June; and by another policy from then on.
fn insured_twice() -> Story {
    let mut story = Story::new("CA", "2027-02-01");
    story
        .changed(Change::IncomeDown)
        .answered(Finding::No)
        .quoted()
        .takes_gap(Reply::Yes)
        .on("2027-02-02")
        .enrolled();
    let Gap::Active { policy, .. } = story.state.gap.clone() else {
        panic!("not insured: {:?}", story.state.gap);
    };
    let on = day("2027-06-02");
    story.on("2027-05-19").take(Event::GapLapsed { policy, on });
    story.quoted().takes_gap(Reply::Yes).enrolled();
    story
}

#[test]
fn a_policy_that_comes_to_its_term_is_followed_by_another_without_a_day_between() {
    let mut story = insured_twice();
    assert_eq!(story.days(), ["gap 2027-02-01", "gap 2027-06-02"]);
    story.after(30);
    assert_eq!(story.state.expiring, None);
    assert_eq!(story.state.gap.name(), "active");
    story.check_replay();
}

#[test]
fn both_policies_end_where_medicaid_begins_before_the_first_is_over() {
    let ends = |story: &Story| {
        let ends = story.actions.iter().filter_map(|action| match action {
            Action::EndGap { policy, on } => Some(format!("{policy} {on}")),
            _ => None,
        });
        ends.collect::<Vec<_>>()
    };
    let mut accepted = insured_twice();
    accepted.on("2027-05-25").accepted("CA", "2027-05-24");
    assert_eq!(
        ends(&accepted),
        ["policy-1 2027-05-24", "policy-2 2027-06-02"]
    );
    assert_eq!(accepted.days().last().unwrap(), "CA 2027-05-24");
    assert_eq!(accepted.state.expiring, None);
    accepted.check_replay();

    let mut later = insured_twice();
    later.on("2027-06-20").accepted("CA", "2027-06-10");
    assert_eq!(ends(&later), ["policy-2 2027-06-10"]);
    later.check_replay();

    let mut dead = insured_twice();
    let on = day("2027-05-24");
    dead.on("2027-05-25").take(Event::Died { on });
    assert_eq!(ends(&dead), ["policy-2 2027-06-02", "policy-1 2027-05-25"]);
    dead.check_replay();
}

/// Covered up to the end of June, and asked about the renewal.
pub(super) fn renewing() -> Story {
    let mut story = Story::new("CA", "2027-01-01");
    let jurisdiction = state_of("CA");
    story.take(Event::Covered {
        jurisdiction,
        from: day("2027-01-01"),
        period_end: Some(day("2027-06-30")),
    });
    story.on("2027-04-02");
    assert_eq!(story.phase(), "asking");
    story
}

#[test]
fn a_renewal_that_nothing_answered_is_tried_again() {
    let mut story = renewing();
    story.after(ASKING_DAYS + 1);
    assert_eq!(story.outcome(), Outcome::Unanswered);
    story.after(AGAIN_DAYS);
    assert_eq!(story.phase(), "asking");
    // Not once it was renewed.
    story.after(ASKING_DAYS + 1);
    let jurisdiction = state_of("CA");
    story.take(Event::Covered {
        jurisdiction,
        from: day("2027-07-01"),
        period_end: Some(day("2027-12-31")),
    });
    story.after(AGAIN_DAYS);
    assert_eq!(story.phase(), "none");
}

#[test]
fn who_will_not_be_renewed_is_offered_cover_from_the_end_of_the_period() {
    let mut story = renewing();
    story.answered(Finding::No);
    let wanted = |story: &Story| {
        let asks = |action: &Action| matches!(action, Action::Quote { from, .. } if *from == day("2027-07-01"));
        story.actions.iter().any(asks)
    };
    // Hardly an insurer sells a policy that begins in three months.
    story.on("2027-05-16");
    assert!(!wanted(&story));
    story.on("2027-05-17");
    assert!(wanted(&story));
    story.check_replay();
}

#[test]
fn a_loss_that_was_told_is_withdrawn_when_the_renewal_turns_out_well() {
    let mut story = renewing();
    story.answered(Finding::No).changed(Change::IncomeDown);
    story.answered(Finding::Yes);
    assert_eq!(story.notices().last().unwrap().1, Notice::Withdrawn);
    assert_eq!(story.phase(), "owner");
}
