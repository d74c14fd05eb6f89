//! A node's configuration: one TOML file, read once at start.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contracts::encoding::Bytes32;
use contracts::ids::{Committee, NodeId, quorum};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ceremony::KeyId;

/// Largest configuration file that is read, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 256 * 1024;
/// Fewest members of a committee: FROST needs a threshold of two and the quorum of three is two.
pub const MIN_MEMBERS: usize = 3;
/// Most members of a committee.
pub const MAX_MEMBERS: usize = 32;
/// Largest clock offset, in seconds (100 years).
const MAX_CLOCK_OFFSET: i64 = 100 * 366 * 86_400;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {path}: {cause}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Larger than [`MAX_CONFIG_BYTES`].
    #[error("configuration {0}: larger than {MAX_CONFIG_BYTES} bytes")]
    TooLarge(PathBuf),
    /// Not TOML of this form.
    #[error("configuration: {0}")]
    Toml(#[from] toml::de::Error),
    /// A field with a value that cannot be.
    #[error("configuration field {field}: {problem}")]
    Field {
        /// Which field.
        field: String,
        /// What is wrong, and what to write.
        problem: String,
    },
}

impl ConfigError {
    fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

/// Another node, or this one: every node of the network is listed in every node's file, this one included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Its number, also its FROST identifier.
    pub id: NodeId,
    /// Where it answers, such as `http://127.0.0.1:7001`.
    pub url: String,
    /// Ed25519 public key that signs its messages, as `oracle init` printed it.
    pub identity_key: Bytes32,
    /// X25519 public key that messages to it are sealed to, as `oracle init` printed it.
    pub hpke_key: Bytes32,
    /// Epoch of the HPKE key, from 1; raised when the key is replaced.
    #[serde(default = "first_epoch")]
    pub hpke_epoch: u64,
}

/// A committee and who sits on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitteeConfig {
    /// Which.
    pub name: Committee,
    /// Its members; the threshold follows: `t = ⌊(n+f)/2⌋ + 1` with `f = ⌊(n−1)/3⌋`.
    pub members: Vec<NodeId>,
    /// Epoch of its keys, from 1; part of everything it signs.
    #[serde(default = "first_epoch")]
    pub epoch: u64,
}

impl CommitteeConfig {
    /// Good answers needed to sign.
    pub fn threshold(&self) -> u16 {
        u16::try_from(self.members.len()).map_or(u16::MAX, quorum)
    }
}

fn first_epoch() -> u64 {
    1
}

fn default_peer_timeout() -> u64 {
    3_000
}

/// A node's configuration. It may hold a database password and keys to sources, so `Debug` prints neither.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// This node's number.
    pub id: NodeId,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Folder of the database, the identity and, unless set apart, the operator key.
    pub data_dir: PathBuf,
    /// File with the key that encrypts key shares at rest; `operator.key` in `data_dir` if not set. Better on another
    /// device: who has both folder and key has the shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_key_file: Option<PathBuf>,
    /// `postgres://…`, or a SQLite file `node.db` in `data_dir` if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// Seconds added to the system clock, for a simulated calendar.
    #[serde(default)]
    pub clock_offset_seconds: i64,
    /// How long a peer has for one answer, in milliseconds.
    #[serde(default = "default_peer_timeout")]
    pub peer_timeout_ms: u64,
    /// Every node of the network.
    pub peers: Vec<PeerConfig>,
    /// Every committee this node sits on or speaks to.
    pub committees: Vec<CommitteeConfig>,
    /// Settings of roles by name, such as `[roles.attest]`; each role reads its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, toml::Value>,
}

impl fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeConfig")
            .field("id", &self.id)
            .field("listen", &self.listen)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

impl NodeConfig {
    /// Reads and checks a file. Relative paths in it are relative to the file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |cause| ConfigError::Read {
            path: path.to_owned(),
            cause,
        };
        if std::fs::metadata(path).map_err(read)?.len() > MAX_CONFIG_BYTES {
            return Err(ConfigError::TooLarge(path.to_owned()));
        }
        let mut config = Self::parse(&std::fs::read_to_string(path).map_err(read)?)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.data_dir = folder.join(&config.data_dir);
        config.operator_key_file = config.operator_key_file.map(|file| folder.join(file));
        Ok(config)
    }

    /// Parses and checks the text of a file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`ConfigError::Field`] naming the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(-MAX_CLOCK_OFFSET..=MAX_CLOCK_OFFSET).contains(&self.clock_offset_seconds) {
            return Err(ConfigError::field(
                "clock_offset_seconds",
                "more than 100 years",
            ));
        }
        if !(10..=60_000).contains(&self.peer_timeout_ms) {
            return Err(ConfigError::field("peer_timeout_ms", "write 10 to 60000"));
        }
        let mut known = BTreeMap::new();
        for peer in &self.peers {
            let field = format!("peers (node {})", peer.id);
            let url = url::Url::parse(&peer.url)
                .map_err(|error| ConfigError::field(&field, format!("url: {error}")))?;
            if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
                return Err(ConfigError::field(&field, "url: write http://HOST:PORT"));
            }
            if known.insert(peer.id, ()).is_some() {
                return Err(ConfigError::field(&field, "listed twice"));
            }
        }
        if !known.contains_key(&self.id) {
            return Err(ConfigError::field(
                "peers",
                format!("node {} itself is missing", self.id),
            ));
        }
        let mut named = BTreeMap::new();
        for committee in &self.committees {
            let field = format!("committees ({})", committee.name);
            if named.insert(committee.name, ()).is_some() {
                return Err(ConfigError::field(field, "listed twice"));
            }
            if !(MIN_MEMBERS..=MAX_MEMBERS).contains(&committee.members.len()) {
                return Err(ConfigError::field(
                    field,
                    format!("members: name {MIN_MEMBERS} to {MAX_MEMBERS} nodes"),
                ));
            }
            let mut seen = BTreeMap::new();
            for member in &committee.members {
                if !known.contains_key(member) {
                    return Err(ConfigError::field(
                        field,
                        format!("members: node {member} is not among the peers"),
                    ));
                }
                if seen.insert(*member, ()).is_some() {
                    return Err(ConfigError::field(
                        field,
                        format!("members: node {member} is listed twice"),
                    ));
                }
            }
            if committee.epoch == 0 || i64::try_from(committee.epoch).is_err() {
                return Err(ConfigError::field(field, "epoch: counts from 1"));
            }
        }
        Ok(())
    }

    /// A committee's entry.
    pub fn committee(&self, name: Committee) -> Option<&CommitteeConfig> {
        self.committees
            .iter()
            .find(|committee| committee.name == name)
    }

    /// The committee that holds a key.
    pub fn committee_of(&self, key: KeyId) -> Option<&CommitteeConfig> {
        self.committee(key.committee())
    }

    /// Whether this node sits on a committee.
    pub fn serves(&self, name: Committee) -> bool {
        self.committee(name)
            .is_some_and(|committee| committee.members.contains(&self.id))
    }

    /// The keys of the committees listed here.
    pub fn keys(&self) -> Vec<KeyId> {
        KeyId::ALL
            .into_iter()
            .filter(|key| self.committee_of(*key).is_some())
            .collect()
    }

    /// This node's own entry among the peers.
    ///
    /// # Errors
    /// [`ConfigError::Field`] if it is missing.
    pub fn own(&self) -> Result<&PeerConfig, ConfigError> {
        self.peers
            .iter()
            .find(|peer| peer.id == self.id)
            .ok_or_else(|| {
                ConfigError::field("peers", format!("node {} itself is missing", self.id))
            })
    }

    /// Settings of a role, `None` if the file has no `[roles.NAME]`.
    ///
    /// # Errors
    /// [`ConfigError::Field`] for settings the role does not understand.
    pub fn role<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        self.roles
            .get(name)
            .map(|value| {
                value.clone().try_into().map_err(|error: toml::de::Error| {
                    ConfigError::field(format!("roles.{name}"), error.message())
                })
            })
            .transpose()
    }

    /// How long a peer has for one answer.
    pub fn peer_timeout(&self) -> Duration {
        Duration::from_millis(self.peer_timeout_ms)
    }

    /// The database.
    pub fn database_url(&self) -> String {
        self.database_url
            .clone()
            .unwrap_or_else(|| crate::db::sqlite_url(&self.data_dir.join("node.db")))
    }

    /// The operator key file.
    pub fn operator_key_file(&self) -> PathBuf {
        self.operator_key_file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("operator.key"))
    }

    /// The file of the node's own identity, sealed under the operator key.
    pub fn identity_file(&self) -> PathBuf {
        self.data_dir.join("identity.sealed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        let key = Bytes32::from([7; 32]);
        let peers: String = (1..=4)
            .map(|id| {
                format!(
                    "[[peers]]\nid = {id}\nurl = \"http://127.0.0.1:700{id}\"\nidentity_key = \"{key}\"\nhpke_key = \"{key}\"\n"
                )
            })
            .collect();
        format!(
            "id = 1\nlisten = \"127.0.0.1:7001\"\ndata_dir = \"one\"\n{peers}\
             [[committees]]\nname = \"income\"\nmembers = [1, 2, 3, 4]\n[roles.x]\na = 1\n"
        )
    }

    #[test]
    fn a_file_is_read_and_the_threshold_follows() {
        let config = NodeConfig::parse(&text()).unwrap();
        assert!(config.serves(Committee::Income) && !config.serves(Committee::Ledger));
        assert_eq!(config.committee(Committee::Income).unwrap().threshold(), 3);
        let role: Option<BTreeMap<String, i64>> = config.role("x").unwrap();
        assert_eq!(role.unwrap()["a"], 1);
        let again = NodeConfig::parse(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn the_example_is_a_configuration() {
        let config = NodeConfig::parse(include_str!("../oracle.example.toml")).unwrap();
        assert_eq!(config.peers.len(), 4);
        assert_eq!(
            config.committee(Committee::Identity).unwrap().threshold(),
            3
        );
    }

    #[test]
    fn debug_prints_no_password_and_no_key_of_a_source() {
        let mut config = NodeConfig::parse(&text()).unwrap();
        config.database_url = Some("postgres://node:hunter2@db/node".to_owned());
        config.roles.insert("attest".to_owned(), "hunter2".into());
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_field() {
        for (from, to, field) in [
            ("members = [1, 2, 3, 4]", "members = [1, 2, 3, 9]", "node 9"),
            ("members = [1, 2, 3, 4]", "members = [1, 2, 3, 3]", "twice"),
            ("members = [1, 2, 3, 4]", "members = [1, 2]", "3 to 32"),
            ("id = 1\nlisten", "id = 5\nlisten", "itself"),
            ("http://127.0.0.1:7002", "ftp://x", "url"),
            ("data_dir", "data_dri", "data_dri"),
        ] {
            let error = NodeConfig::parse(&text().replace(from, to))
                .unwrap_err()
                .to_string();
            assert!(error.contains(field), "{to}: {error}");
        }
    }
}
