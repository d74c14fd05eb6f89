//! Entries that a desk says were made.

use serde::{Deserialize, Serialize};

use super::super::desk::DeskSource;
use super::super::error::SourceError;
use super::super::fetch::Request;
use super::{Look, Touched};
use crate::desk::{MAX_TOUCHED, TouchedAnswer, TouchedQuestion};

/// A question for whose records were entered into. Who signed an entry, and whether it counts, is looked at when the fact is
/// read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskFeed {}

/// Entries are numbered from 1, so a marker that is no number stands for all of them.
pub(super) async fn look(source: &DeskSource, key: &str, since: &str) -> Result<Look, SourceError> {
    let http = &source.http;
    let question = TouchedQuestion {
        key_name: key.to_owned(),
        since: since.parse().unwrap_or(0),
    };
    let request = Request {
        url: http.address(&["v1", "touched"], &[])?,
        // A text and a number: this cannot fail.
        body: serde_json::to_string(&question).ok(),
    };
    let answer: TouchedAnswer = http
        .fetch(request)
        .await?
        .read()
        .map_err(|misfit| http.guard.malformed(&misfit.place(), misfit.expected()))?;
    http.guard
        .capped("entries", answer.touched.len(), MAX_TOUCHED)?;
    let touched = answer.touched.into_iter().map(|record| Touched {
        key: record.key_value,
        marker: record.number.to_string(),
    });
    Ok(Look {
        touched: touched.collect(),
        capped: answer.more,
    })
}
