//! A contract compiled for one jurisdiction and day: exact integer relations, the same for people, proofs and courts.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use serde::Serialize;

use super::error::RuleError;
use super::simplify::simplify;
use crate::encoding::Bytes32;
use crate::ids::{AttributeId, ContractRef, Jurisdiction, Verdict};
use crate::leaf::PERSON;
use crate::statement::{Bounds, Node};
use crate::units::{Day, Period};

/// One thing a contract needs to know: an attribute over a reference period.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Fact {
    /// The attribute.
    pub attribute: AttributeId,
    /// Its reference period.
    pub period: Period,
}

/// One condition of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// Name within the contract, such as `age`.
    pub id: String,
    /// Reason code that a NO gives when this clause fails; unique within the contract.
    pub reason: String,
    /// The law it states.
    pub citation: String,
    /// One sentence for people.
    pub text: String,
    /// Holds of values exactly when the clause is known to hold.
    pub node: Node,
    /// Holds of values exactly when the clause is known to fail: the negation, compiled from the negated expression.
    pub fail: Node,
}

/// What a verdict on a contract may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A group of a programme: its id names the group, and a NO names the clauses that fail.
    Group,
    /// Several groups at once: YES or NO and nothing else, whichever way led there (P8).
    Umbrella,
    /// Something that happened: a NO names the clauses that fail.
    Event,
}

/// The verdict of plain evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every clause is known to hold.
    Yes,
    /// At least one clause is known to fail.
    No {
        /// Reason codes of all clauses known to fail, in the contract's order; none for an umbrella.
        reasons: Vec<String>,
    },
    /// Neither can be shown.
    NeedsInfo {
        /// The unknown facts on which undecided clauses turn, in the contract's order.
        missing: Vec<Fact>,
    },
}

/// The result of plain evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// The verdict, with what it rests on.
    pub verdict: Outcome,
}

/// A contract for one jurisdiction and as-of day.
///
/// YES is the `and` of the clauses' nodes; NO with reasons is the `and` of exactly the named clauses' negations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compiled {
    /// Id and hash of the contract.
    pub contract: ContractRef,
    /// What a verdict may say.
    pub kind: Kind,
    /// Such as `medicaid`.
    pub program: String,
    /// The state.
    pub jurisdiction: Jurisdiction,
    /// The day on which it is decided.
    pub as_of: Day,
    /// First day of the contract's own window.
    pub in_force_from: Day,
    /// Last day of it, none while open.
    pub in_force_until: Option<Day>,
    /// What must be known, ordered by attribute and period: the order of values and of leaves.
    pub facts: Vec<Fact>,
    /// Least and greatest value of each fact.
    #[serde(skip)]
    pub bounds: Vec<Bounds>,
    /// The conditions.
    pub clauses: Vec<Clause>,
}

/// Statements in few words, worked out when first asked for.
#[derive(Debug, Default)]
struct Statements {
    yes: OnceLock<Node>,
    fails: OnceLock<Vec<Node>>,
}

/// What statements follow from: the content hash covers all that a contract reads.
type StatementsKey = (Bytes32, Jurisdiction, Day, Kind);

/// Compiled contracts whose statements are remembered: they take longer than the rest of compiling.
const MAX_REMEMBERED: usize = 1_024;

static REMEMBERED: LazyLock<Mutex<HashMap<StatementsKey, Arc<Statements>>>> =
    LazyLock::new(Mutex::default);

impl Compiled {
    fn statements(&self) -> Arc<Statements> {
        let key = (self.contract.hash, self.jurisdiction, self.as_of, self.kind);
        let mut remembered = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MAX_REMEMBERED && !remembered.contains_key(&key) {
            remembered.clear();
        }
        Arc::clone(remembered.entry(key).or_default())
    }

    /// What a YES proves: that every clause holds, in few words.
    pub fn yes(&self) -> Node {
        let short = || {
            let nodes = self.clauses.iter().map(|clause| clause.node.clone());
            simplify(&Node::And(nodes.collect()), &self.bounds)
        };
        self.statements().yes.get_or_init(short).clone()
    }

    /// What a NO proves of each clause; of an umbrella, one statement that some clause fails.
    fn fails(&self) -> Vec<Node> {
        let all = || {
            let fails = self.clauses.iter().map(|clause| clause.fail.clone());
            let short = |node: Node| simplify(&node, &self.bounds);
            match self.kind {
                Kind::Umbrella => vec![short(Node::Or(fails.collect()))],
                _ => fails.map(short).collect(),
            }
        };
        self.statements().fails.get_or_init(all).clone()
    }

    /// What a NO proves: that each named clause fails; for an umbrella, which names none, that some clause fails.
    ///
    /// # Errors
    /// [`RuleError::Reasons`] unless the reasons are distinct reason codes of this contract in its order, at least
    /// one (for an umbrella: none).
    pub fn no(&self, reasons: &[String]) -> Result<Node, RuleError> {
        let bad = |why| RuleError::Reasons {
            contract: self.contract.id.clone(),
            why,
        };
        if self.kind == Kind::Umbrella {
            if !reasons.is_empty() {
                return Err(bad("an umbrella contract gives no reasons"));
            }
            return Ok(Node::And(self.fails()).flatten());
        }
        if reasons.is_empty() {
            return Err(bad("a NO names at least one clause"));
        }
        let mut clauses = self.clauses.iter().zip(self.fails());
        let fails = reasons.iter().map(|reason| {
            clauses
                .find(|(clause, _)| clause.reason == *reason)
                .map(|(_, fail)| fail)
                .ok_or_else(|| bad("reasons are distinct codes of the contract, in its order"))
        });
        Ok(Node::And(fails.collect::<Result<_, _>>()?).flatten())
    }

    /// The reasons of the longest NO: every clause's; none for an umbrella.
    pub fn all_reasons(&self) -> Vec<String> {
        match self.kind {
            Kind::Umbrella => Vec::new(),
            _ => self
                .clauses
                .iter()
                .map(|clause| clause.reason.clone())
                .collect(),
        }
    }

    /// What a verdict proves.
    ///
    /// # Errors
    /// [`RuleError::Reasons`]; a YES takes no reasons.
    pub fn statement(&self, verdict: Verdict, reasons: &[String]) -> Result<Node, RuleError> {
        match verdict {
            Verdict::Yes if reasons.is_empty() => Ok(self.yes()),
            Verdict::Yes => Err(RuleError::Reasons {
                contract: self.contract.id.clone(),
                why: "a YES gives no reasons",
            }),
            Verdict::No => self.no(reasons),
        }
    }

    /// Width in bits of the range proof of a verdict: 8, 16, 32 or 64.
    ///
    /// # Errors
    /// [`RuleError::Reasons`]. Widths were checked when the contract was compiled.
    pub fn bits(&self, verdict: Verdict, reasons: &[String]) -> Result<u8, RuleError> {
        self.statement(verdict, reasons)?
            .bits(&self.bounds)
            .map_err(|error| RuleError::NotProvable {
                contract: self.contract.id.clone(),
                clause: String::from("(all)"),
                why: error.to_string(),
            })
    }

    /// Slack slots of the proof of a verdict, before padding.
    ///
    /// # Errors
    /// [`RuleError::Reasons`].
    pub fn slots(&self, verdict: Verdict, reasons: &[String]) -> Result<usize, RuleError> {
        Ok(self.statement(verdict, reasons)?.slots())
    }

    /// The index of a fact by its attribute, the earliest period if there are several.
    pub fn fact_index(&self, attribute: &str) -> Option<usize> {
        self.facts
            .iter()
            .position(|fact| fact.attribute.0 == attribute)
    }

    /// Decides on values in the order of `facts`; none is a fact that is not known.
    ///
    /// The verdict is YES or NO exactly when the proof of it exists. A value outside its bounds counts as not known,
    /// as does one that is not there.
    pub fn evaluate(&self, values: &[Option<i64>]) -> Evaluation {
        let known: Vec<Option<i64>> = self
            .bounds
            .iter()
            .enumerate()
            .map(|(index, bound)| {
                let value = values.get(index).copied().flatten();
                value.filter(|value| (bound.min..=bound.max).contains(value))
            })
            .collect();
        // Every statement says that identity.person is known and 1, so nothing can be shown without it.
        let person = self.fact_index(PERSON).and_then(|index| known.get(index));
        if person != Some(&Some(1)) {
            let missing = self.missing(&known);
            return Evaluation {
                verdict: Outcome::NeedsInfo { missing },
            };
        }
        let fails = |clause: &&Clause| clause.fail.holds(&known);
        let failed: Vec<&Clause> = self.clauses.iter().filter(fails).collect();
        let verdict = if !failed.is_empty() {
            let reasons = match self.kind {
                Kind::Umbrella => Vec::new(),
                _ => failed.iter().map(|clause| clause.reason.clone()).collect(),
            };
            Outcome::No { reasons }
        } else if self.clauses.iter().all(|clause| clause.node.holds(&known)) {
            Outcome::Yes
        } else {
            Outcome::NeedsInfo {
                missing: self.missing(&known),
            }
        };
        Evaluation { verdict }
    }

    fn missing(&self, known: &[Option<i64>]) -> Vec<Fact> {
        fn gather(node: &Node, known: &[Option<i64>], wanted: &mut [bool]) {
            match node {
                _ if node.holds(known) || refuted(node, known) => {}
                Node::And(children) | Node::Or(children) => {
                    for child in children {
                        gather(child, known, wanted);
                    }
                }
                Node::Atom(atom) => {
                    for &(fact, _) in &atom.terms {
                        let unknown = known.get(fact).copied().flatten().is_none();
                        if let Some(wanted) = wanted.get_mut(fact) {
                            *wanted |= unknown;
                        }
                    }
                }
            }
        }
        fn refuted(node: &Node, known: &[Option<i64>]) -> bool {
            match node {
                Node::And(children) => children.iter().any(|child| refuted(child, known)),
                Node::Or(children) => children.iter().all(|child| refuted(child, known)),
                Node::Atom(atom) => atom.holds(known) == Some(false),
            }
        }
        let mut wanted = vec![false; self.facts.len()];
        for clause in &self.clauses {
            if !clause.node.holds(known) && !clause.fail.holds(known) {
                gather(&clause.node, known, &mut wanted);
                // The clause may be refuted by cases none of which is known to apply.
                gather(&clause.fail, known, &mut wanted);
            }
        }
        if let Some(person) = self.fact_index(PERSON) {
            let unknown = known.get(person).copied().flatten().is_none();
            if let Some(wanted) = wanted.get_mut(person) {
                *wanted |= unknown;
            }
        }
        let facts = self.facts.iter().zip(wanted);
        facts
            .filter(|(_, wanted)| *wanted)
            .map(|(fact, _)| fact.clone())
            .collect()
    }
}
