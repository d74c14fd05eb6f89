//! A folder that stands for the phone network: one JSON file per text, `REFERENCE.json`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use super::{Cause, Delivery, Found, NoAnswer, Outgoing, Provider, SendError};

/// Writes texts into a folder. Files are written whole, never changed, and named by their reference, so that a second hand-over
/// of the same text changes nothing; readers leave them in place.
#[derive(Debug)]
pub struct FileProvider {
    name: String,
    folder: PathBuf,
}

impl FileProvider {
    /// Makes the folder if it is missing.
    ///
    /// # Errors
    /// The system's.
    pub fn new(name: &str, folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
        })
    }

    /// Writes a text; false if it was there already.
    pub(super) fn write(&self, text: &Outgoing<'_>) -> std::io::Result<bool> {
        let name = format!("{}.json", text.reference);
        let draft = self.folder.join(format!(".{name}.{}", std::process::id()));
        let body =
            json!({ "reference": text.reference, "to": text.to.expose(), "text": text.text });
        let mut file = std::fs::File::create(&draft)?;
        file.write_all(body.to_string().as_bytes())?;
        file.sync_all()?;
        // A hard link fails where the name exists: of two hand-overs, one text.
        let linked = std::fs::hard_link(&draft, self.folder.join(name));
        std::fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            linked => linked.map(|()| true),
        }
    }
}

impl Provider for FileProvider {
    fn name(&self) -> &str {
        &self.name
    }

    fn send<'a>(&'a self, text: &'a Outgoing<'a>) -> BoxFuture<'a, Result<String, SendError>> {
        async move {
            match self.write(text) {
                Ok(_) => Ok(text.reference.to_owned()),
                Err(error) => Err(SendError::NotTaken(error.kind().to_string())),
            }
        }
        .boxed()
    }

    fn look_up<'a>(
        &'a self,
        text: &'a Outgoing<'a>,
        _since: i64,
    ) -> BoxFuture<'a, Result<Found, NoAnswer>> {
        async move {
            let there = self
                .folder
                .join(format!("{}.json", text.reference))
                .exists();
            Ok(Found::Texts(if there {
                vec![(text.reference.to_owned(), Delivery::Sent)]
            } else {
                Vec::new()
            }))
        }
        .boxed()
    }

    fn status<'a>(
        &'a self,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<Option<(Delivery, Cause)>, NoAnswer>> {
        async { Ok(None) }.boxed()
    }

    fn settle(&self) -> Duration {
        Duration::ZERO
    }
}
