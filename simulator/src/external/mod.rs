//! The systems of other people that the network talks to: sources of facts (payroll, a state registry, a bank and offices,
//! an EHR), an agency that accepts applications, an insurer that sells gap cover, and those who carry texts (a carrier with an HTTP API, an SMSC).
//! Each is a service of its own with its own data, keys and API; none imports the network's parts except agency and insurer, which
//! verify what they are sent with `contracts` alone.

pub mod agency;
pub mod carrier;
pub mod double;
pub mod ehr;
mod fixture;
mod http;
pub mod insurer;
mod journal;
mod keys;
pub mod payroll;
pub mod phone;
pub mod registers;
pub mod registry;
mod secret;
pub mod smsc;
mod times;

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use fixture::{Person, canaries, people, relative_day};
pub use http::Running;
pub use secret::Secret;

/// Why an external system could not start or load its data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalError {
    /// A file could not be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A database refused.
    #[error("{what}: {source}")]
    Database {
        /// What was being done.
        what: String,
        /// The cause.
        source: sqlx::Error,
    },
    /// A fixture or configuration does not say what it must.
    #[error("{0}")]
    Data(String),
}

/// Result of starting or loading an external system.
pub type Result<T> = std::result::Result<T, ExternalError>;

/// What a process started in the role of an external system is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase", deny_unknown_fields)]
pub enum RoleConfig {
    /// Serves income reports.
    Payroll(payroll::Config),
    /// Serves FHIR.
    Ehr(ehr::Config),
    /// Accepts applications.
    Agency(agency::Config),
    /// Takes texts.
    Carrier(carrier::Config),
    /// Sells gap cover.
    Insurer(insurer::Config),
    /// Is a bank and four offices.
    Registers(registers::Config),
}

impl RoleConfig {
    /// Reads a TOML file whose `role` says which system.
    ///
    /// # Errors
    /// A file that cannot be read, or whose text is no such configuration.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| ExternalError::Io {
            what: format!("reading {}", path.display()),
            source,
        })?;
        toml::from_str(&text)
            .map_err(|error| ExternalError::Data(format!("{}: {error}", path.display())))
    }
}

/// Starts the system that `config` names.
///
/// # Errors
/// As the system's own `start`.
pub async fn start(config: RoleConfig) -> Result<Running> {
    match config {
        RoleConfig::Payroll(config) => payroll::start(config).await,
        RoleConfig::Ehr(config) => ehr::start(config).await,
        RoleConfig::Agency(config) => agency::start(config).await,
        RoleConfig::Carrier(config) => carrier::start(config).await,
        RoleConfig::Insurer(config) => insurer::start(config).await,
        RoleConfig::Registers(config) => registers::start(config).await,
    }
}

/// Loopback with a port the system picks.
pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
