//! A node: one process, its identity, keys, database and peers, and the roles that plug into it.
//!
//! A role (ledger, decision, attestation, enrolment) offers `mount(&Arc<Node>, &mut Router)`, which registers what it
//! answers: peer topics, message sources of signing ceremonies, and HTTP routes.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use contracts::ids::{Committee, NodeId};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::AnyPool;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};

use crate::ceremony::sign::{ErasedSource, MessageSource, NonceStore, SignTopic};
use crate::ceremony::{KeyId, dkg, sign};
use crate::clock::Clock;
use crate::config::{ConfigError, NodeConfig};
use crate::keys::{KeyError, KeyStore, NodeIdentity, OperatorKey};
use crate::peer::{self, PeerError, Peers, Refusal, Topic};
use crate::problem::Problem;
use crate::tamper::{Asked, Tamper};
use crate::{attest, db, decision, enrol, http, ledger};

/// HTTP workers of a node. Work that takes time runs on the process's own runtime, not on them.
const HTTP_WORKERS: usize = 2;
/// Largest peer message that is read at all, in bytes; topics have smaller caps.
const MAX_PEER_BODY: usize = 8 * 1024 * 1024;

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
    runtime: Handle,
    inbox: peer::Inbox,
    nonces: NonceStore,
    generations: dkg::Sessions,
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
        Ok(Arc::new(Self {
            id: config.id,
            clock: Clock::with_offset(config.clock_offset_seconds),
            keys: KeyStore::open(pool.clone(), operator).await?,
            db: pool,
            peers: Peers::new(&config, identity)?,
            runtime: Handle::current(),
            inbox: peer::Inbox::new(),
            nonces: NonceStore::default(),
            generations: dkg::Sessions::default(),
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

    /// The runtime that long work runs on; HTTP workers come and go with the server.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Whether this node sits on a committee.
    pub fn serves(&self, committee: Committee) -> bool {
        self.config.serves(committee)
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

type Routes = Box<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;
type Run = Box<
    dyn Fn(Arc<Node>, NodeId, Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Refusal>>
        + Send
        + Sync,
>;

/// A handler of one peer topic.
pub(crate) struct Handler {
    pub(crate) max_request: usize,
    pub(crate) max_response: usize,
    run: Run,
}

impl Handler {
    pub(crate) fn run(
        &self,
        node: Arc<Node>,
        from: NodeId,
        body: Vec<u8>,
    ) -> BoxFuture<'static, Result<Vec<u8>, Refusal>> {
        (self.run)(node, from, body)
    }

    fn tampered(self, topic: &'static str, tamper: Arc<dyn Tamper>) -> Self {
        let run: Run = Box::new(move |node, from, body| {
            let tamper = Arc::clone(&tamper);
            let honest = (self.run)(Arc::clone(&node), from, body.clone());
            async move {
                if from == node.id() {
                    return honest.await;
                }
                let body = &body;
                tamper.answer(Asked { topic, from, body }, honest).await
            }
            .boxed()
        });
        Self {
            max_request: self.max_request,
            max_response: usize::MAX,
            run,
        }
    }
}

/// What a node answers. Filled once, before it listens.
#[derive(Default)]
pub struct Router {
    handlers: HashMap<&'static str, Handler>,
    sources: HashMap<(KeyId, &'static str), ErasedSource>,
    routes: Vec<Routes>,
    tamper: Option<Arc<dyn Tamper>>,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}

impl Router {
    /// Answers a peer topic. The sender is authenticated; whether it may ask is for the handler to decide.
    ///
    /// # Panics
    /// When the topic is answered already: two roles share a name.
    pub fn answers<Req, Resp, F, Fut>(&mut self, topic: Topic<Req, Resp>, handler: F)
    where
        Req: DeserializeOwned + Send + 'static,
        Resp: Serialize + 'static,
        F: Fn(Arc<Node>, NodeId, Req) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Resp, Refusal>> + Send + 'static,
    {
        let max_request = topic.max_request();
        let run: Run = Box::new(move |node, from, body| {
            let handler = handler.clone();
            async move {
                if body.len() > max_request {
                    return Err(Refusal::new(
                        "too-large",
                        format!("at most {max_request} bytes"),
                    ));
                }
                let request = serde_json::from_slice(&body).map_err(|error| {
                    Refusal::new(
                        "malformed",
                        format!("{:?} error at column {}", error.classify(), error.column()),
                    )
                })?;
                let response = handler(node, from, request).await?;
                serde_json::to_vec(&response).map_err(|error| Refusal::internal(&error))
            }
            .boxed()
        });
        let handler = Handler {
            max_request,
            max_response: topic.max_response(),
            run,
        };
        let earlier = self.handlers.insert(topic.name(), handler);
        assert!(
            earlier.is_none(),
            "two handlers for peer topic {}",
            topic.name()
        );
    }

    /// Signs with a committee key what `source` rebuilds from a context of this topic.
    ///
    /// # Panics
    /// When key and topic have a source already: two roles share a name.
    pub fn signs<C, S>(&mut self, key: KeyId, topic: SignTopic<C>, source: S)
    where
        C: DeserializeOwned + Send + 'static,
        S: MessageSource<C> + 'static,
    {
        let earlier = self
            .sources
            .insert((key, topic.name()), sign::erase(source));
        assert!(
            earlier.is_none(),
            "two message sources for {key} {}",
            topic.name()
        );
    }

    /// Serves HTTP routes; called once per worker.
    pub fn routes(&mut self, configure: impl Fn(&mut web::ServiceConfig) + Send + Sync + 'static) {
        self.routes.push(Box::new(configure));
    }

    /// Departs from the protocol towards peers, in every topic answered so far and every request: for fault injection
    /// in tests, see [`crate::tamper`].
    pub fn tamper(&mut self, tamper: &Arc<dyn Tamper>) {
        self.handlers = std::mem::take(&mut self.handlers)
            .into_iter()
            .map(|(topic, handler)| (topic, handler.tampered(topic, Arc::clone(tamper))))
            .collect();
        self.tamper = Some(Arc::clone(tamper));
    }

    /// Puts a lying handler in the place of the honest one.
    #[cfg(test)]
    pub(crate) fn lies<Req, Resp, F, Fut>(&mut self, topic: Topic<Req, Resp>, handler: F)
    where
        Req: DeserializeOwned + Send + 'static,
        Resp: Serialize + 'static,
        F: Fn(Arc<Node>, NodeId, Req) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Resp, Refusal>> + Send + 'static,
    {
        self.handlers.remove(topic.name());
        self.answers(topic, handler);
    }

    pub(crate) fn handler(&self, topic: &str) -> Option<&Handler> {
        self.handlers.get(topic)
    }

    pub(crate) fn source(&self, key: KeyId, topic: &str) -> Option<&ErasedSource> {
        // The map's keys are `'static`; a lookup by a borrowed topic compares them one by one. There are a dozen.
        self.sources
            .iter()
            .find(|((k, t), _)| *k == key && *t == topic)
            .map(|(_, source)| source)
    }
}

/// A node that answers.
#[derive(Debug)]
pub struct RunningNode {
    node: Arc<Node>,
    address: SocketAddr,
    server: ServerHandle,
    join: JoinHandle<std::io::Result<()>>,
}

impl RunningNode {
    /// Its state.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops at once: background tasks, server, database.
    pub async fn stop(self) {
        for task in self
            .node
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            task.abort();
        }
        self.server.stop(false).await;
        // Handlers hold the node; without this the node would hold them.
        self.node.set_router(Router::default());
        self.node.db.close().await;
    }

    /// Waits until the server ends of itself.
    ///
    /// # Errors
    /// The server's.
    pub async fn join(self) -> std::io::Result<()> {
        self.join.await.map_err(std::io::Error::other)?
    }
}

/// Starts a node with every role its configuration gives it.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: NodeConfig) -> Result<RunningNode, StartError> {
    let address = config.listen;
    let listener =
        TcpListener::bind(address).map_err(|cause| StartError::Listen { address, cause })?;
    start_with(config, listener, |_, _| async { Ok(()) }.boxed()).await
}

/// Starts a node on a bound listener, with every role its configuration gives it and further ones that `mount` adds.
///
/// # Errors
/// See [`StartError`].
pub async fn start_with<F>(
    config: NodeConfig,
    listener: TcpListener,
    mount: F,
) -> Result<RunningNode, StartError>
where
    F: for<'a> FnOnce(&'a Arc<Node>, &'a mut Router) -> BoxFuture<'a, Result<(), StartError>>
        + Send
        + 'static,
{
    start_bare(config, listener, |node, router| {
        async move {
            mount_roles(node, router).await?;
            mount(node, router).await
        }
        .boxed()
    })
    .await
}

/// Starts a node that generates keys and signs, with the roles that `mount` adds and no others.
///
/// # Errors
/// See [`StartError`].
pub async fn start_bare<F>(
    config: NodeConfig,
    listener: TcpListener,
    mount: F,
) -> Result<RunningNode, StartError>
where
    F: for<'a> FnOnce(&'a Arc<Node>, &'a mut Router) -> BoxFuture<'a, Result<(), StartError>>,
{
    let node = Node::open(config).await?;
    let mut router = Router::default();
    dkg::mount(&mut router);
    sign::mount(&mut router);
    mount(&node, &mut router).await?;
    node.set_router(router);

    let listen = |cause| StartError::Listen {
        address: node.config.listen,
        cause,
    };
    let address = listener.local_addr().map_err(listen)?;
    let state = web::Data::new(Arc::clone(&node));
    let server = HttpServer::new(move || {
        let router = state.router();
        App::new()
            .app_data(state.clone())
            .app_data(http::json_config(http::MAX_BODY_BYTES))
            .service(
                web::resource("/peer/{topic}")
                    .app_data(web::PayloadConfig::new(MAX_PEER_BODY))
                    .route(web::post().to(peer::receive)),
            )
            .route("/healthz", web::get().to(health))
            .route("/v1/info", web::get().to(info))
            .configure(|config| {
                for routes in &router.routes {
                    routes(config);
                }
            })
    })
    .workers(HTTP_WORKERS)
    .disable_signals()
    .listen(listener)
    .map_err(listen)?
    .run();
    let handle = server.handle();
    let join = tokio::spawn(server);
    tracing::info!(node = %node.id, %address, keys = node.keys.active().len(), "node started");
    Ok(RunningNode {
        node,
        address,
        server: handle,
        join,
    })
}

/// Every role of a node, in one place.
async fn mount_roles(node: &Arc<Node>, router: &mut Router) -> Result<(), StartError> {
    ledger::mount(node, router).await?;
    decision::mount(node, router).await?;
    let shared = attest::mount(node, router).await?;
    enrol::mount(node, router, &shared).await?;
    Ok(())
}

async fn health(node: web::Data<Arc<Node>>) -> Result<HttpResponse, Problem> {
    sqlx::query("SELECT 1").execute(node.db()).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "ok": true })))
}

async fn info(node: web::Data<Arc<Node>>) -> Result<HttpResponse, Problem> {
    let info = crate::wire::info::NodeInfo::of(&node).map_err(|error| {
        tracing::error!(%error, "could not describe this node");
        Problem::internal()
    })?;
    Ok(HttpResponse::Ok().json(info))
}
