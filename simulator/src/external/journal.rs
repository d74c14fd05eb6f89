//! What a system was told, one JSON object a line, synced before it is answered, and read again at the next start.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ExternalError, Result};

/// A file of entries, and the same in memory.
pub(super) struct Journal<T> {
    path: PathBuf,
    inner: Mutex<(File, Vec<T>)>,
}

impl<T: Serialize + DeserializeOwned + Clone> Journal<T> {
    /// Opens a journal, or begins one. A line without its end was never answered: the writer died inside it, and it is cut off.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let io = |source| ExternalError::Io {
            what: format!("opening {}", path.display()),
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(io)?,
        };
        let whole = text.rfind('\n').map_or("", |end| text.split_at(end + 1).0);
        let entries = whole
            .lines()
            .map(serde_json::from_str)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| ExternalError::Data(format!("{}: {error}", path.display())))?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(io)?;
        let length = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        file.set_len(length).map_err(io)?;
        Ok(Self {
            inner: Mutex::new((file, entries)),
            path,
        })
    }

    /// Looks at all entries, earliest first.
    pub(super) fn read<R>(&self, look: impl FnOnce(&[T]) -> R) -> R {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        look(&inner.1)
    }

    /// Appends an entry, unless one is found that stands for it; that one is returned then.
    pub(super) fn append(&self, entry: T, same: impl FnOnce(&[T]) -> Option<T>) -> Result<T> {
        let io = |source| ExternalError::Io {
            what: format!("writing {}", self.path.display()),
            source,
        };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = same(&inner.1) {
            return Ok(same);
        }
        let mut line = serde_json::to_string(&entry)
            .map_err(|error| ExternalError::Data(error.to_string()))?;
        line.push('\n');
        inner.0.write_all(line.as_bytes()).map_err(io)?;
        inner.0.sync_all().map_err(io)?;
        inner.1.push(entry.clone());
        Ok(entry)
    }
}
