//! A client of one insurer: its published plans, and sealed exchanges with it.

use actix_web::http::StatusCode;
use contracts::encoding::Bytes32;
use contracts::gap::{Exchange, MAX_PLAN_FILE, PlanFile, Published, padded};
use ed25519_dalek::VerifyingKey;
use oracles::hpke::{self, NodeKeyPair, Sealed};
use oracles::http::{self, HttpError};
use oracles::problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::BaseUrl;

/// Largest sealed answer, in bytes.
const MAX_ANSWER: usize = 256 << 10;

/// An insurer.
#[derive(Debug)]
pub struct Insurer {
    http: reqwest::Client,
    audience: String,
    contract: String,
    url: BaseUrl,
    key: VerifyingKey,
}

/// What came of an exchange.
#[derive(Debug)]
pub(super) enum Exchanged<T> {
    /// The insurer's answer, which opened under the one-time key.
    Answer(T),
    /// It refuses this, whenever it is asked; its code.
    Refused(String),
}

impl Insurer {
    /// A client that believes what `key` signed only, of an insurer that sells on a YES of `contract`.
    pub fn new(audience: String, contract: String, url: BaseUrl, key: VerifyingKey) -> Self {
        Self {
            http: http::client(),
            audience,
            contract,
            url,
            key,
        }
    }

    /// Its registered id.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The contract on whose YES it sells.
    pub(super) fn contract(&self) -> &str {
        &self.contract
    }

    pub(super) fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Its plans and the key that requests are sealed to, as it publishes them now.
    ///
    /// # Errors
    /// 502 for what it did not sign or what is no plan file of its own; 503 when it cannot be reached.
    pub(super) async fn published(&self) -> Result<Published, Problem> {
        let request = self.http.get(self.url.endpoint("/v1/plans"));
        let published: Published = http::send_json(request, MAX_PLAN_FILE + 1024)
            .await
            .map_err(|error| self.unavailable(&error))?;
        if !published.verifies(&self.key) {
            return Err(self.refused("its plans are not signed by it"));
        }
        let json = serde_json::to_vec(&published.file).map_err(|_| Problem::internal())?;
        let file = PlanFile::parse(&json).map_err(|error| {
            tracing::warn!(insurer = self.audience, %error, "a plan file cannot be used");
            self.refused("its plan file cannot be used")
        })?;
        if file.insurer != self.audience {
            return Err(self.refused("its plan file is another insurer's"));
        }
        Ok(published)
    }

    /// Sends a sealed request and opens the answer.
    ///
    /// # Errors
    /// 502 for an answer that does not open or has another form; 503 when it cannot be reached or busy.
    pub(super) async fn exchange<A: Serialize, T: DeserializeOwned>(
        &self,
        exchange: Exchange,
        to: &Bytes32,
        reply: &NodeKeyPair,
        ask: &A,
    ) -> Result<Exchanged<T>, Problem> {
        let plain = padded(ask);
        let info = exchange.request_info(&self.audience);
        let sealed = hpke::seal(to, &info, &[], &plain)
            .map_err(|_| self.refused("its HPKE key cannot be used"))?;
        let request = self
            .http
            .post(self.url.endpoint(exchange.path()))
            .json(&sealed);
        let answer: Sealed = match http::send_json(request, MAX_ANSWER).await {
            Ok(answer) => answer,
            Err(HttpError::Problem(problem)) if is_refusal(problem.status) => {
                tracing::warn!(
                    insurer = self.audience,
                    code = problem.code(),
                    "an insurer refused"
                );
                let code = problem.code().chars().take(40).collect();
                return Ok(Exchanged::Refused(code));
            }
            Err(error) => return Err(self.unavailable(&error)),
        };
        let info = exchange.answer_info(&self.audience, &plain);
        let opened = reply
            .open(&info, &[], &answer)
            .map_err(|_| self.refused("its answer does not open"))?;
        serde_json::from_slice(&opened)
            .map(Exchanged::Answer)
            .map_err(|_| self.refused("its answer has another form"))
    }

    pub(super) fn refused(&self, why: &'static str) -> Problem {
        tracing::error!(
            why,
            insurer = self.audience,
            "an insurer's answer does not check out"
        );
        Problem::new(
            StatusCode::BAD_GATEWAY,
            "insurer-refused",
            "The insurer's answer does not check out",
            why,
        )
    }

    fn unavailable(&self, error: &HttpError) -> Problem {
        tracing::warn!(%error, insurer = self.audience, "an insurer did not answer as it should");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "insurer-unavailable",
            "The insurer cannot be reached",
            "nothing was lost: do the same again later",
        )
    }
}

/// Whether a status refuses what was asked, as opposed to this moment.
fn is_refusal(status: u16) -> bool {
    matches!(status, 400 | 403 | 404 | 409 | 410 | 413 | 422)
}
