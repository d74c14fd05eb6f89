//! The demo network and the systems of others that it talks to.
// Futures nest deeper than the default limit when an optimised build lays them out.
#![recursion_limit = "512"]

pub mod bench;
pub mod demo;
pub mod drill;
pub mod external;
pub mod faults;
pub mod lifecycle;
pub mod linking;
pub mod role;
