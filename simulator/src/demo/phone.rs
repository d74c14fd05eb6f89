//! The phone network of the demo: texts arrive as files, replies go in through the gateway's signed webhook. And the
//! notifier, which is its only customer.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use contracts::encoding::Bytes32;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

use super::DemoError;
use super::folder::Folder;
use super::network::Network;

/// How long a text may take to arrive after the profile handed it to the notifier.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(15);

/// Every phone of the demo, and the gateway's side of the notifier.
pub struct Phone {
    folder: PathBuf,
    gateway_key: String,
    contacts_token: String,
    messages_token_file: PathBuf,
    notifier_key: Bytes32,
    read: BTreeSet<String>,
    answered: BTreeSet<String>,
    replies: u64,
    keyboard: Lines<BufReader<Stdin>>,
}

#[derive(Deserialize)]
struct Text {
    reference: String,
    to: String,
    text: String,
}

#[derive(Deserialize)]
struct Key {
    key: Bytes32,
}

impl Phone {
    /// Starts the notifier with a gateway that leaves texts in a folder.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(
        folder: &Folder,
        network: &mut Network<'_>,
        clock_offset: i64,
    ) -> Result<Self, DemoError> {
        let texts = folder.make("phone")?;
        let (_, operator_key) = folder.secret("notifier-operator")?;
        let (_, signing_key) = folder.secret("notifier-signing")?;
        let (gateway_key, gateway_key_file) = folder.secret("notifier-gateway")?;
        let (contacts_token, contacts_token_file) = folder.secret("notifier-contacts")?;
        let (_, messages_token_file) = folder.secret("notifier-messages")?;
        let config = toml::to_string(&json!({
            "listen": "127.0.0.1:0",
            "database": format!("sqlite:{}", folder.path("notifier/notifier.db").display()),
            "operator_key": {"file": operator_key},
            "signing_key": {"file": signing_key},
            "gateway_key": {"file": gateway_key_file},
            "clock_offset_seconds": clock_offset,
            "callers": [
                {"name": "navigator", "token": {"file": contacts_token_file}, "may": ["contacts"]},
                {"name": "profile", "token": {"file": messages_token_file}, "may": ["messages"]},
            ],
            "gateway": {"kind": "file", "folder": texts},
        }))
        .map_err(|error| DemoError::Other(format!("configuration: {error}")))?;
        network.start("notifier", "notifier", &config).await?;
        let key: Key = network
            .get("notifier", "/v1/key", None)
            .await
            .map_err(DemoError::Other)?;
        Ok(Self {
            folder: texts,
            gateway_key,
            contacts_token,
            messages_token_file,
            notifier_key: key.key,
            read: BTreeSet::new(),
            answered: BTreeSet::new(),
            replies: 0,
            keyboard: BufReader::new(tokio::io::stdin()).lines(),
        })
    }

    /// The navigator's token at the notifier.
    pub fn contacts_token(&self) -> &str {
        &self.contacts_token
    }

    /// The profile's token at the notifier.
    pub fn messages_token_file(&self) -> &PathBuf {
        &self.messages_token_file
    }

    /// The key that replies are signed with.
    pub fn notifier_key(&self) -> Bytes32 {
        self.notifier_key
    }

    /// Waits for a text to `number` that asks for a reply, shows it, and replies: YES and the code word, or what the user
    /// types. Where this run has answered already, only a further question (an unclear reply) is answered. A text that an
    /// earlier run answered is answered once more, which changes nothing.
    ///
    /// # Errors
    /// No text comes within 15 s, or the notifier does not take the reply.
    pub async fn answer(
        &mut self,
        network: &Network<'_>,
        number: &str,
        interactive: bool,
    ) -> Result<(), String> {
        let waiting_since = Instant::now();
        let text = loop {
            if let Some(text) = self.unread(number) {
                break text;
            }
            if self.answered.contains(number) {
                return Ok(());
            }
            if waiting_since.elapsed() > ARRIVAL_LIMIT {
                return Err("no text arrived on the phone".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        println!("  ✉ {text}");
        let reply = if interactive {
            self.typed().await?
        } else {
            format!(
                "YES {}",
                code_word(&text).ok_or("the text has no code word")?
            )
        };
        println!("  ↩ {reply}");
        self.answered.insert(number.to_owned());
        self.send(network, number, &reply).await
    }

    async fn typed(&mut self) -> Result<String, String> {
        println!("  type the reply and press Enter:");
        self.keyboard
            .next_line()
            .await
            .map_err(|error| error.to_string())?
            .ok_or_else(|| "standard input ended before a reply was typed".to_owned())
    }

    /// The oldest text to a number that asks for a YES and was not read yet.
    fn unread(&mut self, number: &str) -> Option<String> {
        let entries = std::fs::read_dir(&self.folder).ok()?;
        for entry in entries.flatten() {
            let is_text = entry.path().extension().is_some_and(|end| end == "json");
            let Some(text) = is_text
                .then(|| std::fs::read(entry.path()).ok())
                .flatten()
                .and_then(|bytes| serde_json::from_slice::<Text>(&bytes).ok())
            else {
                continue;
            };
            if text.to == number
                && code_word(&text.text).is_some()
                && self.read.insert(text.reference)
            {
                return Some(text.text);
            }
        }
        None
    }

    async fn send(&mut self, network: &Network<'_>, from: &str, text: &str) -> Result<(), String> {
        self.replies += 1;
        let now = notifier::gateway::webhook::system_time();
        let id = format!("demo-{now}-{}", self.replies);
        let body = json!({"message_id": id, "from": from, "text": text}).to_string();
        let signature =
            notifier::gateway::webhook::sign(self.gateway_key.as_bytes(), now, body.as_bytes());
        network
            .post_signed(
                "notifier",
                "/v1/gateway/inbound",
                &[
                    (
                        notifier::gateway::webhook::TIMESTAMP_HEADER,
                        now.to_string(),
                    ),
                    (notifier::gateway::webhook::SIGNATURE_HEADER, signature),
                ],
                body,
            )
            .await
    }
}

/// The code word of a text that asks for a reply: `Reply YES K7`, or in Spanish `Responda SI K7`.
fn code_word(text: &str) -> Option<&str> {
    let words: Vec<_> = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.windows(3).find_map(|three| match three {
        ["Reply", "YES", code] | ["Responda", "SI" | "SÍ", code] => Some(*code),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_that_asks_has_a_code_word() {
        assert_eq!(
            code_word("Reply YES K7 to apply. Reply NO K7 to skip."),
            Some("K7")
        );
        assert_eq!(code_word("Responda SI B4 para pedirlo."), Some("B4"));
        assert_eq!(
            code_word("We got your YES K7. Reply NO K7 before then."),
            None
        );
    }
}
