//! The `profile` program.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rand_core::{OsRng, RngCore};
use sha2::{Digest as _, Sha256};

use crate::config::ProfileConfig;
use crate::server::start;

/// Runs the profile service.
#[derive(Debug, Parser)]
#[command(name = "profile", version)]
struct Arguments {
    /// Configuration file; see profile/profile.example.toml.
    #[arg(long, required_unless_present_any = ["new_operator_key", "new_token"])]
    config: Option<PathBuf>,
    /// Overrides the configuration's database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database: Option<String>,
    /// Prints a fresh operator key and does nothing else.
    #[arg(long, conflicts_with = "config")]
    new_operator_key: bool,
    /// Prints a fresh bearer token, then the hash of it that `[[callers]]` names, and does nothing else.
    #[arg(long, conflicts_with_all = ["config", "new_operator_key"])]
    new_token: bool,
}

/// Parses arguments (the first is the program's name) and does what they say, on a runtime of its own.
///
/// Logs go to standard error as JSON lines, filtered by `RUST_LOG` (`info` if not set).
pub fn run_role<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            // Help and version are not errors; clap prints either where it belongs.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    if arguments.new_operator_key {
        let mut key = [0; 32];
        OsRng.fill_bytes(&mut key);
        println!("{}", contracts::encoding::to_base64url(key));
        return ExitCode::SUCCESS;
    }
    if arguments.new_token {
        let mut token = [0; 32];
        OsRng.fill_bytes(&mut token);
        let token = contracts::encoding::to_base64url(token);
        println!("{token}\n{}", hex::encode(Sha256::digest(&token)));
        return ExitCode::SUCCESS;
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A host program may have set up its own logging already.
    let _ = tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(format!("no runtime: {error}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("profile: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let path = arguments.config.ok_or("name a configuration file")?;
    let mut config = ProfileConfig::load(&path).map_err(|error| error.to_string())?;
    if let Some(database) = arguments.database {
        config.database = database;
    }
    let running = start(config).await.map_err(|error| error.to_string())?;
    println!("{}", running.url());
    tokio::signal::ctrl_c()
        .await
        .map_err(|error| error.to_string())?;
    running.stop().await;
    Ok(())
}
