//! JSON over HTTP: the records of an answer, told apart by JSON Pointers (RFC 6901), become one value.
//!
//! What a bank, a wage record office, a verification service or a register answers is described in the configuration; a new
//! one needs no code.

mod reduce;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use self::reduce::{Entry, reduce};
use super::error::SourceError;
use super::fetch::{HttpSource, Request};
use super::guard::Over;
use super::json::{Json, is_pointer};
use super::spread;
use super::steps;
use super::template::{Filling, names};
use super::value::{Cell, Conversion, convert, day};
use contracts::units::Period;

/// How an attribute is read from a service that answers in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonRead {
    /// A `[[source]]` of the same kind.
    pub source: String,
    /// Path below the source's address; `{name}` stands for a source key of the handle, `{period.start}` and `{period.end}`
    /// for the reference period.
    pub path: String,
    /// Query parameters; values as in `path`.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Fields of a JSON object sent by POST; values as in `path`. Without any the request is a GET.
    #[serde(default)]
    pub body: BTreeMap<String, String>,
    /// Pointer to the array of records; without one the answer itself is the record.
    #[serde(default)]
    pub records: Option<String>,
    /// Pointers in each record that must say what the template says: who the record is about.
    #[serde(default)]
    pub same: BTreeMap<String, String>,
    /// Pointers in each record, and the texts (as in `path`) of which each must have one for the record to count.
    #[serde(default)]
    pub only: BTreeMap<String, Vec<String>>,
    /// Pointer to what names a record, so that one that comes twice counts once.
    #[serde(default)]
    pub unique: Option<String>,
    /// The time that a record speaks of; without it every record counts.
    #[serde(default)]
    pub time: Option<RecordTime>,
    /// Pointer to the value in a record.
    #[serde(default)]
    pub pointer: String,
    /// How it becomes an integer.
    pub value: Conversion,
    /// What becomes of several records.
    #[serde(default)]
    pub reduce: Reduce,
    /// Where the next page is.
    #[serde(default)]
    pub next: Option<Next>,
    /// An answer of 404 or 410 says that there is no record; otherwise it is a failure.
    #[serde(default)]
    pub none_on_404: bool,
}

/// What becomes of the records that count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// There may be one at most.
    #[default]
    Only,
    /// Their sum; 0 if there is none.
    Sum,
    /// The greatest.
    Max,
    /// 1 if one of them is not 0, else 0.
    Any,
    /// That of the latest day, which needs a `time`.
    Latest,
}

/// The time that a record speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case", deny_unknown_fields)]
pub enum RecordTime {
    /// A day or an RFC 3339 time (its day in UTC): records outside the reference period do not count.
    Day {
        /// Pointer to it.
        pointer: String,
    },
    /// A first and a last day: the value is spread evenly over them, and the days of the reference period count.
    Span {
        /// Pointer to the first day.
        start: String,
        /// Pointer to the last day.
        end: String,
    },
    /// A calendar quarter: of the latest one on record, as many days' worth counts as the reference period has.
    Quarter {
        /// Pointer to the year.
        year: String,
        /// Pointer to the quarter, 1 to 4.
        quarter: String,
        /// Days that the quarter may have ended before the reference period does. States keep wages of the last quarter
        /// but one or two.
        max_age_days: u16,
    },
}

/// Where an answer says that there is more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case", deny_unknown_fields)]
pub enum Next {
    /// A link to the next page, on this server.
    Link {
        /// Pointer to it.
        pointer: String,
    },
    /// A value that is sent back as a query parameter.
    Parameter {
        /// Pointer to it.
        pointer: String,
        /// The parameter's name.
        parameter: String,
    },
}

impl JsonRead {
    /// What is wrong with the mapping, and what to write.
    pub(super) fn fault(&self) -> Option<(String, String)> {
        let time = match &self.time {
            None => vec![],
            Some(RecordTime::Day { pointer }) => vec![pointer],
            Some(RecordTime::Span { start, end }) => vec![start, end],
            Some(RecordTime::Quarter { year, quarter, .. }) => vec![year, quarter],
        };
        let next = match &self.next {
            None => None,
            Some(Next::Link { pointer } | Next::Parameter { pointer, .. }) => Some(pointer),
        };
        let pointers = [&self.pointer].into_iter();
        let pointers = pointers
            .chain(&self.records)
            .chain(&self.unique)
            .chain(self.same.keys())
            .chain(self.only.keys())
            .chain(time)
            .chain(next);
        for pointer in pointers {
            if !is_pointer(pointer) {
                let fix = "write a JSON Pointer such as /account/status".to_owned();
                return Some((format!("{pointer} is no JSON Pointer"), fix));
            }
        }
        let templates = [&self.path].into_iter();
        let templates = templates
            .chain(self.query.values())
            .chain(self.body.values())
            .chain(self.same.values())
            .chain(self.only.values().flatten());
        for template in templates {
            if names(template).is_none() {
                let fix = "write names as {name}, and no other braces".to_owned();
                return Some((format!("{template} is no template"), fix));
            }
        }
        let fix = |text: &str| text.to_owned();
        if self.path.is_empty() || self.path.starts_with('/') || self.path.ends_with('/') {
            return Some((
                fix("the path is empty, or begins or ends with a slash"),
                fix("write one like accounts/{account_id}"),
            ));
        }
        if self.reduce == Reduce::Latest && self.time.is_none() {
            return Some((
                fix("the latest record cannot be told"),
                fix("say by `time` where its day is"),
            ));
        }
        let spreads = matches!(
            self.time,
            Some(RecordTime::Span { .. } | RecordTime::Quarter { .. })
        );
        if spreads && self.reduce != Reduce::Sum {
            return Some((
                fix("what is spread over days can only be added up"),
                fix("write reduce = \"sum\""),
            ));
        }
        None
    }
}

/// A service that answers in JSON.
pub(super) struct JsonSource(pub(super) Arc<HttpSource>);

/// The records of every page that was fetched.
pub(super) struct Pages {
    pub(super) records: Vec<Vec<Json>>,
    /// Whether a cap ended it before the service did.
    pub(super) capped: bool,
}

impl JsonSource {
    /// An attribute's value.
    pub(super) async fn value(
        &self,
        read: &JsonRead,
        filling: &Filling<'_>,
    ) -> Result<Option<i64>, SourceError> {
        let first = self.request(read, filling)?;
        let Some(Pages { records: pages, .. }) = self.pages(read, first, Over::Refuse).await?
        else {
            return Ok(None);
        };
        let mut entries = Vec::new();
        let mut seen = BTreeMap::new();
        for record in pages.iter().flatten() {
            if let Some(entry) = self.entry(read, record, filling, &mut seen)? {
                entries.push(entry);
            }
        }
        steps::note("records", || {
            let all: usize = pages.iter().map(Vec::len).sum();
            format!("{all}, of which {} count", entries.len())
        });
        let value = reduce(&self.0.guard, read, &entries, filling.period)?;
        steps::note("value", || format!("{:?} of them: {value:?}", read.reduce));
        Ok(value)
    }

    /// What is asked first.
    pub(super) fn request(
        &self,
        read: &JsonRead,
        filling: &Filling<'_>,
    ) -> Result<Request, SourceError> {
        let path = filling.path(&read.path)?;
        let fill = |fields: &BTreeMap<String, String>| {
            let fields = fields.iter();
            fields
                .map(|(name, template)| Ok((name.clone(), filling.text(template)?)))
                .collect::<Result<BTreeMap<_, _>, SourceError>>()
        };
        let query = fill(&read.query)?;
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let body = match read.body.is_empty() {
            true => None,
            // Strings to strings: this cannot fail, and encodes every key.
            false => serde_json::to_string(&fill(&read.body)?).ok(),
        };
        Ok(Request {
            url: self.0.address(&path, &query)?,
            body,
        })
    }

    /// The records of every page; none where the service says that it has no such thing.
    pub(super) async fn pages(
        &self,
        read: &JsonRead,
        first: Request,
        over: Over,
    ) -> Result<Option<Pages>, SourceError> {
        let guard = &self.0.guard;
        let limits = &guard.limits;
        let mut request = first.clone();
        let mut asked = BTreeSet::new();
        let (mut pages, mut count) = (Vec::new(), 0usize);
        let ended = |records, capped| Ok(Some(Pages { records, capped }));
        loop {
            if over == Over::Stop && asked.len() >= limits.max_pages {
                return ended(pages, true);
            }
            guard.capped("pages", asked.len() + 1, limits.max_pages)?;
            if !asked.insert(request.url.as_str().to_owned()) {
                return Err(guard.malformed("the next page", "one not seen before"));
            }
            let answer = match read.none_on_404 && asked.len() == 1 {
                true => self.0.find(request.clone()).await?,
                false => Some(self.0.fetch(request.clone()).await?),
            };
            let Some(answer) = answer else {
                return Ok(None);
            };
            let next = self.next(read, &first.url, &answer)?;
            let mut records = self.records(read, answer)?;
            let room = limits.max_entries - count;
            if over == Over::Stop && records.len() > room {
                records.truncate(room);
                pages.push(records);
                return ended(pages, true);
            }
            count += records.len();
            guard.capped("records", count, limits.max_entries)?;
            pages.push(records);
            match next {
                Some(url) => request.url = url,
                None => return ended(pages, false),
            }
        }
    }

    fn records(&self, read: &JsonRead, answer: Json) -> Result<Vec<Json>, SourceError> {
        let Some(pointer) = &read.records else {
            return Ok(vec![answer]);
        };
        match answer.pointer(pointer) {
            Some(Json::Array(records)) => Ok(records.clone()),
            _ => Err(self.0.guard.malformed(pointer, "an array of records")),
        }
    }

    fn next(
        &self,
        read: &JsonRead,
        first: &Url,
        answer: &Json,
    ) -> Result<Option<Url>, SourceError> {
        let (pointer, parameter) = match &read.next {
            None => return Ok(None),
            Some(Next::Link { pointer }) => (pointer, None),
            Some(Next::Parameter { pointer, parameter }) => (pointer, Some(parameter)),
        };
        let told = match answer.pointer(pointer) {
            None | Some(Json::Null) => return Ok(None),
            Some(Json::Text(text) | Json::Number(text)) => text,
            Some(_) => return Err(self.0.guard.malformed(pointer, "text or null")),
        };
        let Some(parameter) = parameter else {
            let url = self.0.follow(told);
            return url
                .map(Some)
                .ok_or_else(|| self.0.guard.malformed(pointer, "a link below the address"));
        };
        let others: Vec<(String, String)> = first
            .query_pairs()
            .filter(|(name, _)| name != parameter)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let mut url = first.clone();
        url.query_pairs_mut()
            .clear()
            .extend_pairs(others)
            .append_pair(parameter, told);
        Ok(Some(url))
    }

    /// A record as it counts; none where it does not.
    fn entry<'a>(
        &self,
        read: &JsonRead,
        record: &'a Json,
        filling: &Filling<'_>,
        seen: &mut BTreeMap<String, &'a Json>,
    ) -> Result<Option<Entry>, SourceError> {
        let guard = &self.0.guard;
        for (pointer, template) in &read.same {
            let expected = filling.text(template)?;
            let said = record.pointer(pointer).and_then(plain);
            if said.as_deref() != Some(expected.as_str()) {
                return Err(guard.wrong_person(pointer.as_str()));
            }
        }
        if let Some(pointer) = &read.unique {
            let name = record.pointer(pointer).and_then(plain);
            let name = name.ok_or_else(|| guard.malformed(pointer, "what names the record"))?;
            if let Some(earlier) = seen.insert(name, record) {
                return match earlier == record {
                    true => Ok(None),
                    false => Err(guard.ambiguous(pointer)),
                };
            }
        }
        for (pointer, templates) in &read.only {
            let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
            if record.pointer(parent).is_none() {
                // A record of another shape, such as a loan among deposit accounts.
                return Ok(None);
            }
            let said = record.pointer(pointer).and_then(plain);
            let said = said.ok_or_else(|| guard.malformed(pointer, "text"))?;
            let texts = templates.iter().map(|template| filling.text(template));
            if !texts.collect::<Result<Vec<_>, _>>()?.contains(&said) {
                return Ok(None);
            }
        }
        let span = match &read.time {
            None => None,
            Some(time) => Some(self.span(time, record)?),
        };
        if matches!(read.time, Some(RecordTime::Day { .. }))
            && read.reduce != Reduce::Latest
            && !span.is_some_and(|span| {
                (filling.period.start..=filling.period.end).contains(&span.start)
            })
        {
            return Ok(None);
        }
        let cell = match read.value {
            Conversion::Exists => Some(Cell::Null),
            _ => record.pointer(&read.pointer).and_then(Cell::of_json),
        };
        let place = match read.pointer.as_str() {
            "" => "the record",
            pointer => pointer,
        };
        let cell = cell.ok_or_else(|| guard.malformed(place, "there, text or a number"))?;
        let value =
            convert(&cell, &read.value).map_err(|expected| guard.malformed(place, expected))?;
        steps::note("conversion", || {
            format!("{place} as {:?}: {value:?}", read.value)
        });
        Ok(Some(Entry { span, value }))
    }

    fn span(&self, time: &RecordTime, record: &Json) -> Result<Period, SourceError> {
        let guard = &self.0.guard;
        let at = |pointer: &str| {
            let text = record.pointer(pointer).and_then(Json::text);
            text.and_then(day)
                .ok_or_else(|| guard.malformed(pointer, "a date or an RFC 3339 time"))
        };
        let number = |pointer: &str| {
            let value = record.pointer(pointer).and_then(plain);
            value
                .and_then(|text| text.parse::<i64>().ok())
                .ok_or_else(|| guard.malformed(pointer, "a whole number"))
        };
        match time {
            RecordTime::Day { pointer } => at(pointer).map(|day| Period {
                start: day,
                end: day,
            }),
            RecordTime::Span { start, end } => {
                let span = Period {
                    start: at(start)?,
                    end: at(end)?,
                };
                match spread::days(span) {
                    Some(_) => Ok(span),
                    None => Err(guard.malformed(end, "on or up to a year after the first day")),
                }
            }
            RecordTime::Quarter { year, quarter, .. } => {
                spread::quarter(number(year)?, number(quarter)?)
                    .ok_or_else(|| guard.malformed(quarter, "a quarter, 1 to 4"))
            }
        }
    }
}

/// Text, a number as it is written, or a truth value.
pub(super) fn plain(json: &Json) -> Option<String> {
    match json {
        Json::Text(text) | Json::Number(text) => Some(text.clone()),
        Json::Bool(it) => Some(it.to_string()),
        _ => None,
    }
}
