//! A short message service centre: SMPP 3.4 over TCP, one session at a time, for transceivers. It takes texts, sends receipts,
//! hands in what phones text, and can lose responses and refuse for a while.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{SinkExt as _, StreamExt as _};
use rusmpp::pdus::{BindTransceiverResp, DeliverSm, SubmitSm, SubmitSmResp};
use rusmpp::tlvs::{MessageDeliveryRequestTlvValue, TlvValue};
use rusmpp::tokio_codec::CommandCodec;
use rusmpp::types::{COctetString, OctetString};
use rusmpp::values::{DataCoding, EsmClass, Npi, Ton};
use rusmpp::{Command, CommandStatus, Pdu};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::codec::Framed;

use super::{ExternalError, Result};

/// What phones text and what becomes of texts, waiting for the session.
type Waiting = mpsc::Sender<DeliverSm>;

/// A text that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its id.
    pub id: String,
    /// The number, without `+`.
    pub to: String,
    /// `data_coding`.
    pub coding: u8,
    /// The octets, of `short_message` or `message_payload`.
    pub octets: Vec<u8>,
}

/// How a segment says where it belongs.
#[derive(Debug, Clone, Copy)]
pub enum Split {
    /// It is a text by itself.
    Whole,
    /// A user data header with an 8-bit reference (3GPP TS 23.040 §9.2.3.24.1).
    Header {
        /// The phone's number for the text.
        reference: u8,
        /// How many segments there are.
        total: u8,
        /// Which one this is, from 1.
        number: u8,
    },
    /// The parameters `sar_msg_ref_num`, `sar_total_segments`, `sar_segment_seqnum`.
    Parameters {
        /// The phone's number for the text.
        reference: u16,
        /// How many segments there are.
        total: u8,
        /// Which one this is, from 1.
        number: u8,
    },
}

/// An SMSC that runs in this process.
pub struct Smsc {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    system_id: String,
    password: String,
    texts: Mutex<Vec<Text>>,
    session: Mutex<Option<Waiting>>,
    /// Submissions still to be refused as too many.
    throttle: AtomicU32,
    /// Submissions still to be taken without a response.
    silent: AtomicU32,
    /// Acknowledged `deliver_sm`.
    acknowledged: AtomicU32,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes one from a count, if there is one.
fn take_one(count: &AtomicU32) -> bool {
    count
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        })
        .is_ok()
}

impl Smsc {
    /// Starts an SMSC for one account.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(system_id: &str, password: &str) -> Result<Self> {
        let io = |source| ExternalError::Io {
            what: "binding an SMSC".to_owned(),
            source,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        let shared = Arc::new(Shared {
            system_id: system_id.to_owned(),
            password: password.to_owned(),
            texts: Mutex::default(),
            session: Mutex::default(),
            throttle: AtomicU32::new(0),
            silent: AtomicU32::new(0),
            acknowledged: AtomicU32::new(0),
        });
        let served = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(session(served.clone(), stream));
            }
        });
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What it took.
    pub fn texts(&self) -> Vec<Text> {
        lock(&self.shared.texts).clone()
    }

    /// Whether somebody is bound.
    pub fn is_bound(&self) -> bool {
        lock(&self.shared.session)
            .as_ref()
            .is_some_and(|session| !session.is_closed())
    }

    /// `deliver_sm` that were acknowledged.
    pub fn acknowledged(&self) -> u32 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Refuses the next `count` submissions as too many.
    pub fn throttle(&self, count: u32) {
        self.shared.throttle.store(count, Ordering::SeqCst);
    }

    /// Takes the next `count` submissions and does not say so.
    pub fn lose_responses(&self, count: u32) {
        self.shared.silent.store(count, Ordering::SeqCst);
    }

    /// A text from a phone, as Latin-1.
    ///
    /// # Errors
    /// Nobody is bound, or the text is no SMS.
    pub async fn text_from(&self, number: &str, text: &str) -> Result<()> {
        let octets: Vec<u8> = text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
            .collect();
        self.deliver(number, 0, 3, octets, Split::Whole).await
    }

    /// A segment of a longer text from a phone; `coding` is its `data_coding`.
    ///
    /// # Errors
    /// As [`Smsc::text_from`].
    pub async fn segment_from(
        &self,
        number: &str,
        coding: u8,
        words: &[u8],
        split: Split,
    ) -> Result<()> {
        self.deliver(number, 0, coding, words.to_vec(), split).await
    }

    /// A receipt for a text.
    ///
    /// # Errors
    /// As [`Smsc::text_from`].
    pub async fn receipt(&self, text: &Text, stat: &str, err: &str) -> Result<()> {
        let words = format!(
            "id:{} sub:001 dlvrd:001 submit date:2612010900 done date:2612010901 stat:{stat} err:{err} text:",
            text.id
        );
        self.deliver(&text.to, 0x04, 0, words.into_bytes(), Split::Whole)
            .await
    }

    async fn deliver(
        &self,
        from: &str,
        class: u8,
        coding: u8,
        octets: Vec<u8>,
        split: Split,
    ) -> Result<()> {
        let bad = |what: &str| ExternalError::Data(what.to_owned());
        let (class, octets, parameters) = match split {
            Split::Whole => (class, octets, Vec::new()),
            Split::Header {
                reference,
                total,
                number,
            } => {
                let mut headed = vec![5, 0, 3, reference, total, number];
                headed.extend(octets);
                (class | 0x40, headed, Vec::new())
            }
            Split::Parameters {
                reference,
                total,
                number,
            } => {
                let parameters = vec![
                    MessageDeliveryRequestTlvValue::SarMsgRefNum(reference),
                    MessageDeliveryRequestTlvValue::SarTotalSegments(total),
                    MessageDeliveryRequestTlvValue::SarSegmentSeqnum(number),
                ];
                (class, octets, parameters)
            }
        };
        let deliver = DeliverSm::builder()
            .tlvs(parameters)
            .source_addr_ton(Ton::International)
            .source_addr_npi(Npi::Isdn)
            .source_addr(
                COctetString::from_string(from.trim_start_matches('+').to_owned())
                    .map_err(|_| bad("a number"))?,
            )
            .esm_class(EsmClass::from(class))
            .data_coding(DataCoding::from(coding))
            .short_message(OctetString::from_vec(octets).map_err(|_| bad("a text too long"))?)
            .build();
        let session = lock(&self.shared.session)
            .clone()
            .ok_or_else(|| bad("nobody is bound"))?;
        session
            .send(deliver)
            .await
            .map_err(|_| bad("nobody is bound"))
    }

    /// Stops.
    pub fn stop(self) {
        self.task.abort();
    }
}

async fn session(shared: Arc<Shared>, stream: TcpStream) {
    let mut framed = Framed::new(stream, CommandCodec::new().with_max_length(8 << 10));
    let (waiting, mut deliveries) = mpsc::channel(64);
    let mut next = 1_u32;
    loop {
        let outgoing = tokio::select! {
            command = framed.next() => match command {
                Some(Ok(command)) => match answer(&shared, &waiting, &command) {
                    Some(answer) => answer,
                    None => continue,
                },
                _ => return,
            },
            Some(deliver) = deliveries.recv() => {
                next += 1;
                Command::new(CommandStatus::EsmeRok, next, deliver)
            }
        };
        if framed.send(outgoing).await.is_err() {
            return;
        }
    }
}

fn answer(shared: &Shared, waiting: &Waiting, command: &Command) -> Option<Command> {
    let reply = |status, pdu: Pdu| Some(Command::new(status, command.sequence_number(), pdu));
    match command.pdu()? {
        Pdu::BindTransceiver(bind) => {
            let fine = bind.system_id.as_str() == shared.system_id
                && bind.password.as_str() == shared.password;
            let status = if fine {
                CommandStatus::EsmeRok
            } else {
                CommandStatus::EsmeRbindfail
            };
            if fine {
                *lock(&shared.session) = Some(waiting.clone());
            }
            reply(status, BindTransceiverResp::builder().build().into())
        }
        Pdu::SubmitSm(_) if take_one(&shared.throttle) => reply(
            CommandStatus::EsmeRthrottled,
            SubmitSmResp::builder().build().into(),
        ),
        Pdu::SubmitSm(submit) => {
            let id = take(shared, submit);
            if take_one(&shared.silent) {
                return None;
            }
            let id = COctetString::from_string(id).unwrap_or_default();
            reply(
                CommandStatus::EsmeRok,
                SubmitSmResp::builder().message_id(id).build().into(),
            )
        }
        Pdu::DeliverSmResp(_) => {
            shared.acknowledged.fetch_add(1, Ordering::SeqCst);
            None
        }
        Pdu::EnquireLink => reply(CommandStatus::EsmeRok, Pdu::EnquireLinkResp),
        Pdu::Unbind => reply(CommandStatus::EsmeRok, Pdu::UnbindResp),
        _ => None,
    }
}

fn take(shared: &Shared, submit: &SubmitSm) -> String {
    let payload = submit.tlvs().iter().find_map(|tlv| match tlv.value() {
        Some(TlvValue::MessagePayload(payload)) => Some(payload.value.as_ref().to_vec()),
        _ => None,
    });
    let mut texts = lock(&shared.texts);
    let id = format!("{:08X}", texts.len() + 1);
    texts.push(Text {
        id: id.clone(),
        to: submit.destination_addr.as_str().to_owned(),
        coding: u8::from(submit.data_coding),
        octets: payload.unwrap_or_else(|| submit.short_message().as_ref().to_vec()),
    });
    id
}
