//! What callers with a token may do.

use std::time::{Duration, Instant};

use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;

use super::{MAX_WAIT, Problem};
use crate::config::Permission;
use crate::service::{Caller, MessageRequest, PhoneChange, Reply, Service};

/// How often a waiting request looks for a reply.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactRequest {
    phone: String,
    language: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    #[serde(default)]
    after: i64,
    #[serde(default)]
    wait: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    #[serde(default)]
    wait: u64,
}

pub(super) fn caller<'a>(
    request: &HttpRequest,
    service: &'a Service,
    to: Permission,
) -> Result<&'a Caller, Problem> {
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let caller = token
        .and_then(|token| service.caller(token))
        .ok_or_else(|| {
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "token",
                "present a caller's token: Authorization: Bearer …",
            )
        })?;
    if caller.may(to) {
        return Ok(caller);
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "permission",
        "this caller may not do this",
    ))
}

pub(super) async fn key(service: Data<Service>) -> HttpResponse {
    let key = service.signing_key.verifying_key();
    HttpResponse::Ok().json(json!({ "key": URL_SAFE_NO_PAD.encode(key.as_bytes()) }))
}

pub(super) async fn add_contact(
    request: HttpRequest,
    body: Bytes,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    caller(&request, &service, Permission::Contacts)?;
    let contact: ContactRequest = serde_json::from_slice(&body).map_err(|_| Problem::body())?;
    let enrolled = service.register(&contact.phone, &contact.language).await?;
    Ok(HttpResponse::Created().json(enrolled))
}

pub(super) async fn contact(
    request: HttpRequest,
    id: Path<String>,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    caller(&request, &service, Permission::Contacts)
        .or_else(|_| caller(&request, &service, Permission::Messages))?;
    Ok(HttpResponse::Ok().json(service.contact_view(&id).await?))
}

pub(super) async fn change_phone(
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    caller(&request, &service, Permission::Contacts)?;
    let change: PhoneChange = serde_json::from_slice(&body).map_err(|_| Problem::body())?;
    service.change_phone(&id, &change).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn send(
    request: HttpRequest,
    body: Bytes,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    let caller = caller(&request, &service, Permission::Messages)?;
    let message: MessageRequest = serde_json::from_slice(&body).map_err(|_| Problem::body())?;
    let accepted = service.request(&caller.name, &message).await?;
    Ok(HttpResponse::Accepted().json(accepted))
}

pub(super) async fn message(
    request: HttpRequest,
    id: Path<String>,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    let caller = caller(&request, &service, Permission::Messages)?;
    Ok(HttpResponse::Ok().json(service.message(&caller.name, &id).await?))
}

pub(super) async fn reply(
    request: HttpRequest,
    decision_id: Path<String>,
    wait: Query<Wait>,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    let caller = caller(&request, &service, Permission::Messages)?;
    let until = Instant::now() + Duration::from_secs(wait.wait.min(MAX_WAIT));
    loop {
        match service.reply(&caller.name, &decision_id).await? {
            Reply::Signed(reply) => return Ok(HttpResponse::Ok().json(reply)),
            Reply::Closed(closed) => {
                return Err(Problem::new(
                    StatusCode::GONE,
                    closed.as_str(),
                    "the decision ended without a reply",
                ));
            }
            Reply::None if Instant::now() >= until => return Ok(HttpResponse::NoContent().finish()),
            Reply::None => tokio::time::sleep(LOOK).await,
        }
    }
}

pub(super) async fn withdraw(
    request: HttpRequest,
    id: Path<String>,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    let caller = caller(&request, &service, Permission::Messages)?;
    service.withdraw(&caller.name, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn events(
    request: HttpRequest,
    query: Query<After>,
    service: Data<Service>,
) -> Result<HttpResponse, Problem> {
    let caller = caller(&request, &service, Permission::Messages)?;
    let until = Instant::now() + Duration::from_secs(query.wait.min(MAX_WAIT));
    loop {
        let events = service.events(&caller.name, query.after).await?;
        if !events.is_empty() || Instant::now() >= until {
            return Ok(HttpResponse::Ok().json(json!({ "events": events })));
        }
        tokio::time::sleep(LOOK).await;
    }
}
