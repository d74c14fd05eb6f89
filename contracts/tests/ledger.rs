//! Checkpoints, receipts and the trust file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{ISSUER, Keys, ORIGIN, decision, flips};
use contracts::checkpoint::{Checkpoint, CheckpointError};
use contracts::encoding::Bytes;
use contracts::ids::{Committee, Domain};
use contracts::receipt::{Entry, EntryKind, MAX_PATH, Receipt, ReceiptError, commit};
use contracts::trust::{CommitteeKey, MAX_TRUST_BYTES, Suite, Trust, TrustError};
use serde_json::{Value, json};
use signed_note::{Note, StandardVerifier, VerifierList, new_ed25519_verifier_key};

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint {
        origin: ORIGIN.to_owned(),
        size,
        root: Bytes([4; 32]),
    }
}

fn open(keys: &Keys, note: &str) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::open(note, ORIGIN, &keys.ledger.verifying_key())
}

#[test]
fn a_checkpoint_opens_and_any_c2sp_verifier_accepts_it() {
    let keys = Keys::new(1);
    let note = keys.checkpoint(&checkpoint(12));
    assert_eq!(open(&keys, &note), Ok(checkpoint(12)));

    let vkey = new_ed25519_verifier_key(ORIGIN, &keys.ledger.verifying_key());
    let verifiers = VerifierList::new(vec![Box::new(StandardVerifier::new(&vkey).unwrap())]);
    let (verified, _) = Note::from_bytes(note.as_bytes())
        .unwrap()
        .verify(&verifiers)
        .unwrap();
    assert_eq!(verified.len(), 1);
}

#[test]
fn one_changed_or_added_character_in_a_checkpoint_is_refused() {
    let keys = Keys::new(1);
    let note = keys.checkpoint(&checkpoint(12));
    for changed in flips(&note) {
        assert!(open(&keys, &changed).is_err(), "{changed}");
    }
    for at in 0..=note.len() {
        for extra in ["\n", "0", " ", "=", "A"] {
            let (Some(head), Some(tail)) = (note.get(..at), note.get(at..)) else {
                continue;
            };
            assert!(open(&keys, &format!("{head}{extra}{tail}")).is_err());
        }
    }
}

#[test]
fn a_checkpoint_with_extra_lines_is_refused() {
    let keys = Keys::new(1);
    let note = keys.checkpoint(&checkpoint(12));
    let line = note.lines().last().unwrap();
    let refused = |note: String| {
        assert!(
            matches!(open(&keys, &note), Err(CheckpointError::Form(_))),
            "{note}"
        )
    };
    refused(format!("{note}{line}\n"));
    refused(format!("{note}— witness.example AAAAAAAA\n"));
    refused(note.replacen("\n\n", "\nextension\n\n", 1));
    refused(note.trim_end().to_owned());
    refused(String::new());
    assert_eq!(
        open(&keys, &"a".repeat(1025)),
        Err(CheckpointError::TooLarge(1025))
    );
}

#[test]
fn a_checkpoint_in_a_second_spelling_is_refused_though_signed() {
    use ed25519_dalek::Signer;
    let keys = Keys::new(1);
    let key = keys.ledger.verifying_key();
    let note = keys.checkpoint(&checkpoint(12));
    for body in [
        note.replacen("12", "012", 1),
        note.replacen("12", "+12", 1),
        note.replacen("12", "9007199254740992", 1),
    ] {
        let body = body.split_once("\n\n").unwrap().0.to_owned() + "\n";
        let signature = Bytes(keys.ledger.sign(body.as_bytes()).to_bytes());
        let line = checkpoint(12).encode(&key, &signature).unwrap();
        let line = line.split_once("\n\n").unwrap().1;
        let refused = open(&keys, &format!("{body}\n{line}"));
        assert!(
            matches!(refused, Err(CheckpointError::Form(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn another_logs_checkpoint_or_another_key_is_refused() {
    let (keys, other) = (Keys::new(1), Keys::new(2));
    let note = other.checkpoint(&checkpoint(12));
    assert_eq!(open(&keys, &note), Err(CheckpointError::Key));
    let mut elsewhere = checkpoint(12);
    elsewhere.origin = "ledger.example/fork".to_owned();
    let refused = open(&keys, &keys.checkpoint(&elsewhere));
    assert!(matches!(refused, Err(CheckpointError::Origin { .. })));
    let signature = Bytes([0; 64]);
    let unsigned = checkpoint(12).encode(&keys.ledger.verifying_key(), &signature);
    assert_eq!(
        open(&keys, &unsigned.unwrap()),
        Err(CheckpointError::Signature)
    );
}

#[test]
fn an_origin_that_is_no_key_name_is_not_encoded() {
    let keys = Keys::new(1);
    for origin in ["", "a b", "a+b", "a\nb", "é"] {
        let mut checkpoint = checkpoint(1);
        checkpoint.origin = origin.to_owned();
        let encoded = checkpoint.encode(&keys.ledger.verifying_key(), &Bytes([0; 64]));
        assert!(encoded.is_err(), "{origin:?}");
    }
}

fn entry(keys: &Keys) -> Entry {
    Entry::new(EntryKind::Decision, &Bytes([9; 32]), &decision(keys))
}

#[test]
fn every_place_in_the_log_gives_a_receipt_that_verifies_offline() {
    let keys = Keys::new(1);
    for (index, later) in [(0, 0), (0, 6), (5, 0), (5, 7), (7, 1)] {
        let receipt = keys.receipt(index, entry(&keys), later);
        let state = receipt.verify(&keys.trust()).unwrap();
        assert_eq!(state.size, index + 1 + later);
    }
}

#[test]
fn an_altered_receipt_is_refused() {
    let keys = Keys::new(1);
    let good = keys.receipt(5, entry(&keys), 7);
    let refused = |change: &dyn Fn(&mut Receipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        receipt.verify(&keys.trust()).unwrap_err()
    };
    use ReceiptError::Inclusion;
    assert_eq!(refused(&|r| r.index = 4), Inclusion);
    assert_eq!(refused(&|r| r.index = 13), Inclusion);
    assert_eq!(refused(&|r| r.entry.kind = EntryKind::Approval), Inclusion);
    assert_eq!(refused(&|r| r.entry.commitment.0[31] ^= 1), Inclusion);
    assert_eq!(refused(&|r| r.path[0].0[0] ^= 1), Inclusion);
    assert_eq!(refused(&|r| r.path.swap(0, 1)), Inclusion);
    assert_eq!(refused(&|r| r.path.truncate(r.path.len() - 1)), Inclusion);
    assert_eq!(refused(&|r| r.path.push(Bytes([0; 32]))), Inclusion);
    assert_eq!(
        refused(&|r| r.path = vec![Bytes([0; 32]); MAX_PATH + 1]),
        ReceiptError::TooLong
    );
    let of_another_log = Keys::new(2).receipt(5, entry(&keys), 7).checkpoint;
    assert_eq!(
        refused(&|r| r.checkpoint = of_another_log.clone()),
        ReceiptError::Checkpoint(CheckpointError::Key)
    );
}

#[test]
fn entries_have_one_encoding() {
    let keys = Keys::new(1);
    for kind in EntryKind::ALL {
        let entry = Entry {
            kind,
            ..entry(&keys)
        };
        let bytes = entry.to_cbor();
        assert_eq!(Entry::from_cbor(&bytes), Ok(entry));
        assert_eq!(json!(kind), json!(kind.as_str()));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_ne!(Entry::from_cbor(&changed), Ok(entry));
        }
    }
    let bytes = entry(&keys).to_cbor();
    let trailing = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Entry::from_cbor(&trailing), Err(ReceiptError::Entry));
    // The head of the array, 0x83, as one byte of length, 0x98 0x03: valid CBOR, not deterministic.
    let long_head = [&[0x98, 0x03], &bytes[1..]].concat();
    assert_eq!(Entry::from_cbor(&long_head), Err(ReceiptError::Entry));
    assert_eq!(
        Entry::from_cbor(&vec![0x81; 4096]),
        Err(ReceiptError::Entry)
    );
}

#[test]
fn a_commitment_depends_on_kind_salt_and_payload() {
    let salt = Bytes([1; 32]);
    let one = commit(EntryKind::Decision, &salt, &json!({"a": 1}));
    assert_eq!(one, commit(EntryKind::Decision, &salt, &json!({"a": 1})));
    assert_ne!(one, commit(EntryKind::Approval, &salt, &json!({"a": 1})));
    assert_ne!(
        one,
        commit(EntryKind::Decision, &Bytes([2; 32]), &json!({"a": 1}))
    );
    assert_ne!(one, commit(EntryKind::Decision, &salt, &json!({"a": 2})));
}

#[test]
fn a_trust_file_round_trips() {
    let trust = Keys::new(1).trust();
    let json = serde_json::to_vec_pretty(&trust).unwrap();
    assert_eq!(Trust::parse(&json), Ok(trust.clone()));
    for domain in Domain::ALL {
        assert!(trust.fact_key(domain, 1).is_some());
        assert!(
            trust.fact_key(domain, 2).is_none(),
            "an epoch that is not trusted"
        );
    }
    assert_eq!(trust.decision_keys(), Keys::new(1).jwks());
}

#[test]
fn a_trust_file_that_says_too_little_too_much_or_twice_is_refused() {
    let keys = Keys::new(1);
    let json = serde_json::to_value(keys.trust()).unwrap();
    let refuse = |change: &dyn Fn(&mut Value), names: &str| {
        let mut changed = json.clone();
        change(&mut changed);
        let error = Trust::parse(changed.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains(names), "{error}");
    };
    refuse(&|t| t["version"] = json!(2), "version");
    refuse(&|t| t["issuer"] = json!(""), "issuer");
    refuse(&|t| t["issuer"] = json!("a".repeat(257)), "issuer");
    for origin in ["", "a b", "a+b", "a\nb", "é", &"a".repeat(257)] {
        refuse(&|t| t["origin"] = json!(origin), "origin");
    }
    refuse(&|t| t["ledger_key"] = json!(Bytes([0u8; 32])), "ledger_key");
    refuse(&|t| t["extra"] = json!(1), "unknown field");
    refuse(&|t| t["committees"][0]["extra"] = json!(1), "unknown field");
    refuse(
        &|t| t["committees"][0]["key"] = json!("AAAA"),
        "not a public key",
    );
    refuse(
        &|t| t["committees"][0]["suite"] = json!(Suite::Ed25519),
        "signs with",
    );
    refuse(
        &|t| t["committees"][0]["committee"] = json!("ledger"),
        "ledger_key",
    );
    refuse(
        &|t| t["committees"][1] = t["committees"][0].clone(),
        "two keys",
    );
    refuse(
        &|t| t["committees"] = json!(vec![t["committees"][0].clone(); 257]),
        "more than 256",
    );
    for name in ["version", "issuer", "origin", "ledger_key", "committees"] {
        refuse(
            &|t| drop(t.as_object_mut().unwrap().remove(name)),
            "missing field",
        );
    }
    let large = vec![b' '; MAX_TRUST_BYTES + 1];
    assert_eq!(
        Trust::parse(&large),
        Err(TrustError::TooLarge(MAX_TRUST_BYTES + 1))
    );
}

#[test]
fn a_weak_ledger_key_cannot_be_trusted() {
    let weak = ed25519_dalek::VerifyingKey::from_bytes(&[0; 32]).unwrap();
    let trust = Trust::new(ISSUER.into(), ORIGIN.into(), weak, Vec::new());
    assert_eq!(trust, Err(TrustError::LedgerKey));
    let decision = CommitteeKey::decision(1, &weak);
    let ledger = Keys::new(1).ledger.verifying_key();
    let trust = Trust::new(ISSUER.into(), ORIGIN.into(), ledger, vec![decision]);
    assert!(matches!(
        trust,
        Err(TrustError::Key {
            committee: Committee::Decision,
            ..
        })
    ));
}

#[test]
fn wire_formats_of_the_ledger() {
    let keys = Keys::new(1);
    insta::assert_snapshot!("checkpoint", keys.checkpoint(&checkpoint(12)));
    insta::assert_snapshot!("entry_cbor", hex::encode(entry(&keys).to_cbor()));
    insta::assert_json_snapshot!("receipt", keys.receipt(2, entry(&keys), 3));
    insta::assert_json_snapshot!("trust", keys.trust());
}
