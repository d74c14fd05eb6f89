//! Enrolments between request and completion: in memory only, for minutes, wiped when they go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contracts::encoding::Bytes32;
use contracts::handle::HandlePlain;

use super::EnrolError;
use super::proof::SourceKeys;
use super::registry::Claim;
use crate::wire::enrol::{EnrolRequest, Ssn};

/// How long an enrolment waits to be completed.
pub(super) const PENDING_LIFETIME: Duration = Duration::from_secs(600);
/// Most enrolments that wait at a time.
const MAX_PENDING: usize = 1_000;

/// A proofed enrolment that is not completed. No `Debug`: it identifies a person.
pub(super) struct Pending {
    pub(super) request: EnrolRequest,
    pub(super) ssn: Ssn,
    pub(super) source_keys: SourceKeys,
    /// Made once; a second call for it finds it here.
    pub(super) prepared: tokio::sync::OnceCell<Prepared>,
}

/// The handles that this node stands for.
pub(super) struct Prepared {
    pub(super) claim: Claim,
    /// One per domain, in order.
    pub(super) handles: Vec<HandlePlain>,
    /// Over the statements to be signed, by which nodes see that they agree.
    pub(super) digest: Bytes32,
}

/// The enrolments that wait at this node, by reference.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<Bytes32, (Instant, Arc<Pending>)>>);

impl Waiting {
    /// Keeps an enrolment, in place of an earlier attempt at it.
    pub(super) fn keep(&self, enrolment: Bytes32, pending: Pending) -> Result<(), EnrolError> {
        let mut waiting = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        let now = Instant::now();
        waiting.retain(|_, (until, _)| *until > now);
        if waiting.len() >= MAX_PENDING && !waiting.contains_key(&enrolment) {
            return Err(EnrolError::Busy);
        }
        waiting.insert(enrolment, (now + PENDING_LIFETIME, Arc::new(pending)));
        Ok(())
    }

    /// An enrolment that waits.
    pub(super) fn get(&self, enrolment: &Bytes32) -> Result<Arc<Pending>, EnrolError> {
        let mut waiting = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        let now = Instant::now();
        waiting.retain(|_, (until, _)| *until > now);
        waiting
            .get(enrolment)
            .map(|(_, pending)| Arc::clone(pending))
            .ok_or(EnrolError::Unknown)
    }
}
