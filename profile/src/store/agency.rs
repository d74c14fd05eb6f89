//! Agencies: the cases they keep, batches of renewals, and what they were told. What is sealed comes and goes as text.

use contracts::encoding::Bytes32;
use contracts::units::UnixTime;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::audit::next_number;
use super::{Store, StoreError, Tx, number};

/// A batch as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRenewal {
    /// Random id.
    pub renewal: Bytes32,
    /// Whose.
    pub audience: String,
    /// Items.
    pub total: u32,
    /// Items that are done.
    pub done: u32,
    /// When it was asked for.
    pub created_at: UnixTime,
}

/// An item of a batch; pseudonym and result are sealed.
#[derive(Debug, Clone)]
pub struct StoredItem {
    /// Its batch.
    pub renewal: Bytes32,
    /// Its place, from 1.
    pub place: i64,
    /// The pseudonym.
    pub pseudonym: String,
    /// The result, once done.
    pub result: Option<String>,
    /// Times in a row that it failed.
    pub failures: u32,
}

fn id(row: &AnyRow, column: &'static str) -> Result<Bytes32, StoreError> {
    Bytes32::parse(&row.try_get::<String, _>(column)?).map_err(|_| StoreError::Corrupt(column))
}

fn item(row: &AnyRow) -> Result<StoredItem, StoreError> {
    Ok(StoredItem {
        renewal: id(row, "renewal")?,
        place: row.try_get("place")?,
        pseudonym: row.try_get("pseudonym")?,
        result: row.try_get("result")?,
        failures: number(row, "failures")?,
    })
}

impl Store {
    /// Profile and last accepted question of a case.
    ///
    /// # Errors
    /// The database's.
    pub async fn agency_case(
        &self,
        digest: &Bytes32,
    ) -> Result<Option<(Bytes32, Bytes32)>, StoreError> {
        let row = sqlx::query("SELECT profile, question FROM agency_case WHERE case_digest = $1")
            .bind(digest.to_string())
            .fetch_optional(self.pool())
            .await?;
        row.map(|row| Ok((id(&row, "profile")?, id(&row, "question")?)))
            .transpose()
    }

    /// An agency's batch.
    ///
    /// # Errors
    /// The database's.
    pub async fn renewal(
        &self,
        audience: &str,
        renewal: &Bytes32,
    ) -> Result<Option<StoredRenewal>, StoreError> {
        let row = sqlx::query(
            "SELECT r.renewal, r.audience, r.total, r.created_at,
                    (SELECT COUNT(*) FROM renewal_item i WHERE i.renewal = r.renewal AND i.done_at IS NOT NULL) AS done
             FROM renewal r WHERE r.renewal = $1 AND r.audience = $2",
        )
        .bind(renewal.to_string())
        .bind(audience)
        .fetch_optional(self.pool())
        .await?;
        row.map(|row| {
            Ok(StoredRenewal {
                renewal: id(&row, "renewal")?,
                audience: row.try_get("audience")?,
                total: number(&row, "total")?,
                done: number(&row, "done")?,
                created_at: UnixTime(row.try_get("created_at")?),
            })
        })
        .transpose()
    }

    /// Items of a batch after a place, in order.
    ///
    /// # Errors
    /// The database's.
    pub async fn renewal_items(
        &self,
        renewal: &Bytes32,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredItem>, StoreError> {
        let rows = sqlx::query(
            "SELECT renewal, place, pseudonym, result, failures FROM renewal_item
             WHERE renewal = $1 AND place > $2 ORDER BY place LIMIT $3",
        )
        .bind(renewal.to_string())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(item).collect()
    }

    /// Claims one item that is due, with its batch's audience, as [`Store::claim_task`] does.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim_renewal(
        &self,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<(StoredItem, String)>, StoreError> {
        let mut tx = self.begin().await?;
        let lock = self.skip_locked(&tx, "i");
        let sql = format!(
            "SELECT i.renewal, i.place, i.pseudonym, i.result, i.failures, r.audience
             FROM renewal_item i JOIN renewal r ON r.renewal = i.renewal
             WHERE i.done_at IS NULL AND i.due_at <= $1 AND i.held_until <= $1
             ORDER BY i.due_at, i.renewal, i.place LIMIT 1{lock}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(now.0)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (item, audience) = (item(&row)?, row.try_get("audience")?);
        sqlx::query("UPDATE renewal_item SET held_until = $3 WHERE renewal = $1 AND place = $2")
            .bind(item.renewal.to_string())
            .bind(item.place)
            .bind(until.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some((item, audience)))
    }

    /// Keeps what came of an item, once.
    ///
    /// # Errors
    /// The database's.
    pub async fn finish_renewal(
        &self,
        item: &StoredItem,
        result: &str,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE renewal_item SET result = $3, done_at = $4
             WHERE renewal = $1 AND place = $2 AND done_at IS NULL",
        )
        .bind(item.renewal.to_string())
        .bind(item.place)
        .bind(result)
        .bind(now.0)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Puts an item off after a failure.
    ///
    /// # Errors
    /// The database's.
    pub async fn put_off_renewal(&self, item: &StoredItem, at: UnixTime) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE renewal_item SET due_at = $3, held_until = 0, failures = failures + 1
             WHERE renewal = $1 AND place = $2 AND done_at IS NULL",
        )
        .bind(item.renewal.to_string())
        .bind(item.place)
        .bind(at.0)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Notices to an agency after a number, oldest first: number, time, and what is sealed with the task that it is of.
    ///
    /// # Errors
    /// The database's.
    pub async fn agency_notices(
        &self,
        audience: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, UnixTime, Bytes32, String)>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, task, sealed FROM agency_notice WHERE audience = $1 AND seq > $2
             ORDER BY seq LIMIT $3",
        )
        .bind(audience)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let at = UnixTime(row.try_get("at")?);
                Ok((
                    row.try_get("seq")?,
                    at,
                    id(row, "task")?,
                    row.try_get("sealed")?,
                ))
            })
            .collect()
    }
}

/// Notes the case that an accepted application belongs to.
///
/// # Errors
/// The database's.
pub async fn put_agency_case(
    tx: &mut Tx,
    digest: &Bytes32,
    profile: &Bytes32,
    question: &Bytes32,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO agency_case (case_digest, profile, question) VALUES ($1, $2, $3)
         ON CONFLICT (case_digest) DO UPDATE SET profile = $2, question = $3",
    )
    .bind(digest.to_string())
    .bind(profile.to_string())
    .bind(question.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Batches of an agency with items that are not done.
///
/// # Errors
/// The database's.
pub async fn open_renewals(tx: &mut Tx, audience: &str) -> Result<u32, StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS n FROM renewal r WHERE r.audience = $1
         AND EXISTS (SELECT 1 FROM renewal_item i WHERE i.renewal = r.renewal AND i.done_at IS NULL)",
    )
    .bind(audience)
    .fetch_one(&mut **tx)
    .await?;
    number(&row, "n")
}

/// Stores a batch with its sealed pseudonyms, in order.
///
/// # Errors
/// The database's.
pub async fn insert_renewal(
    tx: &mut Tx,
    renewal: &Bytes32,
    audience: &str,
    pseudonyms: &[String],
    now: UnixTime,
) -> Result<(), StoreError> {
    let total = i64::try_from(pseudonyms.len()).map_err(|_| StoreError::Corrupt("total"))?;
    sqlx::query(
        "INSERT INTO renewal (renewal, audience, total, created_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(renewal.to_string())
    .bind(audience)
    .bind(total)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    let numbered: Vec<_> = (1i64..).zip(pseudonyms).collect();
    for chunk in numbered.chunks(500) {
        let sql = format!(
            "INSERT INTO renewal_item (renewal, place, pseudonym, due_at) VALUES {}",
            oracles::db::rows(chunk.len(), 4)
        );
        let mut insert = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (place, pseudonym) in chunk {
            insert = insert
                .bind(renewal.to_string())
                .bind(*place)
                .bind(pseudonym.as_str())
                .bind(now.0);
        }
        insert.execute(&mut **tx).await?;
    }
    Ok(())
}

/// Puts a notice into an agency's feed, once for each task.
///
/// # Errors
/// The database's.
pub async fn put_notice(
    tx: &mut Tx,
    audience: &str,
    task: &Bytes32,
    sealed: &str,
    now: UnixTime,
) -> Result<(), StoreError> {
    let known = sqlx::query("SELECT seq FROM agency_notice WHERE task = $1")
        .bind(task.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    if known.is_some() {
        return Ok(());
    }
    let seq = next_number(tx, &format!("notices {audience}")).await?;
    sqlx::query(
        "INSERT INTO agency_notice (audience, seq, task, at, sealed) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(audience)
    .bind(seq)
    .bind(task.to_string())
    .bind(now.0)
    .bind(sealed)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
