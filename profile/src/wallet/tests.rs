use std::collections::BTreeSet;

use bip32::{ExtendedKey, ExtendedKeyAttrs, Prefix, XPrv, XPub};
use proptest::prelude::*;

use super::*;

fn wallet(byte: u8) -> Wallet {
    let operator = SealKey::new(Zeroizing::new([0; 32]));
    let sealed = operator.seal(&[b"seed", b"p"], &[byte; 96]);
    Wallet::new(&Entropy::open(&operator, "p", &sealed).unwrap()).unwrap()
}

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../fixtures/vectors/bip32.json")).unwrap()
}

#[test]
fn bip32_test_vectors_1_to_4() {
    let mut chains = 0;
    for vector in vectors()["valid"].as_array().unwrap() {
        let seed = hex::decode(vector["seed"].as_str().unwrap()).unwrap();
        for chain in vector["chains"].as_array().unwrap() {
            let path = chain["path"].as_str().unwrap().parse().unwrap();
            let node = XPrv::derive_from_path(&seed, &path).unwrap();
            assert_eq!(
                node.to_string(Prefix::XPRV).as_str(),
                chain["xprv"].as_str().unwrap()
            );
            assert_eq!(
                node.public_key().to_string(Prefix::XPUB),
                chain["xpub"].as_str().unwrap()
            );
            chains += 1;
        }
    }
    assert_eq!(chains, 17);
}

/// The wallet imports no extended keys, only seeds. The library it builds on refuses those of test vector 5 as far as
/// their own bytes go; that a master key has neither parent nor index it leaves to the importer.
#[test]
fn bip32_test_vector_5_holds_no_usable_key() {
    let is_master_without_parent = |attrs: &ExtendedKeyAttrs| {
        attrs.depth != 0 || (attrs.parent_fingerprint == [0; 4] && attrs.child_number.0 == 0)
    };
    let vectors = vectors();
    let invalid = vectors["invalid"].as_array().unwrap();
    assert_eq!(invalid.len(), 16);
    for entry in invalid {
        let key = entry["key"].as_str().unwrap();
        let reason = entry["reason"].as_str().unwrap();
        let Ok(parsed) = key.parse::<ExtendedKey>() else {
            continue;
        };
        let known = [Prefix::XPRV, Prefix::XPUB].contains(&parsed.prefix);
        let sound = is_master_without_parent(&parsed.attrs);
        let usable = if parsed.prefix == Prefix::XPRV {
            XPrv::try_from(parsed).is_ok()
        } else {
            XPub::try_from(parsed).is_ok()
        };
        assert!(!(known && sound && usable), "{reason}");
    }
}

#[test]
fn words_and_seal_give_the_seed_back_and_to_nobody_else() {
    let (ours, theirs) = (
        SealKey::new(Zeroizing::new([1; 32])),
        SealKey::new(Zeroizing::new([2; 32])),
    );
    let entropy = Entropy::generate();
    let again = Entropy::from_words(&entropy.words()).unwrap();
    assert_eq!(again.seed(), entropy.seed());
    let sealed = entropy.seal(&ours, "a");
    assert_eq!(
        Entropy::open(&ours, "a", &sealed).unwrap().seed(),
        entropy.seed()
    );
    assert!(Entropy::open(&ours, "b", &sealed).is_err());
    assert!(Entropy::open(&theirs, "a", &sealed).is_err());
    // Twelve valid words are not a seed of ours.
    let twelve = "abandon ".repeat(11) + "about";
    assert_eq!(Entropy::from_words(&twelve).unwrap_err(), SeedError::Words);
}

#[test]
fn bip39_published_words_and_seed() {
    // trezor/python-mnemonic vectors.json: entropy 00…00 (32 bytes); the seed is that of the empty passphrase.
    let entropy = Entropy::from_words(&("abandon ".repeat(23) + "art")).unwrap();
    assert_eq!(
        hex::encode(entropy.seed()),
        "408b285c123836004f4b8842c89324c1f01382450c0d439af345ba7fc49acf70\
         5489c6fc77dbd4e3dc1dd8cc6bc9f043db8ada1e243c4a0eafb290d399480840"
    );
}

#[test]
fn nothing_secret_is_printed() {
    let wallet = wallet(7);
    let leaf = wallet.leaf(Domain::Income, 0).unwrap();
    let printed = format!("{wallet:?} {leaf:?} {:?}", Entropy::generate());
    let secret = leaf
        .holder
        .with(|secret, _| secret.display_secret().to_string());
    assert!(!printed.contains(&secret));
    assert!(!printed.contains(&contracts::encoding::to_base64url(
        hex::decode(secret).unwrap()
    )));
    assert!(printed.contains("Wallet(..)") && printed.contains("SealKey(..)"));
}

#[test]
fn signatures_verify_under_the_key_that_is_named() {
    let key = wallet(3).authorisation(Domain::Medical, 0).unwrap();
    let signature = secp256k1::schnorr::Signature::from_slice(&key.sign(&[9; 32]).0).unwrap();
    let public = secp256k1::XOnlyPublicKey::from_slice(&key.x_only().0).unwrap();
    assert!(
        secp256k1::SECP256K1
            .verify_schnorr(&signature, &[9; 32], &public)
            .is_ok()
    );
}

fn any_use() -> impl Strategy<Value = Use> {
    let domain = || proptest::sample::select(Domain::ALL.to_vec());
    let role = proptest::sample::select(vec![Role::Holder, Role::Receive, Role::Opening]);
    prop_oneof![
        domain().prop_map(Use::Authorisation),
        (domain(), role).prop_map(|(domain, role)| Use::Leaf(domain, role)),
        Just(Use::Confirmation),
        Just(Use::Pseudonym),
        Just(Use::Registration),
        Just(Use::Response),
        domain().prop_map(Use::Subject),
        Just(Use::Question),
        Just(Use::Enrolment),
        Just(Use::Backup),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_two_paths_give_one_key(
        paths in proptest::collection::btree_set((any_use(), 0..MAX_INDEX), 2..6),
        byte in any::<u8>(),
    ) {
        let wallet = wallet(byte);
        let keys: BTreeSet<_> = paths
            .iter()
            .map(|(use_, index)| *wallet.secret(*use_, *index).unwrap())
            .collect();
        prop_assert_eq!(keys.len(), paths.len());
    }

    #[test]
    fn two_seeds_share_no_key(use_ in any_use(), index in 0..MAX_INDEX, a in any::<u8>(), b in any::<u8>()) {
        prop_assume!(a != b);
        prop_assert_ne!(*wallet(a).secret(use_, index).unwrap(), *wallet(b).secret(use_, index).unwrap());
    }

    #[test]
    fn one_seed_gives_one_key_for_a_path(use_ in any_use(), index in 0..MAX_INDEX) {
        prop_assert_eq!(*wallet(1).secret(use_, index).unwrap(), *wallet(1).secret(use_, index).unwrap());
    }
}
