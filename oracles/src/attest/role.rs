//! The seats of a node on fact committees: HTTP routes, peer calls and the source of what it signs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use actix_web::{HttpResponse, web};
use async_trait::async_trait;
use contracts::attestation::{AttestationKey, CommitteeKeys};
use contracts::encoding::Bytes;
use contracts::ids::{Domain, NodeId};
use contracts::receipt::{Entry, Receipt};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::check::Seat;
use super::collector::{Closing, Collector};
use super::coordinate::{AckAnswer, AckCall, Links, MAX_ACK_ANSWER};
use super::nonce::NonceBook;
use super::plan::BatchPlan;
use super::quota::Quota;
use super::store::AckStore;
use super::{AttestConfig, AttestError, Attestor, Shared};
use crate::ceremony::KeyId;
use crate::ceremony::sign::{self, MessageSource, SignCall, SignTopic};
use crate::http::json_config;
use crate::ledger::{self, Ledger as _};
use crate::node::{Node, Router, StartError};
use crate::peer::{Refusal, Topic};
use crate::problem::Problem;
use crate::sources::Sources;
use crate::wire::attest::{
    AttestCall, MAX_REQUEST_BODY, MAX_SMALL_BODY, NonceRequest, ResealAnswer, ResealCall,
    SealedRequest,
};
use crate::wire::enrol::Recipient;

const ACKS: Topic<AckCall, AckAnswer> =
    Topic::new("attest.acks").with_caps(8 << 10, MAX_ACK_ANSWER);
/// A ceremony led by another member, because the asking one did not acknowledge the batch itself.
const LEAD: Topic<BatchPlan, Signature> =
    Topic::new("attest.lead").with_caps(sign::MAX_CONTEXT_BYTES, 1 << 10);
/// Batches that a node coordinates at once; others wait and grow no more.
const BATCHES_AT_ONCE: usize = 4;
const ROOT: SignTopic<BatchPlan> = SignTopic::new("attest.root");

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    signature: Bytes<65>,
}

/// The committee keys that a node goes by, see [`Node::group_key`].
struct NodeKeys(Arc<Node>);

impl CommitteeKeys for NodeKeys {
    fn attestation_key(&self, committee: Domain, epoch: u64) -> Option<AttestationKey> {
        let key = self.0.group_key(KeyId::Signing(committee.into()), epoch)?;
        let key = Bytes::<33>::from_slice(&key.0).ok()?;
        AttestationKey::from_bytes(&key).ok()
    }
}

/// A node's seats on fact committees.
struct AttestRole {
    node: Arc<Node>,
    shared: Arc<Shared>,
    closing: Closing,
    seats: Mutex<BTreeMap<Domain, Arc<Attestor>>>,
}

impl AttestRole {
    /// The seat as the committee stands now: members and epoch change while the node runs.
    fn seat(&self, domain: Domain) -> Result<Arc<Attestor>, AttestError> {
        let seat = seat(&self.node, domain).filter(|seat| seat.members.contains(&seat.node));
        let seat = seat.ok_or(AttestError::Plan("this node does not sit on the committee"))?;
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        match seats.get(&domain) {
            Some(attestor) if attestor.seat.epoch == seat.epoch => Ok(Arc::clone(attestor)),
            _ => {
                let attestor = Arc::new(Attestor {
                    seat: Arc::new(seat),
                    shared: Arc::clone(&self.shared),
                    collector: Collector::new(self.closing),
                });
                seats.insert(domain, Arc::clone(&attestor));
                Ok(attestor)
            }
        }
    }

    fn reseal(&self, domain: Domain, call: &ResealCall) -> Result<ResealAnswer, AttestError> {
        let recipient = |node: NodeId| {
            let peer = self.node.peers().get(node)?;
            Some(Recipient {
                node,
                key_epoch: peer.hpke_epoch,
                hpke_key: peer.hpke_key,
            })
        };
        let shared = &self.shared;
        let now = shared.clock.now();
        self.seat(domain)?
            .seat
            .reseal(call, shared.keys.as_ref(), recipient, now)
    }

    async fn lead(&self, plan: &BatchPlan) -> Result<Bytes<65>, AttestError> {
        let key = KeyId::Signing(plan.domain.into());
        let signed = sign::sign(&self.node, key, ROOT, plan)
            .await
            .map_err(|error| AttestError::Signing(Box::new(error)))?;
        for fault in &signed.faults {
            tracing::warn!(committee = %plan.domain, %fault, "member did not sign a batch");
        }
        signed
            .signatures
            .first()
            .and_then(|signature| Bytes::from_slice(signature).ok())
            .ok_or(AttestError::Plan("no signature of 65 bytes"))
    }
}

#[async_trait]
impl Links for AttestRole {
    async fn acknowledgements(&self, to: NodeId, call: &AckCall) -> Result<AckAnswer, AttestError> {
        self.node
            .call(to, ACKS, call)
            .await
            .map_err(|error| AttestError::Peer {
                node: to,
                cause: error.to_string(),
            })
    }

    async fn sign(&self, members: &[NodeId], plan: &BatchPlan) -> Result<Bytes<65>, AttestError> {
        if members.contains(&self.node.id()) {
            return self.lead(plan).await;
        }
        let mut last = AttestError::Plan("nobody acknowledged it");
        // A ceremony takes several rounds; the leader bounds each.
        let topic = LEAD.with_timeout(self.node.peers().timeout() * 4);
        for member in members {
            match self.node.call(*member, topic, plan).await {
                Ok(answer) => return Ok(answer.signature),
                Err(error) => {
                    tracing::warn!(committee = %plan.domain, %error, "member did not lead a ceremony");
                    last = AttestError::Peer {
                        node: *member,
                        cause: error.to_string(),
                    };
                }
            }
        }
        Err(last)
    }

    async fn append(&self, entries: &[Entry]) -> Result<Vec<Receipt>, AttestError> {
        ledger::of(&self.node)
            .append(entries)
            .await
            .map_err(|error| AttestError::Ledger(error.to_string()))
    }
}

impl From<AttestError> for Refusal {
    fn from(error: AttestError) -> Self {
        match error {
            AttestError::Db(_) | AttestError::Stored(_) => Self::internal(&error),
            _ => Self::new("attest", error.to_string()),
        }
    }
}

struct RootSource(Arc<AttestRole>);

#[async_trait]
impl MessageSource<BatchPlan> for RootSource {
    async fn messages(
        &self,
        _node: &Arc<Node>,
        call: SignCall,
        plan: BatchPlan,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let asked = plan.domain;
        let attestor = self.0.seat(asked).ok();
        let seat = attestor.filter(|_| call.key == KeyId::Signing(asked.into()));
        let seat = seat.ok_or_else(|| Refusal::new("attest", "no seat on that committee"))?;
        if call.epoch != seat.seat.epoch {
            return Err(Refusal::new("attest", "another epoch"));
        }
        Ok(vec![seat.message(&plan).await?])
    }
}

/// Mounts a node's seats on fact committees, and returns what its seat as a registrar shares with them.
///
/// # Errors
/// [`StartError::Role`] for an unusable `[roles.attest]`.
pub(crate) async fn mount(
    node: &Arc<Node>,
    router: &mut Router,
) -> Result<Arc<Shared>, StartError> {
    let failed = |cause: String| StartError::Role {
        role: "attest",
        cause,
    };
    let config: AttestConfig = node.config().role("attest")?.unwrap_or_default();
    let sources = Sources::new(&config.source, &config.attribute)
        .map_err(|error| failed(error.to_string()))?
        .with_metrics(node.metrics().clone());
    config.check().map_err(failed)?;
    for trusted in &config.committee_key {
        AttestationKey::from_bytes(&trusted.key)
            .map_err(|error| failed(format!("committee_key {}: {error}", trusted.committee)))?;
    }
    let keys = NodeKeys(Arc::clone(node));
    let shared = Arc::new(Shared {
        clock: node.clock(),
        sources: Arc::new(sources),
        nonces: NonceBook::new(),
        store: AckStore::open(node.db().clone()).await?,
        quota: Quota::new(node.db().clone(), config.requests_per_day),
        batches: Semaphore::new(BATCHES_AT_ONCE),
        keys: Arc::new(keys),
        marks: node.marks().clone(),
        registrar: OnceLock::new(),
    });
    let closing = Closing {
        age: Duration::from_millis(config.batch_age_ms),
        leaves: config.batch_leaves,
    };
    let role = Arc::new(AttestRole {
        node: Arc::clone(node),
        shared: Arc::clone(&shared),
        closing,
        seats: Mutex::default(),
    });
    let domains: Vec<Domain> = Domain::ALL
        .into_iter()
        .filter(|domain| node.serves((*domain).into()))
        .collect();
    let answering = Arc::clone(&role);
    router.answers(ACKS, move |_node, from, call| {
        let role = Arc::clone(&answering);
        async move {
            let attestor = role.seat(call.domain).ok();
            let attestor = attestor.filter(|it| it.seat.members.contains(&from));
            let refused = || Refusal::new("attest", "not between members of that committee");
            Ok(attestor
                .ok_or_else(refused)?
                .acknowledgements(&call)
                .await?)
        }
    });
    let answering = Arc::clone(&role);
    router.answers(LEAD, move |_node, from, plan| {
        let role = Arc::clone(&answering);
        async move {
            let seat = role.seat(plan.domain)?;
            if !seat.seat.members.contains(&from) {
                return Err(Refusal::new(
                    "attest",
                    "not between members of that committee",
                ));
            }
            let signature = role.lead(&plan).await?;
            Ok(Signature { signature })
        }
    });
    for domain in &domains {
        let key = KeyId::Signing((*domain).into());
        router.signs(key, ROOT, RootSource(Arc::clone(&role)));
    }
    router.routes(move |config| routes(config, &role, &domains));
    Ok(shared)
}

/// A node's seat on a domain's committee as it stands; none for a committee that it knows nothing of.
pub(crate) fn seat(node: &Arc<Node>, domain: Domain) -> Option<Seat> {
    let standing = node.standing(domain.into())?;
    let own = node.peers().get(node.id())?;
    Some(Seat {
        domain,
        node: node.id(),
        members: standing.members,
        threshold: standing.threshold,
        epoch: standing.epoch,
        hpke_epoch: own.hpke_epoch,
        hpke: node.peers().identity().hpke().clone(),
    })
}

fn routes(config: &mut web::ServiceConfig, role: &Arc<AttestRole>, domains: &[Domain]) {
    for domain in domains.iter().copied() {
        let path = |call: &str| format!("/v1/{domain}/{call}");
        let shared = Arc::clone(role);
        config.service(
            web::resource(path("nonce"))
                .app_data(json_config(MAX_SMALL_BODY))
                .route(web::post().to(move |body: web::Json<NonceRequest>| {
                    let role = Arc::clone(&shared);
                    async move {
                        let answer = role.seat(domain)?.nonce(&body);
                        Ok::<_, Problem>(HttpResponse::Ok().json(answer))
                    }
                })),
        );
        let shared = Arc::clone(role);
        config.service(
            web::resource(path("reseal"))
                .app_data(json_config(MAX_REQUEST_BODY))
                .route(web::post().to(move |body: web::Json<ResealCall>| {
                    let role = Arc::clone(&shared);
                    async move {
                        let answer = role.reseal(domain, &body)?;
                        Ok::<_, Problem>(HttpResponse::Ok().json(answer))
                    }
                })),
        );
        let shared = Arc::clone(role);
        config.service(
            web::resource(path("request"))
                .app_data(json_config(MAX_REQUEST_BODY))
                .route(web::post().to(move |body: web::Json<SealedRequest>| {
                    let role = Arc::clone(&shared);
                    async move {
                        let answer = role.seat(domain)?.request(body.into_inner()).await?;
                        Ok::<_, Problem>(HttpResponse::Ok().json(answer))
                    }
                })),
        );
        let shared = Arc::clone(role);
        config.service(
            web::resource(path("attest"))
                .app_data(json_config(MAX_SMALL_BODY))
                .route(web::post().to(move |body: web::Json<AttestCall>| {
                    let role = Arc::clone(&shared);
                    async move {
                        let links: Arc<dyn Links> = Arc::clone(&role) as _;
                        let seat = role.seat(domain)?;
                        let batches = seat.attest(&body, role.node.runtime(), links).await?;
                        Ok::<_, Problem>(HttpResponse::Ok().json(batches))
                    }
                })),
        );
    }
}
