//! Nonces that need no memory until they are used: instant, randomness and a tag under the node's own secret.
//!
//! So nobody can fill a node's store by asking, and a restart forgets no nonce that was given.

use contracts::encoding::{Bytes, Bytes32, tagged_hash};
use contracts::units::UnixTime;
use rand_core::{OsRng, RngCore};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::keys::NodeIdentity;
use crate::wire::decision::{MAX_SKEW, NONCE_LIFETIME, nonce_time};

/// Bytes of instant and randomness; the other 16 are the tag.
const OPEN: usize = 16;

/// Makes this node's nonces and knows them again.
pub struct Nonces(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces(..)")
    }
}

impl Nonces {
    /// Under a secret derived from the node's identity: its deterministic signature (RFC 8032) on a message that is
    /// signed for nothing else.
    pub fn new(identity: &NodeIdentity) -> Self {
        let signature = Zeroizing::new(identity.sign(b"shp/v1/decision-nonce-secret").0);
        Self(Zeroizing::new(tagged_hash(
            "shp/v1/decision-nonce-secret",
            &[signature.as_slice()],
        )))
    }

    fn tag(&self, open: &[u8]) -> [u8; 32] {
        tagged_hash("shp/v1/decision-nonce", &[self.0.as_slice(), open])
    }

    /// A fresh nonce that dates from now.
    pub fn fresh(&self, now: UnixTime) -> Bytes32 {
        let mut nonce = [0; 32];
        let (open, tag) = nonce.split_at_mut(OPEN);
        let (time, random) = open.split_at_mut(8);
        time.copy_from_slice(&now.0.to_be_bytes());
        OsRng.fill_bytes(random);
        let full = self.tag(open);
        tag.copy_from_slice(full.split_at(32 - OPEN).0);
        Bytes(nonce)
    }

    /// When a nonce expires.
    pub fn expires(nonce: &Bytes32) -> UnixTime {
        UnixTime(nonce_time(nonce).0.saturating_add(NONCE_LIFETIME))
    }

    /// Whether this node gave the nonce and it has not expired.
    pub fn good(&self, nonce: &Bytes32, now: UnixTime) -> bool {
        let (open, tag) = nonce.0.split_at(OPEN);
        let full = self.tag(open);
        let given = bool::from(full.split_at(32 - OPEN).0.ct_eq(tag));
        given && Self::expires(nonce) > now && nonce_time(nonce).0 <= now.0.saturating_add(MAX_SKEW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    #[test]
    fn a_node_knows_its_nonces_until_they_expire_and_across_restarts() {
        let identity = NodeIdentity::generate();
        let nonces = Nonces::new(&identity);
        let nonce = nonces.fresh(NOW);
        assert_ne!(nonce, nonces.fresh(NOW));
        assert!(Nonces::new(&identity).good(&nonce, UnixTime(NOW.0 + NONCE_LIFETIME - 1)));
        assert!(!nonces.good(&nonce, UnixTime(NOW.0 + NONCE_LIFETIME)));
        assert_eq!(nonce_time(&nonce), NOW);
    }

    #[test]
    fn a_forged_or_redated_nonce_is_refused() {
        let nonces = Nonces::new(&NodeIdentity::generate());
        let nonce = nonces.fresh(NOW);
        for bit in 0..256 {
            let mut forged = nonce;
            forged.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!nonces.good(&forged, NOW), "bit {bit}");
        }
        let other = Nonces::new(&NodeIdentity::generate());
        assert!(!other.good(&nonce, NOW));
    }
}
