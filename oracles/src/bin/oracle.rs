//! One oracle node: `oracle init`, `oracle run`, `oracle dkg`, `oracle info`.
// Futures nest deeper than the default limit when an optimised build lays them out.
#![recursion_limit = "512"]

use std::process::ExitCode;

fn main() -> ExitCode {
    oracles::run_role(std::env::args_os())
}
