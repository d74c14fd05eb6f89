//! Entries at rest, append-only but for their age.

use contracts::encoding::Bytes32;
use contracts::units::UnixTime;
use sqlx::{AnyPool, Row as _};

use super::{
    Answer, Entry, MAX_ENTRIES, MAX_TOUCHED, Question, StaffKey, Statement, TouchedAnswer,
    TouchedQuestion, TouchedRecord,
};
use crate::db::{self, DbError};

const STEPS: [&str; 1] = [include_str!("schema.sql")];
const DAY_SECONDS: i64 = 86_400;

#[derive(Clone)]
pub(super) struct Store {
    pool: AnyPool,
    keep_seconds: i64,
}

impl Store {
    pub(super) async fn open(url: &str, keep_days: u16) -> Result<Self, DbError> {
        let pool = db::connect(url).await?;
        db::migrate(&pool, "desk", &STEPS).await?;
        let keep_seconds = i64::from(keep_days) * DAY_SECONDS;
        Ok(Self { pool, keep_seconds })
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    pub(super) async fn alive(&self) -> Result<(), DbError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Numbers, signs and keeps a statement, durably. `once` names the filled-in form: sent twice it makes one entry, and the
    /// first is returned. What is older than is kept goes.
    pub(super) async fn enter(
        &self,
        once: &Bytes32,
        mut statement: Statement,
        key: &StaffKey,
    ) -> Result<Entry, DbError> {
        let mut transaction = db::begin_write(&self.pool).await?;
        // Its row lock puts entries in one order on Postgres too.
        let last: i64 =
            sqlx::query("UPDATE desk_number SET last = last + 1 WHERE one = 1 RETURNING last")
                .fetch_one(&mut *transaction)
                .await?
                .try_get(0)?;
        let earlier = sqlx::query("SELECT entry FROM desk_entry WHERE once = $1")
            .bind(once.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = earlier {
            return parsed(&row.try_get::<String, _>(0)?);
        }
        let UnixTime(recorded) = statement.recorded;
        sqlx::query("DELETE FROM desk_entry WHERE recorded < $1")
            .bind(recorded - self.keep_seconds)
            .execute(&mut *transaction)
            .await?;
        statement.number = last.unsigned_abs();
        let entry = statement.sign(key);
        let it = &entry.statement;
        sqlx::query(
            "INSERT INTO desk_entry (number, once, key_name, key_value, attribute, recorded, entry)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(last)
        .bind(once.to_string())
        .bind(it.key_name.as_str())
        .bind(it.key_value.as_str())
        .bind(it.attribute.0.as_str())
        .bind(recorded)
        .bind(serde_json::to_string(&entry).map_err(|error| sqlx::Error::Encode(error.into()))?)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(entry)
    }

    /// The newest entries of a record and attribute.
    pub(super) async fn entries(&self, question: &Question) -> Result<Answer, DbError> {
        let rows = sqlx::query(
            "SELECT entry FROM desk_entry WHERE key_name = $1 AND key_value = $2 AND attribute = $3
             ORDER BY number DESC LIMIT $4",
        )
        .bind(question.key_name.as_str())
        .bind(question.key_value.as_str())
        .bind(question.attribute.0.as_str())
        .bind(MAX_ENTRIES as i64)
        .fetch_all(&self.pool)
        .await?;
        let entries = rows.iter().map(|row| parsed(&row.try_get::<String, _>(0)?));
        Ok(Answer {
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    /// Whose records were entered into, from an entry's number on.
    pub(super) async fn touched(
        &self,
        question: &TouchedQuestion,
    ) -> Result<TouchedAnswer, DbError> {
        let rows = sqlx::query(
            "SELECT number, key_value FROM desk_entry WHERE number >= $1 AND key_name = $2
             ORDER BY number LIMIT $3",
        )
        .bind(i64::try_from(question.since).unwrap_or(i64::MAX))
        .bind(question.key_name.as_str())
        .bind(MAX_TOUCHED as i64 + 1)
        .fetch_all(&self.pool)
        .await?;
        let record = |row: &sqlx::any::AnyRow| {
            Ok::<_, DbError>(TouchedRecord {
                number: row.try_get::<i64, _>(0)?.unsigned_abs(),
                key_value: row.try_get(1)?,
            })
        };
        Ok(TouchedAnswer {
            touched: rows
                .iter()
                .take(MAX_TOUCHED)
                .map(record)
                .collect::<Result<_, _>>()?,
            more: rows.len() > MAX_TOUCHED,
        })
    }
}

fn parsed(text: &str) -> Result<Entry, DbError> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::testing::database_url;
    use crate::desk::EntryKind;

    fn statement(value: i64, recorded: i64) -> Statement {
        Statement {
            desk: "riverside".into(),
            number: 0,
            role: "clinician".into(),
            kind: EntryKind::Observation,
            key_name: "mrn".into(),
            key_value: "A1".into(),
            attribute: "medical.systolic_mmhg".into(),
            value: Some(value),
            observed: "2026-11-20".parse().unwrap(),
            recorded: UnixTime(recorded),
        }
    }

    fn question(key_value: &str) -> Question {
        Question {
            key_name: "mrn".into(),
            key_value: key_value.into(),
            attribute: "medical.systolic_mmhg".into(),
        }
    }

    #[tokio::test]
    async fn entries_of_the_same_moment_have_numbers_of_their_own_and_a_form_sent_twice_has_one() {
        let (_folder, url) = database_url().await;
        let store = Store::open(&url, 366).await.unwrap();
        let key = StaffKey::generate();
        let sent = (0u8..8).flat_map(|form| [form, form]).map(|form| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                let once = Bytes32::from([form; 32]);
                let statement = statement(100 + i64::from(form), 1_795_000_000);
                store.enter(&once, statement, &key).await.unwrap()
            })
        });
        let mut numbers = Vec::new();
        for entered in futures::future::join_all(sent).await {
            let entry = entered.unwrap();
            entry.verify().unwrap();
            numbers.push(entry.statement.number);
        }
        assert!(
            numbers.chunks(2).all(|pair| pair[0] == pair[1]),
            "{numbers:?}"
        );
        let answer = store.entries(&question("A1")).await.unwrap();
        let stored: Vec<_> = answer
            .entries
            .iter()
            .map(|entry| entry.statement.number)
            .collect();
        assert!(
            stored.is_sorted_by(|one, next| one > next),
            "newest first: {stored:?}"
        );
        assert_eq!(stored.len(), 8);
        assert!(
            store
                .entries(&question("a1"))
                .await
                .unwrap()
                .entries
                .is_empty()
        );
    }

    #[tokio::test]
    async fn records_entered_into_are_named_in_order_page_by_page() {
        let (_folder, url) = database_url().await;
        let store = Store::open(&url, 366).await.unwrap();
        let key = StaffKey::generate();
        let most = MAX_TOUCHED as u64;
        for form in 0..=most {
            let mut once = [0; 32];
            once[..8].copy_from_slice(&form.to_be_bytes());
            let mut statement = statement(120, 1_795_000_000);
            statement.key_value = format!("A{form}");
            store
                .enter(&Bytes32::from(once), statement, &key)
                .await
                .unwrap();
        }
        let touched = async |key_name: &str, since| {
            let key_name = key_name.to_owned();
            let question = TouchedQuestion { key_name, since };
            let answer = store.touched(&question).await.unwrap();
            let numbers: Vec<u64> = answer.touched.iter().map(|it| it.number).collect();
            (numbers, answer.more)
        };
        assert_eq!(touched("mrn", 0).await, ((1..=most).collect(), true));
        assert_eq!(touched("mrn", most).await, (vec![most, most + 1], false));
        assert_eq!(touched("mrn", u64::MAX).await, (Vec::new(), false));
        assert_eq!(touched("ssn", 0).await, (Vec::new(), false));
    }

    #[tokio::test]
    async fn what_is_older_than_is_kept_goes_and_its_number_does_not_come_back() {
        let (_folder, url) = database_url().await;
        let store = Store::open(&url, 1).await.unwrap();
        let key = StaffKey::generate();
        let enter = async |form: u8, recorded: i64| {
            let statement = statement(120, recorded);
            let entry = store
                .enter(&Bytes32::from([form; 32]), statement, &key)
                .await;
            entry.unwrap().statement.number
        };
        assert_eq!(enter(1, 0).await, 1);
        assert_eq!(enter(2, DAY_SECONDS).await, 2);
        assert_eq!(
            store.entries(&question("A1")).await.unwrap().entries.len(),
            2
        );
        assert_eq!(enter(3, 3 * DAY_SECONDS).await, 3);
        let left = store.entries(&question("A1")).await.unwrap();
        assert_eq!(left.entries.len(), 1, "the last alone");
    }
}
