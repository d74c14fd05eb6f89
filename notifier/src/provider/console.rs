//! A provider to the person at the terminal.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Cause, Delivery, FileProvider, Found, NoAnswer, Outgoing, Provider, SendError};
use crate::phone::Phone;

/// Shows texts on standard output, and keeps them in a folder as [`FileProvider`] does.
#[derive(Debug, Clone)]
pub struct Console {
    files: Arc<FileProvider>,
    last: Arc<Mutex<Option<Phone>>>,
}

impl Console {
    /// Makes the folder if it is missing.
    ///
    /// # Errors
    /// The system's.
    pub fn new(name: &str, folder: &Path) -> std::io::Result<Self> {
        Ok(Self {
            files: Arc::new(FileProvider::new(name, folder)?),
            last: Arc::default(),
        })
    }

    /// The phone texted last.
    pub fn last(&self) -> Option<Phone> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Provider for Console {
    fn name(&self) -> &str {
        self.files.name()
    }

    fn send<'a>(&'a self, text: &'a Outgoing<'a>) -> BoxFuture<'a, Result<String, SendError>> {
        async move {
            let new = self
                .files
                .write(text)
                .map_err(|error| SendError::NotTaken(error.kind().to_string()))?;
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to.clone());
            if new {
                println!("text to {}: {}", text.to.expose(), text.text);
            }
            Ok(text.reference.to_owned())
        }
        .boxed()
    }

    fn look_up<'a>(
        &'a self,
        text: &'a Outgoing<'a>,
        since: i64,
    ) -> BoxFuture<'a, Result<Found, NoAnswer>> {
        self.files.look_up(text, since)
    }

    fn status<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<(Delivery, Cause)>, NoAnswer>> {
        self.files.status(id)
    }

    fn settle(&self) -> Duration {
        self.files.settle()
    }
}

/// A typed line: `+14155550132: yes k7`, or a text from the phone texted last.
pub fn typed(line: &str, last: Option<Phone>) -> Option<(Phone, String)> {
    if let Some((phone, text)) = line.split_once(':')
        && let Some(phone) = Phone::parse(phone.trim())
    {
        return Some((phone, text.trim().to_owned()));
    }
    let text = line.trim();
    if text.is_empty() {
        return None;
    }
    last.map(|phone| (phone, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_line_comes_from_the_number_it_names_or_the_last() {
        let phone = |text| Phone::parse(text).unwrap();
        let last = phone("+14155550132");
        assert_eq!(
            typed("yes k7\n", Some(last.clone())),
            Some((last.clone(), "yes k7".to_owned()))
        );
        let other = (phone("+12135550147"), "no".to_owned());
        assert_eq!(typed("+12135550147: no", Some(last.clone())), Some(other));
        assert_eq!(
            typed("code: k7", Some(last.clone())),
            Some((last.clone(), "code: k7".to_owned()))
        );
        assert_eq!(typed("yes", None), None);
        assert_eq!(typed("  ", Some(last)), None);
    }
}
