//! What callers ask for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

use super::Service;
use crate::conversation::code::Code;
use crate::conversation::decision::{Closed, Decision};
use crate::rules::plan::DAY;
use crate::store::{
    Contact, ContactState, DecisionRow, Message, MessageState, NewDecision, NewMessage, StoreError,
    Write,
};
use crate::text::Template;
use crate::text::label::{LABEL_FIX, Label};

/// Longest decision id, handle or idempotency key, in bytes.
const MAX_ID_BYTES: usize = 128;
/// Furthest deadline, in seconds from now: 90 days, the longest life of a token.
const MAX_DEADLINE: i64 = 90 * 86_400;
/// Longest undo window, in seconds.
const MAX_UNDO: i64 = 86_400;
/// Most decisions that may be open on one phone: a household's.
const MAX_OPEN: usize = 5;

/// A request that was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A field that cannot be used.
    #[error("{field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A contact, message or decision that does not exist, or belongs to another caller.
    #[error("no such {0}")]
    Unknown(&'static str),
    /// At odds with what is stored.
    #[error("{problem}")]
    Conflict {
        /// Code of the problem's type.
        code: &'static str,
        /// What is at odds, and what to do.
        problem: &'static str,
    },
    /// Too often.
    #[error("{0}")]
    TooMany(&'static str),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Parameters of a template: a closed set, so that no text can carry what a caller makes up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamsRequest {
    /// USPS code of the state.
    pub jurisdiction: String,
    /// What a representative knows the person by, in a text to a representative: 1 to 12 letters, spaces and at most 2 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Between state and label where both are sealed; neither holds one.
pub(super) const BEFORE_LABEL: char = '\n';

impl ParamsRequest {
    /// What is sealed of them with a message.
    fn plain(&self) -> String {
        match &self.label {
            Some(label) => format!("{}{BEFORE_LABEL}{label}", self.jurisdiction),
            None => self.jurisdiction.clone(),
        }
    }
}

/// A text to send.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageRequest {
    /// The contact's handle.
    pub contact: String,
    /// A template for callers; see the crate's documentation.
    pub template: String,
    /// What it is filled in with.
    pub params: ParamsRequest,
    /// The decision it asks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
    /// The code word; picked by the notifier where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Until when an answer counts, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<i64>,
    /// How long a YES can be taken back, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_seconds: Option<i64>,
    /// One text per caller and key.
    pub idempotency_key: String,
}

/// A text that is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// The message.
    pub id: String,
    /// Where it stands.
    pub state: &'static str,
    /// The decision's code word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// 128 random bits.
pub(crate) fn random_id() -> String {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn field(field: &'static str, problem: &'static str) -> RequestError {
    RequestError::Field { field, problem }
}

fn check_id(name: &'static str, id: &str) -> Result<(), RequestError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    if id.is_empty() || id.len() > MAX_ID_BYTES || !id.bytes().all(plain) {
        return Err(field(name, "1 to 128 letters, digits, - _ . or :"));
    }
    Ok(())
}

impl Service {
    /// Queues a text.
    pub(crate) async fn request(
        &self,
        caller: &str,
        request: &MessageRequest,
    ) -> Result<Accepted, RequestError> {
        let template = check(request)?;
        let json = serde_json::to_string(request).map_err(|_| field("body", "not readable"))?;
        // Keyed: what a request says could be guessed from a plain hash.
        let digest = self.phones.digest("request", &json);
        let now = self.now();
        let mut write = self.store.write().await?;
        let contact = self
            .store
            .contact(&mut write, &request.contact)
            .await?
            .ok_or(RequestError::Unknown("contact"))?;
        let earlier = self
            .store
            .message_by_key(&mut write, caller, &request.idempotency_key)
            .await?;
        if let Some(message) = earlier {
            if message.request_digest != digest {
                return Err(RequestError::Conflict {
                    code: "idempotency-key",
                    problem: "this idempotency_key was used for another request; use a fresh one",
                });
            }
            drop(write);
            return self.accepted(&message).await;
        }
        if let Some(refusal) = self.unverified(&mut write, &contact, now).await? {
            write.commit().await?;
            self.queued.notify_one();
            return Err(refusal);
        }
        let mut code = None;
        let mut row = None;
        if template.asks() {
            let opened = self
                .open_decision(&mut write, caller, template, request, &contact, now)
                .await?;
            code = Some(opened.decision.code.to_string());
            row = Some(opened);
        }
        let id = random_id();
        let message = Message {
            sealed_params: self.phones.seal_text(&id, &request.params.plain()),
            caller: caller.to_owned(),
            request_digest: digest,
            decision_id: request.decision_id.clone(),
            state: if contact.blocked {
                MessageState::Blocked
            } else {
                MessageState::Queued
            },
            ..blank(id, &contact, template, now)
        };
        let new = NewMessage {
            message: &message,
            idempotency_key: &request.idempotency_key,
            due: now,
        };
        self.store.add_message(&mut write, &new).await?;
        if let Some(row) = row.filter(|_| !contact.blocked) {
            self.remind(&mut write, &contact, &row, now).await?;
        }
        write.commit().await?;
        self.queued.notify_one();
        Ok(Accepted {
            id: message.id,
            state: message.state.shown(),
            code,
        })
    }

    /// Why a contact may not be texted; a verification that is too old is asked for again.
    async fn unverified(
        &self,
        write: &mut Write,
        contact: &Contact,
        now: i64,
    ) -> Result<Option<RequestError>, StoreError> {
        let fresh = contact
            .verified_at
            .is_some_and(|at| at >= now - self.rules.reverify_days * DAY);
        Ok(Some(match contact.state {
            ContactState::Verified if fresh => return Ok(None),
            ContactState::Verified => {
                self.ask_to_verify(write, contact, now).await?;
                RequestError::Conflict {
                    code: "unverified",
                    problem: "the phone was verified too long ago; it has been asked again: try again when it has said YES",
                }
            }
            ContactState::Unverified => RequestError::Conflict {
                code: "unverified",
                problem: "the phone has not said YES to the verification text; try again when it has",
            },
            ContactState::Refused => RequestError::Conflict {
                code: "refused",
                problem: "the phone's owner is not this person",
            },
            ContactState::Suspended => RequestError::Conflict {
                code: "suspended",
                problem: "the number is out of service or somebody else's: register the person's present one",
            },
        }))
    }

    /// Queues the text that asks again, where there is time for one.
    async fn remind(
        &self,
        write: &mut Write,
        contact: &Contact,
        row: &DecisionRow,
        now: i64,
    ) -> Result<(), StoreError> {
        let before = self.rules.reminder_hours * 3600;
        let at = row.decision.deadline - before;
        if before <= 0 || at - now < before {
            return Ok(());
        }
        let key = format!("reminder:{}", row.decision_id);
        self.queue(write, contact, Template::Reminder, Some(row), &key, at)
            .await
    }

    /// Queues a text of the notifier's own; one per key.
    pub(super) async fn queue(
        &self,
        write: &mut Write,
        contact: &Contact,
        template: Template,
        about: Option<&DecisionRow>,
        key: &str,
        due: i64,
    ) -> Result<(), StoreError> {
        let id = random_id();
        let jurisdiction =
            about.and_then(|row| self.jurisdiction(&row.decision_id, &row.sealed_params));
        let message = Message {
            sealed_params: self
                .phones
                .seal_text(&id, jurisdiction.as_deref().unwrap_or_default()),
            decision_id: about.map(|row| row.decision_id.clone()),
            ..blank(id, contact, template, self.now())
        };
        let new = NewMessage {
            message: &message,
            idempotency_key: key,
            due,
        };
        self.store.add_message(write, &new).await?;
        Ok(())
    }

    async fn open_decision(
        &self,
        write: &mut Write,
        caller: &str,
        question: Template,
        request: &MessageRequest,
        contact: &Contact,
        now: i64,
    ) -> Result<DecisionRow, RequestError> {
        let decision_id = request.decision_id.clone().unwrap_or_default();
        let deadline = request.deadline.unwrap_or_default();
        if deadline <= now || deadline > now.saturating_add(MAX_DEADLINE) {
            return Err(field("deadline", "Unix seconds within the next 90 days"));
        }
        if self.store.decision(write, &decision_id).await?.is_some() {
            return Err(RequestError::Conflict {
                code: "decision-exists",
                problem: "a text asked about this decision_id already",
            });
        }
        let mut recent = self
            .store
            .recent_decisions(write, &contact.phone_index)
            .await?;
        for row in &mut recent {
            let before = row.decision.state;
            row.decision.settle(now);
            self.save(write, row, before, now).await?;
        }
        let open: Vec<&DecisionRow> = recent
            .iter()
            .filter(|row| row.decision.state.is_open())
            .collect();
        if open.len() >= MAX_OPEN
            || open
                .iter()
                .any(|row| row.contact == contact.id && row.decision.question != Template::Verify)
        {
            return Err(RequestError::Conflict {
                code: "open-decision",
                problem: "another decision is open; wait for its reply or its deadline",
            });
        }
        let taken: Vec<Code> = recent.into_iter().map(|row| row.decision.code).collect();
        let code = match &request.code {
            Some(code) => Code::parse(code)
                .filter(|code| !taken.contains(code))
                .ok_or(field(
                    "code",
                    "a letter and a digit that are hard to mistake, not used lately for this phone",
                ))?,
            None => Code::random(&taken),
        };
        let mut decision = Decision::new(
            question,
            code,
            deadline,
            request.undo_seconds.unwrap_or_default(),
        );
        if contact.blocked {
            decision.close(Closed::Stopped);
        }
        let row = DecisionRow {
            sealed_params: self
                .phones
                .seal_text(&decision_id, &request.params.jurisdiction),
            decision_id,
            caller: caller.to_owned(),
            contact: contact.id.clone(),
            decision,
        };
        let new = NewDecision {
            row: &row,
            phone_index: &contact.phone_index,
            now,
        };
        self.store.add_decision(write, &new).await?;
        Ok(row)
    }
}

/// A queued message of nobody and about nothing.
fn blank(id: String, contact: &Contact, template: Template, now: i64) -> Message {
    Message {
        id,
        caller: String::new(),
        request_digest: String::new(),
        contact: contact.id.clone(),
        phone_index: contact.phone_index.clone(),
        template,
        sealed_params: String::new(),
        decision_id: None,
        state: MessageState::Queued,
        reason: None,
        attempts: 0,
        looks: 0,
        provider: None,
        provider_id: None,
        attempted_at: None,
        created_at: now,
    }
}

fn check(request: &MessageRequest) -> Result<Template, RequestError> {
    check_id("contact", &request.contact)?;
    check_id("idempotency_key", &request.idempotency_key)?;
    let state = &request.params.jurisdiction;
    if state.len() != 2 || !state.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(field("params.jurisdiction", "a USPS code, such as CA"));
    }
    let template = Template::parse(&request.template)
        .filter(|template| template.is_for_callers())
        .ok_or(field(
            "template",
            "a template for callers, such as apply, filed or not_filed",
        ))?;
    match &request.params.label {
        Some(_) if !template.may_say_for_whom() => {
            return Err(field(
                "params.label",
                "leave it out: only a text to a representative says for whom it is",
            ));
        }
        Some(label) if Label::parse(label).is_none() => {
            return Err(field("params.label", LABEL_FIX));
        }
        _ => {}
    }
    if template.asks() {
        let id = request.decision_id.as_deref();
        check_id(
            "decision_id",
            id.ok_or(field("decision_id", "name the decision"))?,
        )?;
        if !(0..=MAX_UNDO).contains(&request.undo_seconds.unwrap_or_default()) {
            return Err(field("undo_seconds", "0 to 86400"));
        }
        if template.only_asks_whether_right() && request.undo_seconds.unwrap_or_default() != 0 {
            return Err(field(
                "undo_seconds",
                "nothing is done on a YES to change: leave it out",
            ));
        }
    } else if request.decision_id.is_some()
        || request.code.is_some()
        || request.deadline.is_some()
        || request.undo_seconds.is_some()
    {
        return Err(field(
            "template",
            "only a question has decision_id, code, deadline and undo_seconds",
        ));
    }
    Ok(template)
}
