//! JSON services: what a mapping of the configuration makes of their answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::{HttpResponse, http::StatusCode};
use oracles::sources::{JsonRead, ReadConfig, Reading, SourceConfig, SourceError};
use serde_json::{Value, json};

use crate::server::{http, limits, period, read, serve, serve_bodies};

async fn ask(url: String, mapping: &str, attribute: &str) -> Reading {
    let mapping: JsonRead = toml::from_str(&format!("source = \"s\"\n{mapping}")).unwrap();
    let source = SourceConfig::Json(http("s", url, limits()));
    let keys = [("account_id", "a/1?x=#2"), ("ssn", "987-65-4321")];
    read(
        source,
        ReadConfig::Json(mapping),
        attribute,
        &keys,
        period(),
    )
    .await
}

fn answers(body: Value) -> String {
    serve(move |_| HttpResponse::Ok().json(&body))
}

const DEPOSITS: &str = r#"
path = "accounts/{account_id}/transactions"
query = { startTime = "{period.start}", endTime = "{period.end}" }
records = "/transactions"
same = { "/accountId" = "{account_id}" }
only = { "/kind" = ["CREDIT"] }
unique = "/id"
time = { as = "day", pointer = "/posted" }
pointer = "/amount"
value = { as = "dollars" }
reduce = "sum"
next = { as = "parameter", pointer = "/page/nextOffset", parameter = "offset" }
"#;

async fn deposits(url: String) -> Reading {
    ask(url, DEPOSITS, "income.deposits_monthly").await
}

fn transaction(id: u32, posted: &str, amount: &str) -> Value {
    let amount: Value = serde_json::from_str(amount).unwrap();
    json!({ "id": id, "accountId": "a/1?x=#2", "kind": "CREDIT", "posted": posted, "amount": amount })
}

fn page(transactions: &[Value], next: Option<&str>) -> Value {
    json!({ "transactions": transactions, "page": { "nextOffset": next } })
}

#[actix_web::test]
async fn deposits_of_the_period_are_added_up_over_all_pages_to_the_cent() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let bank = serve(move |request| {
        count.fetch_add(1, Ordering::SeqCst);
        assert_eq!(request.path(), "/accounts/a%2F1%3Fx=%232/transactions");
        let query = "endTime=2026-11-20&startTime=2026-10-22";
        let mut other = transaction(9, "2026-11-01", "99999");
        other["kind"] = "DEBIT".into();
        HttpResponse::Ok().json(match request.query_string() {
            it if it == query => page(
                &[
                    transaction(1, "2026-10-21T23:59:59Z", "1"),
                    transaction(2, "2026-10-22T00:00:00Z", "8.03"),
                    transaction(3, "2026-11-20", "1.15"),
                    other,
                ],
                Some("p 2"),
            ),
            it if it == format!("{query}&offset=p+2") => page(
                &[
                    transaction(3, "2026-11-20", "1.15"),
                    transaction(4, "2026-11-21", "1"),
                    transaction(5, "2026-11-20T23:00:00-05:00", "1"),
                    transaction(6, "2026-11-02", "6.1237e2"),
                ],
                None,
            ),
            other => panic!("{other}"),
        })
    });
    assert_eq!(deposits(bank).await, Ok(Some(803 + 115 + 61_237)));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(
        deposits(answers(page(&[], None))).await,
        Ok(Some(0)),
        "an account without deposits"
    );
}

#[actix_web::test]
async fn hostile_pages_are_failures_and_quote_nothing() {
    let good = transaction(1, "2026-11-01", "612.37");
    let edited = |edit: fn(&mut Value)| {
        let mut it = good.clone();
        edit(&mut it);
        page(&[it], None)
    };
    let mut twice = good.clone();
    twice["amount"] = json!(1);
    for (at, body) in [
        edited(|it| it["accountId"] = "a2".into()),
        edited(|it| it["accountId"] = Value::Null),
        edited(|it| it["amount"] = json!("612.375")),
        edited(|it| it["amount"] = json!(1e30)),
        edited(|it| it["amount"] = json!([612.37])),
        edited(|it| it["amount"] = Value::Null),
        edited(|it| it["amount"] = json!(-612.37)),
        edited(|it| it["posted"] = json!("11/01/2026")),
        edited(|it| it["posted"] = Value::Null),
        edited(|it| it["kind"] = Value::Null),
        edited(|it| it["id"] = Value::Null),
        page(&[good.clone(), twice], None),
        json!({ "transactions": null }),
        json!({ "transactions": {} }),
        json!({ "transactions": [], "page": { "nextOffset": [] } }),
        json!([]),
        page(&vec![good.clone(); 21], None),
    ]
    .into_iter()
    .enumerate()
    {
        let error = deposits(answers(body))
            .await
            .expect_err(&format!("case {at}"));
        let told = error.to_string();
        assert!(told.starts_with("source s: "), "{told}");
        for leak in ["612", "a/1", "a2", "11/01"] {
            assert!(!told.contains(leak), "case {at}: {told}");
        }
    }
    let pages = Arc::new(AtomicUsize::new(0));
    let endless = serve(move |_| {
        let next = pages.fetch_add(1, Ordering::SeqCst).to_string();
        HttpResponse::Ok().json(page(&[], Some(&next)))
    });
    assert!(matches!(
        deposits(endless).await,
        Err(SourceError::TooLarge { field: "pages", .. })
    ));
    let circle = answers(page(&[], Some("same")));
    assert!(matches!(
        deposits(circle).await,
        Err(SourceError::Malformed { .. })
    ));
}

#[actix_web::test]
async fn a_link_to_the_next_page_is_followed_on_this_server_only() {
    let mapping = DEPOSITS.replace(
        "as = \"parameter\", pointer = \"/page/nextOffset\", parameter = \"offset\"",
        "as = \"link\", pointer = \"/next\"",
    );
    let paged = serve(|request| {
        let first = request.path() != "/more";
        let next = first.then_some("/more?token=1");
        let records = [transaction(u32::from(first), "2026-11-01", "2")];
        HttpResponse::Ok().json(json!({ "transactions": records, "next": next }))
    });
    assert_eq!(
        ask(paged, &mapping, "income.deposits_monthly").await,
        Ok(Some(400))
    );
    let trap = serve(|_| panic!("an oracle was lured elsewhere"));
    let lure = answers(json!({ "transactions": [], "next": format!("{trap}/more") }));
    assert!(matches!(
        ask(lure, &mapping, "income.deposits_monthly").await,
        Err(SourceError::Malformed { .. })
    ));
}

#[actix_web::test]
async fn a_key_is_sent_by_post_whole_and_a_code_that_nobody_mapped_is_no_fact() {
    let mapping = r#"
path = "verifications"
body = { ssn = "{ssn}", account = "\"{account_id}" }
same = { "/ssn" = "{ssn}" }
pointer = "/result"
value = { as = "code", codes = { Y = 1, N = 0 } }
"#;
    let verify = |result: &'static str| {
        serve_bodies(move |request, body| {
            assert_eq!(request.method(), "POST");
            assert_eq!(body, r#"{"account":"\"a/1?x=#2","ssn":"987-65-4321"}"#);
            HttpResponse::Ok().json(json!({ "ssn": "987-65-4321", "result": result }))
        })
    };
    let ask = |url| ask(url, mapping, "identity.ssn_valid");
    assert_eq!(ask(verify("Y")).await, Ok(Some(1)));
    assert_eq!(ask(verify("N")).await, Ok(Some(0)));
    assert!(matches!(
        ask(verify("?")).await,
        Err(SourceError::Malformed { .. })
    ));
    assert!(matches!(
        ask(answers(json!({ "ssn": "987-65-4322", "result": "Y" }))).await,
        Err(SourceError::WrongPerson { field, .. }) if field == "/ssn"
    ));
}

#[actix_web::test]
async fn wages_of_the_latest_quarter_are_spread_over_its_days() {
    let mapping = r#"
path = "wages"
records = "/wages"
time = { as = "quarter", year = "/year", quarter = "/quarter", max_age_days = 190 }
pointer = "/amount"
value = { as = "dollars" }
reduce = "sum"
"#;
    let wage = |year: i64, quarter: i64, amount: &str| json!({ "year": year, "quarter": quarter.to_string(), "amount": amount });
    let ask = |wages: &[Value]| {
        ask(
            answers(json!({ "wages": wages })),
            mapping,
            "income.earned_monthly",
        )
    };
    // 30 of the 92 days of July to September, of each employer.
    let two = [
        wage(2026, 2, "9999.99"),
        wage(2026, 3, "9200.00"),
        wage(2026, 3, "920.00"),
    ];
    assert_eq!(ask(&two).await, Ok(Some(300_000 + 30_000)));
    assert_eq!(
        ask(&[]).await,
        Ok(None),
        "no wages on record are not wages of 0"
    );
    assert!(matches!(
        ask(&[wage(2026, 1, "9200.00")]).await,
        Err(SourceError::Incomplete { .. })
    ));
    assert_eq!(
        ask(&[wage(2026, 4, "1.00")]).await,
        Ok(None),
        "a quarter that is not over"
    );
    assert!(matches!(
        ask(&[wage(2026, 5, "1.00")]).await,
        Err(SourceError::Malformed { .. })
    ));
}

#[actix_web::test]
async fn spans_are_prorated_by_days() {
    let mapping = r#"
path = "benefits"
records = "/paid"
time = { as = "span", start = "/from", end = "/to" }
pointer = "/cents"
value = { as = "integer" }
reduce = "sum"
"#;
    let ask = |from: &str, to: &str| {
        let paid = json!({ "paid": [{ "from": from, "to": to, "cents": 10_000 }] });
        ask(answers(paid), mapping, "income.earned_monthly")
    };
    assert_eq!(ask("2026-11-01", "2026-11-10").await, Ok(Some(10_000)));
    assert_eq!(ask("2026-10-17", "2026-10-26").await, Ok(Some(5_000)));
    assert_eq!(ask("2026-11-21", "2026-11-30").await, Ok(Some(0)));
    for (from, to) in [("2026-11-10", "2026-11-01"), ("2020-01-01", "2026-11-01")] {
        assert!(ask(from, to).await.is_err(), "{from} {to}");
    }
}

#[actix_web::test]
async fn several_records_one_and_none_are_told_apart() {
    let only = "path = \"x\"\nrecords = \"/r\"\npointer = \"/s\"\nvalue = { as = \"state\" }\n";
    let states = |states: &[&str]| {
        let records: Vec<Value> = states.iter().map(|it| json!({ "s": it })).collect();
        answers(json!({ "r": records }))
    };
    let residence = "residence.state";
    assert_eq!(ask(states(&["CA"]), only, residence).await, Ok(Some(6)));
    assert_eq!(ask(states(&[]), only, residence).await, Ok(None));
    assert!(matches!(
        ask(states(&["CA", "NV"]), only, residence).await,
        Err(SourceError::Ambiguous { .. })
    ));
    let latest =
        format!("{only}reduce = \"latest\"\ntime = {{ as = \"day\", pointer = \"/d\" }}\n");
    let moved = |days: [&str; 3]| {
        let records = [("CA", days[0]), ("NV", days[1]), ("OR", days[2])];
        let records = records.map(|(state, day)| json!({ "s": state, "d": day }));
        answers(json!({ "r": records }))
    };
    let known = moved(["2020-01-01", "2026-11-01", "2026-12-01"]);
    assert_eq!(
        ask(known, &latest, residence).await,
        Ok(Some(32)),
        "Nevada; Oregon is to come"
    );
    let unsure = moved(["2026-11-01", "2026-11-01", "2020-01-01"]);
    assert!(matches!(
        ask(unsure, &latest, residence).await,
        Err(SourceError::Ambiguous { .. })
    ));
    let any = "path = \"x\"\nrecords = \"/r\"\nonly = { \"/s\" = [\"OPEN\"] }\nvalue = { as = \"exists\" }\nreduce = \"any\"\n";
    let linked = "income.deposit_account_linked";
    assert_eq!(
        ask(states(&["CLOSED", "OPEN"]), any, linked).await,
        Ok(Some(1))
    );
    assert_eq!(ask(states(&["CLOSED"]), any, linked).await, Ok(Some(0)));
}

#[actix_web::test]
async fn only_where_the_mapping_says_so_does_404_mean_no_record() {
    let mapping = "path = \"people/{ssn}\"\npointer = \"/s\"\nvalue = { as = \"state\" }\n";
    let gone = || serve(|_| HttpResponse::build(StatusCode::NOT_FOUND).finish());
    let residence = "residence.state";
    assert!(matches!(
        ask(gone(), mapping, residence).await,
        Err(SourceError::Refused { .. })
    ));
    let with = format!("{mapping}none_on_404 = true\n");
    assert_eq!(ask(gone(), &with, residence).await, Ok(None));
    let missing = mapping.replace("{ssn}", "{licence}");
    assert!(matches!(
        ask(gone(), &missing, residence).await,
        Err(SourceError::NoKey { key, .. }) if key == "licence"
    ));
}
