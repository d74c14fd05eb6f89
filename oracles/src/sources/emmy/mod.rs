//! CMS Emmy income reports (schema of 2026-06-18): pay or hours of a reference period from the latest report.

mod count;
mod report;

use std::sync::Arc;

use contracts::units::{Period, UnixTime};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::report::Report;
use super::error::SourceError;
use super::fetch::HttpSource;
use super::json::Json;
use super::steps;
use super::template::Filling;

/// Reports that one person may have on file.
const MAX_REPORTS: usize = 200;

/// How an attribute is read from income reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmmyRead {
    /// A `[[source]]` of the same kind.
    pub source: String,
    /// What is added up.
    #[serde(default)]
    pub measure: Measure,
    /// Which days a paystub counts for; income as it is paid and the others as they are earned, if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// Days that the latest report may lie before the end of the reference period.
    #[serde(default = "default_report_age")]
    pub max_report_age_days: u16,
    /// Days at the end of the reference period that a job which goes on may not have been paid for yet, where pay counts as it
    /// is earned.
    #[serde(default)]
    pub max_unpaid_days: u16,
}

fn default_report_age() -> u16 {
    7
}

/// What is added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Gross pay minus pre-tax deductions, in cents.
    #[default]
    Income,
    /// Gross pay, in cents.
    Earnings,
    /// Hours paid, whole ones.
    Hours,
}

/// Which days a paystub counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Its pay date.
    Paid,
    /// Every day of its pay period, evenly.
    Earned,
}

impl EmmyRead {
    pub(super) fn basis(&self) -> Basis {
        self.basis.unwrap_or(match self.measure {
            Measure::Income => Basis::Paid,
            Measure::Earnings | Measure::Hours => Basis::Earned,
        })
    }
}

/// A service of income reports.
pub(super) struct EmmySource(pub(super) Arc<HttpSource>);

impl EmmySource {
    /// The total of all employments in the latest report of the case; `None` if no report is on file.
    pub(super) async fn value(
        &self,
        read: &EmmyRead,
        filling: &Filling<'_>,
    ) -> Result<Option<i64>, SourceError> {
        let guard = &self.0.guard;
        let case_number = filling.get("case_number")?;
        let query = [("case_number", case_number.as_str())];
        let url = self.0.address(&["api", "v1", "income_reports"], &query)?;
        let answer = self.0.fetch(url).await?;
        let Json::Array(reports) = &answer else {
            return Err(guard.malformed("the answer", "a list of income reports"));
        };
        guard.capped("income reports", reports.len(), MAX_REPORTS)?;
        let reports = reports.iter().map(Json::read::<Report>);
        let reports = reports
            .collect::<Result<Vec<_>, _>>()
            .map_err(|misfit| guard.malformed(&misfit.place(), misfit.expected()))?;
        self.same_person(&reports, &case_number, &filling.get("ssn_last4")?)?;
        let Some((completed, report)) = self.latest(&reports)? else {
            return Ok(None);
        };
        steps::note("report", || {
            let jobs = report.income_report.employments.len();
            format!("completed {}, {jobs} employments", report.completed_at)
        });
        self.covers(completed, report, filling.period, read.max_report_age_days)?;
        let total = count::total(guard, read, &report.income_report, filling.period)?;
        steps::note("value", || {
            format!("{:?}, {:?}: {total}", read.measure, read.basis())
        });
        Ok(Some(total))
    }

    fn same_person(
        &self,
        reports: &[Report],
        case_number: &str,
        ssn_last4: &str,
    ) -> Result<(), SourceError> {
        let wrong = |field: &str| Err(self.0.guard.wrong_person(field));
        let masked = format!("XXX-XX-{ssn_last4}");
        for report in reports {
            if report.agency_partner_metadata.case_number != case_number {
                return wrong("agency_partner_metadata.case_number");
            }
            let mut ssns = report
                .income_report
                .employments
                .iter()
                .filter_map(|job| job.applicant_ssn.as_ref());
            if ssns.any(|ssn| *ssn != masked) {
                return wrong("employments.applicant_ssn");
            }
        }
        Ok(())
    }

    /// The report completed last, whatever the order they come in: it corrects all before it.
    fn latest<'a>(
        &self,
        reports: &'a [Report],
    ) -> Result<Option<(UnixTime, &'a Report)>, SourceError> {
        let guard = &self.0.guard;
        let mut latest: Option<(UnixTime, &Report)> = None;
        for report in reports {
            let completed = OffsetDateTime::parse(&report.completed_at, &Rfc3339)
                .map_err(|_| guard.malformed("completed_at", "an RFC 3339 date and time"))?;
            let completed = UnixTime(completed.unix_timestamp());
            match latest {
                Some((when, _)) if when == completed => {
                    return Err(guard.ambiguous("completed_at of the latest report"));
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
        let guard = &self.0.guard;
        let day = completed
            .day()
            .map_err(|_| guard.malformed("completed_at", "between 1900 and 2199"))?;
        if day.number() + i64::from(max_age) < period.end.number() {
            return Err(
                guard.incomplete("completed_at is too long before the end of the reference period")
            );
        }
        if report.income_report.has_other_jobs {
            return Err(guard.incomplete("has_other_jobs says that some employments are missing"));
        }
        Ok(())
    }
}
