//! For tests: committees with dealt keys, owners who enrolled, and leaves that went through blind issue for real.

use std::collections::BTreeMap;

use curve25519_dalek::scalar::Scalar;
use frost_secp256k1 as frost;
use frost_secp256k1::keys::{IdentifierList, KeyPackage, PublicKeyPackage};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use zeroize::Zeroizing;

use crate::attestation::{AttestationKey, Batch, SignedRoot};
use crate::bip340;
use crate::catalogue::catalogue;
use crate::encoding::{Bytes, Bytes32};
use crate::group::{PEDERSEN, Point};
use crate::ids::{Domain, NodeId};
use crate::issuance::{
    self, Blindings, EnrolContext, EnrolSecrets, IssueContext, LeafRequest, Opening,
};
use crate::leaf::{Leaf, PERSON};
use crate::presentation::{Held, Witness};
use crate::rules::Compiled;
use crate::units::Day;

/// A generator with a fixed seed.
pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// A bit of each byte of a message, for tests that flip one; `FLIP_SEED` chooses others.
pub(crate) fn bits() -> impl Iterator<Item = u8> {
    let seed = std::env::var("FLIP_SEED").ok();
    let mut rng = rng(seed.map_or(1, |seed| seed.parse().unwrap()));
    std::iter::repeat_with(move || rng.gen_range(0..8))
}

/// 32 random bytes.
pub(crate) fn bytes32(rng: &mut StdRng) -> Bytes32 {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes.into()
}

/// A secret key and its x-only public key.
pub(crate) fn keypair(rng: &mut StdRng) -> (Zeroizing<[u8; 32]>, Bytes32) {
    let secret = bytes32(rng).0;
    (Zeroizing::new(secret), bip340::public_key(&secret).unwrap())
}

/// A nonce of each of three nodes.
pub(crate) fn nonces(rng: &mut StdRng) -> Vec<(NodeId, Bytes32)> {
    (1..=3)
        .map(|node| (NodeId::new(node).unwrap(), bytes32(rng)))
        .collect()
}

/// A committee of four with a threshold of three.
pub(crate) struct Issuer {
    pub domain: Domain,
    pub epoch: u64,
    shares: BTreeMap<frost::Identifier, KeyPackage>,
    group: PublicKeyPackage,
}

impl Issuer {
    pub fn new(domain: Domain, epoch: u64, rng: &mut StdRng) -> Self {
        let (shares, group) =
            frost::keys::generate_with_dealer(4, 3, IdentifierList::Default, &mut *rng).unwrap();
        let shares = shares
            .into_iter()
            .map(|(id, share)| (id, share.try_into().unwrap()))
            .collect();
        Self {
            domain,
            epoch,
            shares,
            group,
        }
    }

    pub fn key(&self) -> AttestationKey {
        AttestationKey::from(*self.group.verifying_key())
    }

    /// A threshold signature by the first three members.
    pub fn sign(&self, message: &[u8], rng: &mut StdRng) -> Bytes<65> {
        let mut nonces = BTreeMap::new();
        let mut commitments = BTreeMap::new();
        for (id, share) in self.shares.iter().take(3) {
            let (nonce, commitment) = frost::round1::commit(share.signing_share(), &mut *rng);
            nonces.insert(*id, nonce);
            commitments.insert(*id, commitment);
        }
        let package = frost::SigningPackage::new(commitments, message);
        let shares = nonces
            .iter()
            .map(|(id, nonce)| {
                (
                    *id,
                    frost::round2::sign(&package, nonce, &self.shares[id]).unwrap(),
                )
            })
            .collect();
        let signature = frost::aggregate(&package, &shares, &self.group).unwrap();
        Bytes::from_slice(&signature.serialize().unwrap()).unwrap()
    }
}

/// An enrolled owner.
pub(crate) struct Owner {
    pub secrets: EnrolSecrets,
    /// `S_d` by domain, as in the handles.
    pub subjects: BTreeMap<Domain, Point>,
    pub c_person: Point,
    pub authorisation: BTreeMap<Domain, Bytes32>,
}

impl Owner {
    /// Enrols somebody whose subject is `s`.
    pub fn enrol(s: Scalar, rng: &mut StdRng) -> Self {
        let secrets = EnrolSecrets::random(Scalar::random(rng), rng);
        let points = secrets.points().unwrap();
        let context = EnrolContext {
            epoch: 1,
            request_id: bytes32(rng),
            nonces: nonces(rng),
            keys: Domain::ALL.map(|domain| (domain, keypair(rng).1)).to_vec(),
        };
        let proof = issuance::prove_enrolment(&context, &points, &secrets, rng).unwrap();
        issuance::verify_enrolment(&context, &points, &proof).unwrap();
        let subjects = points.r_subject.iter();
        Self {
            subjects: subjects
                .map(|(domain, r)| (*domain, Point::new(s * PEDERSEN.B + r.point()).unwrap()))
                .collect(),
            c_person: points.c_person,
            authorisation: context.keys.into_iter().collect(),
            secrets,
        }
    }
}

/// Every fact committee at one epoch.
pub(crate) struct World {
    pub issuers: BTreeMap<Domain, Issuer>,
}

/// What leaves are issued for.
pub(crate) struct Purpose<'a> {
    pub contract: Bytes32,
    pub audience: &'a str,
    pub observed: Day,
}

impl World {
    pub fn new(epoch: u64, rng: &mut StdRng) -> Self {
        let issuers = Domain::ALL.map(|domain| (domain, Issuer::new(domain, epoch, rng)));
        Self {
            issuers: issuers.into(),
        }
    }

    pub fn keys(&self) -> BTreeMap<(Domain, u64), AttestationKey> {
        let issuers = self.issuers.values();
        issuers
            .map(|issuer| ((issuer.domain, issuer.epoch), issuer.key()))
            .collect()
    }

    /// Puts leaves under one signed root of a committee.
    pub fn sign(
        &self,
        committee: Domain,
        day: Day,
        leaves: &[Leaf],
        rng: &mut StdRng,
    ) -> (Batch, SignedRoot) {
        let issuer = &self.issuers[&committee];
        let hashes: Vec<Bytes32> = leaves.iter().map(Leaf::hash).collect();
        let dummies: Vec<Bytes32> = (0..Batch::dummies_for(hashes.len()))
            .map(|_| bytes32(rng))
            .collect();
        let batch = Batch::new(&hashes, &dummies).unwrap();
        let statement = batch.statement(committee, issuer.epoch, day);
        let signature = issuer.sign(&statement.message(), rng);
        (
            batch,
            SignedRoot {
                statement,
                signature,
            },
        )
    }

    /// Issues a leaf per fact of a contract; `edit` may change a leaf before its committee signs it.
    pub fn issue(
        &self,
        owner: &Owner,
        compiled: &Compiled,
        values: &[Option<i64>],
        purpose: &Purpose<'_>,
        edit: impl Fn(&mut Leaf),
        rng: &mut StdRng,
    ) -> Witness {
        let mut held = Vec::new();
        for (fact, value) in compiled.facts.iter().zip(values) {
            let attribute = catalogue().get(&fact.attribute).unwrap();
            let domain = attribute.domain;
            let is_person = fact.attribute.0 == PERSON;
            let context = IssueContext {
                committee: domain,
                epoch: self.issuers[&domain].epoch,
                nonces: nonces(rng),
                authorisation_key: owner.authorisation[&domain],
                request_id: bytes32(rng),
                observed: purpose.observed,
            };
            let blindings = Blindings::random(is_person, rng);
            let (r_value, r_known, r_subject, r_person) = blindings.points().unwrap();
            let (key, public_key) = keypair(rng);
            let purpose_salt = bytes32(rng);
            let request = LeafRequest {
                attribute: fact.attribute.clone(),
                period: fact.period,
                index: 0,
                key: public_key,
                seal_key: bytes32(rng),
                purpose: issuance::purpose(&purpose_salt, &purpose.contract, purpose.audience),
                r_value,
                r_known,
                r_subject,
                r_person,
                withheld: false,
            };
            let requests = [request];
            let proof = issuance::prove_blinding(
                &context,
                &requests,
                std::slice::from_ref(&blindings),
                rng,
            )
            .unwrap();
            issuance::verify_blinding(&context, &requests, &proof).unwrap();
            let expires = purpose
                .observed
                .plus(i64::from(attribute.freshness_days))
                .unwrap();
            let person = is_person.then_some(&owner.c_person);
            let (number, known) = (value.unwrap_or(0), value.is_some());
            let s_d = &owner.subjects[&domain];
            let mut leaf =
                issuance::build_leaf(&context, &requests[0], number, known, s_d, person, expires)
                    .unwrap();
            edit(&mut leaf);
            let (batch, root) = self.sign(
                leaf.committee,
                purpose.observed,
                std::slice::from_ref(&leaf),
                rng,
            );
            held.push(Held {
                attestation: batch.attestation(leaf, root).unwrap(),
                purpose_salt,
                key,
                opening: Opening {
                    value: number,
                    known,
                    blindings,
                },
                subject_blinding: Zeroizing::new(*owner.secrets.subject_blinding(domain).unwrap()),
            });
        }
        Witness {
            held,
            k: owner.secrets.k,
            person: owner.secrets.person,
        }
    }
}
