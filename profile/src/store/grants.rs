//! Grants: who may act for an owner, the replies that made a grant, and what it was used for. What is sealed comes and goes as
//! text.

use contracts::encoding::Bytes32;
use contracts::units::UnixTime;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, number};
use crate::grant::{Purpose, Standing};

/// A grant as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGrant {
    /// Random id.
    pub grant: Bytes32,
    /// Whose.
    pub profile: Bytes32,
    /// Who made it.
    pub made_by: String,
    /// Index of the wallet key that seals it.
    pub wallet_index: u32,
    /// Index of the key that the representative is known by.
    pub key_index: u32,
    /// Its terms, sealed.
    pub terms: String,
    /// Where it stands.
    pub standing: Standing,
    /// Since when.
    pub standing_at: UnixTime,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it is to be looked after.
    pub due_at: Option<UnixTime>,
    /// Times in a row that looking after it failed.
    pub failures: u32,
}

/// What a representative was asked in the owner's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUse {
    /// The decision.
    pub decision: Bytes32,
    /// Under which grant.
    pub grant: Bytes32,
    /// `apply`, `change` or `gap`.
    pub purpose: String,
    /// When it was to be asked.
    pub asked_at: UnixTime,
    /// When it ended.
    pub settled_at: Option<UnixTime>,
    /// How.
    pub outcome: Option<String>,
}

const COLUMNS: &str = "grant_id, profile, made_by, wallet_index, key_index, terms, standing, standing_at, created_at, due_at, failures";
const USES: &str = "decision, grant_id, purpose, asked_at, settled_at, outcome";

fn id(row: &AnyRow, column: &'static str) -> Result<Bytes32, StoreError> {
    Bytes32::parse(&row.try_get::<String, _>(column)?).map_err(|_| StoreError::Corrupt(column))
}

fn read(row: &AnyRow) -> Result<StoredGrant, StoreError> {
    let standing: String = row.try_get("standing")?;
    let due: Option<i64> = row.try_get("due_at")?;
    Ok(StoredGrant {
        grant: id(row, "grant_id")?,
        profile: id(row, "profile")?,
        made_by: row.try_get("made_by")?,
        wallet_index: number(row, "wallet_index")?,
        key_index: number(row, "key_index")?,
        terms: row.try_get("terms")?,
        standing: Standing::parse(&standing).ok_or(StoreError::Corrupt("standing"))?,
        standing_at: UnixTime(row.try_get("standing_at")?),
        created_at: UnixTime(row.try_get("created_at")?),
        due_at: due.map(UnixTime),
        failures: number(row, "failures")?,
    })
}

fn read_use(row: &AnyRow) -> Result<StoredUse, StoreError> {
    let settled: Option<i64> = row.try_get("settled_at")?;
    Ok(StoredUse {
        decision: id(row, "decision")?,
        grant: id(row, "grant_id")?,
        purpose: row.try_get("purpose")?,
        asked_at: UnixTime(row.try_get("asked_at")?),
        settled_at: settled.map(UnixTime),
        outcome: row.try_get("outcome")?,
    })
}

impl Store {
    /// A grant.
    ///
    /// # Errors
    /// The database's.
    pub async fn grant(&self, grant: &Bytes32) -> Result<Option<StoredGrant>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM representative_grant WHERE grant_id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(grant.to_string())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// A profile's grants, latest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn grants(&self, profile: &Bytes32) -> Result<Vec<StoredGrant>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM representative_grant WHERE profile = $1
             ORDER BY key_index DESC LIMIT 100"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(profile.to_string())
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(read).collect()
    }

    /// What a grant was used for, latest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn grant_uses(&self, grant: &Bytes32) -> Result<Vec<StoredUse>, StoreError> {
        let sql = format!(
            "SELECT {USES} FROM grant_use WHERE grant_id = $1 ORDER BY asked_at DESC, decision LIMIT 100"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(grant.to_string())
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(read_use).collect()
    }

    /// What a grant was used for in applications to one agency, latest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn grant_uses_at(
        &self,
        grant: &Bytes32,
        audience: &str,
    ) -> Result<Vec<StoredUse>, StoreError> {
        let sql = format!(
            "SELECT {USES} FROM grant_use WHERE grant_id = $1 AND purpose = 'apply'
             AND decision IN (SELECT decision FROM question WHERE audience = $2)
             ORDER BY asked_at DESC, decision LIMIT 100"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(grant.to_string())
            .bind(audience)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(read_use).collect()
    }

    /// The use that a decision was asked under; none where the owner was asked.
    ///
    /// # Errors
    /// The database's.
    pub async fn grant_use(&self, decision: &Bytes32) -> Result<Option<StoredUse>, StoreError> {
        let sql = format!("SELECT {USES} FROM grant_use WHERE decision = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(decision.to_string())
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(read_use).transpose()
    }

    /// Settled uses that the owner has not been told of.
    ///
    /// # Errors
    /// The database's.
    pub async fn untold_uses(
        &self,
        grant: &Bytes32,
    ) -> Result<Vec<(Bytes32, UnixTime)>, StoreError> {
        let rows = sqlx::query(
            "SELECT decision, settled_at FROM grant_use
             WHERE grant_id = $1 AND outcome IN ('yes', 'no') AND told_at IS NULL ORDER BY settled_at, decision LIMIT 100",
        )
        .bind(grant.to_string())
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| Ok((id(row, "decision")?, UnixTime(row.try_get("settled_at")?))))
            .collect()
    }

    /// Notes that the owner was told of a use.
    ///
    /// # Errors
    /// The database's.
    pub async fn use_told(&self, decision: &Bytes32, now: UnixTime) -> Result<(), StoreError> {
        sqlx::query("UPDATE grant_use SET told_at = $2 WHERE decision = $1")
            .bind(decision.to_string())
            .bind(now.0)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Something that a grant keeps, sealed.
    ///
    /// # Errors
    /// The database's.
    pub async fn grant_document(
        &self,
        grant: &Bytes32,
        kind: &str,
    ) -> Result<Option<String>, StoreError> {
        let row =
            sqlx::query("SELECT sealed FROM grant_document WHERE grant_id = $1 AND kind = $2")
                .bind(grant.to_string())
                .bind(kind)
                .fetch_optional(self.pool())
                .await?;
        row.map(|row| Ok(row.try_get("sealed")?)).transpose()
    }

    /// Claims one grant that is to be looked after, for as long as the lease runs.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim_grant(
        &self,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<StoredGrant>, StoreError> {
        let mut tx = self.begin().await?;
        let lock = self.skip_locked(&tx, "g");
        let sql = format!(
            "SELECT {COLUMNS} FROM representative_grant g WHERE g.due_at <= $1 AND g.held_until <= $1
             ORDER BY g.due_at, g.grant_id LIMIT 1{lock}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(now.0)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let claimed = read(&row)?;
        sqlx::query("UPDATE representative_grant SET held_until = $2 WHERE grant_id = $1")
            .bind(claimed.grant.to_string())
            .bind(until.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(claimed))
    }

    /// Says when a grant is to be looked after again, unless something has come up since it was claimed.
    ///
    /// # Errors
    /// The database's.
    pub async fn put_off_grant(
        &self,
        grant: &StoredGrant,
        due: Option<UnixTime>,
        failures: u32,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE representative_grant SET due_at = $3, held_until = 0, failures = $4
             WHERE grant_id = $1 AND standing = $2 AND due_at = $5",
        )
        .bind(grant.grant.to_string())
        .bind(grant.standing.as_str())
        .bind(due.map(|due| due.0))
        .bind(i64::from(failures))
        .bind(grant.due_at.map_or(0, |due| due.0))
        .execute(self.pool())
        .await?;
        Ok(())
    }
}

/// Stores a grant, due at once.
///
/// # Errors
/// The database's.
pub async fn insert_grant(tx: &mut Tx, new: &StoredGrant) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO representative_grant
         (grant_id, profile, made_by, wallet_index, key_index, terms, standing, standing_at, created_at, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
    )
    .bind(new.grant.to_string())
    .bind(new.profile.to_string())
    .bind(new.made_by.as_str())
    .bind(i64::from(new.wallet_index))
    .bind(i64::from(new.key_index))
    .bind(new.terms.as_str())
    .bind(new.standing.as_str())
    .bind(new.standing_at.0)
    .bind(new.created_at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Moves a grant from one standing to the next, due at once; false if it had moved. Until the transaction ends, no other moves it.
///
/// # Errors
/// The database's.
pub async fn move_grant(
    tx: &mut Tx,
    grant: &Bytes32,
    from: Standing,
    to: Standing,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let moved = sqlx::query(
        "UPDATE representative_grant SET standing = $3, standing_at = $4, due_at = $4, held_until = 0, failures = 0
         WHERE grant_id = $1 AND standing = $2",
    )
    .bind(grant.to_string())
    .bind(from.as_str())
    .bind(to.as_str())
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// As [`Store::grant_use`], within a transaction.
///
/// # Errors
/// The database's.
pub async fn use_of(tx: &mut Tx, decision: &Bytes32) -> Result<Option<StoredUse>, StoreError> {
    let sql = format!("SELECT {USES} FROM grant_use WHERE decision = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(decision.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(read_use).transpose()
}

/// Has a grant looked after now, and reads it: until the transaction ends, nobody revokes it.
///
/// # Errors
/// The database's.
pub async fn hold_grant(
    tx: &mut Tx,
    grant: &Bytes32,
    now: UnixTime,
) -> Result<Option<StoredGrant>, StoreError> {
    let sql = format!(
        "UPDATE representative_grant SET due_at = $2 WHERE grant_id = $1 RETURNING {COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(grant.to_string())
        .bind(now.0)
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Keeps something of a grant; what is kept already stays.
///
/// # Errors
/// The database's.
pub async fn keep_grant_document(
    tx: &mut Tx,
    grant: &Bytes32,
    kind: &str,
    sealed: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO grant_document (grant_id, kind, sealed) VALUES ($1, $2, $3)
         ON CONFLICT (grant_id, kind) DO NOTHING",
    )
    .bind(grant.to_string())
    .bind(kind)
    .bind(sealed)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that a decision is asked under a grant, once: says under which grant it is asked.
///
/// # Errors
/// The database's.
pub async fn put_use(
    tx: &mut Tx,
    decision: &Bytes32,
    grant: &Bytes32,
    purpose: Purpose,
    now: UnixTime,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO grant_use (decision, grant_id, purpose, asked_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (decision) DO NOTHING",
    )
    .bind(decision.to_string())
    .bind(grant.to_string())
    .bind(purpose.as_str())
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes how a use ended, once.
///
/// # Errors
/// The database's.
pub async fn settle_use(
    tx: &mut Tx,
    decision: &Bytes32,
    outcome: &str,
    now: UnixTime,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE grant_use SET outcome = $2, settled_at = $3 WHERE decision = $1 AND outcome IS NULL",
    )
    .bind(decision.to_string())
    .bind(outcome)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
