//! `rules`: read, check, explain and audit contracts and decisions from the command line.

#[path = "../cli/mod.rs"]
mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
