//! What a reader is told, and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::HttpResponse;
use contracts::ids::Domain;
use serde_json::{Value, json};

use crate::externals::{SSN, edit, report};
use crate::network::Network;
use crate::owner::{code, enrol, today};
use crate::server::serve;
use crate::watcher::{
    CHANGE_TABLE, Watch, changes, count, feeds, followed, fresh_nonces, passed, registry_feed,
    send, sign,
};

const BORN: &str = "identity.birth_date";
const STATUS: &str = "identity.medicaid_immigration_status";

/// An EHR with one condition of one patient: when it was updated, and whether it is active.
fn ehr(state: &Arc<Mutex<(String, bool)>>) -> String {
    let state = Arc::clone(state);
    let bundle = |entries: Vec<Value>| {
        let entries: Vec<Value> = entries
            .into_iter()
            .map(|it| json!({ "resource": it }))
            .collect();
        json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries })
    };
    serve(move |request| {
        let (updated, active) = state.lock().unwrap().clone();
        let coding = |system: &str, code: &str| {
            let system = format!("http://terminology.hl7.org/CodeSystem/{system}");
            json!({ "coding": [{ "system": system, "code": code }] })
        };
        let patient = json!({ "resourceType": "Patient", "id": "p-1",
            "identifier": [{ "system": "https://ehr.example/mrn", "value": "P-1" }] });
        let condition = json!({
            "resourceType": "Condition", "id": "c-1", "meta": { "lastUpdated": updated },
            "clinicalStatus": coding("condition-clinical", if active { "active" } else { "resolved" }),
            "verificationStatus": coding("condition-ver-status", "confirmed"),
            "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "77386006" }] },
            "subject": { "reference": "Patient/p-1" },
        });
        let answer = match request.path() {
            "/Patient" => bundle(vec![patient]),
            "/Patient/p-1" => patient,
            "/Condition" => bundle(vec![condition]),
            _ => return HttpResponse::NotFound().finish(),
        };
        HttpResponse::Ok().json(answer)
    })
}

#[actix_web::test]
async fn a_change_is_told_once_by_each_kind_of_feed_and_an_unchanged_value_is_none() {
    let state = Arc::new(Mutex::new((format!("{}T00:00:00Z", today()), false)));
    let network = Network::start_with_more(&[], &feeds(&ehr(&state))).await;
    edit(&network.registry, CHANGE_TABLE).await;
    let day = today();
    network
        .payroll
        .put("C-1", report("C-1", "4321", day, day, 62_237));
    let ana = enrol(&network, SSN).await;
    let watched = ["identity.birth_date", STATUS, "identity.medicare"];
    let mut identity = Watch::start(&network, &ana, Domain::Identity, &watched, 30).await;
    let income = ["income.magi_monthly"];
    let mut income = Watch::start(&network, &ana, Domain::Income, &income, 30).await;

    let sql = "UPDATE person SET status_code = 'XXX' WHERE person_id = 'P-1';
               INSERT INTO person_change VALUES ('P-2', 5), ('P-1', 5), ('P-1', 5)";
    edit(&network.registry, sql).await;
    assert_eq!(identity.wait(&network).await, [STATUS]);
    let again = "UPDATE person SET status_code = 'XXX' WHERE person_id = 'P-1';
                 UPDATE person SET status_code = 'USC' WHERE person_id = 'P-2';
                 INSERT INTO person_change VALUES ('P-1', 6), ('P-2', 7)";
    edit(&network.registry, again).await;
    passed(&network, 7).await;
    assert!(identity.poll(&network).await.is_empty());

    for _ in 0..7 {
        network.payroll.put("C-9", report("C-9", "1", day, day, 1));
    }
    network
        .payroll
        .put("C-1", report("C-1", "4321", day, day, 90_000));
    assert_eq!(income.wait(&network).await, ["income.magi_monthly"]);

    *state.lock().unwrap() = (format!("{day}T00:00:01Z"), true);
    assert_eq!(identity.wait(&network).await, ["identity.medicare"]);

    // The same instant again, with another value: the last instant is always read again.
    edit(
        &network.registry,
        "UPDATE person SET status_code = 'USC' WHERE person_id = 'P-1';
         INSERT INTO person_change VALUES ('P-1', 7)",
    )
    .await;
    assert_eq!(identity.wait(&network).await, [STATUS]);
    // Three nodes make a quorum: the fourth may take a moment longer.
    for node in 1..=4 {
        while identity.told(&network, node).await < 3 || income.told(&network, node).await < 1 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for node in 1..=4 {
        assert_eq!(identity.told(&network, node).await, 3, "node {node}");
        assert_eq!(income.told(&network, node).await, 1, "node {node}");
    }
}

#[actix_web::test]
async fn days_of_downtime_are_caught_up_without_a_duplicate_and_a_watch_ends_on_its_day() {
    let mut network = Network::start_with_more(&[], &registry_feed(1)).await;
    edit(&network.registry, CHANGE_TABLE).await;
    let ana = enrol(&network, SSN).await;
    let mut watch = Watch::start(&network, &ana, Domain::Identity, &[STATUS], 5).await;
    passed(&network, 0).await;

    // One node misses a change and its undoing; then all are down for three days.
    network.stop(4).await;
    let sql = "UPDATE person SET status_code = 'XXX' WHERE person_id = 'P-1';
               INSERT INTO person_change VALUES ('P-1', 1)";
    edit(&network.registry, sql).await;
    assert_eq!(watch.wait(&network).await, [STATUS]);
    for node in 1..=3 {
        network.stop(node).await;
    }
    let sql = "UPDATE person SET status_code = 'USC' WHERE person_id = 'P-1';
               INSERT INTO person_change VALUES ('P-1', 2)";
    edit(&network.registry, sql).await;
    network.sleep_days(3).await;
    assert_eq!(watch.wait(&network).await, [STATUS]);
    for node in 1..=4 {
        network.restart(node).await;
    }
    passed(&network, 2).await;
    assert!(watch.poll(&network).await.is_empty());
    for (node, told) in [(1, 2), (2, 2), (3, 2), (4, 0)] {
        assert_eq!(watch.told(&network, node).await, told, "node {node}");
    }

    // What a look has vouched for on a day did not change before it, though nothing was read.
    let (first, caught_up) = (watch.grant.day, network.today());
    network.sleep_days(1).await;
    let today = network.today();
    let looked = "SELECT looked FROM watch_feed WHERE feed = 'registry'";
    followed(&network, looked, today.number()).await;
    let sql = "UPDATE person SET status_code = 'XXX' WHERE person_id = 'P-1';
               INSERT INTO person_change VALUES ('P-1', 3)";
    edit(&network.registry, sql).await;
    assert_eq!(watch.wait(&network).await, [STATUS]);
    passed(&network, 3).await;
    let told = changes(&network, 1, Domain::Identity, &watch.reader, 0).await;
    let days = told.unwrap().notices.into_iter();
    let days: Vec<_> = days.map(|notice| (notice.since, notice.day)).collect();
    assert_eq!(days, [(first, first), (first, caught_up), (today, today)]);

    network.sleep_days(2).await;
    let sql = "UPDATE person SET status_code = 'USC' WHERE person_id = 'P-1';
               INSERT INTO person_change VALUES ('P-1', 4)";
    edit(&network.registry, sql).await;
    passed(&network, 4).await;
    for node in 1..=4 {
        let rows = "SELECT (SELECT COUNT(*) FROM watch) + (SELECT COUNT(*) FROM watch_fact)
                    + (SELECT COUNT(*) FROM watch_key) + (SELECT COUNT(*) FROM watch_notice)";
        assert_eq!(count(&network, node, rows).await, 0, "node {node}");
    }
}

#[actix_web::test]
async fn a_node_that_does_not_read_a_fact_watches_the_others_of_the_grant() {
    let mut network = Network::start_with_more(&[], &registry_feed(1)).await;
    edit(&network.registry, CHANGE_TABLE).await;
    let ana = enrol(&network, SSN).await;
    let attest = network.configs[3].roles.get_mut("attest").unwrap();
    let mapped = attest.get_mut("attribute").unwrap().as_array_mut().unwrap();
    mapped.retain(|it| it["id"].as_str() != Some(STATUS));
    network.restart(4).await;

    let domain = Domain::Identity;
    let lone = Watch::draft(&network, &ana, domain, &[STATUS], 30).await;
    let refused = send(&network, 4, &lone.grant, &ana).await;
    assert_eq!(code(refused), "bad-request", "nothing of it is read");
    let both = [BORN, STATUS];
    let mut watch = Watch::draft(&network, &ana, domain, &both, 30).await;
    for node in 1..=4 {
        for _ in 0..2 {
            let answer = send(&network, node, &watch.grant, &ana).await.unwrap();
            let unread = if node == 4 {
                vec![STATUS.into()]
            } else {
                Vec::new()
            };
            assert_eq!(answer.unread, unread, "node {node}, also when asked again");
            fresh_nonces(&network, &mut watch.grant).await;
            sign(&mut watch.grant, &ana.owner.keys[&domain]);
        }
    }
    let sql = "UPDATE person SET status_code = 'XXX' WHERE person_id = 'P-1';
               INSERT INTO person_change VALUES ('P-1', 1)";
    edit(&network.registry, sql).await;
    assert_eq!(watch.wait(&network).await, [STATUS]);
    passed(&network, 1).await;
    assert_eq!(watch.told(&network, 4).await, 0, "it does not read that");
    // Of what it reads it has a voice that counts.
    network.stop(1).await;
    let sql = "UPDATE person SET birth_date = '1992-08-01' WHERE person_id = 'P-1';
               UPDATE vital_record SET birth_date = '1992-08-01' WHERE ssn = '987-65-4321';
               INSERT INTO person_change VALUES ('P-1', 2)";
    edit(&network.registry, sql).await;
    assert_eq!(watch.wait(&network).await, [BORN]);
}

#[actix_web::test]
async fn a_source_that_fails_at_the_wrong_moment_loses_no_change() {
    let mut network = Network::start_with_more(&[], &registry_feed(1)).await;
    edit(&network.registry, CHANGE_TABLE).await;
    let ana = enrol(&network, SSN).await;
    let mut watch = Watch::start(&network, &ana, Domain::Identity, &[STATUS], 30).await;
    // The record is there twice, so that it cannot be read, when the feed names it.
    let sql = "INSERT INTO person SELECT * FROM person WHERE person_id = 'P-1';
               INSERT INTO person_change VALUES ('P-1', 1), ('P-2', 2)";
    edit(&network.registry, sql).await;
    passed(&network, 2).await;
    let sql = "DELETE FROM person WHERE rowid = (SELECT MAX(rowid) FROM person);
               UPDATE person SET status_code = 'XXX' WHERE person_id = 'P-1';
               INSERT INTO person_change VALUES ('P-2', 3)";
    edit(&network.registry, sql).await;
    passed(&network, 3).await;
    assert!(watch.poll(&network).await.is_empty());
    network.sleep_days(1).await;
    assert_eq!(watch.wait(&network).await, [STATUS]);
}
