use super::*;
use serde_json::{Value, json};

const API: &str = "reader-key";
const ADMIN: &str = "operator-key";
const ANA: &str = "CA-4471-0938";
const BRUNO: &str = "CA-4471-1276";

fn today() -> Day {
    now(0).day().unwrap()
}

/// A double of Ana.
const DOUBLE: &str = "CA-9900-0000";

async fn service(data: &std::path::Path) -> Running {
    start(Config {
        listen: crate::external::any_port(),
        day_zero: today(),
        // Noon, so that reports of yesterday are complete and the day does not turn during the test.
        clock_offset_seconds: today().start().0 + 43_200 - now(0).0,
        data: data.to_owned(),
        api_key: Secret::new(API),
        admin_key: Secret::new(ADMIN),
        doubles: vec![AccountDouble {
            case_number: DOUBLE.to_owned(),
            ssn: "987-66-4000".to_owned(),
            of: ANA.to_owned(),
            pay_percent: 100,
        }],
    })
    .await
    .unwrap()
}

async fn reports(service: &Running, case: &str) -> Vec<Value> {
    let url = format!("{}/api/v1/income_reports?case_number={case}", service.url());
    let answer = client().get(url).bearer_auth(API).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

fn client() -> reqwest::Client {
    oracles::http::client_builder().no_proxy().build().unwrap()
}

async fn lose_job(service: &Running, key: &str, case: &str) -> u16 {
    let url = format!("{}/admin/events", service.url());
    let body = json!({ "event": "job-lost", "case_number": case });
    let answer = client()
        .post(url)
        .bearer_auth(key)
        .json(&body)
        .send()
        .await
        .unwrap();
    answer.status().as_u16()
}

/// Gross less pre-tax deductions of pay dated in the 30 days that end on `day`, as an eligibility worker would add it up.
fn trailing_income(report: &Value, day: Day) -> i64 {
    let from = day.plus(-29).unwrap();
    let mut sum = 0;
    for job in report["income_report"]["employments"].as_array().unwrap() {
        for stub in job["paystubs"].as_array().unwrap() {
            let date: Day = stub["pay_date"].as_str().unwrap().parse().unwrap();
            if date < from || date > day {
                continue;
            }
            sum += stub["pay_gross"].as_i64().unwrap();
            for deduction in stub["deductions"].as_array().unwrap() {
                if deduction["tax"] == "pre_tax" {
                    sum -= deduction["amount"].as_i64().unwrap();
                }
            }
        }
    }
    sum
}

#[tokio::test]
async fn every_report_follows_the_emmy_schema_before_and_after_a_job_loss() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path()).await;
    let schema: Value = serde_json::from_str(include_str!(
        "../../../../fixtures/schemas/emmy-income-report-2026-06-18.schema.json"
    ))
    .unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let mut seen = 0;
    for account in Records::load(today(), &[]).unwrap().accounts() {
        let case = &account.case_number;
        for event in [false, true] {
            if event {
                assert_eq!(lose_job(&service, ADMIN, case).await, 201);
            }
            for report in reports(&service, case).await {
                let errors: Vec<_> = validator
                    .iter_errors(&report)
                    .map(|e| e.to_string())
                    .collect();
                assert!(errors.is_empty(), "{case}: {errors:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 8 * (2 + 3));
    service.shutdown().await;
}

#[tokio::test]
async fn a_job_loss_shows_in_the_next_report_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = service(folder.path()).await;
    let before = reports(&first, ANA).await;
    assert_eq!(trailing_income(&before[0], today()), 320_610);
    assert_eq!(
        before[0]["income_report"]["employments"][0]["employment_status"],
        "employed"
    );
    assert_eq!(
        trailing_income(&reports(&first, BRUNO).await[0], today()),
        341_218
    );

    assert_eq!(lose_job(&first, ADMIN, ANA).await, 201);
    assert_eq!(lose_job(&first, ADMIN, ANA).await, 201);
    first.shutdown().await;

    let second = service(folder.path()).await;
    let after = reports(&second, ANA).await;
    assert_eq!(after.len(), 3, "told twice is one event");
    assert_eq!(after[1..], before[..], "completed reports never change");
    let job = &after[0]["income_report"]["employments"][0];
    assert_eq!(job["employment_status"], "terminated");
    assert_eq!(trailing_income(&after[0], today()), 61_237);
    let completed: Vec<_> = after
        .iter()
        .map(|r| r["completed_at"].as_str().unwrap())
        .collect();
    assert!(completed.is_sorted_by(|a, b| a > b), "latest first");
    assert_eq!(
        reports(&second, BRUNO).await.len(),
        2,
        "nobody else's reports change"
    );
    second.shutdown().await;
}

#[tokio::test]
async fn the_reader_cannot_record_events_and_the_operator_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path()).await;
    let url = format!("{}/api/v1/income_reports?case_number={ANA}", service.url());
    for key in ["", ADMIN, "reader-kex"] {
        let answer = client().get(&url).bearer_auth(key).send().await.unwrap();
        assert_eq!(answer.status(), 401);
    }
    assert_eq!(lose_job(&service, API, ANA).await, 401);
    assert_eq!(lose_job(&service, ADMIN, "CA-0000-0000").await, 404);
    assert!(reports(&service, "CA-0000-0000").await.is_empty());
    let bare = format!("{}/api/v1/income_reports", service.url());
    let answer = client().get(bare).bearer_auth(API).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    service.shutdown().await;
}

#[tokio::test]
async fn a_double_completes_one_report_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path()).await;
    let reports = reports(&service, DOUBLE).await;
    let completed: Vec<_> = reports
        .iter()
        .map(|report| report["completed_at"].as_str().unwrap())
        .collect();
    assert!(completed.is_sorted_by(|a, b| a > b), "{completed:?}");
    assert!(completed[0].starts_with(&today().plus(-1).unwrap().to_string()));
    service.shutdown().await;
}

#[tokio::test]
async fn changes_name_whose_records_events_touched_and_nothing_of_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path()).await;
    let changes = async |since: &str, key: &str| {
        let url = format!("{}/api/v1/changes?since={since}", service.url());
        let answer = client().get(url).bearer_auth(key).send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let start = today().start();
    let midnight = rfc3339(start).unwrap();
    assert_eq!(
        changes(&midnight, API).await,
        (200, json!({ "changes": [] }))
    );
    assert_eq!(lose_job(&service, ADMIN, BRUNO).await, 201);
    assert_eq!(lose_job(&service, ADMIN, ANA).await, 201);
    assert_eq!(lose_job(&service, ADMIN, BRUNO).await, 201);
    let (_, told) = changes(&midnight, API).await;
    let told = told["changes"].as_array().unwrap().clone();
    let cases: Vec<_> = told.iter().map(|it| it["case_number"].clone()).collect();
    assert_eq!(cases, [BRUNO, ANA], "told twice is one event");
    let last = told[1]["changed_at"].as_str().unwrap();
    let (_, again) = changes(last, API).await;
    assert!(
        again["changes"].as_array().unwrap().contains(&told[1]),
        "the last instant is told again"
    );
    let tomorrow = rfc3339(contracts::units::UnixTime(start.0 + 86_400)).unwrap();
    assert_eq!(
        changes(&tomorrow, API).await,
        (200, json!({ "changes": [] }))
    );
    assert_eq!(changes(&midnight, ADMIN).await.0, 401);
    assert_eq!(changes("yesterday", API).await.0, 400);
    service.shutdown().await;
}

#[test]
fn an_event_line_cut_short_by_a_crash_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::open(folder.path()).unwrap();
    log.record(ANA.to_owned(), false, now(0)).unwrap();
    drop(log);
    let path = folder.path().join("payroll-events.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("{\"case_number\":\"CA-4");
    std::fs::write(&path, text).unwrap();
    let log = EventLog::open(folder.path()).unwrap();
    assert_eq!(log.of(ANA).len(), 1);
    log.record(BRUNO.to_owned(), false, now(0)).unwrap();
    drop(log);
    assert_eq!(EventLog::open(folder.path()).unwrap().of(BRUNO).len(), 1);
}
