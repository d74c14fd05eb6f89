//! Decoders of untrusted bytes: an error for garbage, never a panic.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Keys, ORIGIN, claims};
use contracts::application::Application;
use contracts::bundle::Bundle;
use contracts::checkpoint::Checkpoint;
use contracts::encoding::{Blob, to_base64url};
use contracts::jwk::JwkSet;
use contracts::receipt::Entry;
use contracts::status::StatusList;
use contracts::token;
use contracts::trust::Trust;
use proptest::prelude::*;
use proptest::sample::Index;

/// Everything that is read from outside, on the same bytes.
fn read_all(keys: &Keys, bytes: &[u8]) {
    let _ = Bundle::parse(bytes);
    let _ = Application::parse(bytes);
    let _ = Trust::parse(bytes);
    let _ = JwkSet::parse(bytes);
    let _ = StatusList::decompress(&Blob(bytes.to_vec()));
    if let Ok(entry) = Entry::from_cbor(bytes) {
        assert_eq!(entry.to_cbor(), bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = Checkpoint::open(&text, ORIGIN, &keys.ledger.verifying_key());
    let _ = token::open(&text, &keys.jwks());
    let encoded = to_base64url(bytes);
    let _ = token::open(&format!("{encoded}.{encoded}.{encoded}"), &keys.jwks());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_are_refused_in_peace(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        read_all(&Keys::new(1), &bytes);
    }

    #[test]
    fn torn_and_spliced_messages_are_refused_in_peace(cut in any::<Index>(), to in any::<Index>(), junk in any::<[u8; 4]>()) {
        let keys = Keys::new(1);
        let entry = Entry {
            kind: contracts::receipt::EntryKind::Decision,
            commitment: contracts::encoding::Bytes([1; 32]),
        };
        let receipt = keys.receipt(2, entry, 2);
        for message in [
            keys.token(&claims(&keys)).into_bytes(),
            receipt.checkpoint.into_bytes(),
            entry.to_cbor(),
            serde_json::to_vec(&keys.trust()).unwrap(),
            serde_json::to_vec(&keys.jwks()).unwrap(),
            serde_json::to_vec(&keys.application(&claims(&keys))).unwrap(),
            StatusList::all_valid().compress().0,
        ] {
            let (cut, to) = (cut.index(message.len()), to.index(message.len()));
            let mut torn = message[..cut].to_vec();
            torn.extend(junk);
            torn.extend(&message[to..]);
            read_all(&keys, &torn);
        }
    }
}
