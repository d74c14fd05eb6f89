//! `bench sign`: a threshold signature by nodes over HTTP and TLS on loopback, with nobody at fault, with f nodes crashed
//! and with f nodes that sign something else, against the library's calls in one thread, in turn.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use contracts::ids::{Committee, NodeId, max_faults};
use futures::FutureExt as _;
use oracles::ceremony::sign::{MessageSource, SignCall, SignTopic, sign};
use oracles::ceremony::{KeyId, dkg};
use oracles::config::{CommitteeConfig, NodeConfig, PeerConfig};
use oracles::keys::{NodeIdentity, OperatorKey};
use oracles::node::{Doors, Node, RunningNode, start_bare};
use oracles::peer::{Peers, Refusal};

use super::frost::Bare;
use super::{Figure, block_on, median};

const NAME: &str = "sign";
/// Ceremonies of each case.
const ROUNDS: usize = 60;
const KEY: KeyId = KeyId::Signing(Committee::Income);
const TEXT: SignTopic<String> = SignTopic::new("bench.text");

/// Signs a text; a liar signs another one.
#[derive(Clone)]
struct Texts {
    lies: bool,
}

#[async_trait::async_trait]
impl MessageSource<String> for Texts {
    async fn messages(
        &self,
        _: &Arc<Node>,
        _: SignCall,
        text: String,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let seen = if self.lies { "another text" } else { &text };
        Ok(vec![seen.as_bytes().to_vec()])
    }
}

/// How the last f nodes fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Faulty {
    None,
    Crashed,
    Lying,
}

pub fn run() -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    for n in [4, 7] {
        for faulty in [Faulty::None, Faulty::Crashed, Faulty::Lying] {
            figures.push(block_on(case(n, faulty))?);
        }
    }
    Ok(figures)
}

async fn case(n: u16, faulty: Faulty) -> Result<Figure, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let honest = n - max_faults(n);
    let mut nodes = start(folder.path(), n, |id| {
        faulty == Faulty::Lying && id > honest
    })
    .await?;
    if faulty == Faulty::Crashed {
        for node in nodes.drain(usize::from(honest)..) {
            node.stop().await;
        }
    }
    let coordinator = nodes.first().ok_or("no nodes")?.node();
    let bare = Bare::new(n)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let text = format!("text {round}");
        let began = Instant::now();
        let signed = sign(coordinator, KEY, TEXT, &text).await;
        ours.push(began.elapsed().as_secs_f64() * 1e6);
        signed.map_err(|error| error.to_string())?;
        let began = Instant::now();
        bare.sign(|| text.as_bytes().to_vec())?;
        theirs.push(began.elapsed().as_secs_f64() * 1e6);
    }
    for node in nodes {
        node.stop().await;
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let faults = max_faults(n);
    let what = match faulty {
        Faulty::None => "nobody at fault".to_owned(),
        Faulty::Crashed => format!("{faults} crashed"),
        Faulty::Lying => format!("{faults} lying"),
    };
    Ok(Figure {
        bench: NAME,
        case: format!("n = {n}, {what}"),
        metric: "latency_us",
        value: ours,
        ratio: Some(ours / theirs),
        against: Some("the library's calls of all signers, one thread"),
    })
}

/// Nodes of one process, each with its own keys, database and doors, and the key generated among them.
async fn start(
    folder: &std::path::Path,
    n: u16,
    lies: impl Fn(u16) -> bool,
) -> Result<Vec<RunningNode>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut peers = Vec::new();
    let mut opened = Vec::new();
    for number in 1..=n {
        let id = NodeId::new(number).map_err(|error| text(&error))?;
        let bind = || TcpListener::bind("127.0.0.1:0").map_err(|error| text(&error));
        let doors = Doors {
            owners: bind()?,
            peers: bind()?,
        };
        let address = |door: &TcpListener| door.local_addr().map_err(|error| text(&error));
        let (owners, own_peers) = (address(&doors.owners)?, address(&doors.peers)?);
        let identity = NodeIdentity::generate();
        peers.push(PeerConfig::new(
            id,
            format!("http://{owners}"),
            format!("https://{own_peers}"),
            &identity.public_keys(),
        ));
        opened.push((id, identity, doors, owners, own_peers));
    }
    let (mut nodes, mut first) = (Vec::new(), None);
    for (id, identity, doors, listen, peer_listen) in opened {
        let data_dir = folder.join(id.to_string());
        std::fs::create_dir_all(&data_dir).map_err(|error| text(&error))?;
        let operator =
            OperatorKey::create(&data_dir.join("operator.key")).map_err(|error| text(&error))?;
        let config = NodeConfig {
            id,
            listen,
            peer_listen,
            tls_certificate_file: None,
            tls_key_file: None,
            plain_http: false,
            data_dir,
            operator_key_file: None,
            database_url: None,
            clock_offset_seconds: 0,
            peer_timeout_ms: 3_000,
            peers: peers.clone(),
            committees: vec![CommitteeConfig {
                name: Committee::Income,
                members: peers.iter().map(|peer| peer.id).collect(),
                epoch: 1,
            }],
            roles: Default::default(),
        };
        identity
            .save(&config.identity_file(), &operator)
            .map_err(|error| text(&error))?;
        let source = Texts {
            lies: lies(id.get()),
        };
        let running = start_bare(config.clone(), doors, move |_, router| {
            router.signs(KEY, TEXT, source);
            async { Ok(()) }.boxed()
        });
        nodes.push(running.await.map_err(|error| text(&error))?);
        first.get_or_insert((config, identity));
    }
    let (config, identity) = first.ok_or("no nodes")?;
    let peers = Peers::new(&config, identity).map_err(|error| text(&error))?;
    dkg::generate_all(&config, &peers)
        .await
        .map_err(|error| text(&error))?;
    Ok(nodes)
}
