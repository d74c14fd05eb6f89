//! Patients made by rule, each with what a reader should find in the record. The rule chooses the finding first and then writes
//! a record that bears it out, so that what is expected was not read from what was written.

use contracts::units::Day;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::super::{ExternalError, Result};

const SNOMED: &str = "http://snomed.info/sct";
const ICD10: &str = "http://hl7.org/fhir/sid/icd-10-cm";
const LOINC: &str = "http://loinc.org";
const PROFILE: &str =
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-condition-problems-health-concerns";
/// Days over which the highest blood pressure is looked for.
const PRESSURE_DAYS: i64 = 90;

/// What a reader should find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// This value.
    Known(i64),
    /// Nothing that could be relied upon.
    NotKnown,
    /// A record that must be refused.
    Refused,
}

/// A patient and what the record says.
pub struct Generated {
    /// The medical record number, in the system of the fixtures.
    pub mrn: String,
    /// `YYYY-MM-DD`.
    pub birth_date: String,
    /// Attribute, and what a reader should find of it on day zero.
    pub expected: Vec<(&'static str, Expected)>,
    /// The record: the Patient first.
    pub resources: Vec<Value>,
}

/// A condition of the value sets in `oracle.example.toml`.
struct Sought {
    attribute: &'static str,
    snomed: (&'static str, &'static str),
    icd10: Option<&'static str>,
    /// SNOMED CT's code for the same in the family.
    family: &'static str,
    /// Whether the mapping demands the profile.
    profile: bool,
}

const SOUGHT: [Sought; 3] = [
    Sought {
        attribute: "medical.pregnant",
        snomed: ("77386006", "Pregnancy"),
        icd10: Some("Z33.1"),
        family: "416471007",
        profile: false,
    },
    Sought {
        attribute: "medical.disabled",
        snomed: ("21134002", "Disability"),
        icd10: None,
        family: "416471007",
        profile: true,
    },
    Sought {
        attribute: "medical.asthma",
        snomed: ("195967001", "Asthma"),
        icd10: Some("J45.909"),
        family: "160377001",
        profile: false,
    },
];

/// The first `count` patients; the same every time.
///
/// # Errors
/// A day outside the calendar.
pub fn patients(day_zero: Day, count: usize) -> Result<Vec<Generated>> {
    let mut rng = StdRng::seed_from_u64(4242);
    (0..count)
        .map(|at| patient(at, day_zero, &mut rng))
        .collect()
}

fn before(day: Day, days: i64) -> Result<String> {
    let day = day.plus(-days);
    day.map(|day| day.to_string())
        .map_err(|error| ExternalError::Data(error.to_string()))
}

/// A patient's record while it is written.
struct Chart<'a> {
    id: String,
    day_zero: Day,
    rng: &'a mut StdRng,
    resources: Vec<Value>,
}

fn patient(at: usize, day_zero: Day, rng: &mut StdRng) -> Result<Generated> {
    let id = format!("gen-{at}");
    let mrn = format!("GEN-{at:05}");
    let birth_date = before(day_zero, rng.gen_range(20 * 366..60 * 365))?;
    let mut chart = Chart {
        resources: vec![json!({
            "resourceType": "Patient",
            "id": id,
            "active": true,
            "identifier": [{ "system": "https://ehr.example/mrn", "value": mrn }],
            "name": [{ "use": "official", "family": format!("Generated{at}"), "given": ["Pat"] }],
            "gender": "female",
            "birthDate": birth_date,
        })],
        id,
        day_zero,
        rng,
    };
    let mut expected = Vec::new();
    for sought in &SOUGHT {
        expected.push((sought.attribute, chart.history(sought)?));
    }
    expected.push(("medical.systolic_mmhg", chart.pressures()?));
    expected.push(("medical.record_linked", Expected::Known(1)));
    Ok(Generated {
        mrn,
        birth_date,
        expected,
        resources: chart.resources,
    })
}

impl Chart<'_> {
    fn history(&mut self, sought: &Sought) -> Result<Expected> {
        use Expected::{Known, NotKnown, Refused};
        self.condition(
            sought,
            Some(("38341003", "Hypertension")),
            "active",
            "confirmed",
        )?;
        Ok(match self.rng.gen_range(0..11) {
            0 => Known(0),
            1 => {
                self.condition(sought, None, "active", "confirmed")?;
                Known(1)
            }
            2 => {
                let again = *["recurrence", "relapse"]
                    .choose(self.rng)
                    .unwrap_or(&"relapse");
                self.condition(sought, None, again, "confirmed")?;
                Known(1)
            }
            3 => {
                let over = ["inactive", "remission", "resolved"];
                let over = *over.choose(self.rng).unwrap_or(&"resolved");
                self.condition(sought, None, over, "confirmed")?;
                Known(0)
            }
            4 => {
                self.condition(sought, None, "inactive", "refuted")?;
                Known(0)
            }
            5 => {
                self.condition(sought, None, "", "entered-in-error")?;
                Known(0)
            }
            6 => {
                let suspected = ["provisional", "unconfirmed", "differential"];
                let suspected = *suspected.choose(self.rng).unwrap_or(&"provisional");
                self.condition(sought, None, "active", suspected)?;
                NotKnown
            }
            7 => {
                self.family(sought)?;
                let code = (sought.family, "Family history");
                self.condition(sought, Some(code), "active", "confirmed")?;
                Known(0)
            }
            8 => {
                self.condition(sought, None, "resolved", "confirmed")?;
                self.condition(sought, None, "active", "confirmed")?;
                Known(1)
            }
            9 => {
                self.condition(sought, None, "active", "provisional")?;
                self.condition(sought, None, "active", "confirmed")?;
                Known(1)
            }
            _ => {
                self.condition(sought, None, "active", "confirmed")?;
                let last = self.resources.last_mut();
                if !sought.profile {
                    return Ok(Known(1));
                }
                if let Some(fields) = last.and_then(Value::as_object_mut) {
                    let lost = if self.rng.gen_bool(0.5) {
                        "meta"
                    } else {
                        "recordedDate"
                    };
                    fields.remove(lost);
                }
                Refused
            }
        })
    }

    /// A condition; of the value set, unless another code is given.
    fn condition(
        &mut self,
        sought: &Sought,
        other: Option<(&str, &str)>,
        clinical: &str,
        verification: &str,
    ) -> Result<()> {
        let code = match (other, sought.icd10) {
            (Some((code, display)), _) => {
                json!({ "system": SNOMED, "code": code, "display": display })
            }
            (None, Some(code)) if self.rng.gen_bool(0.4) => {
                json!({ "system": ICD10, "code": code })
            }
            _ => {
                let (code, display) = sought.snomed;
                json!({ "system": SNOMED, "code": code, "display": display })
            }
        };
        let status = |system: &str, code: &str| {
            let system = format!("http://terminology.hl7.org/CodeSystem/{system}");
            json!({ "coding": [{ "system": system, "code": code }] })
        };
        let began = self.rng.gen_range(400..2_000);
        let mut condition = json!({
            "resourceType": "Condition",
            "id": format!("{}-{}", self.id, self.resources.len()),
            "meta": { "profile": [PROFILE] },
            "verificationStatus": status("condition-ver-status", verification),
            "category": [status("condition-category", "problem-list-item")],
            "code": { "coding": [code] },
            "subject": { "reference": format!("Patient/{}", self.id) },
            "onsetDateTime": before(self.day_zero, began)?,
            "recordedDate": before(self.day_zero, began)?,
        });
        if !clinical.is_empty() {
            condition["clinicalStatus"] = status("condition-clinical", clinical);
        }
        if clinical == "resolved" {
            let ended = before(self.day_zero, self.rng.gen_range(1..400))?;
            condition["abatementDateTime"] = ended.into();
        }
        self.resources.push(condition);
        Ok(())
    }

    /// The mother has it.
    fn family(&mut self, sought: &Sought) -> Result<()> {
        let (code, display) = sought.snomed;
        self.resources.push(json!({
            "resourceType": "FamilyMemberHistory",
            "id": format!("{}-{}", self.id, self.resources.len()),
            "status": "completed",
            "patient": { "reference": format!("Patient/{}", self.id) },
            "relationship": { "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode",
                "code": "MTH",
            }] },
            "condition": [{ "code": { "coding": [{ "system": SNOMED, "code": code, "display": display }] } }],
        }));
        Ok(())
    }

    /// Blood pressures, sometimes more than a page of them.
    fn pressures(&mut self) -> Result<Expected> {
        let count = match self.rng.gen_range(0..6) {
            0 => 0,
            1 => 45,
            _ => self.rng.gen_range(1..6),
        };
        let mut highest = None;
        for _ in 0..count {
            let ago = self.rng.gen_range(0..2 * PRESSURE_DAYS);
            let systolic = self.rng.gen_range(90..200);
            let sound = self.rng.gen_bool(0.8);
            let status = match sound {
                true => ["final", "amended", "corrected"].choose(self.rng),
                false => ["entered-in-error", "preliminary", "cancelled"].choose(self.rng),
            };
            self.pressure(ago, systolic, status.unwrap_or(&"final"), "mm[Hg]")?;
            if sound && ago < PRESSURE_DAYS {
                highest = highest.max(Some(systolic));
            }
        }
        if self.rng.gen_range(0..12) == 0 {
            self.pressure(10, 17, "final", "kPa")?;
            return Ok(Expected::Refused);
        }
        Ok(highest.map_or(Expected::NotKnown, Expected::Known))
    }

    fn pressure(&mut self, ago: i64, systolic: i64, status: &str, unit: &str) -> Result<()> {
        let code = |code: &str| json!({ "coding": [{ "system": LOINC, "code": code }] });
        let quantity = |value: i64| {
            let system = "http://unitsofmeasure.org";
            json!({ "value": value, "unit": unit, "system": system, "code": unit })
        };
        self.resources.push(json!({
            "resourceType": "Observation",
            "id": format!("{}-{}", self.id, self.resources.len()),
            "status": status,
            "category": [{ "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                "code": "vital-signs",
            }] }],
            "code": code("85354-9"),
            "subject": { "reference": format!("Patient/{}", self.id) },
            "effectiveDateTime": format!("{}T15:30:00Z", before(self.day_zero, ago)?),
            "component": [
                { "code": code("8480-6"), "valueQuantity": quantity(systolic) },
                { "code": code("8462-4"), "valueQuantity": quantity(systolic * 2 / 3) },
            ],
        }));
        Ok(())
    }
}
