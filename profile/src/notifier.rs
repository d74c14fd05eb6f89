//! The notifier, over its API: texts that ask or tell, and replies that it signs.

use std::time::Duration;

use actix_web::http::StatusCode;
use contracts::application::{Answer, Approval};
use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::Jurisdiction;
use contracts::token::MAX_SKEW;
use contracts::units::UnixTime;
use ed25519_dalek::VerifyingKey;
use oracles::http::{self, HttpError};
use oracles::problem::Problem;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::BaseUrl;
use crate::grant::Label;

/// Largest answer, in bytes.
const MAX_ANSWER: usize = 16 << 10;
/// Largest answer that holds events, in bytes: a hundred of them.
const MAX_EVENTS: usize = 128 << 10;
/// How long after what it tells a text is still worth sending, in seconds: two weeks.
const NEWS: i64 = 14 * 86_400;
/// The notifier's code for a phone that has not said YES to its own question.
pub(crate) const UNVERIFIED: &str = "unverified";
/// Time beyond the long poll's own wait.
const SLACK: Duration = Duration::from_secs(10);

/// Which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// Asks whether to apply.
    Apply,
    /// Asks whether to apply in the state moved to.
    Move,
    /// Asks whether to renew.
    Renew,
    /// Tells of a change that may end cover, and asks whether it is right.
    Change,
    /// Asks whether to take a gap policy.
    Gap,
    /// Tells that the agency accepted.
    Accepted,
    /// Tells that it denied.
    Refusal,
    /// Tells that the owner does not qualify now.
    NotEligible,
    /// Tells that something is missing.
    NeedsInfo,
    /// Tells that the agency asks for a form.
    Show,
    /// Tells that cover ends.
    Ending,
    /// Tells that the agency is late.
    Overdue,
    /// Names what is free, before a policy is offered.
    Free,
    /// As `Free`, for somebody who may use the Marketplace.
    FreeMarket,
    /// Tells that a gap policy is in force.
    GapBegins,
    /// Tells that it ends, because Medicaid covers.
    GapEnds,
    /// Tells that none was found.
    NoGap,
    /// As `Apply`, of a representative.
    ApplyFor,
    /// As `Move`, of a representative.
    MoveFor,
    /// As `Renew`, of a representative.
    RenewFor,
    /// As `Change`, of a representative.
    ChangeFor,
    /// As `Gap`, of a representative.
    GapFor,
    /// Asks the owner whether somebody may act for them.
    Designate,
    /// Asks a representative whether they will act, and keep confidential what they learn.
    Represent,
    /// Tells the owner that somebody may act for them now.
    GrantGiven,
    /// Tells the owner that somebody did.
    GrantUsed,
    /// Tells the owner that somebody may not any more.
    GrantEnded,
    /// Tells a representative that their replies count no more.
    GrantOver,
    /// Tells a representative that there is something to hear.
    News,
    /// Tells that records are watched for changes from now on.
    WatchBegins,
    /// Tells that the owner's agreement to it ends soon.
    WatchEnding,
    /// Tells that it has ended.
    WatchEnded,
    /// Tells that the agency has the application.
    Filed,
    /// Tells that it was not filed.
    NotFiled,
}

impl Template {
    /// The words for somebody who is asked in the owner's place.
    pub(crate) fn of_a_representative(self) -> Self {
        match self {
            Self::Apply => Self::ApplyFor,
            Self::Move => Self::MoveFor,
            Self::Renew => Self::RenewFor,
            Self::Change => Self::ChangeFor,
            Self::Gap => Self::GapFor,
            other => other,
        }
    }
}

/// What a text may say: nothing about health or income.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The state applied in.
    pub jurisdiction: Jurisdiction,
    /// What a representative knows the person by, in a text to that representative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
}

/// A text to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The notifier's opaque contact handle.
    pub contact: String,
    /// Which text.
    pub template: Template,
    /// What it says.
    pub params: Params,
    /// The decision it asks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<Bytes32>,
    /// Until when the owner may reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<UnixTime>,
    /// How long a YES can be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_seconds: Option<u32>,
    /// The same text again is sent once.
    pub idempotency_key: String,
}

/// What is known of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The owner's answer, signed by the notifier.
    Answered(Approval),
    /// None yet, or a YES that can still be taken back.
    Waiting,
    /// The notifier closed the question without an answer; why, in its words.
    Closed(String),
}

impl Reply {
    /// Whether it closed because somebody replied WRONG.
    pub(crate) fn is_disputed(&self) -> bool {
        matches!(self, Self::Closed(why) if why == "disputed")
    }
}

/// Something that happened at the notifier.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// Its number, one more than the one before.
    pub seq: i64,
    /// When it happened.
    pub at: UnixTime,
    /// `reply`, `closed`, `dispute`, `late`, `message` or `contact`.
    pub kind: String,
    /// The decision, message or contact.
    pub subject: String,
    /// The answer, reason or state.
    pub detail: String,
}

#[derive(Deserialize)]
struct WireEvents {
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireReply {
    decision_id: Bytes32,
    answer: Answer,
    replied_at: UnixTime,
    signature: Bytes<64>,
}

/// A client of the notifier.
#[derive(Debug)]
pub struct Notifier {
    http: reqwest::Client,
    url: BaseUrl,
    token: Token,
    key: VerifyingKey,
}

/// A bearer token that this service shows; never logged.
pub(crate) struct Token(pub(crate) Zeroizing<String>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

fn unavailable(error: &HttpError) -> Problem {
    tracing::warn!(%error, "the notifier did not answer as it should");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "notifier-unavailable",
        "The notifier cannot be reached",
        "nothing was lost: advance the question again later",
    )
}

/// Whether a text that only tells needs no second try: the phone is not theirs any more or never was known, was told under the
/// same key, or cannot be told this.
fn is_final(problem: &Problem) -> bool {
    matches!(
        problem.code(),
        "refused" | "suspended" | "idempotency-key" | "not-found" | "field"
    )
}

fn forged(why: &'static str) -> Problem {
    tracing::error!(
        why,
        "the notifier's reply is not what it should have signed"
    );
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "reply-refused",
        "The notifier's reply does not check out",
        why,
    )
}

impl Notifier {
    /// A client that believes replies signed by `key` only.
    pub fn new(url: BaseUrl, token: Zeroizing<String>, key: VerifyingKey) -> Self {
        Self {
            http: http::client(),
            url,
            token: Token(token),
            key,
        }
    }

    /// Hands over a text that only tells of what happened at `since`. A phone that is somebody else's or out of service is told
    /// nothing, and one that is not verified nothing that is two weeks old.
    ///
    /// # Errors
    /// 503 `notifier-unavailable`; 409 `unverified` until then.
    pub async fn tell(&self, text: &Text, since: UnixTime, now: UnixTime) -> Result<(), Problem> {
        let is_old = now.0 > since.0.saturating_add(NEWS);
        match self.send(text).await {
            Err(problem) if is_final(&problem) || problem.code() == UNVERIFIED && is_old => {
                tracing::warn!(code = problem.code(), "a text was not taken");
                Ok(())
            }
            other => other,
        }
    }

    /// Hands a text over. The notifier sends it once however often it is handed over.
    ///
    /// # Errors
    /// 409 `open-decision` and whatever else the notifier says of the text itself, by its code; 503 `notifier-unavailable` for
    /// what it says of this moment.
    pub async fn send(&self, text: &Text) -> Result<(), Problem> {
        let request = self
            .http
            .post(self.url.endpoint("/v1/messages"))
            .bearer_auth(self.token.0.as_str())
            .json(text);
        match http::send_json::<serde_json::Value>(request, MAX_ANSWER).await {
            Ok(_) => Ok(()),
            Err(HttpError::Problem(problem)) if matches!(problem.status, 404 | 409 | 422) => {
                let detail = match problem.code() {
                    "open-decision" => {
                        "another decision of this person is open: finish it first, then advance again"
                    }
                    UNVERIFIED => {
                        "the phone has not said YES to the verification text: advance again when it has"
                    }
                    "refused" | "suspended" => {
                        "the phone is not this person's, or out of service: register another one"
                    }
                    _ => "the notifier refused the text",
                };
                Err(Problem::conflict(problem.code(), detail))
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Takes a question back, so that another can be asked; one that was answered for good stays answered.
    ///
    /// # Errors
    /// 503 `notifier-unavailable`.
    pub async fn withdraw(&self, decision: &Bytes32) -> Result<(), Problem> {
        let request = self
            .http
            .delete(self.url.endpoint(&format!("/v1/replies/{decision}")))
            .bearer_auth(self.token.0.as_str());
        let response = request
            .send()
            .await
            .map_err(|error| unavailable(&error.into()))?;
        let status = response.status().as_u16();
        match status {
            // One that the notifier never heard of needs no taking back.
            204 | 404 => Ok(()),
            _ => {
                let body = http::read_capped(response, MAX_ANSWER).await;
                let body = body.map_err(|error| unavailable(&error))?;
                let problem = Problem::from_response(status, &body);
                Err(unavailable(&HttpError::Problem(Box::new(problem))))
            }
        }
    }

    /// Waits up to `wait` for the reply about one decision; believes what the notifier signed for it, and nothing else.
    ///
    /// `issued` is the instant of the decision, before which there is no reply to it.
    ///
    /// # Errors
    /// 502 `reply-refused` for a reply about another decision, with a wrong signature or at an impossible time; 503.
    pub async fn reply(
        &self,
        decision: &Bytes32,
        wait: Duration,
        issued: UnixTime,
        now: impl Fn() -> UnixTime,
    ) -> Result<Reply, Problem> {
        let path = format!("/v1/replies/{decision}?wait={}", wait.as_secs());
        let request = self
            .http
            .get(self.url.endpoint(&path))
            .timeout(wait + SLACK)
            .bearer_auth(self.token.0.as_str());
        let response = request
            .send()
            .await
            .map_err(|error| unavailable(&error.into()))?;
        let status = response.status().as_u16();
        let body = http::read_capped(response, MAX_ANSWER)
            .await
            .map_err(|error| unavailable(&error))?;
        match status {
            200 => {
                let reply: WireReply =
                    serde_json::from_slice(&body).map_err(|_| forged("it has another form"))?;
                self.check(decision, reply, issued, now())
                    .map(Reply::Answered)
            }
            204 => Ok(Reply::Waiting),
            410 => {
                let problem = Problem::from_response(status, &body);
                Ok(Reply::Closed(problem.code().chars().take(40).collect()))
            }
            _ => Err(unavailable(&HttpError::Problem(Box::new(
                Problem::from_response(status, &body),
            )))),
        }
    }

    /// The key that it signs with.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The events after one, in order and without gaps; waits up to `wait` for the first.
    ///
    /// A reply in an event is not looked at: [`Notifier::reply`] fetches it, with its signature.
    ///
    /// # Errors
    /// 502 `events-refused` for events that do not follow each other; 503.
    pub async fn events(&self, after: i64, wait: Duration) -> Result<Vec<Event>, Problem> {
        let path = format!("/v1/events?after={after}&wait={}", wait.as_secs());
        let request = self
            .http
            .get(self.url.endpoint(&path))
            .timeout(wait + SLACK)
            .bearer_auth(self.token.0.as_str());
        let WireEvents { events } = http::send_json(request, MAX_EVENTS)
            .await
            .map_err(|error| unavailable(&error))?;
        for (event, expected) in events.iter().zip(after.saturating_add(1)..) {
            if event.seq != expected {
                tracing::error!(
                    expected,
                    seq = event.seq,
                    "an event is missing or out of order"
                );
                return Err(Problem::new(
                    StatusCode::BAD_GATEWAY,
                    "events-refused",
                    "The notifier's events do not follow each other",
                    "an event is missing or out of order: nothing of it was taken in",
                ));
            }
        }
        Ok(events)
    }

    fn check(
        &self,
        decision: &Bytes32,
        reply: WireReply,
        issued: UnixTime,
        now: UnixTime,
    ) -> Result<Approval, Problem> {
        if reply.decision_id != *decision {
            return Err(forged("it is about another decision"));
        }
        let approval = Approval {
            decision_id: reply.decision_id,
            answer: reply.answer,
            replied_at: reply.replied_at,
            notifier_signature: reply.signature,
        };
        if !approval.verifies(&self.key) {
            return Err(forged("its signature does not verify"));
        }
        let at = approval.replied_at.0;
        if at < issued.0 - MAX_SKEW || at > now.0 + MAX_SKEW {
            return Err(forged("its time is before the decision or in the future"));
        }
        Ok(approval)
    }
}
