//! Determination deadlines, renewals and reconsideration.

use super::{Basis, from_2027, months_later};
use crate::units::{BadDate, Day};

/// How often somebody is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Renews {
    /// Every twelve months (42 CFR 435.916(a)).
    Yearly,
    /// An expansion adult: every six months for renewals scheduled from 2027-01-01 (42 U.S.C. 1396a(e)(14)(L)).
    ExpansionAdult,
    /// An expansion adult who is an American Indian or Alaska Native, exempt from the six months (clause (ii)).
    ExpansionAdultIndian,
}

/// The days of one renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalPlan {
    /// From this day the agency tries with data at hand (*ex parte*, 42 CFR 435.916(b)).
    pub ex_parte_from: Day,
    /// Last day to send the prefilled form so that 30 days to answer and 10 days of notice are left.
    pub form_by: Day,
    /// Last day on which the person may return it.
    pub answer_until: Day,
    /// Last day of the eligibility period.
    pub period_end: Day,
}

/// Days before the end of a period at which the ex parte renewal begins here; the state's choice.
const EX_PARTE_DAYS: i64 = 90;
/// Days that a person has at least to return the renewal form (42 CFR 435.916(b)(2)(i)(B)).
const FORM_DAYS: i64 = 30;
/// Days of advance notice (42 CFR 431.211).
const NOTICE_DAYS: i64 = 10;

/// Last day for a determination, from the day of application (42 CFR 435.912(c)(3)).
///
/// # Errors
/// Past 2199.
pub fn determination_deadline(applied: Day, basis: Basis) -> Result<Day, BadDate> {
    applied.plus(match basis {
        Basis::Disability => 90,
        Basis::Other => 45,
    })
}

/// The day on which the next renewal is due after a determination.
///
/// The six months of an expansion adult hold for redeterminations *scheduled* on or after 2027-01-01: a renewal that
/// the yearly rule schedules before then stays where it is; a later one moves to six months after the determination,
/// but not before 2027-01-01.
///
/// # Errors
/// Past 2199.
pub fn renewal_due(determined: Day, renews: Renews) -> Result<Day, BadDate> {
    let yearly = months_later(determined, 12)?;
    let begins = from_2027()?;
    if renews != Renews::ExpansionAdult || yearly < begins {
        return Ok(yearly);
    }
    Ok(months_later(determined, 6)?.max(begins))
}

/// The days of the renewal of a period that ends on `period_end`.
///
/// # Errors
/// Before 1900.
pub fn renewal_plan(period_end: Day) -> Result<RenewalPlan, BadDate> {
    let answer_until = period_end.plus(-NOTICE_DAYS)?;
    Ok(RenewalPlan {
        ex_parte_from: period_end.plus(-EX_PARTE_DAYS)?,
        form_by: answer_until.plus(-FORM_DAYS)?,
        answer_until,
        period_end,
    })
}

/// Last day on which a returned form reopens a case closed for not returning it, without a new application
/// (42 CFR 435.916(b)(2)(iii)).
///
/// # Errors
/// Past 2199.
pub fn reconsideration_until(closed: Day) -> Result<Day, BadDate> {
    closed.plus(90)
}

#[cfg(test)]
mod tests {
    use super::super::tests::day;
    use super::*;

    #[test]
    fn determinations_take_45_days_and_90_for_disability() {
        let applied = day("2026-11-20");
        assert_eq!(
            determination_deadline(applied, Basis::Other),
            Ok(day("2027-01-04"))
        );
        assert_eq!(
            determination_deadline(applied, Basis::Disability),
            Ok(day("2027-02-18"))
        );
    }

    #[test]
    fn six_months_hold_for_renewals_scheduled_from_2027() {
        let due = |from, renews| renewal_due(day(from), renews).unwrap().to_string();
        assert_eq!(due("2025-12-31", Renews::ExpansionAdult), "2026-12-31");
        assert_eq!(due("2026-01-01", Renews::ExpansionAdult), "2027-01-01");
        assert_eq!(due("2026-06-30", Renews::ExpansionAdult), "2027-01-01");
        assert_eq!(due("2026-08-31", Renews::ExpansionAdult), "2027-02-28");
        assert_eq!(due("2027-03-15", Renews::ExpansionAdult), "2027-09-15");
        assert_eq!(
            due("2027-03-15", Renews::ExpansionAdultIndian),
            "2028-03-15"
        );
        assert_eq!(due("2027-03-15", Renews::Yearly), "2028-03-15");
        assert_eq!(due("2024-02-29", Renews::Yearly), "2025-02-28");
    }

    #[test]
    fn the_form_leaves_thirty_days_and_then_ten() {
        let plan = renewal_plan(day("2027-06-30")).unwrap();
        assert_eq!(plan.answer_until, day("2027-06-20"));
        assert_eq!(plan.form_by, day("2027-05-21"));
        assert_eq!(plan.ex_parte_from, day("2027-04-01"));
        assert_eq!(
            reconsideration_until(day("2027-06-30")),
            Ok(day("2027-09-28"))
        );
    }
}
