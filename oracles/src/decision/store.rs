//! What a decision node must not forget: nonces used, presentations it accepted, leaves and programs seen.

use contracts::encoding::{Bytes, Bytes32, tagged_hash, to_base64url};
use contracts::ids::NodeId;
use contracts::presentation::Presentation;
use contracts::revocation::Revocation;
use contracts::rules::Compiled;
use contracts::status::StatusList;
use contracts::token::{Claims, DecisionClaims};
use contracts::units::UnixTime;
use sqlx::{Any, AnyPool, Row, Transaction};

use super::check::Refused;
use super::nonce::Nonces;
use crate::db::{self, DbError};
use crate::wire::decision::MAX_SKEW;

const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("schema_1.sql")];
/// Tokens of one subject, audience and question that are compared at most.
const MAX_COMPARED: i64 = 64;
/// How long a program decided restrains others after the month it was decided in, in seconds: to the end of any month.
const RESTRAINT_KEPT: i64 = 32 * 86_400;

/// A presentation this node accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The claims of its token.
    pub claims: DecisionClaims,
    /// The salt of its ledger entry.
    pub salt: Bytes32,
}

/// A token's place in the status lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Which list.
    pub list: u64,
    /// Where in it.
    pub idx: u64,
}

/// A decision node's memory.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
}

impl Store {
    /// Opens it.
    ///
    /// # Errors
    /// Database errors.
    pub async fn open(pool: AnyPool) -> Result<Self, DbError> {
        db::migrate(&pool, "decision", &MIGRATIONS).await?;
        Ok(Self { pool })
    }

    /// What was accepted under a `jti`.
    ///
    /// # Errors
    /// Database errors.
    pub async fn accepted(&self, jti: &Bytes32) -> Result<Option<Accepted>, DbError> {
        let row = sqlx::query("SELECT claims, salt FROM decision_accepted WHERE jti = $1")
            .bind(jti.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.and_then(|row| {
            Some(Accepted {
                claims: serde_json::from_str(&row.get::<String, _>(0)).ok()?,
                salt: Bytes::parse(&row.get::<String, _>(1)).ok()?,
            })
        }))
    }

    /// Whether nonce and leaves are unused: what [`accept`](Self::accept) will refuse anyway, before the cost of a
    /// proof.
    ///
    /// # Errors
    /// [`Refused::UsedNonce`], [`Refused::UsedLeaf`] or database errors.
    pub async fn precheck(&self, presentation: &Presentation, me: NodeId) -> Result<(), Refused> {
        let nonce = presentation.nonce_of(me).ok_or(Refused::NoNonce)?;
        let used = sqlx::query("SELECT jti FROM decision_nonce WHERE nonce = $1")
            .bind(nonce.to_string())
            .fetch_optional(&self.pool)
            .await?;
        if used.is_some() {
            return Err(Refused::UsedNonce(me));
        }
        for (index, leaf) in leaves(presentation).enumerate() {
            let used = sqlx::query("SELECT jti FROM decision_leaf WHERE leaf = $1")
                .bind(leaf.0)
                .fetch_optional(&self.pool)
                .await?;
            if used.is_some() {
                return Err(Refused::UsedLeaf(index));
            }
        }
        Ok(())
    }

    /// Accepts a verified presentation: its nonce and leaves are used and its program noted, all or nothing.
    ///
    /// # Errors
    /// [`Refused::UsedNonce`], [`Refused::UsedLeaf`], [`Refused::Restraint`], or database errors.
    pub async fn accept(
        &self,
        presentation: &Presentation,
        compiled: &Compiled,
        accepted: &Accepted,
        me: NodeId,
        now: UnixTime,
    ) -> Result<(), Refused> {
        let jti = accepted.claims.jti.to_string();
        let nonce = presentation.nonce_of(me).ok_or(Refused::NoNonce)?;
        let mut transaction = db::begin_write(&self.pool).await?;
        forget(&mut transaction, now).await?;
        let fresh = sqlx::query(
            "INSERT INTO decision_nonce (nonce, jti, expires) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(nonce.to_string())
        .bind(jti.as_str())
        .bind(Nonces::expires(nonce).0)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if fresh != 1 {
            let used: String = sqlx::query("SELECT jti FROM decision_nonce WHERE nonce = $1")
                .bind(nonce.to_string())
                .fetch_one(&mut *transaction)
                .await?
                .get(0);
            // The same presentation twice at once: the other call accepted it.
            return if used == jti {
                Ok(())
            } else {
                Err(Refused::UsedNonce(me))
            };
        }
        for (index, (leaf, expires)) in leaves(presentation).enumerate() {
            let fresh = sqlx::query(
                "INSERT INTO decision_leaf (leaf, jti, expires) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(leaf)
            .bind(jti.as_str())
            .bind(expires.0)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
            if fresh != 1 {
                return Err(Refused::UsedLeaf(index));
            }
        }
        restrain(&mut transaction, presentation, compiled, &accepted.claims).await?;
        sqlx::query(
            "INSERT INTO decision_accepted (jti, claims, salt, expires) VALUES ($1, $2, $3, $4)",
        )
        .bind(jti.as_str())
        .bind(
            serde_json::to_string(&accepted.claims)
                .map_err(|error| DbError::Sql(sqlx::Error::Encode(Box::new(error))))?,
        )
        .bind(accepted.salt.to_string())
        .bind(accepted.claims.exp.0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

impl Store {
    /// Keeps a token, and returns the others that were issued on the same question for the same subject and audience.
    ///
    /// # Errors
    /// Database errors.
    pub async fn note_issued(
        &self,
        claims: &Claims,
        token: &str,
        now: UnixTime,
    ) -> Result<Vec<String>, DbError> {
        let question = [
            claims.sub.0.as_slice(),
            claims.aud.as_bytes(),
            claims.contract.id.as_bytes(),
            claims.jurisdiction.code().as_bytes(),
        ];
        let subject = to_base64url(tagged_hash("shp/v1/issued-subject", &question));
        let mut transaction = db::begin_write(&self.pool).await?;
        // Two tokens on one question, issued at once, must see each other.
        db::in_turn(&mut transaction, &subject).await?;
        for table in ["decision_issued", "decision_revoked"] {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "DELETE FROM {table} WHERE expires < $1"
            )))
            .bind(now.0 - MAX_SKEW)
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query(
            "INSERT INTO decision_issued (jti, subject, token, expires) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(claims.jti.to_string())
        .bind(subject.as_str())
        .bind(token)
        .bind(claims.exp.0)
        .execute(&mut *transaction)
        .await?;
        let rows = sqlx::query(
            "SELECT token FROM decision_issued WHERE subject = $1 AND jti <> $2
             ORDER BY expires DESC LIMIT $3",
        )
        .bind(subject.as_str())
        .bind(claims.jti.to_string())
        .bind(MAX_COMPARED)
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(rows.into_iter().map(|row| row.get(0)).collect())
    }

    /// Keeps evidence that a token is revoked; false when it is kept already.
    ///
    /// # Errors
    /// Database errors.
    pub async fn revoke(
        &self,
        slot: Slot,
        evidence: &Revocation,
        expires: UnixTime,
    ) -> Result<bool, DbError> {
        let evidence = serde_json::to_string(evidence)
            .map_err(|error| DbError::Sql(sqlx::Error::Encode(Box::new(error))))?;
        let written = sqlx::query(
            "INSERT INTO decision_revoked (list, idx, evidence, expires) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(signed(slot.list))
        .bind(signed(slot.idx))
        .bind(evidence)
        .bind(expires.0)
        .execute(&self.pool)
        .await?;
        Ok(written.rows_affected() == 1)
    }

    /// The bits of a list.
    ///
    /// # Errors
    /// Database errors.
    pub async fn revoked(&self, list: u64) -> Result<StatusList, DbError> {
        let mut bits = StatusList::all_valid();
        let rows = sqlx::query("SELECT idx FROM decision_revoked WHERE list = $1")
            .bind(signed(list))
            .fetch_all(&self.pool)
            .await?;
        for row in rows {
            if let Ok(idx) = u64::try_from(row.get::<i64, _>(0)) {
                // A slot was computed modulo the list's size.
                let _ = bits.revoke(idx);
            }
        }
        Ok(bits)
    }

    /// The evidence for some bits of a list, of those that are set here.
    ///
    /// # Errors
    /// Database errors.
    pub async fn evidence(
        &self,
        list: u64,
        indices: impl Iterator<Item = u64>,
    ) -> Result<Vec<Revocation>, DbError> {
        let mut all = Vec::new();
        for idx in indices {
            let row =
                sqlx::query("SELECT evidence FROM decision_revoked WHERE list = $1 AND idx = $2")
                    .bind(signed(list))
                    .bind(signed(idx))
                    .fetch_optional(&self.pool)
                    .await?;
            all.extend(row.and_then(|row| serde_json::from_str(&row.get::<String, _>(0)).ok()));
        }
        Ok(all)
    }
}

/// No list or index comes near the end of 63 bits; one from a caller that does is in no row.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Leaf hashes of a presentation, and the instant from which each is expired anyway.
fn leaves(presentation: &Presentation) -> impl Iterator<Item = (String, UnixTime)> + '_ {
    presentation.attestations.iter().map(|presented| {
        let leaf = &presented.attestation.leaf;
        let after = leaf.expires.start().0.saturating_add(2 * 86_400);
        (to_base64url(leaf.hash()), UnixTime(after))
    })
}

/// Drops what has expired.
async fn forget(transaction: &mut Transaction<'static, Any>, now: UnixTime) -> Result<(), DbError> {
    for sql in [
        "DELETE FROM decision_nonce WHERE expires < $1",
        "DELETE FROM decision_leaf WHERE expires < $1",
        "DELETE FROM decision_accepted WHERE expires < $1",
        "DELETE FROM decision_restraint WHERE expires < $1",
    ] {
        sqlx::query(sql)
            .bind(now.0 - MAX_SKEW)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

/// One program and state per audience, pseudonym (`T`, or `N` of an enquiry) and calendar month (UTC, by `iat`):
/// thresholds of choice would allow bisection.
async fn restrain(
    transaction: &mut Transaction<'static, Any>,
    presentation: &Presentation,
    compiled: &Compiled,
    claims: &DecisionClaims,
) -> Result<(), Refused> {
    let day = claims.iat.day().map_err(|_| Refused::Iat {
        iat: claims.iat.0,
        now: claims.iat.0,
    })?;
    let period: String = day.to_string().chars().take(7).collect();
    let pseudonym = to_base64url(presentation.pseudonym.as_bytes());
    sqlx::query(
        "INSERT INTO decision_restraint (audience, pseudonym, period, program, jurisdiction, expires)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(presentation.audience.as_str())
    .bind(pseudonym.as_str())
    .bind(period.as_str())
    .bind(compiled.program.as_str())
    .bind(presentation.jurisdiction.code())
    .bind(claims.iat.0.saturating_add(RESTRAINT_KEPT))
    .execute(&mut **transaction)
    .await?;
    let row = sqlx::query(
        "SELECT program, jurisdiction FROM decision_restraint
         WHERE audience = $1 AND pseudonym = $2 AND period = $3",
    )
    .bind(presentation.audience.as_str())
    .bind(pseudonym.as_str())
    .bind(period.as_str())
    .fetch_one(&mut **transaction)
    .await?;
    let (program, jurisdiction): (String, String) = (row.get(0), row.get(1));
    if (program.as_str(), jurisdiction.as_str())
        != (compiled.program.as_str(), presentation.jurisdiction.code())
    {
        return Err(Refused::Restraint {
            program,
            jurisdiction,
            period,
        });
    }
    Ok(())
}
