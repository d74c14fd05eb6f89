//! What the proof of a verdict costs, estimated from its tree.

use std::fmt;

use super::compiled::Compiled;
use super::error::RuleError;
use crate::ids::Verdict;
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
    /// Estimated bytes of slacks, range proof and tree, leaves not included.
    pub bytes: usize,
}

impl Cost {
    /// The cost of a verdict.
    ///
    /// The aggregated range proof has `9 + 2·log₂(n·m)` elements; each slack is a point, each atom a response, each
    /// branch a share of the challenge.
    ///
    /// # Errors
    /// [`RuleError::Reasons`].
    pub fn of(
        compiled: &Compiled,
        verdict: Verdict,
        reasons: &[String],
    ) -> Result<Self, RuleError> {
        let statement = compiled.statement(verdict, reasons)?;
        let bits = compiled.bits(verdict, reasons)?;
        let (slots, atoms) = (statement.slots(), statement.atoms().len());
        let branches = branches(&statement);
        let range = match slots {
            0 => 0,
            _ => {
                let wide = usize::from(bits) * slots.next_power_of_two();
                9 + 2 * wide.ilog2() as usize
            }
        };
        Ok(Self {
            facts: compiled.facts.len(),
            slots,
            bits,
            atoms,
            branches,
            bytes: ELEMENT * (range + slots + atoms + branches),
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
            "{facts} facts, {slots} slots of {bits} bits, {atoms} relations, {branches} branches, about {bytes} bytes"
        )
    }
}
