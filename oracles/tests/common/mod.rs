//! Four real nodes over loopback HTTP, each with its own folder, keys and database.

#![allow(dead_code, reason = "each test binary uses a part")]

pub mod tls;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use contracts::ids::{Committee, NodeId};
use futures::FutureExt;
use oracles::ceremony::KeyId;
use oracles::ceremony::sign::{MessageSource, SignCall, SignTopic};
use oracles::cli::init;
use oracles::config::{CommitteeConfig, NodeConfig, PeerConfig};
use oracles::keys::PublicKeys;
use oracles::node::{Doors, Node, Router, RunningNode, start_bare};
use oracles::peer::Refusal;

pub const NODES: u16 = 4;
/// The node that lies, where one does.
pub const LIAR: u16 = 3;

pub fn node(id: u16) -> NodeId {
    NodeId::new(id).unwrap()
}

/// A topic whose context is the list of texts to sign. A product role would never sign what it is handed: this source
/// stands for one that checked all of it.
pub const TEXTS: SignTopic<Vec<String>> = SignTopic::new("test.texts");

/// Signs texts, except one that the node was told to see differently or to refuse.
#[derive(Clone, Default)]
pub struct Texts {
    pub sees: Option<&'static str>,
    pub refuses: bool,
}

#[async_trait::async_trait]
impl MessageSource<Vec<String>> for Texts {
    async fn messages(
        &self,
        _: &Arc<Node>,
        call: SignCall,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        if self.refuses {
            return Err(Refusal::new(
                "unknown-request",
                "this node checked no such thing",
            ));
        }
        Ok(texts
            .iter()
            .map(|text| {
                format!("{} {} {}", call.key, call.epoch, self.sees.unwrap_or(text)).into_bytes()
            })
            .collect())
    }
}

/// Doors on free loopback ports.
pub fn free_doors() -> Doors {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    Doors {
        owners: free(),
        peers: free(),
    }
}

/// A node's entry, at these doors.
pub fn peer(id: u16, doors: &Doors, keys: &PublicKeys) -> PeerConfig {
    let url = format!("http://{}", doors.owners.local_addr().unwrap());
    let peer_url = format!("https://{}", doors.peers.local_addr().unwrap());
    PeerConfig::new(node(id), url, peer_url, keys)
}

/// Configurations of four nodes that sit on every committee named, with free ports that are held by the listeners.
pub fn configure(folder: &Path, committees: &[Committee]) -> Vec<(NodeConfig, Doors)> {
    let members: Vec<u16> = (1..=NODES).collect();
    configure_of(folder, committees, NODES, &members)
}

/// As [`configure`], of `nodes` nodes of which some are members.
pub fn configure_of(
    folder: &Path,
    committees: &[Committee],
    nodes: u16,
    members: &[u16],
) -> Vec<(NodeConfig, Doors)> {
    let doors: Vec<Doors> = (0..nodes).map(|_| free_doors()).collect();
    let keys: Vec<PublicKeys> = (1..=nodes)
        .map(|id| init(&folder.join(id.to_string()), None).unwrap())
        .collect();
    let peers: Vec<PeerConfig> = (1..=nodes)
        .zip(doors.iter().zip(&keys))
        .map(|(id, (doors, keys))| peer(id, doors, keys))
        .collect();
    (1..=nodes)
        .zip(doors)
        .map(|(id, doors)| {
            let config = NodeConfig {
                id: node(id),
                listen: doors.owners.local_addr().unwrap(),
                peer_listen: doors.peers.local_addr().unwrap(),
                tls_certificate_file: None,
                tls_key_file: None,
                plain_http: false,
                data_dir: folder.join(id.to_string()),
                operator_key_file: None,
                database_url: None,
                clock_offset_seconds: 0,
                peer_timeout_ms: 1_500,
                peers: peers.clone(),
                committees: committees
                    .iter()
                    .map(|name| CommitteeConfig {
                        name: *name,
                        members: members.iter().copied().map(node).collect(),
                        epoch: 1,
                    })
                    .collect(),
                roles: Default::default(),
            };
            (config, doors)
        })
        .collect()
}

/// Starts one node with a [`Texts`] source for every signing key.
pub async fn start_node(config: NodeConfig, doors: Doors, texts: Texts) -> RunningNode {
    start_node_with(config, doors, texts, |_| {}).await
}

/// As [`start_node`], with handlers that `change` adds or replaces.
pub async fn start_node_with(
    config: NodeConfig,
    doors: Doors,
    texts: Texts,
    change: impl FnOnce(&mut Router) + Send + 'static,
) -> RunningNode {
    start_bare(config, doors, move |node, router| {
        async move {
            for key in node.config().keys() {
                if key != KeyId::IdentityOprf {
                    router.signs(key, TEXTS, texts.clone());
                }
            }
            change(router);
            Ok(())
        }
        .boxed()
    })
    .await
    .unwrap()
}

/// The doors of a node that stopped. The old servers' sockets may linger for a moment.
pub async fn doors_again(config: &NodeConfig) -> Doors {
    loop {
        match Doors::bind(config) {
            Ok(doors) => return doors,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

/// Starts again what [`RunningNode::stop`] stopped, on the same addresses and data.
pub async fn restart(config: NodeConfig) -> RunningNode {
    let doors = doors_again(&config).await;
    start_node(config, doors, Texts::default()).await
}

/// Four running nodes.
pub struct Network {
    pub folder: tempfile::TempDir,
    pub nodes: Vec<Option<RunningNode>>,
    pub configs: Vec<NodeConfig>,
}

impl Network {
    pub async fn start(committees: &[Committee]) -> Self {
        Self::start_with_liar(committees, |_| {}).await
    }

    /// `nodes` nodes of which the members sit on the committees.
    pub async fn start_of(committees: &[Committee], nodes: u16, members: &[u16]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut running, mut configs) = (Vec::new(), Vec::new());
        for (config, doors) in configure_of(folder.path(), committees, nodes, members) {
            configs.push(config.clone());
            running.push(Some(start_node(config, doors, Texts::default()).await));
        }
        Self {
            folder,
            nodes: running,
            configs,
        }
    }

    /// Writes other members into every node's configuration and restarts the nodes.
    pub async fn configure_members(&mut self, members: &[u16]) {
        for config in &mut self.configs {
            for committee in &mut config.committees {
                committee.members = members.iter().copied().map(node).collect();
            }
        }
        for id in 1..=u16::try_from(self.configs.len()).unwrap() {
            self.restart(id).await;
        }
    }

    /// Node 3 answers as `lie` has it.
    pub async fn start_with_liar(
        committees: &[Committee],
        lie: impl FnOnce(&mut Router) + Send + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut nodes = Vec::new();
        let mut configs = Vec::new();
        let mut lie = Some(lie);
        for (config, doors) in configure(folder.path(), committees) {
            configs.push(config.clone());
            let lie = if config.id == node(LIAR) {
                lie.take()
            } else {
                None
            };
            let change = move |router: &mut Router| {
                if let Some(lie) = lie {
                    lie(router);
                }
            };
            nodes.push(Some(
                start_node_with(config, doors, Texts::default(), change).await,
            ));
        }
        Self {
            folder,
            nodes,
            configs,
        }
    }

    pub fn node(&self, id: u16) -> &Arc<Node> {
        self.nodes[usize::from(id) - 1]
            .as_ref()
            .expect("the node runs")
            .node()
    }

    pub async fn stop(&mut self, id: u16) {
        if let Some(node) = self.nodes[usize::from(id) - 1].take() {
            node.stop().await;
        }
    }

    pub async fn restart(&mut self, id: u16) {
        self.stop(id).await;
        let config = self.configs[usize::from(id) - 1].clone();
        self.nodes[usize::from(id) - 1] = Some(restart(config).await);
    }
}
