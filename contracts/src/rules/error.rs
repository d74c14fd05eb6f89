//! What can be wrong with a contract, a table or a question.

use crate::ids::Jurisdiction;
use crate::params::NotInTable;
use crate::units::Day;

/// A fault in a contract file, with where it stands and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}\n  fix: {fix}")]
pub struct Located {
    /// File name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub fix: String,
}

/// A contract that cannot be read, compiled or asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// A contract file is wrong.
    #[error(transparent)]
    File(#[from] Located),
    /// Two files give one id and overlapping windows.
    #[error(
        "contracts {first} and {second} both define {id} on {day}: end one before the other begins"
    )]
    Overlap {
        /// Contract id.
        id: String,
        /// One file.
        first: String,
        /// The other.
        second: String,
        /// A day on which both are in force.
        day: Day,
    },
    /// No contract of this id.
    #[error("no contract {0:?}: `rules list` names them")]
    UnknownContract(String),
    /// A contract of this id exists, but not on this day.
    #[error("contract {id} is not in force on {as_of}: it is {windows}")]
    NotInForce {
        /// Contract id.
        id: String,
        /// Day asked for.
        as_of: Day,
        /// When it is.
        windows: String,
    },
    /// The jurisdiction does not have the group.
    #[error("{jurisdiction} does not offer {contract} on {as_of}")]
    NotOffered {
        /// Contract id.
        contract: String,
        /// The state.
        jurisdiction: Jurisdiction,
        /// Day asked for.
        as_of: Day,
    },
    /// A table has no row in force.
    #[error(transparent)]
    NoTable(#[from] NotInTable),
    /// A clause has no form that the proof can carry.
    #[error("contract {contract}, clause {clause:?} cannot be proved: {why}")]
    NotProvable {
        /// Contract id.
        contract: String,
        /// Clause id.
        clause: String,
        /// What stands in the way.
        why: String,
    },
    /// The reasons of a verdict do not fit the contract.
    #[error("contract {contract}: {why}")]
    Reasons {
        /// Contract id.
        contract: String,
        /// What is wrong.
        why: &'static str,
    },
}
