//! Feeds that loop, flood, lie about time or name what is no key.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::HttpResponse;
use contracts::ids::Domain;
use contracts::units::UnixTime;
use oracles::config::NodeConfig;
use oracles::sources::{AttributeConfig, FeedConfig, SourceConfig, SourceError, Sources, Touches};
use serde_json::{Value, json};

use crate::externals::{SSN, edit};
use crate::network::Network;
use crate::owner::enrol;
use crate::server::{http, limits, serve};
use crate::watcher::{CHANGE_TABLE, Watch, registry_feed};

const NOW: UnixTime = UnixTime(1_800_000_000);

fn feed(source: &str, read: &str) -> FeedConfig {
    let text = format!("name = \"{source}\"\nsource = \"{source}\"\nkey = \"id\"\nread = {read}");
    toml::from_str(&text).unwrap()
}

fn json_feed() -> FeedConfig {
    feed(
        "hr",
        r#"{ kind = "json", path = "changes", query = { since = "{since}" }, records = "/changes", key = "/id", marker = "/at", next = { as = "link", pointer = "/next" } }"#,
    )
}

async fn touched(
    source: SourceConfig,
    feed: &FeedConfig,
    since: &str,
) -> Result<Touches, SourceError> {
    let sources = Sources::new(&[source], &[]).unwrap();
    sources.check_feed(feed).unwrap();
    sources.touched(feed, since, NOW).await
}

/// A JSON feed whose page number, from 0, is answered by `page`.
async fn json_pages<F>(since: &str, page: F) -> Result<Touches, SourceError>
where
    F: Fn(usize) -> Value + Clone + Send + 'static,
{
    let url = serve(move |request| {
        let query = request.query_string();
        let number = query.split("page=").nth(1);
        let number = number.map_or(0, |it| it.parse().unwrap());
        HttpResponse::Ok().json(page(number))
    });
    let source = SourceConfig::Json(http("hr", url, limits()));
    touched(source, &json_feed(), since).await
}

fn records(count: usize, from: usize, next: Option<usize>) -> Value {
    let changes: Vec<Value> = (from..from + count)
        .map(|at| json!({ "id": format!("p{at}"), "at": at }))
        .collect();
    json!({ "changes": changes, "next": next.map(|page| format!("changes?page={page}")) })
}

#[actix_web::test]
async fn pages_are_followed_to_the_cap_and_the_next_look_goes_on_there() {
    let all = json_pages("0", |page| {
        records(5, page * 5 + 1, (page < 2).then_some(page + 1))
    });
    let all = all.await.ok().unwrap();
    assert_eq!(
        (all.keys.len(), all.marker.as_str(), all.complete),
        (15, "15", true)
    );
    // Four pages, twenty entries: the test's caps.
    let endless = json_pages("0", |page| records(3, page * 3 + 1, Some(page + 1)));
    let endless = endless.await.ok().unwrap();
    assert_eq!(
        (
            endless.keys.len(),
            endless.marker.as_str(),
            endless.complete
        ),
        (12, "12", false)
    );
    let wide = json_pages("0", |_| records(50, 1, None))
        .await
        .ok()
        .unwrap();
    assert_eq!(
        (wide.keys.len(), wide.marker.as_str(), wide.complete),
        (20, "20", false)
    );
}

#[actix_web::test]
async fn attack_feeds_that_loop_flood_or_lie_end_in_an_error_and_move_no_mark() {
    let circle = json_pages("0", |_| records(1, 1, Some(1))).await;
    assert!(matches!(circle, Err(SourceError::Malformed { .. })));
    let one_instant = json_pages(
        "7",
        |page| json!({ "changes": [{ "id": page, "at": 7 }], "next": format!("changes?page={}", page + 1) }),
    );
    assert!(matches!(
        one_instant.await,
        Err(SourceError::TooLarge { .. })
    ));
    let backwards = json_pages("0", |page| records(1, 100 - page, Some(page + 1))).await;
    assert!(matches!(backwards, Err(SourceError::Malformed { .. })));
    let oversized = json_pages("0", |_| json!({ "changes": [], "pad": "x".repeat(70_000) })).await;
    assert!(matches!(oversized, Err(SourceError::TooLarge { .. })));
    let future = json_pages(
        "2026-01-01T00:00:00Z",
        |_| json!({ "changes": [{ "id": "p", "at": "2200-01-01T00:00:00Z" }] }),
    );
    assert!(matches!(future.await, Err(SourceError::Malformed { .. })));
    let elsewhere = json_pages(
        "0",
        |_| json!({ "changes": [], "next": "https://elsewhere.example/changes" }),
    );
    assert!(matches!(
        elsewhere.await,
        Err(SourceError::Malformed { .. })
    ));
    for broken in [
        json!([]),
        json!({ "changes": [{ "id": "p" }] }),
        json!({ "changes": [{ "id": {}, "at": 1 }] }),
    ] {
        let broken = json_pages("0", move |_| broken.clone()).await;
        assert!(matches!(broken, Err(SourceError::Malformed { .. })));
    }
}

#[actix_web::test]
async fn a_fhir_feed_names_people_by_their_identifier_and_passes_over_who_has_none() {
    let url = serve(|request| {
        let patient = |id: &str, system: &str| {
            json!({ "resourceType": "Patient", "id": id, "meta": { "lastUpdated": "2026-11-20T10:00:00.25Z" },
                "identifier": [{ "system": "urn:other", "value": "no" }, { "system": system, "value": format!("M-{id}") }] })
        };
        let observation = |patient: &str| {
            json!({ "resource": { "resourceType": "Observation", "id": "o", "meta": { "lastUpdated": "2026-11-20T10:00:00Z" },
                "subject": { "reference": format!("Patient/{patient}") } } })
        };
        let answer = match request.path() {
            "/Observation" => {
                let query = request.query_string();
                assert!(
                    query.contains("_lastUpdated=ge2026-11-20T09%3A00%3A00Z"),
                    "{query}"
                );
                json!({ "resourceType": "Bundle", "type": "searchset",
                    "entry": [observation("1"), observation("2"), observation("1"), observation("3")] })
            }
            "/Patient/1" => patient("1", "urn:mrn"),
            "/Patient/2" => patient("2", "urn:another"),
            _ => return HttpResponse::NotFound().finish(),
        };
        HttpResponse::Ok().json(answer)
    });
    let read = r#"{ kind = "fhir", resource = "observation", identifier_system = "urn:mrn" }"#;
    let source = SourceConfig::Fhir(http("ehr", url, limits()));
    let touches = touched(source, &feed("ehr", read), "2026-11-20T09:00:00Z").await;
    let touches = touches.ok().unwrap();
    assert!(touches.keys.contains("M-1"));
    let named: BTreeSet<_> = touches
        .keys
        .iter()
        .filter(|key| key.starts_with("M-"))
        .collect();
    assert_eq!(named.len(), 1);
    assert_eq!(touches.marker, "2026-11-20T10:00:00Z");
}

#[actix_web::test]
async fn attack_hostile_feeds_beside_a_good_one_stop_neither_it_nor_the_node() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let url = serve(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let names = [
            "'; DROP TABLE watch; --",
            "\" OR 1=1",
            "P-1' OR '1'='1",
            "%",
            "\\",
            "{since}",
        ];
        let answer = match request.path() {
            "/loop" => json!({ "changes": [], "next": "loop" }),
            "/flood" => json!({ "changes": [], "pad": "x".repeat(2 << 20) }),
            _ => {
                let changes = names
                    .iter()
                    .zip(1..)
                    .map(|(id, at)| json!({ "id": id, "at": at }));
                json!({ "changes": changes.collect::<Vec<_>>() })
            }
        };
        HttpResponse::Ok().json(answer)
    });
    let mut more =
        format!("\n[[attest.source]]\nname = \"hr\"\nkind = \"json\"\nurl = \"{url}\"\n");
    for name in ["loop", "flood", "names"] {
        more += &format!(
            "[[watch.feed]]\nname = \"{name}\"\nsource = \"hr\"\nkey = \"person_id\"\nevery_s = 1\nstart = \"0\"\n\
             read = {{ kind = \"json\", path = \"{name}\", records = \"/changes\", key = \"/id\", marker = \"/at\", \
             next = {{ as = \"link\", pointer = \"/next\" }} }}\n"
        );
    }
    let network = Network::start_with_more(&[], &(more + &registry_feed(1))).await;
    edit(&network.registry, CHANGE_TABLE).await;
    let ana = enrol(&network, SSN).await;
    let status = "identity.medicaid_immigration_status";
    let mut watch = Watch::start(&network, &ana, Domain::Identity, &[status], 30).await;
    let sql = "UPDATE person SET status_code = 'XXX' WHERE person_id = 'P-1';
               INSERT INTO person_change VALUES ('x'' OR 1=1', 1), ('P-1', 2)";
    edit(&network.registry, sql).await;
    assert_eq!(watch.wait(&network).await, [status]);
    assert!(
        asked.load(Ordering::Relaxed) >= 12,
        "all three feeds were asked by all nodes"
    );
}

#[actix_web::test]
async fn the_feeds_of_the_example_fit_its_sources_and_misfits_are_named() {
    let example = include_str!("../../oracle.example.toml");
    let config = NodeConfig::parse(example).unwrap();
    let attest: toml::Table = config.role("attest").unwrap().unwrap();
    let sources: Vec<SourceConfig> = attest["source"].clone().try_into().unwrap();
    let attributes: Vec<AttributeConfig> = attest["attribute"].clone().try_into().unwrap();
    let sources = Sources::new(&sources, &attributes).unwrap();
    let watch: oracles::watch::WatchConfig = config.role("watch").unwrap().unwrap();
    assert_eq!(watch.feed.len(), 4);
    for feed in &watch.feed {
        sources.check_feed(feed).unwrap();
        let misfits: [fn(&mut FeedConfig); 4] = [
            |feed| feed.source = "nowhere".into(),
            |feed| feed.name = "a/b".into(),
            |feed| feed.every_s = 0,
            |feed| feed.webhook_secret = Some("short".into()),
        ];
        for misfit in misfits {
            let mut feed = feed.clone();
            misfit(&mut feed);
            assert!(sources.check_feed(&feed).is_err());
        }
        let mut other = feed.clone();
        other.source = if feed.source == "registry" {
            "bank"
        } else {
            "registry"
        }
        .into();
        assert!(
            sources
                .check_feed(&other)
                .unwrap_err()
                .to_string()
                .contains("kind")
        );
    }
    let mut entries = watch.feed[3].clone();
    entries.start = Some("2026-01-01T00:00:00Z".into());
    let error = sources.check_feed(&entries).unwrap_err().to_string();
    assert!(error.contains("an entry's number"), "{error}");
}
