//! Whole households decided under every Medicaid and CHIP contract at once, fast enough for populations.
//!
//! The contracts themselves decide; this module works out the facts that they ask for from what a simple household
//! says of itself, in the manner in which a committee would (42 CFR 435.603 for MAGI households, 20 CFR 416 for the
//! aged, blind and disabled, the classes of 8 U.S.C. 1641 for status), and orders the groups (42 CFR 435.119(b)(4)).

mod derive;
mod plan;

use crate::ids::Jurisdiction;
use crate::units::Day;

pub use derive::{Defaults, MAX_MEMBERS};
pub use plan::{ScreenError, Screener};

/// A member's place in the household.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Who files the taxes.
    Head,
    /// Married to the head, filing jointly.
    Spouse,
    /// Claimed as a dependent by the head.
    Child,
}

/// What is known of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Place in the household.
    pub role: Role,
    /// Years of age on the as-of day.
    pub age: u8,
    /// Earnings of a year, in cents.
    pub annual_earned: i64,
    /// Hours of work in a month.
    pub monthly_hours: u16,
    /// Pregnant, expecting one child.
    pub pregnant: bool,
    /// Meets the Social Security definition of disability, work aside.
    pub disabled: bool,
    /// Receives SSI.
    pub ssi: bool,
    /// Immigration class, as named in the table.
    pub class: String,
    /// Whole years in that class.
    pub years_since_entry: Option<u8>,
    /// Date of birth where it is known; it goes before the age.
    pub birth: Option<Day>,
    /// What the screener's defaults say otherwise of this person.
    pub instead: Option<Box<Defaults>>,
}

/// A household of one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Household {
    /// Where it lives.
    pub state: Jurisdiction,
    /// Who belongs to it.
    pub members: Vec<Member>,
}

/// The category under which somebody is covered, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Recipients of SSI.
    SsiRecipient,
    /// Former foster youth.
    FormerFosterCare,
    /// Infants.
    Infant,
    /// Children 1 to 5.
    YoungChild,
    /// Children 6 to 18.
    OlderChild,
    /// Pregnant and postpartum people.
    Pregnant,
    /// Parents and caretaker relatives.
    Parent,
    /// Young adults 19 and 20.
    YoungAdult,
    /// The adult group.
    Adult,
    /// People 65 and older, blind or disabled.
    SeniorOrDisabled,
}

impl Category {
    /// The category in capitals, as in the published results of other engines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SsiRecipient => "SSI_RECIPIENT",
            Self::FormerFosterCare => "FORMER_FOSTER_CARE",
            Self::Infant => "INFANT",
            Self::YoungChild => "YOUNG_CHILD",
            Self::OlderChild => "OLDER_CHILD",
            Self::Pregnant => "PREGNANT",
            Self::Parent => "PARENT",
            Self::YoungAdult => "YOUNG_ADULT",
            Self::Adult => "ADULT",
            Self::SeniorOrDisabled => "SENIOR_OR_DISABLED",
        }
    }
}

/// YES, NO, or what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Eligible.
    Yes,
    /// Not eligible.
    No,
    /// Cannot be told.
    NeedsInfo,
}

impl Answer {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "YES",
            Self::No => "NO",
            Self::NeedsInfo => "NEEDS-INFO",
        }
    }
}

/// What was decided about one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Medicaid, the state's own funds for people whose status Medicaid does not cover included.
    pub medicaid: Answer,
    /// The separate CHIP programmes.
    pub chip: Answer,
    /// The group; where only status or community engagement stands in the way, the group it stands in the way of
    /// (which emergency Medicaid asks for).
    pub category: Option<Category>,
    /// YES: the contract. NO: every basis tested with the first reason it fails for. NEEDS-INFO: the fact missing.
    pub reason: String,
    /// Whether community engagement applies, and whether it is met.
    pub engagement: Option<bool>,
    /// The law that the reason rests on.
    pub citations: String,
}

/// The day before which somebody of this age was born, far from any birthday.
fn birth_day(as_of: Day, age: u8) -> Day {
    let birthday = as_of.years_before(u16::from(age)).unwrap_or(as_of);
    birthday.plus(-182).unwrap_or(birthday)
}
