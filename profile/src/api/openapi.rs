//! The OpenAPI 3.1 document: handlers say what they take and answer; what every route of a kind answers is added from the
//! table, so that neither can forget the other.

use std::sync::OnceLock;

use actix_web::HttpResponse;
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::routes::{ROUTES, Route, Who};
use super::types::{IDEMPOTENCY_KEY, MAX_IDEMPOTENCY_KEY};
use super::{agency, consents, coverage, flag, grants, owner, parties, watches};
use crate::metrics;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Smart health profile",
        description = "Errors are RFC 9457 problems whose type is `urn:shp:problem:` and a code. Byte strings are base64url, \
                       days ISO 8601, instants Unix seconds."
    ),
    paths(
        owner::healthz,
        metrics::metrics,
        served,
        owner::create,
        owner::profile,
        owner::enrol,
        owner::reproofing,
        owner::object,
        owner::ask,
        owner::question,
        owner::advance,
        owner::token,
        owner::bundle,
        owner::openings,
        coverage::watch_over,
        coverage::record,
        coverage::report,
        watches::agree,
        watches::list,
        watches::end_all,
        watches::end_one,
        flag::make_flag,
        flag::flag,
        flag::tell_practice,
        parties::policies,
        agency::renew,
        agency::renewal,
        agency::notices,
        consents::list,
        consents::give,
        consents::withdraw,
        grants::designate,
        grants::list,
        grants::revoke,
        grants::record,
        grants::agency_revoke,
        grants::operator_record,
        grants::operator_revoke,
        parties::audit
    )
)]
struct Handlers;

/// What the tables calls a kind of caller; the name of its security scheme.
fn scheme(who: Who) -> Option<(&'static str, &'static str)> {
    Some(match who {
        Who::Anyone => return None,
        Who::Navigator => ("navigator", "A navigator's token, as configured"),
        Who::Owner => (
            "owner",
            "An owner's token, from the creation of the profile",
        ),
        Who::Provider => ("provider", "The token of a coverage flag, from the owner"),
        Who::Operator => ("operator", "An operator's token, as configured"),
        Who::Agency => ("agency", "An agency's token, as configured"),
        Who::Insurer => ("insurer", "An insurer's token, as configured"),
    })
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}

/// Adds what follows from a route's place in the table.
fn complete(route: &Route, operation: &mut Value) {
    if let Some((name, _)) = scheme(route.who) {
        operation["security"] = json!([{ name: [] }]);
    }
    let asked = operation["parameters"].as_array().cloned();
    let has = |place: &str| asked.iter().flatten().any(|it| it["in"] == place);
    let (path, query) = (has("path"), has("query"));
    if route.needs_key() {
        let mut parameters = asked.unwrap_or_default();
        parameters.push(json!({
            "name": IDEMPOTENCY_KEY, "in": "header", "required": true,
            "description": "Fresh for each request, the same when it is repeated",
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY, "pattern": "^[!-~]+$"},
        }));
        operation["parameters"] = parameters.into();
    }
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    for (status, response) in responses.iter_mut() {
        if status.as_str() >= "400" {
            *response = problem(response["description"].as_str().unwrap_or_default());
        }
    }
    let body = route.cap > 0;
    let common = [
        (
            body || query || route.needs_key(),
            "400",
            "`bad-request`: the detail names what",
        ),
        (
            route.who != Who::Anyone,
            "401",
            "`unauthorised`: no token of the kind that the route is for",
        ),
        (path, "404", "`not-found`, under this token"),
        (body, "408", "`too-slow`: the body took too long"),
        (
            body,
            "413",
            "`too-large`: the body is above the route's cap",
        ),
        (
            true,
            "429",
            "`too-many-requests`: wait as `Retry-After` says",
        ),
        (true, "500", "`internal`: nothing that the caller did"),
    ];
    for (_, status, description) in common.into_iter().filter(|(applies, ..)| *applies) {
        let known = responses
            .get(status)
            .and_then(|it| it["description"].as_str());
        let description = match known {
            Some(known) => format!("{known}; {description}"),
            None => description.to_owned(),
        };
        responses.insert(status.to_owned(), problem(&description));
    }
    if let Some(limited) = responses.get_mut("429") {
        let seconds =
            json!({"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}});
        limited["headers"] = json!({"Retry-After": seconds});
    }
    if body {
        operation["requestBody"]["x-largest-bytes"] = route.cap.into();
    }
}

/// The document.
pub(crate) fn document() -> Value {
    let mut document = serde_json::to_value(Handlers::openapi()).unwrap_or_default();
    for route in ROUTES {
        let method = route.method.as_str().to_ascii_lowercase();
        let operation = document["paths"]
            .get_mut(route.path)
            .and_then(|path| path.get_mut(&method));
        if let Some(operation) = operation {
            complete(route, operation);
        }
        if let Some((name, description)) = scheme(route.who) {
            let scheme = json!({"type": "http", "scheme": "bearer", "description": description});
            document["components"]["securitySchemes"][name] = scheme;
        }
    }
    let nodes = json!({"type": "array", "items": {"type": "integer"}});
    document["components"]["schemas"]["Problem"] = json!({
        "type": "object",
        "description": "RFC 9457",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "description": "`urn:shp:problem:` and a code"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "This occurrence, and what would fix it"},
            "quorum": {
                "type": "object",
                "description": "Which nodes did what, where a committee could not finish",
                "properties": {
                    "committee": {"type": "string"}, "needed": {"type": "integer"}, "answered": nodes, "silent": nodes,
                    "refused": nodes, "culprits": nodes,
                },
            },
        },
    });
    document
}

#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "This document", body = Object)))]
pub(super) async fn served() -> HttpResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string());
    HttpResponse::Ok()
        .content_type("application/json")
        .body(text.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_has_every_route_of_the_table_and_no_other() {
        let document = document();
        let mut documented = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                documented.insert((method.to_ascii_uppercase(), path.clone()));
                let id = operation["operationId"].as_str().unwrap();
                assert!(!operation["responses"]["429"].is_null(), "{id}");
            }
        }
        let table: BTreeSet<_> = ROUTES
            .iter()
            .map(|route| (route.method.to_string(), route.path.to_owned()))
            .collect();
        assert_eq!(documented, table);
        for route in ROUTES {
            let method = route.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][route.path][&method];
            let security = operation["security"].as_array().map(Vec::len);
            assert_eq!(
                security.unwrap_or(0) == 0,
                route.who == Who::Anyone,
                "{}",
                route.path
            );
            let body = !operation["requestBody"]["content"].is_null();
            assert_eq!(body, route.cap > 0, "{}", route.path);
        }
    }

    #[test]
    fn the_document_is_the_published_one() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    }
}
