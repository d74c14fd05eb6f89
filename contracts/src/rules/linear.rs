//! Exact linear forms over facts, and the relations that compare them.

use std::collections::BTreeMap;

use crate::ids::AttributeId;
use crate::statement::Relation;

/// A fact before the as-of day is known: the attribute, and how many days before the as-of day its period ends.
pub(super) type FactKey = (AttributeId, i64);

/// `(Σ aᵢ·xᵢ + c) / scale`, in cents, days or a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Linear {
    pub terms: BTreeMap<FactKey, i128>,
    pub constant: i128,
    pub scale: i128,
}

/// A condition before facts have their indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    Const(bool),
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Atom(Relation, BTreeMap<FactKey, i64>, i64),
}

/// A number in a contract that leaves 64 bits on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Linear {
    pub fn constant(constant: i128) -> Self {
        Self {
            terms: BTreeMap::new(),
            constant,
            scale: 1,
        }
    }

    pub fn fact(key: FactKey) -> Self {
        Self {
            terms: BTreeMap::from([(key, 1)]),
            constant: 0,
            scale: 1,
        }
    }

    /// The value, where no fact is involved.
    pub fn as_constant(&self) -> Option<i128> {
        (self.terms.is_empty() && self.constant % self.scale == 0)
            .then(|| self.constant / self.scale)
    }

    pub fn times(&self, factor: i128) -> Result<Self, TooLarge> {
        let times = |number: i128| number.checked_mul(factor).ok_or(TooLarge);
        Ok(Self {
            terms: self
                .terms
                .iter()
                .map(|(key, coefficient)| Ok((key.clone(), times(*coefficient)?)))
                .collect::<Result<_, _>>()?,
            constant: times(self.constant)?,
            scale: self.scale,
        })
    }

    pub fn over(&self, divisor: i128) -> Result<Self, TooLarge> {
        let scale = self.scale.checked_mul(divisor).ok_or(TooLarge)?;
        Ok(Self {
            scale,
            ..self.clone()
        })
    }

    pub fn plus(&self, other: &Self) -> Result<Self, TooLarge> {
        let (mut sum, other) = (self.times(other.scale)?, other.times(self.scale)?);
        sum.scale = self.scale.checked_mul(other.scale).ok_or(TooLarge)?;
        sum.constant = sum.constant.checked_add(other.constant).ok_or(TooLarge)?;
        for (key, coefficient) in other.terms {
            let entry = sum.terms.entry(key).or_insert(0);
            *entry = entry.checked_add(coefficient).ok_or(TooLarge)?;
        }
        sum.terms.retain(|_, coefficient| *coefficient != 0);
        Ok(sum)
    }

    pub fn minus(&self, other: &Self) -> Result<Self, TooLarge> {
        self.plus(&other.times(-1)?)
    }

    /// `self − shift/scale ≥ 0`, divided by the greatest common divisor of the coefficients, its constant floored:
    /// exact, because the sum of the variable terms is a multiple of that divisor.
    pub fn at_least(&self, shift: i128) -> Result<Tree, TooLarge> {
        let constant = self.constant.checked_sub(shift).ok_or(TooLarge)?;
        match self.divisor() {
            0 => Ok(Tree::Const(constant >= 0)),
            gcd => self.atom(Relation::GeZero, gcd, constant.div_euclid(gcd)),
        }
    }

    /// `self = 0`.
    pub fn is_zero(&self) -> Result<Tree, TooLarge> {
        match self.divisor() {
            0 => Ok(Tree::Const(self.constant == 0)),
            gcd if self.constant % gcd != 0 => Ok(Tree::Const(false)),
            gcd => self.atom(Relation::EqZero, gcd, self.constant / gcd),
        }
    }

    fn divisor(&self) -> i128 {
        fn gcd(a: i128, b: i128) -> i128 {
            if b == 0 { a.abs() } else { gcd(b, a % b) }
        }
        self.terms.values().copied().fold(0, gcd)
    }

    fn atom(&self, relation: Relation, gcd: i128, constant: i128) -> Result<Tree, TooLarge> {
        let narrow = |number: i128| i64::try_from(number).map_err(|_| TooLarge);
        let terms = self.terms.iter();
        let terms = terms.map(|(key, coefficient)| Ok((key.clone(), narrow(coefficient / gcd)?)));
        Ok(Tree::Atom(
            relation,
            terms.collect::<Result<_, _>>()?,
            narrow(constant)?,
        ))
    }
}

impl Tree {
    /// `and`, with constants folded away.
    pub fn and(children: Vec<Self>) -> Self {
        Self::join(children, true)
    }

    /// `or`, with constants folded away.
    pub fn or(children: Vec<Self>) -> Self {
        Self::join(children, false)
    }

    fn join(children: Vec<Self>, and: bool) -> Self {
        if children.contains(&Self::Const(!and)) {
            return Self::Const(!and);
        }
        let mut open = children;
        open.retain(|child| *child != Self::Const(and));
        match (open.len(), and) {
            (0, _) => Self::Const(and),
            (1, _) => open.swap_remove(0),
            (_, true) => Self::And(open),
            (_, false) => Self::Or(open),
        }
    }

    /// Every fact the tree names.
    pub fn facts<'a>(&'a self, into: &mut std::collections::BTreeSet<&'a FactKey>) {
        match self {
            Self::Const(_) => {}
            Self::And(children) | Self::Or(children) => {
                children.iter().for_each(|child| child.facts(into));
            }
            Self::Atom(_, terms, _) => into.extend(terms.keys()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(a: i128, b: i128, constant: i128) -> Linear {
        Linear {
            terms: BTreeMap::from([(("x".into(), 0), a), (("y".into(), 0), b)]),
            constant,
            scale: 1,
        }
    }

    #[test]
    fn division_by_the_common_factor_floors_and_stays_exact() {
        for constant in -30..30 {
            let Ok(Tree::Atom(_, terms, divided)) = form(12, -18, constant).at_least(0) else {
                panic!("an atom");
            };
            let coefficients: Vec<i64> = terms.into_values().collect();
            assert_eq!(coefficients, [2, -3]);
            for (x, y) in [(0, 0), (3, 2), (1, 1), (-2, 1), (5, -1)] {
                let whole = 12 * x - 18 * y + constant >= 0;
                assert_eq!(whole, 2 * x - 3 * y + i128::from(divided) >= 0);
            }
        }
        assert_eq!(form(4, 6, 3).is_zero(), Ok(Tree::Const(false)));
        assert_eq!(form(i128::MAX, 2, 0).times(2), Err(TooLarge));
    }
}
