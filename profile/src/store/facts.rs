//! Handles, subject points and attested leaves.

use contracts::attestation::Attestation;
use contracts::encoding::Bytes32;
use contracts::group::Point;
use contracts::ids::{AttributeId, Domain, NodeId};
use contracts::units::Day;
use oracles::wire::HpkeBox;
use oracles::wire::enrol::MemberHandle;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, StoredQuestion, Tx, json, number, parsed, to_json};

/// A domain's subject point with its sealed blinding.
#[derive(Debug, Clone)]
pub struct StoredSubject {
    /// `S_d = s·B + r_d·H`.
    pub point: Point,
    /// Enrolment attempt whose wallet key seals the blinding.
    pub attempt: u32,
    /// `r_d`, sealed.
    pub blinding: String,
}

/// A leaf as fetched and verified, to be stored.
#[derive(Debug)]
pub struct Fetched<'a> {
    /// The verified attestation.
    pub attestation: &'a Attestation,
    /// The contract its purpose names.
    pub contract: Bytes32,
    /// The audience its purpose names.
    pub audience: &'a str,
    /// Whether it was asked for as withheld.
    pub withheld: bool,
    /// The question that it is for; none for the stock.
    pub question: Option<Bytes32>,
    /// Index of its wallet keys.
    pub wallet_index: u32,
    /// Purpose salt, subject blinding and opening, sealed under the leaf's own key.
    pub opening: &'a str,
}

/// A leaf as stored.
#[derive(Debug, Clone)]
pub struct StoredLeaf {
    /// The verified attestation.
    pub attestation: Attestation,
    /// Whether it was asked for as withheld.
    pub withheld: bool,
    /// Index of its wallet keys.
    pub wallet_index: u32,
    /// Purpose salt, subject blinding and opening, sealed.
    pub opening: String,
}

impl Store {
    /// A domain's handles, by node.
    ///
    /// # Errors
    /// The database's.
    pub async fn handles(
        &self,
        profile: &str,
        domain: Domain,
    ) -> Result<Vec<(NodeId, HpkeBox)>, StoreError> {
        sqlx::query(
            "SELECT node, sealed FROM handle WHERE profile = $1 AND domain = $2 ORDER BY node",
        )
        .bind(profile)
        .bind(domain.as_str())
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(|row| {
            let node = u16::try_from(number(row, "node")?).ok();
            let node = node
                .and_then(|node| NodeId::new(node).ok())
                .ok_or(StoreError::Corrupt("node"))?;
            Ok((node, json(row, "sealed")?))
        })
        .collect()
    }

    /// Domains and the number of members whose handle is held.
    ///
    /// # Errors
    /// The database's.
    pub async fn handle_counts(&self, profile: &str) -> Result<Vec<(Domain, u32)>, StoreError> {
        sqlx::query("SELECT domain, COUNT(*) AS n FROM handle WHERE profile = $1 GROUP BY domain")
            .bind(profile)
            .fetch_all(self.pool())
            .await?
            .iter()
            .map(|row| Ok((parsed(row, "domain")?, number(row, "n")?)))
            .collect()
    }

    /// A domain's subject point.
    ///
    /// # Errors
    /// The database's.
    pub async fn subject(
        &self,
        profile: &str,
        domain: Domain,
    ) -> Result<Option<StoredSubject>, StoreError> {
        let row = sqlx::query(
            "SELECT point, attempt, blinding FROM subject WHERE profile = $1 AND domain = $2",
        )
        .bind(profile)
        .bind(domain.as_str())
        .fetch_optional(self.pool())
        .await?;
        row.map(|row| {
            let point: String = row.try_get("point")?;
            let point = Bytes32::parse(&point)
                .and_then(|bytes| Point::from_bytes(&bytes.0))
                .map_err(|_| StoreError::Corrupt("point"))?;
            Ok(StoredSubject {
                point,
                attempt: number(&row, "attempt")?,
                blinding: row.try_get("blinding")?,
            })
        })
        .transpose()
    }

    /// One leaf, used or not.
    ///
    /// # Errors
    /// The database's.
    pub async fn leaf(
        &self,
        profile: &Bytes32,
        leaf: &Bytes32,
    ) -> Result<Option<StoredLeaf>, StoreError> {
        let row = sqlx::query(
            "SELECT attestation, withheld, wallet_index, opening FROM attestation
             WHERE leaf_hash = $1 AND profile = $2",
        )
        .bind(leaf.to_string())
        .bind(profile.to_string())
        .fetch_optional(self.pool())
        .await?;
        row.map(|row| {
            Ok(StoredLeaf {
                attestation: json(&row, "attestation")?,
                withheld: number(&row, "withheld")? != 0,
                wallet_index: number(&row, "wallet_index")?,
                opening: row.try_get("opening")?,
            })
        })
        .transpose()
    }

    /// Unused leaves of a question that may be shown on `today`, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn unused(
        &self,
        question: &StoredQuestion,
        today: Day,
    ) -> Result<Vec<StoredLeaf>, StoreError> {
        sqlx::query(
            "SELECT attestation, withheld, wallet_index, opening FROM attestation
             WHERE profile = $1 AND contract = $2 AND audience = $3 AND used_by IS NULL
               AND observed <= $4 AND expires >= $4 AND question = $5
             ORDER BY observed, wallet_index",
        )
        .bind(question.profile.to_string())
        .bind(question.contract.hash.to_string())
        .bind(&question.audience)
        .bind(today.to_string())
        .bind(question.question.to_string())
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(read_leaf)
        .collect()
    }
}

pub(super) fn read_leaf(row: &AnyRow) -> Result<StoredLeaf, StoreError> {
    Ok(StoredLeaf {
        attestation: json(row, "attestation")?,
        withheld: number(row, "withheld")? != 0,
        wallet_index: number(row, "wallet_index")?,
        opening: row.try_get("opening")?,
    })
}

/// Replaces a profile's handles by new ones.
///
/// # Errors
/// The database's.
pub async fn replace_handles(
    tx: &mut Tx,
    profile: &str,
    handles: &[MemberHandle],
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM handle WHERE profile = $1")
        .bind(profile)
        .execute(&mut **tx)
        .await?;
    for handle in handles {
        sqlx::query("INSERT INTO handle (profile, domain, node, sealed) VALUES ($1, $2, $3, $4)")
            .bind(profile)
            .bind(handle.domain.as_str())
            .bind(i64::from(handle.node.get()))
            .bind(to_json(&handle.sealed))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Adds handles for members that had none, or other ones in their place.
///
/// # Errors
/// The database's.
pub async fn add_handles(
    tx: &mut Tx,
    profile: &str,
    handles: &[MemberHandle],
) -> Result<(), StoreError> {
    for handle in handles {
        sqlx::query(
            "INSERT INTO handle (profile, domain, node, sealed) VALUES ($1, $2, $3, $4)
             ON CONFLICT (profile, domain, node) DO UPDATE SET sealed = excluded.sealed",
        )
        .bind(profile)
        .bind(handle.domain.as_str())
        .bind(i64::from(handle.node.get()))
        .bind(to_json(&handle.sealed))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Stores a domain's subject point, in place of an earlier one.
///
/// # Errors
/// The database's.
pub async fn put_subject(
    tx: &mut Tx,
    profile: &str,
    domain: Domain,
    subject: &StoredSubject,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO subject (profile, domain, point, attempt, blinding) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (profile, domain) DO UPDATE SET point = $3, attempt = $4, blinding = $5",
    )
    .bind(profile)
    .bind(domain.as_str())
    .bind(Bytes32::from(*subject.point.as_bytes()).to_string())
    .bind(i64::from(subject.attempt))
    .bind(&subject.blinding)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Stores a verified leaf with its sealed opening.
///
/// # Errors
/// The database's; a leaf that is stored already stays as it is.
pub async fn put_leaf(tx: &mut Tx, profile: &str, leaf: &Fetched<'_>) -> Result<(), StoreError> {
    let facts = &leaf.attestation.leaf;
    let AttributeId(attribute) = &facts.attribute;
    sqlx::query(
        "INSERT INTO attestation (leaf_hash, profile, domain, attribute, period, contract, audience, withheld,
                                  question, wallet_index, attestation, opening, observed, expires)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (leaf_hash) DO NOTHING",
    )
    .bind(facts.hash().to_string())
    .bind(profile)
    .bind(facts.committee.as_str())
    .bind(attribute)
    .bind(facts.period.to_string())
    .bind(leaf.contract.to_string())
    .bind(leaf.audience)
    .bind(i64::from(leaf.withheld))
    .bind(leaf.question.map_or_else(String::new, |id| id.to_string()))
    .bind(i64::from(leaf.wallet_index))
    .bind(to_json(leaf.attestation))
    .bind(leaf.opening)
    .bind(facts.observed.to_string())
    .bind(facts.expires.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Marks leaves as used up by a presentation, in the transaction that stores it.
///
/// # Errors
/// [`StoreError::Used`] when one is used already or not there; the transaction is then to be dropped.
pub async fn use_leaves(
    tx: &mut Tx,
    profile: &str,
    leaves: &[Bytes32],
    jti: &str,
) -> Result<(), StoreError> {
    for leaf in leaves {
        let changed = sqlx::query(
            "UPDATE attestation SET used_by = $3
             WHERE leaf_hash = $1 AND profile = $2 AND used_by IS NULL",
        )
        .bind(leaf.to_string())
        .bind(profile)
        .bind(jti)
        .execute(&mut **tx)
        .await?
        .rows_affected();
        if changed != 1 {
            return Err(StoreError::Used);
        }
    }
    Ok(())
}
