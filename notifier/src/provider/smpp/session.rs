//! Keeps a transceiver session bound.

use std::time::Duration;

use futures::StreamExt as _;
use rusmpp::pdus::{BindTransceiver, DeliverSmResp};
use rusmpp::types::COctetString;
use rusmpp::values::InterfaceVersion;
use rusmpp::{Command, CommandId};
use rusmppc::{Client, ConnectionBuilder, Event};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Account, Heard, incoming};

/// Largest PDU that is read, in bytes.
const MAX_PDU: usize = 8 << 10;
/// How often the SMSC is asked whether it is there (`enquire_link`).
const ENQUIRE: Duration = Duration::from_secs(20);
/// First and longest wait before binding again.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Binds, listens, and binds again when the session breaks.
pub(super) async fn run(
    account: Account,
    client: watch::Sender<Option<Client>>,
    heard: mpsc::Sender<Heard>,
) {
    let mut wait = RECONNECT.0;
    loop {
        match session(&account, &client, &heard).await {
            Ok(()) => wait = RECONNECT.0,
            Err(problem) => tracing::warn!(provider = account.name, problem, "no SMPP session"),
        }
        client.send_replace(None);
        if heard.is_closed() {
            return;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RECONNECT.1);
    }
}

async fn session(
    account: &Account,
    set: &watch::Sender<Option<Client>>,
    heard: &mpsc::Sender<Heard>,
) -> Result<(), &'static str> {
    let (client, mut events) = ConnectionBuilder::new()
        .max_command_length(MAX_PDU)
        .enquire_link_interval(ENQUIRE)
        .enquire_link_response_timeout(account.time_out)
        .response_timeout(account.time_out)
        // SMSCs of version 3.4 say so in their answer; both versions have what is used here.
        .disable_interface_version_check()
        .connect(format!("smpp://{}", account.address))
        .await
        .map_err(|_| "the address cannot be reached")?;
    let bind = BindTransceiver::builder()
        .system_id(
            COctetString::from_string(account.system_id.clone())
                .map_err(|_| "system_id is too long")?,
        )
        .password(
            COctetString::from_string(account.password.to_string())
                .map_err(|_| "password is too long")?,
        )
        .interface_version(InterfaceVersion::Smpp3_4)
        .build();
    client
        .bind_transceiver(bind)
        .await
        .map_err(|_| "the SMSC refused the bind")?;
    tracing::info!(provider = account.name, "SMPP session bound");
    set.send_replace(Some(client.clone()));
    while let Some(event) = events.next().await {
        match event {
            Event::Incoming(command) if command.id() == CommandId::DeliverSm => {
                // Each is worked off by itself: a receipt may have to wait for the text it is about.
                tokio::spawn(deliver(
                    account.name.clone(),
                    client.clone(),
                    command,
                    heard.clone(),
                ));
            }
            Event::Incoming(_) => {}
            // Errors may quote what was received.
            Event::Error(_) => tracing::warn!(
                provider = account.name,
                "the SMPP session reported an error"
            ),
        }
    }
    Ok(())
}

/// Hands on what came in, and acknowledges it once it is stored. What cannot be read is acknowledged, too: it would come again
/// for ever.
async fn deliver(provider: String, client: Client, command: Command, heard: mpsc::Sender<Heard>) {
    let stored = match command.pdu().and_then(|pdu| incoming(&provider, pdu)) {
        Some(incoming) => {
            let (done, stored) = oneshot::channel();
            heard.send((incoming, done)).await.is_ok() && stored.await.unwrap_or(false)
        }
        None => true,
    };
    if stored
        && client
            .deliver_sm_resp(command.sequence_number(), DeliverSmResp::default())
            .await
            .is_err()
    {
        tracing::debug!(provider, "the SMPP session ended before an acknowledgement");
    }
}
