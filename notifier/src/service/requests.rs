//! What callers ask for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Service;
use crate::code::Code;
use crate::decision::{Closed, Decision, State};
use crate::phone::Phone;
use crate::signer::{self, SignedReply};
use crate::store::{
    Contact, DecisionRow, Message, MessageState, NewDecision, NewMessage, StoreError,
};
use crate::template::{Language, Template};

/// Longest decision id, handle or idempotency key, in bytes.
const MAX_ID_BYTES: usize = 128;
/// Furthest deadline, in seconds from now: 90 days, the longest life of a token.
const MAX_DEADLINE: i64 = 90 * 86_400;
/// Longest undo window, in seconds.
const MAX_UNDO: i64 = 86_400;

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
}

/// A text to send.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageRequest {
    /// The contact's handle.
    pub contact: String,
    /// `apply`, `filed` or `not_filed`.
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

/// A decision's reply, as far as there is one.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Nothing final yet.
    None,
    /// Answered for good.
    Signed(SignedReply),
    /// Ended without an answer.
    Closed(Closed),
}

/// 128 random bits.
pub(crate) fn random_id() -> String {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn field(field: &'static str, problem: &'static str) -> RequestError {
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
    /// Registers a phone under a fresh handle. The same phone gets another handle each time, so that two profiles of one
    /// household cannot be joined by it.
    pub(crate) async fn register(
        &self,
        phone: &str,
        language: &str,
    ) -> Result<String, RequestError> {
        let phone =
            Phone::parse(phone).ok_or(field("phone", "write E.164, such as +14155550132"))?;
        let language = Language::parse(language).ok_or(field("language", "en or es"))?;
        let id = random_id();
        let contact = Contact {
            phone_index: self.phones.index(&phone),
            sealed_phone: self.phones.seal(&id, &phone),
            id,
            language,
            blocked: false,
        };
        self.store.add_contact(&contact, self.now()).await?;
        Ok(contact.id)
    }

    /// Queues a text.
    pub(crate) async fn request(
        &self,
        caller: &str,
        request: &MessageRequest,
    ) -> Result<Accepted, RequestError> {
        let template = check(request)?;
        let json = serde_json::to_vec(request).map_err(|_| field("body", "not readable"))?;
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(json));
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
        let mut code = None;
        if template == Template::Apply {
            let row = self
                .open_decision(&mut write, caller, request, &contact, now)
                .await?;
            code = Some(row.decision.code.to_string());
        }
        let message = Message {
            id: random_id(),
            request_digest: digest,
            contact: contact.id,
            template,
            jurisdiction: Some(request.params.jurisdiction.clone()),
            decision_id: request.decision_id.clone(),
            state: if contact.blocked {
                MessageState::Blocked
            } else {
                MessageState::Queued
            },
            attempts: 0,
        };
        let new = NewMessage {
            message: &message,
            caller,
            idempotency_key: &request.idempotency_key,
            now,
        };
        self.store.add_message(&mut write, &new).await?;
        write.commit().await.map_err(StoreError::from)?;
        self.queued.notify_one();
        Ok(Accepted {
            id: message.id,
            state: message.state.shown(),
            code,
        })
    }

    async fn open_decision(
        &self,
        write: &mut crate::store::Write,
        caller: &str,
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
            if row.decision.state != before {
                self.store.save_decision(write, row).await?;
            }
            if matches!(row.decision.state, State::Open | State::Yes { .. }) {
                return Err(RequestError::Conflict {
                    code: "open-decision",
                    problem: "another decision is open for this phone; wait for its reply or its deadline",
                });
            }
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
        let row = DecisionRow {
            decision_id,
            caller: caller.to_owned(),
            contact: contact.id.clone(),
            jurisdiction: request.params.jurisdiction.clone(),
            decision: Decision {
                code,
                deadline,
                undo_seconds: request.undo_seconds.unwrap_or_default(),
                state: if contact.blocked {
                    State::Closed(Closed::Stopped)
                } else {
                    State::Open
                },
                wrong_codes: 0,
            },
        };
        let new = NewDecision {
            row: &row,
            phone_index: &contact.phone_index,
            now,
        };
        self.store.add_decision(write, &new).await?;
        Ok(row)
    }

    /// Where a caller's message stands.
    pub(crate) async fn message(&self, caller: &str, id: &str) -> Result<Accepted, RequestError> {
        let message = self.store.message(caller, id).await?;
        self.accepted(&message.ok_or(RequestError::Unknown("message"))?)
            .await
    }

    async fn accepted(&self, message: &Message) -> Result<Accepted, RequestError> {
        let code = match &message.decision_id {
            Some(id) => self
                .store
                .read_decision(id)
                .await?
                .map(|row| row.decision.code.to_string()),
            None => None,
        };
        Ok(Accepted {
            id: message.id.clone(),
            state: message.state.shown(),
            code,
        })
    }

    /// A decision's reply. What is signed has been stored before, so that the clock turning back cannot unsay it.
    pub(crate) async fn reply(
        &self,
        caller: &str,
        decision_id: &str,
    ) -> Result<Reply, RequestError> {
        let unknown = || RequestError::Unknown("decision");
        let row = self.store.read_decision(decision_id).await?;
        let row = row.filter(|row| row.caller == caller).ok_or_else(unknown)?;
        let mut settled = row.decision.clone();
        settled.settle(self.now());
        if settled != row.decision {
            let mut write = self.store.write().await?;
            // Its phone's lock first: a text that takes the YES back may be coming in this moment.
            self.store.contact(&mut write, &row.contact).await?;
            let mut row = self
                .store
                .decision(&mut write, decision_id)
                .await?
                .ok_or_else(unknown)?;
            row.decision.settle(self.now());
            self.store.save_decision(&mut write, &row).await?;
            write.commit().await.map_err(StoreError::from)?;
            settled = row.decision;
        }
        Ok(match settled.state {
            State::Open | State::Yes { .. } => Reply::None,
            State::Closed(closed) => Reply::Closed(closed),
            State::Final { answer, replied_at } => Reply::Signed(signer::sign(
                &self.signing_key,
                decision_id,
                answer,
                replied_at,
            )),
        })
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
        .ok_or(field("template", "apply, filed or not_filed"))?;
    if template == Template::Apply {
        let id = request.decision_id.as_deref();
        check_id(
            "decision_id",
            id.ok_or(field("decision_id", "name the decision"))?,
        )?;
        if !(0..=MAX_UNDO).contains(&request.undo_seconds.unwrap_or_default()) {
            return Err(field("undo_seconds", "0 to 86400"));
        }
    } else if request.decision_id.is_some()
        || request.code.is_some()
        || request.deadline.is_some()
        || request.undo_seconds.is_some()
    {
        return Err(field(
            "template",
            "only apply has decision_id, code, deadline and undo_seconds",
        ));
    }
    Ok(template)
}
