//! Accusations with evidence that anybody can check, and the judgement: always one culprit.

use contracts::encoding::Bytes32;
use contracts::ids::NodeId;
use frost_core::Ciphersuite;
use frost_core::keys::SecretShare;
use frost_core::keys::dkg::{self, round1, round2};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::identifier;
use super::messages::{Plan, Round1, Round2, Seen, share_info};
use crate::ceremony::Suite;
use crate::hpke::NodeKeyPair;
use crate::peer::Peers;

/// Who is accused of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "of", rename_all = "kebab-case")]
pub enum Accusation {
    /// A round-1 package that does not decode or whose proof of knowledge is wrong. The package is the evidence.
    BadProof {
        /// The accused.
        accused: NodeId,
    },
    /// Two round-1 packages signed for one session.
    Equivocation {
        /// What one member was given.
        first: Seen,
        /// What another was given.
        second: Seen,
    },
    /// A share that does not open or does not fit the accused's commitments.
    BadShare {
        /// The accused.
        accused: NodeId,
        /// The secret half of the accuser's session key; it opens this session's shares and nothing else.
        session_secret: Bytes32,
    },
}

/// What a judgement found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) culprit: NodeId,
    pub(super) cause: &'static str,
}

/// The first member whose round-1 package does not decode or whose proof of knowledge is wrong.
///
/// Checked as an outside observer: FROST's own check runs when a participant meets the packages of all others, so an
/// observer takes part under an identifier that is no member's, and throws its own share away.
pub(super) fn bad_proof<C: Ciphersuite>(plan: &Plan, round1: &[Round1]) -> Option<NodeId> {
    let mut packages = std::collections::BTreeMap::new();
    for message in round1 {
        let Ok(package) = round1::Package::<C>::deserialize(&message.package.0) else {
            return Some(message.node);
        };
        if package.commitment().coefficients().len() != usize::from(plan.threshold) {
            return Some(message.node);
        }
        packages.insert(identifier::<C>(message.node)?, package);
    }
    let observer = (1..=u16::MAX)
        .rev()
        .find(|id| plan.members.iter().all(|member| member.get() != *id))?;
    let observer = frost_core::Identifier::<C>::try_from(observer).ok()?;
    let size = u16::try_from(round1.len() + 1).ok()?;
    let (secret, _) = dkg::part1::<C, _>(observer, size, plan.threshold, OsRng).ok()?;
    match dkg::part2(secret, &packages) {
        Err(frost_core::Error::InvalidProofOfKnowledge { culprit }) => round1
            .iter()
            .map(|message| message.node)
            .find(|node| identifier::<C>(*node) == Some(culprit)),
        _ => None,
    }
}

/// As [`bad_proof`], for the plan's suite.
pub(super) fn bad_proof_of(plan: &Plan, round1: &[Round1]) -> Option<NodeId> {
    match plan.key.suite() {
        Suite::Secp256k1 => bad_proof::<frost_secp256k1::Secp256K1Sha256>(plan, round1),
        Suite::Ed25519 => bad_proof::<frost_ed25519::Ed25519Sha512>(plan, round1),
        Suite::Ristretto255 => bad_proof::<frost_ristretto255::Ristretto255Sha512>(plan, round1),
    }
}

/// Judges an accusation: either it holds and the accused is the culprit, or the accuser is.
pub(super) fn judge(
    plan: &Plan,
    round1: &[Round1],
    round2: &[Round2],
    accuser: NodeId,
    accusation: &Accusation,
    peers: &Peers,
) -> Judgement {
    let held = |culprit, cause| Judgement { culprit, cause };
    let slander = Judgement {
        culprit: accuser,
        cause: "it accused another without evidence",
    };
    match accusation {
        Accusation::BadProof { accused } => match bad_proof_of(plan, round1) {
            Some(culprit) if culprit == *accused => {
                held(culprit, "its proof of knowledge is wrong")
            }
            _ => slander,
        },
        Accusation::Equivocation { first, second } => {
            let hash = plan.hash();
            let proven = first.node == second.node
                && first.digest != second.digest
                && first.is_signed(&hash, peers)
                && second.is_signed(&hash, peers);
            if proven {
                held(first.node, "it signed two round-1 packages for one session")
            } else {
                slander
            }
        }
        Accusation::BadShare {
            accused,
            session_secret,
        } => {
            let keys = NodeKeyPair::from_secret(Zeroizing::new(session_secret.0));
            let published = round1
                .iter()
                .find(|message| message.node == accuser)
                .map(|message| message.session_key);
            if published != Some(*keys.public()) {
                return slander;
            }
            let good = match plan.key.suite() {
                Suite::Secp256k1 => share_is_good::<frost_secp256k1::Secp256K1Sha256>(
                    plan, round1, round2, *accused, accuser, &keys,
                ),
                Suite::Ed25519 => share_is_good::<frost_ed25519::Ed25519Sha512>(
                    plan, round1, round2, *accused, accuser, &keys,
                ),
                Suite::Ristretto255 => share_is_good::<frost_ristretto255::Ristretto255Sha512>(
                    plan, round1, round2, *accused, accuser, &keys,
                ),
            };
            match good {
                Some(false) => held(*accused, "the share it dealt does not fit its commitments"),
                Some(true) | None => slander,
            }
        }
    }
}

/// Whether the share `from` dealt to the holder of `keys` fits `from`'s commitments; none if there is no such share.
fn share_is_good<C: Ciphersuite>(
    plan: &Plan,
    round1: &[Round1],
    round2: &[Round2],
    from: NodeId,
    to: NodeId,
    keys: &NodeKeyPair,
) -> Option<bool> {
    let commitment = round1.iter().find(|message| message.node == from)?;
    let commitment = round1::Package::<C>::deserialize(&commitment.package.0).ok()?;
    let share = round2
        .iter()
        .find(|message| message.node == from)?
        .shares
        .iter()
        .find(|share| share.to == to)?;
    let opened = keys.open(&share_info(&plan.hash(), from, to), b"", &share.sealed);
    let Ok(plaintext) = opened else {
        return Some(false);
    };
    let Ok(package) = round2::Package::<C>::deserialize(&plaintext) else {
        return Some(false);
    };
    let share = SecretShare::new(
        identifier::<C>(to)?,
        *package.signing_share(),
        commitment.commitment().clone(),
    );
    Some(share.verify().is_ok())
}
