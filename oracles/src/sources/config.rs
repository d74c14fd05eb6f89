//! Sources and mappings as the node's TOML has them; `oracle.example.toml` has one of each kind.
//!
//! ```toml
//! [[roles.attest.source]]
//! name = "registry"
//! kind = "sql"
//! url = "sqlite:///srv/registry.db"
//!
//! [[roles.attest.attribute]]
//! id = "identity.birth_date"
//! [[roles.attest.attribute.read]]
//! source = "registry"
//! kind = "sql"
//! query = "SELECT birth_date FROM person WHERE ssn = $1"
//! bind = ["ssn"]
//! value = { as = "date" }
//! ```

use std::fmt;
use std::time::Duration;

use contracts::ids::AttributeId;
use serde::{Deserialize, Serialize};

use super::desk::{DeskRead, DeskSourceConfig};
use super::emmy::EmmyRead;
use super::fetch::Access;
use super::fhir::FhirRead;
use super::rest::JsonRead;
use super::sql::SqlRead;

/// Bounds on reading one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Milliseconds for one attempt.
    pub timeout_ms: u64,
    /// Attempts after the first, for transient failures only.
    pub retries: u32,
    /// Milliseconds for one reading of one attribute: all attempts, pauses and pages together.
    pub deadline_ms: u64,
    /// Bytes of one answer.
    pub max_bytes: usize,
    /// Pages of one search.
    pub max_pages: usize,
    /// Entries of one search, all pages together.
    pub max_entries: usize,
    /// Requests in a row that failed for good, after which the source is left alone.
    pub breaker_failures: u32,
    /// Milliseconds until it is tried again.
    pub breaker_open_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout_ms: 2_000,
            retries: 2,
            deadline_ms: 6_000,
            max_bytes: 1 << 20,
            max_pages: 20,
            max_entries: 1_000,
            breaker_failures: 5,
            breaker_open_ms: 15_000,
        }
    }
}

impl Limits {
    pub(super) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

/// One external system.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SourceConfig {
    /// A SQL database, read-only.
    Sql(SystemConfig),
    /// A service that answers in JSON.
    Json(HttpConfig),
    /// A service of CMS Emmy income reports, at `{url}/api/v1/income_reports`.
    Emmy(HttpConfig),
    /// A FHIR R4 server; `url` is `[base]` of its RESTful API.
    Fhir(HttpConfig),
    /// A desk where staff enter what they saw.
    Desk(DeskSourceConfig),
}

/// A database.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemConfig {
    /// Name that mappings use.
    pub name: String,
    /// `sqlite:`, `postgres:`, `mysql:` or `mariadb:`.
    pub url: String,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
}

/// An HTTP service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Name that mappings use.
    pub name: String,
    /// Base address.
    pub url: String,
    /// A bearer key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Client credentials at an authorisation server, in place of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<super::oauth::OAuthConfig>,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
}

impl SourceConfig {
    /// Name that mappings use.
    pub fn name(&self) -> &str {
        match self {
            Self::Sql(SystemConfig { name, .. }) => name,
            Self::Json(config) | Self::Emmy(config) | Self::Fhir(config) => &config.name,
            Self::Desk(config) => &config.name,
        }
    }
}

impl HttpConfig {
    pub(super) fn access(&self) -> Access<'_> {
        Access {
            api_key: self.api_key.as_deref(),
            oauth: self.oauth.as_ref(),
        }
    }
}

impl fmt::Debug for SourceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceConfig({})", self.name())
    }
}

/// How an attribute is read: one entry per source, which is the denominator of its formula.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeConfig {
    /// The catalogue's id.
    pub id: AttributeId,
    /// The readings, at least one.
    pub read: Vec<ReadConfig>,
    /// Where the outcome of a review is entered; it stands in place of the readings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<DeskRead>,
}

/// One reading of one attribute from one source of the same kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ReadConfig {
    /// The first column of the only row of a query.
    Sql(SqlRead),
    /// A value of the records in a JSON document.
    Json(JsonRead),
    /// Pay or hours of the reference period from the latest income report.
    Emmy(EmmyRead),
    /// What a patient's record says.
    Fhir(FhirRead),
    /// What staff of a desk entered.
    Desk(DeskRead),
}

impl ReadConfig {
    /// The source named.
    pub fn source(&self) -> &str {
        match self {
            Self::Sql(read) => &read.source,
            Self::Json(read) => &read.source,
            Self::Emmy(read) => &read.source,
            Self::Fhir(read) => &read.source,
            Self::Desk(read) => &read.source,
        }
    }
}
