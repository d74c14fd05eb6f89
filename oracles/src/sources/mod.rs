//! External systems as sources of facts: SQL databases, CMS Emmy income reports, FHIR R4 servers, by configuration (O1).
//!
//! Every read is timed, capped, retried within bounds, and ends in a value, in "no record", or in a [`SourceError`] that names
//! source, field and fix and never a value. What is not in its format is a failure, not a fact.

mod config;
mod emmy;
mod error;
mod fetch;
mod fhir;
mod retry;
mod sql;
mod value;

use std::collections::BTreeMap;

use contracts::catalogue::{Attribute, catalogue};
use contracts::ids::{AttributeId, Domain};
use contracts::units::Period;
use futures::future::join_all;

pub use self::config::{AttributeConfig, Coding, Conversion, Limits, ReadConfig, SourceConfig};
pub use self::error::{ConfigError, SourceError};

use self::emmy::{Applicant, EmmySource};
use self::fhir::FhirSource;
pub(crate) use self::sql::{Record, SqlSource};

/// What one source says of one attribute: a value, no record, or a failure.
pub type Reading = Result<Option<i64>, SourceError>;

/// Most sources of one attribute.
const MAX_READINGS: usize = 16;

enum Source {
    Sql(SqlSource),
    Emmy(EmmySource),
    Fhir(FhirSource),
}

/// The sources of a node and how its attributes are read from them.
pub struct Sources {
    sources: BTreeMap<String, Source>,
    attributes: BTreeMap<AttributeId, Vec<ReadConfig>>,
}

impl Sources {
    /// Checks a configuration and prepares its sources; nothing is contacted.
    ///
    /// # Errors
    /// [`ConfigError`], naming the place and the fix.
    pub fn new(
        sources: &[SourceConfig],
        attributes: &[AttributeConfig],
    ) -> Result<Self, ConfigError> {
        let mut by_name = BTreeMap::new();
        for config in sources {
            let name = config.name();
            let at = format!("source {name}");
            let source = open(config).map_err(|problem| ConfigError {
                at: at.clone(),
                problem,
                fix: "correct its url".to_owned(),
            })?;
            if by_name.insert(name.to_owned(), source).is_some() {
                return Err(ConfigError {
                    at,
                    problem: "named twice".to_owned(),
                    fix: "give every [[source]] a name of its own".to_owned(),
                });
            }
        }
        let mut mappings = BTreeMap::new();
        for config in attributes {
            check(config, &by_name)?;
            let id = config.id.clone();
            if mappings.insert(id.clone(), config.read.clone()).is_some() {
                return Err(ConfigError {
                    at: format!("attribute {id}"),
                    problem: "mapped twice".to_owned(),
                    fix: "put all its readings under one [[attribute]]".to_owned(),
                });
            }
        }
        Ok(Self {
            sources: by_name,
            attributes: mappings,
        })
    }

    /// Whether the node reads this attribute.
    pub fn reads(&self, attribute: &AttributeId) -> bool {
        self.attributes.contains_key(attribute)
    }

    /// Domains of which some attribute is read.
    pub fn domains(&self) -> Vec<Domain> {
        Domain::ALL
            .into_iter()
            .filter(|domain| {
                self.attributes
                    .keys()
                    .any(|id| catalogue().get(id).is_some_and(|it| it.domain == *domain))
            })
            .collect()
    }

    /// Reads an attribute from all its sources at once, in the order configured; none if it has no mapping.
    ///
    /// `keys` are the identifiers in the owner's handle for the attribute's domain.
    pub async fn read(
        &self,
        attribute: &Attribute,
        keys: &BTreeMap<String, String>,
        period: Period,
    ) -> Vec<Reading> {
        let readings = self
            .attributes
            .get(&attribute.id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        join_all(readings.iter().map(|reading| async move {
            let value = self.read_one(reading, keys, period).await?;
            within_bounds(reading.source(), attribute, value)
        }))
        .await
    }

    async fn read_one(
        &self,
        reading: &ReadConfig,
        keys: &BTreeMap<String, String>,
        period: Period,
    ) -> Reading {
        let source_name = reading.source();
        let key = |name: &str| {
            keys.get(name)
                .map(String::as_str)
                .ok_or_else(|| SourceError::NoKey {
                    source_name: source_name.to_owned(),
                    key: name.to_owned(),
                })
        };
        match (reading, self.sources.get(source_name)) {
            (
                ReadConfig::Sql {
                    query, bind, value, ..
                },
                Some(Source::Sql(source)),
            ) => {
                let (start, end) = (period.start.to_string(), period.end.to_string());
                let bound = bind
                    .iter()
                    .map(|name| match name.as_str() {
                        "period.start" => Ok(start.as_str()),
                        "period.end" => Ok(end.as_str()),
                        name => key(name),
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                let row = source.row(query, &bound).await?;
                let Some(cell) = row.as_ref().and_then(|row| row.first()) else {
                    return Ok(None);
                };
                value::convert(cell, value).map_err(|expected| SourceError::Malformed {
                    source_name: source_name.to_owned(),
                    field: "the first column".to_owned(),
                    expected: expected.to_owned(),
                })
            }
            (
                ReadConfig::Emmy {
                    max_report_age_days,
                    ..
                },
                Some(Source::Emmy(source)),
            ) => {
                let applicant = Applicant {
                    case_number: key("case_number")?,
                    ssn_last4: key("ssn_last4")?,
                };
                source
                    .income(&applicant, period, *max_report_age_days)
                    .await
            }
            (
                ReadConfig::Fhir {
                    identifier_system,
                    identifier_key,
                    codes,
                    ..
                },
                Some(Source::Fhir(source)),
            ) => {
                let identifier = key(identifier_key)?;
                source
                    .has_condition(identifier_system, identifier, codes)
                    .await
            }
            // `check` lets no other pair through.
            _ => Err(SourceError::Refused {
                source_name: source_name.to_owned(),
                what: "the mapping and the source are of different kinds".to_owned(),
            }),
        }
    }

    /// A SQL source by name, for identity proofing.
    pub(crate) fn sql(&self, name: &str) -> Option<&SqlSource> {
        match self.sources.get(name) {
            Some(Source::Sql(source)) => Some(source),
            _ => None,
        }
    }
}

fn open(config: &SourceConfig) -> Result<Source, String> {
    match config {
        SourceConfig::Sql { name, url, limits } => {
            SqlSource::new(name, url, limits).map(Source::Sql)
        }
        SourceConfig::Emmy {
            name,
            url,
            api_key,
            limits,
        } => EmmySource::new(name, url, api_key, limits).map(Source::Emmy),
        SourceConfig::Fhir {
            name,
            url,
            api_key,
            limits,
        } => FhirSource::new(name, url, api_key.as_deref(), limits).map(Source::Fhir),
    }
}

/// A mapping must name a catalogued attribute and existing sources of its own kind.
fn check(config: &AttributeConfig, sources: &BTreeMap<String, Source>) -> Result<(), ConfigError> {
    let id = &config.id;
    let error = |at: String, problem: &str, fix: String| ConfigError {
        at,
        problem: problem.to_owned(),
        fix,
    };
    let at = format!("attribute {id}");
    if catalogue().get(id).is_none() {
        let fix = "write an id of contracts/rules/catalogue.toml".to_owned();
        return Err(error(at, "not in the catalogue", fix));
    }
    if !(1..=MAX_READINGS).contains(&config.read.len()) {
        let fix = format!("give it 1 to {MAX_READINGS} [[attribute.read]]");
        return Err(error(at, "no readings, or too many", fix));
    }
    for (place, reading) in config.read.iter().enumerate() {
        let at = format!("attribute {id}, read {}", place + 1);
        let name = reading.source();
        let fits = match (reading, sources.get(name)) {
            (_, None) => {
                let fix = format!("add a [[source]] named {name}");
                return Err(error(at, "unknown source", fix));
            }
            (ReadConfig::Sql { .. }, Some(Source::Sql(_)))
            | (ReadConfig::Emmy { .. }, Some(Source::Emmy(_)))
            | (ReadConfig::Fhir { .. }, Some(Source::Fhir(_))) => true,
            _ => false,
        };
        if !fits {
            let fix = format!("name a source of the reading's kind, not {name}");
            return Err(error(at, "the source is of another kind", fix));
        }
        if matches!(reading, ReadConfig::Fhir { codes, .. } if codes.is_empty()) {
            let fix = "list the codes of the value set".to_owned();
            return Err(error(at, "no codes", fix));
        }
    }
    Ok(())
}

/// A value outside its attribute's bounds is no fact.
fn within_bounds(source_name: &str, attribute: &Attribute, value: Option<i64>) -> Reading {
    match value {
        Some(value) if !(attribute.min..=attribute.max).contains(&value) => {
            Err(SourceError::Malformed {
                source_name: source_name.to_owned(),
                field: attribute.id.to_string(),
                expected: format!("between {} and {}", attribute.min, attribute.max),
            })
        }
        value => Ok(value),
    }
}
