//! The watches' routes.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use contracts::bip340;
use contracts::ids::Domain;

use super::{WatchConfig, WatchError, WatchKeys, WatchStore, Watcher, door};
use crate::attest::{AttestError, NonceUse, Shared};
use crate::hpke;
use crate::http::json_config;
use crate::node::{Node, Router, StartError};
use crate::problem::Problem;
use crate::wire::attest::{MAX_SMALL_BODY, NonceAnswer, NonceRequest};
use crate::wire::watch::{
    ChangesAnswer, ChangesRequest, MAX_BODY, MAX_SKEW, SealedWatch, VERSION, changes_answer_info,
    changes_info,
};

/// How often what has expired is deleted.
const EXPIRE_EVERY: Duration = Duration::from_secs(3_600);

impl Watcher {
    /// A nonce for a grant.
    fn nonce(&self, domain: Domain, call: &NonceRequest) -> Result<NonceAnswer, WatchError> {
        let seat = self.seat(domain)?;
        let now = self.shared.clock.now();
        let nonces = &self.shared.nonces;
        Ok(nonces.answer(NonceUse::Watch, &seat, call, now))
    }

    /// What changed, to who holds the reader's key. Asking again gives the same again.
    async fn changes(
        &self,
        domain: Domain,
        call: &SealedWatch,
    ) -> Result<ChangesAnswer, WatchError> {
        let seat = self.seat(domain)?;
        let info = changes_info(domain, seat.node, seat.hpke_epoch);
        let plain = seat.open("request", &info, &call.sealed)?;
        let request: ChangesRequest =
            serde_json::from_slice(&plain).map_err(|_| AttestError::Format("request"))?;
        if request.version != VERSION {
            return Err(AttestError::Format("request.version").into());
        }
        let message = request.message(domain, seat.node);
        bip340::verify(&request.reader, &message, &request.signature).map_err(AttestError::from)?;
        let now = self.shared.clock.now();
        if !(now.0 - MAX_SKEW..=now.0 + MAX_SKEW).contains(&request.at.0) {
            return Err(WatchError::Field {
                field: "request.at",
                expected: format!("a time within {MAX_SKEW} seconds of this node's"),
            });
        }
        let (reader, after) = (&request.reader, request.after);
        let changes = self.store.notices(domain, reader, after).await?;
        let plain = serde_json::to_vec(&changes).map_err(|_| WatchError::Stored("watch_notice"))?;
        let info = changes_answer_info(domain, seat.node, reader);
        let sealed = hpke::seal(&request.response_key, &info, &[], &plain)
            .map_err(|_| AttestError::Format("request.response_key"))?;
        Ok(ChangesAnswer {
            node: seat.node,
            sealed,
        })
    }

    /// Deletes what has expired, now and from then on.
    async fn forget(self: Arc<Self>) {
        loop {
            let today = self.shared.clock.today();
            if let Err(error) = self.store.expire(today, self.config.notice_days).await {
                tracing::error!(%error, "expired watches could not be deleted");
            }
            tokio::time::sleep(EXPIRE_EVERY).await;
        }
    }
}

/// Mounts a node's watches on the fact committees it sits on, where it is configured to.
///
/// # Errors
/// [`StartError::Role`] for an unusable `[roles.watch]`.
pub(crate) async fn mount(
    node: &Arc<Node>,
    router: &mut Router,
    shared: &Arc<Shared>,
) -> Result<(), StartError> {
    let Some(config) = node.config().role::<WatchConfig>("watch")? else {
        return Ok(());
    };
    config
        .check(&shared.sources)
        .map_err(|cause| StartError::Role {
            role: "watch",
            cause,
        })?;
    let watcher = Arc::new(Watcher {
        node: Arc::clone(node),
        shared: Arc::clone(shared),
        keys: WatchKeys::new(node.keys().operator()),
        store: WatchStore::open(node.db().clone()).await?,
        doors: door::Doors::new(&config.feed),
        config,
    });
    let domains: Vec<Domain> = Domain::ALL
        .into_iter()
        .filter(|domain| node.serves((*domain).into()))
        .collect();
    node.spawn(Arc::clone(&watcher).forget());
    node.spawn(Arc::clone(&watcher).again());
    for feed in &watcher.config.feed {
        node.spawn(Arc::clone(&watcher).follow(feed.clone()));
    }
    router.routes(move |config| {
        for domain in &domains {
            routes(config, &watcher, *domain);
        }
        door::routes(config, &watcher);
    });
    Ok(())
}

fn routes(config: &mut web::ServiceConfig, watcher: &Arc<Watcher>, domain: Domain) {
    let shared = Arc::clone(watcher);
    config.service(
        web::resource(format!("/v1/{domain}/watch/nonce"))
            .app_data(json_config(MAX_SMALL_BODY))
            .route(web::post().to(move |body: web::Json<NonceRequest>| {
                let answer = shared.nonce(domain, &body);
                async move { answered(answer) }
            })),
    );
    let shared = Arc::clone(watcher);
    config.service(
        web::resource(format!("/v1/{domain}/watch"))
            .app_data(json_config(MAX_BODY))
            .route(web::post().to(move |body: web::Json<SealedWatch>| {
                let watcher = Arc::clone(&shared);
                async move { answered(watcher.grant(domain, body.into_inner()).await) }
            })),
    );
    let shared = Arc::clone(watcher);
    config.service(
        web::resource(format!("/v1/{domain}/watch/revoke"))
            .app_data(json_config(MAX_BODY))
            .route(web::post().to(move |body: web::Json<SealedWatch>| {
                let watcher = Arc::clone(&shared);
                async move { answered(watcher.revoke(domain, &body).await) }
            })),
    );
    let shared = Arc::clone(watcher);
    config.service(
        web::resource(format!("/v1/{domain}/changes"))
            .app_data(json_config(MAX_BODY))
            .route(web::post().to(move |body: web::Json<SealedWatch>| {
                let watcher = Arc::clone(&shared);
                async move { answered(watcher.changes(domain, &body).await) }
            })),
    );
}

fn answered<T: serde::Serialize>(answer: Result<T, WatchError>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(answer?))
}
