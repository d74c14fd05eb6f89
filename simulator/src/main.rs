//! The `simulator` program: the demo network, and the roles it starts itself again in.
// Futures nest deeper than the default limit when an optimised build lays them out.
#![recursion_limit = "512"]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use simulator::demo::form;
use simulator::demo::live::{self, Scenario};
use simulator::demo::{self, DemoOptions};
use simulator::drill::{lifecycle, notifier};
use simulator::faults::{self, FaultOptions};
use simulator::lifecycle::play;
use simulator::linking;
use simulator::role::{self, Role};

#[derive(Parser)]
#[command(about = "Runs the whole system on this machine.", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: DemoOptions,
}

#[derive(Subcommand)]
enum Command {
    /// One eligibility question, answered end to end by real processes (the default), or months of one person's cover.
    Demo {
        /// Months of cover on a simulated calendar, in place of the one question.
        scenario: Option<Scenario>,
        #[command(flatten)]
        options: DemoOptions,
    },
    /// Processes killed with SIGKILL: nobody misses anything or gets it twice.
    Drill {
        /// Which part is drilled.
        #[command(subcommand)]
        part: Drill,
    },
    /// Every way in which the three scenarios end, over one network on a simulated calendar.
    Endings(play::Options),
    /// People enrolled by the navigator's form over the network of the demo, with its process killed meanwhile.
    Enrolment(form::Options),
    /// Whether two agencies and an insurer can match owners by all that they receive in a year.
    Linking(linking::Options),
    /// Figures as ratios: a table on stderr, JSON lines on stdout.
    Bench {
        /// Which benchmark; all without a name.
        name: Option<String>,
    },
    /// Scenarios with broken, cut off and lying oracles: a sample, or all.
    Faults(FaultOptions),
    /// Runs one process of the network; started by the demo.
    #[command(hide = true)]
    Role {
        /// Which.
        role: Role,
        /// Its configuration file.
        #[arg(long)]
        config: PathBuf,
        /// The file to write the bound address to.
        #[arg(long)]
        ready: PathBuf,
    },
}

#[derive(Subcommand)]
enum Drill {
    /// Texts, and how they end.
    Notifier(notifier::Options),
    /// The three scenarios, with any process killed at any step.
    Lifecycle(lifecycle::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Role {
            role,
            config,
            ready,
        }) => role::run(role, &config, &ready).await,
        Some(Command::Bench { name }) => simulator::bench::run(name.as_deref()).map_err(Into::into),
        Some(Command::Faults(options)) => faults::run(options).await.map_err(Into::into),
        Some(Command::Linking(options)) => linking::run(&options).await.map_err(Into::into),
        Some(Command::Enrolment(options)) => form::run(&options).await.map_err(Into::into),
        Some(Command::Endings(options)) => play::run(&options).await.map_err(Into::into),
        Some(Command::Drill {
            part: Drill::Notifier(options),
        }) => drill(&options).await.map_err(Into::into),
        Some(Command::Drill {
            part: Drill::Lifecycle(options),
        }) => lifecycle::run(&options).await.map_err(Into::into),
        Some(Command::Demo {
            scenario: Some(scenario),
            options,
        }) => live::run(scenario, options).await.map_err(Into::into),
        Some(Command::Demo { options, .. }) => demo::run(options).await.map_err(Into::into),
        None => demo::run(cli.demo).await.map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn drill(options: &notifier::Options) -> Result<(), String> {
    let report = notifier::run(options).await?;
    println!(
        "{}",
        serde_json::to_string(&report).map_err(|error| error.to_string())?
    );
    if report.holds() {
        return Ok(());
    }
    Err("the drill failed: see the line above".to_owned())
}
