//! What the external systems' HTTP servers share.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use contracts::units::UnixTime;
use serde_json::json;
use tokio::task::JoinHandle;

use super::{ExternalError, Result, Secret};

/// Bytes of a query string that are parsed.
pub(super) const MAX_QUERY: usize = 4096;

/// A server that listens.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers what is being answered, then stops.
    pub async fn shutdown(self) {
        self.handle.stop(true).await;
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the server's task did not end cleanly");
        }
    }

    /// Waits until the server ends (a process started in this role stays here).
    ///
    /// # Errors
    /// The server's own error.
    pub async fn finished(self) -> Result<()> {
        let ended = self
            .task
            .await
            .map_err(|error| ExternalError::Data(format!("the server's task failed: {error}")))?;
        ended.map_err(|source| ExternalError::Io {
            what: "serving".to_owned(),
            source,
        })
    }
}

/// Binds `listen` and serves `routes`.
pub(super) fn serve<F>(listen: SocketAddr, routes: F) -> Result<Running>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let io = |what: &str| {
        let what = format!("{what} {listen}");
        move |source| ExternalError::Io { what, source }
    };
    let listener = TcpListener::bind(listen).map_err(io("binding"))?;
    let address = listener.local_addr().map_err(io("binding"))?;
    let server = HttpServer::new(move || App::new().configure(routes.clone()))
        .workers(1)
        .disable_signals()
        .client_request_timeout(Duration::from_secs(5))
        .shutdown_timeout(2)
        .listen(listener)
        .map_err(io("listening on"))?
        .run();
    Ok(Running {
        address,
        handle: server.handle(),
        task: tokio::spawn(server),
    })
}

/// A problem document (RFC 9457).
pub(super) fn problem(status: StatusCode, kind: &str, detail: &str) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .json(json!({
            "type": format!("urn:shp:problem:{kind}"),
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": detail,
        }))
}

/// Whether the request presents `key` as a bearer token (RFC 6750 §2.1).
pub(super) fn bears(request: &HttpRequest, key: &Secret) -> bool {
    request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && key.matches(token.trim())
        })
}

/// The system clock, moved by `offset` seconds, so that a run may take another day as today.
pub(super) fn now(offset: i64) -> UnixTime {
    oracles::clock::Clock::with_offset(offset).now()
}
