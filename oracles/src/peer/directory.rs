//! The peers of a node, and calls to them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::encoding::Bytes;
use contracts::ids::NodeId;
use rand_core::{OsRng, RngCore};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::envelope::{Direction, Header, PeerBox, RunId, verify};
use super::{PeerError, Refusal, Topic, boxed_cap, tame, tls};
use crate::clock::Clock;
use crate::config::{NodeConfig, PeerConfig};
use crate::http;
use crate::keys::{KeyError, NodeIdentity};
use crate::metrics::Metrics;

/// First byte of an answer's plaintext.
pub(super) const ANSWER_OK: u8 = 0;
pub(super) const ANSWER_REFUSED: u8 = 1;
pub(super) const ANSWER_OTHER_RUN: u8 = 2;

/// The configured nodes, this node's identity, and a client for each.
#[derive(Debug, Clone)]
pub struct Peers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: NodeId,
    identity: NodeIdentity,
    peers: BTreeMap<NodeId, PeerConfig>,
    clock: Clock,
    timeout: Duration,
    /// A client per node, which takes that node's certificate and no other.
    clients: BTreeMap<NodeId, reqwest::Client>,
    runs: Mutex<HashMap<NodeId, RunId>>,
    metrics: Metrics,
}

impl Peers {
    /// The peers of a configuration, spoken to under `identity`.
    ///
    /// # Errors
    /// [`KeyError::Mismatch`] if the configuration lists other public keys for this node.
    pub fn new(config: &NodeConfig, identity: NodeIdentity) -> Result<Self, KeyError> {
        let peers: BTreeMap<_, _> = config
            .peers
            .iter()
            .map(|peer| (peer.id, peer.clone()))
            .collect();
        let own = peers.get(&config.id);
        if own.is_none_or(|own| {
            let keys = identity.public_keys();
            (own.identity_key, own.hpke_key, own.tls_pin)
                != (keys.identity_key, keys.hpke_key, keys.tls_pin)
        }) {
            return Err(KeyError::Mismatch(
                config.identity_file().display().to_string(),
            ));
        }
        let clients = peers
            .values()
            .map(|peer| {
                let tls = tls::client(peer, &identity).map_err(|_| {
                    KeyError::Malformed(config.identity_file().display().to_string())
                })?;
                let client = http::builder(tls)
                    .build()
                    .expect("a client whose TLS is configured builds");
                Ok((peer.id, client))
            })
            .collect::<Result<_, KeyError>>()?;
        Ok(Self(Arc::new(Inner {
            id: config.id,
            identity,
            peers,
            clock: Clock::with_offset(config.clock_offset_seconds),
            timeout: config.peer_timeout(),
            clients,
            runs: Mutex::default(),
            metrics: Metrics::default(),
        })))
    }

    /// This node.
    pub fn id(&self) -> NodeId {
        self.0.id
    }

    /// This node's keys.
    pub fn identity(&self) -> &NodeIdentity {
        &self.0.identity
    }

    /// A node's entry.
    pub fn get(&self, node: NodeId) -> Option<&PeerConfig> {
        self.0.peers.get(&node)
    }

    /// Every node, this one included, in order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.peers.keys().copied()
    }

    /// The time-out of calls whose topic names none.
    pub fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// What this node counts.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(super) fn clock(&self) -> Clock {
        self.0.clock
    }

    /// Whether `node` signed `message` with its identity key.
    pub fn verify(&self, node: NodeId, message: &[u8], signature: &Bytes<64>) -> bool {
        self.get(node)
            .is_some_and(|peer| verify(peer, message, signature).is_some())
    }

    /// Asks a node over the network; it answers within the topic's time-out or counts as silent.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn call<Req, Resp>(
        &self,
        to: NodeId,
        topic: Topic<Req, Resp>,
        request: &Req,
    ) -> Result<Resp, PeerError>
    where
        Req: Serialize,
        Resp: DeserializeOwned,
    {
        let body = encode(to, request)?;
        let answer = self
            .call_bytes(
                to,
                topic.name(),
                &body,
                topic.max_response(),
                topic.timeout(),
            )
            .await?;
        decode(to, &answer)
    }

    /// As [`Self::call`], on encoded messages.
    pub(crate) async fn call_bytes(
        &self,
        to: NodeId,
        topic: &str,
        body: &[u8],
        max_response: usize,
        timeout: Option<Duration>,
    ) -> Result<Vec<u8>, PeerError> {
        let timeout = timeout.unwrap_or(self.0.timeout);
        let answer = self.exchange_twice(to, topic, body, max_response);
        let answer = tokio::time::timeout(timeout, answer)
            .await
            .unwrap_or_else(|_| {
                Err(PeerError::Silent {
                    node: to,
                    cause: format!("no answer within {} ms", timeout.as_millis()),
                })
            });
        let outcome = match &answer {
            Ok(_) => "answered",
            Err(PeerError::Silent { .. }) => "silent",
            Err(PeerError::Refused { .. }) => "refused",
            Err(PeerError::Invalid { .. } | PeerError::Unknown(_)) => "invalid",
        };
        self.0.metrics.peer_call(to, topic, outcome);
        answer
    }

    /// A node that was started anew since the last message says so once, and is asked again.
    async fn exchange_twice(
        &self,
        to: NodeId,
        topic: &str,
        body: &[u8],
        max_response: usize,
    ) -> Result<Vec<u8>, PeerError> {
        for _ in 0..2 {
            if let Some(answer) = self.exchange(to, topic, body, max_response).await? {
                return Ok(answer);
            }
        }
        Err(PeerError::Silent {
            node: to,
            cause: "the node keeps restarting".to_owned(),
        })
    }

    async fn exchange(
        &self,
        to: NodeId,
        topic: &str,
        body: &[u8],
        max_response: usize,
    ) -> Result<Option<Vec<u8>>, PeerError> {
        let peer = self.get(to).ok_or(PeerError::Unknown(to))?;
        let invalid = |cause: &dyn std::fmt::Display| PeerError::Invalid {
            node: to,
            cause: tame(&cause.to_string(), 512),
        };
        let mut message = Bytes([0; 16]);
        OsRng.fill_bytes(&mut message.0);
        let run = self.runs().get(&to).copied().unwrap_or(Bytes([0; 16]));
        let header = Header {
            direction: Direction::Request,
            from: self.0.id,
            to,
            topic: topic.to_owned(),
            run,
            message,
            issued_at: self.0.clock.now(),
            key_epoch: peer.hpke_epoch,
        };
        let sealed =
            PeerBox::seal(&self.0.identity, header, peer, body).map_err(|error| invalid(&error))?;
        let url = format!("{}/peer/{topic}", peer.peer_url.trim_end_matches('/'));
        let client = self.0.clients.get(&to).ok_or(PeerError::Unknown(to))?;
        let request = client.post(url).json(&sealed);
        let answer: PeerBox = http::send_json(request, boxed_cap(max_response))
            .await
            .map_err(|error| match error {
                http::HttpError::Transport(cause) => PeerError::Silent { node: to, cause },
                other => invalid(&other),
            })?;
        let header = &answer.header;
        let bound = header.direction == Direction::Response
            && header.from == to
            && header.to == self.0.id
            && header.topic == topic
            && header.message == message;
        if !bound {
            return Err(invalid(&"the answer belongs to another message"));
        }
        let plaintext = answer
            .open(&self.0.identity, peer)
            .map_err(|error| invalid(&error))?;
        match plaintext.split_first() {
            Some((&ANSWER_OK, body)) => Ok(Some(body.to_vec())),
            Some((&ANSWER_REFUSED, body)) => Err(PeerError::Refused {
                node: to,
                refusal: serde_json::from_slice::<Refusal>(body)
                    .map_err(|_| invalid(&"not a refusal"))?
                    .tamed(),
            }),
            Some((&ANSWER_OTHER_RUN, _)) => {
                self.runs().insert(to, header.run);
                Ok(None)
            }
            _ => Err(invalid(&"neither an answer nor a refusal")),
        }
    }

    fn runs(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, RunId>> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn encode<T: Serialize>(to: NodeId, value: &T) -> Result<Vec<u8>, PeerError> {
    serde_json::to_vec(value).map_err(|_| PeerError::Invalid {
        node: to,
        cause: "the request has no JSON form".to_owned(),
    })
}

pub(crate) fn decode<T: DeserializeOwned>(from: NodeId, bytes: &[u8]) -> Result<T, PeerError> {
    serde_json::from_slice(bytes).map_err(|error| PeerError::Invalid {
        node: from,
        cause: format!(
            "{:?} error in the answer at column {}",
            error.classify(),
            error.column()
        ),
    })
}
