//! `asked → attested`: leaves are drawn from the stock, for the rest each domain's committee is asked; what one attests is
//! stored at once, so that a failure of another costs nothing.

use std::collections::{BTreeMap, BTreeSet};

use contracts::catalogue::catalogue;
use contracts::ids::{AttributeId, Domain};
use contracts::presentation::Held;
use contracts::rules::{Compiled, Fact, Outcome as Evaluated};
use futures::future::join_all;
use oracles::problem::Problem;
use zeroize::Zeroizing;

use super::Work;
use crate::api::types::State;
use crate::consent::is_refused;
use crate::stock::{Buyer, Order};
use crate::store::consents::set_withhold;
use crate::store::{Pair, StoreError, StoredLeaf, stock};

/// The domain of a fact.
pub(crate) fn domain_of(fact: &Fact) -> Result<Domain, Problem> {
    catalogue()
        .get(&fact.attribute)
        .map(|attribute| attribute.domain)
        .ok_or_else(Problem::internal)
}

/// Adds the contract's facts of domains without consent to those that are withheld; whether there were any.
pub(crate) fn refuse(
    refused: &BTreeSet<Domain>,
    compiled: &Compiled,
    withhold: &mut Vec<AttributeId>,
) -> Result<bool, Problem> {
    let before = withhold.len();
    for fact in &compiled.facts {
        let known = withhold.contains(&fact.attribute);
        if !known && is_refused(refused, domain_of(fact)?, &fact.attribute) {
            withhold.push(fact.attribute.clone());
        }
    }
    Ok(withhold.len() > before)
}

/// Values of held leaves, none where a fact is not known.
pub(super) fn values_of(held: &[Held]) -> Zeroizing<Vec<Option<i64>>> {
    Zeroizing::new(
        held.iter()
            .map(|held| held.opening.known.then_some(held.opening.value))
            .collect(),
    )
}

/// A leaf of the question for one of its facts.
pub(super) struct Shown {
    pub(super) held: Held,
    /// Withheld although the owner lets the fact be read, because its committee could not be asked.
    pub(super) stands_in: bool,
}

impl Work<'_> {
    pub(super) async fn attest(&mut self) -> Result<(), Problem> {
        self.require_enrolled()?;
        let compiled = self.compiled()?;
        self.respect_consent(&compiled).await?;
        if self.question.anew {
            self.discard_stock(&compiled).await?;
        } else {
            self.draw(&compiled).await?;
        }
        let held = self.held(&compiled).await?;
        let mut wanted: BTreeMap<Domain, Vec<&Fact>> = BTreeMap::new();
        let mut lacking: Vec<Domain> = vec![];
        for (fact, held) in compiled.facts.iter().zip(&held) {
            let domain = domain_of(fact)?;
            wanted.entry(domain).or_default().push(fact);
            if held.as_ref().is_none_or(|shown| shown.stands_in) {
                lacking.push(domain);
            }
        }
        // A domain is asked for all its facts or none: the shape of a request must not tell which are held.
        wanted.retain(|domain, _| lacking.contains(domain));
        let pair = self.pair();
        let others = self.service.expected(&self.question.profile, &pair).await?;
        let buyer = self.buyer();
        let asked = wanted.iter().map(|(domain, facts)| {
            let order = Order {
                domain: *domain,
                facts,
                pair: &pair,
                others: &others,
                question: Some(self.question.question),
            };
            let buyer = &buyer;
            async move { (order.domain, buyer.buy(&order).await) }
        });
        let mut failed = Vec::new();
        for (domain, result) in join_all(asked).await {
            if let Err(problem) = result {
                failed.push((domain, problem));
            }
        }
        let domains: Vec<Domain> = failed.iter().map(|(domain, _)| *domain).collect();
        if let Some((_, problem)) = failed.into_iter().next()
            && !self.do_without(&compiled, &domains).await?
        {
            return Err(problem);
        }
        let tx = self.service.store.begin().await?;
        self.save(tx, State::Attested).await
    }

    pub(super) fn buyer(&self) -> Buyer<'_> {
        Buyer {
            service: self.service,
            profile: &self.profile,
            wallet: &self.wallet,
        }
    }

    fn pair(&self) -> Pair {
        Pair {
            contract: self.question.contract.clone(),
            jurisdiction: self.question.jurisdiction,
            audience: self.question.audience.clone(),
            withhold: self.question.withhold.clone(),
        }
    }

    fn withholds(&self, attribute: &AttributeId) -> bool {
        self.question.withhold.contains(attribute)
    }

    /// What the owner does not let be read now is withheld, whatever was asked.
    async fn respect_consent(&mut self, compiled: &Compiled) -> Result<(), Problem> {
        let service = self.service;
        let refused = service.refused(&self.question.profile).await?;
        let mut withhold = self.question.withhold.clone();
        if refuse(&refused, compiled, &mut withhold)? {
            let mut tx = service.store.begin().await?;
            set_withhold(&mut tx, &self.question.question, &withhold).await?;
            tx.commit().await.map_err(StoreError::from)?;
            self.question.withhold = withhold;
        }
        Ok(())
    }

    /// Something changed: what the stock holds of the contract's domains may be wrong, for whichever audience.
    async fn discard_stock(&self, compiled: &Compiled) -> Result<(), Problem> {
        let profile = self.profile.profile.to_string();
        let mut tx = self.service.store.begin().await?;
        for fact in &compiled.facts {
            stock::discard(&mut tx, &profile, domain_of(fact)?).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Draws from the stock a leaf for every fact that the question has none of.
    ///
    /// Only known facts are drawn: what was missing when they were bought is asked for anew.
    async fn draw(&self, compiled: &Compiled) -> Result<(), Problem> {
        let held = self.held(compiled).await?;
        let lacks = |at: usize| !matches!(held.get(at), Some(Some(shown)) if !shown.stands_in);
        let facts = compiled.facts.iter().enumerate();
        let facts = facts.filter(|(at, _)| lacks(*at)).map(|(_, fact)| fact);
        let buyer = self.buyer();
        let fits = |stored: &StoredLeaf| -> Result<bool, Problem> {
            let withheld = self.withholds(&stored.attestation.leaf.attribute);
            if stored.withheld != withheld {
                return Ok(false);
            }
            Ok(withheld || buyer.open(stored)?.opening.known)
        };
        self.draw_where(facts, fits).await?;
        Ok(())
    }

    /// Draws one leaf of each fact that `fits`; tells whether every fact got one.
    async fn draw_where<'b>(
        &self,
        facts: impl Iterator<Item = &'b Fact>,
        fits: impl Fn(&StoredLeaf) -> Result<bool, Problem>,
    ) -> Result<bool, Problem> {
        let store = &self.service.store;
        let question = &self.question;
        let today = self.service.clock.today();
        let leaves = store
            .in_stock(
                &question.profile,
                &question.contract.hash,
                &question.audience,
                today,
            )
            .await?;
        let profile = question.profile.to_string();
        let mut all = true;
        let mut tx = store.begin().await?;
        for fact in facts {
            let mut drawn = false;
            for stored in &leaves {
                let leaf = &stored.attestation.leaf;
                if (&leaf.attribute, leaf.period) == (&fact.attribute, fact.period)
                    && fits(stored)?
                    && stock::draw(&mut tx, &profile, &leaf.hash(), &question.question).await?
                {
                    drawn = true;
                    break;
                }
            }
            all &= drawn;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(all)
    }

    /// Whether the verdict follows without the facts of committees that could not be asked, withheld leaves of the stock
    /// standing in for them.
    async fn do_without(&self, compiled: &Compiled, domains: &[Domain]) -> Result<bool, Problem> {
        let held = self.held(compiled).await?;
        let mut missing = Vec::new();
        for (fact, held) in compiled.facts.iter().zip(&held) {
            if held.is_none() {
                if !domains.contains(&domain_of(fact)?) {
                    return Ok(false);
                }
                missing.push(fact);
            }
        }
        if !self
            .draw_where(missing.into_iter(), |stored| Ok(stored.withheld))
            .await?
        {
            return Ok(false);
        }
        let held: Option<Vec<Shown>> = self.held(compiled).await?.into_iter().collect();
        let Some(held) = held else { return Ok(false) };
        let held: Vec<Held> = held.into_iter().map(|shown| shown.held).collect();
        let verdict = compiled.evaluate(&values_of(&held)).verdict;
        let without = !matches!(verdict, Evaluated::NeedsInfo { .. });
        if without {
            tracing::warn!(
                ?domains,
                "the verdict follows without committees that could not be asked"
            );
        }
        Ok(without)
    }

    /// For each fact of the contract, in order, an unused and fresh leaf of the question.
    pub(super) async fn held(&self, compiled: &Compiled) -> Result<Vec<Option<Shown>>, Problem> {
        let today = self.service.clock.today();
        let leaves = self.service.store.unused(&self.question, today).await?;
        let buyer = self.buyer();
        let mut held = Vec::with_capacity(compiled.facts.len());
        for fact in &compiled.facts {
            let withheld = self.withholds(&fact.attribute);
            let of_fact = || {
                leaves.iter().filter(|stored| {
                    let leaf = &stored.attestation.leaf;
                    (&leaf.attribute, leaf.period) == (&fact.attribute, fact.period)
                })
            };
            let wished = of_fact().find(|stored| stored.withheld == withheld);
            let found = wished.or_else(|| of_fact().find(|stored| stored.withheld));
            let shown = found.map(|stored| {
                Ok::<_, Problem>(Shown {
                    held: buyer.open(stored)?,
                    stands_in: stored.withheld != withheld,
                })
            });
            held.push(shown.transpose()?);
        }
        Ok(held)
    }
}
