//! The navigator's form: a program for the device of whoever helps a person enrol. It serves a web form to that device alone,
//! registers the phone with the notifier, seals what the person says to the identity oracles whose keys it was configured with,
//! and gives out what the person takes home. Nothing about the person is written down here, and the profile service gets neither
//! phone number, nor name, nor SSN.

mod client;
mod config;
mod form;
mod page;
mod server;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;

pub use self::config::{EXAMPLE, NavigatorConfig};
pub use self::server::{RunningForm, start};
use crate::cli::{program, serve};

/// Serves the navigator's form.
#[derive(Debug, Parser)]
#[command(name = "navigator", version)]
struct Arguments {
    /// Configuration file; see profile/navigator.example.toml.
    #[arg(long)]
    config: PathBuf,
}

/// Parses arguments (the first is the program's name) and serves the form until the process is told to end. Prints its address.
/// Logs go to standard error as JSON lines, filtered by `RUST_LOG` (`info` if not set).
pub fn run_navigator<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    program("navigator", arguments, |arguments: Arguments| {
        serve(Builder::new_current_thread(), async move {
            let config =
                NavigatorConfig::load(&arguments.config).map_err(|error| error.to_string())?;
            let form = start(&config).map_err(|error| error.to_string())?;
            println!("http://{}/", form.address());
            form.finished().await.map_err(|error| error.to_string())
        })
    })
}
