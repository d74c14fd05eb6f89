//! A carrier with the Twilio Programmable Messaging API (2010-04-01): takes texts, lists them, reports how they fare by signed
//! callbacks, and loses, delays, duplicates and reorders as many calls and callbacks as it is told to.

mod api;
mod callbacks;
mod faults;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Result, Running, Secret};
use faults::Faults;

/// Where and how a carrier runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address to listen on.
    #[serde(default = "super::any_port")]
    pub listen: SocketAddr,
    /// The only account.
    pub account_sid: String,
    /// Its auth token, which callbacks are signed with.
    pub auth_token: Secret,
    /// Where faults begin.
    #[serde(default)]
    pub seed: u64,
    /// Calls and callbacks in a hundred that go wrong.
    #[serde(default)]
    pub fault_percent: u8,
    /// Texts in a hundred that are not delivered.
    #[serde(default)]
    pub undelivered_percent: u8,
}

/// A text that the carrier took.
#[derive(Debug, Clone)]
pub struct Text {
    /// `SM` and 32 hexadecimal digits.
    pub sid: String,
    /// The number.
    pub to: String,
    /// The sender.
    pub from: String,
    /// The words.
    pub body: String,
    /// `queued`, `sent`, `delivered` or `undelivered`.
    pub status: &'static str,
    /// Why it was not delivered.
    pub error_code: Option<i64>,
    /// When it was taken.
    pub created: OffsetDateTime,
    /// Where its status is posted.
    pub callback: Option<String>,
}

/// What the carrier knows, shared by its handlers and callbacks.
pub(super) struct Carrier {
    account_sid: String,
    auth_token: Secret,
    faults: Faults,
    texts: Mutex<Vec<Text>>,
    undelivered_percent: AtomicU8,
    client: reqwest::Client,
}

impl Carrier {
    fn texts<T>(&self, with: impl FnOnce(&mut Vec<Text>) -> T) -> T {
        with(&mut self.texts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A carrier that runs in this process.
pub struct Handle {
    /// Its server.
    pub running: Running,
    carrier: Arc<Carrier>,
}

impl Handle {
    /// Every text it took.
    pub fn texts(&self) -> Vec<Text> {
        self.carrier.texts(|texts| texts.clone())
    }

    /// Calls and callbacks in a hundred that go wrong from now on.
    pub fn set_faults(&self, percent: u8) {
        self.carrier.faults.set(percent);
    }

    /// Texts in a hundred that are not delivered from now on.
    pub fn set_undelivered(&self, percent: u8) {
        self.carrier
            .undelivered_percent
            .store(percent, Ordering::Relaxed);
    }

    /// Calls and callbacks that went wrong so far, by kind.
    pub fn faults(&self) -> Vec<(&'static str, u64)> {
        self.carrier.faults.counts()
    }
}

/// Starts a carrier.
///
/// # Errors
/// The address cannot be bound, or no HTTP client made.
pub fn start_here(config: Config) -> Result<Handle> {
    let client = oracles::http::client_builder()
        .timeout(Duration::from_secs(5))
        .build()
        .map_err(|error| super::ExternalError::Data(error.to_string()))?;
    let carrier = Arc::new(Carrier {
        account_sid: config.account_sid,
        auth_token: config.auth_token,
        faults: Faults::new(config.seed, config.fault_percent),
        texts: Mutex::default(),
        undelivered_percent: AtomicU8::new(config.undelivered_percent),
        client,
    });
    let shared = web::Data::from(carrier.clone());
    let running = super::http::serve(config.listen, move |service| {
        service.app_data(shared.clone()).configure(api::routes);
    })?;
    Ok(Handle { running, carrier })
}

/// Starts a carrier as a process of its own.
///
/// # Errors
/// As [`start_here`].
pub async fn start(config: Config) -> Result<Running> {
    Ok(start_here(config)?.running)
}
