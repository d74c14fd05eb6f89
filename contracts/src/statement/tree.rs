//! The monotone tree of a contract: `and` and `or` over linear relations between attested integers.

use serde::Serialize;

/// What an atom says about its linear form `L = Σ aᵢ·xᵢ + c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// `L ≥ 0`; takes one slack slot.
    GeZero,
    /// `L = 0`; takes none.
    EqZero,
}

/// A linear relation between facts, together with `known = 1` of every fact it names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Atom {
    /// Inequality or equality.
    pub relation: Relation,
    /// Index of a fact in the contract's list of facts, and its coefficient.
    pub terms: Vec<(usize, i64)>,
    /// The public constant `c`.
    pub constant: i64,
}

/// A statement about facts. Monotone: a negation is pushed down to the atoms by [`Node::negate`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Node {
    /// All of these.
    And(Vec<Node>),
    /// At least one of these.
    Or(Vec<Node>),
    /// A linear relation.
    Atom(Atom),
}

/// The least and the greatest value of a fact, from the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Least value.
    pub min: i64,
    /// Greatest value, not below the least.
    pub max: i64,
}

/// A tree that cannot be proved or negated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// An `and` or `or` of nothing, which would prove nothing or never hold.
    #[error("an `and` or `or` has no children: remove it or give it one")]
    Empty,
    /// An atom names a fact that the contract does not list.
    #[error("an atom names fact {fact}, but the contract lists {facts}")]
    NoSuchFact {
        /// Index named.
        fact: usize,
        /// Facts listed.
        facts: usize,
    },
    /// A coefficient or constant leaves the 64-bit integers.
    #[error("a coefficient or constant leaves the signed 64-bit integers")]
    Overflow,
    /// Interval analysis cannot hold a linear form in 64 bits.
    #[error(
        "a linear form ranges over {min}..={max}, which 64 bits cannot hold either way: divide it by a common factor"
    )]
    Width {
        /// Least value of the form.
        min: i128,
        /// Greatest value of the form.
        max: i128,
    },
    /// A width that range proofs do not have.
    #[error("slacks of {0} bits: expected one of {WIDTHS:?}")]
    Bits(u8),
    /// More slack slots than [`MAX_SLOTS`].
    #[error("{0} slack slots, more than the {MAX_SLOTS} that one proof carries")]
    Slots(usize),
    /// More atoms than [`MAX_ATOMS`].
    #[error("{0} atoms, more than the {MAX_ATOMS} that one proof carries")]
    Atoms(usize),
}

/// Slack slots that one statement may take.
pub const MAX_SLOTS: usize = 16;
/// Atoms that one statement may have.
pub const MAX_ATOMS: usize = 512;
/// Widths in bits that a range proof can have.
pub const WIDTHS: [u8; 4] = [8, 16, 32, 64];

impl Atom {
    /// The least and the greatest value of `L` over all values within bounds.
    ///
    /// # Errors
    /// [`TreeError::NoSuchFact`], or [`TreeError::Overflow`] past 128 bits.
    pub fn interval(&self, bounds: &[Bounds]) -> Result<(i128, i128), TreeError> {
        let (mut min, mut max) = (i128::from(self.constant), i128::from(self.constant));
        for &(fact, coefficient) in &self.terms {
            let bound = bounds.get(fact).ok_or(TreeError::NoSuchFact {
                fact,
                facts: bounds.len(),
            })?;
            let at = |end: i64| i128::from(coefficient) * i128::from(end);
            let (a, b) = (at(bound.min), at(bound.max));
            min = min.checked_add(a.min(b)).ok_or(TreeError::Overflow)?;
            max = max.checked_add(a.max(b)).ok_or(TreeError::Overflow)?;
        }
        Ok((min, max))
    }

    /// Whether the atom holds: none when a fact it names is not known (or not there).
    pub fn holds(&self, values: &[Option<i64>]) -> Option<bool> {
        let mut sum = i128::from(self.constant);
        for &(fact, coefficient) in &self.terms {
            let value = values.get(fact).copied().flatten()?;
            sum = sum.checked_add(i128::from(coefficient) * i128::from(value))?;
        }
        Some(match self.relation {
            Relation::GeZero => sum >= 0,
            Relation::EqZero => sum == 0,
        })
    }

    /// `−L + shift`, under `relation`.
    fn negative(&self, relation: Relation, shift: i64) -> Result<Self, TreeError> {
        let terms = self.terms.iter().map(|&(fact, coefficient)| {
            Ok((fact, coefficient.checked_neg().ok_or(TreeError::Overflow)?))
        });
        Ok(Self {
            relation,
            terms: terms.collect::<Result<_, _>>()?,
            constant: self
                .constant
                .checked_neg()
                .and_then(|constant| constant.checked_add(shift))
                .ok_or(TreeError::Overflow)?,
        })
    }

    /// `L − 1`, under `relation`.
    fn less_one(&self, relation: Relation) -> Result<Self, TreeError> {
        Ok(Self {
            relation,
            terms: self.terms.clone(),
            constant: self.constant.checked_sub(1).ok_or(TreeError::Overflow)?,
        })
    }

    /// What holds exactly when the atom fails and its facts are known.
    ///
    /// `¬(L ≥ 0)` is `−L − 1 ≥ 0`. `¬(L = 0)` is one equality where `L` takes two neighbouring values (a flag),
    /// else `L − 1 ≥ 0 ∨ −L − 1 ≥ 0`.
    ///
    /// # Errors
    /// [`TreeError::NoSuchFact`] or [`TreeError::Overflow`].
    pub fn negate(&self, bounds: &[Bounds]) -> Result<Node, TreeError> {
        if self.relation == Relation::GeZero {
            return Ok(Node::Atom(self.negative(Relation::GeZero, -1)?));
        }
        Ok(match self.interval(bounds)? {
            (0, 1) => Node::Atom(self.less_one(Relation::EqZero)?),
            (-1, 0) => Node::Atom(self.negative(Relation::EqZero, -1)?),
            _ => Node::Or(vec![
                Node::Atom(self.less_one(Relation::GeZero)?),
                Node::Atom(self.negative(Relation::GeZero, -1)?),
            ]),
        })
    }
}

impl Node {
    /// The same statement with nested `and`s and `or`s of one kind merged and single children unwrapped.
    ///
    /// In the result the children of an `and` are atoms and `or`s, those of an `or` atoms and `and`s, in the order
    /// in which they were written.
    pub fn flatten(self) -> Self {
        fn gather(children: Vec<Node>, and: bool) -> Vec<Node> {
            let mut flat = Vec::with_capacity(children.len());
            for child in children {
                match child.flatten() {
                    Node::And(inner) if and => flat.extend(inner),
                    Node::Or(inner) if !and => flat.extend(inner),
                    other => flat.push(other),
                }
            }
            flat
        }
        fn unwrap_single(mut children: Vec<Node>, wrap: fn(Vec<Node>) -> Node) -> Node {
            match (children.len(), children.pop()) {
                (1, Some(only)) => only,
                (_, last) => {
                    children.extend(last);
                    wrap(children)
                }
            }
        }
        match self {
            Self::And(children) => unwrap_single(gather(children, true), Self::And),
            Self::Or(children) => unwrap_single(gather(children, false), Self::Or),
            atom @ Self::Atom(_) => atom,
        }
    }

    /// What holds exactly when the statement fails on known facts (De Morgan down to [`Atom::negate`]).
    ///
    /// # Errors
    /// [`TreeError::NoSuchFact`] or [`TreeError::Overflow`].
    pub fn negate(&self, bounds: &[Bounds]) -> Result<Self, TreeError> {
        let each = |children: &[Self]| -> Result<Vec<Self>, TreeError> {
            children.iter().map(|child| child.negate(bounds)).collect()
        };
        Ok(match self {
            Self::And(children) => Self::Or(each(children)?),
            Self::Or(children) => Self::And(each(children)?),
            Self::Atom(atom) => atom.negate(bounds)?,
        })
    }

    /// Slack slots: one for an inequality, none for an equality; `and` adds its children's, `or` takes their maximum.
    pub fn slots(&self) -> usize {
        match self {
            Self::And(children) => children.iter().map(Self::slots).sum(),
            Self::Or(children) => children.iter().map(Self::slots).max().unwrap_or(0),
            Self::Atom(atom) => usize::from(atom.relation == Relation::GeZero),
        }
    }

    /// Every atom, in the order in which they were written.
    pub fn atoms(&self) -> Vec<&Atom> {
        match self {
            Self::And(children) | Self::Or(children) => {
                children.iter().flat_map(Self::atoms).collect()
            }
            Self::Atom(atom) => vec![atom],
        }
    }

    /// The width of the range proof: the smallest of [`WIDTHS`] that holds every slack of the statement.
    ///
    /// # Errors
    /// [`TreeError::Width`] when some `L` or `−L − 1` does not fit 64 bits; [`TreeError::NoSuchFact`].
    pub fn bits(&self, bounds: &[Bounds]) -> Result<u8, TreeError> {
        let (mut widest, limit) = (0, i128::from(u64::MAX));
        for atom in self.atoms() {
            let (min, max) = atom.interval(bounds)?;
            if max > limit || -1 - min > limit {
                return Err(TreeError::Width { min, max });
            }
            if atom.relation == Relation::GeZero {
                widest = max.max(widest);
            }
        }
        Ok(WIDTHS
            .into_iter()
            .find(|width| widest < 1 << width)
            .unwrap_or(64))
    }

    /// Whether the statement can be proved of these values: facts that are not known make no atom hold.
    pub fn holds(&self, values: &[Option<i64>]) -> bool {
        match self {
            Self::And(children) => children.iter().all(|child| child.holds(values)),
            Self::Or(children) => children.iter().any(|child| child.holds(values)),
            Self::Atom(atom) => atom.holds(values) == Some(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn atom(relation: Relation, terms: &[(usize, i64)], constant: i64) -> Node {
        Node::Atom(Atom {
            relation,
            terms: terms.to_vec(),
            constant,
        })
    }

    fn ge(terms: &[(usize, i64)], constant: i64) -> Node {
        atom(Relation::GeZero, terms, constant)
    }

    fn eq(terms: &[(usize, i64)], constant: i64) -> Node {
        atom(Relation::EqZero, terms, constant)
    }

    const FLAG: Bounds = Bounds { min: 0, max: 1 };
    const COUNT: Bounds = Bounds { min: 1, max: 20 };

    #[test]
    fn a_flag_negates_to_one_atom_and_another_equality_to_two() {
        let bounds = [FLAG, COUNT];
        assert_eq!(eq(&[(0, 1)], 0).negate(&bounds), Ok(eq(&[(0, 1)], -1)));
        assert_eq!(eq(&[(0, 1)], -1).negate(&bounds), Ok(eq(&[(0, -1)], 0)));
        assert_eq!(
            eq(&[(1, 1)], -3).negate(&bounds),
            Ok(Node::Or(vec![ge(&[(1, 1)], -4), ge(&[(1, -1)], 2)]))
        );
        assert_eq!(ge(&[(1, 2)], -7).negate(&bounds), Ok(ge(&[(1, -2)], 6)));
    }

    #[test]
    fn flattening_merges_like_with_like_and_keeps_the_order() {
        let [a, b, c, d] = [1, 2, 3, 4].map(|constant| ge(&[(0, 1)], constant));
        let nested = Node::And(vec![
            a.clone(),
            Node::And(vec![Node::And(vec![b.clone()]), Node::Or(vec![c.clone()])]),
            Node::Or(vec![Node::Or(vec![c.clone(), d.clone()]), a.clone()]),
        ]);
        let flat = Node::And(vec![a.clone(), b, c.clone(), Node::Or(vec![c, d, a])]);
        assert_eq!(nested.flatten(), flat);
        assert_eq!(Node::And(vec![]).flatten(), Node::And(vec![]));
    }

    #[test]
    fn slots_add_under_and_and_take_the_maximum_under_or() {
        let (i, e) = (ge(&[(0, 1)], 0), eq(&[(0, 1)], 0));
        let or = Node::Or(vec![
            e.clone(),
            Node::And(vec![i.clone(), i.clone(), e.clone()]),
            i.clone(),
        ]);
        assert_eq!(Node::And(vec![i, e, or]).slots(), 3);
    }

    #[test]
    fn width_is_the_smallest_that_holds_every_slack_and_wider_forms_are_refused() {
        let bounds = [Bounds {
            min: 0,
            max: 1 << 40,
        }];
        assert_eq!(ge(&[(0, -1)], 255).bits(&bounds), Ok(8));
        assert_eq!(ge(&[(0, -1)], 256).bits(&bounds), Ok(16));
        assert_eq!(ge(&[(0, 1)], 0).bits(&bounds), Ok(64));
        assert!(matches!(
            ge(&[(0, 1 << 30)], 0).bits(&bounds),
            Err(TreeError::Width { .. })
        ));
        assert!(matches!(
            ge(&[(0, -(1 << 30))], 0).bits(&bounds),
            Err(TreeError::Width { .. })
        ));
        assert!(matches!(
            ge(&[(1, 1)], 0).bits(&bounds),
            Err(TreeError::NoSuchFact { fact: 1, facts: 1 })
        ));
    }

    fn trees() -> impl Strategy<Value = Node> {
        let leaf = (
            any::<bool>(),
            prop::collection::vec((0usize..3, -3i64..=3), 1..3),
            -6i64..=6,
        )
            .prop_map(|(inequality, terms, constant)| {
                let relation = if inequality {
                    Relation::GeZero
                } else {
                    Relation::EqZero
                };
                atom(relation, &terms, constant)
            });
        leaf.prop_recursive(3, 12, 3, |inner| {
            let children = prop::collection::vec(inner, 1..4);
            (any::<bool>(), children).prop_map(|(and, children)| {
                if and {
                    Node::And(children)
                } else {
                    Node::Or(children)
                }
            })
        })
    }

    proptest! {
        #[test]
        fn on_known_facts_exactly_one_of_statement_and_negation_holds(
            tree in trees(), values in [0i64..=1, 1i64..=20, -5i64..=5],
        ) {
            let bounds = [FLAG, COUNT, Bounds { min: -5, max: 5 }];
            let known = values.map(Some);
            let negated = tree.negate(&bounds).unwrap();
            prop_assert_ne!(tree.holds(&known), negated.holds(&known));
            prop_assert_eq!(tree.clone().flatten().holds(&known), tree.holds(&known));
            prop_assert_eq!(tree.clone().flatten().slots(), tree.slots());
        }

        #[test]
        fn a_fact_that_is_not_known_never_decides_both_ways(
            tree in trees(), values in [prop::option::of(0i64..=1), prop::option::of(1i64..=20), prop::option::of(-5i64..=5)],
        ) {
            let bounds = [FLAG, COUNT, Bounds { min: -5, max: 5 }];
            let negated = tree.negate(&bounds).unwrap();
            prop_assert!(!(tree.holds(&values) && negated.holds(&values)));
        }
    }
}
