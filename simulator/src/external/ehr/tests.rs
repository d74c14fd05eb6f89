use super::*;
use serde_json::Value;

const KEY: &str = "ehr-reader";
const SNOMED: &str = "http://snomed.info/sct";

fn today() -> Day {
    "2026-11-20".parse().unwrap()
}

async fn service() -> Running {
    start(Config::new(today(), Secret::new(KEY))).await.unwrap()
}

fn client() -> reqwest::Client {
    oracles::http::client_builder().no_proxy().build().unwrap()
}

async fn get(url: &str) -> (u16, Value) {
    let answer = client().get(url).bearer_auth(KEY).send().await.unwrap();
    let status = answer.status().as_u16();
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/fhir+json"), "{kind}");
    (status, answer.json().await.unwrap())
}

async fn ids(service: &Running, query: &str) -> Vec<String> {
    let (status, bundle) = get(&format!("{}/{query}", service.url())).await;
    assert_eq!(status, 200, "{query}: {bundle}");
    assert_eq!(bundle["type"], "searchset");
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned())
        .collect()
}

fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array().unwrap();
    links
        .iter()
        .find(|link| link["relation"] == relation)
        .map(|link| link["url"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_patient_is_found_by_identifier_as_a_token() {
    let ehr = service().await;
    assert_eq!(
        ids(
            &ehr,
            "Patient?identifier=https://ehr.example/mrn|MRN-802241"
        )
        .await,
        ["pt-5100"]
    );
    assert_eq!(
        ids(&ehr, "Patient?identifier=MRN-802241").await,
        ["pt-5100"]
    );
    assert_eq!(
        ids(&ehr, "Patient?identifier=https://ehr.example/mrn|")
            .await
            .len(),
        9
    );
    assert!(
        ids(&ehr, "Patient?identifier=|MRN-802241").await.is_empty(),
        "the identifier has a system"
    );
    assert!(
        ids(&ehr, "Patient?identifier=https://other.example|MRN-802241")
            .await
            .is_empty()
    );
    assert!(
        ids(
            &ehr,
            "Patient?identifier=https://ehr.example/mrn|mrn-802241"
        )
        .await
        .is_empty()
    );
    assert!(
        ids(&ehr, "Patient?identifier=MRN-80224").await.is_empty(),
        "a token is no prefix"
    );
    assert_eq!(
        ids(&ehr, "Patient?identifier=MRN-802241,MRN-802377").await,
        ["pt-5100", "pt-5137"]
    );
    ehr.shutdown().await;
}

#[tokio::test]
async fn an_active_pregnancy_is_found_and_a_resolved_one_is_not() {
    let ehr = service().await;
    let pregnant = |patient: &str| {
        format!("Condition?patient={patient}&code={SNOMED}|77386006&clinical-status=active")
    };
    for (patient, found) in [
        ("pt-5174", 1),
        ("Patient/pt-5174", 1),
        ("pt-5396", 0),
        ("pt-5100", 0),
    ] {
        assert_eq!(
            ids(&ehr, &pregnant(patient)).await.len(),
            found,
            "{patient}"
        );
    }
    let absolute = format!("{}/Patient/pt-5174", ehr.url());
    assert_eq!(ids(&ehr, &pregnant(&absolute)).await.len(), 1);
    assert!(
        ids(&ehr, &pregnant("https://other.example/Patient/pt-5174"))
            .await
            .is_empty()
    );
    assert_eq!(
        ids(&ehr, "Condition?patient=pt-5396&code=77386006")
            .await
            .len(),
        1
    );
    assert!(
        ids(
            &ehr,
            "Condition?patient=pt-5174&code=http://loinc.org|77386006"
        )
        .await
        .is_empty()
    );
    assert_eq!(
        ids(
            &ehr,
            "Condition?patient.identifier=https://ehr.example/mrn|MRN-802518"
        )
        .await
        .len(),
        2
    );
    assert_eq!(
        ids(
            &ehr,
            "Condition?subject:Patient=pt-5174&clinical-status:not=resolved"
        )
        .await
        .len(),
        2
    );
    ehr.shutdown().await;
}

#[tokio::test]
async fn text_and_dates_compare_by_their_own_rules() {
    let ehr = service().await;
    assert_eq!(ids(&ehr, "Patient?family=quilla").await, ["pt-5100"]);
    assert!(
        ids(&ehr, "Patient?family:exact=quillavera")
            .await
            .is_empty()
    );
    assert_eq!(ids(&ehr, "Patient?family:contains=LLAV").await, ["pt-5100"]);
    assert_eq!(ids(&ehr, "Patient?birthdate=1992-07-31").await, ["pt-5100"]);
    assert_eq!(ids(&ehr, "Patient?birthdate=1992").await, ["pt-5100"]);
    assert_eq!(
        ids(&ehr, "Patient?birthdate=ge1992-07-31&birthdate=le1992-08").await,
        ["pt-5100"]
    );
    assert!(
        ids(
            &ehr,
            "Patient?birthdate=gt1992-07-31&birthdate=lt1992-08-01"
        )
        .await
        .is_empty()
    );
    ehr.shutdown().await;
}

#[tokio::test]
async fn pages_follow_their_links_and_meet_every_match_once() {
    let ehr = service().await;
    let mut url = Some(format!(
        "{}/Condition?_count=3&clinical-status=active",
        ehr.url()
    ));
    let mut seen = Vec::new();
    let mut pages = 0;
    let mut total = 0;
    while let Some(next) = url {
        let (status, bundle) = get(&next).await;
        assert_eq!(status, 200);
        let entries = bundle["entry"].as_array().unwrap();
        assert!(entries.len() <= 3);
        seen.extend(
            entries
                .iter()
                .map(|e| e["fullUrl"].as_str().unwrap().to_owned()),
        );
        total = bundle["total"].as_u64().unwrap();
        pages += 1;
        url = link(&bundle, "next");
    }
    assert_eq!(seen.len() as u64, total);
    assert_eq!(pages, total.div_ceil(3));
    let (_, resource) = get(&seen[0]).await;
    assert_eq!(resource["resourceType"], "Condition", "fullUrl can be read");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len() as u64, total);
    let (_, counted) = get(&format!("{}/Condition?_count=0", ehr.url())).await;
    assert!(counted.get("entry").is_none());
    assert!(counted["total"].as_u64().unwrap() > total);
    ehr.shutdown().await;
}

#[tokio::test]
async fn what_was_ignored_is_missing_from_the_self_link_or_refused_when_strict() {
    let ehr = service().await;
    let url = format!("{}/Condition?patient=pt-5100&shoe-size=42", ehr.url());
    let (status, bundle) = get(&url).await;
    assert_eq!(status, 200);
    let own = link(&bundle, "self").unwrap();
    assert!(
        own.contains("patient=pt-5100") && !own.contains("shoe-size"),
        "{own}"
    );
    let strict = client()
        .get(&url)
        .bearer_auth(KEY)
        .header("prefer", "handling=strict")
        .send()
        .await
        .unwrap();
    assert_eq!(strict.status(), 400);
    let outcome: Value = strict.json().await.unwrap();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    ehr.shutdown().await;
}

#[tokio::test]
async fn errors_are_operation_outcomes() {
    let ehr = service().await;
    for (path, expected) in [
        ("Condition?code:below=77386006", 400),
        ("Patient?_count=many", 400),
        ("Patient?birthdate=soon", 400),
        ("Patient?identifier=a|b|c", 400),
        ("Condition?patient.name=Q", 400),
        ("Encounter?patient=pt-5100", 404),
        ("Patient/pt-1", 404),
        ("Patient/pt-5100/_history/1/2", 404),
        ("Patient?_format=xml", 406),
    ] {
        let (status, outcome) = get(&format!("{}/{path}", ehr.url())).await;
        assert_eq!(status, expected, "{path}");
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{path}");
    }
    let url = format!("{}/Patient?identifier=MRN-802241", ehr.url());
    for key in ["", "wrong"] {
        let answer = client().get(&url).bearer_auth(key).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let outcome: Value = answer.json().await.unwrap();
        assert_eq!(outcome["issue"][0]["code"], "login");
    }
    ehr.shutdown().await;
}

#[tokio::test]
async fn the_capability_statement_needs_no_token_and_search_works_by_post() {
    let ehr = service().await;
    let statement: Value = client()
        .get(format!("{}/metadata", ehr.url()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(statement["resourceType"], "CapabilityStatement");
    assert_eq!(statement["fhirVersion"], "4.0.1");
    let posted: Value = client()
        .post(format!("{}/Patient/_search", ehr.url()))
        .bearer_auth(KEY)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("identifier=https%3A%2F%2Fehr.example%2Fmrn%7CMRN-802241")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(posted["total"], 1);
    ehr.shutdown().await;
}

/// The mappings of `oracles/oracle.example.toml` against patients that were made by rule.
#[tokio::test]
async fn the_record_of_every_generated_patient_is_read_for_what_it_says() {
    use std::collections::BTreeMap;

    use contracts::catalogue::catalogue;
    use generate::Expected;
    use oracles::sources::Sources;

    const PATIENTS: usize = 120;
    let ehr = start(Config {
        generated: PATIENTS,
        ..Config::new(today(), Secret::new("key"))
    })
    .await
    .unwrap();
    let example = include_str!("../../../../oracles/oracle.example.toml");
    let text = example.replace("https://ehr.example/fhir", &ehr.url());
    let config = oracles::config::NodeConfig::parse(&text).unwrap();
    let attest: oracles::attest::AttestConfig = config.role("attest").unwrap().unwrap();
    let sources = Sources::new(&attest.source, &attest.attribute).unwrap();
    let today = today();
    let mut seen = BTreeMap::new();
    for patient in generate::patients(today, PATIENTS).unwrap() {
        let keys = [
            ("ehr_id", &patient.mrn),
            ("birth_date", &patient.birth_date),
        ];
        let keys: BTreeMap<String, String> = keys
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .into();
        for (id, expected) in &patient.expected {
            let attribute = catalogue().get(&(*id).into()).unwrap();
            let period = attribute.period.period(today).unwrap();
            let said = sources.read(attribute, &keys, period).await.remove(0);
            let right = match expected {
                Expected::Known(value) => said == Ok(Some(*value)),
                Expected::NotKnown => said == Ok(None),
                Expected::Refused => said.is_err(),
            };
            assert!(
                right,
                "{} {id}: {said:?}, expected {expected:?}",
                patient.mrn
            );
            *seen.entry((*id, format!("{expected:?}"))).or_insert(0) += 1;
        }
    }
    for id in ["medical.pregnant", "medical.disabled", "medical.asthma"] {
        for kind in ["Known(0)", "Known(1)", "NotKnown"] {
            assert!(seen[&(id, kind.to_owned())] >= 5, "{seen:?}");
        }
    }
    for id in ["medical.disabled", "medical.systolic_mmhg"] {
        assert!(seen.contains_key(&(id, "Refused".to_owned())), "{seen:?}");
    }
    // Somebody else's number, or somebody else's birth date, reads nothing.
    let keys = |mrn: &str, born: &str| -> BTreeMap<String, String> {
        [("ehr_id", mrn), ("birth_date", born)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    };
    let pregnant = catalogue().get(&"medical.pregnant".into()).unwrap();
    let period = pregnant.period.period(today).unwrap();
    let wrong = sources
        .read(pregnant, &keys("GEN-00001", "1900-01-01"), period)
        .await;
    assert!(wrong[0].is_err());
    let nobody = sources
        .read(pregnant, &keys("GEN-99999", "1900-01-01"), period)
        .await;
    assert_eq!(nobody, [Ok(None)]);
    ehr.shutdown().await;
}

async fn with_staff(folder: &std::path::Path) -> Running {
    start(Config {
        pregnant: vec!["MRN-7".to_owned()],
        staff: Some(Staff {
            key: Secret::new("staff"),
            data: folder.to_owned(),
        }),
        ..Config::new(today(), Secret::new(KEY))
    })
    .await
    .unwrap()
}

async fn write(ehr: &Running, key: &str, body: &str) -> u16 {
    let url = format!("{}/admin/events", ehr.url());
    let request = client().post(&url).bearer_auth(key).body(body.to_owned());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn what_staff_wrote_is_found_by_when_it_was_written_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ehr = with_staff(folder.path()).await;
    let active = format!("Condition?code={SNOMED}|77386006&clinical-status=active");
    let before = ids(&ehr, &active).await;
    assert!(
        before.contains(&"plain-0-pregnancy".to_owned()),
        "{before:?}"
    );
    let later = "Condition?_lastUpdated=gt2026-11-17T00:00:00Z&_sort=_lastUpdated";
    assert!(ids(&ehr, later).await.is_empty());
    let all = "Condition?_lastUpdated=ge2026-11-17&_count=100&_sort=_lastUpdated";
    assert_eq!(
        ids(&ehr, all).await.len(),
        ids(&ehr, "Condition?_count=100").await.len()
    );

    let over = r#"{"event": "conditions-resolved", "mrn": "MRN-7"}"#;
    assert_eq!(write(&ehr, "staff", over).await, 201);
    assert_eq!(write(&ehr, "staff", over).await, 201);
    ehr.shutdown().await;
    let ehr = with_staff(folder.path()).await;
    // The clock of this machine stands in the record, whichever side of the fixtures' day it is on.
    let other_day = "Condition?_lastUpdated=ne2026-11-17";
    assert_eq!(ids(&ehr, other_day).await, ["plain-0-pregnancy"]);
    assert!(
        !ids(&ehr, &active)
            .await
            .contains(&"plain-0-pregnancy".to_owned())
    );
    let (_, read) = get(&format!("{}/Condition/plain-0-pregnancy", ehr.url())).await;
    assert!(read["abatementDateTime"].is_string(), "{read}");
    ehr.shutdown().await;
}

#[tokio::test]
async fn attack_a_reader_cannot_write_and_staff_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let ehr = with_staff(folder.path()).await;
    let over = r#"{"event": "conditions-resolved", "mrn": "MRN-7"}"#;
    assert_eq!(write(&ehr, KEY, over).await, 401);
    let url = format!("{}/Condition", ehr.url());
    let read = client()
        .get(&url)
        .bearer_auth("staff")
        .send()
        .await
        .unwrap();
    assert_eq!(read.status(), 401);
    let nobody = r#"{"event": "conditions-resolved", "mrn": "MRN-8"}"#;
    assert_eq!(write(&ehr, "staff", nobody).await, 404);
    assert_eq!(write(&ehr, "staff", r#"{"event": "died"}"#).await, 400);
    ehr.shutdown().await;
    // Without staff nobody writes.
    let ehr = service().await;
    assert_eq!(write(&ehr, KEY, over).await, 401);
    ehr.shutdown().await;
}
