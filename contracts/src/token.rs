//! Decision tokens: compact JWS signed by the decision committee, readable by any stock JWT library.
//!
//! A token says what a presentation proved (contract, jurisdiction, as-of date, verdict) to one audience, names the
//! key that may use it (`cnf`), the ledger entry that recorded it and the status list that can revoke it.

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::encoding::{Bytes, Bytes32};
use crate::ids::{ContractRef, Jurisdiction, Verdict};
use crate::jwk::{EcJwk, JwkSet};
use crate::jws::{self, JwsError};
use crate::receipt::{EntryKind, commit};
use crate::status::{self, StatusClaim};
use crate::units::{Day, UnixTime};

/// `typ` of a decision token (explicit typing, RFC 8725 §3.11).
pub const TYPE: &str = "shp-decision+jwt";
/// `alg` of every signature by a committee (RFC 8037 §3.1).
pub const ALGORITHM: &str = "EdDSA";
/// Most bytes of a token that are parsed.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Longest `iss`, `aud`, contract id or reason code, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// Most reason codes.
pub const MAX_REASONS: usize = 64;
/// Longest time from `iat` to `exp`: 90 days in seconds.
pub const MAX_LIFETIME: i64 = 90 * 86_400;
/// How far ahead of ours a signer's clock may be, in seconds.
pub const MAX_SKEW: i64 = 60;
/// Largest ledger index, 2⁵³ − 1: the largest integer every JSON reader keeps exact (RFC 8259 §6).
pub const MAX_INDEX: u64 = (1 << 53) - 1;

/// A token that must not be relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not a strict JWS of decision claims.
    #[error("token: {0}")]
    Jws(#[from] JwsError),
    /// Signed under a key that is not trusted.
    #[error("token header kid: no trusted decision key has the id {0:?}")]
    UnknownKey(String),
    /// The signature does not verify.
    #[error("token signature: does not verify under the decision committee's key")]
    Signature,
    /// A claim that no decision committee would write.
    #[error("token claim {claim}: {problem}")]
    Claim {
        /// Name of the claim.
        claim: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Issued in the future.
    #[error("token claim iat: issued at {iat}, which is after now, {now}")]
    NotYet {
        /// `iat`.
        iat: i64,
        /// The instant of the check.
        now: i64,
    },
    /// No longer valid.
    #[error("token claim exp: expired at {exp}; now is {now}")]
    Expired {
        /// `exp`.
        exp: i64,
        /// The instant of the check.
        now: i64,
    },
    /// Issued by another issuer.
    #[error("token claim iss: {got:?} is not the trusted issuer {expected:?}")]
    Issuer {
        /// The issuer trusted.
        expected: String,
        /// `iss`.
        got: String,
    },
    /// Issued to another audience.
    #[error("token claim aud: made for {got:?}, not for {expected:?}")]
    Audience {
        /// Who is asking.
        expected: String,
        /// `aud`.
        got: String,
    },
}

/// Confirmation claim (RFC 7800): the key whose holder may use the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cnf {
    /// A fresh secp256k1 key; possession is shown by ES256K.
    pub jwk: EcJwk,
}

/// Where the decision is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerRef {
    /// Origin line of the log's checkpoints.
    pub origin: String,
    /// Index of the `decision` entry.
    pub index: u64,
}

/// What a decision says before it has a place in the ledger; the ledger entry commits to exactly this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionClaims {
    /// Issuer: URL of the decision committee, the base of its JWK Set and status lists.
    pub iss: String,
    /// The pseudonym T where the audience keeps cases, else 32 random bytes chosen in the presentation.
    pub sub: Bytes32,
    /// The audience's registered canonical id.
    pub aud: String,
    /// Issued at.
    pub iat: UnixTime,
    /// Expires at.
    pub exp: UnixTime,
    /// Digest of the presentation.
    pub jti: Bytes32,
    /// Key that may use the token.
    pub cnf: Cnf,
    /// The contract decided.
    pub contract: ContractRef,
    /// The state whose rules were applied.
    pub jurisdiction: Jurisdiction,
    /// The date the contract was decided for.
    pub as_of: Day,
    /// YES or NO.
    pub verdict: Verdict,
    /// On NO of a group contract: ids of exactly the clauses whose negation was proved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// The claims of a decision token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Issuer: URL of the decision committee, the base of its JWK Set and status lists.
    pub iss: String,
    /// The pseudonym T where the audience keeps cases, else 32 random bytes chosen in the presentation.
    pub sub: Bytes32,
    /// The audience's registered canonical id.
    pub aud: String,
    /// Issued at.
    pub iat: UnixTime,
    /// Expires at.
    pub exp: UnixTime,
    /// Digest of the presentation.
    pub jti: Bytes32,
    /// Key that may use the token.
    pub cnf: Cnf,
    /// The contract decided.
    pub contract: ContractRef,
    /// The state whose rules were applied.
    pub jurisdiction: Jurisdiction,
    /// The date the contract was decided for.
    pub as_of: Day,
    /// YES or NO.
    pub verdict: Verdict,
    /// On NO of a group contract: ids of exactly the clauses whose negation was proved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The ledger entry.
    pub ledger: LedgerRef,
    /// Where the token's status is published.
    pub status: StatusClaim,
}

impl DecisionClaims {
    /// The salted commitment that the `decision` ledger entry carries.
    pub fn commitment(&self, salt: &Bytes32) -> Bytes32 {
        commit(EntryKind::Decision, salt, self)
    }

    /// The token's claims once the entry has its index: names the entry and the status list slot that follows from it.
    pub fn recorded_at(self, origin: &str, index: u64) -> Claims {
        let status = status::location(&self.iss, index);
        Claims {
            iss: self.iss,
            sub: self.sub,
            aud: self.aud,
            iat: self.iat,
            exp: self.exp,
            jti: self.jti,
            cnf: self.cnf,
            contract: self.contract,
            jurisdiction: self.jurisdiction,
            as_of: self.as_of,
            verdict: self.verdict,
            reasons: self.reasons,
            ledger: LedgerRef {
                origin: origin.to_owned(),
                index,
            },
            status,
        }
    }
}

impl Claims {
    /// The claims without `ledger` and `status`: what the ledger entry commits to.
    pub fn commitment_input(&self) -> DecisionClaims {
        DecisionClaims {
            iss: self.iss.clone(),
            sub: self.sub,
            aud: self.aud.clone(),
            iat: self.iat,
            exp: self.exp,
            jti: self.jti,
            cnf: self.cnf.clone(),
            contract: self.contract.clone(),
            jurisdiction: self.jurisdiction,
            as_of: self.as_of,
            verdict: self.verdict,
            reasons: self.reasons.clone(),
        }
    }

    /// Checks what must hold of any token, whoever reads it and whenever.
    ///
    /// # Errors
    /// [`TokenError::Claim`], naming the claim.
    pub fn check(&self) -> Result<(), TokenError> {
        let bad = |claim, problem: &str| {
            Err(TokenError::Claim {
                claim,
                problem: problem.to_owned(),
            })
        };
        for (claim, name) in [
            ("iss", &self.iss),
            ("aud", &self.aud),
            ("contract", &self.contract.id),
            ("ledger", &self.ledger.origin),
        ]
        .into_iter()
        .chain(self.reasons.iter().map(|reason| ("reasons", reason)))
        {
            if name.is_empty() || name.len() > MAX_NAME_BYTES {
                return bad(claim, "empty, or longer than 256 bytes");
            }
        }
        if self.iat.day().is_err() {
            return bad("iat", "not an instant between 1900 and 2199");
        }
        if self.exp <= self.iat || self.exp.0 - self.iat.0 > MAX_LIFETIME {
            return bad("exp", "not after iat, or more than 90 days after it");
        }
        if self.reasons.len() > MAX_REASONS {
            return bad("reasons", "more than 64");
        }
        if self.verdict == Verdict::Yes && !self.reasons.is_empty() {
            return bad("reasons", "a YES has none");
        }
        if self.ledger.index > MAX_INDEX {
            return bad("ledger", "index above 2^53 - 1");
        }
        if self.status != status::location(&self.iss, self.ledger.index) {
            return bad("status", "does not follow from iss and the ledger index");
        }
        Ok(())
    }

    /// Checks that the token may be relied on at `now` by `audience`.
    ///
    /// # Errors
    /// [`TokenError::Issuer`], [`TokenError::Audience`], [`TokenError::NotYet`] or [`TokenError::Expired`].
    pub fn accept(&self, issuer: &str, audience: &str, now: UnixTime) -> Result<(), TokenError> {
        if self.iss != issuer {
            return Err(TokenError::Issuer {
                expected: issuer.to_owned(),
                got: self.iss.clone(),
            });
        }
        if self.aud != audience {
            return Err(TokenError::Audience {
                expected: audience.to_owned(),
                got: self.aud.clone(),
            });
        }
        if self.iat.0 > now.0.saturating_add(MAX_SKEW) {
            return Err(TokenError::NotYet {
                iat: self.iat.0,
                now: now.0,
            });
        }
        if now >= self.exp {
            return Err(TokenError::Expired {
                exp: self.exp.0,
                now: now.0,
            });
        }
        Ok(())
    }
}

/// The bytes a decision committee signs, under the key with this id.
pub fn signing_input(claims: &Claims, kid: &str) -> String {
    jws::signing_input(claims, ALGORITHM, TYPE, Some(kid))
}

/// The token: signing input and Ed25519 signature (`R ‖ s`).
pub fn assemble(signing_input: &str, signature: &Bytes<64>) -> String {
    jws::assemble(signing_input, signature)
}

/// Verifies form and signature alone; relying parties use [`verify`].
///
/// # Errors
/// [`TokenError`].
pub fn open(jws: &str, keys: &JwkSet) -> Result<Claims, TokenError> {
    let claims: Claims = open_signed(jws, TYPE, keys, MAX_TOKEN_BYTES)?;
    claims.check()?;
    Ok(claims)
}

/// Verifies a token for one audience at one instant.
///
/// # Errors
/// [`TokenError`].
pub fn verify(
    jws: &str,
    keys: &JwkSet,
    issuer: &str,
    audience: &str,
    now: UnixTime,
) -> Result<Claims, TokenError> {
    let claims = open(jws, keys)?;
    claims.accept(issuer, audience, now)?;
    Ok(claims)
}

/// A JWS of some type by the decision committee: strict form and signature.
pub(crate) fn open_signed<T: Serialize + serde::de::DeserializeOwned>(
    jws: &str,
    typ: &str,
    keys: &JwkSet,
    max: usize,
) -> Result<T, TokenError> {
    let parsed = jws::parse::<T>(jws, ALGORITHM, typ, true, max)?;
    let kid = parsed.kid.unwrap_or_default();
    let Some(key) = keys.get(&kid) else {
        return Err(TokenError::UnknownKey(kid));
    };
    if !ed25519_verifies(&key, parsed.signing_input.as_bytes(), &parsed.signature) {
        return Err(TokenError::Signature);
    }
    Ok(parsed.claims)
}

/// RFC 8032 verification without cofactor, with canonical `R` and `s` and no points of small order, so that a
/// signature has one form.
pub(crate) fn ed25519_verifies(key: &VerifyingKey, message: &[u8], signature: &Bytes<64>) -> bool {
    key.verify_strict(message, &Signature::from_bytes(&signature.0))
        .is_ok()
}
