//! The plan file an insurer publishes: everything a premium, a start and an end follow from, and everything that says whether a
//! plan suits. Whoever has it can work out every quote; what a person needs is held against it at home and told to nobody.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::policy::{Enquiry, MAX_MEMBERS};
use crate::encoding::{Bytes32, tagged_hash, to_jcs};
use crate::ids::Jurisdiction;
use crate::units::{Cents, Day};

/// Most bytes of a plan file that are read.
pub const MAX_PLAN_FILE: usize = 256 << 10;
/// Most plans of a file.
const MAX_PLANS: usize = 200;
/// Highest base premium, $100,000 a month: what follows from it stays far within 64 bits.
const MAX_BASE: i64 = 10_000_000;
/// Highest factor, ten times.
const MAX_FACTOR: u32 = 10_000;
/// Children under 21 beyond the three oldest are free (as in 45 CFR 147.102(c)(1)).
const CHARGED_CHILDREN: usize = 3;
/// Age from which a member is no child.
const ADULT: u8 = 21;

/// A plan file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// 1.
    pub version: u8,
    /// The insurer's registered audience id.
    pub insurer: String,
    /// National provider identifiers by network.
    pub networks: BTreeMap<String, BTreeSet<String>>,
    /// The plans.
    pub plans: Vec<Plan>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its id within the file.
    pub id: String,
    /// What the insurer calls it.
    pub name: String,
    /// Where it is sold.
    pub states: BTreeSet<Jurisdiction>,
    /// Its network of providers.
    pub network: String,
    /// What it costs. Every plan of a file has the same bands, so that a household is described once.
    pub premiums: Premiums,
    /// Conditions that it pays for although they were there before, with the days until it does.
    pub covers: BTreeMap<String, u16>,
    /// When it may begin.
    pub start: StartRules,
    /// When it may end, and what is paid back.
    pub end: EndRules,
}

/// Premiums by age and income, in thousandths of a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Premiums {
    /// Cents a month, for a factor of 1,000.
    pub base: Cents,
    /// Lowest age of each band, and its factor; the first is 0.
    pub ages: Vec<(u8, u32)>,
    /// Lowest income of each band, in percent of the poverty guideline, and its factor; the first is 0.
    pub incomes: Vec<(u16, u32)>,
}

/// When a plan may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRules {
    /// Days from the enquiry at the earliest.
    pub earliest: u16,
    /// Days from the enquiry at the latest.
    pub latest: u16,
    /// On the first of a month alone.
    pub first_of_month: bool,
}

/// When a plan ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndRules {
    /// Days that it lasts at most.
    pub longest: u16,
    /// Days back from today that it may be ended for, where a programme's cover came to begin earlier.
    pub back: u16,
    /// What is paid back.
    pub refund: Refund,
    /// Ended within so many days of cover, all is paid back.
    pub free_look: u16,
}

/// What is paid back of a month that ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refund {
    /// The days that were not covered.
    Daily,
    /// Nothing: a month that began is owed.
    None,
}

/// A plan file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plan file {0}")]
pub struct BadPlan(pub String);

/// Why a plan cannot be had for an enquiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// Not sold in the state.
    #[error("jurisdiction: the plan is not sold there")]
    State,
    /// Cannot begin on the day.
    #[error("start: the plan cannot begin on that day")]
    Start,
    /// A member's age or the income is no lower bound of a band of the plan.
    #[error("members or income: give the lower bound of a band of the plan file")]
    Band,
    /// Nobody, or too many.
    #[error("members: 1 to {MAX_MEMBERS}")]
    Members,
}

impl PlanFile {
    /// Reads a plan file.
    ///
    /// # Errors
    /// [`BadPlan`], naming the plan and the field.
    pub fn parse(json: &[u8]) -> Result<Self, BadPlan> {
        if json.len() > MAX_PLAN_FILE {
            return Err(BadPlan(format!(
                "has {} bytes, more than the {MAX_PLAN_FILE} that are read",
                json.len()
            )));
        }
        let file: Self =
            serde_json::from_slice(json).map_err(|error| BadPlan(error.to_string()))?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), BadPlan> {
        let bad = |text: String| Err(BadPlan(text));
        if self.version != 1 {
            return bad(format!("version: {} is not 1", self.version));
        }
        if self.plans.len() > MAX_PLANS {
            return bad(format!("plans: more than {MAX_PLANS}"));
        }
        let mut ids = BTreeSet::new();
        let bounds = |premiums: &Premiums| {
            let ages: Vec<u8> = premiums.ages.iter().map(|(from, _)| *from).collect();
            let incomes: Vec<u16> = premiums.incomes.iter().map(|(from, _)| *from).collect();
            (ages, incomes)
        };
        let first = self.plans.first().map(|plan| bounds(&plan.premiums));
        for plan in &self.plans {
            let at = |field: &str| BadPlan(format!("plan {}: {field}", plan.id));
            if plan.id.is_empty() || !ids.insert(&plan.id) {
                return Err(at("id: empty, or there twice"));
            }
            if !self.networks.contains_key(&plan.network) {
                return Err(at("network: not in networks"));
            }
            let Premiums {
                base,
                ages,
                incomes,
            } = &plan.premiums;
            if !(0..=MAX_BASE).contains(&base.0) {
                return Err(at("premiums.base: not from 0 to $100,000"));
            }
            if !bands(ages) || !bands(incomes) {
                return Err(at(
                    "premiums: bands begin at 0, rise, and have factors of at most 10000",
                ));
            }
            if first
                .as_ref()
                .is_some_and(|first| *first != bounds(&plan.premiums))
            {
                return Err(at("premiums: other bands than the first plan's"));
            }
            if plan.start.earliest > plan.start.latest {
                return Err(at("start: earliest is after latest"));
            }
            if plan.end.longest == 0 {
                return Err(at("end.longest: at least a day"));
            }
        }
        Ok(())
    }

    /// A plan by its id.
    pub fn plan(&self, id: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == id)
    }

    /// Hash over the whole file, which offers name.
    ///
    /// # Panics
    /// Never: a plan file is plain JSON.
    pub fn hash(&self) -> Bytes32 {
        let json = to_jcs(self).expect("a plan file holds strings and integers");
        tagged_hash("shp/v1/gap-plan-file", &[&json]).into()
    }

    /// Providers of a plan.
    pub fn network(&self, plan: &Plan) -> Option<&BTreeSet<String>> {
        self.networks.get(&plan.network)
    }
}

fn bands<T: PartialOrd + Default + PartialEq>(bands: &[(T, u32)]) -> bool {
    let first = bands.first().is_some_and(|(from, _)| *from == T::default());
    first
        && bands.is_sorted_by(|(a, _), (b, _)| a < b)
        && bands.iter().all(|(_, factor)| *factor <= MAX_FACTOR)
}

/// The lower bound of the band that a value lies in.
fn floor<T: PartialOrd + Copy>(bands: &[(T, u32)], value: T) -> Option<T> {
    let below = bands.iter().rev().find(|(from, _)| *from <= value);
    below.map(|(from, _)| *from)
}

impl Premiums {
    /// The lower bound of an age's band: all that an enquiry says of a member.
    pub fn age_band(&self, age: u8) -> Option<u8> {
        floor(&self.ages, age)
    }

    /// The lower bound of an income's band.
    pub fn income_band(&self, percent: u16) -> Option<u16> {
        floor(&self.incomes, percent)
    }

    /// Cents a month for members and income given by the lower bounds of their bands; part of a cent is dropped.
    ///
    /// # Errors
    /// [`Unfit::Band`], [`Unfit::Members`].
    pub fn monthly(&self, members: &[u8], income: u16) -> Result<Cents, Unfit> {
        if members.is_empty() || members.len() > MAX_MEMBERS {
            return Err(Unfit::Members);
        }
        let factor = |age: &u8| {
            let band = self.ages.iter().find(|(from, _)| from == age);
            band.map(|(_, factor)| i128::from(*factor))
                .ok_or(Unfit::Band)
        };
        let (adults, mut children): (Vec<u8>, Vec<u8>) =
            members.iter().partition(|age| **age >= ADULT);
        children.sort_unstable_by(|a, b| b.cmp(a));
        let mut sum = 0;
        for (at, age) in children.iter().enumerate() {
            let factor = factor(age)?;
            if at < CHARGED_CHILDREN {
                sum += factor;
            }
        }
        for age in &adults {
            sum += factor(age)?;
        }
        let income = self.incomes.iter().find(|(from, _)| *from == income);
        let income = income
            .map(|(_, factor)| i128::from(*factor))
            .ok_or(Unfit::Band)?;
        let cents = i128::from(self.base.0) * sum * income / 1_000_000;
        // Twenty members at the highest base and factors: 2·10¹⁰ cents.
        Ok(Cents(i64::try_from(cents).unwrap_or(i64::MAX)))
    }
}

impl Plan {
    /// What the plan costs an enquirer a month.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn quote(&self, enquiry: &Enquiry) -> Result<Cents, Unfit> {
        if !self.states.contains(&enquiry.jurisdiction) {
            return Err(Unfit::State);
        }
        if !self.may_start(enquiry.asked, enquiry.start) {
            return Err(Unfit::Start);
        }
        self.premiums.monthly(&enquiry.members, enquiry.income)
    }

    /// Whether the plan can begin on a day when asked for on another.
    pub fn may_start(&self, asked: Day, start: Day) -> bool {
        let after = start.number() - asked.number();
        (i64::from(self.start.earliest)..=i64::from(self.start.latest)).contains(&after)
            && (!self.start.first_of_month || start.date().day() == 1)
    }
}
