//! Watches end to end: four real nodes over loopback, real sources and feeds over SQL and HTTP, an owner that does what a
//! profile does. Each test is named for what it shows or the attack that it defeats.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../attestation/externals.rs"]
#[allow(dead_code, reason = "shared with the attestation tests")]
mod externals;
#[path = "../attestation/network.rs"]
#[allow(dead_code, reason = "shared with the attestation tests")]
mod network;
#[path = "../attestation/owner.rs"]
#[allow(dead_code, reason = "shared with the attestation tests")]
mod owner;
#[path = "../sources/server.rs"]
#[allow(dead_code, reason = "shared with the tests of sources")]
mod server;
mod watcher;

mod attacks;
mod desk;
mod feeds;
mod killed;
mod told;
