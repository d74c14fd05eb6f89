//! Texts that come in.

use super::Service;
use super::requests::random_id;
use crate::conversation::code::Code;
use crate::conversation::decision::{Closed, State};
use crate::conversation::grammar::{Answer, Meaning, read};
use crate::phone::Phone;
use crate::provider::Reserved;
use crate::store::{Contact, ContactState, DecisionRow, NewEvent, StoreError, Write};
use crate::text::Template;

/// Within how many seconds the same words of a phone, from a provider that gives texts no id, are the same text.
const SAME: i64 = 60;

/// Times that a text is taken in before a deadlock is an error.
const ATTEMPTS: u8 = 3;

/// A text as it came in.
pub(super) struct Heard<'a> {
    /// The provider's id of it.
    pub(super) id: Option<&'a str>,
    /// Keyed digest of the sender's number.
    pub(super) phone: &'a str,
    pub(super) text: &'a str,
    /// Whether nothing of it is missing.
    pub(super) whole: bool,
    pub(super) answered: Option<Reserved>,
}

/// A text, and what it is answered with.
struct Hearing<'a> {
    /// Its id, or a fresh one: a command is answered once per text.
    id: String,
    phone: &'a str,
    meaning: Meaning,
    answered: Option<Reserved>,
    /// Newest first.
    contacts: Vec<Contact>,
    now: i64,
}

impl Service {
    /// Takes in a text.
    pub(super) async fn receive(
        &self,
        id: Option<&str>,
        from: &Phone,
        text: &str,
        answered: Option<Reserved>,
    ) -> Result<(), StoreError> {
        let heard = Heard {
            id,
            phone: &self.phones.index(from),
            text,
            whole: true,
            answered,
        };
        for left in (0..ATTEMPTS).rev() {
            let taken = async {
                let mut write = self.store.write().await?;
                self.take_in(&mut write, &heard).await?;
                write.commit().await
            };
            match taken.await {
                // Not every carrier sends a text again that was not taken.
                Err(error) if error.is_deadlock() && left > 0 => {
                    tracing::warn!(%error, "a text is taken in once more");
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.queued.notify_one();
        Ok(())
    }

    /// Acts on a text. A text heard before, and one from a phone nobody registered, decide nothing and are not answered.
    pub(super) async fn take_in(
        &self,
        write: &mut Write,
        heard: &Heard<'_>,
    ) -> Result<(), StoreError> {
        let Heard {
            id,
            phone,
            text,
            whole,
            answered,
        } = *heard;
        let now = self.now();
        let meaning = match (read(text), answered) {
            // Of half a text only what ends texts counts: the rest may turn an answer round.
            (meaning, _) if !whole && !matches!(meaning, Meaning::Stop { .. } | Meaning::NotMe) => {
                Meaning::Unclear
            }
            // The carrier lets nothing through to this phone any more, whatever we would have read.
            (Meaning::Stop { takes_back }, Some(Reserved::Stop)) => Meaning::Stop { takes_back },
            (_, Some(Reserved::Stop)) => Meaning::Stop { takes_back: false },
            // What a carrier takes for START may be a YES: ours is what we read.
            (meaning, _) => meaning,
        };
        let mut contacts = self.store.contacts_of_phone(write, phone).await?;
        let first = match id {
            Some(id) => self.store.first_inbound(write, id, now).await?,
            None => {
                let digest = self.phones.digest("inbound", text);
                contacts.is_empty()
                    || self
                        .store
                        .not_said_last(write, phone, &digest, now, SAME)
                        .await?
            }
        };
        contacts.retain(|contact| {
            matches!(
                contact.state,
                ContactState::Verified | ContactState::Unverified
            )
        });
        if !first {
            self.metrics.heard("again");
        } else if contacts.is_empty() {
            self.metrics.heard("stranger");
            // A stranger learns nothing, but is not texted later, either.
            if matches!(meaning, Meaning::Stop { .. } | Meaning::NotMe) {
                self.store.add_phone(write, phone).await?;
                self.store.set_blocked(write, phone, true).await?;
            }
        } else {
            self.metrics.heard(meaning.name());
            let id = id.map_or_else(random_id, str::to_owned);
            self.act(
                write,
                Hearing {
                    id,
                    phone,
                    meaning,
                    answered,
                    contacts,
                    now,
                },
            )
            .await?;
        }
        Ok(())
    }

    async fn act(&self, write: &mut Write, hearing: Hearing<'_>) -> Result<(), StoreError> {
        let mut rows = self.store.recent_decisions(write, hearing.phone).await?;
        for row in &mut rows {
            let before = row.decision.state;
            row.decision.settle(hearing.now);
            self.save(write, row, before, hearing.now).await?;
        }
        let blocked = hearing
            .contacts
            .first()
            .is_some_and(|contact| contact.blocked);
        let mut said: Option<(Template, DecisionRow)> = None;
        let mut taken_back = None;
        for at in concerned(&rows, &hearing.meaning) {
            let Some(row) = rows.get_mut(at) else {
                continue;
            };
            let before = row.decision.state;
            let template = row.decision.hear(&hearing.meaning, hearing.now);
            if blocked {
                // The answer to the STOP said that no text would follow: the window runs from now.
                row.decision.confirmed(hearing.now);
            }
            self.save(write, row, before, hearing.now).await?;
            self.after(write, row, before, template, &hearing).await?;
            if matches!(hearing.meaning, Meaning::Stop { .. })
                && before.is_open()
                && !row.decision.state.is_open()
            {
                taken_back = Some(row.clone());
            }
            if let (Some(template), None) = (template, &said) {
                said = Some((template, row.clone()));
            }
        }
        let Some((template, about)) = self
            .command(write, &hearing, &rows, taken_back)
            .await?
            .or(said.map(|(template, row)| (template, Some(row))))
        else {
            return Ok(());
        };
        // What is said about a decision is said once per decision; a command is answered each time.
        let key = match (&about, template.kind()) {
            (Some(row), crate::text::template::Kind::Answer) => {
                format!("{}:{}", template.name(), row.decision_id)
            }
            _ => format!("{}:{}", template.name(), hearing.id),
        };
        let contact = about.as_ref().and_then(|row| {
            hearing
                .contacts
                .iter()
                .find(|contact| contact.id == row.contact)
        });
        match contact.or(hearing.contacts.first()) {
            Some(contact) => {
                self.queue(write, contact, template, about.as_ref(), &key, hearing.now)
                    .await
            }
            None => Ok(()),
        }
    }

    /// What an answer does beyond its decision: a verification, and a dispute that comes after the fact.
    async fn after(
        &self,
        write: &mut Write,
        row: &DecisionRow,
        before: State,
        said: Option<Template>,
        hearing: &Hearing<'_>,
    ) -> Result<(), StoreError> {
        if said == Some(Template::DisputedLate) {
            let event = NewEvent {
                kind: "dispute",
                subject: &row.decision_id,
                detail: "late",
            };
            self.store
                .add_event(write, &row.caller, event, hearing.now)
                .await?;
        }
        // Nothing follows from it but that whoever asked may ask anew.
        let late_yes = said == Some(Template::Late)
            && row.decision.state == State::Closed(Closed::Expired)
            && matches!(hearing.meaning, Meaning::Answer(Answer::Yes, _));
        if late_yes {
            let event = NewEvent {
                kind: "late",
                subject: &row.decision_id,
                detail: "YES",
            };
            self.store
                .add_event(write, &row.caller, event, hearing.now)
                .await?;
        }
        if row.decision.question != Template::Verify || before == row.decision.state {
            return Ok(());
        }
        let state = match row.decision.state {
            State::Final {
                answer: Answer::Yes,
                ..
            } => ContactState::Verified,
            State::Final {
                answer: Answer::No, ..
            }
            | State::Closed(Closed::NotMe) => ContactState::Refused,
            _ => return Ok(()),
        };
        let Some(mut contact) = self.store.contact(write, &row.contact).await? else {
            return Ok(());
        };
        contact.state = state;
        if state == ContactState::Verified {
            contact.verified_at = Some(hearing.now);
        }
        self.store.save_contact(write, &contact).await?;
        for caller in self.store.callers_of(write, &contact.id).await? {
            let event = NewEvent {
                kind: "contact",
                subject: &contact.id,
                detail: state.as_str(),
            };
            self.store
                .add_event(write, &caller, event, hearing.now)
                .await?;
        }
        Ok(())
    }

    /// Carries out a command, and says what to answer. One text back per text in: a STOP is answered before anything else.
    async fn command(
        &self,
        write: &mut Write,
        hearing: &Hearing<'_>,
        rows: &[DecisionRow],
        taken_back: Option<DecisionRow>,
    ) -> Result<Option<(Template, Option<DecisionRow>)>, StoreError> {
        let Hearing { phone, now, .. } = *hearing;
        match hearing.meaning {
            Meaning::Stop { .. } => {
                self.store.set_blocked(write, phone, true).await?;
                self.tell_contacts(write, phone, "stopped", now).await?;
                let asked = |wanted: fn(&State) -> bool| {
                    rows.iter()
                        .find(|row| {
                            wanted(&row.decision.state) && row.decision.question != Template::Verify
                        })
                        .cloned()
                };
                let stands = asked(|state| matches!(state, State::Yes { .. }));
                if hearing.answered.is_some() {
                    // The carrier's own answer was the last text. The window of a YES runs all the same.
                    if let Some(mut row) = stands {
                        row.decision.confirmed(now);
                        self.store.save_decision(write, &row).await?;
                    }
                    return Ok(None);
                }
                let open = asked(|state| matches!(state, State::Open));
                Ok(Some(match (taken_back, stands, open) {
                    (Some(row), ..) => (Template::StoppedUndone, Some(row)),
                    (_, Some(row), _) => (Template::StoppedYes, Some(row)),
                    (_, _, Some(row)) => (Template::StoppedOpen, Some(row)),
                    _ => (Template::Stopped, None),
                }))
            }
            Meaning::Start => {
                self.store.set_blocked(write, phone, false).await?;
                self.tell_contacts(write, phone, "started", now).await?;
                Ok(hearing
                    .answered
                    .is_none()
                    .then_some((Template::Started, None)))
            }
            Meaning::Help => Ok(hearing.answered.is_none().then_some((Template::Help, None))),
            Meaning::NotMe => {
                self.suspend(write, phone, Closed::NotMe, now).await?;
                self.store.set_blocked(write, phone, true).await?;
                Ok(Some((Template::Refused, None)))
            }
            Meaning::Shared => {
                self.store.set_shared(write, phone).await?;
                self.tell_contacts(write, phone, "shared", now).await?;
                Ok(Some((Template::SharedOn, None)))
            }
            _ => Ok(None),
        }
    }
}

/// The decisions a text is about, as places in `rows` (newest first): the one its code word names; all that are open, where the
/// text can only take back or end; the newest open one otherwise.
fn concerned(rows: &[DecisionRow], meaning: &Meaning) -> Vec<usize> {
    let open: Vec<usize> = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.decision.state.is_open())
        .map(|(at, _)| at)
        .collect();
    let named = |code: &Code| {
        let of = |wanted: bool| {
            rows.iter().position(|row| {
                row.decision.code == *code && row.decision.state.is_open() == wanted
            })
        };
        of(true).or_else(|| of(false))
    };
    match meaning {
        // A wrong code word counts against every decision that it might have been a guess at.
        Meaning::Answer(_, Some(code)) | Meaning::Undo(Some(code)) | Meaning::Wrong(Some(code)) => {
            named(code).map_or(open, |at| vec![at])
        }
        Meaning::Wrong(None) if open.is_empty() => rows
            .iter()
            .position(|row| row.decision.question != Template::Verify)
            .into_iter()
            .collect(),
        Meaning::Undo(None) if open.is_empty() => rows
            .iter()
            .position(|row| matches!(row.decision.state, State::Final { .. }))
            .into_iter()
            .collect(),
        Meaning::Undo(None)
        | Meaning::Wrong(None)
        | Meaning::Stop { .. }
        | Meaning::NotMe
        | Meaning::Shared => open,
        Meaning::Answer(_, None) | Meaning::Unclear => open.into_iter().take(1).collect(),
        Meaning::Start | Meaning::Help => Vec::new(),
    }
}
