//! Whether a patient has a condition of a value set (<https://hl7.org/fhir/R4/condition.html>).

use contracts::units::Day;
use serde::Deserialize;

use super::super::error::SourceError;
use super::super::guard::Guard;
use super::super::guard::Over;
use super::super::steps;
use super::super::value::day;
use super::concept::{Concept, Reference, about, conforms, tokens};
use super::search::search;
use super::{FhirRead, FhirSource};

const CLINICAL_STATUS: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
const VERIFICATION_STATUS: &str = "http://terminology.hl7.org/CodeSystem/condition-ver-status";
const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/condition-category";
/// The codes below `active` in its code system; a server compares codes one by one.
const ACTIVE: [&str; 3] = ["active", "recurrence", "relapse"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    subject: Reference,
    clinical_status: Option<Concept>,
    verification_status: Option<Concept>,
    code: Option<Concept>,
    #[serde(default)]
    category: Vec<Concept>,
    onset_date_time: Option<String>,
    abatement_date_time: Option<String>,
}

/// What one condition says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Has,
    HasNot,
    /// Somebody suspects it, or nobody said whether it goes on or is confirmed.
    Unsure,
}

impl FhirSource {
    /// 1 if one condition is active and confirmed, 0 if none could be meant, none where one is suspected only.
    ///
    /// Of the verification status, `refuted` and `entered-in-error` deny a condition; `unconfirmed`, `provisional`,
    /// `differential` and none leave it open. The family's history is another resource, and has codes of its own.
    pub(super) async fn condition(
        &self,
        read: &FhirRead,
        patient: &str,
        as_of: Day,
    ) -> Result<Option<i64>, SourceError> {
        let codes = tokens(&read.codes);
        // Not by status: a condition without one would then pass for none.
        let query = [("patient", patient), ("code", codes.as_str())];
        let mut said = Says::HasNot;
        let found = search(&self.0, "Condition", &query, Over::Refuse).await?;
        for resource in found.matches {
            let guard = &self.0.guard;
            let condition: Condition = resource.read().map_err(|misfit| {
                guard.malformed(&format!("Condition.{}", misfit.place()), misfit.expected())
            })?;
            about(&self.0, &condition.subject, patient, "Condition.subject")?;
            if !condition.counts(read) {
                continue;
            }
            conforms(&self.0, read, "Condition", &resource)?;
            let says = condition.says(guard, as_of)?;
            steps::note("record", || match says {
                Says::Has => "a condition, active and confirmed".to_owned(),
                Says::HasNot => "a condition that is over, denied or to come".to_owned(),
                Says::Unsure => "a condition that nobody confirmed".to_owned(),
            });
            said = match (said, says) {
                (Says::Has, _) | (_, Says::Has) => Says::Has,
                (Says::Unsure, _) | (_, Says::Unsure) => Says::Unsure,
                _ => Says::HasNot,
            };
        }
        Ok(match said {
            Says::Has => Some(1),
            Says::HasNot => Some(0),
            Says::Unsure => None,
        })
    }
}

impl Condition {
    /// Whether it is of the value set, and of a category asked for. The server's word is not taken for either.
    fn counts(&self, read: &FhirRead) -> bool {
        let of_category = |category: &Concept| {
            let mut codes = category.codes(CATEGORY);
            codes.any(|code| read.category.iter().any(|wanted| wanted == code))
        };
        let code = self.code.as_ref();
        code.is_some_and(|code| code.is_in(&read.codes))
            && (read.category.is_empty() || self.category.iter().any(of_category))
    }

    fn says(&self, guard: &Guard, as_of: Day) -> Result<Says, SourceError> {
        let status = |concept: &Option<Concept>, system: &str, field: &str| {
            let Some(concept) = concept else {
                return Ok(None);
            };
            let mut codes = concept.codes(system).map(str::to_owned);
            match (codes.next(), codes.next()) {
                (Some(code), None) => Ok(Some(code)),
                _ => Err(guard.malformed(field, "one code of its value set")),
            }
        };
        let clinical = "Condition.clinicalStatus";
        let clinical = status(&self.clinical_status, CLINICAL_STATUS, clinical)?;
        let verification = "Condition.verificationStatus";
        let verification = status(&self.verification_status, VERIFICATION_STATUS, verification)?;
        let active = match clinical.as_deref() {
            Some(code) if ACTIVE.contains(&code) => Some(true),
            Some("inactive" | "remission" | "resolved") => Some(false),
            None => None,
            Some(_) => {
                let expected = "a code of condition-clinical";
                return Err(guard.malformed("Condition.clinicalStatus", expected));
            }
        };
        // con-4 and con-5 of the resource's invariants.
        if self.abatement_date_time.is_some() && active == Some(true) {
            let expected = "absent while the condition is active (con-4)";
            return Err(guard.malformed("Condition.abatement", expected));
        }
        if verification.as_deref() == Some("entered-in-error") && active.is_some() {
            // A record that contradicts itself in this way still says that it is an error.
            return Ok(Says::HasNot);
        }
        let onset = self.onset_date_time.as_deref().and_then(day);
        if onset.is_some_and(|onset| onset > as_of) {
            return Ok(Says::HasNot);
        }
        Ok(match (active, verification.as_deref()) {
            (_, Some("refuted" | "entered-in-error")) | (Some(false), _) => Says::HasNot,
            (Some(true), Some("confirmed")) => Says::Has,
            (_, None | Some("confirmed" | "unconfirmed" | "provisional" | "differential")) => {
                Says::Unsure
            }
            _ => {
                let expected = "a code of condition-ver-status";
                return Err(guard.malformed("Condition.verificationStatus", expected));
            }
        })
    }
}
