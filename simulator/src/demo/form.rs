//! `enrolment`: people are enrolled by the navigator's form, as a browser fills it in, over the network of the demo. The form's
//! process is killed while an enrolment is under way; each page must say what is so; and the owner asks a question.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use contracts::encoding::Bytes32;
use profile::api::types::{Outcome, Profile};
use serde_json::json;

use super::browser::{Browser, Page, fields, shown};
use super::folder::{Enrolled, Folder};
use super::setup::to_toml;
use super::story::{PEOPLE, Story, person};
use super::trap::{Crossing, Moment, Point, Trap};
use super::{CONTRACT, DemoError, DemoOptions, oracle_config};
use crate::external::Person;

/// The form's process. It has no door: its device is the navigator's own.
const FORM: &str = "navigator";
/// How long a phone's YES may take to be known to the form.
const PATIENCE: Duration = Duration::from_secs(20);
/// Somebody whose phone, and nothing else, is used.
const STRANGER: &str = "carmen";

/// Options of `enrolment`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Keep the files of the run in this folder.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Enrols, and checks what every page says.
///
/// # Errors
/// The network does not start, or something is not as it should be.
pub async fn run(options: &Options) -> Result<(), DemoError> {
    let mut folder = Folder::open(options.data.as_deref())?;
    let demo = DemoOptions::default();
    let mut story = Story::begin(&demo, &folder).await?;
    let played = play(&mut story).await;
    story.end().await;
    drop(story);
    if played.is_err() {
        folder.keep();
        eprintln!("what the processes wrote is in {}", folder.root().display());
    }
    played
}

async fn play(story: &mut Story<'_>) -> Result<(), DemoError> {
    story.start().await?;
    story.generate_keys().await?;
    let (trap, mut springs) = Trap::new(vec![Point {
        crossing: Crossing {
            door: "profile".to_owned(),
            route: "POST /v1/profiles/_/enrol".to_owned(),
            nth: 1,
        },
        moment: Moment::Lost,
    }]);
    if let Some(door) = story.network.door("profile") {
        door.set_trap(trap);
    }
    let config = form_config(story)?;
    story.network.start("navigator", FORM, &config).await?;
    let [ana, bruno] = PEOPLE;
    let ana = person(&story.people, ana)?.clone();
    let bruno = person(&story.people, bruno)?.clone();
    let desk = Desk { story };

    desk.killed_after_the_enrolment(&bruno, &mut springs)
        .await?;
    desk.records_that_do_not_match(&ana, &bruno).await?;
    let taken = desk.killed_before_the_reply(&ana).await?;
    desk.somebody_enrolled_is_enrolled_again(&ana).await?;

    story.memory.people.push(taken);
    story.lose_job().await?;
    let question = story.question(&ana.id).await?;
    if question.outcome != Some(Outcome::Accepted) {
        return Err(other(format!("the question ended otherwise: {question:?}")));
    }
    story.keep(&ana.id, &question).await?;
    story.say("who was enrolled by the form has a YES token, and the agency has the application");
    nothing_in_clear(story)
}

/// The form's configuration: keys from the oracles' own operators, services behind their doors.
fn form_config(story: &Story<'_>) -> Result<String, DemoError> {
    let identity: Vec<_> = oracle_config::nodes()
        .map(|node| {
            let identity = oracle_config::identity(story.folder, node)?;
            let key = identity.hpke().public().to_owned();
            Ok(json!({"node": node, "key_epoch": 1, "hpke_key": key}))
        })
        .collect::<Result<_, DemoError>>()?;
    let service = |party: &str, secret: &str| {
        let (_, file) = story.folder.secret(secret)?;
        Ok::<_, DemoError>(json!({"url": story.network.url(party), "token": {"file": file}}))
    };
    to_toml(&json!({
        "name": "Bay Community Clinic",
        "contract": CONTRACT,
        "profile": service("profile", "profile-navigator")?,
        "notifier": service("notifier", "notifier-contacts")?,
        "identity": identity,
        "sources": [{"domain": "income", "name": "Payroll reports"}],
    }))
}

fn other(what: impl ToString) -> DemoError {
    DemoError::Other(what.to_string())
}

/// The page must have this status and these words.
fn says(page: &Page, status: u16, words: &str) -> Result<(), DemoError> {
    match page.status == status && page.text.contains(words) {
        true => Ok(()),
        false => Err(other(format!(
            "{status} and {words:?} were expected: {page:?}"
        ))),
    }
}

/// The page must not say who somebody is, nor repeat the SSN.
fn names_nobody(page: &Page, whose: &Enrolled, person: &Person) -> Result<(), DemoError> {
    let digits = person.ssn.replace('-', "");
    let profile = whose.profile.to_string();
    for told in [&person.ssn, &digits, &profile, &whose.owner_token] {
        if page.text.contains(told.as_str()) {
            return Err(other(format!("a refusal tells {told}")));
        }
    }
    Ok(())
}

/// What the person takes home by what a page shows.
fn taken(page: &Page, person: &Person) -> Result<Enrolled, DemoError> {
    let profile = shown(&page.text, "Profile").map_err(other)?;
    let token = shown(&page.text, "Key of the profile, to be kept secret").map_err(other)?;
    Ok(Enrolled {
        id: person.id.clone(),
        profile: Bytes32::parse(profile).map_err(other)?,
        owner_token: token.to_owned(),
        // The notifier's handle never leaves form and profile service.
        contact: String::new(),
        enrolled: true,
        question: None,
    })
}

/// Where people sit with the navigator.
struct Desk<'a, 'b> {
    story: &'a Story<'b>,
}

impl Desk<'_, '_> {
    fn browser(&self) -> Result<Browser, DemoError> {
        let address = self.story.network.address(FORM);
        Browser::at(address.ok_or_else(|| other("the form does not run"))?).map_err(other)
    }

    /// Fills in a form and sends it; the page that waits for the phone.
    async fn fill(&self, once: &str, person: &Person) -> Result<(String, Page), DemoError> {
        let browser = self.browser()?;
        let sent = browser.send("/enrol", &fields(once, person)).await;
        let sent = sent.map_err(other)?;
        if sent.status != 303 {
            return Err(other(format!("the form was not taken: {sent:?}")));
        }
        let page = browser.get(&sent.leads).await.map_err(other)?;
        says(&page, 200, "asked by text")?;
        Ok((sent.leads, page))
    }

    /// The phone says YES, and the form goes on; what it says then.
    async fn reply_and_go_on(&self, at: &str, person: &Person) -> Result<Page, DemoError> {
        let phone = self.story.phone.as_ref();
        let phone = phone.ok_or_else(|| other("the notifier has not started"))?;
        let since = Instant::now();
        loop {
            // Before the newest text has come an older one may be answered: then the form still waits.
            let verified = phone.verify(&self.story.network, &person.phone).await;
            verified.map_err(other)?;
            let page = self.browser()?.send(at, &[]).await.map_err(other)?;
            if !page.text.contains("has not replied yet") {
                return Ok(page);
            }
            if since.elapsed() > PATIENCE {
                return Err(other("the form did not learn of the phone's YES"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn restart(&self) -> Result<(), DemoError> {
        self.story.network.kill(FORM).await;
        self.story.network.restart(FORM).await
    }

    async fn is_enrolled(&self, taken: &Enrolled) -> Result<bool, DemoError> {
        let path = format!("/v1/profiles/{}", taken.profile);
        let profile = self
            .story
            .network
            .get("profile", &path, Some(&taken.owner_token));
        let profile: Profile = profile.await.map_err(other)?;
        Ok(profile.enrolled)
    }

    /// SIGKILL when the profile service has enrolled the person and the form has not heard of it.
    async fn killed_after_the_enrolment(
        &self,
        person: &Person,
        springs: &mut tokio::sync::mpsc::UnboundedReceiver<super::trap::Caught>,
    ) -> Result<(), DemoError> {
        let once = self.browser()?.once().await.map_err(other)?;
        let (at, page) = self.fill(&once, person).await?;
        let taken = taken(&page, person)?;
        let killed = async {
            let caught = springs.recv().await;
            self.story.network.kill(FORM).await;
            drop(caught);
        };
        let (went, ()) = tokio::join!(self.reply_and_go_on(&at, person), killed);
        if let Ok(page) = went {
            return Err(other(format!("a form that was killed answered: {page:?}")));
        }
        self.restart().await?;
        let page = self.browser()?.get(&at).await.map_err(other)?;
        says(&page, 404, "Fill in the form again")?;
        let again = self.browser()?.send("/enrol", &fields(&once, person)).await;
        says(&again.map_err(other)?, 409, "What they wrote down serves")?;
        if !self.is_enrolled(&taken).await? {
            return Err(other("what was written down opens no enrolled profile"));
        }
        let once = self.browser()?.once().await.map_err(other)?;
        let (at, _) = self.fill(&once, person).await?;
        let page = self.reply_and_go_on(&at, person).await?;
        says(&page, 403, "This person cannot be enrolled now")?;
        names_nobody(&page, &taken, person)?;
        self.story.say("the form was killed when the enrolment was complete: what was written down serves, and there is no second profile");
        Ok(())
    }

    /// One person's name with another's SSN.
    async fn records_that_do_not_match(
        &self,
        person: &Person,
        ssn_of: &Person,
    ) -> Result<(), DemoError> {
        let mixed = Person {
            ssn: ssn_of.ssn.clone(),
            ..person.clone()
        };
        let once = self.browser()?.once().await.map_err(other)?;
        let (at, page) = self.fill(&once, &mixed).await?;
        let taken = taken(&page, &mixed)?;
        let page = self.reply_and_go_on(&at, &mixed).await?;
        says(&page, 403, "SSN, name and date of birth")?;
        if self.is_enrolled(&taken).await? {
            return Err(other("a person whom the records do not know is enrolled"));
        }
        let closed = self.browser()?.send(&format!("{at}/close"), &[]).await;
        if closed.map_err(other)?.status != 303 {
            return Err(other("an enrolment that failed could not be closed"));
        }
        self.story
            .say("a name with another's SSN is refused, and the page says what to check");
        Ok(())
    }

    /// SIGKILL while the phone is asked; the same form, sent again, is the same profile.
    async fn killed_before_the_reply(&self, person: &Person) -> Result<Enrolled, DemoError> {
        let once = self.browser()?.once().await.map_err(other)?;
        let (at, page) = self.fill(&once, person).await?;
        let first = taken(&page, person)?;
        self.restart().await?;
        let page = self.browser()?.get(&at).await.map_err(other)?;
        says(&page, 404, "Fill in the form again")?;
        let (at, page) = self.fill(&once, person).await?;
        let second = taken(&page, person)?;
        if (first.profile, &first.owner_token) != (second.profile, &second.owner_token) {
            return Err(other("the same form made a second profile"));
        }
        let page = self.reply_and_go_on(&at, person).await?;
        if page.status != 303 {
            return Err(other(format!("not enrolled: {page:?}")));
        }
        let page = self.browser()?.get(&at).await.map_err(other)?;
        says(&page, 200, "Texts come when something is to be decided")?;
        if page.text.contains("not looked after") || !self.is_enrolled(&second).await? {
            return Err(other(format!("not enrolled, or without cover: {page:?}")));
        }
        self.story
            .say("the form was killed while the phone was asked: filled in again, it enrolled the same profile");
        Ok(second)
    }

    /// Somebody enrolled is filled in again, on another phone.
    async fn somebody_enrolled_is_enrolled_again(&self, person: &Person) -> Result<(), DemoError> {
        let stranger = super::story::person(&self.story.people, STRANGER)?;
        let again = Person {
            phone: stranger.phone.clone(),
            ..person.clone()
        };
        let once = self.browser()?.once().await.map_err(other)?;
        let (at, page) = self.fill(&once, &again).await?;
        let taken = taken(&page, &again)?;
        let page = self.reply_and_go_on(&at, &again).await?;
        says(&page, 403, "This person cannot be enrolled now")?;
        if self.is_enrolled(&taken).await? {
            return Err(other("one person has two profiles"));
        }
        self.story
            .say("the same SSN, filled in again, is refused without saying whose it is");
        Ok(())
    }
}

/// Attack: the profile service looks for names, numbers and SSNs in all that came to it.
fn nothing_in_clear(story: &Story<'_>) -> Result<(), DemoError> {
    let file = story.folder.path("tap/profile.http");
    let bytes = std::fs::read(&file).map_err(DemoError::file(&file))?;
    let enrolments = String::from_utf8_lossy(&bytes)
        .matches("/enrol HTTP/1.1")
        .count();
    if enrolments < 5 {
        return Err(other(format!(
            "only {enrolments} enrolments crossed the door"
        )));
    }
    let found = story.finder.find(&bytes);
    if !found.is_empty() {
        return Err(other(format!("the profile service was told {found:?}")));
    }
    story.say("no name, number or SSN came to the profile service");
    Ok(())
}
