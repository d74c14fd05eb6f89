//! A seat on a fact committee: takes owners' requests, reads sources, acknowledges blinded leaves, and signs batches of
//! what a quorum acknowledged.
//!
//! Two layers of agreement, apart: [`crate::agreement`] among the sources that one node reads, and here among nodes, by
//! the hashes of the leaves they built. A node that read otherwise builds another leaf, and is named and outvoted.

mod check;
mod coordinate;
mod error;
mod grouping;
mod nonce;
mod observe;
mod role;
mod store;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use self::check::{Seat, is_today};
pub use self::error::AttestError;
pub(crate) use self::nonce::NonceUse;
pub use self::nonce::{NONCE_LIFETIME, NonceError};
pub(crate) use self::role::{mount, seat};
pub use self::store::REQUEST_LIFETIME;

use std::sync::{Arc, OnceLock};

use contracts::attestation::CommitteeKeys;
use contracts::encoding::{Bytes, Bytes32};
use contracts::group::Point;
use contracts::ids::Domain;
use contracts::leaf::PERSON;
use serde::{Deserialize, Serialize};

use self::check::Checked;
use self::coordinate::{AckAnswer, AckCall, BatchPlan, Links};
use self::nonce::NonceBook;
use self::store::AckStore;
use crate::clock::Clock;
use crate::enrol::Registrar;
use crate::sources::{AttributeConfig, SourceConfig, Sources};
use crate::wire::attest::{
    AttestAnswer, AttestBatches, AttestCall, NonceAnswer, NonceRequest, SealedRequest,
};

/// Source key of identity handles that holds the registered pseudonym key `C_k`, in base64url.
pub const PSEUDONYM_KEY: &str = "pseudonym_key";

/// `[roles.attest]` of a node's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttestConfig {
    /// External systems.
    pub source: Vec<SourceConfig>,
    /// How attributes are read from them.
    pub attribute: Vec<AttributeConfig>,
    /// Keys of committees that this node does not sit on; it needs the identity committee's, which signs handles.
    pub committee_key: Vec<TrustedKey>,
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
    pub(crate) keys: Arc<dyn CommitteeKeys + Send + Sync>,
    /// Set when the node sits on the identity committee and enrols.
    pub(crate) registrar: OnceLock<Arc<Registrar>>,
}

/// One node's seat on one fact committee.
pub(crate) struct Attestor {
    pub(crate) seat: Seat,
    pub(crate) shared: Arc<Shared>,
}

impl Attestor {
    /// A nonce for a request.
    pub(crate) fn nonce(&self, call: &NonceRequest) -> NonceAnswer {
        let (nonce, expires) = self.shared.nonces.issue(
            NonceUse::Attest,
            self.seat.domain,
            &call.request,
            self.shared.clock.now(),
        );
        NonceAnswer {
            node: self.seat.node,
            committee: self.seat.domain,
            epoch: self.seat.epoch,
            hpke_epoch: self.seat.hpke_epoch,
            nonce,
            expires,
        }
    }

    /// Checks a request, reads the sources, and answers once every leaf is acknowledged durably.
    pub(crate) async fn request(&self, call: &SealedRequest) -> Result<AttestAnswer, AttestError> {
        let now = self.shared.clock.now();
        let checked = self
            .seat
            .check(&call.sealed, self.shared.keys.as_ref(), now)?;
        let person = self.person(&checked).await?;
        self.shared.nonces.redeem(
            NonceUse::Attest,
            self.seat.domain,
            &checked.reference,
            &checked.nonce,
            now,
        )?;
        let observations = observe::observe(&self.seat, &self.shared.sources, &checked).await?;
        let observed = observe::leaves(&self.seat, &checked, person.as_ref(), &observations)?;
        self.shared
            .store
            .acknowledge(self.seat.domain, &checked.reference, &observed.acks, now)
            .await?;
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

    /// What this node acknowledged for a request.
    pub(crate) async fn acknowledgements(&self, call: &AckCall) -> Result<AckAnswer, AttestError> {
        let now = self.shared.clock.now();
        let acks = self
            .shared
            .store
            .acks(self.seat.domain, &call.request, now)
            .await?;
        Ok(AckAnswer {
            leaves: acks.into_iter().collect(),
        })
    }

    /// What this node signs for a coordinator's plan.
    pub(crate) async fn message(&self, plan: &BatchPlan) -> Result<Vec<u8>, AttestError> {
        coordinate::message(
            &self.seat,
            &self.shared.store,
            plan,
            self.shared.clock.now(),
        )
        .await
    }

    /// Coordinates the signature over a request's leaves.
    pub(crate) async fn attest(
        &self,
        call: &AttestCall,
        links: &dyn Links,
    ) -> Result<AttestBatches, AttestError> {
        coordinate::attest(
            &self.seat,
            &self.shared.store,
            links,
            self.shared.keys.as_ref(),
            &call.request,
            self.shared.clock.now(),
        )
        .await
    }
}
