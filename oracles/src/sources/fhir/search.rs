//! A FHIR search and its pages (<https://hl7.org/fhir/R4/search.html>, <https://hl7.org/fhir/R4/http.html#paging>).

use std::collections::BTreeSet;

use serde::Deserialize;

use super::super::error::SourceError;
use super::super::fetch::HttpSource;
use super::super::guard::Over;
use super::super::json::Json;
use super::super::steps;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    resource_type: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    link: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    relation: String,
    url: String,
}

/// The matches of a search.
pub(in crate::sources) struct Found {
    pub(in crate::sources) matches: Vec<Json>,
    /// Whether a cap ended it before the server did.
    pub(in crate::sources) capped: bool,
}

/// The matches of a search, following `next` links on the same server within the caps.
pub(in crate::sources) async fn search(
    http: &HttpSource,
    kind: &str,
    query: &[(&str, &str)],
    over: Over,
) -> Result<Found, SourceError> {
    let guard = &http.guard;
    let limits = &guard.limits;
    let mut url = http.address(&[kind], query)?;
    let mut seen = BTreeSet::new();
    let (mut matches, mut entries) = (Vec::new(), 0usize);
    let mut capped = false;
    loop {
        if over == Over::Stop && seen.len() >= limits.max_pages {
            capped = true;
            break;
        }
        guard.capped("pages of a search", seen.len() + 1, limits.max_pages)?;
        if !seen.insert(url.as_str().to_owned()) {
            return Err(guard.malformed("Bundle.link next", "a page not seen before"));
        }
        let bundle = http.fetch(url.clone()).await?;
        let head: Head = bundle
            .read()
            .map_err(|misfit| guard.malformed(&misfit.place(), misfit.expected()))?;
        if head.resource_type != "Bundle" || head.kind.as_deref() != Some("searchset") {
            return Err(guard.malformed("the answer", "a Bundle of type searchset"));
        }
        let mut page = match bundle.get("entry") {
            None => &[],
            Some(entry) => entry
                .items()
                .ok_or_else(|| guard.malformed("Bundle.entry", "a list"))?,
        };
        let room = limits.max_entries - entries;
        if over == Over::Stop && page.len() > room {
            page = page.get(..room).unwrap_or_default();
            capped = true;
        }
        entries += page.len();
        guard.capped("entries of a search", entries, limits.max_entries)?;
        for entry in page {
            matches.extend(matched(http, entry, kind)?.cloned());
        }
        if capped {
            break;
        }
        let mut next = head.link.iter().filter(|link| link.relation == "next");
        match (next.next(), next.next()) {
            (None, _) => break,
            (Some(link), None) => {
                url = http.follow(&link.url).ok_or_else(|| {
                    guard.malformed("Bundle.link next", "an address below the base")
                })?;
            }
            _ => return Err(guard.malformed("Bundle.link next", "one link")),
        }
    }
    steps::note("records", || {
        format!("{} {kind} on {} pages", matches.len(), seen.len())
    });
    Ok(Found { matches, capped })
}

/// The resource of an entry, where it is a match.
///
/// What comes beside the matches (`_include`, remarks) is passed over; an error inside the bundle must not be taken for "no
/// match", nor a resource of another type that is called a match.
fn matched<'a>(
    http: &HttpSource,
    entry: &'a Json,
    wanted: &str,
) -> Result<Option<&'a Json>, SourceError> {
    let guard = &http.guard;
    let resource = entry
        .get("resource")
        .ok_or_else(|| guard.malformed("Bundle.entry.resource", "there"))?;
    let mode = entry.pointer("/search/mode").and_then(Json::text);
    let kind = resource.get("resourceType").and_then(Json::text);
    match (kind, mode) {
        (Some(kind), None | Some("match")) if kind == wanted => Ok(Some(resource)),
        (Some("OperationOutcome"), _) => {
            let issues = resource.get("issue").and_then(Json::items);
            let severe = |issue: &Json| {
                let severity = issue.get("severity").and_then(Json::text);
                !matches!(severity, Some("warning" | "information"))
            };
            if issues.is_none_or(|issues| issues.iter().any(severe)) {
                return Err(SourceError::Unavailable {
                    source_name: guard.name.clone(),
                    what: "the search ended in an OperationOutcome".to_owned(),
                });
            }
            Ok(None)
        }
        (Some(_), Some("include" | "outcome")) => Ok(None),
        _ => Err(guard.malformed("Bundle.entry.resource", &format!("a {wanted}"))),
    }
}

/// `system|code` with the characters that search parameters reserve escaped (R4 search, "Escaping Search Parameters").
pub(super) fn token(system: &str, code: &str) -> String {
    let escape = |text: &str| {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            if matches!(character, '\\' | '|' | ',' | '$') {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        escaped
    };
    format!("{}|{}", escape(system), escape(code))
}
