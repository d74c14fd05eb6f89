//! Adapters against real HTTP servers that answer truly, wrongly, slowly and with malice.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use contracts::catalogue::catalogue;
use contracts::units::Period;
use oracles::sources::{
    AttributeConfig, Limits, ReadConfig, Reading, SourceConfig, SourceError, Sources,
};
use serde_json::{Value, json};

const PREGNANT: &str = "77386006";
const MRN: &str = "https://ehr.example/mrn";

/// Serves every request with `answer`.
fn serve<F>(answer: F) -> String
where
    F: Fn(&HttpRequest) -> HttpResponse + Clone + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = HttpServer::new(move || {
        let answer = answer.clone();
        App::new().default_service(web::to(move |request: HttpRequest| {
            let response = answer(&request);
            async move { response }
        }))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .unwrap()
    .run();
    tokio::spawn(server);
    url
}

fn limits() -> Limits {
    Limits {
        timeout_ms: 400,
        retries: 1,
        deadline_ms: 1_500,
        max_bytes: 64 << 10,
        max_pages: 4,
        max_entries: 20,
    }
}

fn period() -> Period {
    "2026-10-22/2026-11-20".parse().unwrap()
}

async fn read(
    source: SourceConfig,
    reading: ReadConfig,
    attribute: &str,
    keys: &[(&str, &str)],
    period: Period,
) -> Reading {
    let mapping = AttributeConfig {
        id: attribute.into(),
        read: vec![reading],
    };
    let sources = Sources::new(&[source], &[mapping]).unwrap();
    let keys: BTreeMap<String, String> = keys
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    let attribute = catalogue().get(&attribute.into()).unwrap();
    sources.read(attribute, &keys, period).await.remove(0)
}

async fn income(url: String) -> Reading {
    let source = SourceConfig::Emmy {
        name: "payroll".into(),
        url,
        api_key: "key".into(),
        limits: limits(),
    };
    let reading = ReadConfig::Emmy {
        source: "payroll".into(),
        max_report_age_days: 7,
    };
    let keys = [("case_number", "C-1"), ("ssn_last4", "4321")];
    read(source, reading, "income.magi_monthly", &keys, period()).await
}

async fn pregnant(url: String) -> Reading {
    let source = SourceConfig::Fhir {
        name: "ehr".into(),
        url,
        api_key: None,
        limits: limits(),
    };
    let reading = ReadConfig::Fhir {
        source: "ehr".into(),
        identifier_system: MRN.into(),
        identifier_key: "ehr_id".into(),
        codes: vec![oracles::sources::Coding {
            system: "http://snomed.info/sct".into(),
            code: PREGNANT.into(),
        }],
    };
    let day = "2026-11-20/2026-11-20".parse().unwrap();
    read(
        source,
        reading,
        "medical.pregnant",
        &[("ehr_id", "M|1,2")],
        day,
    )
    .await
}

fn report(edit: impl Fn(&mut Value)) -> Value {
    let mut report = json!({
        "confirmation_code": "X", "completed_at": "2026-11-19T10:00:00Z",
        "agency_partner_metadata": { "case_number": "C-1", "doc_id": "9" },
        "income_report": { "has_other_jobs": false, "employments": [
            { "applicant_full_name": "A", "applicant_ssn": "XXX-XX-4321", "employer_name": "E", "paystubs": [
                { "pay_date": "2026-10-21", "pay_gross": 11_111_111 },
                { "pay_date": "2026-10-22", "pay_gross": 61_237, "deductions": [
                    { "category": "401k", "tax": "pre_tax", "amount": 2_000 },
                    { "category": "fica", "tax": "post_tax", "amount": 4_000 },
                    { "category": null, "tax": "unknown", "amount": null }] },
                { "pay_date": "2026-11-20", "pay_gross": 10_000, "hours_paid": 7.5 },
                { "pay_date": "2026-11-21", "pay_gross": 22_222_222 }] },
            { "applicant_full_name": "A", "applicant_ssn": null, "employer_name": "G", "paystubs": [
                { "pay_date": "2026-11-01", "pay_gross": 5_000 }] }] },
    });
    edit(&mut report);
    report
}

/// A payroll service that knows its key and the case.
fn payroll(reports: Value) -> String {
    serve(move |request| {
        let authorised = request
            .headers()
            .get("authorization")
            .is_some_and(|it| it == "Bearer key");
        if !authorised || request.query_string() != "case_number=C-1" {
            return HttpResponse::Unauthorized().finish();
        }
        HttpResponse::Ok().json(&reports)
    })
}

#[actix_web::test]
async fn pay_of_thirty_days_over_all_employments_of_the_latest_report() {
    let older = report(|it| {
        it["completed_at"] = "2026-11-18T23:59:59Z".into();
        it["income_report"]["employments"][1]["paystubs"][0]["pay_gross"] = 1.into();
    });
    let expected = Ok(Some(61_237 - 2_000 + 10_000 + 5_000));
    assert_eq!(
        income(payroll(json!([report(|_| {}), older]))).await,
        expected
    );
    assert_eq!(
        income(payroll(json!([older, report(|_| {})]))).await,
        expected,
        "order is not trusted"
    );
    assert_eq!(
        income(payroll(json!([]))).await,
        Ok(None),
        "no report is no record"
    );
}

#[actix_web::test]
async fn a_report_of_another_person_or_too_old_or_in_part_is_a_failed_source_and_not_a_fact() {
    let failed =
        async |edit: fn(&mut Value)| income(payroll(json!([report(edit)]))).await.unwrap_err();
    let case = failed(|it| it["agency_partner_metadata"]["case_number"] = "C-2".into()).await;
    assert!(matches!(
        case,
        SourceError::WrongPerson {
            field: "agency_partner_metadata.case_number",
            ..
        }
    ));
    let ssn =
        failed(|it| it["income_report"]["employments"][0]["applicant_ssn"] = "XXX-XX-9999".into())
            .await;
    assert!(matches!(
        ssn,
        SourceError::WrongPerson {
            field: "employments.applicant_ssn",
            ..
        }
    ));
    let old = failed(|it| it["completed_at"] = "2026-11-12T23:59:59Z".into()).await;
    assert!(matches!(old, SourceError::Incomplete { .. }));
    let part = failed(|it| it["income_report"]["has_other_jobs"] = true.into()).await;
    assert!(matches!(part, SourceError::Incomplete { .. }));
}

#[actix_web::test]
async fn hostile_income_reports_are_failed_sources_whose_errors_quote_nothing() {
    let stub = |it: &mut Value, field: &str, value: Value| {
        it["income_report"]["employments"][0]["paystubs"][1][field] = value;
    };
    let mut hostile = vec![
        json!({ "error": "no" }),
        json!([report(|it| stub(it, "pay_gross", json!(612.37)))]),
        json!([report(|it| stub(it, "pay_gross", json!("61237")))]),
        json!([report(|it| stub(it, "pay_gross", json!(i64::MAX)))]),
        json!([report(|it| stub(it, "pay_gross", json!(-61_237)))]),
        json!([report(|it| stub(it, "pay_date", json!("22.10.2026")))]),
        json!([report(|it| stub(
            it,
            "deductions",
            json!([{ "category": "x", "tax": "pre_tax", "amount": null }])
        ))]),
        json!([report(|it| stub(
            it,
            "deductions",
            json!([{ "category": "x", "tax": "pre_tax", "amount": -61_237 }])
        ))]),
        json!([report(|it| stub(
            it,
            "deductions",
            json!([{ "category": "x", "tax": "PRE", "amount": 1 }])
        ))]),
        json!([report(|it| it["completed_at"] = "yesterday".into())]),
        json!([report(|it| it["income_report"]["employments"] = json!(null))]),
        json!([report(|_| {}), report(|_| {})]),
    ];
    let many = vec![json!({ "pay_date": "2026-11-01", "pay_gross": 1 }); 501];
    hostile.push(json!([report(|it| it["income_report"]["employments"]
        [0]["paystubs"] =
        many.clone().into())]));
    for (at, body) in hostile.into_iter().enumerate() {
        let error = income(payroll(body))
            .await
            .expect_err(&format!("case {at}"))
            .to_string();
        for leak in ["61237", "612.37", "C-1", "4321", "yesterday", "22.10"] {
            assert!(!error.contains(leak), "case {at}: {error}");
        }
        assert!(error.contains("source payroll"), "{error}");
    }
    for text in [
        "",
        "[",
        "\u{feff}[]",
        "[{\"completed_at\":\"x\",\"completed_at\":\"x\"}]",
        &"[".repeat(60_000),
    ] {
        let text = text.to_owned();
        let url = serve(move |_| {
            HttpResponse::Ok()
                .content_type("application/json")
                .body(text.clone())
        });
        assert!(matches!(
            income(url).await,
            Err(SourceError::Malformed { .. })
        ));
    }
    let big = serve(|_| HttpResponse::Ok().body(vec![b' '; 65_537]));
    assert!(matches!(
        income(big).await,
        Err(SourceError::TooLarge { .. })
    ));
}

#[actix_web::test]
async fn a_source_that_is_down_slow_or_elsewhere_fails_in_time_and_is_asked_again_within_bounds() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let flaky = serve(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => HttpResponse::ServiceUnavailable().finish(),
        _ => HttpResponse::Ok().json(json!([report(|_| {})])),
    });
    assert!(income(flaky).await.unwrap().is_some());
    assert_eq!(tries.load(Ordering::SeqCst), 2);

    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let refusing = serve(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        HttpResponse::Unauthorized().finish()
    });
    assert!(matches!(
        income(refusing).await,
        Err(SourceError::Refused { .. })
    ));
    assert_eq!(tries.load(Ordering::SeqCst), 1, "a refusal is final");

    let elsewhere = payroll(json!([report(|_| {})]));
    let moved = serve(move |_| {
        HttpResponse::Found()
            .insert_header((
                "location",
                format!("{elsewhere}/api/v1/income_reports?case_number=C-1"),
            ))
            .finish()
    });
    assert!(
        matches!(income(moved).await, Err(SourceError::Refused { .. })),
        "redirects are not followed"
    );

    let start = std::time::Instant::now();
    let slow = serve(|_| {
        std::thread::sleep(Duration::from_secs(3));
        HttpResponse::Ok().json(json!([]))
    });
    assert!(income(slow).await.unwrap_err().is_transient());
    assert!(start.elapsed() < Duration::from_millis(2_500));
    assert!(
        income("http://127.0.0.1:9".into())
            .await
            .unwrap_err()
            .is_transient()
    );
}

fn bundle(entries: Vec<Value>, next: Option<String>) -> Value {
    let link: Vec<Value> = next
        .into_iter()
        .map(|url| json!({ "relation": "next", "url": url }))
        .collect();
    let entries: Vec<Value> = entries
        .into_iter()
        .map(|it| json!({ "resource": it }))
        .collect();
    json!({ "resourceType": "Bundle", "type": "searchset", "link": link, "entry": entries })
}

fn patient() -> Value {
    json!({ "resourceType": "Patient", "id": "p-1", "active": true,
            "identifier": [{ "system": MRN, "value": "M|1,2" }], "birthDate": "1992-01-01" })
}

fn condition(edit: impl Fn(&mut Value)) -> Value {
    let mut condition = json!({
        "resourceType": "Condition", "id": "c-1",
        "clinicalStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active" }] },
        "verificationStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed" }] },
        "code": { "coding": [{ "system": "http://snomed.info/sct", "code": PREGNANT }], "text": "Pregnancy" },
        "subject": { "reference": "Patient/p-1" },
    });
    edit(&mut condition);
    condition
}

/// An EHR whose `Condition` search answers by page number, from 0.
fn ehr<F>(patients: Value, pages: F) -> String
where
    F: Fn(&str, usize) -> Value + Clone + Send + 'static,
{
    serve(move |request| {
        let base = format!("http://{}", request.connection_info().host());
        let query: BTreeMap<String, String> =
            web::Query::<BTreeMap<String, String>>::from_query(request.query_string())
                .unwrap()
                .0;
        let answer = match request.path() {
            "/Patient" => {
                assert_eq!(
                    query["identifier"],
                    format!("{MRN}|M\\|1\\,2"),
                    "reserved characters are escaped"
                );
                patients.clone()
            }
            "/Condition" if query.contains_key("page") => {
                pages(&base, query["page"].parse().unwrap())
            }
            "/Condition" => {
                assert_eq!(query["patient"], "p-1");
                assert_eq!(query["clinical-status"], "active");
                assert_eq!(query["code"], format!("http://snomed.info/sct|{PREGNANT}"));
                pages(&base, 0)
            }
            _ => return HttpResponse::NotFound().finish(),
        };
        HttpResponse::Ok()
            .content_type("application/fhir+json")
            .json(answer)
    })
}

fn one(entries: Vec<Value>) -> String {
    ehr(bundle(vec![patient()], None), move |_, _| {
        bundle(entries.clone(), None)
    })
}

#[actix_web::test]
async fn an_active_condition_is_found_on_any_page_and_absence_is_told_from_no_patient() {
    assert_eq!(pregnant(one(vec![condition(|_| {})])).await, Ok(Some(1)));
    assert_eq!(pregnant(one(vec![])).await, Ok(Some(0)));
    let paged = ehr(bundle(vec![patient()], None), |base, page| match page {
        0 => bundle(vec![], Some(format!("{base}/Condition?page=1"))),
        _ => bundle(vec![condition(|_| {})], None),
    });
    assert_eq!(pregnant(paged).await, Ok(Some(1)));
    let nobody = ehr(bundle(vec![], None), |_, _| {
        unreachable!("no patient, no search")
    });
    assert_eq!(pregnant(nobody).await, Ok(None));

    for edit in [
        (|it| it["clinicalStatus"]["coding"][0]["code"] = "resolved".into()) as fn(&mut Value),
        |it| it["verificationStatus"]["coding"][0]["code"] = "refuted".into(),
        |it| it["verificationStatus"]["coding"][0]["code"] = "entered-in-error".into(),
        |it| it["code"]["coding"][0]["code"] = "1".into(),
        |it| it["code"]["coding"][0]["system"] = "http://hl7.org/fhir/sid/icd-10".into(),
        |it| it["clinicalStatus"] = json!(null),
    ] {
        assert_eq!(
            pregnant(one(vec![condition(edit)])).await,
            Ok(Some(0)),
            "a server that ignores the filter"
        );
    }
}

#[actix_web::test]
async fn the_record_of_another_patient_is_refused() {
    let other = condition(|it| it["subject"]["reference"] = "Patient/p-2".into());
    assert!(matches!(
        pregnant(one(vec![condition(|_| {}), other])).await,
        Err(SourceError::WrongPerson { .. })
    ));
    let elsewhere =
        condition(|it| it["subject"]["reference"] = "http://evil.example/Patient/p-1".into());
    assert!(matches!(
        pregnant(one(vec![elsewhere])).await,
        Err(SourceError::WrongPerson { .. })
    ));
    let mut stranger = patient();
    stranger["identifier"][0]["value"] = "M-2".into();
    let wrong = ehr(bundle(vec![stranger], None), |_, _| bundle(vec![], None));
    assert!(matches!(
        pregnant(wrong).await,
        Err(SourceError::WrongPerson { .. })
    ));
    let two = ehr(bundle(vec![patient(), patient()], None), |_, _| {
        bundle(vec![], None)
    });
    assert!(matches!(
        pregnant(two).await,
        Err(SourceError::Ambiguous { .. })
    ));
    let mut traversal = patient();
    traversal["id"] = "../Patient/p-2?x=".into();
    let hostile = ehr(bundle(vec![traversal], None), |_, _| bundle(vec![], None));
    assert!(matches!(
        pregnant(hostile).await,
        Err(SourceError::Malformed { .. })
    ));
}

#[actix_web::test]
async fn a_bundle_loop_a_link_to_another_server_and_endless_pages_are_refused() {
    let patients = || bundle(vec![patient()], None);
    let circle = ehr(patients(), |base, page| {
        bundle(
            vec![],
            Some(format!("{base}/Condition?page={}", 1 + page % 2)),
        )
    });
    assert!(matches!(
        pregnant(circle).await,
        Err(SourceError::Malformed { .. })
    ));
    let endless = ehr(patients(), |base, page| {
        bundle(vec![], Some(format!("{base}/Condition?page={}", page + 1)))
    });
    assert!(matches!(
        pregnant(endless).await,
        Err(SourceError::TooLarge { .. })
    ));
    let trap = serve(|_| panic!("an oracle was lured elsewhere"));
    let lure = ehr(patients(), move |_, _| {
        bundle(vec![], Some(format!("{trap}/Condition?page=1")))
    });
    assert!(matches!(
        pregnant(lure).await,
        Err(SourceError::Malformed { .. })
    ));
    let crowd = ehr(patients(), |_, _| bundle(vec![condition(|_| {}); 21], None));
    assert!(matches!(
        pregnant(crowd).await,
        Err(SourceError::TooLarge { .. })
    ));
}

#[actix_web::test]
async fn hostile_fhir_answers_are_failed_sources_and_not_the_absence_of_a_condition() {
    let outcome = json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "error", "code": "exception" }] });
    assert!(pregnant(one(vec![outcome.clone()])).await.is_err());
    let unparsable = json!({ "resourceType": "Condition", "subject": "p-1" });
    assert!(pregnant(one(vec![unparsable])).await.is_err());
    for answer in [
        outcome,
        json!(null),
        json!([]),
        json!({ "resourceType": "Bundle", "type": "collection", "entry": [] }),
        patient(),
    ] {
        let url = ehr(bundle(vec![patient()], None), move |_, _| answer.clone());
        assert!(pregnant(url).await.is_err());
    }
    let note = json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "information", "code": "informational" }] });
    assert_eq!(
        pregnant(one(vec![note, condition(|_| {})])).await,
        Ok(Some(1)),
        "a remark is no error"
    );
}

#[test]
fn a_mapping_that_cannot_work_is_refused_at_start_by_name() {
    #[derive(serde::Deserialize)]
    struct File {
        #[serde(default)]
        source: Vec<SourceConfig>,
        #[serde(default)]
        attribute: Vec<AttributeConfig>,
    }
    let refused = |text: &str| {
        let file: File = toml::from_str(text).unwrap();
        Sources::new(&file.source, &file.attribute)
            .err()
            .unwrap()
            .to_string()
    };
    let payroll =
        "[[source]]\nname = \"p\"\nkind = \"emmy\"\nurl = \"http://h\"\napi_key = \"hunter2\"\n";
    let reading = |id: &str, kind: &str, source: &str| {
        format!(
            "{payroll}[[attribute]]\nid = \"{id}\"\n[[attribute.read]]\nkind = \"{kind}\"\nsource = \"{source}\"\n"
        )
    };
    assert!(refused(&reading("income.nothing", "emmy", "p")).contains("income.nothing"));
    assert!(refused(&reading("income.magi_monthly", "emmy", "q")).contains("unknown source"));
    let fhir = reading("medical.pregnant", "fhir", "p");
    let fhir = format!("{fhir}identifier_system = \"s\"\nidentifier_key = \"k\"\ncodes = []\n");
    assert!(refused(&fhir).contains("another kind"));
    assert!(refused(&format!("{payroll}{payroll}")).contains("twice"));
    assert!(refused(&payroll.replace("http://h", "file:///etc/passwd")).contains("http(s)"));
    let file: File = toml::from_str(payroll).unwrap();
    assert!(
        !format!("{:?}", file.source).contains("hunter2"),
        "a key is not printed"
    );
}
