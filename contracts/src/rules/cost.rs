//! What the proof of a verdict costs, and the most that a contract may.

use std::fmt;

use super::compiled::{Compiled, Kind};
use super::error::RuleError;
use crate::ids::Verdict;
use crate::presentation::{self, PresentationError};
use crate::statement::{Node, Shape};

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

/// Most bytes of slacks and proof of a verdict: a contract that needs more is not proved, and `rules lint` refuses it.
///
/// An umbrella is several groups at once; an event may contain it.
pub fn proof_cap(kind: Kind, verdict: Verdict) -> usize {
    match (kind, verdict) {
        (Kind::Group, Verdict::Yes) => 2_560,
        (Kind::Umbrella | Kind::Event, Verdict::Yes) => 4_096,
        (_, Verdict::No) => 6_144,
    }
}

impl Cost {
    /// The cost of a verdict: what [`presentation::shape`] lays out for it.
    ///
    /// # Errors
    /// [`RuleError::Reasons`], or [`RuleError::NotProvable`] past [`proof_cap`].
    pub fn of(
        compiled: &Compiled,
        verdict: Verdict,
        reasons: &[String],
    ) -> Result<Self, RuleError> {
        let statement = compiled.statement(verdict, reasons)?;
        let shape =
            presentation::shape(compiled, verdict, reasons).map_err(|error| match error {
                PresentationError::Rules(error) => error,
                error => not_provable(compiled, error.to_string()),
            })?;
        Ok(Self {
            facts: shape.facts(),
            slots: shape.slots(),
            bits: shape.bits(),
            atoms: statement.atoms().len(),
            branches: branches(&statement),
            bytes: shape.total_len(),
        })
    }
}

/// Refuses a shape past its cap.
///
/// # Errors
/// [`RuleError::NotProvable`].
pub(crate) fn check_cap(
    compiled: &Compiled,
    verdict: Verdict,
    shape: &Shape,
) -> Result<(), RuleError> {
    let (bytes, cap) = (shape.total_len(), proof_cap(compiled.kind, verdict));
    if bytes > cap {
        let why = format!("its {verdict} takes {bytes} bytes, more than the {cap} allowed");
        return Err(not_provable(compiled, why));
    }
    Ok(())
}

fn not_provable(compiled: &Compiled, why: String) -> RuleError {
    RuleError::NotProvable {
        contract: compiled.contract.id.clone(),
        clause: String::from("(all)"),
        why,
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
