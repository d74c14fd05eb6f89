//! Looking after one owner's consent: what changed becomes events, watches are granted, renewed before they expire and ended,
//! and the owner is told.

use std::collections::BTreeMap;

use contracts::encoding::{Bytes32, tagged_hash};
use contracts::ids::{Domain, NodeId};
use contracts::lifecycle::State;
use contracts::units::{Day, UnixTime};
use futures::future::join_all;
use oracles::problem::Problem;
use oracles::wire::watch::WatchedFact;

use super::{lets, poll};
use crate::notifier::{Params, Template, Text, UNVERIFIED};
use crate::oracle::{Granting, random32};
use crate::service::Service;
use crate::store::watch::{StoredConsent, StoredGrant, drop_consent, lock_consent};
use crate::store::{StoreError, StoredProfile};

/// Days before its end on which the owner is told that an agreement ends.
const TOLD_DAYS: i64 = 14;
/// Days for which an expired watch is kept: nodes that were not read in time may still tell of it.
const KEPT_DAYS: i64 = 30;
/// Longest wait after failures, in seconds: a node that is away for long costs one try a day.
const MAX_BACKOFF: i64 = 86_400;
/// Wait after a first failure, in seconds.
const FIRST_BACKOFF: i64 = 10;

/// Seconds until what failed so often in a row is tried again.
pub(super) fn backoff(failures: u32) -> i64 {
    (FIRST_BACKOFF << failures.min(14)).min(MAX_BACKOFF)
}

/// What came of looking after a domain.
struct Looked {
    /// When there is something to do again.
    next: Option<Day>,
    /// Whether a quorum watches.
    watched: bool,
    /// Whether some node has not done what it was asked.
    lacking: bool,
}

fn days_later(day: Day, days: i64) -> Result<Day, Problem> {
    day.plus(days).map_err(|_| Problem::internal())
}

impl Service {
    /// One step of what watches need; says whether there was anything to do.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn watch_next(&self, now: UnixTime, until: UnixTime) -> Result<bool, Problem> {
        // First, for there is always a node to be read soon, and a consent is due only when there is something to do.
        let Some(consent) = self.store.claim_consent(now, until).await? else {
            return self.read_next(now, until).await;
        };
        let minded = self.mind(&consent).await;
        let now = self.clock.now();
        let later = |seconds| UnixTime(now.0.saturating_add(seconds));
        let (next, failures) = match minded {
            Ok((next, false)) => {
                self.metrics.task("watch", "done");
                (next, 0)
            }
            Ok((next, true)) => {
                self.metrics.task("watch", "lacking");
                let again = later(backoff(consent.failures));
                (next.min(again), consent.failures.saturating_add(1))
            }
            Err(problem) => {
                let wait = backoff(consent.failures);
                tracing::warn!(
                    code = problem.code(),
                    detail = problem.detail.as_str(),
                    wait,
                    "an owner's watches could not be looked after; tried again"
                );
                self.metrics.task("watch", "failed");
                (later(wait), consent.failures.saturating_add(1))
            }
        };
        self.store.put_off_consent(&consent, next, failures).await?;
        Ok(true)
    }

    /// Says when there is something to do again, and whether something is lacking until then.
    async fn mind(&self, consent: &StoredConsent) -> Result<(UnixTime, bool), Problem> {
        let id = &consent.profile;
        let profile = self.store.profile(id).await?;
        let profile = profile.ok_or_else(Problem::internal)?;
        let today = self.clock.today();
        let mut next = days_later(today, 1)?.start();
        let fired = match self.watch.enabled {
            true => self.fire(&profile, consent).await,
            false => Ok(None),
        };
        let state = self.lifecycle_state(&profile).await?;
        let over = today > consent.until || consent.domains.is_empty() || state.died.is_some();
        let facts = match self.watch.enabled && !over && self.is_enrolled(&profile) {
            true => self.watched_facts(&state)?,
            false => BTreeMap::new(),
        };
        let grants = self.store.watch_grants(id).await?;
        let looking = Domain::ALL.map(|domain| {
            let facts = facts
                .get(&domain)
                .filter(|_| lets(consent, domain, today))
                .map(Vec::as_slice);
            self.look_after_watch(&profile, consent, domain, facts, &grants)
        });
        let (mut lacking, mut watched, mut days) = (false, false, Vec::new());
        let mut failure = None;
        for looked in join_all(looking).await {
            match looked {
                Ok(looked) => {
                    lacking |= looked.lacking;
                    watched |= looked.watched;
                    days.extend(looked.next);
                }
                Err(problem) => failure = Some(problem),
            }
        }
        lacking |= self
            .tell_of_watches(&profile, consent, &state, watched, over)
            .await?;
        // Events that wait, and domains that failed, keep nothing else from being done.
        let again = fired?;
        if let Some(problem) = failure {
            return Err(problem);
        }
        if over && !lacking {
            self.forget(consent).await?;
            return Ok((next, false));
        }
        days.push(days_later(consent.until, 1)?);
        if consent.told == BEGUN {
            days.push(days_later(consent.until, -TOLD_DAYS)?);
        }
        days.retain(|day| *day > today);
        if let Some(day) = days.into_iter().min() {
            next = day.start();
        }
        Ok((again.map_or(next, |again| again.min(next)), lacking))
    }

    /// Grants and ends the watches of a domain; `facts` are what is to be watched, if anything.
    async fn look_after_watch(
        &self,
        profile: &StoredProfile,
        consent: &StoredConsent,
        domain: Domain,
        facts: Option<&[WatchedFact]>,
        grants: &[StoredGrant],
    ) -> Result<Looked, Problem> {
        let today = self.clock.today();
        let mut looked = Looked {
            next: None,
            watched: false,
            lacking: false,
        };
        let (mut fitting, mut replaced) = (Vec::new(), Vec::new());
        for grant in grants.iter().filter(|grant| grant.domain == domain) {
            if days_later(grant.expires, KEPT_DAYS)? < today {
                self.store.forget_grant(&grant.watch).await?;
            } else if grant.ended || facts.is_none() {
                looked.lacking |= self.end_at_nodes(profile, grant).await?;
            } else if grant.expires >= today {
                let watched = self.attributes(grant)?;
                let wanted = facts.iter().copied().flatten();
                match wanted.map(|fact| &fact.attribute).eq(&watched) {
                    true => fitting.push(grant),
                    false => replaced.push(grant),
                }
            }
        }
        let Some(facts) = facts else {
            return Ok(looked);
        };
        let newest = fitting.into_iter().max_by_key(|grant| grant.expires);
        let handles_end = profile.handles_expire.unwrap_or(today);
        let expires = days_later(today, i64::from(self.watch.grant_days))?
            .min(consent.until)
            .min(handles_end);
        let renew = i64::from(self.watch.renew_days);
        let lasting = newest.filter(|grant| {
            grant.expires.number() - today.number() >= renew || grant.expires >= expires
        });
        let members = self.members(domain);
        let grant = match lasting {
            Some(grant) => grant.clone(),
            None => {
                self.new_watch(profile, domain, facts, expires, &members)
                    .await?
            }
        };
        let mut holders = grant.nodes.clone();
        if !members.iter().all(|node| holders.contains(node)) {
            holders = self.grant_at_nodes(profile, &grant, facts).await?;
            self.store.note_nodes(&grant.watch, false, &holders).await?;
        }
        // What an earlier watch of the same facts saw and has not told yet must not be lost, so it stays to its end.
        for grant in replaced {
            looked.lacking |= self.end_at_nodes(profile, grant).await?;
        }
        looked.lacking |= !members.iter().all(|node| holders.contains(node));
        looked.watched = true;
        if grant.expires < consent.until {
            let renewed = days_later(grant.expires, 1 - renew)?;
            looked.next = Some(renewed.max(days_later(today, 1)?));
        }
        Ok(looked)
    }

    /// Stores a new watch: its id is known before any node hears of it.
    async fn new_watch(
        &self,
        profile: &StoredProfile,
        domain: Domain,
        facts: &[WatchedFact],
        expires: Day,
        members: &[NodeId],
    ) -> Result<StoredGrant, Problem> {
        let (id, watch) = (profile.profile, random32());
        let attributes: Vec<_> = facts.iter().map(|fact| &fact.attribute).collect();
        let new = StoredGrant {
            watch,
            profile: id,
            domain,
            expires,
            ended: false,
            nodes: Vec::new(),
            sealed: self.seal_watch(&id, &format!("facts {watch}"), &attributes),
        };
        let tally = poll::silence(self, &id, domain);
        let now = self.clock.now();
        match self.store.insert_grant(&new, &tally, members, now).await? {
            true => Ok(new),
            false => Err(Problem::conflict(
                "watch-over",
                "the agreement was taken back meanwhile",
            )),
        }
    }

    async fn grant_at_nodes(
        &self,
        profile: &StoredProfile,
        grant: &StoredGrant,
        facts: &[WatchedFact],
    ) -> Result<Vec<NodeId>, Problem> {
        let domain = grant.domain;
        let wallet = self.wallet(profile)?;
        let authorisation = wallet.authorisation(domain, profile.registration)?;
        let handles = self.handles(profile, domain, &authorisation).await?;
        let granting = Granting {
            domain,
            watch: grant.watch,
            reader: self.reader(domain)?.public(),
            expires: grant.expires,
            facts,
            authorisation: &authorisation,
            handles: &handles,
        };
        let granted = self.oracles.grant_watch(&granting).await;
        let mut holders = granted.map_err(|error| {
            tracing::warn!(%domain, %error, "a watch was not granted");
            Problem::from(error)
        })?;
        holders.extend(&grant.nodes);
        holders.sort_unstable();
        holders.dedup();
        Ok(holders)
    }

    /// Has nodes forget a watch; says whether some have not.
    async fn end_at_nodes(
        &self,
        profile: &StoredProfile,
        grant: &StoredGrant,
    ) -> Result<bool, Problem> {
        let mut grant = grant.clone();
        if !grant.ended {
            let mut tx = self.store.begin().await?;
            grant.nodes = self.end(&mut tx, &grant).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
        let domain = grant.domain;
        let wallet = self.wallet(profile)?;
        let authorisation = wallet.authorisation(domain, profile.registration)?;
        let left = self
            .oracles
            .revoke_watch(domain, &grant.watch, &authorisation, &grant.nodes)
            .await?;
        match left.is_empty() {
            true => self.store.forget_grant(&grant.watch).await?,
            false => self.store.note_nodes(&grant.watch, true, &left).await?,
        }
        Ok(!left.is_empty() && grant.expires >= self.clock.today())
    }

    /// Nothing is left to be done for a consent that is over.
    async fn forget(&self, claimed: &StoredConsent) -> Result<(), Problem> {
        let mut tx = self.store.begin().await?;
        let now = lock_consent(&mut tx, &claimed.profile).await?;
        // The owner may have agreed anew meanwhile.
        if now.is_some_and(|now| (now.until, &now.domains) == (claimed.until, &claimed.domains)) {
            drop_consent(&mut tx, &claimed.profile).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
        Ok(())
    }

    /// Tells the owner that watching began, that it ends soon, and that it has ended; each once. Says whether that is still to be
    /// done: the phone is not verified.
    async fn tell_of_watches(
        &self,
        profile: &StoredProfile,
        consent: &StoredConsent,
        state: &State,
        watched: bool,
        over: bool,
    ) -> Result<bool, Problem> {
        if state.died.is_some() {
            return Ok(false);
        }
        let left = consent.until.number() - self.clock.today().number();
        let (told, template) = match consent.told.as_str() {
            // Who took it back knows.
            BEGUN | ENDING if over && !consent.domains.is_empty() => (ENDED, Template::WatchEnded),
            "" if watched => (BEGUN, Template::WatchBegins),
            BEGUN if watched && left <= TOLD_DAYS => (ENDING, Template::WatchEnding),
            _ => return Ok(false),
        };
        // A short one has its end in mind.
        let told = match told == BEGUN && left <= TOLD_DAYS {
            true => ENDING,
            false => told,
        };
        if let Some(contact) = &profile.contact {
            let until = consent.until.to_string();
            let parts = [&profile.profile.0[..], until.as_bytes(), told.as_bytes()];
            let key: Bytes32 = tagged_hash("shp/v1/watch-text", &parts).into();
            let text = Text {
                contact: contact.clone(),
                template,
                params: Params {
                    jurisdiction: state.home,
                    label: None,
                },
                decision_id: None,
                deadline: None,
                undo_seconds: None,
                idempotency_key: key.to_string(),
            };
            let now = self.clock.now();
            // What is to come is news until the day it comes.
            let since = match told == ENDED {
                true => consent.until.start(),
                false => now,
            };
            match self.notifier.tell(&text, since, now).await {
                Err(problem) if problem.code() == UNVERIFIED => return Ok(true),
                told => told?,
            }
        }
        self.store.told_of_watches(consent, told).await?;
        Ok(false)
    }
}

const BEGUN: &str = "begun";
const ENDING: &str = "ending";
const ENDED: &str = "ended";
