//! Months of many owners' cover over one network of real processes: every ending of the three scenarios, told as data.

pub mod books;
mod calm;
pub mod endings;
pub mod play;
pub mod postgres;
pub mod script;
mod watching;
mod words;
pub mod world;
