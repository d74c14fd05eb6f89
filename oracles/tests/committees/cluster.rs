//! Four nodes over loopback, each with its own database, keys made by the real ceremony.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use contracts::encoding::Bytes;
use contracts::ids::{Committee, NodeId};
use contracts::trust::{CommitteeKey, Suite, Trust};
use contracts::units::UnixTime;
use futures::FutureExt;
use oracles::ceremony::{KeyId, dkg};
use oracles::clock::Clock;
use oracles::config::{CommitteeConfig, NodeConfig, PeerConfig};
use oracles::http;
use oracles::keys::{NodeIdentity, OperatorKey};
use oracles::node::{Doors, RunningNode, start_with};
use oracles::peer::Peers;
use reqwest::Client;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Origin of the log.
pub const ORIGIN: &str = "ledger.test/log";
/// Issuer of tokens.
pub const ISSUER: &str = "https://decision.test";
/// An agency.
pub const AUDIENCE: &str = "https://agency.test";
/// Another.
pub const OTHER_AUDIENCE: &str = "https://other.test";
/// An insurer, which keeps no cases.
pub const INSURER: &str = "https://insurer.test";

/// A node's number.
pub fn node(n: u16) -> NodeId {
    NodeId::new(n).unwrap()
}

/// The nodes and their folder.
pub struct Cluster {
    /// Removed with the cluster.
    _folder: tempfile::TempDir,
    configs: Vec<NodeConfig>,
    running: Vec<Option<RunningNode>>,
    pub client: Client,
}

impl Cluster {
    /// Starts four nodes on every committee named and generates the keys.
    pub async fn start(committees: &[Committee]) -> Self {
        Self::configured(committees, &[], [ISSUER; 4], None).await
    }

    /// As [`start`](Self::start), with fact committees' keys, an issuer per node, and the clock at an instant.
    pub async fn configured(
        committees: &[Committee],
        facts: &[CommitteeKey],
        issuers: [&str; 4],
        now: Option<UnixTime>,
    ) -> Self {
        let offset = now.map_or(0, |now| now.0 - Clock::system().now().0);
        let folder = tempfile::tempdir().unwrap();
        let mut peers = Vec::new();
        let mut listeners = Vec::new();
        for n in 1..=4 {
            let doors = free_doors();
            let data = folder.path().join(n.to_string());
            std::fs::create_dir(&data).unwrap();
            let operator = OperatorKey::create(&data.join("operator.key")).unwrap();
            let identity = NodeIdentity::generate();
            let url = format!("http://{}", doors.owners.local_addr().unwrap());
            let peer_url = format!("https://{}", doors.peers.local_addr().unwrap());
            peers.push(PeerConfig::new(
                node(n),
                url,
                peer_url,
                &identity.public_keys(),
            ));
            listeners.push((doors, data, operator, identity));
        }
        let mut cluster = Self {
            _folder: folder,
            configs: Vec::new(),
            running: Vec::new(),
            client: http::client(),
        };
        let mut first = None;
        let nodes = listeners.into_iter().zip(&peers).zip(issuers);
        for (((doors, data, operator, identity), peer), issuer) in nodes {
            let config = NodeConfig {
                id: peer.id,
                listen: doors.owners.local_addr().unwrap(),
                peer_listen: doors.peers.local_addr().unwrap(),
                tls_certificate_file: None,
                tls_key_file: None,
                plain_http: false,
                data_dir: data,
                operator_key_file: None,
                database_url: None,
                clock_offset_seconds: offset,
                peer_timeout_ms: 3_000,
                peers: peers.clone(),
                // Roots come from members of a fact committee, whose key nobody needs here.
                committees: committees
                    .iter()
                    .chain((!facts.is_empty()).then_some(&Committee::Income))
                    .map(|name| CommitteeConfig {
                        name: *name,
                        members: (1..=4).map(node).collect(),
                        epoch: 1,
                    })
                    .collect(),
                roles: [
                    (
                        "ledger".to_owned(),
                        toml::toml! { origin = "ledger.test/log" }.into(),
                    ),
                    ("decision".to_owned(), {
                        let mut role = toml::Table::new();
                        role.insert("issuer".to_owned(), issuer.into());
                        let agencies = vec![AUDIENCE, OTHER_AUDIENCE];
                        role.insert("audiences".to_owned(), agencies.into());
                        role.insert("insurers".to_owned(), vec![INSURER].into());
                        let keys = toml::Value::try_from(facts).unwrap();
                        role.insert("committee_keys".to_owned(), keys);
                        role.into()
                    }),
                ]
                .into(),
            };
            identity.save(&config.identity_file(), &operator).unwrap();
            first.get_or_insert((config.clone(), identity));
            let running = start_with(config.clone(), doors, |_, _| async { Ok(()) }.boxed());
            cluster.running.push(Some(running.await.unwrap()));
            cluster.configs.push(config);
        }
        let (mut config, identity) = first.unwrap();
        config
            .committees
            .retain(|committee| committee.name != Committee::Income);
        dkg::generate_all(&config, &Peers::new(&config, identity).unwrap())
            .await
            .unwrap();
        cluster
    }

    fn place(n: u16) -> usize {
        usize::from(n) - 1
    }

    /// The running node.
    pub fn node(&self, n: u16) -> &RunningNode {
        self.running[Self::place(n)].as_ref().unwrap()
    }

    /// Kills a node.
    pub async fn kill(&mut self, n: u16) {
        self.running[Self::place(n)].take().unwrap().stop().await;
    }

    /// Starts a killed node again, on its old address and folder.
    pub async fn restart(&mut self, n: u16) {
        let config = self.configs[Self::place(n)].clone();
        let doors = bind(&config).await;
        let running = start_with(config, doors, |_, _| async { Ok(()) }.boxed())
            .await
            .unwrap();
        self.running[Self::place(n)] = Some(running);
    }

    /// A URL at a node.
    pub fn url(&self, n: u16, path: &str) -> String {
        format!("http://{}{path}", self.configs[Self::place(n)].listen)
    }

    /// Gets JSON from a node.
    pub async fn get<T: DeserializeOwned>(&self, n: u16, path: &str) -> Result<T, http::HttpError> {
        http::get_json(&self.client, &self.url(n, path)).await
    }

    /// Posts JSON to a node.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        n: u16,
        path: &str,
        body: &B,
    ) -> Result<T, http::HttpError> {
        http::post_json(&self.client, &self.url(n, path), body).await
    }

    /// What a reader of the log trusts.
    pub fn trust(&self) -> Trust {
        self.trust_in(&[])
    }

    /// What an auditor trusts: these fact committees too.
    pub fn trust_in(&self, facts: &[CommitteeKey]) -> Trust {
        let running = self.running.iter().flatten().next().unwrap();
        let mut ledger = None;
        let mut committees = facts.to_vec();
        for record in running.node().keys().active() {
            let KeyId::Signing(committee) = record.key else {
                continue;
            };
            let key = record.group_key().unwrap();
            if committee == Committee::Ledger {
                ledger = Some(Bytes::<32>::from_slice(&key.0).unwrap());
            } else {
                committees.push(CommitteeKey {
                    committee,
                    epoch: record.epoch,
                    suite: Suite::of(committee),
                    key,
                });
            }
        }
        let ledger = contracts::jwk::ed25519_key(&ledger.unwrap().0).unwrap();
        Trust::new(ISSUER.into(), ORIGIN.into(), ledger, committees).unwrap()
    }
}

async fn bind(config: &NodeConfig) -> Doors {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match Doors::bind(config) {
            Ok(doors) => return doors,
            Err(error) if Instant::now() > until => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn free_doors() -> Doors {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    Doors {
        owners: free(),
        peers: free(),
    }
}
