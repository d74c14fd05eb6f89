//! The ledger and decision committees as four real nodes over loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod decision;
mod ledger;
mod owner;
mod revocation;
