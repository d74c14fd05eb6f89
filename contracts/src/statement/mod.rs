//! The zero-knowledge statement: what a contract's tree says about committed facts, proved and verified.

pub(crate) mod transcript;
mod tree;

pub use tree::{Atom, Bounds, MAX_ATOMS, MAX_SLOTS, Node, Relation, TreeError, WIDTHS};
