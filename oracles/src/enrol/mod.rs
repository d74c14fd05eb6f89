//! Enrolment at the identity committee: proofing, one profile per person, and handles for every domain.
//!
//! Every node proofs the claims itself, computes the subject `s` from the SSN by the threshold pseudorandom function,
//! claims the person in its own registry, and rebuilds the handles; a quorum that agrees on all of it signs them. SSN and
//! names live in memory between request and completion, and inside sealed handles; they are never stored or logged.

mod complete;
mod config;
mod error;
mod notice;
mod pending;
mod proof;
mod registrar;
mod registry;
mod reproofing;
mod role;

pub use self::config::{EnrolConfig, ProofConfig};
pub use self::error::EnrolError;
pub(crate) use self::registrar::Registrar;
pub(crate) use self::role::mount;

use async_trait::async_trait;
use contracts::encoding::Bytes;
use contracts::ids::{Domain, NodeId};
use contracts::receipt::{Entry, Receipt};

use self::complete::PrepareError;
use self::registrar::{Enrolment, Handles, PrepareAnswer};
use crate::ceremony::oprf::Evaluation;
use crate::wire::enrol::Recipient;

/// How a member reaches the others and the signing ceremony.
#[async_trait]
pub(crate) trait Links: Send + Sync {
    /// A member's share of the function for an enrolment.
    async fn share(&self, to: NodeId, call: &Enrolment) -> Result<Evaluation, EnrolError>;
    /// Has a member prepare an enrolment.
    async fn prepare(&self, to: NodeId, call: &Enrolment) -> Result<PrepareAnswer, PrepareError>;
    /// Has the committee sign an enrolment's handle statements, one signature per domain in order.
    async fn sign(&self, context: &Handles) -> Result<Vec<Bytes<65>>, EnrolError>;
    /// Enters a replacement in the ledger; none where the node has none.
    async fn enter(&self, entry: Entry) -> Result<Option<Receipt>, EnrolError>;
    /// The members of a domain's committee and their HPKE keys.
    fn members(&self, domain: Domain) -> Vec<Recipient>;
}
