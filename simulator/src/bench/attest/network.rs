//! Four oracle processes on the identity and ledger committees, and enrolled owners who ask as the profile does.

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::catalogue::catalogue;
use contracts::encoding::{Bytes, Bytes32};
use contracts::group::Point;
use contracts::ids::{Committee, Domain, NodeId};
use contracts::issuance::EnrolSecrets;
use contracts::rules::Fact;
use contracts::trust::Trust;
use contracts::units::Day;
use curve25519_dalek::scalar::Scalar;
use oracles::ceremony::dkg;
use oracles::clock::Clock;
use oracles::config::{CommitteeConfig, NodeConfig, PeerConfig};
use oracles::hpke::NodeKeyPair;
use oracles::peer::Peers;
use oracles::wire::HpkeBox;
use oracles::wire::enrol::{Claims, Ssn, VERSION, seal_claims};
use oracles::wire::info::NodeInfo;
use profile::config::ProfileConfig;
use profile::oracle::{Applicant, Oracles, Owner, Wanted};
use profile::wallet::{Entropy, SigningKey, Wallet};
use rand::rngs::OsRng;
use serde_json::json;

use super::super::cpu;
use super::random;
use crate::demo::folder::Folder;
use crate::demo::oracle_config::{self, SourceAccess};
use crate::demo::process::RoleProcess;
use crate::demo::setup::{to_toml, write_trust};
use crate::external;

pub const NODES: u16 = 4;
/// Facts of one question, all of the registry; `identity.person` is known by its own point and left out.
const FACTS: [&str; 4] = [
    "identity.birth_date",
    "identity.medicaid_immigration_status",
    "identity.medicare",
    "identity.ssi",
];
/// Leaves of each fact, one per audience: the profile's default.
const INDEXES: u32 = 4;
/// Leaves of one question.
pub const LEAVES: usize = FACTS.len() * INDEXES as usize;
/// The contract and audience that the leaves' purposes name.
const CONTRACT: Bytes32 = Bytes([7; 32]);
const AUDIENCE: &str = "https://agency.example";

/// The processes, and what the owners need.
pub struct Network {
    _folder: Folder,
    processes: Vec<RoleProcess>,
    oracles: Arc<Oracles>,
    roots: Arc<Mutex<HashMap<Bytes32, u64>>>,
    day: Day,
}

/// An enrolled owner.
#[derive(Clone)]
pub struct Asker(Arc<Enrolled>);

struct Enrolled {
    oracles: Arc<Oracles>,
    roots: Arc<Mutex<HashMap<Bytes32, u64>>>,
    wallet: Wallet,
    authorisation: SigningKey,
    handles: Vec<(NodeId, HpkeBox)>,
    subject: Point,
    day: Day,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn free() -> Result<SocketAddr, String> {
    // Bound, noted and let go: the node binds it again.
    let listener = TcpListener::bind("127.0.0.1:0").map_err(text)?;
    listener.local_addr().map_err(text)
}

impl Network {
    pub async fn start() -> Result<Self, String> {
        let folder = Folder::open(None).map_err(text)?;
        let day = Clock::system().today();
        let registry = external::registry::create(&folder.path("sources"), day)
            .await
            .map_err(text)?;
        let configs = configs(&folder, &registry)?;
        let mut processes = Vec::new();
        for config in &configs {
            let name = format!("oracle-{}", config.id);
            let toml = to_toml(config).map_err(text)?;
            let file = folder.write(&format!("config/{name}.toml"), toml.as_bytes());
            let (ready, log) = (
                folder.path(format!("config/{name}.ready")),
                folder.path(format!("logs/{name}.log")),
            );
            let file = file.map_err(text)?;
            processes.push(RoleProcess::start("oracle", &name, &file, ready, &log).await?);
        }
        let first = configs.first().ok_or("no nodes")?;
        let identity = oracle_config::identity(&folder, first.id).map_err(text)?;
        let peers = Peers::new(first, identity).map_err(text)?;
        dkg::generate_all(first, &peers).await.map_err(text)?;

        let mut infos: Vec<NodeInfo> = Vec::new();
        for config in &configs {
            let url = format!("http://{}/v1/info", config.listen);
            let client = oracles::http::client();
            infos.push(oracles::http::get_json(&client, &url).await.map_err(text)?);
        }
        write_trust(&folder, &infos, NODES).map_err(text)?;
        let trust = std::fs::read(folder.path("trust.json")).map_err(text)?;
        let trust = Trust::parse(&trust).map_err(text)?;
        let config = ProfileConfig::parse(&profile_config(&configs)?).map_err(text)?;
        Ok(Self {
            _folder: folder,
            processes,
            oracles: Arc::new(Oracles::new(&config, trust, Clock::system())),
            roots: Arc::default(),
            day,
        })
    }

    /// Enrols the fixtures' people.
    pub async fn enrol(&self) -> Result<Vec<Asker>, String> {
        let mut askers = Vec::new();
        for person in external::people(self.day).map_err(text)?.iter().take(4) {
            let wallet = Wallet::new(&Entropy::generate()).map_err(text)?;
            let keys: Vec<(Domain, SigningKey)> = Domain::ALL
                .into_iter()
                .map(|domain| Ok((domain, wallet.authorisation(domain, 0).map_err(text)?)))
                .collect::<Result<_, String>>()?;
            let identity = keys.iter().find(|(domain, _)| *domain == Domain::Identity);
            let (_, identity) = identity.ok_or("no identity key")?;
            let (secrets, enrol_id) = (
                EnrolSecrets::random(Scalar::random(&mut OsRng), &mut OsRng),
                random(),
            );
            let claims = Claims {
                version: VERSION,
                ssn: Ssn::parse(&person.ssn).map_err(text)?,
                given_name: person.given_name.clone(),
                family_name: person.family_name.clone(),
                birth_date: person.birth_date.parse().map_err(text)?,
                consents: Domain::ALL.to_vec(),
                authorisation_key: identity.x_only(),
                enrol_id,
            };
            let claims = seal_claims(&claims, &self.oracles.recipients()).map_err(text)?;
            let applicant = Applicant {
                enrol_id,
                keys: &keys,
                secrets: &secrets,
                response: &NodeKeyPair::generate(),
                replaces: false,
            };
            let enrolled = self
                .oracles
                .enrol(&applicant, &claims)
                .await
                .map_err(text)?;
            let of_domain = enrolled.handles.iter();
            let of_domain = of_domain.filter(|it| it.domain == Domain::Identity);
            let subject = enrolled.subjects.iter();
            let subject = subject
                .copied()
                .find(|(domain, _)| *domain == Domain::Identity);
            askers.push(Asker(Arc::new(Enrolled {
                oracles: self.oracles.clone(),
                roots: self.roots.clone(),
                authorisation: wallet.authorisation(Domain::Identity, 0).map_err(text)?,
                wallet,
                handles: of_domain.map(|it| (it.node, it.sealed.clone())).collect(),
                subject: subject.ok_or("no subject")?.1,
                day: self.day,
            })));
        }
        Ok(askers)
    }

    /// Processor time of the nodes and of this process.
    pub fn cpu(&self) -> Result<Duration, String> {
        let mut sum = cpu::used("self")?;
        for process in &self.processes {
            let id = process.id().ok_or("an oracle has died")?;
            sum += cpu::used(&id.to_string())?;
        }
        Ok(sum)
    }

    /// Batches seen, and their leaves on average.
    pub fn batches(&self) -> (usize, f64) {
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        let leaves: u64 = roots.values().sum();
        (roots.len(), leaves as f64 / roots.len().max(1) as f64)
    }

    pub async fn end(&mut self) {
        for process in &mut self.processes {
            process.kill().await;
        }
    }
}

impl Asker {
    /// One question: the leaves attested.
    pub async fn ask(&self, number: u32) -> Result<u64, String> {
        let own = &self.0;
        let mut wanted = Vec::with_capacity(LEAVES);
        for (at, attribute) in (0..).zip(FACTS) {
            let attribute = catalogue().get(&attribute.into()).ok_or(attribute)?;
            let period = attribute.period.period(own.day).map_err(text)?;
            for index in 0..INDEXES {
                let wallet_index = number * LEAVES as u32 + at * INDEXES + index;
                wanted.push(Wanted {
                    fact: Fact {
                        attribute: attribute.id.clone(),
                        period,
                    },
                    index,
                    audience: AUDIENCE.to_owned(),
                    contract: CONTRACT,
                    withheld: false,
                    freshness_days: attribute.freshness_days,
                    wallet_index,
                    keys: own
                        .wallet
                        .leaf(Domain::Identity, wallet_index)
                        .map_err(text)?,
                });
            }
        }
        let owner = Owner {
            authorisation: &own.authorisation,
            handles: &own.handles,
            subject: &own.subject,
            person: None,
        };
        let attested = own.oracles.attest(Domain::Identity, &wanted, &owner).await;
        let leaves = attested.map_err(text)?;
        let mut roots = own.roots.lock().unwrap_or_else(PoisonError::into_inner);
        for leaf in &leaves {
            let statement = &leaf.attestation.root.statement;
            roots.insert(statement.root, statement.size);
        }
        Ok(leaves.len() as u64)
    }
}

fn configs(folder: &Folder, registry: &std::path::Path) -> Result<Vec<NodeConfig>, String> {
    // Nobody asks for income or health here.
    let nobody = "http://127.0.0.1:9".to_owned();
    let mut roles = oracle_config::roles(&SourceAccess {
        registry,
        payroll: nobody.clone(),
        payroll_key: "none",
        ehr: nobody,
        ehr_key: "none",
    })
    .map_err(text)?;
    if let Some(attest) = roles.get_mut("attest").and_then(toml::Value::as_table_mut) {
        attest.insert("requests_per_day".to_owned(), 1_000_000.into());
    }
    let mut peers = Vec::new();
    let mut doors = BTreeMap::new();
    for id in oracle_config::first_nodes(NODES) {
        let (owners, others) = (free()?, free()?);
        let keys = oracle_config::identity(folder, id)
            .map_err(text)?
            .public_keys();
        let (url, peer_url) = (format!("http://{owners}"), format!("https://{others}"));
        peers.push(PeerConfig::new(id, url, peer_url, &keys));
        doors.insert(id, (owners, others));
    }
    let members: Vec<NodeId> = doors.keys().copied().collect();
    let committee = |name| CommitteeConfig {
        name,
        members: members.clone(),
        epoch: 1,
    };
    let committees: Vec<_> = Committee::ALL.into_iter().map(committee).collect();
    let config = |(id, (listen, peer_listen)): (NodeId, (SocketAddr, SocketAddr))| NodeConfig {
        id,
        listen,
        peer_listen,
        tls_certificate_file: None,
        tls_key_file: None,
        plain_http: false,
        data_dir: folder.path(format!("oracles/{id}")),
        operator_key_file: None,
        database_url: None,
        clock_offset_seconds: 0,
        peer_timeout_ms: 10_000,
        peers: peers.clone(),
        committees: committees.clone(),
        roles: roles.clone(),
    };
    Ok(doors.clone().into_iter().map(config).collect())
}

fn profile_config(configs: &[NodeConfig]) -> Result<String, String> {
    let first = configs.first().ok_or("no nodes")?;
    let nodes: Vec<_> = first
        .peers
        .iter()
        .map(|peer| {
            json!({
                "id": peer.id,
                "url": peer.url,
                "hpke_key": peer.hpke_key,
                "hpke_epoch": peer.hpke_epoch,
            })
        })
        .collect();
    let committees: Vec<_> = first
        .committees
        .iter()
        .map(|it| json!({"committee": it.name, "members": it.members}))
        .collect();
    // No service is started from it: it says who the oracles are and how long they are waited for.
    let secret = json!({"env": "UNUSED"});
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
    let key: Bytes32 = Bytes(key.to_bytes());
    let config = json!({
        "listen": "127.0.0.1:0",
        "database": "sqlite::memory:",
        "operator_key": secret,
        "navigator_token": secret,
        "trust": "trust.json",
        "nodes": nodes,
        "committees": committees,
        "notifier": {"url": "http://127.0.0.1:9", "token": secret, "public_key": key},
        "agencies": [],
        "ask": {"call_timeout_ms": 60_000, "coordinate_timeout_ms": 60_000, "nonce_wait_ms": 5_000},
    });
    to_toml(&config).map_err(text)
}
