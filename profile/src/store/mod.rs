//! What the service keeps: commitments, opaque handles, sealed openings and the state of questions; no readable record.

pub mod agency;
pub mod audit;
pub mod consents;
pub mod facts;
pub mod gap;
pub mod grants;
pub mod heard;
pub mod idempotency;
pub mod lifecycle;
pub mod marks;
pub mod operator;
pub mod profiles;
pub mod questions;
pub mod stock;
pub mod watch;

#[cfg(test)]
pub(crate) mod tests;

pub use facts::{Fetched, StoredLeaf, StoredSubject};
pub use heard::{Effect, OwnerDispute, Standing};
pub use idempotency::Remembered;
pub use marks::WitnessError;
pub use operator::OperatorError;
pub use profiles::{NewProfile, StoredProfile};
pub use questions::{NewQuestion, OutboxItem, StoredQuestion};
pub use stock::{Due, Pair};

use oracles::db::{self, DbError};
use sqlx::{Any, AnyPool, Row, Transaction};

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_profile.sql"),
    include_str!("../../migrations/0002_stock.sql"),
    include_str!("../../migrations/0003_heard.sql"),
    include_str!("../../migrations/0004_gap.sql"),
    include_str!("../../migrations/0006_lifecycle.sql"),
    include_str!("../../migrations/0007_wallet.sql"),
    include_str!("../../migrations/0008_api.sql"),
    include_str!("../../migrations/0009_decisions.sql"),
    include_str!("../../migrations/0010_grant.sql"),
    include_str!("../../migrations/0011_consent.sql"),
    include_str!("../../migrations/0012_watch.sql"),
    include_str!("../../migrations/0013_once.sql"),
    include_str!("../../migrations/0014_ending.sql"),
];

/// A transaction of either database.
pub type Tx = Transaction<'static, Any>;

/// The store failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database's error.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A stored value is not what was written there.
    #[error("database: column {0} holds what this version cannot read")]
    Corrupt(&'static str),
    /// All keys of one use are used up.
    #[error("wallet: all 2^31 keys of one use are used up")]
    Exhausted,
    /// The file that counts uses of indexes.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// A leaf that a presentation was about to use is used already.
    #[error("an attestation is used already: it shows up in another presentation")]
    Used,
    /// Another step of the same question came first.
    #[error("another step of this question came first")]
    Raced,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<StoreError> for oracles::problem::Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Raced => Self::conflict(
                "raced",
                "another call advanced this question: read it and go on from there",
            ),
            StoreError::Used => Self::conflict(
                "attestation-used",
                "an attestation was used in another presentation: advance the question again",
            ),
            error => {
                tracing::error!(%error, "store failed");
                Self::internal()
            }
        }
    }
}

/// The database of the service.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    witness: Option<std::sync::Arc<marks::Witness>>,
}

impl Store {
    /// Opens the database and brings its tables up to date.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        // On connections that end with it: SQLite's keep the tables in mind as they were when first looked at.
        let migrating = db::connect(url).await?;
        db::migrate(&migrating, "profile", MIGRATIONS).await?;
        migrating.close().await;
        let pool = db::connect(url).await?;
        Ok(Self {
            pool,
            witness: None,
        })
    }

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(db::begin_write(&self.pool).await?)
    }

    /// The connections, for reading.
    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// The database's.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").fetch_one(&self.pool).await?;
        Ok(())
    }
}

/// Reads a column by its text form.
fn parsed<T: std::str::FromStr>(
    row: &sqlx::any::AnyRow,
    column: &'static str,
) -> Result<T, StoreError> {
    row.try_get::<String, _>(column)?
        .parse()
        .map_err(|_| StoreError::Corrupt(column))
}

/// Reads a JSON column.
fn json<T: serde::de::DeserializeOwned>(
    row: &sqlx::any::AnyRow,
    column: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_str(&row.try_get::<String, _>(column)?)
        .map_err(|_| StoreError::Corrupt(column))
}

/// Reads a wallet index or another small number.
fn number(row: &sqlx::any::AnyRow, column: &'static str) -> Result<u32, StoreError> {
    u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| StoreError::Corrupt(column))
}

/// Writes a value as JSON text.
fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("stored types are plain JSON")
}
