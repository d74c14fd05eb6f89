//! Attacks on signing, by a signer and by the coordinator.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contracts::encoding::{Blob, Bytes32};
use contracts::ids::Committee;

use super::signer::{COMMIT, CommitRequest, Commitments, SHARE, ShareRequest, Shares};
use super::*;
use crate::ceremony::dkg;
use crate::network::{LIAR, Network, TEXTS, node};
use crate::node::Router;

const INCOME: KeyId = KeyId::Signing(Committee::Income);

async fn network(lie: impl FnOnce(&mut Router) + Send + 'static) -> Network {
    let network = Network::start_with_liar(&[Committee::Income], lie).await;
    dkg::generate_all(&network.configs[0], network.node(1).peers())
        .await
        .unwrap();
    network
}

fn context(session: u8) -> CommitRequest {
    CommitRequest {
        session: Bytes32::from([session; 32]),
        key: INCOME,
        epoch: 1,
        topic: TEXTS.name().to_owned(),
        context: serde_json::json!(["x"]),
    }
}

fn code<T: std::fmt::Debug>(answer: Result<T, PeerError>) -> String {
    match answer.unwrap_err() {
        PeerError::Refused { refusal, .. } => refusal.code,
        other => panic!("{other}"),
    }
}

async fn commitments(network: &Network, session: u8) -> BTreeMap<NodeId, Vec<Blob>> {
    let mut all = BTreeMap::new();
    for id in 1..=3 {
        let answer: Commitments = network
            .node(1)
            .call(node(id), COMMIT, &context(session))
            .await
            .unwrap();
        all.insert(node(id), answer.commitments);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_never_used_twice() {
    let network = network(|_| {}).await;
    let request = ShareRequest {
        session: [1; 32].into(),
        commitments: commitments(&network, 1).await,
    };
    assert_eq!(
        code(network.node(1).call(node(2), COMMIT, &context(1)).await),
        "session-in-use"
    );
    assert_eq!(
        code(network.node(4).call(node(2), SHARE, &request).await),
        "unknown-session",
        "another coordinator's"
    );
    let _: Shares = network
        .node(1)
        .call(node(2), SHARE, &request)
        .await
        .unwrap();
    assert_eq!(
        code(network.node(1).call(node(2), SHARE, &request).await),
        "unknown-session"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_does_not_sign_under_commitments_that_are_not_its_own() {
    let network = network(|_| {}).await;
    let mut set = commitments(&network, 1).await;
    let others = commitments(&network, 2).await;
    set.insert(node(2), others[&node(2)].clone());
    let request = ShareRequest {
        session: [1; 32].into(),
        commitments: set,
    };
    assert_eq!(
        code(network.node(1).call(node(2), SHARE, &request).await),
        "malformed"
    );

    let mut few = commitments(&network, 3).await;
    few.remove(&node(3));
    let request = ShareRequest {
        session: [3; 32].into(),
        commitments: few,
    };
    assert_eq!(
        code(network.node(1).call(node(2), SHARE, &request).await),
        "malformed",
        "fewer than the threshold"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_of_another_topic_or_key_is_refused() {
    let network = network(|_| {}).await;
    let other = CommitRequest {
        topic: "test.other".to_owned(),
        ..context(1)
    };
    assert_eq!(
        code(network.node(1).call(node(2), COMMIT, &other).await),
        "unknown-topic"
    );
    let other = CommitRequest {
        key: Committee::Decision.into(),
        ..context(1)
    };
    assert_eq!(
        code(network.node(1).call(node(2), COMMIT, &other).await),
        "no-key"
    );
    let other = CommitRequest {
        epoch: 2,
        ..context(1)
    };
    assert_eq!(
        code(network.node(1).call(node(2), COMMIT, &other).await),
        "no-key"
    );
    let other = CommitRequest {
        context: serde_json::json!({"not": "texts"}),
        ..context(1)
    };
    assert_eq!(
        code(network.node(1).call(node(2), COMMIT, &other).await),
        "malformed"
    );
    let many = CommitRequest {
        context: serde_json::json!(vec!["x"; MAX_MESSAGES + 1]),
        ..context(1)
    };
    assert_eq!(
        code(network.node(1).call(node(2), COMMIT, &many).await),
        "too-large"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_goes_silent_between_the_rounds_is_named_and_signed_without() {
    let network = network(|router| {
        router.lies(SHARE, |_, _, _| async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Err(Refusal::new("late", ""))
        });
    })
    .await;
    let began = Instant::now();
    for _ in 0..4 {
        let signed = sign(network.node(1), INCOME, TEXTS, &vec!["x".to_owned()])
            .await
            .unwrap();
        assert_eq!(signed.signers, [node(1), node(2), node(4)]);
        assert!(
            signed
                .faults
                .iter()
                .all(|fault| fault.node == node(LIAR) && fault.kind == FaultKind::Silent)
        );
    }
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_that_do_not_decode_are_named_and_signed_without() {
    let network = network(|router| {
        router.lies(SHARE, |_, _, _| async move {
            Ok(Shares {
                shares: vec![Blob(vec![0xff; 32])],
            })
        });
    })
    .await;
    for _ in 0..4 {
        let signed = sign(network.node(1), INCOME, TEXTS, &vec!["x".to_owned()])
            .await
            .unwrap();
        assert_eq!(signed.signers, [node(1), node(2), node(4)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_restarted_between_the_rounds_is_asked_again() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let lost = Arc::new(AtomicBool::new(false));
    let first = Arc::clone(&lost);
    let mut network = network(move |router| {
        router.lies(SHARE, move |own, from, request: ShareRequest| {
            let first = Arc::clone(&first);
            async move {
                if !first.swap(true, Ordering::SeqCst) {
                    own.nonces().take(from, &request.session);
                }
                signer::share(&own, from, &request)
            }
        });
    })
    .await;
    network.stop(4).await;
    let signed = sign(network.node(1), INCOME, TEXTS, &vec!["x".to_owned()])
        .await
        .unwrap();
    assert_eq!(signed.signers, [node(1), node(2), node(3)]);
    assert!(
        lost.load(Ordering::SeqCst) && signed.faults.iter().any(|fault| fault.node == node(LIAR))
    );
}
