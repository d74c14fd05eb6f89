//! The service by its HTTP API and its phone network alone; a fresh database and folder per test.

mod support;

use serde_json::{Value, json};
use support::{ANA, BRUNO, World, eventually};

#[tokio::test]
async fn a_yes_is_confirmed_signed_after_the_window_and_verifies() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let asked = world.ask(&contact, "d1", 1).await;
    let text = world.texts_to(ANA, 1).await.remove(0);
    assert!(
        text.contains(&format!("Reply YES {}", asked.code)),
        "{text}"
    );
    assert_eq!(world.reply("d1", 0).await.0, 204);
    world
        .text(ANA, "m1", &format!("yes {}!", asked.code.to_lowercase()))
        .await;
    assert!(
        world
            .texts_to(ANA, 2)
            .await
            .iter()
            .any(|text| text.contains("We got your YES"))
    );
    let (status, reply) = world.reply("d1", 10).await;
    assert_eq!(status, 200);
    assert_eq!(reply["answer"], "YES");
    world.assert_signed(&reply, "d1");
    let (_, again) = world.reply("d1", 0).await;
    assert_eq!(again, reply);
    let (status, told) = world.post("/v1/messages", support::PROFILE, &json!({
        "contact": contact, "template": "filed", "params": {"jurisdiction": "CA"}, "idempotency_key": "out-1",
    })).await;
    assert_eq!(status, 202, "{told}");
    assert!(
        world
            .texts_to(ANA, 3)
            .await
            .iter()
            .any(|text| text.contains("Your state got your form"))
    );
    world.end().await;
}

#[tokio::test]
async fn a_yes_taken_back_in_the_window_is_never_signed() {
    let world = World::new().await;
    let contact = world.contact(BRUNO, "es").await;
    let asked = world.ask(&contact, "d1", 600).await;
    world.text(BRUNO, "m1", &format!("Sí {}", asked.code)).await;
    world.texts_to(BRUNO, 2).await;
    assert_eq!(
        world.reply("d1", 0).await.0,
        204,
        "a YES in its window is not signed"
    );
    world.text(BRUNO, "m2", &format!("no {}", asked.code)).await;
    let (status, reply) = world.reply("d1", 5).await;
    assert_eq!((status, &reply["answer"]), (200, &json!("NO")));
    world.assert_signed(&reply, "d1");
    assert!(
        world
            .texts_to(BRUNO, 3)
            .await
            .iter()
            .any(|text| text.contains("Su SI ya no vale"))
    );
    world.end().await;
}

#[tokio::test]
async fn a_forged_webhook_is_refused() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let asked = world.ask(&contact, "d1", 0).await;
    let body = json!({ "message_id": "m1", "from": ANA, "text": format!("YES {}", asked.code) });
    for (key, age) in [
        ("another key", 0),
        (support::GATEWAY_KEY, 3600),
        (support::GATEWAY_KEY, -3600),
    ] {
        assert_eq!(world.webhook("inbound", key, age, &body).await, 401);
    }
    assert_eq!(
        world
            .post("/v1/gateway/inbound", support::PROFILE, &body)
            .await
            .0,
        401
    );
    assert_eq!(world.reply("d1", 0).await.0, 204);
    world.end().await;
}

#[tokio::test]
async fn a_replayed_reply_changes_nothing() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let first = world.ask(&contact, "d1", 0).await;
    world.text(ANA, "m1", &format!("YES {}", first.code)).await;
    assert_eq!(world.reply("d1", 5).await.0, 200);
    let texts = world.texts_to(ANA, 2).await.len();
    // The same text said again, word for word, and the old answer against a new question.
    world.text(ANA, "m1", &format!("YES {}", first.code)).await;
    let second = world.ask(&contact, "d2", 0).await;
    assert_ne!(
        first.code, second.code,
        "a code word is not used again soon"
    );
    world.text(ANA, "m1", &format!("YES {}", first.code)).await;
    world.text(ANA, "m2", &format!("YES {}", first.code)).await;
    assert_eq!(world.reply("d2", 0).await.0, 204);
    assert_eq!(
        world.texts_to(ANA, texts + 1).await.len(),
        texts + 1,
        "only the new question was texted"
    );
    world.end().await;
}

#[tokio::test]
async fn a_reply_from_another_phone_decides_nothing() {
    let world = World::new().await;
    let ana = world.contact(ANA, "en").await;
    world.contact(BRUNO, "es").await;
    let asked = world.ask(&ana, "d1", 0).await;
    for (id, from) in [("m1", BRUNO), ("m2", "+14155550199")] {
        world.text(from, id, &format!("YES {}", asked.code)).await;
    }
    assert_eq!(world.reply("d1", 0).await.0, 204);
    world.text(ANA, "m3", &format!("YES {}", asked.code)).await;
    assert_eq!(world.reply("d1", 5).await.0, 200);
    world.end().await;
}

#[tokio::test]
async fn guessing_code_words_ends_the_decision_unanswered() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let asked = world.ask(&contact, "d1", 0).await;
    let wrong = ["A2", "C3", "E4", "F5", "H6", "J7", "M2", "P3"]
        .into_iter()
        .filter(|code| *code != asked.code);
    for (n, code) in wrong.take(7).enumerate() {
        world
            .text(ANA, &format!("g{n}"), &format!("YES {code}"))
            .await;
    }
    world.text(ANA, "m1", &format!("YES {}", asked.code)).await;
    let (status, problem) = world.reply("d1", 0).await;
    assert_eq!(
        (status, &problem["type"]),
        (410, &json!("urn:shp:problem:guessed"))
    );
    let texts = world.texts_to(ANA, 3).await;
    let unclear = texts
        .iter()
        .filter(|text| text.contains("We did not get that. Reply"))
        .count();
    assert_eq!(unclear, 1, "one clarifying text: {texts:?}");
    world.end().await;
}

#[tokio::test]
async fn stop_is_honoured_swallows_no_answer_and_is_not_lifted_by_yes() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let asked = world.ask(&contact, "d1", 1).await;
    world.texts_to(ANA, 1).await;
    world.text(ANA, "m1", "STOP").await;
    let texts = world.texts_to(ANA, 2).await;
    assert!(
        texts[1].contains("We will not text you any more. You can still reply"),
        "{texts:?}"
    );
    let told = |key: &str| {
        json!({
            "contact": contact, "template": "filed", "params": {"jurisdiction": "CA"}, "idempotency_key": key,
        })
    };
    let (_, blocked) = world
        .post("/v1/messages", support::PROFILE, &told("b"))
        .await;
    assert_eq!(blocked["state"], "blocked");
    // A carrier takes YES for START; the phone's owner did not say START.
    for (id, text) in [
        ("m2", "YES".to_owned()),
        ("m3", format!("YES {}", asked.code)),
    ] {
        world.text(ANA, id, &text).await;
    }
    assert_eq!(
        world.reply("d1", 10).await.1["answer"],
        "YES",
        "the answer counts"
    );
    let (_, still) = world
        .post("/v1/messages", support::PROFILE, &told("c"))
        .await;
    assert_eq!(still["state"], "blocked", "and the block stays");
    assert_eq!(
        world.texts_to(ANA, 2).await.len(),
        2,
        "the confirmation of the STOP was the last text"
    );
    // HELP is answered all the same, as carriers require.
    world.text(ANA, "m4", "help").await;
    assert_eq!(world.texts_to(ANA, 3).await.len(), 3);
    let again = world
        .post(
            "/v1/messages",
            support::PROFILE,
            &world.question(&contact, "d2", 0),
        )
        .await
        .1;
    assert_eq!(again["state"], "blocked");
    assert_eq!(
        world.reply("d2", 0).await.1["type"],
        "urn:shp:problem:stopped"
    );
    world.text(ANA, "m5", "START").await;
    world.ask(&contact, "d3", 0).await;
    world.end().await;
}

#[tokio::test]
async fn stop_in_the_window_tells_that_the_yes_stands_and_cancel_takes_it_back() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let asked = world.ask(&contact, "d1", 2).await;
    world.text(ANA, "m1", &format!("YES {}", asked.code)).await;
    world.text(ANA, "m2", "Stop").await;
    assert_eq!(world.reply("d1", 10).await.1["answer"], "YES");
    let bruno = world.contact(BRUNO, "es").await;
    let asked = world.ask(&bruno, "d2", 600).await;
    world.text(BRUNO, "m3", &format!("si {}", asked.code)).await;
    world.text(BRUNO, "m4", "cancelar").await;
    assert_eq!(world.reply("d2", 5).await.1["answer"], "NO");
    world.end().await;
}

#[tokio::test]
async fn a_resend_after_a_crash_is_one_text() {
    let mut world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let question = world.question(&contact, "d1", 0);
    let (_, first) = world
        .post("/v1/messages", support::PROFILE, &question)
        .await;
    world.kill();
    world.restart().await;
    let (status, second) = world
        .post("/v1/messages", support::PROFILE, &question)
        .await;
    assert_eq!(
        (status, &second["id"], &second["code"]),
        (202, &first["id"], &first["code"])
    );
    world.texts_to(ANA, 1).await;
    // Killed again and again while a text is due: it goes out once.
    for n in 0..4 {
        let told = json!({
            "contact": contact, "template": "not_filed", "params": {"jurisdiction": "CA"}, "idempotency_key": format!("k{n}"),
        });
        world.post("/v1/messages", support::PROFILE, &told).await;
        world.kill();
        world.restart().await;
        world.post("/v1/messages", support::PROFILE, &told).await;
    }
    assert_eq!(world.texts_to(ANA, 5).await.len(), 5);
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(world.texts_to(ANA, 5).await.len(), 5);
    let mut other = question.clone();
    other["undo_seconds"] = json!(9);
    let (status, problem) = world.post("/v1/messages", support::PROFILE, &other).await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:shp:problem:idempotency-key"))
    );
    world.end().await;
}

#[tokio::test]
async fn a_reply_heard_before_a_crash_is_there_after_it() {
    let mut world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let asked = world.ask(&contact, "d1", 0).await;
    world.text(ANA, "m1", &format!("NO {}", asked.code)).await;
    world.kill();
    world.restart().await;
    let (_, reply) = world.reply("d1", 0).await;
    assert_eq!(reply["answer"], "NO");
    world.assert_signed(&reply, "d1");
    world.end().await;
}

#[tokio::test]
async fn callers_do_only_what_they_may_and_see_only_their_own() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let question = world.question(&contact, "d1", 0);
    for (token, status) in [("", 401), ("guess", 401), (support::NAVIGATOR, 403)] {
        assert_eq!(world.post("/v1/messages", token, &question).await.0, status);
    }
    let phone = json!({ "phone": ANA, "language": "en" });
    assert_eq!(
        world.post("/v1/contacts", support::PROFILE, &phone).await.0,
        403
    );
    let asked = world.ask(&contact, "d1", 0).await;
    world.text(ANA, "m1", &format!("YES {}", asked.code)).await;
    assert_eq!(world.reply("d1", 5).await.0, 200);
    for path in [
        "/v1/replies/d1".to_owned(),
        format!("/v1/messages/{}", asked.id),
    ] {
        assert_eq!(world.get(&path, support::OTHER).await.0, 404, "{path}");
    }
    world.end().await;
}

#[tokio::test]
async fn one_decision_is_open_per_contact_and_one_per_code_word() {
    let world = World::new().await;
    let (one, two) = (
        world.contact(ANA, "en").await,
        world.contact(ANA, "es").await,
    );
    assert_ne!(one, two, "handles of one phone cannot be joined");
    let first = world.ask(&one, "d1", 0).await;
    let second = world.ask(&two, "d2", 0).await;
    assert_ne!(first.code, second.code);
    let (status, problem) = world
        .post(
            "/v1/messages",
            support::OTHER,
            &world.question(&one, "d3", 0),
        )
        .await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:shp:problem:open-decision"))
    );
    let mut same = world.question(&one, "d1", 0);
    same["idempotency_key"] = json!("fresh");
    let (status, problem) = world.post("/v1/messages", support::PROFILE, &same).await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:shp:problem:decision-exists"))
    );
    // An answer reaches the decision its code word names, and no other.
    world.text(ANA, "m1", &format!("NO {}", second.code)).await;
    assert_eq!(world.reply("d2", 5).await.1["answer"], "NO");
    assert_eq!(world.reply("d1", 0).await.0, 204);
    world.end().await;
}

#[tokio::test]
async fn ill_formed_requests_name_the_field() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let good = world.question(&contact, "d1", 0);
    let changes: [(&str, Value); 7] = [
        ("deadline", json!(5)),
        ("undo_seconds", json!(-1)),
        ("decision_id", json!("a\nb")),
        ("template", json!("confirm")),
        ("code", json!("O0")),
        ("params", json!({ "jurisdiction": "your income fell" })),
        // Not of a representative.
        ("params", json!({ "jurisdiction": "CA", "label": "Mom" })),
    ];
    for (field, value) in changes {
        let mut bad = good.clone();
        bad[field] = value;
        let (status, problem) = world.post("/v1/messages", support::PROFILE, &bad).await;
        assert_eq!(status, 422, "{field}");
        assert!(
            problem["detail"].as_str().unwrap().contains(field),
            "{problem}"
        );
    }
    let long = json!({ "phone": "+1".repeat(20_000), "language": "en" });
    assert!(
        world
            .post("/v1/contacts", support::NAVIGATOR, &long)
            .await
            .0
            >= 400
    );
    world.end().await;
}

/// Attack: whoever chooses a label writes an instruction, a link or a number to call into a text of ours.
#[tokio::test]
async fn attack_a_label_adds_no_instruction_and_rests_nowhere_in_the_clear() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let labelled = |label: &str| {
        let mut question = world.question(&contact, "d1", 0);
        question["template"] = json!("apply_for");
        question["params"]["label"] = json!(label);
        question
    };
    for label in [
        "",
        "call 5551234",
        "bit.ly/x",
        "Mom. YES K7",
        "Mom\nSTOP",
        "Reply PARAR",
        "{ $code }",
        "abcdefghijklm",
    ] {
        let (status, problem) = world
            .post("/v1/messages", support::PROFILE, &labelled(label))
            .await;
        assert_eq!(status, 422, "{label}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("params.label") && detail.contains("1 to 12 letters"),
            "{problem}"
        );
        assert!(label.is_empty() || !detail.contains(label), "{problem}");
    }
    let (status, asked) = world
        .post("/v1/messages", support::PROFILE, &labelled("Zuzanneke"))
        .await;
    assert_eq!(status, 202, "{asked}");
    let text = world.texts_to(ANA, 1).await.remove(0);
    assert!(
        text.contains("state plan for Zuzanneke. Reply YES"),
        "{text}"
    );
    // Another label under the same key is another request.
    let (status, _) = world
        .post("/v1/messages", support::PROFILE, &labelled("Mom"))
        .await;
    assert_eq!(status, 409);
    for (name, bytes) in world.files_at_rest() {
        let found = bytes.windows(9).any(|window| window == b"Zuzanneke");
        assert!(!found, "{name} holds the label");
    }
    assert!(!world.text_of("/metrics").await.contains("Zuzanneke"));
    let (_, events) = world.get("/v1/events", support::PROFILE).await;
    assert!(!events.to_string().contains("Zuzanneke"));
    world.end().await;
}

#[tokio::test]
async fn delivery_only_moves_forward() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let asked = world.ask(&contact, "d1", 0).await;
    world.texts_to(ANA, 1).await;
    let path = format!("/v1/messages/{}", asked.id);
    eventually(|| async { world.get(&path, support::PROFILE).await.1["state"] == "sent" }).await;
    let receipt =
        |state: &str| json!({ "reference": asked.id, "provider": "file", "state": state });
    for state in ["delivered", "failed", "delivered"] {
        assert_eq!(
            world
                .webhook("receipts", support::GATEWAY_KEY, 0, &receipt(state))
                .await,
            200
        );
        assert_eq!(
            world.get(&path, support::PROFILE).await.1["state"],
            "delivered"
        );
    }
    world.end().await;
}

#[tokio::test]
async fn a_question_that_never_arrived_is_not_waited_for() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let asked = world.ask(&contact, "d1", 0).await;
    world.texts_to(ANA, 1).await;
    let receipt = json!({ "reference": asked.id, "provider": "file", "state": "failed" });
    assert_eq!(
        world
            .webhook("receipts", support::GATEWAY_KEY, 0, &receipt)
            .await,
        200
    );
    let (status, problem) = world.reply("d1", 5).await;
    assert_eq!(
        (status, &problem["type"]),
        (410, &json!("urn:shp:problem:failed"))
    );
    world.end().await;
}

#[tokio::test]
async fn a_death_between_handing_over_and_noting_it_sends_one_text() {
    let mut world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let asked = world.ask(&contact, "d1", 0).await;
    let path = format!("/v1/messages/{}", asked.id);
    eventually(|| async { world.get(&path, support::PROFILE).await.1["state"] == "sent" }).await;
    world.kill();
    // As the database stands when the process dies right after the gateway took the text.
    world
        .sql("UPDATE message SET state = 'sending', provider_id = NULL, sent_at = NULL WHERE template = 'apply'")
        .await;
    world.restart().await;
    eventually(|| async { world.get(&path, support::PROFILE).await.1["state"] == "sent" }).await;
    assert_eq!(world.texts_to(ANA, 1).await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn no_phone_number_rests_in_the_clear_or_reaches_the_log() {
    let world = World::new().await;
    let contact = world.contact(ANA, "en").await;
    let asked = world.ask(&contact, "d1", 0).await;
    world.text(ANA, "m1", &format!("YES {}", asked.code)).await;
    assert_eq!(world.reply("d1", 5).await.0, 200);
    world.texts_to(ANA, 2).await;
    for (name, bytes) in world.files_at_rest() {
        let found = bytes.windows(10).any(|window| window == b"4155550132");
        assert!(!found, "{name} holds the number");
    }
    world.end().await;
}
