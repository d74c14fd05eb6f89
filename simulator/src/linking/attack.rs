//! Matchers: each pairs what one party has with what another has, and is judged by how many pairs are of one owner.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::assign::cheapest;
use super::chance::tail;
use super::evidence::{Evidence, Party};
use super::values::Values;

/// Probability, over all matchers of a run together, with which chance alone is taken for a link.
pub(super) const SIGNIFICANCE: f64 = 0.001;
/// Names of equal values that are told.
const TOLD: usize = 8;

/// What the matchers of a family go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// Values that are the same at both.
    Equal,
    /// The order in which messages arrived, and when.
    Arrival,
    /// Sizes of messages.
    Size,
    /// Numbers that are close: indexes, times in tokens, ports, rows.
    Number,
    /// Keys and ids with many bits alike.
    Bits,
}

impl Family {
    pub(super) const ALL: [Self; 5] = [
        Self::Equal,
        Self::Arrival,
        Self::Size,
        Self::Number,
        Self::Bits,
    ];

    fn of(place: &str) -> Self {
        match place.rsplit([' ', '.']).next().unwrap_or_default() {
            "arrival" | "time" => Self::Arrival,
            "size" | "content-length" => Self::Size,
            _ => Self::Number,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal values",
            Self::Arrival => "arrival",
            Self::Size => "sizes",
            Self::Number => "close numbers",
            Self::Bits => "like bits",
        }
    }
}

/// What a family of matchers scored on two parties' records.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) parties: (String, String),
    pub(super) family: Family,
    /// Matchers tried.
    pub(super) matchers: usize,
    /// Owners that the best one matched.
    pub(super) hits: usize,
    /// What it went by.
    pub(super) by: String,
    /// Probability that chance does as well in any matcher of the family, bounded.
    pub(super) chance: f64,
    /// Values that point from a record to few others.
    pub(super) pointing: Vec<String>,
}

impl Finding {
    /// Whether owners are linked by it. Values that point are told of even where chance could explain the hits.
    pub(super) fn links(&self) -> bool {
        self.chance * (Family::ALL.len() * 3) as f64 <= SIGNIFICANCE || !self.pointing.is_empty()
    }
}

/// One party's records in an order that tells nothing; the truth is kept for the judge.
struct Side {
    name: String,
    values: Vec<Values>,
    whose: Vec<usize>,
}

impl Side {
    fn of(party: &Party, draw: &mut StdRng) -> Self {
        let mut whose: Vec<usize> = (0..party.records.len()).collect();
        whose.shuffle(draw);
        let records = whose.iter().filter_map(|at| party.records.get(*at));
        Self {
            name: party.name.clone(),
            values: records.map(Values::of).collect(),
            whose,
        }
    }

    /// Numbers that every record has and that differ, by place.
    fn numbers(&self) -> BTreeMap<&str, Vec<i64>> {
        let mut columns: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for values in &self.values {
            for (place, number) in &values.numbers {
                columns.entry(place).or_default().push(*number);
            }
        }
        columns.retain(|_, column| {
            column.len() == self.values.len() && column.iter().any(|it| Some(it) != column.first())
        });
        columns
    }
}

/// Every family on every two parties.
pub(super) fn attack(evidence: &Evidence, draw: &mut StdRng) -> Vec<Finding> {
    let sides: Vec<Side> = evidence
        .parties
        .iter()
        .map(|party| Side::of(party, draw))
        .collect();
    let mut findings = Vec::new();
    for (at, one) in sides.iter().enumerate() {
        for other in sides.iter().skip(at + 1) {
            findings.extend(Pair { one, other }.attack());
        }
    }
    findings
}

struct Pair<'s> {
    one: &'s Side,
    other: &'s Side,
}

impl Pair<'_> {
    fn attack(&self) -> Vec<Finding> {
        let mut scores: BTreeMap<Family, Vec<(usize, String)>> =
            Family::ALL.map(|family| (family, Vec::new())).into();
        let (points, pointing) = self.equal(|values| values.words.iter().cloned());
        let (pieces, cut) = self.equal(|values| values.pieces.iter().copied());
        let (integers, _) = self.equal(|values| values.integers.iter().copied());
        for (costs, by) in [(points, "text"), (pieces, "bytes"), (integers, "integers")] {
            let hits = self.hits(&cheapest(&costs));
            let score = (hits, by.to_owned());
            scores.entry(Family::Equal).or_default().push(score);
        }
        let mut pointing: Vec<String> = pointing.into_iter().take(TOLD).collect();
        pointing.extend(cut.iter().take(TOLD).map(|piece| format!("{piece:016x}")));
        self.close(&mut scores);
        for (length, costs) in self.bits() {
            let score = (self.hits(&cheapest(&costs)), format!("{length} bytes"));
            scores.entry(Family::Bits).or_default().push(score);
        }
        scores
            .into_iter()
            .map(|(family, scores)| {
                let best = scores.iter().max_by_key(|(hits, _)| *hits);
                let (hits, by) = best.cloned().unwrap_or_default();
                Finding {
                    parties: (self.one.name.clone(), self.other.name.clone()),
                    family,
                    matchers: scores.len(),
                    hits,
                    by,
                    chance: match scores.len() {
                        // Nothing differs that could be gone by.
                        0 => 1.0,
                        tried => tail(self.one.values.len(), hits) * tried as f64,
                    },
                    pointing: match family {
                        Family::Equal => std::mem::take(&mut pointing),
                        _ => Vec::new(),
                    },
                }
            })
            .collect()
    }

    /// Pairs that are of one owner, where `of_row` has for each record of one party that of the other.
    fn hits(&self, of_row: &[usize]) -> usize {
        let pairs = self.one.whose.iter().zip(of_row);
        pairs
            .filter(|(whose, at)| self.other.whose.get(**at) == Some(*whose))
            .count()
    }

    /// Costs by values that are the same: the fewer records have one, the more it says. What more than half of the records have
    /// says nothing. Also the values that are in few records at each party.
    fn equal<'v, T: Ord + 'v, I: Iterator<Item = T>>(
        &'v self,
        of: impl Fn(&'v Values) -> I,
    ) -> (Vec<Vec<f64>>, Vec<T>) {
        let n = self.one.values.len();
        let mut whose: BTreeMap<T, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (at, values) in self.one.values.iter().enumerate() {
            for value in of(values) {
                whose.entry(value).or_default().0.push(at);
            }
        }
        for (at, values) in self.other.values.iter().enumerate() {
            for value in of(values) {
                if let Some((_, others)) = whose.get_mut(&value) {
                    others.push(at);
                }
            }
        }
        let mut costs = vec![vec![0.0; n]; n];
        let mut few = Vec::new();
        for (value, (ones, others)) in whose {
            if others.is_empty() || ones.len() > n / 2 || others.len() > n / 2 {
                continue;
            }
            let says = 1.0 / (ones.len() * others.len()) as f64;
            for row in &ones {
                for column in &others {
                    if let Some(cell) = costs.get_mut(*row).and_then(|row| row.get_mut(*column)) {
                        *cell -= says;
                    }
                }
            }
            few.push(value);
        }
        (costs, few)
    }

    /// Pairs by rank: for one number, no assignment has smaller squared distances.
    fn close(&self, scores: &mut BTreeMap<Family, Vec<(usize, String)>>) {
        let (ones, others) = (self.one.numbers(), self.other.numbers());
        let mut near: BTreeMap<Family, Vec<Vec<f64>>> = BTreeMap::new();
        for (place, column) in &ones {
            let (family, sorted) = (Family::of(place), ranks(column));
            for (other, column) in &others {
                if Family::of(other) != family {
                    continue;
                }
                let others_sorted = ranks(column);
                let mut of_row = vec![0; sorted.len()];
                for (row, at) in sorted.iter().zip(&others_sorted) {
                    if let Some(of_row) = of_row.get_mut(*row) {
                        *of_row = *at;
                    }
                }
                let by = format!("{place} ~ {other}");
                let score = (self.hits(&of_row), by);
                scores.entry(family).or_default().push(score);
                together(near.entry(family).or_default(), &sorted, &others_sorted);
            }
        }
        for (family, costs) in near {
            let score = (self.hits(&cheapest(&costs)), "all together".to_owned());
            scores.entry(family).or_default().push(score);
        }
    }

    /// Costs by the fewest bits that any two byte strings of a length differ in.
    fn bits(&self) -> BTreeMap<usize, Vec<Vec<f64>>> {
        let lengths: BTreeSet<usize> = self
            .one
            .values
            .iter()
            .flat_map(|values| values.keys.values().map(Vec::len))
            .collect();
        let mut all = BTreeMap::new();
        for length in lengths {
            let of = |values: &Values| -> Vec<Vec<u8>> {
                let keys = values.keys.values();
                keys.filter(|key| key.len() == length).cloned().collect()
            };
            let others: Vec<Vec<Vec<u8>>> = self.other.values.iter().map(of).collect();
            if others.iter().any(Vec::is_empty) {
                continue;
            }
            let row = |values: &Values| -> Vec<f64> {
                let ones = of(values);
                let least = |others: &Vec<Vec<u8>>| {
                    let pairs = ones
                        .iter()
                        .flat_map(|one| others.iter().map(move |it| (one, it)));
                    pairs.map(|(one, other)| apart(one, other)).min()
                };
                others
                    .iter()
                    .map(|others| f64::from(least(others).unwrap_or(u32::MAX)))
                    .collect()
            };
            all.insert(length, self.one.values.iter().map(row).collect());
        }
        all
    }
}

/// Bits that differ; equal strings are another family's.
fn apart(one: &[u8], other: &[u8]) -> u32 {
    let bits = one.iter().zip(other);
    match bits.map(|(one, other)| (one ^ other).count_ones()).sum() {
        0 => u32::MAX,
        bits => bits,
    }
}

/// Places in order of their numbers.
fn ranks(column: &[i64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..column.len()).collect();
    places.sort_by_key(|at| column.get(*at).copied());
    places
}

/// Adds the distance of ranks, as far as it is small.
fn together(costs: &mut Vec<Vec<f64>>, ones: &[usize], others: &[usize]) {
    let n = ones.len();
    costs.resize_with(n, || vec![0.0; n]);
    for (rank, row) in ones.iter().enumerate() {
        for (other_rank, column) in others.iter().enumerate() {
            let cell = costs.get_mut(*row).and_then(|row| row.get_mut(*column));
            if let Some(cell) = cell {
                *cell -= 1.0 / (1.0 + rank.abs_diff(other_rank) as f64);
            }
        }
    }
}
