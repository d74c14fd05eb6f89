//! Who is killed, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::demo::ORACLES;
use crate::demo::trap::{Crossing, Moment, Point};

/// Occurrences of a route that is asked again and again, of which any is like another.
const LIKE: usize = 3;
/// Occurrences of a route at the oracles, of which there is one for each node and domain.
const AT_ORACLES: usize = 6;

/// One process is killed at one point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kill {
    /// When.
    pub point: Point,
    /// Whose process.
    pub victim: String,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kill {}", self.point, self.victim)
    }
}

impl FromStr for Kill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let usage = || format!("{text:?} is no kill: write POINT kill PARTY, as a run prints them");
        let (point, victim) = text.split_once(" kill ").ok_or_else(usage)?;
        Ok(Self {
            point: point.parse()?,
            victim: victim.to_owned(),
        })
    }
}

/// Every kill for what crosses: of who is asked, of who asks, of who stands by.
pub fn matrix(crossings: &[Crossing], services: &[String]) -> Vec<Kill> {
    let mut routes: BTreeMap<(&str, &str), Vec<&Crossing>> = BTreeMap::new();
    for crossing in crossings {
        // What one oracle is asked another is, too.
        let door = match crossing.door.starts_with("oracle-") {
            true => "oracle",
            false => &crossing.door,
        };
        let alike = routes.entry((door, &crossing.route)).or_default();
        alike.push(crossing);
    }
    let mut kills = BTreeSet::new();
    for ((door, route), alike) in routes {
        let many = match (door, route.starts_with("GET ")) {
            (_, true) => LIKE,
            ("oracle", _) => AT_ORACLES,
            _ => alike.len(),
        };
        for crossing in spread(&alike, many) {
            for moment in Moment::ALL {
                for victim in victims(crossing, moment, services) {
                    let crossing = crossing.clone();
                    let point = Point { crossing, moment };
                    kills.insert(Kill { point, victim });
                }
            }
        }
    }
    kills.into_iter().collect()
}

/// So many of them, first and last among these.
fn spread<'a>(all: &[&'a Crossing], many: usize) -> Vec<&'a Crossing> {
    let last = all.len().saturating_sub(1);
    let steps = many.saturating_sub(1).max(1);
    let places: BTreeSet<usize> = (0..many).map(|at| at * last / steps).collect();
    places
        .into_iter()
        .filter_map(|at| all.get(at).copied())
        .collect()
}

fn victims(crossing: &Crossing, moment: Moment, services: &[String]) -> Vec<String> {
    let oracle = |number: u32| format!("oracle-{}", number % u32::from(ORACLES) + 1);
    match crossing.door.as_str() {
        // Sources are not the system's own: who reads them is killed.
        "payroll" | "ehr" => vec![oracle(crossing.nth)],
        door => {
            let mut victims = vec![door.to_owned()];
            victims.extend(
                services
                    .iter()
                    .filter(|name| name.as_str() != door)
                    .cloned(),
            );
            if door.starts_with("oracle-") && moment == Moment::Before {
                victims.push(oracle(crossing.nth));
            }
            victims.sort_unstable();
            victims.dedup();
            victims
        }
    }
}

/// Deals kills, or a sample of them, to runs in which no step is chosen twice.
pub fn deal(all: Vec<Kill>, seed: u64, sample: Option<usize>, together: usize) -> Vec<Vec<Kill>> {
    let mut all = all;
    all.shuffle(&mut StdRng::seed_from_u64(seed));
    all.truncate(sample.unwrap_or(usize::MAX));
    let mut runs: Vec<Vec<Kill>> = Vec::new();
    for kill in all {
        let free = |run: &&mut Vec<Kill>| {
            let taken = |other: &Kill| other.point.crossing == kill.point.crossing;
            run.len() < together && !run.iter().any(taken)
        };
        match runs.iter_mut().find(free) {
            Some(run) => run.push(kill),
            None => runs.push(vec![kill]),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossings() -> Vec<Crossing> {
        let crossing = |door: &str, route: &str, nth| Crossing {
            door: door.to_owned(),
            route: route.to_owned(),
            nth,
        };
        let polls = (1..=50).map(|nth| crossing("agency", "GET /applications/_/statements", nth));
        let files = (1..=2).map(|nth| crossing("agency", "POST /applications", nth));
        let reads = std::iter::once(crossing("payroll", "GET /api/v1/income_reports", 1));
        let appends = (1..=30).map(|nth| crossing("oracle-2", "POST /v1/ledger/append", nth));
        polls.chain(files).chain(reads).chain(appends).collect()
    }

    #[test]
    fn every_filing_has_each_kill_and_of_polls_a_few_do() {
        let kills = matrix(&crossings(), &["profile".to_owned()]);
        let of = |route: &str| {
            let such = |kill: &&Kill| kill.point.crossing.route == route;
            kills.iter().filter(such).count()
        };
        assert_eq!(of("POST /applications"), 2 * 3 * 2);
        assert_eq!(of("GET /applications/_/statements"), LIKE * 3 * 2);
        let text = kills[0].to_string();
        assert_eq!(text.parse::<Kill>().as_ref(), Ok(&kills[0]));
        assert!("agency POST /x 1 lost".parse::<Kill>().is_err());
    }

    #[test]
    fn runs_hold_every_kill_once_and_no_step_twice() {
        let kills = matrix(&crossings(), &["profile".to_owned()]);
        let runs = deal(kills.clone(), 7, None, 5);
        let mut dealt: Vec<Kill> = runs.concat();
        dealt.sort();
        assert_eq!(dealt, kills);
        for run in &runs {
            let steps: BTreeSet<_> = run.iter().map(|kill| &kill.point.crossing).collect();
            assert_eq!(steps.len(), run.len());
        }
        assert_eq!(deal(kills, 7, Some(9), 5).concat().len(), 9);
    }
}
