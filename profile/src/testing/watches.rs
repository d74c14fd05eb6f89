//! Fact committees' watches: grants taken, notices told, and lies about both.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use contracts::bip340;
use contracts::encoding::Bytes32;
use contracts::ids::Domain;
use contracts::units::Day;
use oracles::hpke;
use oracles::problem::Problem;
use oracles::wire::attest::{NonceAnswer, NonceRequest};
use oracles::wire::watch::{
    ChangeNotice, Changes, ChangesAnswer, ChangesRequest, MAX_SKEW, SealedWatch, WatchAnswer,
    WatchGrant, WatchRevoke, changes_answer_info, changes_info, watch_info, watch_revoke_info,
};

use super::committees::open;
use super::{Network, World, later, node_id};
use crate::oracle::random32;

type Net = web::Data<Network>;

/// What the nodes keep of watches.
#[derive(Default)]
pub(crate) struct Watching {
    nonces: BTreeMap<(u16, Bytes32), Bytes32>,
    /// Grants by node and id.
    grants: BTreeMap<(u16, Bytes32), WatchGrant>,
    notices: BTreeMap<(u16, Domain, Bytes32), Vec<ChangeNotice>>,
    revoked: u32,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    for domain in Domain::ALL {
        let path = |call: &str| format!("/n/{{node}}/v1/{domain}/{call}");
        config
            .route(
                &path("watch/nonce"),
                web::post().to(move |net: Net, node: web::Path<u16>, body| {
                    nonce(net, *node, domain, body)
                }),
            )
            .route(
                &path("watch"),
                web::post().to(move |net: Net, node: web::Path<u16>, body| {
                    grant(net, *node, domain, body)
                }),
            )
            .route(
                &path("watch/revoke"),
                web::post().to(move |net: Net, node: web::Path<u16>, body| {
                    revoke(net, *node, domain, body)
                }),
            )
            .route(
                &path("changes"),
                web::post().to(move |net: Net, node: web::Path<u16>, body| {
                    changes(net, *node, domain, body)
                }),
            );
    }
}

async fn nonce(
    net: Net,
    node: u16,
    domain: Domain,
    call: web::Json<NonceRequest>,
) -> Result<HttpResponse, Problem> {
    net.door(node, "watch/nonce").await?;
    let nonce = random32();
    net.with(|memory| memory.watching.nonces.insert((node, nonce), call.request));
    Ok(HttpResponse::Ok().json(NonceAnswer {
        node: node_id(node),
        committee: domain,
        epoch: 1,
        hpke_epoch: 1,
        nonce,
        expires: later(net.clock.now(), 60),
    }))
}

async fn grant(
    net: Net,
    node: u16,
    domain: Domain,
    call: web::Json<SealedWatch>,
) -> Result<HttpResponse, Problem> {
    net.door(node, "watch").await?;
    let id = node_id(node);
    let grant: WatchGrant = open(&net, id, &watch_info(domain, id, 1), &call.sealed);
    bip340::verify(&grant.authorisation_key, &grant.message(), &grant.signature).unwrap();
    let owner = net.with(|memory| memory.owners[&grant.authorisation_key].clone());
    assert_eq!((owner.domain, grant.committee), (domain, domain));
    let days = grant.expires.number() - grant.day.number();
    assert!((0..=366).contains(&days));
    assert!(
        grant
            .facts
            .is_sorted_by(|one, next| one.attribute < next.attribute)
    );
    let mut nonces = grant.nonces.iter();
    let own = nonces.find(|(of, _)| *of == id).unwrap().1;
    let reference = WatchGrant::reference(&grant.watch, &grant.authorisation_key);
    let watch = grant.watch;
    net.with(|memory| {
        let watching = &mut memory.watching;
        assert_eq!(watching.nonces.remove(&(node, own)), Some(reference));
        watching.grants.entry((node, watch)).or_insert(grant);
    });
    Ok(HttpResponse::Ok().json(WatchAnswer {
        node: id,
        watch,
        unread: Vec::new(),
    }))
}

async fn revoke(
    net: Net,
    node: u16,
    domain: Domain,
    call: web::Json<SealedWatch>,
) -> Result<HttpResponse, Problem> {
    net.door(node, "watch/revoke").await?;
    let id = node_id(node);
    let revoke: WatchRevoke = open(&net, id, &watch_revoke_info(domain, id, 1), &call.sealed);
    bip340::verify(
        &revoke.authorisation_key,
        &revoke.message(),
        &revoke.signature,
    )
    .unwrap();
    let watch = revoke.watch;
    let held = net.with(|memory| {
        memory.watching.revoked += 1;
        memory.watching.grants.remove(&(node, watch))
    });
    match held {
        Some(grant) => {
            assert_eq!(grant.authorisation_key, revoke.authorisation_key);
            Ok(HttpResponse::Ok().json(WatchAnswer {
                node: id,
                watch,
                unread: Vec::new(),
            }))
        }
        None => Err(Problem::not_found("no such watch of this owner")),
    }
}

async fn changes(
    net: Net,
    node: u16,
    domain: Domain,
    call: web::Json<SealedWatch>,
) -> Result<HttpResponse, Problem> {
    net.door(node, "changes").await?;
    let id = node_id(node);
    let asked: ChangesRequest = open(&net, id, &changes_info(domain, id, 1), &call.sealed);
    bip340::verify(&asked.reader, &asked.message(domain, id), &asked.signature).unwrap();
    assert!((asked.at.0 - net.clock.now().0).abs() <= MAX_SKEW);
    let notices = net.with(|memory| {
        let key = (node, domain, asked.reader);
        memory.watching.notices.get(&key).cloned()
    });
    let told = Changes {
        notices: notices
            .into_iter()
            .flatten()
            .filter(|notice| notice.seq > asked.after)
            .collect(),
        more: false,
    };
    let plain = serde_json::to_vec(&told).unwrap();
    let info = changes_answer_info(domain, id, &asked.reader);
    let sealed = hpke::seal(&asked.response_key, &info, &[], &plain);
    let sealed = sealed.map_err(|_| super::problem(StatusCode::BAD_REQUEST))?;
    Ok(HttpResponse::Ok().json(ChangesAnswer { node: id, sealed }))
}

impl World {
    /// Watches that a node holds of a domain.
    pub(crate) fn held(&self, node: u16, domain: Domain) -> Vec<WatchGrant> {
        self.network.with(|memory| {
            let grants = memory.watching.grants.iter();
            grants
                .filter(|((of, _), grant)| *of == node && grant.committee == domain)
                .map(|(_, grant)| grant.clone())
                .collect()
        })
    }

    /// Has a node tell that an attribute of a watch changed.
    pub(crate) fn tell(&self, node: u16, grant: &WatchGrant, attribute: &str) {
        self.tell_of(node, grant, attribute, self.network.clock.today());
    }

    /// As [`World::tell`], of a day.
    pub(crate) fn tell_of(&self, node: u16, grant: &WatchGrant, attribute: &str, day: Day) {
        self.network.with(|memory| {
            let key = (node, grant.committee, grant.reader);
            let notices = memory.watching.notices.entry(key).or_default();
            notices.push(ChangeNotice {
                seq: notices.len() as u64 + 1,
                watch: grant.watch,
                attribute: attribute.into(),
                since: day,
                day,
            });
        });
    }

    /// Has nodes tell that an attribute of every watch of its domain that they hold changed.
    pub(crate) fn sees(&self, nodes: &[u16], domain: Domain, attribute: &str) {
        for node in nodes {
            for grant in self.held(*node, domain) {
                self.tell(*node, &grant, attribute);
            }
        }
    }

    /// Revocations that nodes were sent.
    pub(crate) fn revocations(&self) -> u32 {
        self.network.with(|memory| memory.watching.revoked)
    }
}
