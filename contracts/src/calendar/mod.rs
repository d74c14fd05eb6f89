//! The calendar of eligibility as pure functions over days: no clock, no state, each with its law.
//!
//! A period of `n` days that begins with an event does not count the day of the event. A month later is the same day
//! of the next month, or that month's last.

mod coverage;
mod engagement;
mod notice;
mod renewal;

pub use coverage::{
    PostpartumRule, continuous_eligibility_end, next_boundary, postpartum_end, retroactive_from,
};
pub use engagement::{
    Activity, Exclusion, MonthRecord, MonthResult, Noncompliance, engagement_month, look_back_met,
    months_looked_back, noncompliance,
};
pub use notice::{
    AdverseAction, advance_notice_latest, hearing_request_until, keeps_benefits,
    reasonable_opportunity_end,
};
pub use renewal::{
    RenewalPlan, Renews, determination_deadline, reconsideration_until, renewal_due, renewal_plan,
};

use crate::units::{BadDate, Day};

/// What a determination rests on (42 CFR 435.912(c)(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Basis {
    /// Disability: 90 days.
    Disability,
    /// Anything else: 45 days.
    Other,
}

/// The first day of the quarter that begins after 31 December 2026, on which P.L. 119-21 ss. 71107, 71112 and 71119 begin.
pub const FROM_2027: (i32, u8, u8) = (2027, 1, 1);

fn from_2027() -> Result<Day, BadDate> {
    let (year, month, day) = FROM_2027;
    Day::from_ymd(year, month, day)
}

/// The same day of the month so many months later, or that month's last day.
///
/// # Errors
/// The result is outside 1900 to 2199.
pub fn months_later(day: Day, months: i32) -> Result<Day, BadDate> {
    let date = day.date();
    let index = date.year() * 12 + i32::from(u8::from(date.month())) - 1 + months;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    let month = u8::try_from(month).map_err(|_| BadDate(format!("month {month}")))?;
    (28..=date.day())
        .rev()
        .chain([date.day()])
        .find_map(|of_month| Day::from_ymd(year, month, of_month).ok())
        .ok_or_else(|| BadDate(format!("{months} months after {day}")))
}

/// The first day of the month.
///
/// # Errors
/// Never for a day within 1900 to 2199.
pub fn month_start(day: Day) -> Result<Day, BadDate> {
    let date = day.date();
    Day::from_ymd(date.year(), u8::from(date.month()), 1)
}

/// The last day of the month.
///
/// # Errors
/// The month after would be past 2199.
pub fn month_end(day: Day) -> Result<Day, BadDate> {
    months_later(month_start(day)?, 1)?.plus(-1)
}

/// The day on which somebody attains an age; born on 29 February, on 1 March where that day is absent.
///
/// # Errors
/// Past 2199.
pub fn birthday(birth: Day, age: u16) -> Result<Day, BadDate> {
    let date = birth.date();
    let (year, month) = (date.year() + i32::from(age), u8::from(date.month()));
    Day::from_ymd(year, month, date.day()).or_else(|error| {
        if month == 2 && date.day() == 29 {
            Day::from_ymd(year, 3, 1)
        } else {
            Err(error)
        }
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn months_end_where_the_day_is_absent() {
        let later = |from, months| months_later(day(from), months).unwrap().to_string();
        assert_eq!(later("2026-01-31", 1), "2026-02-28");
        assert_eq!(later("2028-01-31", 1), "2028-02-29");
        assert_eq!(later("2026-03-31", -1), "2026-02-28");
        assert_eq!(later("2026-12-15", 1), "2027-01-15");
        assert_eq!(later("2026-08-31", 6), "2027-02-28");
        assert_eq!(later("2026-01-31", -12), "2025-01-31");
        assert_eq!(month_end(day("2026-12-01")), Ok(day("2026-12-31")));
        assert_eq!(month_end(day("2028-02-29")), Ok(day("2028-02-29")));
    }

    #[test]
    fn birthdays_agree_with_the_compiled_age_rule() {
        for birth in ["2004-02-29", "2007-11-20", "2005-03-01", "1999-12-31"] {
            for age in [1u16, 6, 18, 19, 21] {
                let attained = birthday(day(birth), age).unwrap();
                assert!(attained.years_before(age).unwrap() >= day(birth));
                let eve = attained.plus(-1).unwrap();
                assert!(eve.years_before(age).unwrap() < day(birth), "{birth} {age}");
            }
        }
    }
}
