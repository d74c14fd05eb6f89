//! The profile service: wallets, sealed facts, and questions answered with proofs.

pub mod api;
pub mod config;
pub mod oracle;
pub mod seal;
pub mod store;
pub mod wallet;
