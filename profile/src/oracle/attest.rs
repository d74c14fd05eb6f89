//! Facts of one domain: a blind request to every member, values opened and leaves rebuilt, one signed batch checked.

use std::collections::{BTreeMap, BTreeSet};

use contracts::attestation::{Attestation, CommitteeKeys};
use contracts::encoding::{Bytes, Bytes32};
use contracts::group::Point;
use contracts::ids::{AttributeId, Committee, Domain, NodeId};
use contracts::issuance::{
    Blindings, IssueContext, LeafRequest, Opening, build_leaf, prove_blinding, purpose,
};
use contracts::leaf::{Leaf, PERSON};
use contracts::rules::Fact;
use contracts::units::Day;
use oracles::problem::Problem;
use oracles::wire::attest::{
    AttestAnswer, AttestBatches, AttestCall, AttestRequest, LeafKey, NonceAnswer, NonceRequest,
    Observation, SealedRequest, VERSION, request_ref,
};
use oracles::wire::{HpkeBox, request_info, value_info};
use rand_core::OsRng;

use super::gather::{Answers, gather};
use super::{Failure, OracleError, Oracles, committee_of, random32};
use crate::wallet::{LeafKeys, SigningKey};

/// One leaf to be asked for.
#[derive(Debug)]
pub struct Wanted {
    /// The fact.
    pub fact: Fact,
    /// Which of several leaves of the fact.
    pub index: u32,
    /// The audience its purpose names.
    pub audience: String,
    /// The contract its purpose names.
    pub contract: Bytes32,
    /// Whether to be attested as withheld.
    pub withheld: bool,
    /// Days from observation to expiry.
    pub freshness_days: u16,
    /// Index of its wallet keys.
    pub wallet_index: u32,
    /// Its one-time keys.
    pub keys: LeafKeys,
}

/// A leaf that a committee attested and that checks out.
#[derive(Debug)]
pub struct AttestedLeaf {
    /// Place among the wanted leaves.
    pub wanted: usize,
    /// The verified attestation.
    pub attestation: Attestation,
    /// The salt of its purpose.
    pub purpose_salt: Bytes32,
    /// Value and blindings.
    pub opening: Opening,
}

/// What the profile brings to a request besides the wanted leaves.
pub struct Owner<'a> {
    /// Signs requests to this domain's committee.
    pub authorisation: &'a SigningKey,
    /// The domain's sealed handles, by node.
    pub handles: &'a [(NodeId, HpkeBox)],
    /// `S_d`.
    pub subject: &'a Point,
    /// The registered `C_k`, for the identity domain.
    pub person: Option<&'a Point>,
}

impl std::fmt::Debug for Owner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owner(..)")
    }
}

pub(super) const NONCES: &str = "nonces";
const REQUEST: &str = "attestation request";
const BATCH: &str = "attestation signature";

/// A request as sent, with what opens its answers.
struct Sent<'a> {
    domain: Domain,
    reference: Bytes32,
    context: IssueContext,
    leaves: Vec<LeafRequest>,
    salts: Vec<Bytes32>,
    blindings: Vec<Blindings>,
    expires: Vec<Day>,
    wanted: &'a [Wanted],
    owner: &'a Owner<'a>,
}

impl Oracles {
    /// Has leaves of one domain attested, with fresh blindings and a fresh request id.
    ///
    /// The wallet indexes of `wanted` must be used up durably before; a failed attempt needs others.
    ///
    /// # Errors
    /// [`OracleError`], naming the committee and what each member did.
    pub async fn attest(
        &self,
        domain: Domain,
        wanted: &[Wanted],
        owner: &Owner<'_>,
    ) -> Result<Vec<AttestedLeaf>, OracleError> {
        let committee = committee_of(domain);
        let (_, quorum) = self.committee(committee);
        let request_id = random32();
        let reference = request_ref(&request_id, &owner.authorisation.x_only());
        let path = format!("/v1/{domain}/nonce");
        let nonces = self
            .nonces(domain, &path, &reference, owner.handles)
            .await?;
        let epoch = nonces
            .good
            .first()
            .map(|(_, nonce)| nonce.epoch)
            .ok_or(OracleError::NotReady("no nonces"))?;
        let context = IssueContext {
            committee: domain,
            epoch,
            nonces: nonces
                .good
                .iter()
                .map(|(node, answer)| (*node, answer.nonce))
                .collect(),
            authorisation_key: owner.authorisation.x_only(),
            request_id,
            observed: self.clock.today(),
        };
        let sent = Sent::new(domain, reference, context, wanted, owner)?;
        let bodies = self.bodies(&sent)?;
        let path = format!("/v1/{domain}/request");
        let calls = bodies.into_iter().map(|(node, body)| {
            let (path, sent) = (&path, &sent);
            let call = async move {
                let answer = self
                    .post(node, path, &body, self.call_timeout(), super::ANSWER_CAP)
                    .await?;
                sent.open(node, &answer)
            };
            (node, call)
        });
        let answers = gather(
            REQUEST,
            committee,
            calls,
            quorum,
            self.grace(),
            self.call_timeout(),
        )
        .await;
        let agreed = sent.agree(answers, committee, quorum)?;

        let call = AttestCall { request: reference };
        let coordinators: Vec<NodeId> = agreed.nodes.iter().copied().collect();
        let path = format!("/v1/{domain}/attest");
        let check = |_, batches: AttestBatches| self.check_batches(&sent, &agreed, batches);
        let attestations = self
            .coordinate(BATCH, committee, &coordinators, &path, &call, check)
            .await?;
        Ok(sent.into_leaves(&agreed, attestations))
    }

    /// Nonces as [`Self::nonces_of`] gets them, asked for again when it fails and the committee turns out to have changed.
    pub(super) async fn nonces(
        &self,
        domain: Domain,
        path: &str,
        reference: &Bytes32,
        handles: &[(NodeId, HpkeBox)],
    ) -> Result<Answers<NonceAnswer>, OracleError> {
        match self.nonces_of(domain, path, reference, handles).await {
            Err(error @ OracleError::Quorum { .. }) => {
                if !self.follow().await {
                    return Err(error);
                }
                self.nonces_of(domain, path, reference, handles).await
            }
            answers => answers,
        }
    }

    /// Nonces of the members that hold a handle: all that answer within a bounded time, at least a quorum, one epoch.
    async fn nonces_of(
        &self,
        domain: Domain,
        path: &str,
        reference: &Bytes32,
        handles: &[(NodeId, HpkeBox)],
    ) -> Result<Answers<NonceAnswer>, OracleError> {
        let committee = committee_of(domain);
        let (members, quorum) = self.committee(committee);
        let body = NonceRequest {
            request: *reference,
        };
        let calls = members
            .iter()
            .filter(|id| handles.iter().any(|(node, _)| node == *id))
            .map(|&node| {
                let body = &body;
                let call = async move {
                    let answer: NonceAnswer = self
                        .post(node, path, body, self.call_timeout(), super::ANSWER_CAP)
                        .await?;
                    self.check_nonce(node, domain, &answer)?;
                    Ok(answer)
                };
                (node, call)
            });
        let answers = gather(
            NONCES,
            committee,
            calls,
            quorum,
            self.grace(),
            self.call_timeout(),
        )
        .await;
        one_epoch(answers, committee, quorum)
    }

    pub(super) fn check_nonce(
        &self,
        node: NodeId,
        domain: Domain,
        answer: &NonceAnswer,
    ) -> Result<(), Failure> {
        let wrong = |why: &str| Err(Failure::Wrong(why.to_owned()));
        if (answer.node, answer.committee) != (node, domain) {
            return wrong("a nonce of another node or committee");
        }
        if self.node(node)?.hpke_epoch != answer.hpke_epoch {
            return wrong("an HPKE key epoch other than the configured one");
        }
        if self.trust().fact_key(domain, answer.epoch).is_none() {
            return wrong("an epoch whose committee key is not trusted");
        }
        if answer.expires <= self.clock.now() {
            return wrong("a nonce that has expired");
        }
        Ok(())
    }

    /// The request sealed to each member whose nonce it names.
    fn bodies(&self, sent: &Sent<'_>) -> Result<Vec<(NodeId, SealedRequest)>, OracleError> {
        let proof = prove_blinding(&sent.context, &sent.leaves, &sent.blindings, &mut OsRng)
            .map_err(OracleError::internal)?;
        let mut request = AttestRequest {
            version: VERSION,
            context: sent.context.clone(),
            leaves: sent.leaves.clone(),
            proof,
            signature: Bytes([0; 64]),
            handle: first_handle(sent.owner.handles)?,
        };
        request.signature = sent.owner.authorisation.sign(&request.message());
        let mut bodies = Vec::with_capacity(sent.context.nonces.len());
        for (node, _) in &sent.context.nonces {
            let handle = sent.owner.handles.iter().find(|(id, _)| id == node);
            let Some((_, handle)) = handle else { continue };
            request.handle = handle.clone();
            let mut plaintext = zeroize::Zeroizing::new(
                serde_json::to_vec(&request).map_err(OracleError::internal)?,
            );
            // `true` is shorter than `false`: without this the length would count the withheld leaves.
            plaintext.extend(
                sent.leaves
                    .iter()
                    .filter(|leaf| leaf.withheld)
                    .map(|_| b' '),
            );
            let info = |epoch| request_info(sent.domain, *node, epoch);
            let sealed = self
                .seal_to(*node, info, &plaintext)
                .map_err(OracleError::internal)?;
            bodies.push((*node, SealedRequest { sealed }));
        }
        Ok(bodies)
    }

    /// Checks a coordinator's batches: every wanted leaf with the agreed hash, in a tree that the committee signed.
    fn check_batches(
        &self,
        sent: &Sent<'_>,
        agreed: &Agreed,
        answer: AttestBatches,
    ) -> Result<Vec<Attestation>, Failure> {
        let wrong = |why: &str| Failure::Wrong(why.to_owned());
        for (nodes, what) in [(&answer.silent, "silent"), (&answer.differing, "differing")] {
            if !nodes.is_empty() {
                tracing::warn!(domain = %sent.domain, ?nodes, "members were {what} when leaves were signed");
            }
        }
        // A member may acknowledge leaves that nobody asked for: they are no loss.
        let asked = |key: &LeafKey| agreed.leaves.contains_key(key);
        if answer.unattested.iter().any(asked) {
            return Err(Failure::Refused(Box::new(Problem::conflict(
                "unattested",
                "no quorum of members acknowledged the same leaf",
            ))));
        }
        let mut found: BTreeMap<LeafKey, Attestation> = BTreeMap::new();
        for batch in answer.batches {
            let statement = &batch.root.statement;
            if (statement.committee, statement.epoch) != (sent.domain, sent.context.epoch) {
                return Err(wrong("a root of another committee or epoch"));
            }
            let key = self
                .trust()
                .attestation_key(sent.domain, sent.context.epoch)
                .ok_or_else(|| wrong("an epoch whose committee key is not trusted"))?;
            batch
                .root
                .verify(&key)
                .map_err(|error| Failure::Wrong(error.to_string()))?;
            if batch.receipt.entry != batch.root.entry() {
                return Err(wrong("a receipt of another entry than the root's"));
            }
            batch
                .receipt
                .verify(&self.trust())
                .map_err(|error| Failure::Wrong(error.to_string()))?;
            for place in batch.leaves {
                let leaf = agreed
                    .leaves
                    .get(&place.key)
                    .ok_or_else(|| wrong("a leaf that was not asked for"))?;
                if leaf.hash() != place.leaf_hash {
                    return Err(wrong("another leaf's hash"));
                }
                let attestation = Attestation {
                    leaf: leaf.clone(),
                    index: place.index,
                    path: place.path,
                    root: batch.root.clone(),
                };
                attestation
                    .check_path()
                    .map_err(|error| Failure::Wrong(error.to_string()))?;
                found.insert(place.key, attestation);
            }
        }
        let in_order = sent.leaves.iter().map(|leaf| {
            found
                .remove(&key_of(leaf))
                .ok_or_else(|| wrong("leaves are missing from the batches"))
        });
        in_order.collect()
    }
}

fn first_handle(handles: &[(NodeId, HpkeBox)]) -> Result<HpkeBox, OracleError> {
    handles
        .first()
        .map(|(_, handle)| handle.clone())
        .ok_or(OracleError::NotReady("enrol before asking a question"))
}

/// Keeps the nonces of the epoch that a quorum names.
pub(super) fn one_epoch(
    mut answers: Answers<NonceAnswer>,
    committee: Committee,
    quorum: u16,
) -> Result<Answers<NonceAnswer>, OracleError> {
    let mut epochs: BTreeMap<u64, u16> = BTreeMap::new();
    for (_, answer) in &answers.good {
        *epochs.entry(answer.epoch).or_default() += 1;
    }
    let Some((&epoch, _)) = epochs.iter().find(|(_, count)| **count >= quorum) else {
        return Err(answers.into_error(NONCES, committee, quorum));
    };
    answers.good.retain(|(_, answer)| answer.epoch == epoch);
    Ok(answers)
}

fn key_of(leaf: &LeafRequest) -> LeafKey {
    LeafKey {
        attribute: leaf.attribute.clone(),
        period: leaf.period,
        index: leaf.index,
    }
}

/// The leaves that a quorum built alike, and the nodes that did.
struct Agreed {
    nodes: BTreeSet<NodeId>,
    values: Vec<(i64, bool)>,
    leaves: BTreeMap<LeafKey, Leaf>,
}

/// One node's leaves, each rebuilt from the value it sealed: value, known, leaf.
type Opened = Vec<(i64, bool, Leaf)>;

impl<'a> Sent<'a> {
    fn new(
        domain: Domain,
        reference: Bytes32,
        context: IssueContext,
        wanted: &'a [Wanted],
        owner: &'a Owner<'a>,
    ) -> Result<Self, OracleError> {
        let mut sent = Self {
            domain,
            reference,
            leaves: Vec::with_capacity(wanted.len()),
            salts: Vec::with_capacity(wanted.len()),
            blindings: Vec::with_capacity(wanted.len()),
            expires: Vec::with_capacity(wanted.len()),
            context,
            wanted,
            owner,
        };
        for want in wanted {
            let AttributeId(attribute) = &want.fact.attribute;
            let blindings = Blindings::random(attribute == PERSON, &mut OsRng);
            let (r_value, r_known, r_subject, r_person) =
                blindings.points().map_err(OracleError::internal)?;
            let salt = random32();
            sent.leaves.push(LeafRequest {
                attribute: want.fact.attribute.clone(),
                period: want.fact.period,
                index: want.index,
                key: want.keys.holder.x_only(),
                seal_key: *want.keys.receive.public(),
                purpose: purpose(&salt, &want.contract, &want.audience),
                r_value,
                r_known,
                r_subject,
                r_person,
                withheld: want.withheld,
            });
            let freshness = i64::from(want.freshness_days);
            let expires = sent.context.observed.plus(freshness);
            sent.expires.push(expires.map_err(OracleError::internal)?);
            sent.salts.push(salt);
            sent.blindings.push(blindings);
        }
        Ok(sent)
    }

    /// Opens one node's values and rebuilds its leaves from them: its hashes must be those of its values.
    fn open(&self, node: NodeId, answer: &AttestAnswer) -> Result<Opened, Failure> {
        let wrong = |why: &str| Failure::Wrong(why.to_owned());
        if answer.node != node || answer.leaves.len() != self.leaves.len() {
            return Err(wrong("an answer of another node or another length"));
        }
        let places = self.leaves.iter().zip(self.wanted).zip(&self.expires);
        let mut opened = Vec::with_capacity(self.leaves.len());
        for (((request, wanted), expires), leaf_answer) in places.zip(&answer.leaves) {
            let AttributeId(attribute) = &request.attribute;
            let info = value_info(
                self.domain,
                node,
                &self.reference,
                attribute,
                request.period,
                request.index,
            );
            let bytes = wanted
                .keys
                .receive
                .open(&info, &[], &leaf_answer.sealed)
                .map_err(|_| wrong("a value that does not open"))?;
            let observation =
                Observation::from_bytes(&bytes).ok_or_else(|| wrong("a value of another form"))?;
            if request.withheld && observation.known {
                return Err(wrong("a value for a withheld leaf"));
            }
            let leaf = build_leaf(
                &self.context,
                request,
                observation.value,
                observation.known,
                self.owner.subject,
                self.owner.person.filter(|_| attribute == PERSON),
                *expires,
            )
            .map_err(|_| wrong("a value that makes no leaf"))?;
            if leaf.hash() != leaf_answer.leaf_hash {
                return Err(wrong("a leaf hash that is not that of the value sealed"));
            }
            opened.push((observation.value, observation.known, leaf));
        }
        Ok(opened)
    }

    /// The leaves that a quorum agrees on.
    fn agree(
        &self,
        answers: Answers<Opened>,
        committee: Committee,
        quorum: u16,
    ) -> Result<Agreed, OracleError> {
        let mut agreed = Agreed {
            nodes: answers.good.iter().map(|(node, _)| *node).collect(),
            values: Vec::with_capacity(self.leaves.len()),
            leaves: BTreeMap::new(),
        };
        for (at, request) in self.leaves.iter().enumerate() {
            let mut votes: BTreeMap<(i64, bool), Vec<NodeId>> = BTreeMap::new();
            for (node, opened) in &answers.good {
                if let Some((value, known, _)) = opened.get(at) {
                    votes.entry((*value, *known)).or_default().push(*node);
                }
            }
            let winner = votes
                .iter()
                .find(|(_, nodes)| nodes.len() >= usize::from(quorum));
            let Some((&(value, known), nodes)) = winner else {
                return Err(answers.into_error(REQUEST, committee, quorum));
            };
            for (node, opened) in &answers.good {
                match opened.get(at) {
                    Some((_, _, leaf)) if nodes.contains(node) => {
                        agreed.leaves.insert(key_of(request), leaf.clone());
                    }
                    _ => {
                        tracing::warn!(%node, attribute = %request.attribute, "an oracle differs from the quorum");
                    }
                }
            }
            agreed.values.push((value, known));
        }
        Ok(agreed)
    }

    fn into_leaves(self, agreed: &Agreed, attestations: Vec<Attestation>) -> Vec<AttestedLeaf> {
        let parts = attestations.into_iter().zip(&agreed.values);
        let secrets = self.salts.into_iter().zip(self.blindings);
        parts
            .zip(secrets)
            .enumerate()
            .map(
                |(wanted, ((attestation, &(value, known)), (purpose_salt, blindings)))| {
                    AttestedLeaf {
                        wanted,
                        attestation,
                        purpose_salt,
                        opening: Opening {
                            value,
                            known,
                            blindings,
                        },
                    }
                },
            )
            .collect()
    }
}
