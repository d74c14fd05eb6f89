//! `notifier CONFIG.toml` runs the service. The first line on standard output is the URL it listens on.

use std::path::PathBuf;

use clap::Parser;
use notifier::{Config, StartError, start};
use tracing_subscriber::EnvFilter;

/// Sends texts, takes replies, signs answers.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration; see notifier.example.toml.
    config: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), StartError> {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(notifier::log_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        ))
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let running = start(Config::load(&arguments.config)?).await?;
    println!("{}", running.url());
    running.finished().await.map_err(|source| StartError::Io {
        what: "serving".to_owned(),
        source,
    })
}
