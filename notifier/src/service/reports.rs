//! What becomes of a text: taken, delivered, failed, dead; and what that does to its decision, its contact and its caller.

use super::Service;
use crate::conversation::decision::{Closed, State};
use crate::provider::{Cause, Delivery, Incoming};
use crate::store::{ContactState, DecisionRow, Message, MessageState, NewEvent, StoreError, Write};
use crate::text::Template;

impl Service {
    /// Takes in what a provider says.
    ///
    /// # Errors
    /// The database's, or a report about a text that is not known yet; the provider then says it again.
    pub(crate) async fn hear(&self, incoming: &Incoming) -> Result<(), StoreError> {
        match incoming {
            Incoming::Text {
                id,
                from,
                text,
                answered,
            } => self.receive(id.as_deref(), from, text, *answered).await,
            Incoming::Segment {
                provider,
                from,
                segment,
            } => self.receive_segment(provider, from, segment).await,
            Incoming::Report { .. } => self.report(incoming).await,
        }
    }

    async fn report(&self, report: &Incoming) -> Result<(), StoreError> {
        let Incoming::Report {
            provider,
            reference,
            provider_id,
            to,
            delivery,
            cause,
        } = report
        else {
            return Ok(());
        };
        let now = self.now();
        let mut write = self.store.write().await?;
        let by_id = match provider_id {
            Some(id) => {
                self.store
                    .message_of_provider(&mut write, provider, id)
                    .await?
            }
            None => None,
        };
        let by_reference = match reference {
            Some(reference) => self.store.message_by_id(&mut write, reference).await?,
            None => None,
        };
        let by_number = match to {
            // The text that is being handed over to this phone, whose id nobody has noted yet.
            Some(phone) => {
                self.store
                    .unresolved(&mut write, provider, &self.phones.index(phone))
                    .await?
            }
            None => None,
        };
        let Some(message) = by_id.or(by_reference).or(by_number) else {
            return Ok(());
        };
        // A second text under one reference would have another id: its reports are not the first one's.
        let other =
            matches!((&message.provider_id, provider_id), (Some(known), Some(id)) if known != id);
        if other {
            tracing::warn!(
                text = message.id,
                provider,
                "a report about another text of the same reference"
            );
            return Ok(());
        }
        // Before anything else, as whoever hears a text does: two that wait for each other would both lose.
        self.store
            .lock_phone(&mut write, &message.phone_index)
            .await?;
        let taken = provider_id.as_deref().map(|id| (provider.as_str(), id));
        self.progress(&mut write, &message, taken, *delivery, *cause, now)
            .await?;
        write.commit().await?;
        self.queued.notify_one();
        Ok(())
    }

    /// Moves a text on as far as a provider says; what was heard before, or is behind, changes nothing. Its phone is locked already.
    pub(super) async fn progress(
        &self,
        write: &mut Write,
        message: &Message,
        taken: Option<(&str, &str)>,
        delivery: Delivery,
        cause: Cause,
        now: i64,
    ) -> Result<(), StoreError> {
        if let Some((provider, id)) = taken {
            self.store
                .taken(write, &message.id, provider, id, now)
                .await?;
        }
        let (state, reason, due) = match delivery {
            Delivery::Sent => (
                MessageState::Sent,
                None,
                now + self.retry.receipt_wait_seconds,
            ),
            Delivery::Delivered => (MessageState::Delivered, None, 0),
            Delivery::Failed => return self.failed(write, message, cause, now).await,
        };
        if !self
            .store
            .advance(write, &message.id, state, reason, due)
            .await?
        {
            return Ok(());
        }
        self.metrics.text(message.template, state);
        if state == MessageState::Delivered {
            self.tell_of(write, message, state, now).await?;
        }
        // The texts that tell of the undo window start it, when they have left.
        if matches!(message.template, Template::Confirm | Template::StoppedYes)
            && let Some(id) = &message.decision_id
            && let Some(mut row) = self.store.decision(write, id).await?
        {
            row.decision.confirmed(now);
            self.store.save_decision(write, &row).await?;
        }
        Ok(())
    }

    async fn failed(
        &self,
        write: &mut Write,
        message: &Message,
        cause: Cause,
        now: i64,
    ) -> Result<(), StoreError> {
        let moved = self
            .ended(write, message, MessageState::Failed, cause.as_str(), now)
            .await?;
        match cause {
            // A report that comes late or again says nothing new of the number.
            _ if !moved => Ok(()),
            Cause::Number => {
                self.suspend(write, &message.phone_index, Closed::Suspended, now)
                    .await
            }
            Cause::OptedOut => {
                self.store
                    .set_blocked(write, &message.phone_index, true)
                    .await?;
                self.tell_contacts(write, &message.phone_index, "stopped", now)
                    .await
            }
            Cause::Other => Ok(()),
        }
    }

    /// Notes that a text will not leave or not arrive; a decision that hangs on it ends without an answer. Its phone is locked
    /// already.
    pub(super) async fn end(
        &self,
        write: &mut Write,
        message: &Message,
        state: MessageState,
        reason: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        self.ended(write, message, state, reason, now)
            .await
            .map(|_| ())
    }

    /// As `end`; false if the text had come to an end before.
    async fn ended(
        &self,
        write: &mut Write,
        message: &Message,
        state: MessageState,
        reason: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        // A text that arrived after all, or ended before, ends nothing now.
        if !self
            .store
            .advance(write, &message.id, state, Some(reason), 0)
            .await?
        {
            return Ok(false);
        }
        self.metrics.text(message.template, state);
        self.tell_of(write, message, state, now).await?;
        let closed = match state {
            MessageState::Blocked => Closed::Stopped,
            MessageState::Expired => Closed::Expired,
            MessageState::Suspended => Closed::Suspended,
            _ => Closed::Failed,
        };
        let Some(id) = &message.decision_id else {
            return Ok(true);
        };
        let Some(mut row) = self.store.decision(write, id).await? else {
            return Ok(true);
        };
        let hangs = match message.template {
            // Whoever may have got the question may answer it; a dead letter may be sent again.
            template if template.asks() || template == Template::Verify => {
                row.decision.state == State::Open
                    && state != MessageState::Dead
                    && state != MessageState::Expired
            }
            // Nobody was told of the window. (Where the phone is blocked, the answer to the STOP tells of it.)
            Template::Confirm => {
                matches!(
                    state,
                    MessageState::Failed | MessageState::Dead | MessageState::Suspended
                ) && matches!(row.decision.state, State::Yes { .. })
            }
            _ => false,
        };
        if hangs {
            let before = row.decision.state;
            row.decision.close(closed);
            self.save(write, &row, before, now).await?;
        }
        Ok(true)
    }

    /// Stores where a decision stands, and tells its caller if it has ended.
    pub(super) async fn save(
        &self,
        write: &mut Write,
        row: &DecisionRow,
        before: State,
        now: i64,
    ) -> Result<(), StoreError> {
        self.store.save_decision(write, row).await?;
        if before == row.decision.state {
            return Ok(());
        }
        let (kind, detail) = match row.decision.state {
            State::Open | State::Yes { .. } => return Ok(()),
            State::Final { answer, .. } => ("reply", answer.as_str()),
            State::Closed(closed) => ("closed", closed.as_str()),
        };
        let event = NewEvent {
            kind,
            subject: &row.decision_id,
            detail,
        };
        self.store.add_event(write, &row.caller, event, now).await
    }

    async fn tell_of(
        &self,
        write: &mut Write,
        message: &Message,
        state: MessageState,
        now: i64,
    ) -> Result<(), StoreError> {
        let event = NewEvent {
            kind: "message",
            subject: &message.id,
            detail: state.as_str(),
        };
        self.store
            .add_event(write, &message.caller, event, now)
            .await
    }

    /// Tells everybody who texted a phone's contacts what became of it.
    pub(super) async fn tell_contacts(
        &self,
        write: &mut Write,
        phone: &str,
        detail: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        for contact in self.store.contacts_of_phone(write, phone).await? {
            for caller in self.store.callers_of(write, &contact.id).await? {
                let event = NewEvent {
                    kind: "contact",
                    subject: &contact.id,
                    detail,
                };
                self.store.add_event(write, &caller, event, now).await?;
            }
        }
        Ok(())
    }

    /// A number that is out of service, or somebody else's: nothing is texted to its contacts until it is verified again.
    pub(super) async fn suspend(
        &self,
        write: &mut Write,
        phone: &str,
        why: Closed,
        now: i64,
    ) -> Result<(), StoreError> {
        for mut contact in self.store.contacts_of_phone(write, phone).await? {
            contact.state = ContactState::Suspended;
            self.store.save_contact(write, &contact).await?;
        }
        for mut row in self.store.recent_decisions(write, phone).await? {
            let before = row.decision.state;
            if row.decision.close(why) {
                self.save(write, &row, before, now).await?;
            }
        }
        self.tell_contacts(write, phone, ContactState::Suspended.as_str(), now)
            .await
    }
}
