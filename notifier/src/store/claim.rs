//! Taking due messages for sending.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::contacts::{self, Contact};
use super::decisions::{self, DecisionRow};
use super::messages::{self, Message, MessageState};
use super::{Store, StoreError, Write};
use crate::rules::plan::DAY;

/// A due message and all that bears on it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The message as it was before; a `Sending` one was handed over, and nobody noted how that ended.
    pub message: Message,
    /// Whom it goes to.
    pub contact: Contact,
    /// The decision it belongs to.
    pub decision: Option<DecisionRow>,
    /// Texts of the same sort that went to the phone in the last 24 hours.
    pub lately: i64,
    /// When the first of those went.
    pub lately_since: Option<i64>,
}

fn claimed(row: &AnyRow) -> Result<Claimed, StoreError> {
    Ok(Claimed {
        message: messages::message(row)?,
        contact: contacts::contact(row)?,
        decision: match row.try_get::<Option<String>, _>("d_id")? {
            Some(_) => Some(decisions::decision(row)?),
            None => None,
        },
        lately: row.try_get("lately")?,
        lately_since: row.try_get("lately_since")?,
    })
}

impl Store {
    /// Due messages in `state` (`Queued`, `Sending` or `Sent`), oldest first, at most one per phone, none of a phone that another
    /// message is being handed over to. On Postgres other workers skip them until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due(
        &self,
        write: &mut Write,
        state: MessageState,
        now: i64,
        limit: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        let lately = "l.phone_index = m.phone_index AND l.sent_at > $2 AND l.unasked = m.unasked";
        let free = match state {
            MessageState::Queued => {
                "AND NOT EXISTS (SELECT 1 FROM message s WHERE s.phone_index = m.phone_index AND s.state = 'sending')"
            }
            _ => "",
        };
        let lock = if self.sqlite {
            ""
        } else {
            "FOR UPDATE OF m, p, c SKIP LOCKED"
        };
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {}, {}, {}, (SELECT COUNT(*) FROM message l WHERE {lately}) AS lately, \
             (SELECT MIN(l.sent_at) FROM message l WHERE {lately}) AS lately_since \
             FROM message m JOIN contact c ON c.id = m.contact JOIN phone p ON p.phone_index = c.phone_index \
             LEFT JOIN decision d ON d.decision_id = m.decision_id \
             WHERE m.state = '{}' AND m.due <= $1 {free} ORDER BY m.due LIMIT $3 {lock}",
            messages::COLUMNS,
            contacts::COLUMNS,
            decisions::COLUMNS,
            state.as_str(),
        )))
        .bind(now)
        .bind(now.saturating_sub(DAY))
        .bind(limit)
        .fetch_all(&mut **write)
        .await?;
        let mut phones = std::collections::HashSet::new();
        let mut due = Vec::with_capacity(rows.len());
        for row in &rows {
            let claimed = claimed(row)?;
            if state != MessageState::Queued || phones.insert(claimed.message.phone_index.clone()) {
                due.push(claimed);
            }
        }
        Ok(due)
    }

    /// Notes, before they are, that messages are handed over to a provider; until `lease` they are left to their sender.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hand_over(
        &self,
        write: &mut Write,
        ids: &[&str],
        provider: &str,
        now: i64,
        lease: i64,
    ) -> Result<(), StoreError> {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE message SET state = 'sending', attempts = attempts + 1, attempted_at = $1, due = $2, provider = $3 \
             WHERE id IN ({})",
            places(4, ids.len())
        )))
        .bind(now)
        .bind(lease)
        .bind(provider);
        for id in ids {
            query = query.bind(*id);
        }
        query.execute(&mut **write).await?;
        Ok(())
    }

    /// Lets messages wait, in the state they are in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn wait_until(
        &self,
        write: &mut Write,
        id: &str,
        due: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE message SET due = $1 WHERE id = $2")
            .bind(due)
            .bind(id)
            .execute(&mut **write)
            .await?;
        Ok(())
    }

    /// Lets a message that nobody took wait for its next attempt, by `provider`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn retry(
        &self,
        write: &mut Write,
        id: &str,
        provider: Option<&str>,
        due: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE message SET state = 'queued', due = $1, provider = $2, attempted_at = NULL, looks = 0 \
             WHERE id = $3 AND state = 'sending'",
        )
        .bind(due)
        .bind(provider)
        .bind(id)
        .execute(&mut **write)
        .await?;
        Ok(())
    }

    /// Notes that a look-up got no answer, and when to ask again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look_again(
        &self,
        write: &mut Write,
        id: &str,
        due: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE message SET looks = looks + 1, due = $1 WHERE id = $2 AND state IN ('sending', 'sent')")
            .bind(due)
            .bind(id)
            .execute(&mut **write)
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

fn places(from: usize, count: usize) -> String {
    (from..from + count)
        .map(|place| format!("${place}"))
        .collect::<Vec<_>>()
        .join(", ")
}
