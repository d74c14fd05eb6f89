//! What members of different views, and of different epochs, owe each other.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use contracts::receipt::Entry;

use super::network::{Network, decision, node};
use super::{append, log, proposal};
use crate::ledger::message::{MAX_BATCH, ViewCertificate};
use crate::ledger::sequencer::MAX_WAITING;
use crate::ledger::{Ledger, LedgerError};

/// Members 1 to 4 with one entry that all hold under a signed checkpoint.
async fn begun() -> Arc<Network> {
    let network = Network::started().await;
    append(&network.member(1), &[decision(1)]).await;
    for n in 1..=4 {
        network.member(n).recover().await.unwrap();
    }
    network
}

/// These members report for a view, and enter it.
async fn enter(network: &Network, view: u64, members: [u16; 3]) {
    let mut reports = Vec::new();
    for n in members {
        reports.push(network.member(n).report(view).await.unwrap());
    }
    let certificate = ViewCertificate { view, reports };
    for n in members {
        let member = network.member(n);
        member.learn(&certificate, node(members[0])).await.unwrap();
    }
}

/// Somebody tried view 2 and got no further than member 4, while the others went on in view 1.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_promised_a_later_view_follows_the_one_the_others_are_in() {
    let network = begun().await;
    let lone = network.member(4);
    let never_signed = proposal(&lone, vec![decision(2)]).await;
    lone.propose(node(1), &never_signed).await.unwrap();
    lone.report(2).await.unwrap();
    enter(&network, 1, [1, 2, 3]).await;
    append(&network.member(2), &[decision(3)]).await;

    let receipt = append(&lone, &[decision(4)]).await;
    receipt[0].verify(&network.trust()).unwrap();
    let all: Vec<Entry> = [1, 3, 4].map(decision).to_vec();
    assert_eq!(log(&network, 4, 9).await, all);
    // It reported for view 2, so it acknowledges nothing in view 1.
    let next = proposal(&network.member(2), vec![decision(5)]).await;
    let refused = lone.propose(node(2), &next).await;
    assert!(matches!(refused, Err(LedgerError::Stale(2))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_checkpoint_outweighs_what_one_member_acknowledged_and_ends_its_view() {
    let network = begun().await;
    let lone = network.member(4);
    let mine = proposal(&lone, vec![decision(2)]).await;
    lone.propose(node(1), &mine).await.unwrap();
    enter(&network, 1, [1, 2, 3]).await;
    append(&network.member(2), &[decision(3)]).await;
    let note = network.member(2).checkpoint().await.unwrap();
    lone.commit(node(2), &note).await.unwrap();
    assert_eq!(
        lone.entries(0, 9).await.unwrap(),
        [1, 3].map(decision).to_vec()
    );
    // What it acknowledged before it does not acknowledge or sign again in that view.
    let again = lone.propose(node(1), &mine).await;
    assert!(matches!(again, Err(LedgerError::Stale(1))), "{again:?}");
}

/// An old member acknowledged something of a view whose number, among the new members, is another sequencer's.
#[tokio::test(flavor = "multi_thread")]
async fn old_members_leave_their_view_when_the_committee_changes() {
    let network = begun().await;
    let mine = proposal(&network.member(2), vec![decision(2)]).await;
    network.member(2).propose(node(1), &mine).await.unwrap();
    {
        let mut committee = network.committee.write().unwrap();
        let new = [2, 3, 4, 5].map(node).to_vec();
        let old = std::mem::replace(&mut committee.nodes, new);
        committee.former.push((old, 3));
        committee.since = 2;
    }
    for n in 2..=5 {
        network.start(n).await.unwrap();
    }
    for n in 2..=5 {
        network.member(n).recover().await.unwrap();
    }
    // Member 2 is the new sequencer of view 0, in which it acknowledged the old one's proposal.
    let other = proposal(&network.member(3), vec![decision(3)]).await;
    for n in 2..=5 {
        let refused = network.member(n).propose(node(2), &other).await;
        assert!(
            matches!(refused, Err(LedgerError::Stale(_))),
            "node {n}: {refused:?}"
        );
    }
    let receipt = append(&network.member(5), &[decision(3)]).await;
    receipt[0].verify(&network.trust()).unwrap();
    let first = log(&network, 2, 9).await;
    for n in 3..=5 {
        assert_eq!(log(&network, n, 9).await, first, "node {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_store_another_took_over_changes_nothing_any_more() {
    let network = begun().await;
    let (old, sequencer) = (network.member(2), network.member(1));
    let next = proposal(&sequencer, vec![decision(2)]).await;
    old.retire().await;
    let changed = |result: LedgerError| matches!(result, LedgerError::Changed);
    assert!(changed(old.propose(node(1), &next).await.unwrap_err()));
    assert!(changed(old.report(1).await.unwrap_err()));
    append(&sequencer, &[decision(2)]).await;
    let note = sequencer.checkpoint().await.unwrap();
    assert!(changed(old.commit(node(1), &note).await.unwrap_err()));
    assert_eq!(old.entries(0, 9).await.unwrap(), [decision(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_sequencer_is_bounded_and_waits_nowhere_else() {
    let network = begun().await;
    for _ in 0..3 {
        let refused = network.member(2).submit(vec![decision(2)]).await;
        assert!(matches!(refused, Err(LedgerError::Stale(_))), "{refused:?}");
    }
    assert!(network.member(2).pending.lock().unwrap().is_empty());
    let sequencer = network.member(1);
    let waiting = u64::try_from(MAX_WAITING).unwrap();
    *sequencer.pending.lock().unwrap() = (10..10 + waiting).map(decision).collect();
    // What waits already may be asked for again.
    let refused = sequencer.submit(vec![decision(2)]).await;
    assert!(matches!(refused, Err(LedgerError::TooMany)), "{refused:?}");
    sequencer.submit(vec![decision(10)]).await.unwrap();
    let left = sequencer.pending.lock().unwrap().len();
    assert_eq!(left, MAX_WAITING - MAX_BATCH);
}

/// Polls a future so often, with time between for the database's thread, and drops it.
async fn dropped_after<T>(polls: u32, work: impl Future<Output = T>) -> bool {
    let mut work = pin!(work);
    for _ in 0..polls {
        if futures::poll!(work.as_mut()).is_ready() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    true
}

/// A sequencer out of time, or a caller that hangs up, drops a write at any point, its commit included.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_dropped_at_any_point_leaves_a_log_that_opens_again() {
    let network = begun().await;
    // A database's thread that is ahead of its caller finishes a write in two polls: then once more from the first.
    let (mut polls, mut most) = (1, 0);
    for written in 0..250 {
        let member = network.member(4);
        let mut store = member.store.write().await;
        let standing = store.standing().clone();
        let (size, entries) = (store.size(), [decision(100 + written)]);
        let dropped = dropped_after(polls, store.write(size, &entries, standing)).await;
        let standing = store.standing().clone();
        store.stand(standing).await.unwrap();
        let size = store.size();
        drop(store);
        network.start(4).await.unwrap();
        assert_eq!(network.member(4).store.read().await.size(), size);
        most = most.max(polls);
        match dropped {
            true => polls += 1,
            false if most > 2 => return,
            false => polls = 1,
        }
    }
    panic!("at most {most} polls: a write never ends, or was never dropped on its way");
}
