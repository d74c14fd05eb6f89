//! Contracts: the language they are written in, what they compile to, and their evaluation.
//!
//! A contract is one TOML file of `contracts/rules/`: id, version, window, and clauses, each with a citation, a reason
//! code, a sentence and a rule. A rule is a closed, typed expression without loops, division or fractions:
//!
//! ```text
//! income.magi_monthly * 12 <= 138% of poverty_level(household.size)
//! age(identity.birth_date, birthday) in 19..64
//! not any(identity.medicare, all(identity.ssi, residence.state = CA))
//! ```
//!
//! For one jurisdiction and day it compiles to exact integer relations ([`Compiled`]), from which plain evaluation and
//! the zero-knowledge statement both follow.

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

pub use applied::Applied;
pub use compiled::{Clause, Compiled, Evaluation, Fact, Kind, Outcome};
pub use cost::Cost;
pub use error::{Located, RuleError};
pub use file::{ClauseText, Contract, MAX_CLAUSES, MAX_CONTRACT_FILE, Rule, Triggers};
pub use registry::{Registry, registry};
