//! Whom a text asks or tells, and whether what a representative replied counts.

use contracts::application::{Answer, Approval};
use contracts::encoding::Bytes32;
use contracts::representation::Representation;
use contracts::units::UnixTime;
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Label, Purpose, Terms, Void};
use crate::notifier::{Reply, Template};
use crate::service::Service;
use crate::store::audit::NewAudit;
use crate::store::grants::{StoredGrant, hold_grant, put_use, settle_use, use_of};
use crate::store::{StoredProfile, Tx};

/// Whom a text goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// The notifier's handle of the phone.
    pub(crate) contact: String,
    /// The grant of the representative whose phone it is; none where it is the owner's.
    pub(crate) grant: Option<Bytes32>,
}

impl Asked {
    /// The words for whom is asked.
    pub(crate) fn template(&self, template: Template) -> Template {
        match self.grant {
            Some(_) => template.of_a_representative(),
            None => template,
        }
    }
}

/// What became of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It counts, as the owner's own.
    Owners,
    /// It counts, as a representative's.
    By(Bytes32),
    /// It counts for nothing.
    Void(Void),
}

/// 409: nobody is left who could be asked.
fn nobody() -> Problem {
    Problem::conflict(
        "nobody-to-ask",
        "the owner has no phone, and no representative's grant is in force for this: record a grant (42 CFR 435.923)",
    )
}

impl Service {
    /// Those who may act for an owner for a purpose today, latest grant first.
    async fn acting(
        &self,
        profile: &StoredProfile,
        purpose: Purpose,
    ) -> Result<Vec<(StoredGrant, Terms)>, Problem> {
        let today = self.clock.today();
        let mut acting = Vec::new();
        for stored in self.store.grants(&profile.profile).await? {
            if !stored.standing.is_live() {
                continue;
            }
            let terms = self.grant_terms(profile, &stored)?;
            let permits = terms.permits(stored.standing, purpose, today, today);
            if permits.is_ok() && self.store.standing(&terms.contact).await?.reachable() {
                acting.push((stored, terms));
            }
        }
        Ok(acting)
    }

    /// Whom to ask: a representative whose grant is for it, else the owner.
    ///
    /// # Errors
    /// 409 `nobody-to-ask`.
    pub(crate) async fn asked(
        &self,
        profile: &StoredProfile,
        purpose: Purpose,
    ) -> Result<Asked, Problem> {
        if let Some((stored, terms)) = self.acting(profile, purpose).await?.into_iter().next() {
            return Ok(Asked {
                contact: terms.contact,
                grant: Some(stored.grant),
            });
        }
        let contact = profile.contact.clone().ok_or_else(nobody)?;
        let grant = None;
        Ok(Asked { contact, grant })
    }

    /// What whoever is asked knows the owner by; none for the owner.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn label_for(
        &self,
        profile: &StoredProfile,
        asked: &Asked,
    ) -> Result<Option<Label>, Problem> {
        let Some(grant) = &asked.grant else {
            return Ok(None);
        };
        let stored = self.store.grant(grant).await?;
        let stored = stored.ok_or_else(Problem::internal)?;
        Ok(self.grant_terms(profile, &stored)?.label)
    }

    /// Those who are told what the owner is told: grant, contact, and what they know the owner by.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn told_too(
        &self,
        profile: &StoredProfile,
    ) -> Result<Vec<(Bytes32, String, Option<Label>)>, Problem> {
        let acting = self.acting(profile, Purpose::Notice).await?;
        let told = acting.into_iter();
        Ok(told
            .map(|(stored, terms)| (stored.grant, terms.contact, terms.label))
            .collect())
    }

    /// Notes under which grant a decision is asked about, before the text leaves.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn note_asked(
        &self,
        tx: &mut Tx,
        decision: &Bytes32,
        asked: &Asked,
        purpose: Purpose,
    ) -> Result<(), Problem> {
        if let Some(grant) = &asked.grant {
            put_use(tx, decision, grant, purpose, self.clock.now()).await?;
        }
        Ok(())
    }

    /// Whether a reply counts, in the transaction that uses it: a grant that is revoked afterwards was in force, and one that is
    /// being revoked is waited for. Every use is noted, with an audit event.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn settle_reply(
        &self,
        tx: &mut Tx,
        profile: &StoredProfile,
        decision: &Bytes32,
        reply: &Reply,
    ) -> Result<Settled, Problem> {
        let Some(used) = use_of(tx, decision).await? else {
            return Ok(Settled::Owners);
        };
        if let Some(outcome) = &used.outcome {
            // Taken before, by a process that did not live to store what follows.
            return Ok(Void::parse(outcome).map_or(Settled::By(used.grant), Settled::Void));
        }
        let now = self.clock.now();
        let held = hold_grant(tx, &used.grant, now).await?;
        let held = held.ok_or_else(Problem::internal)?;
        let replied = match reply {
            Reply::Answered(approval) => approval.replied_at,
            _ => now,
        };
        let permitted = self.permitted(profile, &held, &used.purpose, replied)?;
        let (outcome, settled) = match (permitted, reply) {
            (Err(void), _) => (void.code(), Settled::Void(void)),
            (Ok(()), Reply::Answered(approval)) => match approval.answer {
                Answer::Yes => ("yes", Settled::By(used.grant)),
                Answer::No => ("no", Settled::By(used.grant)),
            },
            (Ok(()), _) => ("closed", Settled::By(used.grant)),
        };
        settle_use(tx, decision, outcome, now).await?;
        let status = match settled {
            Settled::Void(_) => 409,
            _ => 200,
        };
        let event = NewAudit {
            at: now,
            kind: "representative",
            who: &used.grant.to_string(),
            method: "TEXT",
            route: "/v1/questions/{question}/reply",
            status,
        };
        crate::store::audit::put_audit(tx, &event).await?;
        Ok(settled)
    }

    fn permitted(
        &self,
        profile: &StoredProfile,
        grant: &StoredGrant,
        purpose: &str,
        replied: UnixTime,
    ) -> Result<Result<(), Void>, Problem> {
        let purpose = match purpose {
            "change" => Purpose::Change,
            "gap" => Purpose::Gap,
            _ => Purpose::Apply,
        };
        let terms = self.grant_terms(profile, grant)?;
        let day = replied.day().map_err(|_| Problem::internal())?;
        Ok(terms.permits(grant.standing, purpose, day, self.clock.today()))
    }

    /// What an agency is told of who gave an approval; none where it was the owner.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn representation(
        &self,
        profile: &StoredProfile,
        approval: &Approval,
    ) -> Result<Option<Representation>, Problem> {
        let Some(used) = self.store.grant_use(&approval.decision_id).await? else {
            return Ok(None);
        };
        let stored = self.store.grant(&used.grant).await?;
        let stored = stored.ok_or_else(Problem::internal)?;
        let terms = self.grant_terms(profile, &stored)?;
        let grant = terms.digest(&profile.profile);
        let digest = Representation::digest(approval, terms.basis, &grant);
        let key = self.wallet(profile)?.representative(stored.key_index)?;
        Ok(Some(Representation {
            key: key.x_only(),
            basis: terms.basis,
            grant,
            signature: key.sign(&digest),
        }))
    }
}
