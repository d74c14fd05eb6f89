//! What every call passes before its handler: whose token it is, how often they called, and the audit event.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use contracts::encoding::Bytes32;
use oracles::problem::Problem;

use super::access::{CallerKind, Named, counted};
use super::limits::Rate;
use super::routes::{Route, Who};
use super::types::{IDEMPOTENCY_KEY, MAX_IDEMPOTENCY_KEY};
use crate::service::{Service, token_hash};
use crate::store::StoredProfile;
use crate::store::audit::NewAudit;

/// Longest bearer token that is looked at, in bytes.
const MAX_TOKEN: usize = 200;

/// The profile that the caller's token speaks for; on routes that name a profile, that one.
#[derive(Debug, Clone)]
pub(crate) struct Owner(pub(crate) StoredProfile);

/// What a provider's token tells of: one owner's coverage flag, and nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Flagged(pub(crate) StoredProfile);

/// The caller, one that the configuration names.
#[derive(Debug, Clone)]
pub(crate) struct Party {
    /// Its configured name.
    pub(crate) name: String,
    /// The registered id of an agency or insurer; empty for others.
    pub(crate) audience: String,
}

/// The caller's idempotency key.
#[derive(Debug, Clone)]
pub(crate) struct OnceKey(pub(crate) String);

/// Who calls.
#[derive(Debug, Clone)]
enum Caller {
    Owner(StoredProfile),
    Provider(StoredProfile),
    Named(Named),
}

impl Caller {
    fn kind(&self) -> &'static str {
        match self {
            Self::Owner(_) => "owner",
            Self::Provider(_) => "provider",
            Self::Named(named) => match named.kind {
                CallerKind::Operator => "operator",
                CallerKind::Navigator => "navigator",
                CallerKind::Agency => "agency",
                CallerKind::Insurer => "insurer",
            },
        }
    }

    /// What an audit event calls the caller.
    fn name(&self) -> String {
        match self {
            Self::Owner(profile) | Self::Provider(profile) => profile.profile.to_string(),
            Self::Named(named) => named.name.clone(),
        }
    }

    fn rate(&self, service: &Service) -> (Bytes32, Rate) {
        let limits = &service.limits_config;
        let party = match self {
            Self::Owner(profile) | Self::Provider(profile) => profile.profile.to_string(),
            Self::Named(named) => named.party().to_owned(),
        };
        let calls = match self {
            Self::Owner(_) => limits.owner,
            Self::Provider(_) => limits.provider,
            Self::Named(named) => match named.kind {
                CallerKind::Operator => limits.operator,
                CallerKind::Navigator => limits.navigator,
                CallerKind::Agency => limits.agency,
                CallerKind::Insurer => limits.insurer,
            },
        };
        let key = counted(self.kind(), party.as_bytes());
        (key, Rate::per_minute(calls))
    }
}

/// Why a call does not reach its handler.
enum Refused {
    /// It came too early by this much; nothing is written down.
    TooOften(Duration),
    /// What is answered.
    Problem(Problem),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Refused {
    fn answer(&self) -> HttpResponse {
        match self {
            Self::TooOften(wait) => {
                let seconds = wait.as_millis().div_ceil(1_000).max(1).to_string();
                let mut answer = Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too-many-requests",
                    "The caller calls too often",
                    format!("wait {seconds} s"),
                )
                .error_response();
                if let Ok(value) = header::HeaderValue::from_str(&seconds) {
                    answer.headers_mut().insert(header::RETRY_AFTER, value);
                }
                answer
            }
            Self::Problem(problem) => {
                let mut answer = problem.error_response();
                if problem.status == 401 {
                    // RFC 9110 section 11.6.1.
                    let scheme = header::HeaderValue::from_static("Bearer");
                    answer
                        .headers_mut()
                        .insert(header::WWW_AUTHENTICATE, scheme);
                }
                answer
            }
        }
    }
}

/// 401, the same whatever was wrong with the token.
fn unauthorised() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorised",
        "A bearer token is needed",
        "send Authorization: Bearer with a token of the kind that this route is for",
    )
}

fn bearer(request: &ServiceRequest) -> Option<&str> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let fits = scheme.eq_ignore_ascii_case("bearer") && (1..=MAX_TOKEN).contains(&token.len());
    fits.then_some(token)
}

fn service(request: &ServiceRequest) -> Result<web::Data<Service>, Problem> {
    request
        .app_data::<web::Data<Service>>()
        .cloned()
        .ok_or_else(Problem::internal)
}

/// An address as far as one subscriber has it: an IPv4 address, or a /64 of IPv6.
fn subscriber(request: &ServiceRequest) -> Vec<u8> {
    match request.peer_addr().map(|peer| peer.ip().to_canonical()) {
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets().into_iter().take(8).collect(),
        None => Vec::new(),
    }
}

/// Whose token it is, of those that the route is for.
///
/// Owners' and flags' tokens are looked up by their hash: what an index look-up's timing tells is about a hash.
async fn identify(
    service: &Service,
    who: Who,
    request: &ServiceRequest,
) -> Result<Option<Caller>, Problem> {
    let Some(token) = bearer(request) else {
        return Ok(None);
    };
    let named = |kind| {
        service
            .callers
            .find(kind, token)
            .cloned()
            .map(Caller::Named)
    };
    Ok(match who {
        Who::Anyone => None,
        Who::Owner => {
            let found = service.store.profile_by_token(&token_hash(token)).await?;
            found.map(Caller::Owner)
        }
        Who::Provider => {
            let found = service.store.profile_by_flag(&token_hash(token)).await?;
            found.map(Caller::Provider)
        }
        Who::Operator => named(CallerKind::Operator),
        Who::Navigator => named(CallerKind::Navigator),
        Who::Agency => named(CallerKind::Agency),
        Who::Insurer => named(CallerKind::Insurer),
    })
}

fn limited(service: &Service, (key, rate): (Bytes32, Rate)) -> Result<(), Refused> {
    let taken = service.limits.take(key, rate, Instant::now());
    taken.map_err(Refused::TooOften)
}

/// Leaves for the handler what it may know of the caller.
fn admit(route: &Route, caller: &Caller, request: &ServiceRequest) -> Result<(), Problem> {
    match caller {
        Caller::Owner(profile) => {
            let named = request.match_info().get("profile");
            if named.is_some_and(|named| Bytes32::parse(named) != Ok(profile.profile)) {
                let detail = "no such profile under this owner's token";
                return Err(Problem::not_found(detail));
            }
            request.extensions_mut().insert(Owner(profile.clone()));
        }
        Caller::Provider(profile) => {
            request.extensions_mut().insert(Flagged(profile.clone()));
        }
        Caller::Named(named) => {
            let party = Party {
                name: named.name.clone(),
                audience: named.audience.clone(),
            };
            request.extensions_mut().insert(party);
        }
    }
    if route.needs_key() {
        request.extensions_mut().insert(once_key(request)?);
    }
    Ok(())
}

fn once_key(request: &ServiceRequest) -> Result<OnceKey, Problem> {
    let value = request.headers().get(IDEMPOTENCY_KEY);
    let key = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let fits = (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len())
        && key.bytes().all(|it| it.is_ascii_graphic());
    match fits {
        true => Ok(OnceKey(key.to_owned())),
        false => Err(Problem::bad_request(
            "Idempotency-Key: send 1 to 128 visible ASCII characters, fresh for each request and the same when it is repeated",
        )),
    }
}

/// The check of a route. A call is written down before it changes anything; if that fails, nothing is done.
pub(super) async fn gate(
    route: &'static Route,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let refuse = |request: ServiceRequest, refused: Refused| {
        let answer = refused.answer();
        Ok(request.into_response(answer))
    };
    let service = service(&request)?;
    let anyone = Rate::per_minute(service.limits_config.anyone);
    let subscriber = subscriber(&request);
    if route.who == Who::Anyone {
        return match limited(&service, (counted("anyone", &subscriber), anyone)) {
            Ok(()) => next.call(request).await,
            Err(refused) => refuse(request, refused),
        };
    }
    let caller = match identify(&service, route.who, &request).await {
        Ok(caller) => caller,
        Err(problem) => return refuse(request, problem.into()),
    };
    let rate = match &caller {
        Some(caller) => caller.rate(&service),
        // Who guesses fills neither the log nor the table of events.
        None => (counted("unknown", &subscriber), anyone),
    };
    if let Err(refused) = limited(&service, rate) {
        return refuse(request, refused);
    }
    let admitted = match &caller {
        Some(caller) => admit(route, caller, &request),
        None => Err(unauthorised()),
    };
    let who = caller.as_ref().map(Caller::name).unwrap_or_default();
    let mut event = NewAudit {
        at: service.clock.now(),
        kind: caller.as_ref().map_or("unknown", Caller::kind),
        who: &who,
        method: route.method.as_str(),
        route: route.path,
        status: 0,
    };
    if let Err(problem) = admitted {
        event.status = problem.status;
        return match service.store.audit(&event).await {
            Ok(_) => refuse(request, problem.into()),
            Err(error) => refuse(request, Problem::from(error).into()),
        };
    }
    let began = match route.changes() {
        true => match service.store.audit(&event).await {
            Ok(seq) => Some(seq),
            Err(error) => return refuse(request, Problem::from(error).into()),
        },
        false => None,
    };
    let answer = next.call(request).await;
    event.status = match &answer {
        Ok(answer) => answer.status().as_u16(),
        Err(error) => error.as_response_error().status_code().as_u16(),
    };
    let written = match began {
        Some(seq) => service.store.audit_answered(seq, event.status).await,
        None => service.store.audit(&event).await.map(|_| ()),
    };
    match (written, answer) {
        (Ok(()), answer) => answer,
        // What was read does not leave unrecorded. What was done is recorded as begun.
        (Err(error), Ok(answer)) if began.is_none() => {
            let answer = answer.into_response(Problem::from(error).error_response());
            Ok(answer)
        }
        (Err(error), answer) => {
            tracing::error!(%error, "an audit event stays open");
            answer
        }
    }
}

/// What the route's check put there; a route without one fails closed.
fn found<T: Clone + 'static>(request: &HttpRequest) -> Ready<Result<T, Problem>> {
    let found = request.extensions().get::<T>().cloned();
    ready(found.ok_or_else(unauthorised))
}

macro_rules! from_the_gate {
    ($($what:ty),*) => {$(
        impl FromRequest for $what {
            type Error = Problem;
            type Future = Ready<Result<Self, Problem>>;

            /// Finds what [`gate`] put there; a route outside it fails closed.
            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                found(request)
            }
        }
    )*};
}

from_the_gate!(Owner, Flagged, Party, OnceKey);
