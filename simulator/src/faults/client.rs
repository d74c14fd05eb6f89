//! The honest side: an owner at a real profile service, a navigator's device, and the profile's own ledger client.

use std::time::{Duration, Instant};

use contracts::audit::audit;
use contracts::encoding::Bytes32;
use contracts::ids::Verdict;
use contracts::receipt::{Entry, EntryKind};
use contracts::rules::registry;
use contracts::trust::Trust;
use oracles::clock::Clock;
use profile::api::types::{AskQuestion, CreatedProfile, Question, State};
use profile::config::ProfileConfig;
use profile::oracle::Oracles;
use rand::RngCore as _;
use rand::rngs::OsRng;
use serde_json::json;
use tracing::instrument::WithSubscriber as _;

use super::cluster::Cluster;
use super::sources::Sources;
use crate::demo::folder::Enrolled;
use crate::demo::navigator::Navigator;
use crate::demo::network::fresh_key;
use crate::demo::{AUDIENCE, CONTRACT};

/// One request and how it ended.
#[derive(Debug)]
pub struct Step {
    /// What was asked.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// The longest it may take.
    pub bound: Duration,
    /// What came of it.
    pub result: Result<(), String>,
}

impl Step {
    /// The part of its bound that it took.
    pub fn share(&self) -> f64 {
        self.took.as_secs_f64() / self.bound.as_secs_f64()
    }
}

/// A person with a profile.
pub struct Owner<'c, 'a> {
    cluster: &'c Cluster<'a>,
    sources: &'c Sources<'a>,
    enrolled: Enrolled,
}

impl<'c, 'a> Owner<'c, 'a> {
    /// Enrols a fixture person.
    ///
    /// # Errors
    /// One line, which names the oracles that failed.
    pub async fn enrol(
        cluster: &'c Cluster<'a>,
        sources: &'c Sources<'a>,
        person: &str,
    ) -> Result<Self, String> {
        let (token, _) = cluster
            .folder
            .secret("profile-navigator")
            .map_err(|error| error.to_string())?;
        let navigator = Navigator {
            contacts_token: String::new(),
            profiles_token: token,
        };
        let person = sources
            .people
            .iter()
            .find(|known| known.id == person)
            .ok_or_else(|| format!("no {person} in the fixtures"))?;
        let created: CreatedProfile = cluster
            .network
            .post(
                "profile",
                "/v1/profiles",
                Some(&navigator.profiles_token),
                Some(&fresh_key()),
                &json!({}),
            )
            .await?;
        let enrolled = Enrolled {
            id: person.id.clone(),
            profile: created.profile,
            owner_token: created.owner_token,
            contact: format!("contact-{}", person.id),
            enrolled: true,
            question: None,
        };
        navigator
            .complete(&cluster.network, person, &enrolled, &created.enrolment)
            .await?;
        let mut memory = cluster.folder.memory().map_err(|error| error.to_string())?;
        memory.people.push(enrolled.clone());
        cluster
            .folder
            .remember(&memory)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            cluster,
            sources,
            enrolled,
        })
    }

    /// Somebody who enrolled before the profile service was started again.
    ///
    /// # Errors
    /// Nobody of that name did.
    pub fn resume(
        cluster: &'c Cluster<'a>,
        sources: &'c Sources<'a>,
        person: &str,
    ) -> Result<Self, String> {
        let memory = cluster.folder.memory().map_err(|error| error.to_string())?;
        let enrolled = memory.people.into_iter().find(|known| known.id == person);
        Ok(Self {
            cluster,
            sources,
            enrolled: enrolled.ok_or_else(|| format!("{person} is not enrolled"))?,
        })
    }

    /// Asks the question of the scenarios.
    ///
    /// # Errors
    /// One line.
    pub async fn ask(&self) -> Result<Question, String> {
        let body = AskQuestion {
            contract: CONTRACT.to_owned(),
            jurisdiction: "CA".parse().map_err(|error| format!("{error}"))?,
            as_of: self.sources.today,
            audience: AUDIENCE.to_owned(),
            withhold: Vec::new(),
            anew: false,
        };
        self.cluster
            .network
            .post(
                "profile",
                &format!("/v1/profiles/{}/questions", self.enrolled.profile),
                Some(&self.enrolled.owner_token),
                Some(&format!("faults-{}", self.enrolled.id)),
                &body,
            )
            .await
    }

    /// Takes the question's next step.
    ///
    /// # Errors
    /// One line, which names the oracles that failed.
    pub async fn advance(&self, question: &Question) -> Result<Question, String> {
        let path = format!("/v1/questions/{}/advance", question.question);
        let token = Some(self.enrolled.owner_token.as_str());
        self.cluster
            .network
            .post("profile", &path, token, Some(&fresh_key()), &json!({}))
            .await
    }

    /// Checks that the bundle of a decided question audits offline, and what it says.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn audit(&self, question: &Question, expected: Verdict) -> Result<(), String> {
        let path = format!("/v1/questions/{}/bundle", question.question);
        let token = Some(self.enrolled.owner_token.as_str());
        let bundle = self
            .cluster
            .network
            .get_bytes("profile", &path, token)
            .await?;
        let trust = trust(self.cluster)?;
        audit(&bundle, &trust, registry()).map_err(|error| error.to_string())?;
        match question.verdict {
            Some(verdict) if verdict == expected => Ok(()),
            other => Err(format!("WRONG VERDICT {other:?}, the truth is {expected}")),
        }
    }
}

/// The trust file of a cluster.
///
/// # Errors
/// One line.
pub fn trust(cluster: &Cluster<'_>) -> Result<Trust, String> {
    let bytes =
        std::fs::read(cluster.folder.path("trust.json")).map_err(|error| error.to_string())?;
    Trust::parse(&bytes).map_err(|error| error.to_string())
}

/// The party that appends an owner's entry.
pub const CLIENT: &str = "client";

/// Appends an owner's entry, as the profile does when an application is approved.
///
/// # Errors
/// One line, which names the oracles that failed.
pub async fn append(cluster: &Cluster<'_>) -> Result<(), String> {
    let text = std::fs::read_to_string(cluster.folder.path("config/profile.toml"))
        .map_err(|error| error.to_string())?;
    let config = ProfileConfig::parse(&text).map_err(|error| error.to_string())?;
    let clock = Clock::with_offset(config.clock_offset_seconds);
    let oracles = Oracles::new(&config, trust(cluster)?, clock);
    let (mut salt, mut commitment) = ([0u8; 32], [0u8; 32]);
    OsRng.fill_bytes(&mut salt);
    OsRng.fill_bytes(&mut commitment);
    let entry = Entry {
        kind: EntryKind::Approval,
        commitment: Bytes32::from(commitment),
    };
    // Whom the caller passes over is named in a log like any party's.
    let log = cluster.folder.path(format!("logs/{CLIENT}.log"));
    let log = std::fs::File::options().create(true).append(true).open(log);
    let log = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::sync::Mutex::new(
            log.map_err(|error| error.to_string())?,
        ))
        .finish();
    let receipt = oracles
        .append(entry)
        .with_subscriber(log)
        .await
        .map_err(|error| format!("{error:?}"))?;
    if receipt.entry != entry {
        return Err("a receipt of another entry".to_owned());
    }
    Ok(())
}

/// Takes the time of one request.
pub async fn timed<T>(
    steps: &mut Vec<Step>,
    name: &'static str,
    bound: Duration,
    request: impl Future<Output = Result<T, String>>,
) -> Option<T> {
    let since = Instant::now();
    let (value, result) = match request.await {
        Ok(value) => (Some(value), Ok(())),
        Err(error) => (None, Err(error)),
    };
    steps.push(Step {
        name,
        took: since.elapsed(),
        bound,
        result,
    });
    value
}

/// Takes a question until it is decided.
pub async fn decide(
    steps: &mut Vec<Step>,
    owner: &Owner<'_, '_>,
    bounds: (Duration, Duration),
) -> Option<Question> {
    let mut question = timed(steps, "ask", bounds.1, owner.ask()).await?;
    loop {
        let (name, bound) = match question.state {
            State::Asked => ("attest", bounds.0),
            State::Attested => ("prove", bounds.1),
            State::Proved => ("decide", bounds.1),
            _ => return Some(question),
        };
        // A presentation whose nonces ran out is made anew; more often than this it is not.
        if steps.iter().filter(|step| step.name == "attest").count() > 2 {
            return Some(question);
        }
        question = timed(steps, name, bound, owner.advance(&question)).await?;
    }
}
