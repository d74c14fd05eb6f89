//! Records that a JSON service says were touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::units::{Period, UnixTime};
use serde::{Deserialize, Serialize};

use super::super::error::SourceError;
use super::super::fetch::HttpSource;
use super::super::guard::Over;
use super::super::json::is_pointer;
use super::super::rest::{JsonRead, JsonSource, Next, Reduce, plain};
use super::super::template::{Filling, names};
use super::super::value::Conversion;
use super::{Look, Touched};

/// A request for what was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonFeed {
    /// Path below the source's address.
    pub path: String,
    /// Query parameters; `{since}` in a value stands for the marker.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Pointer to the array of records, ordered by the marker.
    pub records: String,
    /// Pointer in a record to who it is about.
    pub key: String,
    /// Pointer in a record to when it was touched.
    pub marker: String,
    /// Where the next page is.
    #[serde(default)]
    pub next: Option<Next>,
}

impl JsonFeed {
    pub(super) fn fault(&self) -> Option<(String, String)> {
        let fault = |problem: String, fix: &str| Some((problem, fix.to_owned()));
        for pointer in [&self.key, &self.marker] {
            if !is_pointer(pointer) {
                return fault(
                    format!("{pointer} is no JSON Pointer"),
                    "write one like /id",
                );
            }
        }
        let mut templates = self.query.values().chain([&self.path]);
        let strange = templates.find(|template| {
            names(template).is_none_or(|names| names.iter().any(|name| *name != "since"))
        });
        if let Some(template) = strange {
            return fault(
                format!("{template} is no template of a feed"),
                "write {since}, and no other braces",
            );
        }
        self.reading("").fault()
    }

    /// The same request as a mapping has it, so that pages are fetched in one way.
    fn reading(&self, source: &str) -> JsonRead {
        JsonRead {
            source: source.to_owned(),
            path: self.path.clone(),
            query: self.query.clone(),
            body: BTreeMap::new(),
            records: Some(self.records.clone()),
            same: BTreeMap::new(),
            only: BTreeMap::new(),
            unique: None,
            time: None,
            pointer: String::new(),
            value: Conversion::Exists,
            reduce: Reduce::Any,
            next: self.next.clone(),
            none_on_404: false,
        }
    }
}

pub(super) async fn look(
    http: &Arc<HttpSource>,
    name: &str,
    read: &JsonFeed,
    since: &str,
) -> Result<Look, SourceError> {
    let source = JsonSource(Arc::clone(http));
    let keys = BTreeMap::from([("since".to_owned(), since.to_owned())]);
    let epoch = UnixTime(0).day().map_err(|_| source.0.guard.timed_out())?;
    let filling = Filling {
        source_name: name,
        keys: &keys,
        // A feed's templates do not name it.
        period: Period {
            start: epoch,
            end: epoch,
        },
    };
    let reading = read.reading(name);
    let first = source.request(&reading, &filling)?;
    let pages = source.pages(&reading, first, Over::Stop).await?;
    let mut look = Look {
        touched: Vec::new(),
        capped: pages.as_ref().is_some_and(|pages| pages.capped),
    };
    for record in pages
        .iter()
        .flat_map(|pages| pages.records.iter().flatten())
    {
        let at = |pointer: &str| {
            let value = record.pointer(pointer).and_then(plain);
            value.ok_or_else(|| source.0.guard.malformed(pointer, "text or a number"))
        };
        look.touched.push(Touched {
            key: at(&read.key)?,
            marker: at(&read.marker)?,
        });
    }
    Ok(look)
}
