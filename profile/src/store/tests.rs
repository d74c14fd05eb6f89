use contracts::ids::Domain;

use super::*;
use crate::seal::SealKey;
use crate::wallet::{MAX_INDEX, Role, Use};
use contracts::encoding::Bytes32;
use contracts::ids::ContractRef;
use contracts::units::UnixTime;
use zeroize::Zeroizing;

/// A store of the test's own: SQLite in a temporary folder, or a schema of its own in the Postgres of `DATABASE_URL`.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) url: String,
    _folder: tempfile::TempDir,
}

impl TestStore {
    /// A database without tables, and the folder it may be in.
    async fn empty() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let url = match std::env::var("DATABASE_URL") {
            Ok(url) if url.starts_with("postgres") => {
                let schema = format!("t{:032x}", rand::random::<u128>());
                let pool = db::connect(&url).await.unwrap();
                sqlx::query(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
                    .execute(&pool)
                    .await
                    .unwrap();
                let join = if url.contains('?') { '&' } else { '?' };
                format!("{url}{join}options=-csearch_path%3D{schema}")
            }
            _ => db::sqlite_url(&folder.path().join("profile.db")),
        };
        (folder, url)
    }

    pub(crate) async fn open() -> Self {
        let (folder, url) = Self::empty().await;
        let store = Store::open(&url).await.unwrap();
        Self {
            store,
            url,
            _folder: folder,
        }
    }
}

pub(crate) async fn with_profile() -> (TestStore, Bytes32) {
    let test = TestStore::open().await;
    let profile = Bytes32::from([7; 32]);
    let operator = SealKey::new(Zeroizing::new([1; 32]));
    test.store.operator_root(&operator).await.unwrap();
    let mut tx = test.store.begin().await.unwrap();
    let new = NewProfile {
        profile,
        token_hash: [8; 32].into(),
        seed: "sealed",
        seed_key: &operator::key_id(&operator),
        enrol_id: [9; 32].into(),
        created_at: UnixTime(1),
    };
    profiles::insert_profile(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    (test, profile)
}

async fn with_question() -> (TestStore, StoredQuestion) {
    let (test, profile) = with_profile().await;
    let question = Bytes32::from([3; 32]);
    let mut tx = test.store.begin().await.unwrap();
    let new = NewQuestion {
        question,
        profile,
        contract: &ContractRef {
            id: "us.medicaid.adult-group".to_owned(),
            hash: [1; 32].into(),
        },
        jurisdiction: "CA".parse().unwrap(),
        as_of: "2026-11-20".parse().unwrap(),
        audience: "us.ca.dhcs",
        withhold: &["medical.pregnant".into()],
        anew: false,
        template: crate::notifier::Template::Apply,
        wallet_index: 0,
        created_at: UnixTime(5),
    };
    questions::insert_question(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    let stored = test.store.question(&profile, &question).await.unwrap();
    (test, stored.unwrap())
}

#[tokio::test]
async fn an_index_is_used_once_even_when_what_used_it_fails() {
    let (test, profile) = with_profile().await;
    let profile = profile.to_string();
    let use_ = Use::Leaf(Domain::Income, Role::Holder);
    let mut firsts = vec![];
    for count in [4, 1, 4] {
        let mut tx = test.store.begin().await.unwrap();
        firsts.push(
            test.store
                .reserve(&mut tx, &profile, use_, count)
                .await
                .unwrap(),
        );
        tx.commit().await.unwrap();
    }
    assert_eq!(firsts, [0, 4, 5]);
    // The roles of a leaf share a mark; another domain has its own.
    let mut tx = test.store.begin().await.unwrap();
    let role = Use::Leaf(Domain::Income, Role::Opening);
    assert_eq!(
        test.store
            .reserve(&mut tx, &profile, role, 1)
            .await
            .unwrap(),
        9
    );
    let other = Use::Leaf(Domain::Medical, Role::Holder);
    assert_eq!(
        test.store
            .reserve(&mut tx, &profile, other, 1)
            .await
            .unwrap(),
        0
    );
    tx.commit().await.unwrap();

    let mut tx = test.store.begin().await.unwrap();
    test.store
        .reserve(&mut tx, &profile, other, MAX_INDEX - 1)
        .await
        .unwrap();
    let exhausted = test.store.reserve(&mut tx, &profile, other, 1).await;
    assert!(matches!(exhausted, Err(StoreError::Exhausted)));
}

#[tokio::test]
async fn the_marks_survive_a_reopened_database() {
    let (test, profile) = with_profile().await;
    let profile = profile.to_string();
    let mut tx = test.store.begin().await.unwrap();
    test.store
        .reserve(&mut tx, &profile, Use::Confirmation, 3)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let again = Store::open(&test.url).await.unwrap();
    let mut tx = again.begin().await.unwrap();
    let first = again.reserve(&mut tx, &profile, Use::Confirmation, 1).await;
    assert_eq!(first.unwrap(), 3);
}

#[tokio::test]
async fn concurrent_reservations_never_overlap() {
    let (test, profile) = with_profile().await;
    let tasks = (0..12).map(|_| {
        let (store, profile) = (test.store.clone(), profile.to_string());
        tokio::spawn(async move {
            let mut tx = store.begin().await.unwrap();
            let first = store
                .reserve(&mut tx, &profile, Use::Response, 2)
                .await
                .unwrap();
            tx.commit().await.unwrap();
            first
        })
    });
    let mut firsts = futures::future::try_join_all(tasks).await.unwrap();
    firsts.sort_unstable();
    assert_eq!(firsts, (0..12).map(|n| 2 * n).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_steps_of_one_question_at_once_leave_one() {
    let (test, question) = with_question().await;
    let (mut first, mut second) = (question.clone(), question);
    first.state = crate::api::types::State::Attested;
    second.state = crate::api::types::State::Done;
    let mut tx = test.store.begin().await.unwrap();
    questions::save(&mut tx, &mut first, UnixTime(6))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = test.store.begin().await.unwrap();
    let lost = questions::save(&mut tx, &mut second, UnixTime(6)).await;
    assert!(matches!(lost, Err(StoreError::Raced)));
    drop(tx);
    let stored = test
        .store
        .question(&first.profile, &first.question)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (stored.state, stored.version),
        (crate::api::types::State::Attested, 1)
    );
    assert_eq!(stored.withhold, ["medical.pregnant".into()]);
}

#[tokio::test]
async fn another_profile_finds_no_question() {
    let (test, question) = with_question().await;
    let other = Bytes32::from([77; 32]);
    let found = test.store.question(&other, &question.question).await;
    assert!(found.unwrap().is_none());
}

#[tokio::test]
async fn documents_are_sealed_and_bound_to_their_place() {
    let (test, question) = with_question().await;
    let key = SealKey::new(Zeroizing::new([5; 32]));
    let id = question.question;
    let mut tx = test.store.begin().await.unwrap();
    questions::put_document(&mut tx, &key, &id, "reasons", &["income-over-limit"])
        .await
        .unwrap();
    questions::enqueue(&mut tx, &key, &id, "text", "k", &"hello", UnixTime(1))
        .await
        .unwrap();
    // What is queued stays: a repeated step must not change what may have left already.
    questions::enqueue(&mut tx, &key, &id, "text", "k2", &"other", UnixTime(1))
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let reasons: Option<Vec<String>> = test.store.document(&key, &id, "reasons").await.unwrap();
    assert_eq!(reasons.unwrap(), ["income-over-limit"]);
    let item: OutboxItem<String> = test.store.outbox(&key, &id, "text").await.unwrap().unwrap();
    assert_eq!(
        (
            item.idempotency_key.as_str(),
            item.payload.as_str(),
            item.sent
        ),
        ("k", "hello", false)
    );
    let wrong = SealKey::new(Zeroizing::new([6; 32]));
    let opened = test
        .store
        .document::<Vec<String>>(&wrong, &id, "reasons")
        .await;
    assert!(matches!(opened, Err(StoreError::Corrupt("document"))));

    sqlx::query("UPDATE document SET kind = 'missing'")
        .execute(test.store.pool())
        .await
        .unwrap();
    let moved = test
        .store
        .document::<Vec<String>>(&key, &id, "missing")
        .await;
    assert!(matches!(moved, Err(StoreError::Corrupt("document"))));
    let row: String = sqlx::query("SELECT sealed FROM document")
        .fetch_one(test.store.pool())
        .await
        .unwrap()
        .get(0);
    assert!(!row.contains("income"));
}

#[tokio::test]
async fn an_idempotency_key_with_another_body_is_another_call() {
    let (test, _) = with_profile().await;
    let mut tx = test.store.begin().await.unwrap();
    let now = UnixTime(1);
    let first = idempotency::remember(&mut tx, "s", "k", b"a", "r1", now).await;
    assert_eq!(first.unwrap(), Remembered::First);
    let again = idempotency::remember(&mut tx, "s", "k", b"a", "r2", now).await;
    assert_eq!(again.unwrap(), Remembered::Again("r1".to_owned()));
    let other = idempotency::remember(&mut tx, "s", "k", b"b", "r3", now).await;
    assert_eq!(other.unwrap(), Remembered::Other);
    let scope = idempotency::remember(&mut tx, "t", "k", b"b", "r4", now).await;
    assert_eq!(scope.unwrap(), Remembered::First);
}

#[tokio::test]
async fn one_seed_is_one_profile() {
    let (test, _) = with_profile().await;
    let operator = SealKey::new(Zeroizing::new([1; 32]));
    let new = NewProfile {
        profile: Bytes32::from([17; 32]),
        token_hash: [18; 32].into(),
        seed: "sealed",
        seed_key: &operator::key_id(&operator),
        // As the other profile's: the same seed.
        enrol_id: [9; 32].into(),
        created_at: UnixTime(1),
    };
    let mut tx = test.store.begin().await.unwrap();
    let second = profiles::insert_profile(&mut tx, &new).await;
    assert!(matches!(second, Err(StoreError::Db(_))), "{second:?}");
}

async fn with_lifecycle() -> (TestStore, Bytes32) {
    let (test, profile) = with_profile().await;
    let key = SealKey::new(Zeroizing::new([2; 32]));
    let mut tx = test.store.begin().await.unwrap();
    lifecycle::begin_lifecycle(&mut tx, &key, &profile, 0, &"first", &[6; 32].into())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    (test, profile)
}

async fn agree(store: &Store, profile: &Bytes32, until: &str) {
    let mut tx = store.begin().await.unwrap();
    let until = until.parse().unwrap();
    watch::put_consent(&mut tx, profile, &[Domain::Residence], until, UnixTime(1))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_an_owner_was_told_of_one_agreement_is_not_noted_of_the_next() {
    let (test, profile) = with_lifecycle().await;
    agree(&test.store, &profile, "2026-12-01").await;
    let first = test.store.consent(&profile).await.unwrap().unwrap();
    agree(&test.store, &profile, "2027-01-01").await;
    test.store.told_of_watches(&first, "ended").await.unwrap();
    let second = test.store.consent(&profile).await.unwrap().unwrap();
    assert_eq!(second.told, "");
    test.store.told_of_watches(&second, "begun").await.unwrap();
    let told = test.store.consent(&profile).await.unwrap().unwrap().told;
    assert_eq!(told, "begun");
}

#[tokio::test]
async fn a_change_that_is_told_again_meanwhile_is_not_taken_away_with_the_first() {
    use super::watch::{StoredChange, put_change, take_change};
    let (test, profile) = with_lifecycle().await;
    let told = |at: i64| StoredChange {
        digest: [5; 32].into(),
        sealed: "sealed".to_owned(),
        since: UnixTime(at),
        times: 1,
    };
    let put = async |at: i64| {
        agree(&test.store, &profile, "2026-12-01").await;
        let mut tx = test.store.begin().await.unwrap();
        put_change(&mut tx, &profile, &told(at)).await.unwrap();
        tx.commit().await.unwrap();
    };
    let take = async |change: &StoredChange| {
        let mut tx = test.store.begin().await.unwrap();
        let taken = take_change(&mut tx, &profile, change).await.unwrap();
        tx.commit().await.unwrap();
        taken
    };
    put(2).await;
    let first = test.store.changes(&profile).await.unwrap().remove(0);
    put(3).await;
    assert!(!take(&first).await, "it was told once more since");
    let second = test.store.changes(&profile).await.unwrap().remove(0);
    assert_eq!((second.since, second.times), (UnixTime(3), 2));
    assert!(take(&second).await);
    assert!(!take(&second).await, "once");
}

#[tokio::test]
async fn services_that_start_at_once_on_a_new_database_both_start() {
    for _ in 0..4 {
        let test = TestStore::empty().await;
        let starts = (0..4).map(|_| Store::open(&test.1));
        for started in futures::future::join_all(starts).await {
            started.unwrap();
        }
    }
}
