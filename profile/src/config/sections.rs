//! The sections that say how the service works, each with what it is without a word.

use contracts::ids::{AttributeId, Domain};
use contracts::presentation::AudienceKind;
use serde::Deserialize;

use super::{BaseUrl, ConfigError, Secret, bad};

/// How approval by text goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalConfig {
    /// How long one `advance` waits for a reply, in seconds; at most 60.
    pub wait_seconds: u64,
    /// Days the owner has to reply; at most 7, the age at which agencies refuse an approval.
    pub deadline_days: u16,
    /// Seconds after a YES within which it can be taken back; the notifier signs the YES only then.
    pub undo_seconds: u32,
}

impl Default for ApprovalConfig {
    fn default() -> Self {
        Self {
            wait_seconds: 10,
            deadline_days: 5,
            undo_seconds: 600,
        }
    }
}

/// How the oracles are asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AskConfig {
    /// Leaves asked for per fact: one per audience, the rest spare; 1 to 8, the same for every question.
    pub indexes: u32,
    /// How long all nonces are waited for before a quorum of them is enough, in milliseconds.
    pub nonce_wait_ms: u64,
    /// Time-out of one call to one node, in milliseconds.
    pub call_timeout_ms: u64,
    /// Time-out of a call in which a node coordinates a committee, in milliseconds.
    pub coordinate_timeout_ms: u64,
    /// Attempts with fresh blindings and a fresh request id before a step fails.
    pub attempts: u32,
}

impl Default for AskConfig {
    fn default() -> Self {
        Self {
            indexes: 4,
            nonce_wait_ms: 1_500,
            call_timeout_ms: 8_000,
            coordinate_timeout_ms: 20_000,
            attempts: 2,
        }
    }
}

/// An audience that keeps no cases: it is shown no pseudonym, and nothing is filed with it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnquiryConfig {
    /// Its registered id, the `aud` of its tokens.
    pub audience: String,
    /// `insurer` or `provider`.
    pub kind: AudienceKind,
}

/// How leaves are bought ahead.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StockConfig {
    /// Leaves of a fact, for one contract and audience, below which more are bought; 0 buys nothing ahead.
    pub low_water: u32,
    /// Seconds after a question until its leaves are replaced: at least this, at most twice this, drawn at random.
    pub delay_seconds: u32,
    /// Milliseconds between two looks for what is due.
    pub interval_ms: u64,
}

impl Default for StockConfig {
    fn default() -> Self {
        Self {
            low_water: 1,
            delay_seconds: 6 * 3_600,
            interval_ms: 30_000,
        }
    }
}

/// How lifecycles are worked on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// Workers of this process; 0 leaves the work to other processes on the same database.
    pub workers: u16,
    /// Milliseconds between two looks for what is due.
    pub interval_ms: u64,
    /// Seconds for which a worker has a task to itself; if it dies, another takes it up after that.
    pub lease_seconds: u32,
    /// Seconds between two looks for a reply or an agency's word.
    pub poll_seconds: u32,
    /// Seconds over which, within the day, a second party hears of what a first one heard or said: the moment must not join the two.
    pub spread_seconds: u32,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            workers: 2,
            interval_ms: 1_000,
            lease_seconds: 300,
            poll_seconds: 30,
            spread_seconds: 6 * 3_600,
        }
    }
}

/// How long rows are kept that only tell what was done.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Days for which an audit event is kept: six years, as 45 CFR 164.316(b)(2)(i) has it of such records.
    pub audit_days: u32,
    /// Days for which a repeated call is known by its `Idempotency-Key`.
    pub idempotency_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            audit_days: 2_192,
            idempotency_days: 400,
        }
    }
}

/// How facts are watched for changes, of owners who agree to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// Whether anything is watched; where it is not, what was granted before is ended.
    pub enabled: bool,
    /// Days for which a watch is granted; it is renewed while its owner agrees.
    pub grant_days: u16,
    /// Days before its end from which it is renewed.
    pub renew_days: u16,
    /// Seconds between two looks at a node.
    pub poll_seconds: u32,
    /// Seconds from one time that changes of an owner become events to the next; what changes meanwhile comes together.
    pub pause_seconds: u32,
    /// What to watch; empty for the facts of the contract that the owner's cover rests on, and the state of residence.
    pub attributes: Vec<AttributeId>,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            grant_days: 30,
            renew_days: 7,
            poll_seconds: 600,
            pause_seconds: 86_400,
            attributes: Vec::new(),
        }
    }
}

impl WatchConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for id in &self.attributes {
            if contracts::lifecycle::meaning(id).is_none() {
                let problem = format!("{id}: no event follows from it; leave it out");
                return Err(bad("watch.attributes", problem));
            }
        }
        let renewed = 1..self.grant_days;
        match renewed.contains(&self.renew_days) {
            true => Ok(()),
            false => Err(bad(
                "watch.renew_days",
                "1 or more, and less than grant_days",
            )),
        }
    }
}

/// A physician's practice that may be told that a patient's coverage flag has changed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PracticeConfig {
    /// What owners call it; 1 to 100 bytes.
    pub name: String,
    /// Where it is told: the id of the flag's `Coverage` is added, and an empty `POST` made.
    pub url: BaseUrl,
    /// Bearer token that it knows this service by.
    pub token: Secret,
}

/// Checks a name that owners are shown.
pub(crate) fn shown_name(field: &str, name: &str) -> Result<(), ConfigError> {
    match (1..=100).contains(&name.len()) && !name.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(bad(field, "1 to 100 bytes, as an owner would know it")),
    }
}

/// Whose records a domain's committee reads, in words that an owner knows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// The domain.
    pub domain: Domain,
    /// Its name; 1 to 100 bytes.
    pub name: String,
}
