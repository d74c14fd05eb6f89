//! Runs the profile service; see the library's documentation.
// Futures nest deeper than the default limit when an optimised build lays them out.
#![recursion_limit = "512"]

use std::process::ExitCode;

fn main() -> ExitCode {
    profile::run_role(std::env::args_os())
}
