//! Consent to reading sources, by domain.

use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, Domain};
use contracts::leaf::PERSON;
use contracts::units::{Day, UnixTime};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, parsed, to_json};

/// What an owner said about a domain since enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredConsent {
    /// Whose sources.
    pub domain: Domain,
    /// Last day, where one was named.
    pub until: Option<Day>,
    /// When it was withdrawn.
    pub withdrawn_at: Option<UnixTime>,
}

impl StoredConsent {
    /// Whether sources may be read on a day.
    pub fn holds(&self, today: Day) -> bool {
        self.withdrawn_at.is_none() && self.until.is_none_or(|until| today <= until)
    }
}

const CONSENTS: &str =
    "SELECT domain, until_day, withdrawn_at FROM consent WHERE profile = $1 ORDER BY domain";

fn consent(row: &AnyRow) -> Result<StoredConsent, StoreError> {
    let until: Option<String> = row.try_get("until_day")?;
    let until = until.map(|day| day.parse()).transpose();
    let withdrawn: Option<i64> = row.try_get("withdrawn_at")?;
    Ok(StoredConsent {
        domain: parsed(row, "domain")?,
        until: until.map_err(|_| StoreError::Corrupt("until_day"))?,
        withdrawn_at: withdrawn.map(UnixTime),
    })
}

impl Store {
    /// What an owner said, by domain.
    ///
    /// # Errors
    /// The database's.
    pub async fn consents(&self, profile: &Bytes32) -> Result<Vec<StoredConsent>, StoreError> {
        let rows = sqlx::query(CONSENTS)
            .bind(profile.to_string())
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(consent).collect()
    }
}

/// As [`Store::consents`]; until the transaction ends nothing else is said, and what was read is not kept by anybody else.
///
/// # Errors
/// The database's.
pub async fn lock_consents(
    tx: &mut Tx,
    profile: &Bytes32,
) -> Result<Vec<StoredConsent>, StoreError> {
    if tx.backend_name() != "SQLite" {
        // A first withdrawal has no row of its own to lock.
        sqlx::query("SELECT 1 FROM profile WHERE profile = $1 FOR NO KEY UPDATE")
            .bind(profile.to_string())
            .execute(&mut **tx)
            .await?;
    }
    let rows = sqlx::query(CONSENTS)
        .bind(profile.to_string())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(consent).collect()
}

/// Keeps what an owner says of a domain.
///
/// # Errors
/// The database's.
pub async fn put_consent(
    tx: &mut Tx,
    profile: &Bytes32,
    consent: &StoredConsent,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO consent (profile, domain, until_day, withdrawn_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (profile, domain) DO UPDATE SET until_day = $3, withdrawn_at = $4",
    )
    .bind(profile.to_string())
    .bind(consent.domain.as_str())
    .bind(consent.until.map(|day| day.to_string()))
    .bind(consent.withdrawn_at.map(|at| at.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Drops what was read of a domain and shown to nobody, of questions too.
///
/// # Errors
/// The database's.
pub async fn forget(tx: &mut Tx, profile: &Bytes32, domain: Domain) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM attestation
         WHERE profile = $1 AND domain = $2 AND used_by IS NULL AND withheld = 0 AND attribute <> $3",
    )
    .bind(profile.to_string())
    .bind(domain.as_str())
    .bind(PERSON)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Changes which facts of a question are asked for as withheld.
///
/// # Errors
/// The database's.
pub async fn set_withhold(
    tx: &mut Tx,
    question: &Bytes32,
    withhold: &[AttributeId],
) -> Result<(), StoreError> {
    sqlx::query("UPDATE question SET withhold = $2 WHERE question = $1")
        .bind(question.to_string())
        .bind(to_json(withhold))
        .execute(&mut **tx)
        .await?;
    Ok(())
}
