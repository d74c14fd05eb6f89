//! The service: one value that every handler shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use contracts::encoding::{Bytes32, tagged_hash, to_base64url};
use contracts::presentation::AudienceKind;
use oracles::clock::Clock;
use oracles::problem::Problem;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::agency::Agency;
use crate::api::Limits;
use crate::api::access::{Callers, LimitsConfig};
use crate::config::{
    ApprovalConfig, EnquiryConfig, RetentionConfig, SourceConfig, StockConfig, WatchConfig,
    WorkerConfig,
};
use crate::enrol::reused_key;
use crate::gap::Insurer;
use crate::metrics::Metrics;
use crate::notifier::Notifier;
use crate::oracle::Oracles;
use crate::practice::Practice;
use crate::seal::{Root, SealKey};
use crate::store::idempotency::remember;
use crate::store::{Remembered, Store, StoreError, StoredProfile};
use crate::wallet::{Entropy, Wallet, WalletError};

/// What the handlers work with.
#[derive(Debug)]
pub struct Service {
    pub(crate) store: Store,
    /// Seals the seeds.
    pub(crate) operator: SealKey,
    /// What tokens and salts follow from.
    pub(crate) root: Root,
    /// Callers that the configuration names.
    pub(crate) callers: Callers,
    pub(crate) limits: Limits,
    pub(crate) limits_config: LimitsConfig,
    pub(crate) metrics: Metrics,
    pub(crate) oracles: Oracles,
    pub(crate) notifier: Notifier,
    /// In the order of the configuration: it decides which audience a leaf's index is for.
    pub(crate) agencies: Vec<Agency>,
    pub(crate) enquiries: Vec<EnquiryConfig>,
    pub(crate) insurers: Vec<Insurer>,
    pub(crate) practices: Vec<Practice>,
    pub(crate) approval: ApprovalConfig,
    pub(crate) stock: StockConfig,
    pub(crate) worker: WorkerConfig,
    pub(crate) retention: RetentionConfig,
    /// For owners to know whose records are read.
    pub(crate) sources: Vec<SourceConfig>,
    pub(crate) watch: WatchConfig,
    /// Proofs that are made at once: each keeps a core busy.
    pub(crate) provers: Arc<Semaphore>,
    pub(crate) clock: Clock,
    pub(crate) locks: Locks,
}

impl Service {
    /// The wallet of a profile.
    pub(crate) fn wallet(&self, profile: &StoredProfile) -> Result<Wallet, Problem> {
        let entropy = Entropy::open(&self.operator, &profile.profile.to_string(), &profile.seed)
            .map_err(|error| {
                tracing::error!(%error, "a wallet does not open");
                Problem::internal()
            })?;
        Ok(Wallet::new(&entropy)?)
    }

    /// What an audience is configured as.
    pub(crate) fn kind(&self, audience: &str) -> Option<AudienceKind> {
        if self.agencies.iter().any(|one| one.audience() == audience) {
            return Some(AudienceKind::Agency);
        }
        let found = self.enquiries.iter().find(|one| one.audience == audience);
        found.map(|one| one.kind)
    }

    /// The agency of an audience.
    pub(crate) fn agency(&self, audience: &str) -> Result<&Agency, Problem> {
        self.agencies
            .iter()
            .find(|agency| agency.audience() == audience)
            .ok_or_else(|| {
                Problem::bad_request("audience: not an agency that this service is configured for")
            })
    }

    /// Notes what an idempotency key is for, of a call that does the same when it is repeated.
    ///
    /// # Errors
    /// 422 when the key was another body's.
    pub(crate) async fn once(&self, scope: &str, key: &str, body: &[u8]) -> Result<(), Problem> {
        let mut tx = self.store.begin().await?;
        match remember(&mut tx, scope, key, body, "", self.clock.now()).await? {
            Remembered::Other => Err(reused_key()),
            Remembered::Again(_) => Ok(()),
            Remembered::First => Ok(tx.commit().await.map_err(StoreError::from)?),
        }
    }

    /// The owner's token of a profile. It follows from the root, so that a repeated call can answer it again
    /// without it being stored.
    pub(crate) fn owner_token(&self, profile: &Bytes32) -> Zeroizing<String> {
        owner_token(&self.root, profile)
    }
}

/// The owner's token of a profile.
pub(crate) fn owner_token(root: &Root, profile: &Bytes32) -> Zeroizing<String> {
    let secret = root.derive("shp/v1/owner-token", &profile.0);
    Zeroizing::new(to_base64url(secret.as_ref()))
}

/// What is stored of a bearer token.
pub(crate) fn token_hash(token: &str) -> Bytes32 {
    tagged_hash("shp/v1/bearer-token", &[token.as_bytes()]).into()
}

impl From<WalletError> for Problem {
    fn from(error: WalletError) -> Self {
        tracing::error!(%error, "a wallet key cannot be derived");
        Self::internal()
    }
}

/// One lock per profile or question, so that two calls do not do one step's work twice. Two processes on one database
/// are kept apart by the store's compare-and-set.
#[derive(Debug, Default)]
pub(crate) struct Locks(Mutex<HashMap<Bytes32, Arc<tokio::sync::Mutex<()>>>>);

impl Locks {
    /// Waits for the lock of an id and holds it.
    pub(crate) async fn hold(&self, id: Bytes32) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut locks = match self.0.lock() {
                Ok(locks) => locks,
                // A map of locks holds no invariant that a panic could break.
                Err(poisoned) => poisoned.into_inner(),
            };
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(id).or_default())
        };
        lock.lock_owned().await
    }
}
