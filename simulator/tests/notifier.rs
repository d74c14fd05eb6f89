//! The notifier against those who carry texts: a carrier that fails while the notifier is killed, an SMSC, and a tap on every byte
//! that the service stores, logs and says to the profile.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use notifier::provider::twilio::{signature, webhook};
use serde_json::{Value, json};
use simulator::external::smsc::{Smsc, Split};
use simulator::external::{Secret, carrier};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const PHONE: &str = "+14155550132";

/// The named command is `simulator drill notifier`; here it runs on five hundred texts.
#[test]
fn killed_at_random_over_a_failing_carrier_nobody_misses_a_text_or_gets_one_twice() {
    let output = Command::new(env!("CARGO_BIN_EXE_simulator"))
        .args(["drill", "notifier", "--sends", "500", "--seed", "7"])
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(
        (
            &report["sends"],
            &report["twice"],
            &report["missed"],
            &report["wrong"]
        ),
        (&json!(500), &json!(0), &json!(0), &json!(0))
    );
    assert!(report["kills"].as_u64().unwrap() >= 4, "{report}");
    assert!(
        report["faults"]["lost_answers"].as_u64().unwrap() > 0,
        "{report}"
    );
}

/// A notifier in this process, and all it said to its callers.
struct World {
    folder: tempfile::TempDir,
    config: notifier::Config,
    running: notifier::Running,
    client: reqwest::Client,
    said: Mutex<Vec<u8>>,
}

impl World {
    async fn new(providers: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = |name: &str, value: &str| {
            std::fs::write(folder.path().join(name), value).unwrap();
            json!({ "file": folder.path().join(name) })
        };
        let key = |byte: u8| contracts::encoding::to_base64url([byte; 32]);
        let config = json!({
            "listen": "127.0.0.1:0",
            "database": format!("sqlite:{}", folder.path().join("notifier.db").display()),
            "operator_key": secret("operator", &key(1)),
            "signing_key": secret("signing", &key(2)),
            "providers": providers,
            "rules": { "texting_hours": [0, 24], "daily_cap": 50 },
            "retry": { "base_seconds": 1, "receipt_wait_seconds": 1 },
            "callers": [{ "name": "all", "token": secret("token", "token"), "may": ["contacts", "messages", "operate"] }],
        });
        let mut config = notifier::Config::parse(&toml::to_string(&config).unwrap()).unwrap();
        // The database is this world's own, whatever the environment says.
        config.database = format!("sqlite:{}", folder.path().join("notifier.db").display());
        Self {
            running: notifier::start(config.clone()).await.unwrap(),
            config,
            client: oracles::http::client_builder()
                .timeout(Duration::from_secs(20))
                .build()
                .unwrap(),
            said: Mutex::default(),
            folder,
        }
    }

    /// Stops, and starts `later` seconds later.
    async fn restart(&mut self, later: i64) {
        self.config.clock_offset_seconds += later;
        let again = notifier::start(self.config.clone());
        std::mem::replace(&mut self.running, again.await.unwrap())
            .shutdown()
            .await;
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.running.url()))
            .bearer_auth("token");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        self.said
            .lock()
            .unwrap()
            .extend(format!("{:?}", answer.headers()).bytes());
        let bytes = answer.bytes().await.unwrap();
        self.said.lock().unwrap().extend(&bytes);
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    async fn status(&self, path: &str) -> u16 {
        self.call(reqwest::Method::GET, path, None).await.0
    }

    async fn get(&self, path: &str) -> Value {
        self.call(reqwest::Method::GET, path, None).await.1
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(reqwest::Method::POST, path, Some(body)).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    async fn ask(&self, contact: &Value, decision: &str) -> Value {
        let question = json!({
            "contact": contact, "template": "apply", "params": { "jurisdiction": "NV" }, "decision_id": decision,
            "deadline": notifier::provider::webhook::system_time() + 400_000, "undo_seconds": 1,
            "idempotency_key": format!("ask-{decision}"),
        });
        self.post("/v1/messages", question).await
    }

    async fn tell(&self, contact: &Value, key: &str) -> Value {
        let told = json!({ "contact": contact, "template": "filed", "params": { "jurisdiction": "NV" }, "idempotency_key": key });
        self.post("/v1/messages", told).await
    }

    async fn comes_to(&self, message: &Value, state: &str) {
        let path = format!("/v1/messages/{}", message["id"].as_str().unwrap());
        eventually(async || self.get(&path).await["state"] == state).await;
    }
}

async fn eventually(holds: impl AsyncFn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < until, "it never came to hold");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn code(text: &str) -> String {
    text.split_once("Reply YES ")
        .unwrap()
        .1
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned()
}

/// Every spelling in which a number, a name or a decision might be written down.
fn spellings() -> Vec<Vec<u8>> {
    let plain = [
        "+14155550132",
        "14155550132",
        "4155550132",
        "415-555-0132",
        "(415) 555-0132",
        "5550132",
        "Quillavera",
        "my knee hurts",
        "bXkga25lZSBodXJ0",
        "15IGtuZWUgaHVyd",
        "teSBrbmVlIGh1cn",
        "NV coverage helper",
        "You may be able to",
        "Did you ask us",
    ];
    let mut spellings: Vec<Vec<u8>> = plain.iter().map(|text| text.as_bytes().to_vec()).collect();
    for text in ["+14155550132", "14155550132", "4155550132"] {
        spellings.push(hex::encode(text).into_bytes());
        // Base64 in each of its three alignments, without the ends that neighbours change.
        for lead in 0..3 {
            let shifted = [vec![b' '; lead], text.as_bytes().to_vec()].concat();
            let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(shifted);
            spellings.push(encoded.as_bytes()[4..encoded.len() - 2].to_vec());
        }
    }
    spellings
}

#[derive(Clone, Default)]
struct Log(std::sync::Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn attack_a_tap_on_every_byte_stored_logged_and_said_finds_no_number_name_or_decision() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(notifier::log_filter(tracing_subscriber::EnvFilter::new(
            "trace",
        )))
        .with_writer(move || writer.clone())
        .init();
    let carrier = carrier::start_here(carrier::Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        account_sid: ACCOUNT.to_owned(),
        auth_token: Secret::new("carrier"),
        seed: 5,
        fault_percent: 0,
        undelivered_percent: 0,
    })
    .unwrap();
    let smsc = Smsc::start("notifier", "secret").await.unwrap();
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "carrier").unwrap();
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "secret").unwrap();
    let public = url::Url::parse("https://texts.example.org").unwrap();
    let world = World::new(json!([
        { "kind": "twilio", "name": "carrier", "base_url": carrier.running.url(), "account_sid": ACCOUNT,
          "password": { "file": token.path() }, "from": "+18005550100", "webhook_tokens": [{ "file": token.path() }],
          "public_url": public.as_str(), "timeout_seconds": 1, "settle_seconds": 1 },
        { "kind": "smpp", "name": "smsc", "address": smsc.address(), "system_id": "notifier",
          "password": { "file": password.path() }, "from": "898211", "timeout_seconds": 1, "settle_seconds": 1 },
    ]))
    .await;
    let reply = async |id: &str, text: &str| {
        let url = webhook::inbound_url(&public, "carrier");
        let form: Vec<(String, String)> = [("MessageSid", id), ("From", PHONE), ("Body", text)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        let signed = signature::sign(b"carrier", &url, &form);
        let here = format!("{}/v1/carriers/carrier/inbound", world.running.url());
        let answer = world
            .client
            .post(here)
            .header(signature::HEADER, signed)
            .form(&form)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    };
    let texted = async |count: usize| {
        eventually(async || carrier.texts().len() >= count).await;
        carrier.texts().last().unwrap().body.clone()
    };

    let contact = world
        .post("/v1/contacts", json!({ "phone": PHONE, "language": "en" }))
        .await["contact"]
        .clone();
    reply("SM1", &format!("yes {}", code(&texted(1).await))).await;
    texted(2).await;
    let asked = world.ask(&contact, "d1").await;
    texted(3).await;
    // What people add to an answer stays with the carrier.
    reply("SM2", "Ana Quillavera here, my knee hurts").await;
    reply(
        "SM3",
        &format!("yes {} thanks", asked["code"].as_str().unwrap()),
    )
    .await;
    assert_eq!(world.get("/v1/replies/d1?wait=15").await["answer"], "YES");
    // The unhappy paths log more: a lost answer that is looked up, an SMSC that is bound and used, a wrong number.
    carrier.set_faults(100);
    let told = world.tell(&contact, "k1").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    carrier.set_faults(0);
    eventually(async || smsc.is_bound()).await;
    // Half a text rests here until the other half comes.
    let half = Split::Header {
        reference: 9,
        total: 2,
        number: 1,
    };
    smsc.segment_from(PHONE, 3, b"Quillavera, my knee hurts and", half)
        .await
        .unwrap();
    eventually(async || smsc.acknowledged() == 1).await;
    smsc.text_from(PHONE, "Quillavera? wrong number")
        .await
        .unwrap();
    eventually(async || smsc.acknowledged() == 2).await;
    eventually(async || {
        world
            .get(&format!("/v1/contacts/{}", contact.as_str().unwrap()))
            .await["state"]
            == "suspended"
    })
    .await;
    eventually(async || {
        world
            .get(&format!("/v1/messages/{}", told["id"].as_str().unwrap()))
            .await["state"]
            != "queued"
    })
    .await;
    for path in ["/v1/events", "/v1/dead-letters", "/metrics", "/v1/key"] {
        world.get(path).await;
    }

    let mut tapped = vec![
        ("log".to_owned(), log.0.lock().unwrap().clone()),
        ("answers".to_owned(), world.said.lock().unwrap().clone()),
    ];
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        tapped.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    for (name, least) in [("log", 10_000), ("answers", 500), ("notifier.db", 4_000)] {
        assert!(
            tapped
                .iter()
                .any(|(tap, bytes)| tap.ends_with(name) && bytes.len() > least),
            "nothing was tapped at {name}"
        );
    }
    // The stand-ins and this test's own client log here, too; what they say is not the notifier's. They say it under their names.
    let spellings = spellings();
    let finder = AhoCorasick::new(&spellings).unwrap();
    for (tap, bytes) in &tapped {
        if let Some(found) = finder.find_iter(bytes).next() {
            let around =
                &bytes[found.start().saturating_sub(300)..(found.end() + 100).min(bytes.len())];
            panic!("{tap}: {}", String::from_utf8_lossy(around));
        }
    }
    // The tap would have found it: the carrier's list holds all of it.
    let carried: String = carrier
        .texts()
        .iter()
        .map(|text| format!("{} {}", text.to, text.body))
        .collect();
    assert!(finder.find_iter(&carried).count() > 3);
    world.running.shutdown().await;
    smsc.stop();
}

#[tokio::test]
async fn smpp_texts_receipts_throttling_and_lost_responses() {
    let smsc = Smsc::start("notifier", "secret").await.unwrap();
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "secret").unwrap();
    let world = World::new(json!([{
        "kind": "smpp", "name": "smsc", "address": smsc.address(), "system_id": "notifier",
        "password": { "file": password.path() }, "from": "898211", "timeout_seconds": 1, "settle_seconds": 3,
    }]))
    .await;
    eventually(async || smsc.is_bound()).await;
    let words = |at: usize| String::from_utf8(smsc.texts()[at].octets.clone()).unwrap();
    let contact = world
        .post("/v1/contacts", json!({ "phone": PHONE, "language": "en" }))
        .await["contact"]
        .clone();
    eventually(async || smsc.texts().len() == 1).await;
    smsc.text_from(PHONE, &format!("yes {}", code(&words(0))))
        .await
        .unwrap();
    eventually(async || smsc.texts().len() == 2).await;

    smsc.throttle(1);
    let first = world.tell(&contact, "k1").await;
    eventually(async || smsc.texts().len() == 3).await;
    world.comes_to(&first, "sent").await;
    smsc.receipt(&smsc.texts()[2], "DELIVRD", "000")
        .await
        .unwrap();
    world.comes_to(&first, "delivered").await;
    // A receipt that comes again, or late, changes nothing.
    smsc.receipt(&smsc.texts()[2], "UNDELIV", "001")
        .await
        .unwrap();

    // Taken without a response: the receipt tells.
    smsc.lose_responses(1);
    let second = world.tell(&contact, "k2").await;
    eventually(async || smsc.texts().len() == 4).await;
    smsc.receipt(&smsc.texts()[3], "DELIVRD", "000")
        .await
        .unwrap();
    world.comes_to(&second, "delivered").await;
    world.comes_to(&first, "delivered").await;

    // Taken without a response or a receipt: nobody can say, and it is not sent again.
    smsc.lose_responses(1);
    let third = world.tell(&contact, "k3").await;
    world.comes_to(&third, "dead").await;
    let letters = world.get("/v1/dead-letters").await;
    assert_eq!(
        (
            &letters["dead_letters"][0]["id"],
            &letters["dead_letters"][0]["reason"]
        ),
        (&third["id"], &json!("unknown"))
    );
    assert_eq!(smsc.texts().len(), 5);

    // The network says that the number is somebody else's: its contact is suspended and the caller told.
    let fourth = world.tell(&contact, "k4").await;
    eventually(async || smsc.texts().len() == 6).await;
    world.comes_to(&fourth, "sent").await;
    smsc.receipt(&smsc.texts()[5], "UNDELIV", "001")
        .await
        .unwrap();
    world.comes_to(&fourth, "failed").await;
    assert_eq!(
        world
            .get(&format!("/v1/contacts/{}", contact.as_str().unwrap()))
            .await["state"],
        "suspended"
    );
    let events = world.get("/v1/events").await;
    assert!(
        events["events"]
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["kind"] == "contact" && event["detail"] == "suspended")
    );
    world.running.shutdown().await;
    smsc.stop();
}

#[tokio::test]
async fn a_text_in_segments_is_read_as_one_and_half_of_one_is_no_answer() {
    let smsc = Smsc::start("notifier", "secret").await.unwrap();
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "secret").unwrap();
    let mut world = World::new(json!([{
        "kind": "smpp", "name": "smsc", "address": smsc.address(), "system_id": "notifier",
        "password": { "file": password.path() }, "from": "898211", "timeout_seconds": 2, "settle_seconds": 3,
    }]))
    .await;
    eventually(async || smsc.is_bound()).await;
    let contact = world
        .post("/v1/contacts", json!({ "phone": PHONE, "language": "en" }))
        .await["contact"]
        .clone();
    let said = |words: &str| {
        let texts = smsc.texts();
        let said = texts
            .iter()
            .filter(|text| String::from_utf8_lossy(&text.octets).contains(words));
        said.count()
    };
    let heard = async |coding: u8, words: &[u8], split: Split| {
        let before = smsc.acknowledged();
        smsc.segment_from(PHONE, coding, words, split)
            .await
            .unwrap();
        eventually(async || smsc.acknowledged() > before).await;
    };
    let header = |reference: u8, total: u8, number: u8| Split::Header {
        reference,
        total,
        number,
    };
    eventually(async || smsc.texts().len() == 1).await;
    let asked = code(&String::from_utf8(smsc.texts()[0].octets.clone()).unwrap());
    heard(3, format!("SE {asked}").as_bytes(), header(1, 2, 2)).await;
    heard(3, b"yes PLEA", header(1, 2, 1)).await;
    eventually(async || said("You are all set") + smsc.texts().len() >= 2).await;

    // A NO that is still on its way: the first half alone decides nothing, and the whole is no YES.
    let one = world.ask(&contact, "d1").await["code"]
        .as_str()
        .unwrap()
        .to_owned();
    heard(3, format!("yes {one}").as_bytes(), header(2, 2, 1)).await;
    heard(3, format!("yes {one}").as_bytes(), header(2, 2, 1)).await;
    assert_eq!(world.status("/v1/replies/d1").await, 204);
    heard(3, b" no do not", header(2, 2, 2)).await;
    eventually(async || said("We did not get that") == 1).await;
    assert_eq!(world.status("/v1/replies/d1?wait=2").await, 204);

    // Killed between the halves; the SMSC says the last one again. A character is split, too, and the place is in parameters.
    let sar = |number| Split::Parameters {
        reference: 700,
        total: 2,
        number,
    };
    heard(8, &[0xd8, 0x3d], sar(1)).await;
    world.restart(0).await;
    eventually(async || smsc.is_bound()).await;
    let mut rest = vec![0xdc, 0x4d];
    rest.extend(format!(" {one}").encode_utf16().flat_map(u16::to_be_bytes));
    heard(8, &rest, sar(2)).await;
    heard(8, &rest, sar(2)).await;
    let reply = world.get("/v1/replies/d1?wait=15").await;
    assert_eq!(reply["answer"], "YES", "{reply}");

    // The rest never comes: after five minutes what is there is unclear, whatever it says.
    let two = world.ask(&contact, "d2").await["code"]
        .as_str()
        .unwrap()
        .to_owned();
    eventually(async || said(&format!("YES {two}")) == 1).await;
    heard(3, format!("yes {two} ").as_bytes(), header(3, 2, 1)).await;
    assert_eq!(
        said("We did not get that"),
        1,
        "what was said again was known"
    );
    world.restart(400).await;
    eventually(async || said("We did not get that") == 2).await;
    assert_eq!(world.status("/v1/replies/d2").await, 204);

    // More than anybody sends is not kept.
    for reference in 10..60 {
        heard(3, b"wibble", header(reference, 3, 1)).await;
    }
    let pool = sqlx::AnyPool::connect(&world.config.database)
        .await
        .unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM part WHERE sealed <> ''")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(kept, 30);
    world.running.shutdown().await;
    smsc.stop();
}

#[tokio::test]
async fn a_text_goes_to_the_next_provider_only_when_the_first_certainly_did_not_take_it() {
    // Nobody listens at the first carrier's address.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let second = carrier::start_here(carrier::Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        account_sid: ACCOUNT.to_owned(),
        auth_token: Secret::new("carrier"),
        seed: 1,
        fault_percent: 0,
        undelivered_percent: 0,
    })
    .unwrap();
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "carrier").unwrap();
    let provider = |name: &str, url: String| {
        json!({
            "kind": "twilio", "name": name, "base_url": url, "account_sid": ACCOUNT, "password": { "file": token.path() },
            "from": "+18005550100", "webhook_tokens": [{ "file": token.path() }], "public_url": "https://texts.example.org",
            "timeout_seconds": 1, "settle_seconds": 1,
        })
    };
    let world = World::new(json!([
        provider("first", format!("http://{nobody}")),
        provider("second", second.running.url())
    ]))
    .await;
    world
        .post("/v1/contacts", json!({ "phone": PHONE, "language": "en" }))
        .await;
    eventually(async || second.texts().len() == 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(second.texts().len(), 1);
    let metrics = world
        .client
        .get(format!("{}/metrics", world.running.url()))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        metrics.contains("notifier_handed_total{provider=\"first\",result=\"not_taken\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("notifier_handed_total{provider=\"second\",result=\"taken\"} 1"),
        "{metrics}"
    );
    world.running.shutdown().await;
}
