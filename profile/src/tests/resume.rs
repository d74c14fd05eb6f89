//! Crashes and lost answers: whatever happens, a question goes on, and nothing is done twice.

use contracts::ids::Verdict;

use crate::api::types::{Outcome, State};
use crate::testing::{Lie, World};

#[actix_web::test]
async fn a_question_goes_on_after_a_restart_at_every_step() {
    let mut world = World::new().await;
    let owner = world.owner("987-65-4330").await;
    let question = world.ask(&owner, "q").await.question;
    let mut done = None;
    for _ in 0..7 {
        world.restart().await;
        done = Some(world.advance(&owner, &question).await);
    }
    let done = done.unwrap();
    assert_eq!(
        (done.state, done.outcome),
        (State::Done, Some(Outcome::Accepted))
    );
    assert_eq!(world.counts(), (1, 2, 1, 5 + 3));
    world.end().await;
}

/// The receiver acts and its answer is lost: the step fails, and done again has the one effect.
async fn answer_is_lost(ssn: &str, lie: Lie, at: State) {
    let mut world = World::new().await;
    let owner = world.owner(ssn).await;
    let question = world.ask(&owner, "q").await.question;
    world.until(&owner, &question, at).await;
    world.lie(lie);
    let (status, body) = world.try_advance(&owner, &question).await;
    assert_eq!(status, 503, "{body}");
    world.honest();
    world.restart().await;
    let done = world.until(&owner, &question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    assert_eq!(world.counts(), (1, 2, 1, 5 + 3), "nothing was done twice");
    world.end().await;
}

#[actix_web::test]
async fn a_decision_whose_answer_is_lost_is_one_decision() {
    answer_is_lost("987-65-4331", Lie::DecisionAnswerLost, State::Proved).await;
}

#[actix_web::test]
async fn a_text_whose_answer_is_lost_is_one_text() {
    answer_is_lost("987-65-4332", Lie::TextAnswerLost, State::Decided).await;
}

#[actix_web::test]
async fn an_application_whose_answer_is_lost_is_one_application() {
    answer_is_lost("987-65-4333", Lie::AgencyAnswerLost, State::Approved).await;
}

#[actix_web::test]
async fn an_approval_entry_whose_receipt_is_lost_is_one_entry() {
    answer_is_lost("987-65-4334", Lie::ReceiptLost, State::Approved).await;
}

#[actix_web::test]
async fn an_application_entry_whose_receipt_is_lost_is_one_entry() {
    answer_is_lost("987-65-4335", Lie::ReceiptLost, State::Filed).await;
}

#[actix_web::test]
async fn a_presentation_that_comes_too_late_is_made_anew_from_other_leaves() {
    let world = World::new().await;
    let owner = world.owner("987-65-4336").await;
    let question = world.ask(&owner, "q").await.question;
    let proved = world.until(&owner, &question, State::Proved).await;
    world.lie(Lie::NoncesRanOut);
    let back = world.advance(&owner, &question).await;
    assert_eq!(
        (back.state, back.decision, back.verdict),
        (State::Asked, None, None)
    );
    world.honest();
    // The spare leaves serve: no committee is asked again.
    let asked = world.calls("income/request");
    let again = world.until(&owner, &question, State::Proved).await;
    assert_eq!(world.calls("income/request"), asked);
    assert_eq!(again.verdict, Some(Verdict::Yes));
    assert_ne!(again.decision, proved.decision);
    let done = world.until(&owner, &question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    world.end().await;
}

#[actix_web::test]
async fn a_new_question_reads_the_sources_anew() {
    let world = World::new().await;
    let owner = world.owner("987-65-4337").await;
    world.set_income(450_017);
    let first = world.ask(&owner, "before").await.question;
    let before = world.until(&owner, &first, State::Done).await;
    assert_eq!(before.outcome, Some(Outcome::No));
    world.set_income(61_237);
    let second = world.ask(&owner, "after").await.question;
    let after = world.until(&owner, &second, State::Proved).await;
    assert_eq!(after.verdict, Some(Verdict::Yes));
    world.end().await;
}

#[actix_web::test]
async fn what_one_committee_attested_is_kept_when_another_fails() {
    let world = World::new().await;
    let owner = world.owner("987-65-4338").await;
    let question = world.ask(&owner, "q").await.question;
    (1..=4).for_each(|node| world.lie(Lie::BadIncomeRequest(node)));
    let (status, body) = world.try_advance(&owner, &question).await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(body["quorum"]["committee"], "income");
    let asked = world.calls("identity/request");
    world.honest();
    world.until(&owner, &question, State::Attested).await;
    assert_eq!(world.calls("identity/request"), asked);
    world.end().await;
}

#[actix_web::test]
async fn an_enrolment_that_failed_goes_on_with_the_same_claims() {
    let world = World::new().await;
    let created = world.created("k").await;
    world.lie(Lie::Down(1));
    world.lie(Lie::Down(2));
    let (status, body) = world.try_enrol(&created, "987-65-4339").await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(body["quorum"]["committee"], "identity");
    world.honest();
    let (status, body) = world.try_enrol(&created, "987-65-4339").await;
    assert_eq!((status, &body["enrolled"]), (200, &serde_json::json!(true)));
    // Again: found enrolled, without asking anybody; with another contact: refused.
    let asked = world.calls("enrol/request");
    let (status, _) = world.try_enrol(&created, "987-65-4339").await;
    assert_eq!((status, world.calls("enrol/request")), (200, asked));
    let (status, _) = world.try_enrol(&created, "987-65-4340").await;
    assert_eq!(status, 409);
    world.end().await;
}

#[actix_web::test]
async fn two_calls_at_once_do_one_step() {
    let world = World::new().await;
    let owner = world.owner("987-65-4341").await;
    let question = world.ask(&owner, "q").await.question;
    world.until(&owner, &question, State::Attested).await;
    let (first, second) = futures::join!(
        world.try_advance(&owner, &question),
        world.try_advance(&owner, &question)
    );
    assert_eq!((first.0, second.0), (200, 200));
    // One proved, the other then went on from there: no leaf is in two presentations.
    let done = world.until(&owner, &question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    assert_eq!(world.counts(), (1, 2, 1, 5 + 3));
    world.end().await;
}
