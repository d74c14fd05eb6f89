//! Community engagement, 42 U.S.C. 1396a(xx) (P.L. 119-21 s. 71119).

use super::notice::MAIL_DAYS;
use super::{month_end, month_start, months_later};
use crate::units::{BadDate, Cents, Day};

/// Hours a month (paragraph (2)(A)).
pub const HOURS: u32 = 80;
/// 80 hours at the federal minimum wage of $7.25 (paragraph (2)(F)).
pub const INCOME: Cents = Cents(58_000);

/// A way in which a month is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// Work (A).
    Work,
    /// Community service (B).
    Service,
    /// A work programme (C).
    Programme,
    /// School, at least half-time (D).
    School,
    /// A combination (E).
    Combination,
    /// Income of the month (F).
    Income,
    /// Average income of six months of a seasonal worker (G).
    SeasonalIncome,
}

/// Why the requirement does not apply in a month, or counts as met (paragraphs (3) and (9)(A)(ii)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exclusion {
    /// Former foster youth (9)(A)(ii)(I).
    FormerFosterCare,
    /// American Indian or Alaska Native (II).
    Indian,
    /// Parent, guardian, caretaker or family caregiver of a child of 13 or under or of a disabled person (III).
    Caregiver,
    /// Veteran with a total disability rating (IV).
    DisabledVeteran,
    /// Medically frail (V).
    MedicallyFrail,
    /// Meets the work requirement of TANF (VI)(aa).
    Tanf,
    /// Member of a SNAP household, not exempt from its work requirement (VI)(bb).
    Snap,
    /// In drug or alcohol treatment (VII).
    Treatment,
    /// Inmate now or in the three months before (VIII) and (3)(A)(ii).
    Inmate,
    /// Pregnant or postpartum (IX).
    Pregnant,
    /// Under 19 (3)(A)(i)(II)(aa).
    Under19,
    /// Medicare (3)(A)(i)(II)(bb).
    Medicare,
    /// In a mandatory group (3)(A)(i)(II)(cc).
    MandatoryGroup,
    /// A hardship event, where the state recognises them (3)(B).
    Hardship,
}

/// What somebody did in a month.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonthRecord {
    /// Hours of work.
    pub work: u32,
    /// Hours of community service.
    pub service: u32,
    /// Hours in a work programme.
    pub programme: u32,
    /// Hours of school, counted in a combination.
    pub school: u32,
    /// Enrolled at least half-time.
    pub half_time: bool,
    /// Income of the month.
    pub income: Option<Cents>,
    /// Incomes of the six months before, for a seasonal worker.
    pub seasonal: Option<[Cents; 6]>,
    /// What excludes or excepts the person in some part of the month.
    pub exclusions: Vec<Exclusion>,
}

/// What a month came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MonthResult {
    /// Need not meet it.
    Excluded(Exclusion),
    /// Met it.
    Met(Activity),
    /// Did not, as far as is known.
    NotMet,
}

/// The days that follow a notice of noncompliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noncompliance {
    /// Day on which the notice counts as received.
    pub received: Day,
    /// Last day for a satisfactory showing; cover goes on until then (paragraph (6)(A)(ii)).
    pub showing_until: Day,
    /// Last day by which cover ends, other bases having been tested first (6)(A)(iii).
    pub closed_by: Day,
}

/// Decides one month.
pub fn engagement_month(month: &MonthRecord) -> MonthResult {
    if let Some(exclusion) = month.exclusions.first() {
        return MonthResult::Excluded(*exclusion);
    }
    let all = [month.work, month.service, month.programme, month.school];
    let combined = all.into_iter().fold(0u32, u32::saturating_add);
    let seasonal = |incomes: &[Cents; 6]| {
        let sum: i128 = incomes.iter().map(|cents| i128::from(cents.0)).sum();
        sum >= 6 * i128::from(INCOME.0)
    };
    let ways = [
        (month.work >= HOURS, Activity::Work),
        (month.service >= HOURS, Activity::Service),
        (month.programme >= HOURS, Activity::Programme),
        (month.half_time, Activity::School),
        (combined >= HOURS, Activity::Combination),
        (
            month.income.is_some_and(|income| income >= INCOME),
            Activity::Income,
        ),
        (
            month.seasonal.as_ref().is_some_and(seasonal),
            Activity::SeasonalIncome,
        ),
    ];
    ways.into_iter()
        .find(|(met, _)| *met)
        .map_or(MonthResult::NotMet, |(_, activity)| {
            MonthResult::Met(activity)
        })
}

/// The first days of the months looked back on at application: one to three consecutive months before its month, as
/// the state chose (paragraph (1)(A)).
///
/// # Errors
/// Before 1900.
pub fn months_looked_back(applied: Day, months: u8) -> Result<Vec<Day>, BadDate> {
    let this = month_start(applied)?;
    (1..=i32::from(months.clamp(1, 3)))
        .rev()
        .map(|back| months_later(this, -back))
        .collect()
}

/// Whether enough months were met or excluded: at application all of the months looked back on, at renewal so many
/// months of the period, consecutive or not, as the state chose (paragraph (1)(B)).
pub fn look_back_met(months: &[MonthResult], needed: usize) -> bool {
    let met = months.iter().filter(|month| **month != MonthResult::NotMet);
    met.count() >= needed.max(1)
}

/// What follows a notice of noncompliance sent on a day. Receipt is taken to be five days later.
///
/// Somebody closed for this counts as eligible for Medicaid in the premium tax credit (paragraph (7)(B)): do not send
/// them to the Marketplace.
///
/// # Errors
/// Past 2199.
pub fn noncompliance(notice: Day) -> Result<Noncompliance, BadDate> {
    let received = notice.plus(MAIL_DAYS)?;
    // The thirty calendar days begin on the day of receipt.
    let showing_until = received.plus(29)?;
    Ok(Noncompliance {
        received,
        showing_until,
        closed_by: month_end(months_later(month_start(showing_until)?, 1)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::day;
    use super::*;

    fn month(edit: impl FnOnce(&mut MonthRecord)) -> MonthResult {
        let mut record = MonthRecord::default();
        edit(&mut record);
        engagement_month(&record)
    }

    #[test]
    fn each_way_at_its_limit_and_below() {
        assert_eq!(month(|_| {}), MonthResult::NotMet);
        assert_eq!(month(|m| m.work = 80), MonthResult::Met(Activity::Work));
        assert_eq!(month(|m| m.work = 79), MonthResult::NotMet);
        assert_eq!(
            month(|m| m.service = 80),
            MonthResult::Met(Activity::Service)
        );
        assert_eq!(
            month(|m| m.programme = 80),
            MonthResult::Met(Activity::Programme)
        );
        assert_eq!(
            month(|m| m.half_time = true),
            MonthResult::Met(Activity::School)
        );
        assert_eq!(
            month(|m| (m.work, m.service, m.school) = (40, 20, 20)),
            MonthResult::Met(Activity::Combination)
        );
        assert_eq!(
            month(|m| (m.work, m.service, m.school) = (40, 20, 19)),
            MonthResult::NotMet
        );
        assert_eq!(
            month(|m| m.income = Some(Cents(58_000))),
            MonthResult::Met(Activity::Income)
        );
        assert_eq!(
            month(|m| m.income = Some(Cents(57_999))),
            MonthResult::NotMet
        );
        let six = |last| [0, 0, 0, 116_000, 116_000, last].map(Cents);
        assert_eq!(
            month(|m| m.seasonal = Some(six(116_000))),
            MonthResult::Met(Activity::SeasonalIncome)
        );
        assert_eq!(
            month(|m| m.seasonal = Some(six(115_999))),
            MonthResult::NotMet
        );
    }

    #[test]
    fn an_exclusion_goes_before_any_count() {
        let excluded = month(|m| {
            m.exclusions = vec![Exclusion::Caregiver];
            m.work = 100;
        });
        assert_eq!(excluded, MonthResult::Excluded(Exclusion::Caregiver));
        assert!(look_back_met(&[excluded, MonthResult::NotMet], 1));
        assert!(!look_back_met(&[excluded, MonthResult::NotMet], 2));
        assert!(!look_back_met(&[], 0));
    }

    #[test]
    fn the_look_back_ends_before_the_month_of_application() {
        let months = |applied, count| months_looked_back(day(applied), count).unwrap();
        assert_eq!(months("2027-01-31", 1), [day("2026-12-01")]);
        assert_eq!(
            months("2027-03-01", 9),
            [day("2026-12-01"), day("2027-01-01"), day("2027-02-01")]
        );
    }

    #[test]
    fn thirty_days_from_receipt_then_the_end_of_the_next_month() {
        let days = noncompliance(day("2027-03-01")).unwrap();
        assert_eq!(days.received, day("2027-03-06"));
        assert_eq!(days.showing_until, day("2027-04-04"));
        assert_eq!(days.closed_by, day("2027-05-31"));
        let over_february = noncompliance(day("2027-12-28")).unwrap();
        assert_eq!(over_february.closed_by, day("2028-02-29"));
    }
}
