//! Adapters against real HTTP servers that answer truly, wrongly, slowly and with malice.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bombs;
mod desk;
mod drift;
mod emmy;
mod emmy_generated;
mod fhir;
mod mapping;
mod oauth;
mod rest;
mod server;
