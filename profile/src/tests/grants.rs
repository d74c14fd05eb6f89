//! Who acts for an owner by grant, and who does not.

use std::time::{Duration, Instant};

use contracts::application::{Answer, Application};
use contracts::lifecycle::Change;
use contracts::representation::Basis;
use serde_json::{Value, json};

use crate::api::types::{AuditPage, Outcome, Profile, Question, State};
use crate::grant::{Grant, GrantList, Purpose, Standing};
use crate::store::grants::put_use;
use crate::testing::{AGENCY, Lie, OPERATOR, OTHER_AGENCY, Owner, World, code, fresh, parse};

const PATIENCE: Duration = Duration::from_secs(30);
/// The representative's phone.
pub(super) const AUNT: &str = "contact-aunt";

/// The body of a grant to the aunt, for thirty days.
pub(super) fn grant(basis: &str, scope: &str) -> Value {
    let from = oracles::clock::Clock::system().today();
    let mut body = json!({
        "contact": AUNT, "scope": scope, "from": from, "until": from.plus(30).unwrap(), "basis": basis, "jurisdiction": "CA",
    });
    if basis != "designation" {
        body["reference"] = json!("Superior Court, PR-17-0042");
    }
    body
}

/// The phone number's contact handle that the tests enrol an owner with.
pub(super) fn phone_of(ssn: &str) -> String {
    format!("contact-{}", contracts::encoding::to_base64url(ssn))
}

impl World {
    /// An enrolled child: nobody to text.
    pub(super) async fn child(&self, ssn: &str) -> Owner {
        let created = self.created(ssn).await;
        let mut call = self.claims(&created, ssn);
        call.contact = None;
        let body = serde_json::to_value(call).unwrap();
        let path = format!("/v1/profiles/{}/enrol", created.profile);
        let token = Some(created.owner_token.as_str());
        let (status, body) = self
            .call("POST", &path, token, Some(&fresh()), Some(&body))
            .await;
        assert_eq!(status, 200, "{body}");
        assert!(parse::<Profile>(body).enrolled);
        Owner {
            profile: created.profile,
            token: created.owner_token,
        }
    }

    pub(super) async fn designate(&self, owner: &Owner, body: &Value) -> (u16, Value) {
        let path = format!("/v1/profiles/{}/grants", owner.profile);
        self.call(
            "POST",
            &path,
            Some(&owner.token),
            Some(&fresh()),
            Some(body),
        )
        .await
    }

    pub(super) async fn recorded(&self, owner: &Owner, body: Value) -> (u16, Value) {
        let body = json!({"profile": owner.profile, "grant": body});
        self.call(
            "POST",
            "/v1/grants",
            Some(OPERATOR),
            Some(&fresh()),
            Some(&body),
        )
        .await
    }

    pub(super) async fn grants(&self, owner: &Owner) -> Vec<Grant> {
        let path = format!("/v1/profiles/{}/grants", owner.profile);
        let (status, body) = self
            .call("GET", &path, Some(&owner.token), None, None)
            .await;
        assert_eq!(status, 200, "{body}");
        parse::<GrantList>(body).grants
    }

    /// Waits until the latest grant is as it is wanted.
    async fn until_grant(&self, owner: &Owner, wanted: impl Fn(&Grant) -> bool) -> Grant {
        let since = Instant::now();
        loop {
            let latest = self.grants(owner).await.swap_remove(0);
            if wanted(&latest) {
                return latest;
            }
            assert!(since.elapsed() < PATIENCE, "{latest:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn until_standing(&self, owner: &Owner, standing: Standing) -> Grant {
        self.until_grant(owner, |it| it.standing == standing).await
    }

    /// Waits until a contact was sent a text.
    pub(super) async fn until_told(&self, contact: &str, template: &str) {
        let since = Instant::now();
        while !self.texts_to(contact).iter().any(|it| it == template) {
            let texts = self.texts_to(contact);
            assert!(since.elapsed() < PATIENCE, "{template}: {texts:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn revoke(&self, owner: &Owner, grant: &Grant) -> Grant {
        let path = format!(
            "/v1/profiles/{}/grants/{}/revocation",
            owner.profile, grant.grant
        );
        let (status, body) = self
            .call("POST", &path, Some(&owner.token), Some(&fresh()), None)
            .await;
        assert_eq!(status, 200, "{body}");
        parse(body)
    }

    /// Statuses of what the audit holds of representatives.
    async fn audited(&self) -> Vec<(String, u32)> {
        let path = "/v1/audit?limit=100";
        let (_, body) = self.call("GET", path, Some(OPERATOR), None, None).await;
        let events = parse::<AuditPage>(body).events.into_iter();
        let theirs = events.filter(|event| event.kind == "representative");
        theirs.map(|event| (event.who, event.status)).collect()
    }

    /// Applications that reached the agency.
    fn applications(&self) -> Vec<Application> {
        let heard = self.network_heard();
        heard
            .iter()
            .filter_map(|body| Application::parse(body).ok())
            .collect()
    }
}

#[actix_web::test]
async fn a_guardian_acts_for_a_child_without_a_phone_and_agency_audit_and_record_say_so() {
    let world = World::new().await;
    let child = world.child("987-65-6001").await;
    let question = world.ask(&child, "q").await.question;
    world.until(&child, &question, State::Decided).await;
    let (status, body) = world.try_advance(&child, &question).await;
    assert_eq!((status, code(&body)), (409, "nobody-to-ask"));

    let body = grant("guardianship-order", "all");
    let (status, made) = world.recorded(&child, body).await;
    assert_eq!(status, 201, "{made}");
    let active = world.until_standing(&child, Standing::Active).await;
    assert_eq!(
        (active.basis, active.made_by.as_str()),
        (Basis::GuardianshipOrder, "operator ops")
    );

    let done = world.until(&child, &question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    assert_eq!(done.asked_of, Some(active.grant));
    let texts = world.texts_to(AUNT);
    for template in ["represent", "apply_for", "news"] {
        assert!(
            texts.iter().any(|it| it == template),
            "{template}: {texts:?}"
        );
    }
    // The agency knows who signed, by the key of this grant and its authority.
    let application = world.applications().pop().unwrap();
    let by = application.representation.clone().unwrap();
    by.verify(&application.approval).unwrap();
    assert_eq!((by.key, by.grant), (active.key, active.digest));
    assert_eq!(by.basis, Basis::GuardianshipOrder);
    let used = &world.grants(&child).await[0].uses;
    assert_eq!(used.len(), 1);
    assert_eq!(used[0].outcome.as_deref(), Some("yes"));
    assert_eq!(Some(used[0].decision.to_string()), done.decision);
    assert_eq!(world.audited().await, [(active.grant.to_string(), 200)]);
    // Neither where the authority is recorded nor whose phone it is lies open in a table.
    let tables = world.tables().await;
    assert!(!tables.contains("PR-17-0042") && !tables.contains(AUNT));
    world.end().await;
}

/// Attack: agency, oracles and whoever reads tables, metrics or audit events look for what a representative calls the owner.
#[actix_web::test]
async fn attack_a_label_goes_to_the_representatives_phone_and_nowhere_else() {
    const LABEL: &str = "Zuzanneke JR";
    let world = World::new().await;
    let ssn = "987-65-6013";
    let owner = world.watched(ssn).await;
    let mut body = grant("designation", "all");
    body["label"] = json!(LABEL);
    let (status, made) = world.designate(&owner, &body).await;
    assert_eq!((status, &made["label"]), (201, &json!(LABEL)), "{made}");
    world.until_standing(&owner, Standing::Active).await;
    let question = world.ask(&owner, "q").await.question;
    let done = world.until(&owner, &question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    world.until_told(AUNT, "news").await;
    // In the lifecycle too.
    world.changed(&owner, "job", Change::IncomeDown).await;
    world.until_told(AUNT, "gap_for").await;
    let revoked = world.grants(&owner).await.remove(0);
    world.revoke(&owner, &revoked).await;
    world.until_told(AUNT, "grant_over").await;

    let mut said = std::collections::BTreeSet::new();
    for text in world.network_texts() {
        let template = text["template"].as_str().unwrap().to_owned();
        let for_whom = template.ends_with("_for") || ["represent", "news"].contains(&&*template);
        let label = text["params"].get("label");
        let theirs = text["contact"] == AUNT && for_whom;
        assert_eq!(label, theirs.then(|| json!(LABEL)).as_ref(), "{text}");
        if theirs {
            said.insert(template);
        }
    }
    for template in ["represent", "apply_for", "gap_for", "news"] {
        assert!(said.contains(template), "{template}: {said:?}");
    }
    for heard in world.network_heard() {
        let heard = String::from_utf8_lossy(&heard).into_owned();
        let to_notifier = heard.contains("\"template\"");
        assert!(to_notifier || !heard.contains("Zuzanneke"), "{heard}");
    }
    assert!(!world.applications().is_empty());
    let (_, audit) = world
        .call("GET", "/v1/audit", Some(OPERATOR), None, None)
        .await;
    let (_, metrics) = world.call("GET", "/metrics", None, None, None).await;
    for (where_, text) in [
        ("tables", world.tables().await),
        ("audit", audit.to_string()),
        ("metrics", metrics.to_string()),
    ] {
        assert!(!text.contains("Zuzanneke"), "in {where_}");
    }
    world.end().await;
}

#[actix_web::test]
async fn an_owner_designates_by_their_own_yes_and_is_told_of_grant_use_and_revocation() {
    let world = World::new().await;
    let ssn = "987-65-6002";
    let owner = world.owner(ssn).await;
    let (status, made) = world
        .designate(&owner, &grant("designation", "apply-renew"))
        .await;
    assert_eq!(status, 201, "{made}");
    let active = world.until_standing(&owner, Standing::Active).await;
    world.until_told(&phone_of(ssn), "grant_given").await;

    let question = world.ask(&owner, "q").await.question;
    let done = world.until(&owner, &question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    world.until_told(&phone_of(ssn), "grant_used").await;
    world.revoke(&owner, &active).await;
    world.until_told(&phone_of(ssn), "grant_ended").await;
    world.until_told(AUNT, "grant_over").await;
    let texts = world.texts_to(&phone_of(ssn));
    assert!(!texts.iter().any(|it| it.starts_with("apply")), "{texts:?}");
    assert!(texts.iter().any(|it| it == "filed"), "{texts:?}");
    // Not what she may read, nor asked again: the next question is the owner's.
    assert!(!world.texts_to(AUNT).iter().any(|it| it == "news"));
    let next = world.ask(&owner, "next").await.question;
    let done = world.until(&owner, &next, State::Done).await;
    assert_eq!(
        (done.outcome, done.asked_of),
        (Some(Outcome::Accepted), None)
    );
    let last = world.applications().pop().unwrap();
    assert_eq!(last.representation, None);
    world.end().await;
}

#[actix_web::test]
async fn what_only_tells_is_not_lost_when_the_notifier_or_a_phone_is_not_ready() {
    let world = World::new().await;
    let ssn = "987-65-6014";
    let owner = world.owner(ssn).await;
    let made = world.designate(&owner, &grant("designation", "all")).await;
    assert_eq!(made.0, 201, "{}", made.1);
    let active = world.until_standing(&owner, Standing::Active).await;
    world.until_told(&phone_of(ssn), "grant_given").await;
    world.lie(Lie::TokenUnknown);
    world.set_verified(&phone_of(ssn), false);
    let texts = world.calls("text");
    world.revoke(&owner, &active).await;
    world.soon(async || world.calls("text") > texts).await;
    world.honest();
    // The owner's phone keeps hers from nothing.
    world.until_told(AUNT, "grant_over").await;
    assert!(
        !world
            .texts_to(&phone_of(ssn))
            .contains(&"grant_ended".to_owned())
    );
    world.set_verified(&phone_of(ssn), true);
    world.until_told(&phone_of(ssn), "grant_ended").await;
    world.end().await;
}

#[actix_web::test]
async fn attack_a_reply_under_a_revoked_grant_counts_for_nothing_and_says_why() {
    let world = World::new().await;
    let child = world.child("987-65-6003").await;
    let body = grant("parent", "all");
    world.recorded(&child, body).await;
    let active = world.until_standing(&child, Standing::Active).await;
    let question = world.ask(&child, "q").await.question;
    // Her YES is signed and waits at the notifier.
    world.until(&child, &question, State::Texted).await;
    world.set_reply_of(AUNT, Some(Answer::Yes));
    assert_eq!(
        world.revoke(&child, &active).await.standing,
        Standing::Revoked
    );
    world.until_told(AUNT, "grant_over").await;
    let done = world.until(&child, &question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::NoReply));
    assert_eq!(done.refusal.as_deref(), Some("grant-revoked"));
    let (_, _, filed, _) = world.counts();
    assert_eq!(filed, 0);
    let used = &world.grants(&child).await[0].uses;
    assert_eq!(used[0].outcome.as_deref(), Some("grant-revoked"));
    assert_eq!(world.audited().await, [(active.grant.to_string(), 409)]);
    // Revoked stays revoked, and she is not asked again.
    assert_eq!(
        world.revoke(&child, &active).await.standing,
        Standing::Revoked
    );
    let next = world.ask(&child, "next").await.question;
    world.until(&child, &next, State::Decided).await;
    let (status, body) = world.try_advance(&child, &next).await;
    assert_eq!((status, code(&body)), (409, "nobody-to-ask"));
    world.end().await;
}

#[actix_web::test]
async fn attack_a_reply_under_an_expired_grant_counts_for_nothing_and_says_why() {
    let mut world = World::new().await;
    let child = world.child("987-65-6004").await;
    let mut body = grant("parent", "all");
    body["until"] = body["from"].clone();
    world.recorded(&child, body).await;
    world.until_standing(&child, Standing::Active).await;
    let question = world.ask(&child, "q").await.question;
    world.until(&child, &question, State::Texted).await;
    world.set_reply_of(AUNT, Some(Answer::Yes));
    world.config.clock_offset_seconds = 86_400;
    world.restart().await;
    let done = world.until(&child, &question, State::Done).await;
    assert_eq!(done.refusal.as_deref(), Some("grant-expired"));
    let (_, _, filed, _) = world.counts();
    assert_eq!(filed, 0);
    world.until_standing(&child, Standing::Ended).await;
    world.until_told(AUNT, "grant_over").await;
    world.end().await;
}

#[actix_web::test]
async fn attack_a_grant_of_another_scope_is_not_asked_under() {
    let world = World::new().await;
    let ssn = "987-65-6005";
    let owner = world.owner(ssn).await;
    world
        .designate(&owner, &grant("designation", "notices"))
        .await;
    world.until_standing(&owner, Standing::Active).await;
    world.set_reply(None);
    world.set_reply_of(AUNT, Some(Answer::Yes));
    let question = world.ask(&owner, "q").await.question;
    world.until(&owner, &question, State::Texted).await;
    let waits = world.advance(&owner, &question).await;
    assert_eq!((waits.state, waits.asked_of), (State::Texted, None));
    assert!(
        world
            .texts_to(&phone_of(ssn))
            .iter()
            .any(|it| it == "apply")
    );
    world.set_reply(Some(Answer::Yes));
    world.until(&owner, &question, State::Done).await;
    let texts = world.texts_to(AUNT);
    assert_eq!(
        texts.iter().filter(|it| *it == "news").count(),
        1,
        "{texts:?}"
    );
    assert!(!texts.iter().any(|it| it.starts_with("apply")), "{texts:?}");
    world.end().await;
}

#[actix_web::test]
async fn attack_a_strangers_phone_or_a_forged_or_replayed_yes_puts_no_grant_in_force() {
    let world = World::new().await;
    let child = world.child("987-65-6006").await;
    world.set_verified(AUNT, false);
    world.recorded(&child, grant("parent", "all")).await;
    let waits = async |world: &World| {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let latest = world.grants(&child).await.swap_remove(0);
        assert_eq!(latest.standing, Standing::Offered);
    };
    // A phone that nobody proved to be hers is asked nothing.
    waits(&world).await;
    assert!(world.texts_to(AUNT).is_empty());
    world.lie(Lie::ForgedReply);
    world.set_verified(AUNT, true);
    world.until_told(AUNT, "represent").await;
    waits(&world).await;
    world.lie(Lie::ReplayedReply);
    world.recant(Lie::ForgedReply);
    waits(&world).await;
    world.honest();
    world.until_standing(&child, Standing::Active).await;
    world.end().await;
}

#[actix_web::test]
async fn who_says_no_or_nothing_does_not_act() {
    let world = World::new().await;
    let ssn = "987-65-6007";
    let owner = world.owner(ssn).await;
    world.set_reply_of(&phone_of(ssn), Some(Answer::No));
    let body = grant("designation", "all");
    world.designate(&owner, &body).await;
    world.until_standing(&owner, Standing::Declined).await;
    assert!(world.texts_to(AUNT).is_empty(), "nobody designated her");
    world.set_reply_of(&phone_of(ssn), Some(Answer::Yes));
    world.set_reply_of(AUNT, Some(Answer::No));
    world.designate(&owner, &body).await;
    world.until_standing(&owner, Standing::Declined).await;
    assert!(
        !world
            .texts_to(&phone_of(ssn))
            .iter()
            .any(|it| it == "grant_given")
    );
    world.end().await;
}

#[actix_web::test]
async fn attack_a_representative_cannot_grant_further() {
    let world = World::new().await;
    let ssn = "987-65-6008";
    let owner = world.owner(ssn).await;
    world.designate(&owner, &grant("designation", "all")).await;
    world.until_standing(&owner, Standing::Active).await;
    // She may act in every matter, and would say YES to another; the owner is asked, and says nothing.
    world.set_reply_of(&phone_of(ssn), None);
    let mut further = grant("designation", "all");
    further["contact"] = json!("contact-her-friend");
    world.designate(&owner, &further).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let latest = world.grants(&owner).await.swap_remove(0);
    assert_eq!(latest.standing, Standing::Proposed);
    assert!(world.texts_to("contact-her-friend").is_empty());
    assert_eq!(world.texts_to(AUNT), ["represent"]);
    world.end().await;
}

#[actix_web::test]
async fn attack_others_can_neither_make_see_nor_revoke_a_grant() {
    let world = World::new().await;
    let owner = world.owner("987-65-6009").await;
    let other = world.owner("987-65-6010").await;
    let (_, made) = world.recorded(&owner, grant("parent", "all")).await;
    let made: Grant = parse(made);
    for (token, path) in [
        (
            other.token.as_str(),
            format!(
                "/v1/profiles/{}/grants/{}/revocation",
                other.profile, made.grant
            ),
        ),
        (
            other.token.as_str(),
            format!(
                "/v1/profiles/{}/grants/{}/revocation",
                owner.profile, made.grant
            ),
        ),
        // An agency revokes what it recorded, not what others did.
        (
            AGENCY,
            format!("/v1/agency/grants/{}/revocation", made.grant),
        ),
    ] {
        let (status, body) = world
            .call("POST", &path, Some(token), Some(&fresh()), None)
            .await;
        assert_eq!((status, code(&body)), (404, "not-found"), "{path}");
    }
    assert!(world.grants(&other).await.is_empty());

    // An agency grants for its own cases only.
    let question = world.ask(&other, "q").await.question;
    world.until(&other, &question, State::Done).await;
    let pseudonym = world.shown()[0].pseudonym;
    let body = json!({"pseudonym": pseudonym, "grant": grant("power-of-attorney", "all")});
    let path = "/v1/agency/grants";
    let (status, _) = world
        .call(
            "POST",
            path,
            Some(OTHER_AGENCY),
            Some(&fresh()),
            Some(&body),
        )
        .await;
    assert_eq!(status, 404);
    let key = fresh();
    let (status, made) = world
        .call("POST", path, Some(AGENCY), Some(&key), Some(&body))
        .await;
    assert_eq!(status, 201, "{made}");
    // A repeated call finds it; another body under its key is refused.
    let (status, again) = world
        .call("POST", path, Some(AGENCY), Some(&key), Some(&body))
        .await;
    assert_eq!((status, &again["grant"]), (200, &made["grant"]));
    let mut wider = body.clone();
    wider["grant"]["reference"] = json!("another");
    let (status, body) = world
        .call("POST", path, Some(AGENCY), Some(&key), Some(&wider))
        .await;
    assert_eq!((status, code(&body)), (422, "idempotency-key-reused"));
    let path = format!(
        "/v1/agency/grants/{}/revocation",
        made["grant"].as_str().unwrap()
    );
    let (status, _) = world
        .call("POST", &path, Some(OTHER_AGENCY), Some(&fresh()), None)
        .await;
    assert_eq!(status, 404);
    let (status, body) = world
        .call("POST", &path, Some(AGENCY), Some(&fresh()), None)
        .await;
    assert_eq!((status, body["standing"].as_str()), (200, Some("revoked")));
    world.end().await;
}

/// Attack: an agency that recorded a grant looks for what else the person does, such as a purchase whose decision an insurer holds.
#[actix_web::test]
async fn attack_an_agency_reads_of_a_grant_what_was_asked_for_itself_alone() {
    let world = World::new().await;
    let owner = world.owner("987-65-6015").await;
    let question = world.ask(&owner, "q").await.question;
    world.until(&owner, &question, State::Done).await;
    let body = json!({"pseudonym": world.pseudonym(), "grant": grant("power-of-attorney", "all")});
    let record = async || {
        let path = "/v1/agency/grants";
        let made = world.call("POST", path, Some(AGENCY), Some("k"), Some(&body));
        made.await
    };
    assert_eq!(record().await.0, 201);
    let active = world.until_standing(&owner, Standing::Active).await;
    let again = world.ask(&owner, "again").await.question;
    let again = world.until(&owner, &again, State::Done).await;
    let mut ask = world.question();
    ask.audience = "us.or.oha".to_owned();
    let (status, elsewhere) = world.try_ask(&owner, Some("elsewhere"), &ask).await;
    assert_eq!(status, 201, "{elsewhere}");
    let elsewhere: Question = parse(elsewhere);
    world.until(&owner, &elsewhere.question, State::Done).await;
    let mut tx = world.store.store.begin().await.unwrap();
    let (bought, now) = ([9; 32].into(), world.network.clock_now());
    put_use(&mut tx, &bought, &active.grant, Purpose::Gap, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    assert_eq!(world.grants(&owner).await[0].uses.len(), 3);
    let path = format!("/v1/agency/grants/{}/revocation", active.grant);
    let revoked = world.call("POST", &path, Some(AGENCY), Some("r"), None);
    for (status, body) in [record().await, revoked.await] {
        assert_eq!(status, 200, "{body}");
        let uses = parse::<Grant>(body).uses.into_iter();
        let read: Vec<_> = uses.map(|used| used.decision.to_string()).collect();
        assert_eq!(read, [again.decision.clone().unwrap()]);
    }
    world.end().await;
}

#[actix_web::test]
async fn one_key_of_an_agency_or_operator_makes_one_grant_whoever_it_is_of() {
    let world = World::new().await;
    let mut bodies = Vec::new();
    for ssn in ["987-65-6016", "987-65-6017"] {
        let owner = world.owner(ssn).await;
        let question = world.ask(&owner, "q").await.question;
        world.until(&owner, &question, State::Done).await;
        let grant = grant("power-of-attorney", "all");
        bodies.push([
            json!({"pseudonym": world.pseudonym(), "grant": grant}),
            json!({"profile": owner.profile, "grant": grant}),
        ]);
    }
    for (at, path, token) in [
        (0, "/v1/agency/grants", AGENCY),
        (1, "/v1/grants", OPERATOR),
    ] {
        for (owner, expected) in [(0, 201), (1, 422), (0, 200)] {
            let body = Some(&bodies[owner][at]);
            let (status, answer) = world.call("POST", path, Some(token), Some("k"), body).await;
            assert_eq!(status, expected, "{path}: {answer}");
            assert!(status != 422 || code(&answer) == "idempotency-key-reused");
        }
    }
    world.end().await;
}

#[actix_web::test]
async fn a_grant_that_cannot_be_is_refused_by_field() {
    let world = World::new().await;
    let ssn = "987-65-6011";
    let owner = world.owner(ssn).await;
    let designation = grant("designation", "all");
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut body = designation.clone();
        edit(&mut body);
        body
    };
    for (field, body) in [
        (
            "contact",
            edited(&|it| it["contact"] = json!(phone_of(ssn))),
        ),
        ("contact", edited(&|it| it["contact"] = json!("two words"))),
        (
            "from, until",
            edited(&|it| it["from"] = json!("2020-01-01")),
        ),
        (
            "from, until",
            edited(&|it| it["until"] = json!("2020-01-01")),
        ),
        (
            "from, until",
            edited(&|it| it["until"] = json!("2099-01-01")),
        ),
        ("basis", edited(&|it| it["basis"] = json!("parent"))),
        ("reference", edited(&|it| it["reference"] = json!("PR-17"))),
        ("label", edited(&|it| it["label"] = json!(""))),
        ("label", edited(&|it| it["label"] = json!("call 5551234"))),
        ("label", edited(&|it| it["label"] = json!("Reply STOP"))),
        ("label", edited(&|it| it["label"] = json!("bit.ly/x"))),
    ] {
        let (status, answer) = world.designate(&owner, &body).await;
        assert_eq!(status, 400, "{body}");
        assert!(
            answer["detail"].as_str().unwrap().starts_with(field),
            "{field}: {answer}"
        );
    }
    let (status, answer) = world.recorded(&owner, designation).await;
    assert_eq!(status, 400, "{answer}");
    let mut without = grant("parent", "all");
    without.as_object_mut().unwrap().remove("reference");
    let (status, answer) = world.recorded(&owner, without).await;
    assert_eq!(status, 400, "{answer}");
    let child = world.child("987-65-6012").await;
    let (status, answer) = world.designate(&child, &grant("designation", "all")).await;
    assert_eq!((status, code(&answer)), (409, "no-phone"));
    assert!(world.grants(&owner).await.is_empty());
    world.end().await;
}

#[actix_web::test]
async fn a_grant_survives_a_killed_service_and_is_asked_for_once() {
    let mut world = World::new().await;
    let child = world.child("987-65-6013").await;
    world.set_reply_of(AUNT, None);
    world.lie(Lie::TextAnswerLost);
    world.recorded(&child, grant("parent", "all")).await;
    world.until_told(AUNT, "represent").await;
    world.restart().await;
    world.set_reply_of(AUNT, Some(Answer::Yes));
    world.until_standing(&child, Standing::Active).await;
    assert_eq!(world.texts_to(AUNT), ["represent"]);
    let question: Question = world.ask(&child, "q").await;
    let done = world.until(&child, &question.question, State::Done).await;
    assert_eq!(done.outcome, Some(Outcome::Accepted));
    world.end().await;
}
