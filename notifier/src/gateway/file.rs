//! A folder that stands for the phone network: one JSON file per text, `REFERENCE.json`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use super::{Gateway, GatewayError, Outgoing};

/// Writes texts into a folder. Files are written whole, never changed, and named by their reference, so that a second hand-over
/// of the same text changes nothing; readers leave them in place.
#[derive(Debug)]
pub struct FileGateway {
    folder: PathBuf,
}

impl FileGateway {
    /// Makes the folder if it is missing.
    ///
    /// # Errors
    /// The system's.
    pub fn new(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
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

impl Gateway for FileGateway {
    fn send<'a>(&'a self, text: &'a Outgoing<'a>) -> BoxFuture<'a, Result<(), GatewayError>> {
        async move {
            self.write(text)
                .map(|_| ())
                .map_err(|error| GatewayError::Temporary(error.to_string()))
        }
        .boxed()
    }
}
