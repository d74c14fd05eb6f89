//! Blind issue: what an owner asks of a committee, and proofs that the blinding points hide nothing but blindings.

mod attest;
mod enrol;
mod secrets;

pub(crate) use attest::scalar;
pub use attest::{
    BlindingProof, IssueContext, LeafRequest, MAX_LEAVES, build_leaf, prove_blinding,
    request_message, verify_blinding,
};
pub use enrol::{
    EnrolContext, EnrolPoints, EnrolProof, enrol_message, prove_enrolment, verify_enrolment,
};
pub use secrets::{Blindings, EnrolSecrets, Opening, derive_scalar};

use curve25519_dalek::scalar::Scalar;
use elliptic_curve::hash2curve::{ExpandMsg, ExpandMsgXmd, Expander};
use sha2::Sha512;

use crate::encoding::{Bytes32, tagged_hash};
use crate::ids::{AttributeId, Domain, NodeId};

/// Nonces that a request may answer: one per node of a committee.
pub const MAX_NONCES: usize = 64;

/// Why a request or an enrolment is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// No leaf, or more than [`MAX_LEAVES`].
    #[error("a request for {0} leaves: expected 1 to {MAX_LEAVES}")]
    Count(usize),
    /// No nonces, too many, or not in ascending order of nodes.
    #[error("nonces must be 1 to {MAX_NONCES}, one per node, in ascending order of nodes")]
    Nonces,
    /// As many blindings as leaves are needed, of the same shape.
    #[error("blindings and points do not correspond")]
    Mismatch,
    /// The same attribute, period and index twice.
    #[error("{attribute} with index {index} is asked for twice")]
    Duplicate {
        /// Attribute asked for.
        attribute: AttributeId,
        /// Index asked for.
        index: u32,
    },
    /// A blinding point or one-time key occurs twice.
    #[error("a blinding point or one-time key occurs twice: draw each afresh")]
    Reused,
    /// `R_person` belongs to `identity.person`, and to nothing else.
    #[error("{0}: only identity.person carries a person blinding, and always does")]
    Person(AttributeId),
    /// `identity.person` cannot be withheld.
    #[error("identity.person is part of every contract and cannot be withheld")]
    Withheld,
    /// A key is not on its curve.
    #[error("{0} is not a valid public key")]
    Key(&'static str),
    /// The authorisation keys or subject points are not one per domain, in order, all different.
    #[error(
        "expected one authorisation key and one subject point per domain, in order, all different"
    )]
    Domains,
    /// A value beside `known = 0`.
    #[error("{0}: a value that is not known is attested as 0")]
    UnknownValue(AttributeId),
    /// A commitment is the identity.
    #[error("{0}: a commitment is the identity point")]
    Identity(AttributeId),
    /// The proof does not verify in this context.
    #[error("the proof of knowledge of the blindings does not verify in this context")]
    Proof,
}

/// `purpose_j`: binds a leaf to one contract and one audience, hidden by a salt.
///
/// `salt` is 32 random bytes of the owner, `contract` the contract hash, `audience` its registered canonical id.
pub fn purpose(salt: &Bytes32, contract: &Bytes32, audience: &str) -> Bytes32 {
    tagged_hash(
        "shp/v1/purpose",
        &[&salt.0, &contract.0, audience.as_bytes()],
    )
    .into()
}

/// The subject `s` of an OPRF output: RFC 9497 §4.1 `HashToScalar` for ristretto255-SHA512, mode 0x00.
pub fn subject_scalar(oprf_output: &[u8; 64]) -> Scalar {
    let mut uniform = [0u8; 64];
    ExpandMsgXmd::<Sha512>::expand_message(
        &[oprf_output],
        &[b"HashToScalar-OPRFV1-\x00-ristretto255-SHA512"],
        64,
    )
    .expect("a tag of 45 bytes and 64 output bytes are within the bounds of RFC 9380 section 5.3.1")
    .fill_bytes(&mut uniform);
    Scalar::from_bytes_mod_order_wide(&uniform)
}

/// Appends the nonces of all answering nodes.
fn append_nonces(transcript: &mut merlin::Transcript, nonces: &[(NodeId, Bytes32)]) {
    transcript.append_u64(b"nonces", nonces.len() as u64);
    for (node, nonce) in nonces {
        transcript.append_u64(b"node", u64::from(node.get()));
        transcript.append_message(b"nonce", &nonce.0);
    }
}

fn check_nonces(nonces: &[(NodeId, Bytes32)]) -> Result<(), IssueError> {
    let ascending = nonces
        .windows(2)
        .all(|pair| matches!(pair, [(a, _), (b, _)] if a < b));
    if nonces.is_empty() || nonces.len() > MAX_NONCES || !ascending {
        return Err(IssueError::Nonces);
    }
    Ok(())
}

/// Appends a committee by its domain.
fn append_domain(transcript: &mut merlin::Transcript, domain: Domain) {
    transcript.append_message(b"committee", domain.as_str().as_bytes());
}

#[cfg(test)]
mod tests;
