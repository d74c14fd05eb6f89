//! Whole questions, from enrolment to receipts.

use contracts::application::Answer;
use contracts::bundle::Bundle;
use contracts::ids::Verdict;
use contracts::presentation::verify;
use contracts::rules::registry;

use crate::api::types::{Outcome, State, TokenAnswer, WaitingFor};
use crate::testing::{Lie, World, fresh, parse};

#[actix_web::test]
async fn a_yes_travels_from_attestation_to_receipts() {
    let world = World::new().await;
    let owner = world.owner("987-65-4321").await;
    let question = world.ask(&owner, "q").await;
    let id = question.question;
    let mut states = vec![question.state];
    for _ in 0..7 {
        states.push(world.advance(&owner, &id).await.state);
    }
    use State::{Approved, Asked, Attested, Decided, Done, Filed, Proved, Texted};
    assert_eq!(
        states,
        [
            Asked, Attested, Proved, Decided, Texted, Approved, Filed, Done
        ]
    );
    let done = world.advance(&owner, &id).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    assert_eq!(done.verdict, Some(Verdict::Yes));
    assert_eq!(done.application.as_deref(), Some("CA-0"));
    assert_eq!(done.receipts, ["decision", "approval", "application"]);
    // One decision, two texts (ask and tell), one application; entries of five roots and these three: nothing twice.
    assert_eq!(world.counts(), (1, 2, 1, 5 + 3));

    let path = format!("/v1/questions/{id}/token");
    let (_, body) = world
        .call("GET", &path, Some(&owner.token), None, None)
        .await;
    let token: TokenAnswer = parse(body);
    let url = format!("{}/v1/questions/{id}/bundle", world.service.url());
    let bytes = world
        .client
        .get(url)
        .bearer_auth(&owner.token)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let bundle = Bundle::parse(&bytes).unwrap();
    assert_eq!(bundle.token, token.token);
    bundle.receipt.verify(world.trust()).unwrap();
    let shown = &bundle.presentation;
    let compiled = registry()
        .compile(&shown.contract.id, &shown.jurisdiction, shown.as_of)
        .unwrap();
    let now = oracles::clock::Clock::system().now();
    verify(shown, &compiled, world.trust(), now).unwrap();

    // The owner opens one value of it, for a hearing, and no other.
    let income = "income.magi_monthly";
    let path = format!("/v1/questions/{id}/openings");
    let open = |attributes: serde_json::Value| serde_json::json!({ "attributes": attributes });
    let (status, body) = world
        .call(
            "POST",
            &path,
            Some(&owner.token),
            Some("opened"),
            Some(&open([income].into())),
        )
        .await;
    assert_eq!(status, 200, "{body}");
    let file = contracts::encoding::to_jcs(&body).unwrap();
    let openings = contracts::openings::Openings::parse(&file).unwrap();
    let opened = openings.check(shown).unwrap();
    assert_eq!((opened.len(), opened[0].attribute.0.as_str()), (1, income));
    assert!(opened[0].value.is_some());
    for refused in [
        open(["medical.asthma"].into()),
        open(Vec::<String>::new().into()),
    ] {
        let (status, _) = world
            .call(
                "POST",
                &path,
                Some(&owner.token),
                Some(&fresh()),
                Some(&refused),
            )
            .await;
        assert_eq!(status, 400);
    }
    world.end().await;
}

#[actix_web::test]
async fn a_no_ends_with_a_token_and_its_reasons_and_nobody_is_texted() {
    let world = World::new().await;
    let owner = world.owner("987-65-4322").await;
    world.set_income(450_017);
    let question = world.ask(&owner, "q").await;
    let done = world.until(&owner, &question.question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::No));
    assert_eq!(done.reasons, ["INCOME"]);
    assert_eq!(done.receipts, ["decision"]);
    assert_eq!(world.counts(), (1, 0, 0, 5 + 1));
    world.end().await;
}

#[actix_web::test]
async fn a_missing_fact_ends_in_needs_info_and_is_asked_for_anew_by_the_next_question() {
    let world = World::new().await;
    let owner = world.owner("987-65-4323").await;
    world.lie(Lie::NoIncome);
    let question = world.ask(&owner, "q1").await;
    let done = world.until(&owner, &question.question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::NeedsInfo));
    assert_eq!(done.missing, ["income.magi_monthly".into()]);
    assert_eq!(world.counts(), (0, 0, 0, 5));

    world.honest();
    let question = world.ask(&owner, "q2").await;
    let proved = world.until(&owner, &question.question, State::Proved).await;
    assert_eq!(proved.verdict, Some(Verdict::Yes));
    world.end().await;
}

#[actix_web::test]
async fn a_withheld_fact_is_attested_without_a_value() {
    let world = World::new().await;
    let owner = world.owner("987-65-4324").await;
    let mut ask = world.question();
    ask.withhold = vec!["income.magi_monthly".into()];
    let (status, body) = world.try_ask(&owner, Some("q"), &ask).await;
    assert_eq!(status, 201, "{body}");
    let question: crate::api::types::Question = parse(body);
    let done = world.until(&owner, &question.question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::NeedsInfo));
    world.end().await;
}

#[actix_web::test]
async fn an_owner_who_declines_or_never_replies_files_nothing() {
    let world = World::new().await;
    let owner = world.owner("987-65-4325").await;
    world.set_reply(None);
    let first = world.ask(&owner, "q1").await.question;
    world.until(&owner, &first, State::Texted).await;
    let waiting = world.advance(&owner, &first).await;
    assert_eq!(waiting.state, State::Texted);
    assert_eq!(waiting.waiting.unwrap().what, WaitingFor::Reply);
    world.set_reply(Some(Answer::No));
    let declined = world.advance(&owner, &first).await;
    assert_eq!(declined.outcome, Some(Outcome::Declined));

    let second = world.ask(&owner, "q2").await.question;
    world.until(&owner, &second, State::Texted).await;
    world.lie(Lie::ClosedReply);
    let closed = world.advance(&owner, &second).await;
    assert_eq!(closed.outcome, Some(Outcome::NoReply));
    let (_, _, filed, _) = world.counts();
    assert_eq!(filed, 0);
    world.end().await;
}

#[actix_web::test]
async fn an_application_that_the_agency_refuses_ends_as_refused_and_the_owner_is_told() {
    let world = World::new().await;
    let owner = world.owner("987-65-4326").await;
    world.lie(Lie::AgencyRefuses);
    let question = world.ask(&owner, "q").await;
    let done = world.until(&owner, &question.question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Refused));
    assert_eq!((done.application, done.receipts.len()), (None, 2));
    let told = world.network_texts();
    assert!(told.iter().any(|text| text["template"] == "not_filed"));
    world.end().await;
}

#[actix_web::test]
async fn no_canary_reaches_a_table_a_text_or_the_agency() {
    let world = World::new().await;
    let owner = world.owner("987-65-4399").await;
    let question = world.ask(&owner, "q").await;
    world.until(&owner, &question.question, State::Done).await;
    let dump = world.dump().await;
    assert!(dump.contains("identity.person"), "the dump sees the tables");
    for canary in ["987-65-4399", "987654399", "Canary", "61237", "612.37"] {
        assert!(!dump.contains(canary), "{canary} is in a table or message");
    }
    world.end().await;
}
