//! Buying leaves ahead, in the background: one worker, one domain of one profile at a time, from rows that outlive it.
//!
//! A question that used leaves up has its domains looked after some hours later, at an instant drawn at random, so that
//! the request does not follow the presentation in time. From then on they are looked after daily: whatever a contract
//! that the owner asked of late would lack soon is bought before it is asked again.

use std::time::Duration;

use actix_web::web;
use contracts::ids::Domain;
use contracts::presentation::AudienceKind;
use contracts::rules::{Compiled, Fact, registry};
use contracts::units::UnixTime;
use oracles::problem::Problem;
use rand_core::{OsRng, RngCore};

use super::{Buyer, Expected, Order};
use crate::config::StockConfig;
use crate::question::{domain_of, refuse};
use crate::service::Service;
use crate::store::{Due, Pair, StoreError, StoredProfile};

/// Seconds for which what was asked lets the same be expected again: 90 days.
const EXPECTED: i64 = 90 * 86_400;
/// Questions that are looked at for it.
const QUESTIONS: u32 = 64;
/// Pairs of contract and audience that a stock is kept for.
const PAIRS: usize = 8;
/// Seconds for which a worker has a domain to itself: more than its bounded calls take.
const HOLD: i64 = 900;
/// Domains looked after in one round.
const ROUND: usize = 16;
/// Seconds between two looks at a domain that has all it needs.
const DAILY: i64 = 86_400;
/// Days before its expiry from which a leaf counts as gone.
const MARGIN_DAYS: i64 = 1;
/// Longest wait after failures, in seconds.
const MAX_BACKOFF: i64 = 6 * 3_600;

/// Looks after the stocks until the service ends.
pub(crate) async fn run(service: web::Data<Service>) {
    let interval = Duration::from_millis(service.stock.interval_ms);
    loop {
        tokio::time::sleep(interval).await;
        if let Err(error) = service.look_after_stocks().await {
            tracing::error!(%error, "the stock could not be looked after");
        }
    }
}

impl StockConfig {
    /// When the stock is looked after that a question has just used up from.
    pub(crate) fn due_after(&self, now: UnixTime) -> UnixTime {
        let delay = i64::from(self.delay_seconds);
        let drawn = i64::from(OsRng.next_u32()) % delay.max(1);
        UnixTime(now.0.saturating_add(delay + drawn))
    }
}

impl Service {
    /// One bounded round: drops what has expired, then looks after what is due.
    async fn look_after_stocks(&self) -> Result<(), StoreError> {
        let dropped = self.store.expire(self.clock.today()).await?;
        if dropped > 0 {
            tracing::info!(dropped, "leaves expired unused");
        }
        for _ in 0..ROUND {
            let now = self.clock.now();
            let Some(mut due) = self.store.claim_due(now, UnixTime(now.0 + HOLD)).await? else {
                break;
            };
            let next = match self.look_after(&due).await {
                Ok(true) => {
                    due.failures = 0;
                    Some(UnixTime(now.0 + DAILY))
                }
                Ok(false) => None,
                Err(problem) => {
                    let wait = (60_i64 << due.failures.min(10)).min(MAX_BACKOFF);
                    due.failures = due.failures.saturating_add(1);
                    tracing::warn!(domain = %due.domain, code = problem.code(), wait, "leaves were not bought");
                    Some(UnixTime(now.0 + wait))
                }
            };
            self.store.settle(&due, next).await?;
        }
        Ok(())
    }

    /// Buys what one domain of one profile would soon lack; tells whether anything is expected to be asked of it.
    async fn look_after(&self, due: &Due) -> Result<bool, Problem> {
        let profile = self.store.profile(&due.profile).await?;
        let Some(profile) = profile.filter(|profile| self.is_enrolled(profile)) else {
            return Ok(false);
        };
        let expected = self.asked_of_late(&due.profile).await?;
        let mut any = false;
        for at in 0..expected.len() {
            let Some(one) = expected.get(at) else { break };
            let mut facts = Vec::new();
            for fact in &one.facts {
                if domain_of(fact)? == due.domain {
                    facts.push(fact);
                }
            }
            any |= !facts.is_empty();
            if self.lacks(due, &one.pair, &facts).await? {
                let others: Vec<Expected> = expected
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != at)
                    .map(|(_, other)| other.clone())
                    .collect();
                self.buy_ahead(&profile, due.domain, &one.pair, &facts, &others)
                    .await?;
            }
        }
        Ok(any)
    }

    /// Whether a fact of the pair is below the mark.
    async fn lacks(&self, due: &Due, pair: &Pair, facts: &[&Fact]) -> Result<bool, Problem> {
        let on = self.clock.today().plus(MARGIN_DAYS);
        let on = on.map_err(|_| Problem::internal())?;
        for fact in facts {
            let level = self
                .store
                .level(&due.profile, pair, &fact.attribute, fact.period, on)
                .await?;
            if level < self.stock.low_water {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn buy_ahead(
        &self,
        profile: &StoredProfile,
        domain: Domain,
        pair: &Pair,
        facts: &[&Fact],
        others: &[Expected],
    ) -> Result<(), Problem> {
        let wallet = self.wallet(profile)?;
        let buyer = Buyer {
            service: self,
            profile,
            wallet: &wallet,
        };
        let order = Order {
            domain,
            facts,
            pair,
            others,
            question: None,
        };
        buyer.buy(&order).await
    }

    /// What the owner asked of late, with the facts it would need today, latest first.
    async fn asked_of_late(
        &self,
        profile: &contracts::encoding::Bytes32,
    ) -> Result<Vec<Expected>, Problem> {
        let since = UnixTime(self.clock.now().0 - EXPECTED);
        let pairs = self.store.pairs(profile, since, QUESTIONS).await?;
        let refused = self.refused(profile).await?;
        Ok(pairs
            .into_iter()
            .filter_map(|pair| {
                // A contract may have ended or changed since: then it is bought for as it is today, or no more.
                let compiled = self.today(&pair)?;
                let mut withhold = pair.withhold.clone();
                refuse(&refused, &compiled, &mut withhold).ok()?;
                Some(Expected {
                    pair: Pair {
                        contract: compiled.contract.clone(),
                        withhold,
                        ..pair
                    },
                    facts: compiled.facts,
                })
            })
            .take(PAIRS)
            .collect())
    }

    fn today(&self, pair: &Pair) -> Option<Compiled> {
        registry()
            .compile(&pair.contract.id, &pair.jurisdiction, self.clock.today())
            .ok()
    }

    /// For whom leaves may be bought beside a pair's own: what the owner asked of late, then the same contract for other
    /// audiences of the same kind, in the order of the configuration.
    pub(crate) async fn expected(
        &self,
        profile: &contracts::encoding::Bytes32,
        pair: &Pair,
    ) -> Result<Vec<Expected>, Problem> {
        let mut expected = self.asked_of_late(profile).await?;
        let same =
            |a: &Pair, b: &Pair| (&a.contract.id, &a.audience) == (&b.contract.id, &b.audience);
        expected.retain(|other| !same(&other.pair, pair));
        let kind = self.kind(&pair.audience);
        let Some(compiled) = self.today(pair) else {
            return Ok(expected);
        };
        for audience in self.audiences(kind) {
            let other = Pair {
                audience: audience.to_owned(),
                ..pair.clone()
            };
            if audience != pair.audience && !expected.iter().any(|known| same(&known.pair, &other))
            {
                expected.push(Expected {
                    pair: other,
                    facts: compiled.facts.clone(),
                });
            }
        }
        Ok(expected)
    }

    /// The configured audiences of a kind, in order.
    fn audiences(&self, kind: Option<AudienceKind>) -> impl Iterator<Item = &str> {
        let agencies = self
            .agencies
            .iter()
            .map(|agency| (agency.audience(), AudienceKind::Agency));
        let others = self
            .enquiries
            .iter()
            .map(|entry| (entry.audience.as_str(), entry.kind));
        agencies
            .chain(others)
            .filter(move |(_, of)| Some(*of) == kind)
            .map(|(audience, _)| audience)
    }
}
