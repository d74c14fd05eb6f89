//! What a profile does about watches, with random keys in place of a wallet, and a look into a node's database.

use std::time::Duration;

use contracts::bip340;
use contracts::catalogue::catalogue;
use contracts::encoding::{Bytes, Bytes32};
use contracts::ids::{AttributeId, Domain};
use oracles::clock::Clock;
use oracles::hpke::{self, NodeKeyPair};
use oracles::http::{HttpError, client, post_json};
use oracles::watch::Tally;
use oracles::wire::HpkeBox;
use oracles::wire::attest::{NonceAnswer, NonceRequest};
use oracles::wire::watch::{
    Changes, ChangesAnswer, ChangesRequest, SealedWatch, WatchAnswer, WatchGrant, WatchRevoke,
    WatchedFact, changes_answer_info, changes_info, watch_info, watch_revoke_info,
};
use rand_core::OsRng;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};

use crate::network::Network;
use crate::owner::{Enrolled, random, up};

/// The threshold of four nodes.
pub const QUORUM: u16 = 3;

/// SQL, JSON and FHIR feeds of the sources that the network has, looked at every second.
pub fn feeds(ehr: &str) -> String {
    format!(
        r#"
[[attest.source]]
name = "ehr"
kind = "fhir"
url = "{ehr}"
[[attest.attribute]]
id = "identity.medicare"
[[attest.attribute.read]]
source = "ehr"
kind = "fhir"
identifier_system = "https://ehr.example/mrn"
identifier_key = "person_id"
codes = [{{ system = "http://snomed.info/sct", code = "77386006" }}]

[[watch.feed]]
name = "ehr"
source = "ehr"
key = "person_id"
every_s = 1
read = {{ kind = "fhir", resource = "condition", identifier_system = "https://ehr.example/mrn" }}
{}"#,
        registry_feed(1) + PAYROLL_FEED
    )
}

/// The feed of the registry's table of changes.
pub fn registry_feed(every_s: u32) -> String {
    format!(
        r#"
[[watch.feed]]
name = "registry"
source = "registry"
key = "person_id"
every_s = {every_s}
start = "0"
webhook_secret = "{SECRET}"
[watch.feed.read]
kind = "sql"
query = "SELECT person_id AS key, changed_at AS marker FROM person_change WHERE changed_at >= $1 ORDER BY changed_at"
"#
    )
}

/// What the registry signs webhooks with.
pub const SECRET: &str = "an odd secret of thirty-two bytes";

/// The feed of the payroll service.
pub const PAYROLL_FEED: &str = r#"
[[watch.feed]]
name = "payroll"
source = "payroll"
key = "case_number"
every_s = 1
start = "1"
[watch.feed.read]
kind = "json"
path = "changes"
query = { since = "{since}" }
records = "/changes"
key = "/case"
marker = "/at"
next = { as = "parameter", pointer = "/next", parameter = "offset" }
"#;

/// The table that the registry's feed reads.
pub const CHANGE_TABLE: &str = "CREATE TABLE person_change (person_id TEXT, changed_at INTEGER)";

/// A watch with the reader's memory.
pub struct Watch {
    pub grant: WatchGrant,
    pub reader: [u8; 32],
    pub tally: Tally,
}

pub fn fact(attribute: &str) -> WatchedFact {
    let attribute = catalogue().get(&attribute.into()).unwrap();
    WatchedFact::new(attribute.id.clone(), attribute.period)
}

impl Watch {
    /// A signed grant, not sent yet.
    pub async fn draft(
        network: &Network,
        who: &Enrolled,
        domain: Domain,
        attributes: &[&str],
        days: i64,
    ) -> Self {
        let reader = random();
        let authorisation_key = who.owner.key(domain);
        let handle = who.handles.iter().find(|it| it.domain == domain).unwrap();
        let mut facts: Vec<_> = attributes.iter().map(|it| fact(it)).collect();
        facts.sort();
        let mut grant = WatchGrant {
            version: 1,
            committee: domain,
            epoch: 1,
            nonces: Vec::new(),
            authorisation_key,
            watch: random().into(),
            reader: bip340::public_key(&reader).unwrap(),
            day: network.today(),
            expires: network.today().plus(days).unwrap(),
            facts,
            signature: Bytes([0; 64]),
            handle: handle.sealed.clone(),
        };
        fresh_nonces(network, &mut grant).await;
        sign(&mut grant, &who.owner.keys[&domain]);
        Self {
            grant,
            reader,
            tally: Tally::default(),
        }
    }

    /// A watch that all nodes which are up have taken.
    pub async fn start(
        network: &Network,
        who: &Enrolled,
        domain: Domain,
        attributes: &[&str],
        days: i64,
    ) -> Self {
        let watch = Self::draft(network, who, domain, attributes, days).await;
        for peer in up(network) {
            let answer = send(network, peer.id.get(), &watch.grant, who).await;
            assert_eq!(answer.unwrap().watch, watch.grant.watch);
        }
        watch
    }

    pub fn domain(&self) -> Domain {
        self.grant.committee
    }

    /// What stands after asking every node that is up.
    pub async fn poll(&mut self, network: &Network) -> Vec<String> {
        for peer in up(network) {
            let after = self.tally.after(peer.id);
            let node = peer.id.get();
            let changes = changes(network, node, self.domain(), &self.reader, after).await;
            let known = |watch: &Bytes32, attribute: &AttributeId| {
                let mut facts = self.grant.facts.iter();
                *watch == self.grant.watch && facts.any(|fact| fact.attribute == *attribute)
            };
            let strangers = self.tally.take(peer.id, &changes.unwrap(), known);
            assert!(strangers.is_empty());
        }
        let standing = self.tally.standing(QUORUM);
        standing.into_iter().map(|(_, id)| id.0).collect()
    }

    /// Polls until something stands.
    pub async fn wait(&mut self, network: &Network) -> Vec<String> {
        for _ in 0..300 {
            let standing = self.poll(network).await;
            if !standing.is_empty() {
                return standing;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("nothing changed within 30 seconds")
    }

    /// How many notices a node holds of the watch's reader.
    pub async fn told(&self, network: &Network, node: u16) -> usize {
        let changes = changes(network, node, self.domain(), &self.reader, 0).await;
        changes.unwrap().notices.len()
    }

    pub async fn revoke(
        &self,
        network: &Network,
        node: u16,
        who: &Enrolled,
    ) -> Result<WatchAnswer, HttpError> {
        let domain = self.domain();
        let mut revoke = WatchRevoke {
            version: 1,
            committee: domain,
            watch: self.grant.watch,
            authorisation_key: who.owner.key(domain),
            signature: Bytes([0; 64]),
        };
        let secret = &who.owner.keys[&domain];
        revoke.signature = bip340::sign(secret, &revoke.message(), &mut OsRng).unwrap();
        let peer = &network.configs[0].peers[usize::from(node) - 1];
        let info = watch_revoke_info(domain, peer.id, 1);
        let body = sealed(&peer.hpke_key, &info, &revoke);
        let url = format!("{}/v1/{domain}/watch/revoke", peer.url);
        post_json(&client(), &url, &body).await
    }
}

/// Asks every node that is up for a nonce.
pub async fn fresh_nonces(network: &Network, grant: &mut WatchGrant) {
    let request = WatchGrant::reference(&grant.watch, &grant.authorisation_key);
    grant.nonces.clear();
    for peer in up(network) {
        let url = format!("{}/v1/{}/watch/nonce", peer.url, grant.committee);
        let answer: NonceAnswer = post_json(&client(), &url, &NonceRequest { request })
            .await
            .unwrap();
        grant.nonces.push((peer.id, answer.nonce));
    }
}

pub fn sign(grant: &mut WatchGrant, secret: &[u8; 32]) {
    grant.signature = bip340::sign(secret, &grant.message(), &mut OsRng).unwrap();
}

fn sealed<T: serde::Serialize>(to: &Bytes32, info: &[u8], call: &T) -> SealedWatch {
    let plain = serde_json::to_vec(call).unwrap();
    SealedWatch {
        sealed: HpkeBox {
            key_epoch: 1,
            sealed: hpke::seal(to, info, &[], &plain).unwrap(),
        },
    }
}

/// Sends a grant to a node with the handle that `who` has for it.
pub async fn send(
    network: &Network,
    node: u16,
    grant: &WatchGrant,
    who: &Enrolled,
) -> Result<WatchAnswer, HttpError> {
    let domain = grant.committee;
    let peer = &network.configs[0].peers[usize::from(node) - 1];
    let mut handles = who.handles.iter();
    let handle = handles.find(|it| (it.domain, it.node) == (domain, peer.id));
    let mut grant = grant.clone();
    grant.handle = handle.unwrap().sealed.clone();
    let body = sealed(&peer.hpke_key, &watch_info(domain, peer.id, 1), &grant);
    let url = format!("{}/v1/{domain}/watch", peer.url);
    post_json(&client(), &url, &body).await
}

/// Asks a node for the notices of a reader.
pub async fn changes(
    network: &Network,
    node: u16,
    domain: Domain,
    reader: &[u8; 32],
    after: u64,
) -> Result<Changes, HttpError> {
    let response = NodeKeyPair::generate();
    let peer = &network.configs[0].peers[usize::from(node) - 1];
    let mut request = ChangesRequest {
        version: 1,
        reader: bip340::public_key(reader).unwrap(),
        after,
        at: Clock::with_offset(network.configs[0].clock_offset_seconds).now(),
        response_key: *response.public(),
        signature: Bytes([0; 64]),
    };
    let message = request.message(domain, peer.id);
    request.signature = bip340::sign(reader, &message, &mut OsRng).unwrap();
    ask(network, node, domain, &request, &response).await
}

/// Sends a question for changes as it is.
pub async fn ask(
    network: &Network,
    node: u16,
    domain: Domain,
    request: &ChangesRequest,
    response: &NodeKeyPair,
) -> Result<Changes, HttpError> {
    let peer = &network.configs[0].peers[usize::from(node) - 1];
    let body = sealed(&peer.hpke_key, &changes_info(domain, peer.id, 1), request);
    let url = format!("{}/v1/{domain}/changes", peer.url);
    let answer: ChangesAnswer = post_json(&client(), &url, &body).await?;
    let info = changes_answer_info(domain, peer.id, &request.reader);
    let plain = response.open(&info, &[], &answer.sealed).unwrap();
    Ok(serde_json::from_slice(&plain).unwrap())
}

/// A number out of a node's database.
pub async fn count(network: &Network, node: u16, sql: &'static str) -> i64 {
    let file = network.folder.path().join(node.to_string()).join("node.db");
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut database = options.connect().await.unwrap();
    let row = sqlx::query(sql).fetch_one(&mut database).await.unwrap();
    row.get(0)
}

/// Waits until every node that is up has dealt with the registry's changes up to a number.
pub async fn passed(network: &Network, marker: i64) {
    let sql =
        "SELECT COALESCE(MAX(CAST(marker AS INTEGER)), -1) FROM watch_feed WHERE feed = 'registry'";
    followed(network, sql, marker).await;
}

/// As [`passed`], of the feed whose marker `sql` reads.
pub async fn followed(network: &Network, sql: &'static str, marker: i64) {
    for peer in up(network) {
        let mut left = 300;
        while count(network, peer.id.get(), sql).await < marker {
            left -= 1;
            assert!(left > 0, "node {} did not pass {marker}", peer.id);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
