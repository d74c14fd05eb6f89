//! Runs the built program and reads what it left.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use simulator::demo::FactFinder;

/// The built program.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_simulator"))
}

/// Whether a command of the program succeeded, and all that it said.
pub fn told(command: &[&str], arguments: &[&str]) -> (bool, String) {
    let output = program()
        .args(command)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), text)
}

/// One run of `demo --json`.
pub struct Demo {
    pub output: String,
    pub errors: String,
    pub success: bool,
    pub seconds: f64,
}

impl Demo {
    pub fn run(folder: &Path, arguments: &[&str]) -> Self {
        let since = Instant::now();
        let output = program()
            .args(["demo", "--json", "--data"])
            .arg(folder)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Self {
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
            success: output.status.success(),
            seconds: since.elapsed().as_secs_f64(),
        }
    }

    fn last_line(&self) -> serde_json::Value {
        let line = self.output.lines().last().unwrap_or_default();
        serde_json::from_str(line)
            .unwrap_or_else(|_| panic!("no JSON line\n{}\n{}", self.output, self.errors))
    }

    pub fn succeeded(&self) -> serde_json::Value {
        assert!(self.success, "{}\n{}", self.output, self.errors);
        let summary = self.last_line();
        assert_eq!(summary["ok"], true);
        summary
    }

    pub fn failed(&self) -> String {
        assert!(!self.success, "{}", self.output);
        let summary = self.last_line();
        assert_eq!(summary["ok"], false);
        summary["error"].as_str().unwrap().to_owned()
    }

    /// Whether a log of a party other than the oracle itself names it as missing.
    pub fn logs_name_oracle(&self, folder: &Path, oracle: usize) -> bool {
        let own = format!("oracle-{oracle}.log");
        files_below(&folder.join("logs"))
            .into_iter()
            .filter(|file| file.file_name().is_some_and(|name| name != own.as_str()))
            .any(|file| {
                std::fs::read_to_string(file).unwrap().lines().any(|line| {
                    (line.contains("WARN") || line.contains("ERROR"))
                        && (line.contains(&format!("\"node\":\"{oracle}\""))
                            || line.contains(&format!("\"node\":{oracle}"))
                            || line.contains(&format!("node {oracle}"))
                            || line.contains(&format!("[{oracle}]")))
                })
            })
    }
}

/// Every file below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// The search for the fixtures' canary values.
pub fn finder() -> FactFinder {
    FactFinder::new(simulator::external::canaries().unwrap()).unwrap()
}

/// Attack: whoever can read what crossed a door, a table, a log or a ledger entry of a run looks for facts. How many files that is.
pub fn no_fact_in_clear(folder: &Path) -> usize {
    let finder = finder();
    let mut searched = 0;
    for file in files_below(folder) {
        let inside = file.strip_prefix(folder).unwrap().to_owned();
        let bytes = std::fs::read(&file).unwrap();
        let facts = finder.find(&bytes);
        let allowed = |fact: &str| match inside.to_str().unwrap() {
            // The sources' own data, and what they answer to the oracles that ask. Payroll masks SSNs.
            path if path.starts_with("sources/") => true,
            "tap/payroll.http" => [
                "names",
                "employers",
                "incomes",
                "income_cents",
                "source_keys",
            ]
            .contains(&fact),
            "tap/ehr.http" => ["names", "streets", "source_keys"].contains(&fact),
            // The phone shows its own number, which crosses the notifier's door once and with each reply.
            path if path.starts_with("phone/") || path == "tap/notifier.http" => fact == "phones",
            _ => false,
        };
        for fact in &facts {
            assert!(allowed(fact), "{fact} in {}", inside.display());
        }
        searched += 1;
    }
    searched
}

/// Audits a bundle as `rules audit` does.
pub fn audit(bundle: &[u8], trust: &[u8]) -> Result<(), String> {
    let trust = contracts::trust::Trust::parse(trust).map_err(|error| error.to_string())?;
    contracts::audit::audit(bundle, &trust, contracts::rules::registry())
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Attack: changes every value of the bundle, one at a time; each must be refused.
pub fn every_bit_counts(bundle: &[u8], trust: &[u8]) {
    let value: serde_json::Value = serde_json::from_slice(bundle).unwrap();
    let mut pointers = Vec::new();
    leaves(&value, String::new(), &mut pointers);
    assert!(pointers.len() > 100, "{} values", pointers.len());
    for pointer in pointers {
        let mut changed = value.clone();
        let leaf = changed.pointer_mut(&pointer).unwrap();
        *leaf = altered(leaf);
        let bytes = contracts::encoding::to_jcs(&changed).unwrap();
        assert!(audit(&bytes, trust).is_err(), "{pointer} can be changed");
    }
    for at in (0..bundle.len()).step_by(97) {
        let mut flipped = bundle.to_vec();
        flipped[at] ^= 1;
        assert!(audit(&flipped, trust).is_err(), "bit at byte {at}");
    }
}

fn leaves(value: &serde_json::Value, at: String, pointers: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, inner) in map {
                leaves(
                    inner,
                    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    pointers,
                );
            }
        }
        serde_json::Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                leaves(inner, format!("{at}/{index}"), pointers);
            }
        }
        _ => pointers.push(at),
    }
}

fn altered(leaf: &serde_json::Value) -> serde_json::Value {
    match leaf {
        serde_json::Value::String(text) => {
            let mut letters: Vec<char> = text.chars().collect();
            match letters.first_mut() {
                Some(letter) => *letter = if *letter == 'A' { 'B' } else { 'A' },
                None => letters.push('A'),
            }
            letters.into_iter().collect::<String>().into()
        }
        serde_json::Value::Number(number) => (number.as_i64().unwrap() + 1).into(),
        serde_json::Value::Bool(flag) => (!flag).into(),
        other => panic!("no change known for {other}"),
    }
}
