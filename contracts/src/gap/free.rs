//! What costs nothing, named before anything is sold.

use serde::{Deserialize, Serialize};

use crate::calendar::{keeps_benefits, retroactive_from};
use crate::units::{BadDate, Day};

/// Days before and after a loss of cover in which a Marketplace plan can be chosen (45 CFR 155.420(c)(1), (d)(1)); an exchange
/// may allow 90 after a loss of Medicaid or CHIP.
const SPECIAL_ENROLMENT: i64 = 60;

/// Why cover was, or is to be, lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossReason {
    /// Community engagement not shown (42 CFR 435.550 and after): the person counts as eligible for Medicaid where premium tax
    /// credits are concerned, and is never sent to the Marketplace.
    CommunityEngagement,
    /// Income, household, age or health.
    NotEligible,
    /// A form or proof that did not come in time.
    Procedure,
    /// Moved to another state.
    Moved,
}

/// What bears on free cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Situation {
    /// Today.
    pub today: Day,
    /// First day without cover, known or to come.
    pub lost: Option<Day>,
    /// Why.
    pub reason: LossReason,
    /// An application for Medicaid is made or about to be, and the rules say YES.
    pub prequalified: bool,
    /// The YES is of the adult group.
    pub expansion_adult: bool,
    /// A child under 19 or a pregnant person of the household meets its state's CHIP rules.
    pub chip: bool,
    /// Meets all rules of a group but those on citizenship and status.
    pub barred_by_status: bool,
}

/// Something that costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Benefits go on until a hearing that is asked for before the day of action.
    AidPending,
    /// The months before an application.
    RetroactiveMonths,
    /// A hospital or other qualified entity decides on the spot, for the time until the agency has.
    PresumptiveEligibility,
    /// Emergency care for those whom their status bars.
    EmergencyMedicaid,
    /// The Children's Health Insurance Program.
    Chip,
    /// A Marketplace plan outside the yearly window, with tax credits.
    MarketplaceSpecialEnrolment,
}

/// A free option, and when it can be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeOption {
    /// Which.
    pub kind: Kind,
    /// First day that it covers, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers_from: Option<Day>,
    /// Last day to ask for it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_until: Option<Day>,
    /// Where the law says so.
    pub citation: String,
}

/// Everything free that a situation allows, in the order in which it is named.
///
/// # Errors
/// A day near 1900 or 2199.
pub fn free_options(situation: &Situation) -> Result<Vec<FreeOption>, BadDate> {
    let Situation { today, lost, .. } = *situation;
    let mut options = Vec::new();
    let mut add = |kind, covers_from, ask_until, citation: &str| {
        options.push(FreeOption {
            kind,
            covers_from,
            ask_until,
            citation: citation.to_owned(),
        });
    };
    if let Some(action) = lost.filter(|action| keeps_benefits(today, *action)) {
        add(
            Kind::AidPending,
            Some(action),
            Some(action.plus(-1)?),
            "42 CFR 431.230",
        );
    }
    if situation.prequalified {
        let from = retroactive_from(today, situation.expansion_adult)?;
        let from = lost.map_or(from, |lost| lost.max(from));
        if from < today {
            add(
                Kind::RetroactiveMonths,
                Some(from),
                None,
                "42 CFR 435.915; P.L. 119-21 s. 71112",
            );
        }
        add(
            Kind::PresumptiveEligibility,
            Some(today),
            None,
            "42 CFR 435.1101-1110",
        );
    }
    if situation.barred_by_status {
        add(
            Kind::EmergencyMedicaid,
            None,
            None,
            "42 CFR 435.139, 440.255",
        );
    }
    if situation.chip {
        add(Kind::Chip, None, None, "42 CFR 457.310, 457.340");
    }
    // Who is closed for community engagement, or can have Medicaid, gets no tax credit.
    let credits = situation.reason != LossReason::CommunityEngagement && !situation.prequalified;
    if let Some(lost) = lost.filter(|_| credits) {
        let (opens, closes) = (
            lost.plus(-SPECIAL_ENROLMENT)?,
            lost.plus(SPECIAL_ENROLMENT)?,
        );
        if (opens..=closes).contains(&today) {
            add(
                Kind::MarketplaceSpecialEnrolment,
                None,
                Some(closes),
                "45 CFR 155.420(c)(1), (d)(1)",
            );
        }
    }
    Ok(options)
}
