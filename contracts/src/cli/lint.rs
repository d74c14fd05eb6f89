//! `rules lint`: every contract in every state, with what its proofs cost.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use contracts::ids::{Jurisdiction, Verdict};
use contracts::rules::{Contract, Cost, Registry, RuleError, registry};
use contracts::units::Day;

use super::{Finding, Outcome, day_or_today};

/// Arguments of `rules lint`.
#[derive(clap::Args)]
pub struct Args {
    /// Contract files to check together; without any, the contracts of this release.
    files: Vec<PathBuf>,
    /// Day to compile for (default: today, moved into each contract's window).
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<Day>,
    /// One state instead of all.
    #[arg(long)]
    state: Option<Jurisdiction>,
    /// A line for every state rather than the range over them.
    #[arg(long)]
    verbose: bool,
}

pub fn run(args: &Args) -> Outcome {
    let day = day_or_today(args.as_of)?;
    let loaded;
    let contracts = if args.files.is_empty() {
        registry()
    } else {
        loaded = load(&args.files)?;
        &loaded
    };
    let mut finding = Finding::Fine;
    let given: Vec<String> = args
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    for (contract, _) in contracts.iter() {
        if !given.is_empty() && !given.contains(&contract.file) {
            continue;
        }
        let within = contract
            .until
            .map_or(day, |until| day.min(until))
            .max(contract.from);
        if !lint(contracts, contract, within, args)? {
            finding = Finding::Objection;
        }
    }
    Ok(finding)
}

/// The files beside the contracts of this release, which they may contain.
fn load(files: &[PathBuf]) -> Result<Registry, Box<dyn Error>> {
    let mut texts = Vec::new();
    for file in files {
        let text =
            fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        texts.push((file.display().to_string(), text));
    }
    let texts: Vec<(&str, &str)> = texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Ok(Registry::beside_release(&texts)?)
}

fn lint(
    contracts: &Registry,
    contract: &Contract,
    day: Day,
    args: &Args,
) -> Result<bool, Box<dyn Error>> {
    let (mut sound, mut without) = (true, Vec::new());
    let mut widest: BTreeMap<Verdict, (usize, Cost)> = BTreeMap::new();
    let mut last = None;
    for state in Jurisdiction::all().filter(|state| args.state.is_none_or(|only| only == *state)) {
        match contracts.compile(&contract.id, &state, day) {
            Ok(compiled) => {
                for (verdict, reasons) in [
                    (Verdict::Yes, Vec::new()),
                    (Verdict::No, compiled.all_reasons()),
                ] {
                    let cost = match Cost::of(&compiled, verdict, &reasons) {
                        Ok(cost) => cost,
                        Err(error) => {
                            sound = false;
                            println!("{} {state}: {error}", contract.id);
                            continue;
                        }
                    };
                    if args.verbose {
                        println!("{} {state} {day} {verdict}: {cost}", contract.id);
                    }
                    let (states, most) = widest.entry(verdict).or_insert((0, cost));
                    *states += 1;
                    if cost.bytes > most.bytes {
                        *most = cost;
                    }
                }
            }
            Err(RuleError::NotOffered { .. }) => without.push(state.code()),
            // A fault of the file is the same in every state.
            Err(error) if last.as_ref() == Some(&error) => sound = false,
            Err(error) => {
                sound = false;
                println!("{} {state}: {error}", contract.id);
                last = Some(error);
            }
        }
    }
    for (verdict, (states, most)) in widest {
        println!(
            "{} {day} {verdict}: {states} states, at most {most}",
            contract.id
        );
    }
    if !without.is_empty() {
        println!("  not offered in {}", without.join(" "));
    }
    Ok(sound)
}
