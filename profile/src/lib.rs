#![doc = include_str!("../README.md")]
// Futures nest deeper than the default limit when an optimised build lays them out.
#![recursion_limit = "512"]

pub mod agency;
pub mod api;
mod cli;
pub mod config;
pub mod consent;
mod enrol;
pub mod gap;
pub mod grant;
mod guard;
mod heard;
pub mod lifecycle;
mod metrics;
pub mod navigator;
pub mod notifier;
pub mod oracle;
mod practice;
mod question;
mod renewal;
mod restore;
mod retention;
pub mod seal;
mod self_held;
mod server;
mod service;
mod stock;
pub mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod wallet;
mod watch;

pub use cli::run_role;
pub use guard::no_core_dumps;
pub use navigator::run_navigator;
pub use self_held::run_wallet;
pub use server::{Running, StartError, start};
pub use service::Service;
