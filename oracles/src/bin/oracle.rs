//! One oracle node: `oracle init`, `oracle run`, `oracle dkg`, `oracle info`.

use std::process::ExitCode;

fn main() -> ExitCode {
    oracles::run_role(std::env::args_os())
}
