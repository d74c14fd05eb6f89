//! Nonces: for one request, used once, within a lifetime.
//!
//! A nonce carries its time and a keyed digest that binds committee and request, so that giving one away costs a node no memory and asking for
//! many crowds nobody out. Only used ones are remembered, until they would have expired anyway. The key lives as long as
//! the process: after a restart every older nonce is refused and its request asked again.

use std::collections::HashMap;
use std::sync::Mutex;

use contracts::encoding::{Bytes32, tagged_hash};
use contracts::ids::Domain;
use contracts::units::UnixTime;
use rand::RngCore as _;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::check::Seat;
use crate::wire::attest::{NonceAnswer, NonceRequest};

/// How long a nonce can be used, in seconds.
pub const NONCE_LIFETIME: i64 = 300;
/// Most used nonces remembered at a time.
const MAX_USED: usize = 100_000;

/// A nonce that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NonceError {
    /// Not given by this node for this request, or too long ago, or used.
    #[error(
        "the nonce is not this node's for this request, or expired, or was used: ask for a new one"
    )]
    Refused,
    /// `MAX_USED` requests within [`NONCE_LIFETIME`].
    #[error("too many requests at once: ask again in a few minutes")]
    Busy,
}

/// A use of nonces, so that none serves another endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NonceUse {
    /// An attestation request.
    Attest,
    /// An enrolment request.
    Enrol,
    /// The grant of a watch.
    Watch,
}

/// The nonces of one node.
pub(crate) struct NonceBook {
    key: Zeroizing<[u8; 32]>,
    used: Mutex<HashMap<[u8; 32], i64>>,
}

impl NonceBook {
    pub(crate) fn new() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rand_core::OsRng.fill_bytes(key.as_mut());
        Self {
            key,
            used: Mutex::default(),
        }
    }

    /// A nonce for a request, and when it expires.
    pub(crate) fn issue(
        &self,
        purpose: NonceUse,
        domain: Domain,
        request: &Bytes32,
        now: UnixTime,
    ) -> (Bytes32, UnixTime) {
        let mut nonce = [0; 32];
        let (time, rest) = nonce.split_at_mut(8);
        time.copy_from_slice(&now.0.to_be_bytes());
        let (random, mac) = rest.split_at_mut(8);
        rand_core::OsRng.fill_bytes(random);
        mac.copy_from_slice(&self.mac(purpose, domain, request, now.0, random));
        (nonce.into(), UnixTime(now.0 + NONCE_LIFETIME))
    }

    /// A nonce of a seat for a call, as it is answered.
    pub(crate) fn answer(
        &self,
        purpose: NonceUse,
        seat: &Seat,
        call: &NonceRequest,
        now: UnixTime,
    ) -> NonceAnswer {
        let (nonce, expires) = self.issue(purpose, seat.domain, &call.request, now);
        NonceAnswer {
            node: seat.node,
            committee: seat.domain,
            epoch: seat.epoch,
            hpke_epoch: seat.hpke_epoch,
            nonce,
            expires,
        }
    }

    /// Uses a nonce up.
    pub(crate) fn redeem(
        &self,
        purpose: NonceUse,
        domain: Domain,
        request: &Bytes32,
        nonce: &Bytes32,
        now: UnixTime,
    ) -> Result<(), NonceError> {
        let (time, rest) = nonce.0.split_at(8);
        let (random, mac) = rest.split_at(8);
        let issued = i64::from_be_bytes(time.try_into().map_err(|_| NonceError::Refused)?);
        let genuine: bool = self
            .mac(purpose, domain, request, issued, random)
            .ct_eq(mac)
            .into();
        let expires = issued.saturating_add(NONCE_LIFETIME);
        if !genuine || now.0 >= expires || now.0 < issued {
            return Err(NonceError::Refused);
        }
        let mut used = self
            .used
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        if used.len() >= MAX_USED {
            used.retain(|_, expires| *expires > now.0);
            if used.len() >= MAX_USED {
                return Err(NonceError::Busy);
            }
        }
        match used.insert(nonce.0, expires) {
            None => Ok(()),
            Some(_) => Err(NonceError::Refused),
        }
    }

    fn mac(
        &self,
        purpose: NonceUse,
        domain: Domain,
        request: &Bytes32,
        issued: i64,
        random: &[u8],
    ) -> [u8; 16] {
        let tag = match purpose {
            NonceUse::Attest => "shp/v1/nonce/attest",
            NonceUse::Enrol => "shp/v1/nonce/enrol",
            NonceUse::Watch => "shp/v1/nonce/watch",
        };
        let digest = tagged_hash(
            tag,
            &[
                self.key.as_ref(),
                domain.as_str().as_bytes(),
                &request.0,
                &issued.to_be_bytes(),
                random,
            ],
        );
        let mut mac = [0; 16];
        mac.copy_from_slice(&digest[..16]);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const USE: NonceUse = NonceUse::Attest;

    #[test]
    fn a_nonce_is_used_once_for_its_request_within_its_lifetime() {
        let book = NonceBook::new();
        let (ours, other) = (Bytes32::from([1; 32]), Bytes32::from([2; 32]));
        let (nonce, expires) = book.issue(USE, Domain::Income, &ours, NOW);
        let redeem = |purpose, domain, request: &Bytes32, now| {
            book.redeem(purpose, domain, request, &nonce, now)
        };
        let refused = Err(NonceError::Refused);
        assert_eq!(redeem(USE, Domain::Income, &other, NOW), refused);
        assert_eq!(redeem(USE, Domain::Medical, &ours, NOW), refused);
        assert_eq!(redeem(NonceUse::Enrol, Domain::Income, &ours, NOW), refused);
        assert_eq!(redeem(USE, Domain::Income, &ours, expires), refused);
        assert_eq!(redeem(USE, Domain::Income, &ours, NOW), Ok(()));
        assert_eq!(redeem(USE, Domain::Income, &ours, NOW), refused);
    }

    #[test]
    fn a_nonce_of_another_node_or_of_before_a_restart_is_refused() {
        let request = Bytes32::from([1; 32]);
        let (nonce, _) = NonceBook::new().issue(USE, Domain::Income, &request, NOW);
        let again = NonceBook::new().redeem(USE, Domain::Income, &request, &nonce, NOW);
        assert_eq!(again, Err(NonceError::Refused));
    }
}
