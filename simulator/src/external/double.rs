//! Doubles: people with the records of a fixture person, each under numbers of their own, for runs with many owners.

use contracts::ids::Jurisdiction;

use super::Person;

/// Most doubles of a run: phone numbers reserved for fiction are few.
pub const MAX_DOUBLES: u16 = 100;

/// Somebody with the records of another, and with other pay or household where that is wanted.
#[derive(Debug, Clone)]
pub struct Double {
    /// Which, from 0 up to [`MAX_DOUBLES`].
    pub number: u16,
    /// Pay in percent of the other's.
    pub pay_percent: u16,
    /// People in the household, as the registry knows; none where it has no record.
    pub household: Option<u8>,
    /// The state lived in.
    pub state: Jurisdiction,
    /// Whether the EHR knows of a pregnancy, and of nothing otherwise.
    pub pregnant: bool,
}

impl Double {
    /// `AAA-GG-SSSS`, of an area that is never given out.
    pub fn ssn(&self) -> String {
        format!("987-66-{:04}", 4_000 + self.number)
    }

    /// The number that the registry and payroll keep.
    pub fn case_number(&self) -> String {
        format!("CA-9900-{:04}", self.number)
    }

    /// The medical record number.
    pub fn mrn(&self) -> String {
        format!("MRN-99{:04}", self.number)
    }

    /// The registry's key.
    pub fn person_id(&self) -> String {
        format!("P-99{:04}", self.number)
    }

    /// What they tell a navigator.
    pub fn person(&self, id: &str, of: &Person) -> Person {
        Person {
            id: id.to_owned(),
            ssn: self.ssn(),
            phone: format!("+1408555{:04}", 100 + self.number % 100),
            state: self.state,
            ..of.clone()
        }
    }
}
