//! Profiles: a sealed seed, a token's hash, an opaque contact handle.

use contracts::encoding::Bytes32;
use contracts::units::{Day, UnixTime};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, number};

/// A profile to be stored.
#[derive(Debug)]
pub struct NewProfile<'a> {
    /// Random id.
    pub profile: Bytes32,
    /// Hash of the owner's token.
    pub token_hash: Bytes32,
    /// The sealed seed.
    pub seed: &'a str,
    /// [`super::operator::key_id`] of the key that it is sealed under.
    pub seed_key: &'a str,
    /// The first enrolment.
    pub enrol_id: Bytes32,
    /// Now.
    pub created_at: UnixTime,
}

/// A profile as stored.
#[derive(Debug, Clone)]
pub struct StoredProfile {
    /// Random id.
    pub profile: Bytes32,
    /// The sealed seed.
    pub seed: String,
    /// The notifier's opaque contact handle.
    pub contact: Option<String>,
    /// The enrolment that the claims are for.
    pub enrol_id: Bytes32,
    /// Which registration of the pseudonym and generation of authorisation keys.
    pub registration: u32,
    /// The last day on which the handles are taken.
    pub handles_expire: Option<Day>,
}

// Columns by name: a connection that prepared `SELECT *` before another added a column would read past its end.
const SELECT_BY_TOKEN: &str =
    "SELECT profile, seed, contact, enrol_id, registration, handles_expire
     FROM profile WHERE token_hash = $1";
const SELECT_BY_ID: &str = "SELECT profile, seed, contact, enrol_id, registration, handles_expire
     FROM profile WHERE profile = $1";

fn read(row: &AnyRow) -> Result<StoredProfile, StoreError> {
    let bytes = |column: &'static str| -> Result<Bytes32, StoreError> {
        let text: String = row.try_get(column)?;
        Bytes32::parse(&text).map_err(|_| StoreError::Corrupt(column))
    };
    let expire: Option<String> = row.try_get("handles_expire")?;
    Ok(StoredProfile {
        profile: bytes("profile")?,
        seed: row.try_get("seed")?,
        contact: row.try_get("contact")?,
        enrol_id: bytes("enrol_id")?,
        registration: number(row, "registration")?,
        handles_expire: expire
            .map(|day| day.parse())
            .transpose()
            .map_err(|_| StoreError::Corrupt("handles_expire"))?,
    })
}

impl Store {
    /// The profile whose owner's token has this hash.
    ///
    /// # Errors
    /// The database's.
    pub async fn profile_by_token(
        &self,
        token_hash: &Bytes32,
    ) -> Result<Option<StoredProfile>, StoreError> {
        sqlx::query(SELECT_BY_TOKEN)
            .bind(token_hash.to_string())
            .fetch_optional(self.pool())
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// A profile by its id.
    ///
    /// # Errors
    /// The database's.
    pub async fn profile(&self, profile: &Bytes32) -> Result<Option<StoredProfile>, StoreError> {
        sqlx::query(SELECT_BY_ID)
            .bind(profile.to_string())
            .fetch_optional(self.pool())
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }
}

/// Stores a new profile.
///
/// # Errors
/// The database's.
pub async fn insert_profile(tx: &mut Tx, new: &NewProfile<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO profile (profile, token_hash, seed, enrol_id, registration, created_at, seed_key)
         VALUES ($1, $2, $3, $4, 0, $5, $6)",
    )
    .bind(new.profile.to_string())
    .bind(new.token_hash.to_string())
    .bind(new.seed)
    .bind(new.enrol_id.to_string())
    .bind(new.created_at.0)
    .bind(new.seed_key)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether a profile with this first enrolment is stored: it has the same seed.
///
/// # Errors
/// The database's.
pub async fn has_enrolment(tx: &mut Tx, enrol_id: &Bytes32) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM profile WHERE enrol_id = $1")
        .bind(enrol_id.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

/// Notes the contact handle and the day until which the handles are taken.
///
/// # Errors
/// The database's.
pub async fn set_enrolled(
    tx: &mut Tx,
    profile: &str,
    contact: Option<&str>,
    expires: Day,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE profile SET contact = $2, handles_expire = $3 WHERE profile = $1")
        .bind(profile)
        .bind(contact)
        .bind(expires.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
