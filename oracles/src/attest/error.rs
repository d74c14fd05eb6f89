//! Why a request, or a batch, is refused.

use actix_web::http::StatusCode;
use contracts::attestation::AttestationError;
use contracts::bip340::SignatureError;
use contracts::handle::HandleError;
use contracts::ids::{AttributeId, Domain, NodeId};
use contracts::issuance::IssueError;
use contracts::units::Day;

use super::nonce::NonceError;
use crate::db::DbError;
use crate::problem::{Problem, QuorumFailure};
use crate::rollback::MarkError;

/// Why a request is refused, or a batch not signed. Names fields and fixes, never a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttestError {
    /// Sealed under a key that the node no longer has.
    #[error(
        "{field}: sealed for HPKE key epoch {got}, the node is at {expected}: fetch its key again"
    )]
    KeyEpoch {
        /// Which box.
        field: &'static str,
        /// The node's epoch.
        expected: u64,
        /// The box's.
        got: u64,
    },
    /// Not sealed to this node for this use.
    #[error("{0}: does not open here: seal it to this node, committee, domain and key epoch")]
    Sealed(&'static str),
    /// Not the JSON of its type.
    #[error("{0}: not in its format")]
    Format(&'static str),
    /// For another committee or epoch.
    #[error("context: asks {got} at epoch {got_epoch}, this is {expected} at epoch {epoch}")]
    Committee {
        /// This committee.
        expected: Domain,
        /// Its epoch.
        epoch: u64,
        /// The committee asked.
        got: Domain,
        /// The epoch named.
        got_epoch: u64,
    },
    /// The observed day is not today.
    #[error("{field}: {got} is not today by this node's clock: correct the clock")]
    Day {
        /// Which field.
        field: &'static str,
        /// The day named.
        got: Day,
    },
    /// Too few nonces, or one of a node outside the committee.
    #[error("context.nonces: {0}")]
    Nonces(&'static str),
    /// This node's nonce is refused.
    #[error("context.nonces: {0}")]
    Nonce(#[from] NonceError),
    /// The identity committee's key at the handle's epoch is not known here.
    #[error("handle: no identity committee key of epoch {0} is known here: enrol again")]
    HandleEpoch(u64),
    /// The handle is refused.
    #[error("handle: {0}")]
    Handle(#[from] HandleError),
    /// The handle names another authorisation key.
    #[error("handle: names another authorisation key than signed the request")]
    ForeignHandle,
    /// The pseudonym key of the handle is missing, or no longer the registered one.
    #[error("handle: its pseudonym key is not the registered one: enrol again")]
    Pseudonym,
    /// Not signed by the authorisation key.
    #[error("signature: {0}")]
    Signature(#[from] SignatureError),
    /// Blindings, keys or proof are refused.
    #[error("leaves: {0}")]
    Issue(#[from] IssueError),
    /// An attribute that this committee does not attest.
    #[error("leaves: {0} is not an attribute of this committee")]
    Attribute(AttributeId),
    /// A reference period that the attribute does not have, or too far away.
    #[error("leaves: {attribute}: {problem}")]
    Period {
        /// The attribute.
        attribute: AttributeId,
        /// What is wrong.
        problem: &'static str,
    },
    /// A leaf's sealing key is no X25519 key.
    #[error("leaves: {0}: seal_key is not a usable X25519 key")]
    SealKey(AttributeId),
    /// Another leaf was acknowledged in the same place.
    #[error("request: another leaf is acknowledged under this request id: use a fresh one")]
    Conflict,
    /// More requests in a day than one person's records may be read.
    #[error(
        "the daily quota of requests is used up: ask again tomorrow, or raise requests_per_day"
    )]
    Quota,
    /// More waits than this node has room for.
    #[error("too many requests wait at this node: ask again, or ask another node")]
    Busy,
    /// Nothing is acknowledged under this reference.
    #[error(
        "request: no node has acknowledged such a request in the last day: ask for its leaves first"
    )]
    Unknown,
    /// A signer was asked for a batch that it does not bear out.
    #[error("batch: {0}")]
    Plan(&'static str),
    /// The batch cannot be built.
    #[error("batch: {0}")]
    Batch(#[from] AttestationError),
    /// Too few nodes acknowledged or signed.
    #[error("too few oracles: {}", .0.committee)]
    Quorum(Box<QuorumFailure>),
    /// A node could not be reached, or answered amiss.
    #[error("node {node}: {cause}")]
    Peer {
        /// The node.
        node: NodeId,
        /// What happened.
        cause: String,
    },
    /// The committee did not sign.
    #[error("signing: {0}")]
    Signing(Box<crate::ceremony::sign::SignError>),
    /// The registry of enrolments failed.
    #[error("registry: {0}")]
    Registry(Box<crate::enrol::EnrolError>),
    /// The ledger did not take the root.
    #[error("ledger: {0}")]
    Ledger(String),
    /// This node may have forgotten what it signed, or nobody would remember that it did.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// What is stored does not parse.
    #[error("database: {0} is damaged")]
    Stored(&'static str),
}

impl From<sqlx::Error> for AttestError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<AttestError> for Problem {
    fn from(error: AttestError) -> Self {
        let detail = error.to_string();
        let unavailable = |code, title: &str, detail| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, title, detail)
        };
        match error {
            AttestError::KeyEpoch { .. } => Problem::conflict("hpke-key-epoch", detail),
            AttestError::Committee { .. } => Problem::conflict("committee-epoch", detail),
            AttestError::Conflict => Problem::conflict("other-leaf", detail),
            AttestError::Nonce(NonceError::Busy) | AttestError::Busy => {
                unavailable("busy", "The node is busy", detail)
            }
            AttestError::Quota => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "quota",
                "The daily quota is used up",
                detail,
            ),
            AttestError::Nonces(_) | AttestError::Nonce(_) => {
                Problem::forbidden("stale-nonce", detail)
            }
            AttestError::HandleEpoch(_)
            | AttestError::Handle(_)
            | AttestError::ForeignHandle
            | AttestError::Pseudonym => Problem::forbidden("handle", detail),
            AttestError::Signature(_) => Problem::forbidden("signature", detail),
            AttestError::Unknown => Problem::not_found(detail),
            AttestError::Quorum(failure) => Problem::quorum(*failure),
            AttestError::Signing(error) => (*error).into(),
            AttestError::Registry(error) => (*error).into(),
            AttestError::Mark(_) => unavailable("unsure", "The node does not sign now", detail),
            AttestError::Ledger(_) => {
                unavailable("ledger", "The ledger did not take the root", detail)
            }
            AttestError::Db(_) | AttestError::Stored(_) | AttestError::Peer { .. } => {
                tracing::error!(%detail, "attestation failed");
                Problem::internal()
            }
            _ => Problem::bad_request(detail),
        }
    }
}
