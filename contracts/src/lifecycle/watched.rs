//! What a watched fact is to a lifecycle, once a quorum of its committee says that it changed.

use serde::{Deserialize, Serialize};

use crate::ids::AttributeId;

/// What kind of fact changed. A watch tells neither its value nor whether it went up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watched {
    /// Wages, deposits or resources.
    Income,
    /// Who lives together and depends on whom, and where within the state.
    Household,
    /// Disability, blindness, pregnancy: a diagnosis or a recovery.
    Health,
    /// Citizenship, immigration, or what another programme gives.
    Status,
    /// Hours of community engagement, or what excludes from it.
    Engagement,
}

/// What follows from a changed fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    /// [`Change::Watched`](super::Change::Watched).
    Changed(Watched),
    /// [`Change::Moved`](super::Change::Moved), once it is known where to.
    Moved,
}

/// What a change of an attribute means; none where no eligibility follows from it, or where the calendar or an agency's own
/// word tells it.
pub fn meaning(attribute: &AttributeId) -> Option<Meaning> {
    use Watched::{Engagement, Health, Household, Income, Status};
    Some(Meaning::Changed(match attribute.0.as_str() {
        "residence.state" => return Some(Meaning::Moved),
        "income.magi_monthly"
        | "income.earned_monthly"
        | "income.abd_countable_monthly"
        | "income.countable_resources"
        | "income.deposit_account_linked"
        | "income.deposits_monthly" => Income,
        "household.size"
        | "household.dependents"
        | "household.caretaker_relative"
        | "household.two_parents"
        | "household.abd_unit_size"
        | "residence.locality_group" => Household,
        "medical.disabled" | "medical.blind" | "medical.pregnant" | "medical.postpartum" => Health,
        "identity.medicaid_immigration_status"
        | "identity.lawfully_residing"
        | "identity.medicare"
        | "identity.ssi"
        | "identity.other_coverage" => Status,
        "income.engagement_met" | "income.work_hours_monthly" | "household.engagement_excluded" => {
            Engagement
        }
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::catalogue;

    #[test]
    fn every_attribute_means_something_or_is_told_otherwise() {
        let meant = |id: &AttributeId| meaning(id).is_some();
        let rest: Vec<_> = catalogue()
            .iter()
            .map(|attribute| &attribute.id)
            .filter(|id| !meant(id))
            .map(|id| id.0.as_str())
            .collect();
        assert_eq!(
            rest,
            [
                // What somebody was born as does not change; age goes by the calendar.
                "household.former_foster_care",
                "household.mother_on_medicaid_at_birth",
                "identity.birth_city",
                "identity.birth_date",
                // An agency's own word.
                "identity.certification_end",
                "identity.medicaid_enrolled",
                "identity.person",
                "identity.ssn_valid",
                // No eligibility follows.
                "medical.asthma",
                "medical.record_linked",
                "medical.systolic_mmhg",
            ]
        );
    }
}
