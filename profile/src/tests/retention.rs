//! What is kept for a term, and no longer.

use crate::api::types::AuditPage;
use crate::testing::{OPERATOR, World, parse};

/// Seconds in a day.
const DAY: i64 = 86_400;

async fn audited(world: &World) -> Vec<i64> {
    let (_, body) = world
        .call("GET", "/v1/audit?limit=100", Some(OPERATOR), None, None)
        .await;
    let events = parse::<AuditPage>(body).events.into_iter();
    events.map(|event| event.seq).collect()
}

#[actix_web::test]
async fn audit_events_and_idempotency_keys_go_when_their_term_is_over_and_not_before() {
    let mut world = World::new().await;
    let first = world.created("key").await;
    audited(&world).await;
    let service = world.service.service();
    assert_eq!(service.prune().await.unwrap(), 0);
    let known = world
        .call(
            "POST",
            "/v1/profiles",
            Some(crate::testing::NAVIGATOR),
            Some("key"),
            None,
        )
        .await;
    assert_eq!(known.0, 200);

    // The key is forgotten first: the same call is another one.
    world.config.clock_offset_seconds = 401 * DAY;
    world.restart().await;
    world.service.service().prune().await.unwrap();
    assert_eq!(audited(&world).await.first(), Some(&1));
    assert_ne!(world.created("key").await.profile, first.profile);

    // Events of the first day go, those of later ones keep their numbers.
    let before = audited(&world).await;
    world.config.clock_offset_seconds = 2_193 * DAY;
    world.restart().await;
    world.service.service().prune().await.unwrap();
    let after = audited(&world).await;
    let first = *after.first().unwrap();
    assert!(first > 1 && before.contains(&first), "{before:?} {after:?}");
    assert_eq!(after, (first..).take(after.len()).collect::<Vec<_>>());
    world.end().await;
}
