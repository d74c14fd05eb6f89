//! A presentation: attested leaves, pseudonym, bindings and proof of one verdict, for one audience.

mod bind;
mod error;
mod prove;
mod pseudonym;
mod verify;

#[cfg(test)]
mod tests;

pub use bind::shape;
pub use error::PresentationError;
pub use prove::prove;
pub use pseudonym::{AudienceKind, Enquiry, pseudonym_base, restraint_base};
pub use verify::{verify, verify_batch};

use std::fmt;

use curve25519_dalek::scalar::Scalar;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::attestation::{Attestation, SignedRoot};
use crate::encoding::{Blob, Bytes, Bytes32, tagged_hash, to_base64url, to_jcs};
use crate::group::Point;
use crate::ids::{ContractRef, Jurisdiction, NodeId, Verdict};
use crate::issuance::Opening;
use crate::units::Day;

/// The version that this crate writes and reads.
pub const PRESENTATION_VERSION: u16 = 1;
/// Most bytes of a presentation that are parsed.
pub const MAX_PRESENTATION_BYTES: usize = 256 * 1024;
/// Leaves that a presentation may carry: facts of a contract.
pub const MAX_LEAVES: usize = 64;
/// Nonces that a presentation may answer: one per decision node.
pub const MAX_NONCES: usize = 64;
/// Bytes of an audience's id.
pub const MAX_AUDIENCE_BYTES: usize = 255;
/// Days by which the as-of day may lie before today.
pub const MAX_AS_OF_AGE_DAYS: i64 = 90;

/// One leaf as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presented {
    /// The leaf and its place under a signed root.
    pub attestation: Attestation,
    /// Opens the leaf's purpose.
    pub purpose_salt: Bytes32,
    /// BIP-340 signature with the leaf's key over [`Presentation::digest`].
    pub holder_signature: Bytes<64>,
}

/// Everything that shows one verdict on one contract to one audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presentation {
    /// [`PRESENTATION_VERSION`].
    pub version: u16,
    /// The contract.
    pub contract: ContractRef,
    /// The state whose rules are applied.
    pub jurisdiction: Jurisdiction,
    /// The day the contract is decided for.
    pub as_of: Day,
    /// What is proved.
    pub verdict: Verdict,
    /// On NO of a contract that gives reasons: exactly the clauses whose negation is proved, in the contract's order.
    pub reasons: Vec<String>,
    /// The audience's registered canonical id.
    pub audience: String,
    /// The verifier's nonce: those of the decision nodes that are to decide, in ascending order of nodes.
    pub nonces: Vec<(NodeId, Bytes32)>,
    /// `T = k·HashToGroup(audience)`; in an enquiry `N = k·HashToGroup("restraint", audience, period)`.
    pub pseudonym: Point,
    /// Present when the audience keeps no cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enquiry: Option<Enquiry>,
    /// The key that may use the token: a fresh secp256k1 point, SEC 1 compressed.
    pub cnf: Bytes<33>,
    /// Salt of the ledger entry's commitment.
    pub ledger_salt: Bytes32,
    /// One leaf per fact of the contract, ordered by attribute and period.
    pub attestations: Vec<Presented>,
    /// Commitments to the slacks.
    pub slacks: Vec<Point>,
    /// The proof, in the layout of [`crate::statement`].
    pub proof: Blob,
}

impl Presentation {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`PresentationError::TooLarge`] or [`PresentationError::Json`].
    pub fn parse(json: &[u8]) -> Result<Self, PresentationError> {
        if json.len() > MAX_PRESENTATION_BYTES {
            return Err(PresentationError::TooLarge(json.len()));
        }
        serde_json::from_slice(json).map_err(|error| PresentationError::Json(error.to_string()))
    }

    /// Tagged SHA-256 of the JCS form without the holder signatures; what holders sign and what `jti` names.
    ///
    /// # Panics
    /// Never: every field has a JSON form.
    pub fn digest(&self) -> Bytes32 {
        const WHY: &str = "every field of a presentation has a JSON form";
        let mut json = serde_json::to_value(self).expect(WHY);
        let attestations = json
            .get_mut("attestations")
            .and_then(|all| all.as_array_mut());
        for presented in attestations.into_iter().flatten() {
            if let Some(presented) = presented.as_object_mut() {
                presented.remove("holder_signature");
            }
        }
        let bytes = to_jcs(&json).expect(WHY);
        tagged_hash("shp/v1/presentation", &[&bytes]).into()
    }

    /// The token's `jti`: the digest in base64url.
    pub fn jti(&self) -> String {
        to_base64url(self.digest())
    }

    /// The different signed roots that the leaves stand under, in the order of their first leaves.
    pub fn roots(&self) -> Vec<&SignedRoot> {
        let mut roots: Vec<&SignedRoot> = Vec::new();
        for presented in &self.attestations {
            let root = &presented.attestation.root;
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        roots
    }

    /// The nonce that a decision node is said to have given; each node checks its own.
    pub fn nonce_of(&self, node: NodeId) -> Option<&Bytes32> {
        self.nonces
            .iter()
            .find_map(|(other, nonce)| (*other == node).then_some(nonce))
    }
}

/// What the owner chooses for a presentation, or was given for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentContext {
    /// The audience's registered canonical id.
    pub audience: String,
    /// For an audience that keeps no cases.
    pub enquiry: Option<Enquiry>,
    /// The decision nodes' nonces, in ascending order of nodes.
    pub nonces: Vec<(NodeId, Bytes32)>,
    /// The token's key: a fresh secp256k1 point, SEC 1 compressed, and no leaf's.
    pub cnf: Bytes<33>,
    /// Fresh random salt of the ledger entry.
    pub ledger_salt: Bytes32,
}

/// A leaf that the owner holds, with all that is needed to show it.
#[derive(Clone)]
pub struct Held {
    /// The leaf and its place under a signed root.
    pub attestation: Attestation,
    /// The salt of the leaf's purpose.
    pub purpose_salt: Bytes32,
    /// The secret of the leaf's one-time key.
    pub key: Zeroizing<[u8; 32]>,
    /// Value and blindings.
    pub opening: Opening,
    /// `r_d`, the enrolment's subject blinding of the leaf's domain.
    pub subject_blinding: Zeroizing<Scalar>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

/// The owner's secrets for a presentation.
#[derive(Clone)]
pub struct Witness {
    /// One held leaf per fact of the contract, ordered by attribute and period.
    pub held: Vec<Held>,
    /// The pseudonym key `k`.
    pub k: Scalar,
    /// `r`, the enrolment's blinding of `C_k`.
    pub person: Scalar,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.k.zeroize();
        self.person.zeroize();
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").finish_non_exhaustive()
    }
}
