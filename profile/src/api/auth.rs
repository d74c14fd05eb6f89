//! Bearer tokens: an owner speaks for one profile, a navigator creates profiles.

use std::future::{Ready, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};
use contracts::encoding::Bytes32;
use oracles::problem::Problem;
use subtle::ConstantTimeEq;

use crate::service::{Service, token_hash};
use crate::store::StoredProfile;

/// Longest bearer token that is looked at, in bytes.
const MAX_TOKEN: usize = 200;

/// The profile that the caller's token speaks for; on routes that name a profile, that one.
#[derive(Debug, Clone)]
pub(crate) struct Owner(pub(crate) StoredProfile);

/// 401, the same whatever was wrong with the token.
fn unauthorised() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorised",
        "A bearer token is needed",
        "send Authorization: Bearer with the token of this profile's owner (or, to create a profile, a navigator's)",
    )
}

fn bearer(request: &ServiceRequest) -> Option<&str> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let token = value.strip_prefix("Bearer ")?;
    (!token.is_empty() && token.len() <= MAX_TOKEN).then_some(token)
}

fn service(request: &ServiceRequest) -> Result<web::Data<Service>, Problem> {
    request
        .app_data::<web::Data<Service>>()
        .cloned()
        .ok_or_else(Problem::internal)
}

/// Lets navigators through.
pub(super) async fn navigator(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let service = service(&request)?;
    let token = bearer(&request).ok_or_else(unauthorised)?;
    let right = token_hash(token).0.ct_eq(&service.navigator.0);
    if !bool::from(right) {
        return Err(unauthorised().into());
    }
    next.call(request).await
}

/// Lets owners through, each to their own profile.
///
/// Tokens are compared by their hash, in the database: what an index look-up's timing tells is about a hash.
pub(super) async fn owner(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let service = service(&request)?;
    let token = bearer(&request).ok_or_else(unauthorised)?;
    let profile = service
        .store
        .profile_by_token(&token_hash(token))
        .await
        .map_err(Problem::from)?
        .ok_or_else(unauthorised)?;
    if let Some(named) = request.match_info().get("profile")
        && Bytes32::parse(named) != Ok(profile.profile)
    {
        return Err(Problem::not_found("no such profile under this owner's token").into());
    }
    request.extensions_mut().insert(Owner(profile));
    next.call(request).await
}

/// What the route's check put there; a route without one fails closed.
fn found<T: Clone + 'static>(request: &HttpRequest) -> Ready<Result<T, Problem>> {
    let found = request.extensions().get::<T>().cloned();
    ready(found.ok_or_else(unauthorised))
}

/// What a provider's token tells of: one owner's coverage flag, and nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Flagged(pub(crate) StoredProfile);

/// Lets providers through, each to the flag that its token is for.
pub(super) async fn provider(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let service = service(&request)?;
    let token = bearer(&request).ok_or_else(unauthorised)?;
    let profile = service
        .store
        .profile_by_flag(&token_hash(token))
        .await
        .map_err(Problem::from)?
        .ok_or_else(unauthorised)?;
    request.extensions_mut().insert(Flagged(profile));
    next.call(request).await
}

impl FromRequest for Flagged {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    /// Finds what [`provider`] put there; a route outside it fails closed.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        found(request)
    }
}

impl FromRequest for Owner {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    /// Finds what [`owner`] put there; a route outside it fails closed.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        found(request)
    }
}
