//! Runs the profile service; see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    profile::run_role(std::env::args_os())
}
