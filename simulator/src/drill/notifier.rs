//! `drill notifier`: many texts through a carrier that loses, delays, duplicates and reorders calls and callbacks, while the
//! notifier is killed again and again. At the end what the carrier took and what the notifier says are held against each other.

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use notifier::provider::twilio::{signature, webhook};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::demo::process::RoleProcess;
use crate::external::{Secret, carrier};

/// Texts that each phone gets.
const TEXTS_PER_PHONE: usize = 5;
/// Texts in a hundred that the carrier takes and cannot deliver.
const UNDELIVERED_PERCENT: u8 = 10;
/// Requests made at once.
const AT_ONCE: usize = 16;
/// Kills after the last text was accepted: four, and one for so many texts.
const TEXTS_PER_KILL: usize = 500;
/// How long the notifier lives between kills, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 800..2_500;
/// How long the texts may take to come to an end once the killing has stopped, beside a share per text.
const PATIENCE: Duration = Duration::from_secs(120);
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "drill-token";
const CARRIER_TOKEN: &str = "drill-carrier-token";

/// What a drill is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Texts to send.
    #[arg(long, default_value_t = 10_000)]
    pub sends: usize,
    /// Where chance begins.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Calls and callbacks in a hundred that go wrong.
    #[arg(long, default_value_t = 20)]
    pub fault_percent: u8,
    /// The folder for configuration, database and log; a temporary one otherwise.
    #[arg(long)]
    pub data: Option<PathBuf>,
}

/// What a drill found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Texts asked for.
    pub sends: usize,
    /// Texts that the carrier took for them.
    pub taken: usize,
    /// Texts of ours that it took twice.
    pub twice: usize,
    /// Texts that it never took, and that are no dead letters.
    pub missed: usize,
    /// Dead letters.
    pub dead: usize,
    /// Texts of which the notifier says something else than the carrier.
    pub wrong: usize,
    /// Times the notifier was killed.
    pub kills: usize,
    /// Calls and callbacks that went wrong.
    pub faults: BTreeMap<&'static str, u64>,
    /// Texts by final state.
    pub states: BTreeMap<String, usize>,
    /// How long it took, in seconds.
    pub seconds: u64,
}

impl Report {
    /// Whether nobody missed a text, nobody got one twice, and every final state is right.
    pub fn holds(&self) -> bool {
        self.twice == 0
            && self.missed == 0
            && self.wrong == 0
            && self.taken + self.dead >= self.sends
    }
}

struct Drill {
    folder: PathBuf,
    listen: SocketAddr,
    client: reqwest::Client,
    carrier: carrier::Handle,
}

type Failed = String;

#[derive(Deserialize)]
struct Accepted {
    id: String,
    state: String,
}

/// Runs a drill.
///
/// # Errors
/// A process that does not start, or texts that do not come to an end, in one line.
pub async fn run(options: &Options) -> Result<Report, Failed> {
    let temporary = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = options
        .data
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let started = Instant::now();
    let carrier = carrier::start_here(carrier::Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        account_sid: ACCOUNT.to_owned(),
        auth_token: Secret::new(CARRIER_TOKEN),
        seed: options.seed,
        fault_percent: 0,
        undelivered_percent: 0,
    })
    .map_err(|error| error.to_string())?;
    let drill = Drill {
        listen: free_port()?,
        client: oracles::http::client_builder()
            .timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| error.to_string())?,
        carrier,
        folder,
    };
    drill.configure()?;
    let mut process = drill.start().await?;
    let contacts = drill.enrol(options.sends.div_ceil(TEXTS_PER_PHONE)).await?;
    let enrolled = drill.carrier.texts().len();
    drill.carrier.set_faults(options.fault_percent);
    drill.carrier.set_undelivered(UNDELIVERED_PERCENT);

    let mut kills = 0;
    let sending = drill.send_all(&contacts, options);
    tokio::pin!(sending);
    let mut random = StdRng::seed_from_u64(options.seed);
    let mut killing = None;
    let ids = loop {
        let life = Duration::from_millis(random.gen_range(LIFE_MS));
        tokio::select! {
            ids = &mut sending, if killing.is_none() => {
                killing = Some((ids?, kills + 4 + options.sends / TEXTS_PER_KILL));
            }
            () = tokio::time::sleep(life) => {
                process.kill().await;
                kills += 1;
                process = drill.start().await?;
            }
        }
        // Some more kills after the last text was accepted, while the outbox works.
        if let Some((ids, until)) = &killing
            && kills >= *until
        {
            break ids.clone();
        }
    };
    let states = drill.final_states(&ids).await?;
    let mut report = drill.compare(&states, enrolled);
    report.kills = kills;
    report.seconds = started.elapsed().as_secs();
    process.kill().await;
    Ok(report)
}

fn free_port() -> Result<SocketAddr, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}

impl Drill {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    fn configure(&self) -> Result<(), Failed> {
        let secret = |name: &str, value: &str| {
            let path = self.folder.join(name);
            std::fs::write(&path, value).map_err(|error| error.to_string())?;
            Ok::<Value, Failed>(json!({ "file": path }))
        };
        let key = |byte: u8| contracts::encoding::to_base64url([byte; 32]);
        let config = json!({
            "listen": self.listen.to_string(),
            "database": format!("sqlite:{}", self.folder.join("notifier.db").display()),
            "operator_key": secret("operator", &key(1))?,
            "signing_key": secret("signing", &key(2))?,
            "providers": [{
                "kind": "twilio", "name": "carrier", "base_url": self.carrier.running.url(), "account_sid": ACCOUNT,
                "password": secret("carrier", CARRIER_TOKEN)?, "from": "+18005550100",
                "webhook_tokens": [{ "file": self.folder.join("carrier") }], "public_url": self.url(""),
                "timeout_seconds": 1, "settle_seconds": 3,
            }],
            "rules": { "texting_hours": [0, 24], "daily_cap": 1000, "answer_cap": 1000 },
            "retry": { "base_seconds": 1, "receipt_wait_seconds": 2, "max_attempts": 30 },
            "callers": [{
                "name": "drill", "token": secret("token", TOKEN)?, "may": ["contacts", "messages", "operate"],
            }],
        });
        let config = toml::to_string(&config).map_err(|error| error.to_string())?;
        std::fs::write(self.folder.join("notifier.toml"), config).map_err(|error| error.to_string())
    }

    async fn start(&self) -> Result<RoleProcess, Failed> {
        let at = |name: &str| self.folder.join(name);
        RoleProcess::start(
            "notifier",
            "notifier",
            &at("notifier.toml"),
            at("ready"),
            &at("log"),
        )
        .await
    }

    /// Registers phones, whose owners say YES.
    async fn enrol(&self, phones: usize) -> Result<Vec<String>, Failed> {
        let mut contacts = HashMap::new();
        for phone in 0..phones {
            let number = format!("+1415{:07}", 2_000_000 + phone);
            let body =
                json!({ "phone": number, "language": if phone % 2 == 0 { "en" } else { "es" } });
            let answer = self
                .post("/v1/contacts", &body)
                .await?
                .ok_or("a phone was not registered")?;
            contacts.insert(
                number,
                answer["contact"].as_str().unwrap_or_default().to_owned(),
            );
        }
        let asked = self.until(|texts| texts.len() >= phones).await?;
        for text in &asked {
            let code = text
                .body
                .split_once("YES ")
                .or_else(|| text.body.split_once("SI "));
            let code = code
                .and_then(|(_, rest)| rest.split_whitespace().next())
                .unwrap_or_default();
            let reply = format!("Yes {code}");
            self.reply(
                &text.to,
                &format!("SMverify{}", text.to.trim_start_matches('+')),
                &reply,
            )
            .await?;
        }
        self.until(|texts| texts.len() >= 2 * phones).await?;
        let mut handles: Vec<String> = contacts.into_values().collect();
        handles.sort();
        Ok(handles)
    }

    async fn until(
        &self,
        holds: impl Fn(&[carrier::Text]) -> bool,
    ) -> Result<Vec<carrier::Text>, Failed> {
        let until = Instant::now() + PATIENCE;
        loop {
            let texts = self.carrier.texts();
            if holds(&texts) {
                return Ok(texts);
            }
            if Instant::now() > until {
                return Err(format!("only {} texts reached the carrier", texts.len()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A reply, as the carrier would post it.
    async fn reply(&self, from: &str, sid: &str, body: &str) -> Result<(), Failed> {
        let public = url::Url::parse(&self.url("")).map_err(|error| error.to_string())?;
        let url = webhook::inbound_url(&public, "carrier");
        let form: Vec<(String, String)> = [
            ("MessageSid", sid),
            ("From", from),
            ("To", "+18005550100"),
            ("Body", body),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let signature = signature::sign(CARRIER_TOKEN.as_bytes(), &url, &form);
        let request = self
            .client
            .post(&url)
            .header(signature::HEADER, signature)
            .form(&form);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("a reply was refused: {}", answer.status())),
            Err(error) => Err(error.without_url().to_string()),
        }
    }

    /// Posts until it is answered; nothing for a refusal.
    async fn post(&self, path: &str, body: &Value) -> Result<Option<Value>, Failed> {
        let until = Instant::now() + PATIENCE;
        loop {
            let request = self
                .client
                .post(self.url(path))
                .bearer_auth(TOKEN)
                .json(body);
            match request.send().await {
                Ok(answer) if answer.status().is_success() => match answer.json().await {
                    Ok(answer) => return Ok(Some(answer)),
                    Err(_) if Instant::now() < until => {}
                    Err(error) => return Err(error.without_url().to_string()),
                },
                Ok(answer) if answer.status().is_client_error() => return Ok(None),
                // Killed just now.
                _ if Instant::now() < until => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => return Err(format!("{path} was never answered")),
            }
        }
    }

    /// Asks for every text; a fifth of the requests are made twice.
    async fn send_all(
        &self,
        contacts: &[String],
        options: &Options,
    ) -> Result<Vec<String>, Failed> {
        let mut random = StdRng::seed_from_u64(options.seed ^ 0x5eed);
        let twice: Vec<bool> = (0..options.sends).map(|_| random.gen_ratio(1, 5)).collect();
        stream::iter(twice.into_iter().enumerate())
            .map(|(number, twice)| async move {
                let contact = contacts.get(number % contacts.len()).ok_or("no contact")?;
                let body = json!({
                    "contact": contact, "template": "filed", "params": { "jurisdiction": "CA" },
                    "idempotency_key": format!("send-{number}"),
                });
                let first = self
                    .post("/v1/messages", &body)
                    .await?
                    .ok_or("a text was refused")?;
                if twice {
                    let second = self
                        .post("/v1/messages", &body)
                        .await?
                        .ok_or("a repeated request was refused")?;
                    if second["id"] != first["id"] {
                        return Err(format!("one idempotency key, two texts: {number}"));
                    }
                }
                let accepted: Accepted =
                    serde_json::from_value(first).map_err(|error| error.to_string())?;
                Ok(accepted.id)
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<Result<String, Failed>>>()
            .await
            .into_iter()
            .collect()
    }

    /// Waits until every text has come to an end, and says which.
    async fn final_states(&self, ids: &[String]) -> Result<HashMap<String, String>, Failed> {
        let patience =
            PATIENCE + Duration::from_millis(60) * u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let until = Instant::now() + patience;
        let mut states: HashMap<String, String> = HashMap::new();
        loop {
            let open: Vec<&String> = ids.iter().filter(|id| !states.contains_key(*id)).collect();
            if open.is_empty() {
                return Ok(states);
            }
            if Instant::now() > until {
                return Err(format!("{} texts did not come to an end", open.len()));
            }
            let seen: Vec<(String, Option<String>)> = stream::iter(open)
                .map(|id| async move { (id.clone(), self.state(id).await) })
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            for (id, state) in seen {
                if let Some(state) =
                    state.filter(|state| !matches!(state.as_str(), "queued" | "sent"))
                {
                    states.insert(id, state);
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn state(&self, id: &str) -> Option<String> {
        let request = self
            .client
            .get(self.url(&format!("/v1/messages/{id}")))
            .bearer_auth(TOKEN);
        let accepted: Accepted = request.send().await.ok()?.json().await.ok()?;
        Some(accepted.state)
    }

    /// Holds what the notifier says against what the carrier took. A text names ours in the address of its callbacks.
    fn compare(&self, states: &HashMap<String, String>, enrolled: usize) -> Report {
        let mut taken: HashMap<String, Vec<&'static str>> = HashMap::new();
        let texts = self.carrier.texts();
        for text in texts.iter().skip(enrolled) {
            let reference = text
                .callback
                .as_deref()
                .and_then(|url| url.split_once("?ref="))
                .map(|(_, reference)| reference);
            taken
                .entry(reference.unwrap_or_default().to_owned())
                .or_default()
                .push(text.status);
        }
        let mut report = Report {
            sends: states.len(),
            taken: taken.len(),
            twice: taken.values().filter(|statuses| statuses.len() > 1).count(),
            faults: self.carrier.faults().into_iter().collect(),
            ..Report::default()
        };
        for (id, state) in states {
            *report.states.entry(state.clone()).or_default() += 1;
            let carrier = taken.get(id).and_then(|statuses| statuses.first()).copied();
            match (carrier, state.as_str()) {
                (_, "dead") => report.dead += 1,
                (None, _) => report.missed += 1,
                (Some("delivered"), "delivered") | (Some("undelivered"), "failed") => {}
                (Some(_), _) => report.wrong += 1,
            }
        }
        report
    }
}
