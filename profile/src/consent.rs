//! Consent per source: which committees' sources may be read for an owner, until when, and what a withdrawal does.
//!
//! At enrolment consent is in the claims, sealed to the identity committee, which puts no source keys into the handle of a domain
//! without it. What the owner says later is kept here: facts of a domain without consent are asked for as withheld, which reads no
//! source and looks like any other request.

use std::collections::BTreeSet;

use contracts::catalogue::catalogue;
use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, Domain};
use contracts::leaf::PERSON;
use contracts::units::{Day, UnixTime};
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::service::Service;
use crate::store::consents::{StoredConsent, forget, lock_consents, put_consent};
use crate::store::{StoreError, StoredProfile};

/// Body of `PUT /v1/profiles/{profile}/consents/{domain}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveConsent {
    /// Last day; none until it is withdrawn or the handles expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub until: Option<Day>,
}

/// Whether a domain's sources may be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// `identity`, `residence`, `income`, `household` or `medical`.
    #[schema(value_type = String)]
    pub domain: Domain,
    /// Whose records are read, as the operator names them.
    pub sources: Vec<String>,
    /// What is read.
    pub reads: Vec<Read>,
    /// Whether they may be read today, as far as the owner has said since enrolment.
    pub given: bool,
    /// The last day, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub until: Option<Day>,
    /// When it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub withdrawn_at: Option<UnixTime>,
}

/// A fact that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Such as `income.magi_monthly`.
    #[schema(value_type = String)]
    pub attribute: AttributeId,
    /// What it is.
    pub title: String,
}

/// Answer of `GET /v1/profiles/{profile}/consents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentList {
    /// One for each domain.
    pub consents: Vec<Consent>,
}

impl Service {
    /// Domains whose sources may not be read today.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn refused(&self, profile: &Bytes32) -> Result<BTreeSet<Domain>, Problem> {
        let said = self.store.consents(profile).await?;
        Ok(without(&said, self.clock.today()))
    }

    /// What is read of whom, and whether it may be.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn consent_list(
        &self,
        profile: &StoredProfile,
    ) -> Result<ConsentList, Problem> {
        let said = self.store.consents(&profile.profile).await?;
        let today = self.clock.today();
        let consents = Domain::ALL.into_iter().map(|domain| {
            let known = said.iter().find(|consent| consent.domain == domain);
            let sources = self.sources.iter().filter(|source| source.domain == domain);
            let reads = catalogue().iter().filter(|it| it.domain == domain);
            Consent {
                domain,
                sources: sources.map(|source| source.name.clone()).collect(),
                reads: reads
                    .map(|it| Read {
                        attribute: it.id.clone(),
                        title: it.title.clone(),
                    })
                    .collect(),
                given: known.is_none_or(|consent| consent.holds(today)),
                until: known.and_then(|consent| consent.until),
                withdrawn_at: known.and_then(|consent| consent.withdrawn_at),
            }
        });
        Ok(ConsentList {
            consents: consents.collect(),
        })
    }

    /// Gives consent, or withdraws it: then what was read and shown to nobody is dropped.
    ///
    /// # Errors
    /// 400 for a day that is over.
    pub(crate) async fn consent(
        &self,
        profile: &StoredProfile,
        domain: Domain,
        given: Option<&GiveConsent>,
    ) -> Result<ConsentList, Problem> {
        let until = given.and_then(|given| given.until);
        if until.is_some_and(|until| until < self.clock.today()) {
            return Err(Problem::bad_request("until: today or later"));
        }
        let consent = StoredConsent {
            domain,
            until,
            withdrawn_at: given.is_none().then(|| self.clock.now()),
        };
        let mut tx = self.store.begin().await?;
        lock_consents(&mut tx, &profile.profile).await?;
        put_consent(&mut tx, &profile.profile, &consent).await?;
        if given.is_none() {
            forget(&mut tx, &profile.profile, domain).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        tracing::info!(%domain, given = given.is_some(), "consent changed");
        self.consent_list(profile).await
    }
}

/// Domains without consent on a day.
pub(crate) fn without(said: &[StoredConsent], today: Day) -> BTreeSet<Domain> {
    let refused = said.iter().filter(|consent| !consent.holds(today));
    refused.map(|consent| consent.domain).collect()
}

/// Whether a fact may not be read of a domain without consent: `identity.person` is read of no source.
pub(crate) fn is_refused(
    refused: &BTreeSet<Domain>,
    domain: Domain,
    attribute: &AttributeId,
) -> bool {
    refused.contains(&domain) && attribute.0 != PERSON
}
