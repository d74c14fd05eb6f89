//! What an agency receives when an owner files: the token, the owner's YES as the notifier heard it, and the wallet's
//! proof that it holds the token's key.
//!
//! Two signatures, of two parties, over one decision: a wallet operator cannot file without the owner's reply, nor the
//! messaging operator without the wallet. An agency also asks for the token's [`status`](crate::status) and refuses a
//! `jti` it has already filed; both need state, and this module has none.

use ed25519_dalek::VerifyingKey;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey, ecdsa};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::encoding::{Bytes, Bytes32, tagged_hash, to_jcs};
use crate::ids::Verdict;
use crate::jwk::JwkSet;
use crate::jws::{self, JwsError};
use crate::representation::Representation;
use crate::token::{self, Claims, MAX_SKEW, TokenError, ed25519_verifies};
use crate::units::UnixTime;

/// `typ` of a wallet's proof.
pub const PROOF_TYPE: &str = "shp-application+jwt";
/// `alg` of a wallet's proof: ECDSA on secp256k1 with SHA-256 (RFC 8812 §3.2).
pub const PROOF_ALGORITHM: &str = "ES256K";
/// Most bytes of an application that are parsed.
pub const MAX_APPLICATION_BYTES: usize = 32 * 1024;
/// Most bytes of a wallet's proof.
pub const MAX_PROOF_BYTES: usize = 2 * 1024;
/// How old the owner's reply may be when the application arrives: 7 days in seconds.
pub const MAX_APPROVAL_AGE: i64 = 7 * 86_400;
/// How old the wallet's proof may be when the application arrives: 5 minutes in seconds.
pub const MAX_PROOF_AGE: i64 = 300;

/// An application that must not be filed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplicationError {
    /// Longer than is parsed.
    #[error("application has {0} bytes, more than the {MAX_APPLICATION_BYTES} that are read")]
    TooLarge(usize),
    /// Not the JSON of an application.
    #[error("application: {0}")]
    Json(String),
    /// The token does not hold for this audience now.
    #[error("application {0}")]
    Token(#[from] TokenError),
    /// The decision was NO.
    #[error("application token: the verdict is NO, so there is nothing to file")]
    Verdict,
    /// The reply belongs to another decision.
    #[error("application approval decision_id: {got} is not {expected}, which is filed")]
    Decision {
        /// The token's `jti`, or the purchase.
        expected: Bytes32,
        /// The approval's.
        got: Bytes32,
    },
    /// The owner declined.
    #[error("application approval answer: the owner answered NO")]
    Declined,
    /// The representative's key did not sign this reply.
    #[error("application representation: does not verify for this approval under its key")]
    Representation,
    /// The notifier did not sign this reply.
    #[error("application approval notifier_signature: does not verify under the notifier's key")]
    Notifier,
    /// The reply came before the decision, in the future, or too long ago.
    #[error(
        "application approval replied_at: {replied_at} is not between the token's iat {iat} and now {now}, or older than 7 days"
    )]
    ApprovalTime {
        /// When the owner replied.
        replied_at: i64,
        /// When the token was issued.
        iat: i64,
        /// The instant of the check.
        now: i64,
    },
    /// Not a strict JWS of proof claims.
    #[error("application wallet_proof: {0}")]
    Proof(JwsError),
    /// Not signed by the token's key, or with the other (high) `s`.
    #[error(
        "application wallet_proof signature: does not verify under the token's cnf key, or s is not low"
    )]
    ProofSignature,
    /// The proof is about something else.
    #[error("application wallet_proof claim {0}: is not that of this application")]
    ProofClaim(&'static str),
    /// The proof is stale, in the future, or older than the reply.
    #[error(
        "application wallet_proof claim iat: {iat} is not within 5 minutes before now {now}, or before the reply"
    )]
    ProofTime {
        /// When the proof was made.
        iat: i64,
        /// The instant of the check.
        now: i64,
    },
}

/// The owner's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Answer {
    /// Go ahead.
    Yes,
    /// Do not.
    No,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Yes => "YES",
            Self::No => "NO",
        })
    }
}

/// The owner's reply to the text about one decision, signed by the notifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// `jti` of the decision's token.
    pub decision_id: Bytes32,
    /// The reply.
    pub answer: Answer,
    /// When it came.
    pub replied_at: UnixTime,
    /// Ed25519, by the notifier's key, over [`Approval::message`].
    pub notifier_signature: Bytes<64>,
}

/// The bytes a notifier signs for a reply.
pub fn reply_message(decision_id: &str, answer: &str, replied_at: UnixTime) -> String {
    format!("shp/v1/reply\n{decision_id}\n{answer}\n{}", replied_at.0)
}

impl Approval {
    /// The bytes the notifier signed.
    pub fn message(&self) -> String {
        reply_message(
            &self.decision_id.to_string(),
            &self.answer.to_string(),
            self.replied_at,
        )
    }

    /// What the wallet's proof binds: a hash over the whole approval, the notifier's signature included.
    ///
    /// # Panics
    /// Never: an approval is plain JSON.
    pub fn hash(&self) -> Bytes32 {
        let json = to_jcs(self).expect("an approval holds strings and an integer");
        Bytes(tagged_hash("shp/v1/approval", &[&json]))
    }

    /// Whether the notifier signed this reply.
    pub fn verifies(&self, notifier_key: &VerifyingKey) -> bool {
        ed25519_verifies(
            notifier_key,
            self.message().as_bytes(),
            &self.notifier_signature,
        )
    }
}

/// Claims of a wallet's proof of possession.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofClaims {
    /// The agency.
    pub aud: String,
    /// `jti` of the token.
    pub jti: Bytes32,
    /// [`Application::approved`].
    pub approval: Bytes32,
    /// When the proof was made.
    pub iat: UnixTime,
}

/// The compact JWS of a wallet's proof, ES256K with low `s`.
pub fn wallet_proof(claims: &ProofClaims, key: &SecretKey) -> String {
    let input = jws::signing_input(claims, PROOF_ALGORITHM, PROOF_TYPE, None);
    let signature = SECP256K1.sign_ecdsa(&digest(&input), key);
    jws::assemble(&input, &Bytes(signature.serialize_compact()))
}

fn digest(signing_input: &str) -> Message {
    Message::from_digest(Sha256::digest(signing_input).into())
}

/// What the agency receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The decision token.
    pub token: String,
    /// The owner's reply.
    pub approval: Approval,
    /// Compact JWS by the token's `cnf` key over [`ProofClaims`].
    pub wallet_proof: String,
    /// Who replied, where it was not the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub representation: Option<Representation>,
}

/// What a wallet's proof binds: the approval, and who gave it where it was not the owner.
pub fn approved(approval: &Approval, representation: Option<&Representation>) -> Bytes32 {
    let hash = approval.hash();
    representation.map_or(hash, |by| by.bind(&hash))
}

impl Application {
    /// What the wallet's proof has to be about.
    pub fn approved(&self) -> Bytes32 {
        approved(&self.approval, self.representation.as_ref())
    }

    /// Reads an application.
    ///
    /// # Errors
    /// [`ApplicationError::TooLarge`] or [`ApplicationError::Json`].
    pub fn parse(json: &[u8]) -> Result<Self, ApplicationError> {
        if json.len() > MAX_APPLICATION_BYTES {
            return Err(ApplicationError::TooLarge(json.len()));
        }
        serde_json::from_slice(json).map_err(|error| ApplicationError::Json(error.to_string()))
    }
}

/// Whom an agency trusts, and when it checks.
#[derive(Debug, Clone, Copy)]
pub struct Relying<'a> {
    /// `iss` of the tokens it accepts.
    pub issuer: &'a str,
    /// Its own id.
    pub audience: &'a str,
    /// The decision committee's keys.
    pub keys: &'a JwkSet,
    /// The notifier's key.
    pub notifier_key: &'a VerifyingKey,
    /// Now.
    pub now: UnixTime,
}

/// Verifies an application: token, reply and proof of possession, for this agency and this moment.
///
/// # Errors
/// [`ApplicationError`], naming the part that fails.
pub fn verify_application(
    application: &Application,
    relying: &Relying<'_>,
) -> Result<Claims, ApplicationError> {
    verify_approved(application, |claims| claims.jti, relying)
}

/// As [`verify_application`], where the owner's reply is about something else than the token itself: `about` says what, such as
/// a purchase that the token backs.
///
/// # Errors
/// As [`verify_application`].
pub fn verify_approved(
    application: &Application,
    about: impl FnOnce(&Claims) -> Bytes32,
    relying: &Relying<'_>,
) -> Result<Claims, ApplicationError> {
    let Relying { now, audience, .. } = *relying;
    let claims = token::verify(
        &application.token,
        relying.keys,
        relying.issuer,
        audience,
        now,
    )?;
    if claims.verdict != Verdict::Yes {
        return Err(ApplicationError::Verdict);
    }
    check_approval(&application.approval, &about(&claims), &claims, relying)?;
    if let Some(by) = &application.representation {
        by.verify(&application.approval)
            .map_err(|_| ApplicationError::Representation)?;
    }
    let possession = Possession {
        audience,
        jti: &claims.jti,
        about: &application.approved(),
        key: claims.cnf.jwk.public_key(),
        after: application.approval.replied_at,
        now,
    };
    possession.verify(&application.wallet_proof)?;
    Ok(claims)
}

/// What a wallet's proof of possession must say, and when.
#[derive(Debug, Clone, Copy)]
pub struct Possession<'a> {
    /// Whom it is made for.
    pub audience: &'a str,
    /// `jti` of the token.
    pub jti: &'a Bytes32,
    /// What it is about.
    pub about: &'a Bytes32,
    /// The token's `cnf` key.
    pub key: &'a PublicKey,
    /// It was not made before.
    pub after: UnixTime,
    /// Now.
    pub now: UnixTime,
}

impl Possession<'_> {
    /// Verifies a proof.
    ///
    /// # Errors
    /// [`ApplicationError`], naming the part that fails.
    pub fn verify(&self, proof: &str) -> Result<(), ApplicationError> {
        let proof =
            jws::parse::<ProofClaims>(proof, PROOF_ALGORITHM, PROOF_TYPE, false, MAX_PROOF_BYTES)
                .map_err(ApplicationError::Proof)?;
        // libsecp256k1 verifies low-s signatures only, so a proof cannot be given a second form.
        ecdsa::Signature::from_compact(&proof.signature.0)
            .and_then(|signature| {
                SECP256K1.verify_ecdsa(&digest(proof.signing_input), &signature, self.key)
            })
            .map_err(|_| ApplicationError::ProofSignature)?;
        if proof.claims.aud != self.audience {
            return Err(ApplicationError::ProofClaim("aud"));
        }
        if proof.claims.jti != *self.jti {
            return Err(ApplicationError::ProofClaim("jti"));
        }
        if proof.claims.approval != *self.about {
            return Err(ApplicationError::ProofClaim("approval"));
        }
        let (iat, now) = (proof.claims.iat.0, self.now);
        if !within(iat, self.after.0, now, MAX_PROOF_AGE) {
            return Err(ApplicationError::ProofTime { iat, now: now.0 });
        }
        Ok(())
    }
}

fn check_approval(
    approval: &Approval,
    about: &Bytes32,
    claims: &Claims,
    relying: &Relying<'_>,
) -> Result<(), ApplicationError> {
    if approval.decision_id != *about {
        return Err(ApplicationError::Decision {
            expected: *about,
            got: approval.decision_id,
        });
    }
    if !approval.verifies(relying.notifier_key) {
        return Err(ApplicationError::Notifier);
    }
    if approval.answer != Answer::Yes {
        return Err(ApplicationError::Declined);
    }
    let (replied_at, iat, now) = (approval.replied_at.0, claims.iat.0, relying.now);
    if !within(replied_at, iat, now, MAX_APPROVAL_AGE) {
        return Err(ApplicationError::ApprovalTime {
            replied_at,
            iat,
            now: now.0,
        });
    }
    Ok(())
}

/// Whether an instant is at or after another, not after now, and at most `age` seconds old; two clocks may differ by
/// [`MAX_SKEW`].
fn within(instant: i64, after: i64, now: UnixTime, age: i64) -> bool {
    let (earliest, latest) = (
        after
            .max(now.0.saturating_sub(age))
            .saturating_sub(MAX_SKEW),
        now.0.saturating_add(MAX_SKEW),
    );
    (earliest..=latest).contains(&instant)
}
