//! GET of a JSON document from an external system: capped, timed, retried, never redirected.

use reqwest::Client;
use serde::de::DeserializeOwned;
use url::Url;

use super::config::Limits;
use super::error::SourceError;
use super::retry::with_retries;
use crate::http::{self, HttpError};

/// An HTTP source and its bounds.
pub(super) struct HttpSource {
    pub(super) name: String,
    pub(super) limits: Limits,
    pub(super) base: Url,
    bearer: Option<String>,
    accept: &'static str,
    client: Client,
}

impl HttpSource {
    /// # Errors
    /// A base address that is not http(s), or carries a query, a fragment or credentials.
    pub(super) fn new(
        name: &str,
        base: &str,
        bearer: Option<&str>,
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
        Ok(Self {
            name: name.to_owned(),
            limits: limits.clone(),
            base,
            bearer: bearer.map(str::to_owned),
            accept,
            client: http::client(),
        })
    }

    /// The address of a resource below the base, with an encoded query.
    pub(super) fn address(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, SourceError> {
        let mut url = self
            .base
            .join(path)
            .map_err(|_| self.malformed("the base address", "one that paths can be joined to"))?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    /// Fetches and parses a document; `what` names it in errors.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        url: &Url,
        what: &str,
    ) -> Result<T, SourceError> {
        let body = with_retries(&self.name, &self.limits, || self.attempt(url)).await?;
        // serde's own message may quote the value that it could not read.
        serde_json::from_slice(&body).map_err(|error| {
            let place = format!("{what}, line {} column {}", error.line(), error.column());
            self.malformed(&place, "in the format of this kind of source")
        })
    }

    async fn attempt(&self, url: &Url) -> Result<Vec<u8>, SourceError> {
        let mut request = self
            .client
            .get(url.clone())
            .header(reqwest::header::ACCEPT, self.accept);
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.failed(&HttpError::from(error)))?;
        let status = response.status();
        if !status.is_success() {
            let source_name = self.name.clone();
            let what = format!("it answers with status {}", status.as_u16());
            return Err(
                if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
                    SourceError::Unavailable { source_name, what }
                } else {
                    SourceError::Refused { source_name, what }
                },
            );
        }
        http::read_capped(response, self.limits.max_bytes)
            .await
            .map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &HttpError) -> SourceError {
        let source_name = self.name.clone();
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

    pub(super) fn malformed(&self, field: &str, expected: &str) -> SourceError {
        SourceError::Malformed {
            source_name: self.name.clone(),
            field: field.to_owned(),
            expected: expected.to_owned(),
        }
    }
}
