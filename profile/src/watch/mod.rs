//! Watches: an owner agrees, the service has each domain's committee watch the facts that eligibility turns on, and a change
//! that a quorum tells becomes an event of the lifecycle.
//!
//! A notice says that a fact changed, not what it is: what follows is the answer to the question that the event asks.

mod fire;
mod mind;
mod poll;

use std::collections::{BTreeMap, BTreeSet};

use contracts::catalogue::catalogue;
use contracts::encoding::{Bytes32, tagged_hash};
use contracts::ids::{AttributeId, Committee, Domain, NodeId};
use contracts::lifecycle::{State, meaning};
use contracts::units::Day;
use oracles::problem::Problem;
use oracles::wire::watch::{MAX_DAYS, WatchedFact};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::watches::{Agreement, WatchView, Watches};
use crate::enrol::not_enrolled;
use crate::lifecycle::not_watched;
use crate::oracle::Reader;
use crate::seal::SealKey;
use crate::service::Service;
use crate::store::watch::{
    StoredConsent, StoredGrant, end_grant, grants_of, lock_consent, put_consent,
};
use crate::store::{StoreError, StoredProfile, Tx};

impl Service {
    /// Seals what watches keep of a profile. It follows from the root, so that it opens after the operator key was replaced too,
    /// and without a wallet.
    fn watch_key(&self, profile: &Bytes32) -> SealKey {
        SealKey::new(self.root.derive("shp/v1/watch-records", &profile.0))
    }

    /// The key that reads a domain's watches.
    fn reader(&self, domain: Domain) -> Result<Reader, Problem> {
        let secret = self
            .root
            .derive("shp/v1/watch-reader", domain.as_str().as_bytes());
        Reader::new(secret).ok_or_else(Problem::internal)
    }

    fn seal_watch<T: Serialize>(&self, profile: &Bytes32, what: &str, value: &T) -> String {
        let text = serde_json::to_vec(value).expect("stored types are plain JSON");
        self.watch_key(profile)
            .seal(&[b"watch", what.as_bytes()], &text)
    }

    fn open_watch<T: DeserializeOwned>(
        &self,
        profile: &Bytes32,
        what: &str,
        sealed: &str,
    ) -> Result<T, Problem> {
        let key = self.watch_key(profile);
        let opened = key.open(&[b"watch", what.as_bytes()], sealed).ok();
        let value = opened.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        value.ok_or_else(|| {
            tracing::error!(what, "what a watch keeps does not open");
            Problem::internal()
        })
    }

    /// What a change of an attribute is kept under, once however often it is told.
    fn change_digest(&self, profile: &Bytes32, attribute: &AttributeId) -> Bytes32 {
        let parts = [&profile.0[..], attribute.0.as_bytes()];
        let named = tagged_hash("shp/v1/watch-change", &parts);
        Bytes32::from(*self.root.derive("shp/v1/watch-change", &named))
    }

    /// The attributes of a watch.
    fn attributes(&self, grant: &StoredGrant) -> Result<Vec<AttributeId>, Problem> {
        let what = format!("facts {}", grant.watch);
        self.open_watch(&grant.profile, &what, &grant.sealed)
    }

    /// Members of a domain's committee.
    fn members(&self, domain: Domain) -> Vec<NodeId> {
        self.oracles.committee(Committee::from(domain)).0
    }

    /// What to watch of a profile, by domain: the facts of the contract that its cover rests on and the state of residence, or
    /// what the configuration names.
    fn watched_facts(&self, state: &State) -> Result<BTreeMap<Domain, Vec<WatchedFact>>, Problem> {
        let mut named: BTreeSet<AttributeId> = self.watch.attributes.iter().cloned().collect();
        if named.is_empty() {
            let compiled = contracts::rules::registry()
                .compile(&state.contract, &state.home, self.clock.today())
                .map_err(|error| crate::question::rule_problem(&error))?;
            named.extend(compiled.facts.into_iter().map(|fact| fact.attribute));
            named.insert(RESIDENCE.into());
        }
        let mut facts: BTreeMap<Domain, Vec<WatchedFact>> = BTreeMap::new();
        for id in named.iter().filter(|id| meaning(id).is_some()) {
            let attribute = catalogue().get(id).ok_or_else(Problem::internal)?;
            let fact = WatchedFact::new(attribute.id.clone(), attribute.period);
            facts.entry(attribute.domain).or_default().push(fact);
        }
        Ok(facts)
    }

    /// What the owner agreed to, and every watch that follows from it.
    ///
    /// # Errors
    /// The store's.
    pub async fn watches(&self, profile: &StoredProfile) -> Result<Watches, Problem> {
        let id = &profile.profile;
        let consent = self.store.consent(id).await?;
        let today = self.clock.today();
        let mut watches = Vec::new();
        for grant in self.store.watch_grants(id).await? {
            if grant.expires < today {
                continue;
            }
            watches.push(WatchView {
                watch: grant.watch,
                domain: grant.domain,
                attributes: self.attributes(&grant)?,
                expires: grant.expires,
                ended: grant.ended,
                nodes: grant.nodes,
            });
        }
        Ok(Watches {
            agreed: consent
                .filter(|it| !it.domains.is_empty())
                .map(|consent| Agreement {
                    domains: consent.domains,
                    until: consent.until,
                }),
            watches,
        })
    }

    /// Takes the owner's agreement, in place of an earlier one. What it leaves out ends.
    ///
    /// # Errors
    /// 400 for a day out of bounds or a domain twice; 409 where nothing is watched, the profile is not enrolled, or its cover is
    /// not looked after.
    pub async fn agree_to_watches(
        &self,
        profile: &StoredProfile,
        agreed: &Agreement,
    ) -> Result<(), Problem> {
        if !self.watch.enabled {
            return Err(Problem::conflict(
                "watches-off",
                "this service watches nothing: its operator sets [watch] enabled",
            ));
        }
        if !self.is_enrolled(profile) {
            return Err(not_enrolled());
        }
        let today = self.clock.today();
        let days = agreed.until.number() - today.number();
        if !(0..=MAX_DAYS).contains(&days) {
            return Err(Problem::bad_request(format!(
                "until: today or a day within {MAX_DAYS} days"
            )));
        }
        let domains: BTreeSet<Domain> = agreed.domains.iter().copied().collect();
        if domains.is_empty() || domains.len() != agreed.domains.len() {
            return Err(Problem::bad_request(
                "domains: one or more of identity, residence, income, household and medical, each once",
            ));
        }
        let id = &profile.profile;
        let stored = self.store.lifecycle(id).await?;
        stored.ok_or_else(not_watched)?;
        let ends =
            |grant: &StoredGrant| !domains.contains(&grant.domain) || grant.expires > agreed.until;
        self.change_agreement(
            id,
            |_| Some((domains.iter().copied().collect(), agreed.until)),
            ends,
        )
        .await
    }

    /// Takes the agreement back: of one watch's domain, or all of it. From here on nothing that nodes tell of it counts.
    ///
    /// # Errors
    /// 404 for a watch that is not this profile's.
    pub async fn end_watches(
        &self,
        profile: &StoredProfile,
        watch: Option<&Bytes32>,
    ) -> Result<(), Problem> {
        let id = &profile.profile;
        let grants = self.store.watch_grants(id).await?;
        let named = grants.iter().find(|grant| Some(&grant.watch) == watch);
        if watch.is_some() && named.is_none() {
            return Err(Problem::not_found("no such watch of this profile"));
        }
        let over = |domain: Domain| named.is_none_or(|grant| grant.domain == domain);
        let left = |consent: Option<StoredConsent>| {
            let StoredConsent { domains, until, .. } = consent?;
            let left = domains.into_iter().filter(|domain| !over(*domain));
            Some((left.collect(), until))
        };
        self.change_agreement(id, left, |grant| over(grant.domain))
            .await
    }

    /// Writes down what `next` makes of the agreement as it stands, and ends the watches that `ends` names; nothing where there is
    /// none to change.
    async fn change_agreement(
        &self,
        id: &Bytes32,
        next: impl FnOnce(Option<StoredConsent>) -> Option<(Vec<Domain>, Day)>,
        ends: impl Fn(&StoredGrant) -> bool,
    ) -> Result<(), Problem> {
        let mut tx = self.store.begin().await?;
        // Read under its lock: what another call has just taken back stays taken back.
        let Some((domains, until)) = next(lock_consent(&mut tx, id).await?) else {
            return Ok(());
        };
        for grant in grants_of(&mut tx, id).await? {
            if !grant.ended && ends(&grant) {
                self.end(&mut tx, &grant).await?;
            }
        }
        put_consent(&mut tx, id, &domains, until, self.clock.now()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Ends a watch for its owner. Members that never answered may hold it too.
    async fn end(&self, tx: &mut Tx, grant: &StoredGrant) -> Result<Vec<NodeId>, Problem> {
        let mut nodes: BTreeSet<NodeId> = grant.nodes.iter().copied().collect();
        nodes.extend(self.members(grant.domain));
        let nodes: Vec<NodeId> = nodes.into_iter().collect();
        end_grant(tx, &grant.watch, &nodes).await?;
        Ok(nodes)
    }
}

/// Where somebody lives.
const RESIDENCE: &str = "residence.state";

/// Whether a consent lets a domain be watched on a day.
fn lets(consent: &StoredConsent, domain: Domain, today: Day) -> bool {
    today <= consent.until && consent.domains.contains(&domain)
}
