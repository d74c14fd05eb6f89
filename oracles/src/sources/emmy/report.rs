//! The parts of an Emmy income report that decide a fact. Other fields are the schema's, which allows additions, and are not
//! read.

use contracts::units::{Day, Period};
use serde::Deserialize;

use super::super::decimal::Decimal;

#[derive(Deserialize)]
pub(super) struct Report {
    pub(super) completed_at: String,
    pub(super) agency_partner_metadata: Metadata,
    pub(super) income_report: IncomeReport,
}

#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) case_number: String,
}

#[derive(Deserialize)]
pub(super) struct IncomeReport {
    pub(super) has_other_jobs: bool,
    pub(super) employments: Vec<Employment>,
}

#[derive(Deserialize)]
pub(super) struct Employment {
    #[serde(default)]
    pub(super) applicant_ssn: Option<String>,
    pub(super) employer_name: String,
    #[serde(default)]
    pub(super) employment_end_date: Option<Day>,
    #[serde(default)]
    pub(super) pay_frequency: Option<Frequency>,
    pub(super) paystubs: Vec<Paystub>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Frequency {
    Daily,
    Weekly,
    Biweekly,
    Semimonthly,
    Monthly,
    Quarterly,
    Variable,
}

#[derive(PartialEq, Eq, Deserialize)]
pub(super) struct Paystub {
    pub(super) pay_date: Day,
    #[serde(default)]
    pub(super) pay_period_start: Option<Day>,
    #[serde(default)]
    pub(super) pay_period_end: Option<Day>,
    pub(super) pay_gross: i64,
    #[serde(default)]
    pub(super) pay_gross_ytd: Option<i64>,
    #[serde(default)]
    pub(super) pay_net: Option<i64>,
    #[serde(default)]
    pub(super) hours_paid: Option<Decimal>,
    #[serde(default)]
    pub(super) deductions: Vec<Deduction>,
}

#[derive(PartialEq, Eq, Deserialize)]
pub(super) struct Deduction {
    pub(super) tax: Tax,
    pub(super) amount: Option<i64>,
}

#[derive(PartialEq, Eq, Deserialize)]
pub(super) enum Tax {
    #[serde(rename = "pre_tax")]
    Before,
    #[serde(rename = "post_tax")]
    After,
    #[serde(rename = "unknown")]
    Unknown,
}

impl Paystub {
    /// The days that were paid for. What is not stated follows from the frequency; where that says nothing either (gig work),
    /// the pay date alone stands for them.
    pub(super) fn span(&self, frequency: Option<Frequency>) -> Option<Period> {
        let end = match (self.pay_period_end, self.pay_period_start) {
            (Some(end), _) => end,
            (None, Some(start)) => last_day(start, frequency).unwrap_or(self.pay_date),
            (None, None) => self.pay_date,
        };
        let start = match self.pay_period_start {
            Some(start) => start,
            None => first_day(end, frequency)?,
        };
        Some(Period { start, end })
    }
}

fn first_day(end: Day, frequency: Option<Frequency>) -> Option<Day> {
    match frequency {
        Some(Frequency::Weekly) => end.plus(-6).ok(),
        Some(Frequency::Biweekly) => end.plus(-13).ok(),
        // The 1st to the 15th, and the 16th to the end of the month.
        Some(Frequency::Semimonthly) => {
            let date = end.date();
            let first = if date.day() <= 15 { 1 } else { 16 };
            Day::from_ymd(date.year(), date.month().into(), first).ok()
        }
        Some(Frequency::Monthly) => months(end, -1)?.plus(1).ok(),
        Some(Frequency::Quarterly) => months(end, -3)?.plus(1).ok(),
        Some(Frequency::Daily | Frequency::Variable) | None => Some(end),
    }
}

fn last_day(start: Day, frequency: Option<Frequency>) -> Option<Day> {
    match frequency? {
        Frequency::Daily => Some(start),
        Frequency::Weekly => start.plus(6).ok(),
        Frequency::Biweekly => start.plus(13).ok(),
        Frequency::Semimonthly => {
            let date = start.date();
            let month_end = date.month().length(date.year());
            let last = if date.day() <= 15 { 15 } else { month_end };
            Day::from_ymd(date.year(), date.month().into(), last).ok()
        }
        Frequency::Monthly => months(start, 1)?.plus(-1).ok(),
        Frequency::Quarterly => months(start, 3)?.plus(-1).ok(),
        Frequency::Variable => None,
    }
}

/// The same day so many months later; the last of a month stays the last.
fn months(day: Day, by: i32) -> Option<Day> {
    let date = day.date();
    let index = date.year() * 12 + i32::from(u8::from(date.month())) - 1 + by;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    let month = u8::try_from(month).ok()?;
    let length = time::Month::try_from(month).ok()?.length(year);
    let is_last = date.day() == date.month().length(date.year());
    let of_month = if is_last {
        length
    } else {
        date.day().min(length)
    };
    Day::from_ymd(year, month, of_month).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stub(from: Option<&str>, to: Option<&str>) -> Paystub {
        Paystub {
            pay_date: "2026-03-31".parse().unwrap(),
            pay_period_start: from.map(|day| day.parse().unwrap()),
            pay_period_end: to.map(|day| day.parse().unwrap()),
            pay_gross: 1,
            pay_gross_ytd: None,
            pay_net: None,
            hours_paid: None,
            deductions: Vec::new(),
        }
    }

    #[test]
    fn a_pay_period_that_is_not_stated_follows_from_the_frequency() {
        use Frequency::*;
        for (from, to, frequency, expected) in [
            (
                Some("2026-03-01"),
                Some("2026-03-09"),
                Some(Weekly),
                "2026-03-01/2026-03-09",
            ),
            (None, None, Some(Daily), "2026-03-31/2026-03-31"),
            (None, None, Some(Weekly), "2026-03-25/2026-03-31"),
            (None, None, Some(Biweekly), "2026-03-18/2026-03-31"),
            (None, None, Some(Semimonthly), "2026-03-16/2026-03-31"),
            (
                None,
                Some("2026-02-15"),
                Some(Semimonthly),
                "2026-02-01/2026-02-15",
            ),
            (
                Some("2026-02-16"),
                None,
                Some(Semimonthly),
                "2026-02-16/2026-02-28",
            ),
            (None, None, Some(Monthly), "2026-03-01/2026-03-31"),
            (
                None,
                Some("2026-03-25"),
                Some(Monthly),
                "2026-02-26/2026-03-25",
            ),
            (
                None,
                Some("2026-03-30"),
                Some(Monthly),
                "2026-03-01/2026-03-30",
            ),
            (
                Some("2026-01-31"),
                None,
                Some(Monthly),
                "2026-01-31/2026-02-27",
            ),
            (None, None, Some(Quarterly), "2026-01-01/2026-03-31"),
            (
                Some("2026-01-01"),
                None,
                Some(Quarterly),
                "2026-01-01/2026-03-31",
            ),
            (
                Some("2026-03-20"),
                None,
                Some(Variable),
                "2026-03-20/2026-03-31",
            ),
            (None, None, Some(Variable), "2026-03-31/2026-03-31"),
            (None, None, None, "2026-03-31/2026-03-31"),
        ] {
            let span = stub(from, to).span(frequency).unwrap();
            assert_eq!(span.to_string(), expected, "{from:?} {to:?}");
        }
    }
}
