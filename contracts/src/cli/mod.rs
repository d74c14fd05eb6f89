//! Subcommands, one module each. Exit code 0: nothing to object; 1: a finding; 2: the question could not be put.

mod audit;
mod calendar;
mod check;
mod explain;
mod household;
mod lint;
mod list;

use std::error::Error;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use contracts::units::{Day, UnixTime};

/// The rules of Medicaid and CHIP as contracts.
#[derive(Parser)]
#[command(name = "rules", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every contract with its window and content hash.
    List(list::Args),
    /// Whether contract files are sound and provable in every state, and what their proofs cost.
    Lint(lint::Args),
    /// People from a file, decided under every Medicaid and CHIP contract.
    Check(check::Args),
    /// The days that follow from an event.
    Calendar(calendar::Args),
    /// A contract in plain sentences, with citations and the numbers applied.
    Explain(explain::Args),
    /// Whether a decision bundle proves what it says, offline; trusts nothing but the trust file.
    Audit(audit::Args),
}

/// What a subcommand found.
enum Finding {
    /// Nothing to object.
    Fine,
    /// Something the caller should look at; it has been printed.
    Objection,
}

type Outcome = Result<Finding, Box<dyn Error>>;

/// Runs the command line.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::List(args) => list::run(&args),
        Command::Lint(args) => lint::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Calendar(args) => calendar::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Audit(args) => audit::run(&args),
    };
    match outcome {
        Ok(Finding::Fine) => ExitCode::SUCCESS,
        Ok(Finding::Objection) => ExitCode::from(1),
        Err(error) => {
            eprintln!("rules: {error}");
            ExitCode::from(2)
        }
    }
}

/// Today, UTC, unless a day was given.
fn day_or_today(day: Option<Day>) -> Result<Day, Box<dyn Error>> {
    if let Some(day) = day {
        return Ok(day);
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(UnixTime(i64::try_from(seconds)?).day()?)
}
