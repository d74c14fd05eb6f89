//! Contracts: the language they are written in, what they compile to, and their evaluation.
#![doc = include_str!("README.md")]

mod applied;
pub mod ast;
mod compile;
mod compiled;
mod content;
mod cost;
mod error;
mod file;
mod linear;
mod lower;
pub mod parser;
mod registry;
mod simplify;

pub use applied::Applied;
pub use compiled::{Clause, Compiled, Evaluation, Fact, Kind, Outcome};
pub(crate) use cost::check_cap;
pub use cost::{Cost, proof_cap};
pub use error::{Located, RuleError};
pub use file::{ClauseText, Contract, MAX_CLAUSES, MAX_CONTRACT_FILE, Rule, Triggers};
pub use registry::{Registry, registry};
