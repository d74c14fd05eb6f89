//! A drill of the three scenarios: `kill -9` of any process at any step, then a restart, and the same is left in the end.
//!
//! One run without kills records what crosses the parties' doors. Every such crossing is a step: before the request arrives,
//! after the work whose answer is then lost, and after the answer was delivered. Runs with kills play the same story from
//! the same beginning, each with a few kills at steps far apart, and what is left is compared: days, texts, applications,
//! notices, policies and their accounts.

mod kills;
mod stage;

use std::collections::BTreeMap;
use std::time::Instant;

use clap::Args;

pub use kills::Kill;
use kills::{deal, matrix};
use stage::{Stage, Told};

use crate::demo::DemoError;
use crate::lifecycle::play::differences;

/// Options of `drill lifecycle`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Chooses the sample, and which kills share a run.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// So many kills; every one without it.
    #[arg(long, value_name = "K")]
    pub sample: Option<usize>,
    /// Kills of one run.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub together: u16,
    /// These kills, in one run, as an earlier run printed them. May be given more than once.
    #[arg(long, value_name = "KILL")]
    pub at: Vec<Kill>,
    /// Two profile services share this Postgres database server, and who was killed stays dead while the other lives.
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// Print the kills, and make none.
    #[arg(long)]
    pub list: bool,
    /// Keep the files of runs that go wrong in this folder.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<std::path::PathBuf>,
}

/// Plays the story without kills, then with them, and prints a line for each run.
///
/// # Errors
/// The network does not start, the story does not end without kills, or runs that went wrong, after all were played.
pub async fn run(options: &Options) -> Result<(), DemoError> {
    let since = Instant::now();
    let stage = Stage::set(options.postgres.as_deref()).await?;
    let undisturbed = stage.play(&[], None).await?;
    let should = match &undisturbed.left {
        Ok(left) => left.clone(),
        Err(error) => return Err(DemoError::Other(format!("without kills: {error}"))),
    };
    println!(
        "without kills: {} crossings in {:.0} s; {} texts, {} applications, {} policies",
        undisturbed.crossings.len(),
        undisturbed.seconds,
        should.texts.len(),
        should.agencies.len(),
        should.policies.len()
    );
    let runs = match options.at.is_empty() {
        false => vec![options.at.clone()],
        true => {
            let all = matrix(&undisturbed.crossings, stage.services());
            deal(all, options.seed, options.sample, options.together.into())
        }
    };
    if options.list {
        for kill in runs.iter().flatten() {
            println!("{kill}");
        }
        return Ok(());
    }
    let mut sums: BTreeMap<String, u32> = BTreeMap::new();
    let (mut killed, mut wrong) = (0, 0);
    println!("| run | kills made, of those set | seconds | result |");
    println!("|---|---|---|---|");
    for (at, kills) in runs.iter().enumerate() {
        let told = stage.play(kills, options.keep.as_deref()).await?;
        for victim in &told.killed {
            *sums.entry(victim.clone()).or_default() += 1;
        }
        killed += told.killed.len();
        let violations = judge(&told, &should);
        let result = if violations.is_empty() {
            "holds"
        } else {
            "WRONG"
        };
        println!(
            "| {} | {} of {} | {:.0} | {result} |",
            at + 1,
            told.killed.len(),
            kills.len(),
            told.seconds
        );
        if !violations.is_empty() {
            wrong += 1;
            for violation in violations {
                println!("  {violation}");
            }
            let again: Vec<String> = kills.iter().map(|kill| format!("--at '{kill}'")).collect();
            println!("  again: drill lifecycle {}", again.join(" "));
        }
    }
    let sums: Vec<String> = sums
        .iter()
        .map(|(victim, times)| format!("{victim} {times}"))
        .collect();
    println!(
        "{killed} kills in {} runs ({}) in {:.0} s, {wrong} went wrong",
        runs.len(),
        sums.join(", "),
        since.elapsed().as_secs_f64()
    );
    stage.strike().await;
    match wrong {
        0 => Ok(()),
        wrong => Err(DemoError::Other(format!(
            "{wrong} of {} runs went wrong",
            runs.len()
        ))),
    }
}

fn judge(told: &Told, should: &crate::lifecycle::script::Ends) -> Vec<String> {
    match &told.left {
        Ok(left) => {
            let mut wrong = differences(should, left);
            wrong.extend(told.disagreements.iter().cloned());
            wrong
        }
        Err(error) => vec![error.clone()],
    }
}
