//! Whether two agencies and an insurer can tell, from all that they receive over a year, which records are of one owner.

mod assign;
mod attack;
mod chance;
mod evidence;
mod gather;
mod plant;
mod values;
mod year;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use self::attack::{Family, SIGNIFICANCE, attack};
use self::evidence::Evidence;
use self::plant::Plant;
use self::year::Year;
use crate::demo::folder::Folder;
use crate::demo::story::{Setting, home};
use crate::demo::witness::Witness;
use crate::demo::{DemoError, DemoOptions};
use crate::external::double::Double;
use crate::lifecycle::play::BEGINS;
use crate::lifecycle::script::day;
use crate::lifecycle::world::World;

/// The file that evidence is kept in.
const EVIDENCE: &str = "evidence.json";

/// Options of `linking`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Owners, all alike.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(4..=100))]
    pub owners: u16,
    /// Draws the order in which owners take each step, and breaks the attack's ties.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Seconds over which a second party hears of what a first one heard; 0 has it hear at once.
    #[arg(long, default_value_t = 21_600, value_parser = clap::value_parser!(u32).range(0..=36_000))]
    pub spread: u32,
    /// Keep the files of the run in this folder; where one holds evidence already, that is attacked.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Plays the year, takes down what the three receive, and attacks it.
///
/// # Errors
/// The network does not start, the year does not pass, or owners can be linked.
pub async fn run(options: &Options) -> Result<(), DemoError> {
    let mut folder = Folder::open(options.data.as_deref())?;
    let kept = folder.path(EVIDENCE);
    if !kept.exists() {
        let since = Instant::now();
        let evidence = match play(options, &folder).await {
            Ok(evidence) => evidence,
            Err(error) => {
                folder.keep();
                eprintln!(
                    "what the processes wrote is in {}/logs",
                    folder.root().display()
                );
                return Err(error);
            }
        };
        let json = serde_json::to_vec(&evidence).map_err(other)?;
        folder.write(EVIDENCE, &json)?;
        println!(
            "{} owners, a year in {:.0} s",
            evidence.owners,
            since.elapsed().as_secs_f64()
        );
    }
    let bytes = std::fs::read(&kept).map_err(DemoError::file(&kept))?;
    let evidence: Evidence = serde_json::from_slice(&bytes).map_err(other)?;
    judge(&evidence, &mut StdRng::seed_from_u64(options.seed))
}

/// Attacks the evidence, and copies of it with links in them.
fn judge(evidence: &Evidence, draw: &mut StdRng) -> Result<(), DemoError> {
    for party in &evidence.parties {
        let messages: usize = party.records.iter().map(|it| it.exchanges.len()).sum();
        let rows: usize = party.records.iter().map(|it| it.rows.len()).sum();
        println!(
            "{}: {messages} messages and {rows} rows about owners, {} messages about nobody",
            party.name, party.about_nobody
        );
    }
    let findings = attack(evidence, draw);
    println!(
        "| parties | by | matchers | most hits of {} | of which | chance of as many | result |",
        evidence.owners
    );
    println!("|---|---|---|---|---|---|---|");
    let mut linked = Vec::new();
    for finding in &findings {
        let (one, other) = &finding.parties;
        let result = if finding.links() { "LINKED" } else { "no link" };
        println!(
            "| {one}, {other} | {} | {} | {} | {} | {:.2} | {result} |",
            finding.family.name(),
            finding.matchers,
            finding.hits,
            finding.by,
            finding.chance.min(1.0)
        );
        if finding.links() {
            for value in &finding.pointing {
                println!("  few have {value}");
            }
            linked.push(format!("{one}, {other}: {}", finding.family.name()));
        }
    }
    println!(
        "one hit is what chance gives; a link: at most {SIGNIFICANCE} that chance does as well anywhere in the table, or a value that few records \
         have at both"
    );
    let mut missed = Vec::new();
    for plant in Plant::ALL {
        let found = plant.is_found(&attack(&plant.into(evidence, draw), draw));
        let result = match (found, plant.shows(evidence.owners)) {
            (true, _) => "found",
            (false, false) => "too few owners",
            (false, true) => "MISSED",
        };
        println!("planted, {}: {result}", plant.name());
        if result == "MISSED" {
            missed.push(plant.name());
        }
    }
    for finding in attack(&plant::with_dates(evidence, draw), draw) {
        if finding.family == Family::Arrival {
            let (one, other) = &finding.parties;
            println!(
                "dates not equalised, {one}, {other}: arrival matches {} of {}",
                finding.hits, evidence.owners
            );
        }
    }
    if !missed.is_empty() {
        return Err(DemoError::Other(format!(
            "the attack missed what was planted: {}",
            missed.join("; ")
        )));
    }
    match linked.is_empty() {
        true => Ok(()),
        false => Err(DemoError::Other(format!(
            "owners are linked: {}",
            linked.join("; ")
        ))),
    }
}

fn other(error: impl ToString) -> DemoError {
    DemoError::Other(error.to_string())
}

async fn play(options: &Options, folder: &Folder) -> Result<Evidence, DemoError> {
    let cast = (0..options.owners).map(|number| Double {
        number,
        pay_percent: 100,
        household: Some(1),
        state: home(),
        pregnant: false,
    });
    let setting = Setting {
        cast: cast.collect(),
        poll_seconds: 1 + u32::from(options.owners) / 8,
        spread_seconds: options.spread,
        ..Setting::default()
    };
    let demo = DemoOptions::default();
    let mut world = World::start(&demo, folder, day(BEGINS), setting, None).await?;
    let witness = Witness::new();
    witness.set_ahead(world.ahead());
    for door in gather::doors().filter_map(|party| world.network().door(party)) {
        door.set_witness(witness.clone());
    }
    let owners = world.enrol().await?;
    eprintln!("• {} owners are enrolled", owners.len());
    let year = Year {
        world: &world,
        owners: &owners,
        draw: StdRng::seed_from_u64(options.seed),
        spread: options.spread.into(),
        witness: &witness,
    };
    let lived = year.live().await;
    let heard = witness.heard();
    let evidence = match (lived, heard) {
        (Ok(()), Some(heard)) => gather::gather(&world, &owners, heard).await,
        (Ok(()), None) => Err("more crossed than can be kept".to_owned()),
        (Err(error), _) => Err(error),
    };
    world.end().await;
    evidence.map_err(DemoError::Other)
}
