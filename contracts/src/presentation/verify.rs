//! Checking a presentation, cheap checks first.

use std::collections::HashSet;

use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};

use super::bind::{public, shape, transcript};
use super::{
    MAX_AS_OF_AGE_DAYS, MAX_AUDIENCE_BYTES, MAX_LEAVES, MAX_NONCES, PRESENTATION_VERSION,
    Presentation, PresentationError,
};
use crate::attestation::{AttestationKey, CommitteeKeys, SignedRoot};
use crate::bip340;
use crate::catalogue::catalogue;
use crate::ids::AttributeId;
use crate::issuance;
use crate::leaf::{Leaf, PERSON};
use crate::rules::Compiled;
use crate::schnorr::{self, Equation};
use crate::statement::{self, Claim, Public, Shape};
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
/// Their signatures are verified together, and so are their proofs, each in one multi-scalar multiplication; one that
/// fails anything is checked alone, which names the reason. `rng` gives the weights under which they are added up. That
/// no leaf is in two of them is left to the caller, like the rest that [`verify`] leaves.
#[must_use]
pub fn verify_batch<R: RngCore + CryptoRng>(
    presentations: &[(&Presentation, &Compiled)],
    keys: &dyn CommitteeKeys,
    now: UnixTime,
    rng: &mut R,
) -> Vec<Result<(), PresentationError>> {
    let alone = |at: usize| match presentations.get(at) {
        Some((presentation, compiled)) => verify(presentation, compiled, keys, now),
        None => Ok(()),
    };
    if presentations.len() < 2 {
        return (0..presentations.len()).map(alone).collect();
    }
    let mut results: Vec<Result<(), PresentationError>> = vec![Ok(()); presentations.len()];
    let mut fail = |at: usize, error: PresentationError| {
        if let Some(result) = results.get_mut(at) {
            // What fails together fails alone too, and is named as it would be there.
            *result = Err(alone(at).err().unwrap_or(error));
        }
    };
    let mut sound: Vec<(usize, Shape, Public)> = Vec::with_capacity(presentations.len());
    let mut signatures: Vec<Vec<Equation>> = Vec::with_capacity(presentations.len());
    let mut weights = Transcript::new(b"shp/v1/presentation-batch");
    for (at, (presentation, compiled)) in presentations.iter().enumerate() {
        match check_unsigned(presentation, compiled, now)
            .and_then(|checked| Ok((checked, signed(presentation, keys)?)))
        {
            Ok(((shape, public), equations)) => {
                weights.append_message(b"digest", &presentation.digest().0);
                for presented in &presentation.attestations {
                    weights.append_message(b"holder", &presented.holder_signature.0);
                }
                sound.push((at, shape, public));
                signatures.push(equations);
            }
            Err(error) => fail(at, error),
        }
    }
    let mut weights = weights.build_rng().finalize(rng);
    for place in schnorr::refused(&signatures, &mut weights)
        .into_iter()
        .rev()
    {
        let (at, ..) = sound.remove(place);
        fail(at, PresentationError::Signatures);
    }
    let claims: Vec<Claim<'_>> = sound
        .iter()
        .filter_map(|(at, shape, public)| {
            let (presentation, _) = presentations.get(*at)?;
            Some(Claim {
                transcript: transcript(presentation),
                shape,
                public,
                slacks: &presentation.slacks,
                proof: &presentation.proof.0,
            })
        })
        .collect();
    let proofs = statement::verify_batch(&claims, rng);
    for ((at, ..), proof) in sound.iter().zip(proofs) {
        if let (Err(error), Some(result)) = (proof, results.get_mut(*at)) {
            *result = Err(error.into());
        }
    }
    results
}

/// Every check but the proof, and what the proof is about.
fn check_all_but_proof(
    presentation: &Presentation,
    compiled: &Compiled,
    keys: &dyn CommitteeKeys,
    now: UnixTime,
) -> Result<(Shape, Public), PresentationError> {
    let checked = check_unsigned(presentation, compiled, now)?;
    check_holder(presentation)?;
    check_attestations(presentation, keys)?;
    Ok(checked)
}

/// What needs neither a signature nor the proof, and what the proof is about.
fn check_unsigned(
    presentation: &Presentation,
    compiled: &Compiled,
    now: UnixTime,
) -> Result<(Shape, Public), PresentationError> {
    check_form(presentation, compiled)?;
    let today = now.day().map_err(|_| PresentationError::Now)?;
    let as_of = presentation.as_of;
    if as_of > today || today.number() - as_of.number() > MAX_AS_OF_AGE_DAYS {
        return Err(PresentationError::AsOf { as_of, today });
    }
    for presented in &presentation.attestations {
        check_days(&presented.attestation.leaf, today)?;
    }
    let shape = shape(compiled, presentation.verdict, &presentation.reasons)?;
    Ok((shape, public(presentation)?))
}

/// The equations of every signature, whatever else [`check_attestations`] looks at being checked.
fn signed(
    presentation: &Presentation,
    keys: &dyn CommitteeKeys,
) -> Result<Vec<Equation>, PresentationError> {
    let digest = presentation.digest();
    let mut equations = Vec::with_capacity(2 * presentation.attestations.len());
    for presented in &presentation.attestations {
        let key = &presented.attestation.leaf.key;
        let equation = Equation::holder(key, &digest.0, &presented.holder_signature);
        equations.push(equation.ok_or(PresentationError::Signatures)?);
    }
    for (root, key) in roots(presentation, keys)? {
        let equation = Equation::root(&key, root);
        equations.push(equation.ok_or(PresentationError::Signatures)?);
    }
    Ok(equations)
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
    for (root, key) in roots(presentation, keys)? {
        root.verify(&key).map_err(|error| {
            let mut leaves = presentation.attestations.iter();
            let first = leaves.find(|presented| presented.attestation.root == *root);
            PresentationError::Attestation {
                attribute: first.map_or_else(
                    || AttributeId(String::new()),
                    |presented| presented.attestation.leaf.attribute.clone(),
                ),
                error,
            }
        })?;
    }
    Ok(())
}

/// Checks that every leaf is in its tree; the roots of the trees, each once, with the keys that must have signed them.
fn roots<'a>(
    presentation: &'a Presentation,
    keys: &dyn CommitteeKeys,
) -> Result<Vec<(&'a SignedRoot, AttestationKey)>, PresentationError> {
    let mut roots: Vec<(&SignedRoot, AttestationKey)> = Vec::new();
    for presented in &presentation.attestations {
        let attestation = &presented.attestation;
        let leaf = &attestation.leaf;
        let failed = |error| PresentationError::Attestation {
            attribute: leaf.attribute.clone(),
            error,
        };
        attestation.check_path().map_err(failed)?;
        if roots.iter().any(|(root, _)| **root == attestation.root) {
            continue;
        }
        attestation.root.check_size().map_err(failed)?;
        let (committee, epoch) = (leaf.committee, leaf.epoch);
        let key = keys
            .attestation_key(committee, epoch)
            .ok_or(PresentationError::Epoch { committee, epoch })?;
        roots.push((&attestation.root, key));
    }
    Ok(roots)
}
