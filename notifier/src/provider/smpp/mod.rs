//! Carriers and aggregators with an SMSC: SMPP 3.4 and 5.0 by the crate `rusmppc`, one transceiver session that is bound again
//! when it breaks.
//!
//! SMPP has no look-up: a `submit_sm` whose answer was lost is known to have been taken only when its receipt comes, which names
//! the number; without one it becomes a dead letter. Longer texts that come in are handed on in segments, as an SMSC gives
//! them; the service joins them.

pub(crate) mod alphabet;
mod receipt;
mod segment;
mod session;

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rusmpp::pdus::{DeliverSm, SubmitSm};
use rusmpp::tlvs::MessageSubmissionRequestTlvValue;
use rusmpp::types::{AnyOctetString, COctetString, OctetString};
use rusmpp::values::{DataCoding, EsmClass, MessagePayload, Npi, RegisteredDelivery, Ton};
use rusmpp::{CommandStatus, Pdu};
use rusmppc::error::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{Cause, Delivery, Found, Incoming, NoAnswer, Outgoing, Provider, Segment, SendError};
use crate::text::segment::{Encoding, segments};

/// How long nothing is submitted after the SMSC said that it is too much.
const THROTTLE: Duration = Duration::from_secs(2);

/// What an SMSC is reached with. The session is in clear text: run it inside a tunnel.
#[derive(Clone)]
pub struct Account {
    /// Name of the provider in the configuration.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// `system_id`.
    pub system_id: String,
    /// `password`.
    pub password: Zeroizing<String>,
    /// The sending number or short code.
    pub from: String,
    /// How long a response is waited for.
    pub time_out: Duration,
    /// How long a receipt is waited for where the response was lost.
    pub settle: Duration,
}

/// A session that is kept up.
pub struct Smpp {
    account: Account,
    client: watch::Receiver<Option<rusmppc::Client>>,
    paused: watch::Sender<Option<tokio::time::Instant>>,
}

/// What came in by SMPP; it is acknowledged to the SMSC when the answer is true, and said again by it otherwise.
pub type Heard = (Incoming, tokio::sync::oneshot::Sender<bool>);

impl Smpp {
    /// Starts the session; what comes in goes to `heard`.
    pub fn start(account: Account, heard: mpsc::Sender<Heard>) -> (Self, JoinHandle<()>) {
        let (set_client, client) = watch::channel(None);
        let task = tokio::spawn(session::run(account.clone(), set_client, heard));
        (
            Self {
                account,
                client,
                paused: watch::Sender::new(None),
            },
            task,
        )
    }

    async fn submit(&self, text: &Outgoing<'_>) -> Result<String, SendError> {
        let paused = *self.paused.borrow();
        if paused.is_some_and(|until| tokio::time::Instant::now() < until) {
            return Err(SendError::NotTaken("throttled".to_owned()));
        }
        let client = self
            .client
            .borrow()
            .clone()
            .filter(rusmppc::Client::is_active);
        let client = client.ok_or(SendError::NotTaken("no session".to_owned()))?;
        let submit = self
            .submit_sm(text)
            .ok_or(SendError::Refused(Cause::Other))?;
        match client.submit_sm(submit).await {
            Ok(response) => Ok(response.message_id().as_str().to_owned()),
            Err(Error::UnexpectedResponse { response }) => Err(self.refusal(response.status())),
            Err(Error::Encode(_)) => Err(SendError::Refused(Cause::Other)),
            Err(Error::ResponseTimeout { .. }) => {
                Err(SendError::Unknown("no response in time".to_owned()))
            }
            Err(_) => Err(SendError::Unknown("the session broke".to_owned())),
        }
    }

    fn submit_sm(&self, text: &Outgoing<'_>) -> Option<SubmitSm> {
        let (coding, octets) = alphabet::encode(text.text);
        let number = text.to.expose().trim_start_matches('+').to_owned();
        let (ton, npi) = match self.account.from.strip_prefix('+') {
            Some(_) => (Ton::International, Npi::Isdn),
            None if self.account.from.bytes().all(|b| b.is_ascii_digit()) => {
                (Ton::NetworkSpecific, Npi::Unknown)
            }
            None => (Ton::Alphanumeric, Npi::Unknown),
        };
        let from = self.account.from.trim_start_matches('+').to_owned();
        let submit = SubmitSm::builder()
            .source_addr_ton(ton)
            .source_addr_npi(npi)
            .source_addr(COctetString::from_string(from).ok()?)
            .dest_addr_ton(Ton::International)
            .dest_addr_npi(Npi::Isdn)
            .destination_addr(COctetString::from_string(number).ok()?)
            // The crate's default sets a bit of another network's; ours is the plain class.
            .esm_class(EsmClass::from(0))
            .registered_delivery(RegisteredDelivery::from(1))
            .data_coding(DataCoding::from(coding));
        // What takes several segments goes whole, in message_payload (§5.3.2.32); the SMSC splits it.
        Some(match segments(text.text) {
            (Encoding::Gsm7 | Encoding::Ucs2, 1) => submit
                .short_message(OctetString::from_vec(octets).ok()?)
                .build(),
            _ => submit
                .push_tlv(MessageSubmissionRequestTlvValue::MessagePayload(
                    MessagePayload::new(AnyOctetString::from_vec(octets)),
                ))
                .build(),
        })
    }

    fn refusal(&self, status: CommandStatus) -> SendError {
        match status {
            CommandStatus::EsmeRthrottled | CommandStatus::EsmeRmsgqful => {
                self.paused
                    .send_replace(Some(tokio::time::Instant::now() + THROTTLE));
                SendError::NotTaken("throttled".to_owned())
            }
            CommandStatus::EsmeRsyserr | CommandStatus::EsmeRsubmitfail => {
                SendError::NotTaken("a system error".to_owned())
            }
            CommandStatus::EsmeRinvdstadr => SendError::Refused(Cause::Number),
            _ => SendError::Refused(Cause::Other),
        }
    }
}

impl Provider for Smpp {
    fn name(&self) -> &str {
        &self.account.name
    }

    fn send<'a>(&'a self, text: &'a Outgoing<'a>) -> BoxFuture<'a, Result<String, SendError>> {
        self.submit(text).boxed()
    }

    fn look_up<'a>(
        &'a self,
        _text: &'a Outgoing<'a>,
        _since: i64,
    ) -> BoxFuture<'a, Result<Found, NoAnswer>> {
        async { Ok(Found::CannotTell) }.boxed()
    }

    fn status<'a>(
        &'a self,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<Option<(Delivery, Cause)>, NoAnswer>> {
        async { Ok(None) }.boxed()
    }

    fn settle(&self) -> Duration {
        self.account.settle
    }
}

/// What a `deliver_sm` says: a receipt, or a text.
fn incoming(provider: &str, pdu: &Pdu) -> Option<Incoming> {
    use crate::phone::Phone;
    use rusmpp::tlvs::TlvValue;

    let Pdu::DeliverSm(deliver) = pdu else {
        return None;
    };
    let tlv = |wanted: fn(&TlvValue) -> Option<Vec<u8>>| {
        deliver
            .tlvs()
            .iter()
            .find_map(|tlv| tlv.value().and_then(wanted))
    };
    let payload = tlv(|value| match value {
        TlvValue::MessagePayload(payload) => Some(payload.value.as_ref().to_vec()),
        _ => None,
    });
    let octets = payload.unwrap_or_else(|| deliver.short_message().as_ref().to_vec());
    let class = u8::from(deliver.esm_class);
    let (place, octets) = match class & 0x40 {
        0 => (None, octets.as_slice()),
        _ => segment::split(&octets)?,
    };
    let coding = u8::from(deliver.data_coding);
    let source = deliver.source_addr.as_str();
    let from = Phone::parse(source).or_else(|| Phone::parse(&format!("+{source}")));
    if class & 0x3c != 0x04 {
        return Some(match place.or_else(|| sar(deliver)) {
            Some(place) => Incoming::Segment {
                provider: provider.to_owned(),
                from: from?,
                segment: Segment {
                    reference: place.reference,
                    total: place.total,
                    number: place.number,
                    coding,
                    octets: octets.to_vec(),
                },
            },
            None => Incoming::Text {
                id: None,
                from: from?,
                text: alphabet::decode(coding, octets),
                answered: None,
            },
        });
    }
    let text = alphabet::decode(coding, octets);
    let receipt = receipt::parse(&text);
    let id = tlv(|value| match value {
        TlvValue::ReceiptedMessageId(id) => Some(id.as_str().as_bytes().to_vec()),
        _ => None,
    });
    Some(Incoming::Report {
        provider: provider.to_owned(),
        reference: None,
        provider_id: id.and_then(|id| String::from_utf8(id).ok()).or(receipt.id),
        to: from,
        delivery: receipt.delivery,
        cause: receipt.cause,
    })
}

/// The place that the parameters `sar_msg_ref_num`, `sar_total_segments` and `sar_segment_seqnum` name together.
fn sar(deliver: &DeliverSm) -> Option<segment::Place> {
    use rusmpp::tlvs::TlvValue;

    let (mut reference, mut total, mut number) = (None, None, None);
    for tlv in deliver.tlvs() {
        match tlv.value() {
            Some(TlvValue::SarMsgRefNum(value)) => reference = Some(*value),
            Some(TlvValue::SarTotalSegments(value)) => total = Some(*value),
            Some(TlvValue::SarSegmentSeqnum(value)) => number = Some(*value),
            _ => {}
        }
    }
    segment::Place::sar(reference?, total?, number?)
}
