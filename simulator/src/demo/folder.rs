//! The data folder of a run: where each party keeps its files, the secrets they are started with, and what is remembered
//! between runs.

use std::path::{Path, PathBuf};

use contracts::encoding::{Bytes32, to_base64url};
use contracts::units::Day;
use rand::RngCore as _;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

use super::DemoError;

/// A data folder; a temporary one is removed when dropped.
pub struct Folder {
    root: PathBuf,
    /// Held so that a temporary folder lives as long as the run.
    temporary: Option<tempfile::TempDir>,
}

/// What a later run on the same folder must know.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The day that the fixtures' relative days count from.
    pub day_zero: Option<Day>,
    /// Whether the oracles have their keys.
    pub keys_generated: bool,
    /// Whether the job loss was reported.
    pub job_lost: bool,
    /// The people, in the order of the story.
    pub people: Vec<Enrolled>,
}

/// A person the demo has begun to enrol.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// Fixture id, such as `ana`.
    pub id: String,
    /// The profile.
    pub profile: Bytes32,
    /// The owner's bearer token.
    pub owner_token: String,
    /// The notifier's contact handle.
    pub contact: String,
    /// Whether enrolment ended.
    pub enrolled: bool,
    /// The question, once asked.
    pub question: Option<Bytes32>,
}

impl Folder {
    /// Uses `keep`, or a temporary folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(keep: Option<&Path>) -> Result<Self, DemoError> {
        let (root, temporary) = match keep {
            Some(path) => {
                std::fs::create_dir_all(path).map_err(DemoError::file(path))?;
                let path = path.canonicalize().map_err(DemoError::file(path))?;
                (path, None)
            }
            None => {
                let temporary = tempfile::Builder::new()
                    .prefix("smart-health-profile-")
                    .tempdir()
                    .map_err(DemoError::file(&std::env::temp_dir()))?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let folder = Self { root, temporary };
        for name in [
            "config", "logs", "tap", "bundles", "tokens", "sources", "profile", "notifier",
            "agency",
        ] {
            folder.make(name)?;
        }
        Ok(folder)
    }

    /// Its path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.root.join(inside)
    }

    /// Keeps a temporary folder after the run (an error has to be looked into).
    pub fn keep(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            self.root = temporary.keep();
        }
    }

    /// Makes a folder inside.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(&self, inside: &str) -> Result<PathBuf, DemoError> {
        let path = self.path(inside);
        std::fs::create_dir_all(&path).map_err(DemoError::file(&path))?;
        Ok(path)
    }

    /// Writes a file whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, inside: &str, bytes: &[u8]) -> Result<PathBuf, DemoError> {
        let path = self.path(inside);
        let beside = path.with_extension("partial");
        std::fs::write(&beside, bytes)
            .and_then(|()| std::fs::rename(&beside, &path))
            .map_err(DemoError::file(&path))?;
        Ok(path)
    }

    /// A secret of 32 random bytes in base64url, made at its first use and kept in a file of its own.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn secret(&self, name: &str) -> Result<(String, PathBuf), DemoError> {
        let inside = format!("config/{name}.secret");
        let path = self.path(&inside);
        if let Ok(secret) = std::fs::read_to_string(&path) {
            return Ok((secret, path));
        }
        let mut bytes = [0u8; 32];
        OsRng.fill_bytes(&mut bytes);
        let secret = to_base64url(bytes);
        let path = self.write(&inside, secret.as_bytes())?;
        Ok((secret, path))
    }

    /// What an earlier run left.
    ///
    /// # Errors
    /// The file cannot be read or is not of this version.
    pub fn memory(&self) -> Result<Memory, DemoError> {
        let path = self.path("demo.json");
        if !path.exists() {
            return Ok(Memory::default());
        }
        let bytes = std::fs::read(&path).map_err(DemoError::file(&path))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| DemoError::Other(format!("{}: {error}", path.display())))
    }

    /// Remembers for a later run.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn remember(&self, memory: &Memory) -> Result<(), DemoError> {
        let bytes = serde_json::to_vec_pretty(memory)
            .map_err(|error| DemoError::Other(error.to_string()))?;
        self.write("demo.json", &bytes).map(|_| ())
    }
}
