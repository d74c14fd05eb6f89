//! The story: one question that ends in an application, and one that ends in a NO.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contracts::ids::{Jurisdiction, NodeId, Verdict};
use contracts::trust::{CommitteeKey, Suite, Trust};
use contracts::units::Day;
use oracles::ceremony::KeyId;
use oracles::wire::info::NodeInfo;
use profile::api::types::{AskQuestion, Outcome, Profile, Question, State, TokenAnswer};
use serde_json::json;

use super::fault::Step;
use super::folder::{Enrolled, Folder, Memory};
use super::navigator::Navigator;
use super::network::{Network, oracle_name};
use super::oracle_config::{self, SourceAccess};
use super::phone::Texting;
use super::report::{self, FactFinder};
use super::{
    AUDIENCE, CONTRACT, Decision, DemoError, DemoOptions, ISSUER, ORACLES, ORIGIN, calendar,
};
use crate::external::{self, Person, RoleConfig, Secret};

/// Seconds within which a YES can be taken back in the demo; ten minutes in a real configuration.
const UNDO_SECONDS: u32 = 1;
/// The most steps one question may take, waits included; a story that needs more is stuck.
const MAX_ADVANCES: usize = 60;
/// The people of the story, by their fixture ids.
const PEOPLE: [&str; 2] = ["ana", "bruno"];

/// Where the story plays.
pub fn home() -> Jurisdiction {
    "CA".parse().expect("CA is a jurisdiction")
}

/// A run in progress.
pub struct Story<'a> {
    options: &'a DemoOptions,
    folder: &'a Folder,
    network: Network<'a>,
    memory: Memory,
    people: Vec<Person>,
    day_zero: Day,
    today: Day,
    clock_offset: i64,
    timings: Vec<(String, Duration)>,
    finder: FactFinder,
    phone: Option<Texting>,
}

impl<'a> Story<'a> {
    /// Opens the doors; nothing runs yet.
    ///
    /// # Errors
    /// The folder or a port cannot be used.
    pub async fn begin(options: &'a DemoOptions, folder: &'a Folder) -> Result<Self, DemoError> {
        let mut memory = folder.memory()?;
        let now = oracles::clock::Clock::system().now();
        let day = now
            .day()
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let (today, clock_offset) = calendar(day)?;
        let day_zero = *memory.day_zero.get_or_insert(today);
        folder.remember(&memory)?;
        let mut parties: Vec<String> = oracle_config::nodes().map(oracle_name).collect();
        parties.extend(["payroll", "ehr", "profile", "notifier", "agency"].map(str::to_owned));
        let network = Network::open(folder, &parties).await?;
        println!("data folder {}", folder.root().display());
        if clock_offset != 0 {
            println!(
                "the contract of the story is not in force today; the clocks are set to {today}"
            );
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
        })
    }

    /// Ends every process.
    pub async fn end(&mut self) {
        self.network.end().await;
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
        let mut decisions = Vec::new();
        for (id, question) in [(first, ana), (second, bruno)] {
            decisions.push(self.keep(id, &question).await?);
        }
        Ok(decisions)
    }

    fn say(&self, line: &str) {
        println!("• {line}");
    }

    fn timed(&mut self, step: impl Into<String>, since: Instant) {
        self.timings.push((step.into(), since.elapsed()));
    }

    /// Begins a step: the faults asked for it strike now.
    async fn enter(&mut self, step: Step) {
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

    async fn start(&mut self) -> Result<(), DemoError> {
        let since = Instant::now();
        let registry =
            external::registry::create(&self.folder.path("sources"), self.day_zero).await?;
        let (payroll_key, _) = self.folder.secret("payroll-reader")?;
        let (payroll_admin, _) = self.folder.secret("payroll-operator")?;
        let (ehr_key, _) = self.folder.secret("ehr-reader")?;
        let payroll = RoleConfig::Payroll(external::payroll::Config {
            listen: ([127, 0, 0, 1], 0).into(),
            day_zero: self.day_zero,
            clock_offset_seconds: self.clock_offset,
            data: self.folder.make("sources/payroll")?,
            api_key: Secret::new(&payroll_key),
            admin_key: Secret::new(payroll_admin),
        });
        let ehr = RoleConfig::Ehr(external::ehr::Config {
            listen: ([127, 0, 0, 1], 0).into(),
            day_zero: self.day_zero,
            api_key: Secret::new(&ehr_key),
        });
        self.network
            .start("external", "payroll", &to_toml(&payroll)?)
            .await?;
        self.network
            .start("external", "ehr", &to_toml(&ehr)?)
            .await?;
        let sources = SourceAccess {
            registry: &registry,
            payroll_key: &payroll_key,
            ehr_key: &ehr_key,
        };
        let configs =
            oracle_config::configs(self.folder, &self.network, &sources, self.clock_offset)?;
        for config in &configs {
            self.network
                .start("oracle", &oracle_name(config.id), &to_toml(config)?)
                .await?;
        }
        self.phone = Some(Texting::start(self.folder, &mut self.network, self.clock_offset).await?);
        self.say(&format!(
            "{} processes listen: payroll, EHR, {ORACLES} oracles, notifier; the registry is a SQL database",
            self.network.size()
        ));
        self.timed("start sources, oracles, notifier", since);
        self.enter(Step::Start).await;
        Ok(())
    }

    /// One generation per committee key over the network; a fault strikes in the middle of it.
    async fn generate_keys(&mut self) -> Result<(), DemoError> {
        let since = Instant::now();
        let failed = DemoError::step(Step::Dkg);
        let first = NodeId::new(1).map_err(|error| DemoError::Other(error.to_string()))?;
        let config = oracles::config::NodeConfig::load(&self.folder.path("config/oracle-1.toml"))
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let identity = oracle_config::identity(self.folder, first)?;
        let peers = oracles::peer::Peers::new(&config, identity)
            .map_err(|error| DemoError::Other(error.to_string()))?;
        if !self.memory.keys_generated {
            let keys = config.keys();
            for (at, key) in keys.iter().enumerate() {
                if at == keys.len() / 2 {
                    self.enter(Step::Dkg).await;
                }
                match oracles::ceremony::dkg::generate(&config, &peers, *key).await {
                    Ok(_) => {}
                    Err(error) => return Err(failed(error.to_string())),
                }
            }
            self.say(&format!(
                "{} keys generated by {ORACLES} oracles together, no dealer: 3 of {ORACLES} sign",
                keys.len()
            ));
            self.memory.keys_generated = true;
            self.folder.remember(&self.memory)?;
        }
        self.trust().await?;
        self.timed("distributed key generation", since);
        let since = Instant::now();
        self.start_services().await?;
        self.timed("start profile and agency", since);
        Ok(())
    }

    /// Writes the trust file: what more oracles than may be faulty say alike.
    async fn trust(&mut self) -> Result<(), DemoError> {
        let mut said: BTreeMap<String, (usize, Vec<CommitteeKey>, ed25519_dalek::VerifyingKey)> =
            BTreeMap::new();
        for node in oracle_config::nodes() {
            let name = oracle_name(node);
            if !self.network.runs(&name) {
                continue;
            }
            let info: NodeInfo = self
                .network
                .get(&name, "/v1/info", None)
                .await
                .map_err(DemoError::Other)?;
            let (keys, ledger) = committee_keys(&info)?;
            let spelled = serde_json::to_string(&(&keys, ledger.as_bytes()))
                .map_err(|error| DemoError::Other(error.to_string()))?;
            said.entry(spelled).or_insert((0, keys, ledger)).0 += 1;
        }
        let faults = usize::from(contracts::ids::max_faults(ORACLES));
        let (_, keys, ledger) = said
            .into_values()
            .find(|(count, _, _)| *count > faults)
            .ok_or_else(|| {
                DemoError::Other("the oracles do not name the same committee keys".to_owned())
            })?;
        let trust = Trust::new(ISSUER.to_owned(), ORIGIN.to_owned(), ledger, keys)
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let bytes = serde_json::to_vec_pretty(&trust)
            .map_err(|error| DemoError::Other(error.to_string()))?;
        self.folder.write("trust.json", &bytes).map(|_| ())
    }

    async fn start_services(&mut self) -> Result<(), DemoError> {
        let phone = self
            .phone
            .as_ref()
            .ok_or_else(|| DemoError::Other("the notifier has not started".to_owned()))?;
        let oracles: Vec<String> = oracle_config::nodes()
            .map(|node| self.network.url(&oracle_name(node)))
            .collect();
        let compiled = contracts::rules::registry()
            .compile(CONTRACT, &home(), self.today)
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let agency = RoleConfig::Agency(external::agency::Config {
            listen: ([127, 0, 0, 1], 0).into(),
            data: self.folder.path("agency"),
            clock_offset_seconds: self.clock_offset,
            audience: AUDIENCE.to_owned(),
            issuer: ISSUER.to_owned(),
            oracles,
            notifier_key: phone.notifier_key(),
            jurisdiction: home(),
            contracts: vec![compiled.contract.clone()],
        });
        self.network
            .start("external", "agency", &to_toml(&agency)?)
            .await?;
        let key: serde_json::Value = self
            .network
            .get("agency", "/v1/key", None)
            .await
            .map_err(DemoError::Other)?;
        let profile = self.profile_config(phone, &key["key"])?;
        self.network.start("profile", "profile", &profile).await
    }

    fn profile_config(
        &self,
        phone: &Texting,
        agency_key: &serde_json::Value,
    ) -> Result<String, DemoError> {
        let (_, operator_key) = self.folder.secret("profile-operator")?;
        let (_, navigator) = self.folder.secret("profile-navigator")?;
        let nodes: Vec<_> = oracle_config::nodes()
            .map(|node| {
                let identity = oracle_config::identity(self.folder, node)?;
                Ok(json!({
                    "id": node,
                    "url": self.network.url(&oracle_name(node)),
                    "hpke_key": identity.hpke().public(),
                    "hpke_epoch": 1,
                }))
            })
            .collect::<Result<_, DemoError>>()?;
        let members: Vec<_> = oracle_config::nodes().collect();
        let committees: Vec<_> = contracts::ids::Committee::ALL
            .into_iter()
            .map(|committee| json!({"committee": committee, "members": members}))
            .collect();
        to_toml(&json!({
            "listen": "127.0.0.1:0",
            "database": format!("sqlite:{}", self.folder.path("profile/profile.db").display()),
            "operator_key": {"file": operator_key},
            "navigator_token": {"file": navigator},
            "trust": self.folder.path("trust.json"),
            "clock_offset_seconds": self.clock_offset,
            "nodes": nodes,
            "committees": committees,
            "notifier": {
                "url": self.network.url("notifier"),
                "token": {"file": phone.messages_token_file()},
                "public_key": phone.notifier_key(),
            },
            "agencies": [{
                "audience": AUDIENCE,
                "url": format!("{}/applications", self.network.url("agency")),
                "public_key": agency_key,
            }],
            "approval": {"wait_seconds": 5, "undo_seconds": UNDO_SECONDS},
        }))
    }

    async fn enrol(&mut self) -> Result<(), DemoError> {
        self.enter(Step::Enrol).await;
        let phone = self
            .phone
            .as_ref()
            .ok_or_else(|| DemoError::Other("the notifier has not started".to_owned()))?;
        let navigator = Navigator {
            contacts_token: phone.contacts_token().to_owned(),
            profiles_token: self.folder.secret("profile-navigator")?.0,
        };
        for id in PEOPLE {
            let since = Instant::now();
            let person = person(&self.people, id)?.clone();
            let known = self.memory.people.iter().position(|known| known.id == id);
            let (at, enrolment) = match known {
                Some(at)
                    if self
                        .memory
                        .people
                        .get(at)
                        .is_some_and(|known| known.enrolled) =>
                {
                    continue;
                }
                Some(at) => {
                    let enrolled = &self.memory.people[at];
                    let profile: Profile = self
                        .network
                        .get(
                            "profile",
                            &format!("/v1/profiles/{}", enrolled.profile),
                            Some(&enrolled.owner_token),
                        )
                        .await
                        .map_err(DemoError::step(Step::Enrol))?;
                    (at, profile.enrolment)
                }
                None => {
                    let (enrolled, enrolment) = navigator
                        .begin(&self.network, &person)
                        .await
                        .map_err(DemoError::step(Step::Enrol))?;
                    self.memory.people.push(enrolled);
                    self.folder.remember(&self.memory)?;
                    (self.memory.people.len() - 1, Some(enrolment))
                }
            };
            if let Some(enrolment) = enrolment {
                navigator
                    .complete(&self.network, &person, &self.memory.people[at], &enrolment)
                    .await
                    .map_err(DemoError::step(Step::Enrol))?;
            }
            self.memory.people[at].enrolled = true;
            self.folder.remember(&self.memory)?;
            self.say(&format!(
                "{id} is enrolled: proofed by the identity oracles, handles sealed, phone known to the notifier alone"
            ));
            self.timed(format!("enrol {id}"), since);
        }
        Ok(())
    }

    async fn lose_job(&mut self) -> Result<(), DemoError> {
        self.enter(Step::Event).await;
        if self.memory.job_lost {
            return Ok(());
        }
        let (key, _) = self.folder.secret("payroll-operator")?;
        let case_number = external::registry::case_number(
            &self.folder.path("sources/registry.db"),
            &person(&self.people, "ana")?.ssn,
        )
        .await?;
        let _: serde_json::Value = self
            .network
            .post(
                "payroll",
                "/admin/events",
                Some(&key),
                None,
                &json!({"event": "job-lost", "case_number": case_number}),
            )
            .await
            .map_err(DemoError::step(Step::Event))?;
        self.memory.job_lost = true;
        self.folder.remember(&self.memory)?;
        self.say("ana loses her job; the next income report of her payroll shows it");
        Ok(())
    }

    fn enrolled(&self, id: &str) -> Result<(usize, Enrolled), DemoError> {
        self.memory
            .people
            .iter()
            .cloned()
            .enumerate()
            .find(|(_, known)| known.id == id)
            .ok_or_else(|| DemoError::Other(format!("{id} is not enrolled")))
    }

    /// Asks, and takes the question to its end; goes on from where an earlier run stopped.
    async fn question(&mut self, id: &str) -> Result<Question, DemoError> {
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
                self.answer(id).await.map_err(DemoError::step(step))?;
            }
            let before = question.state;
            let path = format!("/v1/questions/{}/advance", question.question);
            question = self
                .network
                .post(
                    "profile",
                    &path,
                    Some(&enrolled.owner_token),
                    None,
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
        let body = AskQuestion {
            contract: CONTRACT.to_owned(),
            jurisdiction: home(),
            as_of: self.today,
            audience: AUDIENCE.to_owned(),
            withhold: Vec::new(),
        };
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

    /// The owner reads the text and replies.
    async fn answer(&mut self, id: &str) -> Result<(), String> {
        let number = person(&self.people, id)
            .map_err(|error| error.to_string())?
            .phone
            .clone();
        let interactive = self.options.interactive;
        let phone = self.phone.as_mut().ok_or("the notifier has not started")?;
        phone.answer(&self.network, &number, interactive).await
    }

    /// Fetches bundle and token of a decision and writes them beside the trust file.
    async fn keep(&self, id: &str, question: &Question) -> Result<Decision, DemoError> {
        let (_, enrolled) = self.enrolled(id)?;
        let failed = DemoError::step(Step::Bundles);
        let path = format!("/v1/questions/{}/bundle", question.question);
        let token_path = format!("/v1/questions/{}/token", question.question);
        let fetched = async {
            let bundle = self
                .network
                .get_bytes("profile", &path, Some(&enrolled.owner_token))
                .await?;
            let token: TokenAnswer = self
                .network
                .get("profile", &token_path, Some(&enrolled.owner_token))
                .await?;
            Ok::<_, String>((bundle, token))
        };
        let (bundle, token) = fetched.await.map_err(failed)?;
        Ok(Decision {
            subject: id.to_owned(),
            contract: question.contract.id.clone(),
            jurisdiction: question.jurisdiction.to_string(),
            verdict: question
                .verdict
                .map_or_else(|| "NEEDS-INFO".to_owned(), |verdict| verdict.to_string()),
            reasons: question.reasons.clone(),
            outcome: question
                .outcome
                .and_then(|outcome| serde_json::to_value(outcome).ok())
                .and_then(|value| value.as_str().map(str::to_owned))
                .unwrap_or_default(),
            bundle: self.folder.write(&format!("bundles/{id}.json"), &bundle)?,
            token: self
                .folder
                .write(&format!("tokens/{id}.jwt"), token.token.as_bytes())?,
        })
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

fn person<'p>(people: &'p [Person], id: &str) -> Result<&'p Person, DemoError> {
    people
        .iter()
        .find(|person| person.id == id)
        .ok_or_else(|| DemoError::Other(format!("fixtures/people.toml has no {id}")))
}

fn committee_keys(
    info: &NodeInfo,
) -> Result<(Vec<CommitteeKey>, ed25519_dalek::VerifyingKey), DemoError> {
    let mut keys = Vec::new();
    let mut ledger = None;
    for held in &info.keys {
        if held.key == KeyId::IdentityOprf {
            continue;
        }
        let key = CommitteeKey {
            committee: held.key.committee(),
            epoch: held.epoch,
            suite: Suite::of(held.key.committee()),
            key: held.group_key.clone(),
        };
        if key.committee == contracts::ids::Committee::Ledger {
            ledger = key.ed25519();
        } else {
            keys.push(key);
        }
    }
    let ledger = ledger
        .ok_or_else(|| DemoError::Other(format!("oracle {} names no ledger key", info.node)))?;
    Ok((keys, ledger))
}

fn to_toml<T: serde::Serialize>(config: &T) -> Result<String, DemoError> {
    toml::to_string(config).map_err(|error| DemoError::Other(format!("configuration: {error}")))
}
