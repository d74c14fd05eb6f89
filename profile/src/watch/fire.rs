//! From a change that a quorum told to an event of the lifecycle, in one transaction: once, whoever dies when.

use std::collections::BTreeSet;

use contracts::catalogue::catalogue;
use contracts::encoding::Bytes32;
use contracts::ids::{AttributeId, Domain, Jurisdiction};
use contracts::lifecycle::{Change, Event, Meaning, meaning};
use contracts::rules::registry;
use contracts::units::UnixTime;
use oracles::problem::Problem;

use super::{RESIDENCE, lets};
use crate::lifecycle::agency_of;
use crate::oracle::random32;
use crate::service::Service;
use crate::stock::{Buyer, Order};
use crate::store::watch::{StoredChange, StoredConsent, lock_consent, note_fired, take_change};
use crate::store::{Pair, StoreError, StoredProfile, stock};

/// The contract that a state of residence is read for after it changed.
const MOVED: &str = "event.address-changed";
/// Seconds for which the new state is looked for where sources do not agree on it yet: ten days.
const LOOKED_FOR: i64 = 10 * 86_400;
/// Seconds between two looks.
const LOOK_EVERY: i64 = 6 * 3_600;

/// What becomes of a change.
enum Becomes {
    Event(Change),
    Nothing,
    /// It waits for the sources.
    Waits,
}

impl Service {
    /// Turns a profile's changes into events, those of one pause together. Says when to look again, where some wait.
    pub(super) async fn fire(
        &self,
        profile: &StoredProfile,
        consent: &StoredConsent,
    ) -> Result<Option<UnixTime>, Problem> {
        let changes = self.store.changes(&profile.profile).await?;
        if changes.is_empty() {
            return Ok(None);
        }
        let now = self.clock.now();
        let pause = i64::from(self.watch.pause_seconds);
        let from = UnixTime(consent.fired_at.0.saturating_add(pause));
        if from > now {
            return Ok(Some(from));
        }
        let mut settled: Vec<(Domain, &StoredChange, Option<Change>)> = Vec::new();
        let mut again = None;
        for change in &changes {
            let attribute = self.changed(&profile.profile, change)?;
            let domain = catalogue().get(&attribute).ok_or_else(Problem::internal)?;
            let domain = domain.domain;
            match self.becomes(profile, &attribute, change.since).await? {
                Becomes::Event(event) => settled.push((domain, change, Some(event))),
                Becomes::Nothing => settled.push((domain, change, None)),
                Becomes::Waits => again = Some(UnixTime(now.0 + LOOK_EVERY)),
            }
        }
        self.take_settled(profile, settled).await?;
        Ok(again)
    }

    fn changed(&self, profile: &Bytes32, change: &StoredChange) -> Result<AttributeId, Problem> {
        let what = format!("change {}", change.digest);
        self.open_watch(profile, &what, &change.sealed)
    }

    async fn take_settled(
        &self,
        profile: &StoredProfile,
        settled: Vec<(Domain, &StoredChange, Option<Change>)>,
    ) -> Result<(), Problem> {
        let (id, today) = (&profile.profile, self.clock.today());
        let mut tx = self.store.begin().await?;
        // What the owner has taken back meanwhile does not count.
        let Some(consent) = lock_consent(&mut tx, id).await? else {
            return Ok(());
        };
        let mut watched = BTreeSet::new();
        let mut moved = None;
        for (domain, told, change) in settled {
            if !take_change(&mut tx, id, told).await? || !lets(&consent, domain, today) {
                continue;
            }
            match change {
                Some(Change::Watched { what }) => {
                    watched.insert(what);
                }
                other => moved = other.or(moved),
            }
        }
        let watched = watched.into_iter().map(|what| Change::Watched { what });
        // A move asks about all facts anew, so it comes last.
        let events: Vec<Change> = watched.chain(moved).collect();
        for change in &events {
            let source = format!("watch {}", random32());
            let event = Event::Changed { change: *change };
            self.take(&mut tx, profile, &source, &event).await?;
        }
        if !events.is_empty() {
            note_fired(&mut tx, id, self.clock.now()).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    async fn becomes(
        &self,
        profile: &StoredProfile,
        attribute: &AttributeId,
        since: UnixTime,
    ) -> Result<Becomes, Problem> {
        Ok(match meaning(attribute) {
            None => Becomes::Nothing,
            Some(Meaning::Changed(what)) => Becomes::Event(Change::Watched { what }),
            Some(Meaning::Moved) => match self.residence(profile).await.unwrap_or_else(|problem| {
                tracing::warn!(
                    code = problem.code(),
                    "where an owner lives was not attested"
                );
                None
            }) {
                Some(to) if to == self.lifecycle_state(profile).await?.home => Becomes::Nothing,
                Some(to) => Becomes::Event(Change::Moved { to }),
                None if self.clock.now().0 - since.0 > LOOKED_FOR => {
                    tracing::warn!("sources do not agree on where an owner lives");
                    Becomes::Nothing
                }
                None => Becomes::Waits,
            },
        })
    }

    /// The state of residence as its committee attests it now; none where it is not known. The leaves are bought for the
    /// contract about a change of address and shown to nobody.
    async fn residence(&self, profile: &StoredProfile) -> Result<Option<Jurisdiction>, Problem> {
        let home = self.lifecycle_state(profile).await?.home;
        let today = self.clock.today();
        let compiled = registry()
            .compile(MOVED, &home, today)
            .map_err(|error| crate::question::rule_problem(&error))?;
        let of_residence = compiled
            .facts
            .iter()
            .filter(|fact| fact.attribute.0 == RESIDENCE);
        let facts: Vec<_> = of_residence.collect();
        let pair = Pair {
            contract: compiled.contract.clone(),
            jurisdiction: home,
            audience: agency_of(self, home)?.audience().to_owned(),
            withhold: Vec::new(),
        };
        let wallet = self.wallet(profile)?;
        let buyer = Buyer {
            service: self,
            profile,
            wallet: &wallet,
        };
        let order = Order {
            domain: Domain::Residence,
            facts: &facts,
            pair: &pair,
            others: &[],
            question: None,
        };
        // What was held says where the owner lived.
        self.discard_residence(profile).await?;
        buyer.buy(&order).await?;
        let (hash, audience) = (&pair.contract.hash, &pair.audience);
        let leaves = self.store.in_stock(&profile.profile, hash, audience, today);
        let mut state = None;
        for stored in leaves.await? {
            let leaf = &stored.attestation.leaf;
            if stored.withheld || leaf.attribute.0 != RESIDENCE || leaf.period.end != today {
                continue;
            }
            let opening = buyer.open(&stored)?.opening;
            if opening.known {
                state = Jurisdiction::all().find(|it| i64::from(it.fips()) == opening.value);
                break;
            }
        }
        self.discard_residence(profile).await?;
        Ok(state)
    }

    async fn discard_residence(&self, profile: &StoredProfile) -> Result<(), Problem> {
        let mut tx = self.store.begin().await?;
        stock::discard(&mut tx, &profile.profile.to_string(), Domain::Residence).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}
