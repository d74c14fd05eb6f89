//! `bench [NAME]`: figures as ratios taken in one run, a table on stderr and a JSON line per figure on stdout.

mod attest;
mod bare;
mod cpu;
mod decide;
mod fixture;
mod frost;
mod notify;
mod proof;
mod rules;
mod sign;
mod watch;

use serde::Serialize;

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// Which benchmark.
    pub bench: &'static str,
    /// What was measured.
    pub case: String,
    /// Which quantity, its unit last: `verify_us`.
    pub metric: &'static str,
    /// How much.
    pub value: f64,
    /// Ours over the reference, both taken in this run, interleaved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// The reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<&'static str>,
}

type Bench = fn() -> Result<Vec<Figure>, String>;

/// The benchmarks, by name.
const BENCHES: [(&str, Bench); 7] = [
    ("proof", proof::run),
    ("rules", rules::run),
    ("attest", attest::run),
    ("decide", decide::run),
    ("sign", sign::run),
    ("notify", notify::run),
    ("watch", watch::run),
];

/// Runs one benchmark, or all.
///
/// # Errors
/// An unknown name, or what kept a benchmark from running, in one line.
pub fn run(name: Option<&str>) -> Result<(), String> {
    let known: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
    if let Some(name) = name.filter(|name| !known.contains(name)) {
        return Err(format!("no bench {name:?}: there is {}", known.join(", ")));
    }
    eprintln!(
        "{:<10} {:<44} {:<28} {:>14} {:>8}  against",
        "bench", "case", "metric", "value", "ratio"
    );
    for (_, bench) in BENCHES
        .iter()
        .filter(|(known, _)| name.is_none_or(|name| name == *known))
    {
        for figure in bench()? {
            let ratio = figure
                .ratio
                .map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            eprintln!(
                "{:<10} {:<44} {:<28} {:>14.1} {ratio:>8}  {}",
                figure.bench,
                figure.case,
                figure.metric,
                figure.value,
                figure.against.unwrap_or_default()
            );
            let line = serde_json::to_string(&figure).map_err(|error| error.to_string())?;
            println!("{line}");
        }
    }
    Ok(())
}

/// The middle of some measurements.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs what waits on the network from a benchmark, which is called on a thread of the runtime.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| runtime.block_on(work))
}
