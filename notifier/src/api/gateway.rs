//! What comes in where texts leave by folder or console: webhooks signed with a key of their own.

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::Problem;
use crate::phone::Phone;
use crate::provider::webhook::{SIGNATURE_HEADER, TIMESTAMP_HEADER, system_time, verify};
use crate::provider::{Cause, Delivery, Incoming};
use crate::service::Service;

/// Longest id the gateway gives a text, in bytes.
const MAX_MESSAGE_ID: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inbound {
    /// The gateway's own id of the text: the same text said twice is one.
    message_id: String,
    /// The sender.
    from: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    /// The reference the text was handed over with.
    reference: String,
    /// The provider's name.
    provider: String,
    state: ReceiptState,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReceiptState {
    Delivered,
    Failed,
}

fn authentic(request: &HttpRequest, body: &[u8], service: &Service) -> Result<(), Problem> {
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let (timestamp, signature) = (header(TIMESTAMP_HEADER), header(SIGNATURE_HEADER));
    let key = service.gateway_key().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "no gateway_key is configured",
        )
    })?;
    Ok(verify(key, timestamp, signature, body, system_time())?)
}

pub(super) async fn inbound(
    request: HttpRequest,
    body: Bytes,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    authentic(&request, &body, &service)?;
    let text: Inbound = serde_json::from_slice(&body).map_err(|_| Problem::body())?;
    let from = Phone::parse(&text.from)
        .filter(|_| (1..=MAX_MESSAGE_ID).contains(&text.message_id.len()))
        .ok_or_else(|| {
            Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "field",
                "from: E.164; message_id: 1 to 200 bytes",
            )
        })?;
    let incoming = Incoming::Text {
        id: Some(text.message_id),
        from,
        text: text.text,
        answered: None,
    };
    service.hear(&incoming).await?;
    Ok(HttpResponse::Ok().finish())
}

pub(super) async fn receipt(
    request: HttpRequest,
    body: Bytes,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    authentic(&request, &body, &service)?;
    let receipt: Receipt = serde_json::from_slice(&body).map_err(|_| Problem::body())?;
    let incoming = Incoming::Report {
        provider: receipt.provider,
        provider_id: Some(receipt.reference.clone()),
        reference: Some(receipt.reference),
        to: None,
        delivery: match receipt.state {
            ReceiptState::Delivered => Delivery::Delivered,
            ReceiptState::Failed => Delivery::Failed,
        },
        cause: Cause::Other,
    };
    service.hear(&incoming).await?;
    Ok(HttpResponse::Ok().finish())
}
