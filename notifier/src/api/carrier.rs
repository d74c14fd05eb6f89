//! What a carrier with the Twilio API says: forms, signed over the address they are posted to.

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::Problem;
use crate::provider::twilio::signature::{HEADER, verify};
use crate::provider::twilio::webhook::{TWIML, inbound_url, status_url};
use crate::provider::{Incoming, twilio};
use crate::service::{Carrier, Service};

type Form = Vec<(String, String)>;

#[derive(Deserialize)]
pub(super) struct Reference {
    #[serde(rename = "ref")]
    reference: String,
}

/// The form, if the carrier signed it for this address.
fn authentic(
    request: &HttpRequest,
    body: &[u8],
    carrier: &Carrier,
    url: &str,
) -> Result<Form, Problem> {
    let signature = request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let form: Form = url::form_urlencoded::parse(body).into_owned().collect();
    if verify(&carrier.tokens, url, &form, signature) {
        return Ok(form);
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "forged",
        "x-twilio-signature does not verify for the configured public_url",
    ))
}

fn carrier<'a>(service: &'a Service, name: &str) -> Result<&'a Carrier, Problem> {
    let known = service.carriers.iter().find(|carrier| carrier.name == name);
    known.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not-found", "no such carrier"))
}

/// The same answer to whatever is said.
async fn taken(service: &Service, incoming: Option<Incoming>) -> Result<HttpResponse, Problem> {
    if let Some(incoming) = incoming {
        service.hear(&incoming).await?;
    }
    Ok(HttpResponse::Ok()
        .content_type("text/xml; charset=utf-8")
        .body(TWIML))
}

pub(super) async fn inbound(
    request: HttpRequest,
    name: Path<String>,
    body: Bytes,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    let carrier = carrier(&service, &name)?;
    let form = authentic(
        &request,
        &body,
        carrier,
        &inbound_url(&carrier.public_url, &name),
    )?;
    taken(&service, twilio::webhook::inbound(&form)).await
}

pub(super) async fn status(
    request: HttpRequest,
    name: Path<String>,
    query: Query<Reference>,
    body: Bytes,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    let carrier = carrier(&service, &name)?;
    let form = authentic(
        &request,
        &body,
        carrier,
        &status_url(&carrier.public_url, &name, &query.reference),
    )?;
    taken(
        &service,
        twilio::webhook::status(&name, Some(&query.reference), &form),
    )
    .await
}
