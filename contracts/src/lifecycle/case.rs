//! An open case: why, and where it stands.

use serde::{Deserialize, Serialize};

use super::event::Change;
use crate::ids::Jurisdiction;
use crate::units::Day;

/// Which lifecycle contract a case follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Cover may end (C7).
    Loss,
    /// Cover may begin (C8).
    Reinstatement,
    /// Another state (C9).
    Move,
    /// The certification period ends (C6).
    Renewal,
    /// Community engagement (C6).
    Engagement,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Loss,
        Self::Reinstatement,
        Self::Move,
        Self::Renewal,
        Self::Engagement,
    ];

    /// The name, as in its JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Reinstatement => "reinstatement",
            Self::Move => "move",
            Self::Renewal => "renewal",
            Self::Engagement => "engagement",
        }
    }
}

/// Where a case stands. Each phase has a last day; on the day after it the case goes on without what it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum Phase {
    /// A question is being answered.
    Asking {
        /// The last day.
        until: Day,
    },
    /// A text asks the owner whether to file.
    Owner {
        /// The last day.
        until: Day,
        /// Unclear replies so far.
        unclear: u8,
    },
    /// The owner said YES; the application is on its way.
    Filing {
        /// The last day.
        until: Day,
    },
    /// The agency determines.
    Pending {
        /// The last day.
        until: Day,
        /// Whether the legal time has passed once.
        overdue: bool,
    },
    /// Owner and agency were told; the owner may dispute.
    Respond {
        /// The last day.
        until: Day,
        /// The last day on which a text waits for the answer, while one does.
        text: Option<Day>,
    },
    /// A person reviews a dispute; the change is not used meanwhile.
    Review {
        /// The last day.
        until: Day,
    },
    /// The owner may show community engagement or an exclusion.
    Showing {
        /// The last day.
        until: Day,
    },
    /// The agency may close the case.
    Closing {
        /// The last day.
        until: Day,
    },
}

impl Phase {
    /// Its last day.
    pub fn until(&self) -> Day {
        match *self {
            Self::Asking { until }
            | Self::Owner { until, .. }
            | Self::Filing { until }
            | Self::Pending { until, .. }
            | Self::Respond { until, .. }
            | Self::Review { until }
            | Self::Showing { until }
            | Self::Closing { until } => until,
        }
    }

    /// The name, as in its JSON form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Asking { .. } => "asking",
            Self::Owner { .. } => "owner",
            Self::Filing { .. } => "filing",
            Self::Pending { .. } => "pending",
            Self::Respond { .. } => "respond",
            Self::Review { .. } => "review",
            Self::Showing { .. } => "showing",
            Self::Closing { .. } => "closing",
        }
    }

    /// Whether a text of the case waits for a reply.
    pub fn has_open_text(&self) -> bool {
        matches!(
            self,
            Self::Owner { .. } | Self::Respond { text: Some(_), .. }
        )
    }
}

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The contract still holds.
    StillEligible,
    /// The contract does not hold.
    NotEligible,
    /// Facts are missing; nothing was proved or told as if it had been.
    NeedsInfo,
    /// The question could not be answered in time.
    Unanswered,
    /// Nothing may be ended yet; it is looked at again when the protected period is over.
    Protected,
    /// The owner said NO.
    Declined,
    /// The owner took a YES back.
    Undone,
    /// The owner did not reply.
    NoReply,
    /// The agency did not take the application.
    NotFiled,
    /// The agency accepted.
    Accepted,
    /// The agency denied.
    Denied,
    /// The agency did not answer.
    AgencySilent,
    /// Cover ends.
    Lost,
    /// The agency keeps the case open.
    Kept,
    /// The dispute was right.
    DisputeUpheld,
    /// Nobody decided the dispute in time, so the change is not used.
    DisputeOpen,
    /// Another change took its place.
    Superseded,
    /// The owner died.
    Died,
}

impl Outcome {
    /// The name, as in its JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Self::StillEligible => "still-eligible",
            Self::NotEligible => "not-eligible",
            Self::NeedsInfo => "needs-info",
            Self::Unanswered => "unanswered",
            Self::Protected => "protected",
            Self::Declined => "declined",
            Self::Undone => "undone",
            Self::NoReply => "no-reply",
            Self::NotFiled => "not-filed",
            Self::Accepted => "accepted",
            Self::Denied => "denied",
            Self::AgencySilent => "agency-silent",
            Self::Lost => "lost",
            Self::Kept => "kept",
            Self::DisputeUpheld => "dispute-upheld",
            Self::DisputeOpen => "dispute-open",
            Self::Superseded => "superseded",
            Self::Died => "died",
        }
    }
}

fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// The case that is open; there is one at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Its number, from 1.
    pub id: u32,
    /// Which contract it follows.
    pub kind: Kind,
    /// What opened it.
    pub change: Change,
    /// The state asked about.
    pub jurisdiction: Jurisdiction,
    /// When it was opened.
    pub opened: Day,
    /// How often the question was asked.
    pub round: u8,
    /// How often of these it was asked beside what the phase waits for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checks: u8,
    /// How many of these were answered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked: u8,
    /// Whether the agency was told of a loss that is not withdrawn.
    pub told: bool,
    /// The last day on which a loss that was told may be disputed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond_until: Option<Day>,
    /// Whether the agency holds an application.
    pub filed: bool,
    /// Whether the question was asked again beside what the phase waits for, because a watched fact changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checking: bool,
    /// Where it stands.
    pub phase: Phase,
}

impl Case {
    /// A question is out beside what the phase waits for.
    pub(super) fn check(&mut self) {
        self.checking = true;
        self.checks = self.checks.saturating_add(1);
    }

    /// Whether a question is out.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.phase, Phase::Asking { .. }) || self.checks > self.checked
    }
}
