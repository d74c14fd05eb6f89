//! What an owner does not let be read.

use contracts::ids::Domain;
use serde_json::{Value, json};

use crate::api::types::{Outcome, Question, State};
use crate::consent::ConsentList;
use crate::testing::{Lie, Owner, World, code, fresh, parse};

const INCOME: &str = "income.magi_monthly";

impl World {
    async fn consents(&self, owner: &Owner) -> ConsentList {
        let path = format!("/v1/profiles/{}/consents", owner.profile);
        let (status, body) = self
            .call("GET", &path, Some(&owner.token), None, None)
            .await;
        assert_eq!(status, 200, "{body}");
        parse(body)
    }

    async fn give(&self, owner: &Owner, domain: &str, body: &Value) -> (u16, Value) {
        let path = format!("/v1/profiles/{}/consents/{domain}", owner.profile);
        self.call("PUT", &path, Some(&owner.token), None, Some(body))
            .await
    }

    async fn withdraw(&self, owner: &Owner, domain: &str) {
        let path = format!(
            "/v1/profiles/{}/consents/{domain}/withdrawal",
            owner.profile
        );
        let (status, body) = self
            .call("POST", &path, Some(&owner.token), Some(&fresh()), None)
            .await;
        assert_eq!(status, 200, "{body}");
    }

    async fn ended(&self, owner: &Owner, key: &str) -> Question {
        let question = self.ask(owner, key).await.question;
        self.until(owner, &question, State::Done).await
    }
}

fn given(list: &ConsentList, domain: Domain) -> bool {
    list.consents
        .iter()
        .any(|it| it.domain == domain && it.given)
}

#[actix_web::test]
async fn a_fact_without_consent_is_not_read_and_the_answer_says_which_consent_is_missing() {
    let world = World::with(|config| {
        config.sources.push(crate::config::SourceConfig {
            domain: Domain::Income,
            name: "Wages that employers report".to_owned(),
        });
    })
    .await;
    let owner = world.owner("987-65-6101").await;
    let list = world.consents(&owner).await;
    assert_eq!(list.consents.len(), Domain::ALL.len());
    assert!(list.consents.iter().all(|it| it.given));
    let income = list
        .consents
        .iter()
        .find(|it| it.domain == Domain::Income)
        .unwrap();
    assert_eq!(income.sources, ["Wages that employers report"]);
    assert!(income.reads.iter().any(|it| it.attribute.0 == INCOME));

    world.withdraw(&owner, "income").await;
    let list = world.consents(&owner).await;
    assert!(!given(&list, Domain::Income) && given(&list, Domain::Medical));
    let done = world.ended(&owner, "q").await;
    assert_eq!(done.outcome, Some(Outcome::NeedsInfo));
    assert_eq!(done.missing, [INCOME.into()]);
    assert_eq!(done.consent_missing, [Domain::Income]);

    let (status, _) = world.give(&owner, "income", &json!({})).await;
    assert_eq!(status, 200);
    let next = world.ask(&owner, "next").await.question;
    let proved = world.until(&owner, &next, State::Proved).await;
    assert_eq!(proved.verdict, Some(contracts::ids::Verdict::Yes));
    world.end().await;
}

#[actix_web::test]
async fn attack_what_was_read_before_a_withdrawal_is_not_proved_from() {
    let world = World::new().await;
    let owner = world.owner("987-65-6102").await;
    let first = world.ask(&owner, "first").await.question;
    world.until(&owner, &first, State::Attested).await;
    world.withdraw(&owner, "income").await;
    let done = world.until(&owner, &first, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::NeedsInfo));
    // Nor from what was bought ahead.
    let done = world.ended(&owner, "second").await;
    assert_eq!(done.consent_missing, [Domain::Income]);
    assert!(world.shown().is_empty());
    world.end().await;
}

#[actix_web::test]
async fn consent_ends_with_its_last_day() {
    let mut world = World::new().await;
    let owner = world.owner("987-65-6103").await;
    let today = oracles::clock::Clock::system().today();
    let (status, body) = world
        .give(&owner, "medical", &json!({"until": "2020-01-01"}))
        .await;
    assert_eq!((status, code(&body)), (400, "bad-request"));
    let (status, _) = world.give(&owner, "dental", &json!({})).await;
    assert_eq!(status, 404);
    let (status, _) = world
        .give(&owner, "medical", &json!({"until": today}))
        .await;
    assert_eq!(status, 200);
    assert!(given(&world.consents(&owner).await, Domain::Medical));
    world.config.clock_offset_seconds = 86_400;
    world.restart().await;
    assert!(!given(&world.consents(&owner).await, Domain::Medical));
    world.end().await;
}

#[actix_web::test]
async fn attack_what_a_committee_was_still_signing_at_a_withdrawal_is_not_kept() {
    let world = World::new().await;
    let owner = world.owner("987-65-6109").await;
    let question = world.ask(&owner, "q").await.question;
    world.lie(Lie::SlowSigning);
    let withdrawal = async {
        world.until_called("income/attest").await;
        world.withdraw(&owner, "income").await;
    };
    let (advanced, ()) = futures::join!(world.try_advance(&owner, &question), withdrawal);
    assert_eq!((advanced.0, code(&advanced.1)), (409, "consent-withdrawn"));
    world.honest();
    let done = world.until(&owner, &question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::NeedsInfo));
    assert_eq!(done.consent_missing, [Domain::Income]);
    world.end().await;
}
