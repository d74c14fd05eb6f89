//! Four processes of the `oracle` binary: set-up, key generation, a death, a restart.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

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
        let child = Command::new(env!("CARGO_BIN_EXE_oracle"))
            .args(["run", "--until-stdin-closes", "--config", text(config)])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
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
    let committees = vec![CommitteeConfig {
        name: Committee::Decision,
        members: peers.iter().map(|peer| peer.id).collect(),
        epoch: 1,
    }];
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
                committees: committees.clone(),
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
    assert_eq!(before.len(), 1);
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
