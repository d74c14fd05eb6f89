//! What a node was asked, opened with its own key: a committee's requests are of its own domain, and hold no blinding, no
//! other committee's one-time key, and nothing of a decision.
//!
//! The nodes here sit on every committee. What is sealed for one committee opens only as that, so what a node of that
//! committee alone would hold is what opens under its domain.

use std::collections::{BTreeMap, BTreeSet};

use contracts::catalogue::catalogue;
use contracts::encoding::{Bytes, Bytes32};
use contracts::group::PEDERSEN;
use contracts::handle::SignedHandle;
use contracts::ids::{Domain, NodeId};
use contracts::rules::registry;
use contracts::units::Day;
use curve25519_dalek::scalar::Scalar;
use oracles::hpke::NodeKeyPair;
use oracles::wire::attest::{AttestRequest, SealedRequest};
use oracles::wire::{handle_info, request_info};
use serde_json::Value;

use crate::demo::tap::Crossing;
use crate::demo::{AUDIENCE, CONTRACT};

/// A request as the node reads it.
struct Opened {
    domain: Domain,
    plain: Vec<u8>,
    request: AttestRequest,
    /// The domain that its handle is of.
    handle: Option<Domain>,
}

/// Words that tell of the decision, with what they are.
fn words(today: Day) -> Vec<(&'static str, String)> {
    let mut words = vec![
        ("audience", AUDIENCE.to_owned()),
        ("contract", CONTRACT.to_owned()),
        ("verdict", "verdict".to_owned()),
    ];
    if let Ok((_, contract)) = registry().get(CONTRACT, today) {
        words.push(("contract hash", contract.hash.to_string()));
    }
    words
}

/// What is wrong with all that crossed one node's door for owners.
pub fn check(
    node: NodeId,
    (keys, key_epoch): (&NodeKeyPair, u64),
    crossings: &BTreeMap<String, Crossing>,
    today: Day,
) -> Vec<String> {
    let mut opened = Vec::new();
    for domain in Domain::ALL {
        let crossing = crossings.get(&format!("POST /v1/{domain}/request"));
        // Answers cross under the same name.
        for sealed in crossing
            .iter()
            .flat_map(|it| &it.bodies)
            .filter_map(|body| {
                let sealed: SealedRequest = serde_json::from_slice(body).ok()?;
                Some(sealed.sealed.sealed)
            })
        {
            let info = request_info(domain, node, key_epoch);
            let plain = keys.open(&info, &[], &sealed);
            let Some((plain, request)) = plain.ok().and_then(|plain| {
                let request: AttestRequest = serde_json::from_slice(&plain).ok()?;
                Some((plain.to_vec(), request))
            }) else {
                continue;
            };
            let info = handle_info(domain, node, key_epoch);
            let handle = keys.open(&info, &[], &request.handle.sealed);
            let handle = handle
                .ok()
                .and_then(|plain| serde_json::from_slice::<SignedHandle>(&plain).ok());
            opened.push(Opened {
                domain,
                plain,
                request,
                handle: handle.map(|handle| handle.plain.domain),
            });
        }
    }
    let wrong = wrong(&opened, &words(today));
    wrong
        .into_iter()
        .map(|what| format!("tapped node {node}: {what}"))
        .collect()
}

fn wrong(opened: &[Opened], words: &[(&'static str, String)]) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    for domain in Domain::ALL {
        if !opened.iter().any(|it| it.domain == domain) {
            wrong.insert(format!("no request of {domain} to look at"));
        }
    }
    let points: BTreeSet<[u8; 32]> = opened
        .iter()
        .flat_map(|it| &it.request.leaves)
        .flat_map(|leaf| {
            let always = [leaf.r_value, leaf.r_known, leaf.r_subject];
            always.into_iter().chain(leaf.r_person)
        })
        .map(|point| *point.as_bytes())
        .collect();
    for one in opened {
        let domain = one.domain;
        if one.handle != Some(domain) {
            wrong.insert(format!("a request of {domain} with a handle that is not"));
        }
        for leaf in &one.request.leaves {
            let of = catalogue().get(&leaf.attribute).map(|known| known.domain);
            if of != Some(domain) {
                wrong.insert(format!("{domain} was asked for {}", leaf.attribute));
            }
        }
        for other in opened.iter().filter(|other| other.domain != domain) {
            if keys_of(&other.request).any(|key| holds(&one.plain, &key.to_string())) {
                wrong.insert(format!("{domain} holds a key of {}", other.domain));
            }
        }
        for (what, word) in words {
            if holds(&one.plain, word) {
                wrong.insert(format!("{domain} holds the {what} of the decision"));
            }
        }
        if is_blinding_in(&one.plain, &points) {
            wrong.insert(format!("{domain} holds a blinding"));
        }
    }
    wrong.into_iter().collect()
}

/// What would join a request to another committee's.
fn keys_of(request: &AttestRequest) -> impl Iterator<Item = Bytes32> + '_ {
    let leaves = request.leaves.iter();
    let of_leaves = leaves.flat_map(|leaf| [leaf.key, leaf.seal_key, leaf.purpose]);
    let context = &request.context;
    of_leaves.chain([context.authorisation_key, context.request_id])
}

fn holds(plain: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(plain).contains(text)
}

/// Whether 32 bytes written in a request are the discrete logarithm of a blinding point to the base H.
fn is_blinding_in(plain: &[u8], points: &BTreeSet<[u8; 32]>) -> bool {
    let mut texts = Vec::new();
    strings(
        &serde_json::from_slice(plain).unwrap_or_default(),
        &mut texts,
    );
    let parsed = texts
        .iter()
        .filter_map(|text| Bytes::<32>::parse(text).ok());
    let mut scalars =
        parsed.filter_map(|bytes| Option::<Scalar>::from(Scalar::from_canonical_bytes(bytes.0)));
    scalars.any(|scalar| points.contains((scalar * PEDERSEN.B_blinding).compress().as_bytes()))
}

fn strings(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) => all.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, all)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, all)),
        _ => {}
    }
}
