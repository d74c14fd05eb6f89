//! A notifier in a process of its own, a phone network that is a folder, and callers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, SigningKey};
use notifier::provider::webhook;
use serde_json::{Value, json};

pub const ANA: &str = "+14155550132";
pub const BRUNO: &str = "+12135550147";
pub const NAVIGATOR: &str = "navigator-token";
pub const PROFILE: &str = "profile-token";
pub const OTHER: &str = "other-profile-token";
pub const OPERATOR: &str = "operator-token";
pub const GATEWAY_KEY: &str = "gateway-key";

const CONFIG: &str = r#"
listen = "127.0.0.1:0"
database = "DATABASE"
operator_key = { file = "DIR/operator" }
signing_key = { file = "DIR/signing" }
gateway_key = { file = "DIR/gateway" }
providers = [{ kind = "file", name = "file", folder = "DIR/outbox" }]
rules = { texting_hours = [0, 24], daily_cap = 50, enrolments_per_day = 50 }
retry = { base_seconds = 1, receipt_wait_seconds = 1 }
callers = [
  { name = "navigator", token = { file = "DIR/navigator" }, may = ["contacts"] },
  { name = "profile", token = { file = "DIR/profile" }, may = ["messages"] },
  { name = "other", token = { file = "DIR/other" }, may = ["messages"] },
  { name = "operator", token = { file = "DIR/operator-token" }, may = ["operate"] },
]
"#;

pub struct World {
    folder: tempfile::TempDir,
    database: String,
    process: Child,
    url: String,
    client: reqwest::Client,
    /// Texts of enrolments, which tests do not count.
    seen: std::sync::Mutex<std::collections::HashSet<std::path::PathBuf>>,
}

/// A text that asked for a decision.
pub struct Asked {
    pub id: String,
    pub code: String,
}

/// Waits until something holds; on Postgres a text that a dead process was sending is left to it for 30 seconds.
pub async fn eventually<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let until = Instant::now() + Duration::from_secs(90);
    while !holds().await {
        assert!(Instant::now() < until, "it never came to hold");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn spawn(folder: &Path) -> (Child, String) {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_notifier"))
        .arg(folder.join("notifier.toml"))
        .env("RUST_LOG", "trace")
        .env_remove("DATABASE_URL")
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    (process, url.trim().to_owned())
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A fresh SQLite file, or a fresh schema of the Postgres server that `DATABASE_URL` names.
async fn database(folder: &Path) -> String {
    sqlx::any::install_default_drivers();
    let Ok(server) = std::env::var("DATABASE_URL") else {
        return format!("sqlite:{}", folder.join("notifier.db").display());
    };
    let schema = format!("test_{:x}", rand::random::<u64>());
    let pool = sqlx::AnyPool::connect(&server).await.unwrap();
    let statement = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
    sqlx::query(statement).execute(&pool).await.unwrap();
    let joint = if server.contains('?') { '&' } else { '?' };
    format!("{server}{joint}options=-csearch_path%3D{schema}")
}

impl World {
    pub async fn new() -> Self {
        Self::with(|config| config).await
    }

    /// A world whose configuration is changed before the first start.
    pub async fn with(change: impl Fn(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let keys = [("operator", [7_u8; 32]), ("signing", [8; 32])];
        for (name, key) in keys {
            std::fs::write(at(name), URL_SAFE_NO_PAD.encode(key)).unwrap();
        }
        let secrets = [
            ("gateway", GATEWAY_KEY),
            ("navigator", NAVIGATOR),
            ("profile", PROFILE),
            ("other", OTHER),
            ("operator-token", OPERATOR),
        ];
        for (name, secret) in secrets {
            std::fs::write(at(name), secret).unwrap();
        }
        let database = database(folder.path()).await;
        let config = CONFIG
            .replace("DATABASE", &database)
            .replace("DIR", folder.path().to_str().unwrap());
        let config = change(config);
        std::fs::write(at("notifier.toml"), config).unwrap();
        // An error says that the process has one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let (process, url) = spawn(folder.path());
        Self {
            folder,
            database,
            process,
            url,
            client,
            seen: Default::default(),
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub async fn restart(&mut self) {
        (self.process, self.url) = spawn(self.folder.path());
    }

    /// Changes the database of a notifier that is not running.
    pub async fn sql(&self, statement: &'static str) {
        let pool = sqlx::AnyPool::connect(&self.database).await.unwrap();
        sqlx::query(statement).execute(&pool).await.unwrap();
        pool.close().await;
    }

    pub fn is_postgres(&self) -> bool {
        !self.database.starts_with("sqlite:")
    }

    pub async fn end(mut self) {
        self.kill();
    }

    pub async fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.url);
        let answer = self
            .client
            .post(url)
            .bearer_auth(token)
            .json(body)
            .send()
            .await
            .unwrap();
        (
            answer.status().as_u16(),
            answer.json().await.unwrap_or(Value::Null),
        )
    }

    pub async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.url);
        let answer = self
            .client
            .get(url)
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        (
            answer.status().as_u16(),
            answer.json().await.unwrap_or(Value::Null),
        )
    }

    /// Registers a phone, whose owner has yet to say YES.
    pub async fn enrol(&self, phone: &str, language: &str) -> Value {
        let body = json!({ "phone": phone, "language": language });
        let (status, body) = self.post("/v1/contacts", NAVIGATOR, &body).await;
        assert_eq!(status, 201, "{body}");
        body
    }

    /// The code word of a phone's newest text that asks for one.
    pub async fn code_texted(&self, phone: &str, asks: &str) -> String {
        let asking = |texts: Vec<String>| texts.into_iter().rev().find(|text| text.contains(asks));
        eventually(|| async { asking(self.texts(phone)).is_some() }).await;
        let text = asking(self.texts(phone)).unwrap();
        let after = text
            .split_once("Reply YES ")
            .or_else(|| text.split_once("Responda SI "));
        after
            .unwrap()
            .1
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned()
    }

    /// Registers a phone, whose owner says YES, and clears the phone's texts away.
    pub async fn contact(&self, phone: &str, language: &str) -> String {
        let before = self.texts(phone).len();
        let contact = self.enrol(phone, language).await["contact"]
            .as_str()
            .unwrap()
            .to_owned();
        self.texts_to(phone, before + 1).await;
        let code = self
            .code_texted(
                phone,
                if language == "en" {
                    "Did you ask"
                } else {
                    "Nos dio"
                },
            )
            .await;
        self.text(phone, &format!("verify-{contact}"), &format!("YES {code}"))
            .await;
        self.texts_to(phone, before + 2).await;
        let path = format!("/v1/contacts/{contact}");
        assert_eq!(self.get(&path, NAVIGATOR).await.1["state"], "verified");
        self.seen.lock().unwrap().extend(self.files(phone));
        contact
    }

    pub fn question(&self, contact: &str, decision_id: &str, undo_seconds: i64) -> Value {
        json!({
            "contact": contact, "template": "apply", "params": { "jurisdiction": "CA" }, "decision_id": decision_id,
            // Midnight five days ahead: the same through a test, so that a resend is the same request.
            "deadline": (webhook::system_time() / 86_400 + 5) * 86_400, "undo_seconds": undo_seconds,
            "idempotency_key": format!("ask-{decision_id}"),
        })
    }

    pub async fn ask(&self, contact: &str, decision_id: &str, undo_seconds: i64) -> Asked {
        let question = self.question(contact, decision_id, undo_seconds);
        let (status, body) = self.post("/v1/messages", PROFILE, &question).await;
        assert_eq!(status, 202, "{body}");
        let text = |field: &str| body[field].as_str().unwrap().to_owned();
        // A question that is answered before it has left does not leave.
        let path = format!("/v1/messages/{}", text("id"));
        eventually(|| async { self.get(&path, PROFILE).await.1["state"] != "queued" }).await;
        Asked {
            id: text("id"),
            code: text("code"),
        }
    }

    /// An answer that is no JSON.
    pub async fn text_of(&self, path: &str) -> String {
        self.client
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    /// From now on no file can be written to the provider's folder (permissions would not keep root out).
    pub fn break_provider(&self) {
        let outbox = self.folder.path().join("outbox");
        std::fs::rename(&outbox, self.folder.path().join("away")).unwrap();
    }

    pub fn mend_provider(&self) {
        let outbox = self.folder.path().join("outbox");
        std::fs::rename(self.folder.path().join("away"), outbox).unwrap();
    }

    pub async fn reply(&self, decision_id: &str, wait: u64) -> (u16, Value) {
        self.get(&format!("/v1/replies/{decision_id}?wait={wait}"), PROFILE)
            .await
    }

    /// Sends a webhook signed `age` seconds ago.
    pub async fn webhook(&self, path: &str, key: &str, age: i64, body: &Value) -> u16 {
        let body = body.to_string();
        let timestamp = webhook::system_time() - age;
        let answer = self
            .client
            .post(format!("{}/v1/gateway/{path}", self.url))
            .header(webhook::TIMESTAMP_HEADER, timestamp)
            .header(
                webhook::SIGNATURE_HEADER,
                webhook::sign(key.as_bytes(), timestamp, body.as_bytes()),
            )
            .body(body)
            .send()
            .await
            .unwrap();
        answer.status().as_u16()
    }

    /// A text from a phone, by way of the gateway.
    pub async fn text(&self, from: &str, message_id: &str, text: &str) {
        let body = json!({ "message_id": message_id, "from": from, "text": text });
        assert_eq!(self.webhook("inbound", GATEWAY_KEY, 0, &body).await, 200);
    }

    /// The files of a phone's texts, oldest first.
    fn files(&self, phone: &str) -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(self.folder.path().join("outbox")).unwrap();
        let mut files: Vec<_> = files
            .map(|file| file.unwrap().path())
            .filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'))
            .filter(|path| read(path)["to"] == phone)
            .collect();
        files.sort_by_key(|path| path.metadata().unwrap().modified().unwrap());
        files
    }

    fn texts(&self, phone: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap().clone();
        let files = self
            .files(phone)
            .into_iter()
            .filter(|path| !seen.contains(path));
        files
            .map(|path| read(&path)["text"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The texts a phone got, once there are at least so many.
    pub async fn texts_to(&self, phone: &str, at_least: usize) -> Vec<String> {
        eventually(|| async { self.texts(phone).len() >= at_least }).await;
        self.texts(phone)
    }

    pub fn assert_signed(&self, reply: &Value, decision_id: &str) {
        let key = SigningKey::from_bytes(&[8; 32]).verifying_key();
        let message = format!(
            "shp/v1/reply\n{decision_id}\n{}\n{}",
            reply["answer"].as_str().unwrap(),
            reply["replied_at"]
        );
        let signature = URL_SAFE_NO_PAD
            .decode(reply["signature"].as_str().unwrap())
            .unwrap();
        key.verify_strict(
            message.as_bytes(),
            &Signature::from_slice(&signature).unwrap(),
        )
        .unwrap();
    }

    /// Database and log, by name.
    pub fn files_at_rest(&self) -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let files: Vec<_> = files
            .map(|file| file.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
            .collect();
        assert!(
            files
                .iter()
                .any(|(name, bytes)| (name.ends_with("notifier.db")
                    || !self.database.starts_with("sqlite"))
                    && !bytes.is_empty())
        );
        assert!(
            files
                .iter()
                .any(|(name, bytes)| name.ends_with("log") && !bytes.is_empty())
        );
        files
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A test that failed must not leave a process behind; one that ended already is no error.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
