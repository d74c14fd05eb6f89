//! Attacks on key generation, by a member, by the coordinator, and by both together.

use contracts::encoding::{Blob, Bytes, Bytes32};
use contracts::ids::{Committee, NodeId};
use frost_core::keys::dkg::{part1, round1, round2};
use frost_secp256k1::Secp256K1Sha256;
use rand_core::OsRng;

use super::dispute::{Accusation, judge};
use super::member::second_for_tests;
use super::messages::*;
use super::*;
use crate::hpke;
use crate::network::{LIAR, NODES, Network, node};
use crate::node::{Node, Router};
use crate::peer::{PeerError, Peers};

const INCOME: KeyId = KeyId::Signing(Committee::Income);

fn plan() -> Plan {
    Plan {
        session: fresh_session(),
        key: INCOME,
        epoch: 1,
        members: (1..=NODES).map(node).collect(),
        threshold: 3,
    }
}

async fn network(lie: impl FnOnce(&mut Router) + Send + 'static) -> Network {
    Network::start_with_liar(&[Committee::Income], lie).await
}

async fn generate_from_node_1(network: &Network) -> Result<Generated, DkgError> {
    generate(&network.configs[0], network.node(1).peers(), INCOME).await
}

fn assert_liar_named(error: &DkgError, how: &str) {
    let DkgError::Cheater {
        node: culprit,
        cause,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(*culprit, node(LIAR), "{error}");
    assert!(cause.contains(how), "{error}");
}

/// A round-1 package whose proof of knowledge belongs to another commitment.
fn package_with_bad_proof(plan: &Plan, of: NodeId) -> Blob {
    let id = identifier::<Secp256K1Sha256>(of).unwrap();
    let (_, one) = part1::<Secp256K1Sha256, _>(id, 4, plan.threshold, OsRng).unwrap();
    let (_, two) = part1::<Secp256K1Sha256, _>(id, 4, plan.threshold, OsRng).unwrap();
    Blob(
        round1::Package::new(one.commitment().clone(), *two.proof_of_knowledge())
            .serialize()
            .unwrap(),
    )
}

fn resign1(mut message: Round1, plan: &Plan, node: &Node) -> Round1 {
    message.signature = Bytes([0; 64]);
    message.sign(&plan.hash(), node.peers().identity())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_proof_of_knowledge_is_named() {
    let network = network(|router| {
        router.lies(ROUND1, |node, _, plan| async move {
            let message = Round1 {
                node: node.id(),
                package: package_with_bad_proof(&plan, node.id()),
                session_key: *hpke::NodeKeyPair::generate().public(),
                signature: Bytes([0; 64]),
            };
            Ok(resign1(message, &plan, &node))
        });
    })
    .await;
    assert_liar_named(
        &generate_from_node_1(&network).await.unwrap_err(),
        "proof of knowledge",
    );

    // A coordinator that looks away does not help: the members look too.
    let (plan, peers) = (plan(), network.node(1).peers());
    let round1 = ask_round1(&plan, peers).await;
    let answer = peers
        .call(node(1), ROUND2, &Round2Request { plan, round1 })
        .await
        .unwrap();
    assert!(
        matches!(answer, Verdict::Accused(Accusation::BadProof { accused }) if accused == node(LIAR))
    );
}

/// Node 3 deals node 1 another share, in a box that opens or not.
fn lie_about_share(router: &mut Router, opens: bool) {
    router.lies(ROUND2, move |own, _, request: Round2Request| async move {
        let (plan, hash) = (request.plan.clone(), request.plan.hash());
        let session_key = request.round1[0].session_key;
        let Verdict::Good(mut message) = second_for_tests::<Secp256K1Sha256>(&own, request)? else {
            panic!("the others are honest")
        };
        let signing = frost_secp256k1::SigningKey::new(&mut OsRng);
        let share = frost_secp256k1::keys::SigningShare::deserialize(&signing.serialize()).unwrap();
        let wrong = round2::Package::<Secp256K1Sha256>::new(share)
            .serialize()
            .unwrap();
        let info = share_info(&hash, own.id(), plan.members[0]);
        let info: &[u8] = if opens { &info } else { b"other" };
        message.shares[0].sealed = hpke::seal(&session_key, info, b"", &wrong).unwrap();
        message.signature = Bytes([0; 64]);
        Ok(Verdict::Good(message.sign(&hash, own.peers().identity())))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_share_is_opened_in_the_dispute_and_its_dealer_named() {
    let network = network(|router| lie_about_share(router, true)).await;
    assert_liar_named(
        &generate_from_node_1(&network).await.unwrap_err(),
        "does not fit",
    );
    for id in 1..=NODES {
        assert!(
            network.node(id).keys().get(INCOME, 1).is_err(),
            "no key is in use"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_does_not_open_is_its_dealers_fault() {
    let network = network(|router| lie_about_share(router, false)).await;
    assert_liar_named(
        &generate_from_node_1(&network).await.unwrap_err(),
        "does not fit",
    );
}

async fn ask_round1(plan: &Plan, peers: &Peers) -> Vec<Round1> {
    let mut round1 = Vec::new();
    for member in &plan.members {
        round1.push(peers.call(*member, ROUND1, plan).await.unwrap());
    }
    round1
}

async fn ask_round2(
    plan: &Plan,
    peers: &Peers,
    round1: impl Fn(NodeId) -> Vec<Round1>,
) -> Vec<Round2> {
    let mut round2 = Vec::new();
    for member in &plan.members {
        let request = Round2Request {
            plan: plan.clone(),
            round1: round1(*member),
        };
        match peers.call(*member, ROUND2, &request).await.unwrap() {
            Verdict::Good(message) => round2.push(message),
            Verdict::Accused(accusation) => panic!("{accusation:?}"),
        }
    }
    round2
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equivocating_round_1_package_is_proven_by_its_two_signatures() {
    let network = network(|_| {}).await;
    let (plan, peers) = (plan(), network.node(1).peers());
    let round1 = ask_round1(&plan, peers).await;
    // Node 3 signs a second, valid package, and the coordinator gives it to node 4 alone.
    let id = identifier::<Secp256K1Sha256>(node(LIAR)).unwrap();
    let (_, other) = part1::<Secp256K1Sha256, _>(id, 4, 3, OsRng).unwrap();
    let second = Round1 {
        package: Blob(other.serialize().unwrap()),
        ..round1[2].clone()
    };
    let second = resign1(second, &plan, network.node(LIAR));
    let round2 = ask_round2(&plan, peers, |member| {
        let mut set = round1.clone();
        if member == node(4) {
            set[2] = second.clone();
        }
        set
    })
    .await;
    let request = FinishRequest {
        plan: plan.clone(),
        round2: round2.clone(),
    };
    let Verdict::Accused(accusation) = peers.call(node(1), FINISH, &request).await.unwrap() else {
        panic!("node 1 finished")
    };
    let judgement = judge(&plan, &round1, &round2, node(1), &accusation, peers);
    assert_eq!(judgement.culprit, node(LIAR), "{accusation:?}");
    assert!(network.node(1).keys().stored(INCOME, 1).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slanderer_is_the_culprit_itself() {
    let network = network(|_| {}).await;
    let (plan, peers) = (plan(), network.node(1).peers());
    let round1 = ask_round1(&plan, peers).await;
    let round2 = ask_round2(&plan, peers, |_| round1.clone()).await;
    let by_liar = |accusation: &Accusation| {
        judge(&plan, &round1, &round2, node(LIAR), accusation, peers).culprit
    };
    assert_eq!(
        by_liar(&Accusation::BadProof { accused: node(1) }),
        node(LIAR)
    );
    let foreign_secret = Bytes32::from(*hpke::NodeKeyPair::generate().secret());
    assert_eq!(
        by_liar(&Accusation::BadShare {
            accused: node(1),
            session_secret: foreign_secret
        }),
        node(LIAR)
    );

    // Two honest signatures of different sessions are no equivocation.
    let other_plan = Plan {
        session: fresh_session(),
        ..plan.clone()
    };
    let other = peers.call(node(1), ROUND1, &other_plan).await.unwrap();
    let accusation = Accusation::Equivocation {
        first: round1[0].seen(),
        second: other.seen(),
    };
    assert_eq!(by_liar(&accusation), node(LIAR));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_cannot_change_plan_packages_or_order() {
    let network = network(|_| {}).await;
    let (plan, peers) = (plan(), network.node(2).peers());
    let refused = |error: PeerError| match error {
        PeerError::Refused { refusal, .. } => refusal.code,
        other => panic!("{other}"),
    };
    for changed in [
        Plan {
            threshold: 2,
            ..plan.clone()
        },
        Plan {
            members: plan.members[..3].to_vec(),
            ..plan.clone()
        },
        Plan {
            epoch: 2,
            ..plan.clone()
        },
    ] {
        assert_eq!(
            refused(peers.call(node(1), ROUND1, &changed).await.unwrap_err()),
            "other-plan"
        );
    }

    let round1 = ask_round1(&plan, peers).await;
    assert_eq!(
        refused(peers.call(node(1), ROUND1, &plan).await.unwrap_err()),
        "session-in-use"
    );
    let mut forged = round1.clone();
    forged[2].package = package_with_bad_proof(&plan, node(LIAR));
    let request = Round2Request {
        plan: plan.clone(),
        round1: forged,
    };
    assert_eq!(
        refused(peers.call(node(1), ROUND2, &request).await.unwrap_err()),
        "unsigned"
    );
    // The session is gone with the failed round: no second try with other packages.
    let request = Round2Request {
        plan: plan.clone(),
        round1,
    };
    assert_eq!(
        refused(peers.call(node(1), ROUND2, &request).await.unwrap_err()),
        "unknown-session"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_only_when_every_member_confirmed_the_same_transcript() {
    let network = network(|_| {}).await;
    let (plan, peers) = (plan(), network.node(1).peers());
    let round1 = ask_round1(&plan, peers).await;
    let round2 = ask_round2(&plan, peers, |_| round1.clone()).await;
    let mut confirmations = Vec::new();
    for member in &plan.members {
        let request = FinishRequest {
            plan: plan.clone(),
            round2: round2.clone(),
        };
        match peers.call(*member, FINISH, &request).await.unwrap() {
            Verdict::Good(confirmation) => confirmations.push(confirmation),
            Verdict::Accused(accusation) => panic!("{accusation:?}"),
        }
    }
    let activate = |confirmations: Vec<Confirmation>| async move {
        peers
            .call(
                node(1),
                ACTIVATE,
                &ActivateRequest {
                    key: INCOME,
                    epoch: 1,
                    confirmations,
                },
            )
            .await
    };
    assert!(
        activate(confirmations[..3].to_vec()).await.is_err(),
        "three of four"
    );
    let mut twice = confirmations.clone();
    twice[3] = twice[2];
    assert!(activate(twice).await.is_err(), "one confirmed twice");
    let mut other = confirmations.clone();
    other[2] = Confirmation::new(
        node(LIAR),
        INCOME,
        1,
        [9; 32].into(),
        network.node(LIAR).peers().identity(),
    );
    assert!(activate(other).await.is_err(), "another transcript");
    assert!(network.node(1).keys().get(INCOME, 1).is_err());
    activate(confirmations).await.unwrap();
    assert!(network.node(1).keys().get(INCOME, 1).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_confirms_another_transcript_is_named() {
    let network = network(|router| {
        router.lies(FINISH, |own, _, request: FinishRequest| async move {
            let plan = request.plan;
            Ok(Verdict::Good(Confirmation::new(
                own.id(),
                plan.key,
                plan.epoch,
                [9; 32].into(),
                own.peers().identity(),
            )))
        });
    })
    .await;
    assert_liar_named(
        &generate_from_node_1(&network).await.unwrap_err(),
        "another transcript",
    );
}
