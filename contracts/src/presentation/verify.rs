//! Checking a presentation, cheap checks first.

use std::collections::HashSet;

use rand_core::{CryptoRng, RngCore};

use super::bind::{public, shape, transcript};
use super::{
    MAX_AS_OF_AGE_DAYS, MAX_AUDIENCE_BYTES, MAX_LEAVES, MAX_NONCES, PRESENTATION_VERSION,
    Presentation, PresentationError,
};
use crate::attestation::{CommitteeKeys, SignedRoot};
use crate::bip340;
use crate::catalogue::catalogue;
use crate::issuance;
use crate::leaf::{Leaf, PERSON};
use crate::rules::Compiled;
use crate::statement::{self, Claim, Public, Shape, StatementError};
use crate::units::{Day, UnixTime};

/// Checks that a presentation shows its verdict on this contract, jurisdiction and as-of day, at `now`.
///
/// `keys` are the committee keys that the verifier accepts. Left to the caller: that the contract is registered and the
/// audience too, as what ([`Presentation::check_kind`]), that an enquiry is of the month of its decision
/// ([`Presentation::check_month`]), that at least a quorum of decision nodes is named in `nonces` and its own nonce is its own and unused
/// ([`Presentation::nonce_of`]), and that no leaf was accepted before under another `jti`.
///
/// # Errors
/// [`PresentationError`], naming the field to refuse.
pub fn verify(
    presentation: &Presentation,
    compiled: &Compiled,
    keys: &dyn CommitteeKeys,
    now: UnixTime,
) -> Result<(), PresentationError> {
    let (shape, public) = check_all_but_proof(presentation, compiled, keys, now)?;
    statement::verify(
        &mut transcript(presentation),
        &shape,
        &public,
        &presentation.slacks,
        &presentation.proof.0,
    )?;
    Ok(())
}

/// Checks many presentations, each on its contract: for each, in order, what [`verify`] says of it alone.
///
/// Their proofs are verified together, which is quicker; everything else is checked one by one. `rng` gives the weights
/// under which proofs are added up. That no leaf is in two of them is left to the caller, like the rest that
/// [`verify`] leaves.
#[must_use]
pub fn verify_batch<R: RngCore + CryptoRng>(
    presentations: &[(&Presentation, &Compiled)],
    keys: &dyn CommitteeKeys,
    now: UnixTime,
    rng: &mut R,
) -> Vec<Result<(), PresentationError>> {
    let checked: Vec<Result<(Shape, Public), PresentationError>> = presentations
        .iter()
        .map(|(presentation, compiled)| check_all_but_proof(presentation, compiled, keys, now))
        .collect();
    let claims: Vec<Claim<'_>> = presentations
        .iter()
        .zip(&checked)
        .filter_map(|((presentation, _), checked)| {
            let (shape, public) = checked.as_ref().ok()?;
            Some(Claim {
                transcript: transcript(presentation),
                shape,
                public,
                slacks: &presentation.slacks,
                proof: &presentation.proof.0,
            })
        })
        .collect();
    let mut proofs = statement::verify_batch(&claims, rng).into_iter();
    checked
        .iter()
        .map(|checked| match checked {
            Ok(_) => Ok(proofs.next().unwrap_or(Err(StatementError::Proof))?),
            Err(error) => Err(error.clone()),
        })
        .collect()
}

/// Every check but the proof, and what the proof is about.
fn check_all_but_proof(
    presentation: &Presentation,
    compiled: &Compiled,
    keys: &dyn CommitteeKeys,
    now: UnixTime,
) -> Result<(Shape, Public), PresentationError> {
    check_form(presentation, compiled)?;
    let shape = shape(compiled, presentation.verdict, &presentation.reasons)?;
    let today = now.day().map_err(|_| PresentationError::Now)?;
    let as_of = presentation.as_of;
    if as_of > today || today.number() - as_of.number() > MAX_AS_OF_AGE_DAYS {
        return Err(PresentationError::AsOf { as_of, today });
    }
    for presented in &presentation.attestations {
        check_days(&presented.attestation.leaf, today)?;
    }
    check_holder(presentation)?;
    check_attestations(presentation, keys)?;
    Ok((shape, public(presentation)?))
}

/// Everything that needs neither a key nor the time: bindings, the set of leaves, purposes.
pub(super) fn check_form(
    presentation: &Presentation,
    compiled: &Compiled,
) -> Result<(), PresentationError> {
    if presentation.version != PRESENTATION_VERSION {
        return Err(PresentationError::Version(presentation.version));
    }
    let same = [
        ("contract", presentation.contract == compiled.contract),
        (
            "jurisdiction",
            presentation.jurisdiction == compiled.jurisdiction,
        ),
        ("as_of", presentation.as_of == compiled.as_of),
    ];
    if let Some((field, _)) = same.into_iter().find(|(_, same)| !same) {
        return Err(PresentationError::Contract(field));
    }
    let audience = presentation.audience.as_bytes();
    if !(1..=MAX_AUDIENCE_BYTES).contains(&audience.len())
        || !audience.iter().all(u8::is_ascii_graphic)
    {
        return Err(PresentationError::Audience);
    }
    let nonces = &presentation.nonces;
    let ascending = nonces
        .windows(2)
        .all(|pair| matches!(pair, [(a, _), (b, _)] if a < b));
    if nonces.is_empty() || nonces.len() > MAX_NONCES || !ascending {
        return Err(PresentationError::Nonces);
    }
    presentation.check_enquiry()?;
    check_leaves(presentation, compiled)?;
    let cnf = secp256k1::PublicKey::from_slice(&presentation.cnf.0)
        .map_err(|_| PresentationError::Cnf)?;
    let cnf = cnf.x_only_public_key().0.serialize();
    if leaves(presentation).any(|leaf| leaf.key.0 == cnf) {
        return Err(PresentationError::Cnf);
    }
    Ok(())
}

fn leaves(presentation: &Presentation) -> impl Iterator<Item = &Leaf> {
    presentation
        .attestations
        .iter()
        .map(|presented| &presented.attestation.leaf)
}

/// The leaves are exactly the contract's facts, in its order, each from its domain and for this purpose.
fn check_leaves(presentation: &Presentation, compiled: &Compiled) -> Result<(), PresentationError> {
    let (expected, got) = (compiled.facts.len(), presentation.attestations.len());
    if expected != got || got > MAX_LEAVES {
        return Err(PresentationError::LeafCount { expected, got });
    }
    let mut used = HashSet::new();
    for (index, fact) in compiled.facts.iter().enumerate() {
        let wrong = || PresentationError::Fact {
            index,
            expected: Box::new(fact.clone()),
        };
        let presented = presentation.attestations.get(index).ok_or_else(wrong)?;
        let leaf = &presented.attestation.leaf;
        if (&leaf.attribute, leaf.period) != (&fact.attribute, fact.period) {
            return Err(wrong());
        }
        let attribute = || leaf.attribute.clone();
        let expected = catalogue()
            .get(&leaf.attribute)
            .ok_or_else(|| PresentationError::Attribute(attribute()))?
            .domain;
        if leaf.committee != expected {
            return Err(PresentationError::Domain {
                attribute: attribute(),
                expected,
                got: leaf.committee,
            });
        }
        if leaf.c_person.is_some() != (leaf.attribute.0 == PERSON) {
            return Err(PresentationError::Person);
        }
        if !used.insert(leaf.key) {
            return Err(PresentationError::Key(attribute()));
        }
        let purpose = issuance::purpose(
            &presented.purpose_salt,
            &presentation.contract.hash,
            &presentation.audience,
        );
        if leaf.purpose != purpose {
            return Err(PresentationError::Purpose(attribute()));
        }
    }
    Ok(())
}

fn check_days(leaf: &Leaf, today: Day) -> Result<(), PresentationError> {
    if leaf.observed > today || leaf.observed < leaf.period.end {
        return Err(PresentationError::Observed {
            attribute: leaf.attribute.clone(),
            observed: leaf.observed,
            today,
        });
    }
    if leaf.expires < today {
        return Err(PresentationError::Expired {
            attribute: leaf.attribute.clone(),
            expires: leaf.expires,
        });
    }
    Ok(())
}

fn check_holder(presentation: &Presentation) -> Result<(), PresentationError> {
    let digest = presentation.digest();
    for presented in &presentation.attestations {
        let leaf = &presented.attestation.leaf;
        bip340::verify(&leaf.key, &digest.0, &presented.holder_signature).map_err(|error| {
            PresentationError::Holder {
                attribute: leaf.attribute.clone(),
                error,
            }
        })?;
    }
    Ok(())
}

fn check_attestations(
    presentation: &Presentation,
    keys: &dyn CommitteeKeys,
) -> Result<(), PresentationError> {
    // Leaves of one batch share a root; its signature is checked once.
    let mut verified: Vec<&SignedRoot> = Vec::new();
    for presented in &presentation.attestations {
        let attestation = &presented.attestation;
        let leaf = &attestation.leaf;
        let failed = |error| PresentationError::Attestation {
            attribute: leaf.attribute.clone(),
            error,
        };
        attestation.check_path().map_err(failed)?;
        if verified.contains(&&attestation.root) {
            continue;
        }
        let (committee, epoch) = (leaf.committee, leaf.epoch);
        let key = keys
            .attestation_key(committee, epoch)
            .ok_or(PresentationError::Epoch { committee, epoch })?;
        attestation.root.verify(&key).map_err(failed)?;
        verified.push(&attestation.root);
    }
    Ok(())
}
