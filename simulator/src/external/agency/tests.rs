use super::*;
use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer};
use contracts::application::{Answer, Approval, ProofClaims, reply_message, wallet_proof};
use contracts::ids::Verdict;
use contracts::jwk::{EcJwk, JwkSet, thumbprint};
use contracts::status::{self, StatusList, StatusListClaims};
use contracts::token::{Cnf, DecisionClaims};
use contracts::units::Day;
use secp256k1::SecretKey;
use serde_json::Value;

const AUDIENCE: &str = "us.ca.dhcs";
const ISSUER: &str = "https://decision.example";

/// An application's parts, each of which an attack may change before it is sent.
struct World {
    committee: SigningKey,
    notifier: SigningKey,
    wallet: SecretKey,
    agency: Running,
    oracles: Vec<ServerHandle>,
    urls: Vec<String>,
    _folder: tempfile::TempDir,
}

pub(in crate::external) fn signing_key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

fn contract() -> ContractRef {
    ContractRef {
        id: "us.medicaid.adult-group".to_owned(),
        hash: Bytes([9; 32]),
    }
}

/// A node's public endpoints as an oracle serves them, with keys and list of the test's choice.
pub(in crate::external) fn oracle(key: &SigningKey, revoked: &[u64]) -> (String, ServerHandle) {
    let jwks = JwkSet::new([&key.verifying_key()]);
    let mut list = StatusList::all_valid();
    for idx in revoked {
        list.revoke(*idx).unwrap();
    }
    let claims = StatusListClaims::new(&list, &status::uri(ISSUER, 0), now(0), 600, 600);
    let input = status::signing_input(&claims, &thumbprint(&key.verifying_key()));
    let list = status::assemble(&input, &Bytes(key.sign(input.as_bytes()).to_bytes()));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = HttpServer::new(move || {
        let (jwks, list) = (jwks.clone(), list.clone());
        App::new()
            .route(
                "/.well-known/jwks.json",
                web::get().to(move || {
                    let jwks = jwks.clone();
                    async move { HttpResponse::Ok().json(jwks) }
                }),
            )
            .route(
                "/status/0",
                web::get().to(move || {
                    let list = list.clone();
                    async move { HttpResponse::Ok().body(list) }
                }),
            )
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .unwrap()
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    (url, handle)
}

impl World {
    async fn new() -> Self {
        let committee = signing_key(1);
        let oracles: Vec<_> = (0..4).map(|_| oracle(&committee, &[])).collect();
        Self::with(committee, oracles).await
    }

    async fn with(committee: SigningKey, oracles: Vec<(String, ServerHandle)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let notifier = signing_key(2);
        let (urls, oracles): (Vec<_>, Vec<_>) = oracles.into_iter().unzip();
        let agency = start(Config {
            listen: crate::external::any_port(),
            data: folder.path().to_owned(),
            clock_offset_seconds: 0,
            audience: AUDIENCE.to_owned(),
            issuer: ISSUER.to_owned(),
            oracles: urls.clone(),
            notifier_key: Bytes(notifier.verifying_key().to_bytes()),
            jurisdiction: "CA".parse().unwrap(),
            contracts: vec![contract()],
            caseworker_key: Some(crate::external::Secret::new("caseworker")),
        })
        .await
        .unwrap();
        let wallet = SecretKey::from_byte_array(&[3; 32]).unwrap();
        Self {
            committee,
            notifier,
            wallet,
            agency,
            oracles,
            urls,
            _folder: folder,
        }
    }

    fn claims(&self) -> DecisionClaims {
        let key = self.wallet.public_key(secp256k1::SECP256K1);
        DecisionClaims {
            iss: ISSUER.to_owned(),
            sub: Bytes([5; 32]),
            aud: AUDIENCE.to_owned(),
            iat: UnixTime(now(0).0 - 100),
            exp: UnixTime(now(0).0 + 86_400),
            jti: Bytes([7; 32]),
            cnf: Cnf {
                jwk: EcJwk::from_compressed(&Bytes(key.serialize())).unwrap(),
            },
            contract: contract(),
            jurisdiction: "CA".parse().unwrap(),
            as_of: "2026-11-20".parse::<Day>().unwrap(),
            verdict: Verdict::Yes,
            reasons: vec![],
        }
    }

    fn token(&self, claims: DecisionClaims) -> String {
        token_by(&self.committee, claims)
    }

    fn approval(&self, jti: Bytes32, answer: Answer) -> Approval {
        let replied_at = UnixTime(now(0).0 - 50);
        let message = reply_message(&jti.to_string(), &answer.to_string(), replied_at);
        let signature = self.notifier.sign(message.as_bytes());
        Approval {
            decision_id: jti,
            answer,
            replied_at,
            notifier_signature: Bytes(signature.to_bytes()),
        }
    }

    fn proof(&self, approval: &Approval, key: &SecretKey) -> String {
        let claims = ProofClaims {
            aud: AUDIENCE.to_owned(),
            jti: approval.decision_id,
            approval: approval.hash(),
            iat: now(0),
        };
        wallet_proof(&claims, key)
    }

    fn application(&self, claims: DecisionClaims) -> Application {
        let approval = self.approval(claims.jti, Answer::Yes);
        let wallet_proof = self.proof(&approval, &self.wallet);
        Application {
            token: self.token(claims),
            approval,
            wallet_proof,
            representation: None,
        }
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> (u16, Value) {
        let url = format!("{}{path}", self.agency.url());
        let client = oracles::http::client_builder().no_proxy().build().unwrap();
        let answer = client.post(url).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let client = oracles::http::client_builder().no_proxy().build().unwrap();
        client
            .get(format!("{}{path}", self.agency.url()))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn refused(&self, application: &Application, check: &str) {
        let (status, body) = self.post("/applications", application).await;
        assert!(status >= 400, "{check}: accepted");
        assert_eq!(body["type"], format!("urn:shp:problem:{check}"), "{body}");
    }

    async fn end(self) {
        for oracle in self.oracles {
            oracle.stop(false).await;
        }
        self.agency.shutdown().await;
    }
}

pub(in crate::external) fn token_by(committee: &SigningKey, claims: DecisionClaims) -> String {
    let input = token::signing_input(
        &claims.recorded_at("log.example/test", 12),
        &thumbprint(&committee.verifying_key()),
    );
    token::assemble(&input, &Bytes(committee.sign(input.as_bytes()).to_bytes()))
}

#[tokio::test]
async fn an_application_is_accepted_with_a_signed_receipt_and_filed_once() {
    let world = World::new().await;
    let application = world.application(world.claims());
    let (status, body) = world.post("/applications", &application).await;
    assert_eq!(status, 201, "{body}");
    let acceptance: Acceptance = serde_json::from_value(body).unwrap();
    let key: Bytes32 = serde_json::from_value(world.get("/v1/key").await["key"].clone()).unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(&acceptance.signature.0);
    let key = VerifyingKey::from_bytes(&key.0).unwrap();
    key.verify_strict(acceptance.message().as_bytes(), &signature)
        .unwrap();

    // A replay, of the same bytes or with a fresh proof, gives the same application.
    for replay in [application.clone(), world.application(world.claims())] {
        let (status, body) = world.post("/applications", &replay).await;
        assert_eq!(
            (status, serde_json::from_value(body).unwrap()),
            (201, acceptance.clone())
        );
    }
    // Another decision about the same pseudonym belongs to the same case.
    let mut later = world.claims();
    later.jti = Bytes([8; 32]);
    let (_, second) = world.post("/applications", &world.application(later)).await;
    let first = world
        .get(&format!("/applications/{}", acceptance.application_id))
        .await;
    let second = world
        .get(&format!(
            "/applications/{}",
            second["application_id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(first["case"], second["case"]);
    assert_eq!(
        (first["number"].as_i64(), second["number"].as_i64()),
        (Some(1), Some(2))
    );
    world.end().await;
}

#[tokio::test]
async fn a_token_for_another_audience_state_contract_or_issuer_is_refused() {
    let world = World::new().await;
    let changed = |change: fn(&mut DecisionClaims)| {
        let mut claims = world.claims();
        change(&mut claims);
        world.application(claims)
    };
    world
        .refused(&changed(|c| c.aud = "us.or.oha".to_owned()), "audience")
        .await;
    world
        .refused(
            &changed(|c| c.iss = "https://other.example".to_owned()),
            "issuer",
        )
        .await;
    world
        .refused(
            &changed(|c| c.jurisdiction = "OR".parse().unwrap()),
            "jurisdiction",
        )
        .await;
    world
        .refused(&changed(|c| c.contract.hash = Bytes([1; 32])), "contract")
        .await;
    world.end().await;
}

#[tokio::test]
async fn an_expired_or_future_token_is_refused() {
    let world = World::new().await;
    let mut expired = world.claims();
    (expired.iat, expired.exp) = (UnixTime(now(0).0 - 1000), UnixTime(now(0).0 - 1));
    world.refused(&world.application(expired), "time").await;
    let mut future = world.claims();
    future.iat = UnixTime(now(0).0 + 3600);
    world.refused(&world.application(future), "time").await;
    world.end().await;
}

#[tokio::test]
async fn a_changed_bit_anywhere_in_the_token_is_refused() {
    let world = World::new().await;
    let good = world.application(world.claims());
    for at in (0..good.token.len())
        .step_by(37)
        .chain([good.token.len() - 1])
    {
        let mut bytes = good.token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let mut bad = good.clone();
        bad.token = String::from_utf8(bytes).unwrap();
        let (status, body) = world.post("/applications", &bad).await;
        assert!(status >= 400, "byte {at}: {body}");
    }
    world.end().await;
}

#[tokio::test]
async fn an_unapproved_declined_or_borrowed_approval_is_refused() {
    let world = World::new().await;
    let with = |approval: Approval| {
        let wallet_proof = world.proof(&approval, &world.wallet);
        Application {
            token: world.token(world.claims()),
            approval,
            wallet_proof,
            representation: None,
        }
    };
    let jti = world.claims().jti;
    let mut unsigned = world.approval(jti, Answer::Yes);
    unsigned.notifier_signature = Bytes([0; 64]);
    world.refused(&with(unsigned), "approval").await;
    world
        .refused(&with(world.approval(jti, Answer::No)), "approval")
        .await;
    world
        .refused(
            &with(world.approval(Bytes([6; 32]), Answer::Yes)),
            "approval",
        )
        .await;
    let mut turned = world.approval(jti, Answer::No);
    turned.answer = Answer::Yes;
    world.refused(&with(turned), "approval").await;
    world.end().await;
}

#[tokio::test]
async fn a_wallet_proof_by_another_key_or_for_another_approval_is_refused() {
    let world = World::new().await;
    let mut stolen = world.application(world.claims());
    stolen.wallet_proof = world.proof(
        &stolen.approval,
        &SecretKey::from_byte_array(&[4; 32]).unwrap(),
    );
    world.refused(&stolen, "wallet-proof").await;
    let mut other = world.application(world.claims());
    let mut approval = other.approval.clone();
    approval.replied_at.0 -= 1;
    other.wallet_proof = world.proof(&approval, &world.wallet);
    world.refused(&other, "wallet-proof").await;
    world.end().await;
}

#[tokio::test]
async fn a_no_verifies_just_as_well_but_cannot_be_filed() {
    let world = World::new().await;
    let mut no = world.claims();
    no.verdict = Verdict::No;
    no.reasons = vec!["income".to_owned()];
    let (status, body) = world
        .post(
            "/tokens/verify",
            &json!({ "token": world.token(no.clone()) }),
        )
        .await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["verdict"], "NO");
    assert_eq!(body["reasons"], json!(["income"]));
    world.refused(&world.application(no), "verdict").await;
    let (status, _) = world
        .post("/tokens/verify", &json!({ "token": "a.b.c" }))
        .await;
    assert_eq!(status, 422);
    world.end().await;
}

#[tokio::test]
async fn one_lying_oracle_cannot_slip_in_a_key_and_silent_ones_do_not_matter() {
    let committee = signing_key(1);
    let liar = signing_key(66);
    let oracles = vec![
        oracle(&liar, &[]),
        oracle(&committee, &[]),
        oracle(&committee, &[]),
        oracle(&committee, &[]),
    ];
    let mut world = World::with(committee, oracles).await;
    world.oracles.pop().unwrap().stop(false).await;
    let mut forged = world.application(world.claims());
    forged.token = token_by(&liar, world.claims());
    world.refused(&forged, "token").await;
    let (status, body) = world
        .post("/applications", &world.application(world.claims()))
        .await;
    assert_eq!(status, 201, "{body}");
    world.end().await;
}

#[tokio::test]
async fn a_revoked_token_is_refused_even_if_some_oracles_serve_an_old_list() {
    let committee = signing_key(1);
    let oracles = vec![
        oracle(&committee, &[]),
        oracle(&committee, &[12]),
        oracle(&committee, &[]),
        oracle(&committee, &[]),
    ];
    let world = World::with(committee, oracles).await;
    world
        .refused(&world.application(world.claims()), "status")
        .await;
    world.end().await;
}

#[tokio::test]
async fn without_its_oracles_the_agency_says_so_and_accepts_nothing() {
    let mut world = World::new().await;
    for oracle in world.oracles.drain(..) {
        oracle.stop(false).await;
    }
    assert_eq!(world.urls.len(), 4);
    world
        .refused(&world.application(world.claims()), "oracles")
        .await;
    world.end().await;
}
