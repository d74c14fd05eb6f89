//! How texts leave and come in: a trait for the way out, signed webhooks for the way in.

mod console;
mod file;
pub mod webhook;

use futures::future::BoxFuture;

pub use console::{Console, typed};
pub use file::FileGateway;

use crate::phone::Phone;

/// A text for the gateway.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The message's id. A gateway that is given the same reference twice sends one text.
    pub reference: &'a str,
    /// The number.
    pub to: &'a Phone,
    /// The text.
    pub text: &'a str,
}

/// A text that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// It may be taken later.
    #[error("the gateway did not take the text: {0}")]
    Temporary(String),
    /// It will never be: no such number, or refused.
    #[error("the gateway refuses the text: {0}")]
    Permanent(String),
}

/// A provider of text messages.
///
/// The contract is at most one text per reference: a notifier that died between handing a text over and noting that it did hands
/// it over again.
pub trait Gateway: Send + Sync {
    /// Hands a text over.
    fn send<'a>(&'a self, text: &'a Outgoing<'a>) -> BoxFuture<'a, Result<(), GatewayError>>;
}
