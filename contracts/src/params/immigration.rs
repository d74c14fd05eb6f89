//! Immigration classes and what full Medicaid and CHIP make of them, before and after 2026-10-01.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{BadTable, NotInTable, in_force, read, table_hash};
use crate::encoding::Bytes32;
use crate::units::Day;

const TABLE: &str = "immigration_classes";
/// Years in a qualified status before full Medicaid covers a class that must wait (8 U.S.C. 1613(a)).
pub const WAITING_YEARS: u8 = 5;

/// How full Medicaid treats a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coverage {
    /// From the first day.
    Covered,
    /// After five years in a qualified status.
    AfterFiveYears,
    /// Not at all; emergency Medicaid remains (42 CFR 435.139).
    NotCovered,
}

/// One row: a class from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImmigrationClass {
    /// Such as `LEGAL_PERMANENT_RESIDENT`.
    pub class: String,
    /// First day.
    pub effective: Day,
    /// What full Medicaid makes of it.
    pub coverage: Coverage,
    /// Whether its members are lawfully residing, which states may cover in children and pregnant people.
    pub lawfully_residing: bool,
    /// The law.
    pub citation: String,
}

/// Status under full Medicaid, derived from a class: what the identity committee attests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// `identity.medicaid_immigration_status`; none when it turns on years that are not known.
    pub covered: Option<bool>,
    /// `identity.lawfully_residing`.
    pub lawfully_residing: bool,
}

/// All classes.
#[derive(Debug, Clone)]
pub struct ImmigrationClasses {
    rows: BTreeMap<String, Vec<ImmigrationClass>>,
    hash: Bytes32,
}

impl ImmigrationClasses {
    pub(super) fn parse(text: &str) -> Result<Self, BadTable> {
        let mut rows: BTreeMap<String, Vec<ImmigrationClass>> = BTreeMap::new();
        read(TABLE, text, |row| {
            let class = ImmigrationClass {
                class: row.get("class")?,
                effective: row.get("effective")?,
                coverage: match row.text("rule")? {
                    "covered" => Coverage::Covered,
                    "after_five_years" => Coverage::AfterFiveYears,
                    "not_covered" => Coverage::NotCovered,
                    other => return Err(row.bad(format!("rule: unknown {other:?}"))),
                },
                lawfully_residing: row.flag("lawfully_residing")?,
                citation: row.get("citation")?,
            };
            rows.entry(class.class.clone()).or_default().push(class);
            Ok(())
        })?;
        for of_class in rows.values_mut() {
            of_class.sort_by_key(|row| row.effective);
        }
        let hash = table_hash(TABLE, &rows);
        Ok(Self { rows, hash })
    }

    /// The row of a class in force on a day.
    ///
    /// # Errors
    /// [`NotInTable`], also for an unknown class.
    pub fn in_force(&self, class: &str, as_of: Day) -> Result<&ImmigrationClass, NotInTable> {
        let rows = self.rows.get(class).map(Vec::as_slice).unwrap_or_default();
        in_force(rows, |row| row.effective, as_of, TABLE, || class.to_owned())
    }

    /// Whether the table has this class on some day.
    pub fn knows(&self, class: &str) -> bool {
        self.rows.contains_key(class)
    }

    /// The names of all classes.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// Name and hash of the table.
    pub fn identity(&self) -> (&'static str, Bytes32) {
        (TABLE, self.hash)
    }
}

impl ImmigrationClass {
    /// The status of somebody of this class after so many whole years in it.
    pub fn status(&self, years: Option<u8>) -> Status {
        let covered = match self.coverage {
            Coverage::Covered => Some(true),
            Coverage::NotCovered => Some(false),
            Coverage::AfterFiveYears => years.map(|years| years >= WAITING_YEARS),
        };
        Status {
            covered,
            lawfully_residing: self.lawfully_residing,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::params::tables;

    fn covered(class: &str, day: &str, years: Option<u8>) -> Option<bool> {
        let classes = &tables().immigration;
        let row = classes.in_force(class, day.parse().unwrap()).unwrap();
        row.status(years).covered
    }

    #[test]
    fn section_71109_takes_all_but_four_classes() {
        let (before, after) = ("2026-09-30", "2026-10-01");
        for class in ["REFUGEE", "ASYLEE", "DEPORTATION_WITHHELD"] {
            assert_eq!(covered(class, before, Some(0)), Some(true), "{class}");
            assert_eq!(covered(class, after, Some(9)), Some(false), "{class}");
        }
        let kept = tables()
            .immigration
            .classes()
            .filter(|class| covered(class, after, Some(5)) == Some(true));
        let kept: Vec<&str> = kept.collect();
        assert_eq!(
            kept,
            [
                "CITIZEN",
                "COFA_MIGRANT",
                "CUBAN_HAITIAN_ENTRANT",
                "LEGAL_PERMANENT_RESIDENT",
                "NATIONAL"
            ]
        );
    }

    #[test]
    fn the_waiting_period_ends_with_the_fifth_year() {
        let resident = |years| covered("LEGAL_PERMANENT_RESIDENT", "2026-11-20", years);
        assert_eq!(resident(Some(4)), Some(false));
        assert_eq!(resident(Some(5)), Some(true));
        assert_eq!(resident(None), None);
        assert!(
            tables()
                .immigration
                .in_force("MARTIAN", "2026-11-20".parse().unwrap())
                .is_err()
        );
    }
}
