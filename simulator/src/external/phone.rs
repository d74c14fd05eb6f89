//! Somebody's phone: shows the texts that the notifier's file gateway delivered, and sends replies as the gateway would.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use notifier::provider::webhook;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{ExternalError, Result, Secret};

/// How often a waiting phone looks for texts.
const LOOK: Duration = Duration::from_millis(50);
/// How long the notifier is waited for.
const TIME_OUT: Duration = Duration::from_secs(5);

/// A phone.
#[derive(Debug, Clone)]
pub struct Phone {
    /// The gateway's folder.
    pub outbox: PathBuf,
    /// E.164.
    pub number: String,
    /// Base URL of the notifier.
    pub notifier: String,
    /// The key that the gateway signs with.
    pub gateway_key: Secret,
}

/// A text that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The gateway's reference.
    pub reference: String,
    /// The words.
    pub body: String,
}

#[derive(Deserialize)]
struct File {
    reference: String,
    to: String,
    text: String,
}

impl Text {
    /// The code word, if the text asks for an answer: what follows `Reply YES` or `Responda SI`.
    pub fn code(&self) -> Option<&str> {
        ["Reply YES ", "Responda SI "].into_iter().find_map(|cue| {
            let (_, after) = self.body.split_once(cue)?;
            after.split_whitespace().next()
        })
    }
}

impl Text {
    /// Whether it asks if the phone is the person's.
    pub fn verifies(&self) -> bool {
        ["Did you ask us to text you", "Nos dio este celular"]
            .into_iter()
            .any(|cue| self.body.contains(cue))
    }
}

impl Phone {
    /// The texts that arrived, oldest first.
    ///
    /// # Errors
    /// A folder or file that cannot be read.
    pub fn texts(&self) -> Result<Vec<Text>> {
        let io = |source| ExternalError::Io {
            what: format!("reading {}", self.outbox.display()),
            source,
        };
        let mut texts: Vec<(SystemTime, Text)> = Vec::new();
        for entry in std::fs::read_dir(&self.outbox).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let shown = path.file_name().and_then(|name| name.to_str());
            // A name with a leading dot is a text still being written.
            if shown.is_none_or(|name| name.starts_with('.') || !name.ends_with(".json")) {
                continue;
            }
            let bytes = std::fs::read(&path).map_err(io)?;
            let written = path
                .metadata()
                .and_then(|meta| meta.modified())
                .map_err(io)?;
            let file: File = serde_json::from_slice(&bytes)
                .map_err(|error| ExternalError::Data(format!("{}: {error}", path.display())))?;
            if file.to == self.number {
                let text = Text {
                    reference: file.reference,
                    body: file.text,
                };
                texts.push((written, text));
            }
        }
        texts.sort_by_key(|(written, _)| *written);
        Ok(texts.into_iter().map(|(_, text)| text).collect())
    }

    /// Waits for a text that `wanted` picks, the newest of them; none when `time_out` passes.
    ///
    /// # Errors
    /// As [`Phone::texts`].
    pub async fn wait_for(
        &self,
        time_out: Duration,
        wanted: impl Fn(&Text) -> bool,
    ) -> Result<Option<Text>> {
        let until = Instant::now() + time_out;
        loop {
            if let Some(text) = self.texts()?.into_iter().rev().find(&wanted) {
                return Ok(Some(text));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Replies to a text. The same reply to the same text, sent again, is the same message, as a gateway that repeats itself
    /// would have it.
    ///
    /// # Errors
    /// The notifier does not answer, or refuses.
    pub async fn reply(&self, to: &Text, body: &str) -> Result<()> {
        let digest = Sha256::new()
            .chain_update(&to.reference)
            .chain_update([0])
            .chain_update(body)
            .finalize();
        let webhook_body =
            json!({ "message_id": hex::encode(digest), "from": self.number, "text": body })
                .to_string();
        let timestamp = webhook::system_time();
        let key = self.gateway_key.expose().as_bytes();
        let failed = |what: String| {
            ExternalError::Data(format!("the notifier did not take the reply: {what}"))
        };
        let client = oracles::http::client_builder()
            .no_proxy()
            .timeout(TIME_OUT)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let answer = client
            .post(format!("{}/v1/gateway/inbound", self.notifier))
            .header(webhook::TIMESTAMP_HEADER, timestamp)
            .header(
                webhook::SIGNATURE_HEADER,
                webhook::sign(key, timestamp, webhook_body.as_bytes()),
            )
            .body(webhook_body)
            .send()
            .await
            .map_err(|error| failed(error.without_url().to_string()))?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(failed(answer.status().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_phone_reads_its_question_and_its_answer_arrives_signed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let secret = |name: &str, value: &str| {
            std::fs::write(at(name), value).unwrap();
            format!("{{ file = {:?} }}", at(name))
        };
        let key = contracts::encoding::to_base64url([5; 32]);
        let config = format!(
            "listen = \"127.0.0.1:0\"\ndatabase = \"sqlite:{}\"\noperator_key = {}\nsigning_key = {}\ngateway_key = {}\n\
             providers = [{{ kind = \"file\", name = \"phone\", folder = {:?} }}]\nrules = {{ texting_hours = [0, 24] }}\n\
             callers = [{{ name = \"all\", token = {}, may = [\"contacts\", \"messages\"] }}]",
            at("db").display(),
            secret("operator", &key),
            secret("signing", &key),
            secret("gateway", "hook"),
            at("outbox"),
            secret("token", "token"),
        );
        let notifier = notifier::start(notifier::Config::parse(&config).unwrap())
            .await
            .unwrap();
        let client = oracles::http::client_builder().no_proxy().build().unwrap();
        let post = |path: &str, body: serde_json::Value| {
            client
                .post(format!("{}{path}", notifier.url()))
                .bearer_auth("token")
                .json(&body)
                .send()
        };
        let number = "+14155550132";
        let contact = post("/v1/contacts", json!({ "phone": number, "language": "es" }))
            .await
            .unwrap();
        let contact: serde_json::Value = contact.json().await.unwrap();
        let phone = Phone {
            outbox: at("outbox"),
            number: number.to_owned(),
            notifier: notifier.url(),
            gateway_key: Secret::new("hook"),
        };
        let asked = phone
            .wait_for(TIME_OUT, Text::verifies)
            .await
            .unwrap()
            .unwrap();
        phone
            .reply(&asked, &format!("sí {}", asked.code().unwrap()))
            .await
            .unwrap();
        let question = json!({
            "contact": contact["contact"], "template": "apply", "params": { "jurisdiction": "CA" }, "decision_id": "d1",
            "deadline": webhook::system_time() + 400_000, "undo_seconds": 1, "idempotency_key": "k",
        });
        assert_eq!(post("/v1/messages", question).await.unwrap().status(), 202);

        let question = phone
            .wait_for(TIME_OUT, |text| text.code().is_some() && !text.verifies())
            .await
            .unwrap()
            .unwrap();
        for _ in 0..2 {
            phone
                .reply(&question, &format!("sí {}", question.code().unwrap()))
                .await
                .unwrap();
        }
        let url = format!("{}/v1/replies/d1?wait=10", notifier.url());
        let reply: contracts::application::Approval = {
            let answer = client.get(url).bearer_auth("token").send().await.unwrap();
            let mut reply: serde_json::Value = answer.json().await.unwrap();
            // An approval names its signature after its signer, and a decision id is 32 bytes.
            reply["notifier_signature"] = reply["signature"].take();
            reply.as_object_mut().unwrap().remove("signature");
            assert_eq!(reply["decision_id"], "d1");
            reply["decision_id"] = json!(contracts::encoding::to_base64url([0; 32]));
            serde_json::from_value(reply).unwrap()
        };
        let message = contracts::application::reply_message("d1", "YES", reply.replied_at);
        let signature = ed25519_dalek::Signature::from_bytes(&reply.notifier_signature.0);
        notifier
            .key()
            .verify_strict(message.as_bytes(), &signature)
            .unwrap();
        notifier.shutdown().await;
    }
}
