//! Why a source gave no answer: names source, field and fix, and never a value.

/// A source that failed. Counts as not agreeing, and is reported apart from one that answered otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No answer within the time allowed, all attempts included.
    #[error(
        "source {source_name}: no answer in time: check that it is up, or raise limits.timeout_ms"
    )]
    TimedOut {
        /// The source.
        source_name: String,
    },
    /// Not asked, because it failed several times in a row a moment ago.
    #[error(
        "source {source_name}: left alone after repeated failures: check that it is up; it is tried again by itself"
    )]
    Resting {
        /// The source.
        source_name: String,
    },
    /// The connection failed, or the source says that it cannot answer now.
    #[error("source {source_name}: {what}: check its address and that it is up")]
    Unavailable {
        /// The source.
        source_name: String,
        /// What happened, without anything the source said.
        what: String,
    },
    /// The source refuses the request.
    #[error(
        "source {source_name}: {what}: check its credentials and the query in the configuration"
    )]
    Refused {
        /// The source.
        source_name: String,
        /// What it answered, without anything but a status.
        what: String,
    },
    /// More than the cap.
    #[error(
        "source {source_name}: {field} exceeds {limit}: narrow the query, or raise the cap in limits"
    )]
    TooLarge {
        /// The source.
        source_name: String,
        /// What is too large.
        field: &'static str,
        /// The cap, with its unit.
        limit: String,
    },
    /// Not in the format, so not to be understood as any fact.
    #[error("source {source_name}: {field} is not {expected}: correct the source, or its mapping")]
    Malformed {
        /// The source.
        source_name: String,
        /// Where in the answer.
        field: String,
        /// What it should be.
        expected: String,
    },
    /// The answer is about somebody else than was asked for.
    #[error(
        "source {source_name}: {field} names another person than was asked for: correct the source"
    )]
    WrongPerson {
        /// The source.
        source_name: String,
        /// Where in the answer.
        field: String,
    },
    /// Several records where there can be one.
    #[error(
        "source {source_name}: several records match {field}: merge them at the source, or narrow the query"
    )]
    Ambiguous {
        /// The source.
        source_name: String,
        /// What they match.
        field: String,
    },
    /// The record does not cover the reference period.
    #[error("source {source_name}: {field}: ask for a new report")]
    Incomplete {
        /// The source.
        source_name: String,
        /// What is missing.
        field: &'static str,
    },
    /// The handle lacks the identifier that the mapping asks for, because its source was not consented to.
    #[error(
        "source {source_name}: the handle holds no {key}: enrol again with consent for this domain"
    )]
    NoKey {
        /// The source.
        source_name: String,
        /// The name of the source key.
        key: String,
    },
}

impl SourceError {
    /// The kind of failure, as a metric's label has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timed_out",
            Self::Resting { .. } => "resting",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
            Self::TooLarge { .. } => "too_large",
            Self::Malformed { .. } => "malformed",
            Self::WrongPerson { .. } => "wrong_person",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Incomplete { .. } => "incomplete",
            Self::NoKey { .. } => "no_key",
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Unavailable { .. })
    }
}

/// A mistake in the configuration of sources, found at start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}: {fix}")]
pub struct ConfigError {
    /// Where in the configuration, such as `attribute income.magi_monthly, read 1`.
    pub at: String,
    /// What is wrong.
    pub problem: String,
    /// What to write.
    pub fix: String,
}
