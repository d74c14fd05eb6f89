//! Problem details (RFC 9457).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::provider::webhook::Forged;
use crate::service::RequestError;
use crate::store::StoreError;

/// An error as the API answers it; holds nothing that a request said.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Problem {
    /// A problem with a status, a code and what to do about it.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
        }
    }

    pub(super) fn body() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "the body is not the JSON this request takes",
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status)
            .content_type("application/problem+json")
            .json(json!({
                "type": format!("urn:shp:problem:{}", self.code),
                "title": self.status.canonical_reason().unwrap_or("Error"),
                "status": self.status.as_u16(),
                "detail": self.detail,
            }))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the database");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "try again later",
        )
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let detail = error.to_string();
        match error {
            RequestError::Field { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "field", detail)
            }
            RequestError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "not-found", detail),
            RequestError::Conflict { code, .. } => Self::new(StatusCode::CONFLICT, code, detail),
            RequestError::TooMany(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", detail)
            }
            RequestError::Store(error) => error.into(),
        }
    }
}

impl From<Forged> for Problem {
    fn from(error: Forged) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "forged", error.to_string())
    }
}
