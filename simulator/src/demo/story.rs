//! The story: one question that ends in an application, and one that ends in a NO.

use std::time::{Duration, Instant};

use contracts::ids::{Jurisdiction, NodeId, Verdict};
use contracts::units::Day;
use profile::api::types::{AskQuestion, Outcome, Question, State};
use serde_json::json;

use super::fault::Step;
use super::folder::{Enrolled, Folder, Memory};
use super::network::{Network, fresh_key, oracle_name};
use super::oracle_config::{self};
use super::phone::Texting;
use super::report::{self, FactFinder};
use super::{AUDIENCE, CONTRACT, Decision, DemoError, DemoOptions, calendar};
use crate::external::double::Double;
use crate::external::{self, Person};

/// The most steps one question may take, waits included; a story that needs more is stuck.
const MAX_ADVANCES: usize = 60;
/// The people of the story, by their fixture ids.
pub(crate) const PEOPLE: [&str; 2] = ["ana", "bruno"];

/// The party that is the agency of the state moved to.
pub(crate) const AWAY: &str = "agency-away";
/// The insurer's party, in stories on a calendar.
pub(crate) const GAP: &str = "insurer";

/// Seconds in a day.
const DAY: i64 = 86_400;

/// Where the story plays.
pub fn home() -> Jurisdiction {
    "CA".parse().expect("CA is a jurisdiction")
}

/// What a run has otherwise than the demo.
#[derive(Debug, Clone)]
pub struct Setting {
    /// People beside those of the fixtures, with the records of the first of the story.
    pub cast: Vec<Double>,
    /// Seconds within which a YES can be taken back.
    pub undo_seconds: u32,
    /// Seconds after which another worker may take a task.
    pub lease_seconds: u32,
    /// Seconds between two looks for a reply or an agency's word.
    pub poll_seconds: u32,
    /// Seconds over which a second party hears of what a first one heard.
    pub spread_seconds: u32,
    /// Profile services that share the work.
    pub profiles: u16,
    /// Their database, where it is not a file in the run's folder.
    pub database: Option<String>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            cast: Vec::new(),
            undo_seconds: 1,
            lease_seconds: 30,
            poll_seconds: 1,
            spread_seconds: 0,
            profiles: 1,
            database: None,
        }
    }
}

/// The parties that are profile services: callers use the first.
pub(crate) fn profiles(setting: &Setting) -> Vec<String> {
    let rest = (2..=setting.profiles).map(|number| format!("profile-{number}"));
    std::iter::once("profile".to_owned()).chain(rest).collect()
}

/// A run in progress.
pub struct Story<'a> {
    pub(crate) options: &'a DemoOptions,
    pub(crate) folder: &'a Folder,
    pub(crate) network: Network<'a>,
    pub(crate) memory: Memory,
    pub(crate) people: Vec<Person>,
    pub(crate) day_zero: Day,
    pub(crate) today: Day,
    pub(crate) clock_offset: i64,
    pub(crate) timings: Vec<(String, Duration)>,
    pub(crate) finder: FactFinder,
    pub(crate) phone: Option<Texting>,
    pub(crate) setting: Setting,
}

impl<'a> Story<'a> {
    /// Opens the doors; nothing runs yet.
    ///
    /// # Errors
    /// The folder or a port cannot be used.
    pub async fn begin(options: &'a DemoOptions, folder: &'a Folder) -> Result<Self, DemoError> {
        Self::begin_on(options, folder, None, Setting::default()).await
    }

    /// As [`Story::begin`], on a day of the caller's choice.
    ///
    /// # Errors
    /// The folder or a port cannot be used.
    pub async fn begin_on(
        options: &'a DemoOptions,
        folder: &'a Folder,
        begins: Option<Day>,
        setting: Setting,
    ) -> Result<Self, DemoError> {
        let mut memory = folder.memory()?;
        let now = oracles::clock::Clock::system().now();
        let day = now
            .day()
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let (today, clock_offset) = match begins {
            // At noon: a run that takes minutes must not see another day begin.
            Some(begins) => (begins, begins.start().0 + DAY / 2 - now.0),
            None => calendar(day)?,
        };
        let day_zero = *memory.day_zero.get_or_insert(today);
        folder.remember(&memory)?;
        let mut parties: Vec<String> = oracle_config::nodes().map(oracle_name).collect();
        parties.extend(["payroll", "ehr", "notifier", "agency"].map(str::to_owned));
        parties.extend(profiles(&setting));
        if begins.is_some() {
            parties.extend([AWAY, GAP].map(str::to_owned));
        }
        let network = Network::open(folder, &parties).await?;
        options.tell(&format!("data folder {}", folder.root().display()));
        if clock_offset != 0 && begins.is_none() {
            options.tell(&format!(
                "the sources of the story do not hold what the contract asks for today; the clocks are set to {today}"
            ));
        }
        Ok(Self {
            options,
            folder,
            network,
            memory,
            people: external::people(day_zero)?,
            day_zero,
            today,
            clock_offset,
            timings: Vec::new(),
            finder: FactFinder::new(external::canaries()?).map_err(DemoError::Other)?,
            phone: None,
            setting,
        })
    }

    /// Ends every process.
    pub async fn end(&mut self) {
        self.network.end().await;
    }

    /// Where the profile service answers.
    pub fn profile_url(&self) -> String {
        self.network.url("profile")
    }

    /// Where the decision committee's keys are served.
    pub fn jwks_url(&self) -> String {
        let node = oracle_config::nodes()
            .map(oracle_name)
            .find(|name| self.network.runs(name))
            .unwrap_or_default();
        format!("{}/.well-known/jwks.json", self.network.url(&node))
    }

    /// Plays the story.
    ///
    /// # Errors
    /// [`DemoError`] naming the step; what was done so far stays done.
    pub async fn tell(&mut self) -> Result<Vec<Decision>, DemoError> {
        self.start().await?;
        self.generate_keys().await?;
        self.enrol().await?;
        self.lose_job().await?;
        let [first, second] = PEOPLE;
        let ana = self.question(first).await?;
        self.enter(Step::Second).await;
        self.say("the same question for somebody over the limit");
        let bruno = self.question(second).await?;
        self.enter(Step::Bundles).await;
        let since = Instant::now();
        self.compare_logs().await?;
        let mut decisions = Vec::new();
        for (id, question) in [(first, ana), (second, bruno)] {
            decisions.push(self.keep(id, &question).await?);
        }
        self.say("both bundles pass the offline audit");
        self.timed("compare the logs, audit the bundles", since);
        Ok(decisions)
    }

    pub(crate) fn say(&self, line: &str) {
        self.options.tell(&format!("• {line}"));
    }

    pub(crate) fn timed(&mut self, step: impl Into<String>, since: Instant) {
        self.timings.push((step.into(), since.elapsed()));
    }

    /// Begins a step: the faults asked for it strike now.
    pub(crate) async fn enter(&mut self, step: Step) {
        for fault in self.options.fault.clone() {
            if fault.step == step {
                self.strike(fault.oracle, step).await;
            }
        }
    }

    async fn strike(&mut self, oracle: NodeId, step: Step) {
        if self.network.kill(&oracle_name(oracle)).await {
            println!("! oracle {oracle} was killed at step {step}");
        }
    }

    pub(crate) fn enrolled(&self, id: &str) -> Result<(usize, Enrolled), DemoError> {
        self.memory
            .people
            .iter()
            .cloned()
            .enumerate()
            .find(|(_, known)| known.id == id)
            .ok_or_else(|| DemoError::Other(format!("{id} is not enrolled")))
    }

    /// Asks, and takes the question to its end; goes on from where an earlier run stopped.
    pub(super) async fn question(&mut self, id: &str) -> Result<Question, DemoError> {
        let main = id == PEOPLE[0];
        if main {
            self.enter(Step::Ask).await;
        }
        let (at, enrolled) = self.enrolled(id)?;
        let mut question = self
            .ask(&enrolled)
            .await
            .map_err(DemoError::step(Step::Ask))?;
        self.memory.people[at].question = Some(question.question);
        self.folder.remember(&self.memory)?;
        self.say(&format!(
            "{id}: is she or he in {CONTRACT} of {} on {}? asked for {AUDIENCE}",
            question.jurisdiction, question.as_of
        ));
        let mut since = Instant::now();
        for _ in 0..MAX_ADVANCES {
            if question.state == State::Done {
                return Ok(question);
            }
            let step = step_after(question.state);
            if main {
                self.enter(step).await;
            }
            if question.state == State::Texted {
                self.answer(id, false)
                    .await
                    .map_err(DemoError::step(step))?;
            }
            let before = question.state;
            let path = format!("/v1/questions/{}/advance", question.question);
            question = self
                .network
                .post(
                    "profile",
                    &path,
                    Some(&enrolled.owner_token),
                    Some(&fresh_key()),
                    &json!({}),
                )
                .await
                .map_err(DemoError::step(step))?;
            if question.state != before {
                self.timed(format!("{id}: {}", doing(step)), since);
                since = Instant::now();
                self.say(&format!("{id}: {}", done(&question)));
            } else if question.waiting.is_some() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Err(DemoError::step(step_after(question.state))(format!(
            "the question of {id} did not end"
        )))
    }

    /// What the story asks about everybody.
    pub(super) fn question_asked(&self) -> AskQuestion {
        AskQuestion {
            contract: CONTRACT.to_owned(),
            jurisdiction: home(),
            as_of: self.today,
            audience: AUDIENCE.to_owned(),
            withhold: Vec::new(),
            anew: false,
        }
    }

    async fn ask(&self, enrolled: &Enrolled) -> Result<Question, String> {
        if let Some(question) = enrolled.question {
            return self
                .network
                .get(
                    "profile",
                    &format!("/v1/questions/{question}"),
                    Some(&enrolled.owner_token),
                )
                .await;
        }
        let body = self.question_asked();
        let path = format!("/v1/profiles/{}/questions", enrolled.profile);
        let key = format!("demo-{}-{}", enrolled.id, self.today);
        self.network
            .post(
                "profile",
                &path,
                Some(&enrolled.owner_token),
                Some(&key),
                &body,
            )
            .await
    }

    /// The owner reads the text and replies; `coming` says that there is one that nobody has replied to.
    pub(crate) async fn answer(&mut self, id: &str, coming: bool) -> Result<(), String> {
        let number = person(&self.people, id)
            .map_err(|error| error.to_string())?
            .phone
            .clone();
        let interactive = self.options.interactive;
        let phone = self.phone.as_mut().ok_or("the notifier has not started")?;
        phone
            .answer(&self.network, &number, interactive, coming)
            .await
    }

    /// Prints what crossed each door, and the timings.
    pub fn print_report(&self) {
        println!();
        let rows = report::rows(self.network.doors(), &self.finder);
        print!("{}", report::party_table(&rows));
        println!();
        print!("{}", report::timing_table(&self.timings));
        println!();
    }
}

/// The step that a question in this state takes next.
fn step_after(state: State) -> Step {
    match state {
        State::Asked => Step::Attest,
        State::Attested => Step::Prove,
        State::Proved => Step::Decide,
        State::Decided => Step::Text,
        State::Texted => Step::Approve,
        State::Approved => Step::File,
        State::Filed | State::Done => Step::Receipts,
    }
}

fn doing(step: Step) -> &'static str {
    match step {
        Step::Attest => "read sources, agree, attest",
        Step::Prove => "prove in zero knowledge",
        Step::Decide => "check, log and sign the token",
        Step::Text => "text",
        Step::Approve => "reply and undo window",
        Step::File => "file at the agency",
        Step::Receipts => "receipts",
        _ => "other",
    }
}

fn done(question: &Question) -> String {
    match question.state {
        State::Asked => "asked".to_owned(),
        State::Attested => {
            "the oracles read the sources, agreed, and signed blinded commitments".to_owned()
        }
        State::Proved => format!(
            "the profile proved {} in zero knowledge",
            question.verdict.unwrap_or(Verdict::No)
        ),
        State::Decided => {
            "the decision oracles checked the proof, logged the decision and signed a YES token"
                .to_owned()
        }
        State::Texted => "a text asks for approval".to_owned(),
        State::Approved => "the answer is YES, signed by notifier and wallet".to_owned(),
        State::Filed => "the agency verified the token and accepted the application".to_owned(),
        State::Done => match question.outcome {
            Some(Outcome::Yes) => "yes, for somebody with whom nothing is filed".to_owned(),
            Some(Outcome::No) => format!(
                "the decision oracles signed a NO token: {}",
                question.reasons.join(", ")
            ),
            Some(Outcome::Accepted) => format!("done; receipts: {}", question.receipts.join(", ")),
            Some(Outcome::Declined) => "the owner said no; nothing was filed".to_owned(),
            Some(Outcome::NoReply) => "no reply before the deadline; nothing was filed".to_owned(),
            Some(Outcome::Refused) => "the agency refused the application".to_owned(),
            Some(Outcome::NeedsInfo) => {
                let missing: Vec<_> = question.missing.iter().map(ToString::to_string).collect();
                format!("facts are missing: {}", missing.join(", "))
            }
            None => "done".to_owned(),
        },
    }
}

pub(crate) fn person<'p>(people: &'p [Person], id: &str) -> Result<&'p Person, DemoError> {
    people
        .iter()
        .find(|person| person.id == id)
        .ok_or_else(|| DemoError::Other(format!("fixtures/people.toml has no {id}")))
}
