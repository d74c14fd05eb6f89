//! `asked → attested`: each domain's committee attests the contract's facts; what one attests is stored at once, so that
//! a failure of another costs nothing.

use std::collections::BTreeMap;

use contracts::catalogue::catalogue;
use contracts::encoding::Bytes32;
use contracts::ids::Domain;
use contracts::issuance::Opening;
use contracts::presentation::Held;
use contracts::rules::{Compiled, Fact};
use curve25519_dalek::scalar::Scalar;
use futures::future::join_all;
use oracles::problem::Problem;
use zeroize::Zeroizing;

use super::Work;
use crate::api::types::State;
use crate::oracle::{OracleError, Owner, Wanted};
use crate::store::{Fetched, StoreError, StoredLeaf, facts, reserve};
use crate::wallet::{LeafKeys, Role, Use};

/// Bytes before the opening proper: purpose salt and subject blinding.
const HEAD: usize = 64;

/// The context an opening is sealed in.
fn opening_context(leaf: &Bytes32) -> [&[u8]; 2] {
    [b"opening", &leaf.0]
}

/// What a leaf is shown with, in one sealed text.
fn seal_opening(
    keys: &LeafKeys,
    leaf: &Bytes32,
    purpose_salt: &Bytes32,
    subject_blinding: &Scalar,
    opening: &Opening,
) -> String {
    let bytes = opening.to_bytes();
    let mut plain = Zeroizing::new(Vec::with_capacity(HEAD + bytes.len()));
    plain.extend_from_slice(&purpose_salt.0);
    plain.extend_from_slice(subject_blinding.as_bytes());
    plain.extend_from_slice(&bytes);
    keys.opening.seal(&opening_context(leaf), &plain)
}

/// The domain of a fact.
fn domain_of(fact: &Fact) -> Result<Domain, Problem> {
    catalogue()
        .get(&fact.attribute)
        .map(|attribute| attribute.domain)
        .ok_or_else(Problem::internal)
}

impl Work<'_> {
    pub(super) async fn attest(&mut self) -> Result<(), Problem> {
        self.require_enrolled()?;
        let compiled = self.compiled()?;
        let held = self.held(&compiled).await?;
        let mut wanted: BTreeMap<Domain, Vec<&Fact>> = BTreeMap::new();
        let mut lacking: Vec<Domain> = vec![];
        for (fact, held) in compiled.facts.iter().zip(&held) {
            let domain = domain_of(fact)?;
            wanted.entry(domain).or_default().push(fact);
            if held.is_none() {
                lacking.push(domain);
            }
        }
        // A domain is asked for all its facts or none: the shape of a request must not tell which are held.
        wanted.retain(|domain, _| lacking.contains(domain));
        let work = &*self;
        let asked = wanted
            .into_iter()
            .map(|(domain, facts)| async move { work.attest_domain(domain, &facts).await });
        for result in join_all(asked).await {
            result?;
        }
        let tx = self.service.store.begin().await?;
        self.save(tx, State::Attested).await
    }

    /// Asks one committee, again with fresh keys and blindings if that fails, and stores what it attests.
    async fn attest_domain(&self, domain: Domain, facts: &[&Fact]) -> Result<(), Problem> {
        let service = self.service;
        let authorisation = self
            .wallet
            .authorisation(domain, self.profile.registration)?;
        let mut handles = service
            .handles(&self.profile, domain, &authorisation)
            .await?;
        let (subject, blinding) = service.subject(&self.profile, &self.wallet, domain).await?;
        let person = match domain {
            Domain::Identity => Some(service.person(&self.profile, &self.wallet)?),
            _ => None,
        };
        let mut failure: Option<OracleError> = None;
        for attempt in 0..service.oracles.attempts() {
            let owner = Owner {
                authorisation: &authorisation,
                handles: &handles,
                subject: &subject,
                person: person.as_ref(),
            };
            let wanted = self.wanted(domain, facts).await?;
            match service.oracles.attest(domain, &wanted, &owner).await {
                Ok(leaves) => return self.keep(&wanted, &blinding, leaves).await,
                Err(error) => {
                    tracing::warn!(%domain, attempt, %error, "facts were not attested");
                    let lasting = matches!(error, OracleError::Refused { .. });
                    failure = Some(error);
                    if lasting {
                        break;
                    }
                    // The committee may have changed under way, and have members without a handle.
                    handles = service
                        .handles(&self.profile, domain, &authorisation)
                        .await?;
                }
            }
        }
        Err(failure.map_or_else(Problem::internal, Problem::from))
    }

    /// The leaves to ask for, in the order of requests, with keys that are used up from here on.
    async fn wanted(&self, domain: Domain, facts: &[&Fact]) -> Result<Vec<Wanted>, Problem> {
        let indexes = self.service.oracles.indexes();
        let count = indexes.saturating_mul(u32::try_from(facts.len()).unwrap_or(u32::MAX));
        let mut tx = self.service.store.begin().await?;
        let profile = self.profile.profile.to_string();
        let use_ = Use::Leaf(domain, Role::Holder);
        let first = reserve(&mut tx, &profile, use_, count).await?;
        tx.commit().await.map_err(StoreError::from)?;

        let mut sorted = facts.to_vec();
        sorted.sort_unstable();
        let mut wanted = Vec::new();
        for (wallet_index, (fact, index)) in (first..).zip(
            sorted
                .iter()
                .flat_map(|fact| (0..indexes).map(move |index| (*fact, index))),
        ) {
            let attribute = catalogue()
                .get(&fact.attribute)
                .ok_or_else(Problem::internal)?;
            wanted.push(Wanted {
                fact: fact.clone(),
                index,
                audience: self.audience(index).to_owned(),
                contract: self.question.contract.hash,
                withheld: self.question.withhold.contains(&fact.attribute),
                freshness_days: attribute.freshness_days,
                wallet_index,
                keys: self.wallet.leaf(domain, wallet_index)?,
            });
        }
        Ok(wanted)
    }

    /// Index 0 is for the question's audience, the next for the other agencies in turn, the rest spare for a second
    /// presentation to the question's.
    fn audience(&self, index: u32) -> &str {
        let ours = &self.question.audience;
        let mut others = self
            .service
            .agencies
            .iter()
            .map(crate::agency::Agency::audience)
            .filter(|audience| audience != ours);
        index
            .checked_sub(1)
            .and_then(|place| others.nth(usize::try_from(place).ok()?))
            .unwrap_or(ours)
    }

    async fn keep(
        &self,
        wanted: &[Wanted],
        subject_blinding: &Scalar,
        leaves: Vec<crate::oracle::AttestedLeaf>,
    ) -> Result<(), Problem> {
        let profile = self.profile.profile.to_string();
        let mut tx = self.service.store.begin().await?;
        for leaf in &leaves {
            let want = wanted.get(leaf.wanted).ok_or_else(Problem::internal)?;
            let hash = leaf.attestation.leaf.hash();
            let opening = seal_opening(
                &want.keys,
                &hash,
                &leaf.purpose_salt,
                subject_blinding,
                &leaf.opening,
            );
            let fetched = Fetched {
                attestation: &leaf.attestation,
                contract: want.contract,
                audience: &want.audience,
                withheld: want.withheld,
                question: self.question.question,
                other_audience: want.audience != self.question.audience,
                wallet_index: want.wallet_index,
                opening: &opening,
            };
            facts::put_leaf(&mut tx, &profile, &fetched).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// For each fact of the contract, in order, a leaf that the profile holds unused and fresh.
    ///
    /// A leaf that another question fetched counts only if its fact is known: what was missing then is asked for anew.
    pub(super) async fn held(&self, compiled: &Compiled) -> Result<Vec<Option<Held>>, Problem> {
        let today = self.service.clock.today();
        let store = &self.service.store;
        let leaves = store.unused(&self.question, today).await?;
        let mut held = Vec::with_capacity(compiled.facts.len());
        for fact in &compiled.facts {
            let withheld = self.question.withhold.contains(&fact.attribute);
            let mut found = None;
            for stored in &leaves {
                let leaf = &stored.attestation.leaf;
                let fits = (&leaf.attribute, leaf.period) == (&fact.attribute, fact.period)
                    && stored.withheld == withheld;
                if !fits {
                    continue;
                }
                let open = self.open_leaf(stored)?;
                if stored.other_audience && !withheld && !open.opening.known {
                    continue;
                }
                found = Some(open);
                break;
            }
            held.push(found);
        }
        Ok(held)
    }

    /// Opens one leaf with its own key.
    fn open_leaf(&self, stored: &StoredLeaf) -> Result<Held, Problem> {
        let corrupt = || {
            tracing::error!("a sealed opening does not open");
            Problem::internal()
        };
        let leaf = &stored.attestation.leaf;
        let keys = self.wallet.leaf(leaf.committee, stored.wallet_index)?;
        let hash = leaf.hash();
        let bytes = keys
            .opening
            .open(&opening_context(&hash), &stored.opening)
            .map_err(|_| corrupt())?;
        let (head, opening) = bytes.split_first_chunk::<HEAD>().ok_or_else(corrupt)?;
        let (salt, blinding) = head.split_at(32);
        let blinding = <[u8; 32]>::try_from(blinding).map_err(|_| corrupt())?;
        let blinding = Option::<Scalar>::from(Scalar::from_canonical_bytes(blinding));
        Ok(Held {
            attestation: stored.attestation.clone(),
            purpose_salt: Bytes32::from_slice(salt).map_err(|_| corrupt())?,
            key: keys.holder.secret(),
            opening: Opening::from_bytes(opening).map_err(|_| corrupt())?,
            subject_blinding: Zeroizing::new(blinding.ok_or_else(corrupt)?),
        })
    }
}
