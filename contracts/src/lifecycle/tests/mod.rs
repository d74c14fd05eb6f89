//! A story told step by step; what must hold of every step is checked at every step.

mod corrections;
mod endings;
mod properties;
mod scenarios;
mod watched;

use std::collections::BTreeMap;

use super::*;

pub(super) const CONTRACT: &str = "us.medicaid.adult-group";

pub(super) fn day(text: &str) -> Day {
    text.parse().unwrap()
}

pub(super) fn state_of(code: &str) -> Jurisdiction {
    code.parse().unwrap()
}

/// What has been filed, answered and put in force so far, kept apart from the machine's own state.
#[derive(Debug, Default, Clone)]
struct Witness {
    /// Whether the text about the last question of a case was answered YES.
    yes: BTreeMap<u32, bool>,
    /// First day of each policy, and the first after it.
    policies: BTreeMap<String, (Day, Option<Day>)>,
}

#[derive(Clone)]
pub(super) struct Story {
    pub(super) state: State,
    pub(super) today: Day,
    pub(super) actions: Vec<Action>,
    events: Vec<(Event, Day)>,
    first: State,
    witness: Witness,
}

impl Story {
    pub(super) fn new(home: &str, today: &str) -> Self {
        let first = State::new(state_of(home), CONTRACT, day(today));
        Self {
            state: first.clone(),
            today: day(today),
            actions: Vec::new(),
            events: Vec::new(),
            first,
            witness: Witness::default(),
        }
    }

    /// Covered since the first day.
    pub(super) fn covered(home: &str, today: &str) -> Self {
        let mut story = Self::new(home, today);
        let from = story.today;
        story.take(Event::Covered {
            jurisdiction: state_of(home),
            from,
            period_end: None,
        });
        story
    }

    /// Steps, and checks what must hold of every step.
    pub(super) fn take(&mut self, event: Event) -> &mut Self {
        let (next, actions) = step(&self.state, &event, self.today);
        if let Event::Replied {
            matter: Matter::Apply { case },
            reply: Reply::Yes,
        } = event
        {
            self.witness.yes.insert(case, true);
        }
        match &event {
            Event::GapEnrolled { policy, from, .. } => {
                self.witness.policies.insert(policy.clone(), (*from, None));
            }
            Event::GapLapsed { policy, on } => {
                let policy = self.witness.policies.get_mut(policy).unwrap();
                policy.1 = Some(policy.0.max(*on));
            }
            _ => {}
        }
        for action in &actions {
            match action {
                Action::Ask { case, .. } => {
                    self.witness.yes.insert(*case, false);
                }
                Action::File { case, .. } => {
                    let yes = self.witness.yes.insert(*case, false);
                    assert_eq!(yes, Some(true), "filed without a YES to this question");
                }
                Action::EndGap { policy, on } => {
                    let policy = self.witness.policies.get_mut(policy).unwrap();
                    policy.1 = Some(*on);
                }
                _ => {}
            }
        }
        next.days.balance(next.today).unwrap();
        self.check_policies(&next);
        let json = serde_json::to_string(&next).unwrap();
        assert_eq!(serde_json::from_str::<State>(&json).unwrap(), next);
        self.events.push((event, self.today));
        assert_eq!(next.steps, self.state.steps + 1);
        self.state = next;
        self.actions.extend(actions);
        self
    }

    /// A policy in force as its insurer knows it is the one in the ledger, day by day: neither double nor missing. One that was
    /// bought ahead is in force when Medicaid is not.
    fn check_policies(&self, next: &State) {
        for span in next.days.spans() {
            if let Payer::Gap { policy } = &span.payer {
                let (from, to) = self.witness.policies[policy];
                assert!(span.from >= from && (to.is_none() || to == span.to));
            }
        }
        if let Gap::Active { policy, .. } | Gap::Bought { policy, .. } = &next.gap {
            assert_eq!(self.witness.policies[policy].1, None);
        }
        if let Some(ahead) = &next.ahead {
            assert!(ahead.from > next.today && self.witness.policies[&ahead.policy].1.is_none());
        }
        if let Some(expiring) = &next.expiring {
            let (from, to) = self.witness.policies[&expiring.policy];
            let known = if expiring.to_end {
                None
            } else {
                Some(expiring.until)
            };
            assert!(from <= expiring.from && to == known);
        }
        // From today on; what was paid for days that are over is the insurer's and the agency's to settle.
        for (policy, (from, to)) in &self.witness.policies {
            let expiring = next.expiring.as_ref().filter(|it| it.policy == *policy);
            let to = to.or(expiring.map(|it| it.until));
            let bought = matches!(&next.gap, Gap::Bought { policy: it, .. } if it == policy);
            let from = (*from).max(next.today);
            let covers = |day: Day| day >= from && to.is_none_or(|to| day < to);
            for span in next.days.spans() {
                let first = span.from.max(from);
                let double = covers(first) && span.to.is_none_or(|to| first < to);
                let medicaid = matches!(span.payer, Payer::Medicaid { .. });
                assert!(bought || !medicaid || !double, "{policy} is paid twice");
            }
        }
    }

    pub(super) fn on(&mut self, date: &str) -> &mut Self {
        self.today = day(date);
        self.take(Event::Tick)
    }

    pub(super) fn after(&mut self, days: i64) -> &mut Self {
        self.today = later(self.today, days);
        self.take(Event::Tick)
    }

    pub(super) fn case(&self) -> u32 {
        self.state.case.expect("a case is open").id
    }

    pub(super) fn phase(&self) -> &'static str {
        self.state.case.map_or("none", |case| case.phase.name())
    }

    pub(super) fn changed(&mut self, change: Change) -> &mut Self {
        self.take(Event::Changed { change })
    }

    pub(super) fn answered(&mut self, finding: Finding) -> &mut Self {
        let case = self.case();
        self.take(Event::Answered { case, finding })
    }

    pub(super) fn applies(&mut self, reply: Reply) -> &mut Self {
        let matter = Matter::Apply { case: self.case() };
        self.take(Event::Replied { matter, reply })
    }

    pub(super) fn agrees_with_change(&mut self, reply: Reply) -> &mut Self {
        let matter = Matter::Change { case: self.case() };
        self.take(Event::Replied { matter, reply })
    }

    pub(super) fn filed(&mut self) -> &mut Self {
        let case = self.case();
        self.take(Event::Filed { case })
    }

    pub(super) fn accepted(&mut self, of: &str, from: &str) -> &mut Self {
        self.take(Event::Accepted {
            jurisdiction: state_of(of),
            from: day(from),
            period_end: None,
        })
    }

    pub(super) fn closed(&mut self, of: &str, on: &str) -> &mut Self {
        self.take(Event::Closed {
            jurisdiction: state_of(of),
            on: day(on),
        })
    }

    pub(super) fn asked_for_information(&mut self, agency: &str, until: &str) -> &mut Self {
        self.take(Event::InfoRequested {
            jurisdiction: state_of(agency),
            until: day(until),
        })
    }

    pub(super) fn quoted(&mut self) -> &mut Self {
        let offer = self.state.offers;
        self.take(Event::GapQuoted {
            offer,
            quote: format!("quote-{offer}"),
        })
    }

    pub(super) fn takes_gap(&mut self, reply: Reply) -> &mut Self {
        let offer = self.state.offers;
        let matter = Matter::Gap { offer };
        self.take(Event::Replied { matter, reply })
    }

    /// The insurer does as it was asked.
    pub(super) fn enrolled(&mut self) -> &mut Self {
        let Gap::Enrolling { offer, from, .. } = self.state.gap else {
            panic!("nothing is to be enrolled in: {:?}", self.state.gap);
        };
        self.take(Event::GapEnrolled {
            offer,
            policy: format!("policy-{offer}"),
            from,
        })
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.state.last.expect("a case has ended").outcome
    }

    pub(super) fn texts(&self) -> Vec<Template> {
        self.actions
            .iter()
            .filter_map(|action| match action {
                Action::Text { text } => Some(text.template),
                _ => None,
            })
            .collect()
    }

    pub(super) fn notices(&self) -> Vec<(String, Notice)> {
        self.actions
            .iter()
            .filter_map(|action| match action {
                Action::Notify {
                    jurisdiction,
                    notice,
                    ..
                } => Some((jurisdiction.code().to_owned(), *notice)),
                _ => None,
            })
            .collect()
    }

    pub(super) fn files(&self) -> usize {
        let filed = |action: &&Action| matches!(action, Action::File { .. });
        self.actions.iter().filter(filed).count()
    }

    /// The ledger in short: payer and first day.
    pub(super) fn days(&self) -> Vec<String> {
        self.state
            .days
            .spans()
            .iter()
            .map(|span| {
                let payer = match &span.payer {
                    Payer::Medicaid { jurisdiction } => jurisdiction.code().to_owned(),
                    Payer::Gap { .. } => "gap".to_owned(),
                    Payer::Nobody { why } => format!("{why:?}").to_lowercase(),
                };
                format!("{payer} {}", span.from)
            })
            .collect()
    }

    /// Replaying the same events gives the same state.
    pub(super) fn check_replay(&self) {
        assert_eq!(replay(self.first.clone(), &self.events), self.state);
    }
}

#[test]
fn the_readme_shows_the_diagrams_that_the_code_prints() {
    let readme = include_str!("../README.md");
    let missing: Vec<String> = Kind::ALL
        .map(|kind| (kind, diagram::mermaid(kind).unwrap()))
        .into_iter()
        .map(|(kind, diagram)| format!("### {}\n\n```mermaid\n{diagram}```\n", kind.name()))
        .filter(|block| !readme.contains(block))
        .collect();
    assert!(
        missing.is_empty(),
        "src/lifecycle/README.md does not show:\n{}",
        missing.join("\n")
    );
}

#[test]
fn a_state_of_an_earlier_version_goes_on_and_one_of_a_later_version_is_not_read() {
    let story = Story::covered("CA", "2027-01-01");
    let mut stored = serde_json::to_value(&story.state).unwrap();
    stored["version"] = 1.into();
    let earlier: State = serde_json::from_value(stored.clone()).unwrap();
    let (next, _) = step(&earlier, &Event::Tick, story.today);
    assert_eq!(next.version, VERSION);
    stored["version"] = (VERSION + 1).into();
    let error = serde_json::from_value::<State>(stored).unwrap_err();
    assert!(error.to_string().contains("update it"), "{error}");
}
