//! What the operator of a profile service configures: a TOML file, secrets by environment or file.

mod sections;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use contracts::encoding::Bytes32;
use contracts::ids::{Committee, Jurisdiction, NodeId, quorum};
use contracts::issuance::MAX_NONCES;
use contracts::jwk::ed25519_key;
use contracts::presentation::AudienceKind;
use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

pub use self::sections::{
    ApprovalConfig, AskConfig, EnquiryConfig, PracticeConfig, RetentionConfig, SourceConfig,
    StockConfig, WatchConfig, WorkerConfig,
};

pub(crate) use self::sections::shown_name;
use crate::api::access::{CallerConfig, LimitsConfig, check_callers};

/// The commented example, which a test keeps readable by this version.
pub const EXAMPLE: &str = include_str!("../profile.example.toml");
/// Largest configuration file, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 256 << 10;
/// Largest secret file, in bytes.
const MAX_SECRET_BYTES: u64 = 4 << 10;

/// A configuration that the service does not start with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file above its cap.
    #[error("{path}: longer than {cap} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The cap, in bytes.
        cap: u64,
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

pub(crate) fn bad(field: impl Into<String>, problem: impl Into<String>) -> ConfigError {
    ConfigError::Field {
        field: field.into(),
        problem: problem.into(),
    }
}

/// Where a secret is read from: `{ env = "NAME" }` or `{ file = "PATH" }`. Never the configuration itself.
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
    /// Not set, not readable, empty or longer than 4096 bytes.
    pub fn read(&self, field: &str) -> Result<Zeroizing<String>, ConfigError> {
        let text = match self {
            Self::Env(name) => Zeroizing::new(
                std::env::var(name)
                    .map_err(|_| bad(field, format!("set the environment variable {name}")))?,
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
        Bytes32::parse(&text)
            .map(|key| Zeroizing::new(key.0))
            .map_err(|error| bad(field, format!("32 bytes in base64url: {error}")))
    }
}

/// An `http` or `https` URL without query or fragment; a slash at its end is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BaseUrl(String);

impl TryFrom<String> for BaseUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let url = Url::parse(&text).map_err(|error| format!("{text:?} is no URL: {error}"))?;
        let plain = url.query().is_none() && url.fragment().is_none();
        if !["http", "https"].contains(&url.scheme()) || !url.has_host() || !plain {
            return Err(format!("{text:?}: write http(s)://host/path"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl BaseUrl {
    /// The URL with a path, which starts with a slash, added.
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An oracle node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Its number.
    pub id: NodeId,
    /// Base URL of its API.
    pub url: BaseUrl,
    /// Its HPKE (X25519) public key, taken from its operator and not from the wire.
    pub hpke_key: Bytes32,
    /// Epoch of that key.
    pub hpke_epoch: u64,
}

/// Who sits on a committee.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitteeConfig {
    /// Which.
    pub committee: Committee,
    /// Its members.
    pub members: Vec<NodeId>,
}

impl CommitteeConfig {
    /// Good answers that make a quorum.
    pub fn threshold(&self) -> u16 {
        quorum(u16::try_from(self.members.len()).unwrap_or(u16::MAX))
    }
}

/// The notifier.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifierConfig {
    /// Base URL of its API.
    pub url: BaseUrl,
    /// Bearer token of its API.
    pub token: Secret,
    /// Ed25519 public key of its reply signatures.
    pub public_key: Bytes32,
}

/// An agency that decisions may be made for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgencyConfig {
    /// Its registered id, the `aud` of its tokens.
    pub audience: String,
    /// The state whose cases it keeps; needed to look after cover there.
    #[serde(default)]
    pub jurisdiction: Option<Jurisdiction>,
    /// Where applications are posted.
    pub url: BaseUrl,
    /// Ed25519 public key of its acceptances.
    pub public_key: Bytes32,
}

impl AgencyConfig {
    /// The key of its acceptances.
    ///
    /// # Errors
    /// Not an Ed25519 key.
    pub fn key(&self) -> Result<VerifyingKey, ConfigError> {
        ed25519_key(&self.public_key.0)
            .map_err(|error| bad("agencies.public_key", error.to_string()))
    }
}

/// An insurer that gap cover can be bought from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InsurerConfig {
    /// Its registered id, the `aud` of tokens for it; also an insurer under `enquiries`.
    pub audience: String,
    /// The contract on whose YES it sells.
    #[serde(default = "gap_contract")]
    pub contract: String,
    /// Base URL of its API.
    pub url: BaseUrl,
    /// Ed25519 public key of its plans, policies and statements.
    pub public_key: Bytes32,
}

fn gap_contract() -> String {
    crate::gap::CONTRACT.to_owned()
}

impl InsurerConfig {
    /// The key of what it signs.
    ///
    /// # Errors
    /// Not an Ed25519 key.
    pub fn key(&self) -> Result<VerifyingKey, ConfigError> {
        ed25519_key(&self.public_key.0)
            .map_err(|error| bad("insurers.public_key", error.to_string()))
    }
}

/// A profile service. [`ProfileConfig::parse`] reads and checks it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileConfig {
    /// Address the API listens on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `sqlite:PATH` or `postgres://…`; the environment's `DATABASE_URL` goes before it.
    pub database: String,
    /// The operator key that seeds and openings are sealed under: 32 bytes, base64url.
    pub operator_key: Secret,
    /// A file that counts used wallet indexes; see [`crate::store::marks`].
    #[serde(default)]
    pub marks: Option<PathBuf>,
    /// Bearer token of navigators, who create profiles.
    pub navigator_token: Secret,
    /// The trust file: log origin and key, committee keys by epoch.
    pub trust: PathBuf,
    /// Seconds added to the system's clock.
    #[serde(default)]
    pub clock_offset_seconds: i64,
    /// The oracle nodes.
    pub nodes: Vec<NodeConfig>,
    /// The committees: all seven.
    pub committees: Vec<CommitteeConfig>,
    /// The notifier.
    pub notifier: NotifierConfig,
    /// The agencies.
    pub agencies: Vec<AgencyConfig>,
    /// Insurers and providers.
    #[serde(default)]
    pub enquiries: Vec<EnquiryConfig>,
    /// Insurers that gap cover can be bought from.
    #[serde(default)]
    pub insurers: Vec<InsurerConfig>,
    /// Physicians' practices that owners may have told that their coverage flag changed.
    #[serde(default)]
    pub practices: Vec<PracticeConfig>,
    /// Operators, agencies, insurers and more navigators, who may call the API.
    #[serde(default)]
    pub callers: Vec<CallerConfig>,
    /// How often callers may call.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// Approval by text.
    #[serde(default)]
    pub approval: ApprovalConfig,
    /// How the oracles are asked.
    #[serde(default)]
    pub ask: AskConfig,
    /// How leaves are bought ahead.
    #[serde(default)]
    pub stock: StockConfig,
    /// How lifecycles are worked on.
    #[serde(default)]
    pub worker: WorkerConfig,
    /// How long rows are kept.
    #[serde(default)]
    pub retention: RetentionConfig,
    /// Whose records are read, for owners to know.
    #[serde(default)]
    pub sources: Vec<SourceConfig>,
    /// How facts are watched.
    #[serde(default)]
    pub watch: WatchConfig,
}

impl ProfileConfig {
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
        config.check()?;
        Ok(config)
    }

    /// Checks what types alone do not.
    ///
    /// # Errors
    /// [`ConfigError::Field`].
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_nodes()?;
        let agencies = self.agencies.iter().map(|agency| &agency.audience);
        let enquiries = self.enquiries.iter().map(|entry| &entry.audience);
        let mut audiences = BTreeSet::new();
        for audience in agencies.chain(enquiries) {
            if !(1..=crate::api::types::MAX_AUDIENCE).contains(&audience.len()) {
                return Err(bad("agencies.audience", "1 to 200 bytes"));
            }
            if !audiences.insert(audience) {
                return Err(bad("agencies.audience", "name each audience once"));
            }
        }
        for agency in &self.agencies {
            agency.key()?;
        }
        for entry in &self.enquiries {
            if entry.kind.keeps_cases() {
                let problem = "insurer or provider; an agency goes under agencies";
                return Err(bad("enquiries.kind", problem));
            }
        }
        for insurer in &self.insurers {
            insurer.key()?;
            let known = |entry: &EnquiryConfig| {
                entry.audience == insurer.audience && entry.kind == AudienceKind::Insurer
            };
            if !self.enquiries.iter().any(known) {
                return Err(bad(
                    "insurers.audience",
                    "name it as an insurer under enquiries, too",
                ));
            }
        }
        let mut practices = BTreeSet::new();
        for practice in &self.practices {
            shown_name("practices.name", &practice.name)?;
            if !practices.insert(&practice.name) {
                return Err(bad("practices.name", "name each practice once"));
            }
        }
        self.notifier_key()?;
        let agency = |name: &str| self.agencies.iter().any(|it| it.audience == name);
        let insurer = |name: &str| self.insurers.iter().any(|it| it.audience == name);
        check_callers(&self.callers, agency, insurer)
            .map_err(|(field, problem)| bad(field, problem))?;
        let within = |field: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(bad(field, format!("{low} to {high}, not {value}")))
            }
        };
        for (field, calls) in self.limits.fields() {
            within(field, calls.into(), 1, 1_000_000)?;
        }
        let ApprovalConfig {
            wait_seconds,
            deadline_days,
            undo_seconds,
        } = self.approval;
        within("approval.wait_seconds", wait_seconds, 0, 60)?;
        within("approval.deadline_days", deadline_days.into(), 1, 7)?;
        within("approval.undo_seconds", undo_seconds.into(), 0, 86_400)?;
        let ask = &self.ask;
        within("ask.indexes", ask.indexes.into(), 1, 8)?;
        within("ask.nonce_wait_ms", ask.nonce_wait_ms, 10, 60_000)?;
        within("ask.call_timeout_ms", ask.call_timeout_ms, 100, 120_000)?;
        let coordinate = ask.coordinate_timeout_ms;
        within("ask.coordinate_timeout_ms", coordinate, 100, 120_000)?;
        within("ask.attempts", ask.attempts.into(), 1, 10)?;
        let stock = &self.stock;
        within("stock.low_water", stock.low_water.into(), 0, 8)?;
        within(
            "stock.delay_seconds",
            stock.delay_seconds.into(),
            0,
            604_800,
        )?;
        within("stock.interval_ms", stock.interval_ms, 10, 3_600_000)?;
        let worker = &self.worker;
        within("worker.workers", worker.workers.into(), 0, 64)?;
        within("worker.interval_ms", worker.interval_ms, 10, 600_000)?;
        within(
            "worker.lease_seconds",
            worker.lease_seconds.into(),
            1,
            3_600,
        )?;
        within("worker.poll_seconds", worker.poll_seconds.into(), 0, 86_400)?;
        within(
            "worker.spread_seconds",
            worker.spread_seconds.into(),
            0,
            43_200,
        )?;
        for source in &self.sources {
            shown_name("sources.name", &source.name)?;
        }
        let RetentionConfig {
            audit_days,
            idempotency_days,
        } = self.retention;
        within("retention.audit_days", audit_days.into(), 30, 36_600)?;
        within(
            "retention.idempotency_days",
            idempotency_days.into(),
            30,
            36_600,
        )?;
        let watch = &self.watch;
        within("watch.grant_days", watch.grant_days.into(), 2, 366)?;
        within("watch.poll_seconds", watch.poll_seconds.into(), 1, 86_400)?;
        within(
            "watch.pause_seconds",
            watch.pause_seconds.into(),
            0,
            604_800,
        )?;
        watch.check()
    }

    fn check_nodes(&self) -> Result<(), ConfigError> {
        let ids: BTreeSet<_> = self.nodes.iter().map(|node| node.id).collect();
        if ids.len() != self.nodes.len() {
            return Err(bad("nodes.id", "number each node once"));
        }
        for committee in Committee::ALL {
            let mut found = self
                .committees
                .iter()
                .filter(|entry| entry.committee == committee);
            let (Some(entry), None) = (found.next(), found.next()) else {
                return Err(bad("committees", format!("name {committee} once")));
            };
            let members: BTreeSet<_> = entry.members.iter().copied().collect();
            if members.len() != entry.members.len() || members.is_empty() {
                let problem = format!("{committee}: name at least one member, and each once");
                return Err(bad("committees.members", problem));
            }
            if members.len() > MAX_NONCES {
                let problem = format!("{committee}: at most {MAX_NONCES} members");
                return Err(bad("committees.members", problem));
            }
            if let Some(unknown) = members.difference(&ids).next() {
                let problem = format!("{committee}: node {unknown} is not among nodes");
                return Err(bad("committees.members", problem));
            }
        }
        Ok(())
    }

    /// The notifier's key.
    ///
    /// # Errors
    /// Not an Ed25519 key.
    pub fn notifier_key(&self) -> Result<VerifyingKey, ConfigError> {
        ed25519_key(&self.notifier.public_key.0)
            .map_err(|error| bad("notifier.public_key", error.to_string()))
    }
}

pub(crate) fn read_capped(path: &Path, cap: u64) -> Result<String, ConfigError> {
    use std::io::Read as _;
    let fail = |error| ConfigError::File {
        path: path.to_owned(),
        error,
    };
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut text = String::new();
    file.take(cap + 1).read_to_string(&mut text).map_err(fail)?;
    if text.len() as u64 > cap {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            cap,
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_configuration() {
        let config = ProfileConfig::parse(EXAMPLE).unwrap();
        assert_eq!(config.committees.len(), Committee::ALL.len());
        assert_eq!(config.committees[0].threshold(), 3);
    }

    #[test]
    fn a_bad_configuration_names_the_field_and_the_fix() {
        for (from, to, field) in [
            (
                "members = [1, 2, 3, 4]",
                "members = [1, 2, 3, 9]",
                "committees.members",
            ),
            ("id = 2", "id = 1", "nodes.id"),
            (
                "committee = \"ledger\"",
                "committee = \"decision\"",
                "committees",
            ),
            (
                "deadline_days = 5",
                "deadline_days = 8",
                "approval.deadline_days",
            ),
            ("indexes = 4", "indexes = 9", "ask.indexes"),
            ("renew_days = 7", "renew_days = 30", "watch.renew_days"),
            (
                "attributes = []",
                "attributes = [\"identity.birth_city\"]",
                "watch.attributes",
            ),
        ] {
            assert!(EXAMPLE.contains(from), "{from}");
            let error = ProfileConfig::parse(&EXAMPLE.replacen(from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        let unknown = EXAMPLE.replacen("listen", "lisen", 1);
        assert!(ProfileConfig::parse(&unknown).is_err());
    }

    #[test]
    fn a_secret_is_named_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "hunter2\n").unwrap();
        let secret = Secret::File(path);
        assert_eq!(secret.read("operator_key").unwrap().as_str(), "hunter2");
        let error = secret.read_key("operator_key").unwrap_err().to_string();
        assert!(error.contains("operator_key") && !error.contains("hunter2"));
        let missing = Secret::Env("SHP_NO_SUCH_VARIABLE".to_owned());
        let error = missing.read("navigator_token").unwrap_err().to_string();
        assert!(error.contains("SHP_NO_SUCH_VARIABLE"), "{error}");
    }
}
