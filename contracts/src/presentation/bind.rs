//! What prover and verifier both derive from a presentation and its contract: statement, transcript, public points.

use merlin::Transcript;

use super::{Presentation, PresentationError};
use crate::encoding::{Bytes32, tagged_hash};
use crate::ids::{NodeId, Verdict};
use crate::leaf::PERSON;
use crate::rules::{Compiled, check_cap};
use crate::statement::transcript::ProofTranscript;
use crate::statement::{Atom, Commitments, Node, Public, Relation, Shape};

/// The shape of a verdict's proof: what the contract compiles to, and that `identity.person` is known and 1.
///
/// # Errors
/// [`PresentationError::Rules`], [`PresentationError::Tree`], or [`PresentationError::Person`] for a contract without
/// `identity.person`.
pub fn shape(
    compiled: &Compiled,
    verdict: Verdict,
    reasons: &[String],
) -> Result<Shape, PresentationError> {
    let person = compiled
        .fact_index(PERSON)
        .ok_or(PresentationError::Person)?;
    let person = Node::Atom(Atom {
        relation: Relation::EqZero,
        terms: vec![(person, 1)],
        constant: -1,
    });
    let tree = Node::And(vec![compiled.statement(verdict, reasons)?, person]);
    let bits = compiled.bits(verdict, reasons)?;
    let shape = Shape::new(&tree, compiled.facts.len(), bits)?;
    check_cap(compiled, verdict, &shape)?;
    Ok(shape)
}

/// The verifier's nonce: a hash of the decision nodes' nonces in ascending order of nodes.
fn verifier_nonce(nonces: &[(NodeId, Bytes32)]) -> [u8; 32] {
    let parts: Vec<Vec<u8>> = nonces
        .iter()
        .map(|(node, nonce)| [&node.get().to_be_bytes()[..], &nonce.0].concat())
        .collect();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    tagged_hash("shp/v1/verifier-nonce", &parts)
}

/// The transcript up to and including the leaf hashes; the statement appends the rest.
pub(super) fn transcript(presentation: &Presentation) -> Transcript {
    let mut transcript = Transcript::new(b"shp/v1/presentation-proof");
    transcript.append_u64(b"version", u64::from(presentation.version));
    transcript.append_message(b"contract-id", presentation.contract.id.as_bytes());
    transcript.append_message(b"contract-hash", &presentation.contract.hash.0);
    transcript.append_message(b"as-of", &presentation.as_of.number().to_be_bytes());
    transcript.append_message(b"jurisdiction", presentation.jurisdiction.code().as_bytes());
    transcript.append_message(b"verdict", presentation.verdict.to_string().as_bytes());
    transcript.append_u64(b"reasons", presentation.reasons.len() as u64);
    for reason in &presentation.reasons {
        transcript.append_message(b"reason", reason.as_bytes());
    }
    transcript.append_message(b"audience", presentation.audience.as_bytes());
    transcript.append_message(b"nonce", &verifier_nonce(&presentation.nonces));
    let (case, restraint) = match &presentation.enquiry {
        None => (Some(&presentation.pseudonym), None),
        Some(_) => (None, Some(&presentation.pseudonym)),
    };
    transcript.append_optional_point(b"pseudonym", case);
    transcript.append_optional_point(b"restraint", restraint);
    if let Some(enquiry) = &presentation.enquiry {
        transcript.append_message(b"period", enquiry.period.to_string().as_bytes());
        transcript.append_message(b"subject", &enquiry.subject.0);
    }
    transcript.append_message(b"cnf", &presentation.cnf.0);
    transcript.append_message(b"ledger-salt", &presentation.ledger_salt.0);
    transcript.append_u64(b"leaves", presentation.attestations.len() as u64);
    for presented in &presentation.attestations {
        transcript.append_message(b"leaf", &presented.attestation.leaf.hash().0);
    }
    transcript
}

/// The public points of a presentation's statement.
pub(super) fn public(presentation: &Presentation) -> Result<Public, PresentationError> {
    let leaves = || {
        presentation
            .attestations
            .iter()
            .map(|presented| &presented.attestation.leaf)
    };
    Ok(Public {
        leaves: leaves()
            .map(|leaf| Commitments {
                value: leaf.c_value,
                known: leaf.c_known,
                subject: leaf.c_subject,
            })
            .collect(),
        person: leaves()
            .find_map(|leaf| leaf.c_person)
            .ok_or(PresentationError::Person)?,
        pseudonym: presentation.pseudonym,
        base: presentation.pseudonym_base(),
    })
}
