//! From payroll's records to Emmy income reports.

use contracts::units::{Day, UnixTime};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::Date;

use super::super::times::rfc3339;
use super::super::{ExternalError, Result};
use super::records::{Account, Deduction, Employment, Frequency};

/// Days of pay that a report goes back.
const LOOK_BACK_DAYS: i64 = 90;
/// From the end of a pay period to its pay date.
const PAY_LAG_DAYS: i64 = 5;
/// Seconds after midnight UTC at which people of the fixtures complete their reports.
const COMPLETION_SECOND: i64 = 17 * 3600 + 4 * 60 + 9;

/// Every report completed by `time`, latest first. `events` is when payroll learnt that the jobs had ended, or that work was
/// found (true); a report is completed at each.
pub(super) fn all(
    account: &Account,
    events: &[(UnixTime, bool)],
    time: UnixTime,
) -> Result<Vec<Value>> {
    let at = |day: Day| UnixTime(day.start().0 + COMPLETION_SECOND);
    let yesterday = time.day().and_then(|today| today.plus(-1));
    let latest = match account.daily {
        true => Some(at(yesterday.map_err(out_of_range)?)),
        false => None,
    };
    let mut completions: Vec<UnixTime> = account
        .reports
        .iter()
        .map(|day| at(*day))
        .chain(latest)
        .chain(events.iter().map(|(at, _)| *at))
        .filter(|completed| *completed <= time)
        .collect();
    completions.sort_unstable_by(|a, b| b.cmp(a));
    // One report of an instant: a day of the fixtures may be yesterday.
    completions.dedup();
    completions
        .into_iter()
        .map(|completed| {
            let last = events.iter().rev().find(|(at, _)| *at <= completed);
            let ended = last.is_some_and(|(_, found)| !found);
            report(account, completed, ended)
        })
        .collect()
}

fn report(account: &Account, completed: UnixTime, ended: bool) -> Result<Value> {
    let day = completed.day().map_err(out_of_range)?;
    let employments = account
        .employments
        .iter()
        .map(|job| employment(account, job, day, ended))
        .collect::<Result<Vec<_>>>()?;
    Ok(json!({
        "confirmation_code": confirmation_code(account, completed),
        "completed_at": rfc3339(completed)?,
        "agency_partner_metadata": {
            "case_number": account.case_number,
            "date_of_birth": account.date_of_birth.to_string(),
        },
        "income_report": { "has_other_jobs": false, "employments": employments },
    }))
}

fn employment(account: &Account, job: &Employment, day: Day, ended: bool) -> Result<Value> {
    let stubs = paystubs(job, day, ended)?;
    let from = day.plus(-LOOK_BACK_DAYS).map_err(out_of_range)?;
    let shown: Vec<Value> = stubs
        .iter()
        .filter(|stub| stub.pay_date >= from)
        .map(|stub| stub.to_json(&stubs))
        .collect();
    let end = ended.then(|| job.on_job_loss.last_day.to_string());
    let (amount, unit) = match job.hourly_rate {
        Some(rate) => (rate, "hourly"),
        None => (job.gross, job.frequency.as_str()),
    };
    Ok(json!({
        "applicant_full_name": account.full_name,
        "applicant_ssn": format!("XXX-XX-{}", account.ssn_last4),
        "applicant_extra_comments": null,
        "employer_name": job.employer_name,
        "employer_phone": job.employer_phone,
        "employer_address": job.employer_address,
        "employment_status": if ended { "terminated" } else { "employed" },
        "employment_type": job.employment_type,
        "employment_start_date": job.start.to_string(),
        "employment_end_date": end,
        "pay_frequency": job.frequency.as_str(),
        "compensation_amount": amount,
        "compensation_unit": unit,
        "paystubs": shown,
    }))
}

struct Paystub<'a> {
    pay_date: Day,
    period: (Day, Day),
    gross: i64,
    hours: Option<f64>,
    component: &'static str,
    deductions: &'a [Deduction],
}

impl Paystub<'_> {
    fn to_json(&self, all: &[Paystub<'_>]) -> Value {
        let year = self.pay_date.date().year();
        let to_date: i64 = all
            .iter()
            .filter(|stub| stub.pay_date <= self.pay_date && stub.pay_date.date().year() == year)
            .map(|stub| stub.gross)
            .sum();
        let withheld: i64 = self
            .deductions
            .iter()
            .map(|deduction| deduction.amount)
            .sum();
        let deductions: Vec<Value> = self
            .deductions
            .iter()
            .map(|d| json!({ "category": d.category, "tax": d.tax, "amount": d.amount }))
            .collect();
        json!({
            "pay_date": self.pay_date.to_string(),
            "pay_period_start": self.period.0.to_string(),
            "pay_period_end": self.period.1.to_string(),
            "pay_gross": self.gross,
            "pay_gross_ytd": to_date,
            "pay_net": self.gross - withheld,
            "hours_paid": self.hours,
            "deductions": deductions,
            "gross_pay_list": [{ "type": self.component, "amount": self.gross }],
        })
    }
}

/// Every pay from the start of the job, or of the year before `day`, to `day`; latest first.
fn paystubs(job: &Employment, day: Day, ended: bool) -> Result<Vec<Paystub<'_>>> {
    let loss = &job.on_job_loss;
    let earliest = job
        .start
        .max(Day::from_ymd(day.date().year() - 1, 1, 1).map_err(out_of_range)?);
    let mut stubs = Vec::new();
    if ended && loss.final_pay_date <= day {
        stubs.push(Paystub {
            pay_date: loss.final_pay_date,
            period: (loss.last_day, loss.last_day),
            gross: loss.final_gross,
            hours: None,
            component: "vacation",
            deductions: &[],
        });
    }
    let mut step = latest_step(job, day)?;
    loop {
        let pay_date = pay_date(job, step)?;
        let start = self::pay_date(job, step - 1)?;
        let period = (
            start.plus(1 - PAY_LAG_DAYS).map_err(out_of_range)?,
            pay_date.plus(-PAY_LAG_DAYS).map_err(out_of_range)?,
        );
        if period.0 < earliest {
            return Ok(stubs);
        }
        if !ended || period.1 <= loss.last_day {
            stubs.push(Paystub {
                pay_date,
                period,
                gross: job.gross,
                hours: Some(job.hours_paid),
                component: if job.hourly_rate.is_some() {
                    "hourly"
                } else {
                    "salary"
                },
                deductions: &job.deductions,
            });
        }
        step -= 1;
    }
}

/// The pay date `step` pays after the known one (before it when negative).
fn pay_date(job: &Employment, step: i64) -> Result<Day> {
    match job.frequency {
        Frequency::Weekly => job.a_pay_date.plus(7 * step).map_err(out_of_range),
        Frequency::Biweekly => job.a_pay_date.plus(14 * step).map_err(out_of_range),
        Frequency::Monthly => month_shifted(job.a_pay_date.date(), step),
    }
}

/// The step of the last pay date that is not after `day`.
fn latest_step(job: &Employment, day: Day) -> Result<i64> {
    let apart = day.number() - job.a_pay_date.number();
    let mut step = match job.frequency {
        Frequency::Weekly => apart.div_euclid(7),
        Frequency::Biweekly => apart.div_euclid(14),
        Frequency::Monthly => apart.div_euclid(28) + 1,
    };
    while pay_date(job, step)? > day {
        step -= 1;
    }
    Ok(step)
}

/// The same day of the month `months` later, or that month's last day.
fn month_shifted(date: Date, months: i64) -> Result<Day> {
    let index = i64::from(date.year()) * 12 + i64::from(u8::from(date.month())) - 1 + months;
    let year = i32::try_from(index.div_euclid(12)).map_err(out_of_range)?;
    let number = u8::try_from(index.rem_euclid(12) + 1).map_err(out_of_range)?;
    let month = time::Month::try_from(number).map_err(out_of_range)?;
    let day = date.day().min(month.length(year));
    Day::from_ymd(year, number, day).map_err(out_of_range)
}

/// A code that names one completed report.
fn confirmation_code(account: &Account, completed: UnixTime) -> String {
    let digest = Sha256::new()
        .chain_update(b"emmy confirmation\n")
        .chain_update(&account.case_number)
        .chain_update(completed.0.to_be_bytes())
        .finalize();
    hex::encode_upper(digest).chars().take(12).collect()
}

fn out_of_range(error: impl std::fmt::Display) -> ExternalError {
    ExternalError::Data(format!("a day of the pay run is out of range: {error}"))
}
