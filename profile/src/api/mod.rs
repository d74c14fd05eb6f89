//! The HTTP API: every route but the public ones authenticates before it reads a body.

pub mod access;
pub mod agency;
mod auth;
pub mod consents;
pub mod coverage;
pub mod flag;
pub mod grants;
mod limits;
mod openapi;
mod owner;
mod parties;
mod routes;
pub mod types;
pub mod watches;

pub(crate) use limits::Limits;
pub(crate) use routes::configure;
#[cfg(test)]
pub(crate) use routes::{ROUTES, Who};
