//! How texts leave and come in: a trait that every provider of text messages has, and what they say back.

mod console;
mod file;
pub mod smpp;
pub mod twilio;
pub mod webhook;

use std::time::Duration;

use futures::future::BoxFuture;

pub use console::{Console, typed};
pub use file::FileProvider;

use crate::phone::Phone;

/// A text for a provider.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The message's id.
    pub reference: &'a str,
    /// The number.
    pub to: &'a Phone,
    /// The text.
    pub text: &'a str,
}

/// What a provider knows of a text it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// On its way.
    Sent,
    /// The phone has it.
    Delivered,
    /// It will not arrive.
    Failed,
}

/// Why a carrier refused or did not deliver a text, as far as it bears on the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The number is out of service, no mobile, or somebody else's: it must be verified again before it is texted.
    Number,
    /// The phone told the carrier that it wants no texts.
    OptedOut,
    /// Anything else.
    Other,
}

impl Cause {
    /// Its name, as the reason of a failed text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::OptedOut => "opted-out",
            Self::Other => "carrier",
        }
    }
}

/// A text that was not taken, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Certainly not taken; it, or another provider, may take it later.
    #[error("not taken: {0}")]
    NotTaken(String),
    /// It may have been taken: only a look-up can tell.
    #[error("no answer: {0}")]
    Unknown(String),
    /// It will never be taken.
    #[error("refused: {}", .0.as_str())]
    Refused(Cause),
}

/// What a look-up found: texts that the provider took for this number with these words since the attempt, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// These, or none.
    Texts(Vec<(String, Delivery)>),
    /// This provider keeps no list to look in.
    CannotTell,
}

/// A provider that did not answer a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the provider did not answer: {0}")]
pub struct NoAnswer(pub String);

/// A provider of text messages.
///
/// Nothing is handed over twice unless the provider says that it was not taken: after a crash or a lost answer the service
/// waits [`Provider::settle`] and looks the text up; where that cannot tell, the text becomes a dead letter.
pub trait Provider: Send + Sync {
    /// Its configured name, which messages are stored under.
    fn name(&self) -> &str;

    /// Hands a text over; returns the provider's id of it.
    fn send<'a>(&'a self, text: &'a Outgoing<'a>) -> BoxFuture<'a, Result<String, SendError>>;

    /// Looks for a text that was handed over at `since` (Unix seconds by the service's clock).
    fn look_up<'a>(
        &'a self,
        text: &'a Outgoing<'a>,
        since: i64,
    ) -> BoxFuture<'a, Result<Found, NoAnswer>>;

    /// Asks how a text that was taken fares; nothing where the provider cannot be asked.
    fn status<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<(Delivery, Cause)>, NoAnswer>>;

    /// After how long a text that was taken is surely found by a look-up.
    fn settle(&self) -> Duration;
}

/// A segment of a longer text, as the phone split it.
#[derive(Debug)]
pub struct Segment {
    /// The phone's number for the text.
    pub reference: u32,
    /// How many segments there are, two or more.
    pub total: u8,
    /// Which one this is, from 1.
    pub number: u8,
    /// `data_coding`: a character may be split between two segments, so they are read when they are joined.
    pub coding: u8,
    /// The words.
    pub octets: Vec<u8>,
}

/// Something a provider says of its own accord.
#[derive(Debug)]
pub enum Incoming {
    /// A text came in.
    Text {
        /// The provider's id of it; a text said twice has the same.
        id: Option<String>,
        /// The sender.
        from: Phone,
        /// The words.
        text: String,
        /// The carrier has taken this for STOP, START or HELP, and answered it.
        answered: Option<Reserved>,
    },
    /// A segment of a longer text came in.
    Segment {
        /// Which provider.
        provider: String,
        /// The sender.
        from: Phone,
        /// The segment.
        segment: Segment,
    },
    /// How a text fares.
    Report {
        /// Which provider.
        provider: String,
        /// Our reference, where the provider repeats it.
        reference: Option<String>,
        /// The provider's id.
        provider_id: Option<String>,
        /// The number, where the provider repeats it.
        to: Option<Phone>,
        /// How.
        delivery: Delivery,
        /// Why, if it failed.
        cause: Cause,
    },
}

/// What a carrier takes a text for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// An opt-out: the carrier lets nothing of ours through any more.
    Stop,
    /// An opt-in, which a YES may be taken for.
    Start,
    /// HELP.
    Help,
}
