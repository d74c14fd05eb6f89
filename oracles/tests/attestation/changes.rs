//! What changes under way: committees change epochs and members, a person loses a seed.

use contracts::bip340;
use contracts::encoding::Bytes;
use contracts::epoch::EpochChange;
use contracts::ids::{Committee, Domain};
use contracts::receipt::{Entry, EntryKind, Receipt};
use contracts::trust::{CommitteeKey, Suite, Trust};
use oracles::ceremony::KeyId;
use oracles::ceremony::epoch::{self, Kind};
use oracles::hpke;
use oracles::http::{HttpError, client, get_json, post_json};
use oracles::ledger::Ledger as _;
use oracles::wire::attest::{ResealAnswer, ResealCall, ResealRequest};
use oracles::wire::enrol::{NoticeAnswer, NoticeCall, NoticeQuery};
use oracles::wire::ledger::EntriesAnswer;
use oracles::wire::{HpkeBox, notice_info, reseal_info};
use rand_core::OsRng;

use super::externals::{SSN, report};
use super::network::{Network, node};
use super::owner::{Draft, Enrolled, Owner, as_of, claims, enrol, today, trailing, wish};

/// Brings a committee into an epoch. Right after a start the ledger may not take the change yet; then it is asked again.
async fn change(network: &Network, committee: Committee, kind: Kind, epoch: u64) -> EpochChange {
    let first = network.nodes[0].as_ref().unwrap().node();
    let mut last = None;
    for _ in 0..60 {
        if let Some(change) = first.keys().change(committee, epoch) {
            return (*change).clone();
        }
        let asked = epoch::request(first.config(), first.peers(), committee, kind).await;
        last = asked.err();
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    panic!("{last:?}")
}

fn refused<T: std::fmt::Debug>(answer: Result<T, HttpError>) -> String {
    match answer {
        Err(HttpError::Problem(problem)) => problem.code().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Whether a quorum attests the person's leaf.
async fn is_attested(network: &Network, who: &Enrolled) -> bool {
    let wishes = [wish("identity.person", as_of(network.today()), 0, false)];
    let draft = Draft::new(network, who, Domain::Identity, &wishes).await;
    let answers = draft.send(network).await;
    answers.values().filter(|answer| answer.is_ok()).count() >= 3
}

/// What an auditor trusts at the beginning.
fn first_trust(network: &Network) -> Trust {
    let any = network.nodes[0].as_ref().unwrap().node();
    let group = |committee: Committee| any.group_key(KeyId::Signing(committee), 1).unwrap();
    let keys = [Committee::Identity, Committee::Income]
        .map(|committee| CommitteeKey {
            committee,
            epoch: 1,
            suite: Suite::Secp256k1,
            key: group(committee),
        })
        .to_vec();
    let ledger = Bytes::<32>::from_slice(&group(Committee::Ledger).0).unwrap();
    let ledger = ed25519_dalek::VerifyingKey::from_bytes(&ledger.0).unwrap();
    Trust::new("i".to_owned(), "ledger.test/log".to_owned(), ledger, keys).unwrap()
}

async fn reseal(network: &Network, who: &Enrolled, by: u16, to: u16) -> Result<HpkeBox, HttpError> {
    let domain = Domain::Income;
    let peer = &network.configs[0].peers[usize::from(by) - 1];
    let running = network.nodes[usize::from(by) - 1].as_ref().unwrap().node();
    let handle = who
        .handles
        .iter()
        .find(|it| it.domain == domain && it.node == node(by));
    let mut request = ResealRequest {
        version: 1,
        committee: domain,
        epoch: running.epoch(Committee::Income),
        day: network.today(),
        to: node(to),
        handle: handle.unwrap().sealed.clone(),
        signature: Bytes([0; 64]),
    };
    let message = request.message(node(by));
    request.signature = bip340::sign(&who.owner.keys[&domain], &message, &mut OsRng).unwrap();
    let plain = serde_json::to_vec(&request).unwrap();
    let info = reseal_info(domain, node(by), 1);
    let call = ResealCall {
        sealed: HpkeBox {
            key_epoch: 1,
            sealed: hpke::seal(&peer.hpke_key, &info, &[], &plain).unwrap(),
        },
    };
    let url = format!("{}/v1/{domain}/reseal", peer.url);
    let answer: ResealAnswer = post_json(&client(), &url, &call).await?;
    Ok(answer.handle)
}

#[actix_web::test]
async fn a_newcomer_takes_over_memory_and_handles_and_an_old_trust_file_follows() {
    let mut network = Network::start().await;
    let day = today();
    network
        .payroll
        .put("C-1", report("C-1", "4321", day, day, 62_237));
    let mut ana = enrol(&network, SSN).await;
    let mut trust = first_trust(&network);
    let wishes = [wish("income.magi_monthly", trailing(day), 0, false)];
    let before = Draft::new(&network, &ana, Domain::Income, &wishes).await;
    assert!(before.send(&network).await.values().all(Result::is_ok));

    // Node 4 leaves, loses all it knew, and comes back.
    for (epoch, members) in [(2, vec![1, 2, 3]), (3, vec![1, 2, 3, 4])] {
        for config in &mut network.configs {
            for committee in &mut config.committees {
                if committee.name == Committee::Income {
                    committee.members = members.iter().copied().map(node).collect();
                }
            }
        }
        for number in 1..=4 {
            network.restart(number).await;
        }
        let changed = change(&network, Committee::Income, Kind::Reshare, epoch).await;
        assert!(changed.receipt.is_some(), "{changed:?}");
        for running in network.nodes.iter().flatten() {
            while running.node().epoch(Committee::Income) != epoch {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        let running = network.nodes[3].as_ref().unwrap().node();
        if members.len() == 3 {
            sqlx::query("DELETE FROM attest_request")
                .execute(running.db())
                .await
                .unwrap();
        } else {
            let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM attest_request")
                .fetch_one(running.db())
                .await
                .unwrap();
            assert_eq!(kept, 1, "the acknowledgement came back with the seat");
        }
    }
    // Only the owner has a handle resealed, and only to a member.
    let stranger = Enrolled {
        owner: Owner::new(),
        handles: ana.handles.clone(),
        subjects: Default::default(),
        c_person: ana.c_person,
    };
    assert!(reseal(&network, &stranger, 1, 4).await.is_err());
    assert!(reseal(&network, &ana, 1, 9).await.is_err());
    let sealed = reseal(&network, &ana, 1, 4).await.unwrap();
    for handle in &mut ana.handles {
        if handle.domain == Domain::Income && handle.node == node(4) {
            assert_ne!(handle.sealed, sealed);
            handle.sealed = sealed.clone();
        }
    }
    network.stop(2).await;
    let after = Draft::new(&network, &ana, Domain::Income, &wishes).await;
    assert_eq!(after.context.epoch, 3);
    let answers = after.send(&network).await;
    for number in [1, 3, 4] {
        assert!(
            answers[&node(number)].is_ok(),
            "{:?}",
            answers[&node(number)]
        );
    }
    let batches = after.attest(&network, 4).await.unwrap();
    let observation = after.open(answers[&node(4)].as_ref().unwrap(), 0, &wishes[0]);
    assert!(after.verify(&network, &ana, 0, &observation, &batches));

    // The auditor: root and handle of another epoch verify only after the changes were followed, in order.
    assert!(trust.fact_key(Domain::Income, 3).is_none());
    let url = format!("{}/v1/epochs", network.configs[0].peers[0].url);
    let changes: Vec<EpochChange> = get_json(&client(), &url).await.unwrap();
    assert_eq!(changes.len(), 2);
    assert!(trust.follow(&changes[1]).is_err(), "one epoch was left out");
    for broken in [
        EpochChange {
            receipt: None,
            ..changes[0].clone()
        },
        EpochChange {
            receipt: changes[1].receipt.clone(),
            ..changes[0].clone()
        },
        EpochChange {
            signature: changes[1].signature.clone(),
            ..changes[0].clone()
        },
    ] {
        assert!(trust.follow(&broken).is_err());
    }
    for change in &changes {
        trust.follow(change).unwrap();
    }
    let key = trust.fact_key(Domain::Income, 3).unwrap();
    batches.batches[0].root.verify(&key.into()).unwrap();
}

/// Has an entry appended through a node, which is asked again while the committee changes hands.
async fn append(network: &Network, at: u16, number: u64) -> Receipt {
    let running = network.nodes[usize::from(at) - 1].as_ref().unwrap().node();
    let entry = Entry::new(EntryKind::Approval, &Bytes([7; 32]), &number);
    let mut last = None;
    for _ in 0..60 {
        match oracles::ledger::of(running).append(&[entry]).await {
            Ok(receipts) => return receipts[0].clone(),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    panic!("entry {number} at node {at}: {last:?}")
}

#[actix_web::test]
async fn the_ledgers_members_change_and_the_log_goes_on_under_its_one_key() {
    let mut network = Network::start().await;
    let mut trust = first_trust(&network);
    let mut receipts = vec![append(&network, 4, 0).await];
    // Node 4 leaves and comes back; in between the log goes on without it.
    for (epoch, members) in [(2, vec![1, 2, 3]), (3, vec![1, 2, 3, 4])] {
        for config in &mut network.configs {
            for committee in &mut config.committees {
                if committee.name == Committee::Ledger {
                    committee.members = members.iter().copied().map(node).collect();
                }
            }
        }
        for number in 1..=4 {
            network.restart(number).await;
        }
        change(&network, Committee::Ledger, Kind::Reshare, epoch).await;
        for running in network.nodes.iter().flatten() {
            while running.node().epoch(Committee::Ledger) != epoch {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        receipts.push(append(&network, 3, epoch).await);
        receipts.push(append(&network, 4, 10 + epoch).await);
    }
    // A quorum now needs the one that came back.
    network.stop(1).await;
    receipts.push(append(&network, 2, 20).await);
    let newest = append(&network, 4, 21).await.verify(&trust).unwrap();
    let url = &network.configs[0].peers[3].url;
    let all: EntriesAnswer = get_json(
        &client(),
        &format!("{url}/v1/ledger/entries?start=0&count=1000"),
    )
    .await
    .unwrap();
    let mut before = None;
    for receipt in &receipts {
        receipt.verify(&trust).unwrap();
        assert!(before < Some(receipt.index), "in the order appended");
        before = Some(receipt.index);
        let place = usize::try_from(receipt.index).unwrap();
        assert_eq!(all.entries[place], receipt.entry);
    }
    let leaves: Vec<[u8; 32]> = all.entries.iter().map(Entry::leaf_hash).collect();
    let size = usize::try_from(newest.size).unwrap();
    assert_eq!(contracts::merkle::root(&leaves[..size]), newest.root.0);
    // Both changes are in the log, and who trusts the log follows them.
    for _ in 0..120 {
        let changes: Vec<EpochChange> = get_json(&client(), &format!("{url}/v1/epochs"))
            .await
            .unwrap();
        if changes.len() == 2 && changes.iter().all(|change| change.receipt.is_some()) {
            for change in &changes {
                trust.follow(change).unwrap();
            }
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    panic!("the changes are not in the log")
}

async fn notice(
    network: &Network,
    who: &Enrolled,
    at: u16,
    object: bool,
) -> Result<NoticeAnswer, HttpError> {
    let peer = &network.configs[0].peers[usize::from(at) - 1];
    let domain = Domain::Identity;
    let handle = who
        .handles
        .iter()
        .find(|it| it.domain == domain && it.node == node(at));
    let mut query = NoticeQuery {
        version: 1,
        day: network.today(),
        object,
        handle: handle.unwrap().sealed.clone(),
        signature: Bytes([0; 64]),
    };
    let message = query.message(node(at));
    query.signature = bip340::sign(&who.owner.keys[&domain], &message, &mut OsRng).unwrap();
    let plain = serde_json::to_vec(&query).unwrap();
    let call = NoticeCall {
        sealed: HpkeBox {
            key_epoch: 1,
            sealed: hpke::seal(&peer.hpke_key, &notice_info(node(at), 1), &[], &plain).unwrap(),
        },
    };
    let url = format!("{}/v1/identity/reproofing", peer.url);
    post_json(&client(), &url, &call).await
}

/// Proofed again with a new seed, as far as completion.
async fn proofed_again(network: &Network, owner: &Owner) {
    for (node, answer) in owner.submit(network, &claims(owner, SSN)).await {
        answer.unwrap_or_else(|error| panic!("node {node}: {error}"));
    }
}

#[actix_web::test]
async fn a_lost_seed_is_replaced_after_the_wait_in_the_ledger_and_the_old_seed_is_refused() {
    let mut network = Network::start().await;
    let lost = enrol(&network, SSN).await;
    assert!(is_attested(&network, &lost).await);
    let mut again = Owner::new();
    again.replaces = true;
    proofed_again(&network, &again).await;
    assert_eq!(refused(again.complete(&network, 1).await), "waiting");
    assert!(is_attested(&network, &lost).await, "nothing changed yet");

    network.sleep_days(15).await;
    proofed_again(&network, &again).await;
    let completed = again.complete(&network, 2).await.unwrap();
    let found = again.open(&completed);
    assert!(is_attested(&network, &found).await);
    assert!(
        !is_attested(&network, &lost).await,
        "the old seed's key is retired"
    );
    let entries: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM ledger_entry WHERE kind = 'reproofing'")
            .fetch_one(network.nodes[0].as_ref().unwrap().node().db())
            .await
            .unwrap();
    assert_eq!(entries, 1, "once, and visibly");

    let mut third = Owner::new();
    third.replaces = true;
    proofed_again(&network, &third).await;
    assert_eq!(
        refused(third.complete(&network, 1).await),
        "reproofed-lately"
    );
}

#[actix_web::test]
async fn who_still_holds_the_seed_sees_the_notice_and_stops_a_thief_who_knows_ssn_name_and_birth_date()
 {
    let mut network = Network::start().await;
    let owner = enrol(&network, SSN).await;
    assert_eq!(
        notice(&network, &owner, 1, false).await.unwrap().ready,
        None
    );
    let mut thief = Owner::new();
    thief.replaces = true;
    proofed_again(&network, &thief).await;
    assert_eq!(refused(thief.complete(&network, 1).await), "waiting");
    // The thief cannot answer for the owner; the handle names the owner's key.
    let forged = Enrolled {
        owner: Owner::new(),
        handles: owner.handles.clone(),
        subjects: Default::default(),
        c_person: owner.c_person,
    };
    assert!(notice(&network, &forged, 1, true).await.is_err());
    for at in 1..=4 {
        let seen = notice(&network, &owner, at, true).await.unwrap();
        assert!(seen.ready.is_some() && seen.objected, "{seen:?}");
    }
    network.sleep_days(15).await;
    proofed_again(&network, &thief).await;
    let stopped = thief.complete(&network, 1).await;
    assert_eq!(refused(stopped), "objected");
    assert!(is_attested(&network, &owner).await);
}
