//! The `profile` program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Builder;

use crate::config::{ProfileConfig, Secret};
use crate::guard::no_core_dumps;
use crate::oracle::random32;
use crate::restore::restore;
use crate::seal::SealKey;
use crate::server::start;
use crate::store::{OperatorError, Store};
use crate::wallet::GAP_LIMIT;

/// Runs the profile service.
#[derive(Debug, Parser)]
#[command(name = "profile", version, subcommand_negates_reqs = true)]
struct Arguments {
    /// Configuration file; see profile/profile.example.toml.
    #[arg(long, required_unless_present_any = ["new_operator_key", "new_token"])]
    config: Option<PathBuf>,
    /// Overrides the configuration's database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    database: Option<String>,
    /// Prints a fresh operator key and does nothing else.
    #[arg(long, conflicts_with = "config")]
    new_operator_key: bool,
    /// Prints a fresh bearer token, then the hash of it that `[[callers]]` names, and does nothing else.
    #[arg(long, conflicts_with_all = ["config", "new_operator_key"])]
    new_token: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What is done to a database while no service uses it.
#[derive(Debug, Subcommand)]
enum Command {
    /// Seals every hosted seed under another operator key. Killed half-way, it goes on when run again. Prints
    /// how many it moved.
    Rewrap {
        /// File of the operator key that the seeds are sealed under.
        #[arg(long)]
        old_key: PathBuf,
        /// File of the operator key to seal them under.
        #[arg(long)]
        new_key: PathBuf,
    },
    /// Skips wallet indexes of every use of every profile: after a database was restored from a backup.
    SkipMarks {
        /// Indexes that may have been used since the backup.
        #[arg(long, default_value_t = GAP_LIMIT)]
        gap: u32,
    },
    /// Makes a hosted profile of 24 words that were in use elsewhere, and prints its id and its owner's token.
    Restore {
        /// File of the operator key.
        #[arg(long)]
        operator_key: PathBuf,
        /// File of the 24 words, of mode 0600 or stricter; standard input if not given.
        #[arg(long)]
        words: Option<PathBuf>,
        /// Backup that the `wallet` program made of the same seed.
        #[arg(long)]
        backup: Option<PathBuf>,
        /// Indexes of each use that may have been used since the backup, or at all if there is none.
        #[arg(long, default_value_t = GAP_LIMIT)]
        gap: u32,
    },
}

/// Parses arguments (the first is the program's name) and does what they say, on a runtime of its own.
///
/// Logs go to standard error as JSON lines, filtered by `RUST_LOG` (`info` if not set).
pub fn run_role<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    program("profile", arguments, |arguments: Arguments| {
        if arguments.new_operator_key {
            println!("{}", random32());
            return Ok(());
        }
        if arguments.new_token {
            let token = random32().to_string();
            println!("{token}\n{}", hex::encode(Sha256::digest(&token)));
            return Ok(());
        }
        serve(Builder::new_multi_thread(), run(arguments))
    })
}

/// Parses a program's arguments (the first is its name) and does what they say, without core dumps; an error is a line on standard
/// error.
pub(crate) fn program<A: Parser>(
    name: &str,
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    run: impl FnOnce(A) -> Result<(), String>,
) -> ExitCode {
    let arguments = match oracles::cli::parse(arguments) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let result = no_core_dumps()
        .map_err(|error| format!("core dumps cannot be turned off: {error}"))
        .and_then(|()| run(arguments));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a service on a runtime of its own. Logs go to standard error as JSON lines, filtered by `RUST_LOG` (`info` if not set).
pub(crate) fn serve(
    mut runtime: Builder,
    service: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A host program may have set up its own logging already.
    let _ = tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    let runtime = runtime.enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(service)
}

async fn run(arguments: Arguments) -> Result<(), String> {
    if let Some(command) = arguments.command {
        let url = arguments
            .database
            .ok_or("--database: name the database, or set DATABASE_URL")?;
        return maintain(command, &url).await;
    }
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

fn key(path: PathBuf, field: &str) -> Result<SealKey, String> {
    let key = Secret::File(path).read_key(field);
    key.map(SealKey::new).map_err(|error| error.to_string())
}

/// A file that is missing is made when it is opened: a mistyped name would look like a database without profiles.
fn exists(url: &str) -> Result<(), String> {
    let path = url
        .strip_prefix("sqlite:")
        .and_then(|it| it.split('?').next());
    match path {
        Some(path) if !Path::new(path).exists() => Err(format!("--database: no such file {path}")),
        _ => Ok(()),
    }
}

async fn maintain(command: Command, url: &str) -> Result<(), String> {
    if !matches!(command, Command::Restore { .. }) {
        exists(url)?;
    }
    let open = || async { Store::open(url).await.map_err(|error| error.to_string()) };
    match command {
        Command::Rewrap { old_key, new_key } => {
            let (old, new) = (key(old_key, "--old-key")?, key(new_key, "--new-key")?);
            let moved = open().await?.rewrap(&old, &new).await;
            let moved = moved.map_err(|error| match error {
                OperatorError::Wrong | OperatorError::Damaged(_) => format!("--old-key: {error}"),
                OperatorError::Same | OperatorError::OtherRewrap => format!("--new-key: {error}"),
                error => error.to_string(),
            })?;
            println!("{moved}");
            Ok(())
        }
        Command::SkipMarks { gap } => {
            let skipped = open().await?.skip_marks(gap).await;
            skipped.map_err(|error| error.to_string())
        }
        Command::Restore {
            operator_key,
            words,
            backup,
            gap,
        } => {
            let operator = key(operator_key, "--operator-key")?;
            let wallet = crate::self_held::read(words.as_deref(), backup.as_deref(), gap)?;
            let restored = restore(&open().await?, &operator, &wallet.0, &wallet.1).await?;
            println!("{restored}");
            Ok(())
        }
    }
}
