//! The configured providers: which one takes a text, and what they say of their own accord.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Carrier, Service, StartError};
use crate::config::ProviderConfig;
use crate::provider::smpp::{self, Heard, Smpp};
use crate::provider::twilio::{self, Twilio};
use crate::provider::{Console, FileProvider, Incoming, Provider, typed};

/// Texts in a row that a provider does not take before it is passed over.
const FAILURES: u32 = 3;
/// How long it is passed over.
const REST: Duration = Duration::from_secs(30);

/// What a configuration opens.
pub(super) struct Opened {
    pub(super) providers: Providers,
    pub(super) carriers: Vec<Carrier>,
    pub(super) console: Option<Console>,
    pub(super) heard: mpsc::Receiver<Heard>,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

impl Opened {
    /// Providers that say nothing of their own accord.
    pub(super) fn of(providers: Vec<Arc<dyn Provider>>) -> Self {
        let (_, heard) = mpsc::channel(1);
        Self {
            providers: Providers::new(providers),
            carriers: Vec::new(),
            console: None,
            heard,
            tasks: Vec::new(),
        }
    }
}

/// Opens every provider.
pub(super) fn open(configured: &[ProviderConfig]) -> Result<Opened, StartError> {
    let (say, heard) = mpsc::channel(256);
    let mut opened = Opened {
        heard,
        ..Opened::of(Vec::new())
    };
    let mut all: Vec<Arc<dyn Provider>> = Vec::new();
    for provider in configured {
        match provider {
            ProviderConfig::File { name, folder } => {
                all.push(Arc::new(
                    FileProvider::new(name, folder).map_err(making(folder))?,
                ));
            }
            ProviderConfig::Console { name, folder } => {
                let console = Console::new(name, folder).map_err(making(folder))?;
                opened.console = Some(console.clone());
                all.push(Arc::new(console));
            }
            ProviderConfig::Twilio {
                name,
                base_url,
                account_sid,
                api_key,
                password,
                from,
                webhook_tokens,
                public_url,
                timeout_seconds,
                settle_seconds,
            } => {
                let tokens = webhook_tokens
                    .iter()
                    .map(|token| token.read("providers.webhook_tokens"));
                opened.carriers.push(Carrier {
                    name: name.clone(),
                    public_url: public_url.clone(),
                    tokens: tokens.collect::<Result<_, _>>()?,
                });
                all.push(Arc::new(Twilio::new(twilio::Account {
                    name: name.clone(),
                    base: base_url.clone(),
                    account_sid: account_sid.clone(),
                    user: api_key.clone().unwrap_or_else(|| account_sid.clone()),
                    password: password.read("providers.password")?,
                    from: from.clone(),
                    public_url: public_url.clone(),
                    time_out: Duration::from_secs(*timeout_seconds),
                    settle: Duration::from_secs(*settle_seconds),
                })?));
            }
            ProviderConfig::Smpp {
                name,
                address,
                system_id,
                password,
                from,
                timeout_seconds,
                settle_seconds,
            } => {
                let account = smpp::Account {
                    name: name.clone(),
                    address: address.clone(),
                    system_id: system_id.clone(),
                    password: password.read("providers.password")?,
                    from: from.clone(),
                    time_out: Duration::from_secs(*timeout_seconds),
                    settle: Duration::from_secs(*settle_seconds),
                };
                let (provider, task) = Smpp::start(account, say.clone());
                opened.tasks.push(task);
                all.push(Arc::new(provider));
            }
        }
    }
    opened.providers = Providers::new(all);
    Ok(opened)
}

fn making(folder: &std::path::Path) -> impl FnOnce(std::io::Error) -> StartError {
    let what = format!("making {}", folder.display());
    move |source| StartError::Io { what, source }
}

/// Hands on what providers say, and what is typed, until the service ends.
pub(super) async fn listen(
    service: Arc<Service>,
    mut heard: mpsc::Receiver<Heard>,
    console: Option<Console>,
) {
    if let Some(console) = console {
        tokio::spawn(read_console(service.clone(), console));
    }
    while let Some((incoming, done)) = heard.recv().await {
        tokio::spawn(hear(service.clone(), incoming, done));
    }
}

async fn hear(service: Arc<Service>, incoming: Incoming, done: oneshot::Sender<bool>) {
    let stored = match service.hear(&incoming).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%error, "something a provider said was not stored; it says it again");
            false
        }
    };
    // A session that has ended waits for no answer.
    let _ = done.send(stored);
}

/// Takes typed lines as texts from the phone texted last.
async fn read_console(service: Arc<Service>, console: Console) {
    let (sender, mut lines) = mpsc::channel::<String>(16);
    // Reading standard input blocks and cannot be cancelled, so it gets a thread that ends with the input or the process.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = lines.recv().await {
        let Some((from, text)) = typed(&line, console.last()) else {
            continue;
        };
        let id = Some(format!("console-{}", super::requests::random_id()));
        if let Err(error) = service
            .hear(&Incoming::Text {
                id,
                from,
                text,
                answered: None,
            })
            .await
        {
            tracing::error!(%error, "a typed reply was lost");
        }
    }
}

/// Providers in the order they are asked.
pub(super) struct Providers {
    all: Vec<Arc<dyn Provider>>,
    health: Mutex<HashMap<String, (u32, Option<Instant>)>>,
}

impl Providers {
    fn new(all: Vec<Arc<dyn Provider>>) -> Self {
        Self {
            all,
            health: Mutex::default(),
        }
    }

    /// The provider of a name.
    pub(super) fn named(&self, name: &str) -> Option<Arc<dyn Provider>> {
        self.all
            .iter()
            .find(|provider| provider.name() == name)
            .cloned()
    }

    /// The first provider that is not passed over just now, or the first.
    pub(super) fn preferred(&self) -> Option<Arc<dyn Provider>> {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = |name: &str| {
            health
                .get(name)
                .and_then(|(_, until)| *until)
                .is_some_and(|until| Instant::now() < until)
        };
        let well = self.all.iter().find(|provider| !rests(provider.name()));
        well.or(self.all.first()).cloned()
    }

    /// The provider after this one, and whether that is the first again.
    pub(super) fn after(&self, name: &str) -> Option<(&str, bool)> {
        let at = self
            .all
            .iter()
            .position(|provider| provider.name() == name)?;
        let next = (at + 1) % self.all.len();
        self.all
            .get(next)
            .map(|provider| (provider.name(), next == 0))
    }

    /// Notes whether a provider took what it was handed.
    pub(super) fn took(&self, name: &str, taken: bool) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = health.entry(name.to_owned()).or_default();
        *entry = match (taken, entry.0 + 1) {
            (true, _) => (0, None),
            (false, failures) if failures >= FAILURES => (failures, Some(Instant::now() + REST)),
            (false, failures) => (failures, None),
        };
    }
}
