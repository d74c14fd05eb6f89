//! Owner ↔ decision committee: nonces, presentations, tokens; and what relying parties fetch.
//!
//! 1. `POST /v1/decision/nonce` (empty body) → [`NonceAnswer`], at every node; the presentation lists the nonces of at
//!    least a quorum, and only nodes whose nonce is listed take part.
//! 2. `POST /v1/decision/decide` [`DecideRequest`] at any one node, which coordinates → [`DecideAnswer`].
//! 3. `POST /v1/decision/revoke` [`Revocation`](contracts::revocation::Revocation) at any one node → [`RevokeAnswer`].
//! 4. `GET /.well-known/jwks.json` → `contracts::jwk::JwkSet`; `GET /status/{list}` → a Token Status List
//!    (`application/statuslist+jwt`).
//!
//! Nothing in a token is a coordinator's choice: `iat` is the lower median of the instants in the nonces
//! ([`nonce_time`]), `exp` follows after [`TOKEN_LIFETIME`], the rest is in the presentation. So a presentation shown
//! again, at whichever node, finds its own ledger entry and gets the same claims.

use contracts::encoding::Bytes32;
use contracts::ids::NodeId;
use contracts::presentation::{MAX_PRESENTATION_BYTES, Presentation};
use contracts::receipt::Receipt;
use contracts::units::UnixTime;
use serde::{Deserialize, Serialize};

/// Largest body of `decide`, in bytes.
pub const MAX_DECIDE_BODY: usize = MAX_PRESENTATION_BYTES + 1024;
/// Largest answer to any call here, in bytes.
pub const MAX_ANSWER_BODY: usize = 256 << 10;
/// How long a nonce can be used, in seconds.
pub const NONCE_LIFETIME: i64 = 30 * 60;
/// Seconds by which nodes' clocks may differ.
pub const MAX_SKEW: i64 = contracts::token::MAX_SKEW;
/// Seconds from `iat` to `exp`: 45 days, the time an agency has to determine eligibility (42 CFR 435.912(c)(3)(ii)).
pub const TOKEN_LIFETIME: i64 = 45 * 86_400;

/// The instant a nonce was made: seconds since 1970 in its first 8 bytes, big-endian.
pub fn nonce_time(nonce: &Bytes32) -> UnixTime {
    let [a, b, c, d, e, f, g, h, ..] = nonce.0;
    UnixTime(i64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// The instant of a decision, `iat`: the lower median of the instants in its nonces.
///
/// Each node takes part only if its own nonce is listed, so with at most f false instants among them the median lies
/// between instants of honest nodes, or before them by no more than they let a nonce's instant lie in the past.
pub fn decided_at(nonces: &[(NodeId, Bytes32)]) -> UnixTime {
    let mut times: Vec<UnixTime> = nonces.iter().map(|(_, nonce)| nonce_time(nonce)).collect();
    times.sort_unstable();
    let middle = times.len().saturating_sub(1) / 2;
    times.get(middle).copied().unwrap_or(UnixTime(0))
}

/// A nonce for one presentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NonceAnswer {
    /// The answering node.
    pub node: NodeId,
    /// The nonce: the instant it was made ([`nonce_time`]) then bytes that only the node can make.
    pub nonce: Bytes32,
    /// Refused from this instant on.
    pub expires: UnixTime,
}

/// A token is revoked: a quorum of the committee has the evidence, and signs no list without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeAnswer {
    /// Members that have it.
    pub kept: Vec<NodeId>,
}

/// Asks for a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideRequest {
    /// What is shown.
    pub presentation: Presentation,
}

/// A decision. The salt of its ledger commitment is the presentation's and is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideAnswer {
    /// The token: compact JWS.
    pub token: String,
    /// Receipt of the `decision` entry.
    pub receipt: Receipt,
    /// Receipts of the roots that the leaves stand under, for `contracts::bundle::Bundle`.
    pub roots: Vec<Receipt>,
    /// Members that took no part: silent, refused, or wrong.
    pub absent: Vec<NodeId>,
}
