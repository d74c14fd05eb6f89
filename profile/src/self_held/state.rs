//! The state file: one process has it at a time, and it changes as a whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::input::read_capped;
use crate::wallet::Wallet;
use crate::wallet::backup::{Kind, MAX_BACKUP, Saved};

/// An open state file.
pub(super) struct State {
    pub(super) saved: Saved,
    path: PathBuf,
    /// Held until the process ends; beside the state, which is replaced when it changes.
    _lock: File,
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn lock(path: &Path) -> Result<File, String> {
    let path = beside(path, ".lock");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = private().create(true).open(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a file that must not exist yet, so that it survives a power cut.
pub(super) fn write_new(path: &Path, content: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = private().create_new(true).open(path).map_err(failed)?;
    file.write_all(content.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> Result<(), String> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if cfg!(unix) {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(())
}

impl State {
    /// Makes the file; it must not exist.
    pub(super) fn create(path: &Path, wallet: &Wallet, saved: &Saved) -> Result<(), String> {
        let file = saved.seal(wallet, Kind::State);
        write_new(path, &file.map_err(|error| error.to_string())?)
    }

    /// Waits until no other process has the file, and reads it.
    pub(super) fn open(path: &Path, wallet: &Wallet) -> Result<Self, String> {
        let name = path.display();
        if !path.exists() {
            return Err(format!(
                "--state {name}: no such file; make it with `wallet restore` or `wallet recover`"
            ));
        }
        let lock = lock(path)?;
        let file = read_capped(path, MAX_BACKUP)?;
        let saved = Saved::open(wallet, Kind::State, &file)
            .map_err(|error| format!("--state {name}: {error}"))?;
        Ok(Self {
            saved,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Stores what changed; when this returns, it survives a power cut.
    pub(super) fn store(&mut self, wallet: &Wallet) -> Result<(), String> {
        self.saved.saved_at = oracles::clock::Clock::default().now();
        let file = self.saved.seal(wallet, Kind::State);
        let next = beside(&self.path, ".next");
        // Left by a process that died before it was renamed; nothing relied on it.
        let _ = std::fs::remove_file(&next);
        write_new(&next, &file.map_err(|error| error.to_string())?)?;
        std::fs::rename(&next, &self.path)
            .map_err(|error| format!("{}: {error}", self.path.display()))?;
        sync_folder(&self.path)
    }
}
