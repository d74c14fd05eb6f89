//! What the run prints at its end: what crossed each door, and how long each step took.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aho_corasick::AhoCorasick;
use contracts::ids::Committee;

use super::tap::{Crossing, Tap};

/// Finds facts in clear: values of the sample data that are distinctive enough to be searched for.
pub struct FactFinder {
    search: AhoCorasick,
    /// Kind and spelling of each pattern.
    patterns: Vec<(String, String)>,
}

impl FactFinder {
    /// A search for every spelling of every kind, case ignored.
    ///
    /// # Errors
    /// The patterns are too many for one automaton.
    pub fn new(canaries: BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        let patterns: Vec<_> = canaries
            .into_iter()
            .flat_map(|(kind, spellings)| {
                spellings
                    .into_iter()
                    .map(move |spelling| (kind.clone(), spelling))
            })
            .collect();
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(patterns.iter().map(|(_, spelling)| spelling))
            .map_err(|error| error.to_string())?;
        Ok(Self { search, patterns })
    }

    /// The kinds of facts found in a byte string.
    pub fn find(&self, bytes: &[u8]) -> BTreeSet<&str> {
        self.search
            .find_overlapping_iter(bytes)
            .filter_map(|found| {
                let (kind, spelling) = self.patterns.get(found.pattern().as_usize())?;
                let short_number =
                    spelling.len() < 9 && spelling.bytes().all(|b| b.is_ascii_digit());
                let counts = !short_number || stands_alone(bytes, found.start(), found.end());
                counts.then_some(kind.as_str())
            })
            .collect()
    }
}

/// Whether the digits are a number of their own: not part of a hash, a longer number, a decimal or a port.
fn stands_alone(bytes: &[u8], start: usize, end: usize) -> bool {
    let before = bytes.get(..start).unwrap_or_default();
    let joins = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-+/.".contains(byte))
    };
    !joins(before.last()) && !joins(bytes.get(end)) && !before.ends_with(b"127.0.0.1:")
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
pub fn rows<'t>(taps: impl Iterator<Item = &'t Tap>, finder: &FactFinder) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for tap in taps {
        for (route, crossing) in tap.crossings() {
            let Some(party) = party(tap.party(), &route) else {
                continue;
            };
            rows.entry(party).or_default().add(&crossing, finder);
        }
    }
    rows
}

impl Row {
    fn add(&mut self, crossing: &Crossing, finder: &FactFinder) {
        self.requests += crossing.requests;
        self.bytes += crossing.bytes;
        self.fields.extend(crossing.asked.iter().cloned());
        self.fields.extend(crossing.answered.iter().cloned());
        for body in &crossing.bodies {
            self.facts
                .extend(finder.find(body).into_iter().map(str::to_owned));
        }
    }
}

fn party(door: &str, route: &str) -> Option<String> {
    if door.ends_with("-peers") {
        return Some("oracle to oracle".to_owned());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_count_only_where_they_stand_alone() {
        let canaries = BTreeMap::from([
            ("cents".to_owned(), vec!["61237".to_owned()]),
            ("names".to_owned(), vec!["Quillavera".to_owned()]),
        ]);
        let finder = FactFinder::new(canaries).unwrap();
        let find = |text: &str| finder.find(text.as_bytes()).into_iter().collect::<Vec<_>>();
        assert_eq!(find("{\"v\":61237}"), ["cents"]);
        assert_eq!(find("hello QUILLAVERA"), ["names"]);
        for text in ["a61237", "612370", "127.0.0.1:61237", "0.61237", "x_61237"] {
            assert!(find(text).is_empty(), "{text}");
        }
    }
}
