//! `bench watch`: what a change costs a node that watches 100,000 people, against the same number of changes among 10,000.
//!
//! From the source's knock at the node's door to the last notice, every step as in service: the feed's query, a reading of each
//! fact, digests, one durable transaction for a page. The watches are put in through the store's own API.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use contracts::encoding::Bytes32;
use contracts::ids::{Committee, Domain, NodeId};
use futures::FutureExt as _;
use oracles::clock::Clock;
use oracles::config::{CommitteeConfig, NodeConfig, PeerConfig};
use oracles::http;
use oracles::keys::{NodeIdentity, OperatorKey};
use oracles::node::{Doors, RunningNode, start_with};
use oracles::watch::{
    FactRow, NewWatch, SIGNATURE_HEADER, TIMESTAMP_HEADER, WatchKeys, WatchStore, webhook_signature,
};
use oracles::wire::watch::WatchedFact;
use rand::RngCore as _;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use super::{Figure, block_on, median};

const NAME: &str = "watch";
/// People watched, and those of the reference.
const MANY: usize = 100_000;
const FEW: usize = 10_000;
/// Changes a day: one in a hundred of the many.
const CHANGES: usize = 1_000;
/// Days, ours and the reference's in turn, after one of each that does not count.
const DAYS: usize = 7;
/// Watches put in together.
const TOGETHER: usize = 1_000;
/// Longer than the least pause of a feed.
const PAUSE: Duration = Duration::from_millis(400);
const LONGEST_DAY: Duration = Duration::from_secs(120);
const SECRET: &str = "an odd secret of thirty-two bytes";
const READER: Bytes32 = contracts::encoding::Bytes([7; 32]);
const ATTRIBUTE: &str = "identity.medicaid_enrolled";

/// Measures.
///
/// # Errors
/// What kept it from running, in one line.
pub fn run() -> Result<Vec<Figure>, String> {
    block_on(figures())
}

async fn figures() -> Result<Vec<Figure>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut many = World::start(&folder.path().join("many"), MANY).await?;
    let mut few = World::start(&folder.path().join("few"), FEW).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for day in 0..=DAYS {
        let (one, other) = (many.day().await?, few.day().await?);
        if day > 0 {
            ours.push(one);
            theirs.push(other);
        }
    }
    many.node.stop().await;
    few.node.stop().await;
    let (ours, theirs) = (median(ours), median(theirs));
    let figure = |people: usize, value: f64, ratio| Figure {
        bench: NAME,
        case: format!("{people} people, {CHANGES} changes a day"),
        metric: "change_us",
        value,
        ratio,
        against: Some("as many changes among 10,000 people").filter(|_| ratio.is_some()),
    };
    Ok(vec![
        figure(MANY, ours, Some(ours / theirs)),
        figure(FEW, theirs, None),
    ])
}

/// A node, its source, and as many people.
struct World {
    node: RunningNode,
    store: WatchStore,
    source: SqlitePool,
    people: usize,
    days: usize,
}

impl World {
    async fn start(folder: &Path, people: usize) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        std::fs::create_dir_all(folder).map_err(|error| text(&error))?;
        let source = population(&folder.join("registry.db"), people)
            .await
            .map_err(|error| text(&error))?;
        let node = start(folder).await?;
        let store = WatchStore::open(node.node().db().clone())
            .await
            .map_err(|error| text(&error))?;
        let operator = OperatorKey::load(&folder.join("operator.key"));
        let keys = WatchKeys::new(&operator.map_err(|error| text(&error))?);
        let now = Clock::system().now();
        let mut watches = Vec::with_capacity(TOGETHER);
        for person in 0..people {
            watches.push(watch(&keys, person)?);
            if watches.len() == TOGETHER || person + 1 == people {
                let inserted = store.insert(&watches, 1, None, now).await;
                inserted.map_err(|error| text(&error))?;
                watches.clear();
            }
        }
        Ok(Self {
            node,
            store,
            source,
            people,
            days: 0,
        })
    }

    /// Changes [`CHANGES`] people, knocks, and waits for the last notice: microseconds a change.
    async fn day(&mut self) -> Result<f64, String> {
        tokio::time::sleep(PAUSE).await;
        let before = self.days * CHANGES;
        self.days += 1;
        let mut transaction = self
            .source
            .begin()
            .await
            .map_err(|error| error.to_string())?;
        for change in 0..CHANGES {
            let person = (change * (self.people / CHANGES) + self.days) % self.people;
            let name = name(person);
            for sql in [
                "UPDATE person SET enrolled = 1 - enrolled WHERE id = $1",
                "INSERT INTO touched (id) VALUES ($1)",
            ] {
                let done = sqlx::query(sql).bind(&name).execute(&mut *transaction);
                done.await.map_err(|error| error.to_string())?;
            }
        }
        transaction
            .commit()
            .await
            .map_err(|error| error.to_string())?;

        let began = Instant::now();
        let timestamp = Clock::system().now().0.to_string();
        let body = self.days.to_string();
        let knocked = http::client()
            .post(format!("http://{}/v1/feed/registry", self.node.address()))
            .header(TIMESTAMP_HEADER, &timestamp)
            .header(
                SIGNATURE_HEADER,
                webhook_signature(SECRET, &timestamp, body.as_bytes()),
            )
            .body(body)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        if !knocked.status().is_success() {
            return Err(format!(
                "the node answers a webhook with {}",
                knocked.status()
            ));
        }
        let last = (before + CHANGES - 1) as u64;
        loop {
            let told = self.store.notices(Domain::Identity, &READER, last).await;
            if !told.map_err(|error| error.to_string())?.notices.is_empty() {
                return Ok(began.elapsed().as_secs_f64() * 1e6 / CHANGES as f64);
            }
            if began.elapsed() > LONGEST_DAY {
                return Err("the changes of a day were not told within two minutes".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn name(person: usize) -> String {
    format!("person-{person:06}")
}

fn random() -> Bytes32 {
    let mut bytes = [0; 32];
    rand::thread_rng().fill_bytes(&mut bytes);
    bytes.into()
}

/// A watch as a grant leaves it, of a handle with four source keys.
fn watch(keys: &WatchKeys, person: usize) -> Result<NewWatch, String> {
    let watch = random();
    let fact = WatchedFact {
        attribute: ATTRIBUTE.into(),
        days: 1,
    };
    let held: std::collections::BTreeMap<String, String> =
        ["person_id", "ssn", "case_number", "licence"]
            .map(|key| (key.to_owned(), name(person)))
            .into();
    let handle = keys
        .seal(&watch, &held)
        .map_err(|error| error.to_string())?;
    Ok(NewWatch {
        watch,
        domain: Domain::Identity,
        owner: random(),
        reader: READER,
        handle,
        expires: Clock::system()
            .today()
            .plus(300)
            .map_err(|error| error.to_string())?,
        facts: vec![FactRow {
            digest: Some(keys.value(&watch, &fact, Some(0))),
            fact,
        }],
        again: None,
        people: held
            .iter()
            .map(|(key, value)| keys.person("registry", key, value))
            .collect(),
    })
}

/// A registry that numbers what it touches.
async fn population(file: &Path, people: usize) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await?;
    let tables = "CREATE TABLE person (id TEXT PRIMARY KEY, enrolled INTEGER NOT NULL);
                  CREATE TABLE touched (number INTEGER PRIMARY KEY, id TEXT NOT NULL);";
    sqlx::raw_sql(tables).execute(&pool).await?;
    let mut transaction = pool.begin().await?;
    for person in 0..people {
        sqlx::query("INSERT INTO person (id, enrolled) VALUES ($1, 0)")
            .bind(name(person))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(pool)
}

const ROLES: &str = r#"
[[attest.source]]
name = "registry"
kind = "sql"
url = "sqlite://REGISTRY"
limits = { max_entries = 5000 }
[[attest.attribute]]
id = "identity.medicaid_enrolled"
[[attest.attribute.read]]
source = "registry"
kind = "sql"
query = "SELECT enrolled FROM person WHERE id = $1"
bind = ["person_id"]
value = { as = "flag" }

[[watch.feed]]
name = "registry"
source = "registry"
key = "person_id"
every_s = 86400
start = "0"
webhook_secret = "SECRET"
[watch.feed.read]
kind = "sql"
query = "SELECT id AS key, number AS marker FROM touched WHERE number >= CAST($1 AS INTEGER) ORDER BY number"
"#;

/// One node of four; the others are not needed to watch.
async fn start(folder: &Path) -> Result<RunningNode, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let bind = || TcpListener::bind("127.0.0.1:0").map_err(|error| text(&error));
    let address = |door: &TcpListener| door.local_addr().map_err(|error| text(&error));
    let doors = Doors {
        owners: bind()?,
        peers: bind()?,
    };
    let (listen, peer_listen) = (address(&doors.owners)?, address(&doors.peers)?);
    let operator = OperatorKey::create(&folder.join("operator.key"));
    let operator = operator.map_err(|error| text(&error))?;
    let (mut peers, mut own) = (Vec::new(), None);
    for number in 1..=4u16 {
        let id = NodeId::new(number).map_err(|error| text(&error))?;
        let identity = NodeIdentity::generate();
        let port = |base: u16| base + number;
        let (url, peer_url) = match number {
            1 => (format!("http://{listen}"), format!("https://{peer_listen}")),
            _ => (
                format!("http://127.0.0.1:{}", port(1)),
                format!("https://127.0.0.1:{}", port(11)),
            ),
        };
        peers.push(PeerConfig::new(id, url, peer_url, &identity.public_keys()));
        own.get_or_insert((id, identity));
    }
    let (id, identity) = own.ok_or("no nodes")?;
    let registry = folder.join("registry.db");
    let roles = ROLES
        .replace("REGISTRY", &registry.display().to_string())
        .replace("SECRET", SECRET);
    let config = NodeConfig {
        id,
        listen,
        peer_listen,
        tls_certificate_file: None,
        tls_key_file: None,
        plain_http: false,
        data_dir: folder.to_owned(),
        operator_key_file: None,
        database_url: None,
        clock_offset_seconds: 0,
        peer_timeout_ms: 500,
        committees: vec![CommitteeConfig {
            name: Committee::Identity,
            members: peers.iter().map(|peer| peer.id).collect(),
            epoch: 1,
        }],
        peers,
        roles: toml::from_str(&roles).map_err(|error| text(&error))?,
    };
    identity
        .save(&config.identity_file(), &operator)
        .map_err(|error| text(&error))?;
    let started = start_with(config, doors, |_, _| async { Ok(()) }.boxed());
    started.await.map_err(|error| text(&error))
}
