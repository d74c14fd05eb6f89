//! Child processes: the program starts itself again in a role, waits for its address, and can kill it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

/// How long a process may take to say that it listens.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running role.
pub struct RoleProcess {
    child: Child,
    addresses: Vec<SocketAddr>,
}

impl RoleProcess {
    /// Starts this program as `role NAME --config FILE --ready FILE`, its output appended to `log`.
    ///
    /// The child's standard input is a pipe that only this process holds: when this process ends, however it ends, the
    /// child reads end-of-file and stops.
    ///
    /// # Errors
    /// The process does not start, dies, or does not write its address within 60 s.
    pub async fn start(
        role: &str,
        name: &str,
        config: &Path,
        ready: PathBuf,
        log: &Path,
    ) -> Result<Self, String> {
        let failed = |what: String| format!("{name} did not start: {what}; see {}", log.display());
        let _ = std::fs::remove_file(&ready);
        let output = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|error| failed(error.to_string()))?;
        let errors = output
            .try_clone()
            .map_err(|error| failed(error.to_string()))?;
        let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let mut child = Command::new(program)
            .env_remove("DATABASE_URL")
            .arg("role")
            .arg(role)
            .arg("--config")
            .arg(config)
            .arg("--ready")
            .arg(&ready)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let started = Instant::now();
        let addresses = loop {
            let written = std::fs::read_to_string(&ready).unwrap_or_default();
            let addresses: Result<Vec<SocketAddr>, _> = written.lines().map(str::parse).collect();
            match addresses {
                Ok(addresses) if !addresses.is_empty() => break addresses,
                _ => {}
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(failed(status.to_string()));
            }
            if started.elapsed() > START_LIMIT {
                return Err(failed(format!("not ready within {START_LIMIT:?}")));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Ok(Self { child, addresses })
    }

    /// Where it listens, behind its door.
    ///
    /// # Panics
    /// Never: a process without an address has not started.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where an oracle listens for other oracles.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.addresses.get(1).copied()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Its process id; none once it has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// SIGKILL, and wait until it is gone.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }
}
