//! One person, one profile: each node's registry of who is enrolled, without anything an SSN can be guessed from.
//!
//! A row is keyed by a hash of the subject `s`, which only a quorum of the committee can compute from an SSN.
//! An enrolment claims its row before anything is signed. A claim lapses after its lease, so that one that died does not
//! shut the person out; once a node has taken part in signing, handles may exist, and the row is kept until they expire.
//! The same enrolment id, signed by the same key, always finds its own claim.
//!
//! Two enrolments at once may each be the first at half of the nodes, where neither finds a quorum. So a claim that is not
//! signed yet yields to one that comes before it in an order that all nodes know and nobody can choose a place in; signed
//! it yields to nobody, and two quorums share an honest node, which signs for one of them.

use contracts::encoding::{Bytes32, tagged_hash};
use contracts::group::Point;
use contracts::units::UnixTime;
use curve25519_dalek::scalar::Scalar;
use sqlx::{AnyPool, Row as _};

use super::EnrolError;
use super::reproofing::Terms;
use crate::db::{self, DbError};

/// The registry of one node.
#[derive(Clone)]
pub(super) struct Registry(pub(super) AnyPool);

/// An enrolment's claim on a person.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    pub(super) subject: Bytes32,
    pub(super) enrolment: Bytes32,
    pub(super) pseudonym_key: Point,
    /// Whether it is to take the place of an earlier one, because its seed is lost.
    pub(super) replaces: bool,
}

/// The registry's name for a subject.
pub(super) fn subject_ref(s: &Scalar) -> Bytes32 {
    tagged_hash("shp/v1/subject-ref", &[s.as_bytes()]).into()
}

/// An enrolment's place in the order of those of one person; lower comes first. It depends on the subject, which who makes
/// an enrolment up does not know.
fn order(subject: &Bytes32, enrolment: &Bytes32) -> [u8; 32] {
    tagged_hash("shp/v1/enrol-order", &[&subject.0, &enrolment.0])
}

impl Claim {
    /// Whether it comes before another enrolment of the same person.
    fn precedes(&self, other: &str) -> bool {
        Bytes32::parse(other)
            .is_ok_and(|other| order(&self.subject, &self.enrolment) < order(&self.subject, &other))
    }
}

impl Registry {
    pub(super) async fn open(pool: AnyPool) -> Result<Self, DbError> {
        let steps = [include_str!("schema.sql"), include_str!("schema_1.sql")];
        db::migrate(&pool, "enrol", &steps).await?;
        Ok(Self(pool))
    }

    /// Claims a person for an enrolment until `until`, in one step against all others. Claiming again does not prolong it:
    /// who cannot get a quorum must not keep others from it for good.
    ///
    /// # Errors
    /// [`EnrolError::Taken`] while another enrolment holds the person that is signed or comes before this one; [`EnrolError::OtherPseudonym`] when handles may
    /// exist with another pseudonym key.
    pub(super) async fn claim(
        &self,
        claim: &Claim,
        now: UnixTime,
        until: UnixTime,
        terms: Terms,
    ) -> Result<(), EnrolError> {
        let (subject, enrolment) = (claim.subject.to_string(), claim.enrolment.to_string());
        let pseudonym_key = Bytes32::from(*claim.pseudonym_key.as_bytes()).to_string();
        let mut transaction = db::begin_write(&self.0).await?;
        // Two enrolments at once meet at this row: on Postgres the second waits for the first here.
        sqlx::query(
            "INSERT INTO enrolment (subject_ref, enrolment, signed, pseudonym_key, held_until)
             VALUES ($1, $2, 0, $3, $4) ON CONFLICT (subject_ref) DO UPDATE SET subject_ref = excluded.subject_ref",
        )
        .bind(&subject)
        .bind(&enrolment)
        .bind(&pseudonym_key)
        .bind(until.0)
        .execute(&mut *transaction)
        .await?;
        let row = sqlx::query(
            "SELECT enrolment, signed, pseudonym_key, held_until FROM enrolment WHERE subject_ref = $1",
        )
        .bind(&subject)
        .fetch_one(&mut *transaction)
        .await?;
        let (holder, signed): (String, i64) = (row.get(0), row.get(1));
        let (registered, held_until): (String, i64) = (row.get(2), row.get(3));
        let held = held_until >= now.0;
        let yields = signed == 0 && claim.precedes(&holder);
        if holder != enrolment && held && !yields {
            if claim.replaces && signed == 1 {
                return self.await_reproofing(transaction, claim, now, terms).await;
            }
            return Err(EnrolError::Taken);
        }
        if holder == enrolment && held && signed == 1 {
            if registered != pseudonym_key {
                return Err(EnrolError::OtherPseudonym);
            }
            return Ok(());
        }
        let until = match holder == enrolment && held {
            true => UnixTime(held_until),
            false => until,
        };
        sqlx::query(
            "UPDATE enrolment SET enrolment = $2, signed = 0, pseudonym_key = $3, held_until = $4
             WHERE subject_ref = $1",
        )
        .bind(&subject)
        .bind(&enrolment)
        .bind(&pseudonym_key)
        .bind(until.0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Records that this node takes part in signing the enrolment's handles, which are taken until `until`.
    ///
    /// # Errors
    /// [`EnrolError::Taken`] when the claim has lapsed or passed to another enrolment.
    pub(super) async fn signing(
        &self,
        claim: &Claim,
        now: UnixTime,
        until: UnixTime,
        terms: Terms,
    ) -> Result<(), EnrolError> {
        let updated = sqlx::query(
            "UPDATE enrolment SET signed = 1, held_until = CASE WHEN held_until > $5 THEN held_until ELSE $5 END
             WHERE subject_ref = $1 AND enrolment = $2 AND pseudonym_key = $3 AND held_until >= $4",
        )
        .bind(claim.subject.to_string())
        .bind(claim.enrolment.to_string())
        .bind(Bytes32::from(*claim.pseudonym_key.as_bytes()).to_string())
        .bind(now.0)
        .bind(until.0)
        .execute(&self.0)
        .await?;
        if updated.rows_affected() == 1 {
            return Ok(());
        }
        if claim.replaces {
            return self.replace(claim, now, until, terms).await;
        }
        Err(EnrolError::Taken)
    }

    /// Whether this node's row is still the claim's.
    pub(super) async fn holds(&self, claim: &Claim) -> Result<bool, EnrolError> {
        let row = sqlx::query("SELECT enrolment FROM enrolment WHERE subject_ref = $1")
            .bind(claim.subject.to_string())
            .fetch_optional(&self.0)
            .await?;
        Ok(row.is_some_and(|row| row.get::<String, _>(0) == claim.enrolment.to_string()))
    }

    /// Whether a pseudonym key is the one registered for a subject; true when this node has no row, because it was down at
    /// the enrolment and the handle that a quorum signed is then all there is.
    pub(super) async fn is_current(
        &self,
        subject: &Bytes32,
        pseudonym_key: &Point,
    ) -> Result<bool, EnrolError> {
        let row = sqlx::query(
            "SELECT pseudonym_key FROM enrolment WHERE subject_ref = $1 AND signed = 1",
        )
        .bind(subject.to_string())
        .fetch_optional(&self.0)
        .await?;
        let expected = Bytes32::from(*pseudonym_key.as_bytes()).to_string();
        Ok(row.is_none_or(|row| row.get::<String, _>(0) == expected))
    }

    /// Counts a use by a caller against its daily quota: an evaluation of the pseudorandom function, or a claim.
    ///
    /// # Errors
    /// [`EnrolError::Quota`] above `limit` a day.
    pub(super) async fn count(
        &self,
        caller: &str,
        limit: u32,
        now: UnixTime,
    ) -> Result<(), EnrolError> {
        let day = now.0.div_euclid(86_400);
        let mut transaction = db::begin_write(&self.0).await?;
        sqlx::query("DELETE FROM enrol_quota WHERE day < $1")
            .bind(day)
            .execute(&mut *transaction)
            .await?;
        let row = sqlx::query(
            "INSERT INTO enrol_quota (day, caller, used) VALUES ($1, $2, 1)
             ON CONFLICT (day, caller) DO UPDATE SET used = enrol_quota.used + 1 RETURNING used",
        )
        .bind(day)
        .bind(caller)
        .fetch_one(&mut *transaction)
        .await?;
        if row.get::<i64, _>(0) > i64::from(limit) {
            return Err(EnrolError::Quota);
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Takes back what [`Registry::count`] counted on the same day.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn give_back(&self, caller: &str, now: UnixTime) -> Result<(), EnrolError> {
        sqlx::query("UPDATE enrol_quota SET used = used - 1 WHERE day = $1 AND caller = $2")
            .bind(now.0.div_euclid(86_400))
            .bind(caller)
            .execute(&self.0)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::group::hash_to_group;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const LEASE: UnixTime = UnixTime(NOW.0 + 600);
    const AFTER_LEASE: UnixTime = UnixTime(NOW.0 + 601);
    const YEAR: UnixTime = UnixTime(NOW.0 + 365 * 86_400);

    const TERMS: Terms = Terms {
        wait: 14 * 86_400,
        period: 365 * 86_400,
    };

    async fn registry() -> (tempfile::TempDir, Registry) {
        let (dir, pool) = crate::attest::testing::database().await;
        (dir, Registry::open(pool).await.unwrap())
    }

    fn claim(enrolment: u8, key: u8) -> Claim {
        Claim {
            subject: subject_ref(&Scalar::from(7u8)),
            enrolment: [enrolment; 32].into(),
            pseudonym_key: Point::new(hash_to_group("shp/v1/test", &[key])).unwrap(),
            replaces: false,
        }
    }

    /// Claims of as many enrolments, first come first.
    fn in_order(count: u8) -> Vec<Claim> {
        let mut claims: Vec<Claim> = (1..=count).map(|at| claim(at, at)).collect();
        claims.sort_by_key(|claim| order(&claim.subject, &claim.enrolment));
        claims
    }

    #[tokio::test]
    async fn a_second_enrolment_of_one_ssn_is_refused_until_the_first_lapses_or_expires() {
        let (_dir, registry) = registry().await;
        let claims = in_order(2);
        let (first, second) = (claims[0], claims[1]);
        registry.claim(&first, NOW, LEASE, TERMS).await.unwrap();
        let refused = registry.claim(&second, NOW, LEASE, TERMS).await;
        assert!(matches!(refused, Err(EnrolError::Taken)));

        registry
            .claim(&second, AFTER_LEASE, YEAR, TERMS)
            .await
            .unwrap();
        let late = registry.signing(&first, AFTER_LEASE, YEAR, TERMS).await;
        assert!(
            matches!(late, Err(EnrolError::Taken)),
            "a lapsed claim signs nothing"
        );

        registry
            .signing(&second, AFTER_LEASE, YEAR, TERMS)
            .await
            .unwrap();
        registry
            .signing(&second, AFTER_LEASE, YEAR, TERMS)
            .await
            .unwrap();
        let refused = registry.claim(&first, AFTER_LEASE, YEAR, TERMS).await;
        assert!(matches!(refused, Err(EnrolError::Taken)));
        let expired = UnixTime(YEAR.0 + 1);
        registry
            .claim(&first, expired, UnixTime(expired.0 + 600), TERMS)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn an_enrolment_finds_its_own_claim_but_cannot_change_its_pseudonym_key_once_signed() {
        let (_dir, registry) = registry().await;
        registry
            .claim(&claim(1, 1), NOW, LEASE, TERMS)
            .await
            .unwrap();
        registry
            .claim(&claim(1, 2), NOW, LEASE, TERMS)
            .await
            .unwrap();
        registry
            .signing(&claim(1, 2), NOW, YEAR, TERMS)
            .await
            .unwrap();
        registry
            .claim(&claim(1, 2), AFTER_LEASE, LEASE, TERMS)
            .await
            .unwrap();
        let swapped = registry.claim(&claim(1, 3), AFTER_LEASE, YEAR, TERMS).await;
        assert!(matches!(swapped, Err(EnrolError::OtherPseudonym)));
        let subject = claim(1, 2).subject;
        let key = |fill| claim(1, fill).pseudonym_key;
        assert!(registry.is_current(&subject, &key(2)).await.unwrap());
        assert!(!registry.is_current(&subject, &key(3)).await.unwrap());
        assert!(registry.is_current(&[9; 32].into(), &key(3)).await.unwrap());
    }

    #[tokio::test]
    async fn of_many_enrolments_at_once_one_gets_the_person_the_same_at_every_node() {
        let (_dir, registry) = registry().await;
        let claims = in_order(8);
        let tries = claims.iter().copied().map(|claim| {
            let registry = registry.clone();
            tokio::spawn(async move {
                // Whoever came before may have claimed already, or come later and take over.
                let _ = registry.claim(&claim, NOW, LEASE, TERMS).await;
            })
        });
        for tried in futures::future::join_all(tries).await {
            tried.unwrap();
        }
        let mut won = Vec::new();
        for claim in &claims {
            let signed = registry.signing(claim, NOW, YEAR, TERMS).await;
            won.push(signed.is_ok());
            assert_eq!(registry.holds(claim).await.unwrap(), signed.is_ok());
        }
        assert_eq!(won, [true, false, false, false, false, false, false, false]);
    }

    #[tokio::test]
    async fn a_claim_yields_to_one_that_comes_before_it_until_it_is_signed() {
        let (_dir, registry) = registry().await;
        let claims = in_order(3);
        registry.claim(&claims[2], NOW, LEASE, TERMS).await.unwrap();
        registry.claim(&claims[1], NOW, LEASE, TERMS).await.unwrap();
        let displaced = registry.signing(&claims[2], NOW, YEAR, TERMS).await;
        assert!(matches!(displaced, Err(EnrolError::Taken)));
        registry
            .signing(&claims[1], NOW, YEAR, TERMS)
            .await
            .unwrap();
        let late = registry.claim(&claims[0], NOW, LEASE, TERMS).await;
        assert!(matches!(late, Err(EnrolError::Taken)));
    }

    #[tokio::test]
    async fn claiming_again_does_not_prolong_a_lease() {
        let (_dir, registry) = registry().await;
        let claims = in_order(2);
        registry.claim(&claims[0], NOW, LEASE, TERMS).await.unwrap();
        let later = UnixTime(NOW.0 + 500);
        let longer = UnixTime(later.0 + 600);
        registry
            .claim(&claims[0], later, longer, TERMS)
            .await
            .unwrap();
        registry
            .claim(&claims[1], AFTER_LEASE, YEAR, TERMS)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn evaluations_are_counted_by_caller_and_day() {
        let (_dir, registry) = registry().await;
        for _ in 0..2 {
            registry.count("node 2", 2, NOW).await.unwrap();
        }
        assert!(matches!(
            registry.count("node 2", 2, NOW).await,
            Err(EnrolError::Quota)
        ));
        registry.count("node 3", 2, NOW).await.unwrap();
        registry
            .count("node 2", 2, UnixTime(NOW.0 + 86_400))
            .await
            .unwrap();
    }
}
