//! The outbox.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Write};
use crate::template::Template;

/// Where a message stands; it only moves down this list, and the last four are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageState {
    /// Waiting to be sent.
    Queued,
    /// Handed to the gateway, whose answer is not known yet.
    Sending,
    /// The gateway took it.
    Sent,
    /// The phone has it.
    Delivered,
    /// It will not arrive.
    Failed,
    /// The phone wants no texts.
    Blocked,
    /// The deadline it names passed before it could be sent.
    Expired,
}

impl MessageState {
    const ALL: [Self; 7] = [
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Delivered,
        Self::Failed,
        Self::Blocked,
        Self::Expired,
    ];

    /// Its name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Expired => "expired",
        }
    }

    /// Its name in the API, where handing over is no state of its own.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Sending => "queued",
            other => other.as_str(),
        }
    }
}

/// A message as stored.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its id, also the gateway's reference.
    pub id: String,
    /// Digest of the request that made it.
    pub request_digest: String,
    /// Whom it goes to.
    pub contact: String,
    /// What it says.
    pub template: Template,
    /// State whose coverage it is about.
    pub jurisdiction: Option<String>,
    /// The decision it belongs to.
    pub decision_id: Option<String>,
    /// Where it stands.
    pub state: MessageState,
    /// Times it was handed to the gateway.
    pub attempts: i64,
}

/// A message to be sent.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// The message.
    pub message: &'a Message,
    /// Who sends it; empty for the notifier's own.
    pub caller: &'a str,
    /// One message per caller and key.
    pub idempotency_key: &'a str,
    /// Now.
    pub now: i64,
}

const COLUMNS: &str =
    "id, request_digest, contact, template, jurisdiction, decision_id, state, attempts";

fn message(row: &AnyRow) -> Result<Message, StoreError> {
    let template: String = row.try_get("template")?;
    let state: String = row.try_get("state")?;
    Ok(Message {
        id: row.try_get("id")?,
        request_digest: row.try_get("request_digest")?,
        contact: row.try_get("contact")?,
        template: Template::parse(&template).ok_or(StoreError::Damaged("message.template"))?,
        jurisdiction: row.try_get("jurisdiction")?,
        decision_id: row.try_get("decision_id")?,
        state: MessageState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or(StoreError::Damaged("message.state"))?,
        attempts: row.try_get("attempts")?,
    })
}

impl Store {
    /// Adds a message; false if the caller used the key before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_message(
        &self,
        write: &mut Write,
        new: &NewMessage<'_>,
    ) -> Result<bool, StoreError> {
        let message = new.message;
        let added = sqlx::query(
            "INSERT INTO message (id, caller, idempotency_key, request_digest, contact, template, jurisdiction, decision_id, \
             state, attempts, due, created_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,0,$10,$10) \
             ON CONFLICT (caller, idempotency_key) DO NOTHING",
        )
        .bind(&message.id)
        .bind(new.caller)
        .bind(new.idempotency_key)
        .bind(&message.request_digest)
        .bind(&message.contact)
        .bind(message.template.name())
        .bind(&message.jurisdiction)
        .bind(&message.decision_id)
        .bind(message.state.as_str())
        .bind(new.now)
        .execute(&mut **write)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// The message a caller sent under a key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message_by_key(
        &self,
        write: &mut Write,
        caller: &str,
        key: &str,
    ) -> Result<Option<Message>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM message WHERE caller = $1 AND idempotency_key = $2"
        )))
        .bind(caller)
        .bind(key)
        .fetch_optional(&mut **write)
        .await?;
        row.as_ref().map(message).transpose()
    }

    /// A caller's message.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message(&self, caller: &str, id: &str) -> Result<Option<Message>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM message WHERE caller = $1 AND id = $2"
        )))
        .bind(caller)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(message).transpose()
    }

    /// Any message.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message_by_id(&self, id: &str) -> Result<Option<Message>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM message WHERE id = $1"
        )))
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(message).transpose()
    }

    /// Takes the next due message for sending, until `lease` seconds from now: a sender that dies leaves it to the next.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, now: i64, lease: i64) -> Result<Option<Message>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE message SET state = 'sending', attempts = attempts + 1, due = $1 WHERE id = (SELECT id FROM message \
             WHERE state IN ('queued', 'sending') AND due <= $2 ORDER BY created_at, id LIMIT 1) \
             AND state IN ('queued', 'sending') AND due <= $2 RETURNING {COLUMNS}"
        )))
        .bind(now.saturating_add(lease))
        .bind(now)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(message).transpose()
    }

    /// Moves a message on. A move back, or out of a final state, does nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn advance(
        &self,
        write: &mut Write,
        id: &str,
        to: MessageState,
    ) -> Result<bool, StoreError> {
        let from: Vec<&str> = MessageState::ALL
            .into_iter()
            .filter(|from| *from < to && *from < MessageState::Delivered)
            .map(MessageState::as_str)
            .collect();
        let moved = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE message SET state = $1 WHERE id = $2 AND state IN ('{}')",
            from.join("', '")
        )))
        .bind(to.as_str())
        .bind(id)
        .execute(&mut **write)
        .await?;
        Ok(moved.rows_affected() == 1)
    }

    /// Lets a message that could not be sent wait until `due`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn retry_at(&self, id: &str, due: i64) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE message SET state = 'queued', due = $1 WHERE id = $2 AND state = 'sending'",
        )
        .bind(due)
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Ends every lease.
    pub(super) async fn release_all(&self) -> Result<(), StoreError> {
        sqlx::query("UPDATE message SET due = 0 WHERE state = 'sending'")
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
