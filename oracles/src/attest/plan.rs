//! What a coordinator proposes to sign, and what a signer makes of it. The coordinator is never trusted: a plan names
//! requests, and a signer rebuilds the tree from the leaves that it acknowledged under them itself, hashing the dummies
//! too. So a batch of thousands travels as the few hundred names of its requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::attestation::Batch as Tree;
use contracts::encoding::Bytes32;
use contracts::ids::Domain;
use contracts::issuance::MAX_LEAVES;
use contracts::units::{Day, UnixTime};
use rand::RngCore as _;
use serde::{Deserialize, Serialize};

use super::AttestError;
use super::check::{Seat, is_today};
use super::grouping::{Agreed, Group};
use super::store::{AckStore, Acks};

/// Requests that one batch may hold.
pub(super) const MAX_REQUESTS: usize = 4_096;

/// The context of a signing ceremony.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchPlan {
    pub(crate) domain: Domain,
    pub(crate) epoch: u64,
    pub(crate) day: Day,
    /// Requests whose leaves are in the batch.
    pub(crate) requests: Vec<Planned>,
    /// Random bytes of the dummies.
    pub(crate) dummies: Vec<Bytes32>,
}

/// A request, and the places of it, in order from 0, that are not in the batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Planned(pub(crate) Bytes32, pub(crate) Vec<u8>);

impl BatchPlan {
    /// The plan for a group of leaves.
    pub(super) fn new(
        seat: &Seat,
        day: Day,
        group: &Group,
        requests: &[Bytes32],
        agreed: &[Agreed],
    ) -> Self {
        let planned = group.places.iter().filter_map(|(request, places)| {
            let all = agreed.get(*request)?.places.len();
            let without = (0..all).filter(|place| !places.contains(place));
            let without = without.filter_map(|place| u8::try_from(place).ok());
            Some(Planned(*requests.get(*request)?, without.collect()))
        });
        let random = || {
            let mut bytes = [0; 32];
            rand_core::OsRng.fill_bytes(&mut bytes);
            Bytes32::from(bytes)
        };
        Self {
            domain: seat.domain,
            epoch: seat.epoch,
            day,
            requests: planned.collect(),
            dummies: (0..Tree::dummies_for(group.leaves))
                .map(|_| random())
                .collect(),
        }
    }

    /// The tree over what a node acknowledged of each request, in the plan's order.
    pub(super) fn tree(&self, acks: &[Arc<Acks>]) -> Result<Tree, AttestError> {
        let mut hashes = Vec::with_capacity(acks.iter().map(|acks| acks.len()).sum());
        for (Planned(_, without), acks) in self.requests.iter().zip(acks) {
            if acks.is_empty()
                || without
                    .iter()
                    .any(|place| usize::from(*place) >= acks.len())
            {
                return Err(AttestError::Plan(
                    "a request or leaf that this node did not acknowledge",
                ));
            }
            // Both ascend.
            let mut skipped = without.iter().copied().map(usize::from).peekable();
            for (place, hash) in acks.values().enumerate() {
                if skipped.next_if_eq(&place).is_none() {
                    hashes.push(*hash);
                }
            }
        }
        Ok(Tree::new(&hashes, &self.dummies)?)
    }

    fn check(&self, seat: &Seat, now: UnixTime) -> Result<(), AttestError> {
        if (self.domain, self.epoch) != (seat.domain, seat.epoch) {
            return Err(AttestError::Plan("of another committee or epoch"));
        }
        if !is_today(self.day, now) {
            return Err(AttestError::Day {
                field: "batch.day",
                got: self.day,
            });
        }
        let ascending = |places: &[u8]| places.is_sorted_by(|a, b| a < b);
        let sized = self.requests.len() <= MAX_REQUESTS
            && self
                .requests
                .iter()
                .all(|Planned(_, without)| without.len() <= MAX_LEAVES && ascending(without));
        if !sized {
            return Err(AttestError::Plan(
                "too many requests, or places out of order",
            ));
        }
        Ok(())
    }
}

/// What this node signs for a plan: the root over leaves that it acknowledged itself, and nothing else.
pub(super) async fn message(
    seat: &Seat,
    store: &AckStore,
    plan: &BatchPlan,
    now: UnixTime,
) -> Result<Vec<u8>, AttestError> {
    plan.check(seat, now)?;
    let requests: Vec<Bytes32> = plan.requests.iter().map(|Planned(it, _)| *it).collect();
    let acks = store.acks_of(seat.domain, &requests, now).await?;
    let tree = plan.tree(&acks)?;
    Ok(tree.statement(seat.domain, seat.epoch, plan.day).message())
}

/// As a signer that acknowledged what a quorum did.
pub(super) fn agreed_acks(
    plan: &BatchPlan,
    by_request: &BTreeMap<Bytes32, &Agreed>,
) -> Vec<Arc<Acks>> {
    let acks = plan.requests.iter().map(|Planned(request, _)| {
        let places = by_request.get(request).map_or(&[][..], |it| &it.places);
        let hashes = places
            .iter()
            // A place without a quorum is in no group; what stands for it here is skipped.
            .map(|(key, hash)| (key.clone(), hash.unwrap_or(Bytes32::from([0; 32]))));
        Arc::new(hashes.collect())
    });
    acks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::testing;
    use crate::hpke::NodeKeyPair;
    use crate::wire::attest::LeafKey;
    use contracts::ids::NodeId;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn leaf(index: u32, fill: u8) -> (LeafKey, Bytes32) {
        let key = LeafKey {
            attribute: "income.magi_monthly".into(),
            period: "2026-10-22/2026-11-20".parse().unwrap(),
            index,
        };
        (key, Bytes32::from([fill; 32]))
    }

    fn request(fill: u8) -> Bytes32 {
        Bytes32::from([fill; 32])
    }

    async fn signer(told: &[(u8, &[(u32, u8)])]) -> (tempfile::TempDir, AckStore, Seat) {
        let (dir, pool) = testing::database().await;
        let store = AckStore::open(pool).await.unwrap();
        for (fill, leaves) in told {
            let acks = leaves.iter().map(|(at, fill)| leaf(*at, *fill)).collect();
            store
                .acknowledge(Domain::Income, &request(*fill), (0, request(1)), &acks, NOW)
                .await
                .unwrap();
        }
        let seat = Seat {
            domain: Domain::Income,
            node: NodeId::new(1).unwrap(),
            members: (1..=4).map(|number| NodeId::new(number).unwrap()).collect(),
            threshold: 3,
            epoch: 1,
            hpke_epoch: 1,
            hpke: NodeKeyPair::generate(),
        };
        (dir, store, seat)
    }

    fn plan() -> BatchPlan {
        BatchPlan {
            domain: Domain::Income,
            epoch: 1,
            day: NOW.day().unwrap(),
            requests: vec![Planned(request(5), vec![1]), Planned(request(6), vec![])],
            dummies: (0..13u8)
                .map(|fill| Bytes32::from([100 + fill; 32]))
                .collect(),
        }
    }

    #[tokio::test]
    async fn a_coordinator_gets_nothing_signed_that_the_signer_did_not_acknowledge() {
        let (_dir, store, seat) = signer(&[(5, &[(0, 1), (1, 2), (2, 3)]), (6, &[(0, 4)])]).await;
        let signs = async |edit: &dyn Fn(&mut BatchPlan), later: i64| {
            let mut plan = plan();
            edit(&mut plan);
            message(&seat, &store, &plan, UnixTime(NOW.0 + later))
                .await
                .ok()
        };
        let expected = Tree::new(&[leaf(0, 1).1, leaf(2, 3).1, leaf(0, 4).1], &plan().dummies)
            .unwrap()
            .statement(Domain::Income, 1, NOW.day().unwrap());
        assert_eq!(signs(&|_| {}, 0).await, Some(expected.message()));
        type Edit<'a> = &'a dyn Fn(&mut BatchPlan);
        let refused: [(&str, Edit<'_>, i64); 11] = [
            (
                "a request it never saw",
                &|it| it.requests[0].0 = request(7),
                0,
            ),
            ("a place that is none", &|it| it.requests[0].1 = vec![3], 0),
            (
                "places out of order",
                &|it| it.requests[0].1 = vec![1, 1],
                0,
            ),
            (
                "a request twice",
                &|it| it.requests[0] = it.requests[1].clone(),
                0,
            ),
            ("nothing but dummies", &|it| it.requests.clear(), 0),
            ("a short batch", &|it| it.dummies.truncate(12), 0),
            ("a dummy twice", &|it| it.dummies[0] = it.dummies[1], 0),
            ("another epoch", &|it| it.epoch = 2, 0),
            ("another committee", &|it| it.domain = Domain::Medical, 0),
            ("another day", &|it| it.day = it.day.plus(2).unwrap(), 0),
            (
                "long ago",
                &|it| it.day = it.day.plus(2).unwrap(),
                2 * 86_400,
            ),
        ];
        for (what, edit, later) in refused {
            assert_eq!(signs(edit, later).await, None, "{what}");
        }
    }

    #[tokio::test]
    async fn a_signer_that_acknowledged_another_leaf_signs_another_root() {
        let (_dir, store, seat) = signer(&[(5, &[(0, 1), (1, 2), (2, 9)]), (6, &[(0, 4)])]).await;
        let (_other, honest, _) = signer(&[(5, &[(0, 1), (1, 2), (2, 3)]), (6, &[(0, 4)])]).await;
        let theirs = message(&seat, &store, &plan(), NOW).await.unwrap();
        let ours = message(&seat, &honest, &plan(), NOW).await.unwrap();
        assert_ne!(theirs, ours);
    }

    #[test]
    fn the_context_of_a_full_batch_fits_a_ceremony() {
        let mut full = plan();
        full.requests = vec![Planned(request(255), vec![]); MAX_REQUESTS];
        let bytes = serde_json::to_vec(&full).unwrap().len();
        assert!(bytes < crate::ceremony::sign::MAX_CONTEXT_BYTES, "{bytes}");
    }
}
