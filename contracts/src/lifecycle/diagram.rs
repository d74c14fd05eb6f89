//! The state diagram of each lifecycle contract, found by stepping the machine through every event from every phase.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Action, Change, Event, Finding, Kind, Matter, Phase, Reply, State, step};
use crate::ids::Jurisdiction;
use crate::units::{BadDate, Day};

/// What tells two situations of one case apart for what may come next.
type Situation = (&'static str, bool, bool, bool, bool);

fn situation(state: &State) -> Option<Situation> {
    let case = state.case?;
    let overdue = matches!(case.phase, Phase::Pending { overdue: true, .. });
    let text = case.phase.has_open_text();
    let last_round = case.round >= super::ROUNDS;
    Some((case.phase.name(), case.filed, overdue, text, last_round))
}

/// The start of a case of a kind.
fn begin(kind: Kind, home: Jurisdiction, other: Jurisdiction, day: Day) -> State {
    let state = State::new(home, "contract", day);
    let covered = Event::Covered {
        jurisdiction: home,
        from: day,
        period_end: None,
    };
    let change = match kind {
        Kind::Loss => Change::IncomeUp,
        Kind::Reinstatement => Change::IncomeDown,
        Kind::Move => Change::Moved { to: other },
        Kind::Renewal => Change::RenewalDue,
        Kind::Engagement => Change::Engagement { sent: day },
    };
    let state = match kind {
        Kind::Reinstatement => state,
        _ => step(&state, &covered, day).0,
    };
    step(&state, &Event::Changed { change }, day).0
}

/// Every event that can speak of the open case, with its name in the diagram.
fn events(state: &State, day: Day) -> Vec<(&'static str, Event)> {
    let Some(case) = state.case else {
        return Vec::new();
    };
    let (case, jurisdiction) = (case.id, case.jurisdiction);
    let answered = |finding| Event::Answered { case, finding };
    let apply = |reply| Event::Replied {
        matter: Matter::Apply { case },
        reply,
    };
    let change = |reply| Event::Replied {
        matter: Matter::Change { case },
        reply,
    };
    vec![
        ("decided YES", answered(Finding::Yes)),
        ("decided NO", answered(Finding::No)),
        ("facts missing", answered(Finding::NeedsInfo)),
        ("replies YES", apply(Reply::Yes)),
        ("replies NO", apply(Reply::No)),
        ("takes YES back", apply(Reply::Undo)),
        ("text closed", apply(Reply::Closed)),
        ("says it is right", change(Reply::Yes)),
        ("says it is wrong", change(Reply::No)),
        ("disputes", Event::Disputed { case }),
        ("dispute right", Event::Reviewed { case, upheld: true }),
        (
            "dispute wrong",
            Event::Reviewed {
                case,
                upheld: false,
            },
        ),
        ("agency has it", Event::Filed { case }),
        ("agency did not take it", Event::NotFiled { case }),
        (
            "agency accepts",
            Event::Accepted {
                jurisdiction,
                from: day,
                period_end: None,
            },
        ),
        ("agency denies", Event::Denied { jurisdiction }),
        (
            "agency asks",
            Event::InfoRequested {
                jurisdiction,
                until: day,
            },
        ),
        ("agency keeps", Event::Kept { jurisdiction }),
        (
            "agency closes",
            Event::Closed {
                jurisdiction,
                on: day,
            },
        ),
    ]
}

/// The Mermaid state diagram of a kind of case.
///
/// # Errors
/// Never: its dates are within the calendar.
pub fn mermaid(kind: Kind) -> Result<String, BadDate> {
    let day = Day::from_ymd(2027, 1, 4)?;
    let mut all = Jurisdiction::all();
    let (home, other) = match (all.next(), all.next()) {
        (Some(home), Some(other)) => (home, other),
        _ => return Err(BadDate(String::new())),
    };
    let start = begin(kind, home, other, day);
    let first = start.case.map_or("none", |case| case.phase.name());
    let mut edges: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    let mut seen = BTreeSet::from_iter(situation(&start));
    let mut open = VecDeque::from([start]);
    let mut order: Vec<&str> = Vec::new();
    while let Some(state) = open.pop_front() {
        let Some(case) = state.case else { continue };
        let from = case.phase.name();
        if !order.contains(&from) {
            order.push(from);
        }
        let mut tries: Vec<_> = events(&state, state.today)
            .into_iter()
            .map(|(name, event)| (name, event, state.today))
            .collect();
        tries.push(("deadline", Event::Tick, case.phase.until().plus(1)?));
        for (name, event, date) in tries {
            let (next, actions) = step(&state, &event, date);
            let ended = actions.iter().find_map(|action| match action {
                Action::Log { entry } => entry.ended.iter().find(|(id, _)| *id == case.id),
                _ => None,
            });
            let to = match (ended, next.case) {
                (Some((_, outcome)), _) => outcome.name(),
                (None, Some(after)) if situation(&next) != situation(&state) => after.phase.name(),
                _ => continue,
            };
            if ended.is_none() && situation(&next).is_some_and(|new| seen.insert(new)) {
                open.push_back(next);
            }
            let names = edges.entry((from, to.to_owned())).or_default();
            if !names.contains(&name) && to != from {
                names.push(name);
            }
        }
    }
    let mut text = format!("stateDiagram-v2\n    [*] --> {first}\n");
    let mut ends = BTreeSet::new();
    for from in &order {
        for ((_, to), names) in edges.iter().filter(|((of, _), _)| of == from) {
            if names.is_empty() {
                continue;
            }
            text.push_str(&format!("    {from} --> {to}: {}\n", names.join(", ")));
            if !order.contains(&to.as_str()) {
                ends.insert(to.clone());
            }
        }
    }
    for end in ends {
        text.push_str(&format!("    {end} --> [*]\n"));
    }
    Ok(text)
}
