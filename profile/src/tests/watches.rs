//! Watches: from an owner's agreement over a quorum's word to a question, and what nobody can make of it.

use std::time::{Duration, Instant};

use contracts::ids::Domain;
use contracts::lifecycle::{Change, Event, Outcome, Watched};
use contracts::units::Day;
use serde_json::json;

use crate::api::watches::Watches;
use crate::testing::{Lie, Owner, World, code, parse};

/// Longest wait for the workers, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(120);
const INCOME: &str = "income.magi_monthly";

impl World {
    async fn watching() -> Self {
        Self::with(|config| {
            config.watch.enabled = true;
            config.watch.poll_seconds = 1;
            config.watch.pause_seconds = 0;
        })
        .await
    }

    fn path(&self, owner: &Owner) -> String {
        format!("/v1/profiles/{}/watches", owner.profile)
    }

    fn day(&self, days: i64) -> Day {
        let today = oracles::clock::Clock::system().today();
        today.plus(days).unwrap()
    }

    async fn agree(&self, owner: &Owner, body: serde_json::Value) -> (u16, serde_json::Value) {
        let path = self.path(owner);
        self.call("PUT", &path, Some(&owner.token), None, Some(&body))
            .await
    }

    async fn end_watches(&self, owner: &Owner, watch: &str) {
        let path = format!("{}{watch}", self.path(owner));
        let (status, answer) = self
            .call("DELETE", &path, Some(&owner.token), None, None)
            .await;
        assert_eq!(status, 204, "{answer}");
    }

    async fn watches_of(&self, owner: &Owner) -> Watches {
        let path = self.path(owner);
        let (status, body) = self
            .call("GET", &path, Some(&owner.token), None, None)
            .await;
        assert_eq!(status, 200, "{body}");
        parse(body)
    }

    /// An owner whose cover is looked after, and whose facts all nodes that are up watch.
    async fn watched_owner(&self, ssn: &str, nodes: usize) -> Owner {
        let owner = self.watched(ssn).await;
        let until = self.day(200);
        let (status, answer) = self.agree(&owner, json!({"until": until})).await;
        assert_eq!(status, 204, "{answer}");
        self.until_held(&owner, nodes).await;
        owner
    }

    async fn until_held(&self, owner: &Owner, nodes: usize) -> Watches {
        let domains = Domain::ALL.len();
        self.until_watches(owner, |now| {
            let held = now.watches.iter().filter(|it| it.nodes.len() == nodes);
            held.count() == domains
        })
        .await
    }

    async fn until_watches(&self, owner: &Owner, holds: impl Fn(&Watches) -> bool) -> Watches {
        let since = Instant::now();
        loop {
            let watches = self.watches_of(owner).await;
            if holds(&watches) {
                return watches;
            }
            assert!(since.elapsed() < PATIENCE, "{watches:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What changed, of the events that the record has.
    async fn changes(&self, owner: &Owner) -> Vec<Change> {
        let record = self.coverage(owner).await;
        let events = record.events.into_iter();
        events
            .filter_map(|event| match event.event {
                Event::Changed { change } => Some(change),
                _ => None,
            })
            .collect()
    }

    async fn until_changes(&self, owner: &Owner, count: usize) -> Vec<Change> {
        let since = Instant::now();
        loop {
            let changes = self.changes(owner).await;
            if changes.len() >= count {
                return changes;
            }
            assert!(since.elapsed() < PATIENCE, "{changes:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until every node was read twice from now on: what it told is taken.
    async fn until_read(&self) {
        let (since, before) = (Instant::now(), self.calls("changes"));
        let all = u32::try_from(2 * 4 * Domain::ALL.len()).unwrap();
        while self.calls("changes") < before + all {
            assert!(since.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn watched(what: Watched) -> Change {
    Change::Watched { what }
}

#[actix_web::test]
async fn a_change_that_a_quorum_tells_asks_the_question_whose_answer_tells_what_follows() {
    let world = World::watching().await;
    let owner = world.watched_owner("987-65-6001", 4).await;
    let watches = world.watches_of(&owner).await;
    let income = watches
        .watches
        .iter()
        .find(|it| it.domain == Domain::Income);
    let income = income.unwrap();
    assert_eq!(income.attributes, [INCOME.into()]);
    assert_eq!(income.expires, world.day(30), "a month, not the whole time");
    assert!(watches.watches.iter().all(|it| !it.ended));

    // Not covered, eligible by the answer: the owner is asked, and nothing was said about which way income went.
    world.set_reply(None);
    world.sees(&[1, 2, 3, 4], Domain::Income, INCOME);
    let changes = world.until_changes(&owner, 1).await;
    assert_eq!(changes, [watched(Watched::Income)]);
    let since = Instant::now();
    while !world
        .network_texts()
        .iter()
        .any(|it| it["template"] == "apply")
    {
        assert!(since.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let texts = world.network_texts();
    let about = |name: &str| texts.iter().filter(|it| it["template"] == name).count();
    assert_eq!((about("watch_begins"), about("apply")), (1, 1), "{texts:?}");

    // The database tells a thief neither which fact changed nor what is watched.
    for table in ["watch_grant", "watch_tally", "watch_change"] {
        let sql = format!("SELECT sealed FROM {table}");
        let rows = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql));
        for sealed in rows.fetch_all(world.store.store.pool()).await.unwrap() {
            assert!(!sealed.contains("income"), "{table}");
        }
    }
    world.end().await;
}

#[actix_web::test]
async fn a_covered_owner_whom_the_answer_keeps_is_told_nothing() {
    let world = World::watching().await;
    let owner = world.watched_owner("987-65-6002", 4).await;
    let path = format!("/v1/profiles/{}/coverage/events", owner.profile);
    let covered = json!({"event": "covered", "jurisdiction": "CA", "from": world.day(0)});
    let (status, _) = world
        .call(
            "POST",
            &path,
            Some(&owner.token),
            Some("covered"),
            Some(&covered),
        )
        .await;
    assert_eq!(status, 204);
    world.sees(&[1, 2, 4], Domain::Income, INCOME);
    world.sees(&[1, 2, 4], Domain::Household, "household.size");
    let record = world
        .until_cover(&owner, |now| {
            now.state.case.is_none()
                && now.state.last.map(|last| last.outcome) == Some(Outcome::StillEligible)
        })
        .await;
    assert!(record.state.medicaid.is_some());
    let texts = world.network_texts();
    assert!(
        texts.iter().all(|it| it["template"] == "watch_begins"),
        "{texts:?}"
    );
    world.end().await;
}

#[actix_web::test]
async fn attack_one_lying_node_makes_no_event_whatever_it_tells() {
    let world = World::watching().await;
    let owner = world.watched_owner("987-65-6003", 4).await;
    let other = world.watched_owner("987-65-6004", 4).await;
    let grants = world.held(3, Domain::Income);
    let mut made_up = grants[0].clone();
    made_up.watch = crate::oracle::random32();
    for _ in 0..50 {
        world.sees(&[3], Domain::Income, INCOME);
        world.tell(3, &made_up, INCOME);
        // An attribute that is not watched, and one of another committee.
        world.tell(3, &grants[0], "income.countable_resources");
        world.tell(3, &grants[0], "medical.disabled");
    }
    world.until_read().await;
    // Two voices are no quorum of four, however often each is raised.
    world.sees(&[1], Domain::Income, INCOME);
    world.sees(&[1], Domain::Income, INCOME);
    world.until_read().await;
    for owner in [&owner, &other] {
        assert!(world.changes(owner).await.is_empty());
    }
    world.sees(&[2], Domain::Income, INCOME);
    for owner in [&owner, &other] {
        world.until_changes(owner, 1).await;
    }
    world.until_read().await;
    assert_eq!(world.changes(&owner).await.len(), 1);
    world.end().await;
}

#[actix_web::test]
async fn a_silent_node_delays_nothing_and_gets_the_watch_when_it_is_back() {
    let world = World::watching().await;
    world.lie(Lie::Down(4));
    let owner = world.watched_owner("987-65-6005", 3).await;
    world.sees(&[1, 2, 3], Domain::Income, INCOME);
    world.until_changes(&owner, 1).await;
    world.recant(Lie::Down(4));
    world.until_held(&owner, 4).await;
    assert_eq!(world.held(4, Domain::Income).len(), 1);
    world.end().await;
}

#[actix_web::test]
async fn a_restart_loses_no_change_and_doubles_none() {
    let mut world = World::watching().await;
    let owner = world.watched_owner("987-65-6006", 4).await;
    world.set_reply(None);
    world.sees(&[1, 2], Domain::Income, INCOME);
    world.until_read().await;
    // Two voices are stored; the third comes while nobody reads.
    world.restart().await;
    world.sees(&[3, 4], Domain::Income, INCOME);
    world.until_changes(&owner, 1).await;
    world.restart().await;
    world.until_read().await;
    assert_eq!(world.changes(&owner).await.len(), 1);
    world.sees(&[1, 2, 3], Domain::Income, INCOME);
    world.until_changes(&owner, 2).await;
    world.until_read().await;
    assert_eq!(world.changes(&owner).await.len(), 2);
    world.end().await;
}

#[actix_web::test]
async fn two_services_that_read_the_same_nodes_count_a_change_once() {
    let world = World::watching().await;
    let second = crate::server::start(world.config.clone()).await.unwrap();
    let owner = world.watched_owner("987-65-6007", 4).await;
    world.set_reply(None);
    for round in 1..=3 {
        world.sees(&[1, 2, 3], Domain::Income, INCOME);
        world.until_changes(&owner, round).await;
        world.until_read().await;
        assert_eq!(world.changes(&owner).await.len(), round);
    }
    second.stop().await;
    world.end().await;
}

#[actix_web::test]
async fn attack_after_revocation_nothing_that_nodes_tell_counts_though_they_never_heard_of_it() {
    let world = World::watching().await;
    let owner = world.watched_owner("987-65-6008", 4).await;
    let grants: Vec<_> = (1..=4)
        .map(|node| world.held(node, Domain::Income).remove(0))
        .collect();
    for node in 1..=4 {
        world.lie(Lie::Down(node));
    }
    world.end_watches(&owner, "").await;
    let watches = world.watches_of(&owner).await;
    assert_eq!(watches.agreed, None);
    assert!(
        watches
            .watches
            .iter()
            .all(|it| it.ended && it.nodes.len() == 4)
    );
    world.honest();
    for (node, grant) in (1..=4).zip(&grants) {
        world.tell(node, grant, INCOME);
    }
    // They are told until each has confirmed; then nothing is left.
    world
        .until_watches(&owner, |now| now.watches.is_empty())
        .await;
    for node in 1..=4 {
        assert!(world.held(node, Domain::Income).is_empty());
    }
    assert!(world.revocations() >= 20);
    assert!(world.changes(&owner).await.is_empty());
    world.end().await;
}

#[actix_web::test]
async fn one_watch_is_ended_and_the_others_go_on() {
    let world = World::watching().await;
    let owner = world.watched_owner("987-65-6009", 4).await;
    let watches = world.watches_of(&owner).await.watches;
    let medical = watches.iter().find(|it| it.domain == Domain::Medical);
    let watch = format!("/{}", medical.unwrap().watch);
    // Another owner's token does not end it.
    let other = world.watched("987-65-6010").await;
    let path = format!("{}{watch}", world.path(&other));
    let (status, _) = world
        .call("DELETE", &path, Some(&other.token), None, None)
        .await;
    assert_eq!(status, 404);
    world.end_watches(&owner, &watch).await;
    let left = world
        .until_watches(&owner, |now| now.watches.len() == Domain::ALL.len() - 1)
        .await;
    assert!(!left.agreed.unwrap().domains.contains(&Domain::Medical));
    assert!(world.held(1, Domain::Medical).is_empty());
    assert_eq!(world.held(1, Domain::Income).len(), 1);
    // Agreed anew, it is watched anew.
    let until = world.day(100);
    world.agree(&owner, json!({"until": until})).await;
    world.until_held(&owner, 4).await;
    assert_eq!(world.held(1, Domain::Medical).len(), 1);
    world.end().await;
}

#[actix_web::test]
async fn nothing_is_watched_without_configuration_and_agreement_within_bounds() {
    let world = World::new().await;
    let owner = world.watched("987-65-6011").await;
    let (status, body) = world.agree(&owner, json!({"until": world.day(5)})).await;
    assert_eq!((status, code(&body)), (409, "watches-off"));
    world.end().await;

    let world = World::watching().await;
    let owner = world.watched("987-65-6012").await;
    for (body, detail) in [
        (json!({"until": world.day(-1)}), "until"),
        (json!({"until": world.day(367)}), "until"),
        (json!({"until": world.day(5), "domains": []}), "domains"),
        (
            json!({"until": world.day(5), "domains": ["income", "income"]}),
            "domains",
        ),
    ] {
        let (status, answer) = world.agree(&owner, body).await;
        assert_eq!(status, 400);
        assert!(answer["detail"].as_str().unwrap().contains(detail));
    }
    let enrolled = world.owner("987-65-6013").await;
    let (status, body) = world.agree(&enrolled, json!({"until": world.day(5)})).await;
    assert_eq!((status, code(&body)), (409, "not-watched"));
    assert_eq!(world.calls("watch"), 0);
    let word = json!({"event": "changed", "change": {"kind": "watched", "what": "income"}});
    let path = format!("/v1/profiles/{}/coverage/events", owner.profile);
    let (status, _) = world
        .call("POST", &path, Some(&owner.token), Some("w"), Some(&word))
        .await;
    assert_eq!(status, 400, "an owner does not speak for a watch");
    world.end().await;
}

#[actix_web::test]
async fn a_watch_is_renewed_before_it_expires_and_a_change_between_is_told_once() {
    let mut world = World::watching().await;
    let owner = world.watched_owner("987-65-6014", 4).await;
    // Twenty-five days later the month's watch has less than a week to go.
    world.sleep_days(25).await;
    let both = |now: &Watches| {
        let income = now.watches.iter().filter(|it| it.domain == Domain::Income);
        income.filter(|it| it.nodes.len() == 4).count() == 2
    };
    world.until_watches(&owner, both).await;
    assert_eq!(world.held(1, Domain::Income).len(), 2);
    // Both see the same change.
    world.set_reply(None);
    world.sees(&[1, 2, 3, 4], Domain::Income, INCOME);
    world.until_changes(&owner, 1).await;
    world.until_read().await;
    assert_eq!(world.changes(&owner).await.len(), 1);
    world.end().await;
}

#[actix_web::test]
async fn attack_a_watch_that_has_expired_is_not_spoken_for() {
    let mut world = World::watching().await;
    let owner = world.watched("987-65-6015").await;
    let until = world.day(3);
    world.agree(&owner, json!({"until": until})).await;
    world.until_held(&owner, 4).await;
    world.sleep_days(5).await;
    world.sees(&[1, 2, 3, 4], Domain::Income, INCOME);
    world
        .until_watches(&owner, |now| now.agreed.is_none())
        .await;
    assert!(world.changes(&owner).await.is_empty());
    let ended = |it: &serde_json::Value| it["template"] == "watch_ended";
    assert_eq!(
        world.network_texts().iter().filter(|it| ended(it)).count(),
        1
    );
    world.end().await;
}

#[actix_web::test]
async fn attack_nodes_that_date_a_change_past_the_end_of_their_watch_have_no_voice() {
    let world = World::watching().await;
    let owner = world.watched_owner("987-65-6020", 4).await;
    for node in 1..=4 {
        for grant in world.held(node, Domain::Income) {
            let past = grant.expires.plus(1).unwrap();
            world.tell_of(node, &grant, INCOME, past);
        }
    }
    world.until_read().await;
    assert!(world.changes(&owner).await.is_empty());
    world.sees(&[1, 2, 3], Domain::Income, INCOME);
    world.until_changes(&owner, 1).await;
    world.end().await;
}

#[actix_web::test]
async fn an_address_in_another_state_is_read_and_becomes_a_move() {
    let world = World::watching().await;
    let owner = world.watched_owner("987-65-6016", 4).await;
    world.set_reply(None);
    world.set_state(41);
    world.sees(&[1, 2, 3, 4], Domain::Residence, "residence.state");
    let to = "OR".parse().unwrap();
    let changes = world.until_changes(&owner, 1).await;
    assert_eq!(changes, [Change::Moved { to }]);
    // Seen again, it is no other move.
    world.sees(&[1, 2, 3, 4], Domain::Residence, "residence.state");
    world.until_read().await;
    world.until_read().await;
    assert_eq!(world.changes(&owner).await.len(), 1);
    world.end().await;
}

#[actix_web::test]
async fn watches_that_are_taken_back_at_once_all_stay_taken_back() {
    let world = World::watching().await;
    let owner = world.watched_owner("987-65-6019", 4).await;
    let watches = world.watches_of(&owner).await.watches;
    assert_eq!(watches.len(), Domain::ALL.len());
    let ends = watches.iter().map(|it| {
        let watch = format!("/{}", it.watch);
        let (world, owner) = (&world, &owner);
        async move { world.end_watches(owner, &watch).await }
    });
    futures::future::join_all(ends).await;
    let left = world.watches_of(&owner).await;
    assert_eq!(left.agreed, None);
    assert!(left.watches.iter().all(|it| it.ended), "{left:?}");
    world.end().await;
}
