//! Blindings and openings: wiped on drop, never printed.

use std::fmt;

use curve25519_dalek::scalar::Scalar;
use elliptic_curve::hash2curve::{ExpandMsg, ExpandMsgXmd, Expander};
use rand_core::{CryptoRng, RngCore};
use sha2::Sha512;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::EnrolPoints;
use crate::encoding::EncodingError;
use crate::group::{PEDERSEN, Point};
use crate::ids::Domain;

/// Derives a scalar from a secret under a domain tag, uniformly (RFC 9380 §5.3.1 expansion, 64 bytes reduced).
///
/// With a secret from the owner's HD tree this makes `k` and blindings recoverable from the seed.
///
/// # Panics
/// Never for tags of 1 to 255 bytes, which all callers pass as literals.
pub fn derive_scalar(tag: &str, secret: &[u8]) -> Scalar {
    let mut uniform = Zeroizing::new([0u8; 64]);
    ExpandMsgXmd::<Sha512>::expand_message(&[secret], &[tag.as_bytes()], 64)
        .expect("a tag of 1..=255 bytes and 64 output bytes are within the bounds of RFC 9380 section 5.3.1")
        .fill_bytes(uniform.as_mut());
    Scalar::from_bytes_mod_order_wide(&uniform)
}

/// The blindings of one leaf.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Blindings {
    /// `r_v`, of the value.
    pub value: Scalar,
    /// `r_known`, of the known flag.
    pub known: Scalar,
    /// `r_s`, of the subject.
    pub subject: Scalar,
    /// `r_k,j`, of the pseudonym key; for `identity.person` and nothing else.
    pub person: Option<Scalar>,
}

impl Blindings {
    /// Fresh blindings; `person` for a leaf of `identity.person`.
    pub fn random<R: RngCore + CryptoRng>(person: bool, rng: &mut R) -> Self {
        Self {
            value: Scalar::random(rng),
            known: Scalar::random(rng),
            subject: Scalar::random(rng),
            person: person.then(|| Scalar::random(rng)),
        }
    }

    /// The blinding points `R_v`, `R_known`, `R_s` and, for `identity.person`, `R_k`.
    ///
    /// # Errors
    /// [`EncodingError::Point`] for a zero blinding, which random ones never are.
    pub fn points(&self) -> Result<(Point, Point, Point, Option<Point>), EncodingError> {
        let blind = |r: &Scalar| Point::new(r * PEDERSEN.B_blinding);
        Ok((
            blind(&self.value)?,
            blind(&self.known)?,
            blind(&self.subject)?,
            self.person.as_ref().map(blind).transpose()?,
        ))
    }
}

impl fmt::Debug for Blindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blindings").finish_non_exhaustive()
    }
}

/// What opens one leaf: its value and blindings, to be sealed under a key of its own.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Opening {
    /// The attested value; 0 when not known.
    pub value: i64,
    /// Whether the value is known.
    pub known: bool,
    /// The blindings that the owner drew for the leaf.
    pub blindings: Blindings,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

impl Opening {
    /// Version, value, known and three or four scalars: the form in which an opening is sealed.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(10 + 4 * 32));
        bytes.push(1);
        bytes.extend_from_slice(&self.value.to_be_bytes());
        bytes.push(u8::from(self.known));
        let blindings = &self.blindings;
        for scalar in [&blindings.value, &blindings.known, &blindings.subject]
            .into_iter()
            .chain(&blindings.person)
        {
            bytes.extend_from_slice(scalar.as_bytes());
        }
        bytes
    }

    /// Reads [`Opening::to_bytes`] strictly.
    ///
    /// # Errors
    /// [`EncodingError::Length`] or [`EncodingError::Scalar`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EncodingError> {
        let wrong_length = EncodingError::Length {
            expected: 10 + 3 * 32,
            got: bytes.len(),
        };
        let Some(([1, head @ .., known @ (0 | 1)], scalars)) = bytes.split_first_chunk::<10>()
        else {
            return Err(wrong_length);
        };
        let scalar = |chunk: &[u8]| {
            let chunk: [u8; 32] = chunk.try_into().map_err(|_| wrong_length.clone())?;
            Option::from(Scalar::from_canonical_bytes(chunk)).ok_or(EncodingError::Scalar)
        };
        let mut scalars = scalars.chunks(32);
        let mut next = || scalars.next().map(scalar).transpose();
        let opening = Self {
            value: i64::from_be_bytes(*head),
            known: *known == 1,
            blindings: Blindings {
                value: next()?.ok_or_else(|| wrong_length.clone())?,
                known: next()?.ok_or_else(|| wrong_length.clone())?,
                subject: next()?.ok_or_else(|| wrong_length.clone())?,
                person: next()?,
            },
        };
        if scalars.next().is_some() {
            return Err(wrong_length);
        }
        Ok(opening)
    }
}

/// The secrets behind an enrolment; `k` and the blindings stay with the owner for good.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolSecrets {
    /// `r_d` of each domain, in order of domains.
    pub subject: Vec<(Domain, Scalar)>,
    /// The pseudonym key `k`, from the owner's seed, not zero.
    pub k: Scalar,
    /// `r`, the blinding of `C_k = k·B + r·H`.
    pub person: Scalar,
}

impl EnrolSecrets {
    /// Fresh blindings for every domain, around a pseudonym key.
    pub fn random<R: RngCore + CryptoRng>(k: Scalar, rng: &mut R) -> Self {
        Self {
            subject: Domain::ALL
                .map(|domain| (domain, Scalar::random(rng)))
                .to_vec(),
            k,
            person: Scalar::random(rng),
        }
    }

    /// `r_d` of a domain.
    pub fn subject_blinding(&self, domain: Domain) -> Option<&Scalar> {
        self.subject
            .iter()
            .find_map(|(other, scalar)| (*other == domain).then_some(scalar))
    }

    /// The points that are sent.
    ///
    /// # Errors
    /// [`EncodingError::Point`] for a zero blinding.
    pub fn points(&self) -> Result<EnrolPoints, EncodingError> {
        let subject = self
            .subject
            .iter()
            .map(|(domain, r)| Ok((*domain, Point::new(r * PEDERSEN.B_blinding)?)));
        Ok(EnrolPoints {
            r_subject: subject.collect::<Result<_, EncodingError>>()?,
            c_person: Point::new(PEDERSEN.commit(self.k, self.person))?,
        })
    }
}

impl Drop for EnrolSecrets {
    fn drop(&mut self) {
        for (_, scalar) in &mut self.subject {
            scalar.zeroize();
        }
        self.k.zeroize();
        self.person.zeroize();
    }
}

impl fmt::Debug for EnrolSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolSecrets").finish_non_exhaustive()
    }
}
