//! The coordinator's side of a signing ceremony.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contracts::encoding::{Blob, Bytes32};
use contracts::ids::NodeId;
use frost_core::{
    CheaterDetection, Ciphersuite, Error as FrostError, Identifier, aggregate_custom, round1,
    round2,
};
use rand_core::{OsRng, RngCore};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::signer::{
    self, COMMIT, CommitRequest, Commitments, SHARE, ShareRequest, Shares, UNKNOWN_SESSION,
};
use super::{Fault, FaultKind, MAX_CONTEXT_BYTES, SignError, SignTopic, Signed};
use crate::ceremony::{KeyId, Suite};
use crate::keys::{KeyError, KeyRecord};
use crate::node::Node;
use crate::peer::PeerError;

/// Signs what `context` stands for with a committee's key, in its present epoch. This node coordinates and must sit
/// on the committee.
///
/// Bounded: at most n − t + 2 attempts of two rounds, each round at most one peer time-out.
///
/// # Errors
/// See [`SignError`]; it names every node that failed.
pub async fn sign<C: Serialize>(
    node: &Arc<Node>,
    key: KeyId,
    topic: SignTopic<C>,
    context: &C,
) -> Result<Signed, SignError> {
    let epoch = node.epoch(key.committee());
    let record = node.keys().get(key, epoch)?;
    let context = serde_json::to_value(context).map_err(|_| SignError::Context)?;
    if context.to_string().len() > MAX_CONTEXT_BYTES {
        return Err(SignError::Context);
    }
    let ceremony = Ceremony {
        node,
        record: &record,
        topic: topic.name(),
        context,
    };
    let signed = match key.suite() {
        Suite::Secp256k1 => ceremony.run::<frost_secp256k1::Secp256K1Sha256>().await,
        Suite::Ed25519 => ceremony.run::<frost_ed25519::Ed25519Sha512>().await,
        Suite::Ristretto255 => return Err(SignError::NotSigning(key)),
    };
    let metrics = node.metrics();
    match &signed {
        Ok(signed) => {
            metrics.ceremony(key.as_str(), "signed");
            for fault in &signed.faults {
                metrics.fault(fault.node, fault.kind.name());
            }
        }
        Err(_) => metrics.ceremony(key.as_str(), "failed"),
    }
    signed
}

struct Ceremony<'a> {
    node: &'a Arc<Node>,
    record: &'a Arc<KeyRecord>,
    topic: &'static str,
    context: Value,
}

/// A quorum that committed to the same messages.
struct Quorum {
    session: Bytes32,
    messages: Vec<Vec<u8>>,
    commitments: BTreeMap<NodeId, Vec<Blob>>,
}

impl Ceremony<'_> {
    async fn run<C: Ciphersuite>(&self) -> Result<Signed, SignError> {
        let mut faults = Vec::new();
        let mut excluded = BTreeSet::new();
        let mut forgiven = BTreeSet::new();
        loop {
            let quorum = self.commit::<C>(&excluded, &mut faults).await?;
            let before = faults.len();
            if let Some(signatures) = self.finish::<C>(&quorum, &mut faults).await? {
                return Ok(Signed {
                    epoch: self.record.epoch,
                    messages: quorum.messages,
                    signatures,
                    signers: quorum.commitments.into_keys().collect(),
                    faults,
                });
            }
            for fault in &faults[before..] {
                // Nonces lost in a restart are nobody's fault: such a node gets one more attempt.
                let lost = matches!(&fault.kind, FaultKind::Refused(refusal) if refusal.code == UNKNOWN_SESSION);
                if !lost || !forgiven.insert(fault.node) {
                    excluded.insert(fault.node);
                }
            }
            if excluded.contains(&self.node.id()) {
                return Err(self.not_enough(Vec::new(), faults));
            }
        }
    }

    fn not_enough(&self, good: Vec<NodeId>, faults: Vec<Fault>) -> SignError {
        SignError::NotEnough {
            key: self.record.key,
            needed: self.record.threshold,
            good,
            faults,
        }
    }

    /// Round one: asks every member that is not excluded, returns with the first t good answers.
    async fn commit<C: Ciphersuite>(
        &self,
        excluded: &BTreeSet<NodeId>,
        faults: &mut Vec<Fault>,
    ) -> Result<Quorum, SignError> {
        let own = self.node.id();
        let mut session = Bytes32::from([0; 32]);
        OsRng.fill_bytes(&mut session.0);
        let request = CommitRequest {
            session,
            key: self.record.key,
            epoch: self.record.epoch,
            topic: self.topic.to_owned(),
            context: self.context.clone(),
        };
        let (sender, mut answers) = mpsc::unbounded_channel();
        let others = self
            .record
            .members
            .iter()
            .filter(|member| **member != own && !excluded.contains(member));
        for member in others.copied() {
            let (node, request, sender) = (Arc::clone(self.node), request.clone(), sender.clone());
            // On a task of its own, so that a straggler's failure is logged after the quorum has gone on.
            self.node.runtime().spawn(async move {
                let answer = node.call(member, COMMIT, &request).await;
                if let Err(error) = &answer {
                    tracing::warn!(node = %node.id(), member = %member, key = %request.key, %error, "no signer");
                }
                // The receiver is gone when the quorum was complete without this answer.
                let _ = sender.send((member, answer));
            });
        }
        drop(sender);

        let (first, messages) = match signer::commit(self.node, own, request).await {
            Ok(first) => first,
            Err(refusal) if refusal.is_transient() => {
                // What the others do says who is missing.
                let kind = FaultKind::Refused(refusal);
                faults.push(Fault { node: own, kind });
                let mut good = Vec::new();
                while let Some((member, answer)) = answers.recv().await {
                    match answer {
                        Ok(_) => good.push(member),
                        Err(error) => self.report(faults, error.into()),
                    }
                }
                return Err(self.not_enough(good, std::mem::take(faults)));
            }
            Err(refusal) => return Err(SignError::Own(refusal)),
        };
        let expected = first.digest;
        let needed = usize::from(self.record.threshold);
        let mut commitments = BTreeMap::from([(own, first.commitments)]);
        while commitments.len() < needed {
            let Some((member, answer)) = answers.recv().await else {
                let mut named = Vec::new();
                for fault in std::mem::take(faults) {
                    if !named.contains(&fault) {
                        named.push(fault);
                    }
                }
                return Err(self.not_enough(commitments.into_keys().collect(), named));
            };
            match check_commitments::<C>(member, answer, &expected, messages.len()) {
                Ok(good) => {
                    commitments.insert(member, good);
                }
                Err(fault) => self.report(faults, fault),
            }
        }
        Ok(Quorum {
            session,
            messages,
            commitments,
        })
    }

    /// Round two: shares of the chosen quorum; none if somebody of it failed, who is then among the faults.
    async fn finish<C: Ciphersuite>(
        &self,
        quorum: &Quorum,
        faults: &mut Vec<Fault>,
    ) -> Result<Option<Vec<Vec<u8>>>, SignError> {
        let own = self.node.id();
        let request = ShareRequest {
            session: quorum.session,
            commitments: quorum.commitments.clone(),
        };
        let calls = quorum.commitments.keys().map(|member| {
            let request = &request;
            async move {
                let answer = if *member == own {
                    signer::share(self.node, own, request)
                        .map_err(|refusal| PeerError::Refused { node: own, refusal })
                } else {
                    self.node.call(*member, SHARE, request).await
                };
                (*member, answer)
            }
        });
        let mut shares = BTreeMap::new();
        let mut failed = false;
        for (member, answer) in futures::future::join_all(calls).await {
            match check_shares::<C>(member, answer, quorum.messages.len()) {
                Ok(good) => {
                    shares.insert(member, good);
                }
                Err(fault) => {
                    failed = true;
                    self.report(faults, fault);
                }
            }
        }
        if failed {
            return Ok(None);
        }
        let public = self.record.public::<C>()?;
        let decode = || KeyError::Decode {
            key: self.record.key,
            epoch: self.record.epoch,
        };
        let mut signatures = Vec::with_capacity(quorum.messages.len());
        let mut culprits = BTreeSet::new();
        for (index, message) in quorum.messages.iter().enumerate() {
            let package = signer::signing_package::<C>(&quorum.commitments, index, message)
                .ok_or_else(decode)?;
            let per_message = shares
                .iter()
                .map(|(member, shares)| {
                    Some((
                        Identifier::<C>::try_from(member.get()).ok()?,
                        *shares.get(index)?,
                    ))
                })
                .collect::<Option<BTreeMap<_, _>>>()
                .ok_or_else(decode)?;
            match aggregate_custom(
                &package,
                &per_message,
                &public,
                CheaterDetection::AllCheaters,
            ) {
                Ok(signature) => signatures.push(signature.serialize().map_err(|_| decode())?),
                Err(FrostError::InvalidSignatureShare { culprits: named }) => {
                    culprits.extend(shares.keys().copied().filter(|member| {
                        Identifier::<C>::try_from(member.get())
                            .is_ok_and(|identifier| named.contains(&identifier))
                    }));
                }
                Err(error) => {
                    tracing::error!(key = %self.record.key, %error, "aggregation failed without a culprit");
                    return Err(decode().into());
                }
            }
        }
        for node in &culprits {
            self.report(
                faults,
                Fault {
                    node: *node,
                    kind: FaultKind::WrongShare,
                },
            );
        }
        Ok(culprits.is_empty().then_some(signatures))
    }

    fn report(&self, faults: &mut Vec<Fault>, fault: Fault) {
        tracing::warn!(node = %self.node.id(), key = %self.record.key, topic = self.topic, %fault, "signing ceremony");
        faults.push(fault);
    }
}

fn check_commitments<C: Ciphersuite>(
    member: NodeId,
    answer: Result<Commitments, PeerError>,
    digest: &Bytes32,
    count: usize,
) -> Result<Vec<Blob>, Fault> {
    let answer = answer?;
    let fault = |kind| Fault { node: member, kind };
    if answer.digest != *digest {
        return Err(fault(FaultKind::Disagrees));
    }
    let decodes = |blob: &Blob| round1::SigningCommitments::<C>::deserialize(&blob.0).is_ok();
    if answer.commitments.len() != count || !answer.commitments.iter().all(decodes) {
        return Err(fault(FaultKind::Invalid(
            "commitments that do not decode".to_owned(),
        )));
    }
    Ok(answer.commitments)
}

fn check_shares<C: Ciphersuite>(
    member: NodeId,
    answer: Result<Shares, PeerError>,
    count: usize,
) -> Result<Vec<round2::SignatureShare<C>>, Fault> {
    let shares = answer?.shares;
    let invalid = || Fault {
        node: member,
        kind: FaultKind::Invalid("shares that do not decode".to_owned()),
    };
    if shares.len() != count {
        return Err(invalid());
    }
    shares
        .iter()
        .map(|share| round2::SignatureShare::deserialize(&share.0).map_err(|_| invalid()))
        .collect()
}
