//! The processes of one scenario: oracles of which some are faulty, and a profile service.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use contracts::encoding::Bytes32;
use contracts::ids::NodeId;
use contracts::units::Day;
use oracles::ceremony::KeyId;
use oracles::ceremony::dkg::{self, DkgError};
use oracles::config::NodeConfig;
use oracles::peer::Peers;
use oracles::wire::info::NodeInfo;
use oracles::wire::ledger::CheckpointAnswer;
use serde_json::json;

use super::bounds::{ATTEMPTS, Bounds};
use super::byzantine::Orders;
use super::fault::{At, Fault};
use super::sources::{Reads, Sources};
use super::tapped;
use crate::demo::folder::Folder;
use crate::demo::network::{Network, oracle_name, peer_door_of};
use crate::demo::oracle_config::{self, first_nodes};
use crate::demo::setup::{ProfileAccess, profile_config, to_toml, write_trust};
use crate::demo::tap::{Line, Tap};
use crate::demo::{AUDIENCE, DemoError};

/// How long a new log may take to show at every node.
const GENESIS_LIMIT: Duration = Duration::from_secs(180);
/// A door that leads nowhere.
const NOWHERE: &str = "oracle-nowhere";
/// Longer than every time-out.
const TOO_SLOW: Duration = Duration::from_secs(60);
/// Shorter than every time-out.
const LATE: Duration = Duration::from_millis(250);

/// The processes.
pub struct Cluster<'a> {
    /// Where they keep their files.
    pub folder: &'a Folder,
    /// Them, each behind its door.
    pub network: Network<'a>,
    sources: &'a Sources<'a>,
    count: u16,
    reads: Reads,
    configs: BTreeMap<NodeId, NodeConfig>,
    twins: BTreeSet<NodeId>,
    journal: bool,
}

fn twin_name(node: NodeId) -> String {
    format!("oracle-{node}-twin")
}

/// Data folders of `count` oracles with keys and a log that has its first entries, to start scenarios from.
///
/// # Errors
/// A process, the key generation, or a log that does not begin.
pub async fn make_template(
    folder: &Folder,
    sources: &Sources<'_>,
    count: u16,
) -> Result<(), DemoError> {
    let reads = Reads {
        job_lost: true,
        doctored: false,
    };
    let mut cluster = Cluster::open(folder, sources, count, reads, false).await?;
    cluster.start(&[]).await?;
    let first = NodeId::new(1).map_err(|error| DemoError::Other(error.to_string()))?;
    cluster
        .generate(first, None)
        .await?
        .map_err(|error| DemoError::Other(error.to_string()))?;
    let infos = cluster.infos().await?;
    write_trust(folder, &infos, count)?;
    let since = Instant::now();
    loop {
        let mut logs = BTreeSet::new();
        for node in first_nodes(count) {
            let answer: Result<CheckpointAnswer, String> = cluster
                .network
                .get(&oracle_name(node), "/v1/ledger/checkpoint", None)
                .await;
            logs.insert(answer.ok().map(|answer| answer.checkpoint));
        }
        if logs.len() == 1 && !logs.contains(&None) {
            break;
        }
        if since.elapsed() > GENESIS_LIMIT {
            return Err(DemoError::Other("the log did not begin".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.network.end().await;
    Ok(())
}

/// Copies the oracles' folders and the trust file of a template.
///
/// # Errors
/// A file.
pub fn copy_template(template: &Folder, folder: &Folder) -> Result<(), DemoError> {
    copy_folder(&template.path("oracles"), &folder.path("oracles"))?;
    let trust = template.path("trust.json");
    std::fs::copy(&trust, folder.path("trust.json")).map_err(DemoError::file(&trust))?;
    Ok(())
}

/// Copies a folder with all that is in it.
///
/// # Errors
/// A file.
pub fn copy_folder(from: &Path, to: &Path) -> Result<(), DemoError> {
    std::fs::create_dir_all(to).map_err(DemoError::file(to))?;
    for entry in std::fs::read_dir(from).map_err(DemoError::file(from))? {
        let entry = entry.map_err(DemoError::file(from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            std::fs::copy(&path, &target).map_err(DemoError::file(&path))?;
        }
    }
    Ok(())
}

impl<'a> Cluster<'a> {
    /// Opens the doors and works out configurations; nothing runs yet.
    ///
    /// # Errors
    /// A file or a port.
    pub async fn open(
        folder: &'a Folder,
        sources: &'a Sources<'a>,
        count: u16,
        reads: Reads,
        journal: bool,
    ) -> Result<Self, DemoError> {
        let mut parties: Vec<String> = first_nodes(count)
            .flat_map(|node| [oracle_name(node), twin_name(node)])
            .collect();
        parties.extend(["profile", "notifier", "agency", NOWHERE].map(str::to_owned));
        let network = Network::open(folder, &parties).await?;
        let access = sources.access(reads);
        let mut configs =
            oracle_config::configs(folder, &network, &access, sources.clock_offset, count)?;
        for config in &mut configs {
            config.peer_timeout_ms = sources.bounds.peer_ms();
        }
        Ok(Self {
            folder,
            network,
            sources,
            count,
            reads,
            configs: configs
                .into_iter()
                .map(|config| (config.id, config))
                .collect(),
            twins: BTreeSet::new(),
            journal,
        })
    }

    /// Starts every oracle, with the faults that these have.
    ///
    /// # Errors
    /// A process does not start.
    pub async fn start(&mut self, faults: &[At]) -> Result<(), DemoError> {
        self.twins = faults
            .iter()
            .filter(|at| at.fault == Fault::Twins)
            .map(|at| at.node)
            .collect();
        for node in first_nodes(self.count) {
            self.start_node(node, &of(faults, node)).await?;
        }
        self.break_lines(faults);
        Ok(())
    }

    /// Stops these nodes' processes and starts them anew with their faults, or honest.
    ///
    /// # Errors
    /// A process does not start.
    pub async fn restart(&mut self, nodes: &[NodeId], faults: &[At]) -> Result<(), DemoError> {
        for node in nodes {
            self.network.kill(&oracle_name(*node)).await;
            self.network.kill(&twin_name(*node)).await;
            for door in self.doors(*node) {
                door.set_line(Line::Good);
            }
            self.start_node(*node, &of(faults, *node)).await?;
        }
        self.break_lines(faults);
        Ok(())
    }

    async fn start_node(&mut self, node: NodeId, faults: &[Fault]) -> Result<(), DemoError> {
        let Some(mut config) = self.configs.get(&node).cloned() else {
            return Err(DemoError::Other(format!("there is no oracle {node}")));
        };
        if faults.contains(&Fault::Down) {
            return Ok(());
        }
        if faults.contains(&Fault::WrongValue) {
            let wrong = Reads {
                job_lost: !self.reads.job_lost,
                doctored: true,
            };
            config.roles = oracle_config::roles(&self.sources.access(wrong))?;
        }
        for peer in &mut config.peers {
            if peer.id != node && faults.contains(&Fault::NoWayOut) {
                peer.peer_url = self.network.url(&peer_door_of(NOWHERE));
            }
            // Odd nodes know the one, even nodes the other.
            if self.twins.contains(&peer.id) && node.get() % 2 == 1 {
                peer.peer_url = self.network.url(&peer_door_of(&twin_name(peer.id)));
            }
        }
        if self.twins.contains(&node) {
            let mut twin = config.clone();
            twin.data_dir = self.folder.path(format!("oracles/{node}-twin"));
            copy_folder(&config.data_dir, &twin.data_dir)?;
            self.network
                .start("oracle", &twin_name(node), &to_toml(&twin)?)
                .await?;
        }
        let party = oracle_name(node);
        let lies: Vec<Fault> = faults
            .iter()
            .copied()
            .filter(|fault| fault.is_lie() && ![Fault::WrongValue, Fault::Twins].contains(fault))
            .collect();
        let role = if lies.is_empty() && !self.journal {
            "oracle"
        } else {
            let orders = Orders {
                faults: lies,
                journal: self
                    .journal
                    .then(|| self.folder.path(format!("logs/journal-{node}.jsonl"))),
            };
            let file = Orders::beside(&self.folder.path(format!("config/{party}.toml")));
            let bytes =
                serde_json::to_vec(&orders).map_err(|error| DemoError::Other(error.to_string()))?;
            std::fs::write(&file, bytes).map_err(DemoError::file(&file))?;
            "byzantine"
        };
        self.network.start(role, &party, &to_toml(&config)?).await
    }

    /// A node's doors: for owners, and for other nodes.
    fn doors(&self, node: NodeId) -> impl Iterator<Item = &Tap> {
        let name = oracle_name(node);
        let peers = peer_door_of(&name);
        [name, peers]
            .into_iter()
            .filter_map(|door| self.network.door(&door))
    }

    fn break_lines(&self, faults: &[At]) {
        for at in faults {
            for door in self.doors(at.node) {
                match at.fault {
                    Fault::Silent => door.set_line(Line::Silent),
                    Fault::Mute => door.set_line(Line::Mute),
                    Fault::Slow => door.set_line(Line::Slow(TOO_SLOW)),
                    Fault::Late => door.set_line(Line::Slow(LATE)),
                    Fault::Cut => door.close(),
                    _ => {}
                }
            }
        }
    }

    /// Starts the profile service.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_profile(&mut self) -> Result<(), DemoError> {
        let bounds: Bounds = self.sources.bounds;
        let (_, token) = self.folder.secret("messages")?;
        let any_key = serde_json::to_value(Bytes32::from(
            ed25519_dalek::SigningKey::generate(&mut rand::rngs::OsRng)
                .verifying_key()
                .to_bytes(),
        ))
        .map_err(|error| DemoError::Other(error.to_string()))?;
        let notifier_key = serde_json::from_value(any_key.clone())
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let config = profile_config(
            self.folder,
            &self.network,
            self.count,
            &ProfileAccess {
                messages_token: &token,
                notifier_key,
                agencies: json!([{
                    "audience": AUDIENCE,
                    "url": format!("{}/applications", self.network.url("agency")),
                    "public_key": any_key,
                }]),
                insurers: Vec::new(),
                clock_offset: self.sources.clock_offset,
                ask: Some(json!({
                    "nonce_wait_ms": bounds.nonce_wait_ms(),
                    "call_timeout_ms": bounds.call_ms(),
                    "coordinate_timeout_ms": bounds.coordinate_ms(),
                    "attempts": ATTEMPTS,
                })),
                watch: None,
                undo_seconds: 1,
                worker: json!({
                    "interval_ms": 100, "poll_seconds": 1, "lease_seconds": 30, "spread_seconds": 0,
                }),
                database: None,
            },
        )?;
        self.network.start("profile", "profile", &config).await
    }

    /// Generates keys over the network, all or one, coordinated by a node that speaks for itself.
    ///
    /// # Errors
    /// The generation's own, inside; the set-up's, outside.
    pub async fn generate(
        &self,
        coordinator: NodeId,
        key: Option<KeyId>,
    ) -> Result<Result<(), DkgError>, DemoError> {
        let config = self
            .configs
            .get(&coordinator)
            .ok_or_else(|| DemoError::Other(format!("there is no oracle {coordinator}")))?;
        let identity = oracle_config::identity(self.folder, coordinator)?;
        let peers =
            Peers::new(config, identity).map_err(|error| DemoError::Other(error.to_string()))?;
        Ok(match key {
            Some(key) => dkg::generate(config, &peers, key).await.map(|_| ()),
            None => dkg::generate_all(config, &peers).await.map(|_| ()),
        })
    }

    /// What is wrong with the requests that crossed a node's door, opened with its own key.
    ///
    /// # Errors
    /// The node's key cannot be read.
    pub fn requests_of(&self, node: NodeId, today: Day) -> Result<Vec<String>, DemoError> {
        let identity = oracle_config::identity(self.folder, node)?;
        let peers = self.configs.get(&node).map(|config| config.peers.iter());
        let own = peers.and_then(|mut peers| peers.find(|peer| peer.id == node));
        let door = self.network.door(&oracle_name(node));
        let (Some(own), Some(door)) = (own, door) else {
            return Err(DemoError::Other(format!("there is no oracle {node}")));
        };
        let keys = (identity.hpke(), own.hpke_epoch);
        Ok(tapped::check(node, keys, &door.crossings(), today))
    }

    /// What the running oracles say of themselves.
    ///
    /// # Errors
    /// One does not answer.
    pub async fn infos(&self) -> Result<Vec<NodeInfo>, DemoError> {
        let mut infos = Vec::new();
        for node in first_nodes(self.count) {
            let name = oracle_name(node);
            if self.network.runs(&name) {
                let info = self.network.get(&name, "/v1/info", None).await;
                infos.push(info.map_err(DemoError::Other)?);
            }
        }
        Ok(infos)
    }
}

fn of(faults: &[At], node: NodeId) -> Vec<Fault> {
    faults
        .iter()
        .filter(|at| at.node == node)
        .map(|at| at.fault)
        .collect()
}
