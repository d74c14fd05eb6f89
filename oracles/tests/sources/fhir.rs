//! FHIR R4 servers.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use oracles::sources::{
    Coding, FhirRead, Pick, ReadConfig, Reading, Resource, Round, SourceConfig, SourceError,
};
use serde_json::{Value, json};

use crate::server::{http, limits, read, serve};

const PREGNANT: &str = "77386006";
const MRN: &str = "https://ehr.example/mrn";

fn mapping(resource: Resource, system: &str, code: &str) -> FhirRead {
    FhirRead {
        source: "ehr".into(),
        resource,
        identifier_system: MRN.into(),
        identifier_key: "ehr_id".into(),
        birth_date_key: None,
        codes: vec![Coding {
            system: system.into(),
            code: code.into(),
        }],
        panel: Vec::new(),
        category: Vec::new(),
        unit: String::new(),
        pick: Pick::Max,
        round: None,
        profile: None,
        required: Vec::new(),
    }
}

async fn ask(url: String, reading: FhirRead, attribute: &str, period: &str) -> Reading {
    let source = SourceConfig::Fhir(http("ehr", url, limits()));
    let keys = [("ehr_id", "M|1,2"), ("birth_date", "1992-01-01")];
    let period = period.parse().unwrap();
    read(source, ReadConfig::Fhir(reading), attribute, &keys, period).await
}

const DAY: &str = "2026-11-20/2026-11-20";

async fn pregnant(url: String) -> Reading {
    let reading = mapping(Resource::Condition, "http://snomed.info/sct", PREGNANT);
    ask(url, reading, "medical.pregnant", DAY).await
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

const CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";

#[actix_web::test]
async fn a_condition_that_is_suspected_only_is_not_known_and_a_confirmed_one_beside_it_is() {
    for edit in [
        (|it| it["verificationStatus"]["coding"][0]["code"] = "provisional".into())
            as fn(&mut Value),
        |it| it["verificationStatus"]["coding"][0]["code"] = "differential".into(),
        |it| it["verificationStatus"]["coding"][0]["code"] = "unconfirmed".into(),
        |it| it["verificationStatus"] = json!(null),
        |it| it["clinicalStatus"] = json!(null),
    ] {
        let suspected = condition(edit);
        assert_eq!(pregnant(one(vec![suspected.clone()])).await, Ok(None));
        let both = one(vec![suspected, condition(|it| it["id"] = "c-2".into())]);
        assert_eq!(pregnant(both).await, Ok(Some(1)));
    }
    for active in ["recurrence", "relapse"] {
        let again = condition(|it| it["clinicalStatus"]["coding"][0]["code"] = active.into());
        assert_eq!(pregnant(one(vec![again])).await, Ok(Some(1)), "{active}");
    }
    for over in ["inactive", "remission", "resolved"] {
        let past = condition(|it| it["clinicalStatus"]["coding"][0]["code"] = over.into());
        assert_eq!(pregnant(one(vec![past])).await, Ok(Some(0)), "{over}");
    }
    let to_come = condition(|it| it["onsetDateTime"] = "2026-11-21".into());
    assert_eq!(pregnant(one(vec![to_come])).await, Ok(Some(0)));
}

#[actix_web::test]
async fn a_condition_that_contradicts_itself_is_refused() {
    for edit in [
        (|it| it["abatementDateTime"] = "2026-01-01".into()) as fn(&mut Value),
        |it| it["clinicalStatus"]["coding"][0]["code"] = "alive".into(),
        |it| it["verificationStatus"]["coding"][0]["code"] = "sure".into(),
        |it| it["clinicalStatus"]["coding"][0]["system"] = "http://x".into(),
        |it| {
            let both = json!([{ "system": CLINICAL, "code": "active" }, { "system": CLINICAL, "code": "resolved" }]);
            it["clinicalStatus"]["coding"] = both;
        },
        |it| it["code"] = json!("77386006"),
        |it| it["subject"] = json!(null),
    ] {
        let error = pregnant(one(vec![condition(edit)])).await.unwrap_err();
        assert!(matches!(error, SourceError::Malformed { .. }), "{error}");
        assert!(error.to_string().contains("Condition."), "{error}");
    }
}

#[actix_web::test]
async fn what_does_not_conform_to_the_configured_profile_is_refused() {
    const PROFILE: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-condition-problems-health-concerns";
    let reading = || FhirRead {
        profile: Some(PROFILE.into()),
        required: vec!["/recordedDate".into(), "/category/0/coding".into()],
        ..mapping(Resource::Condition, "http://snomed.info/sct", PREGNANT)
    };
    let conforming = |edit: fn(&mut Value)| {
        one(vec![condition(|it| {
            it["meta"] = json!({ "profile": [format!("{PROFILE}|7.0.0")] });
            it["recordedDate"] = "2026-09-01".into();
            it["category"] = json!([{ "coding": [{ "code": "problem-list-item" }] }]);
            edit(it);
        })])
    };
    let ask = async |edit| ask(conforming(edit), reading(), "medical.pregnant", DAY).await;
    assert_eq!(ask(|_| {}).await, Ok(Some(1)));
    for (edit, field) in [
        (
            (|it| it["meta"] = json!({})) as fn(&mut Value),
            "Condition.meta.profile",
        ),
        (
            |it| it["meta"]["profile"] = json!(["http://x"]),
            "Condition.meta.profile",
        ),
        (
            |it| it["recordedDate"] = json!(null),
            "Condition.recordedDate",
        ),
        (
            |it| it["category"] = json!([]),
            "Condition.category.0.coding",
        ),
    ] {
        let error = ask(edit).await.unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}

#[actix_web::test]
async fn a_record_of_another_birth_date_or_one_that_was_merged_away_is_refused() {
    let reading = || FhirRead {
        birth_date_key: Some("birth_date".into()),
        ..mapping(Resource::Patient, "", "")
    };
    let ask = async |edit: fn(&mut Value)| {
        let mut patient = patient();
        edit(&mut patient);
        let url = ehr(bundle(vec![patient], None), |_, _| {
            unreachable!("the patient alone is asked for")
        });
        ask(url, reading(), "medical.record_linked", DAY).await
    };
    assert_eq!(ask(|_| {}).await, Ok(Some(1)));
    for edit in [
        (|it| it["birthDate"] = "1992-01-02".into()) as fn(&mut Value),
        |it| it["birthDate"] = json!(null),
    ] {
        assert!(matches!(
            ask(edit).await,
            Err(SourceError::WrongPerson { field, .. }) if field == "Patient.birthDate"
        ));
    }
    let merged = ask(|it| {
        it["link"] = json!([{ "type": "replaced-by", "other": { "reference": "Patient/p-9" } }]);
    });
    assert!(matches!(merged.await, Err(SourceError::Incomplete { .. })));
}

fn pressure(systolic: Value, edit: impl Fn(&mut Value)) -> Value {
    let quantity = |value: Value| json!({ "value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]" });
    let code = |code: &str| json!({ "coding": [{ "system": "http://loinc.org", "code": code }] });
    let mut observation = json!({
        "resourceType": "Observation", "status": "final", "code": code("85354-9"),
        "subject": { "reference": "Patient/p-1" }, "effectiveDateTime": "2026-11-01T09:30:00-05:00",
        "component": [
            { "code": code("8480-6"), "valueQuantity": quantity(systolic) },
            { "code": code("8462-4"), "valueQuantity": quantity(json!(300)) },
        ],
    });
    edit(&mut observation);
    observation
}

async fn systolic(observations: Vec<Value>, pick: Pick) -> Reading {
    rounded(observations, pick, None).await
}

async fn rounded(observations: Vec<Value>, pick: Pick, round: Option<Round>) -> Reading {
    let url = serve(move |request| {
        let query = request.query_string();
        HttpResponse::Ok().json(match request.path() {
            "/Patient" => bundle(vec![patient()], None),
            _ => {
                assert!(
                    query.contains("date=ge2026-08-23&date=le2026-11-20"),
                    "{query}"
                );
                assert!(query.contains("85354-9%2Chttp"), "{query}");
                bundle(observations.clone(), None)
            }
        })
    });
    let reading = FhirRead {
        panel: vec![Coding {
            system: "http://loinc.org".into(),
            code: "85354-9".into(),
        }],
        unit: "mm[Hg]".into(),
        pick,
        round,
        ..mapping(Resource::Observation, "http://loinc.org", "8480-6")
    };
    ask(
        url,
        reading,
        "medical.systolic_mmhg",
        "2026-08-23/2026-11-20",
    )
    .await
}

#[actix_web::test]
async fn the_highest_or_latest_pressure_is_read_from_its_component_in_its_unit() {
    let on = |day: &'static str, value: i64| {
        pressure(json!(value), move |it| it["effectiveDateTime"] = day.into())
    };
    let three = || {
        vec![
            on("2026-09-01", 150),
            on("2026-11-20", 138),
            on("2026-10-01", 120),
        ]
    };
    assert_eq!(systolic(three(), Pick::Max).await, Ok(Some(150)));
    assert_eq!(systolic(three(), Pick::Latest).await, Ok(Some(138)));
    assert_eq!(systolic(vec![], Pick::Max).await, Ok(None));
    let outside = vec![on("2026-08-22", 199), on("2026-11-21", 198)];
    assert_eq!(
        systolic(outside, Pick::Max).await,
        Ok(None),
        "a server that ignores dates"
    );
    let alone = pressure(json!(1), |it| {
        it["code"]["coding"][0]["code"] = "8480-6".into();
        it["valueQuantity"] = it["component"][0]["valueQuantity"].clone();
        it["valueQuantity"]["value"] = json!(141.0);
        it["component"] = json!([]);
    });
    assert_eq!(systolic(vec![alone], Pick::Max).await, Ok(Some(141)));
    for unsound in [
        "entered-in-error",
        "cancelled",
        "preliminary",
        "registered",
        "unknown",
    ] {
        let unsound = pressure(json!(190), |it| it["status"] = unsound.into());
        assert_eq!(systolic(vec![unsound], Pick::Max).await, Ok(None));
    }
    let absent = pressure(json!(null), |it| {
        it["component"][0]["dataAbsentReason"] = json!({ "text": "refused" });
    });
    assert_eq!(systolic(vec![absent], Pick::Max).await, Ok(None));
}

#[actix_web::test]
async fn a_measurement_between_whole_units_is_read_only_as_the_mapping_says() {
    let measured = |value: Value| vec![pressure(value, |_| {})];
    for (value, up, down) in [
        (json!(140), 140, 140),
        (json!(140.0), 140, 140),
        (json!(140.1), 141, 140),
        (json!(140.9), 141, 140),
    ] {
        for (round, expected) in [(Round::Up, up), (Round::Down, down)] {
            let read = rounded(measured(value.clone()), Pick::Max, Some(round)).await;
            assert_eq!(read, Ok(Some(expected)), "{value} {round:?}");
        }
    }
    let refused = rounded(measured(json!(140.1)), Pick::Max, None).await;
    let refused = refused.expect_err("no rounding is configured").to_string();
    assert!(refused.contains("`round`"), "{refused}");
}

#[actix_web::test]
async fn a_measurement_in_another_unit_or_of_another_patient_is_refused() {
    let part = |it: &mut Value, field: &str, value: Value| {
        it["component"][0]["valueQuantity"][field] = value;
    };
    for (at, edit) in [
        Box::new(|it: &mut Value| part(it, "code", json!("kPa"))) as Box<dyn Fn(&mut Value)>,
        Box::new(|it| part(it, "code", json!(null))),
        Box::new(|it| part(it, "system", json!("http://x"))),
        Box::new(|it| part(it, "comparator", json!(">"))),
        Box::new(|it| part(it, "value", json!(140.6))),
        Box::new(|it| part(it, "value", json!("140"))),
        Box::new(|it| part(it, "value", json!(1e30))),
        Box::new(|it| it["status"] = json!("done")),
        Box::new(|it| it["effectiveDateTime"] = json!("2026-11")),
        Box::new(|it| it["effectiveDateTime"] = json!(null)),
        Box::new(|it| it["subject"]["reference"] = json!("Patient/p-2")),
    ]
    .into_iter()
    .enumerate()
    {
        let observation = pressure(json!(140), edit);
        let error = systolic(vec![observation], Pick::Max).await;
        let error = error.expect_err(&format!("case {at}")).to_string();
        assert!(!error.contains("140"), "{error}");
    }
    let too_high = systolic(vec![pressure(json!(4_000), |_| {})], Pick::Max).await;
    assert!(
        matches!(too_high, Err(SourceError::Malformed { .. })),
        "out of bounds"
    );
}

#[actix_web::test]
async fn the_history_of_the_family_is_not_the_patients_condition() {
    let mother = json!({
        "resourceType": "FamilyMemberHistory", "status": "completed", "patient": { "reference": "Patient/p-1" },
        "relationship": { "text": "mother" },
        "condition": [{ "code": { "coding": [{ "system": "http://snomed.info/sct", "code": PREGNANT }] } }],
    });
    let included = move |mode: Option<&str>| {
        let mut answer = bundle(vec![mother.clone()], None);
        if let Some(mode) = mode {
            answer["entry"][0]["search"] = json!({ "mode": mode });
        }
        ehr(bundle(vec![patient()], None), move |_, _| answer.clone())
    };
    assert_eq!(pregnant(included(Some("include"))).await, Ok(Some(0)));
    for called_a_match in [Some("match"), None] {
        assert!(matches!(
            pregnant(included(called_a_match)).await,
            Err(SourceError::Malformed { .. })
        ));
    }
}
