//! Verifiable redistribution of a shared secret: Y. Desmedt and S. Jajodia, *Redistributing secret shares to new access
//! structures and its applications* (1997); T. Wong, C. Wang and J. Wing, *Verifiable secret redistribution for archive
//! systems* (IEEE Security in Storage Workshop, 2002), with Feldman's commitments.
//!
//! Old member i with share `s_i` and verification share `Y_i = s_i·G` deals a random polynomial `f_i` of degree t′ − 1 with
//! `f_i(0) = s_i`, and commits to its coefficients: `A_ik = f_ik·G`. Everybody checks `A_i0 = Y_i`, and recipient j checks
//! `f_i(j)·G = Σ_k jᵏ·A_ik`. From the deals of any t old members D, new member j has
//! `s′_j = Σ_{i∈D} λ_i·f_i(j)`, where `λ_i` are the Lagrange coefficients of D at 0; so `s′` is a sharing of degree t′ − 1 of
//! `Σ λ_i·s_i`, the same secret. Old and new shares do not combine: each deal is fresh randomness but for its constant term.

use std::collections::{BTreeMap, BTreeSet};

use contracts::encoding::Blob;
use contracts::ids::NodeId;
use frost_core::keys::{
    CoefficientCommitment, KeyPackage, PublicKeyPackage, SecretShare, SigningShare,
    VerifiableSecretSharingCommitment,
};
use frost_core::{Ciphersuite, Field, Group, Identifier, Scalar, compute_lagrange_coefficient};
use rand_core::OsRng;
use zeroize::Zeroizing;

use crate::ceremony::dkg::identifier;

type FieldOf<C> = <<C as Ciphersuite>::Group as Group>::Field;

/// A deal before it is sealed: the commitments to all coefficients, and a share for each new member.
pub(super) struct Dealt {
    pub(super) commitments: Vec<Blob>,
    pub(super) shares: Vec<(NodeId, Zeroizing<Vec<u8>>)>,
}

/// What is wrong with a deal, as anybody can check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadDeal(pub(super) &'static str);

/// Deals this node's share to new members.
pub(super) fn deal<C: Ciphersuite>(
    package: &KeyPackage<C>,
    members: &[NodeId],
    threshold: u16,
) -> Option<Dealt> {
    let mut coefficients: Vec<Scalar<C>> = vec![package.signing_share().to_scalar()];
    coefficients.extend((1..threshold).map(|_| FieldOf::<C>::random(&mut OsRng)));
    let dealt = deal_polynomial::<C>(&coefficients, members);
    for coefficient in &mut coefficients {
        *coefficient = std::hint::black_box(FieldOf::<C>::zero());
    }
    std::hint::black_box(&coefficients);
    dealt
}

/// The deal of one polynomial, lowest coefficient first.
pub(super) fn deal_polynomial<C: Ciphersuite>(
    coefficients: &[Scalar<C>],
    members: &[NodeId],
) -> Option<Dealt> {
    let commitments = coefficients
        .iter()
        .map(|coefficient| {
            let element = C::Group::generator() * *coefficient;
            CoefficientCommitment::<C>::new(element)
                .serialize()
                .map(Blob)
                .ok()
        })
        .collect::<Option<_>>()?;
    let shares = members
        .iter()
        .map(|member| {
            let share = SigningShare::<C>::from_coefficients(coefficients, identifier(*member)?);
            Some((*member, Zeroizing::new(share.serialize())))
        })
        .collect::<Option<_>>()?;
    Some(Dealt {
        commitments,
        shares,
    })
}

fn commitment<C: Ciphersuite>(
    commitments: &[Blob],
) -> Option<VerifiableSecretSharingCommitment<C>> {
    VerifiableSecretSharingCommitment::deserialize(commitments.iter().map(|it| &it.0)).ok()
}

/// Checks what a dealer committed to against its old verification share.
pub(super) fn check_commitments<C: Ciphersuite>(
    old: &PublicKeyPackage<C>,
    dealer: NodeId,
    commitments: &[Blob],
    threshold: u16,
) -> Result<(), BadDeal> {
    if commitments.len() != usize::from(threshold) {
        return Err(BadDeal("it commits to a polynomial of another degree"));
    }
    let parsed = commitment::<C>(commitments).ok_or(BadDeal("its commitments do not decode"))?;
    let constant = parsed.coefficients().first().map(|it| it.value());
    let expected = identifier::<C>(dealer)
        .and_then(|id| old.verifying_shares().get(&id))
        .map(|share| share.to_element());
    if constant.is_none() || constant != expected {
        return Err(BadDeal("it deals another secret than its share"));
    }
    Ok(())
}

/// Checks the share that a dealer gave to a member against the dealer's commitments.
pub(super) fn check_share<C: Ciphersuite>(
    commitments: &[Blob],
    to: NodeId,
    share: &[u8],
) -> Result<(), BadDeal> {
    let bad = BadDeal("the share it dealt does not fit its commitments");
    let commitment = commitment::<C>(commitments).ok_or(bad)?;
    let share = SigningShare::<C>::deserialize(share).map_err(|_| bad)?;
    let share = SecretShare::new(identifier(to).ok_or(bad)?, share, commitment);
    share.verify().map(|_| ()).map_err(|_| bad)
}

/// One dealer's part of what a member sums up.
pub(super) struct Part<'a> {
    pub(super) dealer: NodeId,
    pub(super) commitments: &'a [Blob],
    /// The member's own share; none for a node that only needs the public keys.
    pub(super) share: Option<Zeroizing<Vec<u8>>>,
}

/// What comes of the deals, serialised.
pub(super) struct Redistributed {
    pub(super) public_package: Vec<u8>,
    pub(super) key_package: Option<Zeroizing<Vec<u8>>>,
}

/// Sums checked deals up to the new public keys, and to `member`'s new share where the parts hold its shares. The group
/// key must come out as it was.
pub(super) fn combine<C: Ciphersuite>(
    old: &PublicKeyPackage<C>,
    parts: &[Part<'_>],
    members: &[NodeId],
    member: NodeId,
) -> Option<Redistributed> {
    let dealers: BTreeSet<Identifier<C>> = parts
        .iter()
        .map(|part| identifier(part.dealer))
        .collect::<Option<_>>()?;
    let mut sum: Vec<<C::Group as Group>::Element> = Vec::new();
    let mut secret = Some(FieldOf::<C>::zero());
    for part in parts {
        let weight = compute_lagrange_coefficient(&dealers, None, identifier(part.dealer)?).ok()?;
        let commitment = commitment::<C>(part.commitments)?;
        let terms = commitment
            .coefficients()
            .iter()
            .map(|it| it.value() * weight);
        if sum.is_empty() {
            sum = terms.collect();
        } else {
            sum = sum.into_iter().zip(terms).map(|(a, b)| a + b).collect();
        }
        secret = match (secret, &part.share) {
            (Some(sum), Some(share)) => {
                let share = SigningShare::<C>::deserialize(share).ok()?;
                Some(sum + share.to_scalar() * weight)
            }
            _ => None,
        };
    }
    let commitment = VerifiableSecretSharingCommitment::<C>::new(
        sum.into_iter().map(CoefficientCommitment::new).collect(),
    );
    let identifiers: BTreeSet<Identifier<C>> = members
        .iter()
        .map(|member| identifier(*member))
        .collect::<Option<_>>()?;
    let public = PublicKeyPackage::<C>::from_commitment(&identifiers, &commitment).ok()?;
    if public.verifying_key() != old.verifying_key() {
        return None;
    }
    let key_package = match secret {
        None => None,
        Some(secret) => {
            let share =
                SecretShare::new(identifier(member)?, SigningShare::new(secret), commitment);
            let package = KeyPackage::try_from(share).ok()?;
            Some(Zeroizing::new(package.serialize().ok()?))
        }
    };
    Some(Redistributed {
        public_package: public.serialize().ok()?,
        key_package,
    })
}

/// Each member's verification share and the group key, from a serialised public package.
pub(super) fn public_parts<C: Ciphersuite>(
    public_package: &[u8],
    members: &[NodeId],
) -> Option<(Blob, Vec<Blob>)> {
    let public = PublicKeyPackage::<C>::deserialize(public_package).ok()?;
    let shares: &BTreeMap<Identifier<C>, _> = public.verifying_shares();
    let shares = members
        .iter()
        .map(|member| {
            shares
                .get(&identifier(*member)?)?
                .serialize()
                .ok()
                .map(Blob)
        })
        .collect::<Option<_>>()?;
    Some((Blob(public.verifying_key().serialize().ok()?), shares))
}

#[cfg(test)]
mod tests {
    use super::*;
    use frost_core::keys::{IdentifierList, reconstruct, split};
    use frost_core::{SigningKey, keys};

    fn node(id: u16) -> NodeId {
        NodeId::new(id).unwrap()
    }

    /// t of n to t′ of n′, from the deals of old members 1 to t.
    fn redistribute<C: Ciphersuite>(n: u16, t: u16, members: &[u16], threshold: u16) {
        let key = SigningKey::<C>::new(&mut OsRng);
        let (shares, public) = split(&key, n, t, IdentifierList::Default, &mut OsRng).unwrap();
        let members: Vec<NodeId> = members.iter().map(|id| node(*id)).collect();
        let deals: Vec<(NodeId, Dealt)> = (1..=t)
            .map(|id| {
                let share = shares[&identifier::<C>(node(id)).unwrap()].clone();
                let package = KeyPackage::try_from(share).unwrap();
                (node(id), deal(&package, &members, threshold).unwrap())
            })
            .collect();
        let mut packages = Vec::new();
        let mut publics = BTreeSet::new();
        for (at, member) in members.iter().enumerate() {
            let parts: Vec<Part<'_>> = deals
                .iter()
                .map(|(dealer, dealt)| {
                    let share = &dealt.shares[at].1;
                    check_commitments(&public, *dealer, &dealt.commitments, threshold).unwrap();
                    check_share::<C>(&dealt.commitments, *member, share).unwrap();
                    Part {
                        dealer: *dealer,
                        commitments: &dealt.commitments,
                        share: Some(share.clone()),
                    }
                })
                .collect();
            let made = combine(&public, &parts, &members, *member).unwrap();
            publics.insert(made.public_package);
            packages.push(KeyPackage::<C>::deserialize(&made.key_package.unwrap()).unwrap());
        }
        assert_eq!(publics.len(), 1, "all have the same public keys");
        let quorum = usize::from(threshold);
        let again = reconstruct(&packages[packages.len() - quorum..]).unwrap();
        assert_eq!(again.serialize(), key.serialize(), "the same secret");
        assert!(reconstruct(&packages[1..quorum]).is_err(), "not from fewer");
        // An old share and new ones do not mix.
        let old: keys::KeyPackage<C> =
            KeyPackage::try_from(shares[&identifier::<C>(node(1)).unwrap()].clone()).unwrap();
        let mut mixed: Vec<_> = packages
            .iter()
            .filter(|package| package.identifier() != old.identifier())
            .take(quorum - 1)
            .cloned()
            .collect();
        mixed.push(KeyPackage::new(
            *old.identifier(),
            *old.signing_share(),
            *old.verifying_share(),
            *old.verifying_key(),
            threshold,
        ));
        let mixed = reconstruct(&mixed).unwrap();
        assert_ne!(mixed.serialize(), key.serialize());
    }

    #[test]
    fn the_secret_stays_when_members_and_threshold_change_in_every_suite() {
        redistribute::<frost_secp256k1::Secp256K1Sha256>(4, 3, &[1, 2, 3, 4], 3);
        redistribute::<frost_secp256k1::Secp256K1Sha256>(4, 3, &[2, 3, 4, 9], 3);
        redistribute::<frost_ed25519::Ed25519Sha512>(4, 3, &[1, 2, 3, 4, 5, 6, 7], 5);
        redistribute::<frost_ed25519::Ed25519Sha512>(7, 5, &[1, 3, 5, 7], 3);
        redistribute::<frost_ristretto255::Ristretto255Sha512>(4, 3, &[5, 6, 7, 8, 9], 4);
    }

    #[test]
    fn a_dealer_of_another_secret_degree_or_share_is_caught_by_anybody() {
        type C = frost_secp256k1::Secp256K1Sha256;
        let key = SigningKey::<C>::new(&mut OsRng);
        let (shares, public) = split(&key, 4, 3, IdentifierList::Default, &mut OsRng).unwrap();
        let members: Vec<NodeId> = (1..=4).map(node).collect();
        let package = |id: u16| {
            KeyPackage::try_from(shares[&identifier::<C>(node(id)).unwrap()].clone()).unwrap()
        };
        let theirs = deal(&package(2), &members, 3).unwrap();
        let how = |dealt: &Dealt| {
            check_commitments(&public, node(1), &dealt.commitments, 3)
                .unwrap_err()
                .0
        };
        assert!(how(&theirs).contains("another secret"));
        assert!(how(&deal(&package(1), &members, 4).unwrap()).contains("degree"));
        let good = deal(&package(1), &members, 3).unwrap();
        check_commitments(&public, node(1), &good.commitments, 3).unwrap();
        assert!(check_share::<C>(&good.commitments, node(2), &good.shares[2].1).is_err());
        check_share::<C>(&good.commitments, node(2), &good.shares[1].1).unwrap();
    }
}
