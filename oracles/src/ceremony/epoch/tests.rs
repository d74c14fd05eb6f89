//! Changes of epoch by real nodes, and attacks on them.

use contracts::encoding::Bytes;
use contracts::epoch::EpochChange;
use contracts::ids::{Committee, NodeId};
use frost_core::{Field, Group, Scalar};
use rand_core::OsRng;

use super::member::check_deal;
use super::messages::*;
use super::sharing::deal_polynomial;
use super::*;
use crate::ceremony::{KeyId, dkg, oprf, sign};
use crate::faults;
use crate::hpke;
use crate::keys::KeyStatus;
use crate::network::{LIAR, Network, TEXTS, node};
use crate::node::{Node, Router};
use crate::peer::PeerError;

const INCOME: KeyId = KeyId::Signing(Committee::Income);

async fn generate(network: &Network) {
    dkg::generate_all(&network.configs[0], network.node(1).peers())
        .await
        .unwrap();
}

async fn lead(
    network: &Network,
    by: u16,
    committee: Committee,
    kind: Kind,
) -> Result<Changed, ChangeError> {
    let at = usize::from(by) - 1;
    request(
        &network.configs[at],
        network.node(by).peers(),
        committee,
        kind,
    )
    .await
}

async fn signs(network: &Network, by: u16, key: KeyId) -> sign::Signed {
    sign::sign(network.node(by), key, TEXTS, &vec!["x".to_owned()])
        .await
        .unwrap()
}

/// The change verifies under the key of before, by the rules of those outside.
fn assert_follows(before: &Node, change: &EpochChange) {
    let statement = &change.statement;
    let committee = statement.committee;
    let key = contracts::trust::CommitteeKey {
        committee,
        epoch: statement.previous,
        suite: contracts::trust::Suite::of(committee),
        key: before
            .group_key(KeyId::Signing(committee), statement.previous)
            .unwrap(),
    };
    statement.verify(&key, &change.signature).unwrap();
    let mut other = statement.clone();
    other.members = vec![node(1), node(2), node(9)];
    assert!(other.verify(&key, &change.signature).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_keeps_the_key_and_erases_the_old_shares_from_disk() {
    let network = Network::start(&[Committee::Income]).await;
    generate(&network).await;
    let old = network.node(2).keys().get(INCOME, 1).unwrap();
    let group = old.group_key().unwrap();
    let sealed: String = sqlx::query_scalar("SELECT sealed FROM key_share WHERE key_id = 'income'")
        .fetch_one(network.node(2).db())
        .await
        .unwrap();

    let changed = lead(&network, 1, Committee::Income, Kind::Refresh)
        .await
        .unwrap();
    assert!(
        changed.cheaters.is_empty() && changed.behind.is_empty(),
        "{changed:?}"
    );
    assert_follows(network.node(3), &changed.change);
    for id in 1..=4 {
        let keys = network.node(id).keys();
        let new = keys.get(INCOME, 2).unwrap();
        assert_eq!(new.group_key().unwrap(), group);
        assert!(keys.get(INCOME, 1).is_err(), "the old epoch signs no more");
        let retired = keys.public(INCOME, 1).unwrap();
        assert_eq!(retired.status, KeyStatus::Retired);
        assert!(
            retired
                .key_package::<frost_secp256k1::Secp256K1Sha256>()
                .is_err()
        );
    }
    let ciphertext = serde_json::from_str::<serde_json::Value>(&sealed).unwrap();
    let ciphertext = ciphertext["ciphertext"].as_str().unwrap().to_owned();
    let folder = &network.configs[1].data_dir;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes
            .windows(ciphertext.len())
            .any(|window| window == ciphertext.as_bytes());
        assert!(!found, "the old share is still in {}", path.display());
    }
    let signed = signs(&network, 3, INCOME).await;
    assert_eq!(signed.epoch, 2);
    // The members of the configuration are those it has.
    let error = lead(&network, 1, Committee::Income, Kind::Reshare)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("present members"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_added_removed_and_replaced_and_both_identity_keys_stay() {
    let mut network = Network::start_of(&[Committee::Identity], 5, &[1, 2, 3, 4]).await;
    generate(&network).await;
    let (input, request) = (b"987654320", [7; 32].into());
    let element = oprf::element(input).unwrap();
    let output = |network: &Network, epoch: u64, nodes: &[u16]| {
        let record = network
            .node(nodes[0])
            .keys()
            .get(KeyId::IdentityOprf, epoch)
            .unwrap();
        let answers: Vec<_> = nodes
            .iter()
            .map(|id| {
                let record = network
                    .node(*id)
                    .keys()
                    .get(KeyId::IdentityOprf, epoch)
                    .unwrap();
                oprf::evaluate(&record, node(*id), &request, &element).unwrap()
            })
            .collect();
        let combined = oprf::combine(&record, &request, &element, &answers).unwrap();
        assert!(combined.culprits.is_empty());
        oprf::finalize(input, &combined.element).unwrap()
    };
    let expected = output(&network, 1, &[1, 2, 3]);

    // Replace 4 by 5, led by the newcomer's operator; then add 4 again; then remove 1.
    for (epoch, members, leader, quorum) in [
        (2, vec![1, 2, 3, 5], 5, vec![1, 3, 5]),
        (3, vec![1, 2, 3, 4, 5], 1, vec![2, 3, 4, 5]),
        (4, vec![2, 3, 4, 5], 3, vec![3, 4, 5]),
    ] {
        network.configure_members(&members).await;
        let changed = lead(&network, leader, Committee::Identity, Kind::Reshare)
            .await
            .unwrap();
        assert!(changed.behind.is_empty(), "{changed:?}");
        assert_eq!(changed.change.statement.epoch, epoch);
        assert_eq!(
            changed.change.statement.members,
            members.iter().map(|id| node(*id)).collect::<Vec<NodeId>>()
        );
        assert_eq!(output(&network, epoch, &quorum), expected);
        assert_eq!(
            signs(&network, members[0], Committee::Identity.into())
                .await
                .epoch,
            epoch
        );
        for id in 1..=5 {
            let keys = network.node(id).keys();
            let holds = keys.get(Committee::Identity.into(), epoch).is_ok();
            assert_eq!(holds, members.contains(&id), "node {id} in epoch {epoch}");
            assert!(keys.get(KeyId::IdentityOprf, epoch - 1).is_err());
        }
    }
    // Key generation finds the key, whatever its epoch.
    let again = dkg::generate_all(&network.configs[1], network.node(2).peers())
        .await
        .unwrap();
    assert!(again.iter().all(|key| !key.fresh));
}

type C = frost_secp256k1::Secp256K1Sha256;
type ScalarField = <<C as frost_core::Ciphersuite>::Group as Group>::Field;

/// Node 3 deals by a polynomial with this constant term, and gives node 1 a share that lies beside it if `beside`.
fn lies_in_its_deal(router: &mut Router, constant: Option<Scalar<C>>, beside: bool) {
    router.lies(DEAL, move |own, _, request: DealRequest| async move {
        let DealRequest { plan, offers } = request;
        let hash = plan.hash();
        let record = own.keys().get(INCOME, plan.previous)?;
        let package = record.key_package::<C>()?;
        let first = constant.unwrap_or(package.signing_share().to_scalar());
        let coefficients = [
            first,
            ScalarField::random(&mut OsRng),
            ScalarField::random(&mut OsRng),
        ];
        let mut dealt = deal_polynomial::<C>(&coefficients, &plan.to).unwrap();
        if beside {
            dealt.shares[0].1 = dealt.shares[1].1.clone();
        }
        let shares = dealt
            .shares
            .iter()
            .zip(&offers)
            .map(|((to, share), offer)| SealedShare {
                to: *to,
                sealed: hpke::seal(
                    &offer.session_key,
                    &share_info(&hash, INCOME, own.id(), *to),
                    b"",
                    share,
                )
                .unwrap(),
            })
            .collect();
        let deal = Deal {
            node: own.id(),
            keys: vec![DealtKey {
                key: INCOME,
                commitments: dealt.commitments,
                shares,
            }],
            signature: Bytes([0; 64]),
        };
        Ok(deal.sign(&hash, own.peers().identity()))
    });
}

async fn refreshed_in_spite_of(lie: impl FnOnce(&mut Router) + Send + 'static, how: &str) {
    let network = Network::start_with_liar(&[Committee::Income], lie).await;
    generate(&network).await;
    let changed = lead(&network, 1, Committee::Income, Kind::Refresh)
        .await
        .unwrap();
    let [(culprit, cause)] = changed.cheaters.as_slice() else {
        panic!("{changed:?}")
    };
    assert_eq!(*culprit, node(LIAR));
    assert!(cause.contains(how), "{cause}");
    assert_eq!(signs(&network, 2, INCOME).await.epoch, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dealer_of_another_secret_is_named_and_the_refresh_goes_on_without_it() {
    let other = ScalarField::random(&mut OsRng);
    refreshed_in_spite_of(
        move |router| lies_in_its_deal(router, Some(other), false),
        "another secret",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dealer_of_a_wrong_share_is_convicted_by_what_it_sealed_and_the_refresh_goes_on() {
    refreshed_in_spite_of(
        |router| lies_in_its_deal(router, None, true),
        "does not fit its commitments",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_member_that_slanders_a_dealer_is_the_culprit_and_the_old_epoch_stays() {
    let network = Network::start_with_liar(&[Committee::Income], |router| {
        router.lies(PREPARE, |_, _, request: PrepareRequest| async move {
            Ok(Prepared::Accused {
                dealer: request.deals[0].node,
                session_secret: [7; 32].into(),
            })
        });
    })
    .await;
    generate(&network).await;
    let error = lead(&network, 1, Committee::Income, Kind::Refresh)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("new member 3 cheated"),
        "{error}"
    );
    assert_eq!(signs(&network, 2, INCOME).await.epoch, 1);
}

fn code(error: PeerError) -> String {
    match error {
        PeerError::Refused { refusal, .. } => refusal.code,
        other => panic!("{other}"),
    }
}

async fn a_plan(network: &Network) -> Plan {
    let record = network.node(1).keys().get(INCOME, 1).unwrap();
    Plan {
        session: dkg::fresh_session(),
        committee: Committee::Income,
        previous: 1,
        from: record.members.clone(),
        from_threshold: 3,
        to: record.members.clone(),
        threshold: 3,
        keys: vec![PlanKey {
            key: INCOME,
            public: record.public_package.clone(),
        }],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_cannot_choose_members_threshold_epoch_or_key() {
    let network = Network::start(&[Committee::Income]).await;
    generate(&network).await;
    let plan = a_plan(&network).await;
    let peers = network.node(2).peers();
    let mut public = plan.keys[0].public.clone();
    public.0.truncate(8);
    for changed in [
        Plan {
            to: vec![node(1), node(2), node(3)],
            threshold: 2,
            ..plan.clone()
        },
        Plan {
            threshold: 2,
            ..plan.clone()
        },
        Plan {
            previous: 2,
            ..plan.clone()
        },
        Plan {
            from: vec![node(1), node(2), node(3)],
            from_threshold: 2,
            ..plan.clone()
        },
        Plan {
            keys: Vec::new(),
            ..plan.clone()
        },
        Plan {
            keys: vec![PlanKey {
                key: INCOME,
                public,
            }],
            ..plan.clone()
        },
    ] {
        let refused = peers.call(node(1), OFFER, &changed).await.unwrap_err();
        assert_eq!(code(refused), "other-plan");
    }
}

/// A ballot that every new member confirmed, for which nobody voted yet.
async fn prepared(network: &Network) -> Ballot {
    let plan = a_plan(network).await;
    let (hash, own) = (plan.hash(), network.node(1));
    let mut offers = Vec::new();
    for member in &plan.to {
        offers.push(own.call(*member, OFFER, &plan).await.unwrap());
    }
    let mut deals = Vec::new();
    for member in &plan.from[..3] {
        let request = DealRequest {
            plan: plan.clone(),
            offers: offers.clone(),
        };
        let deal = own.call(*member, DEAL, &request).await.unwrap();
        check_deal(own, &plan, &hash, &deal).unwrap();
        deals.push(deal);
    }
    let mut confirmed = Vec::new();
    for member in &plan.to {
        let request = PrepareRequest {
            plan: plan.clone(),
            offers: offers.clone(),
            deals: deals.clone(),
        };
        let Prepared::Confirmed(one) = own.call(*member, PREPARE, &request).await.unwrap() else {
            panic!("accused")
        };
        confirmed.push(one);
    }
    Ballot {
        statement: confirmed[0].statement.clone(),
        confirmations: confirmed.iter().map(|it| (it.node, it.signature)).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_has_one_successor_and_who_voted_signs_nothing_else_in_it() {
    let network = Network::start(&[Committee::Income]).await;
    generate(&network).await;
    let first = prepared(&network).await;
    // Prepared is not decided: the old epoch signs.
    assert_eq!(signs(&network, 2, INCOME).await.epoch, 1);
    let voter = network.node(4);
    let vote = |ballot: Ballot| async move {
        voter
            .keys()
            .vote(
                Committee::Income,
                1,
                ballot.statement.message().into(),
                &serde_json::to_string(&ballot).unwrap(),
            )
            .await
    };
    vote(first.clone()).await.unwrap();
    let error = sign::sign(voter, INCOME, TEXTS, &vec!["x".to_owned()])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("changing epochs"), "{error}");
    let mut other = first.clone();
    other.statement.transcript = [9; 32].into();
    assert!(vote(other).await.is_err(), "a second successor");
    let plan = a_plan(&network).await;
    let refused = network
        .node(1)
        .call(node(4), OFFER, &plan)
        .await
        .unwrap_err();
    assert_eq!(code(refused), "changing-epoch");
    // Whoever leads next brings that ballot to its end, and no other.
    let changed = lead(&network, 2, Committee::Income, Kind::Refresh)
        .await
        .unwrap();
    assert_eq!(changed.change.statement, first.statement);
    assert_eq!(signs(&network, 4, INCOME).await.epoch, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ballot_that_a_new_member_did_not_confirm_gets_no_vote() {
    let network = Network::start(&[Committee::Income]).await;
    generate(&network).await;
    let good = prepared(&network).await;
    let mut short = good.clone();
    short.confirmations.pop();
    let mut twice = good.clone();
    twice.confirmations[3] = twice.confirmations[2];
    let mut members = good.clone();
    members.statement.members = vec![node(1), node(2), node(3)];
    members.statement.threshold = 2;
    let mut key = good.clone();
    key.statement.keys[0].group.0[1] ^= 1;
    for ballot in [short, twice, members, key] {
        let signed = sign::sign(network.node(1), INCOME, STATEMENT, &ballot).await;
        assert!(signed.is_err());
    }
    assert!(
        network
            .node(1)
            .keys()
            .vote_for(Committee::Income, 1)
            .is_none()
    );
    sign::sign(network.node(1), INCOME, STATEMENT, &good)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_committee_did_not_sign_is_not_taken() {
    let network = Network::start(&[Committee::Income]).await;
    generate(&network).await;
    let ballot = prepared(&network).await;
    let signed = sign::sign(network.node(1), INCOME, TEXTS, &vec!["x".to_owned()])
        .await
        .unwrap();
    let forged = EpochChange {
        statement: ballot.statement,
        signature: contracts::encoding::Blob(signed.signatures[0].clone()),
        receipt: None,
    };
    let refused = network
        .node(1)
        .call(node(2), COMMIT, &forged)
        .await
        .unwrap_err();
    assert_eq!(code(refused), "epoch");
    assert_eq!(signs(&network, 3, INCOME).await.epoch, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_away_at_the_switch_catches_up_and_a_dead_one_stops_a_refresh() {
    let mut network = Network::start(&[Committee::Income]).await;
    generate(&network).await;
    network.stop(4).await;
    let error = lead(&network, 1, Committee::Income, Kind::Refresh)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("new member 4 did not answer"),
        "{error}"
    );
    assert_eq!(signs(&network, 2, INCOME).await.epoch, 1);
    network.restart(4).await;
    let ballot = prepared(&network).await;
    network.stop(4).await;
    let signed = sign::sign(network.node(1), INCOME, STATEMENT, &ballot)
        .await
        .unwrap();
    assert_eq!(signed.signatures.len(), 1);
    // Voters complete it by themselves; the one that was away finds its pending share decided.
    network.restart(4).await;
    for _ in 0..200 {
        if (1..=4).all(|id| network.node(id).keys().get(INCOME, 2).is_ok()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(signs(&network, 4, INCOME).await.epoch, 2);
}

#[test]
fn the_step_at_which_a_test_kills_is_none_unless_named() {
    assert!(std::env::var(faults::DIE_AT).is_err());
    faults::step("epoch.voted");
}
