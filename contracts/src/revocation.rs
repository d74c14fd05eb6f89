//! Why a token no longer stands, as evidence that anybody can check: the decision committee's status lists rest on it,
//! and on nothing that one of its members says.

use serde::{Deserialize, Serialize};

use crate::bip340;
use crate::encoding::{Bytes, tagged_hash};
use crate::jwk::JwkSet;
use crate::token::{self, Claims, MAX_TOKEN_BYTES, TokenError};

/// Most bytes of the JSON form: two tokens and their frame.
pub const MAX_REVOCATION_BYTES: usize = 2 * MAX_TOKEN_BYTES + 1024;

/// Evidence that revokes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// Not a token of the committee.
    #[error("revocation {0}")]
    Token(#[from] TokenError),
    /// Not signed by the key that may use the token.
    #[error("revocation signature: not by the key in the token's cnf claim")]
    Signature,
    /// Not the later decision of the same question.
    #[error(
        "revocation by: not a later decision of the same question that came out otherwise ({0} does not fit)"
    )]
    Later(&'static str),
}

/// Evidence that revokes a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Revocation {
    /// Its holder withdraws it.
    Withdrawn {
        /// The token, a compact JWS.
        token: String,
        /// BIP-340 signature of the key in `cnf` over [`withdrawal_message`].
        signature: Bytes<64>,
    },
    /// The same question, decided later for the same subject and audience, came out otherwise.
    Superseded {
        /// The token that stopped being true, a compact JWS.
        token: String,
        /// The later token.
        by: String,
    },
}

/// What a holder signs to withdraw a token.
pub fn withdrawal_message(claims: &Claims) -> [u8; 32] {
    tagged_hash(
        "shp/v1/withdraw-token",
        &[claims.iss.as_bytes(), &claims.jti.0],
    )
}

impl Revocation {
    /// Checks the evidence and returns the claims of the token that it revokes. Expired tokens can be revoked too.
    ///
    /// # Errors
    /// [`RevocationError`].
    pub fn verify(&self, keys: &JwkSet, issuer: &str) -> Result<Claims, RevocationError> {
        match self {
            Self::Withdrawn { token, signature } => {
                let claims = open(token, keys, issuer)?;
                let Bytes([_, key @ ..]) = claims.cnf.jwk.to_compressed();
                bip340::verify(&Bytes(key), &withdrawal_message(&claims), signature)
                    .map_err(|_| RevocationError::Signature)?;
                Ok(claims)
            }
            Self::Superseded { token, by } => {
                let claims = open(token, keys, issuer)?;
                let later = open(by, keys, issuer)?;
                // A decision for an earlier day says nothing about a later one.
                let fits = [
                    ("sub", claims.sub == later.sub),
                    ("aud", claims.aud == later.aud),
                    ("contract", claims.contract.id == later.contract.id),
                    ("jurisdiction", claims.jurisdiction == later.jurisdiction),
                    ("as_of", claims.as_of <= later.as_of),
                    ("iat", claims.iat < later.iat),
                    ("verdict", claims.verdict != later.verdict),
                ];
                match fits.into_iter().find(|(_, fits)| !fits) {
                    Some((claim, _)) => Err(RevocationError::Later(claim)),
                    None => Ok(claims),
                }
            }
        }
    }
}

fn open(jws: &str, keys: &JwkSet, issuer: &str) -> Result<Claims, RevocationError> {
    let claims = token::open(jws, keys)?;
    claims.accept(issuer, &claims.aud, claims.iat)?;
    Ok(claims)
}
