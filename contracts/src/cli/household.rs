//! `rules check --household`: one household, every basis tested, with what decided it.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;

use contracts::calendar::next_boundary;
use contracts::ids::Jurisdiction;
use contracts::rules::{Contract, Kind, Outcome as Verdict, RuleError, registry};
use contracts::screening::{Decision, Defaults, Household, Member, Role, Screener};
use contracts::units::{Cents, Day};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Finding, Outcome};

/// Bytes that a household file may have.
const MAX_FILE: u64 = 256 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    state: Jurisdiction,
    members: Vec<Person>,
}

/// One member; what is left out takes the defaults that `--defaults` prints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    id: String,
    role: Place,
    birth_date: Day,
    #[serde(default)]
    annual_earned_income_cents: i64,
    #[serde(default)]
    monthly_hours: u16,
    #[serde(default)]
    pregnant: bool,
    #[serde(default)]
    postpartum: bool,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    blind: bool,
    #[serde(default)]
    receives_ssi: bool,
    #[serde(default)]
    medicare: bool,
    #[serde(default)]
    former_foster_care: bool,
    #[serde(default)]
    other_coverage: bool,
    #[serde(default)]
    mother_on_medicaid_at_birth: bool,
    #[serde(default)]
    resources_cents: i64,
    locality_group: Option<i64>,
    immigration_status: String,
    years_since_entry: Option<u8>,
    /// Last day of the present eligibility period.
    period_end: Option<Day>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Place {
    Head,
    Spouse,
    Child,
}

/// Whole years of age on a day.
fn age(birth: Day, as_of: Day) -> u8 {
    let attained = |years: &u8| {
        as_of
            .years_before(u16::from(*years))
            .is_ok_and(|day| birth <= day)
    };
    (0..=120).rev().find(attained).unwrap_or(0)
}

fn member(person: &Person, as_of: Day) -> Member {
    let standard = Defaults::default();
    Member {
        role: match person.role {
            Place::Head => Role::Head,
            Place::Spouse => Role::Spouse,
            Place::Child => Role::Child,
        },
        age: age(person.birth_date, as_of),
        annual_earned: person.annual_earned_income_cents,
        monthly_hours: person.monthly_hours,
        pregnant: person.pregnant,
        disabled: person.disabled,
        ssi: person.receives_ssi,
        class: person.immigration_status.clone(),
        years_since_entry: person.years_since_entry,
        birth: Some(person.birth_date),
        instead: Some(Box::new(Defaults {
            medicare: person.medicare,
            former_foster_care: person.former_foster_care,
            other_coverage: person.other_coverage,
            mother_on_medicaid_at_birth: person.mother_on_medicaid_at_birth,
            postpartum: person.postpartum,
            blind: person.blind,
            resources: person.resources_cents,
            locality_group: person.locality_group.unwrap_or(standard.locality_group),
        })),
    }
}

pub fn run(path: &Path, as_of: Day) -> Outcome {
    let named = |error: &dyn Error| format!("{}: {error}", path.display());
    if fs::metadata(path).map_err(|error| named(&error))?.len() > MAX_FILE {
        return Err(format!("{}: more than {MAX_FILE} bytes", path.display()).into());
    }
    let text = fs::read_to_string(path).map_err(|error| named(&error))?;
    let input: Input = serde_json::from_str(&text).map_err(|error| named(&error))?;
    if let Some(person) = input
        .members
        .iter()
        .find(|person| person.birth_date > as_of)
    {
        return Err(format!("{}: {} is born after {as_of}", path.display(), person.id).into());
    }
    let household = Household {
        state: input.state,
        members: input
            .members
            .iter()
            .map(|person| member(person, as_of))
            .collect(),
    };
    let mut screener = Screener::new(as_of, Defaults::default());
    let mut decisions: Vec<Decision> = Vec::new();
    screener.screen(&household, |_, decision| decisions.push(decision.clone()))?;
    let mut people = Vec::new();
    for (index, (person, decision)) in input.members.iter().zip(&decisions).enumerate() {
        let facts = screener.facts(&household, index)?;
        let value = |name: &str| facts.get(name).copied().flatten();
        let ends: Vec<Day> = person.period_end.into_iter().collect();
        people.push(json!({
            "id": person.id,
            "medicaid": decision.medicaid.as_str(),
            "chip": decision.chip.as_str(),
            "category": decision.category.map(|category| category.as_str()),
            "reason": decision.reason,
            "citations": decision.citations,
            "engagement_met": decision.engagement,
            "next_boundary": next_boundary(as_of, person.birth_date, &ends)?,
            "household_size": value("household.size"),
            "income_magi_monthly": value("income.magi_monthly").map(|cents| Cents(cents).to_string()),
            "bases": bases(input.state, as_of, &value)?,
        }));
    }
    println!(
        "{}",
        serde_json::to_string_pretty(&json!({ "as_of": as_of, "people": people }))?
    );
    Ok(Finding::Fine)
}

/// Every group contract of the state with what it comes to.
fn bases(
    state: Jurisdiction,
    as_of: Day,
    value: &dyn Fn(&str) -> Option<i64>,
) -> Result<Vec<Value>, Box<dyn Error>> {
    let mut bases = Vec::new();
    let groups = registry().iter().map(|(contract, _)| contract);
    for contract in
        groups.filter(|contract| contract.kind == Kind::Group && contract.in_force(as_of))
    {
        let compiled = match registry().compile(&contract.id, &state, as_of) {
            Ok(compiled) => compiled,
            Err(RuleError::NotOffered { .. }) => {
                bases.push(json!({ "contract": contract.id, "verdict": "NOT-OFFERED" }));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let values: Vec<Option<i64>> = compiled
            .facts
            .iter()
            .map(|fact| value(&fact.attribute.0))
            .collect();
        let (verdict, reasons, missing) = match compiled.evaluate(&values).verdict {
            Verdict::Yes => ("YES", Vec::new(), Vec::new()),
            Verdict::No { reasons } => ("NO", reasons, Vec::new()),
            Verdict::NeedsInfo { missing } => ("NEEDS-INFO", Vec::new(), missing),
        };
        let missing: BTreeSet<String> = missing.into_iter().map(|fact| fact.attribute.0).collect();
        let rested = compiled
            .clauses
            .iter()
            .filter(|clause| reasons.is_empty() || reasons.contains(&clause.reason));
        let citations: BTreeSet<&str> = rested.map(|clause| clause.citation.as_str()).collect();
        bases.push(json!({
            "contract": contract.id,
            "hash": compiled.contract.hash,
            "verdict": verdict,
            "reasons": reasons,
            "missing": missing,
            "citations": citations,
            "limits": limits(contract, state, as_of, value("household.size")),
        }));
    }
    Ok(bases)
}

/// The limits that a contract applies to a household of this size.
fn limits(contract: &Contract, state: Jurisdiction, as_of: Day, size: Option<i64>) -> Vec<Value> {
    let rules = contract.clauses.iter().map(|clause| &clause.rule);
    let applied = rules.flat_map(|rule| registry().applied(rule, state, as_of));
    applied
        .map(|applied| {
            let month = applied
                .monthly
                .iter()
                .find(|(of, _)| Some(i64::from(*of)) == size);
            json!({
                "what": applied.what,
                "rule": applied.rule,
                "monthly": month.map(|(_, cents)| Cents(*cents).to_string()),
                "source": applied.source,
            })
        })
        .collect()
}
