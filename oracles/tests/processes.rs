//! Four processes of the `oracle` binary: set-up, key generation, a death, a restart.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use contracts::encoding::Bytes32;
use contracts::ids::{Committee, NodeId};
use oracles::config::{CommitteeConfig, NodeConfig, PeerConfig};
use oracles::http;
use oracles::keys::PublicKeys;
use oracles::wire::info::NodeInfo;

const NODES: u16 = 4;

fn oracle(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oracle"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A node's process; killed when dropped.
struct Process(Child);

impl Process {
    fn start(config: &Path) -> Self {
        let log = std::fs::File::create(config.with_extension("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_oracle"))
            .args(["run", "--until-stdin-closes", "--config", text(config)])
            .stdin(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// SIGTERM.
    fn terminate(&self) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn wait_for(url: &str) -> NodeInfo {
    let client = http::client();
    let began = Instant::now();
    loop {
        match http::get_json(&client, &format!("{url}/v1/info")).await {
            Ok(info) => return info,
            Err(_) if began.elapsed() < Duration::from_secs(20) => {
                tokio::time::sleep(Duration::from_millis(50)).await
            }
            Err(error) => panic!("{url}: {error}"),
        }
    }
}

fn set_up(folder: &Path) -> Vec<(PathBuf, String)> {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    let held: Vec<_> = (0..NODES).map(|_| (free(), free())).collect();
    let addresses: Vec<_> = held
        .iter()
        .map(|(owners, peers)| (owners.local_addr().unwrap(), peers.local_addr().unwrap()))
        .collect();
    let peers: Vec<PeerConfig> = (1..=NODES)
        .zip(&addresses)
        .map(|(id, (owners, peers))| {
            let output = oracle(&["init", "--data", text(&folder.join(id.to_string()))]);
            assert!(output.status.success());
            let keys: PublicKeys =
                toml::from_str(&String::from_utf8(output.stdout).unwrap()).unwrap();
            let (url, peer_url) = (format!("http://{owners}"), format!("https://{peers}"));
            PeerConfig::new(NodeId::new(id).unwrap(), url, peer_url, &keys)
        })
        .collect();
    // Without settings of its own the decision role only warns, and its key is generated all the same.
    let committees = [Committee::Decision, Committee::Income].map(|name| CommitteeConfig {
        name,
        members: peers.iter().map(|peer| peer.id).collect(),
        epoch: 1,
    });
    peers
        .iter()
        .zip(addresses)
        .map(|(peer, (listen, peer_listen))| {
            let config = NodeConfig {
                id: peer.id,
                listen,
                peer_listen,
                tls_certificate_file: None,
                tls_key_file: None,
                plain_http: false,
                data_dir: peer.id.to_string().into(),
                operator_key_file: None,
                database_url: None,
                clock_offset_seconds: 0,
                peer_timeout_ms: 3_000,
                peers: peers.clone(),
                committees: committees.to_vec(),
                roles: Default::default(),
            };
            let path = folder.join(format!("node-{}.toml", peer.id));
            let mut file = std::fs::File::create(&path).unwrap();
            file.write_all(toml::to_string(&config).unwrap().as_bytes())
                .unwrap();
            (path, peer.url.clone())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_generate_keys_survive_a_kill_and_name_the_dead() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = set_up(folder.path());
    let again = oracle(&["init", "--data", text(&folder.path().join("1"))]);
    assert!(!again.status.success(), "keys are not overwritten");
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists already"));

    let mut processes: Vec<Process> = nodes
        .iter()
        .map(|(config, _)| Process::start(config))
        .collect();
    for (_, url) in &nodes {
        assert!(wait_for(url).await.keys.is_empty());
    }

    drop(processes.remove(3));
    let failed = oracle(&["dkg", "--config", text(&nodes[0].0)]);
    let error = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success());
    assert!(
        error.contains("node 4 did not answer") && error.contains("run again"),
        "{error}"
    );

    processes.push(Process::start(&nodes[3].0));
    wait_for(&nodes[3].1).await;
    let output = oracle(&["dkg", "--config", text(&nodes[0].0)]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("decision epoch 1: generated"));
    let output = oracle(&["dkg", "--config", text(&nodes[2].0)]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("held already"));

    let before = wait_for(&nodes[1].1).await.keys;
    assert_eq!(before.len(), 2);
    for process in &mut processes {
        process.0.kill().unwrap();
    }
    processes.clear();
    let _restarted: Vec<Process> = nodes
        .iter()
        .map(|(config, _)| Process::start(config))
        .collect();
    for (_, url) in &nodes {
        assert_eq!(
            wait_for(url).await.keys,
            before,
            "the shares survived kill -9"
        );
    }
    let info = oracle(&["info", "--config", text(&nodes[0].0)]);
    let info: NodeInfo = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info.keys, before);
}

/// Half a request, as a slow client has it under way.
fn half_a_request(url: &str, body: &str) -> TcpStream {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let head = format!(
        "POST /v1/income/nonce HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (first, _) = body.split_at(body.len() / 2);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(first.as_bytes()).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_told_to_stop_finishes_what_is_in_flight_takes_nothing_new_and_exits_0() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = set_up(folder.path());
    let (config, url) = &nodes[0];
    let mut process = Process::start(config);
    wait_for(url).await;
    let body = format!("{{\"request\":\"{}\"}}", Bytes32::from([7; 32]));
    let mut in_flight = half_a_request(url, &body);
    // Until the server has read the head, the request is not in flight.
    tokio::time::sleep(Duration::from_millis(300)).await;
    process.terminate();
    let began = Instant::now();
    let refused = || TcpStream::connect(url.strip_prefix("http://").unwrap()).is_err();
    while !refused() && began.elapsed() < Duration::from_secs(8) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(refused(), "no new connections");
    in_flight
        .write_all(body.split_at(body.len() / 2).1.as_bytes())
        .unwrap();
    let mut answer = String::new();
    let _ = in_flight.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"nonce\""), "{answer}");
    assert_eq!(process.exit_code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_comes_does_not_keep_a_node_from_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = set_up(folder.path());
    let (config, url) = &nodes[0];
    let mut process = Process::start(config);
    wait_for(url).await;
    let mut slow = half_a_request(url, "{\"request\":\"\"}");
    let mut answer = String::new();
    let _ = slow.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let _slow = half_a_request(url, "{\"request\":\"\"}");
    process.terminate();
    assert_eq!(process.exit_code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_logs_name_topics_and_nodes_and_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = set_up(folder.path());
    let processes: Vec<Process> = nodes
        .iter()
        .map(|(config, _)| Process::start(config))
        .collect();
    for (_, url) in &nodes {
        wait_for(url).await;
    }
    assert!(
        oracle(&["dkg", "--config", text(&nodes[0].0)])
            .status
            .success()
    );
    let request = Bytes32::from([0xA7; 32]).to_string();
    let asked = http::client()
        .post(format!("{}/v1/income/nonce", nodes[1].1))
        .body(format!("{{\"request\":\"{request}\"}}"));
    let _: serde_json::Value = http::send_json(asked, 1 << 16).await.unwrap();
    let metrics = http::client().get(format!("{}/metrics", nodes[1].1));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    for line in [
        "oracle_peer_requests_total{topic=\"dkg.finish\",outcome=\"answered\"}",
        "oracle_owner_requests_total{route=\"/v1/income/nonce\",status=\"200\"} 1",
        "oracle_standing{committee=\"income\",standing=\"ready\"} 1",
        "oracle_standing{committee=\"income\",standing=\"behind\"} 0",
        "oracle_peer_request_seconds_bucket",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(!metrics.contains(&request));
    drop(processes);
    for (config, _) in &nodes {
        let log = std::fs::read_to_string(config.with_extension("log")).unwrap();
        assert!(log.lines().count() > 0 && !log.contains(&request));
        for line in log.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
}
