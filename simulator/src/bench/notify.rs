//! Texts through the notifier's outbox: from the caller's request over HTTP to the provider, every step written durably, against
//! bare inserts of as many rows into the same kind of database, one durable transaction each. On SQLite, and on Postgres too
//! where `POSTGRES_URL` names a database to make schemas in (`DATABASE_URL` would go before what the notifier is configured with).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use notifier::provider::webhook::{self, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use notifier::provider::{Cause, Delivery, Found, NoAnswer, Outgoing, Provider, SendError};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use tokio::sync::mpsc;

use super::{Figure, block_on, median};

/// Texts per round.
const TEXTS: usize = 3_000;
/// Phones they go to: a text each.
const PHONES: usize = TEXTS;
/// Requests made at once.
const AT_ONCE: usize = 32;
/// Rounds, ours and the reference in turn.
const ROUNDS: usize = 3;
const AGAINST: &str = "bare durable inserts, one row a transaction, same database settings";

/// A provider that takes everything at once, and shows what asks for a reply.
struct Sink {
    taken: AtomicUsize,
    asked: mpsc::UnboundedSender<(String, String)>,
}

impl Provider for Sink {
    fn name(&self) -> &str {
        "sink"
    }

    fn send<'a>(&'a self, text: &'a Outgoing<'a>) -> BoxFuture<'a, Result<String, SendError>> {
        if let Some((_, rest)) = text.text.split_once("Reply YES ") {
            let code = rest.split_whitespace().next().unwrap_or_default();
            // The receiver is gone once the phones are verified.
            let _ = self
                .asked
                .send((text.to.expose().to_owned(), code.to_owned()));
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        async { Ok(text.reference.to_owned()) }.boxed()
    }

    fn look_up<'a>(
        &'a self,
        _text: &'a Outgoing<'a>,
        _since: i64,
    ) -> BoxFuture<'a, Result<Found, NoAnswer>> {
        async { Ok(Found::CannotTell) }.boxed()
    }

    fn status<'a>(
        &'a self,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<Option<(Delivery, Cause)>, NoAnswer>> {
        async { Ok(None) }.boxed()
    }

    fn settle(&self) -> Duration {
        Duration::ZERO
    }
}

/// Measures.
///
/// # Errors
/// What kept it from running, in one line.
pub fn run() -> Result<Vec<Figure>, String> {
    block_on(rounds())
}

async fn rounds() -> Result<Vec<Figure>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = |name: &str| format!("sqlite:{}?mode=rwc", folder.path().join(name).display());
    let mut figures = measure(
        folder.path(),
        "SQLite",
        &file("notifier.db"),
        &file("bare.db"),
    )
    .await?;
    if let Ok(server) = std::env::var("POSTGRES_URL") {
        let (texts, bare) = (
            schema(&server, "texts").await?,
            schema(&server, "bare").await?,
        );
        figures.extend(measure(folder.path(), "Postgres", &texts, &bare).await?);
    }
    Ok(figures)
}

/// A database of its own on a Postgres server; it stays behind.
async fn schema(server: &str, name: &str) -> Result<String, String> {
    let name = format!("bench_notify_{name}_{}", webhook::system_time());
    let mut connection = sqlx::AnyConnection::connect(server)
        .await
        .map_err(|error| error.to_string())?;
    connection
        .execute(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}")))
        .await
        .map_err(|error| error.to_string())?;
    let sep = if server.contains('?') { '&' } else { '?' };
    Ok(format!("{server}{sep}options=-csearch_path%3D{name}"))
}

async fn measure(
    folder: &Path,
    kind: &str,
    texts: &str,
    rows: &str,
) -> Result<Vec<Figure>, String> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut ratios = Vec::new();
    let outbox = Outbox::start(folder, texts).await?;
    for round in 0..ROUNDS {
        let texts = outbox.texts_per_second(round).await?;
        let inserts = inserts_per_second(rows, round)
            .await
            .map_err(|error| error.to_string())?;
        ratios.push(texts / inserts);
        ours.push(texts);
        bare.push(inserts);
    }
    outbox.running.shutdown().await;
    let figure = |case: &str, metric, value, ratio| Figure {
        bench: "notify",
        case: case.to_owned(),
        metric,
        value,
        ratio,
        against: Some(AGAINST),
    };
    Ok(vec![
        figure(
            &format!("request to provider, {kind}"),
            "texts_per_s",
            median(ours),
            Some(median(ratios)),
        ),
        figure(
            &format!("bare inserts, {kind}"),
            "rows_per_s",
            median(bare),
            None,
        ),
    ])
}

struct Outbox {
    running: notifier::Running,
    client: reqwest::Client,
    sink: Arc<Sink>,
    contacts: Vec<String>,
}

impl Outbox {
    async fn start(folder: &Path, database: &str) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let secret = |name: &str, value: &str| {
            let path = folder.join(name);
            std::fs::write(&path, value)
                .map(|()| json!({ "file": path }))
                .map_err(|error| text(&error))
        };
        let key = |byte: u8| contracts::encoding::to_base64url([byte; 32]);
        let config = toml::to_string(&json!({
            "listen": "127.0.0.1:0",
            "database": database,
            "operator_key": secret("operator", &key(1))?,
            "signing_key": secret("signing", &key(2))?,
            "gateway_key": secret("gateway", "gateway")?,
            "providers": [{ "kind": "file", "name": "unused", "folder": folder.join("unused") }],
            "rules": { "texting_hours": [0, 24], "daily_cap": 1_000_000 },
            "callers": [{ "name": "bench", "token": secret("token", "token")?, "may": ["contacts", "messages"] }],
        }));
        let config = config.map_err(|error| text(&error))?;
        let config = notifier::Config::parse(&config).map_err(|error| text(&error))?;
        let (asked, mut codes) = mpsc::unbounded_channel();
        let sink = Arc::new(Sink {
            taken: AtomicUsize::new(0),
            asked,
        });
        let running = notifier::start_with(config, Some(sink.clone()))
            .await
            .map_err(|error| text(&error))?;
        let client = oracles::http::client_builder()
            .timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| text(&error))?;
        let mut outbox = Self {
            running,
            client,
            sink,
            contacts: Vec::new(),
        };
        for phone in 0..PHONES {
            let body =
                json!({ "phone": format!("+1415{:07}", 2_000_000 + phone), "language": "en" });
            let contact = outbox.post("/v1/contacts", &body).await?;
            outbox
                .contacts
                .push(contact["contact"].as_str().unwrap_or_default().to_owned());
            let (number, code) = codes.recv().await.ok_or("no verification text")?;
            outbox.reply(&number, &format!("YES {code}")).await?;
        }
        outbox.until_taken(2 * PHONES).await?;
        Ok(outbox)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let request = self
            .client
            .post(format!("{}{path}", self.running.url()))
            .bearer_auth("token")
            .json(body);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let answer = answer
            .error_for_status()
            .map_err(|error| error.to_string())?;
        answer.json().await.map_err(|error| error.to_string())
    }

    async fn reply(&self, from: &str, text: &str) -> Result<(), String> {
        let body = json!({ "message_id": format!("verify-{from}"), "from": from, "text": text })
            .to_string();
        let now = webhook::system_time();
        let request = self
            .client
            .post(format!("{}/v1/gateway/inbound", self.running.url()))
            .header(TIMESTAMP_HEADER, now)
            .header(
                SIGNATURE_HEADER,
                webhook::sign(b"gateway", now, body.as_bytes()),
            )
            .body(body);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        answer
            .error_for_status()
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    async fn until_taken(&self, count: usize) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(120);
        while self.sink.taken.load(Ordering::Relaxed) < count {
            if Instant::now() > until {
                return Err("the outbox did not empty".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// From the first request until the provider has taken the last text and its state is stored.
    async fn texts_per_second(&self, round: usize) -> Result<f64, String> {
        let before = self.sink.taken.load(Ordering::Relaxed);
        let since = Instant::now();
        let sent: Vec<Result<Value, String>> = stream::iter(0..TEXTS)
            .map(|number| async move {
                let contact = self.contacts.get(number % PHONES).ok_or("no contact")?;
                let body = json!({
                    "contact": contact, "template": "filed", "params": { "jurisdiction": "CA" },
                    "idempotency_key": format!("{round}-{number}"),
                });
                self.post("/v1/messages", &body).await
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let last = sent.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.until_taken(before + TEXTS).await?;
        for text in last.iter().rev().take(AT_ONCE) {
            self.until_sent(text["id"].as_str().unwrap_or_default())
                .await?;
        }
        Ok(TEXTS as f64 / since.elapsed().as_secs_f64())
    }

    async fn until_sent(&self, id: &str) -> Result<(), String> {
        let url = format!("{}/v1/messages/{id}", self.running.url());
        for _ in 0..10_000 {
            let answer = self
                .client
                .get(&url)
                .bearer_auth("token")
                .send()
                .await
                .map_err(|error| error.to_string())?;
            let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
            if answer["state"] == "sent" {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err("a text that was taken was not stored as sent".to_owned())
    }
}

/// The same rows as an outbox has, inserted one by one.
async fn inserts_per_second(database: &str, round: usize) -> Result<f64, sqlx::Error> {
    let mut connection = sqlx::AnyConnection::connect(database).await?;
    if database.starts_with("sqlite:") {
        for pragma in ["journal_mode = WAL", "synchronous = FULL"] {
            connection
                .execute(sqlx::AssertSqlSafe(format!("PRAGMA {pragma}")))
                .await?;
        }
    }
    connection
        .execute(
            "CREATE TABLE IF NOT EXISTS message (id TEXT PRIMARY KEY, caller TEXT, idempotency_key TEXT, request_digest TEXT, \
             contact TEXT, phone_index TEXT, template TEXT, sealed_params TEXT, state TEXT, due BIGINT, created_at BIGINT, \
             UNIQUE (caller, idempotency_key))",
        )
        .await?;
    let since = Instant::now();
    for number in 0..TEXTS {
        sqlx::query("INSERT INTO message VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)")
            .bind(format!("{round}-{number:020}"))
            .bind("bench")
            .bind(format!("{round}-{number}"))
            .bind("0123456789012345678901234567890123456789012")
            .bind("0123456789012345678901")
            .bind("0123456789012345678901234567890123456789012")
            .bind("filed")
            .bind("0123456789012345678901234567890123456789")
            .bind("queued")
            .bind(1_796_040_000_i64)
            .bind(1_796_040_000_i64)
            .execute(&mut connection)
            .await?;
    }
    Ok(TEXTS as f64 / since.elapsed().as_secs_f64())
}
