//! Four nodes on every committee, with keys generated over the network.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use contracts::ids::{Committee, NodeId};
use contracts::units::Day;
use oracles::ceremony::dkg;
use oracles::clock::Clock;
use oracles::config::{CommitteeConfig, NodeConfig, PeerConfig};
use oracles::keys::{NodeIdentity, OperatorKey};
use oracles::node::{Doors, RunningNode, start_with};

use super::externals::{Payroll, registry};

pub const COMMITTEES: [Committee; 3] = [Committee::Identity, Committee::Income, Committee::Ledger];

pub fn node(number: u16) -> NodeId {
    NodeId::new(number).unwrap()
}

pub struct Network {
    pub registry: PathBuf,
    pub payroll: Payroll,
    pub nodes: Vec<Option<RunningNode>>,
    pub configs: Vec<NodeConfig>,
    pub folder: tempfile::TempDir,
}

/// The roles of a node: payroll twice, so that there are sources to disagree.
fn roles(registry: &Path, payroll: &str, second: &str) -> String {
    format!(
        r#"
[ledger]
origin = "ledger.test/log"

[[attest.source]]
name = "registry"
kind = "sql"
url = "sqlite://{}"
[[attest.source]]
name = "payroll"
kind = "emmy"
url = "{payroll}"
api_key = "k"
limits = {{ timeout_ms = 500, retries = 1 }}
[[attest.source]]
name = "wages"
kind = "emmy"
url = "{second}"
api_key = "k"
limits = {{ timeout_ms = 500, retries = 1 }}

[[attest.attribute]]
id = "identity.person"
[[attest.attribute.read]]
source = "registry"
kind = "sql"
query = "SELECT ssn FROM person WHERE replace(ssn, '-', '') = $1"
bind = ["ssn"]
value = {{ as = "exists" }}

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
id = "identity.medicaid_immigration_status"
[[attest.attribute.read]]
source = "registry"
kind = "sql"
query = "SELECT status_code FROM person WHERE person_id = $1"
bind = ["person_id"]
value = {{ as = "flag_in", codes = ["USC", "LPR5"] }}

[[attest.attribute]]
id = "income.magi_monthly"
[[attest.attribute.read]]
source = "payroll"
kind = "emmy"
[[attest.attribute.read]]
source = "wages"
kind = "emmy"

[enrol]
refused_claims_per_day = 10
[[enrol.proof]]
source = "registry"
query = "SELECT ssn, given_name, family_name, birth_date, person_id, case_number FROM person WHERE replace(ssn, '-', '') = $1"
[[enrol.proof]]
source = "registry"
query = "SELECT ssn, given_name, family_name, birth_date FROM vital_record WHERE replace(ssn, '-', '') = $1"
[enrol.handle.identity]
ssn = "claims.ssn"
person_id = "person_id"
[enrol.handle.income]
case_number = "case_number"
ssn_last4 = "claims.ssn_last4"
"#,
        registry.display()
    )
}

impl Network {
    pub async fn start() -> Self {
        Self::start_with_liars(&[]).await
    }

    /// Nodes listed read both their income sources from `lies`.
    pub async fn start_with_liars(lies: &[(u16, &Payroll)]) -> Self {
        Self::start_with_more(lies, "").await
    }

    /// As [`Self::start_with_liars`], with more settings of roles for all nodes.
    pub async fn start_with_more(lies: &[(u16, &Payroll)], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("registry.db");
        registry(&database).await;
        let payroll = Payroll::start().await;
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let all_doors: Vec<Doors> = (0..4)
            .map(|_| Doors {
                owners: free(),
                peers: free(),
            })
            .collect();
        let mut peers = Vec::new();
        for (number, doors) in (1..=4).zip(&all_doors) {
            let dir = folder.path().join(number.to_string());
            std::fs::create_dir(&dir).unwrap();
            let operator = OperatorKey::create(&dir.join("operator.key")).unwrap();
            let identity = NodeIdentity::generate();
            identity
                .save(&dir.join("identity.sealed"), &operator)
                .unwrap();
            let url = format!("http://{}", doors.owners.local_addr().unwrap());
            let peer_url = format!("https://{}", doors.peers.local_addr().unwrap());
            let keys = identity.public_keys();
            peers.push(PeerConfig::new(node(number), url, peer_url, &keys));
        }
        let (mut nodes, mut configs) = (Vec::new(), Vec::new());
        for (number, doors) in (1..=4).zip(all_doors) {
            let lie = lies.iter().find(|(liar, _)| *liar == number);
            let income = lie.map_or(payroll.url.as_str(), |(_, lie)| lie.url.as_str());
            let config = NodeConfig {
                id: node(number),
                listen: doors.owners.local_addr().unwrap(),
                peer_listen: doors.peers.local_addr().unwrap(),
                tls_certificate_file: None,
                tls_key_file: None,
                plain_http: false,
                data_dir: folder.path().join(number.to_string()),
                operator_key_file: None,
                database_url: None,
                clock_offset_seconds: 0,
                // A machine that does other work must not make an honest node look silent.
                peer_timeout_ms: 15_000,
                peers: peers.clone(),
                committees: COMMITTEES
                    .into_iter()
                    .map(|name| CommitteeConfig {
                        name,
                        members: (1..=4).map(node).collect(),
                        epoch: 1,
                    })
                    .collect(),
                roles: toml::from_str(&(roles(&database, income, income) + more)).unwrap(),
            };
            configs.push(config.clone());
            let started = start_with(config, doors, |_, _| Box::pin(async { Ok(()) })).await;
            nodes.push(Some(started.unwrap()));
        }
        let first = nodes[0].as_ref().unwrap().node();
        dkg::generate_all(first.config(), first.peers())
            .await
            .unwrap();
        Self {
            registry: database,
            payroll,
            nodes,
            configs,
            folder,
        }
    }

    /// Today by the nodes' clock.
    pub fn today(&self) -> Day {
        Clock::with_offset(self.configs[0].clock_offset_seconds).today()
    }

    /// Moves the calendar of all nodes by restarting them.
    pub async fn sleep_days(&mut self, days: i64) {
        for config in &mut self.configs {
            config.clock_offset_seconds += days * 86_400;
        }
        for number in 1..=4 {
            self.restart(number).await;
        }
    }

    pub async fn stop(&mut self, number: u16) {
        if let Some(running) = self.nodes[usize::from(number) - 1].take() {
            running.stop().await;
        }
    }

    pub async fn restart(&mut self, number: u16) {
        self.stop(number).await;
        let config = self.configs[usize::from(number) - 1].clone();
        let doors = loop {
            match Doors::bind(&config) {
                Ok(doors) => break doors,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        };
        let started = start_with(config, doors, |_, _| Box::pin(async { Ok(()) })).await;
        self.nodes[usize::from(number) - 1] = Some(started.unwrap());
    }
}
