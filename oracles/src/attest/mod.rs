//! A seat on a fact committee: takes owners' requests, reads sources, acknowledges blinded leaves, and signs batches of
//! what a quorum acknowledged.
//!
//! Two layers of agreement, apart: [`crate::agreement`] among the sources that one node reads, and here among nodes, by
//! the hashes of the leaves they built. A node that read otherwise builds another leaf, and is named and outvoted.

mod check;
mod collector;
mod coordinate;
mod error;
mod grouping;
mod nonce;
mod observe;
mod plan;
mod quota;
mod reseal;
mod role;
mod store;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

pub(crate) use self::check::{Seat, attribute, is_today};
pub use self::error::AttestError;
pub(crate) use self::nonce::NonceUse;
pub use self::nonce::{NONCE_LIFETIME, NonceError};
pub(crate) use self::observe::read;
pub(crate) use self::quota::{store as store_uses, use_of};
pub(crate) use self::role::{mount, seat};
pub use self::store::REQUEST_LIFETIME;

use std::sync::{Arc, OnceLock};

use contracts::attestation::{CommitteeKeys, MAX_BATCH};
use contracts::encoding::{Bytes, Bytes32};
use contracts::group::Point;
use contracts::ids::Domain;
use contracts::leaf::PERSON;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use self::check::Checked;
use self::collector::Collector;
use self::coordinate::{AckAnswer, AckCall, Coordinator, Links, Pending};
use self::nonce::NonceBook;
use self::plan::BatchPlan;
use self::quota::Quota;
use self::store::AckStore;
use crate::clock::Clock;
use crate::enrol::Registrar;
use crate::problem::Problem;
use crate::rollback::Marks;
use crate::sources::{AttributeConfig, SourceConfig, Sources};
use crate::wire::attest::{
    AttestAnswer, AttestBatches, AttestCall, NonceAnswer, NonceRequest, SealedRequest,
};

/// Source key of identity handles that holds the registered pseudonym key `C_k`, in base64url.
pub const PSEUDONYM_KEY: &str = "pseudonym_key";

/// `[roles.attest]` of a node's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttestConfig {
    /// External systems.
    pub source: Vec<SourceConfig>,
    /// How attributes are read from them.
    pub attribute: Vec<AttributeConfig>,
    /// Keys of committees that this node does not sit on; it needs the identity committee's, which signs handles.
    pub committee_key: Vec<TrustedKey>,
    /// How long a batch that this node coordinates waits for other requests, in milliseconds. Longer hides a request
    /// among more of them.
    pub batch_age_ms: u64,
    /// Leaves at which a batch closes before that.
    pub batch_leaves: usize,
    /// Requests that one person's records are read for in a day, at this node and domain by domain.
    pub requests_per_day: u32,
}

impl Default for AttestConfig {
    fn default() -> Self {
        Self {
            source: Vec::new(),
            attribute: Vec::new(),
            committee_key: Vec::new(),
            batch_age_ms: 100,
            batch_leaves: 10_000,
            requests_per_day: 200,
        }
    }
}

impl AttestConfig {
    fn check(&self) -> Result<(), String> {
        if self.batch_age_ms > 60_000 {
            return Err("batch_age_ms: write 0 to 60000".to_owned());
        }
        if !(1..=MAX_BATCH / 2).contains(&self.batch_leaves) {
            return Err(format!("batch_leaves: write 1 to {}", MAX_BATCH / 2));
        }
        if self.requests_per_day == 0 {
            return Err("requests_per_day: write 1 or more".to_owned());
        }
        Ok(())
    }
}

/// The public key of a fact committee at an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// The committee.
    pub committee: Domain,
    /// The epoch.
    pub epoch: u64,
    /// SEC 1 compressed point.
    pub key: Bytes<33>,
}

/// What all seats of one node share.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) sources: Arc<Sources>,
    pub(crate) nonces: NonceBook,
    pub(crate) store: AckStore,
    pub(crate) quota: Quota,
    /// Batches that this node coordinates at once.
    batches: Semaphore,
    pub(crate) keys: Arc<dyn CommitteeKeys + Send + Sync>,
    pub(crate) marks: Marks,
    /// Set when the node sits on the identity committee and enrols.
    pub(crate) registrar: OnceLock<Arc<Registrar>>,
}

/// One node's seat on one fact committee.
pub(crate) struct Attestor {
    pub(crate) seat: Arc<Seat>,
    pub(crate) shared: Arc<Shared>,
    collector: Arc<Collector>,
}

impl Attestor {
    /// A nonce for a request.
    pub(crate) fn nonce(&self, call: &NonceRequest) -> NonceAnswer {
        let now = self.shared.clock.now();
        let nonces = &self.shared.nonces;
        nonces.answer(NonceUse::Attest, &self.seat, call, now)
    }

    /// Checks a request, reads the sources, and answers once every leaf is acknowledged durably.
    pub(crate) async fn request(&self, call: SealedRequest) -> Result<AttestAnswer, AttestError> {
        let shared = &self.shared;
        shared.marks.ready(self.seat.domain.into()).await?;
        let now = shared.clock.now();
        let (seat, keys) = (Arc::clone(&self.seat), Arc::clone(&shared.keys));
        // Curve operations for up to 128 leaves: not on a thread that others wait for.
        let checked = spawn_blocking(move || seat.check(&call.sealed, keys.as_ref(), now));
        let checked = checked.await.map_err(|_| AttestError::Busy)??;
        let person = self.person(&checked).await?;
        shared.nonces.redeem(
            NonceUse::Attest,
            self.seat.domain,
            &checked.reference,
            &checked.nonce,
            now,
        )?;
        let caller = quota::use_of(&checked.request.context.authorisation_key, now);
        shared.quota.count(caller).await?;
        let observations = observe::observe(&self.seat, &shared.sources, &checked).await?;
        let (seat, reference) = (Arc::clone(&self.seat), checked.reference);
        let observed = spawn_blocking(move || {
            observe::leaves(&seat, &checked, person.as_ref(), &observations)
        });
        let observed = observed.await.map_err(|_| AttestError::Busy)??;
        shared
            .store
            .acknowledge(self.seat.domain, &reference, caller, &observed.acks, now)
            .await?;
        shared.marks.record(self.seat.domain.into()).await?;
        Ok(AttestAnswer {
            node: self.seat.node,
            leaves: observed.answers,
        })
    }

    /// The registered pseudonym key, which the identity committee signed into the identity handle.
    async fn person(&self, checked: &Checked) -> Result<Option<Point>, AttestError> {
        let leaves = &checked.request.leaves;
        if self.seat.domain != Domain::Identity || !leaves.iter().any(|it| it.attribute.0 == PERSON)
        {
            return Ok(None);
        }
        let handle = &checked.handle.plain;
        let key = handle
            .source_keys
            .get(PSEUDONYM_KEY)
            .and_then(|text| Bytes32::parse(text).ok())
            .and_then(|bytes| Point::from_bytes(&bytes.0).ok())
            .ok_or(AttestError::Pseudonym)?;
        if let Some(registrar) = self.shared.registrar.get() {
            let current = registrar.is_current(handle, &key).await;
            if !current.map_err(|error| AttestError::Registry(Box::new(error)))? {
                return Err(AttestError::Pseudonym);
            }
        }
        Ok(Some(key))
    }

    /// What this node acknowledged for requests.
    pub(crate) async fn acknowledgements(&self, call: &AckCall) -> Result<AckAnswer, AttestError> {
        if !call.is_sized() {
            return Err(AttestError::Plan("too many requests in one call"));
        }
        let now = self.shared.clock.now();
        let store = &self.shared.store;
        let acks = store.acks_of(self.seat.domain, &call.requests, now).await?;
        let one = |acks: &Arc<store::Acks>| {
            let leaves = acks.iter().map(|(key, hash)| (key.clone(), *hash));
            leaves.collect()
        };
        Ok(AckAnswer {
            requests: acks.iter().map(one).collect(),
        })
    }

    /// What this node signs for a coordinator's plan.
    pub(crate) async fn message(&self, plan: &BatchPlan) -> Result<Vec<u8>, AttestError> {
        let now = self.shared.clock.now();
        plan::message(&self.seat, &self.shared.store, plan, now).await
    }

    /// Has a request's leaves signed: those that are in a batch this node coordinated, as they are; others in the next.
    pub(crate) async fn attest(
        &self,
        call: &AttestCall,
        runtime: &Handle,
        links: Arc<dyn Links>,
    ) -> Result<AttestBatches, Problem> {
        let (seat, shared) = (Arc::clone(&self.seat), Arc::clone(&self.shared));
        let (domain, now) = (seat.domain, shared.clock.now());
        let pending = Pending {
            request: call.request,
            earlier: shared
                .store
                .batches(domain, &call.request, now)
                .await
                .map_err(Problem::from)?,
        };
        let own = shared.store.acks(domain, &call.request, now).await;
        let own = own.map_err(Problem::from)?;
        if let Some(answer) = coordinate::complete(&pending, &own) {
            return Ok(answer);
        }
        let sign = move |all: Vec<Pending>| async move {
            let _turn = shared
                .batches
                .acquire()
                .await
                .map_err(|_| Problem::internal())?;
            let coordinator = Coordinator {
                seat: &seat,
                store: &shared.store,
                links: links.as_ref(),
                keys: shared.keys.as_ref(),
                now: shared.clock.now(),
            };
            coordinator.batch(&all).await.map_err(Problem::from)
        };
        self.collector.join(runtime, pending, own.len(), sign).await
    }
}
