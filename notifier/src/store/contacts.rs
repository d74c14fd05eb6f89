//! Contacts and phones.

use sqlx::Row as _;

use super::{Store, StoreError, Write};
use crate::template::Language;

/// A contact as the notifier needs it to text somebody.
#[derive(Debug, Clone)]
pub struct Contact {
    /// The opaque handle.
    pub id: String,
    /// Keyed digest of the number.
    pub phone_index: String,
    /// The number, sealed for this contact.
    pub sealed_phone: String,
    /// Language of its texts.
    pub language: Language,
    /// Whether the phone asked for no more texts.
    pub blocked: bool,
}

const SELECT: &str = "SELECT c.id, c.phone_index, c.sealed_phone, c.language, p.blocked FROM contact c \
                      JOIN phone p ON p.phone_index = c.phone_index";

fn contact(row: &sqlx::any::AnyRow) -> Result<Contact, StoreError> {
    let language: String = row.try_get("language")?;
    Ok(Contact {
        id: row.try_get("id")?,
        phone_index: row.try_get("phone_index")?,
        sealed_phone: row.try_get("sealed_phone")?,
        language: Language::parse(&language).ok_or(StoreError::Damaged("contact.language"))?,
        blocked: row.try_get::<i64, _>("blocked")? != 0,
    })
}

impl Store {
    /// Adds a contact; a phone that is blocked stays so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_contact(&self, contact: &Contact, now: i64) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO phone (phone_index, blocked) VALUES ($1, 0) ON CONFLICT DO NOTHING",
        )
        .bind(&contact.phone_index)
        .execute(&mut *write)
        .await?;
        sqlx::query(
            "INSERT INTO contact (id, phone_index, sealed_phone, language, created_at) VALUES ($1,$2,$3,$4,$5)",
        )
        .bind(&contact.id)
        .bind(&contact.phone_index)
        .bind(&contact.sealed_phone)
        .bind(contact.language.as_str())
        .bind(now)
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }

    /// A contact, its phone locked until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn contact(
        &self,
        write: &mut Write,
        id: &str,
    ) -> Result<Option<Contact>, StoreError> {
        sqlx::query(
            "UPDATE phone SET blocked = blocked WHERE phone_index = (SELECT phone_index FROM contact WHERE id = $1)",
        )
        .bind(id)
        .execute(&mut **write)
        .await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE c.id = $1")))
            .bind(id)
            .fetch_optional(&mut **write)
            .await?;
        row.as_ref().map(contact).transpose()
    }

    /// The newest contact of a phone, the phone locked until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn contact_of_phone(
        &self,
        write: &mut Write,
        phone_index: &str,
    ) -> Result<Option<Contact>, StoreError> {
        sqlx::query("UPDATE phone SET blocked = blocked WHERE phone_index = $1")
            .bind(phone_index)
            .execute(&mut **write)
            .await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{SELECT} WHERE c.phone_index = $1 ORDER BY c.created_at DESC, c.id LIMIT 1"
        )))
        .bind(phone_index)
        .fetch_optional(&mut **write)
        .await?;
        row.as_ref().map(contact).transpose()
    }

    /// Blocks a phone or lifts the block.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_blocked(
        &self,
        write: &mut Write,
        phone_index: &str,
        blocked: bool,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE phone SET blocked = $1 WHERE phone_index = $2")
            .bind(i64::from(blocked))
            .bind(phone_index)
            .execute(&mut **write)
            .await?;
        Ok(())
    }

    /// Records a text that came in; false if it came before (a replay, or a gateway that says things twice).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn first_inbound(
        &self,
        write: &mut Write,
        message_id: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        let added = sqlx::query(
            "INSERT INTO inbound (message_id, received_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(message_id)
        .bind(now)
        .execute(&mut **write)
        .await?;
        Ok(added.rows_affected() == 1)
    }
}
