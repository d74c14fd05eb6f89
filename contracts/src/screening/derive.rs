//! The facts of one member, worked out from the household.

use super::{Member, Role, birth_day};
use crate::ids::Jurisdiction;
use crate::params::{ImmigrationClass, NotInTable, Tables};
use crate::units::Day;

/// People in one household; what `household.size` can hold, less the expected child.
pub const MAX_MEMBERS: usize = 19;

/// The attributes a screening knows, in the order of its values.
pub(super) const ATTRIBUTES: [&str; 25] = [
    "identity.person",
    "identity.birth_date",
    "identity.medicaid_immigration_status",
    "identity.lawfully_residing",
    "identity.medicare",
    "identity.ssi",
    "identity.other_coverage",
    "residence.state",
    "residence.locality_group",
    "household.size",
    "household.caretaker_relative",
    "household.two_parents",
    "household.former_foster_care",
    "household.mother_on_medicaid_at_birth",
    "household.abd_unit_size",
    "household.engagement_excluded",
    "income.magi_monthly",
    "income.earned_monthly",
    "income.abd_countable_monthly",
    "income.countable_resources",
    "income.engagement_met",
    "medical.pregnant",
    "medical.postpartum",
    "medical.disabled",
    "medical.blind",
];

pub(super) type Values = [Option<i64>; ATTRIBUTES.len()];

/// What a plain list of people does not say, and what is taken instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// Enrolled in Medicare.
    pub medicare: bool,
    /// A former foster youth.
    pub former_foster_care: bool,
    /// Other health coverage.
    pub other_coverage: bool,
    /// The mother had Medicaid at the birth.
    pub mother_on_medicaid_at_birth: bool,
    /// Within the postpartum period.
    pub postpartum: bool,
    /// Blind.
    pub blind: bool,
    /// Countable resources in cents.
    pub resources: i64,
    /// Locality group of Virginia.
    pub locality_group: i64,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            medicare: false,
            former_foster_care: false,
            other_coverage: false,
            mother_on_medicaid_at_birth: false,
            postpartum: false,
            blind: false,
            resources: 0,
            locality_group: 1,
        }
    }
}

/// The parameters that deriving facts takes, for one state and day.
#[derive(Debug, Clone)]
pub(super) struct Amounts {
    state: i64,
    births: Vec<i64>,
    dependent_child_under: u8,
    student_at_18: bool,
    filing_threshold: i64,
    benefit: [i64; 2],
    disregard: [i64; 2],
    engagement_income: i64,
    engagement_hours: i64,
}

/// Ages for which births are worked out ahead.
const AGES: u8 = 130;
/// Youngest age of a child whose caregiver community engagement asks for: 14 (42 U.S.C. 1396a(xx)(9)(A)(ii)(III)).
const CAREGIVER_CHILD_UNDER: u8 = 14;
/// Earned income that SSI leaves out every month, in cents, before it halves the rest (20 CFR 416.1112(c)(5)).
const EARNED_DISREGARD: i64 = 6_500;

impl Amounts {
    pub fn new(tables: &Tables, state: Jurisdiction, as_of: Day) -> Result<Self, NotInTable> {
        let parameters = &tables.parameters;
        let money = |name| parameters.money(name, state, as_of).map(|cents| cents.0);
        let count = |name| parameters.count(name, state, as_of);
        Ok(Self {
            state: i64::from(state.fips()),
            births: (0..AGES)
                .map(|age| birth_day(as_of, age).number())
                .collect(),
            dependent_child_under: u8::try_from(count("dependent_child_under")?).unwrap_or(u8::MAX),
            student_at_18: parameters.flag("dependent_student_18", state, as_of)?,
            filing_threshold: money("dependent_filing_threshold")?,
            benefit: [
                money("ssi_benefit_individual")?,
                money("ssi_benefit_couple")?,
            ],
            disregard: [
                money("abd_disregard_individual")?,
                money("abd_disregard_couple")?,
            ],
            engagement_income: money("engagement_monthly_income")?,
            engagement_hours: i64::from(count("engagement_monthly_hours")?),
        })
    }

    /// Facts that all members share: household income of a year, children, dependants.
    pub fn shared(&self, members: &[Member]) -> Shared {
        let mut shared = Shared {
            income: 0,
            children: 0,
            dependent_child: false,
            young_child: false,
            disabled: 0,
            spouse: false,
        };
        for member in members {
            let dependent = member.role == Role::Child;
            if !dependent || member.annual_earned > self.filing_threshold {
                // The income of a dependant who need not file does not count (42 CFR 435.603(d)(2)).
                shared.income += member.annual_earned;
            }
            shared.disabled += i64::from(member.disabled);
            shared.spouse |= member.role == Role::Spouse;
            if dependent {
                shared.children += 1;
                shared.young_child |= member.age < CAREGIVER_CHILD_UNDER;
                shared.dependent_child |= member.age < self.dependent_child_under
                    || (member.age == 18 && self.student_at_18);
            }
        }
        shared
    }

    /// The values of one member. Monthly amounts are a twelfth of a year's, cut to whole cents.
    pub fn values(
        &self,
        members: &[Member],
        index: usize,
        shared: &Shared,
        class: &ImmigrationClass,
        defaults: &Defaults,
    ) -> Option<Values> {
        let member = members.get(index)?;
        let defaults = member.instead.as_deref().unwrap_or(defaults);
        let born = match member.birth {
            Some(birth) => birth.number(),
            None => *self.births.get(usize::from(member.age))?,
        };
        let flag = |flag: bool| Some(i64::from(flag));
        let adult = member.role != Role::Child;
        let size = i64::try_from(members.len()).ok()? + i64::from(member.pregnant);
        let monthly = shared.income / 12;
        let status = class.status(member.years_since_entry);
        let (unit, countable) = self.abd(members, index, shared);
        let cares = shared.young_child || shared.disabled > i64::from(member.disabled);
        let excluded = member.pregnant || member.disabled || (adult && cares);
        let met = i64::from(member.monthly_hours) >= self.engagement_hours
            || monthly >= self.engagement_income;
        Some([
            Some(1),
            Some(born),
            status.covered.map(i64::from),
            flag(status.lawfully_residing),
            flag(defaults.medicare),
            flag(member.ssi),
            flag(defaults.other_coverage),
            Some(self.state),
            Some(defaults.locality_group),
            Some(size),
            flag(adult && shared.dependent_child),
            flag(shared.spouse),
            flag(defaults.former_foster_care),
            flag(defaults.mother_on_medicaid_at_birth),
            Some(unit),
            flag(excluded),
            Some(monthly),
            Some(member.annual_earned / 12),
            Some(countable),
            Some(defaults.resources),
            flag(met),
            flag(member.pregnant),
            flag(defaults.postpartum),
            flag(member.disabled),
            flag(defaults.blind),
        ])
    }

    /// Unit size and countable income in cents a month under SSI rules, earnings only.
    ///
    /// A spouse who is 65 or older or disabled counts as one unit with the member. The earnings of another spouse are
    /// deemed where, less an allocation for each child, they exceed the difference of the couple's and the single
    /// benefit (20 CFR 416.1163). Earnings of parents are not deemed to a child: most states waive it (42 CFR 435.225).
    fn abd(&self, members: &[Member], index: usize, shared: &Shared) -> (i64, i64) {
        let Some(member) = members.get(index) else {
            return (1, 0);
        };
        let (mut unit, mut earned) = (1, member.annual_earned / 12);
        let spouse = members.iter().enumerate().find(|(other, person)| {
            *other != index && person.role != Role::Child && member.role != Role::Child
        });
        if let Some((_, spouse)) = spouse {
            let theirs = spouse.annual_earned / 12;
            let [single, couple] = self.benefit;
            let difference = couple - single;
            let left = theirs - difference * shared.children;
            if spouse.age >= 65 || spouse.disabled {
                (unit, earned) = (2, earned + theirs);
            } else if left > difference {
                (unit, earned) = (2, earned + left);
            }
        }
        let [single, couple] = self.disregard;
        let general = if unit == 2 { couple } else { single };
        (unit, (earned - general - EARNED_DISREGARD).max(0) / 2)
    }
}

/// What the members of a household have in common.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub income: i64,
    pub children: i64,
    pub dependent_child: bool,
    pub young_child: bool,
    pub disabled: i64,
    pub spouse: bool,
}
