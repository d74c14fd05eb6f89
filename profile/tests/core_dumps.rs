//! Secrets do not end up in core dumps: what the kernel says of real processes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Waits until the process runs the program (not the shell before `exec`) and has its limit set.
fn core_limit(child: &Child) -> String {
    let path = format!("/proc/{}/limits", child.id());
    let begun = Instant::now();
    loop {
        let limits = std::fs::read_to_string(&path).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.ends_with("0 0 bytes") || begun.elapsed() > Duration::from_secs(20) {
            return line;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Aborts the process, which waits for input.
fn attack_by_abort(mut child: Child) {
    assert_eq!(core_limit(&child), "Max core file size 0 0 bytes");
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-ABRT", &id]).status().unwrap();
    assert!(sent.success());
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(6));
    assert!(!status.core_dumped());
}

/// With the limit of this process lifted as far as it may be: the program sets its own.
fn spawn(program: &str, arguments: &[&str]) -> Child {
    let script = "ulimit -S -c \"$(ulimit -H -c)\"; exec \"$0\" \"$@\"";
    Command::new("sh")
        .args(["-c", script, program])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn fifo(folder: &Path) -> String {
    let path = folder.join("config");
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    path.to_str().unwrap().to_owned()
}

#[test]
fn attack_a_killed_profile_service_leaves_no_core() {
    let folder = tempfile::tempdir().unwrap();
    // Opening a pipe that nobody writes to, the service waits at its first step.
    let config = fifo(folder.path());
    attack_by_abort(spawn(env!("CARGO_BIN_EXE_profile"), &["--config", &config]));
}

#[test]
fn attack_a_killed_wallet_leaves_no_core() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let arguments = ["restore", "--state", state.to_str().unwrap()];
    attack_by_abort(spawn(env!("CARGO_BIN_EXE_wallet"), &arguments));
}
