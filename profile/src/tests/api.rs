//! The API's edges: who may call, what is read, what a repeated call does.

use std::collections::BTreeSet;

use serde_json::json;

use crate::api::types::{CreatedProfile, MAX_SMALL_BODY, Question, State};
use crate::api::{ROUTES, Who};
use crate::testing::{NAVIGATOR, World, code, fresh, parse};
use crate::tests::access::filled;

#[actix_web::test]
async fn a_query_that_cannot_be_read_is_a_problem_that_repeats_none_of_it() {
    let world = World::new().await;
    let owner = world.owner("987-65-4320").await;
    for query in ["limit=canary", "after=1&canary=1", "limit=1&limit=2"] {
        let path = format!("/v1/profiles/{}/coverage?{query}", owner.profile);
        let (status, body) = world
            .call("GET", &path, Some(&owner.token), None, None)
            .await;
        assert_eq!((status, code(&body)), (400, "bad-request"), "{query}");
        assert!(body["detail"].as_str().unwrap().starts_with("query:"));
        assert!(!body.to_string().contains("canary"));
    }
    world.end().await;
}

#[actix_web::test]
async fn an_owners_token_opens_no_other_profile() {
    let world = World::new().await;
    let owner = world.owner("987-65-4320").await;
    let other = world.owner("987-65-4321").await;
    let question = world.ask(&owner, "q").await;
    let (profile, question) = (owner.profile.to_string(), question.question.to_string());
    let mut tried = BTreeSet::new();
    for route in ROUTES.iter().filter(|route| route.who == Who::Owner) {
        let path = filled(route.path, &profile, &question);
        let body = match route.path {
            path if path.ends_with("enrol") => json!({"claims": [], "contact": "c"}),
            path if path.ends_with("openings") => json!({"attributes": ["household.size"]}),
            path if path.ends_with("coverage") => json!({"jurisdiction": "CA", "contract": "c"}),
            path if path.ends_with("events") => json!({"event": "disputed", "case": 1}),
            _ => serde_json::to_value(world.question()).unwrap(),
        };
        let method = route.method.as_str();
        let (status, answer) = world
            .call(
                method,
                &path,
                Some(&other.token),
                Some(&fresh()),
                Some(&body),
            )
            .await;
        assert_eq!(
            (status, code(&answer)),
            (404, "not-found"),
            "{method} {path}"
        );
        tried.insert(route.path);
    }
    assert_eq!(tried.len(), 21);
    let path = format!("/v1/questions/{question}");
    let (_, body) = world
        .call("GET", &path, Some(&owner.token), None, None)
        .await;
    assert_eq!(parse::<Question>(body).state, State::Asked);
    world.end().await;
}

#[actix_web::test]
async fn a_repeated_creation_finds_the_same_profile_and_token() {
    let world = World::new().await;
    let first = world.created("one").await;
    let (status, body) = world
        .call("POST", "/v1/profiles", Some(NAVIGATOR), Some("one"), None)
        .await;
    assert_eq!(
        (status, parse::<CreatedProfile>(body)),
        (200, first.clone())
    );
    let other = world.created("two").await;
    assert_ne!(other.profile, first.profile);
    assert_ne!(other.owner_token, first.owner_token);
    assert_ne!(
        other.enrolment.authorisation_key,
        first.enrolment.authorisation_key
    );
    // The token is not in the database, and no longer shown once the profile is enrolled.
    assert!(!world.dump().await.contains(&first.owner_token));
    world.try_enrol(&first, "987-65-4320").await;
    let (status, body) = world
        .call("POST", "/v1/profiles", Some(NAVIGATOR), Some("one"), None)
        .await;
    assert_eq!((status, code(&body)), (409, "enrolled"));
    world.end().await;
}

#[actix_web::test]
async fn a_repeated_question_is_asked_once() {
    let world = World::new().await;
    let owner = world.owner("987-65-4320").await;
    let first = world.ask(&owner, "k").await;
    let (status, body) = world.try_ask(&owner, Some("k"), &world.question()).await;
    assert_eq!((status, parse::<Question>(body)), (200, first.clone()));
    // The same key with another question is refused; another owner's same key is another key.
    let mut changed = world.question();
    changed.jurisdiction = "OR".parse().unwrap();
    let (status, body) = world.try_ask(&owner, Some("k"), &changed).await;
    assert_eq!((status, code(&body)), (422, "idempotency-key-reused"));
    let other = world.owner("987-65-4321").await;
    let second = world.ask(&other, "k").await;
    assert_ne!(second.question, first.question);
    world.end().await;
}

#[actix_web::test]
async fn a_question_that_cannot_be_asked_is_refused_by_field() {
    let world = World::new().await;
    let owner = world.owner("987-65-4320").await;
    let good = serde_json::to_value(world.question()).unwrap();
    let with = |field: &str, value: serde_json::Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let bodies = [
        (
            with("contract", json!("us.medicaid.nothing")),
            422,
            "contract",
        ),
        (with("jurisdiction", json!("TX")), 422, "contract"),
        (with("jurisdiction", json!("XX")), 400, "bad-request"),
        (with("as_of", json!("2199-01-01")), 400, "bad-request"),
        (with("as_of", json!("2020-01-01")), 400, "bad-request"),
        (with("audience", json!("us.xx.nobody")), 400, "bad-request"),
        (
            with("withhold", json!(["identity.person"])),
            400,
            "bad-request",
        ),
        (
            with("withhold", json!(["income.nothing"])),
            400,
            "bad-request",
        ),
        (with("surprise", json!(1)), 400, "bad-request"),
        (json!("income 612.37"), 400, "bad-request"),
    ];
    for (at, (body, status, expected)) in bodies.iter().enumerate() {
        let (got, answer) = world
            .try_ask(&owner, Some(&format!("bad-{at}")), body)
            .await;
        assert_eq!(
            (got, code(&answer)),
            (*status, *expected),
            "{body}: {answer}"
        );
        assert!(!answer.to_string().contains("612"), "input is not repeated");
    }
    for key in [None, Some("two words"), Some(&*"k".repeat(200))] {
        let (status, body) = world.try_ask(&owner, key, &good).await;
        assert_eq!((status, code(&body)), (400, "bad-request"));
    }
    // A refused question leaves its key free.
    let (status, _) = world.try_ask(&owner, Some("bad-0"), &good).await;
    assert_eq!(status, 201);
    world.end().await;
}

#[actix_web::test]
async fn bodies_over_the_cap_unknown_routes_and_methods_are_problems() {
    let world = World::new().await;
    let owner = world.owner("987-65-4320").await;
    let long = json!({"contract": "x".repeat(MAX_SMALL_BODY)});
    let (status, body) = world.try_ask(&owner, Some("k"), &long).await;
    assert_eq!((status, code(&body)), (413, "too-large"));
    let (status, body) = world.call("GET", "/v1/nothing", None, None, None).await;
    assert_eq!((status, code(&body)), (404, "not-found"));
    let path = format!("/v1/profiles/{}", owner.profile);
    let (status, body) = world
        .call("DELETE", &path, Some(&owner.token), None, None)
        .await;
    assert_eq!((status, code(&body)), (405, "method-not-allowed"));
    world.end().await;
}

#[actix_web::test]
async fn a_profile_that_is_not_enrolled_asks_nothing() {
    let world = World::new().await;
    let created = world.created("k").await;
    let owner = crate::testing::Owner {
        profile: created.profile,
        token: created.owner_token.clone(),
    };
    let (status, body) = world.try_ask(&owner, Some("q"), &world.question()).await;
    assert_eq!((status, code(&body)), (409, "not-enrolled"));
    // Enrolled with the same key, the same call goes through.
    world.try_enrol(&created, "987-65-4320").await;
    let (status, _) = world.try_ask(&owner, Some("q"), &world.question()).await;
    assert_eq!(status, 201);
    world.end().await;
}

#[actix_web::test]
async fn an_enrolment_that_does_not_fit_the_committee_is_refused() {
    let world = World::new().await;
    let created = world.created("k").await;
    let path = format!("/v1/profiles/{}/enrol", created.profile);
    let good = world.claims(&created, "987-65-4320");
    let mut few = good.clone();
    few.claims.truncate(2);
    let mut twice = good.clone();
    twice.claims[1] = twice.claims[0].clone();
    let mut epoch = good.clone();
    epoch.claims[0].sealed.key_epoch = 2;
    let mut contact = good.clone();
    contact.contact = Some("+1 415 555 0132".to_owned());
    for bad in [few, twice, epoch, contact] {
        let body = serde_json::to_value(&bad).unwrap();
        let (status, answer) = world
            .call(
                "POST",
                &path,
                Some(&created.owner_token),
                Some(&fresh()),
                Some(&body),
            )
            .await;
        assert_eq!((status, code(&answer)), (400, "bad-request"), "{answer}");
        assert!(!answer.to_string().contains("555"));
    }
    world.end().await;
}

#[actix_web::test]
async fn token_and_bundle_wait_for_the_decision() {
    let world = World::new().await;
    let owner = world.owner("987-65-4320").await;
    let question = world.ask(&owner, "q").await.question;
    world.until(&owner, &question, State::Proved).await;
    for what in ["token", "bundle"] {
        let path = format!("/v1/questions/{question}/{what}");
        let (status, body) = world
            .call("GET", &path, Some(&owner.token), None, None)
            .await;
        assert_eq!((status, code(&body)), (409, "not-decided"));
    }
    let path = format!("/v1/questions/{question}/openings");
    let chosen = serde_json::json!({ "attributes": ["household.size"] });
    let (status, body) = world
        .call("POST", &path, Some(&owner.token), Some("k"), Some(&chosen))
        .await;
    assert_eq!((status, code(&body)), (409, "not-decided"));
    world.end().await;
}
