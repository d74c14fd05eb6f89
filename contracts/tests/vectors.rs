//! Published test vectors; each file names its source.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use contracts::encoding::{Blob, Bytes, Bytes32, from_base64url, to_jcs};
use contracts::jwk::{OkpJwk, thumbprint};
use contracts::merkle;
use contracts::status::{LIST_SIZE, Status, StatusList};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use secp256k1::schnorr::Signature;
use secp256k1::{Keypair, SECP256K1, SecretKey, XOnlyPublicKey};
use serde::Deserialize;
use serde_json::Value;

fn load<T: for<'de> Deserialize<'de>>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

fn bytes32(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn path(hashes: &[String]) -> Vec<Bytes32> {
    hashes.iter().map(|hash| Bytes(bytes32(hash))).collect()
}

#[derive(Deserialize)]
struct Merkle {
    leaves: Vec<String>,
    empty_root: String,
    roots: Vec<String>,
    inclusion: Vec<Inclusion>,
    consistency: Vec<Consistency>,
}

#[derive(Deserialize)]
struct Inclusion {
    index: usize,
    size: usize,
    path: Vec<String>,
}

#[derive(Deserialize)]
struct Consistency {
    old: usize,
    new: usize,
    path: Vec<String>,
}

#[test]
fn rfc6962_roots_and_paths() {
    let vectors: Merkle = load(include_str!("../../fixtures/vectors/rfc6962-merkle.json"));
    let leaves: Vec<[u8; 32]> = vectors
        .leaves
        .iter()
        .map(|leaf| merkle::leaf_hash(&hex::decode(leaf).unwrap()))
        .collect();
    let root = |size: usize| bytes32(&vectors.roots[size - 1]);
    assert_eq!(merkle::root(&[]), bytes32(&vectors.empty_root));
    for size in 1..=leaves.len() {
        assert_eq!(merkle::root(&leaves[..size]), root(size));
    }
    for case in &vectors.inclusion {
        let path = path(&case.path);
        let made = merkle::inclusion_path(&leaves[..case.size], case.index);
        assert_eq!(made.as_ref(), Some(&path));
        let (index, size) = (case.index as u64, case.size as u64);
        let reached = merkle::root_from_path(&leaves[case.index], index, size, &path);
        assert_eq!(reached, Some(root(case.size)));
    }
    for case in &vectors.consistency {
        let path = path(&case.path);
        let made = merkle::consistency_path(&leaves[..case.new], case.old);
        assert_eq!(made.as_ref(), Some(&path));
        let (old, new) = (case.old as u64, case.new as u64);
        let (old_root, new_root) = (root(case.old), root(case.new));
        assert!(merkle::consistent(old, &old_root, new, &new_root, &path));
    }
}

#[derive(Deserialize)]
struct Ed25519 {
    cases: Vec<Ed25519Case>,
}

#[derive(Deserialize)]
struct Ed25519Case {
    secret: String,
    public: String,
    message: String,
    signature: String,
}

#[test]
fn rfc8032_signatures() {
    let vectors: Ed25519 = load(include_str!("../../fixtures/vectors/rfc8032-ed25519.json"));
    for case in vectors.cases {
        let key = SigningKey::from_bytes(&bytes32(&case.secret));
        assert_eq!(key.verifying_key().as_bytes(), &bytes32(&case.public));
        let message = hex::decode(&case.message).unwrap();
        let signature = key.sign(&message);
        assert_eq!(hex::encode(signature.to_bytes()), case.signature);
        key.verifying_key()
            .verify_strict(&message, &signature)
            .unwrap();
    }
}

#[test]
fn rfc7638_thumbprint_of_the_rfc8037_key() {
    let vector: Value = load(include_str!(
        "../../fixtures/vectors/rfc8037-thumbprint.json"
    ));
    let x = Bytes32::parse(vector["x"].as_str().unwrap()).unwrap();
    let key = VerifyingKey::from_bytes(&x.0).unwrap();
    assert_eq!(thumbprint(&key), vector["thumbprint"]);
    assert_eq!(OkpJwk::new(&key).kid, vector["thumbprint"]);
}

#[test]
fn rfc8785_canonical_json() {
    let vectors: Value = load(include_str!("../../fixtures/vectors/rfc8785-jcs.json"));
    for case in vectors["cases"].as_array().unwrap() {
        let input: Value = load(case["input"].as_str().unwrap());
        let output = String::from_utf8(to_jcs(&input).unwrap()).unwrap();
        assert_eq!(output, case["output"].as_str().unwrap(), "{}", case["name"]);
    }
}

#[test]
fn bip340_signatures() {
    let csv = include_str!("../../fixtures/vectors/bip340.csv");
    let mut seen = 0;
    for line in csv.lines().skip(2) {
        let fields: Vec<&str> = line.splitn(8, ',').collect();
        let &[index, secret, public, aux, message, signature, result, _] = fields.as_slice() else {
            panic!("{line}")
        };
        let message = bytes32(message);
        let signature = Signature::from_slice(&hex::decode(signature).unwrap()).unwrap();
        let verified = XOnlyPublicKey::from_slice(&bytes32(public))
            .and_then(|key| SECP256K1.verify_schnorr(&signature, &message, &key))
            .is_ok();
        assert_eq!(verified, result == "TRUE", "vector {index}");
        if !secret.is_empty() {
            let secret = SecretKey::from_slice(&bytes32(secret)).unwrap();
            let pair = Keypair::from_secret_key(SECP256K1, &secret);
            let made = SECP256K1.sign_schnorr_with_aux_rand(&message, &pair, &bytes32(aux));
            assert_eq!(made, signature, "vector {index}");
        }
        seen += 1;
    }
    assert_eq!(seen, 15);
}

#[test]
fn status_list_of_the_draft() {
    let vectors: Value = load(include_str!("../../fixtures/vectors/status-list.json"));
    let lst = from_base64url(vectors["full"]["lst"].as_str().unwrap()).unwrap();
    let list = StatusList::decompress(&Blob(lst)).unwrap();
    let invalid: Vec<u64> = (0..LIST_SIZE)
        .filter(|idx| list.get(*idx) == Ok(Status::Invalid))
        .collect();
    let expected: Vec<u64> = serde_json::from_value(vectors["full"]["invalid"].clone()).unwrap();
    assert_eq!(invalid, expected);

    let mut same = StatusList::all_valid();
    for idx in expected {
        same.revoke(idx).unwrap();
    }
    assert_eq!(StatusList::decompress(&same.compress()).unwrap(), list);
}
