//! Rows that a database says were touched.

use serde::{Deserialize, Serialize};

use super::super::error::SourceError;
use super::super::sql::{Record, SqlSource};
use super::super::value::Cell;
use super::{Look, Touched};

/// A query for what was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlFeed {
    /// A SELECT of the columns `key` and `marker`, of rows whose marker is at or after `$1` (MySQL and MariaDB: `?`), a text,
    /// ordered by the marker.
    pub query: String,
}

pub(super) async fn look(
    source: &SqlSource,
    read: &SqlFeed,
    since: &str,
) -> Result<Look, SourceError> {
    let most = source.guard.limits.max_entries;
    let mut rows = source.rows(&read.query, since, most + 1).await?;
    let capped = rows.len() > most;
    rows.truncate(most);
    let touched = rows.iter().map(|row| {
        Ok(Touched {
            key: column(source, row, "key")?,
            marker: column(source, row, "marker")?,
        })
    });
    Ok(Look {
        touched: touched.collect::<Result<_, SourceError>>()?,
        capped,
    })
}

fn column(source: &SqlSource, row: &Record, name: &str) -> Result<String, SourceError> {
    match row.cell(name) {
        Some(Cell::Text(text)) => Ok(text.clone()),
        Some(Cell::Integer(number)) => Ok(number.to_string()),
        _ => Err(source
            .guard
            .malformed(&format!("column {name}"), "text or a whole number")),
    }
}
