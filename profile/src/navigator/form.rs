//! What the person says, as the form sends it, and every fault named beside its field.

use contracts::ids::{Domain, Jurisdiction};
use contracts::units::Day;
use oracles::pages::{Fault, fault};
use oracles::wire::enrol::{Claims, MAX_NAME, Ssn, VERSION};
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Longest field, in bytes.
const MAX_FIELD: usize = MAX_NAME;

/// The fields as they were sent. Wiped on drop; prints nothing.
#[derive(Clone, Default, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(super) struct Filled {
    #[serde(default)]
    pub(super) once: String,
    #[serde(default)]
    pub(super) phone: String,
    #[serde(default)]
    pub(super) language: String,
    #[serde(default)]
    pub(super) given_name: String,
    #[serde(default)]
    pub(super) family_name: String,
    #[serde(default)]
    pub(super) birth_date: String,
    #[serde(default)]
    pub(super) ssn: String,
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) identity: String,
    #[serde(default)]
    pub(super) residence: String,
    #[serde(default)]
    pub(super) income: String,
    #[serde(default)]
    pub(super) household: String,
    #[serde(default)]
    pub(super) medical: String,
    #[serde(default)]
    pub(super) replaces: String,
}

/// A person who may be enrolled. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Person {
    ssn: Ssn,
    given_name: String,
    family_name: String,
    #[zeroize(skip)]
    birth_date: Day,
    #[zeroize(skip)]
    consents: Vec<Domain>,
    /// Whether they were enrolled before and lost their wallet.
    #[zeroize(skip)]
    pub(super) replaces: bool,
    #[zeroize(skip)]
    pub(super) state: Jurisdiction,
}

impl Filled {
    /// Whether a domain's box is ticked.
    pub(super) fn consents_to(&self, domain: Domain) -> bool {
        let ticked = match domain {
            Domain::Identity => &self.identity,
            Domain::Residence => &self.residence,
            Domain::Income => &self.income,
            Domain::Household => &self.household,
            Domain::Medical => &self.medical,
        };
        !ticked.is_empty()
    }

    /// Checks every field.
    ///
    /// # Errors
    /// Each fault, in the order of the page.
    pub(super) fn check(&self, today: Day) -> Result<Person, Vec<Fault>> {
        let mut faults = Vec::new();
        let plus = self.phone.strip_prefix('+').unwrap_or_default();
        if !(8..=15).contains(&plus.len()) || !plus.bytes().all(|byte| byte.is_ascii_digit()) {
            faults.push(fault(
                "phone",
                "Enter the number with its country code, such as +14155550132",
            ));
        }
        if !matches!(self.language.as_str(), "en" | "es") {
            faults.push(fault("language", "Choose a language"));
        }
        for (field, label, name) in [
            ("given_name", "given name", &self.given_name),
            ("family_name", "family name", &self.family_name),
        ] {
            if name.trim().is_empty()
                || name.len() > MAX_FIELD
                || name.chars().any(char::is_control)
            {
                faults.push(fault(
                    field,
                    format!("Enter the {label} as the birth record has it"),
                ));
            }
        }
        let birth_date = self
            .birth_date
            .parse::<Day>()
            .ok()
            .filter(|day| *day <= today);
        if birth_date.is_none() {
            faults.push(fault(
                "birth_date",
                "Enter a date of the past, such as 1992-02-29",
            ));
        }
        let ssn = Ssn::parse(self.ssn.trim()).ok();
        if ssn.is_none() {
            faults.push(fault("ssn", "Enter nine digits, such as 123-45-6789"));
        }
        let state = self
            .state
            .trim()
            .to_ascii_uppercase()
            .parse::<Jurisdiction>()
            .ok();
        if state.is_none() {
            faults.push(fault("state", "Enter two letters, such as CA"));
        }
        if !self.consents_to(Domain::Identity) {
            faults.push(fault(
                "identity",
                "Without identity records nobody can be enrolled: tick it, or stop here",
            ));
        }
        match (birth_date, ssn, state) {
            (Some(birth_date), Some(ssn), Some(state)) if faults.is_empty() => Ok(Person {
                ssn,
                given_name: self.given_name.trim().to_owned(),
                family_name: self.family_name.trim().to_owned(),
                birth_date,
                consents: Domain::ALL
                    .into_iter()
                    .filter(|it| self.consents_to(*it))
                    .collect(),
                replaces: !self.replaces.is_empty(),
                state,
            }),
            _ => Err(faults),
        }
    }
}

impl Person {
    /// What is sealed to the identity oracles.
    pub(super) fn claims(&self, enrolment: &crate::api::types::Enrolment) -> Claims {
        Claims {
            version: VERSION,
            ssn: self.ssn.clone(),
            given_name: self.given_name.clone(),
            family_name: self.family_name.clone(),
            birth_date: self.birth_date,
            consents: self.consents.clone(),
            authorisation_key: enrolment.authorisation_key,
            enrol_id: enrolment.enrol_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Filled {
        let text = |text: &str| text.to_owned();
        let mut filled = Filled::default();
        filled.phone = text("+14155550132");
        filled.language = text("es");
        filled.given_name = text("Ana");
        filled.family_name = text("Reyes");
        filled.birth_date = text("1992-02-29");
        filled.ssn = text("987-65-4320");
        filled.state = text("ca");
        filled.identity = text("yes");
        filled.income = text("yes");
        filled
    }

    #[test]
    fn a_person_consents_domain_by_domain() {
        let person = filled().check("2026-06-20".parse().unwrap()).unwrap();
        assert_eq!(person.consents, [Domain::Identity, Domain::Income]);
        assert_eq!(person.state.code(), "CA");
    }

    #[test]
    fn every_fault_is_named_beside_its_field_and_repeats_nothing() {
        type Break = fn(&mut Filled);
        let cases: [(&str, Break); 11] = [
            ("phone", |it| it.phone = "415 555 0132".to_owned()),
            ("phone", |it| it.phone = "+1415555013x".to_owned()),
            ("language", |it| it.language = "tlh".to_owned()),
            ("given_name", |it| it.given_name = " ".to_owned()),
            ("family_name", |it| it.family_name = "x".repeat(101)),
            ("family_name", |it| it.family_name = "a\u{7}b".to_owned()),
            ("birth_date", |it| it.birth_date = "29/02/1992".to_owned()),
            ("birth_date", |it| it.birth_date = "2026-06-21".to_owned()),
            ("ssn", |it| it.ssn = "98765432".to_owned()),
            ("state", |it| it.state = "California".to_owned()),
            ("identity", |it| it.identity.clear()),
        ];
        for (field, change) in cases {
            let mut broken = filled();
            change(&mut broken);
            let faults = broken.check("2026-06-20".parse().unwrap()).err().unwrap();
            let fields: Vec<_> = faults.iter().map(|fault| fault.field).collect();
            assert_eq!(fields, [field]);
            assert!(!faults[0].fix.contains("98765432"));
        }
    }
}
