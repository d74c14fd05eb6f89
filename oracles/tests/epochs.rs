//! Processes that end by SIGKILL at every step of key generation, refresh and reshare, and of the signing in them: what is
//! left is one whole epoch, the same at every node, under the same group key.
//!
//! A sample of the steps by default, chosen by `ORACLE_KILL_SEED`; all of them with `ORACLE_KILL_ALL=1`.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{configure_of, node};
use contracts::ids::Committee;
use oracles::ceremony::KeyId;
use oracles::config::NodeConfig;
use oracles::faults::DIE_AT;
use oracles::http;
use oracles::wire::info::{KeyInfo, NodeInfo};

const DECISION: KeyId = KeyId::Signing(Committee::Decision);
/// Steps of key generation, at a member.
const GENERATION: [&str; 4] = ["dkg.round1", "dkg.round2", "dkg.stored", "dkg.activated"];
/// Steps of a change of epoch, at a member.
const MEMBER: [&str; 7] = [
    "epoch.offered",
    "epoch.dealt",
    "epoch.prepared",
    "sign.committed",
    "epoch.voted",
    "epoch.switching",
    "epoch.switched",
];
/// The same at the coordinator.
const COORDINATOR: [&str; 5] = [
    "epoch.coordinator.dealt",
    "epoch.coordinator.confirmed",
    "sign.shared",
    "epoch.coordinator.signed",
    "epoch.coordinator.switched",
];

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Cluster {
    files: Vec<PathBuf>,
    configs: Vec<NodeConfig>,
    processes: Vec<Option<Process>>,
    _folder: tempfile::TempDir,
}

impl Cluster {
    fn start(nodes: u16, members: &[u16]) -> Self {
        Self::start_of(&[Committee::Decision], nodes, members)
    }

    /// With a ledger, changes are entered before anybody switches.
    fn start_of(committees: &[Committee], nodes: u16, members: &[u16]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut configs: Vec<NodeConfig> = configure_of(folder.path(), committees, nodes, members)
            .into_iter()
            .map(|(config, _doors)| config)
            .collect();
        if committees.contains(&Committee::Ledger) {
            for config in &mut configs {
                let role = toml::toml! { origin = "ledger.example.org/log" };
                config.roles.insert("ledger".to_owned(), role.into());
            }
        }
        let files = configs
            .iter()
            .map(|config| folder.path().join(format!("{}.toml", config.id)))
            .collect();
        let mut cluster = Self {
            files,
            processes: configs.iter().map(|_| None).collect(),
            configs,
            _folder: folder,
        };
        for id in 1..=nodes {
            cluster.restart(id, None);
        }
        cluster
    }

    /// Starts a node again, to die at a step.
    fn restart(&mut self, id: u16, die_at: Option<&str>) {
        let at = usize::from(id) - 1;
        self.processes[at] = None;
        let config = toml::to_string(&self.configs[at]).unwrap();
        std::fs::write(&self.files[at], config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_oracle"));
        command
            .args(["run", "--until-stdin-closes", "--config"])
            .arg(&self.files[at])
            .env_remove(DIE_AT)
            .stdin(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(step) = die_at {
            command.env(DIE_AT, step);
        }
        self.processes[at] = Some(Process(command.spawn().unwrap()));
    }

    fn configure_members(&mut self, members: &[u16]) {
        for config in &mut self.configs {
            for committee in &mut config.committees {
                committee.members = members.iter().copied().map(node).collect();
            }
        }
        for id in 1..=u16::try_from(self.configs.len()).unwrap() {
            self.restart(id, None);
        }
    }

    async fn info(&self, id: u16) -> Option<NodeInfo> {
        let url = &self.configs[usize::from(id) - 1].own().unwrap().url;
        http::get_json(&http::client(), &format!("{url}/v1/info"))
            .await
            .ok()
    }

    async fn wait_up(&self, id: u16) {
        let began = Instant::now();
        while self.info(id).await.is_none() {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "node {id} is not up"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn run(&self, id: u16, command: &str, more: &[&str]) -> Output {
        let file: &Path = &self.files[usize::from(id) - 1];
        Command::new(env!("CARGO_BIN_EXE_oracle"))
            .arg(command)
            .arg("--config")
            .arg(file)
            .args(more)
            .env_remove(DIE_AT)
            .output()
            .unwrap()
    }

    /// The key that all these members hold alike, once they do.
    async fn agreed(&self, members: &[u16], after: &str) -> KeyInfo {
        let began = Instant::now();
        loop {
            let mut held = Vec::new();
            for id in members {
                let keys = self
                    .info(*id)
                    .await
                    .map(|info| info.keys)
                    .unwrap_or_default();
                let keys: Vec<_> = keys.into_iter().filter(|key| key.key == DECISION).collect();
                assert!(
                    keys.len() <= 1,
                    "node {id} holds a mix after {after}: {keys:?}"
                );
                held.extend(keys);
            }
            let alike = held.windows(2).all(|pair| pair[0] == pair[1]);
            if held.len() == members.len() && alike {
                return held.remove(0);
            }
            assert!(
                began.elapsed() < Duration::from_secs(90),
                "no whole epoch after {after}: {held:?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until a node's process has ended by SIGKILL at its step; what the command said tells why it did not.
    async fn dies(&mut self, victim: u16, step: &str, output: &Output) {
        let process = self.processes[usize::from(victim) - 1].as_mut().unwrap();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = process.0.try_wait().unwrap() {
                break status;
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "node {victim} did not reach {step}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(status.signal(), Some(9), "{step}");
    }

    /// Kills `victim` at a step of a change, brings it back, and expects one epoch that works.
    async fn survives(&mut self, victim: u16, step: &str, command: &str, members: &[u16]) {
        let before = self
            .agreed(members_before(self, members).as_slice(), step)
            .await;
        self.restart(victim, Some(step));
        self.wait_up(victim).await;
        let output = self.run(1, command, &["--committee", "decision"]);
        self.dies(victim, step, &output).await;
        self.restart(victim, None);
        self.wait_up(victim).await;
        // What is half done is completed, by itself or by the next call; then the shares sign another change.
        let mut done = None;
        for _ in 0..20 {
            let output = self.run(1, command, &["--committee", "decision"]);
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() || error.contains("present members") {
                done = Some(());
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        done.unwrap_or_else(|| panic!("no change after {step}"));
        let after = self.agreed(members, step).await;
        assert_eq!(after.group_key, before.group_key, "{step}: the key is lost");
        assert!(after.epoch > before.epoch, "{step}");
    }
}

/// Members now, from what a running node says.
fn members_before(cluster: &Cluster, after: &[u16]) -> Vec<u16> {
    let all: Vec<u16> = (1..=u16::try_from(cluster.configs.len()).unwrap()).collect();
    match all.len() {
        5 => vec![1, 2, 3],
        _ => after.to_vec(),
    }
}

/// The steps to try, in the order in which they come: all when told so, else some that the seed picks.
fn sample(steps: &[&'static str], count: usize) -> Vec<&'static str> {
    if std::env::var("ORACLE_KILL_ALL").is_ok() {
        return steps.to_vec();
    }
    let seed: usize = std::env::var("ORACLE_KILL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let chosen: BTreeSet<usize> = (0..count)
        .map(|at| (seed * 5 + at * 3) % steps.len())
        .collect();
    chosen.into_iter().map(|at| steps[at]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_the_steps_of_generation_and_refresh_leaves_one_whole_epoch_under_the_same_key() {
    let mut cluster = Cluster::start(4, &[1, 2, 3, 4]);
    let members = [1, 2, 3, 4];
    for id in members {
        cluster.wait_up(id).await;
    }
    for step in sample(&GENERATION, 2) {
        cluster.restart(2, Some(step));
        cluster.wait_up(2).await;
        let output = cluster.run(1, "dkg", &[]);
        cluster.dies(2, step, &output).await;
        cluster.restart(2, None);
        cluster.wait_up(2).await;
    }
    let output = cluster.run(1, "dkg", &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let key = cluster.agreed(&members, "key generation").await;
    assert_eq!((key.key, key.epoch), (DECISION, 1));
    for step in sample(&MEMBER, 2) {
        cluster.survives(3, step, "refresh", &members).await;
    }
    for step in sample(&COORDINATOR, 2) {
        cluster.survives(1, step, "refresh", &members).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_between_the_entry_in_the_ledger_and_the_switch_leaves_one_whole_epoch() {
    let committees = [Committee::Decision, Committee::Ledger];
    let members = [1, 2, 3, 4];
    let mut cluster = Cluster::start_of(&committees, 4, &members);
    for id in members {
        cluster.wait_up(id).await;
    }
    let output = cluster.run(1, "dkg", &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let step = "epoch.coordinator.entered";
    cluster.survives(1, step, "refresh", &members).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_a_newcomer_at_the_steps_of_a_reshare_leaves_one_whole_epoch_under_the_same_key()
{
    let steps = [
        "epoch.offered",
        "epoch.prepared",
        "epoch.adopted",
        "epoch.switched",
    ];
    for step in sample(&steps, 1) {
        let mut cluster = Cluster::start(5, &[1, 2, 3, 4]);
        for id in 1..=5 {
            cluster.wait_up(id).await;
        }
        let output = cluster.run(1, "dkg", &[]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        cluster.configure_members(&[1, 2, 3, 5]);
        for id in 1..=5 {
            cluster.wait_up(id).await;
        }
        cluster.survives(5, step, "reshare", &[1, 2, 3, 5]).await;
        assert!(
            cluster.info(4).await.unwrap().keys.is_empty(),
            "the share of who left is erased"
        );
    }
}
