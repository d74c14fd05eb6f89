//! A dry run of one attribute's mapping against one record (`oracle probe`): each step is shown, nothing is written.
//!
//! No node needs to run, no key is read and no database opened: only the sources of the configuration are asked. What is
//! printed holds the facts of the record asked about; use one that is made for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use contracts::catalogue::{Attribute, SourceFormula, catalogue};
use contracts::ids::AttributeId;
use contracts::units::Period;

use crate::agreement::agree;
use crate::attest::AttestConfig;
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::sources::Sources;

/// What a probe came to.
pub struct Probe {
    /// Every step, as lines for people.
    pub text: String,
    /// Whether the sources agree on a value.
    pub known: bool,
}

/// Reads an attribute from all its sources, as an attestation would.
///
/// # Errors
/// One line that names the setting and the fix.
pub async fn probe(
    config: &NodeConfig,
    attribute: &AttributeId,
    keys: &BTreeMap<String, String>,
    period: Option<Period>,
) -> Result<Probe, String> {
    let settings: AttestConfig = config
        .role("attest")
        .map_err(|error| error.to_string())?
        .unwrap_or_default();
    let sources = Sources::new(&settings.source, &settings.attribute)
        .map_err(|error| format!("roles.attest: {error}"))?;
    let Some(entry) = catalogue().get(attribute) else {
        return Err(format!(
            "--attribute {attribute}: not in the catalogue: write an id of contracts/rules/catalogue.toml"
        ));
    };
    if !sources.reads(attribute) {
        return Err(format!(
            "--attribute {attribute}: no source is mapped: add [[roles.attest.attribute]] with this id"
        ));
    }
    let period = match period {
        Some(period) => period,
        None => default_period(config, entry)?,
    };
    let readings = sources.explain(entry, keys, period).await;
    let mut text = format!(
        "attribute  {attribute}: {}\nunit       {:?}, {} to {}\nperiod     {period}\n",
        entry.title, entry.unit, entry.min, entry.max
    );
    let mut line = |name: &str, detail: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<10} {detail}");
    };
    for (source, steps, reading) in &readings {
        line("source", source);
        for step in steps {
            line(&format!("  {}", step.name), &step.detail);
        }
        match reading {
            Ok(Some(value)) => line("  gives", &value.to_string()),
            Ok(None) => line("  gives", "no record"),
            Err(error) => line("  fails", &error.to_string()),
        }
    }
    let readings: Vec<_> = readings
        .into_iter()
        .map(|(_, _, reading)| reading)
        .collect();
    let agreement = agree(entry.formula, &readings);
    line("formula", &formula(entry.formula));
    line(
        "agreement",
        &format!(
            "{} of {} sources agree, {} disagree, {} failed",
            agreement.agreeing, agreement.sources, agreement.disagreeing, agreement.failed
        ),
    );
    match agreement.value {
        Some(value) => line("value", &value.to_string()),
        None => line(
            "value",
            "not known: a contract that needs it says NEEDS-INFO",
        ),
    }
    Ok(Probe {
        known: agreement.value.is_some(),
        text,
    })
}

fn default_period(config: &NodeConfig, entry: &Attribute) -> Result<Period, String> {
    let today = Clock::with_offset(config.clock_offset_seconds).now().day();
    let period = today.and_then(|today| entry.period.period(today));
    period.map_err(|error| format!("clock_offset_seconds: {error}"))
}

fn formula(formula: SourceFormula) -> String {
    match formula {
        SourceFormula::Unanimous => "every source gives the same value".to_owned(),
        SourceFormula::Fraction { num, den } => {
            format!("at least {num} of {den} sources, and more than a half, give the same value")
        }
        SourceFormula::Tolerance { pct10 } => format!(
            "every source lies within {}.{} % of the lower median",
            pct10 / 10,
            pct10 % 10
        ),
    }
}
