//! Why an enrolment is refused.

use actix_web::http::StatusCode;
use contracts::bip340::SignatureError;
use contracts::issuance::IssueError;
use contracts::units::UnixTime;

use crate::attest::AttestError;
use crate::ceremony::oprf::OprfError;
use crate::db::DbError;
use crate::problem::{Problem, QuorumFailure};
use crate::sources::SourceError;

/// Why an enrolment is refused, or not completed. Says nothing about anybody.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// The request is not in order.
    #[error(transparent)]
    Request(#[from] AttestError),
    /// Blindings, keys or proof are refused.
    #[error("points: {0}")]
    Issue(#[from] IssueError),
    /// Not signed by the identity authorisation key.
    #[error("signature: {0}")]
    Signature(#[from] SignatureError),
    /// The claims are for another key or enrolment.
    #[error("claims: are for another authorisation key or enrolment id: seal them for this one")]
    ForeignClaims,
    /// A field of the claims is empty or too long.
    #[error("claims.{0}: empty or too long")]
    Claims(&'static str),
    /// The records do not bear the claims out.
    #[error(
        "claims: the records do not bear them out: check SSN, name and birth date with the person and on the record"
    )]
    NotProofed,
    /// A registry did not answer.
    #[error("proofing: {0}")]
    Source(#[from] SourceError),
    /// An enrolment of the same person is under way or complete.
    #[error(
        "this person cannot be enrolled now: an enrolment is complete or under way; continue it under its own id"
    )]
    Taken,
    /// The person was proofed again, and the wait is not over.
    #[error("the person is enrolled and was proofed again: send the same request again from {} on", day_of(.0))]
    Waiting(UnixTime),
    /// The holder of the present seed objected.
    #[error("the person is enrolled, and the holder of the present seed objected to replacing it")]
    Objected,
    /// The person's key was replaced not long ago.
    #[error("the person's key was replaced not long ago: it is replaced once in a period")]
    ReproofedLately,
    /// A replacement is signed only once it is in the ledger.
    #[error("the replacement is not in the ledger: {0}")]
    Unledgered(String),
    /// A signed enrolment was continued with another pseudonym key.
    #[error(
        "points.c_person: this enrolment was signed with another pseudonym key: derive it from the same seed"
    )]
    OtherPseudonym,
    /// This node holds no such enrolment.
    #[error(
        "enrolment: not held in memory here, or lapsed: send enrol/request again under the same id"
    )]
    Unknown,
    /// Too many enrolments at once.
    #[error("too many enrolments at once: try again in a few minutes")]
    Busy,
    /// Too many evaluations of the pseudorandom function today.
    #[error(
        "the daily quota of enrolments is used up: try again tomorrow, or raise evaluations_per_day"
    )]
    Quota,
    /// The node's configuration has no proofing.
    #[error("this node has no [roles.enrol]: it does not enrol")]
    Unconfigured,
    /// The pseudorandom function could not be evaluated.
    #[error("pseudorandom function: {0}")]
    Prf(#[from] crate::ceremony::oprf::OprfError),
    /// A key is missing.
    #[error(transparent)]
    Key(#[from] crate::keys::KeyError),
    /// The committee did not sign.
    #[error("signing: {0}")]
    Signing(Box<crate::ceremony::sign::SignError>),
    /// A node could not be reached, or refused.
    #[error(transparent)]
    Peer(#[from] crate::peer::PeerError),
    /// The response key is no X25519 key.
    #[error("response_key: not a usable X25519 key")]
    ResponseKey,
    /// Too few nodes took part.
    #[error("too few oracles: {}", .0.committee)]
    Quorum(Box<QuorumFailure>),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Something that cannot be.
    #[error("internal: {0}")]
    Internal(&'static str),
}

/// The day of an instant, for a person to read.
fn day_of(time: &UnixTime) -> String {
    time.day()
        .map_or_else(|_| time.0.to_string(), |day| day.to_string())
}

impl From<sqlx::Error> for EnrolError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<EnrolError> for Problem {
    fn from(error: EnrolError) -> Self {
        let detail = error.to_string();
        let unavailable = |code, title: &str, detail| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title, detail)
        };
        match error {
            EnrolError::Request(error) => error.into(),
            EnrolError::Signature(_) => Self::forbidden("signature", detail),
            EnrolError::ForeignClaims => Self::forbidden("foreign-claims", detail),
            EnrolError::NotProofed => Self::forbidden("not-proofed", detail),
            EnrolError::Taken => Self::conflict("enrolled", detail),
            EnrolError::Waiting(_) => Self::conflict("waiting", detail),
            EnrolError::Objected => Self::conflict("objected", detail),
            EnrolError::ReproofedLately => Self::conflict("reproofed-lately", detail),
            EnrolError::Unledgered(_) => unavailable("ledger", "The ledger did not answer", detail),
            EnrolError::OtherPseudonym => Self::conflict("other-pseudonym", detail),
            EnrolError::Unknown => Self::not_found(detail),
            EnrolError::Busy => unavailable("busy", "The node is busy", detail),
            EnrolError::Quota => unavailable("quota", "The daily quota is used up", detail),
            EnrolError::Source(_) => unavailable("source", "A source did not answer", detail),
            EnrolError::Quorum(failure) => Self::quorum(*failure),
            EnrolError::Signing(error) => (*error).into(),
            EnrolError::Prf(OprfError::NotEnough {
                needed,
                good,
                culprits,
            }) => Self::quorum(QuorumFailure {
                committee: "identity-oprf".to_owned(),
                needed,
                answered: good,
                silent: Vec::new(),
                refused: Vec::new(),
                culprits,
            }),
            EnrolError::Db(_)
            | EnrolError::Internal(_)
            | EnrolError::Unconfigured
            | EnrolError::Prf(_) => {
                tracing::error!(%detail, "enrolment failed");
                Self::internal()
            }
            _ => Self::bad_request(detail),
        }
    }
}
