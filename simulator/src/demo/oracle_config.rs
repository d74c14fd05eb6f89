//! The oracles' configuration: who sits where, which sources are read, how attributes map to them.

use std::collections::BTreeMap;
use std::path::Path;

use contracts::ids::{Committee, NodeId};
use oracles::config::{CommitteeConfig, NodeConfig, PeerConfig};
use oracles::keys::{NodeIdentity, OperatorKey};

use super::folder::Folder;
use super::network::{Network, oracle_name, peer_door};
use super::{AUDIENCE, AUDIENCE_AWAY, DemoError, INSURER, ISSUER, ORACLES, ORIGIN};

/// The attributes that the demo's sources hold, all that [`roles`] maps.
pub const ATTRIBUTES: [&str; 11] = [
    "identity.person",
    "identity.birth_date",
    "identity.medicaid_immigration_status",
    "identity.medicare",
    "identity.ssi",
    "residence.state",
    "household.size",
    "household.caretaker_relative",
    "household.former_foster_care",
    "income.magi_monthly",
    "medical.pregnant",
];

/// The oracles' numbers.
pub fn nodes() -> impl Iterator<Item = NodeId> {
    first_nodes(ORACLES)
}

/// The numbers of a network of `count` oracles.
pub fn first_nodes(count: u16) -> impl Iterator<Item = NodeId> {
    (1..=count).filter_map(|number| NodeId::new(number).ok())
}

/// Where the sources are, and the keys to read them with.
pub struct SourceAccess<'a> {
    /// `registry.db`.
    pub registry: &'a Path,
    /// Where the payroll service answers.
    pub payroll: String,
    /// Key at the payroll service.
    pub payroll_key: &'a str,
    /// Where the EHR answers.
    pub ehr: String,
    /// Key at the EHR.
    pub ehr_key: &'a str,
}

/// Makes an identity in a node's folder, or reads the one it has.
///
/// # Errors
/// The folder cannot be used.
pub fn identity(folder: &Folder, node: NodeId) -> Result<NodeIdentity, DemoError> {
    let home = folder.make(&format!("oracles/{node}"))?;
    let failed = |error: oracles::keys::KeyError| DemoError::Other(error.to_string());
    let key_file = home.join("operator.key");
    let operator = if key_file.exists() {
        OperatorKey::load(&key_file)
    } else {
        OperatorKey::create(&key_file)
    }
    .map_err(failed)?;
    let file = home.join("identity.sealed");
    if file.exists() {
        return NodeIdentity::load(&file, &operator).map_err(failed);
    }
    let identity = NodeIdentity::generate();
    identity.save(&file, &operator).map_err(failed)?;
    Ok(identity)
}

/// The configuration of each of the first `count` oracles. Each sits on every committee here, with separate keys: what that costs is that one
/// operator sees facts of all domains and the decisions too, which separate committees exist to prevent.
///
/// # Errors
/// An identity cannot be made, or the mapping is not one.
pub fn configs(
    folder: &Folder,
    network: &Network<'_>,
    sources: &SourceAccess<'_>,
    clock_offset_seconds: i64,
    count: u16,
) -> Result<Vec<NodeConfig>, DemoError> {
    let mut peers = Vec::new();
    for node in first_nodes(count) {
        let own = identity(folder, node)?;
        peers.push(PeerConfig::new(
            node,
            network.url(&oracle_name(node)),
            network.url(&peer_door(node)),
            &own.public_keys(),
        ));
    }
    let committees: Vec<_> = Committee::ALL
        .into_iter()
        .map(|name| CommitteeConfig {
            name,
            members: first_nodes(count).collect(),
            epoch: 1,
        })
        .collect();
    let roles = roles(sources)?;
    Ok(first_nodes(count)
        .map(|id| NodeConfig {
            id,
            listen: ([127, 0, 0, 1], 0).into(),
            peer_listen: ([127, 0, 0, 1], 0).into(),
            tls_certificate_file: None,
            tls_key_file: None,
            plain_http: false,
            data_dir: folder.path(format!("oracles/{id}")),
            operator_key_file: None,
            database_url: None,
            clock_offset_seconds,
            peer_timeout_ms: 3_000,
            peers: peers.clone(),
            committees: committees.clone(),
            roles: roles.clone(),
        })
        .collect())
}

/// The settings of an oracle's roles: the same for all that read the same sources.
///
/// # Errors
/// The mapping is not one.
pub fn roles(sources: &SourceAccess<'_>) -> Result<BTreeMap<String, toml::Value>, DemoError> {
    toml::from_str(&roles_text(sources))
        .map_err(|error| DemoError::Other(format!("oracle roles: {error}")))
}

/// The settings of a node that watches: the feeds of payroll, registry and EHR.
///
/// # Errors
/// They are none.
pub fn watch() -> Result<toml::Value, DemoError> {
    toml::from_str(FEEDS).map_err(|error| DemoError::Other(format!("feeds: {error}")))
}

/// Looked at every second: a run's days are seconds long.
const FEEDS: &str = r#"
[[feed]]
name = "payroll"
source = "payroll"
key = "case_number"
every_s = 1
[feed.read]
kind = "json"
path = "api/v1/changes"
query = { since = "{since}" }
records = "/changes"
key = "/case_number"
marker = "/changed_at"

[[feed]]
name = "registry"
source = "registry"
key = "person_id"
every_s = 1
start = "0"
[feed.read]
kind = "sql"
query = "SELECT person_id AS key, change AS marker FROM record_change WHERE change >= $1 ORDER BY change"

[[feed]]
name = "ehr"
source = "ehr"
key = "ehr_id"
every_s = 1
[feed.read]
kind = "fhir"
resource = "condition"
identifier_system = "https://ehr.example/mrn"
"#;

fn roles_text(sources: &SourceAccess<'_>) -> String {
    let registry = sources.registry.display();
    let (payroll, payroll_key) = (&sources.payroll, sources.payroll_key);
    let (ehr, ehr_key) = (&sources.ehr, sources.ehr_key);
    let person = |id: &str, column: &str, conversion: &str| {
        format!(
            r#"
[[attest.attribute]]
id = "{id}"
[[attest.attribute.read]]
source = "registry"
kind = "sql"
query = "SELECT {column} FROM person WHERE person_id = $1"
bind = ["person_id"]
value = {conversion}
"#
        )
    };
    let household = |id: &str, column: &str, conversion: &str| {
        person(id, column, conversion).replace("FROM person", "FROM household")
    };
    let residence = |id: &str, column: &str, conversion: &str| {
        person(id, column, conversion).replace("FROM person", "FROM residence")
    };
    [
        format!(
            r#"
[ledger]
origin = "{ORIGIN}"

[decision]
issuer = "{ISSUER}"
audiences = ["{AUDIENCE}", "{AUDIENCE_AWAY}"]
insurers = ["{INSURER}"]

[[attest.source]]
name = "registry"
kind = "sql"
url = "sqlite://{registry}"

[[attest.source]]
name = "payroll"
kind = "emmy"
url = "{payroll}"
api_key = "{payroll_key}"

[[attest.source]]
name = "ehr"
kind = "fhir"
url = "{ehr}"
api_key = "{ehr_key}"

[[enrol.proof]]
source = "registry"
query = """SELECT ssn, given_name, family_name, birth_date, person_id, case_number, ehr_id
FROM person WHERE replace(ssn, '-', '') = $1"""

[[enrol.proof]]
source = "registry"
query = "SELECT ssn, given_name, family_name, birth_date FROM vital_record WHERE replace(ssn, '-', '') = $1"

[enrol.handle.identity]
ssn = "claims.ssn"
person_id = "person_id"

[enrol.handle.residence]
person_id = "person_id"

[enrol.handle.income]
case_number = "case_number"
ssn_last4 = "claims.ssn_last4"

[enrol.handle.household]
person_id = "person_id"

[enrol.handle.medical]
ehr_id = "ehr_id"

[[attest.attribute]]
id = "identity.birth_date"
[[attest.attribute.read]]
source = "registry"
kind = "sql"
query = "SELECT birth_date FROM person WHERE person_id = $1"
bind = ["person_id"]
value = {{ as = "date" }}
[[attest.attribute.read]]
source = "registry"
kind = "sql"
query = "SELECT birth_date FROM vital_record WHERE replace(ssn, '-', '') = $1"
bind = ["ssn"]
value = {{ as = "date" }}

[[attest.attribute]]
id = "income.magi_monthly"
[[attest.attribute.read]]
source = "payroll"
kind = "emmy"

[[attest.attribute]]
id = "medical.pregnant"
[[attest.attribute.read]]
source = "ehr"
kind = "fhir"
identifier_system = "https://ehr.example/mrn"
identifier_key = "ehr_id"
codes = [{{ system = "http://snomed.info/sct", code = "77386006" }}]
"#
        ),
        person("identity.person", "person_id", r#"{ as = "exists" }"#),
        // The classes that full Medicaid covers from 2026-10-01 (P.L. 119-21 s. 71109).
        person(
            "identity.medicaid_immigration_status",
            "status_code",
            r#"{ as = "flag_in", codes = ["USC", "LPR5", "CHE", "COFA"] }"#,
        ),
        person("identity.medicare", "medicare", r#"{ as = "flag" }"#),
        person("identity.ssi", "ssi", r#"{ as = "flag" }"#),
        person(
            "household.former_foster_care",
            "former_foster_care",
            r#"{ as = "flag" }"#,
        ),
        residence("residence.state", "state", r#"{ as = "state" }"#),
        household("household.size", "size", r#"{ as = "integer" }"#),
        household(
            "household.caretaker_relative",
            "caretaker_relative",
            r#"{ as = "flag" }"#,
        ),
    ]
    .concat()
}
