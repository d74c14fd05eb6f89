//! Why a presentation is not made or not accepted.

use super::{
    AudienceKind, MAX_AUDIENCE_BYTES, MAX_NONCES, MAX_PRESENTATION_BYTES, PRESENTATION_VERSION,
};
use crate::attestation::AttestationError;
use crate::bip340::SignatureError;
use crate::ids::{AttributeId, Domain};
use crate::rules::{Fact, RuleError};
use crate::statement::{StatementError, TreeError};
use crate::units::{Day, Period};

/// Why a presentation is not made or not accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PresentationError {
    /// Longer than is parsed.
    #[error("presentation: {0} bytes, more than the {MAX_PRESENTATION_BYTES} that are read")]
    TooLarge(usize),
    /// Not the JSON of a presentation.
    #[error("presentation: {0}")]
    Json(String),
    /// A version that this crate does not read.
    #[error("presentation version {0}: expected {PRESENTATION_VERSION}")]
    Version(u16),
    /// Made for another contract, jurisdiction or as-of day than it is checked against.
    #[error("presentation {0}: not that of the contract it is checked against")]
    Contract(&'static str),
    /// Reasons that the verdict does not take.
    #[error("presentation reasons: {0}")]
    Rules(#[from] RuleError),
    /// A statement that cannot be proved.
    #[error("presentation statement: {0}")]
    Tree(#[from] TreeError),
    /// Not an id that an audience can be registered under.
    #[error("presentation audience: expected 1 to {MAX_AUDIENCE_BYTES} visible ASCII characters")]
    Audience,
    /// `T` where the audience keeps no cases, or none where it does.
    #[error(
        "presentation enquiry: an agency is shown T, an insurer or provider an enquiry without it; this is not how {0:?} is shown one"
    )]
    Kind(AudienceKind),
    /// An enquiry counted in another month than that of its decision, or in no month.
    #[error("presentation enquiry: {0} is not the month of the decision")]
    Month(Period),
    /// The restraint pseudonym given as the token's subject.
    #[error("presentation enquiry: the subject must be drawn at random, and not be N")]
    Subject,
    /// No nonces, too many, or not in ascending order of nodes.
    #[error(
        "presentation nonces: expected 1 to {MAX_NONCES}, one per node, in ascending order of nodes"
    )]
    Nonces,
    /// The token's key is no key, or the key of a leaf.
    #[error("presentation cnf: expected a compressed secp256k1 point that is no leaf's key")]
    Cnf,
    /// The as-of day is in the future, or too long ago.
    #[error("presentation as_of {as_of}: not within the days that can be decided on {today}")]
    AsOf {
        /// The day decided for.
        as_of: Day,
        /// The day of the check.
        today: Day,
    },
    /// The instant of the check is outside the calendar.
    #[error("the instant of the check is outside 1900 to 2199")]
    Now,
    /// The contract does not include `identity.person`, or a leaf has or lacks a pseudonym key unduly.
    #[error(
        "identity.person, and nothing else, carries the pseudonym key; every contract includes it"
    )]
    Person,
    /// Not as many leaves as the contract has facts.
    #[error(
        "presentation attestations: expected {expected}, one per fact of the contract, got {got}"
    )]
    LeafCount {
        /// Facts of the contract.
        expected: usize,
        /// Leaves shown.
        got: usize,
    },
    /// A leaf of another attribute or period than the contract's fact in its place.
    #[error("presentation attestation {index}: expected {} over {}", expected.attribute, expected.period)]
    Fact {
        /// Place of the leaf.
        index: usize,
        /// The fact that belongs there.
        expected: Box<Fact>,
    },
    /// An attribute that the catalogue does not name.
    #[error("{0} is not in the catalogue")]
    Attribute(AttributeId),
    /// Attested by a committee whose domain it is not.
    #[error("{attribute} was attested by {got}: only {expected} may")]
    Domain {
        /// The attribute.
        attribute: AttributeId,
        /// Its domain.
        expected: Domain,
        /// The committee in the leaf.
        got: Domain,
    },
    /// The same one-time key in two leaves.
    #[error("{0}: its one-time key is that of another leaf")]
    Key(AttributeId),
    /// Released to another contract or audience, or the salt does not open the purpose.
    #[error("{0} was not released to this contract and audience")]
    Purpose(AttributeId),
    /// Observed after the day of the check, or before its period was over.
    #[error(
        "{attribute} was observed on {observed}: not after {today} nor before its period is over"
    )]
    Observed {
        /// The attribute.
        attribute: AttributeId,
        /// When it was observed.
        observed: Day,
        /// The day of the check.
        today: Day,
    },
    /// Past its last day.
    #[error("{attribute} expired on {expires}: have it attested again")]
    Expired {
        /// The attribute.
        attribute: AttributeId,
        /// Its last day.
        expires: Day,
    },
    /// A leaf's key did not sign this presentation.
    #[error("{attribute}: the holder's signature: {error}")]
    Holder {
        /// The attribute.
        attribute: AttributeId,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// Signatures that do not verify, found in a batch.
    #[error("presentation: a holder's or a committee's signature does not verify")]
    Signatures,
    /// No accepted key of the committee at the epoch.
    #[error("no accepted key of {committee} at epoch {epoch}: have the facts attested again")]
    Epoch {
        /// The committee.
        committee: Domain,
        /// The epoch in the leaf.
        epoch: u64,
    },
    /// The leaf is not attested.
    #[error("{attribute}: {error}")]
    Attestation {
        /// The attribute.
        attribute: AttributeId,
        /// What is wrong with it.
        error: AttestationError,
    },
    /// The statement is not proved.
    #[error("presentation proof: {0}")]
    Statement(#[from] StatementError),
}
