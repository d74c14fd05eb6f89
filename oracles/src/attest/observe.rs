//! From a checked request to its leaves: sources read once per fact, agreed on, and forgotten.

use std::collections::BTreeMap;

use contracts::catalogue::Attribute;
use contracts::encoding::Bytes32;
use contracts::group::Point;
use contracts::ids::AttributeId;
use contracts::issuance::build_leaf;
use contracts::leaf::PERSON;
use contracts::units::Period;
use futures::future::join_all;

use super::AttestError;
use super::check::{Checked, Seat, attribute};
use super::store::Acks;
use crate::agreement::{Agreement, agree};
use crate::hpke;
use crate::sources::{Reading, Sources};
use crate::wire::attest::{LeafAnswer, LeafKey, Observation};
use crate::wire::value_info;

/// The leaves of a request as this node bears them out.
pub(crate) struct Observed {
    pub(crate) acks: Acks,
    pub(crate) answers: Vec<LeafAnswer>,
}

/// Reads the sources of a fact and applies its formula; what failed is logged, without a value.
pub(crate) async fn read(
    sources: &Sources,
    attribute: &Attribute,
    keys: &BTreeMap<String, String>,
    period: Period,
) -> (Vec<Reading>, Agreement) {
    let readings = sources.read(attribute, keys, period).await;
    for error in readings.iter().filter_map(|reading| reading.as_ref().err()) {
        tracing::warn!(attribute = %attribute.id, %error, "a source failed");
    }
    let agreement = agree(attribute.formula, &readings);
    if agreement.value.is_none() {
        tracing::warn!(
            attribute = %attribute.id, sources = agreement.sources, failed = agreement.failed,
            "no agreement among the sources"
        );
    }
    (readings, agreement)
}

/// Reads the sources of every fact that is not withheld, each once whatever the number of leaves, and all at the same time.
pub(crate) async fn observe(
    seat: &Seat,
    sources: &Sources,
    checked: &Checked,
) -> Result<BTreeMap<(AttributeId, Period), Observation>, AttestError> {
    let mut facts = BTreeMap::new();
    for leaf in checked.request.leaves.iter().filter(|leaf| !leaf.withheld) {
        let attribute = attribute(seat.domain, &leaf.attribute)?;
        facts.insert((leaf.attribute.clone(), leaf.period), attribute);
    }
    let keys = &checked.handle.plain.source_keys;
    let readings = facts.into_iter().map(|(fact, attribute)| async move {
        let (_, agreement) = read(sources, attribute, keys, fact.1).await;
        let observation = Observation {
            value: agreement.value.unwrap_or(0),
            known: agreement.value.is_some(),
            sources: agreement.sources,
            agreeing: agreement.agreeing,
            disagreeing: agreement.disagreeing,
            failed: agreement.failed,
        };
        (fact, observation)
    });
    Ok(join_all(readings).await.into_iter().collect())
}

/// Builds every leaf and seals its observation to the leaf's own key.
pub(crate) fn leaves(
    seat: &Seat,
    checked: &Checked,
    person: Option<&Point>,
    observations: &BTreeMap<(AttributeId, Period), Observation>,
) -> Result<Observed, AttestError> {
    let context = &checked.request.context;
    let mut observed = Observed {
        acks: Acks::new(),
        answers: Vec::with_capacity(checked.request.leaves.len()),
    };
    for request in &checked.request.leaves {
        let attribute = attribute(seat.domain, &request.attribute)?;
        let observation = match request.withheld {
            true => Observation::WITHHELD,
            false => *observations
                .get(&(request.attribute.clone(), request.period))
                .ok_or_else(|| AttestError::Attribute(request.attribute.clone()))?,
        };
        let expires = context
            .observed
            .plus(i64::from(attribute.freshness_days))
            .map_err(|_| AttestError::Day {
                field: "context.observed",
                got: context.observed,
            })?;
        let person = person.filter(|_| request.attribute.0 == PERSON);
        let leaf = build_leaf(
            context,
            request,
            observation.value,
            observation.known,
            &checked.handle.plain.s_d,
            person,
            expires,
        )?;
        let leaf_hash: Bytes32 = leaf.hash();
        let info = value_info(
            seat.domain,
            seat.node,
            &checked.reference,
            &request.attribute.0,
            request.period,
            request.index,
        );
        let sealed = hpke::seal(&request.seal_key, &info, &[], &observation.to_bytes())
            .map_err(|_| AttestError::SealKey(request.attribute.clone()))?;
        observed.answers.push(LeafAnswer { leaf_hash, sealed });
        let key = LeafKey {
            attribute: request.attribute.clone(),
            period: request.period,
            index: request.index,
        };
        observed.acks.insert(key, leaf_hash);
    }
    Ok(observed)
}
