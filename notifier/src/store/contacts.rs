//! Contacts and phones.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Message, Store, StoreError, Write};
use crate::text::Language;

/// Where a contact stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactState {
    /// Nobody at the phone has said that it is theirs.
    Unverified,
    /// The phone's owner said YES to the verification text.
    Verified,
    /// They said NO.
    Refused,
    /// The number went out of service or to somebody else.
    Suspended,
}

impl ContactState {
    const ALL: [Self; 4] = [
        Self::Unverified,
        Self::Verified,
        Self::Refused,
        Self::Suspended,
    ];

    /// Its name in the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::Refused => "refused",
            Self::Suspended => "suspended",
        }
    }
}

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
    /// Where it stands.
    pub state: ContactState,
    /// When its owner last said that the phone is theirs.
    pub verified_at: Option<i64>,
    /// Keyed digest of the code that lets its number be changed.
    pub recovery_digest: String,
    /// Wrong recovery codes so far.
    pub recovery_failures: i64,
    /// Whether the phone asked for no more texts.
    pub blocked: bool,
    /// Whether others read the phone.
    pub shared: bool,
}

pub(super) const COLUMNS: &str = "c.id AS contact_id, c.phone_index AS contact_phone, c.sealed_phone, c.language, \
    c.state AS contact_state, c.verified_at, c.recovery_digest, c.recovery_failures, p.blocked, p.shared";
const FROM: &str = "FROM contact c JOIN phone p ON p.phone_index = c.phone_index";

pub(super) fn contact(row: &AnyRow) -> Result<Contact, StoreError> {
    let language: String = row.try_get("language")?;
    let state: String = row.try_get("contact_state")?;
    Ok(Contact {
        id: row.try_get("contact_id")?,
        phone_index: row.try_get("contact_phone")?,
        sealed_phone: row.try_get("sealed_phone")?,
        language: Language::parse(&language).ok_or(StoreError::Damaged("contact.language"))?,
        state: ContactState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or(StoreError::Damaged("contact.state"))?,
        verified_at: row.try_get("verified_at")?,
        recovery_digest: row.try_get("recovery_digest")?,
        recovery_failures: row.try_get("recovery_failures")?,
        blocked: row.try_get::<i64, _>("blocked")? != 0,
        shared: row.try_get::<i64, _>("shared")? != 0,
    })
}

impl Store {
    /// Notes a phone; one that is known stays as it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_phone(&self, write: &mut Write, phone_index: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO phone (phone_index, blocked, shared) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING")
            .bind(phone_index)
            .execute(&mut **write)
            .await?;
        Ok(())
    }

    /// Adds a contact of a phone that is noted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_contact(
        &self,
        write: &mut Write,
        contact: &Contact,
        now: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO contact (id, phone_index, sealed_phone, language, state, verified_at, recovery_digest, \
             recovery_failures, created_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)",
        )
        .bind(&contact.id)
        .bind(&contact.phone_index)
        .bind(&contact.sealed_phone)
        .bind(contact.language.as_str())
        .bind(contact.state.as_str())
        .bind(contact.verified_at)
        .bind(&contact.recovery_digest)
        .bind(contact.recovery_failures)
        .bind(now)
        .execute(&mut **write)
        .await?;
        Ok(())
    }

    /// Stores what may change of a contact.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_contact(
        &self,
        write: &mut Write,
        contact: &Contact,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE contact SET phone_index = $1, sealed_phone = $2, state = $3, verified_at = $4, recovery_failures = $5 \
             WHERE id = $6",
        )
        .bind(&contact.phone_index)
        .bind(&contact.sealed_phone)
        .bind(contact.state.as_str())
        .bind(contact.verified_at)
        .bind(contact.recovery_failures)
        .bind(&contact.id)
        .execute(&mut **write)
        .await?;
        Ok(())
    }

    /// Locks the phones of several messages, in an order that is everybody's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_phones<'a>(
        &self,
        write: &mut Write,
        messages: impl Iterator<Item = &'a Message>,
    ) -> Result<(), StoreError> {
        let phones: BTreeSet<&str> = messages.map(|it| it.phone_index.as_str()).collect();
        for phone in phones {
            self.lock_phone(write, phone).await?;
        }
        Ok(())
    }

    /// Locks a phone until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_phone(&self, write: &mut Write, phone_index: &str) -> Result<(), StoreError> {
        self.lock(write, "$1", phone_index).await
    }

    /// Locks the phone that `index`, an expression over `$1`, names. Whatever is decided over a phone takes turns by it; SQLite
    /// has one writer anyway.
    pub(super) async fn lock(
        &self,
        write: &mut Write,
        index: &'static str,
        id: &str,
    ) -> Result<(), StoreError> {
        if !self.sqlite {
            let lock = format!("SELECT 1 FROM phone WHERE phone_index = {index} FOR UPDATE");
            sqlx::query(sqlx::AssertSqlSafe(lock))
                .bind(id)
                .execute(&mut **write)
                .await?;
        }
        Ok(())
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
        self.lock(write, "(SELECT phone_index FROM contact WHERE id = $1)", id)
            .await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} {FROM} WHERE c.id = $1"
        )))
        .bind(id)
        .fetch_optional(&mut **write)
        .await?;
        row.as_ref().map(contact).transpose()
    }

    /// A contact, to be looked at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_contact(&self, id: &str) -> Result<Option<Contact>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} {FROM} WHERE c.id = $1"
        )))
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(contact).transpose()
    }

    /// The contacts of a phone, newest first, the phone locked until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn contacts_of_phone(
        &self,
        write: &mut Write,
        phone_index: &str,
    ) -> Result<Vec<Contact>, StoreError> {
        self.lock_phone(write, phone_index).await?;
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} {FROM} WHERE c.phone_index = $1 ORDER BY c.created_at DESC, c.id LIMIT 20"
        )))
        .bind(phone_index)
        .fetch_all(&mut **write)
        .await?
        .iter()
        .map(contact)
        .collect()
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

    /// Notes that others read a phone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_shared(&self, write: &mut Write, phone_index: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE phone SET shared = 1 WHERE phone_index = $1")
            .bind(phone_index)
            .execute(&mut **write)
            .await?;
        Ok(())
    }

    /// Records a text that came in; false if it came before (a replay, or a provider that says things twice).
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

    /// Records a text of a provider that gives texts no id, by its keyed digest; false if it is the phone's last one, less than
    /// `within` seconds ago.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn not_said_last(
        &self,
        write: &mut Write,
        phone_index: &str,
        digest: &str,
        now: i64,
        within: i64,
    ) -> Result<bool, StoreError> {
        let noted = sqlx::query(
            "UPDATE phone SET last_inbound = $1, last_inbound_at = $2 WHERE phone_index = $3 \
             AND (last_inbound IS NULL OR last_inbound <> $1 OR last_inbound_at < $4)",
        )
        .bind(digest)
        .bind(now)
        .bind(phone_index)
        .bind(now.saturating_sub(within))
        .execute(&mut **write)
        .await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Contacts registered for a phone since then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enrolled_since(
        &self,
        write: &mut Write,
        phone_index: &str,
        since: i64,
    ) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS enrolled FROM contact WHERE phone_index = $1 AND created_at > $2",
        )
        .bind(phone_index)
        .bind(since)
        .fetch_one(&mut **write)
        .await?;
        Ok(row.try_get("enrolled")?)
    }

    /// Whether a text to a contact is being handed over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_sending(&self, write: &mut Write, contact: &str) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS sending FROM message WHERE contact = $1 AND state = 'sending'",
        )
        .bind(contact)
        .fetch_one(&mut **write)
        .await?;
        Ok(row.try_get::<i64, _>("sending")? > 0)
    }

    /// Sends what is queued for a contact to its other number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn readdress(
        &self,
        write: &mut Write,
        contact: &str,
        phone_index: &str,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE message SET phone_index = $1 WHERE contact = $2 AND state IN ('queued', 'dead')")
            .bind(phone_index)
            .bind(contact)
            .execute(&mut **write)
            .await?;
        Ok(())
    }
}
