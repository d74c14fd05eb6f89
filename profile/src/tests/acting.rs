//! Representatives in a lifecycle, disputes that hold a renewal back, and agencies of two states.

use std::time::Duration;

use contracts::application::Answer;
use contracts::lifecycle::{Change, Event, Gap, Outcome, Phase};

use crate::agency::What;
use crate::api::agency::RenewalOutcome;
use crate::grant::Standing;
use crate::lifecycle::Coverage;
use crate::testing::{AGENCY, Owner, World};

use super::grants::{AUNT, grant};

fn in_review(now: &Coverage) -> bool {
    let phase = now.state.case.map(|case| case.phase);
    matches!(phase, Some(Phase::Review { .. }))
}

impl World {
    /// A loss that the owner disputes by text.
    async fn disputed(&self, owner: &Owner, key: &str) {
        self.set_income(450_017);
        self.set_reply(Some(Answer::No));
        self.changed(owner, key, Change::IncomeUp).await;
        self.until_cover(owner, in_review).await;
    }
}

#[actix_web::test]
async fn a_representatives_yes_is_in_the_coverage_record_and_gap_cover_is_asked_within_the_scope() {
    let world = World::new().await;
    let owner = world.watched("987-65-6201").await;
    let made = world
        .designate(&owner, &grant("designation", "apply-renew"))
        .await;
    assert_eq!(made.0, 201, "{}", made.1);
    let active = world.until_standing(&owner, Standing::Active).await;
    world.changed(&owner, "job", Change::IncomeDown).await;
    let gap = |now: &Coverage| matches!(now.state.gap, Gap::Active { .. });
    let record = world.until_cover(&owner, gap).await;
    let replied = |event: &Event| matches!(event, Event::Replied { .. });
    let by: Vec<_> = record
        .events
        .iter()
        .filter(|it| replied(&it.event))
        .map(|it| it.by)
        .collect();
    // She applied; the policy was the owner's to take.
    assert_eq!(by, [Some(active.grant), None]);
    let texts = world.texts_to(AUNT);
    assert!(texts.iter().any(|it| it == "apply_for"), "{texts:?}");
    assert!(!texts.iter().any(|it| it == "gap_for"), "{texts:?}");

    // One who may act in every matter is asked about the next policy too, and told that there is something to hear.
    let second = world.watched("987-65-6202").await;
    world.designate(&second, &grant("designation", "all")).await;
    let active = world.until_standing(&second, Standing::Active).await;
    world.changed(&second, "job", Change::IncomeDown).await;
    let record = world.until_cover(&second, gap).await;
    let by = record.events.iter().filter(|it| replied(&it.event));
    assert!(by.clone().count() == 2 && by.clone().all(|it| it.by == Some(active.grant)));
    world.until_told(AUNT, "gap_for").await;
    world.until_told(AUNT, "news").await;
    world.end().await;
}

#[actix_web::test]
async fn an_open_dispute_holds_a_renewal_back() {
    let world = World::new().await;
    let owner = world.watched("987-65-6203").await;
    world.reinstated(&owner).await;
    let pseudonym = world.pseudonym();
    world.disputed(&owner, "raise").await;
    // Insurers may be asked for the gap meanwhile; agencies are shown nothing.
    let to_agencies = || {
        let shown = world.shown().into_iter();
        shown.filter(|it| it.enquiry.is_none()).count()
    };
    let before = to_agencies();
    let batch = world.renew(AGENCY, std::slice::from_ref(&pseudonym)).await;
    let done = world.until_renewed(&batch.renewal).await;
    assert_eq!(done.results[0].outcome, RenewalOutcome::Disputed);
    assert_eq!(done.results[0].token, None);
    assert_eq!(to_agencies(), before, "nothing is proved meanwhile");
    world.says("CA-0", What::Reviewed { upheld: true });
    let ended =
        |now: &Coverage| now.state.last.map(|last| last.outcome) == Some(Outcome::DisputeUpheld);
    world.until_cover(&owner, ended).await;
    world.set_income(61_237);
    let batch = world.renew(AGENCY, &[pseudonym]).await;
    let done = world.until_renewed(&batch.renewal).await;
    assert_eq!(done.results[0].outcome, RenewalOutcome::Yes);
    world.end().await;
}

#[actix_web::test]
async fn attack_one_states_agency_cannot_end_the_review_of_anothers_case() {
    let world = World::new().await;
    let owner = world.watched("987-65-6204").await;
    world.reinstated(&owner).await;
    let to = "OR".parse().unwrap();
    world.set_state(41);
    world.changed(&owner, "moved", Change::Moved { to }).await;
    let pending = |now: &Coverage| {
        matches!(
            now.state.case.map(|case| case.phase),
            Some(Phase::Pending { .. })
        )
    };
    world.until_cover(&owner, pending).await;
    let from = oracles::clock::Clock::system().today().plus(1).unwrap();
    let accepted = What::Accepted {
        from,
        period_end: None,
    };
    world.says("CA-1", accepted);
    let moved = |now: &Coverage| now.state.home == to && now.state.case.is_none();
    world.until_cover(&owner, moved).await;
    world.disputed(&owner, "raise").await;
    // California, whose case it was, says that a review failed.
    world.says("CA-0", What::Reviewed { upheld: false });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let record = world.until_cover(&owner, |_| true).await;
    assert!(in_review(&record), "{:?}", record.state.case);
    world.says("CA-1", What::Reviewed { upheld: true });
    let ended =
        |now: &Coverage| now.state.last.map(|last| last.outcome) == Some(Outcome::DisputeUpheld);
    world.until_cover(&owner, ended).await;
    world.end().await;
}
