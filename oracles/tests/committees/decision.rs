//! Decisions by four real nodes, and the attacks on them.

use std::time::{Duration, Instant};

use contracts::audit::audit;
use contracts::bundle::Bundle;
use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::{Committee, NodeId, Verdict};
use contracts::jwk::JwkSet;
use contracts::presentation::{Enquiry, Presentation};
use contracts::receipt::{Entry, EntryKind, Receipt};
use contracts::rules::registry;
use contracts::status::{Status, status_of};
use contracts::token::{self, Claims, DecisionClaims};
use contracts::units::UnixTime;
use oracles::http::{HttpError, get_json};
use oracles::ledger::Ledger;
use oracles::peer::{PeerError, Topic};
use oracles::problem::Problem;
use oracles::wire::decision::{DecideAnswer, DecideRequest, NonceAnswer, nonce_time};
use serde_json::{Value, json};

use crate::cluster::{AUDIENCE, Cluster, INSURER, ISSUER, node};
use crate::owner::{Attested, Facts, NOW, Owner};

pub struct World {
    pub cluster: Cluster,
    pub facts: Facts,
}

impl World {
    pub async fn new() -> Self {
        Self::with_issuers([ISSUER; 4]).await
    }

    async fn with_issuers(issuers: [&str; 4]) -> Self {
        let facts = Facts::new();
        let committees = [Committee::Ledger, Committee::Decision];
        let cluster = Cluster::configured(&committees, &facts.public(), issuers, Some(NOW)).await;
        Self { cluster, facts }
    }

    pub async fn nonces(&self, nodes: &[u16]) -> Vec<(NodeId, Bytes32)> {
        let mut nonces = Vec::new();
        for n in nodes {
            let answer: NonceAnswer = self
                .cluster
                .post(*n, "/v1/decision/nonce", &())
                .await
                .unwrap();
            assert_eq!(answer.node, node(*n));
            nonces.push((answer.node, answer.nonce));
        }
        nonces
    }

    async fn attested(&self, owner: &mut Owner) -> Attested {
        self.attest(owner, "CA", AUDIENCE).await
    }

    /// Has facts attested and the roots entered in the log.
    async fn attest(&self, owner: &mut Owner, state: &str, audience: &str) -> Attested {
        let attested = owner.attest(&self.facts, state, audience);
        let ledger = oracles::ledger::of(self.cluster.node(1).node());
        ledger.append(&attested.roots()).await.unwrap();
        attested
    }

    pub async fn presentation(&self, owner: &mut Owner) -> Presentation {
        let attested = self.attested(owner).await;
        owner.present(&attested, self.nonces(&[1, 2, 3, 4]).await)
    }

    pub async fn decide(
        &self,
        at: u16,
        presentation: &Presentation,
    ) -> Result<DecideAnswer, Problem> {
        let request = DecideRequest {
            presentation: presentation.clone(),
        };
        match self.cluster.post(at, "/v1/decision/decide", &request).await {
            Ok(answer) => Ok(answer),
            Err(HttpError::Problem(problem)) => Err(*problem),
            Err(error) => panic!("{error}"),
        }
    }

    async fn refused(&self, at: u16, presentation: &Presentation) -> String {
        let problem = self.decide(at, presentation).await.unwrap_err();
        assert!(!problem.detail.is_empty());
        problem.code().to_owned()
    }

    /// Verified as a relying party does it: through the served keys.
    pub async fn claims(&self, at: u16, answer: &DecideAnswer) -> Claims {
        self.claims_for(AUDIENCE, at, answer).await
    }

    async fn claims_for(&self, audience: &str, at: u16, answer: &DecideAnswer) -> Claims {
        let url = self.cluster.url(at, "/.well-known/jwks.json");
        let keys: JwkSet = get_json(&self.cluster.client, &url).await.unwrap();
        token::verify(&answer.token, &keys, ISSUER, audience, NOW_LATER).unwrap()
    }
}

/// A little after the cluster's clock started.
pub const NOW_LATER: UnixTime = UnixTime(NOW.0 + 600);

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_audited_offline_and_shown_again_gets_the_same_claims() {
    let mut world = World::new().await;
    let mut owner = Owner::new(1);
    let presentation = world.presentation(&mut owner).await;
    let answer = world.decide(1, &presentation).await.unwrap();
    let claims = world.claims(2, &answer).await;
    assert_eq!(claims.verdict, Verdict::Yes);
    assert_eq!(claims.jti, presentation.digest());
    assert_eq!(claims.ledger.index, answer.receipt.index);

    let bundle = Bundle::new(
        presentation.clone(),
        answer.token,
        answer.receipt,
        answer.roots,
    );
    let mut trust = world.cluster.trust_in(&world.facts.public());
    audit(&bundle.to_bytes(), &trust, registry()).unwrap();
    // Somebody else's trust does not do.
    trust = World::new().await.cluster.trust_in(&world.facts.public());
    assert!(audit(&bundle.to_bytes(), &trust, registry()).is_err());

    for at in 1..=4 {
        let again = world.decide(at, &presentation).await.unwrap();
        assert_eq!(world.claims(at, &again).await, claims);
    }
    for n in 1..=4 {
        world.cluster.kill(n).await;
    }
    for n in 1..=4 {
        world.cluster.restart(n).await;
    }
    let until = Instant::now() + Duration::from_secs(10);
    let again = loop {
        match world.decide(3, &presentation).await {
            Ok(answer) => break answer,
            Err(problem) if Instant::now() > until => panic!("{problem}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    };
    assert_eq!(world.claims(4, &again).await, claims);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_replayed_attestation_under_another_jti() {
    let world = World::new().await;
    let mut owner = Owner::new(1);
    let attested = world.attested(&mut owner).await;
    let first = owner.present(&attested, world.nonces(&[1, 2, 3, 4]).await);
    world.decide(1, &first).await.unwrap();
    let second = owner.present(&attested, world.nonces(&[1, 2, 3, 4]).await);
    assert_ne!(first.digest(), second.digest());
    for at in 1..=4 {
        assert_eq!(world.refused(at, &second).await, "replayed-attestation");
    }
}

/// Attack: a fact committee signs a batch for one owner and keeps it out of the log.
#[tokio::test(flavor = "multi_thread")]
async fn attack_leaves_under_a_root_that_is_not_in_the_log() {
    let world = World::new().await;
    let mut owner = Owner::new(1);
    let hidden = owner.attest(&world.facts, "CA", AUDIENCE);
    let roots = hidden.roots();
    let ledger = oracles::ledger::of(world.cluster.node(1).node());
    ledger.append(&roots[1..]).await.unwrap();
    let shown = owner.present(&hidden, world.nonces(&[1, 2, 3, 4]).await);
    for at in 1..=4 {
        assert_eq!(world.refused(at, &shown).await, "unrecorded-root");
    }
    // Nothing was used up.
    ledger.append(&roots).await.unwrap();
    let answer = world.decide(1, &shown).await.unwrap();
    let entries: Vec<Entry> = answer.roots.iter().map(|receipt| receipt.entry).collect();
    let expected: Vec<Entry> = shown.roots().iter().map(|root| root.entry()).collect();
    assert_eq!(entries, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_replayed_forged_or_foreign_nonce() {
    let world = World::new().await;
    let mut owner = Owner::new(1);
    let nonces = world.nonces(&[1, 2, 3, 4]).await;
    let attested = world.attested(&mut owner).await;
    let first = owner.present(&attested, nonces.clone());
    world.decide(1, &first).await.unwrap();
    let attested = world.attested(&mut owner).await;
    let second = owner.present(&attested, nonces);
    assert_eq!(world.refused(2, &second).await, "replayed-nonce");

    let mut forged = world.nonces(&[1, 2, 3]).await;
    forged[0].1.0[31] ^= 1;
    let presentation = owner.present(&attested, forged);
    assert_eq!(world.refused(1, &presentation).await, "nonce");
    let mut swapped = world.nonces(&[1, 2, 3]).await;
    let (one, two) = (swapped[0].1, swapped[1].1);
    (swapped[0].1, swapped[1].1) = (two, one);
    let presentation = owner.present(&attested, swapped);
    assert_eq!(world.refused(1, &presentation).await, "nonce");
    // A quorum must be named, this node among it, and nobody from outside.
    let presentation = owner.present(&attested, world.nonces(&[1, 2]).await);
    assert_eq!(world.refused(1, &presentation).await, "nonce");
    let presentation = owner.present(&attested, world.nonces(&[1, 2, 3]).await);
    assert_eq!(world.refused(4, &presentation).await, "nonce");
    let mut outsider = world.nonces(&[1, 2, 3]).await;
    outsider.push((node(9), Bytes([0; 32])));
    let presentation = owner.present(&attested, outsider);
    assert_eq!(world.refused(1, &presentation).await, "nonce");
    // None of the refused ones used up the leaves.
    let presentation = owner.present(&attested, world.nonces(&[1, 2, 3]).await);
    let answer = world.decide(2, &presentation).await.unwrap();
    assert!(answer.absent.contains(&node(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_second_program_or_state_for_the_same_audience_and_pseudonym() {
    let world = World::new().await;
    let mut owner = Owner::new(1);
    let presentation = world.presentation(&mut owner).await;
    world.decide(1, &presentation).await.unwrap();
    let elsewhere = world.attest(&mut owner, "NV", AUDIENCE).await;
    let second = owner.present(&elsewhere, world.nonces(&[1, 2, 3, 4]).await);
    assert_eq!(world.refused(1, &second).await, "restraint");
    // Another audience sees another pseudonym, and the same question may be asked again.
    let elsewhere = world.attest(&mut owner, "NV", "https://other.test").await;
    let other = owner.present(&elsewhere, world.nonces(&[1, 2, 3, 4]).await);
    world.decide(1, &other).await.unwrap();
    let again = world.presentation(&mut owner).await;
    world.decide(1, &again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_a_second_program_or_state_asked_of_an_insurer_without_t() {
    let world = World::new().await;
    let mut owner = Owner::new(1);
    let nonces = || world.nonces(&[1, 2, 3, 4]);
    let at = async |owner: &mut Owner, state| world.attest(owner, state, INSURER).await;
    let first = at(&mut owner, "CA").await;
    let first = owner.enquire(&first, nonces().await);
    let answer = world.decide(1, &first).await.unwrap();
    let claims = world.claims_for(INSURER, 1, &answer).await;
    // The audience sees a random subject; N stays with the decision committee.
    assert_eq!(claims.sub, first.enquiry.unwrap().subject);
    let n = Bytes::from(*first.pseudonym.as_bytes());
    let told = serde_json::to_string(&claims).unwrap();
    assert!(!told.contains(&n.to_string()));
    // The same question again: another subject, the same count.
    let again = at(&mut owner, "CA").await;
    let again = owner.enquire(&again, nonces().await);
    assert_eq!(again.pseudonym, first.pseudonym);
    let answer = world.decide(2, &again).await.unwrap();
    let second = world.claims_for(INSURER, 2, &answer).await;
    assert_ne!(second.sub, claims.sub);
    let elsewhere = at(&mut owner, "NV").await;
    let elsewhere = owner.enquire(&elsewhere, nonces().await);
    assert_eq!(world.refused(1, &elsewhere).await, "restraint");
    // Somebody else is not held back by it.
    let mut neighbour = Owner::new(2);
    let theirs = at(&mut neighbour, "NV").await;
    let theirs = neighbour.enquire(&theirs, nonces().await);
    world.decide(1, &theirs).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_t_shown_to_an_insurer_or_withheld_from_an_agency_or_counted_in_another_month() {
    let world = World::new().await;
    let mut owner = Owner::new(1);
    let nonces = || world.nonces(&[1, 2, 3, 4]);
    let insurer = world.attest(&mut owner, "CA", INSURER).await;
    let with_t = owner.present(&insurer, nonces().await);
    assert_eq!(world.refused(1, &with_t).await, "presentation");
    let listed = nonces().await;
    let next = UnixTime(NOW.0 + 20 * 86_400);
    let enquiry = Enquiry::at(next, Bytes([1; 32])).unwrap();
    let december = owner.show(&insurer, listed, Some(enquiry));
    assert_eq!(world.refused(1, &december).await, "presentation");
    let agency = world.attest(&mut owner, "CA", AUDIENCE).await;
    let without_t = owner.enquire(&agency, nonces().await);
    assert_eq!(world.refused(1, &without_t).await, "presentation");
    let unregistered = world.attest(&mut owner, "CA", "insurer.nobody").await;
    let unregistered = owner.enquire(&unregistered, nonces().await);
    assert_eq!(world.refused(1, &unregistered).await, "audience");
}

#[tokio::test(flavor = "multi_thread")]
async fn presentations_that_wait_together_are_each_answered_as_alone() {
    let world = World::new().await;
    let mut shown = Vec::new();
    for seed in 1..=10 {
        let mut presentation = world.presentation(&mut Owner::new(seed)).await;
        match seed {
            4 => presentation.attestations[2].holder_signature.0[5] ^= 1,
            7 => presentation.proof.0[40] ^= 1,
            _ => {}
        }
        shown.push(presentation);
    }
    let decided = futures::future::join_all(shown.iter().map(|one| world.decide(1, one))).await;
    for (index, answer) in decided.into_iter().enumerate() {
        match index {
            3 | 6 => assert_eq!(answer.unwrap_err().code(), "presentation", "{index}"),
            _ => {
                let claims = world.claims(1, &answer.unwrap()).await;
                assert_eq!(claims.jti, shown[index].digest());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_a_presentation_changed_on_its_way() {
    let world = World::new().await;
    let good = world.presentation(&mut Owner::new(1)).await;
    let mut changed = good.clone();
    changed.verdict = Verdict::No;
    assert_eq!(world.refused(1, &changed).await, "presentation");
    let mut changed = good.clone();
    changed.audience = "https://other.test".to_owned();
    assert_eq!(world.refused(1, &changed).await, "presentation");
    let mut changed = good.clone();
    changed.contract.hash = Bytes([7; 32]);
    assert_eq!(world.refused(1, &changed).await, "contract");
    let mut changed = good.clone();
    changed.ledger_salt = Bytes([7; 32]);
    assert_eq!(world.refused(1, &changed).await, "presentation");
    world.decide(1, &good).await.unwrap();
}

/// Has a node's signer look at a context, as a malicious coordinator at node 1 would; true if it would sign.
async fn would_sign(world: &World, to: u16, context: &Value) -> bool {
    const COMMIT: Topic<Value, Value> = Topic::new("sign.commit");
    let request = json!({
        "session": Bytes::<32>(rand::random()),
        "key": "decision",
        "epoch": 1,
        "topic": "decision.token",
        "context": context,
    });
    match world
        .cluster
        .node(1)
        .node()
        .call(node(to), COMMIT, &request)
        .await
    {
        Ok(_) => true,
        Err(PeerError::Refused { refusal, .. }) => {
            assert_ne!(refusal.code, "internal");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// The receipt of whatever claims a malicious coordinator chooses to record.
async fn record(world: &World, salt: &Bytes32, claims: &DecisionClaims) -> Receipt {
    let entry = Entry::new(EntryKind::Decision, salt, claims);
    let ledger = oracles::ledger::of(world.cluster.node(1).node());
    ledger.append(&[entry]).await.unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_coordinator_swaps_verdict_contract_audience_time_or_receipt() {
    let world = World::new().await;
    let presentation = world.presentation(&mut Owner::new(1)).await;
    let answer = world.decide(1, &presentation).await.unwrap();
    let (jti, salt) = (presentation.digest(), presentation.ledger_salt);
    let honest = json!({ "jti": jti, "receipt": answer.receipt });
    assert!(would_sign(&world, 2, &honest).await);

    let claims = world.claims(1, &answer).await.commitment_input();
    let changes: [fn(&mut DecisionClaims); 8] = [
        |claims| claims.verdict = Verdict::No,
        |claims| claims.contract.hash = Bytes([7; 32]),
        |claims| claims.aud = "https://other.test".to_owned(),
        // A stale or early iat by the coordinator.
        |claims| claims.iat = UnixTime(claims.iat.0 - 3_600),
        |claims| claims.iat = UnixTime(claims.iat.0 + 3_600),
        |claims| claims.exp = UnixTime(claims.exp.0 + 1),
        |claims| claims.sub = Bytes([7; 32]),
        |claims| claims.iss = "https://other.test".to_owned(),
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let mut swapped = claims.clone();
        change(&mut swapped);
        let receipt = record(&world, &salt, &swapped).await;
        let context = json!({ "jti": jti, "receipt": receipt });
        for to in 2..=4 {
            assert!(!would_sign(&world, to, &context).await, "change {place}");
        }
    }
    // The right entry with a receipt that does not verify, or a claim sent along, or a jti nobody accepted.
    let mut moved = answer.receipt.clone();
    moved.index += 1;
    let mut unsigned = answer.receipt.clone();
    unsigned.checkpoint = unsigned.checkpoint.replace("ledger.test", "ledger.evil");
    for context in [
        json!({ "jti": jti, "receipt": moved }),
        json!({ "jti": jti, "receipt": unsigned }),
        json!({ "jti": jti, "receipt": answer.receipt, "iat": 1 }),
        json!({ "jti": Bytes::<32>([1; 32]), "receipt": answer.receipt }),
    ] {
        assert!(!would_sign(&world, 2, &context).await, "{context}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_instant_is_the_nonces_and_none_of_the_coordinators() {
    let world = World::new().await;
    let presentation = world.presentation(&mut Owner::new(1)).await;
    let mut times: Vec<UnixTime> = presentation
        .nonces
        .iter()
        .map(|(_, nonce)| nonce_time(nonce))
        .collect();
    times.sort();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let answer = world.decide(2, &presentation).await.unwrap();
    assert_eq!(world.claims(2, &answer).await.iat, times[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_node_changes_nothing_and_two_are_named_and_a_rerun_succeeds() {
    let mut world = World::new().await;
    let mut owner = Owner::new(1);
    let first = world.presentation(&mut owner).await;
    world.cluster.kill(1).await;
    let answer = world.decide(2, &first).await.unwrap();
    assert!(answer.absent.contains(&node(1)));

    world.cluster.restart(1).await;
    let second = world.presentation(&mut Owner::new(2)).await;
    world.cluster.kill(1).await;
    world.cluster.kill(4).await;
    let start = Instant::now();
    let problem = world.decide(2, &second).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(problem.code(), "no-quorum");
    assert_eq!(problem.quorum.unwrap().silent, [node(1), node(4)]);
    world.cluster.restart(1).await;
    world.cluster.restart(4).await;
    let until = Instant::now() + Duration::from_secs(20);
    while let Err(problem) = world.decide(2, &second).await {
        assert!(Instant::now() < until, "{problem}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_derives_other_claims_is_named_and_left_out() {
    let issuers = [ISSUER, ISSUER, ISSUER, "https://other.test"];
    let world = World::with_issuers(issuers).await;
    let presentation = world.presentation(&mut Owner::new(1)).await;
    let answer = world.decide(1, &presentation).await.unwrap();
    assert!(answer.absent.contains(&node(4)));
    world.claims(1, &answer).await;
    let alone = world.decide(4, &presentation).await.unwrap_err();
    assert_eq!(alone.quorum.unwrap().culprits, [node(1), node(2), node(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_list_is_signed_and_says_valid() {
    let world = World::new().await;
    let presentation = world.presentation(&mut Owner::new(1)).await;
    let answer = world.decide(1, &presentation).await.unwrap();
    let claims = world.claims(1, &answer).await;
    let keys: JwkSet = world
        .cluster
        .get(1, "/.well-known/jwks.json")
        .await
        .unwrap();
    let slot = &claims.status.status_list;
    let path = slot.uri.strip_prefix(ISSUER).unwrap();
    for at in 1..=4 {
        let response = world
            .cluster
            .client
            .get(world.cluster.url(at, path))
            .send()
            .await
            .unwrap();
        let media = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(media, contracts::status::MEDIA_TYPE);
        let list = response.text().await.unwrap();
        assert_eq!(status_of(&list, &keys, slot, NOW_LATER), Ok(Status::Valid));
    }
    let none = world.cluster.get::<Value>(1, "/status/7").await;
    assert!(matches!(none, Err(HttpError::Problem(problem)) if problem.status == 404));
}
