//! Search parameters: parsing and matching.

use actix_web::http::StatusCode;
use contracts::units::{Day, UnixTime};
use serde_json::Value;

use super::super::times::parsed;
use super::reply::Outcome;
use super::resources::{Definition, Kind, ParamType};

/// Resources on a page unless the client asks otherwise.
const DEFAULT_COUNT: usize = 20;
/// Most resources on a page.
const MAX_COUNT: usize = 100;
/// Most parameters of one search.
const MAX_PARAMETERS: usize = 32;

/// What happens to a parameter that the server does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handling {
    /// It is ignored, and is missing from the self link.
    Lenient,
    /// The search is refused.
    Strict,
}

/// A parsed search.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) kind: Kind,
    /// All must hold.
    pub(super) filters: Vec<Filter>,
    /// Resources on a page; 0 asks for the total alone.
    pub(super) count: usize,
    /// Resources on earlier pages.
    pub(super) offset: usize,
    pub(super) format: Option<String>,
    /// Whether matches come in the order in which they were last updated.
    pub(super) by_update: bool,
    /// Parameters that were used, as given, for the links.
    pub(super) used: Vec<(String, String)>,
}

/// One parameter; any of its values may match.
#[derive(Debug)]
pub(super) struct Filter {
    definition: &'static Definition,
    negate: bool,
    tests: Vec<Test>,
}

#[derive(Debug)]
enum Test {
    Id(String),
    Token {
        system: Option<String>,
        code: Option<String>,
    },
    Text {
        mode: TextMode,
        value: String,
    },
    Date {
        prefix: Prefix,
        from: Day,
        to: Day,
    },
    Instant {
        prefix: Prefix,
        /// The first second meant.
        from: UnixTime,
        /// The last.
        to: UnixTime,
    },
    /// A Patient's id.
    Reference(String),
    /// Patients with this identifier (a chained parameter).
    PatientWith(Box<Test>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextMode {
    StartsWith,
    Contains,
    Exact,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
}

impl Prefix {
    /// How a value stands to what a parameter names, from its first to its last (§3.1.1.4.7).
    fn holds<T: Ord>(self, value: &T, from: &T, to: &T) -> bool {
        match self {
            Self::Eq => (from..=to).contains(&value),
            Self::Ne => !(from..=to).contains(&value),
            Self::Gt => value > to,
            Self::Lt => value < from,
            Self::Ge => value >= from,
            Self::Le => value <= to,
        }
    }
}

impl Search {
    pub(super) fn parse(kind: Kind, query: &str, handling: Handling) -> Result<Self, Outcome> {
        let mut search = Self {
            kind,
            filters: Vec::new(),
            count: DEFAULT_COUNT,
            offset: 0,
            format: None,
            by_update: false,
            used: Vec::new(),
        };
        for (number, (name, value)) in url::form_urlencoded::parse(query.as_bytes()).enumerate() {
            if number >= MAX_PARAMETERS {
                return Err(invalid("too many parameters"));
            }
            // "Where the value is empty, the parameter is ignored" (FHIR R4 search §3.1.1.4).
            if value.is_empty() {
                continue;
            }
            let known = search.parameter(&name, &value)?;
            if known {
                if !matches!(name.as_ref(), "_count" | "_offset") {
                    search.used.push((name.into_owned(), value.into_owned()));
                }
            } else if handling == Handling::Strict {
                return Err(invalid(&format!("unknown parameter {name:?}")));
            }
        }
        Ok(search)
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<bool, Outcome> {
        match name {
            "_count" => self.count = number(name, value)?.min(MAX_COUNT),
            "_offset" => self.offset = number(name, value)?,
            "_format" => self.format = Some(value.to_owned()),
            "_sort" if value == "_lastUpdated" => self.by_update = true,
            "_summary" if value == "count" => self.count = 0,
            _ => match Filter::parse(self.kind, name, value)? {
                Some(filter) => self.filters.push(filter),
                None => return Ok(false),
            },
        }
        Ok(true)
    }
}

impl Filter {
    /// None where the server knows no such parameter.
    fn parse(kind: Kind, name: &str, value: &str) -> Result<Option<Self>, Outcome> {
        let (path, modifier) = match name.split_once(':') {
            Some((path, modifier)) => (path, Some(modifier)),
            None => (name, None),
        };
        let (base, chain) = match path.split_once('.') {
            Some((base, chain)) => (base, Some(chain)),
            None => (path, None),
        };
        let Some(definition) = kind.definition(base) else {
            return Ok(None);
        };
        let (modifier, chain) = match (modifier, chain) {
            // subject:Patient.identifier=…
            (Some(modifier), None) => match modifier.split_once('.') {
                Some((modifier, chain)) => (Some(modifier), Some(chain)),
                None => (Some(modifier), None),
            },
            other => other,
        };
        let mut filter = Self {
            definition,
            negate: false,
            tests: Vec::new(),
        };
        let mut mode = TextMode::StartsWith;
        match (definition.kind, modifier) {
            (_, None) | (ParamType::Reference, Some("Patient")) => {}
            (ParamType::Token, Some("not")) => filter.negate = true,
            (ParamType::Text, Some("exact")) => mode = TextMode::Exact,
            (ParamType::Text, Some("contains")) => mode = TextMode::Contains,
            // A modifier that is not understood must not be ignored: it would change the meaning (§3.1.1.4.4).
            (_, Some(modifier)) => {
                return Err(invalid(&format!(
                    "modifier :{modifier} is not supported on {base}"
                )));
            }
        }
        if chain.is_some_and(|chain| chain != "identifier")
            || (chain.is_some() && definition.kind != ParamType::Reference)
        {
            return Err(invalid("the only chain served is patient.identifier"));
        }
        for value in split(value, ',') {
            let test = match (definition.kind, chain) {
                (_, Some(_)) => Test::PatientWith(Box::new(token(&value)?)),
                (ParamType::Id, _) => Test::Id(unescape(&value)),
                (ParamType::Token, _) => token(&value)?,
                (ParamType::Text, _) => Test::Text {
                    mode,
                    value: unescape(&value),
                },
                (ParamType::Date, _) => date(&value)?,
                (ParamType::Instant, _) => instant(&value)?,
                (ParamType::Reference, _) => Test::Reference(unescape(&value)),
            };
            filter.tests.push(test);
        }
        Ok(Some(filter))
    }

    /// Whether `resource` passes; `patients` are those that a chain may lead to.
    pub(super) fn matches(&self, resource: &Value, base: &str, patients: &[Value]) -> bool {
        let elements = self.definition.elements(resource);
        let any = self.tests.iter().any(|test| {
            elements
                .iter()
                .any(|element| test.matches(element, base, patients))
        });
        any != self.negate
    }
}

impl Test {
    fn matches(&self, element: &Value, base: &str, patients: &[Value]) -> bool {
        match self {
            Self::Id(id) => element.as_str() == Some(id),
            Self::Token { system, code } => {
                token_matches(element, system.as_deref(), code.as_deref())
            }
            Self::Text { mode, value } => element.as_str().is_some_and(|text| {
                let (folded, wanted) = (text.to_lowercase(), value.to_lowercase());
                match mode {
                    TextMode::Exact => text == value,
                    TextMode::StartsWith => folded.starts_with(&wanted),
                    TextMode::Contains => folded.contains(&wanted),
                }
            }),
            Self::Date { prefix, from, to } => element
                .as_str()
                .and_then(|text| text.get(..10))
                .and_then(|text| text.parse::<Day>().ok())
                .is_some_and(|day| prefix.holds(&day, from, to)),
            Self::Instant { prefix, from, to } => element
                .as_str()
                .and_then(parsed)
                .is_some_and(|time| prefix.holds(&time, from, to)),
            Self::Reference(wanted) => {
                referenced(element).is_some_and(|id| same_patient(wanted, id, base))
            }
            Self::PatientWith(test) => referenced(element).is_some_and(|id| {
                patients.iter().any(|patient| {
                    patient.get("id").and_then(Value::as_str) == Some(id)
                        && Kind::Patient
                            .definition("identifier")
                            .is_some_and(|definition| {
                                definition
                                    .elements(patient)
                                    .iter()
                                    .any(|element| test.matches(element, base, patients))
                            })
                })
            }),
        }
    }
}

/// The id in a relative reference to a Patient.
fn referenced(element: &Value) -> Option<&str> {
    element.get("reference")?.as_str()?.strip_prefix("Patient/")
}

/// `[id]`, `Patient/[id]` or the URL of a Patient on this server (§3.1.1.4.11).
fn same_patient(wanted: &str, id: &str, base: &str) -> bool {
    let relative = wanted
        .strip_prefix(base)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(wanted);
    relative.strip_prefix("Patient/").unwrap_or(relative) == id
}

/// CodeableConcept, Identifier or code against `system|code` (§3.1.1.4.10).
fn token_matches(element: &Value, system: Option<&str>, code: Option<&str>) -> bool {
    if let Some(codings) = element.get("coding").and_then(Value::as_array) {
        return codings
            .iter()
            .any(|coding| token_matches(coding, system, code));
    }
    let field = |name: &str| element.get(name).and_then(Value::as_str);
    let has_system = field("system").unwrap_or_default();
    let has_code = element
        .as_str()
        .or_else(|| field("code"))
        .or_else(|| field("value"));
    system.is_none_or(|system| system == has_system)
        && code.is_none_or(|code| has_code == Some(code))
}

/// `code`, `system|code`, `|code` (no system) or `system|` (any code).
fn token(value: &str) -> Result<Test, Outcome> {
    let parts: Vec<String> = split(value, '|')
        .iter()
        .map(|part| unescape(part))
        .collect();
    let (system, code) = match parts.as_slice() {
        [code] => (None, Some(code.clone())),
        [system, code] if code.is_empty() && !system.is_empty() => (Some(system.clone()), None),
        [system, code] if !code.is_empty() => (Some(system.clone()), Some(code.clone())),
        _ => return Err(invalid("a token is code, system|code, |code or system|")),
    };
    Ok(Test::Token { system, code })
}

/// A prefix, `eq` where there is none, and what follows it.
fn prefixed(value: &str) -> (Prefix, &str) {
    match value.split_at_checked(2) {
        Some(("eq", rest)) => (Prefix::Eq, rest),
        Some(("ne", rest)) => (Prefix::Ne, rest),
        Some(("gt", rest)) => (Prefix::Gt, rest),
        Some(("lt", rest)) => (Prefix::Lt, rest),
        Some(("ge", rest)) => (Prefix::Ge, rest),
        Some(("le", rest)) => (Prefix::Le, rest),
        _ => (Prefix::Eq, value),
    }
}

/// As [`date`], or a prefix and an RFC 3339 time.
fn instant(value: &str) -> Result<Test, Outcome> {
    let (prefix, text) = prefixed(value);
    if let Some(time) = parsed(text) {
        let (from, to) = (time, time);
        return Ok(Test::Instant { prefix, from, to });
    }
    let Test::Date { prefix, from, to } = date(value)? else {
        return Err(invalid("a time is RFC 3339"));
    };
    let to = UnixTime(to.start().0 + 86_399);
    let from = from.start();
    Ok(Test::Instant { prefix, from, to })
}

/// A prefix and a year, month or day (§3.1.1.4.7).
fn date(value: &str) -> Result<Test, Outcome> {
    let bad = || invalid("a date is YYYY, YYYY-MM or YYYY-MM-DD after eq, ne, gt, lt, ge or le");
    let (prefix, text) = prefixed(value);
    let day = |text: String| text.parse::<Day>().map_err(|_| bad());
    let (from, to) = match text.len() {
        4 => (day(format!("{text}-01-01"))?, day(format!("{text}-12-31"))?),
        7 => {
            let from = day(format!("{text}-01"))?;
            let month = from.date().month();
            let last = month.length(from.date().year());
            (from, day(format!("{text}-{last:02}"))?)
        }
        10 => (day(text.to_owned())?, day(text.to_owned())?),
        _ => return Err(bad()),
    };
    Ok(Test::Date { prefix, from, to })
}

/// Splits at `separator` where no backslash precedes it; escapes stay (§3.1.1.4.0.1).
fn split(value: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in value.chars() {
        if c == separator && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

fn number(name: &str, value: &str) -> Result<usize, Outcome> {
    value
        .parse::<u32>()
        .map_err(|_| invalid(&format!("{name} is a whole number")))
        .map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

fn invalid(detail: &str) -> Outcome {
    Outcome::new(StatusCode::BAD_REQUEST, "invalid", detail)
}
