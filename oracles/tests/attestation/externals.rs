//! External systems for tests: a registry in SQLite, a payroll service, an EHR.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, web};
use contracts::units::Day;
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

pub const SSN: &str = "987654321";
pub const OTHER_SSN: &str = "987654322";

/// Two people, Ana and Bruno, with everything on file.
pub async fn registry(path: &Path) {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut database = options.connect().await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE person (person_id TEXT, ssn TEXT, given_name TEXT, family_name TEXT, birth_date TEXT,
            status_code TEXT, medicare INTEGER, ssi INTEGER, case_number TEXT, ehr_id TEXT);
         CREATE TABLE vital_record (ssn TEXT, given_name TEXT, family_name TEXT, birth_date TEXT);
         INSERT INTO person VALUES ('P-1', '987-65-4321', 'Ana', 'Quillavera', '1992-07-31', 'USC', 0, 0, 'C-1', 'M-1');
         INSERT INTO person VALUES ('P-2', '987-65-4322', 'Bruno', 'Zastrowski', '1985-04-01', 'XXX', 0, 0, 'C-2', 'M-2');
         INSERT INTO vital_record VALUES ('987-65-4321', 'ANA', 'QUILLAVERA', '1992-07-31');
         INSERT INTO vital_record VALUES ('987-65-4322', 'BRUNO', 'ZASTROWSKI', '1985-04-01');",
    )
    .execute(&mut database)
    .await
    .unwrap();
}

/// Runs a statement on the registry, as its owner.
pub async fn edit(path: &Path, sql: &'static str) {
    let mut database = SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(sql).execute(&mut database).await.unwrap();
}

/// A payroll service that serves one report per case number.
#[derive(Clone)]
pub struct Payroll {
    pub url: String,
    reports: Arc<Mutex<HashMap<String, Value>>>,
    touched: Arc<Mutex<Vec<String>>>,
}

/// Changes on one page of a payroll service's feed.
const PAGE: usize = 2;

/// A report with one paystub of `gross` cents, dated `paid`.
pub fn report(case_number: &str, last4: &str, completed: Day, paid: Day, gross: i64) -> Value {
    json!({
        "confirmation_code": "T1",
        "completed_at": format!("{completed}T08:00:00Z"),
        "agency_partner_metadata": { "case_number": case_number, "date_of_birth": "1992-07-31" },
        "income_report": { "has_other_jobs": false, "employments": [{
            "applicant_full_name": "A", "applicant_ssn": format!("XXX-XX-{last4}"), "employer_name": "E",
            "paystubs": [{ "pay_date": paid, "pay_gross": gross,
                "deductions": [
                    { "category": "retirement", "tax": "pre_tax", "amount": 1_000 },
                    { "category": "fica", "tax": "post_tax", "amount": 5_000 }] }],
        }] },
    })
}

impl Payroll {
    pub async fn start() -> Self {
        let reports: Arc<Mutex<HashMap<String, Value>>> = Arc::default();
        let touched: Arc<Mutex<Vec<String>>> = Arc::default();
        let served = web::Data::from(Arc::clone(&reports));
        let feed = web::Data::from(Arc::clone(&touched));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(served.clone())
                .app_data(feed.clone())
                .route("/changes", web::get().to(changes))
                .route(
                    "/api/v1/income_reports",
                    web::get().to(
                        |reports: web::Data<Mutex<HashMap<String, Value>>>,
                         query: web::Query<HashMap<String, String>>| async move {
                            let reports = reports.lock().unwrap();
                            let found = query.get("case_number").and_then(|it| reports.get(it));
                            HttpResponse::Ok().json(found.into_iter().collect::<Vec<_>>())
                        },
                    ),
                )
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        tokio::spawn(server);
        Self {
            url,
            reports,
            touched,
        }
    }

    pub fn put(&self, case_number: &str, report: Value) {
        self.touched.lock().unwrap().push(case_number.into());
        self.reports
            .lock()
            .unwrap()
            .insert(case_number.into(), report);
    }
}

/// What was put since, by its number from 1, in pages.
async fn changes(
    touched: web::Data<Mutex<Vec<String>>>,
    query: web::Query<HashMap<String, String>>,
) -> HttpResponse {
    let number = |name: &str| query.get(name).and_then(|it| it.parse::<usize>().ok());
    let from = number("offset").or(number("since")).unwrap_or(1).max(1);
    let touched = touched.lock().unwrap();
    let changes: Vec<Value> = (from..=touched.len())
        .take(PAGE)
        .map(|at| json!({ "case": touched[at - 1], "at": at }))
        .collect();
    let next = (from + PAGE <= touched.len()).then_some(from + PAGE);
    HttpResponse::Ok().json(json!({ "changes": changes, "next": next }))
}
