//! Income limits by state and group: a percentage of the poverty guideline, or dollars by household size.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{BadTable, NotInTable, in_force, read, table_hash};
use crate::encoding::Bytes32;
use crate::ids::Jurisdiction;
use crate::units::Day;

const TABLE: &str = "limits";

/// What a limit is measured in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Tenths of a percent of the poverty guideline, with and without the five points of 42 CFR 435.603(d)(4).
    Percent {
        /// As published, five points included.
        with_disregard: u32,
        /// The standard itself.
        without_disregard: u32,
    },
    /// Dollars a month by household size, five points not included.
    Dollars(Vec<DollarStandard>),
}

/// One dollar standard: the sizes it was published for, in order from 1 without gaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DollarStandard {
    /// Where a state publishes several: an attribute and the value that selects this one.
    pub variant: Option<(String, i64)>,
    /// Dollars a month for sizes `first_size`, `first_size + 1`, …
    pub monthly: Vec<u32>,
    /// The smallest size published.
    pub first_size: u32,
}

impl DollarStandard {
    /// Dollars a month that each person beyond the last published size adds: the last published step.
    pub fn step(&self) -> u32 {
        match self.monthly.as_slice() {
            [.., before, last] => last.saturating_sub(*before),
            _ => 0,
        }
    }
}

/// One row: what a state offers a group from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// The state.
    pub state: Jurisdiction,
    /// Such as `expansion_adult`.
    pub group: String,
    /// First day.
    pub effective: Day,
    /// The limit; none where the state has no such group.
    pub basis: Option<Basis>,
    /// Whether the five points apply in this group: only in the highest MAGI group open to its members.
    pub disregard_applies: bool,
    /// CFR section of the group.
    pub citation: String,
    /// Publication that the number was read from.
    pub source: String,
    /// What a reader should know about it.
    pub note: String,
}

/// All limits.
#[derive(Debug, Clone)]
pub struct Limits {
    rows: BTreeMap<(Jurisdiction, String), Vec<Limit>>,
    hashes: BTreeMap<String, Bytes32>,
}

type DollarKey = (Jurisdiction, String, Day);

fn dollars(text: &str) -> Result<BTreeMap<DollarKey, Vec<DollarStandard>>, BadTable> {
    let mut standards: BTreeMap<DollarKey, Vec<DollarStandard>> = BTreeMap::new();
    read("standards_dollars", text, |row| {
        let key = (row.get("state")?, row.get("group")?, row.get("effective")?);
        let variant = match row.text("variant")? {
            "" => None,
            text => Some(
                text.split_once('=')
                    .and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
                    .ok_or_else(|| row.bad("variant: write attribute=value"))?,
            ),
        };
        let (size, monthly): (u32, u32) = (row.get("household_size")?, row.get("monthly_usd")?);
        let of_state = standards.entry(key).or_default();
        match of_state
            .iter_mut()
            .find(|standard| standard.variant == variant)
        {
            Some(standard)
                if standard.first_size as usize + standard.monthly.len() == size as usize =>
            {
                standard.monthly.push(monthly);
            }
            Some(_) => return Err(row.bad("household sizes must follow one another")),
            None => of_state.push(DollarStandard {
                variant,
                monthly: vec![monthly],
                first_size: size,
            }),
        }
        Ok(())
    })?;
    Ok(standards)
}

impl Limits {
    pub(super) fn parse(limits: &str, standards: &str) -> Result<Self, BadTable> {
        let mut standards = dollars(standards)?;
        let mut rows: BTreeMap<_, Vec<Limit>> = BTreeMap::new();
        read(TABLE, limits, |row| {
            let key: (Jurisdiction, String) = (row.get("state")?, row.get("group")?);
            let effective = row.get("effective")?;
            let tenths = |column| {
                row.tenths(column)?
                    .ok_or_else(|| row.bad(format!("{column}: missing")))
            };
            let basis = match (row.flag("offered")?, row.text("basis")?) {
                (false, "") => None,
                (true, "percent") => Some(Basis::Percent {
                    with_disregard: tenths("with_disregard_pct")?,
                    without_disregard: tenths("without_disregard_pct")?,
                }),
                (true, "dollars") => {
                    let of_row = standards.remove(&(key.0, key.1.clone(), effective));
                    let missing = || row.bad("no dollar standard from this day");
                    let of_row = of_row.ok_or_else(missing)?;
                    if of_row.iter().any(|standard| standard.monthly.len() < 2) {
                        return Err(row.bad("a dollar standard names at least two sizes"));
                    }
                    Some(Basis::Dollars(of_row))
                }
                _ => {
                    return Err(
                        row.bad("basis: write percent or dollars, nothing when not offered")
                    );
                }
            };
            let limit = Limit {
                state: key.0,
                group: key.1.clone(),
                effective,
                basis,
                disregard_applies: row.flag("disregard_applies")?,
                citation: row.get("citation")?,
                source: row.get("source")?,
                note: row.get("note")?,
            };
            rows.entry(key).or_default().push(limit);
            Ok(())
        })?;
        if let Some((state, group, day)) = standards.keys().next() {
            return Err(BadTable {
                table: "standards_dollars",
                line: 0,
                what: format!("{state} {group} {day} belongs to no row of {TABLE}"),
            });
        }
        let mut groups: BTreeMap<String, Vec<&Limit>> = BTreeMap::new();
        for of_group in rows.values_mut() {
            of_group.sort_by_key(|limit| limit.effective);
        }
        for limit in rows.values().flatten() {
            groups.entry(limit.group.clone()).or_default().push(limit);
        }
        let hash = |(group, rows): (String, Vec<&Limit>)| {
            let hash = table_hash(&format!("{TABLE}/{group}"), &rows);
            (group, hash)
        };
        let hashes = groups.into_iter().map(hash).collect();
        Ok(Self { rows, hashes })
    }

    /// The row in force for a state's group on a day.
    ///
    /// # Errors
    /// [`NotInTable`] before the first row, and for a group that no row names.
    pub fn in_force(
        &self,
        state: Jurisdiction,
        group: &str,
        as_of: Day,
    ) -> Result<&Limit, NotInTable> {
        let rows = self.rows.get(&(state, group.to_owned()));
        let rows = rows.map(Vec::as_slice).unwrap_or_default();
        in_force(
            rows,
            |row| row.effective,
            as_of,
            TABLE,
            || format!("{state} {group}"),
        )
    }

    /// Hash of all rows of a group, every state and day; none for a group that no row names.
    pub fn group_hash(&self, group: &str) -> Option<Bytes32> {
        self.hashes.get(group).copied()
    }

    /// The attributes that select among a group's dollar standards in some state.
    pub fn variants(&self, group: &str) -> impl Iterator<Item = &str> {
        let rows = self.rows.iter().filter(move |((_, of), _)| of == group);
        rows.flat_map(|(_, rows)| rows)
            .filter_map(|row| match &row.basis {
                Some(Basis::Dollars(standards)) => Some(standards),
                _ => None,
            })
            .flatten()
            .filter_map(|standard| standard.variant.as_ref())
            .map(|(attribute, _)| attribute.as_str())
    }

    /// The groups that rows name.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.hashes.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::tables;

    fn row(state: &str, group: &str, day: &str) -> Result<&'static Limit, NotInTable> {
        tables()
            .limits
            .in_force(state.parse().unwrap(), group, day.parse().unwrap())
    }

    #[test]
    fn every_state_has_a_row_for_adults_and_parents_today() {
        for state in Jurisdiction::all() {
            for group in tables().limits.groups() {
                row(state.code(), group, "2026-11-20").unwrap();
            }
        }
        assert_eq!(tables().limits.groups().count(), 10);
    }

    #[test]
    fn the_second_publication_replaces_what_it_contradicts() {
        let basis = |state, group| row(state, group, "2026-11-20").unwrap().basis.clone();
        let percent = |with_disregard, without_disregard| {
            Some(Basis::Percent {
                with_disregard,
                without_disregard,
            })
        };
        assert_eq!(basis("NC", "parent_caretaker"), percent(410, 360));
        assert_eq!(basis("MO", "child_6_18"), percent(1530, 1480));
        assert_eq!(basis("AL", "parent_caretaker"), percent(180, 130));
        assert_eq!(basis("RI", "pregnant"), percent(1950, 1900));
        assert_eq!(basis("TX", "expansion_adult"), None);
        let Some(Basis::Dollars(texas)) = basis("TX", "parent_caretaker") else {
            panic!("Texas publishes dollars");
        };
        assert_eq!(texas.len(), 2);
        assert!(row("DC", "expansion_adult", "2025-12-31").is_err());
    }

    #[test]
    fn the_disregard_belongs_to_the_highest_group() {
        let applies = |state| {
            let limit = row(state, "parent_caretaker", "2026-11-20").unwrap();
            limit.disregard_applies
        };
        assert!(!applies("CA"), "adults reach 133 there, parents 109");
        assert!(applies("TX"), "no adult group above parents");
        assert!(applies("CT"), "parents and adults both end at 133");
        assert!(!applies("WI"), "one flat limit of 100");
    }
}
