//! From a contract to its compiled form for one jurisdiction and day, or a refusal that names the clause.

use std::collections::{BTreeMap, BTreeSet};

use super::compiled::{Clause, Compiled, Fact};
use super::content::PERSON;
use super::error::RuleError;
use super::file::{Contract, Rule};
use super::linear::{FactKey, Tree};
use super::lower::{Context, LowerError};
use super::simplify::simplify;
use crate::catalogue::Catalogue;
use crate::encoding::Bytes32;
use crate::ids::{AttributeId, ContractRef, Jurisdiction};
use crate::params::Tables;
use crate::statement::{Atom, Bounds, MAX_ATOMS, MAX_SLOTS, Node, TreeError};
use crate::units::Day;

/// A compiler for one contract, jurisdiction and day.
pub(super) struct Compiler<'a> {
    pub contract: &'a Contract,
    pub hash: Bytes32,
    pub catalogue: &'a Catalogue,
    pub tables: &'a Tables,
    pub jurisdiction: Jurisdiction,
    pub as_of: Day,
    pub others: &'a dyn Fn(&str) -> Option<&'a Contract>,
}

struct Lowered<'a> {
    clause: &'a super::file::ClauseText,
    holds: Tree,
    fails: Tree,
}

impl Compiler<'_> {
    pub fn compile(&self) -> Result<Compiled, RuleError> {
        if let Some(offered) = &self.contract.offered {
            match self.lower(offered, true)? {
                Tree::Const(true) => {}
                Tree::Const(false) => {
                    return Err(RuleError::NotOffered {
                        contract: self.contract.id.clone(),
                        jurisdiction: self.jurisdiction,
                        as_of: self.as_of,
                    });
                }
                _ => return Err(self.refuse("offered", "it must follow from tables alone")),
            }
        }
        let mut lowered = Vec::new();
        for clause in &self.contract.clauses {
            if !clause.applies(self.as_of) {
                continue;
            }
            let (holds, fails) = (
                self.lower(&clause.rule, true)?,
                self.lower(&clause.rule, false)?,
            );
            match (&holds, &fails) {
                (Tree::Const(true), _) | (_, Tree::Const(false)) => {}
                (Tree::Const(false), _) | (_, Tree::Const(true)) => {
                    return Err(
                        self.refuse(&clause.id, "it can never hold here: say so in `offered`")
                    );
                }
                _ => lowered.push(Lowered {
                    clause,
                    holds,
                    fails,
                }),
            }
        }
        if lowered.is_empty() {
            return Err(self.refuse("(all)", "no clause is left to decide here"));
        }
        self.finish(&lowered)
    }

    fn finish(&self, lowered: &[Lowered<'_>]) -> Result<Compiled, RuleError> {
        let person = (AttributeId::from(PERSON), 0);
        let mut keys = BTreeSet::from([&person]);
        for clause in lowered {
            clause.holds.facts(&mut keys);
            clause.fails.facts(&mut keys);
        }
        let mut facts = Vec::new();
        for key in keys {
            let attribute = self.catalogue.get(&key.0).ok_or_else(|| {
                self.refuse("(all)", &format!("{} is not in the catalogue", key.0))
            })?;
            let period = self
                .as_of
                .plus(-key.1)
                .and_then(|day| attribute.period.period(day));
            let period = period.map_err(|error| self.refuse("(all)", &error.to_string()))?;
            let fact = Fact {
                attribute: key.0.clone(),
                period,
            };
            facts.push((fact, key, attribute.bounds()));
        }
        facts.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let index: BTreeMap<&FactKey, usize> =
            facts.iter().map(|(_, key, _)| *key).zip(0..).collect();
        let bounds: Vec<Bounds> = facts.iter().map(|(_, _, bounds)| *bounds).collect();
        let mut clauses = Vec::new();
        for Lowered {
            clause,
            holds,
            fails,
        } in lowered
        {
            let [node, fail] =
                [holds, fails].map(|tree| node(tree, &index).map(|node| simplify(&node, &bounds)));
            let (Some(node), Some(fail)) = (node, fail) else {
                return Err(self.refuse(&clause.id, "it has a constant inside"));
            };
            for tree in [&node, &fail] {
                self.provable(&clause.id, tree, &bounds)?;
            }
            clauses.push(Clause {
                id: clause.id.clone(),
                reason: clause.reason.clone(),
                citation: clause.citation.clone(),
                text: clause.text.clone(),
                node,
                fail,
            });
        }
        let compiled = Compiled {
            contract: ContractRef {
                id: self.contract.id.clone(),
                hash: self.hash,
            },
            kind: self.contract.kind,
            program: self.contract.program.clone(),
            jurisdiction: self.jurisdiction,
            as_of: self.as_of,
            in_force_from: self.contract.from,
            in_force_until: self.contract.until,
            facts: facts.into_iter().map(|(fact, ..)| fact).collect(),
            bounds,
            clauses,
        };
        Ok(compiled)
    }

    fn lower(&self, rule: &Rule, wanted: bool) -> Result<Tree, RuleError> {
        let context = Context {
            catalogue: self.catalogue,
            tables: self.tables,
            jurisdiction: self.jurisdiction,
            as_of: self.as_of,
            contract: self.others,
            depth: 0,
        };
        context
            .condition(&rule.expr, wanted)
            .map_err(|error| match error {
                LowerError::Fault(fault) => self.contract.locate(rule, fault).into(),
                LowerError::Table(error) => error.into(),
            })
    }

    /// That every relation fits 64 bits and all of them one proof. Whether a verdict's proof is within its cap is
    /// for [`super::Cost`] to say.
    fn provable(&self, clause: &str, tree: &Node, bounds: &[Bounds]) -> Result<(), RuleError> {
        let refuse = |error: TreeError| self.refuse(clause, &error.to_string());
        tree.bits(bounds).map_err(refuse)?;
        let within = |tree: &Node| match (tree.slots(), tree.atoms().len()) {
            (slots, _) if slots > MAX_SLOTS => Err(TreeError::Slots(slots)),
            (_, atoms) if atoms > MAX_ATOMS => Err(TreeError::Atoms(atoms)),
            _ => Ok(()),
        };
        within(tree)
            .or_else(|_| within(&simplify(tree, bounds)))
            .map_err(refuse)
    }

    fn refuse(&self, clause: &str, why: &str) -> RuleError {
        RuleError::NotProvable {
            contract: self.contract.id.clone(),
            clause: clause.to_owned(),
            why: why.to_owned(),
        }
    }
}

fn node(tree: &Tree, index: &BTreeMap<&FactKey, usize>) -> Option<Node> {
    let all = |children: &[Tree]| -> Option<Vec<Node>> {
        children.iter().map(|child| node(child, index)).collect()
    };
    match tree {
        Tree::Const(_) => None,
        Tree::And(children) => all(children).map(Node::And),
        Tree::Or(children) => all(children).map(Node::Or),
        Tree::Atom(relation, terms, constant) => {
            let mut terms: Vec<(usize, i64)> = terms
                .iter()
                .map(|(key, coefficient)| Some((*index.get(key)?, *coefficient)))
                .collect::<Option<_>>()?;
            terms.sort_unstable();
            Some(Node::Atom(Atom {
                relation: *relation,
                terms,
                constant: *constant,
            }))
        }
    }
}
