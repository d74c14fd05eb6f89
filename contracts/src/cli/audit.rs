//! `rules audit`: a decision bundle checked offline, trusting one file.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use contracts::audit::{AuditError, Report, audit, audit_opened};
use contracts::bundle::MAX_BUNDLE_BYTES;
use contracts::epoch::{EpochChange, MAX_CHANGES, MAX_CHANGES_BYTES};
use contracts::openings::MAX_OPENINGS_BYTES;
use contracts::rules::registry;
use contracts::trust::{MAX_TRUST_BYTES, Trust};
use serde_json::json;

use super::{Finding, Outcome};

/// Arguments of `rules audit`.
#[derive(clap::Args)]
pub struct Args {
    /// The decision bundle.
    bundle: PathBuf,
    /// What to trust: log origin and key, issuer, committee keys.
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// Changes of epoch since the trust file was written: a JSON array, as `GET /v1/epochs` of any node gives it. Each is
    /// checked against the committee's key and the ledger before its key is taken.
    #[arg(long, value_name = "FILE")]
    epochs: Option<PathBuf>,
    /// Values that the owner chose to open, to be checked against the bundle's leaves and shown.
    #[arg(long, value_name = "FILE")]
    openings: Option<PathBuf>,
    /// Print one JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let mut trust = Trust::parse(&read(&args.trust, MAX_TRUST_BYTES)?)
        .map_err(|error| format!("{}: {error}", args.trust.display()))?;
    if let Some(path) = &args.epochs {
        follow(&mut trust, path)?;
    }
    let bundle = read(&args.bundle, MAX_BUNDLE_BYTES)?;
    let audited = match &args.openings {
        None => audit(&bundle, &trust, registry()),
        Some(file) => audit_opened(
            &bundle,
            &read(file, MAX_OPENINGS_BYTES)?,
            &trust,
            registry(),
        ),
    };
    match audited {
        Ok(report) => {
            accepted(&report, args.json)?;
            Ok(Finding::Fine)
        }
        Err(error) => {
            refused(&error, args.json)?;
            Ok(Finding::Objection)
        }
    }
}

/// Takes the keys of later epochs, in order; a file with one change that does not follow is no evidence of anything.
fn follow(trust: &mut Trust, path: &Path) -> Result<(), Box<dyn Error>> {
    let bytes = read(path, MAX_CHANGES_BYTES)?;
    let failed = |cause: String| format!("{}: {cause}", path.display());
    if bytes.len() > MAX_CHANGES_BYTES {
        return Err(failed(format!("more than {MAX_CHANGES_BYTES} bytes")).into());
    }
    let mut changes: Vec<EpochChange> =
        serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
    if changes.len() > MAX_CHANGES {
        return Err(failed(format!("more than {MAX_CHANGES} changes of epoch")).into());
    }
    changes.sort_by_key(|change| change.statement.epoch);
    for change in &changes {
        trust
            .follow(change)
            .map_err(|error| failed(error.to_string()))?;
    }
    Ok(())
}

/// Reads at most one byte more than is parsed, so that a parser can say that a file is too long.
fn read(path: &Path, max: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(max as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes)
}

fn accepted(report: &Report, json: bool) -> Result<(), Box<dyn Error>> {
    if json {
        let mut document = serde_json::to_value(report)?;
        if let Some(document) = document.as_object_mut() {
            document.insert("ok".to_owned(), json!(true));
        }
        println!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    for passed in &report.checks {
        println!("ok  {:<13} {}", passed.check.to_string(), passed.finding);
    }
    println!(
        "{} on {} in {} as of {}, for {}, subject {}",
        report.verdict,
        report.contract.id,
        report.jurisdiction,
        report.as_of,
        report.audience,
        report.subject
    );
    if !report.reasons.is_empty() {
        println!("reasons: {}", report.reasons.join(", "));
    }
    for opened in &report.opened {
        println!(
            "opened  {} over {}: {}",
            opened.attribute, opened.period, opened.text
        );
    }
    println!(
        "not checked, as it needs the network: revocation since, bit {} of {}",
        report.status.idx, report.status.uri
    );
    Ok(())
}

fn refused(error: &AuditError, json: bool) -> Result<(), Box<dyn Error>> {
    if json {
        let document = json!({"ok": false, "check": error.check(), "field": error.field(), "reason": error.to_string()});
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        eprintln!("refused by check {}: {error}", error.check());
    }
    Ok(())
}
