//! CMS Emmy income reports (schema of 2026-06-18): pay of a reference period from the latest report.

use contracts::units::{Day, Period, UnixTime};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::config::Limits;
use super::error::SourceError;
use super::fetch::HttpSource;

/// Reports that one person may have on file.
const MAX_REPORTS: usize = 200;
/// Employments in one report.
const MAX_EMPLOYMENTS: usize = 50;
/// Paystubs in one employment.
const MAX_PAYSTUBS: usize = 500;
/// Deductions on one paystub.
const MAX_DEDUCTIONS: usize = 100;
/// Cents on one line of a paystub, either way: ten million dollars.
const MAX_LINE: i64 = 1_000_000_000;

/// A service of income reports.
pub(super) struct EmmySource(HttpSource);

/// Who is asked about: the identifiers in the income handle.
pub(super) struct Applicant<'a> {
    pub(super) case_number: &'a str,
    pub(super) ssn_last4: &'a str,
}

// The parts of a report that decide the fact. Other fields are the schema's, which allows additions, and are not read.

#[derive(Deserialize)]
struct Report {
    completed_at: String,
    agency_partner_metadata: Metadata,
    income_report: IncomeReport,
}

#[derive(Deserialize)]
struct Metadata {
    case_number: String,
}

#[derive(Deserialize)]
struct IncomeReport {
    has_other_jobs: bool,
    employments: Vec<Employment>,
}

#[derive(Deserialize)]
struct Employment {
    #[serde(default)]
    applicant_ssn: Option<String>,
    paystubs: Vec<Paystub>,
}

#[derive(Deserialize)]
struct Paystub {
    pay_date: Day,
    pay_gross: i64,
    #[serde(default)]
    deductions: Vec<Deduction>,
}

#[derive(Deserialize)]
struct Deduction {
    tax: Tax,
    amount: Option<i64>,
}

#[derive(PartialEq, Eq, Deserialize)]
enum Tax {
    #[serde(rename = "pre_tax")]
    Before,
    #[serde(rename = "post_tax")]
    After,
    #[serde(rename = "unknown")]
    Unknown,
}

impl EmmySource {
    pub(super) fn new(
        name: &str,
        url: &str,
        api_key: &str,
        limits: &Limits,
    ) -> Result<Self, String> {
        HttpSource::new(name, url, Some(api_key), "application/json", limits).map(Self)
    }

    /// Gross pay minus pre-tax deductions, in cents, of all employments in the latest report, by pay date within the
    /// period. `None` if no report is on file.
    ///
    /// Deductions marked `unknown` are not subtracted: income is then overstated rather than understated, and the
    /// owner can dispute it.
    pub(super) async fn income(
        &self,
        applicant: &Applicant<'_>,
        period: Period,
        max_report_age_days: u16,
    ) -> Result<Option<i64>, SourceError> {
        let query = [("case_number", applicant.case_number)];
        let url = self.0.address("api/v1/income_reports", &query)?;
        let reports: Vec<Report> = self.0.get(&url, "income reports").await?;
        self.capped("income reports", reports.len(), MAX_REPORTS)?;
        self.same_person(&reports, applicant)?;
        let Some((completed, report)) = self.latest(&reports)? else {
            return Ok(None);
        };
        self.covers(completed, report, period, max_report_age_days)?;
        self.sum(&report.income_report, period).map(Some)
    }

    fn same_person(
        &self,
        reports: &[Report],
        applicant: &Applicant<'_>,
    ) -> Result<(), SourceError> {
        let wrong = |field| SourceError::WrongPerson {
            source_name: self.0.name.clone(),
            field,
        };
        let masked = format!("XXX-XX-{}", applicant.ssn_last4);
        for report in reports {
            if report.agency_partner_metadata.case_number != applicant.case_number {
                return Err(wrong("agency_partner_metadata.case_number"));
            }
            for employment in &report.income_report.employments {
                if employment
                    .applicant_ssn
                    .as_ref()
                    .is_some_and(|ssn| *ssn != masked)
                {
                    return Err(wrong("employments.applicant_ssn"));
                }
            }
        }
        Ok(())
    }

    /// The report completed last, whatever the order they come in.
    fn latest<'a>(
        &self,
        reports: &'a [Report],
    ) -> Result<Option<(UnixTime, &'a Report)>, SourceError> {
        let mut latest: Option<(UnixTime, &Report)> = None;
        for report in reports {
            let completed =
                OffsetDateTime::parse(&report.completed_at, &Rfc3339).map_err(|_| {
                    self.0
                        .malformed("completed_at", "an RFC 3339 date and time")
                })?;
            let completed = UnixTime(completed.unix_timestamp());
            match latest {
                Some((when, _)) if when == completed => {
                    return Err(SourceError::Ambiguous {
                        source_name: self.0.name.clone(),
                        field: "completed_at of the latest report".to_owned(),
                    });
                }
                Some((when, _)) if when > completed => {}
                _ => latest = Some((completed, report)),
            }
        }
        Ok(latest)
    }

    /// A report that stops short of the period would turn missing paystubs into no income.
    fn covers(
        &self,
        completed: UnixTime,
        report: &Report,
        period: Period,
        max_age: u16,
    ) -> Result<(), SourceError> {
        let incomplete = |field| SourceError::Incomplete {
            source_name: self.0.name.clone(),
            field,
        };
        let day = completed
            .day()
            .map_err(|_| self.0.malformed("completed_at", "between 1900 and 2199"))?;
        if day.number() + i64::from(max_age) < period.end.number() {
            return Err(incomplete(
                "completed_at is too long before the end of the reference period",
            ));
        }
        if report.income_report.has_other_jobs {
            return Err(incomplete(
                "has_other_jobs says that some employments are missing",
            ));
        }
        Ok(())
    }

    fn sum(&self, report: &IncomeReport, period: Period) -> Result<i64, SourceError> {
        self.capped("employments", report.employments.len(), MAX_EMPLOYMENTS)?;
        let mut total = 0i64;
        for employment in &report.employments {
            self.capped("paystubs", employment.paystubs.len(), MAX_PAYSTUBS)?;
            for stub in &employment.paystubs {
                self.capped("deductions", stub.deductions.len(), MAX_DEDUCTIONS)?;
                if stub.pay_date < period.start || stub.pay_date > period.end {
                    continue;
                }
                total = self.add(total, stub.pay_gross, "paystubs.pay_gross")?;
                for deduction in stub.deductions.iter().filter(|it| it.tax == Tax::Before) {
                    let field = "paystubs.deductions.amount";
                    let amount =
                        deduction
                            .amount
                            .filter(|amount| *amount >= 0)
                            .ok_or_else(|| {
                                self.0
                                    .malformed(field, "given, in cents, for a pre-tax deduction")
                            })?;
                    total = self.add(total, -amount, field)?;
                }
            }
        }
        Ok(total)
    }

    fn add(&self, total: i64, line: i64, field: &str) -> Result<i64, SourceError> {
        let bad = || self.0.malformed(field, "within ten million dollars");
        if !(-MAX_LINE..=MAX_LINE).contains(&line) {
            return Err(bad());
        }
        total.checked_add(line).ok_or_else(bad)
    }

    fn capped(&self, field: &'static str, count: usize, cap: usize) -> Result<(), SourceError> {
        if count > cap {
            return Err(SourceError::TooLarge {
                source_name: self.0.name.clone(),
                field,
                limit: cap.to_string(),
            });
        }
        Ok(())
    }
}
