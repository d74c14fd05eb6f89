//! Serves the form with which a navigator enrols people; see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    profile::run_navigator(std::env::args_os())
}
