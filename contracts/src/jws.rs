//! Compact JWS (RFC 7515 §7.1), read strictly: one header, one spelling of every byte.
//!
//! The protected header is exactly `{"alg":…,"kid":…,"typ":…}` in RFC 8785 order, and the payload is RFC 8785 JSON
//! that holds what its type names and nothing else. So one signed statement has one compact form, and nobody can
//! present it twice under different bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::encoding::{Bytes, from_base64url, to_base64url, to_jcs};

/// A JWS that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwsError {
    /// Longer than is parsed.
    #[error("JWS has {got} bytes, more than the {max} that are read")]
    TooLarge {
        /// The cap.
        max: usize,
        /// The length found.
        got: usize,
    },
    /// Not three parts separated by dots.
    #[error("JWS is not three parts separated by dots (RFC 7515 section 7.1)")]
    Parts,
    /// A part that is not strict base64url.
    #[error("JWS {0}: not base64url without padding")]
    Base64(&'static str),
    /// The header is not the one expected.
    #[error("JWS header is not exactly {expected}")]
    Header {
        /// The header that would do, `kid` left open.
        expected: String,
    },
    /// The payload is not the claims expected: unknown, missing, repeated or ill-typed members.
    #[error("JWS claims: {0}")]
    Claims(String),
    /// The payload is not in RFC 8785 form.
    #[error("JWS claims are not in RFC 8785 (JCS) form")]
    NotCanonical,
    /// The signature is not 64 bytes.
    #[error("JWS signature: expected 64 bytes")]
    Signature,
}

/// The protected header for an algorithm, type and, if the key is not known otherwise, key id.
fn header(alg: &str, typ: &str, kid: Option<&str>) -> String {
    match kid {
        Some(kid) => json!({"alg": alg, "kid": kid, "typ": typ}).to_string(),
        None => json!({"alg": alg, "typ": typ}).to_string(),
    }
}

/// `BASE64URL(header) . BASE64URL(JCS(claims))`: the ASCII bytes to sign.
///
/// # Panics
/// Never for the claim types of this crate: they hold only what JSON can.
pub fn signing_input<T: Serialize>(claims: &T, alg: &str, typ: &str, kid: Option<&str>) -> String {
    let payload = to_jcs(claims).expect("claims hold strings, integers and lists of them");
    format!(
        "{}.{}",
        to_base64url(header(alg, typ, kid)),
        to_base64url(payload)
    )
}

/// Appends a signature.
pub fn assemble(signing_input: &str, signature: &Bytes<64>) -> String {
    format!("{signing_input}.{signature}")
}

/// A parsed JWS whose signature is yet to be verified.
#[derive(Debug)]
pub struct Parsed<'a, T> {
    /// Key id of the header, where the header has one.
    pub kid: Option<String>,
    /// The payload.
    pub claims: T,
    /// What was signed.
    pub signing_input: &'a str,
    /// The signature.
    pub signature: Bytes<64>,
}

/// Reads a compact JWS with exactly this `alg` and `typ`, and with a `kid` or without.
///
/// # Errors
/// [`JwsError`], naming the part that is wrong. The signature is not verified here.
pub fn parse<'a, T: Serialize + DeserializeOwned>(
    jws: &'a str,
    alg: &str,
    typ: &str,
    with_kid: bool,
    max: usize,
) -> Result<Parsed<'a, T>, JwsError> {
    if jws.len() > max {
        return Err(JwsError::TooLarge {
            max,
            got: jws.len(),
        });
    }
    let (signing_input, signature) = jws.rsplit_once('.').ok_or(JwsError::Parts)?;
    let (head, payload) = signing_input.split_once('.').ok_or(JwsError::Parts)?;
    let decode = |name, part| from_base64url(part).map_err(|_| JwsError::Base64(name));
    let head = decode("header", head)?;
    let payload = decode("claims", payload)?;
    let signature = decode("signature", signature)?;
    let signature = Bytes::from_slice(&signature).map_err(|_| JwsError::Signature)?;

    let bad_header = || JwsError::Header {
        expected: header(alg, typ, with_kid.then_some("<kid>")),
    };
    let kid = if with_kid {
        let value: serde_json::Value = serde_json::from_slice(&head).map_err(|_| bad_header())?;
        let kid = value.get("kid").and_then(|kid| kid.as_str());
        Some(kid.ok_or_else(bad_header)?.to_owned())
    } else {
        None
    };
    if head != header(alg, typ, kid.as_deref()).as_bytes() {
        return Err(bad_header());
    }

    let claims: T =
        serde_json::from_slice(&payload).map_err(|error| JwsError::Claims(error.to_string()))?;
    let canonical = to_jcs(&claims).map_err(|error| JwsError::Claims(error.to_string()))?;
    if canonical != payload {
        return Err(JwsError::NotCanonical);
    }
    Ok(Parsed {
        kid,
        claims,
        signing_input,
        signature,
    })
}
