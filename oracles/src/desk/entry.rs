//! A signed entry.

use contracts::encoding::{Bytes, Bytes32, tagged_hash};
use contracts::ids::AttributeId;
use contracts::units::{Day, UnixTime};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::StaffKey;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// What a person saw, measured or was shown.
    Observation,
    /// The outcome of a review of a disputed fact: it stands in place of what the other sources say.
    Review,
}

/// What a member of staff states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The desk's name.
    pub desk: String,
    /// Counts the desk's entries from 1; of two about the same day the later counts.
    pub number: u64,
    /// The role in which it is stated, such as `clinician`.
    pub role: String,
    /// What it is.
    pub kind: EntryKind,
    /// Name of the source key, such as `mrn`.
    pub key_name: String,
    /// Whose record it is.
    pub key_value: String,
    /// The attribute.
    pub attribute: AttributeId,
    /// Its integer in the catalogue's unit; none withdraws what was entered before.
    pub value: Option<i64>,
    /// The day it speaks of.
    pub observed: Day,
    /// When it was entered.
    pub recorded: UnixTime,
}

impl Statement {
    fn digest(&self) -> [u8; 32] {
        let kind: &[u8] = match self.kind {
            EntryKind::Observation => b"observation",
            EntryKind::Review => b"review",
        };
        let value = self.value.map(i64::to_be_bytes);
        tagged_hash(
            "shp/v1/desk-entry",
            &[
                self.desk.as_bytes(),
                &self.number.to_be_bytes(),
                self.role.as_bytes(),
                kind,
                self.key_name.as_bytes(),
                self.key_value.as_bytes(),
                self.attribute.0.as_bytes(),
                value.as_ref().map_or(&[], |value| value.as_slice()),
                &self.observed.number().to_be_bytes(),
                &self.recorded.0.to_be_bytes(),
            ],
        )
    }

    /// The entry, signed by who states it.
    pub fn sign(self, key: &StaffKey) -> Entry {
        Entry {
            staff: key.public(&self.desk),
            signature: key.sign(&self.desk, &self.digest()),
            statement: self,
        }
    }
}

/// A statement and who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What is stated.
    pub statement: Statement,
    /// Ed25519 public key.
    pub staff: Bytes32,
    /// RFC 8032 signature over the statement's tagged hash.
    pub signature: Bytes<64>,
}

/// An entry that nobody signed as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not fit the statement and the key")]
pub struct EntryError;

impl Entry {
    /// Checks the signature, strictly (no small-order keys, canonical encodings).
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn verify(&self) -> Result<(), EntryError> {
        let key = VerifyingKey::from_bytes(&self.staff.0).map_err(|_| EntryError)?;
        let signature = Signature::from_bytes(&self.signature.0);
        key.verify_strict(&self.statement.digest(), &signature)
            .map_err(|_| EntryError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::StaffKeyError;

    fn statement() -> Statement {
        Statement {
            desk: "riverside".into(),
            number: 7,
            role: "clinician".into(),
            kind: EntryKind::Observation,
            key_name: "mrn".into(),
            key_value: "A1".into(),
            attribute: "medical.systolic_mmhg".into(),
            value: Some(151),
            observed: "2026-11-20".parse().unwrap(),
            recorded: UnixTime(1_795_000_000),
        }
    }

    #[test]
    fn attack_every_edit_of_a_signed_entry_is_seen() {
        let key = StaffKey::generate();
        let signed = statement().sign(&key);
        assert_eq!(signed.verify(), Ok(()));
        let edits: [fn(&mut Statement); 11] = [
            |it| it.desk = "other".into(),
            |it| it.number = 8,
            |it| it.role = "caseworker".into(),
            |it| it.kind = EntryKind::Review,
            |it| it.key_name = "ssn".into(),
            |it| it.key_value = "A2".into(),
            |it| it.attribute = "medical.asthma".into(),
            |it| it.value = Some(119),
            |it| it.value = None,
            |it| it.observed = "2026-11-19".parse().unwrap(),
            |it| it.recorded = UnixTime(0),
        ];
        for (place, edit) in edits.into_iter().enumerate() {
            let mut edited = signed.clone();
            edit(&mut edited.statement);
            assert_eq!(edited.verify(), Err(EntryError), "edit {place}");
        }
        let mut foreign = signed.clone();
        foreign.staff = StaffKey::generate().public("riverside");
        assert_eq!(foreign.verify(), Err(EntryError));
        let mut zero = signed;
        zero.staff = Bytes32::from([0; 32]);
        assert_eq!(zero.verify(), Err(EntryError));
    }

    #[test]
    fn one_key_at_two_desks_is_two_people() {
        let key = StaffKey::generate();
        assert_ne!(key.public("riverside"), key.public("hillside"));
        let again = StaffKey::parse(&key.text()).unwrap();
        assert_eq!(again.public("riverside"), key.public("riverside"));
        for wrong in ["", "short", "not base64url, though 43 characters in all!!"] {
            assert_eq!(StaffKey::parse(wrong).unwrap_err(), StaffKeyError);
        }
    }
}
