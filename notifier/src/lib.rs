#![doc = include_str!("../README.md")]

pub mod api;
mod calendar;
pub mod config;
pub mod conversation;
pub mod phone;
pub mod provider;
pub mod rules;
mod service;
pub mod signer;
pub mod store;
pub mod text;

pub use calendar::follow_calendar;
pub use config::Config;
pub use service::{Running, StartError, start, start_with};

/// A log filter that never lets the SMPP crates' own lines through, whatever else it lets through: they print what is sent and
/// received, numbers and words included.
pub fn log_filter(filter: tracing_subscriber::EnvFilter) -> tracing_subscriber::EnvFilter {
    ["rusmpp=off", "rusmppc=off", "rusmpp_core=off"]
        .into_iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, |filter, directive| filter.add_directive(directive))
}
