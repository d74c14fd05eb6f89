//! CMS Emmy income reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::HttpResponse;
use oracles::sources::{
    Basis, EmmyRead, HttpConfig, Limits, Measure, ReadConfig, Reading, SourceConfig, SourceError,
};
use serde_json::{Value, json};

use crate::server::{hasty, http, limits, period, read, serve};

pub fn reading(measure: Measure, basis: Basis) -> EmmyRead {
    EmmyRead {
        source: "payroll".into(),
        measure,
        basis: Some(basis),
        max_report_age_days: 7,
        max_unpaid_days: 400,
    }
}

pub async fn measured(url: String, reading: EmmyRead, limits: Limits) -> Reading {
    let source = SourceConfig::Emmy(HttpConfig {
        api_key: Some("key".into()),
        ..http("payroll", url, limits)
    });
    let attribute = match reading.measure {
        Measure::Income => "income.magi_monthly",
        Measure::Earnings => "income.earned_monthly",
        Measure::Hours => "income.work_hours_monthly",
    };
    let keys = [("case_number", "C-1"), ("ssn_last4", "4321")];
    read(
        source,
        ReadConfig::Emmy(reading),
        attribute,
        &keys,
        period(),
    )
    .await
}

async fn income(url: String) -> Reading {
    measured(url, reading(Measure::Income, Basis::Paid), limits()).await
}

pub fn report(edit: impl Fn(&mut Value)) -> Value {
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
pub fn payroll(reports: Value) -> String {
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
        SourceError::WrongPerson { field, .. } if field == "agency_partner_metadata.case_number"
    ));
    let ssn =
        failed(|it| it["income_report"]["employments"][0]["applicant_ssn"] = "XXX-XX-9999".into())
            .await;
    assert!(matches!(
        ssn,
        SourceError::WrongPerson { field, .. } if field == "employments.applicant_ssn"
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

    let slow = serve(|_| {
        std::thread::sleep(std::time::Duration::from_secs(3));
        HttpResponse::Ok().json(json!([]))
    });
    let paid = reading(Measure::Income, Basis::Paid);
    assert!(matches!(
        measured(slow, paid, hasty()).await,
        Err(SourceError::TimedOut { .. })
    ));
    assert!(
        income("http://127.0.0.1:9".into())
            .await
            .unwrap_err()
            .is_transient()
    );
}
