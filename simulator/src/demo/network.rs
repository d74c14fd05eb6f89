//! The processes of a run, each behind its door.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contracts::ids::NodeId;
use rand_core::{OsRng, RngCore as _};
use reqwest::{Client, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::Lost::{Unheard, Unread};
use super::DemoError;
use super::folder::Folder;
use super::process::RoleProcess;
use super::tap::{Speaks, Tap};

/// How long a started process may take to answer `/healthz`.
const HEALTHY_LIMIT: Duration = Duration::from_secs(10);
/// How long a call is made again that a server had given up before it read it: a connection that was opened for another call.
const UNREAD_LIMIT: Duration = Duration::from_secs(5);
/// The longest any call of the demo itself may take; the services bound their own work well below it.
const CALL_LIMIT: Duration = Duration::from_secs(90);

/// Every door, opened before any process starts, so that configurations can name addresses that hold for the whole run.
pub struct Network<'a> {
    folder: &'a Folder,
    doors: BTreeMap<String, Tap>,
    processes: Mutex<BTreeMap<String, RoleProcess>>,
    /// The role that each party was last started in.
    roles: Mutex<BTreeMap<String, String>>,
    client: Client,
    /// How long a call that nobody answers is made again.
    patience: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map of processes holds no invariant that a panic could break.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The door and process name of an oracle.
pub fn oracle_name(node: NodeId) -> String {
    format!("oracle-{node}")
}

/// The door of an oracle for other oracles.
pub fn peer_door(node: NodeId) -> String {
    peer_door_of(&oracle_name(node))
}

/// The door for oracles of an oracle's process.
pub fn peer_door_of(party: &str) -> String {
    format!("{party}-peers")
}

impl<'a> Network<'a> {
    /// Opens a door for each party.
    ///
    /// # Errors
    /// A port or record file cannot be opened.
    pub async fn open(folder: &'a Folder, parties: &[String]) -> Result<Self, DemoError> {
        let mut doors = BTreeMap::new();
        for party in parties {
            let mut open = vec![(party.clone(), Speaks::Http, "http")];
            if party.starts_with("oracle-") {
                open.push((peer_door_of(party), Speaks::Tls, "tls"));
            }
            for (name, speaks, kind) in open {
                let file = folder.path(format!("tap/{name}.{kind}"));
                let door = Tap::open(&name, speaks, file.clone())
                    .await
                    .map_err(DemoError::file(&file))?;
                doors.insert(name, door);
            }
        }
        let client = oracles::http::client_builder()
            .no_proxy()
            .timeout(CALL_LIMIT)
            .build()
            .map_err(|error| DemoError::Other(error.to_string()))?;
        Ok(Self {
            folder,
            doors,
            processes: Mutex::default(),
            roles: Mutex::default(),
            client,
            patience: Duration::ZERO,
        })
    }

    /// From now on a call that nobody answers is made again for so long, as a client does whose server is being restarted.
    pub fn insist(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The address that others reach a party at.
    ///
    /// # Panics
    /// For a party that [`Network::open`] was not told of.
    pub fn url(&self, party: &str) -> String {
        self.doors
            .get(party)
            .map(Tap::url)
            .unwrap_or_else(|| panic!("no door was opened for {party}"))
    }

    /// A party's door.
    pub fn door(&self, party: &str) -> Option<&Tap> {
        self.doors.get(party)
    }

    /// Whether a party's process has ended by itself.
    pub fn has_died(&self, party: &str) -> bool {
        lock(&self.processes)
            .get_mut(party)
            .is_some_and(RoleProcess::has_ended)
    }

    /// Every door.
    pub fn doors(&self) -> impl Iterator<Item = &Tap> {
        self.doors.values()
    }

    /// Starts a party's process with this configuration (TOML) and waits until it answers.
    ///
    /// # Errors
    /// It does not start or answer in time.
    pub async fn start(&self, role: &str, party: &str, config: &str) -> Result<(), DemoError> {
        self.folder
            .write(&format!("config/{party}.toml"), config.as_bytes())?;
        lock(&self.roles).insert(party.to_owned(), role.to_owned());
        self.launch(role, party).await
    }

    /// Starts a party's process again, as it was started last.
    ///
    /// # Errors
    /// It was never started, or does not start or answer in time.
    pub async fn restart(&self, party: &str) -> Result<(), DemoError> {
        let role = lock(&self.roles).get(party).cloned();
        let role = role.ok_or_else(|| DemoError::Process(format!("{party} was never started")))?;
        self.launch(&role, party).await
    }

    /// Has calls for a party that does not run answered by another.
    pub fn stand_in(&self, party: &str, other: &str) {
        let address = lock(&self.processes).get(other).map(RoleProcess::address);
        if let (Some(door), Some(address)) = (self.doors.get(party), address) {
            door.forward_to(address);
        }
    }

    async fn launch(&self, role: &str, party: &str) -> Result<(), DemoError> {
        let file = self.folder.path(format!("config/{party}.toml"));
        let ready = self.folder.path(format!("config/{party}.ready"));
        let log = self.folder.path(format!("logs/{party}.log"));
        let process = RoleProcess::start(role, party, &file, ready, &log)
            .await
            .map_err(DemoError::Process)?;
        self.await_healthy(party, process.address()).await?;
        if let Some(door) = self.doors.get(party) {
            door.forward_to(process.address());
        }
        if let (Some(door), Some(address)) =
            (self.doors.get(&peer_door_of(party)), process.peer_address())
        {
            door.forward_to(address);
        }
        lock(&self.processes).insert(party.to_owned(), process);
        Ok(())
    }

    async fn await_healthy(&self, party: &str, address: SocketAddr) -> Result<(), DemoError> {
        let started = Instant::now();
        let url = format!("http://{address}/healthz");
        loop {
            let answer = self.client.get(&url).timeout(HEALTHY_LIMIT).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if started.elapsed() > HEALTHY_LIMIT {
                return Err(DemoError::Process(format!(
                    "{party} does not answer /healthz; see {}",
                    self.folder.path(format!("logs/{party}.log")).display()
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGKILLs a party's process and closes its door.
    pub async fn kill(&self, party: &str) -> bool {
        let running = lock(&self.processes).remove(party);
        let Some(mut process) = running else {
            return false;
        };
        process.kill().await;
        for door in [party, &peer_door_of(party)] {
            if let Some(door) = self.doors.get(door) {
                door.close();
            }
        }
        true
    }

    /// Whether a party's process was started and not killed.
    pub fn runs(&self, party: &str) -> bool {
        lock(&self.processes).contains_key(party)
    }

    /// Where a party's process listens, behind its door.
    pub fn address(&self, party: &str) -> Option<SocketAddr> {
        lock(&self.processes).get(party).map(RoleProcess::address)
    }

    /// The process id of a party that runs.
    pub fn pid(&self, party: &str) -> Option<u32> {
        lock(&self.processes).get(party).and_then(RoleProcess::id)
    }

    /// The process ids of all that run.
    pub fn pids(&self) -> Vec<u32> {
        lock(&self.processes)
            .values()
            .filter_map(RoleProcess::id)
            .collect()
    }

    /// How many processes run.
    pub fn size(&self) -> usize {
        lock(&self.processes).len()
    }

    /// Ends every process.
    pub async fn end(&self) {
        let running = std::mem::take(&mut *lock(&self.processes));
        for mut process in running.into_values() {
            process.kill().await;
        }
    }

    /// `POST` JSON through a party's door.
    ///
    /// # Errors
    /// One line: the problem's detail, or what failed.
    pub async fn post<B: Serialize, A: DeserializeOwned>(
        &self,
        party: &str,
        path: &str,
        bearer: Option<&str>,
        idempotency: Option<&str>,
        body: &B,
    ) -> Result<A, String> {
        let mut request = self.call(Method::POST, party, path, bearer).json(body);
        if let Some(key) = idempotency {
            request = request.header("idempotency-key", key);
        }
        let bytes = self.body(party, request).await?;
        let bytes = if bytes.is_empty() {
            b"null".to_vec()
        } else {
            bytes
        };
        serde_json::from_slice(&bytes).map_err(|error| format!("{party}: {error}"))
    }

    /// `POST` JSON through a party's door, once however long [`Network::insist`] has calls made again.
    ///
    /// # Errors
    /// One line: the problem's detail, or what failed; then whether it was heard is not known.
    pub async fn once<B: Serialize, A: DeserializeOwned>(
        &self,
        party: &str,
        path: &str,
        bearer: Option<&str>,
        body: &B,
    ) -> Result<A, String> {
        let request = self.call(Method::POST, party, path, bearer).json(body);
        let bytes = attempt(party, request)
            .await
            .map_err(|(Unheard(why) | Unread(why))| why)??;
        serde_json::from_slice(&bytes).map_err(|error| format!("{party}: {error}"))
    }

    /// `PUT` JSON through a party's door, where nothing is answered.
    ///
    /// # Errors
    /// One line: the problem's detail, or what failed.
    pub async fn put<B: Serialize>(
        &self,
        party: &str,
        path: &str,
        bearer: Option<&str>,
        body: &B,
    ) -> Result<(), String> {
        let request = self.call(Method::PUT, party, path, bearer).json(body);
        self.body(party, request).await.map(|_| ())
    }

    /// `DELETE` through a party's door.
    ///
    /// # Errors
    /// One line: the problem's detail, or what failed.
    pub async fn delete(
        &self,
        party: &str,
        path: &str,
        bearer: Option<&str>,
    ) -> Result<(), String> {
        let request = self.call(Method::DELETE, party, path, bearer);
        self.body(party, request).await.map(|_| ())
    }

    /// `GET` JSON through a party's door.
    ///
    /// # Errors
    /// One line: the problem's detail, or what failed.
    pub async fn get<A: DeserializeOwned>(
        &self,
        party: &str,
        path: &str,
        bearer: Option<&str>,
    ) -> Result<A, String> {
        let bytes = self.get_bytes(party, path, bearer).await?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{party}: {error}"))
    }

    /// `GET` the bytes of a body through a party's door.
    ///
    /// # Errors
    /// One line: the problem's detail, or what failed.
    pub async fn get_bytes(
        &self,
        party: &str,
        path: &str,
        bearer: Option<&str>,
    ) -> Result<Vec<u8>, String> {
        let request = self.call(Method::GET, party, path, bearer);
        self.body(party, request).await
    }

    /// A call to a party's door, not yet sent.
    fn call(
        &self,
        method: Method,
        party: &str,
        path: &str,
        bearer: Option<&str>,
    ) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.url(party));
        let request = self.client.request(method, url);
        match bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn body(&self, party: &str, request: reqwest::RequestBuilder) -> Result<Vec<u8>, String> {
        let since = Instant::now();
        loop {
            let again = request
                .try_clone()
                .ok_or("a body that cannot be sent twice")?;
            match attempt(party, again).await {
                Err(Unheard(_)) if since.elapsed() < self.patience => pause().await,
                Err(Unread(_)) if since.elapsed() < self.patience.max(UNREAD_LIMIT) => {
                    pause().await
                }
                Err(Unheard(why) | Unread(why)) => return Err(why),
                Ok(answer) => return answer,
            }
        }
    }
}

/// Why a call may be made again.
enum Lost {
    /// Nobody answered, or not to the end: whether the call was heard is not known.
    Unheard(String),
    /// The server had given up the connection before it read the call.
    Unread(String),
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// An idempotency key that no other call has.
pub fn fresh_key() -> String {
    let mut key = [0u8; 16];
    OsRng.fill_bytes(&mut key);
    contracts::encoding::to_base64url(key)
}

async fn attempt(
    party: &str,
    request: reqwest::RequestBuilder,
) -> Result<Result<Vec<u8>, String>, Lost> {
    let answer = request
        .send()
        .await
        .map_err(|error| Unheard(format!("{party} did not answer: {error}")))?;
    let status = answer.status();
    let bytes = answer
        .bytes()
        .await
        .map_err(|error| Unheard(format!("{party} did not finish its answer: {error}")))?;
    if status.is_success() {
        return Ok(Ok(bytes.to_vec()));
    }
    let problem: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let detail = problem
        .get("detail")
        .or_else(|| problem.get("title"))
        .and_then(serde_json::Value::as_str)
        .map_or_else(|| status.to_string(), str::to_owned);
    let said = format!("{party}: {detail}");
    match status.as_u16() {
        // Somebody behind it is being restarted.
        502 | 503 => Err(Unheard(said)),
        408 => Err(Unread(said)),
        _ => Ok(Err(said)),
    }
}
