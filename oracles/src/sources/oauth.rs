//! OAuth 2.0 client credentials (RFC 6749 §4.4): one access token for all reads of a source, kept until it expires.

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;
use zeroize::Zeroizing;

use super::error::SourceError;
use super::json::Json;
use crate::http::{self, HttpError};

/// Bytes of a token answer.
const MAX_ANSWER: usize = 64 << 10;
/// Longest access token.
const MAX_TOKEN: usize = 8 << 10;
/// A token is not used in its last seconds, when it could expire on the way.
const MARGIN: Duration = Duration::from_secs(10);
/// How long a token whose life is not told is used.
const UNTOLD_LIFE: u64 = 60;
/// Longest life believed, in seconds.
const MAX_LIFE: u64 = 86_400;

/// A client at an authorisation server. `Debug` prints no secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthConfig {
    /// The token endpoint; `https`, or on loopback.
    pub token_url: String,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// The scope asked for, if the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl fmt::Debug for OAuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OAuthConfig({})", self.client_id)
    }
}

/// The token in use.
pub(super) struct OAuth {
    source_name: String,
    endpoint: Url,
    client_id: String,
    client_secret: Zeroizing<String>,
    scope: Option<String>,
    http: Client,
    token: Mutex<Option<Token>>,
}

struct Token {
    value: Zeroizing<String>,
    until: Instant,
}

impl OAuth {
    /// # Errors
    /// A token endpoint over plain HTTP elsewhere than on loopback: the secret would travel in the clear (RFC 6749 §3.2).
    pub(super) fn new(source_name: &str, config: &OAuthConfig) -> Result<Self, String> {
        let endpoint =
            Url::parse(&config.token_url).map_err(|_| "token_url is not an address".to_owned())?;
        let loopback = match endpoint.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if endpoint.scheme() != "https" && !(endpoint.scheme() == "http" && loopback) {
            return Err("token_url is not https".to_owned());
        }
        Ok(Self {
            source_name: source_name.to_owned(),
            endpoint,
            client_id: config.client_id.clone(),
            client_secret: Zeroizing::new(config.client_secret.clone()),
            scope: config.scope.clone(),
            http: http::client(),
            token: Mutex::new(None),
        })
    }

    /// A token that is good now. Reads that need one at the same time wait for one request.
    pub(super) async fn token(&self) -> Result<Zeroizing<String>, SourceError> {
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(token.value.clone());
        }
        *held = None;
        let token = self.ask().await?;
        let value = token.value.clone();
        *held = Some(token);
        Ok(value)
    }

    /// Forgets a token that the source refused, unless it was replaced meanwhile.
    pub(super) async fn refused(&self, value: &str) {
        let mut held = self.token.lock().await;
        if held.as_ref().is_some_and(|token| *token.value == value) {
            *held = None;
        }
    }

    async fn ask(&self) -> Result<Token, SourceError> {
        // RFC 6749 §2.3.1: id and secret are form-encoded before they become a Basic password.
        let encoded =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let mut form = vec![("grant_type", "client_credentials")];
        if let Some(scope) = &self.scope {
            form.push(("scope", scope));
        }
        let secret = Zeroizing::new(encoded(&self.client_secret));
        let request = self
            .http
            .post(self.endpoint.clone())
            .basic_auth(encoded(&self.client_id), Some(secret.as_str()))
            .header(reqwest::header::ACCEPT, "application/json")
            .form(&form);
        let response = request
            .send()
            .await
            .map_err(|error| self.unavailable(&HttpError::from(error).to_string()))?;
        let status = response.status();
        if !status.is_success() {
            let what = format!("its token endpoint answers with status {}", status.as_u16());
            return Err(match status.is_server_error() || status.as_u16() == 429 {
                true => self.unavailable(&what),
                false => SourceError::Refused {
                    source_name: self.source_name.clone(),
                    what,
                },
            });
        }
        let asked = Instant::now();
        let body = http::read_capped(response, MAX_ANSWER)
            .await
            .map(Zeroizing::new)
            .map_err(|error| self.unavailable(&error.to_string()))?;
        self.granted(&body, asked)
    }

    fn granted(&self, body: &[u8], asked: Instant) -> Result<Token, SourceError> {
        #[derive(Deserialize)]
        struct Grant {
            access_token: String,
            token_type: String,
            expires_in: Option<u64>,
        }
        let malformed = |expected: &str| SourceError::Malformed {
            source_name: self.source_name.clone(),
            field: "the token answer".to_owned(),
            expected: expected.to_owned(),
        };
        let json = Json::parse(body).map_err(|_| malformed("JSON"))?;
        let grant: Grant = json
            .read()
            .map_err(|misfit| malformed(&format!("one whose {misfit}")))?;
        let value = Zeroizing::new(grant.access_token);
        let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !grant.token_type.eq_ignore_ascii_case("bearer") {
            return Err(malformed("of token_type Bearer"));
        }
        if !(1..=MAX_TOKEN).contains(&value.len()) || !printable(&value) {
            return Err(malformed("one with an access_token"));
        }
        let life = Duration::from_secs(grant.expires_in.unwrap_or(UNTOLD_LIFE).min(MAX_LIFE));
        Ok(Token {
            value,
            until: asked + life.saturating_sub(MARGIN.min(life / 2)),
        })
    }

    fn unavailable(&self, what: &str) -> SourceError {
        SourceError::Unavailable {
            source_name: self.source_name.clone(),
            what: what.to_owned(),
        }
    }
}
