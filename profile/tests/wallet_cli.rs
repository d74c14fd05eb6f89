//! The `wallet` program as its owner runs it: a process, files and a pipe.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use contracts::application::{Answer, Approval, reply_message};
use contracts::encoding::{Bytes, to_base64url};
use contracts::units::UnixTime;
use ed25519_dalek::Signer as _;
use serde_json::Value;

/// As `profile::wallet::GAP_LIMIT`.
const GAP: u64 = 1 << 16;

struct Owner {
    folder: tempfile::TempDir,
    words: String,
}

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wallet"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments reads no input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn error(output: &Output) -> String {
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

impl Owner {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let output = run(&["new", "--state", state.to_str().unwrap()], "");
        assert!(output.status.success());
        let words = String::from_utf8(output.stdout).unwrap();
        assert_eq!(words.split_whitespace().count(), 24);
        Self { folder, words }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command on a state file; the words go in by the pipe and never come out.
    fn run(&self, state: &str, command: &[&str]) -> Output {
        let state = self.path(state);
        let arguments = [command, &["--state", state.to_str().unwrap()]].concat();
        let output = run(&arguments, &self.words);
        for stream in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(stream);
            let shown = self.words.split_whitespace().collect::<Vec<_>>();
            for pair in shown.windows(2) {
                assert!(!text.contains(&pair.join(" ")), "the seed is printed");
            }
        }
        output
    }

    fn leaf(&self, state: &str) -> Value {
        let address = ["address", "--use", "leaf", "--domain", "income"];
        let output = self.run(state, &address);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn ok(&self, state: &str, command: &[&str]) {
        let output = self.run(state, command);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_address_is_a_fresh_key_and_is_found_again() {
    let owner = Owner::new();
    let (first, second) = (owner.leaf("state"), owner.leaf("state"));
    assert_eq!((&first["index"], &second["index"]), (&0.into(), &1.into()));
    assert_eq!(second["path"], "m/1936224304'/1'/2'/1'");
    assert_ne!(first["public"], second["public"]);
    let keys = ["keys", "--use", "leaf", "--domain", "income", "--index"];
    let again = owner.run("state", &[&keys[..], &["1"]].concat());
    assert_eq!(
        serde_json::from_slice::<Value>(&again.stdout).unwrap(),
        second
    );
    let unused = owner.run("state", &[&keys[..], &["2"]].concat());
    assert!(error(&unused).contains("--index 2: not used yet"));
    let mode = owner.path("state").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn processes_at_once_draw_different_keys() {
    let owner = Owner::new();
    let mut drawn: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| owner.leaf("state")["index"].as_u64().unwrap()))
            .collect();
        let drawn = threads.into_iter().map(|thread| thread.join().unwrap());
        drawn.collect()
    });
    drawn.sort_unstable();
    assert_eq!(drawn, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn attack_a_wallet_recovered_from_an_old_backup_does_not_reuse_a_key() {
    let owner = Owner::new();
    owner.leaf("state");
    let backup = text(&owner.path("backup"));
    owner.ok("state", &["backup", "--out", &backup]);
    let later: Vec<_> = (0..3).map(|_| owner.leaf("state")).collect();
    owner.ok("lost", &["recover", "--backup", &backup]);
    let recovered = owner.leaf("lost");
    assert_eq!(recovered["index"].as_u64(), Some(GAP + 1));
    assert!(!later.contains(&recovered));
    // Recovered once more over marks that are higher by now, it goes on from those.
    owner.ok("lost", &["recover", "--backup", &backup]);
    assert_eq!(owner.leaf("lost")["index"].as_u64(), Some(GAP + 2));
}

#[test]
fn attack_a_seed_restored_from_paper_alone_does_not_reuse_a_key() {
    let owner = Owner::new();
    let before = owner.leaf("state");
    owner.ok("paper", &["restore"]);
    let after = owner.leaf("paper");
    assert_eq!(after["index"].as_u64(), Some(GAP));
    assert_ne!(before["public"], after["public"]);
    // The registration's keys are the same.
    let keys = ["keys", "--use", "authorisation", "--domain", "identity"];
    let keys = ["state", "paper"].map(|state| owner.run(state, &keys).stdout);
    assert_eq!(keys[0], keys[1]);
    // A state that exists is not replaced by one that knows less.
    assert!(error(&owner.run("state", &["restore"])).contains("exists"));
}

#[test]
fn attack_a_backup_of_another_seed_or_with_a_byte_changed_is_refused() {
    let (owner, other) = (Owner::new(), Owner::new());
    let backup = owner.path("backup");
    owner.ok("state", &["backup", "--out", &text(&backup)]);
    let recover = ["recover", "--backup", &text(&backup)];
    assert!(error(&other.run("new", &recover)).contains("another seed's"));
    assert!(!other.path("new").exists());

    let whole = std::fs::read(&backup).unwrap();
    let mut edited = whole.clone();
    edited[100] = if edited[100] == b'A' { b'B' } else { b'A' };
    let too_long = [&whole[..], &vec![b'A'; 64 << 10]].concat();
    for (content, problem) in [
        (&edited[..], "was changed"),
        (&whole[..whole.len() - 1], "was cut off"),
        (&whole[..10], "first line"),
        (&too_long, "longer than"),
    ] {
        std::fs::write(&backup, content).unwrap();
        let refused = error(&owner.run("new", &recover));
        assert!(refused.contains(problem), "{refused}");
        assert!(!owner.path("new").exists());
    }
}

#[test]
fn attack_an_old_backup_put_in_the_states_place_is_refused() {
    let owner = Owner::new();
    let backup = owner.path("backup");
    owner.ok("state", &["backup", "--out", &text(&backup)]);
    owner.leaf("state");
    std::fs::copy(&backup, owner.path("state")).unwrap();
    let address = ["address", "--use", "confirmation"];
    assert!(error(&owner.run("state", &address)).contains("first line"));
}

#[test]
fn attack_a_file_of_words_that_others_may_read_is_refused() {
    let owner = Owner::new();
    let path = owner.path("words");
    std::fs::write(&path, &owner.words).unwrap();
    let words = ["address", "--use", "response", "--words", &text(&path)];
    for (mode, taken) in [(0o644, false), (0o640, false), (0o600, true), (0o400, true)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let output = owner.run("state", &words);
        assert_eq!(output.status.success(), taken, "{mode:o}");
        if !taken {
            assert!(error(&output).contains("mode 0600"));
        }
    }
}

#[test]
fn attack_words_on_the_command_line_are_not_taken() {
    let owner = Owner::new();
    let state = text(&owner.path("state"));
    let arguments = ["restore", "--state", &state, owner.words.trim()];
    let output = run(&arguments, "");
    assert_eq!(output.status.code(), Some(2));
    // Wrong words are not repeated either.
    let wrong = run(
        &["restore", "--state", &text(&owner.path("x"))],
        "correct horse battery staple",
    );
    let printed = error(&wrong);
    assert!(
        printed.contains("24") && !printed.contains("horse"),
        "{printed}"
    );
}

#[test]
fn a_use_without_fresh_indexes_or_with_a_wrong_domain_is_refused_by_field() {
    let owner = Owner::new();
    for (arguments, field) in [
        (&["address", "--use", "enrolment"][..], "--use"),
        (&["address", "--use", "leaf"], "--domain"),
        (
            &["address", "--use", "response", "--domain", "income"],
            "--domain",
        ),
    ] {
        assert!(error(&owner.run("state", arguments)).contains(field));
    }
}

#[test]
fn an_approval_is_signed_only_for_a_yes_of_the_notifier() {
    let owner = Owner::new();
    let drawn = owner.run("state", &["address", "--use", "confirmation"]);
    let drawn: Value = serde_json::from_slice(&drawn.stdout).unwrap();
    let notifier = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    let jti = Bytes([7; 32]);
    let signed = |answer: Answer| {
        let message = reply_message(&jti.to_string(), &answer.to_string(), UnixTime(9));
        Approval {
            decision_id: jti,
            answer,
            replied_at: UnixTime(9),
            notifier_signature: Bytes(notifier.sign(message.as_bytes()).to_bytes()),
        }
    };
    let path = owner.path("approval");
    let approve = |approval: &Approval, index: &str| {
        std::fs::write(&path, serde_json::to_vec(approval).unwrap()).unwrap();
        let key = to_base64url(notifier.verifying_key().as_bytes());
        let (audience, approval) = ("us.ca.dhcs", text(&path));
        owner.run(
            "state",
            &[
                "approve",
                "--index",
                index,
                "--audience",
                audience,
                "--approval",
                &approval,
                "--notifier-key",
                &key,
            ],
        )
    };
    let output = approve(&signed(Answer::Yes), "0");
    assert!(output.status.success());
    let proof = String::from_utf8(output.stdout).unwrap();
    let mut parts = proof.trim().split('.');
    let decode = |part: &str| contracts::encoding::from_base64url(part).unwrap();
    let (header, claims) = (parts.next().unwrap(), parts.next().unwrap());
    let signature = decode(parts.next().unwrap());
    let read: Value = serde_json::from_slice(&decode(claims)).unwrap();
    assert_eq!(read["aud"], "us.ca.dhcs");
    assert_eq!(read["approval"], signed(Answer::Yes).hash().to_string());
    let key = decode(drawn["public"]["secp256k1"].as_str().unwrap());
    let digest = <sha2::Sha256 as sha2::Digest>::digest(format!("{header}.{claims}"));
    let verified = secp256k1::SECP256K1.verify_ecdsa(
        &secp256k1::Message::from_digest(digest.into()),
        &secp256k1::ecdsa::Signature::from_compact(&signature).unwrap(),
        &secp256k1::PublicKey::from_slice(&key).unwrap(),
    );
    assert!(verified.is_ok());

    assert!(error(&approve(&signed(Answer::No), "0")).contains("YES"));
    let mut turned = signed(Answer::No);
    turned.answer = Answer::Yes;
    assert!(error(&approve(&turned, "0")).contains("not signed"));
    assert!(error(&approve(&signed(Answer::Yes), "1")).contains("--index 1"));
}
