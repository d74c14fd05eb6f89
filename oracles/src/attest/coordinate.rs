//! One batch from acknowledgements to a signed root. Any node coordinates, and is never trusted: signers rebuild the root
//! from their own acknowledgements, and hash the dummies themselves.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use contracts::attestation::{Batch as Tree, CommitteeKeys, SignedRoot};
use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::{Domain, NodeId};
use contracts::issuance::MAX_LEAVES;
use contracts::receipt::{Entry, EntryKind, Receipt};
use contracts::units::{Day, UnixTime};
use futures::future::join_all;
use rand::RngCore as _;
use serde::{Deserialize, Serialize};

use super::AttestError;
use super::check::{Seat, is_today};
use super::grouping::{Group, Grouping, group};
use super::store::{AckStore, Acks};
use crate::problem::QuorumFailure;
use crate::wire::attest::{AttestBatches, Batch, BatchLeaf, LeafKey};

/// Asks a member what it acknowledged for a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AckCall {
    pub(crate) domain: Domain,
    pub(crate) request: Bytes32,
}

/// A member's acknowledgements.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AckAnswer {
    pub(crate) leaves: Vec<(LeafKey, Bytes32)>,
}

impl AckAnswer {
    fn into_acks(self) -> Option<Acks> {
        let count = self.leaves.len();
        let acks: Acks = self.leaves.into_iter().collect();
        (count <= MAX_LEAVES && acks.len() == count).then_some(acks)
    }
}

/// What a coordinator proposes to sign: the context of a signing ceremony.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchPlan {
    pub(crate) domain: Domain,
    pub(crate) epoch: u64,
    pub(crate) day: Day,
    pub(crate) request: Bytes32,
    pub(crate) leaves: Vec<(LeafKey, Bytes32)>,
    /// Random bytes of the dummies.
    pub(crate) dummies: Vec<Bytes32>,
}

impl BatchPlan {
    fn tree(&self) -> Result<Tree, AttestError> {
        let hashes: Vec<Bytes32> = self.leaves.iter().map(|(_, hash)| *hash).collect();
        Ok(Tree::new(&hashes, &self.dummies)?)
    }
}

/// How a member reaches the others, the signing ceremony and the ledger.
#[async_trait]
pub(crate) trait Links: Send + Sync {
    /// A member's acknowledgements.
    async fn acknowledgements(&self, to: NodeId, call: &AckCall) -> Result<AckAnswer, AttestError>;

    /// Has the committee sign a plan; each member asks [`message`] what to sign, and refuses what it did not acknowledge.
    /// `members` acknowledged all of it; where this node is not among them, one of them leads the ceremony.
    async fn sign(&self, members: &[NodeId], plan: &BatchPlan) -> Result<Bytes<65>, AttestError>;

    /// Appends entries to the ledger.
    async fn append(&self, entries: &[Entry]) -> Result<Vec<Receipt>, AttestError>;
}

/// What this node signs for a plan: the root over leaves that it acknowledged itself, and nothing else.
pub(crate) async fn message(
    seat: &Seat,
    store: &AckStore,
    plan: &BatchPlan,
    now: UnixTime,
) -> Result<Vec<u8>, AttestError> {
    if (plan.domain, plan.epoch) != (seat.domain, seat.epoch) {
        return Err(AttestError::Plan("of another committee or epoch"));
    }
    if !is_today(plan.day, now) {
        return Err(AttestError::Day {
            field: "batch.day",
            got: plan.day,
        });
    }
    let own = store.acks(seat.domain, &plan.request, now).await?;
    let theirs = plan.leaves.iter();
    if !theirs.clone().all(|(key, hash)| own.get(key) == Some(hash)) {
        return Err(AttestError::Plan(
            "a leaf that this node did not acknowledge",
        ));
    }
    Ok(plan
        .tree()?
        .statement(seat.domain, seat.epoch, plan.day)
        .message())
}

/// Coordinates the signature over whatever leaves of a request a quorum acknowledged.
///
/// Batches signed before are returned as they are; only leaves in none of them are signed.
pub(crate) async fn attest(
    seat: &Seat,
    store: &AckStore,
    links: &dyn Links,
    keys: &(dyn CommitteeKeys + Sync),
    request: &Bytes32,
    now: UnixTime,
) -> Result<AttestBatches, AttestError> {
    let mut batches = store.batches(seat.domain, request, now).await?;
    let done: BTreeSet<LeafKey> = batches
        .iter()
        .flat_map(|batch| batch.leaves.iter().map(|leaf| leaf.key.clone()))
        .collect();

    let (mut acks, silent) = collect(seat, store, links, request, now).await?;
    for leaves in acks.values_mut() {
        leaves.retain(|key, _| !done.contains(key));
    }
    let Grouping {
        groups,
        unattested,
        differing,
    } = group(&acks, seat.threshold);
    for node in &differing {
        tracing::warn!(committee = %seat.domain, %node, "node acknowledged another leaf than the quorum");
    }
    for node in &silent {
        tracing::warn!(committee = %seat.domain, %node, "node is silent");
    }
    if batches.is_empty() && groups.is_empty() {
        if acks.values().all(Acks::is_empty) && silent.len() < seat.members.len() {
            return Err(AttestError::Unknown);
        }
        let answered = acks
            .keys()
            .copied()
            .filter(|node| !differing.contains(node));
        return Err(quorum(seat, answered.collect(), silent, differing));
    }
    for group in groups {
        batches.push(sign(seat, links, keys, request, group, now).await?);
        // Kept one by one: what is signed and in the ledger is not signed again after a crash.
        store
            .keep_batches(seat.domain, request, &batches, now)
            .await?;
    }
    Ok(AttestBatches {
        batches,
        unattested,
        silent,
        differing: differing.into_iter().collect(),
    })
}

/// The acknowledgements of all members, and the members that gave none.
async fn collect(
    seat: &Seat,
    store: &AckStore,
    links: &dyn Links,
    request: &Bytes32,
    now: UnixTime,
) -> Result<(BTreeMap<NodeId, Acks>, Vec<NodeId>), AttestError> {
    let call = AckCall {
        domain: seat.domain,
        request: *request,
    };
    let answers = join_all(seat.members.iter().map(|node| {
        let call = &call;
        async move {
            if *node == seat.node {
                return (*node, store.acks(seat.domain, request, now).await.ok());
            }
            let answer = links.acknowledgements(*node, call).await;
            (*node, answer.ok().and_then(AckAnswer::into_acks))
        }
    }))
    .await;
    let (mut acks, mut silent) = (BTreeMap::new(), Vec::new());
    for (node, answer) in answers {
        match answer {
            // Empty when the node is up, but was never asked.
            Some(leaves) => {
                acks.insert(node, leaves);
            }
            None => silent.push(node),
        }
    }
    Ok((acks, silent))
}

fn quorum(
    seat: &Seat,
    answered: Vec<NodeId>,
    silent: Vec<NodeId>,
    differing: BTreeSet<NodeId>,
) -> AttestError {
    AttestError::Quorum(Box::new(QuorumFailure {
        committee: seat.domain.to_string(),
        needed: seat.threshold,
        answered,
        silent,
        refused: Vec::new(),
        culprits: differing.into_iter().collect(),
    }))
}

async fn sign(
    seat: &Seat,
    links: &dyn Links,
    keys: &(dyn CommitteeKeys + Sync),
    request: &Bytes32,
    group: Group,
    now: UnixTime,
) -> Result<Batch, AttestError> {
    let random = || {
        let mut bytes = [0; 32];
        rand_core::OsRng.fill_bytes(&mut bytes);
        Bytes32::from(bytes)
    };
    let day = now.day().map_err(|_| AttestError::Plan("the clock"))?;
    let plan = BatchPlan {
        domain: seat.domain,
        epoch: seat.epoch,
        day,
        request: *request,
        dummies: (0..Tree::dummies_for(group.leaves.len()))
            .map(|_| random())
            .collect(),
        leaves: group.leaves,
    };
    let tree = plan.tree()?;
    let root = SignedRoot {
        statement: tree.statement(seat.domain, seat.epoch, day),
        signature: links.sign(&group.members, &plan).await?,
    };
    let key = keys
        .attestation_key(seat.domain, seat.epoch)
        .ok_or(AttestError::Plan(
            "the committee has no key yet: run the key generation",
        ))?;
    root.verify(&key)?;

    let ledger_salt = random();
    let entry = Entry::new(EntryKind::AttestationRoot, &ledger_salt, &root.statement);
    let receipts = links.append(&[entry]).await?;
    let receipt = receipts
        .into_iter()
        .next()
        .ok_or_else(|| AttestError::Ledger("no receipt".to_owned()))?;
    let leaves = plan
        .leaves
        .into_iter()
        .filter_map(|(key, leaf_hash)| {
            let (index, path) = tree.inclusion(&leaf_hash)?;
            Some(BatchLeaf {
                key,
                leaf_hash,
                index,
                path,
            })
        })
        .collect();
    Ok(Batch {
        root,
        ledger_salt,
        receipt,
        leaves,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db;
    use crate::hpke::NodeKeyPair;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn leaf(index: u32, fill: u8) -> (LeafKey, Bytes32) {
        let key = LeafKey {
            attribute: "income.magi_monthly".into(),
            period: "2026-10-22/2026-11-20".parse().unwrap(),
            index,
        };
        (key, Bytes32::from([fill; 32]))
    }

    #[tokio::test]
    async fn a_coordinator_gets_nothing_signed_that_the_signer_did_not_acknowledge() {
        let dir = tempfile::tempdir().unwrap();
        let pool = db::connect(&db::sqlite_url(&dir.path().join("n.db")))
            .await
            .unwrap();
        let store = AckStore::open(pool).await.unwrap();
        let seat = Seat {
            domain: Domain::Income,
            node: NodeId::new(1).unwrap(),
            members: (1..=4).map(|number| NodeId::new(number).unwrap()).collect(),
            threshold: 3,
            epoch: 1,
            hpke_epoch: 1,
            hpke: NodeKeyPair::generate(),
        };
        let request = Bytes32::from([5; 32]);
        let acks = [leaf(0, 1), leaf(1, 2)].into_iter().collect();
        store
            .acknowledge(Domain::Income, &request, &acks, NOW)
            .await
            .unwrap();
        let plan = BatchPlan {
            domain: Domain::Income,
            epoch: 1,
            day: NOW.day().unwrap(),
            request,
            leaves: vec![leaf(0, 1), leaf(1, 2)],
            dummies: (0..14u8)
                .map(|fill| Bytes32::from([100 + fill; 32]))
                .collect(),
        };
        let signs = async |edit: &dyn Fn(&mut BatchPlan), now: i64| {
            let mut plan = plan.clone();
            edit(&mut plan);
            message(&seat, &store, &plan, UnixTime(NOW.0 + now))
                .await
                .is_ok()
        };
        assert!(signs(&|_| {}, 0).await);
        assert!(
            !signs(&|it| it.leaves[0] = leaf(0, 9), 0).await,
            "another hash"
        );
        assert!(
            !signs(&|it| it.leaves[0] = leaf(7, 1), 0).await,
            "another place"
        );
        assert!(
            !signs(&|it| it.request = [6; 32].into(), 0).await,
            "another request"
        );
        assert!(
            !signs(&|it| it.leaves.push(leaf(0, 1)), 0).await,
            "a leaf twice"
        );
        assert!(
            !signs(&|it| it.leaves.clear(), 0).await,
            "nothing but dummies"
        );
        assert!(
            !signs(&|it| it.dummies.truncate(13), 0).await,
            "a short batch"
        );
        assert!(
            !signs(&|it| it.dummies[0] = it.dummies[1], 0).await,
            "a dummy twice"
        );
        assert!(!signs(&|it| it.epoch = 2, 0).await, "another epoch");
        assert!(
            !signs(&|it| it.domain = Domain::Medical, 0).await,
            "another committee"
        );
        assert!(
            !signs(&|it| it.day = it.day.plus(2).unwrap(), 0).await,
            "another day"
        );
        let expired = 2 * 86_400;
        assert!(
            !signs(&|it| it.day = it.day.plus(2).unwrap(), expired).await,
            "long ago"
        );
    }
}
