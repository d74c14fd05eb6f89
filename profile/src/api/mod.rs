//! The HTTP API: every route but `/healthz` authenticates before it reads a body.

mod auth;
pub mod coverage;
mod routes;
pub mod types;

pub(crate) use routes::configure;
#[cfg(test)]
pub(crate) use routes::{ROUTES, Who};
