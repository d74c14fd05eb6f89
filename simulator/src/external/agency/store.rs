//! Cases by pseudonym, applications by token.

use std::path::Path;

use contracts::encoding::{Bytes, Bytes32};
use contracts::units::UnixTime;
use ed25519_dalek::SigningKey;
use rand::RngCore as _;
use rand::rngs::OsRng;
use serde::Serialize;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row as _, sqlite::SqliteRow};
use zeroize::Zeroizing;

use super::super::{ExternalError, Result};
use super::Acceptance;

const SCHEMA: &str = include_str!("schema.sql");

/// The agency's database.
pub(super) struct Store(SqlitePool);

/// An application that passed every check.
pub(super) struct Filed {
    /// SHA-256 of its bytes.
    pub(super) digest: Bytes32,
    pub(super) jti: Bytes32,
    pub(super) sub: Bytes32,
    pub(super) contract: String,
    pub(super) accepted_at: UnixTime,
}

/// An application as the agency shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    application_id: String,
    jti: String,
    contract: String,
    accepted_at: i64,
    /// The agency's number for the person's case; the same for every application under one pseudonym.
    case: String,
    /// Position among the case's applications, from 1.
    number: i64,
}

pub(super) fn database(what: &'static str) -> impl Fn(sqlx::Error) -> ExternalError {
    move |source| ExternalError::Database {
        what: format!("agency.db: {what}"),
        source,
    }
}

impl Store {
    pub(super) async fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|source| ExternalError::Io {
            what: format!("creating {}", folder.display()),
            source,
        })?;
        let options = SqliteConnectOptions::new()
            .filename(folder.join("agency.db"))
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        // One connection: filing is a read and a write that nothing may come between.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(database("opening"))?;
        sqlx::raw_sql(SCHEMA)
            .execute(&pool)
            .await
            .map_err(database("making tables"))?;
        Ok(Self(pool))
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.0
    }

    /// The agency's key, made at the first start.
    pub(super) async fn signing_key(&self) -> Result<SigningKey> {
        let mut fresh = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(fresh.as_mut());
        sqlx::query("INSERT INTO signing_key (only, seed) VALUES (1, $1) ON CONFLICT DO NOTHING")
            .bind(fresh.as_slice())
            .execute(&self.0)
            .await
            .map_err(database("keeping the signing key"))?;
        let seed: Zeroizing<Vec<u8>> = sqlx::query_scalar("SELECT seed FROM signing_key")
            .fetch_one(&self.0)
            .await
            .map(Zeroizing::new)
            .map_err(database("reading the signing key"))?;
        let seed: Zeroizing<[u8; 32]> =
            seed.as_slice()
                .try_into()
                .map(Zeroizing::new)
                .map_err(|_| {
                    ExternalError::Data("agency.db: the signing key is not 32 bytes".to_owned())
                })?;
        Ok(SigningKey::from_bytes(&seed))
    }

    /// What these very bytes were answered with.
    pub(super) async fn by_digest(&self, digest: &Bytes32) -> Result<Option<Acceptance>> {
        let row = sqlx::query(
            "SELECT a.id, a.jti, a.accepted_at, a.signature FROM application a JOIN received r ON r.application = a.id \
             WHERE r.digest = $1",
        )
        .bind(digest.to_string())
        .fetch_optional(&self.0)
        .await
        .map_err(database("reading an application"))?;
        row.as_ref().map(acceptance).transpose()
    }

    /// Files an application, or finds the one filed under the same token; `sign` completes a new acceptance.
    pub(super) async fn file(
        &self,
        filed: &Filed,
        sign: impl FnOnce(Acceptance) -> Acceptance + Send,
    ) -> Result<Acceptance> {
        let failed = database("filing an application");
        let mut transaction = self
            .0
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(&failed)?;
        let existing =
            sqlx::query("SELECT id, jti, accepted_at, signature FROM application WHERE jti = $1")
                .bind(filed.jti.to_string())
                .fetch_optional(&mut *transaction)
                .await
                .map_err(&failed)?;
        let result = match existing {
            Some(row) => acceptance(&row)?,
            None => {
                sqlx::query(
                    "INSERT INTO person_case (sub, number) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                )
                .bind(filed.sub.to_string())
                .bind(number("C"))
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
                let acceptance = sign(Acceptance {
                    application_id: number("A"),
                    jti: filed.jti,
                    accepted_at: filed.accepted_at,
                    signature: Bytes([0; 64]),
                });
                sqlx::query(
                    "INSERT INTO application (id, jti, sub, contract, accepted_at, signature) VALUES ($1,$2,$3,$4,$5,$6)",
                )
                .bind(&acceptance.application_id)
                .bind(acceptance.jti.to_string())
                .bind(filed.sub.to_string())
                .bind(&filed.contract)
                .bind(acceptance.accepted_at.0)
                .bind(acceptance.signature.to_string())
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
                acceptance
            }
        };
        sqlx::query(
            "INSERT INTO received (digest, application) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(filed.digest.to_string())
        .bind(&result.application_id)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        Ok(result)
    }

    pub(super) async fn application(&self, id: &str) -> Result<Option<Shown>> {
        let row = sqlx::query(
            "SELECT a.id, a.jti, a.contract, a.accepted_at, c.number AS case_number, \
             (SELECT COUNT(*) FROM application b WHERE b.sub = a.sub AND b.rowid <= a.rowid) AS place \
             FROM application a JOIN person_case c ON c.sub = a.sub WHERE a.id = $1",
        )
        .bind(id)
        .fetch_optional(&self.0)
        .await
        .map_err(database("reading an application"))?;
        let column = database("reading an application");
        row.map(|row| {
            Ok(Shown {
                application_id: row.try_get("id").map_err(&column)?,
                jti: row.try_get("jti").map_err(&column)?,
                contract: row.try_get("contract").map_err(&column)?,
                accepted_at: row.try_get("accepted_at").map_err(&column)?,
                case: row.try_get("case_number").map_err(&column)?,
                number: row.try_get("place").map_err(&column)?,
            })
        })
        .transpose()
    }
}

fn acceptance(row: &SqliteRow) -> Result<Acceptance> {
    let column = database("reading an application");
    let bad = |_| ExternalError::Data("agency.db: a stored acceptance is damaged".to_owned());
    let jti: String = row.try_get("jti").map_err(&column)?;
    let signature: String = row.try_get("signature").map_err(&column)?;
    Ok(Acceptance {
        application_id: row.try_get("id").map_err(&column)?,
        jti: Bytes::parse(&jti).map_err(bad)?,
        accepted_at: UnixTime(row.try_get("accepted_at").map_err(&column)?),
        signature: Bytes::parse(&signature).map_err(bad)?,
    })
}

/// A number nobody can guess, so that `GET /applications/{id}` answers only whom the id was given.
fn number(prefix: &str) -> String {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    format!("{prefix}-{}", hex::encode(bytes))
}
