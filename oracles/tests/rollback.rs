//! Attacks on the marks by which a node notices that its disk went back in time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Network, Texts, free_doors, node};
use contracts::encoding::tagged_hash;
use contracts::ids::Committee;
use oracles::node::{Node, Router};
use oracles::peer::{Refusal, Topic};
use oracles::rollback::{MarkError, Standing};
use oracles::tamper::{Asked, Honest, Tamper};
use serde_json::{Value, json};

const COMMITTEE: Committee = Committee::Income;
const OTHER: Committee = Committee::Household;

async fn settled(node: &Arc<Node>) -> Standing {
    let began = Instant::now();
    loop {
        match node.marks().standings()[&COMMITTEE] {
            Standing::Starting if began.elapsed() < Duration::from_secs(20) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            known => return known,
        }
    }
}

/// Tells every node that starts that it has forgotten a thousand marks.
struct Inflates;

#[async_trait::async_trait]
impl Tamper for Inflates {
    async fn answer(&self, asked: Asked<'_>, honest: Honest) -> Result<Vec<u8>, Refusal> {
        let answer = honest.await?;
        if asked.topic != "rollback.start" {
            return Ok(answer);
        }
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        if let Some(mark) = answer["mark"].as_object_mut() {
            mark.insert("mark".to_owned(), json!(1_000));
        }
        Ok(serde_json::to_vec(&answer).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_cannot_shut_a_node_out_by_making_up_a_higher_mark() {
    let tamper: Arc<dyn Tamper> = Arc::new(Inflates);
    let lie = move |router: &mut Router| router.tamper(&tamper);
    let mut network = Network::start_with_liar(&[COMMITTEE], lie).await;
    network.node(1).marks().record(COMMITTEE).await.unwrap();
    network.restart(1).await;
    assert_eq!(settled(network.node(1)).await, Standing::Ready);
    network.node(1).marks().record(COMMITTEE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_a_copied_folder_takes_the_first_ones_marks_away() {
    let network = Network::start(&[COMMITTEE]).await;
    let first = network.node(1);
    first.marks().record(COMMITTEE).await.unwrap();
    let mut config = network.configs[0].clone();
    let copy = network.folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(&config.data_dir).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    config.data_dir = copy;
    let doors = free_doors();
    config.listen = doors.owners.local_addr().unwrap();
    config.peer_listen = doors.peers.local_addr().unwrap();
    let second = common::start_node(config, doors, Texts::default()).await;
    assert_eq!(settled(second.node()).await, Standing::Ready);
    second.node().marks().record(COMMITTEE).await.unwrap();
    let refused = first.marks().record(COMMITTEE).await.unwrap_err();
    assert!(
        matches!(
            refused,
            MarkError::Unrecorded {
                stored: 0,
                needed: 2,
                ..
            }
        ),
        "{refused}"
    );
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_too_few_would_remember_is_not_acknowledged() {
    let mut network = Network::start(&[COMMITTEE]).await;
    let marks = network.node(1).marks().clone();
    marks.record(COMMITTEE).await.unwrap();
    network.stop(2).await;
    marks.record(COMMITTEE).await.unwrap();
    network.stop(3).await;
    let refused = marks.record(COMMITTEE).await.unwrap_err();
    assert!(
        matches!(
            refused,
            MarkError::Unrecorded {
                stored: 1,
                needed: 2,
                ..
            }
        ),
        "{refused}"
    );
    // Nor does a node that starts now believe what one member says.
    network.restart(1).await;
    let refused = network.node(1).marks().record(COMMITTEE).await;
    assert_eq!(refused, Err(MarkError::Starting(COMMITTEE)));
    network.restart(2).await;
    assert_eq!(settled(network.node(1)).await, Standing::Ready);
    let elsewhere = network.node(1).marks().record(Committee::Medical).await;
    assert_eq!(elsewhere, Err(MarkError::NoSeat(Committee::Medical)));
    assert!(
        network
            .node(1)
            .call(node(2), common_start(), &json!({}))
            .await
            .is_err()
    );
}

/// The topic of a start, with a request of any form.
fn common_start() -> Topic<Value, Value> {
    Topic::new("rollback.start")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_away_counts_again_as_soon_as_it_is_back() {
    let mut network = Network::start(&[COMMITTEE, OTHER]).await;
    let marks = network.node(1).marks().clone();
    let both = async || futures::join!(marks.record(COMMITTEE), marks.record(OTHER));
    network.stop(2).await;
    network.stop(3).await;
    assert!(matches!(both().await, (Err(_), Err(_))));
    network.restart(2).await;
    assert_eq!(both().await, (Ok(()), Ok(())));
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_a_mark_that_another_node_signed_is_not_remembered_and_takes_no_other_with_it() {
    let network = Network::start(&[COMMITTEE, OTHER]).await;
    let run = "AAAAAAAAAAAAAAAAAAAAAA";
    let signed = |by: u16, committee: Committee, mark: u64| {
        let message = tagged_hash(
            "shp/v1/rollback-mark",
            &[
                &1u16.to_be_bytes(),
                committee.as_str().as_bytes(),
                &mark.to_be_bytes(),
            ],
        );
        let signature = network.node(by).peers().identity().sign(&message);
        json!({"committee": committee, "mark": mark, "signature": signature})
    };
    let call = async |marks: Value| {
        let call = json!({"run": run, "marks": marks});
        network
            .node(1)
            .call(node(2), Topic::<Value, Value>::new("rollback.marks"), &call)
            .await
    };
    let remembered = async |committee: Committee| {
        let call = json!({"committee": committee, "run": run});
        let answer = network.node(1).call(node(2), common_start(), &call).await;
        answer.unwrap()["mark"]["mark"].as_u64()
    };
    remembered(COMMITTEE).await;
    remembered(OTHER).await;

    let marks = json!([signed(3, COMMITTEE, 900), signed(1, OTHER, 7)]);
    let refused = call(marks).await.unwrap()["refused"].clone();
    assert_eq!(refused.as_array().unwrap().len(), 1);
    assert_eq!(refused[0]["committee"], json!(COMMITTEE));
    assert_eq!(refused[0]["refusal"]["code"], "signature");
    assert_ne!(remembered(COMMITTEE).await, Some(900));
    assert_eq!(remembered(OTHER).await, Some(7));

    let twice = json!([signed(1, OTHER, 8), signed(1, OTHER, 9)]);
    assert!(call(twice).await.is_err());
    // A lower mark takes nothing back.
    assert!(call(json!([signed(1, OTHER, 3)])).await.is_ok());
    assert_eq!(remembered(OTHER).await, Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_holds_nobody_up() {
    let network = Network::start(&[COMMITTEE, OTHER]).await;
    let marks = network.node(1).marks().clone();
    // Dropped before, while and after its call is on its way.
    for quarters in 0..40 {
        let patience = Duration::from_micros(250 * quarters);
        let _ = tokio::time::timeout(patience, marks.record(COMMITTEE)).await;
    }
    let bound = Duration::from_secs(20);
    let other = tokio::time::timeout(bound, marks.record(OTHER)).await;
    assert_eq!(other, Ok(Ok(())));
    let own = tokio::time::timeout(bound, marks.record(COMMITTEE)).await;
    assert_eq!(own, Ok(Ok(())));
    // A quorum remembers the last mark. (Asking takes the marks away from this run.)
    let mut remembered = Vec::new();
    for other in 2..=4 {
        let call = json!({"committee": COMMITTEE, "run": "AAAAAAAAAAAAAAAAAAAAAA"});
        let answer = network.node(1).call(node(other), common_start(), &call);
        remembered.push(answer.await.unwrap()["mark"]["mark"].as_u64());
    }
    let last = remembered.iter().max().copied().flatten().unwrap();
    let told = remembered.iter().filter(|mark| **mark == Some(last));
    assert!(last > 1 && told.count() >= 2, "{remembered:?}");
}
