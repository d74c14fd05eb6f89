//! Who answers for an owner: an authorised representative (42 CFR 435.923), a guardian or a parent, known to an agency by a key
//! that was made for the one grant and by the authority that they act under.
//!
//! An approval that a representative gave goes to the agency with a [`Representation`]; what it commits to, the grant's terms,
//! can be opened for a hearing.

use serde::{Deserialize, Serialize};

use crate::application::Approval;
use crate::bip340::{self, SignatureError};
use crate::encoding::{Bytes, Bytes32, tagged_hash, to_jcs};

/// The authority that a representative acts under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The owner's own signature, 42 CFR 435.923(a) and (f); by text here.
    Designation,
    /// A court's order establishing legal guardianship, 42 CFR 435.923(a).
    GuardianshipOrder,
    /// A power of attorney, 42 CFR 435.923(a).
    PowerOfAttorney,
    /// A parent, or somebody who acts responsibly for a minor, 42 CFR 435.907(a).
    Parent,
}

impl Basis {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Designation => "designation",
            Self::GuardianshipOrder => "guardianship-order",
            Self::PowerOfAttorney => "power-of-attorney",
            Self::Parent => "parent",
        }
    }
}

/// Says that an approval is a representative's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Representation {
    /// The representative's key under this grant (BIP-340, x-only): a pseudonym that no other grant has.
    pub key: Bytes32,
    /// The authority.
    pub basis: Basis,
    /// Hash of the grant's terms, which a salt hides.
    pub grant: Bytes32,
    /// BIP-340, by the key, over [`Representation::digest`].
    pub signature: Bytes<64>,
}

impl Representation {
    /// What the key signs: the approval, the authority and the grant.
    pub fn digest(approval: &Approval, basis: Basis, grant: &Bytes32) -> [u8; 32] {
        let parts: [&[u8]; 3] = [&approval.hash().0, basis.as_str().as_bytes(), &grant.0];
        tagged_hash("shp/v1/representation", &parts)
    }

    /// Verifies that the key answers for this approval.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, approval: &Approval) -> Result<(), SignatureError> {
        let digest = Self::digest(approval, self.basis, &self.grant);
        bip340::verify(&self.key, &digest, &self.signature)
    }

    /// What a wallet's proof is about in place of the approval alone: without it somebody on the way could take the
    /// representative out of an application.
    ///
    /// # Panics
    /// Never: plain JSON.
    pub(crate) fn bind(&self, approval: &Bytes32) -> Bytes32 {
        let json = to_jcs(self).expect("a representation holds strings");
        tagged_hash("shp/v1/represented-approval", &[&approval.0, &json]).into()
    }
}
