//! Handles: what the identity committee vouches for to one domain's oracles, sealed to each of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::attestation::{AttestationError, AttestationKey};
use crate::bip340;
use crate::cbor::{self, Value};
use crate::encoding::{Bytes, Bytes32};
use crate::group::Point;
use crate::ids::Domain;
use crate::units::Day;

/// The version that this crate writes and reads.
pub const HANDLE_VERSION: u16 = 1;
/// Source keys that a handle may carry.
pub const MAX_SOURCE_KEYS: usize = 16;
/// Bytes in a source key's name or value.
pub const MAX_SOURCE_KEY_LENGTH: usize = 256;

/// A handle that a node must refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// A version that this crate does not read.
    #[error("handle version {0}: expected {HANDLE_VERSION}")]
    Version(u16),
    /// Issued for another domain.
    #[error("the handle is for {got}, not for {expected}")]
    Domain {
        /// Domain of the node.
        expected: Domain,
        /// Domain in the handle.
        got: Domain,
    },
    /// Past its expiry day.
    #[error("the handle expired on {0}: enrol again")]
    Expired(Day),
    /// More or longer source keys than [`MAX_SOURCE_KEYS`] and [`MAX_SOURCE_KEY_LENGTH`] allow.
    #[error(
        "more than {MAX_SOURCE_KEYS} source keys, or one of more than {MAX_SOURCE_KEY_LENGTH} bytes"
    )]
    SourceKeys,
    /// The authorisation key is no key.
    #[error("the authorisation key is not an x-only secp256k1 key")]
    AuthorisationKey,
    /// Not signed by the identity committee.
    #[error("the identity committee's signature on the handle does not verify")]
    Signature,
}

/// What a handle says; identifies a person, so it exists only sealed or in flight.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandlePlain {
    /// [`HANDLE_VERSION`].
    pub version: u16,
    /// The domain whose oracles may open it.
    pub domain: Domain,
    /// Identifiers that the identity committee proofed, by the name its sources know them under.
    pub source_keys: BTreeMap<String, String>,
    /// The owner's authorisation key for this domain: secp256k1, x-only.
    pub authorisation_key: Bytes32,
    /// `S_d = s·B + R_d`.
    pub s_d: Point,
    /// The last day on which it may be used.
    pub expires: Day,
}

impl HandlePlain {
    /// The deterministic CBOR form (RFC 8949 §4.2).
    pub fn to_cbor(&self) -> Vec<u8> {
        let source_keys = self
            .source_keys
            .iter()
            .map(|(name, value)| Value::Array(vec![cbor::text(name), cbor::text(value)]));
        cbor::map([
            ("tag", cbor::text("shp/v1/handle")),
            ("version", Value::from(self.version)),
            ("domain", cbor::text(self.domain)),
            ("source_keys", Value::Array(source_keys.collect())),
            ("authorisation_key", cbor::bytes(self.authorisation_key)),
            ("s_d", cbor::bytes(self.s_d.as_bytes())),
            ("expires", Value::from(self.expires.number())),
        ])
    }
}

impl fmt::Debug for HandlePlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlePlain").finish_non_exhaustive()
    }
}

impl Drop for HandlePlain {
    fn drop(&mut self) {
        for value in self.source_keys.values_mut() {
            value.zeroize();
        }
    }
}

/// The bytes that the identity committee signs for a handle: its domain, the epoch of its key and the SHA-256 of the
/// handle.
pub fn statement(epoch: u64, plain: &HandlePlain) -> Vec<u8> {
    cbor::map([
        ("tag", cbor::text("shp/v1/handle-statement")),
        ("epoch", Value::from(epoch)),
        ("domain", cbor::text(plain.domain)),
        (
            "hash",
            cbor::bytes(Sha256::digest(Zeroizing::new(plain.to_cbor()))),
        ),
    ])
}

/// A handle with the identity committee's signature; what is sealed to each member of the domain's committee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHandle {
    /// What is signed.
    pub plain: HandlePlain,
    /// The epoch of the identity committee's key.
    pub epoch: u64,
    /// FROST(secp256k1, SHA-256) signature over [`statement`].
    pub signature: Bytes<65>,
}

impl SignedHandle {
    /// Checks that the handle is for this domain, in date, and signed under the identity committee's key at its epoch.
    ///
    /// # Errors
    /// [`HandleError`], naming what to refuse.
    pub fn verify(
        &self,
        domain: Domain,
        today: Day,
        identity: &AttestationKey,
    ) -> Result<(), HandleError> {
        let plain = &self.plain;
        if plain.version != HANDLE_VERSION {
            return Err(HandleError::Version(plain.version));
        }
        if plain.domain != domain {
            return Err(HandleError::Domain {
                expected: domain,
                got: plain.domain,
            });
        }
        if plain.expires < today {
            return Err(HandleError::Expired(plain.expires));
        }
        let long = |text: &String| text.len() > MAX_SOURCE_KEY_LENGTH;
        if plain.source_keys.len() > MAX_SOURCE_KEYS
            || plain
                .source_keys
                .iter()
                .any(|(name, value)| long(name) || long(value))
        {
            return Err(HandleError::SourceKeys);
        }
        bip340::check_key(&plain.authorisation_key).map_err(|_| HandleError::AuthorisationKey)?;
        identity
            .verify(&statement(self.epoch, plain), &self.signature)
            .map_err(|_: AttestationError| HandleError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::PEDERSEN;
    use crate::testing::{Issuer, keypair, rng};

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn plain() -> HandlePlain {
        HandlePlain {
            version: HANDLE_VERSION,
            domain: Domain::Income,
            source_keys: [("case_number", "C-77"), ("ssn_last4", "4321")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            authorisation_key: keypair(&mut rng(1)).1,
            s_d: Point::new(PEDERSEN.B).unwrap(),
            expires: day("2027-11-20"),
        }
    }

    fn check(plain: HandlePlain, edit: impl FnOnce(&mut SignedHandle)) -> Result<(), HandleError> {
        let mut rng = rng(2);
        let identity = Issuer::new(Domain::Identity, 3, &mut rng);
        let signature = identity.sign(&statement(3, &plain), &mut rng);
        let mut handle = SignedHandle {
            plain,
            epoch: 3,
            signature,
        };
        edit(&mut handle);
        handle.verify(Domain::Income, day("2026-11-20"), &identity.key())
    }

    #[test]
    fn attack_a_handle_altered_or_made_for_a_neighbour() {
        assert_eq!(check(plain(), |_| ()), Ok(()));
        let key = keypair(&mut rng(9)).1;
        type Edit = Box<dyn FnOnce(&mut SignedHandle)>;
        let edits: Vec<Edit> = vec![
            Box::new(|h| {
                drop(
                    h.plain
                        .source_keys
                        .insert("case_number".into(), "C-78".into()),
                )
            }),
            Box::new(|h| drop(h.plain.source_keys.remove("ssn_last4"))),
            Box::new(move |h| h.plain.authorisation_key = key),
            Box::new(|h| h.plain.s_d = Point::new(PEDERSEN.B_blinding).unwrap()),
            Box::new(|h| h.plain.expires = day("2028-11-20")),
            Box::new(|h| h.epoch = 4),
            Box::new(|h| h.signature.0[50] ^= 1),
        ];
        for edit in edits {
            assert_eq!(check(plain(), edit), Err(HandleError::Signature));
        }
    }

    #[test]
    fn handles_of_another_domain_version_or_day_are_refused_even_if_signed() {
        let check = |edit: fn(&mut HandlePlain)| {
            let mut plain = plain();
            edit(&mut plain);
            check(plain, |_| ())
        };
        assert_eq!(check(|p| p.version = 2), Err(HandleError::Version(2)));
        assert_eq!(
            check(|p| p.domain = Domain::Medical),
            Err(HandleError::Domain {
                expected: Domain::Income,
                got: Domain::Medical
            })
        );
        let yesterday = day("2026-11-19");
        assert_eq!(
            check(|p| p.expires = day("2026-11-19")),
            Err(HandleError::Expired(yesterday))
        );
        assert_eq!(check(|p| p.expires = day("2026-11-20")), Ok(()));
        assert_eq!(
            check(|p| p.authorisation_key = Bytes([0; 32])),
            Err(HandleError::AuthorisationKey)
        );
        let long = "x".repeat(MAX_SOURCE_KEY_LENGTH + 1);
        let mut plain = plain();
        plain.source_keys.insert("address".to_owned(), long);
        assert_eq!(
            super::tests::check(plain, |_| ()),
            Err(HandleError::SourceKeys)
        );
        assert_eq!(
            check(|p| p
                .source_keys
                .extend((0..MAX_SOURCE_KEYS).map(|i| (i.to_string(), i.to_string())))),
            Err(HandleError::SourceKeys)
        );
    }

    #[test]
    fn handles_print_nothing_and_their_encoding_is_frozen() {
        let plain = plain();
        assert_eq!(format!("{plain:?}"), "HandlePlain { .. }");
        insta::assert_snapshot!("handle", hex::encode(plain.to_cbor()));
        insta::assert_snapshot!("handle_statement", hex::encode(statement(3, &plain)));
    }
}
