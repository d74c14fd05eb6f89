//! What is lost comes back, and no key is used twice.

use std::collections::BTreeSet;
use std::path::Path;

use contracts::encoding::Bytes32;
use contracts::presentation::Presentation;
use oracles::db::sqlite_url;
use zeroize::Zeroizing;

use crate::api::types::{CreatedProfile, Outcome, Profile, State};
use crate::restore::restore;
use crate::seal::SealKey;
use crate::store::Store;
use crate::testing::{Owner, World, parse};
use crate::wallet::{Entropy, GAP_LIMIT, Marks};

/// The holder key of every leaf that was shown, and the key that the token is bound to.
fn keys(shown: &Presentation) -> BTreeSet<String> {
    let leaves = shown.attestations.iter();
    let holders = leaves.map(|presented| format!("{:?}", presented.attestation.leaf.key));
    holders.chain([format!("{:?}", shown.cnf)]).collect()
}

/// Asks a question and returns what was shown for it.
async fn shown(world: &World, owner: &Owner, key: &str) -> Presentation {
    let question = world.ask(owner, key).await.question;
    let done = world.until(owner, &question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    world.shown().pop().unwrap()
}

#[actix_web::test]
async fn attack_a_database_put_back_to_a_backup_shows_no_key_twice() {
    let folder = tempfile::tempdir().unwrap();
    let marks = folder.path().join("marks");
    let mut world = World::with(|config| config.marks = Some(marks)).await;
    let database = world.store.url.clone();
    let Some(file) = database.strip_prefix("sqlite:").map(Path::new) else {
        // Postgres is put back by tools of its own; what follows is the same.
        return world.end().await;
    };
    let owner = world.owner("987-65-4601").await;
    let backup = folder.path().join("backup.db");
    let copy = format!("VACUUM INTO '{}'", backup.display());
    sqlx::query(sqlx::AssertSqlSafe(copy))
        .execute(world.store.store.pool())
        .await
        .unwrap();
    let lost = shown(&world, &owner, "lost").await;

    // While nothing is connected to it, the older file takes the newer one's place.
    world
        .move_to(sqlite_url(&folder.path().join("elsewhere.db")))
        .await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
    std::fs::copy(&backup, file).unwrap();
    world.move_to(database).await;

    let after = shown(&world, &owner, "after").await;
    assert_eq!(keys(&lost).intersection(&keys(&after)).count(), 0);
    assert_eq!(lost.pseudonym, after.pseudonym);
    world.end().await;
}

#[actix_web::test]
async fn a_profile_restored_from_words_alone_is_the_same_person_with_fresh_keys() {
    let mut world = World::new().await;
    let ssn = "987-65-4602";
    let owner = world.owner(ssn).await;
    let before = shown(&world, &owner, "before").await;
    let operator = SealKey::new(Zeroizing::new([42; 32]));
    let stored = world.store.store.profile(&owner.profile).await.unwrap();
    let seed = stored.unwrap().seed;
    let seed = Entropy::open(&operator, &owner.profile.to_string(), &seed).unwrap();
    let words = seed.words();

    // Another database: nothing is left but the words.
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite_url(&folder.path().join("new.db"));
    let entropy = Entropy::from_words(&words).unwrap();
    let store = Store::open(&url).await.unwrap();
    let marks = Marks::unknown(GAP_LIMIT);
    let restored = restore(&store, &operator, &entropy, &marks).await.unwrap();
    world.move_to(url).await;
    let owner = Owner {
        profile: Bytes32::parse(restored["profile"].as_str().unwrap()).unwrap(),
        token: restored["owner_token"].as_str().unwrap().to_owned(),
    };
    let path = format!("/v1/profiles/{}", owner.profile);
    let (_, body) = world
        .call("GET", &path, Some(&owner.token), None, None)
        .await;
    let view: Profile = parse(body);
    let created = CreatedProfile {
        profile: owner.profile,
        owner_token: owner.token.clone(),
        enrolment: view.enrolment.unwrap(),
    };
    let (status, body) = world.try_enrol(&created, ssn).await;
    assert_eq!(status, 200, "{body}");

    let after = shown(&world, &owner, "after").await;
    assert_eq!(before.pseudonym, after.pseudonym);
    assert_eq!(keys(&before).intersection(&keys(&after)).count(), 0);
    world.end().await;
}

#[actix_web::test]
async fn attack_a_service_with_another_operator_key_does_not_start() {
    let world = World::new().await;
    let owner = world.owner("987-65-4603").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, contracts::encoding::to_base64url([43; 32])).unwrap();
    let mut config = world.config.clone();
    config.operator_key = crate::config::Secret::File(path);
    let refused = crate::start(config).await.err().unwrap().to_string();
    assert!(refused.contains("operator_key"), "{refused}");

    // A rewrap leaves owners their tokens.
    let key = |byte| SealKey::new(Zeroizing::new([byte; 32]));
    let moved = world.store.store.rewrap(&key(42), &key(43)).await;
    assert_eq!(moved.unwrap(), 1);
    let mut world = world;
    world.config.operator_key = crate::config::Secret::File(folder.path().join("key"));
    world.restart().await;
    shown(&world, &owner, "after").await;
    world.end().await;
}
