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
use crate::keys::PublicKeys;

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
    /// Larger than is read.
    #[error("configuration {path}: larger than {cap} bytes")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The most that is read, in bytes.
        cap: u64,
    },
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
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

/// The text of a file of at most `cap` bytes.
pub(crate) fn read_capped(path: &Path, cap: u64) -> Result<String, ConfigError> {
    let read = |cause| ConfigError::Read {
        path: path.to_owned(),
        cause,
    };
    if std::fs::metadata(path).map_err(read)?.len() > cap {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            cap,
        });
    }
    std::fs::read_to_string(path).map_err(read)
}

/// Another node, or this one: every node of the network is listed in every node's file, this one included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Its number, also its FROST identifier.
    pub id: NodeId,
    /// Where it answers owners, such as `https://oracle-1.example.org`.
    pub url: String,
    /// Where it answers other nodes, such as `https://10.0.0.1:7101`.
    pub peer_url: String,
    /// Ed25519 public key that signs its messages, as `oracle init` printed it.
    pub identity_key: Bytes32,
    /// X25519 public key that messages to it are sealed to, as `oracle init` printed it.
    pub hpke_key: Bytes32,
    /// SHA-256 of the SubjectPublicKeyInfo of its TLS certificate, as `oracle init` printed it: the only certificate that
    /// is taken for this node.
    pub tls_pin: Bytes32,
    /// Epoch of the HPKE key, from 1; raised when the key is replaced.
    #[serde(default = "first_epoch")]
    pub hpke_epoch: u64,
}

impl PeerConfig {
    /// The entry of a node with these keys, at HPKE key epoch 1.
    pub fn new(id: NodeId, url: String, peer_url: String, keys: &PublicKeys) -> Self {
        Self {
            id,
            url,
            peer_url,
            identity_key: keys.identity_key,
            hpke_key: keys.hpke_key,
            tls_pin: keys.tls_pin,
            hpke_epoch: first_epoch(),
        }
    }
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
    /// Address to listen on for owners and the public.
    pub listen: SocketAddr,
    /// Address to listen on for other nodes, always TLS.
    pub peer_listen: SocketAddr,
    /// Certificate chain of the owners' door, PEM; with `tls_key_file` it speaks TLS 1.3. Read at start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_certificate_file: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key_file: Option<PathBuf>,
    /// Whether owners may be answered in plain HTTP on another address than loopback, for a proxy that ends TLS.
    #[serde(default)]
    pub plain_http: bool,
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
        let mut config = Self::parse(&read_capped(path, MAX_CONFIG_BYTES)?)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.data_dir = folder.join(&config.data_dir);
        for file in [
            &mut config.operator_key_file,
            &mut config.tls_certificate_file,
            &mut config.tls_key_file,
        ] {
            *file = file.take().map(|file| folder.join(file));
        }
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
        self.check_doors()?;
        let mut known = BTreeMap::new();
        let mut keys = BTreeMap::new();
        for peer in &self.peers {
            let field = format!("peers (node {})", peer.id);
            let url = |name: &str, url: &str, schemes: &[&str]| {
                url::Url::parse(url)
                    .ok()
                    .filter(|url| schemes.contains(&url.scheme()) && url.host().is_some())
                    .map(|_| ())
                    .ok_or_else(|| {
                        let form = schemes.join(" or ");
                        ConfigError::field(&field, format!("{name}: write {form}://HOST:PORT"))
                    })
            };
            url("url", &peer.url, &["http", "https"])?;
            url("peer_url", &peer.peer_url, &["https"])?;
            if known.insert(peer.id, ()).is_some() {
                return Err(ConfigError::field(&field, "listed twice"));
            }
            for (name, key) in [
                ("identity_key", peer.identity_key),
                ("hpke_key", peer.hpke_key),
                ("tls_pin", peer.tls_pin),
            ] {
                if let Some(other) = keys.insert((name, key), peer.id) {
                    return Err(ConfigError::field(
                        &field,
                        format!(
                            "{name}: the same as that of node {other}; write what its own `oracle init` printed"
                        ),
                    ));
                }
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

    fn check_doors(&self) -> Result<(), ConfigError> {
        if self.listen == self.peer_listen && self.listen.port() != 0 {
            return Err(ConfigError::field(
                "peer_listen",
                "the same as listen; nodes and owners have separate doors",
            ));
        }
        match (&self.tls_certificate_file, &self.tls_key_file) {
            (Some(_), None) => Err(ConfigError::field(
                "tls_key_file",
                "missing; write the file of the certificate's key",
            )),
            (None, Some(_)) => Err(ConfigError::field(
                "tls_certificate_file",
                "missing; write the file of the certificate chain",
            )),
            (None, None) if !self.listen.ip().is_loopback() && !self.plain_http => {
                Err(ConfigError::field(
                    "listen",
                    "not a loopback address: set tls_certificate_file and tls_key_file, or plain_http = true behind a proxy that ends TLS",
                ))
            }
            _ => Ok(()),
        }
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

    /// The database's file; none where it is Postgres.
    pub fn database_file(&self) -> Option<PathBuf> {
        let url = self.database_url();
        let path = url.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        Some(PathBuf::from(path.split('?').next().unwrap_or(path)))
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
        let peers: String = (1..=4)
            .map(|id: u8| {
                let key = Bytes32::from([id; 32]);
                format!(
                    "[[peers]]\nid = {id}\nurl = \"http://127.0.0.1:700{id}\"\npeer_url = \"https://127.0.0.1:710{id}\"\nidentity_key = \"{key}\"\nhpke_key = \"{key}\"\ntls_pin = \"{key}\"\n"
                )
            })
            .collect();
        format!(
            "id = 1\nlisten = \"127.0.0.1:7001\"\npeer_listen = \"127.0.0.1:7101\"\ndata_dir = \"one\"\n{peers}\
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

    fn key(id: u8) -> String {
        format!("tls_pin = \"{}\"", Bytes32::from([id; 32]))
    }

    #[test]
    fn seven_committees_have_members_of_their_own_among_ten_nodes() {
        let peers: String = (1..=10)
            .map(|id: u8| {
                let key = Bytes32::from([id; 32]);
                format!(
                    "[[peers]]\nid = {id}\nurl = \"http://10.0.0.{id}:7000\"\npeer_url = \"https://10.0.0.{id}:7100\"\nidentity_key = \"{key}\"\nhpke_key = \"{key}\"\ntls_pin = \"{key}\"\n"
                )
            })
            .collect();
        let committees: String = Committee::ALL
            .iter()
            .zip(1u16..)
            .map(|(name, at)| {
                let members: Vec<u16> = (0..4).map(|step| (at + step * 3 - 1) % 10 + 1).collect();
                format!("[[committees]]\nname = \"{name}\"\nmembers = {members:?}\nepoch = {at}\n")
            })
            .collect();
        let text = format!(
            "id = 5\nlisten = \"127.0.0.1:7000\"\npeer_listen = \"10.0.0.5:7100\"\ndata_dir = \"x\"\n{peers}{committees}"
        );
        let config = NodeConfig::parse(&text).unwrap();
        let mut sets: Vec<_> = config
            .committees
            .iter()
            .map(|it| it.members.clone())
            .collect();
        sets.sort();
        sets.dedup();
        assert_eq!(sets.len(), 7, "no two committees have the same members");
        let serves: Vec<_> = Committee::ALL
            .into_iter()
            .filter(|name| config.serves(*name))
            .collect();
        assert!((1..7).contains(&serves.len()), "{serves:?}");
        assert!(config.committees.iter().all(|it| it.threshold() == 3));
    }

    #[test]
    fn what_cannot_be_is_refused_by_field() {
        for (from, to, field) in [
            ("members = [1, 2, 3, 4]", "members = [1, 2, 3, 9]", "node 9"),
            ("members = [1, 2, 3, 4]", "members = [1, 2, 3, 3]", "twice"),
            ("members = [1, 2, 3, 4]", "members = [1, 2]", "3 to 32"),
            ("id = 1\nlisten", "id = 5\nlisten", "itself"),
            (
                "http://127.0.0.1:7002",
                "ftp://x",
                "url: write http or https://HOST:PORT",
            ),
            (
                "https://127.0.0.1:7102",
                "http://127.0.0.1:7102",
                "peer_url: write https://",
            ),
            (
                "listen = \"127.0.0.1:7001\"",
                "listen = \"0.0.0.0:7001\"",
                "plain_http",
            ),
            (
                "peer_listen = \"127.0.0.1:7101\"",
                "peer_listen = \"127.0.0.1:7001\"",
                "separate doors",
            ),
            (
                "data_dir = ",
                "tls_key_file = \"k.pem\"\ndata_dir = ",
                "tls_certificate_file",
            ),
            (
                "data_dir = ",
                "tls_certificate_file = \"c.pem\"\ndata_dir = ",
                "tls_key_file",
            ),
            (&key(2), &key(1), "the same as that of node 1"),
            ("data_dir", "data_dri", "data_dri"),
        ] {
            let error = NodeConfig::parse(&text().replace(from, to))
                .unwrap_err()
                .to_string();
            assert!(error.contains(field), "{to}: {error}");
        }
    }
}
