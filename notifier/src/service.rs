//! The running service.

mod answers;
mod clock;
mod enrol;
mod inbound;
mod metrics;
mod outbox;
mod providers;
mod reports;
mod requests;
mod segments;
mod withdraw;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use ed25519_dalek::{SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::api;
use crate::calendar;
use crate::config::{Config, ConfigError, Permission, Retry, Rules};
use crate::phone::PhoneKeys;
use crate::provider::{Provider, webhook};
use crate::rules::hours::Hours;
use crate::rules::plan::Limits;
use crate::store::{Store, StoreError};

pub(crate) use answers::Reply;
pub(crate) use enrol::PhoneChange;
pub(crate) use requests::MessageRequest;
pub use requests::RequestError;

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
    /// The address or a provider's folder.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
    /// No HTTP client can be made.
    #[error("an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
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

/// What a carrier's webhooks are checked with.
pub(crate) struct Carrier {
    pub(crate) name: String,
    pub(crate) public_url: url::Url,
    pub(crate) tokens: Vec<Zeroizing<String>>,
}

/// What every handler and worker shares.
pub(crate) struct Service {
    pub(crate) store: Store,
    pub(crate) signing_key: SigningKey,
    pub(crate) metrics: metrics::Metrics,
    pub(crate) carriers: Vec<Carrier>,
    phones: PhoneKeys,
    gateway_key: Option<Zeroizing<String>>,
    providers: providers::Providers,
    callers: Vec<Caller>,
    help_line: String,
    rules: Rules,
    limits: Limits,
    retry: Retry,
    clock_offset: i64,
    /// Rung when a message was queued.
    queued: Notify,
}

impl Service {
    /// Unix seconds by the configured clock.
    pub(crate) fn now(&self) -> i64 {
        webhook::system_time().saturating_add(self.offset())
    }

    /// Seconds between the system's clock and this service's.
    pub(crate) fn offset(&self) -> i64 {
        self.clock_offset.saturating_add(calendar::moved())
    }

    /// The caller whose token this is. Digests are compared, so that the time taken says nothing about tokens.
    pub(crate) fn caller(&self, token: &str) -> Option<&Caller> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        self.callers.iter().find(|caller| caller.token == digest)
    }

    pub(crate) fn gateway_key(&self) -> Option<&[u8]> {
        self.gateway_key.as_ref().map(|key| key.as_bytes())
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
    start_with(config, None).await
}

/// Starts the service with a provider of the caller's own making in place of the configured ones.
///
/// # Errors
/// [`StartError`].
pub async fn start_with(
    config: Config,
    provider: Option<Arc<dyn Provider>>,
) -> Result<Running, StartError> {
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
    let gateway_key = config
        .gateway_key
        .as_ref()
        .map(|key| key.read("gateway_key"))
        .transpose()?;
    let [from, until] = config.rules.texting_hours;
    let hours = Hours::new(from, until).ok_or(ConfigError::Field {
        field: "rules.texting_hours".to_owned(),
        problem: "two hours from 0 to 24, at least seven apart".to_owned(),
    })?;
    let opened = match provider {
        Some(provider) => providers::Opened::of(vec![provider]),
        None => providers::open(&config.providers)?,
    };
    let service = Arc::new(Service {
        store: Store::open(&config.database_url()).await?,
        phones: PhoneKeys::new(&operator_key),
        metrics: metrics::Metrics::new(),
        carriers: opened.carriers,
        gateway_key,
        providers: opened.providers,
        callers,
        help_line: config.help_line.clone(),
        limits: Limits {
            hours,
            daily_cap: config.rules.daily_cap,
            answer_cap: config.rules.answer_cap,
        },
        rules: config.rules.clone(),
        retry: config.retry.clone(),
        clock_offset: config.clock_offset_seconds,
        queued: Notify::new(),
        signing_key,
    });

    let io = |what: String| move |source| StartError::Io { what, source };
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
    let mut workers = opened.tasks;
    workers.push(tokio::spawn(outbox::run(service.clone())));
    workers.push(tokio::spawn(clock::run(service.clone())));
    workers.push(tokio::spawn(providers::listen(
        service.clone(),
        opened.heard,
        opened.console,
    )));
    Ok(Running {
        address,
        key: service.signing_key.verifying_key(),
        handle: server.handle(),
        server: tokio::spawn(server),
        workers,
    })
}
