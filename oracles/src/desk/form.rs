//! From what a browser sends to a statement: every field checked, every fault named beside its field.

use contracts::units::{Day, UnixTime};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::config::{DeskConfig, FormConfig};
use super::{EntryKind, MAX_TEXT, StaffKey, Statement};
use crate::pages::{Fault, fault};
use crate::sources::{Cell, convert};

/// The fields of a form as they were sent.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filled {
    pub(super) once: String,
    pub(super) kind: String,
    pub(super) key_value: String,
    pub(super) value: String,
    /// Set to withdraw what was entered before.
    pub(super) withdraw: String,
    pub(super) observed: String,
    /// The staff key, on the second page only.
    #[serde(deserialize_with = "wiped")]
    pub(super) staff_key: Zeroizing<String>,
}

fn wiped<'de, D: Deserializer<'de>>(text: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(text).map(Zeroizing::new)
}

/// A statement without number, desk and role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) kind: EntryKind,
    key_value: String,
    value: Option<i64>,
    observed: Day,
}

/// Checks every field but the staff key.
///
/// # Errors
/// Each fault, in the order of the page.
pub(super) fn check(form: &FormConfig, filled: &Filled, today: Day) -> Result<Checked, Vec<Fault>> {
    let mut faults = Vec::new();
    let kind = match filled.kind.as_str() {
        "observation" if !form.roles.is_empty() => Some(EntryKind::Observation),
        "review" if !form.review_roles.is_empty() => Some(EntryKind::Review),
        _ => {
            faults.push(fault("kind", "Choose what this entry is."));
            None
        }
    };
    let key_value = filled.key_value.trim();
    if !(1..=MAX_TEXT).contains(&key_value.len()) || key_value.chars().any(char::is_control) {
        faults.push(fault(
            "key_value",
            format!("Write it as the record has it, at most {MAX_TEXT} characters."),
        ));
    }
    let value = match filled.withdraw.as_str() {
        "" => match value(form, filled.value.trim()) {
            Ok(value) => Some(value),
            Err(fix) => {
                faults.push(fault("value", fix));
                None
            }
        },
        _ if filled.value.trim().is_empty() => None,
        _ => {
            faults.push(fault(
                "value",
                "Leave it empty to withdraw, or take the mark off.",
            ));
            None
        }
    };
    let observed = match filled.observed.trim().parse::<Day>() {
        Ok(day) if day <= today => Some(day),
        Ok(_) => {
            faults.push(fault("observed", "Write today or a day before it."));
            None
        }
        Err(_) => {
            faults.push(fault(
                "observed",
                "Write the day as year-month-day, such as 2027-01-31.",
            ));
            None
        }
    };
    match (kind, observed) {
        (Some(kind), Some(observed)) if faults.is_empty() => Ok(Checked {
            kind,
            key_value: key_value.to_owned(),
            value,
            observed,
        }),
        _ => Err(faults),
    }
}

/// The attribute's integer.
fn value(form: &FormConfig, text: &str) -> Result<i64, String> {
    let entry = form.entry().ok_or("This form is out of order.")?;
    let value = match text.len() {
        0 => return Err("Write it, or mark that the entry is withdrawn.".to_owned()),
        1..=MAX_TEXT => convert(&Cell::Text(text.to_owned()), &form.conversion()),
        _ => Err("shorter"),
    };
    let value = value.map_err(|expected| format!("Write it as {expected}."))?;
    match value {
        Some(value) if (entry.min..=entry.max).contains(&value) => Ok(value),
        _ => Err("That is more or less than can be.".to_owned()),
    }
}

impl Checked {
    /// The statement of the member of staff whose key was typed.
    ///
    /// # Errors
    /// The key is no key, nobody's here, or of a role that may not make this entry.
    pub(super) fn statement(
        self,
        desk: &DeskConfig,
        form: &FormConfig,
        filled: &Filled,
        now: UnixTime,
    ) -> Result<(Statement, StaffKey), Fault> {
        let key = StaffKey::parse(&filled.staff_key).map_err(|_| {
            fault(
                "staff_key",
                "Write your desk key: 43 letters, digits, - and _.",
            )
        })?;
        let public = key.public(&desk.name);
        let staff = desk.staff.iter().find(|staff| staff.key == public);
        let staff = staff.ok_or_else(|| fault("staff_key", "This desk does not know that key."))?;
        let roles = match self.kind {
            EntryKind::Observation => &form.roles,
            EntryKind::Review => &form.review_roles,
        };
        if !roles.contains(&staff.role) {
            let fix = format!(
                "A {} may not make this entry; it takes a {}.",
                staff.role,
                roles.join(" or a ")
            );
            return Err(fault("staff_key", fix));
        }
        let statement = Statement {
            desk: desk.name.clone(),
            number: 0,
            role: staff.role.clone(),
            kind: self.kind,
            key_name: form.key.clone(),
            key_value: self.key_value,
            attribute: form.attribute.clone(),
            value: self.value,
            observed: self.observed,
            recorded: now,
        };
        Ok((statement, key))
    }
}
