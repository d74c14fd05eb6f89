//! Webhooks by the gateway, authenticated by HMAC-SHA256 over a time stamp and the body.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Header with the decimal Unix time of signing.
pub const TIMESTAMP_HEADER: &str = "x-gateway-timestamp";
/// Header with the signature in hexadecimal.
pub const SIGNATURE_HEADER: &str = "x-gateway-signature";
/// How far the time of signing may be from ours, in seconds.
pub const TOLERANCE: i64 = 300;

/// Why a webhook is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// Headers missing or ill-formed.
    #[error("sign webhooks: {TIMESTAMP_HEADER} and {SIGNATURE_HEADER}")]
    Missing,
    /// Signed too long ago, or in the future.
    #[error("{TIMESTAMP_HEADER} is more than {TOLERANCE} seconds away")]
    Stale,
    /// Not by the gateway's key.
    #[error("{SIGNATURE_HEADER} does not verify")]
    Signature,
}

/// Seconds since 1970 by the system's clock. Webhooks are timed by real clocks even where a run takes another day as today.
pub fn system_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// Signs a webhook: HMAC-SHA256 over `timestamp "." body`, in hexadecimal.
///
/// # Panics
/// Never: HMAC takes a key of any length.
pub fn sign(key: &[u8], timestamp: i64, body: &[u8]) -> String {
    hex::encode(mac(key, timestamp, body).finalize().into_bytes())
}

/// Checks a webhook in constant time.
///
/// # Errors
/// [`Forged`].
pub fn verify(
    key: &[u8],
    timestamp: Option<&str>,
    signature: Option<&str>,
    body: &[u8],
    now: i64,
) -> Result<(), Forged> {
    let timestamp: i64 = timestamp
        .and_then(|text| text.parse().ok())
        .ok_or(Forged::Missing)?;
    let signature = signature
        .and_then(|text| hex::decode(text).ok())
        .ok_or(Forged::Missing)?;
    mac(key, timestamp, body)
        .verify_slice(&signature)
        .map_err(|_| Forged::Signature)?;
    if timestamp.abs_diff(now) > TOLERANCE.unsigned_abs() {
        return Err(Forged::Stale);
    }
    Ok(())
}

fn mac(key: &[u8], timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_believed_by_its_key_time_and_body_alone() {
        let signature = sign(b"key", 1_000, b"body");
        let check = |key: &[u8], time: Option<&str>, signature: Option<&str>, body: &[u8], now| {
            verify(key, time, signature, body, now)
        };
        assert_eq!(
            check(b"key", Some("1000"), Some(&signature), b"body", 1_200),
            Ok(())
        );
        assert_eq!(
            check(b"kex", Some("1000"), Some(&signature), b"body", 1_200),
            Err(Forged::Signature)
        );
        assert_eq!(
            check(b"key", Some("1001"), Some(&signature), b"body", 1_200),
            Err(Forged::Signature)
        );
        assert_eq!(
            check(b"key", Some("1000"), Some(&signature), b"bodx", 1_200),
            Err(Forged::Signature)
        );
        assert_eq!(
            check(b"key", Some("1000"), Some(&signature), b"body", 1_301),
            Err(Forged::Stale)
        );
        assert_eq!(
            check(b"key", Some("1000"), Some(&signature), b"body", 699),
            Err(Forged::Stale)
        );
        assert_eq!(
            check(b"key", None, Some(&signature), b"body", 1_000),
            Err(Forged::Missing)
        );
        assert_eq!(
            check(b"key", Some("1000"), Some("zz"), b"body", 1_000),
            Err(Forged::Missing)
        );
    }
}
