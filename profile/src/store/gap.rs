//! Enquiries to insurers, and policies.

use contracts::encoding::Bytes32;
use contracts::units::{Day, UnixTime};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, number, parsed};
use crate::api::types::SoldPolicy;
use crate::gap::Term;

/// An enquiry as stored; its parts are sealed.
#[derive(Debug, Clone)]
pub struct StoredEnquiry {
    /// Random id.
    pub enquiry: Bytes32,
    /// The insurer's audience id.
    pub insurer: String,
    /// Index of the wallet key that seals its parts.
    pub wallet_index: u32,
    /// The enquiry and its one-time key.
    pub asked: String,
    /// What the insurer answered.
    pub answered: Option<String>,
}

/// Where a policy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyState {
    /// The purchase may have reached the insurer.
    Buying,
    /// Held.
    Held,
    /// The ending may have reached the insurer.
    Ending,
    /// Ended, with a statement.
    Ended,
    /// The insurer refused to sell.
    Refused,
}

impl PolicyState {
    const ALL: [Self; 5] = [
        Self::Buying,
        Self::Held,
        Self::Ending,
        Self::Ended,
        Self::Refused,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Buying => "buying",
            Self::Held => "held",
            Self::Ending => "ending",
            Self::Ended => "ended",
            Self::Refused => "refused",
        }
    }
}

/// A purchase as stored.
#[derive(Debug, Clone)]
pub struct StoredPolicy {
    /// The enquiry it came of.
    pub enquiry: Bytes32,
    /// The offer taken.
    pub offer: Bytes32,
    /// The question whose token backs it.
    pub question: Bytes32,
    /// Where it stands.
    pub state: PolicyState,
    /// First day of cover.
    pub start: Day,
    /// First day without.
    pub end: Day,
    /// The day that the insurer may have ended it on, while that is open.
    pub ending: Option<Day>,
    /// The policy, sealed.
    pub document: Option<String>,
    /// The statement, sealed.
    pub statement: Option<String>,
}

fn id(row: &AnyRow, column: &'static str) -> Result<Bytes32, StoreError> {
    Bytes32::parse(&row.try_get::<String, _>(column)?).map_err(|_| StoreError::Corrupt(column))
}

fn enquiry(row: &AnyRow) -> Result<StoredEnquiry, StoreError> {
    Ok(StoredEnquiry {
        enquiry: id(row, "enquiry")?,
        insurer: row.try_get("insurer")?,
        wallet_index: number(row, "wallet_index")?,
        asked: row.try_get("asked")?,
        answered: row.try_get("answered")?,
    })
}

fn policy(row: &AnyRow) -> Result<StoredPolicy, StoreError> {
    let state: String = row.try_get("state")?;
    Ok(StoredPolicy {
        enquiry: id(row, "enquiry")?,
        offer: id(row, "offer")?,
        question: id(row, "question")?,
        state: PolicyState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or(StoreError::Corrupt("state"))?,
        start: parsed(row, "start_day")?,
        end: parsed(row, "end_day")?,
        ending: row
            .try_get::<Option<String>, _>("ending_day")?
            .map(|day| day.parse().map_err(|_| StoreError::Corrupt("ending_day")))
            .transpose()?,
        document: row.try_get("document")?,
        statement: row.try_get("statement")?,
    })
}

impl Store {
    /// Policies of an insurer after a number, in the order of their numbers.
    ///
    /// # Errors
    /// The database's.
    pub async fn policies_of(
        &self,
        insurer: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<SoldPolicy>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.policy, p.state, p.start_day, p.end_day FROM gap_policy p
             JOIN gap_enquiry e ON e.enquiry = p.enquiry
             WHERE e.insurer = $1 AND p.policy IS NOT NULL AND p.policy > $2 ORDER BY p.policy LIMIT $3",
        )
        .bind(insurer)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(SoldPolicy {
                    policy: row.try_get("policy")?,
                    state: row.try_get("state")?,
                    start: parsed(row, "start_day")?,
                    end: parsed(row, "end_day")?,
                })
            })
            .collect()
    }

    /// The enquiry about a need to an insurer.
    ///
    /// # Errors
    /// The database's.
    pub async fn gap_enquiry(
        &self,
        profile: &Bytes32,
        need: &str,
        insurer: &str,
    ) -> Result<Option<StoredEnquiry>, StoreError> {
        sqlx::query("SELECT * FROM gap_enquiry WHERE profile = $1 AND need = $2 AND insurer = $3")
            .bind(profile.to_string())
            .bind(need)
            .bind(insurer)
            .fetch_optional(self.pool())
            .await?
            .as_ref()
            .map(enquiry)
            .transpose()
    }

    /// The enquiry of a profile that an offer answers.
    ///
    /// # Errors
    /// The database's.
    pub async fn gap_enquiry_of_offer(
        &self,
        profile: &Bytes32,
        offer: &Bytes32,
    ) -> Result<Option<StoredEnquiry>, StoreError> {
        sqlx::query(
            "SELECT e.* FROM gap_enquiry e JOIN gap_offer o ON o.enquiry = e.enquiry
             WHERE e.profile = $1 AND o.offer = $2",
        )
        .bind(profile.to_string())
        .bind(offer.to_string())
        .fetch_optional(self.pool())
        .await?
        .as_ref()
        .map(enquiry)
        .transpose()
    }

    /// A profile's purchase by its enquiry.
    ///
    /// # Errors
    /// The database's.
    pub async fn gap_purchase(
        &self,
        profile: &Bytes32,
        enquiry: &Bytes32,
    ) -> Result<Option<StoredPolicy>, StoreError> {
        sqlx::query("SELECT * FROM gap_policy WHERE profile = $1 AND enquiry = $2")
            .bind(profile.to_string())
            .bind(enquiry.to_string())
            .fetch_optional(self.pool())
            .await?
            .as_ref()
            .map(policy)
            .transpose()
    }

    /// A profile's policy by the insurer's number.
    ///
    /// # Errors
    /// The database's.
    pub async fn gap_policy(
        &self,
        profile: &Bytes32,
        number: &Bytes32,
    ) -> Result<Option<StoredPolicy>, StoreError> {
        sqlx::query("SELECT * FROM gap_policy WHERE profile = $1 AND policy = $2")
            .bind(profile.to_string())
            .bind(number.to_string())
            .fetch_optional(self.pool())
            .await?
            .as_ref()
            .map(policy)
            .transpose()
    }

    /// A profile's purchases, in the order of their days.
    ///
    /// # Errors
    /// The database's.
    pub async fn gap_policies(&self, profile: &Bytes32) -> Result<Vec<StoredPolicy>, StoreError> {
        sqlx::query("SELECT * FROM gap_policy WHERE profile = $1 ORDER BY start_day, enquiry")
            .bind(profile.to_string())
            .fetch_all(self.pool())
            .await?
            .iter()
            .map(policy)
            .collect()
    }
}

/// Writes an enquiry down, unless the need has one at this insurer.
///
/// # Errors
/// The database's.
pub async fn insert_enquiry(
    tx: &mut Tx,
    profile: &Bytes32,
    need: &str,
    new: &StoredEnquiry,
    now: UnixTime,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO gap_enquiry (enquiry, profile, need, insurer, wallet_index, asked, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (profile, need, insurer) DO NOTHING",
    )
    .bind(new.enquiry.to_string())
    .bind(profile.to_string())
    .bind(need)
    .bind(&new.insurer)
    .bind(i64::from(new.wallet_index))
    .bind(&new.asked)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps an insurer's answer, unless one is kept.
///
/// # Errors
/// The database's.
pub async fn answer_enquiry(
    tx: &mut Tx,
    enquiry: &Bytes32,
    answered: &str,
    offers: &[Bytes32],
) -> Result<(), StoreError> {
    let kept =
        sqlx::query("UPDATE gap_enquiry SET answered = $2 WHERE enquiry = $1 AND answered IS NULL")
            .bind(enquiry.to_string())
            .bind(answered)
            .execute(&mut **tx)
            .await?;
    if kept.rows_affected() == 0 {
        return Ok(());
    }
    for offer in offers {
        sqlx::query("INSERT INTO gap_offer (offer, enquiry) VALUES ($1, $2)")
            .bind(offer.to_string())
            .bind(enquiry.to_string())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Writes a purchase down before it is made; false if days of it are covered by another policy of the profile, or may be. One
/// that was void from its first day covers none; of this one those from `until` do not count, nor of the one that expires those
/// after its day.
///
/// # Errors
/// The database's.
pub async fn insert_purchase(
    tx: &mut Tx,
    profile: &Bytes32,
    new: &StoredPolicy,
    term: &Term,
    now: UnixTime,
) -> Result<bool, StoreError> {
    // On Postgres the row is locked until the transaction ends, so that two purchases see each other; SQLite has one writer.
    sqlx::query("UPDATE profile SET created_at = created_at WHERE profile = $1")
        .bind(profile.to_string())
        .execute(&mut **tx)
        .await?;
    let (expiring, expires) = match &term.expiring {
        Some((policy, until)) => (policy.as_str(), until.to_string()),
        None => ("", String::new()),
    };
    let meets = sqlx::query(
        "SELECT 1 FROM gap_policy WHERE profile = $1 AND enquiry <> $2 AND state <> 'refused'
         AND start_day < end_day AND start_day < $4 AND (CASE WHEN policy = $5 THEN $6 ELSE end_day END) > $3",
    )
    .bind(profile.to_string())
    .bind(new.enquiry.to_string())
    .bind(new.start.to_string())
    .bind(term.until.unwrap_or(new.end).min(new.end).to_string())
    .bind(expiring)
    .bind(expires)
    .fetch_optional(&mut **tx)
    .await?;
    if meets.is_some() {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO gap_policy (enquiry, profile, offer, question, state, start_day, end_day, changed_at)
         VALUES ($1, $2, $3, $4, 'buying', $5, $6, $7)
         ON CONFLICT (enquiry) DO UPDATE SET offer = $3, question = $4, state = 'buying', start_day = $5, end_day = $6,
         changed_at = $7 WHERE gap_policy.state = 'refused'",
    )
    .bind(new.enquiry.to_string())
    .bind(profile.to_string())
    .bind(new.offer.to_string())
    .bind(new.question.to_string())
    .bind(new.start.to_string())
    .bind(new.end.to_string())
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// Notes the policy that a purchase brought, or that it brought none.
///
/// # Errors
/// The database's.
pub async fn settle_purchase(
    tx: &mut Tx,
    enquiry: &Bytes32,
    policy: Option<(&Bytes32, &str)>,
    now: UnixTime,
) -> Result<(), StoreError> {
    let state = match policy {
        Some(_) => PolicyState::Held,
        None => PolicyState::Refused,
    };
    sqlx::query(
        "UPDATE gap_policy SET state = $2, policy = $3, document = $4, changed_at = $5 WHERE enquiry = $1 AND state = 'buying'",
    )
    .bind(enquiry.to_string())
    .bind(state.as_str())
    .bind(policy.map(|(number, _)| number.to_string()))
    .bind(policy.map(|(_, document)| document))
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes, before the insurer hears of it, that a policy ends on a day; false if it is not held, or is being ended on another.
///
/// # Errors
/// The database's.
pub async fn begin_ending(
    tx: &mut Tx,
    enquiry: &Bytes32,
    day: Day,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let begun = sqlx::query(
        "UPDATE gap_policy SET state = 'ending', ending_day = $2, changed_at = $3
         WHERE enquiry = $1 AND (state = 'held' OR state = 'ending' AND COALESCE(ending_day, $2) = $2)",
    )
    .bind(enquiry.to_string())
    .bind(day.to_string())
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Notes how a policy ended, or that the insurer refused to end it on that day.
///
/// # Errors
/// The database's.
pub async fn settle_ending(
    tx: &mut Tx,
    enquiry: &Bytes32,
    ended: Option<(Day, &str)>,
    now: UnixTime,
) -> Result<(), StoreError> {
    let state = match ended {
        Some(_) => PolicyState::Ended,
        None => PolicyState::Held,
    };
    sqlx::query(
        "UPDATE gap_policy SET state = $2, end_day = COALESCE($3, end_day), ending_day = NULL, statement = $4, changed_at = $5
         WHERE enquiry = $1 AND state = 'ending'",
    )
    .bind(enquiry.to_string())
    .bind(state.as_str())
    .bind(ended.map(|(day, _)| day.to_string()))
    .bind(ended.map(|(_, statement)| statement))
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
