//! Runs one external system alone: `cargo run -p simulator --example external -- CONFIG.toml`.
//!
//! The configuration names the system by `role` (`payroll`, `ehr`, `agency`). The first line on standard output is the URL it
//! listens on.
// Futures nest deeper than the default limit when an optimised build lays them out.
#![recursion_limit = "512"]

use std::path::PathBuf;

use simulator::external::{ExternalError, RoleConfig, start};

#[tokio::main]
async fn main() -> Result<(), ExternalError> {
    let path = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .ok_or_else(|| ExternalError::Data("give the path of a configuration".to_owned()))?;
    let running = start(RoleConfig::load(&path)?).await?;
    println!("{}", running.url());
    running.finished().await
}
