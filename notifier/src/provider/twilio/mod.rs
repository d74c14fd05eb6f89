//! Carriers with the Twilio Programmable Messaging API (version 2010-04-01).
//!
//! Its API takes no idempotency key, so that a call whose answer was lost is looked up before it is made again: the list of
//! messages by `To` and `DateSent`, compared by words and time.

pub mod signature;
pub mod webhook;

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use time::format_description::well_known::Rfc2822;
use time::{Date, OffsetDateTime};
use url::Url;
use zeroize::Zeroizing;

use super::{Cause, Delivery, Found, NoAnswer, Outgoing, Provider, SendError};

/// Largest answer that is read, in bytes: a page of a list.
const MAX_ANSWER: usize = 1 << 20;
/// Texts asked for in one page of a list.
const PAGE: &str = "100";
/// Most pages of a list that are read.
const MAX_PAGES: usize = 5;
/// How much the carrier's clock and ours may differ, in seconds.
const SKEW: i64 = 5;

/// What a carrier is reached with.
pub struct Account {
    /// Name of the provider in the configuration.
    pub name: String,
    /// Where its API is: `https://api.twilio.com`.
    pub base: Url,
    /// The account.
    pub account_sid: String,
    /// User of HTTP Basic authentication: the account, or an API key.
    pub user: String,
    /// Its password: the auth token, or the key's secret.
    pub password: Zeroizing<String>,
    /// The sending number, or the `MG…` of a messaging service.
    pub from: String,
    /// Where our webhooks are seen from outside.
    pub public_url: Url,
    /// How long an answer is waited for.
    pub time_out: Duration,
    /// After how long what was sent is surely on the list.
    pub settle: Duration,
}

/// A client of the carrier.
pub struct Twilio {
    account: Account,
    client: Client,
}

#[derive(Deserialize)]
struct Text {
    sid: String,
    status: String,
    body: Option<String>,
    date_created: Option<String>,
    error_code: Option<i64>,
}

#[derive(Deserialize)]
struct Page {
    messages: Vec<Text>,
    next_page_uri: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    code: Option<i64>,
}

impl Twilio {
    /// A client.
    ///
    /// # Errors
    /// The platform cannot make an HTTP client.
    pub fn new(account: Account) -> Result<Self, reqwest::Error> {
        // An error says that the process has a default already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(account.time_out)
            .timeout(account.time_out)
            .build()?;
        Ok(Self { account, client })
    }

    fn messages(&self, rest: &str) -> Url {
        let mut url = self.account.base.clone();
        url.set_path(&format!(
            "/2010-04-01/Accounts/{}/Messages{rest}.json",
            self.account.account_sid
        ));
        url
    }

    async fn post(&self, text: &Outgoing<'_>) -> Result<String, SendError> {
        let sender = if self.account.from.starts_with("MG") {
            "MessagingServiceSid"
        } else {
            "From"
        };
        let callback =
            webhook::status_url(&self.account.public_url, &self.account.name, text.reference);
        let form = [
            ("To", text.to.expose()),
            (sender, &self.account.from),
            ("Body", text.text),
            ("StatusCallback", callback.as_str()),
        ];
        let request = self
            .client
            .post(self.messages(""))
            .basic_auth(&self.account.user, Some(self.account.password.as_str()))
            .form(&form);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return Err(SendError::NotTaken("no connection".to_owned()));
            }
            Err(error) => return Err(SendError::Unknown(plain(&error))),
        };
        let status = response.status();
        let body = read(response)
            .await
            .map_err(|error| SendError::Unknown(error.0))?;
        if status.is_success() {
            let taken: Text = serde_json::from_slice(&body)
                .map_err(|_| SendError::Unknown("an answer that is no message".to_owned()))?;
            return Ok(taken.sid);
        }
        Err(refusal(status, &body))
    }

    /// The texts on the list for this number with these words, since a second before the attempt.
    async fn list(
        &self,
        text: &Outgoing<'_>,
        since: i64,
    ) -> Result<Vec<(String, Delivery)>, NoAnswer> {
        let day = OffsetDateTime::from_unix_timestamp(since.saturating_sub(SKEW))
            .map_or(Date::MIN, OffsetDateTime::date);
        let mut url = self.messages("");
        url.query_pairs_mut()
            .append_pair("To", text.to.expose())
            .append_pair("DateSent>", &day.to_string())
            .append_pair("PageSize", PAGE);
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let page: Page = self.get(url.clone()).await?;
            for listed in page.messages {
                let created = listed
                    .date_created
                    .as_deref()
                    .and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
                let recent =
                    created.is_none_or(|date| date.unix_timestamp() >= since.saturating_sub(SKEW));
                if recent && listed.body.as_deref() == Some(text.text) {
                    let (delivery, _) = state(&listed.status, listed.error_code);
                    found.push((
                        created.map(OffsetDateTime::unix_timestamp),
                        listed.sid,
                        delivery,
                    ));
                }
            }
            let Some(next) = page.next_page_uri else {
                found.sort();
                return Ok(found
                    .into_iter()
                    .map(|(_, sid, delivery)| (sid, delivery))
                    .collect());
            };
            url = self
                .account
                .base
                .join(&next)
                .map_err(|_| NoAnswer("a next page that is no address".to_owned()))?;
        }
        Err(NoAnswer("more pages than are read".to_owned()))
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: Url) -> Result<T, NoAnswer> {
        // Only our own carrier gets our password, whatever a page says comes next.
        if url.origin() != self.account.base.origin() {
            return Err(NoAnswer("a page at another place".to_owned()));
        }
        let request = self
            .client
            .get(url)
            .basic_auth(&self.account.user, Some(self.account.password.as_str()));
        let response = request
            .send()
            .await
            .map_err(|error| NoAnswer(plain(&error)))?;
        let status = response.status();
        let body = read(response).await?;
        if !status.is_success() {
            return Err(NoAnswer(format!("status {}", status.as_u16())));
        }
        serde_json::from_slice(&body).map_err(|_| NoAnswer("an answer of another form".to_owned()))
    }
}

/// What went wrong, without the address asked, which may hold a number.
fn plain(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() {
        "no answer in time"
    } else {
        "the connection broke"
    };
    kind.to_owned()
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, NoAnswer> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| NoAnswer(plain(&error)))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(NoAnswer("an answer above the cap".to_owned()));
        }
    }
    Ok(body)
}

fn refusal(status: StatusCode, body: &[u8]) -> SendError {
    let code = serde_json::from_slice::<Refusal>(body)
        .ok()
        .and_then(|refusal| refusal.code);
    match status.as_u16() {
        // Too many requests, or our own credentials: the text was not looked at.
        429 | 401 | 403 => SendError::NotTaken(format!("status {}", status.as_u16())),
        400..=499 if code.is_some_and(|code| matches!(code, 20429 | 14107 | 63038)) => {
            SendError::NotTaken("over a rate limit".to_owned())
        }
        400..=499 => SendError::Refused(cause(code)),
        // A gateway in between may have passed the call on.
        _ => SendError::Unknown(format!("status {}", status.as_u16())),
    }
}

/// What a carrier's error code says of a number (Twilio's error and warning dictionary).
pub(crate) fn cause(code: Option<i64>) -> Cause {
    match code {
        // No valid number; no mobile; unreachable, unknown, or a landline.
        Some(21211 | 21217 | 21614 | 30003 | 30005 | 30006) => Cause::Number,
        Some(21610) => Cause::OptedOut,
        _ => Cause::Other,
    }
}

/// A message status of the API.
pub(crate) fn state(status: &str, error: Option<i64>) -> (Delivery, Cause) {
    let delivery = match status {
        "delivered" | "read" => Delivery::Delivered,
        "undelivered" | "failed" | "canceled" => Delivery::Failed,
        _ => Delivery::Sent,
    };
    (delivery, cause(error))
}

impl Provider for Twilio {
    fn name(&self) -> &str {
        &self.account.name
    }

    fn send<'a>(&'a self, text: &'a Outgoing<'a>) -> BoxFuture<'a, Result<String, SendError>> {
        self.post(text).boxed()
    }

    fn look_up<'a>(
        &'a self,
        text: &'a Outgoing<'a>,
        since: i64,
    ) -> BoxFuture<'a, Result<Found, NoAnswer>> {
        async move { Ok(Found::Texts(self.list(text, since).await?)) }.boxed()
    }

    fn status<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<(Delivery, Cause)>, NoAnswer>> {
        async move {
            let text: Text = self.get(self.messages(&format!("/{id}"))).await?;
            Ok(Some(state(&text.status, text.error_code)))
        }
        .boxed()
    }

    fn settle(&self) -> Duration {
        self.account.settle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_surely_not_taken_may_go_to_another_provider() {
        let refused = |status: u16, body: &str| {
            refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes())
        };
        assert!(matches!(
            refused(429, "{\"code\":20429}"),
            SendError::NotTaken(_)
        ));
        assert!(matches!(refused(401, ""), SendError::NotTaken(_)));
        assert_eq!(
            refused(400, "{\"code\":21211}"),
            SendError::Refused(Cause::Number)
        );
        assert_eq!(
            refused(400, "{\"code\":21610}"),
            SendError::Refused(Cause::OptedOut)
        );
        assert_eq!(refused(400, "no json"), SendError::Refused(Cause::Other));
        for status in [500, 502, 503, 504] {
            assert!(matches!(
                refused(status, "{\"code\":21211}"),
                SendError::Unknown(_)
            ));
        }
    }

    #[test]
    fn states_of_the_api_are_states_of_a_text() {
        for (status, delivery) in [
            ("accepted", Delivery::Sent),
            ("queued", Delivery::Sent),
            ("sending", Delivery::Sent),
            ("sent", Delivery::Sent),
            ("delivered", Delivery::Delivered),
            ("undelivered", Delivery::Failed),
            ("failed", Delivery::Failed),
        ] {
            assert_eq!(
                state(status, Some(30005)),
                (delivery, Cause::Number),
                "{status}"
            );
        }
    }
}
