//! Starting and stopping the service.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use contracts::trust::{MAX_TRUST_BYTES, Trust};
use oracles::clock::Clock;
use oracles::http::bounded_body;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};

use crate::agency::Agency;
use crate::api::{self, Limits, access::Callers};
use crate::config::{ConfigError, ProfileConfig, read_capped};
use crate::gap::Insurer;
use crate::heard;
use crate::lifecycle;
use crate::metrics::Metrics;
use crate::notifier::{Notifier, Token};
use crate::oracle::Oracles;
use crate::practice::Practice;
use crate::retention;
use crate::seal::SealKey;
use crate::service::{Locks, Service};
use crate::stock;
use crate::store::{OperatorError, Store, StoreError};
use crate::wallet::GAP_LIMIT;

/// Requests answered at the same time by each worker's runtime are many; workers are few.
const WORKERS: usize = 2;
/// How often the nodes are asked whether committees changed, besides whenever one does not answer as expected.
const FOLLOW_EVERY: Duration = Duration::from_secs(600);

/// The service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration or a secret.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The trust file.
    #[error("trust: {0}")]
    Trust(#[from] contracts::trust::TrustError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operator key.
    #[error("configuration field operator_key: {0}")]
    Operator(#[from] OperatorError),
    /// The address.
    #[error("listen: {0}")]
    Listen(std::io::Error),
}

/// A running service.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
    following: AbortHandle,
    refilling: AbortHandle,
    hearing: AbortHandle,
    service: web::Data<Service>,
    workers: Vec<AbortHandle>,
}

impl Running {
    /// The service itself, for whoever runs it in a process of their own.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers what is being answered, then stops.
    pub async fn stop(self) {
        self.following.abort();
        // What it was about is in the database.
        self.refilling.abort();
        self.hearing.abort();
        for worker in &self.workers {
            worker.abort();
        }
        self.handle.stop(true).await;
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the server's task did not end cleanly");
        }
    }

    /// Waits until the server ends by itself.
    ///
    /// # Errors
    /// The server's.
    pub async fn finished(self) -> std::io::Result<()> {
        self.task.await.map_err(std::io::Error::other)?
    }
}

/// Starts the service: reads its secrets and the trust file, opens the database, listens.
///
/// The environment's `DATABASE_URL` is read by [`crate::run_role`] only, not here.
///
/// # Errors
/// [`StartError`], naming the field and the fix.
pub async fn start(config: ProfileConfig) -> Result<Running, StartError> {
    config.check()?;
    let trust = read_capped(&config.trust, MAX_TRUST_BYTES as u64)?;
    let trust = Trust::parse(trust.as_bytes())?;
    let clock = Clock::with_offset(config.clock_offset_seconds);
    let navigator = config.navigator_token.read("navigator_token")?;
    let notifier = Notifier::new(
        config.notifier.url.clone(),
        config.notifier.token.read("notifier.token")?,
        config.notifier_key()?,
    );
    let agencies = config
        .agencies
        .iter()
        .map(|agency| {
            Ok(Agency::new(
                agency.audience.clone(),
                agency.jurisdiction,
                agency.url.clone(),
                agency.key()?,
            ))
        })
        .collect::<Result<_, ConfigError>>()?;
    let practices = config
        .practices
        .iter()
        .map(|one| {
            let token = Token(one.token.read("practices.token")?);
            Ok(Practice::new(one.name.clone(), one.url.clone(), token))
        })
        .collect::<Result<_, ConfigError>>()?;
    let operator = SealKey::new(config.operator_key.read_key("operator_key")?);
    let mut store = Store::open(&config.database).await?;
    let root = store.operator_root(&operator).await?;
    match &config.marks {
        Some(path) if store.watch_marks(path).await? => {
            tracing::warn!(
                "the database is older than the marks: every use skips {GAP_LIMIT} indexes"
            );
        }
        _ => {}
    }
    let service = web::Data::new(Service {
        store,
        operator,
        root,
        callers: Callers::new(&config.callers, &navigator),
        limits: Limits::default(),
        limits_config: config.limits.clone(),
        metrics: Metrics::default(),
        oracles: Oracles::new(&config, trust, clock),
        notifier,
        agencies,
        enquiries: config.enquiries.clone(),
        insurers: config
            .insurers
            .iter()
            .map(|one| {
                let key = one.key()?;
                let (audience, contract) = (one.audience.clone(), one.contract.clone());
                Ok(Insurer::new(audience, contract, one.url.clone(), key))
            })
            .collect::<Result<_, ConfigError>>()?,
        practices,
        approval: config.approval.clone(),
        stock: config.stock.clone(),
        worker: config.worker.clone(),
        retention: config.retention.clone(),
        sources: config.sources.clone(),
        watch: config.watch.clone(),
        provers: Arc::new(Semaphore::new(cores())),
        clock,
        locks: Locks::default(),
    });
    let refilling = tokio::spawn(stock::run(service.clone())).abort_handle();
    let hearing = tokio::spawn(heard::run(service.clone())).abort_handle();
    let mut workers: Vec<AbortHandle> = (0..config.worker.workers)
        .map(|_| tokio::spawn(lifecycle::run(service.clone())).abort_handle())
        .collect();
    if config.worker.workers > 0 {
        workers.push(tokio::spawn(retention::run(service.clone())).abort_handle());
    }
    let follower = service.clone();
    let kept = service.clone();
    let listener = TcpListener::bind(config.listen).map_err(StartError::Listen)?;
    let address = listener.local_addr().map_err(StartError::Listen)?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(service.clone())
            .wrap(from_fn(bounded_body))
            .configure(api::configure)
    })
    .workers(WORKERS)
    .disable_signals()
    .listen(listener)
    .map_err(StartError::Listen)?
    .run();
    let handle = server.handle();
    tracing::info!(%address, "the profile service listens");
    let following = tokio::spawn(async move {
        loop {
            follower.oracles.follow().await;
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    });
    Ok(Running {
        following: following.abort_handle(),
        address,
        handle,
        task: tokio::spawn(server),
        refilling,
        hearing,
        service: kept,
        workers,
    })
}

/// Cores that proofs may keep busy.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
