//! Making a presentation.

use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};

use super::bind::{public, shape, transcript};
use super::verify::check_form;
use super::{
    PRESENTATION_VERSION, PresentContext, Presentation, PresentationError, Presented, Witness,
    pseudonym_base, restraint_base,
};
use crate::bip340;
use crate::encoding::{Blob, Bytes};
use crate::group::Point;
use crate::ids::Verdict;
use crate::rules::Compiled;
use crate::statement::{self, LeafSecret, Public, Secrets, Shape, StatementError};

/// Proves a verdict on a contract to an audience and signs with every leaf's key.
///
/// `reasons` are those of a NO that gives reasons, else none. What depends on the day of the check is left to
/// [`super::verify`].
///
/// # Errors
/// [`PresentationError::Statement`] when the facts do not make the verdict true or the witness does not open the leaves;
/// otherwise as for [`super::verify`].
pub fn prove<R: RngCore + CryptoRng>(
    compiled: &Compiled,
    verdict: Verdict,
    reasons: &[String],
    witness: &Witness,
    context: &PresentContext,
    rng: &mut R,
) -> Result<Presentation, PresentationError> {
    let presentation = draft(compiled, verdict, reasons, witness, context)?;
    check_form(&presentation, compiled)?;
    complete(presentation, compiled, witness, statement::prove, rng)
}

/// As [`prove`], without looking first at what the presentation says and whether the witness opens the leaves.
#[cfg(test)]
pub(super) fn prove_unchecked<R: RngCore + CryptoRng>(
    compiled: &Compiled,
    verdict: Verdict,
    reasons: &[String],
    witness: &Witness,
    context: &PresentContext,
    rng: &mut R,
) -> Result<Presentation, PresentationError> {
    let presentation = draft(compiled, verdict, reasons, witness, context)?;
    complete(
        presentation,
        compiled,
        witness,
        statement::prove_unchecked,
        rng,
    )
}

/// Everything but slacks, proof and signatures.
fn draft(
    compiled: &Compiled,
    verdict: Verdict,
    reasons: &[String],
    witness: &Witness,
    context: &PresentContext,
) -> Result<Presentation, PresentationError> {
    let no_witness = |_| PresentationError::Statement(StatementError::Witness);
    let attestations = witness.held.iter().map(|held| Presented {
        attestation: held.attestation.clone(),
        purpose_salt: held.purpose_salt,
        holder_signature: Bytes([0; 64]),
    });
    let base = match &context.enquiry {
        None => pseudonym_base(&context.audience),
        Some(enquiry) => restraint_base(&context.audience, &enquiry.period),
    };
    Ok(Presentation {
        version: PRESENTATION_VERSION,
        contract: compiled.contract.clone(),
        jurisdiction: compiled.jurisdiction,
        as_of: compiled.as_of,
        verdict,
        reasons: reasons.to_vec(),
        audience: context.audience.clone(),
        nonces: context.nonces.clone(),
        pseudonym: Point::new(witness.k * base).map_err(no_witness)?,
        enquiry: context.enquiry,
        cnf: context.cnf,
        ledger_salt: context.ledger_salt,
        attestations: attestations.collect(),
        slacks: Vec::new(),
        proof: Blob::default(),
    })
}

type StatementProver<R> = fn(
    &mut Transcript,
    &Shape,
    &Public,
    &Secrets,
    &mut R,
) -> Result<(Vec<Point>, Vec<u8>), StatementError>;

/// Proves and signs a draft.
fn complete<R: RngCore + CryptoRng>(
    mut presentation: Presentation,
    compiled: &Compiled,
    witness: &Witness,
    prove: StatementProver<R>,
    rng: &mut R,
) -> Result<Presentation, PresentationError> {
    let shape = shape(compiled, presentation.verdict, &presentation.reasons)?;
    let (slacks, proof) = prove(
        &mut transcript(&presentation),
        &shape,
        &public(&presentation)?,
        &secrets(witness)?,
        rng,
    )?;
    presentation.slacks = slacks;
    presentation.proof = Blob(proof);

    let digest = presentation.digest();
    for (presented, held) in presentation.attestations.iter_mut().zip(&witness.held) {
        let mut sign = || {
            if bip340::public_key(&held.key)? != presented.attestation.leaf.key {
                return Err(bip340::SignatureError::Key);
            }
            bip340::sign(&held.key, &digest.0, rng)
        };
        presented.holder_signature = sign().map_err(|error| PresentationError::Holder {
            attribute: presented.attestation.leaf.attribute.clone(),
            error,
        })?;
    }
    Ok(presentation)
}

/// The statement's secrets: each blinding is the sum of the enrolment's and the leaf's.
fn secrets(witness: &Witness) -> Result<Secrets, PresentationError> {
    let leaves = witness.held.iter().map(|held| LeafSecret {
        value: held.opening.value,
        known: held.opening.known,
        value_blinding: held.opening.blindings.value,
        known_blinding: held.opening.blindings.known,
        subject_blinding: *held.subject_blinding + held.opening.blindings.subject,
    });
    let person = witness
        .held
        .iter()
        .find_map(|held| held.opening.blindings.person);
    Ok(Secrets {
        leaves: leaves.collect(),
        k: witness.k,
        person_blinding: witness.person + person.ok_or(PresentationError::Person)?,
    })
}
