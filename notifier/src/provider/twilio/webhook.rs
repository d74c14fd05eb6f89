//! What the carrier's webhooks say.

use url::Url;

use super::state;
use crate::phone::Phone;
use crate::provider::{Incoming, Reserved};

/// Longest id of a text, in bytes.
const MAX_ID: usize = 100;

/// Our answer to every webhook: TwiML without a verb. It is the same for a known number, an unknown one and a text that was
/// understood or not, so that nobody learns anything from it.
pub const TWIML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>";

/// Where texts that come in are posted.
pub fn inbound_url(public: &Url, provider: &str) -> String {
    format!(
        "{}/v1/carriers/{provider}/inbound",
        public.as_str().trim_end_matches('/')
    )
}

/// Where the status of one text is posted.
pub fn status_url(public: &Url, provider: &str, reference: &str) -> String {
    format!(
        "{}/v1/carriers/{provider}/status?ref={reference}",
        public.as_str().trim_end_matches('/')
    )
}

fn value<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// A text that came in; nothing where the form is none.
pub fn inbound(form: &[(String, String)]) -> Option<Incoming> {
    let id = value(form, "MessageSid").filter(|id| (1..=MAX_ID).contains(&id.len()))?;
    Some(Incoming::Text {
        id: Some(id.to_owned()),
        from: Phone::parse(value(form, "From")?)?,
        text: value(form, "Body")?.to_owned(),
        // Set where the carrier's own opt-out handling took the text and answered it.
        answered: match value(form, "OptOutType") {
            Some("STOP") => Some(Reserved::Stop),
            Some("START") => Some(Reserved::Start),
            Some("HELP") => Some(Reserved::Help),
            _ => None,
        },
    })
}

/// A status report; nothing where the form is none.
pub fn status(
    provider: &str,
    reference: Option<&str>,
    form: &[(String, String)],
) -> Option<Incoming> {
    let id = value(form, "MessageSid").filter(|id| (1..=MAX_ID).contains(&id.len()))?;
    let code = value(form, "ErrorCode").and_then(|code| code.parse().ok());
    let (delivery, cause) = state(value(form, "MessageStatus")?, code);
    Some(Incoming::Report {
        provider: provider.to_owned(),
        reference: reference.map(str::to_owned),
        provider_id: Some(id.to_owned()),
        to: None,
        delivery,
        cause,
    })
}
