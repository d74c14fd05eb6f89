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
    /// See dead letters and send them again (whoever runs the notifier).
    Operate,
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

/// A provider of text messages.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum ProviderConfig {
    /// A file per text in a folder.
    File {
        /// Its name.
        name: String,
        /// The folder.
        folder: PathBuf,
    },
    /// As `file`, shown on standard output too; lines typed on standard input are replies of the phone last texted.
    Console {
        /// Its name.
        name: String,
        /// The folder.
        folder: PathBuf,
    },
    /// A carrier with the Twilio Programmable Messaging API.
    Twilio {
        /// Its name, which its webhooks are addressed by.
        name: String,
        /// Where its API is.
        #[serde(default = "twilio_base", deserialize_with = "address")]
        base_url: url::Url,
        /// The account.
        account_sid: String,
        /// An API key; the account's auth token signs in where it is absent.
        api_key: Option<String>,
        /// The key's secret, or the auth token.
        password: Secret,
        /// The sending number in E.164, or the `MG…` of a messaging service.
        from: String,
        /// Auth tokens that webhooks may be signed with: the present one, and the next while it replaces it.
        webhook_tokens: Vec<Secret>,
        /// Where our webhooks are seen from outside, without `/v1`.
        #[serde(deserialize_with = "address")]
        public_url: url::Url,
        /// How long an answer is waited for.
        #[serde(default = "time_out")]
        timeout_seconds: u64,
        /// After how long a text that was taken is surely on the carrier's list.
        #[serde(default = "twilio_settle")]
        settle_seconds: u64,
    },
    /// An SMSC.
    Smpp {
        /// Its name.
        name: String,
        /// `host:port`; the session is in clear text, run it inside a tunnel.
        address: String,
        /// `system_id`.
        system_id: String,
        /// `password`.
        password: Secret,
        /// The sending number or short code.
        from: String,
        /// How long a response is waited for.
        #[serde(default = "time_out")]
        timeout_seconds: u64,
        /// How long a receipt is waited for where a response was lost.
        #[serde(default = "smpp_settle")]
        settle_seconds: u64,
    },
}

impl ProviderConfig {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::File { name, .. }
            | Self::Console { name, .. }
            | Self::Twilio { name, .. }
            | Self::Smpp { name, .. } => name,
        }
    }
}

/// When and how often texts may go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// First hour of the day, where the recipient is, at which an unasked text may go, and the hour from which none may;
    /// `[0, 24]` is always.
    pub texting_hours: [i8; 2],
    /// Unasked texts a phone gets in 24 hours.
    pub daily_cap: i64,
    /// Answers a phone gets in 24 hours.
    pub answer_cap: i64,
    /// Contacts that may be registered for one phone in 24 hours.
    pub enrolments_per_day: i64,
    /// Hours before its deadline at which an unanswered question is asked again.
    pub reminder_hours: i64,
    /// Days after which a phone must be verified again.
    pub reverify_days: i64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            texting_hours: [9, 20],
            daily_cap: 3,
            answer_cap: 30,
            enrolments_per_day: 5,
            reminder_hours: 24,
            reverify_days: 365,
        }
    }
}

/// How hand-overs are repeated.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// First wait after a failed hand-over, seconds; it doubles, up to 300.
    pub base_seconds: i64,
    /// Hand-overs before a text is a dead letter.
    pub max_attempts: i64,
    /// Seconds after which a provider is asked about a text that no receipt came for.
    pub receipt_wait_seconds: i64,
    /// Texts handed over at once.
    pub concurrency: usize,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            base_seconds: 2,
            max_attempts: 10,
            receipt_wait_seconds: 600,
            concurrency: 64,
        }
    }
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
    /// Key that webhooks to `/v1/gateway` are signed with (the way in of `file` and `console`); without it they are refused.
    pub gateway_key: Option<Secret>,
    /// Who may call.
    pub callers: Vec<CallerConfig>,
    /// How texts leave: the first provider takes them, the next where it does not.
    pub providers: Vec<ProviderConfig>,
    /// When and how often texts may go.
    #[serde(default)]
    pub rules: Rules,
    /// How hand-overs are repeated.
    #[serde(default)]
    pub retry: Retry,
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

fn twilio_base() -> url::Url {
    url::Url::parse("https://api.twilio.com").expect("a constant")
}

fn address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<url::Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = url::Url::parse(&text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| serde::de::Error::custom("an address that begins with https:// or http://"))
}

fn time_out() -> u64 {
    15
}

fn twilio_settle() -> u64 {
    60
}

fn smpp_settle() -> u64 {
    120
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
        let mut names = std::collections::HashSet::new();
        let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let fine = |name: &str| !name.is_empty() && name.len() <= 40 && plain(name);
        if config.providers.is_empty()
            || !config
                .providers
                .iter()
                .all(|one| fine(one.name()) && names.insert(one.name()))
        {
            return Err(bad(
                "providers.name",
                "give at least one provider, and each a name of its own: letters, digits, -",
            ));
        }
        if crate::rules::hours::Hours::new(
            config.rules.texting_hours[0],
            config.rules.texting_hours[1],
        )
        .is_none()
        {
            return Err(bad(
                "rules.texting_hours",
                "two hours from 0 to 24, at least seven apart",
            ));
        }
        let positive = [
            config.rules.daily_cap,
            config.rules.answer_cap,
            config.rules.reverify_days,
            config.retry.base_seconds,
            config.retry.max_attempts,
            config.retry.receipt_wait_seconds,
        ];
        if positive.iter().any(|value| *value < 1) || config.retry.concurrency == 0 {
            return Err(bad("rules, retry", "every number is at least 1"));
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
        assert_eq!(Config::parse(example).unwrap().callers.len(), 3);
        let error = Config::parse(&example.replace("listen", "lisen")).unwrap_err();
        assert!(error.to_string().contains("lisen"), "{error}");
        let error = Config::parse(&example.replace("\"211\"", "\"\"")).unwrap_err();
        assert!(error.to_string().contains("help_line"), "{error}");
        let error = Config::parse(&example.replace("[9, 20]", "[20, 9]")).unwrap_err();
        assert!(error.to_string().contains("texting_hours"), "{error}");
        let error = Secret::Env("SHP_NO_SUCH_VARIABLE".to_owned())
            .read_key("operator_key")
            .unwrap_err();
        assert!(error.to_string().contains("operator_key"), "{error}");
    }
}
