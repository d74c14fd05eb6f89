//! The notifier's signature on a reply.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;

use crate::conversation::grammar::Answer;

/// A reply as callers get it; what an agency checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedReply {
    /// The decision that was asked about.
    pub decision_id: String,
    /// `YES` or `NO`.
    pub answer: &'static str,
    /// When the text came in, Unix seconds.
    pub replied_at: i64,
    /// Ed25519 over [`message`], base64url.
    pub signature: String,
}

/// The bytes signed for a reply.
pub fn message(decision_id: &str, answer: Answer, replied_at: i64) -> String {
    format!(
        "shp/v1/reply\n{decision_id}\n{}\n{replied_at}",
        answer.as_str()
    )
}

/// Signs a reply. The same reply always gets the same signature (RFC 8032 is deterministic).
pub fn sign(key: &SigningKey, decision_id: &str, answer: Answer, replied_at: i64) -> SignedReply {
    let signature = key.sign(message(decision_id, answer, replied_at).as_bytes());
    SignedReply {
        decision_id: decision_id.to_owned(),
        answer: answer.as_str(),
        replied_at,
        signature: URL_SAFE_NO_PAD.encode(signature.to_bytes()),
    }
}
