//! The coverage flag: pulled by a provider, and a practice that is told when it changes.

use serde_json::{Value, json};
use sqlx::Row as _;

use crate::agency::What;
use crate::api::flag::Flag;
use crate::testing::{Lie, Owner, PRACTICE, World, code, parse};

impl World {
    async fn flag(&self, owner: &Owner) -> String {
        let path = format!("/v1/profiles/{}/flag", owner.profile);
        let (_, body) = self
            .call("POST", &path, Some(&owner.token), Some("flag"), None)
            .await;
        parse::<Flag>(body).flag_token
    }

    async fn pull(&self, flag_token: &str, known: Option<String>) -> reqwest::Response {
        let url = format!("{}/v1/flag", self.service.url());
        let mut request = self.client.get(&url).bearer_auth(flag_token);
        if let Some(tag) = known {
            request = request.header("if-none-match", tag);
        }
        request.send().await.unwrap()
    }

    async fn name_practice(&self, owner: &Owner, practice: Value) -> (u16, Value) {
        let path = format!("/v1/profiles/{}/flag/practice", owner.profile);
        let body = json!({ "practice": practice });
        self.call("PUT", &path, Some(&owner.token), None, Some(&body))
            .await
    }

    async fn covered(&self, owner: &Owner, key: &str) {
        let from = self.today();
        let covered = json!({"event": "covered", "jurisdiction": "CA", "from": from});
        self.report(owner, key, covered).await;
    }

    async fn until_idle(&self, owner: &Owner) {
        let store = &self.store.store;
        self.soon(async || store.open_tasks(&owner.profile).await.unwrap() == 0)
            .await;
    }
}

#[actix_web::test]
async fn a_provider_pulls_a_flag_and_nothing_else() {
    let world = World::new().await;
    let owner = world.watched("987-65-5003").await;
    let flag_token = world.flag(&owner).await;
    let pull = |known| world.pull(&flag_token, known);
    let first = pull(None).await;
    assert_eq!(first.headers()["content-type"], "application/fhir+json");
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let body: serde_json::Value = first.json().await.unwrap();
    assert_eq!(body["resourceType"], "Coverage");
    assert_eq!(body["status"], "cancelled");
    let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        ["beneficiary", "id", "payor", "resourceType", "status"]
    );
    assert_eq!(pull(Some(tag.clone())).await.status(), 304);
    assert_eq!(pull(Some(format!("\"x\", W/{tag}"))).await.status(), 304);

    let from = world.today();
    let covered = json!({"event": "covered", "jurisdiction": "CA", "from": from});
    world.report(&owner, "covered", covered).await;
    let changed = pull(Some(tag)).await;
    assert_eq!(changed.status(), 200);
    let body: serde_json::Value = changed.json().await.unwrap();
    assert_eq!(body["status"], "active");
    // The flag's token opens nothing else, and no other token opens the flag.
    let path = format!("/v1/profiles/{}/coverage", owner.profile);
    let (status, _) = world
        .call("GET", &path, Some(&flag_token), None, None)
        .await;
    assert_eq!(status, 401);
    let (status, _) = world
        .call("GET", "/v1/flag", Some(&owner.token), None, None)
        .await;
    assert_eq!(status, 401);
    world.end().await;
}

#[actix_web::test]
async fn a_practice_is_told_that_the_flag_changed_and_finds_it_by_its_id() {
    let world = World::new().await;
    let owner = world.watched("987-65-5004").await;
    let flag_token = world.flag(&owner).await;
    let before: Value = world.pull(&flag_token, None).await.json().await.unwrap();
    assert_eq!(world.name_practice(&owner, json!(PRACTICE)).await.0, 204);

    // It is told again while it takes nothing.
    world.lie(Lie::PracticeDown);
    world.covered(&owner, "covered").await;
    world.soon(async || world.calls("alert") >= 2).await;
    assert_eq!(world.alerts(), [""; 0]);
    world.honest();
    world.soon(async || !world.alerts().is_empty()).await;
    assert_eq!(world.alerts(), [before["id"].as_str().unwrap()]);
    let after: Value = world.pull(&flag_token, None).await.json().await.unwrap();
    assert_eq!(after["status"], "active");
    assert_eq!(after["id"], before["id"]);
    world.end().await;
}

#[actix_web::test]
async fn a_practice_is_told_of_an_ending_on_the_day_that_cover_ends() {
    let world = World::new().await;
    let owner = world.watched("987-65-5008").await;
    assert_eq!(world.name_practice(&owner, json!(PRACTICE)).await.0, 204);
    world.reinstated(&owner).await;
    world.soon(async || !world.alerts().is_empty()).await;
    let on = world.today().plus(20).unwrap();
    world.says("CA-0", What::Closed { on });
    let due = || async {
        sqlx::query("SELECT due_at FROM lifecycle_task WHERE done_at IS NULL AND lane = $1")
            .bind(format!("practice {on}"))
            .fetch_optional(world.store.store.pool())
            .await
            .unwrap()
            .map(|row| row.get::<i64, _>("due_at"))
    };
    world.soon(async || due().await.is_some()).await;
    assert_eq!(due().await, Some(on.start().0));
    assert_eq!(world.calls("alert"), 1, "not yet");
    world.end().await;
}

#[actix_web::test]
async fn a_practice_that_is_let_go_or_does_not_know_the_patient_is_not_called_again() {
    let world = World::new().await;
    let owner = world.watched("987-65-5005").await;
    assert_eq!(world.name_practice(&owner, json!(PRACTICE)).await.0, 204);
    world.lie(Lie::PracticeGone);
    world.covered(&owner, "covered").await;
    world.soon(async || world.calls("alert") == 1).await;
    world.until_idle(&owner).await;
    assert_eq!(world.calls("alert"), 1);

    world.honest();
    assert_eq!(world.name_practice(&owner, Value::Null).await.0, 204);
    world.covered(&owner, "covered-again").await;
    world.until_idle(&owner).await;
    assert_eq!(world.calls("alert"), 1);
    world.end().await;
}

#[actix_web::test]
async fn attack_an_owner_cannot_point_alerts_at_an_address() {
    let world = World::new().await;
    let owner = world.watched("987-65-5006").await;
    for named in ["http://169.254.169.254/latest", "no-such-practice", ""] {
        let (status, problem) = world.name_practice(&owner, json!(named)).await;
        assert_eq!((status, code(&problem)), (400, "bad-request"), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(PRACTICE), "{detail}");
        assert!(named.is_empty() || !detail.contains(named), "{detail}");
    }
    // Nor anybody else for them.
    let other = world.owner("987-65-5007").await;
    let path = format!("/v1/profiles/{}/flag/practice", owner.profile);
    let body = json!({ "practice": PRACTICE });
    let (status, _) = world
        .call("PUT", &path, Some(&other.token), None, Some(&body))
        .await;
    assert_eq!(status, 404);
    world.covered(&owner, "covered").await;
    world.until_idle(&owner).await;
    assert_eq!(world.calls("alert"), 0);
    world.end().await;
}
