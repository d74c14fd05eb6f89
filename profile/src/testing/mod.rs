//! A network for tests: parties that answer by the protocol, with single keys where real committees hold shares, and
//! that lie when a test tells them to.

mod calls;
mod committees;
mod decision;
pub(crate) mod insurer;
mod others;
mod seen;
mod watches;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpServer, web};
use contracts::application::Answer;
use contracts::encoding::{Bytes32, to_base64url};
use contracts::group::Point;
use contracts::ids::{Committee, Domain, NodeId};
use contracts::leaf::Leaf;
use contracts::trust::{CommitteeKey, Trust};
use contracts::units::UnixTime;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::SigningKey;
use oracles::clock::Clock;
use oracles::hpke::NodeKeyPair;
use oracles::problem::Problem;
use oracles::wire::attest::LeafKey;
use oracles::wire::decision::DecideAnswer;
use oracles::wire::enrol::{Claims, Ssn, VERSION, seal_claims};
use rand_core::OsRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::types::{
    AskQuestion, CreatedProfile, EnrolProfile, IDEMPOTENCY_KEY, Profile, Question, State,
};
use crate::config::ProfileConfig;
use crate::server::{Running, start};
use crate::store::tests::TestStore;

pub(crate) const AUDIENCE: &str = "us.ca.dhcs";
/// Oregon's agency.
const OTHER_AUDIENCE: &str = "us.or.oha";
/// The configured practice.
pub(crate) const PRACTICE: &str = "Bay Clinic";
pub(crate) const CONTRACT: &str = "us.medicaid.adult-group";
const ORIGIN: &str = "log.example/test";
const ISSUER: &str = "https://decision.example";
const NODES: u16 = 4;

/// What a test makes a party do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lie {
    /// Nodes take a second to sign a batch.
    SlowSigning,
    /// A node accepts connections and never answers.
    Hang(u16),
    /// A node answers every call with 503.
    Down(u16),
    /// A node seals another value than its leaf commits to.
    WrongValueSealed(u16),
    /// A node attests another income than the others.
    OtherIncome(u16),
    /// A node of the income committee answers requests with 503.
    BadIncomeRequest(u16),
    /// Every node of a committee answers requests with 503.
    CommitteeDown(Domain),
    /// A node that coordinates gives one leaf's path for another.
    OtherLeafsPath(u16),
    /// A node that coordinates signs the root with a key of its own.
    WrongRootKey(u16),
    /// A node that coordinates answers with the hash of a neighbour's leaf.
    NeighboursLeaf(u16),
    /// A member acknowledged a leaf that nobody asked for, which the coordinator reports.
    UnaskedLeaf(u16),
    /// A node that coordinates keeps the root out of the ledger.
    UnloggedRoot(u16),
    /// A node that coordinates a decision returns a token about another state, signed and logged.
    OtherToken(u16),
    /// A node that coordinates a decision signs with a key of its own.
    WrongTokenKey(u16),
    /// A ledger node returns another entry's receipt.
    OtherReceipt(u16),
    /// Decision nodes say that the nonces have run out.
    NoncesRanOut,
    /// The identity coordinator mixes another person's subject point in.
    TwoPersons(u16),
    /// The income sources are down: every node attests that it does not know.
    NoIncome,
    /// The notifier signs with another key.
    ForgedReply,
    /// The notifier answers with its signed reply about another decision.
    ReplayedReply,
    /// The notifier turns a signed NO into a YES.
    TurnedReply,
    /// The notifier closed the question.
    ClosedReply,
    /// The notifier leaves an event out.
    EventMissing,
    /// The agency signs with another key.
    ForgedAcceptance,
    /// The agency answers about another application.
    OtherAcceptance,
    /// The agency refuses.
    AgencyRefuses,
    /// The agency acts and the answer is lost.
    AgencyAnswerLost,
    /// The agency takes a notice and the answer is lost.
    NoticeAnswerLost,
    /// The agency refuses what it is told.
    NoticeRefused,
    /// The agency does not know the application that it is told of.
    NoticeUnknown,
    /// The agency takes no notices.
    NoticesDown,
    /// The agency's statements are signed with another key.
    ForgedStatement,
    /// The decision is made and every answer is lost.
    DecisionAnswerLost,
    /// The notifier takes the text and its answer is lost.
    TextAnswerLost,
    /// The notifier takes texts that ask and every answer is lost.
    AskAnswersLost,
    /// The notifier does not know the service's token.
    TokenUnknown,
    /// The entry is appended and every answer is lost.
    ReceiptLost,
    /// The physician's practice takes nothing.
    PracticeDown,
    /// The physician's practice does not know the patient.
    PracticeGone,
    /// The insurer's plans are signed by somebody else.
    UnsignedPlans,
    /// The insurer quotes a cent more than its plan file says.
    OtherPremium,
    /// The insurer's policy is not what it signed.
    ForgedPolicy,
    /// The insurer signs a statement that keeps everything.
    ShortRefund,
    /// The insurer acts and the answer is lost.
    InsurerAnswerLost,
    /// The insurer answers no enquiry.
    QuotesDown,
    /// The insurer ends nothing.
    EndingsDown,
}

/// What an owner's handles would say.
#[derive(Clone)]
struct KnownOwner {
    domain: Domain,
    s_d: Point,
    c_person: Point,
}

#[derive(Default)]
struct Memory {
    lies: BTreeSet<Lie>,
    income: i64,
    /// The day of birth; in 1992 where a test says nothing.
    born: Option<contracts::units::Day>,
    /// FIPS 5-2 code of where people live.
    state: i64,
    owners: BTreeMap<Bytes32, KnownOwner>,
    enrolments: BTreeMap<Bytes32, (oracles::wire::enrol::EnrolRequest, Scalar)>,
    persons: BTreeMap<Bytes32, Scalar>,
    requests: BTreeMap<Bytes32, Vec<(LeafKey, Leaf)>>,
    leaves_shown: BTreeMap<Bytes32, Bytes32>,
    decided: BTreeMap<Bytes32, DecideAnswer>,
    entries: Vec<contracts::receipt::Entry>,
    texts: BTreeMap<String, serde_json::Value>,
    filed: BTreeMap<Bytes32, crate::agency::Acceptance>,
    reply: Option<Answer>,
    /// By contact, where it differs.
    replies: BTreeMap<String, Option<Answer>>,
    /// Contacts whose phones are not verified.
    unverified: BTreeSet<String>,
    /// Kind, subject and detail of the notifier's events.
    events: Vec<(String, String, String)>,
    withdrawn: BTreeSet<Bytes32>,
    /// Key, application and notice, each key once.
    notices: Vec<(String, String, crate::agency::StatusNotice)>,
    /// What the agency says of an application.
    said: BTreeMap<String, Vec<crate::agency::What>>,
    /// The flags that the practice was told of.
    alerts: Vec<String>,
    /// Calls by path, without node numbers.
    calls: BTreeMap<String, u32>,
    /// Everything that came in, for canaries.
    heard: Vec<Vec<u8>>,
    /// The insurer's.
    pub(crate) books: insurer::Books,
    watching: watches::Watching,
    /// Presentations that decision nodes accepted.
    shown: Vec<contracts::presentation::Presentation>,
    /// Bytes of sealed requests, by domain, as anybody on the wire sees them.
    request_lengths: BTreeMap<Domain, BTreeSet<usize>>,
}

/// The parties' clock, which a test moves.
#[derive(Default)]
struct MovingClock(AtomicI64);

impl MovingClock {
    fn read(&self) -> Clock {
        Clock::with_offset(self.0.load(Ordering::Relaxed))
    }

    fn now(&self) -> UnixTime {
        self.read().now()
    }

    fn today(&self) -> contracts::units::Day {
        self.read().today()
    }
}

/// The parties' state and keys.
pub(crate) struct Network {
    hpke: BTreeMap<NodeId, NodeKeyPair>,
    root_keys: BTreeMap<Domain, frost_secp256k1::SigningKey>,
    decision_key: SigningKey,
    ledger_key: SigningKey,
    notifier_key: SigningKey,
    agency_key: SigningKey,
    insurer_key: SigningKey,
    insurer_hpke: NodeKeyPair,
    trust: Trust,
    clock: MovingClock,
    memory: Mutex<Memory>,
}

impl Network {
    fn new() -> Self {
        let key = |byte: u8| SigningKey::from_bytes(&[byte; 32]);
        let root_keys: BTreeMap<_, _> = Domain::ALL
            .map(|domain| (domain, frost_secp256k1::SigningKey::new(&mut OsRng)))
            .into();
        let mut committees: Vec<_> = root_keys
            .iter()
            .map(|(domain, key)| CommitteeKey::fact(*domain, 1, &key.into()))
            .collect();
        committees.push(CommitteeKey::decision(1, &key(1).verifying_key()));
        let ledger_key = key(2);
        let trust = Trust::new(
            ISSUER.to_owned(),
            ORIGIN.to_owned(),
            ledger_key.verifying_key(),
            committees,
        );
        Self {
            hpke: (1..=NODES)
                .map(|n| (NodeId::new(n).unwrap(), NodeKeyPair::generate()))
                .collect(),
            root_keys,
            decision_key: key(1),
            ledger_key,
            notifier_key: key(3),
            agency_key: key(4),
            insurer_key: key(5),
            insurer_hpke: NodeKeyPair::generate(),
            trust: trust.unwrap(),
            clock: MovingClock::default(),
            memory: Mutex::new(Memory {
                income: 61_237,
                state: 6,
                reply: Some(Answer::Yes),
                ..Memory::default()
            }),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        work(&mut self.memory.lock().unwrap())
    }

    fn lies(&self, lie: Lie) -> bool {
        self.with(|memory| memory.lies.contains(&lie))
    }

    /// Whether an answer is to be lost, once.
    fn loses(&self, lie: Lie) -> bool {
        self.with(|memory| memory.lies.remove(&lie))
    }

    /// Counts the call and plays dead if told to.
    async fn door(&self, node: u16, path: &str) -> Result<(), Problem> {
        self.with(|memory| *memory.calls.entry(path.to_owned()).or_default() += 1);
        if self.lies(Lie::Hang(node)) {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        if self.lies(Lie::Down(node)) {
            return Err(problem(StatusCode::SERVICE_UNAVAILABLE));
        }
        Ok(())
    }
}

fn node_id(number: u16) -> NodeId {
    NodeId::new(number).unwrap()
}

fn problem(status: StatusCode) -> Problem {
    Problem::new(status, "down", "A test's doing", "")
}

fn lost() -> Problem {
    problem(StatusCode::GATEWAY_TIMEOUT)
}

/// A network, and a profile service in it with a store of its own.
pub(crate) struct World {
    pub(crate) network: web::Data<Network>,
    pub(crate) store: TestStore,
    pub(crate) service: Running,
    pub(crate) client: reqwest::Client,
    pub(crate) config: ProfileConfig,
    server: ServerHandle,
    pub(crate) folder: tempfile::TempDir,
}

/// An enrolled owner.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) profile: Bytes32,
    pub(crate) token: String,
}

pub(crate) const NAVIGATOR: &str = "navigator-token";
pub(crate) const OPERATOR: &str = "operator-token";
/// Of [`AUDIENCE`].
pub(crate) const AGENCY: &str = "agency-token";
pub(crate) const OTHER_AGENCY: &str = "other-agency-token";
pub(crate) const INSURER: &str = "insurer-token";
pub(crate) const SECOND_NAVIGATOR: &str = "second-navigator-token";

/// A key that no other call has.
pub(crate) fn fresh() -> String {
    crate::oracle::random32().to_string()
}

/// A caller as the configuration names it.
pub(crate) fn caller(
    name: &str,
    kind: &str,
    audience: Option<&str>,
    token: &str,
) -> serde_json::Value {
    use sha2::Digest as _;
    let hash = hex::encode(sha2::Sha256::digest(token));
    let mut caller = json!({"name": name, "kind": kind, "token_sha256": hash});
    if let Some(audience) = audience {
        caller["audience"] = json!(audience);
    }
    caller
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// A world whose service is configured differently.
    pub(crate) async fn with(edit: impl FnOnce(&mut ProfileConfig)) -> Self {
        let network = web::Data::new(Network::new());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = network.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::PayloadConfig::new(1 << 20))
                .app_data(web::JsonConfig::default().limit(1 << 20))
                .configure(committees::routes)
                .configure(watches::routes)
                .configure(decision::routes)
                .configure(others::routes)
                .configure(insurer::routes)
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        tokio::spawn(server);

        let folder = tempfile::tempdir().unwrap();
        let store = TestStore::open().await;
        let mut config = config(&base, &network, folder.path(), &store.url);
        edit(&mut config);
        let service = start(config.clone()).await.unwrap();
        Self {
            network,
            store,
            service,
            client: oracles::http::client(),
            config,
            server: handle,
            folder,
        }
    }

    /// Ends the service's process, as far as a test can, and starts another on its database.
    pub(crate) async fn restart(&mut self) {
        let next = start(self.config.clone()).await.unwrap();
        std::mem::replace(&mut self.service, next).stop().await;
    }

    /// Moves everybody's calendar; the service starts again on it.
    pub(crate) async fn sleep_days(&mut self, days: i64) {
        let seconds = days * 86_400;
        self.network.clock.0.fetch_add(seconds, Ordering::Relaxed);
        self.config.clock_offset_seconds += seconds;
        self.restart().await;
    }

    /// As [`World::restart`], on another database.
    pub(crate) async fn move_to(&mut self, database: String) {
        self.store.store = crate::store::Store::open(&database).await.unwrap();
        self.store.url.clone_from(&database);
        self.config.database = database;
        self.restart().await;
    }

    pub(crate) async fn end(self) {
        self.service.stop().await;
        self.server.stop(false).await;
    }

    pub(crate) fn lie(&self, lie: Lie) {
        self.network.with(|memory| memory.lies.insert(lie));
    }

    /// Stops one lie.
    pub(crate) fn recant(&self, lie: Lie) {
        self.network.with(|memory| memory.lies.remove(&lie));
    }

    pub(crate) fn honest(&self) {
        self.network.with(|memory| memory.lies.clear());
    }

    pub(crate) fn set_income(&self, cents: i64) {
        self.network.with(|memory| memory.income = cents);
    }

    pub(crate) fn set_born(&self, born: contracts::units::Day) {
        self.network.with(|memory| memory.born = Some(born));
    }

    pub(crate) fn set_state(&self, fips: i64) {
        self.network.with(|memory| memory.state = fips);
    }

    pub(crate) fn set_reply(&self, reply: Option<Answer>) {
        self.network.with(|memory| memory.reply = reply);
    }

    /// What one phone answers, whatever others do.
    pub(crate) fn set_reply_of(&self, contact: &str, reply: Option<Answer>) {
        self.network
            .with(|memory| memory.replies.insert(contact.to_owned(), reply));
    }

    /// Whether a phone has said YES to the notifier's own question.
    pub(crate) fn set_verified(&self, contact: &str, verified: bool) {
        self.network.with(|memory| match verified {
            true => memory.unverified.remove(contact),
            false => memory.unverified.insert(contact.to_owned()),
        });
    }

    /// Templates of the texts that a contact was sent.
    pub(crate) fn texts_to(&self, contact: &str) -> Vec<String> {
        let texts = self.network_texts().into_iter();
        let theirs = texts.filter(|text| text["contact"] == contact);
        theirs
            .map(|text| text["template"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The agency says something about an application.
    pub(crate) fn says(&self, application: &str, what: crate::agency::What) {
        self.network.with(|memory| {
            memory
                .said
                .entry(application.to_owned())
                .or_default()
                .push(what)
        });
    }

    /// Steps of cover that the ledger holds.
    pub(crate) fn coverage_entries(&self) -> usize {
        let kind = contracts::receipt::EntryKind::CoverageEvent;
        self.network.with(|memory| {
            let entries = memory.entries.iter();
            entries.filter(|entry| entry.kind == kind).count()
        })
    }

    /// What the agency was told.
    pub(crate) fn notices(&self) -> Vec<crate::agency::StatusNotice> {
        let told = |memory: &mut Memory| memory.notices.clone();
        let notices = self.network.with(told).into_iter();
        notices.map(|(_, _, notice)| notice).collect()
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.network.trust
    }
}

pub(crate) fn parse<T: DeserializeOwned>(body: serde_json::Value) -> T {
    serde_json::from_value(body.clone()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

pub(crate) fn code(body: &serde_json::Value) -> &str {
    body["type"]
        .as_str()
        .and_then(|kind| kind.strip_prefix("urn:shp:problem:"))
        .unwrap_or("none")
}

fn config(
    base: &str,
    network: &Network,
    folder: &std::path::Path,
    database: &str,
) -> ProfileConfig {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let trust = serde_json::to_string(&network.trust).unwrap();
    let nodes: Vec<_> = network
        .hpke
        .iter()
        .map(|(id, keys)| json!({"id": id, "url": format!("{base}/n/{id}"), "hpke_key": keys.public(), "hpke_epoch": 1}))
        .collect();
    let committees: Vec<_> = Committee::ALL
        .iter()
        .map(|committee| json!({"committee": committee, "members": [1, 2, 3, 4]}))
        .collect();
    let public = |key: &SigningKey| to_base64url(key.verifying_key().as_bytes());
    let agency = |audience: &str, state: &str| {
        json!({
            "audience": audience, "jurisdiction": state, "url": format!("{base}/agency/applications"),
            "public_key": public(&network.agency_key),
        })
    };
    let config = json!({
        "listen": "127.0.0.1:0",
        "database": database,
        "operator_key": {"file": file("operator.key", &to_base64url([42; 32]))},
        "navigator_token": {"file": file("navigator", NAVIGATOR)},
        "trust": file("trust.json", &trust),
        "nodes": nodes,
        "committees": committees,
        "notifier": {
            "url": format!("{base}/notifier"), "token": {"file": file("notifier", "notifier-token")},
            "public_key": public(&network.notifier_key),
        },
        "agencies": [agency(AUDIENCE, "CA"), agency(OTHER_AUDIENCE, "OR")],
        "enquiries": [
            {"audience": "insurer.one", "kind": "insurer"}, {"audience": "insurer.two", "kind": "insurer"},
            {"audience": "clinic", "kind": "provider"}, {"audience": insurer::INSURER, "kind": "insurer"},
        ],
        "insurers": [{
            "audience": insurer::INSURER, "url": format!("{base}/insurer"), "public_key": public(&network.insurer_key),
        }],
        "practices": [{
            "name": PRACTICE, "url": format!("{base}/practice"), "token": {"file": file("practice", "practice-token")},
        }],
        "callers": [
            caller("ops", "operator", None, OPERATOR), caller("ca", "agency", Some(AUDIENCE), AGENCY),
            caller("or", "agency", Some("us.or.oha"), OTHER_AGENCY),
            caller("insurer", "insurer", Some(insurer::INSURER), INSURER),
            caller("second", "navigator", None, SECOND_NAVIGATOR),
        ],
        "limits": {"owner": 60_000, "navigator": 60_000, "anyone": 60_000},
        "approval": {"wait_seconds": 0, "undo_seconds": 2},
        "worker": {"interval_ms": 20, "lease_seconds": 60, "poll_seconds": 1, "spread_seconds": 0},
        "ask": {"nonce_wait_ms": 300, "call_timeout_ms": 1500, "coordinate_timeout_ms": 1500},
    });
    let text = toml::to_string(&config).unwrap();
    ProfileConfig::parse(&text).unwrap()
}

fn later(now: UnixTime, seconds: i64) -> UnixTime {
    UnixTime(now.0 + seconds)
}
