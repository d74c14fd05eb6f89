//! `rules check` as a whole process on a million rows: its rate, its memory, and the csv crate alone on the same file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Figure, median};

const PEOPLE: &str = include_str!("../../../fixtures/peer/cases_2026.csv");
const ROWS: usize = 1_000_000;
const RUNS: usize = 3;
const READER: &str = "the csv crate reading the same rows";

/// Measures.
///
/// # Errors
/// The `rules` program has not been built beside this one, or fails.
pub fn run() -> Result<Vec<Figure>, String> {
    let program = sibling("rules")?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let whole = folder.path().join("people.csv");
    let tenth = folder.path().join("tenth.csv");
    write_people(&whole, ROWS).map_err(|error| error.to_string())?;
    write_people(&tenth, ROWS / 10).map_err(|error| error.to_string())?;
    let (mut ours, mut theirs, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (seconds, peak) = check(&program, &whole)?;
        ours.push(seconds);
        peaks.push(peak);
        theirs.push(read(&whole)?);
    }
    let (_, small_peak) = check(&program, &tenth)?;
    let (ours, theirs, peak) = (median(ours), median(theirs), median(peaks));
    let case = "check, 1,000,000 rows".to_owned();
    let rows = f64::from(u32::try_from(ROWS).unwrap_or(u32::MAX));
    Ok(vec![
        Figure {
            bench: "rules",
            case: case.clone(),
            metric: "people_per_second",
            value: rows / ours,
            ratio: Some(ours / theirs),
            against: Some(READER),
        },
        Figure {
            bench: "rules",
            case,
            metric: "peak_kib",
            value: peak,
            ratio: Some(peak / small_peak),
            against: Some("a tenth of the rows"),
        },
    ])
}

fn sibling(name: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = own.with_file_name(name);
    if program.exists() {
        return Ok(program);
    }
    Err(format!(
        "{} is not there: build it with cargo build --release -p contracts --bin {name}",
        program.display()
    ))
}

/// The sample households again and again, each time under new household numbers.
fn write_people(path: &Path, rows: usize) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut lines = PEOPLE.lines();
    writeln!(file, "{}", lines.next().unwrap_or_default())?;
    let people: Vec<_> = lines.filter_map(|line| line.split_once(',')).collect();
    for row in 0..rows {
        let Some((household, rest)) = people.get(row % people.len()) else {
            break;
        };
        writeln!(file, "{}{household},{rest}", row / people.len())?;
    }
    file.flush()
}

/// Seconds from start to exit, and the largest resident set seen, in KiB.
fn check(program: &Path, people: &Path) -> Result<(f64, f64), String> {
    let since = Instant::now();
    let mut child = Command::new(program)
        .args(["check", "--as-of", "2026-02-01", "--people"])
        .arg(people)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut peak = 0.0;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        peak = resident(child.id()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(2));
    };
    if !status.success() {
        return Err(format!("rules check: {status}"));
    }
    Ok((since.elapsed().as_secs_f64(), peak))
}

/// `VmHWM` of a process (Linux), in KiB.
fn resident(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn read(people: &Path) -> Result<f64, String> {
    let since = Instant::now();
    let mut reader = csv::Reader::from_path(people).map_err(|error| error.to_string())?;
    let mut record = csv::ByteRecord::new();
    let mut fields = 0usize;
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| error.to_string())?
    {
        fields += record.len();
    }
    std::hint::black_box(fields);
    Ok(since.elapsed().as_secs_f64())
}
