//! From an entry at a desk, through its web form, to the reader of a watch.

use std::path::Path;

use contracts::encoding::Bytes32;
use contracts::ids::Domain;
use oracles::desk::{DeskConfig, FormConfig, StaffConfig, StaffKey, start};
use oracles::http::client;
use sha2::{Digest as _, Sha256};

use crate::externals::SSN;
use crate::network::Network;
use crate::owner::{enrol, today};
use crate::watcher::{Watch, followed};

const DESK: &str = "Riverside office";
const READER: &str = "nodes-read";
const MEDICARE: &str = "identity.medicare";

fn staff(key: &StaffKey) -> StaffConfig {
    StaffConfig {
        name: "a caseworker".into(),
        key: key.public(DESK),
        role: "caseworker".into(),
    }
}

fn desk(folder: &Path, keys: [&StaffKey; 2]) -> DeskConfig {
    DeskConfig {
        name: DESK.into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        plain_http: false,
        data_dir: folder.to_owned(),
        database_url: None,
        reader_key_sha256: vec![Bytes32::from(<[u8; 32]>::from(Sha256::digest(READER)))],
        keep_days: 366,
        clock_offset_seconds: 0,
        staff: keys.map(staff).into(),
        form: vec![FormConfig {
            attribute: MEDICARE.into(),
            label: None,
            key: "person_id".into(),
            key_label: "Number of the person".into(),
            roles: vec!["caseworker".into()],
            review_roles: Vec::new(),
            value: None,
        }],
    }
}

/// Nodes that read the desk, take one person's entries, and ask it every second for what was entered.
fn roles(url: &str, key: &StaffKey) -> String {
    format!(
        r#"
[[attest.source]]
name = "office"
kind = "desk"
url = "{url}"
api_key = "{READER}"
desk = "{DESK}"
staff = [{{ name = "a caseworker", key = "{}", role = "caseworker" }}]
[[attest.attribute]]
id = "{MEDICARE}"
[[attest.attribute.read]]
source = "office"
kind = "desk"
key = "person_id"
roles = ["caseworker"]
max_age_days = 30
[[watch.feed]]
name = "office"
source = "office"
key = "person_id"
every_s = 1
read = {{ kind = "desk" }}
"#,
        key.public(DESK)
    )
}

/// Fills in the form, and signs what its second page shows.
async fn enter(url: &str, person: &str, value: &str, key: &StaffKey) {
    let form = format!("{url}/form/{MEDICARE}");
    let page = client().get(&form).send().await.unwrap().text().await;
    let page = page.unwrap();
    let (_, rest) = page.split_once("name=\"once\" value=\"").unwrap();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("once", rest.split('"').next().unwrap())
        .append_pair("kind", "observation")
        .append_pair("key_value", person)
        .append_pair("value", value)
        .append_pair("observed", &today().to_string())
        .append_pair("staff_key", &key.text())
        .finish();
    let signed = client()
        .post(format!("{form}/sign"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    assert_eq!(signed.send().await.unwrap().status(), 200);
}

/// Waits until every node that is up has dealt with the desk's entries up to a number.
async fn passed(network: &Network, number: i64) {
    let sql =
        "SELECT COALESCE(MAX(CAST(marker AS INTEGER)), -1) FROM watch_feed WHERE feed = 'office'";
    followed(network, sql, number).await;
}

#[actix_web::test]
async fn a_signed_entry_about_a_watched_person_is_told_and_no_other_is() {
    let (folder, key, stranger) = (
        tempfile::tempdir().unwrap(),
        StaffKey::generate(),
        StaffKey::generate(),
    );
    let running = start(desk(folder.path(), [&key, &stranger])).await.unwrap();
    let url = format!("http://{}", running.address());
    let mut network = Network::start_with_more(&[], &roles(&url, &key)).await;
    let ana = enrol(&network, SSN).await;
    let mut watch = Watch::start(&network, &ana, Domain::Identity, &[MEDICARE], 30).await;

    enter(&url, "P-2", "1", &key).await;
    enter(&url, "P-1", "1", &stranger).await;
    passed(&network, 2).await;
    assert!(watch.poll(&network).await.is_empty(), "not hers; nobody's");

    network.stop(4).await;
    enter(&url, "P-1", "1", &key).await;
    assert_eq!(watch.wait(&network).await, [MEDICARE]);
    enter(&url, "P-1", "1", &key).await;
    network.restart(4).await;
    passed(&network, 4).await;
    assert!(watch.poll(&network).await.is_empty(), "the same again");
    for node in 1..=4 {
        assert_eq!(watch.told(&network, node).await, 1, "node {node}");
    }
    enter(&url, "P-1", "0", &key).await;
    assert_eq!(watch.wait(&network).await, [MEDICARE]);

    let question = serde_json::json!({ "key_name": "person_id", "since": 0 });
    let asked = client()
        .post(format!("{url}/v1/touched"))
        .bearer_auth("somebody-else")
        .json(&question);
    assert_eq!(asked.send().await.unwrap().status(), 401);
    running.drain().await;
}
