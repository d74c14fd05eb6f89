//! A bank and four offices behind one door: deposits and accounts in the form of the Financial Data Exchange (FDX 6), wage
//! records by quarter, verification of SSNs, registers of drivers and of addresses.
//!
//! The bank hands out access tokens for client credentials (RFC 6749 §4.4) and refuses them once expired; the offices take a
//! bearer key. Lists come in pages of at most three.

mod bank;
mod data;
mod offices;
#[cfg(test)]
mod tests;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use contracts::units::Day;
use serde::{Deserialize, Serialize};

use super::http::serve;
use super::{Result, Running, Secret};
use data::Records;
use token::Tokens;

/// Bytes of a request body.
const MAX_BODY: usize = 4096;

/// What the service is told at its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen; by default loopback, any port.
    #[serde(default = "super::any_port")]
    pub listen: SocketAddr,
    /// The day that the records' relative days count from.
    pub day_zero: Day,
    /// The client that may have tokens for the bank.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Seconds that a token is good for.
    #[serde(default = "default_life")]
    pub token_seconds: u64,
    /// Key of the offices' readers.
    pub api_key: Secret,
}

fn default_life() -> u64 {
    300
}

struct State {
    records: Records,
    tokens: Tokens,
    config: Config,
}

/// Starts the service.
///
/// # Errors
/// An address that cannot be bound, or a fixture that does not parse.
pub async fn start(config: Config) -> Result<Running> {
    let listen = config.listen;
    let state = Data::new(Arc::new(State {
        records: Records::load(config.day_zero)?,
        tokens: Tokens::default(),
        config,
    }));
    serve(listen, move |service: &mut ServiceConfig| {
        service
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .route("/healthz", web::get().to(HttpResponse::Ok))
            .route("/oauth2/token", web::post().to(token::grant))
            .route("/fdx/v6/accounts", web::get().to(bank::accounts))
            .route(
                "/fdx/v6/accounts/{id}/transactions",
                web::get().to(bank::transactions),
            )
            .route("/v1/verifications", web::post().to(offices::verify))
            .route("/v1/wage_records", web::post().to(offices::wages))
            .route("/v1/drivers/{licence}", web::get().to(offices::driver))
            .route(
                "/v1/people/{person}/addresses",
                web::get().to(offices::addresses),
            );
    })
}
