//! `rules explain`: a contract in plain sentences.

use contracts::ids::Jurisdiction;
use contracts::rules::{Applied, registry};
use contracts::units::{Cents, Day};

use super::{Finding, Outcome, day_or_today};

/// Arguments of `rules explain`.
#[derive(clap::Args)]
pub struct Args {
    /// Contract id, such as `us.medicaid.adult-group`.
    contract: String,
    /// State.
    #[arg(long)]
    state: Jurisdiction,
    /// Day of the decision (default: today).
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<Day>,
}

pub fn run(args: &Args) -> Outcome {
    let day = day_or_today(args.as_of)?;
    let (contract, reference) = registry().get(&args.contract, day)?;
    let compiled = registry().compile(&args.contract, &args.state, day)?;
    println!("{}, {}, on {day}", contract.title, args.state.name());
    println!(
        "Contract {} version {}, hash {}",
        contract.id, contract.version, reference.hash
    );
    let until = contract
        .until
        .map_or("until further notice".to_owned(), |day| format!("to {day}"));
    println!("In force from {} {until}.\n", contract.from);
    println!(
        "The answer is YES when each of these holds, and NO when one of them is known to fail:"
    );
    for (number, clause) in compiled.clauses.iter().enumerate() {
        println!("\n{}. {} ({})", number + 1, clause.text, clause.citation);
        println!("   If not: {}.", clause.reason);
        let rule = contract.clauses.iter().find(|text| text.id == clause.id);
        for applied in rule
            .into_iter()
            .flat_map(|text| registry().applied(&text.rule, args.state, day))
        {
            print_applied(&applied);
        }
    }
    println!("\nWhat must be known:");
    for fact in &compiled.facts {
        let title = registry()
            .attribute(&fact.attribute)
            .map_or("", |attribute| attribute.title.as_str());
        println!("  {} ({title}), {}", fact.attribute, fact.period);
    }
    Ok(Finding::Fine)
}

fn print_applied(applied: &Applied) {
    println!("   {}: {}.", applied.what, applied.rule);
    let months: Vec<String> = applied
        .monthly
        .iter()
        .map(|(size, cents)| format!("{size}: {}", Cents(*cents)))
        .collect();
    if !months.is_empty() {
        println!("   A month, by household size: {}.", months.join(", "));
    }
    println!("   Source: {}.", applied.source);
}
