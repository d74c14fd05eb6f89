//! RFC 9457 problem details: what every HTTP interface answers when it cannot do what was asked.

use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use contracts::ids::NodeId;
use serde::{Deserialize, Serialize};

/// Media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// How a quorum failed: extension members of a [`Problem`] (RFC 9457 §3.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumFailure {
    /// The committee or key that was asked.
    pub committee: String,
    /// Good answers that were needed.
    pub needed: u16,
    /// Nodes whose answer was good.
    pub answered: Vec<NodeId>,
    /// Nodes that did not answer in time, or not at all.
    pub silent: Vec<NodeId>,
    /// Nodes that answered and refused.
    pub refused: Vec<NodeId>,
    /// Nodes whose answer was provably wrong.
    pub culprits: Vec<NodeId>,
}

/// A problem detail object. `type` is `urn:shp:problem:<code>`; `detail` says what to do and holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:shp:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every occurrence of the type.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence, and what would fix it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Which nodes did what, where a committee could not finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Box<QuorumFailure>>,
}

const URN: &str = "urn:shp:problem:";

impl Problem {
    /// A problem with a status, a code such as `stale-nonce`, a title and a detail.
    pub fn new(
        status: StatusCode,
        code: &str,
        title: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind: format!("{URN}{code}"),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            quorum: None,
        }
    }

    /// 400: the request is malformed.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "The request is malformed",
            detail,
        )
    }

    /// 403: well-formed, but this caller may not.
    pub fn forbidden(code: &str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            code,
            "The request is refused",
            detail,
        )
    }

    /// 404: no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "No such resource",
            detail,
        )
    }

    /// 409: at odds with what is stored.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            code,
            "The request conflicts with what is stored",
            detail,
        )
    }

    /// 500: ours; the cause goes to the log, not to the caller.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The service failed",
            "try again later",
        )
    }

    /// 503: a committee could not finish.
    pub fn quorum(failure: QuorumFailure) -> Self {
        let list = |nodes: &[NodeId]| {
            if nodes.is_empty() {
                "none".to_owned()
            } else {
                nodes
                    .iter()
                    .map(NodeId::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            }
        };
        let detail = format!(
            "committee {}: {} of the {} good answers needed; silent: {}; refused: {}; wrong: {}; start the missing nodes and ask again",
            failure.committee,
            failure.answered.len(),
            failure.needed,
            list(&failure.silent),
            list(&failure.refused),
            list(&failure.culprits),
        );
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no-quorum",
            "Too few oracles answered",
            detail,
        );
        problem.quorum = Some(Box::new(failure));
        problem
    }

    /// The code: the last part of the type.
    pub fn code(&self) -> &str {
        self.kind.strip_prefix(URN).unwrap_or(&self.kind)
    }

    /// Reads a problem from a response body; any other body becomes a problem that shows its status only, because a
    /// body that is no problem is not ours to repeat.
    pub fn from_response(status: u16, body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| Self {
            kind: "about:blank".to_owned(),
            title: format!("HTTP status {status}"),
            status,
            detail: String::new(),
            quorum: None,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.code())?;
        if self.detail.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.detail)
        }
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code())
            .insert_header((header::CONTENT_TYPE, PROBLEM_JSON))
            .body(serde_json::to_vec(self).unwrap_or_default())
    }
}

impl From<crate::db::DbError> for Problem {
    fn from(error: crate::db::DbError) -> Self {
        tracing::error!(%error, "database failed");
        Self::internal()
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        crate::db::DbError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_problem_names_the_committee_and_the_nodes_and_round_trips() {
        let node = |n| NodeId::new(n).unwrap();
        let problem = Problem::quorum(QuorumFailure {
            committee: "income".to_owned(),
            needed: 3,
            answered: vec![node(1)],
            silent: vec![node(2), node(4)],
            refused: vec![],
            culprits: vec![node(3)],
        });
        assert!(problem.detail.contains("income") && problem.detail.contains("silent: 2, 4"));
        let body = serde_json::to_vec(&problem).unwrap();
        assert_eq!(Problem::from_response(503, &body), problem);
        assert_eq!(problem.code(), "no-quorum");
    }

    #[test]
    fn a_foreign_body_is_not_repeated() {
        let problem = Problem::from_response(502, b"<html>secret</html>");
        assert_eq!(problem.status, 502);
        assert!(!problem.to_string().contains("secret"));
    }
}
