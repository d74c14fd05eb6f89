//! The stock of leaves: bought ahead, drawn once, never for two audiences; and presentations without `T`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contracts::encoding::Bytes32;
use contracts::ids::Domain;
use contracts::issuance::purpose;
use contracts::presentation::Presentation;

use crate::api::types::{Outcome, Question, State};
use crate::config::ProfileConfig;
use crate::testing::{AUDIENCE, Lie, Owner, World, parse};

/// Buys as soon as anything is lacking.
fn eager(config: &mut ProfileConfig) {
    config.stock.delay_seconds = 0;
    config.stock.interval_ms = 30;
}

/// A number out of the service's tables.
async fn count(world: &World, sql: &'static str) -> i64 {
    use sqlx::Row;
    let row = sqlx::query(sql).fetch_one(world.store.store.pool()).await;
    row.unwrap().get(0)
}

/// Waits until a number out of the tables is as wanted.
async fn until_count(world: &World, sql: &'static str, wanted: impl Fn(i64) -> bool) -> i64 {
    for _ in 0..400 {
        let found = count(world, sql).await;
        if wanted(found) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{sql}: {}", count(world, sql).await);
}

const IN_STOCK: &str =
    "SELECT COUNT(*) FROM attestation WHERE used_by IS NULL AND question = '' AND withheld = 0
     AND audience = 'us.ca.dhcs'";
/// Waits until every domain has been looked after: due again in a day, not now.
async fn settled(world: &World) {
    let now = oracles::clock::Clock::system().now().0;
    for _ in 0..400 {
        let all = count(world, "SELECT COUNT(*) FROM refill").await;
        let due = count(world, "SELECT MIN(due_at) FROM refill").await;
        if all == 5 && due > now + 3_600 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the stock is not looked after");
}

async fn ask(world: &World, owner: &Owner, key: &str, audience: &str) -> Bytes32 {
    let mut question = world.question();
    question.audience = audience.to_owned();
    let (status, body) = world.try_ask(owner, Some(key), &question).await;
    assert_eq!(status, 201, "{body}");
    parse::<Question>(body).question
}

fn leaves(shown: &Presentation) -> BTreeSet<Bytes32> {
    let leaves = shown.attestations.iter();
    leaves
        .map(|presented| presented.attestation.leaf.hash())
        .collect()
}

#[actix_web::test]
async fn no_two_audiences_receive_one_leaf() {
    let world = World::with(eager).await;
    let owner = world.owner("987-65-4401").await;
    let audiences = [
        AUDIENCE,
        "us.or.oha",
        "insurer.one",
        "insurer.two",
        "clinic",
    ];
    for round in ["first", "second"] {
        for audience in audiences {
            let question = ask(&world, &owner, &format!("{round}-{audience}"), audience).await;
            let until = match audience.starts_with("us.") {
                true => State::Decided,
                false => State::Done,
            };
            world.until(&owner, &question, until).await;
        }
        settled(&world).await;
    }
    let shown = world.shown();
    assert_eq!(shown.len(), 10);
    let mut seen: BTreeMap<Bytes32, String> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for presentation in &shown {
        for presented in &presentation.attestations {
            let leaf = &presented.attestation.leaf;
            let before = seen.insert(leaf.hash(), presentation.audience.clone());
            assert_eq!(before, None, "a leaf is shown once");
            assert!(keys.insert(leaf.key) && keys.insert(presented.purpose_salt));
            // Its salt opens its purpose for this audience, and for no other.
            for audience in audiences {
                let opens = purpose(
                    &presented.purpose_salt,
                    &presentation.contract.hash,
                    audience,
                );
                assert_eq!(leaf.purpose == opens, audience == presentation.audience);
            }
        }
    }
    world.end().await;
}

#[actix_web::test]
async fn leaves_are_bought_before_they_run_out_and_a_question_waits_for_no_source() {
    let mut world = World::with(|config| {
        eager(config);
        // Four are bought, so one question brings it below the mark.
        config.stock.low_water = 4;
    })
    .await;
    let owner = world.owner("987-65-4402").await;
    let first = ask(&world, &owner, "q1", AUDIENCE).await;
    world.until(&owner, &first, State::Proved).await;
    settled(&world).await;
    let bought = count(&world, IN_STOCK).await;
    assert!(bought > 0);
    // The sources may be down: the stock serves, also after a restart.
    world.restart().await;
    for domain in Domain::ALL {
        world.lie(Lie::CommitteeDown(domain));
    }
    let second = ask(&world, &owner, "q2", AUDIENCE).await;
    world.until(&owner, &second, State::Proved).await;
    assert!(count(&world, IN_STOCK).await < bought);
    // What cannot be bought now is bought later.
    until_count(&world, "SELECT MAX(failures) FROM refill", |n| n > 0).await;
    world.honest();
    sqlx::query("UPDATE refill SET due_at = 0")
        .execute(world.store.store.pool())
        .await
        .unwrap();
    settled(&world).await;
    world.end().await;
}

#[actix_web::test]
async fn a_question_asked_anew_draws_nothing_from_the_stock_and_clears_it() {
    let world = World::with(eager).await;
    let owner = world.owner("987-65-4403").await;
    world.set_income(450_017);
    let first = ask(&world, &owner, "q1", AUDIENCE).await;
    let done = world.until(&owner, &first, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::No));
    settled(&world).await;
    world.set_income(61_237);
    let mut anew = world.question();
    anew.anew = true;
    let (_, body) = world.try_ask(&owner, Some("q2"), &anew).await;
    let second = parse::<Question>(body).question;
    let proved = world.until(&owner, &second, State::Proved).await;
    assert_eq!(proved.verdict, Some(contracts::ids::Verdict::Yes));
    // Nor does the stale income reach another audience.
    let third = ask(&world, &owner, "q3", "us.or.oha").await;
    let proved = world.until(&owner, &third, State::Proved).await;
    assert_eq!(proved.verdict, Some(contracts::ids::Verdict::Yes));
    world.end().await;
}

#[actix_web::test]
async fn two_questions_at_once_draw_different_leaves() {
    let world = World::with(eager).await;
    let owner = world.owner("987-65-4404").await;
    let first = ask(&world, &owner, "q1", AUDIENCE).await;
    world.until(&owner, &first, State::Proved).await;
    settled(&world).await;
    let second = ask(&world, &owner, "q2", AUDIENCE).await;
    let third = ask(&world, &owner, "q3", AUDIENCE).await;
    for _ in 0..3 {
        let (one, two) = futures::join!(
            world.try_advance(&owner, &second),
            world.try_advance(&owner, &third)
        );
        assert_eq!((one.0, two.0), (200, 200), "{} {}", one.1, two.1);
    }
    let shown = world.shown();
    let [one, two] = shown.as_slice() else {
        panic!("{} shown", shown.len())
    };
    assert!(leaves(one).is_disjoint(&leaves(two)));
    world.end().await;
}

#[actix_web::test]
async fn a_crash_between_proving_and_marking_reuses_nothing() {
    if std::env::var("DATABASE_URL").is_ok_and(|url| url.starts_with("postgres")) {
        return; // The trigger below is SQLite's.
    }
    let mut world = World::new().await;
    let owner = world.owner("987-65-4405").await;
    let question = ask(&world, &owner, "q", AUDIENCE).await;
    world.until(&owner, &question, State::Attested).await;
    // The proof is made, and the transaction that marks its leaves and stores it dies.
    let pool = world.store.store.pool().clone();
    sqlx::raw_sql(
        "CREATE TRIGGER crash BEFORE UPDATE OF used_by ON attestation BEGIN SELECT RAISE(ABORT, 'crash'); END",
    )
    .execute(&pool)
    .await
    .unwrap();
    let (status, _) = world.try_advance(&owner, &question).await;
    assert_eq!(status, 500);
    assert_eq!(count(&world, "SELECT COUNT(*) FROM document").await, 0);
    sqlx::raw_sql("DROP TRIGGER crash")
        .execute(&pool)
        .await
        .unwrap();
    world.restart().await;
    assert!(world.shown().is_empty(), "nothing has left");
    // The wallet index of the lost presentation is not used again.
    let lost = count(
        &world,
        "SELECT next FROM wallet_mark WHERE counter LIKE '2/%'",
    )
    .await;
    world.until(&owner, &question, State::Decided).await;
    let now = count(
        &world,
        "SELECT next FROM wallet_mark WHERE counter LIKE '2/%'",
    )
    .await;
    assert_eq!(now, lost + 1);
    let shown = world.shown();
    let used = count(
        &world,
        "SELECT COUNT(*) FROM attestation WHERE used_by IS NOT NULL",
    );
    let [shown] = shown.as_slice() else {
        panic!("shown once")
    };
    assert_eq!(used.await, shown.attestations.len() as i64);
    world.end().await;
}

#[actix_web::test]
async fn attack_a_request_whose_length_tells_what_is_withheld() {
    // All nodes' nonces are waited for: a request grows with them.
    let world = World::with(|config| config.ask.nonce_wait_ms = 10_000).await;
    let mut lengths = Vec::new();
    for (ssn, withhold) in [
        ("987-65-4406", vec![]),
        ("987-65-4407", vec!["medical.pregnant".into()]),
    ] {
        let owner = world.owner(ssn).await;
        let mut ask = world.question();
        ask.withhold = withhold;
        let (_, body) = world.try_ask(&owner, Some("q"), &ask).await;
        let question = parse::<Question>(body).question;
        world.until(&owner, &question, State::Attested).await;
        lengths.push(Domain::ALL.map(|domain| world.request_lengths(domain)));
        let withheld = "SELECT COUNT(*) FROM attestation WHERE withheld = 1 AND attribute = 'medical.pregnant'";
        assert!(
            count(&world, withheld).await > 0,
            "withheld leaves are asked for either way"
        );
    }
    let per_fact = "SELECT COUNT(*) FROM (SELECT COUNT(*) AS n FROM attestation GROUP BY profile, attribute, period) AS g";
    let even = "SELECT COUNT(*) FROM (SELECT COUNT(*) AS n FROM attestation GROUP BY profile, attribute, period) AS g WHERE n = 5";
    assert_eq!(count(&world, per_fact).await, count(&world, even).await);
    assert_eq!(lengths.first(), lengths.last());
    world.end().await;
}

#[actix_web::test]
async fn a_committee_that_is_down_delays_nobody_whose_branch_does_not_need_it() {
    let world = World::new().await;
    let owner = world.owner("987-65-4408").await;
    world.set_income(450_017);
    let first = ask(&world, &owner, "q1", AUDIENCE).await;
    world.until(&owner, &first, State::Done).await;
    world.lie(Lie::CommitteeDown(Domain::Medical));
    let second = ask(&world, &owner, "q2", AUDIENCE).await;
    let done = world.until(&owner, &second, State::Done).await;
    assert_eq!(
        (done.outcome, done.reasons),
        (Some(Outcome::No), vec!["INCOME".to_owned()])
    );
    let shown = world.shown();
    let shape = |shown: &Presentation| {
        let leaves = shown.attestations.iter();
        let leaves = leaves.map(|one| &one.attestation.leaf);
        let leaves: Vec<_> = leaves
            .map(|leaf| (leaf.attribute.clone(), leaf.period, leaf.expires))
            .collect();
        (leaves, shown.slacks.len(), shown.proof.0.len())
    };
    assert_eq!(shape(&shown[0]), shape(&shown[1]), "nothing shows it");
    // One that the branch needs is waited for.
    world.lie(Lie::CommitteeDown(Domain::Income));
    let third = ask(&world, &owner, "q3", AUDIENCE).await;
    let (status, body) = world.try_advance(&owner, &third).await;
    assert_eq!(
        (status, &body["quorum"]["committee"]),
        (503, &serde_json::json!("income"))
    );
    world.honest();
    let done = world.until(&owner, &third, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::No));
    world.end().await;
}

#[actix_web::test]
async fn stale_leaves_leave_the_stock() {
    let mut world = World::with(eager).await;
    let owner = world.owner("987-65-4409").await;
    let question = ask(&world, &owner, "q", AUDIENCE).await;
    world.until(&owner, &question, State::Proved).await;
    settled(&world).await;
    assert!(count(&world, IN_STOCK).await > 0);
    world.config.clock_offset_seconds = 900 * 86_400;
    world.restart().await;
    let unused = "SELECT COUNT(*) FROM attestation WHERE used_by IS NULL";
    until_count(&world, unused, |left| left == 0).await;
    world.end().await;
}

#[actix_web::test]
async fn a_worker_that_dies_holds_up_a_domain_for_a_while_and_two_never_have_it() {
    let world = World::new().await;
    let owner = world.owner("987-65-4410").await;
    let store = &world.store.store;
    let profile = owner.profile.to_string();
    let at = contracts::units::UnixTime;
    let mut tx = store.begin().await.unwrap();
    for domain in [Domain::Income, Domain::Medical] {
        crate::store::stock::schedule(&mut tx, &profile, domain, at(100))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(store.claim_due(at(99), at(200)).await.unwrap(), None);
    let claims = futures::future::join_all((0..6).map(|_| store.claim_due(at(100), at(200)))).await;
    let claimed: BTreeSet<Domain> = claims
        .into_iter()
        .filter_map(|claim| claim.unwrap())
        .map(|due| due.domain)
        .collect();
    assert_eq!(claimed.len(), 2);
    assert_eq!(store.claim_due(at(199), at(300)).await.unwrap(), None);
    let again = store.claim_due(at(200), at(300)).await.unwrap().unwrap();
    store.settle(&again, Some(at(1_000))).await.unwrap();
    let other = store.claim_due(at(250), at(300)).await.unwrap().unwrap();
    assert_ne!(other.domain, again.domain);
    store.settle(&other, None).await.unwrap();
    assert_eq!(store.claim_due(at(999), at(2_000)).await.unwrap(), None);
    assert!(
        store
            .claim_due(at(1_000), at(2_000))
            .await
            .unwrap()
            .is_some()
    );
    world.end().await;
}

#[actix_web::test]
async fn insurers_and_providers_are_shown_no_pseudonym_and_agencies_one() {
    let world = World::new().await;
    let owner = world.owner("987-65-4411").await;
    let mut subjects = BTreeSet::new();
    for audience in [AUDIENCE, "insurer.one", "insurer.two", "clinic"] {
        let question = ask(&world, &owner, audience, audience).await;
        let done = world.until(&owner, &question, State::Done).await;
        let expected = match audience {
            AUDIENCE => Outcome::Accepted,
            _ => Outcome::Yes,
        };
        assert_eq!(done.outcome, Some(expected));
        let shown = world.shown();
        let shown = shown.last().unwrap();
        assert_eq!(shown.enquiry.is_none(), audience == AUDIENCE);
        assert!(subjects.insert(shown.subject()));
        assert_eq!(
            shown.subject().0 == *shown.pseudonym.as_bytes(),
            audience == AUDIENCE
        );
    }
    // Nothing was texted or filed for the enquiries.
    let (decided, texts, filed, _) = world.counts();
    assert_eq!((decided, texts, filed), (4, 2, 1));
    world.end().await;
}
