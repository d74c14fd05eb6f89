//! External systems as sources of facts: SQL databases, JSON services, CMS Emmy income reports, FHIR R4 servers, desks where
//! a person enters what they saw, by configuration (O1).
//!
//! Every read is timed, capped, retried within bounds, and ends in a value, in "no record", or in a [`SourceError`] that names
//! source, field and fix and never a value. What is not in its format is a failure, not a fact.

mod breaker;
mod check;
mod config;
mod decimal;
mod desk;
mod emmy;
mod error;
mod feed;
mod fetch;
mod fhir;
mod guard;
mod health;
mod json;
mod oauth;
mod rest;
mod spread;
mod sql;
mod steps;
mod template;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::catalogue::{Attribute, catalogue};
use contracts::ids::{AttributeId, Domain};
use contracts::units::Period;
use futures::future::join_all;

pub use self::breaker::BreakerState;
pub use self::config::{
    AttributeConfig, HttpConfig, Limits, ReadConfig, SourceConfig, SystemConfig,
};
pub use self::desk::{DeskRead, DeskSourceConfig};
pub use self::emmy::{Basis, EmmyRead, Measure};
pub use self::error::{ConfigError, SourceError};
pub use self::feed::{FeedConfig, FeedRead, FhirFeed, JsonFeed, SqlFeed, Touches};
pub use self::fhir::{Coding, FhirRead, Pick, Resource, Round};
pub use self::health::SourceHealth;
pub use self::oauth::OAuthConfig;
pub use self::rest::{JsonRead, Next, RecordTime, Reduce};
pub use self::sql::SqlRead;
pub use self::steps::Step;
pub use self::value::Conversion;

use self::check::check;
use self::desk::DeskSource;
use self::emmy::EmmySource;
use self::fetch::{Access, HttpSource};
use self::fhir::FhirSource;
use self::guard::Guard;
use self::health::Window;
use self::rest::JsonSource;
pub(crate) use self::sql::{Record, SqlSource};
use self::template::Filling;
pub(crate) use self::value::{Cell, convert};
use crate::desk::EntryKind;
use crate::metrics::Metrics;

/// What one source says of one attribute: a value, no record, or a failure.
pub type Reading = Result<Option<i64>, SourceError>;

/// Most sources of one attribute.
const MAX_READINGS: usize = 16;

enum Source {
    Sql(SqlSource),
    Json(JsonSource),
    Emmy(EmmySource),
    Fhir(FhirSource),
    Desk(DeskSource),
}

impl Source {
    fn open(config: &SourceConfig) -> Result<Self, String> {
        let http = |config: &HttpConfig, accept| {
            let access = config.access();
            HttpSource::new(&config.name, &config.url, access, accept, &config.limits)
        };
        match config {
            SourceConfig::Sql(SystemConfig { name, url, limits }) => {
                SqlSource::new(name, url, limits).map(Self::Sql)
            }
            SourceConfig::Json(config) => {
                http(config, "application/json").map(|http| Self::Json(JsonSource(Arc::new(http))))
            }
            SourceConfig::Emmy(config) => {
                http(config, "application/json").map(|http| Self::Emmy(EmmySource(Arc::new(http))))
            }
            SourceConfig::Fhir(config) => {
                http(config, "application/fhir+json").map(|http| Self::Fhir(FhirSource(http)))
            }
            SourceConfig::Desk(config) => {
                let access = Access {
                    api_key: Some(&config.api_key),
                    oauth: None,
                };
                let (name, url) = (&config.name, &config.url);
                HttpSource::new(name, url, access, "application/json", &config.limits)
                    .map(|http| Self::Desk(DeskSource::new(http, config)))
            }
        }
    }

    fn guard(&self) -> &Guard {
        match self {
            Self::Sql(source) => &source.guard,
            Self::Json(source) => &source.0.guard,
            Self::Emmy(source) => &source.0.guard,
            Self::Fhir(source) => &source.0.guard,
            Self::Desk(source) => &source.http.guard,
        }
    }
}

/// The sources of a node and how its attributes are read from them.
pub struct Sources {
    sources: BTreeMap<String, Source>,
    windows: BTreeMap<String, Window>,
    attributes: BTreeMap<AttributeId, AttributeConfig>,
    metrics: Metrics,
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
            let source = Source::open(config).map_err(|problem| ConfigError {
                at: at.clone(),
                problem,
                fix: "correct its address and access".to_owned(),
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
            if mappings.insert(id.clone(), config.clone()).is_some() {
                return Err(ConfigError {
                    at: format!("attribute {id}"),
                    problem: "mapped twice".to_owned(),
                    fix: "put all its readings under one [[attribute]]".to_owned(),
                });
            }
        }
        let windows = by_name.keys().cloned();
        Ok(Self {
            windows: windows.map(|name| (name, Window::default())).collect(),
            sources: by_name,
            attributes: mappings,
            metrics: Metrics::default(),
        })
    }

    /// Counts reads, and shows each source's health, among a node's metrics.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        for health in self.health() {
            self.metrics.source_health(&health);
        }
        self
    }

    /// Whether the node reads this attribute.
    pub fn reads(&self, attribute: &AttributeId) -> bool {
        self.attributes.contains_key(attribute)
    }

    /// The sources that an attribute is read from, a name for each reading.
    pub fn sources_of(&self, attribute: &AttributeId) -> impl Iterator<Item = &str> {
        let mappings = self.attributes.get(attribute);
        mappings.into_iter().flat_map(|config| {
            let review = config.review.iter().map(|review| review.source.as_str());
            config.read.iter().map(ReadConfig::source).chain(review)
        })
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

    /// The health of every source, by name.
    pub fn health(&self) -> Vec<SourceHealth> {
        let names = self.windows.keys();
        names.filter_map(|name| self.health_of(name)).collect()
    }

    fn health_of(&self, name: &str) -> Option<SourceHealth> {
        let state = self.sources.get(name)?.guard().state();
        Some(self.windows.get(name)?.health(name, state))
    }

    /// Reads an attribute from all its sources at once, in the order configured; none if it has no mapping. Where a person
    /// reviewed a dispute of it, the outcome is the only reading, and so is a failure to learn of one: what was found wrong
    /// must not come back because the desk is down.
    ///
    /// `keys` are the identifiers in the owner's handle for the attribute's domain.
    pub async fn read(
        &self,
        attribute: &Attribute,
        keys: &BTreeMap<String, String>,
        period: Period,
    ) -> Vec<Reading> {
        let mappings = self.mappings(attribute);
        let read = |reading| self.read_one(reading, attribute, keys, period);
        let readings = join_all(mappings.iter().map(read));
        let review = self.review(attribute, keys, period);
        let (readings, review) = futures::join!(readings, review);
        let outcomes = health::outcomes(attribute.formula, &readings);
        for ((mapping, reading), outcome) in mappings.iter().zip(&readings).zip(outcomes) {
            // What the handle does not hold is nobody's failure but the handle's.
            if matches!(reading, Err(SourceError::NoKey { .. })) {
                continue;
            }
            let name = mapping.source();
            if let Some(window) = self.windows.get(name) {
                window.record(outcome);
            }
            if let Some(health) = self.health_of(name) {
                self.metrics.source_health(&health);
            }
        }
        review.map_or(readings, |review| vec![review])
    }

    /// The outcome of a review; none where there was none, or none can be.
    async fn review(
        &self,
        attribute: &Attribute,
        keys: &BTreeMap<String, String>,
        period: Period,
    ) -> Option<Reading> {
        let read = self.attributes.get(&attribute.id)?.review.as_ref()?;
        let name = read.source.as_str();
        let Some(Source::Desk(source)) = self.sources.get(name) else {
            return Some(Err(unfit(name)));
        };
        let filling = Filling {
            source_name: name,
            keys,
            period,
        };
        let kind = EntryKind::Review;
        let entry = source.value(read, &attribute.id, kind, &filling);
        let outcome = self
            .bounded(name, source.http.guard.limits.deadline(), entry)
            .await;
        match outcome {
            Ok(None) => None,
            Ok(Some(value)) => Some(within_bounds(name, attribute, value)),
            Err(error) => Some(Err(error)),
        }
    }

    /// As [`Self::read`], one source after another, with the steps of each; nothing is counted.
    pub async fn explain(
        &self,
        attribute: &Attribute,
        keys: &BTreeMap<String, String>,
        period: Period,
    ) -> Vec<(String, Vec<Step>, Reading)> {
        let mut explained = Vec::new();
        let review = self.review(attribute, keys, period);
        if let (steps, Some(outcome)) = steps::recorded(review).await {
            explained.push(("review".to_owned(), steps, outcome));
            return explained;
        }
        for reading in self.mappings(attribute) {
            let read = self.read_one(reading, attribute, keys, period);
            let (steps, outcome) = steps::recorded(read).await;
            explained.push((reading.source().to_owned(), steps, outcome));
        }
        explained
    }

    fn mappings(&self, attribute: &Attribute) -> &[ReadConfig] {
        let mappings = self.attributes.get(&attribute.id);
        mappings
            .map(|config| config.read.as_slice())
            .unwrap_or_default()
    }

    /// One reading, within its source's deadline, pages and all.
    async fn read_one(
        &self,
        reading: &ReadConfig,
        attribute: &Attribute,
        keys: &BTreeMap<String, String>,
        period: Period,
    ) -> Reading {
        let name = reading.source();
        let Some(source) = self.sources.get(name) else {
            return Err(unfit(name));
        };
        let filling = Filling {
            source_name: name,
            keys,
            period,
        };
        let value = value(source, reading, attribute, &filling);
        let value = async {
            value
                .await
                .and_then(|value| within_bounds(name, attribute, value))
        };
        self.bounded(name, source.guard().limits.deadline(), value)
            .await
    }

    /// A reading of a source within its deadline, counted.
    async fn bounded<T>(
        &self,
        name: &str,
        deadline: Duration,
        reading: impl Future<Output = Result<Option<T>, SourceError>>,
    ) -> Result<Option<T>, SourceError> {
        let began = Instant::now();
        let timed_out = || SourceError::TimedOut {
            source_name: name.to_owned(),
        };
        let outcome = tokio::time::timeout(deadline, reading)
            .await
            .unwrap_or_else(|_| Err(timed_out()));
        let kind = match &outcome {
            Ok(Some(_)) => "value",
            Ok(None) => "no_record",
            Err(error) => error.kind(),
        };
        self.metrics.source_read(name, kind, began.elapsed());
        outcome
    }

    /// A SQL source by name, for identity proofing.
    pub(crate) fn sql(&self, name: &str) -> Option<&SqlSource> {
        match self.sources.get(name) {
            Some(Source::Sql(source)) => Some(source),
            _ => None,
        }
    }
}

async fn value(
    source: &Source,
    reading: &ReadConfig,
    attribute: &Attribute,
    filling: &Filling<'_>,
) -> Reading {
    match (reading, source) {
        (ReadConfig::Sql(read), Source::Sql(source)) => source.value(read, filling).await,
        (ReadConfig::Json(read), Source::Json(source)) => source.value(read, filling).await,
        (ReadConfig::Emmy(read), Source::Emmy(source)) => source.value(read, filling).await,
        (ReadConfig::Fhir(read), Source::Fhir(source)) => source.value(read, filling).await,
        (ReadConfig::Desk(read), Source::Desk(source)) => {
            let entry = source.value(read, &attribute.id, EntryKind::Observation, filling);
            entry.await.map(Option::flatten)
        }
        // `check` lets no other pair through.
        _ => Err(unfit(filling.source_name)),
    }
}

fn unfit(source_name: &str) -> SourceError {
    SourceError::Refused {
        source_name: source_name.to_owned(),
        what: "the mapping and the source are of different kinds".to_owned(),
    }
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
