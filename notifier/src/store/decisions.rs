//! Decisions.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Write};
use crate::conversation::code::Code;
use crate::conversation::decision::{Closed, Decision, State};
use crate::conversation::grammar::Answer;
use crate::text::Template;

/// Decisions of one phone that are looked at for a reply.
const RECENT: i64 = 20;

/// A decision as stored.
#[derive(Debug, Clone)]
pub struct DecisionRow {
    /// The `jti` of the token it is about.
    pub decision_id: String,
    /// Who asked.
    pub caller: String,
    /// Whom.
    pub contact: String,
    /// What its texts are filled in with, sealed for this decision.
    pub sealed_params: String,
    /// Where it stands.
    pub decision: Decision,
}

/// A decision to be asked about.
#[derive(Debug)]
pub struct NewDecision<'a> {
    /// The decision.
    pub row: &'a DecisionRow,
    /// Keyed digest of the phone.
    pub phone_index: &'a str,
    /// Now.
    pub now: i64,
}

pub(super) const COLUMNS: &str = "d.decision_id AS d_id, d.caller AS d_caller, d.contact AS d_contact, d.question, \
    d.sealed_params AS d_params, d.code, d.deadline, d.undo_seconds, d.state AS d_state, d.replied_at, d.undo_until, \
    d.wrong_codes, d.unclear";

pub(super) fn decision(row: &AnyRow) -> Result<DecisionRow, StoreError> {
    let code: String = row.try_get("code")?;
    let state: String = row.try_get("d_state")?;
    let question: String = row.try_get("question")?;
    let replied_at: Option<i64> = row.try_get("replied_at")?;
    let finished = |answer| {
        let replied_at = replied_at.ok_or(StoreError::Damaged("decision.replied_at"))?;
        Ok::<_, StoreError>(State::Final { answer, replied_at })
    };
    let state = match state.as_str() {
        "open" => State::Open,
        "yes" => State::Yes {
            replied_at: replied_at.ok_or(StoreError::Damaged("decision.replied_at"))?,
            undo_until: row.try_get("undo_until")?,
        },
        "final-yes" => finished(Answer::Yes)?,
        "final-no" => finished(Answer::No)?,
        closed => Closed::ALL
            .into_iter()
            .find(|known| known.as_str() == closed)
            .map(State::Closed)
            .ok_or(StoreError::Damaged("decision.state"))?,
    };
    Ok(DecisionRow {
        decision_id: row.try_get("d_id")?,
        caller: row.try_get("d_caller")?,
        contact: row.try_get("d_contact")?,
        sealed_params: row.try_get("d_params")?,
        decision: Decision {
            question: Template::parse(&question).ok_or(StoreError::Damaged("decision.question"))?,
            code: Code::parse(&code).ok_or(StoreError::Damaged("decision.code"))?,
            deadline: row.try_get("deadline")?,
            undo_seconds: row.try_get("undo_seconds")?,
            state,
            wrong_codes: row.try_get("wrong_codes")?,
            unclear: row.try_get("unclear")?,
        },
    })
}

/// Columns `state`, `replied_at`, `undo_until`.
fn columns(state: State) -> (&'static str, Option<i64>, Option<i64>) {
    match state {
        State::Open => ("open", None, None),
        State::Yes {
            replied_at,
            undo_until,
        } => ("yes", Some(replied_at), undo_until),
        State::Final {
            answer: Answer::Yes,
            replied_at,
        } => ("final-yes", Some(replied_at), None),
        State::Final {
            answer: Answer::No,
            replied_at,
        } => ("final-no", Some(replied_at), None),
        State::Closed(closed) => (closed.as_str(), None, None),
    }
}

impl Store {
    /// Adds a decision.
    ///
    /// # Errors
    /// [`StoreError`]; a second one of the same id, or a second open one of the phone, is the database's error.
    pub async fn add_decision(
        &self,
        write: &mut Write,
        new: &NewDecision<'_>,
    ) -> Result<(), StoreError> {
        let row = new.row;
        let (state, replied_at, undo_until) = columns(row.decision.state);
        sqlx::query(
            "INSERT INTO decision (decision_id, caller, contact, phone_index, question, sealed_params, code, created_at, \
             deadline, undo_seconds, state, replied_at, undo_until, wrong_codes, unclear) \
             VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)",
        )
        .bind(&row.decision_id)
        .bind(&row.caller)
        .bind(&row.contact)
        .bind(new.phone_index)
        .bind(row.decision.question.name())
        .bind(&row.sealed_params)
        .bind(row.decision.code.as_str())
        .bind(new.now)
        .bind(row.decision.deadline)
        .bind(row.decision.undo_seconds)
        .bind(state)
        .bind(replied_at)
        .bind(undo_until)
        .bind(row.decision.wrong_codes)
        .bind(row.decision.unclear)
        .execute(&mut **write)
        .await?;
        Ok(())
    }

    /// Stores where a decision stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_decision(
        &self,
        write: &mut Write,
        row: &DecisionRow,
    ) -> Result<(), StoreError> {
        let (state, replied_at, undo_until) = columns(row.decision.state);
        sqlx::query(
            "UPDATE decision SET state = $1, replied_at = $2, undo_until = $3, wrong_codes = $4, unclear = $5 \
             WHERE decision_id = $6",
        )
        .bind(state)
        .bind(replied_at)
        .bind(undo_until)
        .bind(row.decision.wrong_codes)
        .bind(row.decision.unclear)
        .bind(&row.decision_id)
        .execute(&mut **write)
        .await?;
        Ok(())
    }

    /// A decision, to be changed: its phone is locked until the transaction ends, so that what a text did is not undone by what
    /// was read before it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn decision(
        &self,
        write: &mut Write,
        id: &str,
    ) -> Result<Option<DecisionRow>, StoreError> {
        self.lock(
            write,
            "(SELECT phone_index FROM decision WHERE decision_id = $1)",
            id,
        )
        .await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM decision d WHERE d.decision_id = $1"
        )))
        .bind(id)
        .fetch_optional(&mut **write)
        .await?;
        row.as_ref().map(decision).transpose()
    }

    /// A decision, to be looked at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_decision(&self, id: &str) -> Result<Option<DecisionRow>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM decision d WHERE d.decision_id = $1"
        )))
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(decision).transpose()
    }

    /// Decisions that time has ended by now, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ripe_decisions(
        &self,
        now: i64,
        limit: i64,
    ) -> Result<Vec<DecisionRow>, StoreError> {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM decision d WHERE (d.state = 'open' AND d.deadline < $1) \
             OR (d.state = 'yes' AND d.undo_until <= $1) LIMIT $2"
        )))
        .bind(now)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?
        .iter()
        .map(decision)
        .collect()
    }

    /// A phone's latest decisions, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recent_decisions(
        &self,
        write: &mut Write,
        phone_index: &str,
    ) -> Result<Vec<DecisionRow>, StoreError> {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM decision d WHERE d.phone_index = $1 ORDER BY d.created_at DESC LIMIT {RECENT}"
        )))
        .bind(phone_index)
        .fetch_all(&mut **write)
        .await?
        .iter()
        .map(decision)
        .collect()
    }
}
