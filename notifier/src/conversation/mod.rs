//! What people text, what it means, and what becomes of a decision because of it. No I/O and no clock.

pub mod code;
pub mod decision;
pub mod grammar;
mod lexicon;
mod words;
