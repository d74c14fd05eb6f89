//! The proof as bytes: a fixed sequence of 32-byte elements, its length given by the shape.
//!
//! ```text
//! range proof (none without slots) ‖ A_subject ‖ A_T ‖ A_person ‖ A of each group
//!   ‖ challenges of all but the last branch of each choice ‖ z_subject ‖ z_k ‖ z_person ‖ z of each group
//! ```

use curve25519_dalek::scalar::Scalar;

use super::{Shape, StatementError};
use crate::group::{Point, PublicScalar};

/// Announcements, challenge shares and responses, and the range proof's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proof {
    pub range: Vec<u8>,
    pub announcements: Announcements,
    /// By choice, the challenges of all branches but the last.
    pub shares: Vec<Vec<PublicScalar>>,
    pub responses: Responses,
}

/// First messages of the Σ-protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcements {
    /// `a·H`, for the folded differences of subjects.
    pub subject: Point,
    /// `b·G`, `G` the pseudonym base.
    pub pseudonym: Point,
    /// `b·B + d·H`.
    pub person: Point,
    /// `a·H` (or simulated) of each group.
    pub groups: Vec<Point>,
}

/// Last messages of the Σ-protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Responses {
    pub subject: PublicScalar,
    /// For `k`, shared by pseudonym and `C_person`.
    pub k: PublicScalar,
    /// For the blinding of `C_person`.
    pub person: PublicScalar,
    pub groups: Vec<PublicScalar>,
}

impl Announcements {
    /// In the order in which they are sent and bound.
    pub fn iter(&self) -> impl Iterator<Item = &Point> {
        [&self.subject, &self.pseudonym, &self.person]
            .into_iter()
            .chain(&self.groups)
    }
}

impl Responses {
    /// In the order in which they are sent and bound.
    pub fn iter(&self) -> impl Iterator<Item = &PublicScalar> {
        [&self.subject, &self.k, &self.person]
            .into_iter()
            .chain(&self.groups)
    }
}

impl Proof {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.range.clone();
        bytes.extend(
            self.announcements
                .iter()
                .flat_map(|point| *point.as_bytes()),
        );
        let scalars = self.shares.iter().flatten().chain(self.responses.iter());
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
        let announcements = Announcements {
            subject: point()?,
            pseudonym: point()?,
            person: point()?,
            groups: (0..shape.groups())
                .map(|_| point())
                .collect::<Result<_, _>>()?,
        };
        let mut scalar = || PublicScalar::from_bytes(next()?).map_err(|_| StatementError::Encoding);
        let shares = shape
            .branches
            .iter()
            .map(|branches| (1..*branches).map(|_| scalar()).collect::<Result<_, _>>());
        let shares = shares.collect::<Result<_, _>>()?;
        let responses = Responses {
            subject: scalar()?,
            k: scalar()?,
            person: scalar()?,
            groups: (0..shape.groups())
                .map(|_| scalar())
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            range: range.to_vec(),
            announcements,
            shares,
            responses,
        })
    }
}

/// Each branch's challenge of one choice: the shares, and what is left of the parent's challenge.
pub(super) fn branch_challenges(shares: &[PublicScalar], challenge: &Scalar) -> Vec<Scalar> {
    let mut all: Vec<Scalar> = shares.iter().map(|share| share.0).collect();
    all.push(challenge - all.iter().sum::<Scalar>());
    all
}
