//! Parties that lie: what they try, and that it gets them nothing.

use contracts::ids::Verdict;
use serde_json::json;

use crate::api::types::{Outcome, State};
use crate::testing::{Lie, World, code};

/// With one liar the step succeeds, by another coordinator; with liars everywhere it fails, names them, and no state moves.
async fn coordinators_lie(ssn: &str, lie: fn(u16) -> Lie, before: State, after: State) {
    let world = World::new().await;
    let owner = world.owner(ssn).await;
    let question = world.ask(&owner, "q").await.question;
    world.until(&owner, &question, before).await;
    (1..=4).for_each(|node| world.lie(lie(node)));
    let (status, body) = world.try_advance(&owner, &question).await;
    assert_eq!((status, code(&body)), (503, "no-quorum"), "{body}");
    assert_eq!(body["quorum"]["culprits"], json!([1, 2, 3, 4]), "{body}");
    let stands = world.until(&owner, &question, before).await;
    assert_eq!(stands.state, before);
    world.honest();
    world.lie(lie(1));
    let stands = world.advance(&owner, &question).await;
    assert_eq!(stands.state, after);
    world.end().await;
}

#[actix_web::test]
async fn a_coordinator_that_returns_another_leafs_path_is_passed_over() {
    coordinators_lie(
        "987-65-4301",
        Lie::OtherLeafsPath,
        State::Asked,
        State::Attested,
    )
    .await;
}

#[actix_web::test]
async fn a_coordinator_that_returns_a_neighbours_leaf_is_passed_over() {
    coordinators_lie(
        "987-65-4302",
        Lie::NeighboursLeaf,
        State::Asked,
        State::Attested,
    )
    .await;
}

#[actix_web::test]
async fn a_root_signed_with_another_key_is_refused() {
    coordinators_lie(
        "987-65-4303",
        Lie::WrongRootKey,
        State::Asked,
        State::Attested,
    )
    .await;
}

#[actix_web::test]
async fn a_root_that_is_not_in_the_ledger_is_refused() {
    coordinators_lie(
        "987-65-4304",
        Lie::UnloggedRoot,
        State::Asked,
        State::Attested,
    )
    .await;
}

#[actix_web::test]
async fn a_token_that_says_something_else_than_was_proved_is_refused() {
    coordinators_lie(
        "987-65-4305",
        Lie::OtherToken,
        State::Proved,
        State::Decided,
    )
    .await;
}

#[actix_web::test]
async fn a_token_signed_with_another_key_is_refused() {
    coordinators_lie(
        "987-65-4306",
        Lie::WrongTokenKey,
        State::Proved,
        State::Decided,
    )
    .await;
}

#[actix_web::test]
async fn a_receipt_of_another_entry_is_refused() {
    coordinators_lie(
        "987-65-4307",
        Lie::OtherReceipt,
        State::Approved,
        State::Filed,
    )
    .await;
}

#[actix_web::test]
async fn a_node_that_seals_another_value_than_it_attests_is_outvoted_and_two_are_named() {
    let world = World::new().await;
    let owner = world.owner("987-65-4308").await;
    world.lie(Lie::WrongValueSealed(3));
    let question = world.ask(&owner, "q1").await.question;
    let proved = world.until(&owner, &question, State::Proved).await;
    assert_eq!(proved.verdict, Some(Verdict::Yes));

    world.lie(Lie::WrongValueSealed(2));
    let question = world.ask(&owner, "q2").await.question;
    let (status, body) = world.try_advance(&owner, &question).await;
    assert_eq!((status, code(&body)), (503, "no-quorum"), "{body}");
    assert_eq!(body["quorum"]["culprits"], json!([2, 3]));
    assert_eq!(body["quorum"]["answered"], json!([1, 4]));
    world.end().await;
}

#[actix_web::test]
async fn an_oracle_that_lies_about_income_changes_nothing() {
    let world = World::new().await;
    let owner = world.owner("987-65-4309").await;
    world.lie(Lie::OtherIncome(4));
    let question = world.ask(&owner, "q").await.question;
    let done = world.until(&owner, &question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    world.end().await;
}

/// Attack: a member that acknowledges leaves of its own making would have every batch thrown away as incomplete.
#[actix_web::test]
async fn a_member_that_acknowledges_leaves_nobody_asked_for_spoils_no_batch() {
    let world = World::new().await;
    let owner = world.owner("987-65-4318").await;
    let question = world.ask(&owner, "q").await.question;
    (1..=4).for_each(|node| world.lie(Lie::UnaskedLeaf(node)));
    let stands = world.advance(&owner, &question).await;
    assert_eq!(stands.state, State::Attested);
    world.end().await;
}

#[actix_web::test]
async fn one_silent_oracle_changes_nothing_and_two_are_named_in_bounded_time() {
    for lie in [Lie::Down as fn(u16) -> Lie, Lie::Hang] {
        let world = World::new().await;
        let owner = world.owner("987-65-4310").await;
        world.lie(lie(2));
        let question = world.ask(&owner, "q1").await.question;
        world.until(&owner, &question, State::Attested).await;

        world.lie(lie(3));
        let question = world.ask(&owner, "q2").await.question;
        let since = std::time::Instant::now();
        let (status, body) = world.try_advance(&owner, &question).await;
        assert!(since.elapsed().as_secs() < 10);
        assert_eq!((status, code(&body)), (503, "no-quorum"), "{body}");
        assert_eq!(body["quorum"]["needed"], 3);
        assert_eq!(body["quorum"]["answered"], json!([1, 4]));
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains("committee"), "{detail}");
        // State intact: with the nodes back the same question goes on.
        world.honest();
        world.until(&owner, &question, State::Done).await;
        world.end().await;
    }
}

#[actix_web::test]
async fn an_enrolment_with_another_persons_subject_point_is_refused() {
    let world = World::new().await;
    let created = world.created("k").await;
    (1..=4).for_each(|node| world.lie(Lie::TwoPersons(node)));
    let (status, body) = world.try_enrol(&created, "987-65-4311").await;
    assert_eq!((status, code(&body)), (503, "no-quorum"), "{body}");
    world.honest();
    world.lie(Lie::TwoPersons(1));
    let (status, body) = world.try_enrol(&created, "987-65-4311").await;
    assert_eq!(status, 200, "{body}");
    world.end().await;
}

/// A lie of the notifier or the agency keeps the question where it is; the truth moves it on.
async fn party_lies(ssn: &str, lie: Lie, at: State, refusal: &str) {
    let world = World::new().await;
    let owner = world.owner(ssn).await;
    let question = world.ask(&owner, "q").await.question;
    world.until(&owner, &question, at).await;
    world.lie(lie);
    let (status, body) = world.try_advance(&owner, &question).await;
    assert_eq!((status, code(&body)), (502, refusal), "{body}");
    world.honest();
    let done = world.until(&owner, &question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    world.end().await;
}

#[actix_web::test]
async fn a_forged_reply_is_refused() {
    party_lies(
        "987-65-4312",
        Lie::ForgedReply,
        State::Texted,
        "reply-refused",
    )
    .await;
}

#[actix_web::test]
async fn a_reply_about_another_decision_is_refused() {
    party_lies(
        "987-65-4313",
        Lie::ReplayedReply,
        State::Texted,
        "reply-refused",
    )
    .await;
}

#[actix_web::test]
async fn a_no_turned_into_a_yes_is_refused() {
    party_lies(
        "987-65-4314",
        Lie::TurnedReply,
        State::Texted,
        "reply-refused",
    )
    .await;
}

#[actix_web::test]
async fn an_acceptance_that_the_agency_did_not_sign_is_refused() {
    party_lies(
        "987-65-4315",
        Lie::ForgedAcceptance,
        State::Approved,
        "acceptance-refused",
    )
    .await;
}

#[actix_web::test]
async fn an_acceptance_of_another_application_is_refused() {
    party_lies(
        "987-65-4316",
        Lie::OtherAcceptance,
        State::Approved,
        "acceptance-refused",
    )
    .await;
}
