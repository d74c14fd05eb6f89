//! A node that departs from the protocol: the real node with its real keys, whose messages pass through a liar.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::dev::ServerHandle;
use async_trait::async_trait;
use contracts::ids::NodeId;
use futures::FutureExt as _;
use oracles::ceremony::KeyId;
use oracles::config::NodeConfig;
use oracles::node::{self, Doors, Node, RunningNode};
use oracles::peer::{PeerError, Refusal};
use oracles::tamper::{Asked, Honest, Tamper};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::door;
use super::fault::{Fault, When};
use super::lie::{self, Said};

/// What a process started in this role is told, in a file beside its configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// What it does wrong; nothing, to be an honest node that keeps a journal.
    pub faults: Vec<Fault>,
    /// The file that every answer to a peer and every request for a share is appended to, before it is sent.
    pub journal: Option<PathBuf>,
}

impl Orders {
    /// Where the orders of a process with this configuration are.
    pub fn beside(config: &Path) -> PathBuf {
        config.with_extension("orders.json")
    }
}

/// A running liar.
pub struct Byzantine {
    node: RunningNode,
    door: ServerHandle,
    address: SocketAddr,
    armed: Arc<AtomicBool>,
}

impl Byzantine {
    /// Starts a node and its lying door.
    ///
    /// # Errors
    /// The node's, the orders', or a port's.
    pub async fn start(config_file: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let orders: Orders = serde_json::from_slice(&std::fs::read(Orders::beside(config_file))?)?;
        let config = NodeConfig::load(config_file)?;
        let doors = Doors::bind(&config)?;
        let told = orders.clone();
        let armed = Arc::new(AtomicBool::new(false));
        let arming = Arc::clone(&armed);
        let node = node::start_with(config, doors, move |node, router| {
            async move {
                let liar = Liar::new(Arc::clone(node), told, arming).map_err(|cause| {
                    node::StartError::Role {
                        role: "byzantine",
                        cause: cause.to_string(),
                    }
                })?;
                let liar: Arc<dyn Tamper> = Arc::new(liar);
                router.tamper(&liar);
                Ok(())
            }
            .boxed()
        })
        .await?;
        let (door, address) = door::open(node.address(), orders.faults)?;
        Ok(Self {
            node,
            door,
            address,
            armed,
        })
    }

    /// From now on it dies at its step. Other nodes ask as soon as it listens; one that died before its parent knew that it
    /// listens would not have started.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::Release);
    }

    /// Where it answers owners, and where nodes.
    pub fn addresses(&self) -> [SocketAddr; 2] {
        [self.address, self.node.peer_address()]
    }

    /// Stops at once.
    pub async fn stop(self) {
        self.door.stop(false).await;
        self.node.stop().await;
    }
}

/// Ends the process by SIGKILL: nothing is flushed, closed or dropped, no other thread goes on.
pub fn die(step: &str) -> ! {
    eprintln!("dying at {step}");
    oracles::faults::die()
}

struct Liar {
    node: Arc<Node>,
    faults: Vec<Fault>,
    firsts: Mutex<HashMap<String, Vec<u8>>>,
    journal: Option<Mutex<std::fs::File>>,
    armed: Arc<AtomicBool>,
}

impl Liar {
    fn new(node: Arc<Node>, orders: Orders, armed: Arc<AtomicBool>) -> std::io::Result<Self> {
        let open = |path| {
            let mut options = std::fs::OpenOptions::new();
            options.create(true).append(true).open(path)
        };
        Ok(Self {
            node,
            faults: orders.faults,
            firsts: Mutex::default(),
            journal: orders.journal.map(open).transpose()?.map(Mutex::new),
            armed,
        })
    }

    fn crash_at(&self, topic: &'static str, when: When) {
        let armed = self.armed.load(Ordering::Acquire);
        if armed && self.faults.contains(&Fault::Crash(topic, when)) {
            die(topic);
        }
    }

    /// One line by one write, which a later kill of this process cannot take back.
    fn note(&self, line: &Value) {
        if let Some(journal) = &self.journal {
            let mut file = journal.lock().unwrap_or_else(PoisonError::into_inner);
            if file.write_all(format!("{line}\n").as_bytes()).is_err() {
                die("its journal, which cannot be written");
            }
        }
    }

    /// The first message of its kind, which this one becomes if there was none.
    fn first(&self, kind: String, honest: &[u8]) -> Option<Vec<u8>> {
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = firsts.get(&kind) {
            return Some(first.clone());
        }
        firsts.insert(kind, honest.to_vec());
        None
    }
}

/// The suite of the key that a request names: nonces of another would only be malformed.
fn suite(asked: &Value) -> &'static str {
    let key = asked
        .get("key")
        .cloned()
        .and_then(|key| serde_json::from_value::<KeyId>(key).ok());
    key.map_or("", |key| key.suite().as_str())
}

fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

#[async_trait]
impl Tamper for Liar {
    async fn answer(&self, asked: Asked<'_>, honest: Honest) -> Result<Vec<u8>, Refusal> {
        let Asked { topic, from, body } = asked;
        self.crash_at(topic, When::Before);
        let answer = honest.await;
        if let Ok(answer) = &answer {
            self.note(&json!({
                "node": self.node.id(), "topic": topic, "other": from,
                "asked": read(body), "answer": read(answer),
            }));
        }
        self.crash_at(topic, When::After);
        let honest = answer?;
        let kind = format!("{topic} {}", suite(&read(body)));
        let first = self.first(kind, &honest);
        let said = Said {
            topic,
            other: from,
            asked: body,
            honest: &honest,
            first: first.as_deref(),
            identity: self.node.peers().identity(),
        };
        let lie = self.faults.iter().find_map(|fault| said.altered(*fault));
        Ok(lie.unwrap_or(honest))
    }

    async fn request(
        &self,
        topic: &'static str,
        to: NodeId,
        honest: Vec<u8>,
    ) -> Result<Vec<u8>, PeerError> {
        self.crash_at(topic, When::Asking);
        if topic == "sign.share" {
            self.note(&json!({
                "node": self.node.id(), "topic": "asks sign.share", "other": to, "asked": read(&honest),
            }));
        }
        let first = self.first(format!("asks {topic} {to}"), &honest);
        let lie = self
            .faults
            .iter()
            .find_map(|fault| lie::altered_request(*fault, to, &honest, first.as_deref()));
        Ok(lie.unwrap_or(honest))
    }
}
