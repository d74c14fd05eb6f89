//! What is to be done: data, carried out by whoever runs the machine, each once.

use serde::{Deserialize, Serialize};

use super::case::{Kind, Outcome};
use super::event::{Change, Matter};
use crate::ids::Jurisdiction;
use crate::units::Day;

/// Whom a token is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// The agency of the jurisdiction asked about.
    Agency,
}

/// Cover that exists without buying anything; named before any offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FreeOption {
    /// Months before the application (42 CFR 435.915).
    RetroactiveMonths,
    /// A hospital or clinic presumes eligibility (42 CFR 435.1101–1110).
    PresumptiveEligibility,
    /// Emergencies (42 CFR 440.255).
    EmergencyMedicaid,
    /// A special enrolment period of the Marketplace (45 CFR 155.420). Never for somebody closed for community
    /// engagement, who counts as eligible for Medicaid there (42 U.S.C. 1396a(xx)(7)(B)).
    MarketplaceEnrolment,
    /// The children's programme.
    Chip,
}

/// Which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// Asks whether to apply.
    Apply,
    /// Asks whether to apply in the state moved to.
    Move,
    /// Asks whether to renew, or to show what the agency asks for.
    Renew,
    /// Tells of a change that may end cover, and asks whether it is right.
    Change,
    /// Names what is free, then asks whether to take a gap policy.
    Gap,
    /// The agency accepted.
    Accepted,
    /// The application did not reach it.
    NotFiled,
    /// It denied; a hearing can be asked for until the day named.
    Refusal,
    /// Not eligible now, and what is free.
    NotEligible,
    /// Something is missing that only the owner can bring.
    NeedsInfo,
    /// Community engagement is to be shown by the day named.
    Show,
    /// Cover ends on the day named.
    Ending,
    /// The agency is late.
    Overdue,
    /// A person will help.
    Human,
    /// Gap cover begins on the day named.
    GapBegins,
    /// Medicaid covers, so a gap policy that was bought ends or does not begin.
    GapEnds,
    /// No gap policy was found; what is free.
    NoGap,
}

/// A text to the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Which.
    pub template: Template,
    /// The state it speaks of.
    pub jurisdiction: Jurisdiction,
    /// What it asks; none where it only tells.
    pub asks: Option<Matter>,
    /// Until when to reply, or the day it names.
    pub day: Option<Day>,
    /// What is free, in the order to be named.
    pub free: Vec<FreeOption>,
}

/// What an agency is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "notice")]
pub enum Notice {
    /// The contract no longer holds. Not to be acted on before the owner may have responded (42 CFR 435.952(d)).
    Loss {
        /// Last day on which the owner may dispute it.
        dispute_until: Day,
    },
    /// The owner disputes it; a person reviews.
    Disputed,
    /// The review found the change right.
    Confirmed,
    /// An earlier notice is withdrawn.
    Withdrawn,
    /// The owner lives in another state.
    Moved {
        /// Where.
        to: Jurisdiction,
    },
    /// Another state covers the owner (42 CFR 431.213(e)).
    CoveredElsewhere {
        /// Which.
        by: Jurisdiction,
        /// First day.
        from: Day,
    },
    /// The owner takes the application back.
    ApplicationWithdrawn,
    /// The time for a determination has passed (42 CFR 435.912).
    Overdue,
    /// The owner asks for a hearing (42 CFR 431.221).
    Hearing,
    /// The owner died.
    Died {
        /// The day.
        on: Day,
    },
}

/// One transition, for the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Which step of the profile, from 1.
    pub step: u64,
    /// The day.
    pub date: Day,
    /// The event's name.
    pub event: String,
    /// The open case after it, if any.
    pub case: Option<u32>,
    /// Its kind.
    pub kind: Option<Kind>,
    /// Its phase.
    pub phase: Option<String>,
    /// Cases that this step ended.
    pub ended: Vec<(u32, Outcome)>,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
#[non_exhaustive]
pub enum Action {
    /// Ask a question, every fact anew, as far as its verdict.
    Ask {
        /// For which case.
        case: u32,
        /// Which time.
        round: u8,
        /// Contract id.
        contract: String,
        /// Whose rules.
        jurisdiction: Jurisdiction,
        /// Who gets the token.
        audience: Audience,
    },
    /// Send a text.
    Text {
        /// It.
        text: Text,
    },
    /// File the decided question that the owner said YES to.
    File {
        /// Whose question.
        case: u32,
        /// Which time.
        round: u8,
        /// With whose agency.
        jurisdiction: Jurisdiction,
    },
    /// Close a decision that a text asked for, and go no further with it.
    Withdraw {
        /// Which.
        matter: Matter,
    },
    /// Tell an agency.
    Notify {
        /// Which.
        jurisdiction: Jurisdiction,
        /// Of which case, where there is one.
        case: Option<u32>,
        /// What.
        notice: Notice,
    },
    /// Have a prequalified gap policy quoted.
    Quote {
        /// For which offer.
        offer: u32,
        /// Which plan in the ranking, from 1.
        attempt: u8,
        /// Where the owner lives.
        jurisdiction: Jurisdiction,
        /// First day to be covered, as far as is known.
        from: Day,
    },
    /// Enrol in the quoted plan.
    Enrol {
        /// Of which offer.
        offer: u32,
        /// The insurer's reference.
        quote: String,
        /// First day to be covered.
        from: Day,
        /// The day on which a policy begins that is bought already: the first that this one is not to cover.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Day>,
    },
    /// End a gap policy; one that begins no earlier is void from its start.
    EndGap {
        /// The insurer's reference.
        policy: String,
        /// First day that it does not cover.
        on: Day,
    },
    /// Tell the primary-care physician that the coverage flag changed.
    AlertPcp {
        /// The day from which it is another, or was.
        on: Day,
    },
    /// Enter the transition in the ledger.
    Log {
        /// It.
        entry: Transition,
    },
    /// Step again on this day if nothing happens before.
    Timer {
        /// The day.
        on: Day,
    },
}

/// What the case was about: for the owner's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its number.
    pub case: u32,
    /// Its kind.
    pub kind: Kind,
    /// What opened it.
    pub change: Change,
    /// The state asked about.
    pub jurisdiction: Jurisdiction,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub on: Day,
}
