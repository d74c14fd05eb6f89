//! The ledger as a role of a node: peer calls, the signing ceremony's source, and the start after key generation.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::checkpoint::is_origin;
use contracts::encoding::Bytes;
use contracts::ids::{Committee, NodeId, quorum};
use contracts::receipt::EntryKind;
use contracts::trust::CommitteeKey;
use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::message::{Answer, Call, Identity, Lock, MAX_MEMBERS, Members};
use super::{Client, Ledger, LedgerError, Links, Member, Store, genesis, http};
use crate::ceremony::KeyId;
use crate::ceremony::sign::{self, MessageSource, SignCall, SignTopic};
use crate::node::{Node, Router, StartError};
use crate::peer::{PeerError, Refusal, Topic};

/// Calls from node to ledger member. The largest: a proposal with its view's certificate, or a range of entries.
pub(super) const CALL: Topic<Call, Answer> = Topic::new("ledger.call").with_caps(2 << 20, 2 << 20);
/// Checkpoints, by the lock of their position.
const CHECKPOINT: SignTopic<Lock> = SignTopic::new("ledger.checkpoint");
/// Pause between tries to start.
const START_PAUSE: Duration = Duration::from_millis(250);
/// How often a member asks the others whether it missed anything.
const CATCH_UP_EVERY: Duration = Duration::from_secs(15);

/// `[roles.ledger]`, on every node that appends or verifies receipts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerConfig {
    /// The log's unique name, such as `ledger.example.org/log`; a C2SP key name.
    pub origin: String,
    /// Keys of committees that this node does not sit on.
    #[serde(default)]
    pub committee_keys: Vec<CommitteeKey>,
}

impl LedgerConfig {
    /// This node's.
    ///
    /// # Errors
    /// [`LedgerError::NotReady`].
    pub fn of(node: &Node) -> Result<Self, LedgerError> {
        let not_ready = |cause: String| LedgerError::NotReady(cause);
        let config: Self = node
            .config()
            .role("ledger")
            .map_err(|error| not_ready(error.to_string()))?
            .ok_or_else(|| {
                not_ready(
                    "configuration section roles.ledger is missing: write origin = \"NAME\""
                        .to_owned(),
                )
            })?;
        if !is_origin(&config.origin) {
            return Err(not_ready(
                "configuration field roles.ledger.origin: write a name without white space or plus sign"
                    .to_owned(),
            ));
        }
        Ok(config)
    }

    /// The ledger committee's key: that of this node's share, else the configured one.
    ///
    /// # Errors
    /// [`LedgerError::NotReady`].
    pub fn ledger_key(&self, node: &Node) -> Result<VerifyingKey, LedgerError> {
        let epoch = node.epoch(Committee::Ledger);
        let key = node.group_key(KeyId::Signing(Committee::Ledger), epoch);
        key.and_then(|key| Bytes::<32>::from_slice(&key.0).ok())
            .and_then(|key| contracts::jwk::ed25519_key(&key.0).ok())
            .ok_or_else(|| {
                LedgerError::NotReady(format!(
                    "no ledger key of epoch {epoch}: run the key generation"
                ))
            })
    }
}

struct NodeIdentity(Arc<Node>);

impl Identity for NodeIdentity {
    fn sign(&self, message: &[u8]) -> Bytes<64> {
        self.0.peers().identity().sign(message)
    }

    fn verify(&self, node: NodeId, message: &[u8], signature: &Bytes<64>) -> bool {
        self.0.peers().verify(node, message, signature)
    }
}

struct NodeLinks(Arc<Node>);

#[async_trait]
impl Links for NodeLinks {
    async fn call(&self, to: NodeId, call: &Call, wait: Duration) -> Result<Answer, LedgerError> {
        let answer = self.0.call(to, CALL.with_timeout(wait), call).await;
        answer.map_err(|error| LedgerError::Peer {
            node: to,
            cause: match error {
                PeerError::Silent { cause, .. } => format!("silent: {cause}"),
                PeerError::Refused { refusal, .. } => refusal.to_string(),
                other => other.to_string(),
            },
        })
    }

    async fn sign(&self, _members: &[NodeId], lock: &Lock) -> Result<Bytes<64>, LedgerError> {
        let key = KeyId::Signing(Committee::Ledger);
        let signed = sign::sign(&self.0, key, CHECKPOINT, lock)
            .await
            .map_err(|error| LedgerError::Signing(error.to_string()))?;
        for fault in &signed.faults {
            tracing::warn!(%fault, "ledger member did not sign a checkpoint");
        }
        signed
            .signatures
            .first()
            .and_then(|signature| Bytes::from_slice(signature).ok())
            .ok_or_else(|| LedgerError::Signing("no 64-byte signature".to_owned()))
    }

    async fn witnessed(&self) -> Result<(), LedgerError> {
        let marks = self.0.marks();
        let recorded = marks.record(Committee::Ledger).await;
        recorded.map_err(|error| LedgerError::Unsure(error.to_string()))
    }
}

/// The ledger role of a node: a member once the committee's key exists.
pub struct LedgerRole {
    node: Arc<Node>,
    /// The member, as of an epoch of the committee; another epoch may have other members.
    member: Mutex<Option<(u64, Arc<Member>)>>,
    pub(super) appends: http::RateLimit,
}

impl LedgerRole {
    /// This node's member.
    ///
    /// # Errors
    /// [`LedgerError::NotReady`] before key generation; [`LedgerError::Damaged`] or a database error.
    pub async fn member(&self) -> Result<Arc<Member>, LedgerError> {
        let epoch = self.node.epoch(Committee::Ledger);
        let mut member = self.member.lock().await;
        match member.as_ref() {
            Some((of, member)) if *of == epoch => Ok(Arc::clone(member)),
            // Who left the committee says what it holds, for as long as it runs: newcomers ask for it.
            Some((_, left)) if !self.sits(epoch) => Ok(Arc::clone(left)),
            earlier => {
                if let Some((_, earlier)) = earlier {
                    earlier.retire().await;
                }
                let opened = self.open(epoch).await?;
                *member = Some((epoch, Arc::clone(&opened)));
                Ok(opened)
            }
        }
    }

    /// Whether this node has a share of the committee's key in an epoch.
    fn sits(&self, epoch: u64) -> bool {
        let key = KeyId::Signing(Committee::Ledger);
        self.node.keys().get(key, epoch).is_ok()
    }

    async fn open(&self, epoch: u64) -> Result<Arc<Member>, LedgerError> {
        let node = &self.node;
        let config = LedgerConfig::of(node)?;
        let record = node
            .keys()
            .get(KeyId::Signing(Committee::Ledger), epoch)
            .map_err(|error| LedgerError::NotReady(error.to_string()))?;
        let key = config.ledger_key(node)?;
        let mut nodes = record.members.clone();
        nodes.sort_unstable();
        if nodes.len() > MAX_MEMBERS {
            return Err(LedgerError::TooMany);
        }
        let store = Store::open(node.db().clone(), &config.origin, &key).await?;
        let vouched = {
            let (node, told) = (node.clone(), config.committee_keys.clone());
            Arc::new(move || genesis(node.keys(), &told, &node.announced().statements()))
        };
        let (former, since) = former(node, &nodes);
        Ok(Arc::new(Member::new(
            node.id(),
            Members {
                origin: config.origin,
                nodes,
                threshold: record.threshold,
                former,
                since,
            },
            Arc::new(NodeIdentity(node.clone())),
            key,
            Arc::new(NodeLinks(node.clone())),
            vouched,
            store,
        )))
    }

    /// Whether a node may ask this of a member.
    fn allow(&self, from: NodeId, call: &Call) -> Result<(), LedgerError> {
        let sits = |committee: Committee| {
            self.node
                .standing(committee)
                .is_some_and(|standing| standing.members.contains(&from))
        };
        // Between two epochs a member keeps what it has and takes part in nothing new.
        let epoch = self.node.epoch(Committee::Ledger);
        if self.node.keys().is_changing(Committee::Ledger, epoch)
            && !matches!(call, Call::State | Call::Receipt(_) | Call::Entries { .. })
        {
            return Err(LedgerError::NotReady(
                "the ledger committee is changing epochs; ask again in a moment".to_owned(),
            ));
        }
        match call {
            Call::Append(entries) => entries.iter().try_for_each(|entry| {
                let may = match entry.kind {
                    EntryKind::AttestationRoot => Committee::ALL
                        .into_iter()
                        .any(|committee| committee.domain().is_some() && sits(committee)),
                    EntryKind::Decision => sits(Committee::Decision),
                    EntryKind::Reproofing => sits(Committee::Identity),
                    // Keys and contracts are compared with what the member itself knows.
                    EntryKind::CommitteeKey | EntryKind::Contract => true,
                    // An owner's, forwarded.
                    EntryKind::Approval
                    | EntryKind::Application
                    | EntryKind::CoverageEvent
                    | EntryKind::Grant => true,
                };
                may.then_some(()).ok_or(LedgerError::NotAllowed {
                    node: from,
                    kind: entry.kind,
                })
            }),
            Call::State | Call::Receipt(_) | Call::Find(_) => Ok(()),
            _ if sits(Committee::Ledger) => Ok(()),
            _ => Err(LedgerError::Evidence(
                "call: only members of the ledger committee may",
            )),
        }
    }

    async fn answer(&self, from: NodeId, call: Call) -> Result<Answer, LedgerError> {
        self.allow(from, &call)?;
        Ok(self.member().await?.answer(from, call).await)
    }

    /// Waits until it is time to catch up again, or the committee has changed.
    async fn pause(&self, member: &Arc<Member>) {
        let mut left = CATCH_UP_EVERY;
        while let Some(next) = left.checked_sub(START_PAUSE) {
            tokio::time::sleep(START_PAUSE).await;
            left = next;
            match self.member().await {
                Ok(now) if Arc::ptr_eq(&now, member) => {}
                _ => return,
            }
        }
    }

    /// Starts the member once the committee's keys exist, hears the others, enters genesis, then keeps up.
    async fn run(self: Arc<Self>) {
        let mut said = String::new();
        let mut say = |error: &LedgerError| {
            let error = error.to_string();
            if error != said {
                tracing::info!(%error, "ledger member waits");
                said = error;
            }
        };
        let mut entered = 0;
        loop {
            let member = match self.member().await {
                Ok(member) => member,
                Err(error) => {
                    say(&error);
                    tokio::time::sleep(START_PAUSE).await;
                    continue;
                }
            };
            if !member.recovered()
                && let Err(error) = member.recover().await
            {
                say(&error);
                tokio::time::sleep(START_PAUSE).await;
                continue;
            }
            let entries = match LedgerConfig::of(&self.node) {
                Ok(config) => genesis(self.node.keys(), &config.committee_keys, &[]),
                Err(_) => Vec::new(),
            };
            if entries.len() > entered {
                // The first sequencer enters them; the others make sure later.
                if member.members().sequencer(0) != Some(self.node.id()) {
                    tokio::time::sleep(CATCH_UP_EVERY).await;
                }
                match member.append(&entries).await {
                    Ok(_) => entered = entries.len(),
                    Err(error) => tracing::warn!(%error, "genesis entries are not in the log yet"),
                }
            }
            self.pause(&member).await;
            for other in &member.members().nodes {
                if *other != self.node.id() {
                    // A silent peer is nothing new to do anything about here.
                    let _ = member.catch_up_from(*other).await;
                }
            }
        }
    }
}

impl LedgerRole {
    /// Takes part again after this member forgot what it acknowledged: in no view in which it may have.
    async fn rejoin(&self) -> Result<(), LedgerError> {
        let member = self.member().await?;
        member.recover().await?;
        member.skip_views().await
    }
}

struct CheckpointSource(Arc<LedgerRole>);

#[async_trait]
impl MessageSource<Lock> for CheckpointSource {
    async fn messages(
        &self,
        _node: &Arc<Node>,
        _call: SignCall,
        lock: Lock,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let member = self.0.member().await?;
        Ok(vec![member.checkpoint_body(&lock).await?.into_bytes()])
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Db(_) => Self::internal(&error),
            _ => Self::new("ledger", error.to_string()),
        }
    }
}

/// The members of past epochs, whose locks this log may rest on, and the epoch since which `present` are the members.
fn former(node: &Node, present: &[NodeId]) -> (Vec<(Vec<NodeId>, u16)>, u64) {
    let (mut all, mut since) = (Vec::new(), 0);
    for change in node.keys().changes() {
        let statement = &change.statement;
        if statement.committee != Committee::Ledger {
            continue;
        }
        let mut nodes = statement.former.clone();
        nodes.sort_unstable();
        if nodes != present {
            since = statement.epoch;
        }
        let count = u16::try_from(nodes.len()).unwrap_or(u16::MAX);
        all.push((nodes, quorum(count)));
    }
    (all, since)
}

/// Mounts the ledger on a node that sits on its committee.
///
/// # Errors
/// [`StartError::Role`] for an unusable `[roles.ledger]`.
pub async fn mount(node: &Arc<Node>, router: &mut Router) -> Result<(), StartError> {
    if !node.serves(Committee::Ledger) {
        return Ok(());
    }
    if !node.config().roles.contains_key("ledger") {
        // Enough to generate keys with; every use of the ledger says what is missing.
        tracing::warn!("configuration section roles.ledger is missing: this node keeps no log");
        return Ok(());
    }
    LedgerConfig::of(node).map_err(|error| StartError::Role {
        role: "ledger",
        cause: error.to_string(),
    })?;
    let role = Arc::new(LedgerRole {
        node: node.clone(),
        member: Mutex::default(),
        appends: http::RateLimit::default(),
    });
    let answering = role.clone();
    router.answers(CALL, move |_node, from, call| {
        let role = answering.clone();
        async move { role.answer(from, call).await.map_err(Refusal::from) }
    });
    router.signs(
        KeyId::Signing(Committee::Ledger),
        CHECKPOINT,
        CheckpointSource(role.clone()),
    );
    let serving = role.clone();
    router.routes(move |config| http::routes(config, &serving));
    let rejoining = Arc::downgrade(&role);
    node.marks().rejoin_ledger(Box::new(move || {
        let role = rejoining.upgrade();
        Box::pin(async move {
            let role = role.ok_or_else(|| "the node stops".to_owned())?;
            role.rejoin().await.map_err(|error| error.to_string())
        })
    }));
    node.spawn(role.run());
    Ok(())
}

/// The ledger as this node uses it, whether it is a member or not.
pub fn of(node: &Arc<Node>) -> Client {
    Client::new(node)
}
