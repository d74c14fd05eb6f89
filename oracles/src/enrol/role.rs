//! A node's seat as a registrar: HTTP routes, peer calls and the source of the handles that it signs.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use async_trait::async_trait;
use contracts::encoding::Bytes;
use contracts::ids::{Domain, NodeId};
use contracts::receipt::{Entry, Receipt};

use super::complete::PrepareError;
use super::pending::Waiting;
use super::registrar::{Enrolment, Handles, PrepareAnswer, Registrar};
use super::registry::Registry;
use super::{EnrolConfig, EnrolError, Links};
use crate::attest::{Shared, seat};
use crate::ceremony::KeyId;
use crate::ceremony::oprf::Evaluation;
use crate::ceremony::sign::{self, MessageSource, SignCall, SignTopic};
use crate::http::json_config;
use crate::ledger::{self, Ledger as _};
use crate::node::{Node, Router, StartError};
use crate::peer::{PeerError, Refusal, Topic};
use crate::problem::Problem;
use crate::wire::attest::{MAX_SMALL_BODY, NonceRequest};
use crate::wire::enrol::{EnrolCall, EnrolSubmission, MAX_SUBMISSION_BODY, NoticeCall, Recipient};

const SHARE: Topic<Enrolment, Evaluation> = Topic::new("enrol.share").with_caps(1 << 10, 1 << 10);
const PREPARE: Topic<Enrolment, PrepareAnswer> =
    Topic::new("enrol.prepare").with_caps(1 << 10, 1 << 10);
const HANDLES: SignTopic<Handles> = SignTopic::new("enrol.handles");
/// Code of the refusal when another enrolment holds the person.
const TAKEN: &str = "enrolled";

struct NodeLinks(Arc<Node>);

#[async_trait]
impl Links for NodeLinks {
    async fn share(&self, to: NodeId, call: &Enrolment) -> Result<Evaluation, EnrolError> {
        Ok(self.0.call(to, SHARE, call).await?)
    }

    async fn prepare(&self, to: NodeId, call: &Enrolment) -> Result<PrepareAnswer, PrepareError> {
        // A member asks the others for shares before it answers.
        let topic = PREPARE.with_timeout(self.0.peers().timeout() * 2);
        self.0
            .call(to, topic, call)
            .await
            .map_err(|error| match error {
                PeerError::Refused { refusal, .. } if refusal.code == TAKEN => PrepareError::Taken,
                PeerError::Silent { .. } => PrepareError::Silent,
                other => PrepareError::Refused(other.to_string()),
            })
    }

    async fn enter(&self, entry: Entry) -> Result<Option<Receipt>, EnrolError> {
        if !self.0.config().roles.contains_key("ledger") {
            return Ok(None);
        }
        let receipts = ledger::of(&self.0)
            .append(&[entry])
            .await
            .map_err(|error| EnrolError::Unledgered(error.to_string()))?;
        Ok(receipts.into_iter().next())
    }

    async fn sign(&self, call: &Handles) -> Result<Vec<Bytes<65>>, EnrolError> {
        let key = KeyId::Signing(Domain::Identity.into());
        let signed = sign::sign(&self.0, key, HANDLES, call)
            .await
            .map_err(|error| EnrolError::Signing(Box::new(error)))?;
        for fault in &signed.faults {
            tracing::warn!(%fault, "member did not sign an enrolment");
        }
        signed
            .signatures
            .iter()
            .map(|signature| Bytes::from_slice(signature))
            .collect::<Result<_, _>>()
            .map_err(|_| EnrolError::Internal("a signature is not of 65 bytes"))
    }

    fn members(&self, domain: Domain) -> Vec<Recipient> {
        let standing = self.0.standing(domain.into());
        let members = standing.map(|standing| standing.members);
        members
            .unwrap_or_default()
            .iter()
            .filter_map(|node| self.0.peers().get(*node))
            .map(|peer| Recipient {
                node: peer.id,
                key_epoch: peer.hpke_epoch,
                hpke_key: peer.hpke_key,
            })
            .collect()
    }
}

impl From<EnrolError> for Refusal {
    fn from(error: EnrolError) -> Self {
        match error {
            EnrolError::Taken => Self::new(TAKEN, error.to_string()),
            EnrolError::Db(_) | EnrolError::Internal(_) => Self::internal(&error),
            _ => Self::new("enrol", error.to_string()),
        }
    }
}

struct HandleSource(Arc<Registrar>);

#[async_trait]
impl MessageSource<Handles> for HandleSource {
    async fn messages(
        &self,
        _node: &Arc<Node>,
        call: SignCall,
        handles: Handles,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        if call.epoch != self.0.seat().epoch {
            return Err(Refusal::new("enrol", "another epoch"));
        }
        Ok(self.0.messages(&handles).await?)
    }
}

/// Mounts a node's seat as a registrar, if it sits on the identity committee and has `[roles.enrol]`.
///
/// # Errors
/// [`StartError::Role`] for an unusable `[roles.enrol]`.
pub(crate) async fn mount(
    node: &Arc<Node>,
    router: &mut Router,
    shared: &Arc<Shared>,
) -> Result<(), StartError> {
    let Some(config) = node.config().role::<EnrolConfig>("enrol")? else {
        return Ok(());
    };
    let failed = |cause: String| StartError::Role {
        role: "enrol",
        cause,
    };
    config
        .check(&shared.sources)
        .map_err(|error| failed(error.to_string()))?;
    if !node.serves(Domain::Identity.into()) || seat(node, Domain::Identity).is_none() {
        return Err(failed(
            "this node does not sit on the identity committee".to_owned(),
        ));
    }
    let registrar = Arc::new(Registrar {
        shared: Arc::clone(shared),
        config,
        registry: Registry::open(node.db().clone()).await?,
        waiting: Waiting::default(),
        node: Arc::clone(node),
    });
    // Set once: a node is mounted once.
    let _ = shared.registrar.set(Arc::clone(&registrar));

    let answering = Arc::clone(&registrar);
    router.answers(SHARE, move |_node, from, call| {
        let registrar = Arc::clone(&answering);
        async move {
            member(&registrar, from)?;
            Ok(registrar.share(from, &call).await?)
        }
    });
    let answering = Arc::clone(&registrar);
    router.answers(PREPARE, move |node, from, call| {
        let registrar = Arc::clone(&answering);
        async move {
            member(&registrar, from)?;
            Ok(registrar.prepare(&call, &NodeLinks(node)).await?)
        }
    });
    let key = KeyId::Signing(Domain::Identity.into());
    router.signs(key, HANDLES, HandleSource(Arc::clone(&registrar)));
    router.routes(move |config| routes(config, &registrar));
    Ok(())
}

fn member(registrar: &Registrar, from: NodeId) -> Result<(), Refusal> {
    if registrar.seat().members.contains(&from) {
        return Ok(());
    }
    Err(Refusal::new(
        "enrol",
        "not between members of the identity committee",
    ))
}

fn routes(config: &mut web::ServiceConfig, registrar: &Arc<Registrar>) {
    let shared = Arc::clone(registrar);
    config.service(
        web::resource("/v1/identity/enrol/nonce")
            .app_data(json_config(MAX_SMALL_BODY))
            .route(web::post().to(move |body: web::Json<NonceRequest>| {
                let registrar = Arc::clone(&shared);
                async move { HttpResponse::Ok().json(registrar.nonce(&body)) }
            })),
    );
    let shared = Arc::clone(registrar);
    config.service(
        web::resource("/v1/identity/enrol/request")
            .app_data(json_config(MAX_SUBMISSION_BODY))
            .route(web::post().to(move |body: web::Json<EnrolSubmission>| {
                let registrar = Arc::clone(&shared);
                async move {
                    let accepted = registrar.request(&body).await?;
                    Ok::<_, Problem>(HttpResponse::Ok().json(accepted))
                }
            })),
    );
    let shared = Arc::clone(registrar);
    config.service(
        web::resource("/v1/identity/reproofing")
            .app_data(json_config(MAX_SUBMISSION_BODY))
            .route(web::post().to(move |body: web::Json<NoticeCall>| {
                let registrar = Arc::clone(&shared);
                async move {
                    let answer = registrar.notice(&body).await?;
                    Ok::<_, Problem>(HttpResponse::Ok().json(answer))
                }
            })),
    );
    let shared = Arc::clone(registrar);
    config.service(
        web::resource("/v1/identity/enrol/complete")
            .app_data(json_config(MAX_SMALL_BODY))
            .route(web::post().to(move |body: web::Json<EnrolCall>| {
                let registrar = Arc::clone(&shared);
                async move {
                    // On the node's own runtime, to its end: an owner who hangs up does not break off a signature.
                    let node = Arc::clone(&registrar.node);
                    let task = node.runtime().spawn({
                        let links = NodeLinks(Arc::clone(&node));
                        async move { registrar.complete(&body, &links).await }
                    });
                    let completed = task.await.map_err(|_| Problem::internal())??;
                    Ok::<_, Problem>(HttpResponse::Ok().json(completed))
                }
            })),
    );
}
