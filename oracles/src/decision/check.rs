//! What a decision node checks of a presentation, and the claims that follow from it.

use contracts::attestation::{AttestationKey, CommitteeKeys};
use contracts::ids::{Domain, NodeId};
use contracts::jwk::EcJwk;
use contracts::presentation::{self, Presentation, PresentationError};
use contracts::rules::{Compiled, registry};
use contracts::token::{Cnf, DecisionClaims};
use contracts::trust::CommitteeKey;
use contracts::units::UnixTime;

use crate::peer::Refusal;
use crate::wire::decision::{MAX_SKEW, NONCE_LIFETIME, TOKEN_LIFETIME, decided_at};

/// Why a presentation is refused; each names the check.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The presentation does not verify.
    #[error("{0}")]
    Presentation(#[from] PresentationError),
    /// Fewer nonces than a quorum, or one of a node that does not sit on the committee.
    #[error(
        "nonces: expected those of at least {0} members of the decision committee and nobody else's"
    )]
    Quorum(u16),
    /// This node gave none of them.
    #[error("nonces: none is this node's; ask a node whose nonce is listed")]
    NoNonce,
    /// This node's nonce is not one it gave, or no longer good.
    #[error("nonces: node {0}'s is not one it gave, or it has expired; ask for new nonces")]
    UnknownNonce(NodeId),
    /// This node's nonce was used by another presentation.
    #[error("nonces: node {0}'s was used by another presentation; ask for new nonces")]
    UsedNonce(NodeId),
    /// The instant that the nonces give is too far from now.
    #[error(
        "nonces: they date the decision {iat}, which is not within the last {NONCE_LIFETIME} s before {now}; ask for new nonces"
    )]
    Iat {
        /// Lower median of the nonces' instants.
        iat: i64,
        /// This node's clock.
        now: i64,
    },
    /// Not a contract of this release.
    #[error("contract: {0} with this hash is not registered")]
    Contract(String),
    /// Not a registered audience.
    #[error("audience: {0:?} is not registered with the decision committee")]
    Audience(String),
    /// A leaf was shown before.
    #[error("attestation {0}: was shown in another presentation; have the fact attested again")]
    UsedLeaf(usize),
    /// A root that the ledger does not show.
    #[error(
        "attestations: the log does not show every root they stand under; have the facts attested again"
    )]
    Unrecorded,
    /// The ledger did not say whether it shows the roots.
    #[error("{0}")]
    Ledger(#[from] crate::ledger::LedgerError),
    /// Another program or state was decided for this pseudonym, `T` or `N`.
    #[error(
        "restraint: {program} in {jurisdiction} was decided for this person and audience in {period}; another program or state needs fresh consent"
    )]
    Restraint {
        /// The program decided.
        program: String,
        /// The state.
        jurisdiction: String,
        /// The calendar month.
        period: String,
    },
    /// Too many presentations at once.
    #[error("busy: too many presentations are being checked; ask again")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] crate::db::DbError),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Refused {
    /// A short name of the check.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Presentation(_) => "presentation",
            Self::Quorum(_) | Self::NoNonce | Self::UnknownNonce(_) => "nonce",
            Self::UsedNonce(_) => "replayed-nonce",
            Self::Iat { .. } => "stale",
            Self::Contract(_) => "contract",
            Self::Audience(_) => "audience",
            Self::UsedLeaf(_) => "replayed-attestation",
            Self::Unrecorded => "unrecorded-root",
            Self::Ledger(_) => "ledger-unavailable",
            Self::Restraint { .. } => "restraint",
            Self::Busy => "busy",
            Self::Db(_) => "internal",
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match &refused {
            Refused::Db(error) => Self::internal(error),
            _ => Self::new(refused.code(), refused.to_string()),
        }
    }
}

/// The fact committees' keys that a decision node accepts.
#[derive(Debug, Clone, Default)]
pub struct Keys(pub Vec<CommitteeKey>);

impl CommitteeKeys for Keys {
    fn attestation_key(&self, committee: Domain, epoch: u64) -> Option<AttestationKey> {
        let key = self
            .0
            .iter()
            .find(|key| key.committee.domain() == Some(committee) && key.epoch == epoch)?;
        key.secp256k1().map(AttestationKey::from)
    }
}

/// The claims of the token for a presentation. They follow from it and the issuer alone, so every signer, whenever and
/// whoever asks, derives the same.
///
/// # Errors
/// [`PresentationError::Cnf`] for a key that is none.
pub fn claims_of(
    presentation: &Presentation,
    issuer: &str,
) -> Result<DecisionClaims, PresentationError> {
    let iat = decided_at(&presentation.nonces);
    Ok(DecisionClaims {
        iss: issuer.to_owned(),
        sub: presentation.subject(),
        aud: presentation.audience.clone(),
        iat,
        exp: UnixTime(iat.0.saturating_add(TOKEN_LIFETIME)),
        jti: presentation.digest(),
        cnf: Cnf {
            jwk: EcJwk::from_compressed(&presentation.cnf).map_err(|_| PresentationError::Cnf)?,
        },
        contract: presentation.contract.clone(),
        jurisdiction: presentation.jurisdiction,
        as_of: presentation.as_of,
        verdict: presentation.verdict,
        reasons: presentation.reasons.clone(),
    })
}

/// Checks the list of nonces and the instant they give; that this node's own is good, the store checks.
///
/// # Errors
/// [`Refused::Quorum`], [`Refused::NoNonce`] or [`Refused::Iat`].
pub fn check_nonces(
    presentation: &Presentation,
    me: NodeId,
    members: &[NodeId],
    threshold: u16,
    now: UnixTime,
) -> Result<(), Refused> {
    let listed = &presentation.nonces;
    let ascending = listed
        .windows(2)
        .all(|pair| matches!(pair, [(a, _), (b, _)] if a < b));
    if !ascending
        || listed.len() < usize::from(threshold)
        || listed.iter().any(|(node, _)| !members.contains(node))
    {
        return Err(Refused::Quorum(threshold));
    }
    if presentation.nonce_of(me).is_none() {
        return Err(Refused::NoNonce);
    }
    let iat = decided_at(&presentation.nonces);
    let oldest = now.0.saturating_sub(NONCE_LIFETIME + MAX_SKEW);
    let newest = now.0.saturating_add(MAX_SKEW);
    if !(oldest..=newest).contains(&iat.0) {
        return Err(Refused::Iat {
            iat: iat.0,
            now: now.0,
        });
    }
    presentation.check_month(iat)?;
    Ok(())
}

/// Compiles the contract named, if it is registered and is the one of its id in force on the as-of day.
///
/// # Errors
/// [`Refused::Contract`], or why it does not compile for this state and day.
pub fn compile(presentation: &Presentation) -> Result<Compiled, Refused> {
    let unknown = || Refused::Contract(short(&presentation.contract.id));
    let (_, registered) = registry()
        .by_hash(&presentation.contract.hash.0)
        .ok_or_else(unknown)?;
    if registered != presentation.contract {
        return Err(unknown());
    }
    let compiled = registry()
        .compile(
            &registered.id,
            &presentation.jurisdiction,
            presentation.as_of,
        )
        .map_err(PresentationError::from)?;
    if compiled.contract != presentation.contract {
        return Err(unknown());
    }
    Ok(compiled)
}

/// A caller's string, cut to what an error may repeat.
pub fn short(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect()
}

/// Verifies a presentation that holds now as of its own instant, which is what an auditor can repeat later.
///
/// # Errors
/// [`PresentationError`].
pub fn verify_at_its_instant(
    presentation: &Presentation,
    compiled: &Compiled,
    keys: &Keys,
    now: UnixTime,
) -> Result<(), PresentationError> {
    let iat = decided_at(&presentation.nonces);
    if iat.day() != now.day() {
        presentation::verify(presentation, compiled, keys, iat)?;
    }
    Ok(())
}
