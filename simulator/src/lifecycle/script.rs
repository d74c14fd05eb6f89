//! What an ending is made of.

use contracts::ids::Jurisdiction;
use contracts::lifecycle::{Change, Gap, Outcome, Phase};
use contracts::units::Day;
use profile::agency::What;
use profile::lifecycle::Coverage;

use crate::demo::live::Scenario;
use crate::demo::story::home;
use crate::external::double::Double;

/// An ending: how a scenario goes, day by day, and what is left of it in everybody's books.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Its name on the command line.
    pub name: &'static str,
    /// Which scenario.
    pub scenario: Scenario,
    /// What differs from how it goes when nothing goes wrong.
    pub differs: &'static str,
    /// Pay in percent of the fixtures' first person.
    pub pay_percent: u16,
    /// People in the household; none where the registry has no record.
    pub household: Option<u8>,
    /// Whether the EHR knows of a pregnancy.
    pub pregnant: bool,
    /// What happens, by days after the beginning.
    pub script: Vec<(i64, Vec<Step>)>,
    /// What is left.
    pub ends: Ends,
}

/// What is left at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// How the last case ended.
    pub outcome: Option<Outcome>,
    /// The ledger in short: payer and first day of each span; `nobody` where it has been closed.
    pub days: Vec<String>,
    /// Texts by name, in alphabetical order.
    pub texts: Vec<String>,
    /// Applications, with what was said and told of each, by agency.
    pub agencies: Vec<String>,
    /// Policies sold, each with its days.
    pub policies: Vec<String>,
    /// Changes that a watch told.
    pub watched: usize,
}

/// One thing that happens, or that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A job ends; payroll's next report shows it.
    JobLost,
    /// Work is found.
    JobFound,
    /// The registry learns of another size of the household.
    Household(u8),
    /// The EHR learns that the owner's pregnancy is over.
    Recovers,
    /// The registry learns that the owner lives in the other state.
    LivesElsewhere,
    /// The same, and the owner reports it.
    Moves,
    /// The owner lets facts be watched, and every node watches them.
    Agree,
    /// The owner takes that back, and every node has forgotten them.
    TakeBack,
    /// An oracle dies.
    Kill(u16),
    /// It is started again.
    Restart(u16),
    /// Waits until all oracles that run have seen payroll's last word on the owner, and the profile knows what they saw.
    Seen,
    /// The owner reports a change.
    Report(Change),
    /// The owner disputes the open case, or the last, other than by text.
    Dispute,
    /// Replies to the newest question with these words and its code word.
    Reply(&'static str),
    /// Replies to an earlier question, counted from 1.
    ReplyAgain(usize, &'static str),
    /// A caseworker says something about the latest application.
    Says(&'static str, What),
    /// Waits until an agency was told.
    Told(&'static str, &'static str),
    /// Waits for so many texts of a name.
    Texted(&'static str, usize),
    /// Waits until the record shows it.
    Until(Sight),
}

/// What the record shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The owner is asked whether to apply, for the nth time in a case.
    Asked(u8),
    /// The agency determines.
    Pending,
    /// Owner and agency were told of a change.
    Told,
    /// A person reviews a dispute.
    Review,
    /// The agency may close.
    Closing,
    /// A gap policy is offered.
    Offered,
    /// The offer was answered YES.
    Taken,
    /// A gap policy is bought.
    Insured,
    /// Nothing was or could be sold.
    Uninsured,
    /// A state's Medicaid covers, and no end is known.
    Covered(Jurisdiction),
    /// The last case ended so, and none is open.
    Ended(Outcome),
    /// A case of this number is open.
    Case(u32),
    /// Cover may not be ended for a change.
    Protected,
}

impl Sight {
    /// Whether a record shows it.
    pub fn is_in(self, record: &Coverage) -> bool {
        let state = &record.state;
        let phase = state.case.map(|case| case.phase);
        match self {
            Self::Asked(round) => {
                matches!(phase, Some(Phase::Owner { .. }))
                    && state.case.is_some_and(|case| case.round == round)
            }
            Self::Pending => matches!(phase, Some(Phase::Pending { .. })),
            Self::Told => matches!(phase, Some(Phase::Respond { .. })),
            Self::Review => matches!(phase, Some(Phase::Review { .. })),
            Self::Closing => matches!(phase, Some(Phase::Closing { .. })),
            Self::Offered => matches!(state.gap, Gap::Offered { .. }),
            Self::Taken => !matches!(
                state.gap,
                Gap::None | Gap::Quoting { .. } | Gap::Quoted { .. } | Gap::Offered { .. }
            ),
            Self::Insured => matches!(state.gap, Gap::Active { .. }),
            Self::Uninsured => state.gap == Gap::None && state.no_gap.is_some(),
            Self::Covered(of) => {
                let covers = state.medicaid.filter(|cover| cover.ends.is_none());
                covers.is_some_and(|cover| cover.jurisdiction == of)
            }
            Self::Ended(outcome) => {
                state.case.is_none() && state.last.is_some_and(|last| last.outcome == outcome)
            }
            Self::Case(id) => state.case.is_some_and(|case| case.id == id),
            Self::Protected => state.protected.is_some(),
        }
    }
}

impl Ending {
    /// An ending in which nothing has happened yet.
    pub fn new(name: &'static str, scenario: Scenario, differs: &'static str) -> Self {
        Self {
            name,
            scenario,
            differs,
            pay_percent: 100,
            household: Some(1),
            pregnant: false,
            script: Vec::new(),
            ends: Ends::default(),
        }
    }

    /// Somebody with other pay, in percent, or another household.
    pub fn of(mut self, pay_percent: u16, household: Option<u8>) -> Self {
        (self.pay_percent, self.household) = (pay_percent, household);
        self
    }

    /// Somebody who is pregnant, as the EHR has it.
    pub fn pregnant(mut self) -> Self {
        self.pregnant = true;
        self
    }

    /// What happens so many days after the beginning, after what happens on that day already.
    pub fn on(mut self, day: i64, steps: impl IntoIterator<Item = Step>) -> Self {
        match self.script.iter_mut().find(|(on, _)| *on == day) {
            Some((_, before)) => before.extend(steps),
            None => self.script.push((day, steps.into_iter().collect())),
        }
        self
    }

    /// How the last case ends, and the ledger.
    pub fn ends<const N: usize>(mut self, outcome: Outcome, days: [&str; N]) -> Self {
        self.ends.outcome = Some(outcome);
        self.ends.days = days.map(str::to_owned).to_vec();
        self
    }

    /// The texts that came, in any order; `covered` for those of somebody who became so.
    pub fn texts(mut self, names: &str) -> Self {
        let names = names.replace("covered", "apply confirm filed free_market gap accepted");
        self.ends.texts = names.split_whitespace().map(str::to_owned).collect();
        self.ends.texts.sort_unstable();
        self
    }

    /// What an agency has in its books about one application; once for each.
    pub fn at(mut self, application: &str) -> Self {
        self.ends.agencies.push(application.to_owned());
        self
    }

    /// A policy that was sold.
    pub fn sold(mut self, policy: &str) -> Self {
        self.ends.policies.push(policy.to_owned());
        self
    }

    /// How many changes a watch told.
    pub fn watched(mut self, changes: usize) -> Self {
        self.ends.watched = changes;
        self
    }

    /// The last day on which something happens.
    pub fn last_day(&self) -> i64 {
        self.script.iter().map(|(day, _)| *day).max().unwrap_or(0)
    }

    /// The owner's records.
    pub fn double(&self, number: u16) -> Double {
        Double {
            number,
            pay_percent: self.pay_percent,
            household: self.household,
            state: home(),
            pregnant: self.pregnant,
        }
    }
}

/// A day of the table.
///
/// # Panics
/// For text that is none: the table is written in the code.
pub fn day(text: &str) -> Day {
    text.parse().expect("the table's days are YYYY-MM-DD")
}
