//! One process of the demo network.

use std::net::SocketAddr;
use std::path::Path;

use clap::ValueEnum;
use tokio::io::AsyncReadExt as _;

use crate::external;
use crate::faults::Byzantine;

/// The file, in a run's folder, of the seconds by which every process's clock is moved.
pub const CALENDAR: &str = "calendar";

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// A payroll service, an EHR or an agency; its configuration says which.
    External,
    /// An oracle node.
    Oracle,
    /// An oracle node that departs from the protocol, as the orders beside its configuration say.
    Byzantine,
    /// The profile service.
    Profile,
    /// The notifier.
    Notifier,
    /// The form with which a navigator enrols people.
    Navigator,
}

/// Runs a role until its parent goes away: standard input is a pipe that only the parent holds.
///
/// # Errors
/// The role's own, as one line.
pub async fn run(
    role: Role,
    config: &Path,
    ready: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    log_to_stderr();
    // A simulated calendar lies beside the folder of configurations.
    let folder = config.parent().and_then(Path::parent);
    if let Some(calendar) = folder.map(|folder| folder.join(CALENDAR))
        && calendar.exists()
    {
        oracles::clock::follow(calendar.clone());
        notifier::follow_calendar(calendar);
    }
    match role {
        Role::External => {
            let running = external::start(external::RoleConfig::load(config)?).await?;
            announce(ready, &[running.address()])?;
            orphaned().await;
            running.shutdown().await;
        }
        Role::Oracle => {
            let running = oracles::node::start(oracles::config::NodeConfig::load(config)?).await?;
            announce(ready, &[running.address(), running.peer_address()])?;
            orphaned().await;
            running.stop().await;
        }
        Role::Byzantine => {
            let running = Byzantine::start(config).await?;
            announce(ready, &running.addresses())?;
            running.arm();
            orphaned().await;
            running.stop().await;
        }
        Role::Profile => {
            // As the profile's own program does: this process holds seeds.
            profile::no_core_dumps()?;
            let running = profile::start(profile::config::ProfileConfig::load(config)?).await?;
            announce(ready, &[running.address()])?;
            orphaned().await;
            running.stop().await;
        }
        Role::Notifier => {
            let running = notifier::start(notifier::Config::load(config)?).await?;
            announce(ready, &[running.address()])?;
            orphaned().await;
            running.shutdown().await;
        }
        Role::Navigator => {
            let config = profile::navigator::NavigatorConfig::load(config)?;
            let form = profile::navigator::start(&config)?;
            announce(ready, &[form.address()])?;
            orphaned().await;
            form.stop().await;
        }
    }
    Ok(())
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(notifier::log_filter(filter))
        .with_writer(std::io::stderr)
        .init();
}

/// Writes the addresses, a line each, whole or not at all, since the parent polls for them.
fn announce(ready: &Path, addresses: &[SocketAddr]) -> std::io::Result<()> {
    let beside = ready.with_extension("partial");
    let lines: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    std::fs::write(&beside, lines.join("\n"))?;
    std::fs::rename(&beside, ready)
}

async fn orphaned() {
    let mut buffer = [0u8; 64];
    let mut input = tokio::io::stdin();
    while input.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
}
