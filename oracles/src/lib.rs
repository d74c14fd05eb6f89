#![doc = include_str!("../README.md")]
// Futures nest deeper than the default limit when an optimised build lays them out.
#![recursion_limit = "512"]

// Unit tests share the four-node network of the integration tests, which names this crate from outside.
#[cfg(test)]
extern crate self as oracles;

pub mod agreement;
pub mod attest;
pub mod backup;
pub mod ceremony;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod decision;
pub mod desk;
pub mod enrol;
pub mod faults;
pub mod hpke;
pub mod http;
pub mod keys;
pub mod ledger;
pub mod metrics;
pub mod node;
pub mod pages;
pub mod peer;
pub mod probe;
pub mod problem;
pub mod rollback;
pub mod sources;
pub mod tamper;
pub mod watch;
pub mod wire;

/// The four-node network of the integration tests.
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod network;

pub use cli::run_role;
