//! A physician's practice, which is told that a patient's coverage flag has changed, and nothing of what it says.

use actix_web::http::StatusCode;
use oracles::http::{self, HttpError};
use oracles::problem::Problem;

use crate::config::BaseUrl;
use crate::notifier::Token;

/// Largest answer that is read, in bytes: it says nothing that is needed.
const MAX_ANSWER: usize = 16 << 10;

/// A client of one practice.
#[derive(Debug)]
pub(crate) struct Practice {
    http: reqwest::Client,
    name: String,
    url: BaseUrl,
    token: Token,
}

impl Practice {
    pub(crate) fn new(name: String, url: BaseUrl, token: Token) -> Self {
        Self {
            http: http::client(),
            name,
            url,
            token,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Tells it that the flag whose `Coverage` has this id is to be pulled again: a notification as of a FHIR R4 `Subscription`
    /// over a `rest-hook` without payload, whose endpoint ends in the id. The same once more does no harm.
    ///
    /// # Errors
    /// 503 when it cannot be reached or does not take it.
    pub(crate) async fn alert(&self, flag: &str) -> Result<(), Problem> {
        let request = self
            .http
            .post(self.url.endpoint(&format!("/{flag}")))
            .bearer_auth(self.token.0.as_str())
            .header("content-length", "0");
        match http::send(request, MAX_ANSWER).await {
            Ok(_) => Ok(()),
            // It does not look after this patient any more: there is nobody to tell.
            Err(HttpError::Problem(problem)) if matches!(problem.status, 404 | 410) => {
                tracing::info!(practice = self.name, "a practice does not know a flag");
                Ok(())
            }
            Err(error) => {
                tracing::warn!(practice = self.name, %error, "a practice did not take an alert");
                Err(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "practice-unavailable",
                    "The practice cannot be reached",
                    "it is told again later",
                ))
            }
        }
    }
}
