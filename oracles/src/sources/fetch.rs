//! JSON documents from an external system over HTTP: authorised, capped, timed, retried, never redirected.

use reqwest::{Client, Response, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use super::config::Limits;
use super::error::SourceError;
use super::guard::Guard;
use super::json::Json;
use super::oauth::{OAuth, OAuthConfig};
use super::steps;
use crate::http::{self, HttpError};

/// How a node shows an HTTP source who it is: a bearer key, or client credentials.
#[derive(Clone, Copy)]
pub(super) struct Access<'a> {
    pub(super) api_key: Option<&'a str>,
    pub(super) oauth: Option<&'a OAuthConfig>,
}

enum Credential {
    None,
    Key(Zeroizing<String>),
    OAuth(Box<OAuth>),
}

/// What is asked of an HTTP source.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) url: Url,
    /// A JSON body, sent by POST; without one the request is a GET.
    pub(super) body: Option<String>,
}

impl From<Url> for Request {
    fn from(url: Url) -> Self {
        Self { url, body: None }
    }
}

/// An HTTP source and its bounds.
pub(super) struct HttpSource {
    pub(super) guard: Guard,
    pub(super) base: Url,
    credential: Credential,
    accept: &'static str,
    client: Client,
}

impl HttpSource {
    /// # Errors
    /// A base address that is not http(s), or carries a query, a fragment or credentials; two ways to authorise.
    pub(super) fn new(
        name: &str,
        base: &str,
        access: Access<'_>,
        accept: &'static str,
        limits: &Limits,
    ) -> Result<Self, String> {
        let mut base = Url::parse(base).map_err(|_| "not an address".to_owned())?;
        let plain = base.query().is_none()
            && base.fragment().is_none()
            && base.username().is_empty()
            && base.password().is_none();
        if !matches!(base.scheme(), "http" | "https") || !plain {
            return Err("not a plain http(s) base address".to_owned());
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let credential = match (access.api_key, access.oauth) {
            (None, None) => Credential::None,
            (Some(key), None) => Credential::Key(Zeroizing::new(key.to_owned())),
            (None, Some(oauth)) => Credential::OAuth(Box::new(OAuth::new(name, oauth)?)),
            (Some(_), Some(_)) => return Err("api_key and oauth exclude each other".to_owned()),
        };
        Ok(Self {
            guard: Guard::new(name, limits),
            base,
            credential,
            accept,
            client: http::client(),
        })
    }

    /// The address of a resource below the base, every segment and parameter encoded.
    pub(super) fn address<S: AsRef<str>>(
        &self,
        path: &[S],
        query: &[(&str, &str)],
    ) -> Result<Url, SourceError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| self.base_error())?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn base_error(&self) -> SourceError {
        self.guard
            .malformed("the base address", "one that paths can be joined to")
    }

    /// A link that the source gave, if it stays on this server below the base: one that leads elsewhere would make the oracle
    /// fetch what somebody else chose, with its credentials.
    pub(super) fn follow(&self, link: &str) -> Option<Url> {
        self.base.join(link).ok().filter(|url| {
            url.origin() == self.base.origin()
                && url.path().starts_with(self.base.path())
                && url.username().is_empty()
                && url.password().is_none()
        })
    }

    /// Fetches a document.
    pub(super) async fn fetch(&self, request: impl Into<Request>) -> Result<Json, SourceError> {
        let found = self.find(request).await?;
        found.ok_or_else(|| self.status(StatusCode::NOT_FOUND))
    }

    /// Fetches a document, or none where the source says that it has none (404 or 410).
    pub(super) async fn find(
        &self,
        request: impl Into<Request>,
    ) -> Result<Option<Json>, SourceError> {
        let request = request.into();
        steps::note("request", || match &request.body {
            None => format!("GET {}", request.url),
            Some(body) => format!("POST {} {body}", request.url),
        });
        let body = self.guard.run(|| self.attempt(&request)).await?;
        let Some(body) = body else {
            steps::note("answer", || "404, no such record".to_owned());
            return Ok(None);
        };
        steps::note("answer", || format!("{} bytes", body.len()));
        Json::parse(&body).map(Some).map_err(|fault| {
            self.guard
                .malformed(&format!("the answer, line {}", fault.line), fault.expected)
        })
    }

    async fn attempt(&self, request: &Request) -> Result<Option<Vec<u8>>, SourceError> {
        let response = match &self.credential {
            Credential::None => self.send(request, None).await?,
            Credential::Key(key) => self.send(request, Some(key)).await?,
            Credential::OAuth(oauth) => {
                let token = oauth.token().await?;
                let response = self.send(request, Some(&token)).await?;
                if response.status() == StatusCode::UNAUTHORIZED {
                    // Once: a token may be revoked before it expires, and a second refusal is meant.
                    oauth.refused(&token).await;
                    steps::note("token", || "refused; asking for another".to_owned());
                    self.send(request, Some(&oauth.token().await?)).await?
                } else {
                    response
                }
            }
        };
        let status = response.status();
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(self.status(status));
        }
        http::read_capped(response, self.guard.limits.max_bytes)
            .await
            .map(Some)
            .map_err(|error| self.failed(&error))
    }

    async fn send(
        &self,
        request: &Request,
        bearer: Option<&Zeroizing<String>>,
    ) -> Result<Response, SourceError> {
        let mut call = match &request.body {
            None => self.client.get(request.url.clone()),
            Some(body) => self
                .client
                .post(request.url.clone())
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.clone()),
        };
        call = call.header(reqwest::header::ACCEPT, self.accept);
        if let Some(bearer) = bearer {
            call = call.bearer_auth(bearer.as_str());
        }
        call.send()
            .await
            .map_err(|error| self.failed(&HttpError::from(error)))
    }

    fn status(&self, status: StatusCode) -> SourceError {
        let source_name = self.guard.name.clone();
        let what = format!("it answers with status {}", status.as_u16());
        if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
            SourceError::Unavailable { source_name, what }
        } else {
            SourceError::Refused { source_name, what }
        }
    }

    fn failed(&self, error: &HttpError) -> SourceError {
        let source_name = self.guard.name.clone();
        match error {
            HttpError::TooLarge { cap } => SourceError::TooLarge {
                source_name,
                field: "the answer",
                limit: format!("{cap} bytes"),
            },
            HttpError::Transport(what) => SourceError::Unavailable {
                source_name,
                what: what.clone(),
            },
            _ => SourceError::Unavailable {
                source_name,
                what: "the connection failed".to_owned(),
            },
        }
    }
}
