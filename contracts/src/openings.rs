//! Values of a bundle that the owner chose to open, for a hearing say: a file beside the bundle, checked against the
//! commitments of its leaves.
//!
//! An opening holds `v`, `known`, `r_v` and `r_known` of one leaf. Blindings are drawn leaf by leaf, so it says nothing of
//! any other; `r_s` stays closed, so nothing of the subject either.

use std::collections::HashSet;
use std::fmt;

use curve25519_dalek::scalar::Scalar;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::catalogue::{Unit, catalogue};
use crate::encoding::{Bytes32, to_jcs};
use crate::group::{PEDERSEN, PublicScalar};
use crate::ids::{AttributeId, Jurisdiction};
use crate::issuance::{self, scalar};
use crate::leaf::Leaf;
use crate::presentation::{MAX_LEAVES, Presentation};
use crate::units::{Cents, Day, Period};

/// The version that this crate writes and reads.
pub const VERSION: u16 = 1;
/// Most bytes of an openings file that are parsed.
pub const MAX_OPENINGS_BYTES: usize = 32 * 1024;

/// Why openings show nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningsError {
    /// Longer than is parsed.
    #[error("{0} bytes, more than the {MAX_OPENINGS_BYTES} that are read")]
    TooLarge(usize),
    /// Not JSON, or a field that is missing, unknown, repeated or of the wrong form.
    #[error("{0}")]
    Json(String),
    /// Not the bytes that RFC 8785 gives for its content.
    #[error("not in RFC 8785 (JCS) form")]
    NotCanonical,
    /// Written for another version of this program.
    #[error("version: expected {VERSION}, got {0}")]
    Version(u16),
    /// No openings, or more than a bundle has leaves.
    #[error("expected 1 to {MAX_LEAVES} openings, got {0}")]
    Number(usize),
    /// Made for another decision.
    #[error("decision: made for {got}, not for this bundle's, {expected}")]
    Decision {
        /// Of the bundle.
        expected: Bytes32,
        /// In the file.
        got: Bytes32,
    },
    /// The bundle has no such leaf.
    #[error("{0}: the bundle has no such leaf")]
    Leaf(AttributeId),
    /// The leaf is of another attribute or period.
    #[error("{0}: the leaf named is of another attribute or period")]
    Attribute(AttributeId),
    /// Opened twice.
    #[error("{0}: opened twice")]
    Twice(AttributeId),
    /// A value that the catalogue does not allow, or one of a fact that is not known.
    #[error("{0}: not a value of this attribute")]
    Bounds(AttributeId),
    /// Value and blinding do not open `C_v`.
    #[error("{0}: value and blinding do not open the leaf's commitment to its value")]
    Value(AttributeId),
    /// Flag and blinding do not open `C_known`.
    #[error("{0}: flag and blinding do not open the leaf's commitment to whether it is known")]
    Known(AttributeId),
}

/// What opens value and known flag of one leaf. Prints nothing and is wiped on drop: whom to show it is the owner's choice.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafOpening {
    /// The leaf's attribute, for readers.
    pub attribute: AttributeId,
    /// Its reference period, for readers.
    pub period: Period,
    /// Hash of the leaf.
    pub leaf: Bytes32,
    /// `v`; 0 when not known.
    pub value: i64,
    /// Whether the value is known.
    pub known: bool,
    /// `r_v`.
    pub value_blinding: PublicScalar,
    /// `r_known`.
    pub known_blinding: PublicScalar,
}

impl Zeroize for LeafOpening {
    fn zeroize(&mut self) {
        self.value.zeroize();
        self.known.zeroize();
        self.value_blinding.0.zeroize();
        self.known_blinding.0.zeroize();
    }
}

impl Drop for LeafOpening {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for LeafOpening {}

impl fmt::Debug for LeafOpening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = &self.attribute;
        write!(f, "LeafOpening({named}, ..)")
    }
}

impl LeafOpening {
    /// Opens a leaf.
    pub fn new(leaf: &Leaf, opening: &issuance::Opening) -> Self {
        Self {
            attribute: leaf.attribute.clone(),
            period: leaf.period,
            leaf: leaf.hash(),
            value: opening.value,
            known: opening.known,
            value_blinding: PublicScalar(opening.blindings.value),
            known_blinding: PublicScalar(opening.blindings.known),
        }
    }

    fn check(&self, leaf: &Leaf) -> Result<Opened, OpeningsError> {
        let named = || self.attribute.clone();
        if (&leaf.attribute, leaf.period) != (&self.attribute, self.period) {
            return Err(OpeningsError::Attribute(named()));
        }
        let attribute = catalogue()
            .get(&self.attribute)
            .ok_or_else(|| OpeningsError::Bounds(named()))?;
        let bounds = attribute.bounds();
        let fits = if self.known {
            (bounds.min..=bounds.max).contains(&self.value)
        } else {
            self.value == 0
        };
        if !fits {
            return Err(OpeningsError::Bounds(named()));
        }
        let opens = |value: Scalar, blinding: &PublicScalar| PEDERSEN.commit(value, blinding.0);
        if leaf.c_value.point() != &opens(scalar(self.value), &self.value_blinding) {
            return Err(OpeningsError::Value(named()));
        }
        let known = scalar(i64::from(self.known));
        if leaf.c_known.point() != &opens(known, &self.known_blinding) {
            return Err(OpeningsError::Known(named()));
        }
        Ok(Opened {
            attribute: named(),
            period: self.period,
            value: self.known.then_some(self.value),
            text: match self.known {
                true => text(attribute.unit, self.value),
                false => "not known".to_owned(),
            },
        })
    }
}

/// A value for people, in its unit.
fn text(unit: Unit, value: i64) -> String {
    match unit {
        Unit::Cents => Cents(value).to_string(),
        Unit::Days => {
            Day::from_number(value).map_or_else(|_| value.to_string(), |day| day.to_string())
        }
        Unit::Flag => if value == 1 { "yes" } else { "no" }.to_owned(),
        Unit::Code => {
            let state = Jurisdiction::all().find(|state| i64::from(state.fips()) == value);
            state.map_or_else(|| value.to_string(), |state| format!("{value} ({state})"))
        }
        Unit::Count => value.to_string(),
    }
}

/// A value that its opening shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// The attribute.
    pub attribute: AttributeId,
    /// Its reference period.
    pub period: Period,
    /// The attested value; none when the committee attested that it is not known.
    pub value: Option<i64>,
    /// The same for people, in its unit.
    pub text: String,
}

/// The openings file, RFC 8785 JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Openings {
    /// [`VERSION`].
    pub version: u16,
    /// The decision: digest of the bundle's presentation, the token's `jti`.
    pub decision: Bytes32,
    /// What is opened, one leaf each.
    pub openings: Vec<LeafOpening>,
}

impl Openings {
    /// Openings of leaves of a presentation.
    pub fn new(presentation: &Presentation, openings: Vec<LeafOpening>) -> Self {
        Self {
            version: VERSION,
            decision: presentation.digest(),
            openings,
        }
    }

    /// The bytes of the file.
    ///
    /// # Panics
    /// Never: every field has a JSON form.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_jcs(self).expect("every field of an openings file has a JSON form")
    }

    /// Reads a file, which must be exactly what [`Openings::to_bytes`] writes.
    ///
    /// # Errors
    /// [`OpeningsError`], of those about the file's form.
    pub fn parse(bytes: &[u8]) -> Result<Self, OpeningsError> {
        if bytes.len() > MAX_OPENINGS_BYTES {
            return Err(OpeningsError::TooLarge(bytes.len()));
        }
        let file: Self = serde_json::from_slice(bytes)
            .map_err(|error| OpeningsError::Json(error.to_string()))?;
        if file.to_bytes() != bytes {
            return Err(OpeningsError::NotCanonical);
        }
        if file.version != VERSION {
            return Err(OpeningsError::Version(file.version));
        }
        if !(1..=MAX_LEAVES).contains(&file.openings.len()) {
            return Err(OpeningsError::Number(file.openings.len()));
        }
        Ok(file)
    }

    /// Checks every opening against the leaf that it names.
    ///
    /// # Errors
    /// [`OpeningsError`]: the first that opens nothing, and why.
    pub fn check(&self, presentation: &Presentation) -> Result<Vec<Opened>, OpeningsError> {
        let expected = presentation.digest();
        if self.decision != expected {
            return Err(OpeningsError::Decision {
                expected,
                got: self.decision,
            });
        }
        let mut seen = HashSet::new();
        let opened = self.openings.iter().map(|opening| {
            if !seen.insert(opening.leaf) {
                return Err(OpeningsError::Twice(opening.attribute.clone()));
            }
            let leaves = presentation.attestations.iter();
            let leaf = leaves
                .map(|presented| &presented.attestation.leaf)
                .find(|leaf| leaf.hash() == opening.leaf)
                .ok_or_else(|| OpeningsError::Leaf(opening.attribute.clone()))?;
            opening.check(leaf)
        });
        opened.collect()
    }
}
