//! Fact committees: nonces, blind requests, batches, enrolment.

use actix_web::{HttpResponse, web};
use contracts::attestation::{Batch, SignedRoot};
use contracts::bip340;
use contracts::catalogue::catalogue;
use contracts::encoding::{Blob, Bytes, Bytes32};
use contracts::group::{PEDERSEN, Point};
use contracts::ids::{Domain, NodeId};
use contracts::issuance::{build_leaf, verify_blinding, verify_enrolment};
use contracts::receipt::{Entry, EntryKind};
use curve25519_dalek::scalar::Scalar;
use oracles::hpke;
use oracles::problem::Problem;
use oracles::wire::attest::{self, AttestAnswer, AttestCall, AttestRequest, BatchLeaf, LeafAnswer};
use oracles::wire::attest::{AttestBatches, LeafKey, NonceAnswer, NonceRequest, Observation};
use oracles::wire::enrol::{self, EnrolAccepted, EnrolAnswer, EnrolCall, EnrolCompleted};
use oracles::wire::enrol::{EnrolRequest, EnrolSubmission, MemberHandle};
use oracles::wire::value_info;
use oracles::wire::{HpkeBox, Sealed, claims_info, enrol_answer_info, enrol_info, request_info};
use rand_core::OsRng;

use super::decision::receipt;
use super::{KnownOwner, Lie, NODES, Network, later, lost, node_id};
use crate::oracle::random32;

type Net = web::Data<Network>;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route(
            "/n/{node}/v1/identity/enrol/nonce",
            web::post().to(enrol_nonce),
        )
        .route(
            "/n/{node}/v1/identity/enrol/request",
            web::post().to(enrol_request),
        )
        .route(
            "/n/{node}/v1/identity/enrol/complete",
            web::post().to(enrol_complete),
        );
    for domain in Domain::ALL {
        let path = |call: &str| format!("/n/{{node}}/v1/{domain}/{call}");
        config
            .route(
                &path("nonce"),
                web::post().to(move |net: Net, node: web::Path<u16>, body| {
                    nonce(net, *node, domain, body)
                }),
            )
            .route(
                &path("request"),
                web::post().to(move |net: Net, node: web::Path<u16>, body| {
                    request(net, *node, domain, body)
                }),
            )
            .route(
                &path("attest"),
                web::post().to(move |net: Net, node: web::Path<u16>, body| {
                    batches(net, *node, domain, body)
                }),
            );
    }
}

async fn nonce(
    net: Net,
    node: u16,
    domain: Domain,
    _: web::Json<NonceRequest>,
) -> Result<HttpResponse, Problem> {
    net.door(node, "nonce").await?;
    Ok(HttpResponse::Ok().json(NonceAnswer {
        node: node_id(node),
        committee: domain,
        epoch: 1,
        hpke_epoch: 1,
        nonce: random32(),
        expires: later(net.clock.now(), 60),
    }))
}

async fn enrol_nonce(
    net: Net,
    node: web::Path<u16>,
    body: web::Json<NonceRequest>,
) -> Result<HttpResponse, Problem> {
    nonce(net, *node, Domain::Identity, body).await
}

pub(super) fn open<T: serde::de::DeserializeOwned>(
    net: &Network,
    node: NodeId,
    info: &[u8],
    boxed: &HpkeBox,
) -> T {
    let plain = net.hpke[&node].open(info, &[], &boxed.sealed).unwrap();
    serde_json::from_slice(&plain).unwrap()
}

/// What each attribute is, unless told otherwise: an adult alone in California.
fn value(net: &Network, attribute: &str) -> Observation {
    let value = match attribute {
        "identity.person" | "identity.medicaid_immigration_status" | "household.size" => Some(1),
        "identity.birth_date" => {
            let born = net.with(|memory| memory.born);
            Some(
                born.unwrap_or_else(|| "1992-03-04".parse().unwrap())
                    .number(),
            )
        }
        "residence.state" => Some(net.with(|memory| memory.state)),
        "income.magi_monthly" if net.lies(Lie::NoIncome) => None,
        "income.magi_monthly" => Some(net.with(|memory| memory.income)),
        _ => Some(0),
    };
    Observation {
        value: value.unwrap_or(0),
        known: value.is_some(),
        sources: 1,
        agreeing: u8::from(value.is_some()),
        disagreeing: 0,
        failed: u8::from(value.is_none()),
    }
}

async fn request(
    net: Net,
    node: u16,
    domain: Domain,
    body: web::Json<attest::SealedRequest>,
) -> Result<HttpResponse, Problem> {
    net.door(node, &format!("{domain}/request")).await?;
    net.with(|memory| {
        let length = body.sealed.sealed.ciphertext.0.len();
        let lengths = memory.request_lengths.entry(domain).or_default();
        lengths.insert(length);
    });
    let down = domain == Domain::Income && net.lies(Lie::BadIncomeRequest(node));
    if down || net.lies(Lie::CommitteeDown(domain)) {
        return Err(lost());
    }
    let id = node_id(node);
    let asked: AttestRequest = open(&net, id, &request_info(domain, id, 1), &body.sealed);
    let context = &asked.context;
    assert!(context.nonces.iter().any(|(listed, _)| *listed == id));
    bip340::verify(
        &context.authorisation_key,
        &asked.message(),
        &asked.signature,
    )
    .unwrap();
    verify_blinding(context, &asked.leaves, &asked.proof).unwrap();
    let owner = net.with(|memory| memory.owners[&context.authorisation_key].clone());
    assert_eq!(owner.domain, domain);

    let mut answers = vec![];
    let mut built = vec![];
    for leaf in &asked.leaves {
        let name = leaf.attribute.0.as_str();
        let mut observation = match leaf.withheld {
            true => Observation::WITHHELD,
            false => value(&net, name),
        };
        if name == "income.magi_monthly" && net.lies(Lie::OtherIncome(node)) {
            observation.value += 1;
        }
        let attribute = catalogue().get(&leaf.attribute).unwrap();
        let expires = context.observed.plus(i64::from(attribute.freshness_days));
        let person = (name == "identity.person").then_some(&owner.c_person);
        let (known, value) = (observation.known, observation.value);
        let expires = expires.unwrap();
        let leaf_built =
            build_leaf(context, leaf, value, known, &owner.s_d, person, expires).unwrap();
        if net.lies(Lie::WrongValueSealed(node)) {
            observation.value += 1;
            observation.known = true;
        }
        let reference = asked.reference();
        let info = value_info(domain, id, &reference, name, leaf.period, leaf.index);
        answers.push(LeafAnswer {
            leaf_hash: leaf_built.hash(),
            sealed: hpke::seal(&leaf.seal_key, &info, &[], &observation.to_bytes()).unwrap(),
        });
        let key = LeafKey {
            attribute: leaf.attribute.clone(),
            period: leaf.period,
            index: leaf.index,
        };
        built.push((key, leaf_built));
    }
    if !net.lies(Lie::OtherIncome(node)) {
        net.with(|memory| memory.requests.insert(asked.reference(), built));
    }
    Ok(HttpResponse::Ok().json(AttestAnswer {
        node: id,
        leaves: answers,
    }))
}

async fn batches(
    net: Net,
    node: u16,
    domain: Domain,
    call: web::Json<AttestCall>,
) -> Result<HttpResponse, Problem> {
    net.door(node, &format!("{domain}/attest")).await?;
    if net.lies(Lie::SlowSigning) {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let leaves = net.with(|memory| memory.requests[&call.request].clone());
    let hashes: Vec<Bytes32> = leaves.iter().map(|(_, leaf)| leaf.hash()).collect();
    let dummies: Vec<_> = (0..Batch::dummies_for(hashes.len()))
        .map(|_| random32())
        .collect();
    let batch = Batch::new(&hashes, &dummies).unwrap();
    let statement = batch.statement(domain, 1, net.clock.today());
    let key = match net.lies(Lie::WrongRootKey(node)) {
        true => frost_secp256k1::SigningKey::new(&mut OsRng),
        false => net.root_keys[&domain].clone(),
    };
    let signature = key.sign(OsRng, &statement.message());
    let signature = Bytes::from_slice(&signature.serialize().unwrap()).unwrap();
    let root = SignedRoot {
        statement,
        signature,
    };
    let entry = match net.lies(Lie::UnloggedRoot(node)) {
        true => Entry::new(EntryKind::AttestationRoot, &random32(), "another root"),
        false => root.entry(),
    };
    let receipt = net.with(|memory| receipt(&net, memory, entry));
    let mut places: Vec<BatchLeaf> = leaves
        .iter()
        .map(|(key, leaf)| {
            let (index, path) = batch.inclusion(&leaf.hash()).unwrap();
            BatchLeaf {
                key: key.clone(),
                leaf_hash: leaf.hash(),
                index,
                path,
            }
        })
        .collect();
    if net.lies(Lie::OtherLeafsPath(node)) {
        let (index, path) = (places[1].index, places[1].path.clone());
        (places[0].index, places[0].path) = (index, path);
    }
    if net.lies(Lie::NeighboursLeaf(node)) {
        let neighbour = places[1].clone();
        places[0] = BatchLeaf {
            key: places[0].key.clone(),
            ..neighbour
        };
    }
    let unasked = net.lies(Lie::UnaskedLeaf(node)).then(|| LeafKey {
        index: u32::MAX,
        ..places[0].key.clone()
    });
    Ok(HttpResponse::Ok().json(AttestBatches {
        batches: vec![attest::Batch {
            root,
            receipt,
            leaves: places,
        }],
        unattested: unasked.into_iter().collect(),
        silent: vec![],
        differing: vec![],
    }))
}

async fn enrol_request(
    net: Net,
    node: web::Path<u16>,
    body: web::Json<EnrolSubmission>,
) -> Result<HttpResponse, Problem> {
    net.door(*node, "enrol/request").await?;
    let id = node_id(*node);
    let asked: EnrolRequest = open(&net, id, &enrol_info(id, 1), &body.request);
    let claims: enrol::Claims = open(&net, id, &claims_info(id, 1), &body.claims);
    let key = *asked.authorisation_key().unwrap();
    assert_eq!(
        (claims.enrol_id, claims.authorisation_key),
        (asked.context.request_id, key)
    );
    bip340::verify(&key, &asked.message(), &asked.signature).unwrap();
    verify_enrolment(&asked.context, &asked.points, &asked.proof).unwrap();
    // One person, one profile: the first enrolment of an SSN keeps it.
    let ssn: Bytes32 =
        contracts::encoding::tagged_hash("ssn", &[claims.ssn.digits().as_bytes()]).into();
    let s = Scalar::hash_from_bytes::<sha2::Sha512>(&ssn.0);
    let reference = enrol::enrolment_ref(&claims.enrol_id, &key);
    net.with(|memory| {
        memory.persons.insert(ssn, s);
        memory.enrolments.insert(reference, (asked, s));
    });
    Ok(HttpResponse::Ok().json(EnrolAccepted { node: id }))
}

async fn enrol_complete(
    net: Net,
    node: web::Path<u16>,
    call: web::Json<EnrolCall>,
) -> Result<HttpResponse, Problem> {
    net.door(*node, "enrol/complete").await?;
    let id = node_id(*node);
    let (asked, s) = net.with(|memory| memory.enrolments[&call.enrolment].clone());
    let mut subjects = vec![];
    for (domain, r) in &asked.points.r_subject {
        let mut point = s * PEDERSEN.B + r.point();
        if *domain == Domain::Medical && net.lies(Lie::TwoPersons(*node)) {
            point += PEDERSEN.B;
        }
        subjects.push((*domain, Point::new(point).unwrap()));
    }
    net.with(|memory| {
        for ((domain, s_d), (_, key)) in subjects.iter().zip(&asked.context.keys) {
            let owner = KnownOwner {
                domain: *domain,
                s_d: *s_d,
                c_person: asked.points.c_person,
            };
            memory.owners.insert(*key, owner);
        }
    });
    let handle = |domain, node| MemberHandle {
        domain,
        node: node_id(node),
        sealed: HpkeBox {
            key_epoch: 1,
            sealed: Sealed {
                enc: random32(),
                ciphertext: Blob(vec![0; 32]),
            },
        },
    };
    let answer = EnrolAnswer {
        subjects,
        expires: net.clock.today().plus(365).unwrap(),
        handles: Domain::ALL
            .into_iter()
            .flat_map(|domain| (1..=NODES).map(move |node| handle(domain, node)))
            .collect(),
    };
    let info = enrol_answer_info(id, &call.enrolment);
    let plain = serde_json::to_vec(&answer).unwrap();
    Ok(HttpResponse::Ok().json(EnrolCompleted {
        node: id,
        sealed: hpke::seal(&asked.response_key, &info, &[], &plain).unwrap(),
        silent: vec![],
    }))
}
