//! The carrier's API: send, list, fetch.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::Rng as _;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::callbacks;
use super::faults::Fault;
use super::{Carrier, Text};

/// How long a lost call is kept waiting: longer than any caller waits.
const LOST: Duration = Duration::from_secs(30);
/// Texts on one page of a list, at most.
const MAX_PAGE: usize = 1000;

pub(super) fn routes(service: &mut ServiceConfig) {
    service
        .app_data(web::PayloadConfig::new(16 << 10))
        .route(
            "/2010-04-01/Accounts/{account}/Messages.json",
            web::post().to(create),
        )
        .route(
            "/2010-04-01/Accounts/{account}/Messages.json",
            web::get().to(list),
        )
        .route(
            "/2010-04-01/Accounts/{account}/Messages/{sid}.json",
            web::get().to(fetch),
        );
}

fn error(status: StatusCode, code: i64, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({
        "code": code, "message": message, "status": status.as_u16(),
        "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
    }))
}

/// The refusal of a request whose account does not sign in with its auth token.
fn refusal(request: &HttpRequest, carrier: &Carrier, account: &str) -> Option<HttpResponse> {
    let sent = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let decoded = sent
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|value| STANDARD.decode(value).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let fine = decoded
        .as_deref()
        .and_then(|pair| pair.split_once(':'))
        .is_some_and(|(user, password)| {
            user == carrier.account_sid && carrier.auth_token.matches(password)
        });
    if fine && account == carrier.account_sid {
        return None;
    }
    Some(error(StatusCode::UNAUTHORIZED, 20003, "Authenticate"))
}

/// Plays a call with what goes wrong with it. What the carrier does it does even if the caller has hung up.
async fn faulty<F>(carrier: &Carrier, answer: F) -> HttpResponse
where
    F: Future<Output = HttpResponse> + 'static,
{
    match carrier.faults.draw() {
        Fault::None => answer.await,
        Fault::LoseRequest => {
            actix_web::rt::time::sleep(LOST).await;
            HttpResponse::GatewayTimeout().finish()
        }
        Fault::LoseAnswer => {
            // Half of the answers are lost by a proxy that says so at once, half by silence.
            let silent = carrier.faults.percent() < 50;
            // The answer is made and thrown away.
            let _ = actix_web::rt::spawn(answer).await;
            if silent {
                actix_web::rt::time::sleep(LOST).await;
            }
            HttpResponse::BadGateway().finish()
        }
        // A repeated call would be a second order, which no carrier can tell from a wish: calls are late instead.
        Fault::Delay(delay) | Fault::Duplicate(delay) => {
            let late = actix_web::rt::spawn(async move {
                actix_web::rt::time::sleep(delay).await;
                answer.await
            });
            late.await
                .unwrap_or_else(|_| HttpResponse::InternalServerError().finish())
        }
    }
}

async fn create(
    request: HttpRequest,
    account: Path<String>,
    body: Bytes,
    carrier: Data<Carrier>,
) -> HttpResponse {
    if let Some(refusal) = refusal(&request, &carrier, &account) {
        return refusal;
    }
    let taken = carrier.clone();
    faulty(&carrier, async move { take(taken, &body) }).await
}

fn take(carrier: Data<Carrier>, body: &[u8]) -> HttpResponse {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
    let value = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let Some(to) = value("To").filter(|to| to.starts_with('+') && to.len() > 8) else {
        return error(StatusCode::BAD_REQUEST, 21211, "Invalid 'To' Phone Number");
    };
    let Some(from) = value("From").or_else(|| value("MessagingServiceSid")) else {
        return error(
            StatusCode::BAD_REQUEST,
            21603,
            "A 'From' phone number is required.",
        );
    };
    let Some(body) = value("Body").filter(|body| !body.is_empty() && body.chars().count() <= 1600)
    else {
        return error(StatusCode::BAD_REQUEST, 21602, "Message body is required.");
    };
    let text = Text {
        sid: format!("SM{}", hex::encode(rand::thread_rng().r#gen::<[u8; 16]>())),
        to,
        from,
        body,
        status: "queued",
        error_code: None,
        created: OffsetDateTime::now_utc(),
        callback: value("StatusCallback"),
    };
    let shown = show(&carrier, &text);
    let sid = text.sid.clone();
    carrier.texts(|texts| texts.push(text));
    actix_web::rt::spawn(callbacks::deliver(carrier.into_inner(), sid));
    HttpResponse::Created().json(shown)
}

async fn fetch(
    request: HttpRequest,
    path: Path<(String, String)>,
    carrier: Data<Carrier>,
) -> HttpResponse {
    let (account, sid) = path.into_inner();
    if let Some(refusal) = refusal(&request, &carrier, &account) {
        return refusal;
    }
    let asked = carrier.clone();
    faulty(&carrier, async move {
        match asked.texts(|texts| texts.iter().find(|text| text.sid == sid).cloned()) {
            Some(text) => HttpResponse::Ok().json(show(&asked, &text)),
            None => error(
                StatusCode::NOT_FOUND,
                20404,
                "The requested resource was not found",
            ),
        }
    })
    .await
}

async fn list(request: HttpRequest, account: Path<String>, carrier: Data<Carrier>) -> HttpResponse {
    if let Some(refusal) = refusal(&request, &carrier, &account) {
        return refusal;
    }
    let query = request.query_string().to_owned();
    let asked = carrier.clone();
    faulty(&carrier, async move { page(&asked, &query) }).await
}

fn page(carrier: &Carrier, query: &str) -> HttpResponse {
    let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let value = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let size = value("PageSize")
        .and_then(|size| size.parse().ok())
        .unwrap_or(50)
        .clamp(1, MAX_PAGE);
    let number: usize = value("Page")
        .and_then(|page| page.parse().ok())
        .unwrap_or(0);
    let wanted = |text: &Text| {
        let day = text.created.date().to_string();
        value("To").is_none_or(|to| text.to == to)
            && value("From").is_none_or(|from| text.from == from)
            && value("DateSent").is_none_or(|date| day == date.get(..10).unwrap_or(date))
            && value("DateSent>").is_none_or(|date| day.as_str() >= date.get(..10).unwrap_or(date))
            && value("DateSent<").is_none_or(|date| day.as_str() <= date.get(..10).unwrap_or(date))
    };
    // Newest first, as the carrier lists them.
    let mut found: Vec<Text> = carrier.texts(|texts| {
        texts
            .iter()
            .rev()
            .filter(|text| wanted(text))
            .cloned()
            .collect()
    });
    let more = found.len() > (number + 1) * size;
    found = found.into_iter().skip(number * size).take(size).collect();
    let uri = |page: usize| {
        let mut again = url::form_urlencoded::Serializer::new(String::new());
        again.extend_pairs(
            query
                .iter()
                .filter(|(key, _)| key != "Page" && key != "PageSize"),
        );
        again
            .append_pair("PageSize", &size.to_string())
            .append_pair("Page", &page.to_string());
        format!(
            "/2010-04-01/Accounts/{}/Messages.json?{}",
            carrier.account_sid,
            again.finish()
        )
    };
    HttpResponse::Ok().json(json!({
        "messages": found.iter().map(|text| show(carrier, text)).collect::<Vec<_>>(),
        "page": number, "page_size": size, "start": number * size, "end": (number * size + found.len()).saturating_sub(1),
        "uri": uri(number), "first_page_uri": uri(0),
        "next_page_uri": more.then(|| uri(number + 1)),
        "previous_page_uri": number.checked_sub(1).map(uri),
    }))
}

/// A text as the API shows it.
fn show(carrier: &Carrier, text: &Text) -> Value {
    let uri = format!(
        "/2010-04-01/Accounts/{}/Messages/{}",
        carrier.account_sid, text.sid
    );
    let date = text.created.format(&Rfc2822).unwrap_or_default();
    let service = text.from.starts_with("MG");
    json!({
        "sid": text.sid, "account_sid": carrier.account_sid, "api_version": "2010-04-01", "direction": "outbound-api",
        "to": text.to, "from": (!service).then_some(&text.from), "messaging_service_sid": service.then_some(&text.from),
        "body": text.body, "status": text.status, "error_code": text.error_code,
        "error_message": text.error_code.map(|_| "Message delivery failed"),
        "date_created": date, "date_updated": date, "date_sent": (text.status != "queued").then_some(&date),
        "num_segments": "1", "num_media": "0", "price": Value::Null, "price_unit": "USD",
        "uri": format!("{uri}.json"), "subresource_uris": { "media": format!("{uri}/Media.json") },
    })
}
