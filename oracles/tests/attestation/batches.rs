//! Batches of many requests, and what becomes of them when coordinators die.

use std::time::Duration;

use contracts::attestation::MIN_BATCH;
use contracts::encoding::Bytes32;
use contracts::ids::Domain;
use oracles::wire::attest::AttestBatches;

use super::externals::{OTHER_SSN, SSN};
use super::network::Network;
use super::owner::{Draft, Enrolled, Wish, as_of, enrol, today, wish};

fn wishes(count: u32) -> Vec<Wish> {
    let wishes = (0..count).map(|index| {
        let withheld = index % 2 == 1;
        wish("identity.birth_date", as_of(today()), index, withheld)
    });
    wishes.collect()
}

async fn sent(network: &Network, who: &Enrolled, wishes: &[Wish]) -> Draft {
    let draft = Draft::new(network, who, Domain::Identity, wishes).await;
    let answers = draft.send(network).await;
    assert!(answers.values().all(Result::is_ok));
    draft
}

fn roots(batches: &AttestBatches) -> Vec<Bytes32> {
    let roots = batches.batches.iter();
    roots.map(|batch| batch.root.statement.root).collect()
}

/// Attack: decision nodes that see two presentations under one root conclude that one owner asked for both.
#[actix_web::test]
async fn two_owners_leaves_stand_under_one_root_and_each_gets_only_its_own() {
    let network = Network::start().await;
    let (ana, bruno) = (enrol(&network, SSN).await, enrol(&network, OTHER_SSN).await);
    let (few, many) = (wishes(2), wishes(20));
    // On a machine so busy that the second call misses the first one's batch, once more.
    let mut tries = 0;
    let (first, ours, theirs) = loop {
        let first = sent(&network, &ana, &few).await;
        let second = sent(&network, &bruno, &many).await;
        let (ours, theirs) = tokio::join!(first.attest(&network, 1), second.attest(&network, 1));
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        tries += 1;
        if roots(&ours) == roots(&theirs) || tries == 5 {
            break (first, ours, theirs);
        }
    };
    assert_eq!(roots(&ours), roots(&theirs));
    let batch = &ours.batches[0];
    assert_eq!((batch.root.statement.size, batch.leaves.len()), (22, 2));
    assert_eq!(theirs.batches[0].leaves.len(), 20);
    assert_eq!(batch.receipt.entry, batch.root.entry());

    // Alone, a request is padded; asked for again, at whatever time, it is where it was.
    let third = sent(&network, &ana, &few[..1]).await;
    let alone = third.attest(&network, 1).await.unwrap();
    assert_eq!(alone.batches[0].root.statement.size, MIN_BATCH as u64);
    assert_eq!(
        first.attest(&network, 1).await.unwrap().batches,
        ours.batches
    );
}

/// Whatever dies between acknowledgement and answer, the owner asks the next node, or the same one when it is back.
#[actix_web::test]
async fn coordinators_that_die_before_during_or_after_a_batch_lose_nothing() {
    let mut network = Network::start().await;
    let ana = enrol(&network, SSN).await;
    let wishes = wishes(3);
    let draft = Draft::new(&network, &ana, Domain::Identity, &wishes).await;
    let answers = draft.send(&network).await;
    let answer = answers.values().next().unwrap().as_ref().unwrap();
    let observed: Vec<_> = (0..3)
        .map(|at| draft.open(answer, at, &wishes[at]))
        .collect();
    let holds = |network: &Network, batches: &AttestBatches| {
        let mut leaves = observed.iter().enumerate();
        leaves.all(|(at, observed)| draft.verify(network, &ana, at, observed, batches))
    };

    // During: the coordinator goes while the batch is open.
    let caller = draft.attest(&network, 1);
    assert!(
        tokio::time::timeout(Duration::from_millis(20), caller)
            .await
            .is_err()
    );
    network.stop(1).await;
    let second = draft.attest(&network, 2).await.unwrap();
    assert!(holds(&network, &second));

    // Before: what it acknowledged it knows again, though it coordinated none of it.
    network.restart(1).await;
    let first = draft.attest(&network, 1).await.unwrap();
    assert!(holds(&network, &first));

    // After: a batch that was signed and kept is the same after a restart.
    network.restart(2).await;
    assert_eq!(
        draft.attest(&network, 2).await.unwrap().batches,
        second.batches
    );
}
