//! HHS poverty guidelines: in force from their publication until the next (42 U.S.C. 9902(2)).

use std::fmt;

use serde::Serialize;

use super::{BadTable, NotInTable, in_force, read, table_hash};
use crate::encoding::Bytes32;
use crate::ids::Jurisdiction;
use crate::units::Day;

const TABLE: &str = "poverty_guidelines";

/// The guideline areas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// The 48 contiguous states and DC.
    Contiguous,
    /// Alaska.
    Alaska,
    /// Hawaii.
    Hawaii,
}

impl From<Jurisdiction> for Area {
    fn from(jurisdiction: Jurisdiction) -> Self {
        match jurisdiction.code() {
            "AK" => Self::Alaska,
            "HI" => Self::Hawaii,
            _ => Self::Contiguous,
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contiguous => "the contiguous states",
            Self::Alaska => "Alaska",
            Self::Hawaii => "Hawaii",
        })
    }
}

/// One year's guideline for one area, in whole US dollars a year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Guideline {
    /// Where it holds.
    pub area: Area,
    /// First day in force.
    pub effective: Day,
    /// Poverty level of one person.
    pub first: u32,
    /// Added for each further person.
    pub additional: u32,
    /// Federal Register citation.
    pub citation: String,
    /// Publication.
    pub source: String,
}

impl Guideline {
    /// The poverty level of a household, in dollars a year.
    pub fn level(&self, size: u32) -> u64 {
        u64::from(self.first) + u64::from(self.additional) * u64::from(size.saturating_sub(1))
    }
}

/// The guidelines of all years.
#[derive(Debug, Clone)]
pub struct PovertyGuidelines {
    rows: Vec<Guideline>,
    hash: Bytes32,
}

impl PovertyGuidelines {
    pub(super) fn parse(text: &str) -> Result<Self, BadTable> {
        let mut rows = read(TABLE, text, |row| {
            let area = match row.text("area")? {
                "contiguous" => Area::Contiguous,
                "AK" => Area::Alaska,
                "HI" => Area::Hawaii,
                other => {
                    return Err(row.bad(format!("area: {other:?} is not contiguous, AK or HI")));
                }
            };
            Ok(Guideline {
                area,
                effective: row.get("effective")?,
                first: row.get("first_person_usd")?,
                additional: row.get("additional_person_usd")?,
                citation: row.get("citation")?,
                source: row.get("source")?,
            })
        })?;
        rows.sort_by_key(|row| (row.area, row.effective));
        let hash = table_hash(TABLE, &rows);
        Ok(Self { rows, hash })
    }

    /// The guideline in force in a jurisdiction on a day.
    ///
    /// # Errors
    /// [`NotInTable`] before the first.
    pub fn in_force(
        &self,
        jurisdiction: Jurisdiction,
        as_of: Day,
    ) -> Result<&Guideline, NotInTable> {
        let area = Area::from(jurisdiction);
        let start = self.rows.partition_point(|row| row.area < area);
        let end = self.rows.partition_point(|row| row.area <= area);
        let rows = self.rows.get(start..end).unwrap_or_default();
        in_force(rows, |row| row.effective, as_of, TABLE, || area.to_string())
    }

    /// Name and hash of the table.
    pub fn identity(&self) -> (&'static str, Bytes32) {
        (TABLE, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use crate::params::tables;

    #[test]
    fn a_guideline_holds_from_its_publication_until_the_next() {
        let level = |state: &str, day: &str, size| {
            let guideline = tables()
                .poverty
                .in_force(state.parse().unwrap(), day.parse().unwrap());
            guideline.map(|guideline| guideline.level(size))
        };
        assert_eq!(level("CA", "2026-01-12", 3), Ok(15_650 + 2 * 5_500));
        assert_eq!(level("CA", "2026-01-13", 3), Ok(15_960 + 2 * 5_680));
        assert_eq!(level("AK", "2024-01-17", 1), Ok(18_810));
        assert_eq!(level("HI", "2024-01-16", 8), Ok(16_770 + 7 * 5_910));
        let error = level("DC", "2023-01-11", 1).unwrap_err().to_string();
        assert!(error.contains("first begins on 2023-01-12"), "{error}");
    }
}
