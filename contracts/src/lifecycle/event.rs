//! What happens to a profile.

use serde::{Deserialize, Serialize};

use super::watched::Watched;
use crate::ids::Jurisdiction;
use crate::units::Day;

/// A change that a watch, the calendar, an agency or the owner reports. It says that something changed, never what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Change {
    /// Deposits or wages rose.
    IncomeUp,
    /// A job was lost or deposits fell.
    IncomeDown,
    /// The household grew.
    DependentsUp,
    /// The household shrank; a member may have died.
    DependentsDown,
    /// A condition is on record no more.
    Recovery,
    /// A qualifying condition came on record.
    Diagnosis,
    /// A birthday at which groups begin or end.
    AgeBoundary,
    /// Citizenship or immigration status.
    StatusChanged,
    /// A watch saw that a fact changed. For better or worse, the question that follows tells.
    Watched {
        /// What kind of fact.
        what: Watched,
    },
    /// The owner lives in another state.
    Moved {
        /// Where.
        to: Jurisdiction,
    },
    /// The certification period comes to its end.
    RenewalDue,
    /// The agency sent a notice that community engagement was not shown.
    Engagement {
        /// The day of the notice.
        sent: Day,
    },
    /// The agency closed the case without a word from here.
    Closed,
}

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The decision committee signed YES.
    Yes,
    /// It signed NO.
    No,
    /// Facts are missing; nothing was proved.
    NeedsInfo,
}

/// What a text asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "about")]
pub enum Matter {
    /// Whether to file.
    Apply {
        /// The case.
        case: u32,
    },
    /// Whether a change that may end cover is right.
    Change {
        /// The case.
        case: u32,
    },
    /// Whether to take a gap policy.
    Gap {
        /// The offer.
        offer: u32,
    },
}

/// How a text was answered, as the notifier signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// YES, and the window to take it back has passed.
    Yes,
    /// NO.
    No,
    /// A YES taken back.
    Undo,
    /// Words that are neither.
    Unclear,
    /// The notifier closed the decision without an answer.
    Closed,
}

/// One event. Those that name a case or offer which is not open change nothing, except where the rules give a late one a
/// meaning. What an agency says about cover is taken as it is, whatever is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
#[non_exhaustive]
pub enum Event {
    /// Time passed.
    Tick,
    /// Medicaid was in force before the profile watched over it.
    Covered {
        /// Whose.
        jurisdiction: Jurisdiction,
        /// First day.
        from: Day,
        /// Last day of the certification period, where known.
        period_end: Option<Day>,
    },
    /// Cover may not be ended for a change before a day: continuous eligibility of a child, the postpartum year,
    /// transitional medical assistance.
    Protected {
        /// The last day.
        until: Day,
    },
    /// Something changed.
    Changed {
        /// What kind of thing.
        change: Change,
    },
    /// A question was decided.
    Answered {
        /// Whose question.
        case: u32,
        /// What came of it.
        finding: Finding,
    },
    /// The owner replied.
    Replied {
        /// To what.
        matter: Matter,
        /// How.
        reply: Reply,
    },
    /// The owner says that the change is wrong, or asks for a hearing.
    Disputed {
        /// Which case.
        case: u32,
    },
    /// A person reviewed the dispute.
    Reviewed {
        /// Which case.
        case: u32,
        /// Whether the owner was right.
        upheld: bool,
    },
    /// The agency holds the application.
    Filed {
        /// Which case.
        case: u32,
    },
    /// The agency did not take the application.
    NotFiled {
        /// Which case.
        case: u32,
    },
    /// The agency accepted.
    Accepted {
        /// Which agency.
        jurisdiction: Jurisdiction,
        /// First covered day.
        from: Day,
        /// Last day of the certification period, where told.
        period_end: Option<Day>,
    },
    /// The agency denied the application.
    Denied {
        /// Which agency.
        jurisdiction: Jurisdiction,
    },
    /// The agency asks for information.
    InfoRequested {
        /// Which agency.
        jurisdiction: Jurisdiction,
        /// Last day to give it.
        until: Day,
    },
    /// The agency keeps the case open in spite of a change: another basis holds.
    Kept {
        /// Which agency.
        jurisdiction: Jurisdiction,
    },
    /// The agency closes the case.
    Closed {
        /// Which agency.
        jurisdiction: Jurisdiction,
        /// First day that is not covered.
        on: Day,
    },
    /// Another state covers the owner.
    CoveredElsewhere {
        /// Which.
        jurisdiction: Jurisdiction,
        /// First day.
        from: Day,
    },
    /// An insurer quoted.
    GapQuoted {
        /// For which offer.
        offer: u32,
        /// The insurer's reference.
        quote: String,
    },
    /// An insurer would not quote, or not enrol.
    GapRefused {
        /// For which offer.
        offer: u32,
    },
    /// The gap policy is in force.
    GapEnrolled {
        /// Of which offer.
        offer: u32,
        /// The insurer's reference.
        policy: String,
        /// First covered day.
        from: Day,
    },
    /// The policy ends by itself, with its longest term; to be told [`LAPSE_DAYS`](super::LAPSE_DAYS) ahead, so that another can
    /// cover from that day.
    GapLapsed {
        /// The insurer's reference.
        policy: String,
        /// First day that is not covered.
        on: Day,
    },
    /// The owner died.
    Died {
        /// The day.
        on: Day,
    },
    /// An agency takes back that the owner died.
    Lives {
        /// Whose agency.
        jurisdiction: Jurisdiction,
    },
}

impl Event {
    /// The name, as in its JSON form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::Covered { .. } => "covered",
            Self::Protected { .. } => "protected",
            Self::Changed { .. } => "changed",
            Self::Answered { .. } => "answered",
            Self::Replied { .. } => "replied",
            Self::Disputed { .. } => "disputed",
            Self::Reviewed { .. } => "reviewed",
            Self::Filed { .. } => "filed",
            Self::NotFiled { .. } => "not-filed",
            Self::Accepted { .. } => "accepted",
            Self::Denied { .. } => "denied",
            Self::InfoRequested { .. } => "info-requested",
            Self::Kept { .. } => "kept",
            Self::Closed { .. } => "closed",
            Self::CoveredElsewhere { .. } => "covered-elsewhere",
            Self::GapQuoted { .. } => "gap-quoted",
            Self::GapRefused { .. } => "gap-refused",
            Self::GapEnrolled { .. } => "gap-enrolled",
            Self::GapLapsed { .. } => "gap-lapsed",
            Self::Lives { .. } => "lives",
            Self::Died { .. } => "died",
        }
    }
}
