#![doc = include_str!("../README.md")]
// Futures nest deeper than the default limit when an optimised build lays them out.
#![recursion_limit = "512"]

pub mod agency;
pub mod api;
mod cli;
pub mod config;
mod enrol;
pub mod gap;
mod heard;
pub mod lifecycle;
pub mod notifier;
pub mod oracle;
mod question;
mod renewal;
pub mod seal;
mod server;
mod service;
mod stock;
pub mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod wallet;

pub use cli::run_role;
pub use server::{Running, StartError, start};
pub use service::Service;
