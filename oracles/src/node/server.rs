//! A node's two doors, and its start and end.
//!
//! Owners, relying parties and operators come to one listener, other nodes to the other; neither answers what belongs to
//! the other. Between nodes it is always TLS with pinned certificates, see [`crate::peer`].

use std::any::Any;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, Server, ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpResponse, HttpServer, web};
use futures::FutureExt;
use futures::future::BoxFuture;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::task::JoinHandle;

use super::{Node, Router, StartError};
use crate::ceremony::{dkg, epoch, sign};
use crate::config::NodeConfig;
use crate::peer::{self, Pins};
use crate::problem::Problem;
use crate::{attest, decision, enrol, http, ledger, metrics, rollback, watch};

/// HTTP workers of each door. Work that takes time runs on the process's own runtime, not on them.
const HTTP_WORKERS: usize = 2;
/// Largest peer message that is read at all, in bytes; topics have smaller caps.
const MAX_PEER_BODY: usize = 8 * 1024 * 1024;
/// How long requests in flight have to finish at each door when a node is told to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The bound listeners of a node.
#[derive(Debug)]
pub struct Doors {
    /// For owners and the public.
    pub owners: TcpListener,
    /// For other nodes.
    pub peers: TcpListener,
}

impl Doors {
    /// Binds the addresses of a configuration.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub fn bind(config: &NodeConfig) -> Result<Self, StartError> {
        Ok(Self {
            owners: bind(config.listen)?,
            peers: bind(config.peer_listen)?,
        })
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|cause| StartError::Listen { address, cause })
}

/// A door that answers.
#[derive(Debug)]
struct Door {
    address: SocketAddr,
    server: ServerHandle,
    join: JoinHandle<std::io::Result<()>>,
}

impl Door {
    fn open(address: SocketAddr, server: Server) -> Self {
        Self {
            address,
            server: server.handle(),
            join: tokio::spawn(server),
        }
    }
}

/// A node that answers.
#[derive(Debug)]
pub struct RunningNode {
    node: Arc<Node>,
    owners: Door,
    peers: Door,
}

impl RunningNode {
    /// Its state.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where it listens for owners and the public.
    pub fn address(&self) -> SocketAddr {
        self.owners.address
    }

    /// Where it listens for other nodes.
    pub fn peer_address(&self) -> SocketAddr {
        self.peers.address
    }

    /// Stops at once: background tasks, servers, database.
    pub async fn stop(self) {
        self.end(false).await;
    }

    /// Stops accepting, lets requests in flight finish within `DRAIN_TIMEOUT` at each door, then stops.
    ///
    /// The nodes' door closes last: what owners wait for may need it.
    pub async fn drain(self) {
        tracing::info!(node = %self.node.id, "draining");
        self.end(true).await;
    }

    async fn end(self, graceful: bool) {
        self.owners.server.stop(graceful).await;
        self.peers.server.stop(graceful).await;
        for task in self
            .node
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            task.abort();
        }
        // Handlers hold the node; without this the node would hold them.
        self.node.set_router(Router::default());
        self.node.db.close().await;
    }

    /// Waits until the server ends of itself.
    ///
    /// # Errors
    /// The server's.
    pub async fn join(self) -> std::io::Result<()> {
        let (owners, peers) =
            tokio::try_join!(self.owners.join, self.peers.join).map_err(std::io::Error::other)?;
        owners.and(peers)
    }
}

/// Starts a node with every role its configuration gives it.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: NodeConfig) -> Result<RunningNode, StartError> {
    let doors = Doors::bind(&config)?;
    start_with(config, doors, |_, _| async { Ok(()) }.boxed()).await
}

/// Starts a node on bound listeners, with every role its configuration gives it and further ones that `mount` adds.
///
/// # Errors
/// See [`StartError`].
pub async fn start_with<F>(
    config: NodeConfig,
    doors: Doors,
    mount: F,
) -> Result<RunningNode, StartError>
where
    F: for<'a> FnOnce(&'a Arc<Node>, &'a mut Router) -> BoxFuture<'a, Result<(), StartError>>
        + Send
        + 'static,
{
    start_bare(config, doors, |node, router| {
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
    doors: Doors,
    mount: F,
) -> Result<RunningNode, StartError>
where
    F: for<'a> FnOnce(&'a Arc<Node>, &'a mut Router) -> BoxFuture<'a, Result<(), StartError>>,
{
    let node = Node::open(config).await?;
    let mut router = Router::default();
    dkg::mount(&mut router);
    epoch::mount(&mut router);
    sign::mount(&mut router);
    rollback::mount(&node, &mut router);
    mount(&node, &mut router).await?;
    node.set_router(router);
    let peers = open_peers(&node, doors.peers)?;
    let owners = open_owners(&node, doors.owners)?;
    tracing::info!(
        node = %node.id,
        owners = %owners.address,
        peers = %peers.address,
        keys = node.keys.active().len(),
        "node started"
    );
    node.spawn(epoch::run(Arc::clone(&node)));
    Ok(RunningNode {
        node,
        owners,
        peers,
    })
}

/// The door of other nodes: peer topics over TLS, and nothing else.
fn open_peers(node: &Arc<Node>, listener: TcpListener) -> Result<Door, StartError> {
    let failed = listen_error(node.config.peer_listen);
    let address = listener.local_addr().map_err(&failed)?;
    let pins = Arc::new(Pins::new(node.config.peers.iter()));
    let tls = peer::server_tls(Arc::clone(&pins), node.peers.identity()).map_err(|error| {
        StartError::Tls {
            door: "nodes",
            cause: error.to_string(),
        }
    })?;
    let state = web::Data::new(Arc::clone(node));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .wrap(from_fn(http::bounded_body))
            .service(
                web::resource("/peer/{topic}")
                    .app_data(web::PayloadConfig::new(MAX_PEER_BODY))
                    .route(web::post().to(peer::receive)),
            )
    })
    .on_connect(move |connection: &dyn Any, extensions: &mut Extensions| {
        let shown = connection
            .downcast_ref::<TlsStream<TcpStream>>()
            .and_then(|stream| stream.get_ref().1.peer_certificates()?.first());
        if let Some(node) = shown.and_then(|certificate| pins.node_of(certificate)) {
            extensions.insert(peer::TlsPeer(node));
        }
    })
    .workers(HTTP_WORKERS)
    .shutdown_timeout(DRAIN_TIMEOUT.as_secs())
    .disable_signals()
    .listen_rustls_0_23(listener, tls)
    .map_err(&failed)?
    .run();
    Ok(Door::open(address, server))
}

/// The door of owners and the public: every route of the roles, `/healthz`, `/metrics`, `/v1/info`.
fn open_owners(node: &Arc<Node>, listener: TcpListener) -> Result<Door, StartError> {
    let failed = listen_error(node.config.listen);
    let address = listener.local_addr().map_err(&failed)?;
    let state = web::Data::new(Arc::clone(node));
    let server = HttpServer::new(move || {
        let router = state.router();
        App::new()
            .app_data(state.clone())
            .app_data(http::json_config(http::MAX_BODY_BYTES))
            .app_data(http::query_config())
            .wrap(from_fn(http::bounded_body))
            .wrap(from_fn(counted))
            .route("/healthz", web::get().to(health))
            .route("/metrics", web::get().to(metrics))
            .route("/v1/info", web::get().to(info))
            .route("/v1/epochs", web::get().to(epochs))
            .configure(|config| {
                for routes in &router.routes {
                    routes(config);
                }
            })
    })
    .workers(HTTP_WORKERS)
    .shutdown_timeout(DRAIN_TIMEOUT.as_secs())
    .disable_signals();
    let server = match owners_tls(&node.config)? {
        Some(tls) => server.listen_rustls_0_23(listener, tls),
        None => server.listen(listener),
    };
    Ok(Door::open(address, server.map_err(&failed)?.run()))
}

fn listen_error(address: SocketAddr) -> impl Fn(std::io::Error) -> StartError {
    move |cause| StartError::Listen { address, cause }
}

/// TLS 1.3 with the configured certificate; none where the door speaks plain HTTP.
fn owners_tls(config: &NodeConfig) -> Result<Option<rustls::ServerConfig>, StartError> {
    let (Some(chain_file), Some(key_file)) = (&config.tls_certificate_file, &config.tls_key_file)
    else {
        return Ok(None);
    };
    let unreadable = |file: &std::path::PathBuf| {
        let file = file.clone();
        move |error: rustls::pki_types::pem::Error| StartError::File {
            file,
            cause: error.to_string(),
        }
    };
    let chain = CertificateDer::pem_file_iter(chain_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable(chain_file))?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(unreadable(key_file))?;
    rustls::ServerConfig::builder_with_provider(http::crypto())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map(Some)
        .map_err(|error| StartError::Tls {
            door: "owners",
            cause: error.to_string(),
        })
}

/// Every role of a node, in one place.
async fn mount_roles(node: &Arc<Node>, router: &mut Router) -> Result<(), StartError> {
    ledger::mount(node, router).await?;
    decision::mount(node, router).await?;
    let shared = attest::mount(node, router).await?;
    enrol::mount(node, router, &shared).await?;
    watch::mount(node, router, &shared).await?;
    Ok(())
}

/// Counts a request under its route's pattern, which names nobody.
async fn counted(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let began = Instant::now();
    let node = request.app_data::<web::Data<Arc<Node>>>().cloned();
    let answer = next.call(request).await?;
    if let Some(node) = node {
        let route = answer.request().match_pattern();
        let route = route.as_deref().unwrap_or("none");
        node.metrics()
            .owner_request(route, answer.status().as_u16(), began.elapsed());
    }
    Ok(answer)
}

async fn metrics(node: web::Data<Arc<Node>>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(metrics::CONTENT_TYPE)
        .body(node.metrics().encode(node.marks()))
}

async fn health(node: web::Data<Arc<Node>>) -> Result<HttpResponse, Problem> {
    sqlx::query("SELECT 1").execute(node.db()).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "ok": true })))
}

/// Every change of epoch that is in the ledger: what a verifier follows from the keys it trusts.
async fn epochs(node: web::Data<Arc<Node>>) -> HttpResponse {
    let changes = node.keys().changes();
    let entered: Vec<_> = changes
        .iter()
        .filter(|change| change.receipt.is_some())
        .map(AsRef::as_ref)
        .collect();
    HttpResponse::Ok().json(entered)
}

async fn info(node: web::Data<Arc<Node>>) -> Result<HttpResponse, Problem> {
    let info = crate::wire::info::NodeInfo::of(&node).map_err(|error| {
        tracing::error!(%error, "could not describe this node");
        Problem::internal()
    })?;
    Ok(HttpResponse::Ok().json(info))
}
