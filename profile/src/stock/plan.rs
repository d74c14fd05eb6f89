//! Which pair of contract and audience each leaf of a request is for.

use contracts::ids::AttributeId;
use contracts::leaf::PERSON;
use contracts::rules::Fact;

use crate::store::Pair;

/// A pair that the owner is expected to ask, with the facts it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) pair: Pair,
    pub(crate) facts: Vec<Fact>,
}

/// What one leaf of a fact is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound<'a> {
    pub(super) pair: &'a Pair,
    pub(super) withheld: bool,
    /// Withheld although the owner lets the fact be read: shown when its committee cannot be asked and the branch does not
    /// need it.
    pub(super) reserve: bool,
}

/// Leaves of a fact, in the order of their index: one for `pair`, one each for others that need the fact while `indexes`
/// last, the rest spare for `pair`; and last a withheld one.
///
/// Their number is the same for every fact, withheld or not, so that a request's shape tells nothing.
pub(super) fn bind<'a>(
    fact: &Fact,
    pair: &'a Pair,
    others: &'a [Expected],
    indexes: u32,
) -> Vec<Bound<'a>> {
    let indexes = usize::try_from(indexes).unwrap_or(1).max(1);
    let others = others
        .iter()
        .filter(|other| other.facts.contains(fact))
        .map(|other| &other.pair);
    let mut leaves: Vec<Bound<'a>> = std::iter::once(pair)
        .chain(others)
        .chain(std::iter::repeat(pair))
        .take(indexes)
        .map(|pair| Bound {
            pair,
            withheld: pair.withhold.contains(&fact.attribute),
            reserve: false,
        })
        .collect();
    leaves.push(reserve(&fact.attribute, pair));
    leaves
}

/// `identity.person` is never withheld: its reserve is one more spare.
fn reserve<'a>(attribute: &AttributeId, pair: &'a Pair) -> Bound<'a> {
    let reserve = attribute.0 != PERSON;
    Bound {
        pair,
        withheld: reserve,
        reserve,
    }
}

#[cfg(test)]
mod tests {
    use contracts::encoding::Bytes32;
    use contracts::ids::ContractRef;

    use super::*;

    fn fact(attribute: &str) -> Fact {
        Fact {
            attribute: attribute.into(),
            period: "2026-10-01/2026-10-31".parse().unwrap(),
        }
    }

    fn pair(id: &str, audience: &str, withhold: &[&str]) -> Pair {
        Pair {
            contract: ContractRef {
                id: id.to_owned(),
                hash: Bytes32::from([1; 32]),
            },
            jurisdiction: "CA".parse().unwrap(),
            audience: audience.to_owned(),
            withhold: withhold.iter().map(|one| (*one).into()).collect(),
        }
    }

    #[test]
    fn each_audience_that_needs_the_fact_gets_a_leaf_and_the_rest_are_spare() {
        let income = fact("income.magi_monthly");
        let own = pair("adult", "us.ca.dhcs", &[]);
        let other = |audience: &str, facts: &[Fact]| Expected {
            pair: pair("umbrella", audience, &[]),
            facts: facts.to_vec(),
        };
        let others = [
            other("insurer.one", std::slice::from_ref(&income)),
            other("insurer.two", &[fact("medical.pregnant")]),
        ];
        let for_whom = |indexes| -> Vec<String> {
            let leaves = bind(&income, &own, &others, indexes);
            let last = leaves.last().unwrap();
            assert!(last.withheld && last.reserve && last.pair == &own);
            let read = leaves.iter().filter(|leaf| !leaf.withheld);
            read.map(|leaf| leaf.pair.audience.clone()).collect()
        };
        assert_eq!(
            for_whom(4),
            ["us.ca.dhcs", "insurer.one", "us.ca.dhcs", "us.ca.dhcs"]
        );
        assert_eq!(for_whom(1), ["us.ca.dhcs"]);
    }

    #[test]
    fn a_withheld_fact_is_asked_for_in_the_shape_of_the_others() {
        let own = pair("adult", "us.ca.dhcs", &["medical.pregnant"]);
        let counts = ["medical.pregnant", "income.magi_monthly", PERSON]
            .map(|attribute| bind(&fact(attribute), &own, &[], 4).len());
        assert_eq!(counts, [5, 5, 5]);
        let withheld = |attribute: &str| -> usize {
            let leaves = bind(&fact(attribute), &own, &[], 4);
            leaves.iter().filter(|leaf| leaf.withheld).count()
        };
        assert_eq!(withheld("medical.pregnant"), 5);
        assert_eq!(withheld("income.magi_monthly"), 1);
        assert_eq!(withheld(PERSON), 0, "every contract needs it");
    }
}
