//! Statements and notices, in the agency's database.

use contracts::lifecycle::Notice;
use contracts::units::UnixTime;
use profile::agency::What;
use sqlx::Row as _;

use super::super::{ExternalError, Result};
use super::cases::CaseView;
use super::store::{Store, database};

/// Statements of one page.
const PAGE: i64 = 100;

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| ExternalError::Data(error.to_string()))
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|_| ExternalError::Data("agency.db: a stored statement is damaged".to_owned()))
}

impl Store {
    /// The pseudonym of an application.
    pub(super) async fn subject(&self, id: &str) -> Result<Option<String>> {
        sqlx::query_scalar("SELECT sub FROM application WHERE id = $1")
            .bind(id)
            .fetch_optional(self.pool())
            .await
            .map_err(database("reading an application"))
    }

    /// What was said after a number; none for an application that is not here.
    pub(super) async fn statements(
        &self,
        id: &str,
        after: u64,
    ) -> Result<Option<Vec<(u64, What)>>> {
        if self.subject(id).await?.is_none() {
            return Ok(None);
        }
        let failed = database("reading statements");
        let rows = sqlx::query(
            "SELECT number, said FROM statement WHERE application = $1 AND number > $2 ORDER BY number LIMIT $3",
        )
        .bind(id)
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(PAGE)
        .fetch_all(self.pool())
        .await
        .map_err(&failed)?;
        rows.iter()
            .map(|row| {
                let number: i64 = row.try_get("number").map_err(&failed)?;
                let said: String = row.try_get("said").map_err(&failed)?;
                Ok((u64::try_from(number).unwrap_or_default(), parsed(&said)?))
            })
            .collect::<Result<Vec<_>>>()
            .map(Some)
    }

    /// Says something about an application.
    pub(super) async fn say(&self, id: &str, what: &What) -> Result<Option<i64>> {
        if self.subject(id).await?.is_none() {
            return Ok(None);
        }
        sqlx::query_scalar(
            "INSERT INTO statement (application, number, said)
             VALUES ($1, (SELECT COUNT(*) + 1 FROM statement WHERE application = $1), $2) RETURNING number",
        )
        .bind(id)
        .bind(json(what)?)
        .fetch_one(self.pool())
        .await
        .map(Some)
        .map_err(database("making a statement"))
    }

    /// Keeps a notice; the same key again is the same notice.
    pub(super) async fn told(
        &self,
        id: &str,
        key: &str,
        notice: &Notice,
        at: UnixTime,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO notice (key, application, notice, told_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(key)
        .bind(id)
        .bind(json(notice)?)
        .bind(at.0)
        .execute(self.pool())
        .await
        .map(|_| ())
        .map_err(database("keeping a notice"))
    }

    /// Every application, oldest first.
    pub(super) async fn cases(&self) -> Result<Vec<CaseView>> {
        let failed = database("reading cases");
        let rows = sqlx::query(
            "SELECT a.id, a.contract, c.number FROM application a JOIN person_case c ON c.sub = a.sub
             ORDER BY a.rowid",
        )
        .fetch_all(self.pool())
        .await
        .map_err(&failed)?;
        let mut cases = Vec::new();
        for row in &rows {
            let id: String = row.try_get("id").map_err(&failed)?;
            let told: Vec<String> = sqlx::query_scalar(
                "SELECT notice FROM notice WHERE application = $1 ORDER BY rowid",
            )
            .bind(&id)
            .fetch_all(self.pool())
            .await
            .map_err(&failed)?;
            let said = self.statements(&id, 0).await?.unwrap_or_default();
            cases.push(CaseView {
                case: row.try_get("number").map_err(&failed)?,
                contract: row.try_get("contract").map_err(&failed)?,
                notices: told
                    .iter()
                    .map(|told| parsed(told))
                    .collect::<Result<_>>()?,
                statements: said.into_iter().map(|(_, what)| what).collect(),
                application_id: id,
            });
        }
        Ok(cases)
    }
}
