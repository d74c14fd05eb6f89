//! The zero-knowledge statement: what a contract's tree says about committed facts, proved and verified.

mod tree;

pub use tree::{Atom, Bounds, MAX_ATOMS, MAX_SLOTS, Node, Relation, TreeError, WIDTHS};
