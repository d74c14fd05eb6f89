//! The notifier, with a gateway that leaves texts in a folder, and the people who answer them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use contracts::encoding::Bytes32;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

use super::DemoError;
use super::folder::Folder;
use super::network::Network;
use crate::external::Secret;
use crate::external::phone::{Phone, Text};

/// How long a text may take to arrive after the profile handed it to the notifier.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(15);

/// The messaging side of a run.
pub struct Texting {
    outbox: PathBuf,
    gateway_key: String,
    contacts_token: String,
    messages_token_file: PathBuf,
    notifier_key: Bytes32,
    answered: BTreeSet<String>,
    keyboard: Lines<BufReader<Stdin>>,
}

#[derive(Deserialize)]
struct Key {
    key: Bytes32,
}

impl Texting {
    /// Starts the notifier.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(
        folder: &Folder,
        network: &Network<'_>,
        clock_offset: i64,
    ) -> Result<Self, DemoError> {
        let outbox = folder.make("phone")?;
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
            "providers": [{"kind": "file", "name": "phone", "folder": outbox}],
            // The story is told at any hour of the day.
            "rules": {"texting_hours": [0, 24], "daily_cap": 20},
        }))
        .map_err(|error| DemoError::Other(format!("configuration: {error}")))?;
        network.start("notifier", "notifier", &config).await?;
        let key: Key = network
            .get("notifier", "/v1/key", None)
            .await
            .map_err(DemoError::Other)?;
        Ok(Self {
            outbox,
            gateway_key,
            contacts_token,
            messages_token_file,
            notifier_key: key.key,
            answered: BTreeSet::new(),
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

    pub(crate) fn phone(&self, network: &Network<'_>, number: &str) -> Phone {
        Phone {
            outbox: self.outbox.clone(),
            number: number.to_owned(),
            notifier: network.url("notifier"),
            gateway_key: Secret::new(&self.gateway_key),
        }
    }

    /// Waits for the text that asks whether the phone is the person's, and says YES.
    ///
    /// # Errors
    /// No text comes within 15 s, or the notifier does not take the reply.
    pub async fn verify(&self, network: &Network<'_>, number: &str) -> Result<(), String> {
        let phone = self.phone(network, number);
        let text = phone
            .wait_for(ARRIVAL_LIMIT, Text::verifies)
            .await
            .map_err(|error| error.to_string())?;
        let text = text.ok_or("no verification text arrived on the phone")?;
        let reply = format!("YES {}", text.code().unwrap_or_default());
        phone
            .reply(&text, &reply)
            .await
            .map_err(|error| error.to_string())
    }

    /// Waits for a text to `number` that asks for a reply, shows it, and replies: YES and the code word, or what the user
    /// types. Where this run has answered already and no text is known to be `coming`, only a further question (an unclear
    /// reply) is answered. A text that an earlier run answered is answered once more, which changes nothing.
    ///
    /// # Errors
    /// No text comes within 15 s, or the notifier does not take the reply.
    pub async fn answer(
        &mut self,
        network: &Network<'_>,
        number: &str,
        interactive: bool,
        coming: bool,
    ) -> Result<(), String> {
        let phone = self.phone(network, number);
        let mine = format!("{number} ");
        let awaited = coming
            || !self
                .answered
                .iter()
                .any(|answered| answered.starts_with(&mine));
        let limit = if awaited {
            ARRIVAL_LIMIT
        } else {
            Duration::ZERO
        };
        let text = phone
            .wait_for(limit, |text| {
                text.code().is_some()
                    && !text.verifies()
                    && !self.answered.contains(&format!("{mine}{}", text.reference))
            })
            .await
            .map_err(|error| error.to_string())?;
        let Some(text) = text else {
            return if awaited {
                Err("no text arrived on the phone".to_owned())
            } else {
                Ok(())
            };
        };
        println!("  ✉ {}", text.body);
        let reply = if interactive {
            self.typed().await?
        } else {
            format!("YES {}", text.code().unwrap_or_default())
        };
        println!("  ↩ {reply}");
        phone
            .reply(&text, &reply)
            .await
            .map_err(|error| error.to_string())?;
        self.answered.insert(format!("{mine}{}", text.reference));
        Ok(())
    }

    async fn typed(&mut self) -> Result<String, String> {
        println!("  type the reply and press Enter:");
        self.keyboard
            .next_line()
            .await
            .map_err(|error| error.to_string())?
            .ok_or_else(|| "standard input ended before a reply was typed".to_owned())
    }
}
