//! A recording door: a loopback TCP relay in front of one party, so that what the party saw is measured, not claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::http_scan::{Direction, Message, Scanner};
use super::tls_scan::{Protocol, TlsScan};
use super::trap::{Hold, Moment, Trap};
use super::witness::Witness;

/// What crossed one door under one route.
#[derive(Debug, Clone, Default)]
pub struct Crossing {
    /// Requests seen; for TLS, connections.
    pub requests: u64,
    /// Body bytes in and out; for TLS, all bytes.
    pub bytes: u64,
    /// Top-level JSON fields of requests.
    pub asked: BTreeSet<String>,
    /// Top-level JSON fields of answers.
    pub answered: BTreeSet<String>,
    /// Bodies in both directions, for the search for facts in clear.
    pub bodies: Vec<Arc<Vec<u8>>>,
}

/// The most bytes of bodies that a door keeps in memory; what comes after is counted and written to the file only.
const MAX_KEPT: usize = 256 << 20;

/// What is spoken at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP, whose messages are read and kept.
    Http,
    /// TLS, of which the protocol and the number of bytes are all there is to read.
    Tls,
}

#[derive(Default)]
struct Seen {
    routes: BTreeMap<String, Crossing>,
    kept: usize,
}

/// What the line to a party does to what crosses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Nothing.
    Good,
    /// Takes connections and bytes and passes nothing on.
    Silent,
    /// Passes requests on and loses the answers.
    Mute,
    /// Holds everything that comes back for so long.
    Slow(Duration),
}

/// A door that listens on a free loopback port for as long as it lives.
pub struct Tap {
    party: String,
    speaks: Speaks,
    address: SocketAddr,
    target: watch::Sender<Option<SocketAddr>>,
    line: watch::Sender<Line>,
    seen: Arc<Mutex<Seen>>,
    trap: watch::Sender<Option<Arc<Trap>>>,
    witness: watch::Sender<Option<Arc<Witness>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tap {
    /// Opens the door of `party`. What crosses is appended to `file` too: every byte of HTTP, a line per TLS connection.
    ///
    /// # Errors
    /// When no loopback port can be bound or the file cannot be opened.
    pub async fn open(party: &str, speaks: Speaks, file: PathBuf) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let record = Arc::new(Mutex::new(
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(file)?,
        ));
        let (target, target_of) = watch::channel(None);
        let (line, line_of) = watch::channel(Line::Good);
        let (trap, trap_of) = watch::channel(None);
        let (witness, witness_of) = watch::channel(None);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(accept(
            listener,
            (party.to_owned(), speaks),
            (target_of, line_of, trap_of, witness_of),
            seen.clone(),
            record,
        ));
        Ok(Self {
            party: party.to_owned(),
            speaks,
            address,
            target,
            line,
            seen,
            trap,
            witness,
            task,
        })
    }

    /// The party behind the door.
    pub fn party(&self) -> &str {
        &self.party
    }

    /// The address that others are given.
    pub fn url(&self) -> String {
        let scheme = match self.speaks {
            Speaks::Http => "http",
            Speaks::Tls => "https",
        };
        format!("{scheme}://{}", self.address)
    }

    /// Points the door at the party's own address.
    pub fn forward_to(&self, address: SocketAddr) {
        self.target.send_replace(Some(address));
    }

    /// Closes the door: connections are refused until it is pointed somewhere again.
    pub fn close(&self) {
        self.target.send_replace(None);
    }

    /// Sets what the line does from now on, to open connections too.
    pub fn set_line(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// Sets a trap, for connections that come from now on. It reads HTTP only.
    pub fn set_trap(&self, trap: Arc<Trap>) {
        self.trap.send_replace(Some(trap));
    }

    /// Has what crosses told to a witness, for connections that come from now on. It reads HTTP only.
    pub fn set_witness(&self, witness: Arc<Witness>) {
        self.witness.send_replace(Some(witness));
    }

    /// What has crossed so far, by route.
    pub fn crossings(&self) -> BTreeMap<String, Crossing> {
        lock(&self.seen).routes.clone()
    }
}

/// What can change while a door is open: where it leads, its line, its trap, and its witness.
type Settings = (
    watch::Receiver<Option<SocketAddr>>,
    watch::Receiver<Line>,
    watch::Receiver<Option<Arc<Trap>>>,
    watch::Receiver<Option<Arc<Witness>>>,
);

async fn accept(
    listener: TcpListener,
    (party, speaks): (String, Speaks),
    (target, line, trap, witness): Settings,
    seen: Arc<Mutex<Seen>>,
    record: Arc<Mutex<std::fs::File>>,
) {
    while let Ok((client, from)) = listener.accept().await {
        let Some(address) = *target.borrow() else {
            drop(client);
            continue;
        };
        let (line, seen, record) = (line.clone(), seen.clone(), record.clone());
        let (party, trap) = (party.clone(), trap.borrow().clone());
        let witness = witness.borrow().clone();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(address).await else {
                return;
            };
            match speaks {
                Speaks::Http => {
                    let scanner = Mutex::new(Scanner::default());
                    let note = |direction: Direction, bytes: &[u8]| {
                        // The record is evidence for the leak search; a full disk must not stop the story, only that
                        // search.
                        let _ = lock(&record).write_all(bytes);
                        let messages = lock(&scanner).push(direction, bytes);
                        if let Some(witness) = &witness {
                            witness.sees(&party, from.port(), &messages);
                        }
                        let held = trap.as_ref().and_then(|trap| {
                            let mut messages = messages.iter();
                            messages
                                .find_map(|message| trap.crosses(&party, direction, &message.route))
                        });
                        let mut seen = lock(&seen);
                        for message in messages {
                            enter(&mut seen, message);
                        }
                        held
                    };
                    relay(client, server, line, &note).await;
                }
                Speaks::Tls => {
                    let scan = Mutex::new((TlsScan::default(), 0u64));
                    let note = |direction: Direction, bytes: &[u8]| {
                        let (scan, held) = &mut *lock(&scan);
                        let first = *held > 0 || scan.protocol() == Protocol::Unknown;
                        let protocol = scan.push(direction, bytes);
                        *held += bytes.len() as u64;
                        if protocol != Protocol::Unknown {
                            if first {
                                let _ = writeln!(lock(&record), "{protocol:?}");
                            }
                            let bytes = std::mem::take(held);
                            enter_records(&mut lock(&seen), protocol, first, bytes);
                        }
                        None
                    };
                    relay(client, server, line, &note).await;
                }
            }
        });
    }
}

async fn relay(
    client: TcpStream,
    server: TcpStream,
    line: watch::Receiver<Line>,
    note: &(impl Fn(Direction, &[u8]) -> Option<Hold> + Sync),
) {
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let inward = async {
        let mut buffer = vec![0u8; 64 << 10];
        while let Ok(n) = from_client.read(&mut buffer).await {
            let Some(bytes) = buffer.get(..n).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            if *line.borrow() == Line::Silent {
                continue;
            }
            if let Some(hold) = note(Direction::Request, bytes) {
                hold.freed().await;
                return;
            }
            if to_server.write_all(bytes).await.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
        // What the server still has to say goes out.
        std::future::pending::<()>().await;
    };
    let outward = async {
        let mut buffer = vec![0u8; 64 << 10];
        while let Ok(n) = from_server.read(&mut buffer).await {
            let Some(bytes) = buffer.get(..n).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            let now = *line.borrow();
            match now {
                Line::Good => {}
                Line::Silent | Line::Mute => continue,
                Line::Slow(pause) => tokio::time::sleep(pause).await,
            }
            let hold = note(Direction::Response, bytes);
            if hold
                .as_ref()
                .is_none_or(|hold| hold.moment == Moment::Delivered)
                && to_client.write_all(bytes).await.is_err()
            {
                break;
            }
            if let Some(hold) = hold {
                let lost = hold.moment == Moment::Lost;
                hold.freed().await;
                if lost {
                    return;
                }
            }
        }
        let _ = to_client.shutdown().await;
    };
    // A server that dies ends both directions, so that a client waiting on a kept connection sees it at once.
    tokio::select! {
        () = outward => {}
        () = inward => {}
    }
}

/// Records of a TLS connection, under the name of its protocol.
fn enter_records(seen: &mut Seen, protocol: Protocol, first: bool, bytes: u64) {
    let name = match protocol {
        Protocol::Tls13 => "TLS 1.3",
        Protocol::Unknown | Protocol::Other => "not TLS 1.3",
    };
    let crossing = seen.routes.entry(name.to_owned()).or_default();
    crossing.requests += u64::from(first);
    crossing.bytes += bytes;
    crossing.asked.insert(format!("{name} records"));
}

fn enter(seen: &mut Seen, message: Message) {
    let keep = seen.kept + message.body.len() <= MAX_KEPT;
    if keep {
        seen.kept += message.body.len();
    }
    let crossing = seen.routes.entry(message.route).or_default();
    let fields = match message.direction {
        Direction::Request => {
            crossing.requests += 1;
            &mut crossing.asked
        }
        Direction::Response => &mut crossing.answered,
    };
    if let Ok(serde_json::Value::Object(map)) = serde_json::from_slice(&message.body) {
        fields.extend(map.keys().cloned());
    }
    crossing.bytes += message.body.len() as u64;
    if keep {
        crossing.bodies.push(Arc::new(message.body));
    }
}
