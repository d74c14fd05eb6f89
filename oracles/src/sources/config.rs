//! Sources and mappings as the node's TOML has them.
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

use contracts::ids::AttributeId;
use serde::{Deserialize, Serialize};

/// Bounds on reading one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Milliseconds for one attempt.
    pub timeout_ms: u64,
    /// Attempts after the first, for transient failures only.
    pub retries: u32,
    /// Milliseconds for all attempts together, pauses included.
    pub deadline_ms: u64,
    /// Bytes of one answer.
    pub max_bytes: usize,
    /// Pages of one search.
    pub max_pages: usize,
    /// Entries of one search, all pages together.
    pub max_entries: usize,
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
        }
    }
}

/// One external system.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum SourceConfig {
    /// A SQL database, opened read-only.
    Sql {
        /// Name that mappings use.
        name: String,
        /// `sqlite://…` or `postgres://…`.
        url: String,
        /// Bounds.
        #[serde(default)]
        limits: Limits,
    },
    /// A service of CMS Emmy income reports.
    Emmy {
        /// Name that mappings use.
        name: String,
        /// Base address; reports are at `{url}/api/v1/income_reports`.
        url: String,
        /// Bearer key.
        api_key: String,
        /// Bounds.
        #[serde(default)]
        limits: Limits,
    },
    /// A FHIR R4 server.
    Fhir {
        /// Name that mappings use.
        name: String,
        /// Base address, `[base]` of the FHIR RESTful API.
        url: String,
        /// Bearer token, if the server asks for one.
        #[serde(default)]
        api_key: Option<String>,
        /// Bounds.
        #[serde(default)]
        limits: Limits,
    },
}

impl SourceConfig {
    /// Name that mappings use.
    pub fn name(&self) -> &str {
        match self {
            Self::Sql { name, .. } | Self::Emmy { name, .. } | Self::Fhir { name, .. } => name,
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
}

/// One reading of one attribute from one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum ReadConfig {
    /// The first column of the only row of a query.
    Sql {
        /// A `[[source]]` of the same kind.
        source: String,
        /// A SELECT with `$1`, `$2`, …: nothing is ever pasted into its text.
        query: String,
        /// What `$1`, `$2`, … stand for: a source key of the handle, `period.start` or `period.end`.
        bind: Vec<String>,
        /// How the column becomes an integer.
        value: Conversion,
    },
    /// Pay of the reference period from the latest income report.
    Emmy {
        /// A `[[source]]` of the same kind.
        source: String,
        /// Days that the latest report may lie before the end of the reference period.
        #[serde(default = "default_report_age")]
        max_report_age_days: u16,
    },
    /// Whether the patient has an active condition with one of the codes.
    Fhir {
        /// A `[[source]]` of the same kind.
        source: String,
        /// The `system` of the patient identifier.
        identifier_system: String,
        /// The source key that holds its value.
        identifier_key: String,
        /// The value set.
        codes: Vec<Coding>,
    },
}

fn default_report_age() -> u16 {
    7
}

impl ReadConfig {
    /// The source named.
    pub fn source(&self) -> &str {
        match self {
            Self::Sql { source, .. } | Self::Emmy { source, .. } | Self::Fhir { source, .. } => {
                source
            }
        }
    }
}

/// A code in a code system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coding {
    /// Such as `http://snomed.info/sct`.
    pub system: String,
    /// Such as `77386006`.
    pub code: String,
}

/// How a database cell becomes the attribute's integer. NULL is no record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case", deny_unknown_fields)]
pub enum Conversion {
    /// 1 because the row exists.
    Exists,
    /// A whole number.
    Integer,
    /// `YYYY-MM-DD`, as days since 1900-01-01.
    Date,
    /// 0 or 1, true or false.
    Flag,
    /// 1 if the text is one of these codes, else 0.
    FlagIn {
        /// The codes.
        codes: Vec<String>,
    },
    /// A USPS state code, as its FIPS number.
    State,
    /// Dollars with at most two decimals (`612.37`), as cents.
    Dollars,
}
