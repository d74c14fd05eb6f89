//! A thousand generated income reports, valid by the published schema, against totals worked out in another way: day by day
//! from what the generator meant, not from the report.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use contracts::catalogue::catalogue;
use contracts::units::{Day, Period};
use oracles::sources::{
    AttributeConfig, Basis, HttpConfig, Measure, ReadConfig, Reading, SourceConfig, Sources,
};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::emmy::reading;
use crate::server::{http, keys, limits, period, serve};

const REPORTS: usize = 1_000;
const FREQUENCIES: [&str; 7] = [
    "daily",
    "weekly",
    "biweekly",
    "semimonthly",
    "monthly",
    "quarterly",
    "variable",
];

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

/// What a paystub means, beside what the report says of it.
#[derive(Clone)]
struct Pay {
    pay_date: Day,
    first: Day,
    last: Day,
    gross: i64,
    before_tax: i64,
    /// Hundredths of an hour.
    hours: Option<i64>,
}

/// The pay periods of a job over the months around the reference period, by the calendar.
fn spans(frequency: &str, rng: &mut StdRng) -> Vec<(Day, Day)> {
    let (begin, end) = (day("2026-07-01"), day("2026-12-31"));
    let mut spans = Vec::new();
    let mut at = begin;
    if matches!(frequency, "weekly" | "biweekly" | "variable") {
        at = at.plus(rng.gen_range(0..14)).unwrap();
    }
    while at <= end {
        let date = at.date();
        let (year, month) = (date.year(), u8::from(date.month()));
        let month_end = |month: u8| {
            let length = time::Month::try_from(month).unwrap().length(year);
            Day::from_ymd(year, month, length).unwrap()
        };
        let last = match frequency {
            "daily" => at,
            "weekly" => at.plus(6).unwrap(),
            "biweekly" => at.plus(13).unwrap(),
            "semimonthly" if date.day() == 1 => at.plus(14).unwrap(),
            "semimonthly" | "monthly" => month_end(month),
            "quarterly" => month_end(month + 2),
            _ => at.plus(rng.gen_range(0..20)).unwrap(),
        };
        spans.push((at, last));
        at = last.plus(1).unwrap();
    }
    spans
}

fn stub(pay: &Pay, stated: (bool, bool), ytd: Option<i64>, rng: &mut StdRng) -> Value {
    let sign = if pay.gross < 0 { -1 } else { 1 };
    let hours = pay.hours.map(|hundredths| {
        let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        serde_json::from_str::<Value>(&text).unwrap()
    });
    let mut stub = json!({
        "pay_date": pay.pay_date.to_string(),
        "pay_gross": pay.gross,
        "pay_gross_ytd": ytd,
        "pay_net": pay.gross * 3 / 4,
        "hours_paid": hours,
        "deductions": [
            { "category": "retirement", "tax": "pre_tax", "amount": pay.before_tax },
            { "category": null, "tax": "post_tax", "amount": sign * rng.gen_range(0..9_000) },
            { "category": "other", "tax": "unknown", "amount": null },
        ],
        "gross_pay_list": [{ "type": "base", "amount": pay.gross }],
    });
    if stated.0 {
        stub["pay_period_start"] = pay.first.to_string().into();
    }
    if stated.1 {
        stub["pay_period_end"] = pay.last.to_string().into();
    } else if rng.gen_bool(0.5) {
        stub["pay_period_end"] = Value::Null;
    }
    stub
}

/// A job with its paystubs, and what they mean.
fn job(number: usize, rng: &mut StdRng) -> (Value, Vec<Pay>) {
    let frequency = *FREQUENCIES.choose(rng).unwrap();
    let gig = rng.gen_bool(0.3);
    let tells_hours = rng.gen_bool(0.8);
    let (mut pays, mut stubs, mut ytd) = (Vec::new(), Vec::new(), 0i64);
    for (first, last) in spans(frequency, rng) {
        let daily = frequency == "daily";
        if rng.gen_bool(if daily { 0.85 } else { 0.1 }) {
            continue;
        }
        // A period that is not stated can be told from the frequency only when pay comes on its last day.
        let stated = match rng.gen_range(0..4) {
            0 if frequency != "variable" || first == last => (false, false),
            1 if frequency != "variable" => (false, true),
            2 if frequency != "variable" => (true, false),
            _ => (true, true),
        };
        let lag = if stated == (false, false) {
            0
        } else {
            rng.gen_range(0..8)
        };
        let gross = rng.gen_range(0..400_000);
        let pay = Pay {
            pay_date: last.plus(lag).unwrap(),
            first,
            last,
            gross,
            before_tax: rng.gen_range(0..=gross / 10),
            hours: (tells_hours && !gig || rng.gen_bool(0.3)).then(|| rng.gen_range(0..12_000)),
        };
        let mut issue = |pay: Pay, stated, rng: &mut StdRng, pays: &mut Vec<Pay>| {
            ytd += pay.gross;
            let written = stub(&pay, stated, Some(ytd), rng);
            // The same paystub once more: it counts once.
            if rng.gen_bool(0.1) {
                stubs.push(written.clone());
            }
            stubs.push(written);
            pays.push(pay);
        };
        issue(pay.clone(), stated, rng, &mut pays);
        if rng.gen_bool(0.1) {
            // Taken back and paid again, on the same day or a later one.
            let later = pay.pay_date.plus(rng.gen_range(0..10)).unwrap();
            let back = Pay {
                pay_date: later,
                gross: -pay.gross,
                before_tax: -pay.before_tax,
                hours: pay.hours.map(|_| 0),
                ..pay.clone()
            };
            let again = Pay {
                pay_date: later,
                gross: pay.gross + 1_234,
                hours: pay.hours.map(|_| 0),
                ..pay.clone()
            };
            issue(back, (true, true), rng, &mut pays);
            issue(again, (true, true), rng, &mut pays);
        }
        if rng.gen_bool(0.15) {
            // Overtime of the same days, paid apart: periods overlap.
            let overtime = Pay {
                gross: rng.gen_range(1..50_000),
                before_tax: 0,
                hours: pay.hours.map(|_| rng.gen_range(0..900)),
                ..pay.clone()
            };
            issue(overtime, (true, true), rng, &mut pays);
        }
    }
    stubs.shuffle(rng);
    let job = json!({
        "applicant_full_name": "A",
        "applicant_ssn": if rng.gen_bool(0.8) { json!("XXX-XX-4321") } else { Value::Null },
        "employer_name": format!("Employer {number}"),
        "employment_type": if gig { "gig" } else { "w2" },
        "employment_start_date": null,
        "pay_frequency": frequency,
        "paystubs": stubs,
    });
    (job, pays)
}

fn report(case: &str, completed: &str, jobs: Vec<Value>) -> Value {
    json!({
        "confirmation_code": "X", "completed_at": completed,
        "agency_partner_metadata": { "case_number": case },
        "income_report": { "has_other_jobs": false, "employments": jobs },
    })
}

/// The part of an amount that falls on the days of the period: each day gets its share of what is left over from the days
/// before it, whole units only.
fn by_day(amount: i64, pay: &Pay, period: Period) -> i64 {
    let days = pay.last.number() - pay.first.number() + 1;
    let (mut carried, mut total) = (0i64, 0i64);
    let mut today = pay.first;
    for _ in 0..days {
        carried += amount;
        let of_today = carried.div_euclid(days);
        carried = carried.rem_euclid(days);
        if today >= period.start && today <= period.end {
            total += of_today;
        }
        today = today.plus(1).unwrap();
    }
    total
}

/// What the adapter should say; none for "a failure".
struct Expected {
    income_paid: Option<i64>,
    income_earned: Option<i64>,
    earnings: Option<i64>,
    hours: Option<i64>,
}

fn expected(pays: &[Pay], period: Period) -> Expected {
    let inside = |day: Day| day >= period.start && day <= period.end;
    let (mut paid, mut earned, mut gross, mut hours) = (0, 0, 0, Some(0));
    for pay in pays {
        if inside(pay.pay_date) {
            paid += pay.gross - pay.before_tax;
        }
        earned += by_day(pay.gross - pay.before_tax, pay, period);
        gross += by_day(pay.gross, pay, period);
        if pay.first <= period.end
            && pay.last >= period.start
            && (pay.hours, pay.gross) != (None, 0)
        {
            hours = match (hours, pay.hours) {
                (Some(so_far), Some(more)) => Some(so_far + by_day(more * 100, pay, period)),
                _ => None,
            };
        }
    }
    // A negative month is outside every attribute's bounds.
    let bounded = |total: i64| Some(total).filter(|total| *total >= 0);
    Expected {
        income_paid: bounded(paid),
        income_earned: bounded(earned),
        earnings: bounded(gross),
        hours: hours
            .map(|ten_thousandths| ten_thousandths / 10_000)
            .filter(|hours| *hours <= 744),
    }
}

#[actix_web::test]
async fn totals_of_a_thousand_reports_are_those_of_an_independent_calculation() {
    let schema: Value = serde_json::from_str(include_str!(
        "../../../fixtures/schemas/emmy-income-report-2026-06-18.schema.json"
    ))
    .unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let mut rng = StdRng::seed_from_u64(2026);
    let (mut answers, mut truths) = (BTreeMap::new(), Vec::new());
    for number in 0..REPORTS {
        let case = format!("C-{number}");
        let mut jobs: Vec<_> = (0..rng.gen_range(0..4))
            .map(|at| job(at, &mut rng))
            .collect();
        // A job that goes on without a paystub is another test's.
        jobs.retain(|(_, pays)| !pays.is_empty());
        let (jobs, pays): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        // An earlier report that this one corrects.
        let (other, _) = job(9, &mut rng);
        let mut reports = vec![
            report(&case, "2026-11-20T10:00:00Z", jobs),
            report(&case, "2026-11-19T10:00:00-05:00", vec![other]),
        ];
        for report in &reports {
            let faults: Vec<_> = validator
                .iter_errors(report)
                .map(|it| it.to_string())
                .collect();
            assert!(faults.is_empty(), "{case}: {faults:?}");
        }
        reports.shuffle(&mut rng);
        answers.insert(case.clone(), Value::from(reports).to_string());
        truths.push((case, expected(&pays.concat(), period())));
    }
    let url = serve(move |request| {
        let case = request.query_string().strip_prefix("case_number=").unwrap();
        HttpResponse::Ok().body(answers[case].clone())
    });
    let source = SourceConfig::Emmy(HttpConfig {
        ..http(
            "payroll",
            url,
            oracles::sources::Limits {
                max_bytes: 1 << 20,
                ..limits()
            },
        )
    });
    let mapped = [
        ("income.magi_monthly", Measure::Income, Basis::Paid),
        (
            "income.abd_countable_monthly",
            Measure::Income,
            Basis::Earned,
        ),
        ("income.earned_monthly", Measure::Earnings, Basis::Earned),
        ("income.work_hours_monthly", Measure::Hours, Basis::Earned),
    ];
    let attributes = mapped.map(|(id, measure, basis)| AttributeConfig {
        id: id.into(),
        read: vec![ReadConfig::Emmy(reading(measure, basis))],
        review: None,
    });
    let sources = Sources::new(&[source], &attributes).unwrap();
    let (mut known, mut unknown) = ([0; 4], [0; 4]);
    for (case, truth) in &truths {
        let keys = keys(&[("case_number", case), ("ssn_last4", "4321")]);
        let wanted = [
            truth.income_paid,
            truth.income_earned,
            truth.earnings,
            truth.hours,
        ];
        for (at, ((id, ..), wanted)) in mapped.iter().zip(wanted).enumerate() {
            let attribute = catalogue().get(&(*id).into()).unwrap();
            let said: Reading = sources.read(attribute, &keys, period()).await.remove(0);
            match wanted {
                Some(wanted) => assert_eq!(said, Ok(Some(wanted)), "{case} {id}"),
                None => assert!(said.is_err(), "{case} {id}: {said:?}"),
            }
            known[at] += usize::from(wanted.is_some());
            unknown[at] += usize::from(wanted.is_none());
        }
    }
    // The generator must not be lopsided: most totals are known, and hours are missing or too many now and then.
    let [paid, earned, earnings, hours] = known;
    for count in [paid, earned, earnings] {
        assert!(count > REPORTS / 2, "{known:?}");
    }
    assert!(hours > REPORTS / 5, "{known:?}");
    assert!(unknown[3] > REPORTS / 20, "{unknown:?}");
}
