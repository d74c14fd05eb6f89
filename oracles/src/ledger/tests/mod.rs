//! The protocol over an in-memory network of real members with real stores and signatures.

mod network;
mod views;

use std::collections::HashMap;
use std::time::Duration;

use contracts::encoding::Bytes32;
use contracts::receipt::{Entry, EntryKind, Receipt};

use super::message::{Lock, Position, Proposal, ViewCertificate};
use super::{Ledger, LedgerError, Member};
use network::{Faults, Network, ORIGIN, decision, entry, node};

async fn append(member: &Member, entries: &[Entry]) -> Vec<Receipt> {
    member.append(entries).await.unwrap()
}

/// The `count` first entries at this node, after it has caught up with its peers.
async fn log(network: &Network, n: u16, count: u64) -> Vec<Entry> {
    network.member(n).recover().await.unwrap();
    let entries = network.member(n).entries(0, count).await.unwrap();
    assert!(entries.len() as u64 <= count);
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_is_idempotent_at_every_node_and_its_receipt_verifies_offline() {
    let network = Network::started().await;
    let trust = network.trust();
    let mut indices = Vec::new();
    for n in [1, 2, 3, 4, 1] {
        let receipts = append(&network.member(n), &[decision(1), decision(2)]).await;
        for receipt in &receipts {
            receipt.verify(&trust).unwrap();
        }
        indices.push(receipts.iter().map(|r| r.index).collect::<Vec<_>>());
    }
    assert!(indices.iter().all(|pair| *pair == [0, 1]), "{indices:?}");
    assert_eq!(append(&network.member(3), &[decision(3)]).await[0].index, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_at_all_nodes_end_in_one_order() {
    let network = Network::started().await;
    let tasks: Vec<_> = (0..24u64)
        .map(|i| {
            let member = network.member(u16::try_from(i % 4).unwrap() + 1);
            tokio::spawn(async move { member.append(&[decision(i / 2)]).await.unwrap() })
        })
        .collect();
    let mut places: HashMap<Entry, u64> = HashMap::new();
    for task in tasks {
        for receipt in task.await.unwrap() {
            receipt.verify(&network.trust()).unwrap();
            let place = places.entry(receipt.entry).or_insert(receipt.index);
            assert_eq!(*place, receipt.index);
        }
    }
    let logs = [
        log(&network, 1, 100).await,
        log(&network, 2, 100).await,
        log(&network, 3, 100).await,
        log(&network, 4, 100).await,
    ];
    assert_eq!(logs[0].len(), 12);
    assert!(logs.iter().all(|log| *log == logs[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_one_node_dies_and_appends_go_on_and_it_catches_up() {
    for dead in 1..=4u16 {
        let network = Network::started().await;
        append(&network.member(1), &[decision(1)]).await;
        network.kill(node(dead));
        let other = dead % 4 + 1;
        let receipt = append(&network.member(other), &[decision(2)]).await;
        assert_eq!(receipt[0].index, 1);
        network.start(dead).await.unwrap();
        assert_eq!(log(&network, dead, 9).await, [decision(1), decision(2)]);
        let receipt = append(&network.member(dead), &[decision(3)]).await;
        assert_eq!(receipt[0].index, 2);
        receipt[0].verify(&network.trust()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sequencer_killed_mid_append_loses_nothing_and_orders_nothing_twice() {
    for after in [false, true] {
        let network = Network::started().await;
        append(&network.member(1), &[decision(1)]).await;
        {
            let mut faults = network.faults.lock().unwrap();
            if after {
                faults.dies_after_signing = Some(node(1));
            } else {
                faults.dies_before_signing = Some(node(1));
            }
        }
        let receipts = append(&network.member(3), &[decision(2)]).await;
        assert_eq!(receipts[0].index, 1);
        receipts[0].verify(&network.trust()).unwrap();
        *network.faults.lock().unwrap() = Faults::default();
        network.start(1).await.unwrap();
        network.member(1).recover().await.unwrap();
        append(&network.member(1), &[decision(3)]).await;
        let all = [decision(1), decision(2), decision(3)];
        for n in 1..=4 {
            assert_eq!(log(&network, n, 9).await, all, "after {after}, node {n}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_dead_nodes_end_in_a_bounded_error_that_names_them_and_a_restart_succeeds() {
    let network = Network::started().await;
    append(&network.member(1), &[decision(1)]).await;
    network.kill(node(3));
    network.kill(node(4));
    let error = tokio::time::timeout(
        Duration::from_secs(5),
        network.member(1).submit(vec![decision(2)]),
    )
    .await
    .unwrap()
    .unwrap_err()
    .to_string();
    assert!(error.contains('3') && error.contains('4'), "{error}");
    for n in [3, 4] {
        network.start(n).await.unwrap();
        network.member(n).recover().await.unwrap();
    }
    let receipts = append(&network.member(4), &[decision(2)]).await;
    assert_eq!(receipts[0].index, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_all_keeps_every_entry_and_receipt() {
    let network = Network::started().await;
    for i in 0..5 {
        append(&network.member(2), &[decision(i)]).await;
    }
    let before = network.member(1).checkpoint().await.unwrap();
    for n in 1..=4 {
        network.kill(node(n));
    }
    for n in 1..=4 {
        network.start(n).await.unwrap();
    }
    assert_eq!(network.member(1).checkpoint().await, Some(before));
    for n in 1..=4 {
        assert_eq!(log(&network, n, 9).await.len(), 5);
    }
    assert_eq!(append(&network.member(4), &[decision(9)]).await[0].index, 5);
}

async fn proposal(member: &Member, entries: Vec<Entry>) -> Proposal {
    let store = member.store.read().await;
    Proposal {
        view: store.standing().view,
        certificate: store.standing().certificate.clone(),
        base: store.size(),
        base_root: store.root(store.size()).unwrap(),
        entries,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_proposal_is_refused() {
    let network = Network::started().await;
    append(&network.member(1), &[decision(1)]).await;
    let victim = network.member(2);
    victim.recover().await.unwrap();
    let one = proposal(&victim, vec![decision(2)]).await;
    let other = proposal(&victim, vec![decision(3)]).await;
    victim.propose(node(1), &one).await.unwrap();
    let refused = victim.propose(node(1), &other).await;
    assert!(matches!(refused, Err(LedgerError::Fork)), "{refused:?}");
    // The same again is no conflict: the sequencer may not have heard the answer.
    victim.propose(node(1), &one).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_by_another_than_the_sequencer_or_without_its_right_is_refused() {
    let network = Network::started().await;
    append(&network.member(1), &[decision(1)]).await;
    let victim = network.member(3);
    victim.recover().await.unwrap();
    let mut forged = proposal(&victim, vec![decision(2)]).await;
    assert!(victim.propose(node(2), &forged).await.is_err());
    forged.view = 1;
    assert!(victim.propose(node(2), &forged).await.is_err());
    // Reports of two members, one of them twice, are no quorum.
    let one = network.member(2).report(1).await.unwrap();
    let two = network.member(4).report(1).await.unwrap();
    forged.certificate = Some(ViewCertificate {
        view: 1,
        reports: vec![one.clone(), two, one],
    });
    let refused = victim.propose(node(2), &forged).await;
    assert!(matches!(refused, Err(LedgerError::Evidence(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_cannot_drop_what_was_locked() {
    let network = Network::started().await;
    append(&network.member(1), &[decision(1)]).await;
    for n in 2..=4 {
        network.member(n).recover().await.unwrap();
    }
    let reports = vec![
        network.member(2).report(1).await.unwrap(),
        network.member(3).report(1).await.unwrap(),
        network.member(4).report(1).await.unwrap(),
    ];
    // A report whose lock is taken out is not signed by its member.
    let mut stripped = reports.clone();
    for report in &mut stripped {
        report.lock = None;
    }
    let victim = network.member(4);
    let mut forged = proposal(&victim, vec![]).await;
    forged.view = 1;
    forged.base = 0;
    forged.base_root = contracts::merkle::root(&[]).into();
    forged.entries = vec![decision(9)];
    forged.certificate = Some(ViewCertificate {
        view: 1,
        reports: stripped,
    });
    assert!(victim.propose(node(2), &forged).await.is_err());
    forged.certificate = Some(ViewCertificate { view: 1, reports });
    let refused = victim.propose(node(2), &forged).await;
    assert!(matches!(refused, Err(LedgerError::Fork)), "{refused:?}");
    assert_eq!(victim.entries(0, 9).await.unwrap(), [decision(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_sequencer_is_refused_until_it_has_caught_up() {
    let network = Network::started().await;
    append(&network.member(1), &[decision(1)]).await;
    let copy = network.back_up(1).await;
    append(&network.member(1), &[decision(2)]).await;
    for n in 2..=4 {
        network.member(n).recover().await.unwrap();
    }
    network.restore(1, &copy).await;
    let old = network.start(1).await.unwrap();
    assert!(matches!(
        old.submit(vec![decision(3)]).await,
        Err(LedgerError::Recovering)
    ));
    let fork = proposal(&old, vec![decision(3)]).await;
    for n in 2..=4 {
        let refused = network.member(n).propose(node(1), &fork).await;
        assert!(matches!(refused, Err(LedgerError::Fork)), "{refused:?}");
    }
    old.recover().await.unwrap();
    assert_eq!(append(&old, &[decision(3)]).await[0].index, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_edited_in_one_nodes_database_is_noticed() {
    const EDIT: &str = "UPDATE ledger_entry SET kind = 'approval' WHERE idx = 1";
    let network = Network::started().await;
    for i in 0..3 {
        append(&network.member(2), &[decision(i)]).await;
    }
    network.member(3).recover().await.unwrap();
    network.execute(3, EDIT).await;
    let running = network.member(3);
    assert!(matches!(
        running.receipt(1).await,
        Err(LedgerError::Damaged(_))
    ));
    assert!(matches!(
        running.entries(0, 9).await,
        Err(LedgerError::Damaged(_))
    ));
    network.kill(node(3));
    let restarted = network.start(3).await;
    assert!(matches!(restarted, Err(LedgerError::Damaged(_))));
    for sql in [
        "DELETE FROM ledger_entry WHERE idx = 1",
        "UPDATE ledger_state SET size = 2",
    ] {
        network.execute(3, sql).await;
        assert!(
            matches!(network.start(3).await, Err(LedgerError::Damaged(_))),
            "{sql}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_and_root_edited_together_do_not_fit_the_signed_checkpoint() {
    let network = Network::started().await;
    append(&network.member(2), &[decision(1)]).await;
    network.member(3).recover().await.unwrap();
    network.kill(node(3));
    let forged = decision(2);
    let root = Bytes32::from(forged.leaf_hash());
    let pool = crate::db::connect(&crate::db::sqlite_url(&network.file(3)))
        .await
        .unwrap();
    sqlx::query("UPDATE ledger_entry SET commitment = $1")
        .bind(forged.commitment.to_string())
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("UPDATE ledger_state SET root = $1")
        .bind(root.to_string())
        .execute(&pool)
        .await
        .unwrap();
    let restarted = network.start(3).await;
    assert!(matches!(restarted, Err(LedgerError::Damaged(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_signed_for_a_quorums_lock_of_the_present_view_only() {
    let network = Network::started().await;
    append(&network.member(1), &[decision(1)]).await;
    for n in 1..=4 {
        network.member(n).recover().await.unwrap();
    }
    let next = proposal(&network.member(1), vec![decision(2)]).await;
    let mut acks = Vec::new();
    for n in [1, 2, 3] {
        acks.push(network.member(n).propose(node(1), &next).await.unwrap());
    }
    let lock = Lock {
        position: acks[0].position,
        acks,
    };
    let mut short = lock.clone();
    short.acks.pop();
    assert!(network.member(2).checkpoint_body(&short).await.is_err());
    let mut doubled = short.clone();
    doubled.acks.push(short.acks[0].clone());
    assert!(network.member(2).checkpoint_body(&doubled).await.is_err());
    let mut moved = lock.clone();
    moved.position = Position {
        size: 1,
        ..moved.position
    };
    assert!(network.member(2).checkpoint_body(&moved).await.is_err());
    // Member 4 never acknowledged; member 3 left the view since.
    let unseen = network.member(4).checkpoint_body(&lock).await;
    assert!(matches!(unseen, Err(LedgerError::Unacknowledged)));
    network.member(3).report(1).await.unwrap();
    let left = network.member(3).checkpoint_body(&lock).await;
    assert!(matches!(left, Err(LedgerError::Stale(1))));
    assert!(network.member(2).checkpoint_body(&lock).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_signs_nothing_in_a_view_in_which_it_acknowledged_nothing() {
    let network = Network::started().await;
    append(&network.member(1), &[decision(1)]).await;
    for n in 1..=4 {
        network.member(n).recover().await.unwrap();
    }
    let mut reports = Vec::new();
    for n in 2..=4 {
        reports.push(network.member(n).report(1).await.unwrap());
    }
    let certificate = ViewCertificate { view: 1, reports };
    let mut acks = Vec::new();
    for n in 1..=4 {
        network
            .member(n)
            .learn(&certificate, node(2))
            .await
            .unwrap();
    }
    let same = proposal(&network.member(2), vec![]).await;
    for n in 1..=3 {
        acks.push(network.member(n).propose(node(2), &same).await.unwrap());
    }
    let lock = Lock {
        position: acks[0].position,
        acks,
    };
    assert!(network.member(3).checkpoint_body(&lock).await.is_ok());
    let unseen = network.member(4).checkpoint_body(&lock).await;
    assert!(
        matches!(unseen, Err(LedgerError::Unacknowledged)),
        "{unseen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_genesis_names_keys_and_contracts() {
    let network = Network::started().await;
    append(&network.member(2), &[entry(EntryKind::Contract, 1)]).await;
    let refused = network
        .member(2)
        .append(&[entry(EntryKind::Contract, 2)])
        .await;
    assert!(matches!(refused, Err(LedgerError::NotGenesis(_))));
    let member = network.member(4);
    member.recover().await.unwrap();
    let smuggled = proposal(&member, vec![entry(EntryKind::CommitteeKey, 3)]).await;
    let refused = member.propose(node(1), &smuggled).await;
    assert!(matches!(refused, Err(LedgerError::NotGenesis(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_the_committee_did_not_sign_is_refused() {
    let network = Network::started().await;
    append(&network.member(1), &[decision(1)]).await;
    let note = network.member(1).checkpoint().await.unwrap();
    let victim = network.member(2);
    for edited in [
        note.replace("\n1\n", "\n2\n"),
        note.replace(ORIGIN, "ledger.test/other"),
    ] {
        assert!(matches!(
            victim.commit(node(1), &edited).await,
            Err(LedgerError::Checkpoint(_))
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_changes_of_sequencer_keep_one_log() {
    let network = Network::started().await;
    let mut expected = Vec::new();
    for round in 0..6u64 {
        let dead = u16::try_from(round % 4).unwrap() + 1;
        network.kill(node(dead));
        let entry = decision(round);
        append(&network.member(dead % 4 + 1), &[entry]).await;
        expected.push(entry);
        network.start(dead).await.unwrap();
        network.member(dead).recover().await.unwrap();
    }
    for n in 1..=4 {
        assert_eq!(log(&network, n, 99).await, expected, "node {n}");
    }
}
