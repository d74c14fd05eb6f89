//! What the notifier told, each event taken in once.

use contracts::encoding::Bytes32;
use contracts::units::UnixTime;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx};

/// Whether a contact may be texted, as far as the notifier has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The phone is somebody else's, or out of service.
    pub not_theirs: bool,
    /// The phone said STOP.
    pub stopped: bool,
    /// Others read the phone.
    pub shared: bool,
}

impl Standing {
    /// Whether a text reaches the owner.
    pub fn reachable(self) -> bool {
        !self.not_theirs && !self.stopped
    }
}

/// An owner's WRONG to the text about a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerDispute {
    /// It came after the answer was used.
    pub late: bool,
    /// When.
    pub at: UnixTime,
}

/// What an event of the notifier does here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// A contact's phone is refused or suspended (`Some`), or the owner's (`None`).
    Phone(String, Option<&'static str>),
    /// A contact wants no texts, or wants them again.
    Stopped(String, bool),
    /// Others read a contact's phone.
    Shared(String),
    /// A decision was answered, or ended.
    Heard(Bytes32),
    /// A decision was disputed; `true` if its answer was used before.
    Disputed(Bytes32, bool),
}

impl Store {
    /// The number of the last event of a notifier that was taken in.
    ///
    /// # Errors
    /// The database's.
    pub async fn heard_until(&self, notifier: &str) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT seq FROM heard_until WHERE notifier = $1")
            .bind(notifier)
            .fetch_optional(self.pool())
            .await?;
        Ok(match row {
            Some(row) => row.try_get("seq")?,
            None => 0,
        })
    }

    /// What is known of a contact.
    ///
    /// # Errors
    /// The database's.
    pub async fn standing(&self, contact: &str) -> Result<Standing, StoreError> {
        let row =
            sqlx::query("SELECT phone, stopped, shared FROM contact_standing WHERE contact = $1")
                .bind(contact)
                .fetch_optional(self.pool())
                .await?;
        let Some(row) = row else {
            return Ok(Standing::default());
        };
        Ok(Standing {
            not_theirs: row.try_get::<Option<String>, _>("phone")?.is_some(),
            stopped: row.try_get::<i64, _>("stopped")? != 0,
            shared: row.try_get::<i64, _>("shared")? != 0,
        })
    }

    /// The owner's dispute of a decision.
    ///
    /// # Errors
    /// The database's.
    pub async fn owner_dispute(&self, decision: &str) -> Result<Option<OwnerDispute>, StoreError> {
        let row = sqlx::query("SELECT late, disputed_at FROM owner_dispute WHERE decision = $1")
            .bind(decision)
            .fetch_optional(self.pool())
            .await?;
        row.map(|row| {
            Ok(OwnerDispute {
                late: row.try_get::<i64, _>("late")? != 0,
                at: UnixTime(row.try_get("disputed_at")?),
            })
        })
        .transpose()
    }

    /// Profile and question of a decision.
    ///
    /// # Errors
    /// The database's.
    pub async fn question_of_decision(
        &self,
        decision: &str,
    ) -> Result<Option<(Bytes32, Bytes32)>, StoreError> {
        let row = sqlx::query("SELECT profile, question FROM question WHERE decision = $1")
            .bind(decision)
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(profile_and_question).transpose()
    }

    /// Profile and question of decisions whose reply is there and that have not been advanced since, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn answered(&self, limit: u32) -> Result<Vec<(Bytes32, Bytes32)>, StoreError> {
        let rows = sqlx::query(
            "SELECT q.profile, q.question FROM decision_heard h JOIN question q ON q.decision = h.decision
             WHERE q.state = 'texted' ORDER BY h.heard_at, h.decision LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(profile_and_question).collect()
    }
}

fn profile_and_question(row: &AnyRow) -> Result<(Bytes32, Bytes32), StoreError> {
    let id = |column: &'static str| -> Result<Bytes32, StoreError> {
        Bytes32::parse(&row.try_get::<String, _>(column)?).map_err(|_| StoreError::Corrupt(column))
    };
    Ok((id("profile")?, id("question")?))
}

/// Moves a notifier's count from one event to a later one; false if another process has moved it.
///
/// # Errors
/// The database's.
pub async fn hear_until(
    tx: &mut Tx,
    notifier: &str,
    from: i64,
    to: i64,
) -> Result<bool, StoreError> {
    sqlx::query("INSERT INTO heard_until (notifier, seq) VALUES ($1, 0) ON CONFLICT DO NOTHING")
        .bind(notifier)
        .execute(&mut **tx)
        .await?;
    let moved = sqlx::query("UPDATE heard_until SET seq = $3 WHERE notifier = $1 AND seq = $2")
        .bind(notifier)
        .bind(from)
        .bind(to)
        .execute(&mut **tx)
        .await?;
    Ok(moved.rows_affected() == 1)
}

/// Writes down what an event that happened at `at` does.
///
/// # Errors
/// The database's.
pub async fn apply(tx: &mut Tx, effect: &Effect, at: UnixTime) -> Result<(), StoreError> {
    let contact = |set: &str| {
        format!(
            "INSERT INTO contact_standing (contact, phone, stopped, shared, changed_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (contact) DO UPDATE SET {set}, changed_at = $5"
        )
    };
    let (sql, id, phone, stopped, shared) = match effect {
        Effect::Nothing => return Ok(()),
        Effect::Phone(id, phone) => (contact("phone = $2"), id, *phone, 0_i64, 0_i64),
        Effect::Stopped(id, stopped) => (contact("stopped = $3"), id, None, i64::from(*stopped), 0),
        Effect::Shared(id) => (contact("shared = $4"), id, None, 0, 1),
        Effect::Heard(decision) => {
            sqlx::query(
                "INSERT INTO decision_heard (decision, heard_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            )
            .bind(decision.to_string())
            .bind(at.0)
            .execute(&mut **tx)
            .await?;
            return Ok(());
        }
        Effect::Disputed(decision, late) => {
            sqlx::query(
                "INSERT INTO owner_dispute (decision, late, disputed_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(decision.to_string())
            .bind(i64::from(*late))
            .bind(at.0)
            .execute(&mut **tx)
            .await?;
            return Ok(());
        }
    };
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(phone)
        .bind(stopped)
        .bind(shared)
        .bind(at.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
