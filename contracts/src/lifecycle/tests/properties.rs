//! Any sequence of events, in any order, at any time.

use proptest::prelude::*;

use super::*;

fn jurisdiction() -> impl Strategy<Value = Jurisdiction> {
    prop_oneof![Just("CA"), Just("NV"), Just("TX")].prop_map(state_of)
}

/// A day near the story's, before or after.
fn near() -> impl Strategy<Value = Day> {
    (-90i64..200).prop_map(|days| later(day("2027-03-01"), days))
}

fn watched() -> impl Strategy<Value = Watched> {
    prop_oneof![
        Just(Watched::Income),
        Just(Watched::Health),
        Just(Watched::Engagement),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::IncomeUp),
        Just(Change::IncomeDown),
        Just(Change::DependentsDown),
        Just(Change::Recovery),
        Just(Change::Diagnosis),
        Just(Change::RenewalDue),
        Just(Change::Closed),
        watched().prop_map(|what| Change::Watched { what }),
        jurisdiction().prop_map(|to| Change::Moved { to }),
        near().prop_map(|sent| Change::Engagement { sent }),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        3 => Just(Reply::Yes),
        1 => Just(Reply::No),
        1 => Just(Reply::Undo),
        1 => Just(Reply::Unclear),
        1 => Just(Reply::Closed),
    ]
}

/// What happens next; `open` speaks of what is open, else of some number.
#[derive(Debug, Clone)]
enum Op {
    Wait(i64),
    Plain(Event),
    Changed(Change),
    Answered(Finding),
    Apply(Reply),
    ChangeReply(Reply),
    Gap(Reply),
    Disputed,
    Reviewed(bool),
    Filed(bool),
    Quoted(bool),
    Enrolled(i64),
    Lapsed(i64),
    Wrong(u32, u32),
}

fn op() -> impl Strategy<Value = Op> {
    let plain = prop_oneof![
        (jurisdiction(), near(), proptest::option::of(near())).prop_map(
            |(jurisdiction, from, period_end)| Event::Covered {
                jurisdiction,
                from,
                period_end
            }
        ),
        near().prop_map(|until| Event::Protected { until }),
        (jurisdiction(), near(), proptest::option::of(near())).prop_map(
            |(jurisdiction, from, period_end)| Event::Accepted {
                jurisdiction,
                from,
                period_end
            }
        ),
        jurisdiction().prop_map(|jurisdiction| Event::Denied { jurisdiction }),
        (jurisdiction(), near()).prop_map(|(jurisdiction, until)| Event::InfoRequested {
            jurisdiction,
            until
        }),
        jurisdiction().prop_map(|jurisdiction| Event::Kept { jurisdiction }),
        jurisdiction().prop_map(|jurisdiction| Event::Lives { jurisdiction }),
        (jurisdiction(), near()).prop_map(|(jurisdiction, on)| Event::Closed { jurisdiction, on }),
        (jurisdiction(), near())
            .prop_map(|(jurisdiction, from)| Event::CoveredElsewhere { jurisdiction, from }),
    ];
    let finding = prop_oneof![
        2 => Just(Finding::Yes),
        2 => Just(Finding::No),
        1 => Just(Finding::NeedsInfo),
    ];
    prop_oneof![
        3 => (0i64..60).prop_map(Op::Wait),
        4 => plain.prop_map(Op::Plain),
        4 => change().prop_map(Op::Changed),
        5 => finding.prop_map(Op::Answered),
        5 => reply().prop_map(Op::Apply),
        2 => reply().prop_map(Op::ChangeReply),
        4 => reply().prop_map(Op::Gap),
        1 => Just(Op::Disputed),
        1 => any::<bool>().prop_map(Op::Reviewed),
        4 => prop::bool::weighted(0.8).prop_map(Op::Filed),
        4 => prop::bool::weighted(0.8).prop_map(Op::Quoted),
        4 => (0i64..5).prop_map(Op::Enrolled),
        1 => (-30i64..30).prop_map(Op::Lapsed),
        1 => (0u32..6, 0u32..6).prop_map(|(case, offer)| Op::Wrong(case, offer)),
    ]
}

/// The event that an operation stands for in a situation, if it makes one.
fn event(story: &Story, op: &Op, at: usize) -> Option<Event> {
    let open = story.state.case.map(|case| case.id);
    let case = open.or(story.state.last.map(|last| last.case)).unwrap_or(1);
    let offer = story.state.offers;
    Some(match op.clone() {
        Op::Wait(_) => Event::Tick,
        Op::Plain(event) => event,
        Op::Changed(change) => Event::Changed { change },
        Op::Answered(finding) => Event::Answered { case, finding },
        Op::Apply(reply) => Event::Replied {
            matter: Matter::Apply { case },
            reply,
        },
        Op::ChangeReply(reply) => Event::Replied {
            matter: Matter::Change { case },
            reply,
        },
        Op::Gap(reply) => Event::Replied {
            matter: Matter::Gap { offer },
            reply,
        },
        Op::Disputed => Event::Disputed { case },
        Op::Reviewed(upheld) => Event::Reviewed { case, upheld },
        Op::Filed(true) => Event::Filed { case },
        Op::Filed(false) => Event::NotFiled { case },
        Op::Quoted(true) => Event::GapQuoted {
            offer,
            quote: format!("quote-{at}"),
        },
        Op::Quoted(false) => Event::GapRefused { offer },
        // An insurer enrols only in what it was asked to, maybe from a later day.
        Op::Enrolled(days) => {
            let asked = story.actions.iter().rev().find_map(|action| match action {
                Action::Enrol { offer, from, .. } => Some((*offer, *from)),
                _ => None,
            });
            let (offer, from) = asked?;
            Event::GapEnrolled {
                offer,
                policy: format!("policy-{at}"),
                from: later(from, days),
            }
        }
        Op::Lapsed(days) => match &story.state.gap {
            Gap::Active { policy, .. } | Gap::Bought { policy, .. } => Event::GapLapsed {
                policy: policy.clone(),
                on: later(story.today, days),
            },
            _ => return None,
        },
        Op::Wrong(case, offer) => match offer % 2 {
            0 => Event::Replied {
                matter: Matter::Apply { case },
                reply: Reply::Yes,
            },
            _ => Event::GapRefused { offer },
        },
    })
}

fn play(ops: &[Op]) -> Story {
    let mut story = Story::new("CA", "2027-01-15");
    go_on(&mut story, ops);
    story
}

fn go_on(story: &mut Story, ops: &[Op]) {
    for (at, op) in (story.events.len()..).zip(ops) {
        if let Op::Wait(days) = op {
            story.today = later(story.today, *days);
        }
        if let Some(event) = event(story, op, at) {
            story.take(event);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// No sequence panics, covers a day twice, leaves one that nobody offered cover for, or files without a YES: all
    /// checked at every step. Then nothing happens for long: whatever is open ends. And a replay gives the same.
    #[test]
    fn whatever_happens_is_in_order_and_comes_to_an_end(
        ops in prop::collection::vec(op(), 1..40),
        died in proptest::option::of(near()),
        after in prop::collection::vec(op(), 0..10),
    ) {
        let mut story = play(&ops);
        if let Some(on) = died {
            story.take(Event::Died { on });
            go_on(&mut story, &after);
        }
        let mut days = 0;
        while story.state.is_busy() {
            story.after(5);
            days += 5;
            prop_assert!(days < 2_000, "still open: {:?} {:?}", story.state.case, story.state.gap);
        }
        story.check_replay();
    }

    /// A worker that looks daily and one that looks seldom come to the same state.
    #[test]
    fn how_often_the_machine_is_stepped_changes_nothing(
        ops in prop::collection::vec(op(), 1..30),
    ) {
        let seldom = play(&ops);
        let mut often = Story::new("CA", "2027-01-15");
        for (event, date) in &seldom.events {
            while often.today < *date {
                often.after(1);
            }
            often.today = *date;
            often.take(event.clone());
        }
        let mut state = often.state.clone();
        state.steps = seldom.state.steps;
        prop_assert_eq!(state, seldom.state);
    }
}
