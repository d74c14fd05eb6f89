//! What comes out of turn: an agency that corrects itself or answers late, a second change, a right that a later case must not
//! take away.

use super::endings::{pending, told};
use super::scenarios::{bought, renewing};
use super::*;

const DEPOSITS: Change = Change::Watched {
    what: Watched::Income,
};

fn ca() -> Jurisdiction {
    state_of("CA")
}

fn engaged() -> Story {
    let mut story = Story::covered("CA", "2027-01-01");
    let sent = day("2027-03-01");
    story.on("2027-03-01").changed(Change::Engagement { sent });
    story
}

fn hearings(story: &Story) -> usize {
    let hearing = |(_, notice): &(String, Notice)| *notice == Notice::Hearing;
    story.notices().iter().filter(|it| hearing(it)).count()
}

fn ends(story: &Story) -> Vec<String> {
    let ends = story.actions.iter().filter_map(|action| match action {
        Action::EndGap { policy, on } => Some(format!("{policy} {on}")),
        _ => None,
    });
    ends.collect()
}

#[test]
fn an_agency_keeps_a_case_that_it_had_closed_and_the_policy_is_void() {
    let mut story = bought();
    story.on("2027-04-10").closed("CA", "2027-05-01");
    assert_eq!(story.days(), ["CA 2027-01-01", "gap 2027-05-01"]);
    let mut late = story.clone();
    story
        .on("2027-04-20")
        .take(Event::Kept { jurisdiction: ca() });
    assert_eq!(story.days(), ["CA 2027-01-01"]);
    assert_eq!(ends(&story), ["policy-1 2027-05-01"]);
    let texts = story.texts();
    assert_eq!(
        texts[texts.len() - 2..],
        [Template::Accepted, Template::GapEnds]
    );
    assert_eq!(story.state.medicaid.unwrap().from, day("2027-01-01"));
    story.check_replay();
    // Months later it is another matter.
    late.on("2027-08-01")
        .take(Event::Kept { jurisdiction: ca() });
    assert_eq!(late.days(), ["CA 2027-01-01", "gap 2027-05-01"]);
    let nv = state_of("NV");
    late.on("2027-05-01").take(Event::Kept { jurisdiction: nv });
    assert_eq!(late.days(), ["CA 2027-01-01", "gap 2027-05-01"]);
}

#[test]
fn an_application_asked_about_after_a_closing_is_not_needed_when_the_case_is_kept() {
    let mut story = Story::covered("CA", "2027-01-01");
    story.on("2027-03-01").closed("CA", "2027-03-12");
    story.answered(Finding::Yes);
    let matter = Matter::Apply { case: story.case() };
    story.take(Event::Kept { jurisdiction: ca() });
    assert_eq!(story.outcome(), Outcome::Kept);
    assert!(story.actions.contains(&Action::Withdraw { matter }));
    assert_eq!(story.days(), ["CA 2027-01-01"]);
}

#[test]
fn an_agency_that_names_a_later_day_covers_up_to_it_and_the_policy_begins_there() {
    let mut story = bought();
    story.on("2027-04-10").closed("CA", "2027-05-01");
    story.on("2027-04-20").closed("CA", "2027-06-01");
    assert_eq!(ends(&story), ["policy-1 2027-05-01"]);
    story.quoted().takes_gap(Reply::Yes).enrolled();
    assert_eq!(story.days(), ["CA 2027-01-01", "gap 2027-06-01"]);
    story.check_replay();
}

#[test]
fn an_agency_that_names_an_earlier_day_leaves_the_policy_and_the_days_before_are_wanted() {
    let mut story = bought();
    story.on("2027-04-10").closed("CA", "2027-05-01");
    story.closed("CA", "2027-04-25");
    assert_eq!(ends(&story), [""; 0]);
    story.quoted().takes_gap(Reply::Yes).enrolled();
    assert_eq!(
        story.days(),
        ["CA 2027-01-01", "gap 2027-04-25", "gap 2027-05-01"]
    );
    story.check_replay();
    let texts = story.texts().len();
    story.closed("CA", "2027-04-25");
    assert_eq!(story.texts().len(), texts, "said twice, it is told once");
}

#[test]
fn whom_nobody_would_insure_so_far_ahead_is_asked_again_when_the_day_is_certain() {
    let mut story = told();
    for _ in 0..PLANS {
        let offer = story.state.offers;
        story.take(Event::GapRefused { offer });
    }
    assert_eq!(story.state.no_gap, Some(Why::Refused));
    story.on("2027-04-10").closed("CA", "2027-05-01");
    assert_eq!(story.state.gap.name(), "quoting");
    let mut declined = told();
    declined.quoted().agrees_with_change(Reply::Yes);
    declined.takes_gap(Reply::No);
    declined.on("2027-04-10").closed("CA", "2027-05-01");
    assert_eq!(declined.state.gap.name(), "none");
}

#[test]
fn what_is_being_asked_when_the_agency_closes_becomes_whether_to_apply() {
    let asked: [fn(&mut Story); 2] = [
        |story| {
            story.changed(Change::IncomeDown);
        },
        // Beside a notice that stands.
        |story| {
            story.changed(DEPOSITS);
        },
    ];
    for ask in asked {
        let mut story = told();
        ask(story.on("2027-04-15"));
        story.on("2027-04-16").closed("CA", "2027-05-01");
        assert_eq!(story.state.case.unwrap().kind, Kind::Reinstatement);
        story.answered(Finding::Yes);
        assert_eq!(story.texts().last(), Some(&Template::Apply));
        story.check_replay();
    }
    // An answer that made no difference leaves nothing to ask.
    let mut answered = told();
    answered.changed(DEPOSITS).answered(Finding::No);
    answered.closed("CA", "2027-05-01");
    assert_eq!(answered.outcome(), Outcome::Lost);
    // The question about a renewal goes on; a watch's word after the closing does not lose it.
    let mut renewal = renewing();
    renewal.answered(Finding::Yes).closed("CA", "2027-05-01");
    assert_eq!(renewal.phase(), "owner");
    renewal.changed(DEPOSITS).answered(Finding::Yes);
    assert_eq!(renewal.texts().last(), Some(&Template::Apply));
    renewal.check_replay();
}

#[test]
fn a_dispute_under_review_outlasts_what_changes_meanwhile() {
    let mut story = told();
    story.agrees_with_change(Reply::No);
    let case = story.case();
    let notices = story.notices().len();
    story.on("2027-03-10").changed(Change::DependentsUp);
    assert_eq!((story.phase(), story.case()), ("review", case));
    assert_eq!(story.notices().len(), notices);
    // Not upheld: the baby is looked at all the same, and makes it a YES.
    let mut refused = story.clone();
    refused.take(Event::Reviewed {
        case,
        upheld: false,
    });
    assert_eq!(refused.phase(), "closing");
    refused.answered(Finding::Yes);
    assert!(refused.notices().iter().any(|it| it.1 == Notice::Withdrawn));
    refused.check_replay();
    // Upheld: asked about as any change.
    story.take(Event::Reviewed { case, upheld: true });
    assert_eq!(story.phase(), "asking");
    story.check_replay();
}

#[test]
fn a_request_for_information_is_told_whenever_it_comes() {
    let mut responding = told();
    responding.asked_for_information("CA", "2027-04-04");
    assert_eq!(responding.texts().last(), Some(&Template::NeedsInfo));
    assert_eq!(responding.phase(), "respond");
    responding.answered(Finding::Yes);
    assert_eq!(responding.outcome(), Outcome::StillEligible);
    responding.check_replay();

    let mut covered = Story::covered("CA", "2027-01-01");
    covered.asked_for_information("CA", "2027-02-04");
    assert_eq!(covered.texts(), [Template::NeedsInfo]);
    covered.asked_for_information("NV", "2027-02-04");
    covered.asked_for_information("CA", "2026-12-31");
    assert_eq!(covered.texts().len(), 1);

    let mut silent = pending();
    silent.after(46).after(46);
    assert_eq!(silent.outcome(), Outcome::AgencySilent);
    silent.asked_for_information("CA", "2027-06-30");
    assert_eq!(silent.phase(), "asking");
    silent.answered(Finding::Yes).applies(Reply::Yes).filed();
    silent.check_replay();
}

#[test]
fn a_denial_that_nobody_waited_for_any_more_is_told_and_can_be_taken_to_a_hearing() {
    let mut story = pending();
    story.after(46).after(46);
    let case = story.state.last.unwrap().case;
    story.after(6).take(Event::Denied { jurisdiction: ca() });
    assert_eq!(story.texts().last(), Some(&Template::Refusal));
    assert_eq!(story.outcome(), Outcome::Denied);
    story.take(Event::Disputed { case });
    assert_eq!(hearings(&story), 1);
    story.check_replay();
    // It denies what it holds, and nothing else.
    let mut never = Story::new("CA", "2027-01-01");
    never.take(Event::Denied { jurisdiction: ca() });
    assert!(never.texts().is_empty());
}

#[test]
fn a_no_to_giving_more_information_leaves_the_application_with_the_agency() {
    for reply in [Reply::No, Reply::Undo] {
        let mut story = pending();
        story.asked_for_information("CA", "2027-02-20");
        story.answered(Finding::Yes).applies(reply);
        assert_eq!(story.phase(), "pending");
        story.take(Event::Denied { jurisdiction: ca() });
        assert_eq!(story.texts().last(), Some(&Template::Refusal));
    }
}

#[test]
fn a_hearing_is_asked_for_whatever_has_been_opened_since_and_once() {
    // Closed without a word.
    let mut closed = Story::covered("CA", "2027-01-01");
    closed.on("2027-03-20").closed("CA", "2027-04-01");
    let case = closed.case();
    closed.on("2027-03-21").take(Event::Disputed { case });
    assert_eq!(hearings(&closed), 1);
    closed.take(Event::Disputed { case });
    assert_eq!(hearings(&closed), 1);
    closed.check_replay();

    let mut denied = pending();
    denied
        .on("2027-02-20")
        .take(Event::Denied { jurisdiction: ca() });
    let case = denied.state.last.unwrap().case;
    denied
        .on("2027-03-01")
        .changed(DEPOSITS)
        .answered(Finding::No);
    let mut late = denied.clone();
    denied.on("2027-03-10").take(Event::Disputed { case });
    assert_eq!(hearings(&denied), 1);
    late.on("2027-05-22").take(Event::Disputed { case });
    assert_eq!(hearings(&late), 0, "after ninety days");
    let mut covered = denied.clone();
    covered
        .accepted("CA", "2027-03-01")
        .take(Event::Disputed { case });
    assert_eq!(hearings(&covered), 1, "there is nothing left to hear");
    let mut unknown = late.clone();
    unknown.take(Event::Disputed { case: 9 });
    assert_eq!(hearings(&unknown), 0);
}

#[test]
fn a_late_yes_counts_where_a_watch_had_opened_the_case() {
    let mut story = Story::new("CA", "2027-02-01");
    story.changed(DEPOSITS).answered(Finding::Yes);
    let case = story.case();
    story.after(OWNER_DAYS + 1).answered(Finding::Yes);
    story.after(OWNER_DAYS + 1);
    assert_eq!(story.outcome(), Outcome::NoReply);
    let matter = Matter::Apply { case };
    story.after(7).take(Event::Replied {
        matter,
        reply: Reply::Yes,
    });
    assert_eq!(story.phase(), "asking");
    // Not where the agency has covered since, and nothing is left to ask for.
    let hours = Change::Watched {
        what: Watched::Engagement,
    };
    let mut covered = Story::new("CA", "2027-02-01");
    covered.changed(hours).answered(Finding::Yes);
    let matter = Matter::Apply {
        case: covered.case(),
    };
    covered.after(OWNER_DAYS + 1).answered(Finding::Yes);
    covered.after(OWNER_DAYS + 1).accepted("CA", "2027-02-01");
    covered.take(Event::Replied {
        matter,
        reply: Reply::Yes,
    });
    assert_eq!(covered.phase(), "none");
}

#[test]
fn a_second_change_takes_no_day_to_dispute_away() {
    let disputes: [fn(&mut Story); 2] = [
        // While it is being asked about, and after facts were missing.
        |_| {},
        |story| {
            story.answered(Finding::NeedsInfo);
        },
    ];
    for go_on in disputes {
        let mut story = told();
        story.on("2027-03-10").changed(Change::Recovery);
        go_on(&mut story);
        let case = story.case();
        story.on("2027-03-12").take(Event::Disputed { case });
        assert_eq!(story.phase(), "review");
        assert_eq!(story.notices().last().unwrap().1, Notice::Disputed);
        story.check_replay();
    }
    // What was being asked still makes it a YES.
    let mut story = told();
    story.on("2027-03-10").changed(Change::Recovery);
    let case = story.case();
    story.take(Event::Disputed { case }).answered(Finding::Yes);
    assert_eq!(story.outcome(), Outcome::StillEligible);
    // A renewal that was told as a loss, too.
    let mut renewal = renewing();
    renewal.answered(Finding::No).changed(Change::Recovery);
    renewal.answered(Finding::NeedsInfo);
    assert_eq!(renewal.phase(), "respond");
    let until = renewal.state.case.unwrap().phase.until();
    assert_eq!(until, day("2027-05-02"));
    renewal.on("2027-05-03");
    assert_eq!(renewal.phase(), "closing");
    renewal.check_replay();
}

#[test]
fn a_protected_period_that_becomes_known_takes_a_loss_back() {
    let mut story = told();
    let matter = Matter::Change { case: story.case() };
    let until = day("2027-09-30");
    story.on("2027-03-05").take(Event::Protected { until });
    assert_eq!(story.outcome(), Outcome::Protected);
    assert_eq!(story.notices().last().unwrap().1, Notice::Withdrawn);
    assert!(story.actions.contains(&Action::Withdraw { matter }));
    assert_eq!(story.state.gap, Gap::None);
    story.on("2027-10-01");
    assert_eq!(story.phase(), "asking");
    story.check_replay();
    // One that is over already protects nothing.
    let mut past = told();
    let until = day("2027-02-28");
    past.take(Event::Protected { until });
    assert_eq!(past.phase(), "respond");
}

#[test]
fn a_renewal_tells_no_loss_in_a_protected_period() {
    let mut story = renewing();
    let until = day("2027-09-30");
    story.take(Event::Protected { until }).answered(Finding::No);
    assert_eq!(story.outcome(), Outcome::Protected);
    assert!(story.notices().is_empty() && story.texts().is_empty());
    story.on("2027-10-01");
    assert_eq!(story.phase(), "asking");
}

#[test]
fn a_renewal_that_nobody_replied_to_is_asked_about_once_more_before_the_forms_last_day() {
    let mut story = renewing();
    for round in 1..=ROUNDS {
        story.answered(Finding::Yes).after(OWNER_DAYS + 1);
        assert_eq!(story.phase() == "none", round == ROUNDS);
    }
    assert_eq!(story.outcome(), Outcome::NoReply);
    let next = story.state.renew_on.unwrap();
    story.after(later(next, -story.today.number()).number() - 1);
    assert_eq!(story.phase(), "none");
    story.after(1);
    assert_eq!(story.phase(), "asking");
    for _ in 0..ROUNDS {
        story.answered(Finding::Yes).after(OWNER_DAYS + 1);
    }
    assert_eq!(story.outcome(), Outcome::NoReply);
    assert_eq!(story.state.renew_on, None);
    story.check_replay();
    // Who said YES is asked again when the agency did not take it.
    let mut refused = renewing();
    refused.answered(Finding::Yes).applies(Reply::Yes);
    let case = refused.case();
    refused.take(Event::NotFiled { case }).after(AGAIN_DAYS);
    assert_eq!(refused.phase(), "asking");
}

#[test]
fn who_did_not_reply_about_engagement_has_the_days_to_show_it_all_the_same() {
    let mut story = engaged();
    for _ in 0..ROUNDS {
        story.answered(Finding::Yes).after(OWNER_DAYS + 1);
    }
    assert_eq!(story.phase(), "showing");
    assert_eq!(story.texts().last(), Some(&Template::Show));
    story.check_replay();
    let mut refused = engaged();
    refused.answered(Finding::Yes).applies(Reply::Yes);
    let case = refused.case();
    refused.take(Event::NotFiled { case });
    assert_eq!(refused.phase(), "showing");
    // What a watch had asked beside is no round of texts.
    let mut watched = engaged();
    watched.answered(Finding::No);
    let hours = Change::Watched {
        what: Watched::Engagement,
    };
    watched.changed(hours).answered(Finding::Yes);
    watched.after(OWNER_DAYS + 1);
    assert_eq!(watched.phase(), "asking");
}

#[test]
fn a_shorter_period_is_renewed_in_time() {
    let mut story = Story::new("CA", "2027-01-01");
    let accepted = |period_end| Event::Accepted {
        jurisdiction: ca(),
        from: day("2027-01-01"),
        period_end,
    };
    story.take(accepted(Some(day("2027-12-31"))));
    story.on("2027-03-01");
    story.take(accepted(Some(day("2027-08-31"))));
    story.take(accepted(None));
    let known = story.state.medicaid.unwrap();
    assert_eq!(known.period_end, Some(day("2027-08-31")));
    story.on("2027-06-05");
    assert_eq!(story.state.case.unwrap().kind, Kind::Renewal);
}

#[test]
fn a_death_that_was_none_does_not_end_a_renewal_for_good() {
    let mut story = renewing();
    let on = day("2027-04-05");
    story.on("2027-04-05").take(Event::Died { on });
    story
        .on("2027-04-10")
        .take(Event::Lives { jurisdiction: ca() })
        .after(1);
    assert_eq!(story.state.case.unwrap().kind, Kind::Renewal);
}

#[test]
fn a_policy_that_was_bought_stays_until_the_agency_has_accepted() {
    let mut story = renewing();
    story.answered(Finding::No).on("2027-05-17");
    story.quoted().takes_gap(Reply::Yes).enrolled();
    assert_eq!(story.state.gap.name(), "bought");
    story.changed(DEPOSITS).answered(Finding::Yes);
    assert_eq!(story.phase(), "owner");
    assert_eq!(story.state.gap.name(), "bought");
    let mut accepted = story.clone();
    accepted.applies(Reply::Yes).filed();
    accepted.accepted("CA", "2027-01-01");
    assert_eq!(ends(&accepted), ["policy-1 2027-07-01"]);
    accepted.check_replay();
    story.applies(Reply::No).closed("CA", "2027-07-01");
    assert_eq!(story.days(), ["CA 2027-01-01", "gap 2027-07-01"]);
    story.check_replay();
}

#[test]
fn what_insurers_of_the_state_left_behind_offer_is_not_sold_to_who_has_moved() {
    let mut story = told();
    story.quoted().agrees_with_change(Reply::Yes);
    assert_eq!(story.state.gap.name(), "offered");
    let to = state_of("NV");
    story.changed(Change::Moved { to }).answered(Finding::Yes);
    story.applies(Reply::Yes).filed();
    assert_eq!(story.state.gap, Gap::None);
    story.closed("CA", "2027-04-01");
    let asked = story.actions.iter().rev().find_map(|action| match action {
        Action::Quote { jurisdiction, .. } => Some(*jurisdiction),
        _ => None,
    });
    assert_eq!(asked, Some(to));
}

#[test]
fn who_did_not_want_a_policy_is_not_offered_one_with_every_paystub() {
    let mut story = Story::new("CA", "2027-02-01");
    story.changed(Change::IncomeDown).answered(Finding::No);
    story.quoted().takes_gap(Reply::No);
    let offers = story.state.offers;
    story.after(14).changed(DEPOSITS).answered(Finding::No);
    assert_eq!(story.state.offers, offers);
    // Nor who was never covered, and asked nothing.
    let mut never = Story::new("CA", "2027-02-01");
    never.changed(DEPOSITS).answered(Finding::No).after(7);
    assert_eq!(
        (never.state.offers, never.days()),
        (0, vec!["notyet 2027-02-01".to_owned()])
    );
    assert!(never.texts().is_empty());
    never.changed(DEPOSITS).answered(Finding::Yes);
    assert_eq!(never.days().last().unwrap(), "applying 2027-02-08");
}

#[test]
fn the_physician_hears_of_a_policy_that_comes_to_its_term() {
    let mut story = Story::new("CA", "2027-02-01");
    story.changed(Change::IncomeDown).answered(Finding::No);
    story.quoted().takes_gap(Reply::Yes).enrolled();
    let on = day("2027-06-01");
    let policy = "policy-1".to_owned();
    story.on("2027-05-18").take(Event::GapLapsed { policy, on });
    assert!(story.actions.contains(&Action::AlertPcp { on }));
}

#[test]
fn a_later_day_leaves_a_policy_that_was_bought_from_it_or_after() {
    let mut story = bought();
    story.on("2027-04-10").closed("CA", "2027-05-01");
    story.closed("CA", "2027-04-25").closed("CA", "2027-04-20");
    assert_eq!(story.state.medicaid.unwrap().ends, Some(day("2027-04-20")));
    story.closed("CA", "2027-05-01");
    assert_eq!(ends(&story), [""; 0]);
    assert_eq!(story.days(), ["CA 2027-01-01", "gap 2027-05-01"]);
    story.check_replay();
}

#[test]
fn a_correction_of_days_that_are_over_takes_none_from_who_covered_since() {
    let mut story = bought();
    story.on("2027-04-10").closed("CA", "2027-05-01");
    story.on("2027-06-10").closed("CA", "2027-04-25");
    assert_eq!(
        story.days(),
        ["CA 2027-01-01", "takenback 2027-04-25", "gap 2027-05-01"]
    );
    assert_eq!(story.texts().last(), Some(&Template::Ending));
    story.check_replay();
}

#[test]
fn a_later_day_changes_nothing_about_why_cover_ended() {
    let mut story = engaged();
    story.answered(Finding::No).closed("CA", "2027-05-31");
    story.closed("CA", "2027-06-30");
    assert!(story.state.engagement);
    // Who is not covered any more has nothing to show.
    let mut asked = engaged();
    asked.answered(Finding::Yes).closed("CA", "2027-03-20");
    for _ in 0..ROUNDS {
        asked.after(OWNER_DAYS + 1);
        if asked.phase() == "asking" {
            asked.answered(Finding::Yes);
        }
    }
    assert_eq!(asked.outcome(), Outcome::Lost);
    assert!(asked.state.engagement && !asked.texts().contains(&Template::Show));
}

#[test]
fn a_denial_after_a_silence_counts_beside_another_case() {
    let mut story = pending();
    story.after(46).after(46).changed(Change::IncomeDown);
    story.take(Event::Denied { jurisdiction: ca() });
    assert_eq!(story.texts().last(), Some(&Template::Refusal));
    assert_eq!(story.phase(), "asking");
    // Nor does a NO to giving more take the application back.
    let mut informed = pending();
    informed.after(46).after(46);
    informed.asked_for_information("CA", "2027-06-30");
    informed.answered(Finding::Yes).applies(Reply::No);
    assert_eq!(informed.phase(), "pending");
}

#[test]
fn each_agencys_decision_has_a_hearing_of_its_own() {
    let mut story = Story::covered("CA", "2027-01-01");
    story.on("2027-03-20").closed("CA", "2027-04-01");
    let first = story.case();
    let to = state_of("NV");
    story.changed(Change::Moved { to }).answered(Finding::Yes);
    story.applies(Reply::Yes).filed();
    let second = story.case();
    story.take(Event::Denied { jurisdiction: to });
    for (case, agency) in [(first, "CA"), (second, "NV")] {
        story.take(Event::Disputed { case });
        assert_eq!(
            story.notices().last().unwrap(),
            &(agency.to_owned(), Notice::Hearing)
        );
    }
    story.check_replay();
}

#[test]
fn a_renewal_is_asked_about_once_a_period() {
    // Waited for in silence, and asked though another change waited too.
    let mut silent = renewing();
    let until = day("2027-05-15");
    silent
        .take(Event::Protected { until })
        .answered(Finding::No);
    silent.on("2027-04-20").changed(Change::IncomeUp);
    silent.on("2027-05-16").answered(Finding::Yes);
    assert_eq!(silent.state.case.unwrap().kind, Kind::Renewal);
    // Renewed meanwhile, it is not asked again.
    let mut renewed = renewing();
    renewed
        .take(Event::Protected { until })
        .answered(Finding::No);
    renewed.take(Event::Accepted {
        jurisdiction: ca(),
        from: day("2027-01-01"),
        period_end: Some(day("2028-06-30")),
    });
    renewed.on("2027-05-16");
    assert_eq!(renewed.phase(), "none");
}

#[test]
fn a_state_of_the_version_before_keeps_its_rights() {
    let mut story = told();
    let case = story.case();
    let before = |state: &State| {
        let mut stored = serde_json::to_value(state).unwrap();
        stored["version"] = 2.into();
        stored.as_object_mut().unwrap().remove("adverse");
        if let Some(case) = stored["case"].as_object_mut() {
            case.remove("respond_until");
        }
        serde_json::from_value::<State>(stored).unwrap()
    };
    let (next, _) = step(&before(&story.state), &Event::Tick, story.today);
    assert_eq!(next.case.unwrap().respond_until, Some(day("2027-03-31")));
    story.closed("CA", "2027-05-01");
    let (_, actions) = step(
        &before(&story.state),
        &Event::Disputed { case },
        story.today,
    );
    let hearing = |action: &Action| {
        matches!(
            action,
            Action::Notify {
                notice: Notice::Hearing,
                ..
            }
        )
    };
    assert!(actions.iter().any(hearing));
}
