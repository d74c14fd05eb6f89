//! What becomes of a text, and the callbacks that tell of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use notifier::provider::twilio::signature::{HEADER, sign};

use super::Carrier;
use super::faults::Fault;

/// How long a text is on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(20);
/// Why texts are not delivered here: "Unreachable destination handset" is left out, as it says something about the number.
const FILTERED: i64 = 30007;

/// Sends a text on, tells that it was sent, and how it ended.
pub(super) async fn deliver(carrier: Arc<Carrier>, sid: String) {
    let failed = carrier.faults.percent() < carrier.undelivered_percent.load(Ordering::Relaxed);
    let end = if failed { "undelivered" } else { "delivered" };
    for status in ["sent", end] {
        actix_web::rt::time::sleep(ON_ITS_WAY).await;
        let callback = carrier.texts(|texts| {
            let text = texts.iter_mut().find(|text| text.sid == sid)?;
            text.status = status;
            text.error_code = (status == "undelivered").then_some(FILTERED);
            Some((text.callback.clone()?, text.to.clone(), text.error_code))
        });
        if let Some((url, to, error)) = callback {
            let mut form = vec![
                ("AccountSid".to_owned(), carrier.account_sid.clone()),
                ("ApiVersion".to_owned(), "2010-04-01".to_owned()),
                ("MessageSid".to_owned(), sid.clone()),
                ("MessageStatus".to_owned(), status.to_owned()),
                ("SmsSid".to_owned(), sid.clone()),
                ("SmsStatus".to_owned(), status.to_owned()),
                ("To".to_owned(), to),
            ];
            form.extend(error.map(|code| ("ErrorCode".to_owned(), code.to_string())));
            actix_web::rt::spawn(tell(carrier.clone(), url, form));
        }
    }
}

async fn tell(carrier: Arc<Carrier>, url: String, form: Vec<(String, String)>) {
    let (times, delay) = match carrier.faults.draw() {
        Fault::None => (1, Duration::ZERO),
        Fault::LoseRequest => (0, Duration::ZERO),
        // The carrier tells again when it hears no answer.
        Fault::LoseAnswer => (2, Duration::ZERO),
        Fault::Delay(delay) => (1, delay),
        Fault::Duplicate(delay) => (2, delay),
    };
    for _ in 0..times {
        actix_web::rt::time::sleep(delay).await;
        let signature = sign(carrier.auth_token.expose().as_bytes(), &url, &form);
        let sent = carrier
            .client
            .post(&url)
            .header(HEADER, signature)
            .form(&form)
            .send()
            .await;
        if let Err(error) = sent {
            tracing::debug!(error = %error.without_url(), "a callback found nobody");
        }
    }
}
