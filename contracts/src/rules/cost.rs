//! What the proof of a verdict costs, and the most that a contract may.

use std::fmt;

use super::compiled::Compiled;
use super::error::RuleError;
use crate::ids::Verdict;
use crate::presentation;
use crate::statement::Node;

/// Bytes of a group element or scalar.
const ELEMENT: usize = 32;

/// Size of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Facts, each with a leaf in the presentation.
    pub facts: usize,
    /// Slack slots before padding.
    pub slots: usize,
    /// Width of the range proof in bits.
    pub bits: u8,
    /// Relations in the tree.
    pub atoms: usize,
    /// Branches of all its `or`s.
    pub branches: usize,
    /// Bytes of slacks and proof; leaves are not included.
    pub bytes: usize,
}

impl Cost {
    /// The cost of a verdict: what [`presentation::shape`] lays out for it.
    ///
    /// # Errors
    /// [`RuleError::Reasons`], or [`RuleError::NotProvable`].
    pub fn of(
        compiled: &Compiled,
        verdict: Verdict,
        reasons: &[String],
    ) -> Result<Self, RuleError> {
        let statement = compiled.statement(verdict, reasons)?;
        let shape = presentation::shape(compiled, verdict, reasons).map_err(|error| {
            RuleError::NotProvable {
                contract: compiled.contract.id.clone(),
                clause: String::from("(all)"),
                why: error.to_string(),
            }
        })?;
        Ok(Self {
            facts: shape.facts(),
            slots: shape.slots(),
            bits: shape.bits(),
            atoms: statement.atoms().len(),
            branches: branches(&statement),
            bytes: ELEMENT * shape.slots() + shape.proof_len(),
        })
    }
}

fn branches(node: &Node) -> usize {
    match node {
        Node::And(children) => children.iter().map(branches).sum(),
        Node::Or(children) => children.len() + children.iter().map(branches).sum::<usize>(),
        Node::Atom(_) => 0,
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            facts,
            slots,
            bits,
            atoms,
            branches,
            bytes,
        } = self;
        write!(
            f,
            "{facts} facts, {slots} slots of {bits} bits, {atoms} relations, {branches} branches, {bytes} bytes"
        )
    }
}
