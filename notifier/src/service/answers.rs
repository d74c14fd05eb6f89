//! What callers and operators may know: how messages fare, replies, events, dead letters.

use serde::Serialize;

use super::Service;
use super::requests::{Accepted, RequestError};
use crate::conversation::decision::{Closed, Decision, State};
use crate::signer::{self, SignedReply};
use crate::store::{Message, StoreError};

/// Most events or dead letters in one answer.
const PAGE: i64 = 100;

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

/// An event as callers get it.
#[derive(Debug, Serialize)]
pub(crate) struct EventView {
    seq: i64,
    at: i64,
    kind: String,
    subject: String,
    detail: String,
    /// The signed reply, where the event is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<SignedReply>,
}

/// A dead letter as operators get it.
#[derive(Debug, Serialize)]
pub(crate) struct DeadLetter {
    id: String,
    template: &'static str,
    /// `unknown`: somebody may have taken it. `exhausted`: nobody did. `sealed`: it does not open under the operator key.
    reason: Option<String>,
    provider: Option<String>,
    attempts: i64,
    created_at: i64,
}

impl Service {
    pub(super) async fn accepted(&self, message: &Message) -> Result<Accepted, RequestError> {
        let row = match &message.decision_id {
            Some(id) => self.store.read_decision(id).await?,
            None => None,
        };
        Ok(Accepted {
            id: message.id.clone(),
            state: message.state.shown(),
            code: row.map(|row| row.decision.code.to_string()),
        })
    }

    /// Where a caller's message stands.
    pub(crate) async fn message(&self, caller: &str, id: &str) -> Result<Accepted, RequestError> {
        let message = self
            .store
            .message(caller, id)
            .await?
            .ok_or(RequestError::Unknown("message"))?;
        self.accepted(&message).await
    }

    /// A decision's reply, as far as there is one.
    pub(crate) async fn reply(
        &self,
        caller: &str,
        decision_id: &str,
    ) -> Result<Reply, RequestError> {
        let row = self
            .store
            .read_decision(decision_id)
            .await?
            .filter(|row| row.caller == caller);
        let row = row.ok_or(RequestError::Unknown("decision"))?;
        let now = self.now();
        let mut settled = row.decision.clone();
        settled.settle(now);
        if settled.state != row.decision.state {
            settled = self.settle(decision_id, now).await?.unwrap_or(settled);
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

    /// Stores what time has made of a decision: what is said of it must not change after a restart with another clock.
    pub(super) async fn settle(
        &self,
        decision_id: &str,
        now: i64,
    ) -> Result<Option<Decision>, StoreError> {
        let mut write = self.store.write().await?;
        let Some(mut row) = self.store.decision(&mut write, decision_id).await? else {
            return Ok(None);
        };
        let before = row.decision.state;
        row.decision.settle(now);
        self.save(&mut write, &row, before, now).await?;
        write.commit().await?;
        Ok(Some(row.decision))
    }

    /// A caller's events after `after`.
    pub(crate) async fn events(
        &self,
        caller: &str,
        after: i64,
    ) -> Result<Vec<EventView>, RequestError> {
        let mut views = Vec::new();
        for event in self.store.events(caller, after, PAGE).await? {
            let reply = match event.kind.as_str() {
                "reply" => match self.reply(caller, &event.subject).await? {
                    Reply::Signed(reply) => Some(reply),
                    Reply::None | Reply::Closed(_) => None,
                },
                _ => None,
            };
            views.push(EventView {
                seq: event.seq,
                at: event.at,
                kind: event.kind,
                subject: event.subject,
                detail: event.detail,
                reply,
            });
        }
        Ok(views)
    }

    /// The oldest dead letters.
    pub(crate) async fn dead_letters(&self) -> Result<Vec<DeadLetter>, RequestError> {
        let messages = self.store.dead_letters(PAGE).await?;
        Ok(messages
            .into_iter()
            .map(|message| DeadLetter {
                template: message.template.name(),
                id: message.id,
                reason: message.reason,
                provider: message.provider,
                attempts: message.attempts,
                created_at: message.created_at,
            })
            .collect())
    }

    /// Sends a dead letter again.
    pub(crate) async fn replay(&self, id: &str) -> Result<(), RequestError> {
        let mut write = self.store.write().await?;
        if !self.store.replay(&mut write, id, self.now()).await? {
            return Err(RequestError::Unknown("dead letter"));
        }
        write.commit().await?;
        self.queued.notify_one();
        Ok(())
    }
}
