//! Leaves in stock, and when the stock of a domain is to be looked after.

use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, ContractRef, Domain, Jurisdiction};
use contracts::units::{Day, Period, UnixTime};
use sqlx::Row;

use super::facts::read_leaf;
use super::{Store, StoreError, StoredLeaf, Tx, json, number, parsed};

/// A contract that an audience may be shown: what leaves are bought for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The contract.
    pub contract: ContractRef,
    /// The state whose rules are asked.
    pub jurisdiction: Jurisdiction,
    /// Who gets the token.
    pub audience: String,
    /// Facts that the owner does not want read for it.
    pub withhold: Vec<AttributeId>,
}

/// A profile's domain whose stock is to be looked after, held by whoever claimed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The profile.
    pub profile: Bytes32,
    /// The domain.
    pub domain: Domain,
    /// Times in a row that it failed.
    pub failures: u32,
}

impl Store {
    /// What a profile asked since an instant, latest first, each contract and audience once.
    ///
    /// # Errors
    /// The database's.
    pub async fn pairs(
        &self,
        profile: &Bytes32,
        since: UnixTime,
        most: u32,
    ) -> Result<Vec<Pair>, StoreError> {
        let rows = sqlx::query(
            "SELECT contract_id, contract_hash, jurisdiction, audience, withhold FROM question
             WHERE profile = $1 AND created_at >= $2 ORDER BY created_at DESC, question LIMIT $3",
        )
        .bind(profile.to_string())
        .bind(since.0)
        .bind(i64::from(most))
        .fetch_all(self.pool())
        .await?;
        let mut pairs: Vec<Pair> = Vec::new();
        for row in &rows {
            let hash: String = row.try_get("contract_hash")?;
            let pair = Pair {
                contract: ContractRef {
                    id: row.try_get("contract_id")?,
                    hash: Bytes32::parse(&hash)
                        .map_err(|_| StoreError::Corrupt("contract_hash"))?,
                },
                jurisdiction: parsed(row, "jurisdiction")?,
                audience: row.try_get("audience")?,
                withhold: json(row, "withhold")?,
            };
            let seen = pairs.iter().any(|other| {
                (&other.contract.id, &other.audience) == (&pair.contract.id, &pair.audience)
            });
            if !seen {
                pairs.push(pair);
            }
        }
        Ok(pairs)
    }

    /// Leaves in stock for a contract and audience that may be shown on `today`, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn in_stock(
        &self,
        profile: &Bytes32,
        contract: &Bytes32,
        audience: &str,
        today: Day,
    ) -> Result<Vec<StoredLeaf>, StoreError> {
        sqlx::query(
            "SELECT attestation, withheld, wallet_index, opening FROM attestation
             WHERE profile = $1 AND contract = $2 AND audience = $3 AND used_by IS NULL AND question = ''
               AND observed <= $4 AND expires >= $4
             ORDER BY observed, wallet_index",
        )
        .bind(profile.to_string())
        .bind(contract.to_string())
        .bind(audience)
        .bind(today.to_string())
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(read_leaf)
        .collect()
    }

    /// How many leaves of a fact are in stock for a contract and audience and can still be shown on a day.
    ///
    /// # Errors
    /// The database's.
    pub async fn level(
        &self,
        profile: &Bytes32,
        pair: &Pair,
        attribute: &AttributeId,
        period: Period,
        on: Day,
    ) -> Result<u32, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n FROM attestation
             WHERE profile = $1 AND contract = $2 AND audience = $3 AND used_by IS NULL AND question = ''
               AND attribute = $4 AND period = $5 AND withheld = $6 AND expires >= $7",
        )
        .bind(profile.to_string())
        .bind(pair.contract.hash.to_string())
        .bind(&pair.audience)
        .bind(&attribute.0)
        .bind(period.to_string())
        .bind(i64::from(pair.withhold.contains(attribute)))
        .bind(on.to_string())
        .fetch_one(self.pool())
        .await?;
        number(&row, "n")
    }

    /// Drops leaves that nobody used and nobody may show any more.
    ///
    /// # Errors
    /// The database's.
    pub async fn expire(&self, today: Day) -> Result<u64, StoreError> {
        let dropped = sqlx::query("DELETE FROM attestation WHERE used_by IS NULL AND expires < $1")
            .bind(today.to_string())
            .execute(self.pool())
            .await?;
        Ok(dropped.rows_affected())
    }

    /// Claims one domain whose stock is due, until `until`: nobody else gets it before, and if its worker dies somebody
    /// does after.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim_due(
        &self,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<Due>, StoreError> {
        let rows = sqlx::query(
            "SELECT profile, domain, failures FROM refill WHERE due_at <= $1 AND held_until <= $1
             ORDER BY due_at, profile, domain LIMIT 8",
        )
        .bind(now.0)
        .fetch_all(self.pool())
        .await?;
        for row in &rows {
            let profile: String = row.try_get("profile")?;
            let due = Due {
                profile: Bytes32::parse(&profile).map_err(|_| StoreError::Corrupt("profile"))?,
                domain: parsed(row, "domain")?,
                failures: number(row, "failures")?,
            };
            let claimed = sqlx::query(
                "UPDATE refill SET held_until = $4
                 WHERE profile = $1 AND domain = $2 AND due_at <= $3 AND held_until <= $3",
            )
            .bind(&profile)
            .bind(due.domain.as_str())
            .bind(now.0)
            .bind(until.0)
            .execute(self.pool())
            .await?;
            if claimed.rows_affected() == 1 {
                return Ok(Some(due));
            }
        }
        Ok(None)
    }

    /// Lets go of a claimed domain: to be looked after again from `next` on, or no more.
    ///
    /// # Errors
    /// The database's.
    pub async fn settle(&self, due: &Due, next: Option<UnixTime>) -> Result<(), StoreError> {
        let (profile, domain) = (due.profile.to_string(), due.domain.as_str());
        let query = match next {
            None => sqlx::query("DELETE FROM refill WHERE profile = $1 AND domain = $2")
                .bind(profile)
                .bind(domain),
            Some(next) => sqlx::query(
                "UPDATE refill SET due_at = $3, held_until = 0, failures = $4
                 WHERE profile = $1 AND domain = $2",
            )
            .bind(profile)
            .bind(domain)
            .bind(next.0)
            .bind(i64::from(due.failures)),
        };
        query.execute(self.pool()).await?;
        Ok(())
    }
}

/// Has the stock of a domain looked after from an instant on, or from an earlier one that was set before.
///
/// # Errors
/// The database's.
pub async fn schedule(
    tx: &mut Tx,
    profile: &str,
    domain: Domain,
    due_at: UnixTime,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO refill (profile, domain, due_at) VALUES ($1, $2, $3)
         ON CONFLICT (profile, domain) DO UPDATE
         SET due_at = CASE WHEN refill.due_at < $3 THEN refill.due_at ELSE $3 END",
    )
    .bind(profile)
    .bind(domain.as_str())
    .bind(due_at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes a leaf out of the stock for a question. False when another question was quicker.
///
/// # Errors
/// The database's.
pub async fn draw(
    tx: &mut Tx,
    profile: &str,
    leaf: &Bytes32,
    question: &Bytes32,
) -> Result<bool, StoreError> {
    let drawn = sqlx::query(
        "UPDATE attestation SET question = $3
         WHERE leaf_hash = $1 AND profile = $2 AND question = '' AND used_by IS NULL",
    )
    .bind(leaf.to_string())
    .bind(profile)
    .bind(question.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(drawn.rows_affected() == 1)
}

/// Drops what the stock holds of a domain: something changed there. Withheld leaves stay, they hold no value.
///
/// # Errors
/// The database's.
pub async fn discard(tx: &mut Tx, profile: &str, domain: Domain) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM attestation
         WHERE profile = $1 AND domain = $2 AND question = '' AND used_by IS NULL AND withheld = 0",
    )
    .bind(profile)
    .bind(domain.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
