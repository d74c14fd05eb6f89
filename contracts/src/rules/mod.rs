//! Contracts: the language they are written in, what they compile to, and their evaluation.

mod compiled;
mod error;

pub use compiled::{Clause, Compiled, Evaluation, Fact, Kind, Outcome};
pub use error::{Located, RuleError};
