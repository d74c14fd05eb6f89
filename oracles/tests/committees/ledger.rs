//! The log with the real ceremony: any one node may die at any moment.

use std::time::{Duration, Instant};

use contracts::encoding::Bytes;
use contracts::ids::Committee;
use contracts::merkle;
use contracts::receipt::{Entry, EntryKind, Receipt};
use oracles::ledger::Ledger;
use oracles::wire::ledger::{
    AppendAnswer, AppendRequest, CheckpointAnswer, ConsistencyAnswer, EntriesAnswer,
};

use crate::cluster::Cluster;

fn approval(n: u64) -> AppendRequest {
    AppendRequest {
        entry: Entry::new(EntryKind::Approval, &Bytes([3; 32]), &n),
    }
}

/// Appends at a node, again while the committee changes hands.
async fn append(cluster: &Cluster, at: u16, n: u64) -> Receipt {
    let until = Instant::now() + Duration::from_secs(40);
    loop {
        let asked = cluster.post(at, "/v1/ledger/append", &approval(n)).await;
        match asked {
            Ok(AppendAnswer { receipt }) => {
                receipt.verify(&cluster.trust()).unwrap();
                return receipt;
            }
            Err(error) if Instant::now() > until => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_survive_the_death_of_any_one_node_and_the_log_stays_one() {
    let mut cluster = Cluster::start(&[Committee::Ledger]).await;
    let mut receipts = vec![append(&cluster, 2, 0).await];
    for dead in 1..=4u16 {
        let other = dead % 4 + 1;
        let n = u64::from(dead);
        // An append is under way at another node while this one dies.
        let url = cluster.url(other, "/v1/ledger/append");
        let client = cluster.client.clone();
        let under_way = tokio::spawn(async move {
            oracles::http::post_json::<_, AppendAnswer>(&client, &url, &approval(100 + n)).await
        });
        tokio::time::sleep(Duration::from_millis(u64::from(dead) * 7)).await;
        cluster.kill(dead).await;
        let start = Instant::now();
        receipts.push(append(&cluster, other, n).await);
        assert!(start.elapsed() < Duration::from_secs(12), "bounded delay");
        if let Ok(AppendAnswer { receipt }) = under_way.await.unwrap() {
            receipts.push(receipt);
        }
        receipts.push(append(&cluster, other, 100 + n).await);
        cluster.restart(dead).await;
        receipts.push(append(&cluster, dead, 200 + n).await);
    }
    // Every receipt given is of an entry that is still where it was, at every node.
    let trust = cluster.trust();
    for at in 1..=4 {
        append(&cluster, at, 0).await;
        let CheckpointAnswer { checkpoint } =
            cluster.get(at, "/v1/ledger/checkpoint").await.unwrap();
        let newest = contracts::checkpoint::Checkpoint::open(
            &checkpoint,
            trust.origin(),
            trust.ledger_key(),
        )
        .unwrap();
        for receipt in &receipts {
            let path = format!("/v1/ledger/receipt/{}", receipt.index);
            let again: Receipt = cluster.get(at, &path).await.unwrap();
            assert_eq!(again.entry, receipt.entry);
            let old = receipt.verify(&trust).unwrap();
            let path = format!(
                "/v1/ledger/consistency?old={}&new={}",
                old.size, newest.size
            );
            let proof: ConsistencyAnswer = cluster.get(at, &path).await.unwrap();
            assert!(merkle::consistent(
                old.size,
                &old.root.0,
                newest.size,
                &newest.root.0,
                &proof.path
            ));
        }
        let all: EntriesAnswer = cluster
            .get(at, "/v1/ledger/entries?start=0&count=1000")
            .await
            .unwrap();
        let leaves: Vec<[u8; 32]> = all.entries.iter().map(Entry::leaf_hash).collect();
        assert_eq!(merkle::root(&leaves), newest.root.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_dead_nodes_are_named_in_bounded_time_and_a_restart_finishes_the_append() {
    let mut cluster = Cluster::start(&[Committee::Ledger]).await;
    append(&cluster, 1, 0).await;
    cluster.kill(1).await;
    cluster.kill(4).await;
    let start = Instant::now();
    let error = cluster
        .post::<_, AppendAnswer>(2, "/v1/ledger/append", &approval(1))
        .await
        .unwrap_err()
        .to_string();
    assert!(start.elapsed() < Duration::from_secs(25));
    assert!(
        error.contains("node 1") && error.contains("node 4"),
        "{error}"
    );
    cluster.restart(1).await;
    cluster.restart(4).await;
    append(&cluster, 2, 1).await;
    append(&cluster, 1, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_append_approvals_only_and_caps_hold() {
    let cluster = Cluster::start(&[Committee::Ledger]).await;
    let decision = AppendRequest {
        entry: Entry::new(EntryKind::Decision, &Bytes([3; 32]), &1),
    };
    let refused = cluster
        .post::<_, AppendAnswer>(1, "/v1/ledger/append", &decision)
        .await;
    assert!(refused.unwrap_err().to_string().contains("ledger-entry"));
    let long = "x".repeat(5_000);
    let refused = cluster
        .post::<_, AppendAnswer>(1, "/v1/ledger/append", &long)
        .await;
    assert!(refused.unwrap_err().to_string().contains("too-large"));
    let refused = cluster
        .get::<EntriesAnswer>(1, "/v1/ledger/entries?start=0&count=100000")
        .await;
    assert!(refused.is_err());
    // A node that sits on no fact committee may not enter attestation roots either.
    let ledger = oracles::ledger::of(cluster.node(2).node());
    let root = Entry::new(EntryKind::AttestationRoot, &Bytes([3; 32]), &1);
    let refused = ledger.append(&[root]).await.unwrap_err().to_string();
    assert!(
        refused.contains("may not append attestation-root"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn genesis_names_the_committees_keys_and_the_contracts() {
    let cluster = Cluster::start(&[Committee::Ledger]).await;
    append(&cluster, 1, 0).await;
    let node = cluster.node(1).node();
    let expected = oracles::ledger::genesis(node.keys(), &[], &[]);
    assert!(
        expected
            .iter()
            .any(|entry| entry.kind == EntryKind::CommitteeKey)
    );
    assert!(
        expected
            .iter()
            .any(|entry| entry.kind == EntryKind::Contract)
    );
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let all: EntriesAnswer = cluster
            .get(1, "/v1/ledger/entries?start=0&count=1000")
            .await
            .unwrap();
        if expected.iter().all(|entry| all.entries.contains(entry)) {
            return;
        }
        assert!(Instant::now() < until, "{:?}", all.entries);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
