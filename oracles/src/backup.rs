//! A node's backup: one file, encrypted and authenticated under the operator key, made while the node runs.
//!
//! It holds the node's identity and its SQLite database, key shares and memory of what it signed included, as of one
//! instant. It does not hold the operator key, without which it cannot be opened, nor the configuration. A Postgres
//! database is not in it: back that up with its own tools.
//!
//! Form: [`MAGIC`], a salt of 32 bytes, and the ciphertext of node number (2 bytes), instant (8), length of the identity
//! file (4), identity file, database; numbers are big-endian.

use std::path::{Path, PathBuf};

use contracts::encoding::{Blob, Bytes};
use contracts::ids::NodeId;
use contracts::units::UnixTime;
use sqlx::Connection as _;

use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::db;
use crate::keys::{KeyError, OperatorKey, SealedAtRest, write_new};

/// How a backup file begins.
pub const MAGIC: &[u8] = b"shp oracle backup 1\n";
/// Largest backup, in bytes: it is sealed in memory.
pub const MAX_BACKUP: u64 = 2 << 30;

const LABEL: &[&[u8]] = &[b"backup"];
const SALT: usize = 32;

/// A backup that cannot be made or put back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A key, an identity or an existing file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database.
    #[error(transparent)]
    Db(#[from] db::DbError),
    /// A file that cannot be read or written.
    #[error("{file}: {cause}")]
    File {
        /// Which.
        file: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Larger than [`MAX_BACKUP`].
    #[error(
        "{0}: larger than {MAX_BACKUP} bytes; a node of this size keeps its tables in Postgres"
    )]
    TooLarge(PathBuf),
    /// Not a backup, or a damaged one.
    #[error("{0}: not a backup of a node")]
    Malformed(PathBuf),
    /// Another node's.
    #[error("{file}: a backup of node {found}; this configuration is node {expected}'s")]
    OtherNode {
        /// The file.
        file: PathBuf,
        /// Whose it is.
        found: NodeId,
        /// Whose it should be.
        expected: NodeId,
    },
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// The node.
    pub node: NodeId,
    /// When it was made, by the node's clock.
    pub made_at: UnixTime,
    /// Bytes of the database; none for a node on Postgres.
    pub database: Option<usize>,
}

fn file_error(file: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let file = file.to_owned();
    move |cause| BackupError::File { file, cause }
}

fn read(file: &Path) -> Result<Vec<u8>, BackupError> {
    let length = std::fs::metadata(file).map_err(file_error(file))?.len();
    if length > MAX_BACKUP {
        return Err(BackupError::TooLarge(file.to_owned()));
    }
    std::fs::read(file).map_err(file_error(file))
}

/// Removes a temporary file however a function ends.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes a backup to a new file. The node may run meanwhile.
///
/// # Errors
/// See [`BackupError`].
pub async fn backup(config: &NodeConfig, out: &Path) -> Result<Contents, BackupError> {
    let operator = OperatorKey::load(&config.operator_key_file())?;
    let made_at = Clock::with_offset(config.clock_offset_seconds).now();
    let identity = read(&config.identity_file())?;
    let database = match config.database_file() {
        None => None,
        Some(file) => Some(snapshot(config, &file).await?),
    };
    let mut plain = Vec::new();
    plain.extend(config.id.get().to_be_bytes());
    plain.extend(made_at.0.to_be_bytes());
    plain.extend(
        u32::try_from(identity.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    plain.extend(&identity);
    plain.extend(database.as_deref().unwrap_or_default());
    let sealed = operator.seal(LABEL, &plain);
    write_new(out, &[MAGIC, &sealed.salt.0, &sealed.ciphertext.0].concat())?;
    Ok(Contents {
        node: config.id,
        made_at,
        database: database.map(|bytes| bytes.len()),
    })
}

/// The database as of one instant, whatever is written meanwhile.
async fn snapshot(config: &NodeConfig, file: &Path) -> Result<Vec<u8>, BackupError> {
    std::fs::metadata(file).map_err(file_error(file))?;
    let copy = Temporary(
        config
            .data_dir
            .join(format!("snapshot-{}.db", std::process::id())),
    );
    let _ = std::fs::remove_file(&copy.0);
    let pool = db::connect(&config.database_url()).await?;
    let mut connection = pool.acquire().await.map_err(db::DbError::from)?;
    sqlx::query("VACUUM INTO $1")
        .bind(copy.0.display().to_string())
        .execute(&mut *connection)
        .await
        .map_err(db::DbError::from)?;
    connection
        .detach()
        .close()
        .await
        .map_err(db::DbError::from)?;
    pool.close().await;
    read(&copy.0)
}

/// Puts a backup back where its node's files were; none may be there now. The node then signs nothing until its peers
/// have told it what it forgot, see [`crate::rollback`].
///
/// # Errors
/// See [`BackupError`].
pub fn restore(config: &NodeConfig, from: &Path) -> Result<Contents, BackupError> {
    let malformed = || BackupError::Malformed(from.to_owned());
    let operator = OperatorKey::load(&config.operator_key_file())?;
    let file = read(from)?;
    let sealed = file.strip_prefix(MAGIC).ok_or_else(malformed)?;
    let (salt, ciphertext) = sealed.split_at_checked(SALT).ok_or_else(malformed)?;
    let sealed = SealedAtRest {
        salt: Bytes::from_slice(salt).map_err(|_| malformed())?,
        ciphertext: Blob(ciphertext.to_vec()),
    };
    let plain = operator.open(&from.display().to_string(), LABEL, &sealed)?;
    let (node, rest) = plain.split_at_checked(2).ok_or_else(malformed)?;
    let (made_at, rest) = rest.split_at_checked(8).ok_or_else(malformed)?;
    let (length, rest) = rest.split_at_checked(4).ok_or_else(malformed)?;
    let node = NodeId::new(number(node)).map_err(|_| malformed())?;
    let (identity, database) = rest
        .split_at_checked(number(length))
        .ok_or_else(malformed)?;
    if node != config.id {
        return Err(BackupError::OtherNode {
            file: from.to_owned(),
            found: node,
            expected: config.id,
        });
    }
    let target = config.database_file();
    let mut files = [Some(config.identity_file()), target.clone()]
        .into_iter()
        .flatten();
    if let Some(present) = files.find(|file| file.exists()) {
        return Err(KeyError::Exists(present.display().to_string()).into());
    }
    if let Some(target) = &target {
        // What is left of an older database would be applied to this one.
        for suffix in ["-wal", "-shm"] {
            let mut left = target.clone().into_os_string();
            left.push(suffix);
            let _ = std::fs::remove_file(left);
        }
        write_new(target, database)?;
    }
    write_new(&config.identity_file(), identity)?;
    Ok(Contents {
        node,
        made_at: UnixTime(number(made_at)),
        database: target.map(|_| database.len()),
    })
}

/// A big-endian number of a field whose length is that of the type.
fn number<T: TryFrom<i64> + Default>(bytes: &[u8]) -> T {
    let mut value = [0; 8];
    if let Some(end) = value.get_mut(8usize.saturating_sub(bytes.len())..) {
        end.copy_from_slice(bytes);
    }
    T::try_from(i64::from_be_bytes(value)).unwrap_or_default()
}
