//! The flattened screening against the contracts it was flattened from, on random households.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::collections::BTreeMap;

use contracts::ids::Jurisdiction;
use contracts::rules::{Compiled, Outcome, registry};
use contracts::screening::{
    Answer, Category, Decision, Defaults, Household, Member, Role, Screener,
};
use contracts::units::Day;
use proptest::prelude::*;

const CLASSES: [&str; 6] = [
    "CITIZEN",
    "CITIZEN",
    "LEGAL_PERMANENT_RESIDENT",
    "REFUGEE",
    "TPS",
    "UNDOCUMENTED",
];

fn members() -> impl Strategy<Value = Member> {
    let flags = prop::array::uniform3(prop::bool::weighted(0.15));
    let money = prop_oneof![Just(0i64), 0i64..3_000_000, 0i64..9_000_000];
    (
        0u8..90,
        money,
        0u16..170,
        flags,
        0usize..6,
        prop::option::of(0u8..12),
    )
        .prop_map(
            |(age, annual_earned, monthly_hours, [pregnant, disabled, ssi], class, years)| Member {
                role: Role::Head,
                age,
                annual_earned,
                monthly_hours,
                pregnant: pregnant && age > 12,
                disabled,
                ssi,
                class: CLASSES[class].to_owned(),
                years_since_entry: years,
                birth: None,
                instead: None,
            },
        )
}

fn households() -> impl Strategy<Value = Household> {
    (
        0usize..51,
        prop::collection::vec(members(), 1..6),
        any::<bool>(),
    )
        .prop_map(|(state, mut members, couple)| {
            for (index, member) in members.iter_mut().enumerate() {
                (member.role, member.age) = match index {
                    0 => (Role::Head, member.age.max(19)),
                    1 if couple => (Role::Spouse, member.age.max(19)),
                    _ => (Role::Child, member.age % 19),
                };
                if member.role == Role::Child {
                    member.annual_earned = 0;
                }
            }
            Household {
                state: Jurisdiction::all().nth(state).unwrap(),
                members,
            }
        })
}

thread_local! {
    static COMPILED: RefCell<BTreeMap<(String, Jurisdiction, Day), Option<Compiled>>> = RefCell::default();
}

/// What a contract says of facts; none where it is not offered.
fn evaluate(
    id: &str,
    state: Jurisdiction,
    day: Day,
    facts: &BTreeMap<&'static str, Option<i64>>,
) -> Option<Outcome> {
    COMPILED.with_borrow_mut(|compiled| {
        let contract = compiled
            .entry((id.to_owned(), state, day))
            .or_insert_with(|| registry().compile(id, &state, day).ok());
        let contract = contract.as_ref()?;
        let value =
            |fact: &contracts::rules::Fact| facts.get(fact.attribute.0.as_str()).copied().flatten();
        let values: Vec<Option<i64>> = contract.facts.iter().map(value).collect();
        Some(contract.evaluate(&values).verdict)
    })
}

fn decide(household: &Household, day: Day) -> Vec<(Decision, BTreeMap<&'static str, Option<i64>>)> {
    let mut screener = Screener::new(day, Defaults::default());
    let mut decisions = Vec::new();
    screener
        .screen(household, |_, decision| decisions.push(decision.clone()))
        .unwrap();
    decisions
        .into_iter()
        .enumerate()
        .map(|(index, decision)| (decision, screener.facts(household, index).unwrap()))
        .collect()
}

fn days() -> impl Strategy<Value = Day> {
    prop::sample::select(vec!["2026-02-01", "2026-11-20", "2027-02-01"])
        .prop_map(|day| day.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn somebody_is_eligible_exactly_when_the_umbrella_says_yes(household in households(), day in days()) {
        for (decision, facts) in decide(&household, day) {
            let umbrella = evaluate("us.medicaid", household.state, day, &facts).unwrap();
            let federal = decision.medicaid == Answer::Yes && decision.reason != "STATE_FUNDED";
            prop_assert_eq!(federal, umbrella == Outcome::Yes, "{:?} {:?}", decision, umbrella);
            if federal {
                let named = evaluate(&decision.reason, household.state, day, &facts);
                prop_assert_eq!(named, Some(Outcome::Yes), "{:?}", decision);
            }
            if decision.medicaid == Answer::NeedsInfo {
                let open = matches!(umbrella, Outcome::NeedsInfo { .. });
                prop_assert!(open, "{:?} {:?}", decision, umbrella);
            }
            if decision.chip == Answer::Yes {
                let chip = evaluate(&decision.reason, household.state, day, &facts);
                prop_assert_eq!(chip, Some(Outcome::Yes), "{:?}", decision);
            }
        }
    }

    #[test]
    fn before_2027_raising_income_alone_makes_nobody_eligible(
        household in households(), raise in 0i64..4_000_000, late in any::<bool>(),
    ) {
        let day: Day = if late { "2026-11-20" } else { "2026-02-01" }.parse().unwrap();
        let mut richer = household.clone();
        richer.members[0].annual_earned += raise;
        let pairs = decide(&household, day).into_iter().zip(decide(&richer, day));
        for ((before, _), (after, _)) in pairs {
            if before.medicaid == Answer::No {
                prop_assert_eq!(after.medicaid, Answer::No, "{:?} {:?}", before, after);
            }
        }
    }

    #[test]
    fn a_group_is_named_only_for_those_of_its_age(household in households(), day in days()) {
        for ((decision, _), member) in decide(&household, day).into_iter().zip(&household.members) {
            let ages = match decision.category {
                Some(Category::Infant) => 0..=0,
                Some(Category::YoungChild) => 1..=5,
                Some(Category::OlderChild) => 6..=18,
                Some(Category::YoungAdult) => 19..=20,
                Some(Category::Adult) => 19..=64,
                _ => 0..=129,
            };
            prop_assert!(ages.contains(&member.age), "{:?} at {}", decision.category, member.age);
        }
    }
}
