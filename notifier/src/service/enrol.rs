//! Phones: registered, verified by text, verified again, and changed.

use rand::Rng as _;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

use super::Service;
use super::requests::{RequestError, field, random_id};
use crate::conversation::code::{Code, DIGITS, LETTERS};
use crate::conversation::decision::{Closed, Decision};
use crate::phone::Phone;
use crate::rules::plan::DAY;
use crate::store::{Contact, ContactState, DecisionRow, NewDecision, StoreError, Write};
use crate::text::{Language, Template};

/// How long a verification text can be answered, seconds.
const VERIFY_SECONDS: i64 = 7 * DAY;
/// Characters of a recovery code: 20^12 are 51 bits.
const RECOVERY_LENGTH: usize = 12;
/// Wrong recovery codes after which a number can be changed only by registering it afresh.
const MAX_RECOVERY_FAILURES: i64 = 5;

/// A contact as registered.
#[derive(Debug, Serialize)]
pub(crate) struct Enrolled {
    /// The handle.
    pub(crate) contact: String,
    /// `unverified` until the phone says YES.
    pub(crate) state: &'static str,
    /// For the owner to keep on paper: with it, and the new phone's YES, the number can be changed. Shown once.
    pub(crate) recovery_code: String,
}

/// A contact as it stands.
#[derive(Debug, Serialize)]
pub(crate) struct ContactView {
    contact: String,
    state: &'static str,
    /// The phone wants no texts.
    stopped: bool,
    /// Others read the phone.
    shared: bool,
}

/// Another number for a contact.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PhoneChange {
    phone: String,
    recovery_code: String,
}

fn parse_phone(phone: &str) -> Result<Phone, RequestError> {
    Phone::parse(phone).ok_or(field("phone", "write E.164, such as +14155550132"))
}

fn recovery_code() -> String {
    let alphabet: Vec<char> = LETTERS.chars().chain(DIGITS.chars()).collect();
    let mut code = String::with_capacity(RECOVERY_LENGTH + 2);
    for at in 0..RECOVERY_LENGTH {
        if at > 0 && at % 4 == 0 {
            code.push('-');
        }
        code.push(
            alphabet
                .get(OsRng.gen_range(0..alphabet.len()))
                .copied()
                .unwrap_or('A'),
        );
    }
    code
}

/// What is kept of a recovery code does not depend on how it was typed.
fn plain(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .map(|c| c.to_ascii_uppercase())
        .collect()
}

impl Service {
    /// Registers a phone under a fresh handle and texts it to ask whether it is the person's. The same phone gets another handle
    /// each time, so that two profiles of one household cannot be joined by it.
    pub(crate) async fn register(
        &self,
        phone: &str,
        language: &str,
    ) -> Result<Enrolled, RequestError> {
        let phone = parse_phone(phone)?;
        let language = Language::parse(language).ok_or(field("language", "en or es"))?;
        let id = random_id();
        let code = recovery_code();
        let phone_index = self.phones.index(&phone);
        let now = self.now();
        let mut write = self.store.write().await?;
        self.store.add_phone(&mut write, &phone_index).await?;
        let known = self
            .store
            .contacts_of_phone(&mut write, &phone_index)
            .await?
            .into_iter()
            .next();
        if self
            .store
            .enrolled_since(&mut write, &phone_index, now - DAY)
            .await?
            >= self.rules.enrolments_per_day
        {
            return Err(RequestError::TooMany(
                "this phone was registered too often today; try again tomorrow",
            ));
        }
        let contact = Contact {
            sealed_phone: self.phones.seal(&id, &phone),
            recovery_digest: self.phones.digest("recovery", &plain(&code)),
            id,
            phone_index,
            language,
            state: ContactState::Unverified,
            verified_at: None,
            recovery_failures: 0,
            blocked: known.as_ref().is_some_and(|contact| contact.blocked),
            shared: known.as_ref().is_some_and(|contact| contact.shared),
        };
        self.store.add_contact(&mut write, &contact, now).await?;
        self.ask_to_verify(&mut write, &contact, now).await?;
        write.commit().await?;
        self.queued.notify_one();
        Ok(Enrolled {
            contact: contact.id,
            state: contact.state.as_str(),
            recovery_code: code,
        })
    }

    /// How a contact stands. Handles cannot be guessed: who has one may ask.
    pub(crate) async fn contact_view(&self, id: &str) -> Result<ContactView, RequestError> {
        let contact = self
            .store
            .read_contact(id)
            .await?
            .ok_or(RequestError::Unknown("contact"))?;
        Ok(ContactView {
            state: contact.state.as_str(),
            stopped: contact.blocked,
            shared: contact.shared,
            contact: contact.id,
        })
    }

    /// Texts a phone to ask whether it is the person's, unless such a question is open.
    pub(super) async fn ask_to_verify(
        &self,
        write: &mut Write,
        contact: &Contact,
        now: i64,
    ) -> Result<(), StoreError> {
        let recent = self
            .store
            .recent_decisions(write, &contact.phone_index)
            .await?;
        let mut asked = recent
            .iter()
            .filter(|row| row.contact == contact.id && row.decision.question == Template::Verify);
        if asked.any(|row| row.decision.state.is_open() && now <= row.decision.deadline) {
            return Ok(());
        }
        let taken: Vec<Code> = recent.into_iter().map(|row| row.decision.code).collect();
        let decision_id = format!("verify.{}", random_id());
        let row = DecisionRow {
            sealed_params: self.phones.seal_text(&decision_id, ""),
            decision_id,
            caller: String::new(),
            contact: contact.id.clone(),
            decision: Decision::new(
                Template::Verify,
                Code::random(&taken),
                now + VERIFY_SECONDS,
                0,
            ),
        };
        let new = NewDecision {
            row: &row,
            phone_index: &contact.phone_index,
            now,
        };
        self.store.add_decision(write, &new).await?;
        let key = format!("verify:{}", row.decision_id);
        self.queue(write, contact, Template::Verify, Some(&row), &key, now)
            .await
    }

    /// Gives a contact another number. It takes the recovery code, the new phone's YES, and a caller that proofs people; the old
    /// phone is told, and what was open on it ends.
    pub(crate) async fn change_phone(
        &self,
        id: &str,
        change: &PhoneChange,
    ) -> Result<(), RequestError> {
        let phone = parse_phone(&change.phone)?;
        let now = self.now();
        let mut write = self.store.write().await?;
        let mut contact = self
            .store
            .contact(&mut write, id)
            .await?
            .ok_or(RequestError::Unknown("contact"))?;
        if contact.recovery_failures >= MAX_RECOVERY_FAILURES {
            return Err(RequestError::Conflict {
                code: "recovery-locked",
                problem: "too many wrong recovery codes: register the person afresh",
            });
        }
        let given = self
            .phones
            .digest("recovery", &plain(&change.recovery_code));
        if given != contact.recovery_digest {
            contact.recovery_failures += 1;
            self.store.save_contact(&mut write, &contact).await?;
            write.commit().await?;
            return Err(RequestError::Conflict {
                code: "recovery-code",
                problem: "this is not the contact's recovery code",
            });
        }
        if self.store.is_sending(&mut write, &contact.id).await? {
            return Err(RequestError::Conflict {
                code: "busy",
                problem: "a text is on its way to the old number; try again in a minute",
            });
        }
        for mut row in self
            .store
            .recent_decisions(&mut write, &contact.phone_index)
            .await?
        {
            let before = row.decision.state;
            if row.contact == contact.id && row.decision.close(Closed::Suspended) {
                self.save(&mut write, &row, before, now).await?;
            }
        }
        // The old number is told under a handle that nobody else has.
        let old_id = random_id();
        let old_phone = self
            .phones
            .open(&contact.id, &contact.sealed_phone)
            .map_err(|_| RequestError::Unknown("contact"))?;
        let old = Contact {
            sealed_phone: self.phones.seal(&old_id, &old_phone),
            recovery_digest: String::new(),
            id: old_id,
            ..contact.clone()
        };
        self.store.add_contact(&mut write, &old, now).await?;
        self.queue(
            &mut write,
            &old,
            Template::Moved,
            None,
            &format!("moved:{}", old.id),
            now,
        )
        .await?;
        contact.phone_index = self.phones.index(&phone);
        contact.sealed_phone = self.phones.seal(&contact.id, &phone);
        contact.state = ContactState::Unverified;
        contact.verified_at = None;
        contact.recovery_failures = 0;
        self.store
            .add_phone(&mut write, &contact.phone_index)
            .await?;
        self.store.save_contact(&mut write, &contact).await?;
        self.store
            .readdress(&mut write, &contact.id, &contact.phone_index)
            .await?;
        let contact = self
            .store
            .contact(&mut write, id)
            .await?
            .ok_or(RequestError::Unknown("contact"))?;
        self.ask_to_verify(&mut write, &contact, now).await?;
        write.commit().await?;
        self.queued.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_codes_differ_and_are_read_however_they_are_typed() {
        let (one, two) = (recovery_code(), recovery_code());
        assert_ne!(one, two);
        assert_eq!(plain(&one).len(), RECOVERY_LENGTH);
        assert_eq!(plain(&one.to_lowercase().replace('-', " ")), plain(&one));
    }
}
