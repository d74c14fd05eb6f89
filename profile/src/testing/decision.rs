//! Decision and ledger nodes.

use actix_web::{HttpResponse, web};
use contracts::attestation::SignedRoot;
use contracts::checkpoint::Checkpoint;
use contracts::encoding::{Bytes, Bytes32};
use contracts::jwk::thumbprint;
use contracts::merkle;
use contracts::presentation::{Presentation, verify};
use contracts::receipt::{Entry, EntryKind, Receipt};
use contracts::rules::registry;
use contracts::token;
use ed25519_dalek::{Signer, SigningKey};
use oracles::decision::claims_of;
use oracles::problem::Problem;
use oracles::wire::decision::{DecideAnswer, DecideRequest, NonceAnswer, decided_at};
use oracles::wire::ledger::{AppendAnswer, AppendRequest};

use super::{ISSUER, Lie, Memory, Network, ORIGIN, later, lost, node_id};
use crate::oracle::random32;

type Net = web::Data<Network>;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/n/{node}/v1/decision/nonce", web::post().to(nonce))
        .route("/n/{node}/v1/decision/decide", web::post().to(decide))
        .route("/n/{node}/v1/ledger/append", web::post().to(append));
}

async fn nonce(net: Net, node: web::Path<u16>) -> Result<HttpResponse, Problem> {
    net.door(*node, "decision/nonce").await?;
    let mut nonce = random32();
    let now = net.clock.now();
    nonce.0[..8].copy_from_slice(&now.0.to_be_bytes());
    Ok(HttpResponse::Ok().json(NonceAnswer {
        node: node_id(*node),
        nonce,
        expires: later(now, 600),
    }))
}

fn refuse(code: &str) -> Problem {
    Problem::forbidden(code, "a test's refusal")
}

async fn decide(
    net: Net,
    node: web::Path<u16>,
    body: web::Json<DecideRequest>,
) -> Result<HttpResponse, Problem> {
    net.door(*node, "decision/decide").await?;
    let shown = body.into_inner().presentation;
    let jti = shown.digest();
    if net.lies(Lie::NoncesRanOut) {
        return Err(refuse("stale"));
    }
    let before = net.with(|memory| memory.decided.get(&jti).cloned());
    let answer = match before {
        Some(answer) => answer,
        None => fresh(&net, &shown)?,
    };
    net.with(|memory| memory.decided.insert(jti, answer.clone()));
    if net.lies(Lie::DecisionAnswerLost) {
        return Err(lost());
    }
    let mut answer = answer;
    if net.lies(Lie::OtherToken(*node)) {
        // Signed and logged like any other: only what was proved tells it apart.
        let mut claims = claims_of(&shown, ISSUER).unwrap();
        claims.jurisdiction = "OR".parse().unwrap();
        let entry = Entry {
            kind: EntryKind::Decision,
            commitment: claims.commitment(&shown.ledger_salt),
        };
        answer.receipt = net.with(|memory| receipt(&net, memory, entry));
        let claims = claims.recorded_at(ORIGIN, answer.receipt.index);
        answer.token = sign(&net.decision_key, &claims);
    }
    if net.lies(Lie::WrongTokenKey(*node)) {
        let claims = claims_of(&shown, ISSUER).unwrap();
        let claims = claims.recorded_at(ORIGIN, answer.receipt.index);
        answer.token = sign(&SigningKey::from_bytes(&[77; 32]), &claims);
    }
    Ok(HttpResponse::Ok().json(answer))
}

fn sign(key: &SigningKey, claims: &token::Claims) -> String {
    let input = token::signing_input(claims, &thumbprint(&key.verifying_key()));
    let signature = Bytes(key.sign(input.as_bytes()).to_bytes());
    token::assemble(&input, &signature)
}

fn fresh(net: &Network, shown: &Presentation) -> Result<DecideAnswer, Problem> {
    let compiled = registry()
        .compile(&shown.contract.id, &shown.jurisdiction, shown.as_of)
        .unwrap();
    verify(shown, &compiled, &net.trust, net.clock.now()).unwrap();
    shown.check_month(decided_at(&shown.nonces)).unwrap();
    let jti = shown.digest();
    let replayed = net.with(|memory| {
        let mut leaves = shown
            .attestations
            .iter()
            .map(|it| it.attestation.leaf.hash());
        leaves.any(|leaf| *memory.leaves_shown.entry(leaf).or_insert(jti) != jti)
    });
    if replayed {
        return Err(refuse("replayed-attestation"));
    }
    let claims = claims_of(shown, ISSUER).unwrap();
    let entry = Entry {
        kind: EntryKind::Decision,
        commitment: claims.commitment(&shown.ledger_salt),
    };
    let receipt = net.with(|memory| {
        memory.shown.push(shown.clone());
        receipt(net, memory, entry)
    });
    let claims = claims.recorded_at(ORIGIN, receipt.index);
    let roots = shown.roots().into_iter().map(SignedRoot::entry);
    Ok(DecideAnswer {
        token: sign(&net.decision_key, &claims),
        receipt,
        roots: roots
            .map(|entry| net.with(|memory| self::receipt(net, memory, entry)))
            .collect(),
        absent: vec![],
    })
}

pub(super) fn receipt(net: &Network, memory: &mut Memory, entry: Entry) -> Receipt {
    let index = memory
        .entries
        .iter()
        .position(|known| *known == entry)
        .unwrap_or_else(|| {
            memory.entries.push(entry);
            memory.entries.len() - 1
        });
    let hashes: Vec<[u8; 32]> = memory.entries.iter().map(Entry::leaf_hash).collect();
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: hashes.len() as u64,
        root: Bytes32::from(merkle::root(&hashes)),
    };
    let signature = net.ledger_key.sign(checkpoint.body().as_bytes());
    Receipt {
        entry: memory.entries[index],
        index: index as u64,
        path: merkle::inclusion_path(&hashes, index).unwrap(),
        checkpoint: checkpoint
            .encode(
                &net.ledger_key.verifying_key(),
                &Bytes(signature.to_bytes()),
            )
            .unwrap(),
    }
}

async fn append(
    net: Net,
    node: web::Path<u16>,
    body: web::Json<AppendRequest>,
) -> Result<HttpResponse, Problem> {
    net.door(*node, "ledger/append").await?;
    let mut got = net.with(|memory| receipt(&net, memory, body.entry));
    if net.lies(Lie::ReceiptLost) {
        return Err(lost());
    }
    if net.lies(Lie::OtherReceipt(*node)) {
        got = net.with(|memory| {
            let first = memory.entries[0];
            receipt(&net, memory, first)
        });
    }
    Ok(HttpResponse::Ok().json(AppendAnswer { receipt: got }))
}
