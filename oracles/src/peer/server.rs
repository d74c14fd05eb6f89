//! The receiving end: authenticates, opens, takes once, dispatches, answers in kind.

use std::sync::Arc;
use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use contracts::encoding::Bytes;
use rand_core::{OsRng, RngCore};

use super::directory::{ANSWER_OK, ANSWER_OTHER_RUN, ANSWER_REFUSED};
use super::envelope::{Direction, Header, PeerBox, RunId};
use super::replay::ReplayGuard;
use super::{Refusal, TlsPeer, boxed_cap};
use crate::node::Node;
use crate::problem::Problem;

/// What the receiving end remembers while the process runs.
#[derive(Debug)]
pub(crate) struct Inbox {
    run: RunId,
    replay: ReplayGuard,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let mut run = Bytes([0; 16]);
        OsRng.fill_bytes(&mut run.0);
        Self {
            run,
            replay: ReplayGuard::default(),
        }
    }

    pub(crate) fn run(&self) -> RunId {
        self.run
    }
}

/// `POST /peer/{topic}`.
///
/// What cannot be attributed to a configured node gets a problem; everything else gets a sealed, signed answer.
pub async fn receive(
    node: web::Data<Arc<Node>>,
    topic: web::Path<String>,
    connection: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let node: &Arc<Node> = &node;
    let router = node.router();
    let handler = router
        .handler(&topic)
        .ok_or_else(|| Problem::not_found("this node answers no such topic"))?;
    if body.len() > boxed_cap(handler.max_request) {
        return Err(Problem::new(
            actix_web::http::StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The request is too large",
            format!("topic {topic}: at most {} bytes", handler.max_request),
        ));
    }
    let request: PeerBox =
        serde_json::from_slice(&body).map_err(|_| Problem::bad_request("not a peer message"))?;
    let header = &request.header;
    let peers = node.peers();
    let own = peers.get(node.id()).ok_or_else(Problem::internal)?;
    if header.direction != Direction::Request
        || header.to != node.id()
        || header.topic != *topic
        || header.key_epoch != own.hpke_epoch
    {
        return Err(Problem::forbidden(
            "misdirected",
            "the message is for another node, topic or key epoch",
        ));
    }
    let sender = peers
        .get(header.from)
        .ok_or_else(|| Problem::forbidden("unknown-peer", "the sender is not a configured peer"))?;
    // A message that node 2 signed comes over node 2's connection, or somebody carries it about.
    if connection.conn_data::<TlsPeer>() != Some(&TlsPeer(header.from)) {
        return Err(Problem::forbidden(
            "other-certificate",
            "the connection's certificate is not that of the message's sender",
        ));
    }
    let plaintext = request
        .open(peers.identity(), sender)
        .map_err(|error| Problem::forbidden("unauthentic", error.to_string()))?;

    let inbox = node.inbox();
    let answer = if header.run != inbox.run {
        vec![ANSWER_OTHER_RUN]
    } else {
        inbox
            .replay
            .take(
                header.from,
                header.message,
                header.issued_at,
                peers.clock().now(),
            )
            .map_err(|error| Problem::forbidden("replayed", error.to_string()))?;
        let began = Instant::now();
        let task = handler.run(Arc::clone(node), header.from, plaintext.to_vec());
        // On a task of its own: a caller that hangs up must not stop a handler between two writes.
        let result = node
            .runtime()
            .spawn(task)
            .await
            .unwrap_or_else(|error| Err(Refusal::internal(&error)));
        let outcome = if result.is_ok() {
            "answered"
        } else {
            "refused"
        };
        peers
            .metrics()
            .peer_request(handler.topic, outcome, began.elapsed());
        match result {
            Ok(body) if body.len() <= handler.max_response => {
                [&[ANSWER_OK], body.as_slice()].concat()
            }
            Ok(_) => refused(&Refusal::new(
                "too-large",
                "the answer is larger than the topic allows",
            )),
            Err(refusal) => refused(&refusal),
        }
    };
    let header = Header {
        direction: Direction::Response,
        from: node.id(),
        to: header.from,
        topic: header.topic.clone(),
        run: inbox.run,
        message: header.message,
        issued_at: peers.clock().now(),
        key_epoch: sender.hpke_epoch,
    };
    let answer = PeerBox::seal(peers.identity(), header, sender, &answer).map_err(|error| {
        tracing::error!(%error, "could not seal an answer");
        Problem::internal()
    })?;
    Ok(HttpResponse::Ok().json(answer))
}

fn refused(refusal: &Refusal) -> Vec<u8> {
    let mut answer = vec![ANSWER_REFUSED];
    answer.extend(serde_json::to_vec(refusal).unwrap_or_default());
    answer
}
