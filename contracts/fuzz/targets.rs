//! What is read from outside, target by target: the fuzz binaries and the replay on stable call these and nothing else.
//!
//! A target must not panic and must not allocate beyond what `tests/garbage.rs` allows. What it accepts reads back as the
//! same bytes where a form has one spelling.
#![allow(dead_code, reason = "each fuzz binary uses one target")]
#![allow(clippy::unwrap_used, reason = "a target fails by panicking")]

use std::sync::LazyLock;

use contracts::application::Application;
use contracts::attestation::{Attestation, SignedRoot};
use contracts::bundle::Bundle;
use contracts::checkpoint::Checkpoint;
use contracts::encoding::Blob;
use contracts::group::{PEDERSEN, Point};
use contracts::handle::SignedHandle;
use contracts::issuance::Opening;
use contracts::jwk::JwkSet;
use contracts::leaf::Leaf;
use contracts::openings::Openings;
use contracts::presentation::{Presentation, pseudonym_base};
use contracts::receipt::{Entry, Receipt};
use contracts::rules::{Contract, Registry, registry};
use contracts::statement::{Atom, Commitments, Node, Public, Relation, Shape, verify};
use contracts::status::StatusList;
use contracts::token;
use contracts::trust::Trust;

/// Reads bytes from outside; whatever they are, it must neither panic nor allocate beyond the cap.
pub type Target = fn(&[u8]);

/// Names of the targets, as in `fuzz_targets/`.
pub const ALL: [(&str, Target); 10] = [
    ("bundle", bundle),
    ("presentation", presentation),
    ("openings", openings),
    ("token", token),
    ("trust", trust),
    ("ledger", ledger),
    ("status", status),
    ("proof", proof),
    ("attested", attested),
    ("contract", contract),
];

/// A decision bundle, and its audit as far as it gets without keys.
pub fn bundle(bytes: &[u8]) {
    if let Ok(bundle) = Bundle::parse(bytes) {
        assert_eq!(bundle.to_bytes(), bytes);
        let day = bundle.as_of;
        let _ = registry().compile(&bundle.contract.id, &bundle.jurisdiction, day);
    }
}

/// A presentation as a decision node receives it.
pub fn presentation(bytes: &[u8]) {
    let Ok(shown) = Presentation::parse(bytes) else {
        return;
    };
    let json = serde_json::to_vec(&shown).unwrap();
    assert_eq!(Presentation::parse(&json), Ok(shown.clone()));
    let compiled = registry().compile(&shown.contract.id, &shown.jurisdiction, shown.as_of);
    if let Ok(compiled) = compiled {
        let keys = |_, _| None;
        let _ =
            contracts::presentation::verify(&shown, &compiled, &NoKeys(keys), shown.as_of.start());
    }
}

/// Knows no committee.
struct NoKeys<F>(F);

impl<F> contracts::attestation::CommitteeKeys for NoKeys<F>
where
    F: Fn(contracts::ids::Domain, u64) -> Option<contracts::attestation::AttestationKey>,
{
    fn attestation_key(
        &self,
        committee: contracts::ids::Domain,
        epoch: u64,
    ) -> Option<contracts::attestation::AttestationKey> {
        (self.0)(committee, epoch)
    }
}

/// An openings file, and an opening as it is sealed.
pub fn openings(bytes: &[u8]) {
    if let Ok(openings) = Openings::parse(bytes) {
        assert_eq!(openings.to_bytes(), bytes);
    }
    if let Ok(opening) = Opening::from_bytes(bytes) {
        assert_eq!(opening.to_bytes().as_slice(), bytes);
    }
}

/// A token under no keys, a key set, an application.
pub fn token(bytes: &[u8]) {
    static NONE: LazyLock<JwkSet> = LazyLock::new(|| JwkSet::parse(br#"{"keys":[]}"#).unwrap());
    let _ = token::open(&String::from_utf8_lossy(bytes), &NONE);
    let _ = JwkSet::parse(bytes);
    let _ = Application::parse(bytes);
}

/// A trust file.
pub fn trust(bytes: &[u8]) {
    let _ = Trust::parse(bytes);
}

/// An entry, a receipt, a checkpoint.
pub fn ledger(bytes: &[u8]) {
    if let Ok(entry) = Entry::from_cbor(bytes) {
        assert_eq!(entry.to_cbor(), bytes);
    }
    let _ = serde_json::from_slice::<Receipt>(bytes);
    let text = String::from_utf8_lossy(bytes);
    static KEY: LazyLock<ed25519_dalek::VerifyingKey> =
        LazyLock::new(|| ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key());
    let _ = Checkpoint::open(&text, "ledger.example/shp", &KEY);
}

/// A compressed status list.
pub fn status(bytes: &[u8]) {
    let _ = StatusList::decompress(&Blob(bytes.to_vec()));
}

/// A statement with a range proof and a choice, over fixed leaves: slacks and proof are the bytes.
pub fn proof(bytes: &[u8]) {
    static FIXED: LazyLock<(Shape, Public)> = LazyLock::new(|| {
        let atom = |relation, constant| {
            let terms = vec![(0, 1)];
            Node::Atom(Atom {
                relation,
                terms,
                constant,
            })
        };
        let tree = Node::Or(vec![atom(Relation::EqZero, -1), atom(Relation::GeZero, -5)]);
        let point = Point::new(PEDERSEN.B).unwrap();
        let leaf = Commitments {
            value: point,
            known: point,
            subject: point,
        };
        let public = Public {
            leaves: vec![leaf],
            person: point,
            pseudonym: point,
            base: pseudonym_base("fuzz"),
        };
        (Shape::new(&tree, 1, 8).unwrap(), public)
    });
    let (shape, public) = &*FIXED;
    let (slack, proof) = bytes.split_at(bytes.len().min(32));
    let slack = <&[u8; 32]>::try_from(slack)
        .ok()
        .and_then(|slack| Point::from_bytes(slack).ok());
    let slacks: Vec<Point> = slack.into_iter().collect();
    let mut transcript = merlin::Transcript::new(b"fuzz");
    assert!(verify(&mut transcript, shape, public, &slacks, proof).is_err());
}

/// A leaf, its attestation, a root, a handle.
pub fn attested(bytes: &[u8]) {
    if let Ok(leaf) = serde_json::from_slice::<Leaf>(bytes) {
        let _ = leaf.hash();
    }
    if let Ok(attestation) = serde_json::from_slice::<Attestation>(bytes) {
        let _ = attestation.check_path();
    }
    let _ = serde_json::from_slice::<SignedRoot>(bytes);
    let _ = serde_json::from_slice::<SignedHandle>(bytes);
}

/// A contract file, as far as a compiled statement.
pub fn contract(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(contract) = Contract::parse("fuzz.toml", &text) else {
        return;
    };
    if let Ok(others) = Registry::beside_release(&[("fuzz.toml", &text)]) {
        let state = "CA".parse().unwrap();
        if let Ok(compiled) = others.compile(&contract.id, &state, contract.from) {
            let _ = contracts::presentation::shape(&compiled, contracts::ids::Verdict::Yes, &[]);
        }
    }
}
