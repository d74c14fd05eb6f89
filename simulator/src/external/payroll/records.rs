//! What payroll holds: accounts, employments, pay runs.

use contracts::units::Day;
use serde::{Deserialize, Serialize};

use super::super::fixture::{parse, relative_day};
use super::super::{ExternalError, Result};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    account: Vec<AccountRow>,
}

/// An account with the records of another, whose owner completes a report every day.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountDouble {
    /// Its case number.
    pub case_number: String,
    /// Whose it is.
    pub ssn: String,
    /// Case number of the other.
    pub of: String,
    /// Pay in percent of the other's.
    pub pay_percent: u16,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountRow {
    case_number: String,
    date_of_birth: String,
    ssn: String,
    full_name: String,
    reports: Vec<String>,
    employment: Vec<EmploymentRow>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct EmploymentRow {
    employer_name: String,
    employer_phone: String,
    employer_address: String,
    employment_type: String,
    start: String,
    pay_frequency: Frequency,
    a_pay_date: String,
    gross: i64,
    hours_paid: f64,
    hourly_rate: Option<i64>,
    deductions: Vec<Deduction>,
    on_job_loss: JobLossRow,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobLossRow {
    last_day: String,
    final_pay_date: String,
    final_gross: i64,
}

/// How often somebody is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Frequency {
    /// Every 7 days.
    Weekly,
    /// Every 14 days.
    Biweekly,
    /// Once a month, on one day of it.
    Monthly,
}

impl Frequency {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::Biweekly => "biweekly",
            Self::Monthly => "monthly",
        }
    }
}

/// Withheld from each pay, in cents.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deduction {
    pub(super) category: String,
    /// `pre_tax` or `post_tax`.
    pub(super) tax: String,
    pub(super) amount: i64,
}

/// What is paid when the job ends.
pub(super) struct JobLoss {
    pub(super) last_day: Day,
    pub(super) final_pay_date: Day,
    /// Cents, nothing withheld before tax.
    pub(super) final_gross: i64,
}

/// One job.
pub(super) struct Employment {
    pub(super) employer_name: String,
    pub(super) employer_phone: String,
    pub(super) employer_address: String,
    pub(super) employment_type: String,
    pub(super) start: Day,
    pub(super) frequency: Frequency,
    /// Any one pay date; the others follow from the frequency.
    pub(super) a_pay_date: Day,
    pub(super) gross: i64,
    pub(super) hours_paid: f64,
    pub(super) hourly_rate: Option<i64>,
    pub(super) deductions: Vec<Deduction>,
    pub(super) on_job_loss: JobLoss,
}

/// One person's account.
pub(super) struct Account {
    pub(super) case_number: String,
    pub(super) date_of_birth: Day,
    /// Last four digits: reports show no more.
    pub(super) ssn_last4: String,
    pub(super) full_name: String,
    /// Days on which the person completed a report.
    pub(super) reports: Vec<Day>,
    /// Whether the person completes one every day.
    pub(super) daily: bool,
    pub(super) employments: Vec<Employment>,
}

/// Every account.
pub(super) struct Records(Vec<Account>);

impl Records {
    pub(super) fn load(day_zero: Day, doubles: &[AccountDouble]) -> Result<Self> {
        let mut file: File = parse(
            "payroll.toml",
            include_str!("../../../../fixtures/payroll.toml"),
        )?;
        let known = file.account.len();
        for double in doubles {
            file.account.push(double.row(&file.account)?);
        }
        let accounts = file
            .account
            .into_iter()
            .enumerate()
            .map(|(at, row)| account(row, at >= known, day_zero))
            .collect::<Result<_>>()?;
        Ok(Self(accounts))
    }

    #[cfg(test)]
    pub(super) fn accounts(&self) -> &[Account] {
        &self.0
    }

    pub(super) fn account(&self, case_number: &str) -> Option<&Account> {
        self.0
            .iter()
            .find(|account| account.case_number == case_number)
    }
}

impl AccountDouble {
    fn row(&self, rows: &[AccountRow]) -> Result<AccountRow> {
        let of = rows.iter().find(|row| row.case_number == self.of);
        let of = of.ok_or_else(|| {
            ExternalError::Data(format!("doubles: no account has case number {}", self.of))
        })?;
        let mut row = AccountRow {
            case_number: self.case_number.clone(),
            ssn: self.ssn.clone(),
            ..of.clone()
        };
        for job in &mut row.employment {
            job.gross = job.gross * i64::from(self.pay_percent) / 100;
        }
        Ok(row)
    }
}

fn account(row: AccountRow, daily: bool, day_zero: Day) -> Result<Account> {
    let ssn_last4 = row
        .ssn
        .rsplit('-')
        .next()
        .filter(|digits| digits.len() == 4)
        .ok_or_else(|| ExternalError::Data(format!("{}: ssn is not AAA-GG-SSSS", row.case_number)))?
        .to_owned();
    Ok(Account {
        date_of_birth: relative_day(&row.date_of_birth, day_zero)?,
        ssn_last4,
        full_name: row.full_name,
        daily,
        reports: row
            .reports
            .iter()
            .map(|day| relative_day(day, day_zero))
            .collect::<Result<_>>()?,
        employments: row
            .employment
            .into_iter()
            .map(|job| employment(job, day_zero))
            .collect::<Result<_>>()?,
        case_number: row.case_number,
    })
}

fn employment(row: EmploymentRow, day_zero: Day) -> Result<Employment> {
    Ok(Employment {
        employer_name: row.employer_name,
        employer_phone: row.employer_phone,
        employer_address: row.employer_address,
        employment_type: row.employment_type,
        start: relative_day(&row.start, day_zero)?,
        frequency: row.pay_frequency,
        a_pay_date: relative_day(&row.a_pay_date, day_zero)?,
        gross: row.gross,
        hours_paid: row.hours_paid,
        hourly_rate: row.hourly_rate,
        deductions: row.deductions,
        on_job_loss: JobLoss {
            last_day: relative_day(&row.on_job_loss.last_day, day_zero)?,
            final_pay_date: relative_day(&row.on_job_loss.final_pay_date, day_zero)?,
            final_gross: row.on_job_loss.final_gross,
        },
    })
}
