//! Messages: what is to be sent, what was, and how it went.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Write};
use crate::text::Template;

/// Where a message stands. Reports only ever move it down this list, and the last five are final; a dead letter alone can be
/// put back by an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageState {
    /// Waiting to be sent.
    Queued,
    /// Handed to a provider, whose answer is not known yet.
    Sending,
    /// Nobody took it, or nobody can say whether somebody did: an operator looks at it.
    Dead,
    /// A provider took it.
    Sent,
    /// The phone has it.
    Delivered,
    /// It will not arrive.
    Failed,
    /// The phone wants no texts.
    Blocked,
    /// What it says was no longer so before it could be sent.
    Expired,
    /// The number is not the person's.
    Suspended,
}

impl MessageState {
    const ALL: [Self; 9] = [
        Self::Queued,
        Self::Sending,
        Self::Dead,
        Self::Sent,
        Self::Delivered,
        Self::Failed,
        Self::Blocked,
        Self::Expired,
        Self::Suspended,
    ];

    /// Its name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Dead => "dead",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Expired => "expired",
            Self::Suspended => "suspended",
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
    /// Its id, also the provider's reference.
    pub id: String,
    /// Who sends it; empty for the notifier's own.
    pub caller: String,
    /// Digest of the request that made it.
    pub request_digest: String,
    /// Whom it goes to.
    pub contact: String,
    /// Keyed digest of the number it goes to.
    pub phone_index: String,
    /// What it says.
    pub template: Template,
    /// What it is filled in with, sealed for this message.
    pub sealed_params: String,
    /// The decision it belongs to.
    pub decision_id: Option<String>,
    /// Where it stands.
    pub state: MessageState,
    /// Why it failed or died.
    pub reason: Option<String>,
    /// Times it was handed to a provider.
    pub attempts: i64,
    /// Times a look-up about it got no answer.
    pub looks: i64,
    /// The provider it was last handed to, or is to be handed to next.
    pub provider: Option<String>,
    /// The provider's id of it.
    pub provider_id: Option<String>,
    /// When it was last handed over.
    pub attempted_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
}

/// A message to be sent.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// The message.
    pub message: &'a Message,
    /// One message per caller and key.
    pub idempotency_key: &'a str,
    /// Not before.
    pub due: i64,
}

pub(super) const COLUMNS: &str = "m.id, m.caller, m.request_digest, m.contact, m.phone_index, m.template, \
    m.sealed_params, m.decision_id, m.state, m.reason, m.attempts, m.looks, m.provider, m.provider_id, m.attempted_at, \
    m.created_at";

pub(super) fn message(row: &AnyRow) -> Result<Message, StoreError> {
    let template: String = row.try_get("template")?;
    let state: String = row.try_get("state")?;
    Ok(Message {
        id: row.try_get("id")?,
        caller: row.try_get("caller")?,
        request_digest: row.try_get("request_digest")?,
        contact: row.try_get("contact")?,
        phone_index: row.try_get("phone_index")?,
        template: Template::parse(&template).ok_or(StoreError::Damaged("message.template"))?,
        sealed_params: row.try_get("sealed_params")?,
        decision_id: row.try_get("decision_id")?,
        state: MessageState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or(StoreError::Damaged("message.state"))?,
        reason: row.try_get("reason")?,
        attempts: row.try_get("attempts")?,
        looks: row.try_get("looks")?,
        provider: row.try_get("provider")?,
        provider_id: row.try_get("provider_id")?,
        attempted_at: row.try_get("attempted_at")?,
        created_at: row.try_get("created_at")?,
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
            "INSERT INTO message (id, caller, idempotency_key, request_digest, contact, phone_index, template, sealed_params, \
             decision_id, state, unasked, attempts, looks, due, created_at) \
             VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,0,0,$12,$13) ON CONFLICT (caller, idempotency_key) DO NOTHING",
        )
        .bind(&message.id)
        .bind(&message.caller)
        .bind(new.idempotency_key)
        .bind(&message.request_digest)
        .bind(&message.contact)
        .bind(&message.phone_index)
        .bind(message.template.name())
        .bind(&message.sealed_params)
        .bind(&message.decision_id)
        .bind(message.state.as_str())
        .bind(i64::from(message.template.is_unasked()))
        .bind(new.due)
        .bind(message.created_at)
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
            "SELECT {COLUMNS} FROM message m WHERE m.caller = $1 AND m.idempotency_key = $2"
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
            "SELECT {COLUMNS} FROM message m WHERE m.caller = $1 AND m.id = $2"
        )))
        .bind(caller)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(message).transpose()
    }

    /// Any message, to be changed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message_by_id(
        &self,
        write: &mut Write,
        id: &str,
    ) -> Result<Option<Message>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM message m WHERE m.id = $1"
        )))
        .bind(id)
        .fetch_optional(&mut **write)
        .await?;
        row.as_ref().map(message).transpose()
    }

    /// The message that a provider gave an id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message_of_provider(
        &self,
        write: &mut Write,
        provider: &str,
        provider_id: &str,
    ) -> Result<Option<Message>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM message m WHERE m.provider = $1 AND m.provider_id = $2"
        )))
        .bind(provider)
        .bind(provider_id)
        .fetch_optional(&mut **write)
        .await?;
        row.as_ref().map(message).transpose()
    }

    /// The latest message to a phone that a provider may have taken under an id nobody noted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unresolved(
        &self,
        write: &mut Write,
        provider: &str,
        phone_index: &str,
    ) -> Result<Option<Message>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM message m WHERE m.phone_index = $1 AND m.provider = $2 AND m.provider_id IS NULL \
             AND m.state IN ('sending', 'dead') AND m.attempted_at IS NOT NULL ORDER BY m.attempted_at DESC LIMIT 1"
        )))
        .bind(phone_index)
        .bind(provider)
        .fetch_optional(&mut **write)
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
        reason: Option<&str>,
        due: i64,
    ) -> Result<bool, StoreError> {
        let from: Vec<&str> = MessageState::ALL
            .into_iter()
            .filter(|from| *from < to && *from < MessageState::Delivered)
            .map(MessageState::as_str)
            .collect();
        let moved = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE message SET state = $1, reason = $2, due = $3 WHERE id = $4 AND state IN ('{}')",
            from.join("', '")
        )))
        .bind(to.as_str())
        .bind(reason)
        .bind(due)
        .bind(id)
        .execute(&mut **write)
        .await?;
        Ok(moved.rows_affected() == 1)
    }

    /// Notes when and under what id a provider took a message; the first id stays.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn taken(
        &self,
        write: &mut Write,
        id: &str,
        provider: &str,
        provider_id: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE message SET provider = $1, provider_id = $2, sent_at = COALESCE(sent_at, $3) WHERE id = $4 AND provider_id IS NULL",
        )
        .bind(provider)
        .bind(provider_id)
        .bind(now)
        .bind(id)
        .execute(&mut **write)
        .await?;
        Ok(())
    }

    /// Dead letters, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn dead_letters(&self, limit: i64) -> Result<Vec<Message>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM message m WHERE m.state = 'dead' ORDER BY m.created_at, m.id LIMIT $1"
        )))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(message).collect()
    }

    /// Puts a dead letter back into the outbox as if it had never been handed over; false if it is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replay(&self, write: &mut Write, id: &str, now: i64) -> Result<bool, StoreError> {
        let replayed = sqlx::query(
            "UPDATE message SET state = 'queued', reason = NULL, attempts = 0, looks = 0, attempted_at = NULL, due = $1 \
             WHERE id = $2 AND state = 'dead'",
        )
        .bind(now)
        .bind(id)
        .execute(&mut **write)
        .await?;
        Ok(replayed.rows_affected() == 1)
    }

    /// Messages by state, for the metrics.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waiting(&self) -> Result<(i64, i64), StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM message WHERE state IN ('queued', 'sending')) AS waiting, \
             (SELECT COUNT(*) FROM message WHERE state = 'dead') AS dead",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((row.try_get("waiting")?, row.try_get("dead")?))
    }
}
