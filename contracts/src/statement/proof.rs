//! The proof as bytes: a fixed sequence of 32-byte elements, its length given by the shape.
//!
//! ```text
//! range proof (none without slots) ‖ V (none without choices) ‖ A_tree ‖ A_T ‖ A_person
//!   ‖ z of each selector ‖ z_tree ‖ z_k ‖ z_person
//! ```

use super::{Shape, StatementError};
use crate::group::{Point, PublicScalar};

/// Commitment to selectors, announcements and responses, and the range proof's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proof {
    pub range: Vec<u8>,
    /// `V = Σ bᵢ·Gᵢ + r·H`, which fixes what branches are taken before any weight is drawn.
    pub selectors: Option<Point>,
    pub announcements: Announcements,
    pub responses: Responses,
}

/// First messages of the Σ-protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcements {
    /// For selectors, relations and subjects.
    pub tree: Point,
    /// `b·G`, `G` the pseudonym base.
    pub pseudonym: Point,
    /// `b·B + d·H`.
    pub person: Point,
}

/// Last messages of the Σ-protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Responses {
    /// For each committed selector.
    pub selectors: Vec<PublicScalar>,
    /// For the blinding of the tree's sum.
    pub tree: PublicScalar,
    /// For `k`, shared by pseudonym and `C_person`.
    pub k: PublicScalar,
    /// For the blinding of `C_person`.
    pub person: PublicScalar,
}

impl Announcements {
    /// In the order in which they are sent and bound.
    pub fn iter(&self) -> impl Iterator<Item = &Point> {
        [&self.tree, &self.pseudonym, &self.person].into_iter()
    }
}

impl Responses {
    /// In the order in which they are sent and bound.
    pub fn iter(&self) -> impl Iterator<Item = &PublicScalar> {
        let others = [&self.tree, &self.k, &self.person];
        self.selectors.iter().chain(others)
    }
}

impl Proof {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.range.clone();
        let points = self.selectors.iter().chain(self.announcements.iter());
        bytes.extend(points.flat_map(|point| *point.as_bytes()));
        let scalars = self.responses.iter();
        bytes.extend(scalars.flat_map(|scalar| scalar.0.to_bytes()));
        bytes
    }

    /// Reads exactly [`Shape::proof_len`] bytes of canonical elements.
    pub fn from_bytes(bytes: &[u8], shape: &Shape) -> Result<Self, StatementError> {
        if bytes.len() != shape.proof_len() {
            return Err(StatementError::Length {
                expected: shape.proof_len(),
                got: bytes.len(),
            });
        }
        let (range, rest) = bytes.split_at(shape.range_proof_len());
        let mut elements = rest.as_chunks::<32>().0.iter();
        let mut next = || elements.next().ok_or(StatementError::Encoding);
        let mut point = || Point::from_bytes(next()?).map_err(|_| StatementError::Encoding);
        let selectors = match shape.selectors() {
            0 => None,
            _ => Some(point()?),
        };
        let announcements = Announcements {
            tree: point()?,
            pseudonym: point()?,
            person: point()?,
        };
        let mut scalar = || PublicScalar::from_bytes(next()?).map_err(|_| StatementError::Encoding);
        let responses = Responses {
            selectors: (0..shape.selectors())
                .map(|_| scalar())
                .collect::<Result<_, _>>()?,
            tree: scalar()?,
            k: scalar()?,
            person: scalar()?,
        };
        Ok(Self {
            range: range.to_vec(),
            selectors,
            announcements,
            responses,
        })
    }
}
