//! Enquiries, policies and their accounts.

use std::path::Path;

use contracts::encoding::{Bytes32, from_base64url, to_base64url};
use contracts::gap::{Offer, Policy, Statement};
use rand::RngCore as _;
use rand::rngs::OsRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use zeroize::Zeroizing;

use super::super::{ExternalError, Result};

const SCHEMA: &str = include_str!("schema.sql");

/// The insurer's database.
pub(super) struct Store(SqlitePool);

/// An enquiry as answered.
pub(super) struct Answered {
    /// Hash of what was asked.
    pub(super) digest: Bytes32,
    pub(super) reply_key: Bytes32,
    pub(super) offers: Vec<Offer>,
}

/// A policy to be sold.
pub(super) struct Sale<'a> {
    pub(super) policy: &'a Policy,
    pub(super) jti: &'a Bytes32,
    /// What the owner said YES to.
    pub(super) purchase: &'a Bytes32,
    /// Compressed `cnf` key of the token.
    pub(super) cnf: &'a [u8],
}

/// A policy as sold.
pub(super) struct Sold {
    pub(super) policy: Policy,
    pub(super) jti: Bytes32,
    pub(super) cnf: Vec<u8>,
}

fn database(what: &'static str) -> impl Fn(sqlx::Error) -> ExternalError {
    move |source| ExternalError::Database {
        what: format!("insurer.db: {what}"),
        source,
    }
}

fn damaged() -> ExternalError {
    ExternalError::Data("insurer.db: a stored value is damaged".to_owned())
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| damaged())
}

fn bytes(text: &str) -> Result<Bytes32> {
    Bytes32::parse(text).map_err(|_| damaged())
}

impl Store {
    pub(super) async fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|source| ExternalError::Io {
            what: format!("creating {}", folder.display()),
            source,
        })?;
        let options = SqliteConnectOptions::new()
            .filename(folder.join("insurer.db"))
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        // One connection: a sale is a read and a write that nothing may come between.
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

    /// A secret of 32 bytes, made at the first start.
    pub(super) async fn secret(&self, name: &str) -> Result<Zeroizing<[u8; 32]>> {
        let mut fresh = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(fresh.as_mut());
        sqlx::query("INSERT INTO secret (name, seed) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(fresh.as_slice())
            .execute(&self.0)
            .await
            .map_err(database("keeping a key"))?;
        let seed: Zeroizing<Vec<u8>> =
            sqlx::query_scalar("SELECT seed FROM secret WHERE name = $1")
                .bind(name)
                .fetch_one(&self.0)
                .await
                .map(Zeroizing::new)
                .map_err(database("reading a key"))?;
        seed.as_slice()
            .try_into()
            .map(Zeroizing::new)
            .map_err(|_| damaged())
    }

    /// Keeps an enquiry's answer unless it was answered before; returns the answer that stands.
    pub(super) async fn answer(
        &self,
        enquiry: &Bytes32,
        new: &Answered,
        asked: &str,
    ) -> Result<Answered> {
        sqlx::query(
            "INSERT INTO enquiry (id, digest, reply_key, offers, asked) VALUES ($1,$2,$3,$4,$5) ON CONFLICT DO NOTHING",
        )
        .bind(enquiry.to_string())
        .bind(new.digest.to_string())
        .bind(new.reply_key.to_string())
        .bind(json(&new.offers))
        .bind(asked)
        .execute(&self.0)
        .await
        .map_err(database("keeping an enquiry"))?;
        self.answered(enquiry).await?.ok_or_else(damaged)
    }

    pub(super) async fn answered(&self, enquiry: &Bytes32) -> Result<Option<Answered>> {
        let failed = database("reading an enquiry");
        let row = sqlx::query("SELECT digest, reply_key, offers FROM enquiry WHERE id = $1")
            .bind(enquiry.to_string())
            .fetch_optional(&self.0)
            .await
            .map_err(&failed)?;
        row.map(|row| {
            let text = |column: &str| row.try_get::<String, _>(column).map_err(&failed);
            Ok(Answered {
                digest: bytes(&text("digest")?)?,
                reply_key: bytes(&text("reply_key")?)?,
                offers: parsed(&text("offers")?)?,
            })
        })
        .transpose()
    }

    /// Sells a policy, or finds the one that the same purchase brought; nothing if its enquiry or token brought another.
    pub(super) async fn sell(&self, sale: &Sale<'_>) -> Result<Option<Policy>> {
        let terms = &sale.policy.terms;
        sqlx::query(
            "INSERT INTO policy (id, enquiry, jti, purchase, cnf, policy) VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT DO NOTHING",
        )
        .bind(terms.policy.to_string())
        .bind(terms.offer.enquiry.to_string())
        .bind(sale.jti.to_string())
        .bind(sale.purchase.to_string())
        .bind(to_base64url(sale.cnf))
        .bind(json(sale.policy))
        .execute(&self.0)
        .await
        .map_err(database("selling a policy"))?;
        self.bought(sale.purchase).await
    }

    /// The policy that a purchase brought.
    pub(super) async fn bought(&self, purchase: &Bytes32) -> Result<Option<Policy>> {
        let policy: Option<String> =
            sqlx::query_scalar("SELECT policy FROM policy WHERE purchase = $1")
                .bind(purchase.to_string())
                .fetch_optional(&self.0)
                .await
                .map_err(database("reading a policy"))?;
        policy.as_deref().map(parsed).transpose()
    }

    pub(super) async fn sold(&self, policy: &Bytes32) -> Result<Option<Sold>> {
        let failed = database("reading a policy");
        let row = sqlx::query("SELECT jti, cnf, policy FROM policy WHERE id = $1")
            .bind(policy.to_string())
            .fetch_optional(&self.0)
            .await
            .map_err(&failed)?;
        row.map(|row| {
            let text = |column: &str| row.try_get::<String, _>(column).map_err(&failed);
            Ok(Sold {
                policy: parsed(&text("policy")?)?,
                jti: bytes(&text("jti")?)?,
                cnf: from_base64url(&text("cnf")?).map_err(|_| damaged())?,
            })
        })
        .transpose()
    }

    /// The statement that ended a policy.
    pub(super) async fn ended(&self, policy: &Bytes32) -> Result<Option<Statement>> {
        let statement: Option<String> =
            sqlx::query_scalar("SELECT statement FROM ending WHERE policy = $1")
                .bind(policy.to_string())
                .fetch_optional(&self.0)
                .await
                .map_err(database("reading an ending"))?;
        statement.as_deref().map(parsed).transpose()
    }

    /// Ends a policy and closes its account, or finds the statement that closed it.
    pub(super) async fn end(&self, new: &Statement) -> Result<Statement> {
        let failed = database("ending a policy");
        let terms = &new.terms;
        let id = terms.policy.to_string();
        let mut transaction = self
            .0
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(&failed)?;
        let ended = sqlx::query(
            "INSERT INTO ending (policy, last_day, statement) VALUES ($1,$2,$3) ON CONFLICT DO NOTHING",
        )
        .bind(&id)
        .bind(terms.end.to_string())
        .bind(json(new))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        if ended.rows_affected() == 1 {
            for (kind, cents) in [
                ("billed", terms.settlement.billed),
                ("refunded", terms.settlement.refunded),
            ] {
                sqlx::query("INSERT INTO account (policy, kind, cents) VALUES ($1,$2,$3)")
                    .bind(&id)
                    .bind(kind)
                    .bind(cents.0)
                    .execute(&mut *transaction)
                    .await
                    .map_err(&failed)?;
            }
            transaction.commit().await.map_err(&failed)?;
            return Ok(new.clone());
        }
        let row = sqlx::query("SELECT statement FROM ending WHERE policy = $1")
            .bind(&id)
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
        let statement: String = row.try_get("statement").map_err(&failed)?;
        parsed(&statement)
    }
}
