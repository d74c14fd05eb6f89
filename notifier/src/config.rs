//! What a messaging operator configures: a TOML file; secrets by environment or file, never in the configuration itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Largest configuration file, in bytes.
const MAX_CONFIG_BYTES: u64 = 64 << 10;
/// Largest secret file, in bytes.
const MAX_SECRET_BYTES: u64 = 4 << 10;

/// A configuration that the service does not start with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that cannot be read, or is above its cap.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// Not TOML, an unknown field, or a field of another type.
    #[error("configuration: {0}")]
    Toml(String),
    /// A field whose value cannot be used.
    #[error("configuration field {field}: {problem}")]
    Field {
        /// The field.
        field: String,
        /// What is wrong, and what to write.
        problem: String,
    },
}

/// Where a secret is read from: `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file; white space at its end is dropped.
    File(PathBuf),
}

impl Secret {
    /// Reads the secret; `field` names it in errors, which never show it.
    ///
    /// # Errors
    /// Not set, not readable, empty or above 4096 bytes.
    pub fn read(&self, field: &str) -> Result<Zeroizing<String>, ConfigError> {
        let text = match self {
            Self::Env(name) => Zeroizing::new(
                std::env::var(name)
                    .map_err(|_| bad(field, &format!("set the environment variable {name}")))?,
            ),
            Self::File(path) => Zeroizing::new(read_capped(path, MAX_SECRET_BYTES)?),
        };
        let trimmed = text.trim_end();
        if trimmed.is_empty() {
            return Err(bad(field, "the secret is empty"));
        }
        Ok(Zeroizing::new(trimmed.to_owned()))
    }

    /// Reads a key of 32 bytes in base64url.
    ///
    /// # Errors
    /// As [`Secret::read`], or not 32 bytes in base64url.
    pub fn read_key(&self, field: &str) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
        let text = self.read(field)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.as_bytes()).unwrap_or_default());
        bytes
            .as_slice()
            .try_into()
            .map(Zeroizing::new)
            .map_err(|_| bad(field, "write 32 bytes in base64url without padding"))
    }
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Register phones (a navigator's device).
    Contacts,
    /// Send texts and read replies (a profile service).
    Messages,
}

/// Somebody who may call the API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerConfig {
    /// Name in the log; what one caller sends, no other can read.
    pub name: String,
    /// Its bearer token.
    pub token: Secret,
    /// What it may do.
    pub may: Vec<Permission>,
}

/// How texts leave.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum GatewayConfig {
    /// A file per text in a folder.
    File {
        /// The folder.
        folder: PathBuf,
    },
    /// As `file`, shown on standard output too; lines typed on standard input are replies of the phone last texted.
    Console {
        /// The folder.
        folder: PathBuf,
    },
}

/// A notifier.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address the API listens on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `sqlite:PATH` or `postgres://…`; the environment's `DATABASE_URL` goes before it.
    pub database: String,
    /// The operator key that phone numbers are sealed under: 32 bytes, base64url.
    pub operator_key: Secret,
    /// Seed of the Ed25519 key that replies are signed with: 32 bytes, base64url.
    pub signing_key: Secret,
    /// Key that the gateway signs its webhooks with.
    pub gateway_key: Secret,
    /// Who may call.
    pub callers: Vec<CallerConfig>,
    /// How texts leave.
    pub gateway: GatewayConfig,
    /// Whom texts tell people to call for help.
    #[serde(default = "help_line")]
    pub help_line: String,
    /// Seconds added to the system's clock.
    #[serde(default)]
    pub clock_offset_seconds: i64,
}

fn help_line() -> String {
    "211".to_owned()
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`], naming the field and what to write.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read_capped(path, MAX_CONFIG_BYTES)?)
    }

    /// Reads and checks the text of a configuration.
    ///
    /// # Errors
    /// [`ConfigError`], naming the field and what to write.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError::Toml(error.message().to_owned()))?;
        if config.callers.iter().any(|caller| caller.name.is_empty()) {
            return Err(bad("callers.name", "give each caller a name"));
        }
        if config.help_line.is_empty() || config.help_line.len() > 14 {
            return Err(bad(
                "help_line",
                "a telephone number of at most 14 characters",
            ));
        }
        Ok(config)
    }

    /// The database to open.
    pub fn database_url(&self) -> String {
        std::env::var("DATABASE_URL").unwrap_or_else(|_| self.database.clone())
    }
}

fn bad(field: &str, problem: &str) -> ConfigError {
    ConfigError::Field {
        field: field.to_owned(),
        problem: problem.to_owned(),
    }
}

fn read_capped(path: &Path, cap: u64) -> Result<String, ConfigError> {
    use std::io::Read as _;
    let fail = |problem: String| ConfigError::File {
        path: path.to_owned(),
        problem,
    };
    let file = std::fs::File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut text = String::new();
    file.take(cap + 1)
        .read_to_string(&mut text)
        .map_err(|error| fail(error.to_string()))?;
    if text.len() as u64 > cap {
        return Err(fail(format!("longer than {cap} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_configuration_and_errors_name_the_field() {
        let example = include_str!("../notifier.example.toml");
        assert_eq!(Config::parse(example).unwrap().callers.len(), 2);
        let error = Config::parse(&example.replace("listen", "lisen")).unwrap_err();
        assert!(error.to_string().contains("lisen"), "{error}");
        let error = Config::parse(&example.replace("\"211\"", "\"\"")).unwrap_err();
        assert!(error.to_string().contains("help_line"), "{error}");
        let error = Secret::Env("SHP_NO_SUCH_VARIABLE".to_owned())
            .read_key("operator_key")
            .unwrap_err();
        assert!(error.to_string().contains("operator_key"), "{error}");
    }
}
