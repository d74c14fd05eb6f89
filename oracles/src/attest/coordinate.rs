//! A batch from acknowledgements to a signed root in the ledger. Any node coordinates, and is never trusted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::attestation::{CommitteeKeys, SignedRoot};
use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::{Domain, NodeId};
use contracts::issuance::MAX_LEAVES;
use contracts::receipt::{Entry, Receipt};
use contracts::units::UnixTime;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::AttestError;
use super::check::Seat;
use super::grouping::{Agreed, Group, group};
use super::plan::{BatchPlan, agreed_acks};
use super::store::{AckStore, Acks, SignedBatch};
use crate::ceremony::sign::SignError;
use crate::problem::{Problem, QuorumFailure};
use crate::wire::attest::{AttestBatches, Batch, BatchLeaf, LeafKey};

/// Requests that one call asks a member's acknowledgements of.
const ASKED_TOGETHER: usize = 128;
/// JSON bytes of an answer to one call: 128 requests of 128 leaves.
pub(super) const MAX_ACK_ANSWER: usize = 3 << 20;
/// How long the slower members have once what a quorum said is enough for every leaf.
const GRACE: Duration = Duration::from_millis(250);

/// Asks a member what it acknowledged for requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AckCall {
    pub(crate) domain: Domain,
    pub(crate) requests: Vec<Bytes32>,
}

impl AckCall {
    /// Whether no more is asked than may be.
    pub(super) fn is_sized(&self) -> bool {
        self.requests.len() <= ASKED_TOGETHER
    }
}

/// A member's acknowledgements, in the order asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AckAnswer {
    pub(crate) requests: Vec<Vec<(LeafKey, Bytes32)>>,
}

impl AckAnswer {
    fn into_acks(self, asked: usize) -> Option<Vec<Arc<Acks>>> {
        let one = |leaves: Vec<(LeafKey, Bytes32)>| {
            let count = leaves.len();
            let acks: Acks = leaves.into_iter().collect();
            (count <= MAX_LEAVES && acks.len() == count).then(|| Arc::new(acks))
        };
        let all: Option<Vec<_>> = self.requests.into_iter().map(one).collect();
        all.filter(|all| all.len() == asked)
    }
}

/// How a member reaches the others, the signing ceremony and the ledger.
#[async_trait]
pub(crate) trait Links: Send + Sync {
    /// A member's acknowledgements.
    async fn acknowledgements(&self, to: NodeId, call: &AckCall) -> Result<AckAnswer, AttestError>;

    /// Has the committee sign a plan; each member rebuilds what to sign, and refuses what it did not acknowledge.
    /// `members` acknowledged all of it; where this node is not among them, one of them leads the ceremony.
    async fn sign(&self, members: &[NodeId], plan: &BatchPlan) -> Result<Bytes<65>, AttestError>;

    /// Appends entries to the ledger.
    async fn append(&self, entries: &[Entry]) -> Result<Vec<Receipt>, AttestError>;
}

/// A request that waits for its leaves to be signed, and the batches that hold some of them already.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) request: Bytes32,
    pub(crate) earlier: Vec<SignedBatch>,
}

/// What one batch works with.
pub(super) struct Coordinator<'a> {
    pub(super) seat: &'a Seat,
    pub(super) store: &'a AckStore,
    pub(super) links: &'a dyn Links,
    pub(super) keys: &'a (dyn CommitteeKeys + Sync),
    pub(super) now: UnixTime,
}

/// The acknowledgements of all members that answered.
type Told = BTreeMap<NodeId, Vec<Arc<Acks>>>;

impl Coordinator<'_> {
    /// Has everything signed that a quorum acknowledged of these requests, and answers each.
    pub(super) async fn batch(
        &self,
        pending: &[Pending],
    ) -> Result<Vec<Result<AttestBatches, Problem>>, AttestError> {
        let requests: Vec<Bytes32> = pending.iter().map(|it| it.request).collect();
        let mut done: HashSet<Bytes32> = HashSet::new();
        for batch in pending.iter().flat_map(|it| &it.earlier) {
            done.extend(batch.tree.hashes().iter().map(|hash| Bytes32::from(*hash)));
        }
        let mut told = self.collect(&requests, &done).await?;
        let answered: BTreeSet<NodeId> = told.keys().copied().collect();
        let silent: Vec<NodeId> = self
            .seat
            .members
            .iter()
            .copied()
            .filter(|node| !answered.contains(node))
            .collect();
        for node in &silent {
            tracing::warn!(committee = %self.seat.domain, %node, "node is silent");
        }

        // Who fails in signing is left out, and what the others acknowledged is grouped anew.
        let (agreed, _) = self.group(&told, requests.len(), &done);
        let mut new = Vec::new();
        let mut failure = None;
        loop {
            let (now_agreed, groups) = self.group(&told, requests.len(), &done);
            let mut faulty = BTreeSet::new();
            for group in groups {
                match self.sign(&group, &requests, &now_agreed).await {
                    Ok((root, tree)) => {
                        done.extend(tree.hashes().iter().map(|hash| Bytes32::from(*hash)));
                        new.push((root, tree));
                    }
                    Err(error) => {
                        tracing::warn!(committee = %self.seat.domain, %error, "a batch was not signed");
                        faulty.extend(culprits(&error, &group));
                        failure = Some(Problem::from(error));
                    }
                }
            }
            let before = told.len();
            told.retain(|node, _| !faulty.contains(node));
            if told.len() == before || told.len() < usize::from(self.seat.threshold) {
                break;
            }
        }
        let new = self.record(new, &requests, &agreed).await?;

        let answers = pending.iter().zip(&agreed).map(|(pending, agreed)| {
            for node in &agreed.differing {
                tracing::warn!(committee = %self.seat.domain, %node, "node acknowledged another leaf than the quorum");
            }
            let batches = answer(pending, agreed, &new, &silent);
            if batches.batches.is_empty() {
                return Err(self.nothing(agreed, &answered, &silent, failure.clone()));
            }
            Ok(batches)
        });
        Ok(answers.collect())
    }

    fn group(
        &self,
        told: &Told,
        requests: usize,
        done: &HashSet<Bytes32>,
    ) -> (Vec<Agreed>, Vec<Group>) {
        group(
            told,
            requests,
            self.seat.threshold,
            done,
            &mut rand_core::OsRng,
        )
    }

    /// Why no leaf of a request is signed.
    fn nothing(
        &self,
        agreed: &Agreed,
        answered: &BTreeSet<NodeId>,
        silent: &[NodeId],
        failure: Option<Problem>,
    ) -> Problem {
        if agreed.places.is_empty() && !answered.is_empty() {
            return AttestError::Unknown.into();
        }
        let some_agreed = agreed.places.iter().any(|(_, hash)| hash.is_some());
        if let Some(failure) = failure.filter(|_| some_agreed) {
            return failure;
        }
        Problem::quorum(QuorumFailure {
            committee: self.seat.domain.to_string(),
            needed: self.seat.threshold,
            answered: answered.difference(&agreed.differing).copied().collect(),
            silent: silent.to_vec(),
            refused: Vec::new(),
            culprits: agreed.differing.iter().copied().collect(),
        })
    }

    /// The acknowledgements of all members, of those at least that answer soon after a quorum said enough.
    async fn collect(
        &self,
        requests: &[Bytes32],
        done: &HashSet<Bytes32>,
    ) -> Result<Told, AttestError> {
        let domain = self.seat.domain;
        let own = self.store.acks_of(domain, requests, self.now).await?;
        let mut told = Told::from([(self.seat.node, own)]);
        let others = self.seat.members.iter().copied();
        let mut calls: FuturesUnordered<_> = others
            .filter(|node| *node != self.seat.node)
            .map(|node| async move {
                let mut all = Vec::with_capacity(requests.len());
                for chunk in requests.chunks(ASKED_TOGETHER) {
                    let call = AckCall {
                        domain,
                        requests: chunk.to_vec(),
                    };
                    let answer = self.links.acknowledgements(node, &call).await.ok()?;
                    all.extend(answer.into_acks(chunk.len())?);
                }
                Some((node, all))
            })
            .collect();
        // Each call has its own time-out; this one only ever shortens the wait.
        let mut until: Option<Instant> = None;
        loop {
            let next = match until {
                Some(until) => timeout_at(until, calls.next()).await.unwrap_or(None),
                None => calls.next().await,
            };
            let Some(answer) = next else { return Ok(told) };
            told.extend(answer);
            if until.is_none() && told.len() >= usize::from(self.seat.threshold) {
                let (agreed, _) = self.group(&told, requests.len(), done);
                let places = || agreed.iter().flat_map(|it| &it.places);
                if agreed.iter().all(|it| !it.places.is_empty())
                    && places().all(|(_, hash)| hash.is_some())
                {
                    until = Some(Instant::now() + GRACE);
                }
            }
        }
    }

    /// One group's signed root and its tree.
    async fn sign(
        &self,
        group: &Group,
        requests: &[Bytes32],
        agreed: &[Agreed],
    ) -> Result<(SignedRoot, contracts::attestation::Batch), AttestError> {
        let day = self.now.day().map_err(|_| AttestError::Plan("the clock"))?;
        let plan = BatchPlan::new(self.seat, day, group, requests, agreed);
        let by_request = requests.iter().copied().zip(agreed).collect();
        let tree = plan.tree(&agreed_acks(&plan, &by_request))?;
        let root = SignedRoot {
            statement: tree.statement(self.seat.domain, self.seat.epoch, day),
            signature: self.links.sign(&group.members, &plan).await?,
        };
        let key = self
            .keys
            .attestation_key(self.seat.domain, self.seat.epoch)
            .ok_or(AttestError::Plan(
                "the committee has no key yet: run the key generation",
            ))?;
        root.verify(&key)?;
        Ok((root, tree))
    }

    /// Enters roots in the ledger and keeps the batches, so that what is signed is not signed again after a crash.
    async fn record(
        &self,
        signed: Vec<(SignedRoot, contracts::attestation::Batch)>,
        requests: &[Bytes32],
        agreed: &[Agreed],
    ) -> Result<Vec<SignedBatch>, AttestError> {
        if signed.is_empty() {
            return Ok(Vec::new());
        }
        let entries: Vec<Entry> = signed.iter().map(|(root, _)| root.entry()).collect();
        let receipts = self.links.append(&entries).await?;
        if receipts.len() != entries.len() {
            return Err(AttestError::Ledger(
                "not a receipt for each root".to_owned(),
            ));
        }
        let mut batches = Vec::with_capacity(signed.len());
        for ((root, tree), receipt) in signed.into_iter().zip(receipts) {
            let batch = SignedBatch {
                root,
                receipt,
                tree,
            };
            let of: Vec<Bytes32> = requests
                .iter()
                .zip(agreed)
                .filter(|(_, agreed)| {
                    let hashes = agreed.places.iter().filter_map(|(_, hash)| *hash);
                    hashes.into_iter().any(|hash| batch.tree.contains(&hash))
                })
                .map(|(request, _)| *request)
                .collect();
            self.store
                .keep_batch(self.seat.domain, &batch, &of, self.now)
                .await?;
            batches.push(batch);
        }
        Ok(batches)
    }
}

/// Members of a group that a failed ceremony names.
fn culprits(error: &AttestError, group: &Group) -> Vec<NodeId> {
    let AttestError::Signing(signing) = error else {
        return Vec::new();
    };
    let SignError::NotEnough { faults, .. } = signing.as_ref() else {
        return Vec::new();
    };
    let faulty = faults.iter().map(|fault| fault.node);
    faulty.filter(|node| group.members.contains(node)).collect()
}

/// A request's leaves in batches: each leaf in one, the first that has it.
fn answer(
    pending: &Pending,
    agreed: &Agreed,
    new: &[SignedBatch],
    silent: &[NodeId],
) -> AttestBatches {
    let mut open: Vec<(&LeafKey, Bytes32)> = Vec::new();
    let mut unattested = Vec::new();
    for (key, hash) in &agreed.places {
        match hash {
            Some(hash) => open.push((key, *hash)),
            None => unattested.push(key.clone()),
        }
    }
    let mut batches = Vec::new();
    for batch in pending.earlier.iter().chain(new) {
        let mut leaves = Vec::new();
        open.retain(|(key, leaf_hash)| {
            let Some((index, path)) = batch.tree.inclusion(leaf_hash) else {
                return true;
            };
            leaves.push(BatchLeaf {
                key: (*key).clone(),
                leaf_hash: *leaf_hash,
                index,
                path,
            });
            false
        });
        if !leaves.is_empty() {
            batches.push(Batch {
                root: batch.root.clone(),
                receipt: batch.receipt.clone(),
                leaves,
            });
        }
    }
    unattested.extend(open.into_iter().map(|(key, _)| key.clone()));
    AttestBatches {
        batches,
        unattested,
        silent: silent.to_vec(),
        differing: agreed.differing.iter().copied().collect(),
    }
}

/// The answer to a request all of whose leaves, as this node acknowledged them, are in batches that it coordinated.
pub(super) fn complete(pending: &Pending, own: &Acks) -> Option<AttestBatches> {
    let agreed = Agreed {
        places: own
            .iter()
            .map(|(key, hash)| (key.clone(), Some(*hash)))
            .collect(),
        differing: BTreeSet::new(),
    };
    let batches = answer(pending, &agreed, &[], &[]);
    (!own.is_empty() && batches.unattested.is_empty()).then_some(batches)
}
