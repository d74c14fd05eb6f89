//! Key generation and signing by four nodes over loopback HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::{NODES, Network, TEXTS, node};
use contracts::ids::Committee;
use frost_secp256k1::keys::{KeyPackage, SigningShare};
use oracles::ceremony::dkg::{self, DkgError};
use oracles::ceremony::sign::{FaultKind, SignError, sign};
use oracles::ceremony::{KeyId, oprf};
use oracles::keys::{KeyStore, NewKey, OperatorKey};
use oracles::problem::Problem;
use zeroize::Zeroizing;

const INCOME: KeyId = KeyId::Signing(Committee::Income);
const DECISION: KeyId = KeyId::Signing(Committee::Decision);

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

async fn generate_all(network: &Network) {
    dkg::generate_all(&network.configs[0], network.node(1).peers())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_generated_and_signs_with_all_up_and_one_down_but_not_with_two() {
    let mut network = Network::start(&Committee::ALL).await;
    let generated = dkg::generate_all(&network.configs[0], network.node(1).peers())
        .await
        .unwrap();
    assert_eq!(generated.len(), KeyId::ALL.len());
    for id in 2..=NODES {
        for key in KeyId::ALL {
            let (ours, theirs) = (
                network.node(1).keys().get(key, 1).unwrap(),
                network.node(id).keys().get(key, 1).unwrap(),
            );
            assert_eq!(
                ours.group_key().unwrap(),
                theirs.group_key().unwrap(),
                "{key}"
            );
            assert_eq!(ours.transcript, theirs.transcript, "{key}");
        }
    }

    // A token signature passes a stock Ed25519 verifier; several messages go in one ceremony.
    let signed = sign(network.node(2), DECISION, TEXTS, &texts(&["a", "b", "c"]))
        .await
        .unwrap();
    assert_eq!(signed.messages[1], b"decision 1 b");
    let key = network
        .node(1)
        .keys()
        .get(DECISION, 1)
        .unwrap()
        .group_key()
        .unwrap();
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key.0.try_into().unwrap()).unwrap();
    for (message, signature) in signed.messages.iter().zip(&signed.signatures) {
        let signature = ed25519_dalek::Signature::from_slice(signature).unwrap();
        key.verify_strict(message, &signature).unwrap();
    }

    network.stop(4).await;
    let began = Instant::now();
    let signed = sign(network.node(1), INCOME, TEXTS, &texts(&["root"]))
        .await
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_millis(1_400),
        "a dead node must not cost a time-out"
    );
    assert_eq!(signed.signers, [node(1), node(2), node(3)]);
    let key = network
        .node(1)
        .keys()
        .get(INCOME, 1)
        .unwrap()
        .group_key()
        .unwrap();
    let key = frost_secp256k1::VerifyingKey::deserialize(&key.0).unwrap();
    let signature = frost_secp256k1::Signature::deserialize(&signed.signatures[0]).unwrap();
    key.verify(&signed.messages[0], &signature).unwrap();

    network.stop(3).await;
    let began = Instant::now();
    let error = sign(network.node(1), INCOME, TEXTS, &texts(&["root"]))
        .await
        .unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5), "bounded");
    assert!(error.is_transient(), "{error:?}");
    let problem = Problem::from(error);
    let quorum = problem.quorum.unwrap();
    assert_eq!((quorum.needed, quorum.committee.as_str()), (3, "income"));
    // With two members left, neither can have its acknowledgements remembered by enough others.
    assert!(quorum.answered.is_empty(), "{quorum:?}");
    assert_eq!(quorum.refused, [node(1), node(2)]);
    assert_eq!(quorum.silent, [node(3), node(4)]);

    network.restart(3).await;
    sign(network.node(1), INCOME, TEXTS, &texts(&["root"]))
        .await
        .expect("the share survived the restart");
    sign(network.node(3), INCOME, TEXTS, &texts(&["root"]))
        .await
        .expect("and coordinates");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oprf_key_evaluates_to_the_same_output_whoever_answers() {
    let network = Network::start(&[Committee::Identity]).await;
    generate_all(&network).await;
    let request = [7; 32].into();
    let input = b"987654320";
    let element = oprf::element(input).unwrap();
    let answers: Vec<_> = (1..=NODES)
        .map(|id| {
            let record = network.node(id).keys().get(KeyId::IdentityOprf, 1).unwrap();
            oprf::evaluate(&record, node(id), &request, &element).unwrap()
        })
        .collect();
    let record = network.node(1).keys().get(KeyId::IdentityOprf, 1).unwrap();
    let output = |answers: &[oprf::Evaluation]| {
        let combined = oprf::combine(&record, &request, &element, answers).unwrap();
        oprf::finalize(input, &combined.element).unwrap()
    };
    assert_eq!(output(&answers[..3]), output(&answers[1..]));
    let error = sign(network.node(1), KeyId::IdentityOprf, TEXTS, &texts(&["x"]))
        .await
        .unwrap_err();
    assert!(matches!(error, SignError::NotSigning(_)));
}

/// Gives a stopped node another share than it was dealt.
async fn corrupt_share(network: &Network, id: u16, key: KeyId) {
    let config = &network.configs[usize::from(id) - 1];
    let pool = oracles::db::connect(&config.database_url()).await.unwrap();
    let operator = OperatorKey::load(&config.operator_key_file()).unwrap();
    let store = KeyStore::open(pool.clone(), operator.clone())
        .await
        .unwrap();
    let record = store.get(key, 1).unwrap();
    let package: KeyPackage = record
        .key_package::<frost_secp256k1::Secp256K1Sha256>()
        .unwrap();
    let mut bytes = package.signing_share().serialize();
    bytes[31] ^= 1;
    let wrong = SigningShare::deserialize(&bytes).unwrap();
    let package = KeyPackage::new(
        *package.identifier(),
        wrong,
        wrong.into(),
        *package.verifying_key(),
        3,
    );
    sqlx::query("DELETE FROM key_share WHERE key_id = $1")
        .bind(key.as_str())
        .execute(&pool)
        .await
        .unwrap();
    let store = KeyStore::open(pool.clone(), operator).await.unwrap();
    let new = NewKey {
        key,
        epoch: 1,
        members: record.members.clone(),
        threshold: 3,
        transcript: record.transcript,
        public_package: record.public_package.0.clone(),
        key_package: Zeroizing::new(package.serialize().unwrap()),
    };
    store.put_pending(new).await.unwrap();
    store
        .activate(key, 1, &record.transcript, &record.confirmations)
        .await
        .unwrap();
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_wrong_share_is_named_and_signed_without() {
    let mut network = Network::start(&[Committee::Income]).await;
    generate_all(&network).await;
    network.stop(2).await;
    corrupt_share(&network, 2, INCOME).await;
    network.restart(2).await;
    network.stop(4).await;
    // With node 4 down, node 2 is always asked: no quorum without it.
    let error = sign(network.node(1), INCOME, TEXTS, &texts(&["x"]))
        .await
        .unwrap_err();
    let problem = Problem::from(error);
    assert_eq!(problem.quorum.unwrap().culprits, [node(2)]);

    network.restart(4).await;
    for _ in 0..8 {
        let signed = sign(network.node(1), INCOME, TEXTS, &texts(&["x", "y"]))
            .await
            .unwrap();
        assert_eq!(signed.signers, [node(1), node(3), node(4)]);
        for fault in &signed.faults {
            assert_eq!((fault.node, &fault.kind), (node(2), &FaultKind::WrongShare));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_sees_another_message_does_not_sign_it_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = Vec::new();
    let mut configs = Vec::new();
    for (index, (config, doors)) in common::configure(folder.path(), &[Committee::Income])
        .into_iter()
        .enumerate()
    {
        let texts = match index {
            2 => common::Texts {
                sees: Some("forged"),
                ..Default::default()
            },
            3 => common::Texts {
                refuses: true,
                ..Default::default()
            },
            _ => common::Texts::default(),
        };
        configs.push(config.clone());
        nodes.push(common::start_node(config, doors, texts).await);
    }
    dkg::generate_all(&configs[0], nodes[0].node().peers())
        .await
        .unwrap();
    let error = sign(nodes[0].node(), INCOME, TEXTS, &texts(&["x"]))
        .await
        .unwrap_err();
    let SignError::NotEnough { good, faults, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(good, [node(1), node(2)]);
    assert!(
        faults
            .iter()
            .any(|fault| fault.node == node(3) && fault.kind == FaultKind::Disagrees)
    );
    assert!(
        faults
            .iter()
            .any(|fault| fault.node == node(4) && matches!(&fault.kind, FaultKind::Refused(_)))
    );
    let error = sign(nodes[3].node(), INCOME, TEXTS, &texts(&["x"]))
        .await
        .unwrap_err();
    assert!(matches!(error, SignError::Own(refusal) if refusal.code == "unknown-request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_during_generation_is_named_and_the_next_run_starts_cleanly() {
    let mut network = Network::start(&[Committee::Income, Committee::Ledger]).await;
    network.stop(3).await;
    let error = dkg::generate_all(&network.configs[0], network.node(1).peers())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, DkgError::Silent { node: silent, .. } if *silent == node(3)),
        "{error}"
    );
    assert!(error.to_string().contains("start it and run again"));
    network.restart(3).await;
    let generated = dkg::generate_all(&network.configs[1], network.node(2).peers())
        .await
        .unwrap();
    assert!(generated.iter().all(|generated| generated.fresh));
    sign(network.node(4), INCOME, TEXTS, &texts(&["x"]))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_a_key_keeps_it_and_a_half_activated_one_is_completed() {
    let mut network = Network::start(&[Committee::Income]).await;
    generate_all(&network).await;
    let before = network.node(1).keys().get(INCOME, 1).unwrap().transcript;
    let again = dkg::generate_all(&network.configs[0], network.node(1).peers())
        .await
        .unwrap();
    assert!(!again[0].fresh && again[0].transcript == before);

    // As if node 2 had died after confirming and before it was told that all had.
    network.stop(2).await;
    let pool = oracles::db::connect(&network.configs[1].database_url())
        .await
        .unwrap();
    sqlx::query("UPDATE key_share SET status = 'pending', confirmations = '[]'")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    network.restart(2).await;
    assert!(
        network.node(2).keys().get(INCOME, 1).is_err(),
        "a pending share signs nothing"
    );
    let completed = dkg::generate_all(&network.configs[0], network.node(1).peers())
        .await
        .unwrap();
    assert!(completed[0].fresh && completed[0].transcript == before);
    network.stop(1).await;
    sign(network.node(2), INCOME, TEXTS, &texts(&["x"]))
        .await
        .unwrap();

    // A node that lost its key cannot be dealt a new one under an epoch that others use.
    network.restart(1).await;
    network.stop(4).await;
    let pool = oracles::db::connect(&network.configs[3].database_url())
        .await
        .unwrap();
    sqlx::query("DELETE FROM key_share")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    network.restart(4).await;
    let error = dkg::generate_all(&network.configs[0], network.node(1).peers())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, DkgError::Inconsistent { detail, .. } if detail.contains("node 4: none")),
        "{error}"
    );
}
