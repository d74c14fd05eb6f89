//! `demo loss|reinstatement|move|all`: months of one person's cover, lived through in seconds on a simulated calendar.
//!
//! Every scenario begins with cover that was really won: a job is lost, the owner says YES, the agency accepts. Then she
//! moves, or finds work, and the agencies do what they do; the clocks of all processes are moved through the waits between.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use contracts::ids::Jurisdiction;
use contracts::lifecycle::{Change, Gap, Outcome, Payer, Phase};
use contracts::units::Day;
use profile::agency::What;
use profile::lifecycle::Coverage;
use serde_json::json;

use super::folder::{Enrolled, Folder};
use super::story::{PEOPLE, Setting, Story, home, person};
use super::{CONTRACT, DemoError, DemoOptions};
use crate::external::agency::CaseView;
use crate::lifecycle::books;
use crate::role::CALENDAR;

/// The day on which every scenario begins: its sources hold what the rules of that year ask for.
const BEGINS: &str = "2026-06-20";
/// Longest wait for the workers to do what they have to.
const PATIENCE: Duration = Duration::from_secs(120);
/// Seconds in a day.
const DAY: i64 = 86_400;

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Income rises: owner and agency are told, cover ends.
    Loss,
    /// A job is lost: YES files, the agency accepts.
    Reinstatement,
    /// Another state: YES applies there, cover changes hands without a day between.
    Move,
    /// All three, one after the other.
    All,
}

/// The state moved to.
pub(crate) fn away() -> Jurisdiction {
    "OR".parse().expect("OR is a jurisdiction")
}

/// Plays a scenario.
///
/// # Errors
/// [`DemoError`]; the data folder is kept then, also a temporary one.
pub async fn run(scenario: Scenario, options: DemoOptions) -> Result<(), DemoError> {
    let mut folder = Folder::open(options.data.as_deref())?;
    let result = play(scenario, &options, &folder).await;
    if result.is_err() {
        folder.keep();
        eprintln!(
            "what the processes wrote is in {}/logs",
            folder.root().display()
        );
    }
    result
}

async fn play(scenario: Scenario, options: &DemoOptions, folder: &Folder) -> Result<(), DemoError> {
    folder.write(CALENDAR, b"0")?;
    let begins: Day = BEGINS
        .parse()
        .map_err(|error| DemoError::Other(format!("{error}")))?;
    let mut story = Story::begin_on(options, folder, Some(begins), Setting::default()).await?;
    let told = Live {
        story: &mut story,
        moved: 0,
    }
    .tell(scenario)
    .await;
    story.end().await;
    told
}

/// A story whose calendar moves.
struct Live<'a, 'b> {
    story: &'a mut Story<'b>,
    /// Days since its beginning.
    moved: i64,
}

impl Live<'_, '_> {
    async fn tell(mut self, scenario: Scenario) -> Result<(), DemoError> {
        self.story.start().await?;
        self.story.generate_keys().await?;
        self.story.enrol().await?;
        let body = json!({"jurisdiction": home(), "contract": CONTRACT});
        let () = self.put("coverage", &body).await?;
        self.reinstatement().await?;
        if matches!(scenario, Scenario::Move | Scenario::All) {
            self.moves().await?;
        }
        if matches!(scenario, Scenario::Loss | Scenario::All) {
            self.loss().await?;
        }
        self.account().await
    }

    /// A job is lost.
    async fn reinstatement(&mut self) -> Result<(), DemoError> {
        self.story.lose_job().await?;
        self.report("job-lost", Change::IncomeDown).await?;
        self.until("the question is decided", asks).await?;
        self.answer().await?;
        self.until("the agency holds the application", pending)
            .await?;
        self.story.say("filed on her YES; the agency determines");
        self.insured().await?;
        self.jump(5)?;
        let from = self.today()?;
        let from = Day::from_ymd(from.date().year(), from.date().month().into(), 1)
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let accepted = What::Accepted {
            from,
            period_end: None,
        };
        self.agency_says("agency", &accepted).await?;
        self.until("cover began", |now| covered_by(now, home()))
            .await?;
        self.story
            .say(&format!("the agency accepted: covered from {from}"));
        Ok(())
    }

    /// She takes the policy that she is offered.
    async fn insured(&mut self) -> Result<(), DemoError> {
        self.until("gap cover is offered", offered).await?;
        self.answer().await?;
        let from = self.policy_begins().await?;
        self.story
            .say(&format!("a gap policy covers from {from}, until then"));
        Ok(())
    }

    /// Waits until a policy is bought; its first day.
    async fn policy_begins(&self) -> Result<Day, DemoError> {
        let now = self.until("a policy is bought", insured).await?;
        match now.state.gap {
            Gap::Active { from, .. } => Ok(from),
            _ => Err(DemoError::Other("the policy ended at once".to_owned())),
        }
    }

    /// She moves to another state.
    async fn moves(&mut self) -> Result<(), DemoError> {
        let ssn = person(&self.story.people, PEOPLE[0])?.ssn.clone();
        let registry = self.story.folder.path("sources/registry.db");
        crate::external::registry::moved(&registry, &ssn, away(), self.today()?).await?;
        self.story.say(&format!("ana moves to {}", away()));
        self.report("moved", Change::Moved { to: away() }).await?;
        self.until("the new state's rules say YES", asks).await?;
        self.answer().await?;
        self.until("the new agency holds the application", pending)
            .await?;
        self.jump(12)?;
        let from = self.today()?;
        let accepted = What::Accepted {
            from,
            period_end: None,
        };
        self.agency_says("agency-away", &accepted).await?;
        self.until("the new state covers", |now| covered_by(now, away()))
            .await?;
        self.until_told("agency", "covered-elsewhere").await?;
        self.story.say(&format!(
            "{} covers from {from}; {} was told that its cover ends there",
            away(),
            home()
        ));
        Ok(())
    }

    /// She finds work.
    async fn loss(&mut self) -> Result<(), DemoError> {
        let covering = self.coverage().await?;
        let agency = match covered_by(&covering, away()) {
            true => "agency-away",
            false => "agency",
        };
        self.story.find_job().await?;
        self.report("job-found", Change::IncomeUp).await?;
        self.until("owner and agency are told", |now| {
            matches!(phase(now), Some(Phase::Respond { .. }))
        })
        .await?;
        self.until_told(agency, "loss").await?;
        self.answer().await?;
        self.story
            .say("owner and agency were told at once; open to dispute for 30 days");
        self.until("gap cover is offered", offered).await?;
        self.answer().await?;
        self.until("it is bought, from the day on which cover may end", |now| {
            matches!(now.state.gap, Gap::Bought { .. })
        })
        .await?;
        self.story
            .say("her YES bought it at once; it covers nothing while Medicaid does");
        // Thirty days to respond, ten of notice, the end of the month: the day that the offer was written for.
        let on = self
            .today()?
            .plus(40)
            .and_then(contracts::calendar::month_end)
            .and_then(|last| last.plus(1))
            .map_err(|error| DemoError::Other(error.to_string()))?;
        self.agency_says(agency, &What::Closed { on }).await?;
        self.until("the case is closed", |now| {
            now.state.last.map(|last| last.outcome) == Some(Outcome::Lost)
        })
        .await?;
        self.story.say(&format!(
            "she had confirmed it; the agency closes the case: covered until the day before {on}"
        ));
        let from = self.policy_begins().await?;
        self.story.say(&format!(
            "the policy that she bought ahead covers from {from}"
        ));
        self.jump(80)?;
        self.until("nothing is open", |now| !now.state.is_busy())
            .await?;
        Ok(())
    }

    /// Checks the record against the ledger, and prints it.
    async fn account(&mut self) -> Result<(), DemoError> {
        let all = |now: &Coverage| now.events.iter().all(|event| event.receipt.is_some());
        let record = self.until("every step is in the ledger", all).await?;
        let trust = books::trust(self.story.folder)?;
        if let Some(unproven) = books::unproven(&record, &trust).into_iter().next() {
            return Err(DemoError::Other(unproven));
        }
        println!();
        println!("day by day");
        for span in &record.days {
            let payer = match &span.payer {
                Payer::Medicaid { jurisdiction } => format!("Medicaid of {jurisdiction}"),
                Payer::Gap { .. } => "gap policy".to_owned(),
                Payer::Nobody { why } => format!("nobody ({why:?})"),
            };
            let to = span.to.map_or("…".to_owned(), |to| to.to_string());
            println!("  {} up to {to:<10} {payer}", span.from);
        }
        let balance = record.balance;
        println!(
            "balance   {} days: {} Medicaid, {} gap policy, {} nobody's for a reason named; none double",
            balance.days, balance.medicaid, balance.gap, balance.nobody
        );
        println!(
            "ledger    {} steps, each with a receipt that verifies and a commitment that opens to it",
            record.events.len()
        );
        Ok(())
    }

    fn owner(&self) -> Result<Enrolled, DemoError> {
        Ok(self.story.enrolled(PEOPLE[0])?.1)
    }

    fn today(&self) -> Result<Day, DemoError> {
        self.story
            .today
            .plus(self.moved)
            .map_err(|error| DemoError::Other(error.to_string()))
    }

    /// Moves every process's clock.
    fn jump(&mut self, days: i64) -> Result<(), DemoError> {
        self.moved += days;
        let seconds = (self.moved * DAY).to_string();
        self.story.folder.write(CALENDAR, seconds.as_bytes())?;
        self.story
            .say(&format!("{days} days pass: it is {}", self.today()?));
        Ok(())
    }

    async fn put(&self, what: &str, body: &serde_json::Value) -> Result<(), DemoError> {
        let owner = self.owner()?;
        let path = format!("/v1/profiles/{}/{what}", owner.profile);
        let sent = self
            .story
            .network
            .put("profile", &path, Some(&owner.owner_token), body);
        sent.await.map_err(DemoError::Other)
    }

    async fn report(&self, key: &str, change: Change) -> Result<(), DemoError> {
        let owner = self.owner()?;
        let path = format!("/v1/profiles/{}/coverage/events", owner.profile);
        let body = json!({"event": "changed", "change": change});
        let token = Some(owner.owner_token.as_str());
        let _: serde_json::Value = self
            .story
            .network
            .post("profile", &path, token, Some(key), &body)
            .await
            .map_err(DemoError::Other)?;
        Ok(())
    }

    async fn coverage(&self) -> Result<Coverage, DemoError> {
        let owner = self.owner()?;
        let path = format!("/v1/profiles/{}/coverage?limit=100", owner.profile);
        self.story
            .network
            .get("profile", &path, Some(&owner.owner_token))
            .await
            .map_err(DemoError::Other)
    }

    async fn until(
        &self,
        what: &str,
        holds: impl Fn(&Coverage) -> bool,
    ) -> Result<Coverage, DemoError> {
        let since = Instant::now();
        loop {
            let now = self.coverage().await?;
            if holds(&now) {
                return Ok(now);
            }
            if since.elapsed() > PATIENCE {
                return Err(DemoError::Other(format!(
                    "it did not come about that {what}: case {:?}, last {:?}, gap {}",
                    now.state.case,
                    now.state.last,
                    now.state.gap.name()
                )));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn answer(&mut self) -> Result<(), DemoError> {
        self.story
            .answer(PEOPLE[0], true)
            .await
            .map_err(DemoError::Other)
    }

    async fn cases(&self, agency: &str) -> Result<Vec<CaseView>, DemoError> {
        let (key, _) = self.story.folder.secret("caseworker")?;
        self.story
            .network
            .get(agency, "/admin/applications", Some(&key))
            .await
            .map_err(DemoError::Other)
    }

    /// A caseworker decides about the latest application.
    async fn agency_says(&self, agency: &str, what: &What) -> Result<(), DemoError> {
        let (key, _) = self.story.folder.secret("caseworker")?;
        let cases = self.cases(agency).await?;
        let last = cases
            .last()
            .ok_or_else(|| DemoError::Other(format!("{agency} has no application")))?;
        let path = format!("/admin/applications/{}/statements", last.application_id);
        let _: serde_json::Value = self
            .story
            .network
            .post(agency, &path, Some(&key), None, what)
            .await
            .map_err(DemoError::Other)?;
        Ok(())
    }

    /// Waits until an agency was told something about a case.
    async fn until_told(&self, agency: &str, notice: &str) -> Result<(), DemoError> {
        let since = Instant::now();
        loop {
            let cases = self.cases(agency).await?;
            let told = cases
                .iter()
                .flat_map(|case| &case.notices)
                .any(|told| serde_json::to_value(told).is_ok_and(|json| json["notice"] == notice));
            if told {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(DemoError::Other(format!("{agency} was not told: {notice}")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn phase(now: &Coverage) -> Option<Phase> {
    now.state.case.map(|case| case.phase)
}

fn asks(now: &Coverage) -> bool {
    matches!(phase(now), Some(Phase::Owner { .. }))
}

fn pending(now: &Coverage) -> bool {
    matches!(phase(now), Some(Phase::Pending { .. }))
}

fn offered(now: &Coverage) -> bool {
    matches!(now.state.gap, Gap::Offered { .. })
}

fn insured(now: &Coverage) -> bool {
    matches!(now.state.gap, Gap::Active { .. })
}

fn covered_by(now: &Coverage, of: Jurisdiction) -> bool {
    now.state
        .medicaid
        .is_some_and(|cover| cover.jurisdiction == of)
}
