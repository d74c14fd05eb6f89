//! Cover for a gap: quoted, bought and ended once, whatever is lost or repeated, and by the published plans alone.

use contracts::application::Answer;
use contracts::encoding::Bytes32;
use contracts::gap::{LossReason, Needs, Policy, Situation};
use contracts::units::{Cents, Day};

use crate::api::types::State;
use crate::gap::{GapNeed, GapOffers, Term};
use crate::store::StoredProfile;
use crate::store::gap::{PolicyState, begin_ending};
use crate::testing::insurer::INSURER;
use crate::testing::{Lie, Owner, World};

/// An enrolled owner with a YES token for the insurer.
struct Buyer {
    world: World,
    profile: StoredProfile,
    question: Bytes32,
}

fn words(words: &[&str]) -> std::collections::BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Buyer {
    async fn new(ssn: &str) -> Self {
        let world = World::new().await;
        let owner = world.owner(ssn).await;
        let question = Self::token(&world, &owner, "q").await;
        let profile = world.store.store.profile(&owner.profile).await.unwrap();
        Self {
            world,
            profile: profile.unwrap(),
            question,
        }
    }

    async fn token(world: &World, owner: &Owner, key: &str) -> Bytes32 {
        let mut ask = world.question();
        ask.audience = INSURER.to_owned();
        let (status, body) = world.try_ask(owner, Some(key), &ask).await;
        assert_eq!(status, 201, "{body}");
        let question: crate::api::types::Question = crate::testing::parse(body);
        world.until(owner, &question.question, State::Done).await;
        question.question
    }

    fn day(&self, days: i64) -> Day {
        self.world.network.clock_today().plus(days).unwrap()
    }

    fn need(&self, start: i64) -> GapNeed {
        GapNeed {
            situation: Situation {
                today: self.day(0),
                lost: Some(self.day(5)),
                reason: LossReason::NotEligible,
                prequalified: false,
                expansion_adult: false,
                chip: false,
                barred_by_status: false,
            },
            jurisdiction: "CA".parse().unwrap(),
            start: self.day(start),
            ages: vec![34, 3],
            income_percent: 150,
            needs: Needs {
                providers: words(&["1336243479"]),
                conditions: words(&["canary-condition"]),
                monthly_income: Cents(234_567),
                affordable: 85,
            },
        }
    }

    async fn try_quote(&self, key: &str, start: i64) -> GapOffers {
        let need = self.need(start);
        let service = self.world.service.service();
        service.gap_quote(&self.profile, key, &need).await.unwrap()
    }

    /// Takes an offer with the owner's answer to it.
    async fn enrol(&self, offers: &GapOffers, at: usize, said: Answer) -> Result<Policy, String> {
        self.enrol_until(offers, at, said, None).await
    }

    /// The same, where another policy begins later.
    async fn enrol_until(
        &self,
        offers: &GapOffers,
        at: usize,
        said: Answer,
        until: Option<Day>,
    ) -> Result<Policy, String> {
        let service = self.world.service.service();
        let offer = &offers.offers[at].offer;
        let decision = service
            .gap_decision(&self.profile, &self.question, &offer.offer)
            .await
            .unwrap();
        let approval = self.world.approval(decision, said);
        service
            .gap_enrol(
                &self.profile,
                &self.question,
                &offer.offer,
                &Term {
                    until,
                    ..Term::from(offer.start)
                },
                &approval,
            )
            .await
            .map_err(|problem| problem.code().to_owned())
    }

    async fn end(&self, policy: &Policy, day: Day) -> Result<contracts::gap::Statement, String> {
        let service = self.world.service.service();
        service
            .gap_end(&self.profile, &policy.terms.policy, day)
            .await
            .map_err(|problem| problem.code().to_owned())
    }
}

#[actix_web::test]
async fn a_gap_is_covered_once_though_every_answer_is_lost_and_the_service_dies_each_time() {
    let mut buyer = Buyer::new("987-65-4360").await;
    buyer.world.lie(Lie::InsurerAnswerLost);
    let lost = buyer.try_quote("k", 5).await;
    assert_eq!(
        lost.silent,
        [(INSURER.to_owned(), "insurer-unavailable".to_owned())]
    );
    buyer.world.restart().await;
    let offers = buyer.try_quote("k", 5).await;
    assert_eq!(
        offers.free.len(),
        2,
        "what is free is named: {:?}",
        offers.free
    );
    // The wide network keeps the provider; nobody pays for the condition.
    let plans: Vec<(&str, usize)> = offers
        .offers
        .iter()
        .map(|one| (one.offer.plan.as_str(), one.unmet.len()))
        .collect();
    assert_eq!(plans, [("bridge-wide", 2), ("bridge-core", 3)]);
    assert_eq!(buyer.try_quote("k", 5).await, offers);

    buyer.world.lie(Lie::InsurerAnswerLost);
    let code = buyer.enrol(&offers, 0, Answer::Yes).await.unwrap_err();
    assert_eq!(code, "insurer-unavailable");
    buyer.world.restart().await;
    let policy = buyer.enrol(&offers, 0, Answer::Yes).await.unwrap();
    assert_eq!(buyer.enrol(&offers, 0, Answer::Yes).await.unwrap(), policy);
    assert_eq!(buyer.world.sold(), (1, 0));

    let end = policy.terms.offer.start.plus(30).unwrap();
    buyer.world.lie(Lie::InsurerAnswerLost);
    assert_eq!(
        buyer.end(&policy, end).await.unwrap_err(),
        "insurer-unavailable"
    );
    buyer.world.restart().await;
    let statement = buyer.end(&policy, end).await.unwrap();
    assert_eq!(buyer.end(&policy, end).await.unwrap(), statement);
    let later = end.plus(1).unwrap();
    assert_eq!(buyer.end(&policy, later).await.unwrap_err(), "ended");
    assert_eq!(buyer.world.sold(), (1, 1));
    let kept = buyer
        .world
        .service
        .service()
        .gap_policies(&buyer.profile)
        .await
        .unwrap();
    assert_eq!(
        (kept.len(), kept[0].state, kept[0].end),
        (1, PolicyState::Ended, end)
    );

    // Neither insurer nor store has what the plans were held against, or a key that a reader could open answers with.
    let dump = buyer.world.dump().await;
    for canary in ["canary-condition", "1336243479", "234567", "\"34\"", "[34"] {
        assert!(!dump.contains(canary), "{canary}");
    }
    buyer.world.end().await;
}

#[actix_web::test]
async fn a_lifecycles_policy_ends_once_and_not_after_it_is_over() {
    let buyer = Buyer::new("987-65-4369").await;
    let offers = buyer.try_quote("k", 5).await;
    let policy = buyer.enrol(&offers, 0, Answer::Yes).await.unwrap();
    let (service, offer) = (buyer.world.service.service(), &policy.terms.offer);
    let id = policy.terms.policy.to_string();
    let end = |day: Day| service.end_plan(&buyer.profile, &id, day);
    end(offer.latest_end).await.unwrap();
    assert_eq!(buyer.world.sold(), (1, 0), "it ends by itself that day");
    end(offer.start).await.unwrap();
    assert_eq!(buyer.world.sold(), (1, 1));
    // Whoever asks again, for whatever day, finds it ended.
    end(offer.start).await.unwrap();
    end(offer.start.plus(3).unwrap()).await.unwrap();
    assert_eq!(buyer.world.sold(), (1, 1));
    let other = Bytes32::from([9; 32]).to_string();
    let unknown = service.end_plan(&buyer.profile, &other, offer.start).await;
    assert_eq!(unknown.unwrap_err().status, 404);
    buyer.world.end().await;
}

#[actix_web::test]
async fn a_policy_ends_on_the_first_day_that_its_rules_still_allow_though_the_answer_is_lost() {
    let mut buyer = Buyer::new("987-65-4372").await;
    let offers = buyer.try_quote("k", 5).await;
    let policy = buyer.enrol(&offers, 0, Answer::Yes).await.unwrap();
    let (start, id) = (policy.terms.offer.start, policy.terms.policy.to_string());
    let on = start.plus(3).unwrap();
    let end = async |buyer: &Buyer| {
        let service = buyer.world.service.service();
        let ended = service.end_plan(&buyer.profile, &id, on).await;
        ended.map_err(|problem| problem.code().to_owned())
    };
    // Forty days into it, of which its rules take back thirty-one.
    buyer.world.sleep_days(45).await;
    buyer.world.lie(Lie::InsurerAnswerLost);
    assert_eq!(end(&buyer).await.unwrap_err(), "insurer-unavailable");
    let allowed = start.plus(9).unwrap();
    assert_eq!(buyer.world.ended_on(), [allowed]);
    let other = buyer.end(&policy, allowed.plus(1).unwrap()).await;
    assert_eq!(other.unwrap_err(), "ending");
    buyer.world.sleep_days(2).await;
    end(&buyer).await.unwrap();
    assert_eq!(buyer.world.ended_on(), [allowed]);
    let service = buyer.world.service.service();
    let kept = service.gap_policies(&buyer.profile).await.unwrap();
    assert_eq!((kept[0].state, kept[0].end), (PolicyState::Ended, allowed));
    assert!(kept[0].statement.is_some() && kept[0].ending.is_none());
    end(&buyer).await.unwrap();
    buyer.world.end().await;
}

#[actix_web::test]
async fn a_policy_that_no_day_is_left_of_needs_no_end() {
    let mut buyer = Buyer::new("987-65-4373").await;
    let offers = buyer.try_quote("k", 5).await;
    let policy = buyer.enrol(&offers, 0, Answer::Yes).await.unwrap();
    let offer = &policy.terms.offer;
    let back = offer.latest_end.number() - buyer.day(0).number() + 31;
    let id = policy.terms.policy.to_string();
    let on = offer.start;
    // It may have reached the insurer, and did not.
    let mut tx = buyer.world.store.store.begin().await.unwrap();
    let now = buyer.world.network.clock_now();
    begin_ending(&mut tx, &offer.enquiry, on, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    buyer.world.sleep_days(back).await;
    let service = buyer.world.service.service();
    service.end_plan(&buyer.profile, &id, on).await.unwrap();
    assert_eq!(buyer.world.sold(), (1, 0));
    let kept = service.gap_policies(&buyer.profile).await.unwrap();
    assert_eq!(kept[0].state, PolicyState::Held);
    buyer.world.end().await;
}

#[actix_web::test]
async fn a_policy_that_was_void_from_its_first_day_covers_none() {
    let buyer = Buyer::new("987-65-4374").await;
    let offers = buyer.try_quote("k", 5).await;
    let policy = buyer.enrol(&offers, 0, Answer::Yes).await.unwrap();
    buyer.end(&policy, policy.terms.offer.start).await.unwrap();
    let earlier = buyer.try_quote("earlier", 3).await;
    buyer.enrol(&earlier, 0, Answer::Yes).await.unwrap();
    assert_eq!(buyer.world.sold(), (2, 1));
    buyer.world.end().await;
}

#[actix_web::test]
async fn a_plan_is_chosen_in_its_turn_and_not_bought_for_a_day_before_it_is_wanted() {
    let buyer = Buyer::new("987-65-4370").await;
    let (service, profile) = (buyer.world.service.service(), &buyer.profile);
    let state = "CA".parse().unwrap();
    let key = Bytes32::from([7; 32]);
    let choose = async |attempt, key| {
        let chosen = service.choose_plan(profile, attempt, state, buyer.day(5), &key);
        chosen.await.unwrap()
    };
    let first = choose(1, key).await.unwrap();
    let second = choose(2, key).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(
        choose(1, key).await,
        Some(first.clone()),
        "one key, one choice"
    );
    assert_eq!(choose(9, key).await, Some(second), "the last plan again");
    let decision = service.plan_decision(profile, &first).await.unwrap();
    let approval = buyer.world.approval(decision, Answer::Yes);
    let buy = async |from| {
        let term = Term::from(from);
        service.buy_plan(profile, &first, &term, &approval).await
    };
    assert_eq!(buy(buyer.day(6)).await.unwrap(), None);
    assert_eq!(buyer.world.sold(), (0, 0));
    let (_, from, _) = buy(buyer.day(4)).await.unwrap().unwrap();
    assert_eq!((from, buyer.world.sold()), (buyer.day(5), (1, 0)));

    // Over four times the poverty level there is no YES, and nothing is asked of the insurer.
    let world = World::new().await;
    world.set_income(2_000_000);
    let owner = world.owner("987-65-4371").await;
    let profile = world.store.store.profile(&owner.profile).await.unwrap();
    let (profile, service) = (profile.unwrap(), world.service.service());
    let none = service.choose_plan(&profile, 1, state, buyer.day(5), &key);
    assert_eq!(none.await.unwrap(), None);
    world.end().await;
    buyer.world.end().await;
}

#[actix_web::test]
async fn no_day_is_covered_twice_and_one_enquiry_brings_one_policy() {
    let buyer = Buyer::new("987-65-4361").await;
    let offers = buyer.try_quote("k", 5).await;
    let policy = buyer.enrol(&offers, 0, Answer::Yes).await.unwrap();
    assert_eq!(
        buyer.enrol(&offers, 1, Answer::Yes).await.unwrap_err(),
        "enquiry-used"
    );
    let other = buyer.try_quote("other", 20).await;
    assert_eq!(
        buyer.enrol(&other, 0, Answer::Yes).await.unwrap_err(),
        "covered"
    );
    // Ended before the other begins, it does.
    let start = other.offers[0].offer.start;
    buyer.end(&policy, start).await.unwrap();
    // (The test's insurer sells twice on one token; a real one does not.)
    buyer.enrol(&other, 0, Answer::Yes).await.unwrap();
    let day_too_many = buyer.world.service.service();
    let offer = &other.offers[0].offer;
    let approval = buyer.world.approval([1; 32].into(), Answer::Yes);
    let wrong_day = offer.start.plus(1).unwrap();
    let refused = day_too_many
        .gap_enrol(
            &buyer.profile,
            &buyer.question,
            &offer.offer,
            &Term::from(wrong_day),
            &approval,
        )
        .await
        .unwrap_err();
    assert_eq!(refused.status, 400);
    buyer.world.end().await;
}

#[actix_web::test]
async fn a_policy_that_ends_where_another_begins_covers_no_day_twice() {
    let buyer = Buyer::new("987-65-4363").await;
    let later = buyer.try_quote("later", 20).await;
    buyer.enrol(&later, 0, Answer::Yes).await.unwrap();
    let begins = later.offers[0].offer.start;
    let sooner = buyer.try_quote("sooner", 5).await;
    for until in [None, Some(begins.plus(1).unwrap())] {
        let refused = buyer.enrol_until(&sooner, 0, Answer::Yes, until).await;
        assert_eq!(refused.unwrap_err(), "covered");
    }
    let until = Some(begins);
    let policy = buyer
        .enrol_until(&sooner, 0, Answer::Yes, until)
        .await
        .unwrap();
    let statement = buyer.end(&policy, begins).await.unwrap();
    assert_eq!(statement.terms.end, begins);
    buyer.world.end().await;
}

#[actix_web::test]
async fn attack_without_the_owners_yes_to_this_offer_nothing_is_bought() {
    let buyer = Buyer::new("987-65-4362").await;
    let offers = buyer.try_quote("k", 5).await;
    assert_eq!(
        buyer.enrol(&offers, 0, Answer::No).await.unwrap_err(),
        "approval"
    );
    let service = buyer.world.service.service();
    let [first, second] = [0, 1].map(|at| &offers.offers[at].offer);
    let about = service
        .gap_decision(&buyer.profile, &buyer.question, &second.offer)
        .await
        .unwrap();
    let approval = buyer.world.approval(about, Answer::Yes);
    let refused = service
        .gap_enrol(
            &buyer.profile,
            &buyer.question,
            &first.offer,
            &Term::from(first.start),
            &approval,
        )
        .await
        .unwrap_err();
    assert_eq!((refused.status, refused.code()), (409, "approval"));
    assert_eq!(buyer.world.sold(), (0, 0));
    // A refusal leaves the way open.
    buyer.enrol(&offers, 0, Answer::Yes).await.unwrap();
    buyer.world.end().await;
}

#[actix_web::test]
async fn attack_an_insurer_that_departs_from_its_plans_or_signature_is_not_believed() {
    let buyer = Buyer::new("987-65-4363").await;
    for (key, lie) in [("a", Lie::UnsignedPlans), ("b", Lie::OtherPremium)] {
        buyer.world.lie(lie);
        let offers = buyer.try_quote(key, 5).await;
        assert_eq!(
            offers.silent,
            [(INSURER.to_owned(), "insurer-refused".to_owned())]
        );
        assert!(offers.offers.is_empty() && !offers.free.is_empty());
        buyer.world.honest();
    }
    let offers = buyer.try_quote("c", 5).await;
    buyer.world.lie(Lie::ForgedPolicy);
    assert_eq!(
        buyer.enrol(&offers, 0, Answer::Yes).await.unwrap_err(),
        "insurer-refused"
    );
    buyer.world.honest();
    let policy = buyer.enrol(&offers, 0, Answer::Yes).await.unwrap();
    let end = policy.terms.offer.start.plus(15).unwrap();
    buyer.world.lie(Lie::ShortRefund);
    assert_eq!(
        buyer.end(&policy, end).await.unwrap_err(),
        "insurer-refused"
    );
    buyer.world.honest();
    buyer.end(&policy, end).await.unwrap();
    buyer.world.end().await;
}
