//! An agency, over its API: applications out, signed acceptances back.

use actix_web::http::StatusCode;
use contracts::application::Application;
use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::Jurisdiction;
use contracts::lifecycle::Notice;
use contracts::units::{Day, UnixTime};
use ed25519_dalek::{Signature, VerifyingKey};
use oracles::http::{self, HttpError};
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::config::BaseUrl;

/// Largest answer, in bytes.
const MAX_ANSWER: usize = 16 << 10;
/// Longest application id, in bytes.
const MAX_APPLICATION_ID: usize = 200;
/// Largest page of statements, in bytes.
const MAX_STATEMENTS: usize = 64 << 10;

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

/// What an agency is told about a case it keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusNotice {
    /// What.
    pub notice: Notice,
    /// The decision that it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What an agency says about an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum What {
    /// Covered.
    Accepted {
        /// First covered day.
        from: Day,
        /// Last day of the certification period, where told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        period_end: Option<Day>,
    },
    /// Not covered.
    Denied,
    /// Something is missing.
    InfoRequested {
        /// Last day to give it.
        until: Day,
    },
    /// The case stays open in spite of a notice.
    Kept,
    /// A person reviewed the change that the owner disputes.
    Reviewed {
        /// Whether the owner was right.
        upheld: bool,
    },
    /// Cover may not be ended for a change before a day: continuous eligibility (42 CFR 435.926, 435.170), transitional medical
    /// assistance (435.112).
    Protected {
        /// The last day.
        until: Day,
    },
    /// The case is closed.
    Closed {
        /// First day that is not covered.
        on: Day,
    },
    /// The agency has facts that confirm the owner's death (42 CFR 431.213(a)).
    Died {
        /// The day.
        on: Day,
    },
    /// They were wrong: the owner lives.
    Lives,
}

/// A statement, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Its place among the application's statements, from 1.
    pub number: u64,
    /// The application.
    pub application_id: String,
    /// What it says.
    #[serde(flatten)]
    pub what: What,
    /// Ed25519, by the agency's key, over [`Statement::message`].
    pub signature: Bytes<64>,
}

impl Statement {
    /// The bytes the agency signs.
    ///
    /// # Panics
    /// Never: a statement is plain JSON.
    pub fn message(&self) -> String {
        let what = contracts::encoding::to_jcs(&self.what).expect("plain JSON");
        format!(
            "shp/v1/statement\n{}\n{}\n{}",
            self.application_id,
            self.number,
            String::from_utf8_lossy(&what)
        )
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statements {
    statements: Vec<Statement>,
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
    jurisdiction: Option<Jurisdiction>,
    url: BaseUrl,
    key: VerifyingKey,
}

impl Agency {
    /// A client that believes acceptances signed by `key` only.
    pub fn new(
        audience: String,
        jurisdiction: Option<Jurisdiction>,
        url: BaseUrl,
        key: VerifyingKey,
    ) -> Self {
        Self {
            http: http::client(),
            audience,
            jurisdiction,
            url,
            key,
        }
    }

    /// Its registered id.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The state whose cases it keeps.
    pub fn jurisdiction(&self) -> Option<Jurisdiction> {
        self.jurisdiction
    }

    /// Tells it something about the case of an application. The same key again is the same notice. One that it refuses for good is
    /// not sent again.
    ///
    /// # Errors
    /// 503 when it cannot be reached or busy.
    pub async fn tell(
        &self,
        application: &str,
        key: &Bytes32,
        notice: &StatusNotice,
    ) -> Result<(), Problem> {
        let request = self
            .http
            .post(self.url.endpoint(&format!("/{application}/notices")))
            .header("idempotency-key", key.to_string())
            .json(notice);
        match http::send_json::<serde_json::Value>(request, MAX_ANSWER).await {
            Ok(_) => Ok(()),
            // One that says it does not know the application any more has no case to be told of; a gateway's 404 says nothing.
            Err(HttpError::Problem(problem))
                if is_refusal(problem.status)
                    || (problem.status == 404 && problem.kind != "about:blank") =>
            {
                tracing::error!(code = problem.code(), "the agency refused a notice");
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "the agency did not take a notice");
                Err(unavailable())
            }
        }
    }

    /// What it has said about an application after a number, oldest first, each under its signature.
    ///
    /// # Errors
    /// 502 for a statement that it did not sign for this application; 503 when it cannot be reached.
    pub async fn statements(
        &self,
        application: &str,
        after: u64,
    ) -> Result<Vec<Statement>, Problem> {
        let path = format!("/{application}/statements?after={after}");
        let request = self.http.get(self.url.endpoint(&path));
        let answer: Statements = match http::send_json(request, MAX_STATEMENTS).await {
            Ok(answer) => answer,
            Err(error @ HttpError::Json(_)) => {
                tracing::error!(%error, "the agency's statements have another form");
                return Err(self.forged("it has another form"));
            }
            Err(error) => {
                tracing::warn!(%error, "the agency did not answer as it should");
                return Err(unavailable());
            }
        };
        let mut last = after;
        for statement in &answer.statements {
            if statement.application_id != application {
                return Err(self.forged("it is about another application"));
            }
            if statement.number <= last {
                return Err(self.forged("its statements are out of order"));
            }
            last = statement.number;
            let signature = Signature::from_bytes(&statement.signature.0);
            self.key
                .verify_strict(statement.message().as_bytes(), &signature)
                .map_err(|_| self.forged("a statement's signature does not verify"))?;
        }
        Ok(answer.statements)
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
                return Err(unavailable());
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

fn unavailable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "agency-unavailable",
        "The agency cannot be reached",
        "nothing was lost: advance the question again later",
    )
}

/// Whether a status refuses the application itself, as opposed to this moment.
fn is_refusal(status: u16) -> bool {
    matches!(status, 400 | 403 | 409 | 410 | 413 | 422)
}
