//! The signer's side of a signing ceremony.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::encoding::{Blob, Bytes32};
use contracts::ids::NodeId;
use frost_core::keys::KeyPackage;
use frost_core::{Ciphersuite, Identifier, SigningPackage, round1, round2};
use rand_core::{CryptoRng, OsRng, RngCore};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::nonces::Committed;
use super::{MAX_CONTEXT_BYTES, MAX_MESSAGE_BYTES, MAX_MESSAGES, SignCall, digest};
use crate::ceremony::epoch::STATEMENT;
use crate::ceremony::{KeyId, Suite};
use crate::config::MAX_MEMBERS;
use crate::faults;
use crate::keys::{KeyError, KeyRecord};
use crate::node::{Node, Router};
use crate::peer::{Refusal, Topic};

/// JSON bytes of one serialised commitment or share, with room.
const ITEM_BYTES: usize = 256;

/// Round one: what is to be signed, by context.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitRequest {
    pub(super) session: Bytes32,
    pub(super) key: KeyId,
    pub(super) epoch: u64,
    pub(super) topic: String,
    pub(super) context: Value,
}

/// Round one's answer: which messages the signer rebuilt, and a nonce commitment for each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Commitments {
    pub(super) digest: Bytes32,
    pub(super) commitments: Vec<Blob>,
}

/// Round two: the commitments of the chosen signers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShareRequest {
    pub(super) session: Bytes32,
    pub(super) commitments: BTreeMap<NodeId, Vec<Blob>>,
}

/// Round two's answer: a signature share per message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shares {
    pub(super) shares: Vec<Blob>,
}

pub(super) const COMMIT: Topic<CommitRequest, Commitments> =
    Topic::new("sign.commit").with_caps(MAX_CONTEXT_BYTES + 1024, MAX_MESSAGES * ITEM_BYTES + 1024);
pub(super) const SHARE: Topic<ShareRequest, Shares> = Topic::new("sign.share").with_caps(
    MAX_MEMBERS * MAX_MESSAGES * ITEM_BYTES + 1024,
    MAX_MESSAGES * ITEM_BYTES + 1024,
);

/// Registers the signer's topics.
pub(crate) fn mount(router: &mut Router) {
    router.answers(COMMIT, |node, from, request| async move {
        commit(&node, from, request).await.map(|(answer, _)| answer)
    });
    router.answers(SHARE, |node, from, request| async move {
        share(&node, from, &request)
    });
}

/// Rebuilds the messages and commits to nonces for them. Returns the messages too, for a coordinator that is a signer.
pub(super) async fn commit(
    node: &Arc<Node>,
    from: NodeId,
    request: CommitRequest,
) -> Result<(Commitments, Vec<Vec<u8>>), Refusal> {
    let CommitRequest {
        session,
        key,
        epoch,
        topic,
        context,
    } = request;
    let record = node.keys().get(key, epoch)?;
    if !record.members.contains(&from) {
        return Err(Refusal::new(
            "not-a-member",
            format!("node {from} is not on the committee of the {key} key"),
        ));
    }
    // Who voted for the next epoch signs nothing else in this one, so that its memory can be handed on complete.
    if topic != STATEMENT.name() && node.keys().is_changing(key.committee(), epoch) {
        let committee = key.committee();
        return Err(KeyError::Changing { committee }.into());
    }
    let call = SignCall {
        key,
        epoch,
        coordinator: from,
    };
    let rebuilt = {
        let router = node.router();
        let source = router.source(key, &topic).ok_or_else(|| {
            Refusal::new(
                "unknown-topic",
                format!("the {key} key does not sign {topic}"),
            )
        })?;
        source(Arc::clone(node), call, context)
    };
    let messages = rebuilt.await?;
    // What was rebuilt rests on this node's memory, and the signature on it will outlive that: see `rollback`.
    node.marks().record(key.committee()).await?;
    let sized = messages
        .iter()
        .all(|message| message.len() <= MAX_MESSAGE_BYTES);
    if messages.is_empty() || messages.len() > MAX_MESSAGES || !sized {
        return Err(Refusal::new(
            "too-large",
            "the context stands for no messages, too many or too large ones",
        ));
    }
    let (commitments, nonces) = match key.suite() {
        Suite::Secp256k1 => {
            fresh_nonces::<frost_secp256k1::Secp256K1Sha256>(&record, messages.len(), &mut OsRng)?
        }
        Suite::Ed25519 => {
            fresh_nonces::<frost_ed25519::Ed25519Sha512>(&record, messages.len(), &mut OsRng)?
        }
        Suite::Ristretto255 => {
            return Err(Refusal::new(
                "not-signing",
                format!("the {key} key does not sign"),
            ));
        }
    };
    let answer = Commitments {
        digest: digest(&messages).into(),
        commitments,
    };
    let committed = Committed {
        key,
        epoch,
        messages: messages.clone(),
        nonces,
    };
    if !node.nonces().put(from, session, committed) {
        return Err(Refusal::new(
            "session-in-use",
            "this session id is in use; choose another",
        ));
    }
    faults::step("sign.committed");
    Ok((answer, messages))
}

type FreshNonces = (Vec<Blob>, Vec<Zeroizing<Vec<u8>>>);

fn fresh_nonces<C: Ciphersuite>(
    record: &KeyRecord,
    count: usize,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<FreshNonces, Refusal> {
    let package: KeyPackage<C> = record.key_package()?;
    let mut all = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        let (nonces, commitments) = round1::commit(package.signing_share(), rng);
        all.0.push(Blob(
            commitments
                .serialize()
                .map_err(|error| Refusal::internal(&error))?,
        ));
        all.1.push(Zeroizing::new(
            nonces
                .serialize()
                .map_err(|error| Refusal::internal(&error))?,
        ));
    }
    Ok(all)
}

/// Signs what was rebuilt in round one, once.
pub(super) fn share(
    node: &Arc<Node>,
    from: NodeId,
    request: &ShareRequest,
) -> Result<Shares, Refusal> {
    let committed = node.nonces().take(from, &request.session).ok_or_else(|| {
        Refusal::new(
            UNKNOWN_SESSION,
            "no nonces for this session: used, expired, or lost in a restart",
        )
    })?;
    let record = node.keys().get(committed.key, committed.epoch)?;
    let known = request
        .commitments
        .keys()
        .all(|signer| record.members.contains(signer));
    let complete = request
        .commitments
        .values()
        .all(|per_message| per_message.len() == committed.messages.len());
    if !known || !complete || request.commitments.len() < usize::from(record.threshold) {
        return Err(Refusal::new(
            "malformed",
            "the commitments are not those of a quorum of this committee",
        ));
    }
    match committed.key.suite() {
        Suite::Secp256k1 => {
            sign_shares::<frost_secp256k1::Secp256K1Sha256>(&record, &committed, request)
        }
        Suite::Ed25519 => sign_shares::<frost_ed25519::Ed25519Sha512>(&record, &committed, request),
        Suite::Ristretto255 => Err(Refusal::new("not-signing", "this key does not sign")),
    }
}

/// Code of the refusal of a signer that has no nonces (any more) for a session.
pub(super) const UNKNOWN_SESSION: &str = "unknown-session";

fn sign_shares<C: Ciphersuite>(
    record: &KeyRecord,
    committed: &Committed,
    request: &ShareRequest,
) -> Result<Shares, Refusal> {
    let package: KeyPackage<C> = record.key_package()?;
    let mut shares = Vec::with_capacity(committed.messages.len());
    for (index, (message, nonces)) in committed.messages.iter().zip(&committed.nonces).enumerate() {
        let signing = signing_package::<C>(&request.commitments, index, message)
            .ok_or_else(|| Refusal::new("malformed", "a commitment does not decode"))?;
        let nonces = round1::SigningNonces::<C>::deserialize(nonces)
            .map_err(|error| Refusal::internal(&error))?;
        let share = round2::sign(&signing, &nonces, &package)
            .map_err(|error| Refusal::new("malformed", format!("cannot sign: {error}")))?;
        shares.push(Blob(share.serialize()));
    }
    faults::step("sign.shared");
    Ok(Shares { shares })
}

/// The signing package of the `index`-th message; none if a commitment is missing or does not decode.
pub(super) fn signing_package<C: Ciphersuite>(
    commitments: &BTreeMap<NodeId, Vec<Blob>>,
    index: usize,
    message: &[u8],
) -> Option<SigningPackage<C>> {
    let decoded = commitments
        .iter()
        .map(|(node, per_message)| {
            let identifier = Identifier::<C>::try_from(node.get()).ok()?;
            let commitment =
                round1::SigningCommitments::deserialize(&per_message.get(index)?.0).ok()?;
            Some((identifier, commitment))
        })
        .collect::<Option<BTreeMap<_, _>>>()?;
    Some(SigningPackage::new(decoded, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyStatus, NewKey};
    use contracts::ids::Committee;
    use frost_core::keys::{PublicKeyPackage, SigningShare, VerifyingShare};
    use frost_core::{CheaterDetection, VerifyingKey, aggregate_custom};

    /// Hands out the published nonce randomness, hiding before binding.
    struct Fixed(std::collections::VecDeque<Vec<u8>>);

    impl RngCore for Fixed {
        fn next_u32(&mut self) -> u32 {
            unreachable!("nonces are filled as bytes")
        }
        fn next_u64(&mut self) -> u64 {
            unreachable!("nonces are filled as bytes")
        }
        fn fill_bytes(&mut self, dest: &mut [u8]) {
            dest.copy_from_slice(&self.0.pop_front().unwrap());
        }
        fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
            self.fill_bytes(dest);
            Ok(())
        }
    }
    impl CryptoRng for Fixed {}

    /// Runs a published FROST example through the signer's own functions and the coordinator's aggregation.
    fn published_example<C: Ciphersuite>(key: KeyId, text: &str) {
        let vectors: Value = serde_json::from_str(text).unwrap();
        let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
        let number =
            |value: &Value| NodeId::new(u16::try_from(value.as_u64().unwrap()).unwrap()).unwrap();
        let id = |node: NodeId| Identifier::<C>::try_from(node.get()).unwrap();
        let inputs = &vectors["inputs"];
        let group = VerifyingKey::<C>::deserialize(&bytes(&inputs["verifying_key_key"])).unwrap();
        let message = bytes(&inputs["message"]);

        let shares: BTreeMap<NodeId, SigningShare<C>> = inputs["participant_shares"]
            .as_array()
            .unwrap()
            .iter()
            .map(|share| {
                let secret =
                    SigningShare::deserialize(&bytes(&share["participant_share"])).unwrap();
                (number(&share["identifier"]), secret)
            })
            .collect();
        let verifying = shares
            .iter()
            .map(|(node, share)| (id(*node), VerifyingShare::from(*share)))
            .collect();
        let public = PublicKeyPackage::<C>::new(verifying, group, Some(2));
        let record = |node: NodeId| {
            let share = shares[&node];
            let package = KeyPackage::<C>::new(id(node), share, share.into(), group, 2);
            let new = NewKey {
                key,
                epoch: 1,
                members: shares.keys().copied().collect(),
                threshold: 2,
                transcript: Bytes32::from([0; 32]),
                public_package: public.serialize().unwrap(),
                key_package: Zeroizing::new(package.serialize().unwrap()),
            };
            new.into_record(KeyStatus::Active, Vec::new())
        };

        let mut request = ShareRequest {
            session: Bytes32::from([0; 32]),
            commitments: BTreeMap::new(),
        };
        let mut committed = BTreeMap::new();
        for output in vectors["round_one_outputs"]["outputs"].as_array().unwrap() {
            let node = number(&output["identifier"]);
            let mut rng = Fixed(
                [
                    bytes(&output["hiding_nonce_randomness"]),
                    bytes(&output["binding_nonce_randomness"]),
                ]
                .into(),
            );
            let (commitments, nonces) = fresh_nonces::<C>(&record(node), 1, &mut rng).unwrap();
            let decoded = round1::SigningCommitments::<C>::deserialize(&commitments[0].0).unwrap();
            assert_eq!(
                decoded.hiding().serialize().unwrap(),
                bytes(&output["hiding_nonce_commitment"])
            );
            assert_eq!(
                decoded.binding().serialize().unwrap(),
                bytes(&output["binding_nonce_commitment"])
            );
            request.commitments.insert(node, commitments);
            committed.insert(
                node,
                Committed {
                    key,
                    epoch: 1,
                    messages: vec![message.clone()],
                    nonces,
                },
            );
        }
        let mut signature_shares = BTreeMap::new();
        for output in vectors["round_two_outputs"]["outputs"].as_array().unwrap() {
            let node = number(&output["identifier"]);
            let shares = sign_shares::<C>(&record(node), &committed[&node], &request).unwrap();
            assert_eq!(shares.shares[0].0, bytes(&output["sig_share"]));
            signature_shares.insert(
                id(node),
                round2::SignatureShare::deserialize(&shares.shares[0].0).unwrap(),
            );
        }
        let package = signing_package::<C>(&request.commitments, 0, &message).unwrap();
        let signature = aggregate_custom(
            &package,
            &signature_shares,
            &public,
            CheaterDetection::AllCheaters,
        )
        .unwrap();
        assert_eq!(
            signature.serialize().unwrap(),
            bytes(&vectors["final_output"]["sig"])
        );
    }

    #[test]
    fn rfc_9591_appendix_e_1_ed25519() {
        let text = include_str!("../../../../fixtures/vectors/rfc9591-frost-ed25519.json");
        published_example::<frost_ed25519::Ed25519Sha512>(Committee::Decision.into(), text);
    }

    #[test]
    fn rfc_9591_appendix_e_5_secp256k1() {
        let text = include_str!("../../../../fixtures/vectors/rfc9591-frost-secp256k1.json");
        published_example::<frost_secp256k1::Secp256K1Sha256>(Committee::Income.into(), text);
    }
}
