//! Periods of cover that the calendar fixes.

use super::{birthday, from_2027, month_end, month_start, months_later};
use crate::units::{BadDate, Day};

/// How long cover lasts after a pregnancy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PostpartumRule {
    /// Twelve months (42 U.S.C. 1396a(e)(16)), in the states that took them up.
    TwelveMonths,
    /// Sixty days (42 CFR 435.170(b)).
    SixtyDays,
}

/// First day on which cover can begin for an application: the months before its month that a person can have covered.
///
/// Three months; for applications from 2027-01-01 one month for expansion adults and two for others
/// (42 CFR 435.915; P.L. 119-21 s. 71112).
///
/// # Errors
/// Before 1900.
pub fn retroactive_from(applied: Day, expansion_adult: bool) -> Result<Day, BadDate> {
    let months = match (applied < from_2027()?, expansion_adult) {
        (true, _) => 3,
        (false, true) => 1,
        (false, false) => 2,
    };
    months_later(month_start(applied)?, -months)
}

/// Last day of postpartum cover: the end of the month in which the period after the pregnancy ends.
///
/// # Errors
/// Past 2199.
pub fn postpartum_end(pregnancy_end: Day, rule: PostpartumRule) -> Result<Day, BadDate> {
    month_end(match rule {
        PostpartumRule::TwelveMonths => months_later(pregnancy_end, 12)?,
        PostpartumRule::SixtyDays => pregnancy_end.plus(60)?,
    })
}

/// Last day of a child's twelve months of continuous eligibility (42 CFR 435.926(c), (d)).
///
/// The period ends earlier on the day before the 19th birthday, on the day the child leaves the state, and when its
/// representative asks; other changes do not end it.
///
/// # Errors
/// Past 2199.
pub fn continuous_eligibility_end(
    begun: Day,
    birth: Day,
    left_state: Option<Day>,
    asked_to_end: Option<Day>,
) -> Result<Day, BadDate> {
    let mut end = months_later(begun, 12)?.plus(-1)?;
    end = end.min(birthday(birth, 19)?.plus(-1)?);
    for early in [left_state, asked_to_end].into_iter().flatten() {
        end = end.min(early.max(begun));
    }
    Ok(end)
}

/// Ages at which some group begins or ends.
const BOUNDARY_AGES: [u16; 7] = [1, 6, 18, 19, 21, 26, 65];

/// The next day known today on which a group may change: a birthday, or the day after a period.
///
/// # Errors
/// Past 2199.
pub fn next_boundary(as_of: Day, birth: Day, period_ends: &[Day]) -> Result<Option<Day>, BadDate> {
    let mut next: Option<Day> = None;
    let mut consider = |day: Day| {
        if day > as_of && next.is_none_or(|next| day < next) {
            next = Some(day);
        }
    };
    for age in BOUNDARY_AGES {
        consider(birthday(birth, age)?);
    }
    for end in period_ends {
        consider(end.plus(1)?);
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::super::tests::day;
    use super::*;

    #[test]
    fn retroactive_months_shrink_in_2027() {
        let from = |applied, adult| retroactive_from(day(applied), adult).unwrap().to_string();
        assert_eq!(from("2026-12-31", true), "2026-09-01");
        assert_eq!(from("2027-01-01", true), "2026-12-01");
        assert_eq!(from("2027-01-01", false), "2026-11-01");
        assert_eq!(from("2026-03-31", false), "2025-12-01");
    }

    #[test]
    fn postpartum_cover_ends_with_its_month() {
        let end = |from, rule| postpartum_end(day(from), rule).unwrap().to_string();
        assert_eq!(
            end("2026-03-02", PostpartumRule::TwelveMonths),
            "2027-03-31"
        );
        assert_eq!(
            end("2027-02-28", PostpartumRule::TwelveMonths),
            "2028-02-29"
        );
        assert_eq!(end("2026-03-02", PostpartumRule::SixtyDays), "2026-05-31");
        assert_eq!(end("2026-12-03", PostpartumRule::SixtyDays), "2027-02-28");
    }

    #[test]
    fn a_childs_year_ends_early_at_19_and_on_leaving_the_state() {
        let (begun, birth) = (day("2026-05-10"), day("2015-01-01"));
        let end =
            |birth, left, asked| continuous_eligibility_end(begun, birth, left, asked).unwrap();
        assert_eq!(end(birth, None, None), day("2027-05-09"));
        assert_eq!(end(day("2008-02-29"), None, None), day("2027-02-28"));
        assert_eq!(end(birth, Some(day("2026-09-01")), None), day("2026-09-01"));
        assert_eq!(end(birth, None, Some(day("2026-01-01"))), begun);
    }

    #[test]
    fn the_next_boundary_is_the_nearest_ahead() {
        let (as_of, birth) = (day("2026-11-20"), day("2007-11-21"));
        assert_eq!(
            next_boundary(as_of, birth, &[]),
            Ok(Some(day("2026-11-21")))
        );
        assert_eq!(
            next_boundary(day("2026-11-21"), birth, &[day("2027-01-31")]),
            Ok(Some(day("2027-02-01")))
        );
        assert_eq!(next_boundary(as_of, day("1950-01-01"), &[]), Ok(None));
    }
}
