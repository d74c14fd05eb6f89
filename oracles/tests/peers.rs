//! Attacks on messages between nodes, on the wire.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{NODES, Network, node, tls};
use contracts::encoding::Bytes;
use contracts::ids::{Committee, NodeId};
use contracts::units::UnixTime;
use oracles::hpke;
use oracles::http;
use oracles::keys::NodeIdentity;
use oracles::node::Router;
use oracles::peer::{
    Direction, Header, MAX_MESSAGE_BYTES, PeerBox, PeerError, Refusal, RunId, Topic,
};
use reqwest::StatusCode;

const COUNT: Topic<u64, u64> = Topic::new("test.count").with_caps(64, 64);
const OTHER: Topic<u64, u64> = Topic::new("test.other").with_caps(64, 64);
const REFUSE: Topic<u64, u64> = Topic::new("test.refuse");

/// A network whose node 3 counts what reaches its handler.
async fn network() -> (Network, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let add = move |router: &mut Router| {
        for topic in [COUNT, OTHER] {
            let seen = Arc::clone(&seen);
            router.answers(topic, move |_, _, add| {
                let seen = Arc::clone(&seen);
                async move {
                    seen.fetch_add(1, Ordering::SeqCst);
                    Ok(add + 1)
                }
            });
        }
        router.answers(REFUSE, |_, from, _| async move {
            Err(Refusal::new("not-you", format!("{from}")))
        });
    };
    (
        Network::start_with_liar(&[Committee::Income], add).await,
        count,
    )
}

/// Speaks as a node without being its process: what somebody with a copy of its traffic, or another node, can do.
struct Wire<'a> {
    network: &'a Network,
    clients: Vec<reqwest::Client>,
}

impl<'a> Wire<'a> {
    fn new(network: &'a Network) -> Self {
        let identity = |id| network.node(id).peers().identity();
        Self {
            network,
            clients: (1..=NODES).map(|id| tls::client_of(identity(id))).collect(),
        }
    }

    fn identity(&self, of: u16) -> &NodeIdentity {
        self.network.node(of).peers().identity()
    }

    fn seal(&self, from: u16, to: u16, topic: &str, run: RunId, issued_at: UnixTime) -> PeerBox {
        let header = Header {
            direction: Direction::Request,
            from: node(from),
            to: node(to),
            topic: topic.to_owned(),
            run,
            message: Bytes(rand::random()),
            issued_at,
            key_epoch: 1,
        };
        let recipient = self
            .network
            .node(from)
            .peers()
            .get(node(to))
            .unwrap()
            .clone();
        PeerBox::seal(self.identity(from), header, &recipient, b"1").unwrap()
    }

    fn now(&self) -> UnixTime {
        self.network.node(1).clock().now()
    }

    async fn post(
        &self,
        from: u16,
        to: u16,
        topic: &str,
        body: impl Into<reqwest::Body>,
    ) -> (StatusCode, Vec<u8>) {
        let url = format!(
            "{}/peer/{topic}",
            self.network.configs[usize::from(to) - 1]
                .own()
                .unwrap()
                .peer_url
        );
        let client = &self.clients[usize::from(from) - 1];
        let response = client.post(url).body(body).send().await.unwrap();
        (
            response.status(),
            http::read_capped(response, 1 << 20).await.unwrap(),
        )
    }

    /// Over the connection of the node that the message names, as far as there is one.
    async fn send(&self, to: u16, topic: &str, message: &PeerBox) -> (StatusCode, Vec<u8>) {
        let from = message.header.from.get().min(NODES);
        self.post(from, to, topic, serde_json::to_vec(message).unwrap())
            .await
    }

    /// Learns the present run of a node, as any peer does.
    async fn run_of(&self, from: u16, to: u16) -> RunId {
        let (status, body) = self
            .send(
                to,
                COUNT.name(),
                &self.seal(from, to, COUNT.name(), Bytes([0; 16]), self.now()),
            )
            .await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_slice::<PeerBox>(&body).unwrap().header.run
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_answered_or_refused_under_the_nodes_own_signature() {
    let (network, count) = network().await;
    assert_eq!(network.node(1).call(node(3), COUNT, &41).await, Ok(42));
    assert_eq!(
        network.node(3).call(node(3), COUNT, &1).await,
        Ok(2),
        "to itself, without the network"
    );
    assert_eq!(count.load(Ordering::SeqCst), 2);
    let error = network.node(1).call(node(3), REFUSE, &1).await.unwrap_err();
    assert!(
        matches!(&error, PeerError::Refused { node: who, refusal } if *who == node(3) && refusal.detail == "1"),
        "{error}"
    );
    let error = network.node(1).call(node(2), COUNT, &1).await.unwrap_err();
    assert_eq!(error.node(), node(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_peer_box_is_refused_also_after_a_restart() {
    let (mut network, count) = network().await;
    let recorded;
    {
        let wire = Wire::new(&network);
        let run = wire.run_of(2, 3).await;
        recorded = wire.seal(2, 3, COUNT.name(), run, wire.now());
        assert_eq!(
            wire.send(3, COUNT.name(), &recorded).await.0,
            StatusCode::OK
        );
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let (status, body) = wire.send(3, COUNT.name(), &recorded).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(String::from_utf8_lossy(&body).contains("received before"));
        let old = wire.seal(2, 3, COUNT.name(), run, UnixTime(wire.now().0 - 3600));
        assert_eq!(
            wire.send(3, COUNT.name(), &old).await.0,
            StatusCode::FORBIDDEN
        );
    }
    network.stop(3).await;
    let seen = Arc::clone(&count);
    let doors = common::doors_again(&network.configs[2]).await;
    let add = move |router: &mut Router| {
        router.answers(COUNT, move |_, _, add| {
            let seen = Arc::clone(&seen);
            async move {
                seen.fetch_add(1, Ordering::SeqCst);
                Ok(add + 1)
            }
        });
    };
    let started =
        common::start_node_with(network.configs[2].clone(), doors, Default::default(), add).await;
    network.nodes[2] = Some(started);
    let wire = Wire::new(&network);
    assert_eq!(
        wire.send(3, COUNT.name(), &recorded).await.0,
        StatusCode::OK,
        "told that the run is over"
    );
    assert_eq!(count.load(Ordering::SeqCst), 1, "and not handled");
    assert_eq!(
        network.node(2).call(node(3), COUNT, &1).await,
        Ok(2),
        "an honest caller learns the new run by itself"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_box_moved_to_another_topic_recipient_or_sender_is_refused() {
    let (network, count) = network().await;
    let wire = Wire::new(&network);
    let run = wire.run_of(2, 3).await;
    let recorded = wire.seal(2, 3, COUNT.name(), run, wire.now());

    assert_eq!(
        wire.send(3, OTHER.name(), &recorded).await.0,
        StatusCode::FORBIDDEN,
        "as it is"
    );
    let mut moved = recorded.clone();
    moved.header.topic = OTHER.name().to_owned();
    assert_eq!(
        wire.send(3, OTHER.name(), &moved).await.0,
        StatusCode::FORBIDDEN,
        "with its topic changed"
    );
    assert_eq!(
        wire.send(4, "sign.share", &recorded).await.0,
        StatusCode::FORBIDDEN,
        "to another node"
    );

    // Node 4 puts its own name and signature on node 2's ciphertext.
    let mut stolen = recorded.clone();
    stolen.header.from = node(4);
    let own = wire.seal(4, 3, COUNT.name(), run, wire.now());
    assert_eq!(
        wire.send(
            3,
            COUNT.name(),
            &PeerBox {
                signature: own.signature,
                ..stolen.clone()
            }
        )
        .await
        .0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        wire.send(
            3,
            COUNT.name(),
            &PeerBox {
                sealed: recorded.sealed.clone(),
                ..own.clone()
            }
        )
        .await
        .0,
        StatusCode::FORBIDDEN
    );

    let mut stranger = recorded.clone();
    stranger.header.from = NodeId::new(9).unwrap();
    assert_eq!(
        wire.send(3, COUNT.name(), &stranger).await.0,
        StatusCode::FORBIDDEN
    );
    let mut later = recorded.clone();
    later.header.issued_at = UnixTime(later.header.issued_at.0 + 1);
    assert_eq!(
        wire.send(3, COUNT.name(), &later).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert_eq!(
        wire.send(3, COUNT.name(), &recorded).await.0,
        StatusCode::OK,
        "unchanged it is good"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_body_is_refused_before_it_is_parsed() {
    let (network, _) = network().await;
    let wire = Wire::new(&network);
    let (status, _) = wire.post(2, 3, COUNT.name(), vec![b'{'; 4096]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) = wire
        .post(2, 3, REFUSE.name(), vec![b'{'; 2 * MAX_MESSAGE_BYTES])
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        wire.post(2, 3, COUNT.name(), "{}").await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        wire.post(2, 3, "no.topic", "{}").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_or_recorded_answer_is_not_taken_for_the_nodes() {
    use actix_web::{App, HttpResponse, HttpServer, web};
    let (network, _) = network().await;
    // Node 3 answers with an answer that node 3 gave to another message.
    let wire = Wire::new(&network);
    let (_, recorded) = wire
        .send(
            3,
            COUNT.name(),
            &wire.seal(1, 3, COUNT.name(), Bytes([0; 16]), wire.now()),
        )
        .await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = network.configs[0].clone();
    config.peers[2].peer_url = format!("https://{}", listener.local_addr().unwrap());
    let own = network.node(3).peers().identity().tls();
    let acceptor = rustls::ServerConfig::builder_with_provider(std::sync::Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_protocol_versions(&[&rustls::version::TLS13])
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![own.certificate().clone()], own.key())
    .unwrap();
    let server = HttpServer::new(move || {
        let recorded = recorded.clone();
        App::new().default_service(web::to(move || {
            let recorded = recorded.clone();
            async move { HttpResponse::Ok().body(recorded) }
        }))
    })
    .workers(1)
    .disable_signals()
    .listen_rustls_0_23(listener, acceptor)
    .unwrap()
    .run();
    tokio::spawn(server);
    let peers =
        oracles::peer::Peers::new(&config, network.node(1).peers().identity().clone()).unwrap();
    let error = peers.call(node(3), COUNT, &1).await.unwrap_err();
    assert!(
        matches!(&error, PeerError::Invalid { node: who, cause } if *who == node(3) && cause.contains("another message")),
        "{error}"
    );
}

/// The door of node 3, and a message to it that node 2 signed.
async fn door(network: &Network) -> (String, PeerBox) {
    let wire = Wire::new(network);
    let run = wire.run_of(2, 3).await;
    let message = wire.seal(2, 3, COUNT.name(), run, wire.now());
    let own = network.configs[2].own().unwrap();
    (format!("{}/peer/{}", own.peer_url, COUNT.name()), message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_pinned_certificate_or_with_tls_1_2_reaches_no_handler() {
    let (network, count) = network().await;
    let (url, message) = door(&network).await;
    let pinned = network.node(2).peers().identity().tls().clone();
    let stranger = NodeIdentity::generate();
    let tls13 = &rustls::version::TLS13;
    let tls12 = &rustls::version::TLS12;
    for (who, client) in [
        ("no certificate", tls::client(None, tls13)),
        ("an unpinned one", tls::client(Some(stranger.tls()), tls13)),
        ("TLS 1.2", tls::client(Some(&pinned), tls12)),
    ] {
        let answer = client.post(&url).json(&message).send().await;
        assert!(answer.is_err(), "{who}: {answer:?}");
    }
    let plain = url.replace("https://", "http://");
    let answer = http::client().post(plain).json(&message).send().await;
    assert!(
        answer.is_err() || !answer.unwrap().status().is_success(),
        "plain HTTP"
    );
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let good = tls::client(Some(&pinned), tls13);
    let answer = good.post(&url).json(&message).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "the same message is good");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_peers_certificate_does_not_carry_a_nodes_message() {
    let (network, count) = network().await;
    let (url, message) = door(&network).await;
    let other = tls::client_of(network.node(4).peers().identity());
    let answer = other.post(&url).json(&message).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(answer.text().await.unwrap().contains("other-certificate"));
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_certificate_is_not_spoken_to() {
    let (network, count) = network().await;
    let own = network.node(1).peers().identity().clone();
    let mut config = network.configs[0].clone();
    // Node 2's address for node 3, as who redirects traffic has it: a pinned peer, but not the one.
    config.peers[2].peer_url = config.peers[1].peer_url.clone();
    let peers = oracles::peer::Peers::new(&config, own.clone()).unwrap();
    let error = peers.call(node(3), COUNT, &1).await.unwrap_err();
    assert!(
        matches!(&error, PeerError::Silent { node: who, .. } if *who == node(3)),
        "{error}"
    );
    // The right address under a pin that is not its.
    let mut config = network.configs[0].clone();
    config.peers[2].tls_pin = NodeIdentity::generate().tls().pin();
    let peers = oracles::peer::Peers::new(&config, own).unwrap();
    assert!(peers.call(node(3), COUNT, &1).await.is_err());
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_door_answers_what_belongs_to_the_other() {
    let (network, _) = network().await;
    let (url, message) = door(&network).await;
    let client = tls::client_of(network.node(2).peers().identity());
    let own = network.configs[2].own().unwrap();
    for path in ["/v1/info", "/healthz", "/metrics", "/v1/ledger/checkpoint"] {
        let answer = client.get(format!("{}{path}", own.peer_url)).send().await;
        assert_eq!(answer.unwrap().status(), StatusCode::NOT_FOUND, "{path}");
    }
    let public = url.replace(&own.peer_url, &own.url);
    let answer = http::client().post(public).json(&message).send().await;
    assert_eq!(answer.unwrap().status(), StatusCode::NOT_FOUND);
}

#[test]
fn what_is_sealed_for_one_use_does_not_open_as_another() {
    let keys = hpke::NodeKeyPair::generate();
    let sealed = hpke::seal(keys.public(), b"shp/v1/peer-info", b"", b"x").unwrap();
    assert!(keys.open(b"shp/v1/dkg-share", b"", &sealed).is_err());
}
