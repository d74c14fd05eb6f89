//! Who may call what, how often, what is written down about it, and what a repeated call does.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::types::{AuditEvent, AuditPage, CreatedProfile, Question, State};
use crate::api::{ROUTES, Who};
use crate::testing::{
    AGENCY, INSURER, NAVIGATOR, OPERATOR, Owner, SECOND_NAVIGATOR, World, code, fresh, parse,
};

/// A path of the table with ids filled in.
pub(super) fn filled(path: &str, profile: &str, question: &str) -> String {
    path.replace("{profile}", profile)
        .replace("{question}", question)
        .replace("{renewal}", question)
        .replace("{grant}", question)
        .replace("{domain}", "medical")
        .replace("{watch}", question)
}

/// An owner whose cover is looked after, and the token of their flag.
async fn flagged(world: &World, ssn: &str) -> (Owner, String) {
    let owner = world.owner(ssn).await;
    let body = json!({"jurisdiction": "CA", "contract": "us.medicaid.adult-group"});
    let path = format!("/v1/profiles/{}/coverage", owner.profile);
    let (status, answer) = world
        .call("PUT", &path, Some(&owner.token), None, Some(&body))
        .await;
    assert_eq!(status, 204, "{answer}");
    let path = format!("/v1/profiles/{}/flag", owner.profile);
    let (_, body) = world
        .call("POST", &path, Some(&owner.token), Some("flag"), None)
        .await;
    (owner, body["flag_token"].as_str().unwrap().to_owned())
}

async fn audit(world: &World) -> Vec<AuditEvent> {
    let (status, body) = world
        .call("GET", "/v1/audit?limit=100", Some(OPERATOR), None, None)
        .await;
    assert_eq!(status, 200, "{body}");
    parse::<AuditPage>(body).events
}

#[actix_web::test]
async fn every_route_takes_its_own_kind_of_token_and_no_other() {
    let world = World::new().await;
    let (owner, flag) = flagged(&world, "987-65-4320").await;
    let question = world.ask(&owner, "q").await;
    let (profile, question) = (owner.profile.to_string(), question.question.to_string());
    let tokens = [
        (Who::Navigator, NAVIGATOR),
        (Who::Navigator, SECOND_NAVIGATOR),
        (Who::Owner, owner.token.as_str()),
        (Who::Provider, flag.as_str()),
        (Who::Operator, OPERATOR),
        (Who::Agency, AGENCY),
        (Who::Insurer, INSURER),
    ];
    let mut public = vec![];
    let mut reached: BTreeMap<String, u32> = BTreeMap::new();
    for route in ROUTES {
        let path = filled(route.path, &profile, &question);
        let method = route.method.as_str();
        // No route reads its body before the token: it is not even JSON of its kind.
        let call = |token| {
            let path = path.clone();
            let world = &world;
            async move {
                let body = Some(json!("not a body"));
                let (status, body) = world
                    .call(method, &path, token, Some(&fresh()), body.as_ref())
                    .await;
                (status, code(&body).to_owned())
            }
        };
        if route.who == Who::Anyone {
            public.push(format!("{method} {path}"));
            continue;
        }
        let refused = (401, "unauthorised".to_owned());
        for token in [None, Some("guess"), Some("")] {
            assert_eq!(call(token).await, refused, "{method} {path} {token:?}");
        }
        for (who, token) in tokens {
            let answer = call(Some(token)).await;
            if who == route.who {
                let of_nobody = ["{renewal}", "{grant}", "{watch}"];
                assert!(
                    ![401, 403, 404, 500].contains(&answer.0)
                        || answer.1 == "committee-refused"
                        || of_nobody.iter().any(|id| route.path.contains(id)),
                    "{method} {path}: {answer:?}"
                );
                *reached.entry(format!("{who:?}")).or_default() += 1;
            } else {
                assert_eq!(answer, refused, "{method} {path} {who:?}");
            }
        }
    }
    assert_eq!(public, PUBLIC);
    assert_eq!(reached.len(), 6, "{reached:?}");
    world.end().await;
}

/// What needs no token.
const PUBLIC: &[&str] = &["GET /healthz", "GET /metrics", "GET /openapi.json"];

#[actix_web::test]
async fn attack_another_method_of_a_path_needs_its_own_token() {
    let world = World::new().await;
    let mut kinds: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for route in ROUTES {
        kinds.entry(route.path).or_default().push(route);
    }
    let shared = kinds.values().filter(|routes| routes.len() > 1).count();
    assert!(shared > 0);
    for (path, routes) in kinds {
        let path = filled(path, &fresh(), &fresh());
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let (status, body) = world.call(method, &path, None, Some("k"), None).await;
            let known = routes.iter().find(|route| route.method.as_str() == method);
            let expected = match known {
                Some(route) if route.who == Who::Anyone => 200,
                Some(_) => 401,
                None => 405,
            };
            assert_eq!(status, expected, "{method} {path}: {body}");
        }
    }
    world.end().await;
}

#[actix_web::test]
async fn attack_a_large_body_is_refused_where_another_method_takes_one() {
    let world = World::new().await;
    let owner = world.owner("987-65-4320").await;
    let path = format!("/v1/profiles/{}", owner.profile);
    for route in ROUTES
        .iter()
        .filter(|route| route.who == Who::Owner && route.cap > 0)
    {
        let path = route.path.replace("/v1/profiles/{profile}", &path);
        let path = path.replace("{question}", &fresh());
        let path = path.replace("{domain}", "medical");
        let long = Value::String("x".repeat(route.cap));
        let (status, body) = world
            .call(
                route.method.as_str(),
                &path,
                Some(&owner.token),
                Some(&fresh()),
                Some(&long),
            )
            .await;
        assert_eq!((status, code(&body)), (413, "too-large"), "{path}");
    }
    world.end().await;
}

#[actix_web::test]
async fn attack_an_insurers_token_cannot_file_for_an_owner() {
    let world = World::new().await;
    let owner = world.owner("987-65-4320").await;
    let question = world.ask(&owner, "q").await.question;
    for token in [INSURER, AGENCY, OPERATOR, NAVIGATOR] {
        let path = format!("/v1/questions/{question}/advance");
        let (status, _) = world
            .call("POST", &path, Some(token), Some("k"), None)
            .await;
        assert_eq!(status, 401);
    }
    let path = format!("/v1/questions/{question}");
    let (_, body) = world
        .call("GET", &path, Some(&owner.token), None, None)
        .await;
    assert_eq!(parse::<Question>(body).state, State::Asked);
    world.end().await;
}

#[actix_web::test]
async fn attack_a_navigator_cannot_take_anothers_profile_by_its_key() {
    let world = World::new().await;
    let first = world.created("key").await;
    let (status, body) = world
        .call(
            "POST",
            "/v1/profiles",
            Some(SECOND_NAVIGATOR),
            Some("key"),
            None,
        )
        .await;
    assert_eq!(status, 201);
    let second: CreatedProfile = parse(body);
    assert_ne!(
        (second.profile, second.owner_token),
        (first.profile, first.owner_token)
    );
    world.end().await;
}

#[actix_web::test]
async fn who_calls_too_often_waits_and_others_do_not() {
    let world = World::with(|config| {
        config.limits.owner = 3;
        config.limits.anyone = 9;
    })
    .await;
    let owner = world.created("one").await;
    let other = world.created("two").await;
    let url = |id| format!("{}/v1/profiles/{id}", world.service.url());
    let get = |id, token: &str| world.client.get(url(id)).bearer_auth(token).send();
    assert_eq!(
        get(owner.profile, &owner.owner_token)
            .await
            .unwrap()
            .status(),
        200
    );
    let waits = get(owner.profile, &owner.owner_token).await.unwrap();
    assert_eq!(waits.status(), 429);
    let seconds: u64 = waits.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
    assert_eq!(waits.headers()["content-type"], "application/problem+json");
    let body: Value = serde_json::from_slice(&waits.bytes().await.unwrap()).unwrap();
    assert_eq!(code(&body), "too-many-requests");
    assert_eq!(
        get(other.profile, &other.owner_token)
            .await
            .unwrap()
            .status(),
        200
    );
    // Who guesses tokens waits too, after what is no token at all; and is written down no more often than that.
    let guess = || async { get(other.profile, &fresh()).await.unwrap() };
    let first = guess().await;
    assert_eq!(first.status(), 401);
    assert_eq!(first.headers()["www-authenticate"], "Bearer");
    let mut statuses = vec![];
    for _ in 0..10 {
        statuses.push(guess().await.status().as_u16());
    }
    assert_eq!(statuses, [[401; 2].as_slice(), &[429; 8]].concat());
    let unknown = audit(&world).await;
    let unknown = unknown.iter().filter(|event| event.kind == "unknown");
    assert_eq!(unknown.count(), 3);
    world.end().await;
}

#[actix_web::test]
async fn calls_are_written_down_without_facts_keys_or_ids_of_questions() {
    let world = World::new().await;
    let owner = world.owner("987-65-4320").await;
    let question = world.ask(&owner, "audited-key").await.question;
    world.until(&owner, &question, State::Attested).await;
    let path = format!("/v1/questions/{question}/token");
    let (status, _) = world
        .call("GET", &path, Some(&owner.token), None, None)
        .await;
    assert_eq!(status, 409);
    let events = audit(&world).await;
    let numbers: Vec<_> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<_>>());
    let told: Vec<_> = events
        .iter()
        .map(|it| {
            (
                it.kind.as_str(),
                it.method.as_str(),
                it.route.as_str(),
                it.status,
            )
        })
        .collect();
    for expected in [
        ("navigator", "POST", "/v1/profiles", 201),
        ("owner", "POST", "/v1/profiles/{profile}/enrol", 200),
        ("owner", "POST", "/v1/profiles/{profile}/questions", 201),
        ("owner", "POST", "/v1/questions/{question}/advance", 200),
        ("owner", "GET", "/v1/questions/{question}/token", 409),
    ] {
        assert!(told.contains(&expected), "{expected:?}: {told:?}");
    }
    let who = |event: &&AuditEvent| event.kind == "owner" && event.who != owner.profile.to_string();
    assert!(!events.iter().any(|event| who(&event)));
    let text = serde_json::to_string(&events).unwrap();
    for secret in [
        &owner.token,
        "audited-key",
        &question.to_string(),
        "us.medicaid",
        NAVIGATOR,
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
    // Pages follow each other, and reading is an event too.
    let (_, body) = world
        .call(
            "GET",
            "/v1/audit?after=1&limit=2",
            Some(OPERATOR),
            None,
            None,
        )
        .await;
    let page: AuditPage = parse(body);
    let seqs: Vec<_> = page.events.iter().map(|event| event.seq).collect();
    assert_eq!((seqs, page.next), (vec![2, 3], Some(3)));
    assert!(
        audit(&world)
            .await
            .iter()
            .any(|event| event.route == "/v1/audit" && event.who == "ops")
    );
    world.end().await;
}

#[actix_web::test]
async fn every_post_needs_an_idempotency_key_and_refuses_it_for_another_body() {
    let world = World::new().await;
    let owner = world.owner("987-65-4320").await;
    let question = world.ask(&owner, "q").await.question.to_string();
    let profile = owner.profile.to_string();
    for route in ROUTES.iter().filter(|route| route.method == "POST") {
        let path = filled(route.path, &profile, &question);
        let token = match route.who {
            Who::Navigator => NAVIGATOR,
            Who::Agency => AGENCY,
            Who::Operator => OPERATOR,
            _ => &owner.token,
        };
        for key in [None, Some("two words"), Some(&*"k".repeat(200))] {
            let (status, body) = world
                .call("POST", &path, Some(token), key, Some(&json!({})))
                .await;
            assert_eq!((status, code(&body)), (400, "bad-request"), "{path}");
            assert!(
                body["detail"]
                    .as_str()
                    .unwrap()
                    .starts_with("Idempotency-Key")
            );
        }
    }
    let (owner, _) = flagged(&world, "987-65-4321").await;
    let path = format!("/v1/profiles/{}/coverage/events", owner.profile);
    let report = |case| json!({"event": "disputed", "case": case});
    for (case, expected) in [(1, 204), (1, 204), (2, 422)] {
        let (status, body) = world
            .call(
                "POST",
                &path,
                Some(&owner.token),
                Some("k"),
                Some(&report(case)),
            )
            .await;
        assert_eq!(status, expected, "{body}");
    }
    world.end().await;
}

#[actix_web::test]
async fn a_repeated_advance_takes_one_step() {
    let world = World::new().await;
    let owner = world.owner("987-65-4320").await;
    let question = world.ask(&owner, "q").await.question;
    let path = format!("/v1/questions/{question}/advance");
    let advance = |key: &'static str| {
        let (world, path, token) = (&world, path.clone(), owner.token.clone());
        async move {
            let (status, body) = world
                .call("POST", &path, Some(&token), Some(key), None)
                .await;
            assert_eq!(status, 200, "{body}");
            parse::<Question>(body).state
        }
    };
    assert_eq!(advance("one").await, State::Attested);
    assert_eq!(advance("one").await, State::Attested);
    assert_eq!(advance("two").await, State::Proved);
    assert_eq!(advance("one").await, State::Proved);
    // A step that failed is done by the same call.
    (1..=4).for_each(|node| world.lie(crate::testing::Lie::Down(node)));
    let (status, _) = world
        .call("POST", &path, Some(&owner.token), Some("three"), None)
        .await;
    assert_eq!(status, 503);
    world.honest();
    assert_eq!(advance("three").await, State::Decided);
    assert_eq!(advance("three").await, State::Decided);
    world.end().await;
}

#[actix_web::test]
async fn attack_metrics_name_no_owner_question_or_key() {
    let world = World::new().await;
    let owner = world.owner("987-65-7010").await;
    let question = world.ask(&owner, "q").await.question;
    world.until(&owner, &question, State::Done).await;
    let url = format!("{}/metrics", world.service.url());
    let text = world
        .client
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let asked =
        r#"profile_requests_total{route="POST /v1/profiles/{profile}/questions",status="201"} 1"#;
    assert!(text.contains(asked), "{text}");
    assert!(
        text.contains(r#"profile_waiting{kind="task"} 0"#) && text.ends_with("# EOF\n"),
        "{text}"
    );
    for secret in [owner.profile.to_string(), owner.token, question.to_string()] {
        assert!(!text.contains(&secret));
    }
    world.end().await;
}

/// Attack: a client sends a body byte by byte to keep a connection and its memory.
#[actix_web::test]
async fn attack_a_body_that_does_not_come_is_not_waited_for() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new().await;
    let mut stream = tokio::net::TcpStream::connect(world.service.address())
        .await
        .unwrap();
    let head = format!(
        "POST /v1/grants HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {OPERATOR}\r\nidempotency-key: {}\r\n\
         content-type: application/json\r\ncontent-length: 64\r\n\r\n{{",
        fresh()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let patience = oracles::http::BODY_TIMEOUT * 2;
    let read = tokio::time::timeout(patience, stream.read(&mut answer)).await;
    let read = read.expect("an answer").unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("too-slow"), "{answer}");
    world.end().await;
}
