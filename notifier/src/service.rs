//! The running service.

mod inbound;
mod outbox;
mod requests;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use ed25519_dalek::{SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::api;
use crate::config::{Config, ConfigError, GatewayConfig, Permission};
use crate::gateway::{Console, FileGateway, Gateway, typed, webhook};
use crate::phone::PhoneKeys;
use crate::store::{Store, StoreError};

pub use requests::RequestError;
pub(crate) use requests::{MessageRequest, Reply};

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address or the gateway's folder.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// Somebody who may call.
pub(crate) struct Caller {
    pub(crate) name: String,
    token: [u8; 32],
    may: Vec<Permission>,
}

impl Caller {
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.may.contains(&permission)
    }
}

/// What every handler and worker shares.
pub(crate) struct Service {
    pub(crate) store: Store,
    pub(crate) signing_key: SigningKey,
    phones: PhoneKeys,
    gateway_key: Zeroizing<String>,
    gateway: Arc<dyn Gateway>,
    callers: Vec<Caller>,
    help_line: String,
    clock_offset: i64,
    /// Rung when a message was queued.
    queued: Notify,
}

impl Service {
    /// Unix seconds by the configured clock.
    pub(crate) fn now(&self) -> i64 {
        webhook::system_time().saturating_add(self.clock_offset)
    }

    /// The caller whose token this is. Digests are compared, so that the time taken says nothing about tokens.
    pub(crate) fn caller(&self, token: &str) -> Option<&Caller> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        self.callers.iter().find(|caller| caller.token == digest)
    }

    pub(crate) fn gateway_key(&self) -> &[u8] {
        self.gateway_key.as_bytes()
    }
}

/// A service that runs.
pub struct Running {
    address: SocketAddr,
    key: VerifyingKey,
    handle: ServerHandle,
    server: JoinHandle<std::io::Result<()>>,
    workers: Vec<JoinHandle<()>>,
}

impl Running {
    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The key that replies are signed with.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Answers what is being answered, then stops.
    pub async fn shutdown(self) {
        self.handle.stop(true).await;
        for worker in self.workers {
            worker.abort();
        }
        if let Err(error) = self.server.await {
            tracing::warn!(%error, "the server's task did not end cleanly");
        }
    }

    /// Waits until the server ends.
    ///
    /// # Errors
    /// The server's own.
    pub async fn finished(self) -> std::io::Result<()> {
        self.server.await.map_err(std::io::Error::other)?
    }
}

/// Starts the service.
///
/// # Errors
/// [`StartError`].
pub async fn start(config: Config) -> Result<Running, StartError> {
    let signing_key = SigningKey::from_bytes(&*config.signing_key.read_key("signing_key")?);
    let operator_key = config.operator_key.read_key("operator_key")?;
    let mut callers = Vec::new();
    for caller in &config.callers {
        let token = caller.token.read("callers.token")?;
        callers.push(Caller {
            name: caller.name.clone(),
            token: Sha256::digest(token.as_bytes()).into(),
            may: caller.may.clone(),
        });
    }
    let io = |what: String| move |source| StartError::Io { what, source };
    let mut console = None;
    let gateway: Arc<dyn Gateway> = match &config.gateway {
        GatewayConfig::File { folder } => {
            Arc::new(FileGateway::new(folder).map_err(io(format!("making {}", folder.display())))?)
        }
        GatewayConfig::Console { folder } => {
            let gateway =
                Console::new(folder).map_err(io(format!("making {}", folder.display())))?;
            console = Some(gateway.clone());
            Arc::new(gateway)
        }
    };
    let service = Arc::new(Service {
        store: Store::open(&config.database_url()).await?,
        phones: PhoneKeys::new(&operator_key),
        gateway_key: config.gateway_key.read("gateway_key")?,
        gateway,
        callers,
        help_line: config.help_line.clone(),
        clock_offset: config.clock_offset_seconds,
        queued: Notify::new(),
        signing_key,
    });

    let listener =
        TcpListener::bind(config.listen).map_err(io(format!("binding {}", config.listen)))?;
    let address = listener.local_addr().map_err(io("binding".to_owned()))?;
    let shared = web::Data::from(service.clone());
    let server =
        HttpServer::new(move || App::new().app_data(shared.clone()).configure(api::routes))
            .workers(2)
            .disable_signals()
            .client_request_timeout(Duration::from_secs(5))
            .shutdown_timeout(2)
            .listen(listener)
            .map_err(io(format!("listening on {address}")))?
            .run();
    let mut workers = vec![tokio::spawn(outbox::run(service.clone()))];
    if let Some(console) = console {
        workers.push(tokio::spawn(read_console(service.clone(), console)));
    }
    Ok(Running {
        address,
        key: service.signing_key.verifying_key(),
        handle: server.handle(),
        server: tokio::spawn(server),
        workers,
    })
}

/// Takes typed lines as texts from the phone texted last.
async fn read_console(service: Arc<Service>, console: Console) {
    let (sender, mut lines) = mpsc::channel::<String>(16);
    // Reading standard input blocks and cannot be cancelled, so it gets a thread that ends with the input or the process.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = lines.recv().await {
        let Some((from, text)) = typed(&line, console.last()) else {
            continue;
        };
        let id = format!("console-{}", requests::random_id());
        if let Err(error) = service.receive(&id, &from, &text).await {
            tracing::error!(%error, "a typed reply was lost");
        }
    }
}
