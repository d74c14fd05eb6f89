//! What must not work.

use std::time::Duration;

use contracts::attestation::AttestationError;
use contracts::encoding::Bytes;
use contracts::group::{PEDERSEN, Point};
use contracts::handle::{HandlePlain, SignedHandle};
use contracts::ids::Domain;
use curve25519_dalek::scalar::Scalar;
use oracles::hpke;
use oracles::http::client;
use oracles::peer::Topic;
use oracles::wire::{HpkeBox, handle_info};
use serde_json::{Value, json};

use super::externals::{OTHER_SSN, Payroll, SSN, edit, report};
use super::network::{Network, node};
use super::owner::{
    Draft, Enrolled, Owner, Wish, as_of, claims, code, committee_key, enrol, random, today,
    trailing, wish,
};

fn income() -> Vec<Wish> {
    vec![wish("income.magi_monthly", trailing(today()), 0, false)]
}

fn birth_date() -> Vec<Wish> {
    vec![wish("identity.birth_date", as_of(today()), 0, false)]
}

async fn lying_payroll() -> Payroll {
    let lie = Payroll::start().await;
    lie.put("C-1", report("C-1", "4321", today(), today(), 999_999));
    lie
}

#[actix_web::test]
async fn an_oracle_that_lies_about_income_is_named_and_outvoted() {
    let lie = lying_payroll().await;
    let network = Network::start_with_liars(&[(3, &lie)]).await;
    network
        .payroll
        .put("C-1", report("C-1", "4321", today(), today(), 62_237));
    let ana = enrol(&network, SSN).await;
    let wishes = income();
    let draft = Draft::new(&network, &ana, Domain::Income, &wishes).await;
    let answers = draft.send(&network).await;
    for coordinator in [1, 3] {
        let batches = draft.attest(&network, coordinator).await.unwrap();
        assert_eq!(batches.differing, [node(3)], "coordinated by {coordinator}");
        let true_one = draft.open(answers[&node(1)].as_ref().unwrap(), 0, &wishes[0]);
        let lied = draft.open(answers[&node(3)].as_ref().unwrap(), 0, &wishes[0]);
        assert_ne!(true_one.value, lied.value);
        assert!(draft.verify(&network, &ana, 0, &true_one, &batches));
        assert!(!draft.verify(&network, &ana, 0, &lied, &batches));
    }
}

#[actix_web::test]
async fn two_liars_of_four_get_no_attestation() {
    let lie = lying_payroll().await;
    let network = Network::start_with_liars(&[(2, &lie), (3, &lie)]).await;
    network
        .payroll
        .put("C-1", report("C-1", "4321", today(), today(), 62_237));
    let ana = enrol(&network, SSN).await;
    let draft = Draft::new(&network, &ana, Domain::Income, &income()).await;
    draft.send(&network).await;
    for coordinator in 1..=4 {
        assert_eq!(code(draft.attest(&network, coordinator).await), "no-quorum");
    }
}

#[actix_web::test]
async fn a_source_edited_by_one_digit_leaves_the_fact_unknown_where_sources_must_agree() {
    let network = Network::start().await;
    let ana = enrol(&network, SSN).await;
    edit(
        &network.registry,
        "UPDATE vital_record SET birth_date = '1992-07-30'",
    )
    .await;
    let wishes = birth_date();
    let draft = Draft::new(&network, &ana, Domain::Identity, &wishes).await;
    let answers = draft.send(&network).await;
    let observation = draft.open(answers[&node(1)].as_ref().unwrap(), 0, &wishes[0]);
    assert_eq!((observation.known, observation.value), (false, 0));
    assert_eq!((observation.disagreeing, observation.failed), (2, 0));
    let batches = draft.attest(&network, 1).await.unwrap();
    assert!(
        draft.verify(&network, &ana, 0, &observation, &batches),
        "unknown is attested too"
    );
}

#[actix_web::test]
async fn a_request_replayed_altered_stolen_or_oversized_is_refused_by_every_node() {
    let network = Network::start().await;
    network
        .payroll
        .put("C-1", report("C-1", "4321", today(), today(), 62_237));
    let ana = enrol(&network, SSN).await;
    let refused = async |draft: &Draft| {
        let mut codes = Vec::new();
        for number in 1..=4 {
            codes.push(code(draft.send_to(&network, number).await));
        }
        codes.dedup();
        codes.join(" ")
    };

    // Replayed: the nonce is used.
    let replayed = Draft::new(&network, &ana, Domain::Identity, &birth_date()).await;
    assert!(replayed.send(&network).await.values().all(Result::is_ok));
    assert_eq!(refused(&replayed).await, "stale-nonce");

    // Another purpose than the one signed.
    let mut altered = Draft::new(&network, &ana, Domain::Identity, &birth_date()).await;
    altered.leaves[0].purpose = random().into();
    assert_eq!(refused(&altered).await, "signature");

    // A blinding point that hides a value, signed by the owner: five is added to whatever is true.
    let mut shifted = Draft::new(&network, &ana, Domain::Identity, &birth_date()).await;
    let five = Scalar::from(5u8) * PEDERSEN.B;
    let moved = |point: &Point| Point::new(point.point() + five).unwrap();
    shifted.leaves[0].r_value = moved(&shifted.leaves[0].r_value);
    shifted.sign(&ana.owner.keys[&Domain::Identity]);
    assert_eq!(refused(&shifted).await, "bad-request");
    let mut shifted = Draft::new(&network, &ana, Domain::Identity, &birth_date()).await;
    shifted.leaves[0].r_subject = moved(&shifted.leaves[0].r_subject);
    shifted.sign(&ana.owner.keys[&Domain::Identity]);
    assert_eq!(refused(&shifted).await, "bad-request");

    // A stolen handle: the thief signs with a key of his own, naming the victim's or his.
    let mut stolen = Draft::new(&network, &ana, Domain::Identity, &birth_date()).await;
    stolen.sign(&random());
    assert_eq!(refused(&stolen).await, "signature");
    let thief = Enrolled {
        owner: Owner::new(),
        handles: ana.handles.clone(),
        subjects: ana.subjects.clone(),
        c_person: ana.c_person,
    };
    let stolen = Draft::new(&network, &thief, Domain::Identity, &birth_date()).await;
    assert_eq!(refused(&stolen).await, "handle");

    // Another domain's handle does not open; sealed for this domain by somebody, it is refused.
    let mut other = Draft::new(&network, &ana, Domain::Identity, &birth_date()).await;
    let of_income = ana.handles.iter().filter(|it| it.domain == Domain::Income);
    other.handles = of_income.map(|it| (it.node, it.sealed.clone())).collect();
    assert_eq!(refused(&other).await, "bad-request");

    // Another domain's attribute, a period that the catalogue does not have, a day that is not today.
    let wrong = Draft::new(&network, &ana, Domain::Identity, &income()).await;
    assert_eq!(refused(&wrong).await, "bad-request");
    let day = [wish("income.magi_monthly", as_of(today()), 0, false)];
    let wrong = Draft::new(&network, &ana, Domain::Income, &day).await;
    assert_eq!(refused(&wrong).await, "bad-request");
    let mut wrong = Draft::new(&network, &ana, Domain::Identity, &birth_date()).await;
    wrong.context.observed = today().plus(-2).unwrap();
    wrong.sign(&ana.owner.keys[&Domain::Identity]);
    assert_eq!(refused(&wrong).await, "bad-request");

    // A nonce given for another request.
    let mut moved = Draft::new(&network, &ana, Domain::Identity, &birth_date()).await;
    moved.context.nonces[0].1 = random().into();
    moved.sign(&ana.owner.keys[&Domain::Identity]);
    assert_eq!(
        code(moved.send_to(&network, 1).await),
        "bad-request",
        "the proof binds nonces"
    );

    // Oversized and hostile bodies, at every door.
    let base = &network.configs[0].peers[0].url;
    for path in [
        "nonce",
        "request",
        "attest",
        "enrol/nonce",
        "enrol/request",
        "enrol/complete",
    ] {
        let url = format!("{base}/v1/identity/{path}");
        let post = async |body: String| {
            client()
                .post(&url)
                .body(body)
                .send()
                .await
                .unwrap()
                .status()
        };
        let huge = format!("{{\"request\":\"{}\"}}", "A".repeat(1 << 20));
        assert_eq!(post(huge).await, 413, "{path}");
        for body in [
            "",
            "null",
            "[]",
            "{\"request\":1}",
            &"[".repeat(900),
            "\u{0}",
        ] {
            assert_eq!(post(body.to_owned()).await, 400, "{path} {body:?}");
        }
    }
}

#[actix_web::test]
async fn a_handle_sealed_by_somebody_beside_his_own_key_is_refused() {
    let network = Network::start().await;
    let bruno = enrol(&network, OTHER_SSN).await;
    let forge = |signature: Bytes<65>, plain: &HandlePlain| {
        let handle = SignedHandle {
            plain: plain.clone(),
            epoch: 1,
            signature,
        };
        let bytes = serde_json::to_vec(&handle).unwrap();
        let sealed = network.configs[0].peers.iter().map(|peer| {
            let info = handle_info(Domain::Identity, peer.id, 1);
            let sealed = hpke::seal(&peer.hpke_key, &info, &[], &bytes).unwrap();
            (
                peer.id,
                HpkeBox {
                    key_epoch: 1,
                    sealed,
                },
            )
        });
        sealed.collect()
    };
    let plain = HandlePlain {
        version: 1,
        domain: Domain::Identity,
        source_keys: [("ssn".to_owned(), SSN.to_owned())].into(),
        authorisation_key: bruno.owner.key(Domain::Identity),
        s_d: bruno.subjects[&Domain::Identity],
        expires: today().plus(100).unwrap(),
    };
    let mut draft = Draft::new(&network, &bruno, Domain::Identity, &birth_date()).await;
    draft.handles = forge(Bytes([2; 65]), &plain);
    assert_eq!(code(draft.send_to(&network, 1).await), "handle");

    // A true signature of the same committee, but of a batch and not of a handle.
    let real = Draft::new(&network, &bruno, Domain::Identity, &birth_date()).await;
    real.send(&network).await;
    let batches = real.attest(&network, 1).await.unwrap();
    let root = &batches.batches[0].root;
    root.verify(&committee_key(&network, Domain::Identity))
        .unwrap();
    draft.handles = forge(root.signature, &plain);
    assert_eq!(code(draft.send_to(&network, 1).await), "handle");

    // And a root verifies under its own committee's key only.
    let other = root.verify(&committee_key(&network, Domain::Income));
    assert_eq!(other, Err(AttestationError::Signature));
}

#[actix_web::test]
async fn an_expired_handle_is_refused_and_the_person_can_enrol_again() {
    let mut network = Network::start().await;
    let ana = enrol(&network, SSN).await;
    network.sleep_days(365).await;
    let wishes = |network: &Network| {
        vec![wish(
            "identity.birth_date",
            as_of(network.today()),
            0,
            false,
        )]
    };
    let draft = Draft::new(&network, &ana, Domain::Identity, &wishes(&network)).await;
    assert!(
        draft.send_to(&network, 1).await.is_ok(),
        "taken on its last day"
    );
    network.sleep_days(1).await;
    let draft = Draft::new(&network, &ana, Domain::Identity, &wishes(&network)).await;
    assert_eq!(code(draft.send_to(&network, 1).await), "handle");

    let again = enrol(&network, SSN).await;
    let draft = Draft::new(&network, &again, Domain::Identity, &wishes(&network)).await;
    assert!(draft.send_to(&network, 1).await.is_ok());
}

#[actix_web::test]
async fn a_second_enrolment_of_one_ssn_is_refused_by_every_coordinator() {
    let mut network = Network::start().await;
    let ana = enrol(&network, SSN).await;
    let second = Owner::new();
    for (_, accepted) in second.submit(&network, &claims(&second, SSN)).await {
        accepted.unwrap();
    }
    for coordinator in 1..=4 {
        assert_eq!(
            code(second.complete(&network, coordinator).await),
            "enrolled"
        );
    }

    // The first goes on under its own id, even after every node lost what it held in memory.
    for number in 1..=4 {
        network.restart(number).await;
    }
    assert_eq!(code(ana.owner.complete(&network, 2).await), "not-found");
    for (_, accepted) in ana.owner.submit(&network, &claims(&ana.owner, SSN)).await {
        accepted.unwrap();
    }
    network.stop(1).await;
    let completed = ana.owner.complete(&network, 2).await.unwrap();
    assert_eq!(completed.silent, [node(1)]);

    // With another pseudonym key it would have two.
    let mut swapped = ana.owner;
    swapped.secrets = Owner::new().secrets;
    for (_, accepted) in swapped.submit(&network, &claims(&swapped, SSN)).await {
        accepted.unwrap();
    }
    assert_eq!(code(swapped.complete(&network, 2).await), "other-pseudonym");
}

/// Two people, or one with two seeds, claim one SSN through two nodes at the same moment.
#[actix_web::test]
async fn two_enrolments_of_one_ssn_at_two_nodes_at_once_end_with_exactly_one() {
    let mut network = Network::start().await;
    for ssn in [SSN, OTHER_SSN] {
        let owners = [Owner::new(), Owner::new()];
        for owner in &owners {
            for (_, accepted) in owner.submit(&network, &claims(owner, ssn)).await {
                accepted.unwrap();
            }
        }
        let mut won = [false; 2];
        let [a, b] = &owners;
        let (a, b) = futures::join!(a.complete(&network, 1), b.complete(&network, 2));
        won[0] |= a.is_ok();
        won[1] |= b.is_ok();
        // One may have claimed at some nodes what the other was signing; then the other goes on when that lease lapsed.
        for at in [0, 1, 0, 1] {
            assert!(!(won[0] && won[1]), "one person has two profiles");
            if won[0] || won[1] {
                break;
            }
            network.sleep_days(1).await;
            let owner = &owners[at];
            for (_, accepted) in owner.submit(&network, &claims(owner, ssn)).await {
                accepted.unwrap();
            }
            won[at] = owner.complete(&network, 1).await.is_ok();
        }
        let loser = owners.iter().zip(won).find(|(_, won)| !won).unwrap().0;
        assert!(won[0] || won[1], "neither enrolment was completed");
        for (_, accepted) in loser.submit(&network, &claims(loser, ssn)).await {
            accepted.unwrap();
        }
        for coordinator in 1..=4 {
            let refused = loser.complete(&network, coordinator).await;
            assert_eq!(code(refused), "enrolled");
        }
    }
}

/// An enrolment whose coordinator, node 4, has two members claim the person and goes no further.
async fn half_an_enrolment(network: &Network, owner: &Owner) {
    for (_, accepted) in owner.submit(network, &claims(owner, SSN)).await {
        accepted.unwrap();
    }
    let prepare: Topic<Value, Value> = Topic::new("enrol.prepare");
    let prepare = prepare.with_timeout(Duration::from_secs(30));
    let coordinator = network.nodes[3].as_ref().unwrap().node();
    for member in [1, 2] {
        let call = json!({ "enrolment": owner.enrolment() });
        let prepared = coordinator.call(node(member), prepare, &call).await;
        assert!(prepared.unwrap().get("digest").is_some());
    }
}

#[actix_web::test]
async fn a_lease_that_lapsed_passes_to_another_and_who_held_it_completes_nothing() {
    let mut network = Network::start().await;
    let (first, second) = (Owner::new(), Owner::new());
    half_an_enrolment(&network, &first).await;
    network.sleep_days(1).await;
    for (_, accepted) in second.submit(&network, &claims(&second, SSN)).await {
        accepted.unwrap();
    }
    second.complete(&network, 2).await.unwrap();
    for (_, accepted) in first.submit(&network, &claims(&first, SSN)).await {
        accepted.unwrap();
    }
    for coordinator in 1..=4 {
        assert_eq!(
            code(first.complete(&network, coordinator).await),
            "enrolled"
        );
    }
}

#[actix_web::test]
async fn a_lease_taken_over_by_an_enrolment_that_dies_too_comes_back_to_the_first() {
    let mut network = Network::start().await;
    let (first, thief) = (Owner::new(), Owner::new());
    half_an_enrolment(&network, &first).await;
    network.sleep_days(1).await;
    half_an_enrolment(&network, &thief).await;
    network.sleep_days(1).await;
    for (_, accepted) in first.submit(&network, &claims(&first, SSN)).await {
        accepted.unwrap();
    }
    let completed = first.complete(&network, 3).await.unwrap();
    let found = first.open(&completed);
    let wishes = [wish(
        "identity.birth_date",
        as_of(network.today()),
        0,
        false,
    )];
    let draft = Draft::new(&network, &found, Domain::Identity, &wishes).await;
    assert!(draft.send_to(&network, 1).await.is_ok());
    assert_eq!(code(thief.complete(&network, 1).await), "not-found");
}

/// Attack: who knows a name and a birth date tries one SSN after another.
#[actix_web::test]
async fn guessing_an_ssn_by_refused_claims_ends_at_the_daily_quota() {
    let mut network = Network::start().await;
    let honest = Owner::new();
    // Claims that are borne out use nothing up.
    for _ in 0..12 {
        let answers = honest
            .submit_to(&network, &[1], &claims(&honest, SSN))
            .await;
        assert!(answers.into_iter().all(|(_, answer)| answer.is_ok()));
    }
    let guesser = Owner::new();
    let mut codes = Vec::new();
    for guess in 0..12 {
        let mut wrong = claims(&guesser, SSN);
        wrong.ssn = format!("900-00-00{guess:02}").try_into().unwrap();
        for (_, answer) in guesser.submit_to(&network, &[1], &wrong).await {
            codes.push(code(answer));
        }
    }
    assert_eq!(
        codes.iter().filter(|code| *code == "not-proofed").count(),
        10
    );
    assert_eq!(codes[10..], ["quota", "quota"]);
    // A restart does not refill it, and the right SSN is not told apart any more.
    network.restart(1).await;
    for (_, answer) in guesser
        .submit_to(&network, &[1], &claims(&guesser, SSN))
        .await
    {
        assert_eq!(code(answer), "quota");
    }
}

#[actix_web::test]
async fn claims_that_are_not_borne_out_or_were_made_for_another_are_refused() {
    let network = Network::start().await;
    let owner = Owner::new();
    let codes = async |owner: &Owner, claims: &_| {
        let answers = owner.submit(&network, claims).await;
        let mut codes: Vec<_> = answers
            .into_iter()
            .map(|(_, answer)| code(answer))
            .collect();
        codes.dedup();
        codes.join(" ")
    };
    let mut wrong = claims(&owner, SSN);
    wrong.given_name = "Anna".into();
    assert_eq!(codes(&owner, &wrong).await, "not-proofed");
    let mut wrong = claims(&owner, SSN);
    wrong.birth_date = wrong.birth_date.plus(1).unwrap();
    assert_eq!(codes(&owner, &wrong).await, "not-proofed");
    let mut wrong = claims(&owner, OTHER_SSN);
    wrong.ssn = "900-00-0000".to_owned().try_into().unwrap();
    assert_eq!(codes(&owner, &wrong).await, "not-proofed");

    // A profile that sends the claims box of one person with the keys of another.
    let other = Owner::new();
    assert_eq!(codes(&other, &claims(&owner, SSN)).await, "foreign-claims");

    // Different claims to different nodes: their shares of the subject do not fit.
    let (ana, bruno) = (claims(&owner, SSN), claims(&owner, OTHER_SSN));
    owner.submit(&network, &ana).await;
    let split = owner.submit_to(&network, &[1, 2], &bruno).await;
    assert!(split.into_iter().all(|(_, answer)| answer.is_ok()));
    for coordinator in 1..=4 {
        assert_eq!(
            code(owner.complete(&network, coordinator).await),
            "no-quorum"
        );
    }
}

#[actix_web::test]
async fn no_identifier_or_fact_is_in_any_nodes_files() {
    let network = Network::start().await;
    network
        .payroll
        .put("C-1", report("C-1", "4321", today(), today(), 62_237));
    let ana = enrol(&network, SSN).await;
    let draft = Draft::new(&network, &ana, Domain::Income, &income()).await;
    draft.send(&network).await;
    draft.attest(&network, 1).await.unwrap();
    let canaries = [
        "987654321",
        "987-65-4321",
        "uillavera",
        "UILLAVERA",
        "61237",
        "62237",
        "1992-07-31",
    ];
    for number in 1..=4 {
        let dir = network.folder.path().join(number.to_string());
        for file in std::fs::read_dir(dir).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            for canary in canaries {
                let found = bytes
                    .windows(canary.len())
                    .any(|window| window == canary.as_bytes());
                assert!(!found, "{canary} is in a file of node {number}");
            }
        }
    }
}
