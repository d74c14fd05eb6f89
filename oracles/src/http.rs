//! HTTP clients with time-outs and size caps; body limits for servers.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::HttpMessage as _;
use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::middleware::Next;
use actix_web::web;
use futures::StreamExt as _;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response};
use rustls::crypto::{CryptoProvider, ring};
use rustls_platform_verifier::Verifier;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Time to open a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an idle connection is kept. Servers here close theirs after 5 s: a request that is written to a connection
/// which the server is closing gets no answer, and an honest node then looks silent.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for a whole request, unless the caller sets a shorter one.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a server to receive a whole request body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest JSON body a service takes where its handler names no smaller cap.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Largest response a client reads where its caller names no smaller cap.
pub const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// A call that brought no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No answer: refused, reset or timed out. Holds no URL, whose query may name a person.
    #[error("no answer: {0}")]
    Transport(String),
    /// More bytes than the cap.
    #[error("the answer is larger than {cap} bytes")]
    TooLarge {
        /// The cap, in bytes.
        cap: usize,
    },
    /// The body is not what was expected.
    #[error("the answer is not the JSON expected: {0}")]
    Json(String),
    /// The service answered with an error.
    #[error("{0}")]
    Problem(Box<Problem>),
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        let cause = if error.is_timeout() {
            "timed out"
        } else if error.is_connect() {
            "connection refused"
        } else {
            "connection broken"
        };
        Self::Transport(cause.to_owned())
    }
}

/// The cryptography of every TLS connection of this process.
pub(crate) fn crypto() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(ring::default_provider()))
        .clone()
}

/// TLS to servers with certificates of the platform's authorities, read once per process. A platform without any trusts
/// nobody: `https` addresses then fail, others work.
fn web_tls() -> rustls::ClientConfig {
    static CONFIG: OnceLock<rustls::ClientConfig> = OnceLock::new();
    CONFIG
        .get_or_init(|| {
            let builder = rustls::ClientConfig::builder_with_provider(crypto())
                .with_safe_default_protocol_versions()
                .expect("the ring provider has suites for TLS 1.2 and 1.3");
            match Verifier::new(crypto()) {
                Ok(verifier) => builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier)),
                Err(error) => {
                    tracing::warn!(%error, "no certificate authorities: https addresses will fail");
                    builder.with_root_certificates(rustls::RootCertStore::empty())
                }
            }
            .with_no_client_auth()
        })
        .clone()
}

/// Settings of every client: [`CONNECT_TIMEOUT`] and [`REQUEST_TIMEOUT`], TLS with the platform's authorities, no
/// redirects, no proxy of the environment.
pub fn client_builder() -> ClientBuilder {
    builder(web_tls())
}

/// As [`client_builder`], with TLS of its own.
pub(crate) fn builder(tls: rustls::ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
}

/// A client of [`client_builder`].
///
/// # Panics
/// When the platform cannot make an HTTP client at all.
pub fn client() -> Client {
    client_builder()
        .build()
        .expect("a client whose TLS is configured builds")
}

/// Reads at most `cap` bytes of a body.
///
/// # Errors
/// [`HttpError::TooLarge`] as soon as the cap is passed, or a transport error.
pub async fn read_capped(mut response: Response, cap: usize) -> Result<Vec<u8>, HttpError> {
    let announced = response.content_length().unwrap_or(0);
    if announced > cap as u64 {
        return Err(HttpError::TooLarge { cap });
    }
    let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > cap {
            return Err(HttpError::TooLarge { cap });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Sends a request and reads an answer of at most `cap` bytes; an error status becomes [`HttpError::Problem`].
///
/// # Errors
/// See [`HttpError`].
pub async fn send(request: RequestBuilder, cap: usize) -> Result<Vec<u8>, HttpError> {
    let response = request.send().await?;
    let status = response.status();
    let body = read_capped(response, cap).await?;
    if !status.is_success() {
        return Err(HttpError::Problem(Box::new(Problem::from_response(
            status.as_u16(),
            &body,
        ))));
    }
    Ok(body)
}

/// As [`send`], and reads the answer as JSON.
///
/// # Errors
/// See [`HttpError`].
pub async fn send_json<T: DeserializeOwned>(
    request: RequestBuilder,
    cap: usize,
) -> Result<T, HttpError> {
    let body = send(request, cap).await?;
    serde_json::from_slice(&body).map_err(|error| HttpError::Json(shape(&error)))
}

/// Posts a JSON body; see [`send_json`].
///
/// # Errors
/// See [`HttpError`].
pub async fn post_json<B: Serialize + ?Sized, T: DeserializeOwned>(
    client: &Client,
    url: &str,
    body: &B,
) -> Result<T, HttpError> {
    send_json(client.post(url).json(body), MAX_RESPONSE_BYTES).await
}

/// Gets a JSON resource; see [`send_json`].
///
/// # Errors
/// See [`HttpError`].
pub async fn get_json<T: DeserializeOwned>(client: &Client, url: &str) -> Result<T, HttpError> {
    send_json(client.get(url), MAX_RESPONSE_BYTES).await
}

/// Where parsing failed, without the offending value, which may be personal.
fn shape(error: &serde_json::Error) -> String {
    format!(
        "{:?} error at line {} column {}",
        error.classify(),
        error.line(),
        error.column()
    )
}

/// Gives a request's body [`BODY_TIMEOUT`] to arrive. Time for its head, and for a TLS handshake, the server bounds itself.
pub async fn bounded_body(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let deadline = tokio::time::Instant::now() + BODY_TIMEOUT;
    let payload = request.take_payload();
    let body = futures::stream::unfold(Some(payload), move |payload| async move {
        let mut payload = payload?;
        match tokio::time::timeout_at(deadline, payload.next()).await {
            Ok(Some(chunk)) => Some((chunk, Some(payload))),
            Ok(None) => None,
            Err(_) => {
                let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                Some((Err(PayloadError::Io(late)), None))
            }
        }
    });
    request.set_payload(Payload::Stream {
        payload: Box::pin(body),
    });
    next.call(request).await
}

/// Query extraction for servers: errors as problems that repeat no input.
pub fn query_config() -> web::QueryConfig {
    web::QueryConfig::default().error_handler(|_, _| {
        Problem::bad_request("query: a parameter is missing, unknown or not of its kind").into()
    })
}

/// JSON extraction for servers: at most `cap` bytes, any `Content-Type`, errors as problems that repeat no input.
pub fn json_config(cap: usize) -> web::JsonConfig {
    web::JsonConfig::default()
        .limit(cap)
        .content_type_required(false)
        .error_handler(|error, _| {
            use actix_web::error::JsonPayloadError as E;
            let problem = match &error {
                E::Overflow { limit } | E::OverflowKnownLength { limit, .. } => Problem::new(
                    actix_web::http::StatusCode::PAYLOAD_TOO_LARGE,
                    "too-large",
                    "The request is too large",
                    format!("send at most {limit} bytes"),
                ),
                E::Payload(PayloadError::Io(error))
                    if error.kind() == std::io::ErrorKind::TimedOut =>
                {
                    Problem::new(
                        actix_web::http::StatusCode::REQUEST_TIMEOUT,
                        "too-slow",
                        "The request came too slowly",
                        format!("send the body within {} s", BODY_TIMEOUT.as_secs()),
                    )
                }
                E::Deserialize(error) => Problem::bad_request(format!("body: {}", shape(error))),
                _ => Problem::bad_request("body: not readable as JSON"),
            };
            problem.into()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{App, HttpResponse, HttpServer};

    async fn serve() -> (String, actix_web::dev::ServerHandle) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = HttpServer::new(|| {
            App::new()
                .app_data(json_config(64))
                .route(
                    "/echo",
                    web::post().to(|body: web::Json<Vec<u64>>| async move {
                        HttpResponse::Ok().json(body.0)
                    }),
                )
                .route(
                    "/big",
                    web::get().to(|| async { HttpResponse::Ok().body(vec![b' '; 100_000]) }),
                )
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        (url, handle)
    }

    #[actix_web::test]
    async fn bodies_are_capped_both_ways_and_errors_repeat_no_input() {
        let (url, handle) = serve().await;
        let client = client();
        let echoed: Vec<u64> = post_json(&client, &format!("{url}/echo"), &[1, 2])
            .await
            .unwrap();
        assert_eq!(echoed, [1, 2]);

        let long = vec![7u64; 100];
        let error = post_json::<_, Vec<u64>>(&client, &format!("{url}/echo"), &long)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, HttpError::Problem(problem) if problem.code() == "too-large"),
            "{error}"
        );

        let error = post_json::<_, Vec<u64>>(&client, &format!("{url}/echo"), "987-65-4320")
            .await
            .unwrap_err();
        assert!(matches!(&error, HttpError::Problem(problem) if problem.status == 400));
        assert!(!error.to_string().contains("987"), "{error}");

        let error = send_json::<Vec<u64>>(client.get(format!("{url}/big")), 1000)
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { cap: 1000 }));
        handle.stop(false).await;
        let error = get_json::<Vec<u64>>(&client, &format!("{url}/echo"))
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::Transport(_)));
    }
}
