//! One network that many owners share, and a calendar that moves all of it at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contracts::encoding::Bytes32;
use contracts::ids::Jurisdiction;
use contracts::units::Day;
use futures::stream::{self, StreamExt as _};
use profile::agency::What;
use profile::lifecycle::Coverage;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::demo::folder::{Enrolled, Folder};
use crate::demo::navigator::Navigator;
use crate::demo::story::{AWAY, PEOPLE, Setting, Story, home, person};
use crate::demo::trap::Trap;
use crate::demo::{CONTRACT, DemoError, DemoOptions};
use crate::external::agency::CaseView;
use crate::external::double::Double;
use crate::external::phone::{Phone, Text};
use crate::external::{Person, registry};
use crate::role::CALENDAR;

/// The party that is the agency of the state lived in at first.
pub const HERE: &str = "agency";
/// Longest wait for something to come about.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);
/// How often it is looked for.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// Enrolments under way at once.
const AT_ONCE: usize = 4;
/// Seconds in a day.
const DAY: i64 = 86_400;

/// Why something did not come about, in one line.
pub type Failed = String;

/// The network.
pub struct World<'a> {
    story: Story<'a>,
    begins: Day,
    /// Seconds since the beginning.
    moved: AtomicI64,
}

/// Somebody whose cover is looked after.
pub struct Owner {
    /// Which record of the fixtures' first person.
    pub double: Double,
    person: Person,
    enrolled: Enrolled,
    phone: Phone,
    /// References of texts that were replied to.
    replied: Mutex<BTreeSet<String>>,
    reports: AtomicI64,
    /// When payroll was last told something, as it says.
    told_payroll: Mutex<String>,
}

impl<'a> World<'a> {
    /// Starts every process, and generates keys where there are none. A trap sees what crosses from the first byte on.
    ///
    /// # Errors
    /// A process that does not start.
    pub async fn start(
        options: &'a DemoOptions,
        folder: &'a Folder,
        begins: Day,
        setting: Setting,
        trap: Option<Arc<Trap>>,
    ) -> Result<Self, DemoError> {
        folder.write(CALENDAR, b"0")?;
        let mut story = Story::begin_on(options, folder, Some(begins), setting).await?;
        story.network.insist(PATIENCE);
        if let Some(trap) = trap {
            for door in story.network.doors() {
                door.set_trap(trap.clone());
            }
        }
        story.start().await?;
        story.generate_keys().await?;
        Ok(Self {
            story,
            begins,
            moved: AtomicI64::new(0),
        })
    }

    /// The network's processes.
    pub fn network(&self) -> &crate::demo::network::Network<'a> {
        &self.story.network
    }

    /// The database that the profile services share, where it is not a file in the folder.
    pub(super) fn database(&self) -> Option<&str> {
        self.story.setting.database.as_deref()
    }

    /// The run's folder.
    pub fn folder(&self) -> &Folder {
        self.story.folder
    }

    /// Ends every process.
    pub async fn end(&self) {
        self.story.network.end().await;
    }

    /// The day on which the owners' cover began to be looked after, this run's first or an earlier one's.
    pub fn watched_since(&self) -> Day {
        self.story.day_zero
    }

    /// Today.
    ///
    /// # Errors
    /// Past the calendar's end.
    pub fn today(&self) -> Result<Day, Failed> {
        // The beginning is a noon.
        let seconds = self.moved.load(Ordering::SeqCst) + DAY / 2;
        let begins = self.begins.plus(seconds.div_euclid(DAY));
        begins.map_err(|error| error.to_string())
    }

    /// Moves every process's clock to so many days after the beginning.
    ///
    /// # Errors
    /// The calendar's file.
    pub fn move_to(&self, days: i64) -> Result<(), Failed> {
        self.move_by(days * DAY - self.moved.load(Ordering::SeqCst))
    }

    /// Moves every process's clock by so many seconds more.
    ///
    /// # Errors
    /// The calendar's file.
    pub fn move_by(&self, seconds: i64) -> Result<(), Failed> {
        let moved = self.moved.fetch_add(seconds, Ordering::SeqCst) + seconds;
        let written = self
            .story
            .folder
            .write(CALENDAR, moved.to_string().as_bytes());
        written.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Seconds that the processes' clocks are ahead of ours.
    pub fn ahead(&self) -> i64 {
        self.story.clock_offset + self.moved.load(Ordering::SeqCst)
    }

    /// Waits until what today asks for is done, so that the calendar may move. (On SQLite.)
    ///
    /// # Errors
    /// A database that cannot be read.
    pub async fn calm(&self) -> Result<(), Failed> {
        super::calm::wait(self.folder(), self.database(), self.ahead()).await
    }

    /// Enrols the cast and has their cover looked after. What an earlier run in the folder did is not done again.
    ///
    /// # Errors
    /// One line.
    pub async fn enrol(&mut self) -> Result<Vec<Owner>, DemoError> {
        let phone = self.story.phone.as_ref();
        let phone =
            phone.ok_or_else(|| DemoError::Other("the notifier has not started".to_owned()))?;
        let navigator = Navigator {
            contacts_token: phone.contacts_token().to_owned(),
            profiles_token: self.story.folder.secret("profile-navigator")?.0,
        };
        let of = person(&self.story.people, PEOPLE[0])?;
        let network = &self.story.network;
        let known = &self.story.memory.people;
        let enrolments = self.story.setting.cast.iter().map(|double| {
            let person = double.person(&format!("double-{}", double.number), of);
            let navigator = &navigator;
            async move {
                let known = known.iter().find(|known| known.id == person.id);
                let enrolled = match known {
                    Some(known) => known.clone(),
                    None => {
                        let (mut enrolled, enrolment) = navigator.begin(network, &person).await?;
                        phone.verify(network, &person.phone).await?;
                        navigator
                            .complete(network, &person, &enrolled, &enrolment)
                            .await?;
                        enrolled.enrolled = true;
                        let path = format!("/v1/profiles/{}/coverage", enrolled.profile);
                        let body = json!({"jurisdiction": home(), "contract": CONTRACT});
                        network
                            .put("profile", &path, Some(&enrolled.owner_token), &body)
                            .await?;
                        enrolled
                    }
                };
                Ok::<_, Failed>(Owner {
                    double: double.clone(),
                    phone: phone.phone(network, &person.phone),
                    person,
                    enrolled,
                    replied: Mutex::default(),
                    reports: AtomicI64::new(0),
                    told_payroll: Mutex::default(),
                })
            }
        });
        let owners: Vec<Result<Owner, Failed>> =
            stream::iter(enrolments).buffered(AT_ONCE).collect().await;
        let owners: Vec<Owner> = owners
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(DemoError::Other)?;
        self.story.memory.people = owners.iter().map(|owner| owner.enrolled.clone()).collect();
        self.story.folder.remember(&self.story.memory)?;
        Ok(owners)
    }

    /// The owner's record, whole.
    ///
    /// # Errors
    /// The profile's.
    pub async fn coverage(&self, owner: &Owner) -> Result<Coverage, Failed> {
        let Enrolled {
            profile,
            owner_token,
            ..
        } = &owner.enrolled;
        let mut whole: Option<Coverage> = None;
        let mut after = 0;
        loop {
            let path = format!("/v1/profiles/{profile}/coverage?limit=100&after={after}");
            let page: Coverage = self
                .network()
                .get("profile", &path, Some(owner_token))
                .await?;
            let next = page.next;
            match &mut whole {
                Some(whole) => whole.events.extend(page.events),
                None => whole = Some(page),
            }
            match (next, whole) {
                (Some(next), kept) => {
                    after = next;
                    whole = kept;
                }
                (None, Some(whole)) => return Ok(whole),
                (None, None) => return Err("no record".to_owned()),
            }
        }
    }

    /// Waits until the record shows something.
    ///
    /// # Errors
    /// It does not in time; where it stands.
    pub async fn until(
        &self,
        owner: &Owner,
        what: &str,
        holds: impl Fn(&Coverage) -> bool,
    ) -> Result<Coverage, Failed> {
        let since = Instant::now();
        loop {
            let now = self.coverage(owner).await?;
            if holds(&now) {
                return Ok(now);
            }
            if since.elapsed() > PATIENCE {
                return Err(format!(
                    "it did not come about that {what}: case {:?}, last {:?}, gap {:?}",
                    now.state.case, now.state.last, now.state.gap
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The owner reports something.
    ///
    /// # Errors
    /// The profile's refusal.
    pub async fn report(&self, owner: &Owner, body: &Value) -> Result<(), Failed> {
        let path = format!("/v1/profiles/{}/coverage/events", owner.enrolled.profile);
        let number = owner.reports.fetch_add(1, Ordering::SeqCst);
        let key = format!("report-{number}");
        let token = Some(owner.enrolled.owner_token.as_str());
        let _: Value = self
            .network()
            .post("profile", &path, token, Some(&key), body)
            .await?;
        Ok(())
    }

    /// Payroll learns that the owner's job ended, or that work was found.
    ///
    /// # Errors
    /// Payroll's refusal.
    pub async fn job(&self, owner: &Owner, found: bool) -> Result<(), Failed> {
        let (key, _) = self.secret("payroll-operator")?;
        let event = if found { "job-found" } else { "job-lost" };
        let body = json!({"event": event, "case_number": owner.double.case_number()});
        let answer: Value = self
            .network()
            .post("payroll", "/admin/events", Some(&key), None, &body)
            .await?;
        let at = answer["recorded_at"]
            .as_i64()
            .ok_or("payroll names no time")?;
        let at = OffsetDateTime::from_unix_timestamp(at).map_err(|error| error.to_string())?;
        let at = at.format(&Rfc3339).map_err(|error| error.to_string())?;
        *owner
            .told_payroll
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = at;
        Ok(())
    }

    /// The EHR learns that whatever the owner had is over.
    ///
    /// # Errors
    /// The EHR's refusal.
    pub async fn recovers(&self, owner: &Owner) -> Result<(), Failed> {
        let (key, _) = self.secret("ehr-staff")?;
        let body = json!({"event": "conditions-resolved", "mrn": owner.double.mrn()});
        let _: Value = self
            .network()
            .post("ehr", "/admin/events", Some(&key), None, &body)
            .await?;
        Ok(())
    }

    /// The registry learns how large the owner's household is.
    ///
    /// # Errors
    /// The registry's.
    pub async fn household(&self, owner: &Owner, size: Option<u8>) -> Result<(), Failed> {
        let path = self.story.folder.path("sources/registry.db");
        let written = registry::household(&path, &owner.person.ssn, size).await;
        written.map_err(|error| error.to_string())
    }

    /// The registry learns that the owner lives in another state.
    ///
    /// # Errors
    /// The registry's.
    pub async fn moves(&self, owner: &Owner, to: Jurisdiction) -> Result<(), Failed> {
        let path = self.story.folder.path("sources/registry.db");
        let written = registry::moved(&path, &owner.person.ssn, to, self.today()?).await;
        written.map_err(|error| error.to_string())
    }

    fn secret(&self, name: &str) -> Result<(String, std::path::PathBuf), Failed> {
        let secret = self.story.folder.secret(name);
        secret.map_err(|error| error.to_string())
    }

    /// Every application that an agency holds.
    ///
    /// # Errors
    /// The agency's refusal.
    pub async fn cases(&self, agency: &str) -> Result<Vec<CaseView>, Failed> {
        let (key, _) = self.secret("caseworker")?;
        self.network()
            .get(agency, "/admin/applications", Some(&key))
            .await
    }

    /// The owner's applications at an agency, oldest first.
    ///
    /// # Errors
    /// The agency's refusal.
    pub async fn applications(&self, owner: &Owner, agency: &str) -> Result<Vec<CaseView>, Failed> {
        let record = self.coverage(owner).await?;
        let of = match agency {
            AWAY => crate::demo::live::away(),
            _ => home(),
        };
        let Some(latest) = record.applications.get(&of) else {
            return Ok(Vec::new());
        };
        let mut cases = self.cases(agency).await?;
        let case = cases.iter().find(|view| view.application_id == *latest);
        let case = case.ok_or("the agency does not know the application")?;
        let case = case.case.clone();
        cases.retain(|view| view.case == case);
        Ok(cases)
    }

    /// A caseworker says something about the owner's latest application.
    ///
    /// # Errors
    /// There is none, or the agency refuses.
    pub async fn says(&self, owner: &Owner, agency: &str, what: &What) -> Result<(), Failed> {
        let (key, _) = self.secret("caseworker")?;
        let before = self.latest(owner, agency).await?;
        let path = format!("/admin/applications/{}/statements", before.application_id);
        let since = Instant::now();
        loop {
            // Whether a caseworker's words were heard is looked up before they are said again.
            if self.latest(owner, agency).await?.statements.len() > before.statements.len() {
                return Ok(());
            }
            let said: Result<Value, Failed> =
                self.network().once(agency, &path, Some(&key), what).await;
            match said {
                Ok(_) => return Ok(()),
                Err(error) if since.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn latest(&self, owner: &Owner, agency: &str) -> Result<CaseView, Failed> {
        let views = self.applications(owner, agency).await?;
        views
            .into_iter()
            .last()
            .ok_or_else(|| format!("{agency} has no application of this owner"))
    }

    /// Waits until an agency was told something about the owner.
    ///
    /// # Errors
    /// It was not in time.
    pub async fn until_told(
        &self,
        owner: &Owner,
        agency: &str,
        notice: &str,
    ) -> Result<(), Failed> {
        let since = Instant::now();
        loop {
            let views = self.applications(owner, agency).await?;
            let told = views
                .iter()
                .flat_map(|view| &view.notices)
                .any(|told| serde_json::to_value(told).is_ok_and(|json| json["notice"] == notice));
            if told {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("{agency} was not told: {notice}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The texts that the owner's phone got, oldest first.
    ///
    /// # Errors
    /// The phone's folder.
    pub fn texts(&self, owner: &Owner) -> Result<Vec<Text>, Failed> {
        owner.phone.texts().map_err(|error| error.to_string())
    }

    /// Waits for the `nth` text, from 1, whose words say this.
    ///
    /// # Errors
    /// It does not come in time.
    pub async fn until_text(
        &self,
        owner: &Owner,
        template: &str,
        nth: usize,
    ) -> Result<(), Failed> {
        let since = Instant::now();
        loop {
            let texts = self.texts(owner)?;
            let such = |text: &&Text| super::words::template(&text.body) == template;
            if texts.iter().filter(such).count() >= nth {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("no {template} text came, number {nth}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for a question that was not replied to, and replies: `words`, then its code word.
    ///
    /// # Errors
    /// No question comes, or the notifier does not take the reply.
    pub async fn reply(&self, owner: &Owner, words: &str) -> Result<(), Failed> {
        let since = Instant::now();
        let text = loop {
            let texts = self.texts(owner)?;
            let open = |text: &&Text| super::words::asks(&text.body) && !owner.has_replied(text);
            if let Some(text) = texts.iter().rev().find(open) {
                break text.clone();
            }
            if since.elapsed() > PATIENCE {
                return Err("no question came by text".to_owned());
            }
            tokio::time::sleep(LOOK).await;
        };
        owner.has_now_replied(&text);
        self.reply_to(owner, &text, words).await
    }

    /// Replies once more to the `nth` question, from 1, that the phone got.
    ///
    /// # Errors
    /// There is none, or the notifier does not take the reply.
    pub async fn reply_again(&self, owner: &Owner, nth: usize, words: &str) -> Result<(), Failed> {
        let texts = self.texts(owner)?;
        let mut asked = texts.iter().filter(|text| super::words::asks(&text.body));
        let text = asked.nth(nth.saturating_sub(1));
        let text = text.ok_or_else(|| format!("question {nth} never came"))?;
        self.reply_to(owner, text, words).await
    }

    async fn reply_to(&self, owner: &Owner, text: &Text, words: &str) -> Result<(), Failed> {
        let reply = format!("{words} {}", text.code().unwrap_or_default());
        let since = Instant::now();
        loop {
            match owner.phone.reply(text, &reply).await {
                Ok(()) => return Ok(()),
                Err(error) if since.elapsed() > PATIENCE => return Err(error.to_string()),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

impl Owner {
    pub(super) fn profile(&self) -> Bytes32 {
        self.enrolled.profile
    }

    pub(super) fn token(&self) -> &str {
        &self.enrolled.owner_token
    }

    /// When payroll was last told something about the owner, RFC 3339; empty before.
    pub(super) fn last_event(&self) -> String {
        let told = self.told_payroll.lock();
        told.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has_replied(&self, text: &Text) -> bool {
        let replied = self.replied.lock().unwrap_or_else(PoisonError::into_inner);
        replied.contains(&text.reference)
    }

    fn has_now_replied(&self, text: &Text) {
        let mut replied = self.replied.lock().unwrap_or_else(PoisonError::into_inner);
        replied.insert(text.reference.clone());
    }
}
