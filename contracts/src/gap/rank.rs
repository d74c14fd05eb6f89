//! Which of several offers suits: current providers kept, affordable on income, past conditions paid for (in this order of
//! weight), and for each offer which of the three could not be met.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::plan::{Plan, PlanFile};
use super::policy::Offer;
use crate::units::Cents;

/// What a household needs. Held against published plan files, and told to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// National provider identifiers of the present providers.
    pub providers: BTreeSet<String>,
    /// Past conditions, in the plan files' words.
    pub conditions: BTreeSet<String>,
    /// Income of a month.
    pub monthly_income: Cents,
    /// Share of it, in thousandths, up to which a premium is affordable.
    pub affordable: u16,
}

/// An offer, with the plan file that it is from.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The offer.
    pub offer: &'a Offer,
    /// The insurer's published plans.
    pub file: &'a PlanFile,
    /// The plan offered.
    pub plan: &'a Plan,
}

/// What an offer is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criterion {
    /// Every present provider is in the network.
    Continuity,
    /// The premium is within the affordable share of the income.
    Affordability,
    /// Every past condition is paid for from the first day.
    Fit,
}

/// An offer in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranked {
    /// The insurer.
    pub insurer: String,
    /// The offer.
    pub offer: Offer,
    /// Which of the three could not be met.
    pub unmet: BTreeSet<Criterion>,
    /// Present providers that would be lost.
    pub lost_providers: BTreeSet<String>,
    /// Cents a month beyond what is affordable.
    pub beyond: Cents,
    /// Past conditions that are not paid for at all.
    pub uncovered: BTreeSet<String>,
    /// Most days until a past condition is paid for.
    pub waits: u16,
}

fn judge(needs: &Needs, candidate: &Candidate<'_>) -> Ranked {
    let Candidate { offer, file, plan } = candidate;
    let network = file.network(plan);
    let lost_providers: BTreeSet<String> = needs
        .providers
        .iter()
        .filter(|provider| !network.is_some_and(|network| network.contains(*provider)))
        .cloned()
        .collect();
    let limit = i128::from(needs.monthly_income.0.max(0)) * i128::from(needs.affordable) / 1_000;
    let beyond = (i128::from(offer.premium.0) - limit).max(0);
    let beyond = Cents(i64::try_from(beyond).unwrap_or(i64::MAX));
    let (mut uncovered, mut waits) = (BTreeSet::new(), 0);
    for condition in &needs.conditions {
        match plan.covers.get(condition) {
            Some(days) => waits = waits.max(*days),
            None => {
                uncovered.insert(condition.clone());
            }
        }
    }
    let unmet = [
        (Criterion::Continuity, !lost_providers.is_empty()),
        (Criterion::Affordability, beyond.0 > 0),
        (Criterion::Fit, !uncovered.is_empty() || waits > 0),
    ];
    Ranked {
        insurer: file.insurer.clone(),
        offer: (*offer).clone(),
        unmet: unmet
            .into_iter()
            .filter_map(|(criterion, unmet)| unmet.then_some(criterion))
            .collect(),
        lost_providers,
        beyond,
        uncovered,
        waits,
    }
}

/// Ranks offers. Those that leave fewest of the three unmet come first; among them whoever keeps more providers, then who is
/// less beyond what is affordable, then who pays for more conditions and sooner; then the cheaper one. Nothing depends on the
/// order in which they came.
pub fn rank(needs: &Needs, candidates: &[Candidate<'_>]) -> Vec<Ranked> {
    let mut ranked: Vec<Ranked> = candidates
        .iter()
        .map(|candidate| judge(needs, candidate))
        .collect();
    ranked.sort_by(|a, b| place(a).cmp(&place(b)));
    ranked
}

fn place(one: &Ranked) -> impl Ord {
    (
        one.unmet.len(),
        one.lost_providers.len(),
        one.beyond,
        (one.uncovered.len(), one.waits),
        one.offer.premium,
        (&one.insurer, &one.offer.plan, one.offer.offer),
    )
}
