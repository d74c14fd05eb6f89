//! The routes, as a table that the server is built from and that tests walk.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpResponse, ResponseError, guard, web};
use oracles::http::{json_config, query_config};
use oracles::problem::Problem;

use super::agency::{self, MAX_RENEWAL_BODY};
use super::types::{MAX_ENROL_BODY, MAX_SMALL_BODY};
use super::{auth, consents, coverage, flag, grants, openapi, owner, parties, watches};
use crate::metrics;
use crate::service::Service;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// Anybody.
    Anyone,
    /// A navigator.
    Navigator,
    /// The owner of the profile or question named.
    Owner,
    /// A provider with the token of a coverage flag.
    Provider,
    /// An operator of the service.
    Operator,
    /// An agency, about its own cases.
    Agency,
    /// An insurer, about its own policies.
    Insurer,
}

/// One route: a method of a path, with its own kind of caller and its own largest body.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) who: Who,
    /// Largest body, in bytes; 0 for a route that reads none.
    pub(crate) cap: usize,
    handler: fn(actix_web::Route) -> actix_web::Route,
}

impl Route {
    /// Whether it may change something, so that its audit event is written first.
    pub(crate) fn changes(&self) -> bool {
        self.method != Method::GET
    }

    /// Whether a call needs an `Idempotency-Key`: every `POST`.
    pub(crate) fn needs_key(&self) -> bool {
        self.method == Method::POST
    }
}

type Handler = fn(actix_web::Route) -> actix_web::Route;

const fn get(path: &'static str, who: Who, handler: Handler) -> Route {
    Route {
        method: Method::GET,
        path,
        who,
        cap: 0,
        handler,
    }
}

const fn post(path: &'static str, who: Who, cap: usize, handler: Handler) -> Route {
    Route {
        method: Method::POST,
        path,
        who,
        cap,
        handler,
    }
}

const fn put(path: &'static str, who: Who, cap: usize, handler: Handler) -> Route {
    Route {
        method: Method::PUT,
        path,
        who,
        cap,
        handler,
    }
}

const fn delete(path: &'static str, who: Who, handler: Handler) -> Route {
    Route {
        method: Method::DELETE,
        path,
        who,
        cap: 0,
        handler,
    }
}

/// Every route.
pub(crate) static ROUTES: &[Route] = &[
    get("/healthz", Who::Anyone, |it| it.to(owner::healthz)),
    get("/metrics", Who::Anyone, |it| it.to(metrics::metrics)),
    get("/openapi.json", Who::Anyone, |it| it.to(openapi::served)),
    post("/v1/profiles", Who::Navigator, 0, |it| it.to(owner::create)),
    get("/v1/profiles/{profile}", Who::Owner, |it| {
        it.to(owner::profile)
    }),
    post(
        "/v1/profiles/{profile}/enrol",
        Who::Owner,
        MAX_ENROL_BODY,
        |it| it.to(owner::enrol),
    ),
    get("/v1/profiles/{profile}/reproofing", Who::Owner, |it| {
        it.to(owner::reproofing)
    }),
    post(
        "/v1/profiles/{profile}/reproofing/objection",
        Who::Owner,
        0,
        |it| it.to(owner::object),
    ),
    post(
        "/v1/profiles/{profile}/questions",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(owner::ask),
    ),
    get("/v1/questions/{question}", Who::Owner, |it| {
        it.to(owner::question)
    }),
    post("/v1/questions/{question}/advance", Who::Owner, 0, |it| {
        it.to(owner::advance)
    }),
    get("/v1/questions/{question}/token", Who::Owner, |it| {
        it.to(owner::token)
    }),
    get("/v1/questions/{question}/bundle", Who::Owner, |it| {
        it.to(owner::bundle)
    }),
    post(
        "/v1/questions/{question}/openings",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(owner::openings),
    ),
    put(
        "/v1/profiles/{profile}/coverage",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(coverage::watch_over),
    ),
    get("/v1/profiles/{profile}/coverage", Who::Owner, |it| {
        it.to(coverage::record)
    }),
    post(
        "/v1/profiles/{profile}/coverage/events",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(coverage::report),
    ),
    put(
        "/v1/profiles/{profile}/watches",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(watches::agree),
    ),
    get("/v1/profiles/{profile}/watches", Who::Owner, |it| {
        it.to(watches::list)
    }),
    delete("/v1/profiles/{profile}/watches", Who::Owner, |it| {
        it.to(watches::end_all)
    }),
    delete("/v1/profiles/{profile}/watches/{watch}", Who::Owner, |it| {
        it.to(watches::end_one)
    }),
    post("/v1/profiles/{profile}/flag", Who::Owner, 0, |it| {
        it.to(flag::make_flag)
    }),
    put(
        "/v1/profiles/{profile}/flag/practice",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(flag::tell_practice),
    ),
    get("/v1/flag", Who::Provider, |it| it.to(flag::flag)),
    post("/v1/agency/renewals", Who::Agency, MAX_RENEWAL_BODY, |it| {
        it.to(agency::renew)
    }),
    get("/v1/agency/renewals/{renewal}", Who::Agency, |it| {
        it.to(agency::renewal)
    }),
    get("/v1/agency/notices", Who::Agency, |it| {
        it.to(agency::notices)
    }),
    get("/v1/insurer/policies", Who::Insurer, |it| {
        it.to(parties::policies)
    }),
    post(
        "/v1/profiles/{profile}/grants",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(grants::designate),
    ),
    get("/v1/profiles/{profile}/grants", Who::Owner, |it| {
        it.to(grants::list)
    }),
    post(
        "/v1/profiles/{profile}/grants/{grant}/revocation",
        Who::Owner,
        0,
        |it| it.to(grants::revoke),
    ),
    get("/v1/profiles/{profile}/consents", Who::Owner, |it| {
        it.to(consents::list)
    }),
    put(
        "/v1/profiles/{profile}/consents/{domain}",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(consents::give),
    ),
    post(
        "/v1/profiles/{profile}/consents/{domain}/withdrawal",
        Who::Owner,
        0,
        |it| it.to(consents::withdraw),
    ),
    post("/v1/agency/grants", Who::Agency, MAX_SMALL_BODY, |it| {
        it.to(grants::record)
    }),
    post(
        "/v1/agency/grants/{grant}/revocation",
        Who::Agency,
        0,
        |it| it.to(grants::agency_revoke),
    ),
    post("/v1/grants", Who::Operator, MAX_SMALL_BODY, |it| {
        it.to(grants::operator_record)
    }),
    post("/v1/grants/{grant}/revocation", Who::Operator, 0, |it| {
        it.to(grants::operator_revoke)
    }),
    get("/v1/audit", Who::Operator, |it| it.to(parties::audit)),
];

/// Mounts every route behind its check: a resource of its own for each method of a path, so that routes of one path share
/// neither caller nor cap.
pub(crate) fn configure(app: &mut web::ServiceConfig) {
    app.app_data(query_config());
    app.app_data(
        web::PathConfig::default()
            .error_handler(|_, _| Problem::not_found("the path has a part that is no id").into()),
    );
    for route in ROUTES {
        let method = route.method.clone();
        let resource = web::resource(route.path)
            .guard(guard::fn_guard(move |it| it.head().method == method))
            .app_data(json_config(route.cap))
            .app_data(web::PayloadConfig::new(route.cap))
            .route((route.handler)(web::route()))
            .wrap(from_fn(move |request, next| {
                auth::gate(route, request, next)
            }))
            .wrap(from_fn(move |request, next| counted(route, request, next)));
        app.service(resource);
    }
    for (at, route) in ROUTES.iter().enumerate() {
        if ROUTES.iter().take(at).all(|other| other.path != route.path) {
            let path = route.path;
            let wrong = move || std::future::ready(wrong_method(path));
            app.service(web::resource(path).default_service(web::to(wrong)));
        }
    }
    app.default_service(web::to(no_route));
}

/// Counts what a route answers.
async fn counted(
    route: &'static Route,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let service = request.app_data::<web::Data<Service>>().cloned();
    let answer = next.call(request).await?;
    if let Some(service) = service {
        let (method, status) = (route.method.as_str(), answer.status().as_u16());
        let took = began.elapsed();
        service.metrics.request(method, route.path, status, took);
    }
    Ok(answer)
}

async fn no_route() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("no such route; see the README"))
}

/// 405, which names the methods that the path has (RFC 9110 section 15.5.6).
fn wrong_method(path: &str) -> HttpResponse {
    let routes = ROUTES.iter().filter(|route| route.path == path);
    let allowed: Vec<_> = routes.map(|route| route.method.as_str()).collect();
    let mut answer = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The route has no such method",
        "see the README",
    )
    .error_response();
    if let Ok(value) = header::HeaderValue::from_str(&allowed.join(", ")) {
        answer.headers_mut().insert(header::ALLOW, value);
    }
    answer
}
