//! Token Status List (IETF `draft-ietf-oauth-status-list`): a compressed bit per token, signed as a JWT.
//!
//! One bit per token (0 valid, 1 invalid), 2²⁰ tokens to a list. List and index follow from the token's ledger index,
//! so that no two tokens share a slot and nobody chooses one.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use crate::encoding::{Blob, Bytes};
use crate::jwk::JwkSet;
use crate::jws;
use crate::token::{self, MAX_SKEW, TokenError};
use crate::units::UnixTime;

/// `typ` of a Status List Token.
pub const TYPE: &str = "statuslist+jwt";
/// Media type it is served as.
pub const MEDIA_TYPE: &str = "application/statuslist+jwt";
/// Tokens per list.
pub const LIST_SIZE: u64 = 1 << 20;
/// Bytes of a list before compression: one bit per token.
pub const LIST_BYTES: usize = (LIST_SIZE / 8) as usize;
/// Most bytes of a Status List Token that are parsed: an incompressible list in base64url twice, and claims.
pub const MAX_STATUS_TOKEN_BYTES: usize = 256 * 1024;

/// A status list that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// Not a Status List Token by a trusted key.
    #[error("status list {0}")]
    Token(#[from] TokenError),
    /// For another list.
    #[error("status list claim sub: {got:?} is not the list asked for, {expected:?}")]
    Subject {
        /// URI of the list asked for.
        expected: String,
        /// `sub`.
        got: String,
    },
    /// Issued in the future, or too old to rely on.
    #[error("status list claims iat, exp: not valid at {now}")]
    Time {
        /// The instant of the check.
        now: i64,
    },
    /// More than one bit per token.
    #[error("status list claim bits: expected 1, got {0}")]
    Bits(u8),
    /// Not a zlib stream of exactly one list.
    #[error("status list claim lst: not the zlib stream of {LIST_BYTES} bytes")]
    List,
    /// Outside the list.
    #[error("status index {0} is outside the list")]
    Index(u64),
}

/// A slot of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRef {
    /// Position in the list.
    pub idx: u64,
    /// Where the list is served; also its `sub`.
    pub uri: String,
}

/// The `status` claim of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusClaim {
    /// The one mechanism in use.
    pub status_list: StatusRef,
}

/// Where list number `list` of an issuer is served.
pub fn uri(issuer: &str, list: u64) -> String {
    format!("{}/status/{list}", issuer.trim_end_matches('/'))
}

/// The slot of the token recorded at a ledger index: list `index div 2²⁰`, position `index mod 2²⁰`.
pub fn location(issuer: &str, ledger_index: u64) -> StatusClaim {
    StatusClaim {
        status_list: StatusRef {
            idx: ledger_index % LIST_SIZE,
            uri: uri(issuer, ledger_index / LIST_SIZE),
        },
    }
}

/// Whether a token still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `0x00` VALID.
    Valid,
    /// `0x01` INVALID: revoked.
    Invalid,
}

/// The bits of one list.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusList(Vec<u8>);

impl std::fmt::Debug for StatusList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let revoked: u32 = self.0.iter().map(|byte| byte.count_ones()).sum();
        write!(f, "StatusList({revoked} revoked)")
    }
}

impl Default for StatusList {
    fn default() -> Self {
        Self::all_valid()
    }
}

impl StatusList {
    /// A list in which nothing is revoked.
    pub fn all_valid() -> Self {
        Self(vec![0; LIST_BYTES])
    }

    /// Marks a token revoked.
    ///
    /// # Errors
    /// [`StatusError::Index`].
    pub fn revoke(&mut self, idx: u64) -> Result<(), StatusError> {
        let (byte, bit) = position(idx)?;
        if let Some(byte) = self.0.get_mut(byte) {
            *byte |= bit;
        }
        Ok(())
    }

    /// Tokens revoked here and not in `other`, ascending.
    pub fn revoked_beyond(&self, other: &Self) -> Vec<u64> {
        let bytes = (0u64..).zip(self.0.iter().zip(&other.0));
        let changed = bytes.map(|(at, (ours, theirs))| (at, ours & !theirs));
        changed
            .filter(|(_, bits)| *bits != 0)
            .flat_map(|(at, bits)| {
                let set = (0..8).filter(move |bit| bits >> bit & 1 == 1);
                set.map(move |bit| at * 8 + bit)
            })
            .collect()
    }

    /// The status of a token.
    ///
    /// # Errors
    /// [`StatusError::Index`].
    pub fn get(&self, idx: u64) -> Result<Status, StatusError> {
        let (byte, bit) = position(idx)?;
        let byte = self.0.get(byte).ok_or(StatusError::Index(idx))?;
        Ok(if byte & bit == 0 {
            Status::Valid
        } else {
            Status::Invalid
        })
    }

    /// zlib stream (RFC 1950) of the list, at the highest level as the draft recommends.
    pub fn compress(&self) -> Blob {
        Blob(compress(&self.0))
    }

    /// Reads a zlib stream, never expanding past one list.
    ///
    /// # Errors
    /// [`StatusError::List`].
    pub fn decompress(stream: &Blob) -> Result<Self, StatusError> {
        let list = decompress(&stream.0, LIST_BYTES).ok_or(StatusError::List)?;
        if list.len() != LIST_BYTES {
            return Err(StatusError::List);
        }
        Ok(Self(list))
    }
}

/// Byte and bit of an index: the least significant bit of a byte comes first.
fn position(idx: u64) -> Result<(usize, u8), StatusError> {
    if idx >= LIST_SIZE {
        return Err(StatusError::Index(idx));
    }
    let byte = usize::try_from(idx / 8).map_err(|_| StatusError::Index(idx))?;
    Ok((byte, 1 << (idx % 8)))
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(bytes)
        .expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

/// At most `max` bytes out of a zlib stream that ends where the input ends; none otherwise.
fn decompress(stream: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut decoder = ZlibDecoder::new(stream);
    let mut bytes = Vec::new();
    decoder
        .by_ref()
        .take(max as u64 + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    let whole = decoder.total_in() == stream.len() as u64;
    (bytes.len() <= max && whole).then_some(bytes)
}

/// The `status_list` claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusListClaim {
    /// Bits per token: 1.
    pub bits: u8,
    /// zlib stream of the list.
    pub lst: Blob,
}

/// The claims of a Status List Token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusListClaims {
    /// URI of the list, equal to the `uri` of the tokens in it.
    pub sub: String,
    /// Issued at.
    pub iat: UnixTime,
    /// Not to be relied on from then on.
    pub exp: UnixTime,
    /// Seconds a reader may keep it before asking again.
    pub ttl: u32,
    /// The list.
    pub status_list: StatusListClaim,
}

impl StatusListClaims {
    /// The claims of a list at an instant, good for `lifetime` seconds, of which a reader may keep it `ttl` before
    /// asking again.
    pub fn new(list: &StatusList, uri: &str, iat: UnixTime, ttl: u32, lifetime: u32) -> Self {
        Self {
            sub: uri.to_owned(),
            iat,
            exp: UnixTime(iat.0.saturating_add(i64::from(lifetime))),
            ttl,
            status_list: StatusListClaim {
                bits: 1,
                lst: list.compress(),
            },
        }
    }
}

/// The bytes the decision committee signs.
pub fn signing_input(claims: &StatusListClaims, kid: &str) -> String {
    jws::signing_input(claims, token::ALGORITHM, TYPE, Some(kid))
}

/// The Status List Token.
pub fn assemble(signing_input: &str, signature: &Bytes<64>) -> String {
    jws::assemble(signing_input, signature)
}

/// Verifies a Status List Token and looks a token up in it.
///
/// # Errors
/// [`StatusError`]: a relying party that gets one knows nothing of the token and should not rely on it.
pub fn status_of(
    jws: &str,
    keys: &JwkSet,
    slot: &StatusRef,
    now: UnixTime,
) -> Result<Status, StatusError> {
    let claims: StatusListClaims = token::open_signed(jws, TYPE, keys, MAX_STATUS_TOKEN_BYTES)?;
    if claims.sub != slot.uri {
        return Err(StatusError::Subject {
            expected: slot.uri.clone(),
            got: claims.sub,
        });
    }
    if claims.iat.0 > now.0.saturating_add(MAX_SKEW) || now >= claims.exp {
        return Err(StatusError::Time { now: now.0 });
    }
    if claims.status_list.bits != 1 {
        return Err(StatusError::Bits(claims.status_list.bits));
    }
    StatusList::decompress(&claims.status_list.lst)?.get(slot.idx)
}
