//! Following a committee from one epoch to the next: what is followed, and everything that is not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/issue.rs"]
mod issue;

use common::Keys;
use contracts::checkpoint::CheckpointError;
use contracts::encoding::{Blob, Bytes};
use contracts::epoch::{
    EpochChange, EpochError, EpochKey, EpochStatement, MAX_KEYS, MAX_MEMBERS, MIN_MEMBERS,
};
use contracts::ids::{Committee, NodeId, quorum};
use contracts::receipt::{Entry, EntryKind, ReceiptError};
use contracts::trust::{CommitteeKey, MAX_COMMITTEE_KEYS, Suite, Trust, TrustError};
use ed25519_dalek::Signer;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

fn nodes(ids: impl IntoIterator<Item = u16>) -> Vec<NodeId> {
    ids.into_iter().map(|id| NodeId::new(id).unwrap()).collect()
}

/// The committee's group key as the trust file has it.
fn group(keys: &Keys, committee: Committee) -> Blob {
    match committee {
        Committee::Ledger => Blob(keys.ledger.verifying_key().as_bytes().to_vec()),
        _ => keys
            .trust()
            .committee_key(committee, 1)
            .unwrap()
            .key
            .clone(),
    }
}

/// The change to `epoch`: node 2 leaves, node 5 comes.
fn statement(keys: &Keys, committee: Committee, epoch: u64) -> EpochStatement {
    EpochStatement {
        version: 1,
        committee,
        epoch,
        previous: epoch - 1,
        former: nodes([1, 2, 3, 4]),
        members: nodes([1, 3, 4, 5]),
        threshold: quorum(4),
        keys: vec![EpochKey {
            key: committee.as_str().to_owned(),
            suite: Suite::of(committee).to_string(),
            group: group(keys, committee),
            shares: vec![Blob(vec![2; 33]); 4],
        }],
        transcript: Bytes([3; 32]),
    }
}

/// A signature under the committee's key, whatever the statement says.
fn sign(keys: &Keys, committee: Committee, message: &[u8; 32]) -> Blob {
    let domain = match committee {
        Committee::Ledger => return Blob(keys.ledger.sign(message).to_vec()),
        Committee::Decision => return Blob(keys.decision.sign(message).to_vec()),
        _ => committee.domain().unwrap(),
    };
    let (_, key) = keys.facts.iter().find(|(of, _)| *of == domain).unwrap();
    let signature = key.sign(StdRng::seed_from_u64(1), message);
    Blob(signature.serialize().unwrap())
}

/// The change with signature and receipt, as a whole committee and ledger would make them for any statement.
fn enter(keys: &Keys, statement: EpochStatement) -> EpochChange {
    EpochChange {
        signature: sign(keys, statement.committee, &statement.message()),
        receipt: Some(keys.receipt(5, statement.entry(), 7)),
        statement,
    }
}

fn change(keys: &Keys, committee: Committee, epoch: u64) -> EpochChange {
    enter(keys, statement(keys, committee, epoch))
}

/// The error with which a change is not followed; trust stays what it was.
fn refused(keys: &Keys, change: &EpochChange) -> EpochError {
    let mut trust = keys.trust();
    let error = trust.follow(change).unwrap_err();
    assert_eq!(trust, keys.trust(), "{error}");
    error
}

#[test]
fn every_committee_is_followed_through_two_epochs_and_twice_is_as_once() {
    let keys = Keys::new(1);
    for committee in Committee::ALL {
        let mut trust = keys.trust();
        let [second, third] = [2, 3].map(|epoch| change(&keys, committee, epoch));
        let skipped = trust.follow(&third).is_ok();
        assert_eq!(skipped, committee == Committee::Ledger);
        for change in [&second, &third, &second, &third] {
            assert_eq!(trust.follow(change), Ok(()), "{committee}");
        }
        if committee == Committee::Ledger {
            // Its key has no epoch in a trust file.
            assert_eq!(trust, keys.trust());
            continue;
        }
        let mut expected = keys.trust().committees().to_vec();
        let first = keys.trust().committee_key(committee, 1).unwrap().clone();
        expected.extend([2, 3].map(|epoch| CommitteeKey {
            epoch,
            ..first.clone()
        }));
        assert_eq!(trust.committees(), expected, "{committee}");
        assert_eq!(trust.ledger_key(), keys.trust().ledger_key());
    }
}

#[test]
fn attack_a_change_that_the_committee_did_not_sign() {
    let (keys, stranger) = (Keys::new(1), Keys::new(2));
    for committee in Committee::ALL {
        let good = change(&keys, committee, 2);
        let mut signatures: Vec<Blob> = (0..good.signature.0.len())
            .map(|byte| {
                let mut signature = good.signature.clone();
                signature.0[byte] ^= 1 << (byte % 8);
                signature
            })
            .collect();
        let message = good.statement.message();
        signatures.push(sign(&stranger, committee, &message));
        signatures.push(sign(
            &keys,
            committee,
            &change(&keys, committee, 3).statement.message(),
        ));
        for other in Committee::ALL
            .into_iter()
            .filter(|other| *other != committee)
        {
            signatures.push(sign(&keys, other, &message));
        }
        signatures.push(Blob(Vec::new()));
        signatures.push(Blob([good.signature.0.as_slice(), &[0]].concat()));
        for signature in signatures {
            let forged = EpochChange {
                signature,
                ..good.clone()
            };
            let unsigned = EpochError::Signature {
                committee,
                epoch: 2,
            };
            assert_eq!(refused(&keys, &forged), unsigned);
        }
    }
}

#[test]
fn attack_a_change_that_brings_in_another_group_key() {
    // Signed by the old key and entered: a quorum cannot hand the committee's name to another key.
    let (keys, other) = (Keys::new(1), Keys::new(2));
    for committee in Committee::ALL {
        let mut taken = statement(&keys, committee, 2);
        taken.keys[0].group = group(&other, committee);
        let untrusted = EpochError::Untrusted {
            committee,
            previous: 1,
        };
        assert_eq!(refused(&keys, &enter(&keys, taken.clone())), untrusted);
        // Nor does it help that the new key signs.
        let mut change = enter(&other, taken);
        change.receipt = Some(keys.receipt(5, change.statement.entry(), 7));
        assert_eq!(refused(&keys, &change), untrusted);
    }
}

#[test]
fn attack_a_change_that_leaves_an_epoch_out_or_comes_from_one_that_is_not_trusted() {
    let keys = Keys::new(1);
    for committee in Committee::ALL
        .into_iter()
        .filter(|one| *one != Committee::Ledger)
    {
        for epoch in [3, 9, u64::MAX] {
            let untrusted = EpochError::Untrusted {
                committee,
                previous: epoch - 1,
            };
            assert_eq!(refused(&keys, &change(&keys, committee, epoch)), untrusted);
        }
    }
    // A committee that the trust file does not name has no epoch to come from.
    let [one, rest @ ..] = keys
        .trust()
        .committees()
        .to_vec()
        .try_into()
        .unwrap_or_else(|all: Vec<CommitteeKey>| -> [CommitteeKey; 6] {
            panic!("{} keys", all.len())
        });
    let mut trust = Trust::new(
        keys.trust().issuer().to_owned(),
        keys.trust().origin().to_owned(),
        *keys.trust().ledger_key(),
        rest.to_vec(),
    )
    .unwrap();
    let error = trust.follow(&change(&keys, one.committee, 2)).unwrap_err();
    assert!(matches!(error, EpochError::Untrusted { previous: 1, .. }));
}

#[test]
fn attack_a_change_verified_under_a_key_of_another_committee_or_epoch() {
    let keys = Keys::new(1);
    let change = change(&keys, Committee::Income, 2);
    let key = keys
        .trust()
        .committee_key(Committee::Income, 1)
        .unwrap()
        .clone();
    let statement = &change.statement;
    assert_eq!(statement.verify(&key, &change.signature), Ok(()));
    let later = CommitteeKey {
        epoch: 2,
        ..key.clone()
    };
    let other = CommitteeKey {
        committee: Committee::Medical,
        ..key
    };
    for key in [later, other] {
        let refused = statement.verify(&key, &change.signature);
        assert!(matches!(refused, Err(EpochError::Untrusted { .. })));
    }
}

#[test]
fn attack_a_change_that_is_not_in_the_ledger() {
    let (keys, other) = (Keys::new(1), Keys::new(2));
    for committee in Committee::ALL {
        let cause = |edit: &dyn Fn(&mut EpochChange)| {
            let mut change = change(&keys, committee, 2);
            edit(&mut change);
            match refused(&keys, &change) {
                EpochError::Receipt { cause, .. } => cause,
                error => panic!("{error}"),
            }
        };
        let entry = |epoch| change(&keys, committee, epoch).statement.entry();
        let inclusion = ReceiptError::Inclusion;
        assert_eq!(cause(&|it| it.receipt = None), inclusion);
        let of_another = |it: &mut EpochChange| it.receipt = Some(keys.receipt(5, entry(3), 7));
        assert_eq!(cause(&of_another), inclusion);
        let as_another_kind = |it: &mut EpochChange| {
            let kind = EntryKind::Contract;
            let entry = Entry { kind, ..entry(2) };
            it.receipt = Some(keys.receipt(5, entry, 7));
        };
        assert_eq!(cause(&as_another_kind), inclusion);
        let salted = |it: &mut EpochChange| {
            let entry = Entry::new(EntryKind::CommitteeKey, &Bytes([1; 32]), &it.statement);
            it.receipt = Some(keys.receipt(5, entry, 7));
        };
        assert_eq!(cause(&salted), inclusion);
        let moved = |it: &mut EpochChange| it.receipt.as_mut().unwrap().index += 1;
        assert_eq!(cause(&moved), inclusion);
        let elsewhere = |it: &mut EpochChange| it.receipt = Some(other.receipt(5, entry(2), 7));
        let log = ReceiptError::Checkpoint(CheckpointError::Key);
        assert_eq!(cause(&elsewhere), log);
    }
}

#[test]
fn attack_a_signed_statement_that_says_what_cannot_be() {
    let keys = Keys::new(1);
    let said = |edit: &dyn Fn(&mut EpochStatement)| {
        let mut statement = statement(&keys, Committee::Income, 2);
        edit(&mut statement);
        refused(&keys, &enter(&keys, statement)).to_string()
    };
    for version in [0, 2] {
        assert!(said(&|it| it.version = version).contains("version"));
    }
    let epochs = "the epoch does not follow the one before";
    for (previous, epoch) in [(1, 1), (1, 3), (1, 0)] {
        let told = said(&|it| (it.previous, it.epoch) = (previous, epoch));
        assert!(told.contains(epochs), "{told}");
    }
    let mut first = statement(&keys, Committee::Ledger, 2);
    (first.previous, first.epoch) = (0, 1);
    let told = refused(&keys, &enter(&keys, first)).to_string();
    assert!(told.contains(epochs), "{told}");
    let members = "members: not 3 to 32 in ascending order";
    let fewest = nodes(1..MIN_MEMBERS as u16);
    let most = nodes(1..=MAX_MEMBERS as u16 + 1);
    for wrong in [
        vec![],
        fewest,
        most,
        nodes([1, 3, 2, 4]),
        nodes([1, 2, 2, 4]),
    ] {
        let told = said(&|it| it.former = wrong.clone());
        assert!(told.contains(members), "{told}");
        let told = said(&|it| {
            it.members = wrong.clone();
            it.threshold = quorum(wrong.len() as u16);
            it.keys[0].shares = vec![Blob(vec![2; 33]); wrong.len()];
        });
        assert!(told.contains(members), "{told}");
    }
    for threshold in [0, 1, quorum(4) - 1, quorum(4) + 1, u16::MAX] {
        let told = said(&|it| it.threshold = threshold);
        assert!(told.contains("threshold"), "{told}");
    }
    let few = "keys: none, too many, or not a share for each member";
    assert!(said(&|it| it.keys.clear()).contains(few));
    let many = |it: &mut EpochStatement| {
        for index in 0..MAX_KEYS {
            let mut key = it.keys[0].clone();
            key.key = format!("other-{index}");
            it.keys.push(key);
        }
    };
    assert!(said(&many).contains(few));
    assert!(said(&|it| drop(it.keys[0].shares.pop())).contains(few));
    let one_more = |it: &mut EpochStatement| it.keys[0].shares.push(Blob(vec![2; 33]));
    assert!(said(&one_more).contains(few));
    let missing = "keys: the committee's signing key is missing";
    assert!(said(&|it| it.keys[0].key = "medical".to_owned()).contains(missing));
    let suite = Suite::Ed25519.to_string();
    assert!(said(&|it| it.keys[0].suite = suite.clone()).contains(missing));
}

#[test]
fn attack_two_keys_of_one_name_of_which_readers_may_take_different_ones() {
    let (keys, other) = (Keys::new(1), Keys::new(2));
    let mut twice = statement(&keys, Committee::Identity, 2);
    let mut second = twice.keys[0].clone();
    second.group = group(&other, Committee::Identity);
    twice.keys.push(second);
    let error = refused(&keys, &enter(&keys, twice)).to_string();
    assert!(error.contains("two of one name"), "{error}");
}

/// Every change to one scalar in a document, by a bit or a step.
fn scalars(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                scalars(field, &format!("{path}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                scalars(item, &format!("{path}/{index}"), found);
            }
        }
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            found.push((path.to_owned(), json!(number + 1)));
        }
        Value::String(text) => found.extend(
            common::flips(text)
                .step_by(7)
                .map(|changed| (path.to_owned(), json!(changed))),
        ),
        _ => {}
    }
}

#[test]
fn attack_one_field_of_a_signed_change_altered() {
    let keys = Keys::new(1);
    let good = serde_json::to_value(change(&keys, Committee::Income, 2)).unwrap();
    let mut found = Vec::new();
    scalars(&good, "", &mut found);
    assert!(found.len() > 60, "{}", found.len());
    for (path, wrong) in found {
        let mut changed = good.clone();
        *changed.pointer_mut(&path).unwrap() = wrong.clone();
        let Ok(changed) = serde_json::from_value::<EpochChange>(changed) else {
            continue;
        };
        let mut trust = keys.trust();
        assert!(trust.follow(&changed).is_err(), "{wrong} at {path}");
        assert_eq!(trust, keys.trust());
    }
    for extra in ["", "/statement", "/statement/keys/0", "/receipt"] {
        let mut changed = good.clone();
        let object = changed.pointer_mut(extra).unwrap().as_object_mut().unwrap();
        object.insert("more".to_owned(), json!(1));
        assert!(serde_json::from_value::<EpochChange>(changed).is_err());
    }
}

#[test]
fn a_trust_file_that_is_full_takes_no_more() {
    let keys = Keys::new(1);
    let mut committees = keys.trust().committees().to_vec();
    let income = keys
        .trust()
        .committee_key(Committee::Income, 1)
        .unwrap()
        .clone();
    for epoch in 100.. {
        if committees.len() == MAX_COMMITTEE_KEYS {
            break;
        }
        committees.push(CommitteeKey {
            epoch,
            ..income.clone()
        });
    }
    let full = Trust::new(
        keys.trust().issuer().to_owned(),
        keys.trust().origin().to_owned(),
        *keys.trust().ledger_key(),
        committees,
    )
    .unwrap();
    let mut trust = full.clone();
    let error = trust.follow(&change(&keys, Committee::Income, 2));
    assert_eq!(error, Err(EpochError::Trust(TrustError::TooMany)));
    assert_eq!(trust, full);
}

/// Runs `rules audit` with a file of changes, if any; its exit code and what it said.
fn command(bundle: &[u8], trust: &Trust, changes: Option<&[u8]>) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rules"));
    command.arg("audit").arg(write("bundle.json", bundle));
    let trust = serde_json::to_vec(trust).unwrap();
    command.arg("--trust").arg(write("trust.json", &trust));
    if let Some(changes) = changes {
        command.arg("--epochs").arg(write("epochs.json", changes));
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

#[test]
fn a_bundle_of_the_next_epoch_audits_with_the_changes_and_not_without() {
    let mut keys = Keys::new(1);
    keys.epoch = 2;
    let bundle = issue::bundle(&keys, issue::present(&keys, 61_237), |_| ()).to_bytes();
    let trust = keys.trust();
    let (code, said) = command(&bundle, &trust, None);
    assert!(code == 1 && said.contains("epoch"), "{code} {said}");

    let mut changes: Vec<EpochChange> = Committee::ALL
        .map(|committee| change(&keys, committee, 2))
        .to_vec();
    // In whatever order the file has them.
    changes.reverse();
    let file = serde_json::to_vec(&changes).unwrap();
    let (code, said) = command(&bundle, &trust, Some(&file));
    assert_eq!(code, 0, "{said}");

    // One that does not follow makes the whole file no evidence.
    changes[0].signature.0[7] ^= 1;
    let file = serde_json::to_vec(&changes).unwrap();
    let (code, said) = command(&bundle, &trust, Some(&file));
    assert!(code == 2 && said.contains("epochs.json"), "{code} {said}");
    let many = vec![change(&keys, Committee::Income, 2); 257];
    let (code, said) = command(&bundle, &trust, Some(&serde_json::to_vec(&many).unwrap()));
    assert!(code == 2 && said.contains("256"), "{code} {said}");
}
