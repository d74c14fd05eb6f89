//! A year of many owners who are alike in everything that is equalised: the same steps on the same days, in the same states.
//!
//! Every step is taken by all of them in an order drawn anew, before the next is taken by anybody.

use std::time::{Duration, Instant};

use contracts::lifecycle::{Change, Gap, Outcome};
use contracts::units::Day;
use profile::agency::What;
use profile::lifecycle::Coverage;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::demo::live::away;
use crate::demo::story::{AWAY, home};
use crate::demo::witness::Witness;
use crate::lifecycle::books;
use crate::lifecycle::play::{BEGINS, live};
use crate::lifecycle::script::{Sight, Step, day};
use crate::lifecycle::world::{Failed, HERE, Owner, World};

/// Longest wait for what all owners wait for.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// The days on which the first agency accepts, everybody is asked to renew there, it renews, everybody moves, and the second
/// agency accepts.
const DAYS: [i64; 5] = [5, 74, 80, 120, 132];
/// The last days of the first agency's certification periods; a renewal begins ninety days before.
const PERIODS: [&str; 2] = ["2026-11-30", "2027-05-31"];
/// The last day.
const LAST: i64 = 364;

/// A year in progress.
pub(super) struct Year<'a, 'b> {
    /// The network.
    pub(super) world: &'a World<'b>,
    /// Who lives it.
    pub(super) owners: &'a [Owner],
    /// Draws the orders.
    pub(super) draw: StdRng,
    /// Seconds over which a second party hears of what a first one heard.
    pub(super) spread: i64,
    /// Who takes it down.
    pub(super) witness: &'a Witness,
}

impl Year<'_, '_> {
    /// Lives it.
    ///
    /// # Errors
    /// What did not come about.
    pub(super) async fn live(mut self) -> Result<(), Failed> {
        let [accepted, renewing, renewed, moved, accepted_away] = DAYS;
        let [first, second] = PERIODS.map(day);
        self.on(0).await?;
        let lost = [Step::JobLost, Step::Report(Change::IncomeDown)];
        self.each(&lost).await?;
        self.all(&[Step::Until(Sight::Asked(1)), Step::Texted("apply", 1)])
            .await?;
        self.each(&[Step::Reply("YES")]).await?;
        self.all(&[Step::Until(Sight::Pending)]).await?;
        self.tell("the first agency has every application");
        self.pass().await?;
        self.all(&[Step::Until(Sight::Offered), Step::Texted("gap", 1)])
            .await?;
        self.each(&[Step::Reply("YES")]).await?;
        self.all(&[Step::Until(Sight::Insured)]).await?;
        self.tell("every policy is bought");
        self.on(accepted).await?;
        let from = day(BEGINS);
        self.each(&[Step::Says(HERE, covered(from, Some(first)))])
            .await?;
        self.all(&[Step::Until(Sight::Covered(home()))]).await?;
        self.pass().await?;
        self.ended().await?;
        self.tell("the first agency accepted, every policy ended");
        self.on(renewing).await?;
        self.all(&[Step::Until(Sight::Asked(1)), Step::Texted("renew", 1)])
            .await?;
        self.each(&[Step::Reply("YES")]).await?;
        self.all(&[Step::Until(Sight::Pending)]).await?;
        self.tell("the first agency has every renewal");
        self.on(renewed).await?;
        self.each(&[Step::Says(HERE, covered(from, Some(second)))])
            .await?;
        let renewed = Step::Until(Sight::Ended(Outcome::Accepted));
        self.all(&[renewed, Step::Texted("accepted", 2)]).await?;
        self.pass().await?;
        self.tell("the first agency renewed");
        self.on(moved).await?;
        self.each(&[Step::Moves]).await?;
        self.all(&[Step::Until(Sight::Asked(1)), Step::Texted("move", 1)])
            .await?;
        self.each(&[Step::Reply("YES")]).await?;
        self.all(&[Step::Until(Sight::Pending)]).await?;
        self.pass().await?;
        self.told(1).await?;
        self.tell("the second agency has every application");
        self.on(accepted_away).await?;
        let from = self.world.today()?;
        self.each(&[Step::Says(AWAY, covered(from, None))]).await?;
        self.all(&[Step::Until(Sight::Covered(away()))]).await?;
        self.pass().await?;
        self.told(2).await?;
        self.tell("the second agency accepted");
        self.on(LAST).await?;
        self.world.calm().await
    }

    fn tell(&self, what: &str) {
        eprintln!("• {what}");
    }

    async fn on(&self, day: i64) -> Result<(), Failed> {
        self.world.calm().await?;
        self.world.move_to(day)?;
        self.witness.set_ahead(self.world.ahead());
        Ok(())
    }

    /// Lets so much time of the day go by that nobody waits for a drawn moment any more.
    async fn pass(&self) -> Result<(), Failed> {
        self.world.move_by(self.spread)?;
        self.witness.set_ahead(self.world.ahead());
        self.world.calm().await
    }

    /// Every owner takes these steps, one owner after the other.
    async fn each(&mut self, steps: &[Step]) -> Result<(), Failed> {
        let mut order: Vec<&Owner> = self.owners.iter().collect();
        order.shuffle(&mut self.draw);
        for owner in order {
            live(self.world, owner, steps).await?;
        }
        Ok(())
    }

    /// Waits until these came about for every owner.
    async fn all(&self, steps: &[Step]) -> Result<(), Failed> {
        let since = Instant::now();
        for owner in self.owners {
            while let Err(error) = live(self.world, owner, steps).await {
                if since.elapsed() > PATIENCE {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Waits until every policy has ended.
    async fn ended(&self) -> Result<(), Failed> {
        let since = Instant::now();
        loop {
            let sold = books::sold(self.world.folder()).await?;
            let ended = sold.iter().filter(|sold| sold.has_ended()).count();
            if ended == self.owners.len() {
                return self.all_uninsured().await;
            }
            wait(since, "not every policy has ended").await?;
        }
    }

    async fn all_uninsured(&self) -> Result<(), Failed> {
        let none = |now: &Coverage| now.state.gap == Gap::None;
        for owner in self.owners {
            self.world.until(owner, "the policy is over", none).await?;
        }
        Ok(())
    }

    /// Waits until the first agency was told so often about every application.
    async fn told(&self, times: usize) -> Result<(), Failed> {
        let since = Instant::now();
        loop {
            let cases = self.world.cases(HERE).await?;
            let told = cases.iter().filter(|case| case.notices.len() >= times);
            if told.count() == self.owners.len() {
                return Ok(());
            }
            wait(since, "the first agency was not told about everybody").await?;
        }
    }
}

async fn wait(since: Instant, what: &str) -> Result<(), Failed> {
    if since.elapsed() > PATIENCE {
        return Err(what.to_owned());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(())
}

fn covered(from: Day, period_end: Option<Day>) -> What {
    What::Accepted { from, period_end }
}
