//! Equations as one sum that must be the identity: shared generators are gathered once, other points as they come.

use std::iter;
use std::sync::LazyLock;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha3::Shake256;
use sha3::digest::{ExtendableOutput, Update, XofReader};

use super::tree::MAX_SLOTS;
use crate::group::{PEDERSEN, Point};

/// Generators of one party of an aggregated range proof: the widest width.
pub(super) const PARTY: usize = 64;

/// The library's vectors **G** and **H**, [`PARTY`] a party.
///
/// The library does not give out **H**, so both are derived as it does: SHAKE256 of `GeneratorsChain`, the letter and
/// the party's index as a little-endian u32, every 64 bytes hashed to the group.
struct Generators {
    g: Vec<RistrettoPoint>,
    h: Vec<RistrettoPoint>,
}

static GENERATORS: LazyLock<Generators> = LazyLock::new(|| {
    let vector = |letter: u8| (0..MAX_SLOTS as u32).flat_map(move |party| chain(letter, party));
    Generators {
        g: vector(b'G').collect(),
        h: vector(b'H').collect(),
    }
});

fn chain(letter: u8, party: u32) -> impl Iterator<Item = RistrettoPoint> {
    let mut shake = Shake256::default();
    shake.update(b"GeneratorsChain");
    shake.update(&[letter]);
    shake.update(&party.to_le_bytes());
    let mut reader = shake.finalize_xof();
    iter::repeat_with(move || {
        let mut uniform = [0; 64];
        reader.read(&mut uniform);
        RistrettoPoint::from_uniform_bytes(&uniform)
    })
    .take(PARTY)
}

/// The bases of commitments to selectors: the first of **G**, whose relation to `B` and `H` nobody knows.
///
/// There are more of them than [`super::MAX_ATOMS`].
pub(super) fn selector_bases() -> &'static [RistrettoPoint] {
    &GENERATORS.g
}

/// A sum of public points under public coefficients.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    /// Coefficient of `B`.
    pub base: Scalar,
    /// Coefficient of `H`.
    pub blinding: Scalar,
    /// Coefficients of **G**, [`PARTY`] a party; as long as was needed.
    g: Vec<Scalar>,
    /// Coefficients of **H**, as many.
    h: Vec<Scalar>,
    scalars: Vec<Scalar>,
    points: Vec<RistrettoPoint>,
}

impl Sum {
    /// Adds `scalar·point`.
    pub fn add(&mut self, scalar: Scalar, point: &Point) {
        self.add_point(scalar, *point.point());
    }

    /// Adds `scalar·point`.
    pub fn add_point(&mut self, scalar: Scalar, point: RistrettoPoint) {
        self.scalars.push(scalar);
        self.points.push(point);
    }

    /// The coefficients of **G** and **H** of so many parties, for adding to.
    pub fn parties(
        &mut self,
        parties: usize,
    ) -> impl Iterator<Item = (&mut [Scalar], &mut [Scalar])> {
        let length = self.g.len().max(parties * PARTY);
        self.g.resize(length, Scalar::ZERO);
        self.h.resize(length, Scalar::ZERO);
        let g = self.g.chunks_exact_mut(PARTY);
        g.zip(self.h.chunks_exact_mut(PARTY)).take(parties)
    }

    /// The coefficients of so many [`selector_bases`], for adding to.
    pub fn selectors(&mut self, count: usize) -> &mut [Scalar] {
        let parties = count.div_ceil(PARTY);
        // Made as long as is needed.
        drop(self.parties(parties));
        self.g.get_mut(..count).unwrap_or_default()
    }

    /// Adds `weight` times the terms of another sum.
    pub fn add_scaled(&mut self, weight: &Scalar, other: &Self) {
        let length = self.g.len().max(other.g.len());
        self.g.resize(length, Scalar::ZERO);
        self.h.resize(length, Scalar::ZERO);
        for (into, from) in [(&mut self.g, &other.g), (&mut self.h, &other.h)] {
            for (into, from) in into.iter_mut().zip(from) {
                // A sum without a range proof has few of the first and none of the second.
                if *from != Scalar::ZERO {
                    *into += weight * from;
                }
            }
        }
        self.base += weight * other.base;
        self.blinding += weight * other.blinding;
        self.scalars
            .extend(other.scalars.iter().map(|scalar| weight * scalar));
        self.points.extend_from_slice(&other.points);
    }

    /// Whether the sum is the identity, by one multi-scalar multiplication in variable time.
    pub fn is_identity(&self) -> bool {
        let fixed = [
            (self.base, PEDERSEN.B),
            (self.blinding, PEDERSEN.B_blinding),
        ];
        let mut scalars = self.scalars.clone();
        let mut points = self.points.clone();
        scalars.extend(fixed.map(|(scalar, _)| scalar));
        points.extend(fixed.map(|(_, point)| point));
        if !self.g.is_empty() {
            let g = self.g.iter().zip(&GENERATORS.g);
            for (scalar, point) in g.chain(self.h.iter().zip(&GENERATORS.h)) {
                // Narrower widths than the widest leave gaps.
                if *scalar != Scalar::ZERO {
                    scalars.push(*scalar);
                    points.push(*point);
                }
            }
        }
        RistrettoPoint::vartime_multiscalar_mul(&scalars, &points).is_identity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::RANGE;

    #[test]
    fn generators_are_the_librarys() {
        for party in [0, 1, MAX_SLOTS - 1] {
            let theirs: Vec<_> = RANGE.share(party).G(PARTY).copied().collect();
            assert_eq!(GENERATORS.g[party * PARTY..][..PARTY], theirs);
        }
        assert_eq!(GENERATORS.h.len(), MAX_SLOTS * PARTY);
        assert!(selector_bases().len() >= crate::statement::MAX_ATOMS);
        assert_ne!(GENERATORS.g, GENERATORS.h);
    }
}
