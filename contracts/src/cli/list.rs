//! `rules list`.

use contracts::rules::registry;
use contracts::units::Day;

use super::{Finding, Outcome};

/// Arguments of `rules list`.
#[derive(clap::Args)]
pub struct Args {
    /// Only contracts in force on this day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<Day>,
}

pub fn run(args: &Args) -> Outcome {
    for (contract, reference) in registry().iter() {
        if args.as_of.is_some_and(|day| !contract.in_force(day)) {
            continue;
        }
        let until = contract
            .until
            .map_or("open".to_owned(), |day| day.to_string());
        println!(
            "{}\tversion {}\t{}..{until}\t{}\n\t{}",
            contract.id, contract.version, contract.from, reference.hash, contract.title
        );
    }
    Ok(Finding::Fine)
}
