//! The contracts of a state, flattened for speed, and the order in which they decide.

use std::collections::BTreeMap;

use super::derive::{ATTRIBUTES, Amounts, Shared, Values};
use super::{Answer, Category, Decision, Defaults, Household};
use crate::ids::Jurisdiction;
use crate::params::{ImmigrationClass, NotInTable, tables};
use crate::rules::{Compiled, Registry, RuleError, registry};
use crate::statement::{Node, Relation};
use crate::units::Day;

/// The groups in the order in which they are tested: mandatory before optional, the adult group after those that
/// exclude from it (42 CFR 435.119(b)(4)).
const GROUPS: [(&str, Category); 10] = [
    ("us.medicaid.ssi", Category::SsiRecipient),
    ("us.medicaid.former-foster-care", Category::FormerFosterCare),
    ("us.medicaid.infant", Category::Infant),
    ("us.medicaid.child-1-5", Category::YoungChild),
    ("us.medicaid.child-6-18", Category::OlderChild),
    ("us.medicaid.pregnant", Category::Pregnant),
    ("us.medicaid.parent-caretaker", Category::Parent),
    ("us.medicaid.young-adult", Category::YoungAdult),
    ("us.medicaid.adult-group", Category::Adult),
    (
        "us.medicaid.aged-blind-disabled",
        Category::SeniorOrDisabled,
    ),
];
const CHIP: [&str; 3] = [
    "us.chip.child",
    "us.chip.pregnant",
    "us.chip.from-conception",
];

/// Why households cannot be screened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScreenError {
    /// A contract does not compile on this day.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A parameter has no value on this day.
    #[error(transparent)]
    Table(#[from] NotInTable),
    /// A contract asks for something that a household does not say.
    #[error("contract {contract} asks for {attribute}, which a screening does not work out")]
    Attribute {
        /// Contract id.
        contract: String,
        /// The attribute.
        attribute: String,
    },
    /// A member that cannot be: more people or years than the facts hold.
    #[error("a household of more than 19 people, or an age above 129")]
    Member,
}

/// A tree over the screening's values, without indirection for the common atoms.
enum Fast {
    And(Box<[Fast]>),
    Or(Box<[Fast]>),
    Atom {
        equal: bool,
        terms: Box<[(usize, i64)]>,
        constant: i64,
    },
}

impl Fast {
    fn holds(&self, values: &Values) -> bool {
        match self {
            Self::And(children) => children.iter().all(|child| child.holds(values)),
            Self::Or(children) => children.iter().any(|child| child.holds(values)),
            Self::Atom {
                equal,
                terms,
                constant,
            } => {
                // Within bounds every form fits 64 bits: the compiler has checked it.
                let mut sum = *constant;
                for (slot, coefficient) in terms {
                    match values.get(*slot) {
                        Some(Some(value)) => {
                            sum = sum.wrapping_add(coefficient.wrapping_mul(*value))
                        }
                        _ => return false,
                    }
                }
                if *equal { sum == 0 } else { sum >= 0 }
            }
        }
    }
}

impl Fast {
    /// Adds the names of unknown values, once each.
    fn missing(&self, values: &Values, into: &mut String) {
        match self {
            Self::And(children) | Self::Or(children) => {
                children
                    .iter()
                    .for_each(|child| child.missing(values, into));
            }
            Self::Atom { terms, .. } => {
                for (slot, _) in terms {
                    if let (Some(None), Some(name)) = (values.get(*slot), ATTRIBUTES.get(*slot))
                        && !into.split(';').any(|other| other == *name)
                    {
                        if !into.is_empty() {
                            into.push(';');
                        }
                        into.push_str(name);
                    }
                }
            }
        }
    }
}

struct Part {
    reason: String,
    citation: String,
    holds: Fast,
    fails: Fast,
}

/// One contract: what belongs to the group, and what else stands between it and coverage.
struct Group {
    contract: &'static str,
    category: Option<Category>,
    belongs: Vec<Part>,
    conditions: Vec<Part>,
    citations: String,
}

type Stop<'a> = (&'a Group, &'a Part);

enum Found<'a> {
    Yes,
    /// Belongs, but this condition fails.
    Barred(&'a Part),
    No(&'a Part),
    Unknown(&'a Part),
}

impl Group {
    fn decide(&self, values: &Values) -> Found<'_> {
        let mut unknown = None;
        for part in &self.belongs {
            if !part.holds.holds(values) {
                if part.fails.holds(values) {
                    return Found::No(part);
                }
                unknown = Some(part);
            }
        }
        // One condition that fails bars, whatever is not known of the others.
        let belongs = unknown.is_none();
        for part in &self.conditions {
            if !part.holds.holds(values) {
                if belongs && part.fails.holds(values) {
                    return Found::Barred(part);
                }
                unknown = unknown.or(Some(part));
            }
        }
        unknown.map_or(Found::Yes, Found::Unknown)
    }
}

struct State {
    amounts: Amounts,
    groups: Vec<Group>,
    chip: Vec<Group>,
    funds_everybody: bool,
    funds_children: bool,
    funds_lawfully_present: bool,
    engagement: bool,
}

/// Decides households on one day.
pub struct Screener {
    as_of: Day,
    defaults: Defaults,
    states: BTreeMap<Jurisdiction, State>,
    classes: BTreeMap<String, ImmigrationClass>,
}

fn fast(node: &Node, slots: &[usize]) -> Fast {
    let each = |children: &[Node]| children.iter().map(|child| fast(child, slots)).collect();
    match node {
        Node::And(children) => Fast::And(each(children)),
        Node::Or(children) => Fast::Or(each(children)),
        Node::Atom(atom) => Fast::Atom {
            equal: atom.relation == Relation::EqZero,
            terms: atom
                .terms
                .iter()
                .map(|(fact, coefficient)| {
                    (
                        slots.get(*fact).copied().unwrap_or(usize::MAX),
                        *coefficient,
                    )
                })
                .collect(),
            constant: atom.constant,
        },
    }
}

fn group(
    contract: &'static str,
    category: Option<Category>,
    compiled: &Compiled,
) -> Result<Group, ScreenError> {
    let slot = |fact: &crate::rules::Fact| {
        ATTRIBUTES
            .iter()
            .position(|attribute| *attribute == fact.attribute.0)
            .ok_or_else(|| ScreenError::Attribute {
                contract: contract.to_owned(),
                attribute: fact.attribute.0.clone(),
            })
    };
    let slots = compiled
        .facts
        .iter()
        .map(slot)
        .collect::<Result<Vec<_>, _>>()?;
    let (mut belongs, mut conditions, mut citations) = (Vec::new(), Vec::new(), Vec::new());
    for clause in &compiled.clauses {
        // Medicaid has been decided before CHIP is.
        if category.is_none() && clause.reason == "MEDICAID" {
            continue;
        }
        let part = Part {
            reason: clause.reason.clone(),
            citation: clause.citation.clone(),
            holds: fast(&clause.node, &slots),
            fails: fast(&clause.fail, &slots),
        };
        if !citations.contains(&clause.citation) {
            citations.push(clause.citation.clone());
        }
        match clause.reason.as_str() {
            "STATUS" | "ENGAGEMENT" => conditions.push(part),
            _ => belongs.push(part),
        }
    }
    Ok(Group {
        contract,
        category,
        belongs,
        conditions,
        citations: citations.join("; "),
    })
}

fn groups(
    registry: &Registry,
    ids: impl IntoIterator<Item = (&'static str, Option<Category>)>,
    state: Jurisdiction,
    as_of: Day,
) -> Result<Vec<Group>, ScreenError> {
    let mut found = Vec::new();
    for (id, category) in ids {
        match registry.compile(id, &state, as_of) {
            Ok(compiled) => found.push(group(id, category, &compiled)?),
            Err(RuleError::NotOffered { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

impl State {
    fn new(state: Jurisdiction, as_of: Day) -> Result<Self, ScreenError> {
        let medicaid = GROUPS.map(|(id, category)| (id, Some(category)));
        let parameters = &tables().parameters;
        let flag = |name| parameters.flag(name, state, as_of);
        Ok(Self {
            amounts: Amounts::new(tables(), state, as_of)?,
            groups: groups(registry(), medicaid, state, as_of)?,
            chip: groups(registry(), CHIP.map(|id| (id, None)), state, as_of)?,
            funds_everybody: flag("state_funds_every_status")?,
            funds_children: flag("state_funds_children_every_status")?,
            funds_lawfully_present: flag("state_funds_lawfully_present")?,
            engagement: flag("community_engagement")?,
        })
    }

    /// Whether the state pays for somebody whose status Medicaid does not cover.
    fn funds(&self, household: &Household, index: usize, class: &ImmigrationClass) -> bool {
        let child = household
            .members
            .get(index)
            .is_some_and(|member| member.age < 19);
        self.funds_everybody
            || (self.funds_children && child)
            || (self.funds_lawfully_present && class.lawfully_residing)
    }
}

impl Screener {
    /// A screener for one day. States are compiled when the first household of each comes.
    pub fn new(as_of: Day, defaults: Defaults) -> Self {
        Self {
            as_of,
            defaults,
            states: BTreeMap::new(),
            classes: BTreeMap::new(),
        }
    }

    /// Decides every member of a household, in order.
    ///
    /// # Errors
    /// [`ScreenError`]: a table without a row on the day, an unknown immigration class, or an impossible member.
    pub fn screen(
        &mut self,
        household: &Household,
        mut each: impl FnMut(usize, &Decision),
    ) -> Result<(), ScreenError> {
        self.prepare(household)?;
        let state = self
            .states
            .get(&household.state)
            .ok_or(ScreenError::Member)?;
        let shared = state.amounts.shared(&household.members);
        let mut decision = Decision {
            medicaid: Answer::No,
            chip: Answer::No,
            category: None,
            reason: String::new(),
            engagement: None,
            citations: String::new(),
        };
        for (index, member) in household.members.iter().enumerate() {
            let class = self.classes.get(&member.class).ok_or(ScreenError::Member)?;
            let values = self.values(state, household, index, &shared, class)?;
            state.decide(household, index, class, &values, &mut decision);
            each(index, &decision);
        }
        Ok(())
    }

    /// The facts worked out for one member, by attribute; none is a fact that is not known.
    ///
    /// # Errors
    /// As [`Self::screen`].
    pub fn facts(
        &mut self,
        household: &Household,
        index: usize,
    ) -> Result<BTreeMap<&'static str, Option<i64>>, ScreenError> {
        self.prepare(household)?;
        let state = self
            .states
            .get(&household.state)
            .ok_or(ScreenError::Member)?;
        let member = household.members.get(index).ok_or(ScreenError::Member)?;
        let class = self.classes.get(&member.class).ok_or(ScreenError::Member)?;
        let shared = state.amounts.shared(&household.members);
        let values = self.values(state, household, index, &shared, class)?;
        Ok(ATTRIBUTES.into_iter().zip(values).collect())
    }

    /// Compiles the state and looks up the classes that a household needs.
    fn prepare(&mut self, household: &Household) -> Result<(), ScreenError> {
        if household.members.len() > super::MAX_MEMBERS {
            return Err(ScreenError::Member);
        }
        if !self.states.contains_key(&household.state) {
            let state = State::new(household.state, self.as_of)?;
            self.states.insert(household.state, state);
        }
        for member in &household.members {
            if !self.classes.contains_key(&member.class) {
                let class = tables().immigration.in_force(&member.class, self.as_of)?;
                self.classes.insert(member.class.clone(), class.clone());
            }
        }
        Ok(())
    }

    fn values(
        &self,
        state: &State,
        household: &Household,
        index: usize,
        shared: &Shared,
        class: &ImmigrationClass,
    ) -> Result<Values, ScreenError> {
        state
            .amounts
            .values(&household.members, index, shared, class, &self.defaults)
            .ok_or(ScreenError::Member)
    }
}

impl State {
    fn decide(
        &self,
        household: &Household,
        index: usize,
        class: &ImmigrationClass,
        values: &Values,
        decision: &mut Decision,
    ) {
        decision.reason.clear();
        decision.citations.clear();
        let (mut barred, mut unknown): (Option<Stop<'_>>, Option<Stop<'_>>) = (None, None);
        let mut yes = None;
        for group in &self.groups {
            match group.decide(values) {
                Found::Yes => {
                    yes = Some(group);
                    break;
                }
                Found::Barred(part) => barred = barred.or(Some((group, part))),
                Found::Unknown(part) => unknown = unknown.or(Some((group, part))),
                Found::No(part) => {
                    Self::tested(decision, group, part);
                }
            }
        }
        let set = |decision: &mut Decision, answer, category, reason: &[&str], citations: &str| {
            decision.medicaid = answer;
            decision.category = category;
            decision.reason.clear();
            reason
                .iter()
                .for_each(|part| decision.reason.push_str(part));
            decision.citations.clear();
            decision.citations.push_str(citations);
        };
        match (yes, unknown, barred) {
            (Some(group), _, _) => {
                set(
                    decision,
                    Answer::Yes,
                    group.category,
                    &[group.contract],
                    &group.citations,
                );
            }
            (None, Some((group, part)), _) => {
                set(
                    decision,
                    Answer::NeedsInfo,
                    group.category,
                    &[],
                    &part.citation,
                );
                part.holds.missing(values, &mut decision.reason);
                part.fails.missing(values, &mut decision.reason);
            }
            (None, None, Some((group, part))) => {
                let status = part.reason == "STATUS";
                if status && self.funds(household, index, class) {
                    let citation = "state law; no federal match, 8 U.S.C. 1621(d)";
                    set(
                        decision,
                        Answer::Yes,
                        group.category,
                        &["STATE_FUNDED"],
                        citation,
                    );
                } else {
                    set(
                        decision,
                        Answer::No,
                        group.category,
                        &[&part.reason],
                        &part.citation,
                    );
                }
            }
            (None, None, None) => (decision.medicaid, decision.category) = (Answer::No, None),
        }
        decision.engagement = (self.engagement && decision.category == Some(Category::Adult))
            .then(|| Self::met(values));
        decision.chip = self.chip(values, decision);
    }

    fn met(values: &Values) -> bool {
        let slot = |name| ATTRIBUTES.iter().position(|attribute| *attribute == name);
        ["household.engagement_excluded", "income.engagement_met"]
            .into_iter()
            .filter_map(slot)
            .any(|slot| values.get(slot).copied().flatten() == Some(1))
    }

    /// Adds a basis that was tested, with the reason it fails for.
    fn tested(decision: &mut Decision, group: &Group, part: &Part) {
        if !decision.reason.is_empty() {
            decision.reason.push(';');
            decision.citations.push_str("; ");
        }
        decision
            .reason
            .push_str(group.category.map_or("CHIP", Category::as_str));
        decision.reason.push(':');
        decision.reason.push_str(&part.reason);
        decision.citations.push_str(&part.citation);
    }

    fn chip(&self, values: &Values, decision: &mut Decision) -> Answer {
        if decision.medicaid == Answer::Yes {
            return Answer::No;
        }
        let mut answer = Answer::No;
        for group in &self.chip {
            match group.decide(values) {
                Found::Yes if decision.medicaid == Answer::No => {
                    decision.reason.clear();
                    decision.reason.push_str(group.contract);
                    decision.citations.clear();
                    decision.citations.push_str(&group.citations);
                    return Answer::Yes;
                }
                Found::Yes | Found::Unknown(_) => answer = Answer::NeedsInfo,
                Found::Barred(_) | Found::No(_) => {}
            }
        }
        answer
    }
}
