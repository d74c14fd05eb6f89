//! Private decisions in number over the network of the demo, for `bench decide`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use contracts::ids::Verdict;
use profile::api::types::{CreatedProfile, Question, State};
use serde_json::json;

use super::folder::Folder;
use super::network::{fresh_key, oracle_name};
use super::story::Story;
use super::{DemoError, DemoOptions, oracle_config};

/// Steps that a question takes at most to its verdict.
const STEPS: usize = 12;
/// The counter of signing ceremonies that ended in a signature, in a node's metrics.
const CEREMONIES: &str = "oracle_ceremonies_total{";
/// The counter of answers to other nodes.
const PEER_REQUESTS: &str = "oracle_peer_requests_total{";

/// The network, its people enrolled.
pub(crate) struct Decisions<'a> {
    story: Story<'a>,
}

impl<'a> Decisions<'a> {
    /// Starts every process and enrols the people of the story: one of them gets a YES, the other a NO.
    ///
    /// # Errors
    /// A step of the story failed.
    pub(crate) async fn start(
        options: &'a DemoOptions,
        folder: &'a Folder,
    ) -> Result<Self, DemoError> {
        let mut story = Story::begin(options, folder).await?;
        story.start().await?;
        story.generate_keys().await?;
        story.enrol().await?;
        story.lose_job().await?;
        Ok(Self { story })
    }

    /// How many people are asked about, in turn.
    pub(crate) fn people(&self) -> usize {
        self.story.memory.people.len()
    }

    /// A question about one of the people, from asking to the token.
    ///
    /// # Errors
    /// One line.
    pub(crate) async fn decide(&self, number: usize) -> Result<Verdict, String> {
        let story = &self.story;
        let people = &story.memory.people;
        let person = people
            .get(number % people.len().max(1))
            .ok_or("nobody is enrolled")?;
        let owner = Some(person.owner_token.as_str());
        let path = format!("/v1/profiles/{}/questions", person.profile);
        let mut question: Question = story
            .network
            .post(
                "profile",
                &path,
                owner,
                Some(&fresh_key()),
                &story.question_asked(),
            )
            .await?;
        let path = format!("/v1/questions/{}/advance", question.question);
        for _ in 0..STEPS {
            if question.state >= State::Decided {
                return question
                    .verdict
                    .ok_or_else(|| format!("ended without a verdict: {:?}", question.missing));
            }
            question = story
                .network
                .post("profile", &path, owner, Some(&fresh_key()), &json!({}))
                .await?;
        }
        Err(format!("not decided after {STEPS} steps"))
    }

    /// A profile with a wallet, and nobody in it.
    ///
    /// # Errors
    /// One line.
    pub(crate) async fn create_profile(&self) -> Result<(), String> {
        let secret = self.story.folder.secret("profile-navigator");
        let (navigator, _) = secret.map_err(|error| error.to_string())?;
        let _: CreatedProfile = self
            .story
            .network
            .post(
                "profile",
                "/v1/profiles",
                Some(&navigator),
                Some(&fresh_key()),
                &json!({}),
            )
            .await?;
        Ok(())
    }

    /// Signatures that the oracles have made together so far.
    ///
    /// # Errors
    /// One line.
    pub(crate) async fn ceremonies(&self) -> Result<u64, String> {
        let outcomes = self.counted(CEREMONIES, "outcome").await?;
        Ok(outcomes.get("signed").copied().unwrap_or(0))
    }

    /// Calls of oracles to each other that were answered so far, by topic.
    ///
    /// # Errors
    /// One line.
    pub(crate) async fn peer_calls(&self) -> Result<BTreeMap<String, u64>, String> {
        self.counted(PEER_REQUESTS, "topic").await
    }

    /// The sums over all oracles of counters of one name, by the value of a label.
    async fn counted(&self, name: &str, label: &str) -> Result<BTreeMap<String, u64>, String> {
        let label = format!("{label}=\"");
        let mut sums = BTreeMap::new();
        for node in oracle_config::nodes() {
            let party = oracle_name(node);
            let text = self
                .story
                .network
                .get_bytes(&party, "/metrics", None)
                .await?;
            let text = String::from_utf8_lossy(&text);
            for counter in text.lines().filter(|line| line.starts_with(name)) {
                let value = counter.split_once(&label);
                let value = value.and_then(|(_, rest)| rest.split_once('"'));
                let count = counter
                    .rsplit(' ')
                    .next()
                    .and_then(|it| it.parse::<u64>().ok());
                if let (Some((value, _)), Some(count)) = (value, count) {
                    let sum = sums.entry(value.to_owned()).or_default();
                    *sum += count;
                }
            }
        }
        Ok(sums)
    }

    /// Every process but this one, which asks and keeps what crosses the doors.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.story.network.pids()
    }

    /// The profile service's process.
    pub(crate) fn profile(&self) -> Option<u32> {
        self.story.network.pid("profile")
    }

    /// The profile service's database (SQLite).
    pub(crate) fn database(&self) -> PathBuf {
        self.story.folder.path("profile/profile.db")
    }

    /// Ends every process.
    pub(crate) async fn end(&mut self) {
        self.story.end().await;
    }
}
