//! An agency, over its API: applications out, signed acceptances back.

use actix_web::http::StatusCode;
use contracts::application::Application;
use contracts::encoding::{Bytes, Bytes32};
use contracts::units::UnixTime;
use ed25519_dalek::{Signature, VerifyingKey};
use oracles::http::{self, HttpError};
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::config::BaseUrl;

/// Largest answer, in bytes.
const MAX_ANSWER: usize = 16 << 10;
/// Longest application id, in bytes.
const MAX_APPLICATION_ID: usize = 200;

/// The agency has the application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The agency's number for the application.
    pub application_id: String,
    /// `jti` of the token filed.
    pub jti: Bytes32,
    /// When it was accepted.
    pub accepted_at: UnixTime,
    /// Ed25519, by the agency's key, over [`Acceptance::message`].
    pub signature: Bytes<64>,
}

impl Acceptance {
    /// The bytes the agency signs.
    pub fn message(&self) -> String {
        format!(
            "shp/v1/acceptance\n{}\n{}\n{}",
            self.application_id, self.jti, self.accepted_at.0
        )
    }
}

/// What came of filing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filed {
    /// Accepted, under the agency's signature.
    Accepted(Acceptance),
    /// Refused for good; the code of the agency's problem.
    Refused(String),
}

/// A client of one agency.
#[derive(Debug)]
pub struct Agency {
    http: reqwest::Client,
    audience: String,
    url: BaseUrl,
    key: VerifyingKey,
}

impl Agency {
    /// A client that believes acceptances signed by `key` only.
    pub fn new(audience: String, url: BaseUrl, key: VerifyingKey) -> Self {
        Self {
            http: http::client(),
            audience,
            url,
            key,
        }
    }

    /// Its registered id.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Files an application. An agency files a `jti` once and answers a repetition as it did the first.
    ///
    /// # Errors
    /// 502 for an answer that the agency did not sign for this application; 503 when it cannot be reached or busy.
    pub async fn file(&self, jti: &Bytes32, application: &Application) -> Result<Filed, Problem> {
        let request = self
            .http
            .post(self.url.as_str())
            .header("idempotency-key", jti.to_string())
            .json(application);
        let acceptance: Acceptance = match http::send_json(request, MAX_ANSWER).await {
            Ok(acceptance) => acceptance,
            Err(HttpError::Problem(problem)) if is_refusal(problem.status) => {
                tracing::warn!(code = problem.code(), "the agency refused an application");
                return Ok(Filed::Refused(problem.code().chars().take(40).collect()));
            }
            Err(error @ HttpError::Json(_)) => {
                tracing::error!(%error, "the agency's answer is no acceptance");
                return Err(self.forged("it has another form"));
            }
            Err(error) => {
                tracing::warn!(%error, "the agency did not answer as it should");
                return Err(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "agency-unavailable",
                    "The agency cannot be reached",
                    "nothing was lost: advance the question again later",
                ));
            }
        };
        if acceptance.jti != *jti {
            return Err(self.forged("it is about another application"));
        }
        if acceptance.application_id.len() > MAX_APPLICATION_ID {
            return Err(self.forged("its application id is too long"));
        }
        let signature = Signature::from_bytes(&acceptance.signature.0);
        self.key
            .verify_strict(acceptance.message().as_bytes(), &signature)
            .map_err(|_| self.forged("its signature does not verify"))?;
        Ok(Filed::Accepted(acceptance))
    }

    fn forged(&self, why: &'static str) -> Problem {
        tracing::error!(why, agency = %self.audience, "an acceptance does not check out");
        Problem::new(
            StatusCode::BAD_GATEWAY,
            "acceptance-refused",
            "The agency's answer does not check out",
            why,
        )
    }
}

/// Whether a status refuses the application itself, as opposed to this moment.
fn is_refusal(status: u16) -> bool {
    matches!(status, 400 | 403 | 409 | 410 | 413 | 422)
}
