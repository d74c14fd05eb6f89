//! Texts that come in.

use super::Service;
use super::requests::random_id;
use crate::decision::State;
use crate::phone::Phone;
use crate::reply::{Meaning, read};
use crate::store::{Contact, DecisionRow, Message, MessageState, NewMessage, StoreError, Write};
use crate::template::Template;

impl Service {
    /// Acts on a text. A text heard before, and one from a phone nobody registered, change nothing.
    ///
    /// # Errors
    /// The database's; the gateway then says it again.
    pub(crate) async fn receive(
        &self,
        message_id: &str,
        from: &Phone,
        text: &str,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let meaning = read(text);
        let mut write = self.store.write().await?;
        let phone_index = self.phones.index(from);
        let contact = self
            .store
            .contact_of_phone(&mut write, &phone_index)
            .await?;
        let first = self
            .store
            .first_inbound(&mut write, message_id, now)
            .await?;
        if let (true, Some(contact)) = (first, contact) {
            self.act(&mut write, message_id, &contact, &meaning, now)
                .await?;
        }
        write.commit().await?;
        self.queued.notify_one();
        Ok(())
    }

    async fn act(
        &self,
        write: &mut Write,
        message_id: &str,
        contact: &Contact,
        meaning: &Meaning,
        now: i64,
    ) -> Result<(), StoreError> {
        let decisions = self
            .store
            .recent_decisions(write, &contact.phone_index)
            .await?;
        let mut target = concerned(decisions, meaning);
        let mut answer = None;
        if let Some(row) = &mut target {
            row.decision.settle(now);
            answer = row.decision.hear(meaning, now);
            self.store.save_decision(write, row).await?;
        }
        let phone = &contact.phone_index;
        let command = match meaning {
            Meaning::Stop { .. } => {
                self.store.set_blocked(write, phone, true).await?;
                let stands = target
                    .as_ref()
                    .is_some_and(|row| matches!(row.decision.state, State::Yes { .. }));
                Some(if stands {
                    Template::StoppedYes
                } else {
                    Template::Stopped
                })
            }
            Meaning::Start => {
                self.store.set_blocked(write, phone, false).await?;
                Some(Template::Started)
            }
            Meaning::Help => Some(Template::Help),
            // Answering with the code word is asking to be told what comes of it (and carriers lift their block on YES).
            Meaning::Answer(_, Some(code))
                if target
                    .as_ref()
                    .is_some_and(|row| row.decision.code == *code)
                    && answer.is_some() =>
            {
                self.store.set_blocked(write, phone, false).await?;
                None
            }
            Meaning::Answer(..) | Meaning::Unclear => None,
        };
        // One text back per text in: an answer about the decision goes before one about the texts themselves.
        let Some(template) = answer.or(command) else {
            return Ok(());
        };
        // What is said about a decision is said once per decision; a command is answered each time.
        let key = match (&target, answer) {
            (Some(row), Some(_)) => format!("{}:{}", template.name(), row.decision_id),
            _ => format!("{}:{message_id}", template.name()),
        };
        let about = target.filter(|_| answer.is_some() || template == Template::StoppedYes);
        let message = Message {
            id: random_id(),
            request_digest: String::new(),
            contact: about
                .as_ref()
                .map_or(&contact.id, |row| &row.contact)
                .clone(),
            template,
            jurisdiction: about.as_ref().map(|row| row.jurisdiction.clone()),
            decision_id: about.map(|row| row.decision_id),
            state: MessageState::Queued,
            attempts: 0,
        };
        let new = NewMessage {
            message: &message,
            caller: "",
            idempotency_key: &key,
            now,
        };
        self.store.add_message(write, &new).await?;
        Ok(())
    }
}

/// The decision a text is about: the one its code word names, else the one that is open.
fn concerned(decisions: Vec<DecisionRow>, meaning: &Meaning) -> Option<DecisionRow> {
    let named = match meaning {
        Meaning::Answer(_, Some(code)) => {
            decisions.iter().position(|row| row.decision.code == *code)
        }
        _ => None,
    };
    let open = || {
        decisions
            .iter()
            .position(|row| matches!(row.decision.state, State::Open | State::Yes { .. }))
    };
    let at = named.or_else(open)?;
    decisions.into_iter().nth(at)
}
