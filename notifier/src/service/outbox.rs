//! The worker that hands queued texts to the gateway.

use std::sync::Arc;
use std::time::Duration;

use super::Service;
use crate::decision::{Closed, State};
use crate::gateway::{GatewayError, Outgoing};
use crate::store::{Contact, Message, MessageState, StoreError};
use crate::template::{Params, Template, render};

/// How often the outbox is looked at when nothing rings.
const TICK: Duration = Duration::from_millis(250);
/// How long the gateway is waited for.
const GATEWAY_TIME_OUT: Duration = Duration::from_secs(15);
/// How long a claimed message is left to its sender, seconds.
const LEASE: i64 = 30;
/// Times a message is handed over before it fails.
const MAX_ATTEMPTS: i64 = 8;
/// Longest wait between attempts, seconds.
const MAX_BACKOFF: i64 = 300;

/// Sends until aborted.
pub(super) async fn run(service: Arc<Service>) {
    loop {
        match service.send_next().await {
            Ok(true) => {}
            Ok(false) => {
                // Woken early or not, the outbox itself says what is due.
                let _ = tokio::time::timeout(TICK, service.queued.notified()).await;
            }
            Err(error) => {
                tracing::error!(%error, "the outbox");
                tokio::time::sleep(TICK).await;
            }
        }
    }
}

impl Service {
    /// Sends the next due message; false if none is.
    async fn send_next(&self) -> Result<bool, StoreError> {
        let now = self.now();
        let Some(message) = self.store.claim(now, LEASE).await? else {
            return Ok(false);
        };
        let mut write = self.store.write().await?;
        let contact = self.store.contact(&mut write, &message.contact).await?;
        let contact = contact.ok_or(StoreError::Damaged("message.contact"))?;
        let row = match &message.decision_id {
            Some(id) => self.store.decision(&mut write, id).await?,
            None => None,
        };
        let decision = row.map(|row| row.decision);
        write.commit().await?;

        if contact.blocked && !message.template.reaches_blocked() {
            self.end(&message, MessageState::Blocked, Closed::Stopped)
                .await?;
            return Ok(true);
        }
        let overdue = decision
            .as_ref()
            .is_some_and(|decision| now > decision.deadline);
        if message.template == Template::Apply && overdue {
            self.end(&message, MessageState::Expired, Closed::Expired)
                .await?;
            return Ok(true);
        }
        let text = render(
            message.template,
            contact.language,
            &Params {
                jurisdiction: message.jurisdiction.as_deref(),
                code: decision.as_ref().map(|decision| &decision.code),
                deadline: decision.as_ref().map(|decision| decision.deadline),
                undo_seconds: decision.as_ref().map(|decision| decision.undo_seconds),
                help: &self.help_line,
                now,
            },
        );
        match self.hand_over(&message, &contact, &text).await {
            Ok(()) => self.sent(&message).await?,
            Err(GatewayError::Temporary(problem)) if message.attempts < MAX_ATTEMPTS => {
                tracing::warn!(
                    message = message.id,
                    problem,
                    "the gateway did not take a text; it is tried again"
                );
                let wait = 1_i64
                    .checked_shl(u32::try_from(message.attempts).unwrap_or(16))
                    .unwrap_or(MAX_BACKOFF);
                self.store
                    .retry_at(&message.id, now.saturating_add(wait.min(MAX_BACKOFF)))
                    .await?;
            }
            Err(problem) => {
                tracing::error!(message = message.id, %problem, "a text failed");
                self.end(&message, MessageState::Failed, Closed::Failed)
                    .await?;
            }
        }
        Ok(true)
    }

    async fn hand_over(
        &self,
        message: &Message,
        contact: &Contact,
        text: &str,
    ) -> Result<(), GatewayError> {
        let to = self
            .phones
            .open(&contact.id, &contact.sealed_phone)
            .map_err(|error| GatewayError::Permanent(error.to_string()))?;
        let outgoing = Outgoing {
            reference: &message.id,
            to: &to,
            text,
        };
        tokio::time::timeout(GATEWAY_TIME_OUT, self.gateway.send(&outgoing))
            .await
            .unwrap_or_else(|_| Err(GatewayError::Temporary("no answer in time".to_owned())))
    }

    /// Notes that a text left; a text that tells of the undo window starts it.
    async fn sent(&self, message: &Message) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        self.store.contact(&mut write, &message.contact).await?;
        self.store
            .advance(&mut write, &message.id, MessageState::Sent)
            .await?;
        if matches!(message.template, Template::Confirm | Template::StoppedYes)
            && let Some(id) = &message.decision_id
            && let Some(mut row) = self.store.decision(&mut write, id).await?
        {
            row.decision.confirmed(self.now());
            self.store.save_decision(&mut write, &row).await?;
        }
        Ok(write.commit().await?)
    }

    /// Notes that a text will not leave; a decision that hangs on it ends without an answer.
    async fn end(
        &self,
        message: &Message,
        state: MessageState,
        why: Closed,
    ) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        self.store.contact(&mut write, &message.contact).await?;
        let moved = self.store.advance(&mut write, &message.id, state).await?;
        // A text that arrived after all, or ended before, ends nothing now.
        if moved
            && let Some(id) = &message.decision_id
            && let Some(mut row) = self.store.decision(&mut write, id).await?
        {
            let hangs = match message.template {
                Template::Apply => row.decision.state == State::Open,
                // Nobody was told of the window. (Where the phone is blocked, the answer to the STOP tells of it.)
                Template::Confirm => {
                    state == MessageState::Failed && matches!(row.decision.state, State::Yes { .. })
                }
                _ => false,
            };
            if hangs {
                row.decision.state = State::Closed(why);
                self.store.save_decision(&mut write, &row).await?;
            }
        }
        Ok(write.commit().await?)
    }

    /// A delivery receipt from the gateway.
    pub(crate) async fn receipt(&self, reference: &str, delivered: bool) -> Result<(), StoreError> {
        let Some(message) = self.store.message_by_id(reference).await? else {
            return Ok(());
        };
        if !delivered {
            return self
                .end(&message, MessageState::Failed, Closed::Failed)
                .await;
        }
        let mut write = self.store.write().await?;
        self.store
            .advance(&mut write, reference, MessageState::Delivered)
            .await?;
        Ok(write.commit().await?)
    }
}
