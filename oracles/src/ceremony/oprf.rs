//! The threshold OPRF of the identity committee: RFC 9497 mode 0x00, ristretto255-SHA512, its key in shares.
//!
//! With `M = HashToGroup(input)` each node answers `Zᵢ = kᵢ·M` and a Chaum–Pedersen proof that `log_M Zᵢ = log_G Yᵢ`,
//! where `Yᵢ = kᵢ·G` is its public verification share. t good answers combine to `Z = Σ λᵢ·Zᵢ = k·M`, and
//! `Finalize(input, Z)` is the output. Nodes that see the input themselves need no blinding, and the output is that
//! of the blinded protocol.
//!
//! What this module does not decide is who may have an evaluation: callers count and authorise them. t nodes together,
//! or one node that is given evaluations without bound, can go through all SSNs.

use std::collections::BTreeMap;

use contracts::encoding::{Bytes32, tagged_hash};
use contracts::group::{Point, PublicScalar, hash_to_group};
use contracts::ids::NodeId;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, VartimeMultiscalarMul};
use frost_ristretto255::Ristretto255Sha512;
use frost_ristretto255::keys::{KeyPackage, PublicKeyPackage};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use super::KeyId;
use crate::keys::{KeyError, KeyRecord};

/// Bytes of an output (SHA-512).
pub const OUTPUT_BYTES: usize = 64;
/// Longest input, in bytes (RFC 9497 §1.2: its length is two bytes).
pub const MAX_INPUT_BYTES: usize = 65_535;
/// RFC 9497 §4.1 and §3.1: `"HashToGroup-" ‖ "OPRFV1-" ‖ I2OSP(0x00, 1) ‖ "-" ‖ "ristretto255-SHA512"`.
const HASH_TO_GROUP: &str = "HashToGroup-OPRFV1-\u{0}-ristretto255-SHA512";

/// An evaluation that cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OprfError {
    /// Empty, longer than [`MAX_INPUT_BYTES`], or one that hashes to the identity.
    #[error("OPRF input: empty or longer than {MAX_INPUT_BYTES} bytes")]
    Input,
    /// The stored key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is not the OPRF's.
    #[error("the {0} key is not an OPRF key")]
    NotOprf(KeyId),
    /// Too few good answers.
    #[error("OPRF: {} of {needed} good answers; wrong: {}", .good.len(), join(.culprits))]
    NotEnough {
        /// Answers needed.
        needed: u16,
        /// Nodes that answered well.
        good: Vec<NodeId>,
        /// Nodes whose proof is wrong.
        culprits: Vec<NodeId>,
    },
}

fn join(nodes: &[NodeId]) -> String {
    nodes
        .iter()
        .map(NodeId::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// One node's answer, with its proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// The node.
    pub node: NodeId,
    /// `Zᵢ = kᵢ·M`.
    pub element: Point,
    /// Challenge of the proof.
    pub challenge: PublicScalar,
    /// Response of the proof.
    pub response: PublicScalar,
}

/// What [`combine`] made of the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combined {
    /// `Z = k·M`.
    pub element: Point,
    /// Nodes whose answers were used.
    pub used: Vec<NodeId>,
    /// Nodes whose proof is wrong.
    pub culprits: Vec<NodeId>,
}

/// `HashToGroup(input)`, RFC 9497 §4.1.
///
/// # Errors
/// [`OprfError::Input`].
pub fn element(input: &[u8]) -> Result<Point, OprfError> {
    if input.is_empty() || input.len() > MAX_INPUT_BYTES {
        return Err(OprfError::Input);
    }
    Point::new(hash_to_group(HASH_TO_GROUP, input)).map_err(|_| OprfError::Input)
}

/// `Finalize(input, Z)` without blinding, as `Evaluate` of RFC 9497 §3.3.1 ends.
///
/// # Errors
/// [`OprfError::Input`].
pub fn finalize(input: &[u8], element: &Point) -> Result<Zeroizing<[u8; OUTPUT_BYTES]>, OprfError> {
    let length = u16::try_from(input.len()).map_err(|_| OprfError::Input)?;
    let mut hash = Sha512::new();
    hash.update(length.to_be_bytes());
    hash.update(input);
    hash.update(32u16.to_be_bytes());
    hash.update(element.as_bytes());
    hash.update(b"Finalize");
    Ok(Zeroizing::new(hash.finalize().into()))
}

/// The verification share `Yᵢ` of a node.
fn verification_share(
    record: &KeyRecord,
    node: NodeId,
) -> Result<Option<RistrettoPoint>, OprfError> {
    let public: PublicKeyPackage = record.public::<Ristretto255Sha512>()?;
    Ok(super::dkg::identifier(node).and_then(|identifier| {
        public
            .verifying_shares()
            .get(&identifier)
            .map(|share| share.to_element())
    }))
}

/// What a proof is bound to: key, epoch and generation, the node, and the caller's request.
fn binding(record: &KeyRecord, node: NodeId, request: &Bytes32) -> [u8; 32] {
    tagged_hash(
        "shp/v1/oprf-context",
        &[
            record.key.as_str().as_bytes(),
            &record.epoch.to_be_bytes(),
            &record.transcript.0,
            &node.get().to_be_bytes(),
            &request.0,
        ],
    )
}

/// The Fiat–Shamir challenge over binding, `Yᵢ`, `M`, `Zᵢ` and both announcements, each of 32 bytes.
fn challenge(binding: &[u8; 32], points: [&RistrettoPoint; 5]) -> Scalar {
    let mut hash = Sha512::new();
    hash.update(b"shp/v1/oprf-dleq");
    hash.update(binding);
    for point in points {
        hash.update(point.compress().as_bytes());
    }
    Scalar::from_hash(hash)
}

/// This node's answer for `M`, proved; `request` names the owner-authorised request it is for.
///
/// # Errors
/// [`OprfError::NotOprf`], or a stored key that does not decode.
pub fn evaluate(
    record: &KeyRecord,
    node: NodeId,
    request: &Bytes32,
    element: &Point,
) -> Result<Evaluation, OprfError> {
    if record.key != KeyId::IdentityOprf {
        return Err(OprfError::NotOprf(record.key));
    }
    let decode = || KeyError::Decode {
        key: record.key,
        epoch: record.epoch,
    };
    let package: KeyPackage = record.key_package::<Ristretto255Sha512>()?;
    let bytes = Zeroizing::new(package.signing_share().serialize());
    let bytes: Zeroizing<[u8; 32]> =
        Zeroizing::new(bytes.as_slice().try_into().map_err(|_| decode())?);
    let share = Zeroizing::new(
        Option::<Scalar>::from(Scalar::from_canonical_bytes(*bytes)).ok_or_else(decode)?,
    );
    let (public, result) = (
        RISTRETTO_BASEPOINT_TABLE * &*share,
        element.point() * *share,
    );
    let nonce = Zeroizing::new(Scalar::random(&mut OsRng));
    let announcements = (
        RISTRETTO_BASEPOINT_TABLE * &*nonce,
        element.point() * *nonce,
    );
    let challenge = challenge(
        &binding(record, node, request),
        [
            &public,
            element.point(),
            &result,
            &announcements.0,
            &announcements.1,
        ],
    );
    Ok(Evaluation {
        node,
        element: Point::new(result).map_err(|_| decode())?,
        challenge: PublicScalar(challenge),
        response: PublicScalar(*nonce + challenge * *share),
    })
}

/// Whether a node's answer for `M` and `request` is right.
///
/// # Errors
/// A stored key that does not decode.
pub fn verify(
    record: &KeyRecord,
    request: &Bytes32,
    element: &Point,
    answer: &Evaluation,
) -> Result<bool, OprfError> {
    let Some(public) = verification_share(record, answer.node)? else {
        return Ok(false);
    };
    let (c, z) = (answer.challenge.0, answer.response.0);
    let result = answer.element.point();
    let first = RistrettoPoint::vartime_double_scalar_mul_basepoint(&-c, &public, &z);
    let second = RistrettoPoint::vartime_multiscalar_mul([z, -c], [element.point(), result]);
    let expected = challenge(
        &binding(record, answer.node, request),
        [&public, element.point(), result, &first, &second],
    );
    Ok(expected == c)
}

/// Checks the answers, and combines the first t good ones.
///
/// # Errors
/// [`OprfError::NotEnough`], naming the nodes whose proofs are wrong.
pub fn combine(
    record: &KeyRecord,
    request: &Bytes32,
    element: &Point,
    answers: &[Evaluation],
) -> Result<Combined, OprfError> {
    let mut good: BTreeMap<NodeId, RistrettoPoint> = BTreeMap::new();
    let mut culprits = Vec::new();
    for answer in answers {
        if !record.members.contains(&answer.node) || good.contains_key(&answer.node) {
            continue;
        }
        if verify(record, request, element, answer)? {
            good.insert(answer.node, *answer.element.point());
        } else {
            culprits.push(answer.node);
        }
        if good.len() == usize::from(record.threshold) {
            break;
        }
    }
    let used: Vec<NodeId> = good.keys().copied().collect();
    if used.len() < usize::from(record.threshold) {
        return Err(OprfError::NotEnough {
            needed: record.threshold,
            good: used,
            culprits,
        });
    }
    let combined = good
        .iter()
        .map(|(node, result)| lagrange(*node, &used) * result)
        .fold(RistrettoPoint::identity(), |sum, term| sum + term);
    let element = Point::new(combined).map_err(|_| KeyError::Decode {
        key: record.key,
        epoch: record.epoch,
    })?;
    Ok(Combined {
        element,
        used,
        culprits,
    })
}

/// The Lagrange coefficient of `node` at zero: `Π j / (j − i)` over the other nodes j.
fn lagrange(node: NodeId, nodes: &[NodeId]) -> Scalar {
    let i = Scalar::from(node.get());
    let (mut numerator, mut denominator) = (Scalar::ONE, Scalar::ONE);
    for other in nodes.iter().filter(|other| **other != node) {
        let j = Scalar::from(other.get());
        numerator *= j;
        denominator *= j - i;
    }
    numerator * denominator.invert()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyStatus, NewKey};
    use frost_ristretto255::SigningKey;
    use frost_ristretto255::keys::{IdentifierList, split};
    use voprf::{BlindedElement, EvaluationElement, OprfClient, OprfServer, Ristretto255};

    const REQUEST: Bytes32 = contracts::encoding::Bytes([9; 32]);

    /// The records of four nodes that hold `secret` in shares, three needed.
    fn records(secret: &[u8]) -> Vec<(NodeId, KeyRecord)> {
        let key = SigningKey::deserialize(secret).unwrap();
        let (shares, public) = split(&key, 4, 3, IdentifierList::Default, &mut OsRng).unwrap();
        let members: Vec<NodeId> = (1..=4).map(|id| NodeId::new(id).unwrap()).collect();
        members
            .iter()
            .map(|node| {
                let share =
                    shares[&frost_ristretto255::Identifier::try_from(node.get()).unwrap()].clone();
                let package = KeyPackage::try_from(share).unwrap();
                let new = NewKey {
                    key: KeyId::IdentityOprf,
                    epoch: 1,
                    members: members.clone(),
                    threshold: 3,
                    transcript: Bytes32::from([1; 32]),
                    public_package: public.serialize().unwrap(),
                    key_package: Zeroizing::new(package.serialize().unwrap()),
                };
                (*node, new.into_record(KeyStatus::Active, Vec::new()))
            })
            .collect()
    }

    fn evaluate_by(
        records: &[(NodeId, KeyRecord)],
        nodes: &[usize],
        element: &Point,
    ) -> Vec<Evaluation> {
        nodes
            .iter()
            .map(|index| {
                evaluate(&records[*index].1, records[*index].0, &REQUEST, element).unwrap()
            })
            .collect()
    }

    #[test]
    fn rfc_9497_appendix_a_1_1_by_any_three_of_four_shares() {
        let text = include_str!("../../../fixtures/vectors/rfc9497-ristretto255-sha512-oprf.json");
        let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
        let bytes = |value: &serde_json::Value| hex::decode(value.as_str().unwrap()).unwrap();
        let records = records(&bytes(&vectors["skSm"]));
        let record = &records[0].1;
        for vector in vectors["vectors"].as_array().unwrap() {
            let input = bytes(&vector["Input"]);
            for nodes in [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]] {
                let unblinded = element(&input).unwrap();
                let answers = evaluate_by(&records, &nodes, &unblinded);
                let combined = combine(record, &REQUEST, &unblinded, &answers).unwrap();
                assert_eq!(
                    finalize(&input, &combined.element).unwrap().to_vec(),
                    bytes(&vector["Output"])
                );

                let blinded =
                    Point::from_bytes(&bytes(&vector["BlindedElement"]).try_into().unwrap())
                        .unwrap();
                let answers = evaluate_by(&records, &nodes, &blinded);
                let combined = combine(record, &REQUEST, &blinded, &answers).unwrap();
                assert_eq!(
                    combined.element.as_bytes().to_vec(),
                    bytes(&vector["EvaluationElement"])
                );
            }
        }
    }

    #[test]
    fn the_voprf_crate_gives_the_same_output_blinded_and_unblinded() {
        let secret = Scalar::random(&mut OsRng).to_bytes();
        let server = OprfServer::<Ristretto255>::new_with_key(&secret).unwrap();
        let records = records(&secret);
        let input = b"987654320";
        let expected = server.evaluate(input).unwrap();

        let unblinded = element(input).unwrap();
        let combined = combine(
            &records[0].1,
            &REQUEST,
            &unblinded,
            &evaluate_by(&records, &[3, 1, 0], &unblinded),
        )
        .unwrap();
        assert_eq!(
            finalize(input, &combined.element).unwrap().as_slice(),
            expected.as_slice()
        );

        let client = OprfClient::<Ristretto255>::blind(input, &mut OsRng).unwrap();
        let message: BlindedElement<Ristretto255> = client.message;
        let blinded =
            Point::from_bytes(&message.serialize().as_slice().try_into().unwrap()).unwrap();
        let combined = combine(
            &records[0].1,
            &REQUEST,
            &blinded,
            &evaluate_by(&records, &[0, 1, 2], &blinded),
        )
        .unwrap();
        let answer = EvaluationElement::deserialize(combined.element.as_bytes()).unwrap();
        assert_eq!(client.state.finalize(input, &answer).unwrap(), expected);
    }

    #[test]
    fn a_wrong_evaluation_is_named_and_does_not_reach_the_output() {
        let records = records(&Scalar::from(77u8).to_bytes());
        let record = &records[0].1;
        let element = element(b"input").unwrap();
        let mut answers = evaluate_by(&records, &[0, 1, 2, 3], &element);
        let expected = combine(record, &REQUEST, &element, &answers)
            .unwrap()
            .element;
        answers[1].element = Point::new(answers[1].element.point() + element.point()).unwrap();
        let combined = combine(record, &REQUEST, &element, &answers).unwrap();
        assert_eq!(combined.element, expected);
        assert_eq!(combined.culprits, [NodeId::new(2).unwrap()]);
        answers[2].response = PublicScalar(answers[2].response.0 + Scalar::ONE);
        let error = combine(record, &REQUEST, &element, &answers).unwrap_err();
        assert!(
            matches!(error, OprfError::NotEnough { needed: 3, culprits, .. } if culprits.len() == 2)
        );
    }

    #[test]
    fn a_proof_moved_to_another_node_request_input_or_generation_is_refused() {
        let records = records(&Scalar::from(77u8).to_bytes());
        let record = &records[0].1;
        let element_a = element(b"a").unwrap();
        let answer = evaluate_by(&records, &[1], &element_a)[0];
        assert!(verify(record, &REQUEST, &element_a, &answer).unwrap());
        let moved = Evaluation {
            node: NodeId::new(1).unwrap(),
            ..answer
        };
        assert!(!verify(record, &REQUEST, &element_a, &moved).unwrap());
        assert!(!verify(record, &Bytes32::from([8; 32]), &element_a, &answer).unwrap());
        assert!(!verify(record, &REQUEST, &element(b"b").unwrap(), &answer).unwrap());
        let mut other = super::tests::records(&Scalar::from(77u8).to_bytes());
        other[0].1.transcript = Bytes32::from([2; 32]);
        other[0].1.public_package = record.public_package.clone();
        assert!(!verify(&other[0].1, &REQUEST, &element_a, &answer).unwrap());
    }

    #[test]
    fn one_node_counts_once() {
        let records = records(&Scalar::from(77u8).to_bytes());
        let element = element(b"input").unwrap();
        let answers = evaluate_by(&records, &[0, 0, 0, 1], &element);
        assert!(combine(&records[0].1, &REQUEST, &element, &answers).is_err());
    }

    #[test]
    fn inputs_out_of_bounds_are_refused() {
        assert!(element(b"").is_err());
        assert!(element(&[0; MAX_INPUT_BYTES + 1]).is_err());
    }
}
