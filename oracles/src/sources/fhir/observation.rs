//! Measurements of a patient in a stated unit (<https://hl7.org/fhir/R4/observation.html>,
//! <https://hl7.org/fhir/R4/observation-vitalsigns.html>).

use contracts::units::{Day, Period};
use serde::Deserialize;

use super::super::decimal::Decimal;
use super::super::error::SourceError;
use super::super::guard::Guard;
use super::super::guard::Over;
use super::super::steps;
use super::super::value::day;
use super::concept::{Concept, Reference, about, conforms, tokens};
use super::search::search;
use super::{FhirRead, FhirSource, Pick, Round};

const UCUM: &str = "http://unitsofmeasure.org";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Observation {
    status: String,
    code: Concept,
    subject: Reference,
    effective_date_time: Option<String>,
    effective_instant: Option<String>,
    effective_period: Option<EffectivePeriod>,
    value_quantity: Option<Quantity>,
    #[serde(default)]
    component: Vec<Component>,
}

#[derive(Deserialize)]
struct EffectivePeriod {
    end: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    code: Concept,
    value_quantity: Option<Quantity>,
}

#[derive(Deserialize)]
struct Quantity {
    value: Option<Decimal>,
    comparator: Option<String>,
    system: Option<String>,
    code: Option<String>,
}

impl FhirSource {
    /// The highest or the latest measurement in the period; none if there is none.
    pub(super) async fn observation(
        &self,
        read: &FhirRead,
        patient: &str,
        period: Period,
    ) -> Result<Option<i64>, SourceError> {
        let guard = &self.0.guard;
        let codes = tokens(read.panel.iter().chain(&read.codes));
        let (from, to) = (format!("ge{}", period.start), format!("le{}", period.end));
        let query = [
            ("patient", patient),
            ("code", codes.as_str()),
            ("date", &from),
            ("date", &to),
        ];
        let mut found: Vec<(Day, i64)> = Vec::new();
        let resources = search(&self.0, "Observation", &query, Over::Refuse).await?;
        for resource in resources.matches {
            let observation: Observation = resource.read().map_err(|misfit| {
                let field = format!("Observation.{}", misfit.place());
                guard.malformed(&field, misfit.expected())
            })?;
            about(
                &self.0,
                &observation.subject,
                patient,
                "Observation.subject",
            )?;
            let quantities = observation.quantities(read);
            if quantities.is_empty() || !observation.is_final(guard)? {
                continue;
            }
            conforms(&self.0, read, "Observation", &resource)?;
            let day = observation.day(guard)?;
            if !(period.start..=period.end).contains(&day) {
                continue;
            }
            for quantity in quantities {
                if let Some(value) = quantity.whole(guard, read)? {
                    steps::note("record", || format!("{value} {} on {day}", read.unit));
                    found.push((day, value));
                }
            }
        }
        match read.pick {
            Pick::Max => Ok(found.iter().map(|(_, value)| *value).max()),
            Pick::Latest => {
                let latest = found.iter().map(|(day, _)| *day).max();
                let mut last = found.iter().filter(|(day, _)| Some(*day) == latest);
                let value = last.next().map(|(_, value)| *value);
                match last.all(|(_, other)| Some(*other) == value) {
                    true => Ok(value),
                    false => Err(guard.ambiguous("the latest day of Observation.effective")),
                }
            }
        }
    }
}

impl Observation {
    /// The quantities of the value set: the observation's own, or those of its components.
    fn quantities(&self, read: &FhirRead) -> Vec<&Quantity> {
        let own = self
            .value_quantity
            .iter()
            .filter(|_| self.code.is_in(&read.codes));
        let parts = self
            .component
            .iter()
            .filter(|part| part.code.is_in(&read.codes))
            .filter_map(|part| part.value_quantity.as_ref());
        own.chain(parts).collect()
    }

    fn is_final(&self, guard: &Guard) -> Result<bool, SourceError> {
        match self.status.as_str() {
            "final" | "amended" | "corrected" => Ok(true),
            "registered" | "preliminary" | "cancelled" | "entered-in-error" | "unknown" => {
                Ok(false)
            }
            _ => Err(guard.malformed("Observation.status", "a code of observation-status")),
        }
    }

    fn day(&self, guard: &Guard) -> Result<Day, SourceError> {
        let ended = self
            .effective_period
            .as_ref()
            .and_then(|it| it.end.as_ref());
        let time = [&self.effective_date_time, &self.effective_instant];
        let time = time.into_iter().flatten().chain(ended).next();
        time.and_then(|time| day(time)).ok_or_else(|| {
            guard.malformed(
                "Observation.effective",
                "a date or time, precise to the day",
            )
        })
    }
}

impl Quantity {
    /// The value in the unit of the mapping, whole; none where the measurement has none (`dataAbsentReason`).
    fn whole(&self, guard: &Guard, read: &FhirRead) -> Result<Option<i64>, SourceError> {
        let Some(value) = self.value else {
            return Ok(None);
        };
        if self.comparator.is_some() {
            let expected = "absent: a bound is no measurement";
            return Err(guard.malformed("valueQuantity.comparator", expected));
        }
        let ucum = self.system.as_deref() == Some(UCUM);
        if !ucum || self.code.as_deref() != Some(read.unit.as_str()) {
            let expected = format!("{} of UCUM", read.unit);
            return Err(guard.malformed("valueQuantity.code", &expected));
        }
        let (whole, expected) = match read.round {
            None => (
                value.scaled(0),
                "a whole number of the unit, or `round` in its mapping",
            ),
            Some(Round::Up) => (value.ceil(), "a number of 64 bits"),
            Some(Round::Down) => (value.floor(), "a number of 64 bits"),
        };
        whole
            .map(Some)
            .ok_or_else(|| guard.malformed("valueQuantity.value", expected))
    }
}
