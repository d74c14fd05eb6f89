//! Questions, the documents they keep and what they send.

use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, ContractRef, Jurisdiction, Verdict};
use contracts::units::{Day, UnixTime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, json, number, parsed, to_json};
use crate::api::types::{Outcome, State};
use crate::notifier::Template;
use crate::seal::SealKey;

/// A question to be stored.
#[derive(Debug)]
pub struct NewQuestion<'a> {
    /// Random id.
    pub question: Bytes32,
    /// Its profile.
    pub profile: Bytes32,
    /// The contract.
    pub contract: &'a ContractRef,
    /// The state.
    pub jurisdiction: Jurisdiction,
    /// The day decided for.
    pub as_of: Day,
    /// Who gets the token.
    pub audience: &'a str,
    /// Facts to be asked for as withheld.
    pub withhold: &'a [AttributeId],
    /// Whether its facts are read anew.
    pub anew: bool,
    /// Which text asks the owner.
    pub template: Template,
    /// Index of the wallet key that seals its documents.
    pub wallet_index: u32,
    /// Now.
    pub created_at: UnixTime,
}

/// A question as stored.
#[derive(Debug, Clone)]
pub struct StoredQuestion {
    /// Random id.
    pub question: Bytes32,
    /// Its profile.
    pub profile: Bytes32,
    /// The contract.
    pub contract: ContractRef,
    /// The state.
    pub jurisdiction: Jurisdiction,
    /// The day decided for.
    pub as_of: Day,
    /// Who gets the token.
    pub audience: String,
    /// Facts to be asked for as withheld.
    pub withhold: Vec<AttributeId>,
    /// Whether its facts are read anew, whatever the stock holds.
    pub anew: bool,
    /// Which text asks the owner.
    pub template: Template,
    /// Where it stands.
    pub state: State,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What the proof says.
    pub verdict: Option<Verdict>,
    /// The presentation's `jti`.
    pub decision: Option<String>,
    /// The agency's reference.
    pub application: Option<String>,
    /// Until when the owner may reply.
    pub deadline: Option<UnixTime>,
    /// Index of the wallet key that seals its documents.
    pub wallet_index: u32,
    /// For compare-and-set.
    pub version: i64,
}

/// Something to send, and whether it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxItem<T> {
    /// The receiver's guard against doing it twice.
    pub idempotency_key: String,
    /// What to send.
    pub payload: T,
    /// Whether the receiver has answered.
    pub sent: bool,
}

/// The text of a unit-like value: the JSON string without its quotes.
fn word<T: Serialize>(value: &T) -> String {
    to_json(value).trim_matches('"').to_owned()
}

fn from_word<T: DeserializeOwned>(text: &str, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| StoreError::Corrupt(column))
}

fn read(row: &AnyRow) -> Result<StoredQuestion, StoreError> {
    let bytes = |column: &'static str| -> Result<Bytes32, StoreError> {
        let text: String = row.try_get(column)?;
        Bytes32::parse(&text).map_err(|_| StoreError::Corrupt(column))
    };
    let optional =
        |column: &'static str| -> Result<Option<String>, StoreError> { Ok(row.try_get(column)?) };
    Ok(StoredQuestion {
        question: bytes("question")?,
        profile: bytes("profile")?,
        contract: ContractRef {
            id: row.try_get("contract_id")?,
            hash: bytes("contract_hash")?,
        },
        jurisdiction: parsed(row, "jurisdiction")?,
        as_of: parsed(row, "as_of")?,
        audience: row.try_get("audience")?,
        withhold: json(row, "withhold")?,
        anew: number(row, "anew")? != 0,
        template: from_word(&row.try_get::<String, _>("template")?, "template")?,
        state: from_word(&row.try_get::<String, _>("state")?, "state")?,
        outcome: optional("outcome")?
            .map(|text| from_word(&text, "outcome"))
            .transpose()?,
        verdict: optional("verdict")?
            .map(|text| from_word(&text, "verdict"))
            .transpose()?,
        decision: optional("decision")?,
        application: optional("application")?,
        deadline: row.try_get::<Option<i64>, _>("deadline")?.map(UnixTime),
        wallet_index: number(row, "wallet_index")?,
        version: row.try_get("version")?,
    })
}

impl Store {
    /// A question of a profile; none for another profile's.
    ///
    /// # Errors
    /// The database's.
    pub async fn question(
        &self,
        profile: &Bytes32,
        question: &Bytes32,
    ) -> Result<Option<StoredQuestion>, StoreError> {
        sqlx::query("SELECT question, profile, contract_id, contract_hash, jurisdiction, as_of, audience, withhold, anew, template, state,
                    outcome, verdict, decision, application, deadline, wallet_index, version
             FROM question WHERE question = $1 AND profile = $2")
            .bind(question.to_string())
            .bind(profile.to_string())
            .fetch_optional(self.pool())
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// The kinds of document that a question keeps.
    ///
    /// # Errors
    /// The database's.
    pub async fn document_kinds(&self, question: &Bytes32) -> Result<Vec<String>, StoreError> {
        sqlx::query("SELECT kind FROM document WHERE question = $1 ORDER BY kind")
            .bind(question.to_string())
            .fetch_all(self.pool())
            .await?
            .iter()
            .map(|row| Ok(row.try_get(0)?))
            .collect()
    }

    /// A document, opened.
    ///
    /// # Errors
    /// The database's, or [`StoreError::Corrupt`] when it does not open.
    pub async fn document<T: DeserializeOwned>(
        &self,
        key: &SealKey,
        question: &Bytes32,
        kind: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let row = sqlx::query("SELECT sealed FROM document WHERE question = $1 AND kind = $2")
            .bind(question.to_string())
            .bind(kind)
            .fetch_optional(self.pool())
            .await?;
        row.map(|row| {
            open(
                key,
                "document",
                question,
                kind,
                &row.try_get::<String, _>(0)?,
            )
        })
        .transpose()
    }

    /// Something to send, opened.
    ///
    /// # Errors
    /// The database's, or [`StoreError::Corrupt`] when it does not open.
    pub async fn outbox<T: DeserializeOwned>(
        &self,
        key: &SealKey,
        question: &Bytes32,
        kind: &'static str,
    ) -> Result<Option<OutboxItem<T>>, StoreError> {
        let row = sqlx::query(
            "SELECT idempotency_key, payload, sent_at FROM outbox WHERE question = $1 AND kind = $2",
        )
        .bind(question.to_string())
        .bind(kind)
        .fetch_optional(self.pool())
        .await?;
        row.map(|row| {
            let payload: String = row.try_get("payload")?;
            Ok(OutboxItem {
                idempotency_key: row.try_get("idempotency_key")?,
                payload: open(key, "outbox", question, kind, &payload)?,
                sent: row.try_get::<Option<i64>, _>("sent_at")?.is_some(),
            })
        })
        .transpose()
    }
}

fn context<'a>(table: &'a str, question: &'a Bytes32, kind: &'a str) -> [&'a [u8]; 3] {
    [table.as_bytes(), &question.0, kind.as_bytes()]
}

fn open<T: DeserializeOwned>(
    key: &SealKey,
    table: &'static str,
    question: &Bytes32,
    kind: &str,
    sealed: &str,
) -> Result<T, StoreError> {
    let bytes = key
        .open(&context(table, question, kind), sealed)
        .map_err(|_| StoreError::Corrupt(table))?;
    serde_json::from_slice(&bytes).map_err(|_| StoreError::Corrupt(table))
}

/// Stores a new question.
///
/// # Errors
/// The database's.
pub async fn insert_question(tx: &mut Tx, new: &NewQuestion<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO question (question, profile, contract_id, contract_hash, jurisdiction, as_of, audience, withhold,
                               anew, template, state, wallet_index, version, created_at, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $13)",
    )
    .bind(new.question.to_string())
    .bind(new.profile.to_string())
    .bind(&new.contract.id)
    .bind(new.contract.hash.to_string())
    .bind(new.jurisdiction.code())
    .bind(new.as_of.to_string())
    .bind(new.audience)
    .bind(to_json(new.withhold))
    .bind(i64::from(new.anew))
    .bind(word(&new.template))
    .bind(word(&State::Asked))
    .bind(i64::from(new.wallet_index))
    .bind(new.created_at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes a question's changed fields if nobody else changed it since it was read, and counts its version on.
///
/// # Errors
/// [`StoreError::Raced`]; the transaction is then to be dropped.
pub async fn save(
    tx: &mut Tx,
    question: &mut StoredQuestion,
    now: UnixTime,
) -> Result<(), StoreError> {
    let changed = sqlx::query(
        "UPDATE question SET state = $3, outcome = $4, verdict = $5, decision = $6, application = $7, deadline = $8,
                             changed_at = $9, version = version + 1
         WHERE question = $1 AND version = $2",
    )
    .bind(question.question.to_string())
    .bind(question.version)
    .bind(word(&question.state))
    .bind(question.outcome.as_ref().map(word))
    .bind(question.verdict.as_ref().map(word))
    .bind(question.decision.as_deref())
    .bind(question.application.as_deref())
    .bind(question.deadline.map(|deadline| deadline.0))
    .bind(now.0)
    .execute(&mut **tx)
    .await?
    .rows_affected();
    if changed != 1 {
        return Err(StoreError::Raced);
    }
    question.version += 1;
    Ok(())
}

/// Seals and stores a document, in place of an earlier one of its kind.
///
/// # Errors
/// The database's.
pub async fn put_document<T: Serialize + ?Sized>(
    tx: &mut Tx,
    key: &SealKey,
    question: &Bytes32,
    kind: &str,
    document: &T,
) -> Result<(), StoreError> {
    let sealed = key.seal(
        &context("document", question, kind),
        to_json(document).as_bytes(),
    );
    sqlx::query(
        "INSERT INTO document (question, kind, sealed) VALUES ($1, $2, $3)
         ON CONFLICT (question, kind) DO UPDATE SET sealed = $3",
    )
    .bind(question.to_string())
    .bind(kind)
    .bind(sealed)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Seals and queues something to send; what is queued already stays as it is. Says whether it was queued now.
///
/// # Errors
/// The database's.
pub async fn enqueue<T: Serialize + ?Sized>(
    tx: &mut Tx,
    key: &SealKey,
    question: &Bytes32,
    kind: &str,
    idempotency_key: &str,
    payload: &T,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let sealed = key.seal(
        &context("outbox", question, kind),
        to_json(payload).as_bytes(),
    );
    let queued = sqlx::query(
        "INSERT INTO outbox (question, kind, idempotency_key, payload, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (question, kind) DO NOTHING",
    )
    .bind(question.to_string())
    .bind(kind)
    .bind(idempotency_key)
    .bind(sealed)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(queued.rows_affected() == 1)
}

/// Notes that the receiver of a queued item has answered.
///
/// # Errors
/// The database's.
pub async fn mark_sent(
    tx: &mut Tx,
    question: &Bytes32,
    kind: &str,
    now: UnixTime,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE outbox SET sent_at = $3 WHERE question = $1 AND kind = $2")
        .bind(question.to_string())
        .bind(kind)
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
