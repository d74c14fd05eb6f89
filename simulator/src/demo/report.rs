//! What the run prints at its end: what crossed each door, and how long each step took.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contracts::ids::Committee;

use super::tap::{Crossing, Tap};

/// One kind of fact whose sample values are distinctive enough to be searched for.
#[derive(Debug, Clone)]
pub struct Canary {
    /// Such as `ssn` or `income`.
    pub kind: String,
    /// Every spelling in which the value could appear.
    pub spellings: Vec<String>,
}

/// The kinds of facts found in clear in a byte string.
pub fn facts_in<'a>(bytes: &[u8], canaries: &'a [Canary]) -> BTreeSet<&'a str> {
    canaries
        .iter()
        .filter(|canary| {
            canary
                .spellings
                .iter()
                .any(|spelling| contains(bytes, spelling.as_bytes()))
        })
        .map(|canary| canary.kind.as_str())
        .collect()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty()
        && bytes
            .windows(needle.len())
            .any(|window| window.eq_ignore_ascii_case(needle))
}

/// What one party saw.
#[derive(Debug, Default)]
pub struct Row {
    requests: u64,
    bytes: u64,
    fields: BTreeSet<String>,
    facts: BTreeSet<String>,
}

/// Adds up the doors into rows by party; an oracle's door is one row per committee it sits on.
pub fn rows(taps: &[Tap], canaries: &[Canary]) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for tap in taps {
        for (route, crossing) in tap.crossings() {
            let Some(party) = party(tap.party(), &route) else {
                continue;
            };
            rows.entry(party).or_default().add(&crossing, canaries);
        }
    }
    rows
}

impl Row {
    fn add(&mut self, crossing: &Crossing, canaries: &[Canary]) {
        self.requests += crossing.requests;
        self.bytes += crossing.bytes;
        self.fields.extend(crossing.asked.iter().cloned());
        self.fields.extend(crossing.answered.iter().cloned());
        for body in &crossing.bodies {
            self.facts
                .extend(facts_in(body, canaries).into_iter().map(str::to_owned));
        }
    }

    /// The kinds of facts that crossed in clear.
    pub fn facts(&self) -> &BTreeSet<String> {
        &self.facts
    }
}

fn party(door: &str, route: &str) -> Option<String> {
    let path = route.split_once(' ')?.1;
    if matches!(path, "/healthz" | "/metrics") {
        return None;
    }
    if !door.starts_with("oracle") {
        return Some(door.to_owned());
    }
    let committee = path
        .split(['/', '-', '.', '_'])
        .find_map(|part| part.parse::<Committee>().ok());
    Some(match committee {
        Some(committee) => format!("{committee} oracles"),
        None if path.starts_with("/peer/") => "oracle to oracle, sealed".to_owned(),
        None => "oracles, public".to_owned(),
    })
}

/// The table of rows: party, requests, bytes, facts in clear, fields.
pub fn party_table(rows: &BTreeMap<String, Row>) -> String {
    const FIELDS_WIDTH: usize = 96;
    let mut table = format!(
        "{:<26} {:>8} {:>9}  {:<28} {}\n",
        "party", "requests", "bytes", "facts in clear", "fields that crossed its door"
    );
    for (party, row) in rows {
        let facts = if row.facts.is_empty() {
            "none".to_owned()
        } else {
            row.facts.iter().cloned().collect::<Vec<_>>().join(", ")
        };
        let mut fields = String::new();
        for field in &row.fields {
            if fields.len() + field.len() > FIELDS_WIDTH {
                fields.push_str(", …");
                break;
            }
            if !fields.is_empty() {
                fields.push_str(", ");
            }
            fields.push_str(field);
        }
        table.push_str(&format!(
            "{party:<26} {:>8} {:>9}  {facts:<28} {fields}\n",
            row.requests, row.bytes
        ));
    }
    table
}

/// The table of steps and their durations.
pub fn timing_table(timings: &[(String, Duration)]) -> String {
    let mut table = format!("{:<46} {:>10}\n", "step", "ms");
    for (step, duration) in timings {
        table.push_str(&format!(
            "{step:<46} {:>10.1}\n",
            duration.as_secs_f64() * 1000.0
        ));
    }
    let total: Duration = timings.iter().map(|(_, duration)| *duration).sum();
    table.push_str(&format!(
        "{:<46} {:>10.1}\n",
        "total",
        total.as_secs_f64() * 1000.0
    ));
    table
}
