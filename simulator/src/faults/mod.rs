//! `faults`: what a network of real processes does when some of them are broken, cut off or lying.
//!
//! A scenario is data: how many oracles, what is asked of them, and which node does what wrong. Every faulty node that lies
//! is the real node with its real keys, see [`fault::Fault`]; honest nodes are the ones of the demo. Up to `f` faulty
//! nodes, every honest request must succeed within its bound and somebody honest must name the faulty ones; with more, it
//! must end within its bound, and nothing untrue may verify.

mod bounds;
mod byzantine;
mod client;
mod cluster;
mod door;
pub mod fault;
mod journal;
mod lie;
mod naming;
mod play;
pub mod scenario;
mod sources;
mod tapped;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

pub use byzantine::Byzantine;
pub(crate) use cluster::copy_folder;
use fault::At;
use play::Outcome;
use scenario::{Act, Scenario, matrix, sample};

use crate::demo::DemoError;
use crate::demo::folder::Folder;

/// Options of `faults`.
#[derive(Debug, Clone, Args)]
pub struct FaultOptions {
    /// Networks of so many oracles, 4 or 7 [default: both].
    #[arg(long, value_parser = clap::value_parser!(u16).range(4..=7))]
    pub n: Option<u16>,
    /// Every scenario; without it a sample.
    #[arg(long)]
    pub all: bool,
    /// Chooses the sample, and the faulty nodes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What is asked; of a single scenario with --at, or the acts to play.
    #[arg(long)]
    pub act: Option<Act>,
    /// A single scenario: who does what wrong, NODE:FAULT. May be given more than once.
    #[arg(long, value_name = "NODE:FAULT")]
    pub at: Vec<At>,
    /// Multiplies every time-out and bound, for a machine that is busy with other work.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub patience: u32,
    /// Print who named a faulty node in which words.
    #[arg(long)]
    pub words: bool,
    /// Keep the files of a scenario that fails in this folder.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

impl FaultOptions {
    fn scenarios(&self) -> Vec<Scenario> {
        let sizes = self.n.map_or(vec![4, 7], |n| vec![n]);
        if !self.at.is_empty() {
            return vec![Scenario {
                n: sizes[0],
                act: self.act.unwrap_or(Act::Serve),
                faults: self.at.clone(),
            }];
        }
        let chosen = |act: Act| self.act.is_none_or(|only| only == act);
        sizes
            .into_iter()
            .flat_map(|n| {
                if self.all {
                    return matrix(n, self.seed);
                }
                let few: &[(Act, usize)] = if n == 4 {
                    &[
                        (Act::Serve, 3),
                        (Act::Collude, 1),
                        (Act::Generate, 2),
                        (Act::Abandon, 1),
                        (Act::Return, 1),
                    ]
                } else {
                    &[(Act::Serve, 1), (Act::Generate, 1)]
                };
                sample(n, self.seed, few)
            })
            .filter(|scenario| chosen(scenario.act))
            .collect()
    }
}

/// Why a run of scenarios failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultsError {
    /// The processes of a scenario could not be set up.
    #[error(transparent)]
    SetUp(#[from] DemoError),
    /// Scenarios that went wrong.
    #[error("{0} of {1} scenarios went wrong")]
    Wrong(usize, usize),
}

/// Plays scenarios one after another, and prints a line for each.
///
/// # Errors
/// Set-up, or scenarios that went wrong, after all were played.
pub async fn run(options: FaultOptions) -> Result<(), FaultsError> {
    let scenarios = options.scenarios();
    let bounds = bounds::Bounds {
        patience: options.patience,
    };
    let hub = Folder::open(None)?;
    let mut sources = sources::Sources::start(&hub, bounds).await?;
    let mut templates: BTreeMap<u16, Folder> = BTreeMap::new();
    let since = Instant::now();
    let mut wrong = 0;
    let mut sums: BTreeMap<(u16, Act), Sum> = BTreeMap::new();
    println!("| scenario | seconds | slowest step, of its bound | named | result |");
    println!("|---|---|---|---|---|");
    for scenario in &scenarios {
        let template = match templates.entry(scenario.n) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(missing) => {
                let template = Folder::open(None)?;
                cluster::make_template(&template, &sources, scenario.n).await?;
                missing.insert(template)
            }
        };
        let folder = Folder::open(None)?;
        let since = Instant::now();
        let outcome = play::play(scenario, &sources, template, &folder).await?;
        let seconds = since.elapsed().as_secs_f64();
        print(scenario, &outcome, seconds);
        let sum = sums.entry((scenario.n, scenario.act)).or_default();
        sum.add(&outcome, seconds);
        for named in outcome.named.iter().filter(|_| options.words) {
            println!(
                "  {} of node {}, {:?}: {}",
                named.by, named.node, named.charge, named.words
            );
        }
        if !outcome.violations.is_empty() {
            wrong += 1;
            if let Some(keep) = &options.keep {
                let _ = std::fs::create_dir_all(keep);
                let target = keep.join(wrong.to_string());
                let _ = std::fs::rename(folder.root(), &target);
                println!("  files: {}", target.display());
            }
        }
    }
    sources.end().await;
    println!("\n| n | act | scenarios | hold | mean seconds | longest step, of its bound |");
    println!("|---|---|---|---|---|---|");
    for ((n, act), sum) in &sums {
        println!(
            "| {n} | {act} | {} | {} | {:.1} | {:.0} % |",
            sum.scenarios,
            sum.hold,
            sum.seconds / f64::from(sum.scenarios),
            sum.longest * 100.0
        );
    }
    println!(
        "{} scenarios in {:.0} s, {wrong} went wrong",
        scenarios.len(),
        since.elapsed().as_secs_f64()
    );
    if wrong > 0 {
        return Err(FaultsError::Wrong(wrong, scenarios.len()));
    }
    Ok(())
}

/// What the scenarios of one act come to.
#[derive(Default)]
struct Sum {
    scenarios: u32,
    hold: u32,
    seconds: f64,
    longest: f64,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome, seconds: f64) {
        self.scenarios += 1;
        self.hold += u32::from(outcome.violations.is_empty());
        self.seconds += seconds;
        let shares = outcome.steps.iter().map(client::Step::share);
        self.longest = shares.fold(self.longest, f64::max);
    }
}

fn print(scenario: &Scenario, outcome: &Outcome, seconds: f64) {
    let slowest = outcome
        .steps
        .iter()
        .max_by(|a, b| a.share().total_cmp(&b.share()))
        .map(|step| {
            format!(
                "{} {:.1} of {:.0}",
                step.name,
                step.took.as_secs_f64(),
                step.bound.as_secs_f64()
            )
        })
        .unwrap_or_default();
    let result = if outcome.violations.is_empty() {
        "holds"
    } else {
        "WRONG"
    };
    println!(
        "| `{scenario}` | {seconds:.1} | {slowest} | {} | {result} |",
        outcome.charges()
    );
    for violation in &outcome.violations {
        println!("  {violation}");
    }
    if !outcome.violations.is_empty() {
        println!("  again: {}", scenario.command());
    }
}
