//! Parameters of the rules as dated tables, each row with its source. A row is in force until the next begins.

mod csv;
mod immigration;
mod limits;
mod parameters;
mod poverty;

use std::str::FromStr;
use std::sync::LazyLock;

use serde::Serialize;

pub use immigration::{Coverage, ImmigrationClass, ImmigrationClasses, Status, WAITING_YEARS};
pub use limits::{Basis, DollarStandard, Limit, Limits};
pub use parameters::{Parameter, ParameterRow, Parameters};
pub use poverty::{Guideline, PovertyGuidelines};

use crate::encoding::{Bytes32, tagged_hash, to_jcs};
use crate::units::Day;

/// A lookup that finds no row in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table {table} has no value for {key} on {as_of}: {first}")]
pub struct NotInTable {
    /// Table name.
    pub table: &'static str,
    /// What was looked up.
    pub key: String,
    /// Day asked for.
    pub as_of: Day,
    /// When the first row begins, or that there is none.
    pub first: String,
}

/// A table file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table {table}, line {line}: {what}")]
pub struct BadTable {
    /// Table name.
    pub table: &'static str,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// All tables of this release.
#[derive(Debug, Clone)]
pub struct Tables {
    /// HHS poverty guidelines.
    pub poverty: PovertyGuidelines,
    /// Income limits by state and group.
    pub limits: Limits,
    /// National amounts and state options.
    pub parameters: Parameters,
    /// Immigration classes.
    pub immigration: ImmigrationClasses,
}

/// The tables of this release, `contracts/params/`.
pub fn tables() -> &'static Tables {
    static TABLES: LazyLock<Tables> =
        LazyLock::new(|| Tables::embedded().expect("a test reads the embedded tables"));
    &TABLES
}

impl Tables {
    /// The hash of a table by name: `poverty_guidelines`, `immigration_classes`, `limits/GROUP` or `parameters/NAME`.
    pub fn hash(&self, name: &str) -> Option<Bytes32> {
        match name.split_once('/') {
            Some(("limits", group)) => self.limits.group_hash(group),
            Some(("parameters", parameter)) => self.parameters.name_hash(parameter),
            _ => [self.poverty.identity(), self.immigration.identity()]
                .into_iter()
                .find(|(table, _)| *table == name)
                .map(|(_, hash)| hash),
        }
    }

    fn embedded() -> Result<Self, BadTable> {
        Ok(Self {
            poverty: PovertyGuidelines::parse(include_str!("../../params/poverty_guidelines.csv"))?,
            limits: Limits::parse(
                include_str!("../../params/limits.csv"),
                include_str!("../../params/standards_dollars.csv"),
            )?,
            parameters: Parameters::parse(include_str!("../../params/parameters.csv"))?,
            immigration: ImmigrationClasses::parse(include_str!(
                "../../params/immigration_classes.csv"
            ))?,
        })
    }
}

/// Tagged SHA-256 of a table's rows in RFC 8785 form, sources included.
fn table_hash(name: &str, rows: &impl Serialize) -> Bytes32 {
    let rows = to_jcs(rows).expect("rows of strings and integers are JSON");
    tagged_hash("shp/v1/table", &[name.as_bytes(), &rows]).into()
}

/// The last of `rows`, ordered by their first day, that has begun on `as_of`.
fn in_force<'a, T>(
    rows: &'a [T],
    begins: impl Fn(&T) -> Day,
    as_of: Day,
    table: &'static str,
    key: impl Fn() -> String,
) -> Result<&'a T, NotInTable> {
    rows.iter()
        .rev()
        .find(|row| begins(row) <= as_of)
        .ok_or_else(|| NotInTable {
            table,
            key: key(),
            as_of,
            first: rows.first().map_or("there is none".to_owned(), |row| {
                format!("the first begins on {}", begins(row))
            }),
        })
}

/// One data row with typed access to its fields by column name.
struct Row<'a> {
    table: &'static str,
    line: usize,
    header: &'a [String],
    fields: &'a [String],
}

impl Row<'_> {
    fn bad(&self, what: impl Into<String>) -> BadTable {
        BadTable {
            table: self.table,
            line: self.line,
            what: what.into(),
        }
    }

    fn text(&self, column: &str) -> Result<&str, BadTable> {
        let index = self.header.iter().position(|name| name == column);
        index
            .and_then(|index| self.fields.get(index))
            .map(String::as_str)
            .ok_or_else(|| self.bad(format!("no column {column}")))
    }

    fn get<T: FromStr>(&self, column: &str) -> Result<T, BadTable> {
        let text = self.text(column)?;
        text.parse()
            .map_err(|_| self.bad(format!("{column}: cannot read {text:?}")))
    }

    /// A percentage such as `26.4` in tenths; none where empty.
    fn tenths(&self, column: &str) -> Result<Option<u32>, BadTable> {
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(None);
        }
        let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
        let digit = |text: &str| text.parse::<u32>().ok();
        match (digit(whole), digit(tenth)) {
            (Some(whole), Some(tenth)) if tenth < 10 && whole < 1000 => {
                Ok(Some(whole * 10 + tenth))
            }
            _ => Err(self.bad(format!("{column}: {text:?} is not a percentage in tenths"))),
        }
    }

    fn flag(&self, column: &str) -> Result<bool, BadTable> {
        match self.text(column)? {
            "1" => Ok(true),
            "0" | "" => Ok(false),
            other => Err(self.bad(format!("{column}: {other:?} is not 0 or 1"))),
        }
    }
}

/// Reads a table row by row.
fn read<T>(
    table: &'static str,
    text: &str,
    mut row: impl FnMut(&Row<'_>) -> Result<T, BadTable>,
) -> Result<Vec<T>, BadTable> {
    let rows = csv::rows(text).map_err(|line| BadTable {
        table,
        line,
        what: "an open quote, a missing line end or another number of fields".to_owned(),
    })?;
    let mut rows = rows.iter().enumerate();
    let Some((_, header)) = rows.next() else {
        return Ok(Vec::new());
    };
    rows.map(|(index, fields)| {
        row(&Row {
            table,
            line: index + 1,
            header,
            fields,
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_tables_are_sound() {
        Tables::embedded().unwrap();
    }
}
