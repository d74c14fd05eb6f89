//! What the form asks of the notifier and the profile service.

use actix_web::http::StatusCode;
use contracts::encoding::Bytes32;
use oracles::http::{self, HttpError, MAX_RESPONSE_BYTES};
use oracles::problem::Problem;
use oracles::wire::enrol::{Recipient, seal_claims};
use serde::Deserialize;
use serde_json::json;

use super::config::{NavigatorConfig, ServiceConfig};
use super::form::Person;
use crate::api::types::{CreatedProfile, EnrolProfile, IDEMPOTENCY_KEY, Profile};
use crate::config::{BaseUrl, ConfigError};
use crate::notifier::Token;
use crate::oracle::random32;

/// A phone that was registered.
#[derive(Deserialize)]
pub(super) struct Contact {
    pub(super) contact: String,
    pub(super) recovery_code: String,
}

#[derive(Deserialize)]
struct Standing {
    state: String,
}

#[derive(Debug)]
struct Service {
    url: BaseUrl,
    token: Token,
}

impl Service {
    fn new(config: &ServiceConfig, field: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            url: config.url.clone(),
            token: Token(config.token.read(field)?),
        })
    }
}

/// Clients of both.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    profile: Service,
    notifier: Service,
    contract: String,
    identity: Vec<Recipient>,
}

impl Client {
    pub(super) fn new(config: &NavigatorConfig) -> Result<Self, ConfigError> {
        let mut identity = config.identity.clone();
        identity.sort_by_key(|member| member.node);
        Ok(Self {
            http: http::client(),
            profile: Service::new(&config.profile, "profile.token")?,
            notifier: Service::new(&config.notifier, "notifier.token")?,
            contract: config.contract.clone(),
            identity,
        })
    }

    /// Registers the phone, which is asked by text whether it is the person's.
    ///
    /// # Errors
    /// The notifier's, such as for a number that it does not text.
    pub(super) async fn register(&self, phone: &str, language: &str) -> Result<Contact, Problem> {
        let url = self.notifier.url.endpoint("/v1/contacts");
        let body = json!({"phone": phone, "language": language});
        let request = self
            .http
            .post(url)
            .bearer_auth(self.notifier.token.0.as_str());
        said(
            "the notifier",
            http::send_json(request.json(&body), MAX_RESPONSE_BYTES).await,
        )
    }

    /// `unverified` until the phone has said YES, then `verified`; `refused` after a NO.
    ///
    /// # Errors
    /// The notifier's.
    pub(super) async fn standing(&self, contact: &str) -> Result<String, Problem> {
        let url = self
            .notifier
            .url
            .endpoint(&format!("/v1/contacts/{contact}"));
        let request = self
            .http
            .get(url)
            .bearer_auth(self.notifier.token.0.as_str());
        let standing: Standing = said(
            "the notifier",
            http::send_json(request, MAX_RESPONSE_BYTES).await,
        )?;
        Ok(standing.state)
    }

    /// A new profile; the same `once` again is the same one.
    ///
    /// # Errors
    /// The service's, or that it wants claims sealed to other keys than those configured here.
    pub(super) async fn create(&self, once: &Bytes32) -> Result<CreatedProfile, Problem> {
        let url = self.profile.url.endpoint("/v1/profiles");
        let request = self
            .http
            .post(url)
            .bearer_auth(self.profile.token.0.as_str())
            .header(IDEMPOTENCY_KEY, once.to_string());
        let created: CreatedProfile = said(
            "the profile service",
            http::send_json(request, MAX_RESPONSE_BYTES).await,
        )?;
        let mut offered = created.enrolment.recipients.clone();
        offered.sort_by_key(|member| member.node);
        if offered != self.identity {
            tracing::error!(
                "the profile service wants claims sealed to other keys than those configured"
            );
            return Err(Problem::new(
                StatusCode::BAD_GATEWAY,
                "identity-keys",
                "Nothing was sent",
                "identity: the profile service names other oracles or keys than this form is configured with; tell your organisation",
            ));
        }
        Ok(created)
    }

    /// Seals what the person says and enrols them.
    ///
    /// # Errors
    /// The service's, such as `committee-refused`.
    pub(super) async fn enrol(
        &self,
        person: &Person,
        created: &CreatedProfile,
        contact: &str,
    ) -> Result<Profile, Problem> {
        let claims = person.claims(&created.enrolment);
        let sealed = seal_claims(&claims, &self.identity).map_err(|error| {
            tracing::error!(%error, "claims could not be sealed");
            Problem::internal()
        })?;
        let body = EnrolProfile {
            claims: sealed,
            contact: Some(contact.to_owned()),
            replaces: person.replaces,
        };
        let path = format!("/v1/profiles/{}/enrol", created.profile);
        let request = self
            .http
            .post(self.profile.url.endpoint(&path))
            .header(IDEMPOTENCY_KEY, random32().to_string())
            .bearer_auth(&created.owner_token)
            .json(&body);
        said(
            "the profile service",
            http::send_json(request, MAX_RESPONSE_BYTES).await,
        )
        .map_err(in_words)
    }

    /// Has cover looked after.
    ///
    /// # Errors
    /// The service's, such as for a state without the contract.
    pub(super) async fn look_after(
        &self,
        person: &Person,
        created: &CreatedProfile,
    ) -> Result<(), Problem> {
        let path = format!("/v1/profiles/{}/coverage", created.profile);
        let body = json!({"jurisdiction": person.state, "contract": self.contract});
        let request = self.http.put(self.profile.url.endpoint(&path)).json(&body);
        let request = request.bearer_auth(&created.owner_token);
        let answer = http::send(request, MAX_RESPONSE_BYTES).await;
        said("the profile service", answer.map(drop))
    }
}

/// What a refusal by the identity committee asks of whoever reads it; others stay as they are.
fn in_words(problem: Problem) -> Problem {
    let refused = problem.code() == "committee-refused";
    let code = problem.detail.rsplit(' ').next().unwrap_or_default();
    let (title, detail) = match code {
        "not-proofed" if refused => (
            "The records do not match",
            "SSN, name and date of birth are not those of one person on record: check them with the person, stop here, and fill in the form again",
        ),
        "enrolled" if refused => (
            "This person cannot be enrolled now",
            "somebody with this SSN is enrolled, or was begun a short time ago: what they took home then serves. If all of it is lost, stop here, and fill in the form again with the last box ticked",
        ),
        _ => return problem,
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    Problem::new(status, "committee-refused", title, detail)
}

/// What a service's answer comes to here.
fn said<T>(who: &str, answer: Result<T, HttpError>) -> Result<T, Problem> {
    answer.map_err(|error| match error {
        HttpError::Problem(problem) => *problem,
        error => {
            tracing::warn!(%error, who, "no usable answer");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "No answer",
                format!("{who} did not answer as it should; nothing was lost: try again"),
            )
        }
    })
}
