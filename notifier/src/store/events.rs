//! What callers are told, in order.

use sqlx::Row as _;

use super::{Store, StoreError, Write};

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// `reply`, `closed`, `dispute`, `contact` or `message`.
    pub kind: &'a str,
    /// The decision, contact or message.
    pub subject: &'a str,
    /// The answer, reason or state.
    pub detail: &'a str,
}

/// An event as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number among the caller's, from 1, without gaps.
    pub seq: i64,
    /// When it happened, Unix seconds.
    pub at: i64,
    /// As [`NewEvent::kind`].
    pub kind: String,
    /// As [`NewEvent::subject`].
    pub subject: String,
    /// As [`NewEvent::detail`].
    pub detail: String,
}

impl Store {
    /// Adds an event for a caller. The notifier's own decisions and messages (an empty caller) tell nobody.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_event(
        &self,
        write: &mut Write,
        caller: &str,
        event: NewEvent<'_>,
        now: i64,
    ) -> Result<(), StoreError> {
        if caller.is_empty() {
            return Ok(());
        }
        // The counter's row is locked until the transaction ends: numbers become visible in order.
        let row = sqlx::query(
            "INSERT INTO event_count (caller, seq) VALUES ($1, 1) \
             ON CONFLICT (caller) DO UPDATE SET seq = event_count.seq + 1 RETURNING seq",
        )
        .bind(caller)
        .fetch_one(&mut **write)
        .await?;
        sqlx::query(
            "INSERT INTO event (caller, seq, at, kind, subject, detail) VALUES ($1,$2,$3,$4,$5,$6)",
        )
        .bind(caller)
        .bind(row.try_get::<i64, _>("seq")?)
        .bind(now)
        .bind(event.kind)
        .bind(event.subject)
        .bind(event.detail)
        .execute(&mut **write)
        .await?;
        Ok(())
    }

    /// The callers that texted a contact.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn callers_of(
        &self,
        write: &mut Write,
        contact: &str,
    ) -> Result<Vec<String>, StoreError> {
        let rows =
            sqlx::query("SELECT DISTINCT caller FROM message WHERE contact = $1 AND caller <> ''")
                .bind(contact)
                .fetch_all(&mut **write)
                .await?;
        rows.iter().map(|row| Ok(row.try_get("caller")?)).collect()
    }

    /// A caller's events after one it has seen, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events(
        &self,
        caller: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, kind, subject, detail FROM event WHERE caller = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(caller)
        .bind(after)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Event {
                    seq: row.try_get("seq")?,
                    at: row.try_get("at")?,
                    kind: row.try_get("kind")?,
                    subject: row.try_get("subject")?,
                    detail: row.try_get("detail")?,
                })
            })
            .collect()
    }
}
