//! A node: one process, its identity, keys, database and peers, and the roles that plug into it.
//!
//! A role (ledger, decision, attestation, enrolment) offers `mount(&Arc<Node>, &mut Router)`, which registers what it
//! answers: peer topics, message sources of signing ceremonies, and HTTP routes.

mod router;
mod server;
mod standing;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use contracts::encoding::Blob;
use contracts::ids::NodeId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::AnyPool;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::ceremony::sign::NonceStore;
use crate::ceremony::{KeyId, dkg, epoch};
use crate::clock::Clock;
use crate::config::{ConfigError, NodeConfig};
use crate::db;
use crate::keys::{KeyError, KeyStore, NodeIdentity, OperatorKey};
use crate::metrics::Metrics;
use crate::peer::{self, PeerError, Peers, Refusal, Topic};
use crate::rollback::Marks;

pub use router::Router;
pub use server::{Doors, RunningNode, start, start_bare, start_with};

/// A node that cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its secrets.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its database.
    #[error(transparent)]
    Db(#[from] db::DbError),
    /// The address it should listen on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: std::io::Error,
    },
    /// TLS of a door.
    #[error("TLS of the {door} door: {cause}")]
    Tls {
        /// Which: `owners` or `nodes`.
        door: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// A file that cannot be read.
    #[error("{file}: {cause}")]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A role that cannot start.
    #[error("role {role}: {cause}")]
    Role {
        /// Which.
        role: &'static str,
        /// Why.
        cause: String,
    },
}

/// A node's shared state.
pub struct Node {
    id: NodeId,
    config: NodeConfig,
    clock: Clock,
    db: AnyPool,
    keys: KeyStore,
    peers: Peers,
    marks: Marks,
    runtime: Handle,
    inbox: peer::Inbox,
    nonces: NonceStore,
    generations: dkg::Sessions,
    epoch_sessions: epoch::Sessions,
    announced: epoch::Announced,
    configured_keys: HashMap<(KeyId, u64), Blob>,
    router: RwLock<Arc<Router>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.id)
    }
}

impl Node {
    async fn open(config: NodeConfig) -> Result<Arc<Self>, StartError> {
        config.check()?;
        let operator = OperatorKey::load(&config.operator_key_file())?;
        let identity = NodeIdentity::load(&config.identity_file(), &operator)?;
        let pool = db::connect(&config.database_url()).await?;
        let peers = Peers::new(&config, identity)?;
        let inbox = peer::Inbox::new();
        let marks = Marks::open(&config, pool.clone(), peers.clone(), inbox.run()).await?;
        Ok(Arc::new(Self {
            id: config.id,
            clock: Clock::with_offset(config.clock_offset_seconds),
            keys: KeyStore::open(pool.clone(), operator).await?,
            db: pool,
            peers,
            marks,
            runtime: Handle::current(),
            inbox,
            nonces: NonceStore::default(),
            generations: dkg::Sessions::default(),
            epoch_sessions: epoch::Sessions::default(),
            announced: epoch::Announced::default(),
            configured_keys: standing::configured_keys(&config)?,
            router: RwLock::default(),
            tasks: Mutex::default(),
            config,
        }))
    }

    /// Its number.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its configuration.
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Its clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Its database. A role brings its own tables up to date with [`db::migrate`].
    pub fn db(&self) -> &AnyPool {
        &self.db
    }

    /// Its key shares.
    pub fn keys(&self) -> &KeyStore {
        &self.keys
    }

    /// Its identity and its peers.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        self.peers.metrics()
    }

    /// Its marks, by which it knows whether it has forgotten what it signed.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The runtime that long work runs on; HTTP workers come and go with the server.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn epoch_sessions(&self) -> &epoch::Sessions {
        &self.epoch_sessions
    }

    pub(crate) fn announced(&self) -> &epoch::Announced {
        &self.announced
    }

    pub(crate) fn inbox(&self) -> &peer::Inbox {
        &self.inbox
    }

    pub(crate) fn nonces(&self) -> &NonceStore {
        &self.nonces
    }

    pub(crate) fn generations(&self) -> &dkg::Sessions {
        &self.generations
    }

    pub(crate) fn router(&self) -> Arc<Router> {
        Arc::clone(&self.router.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_router(&self, router: Router) {
        *self.router.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(router);
    }

    /// Asks a node; this node answers itself without the network. Answers within the topic's time-out or counts as
    /// silent.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn call<Req, Resp>(
        self: &Arc<Self>,
        to: NodeId,
        topic: Topic<Req, Resp>,
        request: &Req,
    ) -> Result<Resp, PeerError>
    where
        Req: Serialize,
        Resp: DeserializeOwned,
    {
        let router = self.router();
        if to != self.id {
            let Some(tamper) = &router.tamper else {
                return self.peers.call(to, topic, request).await;
            };
            let body = peer::encode(to, request)?;
            let body = tamper.request(topic.name(), to, body).await?;
            let (cap, wait) = (topic.max_response(), topic.timeout());
            let call = self.peers.call_bytes(to, topic.name(), &body, cap, wait);
            return peer::decode(to, &call.await?);
        }
        let body = peer::encode(to, request)?;
        let handler = router
            .handler(topic.name())
            .ok_or_else(|| PeerError::Refused {
                node: to,
                refusal: Refusal::new(
                    "unknown-topic",
                    format!("this node does not answer {}", topic.name()),
                ),
            })?;
        let task = self
            .runtime
            .spawn(handler.run(Arc::clone(self), self.id, body));
        let timeout = topic.timeout().unwrap_or(self.peers.timeout());
        let silent = |cause: String| PeerError::Silent { node: to, cause };
        let answer = tokio::time::timeout(timeout, task)
            .await
            .map_err(|_| silent(format!("no answer within {} ms", timeout.as_millis())))?
            .map_err(|error| silent(error.to_string()))?
            .map_err(|refusal| PeerError::Refused { node: to, refusal })?;
        peer::decode(to, &answer)
    }

    /// Runs a role's background task until the node stops.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.runtime.spawn(task).abort_handle();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(handle);
    }
}
