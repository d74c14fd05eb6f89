//! A lost seed: the person is proofed again and registers a new pseudonym key, after a wait and once in a period.
//!
//! The first call files a notice, which whoever holds the old seed can see and object to with its authorisation key. After
//! the wait the same enrolment goes on: it is entered in the ledger, and where a node takes part in signing the new handles,
//! the new key takes the old one's place in its registry. From then on the node attests `identity.person` for the new key
//! only. A thief who knows SSN, name and birth date thus gets nothing from a living profile that looks once in the wait.

use contracts::encoding::{Bytes32, tagged_hash};
use contracts::receipt::{Entry, EntryKind};
use contracts::units::UnixTime;
use serde::Serialize;
use sqlx::{Any, Row as _, Transaction};

use super::EnrolError;
use super::registry::{Claim, Registry};
use crate::db;

/// How long a re-proofing waits, and how rare it is; in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// From the notice to the first day on which it may go on.
    pub(super) wait: i64,
    /// After the wait, for as long as it may go on; and after a replacement, for as long as there is no other.
    pub(super) period: i64,
}

/// A notice that somebody was proofed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notice {
    /// When it may go on.
    pub(super) ready: UnixTime,
    /// Whether the holder of the old seed objected.
    pub(super) objected: bool,
}

/// The payload of a re-proofing's ledger entry; public commitment, secret salt.
#[derive(Serialize)]
struct Reproofing<'a> {
    enrolment: &'a Bytes32,
    pseudonym_key: Bytes32,
}

/// The ledger entry of a replacement, the same at every node. Who knows the subject and the enrolment finds it.
pub(super) fn entry(claim: &Claim) -> Entry {
    let salt = tagged_hash(
        "shp/v1/reproofing-salt",
        &[&claim.subject.0, &claim.enrolment.0],
    );
    let payload = Reproofing {
        enrolment: &claim.enrolment,
        pseudonym_key: Bytes32::from(*claim.pseudonym_key.as_bytes()),
    };
    Entry::new(EntryKind::Reproofing, &salt.into(), &payload)
}

fn key_text(claim: &Claim) -> String {
    Bytes32::from(*claim.pseudonym_key.as_bytes()).to_string()
}

impl Registry {
    /// Files a notice, or finds the enrolment's own; fine once its wait is over.
    pub(super) async fn await_reproofing(
        &self,
        mut transaction: Transaction<'static, Any>,
        claim: &Claim,
        now: UnixTime,
        terms: Terms,
    ) -> Result<(), EnrolError> {
        let subject = claim.subject.to_string();
        let lately = sqlx::query("SELECT until FROM reproofed WHERE subject_ref = $1")
            .bind(&subject)
            .fetch_optional(&mut *transaction)
            .await?;
        if lately.is_some_and(|row| row.get::<i64, _>(0) > now.0) {
            return Err(EnrolError::ReproofedLately);
        }
        let row = sqlx::query(
            "SELECT enrolment, pseudonym_key, ready, expires, objected FROM reproofing WHERE subject_ref = $1",
        )
        .bind(&subject)
        .fetch_optional(&mut *transaction)
        .await?;
        let live = row.filter(|row| row.get::<i64, _>(3) >= now.0);
        if let Some(row) = live {
            if row.get::<String, _>(0) != claim.enrolment.to_string() {
                return Err(EnrolError::Taken);
            }
            if row.get::<String, _>(1) != key_text(claim) {
                return Err(EnrolError::OtherPseudonym);
            }
            if row.get::<i64, _>(4) == 1 {
                return Err(EnrolError::Objected);
            }
            let ready = UnixTime(row.get(2));
            return match now < ready {
                true => Err(EnrolError::Waiting(ready)),
                false => Ok(()),
            };
        }
        let ready = UnixTime(now.0.saturating_add(terms.wait));
        sqlx::query(
            "INSERT INTO reproofing (subject_ref, enrolment, pseudonym_key, ready, expires, objected)
             VALUES ($1, $2, $3, $4, $5, 0)
             ON CONFLICT (subject_ref) DO UPDATE SET enrolment = excluded.enrolment, pseudonym_key = excluded.pseudonym_key,
                 ready = excluded.ready, expires = excluded.expires, objected = 0",
        )
        .bind(&subject)
        .bind(claim.enrolment.to_string())
        .bind(key_text(claim))
        .bind(ready.0)
        .bind(ready.0.saturating_add(terms.period))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        if now < ready {
            return Err(EnrolError::Waiting(ready));
        }
        Ok(())
    }

    /// Whether signing this claim would replace a registered key: its notice stands and its wait is over.
    pub(super) async fn replaces(&self, claim: &Claim, now: UnixTime) -> Result<bool, EnrolError> {
        let row = sqlx::query(
            "SELECT 1 FROM reproofing WHERE subject_ref = $1 AND enrolment = $2 AND pseudonym_key = $3
                 AND ready <= $4 AND expires >= $4 AND objected = 0",
        )
        .bind(claim.subject.to_string())
        .bind(claim.enrolment.to_string())
        .bind(key_text(claim))
        .bind(now.0)
        .fetch_optional(&self.0)
        .await?;
        Ok(row.is_some())
    }

    /// Puts the new pseudonym key in the place of the old one, once.
    pub(super) async fn replace(
        &self,
        claim: &Claim,
        now: UnixTime,
        until: UnixTime,
        terms: Terms,
    ) -> Result<(), EnrolError> {
        let subject = claim.subject.to_string();
        let mut transaction = db::begin_write(&self.0).await?;
        let taken = sqlx::query(
            "DELETE FROM reproofing WHERE subject_ref = $1 AND enrolment = $2 AND pseudonym_key = $3
                 AND ready <= $4 AND expires >= $4 AND objected = 0",
        )
        .bind(&subject)
        .bind(claim.enrolment.to_string())
        .bind(key_text(claim))
        .bind(now.0)
        .execute(&mut *transaction)
        .await?;
        if taken.rows_affected() != 1 {
            return Err(EnrolError::Taken);
        }
        sqlx::query(
            "UPDATE enrolment SET enrolment = $2, signed = 1, pseudonym_key = $3, held_until = $4
             WHERE subject_ref = $1",
        )
        .bind(&subject)
        .bind(claim.enrolment.to_string())
        .bind(key_text(claim))
        .bind(until.0)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT INTO reproofed (subject_ref, until) VALUES ($1, $2)
             ON CONFLICT (subject_ref) DO UPDATE SET until = excluded.until",
        )
        .bind(&subject)
        .bind(now.0.saturating_add(terms.period))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The notice that stands against a subject.
    pub(super) async fn notice(
        &self,
        subject: &Bytes32,
        now: UnixTime,
    ) -> Result<Option<Notice>, EnrolError> {
        let row = sqlx::query(
            "SELECT ready, objected FROM reproofing WHERE subject_ref = $1 AND expires >= $2",
        )
        .bind(subject.to_string())
        .bind(now.0)
        .fetch_optional(&self.0)
        .await?;
        Ok(row.map(|row| Notice {
            ready: UnixTime(row.get(0)),
            objected: row.get::<i64, _>(1) == 1,
        }))
    }

    /// Objects to the notice that stands against a subject, if one does.
    pub(super) async fn object(&self, subject: &Bytes32, now: UnixTime) -> Result<(), EnrolError> {
        sqlx::query("UPDATE reproofing SET objected = 1 WHERE subject_ref = $1 AND expires >= $2")
            .bind(subject.to_string())
            .bind(now.0)
            .execute(&self.0)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrol::registry::subject_ref;
    use contracts::group::{Point, hash_to_group};
    use curve25519_dalek::scalar::Scalar;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const DAY: i64 = 86_400;
    const TERMS: Terms = Terms {
        wait: 14 * DAY,
        period: 365 * DAY,
    };
    const YEAR: UnixTime = UnixTime(NOW.0 + 365 * DAY);

    fn at(days: i64) -> UnixTime {
        UnixTime(NOW.0 + days * DAY)
    }

    fn claim(enrolment: u8, replaces: bool) -> Claim {
        Claim {
            subject: subject_ref(&Scalar::from(7u8)),
            enrolment: [enrolment; 32].into(),
            pseudonym_key: Point::new(hash_to_group("shp/v1/test", &[enrolment])).unwrap(),
            replaces,
        }
    }

    /// A person who is enrolled as enrolment 1.
    async fn enrolled() -> (tempfile::TempDir, Registry) {
        let (dir, pool) = crate::attest::testing::database().await;
        let registry = Registry::open(pool).await.unwrap();
        let first = claim(1, false);
        registry.claim(&first, NOW, YEAR, TERMS).await.unwrap();
        registry.signing(&first, NOW, YEAR, TERMS).await.unwrap();
        (dir, registry)
    }

    #[tokio::test]
    async fn a_lost_seed_gets_a_new_key_after_the_wait_and_the_old_seed_is_refused_from_then_on() {
        let (_dir, registry) = enrolled().await;
        let (old, new) = (claim(1, false), claim(2, true));
        let waits = registry.claim(&new, NOW, YEAR, TERMS).await;
        assert!(matches!(waits, Err(EnrolError::Waiting(ready)) if ready == at(14)));
        let early = registry.signing(&new, at(13), YEAR, TERMS).await;
        assert!(
            matches!(early, Err(EnrolError::Taken)),
            "before the wait is over"
        );
        assert!(
            registry
                .is_current(&old.subject, &old.pseudonym_key)
                .await
                .unwrap()
        );

        registry.claim(&new, at(14), YEAR, TERMS).await.unwrap();
        // Died before signing: the old key still stands, and the same call goes on.
        assert!(
            registry
                .is_current(&old.subject, &old.pseudonym_key)
                .await
                .unwrap()
        );
        registry.claim(&new, at(14), YEAR, TERMS).await.unwrap();
        assert!(registry.replaces(&new, at(14)).await.unwrap());
        registry.signing(&new, at(14), YEAR, TERMS).await.unwrap();
        assert!(
            !registry
                .is_current(&old.subject, &old.pseudonym_key)
                .await
                .unwrap()
        );
        assert!(
            registry
                .is_current(&new.subject, &new.pseudonym_key)
                .await
                .unwrap()
        );
        // Died after it: again the same call goes on, and changes nothing.
        registry.claim(&new, at(14), YEAR, TERMS).await.unwrap();
        registry.signing(&new, at(14), YEAR, TERMS).await.unwrap();
        let back = registry.claim(&old, at(15), YEAR, TERMS).await;
        assert!(
            matches!(back, Err(EnrolError::Taken)),
            "the old seed does not come back"
        );
    }

    #[tokio::test]
    async fn re_proofing_twice_in_a_period_is_refused() {
        let (_dir, registry) = enrolled().await;
        let _ = registry.claim(&claim(2, true), NOW, YEAR, TERMS).await;
        registry
            .signing(&claim(2, true), at(14), at(400), TERMS)
            .await
            .unwrap();
        let again = registry
            .claim(&claim(3, true), at(100), at(400), TERMS)
            .await;
        assert!(matches!(again, Err(EnrolError::ReproofedLately)));
        let later = registry
            .claim(&claim(3, true), at(380), at(400), TERMS)
            .await;
        assert!(matches!(later, Err(EnrolError::Waiting(_))));
    }

    #[tokio::test]
    async fn who_holds_the_old_seed_stops_a_thief_who_knows_the_ssn() {
        let (_dir, registry) = enrolled().await;
        let (owner, thief) = (claim(1, false), claim(2, true));
        let _ = registry.claim(&thief, NOW, YEAR, TERMS).await;
        let notice = registry
            .notice(&owner.subject, at(3))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((notice.ready, notice.objected), (at(14), false));
        registry.object(&owner.subject, at(3)).await.unwrap();
        let stopped = registry.claim(&thief, at(14), YEAR, TERMS).await;
        assert!(matches!(stopped, Err(EnrolError::Objected)));
        let signed = registry.signing(&thief, at(14), YEAR, TERMS).await;
        assert!(matches!(signed, Err(EnrolError::Taken)));
        assert!(
            registry
                .is_current(&owner.subject, &owner.pseudonym_key)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn a_re_proofing_cannot_be_taken_over_or_swap_its_key_and_a_plain_enrolment_gets_nothing()
    {
        let (_dir, registry) = enrolled().await;
        let _ = registry.claim(&claim(2, true), NOW, YEAR, TERMS).await;
        let other = registry.claim(&claim(3, true), at(14), YEAR, TERMS).await;
        assert!(matches!(other, Err(EnrolError::Taken)));
        let swapped = Claim {
            pseudonym_key: claim(3, true).pseudonym_key,
            ..claim(2, true)
        };
        let swapped = registry.claim(&swapped, at(14), YEAR, TERMS).await;
        assert!(matches!(swapped, Err(EnrolError::OtherPseudonym)));
        let plain = registry.claim(&claim(3, false), at(14), YEAR, TERMS).await;
        assert!(matches!(plain, Err(EnrolError::Taken)));
    }
}
