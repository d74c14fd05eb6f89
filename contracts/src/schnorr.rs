//! Many Schnorr signatures on secp256k1 at once: BIP-340 of holders and FROST(secp256k1, SHA-256) of committees.
//!
//! Both are `s·G = R + e·P`. Under a random weight each, all fold into one multi-scalar multiplication, in which `G` and
//! every committee key occur once (BIP-340, "Batch Verification"). Everything here is public: variable time.

use std::collections::BTreeMap;

use frost_core::{Ciphersuite, Field, Group};
use frost_secp256k1::Secp256K1Sha256;
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};

use crate::attestation::{AttestationKey, SignedRoot};
use crate::encoding::{Bytes, Bytes32};

type G = <Secp256K1Sha256 as Ciphersuite>::Group;
type F = <G as Group>::Field;
type Point = <G as Group>::Element;
type Scalar = <F as Field>::Scalar;

/// Bits of a weight: a false signature passes with a chance of 2⁻¹²⁸.
const WEIGHT_BYTES: usize = 16;
/// Bits of a scalar.
const BITS: usize = 256;
/// Widest window, for the largest sums.
const MAX_WINDOW: usize = 12;

/// `s·G = R + e·P`.
#[derive(Debug, Clone)]
pub(crate) struct Equation {
    s: Scalar,
    r: Point,
    e: Scalar,
    p: Point,
    /// The encoding of `P`: equal ones are added up.
    key: [u8; 33],
}

impl Equation {
    /// Of a BIP-340 signature over a digest; none where its parts do not decode.
    pub(crate) fn holder(key: &Bytes32, digest: &[u8; 32], signature: &Bytes<64>) -> Option<Self> {
        let (r, s) = signature.0.split_first_chunk::<32>()?;
        let s = <[u8; 32]>::try_from(s).ok()?;
        let tag = Sha256::digest(b"BIP0340/challenge");
        let challenge = Sha256::new().chain_update(tag).chain_update(tag);
        let challenge = challenge.chain_update(r).chain_update(key.0);
        let challenge: [u8; 32] = challenge.chain_update(digest).finalize().into();
        let (lifted, key) = (even(r), even(&key.0));
        Some(Self {
            s: F::deserialize(&s).ok()?,
            r: G::deserialize(&lifted).ok()?,
            // Not below the group order with a chance of 2⁻¹²⁸: then the signature is verified alone.
            e: F::deserialize(&challenge).ok()?,
            p: G::deserialize(&key).ok()?,
            key,
        })
    }

    /// Of a committee's signature on a root; none where its parts do not decode.
    pub(crate) fn root(key: &AttestationKey, root: &SignedRoot) -> Option<Self> {
        let (r, z) = root.signature.0.split_first_chunk::<33>()?;
        let z = <[u8; 32]>::try_from(z).ok()?;
        let key = key.to_bytes()?;
        let preimage = [&r[..], &key, &root.statement.message()].concat();
        Some(Self {
            s: F::deserialize(&z).ok()?,
            r: G::deserialize(r).ok()?,
            e: Secp256K1Sha256::H2(&preimage),
            p: G::deserialize(&key).ok()?,
            key,
        })
    }
}

/// SEC 1 compressed form of the point with this x coordinate and an even y (BIP-340 `lift_x`).
fn even(x: &[u8; 32]) -> [u8; 33] {
    let mut point = [2; 33];
    if let Some(tail) = point.last_chunk_mut::<32>() {
        *tail = *x;
    }
    point
}

/// Which of several sets of equations do not hold, by index; halves are tried until the bad ones are found.
pub(crate) fn refused<R: RngCore + CryptoRng>(sets: &[Vec<Equation>], rng: &mut R) -> Vec<usize> {
    let places: Vec<(usize, &Vec<Equation>)> = sets.iter().enumerate().collect();
    let mut found = Vec::new();
    search(&places, rng, &mut found);
    found
}

fn search<R: RngCore + CryptoRng>(
    sets: &[(usize, &Vec<Equation>)],
    rng: &mut R,
    found: &mut Vec<usize>,
) {
    if sets.is_empty() || hold(sets.iter().flat_map(|(_, set)| set.iter()), rng) {
        return;
    }
    if let [(index, _)] = sets {
        found.push(*index);
        return;
    }
    let (left, right) = sets.split_at(sets.len() / 2);
    search(left, rng, found);
    search(right, rng, found);
}

/// Whether every equation holds: `Σ wᵢ·sᵢ·G − Σ wᵢ·Rᵢ − Σ wᵢ·eᵢ·Pᵢ = 0`.
fn hold<'a, R: RngCore + CryptoRng>(
    equations: impl Iterator<Item = &'a Equation>,
    rng: &mut R,
) -> bool {
    let mut base = F::zero();
    let mut keys: BTreeMap<[u8; 33], (Point, Scalar)> = BTreeMap::new();
    let mut terms = Vec::new();
    for equation in equations {
        let weight = weight(rng);
        base += weight * equation.s;
        // −R and −P, so that weights stay short.
        terms.push((F::serialize(&weight), G::identity() - equation.r));
        let key = keys
            .entry(equation.key)
            .or_insert_with(|| (G::identity() - equation.p, F::zero()));
        key.1 += weight * equation.e;
    }
    terms.push((F::serialize(&base), G::generator()));
    let keys = keys.into_values();
    terms.extend(keys.map(|(point, scalar)| (F::serialize(&scalar), point)));
    sum(&terms) == G::identity()
}

fn weight<R: RngCore + CryptoRng>(rng: &mut R) -> Scalar {
    let mut bytes = [0; 32];
    if let Some(low) = bytes.last_chunk_mut::<WEIGHT_BYTES>() {
        rng.fill_bytes(low);
    }
    F::deserialize(&bytes).unwrap_or_else(|_| F::one())
}

/// `Σ sᵢ·Pᵢ` by Pippenger's buckets, in variable time; scalars are big-endian.
fn sum(terms: &[([u8; 32], Point)]) -> Point {
    let cost = |window: &usize| BITS.div_ceil(*window) * (terms.len() + (2 << *window));
    let window = (2..=MAX_WINDOW).min_by_key(cost).unwrap_or(MAX_WINDOW);
    let mut total = G::identity();
    let mut buckets = vec![G::identity(); (1 << window) - 1];
    for at in (0..BITS.div_ceil(window)).rev() {
        for _ in 0..window {
            total = total + total;
        }
        buckets.fill(G::identity());
        for (scalar, point) in terms {
            let digit = digit(scalar, at * window, window);
            if let Some(bucket) = digit.checked_sub(1).and_then(|at| buckets.get_mut(at)) {
                *bucket += *point;
            }
        }
        let mut running = G::identity();
        for bucket in buckets.iter().rev() {
            running += *bucket;
            total += running;
        }
    }
    total
}

/// `width` bits of a big-endian number from bit `low` on, counted from its least.
fn digit(scalar: &[u8; 32], low: usize, width: usize) -> usize {
    (low..(low + width).min(BITS)).rev().fold(0, |digit, bit| {
        let byte = scalar.get(31 - bit / 8).copied().unwrap_or_default();
        digit << 1 | usize::from(byte >> (bit % 8) & 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::Batch;
    use crate::bip340;
    use crate::ids::Domain;
    use crate::testing::{Issuer, bytes32, keypair, rng};

    fn holders(count: usize, seed: u64) -> Vec<(Bytes32, [u8; 32], Bytes<64>)> {
        let mut rng = rng(seed);
        let one = |_| {
            let (secret, key) = keypair(&mut rng);
            let digest = bytes32(&mut rng).0;
            let signature = bip340::sign(&secret, &digest, &mut rng).unwrap();
            (key, digest, signature)
        };
        (0..count).map(one).collect()
    }

    fn set(signatures: &[(Bytes32, [u8; 32], Bytes<64>)]) -> Vec<Equation> {
        let equations = signatures.iter();
        equations
            .map(|(key, digest, signature)| Equation::holder(key, digest, signature).unwrap())
            .collect()
    }

    fn root(seed: u64) -> (AttestationKey, SignedRoot) {
        let mut rng = rng(seed);
        let issuer = Issuer::new(Domain::Income, 1, &mut rng);
        let leaves: Vec<Bytes32> = (0..16).map(|_| bytes32(&mut rng)).collect();
        let batch = Batch::new(&leaves, &[]).unwrap();
        let statement = batch.statement(Domain::Income, 1, "2026-11-20".parse().unwrap());
        let signature = issuer.sign(&statement.message(), &mut rng);
        let root = SignedRoot {
            statement,
            signature,
        };
        root.verify(&issuer.key()).unwrap();
        (issuer.key(), root)
    }

    #[test]
    fn good_signatures_of_both_kinds_hold_together() {
        let (key, signed) = root(1);
        let mut sets: Vec<_> = (0..5).map(|seed| set(&holders(4, seed))).collect();
        sets[2].push(Equation::root(&key, &signed).unwrap());
        sets[3].push(Equation::root(&key, &signed).unwrap());
        assert_eq!(refused(&sets, &mut rng(9)), Vec::<usize>::new());
        assert_eq!(refused(&[], &mut rng(9)), Vec::<usize>::new());
    }

    #[test]
    fn attack_a_signature_changed_anywhere_is_found_as_alone() {
        let good = holders(3, 1);
        for bit in (0..512).step_by(37) {
            let mut bad = good.clone();
            bad[1].2.0[bit / 8] ^= 1 << (bit % 8);
            let (key, digest, signature) = &bad[1];
            assert!(bip340::verify(key, digest, signature).is_err());
            let Some(equation) = Equation::holder(key, digest, signature) else {
                continue;
            };
            let sets = [set(&good), vec![equation], set(&good)];
            assert_eq!(refused(&sets, &mut rng(9)), [1], "bit {bit}");
        }
        let (key, signed) = root(2);
        let (stranger, _) = root(3);
        for bit in (0..520).step_by(41) {
            let mut bad = signed.clone();
            bad.signature.0[bit / 8] ^= 1 << (bit % 8);
            assert!(bad.verify(&key).is_err());
            if let Some(equation) = Equation::root(&key, &bad) {
                let sets = [set(&good), vec![equation]];
                assert_eq!(refused(&sets, &mut rng(9)), [1], "bit {bit}");
            }
        }
        let sets = [vec![Equation::root(&stranger, &signed).unwrap()]];
        assert_eq!(refused(&sets, &mut rng(9)), [0]);
    }

    #[test]
    fn attack_two_signatures_whose_errors_cancel_in_an_unweighted_sum() {
        let good = set(&holders(2, 4));
        let mut bad = good.clone();
        bad[0].s += F::one();
        bad[1].s -= F::one();
        assert_eq!(refused(&[good, bad], &mut rng(9)), [1]);
    }

    #[test]
    fn a_sum_is_that_of_its_products() {
        let mut rng = rng(5);
        for count in [1, 2, 7, 40] {
            let mut expected = G::identity();
            let mut terms = Vec::new();
            for _ in 0..count {
                let (scalar, point) = (F::random(&mut rng), G::generator() * F::random(&mut rng));
                expected += point * scalar;
                terms.push((F::serialize(&scalar), point));
            }
            assert_eq!(sum(&terms), expected, "{count}");
        }
    }
}
