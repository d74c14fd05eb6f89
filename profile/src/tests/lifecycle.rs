//! Lifecycles, worked on by the service's own workers over the network.

use std::time::{Duration, Instant};

use contracts::application::Answer;
use contracts::calendar::month_end;
use contracts::encoding::Bytes32;
use contracts::lifecycle::{
    Change, Event, FILING_DAYS, Gap, Matter, Notice, Outcome, Payer, Phase, State, replay,
};
use contracts::receipt::{EntryKind, commit};
use contracts::units::Day;
use serde_json::json;

use crate::agency::{StatusNotice, What};
use crate::api::types::PolicyPage;
use crate::lifecycle::Coverage;
use crate::testing::{AUDIENCE, CONTRACT, INSURER, Lie, Owner, World, parse};

use super::grants::phone_of;

/// Longest wait for the workers: far more than they take, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(120);

impl World {
    pub(super) async fn watched(&self, ssn: &str) -> Owner {
        let owner = self.owner(ssn).await;
        let path = format!("/v1/profiles/{}/coverage", owner.profile);
        let body = json!({"jurisdiction": "CA", "contract": CONTRACT});
        let (status, answer) = self
            .call("PUT", &path, Some(&owner.token), None, Some(&body))
            .await;
        assert_eq!(status, 204, "{answer}");
        owner
    }

    pub(super) async fn report(&self, owner: &Owner, key: &str, event: serde_json::Value) {
        let path = format!("/v1/profiles/{}/coverage/events", owner.profile);
        let (status, answer) = self
            .call("POST", &path, Some(&owner.token), Some(key), Some(&event))
            .await;
        assert_eq!(status, 204, "{answer}");
    }

    pub(super) async fn changed(&self, owner: &Owner, key: &str, change: Change) {
        self.report(owner, key, json!({"event": "changed", "change": change}))
            .await;
    }

    pub(super) async fn coverage(&self, owner: &Owner) -> Coverage {
        let path = format!("/v1/profiles/{}/coverage?limit=100", owner.profile);
        let (status, body) = self
            .call("GET", &path, Some(&owner.token), None, None)
            .await;
        assert_eq!(status, 200, "{body}");
        parse(body)
    }

    /// Waits until the workers have brought the record so far.
    pub(super) async fn until_cover(
        &self,
        owner: &Owner,
        holds: impl Fn(&Coverage) -> bool,
    ) -> Coverage {
        let since = Instant::now();
        loop {
            let coverage = self.coverage(owner).await;
            if holds(&coverage) {
                return coverage;
            }
            let state = &coverage.state;
            assert!(
                since.elapsed() < PATIENCE,
                "{:?} {:?} {:?}",
                state.case,
                state.gap,
                state.last
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn today(&self) -> Day {
        oracles::clock::Clock::system().today()
    }

    /// Waits until the insurer has sold and ended so many policies.
    async fn until_sold(&self, sold: (usize, usize)) {
        let since = Instant::now();
        while self.sold() != sold {
            assert!(since.elapsed() < PATIENCE, "{:?}", self.sold());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the agency was told such a thing.
    async fn until_notice(&self, wanted: impl Fn(&StatusNotice) -> bool) -> StatusNotice {
        let since = Instant::now();
        loop {
            if let Some(told) = self.notices().into_iter().find(|told| wanted(told)) {
                return told;
            }
            assert!(since.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// From a job lost to the agency's acceptance.
    pub(super) async fn reinstated(&self, owner: &Owner) -> Coverage {
        self.changed(owner, "job", Change::IncomeDown).await;
        self.until_cover(owner, |now| pending(&now.state)).await;
        self.says(
            "CA-0",
            What::Accepted {
                from: self.today(),
                period_end: None,
            },
        );
        self.until_cover(owner, |now| now.state.medicaid.is_some())
            .await
    }
}

fn pending(state: &State) -> bool {
    matches!(
        state.case.map(|case| case.phase),
        Some(Phase::Pending { .. })
    )
}

/// Whether it is about a gap policy, which is offered while an agency determines.
fn about_a_gap(event: &Event) -> bool {
    let replied = matches!(
        event,
        Event::Replied {
            matter: Matter::Gap { .. },
            ..
        }
    );
    replied || event.name().starts_with("gap")
}

fn outcome(coverage: &Coverage) -> Option<Outcome> {
    coverage.state.last.map(|last| last.outcome)
}

#[actix_web::test]
async fn a_job_lost_ends_in_cover_with_receipts_that_tell_the_story() {
    let world = World::new().await;
    let owner = world.watched("987-65-5001").await;
    world.reinstated(&owner).await;
    let all = |now: &Coverage| now.events.iter().all(|event| event.receipt.is_some());
    let record = world.until_cover(&owner, all).await;
    assert_eq!(outcome(&record), Some(Outcome::Accepted));
    let jurisdiction = "CA".parse().unwrap();
    let medicaid = Payer::Medicaid { jurisdiction };
    assert_eq!(record.days.last().unwrap().payer, medicaid);

    // One application, and the ledger holds every step: commitment, kind and proof check out.
    let (_, _, filed, _) = world.counts();
    assert_eq!(filed, 1);
    for event in &record.events {
        let receipt = event.receipt.as_ref().unwrap();
        receipt.verify(world.trust()).unwrap();
        assert_eq!(receipt.entry, event.entry);
        assert_eq!(event.entry.kind, EntryKind::CoverageEvent);
        let commitment = commit(EntryKind::CoverageEvent, &event.salt, &event.transition);
        assert_eq!(event.entry.commitment, commitment);
    }
    let names: Vec<&str> = record
        .events
        .iter()
        .filter(|event| !about_a_gap(&event.event))
        .map(|event| event.event.name())
        .filter(|name| *name != "tick")
        .collect();
    assert_eq!(
        names,
        ["changed", "answered", "replied", "filed", "accepted"]
    );
    // The record is complete: its events lead to its state.
    let events: Vec<(Event, Day)> = record
        .events
        .iter()
        .map(|event| (event.event.clone(), event.date))
        .collect();
    let first = State::new(jurisdiction, CONTRACT, record.events[0].date);
    assert_eq!(replay(first, &events), record.state);

    // Another owner's token opens none of it.
    let other = world.owner("987-65-5002").await;
    let path = format!("/v1/profiles/{}/coverage", owner.profile);
    let (status, _) = world
        .call("GET", &path, Some(&other.token), None, None)
        .await;
    assert_eq!(status, 404);
    world.end().await;
}

#[actix_web::test]
async fn a_loss_is_told_to_owner_and_agency_and_disputed_by_text() {
    let world = World::new().await;
    let owner = world.watched("987-65-5004").await;
    world.reinstated(&owner).await;
    world.set_income(450_017);
    world.set_reply(Some(Answer::No));
    world.changed(&owner, "raise", Change::IncomeUp).await;
    let review = |now: &Coverage| {
        let phase = now.state.case.map(|case| case.phase);
        // What was quoted waits: a dispute upheld needs none.
        let quoted = matches!(now.state.gap, Gap::Quoted { .. });
        matches!(phase, Some(Phase::Review { .. })) && quoted
    };
    let record = world.until_cover(&owner, review).await;
    let case = record.state.case.unwrap().id;
    world
        .until_notice(|told| told.notice == Notice::Disputed)
        .await;
    let loss = world
        .until_notice(|told| matches!(told.notice, Notice::Loss { .. }))
        .await;
    let token = loss.token.expect("a loss rests on a decision");
    let claims = contracts::token::open(&token, &world.trust().decision_keys()).unwrap();
    assert_eq!(claims.verdict, contracts::ids::Verdict::No);
    let texts = world.network_texts();
    let changes = texts.iter().filter(|text| text["template"] == "change");
    assert_eq!(changes.count(), 1, "case {case} asks once");

    // A caseworker finds that the owner was right; said twice, it ends one review.
    world.says("CA-0", What::Reviewed { upheld: true });
    world.says("CA-0", What::Reviewed { upheld: true });
    let ended = |now: &Coverage| outcome(now) == Some(Outcome::DisputeUpheld);
    let record = world.until_cover(&owner, ended).await;
    let payer = record.days.last().map(|span| &span.payer);
    assert!(matches!(payer, Some(Payer::Medicaid { .. })), "{payer:?}");
    // The NO is no ground for taking the notice back.
    world
        .until_notice(|told| told.notice == Notice::Withdrawn && told.token.is_none())
        .await;
    world.end().await;
}

#[actix_web::test]
async fn a_notice_that_is_refused_for_good_does_not_hold_up_the_next() {
    for (ssn, lie) in [
        ("987-65-5011", Lie::NoticeRefused),
        ("987-65-5012", Lie::NoticeUnknown),
    ] {
        a_notice_is_refused(ssn, lie).await;
    }
}

async fn a_notice_is_refused(ssn: &str, lie: Lie) {
    let world = World::new().await;
    let owner = world.watched(ssn).await;
    world.reinstated(&owner).await;
    world.set_income(450_017);
    world.set_reply(Some(Answer::No));
    world.lie(lie);
    world.changed(&owner, "raise", Change::IncomeUp).await;
    let review = |now: &Coverage| {
        let phase = now.state.case.map(|case| case.phase);
        matches!(phase, Some(Phase::Review { .. }))
    };
    world.until_cover(&owner, review).await;
    world.until_called("refused notice").await;
    assert!(world.notices().is_empty());
    world.honest();
    world.says("CA-0", What::Reviewed { upheld: true });
    world
        .until_notice(|told| told.notice == Notice::Withdrawn)
        .await;
    assert!(
        world
            .notices()
            .iter()
            .all(|told| !matches!(told.notice, Notice::Loss { .. })),
        "it was not sent again"
    );
    world.end().await;
}

#[actix_web::test]
async fn a_phone_that_is_not_verified_is_told_when_it_is_and_holds_up_nothing() {
    let world = World::new().await;
    let ssn = "987-65-5023";
    let owner = world.watched(ssn).await;
    world.changed(&owner, "job", Change::IncomeDown).await;
    world.until_cover(&owner, |now| pending(&now.state)).await;
    world.set_verified(&phone_of(ssn), false);
    let from = world.today();
    let period_end = None;
    world.says("CA-0", What::Accepted { from, period_end });
    let waits = async || {
        let sql = "SELECT task FROM lifecycle_task WHERE lane LIKE 'tell %' AND done_at IS NULL";
        let pool = world.store.store.pool();
        !sqlx::query(sql).fetch_all(pool).await.unwrap().is_empty()
    };
    world.soon(waits).await;
    let idle = async || {
        let sql = "SELECT task FROM lifecycle_task WHERE lane = 'owner' AND done_at IS NULL";
        let pool = world.store.store.pool();
        sqlx::query(sql).fetch_all(pool).await.unwrap().is_empty()
    };
    world.soon(idle).await;
    assert!(
        !world
            .texts_to(&phone_of(ssn))
            .contains(&"accepted".to_owned())
    );
    world.set_verified(&phone_of(ssn), true);
    world.until_told(&phone_of(ssn), "accepted").await;
    world.end().await;
}

#[actix_web::test]
async fn a_decline_files_nothing() {
    let world = World::new().await;
    let owner = world.watched("987-65-5005").await;
    world.set_reply(Some(Answer::No));
    world.changed(&owner, "job", Change::IncomeDown).await;
    let record = world
        .until_cover(&owner, |now| now.state.last.is_some())
        .await;
    assert_eq!(outcome(&record), Some(Outcome::Declined));
    let (_, _, filed, _) = world.counts();
    assert_eq!(filed, 0);
    world.end().await;
}

#[actix_web::test]
async fn answers_that_are_lost_repeat_no_effect() {
    let world = World::new().await;
    let owner = world.watched("987-65-5006").await;
    for lie in [
        Lie::DecisionAnswerLost,
        Lie::TextAnswerLost,
        Lie::AgencyAnswerLost,
        Lie::ReceiptLost,
        Lie::NoticeAnswerLost,
    ] {
        world.lie(lie);
    }
    world.changed(&owner, "job", Change::IncomeDown).await;
    // Decided, and no coordinator's answer arrives.
    let since = Instant::now();
    while world.counts().0 == 0 {
        assert!(since.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.recant(Lie::DecisionAnswerLost);
    // The ledger holds what it was told, and no receipt arrives.
    let filing = |now: &Coverage| {
        let phase = now.state.case.map(|case| case.phase);
        matches!(phase, Some(Phase::Filing { .. }))
    };
    world.until_cover(&owner, filing).await;
    world.recant(Lie::ReceiptLost);
    let record = world.reinstated(&owner).await;
    assert_eq!(outcome(&record), Some(Outcome::Accepted));
    world
        .report(&owner, "same", json!({"event": "disputed", "case": 1}))
        .await;
    world
        .report(&owner, "same", json!({"event": "disputed", "case": 1}))
        .await;
    let all = |now: &Coverage| now.events.iter().all(|event| event.receipt.is_some());
    let record = world.until_cover(&owner, all).await;
    let disputes = record
        .events
        .iter()
        .filter(|event| event.event.name() == "disputed");
    assert_eq!(disputes.count(), 1, "one key, one event");
    // Its own question, and perhaps by now the one that an insurer's offer rests on.
    let (decided, _, filed, _) = world.counts();
    assert!((1..=2).contains(&decided), "{decided}");
    assert_eq!(filed, 1);
    // Each step is in the ledger once; an insurer's may still be coming.
    let since = Instant::now();
    while world.coverage_entries() != world.coverage(&owner).await.events.len() {
        assert!(since.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.end().await;
}

#[actix_web::test]
async fn what_an_agency_did_not_sign_changes_nothing() {
    let world = World::new().await;
    let owner = world.watched("987-65-5007").await;
    world.lie(Lie::ForgedStatement);
    world.changed(&owner, "job", Change::IncomeDown).await;
    world.until_cover(&owner, |now| pending(&now.state)).await;
    world.says("CA-0", What::Denied);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(pending(&world.coverage(&owner).await.state));
    world.honest();
    let denied = |now: &Coverage| outcome(now) == Some(Outcome::Denied);
    world.until_cover(&owner, denied).await;
    world.end().await;
}

#[actix_web::test]
async fn two_services_on_one_database_share_the_work_and_outlive_each_other() {
    let mut world = World::new().await;
    let second = crate::server::start(world.config.clone()).await.unwrap();
    let owners = [
        world.watched("987-65-5008").await,
        world.watched("987-65-5009").await,
    ];
    for owner in &owners {
        world.changed(owner, "job", Change::IncomeDown).await;
    }
    // One of them stops in the middle, another takes its place: what it held is taken up.
    world.restart().await;
    for owner in &owners {
        world.until_cover(owner, |now| pending(&now.state)).await;
    }
    // A question each, and perhaps an insurer's each by now.
    let (decided, _, filed, _) = world.counts();
    assert!((2..=4).contains(&decided), "{decided}");
    assert_eq!(filed, 2);
    second.stop().await;
    world.end().await;
}

#[actix_web::test]
async fn a_loss_ends_in_gap_cover_on_the_owners_yes_and_that_cover_ends_when_the_agency_accepts() {
    let mut world = World::new().await;
    let owner = world.watched("987-65-5010").await;
    // While the agency determines, too: from tomorrow, and void when it accepts from today.
    world.changed(&owner, "job", Change::IncomeDown).await;
    let active = |now: &Coverage| matches!(now.state.gap, Gap::Active { .. });
    world
        .until_cover(&owner, |now| pending(&now.state) && active(now))
        .await;
    let from = world.today();
    let accepted = |from| What::Accepted {
        from,
        period_end: None,
    };
    world.says("CA-0", accepted(from));
    world.until_sold((1, 1)).await;

    world.set_income(450_017);
    world.changed(&owner, "raise", Change::IncomeUp).await;
    // Her YES buys at once, from the day on which cover is expected to end; until then the policy covers nothing.
    let bought = |now: &Coverage| matches!(now.state.gap, Gap::Bought { .. });
    let ahead = world.until_cover(&owner, bought).await;
    assert_eq!(world.sold(), (2, 1));
    let payer = &ahead.days.last().unwrap().payer;
    assert!(matches!(payer, Payer::Medicaid { .. }), "{payer:?}");

    // The agency closes on the day that was expected: thirty days to respond, ten of notice, the end of the month.
    let noticed = world.today().plus(40).unwrap();
    let closed = month_end(noticed).unwrap().plus(1).unwrap();
    world.says("CA-0", What::Closed { on: closed });
    let covered = world.until_cover(&owner, active).await;
    let gap = covered.days.last().unwrap();
    assert!(matches!(gap.payer, Payer::Gap { .. }), "{:?}", covered.days);
    assert_eq!(gap.from, closed, "no day between is nobody's");
    assert_eq!(world.sold(), (2, 1));

    // Work is lost again: the policy goes on until the agency has accepted, and ends on the day from which it covers.
    world.set_income(150_000);
    world.changed(&owner, "job-again", Change::IncomeDown).await;
    world.until_cover(&owner, |now| pending(&now.state)).await;
    assert_eq!(world.sold(), (2, 1));
    let from = closed.plus(10).unwrap();
    world.says("CA-1", accepted(from));
    // The insurer is told on the day before: until then it may be accepted from an earlier one.
    world
        .until_cover(&owner, |now| now.state.expiring.is_some())
        .await;
    assert_eq!(world.sold(), (2, 1));
    world
        .sleep_days(from.number() - world.today().number() - 1)
        .await;
    world.until_sold((2, 2)).await;
    let record = world.coverage(&owner).await;
    let spans: Vec<(Day, bool)> = record
        .days
        .iter()
        .rev()
        .take(2)
        .map(|span| (span.from, matches!(span.payer, Payer::Gap { .. })))
        .collect();
    assert_eq!(spans, [(from, false), (closed, true)]);
    let texts = world.network_texts();
    let told = |template: &str| {
        texts
            .iter()
            .filter(|text| text["template"] == template)
            .count()
    };
    assert_eq!((told("gap"), told("gap_begins")), (2, 2));
    // The insurer reads what it sold, and nobody else's.
    let list = |query: &'static str| {
        let (world, path) = (&world, format!("/v1/insurer/policies{query}"));
        async move { world.call("GET", &path, Some(INSURER), None, None).await }
    };
    let (status, body) = list("").await;
    assert_eq!(status, 200, "{body}");
    let sold: PolicyPage = parse(body);
    let sells = |state: &str| ["ending", "ended"].contains(&state);
    assert!(sold.policies.iter().all(|it| sells(&it.state)));
    assert_eq!(sold.policies.len(), 2);
    let (status, _) = list("?after=a%00").await;
    assert_eq!(status, 400);
    let store = &world.service.service().store;
    let others = store.policies_of("insurer.one", "", 50).await.unwrap();
    assert!(others.is_empty());
    world.end().await;
}

#[actix_web::test]
async fn what_was_asked_as_a_process_died_is_taken_back_when_its_matter_is_over() {
    let world = World::new().await;
    let owner = world.watched("987-65-5026").await;
    let asked = |world: &World, template: &str| {
        let texts = world.network_texts().into_iter();
        let mut asked = texts.filter(|text| text["template"] == template);
        let decision = asked.next()?["decision_id"].as_str()?.to_owned();
        Bytes32::parse(&decision).ok()
    };
    world.set_reply(None);
    // The notifier has it, and the process does not live to note that.
    world.lie(Lie::AskAnswersLost);
    world.changed(&owner, "job", Change::IncomeDown).await;
    world.soon(async || asked(&world, "apply").is_some()).await;
    let decision = asked(&world, "apply").unwrap();
    let from = json!({"event": "covered", "jurisdiction": "CA", "from": world.today()});
    world.report(&owner, "covered", from).await;
    let to = "OR".parse().unwrap();
    world.set_state(41);
    world.changed(&owner, "moved", Change::Moved { to }).await;
    world.soon(async || world.withdrawn(&decision)).await;
    world.honest();
    world.soon(async || asked(&world, "move").is_some()).await;
    world.end().await;
}

#[actix_web::test]
async fn an_agency_that_takes_nothing_holds_up_no_other_states() {
    let world = World::new().await;
    let owner = world.watched("987-65-5024").await;
    world.reinstated(&owner).await;
    // California is to hear of a loss, and does not.
    world.lie(Lie::NoticesDown);
    world.set_income(450_017);
    world.set_reply(None);
    world.changed(&owner, "raise", Change::IncomeUp).await;
    world.until_called("refused notice").await;
    let to = "OR".parse().unwrap();
    world.set_income(61_237);
    world.set_state(41);
    world.changed(&owner, "moved", Change::Moved { to }).await;
    let moving = |now: &Coverage| now.state.case.is_some_and(|case| case.jurisdiction == to);
    world.until_cover(&owner, moving).await;
    world.set_reply(Some(Answer::Yes));
    let filed = |now: &Coverage| pending(&now.state) && now.applications.contains_key(&to);
    world.until_cover(&owner, filed).await;
    assert!(world.notices().is_empty());
    world.honest();
    world
        .until_notice(|told| matches!(told.notice, Notice::Loss { .. }))
        .await;
    world.end().await;
}

#[actix_web::test]
async fn a_policy_ends_though_no_other_is_quoted_and_the_next_is_bought_when_it_has() {
    let world = World::new().await;
    let owner = world.watched("987-65-5025").await;
    world.changed(&owner, "job", Change::IncomeDown).await;
    let active = |now: &Coverage| matches!(now.state.gap, Gap::Active { .. });
    let record = world
        .until_cover(&owner, |now| pending(&now.state) && active(now))
        .await;
    let Gap::Active { policy, .. } = record.state.gap else {
        unreachable!()
    };
    // It is to end by itself; the insurer is away when the next is to be quoted.
    world.lie(Lie::QuotesDown);
    let quoted = world.calls("enquiry");
    let service = world.service.service();
    let profile = world.store.store.profile(&owner.profile).await.unwrap();
    let on = world.today().plus(60).unwrap();
    let lapsed = Event::GapLapsed { policy, on };
    let profile = profile.unwrap();
    service.take_event(&profile, "t", &lapsed).await.unwrap();
    world.soon(async || world.calls("enquiry") > quoted).await;
    world.lie(Lie::EndingsDown);
    let accepted = What::Accepted {
        from: world.today(),
        period_end: None,
    };
    world.says("CA-0", accepted);
    world
        .until_cover(&owner, |now| now.state.medicaid.is_some())
        .await;
    let waiting = async |lane: &str| {
        let sql = "SELECT failures FROM lifecycle_task WHERE lane LIKE $1 AND failures > 0 AND done_at IS NULL";
        let pool = world.store.store.pool();
        let found = sqlx::query(sql).bind(lane).fetch_all(pool).await;
        found.unwrap().len()
    };
    world.soon(async || waiting("end %").await == 1).await;
    // Nobody waits for that quote any more.
    world.soon(async || waiting("quote").await == 0).await;
    assert_eq!(world.sold(), (1, 0));

    // The next would cover days of the one that is still to be ended: it is no refusal, and no other is offered.
    world.recant(Lie::QuotesDown);
    world.set_income(450_017);
    world.changed(&owner, "raise", Change::IncomeUp).await;
    world.soon(async || waiting("purchase").await == 1).await;
    assert_eq!(world.sold(), (1, 0));
    world.honest();
    let bought = |now: &Coverage| matches!(now.state.gap, Gap::Bought { .. });
    let record = world.until_cover(&owner, bought).await;
    assert_eq!(world.sold(), (2, 1));
    let refused = |event: &Event| matches!(event, Event::GapRefused { .. });
    assert!(!record.events.iter().any(|it| refused(&it.event)));
    world.end().await;
}

#[actix_web::test]
async fn a_case_closed_earlier_than_expected_is_insured_from_that_day_and_not_a_day_twice() {
    let mut world = World::new().await;
    let owner = world.watched("987-65-5023").await;
    world.changed(&owner, "job", Change::IncomeDown).await;
    let insured =
        |now: &Coverage| pending(&now.state) && matches!(now.state.gap, Gap::Active { .. });
    world.until_cover(&owner, insured).await;
    let (from, period_end) = (world.today(), None);
    world.says("CA-0", What::Accepted { from, period_end });
    world.until_sold((1, 1)).await;
    world.set_income(450_017);
    world.changed(&owner, "raise", Change::IncomeUp).await;
    let bought = |now: &Coverage| matches!(now.state.gap, Gap::Bought { .. });
    let ahead = world.until_cover(&owner, bought).await;
    let Gap::Bought { from: begins, .. } = ahead.state.gap else {
        unreachable!()
    };
    let closed = world.today().plus(15).unwrap();
    world.says("CA-0", What::Closed { on: closed });
    let bridged = |now: &Coverage| now.state.expiring.is_some();
    let record = world.until_cover(&owner, bridged).await;
    let spans = |record: &Coverage| -> Vec<(Day, bool)> {
        let gap = |payer: &Payer| matches!(payer, Payer::Gap { .. });
        let spans = record.days.iter();
        spans
            .map(|span| (span.from, gap(&span.payer)))
            .skip(1)
            .collect()
    };
    assert_eq!(spans(&record), [(closed, true), (begins, true)]);
    assert_eq!(world.sold(), (3, 1));
    // The day before the other begins, the insurer is told.
    world
        .sleep_days(begins.number() - world.today().number() - 1)
        .await;
    world.until_sold((3, 2)).await;
    assert_eq!(
        spans(&world.coverage(&owner).await),
        [(closed, true), (begins, true)]
    );
    world.end().await;
}

/// Attack: whoever can write the notifier's events, which are not signed, says that the owner replied YES late.
#[actix_web::test]
async fn a_yes_after_the_last_day_asks_anew_and_files_nothing_by_itself() {
    let world = World::new().await;
    world.lie(Lie::ClosedReply);
    let owner = world.watched("987-65-5020").await;
    world.changed(&owner, "job", Change::IncomeDown).await;
    let unheard = |now: &Coverage, cases: u32| {
        now.state.cases == cases && outcome(now) == Some(Outcome::NoReply)
    };
    world.until_cover(&owner, |now| unheard(now, 1)).await;
    let asked: Vec<String> = world
        .network_texts()
        .iter()
        .filter(|text| text["template"] == "apply")
        .map(|text| text["decision_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(asked.len(), 2, "asked once more before no reply is one");
    let latest: String = {
        use sqlx::Row as _;
        let sql =
            "SELECT decision FROM question WHERE audience = $1 ORDER BY wallet_index DESC LIMIT 1";
        let row = sqlx::query(sql)
            .bind(AUDIENCE)
            .fetch_one(world.store.store.pool())
            .await
            .unwrap();
        row.get("decision")
    };
    let first = asked.iter().find(|decision| **decision != latest).unwrap();
    // An earlier text of the case, one of nobody's, and other words are no reason to ask.
    world.event("late", first, "YES");
    world.event("late", "no id", "YES");
    world.event("late", &latest, "NO");
    world.heard_all().await;
    assert_eq!(world.coverage(&owner).await.state.cases, 1);
    world.event("late", &latest, "YES");
    world.event("late", &latest, "YES");
    world.heard_all().await;
    world
        .until_cover(&owner, |now| unheard(now, 2) && now.state.case.is_none())
        .await;
    let (_, _, filed, _) = world.counts();
    assert_eq!(filed, 0);
    world.end().await;
}

#[actix_web::test]
async fn a_death_that_the_agency_confirms_ends_everything_and_texts_nobody() {
    let world = World::new().await;
    let owner = world.watched("987-65-5021").await;
    world.reinstated(&owner).await;
    let on = world.today();
    world.says("CA-0", What::Died { on });
    let record = world
        .until_cover(&owner, |now| now.state.died.is_some())
        .await;
    let ends = on.plus(1).unwrap();
    assert_eq!(record.days.last().unwrap().to, Some(ends));
    assert!(record.applications.values().any(|it| it == "CA-0"));
    let told = world.network_texts().len();
    world.changed(&owner, "job-again", Change::IncomeDown).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.network_texts().len(), told);
    // It was another's.
    world.says("CA-0", What::Lives);
    let record = world
        .until_cover(&owner, |now| now.state.died.is_none())
        .await;
    assert_eq!(record.days.last().unwrap().to, None);
    world.end().await;
}

#[actix_web::test]
async fn what_the_agency_did_not_take_in_time_is_not_filed_after_its_case_has_ended() {
    let mut world = World::new().await;
    let owner = world.watched("987-65-5022").await;
    world.lie(Lie::ForgedAcceptance);
    world.changed(&owner, "job", Change::IncomeDown).await;
    world.until_called("apply").await;
    world.sleep_days(FILING_DAYS + 1).await;
    let not_filed = |now: &Coverage| outcome(now) == Some(Outcome::NotFiled);
    world.until_cover(&owner, not_filed).await;
    let tried = world.calls("apply");
    world.honest();
    // It waits up to an hour after its failures.
    world.sleep_days(1).await;
    let given_up = async || {
        let sql = "SELECT task FROM lifecycle_task WHERE failures > 0 AND done_at IS NULL";
        let pool = world.store.store.pool();
        sqlx::query(sql).fetch_all(pool).await.unwrap().is_empty()
    };
    world.soon(given_up).await;
    assert_eq!(world.calls("apply"), tried);
    let record = world.coverage(&owner).await;
    assert_eq!(outcome(&record), Some(Outcome::NotFiled));
    assert!(record.applications.is_empty());
    world.end().await;
}

#[actix_web::test]
async fn an_age_at_which_a_group_ends_is_asked_about_when_the_month_after_it_begins() {
    let mut world = World::new().await;
    let owner = world.watched("987-65-5020").await;
    let turns = world.today().plus(20).unwrap();
    world.set_born(contracts::calendar::months_later(turns, -65 * 12).unwrap());
    world.set_reply(None);
    let from = json!({"event": "covered", "jurisdiction": "CA", "from": world.today()});
    world.report(&owner, "covered", from).await;
    world.changed(&owner, "raise", Change::IncomeUp).await;
    let kept = |now: &Coverage| outcome(now) == Some(Outcome::StillEligible);
    world.until_cover(&owner, kept).await;
    // The day is nowhere in the clear, nor is a task due on it.
    let dump = world.dump().await;
    assert!(!dump.contains(&turns.start().0.to_string()));
    world.sleep_days(55).await;
    let told = |now: &Coverage| {
        let case = now.state.case;
        case.is_some_and(|case| case.change == Change::AgeBoundary && case.told)
    };
    world.until_cover(&owner, told).await;
    world.end().await;
}
