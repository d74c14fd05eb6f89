//! An in-memory network of real members, with real stores and signatures, and its faults.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use contracts::encoding::Bytes;
use contracts::ids::NodeId;
use contracts::receipt::{Entry, EntryKind};
use contracts::trust::Trust;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use frost_ed25519 as frost;
use rand_core::OsRng;

use crate::ledger::message::{Answer, Call, Identity, Lock, Members};
use crate::ledger::{LedgerError, Links, Member, Store};

/// Nodes that have a share of the key, of which three sign.
const NODES: u16 = 8;

pub const ORIGIN: &str = "ledger.test/log";

pub fn node(n: u16) -> NodeId {
    NodeId::new(n).unwrap()
}

pub fn entry(kind: EntryKind, n: u64) -> Entry {
    Entry::new(kind, &Bytes([7; 32]), &n)
}

pub fn decision(n: u64) -> Entry {
    entry(EntryKind::Decision, n)
}

pub struct Keys {
    identities: BTreeMap<NodeId, SigningKey>,
    shares: BTreeMap<NodeId, frost::keys::KeyPackage>,
    public: frost::keys::PublicKeyPackage,
}

struct TestIdentity {
    me: NodeId,
    keys: Arc<Keys>,
}

impl Identity for TestIdentity {
    fn sign(&self, message: &[u8]) -> Bytes<64> {
        Bytes(self.keys.identities[&self.me].sign(message).to_bytes())
    }

    fn verify(&self, node: NodeId, message: &[u8], signature: &Bytes<64>) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.keys.identities.get(&node).is_some_and(|key| {
            key.verifying_key()
                .verify_strict(message, &signature)
                .is_ok()
        })
    }
}

#[derive(Default)]
pub struct Faults {
    pub dead: HashSet<NodeId>,
    /// This node dies when it asks for a signature.
    pub dies_before_signing: Option<NodeId>,
    /// This node dies when the signature is made, before it tells anybody.
    pub dies_after_signing: Option<NodeId>,
}

pub struct Network {
    folder: tempfile::TempDir,
    keys: Arc<Keys>,
    /// Whoever starts from now on sits on this committee.
    pub committee: RwLock<Members>,
    members: RwLock<HashMap<NodeId, Arc<Member>>>,
    pools: Mutex<HashMap<NodeId, sqlx::AnyPool>>,
    pub faults: Mutex<Faults>,
}

struct TestLinks {
    me: NodeId,
    network: Arc<Network>,
}

impl Network {
    pub fn new() -> Arc<Self> {
        let (shares, public) = frost::keys::generate_with_dealer(
            NODES,
            3,
            frost::keys::IdentifierList::Default,
            OsRng,
        )
        .unwrap();
        let mut by_node = BTreeMap::new();
        for n in 1..=NODES {
            let share = shares[&frost::Identifier::try_from(n).unwrap()].clone();
            by_node.insert(node(n), share.try_into().unwrap());
        }
        Arc::new(Self {
            folder: tempfile::tempdir().unwrap(),
            keys: Arc::new(Keys {
                identities: (1..=NODES)
                    .map(|n| (node(n), SigningKey::generate(&mut OsRng)))
                    .collect(),
                shares: by_node,
                public,
            }),
            committee: RwLock::new(Members {
                origin: ORIGIN.to_owned(),
                nodes: (1..=4).map(node).collect(),
                threshold: 3,
                former: Vec::new(),
                since: 0,
            }),
            members: RwLock::default(),
            pools: Mutex::default(),
            faults: Mutex::default(),
        })
    }

    pub async fn started() -> Arc<Self> {
        let network = Self::new();
        for n in 1..=4 {
            network.start(n).await.unwrap();
        }
        for n in 1..=4 {
            network.member(n).recover().await.unwrap();
        }
        network
    }

    pub fn key(&self) -> VerifyingKey {
        let bytes = self.keys.public.verifying_key().serialize().unwrap();
        VerifyingKey::from_bytes(bytes.as_slice().try_into().unwrap()).unwrap()
    }

    pub fn trust(&self) -> Trust {
        Trust::new("https://i.test".into(), ORIGIN.into(), self.key(), vec![]).unwrap()
    }

    pub fn file(&self, n: u16) -> PathBuf {
        self.folder.path().join(format!("{n}.db"))
    }

    pub async fn start(self: &Arc<Self>, n: u16) -> Result<Arc<Member>, LedgerError> {
        // What a killed process had under way ends with it: no task of it writes to the file any more.
        let earlier = self.pools.lock().unwrap().remove(&node(n));
        if let Some(earlier) = earlier {
            earlier.close().await;
        }
        let pool = crate::db::connect(&crate::db::sqlite_url(&self.file(n))).await?;
        self.pools.lock().unwrap().insert(node(n), pool.clone());
        let store = Store::open(pool, ORIGIN, &self.key()).await?;
        let member = Arc::new(Member::new(
            node(n),
            self.committee.read().unwrap().clone(),
            Arc::new(TestIdentity {
                me: node(n),
                keys: self.keys.clone(),
            }),
            self.key(),
            Arc::new(TestLinks {
                me: node(n),
                network: self.clone(),
            }),
            Arc::new(|| vec![entry(EntryKind::Contract, 1)]),
            store,
        ));
        self.faults.lock().unwrap().dead.remove(&node(n));
        self.members
            .write()
            .unwrap()
            .insert(node(n), member.clone());
        Ok(member)
    }

    pub fn member(&self, n: u16) -> Arc<Member> {
        self.members.read().unwrap()[&node(n)].clone()
    }

    pub fn kill(&self, n: NodeId) {
        self.faults.lock().unwrap().dead.insert(n);
        self.members.write().unwrap().remove(&n);
    }

    pub fn alive(&self, n: NodeId) -> Option<Arc<Member>> {
        if self.faults.lock().unwrap().dead.contains(&n) {
            return None;
        }
        self.members.read().unwrap().get(&n).cloned()
    }

    pub async fn execute(&self, n: u16, sql: &'static str) {
        let pool = crate::db::connect(&crate::db::sqlite_url(&self.file(n)))
            .await
            .unwrap();
        sqlx::query(sql).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// A copy of a node's database, taken while it runs.
    pub async fn back_up(&self, n: u16) -> PathBuf {
        let copy = self.folder.path().join(format!("{n}.backup"));
        let pool = crate::db::connect(&crate::db::sqlite_url(&self.file(n)))
            .await
            .unwrap();
        sqlx::query("VACUUM INTO $1")
            .bind(copy.display().to_string())
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
        copy
    }

    pub async fn restore(&self, n: u16, copy: &PathBuf) {
        self.kill(node(n));
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", self.file(n).display()));
        }
        std::fs::copy(copy, self.file(n)).unwrap();
    }
}

#[async_trait]
impl Links for TestLinks {
    async fn call(&self, to: NodeId, call: &Call, wait: Duration) -> Result<Answer, LedgerError> {
        let gone = |cause: &str| LedgerError::Peer {
            node: to,
            cause: cause.to_owned(),
        };
        if self.network.alive(self.me).is_none() {
            return Err(gone("this node is dead"));
        }
        // What crosses the wire is JSON.
        let call: Call = serde_json::from_slice(&serde_json::to_vec(call).unwrap()).unwrap();
        let member = self
            .network
            .alive(to)
            .ok_or_else(|| gone("connection refused"))?;
        let answer = tokio::time::timeout(wait, member.answer(self.me, call))
            .await
            .map_err(|_| gone("timed out"))?;
        if self.network.alive(to).is_none() {
            return Err(gone("connection broken"));
        }
        Ok(serde_json::from_slice(&serde_json::to_vec(&answer).unwrap()).unwrap())
    }

    async fn sign(&self, members: &[NodeId], lock: &Lock) -> Result<Bytes<64>, LedgerError> {
        let dies = self.network.faults.lock().unwrap().dies_before_signing == Some(self.me);
        if dies {
            self.network.kill(self.me);
            return Err(LedgerError::Signing("dead".to_owned()));
        }
        let mut bodies = BTreeMap::new();
        for n in members {
            let Some(member) = self.network.alive(*n) else {
                continue;
            };
            let lock = serde_json::from_slice(&serde_json::to_vec(lock).unwrap()).unwrap();
            if let Ok(body) = member.checkpoint_body(&lock).await {
                bodies.insert(*n, body);
            }
        }
        if bodies.len() < 3 {
            return Err(LedgerError::Signing(format!("{} signers", bodies.len())));
        }
        let keys = &self.network.keys;
        let body = bodies.values().next().unwrap().clone();
        let mut nonces = BTreeMap::new();
        let mut commitments = BTreeMap::new();
        for n in bodies.keys().take(3) {
            let share = &keys.shares[n];
            let (nonce, commitment) = frost::round1::commit(share.signing_share(), &mut OsRng);
            nonces.insert(*n, nonce);
            commitments.insert(*share.identifier(), commitment);
        }
        let package = frost::SigningPackage::new(commitments, body.as_bytes());
        let mut shares = BTreeMap::new();
        for (n, nonce) in &nonces {
            let share = &keys.shares[n];
            let signed = frost::round2::sign(&package, nonce, share).unwrap();
            shares.insert(*share.identifier(), signed);
        }
        let signature = frost::aggregate(&package, &shares, &keys.public).unwrap();
        let dies = self.network.faults.lock().unwrap().dies_after_signing == Some(self.me);
        if dies {
            self.network.kill(self.me);
        }
        Ok(Bytes::from_slice(&signature.serialize().unwrap()).unwrap())
    }
}
