//! `profile rewrap` as an operator runs it: processes that are killed, key files, a database of many seeds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use contracts::encoding::{Bytes32, to_base64url};
use contracts::units::UnixTime;
use oracles::db;
use profile::seal::SealKey;
use profile::store::operator::key_id;
use profile::store::profiles::insert_profile;
use profile::store::{NewProfile, OperatorError, Store};
use profile::wallet::Entropy;
use sqlx::Row as _;
use zeroize::Zeroizing;

const SEEDS: u32 = 1_200;
const OLD: u8 = 1;
const NEW: u8 = 2;
const OTHER: u8 = 3;

fn key(byte: u8) -> SealKey {
    SealKey::new(Zeroizing::new([byte; 32]))
}

struct Hosted {
    folder: tempfile::TempDir,
    url: String,
    store: Store,
    seed: Entropy,
}

impl Hosted {
    /// A database of so many profiles, all of one seed, which is costly to stretch.
    async fn new(profiles: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = db::sqlite_url(&folder.path().join("profile.db"));
        let store = Store::open(&url).await.unwrap();
        store.operator_root(&key(OLD)).await.unwrap();
        let seed = Entropy::generate();
        let mut tx = store.begin().await.unwrap();
        for number in 0..profiles {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&number.to_be_bytes());
            let profile = Bytes32::from(id);
            let new = NewProfile {
                profile,
                token_hash: profile,
                seed: &seed.seal(&key(OLD), &profile.to_string()),
                seed_key: &key_id(&key(OLD)),
                enrol_id: profile,
                created_at: UnixTime(0),
            };
            insert_profile(&mut tx, &new).await.unwrap();
        }
        tx.commit().await.unwrap();
        for byte in [OLD, NEW, OTHER] {
            let path = folder.path().join(byte.to_string());
            std::fs::write(path, to_base64url([byte; 32])).unwrap();
        }
        Self {
            folder,
            url,
            store,
            seed,
        }
    }

    fn file(&self, byte: u8) -> PathBuf {
        self.folder.path().join(byte.to_string())
    }

    fn command(&self, old: u8, new: u8) -> Command {
        self.command_on(&self.url, old, new)
    }

    fn command_on(&self, url: &str, old: u8, new: u8) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_profile"));
        command
            .arg("rewrap")
            .args(["--database", url])
            .args([Path::new("--old-key"), &self.file(old)])
            .args([Path::new("--new-key"), &self.file(new)])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn refused(&self, old: u8, new: u8) -> String {
        let output = self.command(old, new).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    async fn seeds(&self) -> Vec<(String, String)> {
        let pool = db::connect(&self.url).await.unwrap();
        let rows = sqlx::query("SELECT profile, seed FROM profile ORDER BY profile");
        let rows = rows.fetch_all(&pool).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Seeds that open under a key.
    async fn opened(&self, byte: u8) -> u32 {
        let seeds = self.seeds().await;
        let opened = seeds.iter().filter(|(profile, sealed)| {
            Entropy::open(&key(byte), profile, sealed)
                .is_ok_and(|seed| seed.seed() == self.seed.seed())
        });
        u32::try_from(opened.count()).unwrap()
    }
}

fn moved(output: Output) -> u32 {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_rewrap_killed_half_way_goes_on_and_loses_no_seed() {
    let hosted = Hosted::new(SEEDS).await;
    let mut half_way = 0;
    for _ in 0..4 {
        let before = hosted.opened(NEW).await;
        let mut child = hosted.command(OLD, NEW).spawn().unwrap();
        // Until it has moved something, or is done.
        while hosted.opened(NEW).await == before && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (old, new) = (hosted.opened(OLD).await, hosted.opened(NEW).await);
        assert_eq!(old + new, SEEDS);
        if old > 0 && new > 0 {
            half_way += 1;
            // No service starts on a mixture, with either key.
            for byte in [OLD, NEW] {
                let root = hosted.store.operator_root(&key(byte)).await;
                assert!(matches!(root, Err(OperatorError::Unfinished)));
            }
            assert!(hosted.refused(OLD, OTHER).contains("--new-key"));
            assert!(hosted.refused(OTHER, NEW).contains("--old-key"));
        }
    }
    assert!(half_way > 0, "no process was killed half-way");
    let left = hosted.opened(OLD).await;
    assert_eq!(moved(hosted.command(OLD, NEW).output().unwrap()), left);
    assert_eq!(hosted.opened(NEW).await, SEEDS);
    // Once more changes nothing.
    assert_eq!(moved(hosted.command(OLD, NEW).output().unwrap()), 0);
}

#[tokio::test]
async fn tokens_and_salts_stay_when_the_operator_key_changes() {
    let hosted = Hosted::new(3).await;
    let before = hosted.store.operator_root(&key(OLD)).await.unwrap();
    assert_eq!(hosted.store.rewrap(&key(OLD), &key(NEW)).await.unwrap(), 3);
    assert_eq!(
        hosted.store.rewrap(&key(NEW), &key(OTHER)).await.unwrap(),
        3
    );
    let after = hosted.store.operator_root(&key(OTHER)).await.unwrap();
    assert_eq!(before.derive("use", b"id"), after.derive("use", b"id"));
    for byte in [OLD, NEW] {
        let root = hosted.store.operator_root(&key(byte)).await;
        assert!(matches!(root, Err(OperatorError::Wrong)));
    }
}

#[tokio::test]
async fn attack_a_rewrap_from_a_wrong_key_changes_no_seed() {
    let hosted = Hosted::new(3).await;
    let before = hosted.seeds().await;
    assert!(
        hosted
            .refused(OTHER, NEW)
            .contains("--old-key: not the key")
    );
    assert!(hosted.refused(OLD, OLD).contains("--new-key"));
    let mut elsewhere = hosted.command_on("sqlite:no-such-file.db", OLD, NEW);
    let refused = String::from_utf8(elsewhere.output().unwrap().stderr).unwrap();
    assert!(refused.contains("--database: no such file"), "{refused}");
    std::fs::write(hosted.file(OLD), "short").unwrap();
    assert!(hosted.refused(OLD, NEW).contains("--old-key"));
    assert_eq!(hosted.seeds().await, before);
    hosted.store.operator_root(&key(OLD)).await.unwrap();
}

#[tokio::test]
async fn attack_a_database_of_an_earlier_version_is_not_taken_up_by_another_key() {
    let hosted = Hosted::new(3).await;
    let pool = db::connect(&hosted.url).await.unwrap();
    for sql in [
        "UPDATE profile SET seed_key = NULL",
        "DELETE FROM operator_key",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    let root = hosted.store.operator_root(&key(OTHER)).await;
    assert!(matches!(root, Err(OperatorError::Wrong)));
    assert_eq!(moved(hosted.command(OLD, NEW).output().unwrap()), 3);
    assert_eq!(hosted.opened(NEW).await, 3);
}

#[tokio::test]
async fn a_damaged_seed_is_named_and_keeps_no_other_from_being_moved() {
    let hosted = Hosted::new(3).await;
    let damaged = hosted.seeds().await[1].clone();
    let set = |seed: String| {
        let (url, profile) = (hosted.url.clone(), damaged.0.clone());
        async move {
            let pool = db::connect(&url).await.unwrap();
            sqlx::query("UPDATE profile SET seed = $1 WHERE profile = $2")
                .bind(seed)
                .bind(profile)
                .execute(&pool)
                .await
                .unwrap();
        }
    };
    set("AAAA".to_owned()).await;
    assert!(hosted.refused(OLD, NEW).contains(&damaged.0));
    assert_eq!(hosted.opened(NEW).await, 2);
    set(damaged.1.clone()).await;
    assert_eq!(moved(hosted.command(OLD, NEW).output().unwrap()), 1);
}

#[tokio::test]
async fn attack_a_seed_restored_from_words_is_hosted_once_and_reuses_no_key() {
    let hosted = Hosted::new(1).await;
    let words = hosted.folder.path().join("words");
    std::fs::write(&words, hosted.seed.words().as_str()).unwrap();
    let restore = || {
        Command::new(env!("CARGO_BIN_EXE_profile"))
            .arg("restore")
            .args(["--database", &hosted.url])
            .args([Path::new("--operator-key"), &hosted.file(OLD)])
            .args([Path::new("--words"), &words])
            .output()
            .unwrap()
    };
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |mode| std::fs::set_permissions(&words, std::fs::Permissions::from_mode(mode));
    mode(0o644).unwrap();
    assert!(!restore().status.success());
    mode(0o600).unwrap();
    let output = restore();
    assert!(output.status.success(), "{output:?}");
    let restored: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let profile = restored["profile"].as_str().unwrap();
    let pool = db::connect(&hosted.url).await.unwrap();
    let marks = sqlx::query("SELECT MIN(next), COUNT(*) FROM wallet_mark WHERE profile = $1")
        .bind(profile)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(marks.get::<i64, _>(0), 1 << 16);
    assert_eq!(marks.get::<i64, _>(1), 9, "one for each use");
    let again = restore();
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("already"));
}

#[tokio::test]
async fn marks_are_skipped_for_all_when_the_operator_says_so() {
    let hosted = Hosted::new(1).await;
    let skip = |gap: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_profile"));
        command.args(["skip-marks", "--gap", gap]);
        command.env("DATABASE_URL", &hosted.url).output().unwrap()
    };
    assert!(skip("100").status.success());
    assert!(skip("20").status.success());
    assert!(!skip("-1").status.success());
    let pool = db::connect(&hosted.url).await.unwrap();
    let row = sqlx::query("SELECT skipped FROM wallet_skip");
    let skipped: i64 = row.fetch_one(&pool).await.unwrap().get(0);
    assert_eq!(skipped, 120);
}
