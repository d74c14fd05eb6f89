//! What the paystubs of a report come to over a reference period.
//!
//! - *Paid*: a paystub counts whole in the period that its pay date is in. MAGI is income as it is received
//!   (26 CFR 1.451-1; 42 CFR 435.603(e)).
//! - *Earned*: a paystub is spread evenly over the days of its pay period, as [`super::super::spread`] says, and the days of
//!   the reference period count. Work is looked at when it is done (20 CFR 416.974; 42 U.S.C. 1396a(xx)).
//!
//! Pay periods may overlap (two jobs, overtime paid apart): each paystub counts for itself. A reversal is a paystub with negative
//! pay. A paystub that says the same as another of the employer, year to date included, is that one again and counts once.
//! Two that begin from the same year to date cannot both be true, and two that are equal and tell no year to date may be one
//! or two: nothing is counted then.

use std::collections::BTreeMap;

use contracts::units::{Day, Period};

use super::super::error::SourceError;
use super::super::guard::Guard;
use super::super::spread;
use super::report::{Employment, IncomeReport, Paystub, Tax};
use super::{Basis, EmmyRead, Measure};

/// Employments in one report.
const MAX_EMPLOYMENTS: usize = 50;
/// Paystubs in one employment.
const MAX_PAYSTUBS: usize = 500;
/// Paystubs in one report.
const MAX_ALL_PAYSTUBS: usize = 2_000;
/// Deductions on one paystub.
const MAX_DEDUCTIONS: usize = 100;
/// Cents on one line of a paystub, either way: ten million dollars.
const MAX_LINE: i64 = 1_000_000_000;
/// Decimals of an hour that are told apart.
const HOUR_PLACES: u32 = 4;
/// The same as a factor.
const HOUR: i64 = 10_000;
/// Most hours of one paystub: a quarter has 2,208.
const MAX_HOURS: i64 = 2_208 * HOUR;

/// The total of a report: cents, or whole hours (an hour begun is no hour).
pub(super) fn total(
    guard: &Guard,
    read: &EmmyRead,
    report: &IncomeReport,
    period: Period,
) -> Result<i64, SourceError> {
    guard.capped("employments", report.employments.len(), MAX_EMPLOYMENTS)?;
    let all = report.employments.iter().map(|job| job.paystubs.len());
    guard.capped("paystubs", all.sum(), MAX_ALL_PAYSTUBS)?;
    let mut total = 0i64;
    for job in &report.employments {
        guard.capped("paystubs", job.paystubs.len(), MAX_PAYSTUBS)?;
        if read.basis() == Basis::Earned {
            covered(guard, read, job, period)?;
        }
    }
    for (job, stub) in distinct(guard, report)? {
        let part = part(guard, read, job, stub, period)?;
        total = total
            .checked_add(part)
            .ok_or_else(|| guard.malformed("the total", "within 64 bits"))?;
    }
    Ok(match read.measure {
        Measure::Hours => total.div_euclid(HOUR),
        Measure::Income | Measure::Earnings => total,
    })
}

/// What paystubs have in common that could be one, or contradict each other: employer, pay date, pay period.
type SamePay<'a> = (&'a str, Day, Option<Day>, Option<Day>);

/// Every paystub once.
fn distinct<'a>(
    guard: &Guard,
    report: &'a IncomeReport,
) -> Result<Vec<(&'a Employment, &'a Paystub)>, SourceError> {
    let mut kept = Vec::new();
    let mut groups: BTreeMap<SamePay<'_>, Vec<&Paystub>> = BTreeMap::new();
    for job in &report.employments {
        for stub in &job.paystubs {
            let (start, end) = (stub.pay_period_start, stub.pay_period_end);
            let group = (job.employer_name.as_str(), stub.pay_date, start, end);
            let group = groups.entry(group).or_default();
            if !group.contains(&stub) {
                group.push(stub);
                kept.push((job, stub));
            } else if stub.pay_gross_ytd.is_none() {
                let field = "paystubs that are equal and tell no pay_gross_ytd";
                return Err(guard.ambiguous(field));
            }
        }
    }
    for group in groups.values() {
        for start in group.iter().filter_map(|stub| before(stub)) {
            // The year to date is a walk: it leaves an amount once more than it comes back to it, at most. A reversal comes
            // back.
            let leaves = |stub: &&&Paystub| before(stub) == Some(start);
            let reaches = |stub: &&&Paystub| stub.pay_gross_ytd.map(i128::from) == Some(start);
            if group.iter().filter(leaves).count() > group.iter().filter(reaches).count() + 1 {
                let field = "paystubs of one pay date that begin from one pay_gross_ytd";
                return Err(guard.ambiguous(field));
            }
        }
    }
    Ok(kept)
}

/// The year to date before a paystub.
fn before(stub: &Paystub) -> Option<i128> {
    Some(i128::from(stub.pay_gross_ytd?) - i128::from(stub.pay_gross))
}

fn part(
    guard: &Guard,
    read: &EmmyRead,
    job: &Employment,
    stub: &Paystub,
    period: Period,
) -> Result<i64, SourceError> {
    let span = match read.basis() {
        Basis::Paid => {
            if !(period.start..=period.end).contains(&stub.pay_date) {
                return Ok(0);
            }
            None
        }
        Basis::Earned => {
            let span = span(guard, job, stub)?;
            if span.end < period.start || span.start > period.end {
                return Ok(0);
            }
            Some(span)
        }
    };
    let amount = match read.measure {
        Measure::Hours => hours(guard, stub)?,
        Measure::Earnings => line(guard, stub.pay_gross, "paystubs.pay_gross")?,
        Measure::Income => income(guard, stub)?,
    };
    match span {
        None => Ok(amount),
        Some(span) => spread::share(amount, span, period)
            .ok_or_else(|| guard.malformed(PAY_PERIOD, "one of up to a year")),
    }
}

const PAY_PERIOD: &str = "paystubs.pay_period_start to pay_period_end";

fn span(guard: &Guard, job: &Employment, stub: &Paystub) -> Result<Period, SourceError> {
    stub.span(job.pay_frequency)
        .filter(|span| spread::days(*span).is_some())
        .ok_or_else(|| guard.malformed(PAY_PERIOD, "a period of up to a year"))
}

/// Gross pay minus pre-tax deductions. Deductions marked `unknown` are not subtracted: income is then overstated rather than
/// understated, and the owner can dispute it.
fn income(guard: &Guard, stub: &Paystub) -> Result<i64, SourceError> {
    guard.capped("deductions", stub.deductions.len(), MAX_DEDUCTIONS)?;
    let mut total = line(guard, stub.pay_gross, "paystubs.pay_gross")?;
    for deduction in stub.deductions.iter().filter(|it| it.tax == Tax::Before) {
        let field = "paystubs.deductions.amount";
        let amount = deduction
            .amount
            .filter(|amount| *amount >= 0 || stub.pay_gross < 0)
            .ok_or_else(|| guard.malformed(field, "given, in cents, for a pre-tax deduction"))?;
        // At most a hundred lines of ten million dollars: far from 64 bits.
        total -= line(guard, amount, field)?;
    }
    Ok(total)
}

fn line(guard: &Guard, cents: i64, field: &str) -> Result<i64, SourceError> {
    match (-MAX_LINE..=MAX_LINE).contains(&cents) {
        true => Ok(cents),
        false => Err(guard.malformed(field, "within ten million dollars")),
    }
}

/// Hours in ten-thousandths. Pay without hours leaves them unknown, unless nothing was paid.
fn hours(guard: &Guard, stub: &Paystub) -> Result<i64, SourceError> {
    let Some(hours) = stub.hours_paid else {
        return match stub.pay_gross {
            0 => Ok(0),
            _ => Err(guard.incomplete("paystubs.hours_paid is missing for pay in the period")),
        };
    };
    hours
        .scaled(HOUR_PLACES)
        .filter(|hours| (-MAX_HOURS..=MAX_HOURS).contains(hours))
        .ok_or_else(|| guard.malformed("paystubs.hours_paid", "hours with at most four decimals"))
}

/// A job that goes on must have paystubs up to the end of the period: its last days would otherwise count as days without
/// work.
fn covered(
    guard: &Guard,
    read: &EmmyRead,
    job: &Employment,
    period: Period,
) -> Result<(), SourceError> {
    let worked_until = job
        .employment_end_date
        .map_or(period.end, |end| end.min(period.end));
    if worked_until < period.start {
        return Ok(());
    }
    let mut last: Option<Day> = None;
    for stub in &job.paystubs {
        last = last.max(Some(span(guard, job, stub)?.end));
    }
    let paid_until = last.map_or(i64::MIN, |day| day.number());
    if paid_until.saturating_add(i64::from(read.max_unpaid_days)) < worked_until.number() {
        return Err(guard.incomplete(
            "paystubs end before the reference period does by more than max_unpaid_days",
        ));
    }
    Ok(())
}
