//! Renewals in batches, and agencies' feeds, over HTTP.

use std::time::{Duration, Instant};

use contracts::encoding::{Bytes32, to_base64url};
use serde_json::json;
use zeroize::Zeroizing;

use crate::api::agency::{MAX_RENEWALS, NoticePage, Renewal, RenewalOutcome};
use crate::api::types::State;
use crate::grant::Standing;
use crate::seal::SealKey;
use crate::testing::{AGENCY, Lie, OTHER_AGENCY, Owner, World, code, fresh, parse};

use super::grants::grant;

/// Longest wait for the workers.
const PATIENCE: Duration = Duration::from_secs(120);

impl World {
    /// An owner whose application the agency accepted, with the pseudonym that it knows them by.
    async fn accepted(&self, ssn: &str) -> (Owner, String) {
        let owner = self.owner(ssn).await;
        let question = self.ask(&owner, "q").await.question;
        self.until(&owner, &question, State::Done).await;
        (owner, self.pseudonym())
    }

    /// The pseudonym of what was shown last to an agency.
    pub(super) fn pseudonym(&self) -> String {
        let shown = self.shown();
        let mut agencies = shown.iter().rev().filter(|it| it.enquiry.is_none());
        let pseudonym = agencies.next().unwrap().pseudonym;
        Bytes32::from(*pseudonym.as_bytes()).to_string()
    }

    async fn try_renew(
        &self,
        token: &str,
        key: &str,
        pseudonyms: &[String],
    ) -> (u16, serde_json::Value) {
        let body = json!({ "pseudonyms": pseudonyms });
        self.call(
            "POST",
            "/v1/agency/renewals",
            Some(token),
            Some(key),
            Some(&body),
        )
        .await
    }

    pub(super) async fn renew(&self, token: &str, pseudonyms: &[String]) -> Renewal {
        let (status, body) = self.try_renew(token, &fresh(), pseudonyms).await;
        assert_eq!(status, 202, "{body}");
        parse(body)
    }

    async fn renewal(&self, id: &Bytes32, query: &str) -> Renewal {
        let path = format!("/v1/agency/renewals/{id}{query}");
        let (status, body) = self.call("GET", &path, Some(AGENCY), None, None).await;
        assert_eq!(status, 200, "{body}");
        parse(body)
    }

    pub(super) async fn until_renewed(&self, id: &Bytes32) -> Renewal {
        let since = Instant::now();
        loop {
            let view = self.renewal(id, "?limit=100").await;
            if view.done == view.total {
                return view;
            }
            assert!(since.elapsed() < PATIENCE, "{view:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[actix_web::test]
async fn a_batch_brings_tokens_for_the_agencys_cases_and_files_and_texts_nothing() {
    let world = World::new().await;
    let (_, first) = world.accepted("987-65-6001").await;
    let (_, second) = world.accepted("987-65-6002").await;
    let (decided, texts, filed, _) = world.counts();
    let named = [first.clone(), fresh(), second.clone()];
    let (status, body) = world.try_renew(AGENCY, "batch", &named).await;
    assert_eq!(status, 202, "{body}");
    let batch: Renewal = parse(body);
    assert_eq!(batch.total, 3);
    let done = world.until_renewed(&batch.renewal).await;
    let told: Vec<_> = done
        .results
        .iter()
        .map(|it| (it.pseudonym.clone(), it.outcome, it.token.is_some()))
        .collect();
    let expected = [
        (first, RenewalOutcome::Yes, true),
        (named[1].clone(), RenewalOutcome::Unknown, false),
        (second, RenewalOutcome::Yes, true),
    ];
    assert_eq!(told, expected);
    let (now_decided, now_texts, now_filed, _) = world.counts();
    assert_eq!(
        (now_decided, now_texts, now_filed),
        (decided + 2, texts, filed)
    );
    // Pages follow each other, and the same call again is the same batch.
    let page = world.renewal(&batch.renewal, "?limit=2").await;
    assert_eq!((page.results.len(), page.next), (2, Some(2)));
    let page = world.renewal(&batch.renewal, "?after=2&limit=2").await;
    assert_eq!(
        (page.results.as_slice(), page.next),
        (&done.results[2..], None)
    );
    let (status, body) = world.try_renew(AGENCY, "batch", &named).await;
    assert_eq!(
        (status, parse::<Renewal>(body).renewal),
        (200, batch.renewal)
    );
    let (status, body) = world.try_renew(AGENCY, "batch", &named[..1]).await;
    assert_eq!((status, code(&body)), (422, "idempotency-key-reused"));
    // Neither pseudonym nor token is readable in the database.
    let dump = world.dump().await;
    for item in &done.results {
        assert!(!dump.contains(&item.pseudonym));
        assert!(
            item.token
                .as_ref()
                .is_none_or(|token| !dump.contains(token.as_str()))
        );
    }
    world.end().await;
}

#[actix_web::test]
async fn a_renewal_needs_nobody_to_ask_and_notes_no_use_of_a_grant() {
    let world = World::new().await;
    let child = world.child("987-65-6014").await;
    let (status, made) = world.recorded(&child, grant("parent", "all")).await;
    assert_eq!(status, 201, "{made}");
    let active = world.until_standing(&child, Standing::Active).await;
    let question = world.ask(&child, "q").await.question;
    world.until(&child, &question, State::Done).await;
    let pseudonym = world.pseudonym();
    let texts = world.counts().1;
    for revoked in [false, true] {
        if revoked {
            world.revoke(&child, &active).await;
        }
        let batch = world.renew(AGENCY, std::slice::from_ref(&pseudonym)).await;
        let done = world.until_renewed(&batch.renewal).await;
        let renewed = &done.results[0];
        assert_eq!(
            (renewed.outcome, renewed.token.is_some()),
            (RenewalOutcome::Yes, true),
            "{renewed:?}"
        );
        // Her one YES was to the application.
        assert_eq!(world.grants(&child).await[0].uses.len(), 1);
        assert!(revoked || world.counts().1 == texts);
    }
    world.end().await;
}

#[actix_web::test]
async fn attack_an_agency_cannot_renew_anothers_case_nor_read_its_batch() {
    let world = World::new().await;
    let (_, pseudonym) = world.accepted("987-65-6003").await;
    let decided = world.counts().0;
    let stolen = world
        .renew(OTHER_AGENCY, std::slice::from_ref(&pseudonym))
        .await;
    let since = Instant::now();
    let path = format!("/v1/agency/renewals/{}", stolen.renewal);
    let view = loop {
        let (_, body) = world
            .call("GET", &path, Some(OTHER_AGENCY), None, None)
            .await;
        let view: Renewal = parse(body);
        if view.done == 1 {
            break view;
        }
        assert!(since.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(view.results[0].outcome, RenewalOutcome::Unknown);
    assert_eq!(world.counts().0, decided);
    let (status, _) = world.call("GET", &path, Some(AGENCY), None, None).await;
    assert_eq!(status, 404);
    // One agency's key is not the other's.
    let (_, body) = world
        .try_renew(AGENCY, "k", std::slice::from_ref(&pseudonym))
        .await;
    let (_, other) = world.try_renew(OTHER_AGENCY, "k", &[pseudonym]).await;
    assert_ne!(body["renewal"], other["renewal"]);
    world.end().await;
}

#[actix_web::test]
async fn attack_a_batch_without_end_or_of_one_case_many_times_is_refused() {
    let world = World::with(|config| config.worker.workers = 0).await;
    let many: Vec<_> = (0..=MAX_RENEWALS).map(|_| fresh()).collect();
    let twice = [many[0].clone(), many[0].clone()];
    for bad in [&[][..], &many, &twice, &["short".to_owned()]] {
        let (status, body) = world.try_renew(AGENCY, &fresh(), bad).await;
        assert_eq!((status, code(&body)), (400, "bad-request"));
    }
    let (status, body) = world
        .try_renew(AGENCY, &fresh(), &many[..MAX_RENEWALS])
        .await;
    assert_eq!(status, 202, "{body}");
    for _ in 1..20 {
        world.renew(AGENCY, &many[..1]).await;
    }
    let (status, body) = world.try_renew(AGENCY, &fresh(), &many[..1]).await;
    assert_eq!((status, code(&body)), (409, "too-many-open"));
    // Another agency is not kept waiting.
    world.renew(OTHER_AGENCY, &many[..1]).await;
    world.end().await;
}

#[actix_web::test]
async fn a_batch_goes_on_after_a_worker_died_in_the_middle_and_decides_once() {
    let mut world = World::with(|config| {
        config.worker.workers = 0;
        config.worker.lease_seconds = 1;
    })
    .await;
    let (_, pseudonym) = world.accepted("987-65-6004").await;
    let decided = world.counts().0;
    let batch = world.renew(AGENCY, &[fresh(), pseudonym]).await;
    // The committee has decided and the answer is lost; then a worker takes the items and is never heard of again.
    world.lie(Lie::DecisionAnswerLost);
    world.service.service().work().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let service = world.service.service();
    let now = service.clock.now();
    let until = contracts::units::UnixTime(now.0 + 2);
    let claimed = service.store.claim_renewal(now, until).await.unwrap();
    assert!(claimed.is_some());
    world.recant(Lie::DecisionAnswerLost);
    assert!(world.renewal(&batch.renewal, "").await.done < 2);
    world.config.worker.workers = 2;
    world.restart().await;
    let done = world.until_renewed(&batch.renewal).await;
    let outcomes: Vec<_> = done.results.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [RenewalOutcome::Unknown, RenewalOutcome::Yes]);
    assert_eq!(world.counts().0, decided + 1);
    world.end().await;
}

#[actix_web::test]
async fn an_agency_reads_what_changed_about_its_cases_and_no_others() {
    use contracts::lifecycle::{Change, Event, Notice};
    let world = World::new().await;
    let owner = world.watched("987-65-6005").await;
    world.reinstated(&owner).await;
    let profile = world.service.service().store.profile(&owner.profile).await;
    let profile = profile.unwrap().unwrap();
    world.set_income(900_000);
    let change = Event::Changed {
        change: Change::IncomeUp,
    };
    let service = world.service.service();
    service.take_event(&profile, "up", &change).await.unwrap();
    let since = Instant::now();
    let notices = loop {
        let (status, body) = world
            .call("GET", "/v1/agency/notices", Some(AGENCY), None, None)
            .await;
        assert_eq!(status, 200, "{body}");
        let page: NoticePage = parse(body);
        if !page.notices.is_empty() {
            break page.notices;
        }
        assert!(since.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(matches!(notices[0].notice, Notice::Loss { .. }));
    assert_eq!(
        (notices[0].seq, notices[0].application.as_str()),
        (1, "CA-0")
    );
    let token = notices[0].token.clone().unwrap();
    let pool = world.store.store.pool();
    let row = sqlx::query("SELECT sealed FROM agency_notice");
    let sealed: String = sqlx::Row::get(&row.fetch_one(pool).await.unwrap(), 0);
    assert!(!sealed.contains(&token));
    let (_, body) = world
        .call(
            "GET",
            "/v1/agency/notices?after=1",
            Some(AGENCY),
            None,
            None,
        )
        .await;
    assert!(parse::<NoticePage>(body).notices.is_empty());
    let (_, body) = world
        .call("GET", "/v1/agency/notices", Some(OTHER_AGENCY), None, None)
        .await;
    assert!(parse::<NoticePage>(body).notices.is_empty());
    world.end().await;
}

#[actix_web::test]
async fn cases_and_batches_are_there_after_the_operator_key_was_replaced() {
    let mut world = World::new().await;
    let (_, pseudonym) = world.accepted("987-65-6009").await;
    let batch = world.renew(AGENCY, std::slice::from_ref(&pseudonym)).await;
    let before = world.until_renewed(&batch.renewal).await;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.key");
    std::fs::write(&file, to_base64url([43; 32])).unwrap();
    let key = |byte| SealKey::new(Zeroizing::new([byte; 32]));
    world.store.store.rewrap(&key(42), &key(43)).await.unwrap();
    world.config.operator_key = serde_json::from_value(json!({ "file": file })).unwrap();
    world.restart().await;

    let after = world.until_renewed(&batch.renewal).await;
    assert_eq!(after.results, before.results);
    let again = world.renew(AGENCY, &[pseudonym]).await;
    let again = world.until_renewed(&again.renewal).await;
    assert_eq!(again.results[0].outcome, RenewalOutcome::Yes);
    world.end().await;
}
