//! A node's secrets: its identity, the operator key they are stored under, and its shares of committee keys.

mod epochs;
mod identity;
mod operator;
mod store;
mod tls;

pub use epochs::Standing;
pub(crate) use epochs::keys_of;
pub use identity::{NodeIdentity, PublicKeys};
pub(crate) use operator::write_new;
pub use operator::{OperatorKey, SealedAtRest};
pub use store::{KeyRecord, KeyStatus, KeyStore, NewKey};
pub use tls::{TlsIdentity, pin_of};

/// A secret that cannot be read, stored or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A file that cannot be read or written.
    #[error("{file}: {cause}")]
    File {
        /// Which.
        file: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A file that exists already and is not overwritten.
    #[error(
        "{0} exists already; it is not overwritten, because what is stored under it would be lost"
    )]
    Exists(String),
    /// A key file with another content than 32 bytes in hexadecimal.
    #[error("{0}: not a key file (64 hexadecimal digits)")]
    Malformed(String),
    /// Encrypted under another operator key, or changed.
    #[error("{0} does not open: wrong operator key, or changed on disk")]
    Sealed(String),
    /// The configuration names other public keys for this node than it has.
    #[error(
        "the configuration lists other public keys for this node than {0} holds; run `oracle init` and copy what it prints"
    )]
    Mismatch(String),
    /// There is no such key; key generation has not run or not finished.
    #[error("no {key} key of epoch {epoch}: run `oracle dkg`")]
    Missing {
        /// Which key.
        key: crate::ceremony::KeyId,
        /// Of which epoch.
        epoch: u64,
    },
    /// A key of this epoch is in use; it is never replaced.
    #[error(
        "the {key} key of epoch {epoch} exists already; raise the committee's epoch for a new one"
    )]
    InUse {
        /// Which key.
        key: crate::ceremony::KeyId,
        /// Of which epoch.
        epoch: u64,
    },
    /// The committee is between two epochs: it votes for one change only, and signs nothing else until it is done.
    #[error("the {committee} committee is changing epochs; ask again in a moment")]
    Changing {
        /// The committee.
        committee: contracts::ids::Committee,
    },
    /// A stored key package that does not decode for its suite.
    #[error("the stored {key} key of epoch {epoch} does not decode")]
    Decode {
        /// Which key.
        key: crate::ceremony::KeyId,
        /// Of which epoch.
        epoch: u64,
    },
    /// The database.
    #[error(transparent)]
    Db(#[from] crate::db::DbError),
}

impl From<sqlx::Error> for KeyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}
