//! A desk's TOML file.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use contracts::catalogue::{Attribute, Unit, catalogue};
use contracts::encoding::Bytes32;
use contracts::ids::AttributeId;
use serde::{Deserialize, Serialize};

use super::MAX_TEXT;
use crate::config::{ConfigError, read_capped};
use crate::sources::Conversion;

const MAX_CONFIG_BYTES: u64 = 64 << 10;
const MAX_KEEP_DAYS: u16 = 3_660;

/// Somebody who may make entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaffConfig {
    /// For people; at a node it says whose key to take out when somebody leaves.
    pub name: String,
    /// Ed25519 public key, as `oracle desk key` printed it.
    pub key: Bytes32,
    /// Such as `clinician` or `caseworker`.
    pub role: String,
}

/// One form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormConfig {
    /// The catalogue's id.
    pub attribute: AttributeId,
    /// What to enter, in the words of who fills it in; the catalogue's title if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Name of the source key that says whose record it is.
    pub key: String,
    /// The same in words, such as `Medical record number`.
    pub key_label: String,
    /// Roles that may enter it.
    pub roles: Vec<String>,
    /// Roles that may enter the outcome of a review; none if not set.
    #[serde(default)]
    pub review_roles: Vec<String>,
    /// How the text becomes the attribute's integer, if not by its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Conversion>,
}

impl FormConfig {
    /// The catalogue's entry.
    pub(super) fn entry(&self) -> Option<&'static Attribute> {
        catalogue().get(&self.attribute)
    }

    pub(super) fn title(&self) -> &str {
        let catalogued = self.entry().map_or("", |entry| entry.title.as_str());
        self.label.as_deref().unwrap_or(catalogued)
    }

    /// How a typed text is read.
    pub(super) fn conversion(&self) -> Conversion {
        self.value.clone().unwrap_or_else(|| {
            match self.entry().map_or(Unit::Count, |entry| entry.unit) {
                Unit::Cents => Conversion::Dollars,
                Unit::Days => Conversion::Date,
                Unit::Count | Unit::Code => Conversion::Integer,
                Unit::Flag => Conversion::Flag,
            }
        })
    }
}

/// A desk's configuration. It may hold a database password, so `Debug` prints only its name.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskConfig {
    /// Signed into every entry; nodes name it too.
    pub name: String,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Whether another address than loopback may be listened on, for a proxy that ends TLS.
    #[serde(default)]
    pub plain_http: bool,
    /// Folder of the SQLite file `desk.db`.
    pub data_dir: PathBuf,
    /// `postgres://…` in place of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// SHA-256 of the bearer keys of the nodes that may read; one each, so that one can be taken back.
    pub reader_key_sha256: Vec<Bytes32>,
    /// Days that an entry is kept.
    #[serde(default = "a_year")]
    pub keep_days: u16,
    /// Seconds added to the system clock, for a simulated calendar.
    #[serde(default)]
    pub clock_offset_seconds: i64,
    /// Who may make entries.
    pub staff: Vec<StaffConfig>,
    /// What can be entered.
    pub form: Vec<FormConfig>,
}

fn a_year() -> u16 {
    366
}

impl std::fmt::Debug for DeskConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeskConfig({})", self.name)
    }
}

impl DeskConfig {
    /// Reads and checks a file of at most 64 KiB. A relative `data_dir` is relative to the file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(&read_capped(path, MAX_CONFIG_BYTES)?)?;
        config.data_dir = path
            .parent()
            .unwrap_or(Path::new(""))
            .join(&config.data_dir);
        config.check()?;
        Ok(config)
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`ConfigError::Field`] naming the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        let sized = |field: &str, text: &str| match text.len() {
            1..=MAX_TEXT => Ok(()),
            _ => Err(ConfigError::field(
                field,
                format!("write 1 to {MAX_TEXT} bytes"),
            )),
        };
        sized("name", &self.name)?;
        if !self.listen.ip().is_loopback() && !self.plain_http {
            return Err(ConfigError::field(
                "listen",
                "not a loopback address: set plain_http = true behind a proxy that ends TLS",
            ));
        }
        if !(1..=MAX_KEEP_DAYS).contains(&self.keep_days) {
            return Err(ConfigError::field(
                "keep_days",
                format!("write 1 to {MAX_KEEP_DAYS}"),
            ));
        }
        if self.reader_key_sha256.is_empty() {
            return Err(ConfigError::field(
                "reader_key_sha256",
                "missing; write the SHA-256 of each node's bearer key",
            ));
        }
        let mut keys = BTreeSet::new();
        for staff in &self.staff {
            let field = format!("staff ({})", staff.name);
            sized(&field, &staff.name)?;
            sized(&field, &staff.role)?;
            if !keys.insert(staff.key) {
                return Err(ConfigError::field(
                    field,
                    "key: another has the same; make a key for each",
                ));
            }
        }
        let mut forms = BTreeSet::new();
        for form in &self.form {
            let field = format!("form ({})", form.attribute);
            if form.entry().is_none() {
                return Err(ConfigError::field(
                    field,
                    "write an id of contracts/rules/catalogue.toml",
                ));
            }
            if !forms.insert(&form.attribute) {
                return Err(ConfigError::field(field, "listed twice"));
            }
            sized(&field, &form.key)?;
            for role in form.roles.iter().chain(&form.review_roles) {
                if !self.staff.iter().any(|staff| staff.role == *role) {
                    return Err(ConfigError::field(
                        field,
                        format!("role {role}: no member of staff has it"),
                    ));
                }
            }
            if form.roles.is_empty() && form.review_roles.is_empty() {
                return Err(ConfigError::field(field, "roles: name who may enter it"));
            }
        }
        if self.form.is_empty() {
            return Err(ConfigError::field(
                "form",
                "missing; add a [[form]] for what can be entered",
            ));
        }
        Ok(())
    }

    pub(super) fn database_url(&self) -> String {
        let file = || crate::db::sqlite_url(&self.data_dir.join("desk.db"));
        self.database_url.clone().unwrap_or_else(file)
    }

    pub(super) fn form(&self, attribute: &str) -> Option<&FormConfig> {
        self.form.iter().find(|form| form.attribute.0 == attribute)
    }
}
