//! Single values by name: national amounts and the options of state plans, each dated and cited.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{BadTable, NotInTable, Row, in_force, read, table_hash};
use crate::encoding::Bytes32;
use crate::ids::Jurisdiction;
use crate::units::{Cents, Day};

const TABLE: &str = "parameters";

/// A typed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parameter {
    /// Taken up or not.
    Flag(bool),
    /// An amount.
    Money(Cents),
    /// Tenths of a percent.
    Percent(u32),
    /// A number of people, years or hours.
    Count(u32),
}

/// One row: a value from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParameterRow {
    /// The state, none for the nation.
    pub state: Option<Jurisdiction>,
    /// Name.
    pub name: String,
    /// First day in force.
    pub effective: Day,
    /// The value.
    pub value: Parameter,
    /// The law.
    pub citation: String,
    /// Publication.
    pub source: String,
    /// What a reader should know about it.
    pub note: String,
}

/// All parameters.
#[derive(Debug, Clone)]
pub struct Parameters {
    rows: BTreeMap<String, BTreeMap<Option<Jurisdiction>, Vec<ParameterRow>>>,
    hashes: BTreeMap<String, Bytes32>,
}

fn value(row: &Row<'_>) -> Result<Parameter, BadTable> {
    Ok(match row.text("type")? {
        "flag" => Parameter::Flag(row.flag("value")?),
        "count" => Parameter::Count(row.get("value")?),
        "percent" => {
            let tenths = row.tenths("value")?;
            Parameter::Percent(tenths.ok_or_else(|| row.bad("value: missing"))?)
        }
        "money" => {
            let text = row.text("value")?;
            let cents = match text.split_once('.') {
                Some((_, cents)) if cents.len() == 2 => text.replacen('.', "", 1).parse().ok(),
                _ => None,
            };
            Parameter::Money(Cents(
                cents.ok_or_else(|| row.bad("value: write dollars.cents"))?,
            ))
        }
        other => {
            return Err(row.bad(format!(
                "type: {other:?} is not flag, count, percent or money"
            )));
        }
    })
}

impl Parameters {
    pub(super) fn parse(text: &str) -> Result<Self, BadTable> {
        let mut rows: BTreeMap<String, BTreeMap<_, Vec<ParameterRow>>> = BTreeMap::new();
        read(TABLE, text, |row| {
            let state = match row.text("state")? {
                "US" => None,
                _ => Some(row.get("state")?),
            };
            let name: String = row.get("name")?;
            let parameter = ParameterRow {
                state,
                name: name.clone(),
                effective: row.get("effective")?,
                value: value(row)?,
                citation: row.get("citation")?,
                source: row.get("source")?,
                note: row.get("note")?,
            };
            rows.entry(name)
                .or_default()
                .entry(state)
                .or_default()
                .push(parameter);
            Ok(())
        })?;
        let mut hashes = BTreeMap::new();
        for (name, states) in &mut rows {
            for of_state in states.values_mut() {
                of_state.sort_by_key(|row| row.effective);
            }
            let of_name: Vec<&ParameterRow> = states.values().flatten().collect();
            let types: BTreeSet<_> = of_name
                .iter()
                .map(|row| std::mem::discriminant(&row.value))
                .map(|kind| format!("{kind:?}"))
                .collect();
            if types.len() > 1 {
                return Err(BadTable {
                    table: TABLE,
                    line: 0,
                    what: format!("{name} has values of several types"),
                });
            }
            hashes.insert(
                name.clone(),
                table_hash(&format!("{TABLE}/{name}"), &of_name),
            );
        }
        Ok(Self { rows, hashes })
    }

    /// The row in force for a name, the state's own before the nation's.
    ///
    /// # Errors
    /// [`NotInTable`].
    pub fn in_force(
        &self,
        name: &str,
        state: Jurisdiction,
        as_of: Day,
    ) -> Result<&ParameterRow, NotInTable> {
        let of_name = self.rows.get(name);
        let own = of_name.and_then(|states| states.get(&Some(state)).or_else(|| states.get(&None)));
        let rows = own.map(Vec::as_slice).unwrap_or_default();
        in_force(
            rows,
            |row| row.effective,
            as_of,
            TABLE,
            || format!("{state} {name}"),
        )
    }

    /// Whether a state's option is taken up.
    ///
    /// # Errors
    /// [`NotInTable`], also for a name that is not a flag.
    pub fn flag(&self, name: &str, state: Jurisdiction, as_of: Day) -> Result<bool, NotInTable> {
        match self.in_force(name, state, as_of)?.value {
            Parameter::Flag(flag) => Ok(flag),
            _ => Err(self.not_a(name, "flag", as_of)),
        }
    }

    /// An amount.
    ///
    /// # Errors
    /// [`NotInTable`], also for a name that is not money.
    pub fn money(&self, name: &str, state: Jurisdiction, as_of: Day) -> Result<Cents, NotInTable> {
        match self.in_force(name, state, as_of)?.value {
            Parameter::Money(cents) => Ok(cents),
            _ => Err(self.not_a(name, "amount", as_of)),
        }
    }

    /// A count.
    ///
    /// # Errors
    /// [`NotInTable`], also for a name that is not a count.
    pub fn count(&self, name: &str, state: Jurisdiction, as_of: Day) -> Result<u32, NotInTable> {
        match self.in_force(name, state, as_of)?.value {
            Parameter::Count(count) => Ok(count),
            _ => Err(self.not_a(name, "count", as_of)),
        }
    }

    fn not_a(&self, name: &str, what: &str, as_of: Day) -> NotInTable {
        NotInTable {
            table: TABLE,
            key: name.to_owned(),
            as_of,
            first: format!("it is no {what}"),
        }
    }

    /// Hash of all rows of a name, every state and day; none for a name that no row has.
    pub fn name_hash(&self, name: &str) -> Option<Bytes32> {
        self.hashes.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::tables;

    #[test]
    fn a_states_row_goes_before_the_nations_and_types_are_kept() {
        let parameters = &tables().parameters;
        let (state, day) = ("CA".parse().unwrap(), "2026-02-01".parse().unwrap());
        assert_eq!(
            parameters.money("abd_assets_individual", state, day),
            Ok(Cents(13_000_000))
        );
        assert_eq!(
            parameters.money("ssi_benefit_couple", state, day),
            Ok(Cents(149_100))
        );
        assert!(parameters.flag("ssi_benefit_couple", state, day).is_err());
        assert!(parameters.flag("no_such_option", state, day).is_err());
        assert!(
            parameters
                .flag("abd_asset_test", state, "2025-12-31".parse().unwrap())
                .is_err()
        );
        for state in Jurisdiction::all() {
            let from = if state.code() == "NE" {
                "2026-05-01"
            } else {
                "2027-01-01"
            };
            let from: Day = from.parse().unwrap();
            if state.code() != "IA" {
                let engaged = |day| parameters.flag("community_engagement", state, day).unwrap();
                assert!(!engaged(from.plus(-1).unwrap()) && engaged(from), "{state}");
            }
        }
    }

    #[test]
    fn a_name_has_one_type() {
        let head = "state,name,effective,type,value,citation,source,note\n";
        let mixed = format!("{head}US,a,2026-01-01,flag,1,c,s,\nCA,a,2026-01-01,count,3,c,s,\n");
        assert!(Parameters::parse(&mixed).is_err());
    }
}
