//! What a node keeps in place of values and keys: ciphertexts and keyed digests under keys of its own.
//!
//! Values have few bits, so a plain hash would give them away: every digest is HMAC-SHA-256 (RFC 2104) under a key that
//! follows from the operator key, which is not in the database.

use std::collections::BTreeMap;

use contracts::encoding::{Bytes32, tagged_hash};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::WatchError;
use crate::keys::{OperatorKey, SealedAtRest};
use crate::wire::watch::WatchedFact;

/// A person's source keys by name, wiped when dropped. No `Debug`: they name a person.
pub struct SourceKeys(pub(crate) BTreeMap<String, String>);

impl Drop for SourceKeys {
    fn drop(&mut self) {
        for value in self.0.values_mut() {
            value.zeroize();
        }
    }
}

/// The keys under which one node keeps its watches.
pub struct WatchKeys {
    operator: OperatorKey,
    digest: Zeroizing<[u8; 32]>,
    index: Zeroizing<[u8; 32]>,
}

impl WatchKeys {
    /// The keys of the node whose operator key this is.
    pub fn new(operator: &OperatorKey) -> Self {
        Self {
            operator: operator.clone(),
            digest: operator.derive("shp/v1/watch-digest"),
            index: operator.derive("shp/v1/watch-index"),
        }
    }

    /// Seals what a watch keeps of its handle: the source keys.
    ///
    /// # Errors
    /// None that names of keys can cause; [`WatchError::Stored`] if they were no JSON.
    pub fn seal(
        &self,
        watch: &Bytes32,
        keys: &BTreeMap<String, String>,
    ) -> Result<SealedAtRest, WatchError> {
        let plain = serde_json::to_vec(keys).map_err(|_| WatchError::Stored("watch.handle"))?;
        let plain = Zeroizing::new(plain);
        Ok(self.operator.seal(&[b"watch-handle", &watch.0], &plain))
    }

    /// Opens it again.
    ///
    /// # Errors
    /// [`WatchError::Stored`] where it was not sealed by this node for this watch.
    pub fn open(&self, watch: &Bytes32, sealed: &SealedAtRest) -> Result<SourceKeys, WatchError> {
        let damaged = || WatchError::Stored("watch.handle");
        let label: &[&[u8]] = &[b"watch-handle", &watch.0];
        let plain = self.operator.open("watch.handle", label, sealed);
        let plain = plain.map_err(|_| damaged())?;
        let keys = serde_json::from_slice(&plain).map_err(|_| damaged())?;
        Ok(SourceKeys(keys))
    }

    /// The digest of a fact's value; none stands for "every source says that there is no record".
    pub fn value(&self, watch: &Bytes32, fact: &WatchedFact, value: Option<i64>) -> Bytes32 {
        let known = [u8::from(value.is_some())];
        let value = Zeroizing::new(value.unwrap_or(0).to_be_bytes());
        let parts: [&[u8]; 5] = [
            &watch.0,
            fact.attribute.0.as_bytes(),
            &fact.days.to_be_bytes(),
            &known,
            value.as_ref(),
        ];
        keyed(&self.digest, "shp/v1/watch-value", &parts)
    }

    /// Where the watches of who a source knows by a key are found.
    pub fn person(&self, source: &str, key: &str, value: &str) -> Bytes32 {
        let parts = [source.as_bytes(), key.as_bytes(), value.as_bytes()];
        keyed(&self.index, "shp/v1/watch-person", &parts)
    }

    /// Who granted a watch.
    pub fn owner(&self, authorisation_key: &Bytes32) -> Bytes32 {
        keyed(&self.index, "shp/v1/watch-owner", &[&authorisation_key.0])
    }
}

fn keyed(key: &[u8; 32], tag: &str, parts: &[&[u8]]) -> Bytes32 {
    let mut mac =
        <Hmac<Sha256> as hmac::Mac>::new_from_slice(key).expect("HMAC takes a key of any length");
    let hash = Zeroizing::new(tagged_hash(tag, parts));
    mac.update(hash.as_ref());
    <[u8; 32]>::from(mac.finalize().into_bytes()).into()
}
