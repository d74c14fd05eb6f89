//! The token endpoint (RFC 6749 §4.4 and §5).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore as _;
use serde_json::json;

use super::State;

/// What a token lets its bearer read.
const SCOPES: [&str; 2] = ["ACCOUNT_BASIC", "TRANSACTIONS"];
/// Most tokens that are good at the same time.
const MAX_TOKENS: usize = 1_000;

/// Tokens handed out, and until when each is good.
#[derive(Default)]
pub(super) struct Tokens(Mutex<BTreeMap<String, Instant>>);

impl Tokens {
    pub(super) fn issue(&self, life: Duration) -> Option<String> {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        tokens.retain(|_, until| *until > now);
        if tokens.len() >= MAX_TOKENS {
            return None;
        }
        let mut random = [0; 24];
        rand::rngs::OsRng.fill_bytes(&mut random);
        let token = hex::encode(random);
        tokens.insert(token.clone(), now + life);
        Some(token)
    }

    /// Whether a request bears a token that is good.
    pub(super) fn admits(&self, request: &HttpRequest) -> bool {
        let header = request.headers().get("authorization");
        let token = header
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = token.and_then(|token| tokens.get(token));
        until.is_some_and(|until| Instant::now() < *until)
    }

    /// Takes every token back.
    #[cfg(test)]
    pub(super) fn revoke_all(&self) {
        self.0.lock().unwrap().clear();
    }
}

/// `POST /oauth2/token`.
pub(super) async fn grant(
    request: HttpRequest,
    body: web::Bytes,
    state: Data<Arc<State>>,
) -> HttpResponse {
    if !authenticates(&request, &state) {
        return HttpResponse::Unauthorized()
            .insert_header(("www-authenticate", "Basic realm=\"bank\""))
            .json(json!({ "error": "invalid_client" }));
    }
    let refused = |code: &str| {
        HttpResponse::build(StatusCode::BAD_REQUEST)
            .insert_header(("cache-control", "no-store"))
            .json(json!({ "error": code }))
    };
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| {
        let mut values = form.iter().filter(|(key, _)| key == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value.as_str()),
            _ => None,
        }
    };
    match field("grant_type") {
        Some("client_credentials") => {}
        Some(_) => return refused("unsupported_grant_type"),
        None => return refused("invalid_request"),
    }
    let scope = field("scope").unwrap_or("ACCOUNT_BASIC TRANSACTIONS");
    if !scope.split(' ').all(|scope| SCOPES.contains(&scope)) {
        return refused("invalid_scope");
    }
    let life = state.config.token_seconds;
    let Some(token) = state.tokens.issue(Duration::from_secs(life)) else {
        return HttpResponse::TooManyRequests().finish();
    };
    HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": life,
            "scope": scope,
        }))
}

/// HTTP Basic with the form-encoded id and secret (RFC 6749 §2.3.1).
fn authenticates(request: &HttpRequest, state: &State) -> bool {
    let header = request.headers().get("authorization");
    let basic = header
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|value| STANDARD.decode(value).ok())
        .and_then(|value| String::from_utf8(value).ok());
    let Some((id, secret)) = basic.as_deref().and_then(|basic| basic.split_once(':')) else {
        return false;
    };
    let decoded = |text: &str| {
        let form = format!("x={text}");
        let mut pairs = url::form_urlencoded::parse(form.as_bytes());
        pairs.next().map(|(_, value)| value.into_owned())
    };
    decoded(id).as_deref() == Some(state.config.client_id.as_str())
        && decoded(secret).is_some_and(|secret| state.config.client_secret.matches(&secret))
}
