//! What the notifier tells: phones that cannot be texted, disputes, replies that are there.

use contracts::units::UnixTime;

use crate::api::types::{Outcome, State};
use crate::store::heard::{Effect, apply, hear_until};
use crate::store::tests::TestStore;
use crate::testing::{Lie, World, code};

#[actix_web::test]
async fn a_phone_that_cannot_be_texted_is_not_asked_until_it_can() {
    let mut world = World::new().await;
    let owner = world.owner("987-65-4350").await;
    let contact = contact(&world).await;
    let question = world.ask(&owner, "q").await;
    world
        .until(&owner, &question.question, State::Decided)
        .await;
    for (away, back) in [
        ("stopped", "started"),
        ("suspended", "verified"),
        ("refused", "verified"),
    ] {
        world.event("contact", &contact, away);
        // A verified phone that said STOP is still one that said STOP, and the other way round.
        world.event(
            "contact",
            &contact,
            if back == "started" {
                "verified"
            } else {
                "started"
            },
        );
        world.heard_all().await;
        world.restart().await;
        let (status, problem) = world.try_advance(&owner, &question.question).await;
        assert_eq!((status, code(&problem)), (409, "not-reachable"), "{away}");
        assert_eq!(world.network_texts().len(), 0, "{away}");
        world.event("contact", &contact, back);
        world.heard_all().await;
    }
    // Somebody else's phone is none of this owner's business.
    world.event("contact", "another", "stopped");
    world.heard_all().await;
    let texted = world.advance(&owner, &question.question).await;
    assert_eq!(texted.state, State::Texted);
    assert_eq!(world.network_texts().len(), 1);
    world.end().await;
}

#[actix_web::test]
async fn a_reply_and_a_dispute_are_known_without_asking_and_survive_a_restart() {
    let mut world = World::new().await;
    let owner = world.owner("987-65-4350").await;
    let question = world.ask(&owner, "q").await;
    let texted = world.until(&owner, &question.question, State::Texted).await;
    let decision = texted.decision.unwrap();
    assert!(world.store.store.answered(10).await.unwrap().is_empty());
    world.event("message", "m", "delivered");
    world.event("reply", &decision, "YES");
    world.event("dispute", &decision, "late");
    // What this version does not know, and what is about no decision of ours, holds nothing up.
    world.event("horoscope", "x", "y");
    world.event("reply", "no id", "YES");
    world.heard_all().await;
    world.restart().await;
    assert_eq!(
        world.store.store.answered(10).await.unwrap(),
        [(owner.profile, question.question)]
    );
    let dispute = world.store.store.owner_dispute(&decision).await.unwrap();
    assert!(dispute.is_some_and(|dispute| dispute.late));
    let done = world.until(&owner, &question.question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    assert!(world.store.store.answered(10).await.unwrap().is_empty());
    world.end().await;
}

#[actix_web::test]
async fn attack_events_that_do_not_follow_each_other_are_not_taken_in() {
    let world = World::new().await;
    world.lie(Lie::EventMissing);
    world.event("contact", "c", "stopped");
    world.event("contact", "c", "started");
    let asked = world.calls("events");
    while world.calls("events") < asked + 2 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(world.store.store.standing("c").await.unwrap().reachable());
    world.honest();
    world.heard_all().await;
    world.end().await;
}

#[actix_web::test]
async fn an_event_is_taken_in_by_one_of_two_processes() {
    let test = TestStore::open().await;
    let store = &test.store;
    let stop = Effect::Stopped("c".to_owned(), true);
    let mut tx = store.begin().await.unwrap();
    assert!(hear_until(&mut tx, "n", 0, 2).await.unwrap());
    apply(&mut tx, &stop, UnixTime(5)).await.unwrap();
    // The process dies before it commits: nothing was taken in.
    drop(tx);
    assert_eq!(store.heard_until("n").await.unwrap(), 0);
    assert!(store.standing("c").await.unwrap().reachable());
    let mut tx = store.begin().await.unwrap();
    assert!(hear_until(&mut tx, "n", 0, 2).await.unwrap());
    apply(&mut tx, &stop, UnixTime(5)).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    assert!(!hear_until(&mut tx, "n", 0, 2).await.unwrap());
    drop(tx);
    assert!(store.standing("c").await.unwrap().stopped);
    // Another notifier has a count of its own.
    assert_eq!(store.heard_until("m").await.unwrap(), 0);
}

async fn contact(world: &World) -> String {
    use sqlx::Row as _;
    let row = sqlx::query("SELECT contact FROM profile")
        .fetch_one(world.store.store.pool())
        .await
        .unwrap();
    row.get("contact")
}
