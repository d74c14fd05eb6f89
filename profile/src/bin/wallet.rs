//! Runs a self-held wallet; see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    profile::run_wallet(std::env::args_os())
}
