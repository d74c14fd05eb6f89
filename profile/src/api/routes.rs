//! The routes, as a table that the server is built from and that a test walks.

use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, web};
use contracts::encoding::{Bytes32, to_jcs};
use oracles::http::{json_config, query_config};
use oracles::problem::Problem;

use super::auth::{self, Owner};
use super::coverage;
use super::types::{
    AskQuestion, EnrolProfile, IDEMPOTENCY_KEY, MAX_ENROL_BODY, MAX_IDEMPOTENCY_KEY,
    MAX_SMALL_BODY, OpenAttributes,
};
use crate::question::no_question;
use crate::service::Service;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Anybody.
    Anyone,
    /// A navigator.
    Navigator,
    /// The owner of the profile or question named.
    Owner,
    /// A provider with the token of a coverage flag.
    Provider,
}

/// One route.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) who: Who,
    /// Largest body, in bytes.
    pub(crate) cap: usize,
    handler: fn(actix_web::Route) -> actix_web::Route,
}

const fn route(
    method: Method,
    path: &'static str,
    who: Who,
    cap: usize,
    handler: fn(actix_web::Route) -> actix_web::Route,
) -> Route {
    Route {
        method,
        path,
        who,
        cap,
        handler,
    }
}

/// Every route.
pub(crate) const ROUTES: &[Route] = &[
    route(Method::GET, "/healthz", Who::Anyone, 0, |it| it.to(healthz)),
    route(
        Method::POST,
        "/v1/profiles",
        Who::Navigator,
        MAX_SMALL_BODY,
        |it| it.to(create),
    ),
    route(Method::GET, "/v1/profiles/{profile}", Who::Owner, 0, |it| {
        it.to(profile)
    }),
    route(
        Method::POST,
        "/v1/profiles/{profile}/enrol",
        Who::Owner,
        MAX_ENROL_BODY,
        |it| it.to(enrol),
    ),
    route(
        Method::GET,
        "/v1/profiles/{profile}/reproofing",
        Who::Owner,
        0,
        |it| it.to(reproofing),
    ),
    route(
        Method::POST,
        "/v1/profiles/{profile}/reproofing/objection",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(object),
    ),
    route(
        Method::POST,
        "/v1/profiles/{profile}/questions",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(ask),
    ),
    route(
        Method::GET,
        "/v1/questions/{question}",
        Who::Owner,
        0,
        |it| it.to(question),
    ),
    route(
        Method::POST,
        "/v1/questions/{question}/advance",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(advance),
    ),
    route(
        Method::GET,
        "/v1/questions/{question}/token",
        Who::Owner,
        0,
        |it| it.to(token),
    ),
    route(
        Method::GET,
        "/v1/questions/{question}/bundle",
        Who::Owner,
        0,
        |it| it.to(bundle),
    ),
    route(
        Method::POST,
        "/v1/questions/{question}/openings",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(openings),
    ),
    route(
        Method::PUT,
        "/v1/profiles/{profile}/coverage",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(coverage::watch_over),
    ),
    route(
        Method::GET,
        "/v1/profiles/{profile}/coverage",
        Who::Owner,
        0,
        |it| it.to(coverage::record),
    ),
    route(
        Method::POST,
        "/v1/profiles/{profile}/coverage/events",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(coverage::report),
    ),
    route(
        Method::POST,
        "/v1/profiles/{profile}/flag",
        Who::Owner,
        MAX_SMALL_BODY,
        |it| it.to(coverage::make_flag),
    ),
    route(Method::GET, "/v1/flag", Who::Provider, 0, |it| {
        it.to(coverage::flag)
    }),
];

/// Mounts every route behind its check.
pub(crate) fn configure(app: &mut web::ServiceConfig) {
    app.app_data(query_config());
    // Routes of one path stand together in one resource, behind one check.
    for (at, first) in ROUTES.iter().enumerate() {
        let same = |other: &&Route| other.path == first.path;
        if ROUTES.iter().take(at).any(|other| same(&other)) {
            continue;
        }
        let mut resource = web::resource(first.path).default_service(web::to(wrong_method));
        let mut cap = 0;
        for route in ROUTES.iter().filter(same) {
            resource = resource.route((route.handler)(web::method(route.method.clone())));
            cap = cap.max(route.cap);
        }
        let resource = resource
            .app_data(json_config(cap))
            .app_data(web::PayloadConfig::new(cap));
        match first.who {
            Who::Anyone => app.service(resource),
            Who::Navigator => app.service(resource.wrap(from_fn(auth::navigator))),
            Who::Owner => app.service(resource.wrap(from_fn(auth::owner))),
            Who::Provider => app.service(resource.wrap(from_fn(auth::provider))),
        };
    }
    app.default_service(web::to(no_route));
}

async fn no_route() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("no such route; see the README"))
}

async fn wrong_method() -> Result<HttpResponse, Problem> {
    Err(Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The route has no such method",
        "see the README",
    ))
}

/// The caller's idempotency key.
pub(super) fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    let fits = !key.is_empty()
        && key.len() <= MAX_IDEMPOTENCY_KEY
        && key.bytes().all(|byte| byte.is_ascii_graphic());
    match fits {
        true => Ok(Some(key.to_owned())),
        false => Err(Problem::bad_request(
            "Idempotency-Key: 1 to 128 visible ASCII characters",
        )),
    }
}

fn question_id(path: &str) -> Result<Bytes32, Problem> {
    Bytes32::parse(path).map_err(|_| no_question())
}

fn created(new: bool) -> StatusCode {
    match new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    }
}

async fn healthz(service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    service.store.ping().await?;
    Ok(HttpResponse::Ok().finish())
}

async fn create(
    service: web::Data<Service>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    // Without a key every call makes a profile.
    let key = idempotency_key(&request)?.unwrap_or_else(|| crate::oracle::random32().to_string());
    let (profile, new) = service.create_profile(&key).await?;
    Ok(HttpResponse::build(created(new))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(profile))
}

async fn profile(service: web::Data<Service>, owner: Owner) -> Result<HttpResponse, Problem> {
    let view = service.profile_view(&owner.0).await?;
    Ok(HttpResponse::Ok().json(view))
}

async fn enrol(
    service: web::Data<Service>,
    owner: Owner,
    call: web::Json<EnrolProfile>,
) -> Result<HttpResponse, Problem> {
    let view = service.enrol(&owner.0.profile, &call).await?;
    Ok(HttpResponse::Ok().json(view))
}

async fn reproofing(service: web::Data<Service>, owner: Owner) -> Result<HttpResponse, Problem> {
    let notice = service.reproofing(&owner.0, false).await?;
    Ok(HttpResponse::Ok().json(notice))
}

async fn object(service: web::Data<Service>, owner: Owner) -> Result<HttpResponse, Problem> {
    let notice = service.reproofing(&owner.0, true).await?;
    Ok(HttpResponse::Ok().json(notice))
}

async fn ask(
    service: web::Data<Service>,
    owner: Owner,
    request: HttpRequest,
    call: web::Json<AskQuestion>,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request)?.ok_or_else(|| {
        Problem::bad_request(
            "Idempotency-Key: send one, fresh for each question, so that a repeated call asks once",
        )
    })?;
    let body = to_jcs(&*call).map_err(|_| Problem::internal())?;
    let (question, new) = service.ask(&owner.0, &key, &body, &call).await?;
    Ok(HttpResponse::build(created(new)).json(question))
}

async fn question(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    let view = service.question_view(&owner.0, &id).await?;
    Ok(HttpResponse::Ok().json(view))
}

async fn advance(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    let view = service.advance(owner.0, &id).await?;
    Ok(HttpResponse::Ok().json(view))
}

async fn token(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    let answer = service.token(&owner.0, &id).await?;
    Ok(HttpResponse::Ok().json(answer))
}

async fn bundle(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    let bytes = service.bundle(&owner.0, &id).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(bytes))
}

async fn openings(
    service: web::Data<Service>,
    owner: Owner,
    path: web::Path<String>,
    call: web::Json<OpenAttributes>,
) -> Result<HttpResponse, Problem> {
    let id = question_id(&path)?;
    let bytes = service.openings(&owner.0, &id, &call.attributes).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(bytes))
}
