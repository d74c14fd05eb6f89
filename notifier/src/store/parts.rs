//! Segments of longer texts, until all are there.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Write};

/// Segments of one phone that wait for others.
const MAX_OF_PHONE: i64 = 30;
/// Segments of all phones that wait for others.
const MAX_OF_ALL: i64 = 10_000;
/// Texts joined in one go.
const BATCH: i64 = 64;

/// Which text segments belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The provider that said them.
    pub provider: String,
    /// Keyed digest of the number.
    pub phone_index: String,
    /// The phone's number for the text.
    pub reference: i64,
    /// How many segments it has.
    pub total: i64,
}

/// A segment to be kept.
#[derive(Debug)]
pub struct NewPart<'a> {
    /// Its text.
    pub group: &'a Group,
    /// Its place there, from 1.
    pub number: i64,
    /// Keyed digest of its words.
    pub digest: &'a str,
    /// Its words, sealed.
    pub sealed: &'a str,
}

/// What became of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It waits for the others.
    Waits,
    /// It was there already.
    Again,
    /// Too many wait already.
    Full,
}

impl Store {
    /// Keeps a segment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_part(
        &self,
        write: &mut Write,
        part: &NewPart<'_>,
        now: i64,
    ) -> Result<Kept, StoreError> {
        let group = part.group;
        let earlier = sqlx::query(
            "SELECT digest FROM part WHERE provider = $1 AND phone_index = $2 AND reference = $3 AND total = $4 AND number = $5",
        )
        .bind(&group.provider)
        .bind(&group.phone_index)
        .bind(group.reference)
        .bind(group.total)
        .bind(part.number)
        .fetch_optional(&mut **write)
        .await?;
        if let Some(earlier) = earlier {
            if earlier.try_get::<String, _>("digest")? == part.digest {
                return Ok(Kept::Again);
            }
            // The phone has come to use the reference again, for another text.
            sqlx::query(
                "DELETE FROM part WHERE provider = $1 AND phone_index = $2 AND reference = $3 AND total = $4",
            )
            .bind(&group.provider)
            .bind(&group.phone_index)
            .bind(group.reference)
            .bind(group.total)
            .execute(&mut **write)
            .await?;
        }
        let waiting = sqlx::query(
            "SELECT COUNT(*) AS of_all, (SELECT COUNT(*) FROM part WHERE sealed <> '' AND phone_index = $1) AS of_phone \
             FROM part WHERE sealed <> ''",
        )
        .bind(&group.phone_index)
        .fetch_one(&mut **write)
        .await?;
        if waiting.try_get::<i64, _>("of_all")? >= MAX_OF_ALL
            || waiting.try_get::<i64, _>("of_phone")? >= MAX_OF_PHONE
        {
            return Ok(Kept::Full);
        }
        let kept = sqlx::query(
            "INSERT INTO part (provider, phone_index, reference, total, number, digest, sealed, received_at) \
             VALUES ($1,$2,$3,$4,$5,$6,$7,$8) ON CONFLICT DO NOTHING",
        )
        .bind(&group.provider)
        .bind(&group.phone_index)
        .bind(group.reference)
        .bind(group.total)
        .bind(part.number)
        .bind(part.digest)
        .bind(part.sealed)
        .bind(now)
        .execute(&mut **write)
        .await?;
        Ok(match kept.rows_affected() {
            0 => Kept::Again,
            _ => Kept::Waits,
        })
    }

    /// Texts whose segments are all there, and those that have waited since `overdue` for the rest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ready_parts(&self, overdue: i64) -> Result<Vec<Group>, StoreError> {
        let rows = sqlx::query(
            "SELECT provider, phone_index, reference, total FROM part WHERE sealed <> '' \
             GROUP BY provider, phone_index, reference, total HAVING COUNT(*) = total OR MIN(received_at) <= $1 LIMIT $2",
        )
        .bind(overdue)
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(group).collect()
    }

    /// Takes the segments of a text, in order; nobody else gets them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_parts(
        &self,
        write: &mut Write,
        group: &Group,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let lock = if self.sqlite { "" } else { "FOR UPDATE" };
        let of =
            "provider = $1 AND phone_index = $2 AND reference = $3 AND total = $4 AND sealed <> ''";
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT number, sealed FROM part WHERE {of} ORDER BY number {lock}"
        )))
        .bind(&group.provider)
        .bind(&group.phone_index)
        .bind(group.reference)
        .bind(group.total)
        .fetch_all(&mut **write)
        .await?;
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE part SET sealed = '' WHERE {of}"
        )))
        .bind(&group.provider)
        .bind(&group.phone_index)
        .bind(group.reference)
        .bind(group.total)
        .execute(&mut **write)
        .await?;
        rows.iter()
            .map(|row| Ok((row.try_get("number")?, row.try_get("sealed")?)))
            .collect()
    }

    /// Forgets that segments of texts read before `before` were there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_parts(&self, write: &mut Write, before: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM part WHERE sealed = '' AND received_at < $1")
            .bind(before)
            .execute(&mut **write)
            .await?;
        Ok(())
    }
}

fn group(row: &AnyRow) -> Result<Group, StoreError> {
    Ok(Group {
        provider: row.try_get("provider")?,
        phone_index: row.try_get("phone_index")?,
        reference: row.try_get("reference")?,
        total: row.try_get("total")?,
    })
}
