//! Why a watch is refused.

use actix_web::http::StatusCode;
use contracts::ids::AttributeId;

use crate::attest::AttestError;
use crate::db::DbError;
use crate::problem::Problem;
use crate::sources::SourceError;

/// Why a grant, a revocation or a question for changes is refused, or a feed not read. Names fields and fixes, never a value
/// or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// For a reason that attestation requests have too: seal, committee, day, nonce, handle, signature, quota.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// No seat on the committee.
    #[error("this node does not sit on the committee")]
    NoSeat,
    /// Too short, too long or empty.
    #[error("{field}: write {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What it takes.
        expected: String,
    },
    /// The attribute has no source here.
    #[error("facts: {0} is read from no source at this node: leave it out")]
    NotRead(AttributeId),
    /// A source failed, so that there is nothing to compare with later.
    #[error("facts: {0} cannot be read now: ask again later")]
    Unread(AttributeId),
    /// The watch id is in use.
    #[error("watch: this id is in use: take fresh randomness")]
    Taken,
    /// The owner has as many as one may have.
    #[error("this owner has {0} watches here: revoke one first")]
    TooMany(u32),
    /// No such watch of this owner.
    #[error("no such watch of this owner")]
    Unknown,
    /// A webhook that is not believed.
    #[error("webhook: {0}")]
    Webhook(&'static str),
    /// The feed's source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// What is stored does not parse, or was sealed by another node.
    #[error("database: {0} is damaged")]
    Stored(&'static str),
}

impl From<sqlx::Error> for WatchError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<WatchError> for Problem {
    fn from(error: WatchError) -> Self {
        let detail = error.to_string();
        let status = |status, code, title: &str| Problem::new(status, code, title, &*detail);
        match error {
            WatchError::Attest(error) => error.into(),
            WatchError::Unread(_) => status(
                StatusCode::SERVICE_UNAVAILABLE,
                "unread",
                "A source did not answer",
            ),
            WatchError::Taken => Problem::conflict("watch", detail),
            WatchError::TooMany(_) => status(
                StatusCode::TOO_MANY_REQUESTS,
                "watches",
                "The owner has too many watches",
            ),
            WatchError::Unknown | WatchError::NoSeat => Problem::not_found(detail),
            WatchError::Webhook(_) => Problem::forbidden("webhook", detail),
            WatchError::Field { .. } | WatchError::NotRead(_) => Problem::bad_request(detail),
            WatchError::Source(_) | WatchError::Db(_) | WatchError::Stored(_) => {
                tracing::error!(%detail, "a watch failed");
                Problem::internal()
            }
        }
    }
}
