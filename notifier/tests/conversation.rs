//! What people say beside YES and NO, and what the service does about phones, by its HTTP API and its phone network alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::{ANA, BRUNO, NAVIGATOR, OPERATOR, OTHER, PROFILE, World, eventually};

async fn events(world: &World, token: &str) -> Vec<(String, String, String)> {
    let (status, body) = world.get("/v1/events", token).await;
    assert_eq!(status, 200, "{body}");
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    let events = body["events"].as_array().unwrap().iter();
    events
        .map(|event| {
            (
                text(event, "kind"),
                text(event, "subject"),
                text(event, "detail"),
            )
        })
        .collect()
}

fn event(kind: &str, subject: &str, detail: &str) -> (String, String, String) {
    (kind.to_owned(), subject.to_owned(), detail.to_owned())
}

async fn state(world: &World, contact: &str) -> Value {
    world
        .get(&format!("/v1/contacts/{contact}"), NAVIGATOR)
        .await
        .1
}

#[tokio::test]
async fn nothing_is_asked_of_a_phone_that_has_not_said_yes() {
    let world = World::new().await;
    let enrolled = world.enrol(ANA, "en").await;
    let contact = enrolled["contact"].as_str().unwrap();
    let refused = |kind: &str| json!(format!("urn:shp:problem:{kind}"));
    let (status, problem) = world
        .post("/v1/messages", PROFILE, &world.question(contact, "d1", 0))
        .await;
    assert_eq!((status, &problem["type"]), (409, &refused("unverified")));
    world.texts_to(ANA, 1).await;
    let code = world.code_texted(ANA, "Did you ask").await;
    world.text(BRUNO, "m1", &format!("YES {code}")).await;
    assert_eq!(
        state(&world, contact).await["state"],
        "unverified",
        "another phone's YES"
    );
    world.text(ANA, "m2", &format!("NO {code}")).await;
    assert_eq!(state(&world, contact).await["state"], "refused");
    let (status, problem) = world
        .post("/v1/messages", PROFILE, &world.question(contact, "d1", 0))
        .await;
    assert_eq!((status, &problem["type"]), (409, &refused("refused")));
    world.end().await;
}

#[tokio::test]
async fn an_old_verification_is_asked_for_again() {
    let mut world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    world.kill();
    world
        .sql("UPDATE contact SET verified_at = verified_at - 366 * 86400")
        .await;
    world.restart().await;
    let (status, problem) = world
        .post("/v1/messages", PROFILE, &world.question(&contact, "d1", 0))
        .await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:shp:problem:unverified"))
    );
    world.texts_to(ANA, 1).await;
    let code = world.code_texted(ANA, "Did you ask").await;
    world.text(ANA, "m1", &format!("yes {code}")).await;
    world.ask(&contact, "d1", 0).await;
    world.end().await;
}

#[tokio::test]
async fn wrong_disputes_undo_takes_back_and_both_are_told() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let asked = world.ask(&contact, "d1", 600).await;
    world
        .text(ANA, "m1", &format!("wrong {}", asked.code))
        .await;
    let (status, problem) = world.reply("d1", 5).await;
    assert_eq!(
        (status, &problem["type"]),
        (410, &json!("urn:shp:problem:disputed"))
    );
    let asked = world.ask(&contact, "d2", 600).await;
    world.text(ANA, "m2", &format!("yes {}", asked.code)).await;
    world.text(ANA, "m3", "undo").await;
    assert_eq!(world.reply("d2", 5).await.1["answer"], "NO");
    // Too late to take back or to dispute in silence: a person is pointed to, and the caller is told.
    let asked = world.ask(&contact, "d3", 0).await;
    world.text(ANA, "m4", &format!("yes {}", asked.code)).await;
    world
        .text(ANA, "m5", &format!("wrong {}", asked.code))
        .await;
    assert_eq!(world.reply("d3", 5).await.1["answer"], "YES");
    let told: Vec<_> = events(&world, PROFILE)
        .await
        .into_iter()
        .filter(|(kind, ..)| kind != "message")
        .collect();
    assert_eq!(
        told,
        [
            event("closed", "d1", "disputed"),
            event("reply", "d2", "NO"),
            event("reply", "d3", "YES"),
            event("dispute", "d3", "late"),
        ]
    );
    assert_eq!(
        events(&world, OTHER).await,
        [],
        "another caller learns nothing"
    );
    let (_, body) = world.get("/v1/events?after=1", PROFILE).await;
    let reply = body["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["subject"] == "d2")
        .unwrap()["reply"]
        .clone();
    world.assert_signed(&reply, "d2");
    world.end().await;
}

/// On Postgres the receipt is held up between reading the decision and writing it, as on a busy machine by chance.
#[tokio::test]
async fn an_undo_is_not_lost_to_the_receipt_of_the_text_that_offers_it() {
    let mut world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    if world.is_postgres() {
        world.kill();
        // Until it is committed, only the receipt's own transaction sees that the text has left.
        world
            .sql(
                "CREATE FUNCTION held_up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN \
                 IF EXISTS (SELECT 1 FROM message WHERE template = ''confirm'' AND state = ''sent'') \
                 THEN PERFORM pg_sleep(1.5); END IF; RETURN NULL; END'",
            )
            .await;
        world
            .sql(
                "CREATE TRIGGER held_up BEFORE UPDATE ON decision \
                 FOR EACH STATEMENT EXECUTE FUNCTION held_up()",
            )
            .await;
        world.restart().await;
    }
    let asked = world.ask(&contact, "d1", 600).await;
    world.text(ANA, "m1", &format!("yes {}", asked.code)).await;
    world.texts_to(ANA, 2).await;
    world.text(ANA, "m2", "undo").await;
    world.texts_to(ANA, 3).await;
    assert_eq!(world.reply("d1", 5).await.1["answer"], "NO");
    world.end().await;
}

/// On Postgres the first two attempts to take it in end in a deadlock; a sequence is not rolled back with them.
#[tokio::test]
async fn a_text_that_met_a_deadlock_is_taken_in_all_the_same() {
    let mut world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    if world.is_postgres() {
        world.kill();
        for statement in [
            "CREATE SEQUENCE attempt",
            "CREATE FUNCTION deadlock() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN \
             IF nextval(''attempt'') <= 2 THEN RAISE EXCEPTION ''met'' USING ERRCODE = ''40P01''; END IF; \
             RETURN NEW; END'",
            "CREATE TRIGGER deadlock BEFORE INSERT ON inbound FOR EACH ROW EXECUTE FUNCTION deadlock()",
        ] {
            world.sql(statement).await;
        }
        world.restart().await;
    }
    let asked = world.ask(&contact, "d1", 0).await;
    world.text(ANA, "m1", &format!("yes {}", asked.code)).await;
    assert_eq!(world.reply("d1", 5).await.1["answer"], "YES");
    world.end().await;
}

#[tokio::test]
async fn a_shared_phone_is_told_no_more_than_that_there_is_a_message() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    world.text(ANA, "m1", "SHARED").await;
    world.texts_to(ANA, 1).await;
    world.ask(&contact, "d1", 0).await;
    let texts = world.texts_to(ANA, 2).await;
    assert!(
        texts[1].starts_with("Coverage helper: You have a message."),
        "{texts:?}"
    );
    assert_eq!(state(&world, &contact).await["shared"], true);
    world.end().await;
}

#[tokio::test]
async fn a_wrong_number_is_not_texted_again_and_the_caller_is_told() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    world.ask(&contact, "d1", 0).await;
    world.texts_to(ANA, 1).await;
    world.text(ANA, "m1", "Sorry, wrong number").await;
    assert_eq!(
        world.reply("d1", 5).await.1["type"],
        "urn:shp:problem:not-me"
    );
    assert_eq!(state(&world, &contact).await["state"], "suspended");
    assert!(
        events(&world, PROFILE)
            .await
            .contains(&event("contact", &contact, "suspended"))
    );
    let told = json!({ "contact": contact, "template": "filed", "params": {"jurisdiction": "CA"}, "idempotency_key": "k" });
    assert_eq!(world.post("/v1/messages", PROFILE, &told).await.0, 409);
    world.end().await;
}

#[tokio::test]
async fn a_stranger_is_never_answered_but_a_strangers_stop_is_kept() {
    let world = World::new().await;
    for (id, text) in [
        ("m1", "YES K7"),
        ("m2", "help"),
        ("m3", "hello?"),
        ("m4", "STOP"),
    ] {
        world.text(BRUNO, id, text).await;
    }
    let enrolled = world.enrol(BRUNO, "es").await;
    let contact = enrolled["contact"].as_str().unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert_eq!(world.texts_to(BRUNO, 0).await, Vec::<String>::new());
    assert_eq!(state(&world, contact).await["stopped"], true);
    world.end().await;
}

#[tokio::test]
async fn a_number_is_changed_by_its_recovery_code_and_the_new_phones_yes() {
    let world = World::new().await;
    let enrolled = world.enrol(ANA, "en").await;
    let contact = enrolled["contact"].as_str().unwrap();
    world.texts_to(ANA, 1).await;
    let code = world.code_texted(ANA, "Did you ask").await;
    world.text(ANA, "m1", &format!("yes {code}")).await;
    let path = format!("/v1/contacts/{contact}/phone");
    let change = |code: &str| json!({ "phone": BRUNO, "recovery_code": code });
    let (status, problem) = world
        .post(&path, NAVIGATOR, &change("AAAA-AAAA-AAAA"))
        .await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:shp:problem:recovery-code"))
    );
    assert_eq!(world.post(&path, PROFILE, &change("x")).await.0, 403);
    eventually(|| async {
        world
            .post(
                &path,
                NAVIGATOR,
                &change(enrolled["recovery_code"].as_str().unwrap()),
            )
            .await
            .0
            == 204
    })
    .await;
    assert_eq!(state(&world, contact).await["state"], "unverified");
    world.texts_to(BRUNO, 1).await;
    eventually(|| async {
        world
            .texts_to(ANA, 2)
            .await
            .iter()
            .any(|text| text.contains("your new phone"))
    })
    .await;
    let code = world.code_texted(BRUNO, "Did you ask").await;
    world.text(ANA, "m2", &format!("yes {code}")).await;
    assert_eq!(
        state(&world, contact).await["state"],
        "unverified",
        "the old phone cannot verify the new one"
    );
    world.text(BRUNO, "m3", &format!("yes {code}")).await;
    assert_eq!(state(&world, contact).await["state"], "verified");
    world.end().await;
}

#[tokio::test]
async fn attack_recovery_codes_cannot_be_guessed_for_long() {
    let world = World::new().await;
    let enrolled = world.enrol(ANA, "en").await;
    let path = format!(
        "/v1/contacts/{}/phone",
        enrolled["contact"].as_str().unwrap()
    );
    let mut last = Value::Null;
    for _ in 0..5 {
        last = world
            .post(
                &path,
                NAVIGATOR,
                &json!({ "phone": BRUNO, "recovery_code": "AAAA-AAAA-AAAA" }),
            )
            .await
            .1;
    }
    assert_eq!(last["type"], "urn:shp:problem:recovery-code");
    let right = json!({ "phone": BRUNO, "recovery_code": enrolled["recovery_code"] });
    assert_eq!(
        world.post(&path, NAVIGATOR, &right).await.1["type"],
        "urn:shp:problem:recovery-locked"
    );
    world.end().await;
}

#[tokio::test]
async fn a_reminder_goes_out_before_the_deadline_unless_the_question_was_answered() {
    let mut world = World::new().await;
    let (ana, bruno) = (
        world.contact(ANA, "en").await,
        world.contact(BRUNO, "es").await,
    );
    world.ask(&ana, "d1", 0).await;
    let asked = world.ask(&bruno, "d2", 0).await;
    world.texts_to(BRUNO, 1).await;
    world.text(BRUNO, "m1", &format!("no {}", asked.code)).await;
    world.texts_to(ANA, 1).await;
    world.texts_to(BRUNO, 2).await;
    world.kill();
    // As on the day before the deadline.
    world
        .sql("UPDATE message SET due = 0 WHERE template = 'reminder' AND state = 'queued'")
        .await;
    world.restart().await;
    assert!(world.texts_to(ANA, 2).await[1].contains("We still need to hear from you"));
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(world.texts_to(BRUNO, 2).await.len(), 2);
    world.end().await;
}

#[tokio::test]
async fn unasked_texts_wait_for_the_daily_cap() {
    let world = World::with(|config| config.replace("daily_cap = 50", "daily_cap = 1")).await;
    let contact = world.contact(ANA, "en").await;
    let told = |key: &str| json!({ "contact": contact, "template": "filed", "params": {"jurisdiction": "CA"}, "idempotency_key": key });
    world.post("/v1/messages", PROFILE, &told("k1")).await;
    world.texts_to(ANA, 1).await;
    let second = world.post("/v1/messages", PROFILE, &told("k2")).await.1;
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    let path = format!("/v1/messages/{}", second["id"].as_str().unwrap());
    assert_eq!(world.get(&path, PROFILE).await.1["state"], "queued");
    assert_eq!(world.texts_to(ANA, 1).await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_text_that_nobody_takes_is_a_dead_letter_that_can_be_sent_again() {
    // A folder that cannot be written to is a provider that takes nothing.
    let attempts = |config: String| {
        config.replace(
            "receipt_wait_seconds = 1",
            "receipt_wait_seconds = 1, max_attempts = 2",
        )
    };
    let world = World::with(attempts).await;
    let contact = world.contact(ANA, "en").await;
    world.break_provider();
    let told = json!({ "contact": contact, "template": "filed", "params": {"jurisdiction": "CA"}, "idempotency_key": "k" });
    let id = world.post("/v1/messages", PROFILE, &told).await.1["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let letters =
        || async { world.get("/v1/dead-letters", OPERATOR).await.1["dead_letters"].clone() };
    eventually(|| async { letters().await.as_array().is_some_and(|all| all.len() == 1) }).await;
    let letter = letters().await[0].clone();
    assert_eq!(
        (&letter["id"], &letter["reason"], &letter["template"]),
        (&json!(id), &json!("exhausted"), &json!("filed"))
    );
    assert_eq!(world.get("/v1/dead-letters", PROFILE).await.0, 403);
    world.mend_provider();
    assert_eq!(
        world
            .post(
                &format!("/v1/dead-letters/{id}/replay"),
                OPERATOR,
                &Value::Null
            )
            .await
            .0,
        204
    );
    assert_eq!(world.texts_to(ANA, 1).await.len(), 1);
    eventually(|| async {
        let metrics = world.text_of("/metrics").await;
        metrics.contains("notifier_texts_total{template=\"filed\",outcome=\"sent\"} 1")
            && metrics.contains("outcome=\"dead\"} 1")
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn a_yes_after_the_deadline_does_nothing_and_the_caller_is_told() {
    let mut world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let yes = world.ask(&contact, "d1", 600).await;
    world.kill();
    world
        .sql("UPDATE decision SET deadline = deadline - 30 * 86400")
        .await;
    world.restart().await;
    world.text(ANA, "m1", &format!("YES {}", yes.code)).await;
    world.text(ANA, "m2", &format!("NO {}", yes.code)).await;
    let (status, problem) = world.reply("d1", 5).await;
    assert_eq!(
        (status, &problem["type"]),
        (410, &json!("urn:shp:problem:expired"))
    );
    let about: Vec<_> = events(&world, PROFILE)
        .await
        .into_iter()
        .filter(|(_, subject, _)| subject == "d1")
        .collect();
    assert_eq!(
        about,
        [event("closed", "d1", "expired"), event("late", "d1", "YES")]
    );
    world.end().await;
}
