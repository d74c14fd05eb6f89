#![doc = include_str!("README.md")]

mod action;
mod agency;
mod case;
mod days;
mod death;
pub mod diagram;
mod event;
mod gap;
mod loss;
mod open;
mod owner;
mod settle;
#[cfg(test)]
mod tests;
mod watched;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub use action::{Action, Audience, Ended, FreeOption, Notice, Template, Text, Transition};
pub use case::{Case, Kind, Outcome, Phase};
pub use days::{Balance, Days, Payer, Span, Unbalanced, Why};
pub use event::{Change, Event, Finding, Matter, Reply};
pub use gap::{Ahead, Expiring, Gap};
pub use watched::{Meaning, Watched, meaning};

use crate::ids::Jurisdiction;
use crate::units::Day;

/// Version of the stored form of a [`State`]. One of a later version is not read: who knows less of it must not step it.
pub const VERSION: u16 = 3;

/// Days for a question to be answered, retries included.
pub const ASKING_DAYS: i64 = 10;
/// Days the owner has to reply to one text; agencies take replies of up to seven.
pub const OWNER_DAYS: i64 = 5;
/// Times that the owner is asked anew before no reply counts as one; each time with fresh facts.
pub const ROUNDS: u8 = 2;
/// Unclear replies after which a person is called in.
pub const UNCLEAR: u8 = 2;
/// Days for an application to reach the agency.
pub const FILING_DAYS: i64 = 14;
/// Days after a case ended without a reply in which a YES opens it again: those in which a returned form reopens a
/// closed case (42 CFR 435.916(b)(2)(iii)).
pub const LATE_DAYS: i64 = 90;
/// Days to respond to a notice of a change: what an agency gives at least (42 CFR 435.919).
pub const RESPOND_DAYS: i64 = 30;
/// Days for a person to review a dispute.
pub const REVIEW_DAYS: i64 = 45;
/// Days after which an agency that was told of a loss and did nothing is taken to do nothing.
pub const CLOSING_DAYS: i64 = 60;
/// Days for an insurer to quote or enrol.
pub const INSURER_DAYS: i64 = 7;
/// Days before the last of a policy on which the next one is looked for: for the insurer, for the owner, and two.
pub const LAPSE_DAYS: i64 = INSURER_DAYS + OWNER_DAYS + 2;
/// Plans tried for one offer.
pub const PLANS: u8 = 3;
/// Days before cover is wanted on which insurers are asked, where it is further off than a change that is told today can bring.
pub const QUOTE_DAYS: i64 = 45;
/// Days until facts that a renewal lacks are looked for again.
pub const AGAIN_DAYS: i64 = 14;
/// Days after its last covered day in which an agency may correct that day: those for a hearing, and for a form that comes late.
pub const CORRECTION_DAYS: i64 = 90;
/// Changes kept for later while an application is with the agency.
pub const WAITING: usize = 8;

/// Medicaid as the agency says it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Medicaid {
    /// Whose.
    pub jurisdiction: Jurisdiction,
    /// First covered day.
    pub from: Day,
    /// First day not covered, once the agency has said so.
    pub ends: Option<Day>,
    /// Last day of the certification period, where known.
    pub period_end: Option<Day>,
    /// Whether its renewal was begun.
    pub renewing: bool,
}

/// What an agency decided against the owner, who may ask for a hearing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adverse {
    /// Whose.
    pub jurisdiction: Jurisdiction,
    /// The day it was told.
    pub told: Day,
    /// The case that it ended or opened.
    pub case: u32,
}

/// Everything the machine knows of one profile. It names no person, and no value of any fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// [`VERSION`].
    #[serde(deserialize_with = "known_version")]
    pub version: u16,
    /// Steps taken.
    pub steps: u64,
    /// The last day seen; time does not go back.
    pub today: Day,
    /// Where the owner lives.
    pub home: Jurisdiction,
    /// The eligibility contract asked about.
    pub contract: String,
    /// Medicaid, where the owner has it or had it last.
    pub medicaid: Option<Medicaid>,
    /// The last day of a protected period.
    pub protected: Option<Day>,
    /// The open case.
    pub case: Option<Case>,
    /// Changes that wait until the open case has ended.
    pub waiting: Vec<Change>,
    /// A change to be looked at again from a day on.
    pub again: Option<(Day, Change)>,
    /// When a renewal is to be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_on: Option<Day>,
    /// How the last case ended.
    pub last: Option<Ended>,
    /// Cases opened.
    pub cases: u32,
    /// Gap cover.
    pub gap: Gap,
    /// A policy that still covers, up to where Medicaid or the one of `gap` begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiring: Option<Expiring>,
    /// A policy that begins later, while `gap` is about the days before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Ahead>,
    /// When insurers are to be asked about cover from a later day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote_on: Option<(Day, Day)>,
    /// Offers made.
    pub offers: u32,
    /// How the last offer failed, until cover begins again.
    pub no_gap: Option<Why>,
    /// Whether cover was lost for want of community engagement: then the Marketplace is no way out.
    pub engagement: bool,
    /// Whether the agency asked to show it, and has not accepted or kept the case since.
    #[serde(default)]
    pub engagement_asked: bool,
    /// The coverage ledger.
    pub days: Days,
    /// What hearings can be asked for about, one of an agency.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adverse: Vec<Adverse>,
    /// When the owner died.
    pub died: Option<Day>,
    /// Medicaid as it stood then, should that be wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_death: Option<Medicaid>,
    /// The day the last [`Action::Timer`] named.
    pub timer: Option<Day>,
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let version = u16::deserialize(deserializer)?;
    if version > VERSION {
        return Err(D::Error::custom(format!(
            "version {version} of a lifecycle state, and this program knows up to {VERSION}: update it"
        )));
    }
    Ok(version)
}

impl State {
    /// A profile that nothing is known of yet.
    pub fn new(home: Jurisdiction, contract: &str, today: Day) -> Self {
        let mut days = Days::default();
        days.begin(Payer::Nobody { why: Why::NotYet }, today);
        Self {
            version: VERSION,
            steps: 0,
            today,
            home,
            contract: contract.to_owned(),
            medicaid: None,
            protected: None,
            case: None,
            waiting: Vec::new(),
            again: None,
            renew_on: None,
            last: None,
            cases: 0,
            gap: Gap::None,
            expiring: None,
            ahead: None,
            quote_on: None,
            offers: 0,
            no_gap: None,
            engagement: false,
            engagement_asked: false,
            days,
            adverse: Vec::new(),
            died: None,
            before_death: None,
            timer: None,
        }
    }

    /// Medicaid that has no end yet.
    fn open_cover(&self) -> Option<&Medicaid> {
        self.medicaid
            .as_ref()
            .filter(|medicaid| medicaid.ends.is_none())
    }

    /// Whether cover may not be ended for a change on a day.
    fn is_protected(&self, on: Day) -> bool {
        self.protected.is_some_and(|until| until >= on)
    }

    /// Whether something waits for a day or a reply.
    pub fn is_busy(&self) -> bool {
        self.case.is_some() || self.gap.is_open() || !self.waiting.is_empty()
    }
}

/// Takes one event on a day. What was due before that day is done first, so that it does not matter how late the machine is
/// stepped; a day before the last one seen counts as that.
pub fn step(state: &State, event: &Event, date: Day) -> (State, Vec<Action>) {
    let mut run = Run {
        date: state.today,
        until: date.max(state.today),
        state: state.clone(),
        actions: Vec::new(),
        ended: Vec::new(),
        gap_ends: false,
    };
    run.update();
    run.state.steps += 1;
    run.settle();
    run.date = run.until;
    run.take(event);
    run.finish();
    run.log(event);
    run.state.today = run.until;
    (run.state, run.actions)
}

/// Steps through events, oldest first.
pub fn replay<'a>(state: State, events: impl IntoIterator<Item = &'a (Event, Day)>) -> State {
    events
        .into_iter()
        .fold(state, |state, (event, date)| step(&state, event, *date).0)
}

/// A day so many days later; the calendar's last at its end.
fn later(day: Day, days: i64) -> Day {
    day.plus(days)
        .or_else(|_| Day::from_ymd(2199, 12, 31))
        .unwrap_or(day)
}

/// One step under way.
struct Run {
    state: State,
    /// The day of what is being done: in [`settle`] the day on which it was due.
    date: Day,
    until: Day,
    actions: Vec<Action>,
    ended: Vec<(u32, Outcome)>,
    /// A policy ended of which the owner is still to be told.
    gap_ends: bool,
}

impl Run {
    fn take(&mut self, event: &Event) {
        if let Some(died) = self.state.died {
            self.after_death(event, died);
            return;
        }
        match event {
            // Nobody had said that the owner died.
            Event::Tick | Event::Lives { .. } => {}
            Event::Covered {
                jurisdiction,
                from,
                period_end,
            } => self.covered(*jurisdiction, *from, *period_end),
            Event::Protected { until } => self.protected(*until),
            Event::Changed { change } => self.change(*change),
            Event::Answered { case, finding } => self.answered(*case, *finding),
            Event::Replied { matter, reply } => self.replied(*matter, *reply),
            Event::Disputed { case } => self.disputed(*case),
            Event::Reviewed { case, upheld } => self.reviewed(*case, *upheld),
            Event::Filed { case } => self.filed(*case),
            Event::NotFiled { case } => self.not_filed(*case),
            Event::Accepted {
                jurisdiction,
                from,
                period_end,
            } => self.accepted(*jurisdiction, *from, *period_end),
            Event::Denied { jurisdiction } => self.denied(*jurisdiction),
            Event::InfoRequested {
                jurisdiction,
                until,
            } => self.info_requested(*jurisdiction, *until),
            Event::Kept { jurisdiction } => self.kept(*jurisdiction),
            Event::Closed { jurisdiction, on } => self.closed(*jurisdiction, *on),
            Event::CoveredElsewhere { jurisdiction, from } => {
                self.accepted(*jurisdiction, *from, None);
            }
            Event::GapQuoted { offer, quote } => self.quoted(*offer, quote),
            Event::GapRefused { offer } => self.insurer_refused(*offer),
            Event::GapEnrolled {
                offer,
                policy,
                from,
            } => self.enrolled(*offer, policy, *from),
            Event::GapLapsed { policy, on } => self.lapsed(policy, *on),
            Event::Died { on } => self.died(*on),
        }
    }

    /// What an earlier version knew in other words.
    fn update(&mut self) {
        if self.state.version < 3 {
            let adverse = |last: &Ended| matches!(last.outcome, Outcome::Denied | Outcome::Lost);
            if let Some(last) = self.state.last.filter(adverse) {
                self.state.adverse.push(Adverse {
                    jurisdiction: last.jurisdiction,
                    told: last.on,
                    case: last.case,
                });
            }
            if let Some(case) = &mut self.state.case
                && let Phase::Respond { until, .. } = case.phase
            {
                case.respond_until = Some(until);
            }
        }
        self.state.version = VERSION;
    }

    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn text(&mut self, template: Template, asks: Option<Matter>, day: Option<Day>) {
        let jurisdiction = self
            .state
            .case
            .map_or(self.state.home, |case| case.jurisdiction);
        self.text_of(jurisdiction, template, asks, day);
    }

    /// A text that speaks of a state.
    fn text_of(
        &mut self,
        jurisdiction: Jurisdiction,
        template: Template,
        asks: Option<Matter>,
        day: Option<Day>,
    ) {
        let free = match template {
            Template::Gap | Template::NoGap | Template::NotEligible => self.free_options(),
            _ => Vec::new(),
        };
        self.act(Action::Text {
            text: Text {
                template,
                jurisdiction,
                asks,
                day,
                free,
            },
        });
    }

    fn notify(&mut self, jurisdiction: Jurisdiction, notice: Notice) {
        let case = self.state.case.map(|case| case.id);
        self.act(Action::Notify {
            jurisdiction,
            case,
            notice,
        });
    }

    fn log(&mut self, event: &Event) {
        let case = self.state.case;
        let entry = Transition {
            step: self.state.steps,
            date: self.until,
            event: event.name().to_owned(),
            case: case.map(|case| case.id),
            kind: case.map(|case| case.kind),
            phase: case.map(|case| case.phase.name().to_owned()),
            ended: std::mem::take(&mut self.ended),
        };
        self.actions.insert(0, Action::Log { entry });
    }
}
