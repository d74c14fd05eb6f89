use actix_web::dev::ServerHandle;
use contracts::application::{
    Answer as Said, Application, Approval, ProofClaims, reply_message, wallet_proof,
};
use contracts::ids::Verdict;
use contracts::jwk::EcJwk;
use contracts::token::{Cnf, DecisionClaims};
use contracts::units::Cents;
use secp256k1::SecretKey;
use serde_json::Value;

use super::super::agency::tests::{oracle, signing_key, token_by};
use super::*;

/// What a row of a table changes.
type Change<T> = fn(&mut T);
/// The same, of a purchase, with what the test knows.
type ChangeOf<'a> = dyn Fn(&mut Purchase) + 'a;

const ISSUER: &str = "https://decision.example";
const INSURER: &str = "insurer.bridge-mutual";
const DAY: i64 = 86_400;

/// An insurer in its own server, on the published plan file, and everybody it trusts.
struct World {
    committee: SigningKey,
    notifier: SigningKey,
    wallet: SecretKey,
    reply: NodeKeyPair,
    insurer: Running,
    config: Config,
    key: VerifyingKey,
    published: Published,
    oracles: Vec<ServerHandle>,
    _folder: tempfile::TempDir,
}

fn contract() -> ContractRef {
    ContractRef {
        id: "us.medicaid".to_owned(),
        hash: Bytes([9; 32]),
    }
}

fn client() -> reqwest::Client {
    oracles::http::client_builder().no_proxy().build().unwrap()
}

async fn get<T: DeserializeOwned>(insurer: &Running, path: &str) -> T {
    let answer = client().get(format!("{}{path}", insurer.url())).send();
    answer.await.unwrap().json().await.unwrap()
}

impl World {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(revoked: &[u64]) -> Self {
        let (committee, notifier) = (signing_key(1), signing_key(2));
        let (urls, oracles): (Vec<_>, Vec<_>) = (0..4).map(|_| oracle(&committee, revoked)).unzip();
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            listen: crate::external::any_port(),
            data: folder.path().to_owned(),
            plans: concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../fixtures/plans/bridge-mutual.json"
            )
            .into(),
            clock_offset_seconds: 0,
            issuer: ISSUER.to_owned(),
            oracles: urls,
            notifier_key: Bytes(notifier.verifying_key().to_bytes()),
            contracts: vec![contract()],
        };
        let insurer = start(config.clone()).await.unwrap();
        let key: Value = get(&insurer, "/v1/key").await;
        let key: Bytes32 = serde_json::from_value(key["key"].clone()).unwrap();
        let key = VerifyingKey::from_bytes(&key.0).unwrap();
        let published: Published = get(&insurer, "/v1/plans").await;
        assert!(published.verifies(&key));
        Self {
            committee,
            notifier,
            wallet: SecretKey::from_byte_array(&[3; 32]).unwrap(),
            reply: NodeKeyPair::generate(),
            insurer,
            config,
            key,
            published,
            oracles,
            _folder: folder,
        }
    }

    /// Dies, and starts again some days later.
    async fn restart(&mut self, days: i64) {
        self.config.clock_offset_seconds += days * DAY;
        let again = start(self.config.clone()).await.unwrap();
        std::mem::replace(&mut self.insurer, again).shutdown().await;
    }

    fn now(&self) -> UnixTime {
        now(self.config.clock_offset_seconds)
    }

    fn today(&self) -> Day {
        self.now().day().unwrap()
    }

    fn enquiry(&self, id: u8) -> Enquiry {
        Enquiry {
            enquiry: [id; 32].into(),
            insurer: INSURER.to_owned(),
            jurisdiction: "CA".parse().unwrap(),
            start: self.today().plus(2).unwrap(),
            members: vec![30, 0],
            income: 138,
            asked: self.today(),
            reply_key: *self.reply.public(),
        }
    }

    /// Sends a box; the answer as sealed, or the problem's code.
    async fn send(
        &self,
        exchange: Exchange,
        sealed: &Sealed,
    ) -> std::result::Result<Sealed, String> {
        let url = format!("{}{}", self.insurer.url(), exchange.path());
        let answer = client().post(url).json(sealed).send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        match status.is_success() {
            true => Ok(serde_json::from_value(body).unwrap()),
            false => {
                assert_eq!(body["status"], status.as_u16(), "{body}");
                let code = body["type"].as_str().unwrap();
                Err(code.strip_prefix("urn:shp:problem:").unwrap().to_owned())
            }
        }
    }

    async fn ask<A: Serialize, T: DeserializeOwned>(
        &self,
        exchange: Exchange,
        ask: &A,
    ) -> std::result::Result<T, String> {
        let plain = padded(ask);
        let info = exchange.request_info(INSURER);
        let sealed = hpke::seal(&self.published.hpke_key, &info, &[], &plain).unwrap();
        let answer = self.send(exchange, &sealed).await?;
        let info = exchange.answer_info(INSURER, &plain);
        let opened = self.reply.open(&info, &[], &answer).unwrap();
        Ok(serde_json::from_slice(&opened).unwrap())
    }

    async fn offers(&self, id: u8) -> Vec<Offer> {
        self.ask(Exchange::Enquiry, &self.enquiry(id))
            .await
            .unwrap()
    }

    fn claims(&self, jti: u8) -> DecisionClaims {
        let key = self.wallet.public_key(secp256k1::SECP256K1);
        DecisionClaims {
            iss: ISSUER.to_owned(),
            sub: Bytes([5; 32]),
            aud: INSURER.to_owned(),
            iat: UnixTime(self.now().0 - 100),
            exp: UnixTime(self.now().0 + 30 * DAY),
            jti: Bytes([jti; 32]),
            cnf: Cnf {
                jwk: EcJwk::from_compressed(&Bytes(key.serialize())).unwrap(),
            },
            contract: contract(),
            jurisdiction: "CA".parse().unwrap(),
            as_of: self.today(),
            verdict: Verdict::Yes,
            reasons: vec![],
        }
    }

    fn approval(&self, about: Bytes32, answer: Said) -> Approval {
        let replied_at = UnixTime(self.now().0 - 50);
        let message = reply_message(&about.to_string(), &answer.to_string(), replied_at);
        Approval {
            decision_id: about,
            answer,
            replied_at,
            notifier_signature: Bytes(self.notifier.sign(message.as_bytes()).to_bytes()),
        }
    }

    fn proof(&self, jti: Bytes32, about: Bytes32, key: &SecretKey) -> String {
        let claims = ProofClaims {
            aud: INSURER.to_owned(),
            jti,
            approval: about,
            iat: self.now(),
        };
        wallet_proof(&claims, key)
    }

    fn purchase(&self, offer: &Offer, claims: DecisionClaims) -> Purchase {
        let approval = self.approval(purchase_id(&claims.jti, offer), Said::Yes);
        let wallet_proof = self.proof(claims.jti, approval.hash(), &self.wallet);
        Purchase {
            offer: offer.clone(),
            application: Application {
                token: token_by(&self.committee, claims),
                approval,
                wallet_proof,
                representation: None,
            },
        }
    }

    async fn buy(&self, purchase: &Purchase) -> std::result::Result<Policy, String> {
        self.ask(Exchange::Purchase, purchase).await
    }

    fn ending(&self, policy: &Policy, jti: u8, end: Day) -> Ending {
        let number = policy.terms.policy;
        Ending {
            policy: number,
            end,
            proof: self.proof(Bytes([jti; 32]), Ending::id(&number, end), &self.wallet),
        }
    }

    async fn end_policy(&self, ending: &Ending) -> std::result::Result<Statement, String> {
        self.ask(Exchange::Ending, ending).await
    }

    async fn end(self) {
        for oracle in self.oracles {
            oracle.stop(false).await;
        }
        self.insurer.shutdown().await;
    }
}

#[tokio::test]
async fn a_policy_is_quoted_bought_and_ended_once_however_often_it_is_asked_for() {
    let mut world = World::new().await;
    let offers = world.offers(1).await;
    let plans: Vec<&str> = offers.iter().map(|offer| offer.plan.as_str()).collect();
    assert_eq!(plans, ["bridge-core", "bridge-wide"]);
    assert_eq!(offers[0].premium, Cents(23_940));
    let purchase = world.purchase(&offers[0], world.claims(7));
    let policy = world.buy(&purchase).await.unwrap();
    assert!(policy.verifies(&world.key));
    assert_eq!(policy.terms.offer, offers[0]);
    // Killed, the answer lost: the same purchase, with a fresh proof, is the same policy.
    world.restart(0).await;
    assert_eq!(world.offers(1).await, offers);
    assert_eq!(world.buy(&purchase).await.unwrap(), policy);
    let again = world.purchase(&offers[0], world.claims(7));
    assert_eq!(world.buy(&again).await.unwrap(), policy);

    world.restart(20).await;
    let end = policy.terms.offer.start.plus(15).unwrap();
    let statement = world
        .end_policy(&world.ending(&policy, 7, end))
        .await
        .unwrap();
    assert!(statement.verifies(&world.key));
    let account = statement.terms.settlement;
    let owed = contracts::gap::earned(Cents(23_940), policy.terms.offer.start, end).unwrap();
    assert_eq!(account.earned, owed);
    assert_eq!(account.billed.0, account.earned.0 + account.refunded.0);
    world.restart(1).await;
    let again = world.end_policy(&world.ending(&policy, 7, end)).await;
    assert_eq!(again.as_ref(), Ok(&statement));
    let path = world.config.data.join("insurer.db");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    let paid: i64 = sqlx::query_scalar(
        "SELECT SUM(CASE kind WHEN 'billed' THEN cents ELSE -cents END) FROM account",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(paid, owed.0, "what was paid is what is owed, once");
    world.end().await;
}

#[tokio::test]
async fn attack_a_replayed_enquiry_learns_and_changes_nothing() {
    let world = World::new().await;
    let enquiry = world.enquiry(1);
    let plain = padded(&enquiry);
    let info = Exchange::Enquiry.request_info(INSURER);
    let sealed = hpke::seal(&world.published.hpke_key, &info, &[], &plain).unwrap();
    let first = world.send(Exchange::Enquiry, &sealed).await.unwrap();
    let second = world.send(Exchange::Enquiry, &sealed).await.unwrap();
    let info = Exchange::Enquiry.answer_info(INSURER, &plain);
    let open = |answer: &Sealed| world.reply.open(&info, &[], answer).unwrap();
    assert_eq!(open(&first), open(&second), "the offers that were made");
    assert!(
        NodeKeyPair::generate().open(&info, &[], &second).is_err(),
        "for the enquirer's one-time key alone"
    );
    // Nor does the box serve for another purpose, or the answer for another enquiry.
    for exchange in [Exchange::Purchase, Exchange::Ending] {
        assert_eq!(
            world.send(exchange, &sealed).await,
            Err("request".to_owned())
        );
    }
    let other = Exchange::Enquiry.answer_info(INSURER, &padded(&world.enquiry(2)));
    assert!(world.reply.open(&other, &[], &first).is_err());
    world.end().await;
}

#[tokio::test]
async fn attack_enquiries_for_another_insurer_of_another_day_or_under_a_used_id_are_refused() {
    let world = World::new().await;
    world.offers(1).await;
    let cases: [(Change<Enquiry>, &str); 4] = [
        (
            |it| it.insurer = "insurer.first-month".to_owned(),
            "insurer",
        ),
        (|it| it.asked = it.asked.plus(-2).unwrap(), "asked"),
        (|it| it.asked = it.asked.plus(1).unwrap(), "asked"),
        (
            |it| {
                it.enquiry = [1; 32].into();
                it.income = 0;
            },
            "enquiry",
        ),
    ];
    for (change, check) in cases {
        let mut enquiry = world.enquiry(2);
        change(&mut enquiry);
        let refused = world
            .ask::<_, Vec<Offer>>(Exchange::Enquiry, &enquiry)
            .await;
        assert_eq!(refused, Err(check.to_owned()));
    }
    // A household that no plan is for gets none.
    let mut enquiry = world.enquiry(3);
    enquiry.jurisdiction = "TX".parse().unwrap();
    let offers = world
        .ask::<_, Vec<Offer>>(Exchange::Enquiry, &enquiry)
        .await;
    assert_eq!(offers, Ok(vec![]));
    world.end().await;
}

#[tokio::test]
async fn attack_a_token_of_another_or_one_that_does_not_stand_buys_nothing() {
    let world = World::new().await;
    let offers = world.offers(1).await;
    let thief = SecretKey::from_byte_array(&[4; 32]).unwrap();
    let cases: [(&str, &ChangeOf<'_>); 7] = [
        // Somebody else's token: its key is not the thief's.
        ("wallet-proof", &|it| {
            let about = it.application.approval.hash();
            it.application.wallet_proof = world.proof(Bytes([7; 32]), about, &thief);
        }),
        // The owner's YES to filing, or to another offer, is none to this.
        ("approval", &|it| {
            it.application.approval = world.approval(Bytes([7; 32]), Said::Yes)
        }),
        ("approval", &|it| {
            let other = purchase_id(&Bytes([7; 32]), &offers[1]);
            it.application.approval = world.approval(other, Said::Yes);
        }),
        ("approval", &|it| {
            let this = purchase_id(&Bytes([7; 32]), &offers[0]);
            it.application.approval = world.approval(this, Said::No);
        }),
        ("approval", &|it| {
            it.application.approval.notifier_signature = Bytes([1; 64])
        }),
        ("offer", &|it| it.offer.premium = Cents(1)),
        ("offer", &|it| it.offer.enquiry = [9; 32].into()),
    ];
    for (check, change) in cases {
        let mut purchase = world.purchase(&offers[0], world.claims(7));
        change(&mut purchase);
        assert_eq!(world.buy(&purchase).await, Err(check.to_owned()));
    }
    let cases: [(&str, Change<DecisionClaims>); 5] = [
        ("verdict", |it| it.verdict = Verdict::No),
        ("contract", |it| it.contract.hash = Bytes([8; 32])),
        ("token", |it| it.aud = "insurer.first-month".to_owned()),
        ("token", |it| {
            it.iss = "https://elsewhere.example".to_owned()
        }),
        ("token", |it| it.exp = UnixTime(it.iat.0 + 1)),
    ];
    for (check, change) in cases {
        let mut claims = world.claims(7);
        change(&mut claims);
        let purchase = world.purchase(&offers[0], claims);
        assert_eq!(world.buy(&purchase).await, Err(check.to_owned()));
    }
    world.end().await;
    let revoked = World::with(&[12]).await;
    let offers = revoked.offers(1).await;
    let purchase = revoked.purchase(&offers[0], revoked.claims(7));
    assert_eq!(revoked.buy(&purchase).await, Err("status".to_owned()));
    revoked.end().await;
}

#[tokio::test]
async fn attack_two_policies_of_one_enquiry_or_one_token_are_refused() {
    let mut world = World::new().await;
    let offers = world.offers(1).await;
    world
        .buy(&world.purchase(&offers[0], world.claims(7)))
        .await
        .unwrap();
    for (offer, jti) in [
        (&offers[1], 8),
        (&offers[0], 8),
        (&world.offers(2).await[0], 7),
    ] {
        let second = world.purchase(offer, world.claims(jti));
        assert_eq!(world.buy(&second).await, Err("policy".to_owned()));
    }
    // At once, from several sides: one wins, and the others hear of it.
    let offers = world.offers(3).await;
    let purchases = [9_u8, 10, 11, 12].map(|jti| world.purchase(&offers[0], world.claims(jti)));
    let bought = futures::future::join_all(purchases.iter().map(|one| world.buy(one))).await;
    assert_eq!(
        bought.iter().filter(|one| one.is_ok()).count(),
        1,
        "{bought:?}"
    );
    // An offer does not stand for ever.
    let late = world.offers(4).await;
    world.restart(3).await;
    let purchase = world.purchase(&late[0], world.claims(13));
    assert_eq!(world.buy(&purchase).await, Err("offer".to_owned()));
    world.end().await;
}

#[tokio::test]
async fn attack_a_policy_ended_twice_by_another_or_on_a_day_of_choice_is_refused() {
    let mut world = World::new().await;
    let offers = world.offers(1).await;
    let policy = world
        .buy(&world.purchase(&offers[0], world.claims(7)))
        .await
        .unwrap();
    let start = policy.terms.offer.start;
    let day = |days: i64| start.plus(days).unwrap();
    let mut forged = world.ending(&policy, 7, day(20));
    let thief = SecretKey::from_byte_array(&[4; 32]).unwrap();
    forged.proof = world.proof(Bytes([7; 32]), Ending::id(&forged.policy, day(20)), &thief);
    assert_eq!(
        world.end_policy(&forged).await,
        Err("wallet-proof".to_owned())
    );
    // The proof is for one day.
    let mut moved = world.ending(&policy, 7, day(20));
    moved.end = day(30);
    assert_eq!(
        world.end_policy(&moved).await,
        Err("wallet-proof".to_owned())
    );
    let mut unknown = world.ending(&policy, 7, day(20));
    unknown.policy = [1; 32].into();
    assert_eq!(world.end_policy(&unknown).await, Err("policy".to_owned()));
    world.restart(60).await;
    // Before it began, after it would have ended, and further back than the plan's rules go.
    for days in [-1, 121, 26] {
        let ending = world.ending(&policy, 7, day(days));
        assert_eq!(
            world.end_policy(&ending).await,
            Err("end".to_owned()),
            "{days}"
        );
    }
    let first = world
        .end_policy(&world.ending(&policy, 7, day(40)))
        .await
        .unwrap();
    for days in [41, 39] {
        let ending = world.ending(&policy, 7, day(days));
        assert_eq!(world.end_policy(&ending).await, Err("ended".to_owned()));
    }
    let again = world.end_policy(&world.ending(&policy, 7, day(40))).await;
    assert_eq!(again, Ok(first));
    world.end().await;
}
